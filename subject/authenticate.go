package subject

import (
	"context"
	"errors"
	"net/netip"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/store"
)

// Errors of an [Authenticator].
var (
	// ErrNoCredential means that the secret is that of no live credential. It is the same
	// whether it is malformed, unknown, expired or revoked, or its account disabled.
	ErrNoCredential = errors.New("subject: no such credential")
	// ErrAddress means that a credential is valid, but not from the address that presents it.
	ErrAddress = errors.New("subject: not valid from this address")
)

// An Authenticator is the whole check of one kind of credential, as from has its rows: the
// Authenticate of a session.Manager and that of a token.Manager are two. It returns the
// credential and its account, or [ErrNoCredential], or [ErrAddress]; any other error means that
// the check itself failed. The zero addr is in no range.
//
// A request that changes something is authenticated from the [store.Tx] of its commit: then a
// credential that is revoked meanwhile changes nothing.
type Authenticator func(ctx context.Context, from store.Reader, secret credential.Secret, addr netip.Addr) (*policy.Credential, Subject, error)

// Authenticate returns what the first of several Authenticators finds that knows the secret. An
// error other than [ErrNoCredential] is the result at once: while one of them cannot tell, no
// other one is believed.
func Authenticate(ctx context.Context, from store.Reader, secret credential.Secret, addr netip.Addr, of ...Authenticator) (*policy.Credential, Subject, error) {
	for _, authenticate := range of {
		if cred, sub, err := authenticate(ctx, from, secret, addr); !errors.Is(err, ErrNoCredential) {
			return cred, sub, err
		}
	}
	return nil, Subject{}, ErrNoCredential
}
