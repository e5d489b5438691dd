package session

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
)

// Verify returns the session that a presented secret belongs to. It is the whole check: the
// secret has the right form, the session has not expired and was not revoked, and its account
// may have a session, which Config.Alive checks last. Every secret that fails one of these is
// ErrNoSession, whatever the reason; any other error means that the check itself failed.
//
// It reads the store twice. A program that verifies often caches what [Open] returns for a
// moment.
func (m *Manager) Verify(ctx context.Context, secret credential.Secret) (Session, error) {
	r, _, err := m.verify(ctx, m.store, secret)
	if err != nil {
		return Session{}, err
	}
	return r.session(), nil
}

// Authenticate is [Manager.Verify] with rows that it reads from from, for a program that decides by
// a policy: it returns the credential of a [policy.Request], and the account as it was read. It is
// a [subject.Authenticator]. A session is valid from every IP address in the ranges of its account.
func (m *Manager) Authenticate(ctx context.Context, from store.Reader, secret credential.Secret, addr netip.Addr) (*policy.Credential, subject.Subject, error) {
	r, sub, err := m.verify(ctx, from, secret)
	switch account := sub.Account(""); {
	case errors.Is(err, ErrNoSession):
		return nil, subject.Subject{}, subject.ErrNoCredential
	case err != nil:
		return nil, subject.Subject{}, err
	case !account.From(addr):
		return nil, subject.Subject{}, subject.ErrAddress
	}
	return r.session().Credential(), sub, nil
}

func (m *Manager) verify(ctx context.Context, from store.Reader, secret credential.Secret) (*record, subject.Subject, error) {
	r, sub, err := m.find(ctx, from, secret)
	switch {
	case errors.Is(err, store.ErrNotFound), errors.Is(err, ErrNoSession), errors.Is(err, ErrDenied):
		return nil, subject.Subject{}, ErrNoSession
	case err != nil:
		return nil, subject.Subject{}, fmt.Errorf("session: verify: %w", err)
	}
	return r, sub, nil
}

// find returns a session and its account, whose Evidence names the session's row, too.
func (m *Manager) find(ctx context.Context, from store.Reader, secret credential.Secret) (r *record, sub subject.Subject, err error) {
	d, ok := credential.Parse(secret.Reveal())
	if !ok {
		return nil, sub, ErrNoSession
	}
	if r, err = sessions.Get(ctx, from, d.String()); err != nil {
		return nil, sub, err
	}
	// The session is read once more together with its account: a session that survives a
	// revocation is rewritten in the commit that revokes, and rows read at two moments could
	// disagree.
	items, err := from.Get(ctx, append([]string{Key(d)}, subject.Keys(r.User)...)...)
	if err != nil {
		return nil, sub, err
	}
	if sub, err = subject.Decode(r.User, items[1:]); err != nil {
		return nil, sub, err
	}
	sub.Evidence = append(sub.Evidence, items[0].Evidence())
	if r, err = sessions.Decode(items[0]); err != nil {
		return nil, sub, err
	}
	if !r.alive(sub, m.now()) {
		return nil, sub, ErrNoSession
	}
	return r, sub, m.alive(ctx, r.User)
}
