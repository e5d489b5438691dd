package npmauth_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/storetest"
	"github.com/npmauth/npmauth/token"
)

// publicRoutes are the requests of public actions, of a package that everyone reads, one that only
// alice reads, and one that does not exist.
func publicRoutes() (list []route) {
	for _, name := range []string{"plain", "@acme/private", "@evil/absent"} {
		escaped := strings.ReplaceAll(name, "/", "%2f")
		base := name[strings.LastIndex(name, "/")+1:]
		for _, path := range []string{
			"/" + escaped, "/" + name, "/" + escaped + "/1.0.0", "/" + escaped + "/latest", "/" + escaped + "?write=true",
			"/" + name + "/-/" + base + "-1.0.0.tgz", "/-/npm/v1/attestations/" + escaped + "@1.0.0", "/-/package/" + escaped + "/dist-tags",
		} {
			list = append(list, route{"GET", path, ""}, route{"HEAD", path, ""})
		}
	}
	return append(list,
		route{"GET", "/-/v1/search?text=x", ""}, route{"GET", "/-/npm/v1/keys", ""},
		route{"POST", "/-/npm/v1/security/advisories/bulk", "{}"}, route{"POST", "/-/npm/v1/security/audits/quick", "{}"})
}

// ended returns Authorization headers of credentials that have ended, each in a way of its own, and
// that were alice's while they were anybody's.
func (c *cast) ended() map[string]string {
	c.t.Helper()
	ctx, alice, by := c.t.Context(), c.ids["alice"], audit.Actor{}
	list := map[string]string{}
	add := func(name, secret string) { list[name] = "Bearer " + secret }

	add("an expired session", c.login("alice"))
	short, _ := c.token("alice", token.Spec{Grants: grantAll(protocol.ReadWrite), Days: 1})
	add("an expired token", short)
	c.clock.Add(25 * time.Hour)

	loggedOut := c.login("alice")
	require.Equal(c.t, 200, c.do(call{method: "DELETE", path: "/-/user/token/" + loggedOut, bearer: loggedOut}).Code)
	add("a session that was logged out", loggedOut)
	all := c.login("alice")
	require.NoError(c.t, c.auth.Subjects().EndSessions(ctx, by, alice))
	add("a session that was ended with all", all)
	one, record := c.token("alice", token.Spec{Grants: grantAll(protocol.ReadWrite), Bypass: true})
	require.NoError(c.t, c.auth.Tokens().Revoke(ctx, by, alice, record.ID, ""))
	add("a token that was revoked", one)
	two, _ := c.token("alice", token.Spec{Grants: grantAll(protocol.ReadWrite)})
	require.NoError(c.t, c.auth.Tokens().RevokeAll(ctx, by, alice))
	add("a token that was revoked with all", two)

	add("an unknown session", credential.New(credential.PrefixSession).Reveal())
	add("an unknown token", credential.New(credential.PrefixToken).Reveal())
	add("a token of elsewhere", "npm_garbage")
	add("a bearer that the host does not know", "0d5a0c7e-9f3b-4a55-8a11-1f6f3c9f2a10")
	add("an ID token", "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJ4In0.c2ln")
	classic := "6f1b0a52-1111-4222-8333-9b2d7e5c4f00"
	c.importRevoked(token.ClassicAutomation, classic)
	add("a classic token", classic)
	list["two words"] = "Bearer one two"
	list["a password"] = "Basic " + base64.StdEncoding.EncodeToString([]byte("alice:"+password))
	list["no scheme"] = loggedOut
	return list
}

func (w *world) importRevoked(kind token.ClassicKind, values ...string) {
	w.t.Helper()
	list := make([]token.Revoked, len(values))
	for i, v := range values {
		list[i] = token.Revoked{Digest: credential.Sum(credential.NewSecret(v)), Kind: kind, At: time.Date(2025, 12, 9, 15, 0, 0, 0, time.UTC)}
	}
	_, err := w.auth.Tokens().ImportRevoked(w.t.Context(), audit.Actor{}, slices.Values(list))
	require.NoError(w.t, err)
}

