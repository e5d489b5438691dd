package npmauth_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/token"
)

// Whoever guesses codes on the page of a challenge guesses for the credential that was
// challenged: too many end it, a token like a session, and no other of the same user.
func TestGuessingOnAPageEndsTheCredential(t *testing.T) {
	for name, of := range map[string]struct {
		bearer func(w *world) string
		ended  audit.Type
	}{
		"session": {func(w *world) string { return w.login("alice") }, audit.SessionEnded},
		"token": {func(w *world) string {
			secret, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadWrite)})
			return secret
		}, audit.TokenRevoked},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			spare := w.alice(protocol.AuthAndWrites)
			guesser := of.bearer(w)
			id := w.sessionID(guesser)
			a := w.publish("plain", "3.0.0", guesser, "")
			isChallenge(t, a)
			guesses := 0
			for ; guesses < 20 && whoami(w, guesser) == 200; guesses++ {
				assert.GreaterOrEqual(t, w.submit(a.text("authUrl"), map[string]string{"password": password, "code": fmt.Sprintf("%06d", guesses)}).Code, 400)
			}
			assert.Equal(t, 401, whoami(w, guesser), "after %d guesses", guesses)
			assert.Greater(t, guesses, 2, "a slip of the finger ends nothing")
			assert.Equal(t, 200, whoami(w, spare))
			var told []audit.Event
			for _, e := range w.events.all {
				if e.Type == of.ended {
					told = append(told, e)
				}
			}
			require.Len(t, told, 1)
			assert.Equal(t, id, told[0].Credential)
			assert.Equal(t, w.ids["alice"], told[0].User)
		})
	}
}

// A second factor that was good when the header of its request came is good when the last byte
// of a slow body does, for an hour. Then it is asked for anew, and nothing has happened.
//
// AU-35.
func TestSlowBodyOutlivesItsCode(t *testing.T) {
	met := 0
	for _, u := range writings {
		probe := u.prepare(u.world(t))
		if u.open || u.refused != "" || probe.call.otp == "" || probe.call.body == nil {
			continue
		}
		met++
		t.Run(u.name, func(t *testing.T) {
			t.Parallel()
			for _, takes := range []time.Duration{95 * time.Second, time.Hour - time.Second, time.Hour + time.Second} {
				w := u.world(t)
				p := u.prepare(w)
				c := p.call
				c.body = &pausedBody{rest: w.bytes(c.body), fn: func() { w.clock.Add(takes) }}
				a := w.do(c)
				if takes < time.Hour {
					require.Less(t, a.Code, 400, "%v: %s", takes, a.Body)
					require.True(t, p.done(), takes)
					continue
				}
				isChallenge(t, a)
				require.False(t, p.done() || w.hostWrote(), takes)
			}
		})
	}
	assert.Greater(t, met, 20)
}

// Codes that are right end no credential, whatever becomes of the requests that present them.
func TestRightCodesEndNoCredential(t *testing.T) {
	down := http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		http.Error(rw, "the host's own words", http.StatusInternalServerError)
	})
	for name, tt := range map[string]struct {
		present func(w *world, s string) answer
		want    int
	}{
		"uploads that break off": {func(w *world, s string) answer {
			whole := string(body(t, "PUBLISH plain"))
			return w.do(call{method: "PUT", path: "/plain", bearer: s, otp: w.code("alice"), body: whole[:len(whole)-2]})
		}, 400},
		"a host that answers before it reads": {func(w *world, s string) answer {
			return w.send(w.auth.Wrap(down), call{method: "PUT", path: "/plain", bearer: s, otp: w.code("alice"), body: body(t, "PUBLISH plain")})
		}, 500},
		"more tokens than there may be": {func(w *world, s string) answer {
			return w.create(s, w.code("alice"), map[string]any{"packages_all": true})
		}, 400},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(cfg *npmauth.Config) {
				cfg.Policy = policy.NPM().WithLimits(policy.Limits{Tokens: 1})
			})
			w.host.add("plain", false, w.person("alice"))
			w.enrol("alice", protocol.AuthAndWrites)
			w.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly)})
			s := w.login("alice")
			for n := range 8 {
				a := tt.present(w, s)
				require.Equal(t, tt.want, a.Code, "%d: %s", n, a.Body)
			}
			assert.Equal(t, 200, whoami(w, s))
			assert.Equal(t, 200, w.publish("plain", "1.0.0", s, w.code("alice")).Code)
		})
	}
}
