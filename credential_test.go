package npmauth_test

import (
	"bytes"
	"context"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
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

const digits62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// check62 writes the checksum of a token's body.
func check62(n uint64) string {
	var text [6]byte
	for i := 5; i >= 0; i-- {
		text[i] = digits62[n%62]
		n /= 62
	}
	return string(text[:])
}

// twin returns a body that differs from this one and has its checksum: any number of them
// can be found, since the checksum is linear.
func twin(t *testing.T, body string) string {
	t.Helper()
	crc := crc32.ChecksumIEEE([]byte(body))
	each := func(at int, fn func(text string, diff uint32) bool) {
		for i := range 62 * 62 * 62 {
			b := []byte(body)
			b[at], b[at+1], b[at+2] = digits62[i/3844], digits62[i/62%62], digits62[i%62]
			if !fn(string(b), crc32.ChecksumIEEE(b)^crc) {
				return
			}
		}
	}
	first := map[uint32]string{}
	each(0, func(text string, diff uint32) bool { first[diff] = text[:3]; return true })
	var found string
	each(27, func(text string, diff uint32) bool {
		if begin, ok := first[diff]; ok && diff != 0 {
			found = begin + text[3:]
		}
		return found == ""
	})
	require.NotEmpty(t, found)
	require.NotEqual(t, body, found)
	require.Equal(t, crc, crc32.ChecksumIEEE([]byte(found)))
	return found
}

// A credential is what its record says. What only looks like one, or is another secret or
// public text of ours, is refused like everything else, and is looked up once, since it may be a token that
// was revoked before npmauth.
func TestCredentialsAreNotTheirLooks(t *testing.T) {
	var st *counting
	w := newWorld(t, func(cfg *npmauth.Config) { st = &counting{Store: cfg.Store}; cfg.Store = st })
	alice := w.person("alice")
	w.enrol("alice", protocol.AuthAndWrites)
	w.host.add("plain", false, alice)
	s := w.login("alice")
	bearer, tok := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadWrite)})
	body, check := bearer[4:34], bearer[34:]

	challenge := w.publish("plain", "1.0.0", s, "")
	isChallenge(t, challenge)
	require.Less(t, w.submit(challenge.text("authUrl"), map[string]string{"password": password, "code": w.code("alice")}).Code, 400)
	proof := w.poll(challenge.text("doneUrl"), "GET").text("token")
	require.NotEmpty(t, proof)
	loginURL, doneURL, _ := w.start("")
	_, cookie, _ := w.open(loginURL)
	_, cookie, _ = strings.Cut(cookie, "=")
	require.NotEmpty(t, cookie)
	last := func(url string) string { return url[strings.LastIndex(url, "/")+1:] }

	ask := func(bearer string) (answer, int) {
		st.gets = 0
		a := w.do(call{method: "GET", path: "/-/whoami", bearer: bearer})
		return a, st.gets
	}
	generic := func(bearer string) answer { // of a text that begins like it
		prefix, _, found := strings.Cut(bearer, "_")
		if !found || prefix != "npm" && prefix != "npms" {
			prefix = "nobody"
		}
		a, _ := ask(prefix + "_garbage")
		require.Equal(t, 401, a.Code)
		return a
	}
	for name, bearer := range map[string]string{
		"TK-02 a token as a session":        "npms_" + body + check,
		"TK-02 a session as a token":        "npm_" + s[5:],
		"G-14 an unknown prefix":            "ghp_" + body + check,
		"G-14 a wrong checksum":             "npm_" + body + check62(uint64(crc32.ChecksumIEEE([]byte(body)))^1),
		"G-14 a checksum with the prefix":   "npm_" + body + check62(uint64(crc32.ChecksumIEEE([]byte("npm_"+body)))),
		"TK-03 an alias of the checksum":    "npm_" + body + check62(uint64(crc32.ChecksumIEEE([]byte(body)))+1<<32),
		"TK-04 a body of the same checksum": "npm_" + twin(t, body) + check,
		"TK-05 an ID token":                 "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJ4In0.c2ln",
		"TK-06 a page's cookie":             cookie,
		"TK-06 a page":                      last(loginURL),
		"TK-06 a poll":                      last(doneURL),
		"TK-06 a poll of a challenge":       last(challenge.text("doneUrl")),
		"TK-06 a proof":                     proof,
		"TK-06 a public ID":                 tok.ID,
		"TK-06 what the list shows":         tok.Hint,
		"TK-07 a digest":                    tok.Digest.String(),
		"TK-07 a digest in a token's form":  "npm_" + tok.Digest.String()[:36],
		"TK-07 a key of the store":          token.KeyOf(tok.Digest),
	} {
		a, lookups := ask(bearer)
		assert.Equal(t, 401, a.Code, name)
		assert.Equal(t, generic(bearer).Body.String(), a.Body.String(), name)
		assert.Equal(t, generic(bearer).Header(), a.Header(), name)
		assert.Equal(t, 1, lookups, name)
	}
	assert.True(t, w.events.has(audit.JWTAsBearer), "TK-05")

	// TK-01: the record says the kind, and with it what may be asked.
	for bearer, kind := range map[string]policy.Kind{s: policy.KindSession, bearer: policy.KindToken} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", "Bearer "+bearer)
		id, err := w.auth.Authenticate(r)
		require.NoError(t, err)
		assert.Equal(t, kind, id.Kind)
	}
	spare, spareTok := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadWrite)})
	d := credential.Sum(credential.NewSecret("npms_" + spare[4:]))
	items, err := w.store.Get(t.Context(), token.KeyOf(spareTok.Digest))
	require.NoError(t, err)
	moved := bytes.ReplaceAll(items[0].Value, []byte(spareTok.Digest.String()), []byte(d.String()))
	_, err = w.store.Commit(t.Context(), store.Op{Key: token.KeyOf(d), Action: store.Put, Value: moved, Expires: items[0].Expires})
	require.NoError(t, err)
	assert.Equal(t, 200, whoami(w, "npms_"+spare[4:]), "a token that is called like a session")
	assert.Equal(t, 403, w.do(call{method: "GET", path: "/-/npm/v1/tokens", bearer: "npms_" + spare[4:]}).Code, "and yet is one")
	assert.Equal(t, 200, w.do(call{method: "GET", path: "/-/npm/v1/tokens", bearer: s}).Code)
}