// rejectAll is a host's table of older tokens, of which there is none.
func rejectAll(context.Context, credential.Secret) (host.ForeignToken, error) {
	return host.ForeignToken{}, host.ErrInvalidToken
}

// AU-34: what everyone may ask is answered to who has a credential that has ended exactly as to
// nobody, and the host and the metrics take it for that; only the first answer has a notice more.
func TestEndedCredentialReadsAsNobody(t *testing.T) {
	for name, change := range map[string]func(*npmauth.Config){
		"npm's rules": func(*npmauth.Config) {},
		"nothing is public": func(cfg *npmauth.Config) {
			cfg.Policy = policy.NPM().With(policy.Rule{
				ID: "members-only", Doc: "Nobody reads here who is not logged in.", Sentence: "You must be logged in.", Remedy: "Run npm login.",
				Kinds: []policy.Kind{policy.KindUnknown}, Judge: func(*policy.Request) policy.Verdict { return policy.Forbid },
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			var seen []npmauth.Observation
			c := newCast(t, func(cfg *npmauth.Config) {
				cfg.Metrics, cfg.Foreign = observed(func(o npmauth.Observation) { o.Duration = 0; seen = append(seen, o) }), rejectAll
				change(cfg)
			})
			answers := map[int]int{}
			for how, header := range c.ended() {
				for _, rt := range publicRoutes() {
					ask := func(header map[string]string) (got answer, reads []string, told []npmauth.Observation) {
						c.host.reads, seen = nil, nil
						got = c.do(call{method: rt.method, path: rt.path, body: rt.body, header: header})
						return got, c.host.reads, seen
					}
					c.clock.Add(2 * time.Minute)
					nobody, nobodyReads, nobodySeen := ask(nil)
					for _, first := range []bool{true, false} {
						a, reads, told := ask(map[string]string{"Authorization": header})
						name := fmt.Sprintf("%s %s with %s, the first: %v", rt.method, rt.path, how, first)
						if first || nobody.Code >= 400 || rt.method == "POST" {
							assert.Regexp(t, `Run npm login|npm token create`, a.Header().Get("npm-notice"), name)
						}
						a.Header().Del("npm-notice")
						assert.Equal(t, nobody.Code, a.Code, name)
						assert.Equal(t, nobody.Header(), a.Header(), name)
						assert.Equal(t, nobody.Body.String(), a.Body.String(), name)
						assert.Equal(t, nobodyReads, reads, name)
						assert.Equal(t, nobodySeen, told, name)
					}
					answers[nobody.Code]++
				}
			}
			if name == "npm's rules" {
				assert.Positive(t, answers[200])
				assert.Positive(t, answers[404], "what is private is not there")
			} else {
				assert.Zero(t, answers[200])
			}
			assert.Empty(t, c.host.written())
		})
	}
}

type observed func(npmauth.Observation)

func (f observed) Observe(o npmauth.Observation) { f(o) }

// AU-34: the host is told of nobody, and a list that it makes is nobody's.
func TestEndedCredentialIsNobodyAtTheHost(t *testing.T) {
	c := newCast(t)
	list := c.ended()
	var known, readable bool
	var err error
	h := c.auth.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, known = host.IdentityFrom(r.Context())
		readable, err = host.Readable(r.Context(), protocol.PackageName{Scope: "acme", Name: "private"})
	}))
	search := func(header string) {
		c.send(h, call{method: "GET", path: "/-/v1/search?text=x", header: map[string]string{"Authorization": header}})
		require.NoError(t, err)
	}
	search("Bearer " + c.login("alice"))
	require.True(t, known && readable)
	for how, header := range list {
		search(header)
		assert.False(t, known || readable, how)
	}
	op := protocol.Operation{Action: protocol.ReadPackument, Package: protocol.PackageName{Name: "plain"}}
	for how, header := range list {
		id, d, err := c.auth.Authorize(t.Context(), op, http.Header{"Authorization": {header}}, netip.Addr{})
		require.NoError(t, err, how)
		assert.Zero(t, id, how)
		assert.Equal(t, policy.Allow, d.Effect, how)
		r := httptest.NewRequest("GET", "/plain", nil)
		r.Header.Set("Authorization", header)
		_, err = c.auth.Authenticate(r)
		assert.ErrorIs(t, err, host.ErrInvalidToken, how)
	}
}

