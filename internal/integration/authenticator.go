package integration

import (
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
	"github.com/stretchr/testify/require"
)

const (
	period = 30 // seconds, of RFC 6238 as authenticator apps use it
	// slack is how long a code may take to arrive, in seconds.
	slack = 20
)

// An Authenticator is a person's authenticator app, for one account.
type Authenticator struct {
	t      testing.TB
	secret string
	last   int64 // the step of the last code given out
}

// NewAuthenticator adds an account by the secret that was printed.
func NewAuthenticator(t testing.TB, secret string) *Authenticator {
	return &Authenticator{t: t, secret: secret}
}

// Fresh returns a code that was not given out before. A server takes each step
// once, and only those beside its own, so that this waits for the clock when it
// is asked often: three codes are there at once.
func (a *Authenticator) Fresh() string {
	a.t.Helper()
	// The oldest that will still be good when it arrives.
	a.last = max(a.last+1, (time.Now().Unix()+slack)/period-1)
	if early := time.Until(time.Unix((a.last-1)*period, 0)); early > 0 {
		time.Sleep(early)
	}
	return a.at(a.last)
}

// Lasting returns a code that was not given out before and is good for as long as one can
// be, for several commands that show the same.
func (a *Authenticator) Lasting() string {
	a.t.Helper()
	a.last = max(a.last, time.Now().Unix()/period)
	return a.Fresh()
}

// Over reports whether the time is over of the code that was given out last: a server does not take
// it any more, or will not before long.
func (a *Authenticator) Over() bool { return time.Now().Unix() >= (a.last+2)*period-1 }

// Stale returns a code that has never been given out and whose time is over.
func (a *Authenticator) Stale() string {
	a.t.Helper()
	return a.at(time.Now().Unix()/period - 4)
}

// At returns the code of a time of the test's own.
func (a *Authenticator) At(now time.Time) string {
	a.t.Helper()
	return a.at(now.Unix() / period)
}

func (a *Authenticator) at(step int64) string {
	a.t.Helper()
	code, err := totp.GenerateCode(a.secret, time.Unix(step*period, 0))
	require.NoError(a.t, err)
	return code
}