// TK-33: what is dead takes the same questions as what never was, and has one answer. A
// time cannot be tested, but what it is made of can.
func TestDeadTokensCostTheSame(t *testing.T) {
	var st *counting
	w := newWorld(t, func(cfg *npmauth.Config) { st = &counting{Store: cfg.Store}; cfg.Store = st })
	alice := w.person("alice")
	var answers []string
	for range 3 {
		bearer, tok := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly)})
		require.NoError(t, w.auth.Tokens().Revoke(t.Context(), audit.Actor{}, alice, tok.ID, ""))
		for _, bearer := range []string{bearer, credential.New("npm_").Reveal()} {
			st.gets, st.commits = 0, 0
			a := w.do(call{method: "GET", path: "/-/whoami", bearer: bearer})
			answers = append(answers, fmt.Sprint(a.Code, a.Header(), a.Body, st.gets, st.commits))
		}
	}
	for _, a := range answers {
		assert.Equal(t, answers[0], a)
	}
}

// TK-10: neither what was revoked nor what was used once comes back when the clock is set
// back.
func TestClockSetBack(t *testing.T) {
	w := newWorld(t)
	alice := w.person("alice")
	w.enrol("alice", protocol.AuthAndWrites)
	w.host.add("plain", false, alice)
	bearer, tok := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadWrite), Bypass: true})
	s, ended := w.login("alice"), w.login("alice")
	code := w.code("alice")
	require.Equal(t, 200, w.publish("plain", "1.0.0", s, code).Code)
	require.NoError(t, w.auth.Tokens().Revoke(t.Context(), audit.Actor{}, alice, tok.ID, ""))
	require.Equal(t, 200, w.do(call{method: "DELETE", path: "/-/user/token/" + ended, bearer: ended}).Code)
	for _, back := range []time.Duration{0, -30 * time.Second, -3 * time.Hour} {
		w.clock.Add(back)
		assert.Equal(t, 401, whoami(w, bearer), back)
		assert.Equal(t, 401, whoami(w, ended), back)
		assert.Equal(t, 401, w.do(call{method: "PUT", path: "/-/user/org.couchdb.user:alice", body: couch("alice", password), otp: code}).Code, back)
		assert.Equal(t, 401, w.do(call{method: "PUT", path: "/-/user/org.couchdb.user:alice", body: couch("alice", password), otp: w.codeNow("alice")}).Code, "%v: an earlier step", back)
	}
	w.clock.Add(3*time.Hour + 30*time.Second)
	require.Equal(t, 200, whoami(w, s))
	require.NoError(t, w.auth.Subjects().RevokeAll(t.Context(), audit.Actor{}, alice))
	w.clock.Add(-3 * time.Hour)
	assert.Equal(t, 401, whoami(w, s))
}

