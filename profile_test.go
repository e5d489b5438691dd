package npmauth_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/protocol"
)

// people are one person of a host, whose password check can be interrupted.
type people struct {
	user    host.User
	between func()
}

func (p *people) Lookup(_ context.Context, name string) (host.User, error) {
	if name != p.user.Name {
		return host.User{}, host.ErrNoUser
	}
	return p.user, nil
}

func (p *people) User(_ context.Context, id protocol.UserID) (host.User, error) {
	if id != p.user.ID {
		return host.User{}, host.ErrNoUser
	}
	return p.user, nil
}

func (p *people) CheckPassword(_ context.Context, id protocol.UserID, pw credential.Secret) (bool, error) {
	if p.between != nil {
		p.between()
	}
	return id == p.user.ID && pw.Reveal() == password, nil
}

// Who forgets a pending enrolment shows no factor, so that a factor that was
// confirmed meanwhile must survive.
func TestForgettingAnEnrolmentIsNotDisabling(t *testing.T) {
	p := &people{user: host.User{ID: "1", Name: "alice"}}
	w := newWorld(t, func(cfg *npmauth.Config) { cfg.Users = p })
	w.ids["alice"] = "1"
	s := w.login("alice")
	disable := func() answer {
		return w.do(call{method: "POST", path: "/-/npm/v1/user", bearer: s, body: `{"tfa":{"mode":"disable","password":"` + password + `"}}`})
	}
	assert.Equal(t, 400, disable().Code, "there is none, which is no wrong code")
	p.between = func() { p.between = nil; w.enrol("alice", protocol.AuthAndWrites) }
	a := disable()
	assert.NotEqual(t, 200, a.Code, a.Body.String())
	status, err := w.auth.Factors().Status(t.Context(), w.store, "1")
	require.NoError(t, err)
	assert.True(t, status.Enabled, "nobody showed it")
	assert.Equal(t, 401, disable().Code, "the session was opened without it")
	s = w.login("alice")
	isChallenge(t, disable())
}

// A proof for one mode of the factor is none for another: least of all for none.
func TestFactorChallengeNamesTheMode(t *testing.T) {
	w := newWorld(t)
	w.person("alice")
	w.enrol("alice", protocol.AuthOnly)
	s := w.login("alice")
	post := func(mode, otp string) answer {
		return w.do(call{method: "POST", path: "/-/npm/v1/user", bearer: s, otp: otp, body: `{"tfa":{"mode":"` + mode + `","password":"` + password + `"}}`})
	}
	a := post("auth-and-writes", "")
	isChallenge(t, a)
	_, _, page := w.open(a.text("authUrl"))
	assert.Contains(t, page.Body.String(), "auth-and-writes")
	require.Less(t, w.submit(a.text("authUrl"), map[string]string{"password": password, "code": w.code("alice")}).Code, 400)
	proof := w.poll(a.text("doneUrl"), "GET").text("token")
	isChallenge(t, post("disable", proof))
	assert.Equal(t, 200, post("auth-and-writes", proof).Code)
}
