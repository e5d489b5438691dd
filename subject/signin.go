package subject

import (
	"context"
	"errors"
	"fmt"
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

// A WaitError means that somebody has tried something too often, and that it was not tried again.
type WaitError struct {
	// After is how long it takes until it can be. It is positive.
	After time.Duration
	// Network means that it was anything that costs the registry something, from one network.
	// False means that it was the password of one account.
	Network bool
}

// Error says what was tried too often.
func (e *WaitError) Error() string {
	if e.Network {
		return fmt.Sprintf("subject: too many attempts from this network, wait %v", e.After)
	}
	return fmt.Sprintf("subject: too many wrong passwords for this account, wait %v", e.After)
}

// Answer returns how HTTP answers the error, together with [WaitError.RetryAfter]. It is no 4xx,
// after which npm asks for a password.
func (e *WaitError) Answer() (status int, code, sentence string) {
	if e.Network {
		return 503, "too-many-attempts", "There were too many attempts from your network. Try again in " + e.wait() + "."
	}
	return 503, "too-many-passwords", "There were too many wrong passwords for this account. Try again in " + e.wait() +
		", or from where you have logged in before. If the account has a second factor, you can log in at once with its code, or else with a recovery code."
}

// RetryAfter returns After in seconds, rounded up.
func (e *WaitError) RetryAfter() int { return int((e.After + time.Second - 1) / time.Second) }

func (e *WaitError) wait() string {
	switch s := e.RetryAfter(); {
	case s == 1:
		return "a second"
	case s <= 90:
		return fmt.Sprintf("%d seconds", s)
	default:
		return fmt.Sprintf("%d minutes", (s+59)/60)
	}
}

// A Client is who has a password checked.
type Client struct {
	// Addr is the IP address that the client has. Those without one count as one network.
	Addr netip.Addr

	// Known means that the client is probably the owner of the account: it presents a
	// credential of the account that is in force, or asks from a network or a browser from which
	// its owner has signed in before. Half of the queue of passwords is reserved for these.
	Known bool
}

// WithClient returns ctx with the client whose password is checked: who checks it can be fair
// between networks, and records the address.
func WithClient(ctx context.Context, c Client) context.Context {
	return context.WithValue(ctx, clientKey{}, c)
}

// ClientFrom returns the client of [WithClient], and the zero Client if there is none.
func ClientFrom(ctx context.Context) Client {
	c, _ := ctx.Value(clientKey{}).(Client)
	return c
}

type clientKey struct{}

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
	Page  string     // the ID of the page at which a security key has signed; "" for any other value
	At    time.Time  // when the request arrived: the value is verified for this time; zero means now
	Addr  netip.Addr // where the request came from, for events; the zero Addr means unknown
}

// A Spend uses up a second factor in the commit that depends on it, for the credential that the
// commit creates, whose public ID is credentialID. Its error must end the commit. It must write
// only through tx and must not keep tx, and it may run more than once.
type Spend func(ctx context.Context, tx *store.Tx, credentialID string) error
