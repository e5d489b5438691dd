package session

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
)

// A Poll is the answer to a client that waits for its web login. The zero value means that the
// login is over.
type Poll struct {
	State   State
	Secret  credential.Secret // with Done: the session's
	Session Session           // with Done
	// RetryAfter is how many seconds the client should wait before its next poll, with Pending.
	// It is at least one: npm polls at once if it gets no Retry-After.
	RetryAfter int
}

// repeats is how long a client can repeat its poll and get the same answer: npm repeats a
// request 10 seconds after its answer was lost.
const repeats = 30 * time.Second

// errMoved is returned inside a commit that finds the flow in another state than the one it was
// called for.
var errMoved = errors.New("session: the flow has moved on")

// Collect answers the poll of a client, and creates the session at the first poll after the
// approval. An ID that is unknown, expired, denied or used up is no error: its State is Over,
// whatever the reason. Any other failure is an error, and the client may repeat the poll.
//
// For 30 seconds the same ID gets the same answer from the IP address that collected it, for a
// client that lost the answer. A poll from any other IP address, or from an unknown one, ends
// the session.
func (m *Manager) Collect(ctx context.Context, pollID string, c Client) (Poll, error) {
	k, err := m.flowKeys(ctx)
	if err != nil {
		return Poll{}, err
	}
	poll := credential.NewSecret(pollID)
	started, ok := k.openPollID(pollID)
	if !ok {
		return Poll{}, nil
	}
	c = c.clean()
	// A flow changes its state three times at most: decided, collected, ended.
	for range 4 {
		p, err := m.collect(ctx, poll, started, c)
		if errors.Is(err, errMoved) {
			continue
		}
		if err != nil {
			return Poll{}, fmt.Errorf("session: collect: %w", err)
		}
		return p, nil
	}
	return Poll{}, fmt.Errorf("session: collect: %w", store.ErrConflict)
}

func (m *Manager) collect(ctx context.Context, poll credential.Secret, started time.Time, c Client) (Poll, error) {
	now, expires := m.now(), started.Add(m.flowTTL)
	if !now.Before(expires.Add(keptAfter)) {
		return Poll{}, nil
	}
	f, err := flowOf(ctx, m.store, credential.Sum(poll))
	switch {
	case errors.Is(err, store.ErrNotFound) && now.Before(expires):
		return Poll{State: Pending, RetryAfter: retryAfter(now.Sub(started))}, nil
	case errors.Is(err, store.ErrNotFound):
		return Poll{}, nil
	case err != nil:
		return Poll{}, err
	case f.Fate == approved:
		if dead := f.Since.Add(m.ttl()); dead.Before(expires) {
			expires = dead // a session that is over before it began
		}
		if now.Before(expires) {
			return m.create(ctx, poll, expires, f, c)
		}
	case f.Fate == collected:
		return m.repeat(ctx, poll, f, c)
	}
	return Poll{}, nil
}

// retryAfter is how long to wait for a flow of that age: most people approve at once, and those
// who do not take longer.
func retryAfter(age time.Duration) int {
	switch {
	case age < 15*time.Second:
		return 1
	case age < time.Minute:
		return 2
	default:
		return 5
	}
}

// create creates the session of an approved flow if the revocation numbers that the approval
// was given under are still the account's. Otherwise it ends the flow, so that an account that
// is enabled later does not get the session.
func (m *Manager) create(ctx context.Context, poll credential.Secret, expires time.Time, f *flow, c Client) (Poll, error) {
	sub, err := m.standing(ctx, f)
	if errors.Is(err, ErrDenied) {
		return Poll{}, m.endApproved(ctx, f, c)
	}
	if err != nil {
		return Poll{}, err
	}
	salt := make([]byte, sha256.Size)
	rand.Read(salt)
	secret, err := derive(poll, salt, f.Session)
	if err != nil {
		return Poll{}, err
	}
	r := m.newRecord(f.Session, secret, User{ID: f.User, Name: f.Name}, f.Numbers, f.Since, c, f.Via)
	s := r.session()
	s.Notice = f.Notice
	err = store.Transact(ctx, m.store, func(tx *store.Tx) error {
		tx.Expect(sub.Evidence...)
		now := m.now()
		if !now.Before(expires) {
			return errMoved
		}
		_, err := flows.Update(ctx, tx, f.Digest.String(), func(g *flow) error {
			if g.Fate != approved || g.Session != r.ID {
				return errMoved
			}
			g.Fate, g.Collected, g.Collector, g.Secret, g.Salt = collected, now, c.Addr, r.Digest, salt
			return nil
		})
		if err != nil {
			return err
		}
		if err := sessions.Insert(ctx, tx, r); err != nil {
			return err
		}
		return m.events.Commit(ctx, tx, audit.Event{
			Time: now, Type: audit.Login, Outcome: audit.Done, User: s.User, By: s.User, Credential: s.ID, Addr: s.Addr,
			Detail: detail("via", s.Via, "agent", s.UserAgent, "asked_from", text(f.Requester), "approved_from", text(f.Approver)),
		})
	})
	if _, changed := errors.AsType[*store.ChangedError](err); changed {
		return Poll{}, errMoved // and is read and checked once more
	}
	if err != nil {
		return Poll{}, err
	}
	return Poll{State: Done, Secret: secret, Session: s}, nil
}