// A town is a host's table of people, in which they come, go and change their names.
type town struct {
	mu     sync.Mutex
	people map[protocol.UserID]host.User
}

func (h *town) set(users ...host.User) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.people = map[protocol.UserID]host.User{}
	for _, u := range users {
		h.people[u.ID] = u
	}
}

func (h *town) Lookup(_ context.Context, name string) (host.User, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, u := range h.people {
		if u.Name == name {
			return u, nil
		}
	}
	return host.User{}, host.ErrNoUser
}

func (h *town) User(_ context.Context, id protocol.UserID) (host.User, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	u, ok := h.people[id]
	if !ok {
		return host.User{}, host.ErrNoUser
	}
	return u, nil
}

func (h *town) CheckPassword(_ context.Context, id protocol.UserID, pw credential.Secret) (bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, ok := h.people[id]
	return ok && pw.Reveal() == password, nil
}

// TK-15, TK-17, P-05, LG-08: a credential belongs to an ID and not to a name, and dies with it.
func TestNamesThatChangeHands(t *testing.T) {
	h := &town{}
	h.set(host.User{ID: "1", Name: "alice"}, host.User{ID: "2", Name: "mallory"})
	w := newWorld(t, func(cfg *npmauth.Config) { cfg.Users, cfg.Fresh = h, -1 })
	w.ids["alice"] = "1"
	w.host.add("plain", false, "1")
	w.enrol("alice", protocol.AuthAndWrites)
	s := w.login("alice")
	bypass, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadWrite), Bypass: true})
	name := func(bearer string) string {
		return w.do(call{method: "GET", path: "/-/whoami", bearer: bearer}).text("username")
	}
	require.Equal(t, []string{"alice", "alice"}, []string{name(s), name(bypass)})

	// TK-17: she is called otherwise, and mallory takes the name.
	h.set(host.User{ID: "1", Name: "alice2"}, host.User{ID: "2", Name: "alice"})
	assert.Equal(t, []string{"alice2", "alice2"}, []string{name(s), name(bypass)})
	assert.Equal(t, 200, w.publish("plain", "1.0.0", bypass, "").Code)
	w.secrets["mallory"], w.secrets["alice"] = "", ""
	m := w.login("alice")
	assert.Equal(t, "alice", name(m))
	assert.Equal(t, 403, w.publish("plain", "1.0.1", m, "").Code)
	list := w.do(call{method: "GET", path: "/-/npm/v1/tokens", bearer: m})
	assert.EqualValues(t, 0, list.json["total"])
	assert.Equal(t, "off", w.do(call{method: "GET", path: "/-/auth/v1/self", bearer: m}).text("two_factor"), "the factor is not theirs either")

	// TK-15: she is gone, and somebody new takes the name.
	h.set(host.User{ID: "2", Name: "mallory"})
	for _, bearer := range []string{s, bypass} {
		prefix, _, _ := strings.Cut(bearer, "_")
		generic := w.do(call{method: "GET", path: "/-/whoami", bearer: prefix + "_garbage"})
		a := w.do(call{method: "GET", path: "/-/whoami", bearer: bearer})
		assert.Equal(t, 401, a.Code)
		assert.Equal(t, generic.Body.String(), a.Body.String())
		assert.Equal(t, 401, w.publish("plain", "1.0.1", bearer, "").Code)
	}
	h.set(host.User{ID: "3", Name: "alice"})
	assert.Equal(t, []int{401, 401}, []int{whoami(w, s), whoami(w, bypass)})
	assert.Equal(t, 403, w.publish("plain", "1.0.1", w.login("alice"), "").Code)
	assert.Len(t, w.host.written(), 1)
}

// TK-19: a second factor that is turned on ends the sessions that were opened without it,
// and is asked of those that are opened with it; one that is taken off by the operator ends
// these.
func TestFactorEndsOldSessions(t *testing.T) {
	w := newWorld(t)
	alice := w.person("alice")
	w.host.add("plain", false, alice)
	old := w.login("alice")
	require.Equal(t, 403, w.publish("plain", "1.0.0", old, "").Code)
	w.enrol("alice", protocol.AuthAndWrites)
	assert.Equal(t, 401, whoami(w, old))
	s := w.login("alice")
	isChallenge(t, w.publish("plain", "1.0.0", s, ""))
	isChallenge(t, w.create(s, "", map[string]any{"packages_all": true}))
	isChallenge(t, w.do(call{method: "POST", path: "/-/npm/v1/user", bearer: s, body: `{"tfa":{"mode":"disable","password":"` + password + `"}}`}))
	require.NoError(t, w.auth.ResetTwoFactor(t.Context(), alice))
	assert.Equal(t, 401, whoami(w, s))
	assert.Empty(t, w.host.written())
}

