package npmauth_test

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/policy/policytest"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/token"
)

func TestSelf(t *testing.T) {
	w := newWorld(t)
	alice := w.person("alice")
	w.enrol("alice", protocol.AuthAndWrites)
	w.host.add("plain", false, alice)
	w.host.add("@bob/hidden", true, "bob")
	self := func(bearer, query string) answer {
		return w.do(call{method: "GET", path: "/-/auth/v1/self" + query, bearer: bearer})
	}
	s := w.login("alice")
	a := self(s, "")
	require.Equal(t, 200, a.Code, a.Body.String())
	assert.Equal(t, "alice", a.text("username"))
	assert.Equal(t, "auth-and-writes", a.text("two_factor"))
	assert.NotContains(t, a.json, "package")
	cred := a.json["credential"].(map[string]any)
	assert.Equal(t, "session", cred["kind"])
	assert.Equal(t, w.sessionID(s), cred["id"])
	assert.Nil(t, cred["grants"], "all that its user may")
	assert.Equal(t, w.clock.Now().Add(2*time.Hour).Format(time.RFC3339), cred["expires"])
	assert.NotContains(t, a.Body.String(), s)

	ci, tok := w.token("alice", token.Spec{
		Grants: []protocol.Grant{{Target: protocol.OnePackage, Package: protocol.PackageName{Name: "plain"}, Permission: protocol.ReadWrite}},
		Bypass: true, CIDRs: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
	})
	a = self(ci, "?package=plain")
	require.Equal(t, 200, a.Code, a.Body.String())
	cred = a.json["credential"].(map[string]any)
	assert.Equal(t, tok.ID, cred["id"])
	assert.Equal(t, true, cred["bypass_2fa"])
	assert.Equal(t, []any{"192.0.2.0/24"}, cred["cidr"])
	assert.Len(t, cred["grants"], 1)
	assert.Equal(t, "allow", verdictOf(a, "publish").Effect)
	assert.Empty(t, verdictOf(a, "publish").Reasons)
	require.Equal(t, 200, w.publish("plain", "1.0.0", ci, "").Code, "it is as it says")

	a = self(s, "?package=plain")
	assert.Equal(t, "challenge", verdictOf(a, "publish").Effect)
	assert.NotEmpty(t, verdictOf(a, "publish").Reasons[0].Sentence)
	assert.Equal(t, "allow", verdictOf(a, "read-packument").Effect)
	isChallenge(t, w.publish("plain", "1.0.1", s, ""))

	hidden, absent := self(s, "?package=@bob/hidden"), self(s, "?package=@bob/absent")
	assert.Equal(t, verdictOf(absent, "read-packument"), verdictOf(hidden, "read-packument"), "EN-01: what may not be seen is as what is not there")
	assert.Equal(t, "deny", verdictOf(hidden, "publish").Effect)

	assert.Equal(t, http.StatusUnauthorized, self("", "").Code)
	assert.Equal(t, http.StatusUnauthorized, self("npm_garbage", "").Code)
	for _, query := range []string{"?package=", "?package=a/b", "?package=@x", "?package=a%20b", "?package=../x"} {
		assert.Equal(t, http.StatusBadRequest, self(s, query).Code, query)
	}
	assert.Equal(t, http.StatusUnauthorized, w.do(call{method: "GET", path: "/-/auth/v1/self", bearer: ci, addr: "198.51.100.7:1"}).Code, "a token speaks for nobody from elsewhere")
}

type verdict struct {
	Effect  string
	Reasons []struct{ Code, Sentence, Remedy string }
}

func verdictOf(a answer, action string) verdict {
	var body struct {
		Package struct{ Actions map[string]verdict }
	}
	if err := json.Unmarshal(a.Body.Bytes(), &body); err != nil {
		panic(err) // then the test has failed already
	}
	return body.Package.Actions[action]
}

// A witness is what the rules of a world saw last of a request that was not one for self.
type witness struct{ last policy.Request }

func (v *witness) rule() policy.Rule {
	return policy.Rule{ID: "witness", Sentence: "Never said.", Judge: func(r *policy.Request) policy.Verdict {
		if r.Operation.Action != protocol.ReadSelf {
			v.last = *r
			if r.Credential != nil {
				v.last.Credential = new(*r.Credential)
			}
		}
		return policy.Silent
	}}
}

// came says what came of a request.
func came(a answer) policy.Effect {
	switch {
	case a.Code < 400:
		return policy.Allow
	case a.Header().Get("Www-Authenticate") == "OTP, otp":
		return policy.Challenge
	}
	return policy.Deny
}

