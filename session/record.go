package session

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"time"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
)

// A Session is one login of one person. It carries all rights of its user.
type Session struct {
	ID        string            // public, for lists and logs
	Digest    credential.Digest // of its secret, and the key of its record
	User      protocol.UserID
	Name      string     // the user's name at sign-in
	Created   time.Time  // when the sign-in began
	Expires   time.Time  // the first instant at which it is expired
	Addr      netip.Addr // IP address that the secret was given to; the zero Addr if unknown
	UserAgent string     // as that client called itself, in printable ASCII
	Via       string     // how the person signed in, see SignIn.Via
	// Notice is what Config.Notice says to the person, where the session has just been created. It
	// is in no list.
	Notice string
}

// Live reports whether s has not expired by now. It does not know whether the account was
// disabled since.
func (s Session) Live(now time.Time) bool { return now.Before(s.Expires) }

// Credential returns the session as a policy takes it.
func (s Session) Credential() *policy.Credential {
	return &policy.Credential{ID: s.ID, Kind: policy.KindSession, User: s.User, Created: s.Created, Expires: s.Expires}
}

// record is a Session as it is stored.
type record struct {
	ID        string            `json:"id"`
	Digest    credential.Digest `json:"digest"`
	User      protocol.UserID   `json:"user"`
	Name      string            `json:"name"`
	Numbers   subject.Numbers   `json:"numbers"` // the revocation numbers that it was created under
	Created   time.Time         `json:"created"`
	Expires   time.Time         `json:"expires"`
	Addr      netip.Addr        `json:"addr"`
	UserAgent string            `json:"agent"`
	Via       string            `json:"via"`
}

// Sessions of schema 1 carry no numbers, and are dead.
var (
	sessions = store.NewTable("session", 2, func(r *record) string { return r.Digest.String() }).Since(2).
			Expiring(func(r *record) time.Time { return r.Expires })
	byID   = sessions.Unique("id", func(r *record) string { return r.ID })
	byUser = sessions.Index("user", func(r *record) string { return string(r.User) })
)

// newRecord returns the session of a person whose sign-in began at since, under the revocation
// numbers that it was proven for.
func (m *Manager) newRecord(id string, secret credential.Secret, u User, n subject.Numbers, since time.Time, c Client, via string) *record {
	c = c.clean()
	return &record{
		ID:        id,
		Digest:    credential.Sum(secret),
		User:      u.ID,
		Name:      u.Name,
		Numbers:   n,
		Created:   since,
		Expires:   since.Add(m.ttl()).Truncate(time.Microsecond),
		Addr:      c.Addr,
		UserAgent: c.UserAgent,
		Via:       via,
	}
}

func (r *record) session() Session {
	return Session{
		ID: r.ID, Digest: r.Digest, User: r.User, Name: r.Name, Created: r.Created, Expires: r.Expires,
		Addr: r.Addr, UserAgent: r.UserAgent, Via: r.Via,
	}
}

// alive reports whether the session has neither expired nor been revoked according to sub.
func (r *record) alive(sub subject.Subject, now time.Time) bool {
	return now.Before(r.Expires) && r.User == sub.ID && sub.Alive(policy.KindSession, r.Numbers)
}

// Key returns the store's key of the session whose secret has that digest.
func Key(d credential.Digest) string { return sessions.Key(d.String()) }

// DigestOf returns the digest in a key that [Key] returned, and false for any other key. A
// cache finds by it the entry of a changed key.
func DigestOf(key string) (credential.Digest, bool) {
	id, ok := sessions.ID(key)
	if !ok {
		return credential.Digest{}, false
	}
	d, err := credential.ParseDigest(id)
	return d, err == nil
}

// IDOf returns the public ID that this key of the store's index is made of, and false for any
// other key. If the item of the key is absent, no session with that ID is left.
func IDOf(key string) (id string, ok bool) { return byID.Value(key) }

// Open decodes the item that the store has under a [Key] into a [policy.Credential], and
// returns the revocation numbers that the session was created under. An absent item is
// ErrNoSession, and so is a session of schema 1; one that cannot be read, or that lies under
// another session's key, is another error. Open checks neither the clock nor the account: its
// result may be cached for a moment, is dead from its Expires on, and is alive only while
// [subject.Subject.Alive] of its numbers.
func Open(it store.Item) (*policy.Credential, subject.Numbers, error) {
	r, err := sessions.Decode(it) // which compares the digest with the key
	if errors.Is(err, store.ErrNotFound) {
		return nil, subject.Numbers{}, ErrNoSession
	}
	if err != nil {
		return nil, subject.Numbers{}, fmt.Errorf("session: open: %w", err)
	}
	if r.ID == "" || r.User == "" || r.Expires.IsZero() {
		return nil, subject.Numbers{}, errors.New("session: open: the record lacks its ID, its user or its expiry")
	}
	return r.session().Credential(), r.Numbers, nil
}