// TK-23: a credential that is revoked while the body is on its way finishes no publish: the
// host never gets the end of the document.
func TestRevokedWhilePublishing(t *testing.T) {
	w := newWorld(t)
	alice := w.person("alice")
	w.host.add("plain", false, alice)
	bearer, tok := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadWrite), Bypass: true})
	h := w.auth.Wrap(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		_, err := io.ReadFull(r.Body, make([]byte, 10))
		assert.NoError(t, err)
		assert.NoError(t, w.auth.Tokens().Revoke(r.Context(), audit.Actor{}, alice, tok.ID, ""))
		_, err = io.Copy(io.Discard, r.Body)
		assert.ErrorIs(t, err, host.ErrInvalidToken)
		rw.WriteHeader(http.StatusCreated)
	}))
	put := call{method: "PUT", path: "/plain", bearer: bearer, body: body(t, "PUBLISH plain")}
	assert.Equal(t, 401, w.send(h, put).Code, "whatever the host answers")
}

// TK-29: what was stored of a token restricts it, at every write and from everywhere, and
// a token that was deleted is none.
func TestRestrictionsAreEnforced(t *testing.T) {
	c := newCast(t)
	inside, outside := "192.0.2.7:1", "198.51.100.7:1"
	cidr := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	reader, _ := c.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly), CIDRs: cidr})
	writer, record := c.token("alice", token.Spec{Grants: grantAll(protocol.ReadWrite), Bypass: true, CIDRs: cidr})
	publish := string(body(t, "PUBLISH plain"))
	writes := []route{
		{"PUT", "/plain", publish}, {"PUT", "/plain/next", `"1.0.0"`}, {"PUT", "/-/package/plain/dist-tags/next", `"1.0.0"`}, {"DELETE", "/-/package/plain/dist-tags/next", ""},
		{"DELETE", "/plain/-/plain-1.0.0.tgz/-rev/1", ""}, {"DELETE", "/plain/-rev/1", ""}, {"PUT", "/plain/-rev/1", `{"_id":"plain","maintainers":[]}`},
		{"PUT", "/-/package/plain/owners", `{"user":"mallory"}`}, {"POST", "/-/package/plain/access", `{"access":"restricted"}`},
		{"PUT", "/-/team/acme/devs/package", `{"package":"plain","permissions":"read-write"}`}, {"PUT", "/-/org/acme/user", `{"user":"mallory"}`},
		{"POST", "/-/npm/v1/tokens", `{"password":"` + password + `","packages_all":true}`}, {"POST", "/-/npm/v1/user", `{"fullname":"A"}`},
	}
	ask := func(rt route, bearer, addr string) int {
		return c.do(call{method: rt.method, path: rt.path, body: rt.body, bearer: bearer, addr: addr}).Code
	}
	for i, rt := range writes {
		assert.Equal(t, 403, ask(rt, reader, inside), "%s %s", rt.method, rt.path)
		for _, bearer := range []string{reader, writer} {
			code := ask(rt, bearer, outside)
			assert.Contains(t, []int{401, 403}, code, "%s %s", rt.method, rt.path)
			assert.True(t, code == 401 || i >= 6 || bearer == reader, "%s %s: %d", rt.method, rt.path, code)
		}
	}
	assert.Empty(t, c.host.written())
	for _, rt := range writes[:6] {
		assert.Equal(t, 200, ask(rt, writer, inside), "%s %s", rt.method, rt.path)
	}
	assert.Len(t, c.host.written(), 6)
	require.NoError(t, c.auth.Tokens().Revoke(t.Context(), audit.Actor{}, c.ids["alice"], record.ID, ""))
	for _, rt := range writes {
		assert.Equal(t, 401, ask(rt, writer, inside), "%s %s", rt.method, rt.path)
	}
	assert.Len(t, c.host.written(), 6)
}