// selfOf asks self about the operation, which r was.
func (w *world) selfOf(r policy.Request, bearer string) answer {
	w.t.Helper()
	q := url.Values{"action": {r.Operation.Action.String()}}
	for name, value := range map[string]string{"package": r.Operation.Package.String(), "org": r.Operation.Org, "service": r.Operation.Service} {
		if value != "" {
			q.Set(name, value)
		}
	}
	a := w.do(call{method: "GET", path: "/-/auth/v1/self?" + q.Encode(), bearer: bearer})
	require.Equal(w.t, 200, a.Code, a.Body.String())
	return a
}

// AU-43: what self says of an action is what becomes of its request, with a session and with
// tokens, where the host has all that it may have and where it has as little as it can.
//
// AU-46: and a request that was on its way, explained, is the line of a table.
func TestSelfAgrees(t *testing.T) {
	hosts := map[string]func(*npmauth.Config){
		"all":    func(*npmauth.Config) {},
		"little": func(cfg *npmauth.Config) { cfg.Documents = nil },
	}
	bearers := map[string]func(w *world, p prepared) string{
		"session": func(_ *world, p prepared) string { return p.call.bearer },
		"read-only": func(w *world, _ prepared) string {
			secret, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly)})
			return secret
		},
		"bypass": func(w *world, _ prepared) string {
			secret, _ := w.token("alice", token.Spec{Bypass: true, Grants: grantAll(protocol.ReadWrite)})
			return secret
		},
	}
	asked, lines := map[protocol.Action]bool{}, map[string]bool{}
	for host, change := range hosts {
		for kind, bearer := range bearers {
			for _, u := range writings {
				if u.open || u.name == "log out as a trusted publisher" || // which ends what is nobody's
					u.action == protocol.WritePackument { // which is one of the others
					continue
				}
				name := strings.Join([]string{host, kind, u.name}, "/")
				var seen witness
				begin := func() (*world, call) {
					w := u.world(t, change, func(cfg *npmauth.Config) { cfg.Policy = policy.NPM().With(seen.rule()) })
					p := u.prepare(w)
					if w.ids["alice"] == "" {
						w.alice(protocol.AuthAndWrites)
					}
					c := p.withoutCode()
					c.bearer = bearer(w, p)
					return w, c
				}
				w, c := begin()
				seen.last = policy.Request{}
				effect := came(w.do(c))
				r := seen.last
				r.Operation.Action = u.action // the last that was decided about may be what a document could be besides
				asked[r.Operation.Action] = true

				w, c = begin()
				a := w.selfOf(r, c.bearer)
				var body struct {
					Explanation struct {
						Action, Effect string
						Reasons        []struct{ Code string }
						Rules          []struct {
							Rule, Verdict string
							Own           bool
						}
					}
				}
				require.NoError(t, json.Unmarshal(a.Body.Bytes(), &body))
				assert.Equal(t, effect.String(), body.Explanation.Effect, "%s: %v: %s", name, r.Operation, a.Body)

				trace, err := w.auth.Explain(t.Context(), http.Header{"Authorization": {"Bearer " + c.bearer}}, r.Operation, r.Change, r.Addr)
				require.NoError(t, err, name)
				assert.Equal(t, trace.Decision, w.auth.Policy().Decide(trace.Request), name)
				line, err := policytest.Format(trace.Request)
				require.NoError(t, err, "%s: %+v", name, r.Change)
				row, err := policytest.Parse(line + "  =>  " + policytest.Answer(trace.Decision))
				require.NoError(t, err, "%s: %s", name, line)
				assert.Equal(t, trace.Decision, w.auth.Policy().Decide(row.Request), "%s: %s", name, line)
				lines[line] = true
			}
		}
	}
	for _, u := range writings {
		assert.True(t, u.open || u.action == protocol.WritePackument || asked[u.action], "%v was not asked about", u.action)
	}
}

