package subject

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
)

// Errors of a sign-in.
var (
	// ErrDenied is the one answer to every sign-in that fails before the second factor: unknown
	// user, wrong password, disabled account.
	ErrDenied = errors.New("subject: wrong user name or password")
	// ErrFactorRequired means that an account needs its second factor to sign in, and that the
	// one presented is missing or wrong.
	ErrFactorRequired = errors.New("subject: second factor required")
)

// A User is the account that a name belongs to.
type User struct {
	ID   protocol.UserID // never "", and valid UTF-8
	Name string          // as npm whoami prints it
}

// A Factor is what a sign-in presents as the second factor of an account, after its password
// was right.
type Factor struct {
	Value credential.Secret // as typed; the zero Secret is none
	// Carry lets the session that the sign-in opens present the value once more, to publish one
	// package. Yarn 1 does so after a CouchDB login.
	Carry bool
	At    time.Time  // when the request arrived, which the value is verified for; zero means now
	Addr  netip.Addr // that the request came from, for events; the zero Addr is unknown
}

// A Spend uses up a second factor inside the commit that depends on it, for the credential that
// the commit creates. It must write only through tx and must not keep tx: it may run more than
// once.
type Spend func(ctx context.Context, tx *store.Tx, credentialID string) error