// List returns the live sessions of a user, at most limit (1 to 100), and the cursor of the
// next page: an opaque text that is no secret; "" is both the start and the end. Any other text is
// [ErrCursor]. A page may have fewer than limit. An account that is disabled has none.
func (m *Manager) List(ctx context.Context, user protocol.UserID, after string, limit int) (list []Session, next string, err error) {
	if after != "" {
		if _, err := credential.ParseDigest(after); err != nil {
			return nil, "", ErrCursor
		}
	}
	var sub subject.Subject // of nobody, who has no session
	if user != "" {
		if sub, err = subject.Get(ctx, m.store, user); err != nil {
			return nil, "", fmt.Errorf("session: list: %w", err)
		}
	}
	rs, next, err := byUser.List(ctx, m.store, string(user), after, limit)
	if err != nil {
		return nil, "", fmt.Errorf("session: list: %w", err)
	}
	now := m.now()
	for _, r := range rs {
		if r.alive(sub, now) {
			list = append(list, r.session())
		}
	}
	return list, next, nil
}

// Unrevoked yields every session that has neither expired nor been revoked: of user, or with ""
// of everybody, in no particular order. A session of a disabled account is one, since it works
// once the account is enabled. It reads a page at a time: a session that begins meanwhile may be
// missing, none that was there before and lives on is. An error ends the sequence.
func (m *Manager) Unrevoked(ctx context.Context, user protocol.UserID) iter.Seq2[Session, error] {
	return func(yield func(Session, error) bool) {
		for after := ""; ; {
			keys, next, err := m.keys(ctx, user, after)
			var page []Session
			if err == nil {
				page, err = m.unrevoked(ctx, keys)
			}
			if err != nil {
				yield(Session{}, fmt.Errorf("session: list all: %w", err))
				return
			}
			for _, s := range page {
				if !yield(s, nil) {
					return
				}
			}
			if after = next; next == "" {
				return
			}
		}
	}
}

// keysPage is how many sessions Unrevoked reads together with their accounts.
const keysPage = (store.MaxKeys - 1) / 2

// keys returns the keys of a page of sessions, each with that of its account, and the cursor of
// the next page, "" at the end.
func (m *Manager) keys(ctx context.Context, user protocol.UserID, after string) (keys [][2]string, next string, err error) {
	var page []*record
	if user != "" {
		page, next, err = byUser.List(ctx, m.store, string(user), after, keysPage)
	} else if page, err = sessions.List(ctx, m.store, after, keysPage); len(page) == keysPage {
		next = page[keysPage-1].Digest.String()
	}
	for _, r := range page {
		keys = append(keys, [2]string{Key(r.Digest), subject.Key(r.User)})
	}
	return keys, next, err
}

// unrevoked returns the sessions under keys that are not revoked. It reads them together with
// their accounts: [Manager.KeepTx] changes both, and of two moments a session that it kept would
// seem to be revoked.
func (m *Manager) unrevoked(ctx context.Context, keys [][2]string) (list []Session, err error) {
	if len(keys) == 0 {
		return nil, nil
	}
	every := []string{subject.EveryoneKey()}
	for _, k := range keys {
		every = append(every, k[:]...)
	}
	slices.Sort(every)
	every = slices.Compact(every)
	items, err := m.store.Get(ctx, every...)
	if err != nil {
		return nil, err
	}
	of := make(map[string]store.Item, len(items))
	for _, it := range items {
		of[it.Key] = it
	}
	now := m.now()
	for _, k := range keys {
		r, err := sessions.Decode(of[k[0]])
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		sub, err := subject.Decode(r.User, []store.Item{of[k[1]], of[subject.EveryoneKey()]})
		if err != nil {
			return nil, err
		}
		if now.Before(r.Expires) && r.Numbers == sub.Numbers(policy.KindSession) {
			list = append(list, r.session())
		}
	}
	return list, nil
}