// AU-34: the notice and the event come once a minute from one address, however much is installed,
// and the notice with what npm prints it of: the audit, and what is refused.
func TestEndedCredentialIsToldOnce(t *testing.T) {
	c := newCast(t)
	s := c.login("alice")
	c.clock.Add(2 * time.Hour)
	install := func(bearer, addr string) (notices []string) {
		for range 100 {
			a := c.do(call{method: "GET", path: "/plain", bearer: bearer, addr: addr})
			require.Equal(t, 200, a.Code)
			if n := a.Header().Get("npm-notice"); n != "" {
				notices = append(notices, n)
			}
		}
		return notices
	}
	c.events.all = nil
	want := "Your login has expired or was ended. Run npm login. Until then you are answered as somebody who is not logged in."
	assert.Equal(t, []string{want}, install(s, "192.0.2.1:1"))
	assert.Empty(t, install(s, "192.0.2.1:2"))
	for range 2 {
		a := c.do(call{method: "POST", path: "/-/npm/v1/security/advisories/bulk", body: "{}", bearer: s})
		assert.Equal(t, want, a.Header().Get("npm-notice"))
		a = c.do(call{method: "GET", path: "/@acme%2fprivate", bearer: s})
		assert.Equal(t, 404, a.Code)
		assert.Equal(t, want, a.Header().Get("npm-notice"))
	}
	assert.Len(t, install(s, "192.0.2.2:1"), 1, "somebody else")
	told := func() (list []audit.Event) {
		for _, e := range c.events.all {
			if e.Type == audit.BadCredential {
				list = append(list, e)
			}
		}
		return list
	}
	require.Len(t, told(), 2)
	assert.Equal(t, c.ids["alice"], told()[0].User)
	c.clock.Add(time.Minute)
	assert.Len(t, install(s, "192.0.2.1:1"), 1)
	tok := credential.New(credential.PrefixToken).Reveal()
	assert.Contains(t, install(tok, "192.0.2.1:1")[0], "Create a new one with npm token create")
	assert.Equal(t, 401, whoami(c.world, s))
	assert.Equal(t, 401, whoami(c.world, s), "all else is refused and told each time")
	assert.Len(t, told(), 6)
}

// AU-34, AU-73: all else with a credential that has ended is 401, with a sentence that npm
// prints, which it does only without WWW-Authenticate. What is not offered is called that (AU-66).
func TestEndedCredentialDoesNothingElse(t *testing.T) {
	c := newCast(t, func(cfg *npmauth.Config) { cfg.Foreign = rejectAll })
	refused := 0
	for how, header := range c.ended() {
		before := dump(t, c.store)
		for _, rt := range routes {
			path, _, _ := strings.Cut(rt.path, "?")
			op, err := protocol.Classify(rt.method, path)
			require.NoError(t, err)
			switch {
			case op.Action.Public(), op.Action.SignsIn(), slices.Contains([]protocol.Action{
				protocol.Ping, protocol.LegacyUpdate, protocol.AuthPage, protocol.ReportLeak, protocol.ExchangeToken, // take no credential
				protocol.Unknown,
			}, op.Action):
				continue
			}
			k := call{method: rt.method, path: rt.path, header: map[string]string{"Authorization": header}}
			if rt.body != "" {
				k.body = body(t, rt.body)
			}
			a := c.do(k)
			name := fmt.Sprintf("%s %s with %s: %s", rt.method, rt.path, how, a.Body)
			refused++
			if _, ok := policy.NPM().Unoffered(op); ok { // with or without a login
				assert.Equal(t, 403, a.Code, name)
				assert.Equal(t, "not-offered", a.text("code"), name)
				continue
			}
			assert.Equal(t, 401, a.Code, name)
			assert.Regexp(t, `npm login|npm token create`, a.text("error"), name)
			assert.NotContains(t, a.text("error"), "one-time pass", "npm would ask for a code")
			assert.Empty(t, a.Header().Get("WWW-Authenticate"), name)
			assert.Empty(t, a.Header().Get("npm-notice"), name)
		}
		assert.Empty(t, changes(before, dump(t, c.store)), how)
	}
	assert.Greater(t, refused, 500)
	assert.Empty(t, c.host.written())
	assert.Empty(t, c.host.reads)
}

