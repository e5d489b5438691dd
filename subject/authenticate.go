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
	// ErrNoCredential means that the secret is that of no live credential, whether it is malformed,
	// unknown, expired or revoked, or its account is disabled.
	ErrNoCredential = errors.New("subject: no such credential")
	// ErrAddress means that a credential is valid, but not from the address that presents it.
	ErrAddress = errors.New("subject: not valid from this address")
)

// An Authenticator verifies a secret of one kind of credential, presented from addr, with rows that
// it reads from from. The methods Authenticate of session.Manager and token.Manager are
// Authenticators. It returns the credential and the account of its user. The error is
// [ErrNoCredential] or [ErrAddress]; any other means that the check itself failed. The zero addr is
// in no range.
//
// For a request that changes something, pass the [store.Tx] of its commit: a credential that is
// revoked before the commit changes nothing then.
type Authenticator func(ctx context.Context, from store.Reader, secret credential.Secret, addr netip.Addr) (*policy.Credential, Subject, error)

// Authenticate calls the Authenticators in order and returns the result of the first one whose
// error is not [ErrNoCredential], also if it is another error. If there is none, the error is
// ErrNoCredential.
func Authenticate(ctx context.Context, from store.Reader, secret credential.Secret, addr netip.Addr, of ...Authenticator) (*policy.Credential, Subject, error) {
	for _, authenticate := range of {
		if cred, sub, err := authenticate(ctx, from, secret, addr); !errors.Is(err, ErrNoCredential) {
			return cred, sub, err
		}
	}
	return nil, Subject{}, ErrNoCredential
}