// AU-43: and so it is with what changes nothing, by every path of it, on a package that is public
// and on one that is another's.
func TestSelfAgreesAboutReads(t *testing.T) {
	names := strings.NewReplacer(
		"{tarball}", "plain-1.0.0.tgz", "{version or tag}", "1.0.0", "{package@version}", "plain@1.0.0", "{org}", "acme", "{team}", "devs",
		"{user}", "alice", "{user or package}", "alice", "{id}", uuid, "{any...}", "audits", "{service}", "ci", "{package}", "plain",
	)
	w := newWorld(t)
	session := w.alice(protocol.AuthAndWrites)
	w.host.add("hidden", true, "bob")
	narrow, _ := w.token("alice", token.Spec{Grants: []protocol.Grant{{Target: protocol.OneScope, Scope: "acme", Permission: protocol.ReadOnly}}})
	wide, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadWrite)})
	asked := 0
	for _, action := range protocol.Actions() {
		if action.Write() || action == protocol.AuthPage || action == protocol.ReadSelf || action == protocol.Unknown {
			continue
		}
		for _, route := range action.Routes() {
			method, path, _ := strings.Cut(names.Replace(route), " ")
			for _, path := range []string{path, strings.ReplaceAll(path, "plain", "hidden")} {
				op, err := protocol.Classify(method, path)
				require.NoError(t, err, path)
				require.Equal(t, action, op.Action, path)
				for _, bearer := range []string{session, narrow, wide} {
					effect := came(w.do(call{method: method, path: path, bearer: bearer}))
					a := w.selfOf(policy.Request{Operation: op}, bearer)
					got := a.json["explanation"].(map[string]any)["effect"]
					assert.Equal(t, effect.String(), got, "%s %s: %s", method, path, a.Body)
					asked++
				}
			}
		}
	}
	assert.Greater(t, asked, 150)
}

func TestSelfExplains(t *testing.T) {
	freeze := policy.Rule{
		ID: "freeze", Sentence: "Nothing is published now.", Actions: []protocol.Action{protocol.Publish},
		Judge: func(r *policy.Request) policy.Verdict {
			if r.Package.ID != "" {
				return policy.Forbid
			}
			return policy.Silent
		},
	}
	w := newWorld(t, func(cfg *npmauth.Config) { cfg.Policy = policy.NPM().With(freeze) })
	s := w.alice(protocol.AuthAndWrites)
	w.host.add("@evil/hidden", true, "bob")
	type rule struct {
		Rule, Verdict, Sentence string
		Own                     bool
	}
	explain := func(query string) (rules []rule, body string) {
		t.Helper()
		a := w.do(call{method: "GET", path: "/-/auth/v1/self?" + query, bearer: s})
		require.Equal(t, 200, a.Code, a.Body.String())
		var got struct {
			Explanation struct{ Rules []rule }
		}
		require.NoError(t, json.Unmarshal(a.Body.Bytes(), &got))
		assert.NotContains(t, a.json, "package", "one action, and not all")
		return got.Explanation.Rules, a.Body.String()
	}
	all, _ := explain("package=plain&action=publish")
	assert.Contains(t, all, rule{Rule: "freeze", Verdict: "forbid", Sentence: freeze.Sentence, Own: true})
	assert.Contains(t, all, rule{Rule: "write-package", Verdict: "permit", Sentence: "You may write to this package."})
	own, _ := explain("package=plain&action=publish&rules=own")
	assert.Equal(t, []rule{{Rule: "freeze", Verdict: "forbid", Sentence: freeze.Sentence, Own: true}}, own)
	own, body := explain("package=plain&action=read-packument&rules=own")
	assert.Empty(t, own)
	assert.Contains(t, body, `"rules":[]`)

	// EN-01: what may not be seen is explained as what is not there; in a scope where nobody may create.
	for _, action := range protocol.Actions() {
		if !action.OfPackage() || action == protocol.WritePackument {
			continue
		}
		_, hidden := explain("package=@evil/hidden&action=" + action.String())
		_, absent := explain("package=@evil/absent&action=" + action.String())
		assert.Equal(t, absent, hidden, action.String())
	}
	for _, query := range []string{"action=whoami&package=@evil/hidden", "action=read-org&org=acme&package=@evil/hidden", "action=publish&package=plain&org=acme", "action=ping&service=ci", "action=manage-service&service=ci&package=plain"} {
		a := w.do(call{method: "GET", path: "/-/auth/v1/self?" + query, bearer: s})
		assert.Equal(t, 400, a.Code, query)
		assert.Equal(t, "bad-action", a.text("code"), query)
	}
	for query, code := range map[string]string{
		"action=": "bad-action", "action=pubish": "bad-action", "action=write-packument": "bad-action", "action=publish&package=": "bad-package",
		"action=publish&package=a%20b": "bad-package", "action=publish&package=plain&rules=": "bad-rules", "action=publish&package=plain&rules=npm": "bad-rules",
	} {
		a := w.do(call{method: "GET", path: "/-/auth/v1/self?" + query, bearer: s})
		assert.Equal(t, 400, a.Code, query)
		assert.Equal(t, code, a.text("code"), query)
	}
	assert.Equal(t, 401, w.do(call{method: "GET", path: "/-/auth/v1/self?package=plain&action=publish"}).Code)
}