// AU-34: who is refused for another reason than that the credential has ended is not answered as
// nobody: an outage, a disabled account, an address, what cannot be read in one way.
func TestLiveCredentialIsNeverNobody(t *testing.T) {
	st := storetest.NewFaulty(store.NewMemory())
	var users *town
	w := newWorld(t, func(cfg *npmauth.Config) {
		users = &town{}
		users.set(host.User{ID: "1", Name: "alice"})
		cfg.Store, cfg.Fresh, cfg.Users = st, -1, users
		cfg.Foreign = func(_ context.Context, bearer credential.Secret) (host.ForeignToken, error) {
			switch bearer.Reveal() {
			case "an-outage":
				return host.ForeignToken{}, context.DeadlineExceeded
			case "of-nobody":
				return host.ForeignToken{ID: "old"}, nil
			}
			return host.ForeignToken{}, host.ErrInvalidToken
		}
	})
	w.ids["alice"] = "1"
	w.host.add("plain", false, "1")
	s := w.login("alice")
	tok, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly)})
	bound, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly), CIDRs: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}})
	read := func(bearer string) int {
		a := w.do(call{method: "GET", path: "/plain", bearer: bearer})
		assert.Empty(t, a.Header().Get("npm-notice"))
		return a.Code
	}
	require.Equal(t, []int{200, 200}, []int{read(s), read(tok)})

	assert.Equal(t, 401, read(bound), "from another address")
	assert.Equal(t, 503, read("an-outage"))
	assert.Equal(t, 401, read("of-nobody"), "a mistake of the host's")
	for _, bearer := range []string{s, tok, credential.New(credential.PrefixToken).Reveal(), "not-known-yet"} {
		st.Inject(storetest.Fault{On: storetest.Reads, Nth: 1})
		assert.Equal(t, 503, read(bearer), "the store is out")
	}
	st.Mend()

	require.NoError(t, w.auth.Subjects().Disable(t.Context(), audit.Actor{}, "1"))
	assert.Equal(t, []int{401, 401}, []int{read(s), read(tok)}, "may be enabled again")
	require.NoError(t, w.auth.Subjects().Enable(t.Context(), audit.Actor{}, "1"))
	users.set(host.User{ID: "1", Name: "alice", Disabled: true})
	assert.Equal(t, []int{401, 401}, []int{read(s), read(tok)})
	users.set(host.User{ID: "1", Name: "alice"})
	require.Equal(t, []int{200, 200}, []int{read(s), read(tok)})

	r := httptest.NewRequest("GET", "/plain", nil)
	r.Header["Authorization"] = []string{"Bearer " + s, "Bearer " + s}
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, r)
	assert.Equal(t, 400, rec.Code)

	users.set()
	for _, bearer := range []string{s, tok} {
		assert.Equal(t, 200, w.do(call{method: "GET", path: "/plain", bearer: bearer}).Code, "there is no such user any more")
		assert.Equal(t, 401, whoami(w, bearer))
	}
}

// What is public is what npm's rules let nobody ask of a package that everyone reads, but for
// what those ask who manage it, and for what takes no credential.
func TestPublicActions(t *testing.T) {
	for _, action := range protocol.Actions() {
		req := policy.Request{
			Operation: protocol.Operation{Action: action}, Now: time.Now(), Package: policy.Facts{ID: "p"},
		}
		if action.OfPackage() {
			req.Operation.Package = protocol.PackageName{Name: "plain"}
		}
		open := !action.Write() && policy.NPM().Decide(req).Effect == policy.Allow
		switch action {
		case protocol.Ping, protocol.AuthPage, protocol.ReadAccess, protocol.ReadVisibility:
			require.True(t, open, "%s", action)
			open = false
		}
		assert.Equal(t, open, action.Public(), "%s", action)
	}
}

