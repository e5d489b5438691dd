package session

import (
	"context"
	"errors"
	"fmt"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
)

// Verify returns the session that a presented secret is good for. It is the whole check:
// the secret is one of ours, the session has not expired and was not revoked, and its
// account may have one, which Config.Alive says last. Every secret that fails one of these
// is ErrNoSession, whichever it was; any other error means that nobody can tell.
//
// It reads the store twice. Who verifies often keeps what [Open] returns for a moment.
func (m *Manager) Verify(ctx context.Context, secret credential.Secret) (Session, error) {
	r, err := m.verify(ctx, secret)
	switch {
	case errors.Is(err, store.ErrNotFound), errors.Is(err, ErrNoSession), errors.Is(err, ErrDenied):
		return Session{}, ErrNoSession
	case err != nil:
		return Session{}, fmt.Errorf("session: verify: %w", err)
	}
	return r.session(), nil
}

func (m *Manager) verify(ctx context.Context, secret credential.Secret) (*record, error) {
	d, ok := credential.Parse(secret.Reveal())
	if !ok {
		return nil, ErrNoSession
	}
	r, err := sessions.Get(ctx, m.store, d.String())
	if err != nil {
		return nil, err
	}
	// Read once more together with its account: a session that is kept through a
	// revocation is rewritten in the commit that revokes, and read at two moments the two
	// rows would disagree while both are right.
	items, err := m.store.Get(ctx, append([]string{Key(d)}, subject.Keys(r.User)...)...)
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