// TK-14, P-01, PW-11, LG-16: no secret that a client shows, wherever it puts it, is in the log, in an
// event or in the answer to anything but the request that makes it, and one in the query
// is none.
func TestSecretsAreNotRepeated(t *testing.T) {
	var log bytes.Buffer
	st := storetest.NewFaulty(store.NewMemory())
	w := newWorld(t, func(cfg *npmauth.Config) {
		cfg.Store, cfg.Fresh, cfg.HostFresh = st, -1, -1
		cfg.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	alice := w.person("alice")
	w.host.add("plain", false, alice)
	recovery := w.enrol("alice", protocol.AuthAndWrites)
	s := w.login("alice")
	bearer, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadWrite)})
	made := w.create(s, w.code("alice"), map[string]any{"packages_all": true}).text("token")
	require.NotEmpty(t, made)
	loginURL, doneURL, _ := w.start("")
	assert.Equal(t, 401, w.do(call{method: "GET", path: "/-/whoami?access_token=" + bearer + "&token=" + bearer}).Code, "TK-14")
	assert.Equal(t, 401, w.do(call{
		method: "GET", path: "/-/whoami", body: "access_token=" + bearer, header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"},
	}).Code, "TK-14")

	last := func(url string) string { return url[strings.LastIndex(url, "/")+1:] }
	secrets := map[string]string{
		"password": password, "session": s, "token": bearer, "new token": made, "authenticator": w.secrets["alice"],
		"recovery code": recovery[0], "page": last(loginURL), "poll": last(doneURL), "shown as a code": "424242", "jwt": "eyJhbGciOiJSUzI1NiJ9.eyJjYW5hcnkiOjF9.c2ln",
	}
	pw := `"password":"` + password + `"`
	calls := []call{
		{method: "GET", path: "/plain?token=" + bearer, bearer: bearer}, {method: "GET", path: "/-/whoami?access_token=" + bearer},
		{method: "DELETE", path: "/-/user/token/" + s, bearer: bearer}, {method: "DELETE", path: "/-/npm/v1/tokens/token/" + made, bearer: s},
		{method: "DELETE", path: "/-/%75ser/token/" + s, bearer: "npm_garbage"}, {method: "GET", path: "/-/user/token/" + made},
		{method: "PUT", path: "/-/user/org.couchdb.user:alice", body: couch("alice", password+"x"), otp: recovery[0]},
		{method: "PUT", path: "/-/user/org.couchdb.user:alice", body: `{"name":"alice",` + pw + `,` + pw + `}`},
		{method: "POST", path: "/-/npm/v1/tokens", bearer: s, otp: "424242", body: `{` + pw + `,"packages_all":true}`},
		{method: "POST", path: "/-/npm/v1/tokens", bearer: s, body: `{` + pw + `,"` + bearer + `":1}`},
		{method: "POST", path: "/-/npm/v1/user", bearer: s, otp: recovery[0][:63], body: `{"tfa":{"mode":"disable",` + pw + `}}`},
		{method: "PUT", path: "/plain", bearer: s, otp: "424242", body: body(t, "PUBLISH plain")},
		{method: "PUT", path: "/plain", bearer: bearer, body: `{"name":"` + s + `"}`},
		{method: "GET", path: "/-/whoami", header: map[string]string{"Authorization": "Basic " + bearer}},
		{method: "GET", path: "/-/whoami", header: map[string]string{"Authorization": bearer}},
		{method: "GET", path: "/-/whoami", bearer: secrets["jwt"]}, {method: "GET", path: "/-/whoami", bearer: bearer + "x"},
		{method: "GET", path: strings.TrimPrefix(loginURL, base)}, {method: "GET", path: strings.TrimPrefix(doneURL, base)}, {method: "GET", path: strings.TrimPrefix(doneURL, base) + "x"},
	}
	outages := 0
	for _, c := range calls {
		for nth := range 6 {
			if nth > 0 {
				st.Inject(storetest.Fault{Nth: nth})
			}
			a := w.do(c)
			if a.Code == 503 {
				outages++
			}
			for name, secret := range secrets {
				page := name == "page" && strings.Contains(c.path, secret) // a page posts to itself
				assert.True(t, page || !strings.Contains(a.Body.String()+fmt.Sprint(a.Header()), secret), "%s in the answer to %s %s", name, c.method, c.path)
			}
		}
	}
	st.Mend()
	require.Greater(t, outages, 10)
	require.Greater(t, strings.Count(log.String(), "\n"), 10, "outages are logged")
	var events strings.Builder
	for _, e := range w.events.all {
		fmt.Fprintf(&events, "%+v\n", e)
	}
	require.NotEmpty(t, events.String())
	for name, secret := range secrets {
		assert.NotContains(t, log.String(), secret, "%s in the log", name)
		assert.NotContains(t, events.String(), secret, "%s in an event", name)
	}
}