// AU-73: a classic token is refused with the date of its revocation and what to use, whatever its
// form, and the host is not asked; npm logout of one succeeds.
func TestClassicTokensAreRevoked(t *testing.T) {
	asked := 0
	w := newWorld(t, func(cfg *npmauth.Config) {
		cfg.Foreign = func(context.Context, credential.Secret) (host.ForeignToken, error) {
			asked++
			return host.ForeignToken{ID: "old", User: "1", Grants: grantAll(protocol.ReadWrite), Created: cfg.Now()}, nil
		}
		p := &people{user: host.User{ID: "1", Name: "alice"}}
		cfg.Users = p
	})
	w.host.add("plain", false, "1")
	for kind, want := range map[token.ClassicKind]string{
		token.Classic:           "This classic token was revoked on 2025-12-09 for good. Run npm login, or for CI create a granular access token with npm token create.",
		token.ClassicReadOnly:   "This read-only token was revoked on 2025-12-09 for good. Run npm login, or for CI create a granular access token with npm token create.",
		token.ClassicPublish:    "This publish token was revoked on 2025-12-09 for good. Run npm login, or for CI create a granular access token with npm token create.",
		token.ClassicAutomation: "This automation token was revoked on 2025-12-09 for good. For CI, create a granular access token with npm token create.",
	} {
		for _, value := range []string{
			credential.NewID(), "npm_" + credential.NewID()[:30] + "000000", credential.New("npm_").Reveal(), credential.New("npms_").Reveal(), "acme-" + credential.NewID(),
		} {
			_, ours := credential.Parse(value)
			if before := asked; !ours {
				require.Equal(t, 200, whoami(w, value), "the host's own")
				require.Equal(t, before+1, asked)
			}
			w.importRevoked(kind, value)
			before := asked
			w.events.all = nil
			a := w.do(call{method: "GET", path: "/-/whoami", bearer: value})
			assert.Equal(t, 401, a.Code)
			assert.Equal(t, want, a.text("error"))
			assert.Empty(t, a.Header().Get("WWW-Authenticate"))
			require.Len(t, w.events.all, 1)
			assert.Equal(t, []string{"revoked-token"}, w.events.all[0].Reasons)
			assert.Equal(t, want, w.publish("plain", "1.0.0", value, "").text("error"))
			a = w.do(call{method: "GET", path: "/plain", bearer: value})
			assert.Equal(t, 200, a.Code)
			assert.Contains(t, a.Header().Get("npm-notice"), want)
			assert.Equal(t, 200, w.do(call{method: "DELETE", path: "/-/user/token/" + value, bearer: value}).Code)
			assert.Equal(t, before, asked)
			w.clock.Add(time.Minute)
		}
	}
	assert.Empty(t, w.host.written())
}

// AU-73: a token of this registry that is in the list is an error and lives; one that was imported
// while a node remembered it as valid is refused by that node at once.
func TestImportRevokedIsExact(t *testing.T) {
	w := newWorld(t, func(cfg *npmauth.Config) { cfg.Fresh = time.Hour })
	w.person("alice")
	live, tok := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly)})
	require.Equal(t, 200, whoami(w, live))
	list := slices.Values([]token.Revoked{{Digest: tok.Digest, At: w.clock.Now()}})
	_, err := w.auth.Tokens().ImportRevoked(t.Context(), audit.Actor{}, list)
	require.ErrorIs(t, err, token.ErrLive)
	assert.ErrorContains(t, err, tok.ID)
	assert.Equal(t, 200, whoami(w, live))

	s := w.login("alice")
	require.Equal(t, 200, whoami(w, s))
	w.importRevoked(token.Classic, s)
	assert.Equal(t, 401, whoami(w, s))
}

