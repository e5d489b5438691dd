package token

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

// ErrAddress means that a token is valid, but not from the address that presents it.
var ErrAddress = subject.ErrAddress

// Verify returns the token that a presented secret belongs to. It is the whole check that a
// store can make: the secret has the right form, the token has not expired and was not revoked,
// its account is not disabled, and addr is in the ranges of both. Every secret that fails one of
// these is ErrNotFound, whatever the reason, but for the ranges, which are ErrAddress; any other
// error means that the check itself failed. The zero addr is in no range.
//
// Whether the registry still has the user is the caller's to ask, and what the token may do
// policy's: [Token.Credential] is what it takes.
//
// Verify reads the store twice. A program that verifies often caches what [Open] returns for a
// moment.
func (m *Manager) Verify(ctx context.Context, secret credential.Secret, addr netip.Addr) (Token, error) {
	t, _, err := m.verify(ctx, m.store, secret, addr)
	return t, err
}

// Authenticate is [Manager.Verify] as from has the token, for a program that decides by a policy:
// it returns what a policy takes, and the account as it was read. It is a
// [subject.Authenticator].
func (m *Manager) Authenticate(ctx context.Context, from store.Reader, secret credential.Secret, addr netip.Addr) (*policy.Credential, subject.Subject, error) {
	t, sub, err := m.verify(ctx, from, secret, addr)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, subject.Subject{}, subject.ErrNoCredential
	case err != nil:
		return nil, subject.Subject{}, err
	}
	return t.Credential(), sub, nil
}

func (m *Manager) verify(ctx context.Context, from store.Reader, secret credential.Secret, addr netip.Addr) (Token, subject.Subject, error) {
	d, ok := credential.Parse(secret.Reveal())
	if !ok {
		return Token{}, subject.Subject{}, ErrNotFound
	}
	t, sub, err := m.findLive(ctx, from, d)
	if err != nil {
		return Token{}, subject.Subject{}, outward("verify", err)
	}
	account := sub.Account("")
	if !t.Credential().From(addr) || !account.From(addr) {
		return Token{}, subject.Subject{}, ErrAddress
	}
	return t, sub, nil
}

func (m *Manager) findLive(ctx context.Context, from store.Reader, d credential.Digest) (Token, subject.Subject, error) {
	items, err := from.Get(ctx, KeyOf(d))
	if err != nil {
		return Token{}, subject.Subject{}, err
	}
	cred, _, err := Open(items[0], d)
	if err != nil {
		return Token{}, subject.Subject{}, err
	}
	// The token is read once more together with its account: rows read at two moments could
	// disagree.
	items, err = from.Get(ctx, append(subject.Keys(cred.User), KeyOf(d), RevokedKey(d))...)
	if err != nil {
		return Token{}, subject.Subject{}, err
	}
	sub, err := subject.Decode(cred.User, items[:2])
	if err != nil {
		return Token{}, subject.Subject{}, err
	}
	if _, _, err := Open(items[2], d); err != nil {
		return Token{}, subject.Subject{}, err
	}
	if _, err := OpenRevoked(items[3]); !errors.Is(err, store.ErrNotFound) {
		if err == nil {
			err = store.ErrNotFound
		}
		return Token{}, subject.Subject{}, err
	}
	r, err := m.owned(items[2], sub)
	if err != nil {
		return Token{}, subject.Subject{}, err
	}
	if !r.alive(sub) {
		return Token{}, subject.Subject{}, fmt.Errorf("%w: the account is disabled", store.ErrNotFound)
	}
	return r.token(), sub, nil
}
