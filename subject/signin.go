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
	// ErrDenied is the error of every sign-in that fails before the second factor: unknown user,
	// wrong password, disabled account.
	ErrDenied = errors.New("subject: wrong user name or password")
	// ErrFactorRequired means that an account needs its second factor to sign in, and that the
	// one presented is missing or wrong.
	ErrFactorRequired = errors.New("subject: second factor required")
	// ErrBusy means that the password was not checked, since too many others are.
	ErrBusy = errors.New("subject: too many passwords at once")
)

// A User is the account that a name belongs to.
type User struct {
	ID   protocol.UserID // never "", and valid UTF-8
	Name string          // as npm whoami prints it
}

// A Factor is the second factor that a sign-in presents.
type Factor struct {
	Value credential.Secret // as typed; the zero Secret is none
	// Carry lets the session that the sign-in opens present the value once more, to publish one
	// package. Yarn 1 does so after a CouchDB login.
	Carry bool
	At    time.Time  // when the request arrived: the value is verified for this time; zero means now
	Addr  netip.Addr // where the request came from, for events; the zero Addr means unknown
}

// A Spend uses up a second factor in the commit that depends on it, for the credential that the
// commit creates, whose public ID is credentialID. Its error must end the commit. It must write
// only through tx and must not keep tx, and it may run more than once.
type Spend func(ctx context.Context, tx *store.Tx, credentialID string) error
