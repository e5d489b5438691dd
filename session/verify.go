package session

import (
	"context"
	"errors"
	"fmt"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
)

// Verify is [Manager.VerifyFrom] on the Manager's store.
func (m *Manager) Verify(ctx context.Context, secret credential.Secret) (Session, error) {
	return m.VerifyFrom(ctx, m.store, secret)
}

// VerifyFrom returns the session that a presented secret belongs to, as from has it. It is the
// whole check: the secret has the right form, the session has not expired and was not revoked,
// and its account may have a session, which Config.Alive checks last. Every secret that fails
// one of these is ErrNoSession, whatever the reason; any other error means that the check itself
// failed.
//
// A request that changes something is verified from the [store.Tx] of its commit: a session that
// is revoked meanwhile changes nothing then.
//
// VerifyFrom reads the store twice. A program that verifies often caches what [Open] returns for
// a moment.
func (m *Manager) VerifyFrom(ctx context.Context, from store.Reader, secret credential.Secret) (Session, error) {
	r, err := m.verify(ctx, from, secret)
	switch {
	case errors.Is(err, store.ErrNotFound), errors.Is(err, ErrNoSession), errors.Is(err, ErrDenied):
		return Session{}, ErrNoSession
	case err != nil:
		return Session{}, fmt.Errorf("session: verify: %w", err)
	}
	return r.session(), nil
}

func (m *Manager) verify(ctx context.Context, from store.Reader, secret credential.Secret) (*record, error) {
	d, ok := credential.Parse(secret.Reveal())
	if !ok {
		return nil, ErrNoSession
	}
	r, err := sessions.Get(ctx, from, d.String())
	if err != nil {
		return nil, err
	}
	// The session is read once more together with its account: a session that survives a
	// revocation is rewritten in the commit that revokes, and rows read at two moments could
	// disagree.
	items, err := from.Get(ctx, append([]string{Key(d)}, subject.Keys(r.User)...)...)
	if err != nil {
		return nil, err
	}
	sub, err := subject.Decode(r.User, items[1:])
	if err != nil {
		return nil, err
	}
	if r, err = sessions.Decode(items[0]); err != nil {
		return nil, err
	}
	if !r.alive(sub, m.now()) {
		return nil, ErrNoSession
	}
	return r, m.alive(ctx, r.User)
}