// AU-73: what is sent while the token is imported is not done.
func TestImportRevokedWhileARequestIsUnderWay(t *testing.T) {
	w := newWorld(t, func(cfg *npmauth.Config) {
		cfg.Policy = policy.NPM().Without("foreign-reads-only", "no-second-factor")
		cfg.Users = &people{user: host.User{ID: "1", Name: "alice"}}
		cfg.Foreign = func(context.Context, credential.Secret) (host.ForeignToken, error) {
			return host.ForeignToken{ID: "old", User: "1", Grants: grantAll(protocol.ReadWrite), Created: cfg.Now()}, nil
		}
	})
	w.host.add("plain", false, "1")
	require.Equal(t, 200, w.publish("plain", "1.0.0", "acme-1", "").Code)
	put := call{method: "PUT", path: "/plain/next", bearer: "acme-1", body: &sideEffect{Reader: strings.NewReader(`"1.0.0"`), do: func() { w.importRevoked(token.Classic, "acme-1") }}}
	assert.Equal(t, 401, w.do(put).Code)
	assert.Len(t, w.host.written(), 1)
}

// A sideEffect does something when it is first read.
type sideEffect struct {
	*strings.Reader
	do func()
}

func (s *sideEffect) Read(p []byte) (int, error) {
	if s.do != nil {
		s.do()
		s.do = nil
	}
	return s.Reader.Read(p)
}

// AU-73: the host's own tokens live until the date, which those who use them are told, and are
// revoked from it on, without the host being asked.
func TestForeignUntil(t *testing.T) {
	until := time.Date(2026, 3, 31, 0, 0, 0, 0, time.UTC)
	asked := 0
	w := newWorld(t, func(cfg *npmauth.Config) {
		cfg.ForeignUntil = until
		cfg.Users = &people{user: host.User{ID: "1", Name: "alice"}}
		cfg.Foreign = func(_ context.Context, bearer credential.Secret) (host.ForeignToken, error) {
			asked++
			if bearer.Reveal() != "acme-1" {
				return host.ForeignToken{}, host.ErrInvalidToken
			}
			return host.ForeignToken{ID: "old", User: "1", Grants: grantAll(protocol.ReadOnly), Created: cfg.Now()}, nil
		}
	})
	w.host.add("plain", false, "1")
	get := func(path, bearer string) answer { return w.do(call{method: "GET", path: path, bearer: bearer}) }
	notice := "This older token is accepted until 2026-03-31. Run npm login, or for CI create a granular access token with npm token create."
	for range 2 {
		assert.Equal(t, notice, get("/-/whoami", "acme-1").Header().Get("npm-notice"))
		assert.Equal(t, notice, get("/-/auth/v1/self", "acme-1").Header().Get("npm-notice"))
		assert.Equal(t, notice, get("/plain", "acme-1").Header().Get("npm-notice"))
		assert.Empty(t, get("/plain", "acme-1").Header().Get("npm-notice"), "of an installation once")
		w.clock.Add(time.Minute)
	}
	assert.Contains(t, get("/plain", "acme-2").Header().Get("npm-notice"), "not valid here", "of a token that there is not, there is no date")
	assert.Empty(t, get("/plain", "").Header().Get("npm-notice"))

	w.clock.Add(until.Sub(w.clock.Now()) - 1)
	require.Equal(t, 200, get("/-/whoami", "acme-1").Code, "the last instant")
	w.clock.Add(1)
	asked = 0
	want := "Tokens of this older kind were revoked on 2026-03-31 for good. Run npm login, or for CI create a granular access token with npm token create."
	for _, bearer := range []string{"acme-1", "acme-2"} {
		a := get("/-/whoami", bearer)
		assert.Equal(t, 401, a.Code)
		assert.Equal(t, want, a.text("error"))
		assert.Empty(t, a.Header().Get("WWW-Authenticate"))
		a = get("/plain", bearer)
		assert.Equal(t, 200, a.Code)
		assert.Contains(t, a.Header().Get("npm-notice"), want)
		assert.Equal(t, 200, w.do(call{method: "DELETE", path: "/-/user/token/" + url.PathEscape(bearer), bearer: bearer}).Code)
	}
	assert.Zero(t, asked)
	assert.NotContains(t, get("/-/whoami", credential.New("npm_").Reveal()).text("error"), "2026-03-31", "an unknown one of npmauth's form")
}