// standing returns the subject of a flow's account, or ErrDenied if the approval no longer
// counts: the numbers it was given under were revoked, or the account may have no session. The
// host's check comes last.
func (m *Manager) standing(ctx context.Context, f *flow) (subject.Subject, error) {
	sub, err := subject.Get(ctx, m.store, f.User)
	if err != nil {
		return subject.Subject{}, err
	}
	if !sub.Alive(policy.KindSession, f.Numbers) {
		return subject.Subject{}, ErrDenied
	}
	return sub, m.alive(ctx, f.User)
}

// endApproved ends an approved flow whose account may have no session any more.
func (m *Manager) endApproved(ctx context.Context, f *flow, c Client) error {
	return m.end(ctx, f, approved, audit.Event{
		Type: audit.Login, Reasons: []string{"account"}, User: f.User, Credential: f.Session, Addr: c.Addr,
		Detail: detail("via", f.Via, "asked_from", text(f.Requester), "approved_from", text(f.Approver)),
	})
}

// repeat answers a poll of a flow that was collected before.
func (m *Manager) repeat(ctx context.Context, poll credential.Secret, f *flow, c Client) (Poll, error) {
	if !c.Addr.IsValid() || c.Addr != f.Collector {
		// Two clients know the poll ID, and nothing tells which of the two stole it, so neither
		// keeps the session.
		return Poll{}, m.end(ctx, f, collected, audit.Event{
			Type: audit.LoginRepeated, Reasons: []string{"address"}, User: f.User, Credential: f.Session, Addr: c.Addr,
			Detail: detail("via", f.Via, "agent", c.UserAgent, "collected_from", text(f.Collector), "asked_from", text(f.Requester)),
		})
	}
	now := m.now()
	// The absolute value, so that a clock that was set back does not repeat an old answer.
	if now.Sub(f.Collected).Abs() >= repeats || len(f.Salt) == 0 {
		return Poll{}, m.forget(ctx, f)
	}
	secret, err := derive(poll, f.Salt, f.Session)
	if err != nil {
		return Poll{}, err
	}
	r, err := sessions.Get(ctx, m.store, f.Secret.String())
	if errors.Is(err, store.ErrNotFound) {
		return Poll{}, nil // it was ended already
	}
	if err != nil {
		return Poll{}, err
	}
	sub, err := m.standing(ctx, f)
	if errors.Is(err, ErrDenied) {
		return Poll{}, nil
	}
	if err != nil {
		return Poll{}, err
	}
	s := r.session()
	if credential.Sum(secret) != s.Digest || s.ID != f.Session || !r.alive(sub, now) {
		return Poll{}, nil
	}
	s.Notice = f.Notice
	return Poll{State: Done, Secret: secret, Session: s}, nil
}

// end moves a flow from a fate to ended, deletes its session, if it has one, and records the
// refusal e.
func (m *Manager) end(ctx context.Context, f *flow, from fate, e audit.Event) error {
	return store.Transact(ctx, m.store, func(tx *store.Tx) error {
		g, err := flows.Update(ctx, tx, f.Digest.String(), func(g *flow) error {
			if g.Fate != from {
				return errMoved
			}
			g.Fate, g.Salt = ended, nil
			return nil
		})
		if err != nil {
			return err
		}
		if !g.Secret.IsZero() {
			if err := sessions.Delete(ctx, tx, g.Secret.String()); err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
		}
		e.Time, e.Outcome = m.now(), audit.Denied
		return m.events.Commit(ctx, tx, e)
	})
}

// Forget erases the salts that the secrets of collected logins are derived with, once a poll
// can no longer repeat. Until then a person who has both the store and a poll ID could derive
// the session's secret. Call it about every half minute; nothing else depends on it.
func (m *Manager) Forget(ctx context.Context) error {
	for after := ""; ; {
		fs, next, err := salted.List(ctx, m.store, "yes", after, 100)
		if err != nil {
			return fmt.Errorf("session: forget: %w", err)
		}
		for _, f := range fs {
			if m.now().Sub(f.Collected).Abs() < repeats {
				continue
			}
			if err := m.forget(ctx, f); err != nil {
				return fmt.Errorf("session: forget: %w", err)
			}
		}
		if next == "" {
			return nil
		}
		after = next
	}
}

func (m *Manager) forget(ctx context.Context, f *flow) error {
	if len(f.Salt) == 0 {
		return nil
	}
	err := store.Transact(ctx, m.store, func(tx *store.Tx) error {
		_, err := flows.Update(ctx, tx, f.Digest.String(), func(g *flow) error {
			if !bytes.Equal(g.Salt, f.Salt) {
				return errMoved
			}
			g.Salt = nil
			return nil
		})
		return err
	})
	if errors.Is(err, errMoved) || errors.Is(err, store.ErrNotFound) {
		return nil // by another process, or with the whole row
	}
	return err
}

// derive returns the secret of the session with that ID, from the poll ID, which only the
// client has, and the salt, which only the store has.
func derive(poll credential.Secret, salt []byte, id string) (credential.Secret, error) {
	// Many times what Derive reads of it.
	stream, err := hkdf.Key(sha256.New, []byte(poll.Reveal()), salt, "npmauth: session "+id, 1024)
	if err != nil {
		return credential.Secret{}, err
	}
	return credential.Derive(credential.PrefixSession, bytes.NewReader(stream))
}
