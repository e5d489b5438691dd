package session

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/store"
)

// A Session is one login of one person. It carries all rights of its user.
type Session struct {
	ID        string            // public accessor: safe in lists and logs
	Digest    credential.Digest // of its secret: what it is found by
	User      policy.UserID
	Name      string     // the user's name at sign-in
	Created   time.Time  // when its owner began to prove who they are
	Expires   time.Time  // the first instant at which it is dead
	Addr      netip.Addr // whom the secret was given to; the zero Addr if unknown
	UserAgent string     // as that client called itself, in printable ASCII
	Via       string     // how the person signed in, see SignIn.Via
}

// Live reports whether s has not expired by now. It does not know of an account
// that was disabled since.
func (s Session) Live(now time.Time) bool { return now.Before(s.Expires) }

// record is a Session as it is stored.
type record struct {
	ID        string            `json:"id"`
	Digest    credential.Digest `json:"digest"`
	User      policy.UserID     `json:"user"`
	Name      string            `json:"name"`
	Created   time.Time         `json:"created"`
	Expires   time.Time         `json:"expires"`
	Addr      netip.Addr        `json:"addr"`
	UserAgent string            `json:"agent"`
	Via       string            `json:"via"`
}

var (
	sessions = store.NewTable("session", 1, func(r *record) string { return r.Digest.String() }).
			Expiring(func(r *record) time.Time { return r.Expires })
	byID   = sessions.Unique("id", func(r *record) string { return r.ID })
	byUser = sessions.Index("user", func(r *record) string { return string(r.User) })
)

// newRecord returns the session that a person gets who proved who they are at
// since.
func (m *Manager) newRecord(id string, secret credential.Secret, u User, since time.Time, c Client, via string) *record {
	c = c.clean()
	return &record{
		ID:        id,
		Digest:    credential.Sum(secret),
		User:      u.ID,
		Name:      u.Name,
		Created:   since,
		Expires:   since.Add(m.ttl).Truncate(time.Microsecond),
		Addr:      c.Addr,
		UserAgent: c.UserAgent,
		Via:       via,
	}
}

// Key returns the store's key of the session whose secret has that digest.
func Key(d credential.Digest) string { return sessions.Key(d.String()) }

// DigestOf returns the digest in a key that [Key] returned, and false for any
// other key: it tells a cache which entry a changed key concerns.
func DigestOf(key string) (credential.Digest, bool) {
	id, ok := sessions.ID(key)
	if !ok {
		return credential.Digest{}, false
	}
	d, err := credential.ParseDigest(id)
	return d, err == nil
}

// Open returns what the store holds under a [Key], in the words that a policy
// decides on. An absent item is ErrNoSession; one that cannot be read, or that
// lies under another session's key, is another error. Open does not look at the
// clock: what it returns may be kept for a moment, and is dead from its Expires
// on.
func Open(it store.Item) (*policy.Credential, error) {
	r, err := sessions.Decode(it) // which compares the digest with the key
	if errors.Is(err, store.ErrNotFound) {
		return nil, ErrNoSession
	}
	if err != nil {
		return nil, fmt.Errorf("session: open: %w", err)
	}
	if r.ID == "" || r.User == "" || r.Expires.IsZero() {
		return nil, errors.New("session: open: the record lacks its ID, its user or its expiry")
	}
	return &policy.Credential{
		ID:      r.ID,
		Kind:    policy.KindSession,
		User:    r.User,
		Created: r.Created,
		Expires: r.Expires,
	}, nil
}

// List returns the live sessions of a user, at most limit (1 to 100), and where
// to go on: an opaque text that is no secret; "" is both the start and the end. A
// page may be short of limit. A session that was opened before the account's
// sessions were last ended is listed still; its Created tells.
func (m *Manager) List(ctx context.Context, user policy.UserID, after string, limit int) (list []Session, next string, err error) {
	rs, next, err := byUser.List(ctx, m.store, string(user), after, limit)
	if err != nil {
		return nil, "", fmt.Errorf("session: list: %w", err)
	}
	now := m.now()
	for _, r := range rs {
		// The index is asked by the user's ID, but it is the record that counts.
		if s := Session(*r); s.Live(now) && s.User == user {
			list = append(list, s)
		}
	}
	return list, next, nil
}

// End ends a session of the user. A session that does not exist, or is another
// user's, is ErrNoSession.
func (m *Manager) End(ctx context.Context, user policy.UserID, id string) error {
	err := store.Transact(ctx, m.store, func(tx *store.Tx) error {
		r, err := byID.Get(ctx, tx, id)
		if err != nil {
			return err
		}
		if user == "" || r.User != user {
			return ErrNoSession
		}
		return sessions.Delete(ctx, tx, r.Digest.String())
	})
	if err != nil {
		return endError(err)
	}
	m.record(ctx, audit.Event{Time: m.now(), Type: audit.SessionEnded, Outcome: audit.Done, User: user, Credential: id})
	return nil
}

// EndDigest ends the session whose secret has that digest, as a logout does, and
// returns what it was. One that does not exist is ErrNoSession.
func (m *Manager) EndDigest(ctx context.Context, d credential.Digest) (Session, error) {
	var s Session
	err := store.Transact(ctx, m.store, func(tx *store.Tx) error {
		r, err := sessions.Get(ctx, tx, d.String())
		if err != nil {
			return err
		}
		s = Session(*r)
		return sessions.Delete(ctx, tx, d.String())
	})
	if err != nil {
		return Session{}, endError(err)
	}
	m.record(ctx, audit.Event{Time: m.now(), Type: audit.Logout, Outcome: audit.Done, User: s.User, Credential: s.ID})
	return s, nil
}

// endError is what a caller is told when a session could not be ended.
func endError(err error) error {
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, ErrNoSession) {
		return ErrNoSession
	}
	return fmt.Errorf("session: end: %w", err)
}