// Get returns the user's session with this public ID. A session that does not exist, has expired
// or is another user's is ErrNoSession. Whether the account has revoked it Get does not check: it
// describes a session that was authenticated.
func (m *Manager) Get(ctx context.Context, user protocol.UserID, id string) (Session, error) {
	r, err := byID.Get(ctx, m.store, id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return Session{}, ErrNoSession
	case err != nil:
		return Session{}, fmt.Errorf("session: get: %w", err)
	}
	if s := r.session(); user != "" && s.User == user && s.Live(m.now()) {
		return s, nil
	}
	return Session{}, ErrNoSession
}

// End is [Manager.EndTx] in a commit of its own.
func (m *Manager) End(ctx context.Context, by audit.Actor, user protocol.UserID, id string, reasons ...string) error {
	return endError(store.Transact(ctx, m.store, func(tx *store.Tx) error { return m.EndTx(ctx, tx, by, user, id, reasons...) }))
}

// EndTx ends a session of the user in the caller's commit. A session that does not exist, or is
// another user's, is ErrNoSession. The reasons go into the event.
func (m *Manager) EndTx(ctx context.Context, tx *store.Tx, by audit.Actor, user protocol.UserID, id string, reasons ...string) error {
	r, err := byID.Get(ctx, tx, id)
	if err != nil {
		return endError(err)
	}
	if user == "" || r.User != user {
		return ErrNoSession
	}
	if err := sessions.Delete(ctx, tx, r.Digest.String()); err != nil {
		return endError(err)
	}
	return m.events.Commit(ctx, tx, audit.Event{
		Time: m.now(), Type: audit.SessionEnded, Outcome: audit.Done, User: user, Credential: id, Reasons: reasons,
	}.From(by))
}

// KeepTx exempts one session, in the caller's commit, from a revocation of all sessions of its
// user that this commit makes, such as a change of the password, and records an event of those
// that end. kept is the session's public ID; "" keeps none. before is the account's subject as
// the caller read it before the revocation, and this commit expects it: a session that was not
// alive then is ErrNoSession, and if the account changed since, Transact returns a
// [*store.ChangedError], so that no session that was revoked meanwhile becomes alive.
func (m *Manager) KeepTx(ctx context.Context, tx *store.Tx, by audit.Actor, before subject.Subject, kept string, reasons ...string) error {
	e := audit.Event{Time: m.now(), Type: audit.SessionEnded, Outcome: audit.Done, User: before.ID, Reasons: reasons}
	if kept != "" {
		after, err := subject.Get(ctx, tx, before.ID)
		if err != nil {
			return endError(err)
		}
		tx.Expect(before.Evidence...)
		r, err := byID.Get(ctx, tx, kept)
		if err != nil {
			return endError(err)
		}
		if !r.alive(before, m.now()) {
			return ErrNoSession
		}
		_, err = sessions.Update(ctx, tx, r.Digest.String(), func(r *record) error {
			r.Numbers = after.Numbers(policy.KindSession)
			return nil
		})
		if err != nil {
			return endError(err)
		}
		e.Detail = map[string]string{"kept": kept}
	}
	return m.events.Commit(ctx, tx, e.From(by))
}

// Logout ends the session whose secret has that digest, in a commit of its own, and returns
// that session. If there is none, the error is ErrNoSession.
func (m *Manager) Logout(ctx context.Context, by audit.Actor, d credential.Digest) (Session, error) {
	var s Session
	err := store.Transact(ctx, m.store, func(tx *store.Tx) (err error) {
		s, err = m.LogoutTx(ctx, tx, by, d)
		return err
	})
	return s, endError(err)
}

// LogoutTx is [Manager.Logout] in the caller's commit.
func (m *Manager) LogoutTx(ctx context.Context, tx *store.Tx, by audit.Actor, d credential.Digest) (Session, error) {
	r, err := sessions.Get(ctx, tx, d.String())
	if err != nil {
		return Session{}, endError(err)
	}
	if err := sessions.Delete(ctx, tx, d.String()); err != nil {
		return Session{}, endError(err)
	}
	s := r.session()
	return s, m.events.Commit(ctx, tx, audit.Event{
		Time: m.now(), Type: audit.Logout, Outcome: audit.Done, User: s.User, Credential: s.ID,
	}.From(by))
}

// endError maps the error of a session that could not be ended to the error for the caller.
func endError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrNotFound), errors.Is(err, ErrNoSession):
		return ErrNoSession
	}
	return fmt.Errorf("session: end: %w", err)
}
