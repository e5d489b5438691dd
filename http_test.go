package npmauth_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/host/hosttest"
	"github.com/npmauth/npmauth/legacy"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/storetest"
	"github.com/npmauth/npmauth/token"
	"github.com/npmauth/npmauth/wire"
)

// TestCredentialHeader is about two parsers that could read one header in two ways.
func TestCredentialHeader(t *testing.T) {
	w := newWorld(t)
	w.person("alice")
	s := w.login("alice")
	send := func(lines ...string) answer {
		r := httptest.NewRequest("GET", "/-/whoami", nil)
		r.Header["Authorization"] = lines
		rec := httptest.NewRecorder()
		w.handler.ServeHTTP(rec, r)
		return answer{ResponseRecorder: rec}
	}
	for _, tt := range []struct {
		name  string
		lines []string
		want  int
	}{
		{"one", []string{"Bearer " + s}, 200},
		{"HS-03 lower case", []string{"bearer " + s}, 200},
		{"HS-03 more spaces", []string{"BEARER   " + s}, 200},
		{"HS-03 a tab", []string{"Bearer\t" + s}, 401},
		{"HS-01 two headers", []string{"Bearer " + s, "Bearer " + s}, 400},
		{"HS-01 two that differ", []string{"Bearer " + s, "Bearer npm_garbage"}, 400},
		{"HS-02 a list", []string{"Bearer " + s + ", Bearer " + s}, 401},
		{"HS-04 Basic with a token", []string{"Basic YWxpY2U6bnBtXzAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDJDOEdqUw=="}, 401},
		{"Basic with a password", []string{"Basic YWxpY2U6Y29ycmVjdCBob3JzZSBiYXR0ZXJ5IHN0YXBsZQ=="}, 401},
		{"another scheme", []string{"Digest " + s}, 401},
		{"a scheme alone", []string{"Bearer"}, 401},
		{"empty", []string{""}, 401},
	} {
		t.Run(tt.name, func(t *testing.T) { assert.Equal(t, tt.want, send(tt.lines...).Code) })
	}
}

func TestBasicTokenSwitch(t *testing.T) {
	w := newWorld(t, func(cfg *npmauth.Config) { cfg.AllowBasicToken = true })
	alice := w.person("alice")
	w.host.add("plain", true, alice)
	secret, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly)})
	basic := func(password string) int {
		r := httptest.NewRequest("GET", "/plain", nil)
		r.SetBasicAuth("whoever", password)
		rec := httptest.NewRecorder()
		w.handler.ServeHTTP(rec, r)
		return rec.Code
	}
	assert.Equal(t, 200, basic(secret))
	assert.Equal(t, 404, basic(password), "never the password: as nobody")
}

// HS-05: our API knows no cookies.
func TestCookiesAreNotCredentials(t *testing.T) {
	w := newWorld(t)
	w.person("alice")
	s := w.login("alice")
	a := w.do(call{method: "GET", path: "/-/whoami", header: map[string]string{"Cookie": "npmauth=" + s}})
	assert.Equal(t, 401, a.Code)
	assert.Equal(t, "Bearer", a.Header().Get("WWW-Authenticate"))
	w.person("mallory")
	a = w.do(call{method: "GET", path: "/-/whoami", bearer: w.login("mallory"), header: map[string]string{"Cookie": "npmauth=" + s + "; __Host-npmauth=" + s}})
	assert.Equal(t, "mallory", a.text("username"))
}

// TestProofHeader is about what may stand in npm-otp.
func TestProofHeader(t *testing.T) {
	w := newWorld(t)
	alice := w.person("alice")
	w.enrol("alice", protocol.AuthAndWrites)
	w.host.add("plain", false, alice)
	s := w.login("alice")
	publish := func(lines ...string) answer {
		r := httptest.NewRequest("PUT", "/plain", strings.NewReader(string(hosttest.PublishBody(protocol.PackageName{Name: "plain"}, "3.0.0"))))
		r.Header.Set("Authorization", "Bearer "+s)
		r.Header["Npm-Otp"] = lines
		rec := httptest.NewRecorder()
		w.handler.ServeHTTP(rec, r)
		return answer{ResponseRecorder: rec}
	}
	right := w.code("alice")
	assert.Equal(t, 400, publish("000000", right).Code, "HS-06: two headers")
	assert.Equal(t, 401, publish("000000, "+right).Code, "HS-07: a list")
	assert.Equal(t, 400, publish(strings.Repeat("000000, ", 1000)+right).Code, "HS-07: a long one")
	assert.Equal(t, 400, publish(strings.Repeat("1", 1<<20)).Code, "HS-09: far too long")
	for _, name := range []string{"npm_otp", "Npm_otp", "NPM-OTP\u200b"} { // HS-10: a proxy that folds them must not speak for us
		r := httptest.NewRequest("PUT", "/plain", strings.NewReader(string(hosttest.PublishBody(protocol.PackageName{Name: "plain"}, "3.0.0"))))
		r.Header.Set("Authorization", "Bearer "+s)
		r.Header[name] = []string{right}
		rec := httptest.NewRecorder()
		w.handler.ServeHTTP(rec, r)
		assert.Equal(t, 401, rec.Code, name)
	}
	assert.Empty(t, w.host.written())
	wide := ""
	for _, digit := range right {
		wide += string('０' + digit - '0')
	}
	// HS-08, AU-38: one code in all its spellings. It was used for this publish, and counts for it.
	for _, spelling := range []string{" " + right[:3] + " " + right[3:] + "\t", wide, right[:3] + "-" + right[3:], right} {
		assert.Equal(t, 200, publish(spelling).Code, "%q", spelling)
	}
	isChallenge(t, w.do(call{method: "POST", path: "/-/npm/v1/user", bearer: s, otp: wide, body: `{"fullname":"Alice"}`}))
	assert.Equal(t, slices.Repeat([]string{"publish plain@3.0.0"}, 4), w.host.written())
}

// HS-13, HS-14: no address that we hand out rests on what the client, or anyone who
// forwards for it, calls us.
func TestHostHeaderIsNotUsed(t *testing.T) {
	w := newWorld(t)
	a := w.do(call{method: "POST", path: "/-/v1/login", body: "{}", header: map[string]string{
		"X-Forwarded-Host": "evil.test", "X-Forwarded-Proto": "ftp", "Forwarded": "host=evil.test",
	}})
	require.Equal(t, 200, a.Code)
	r := httptest.NewRequest("POST", "http://evil.test/-/v1/login", strings.NewReader("{}"))
	r.Header.Set("Content-Type", "application/json")
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, r)
	for _, text := range []string{a.Body.String(), rec.Body.String()} {
		assert.NotContains(t, text, "evil")
		assert.Contains(t, text, `"loginUrl":"https://npm.acme.test/-/auth/login/`)
		assert.Contains(t, text, `"doneUrl":"https://npm.acme.test/-/auth/done/`)
		assert.NotContains(t, text, "%", "npm encodes loginUrl once more")
	}
}

// TestPaths holds the guard to one reading of a path, through HTTP.
func TestPaths(t *testing.T) {
	w := newWorld(t)
	alice := w.person("alice")
	w.host.add("@acme/widget", false, alice)
	bypass, _ := w.token("alice", token.Spec{Bypass: true, Grants: []protocol.Grant{{Target: protocol.OneScope, Scope: "acme", Permission: protocol.ReadWrite}}})
	put := func(path, name string) answer {
		return w.do(call{method: "PUT", path: path, bearer: bypass, body: body(t, "PUBLISH "+name)})
	}
	for _, path := range []string{"/@acme%2fwidget", "/@acme/widget", "/@acme%2Fwidget", "/%40acme%2fwidget"} { // PC-01, PC-02, PC-03
		a := put(path, "@acme/widget")
		assert.Equal(t, 200, a.Code, "%s: %s", path, a.Body)
	}
	require.Len(t, w.host.written(), 4)
	for _, path := range []string{
		"/@acme%252fwidget",                                                       // PC-04
		"/@acme%2f..%2f..%2fplain", "/@acme%2f%2e%2e%2fwidget", "/@acme/../plain", // PC-05, PC-06
		"/@acme/%2e%2e/plain",                                                    // PC-07
		"//@acme/widget", "/@acme//widget", "/@acme%2fwidget/", "/@acme/widget/", // PC-08, PC-09
		"/@acme%2fwidget%00.js", "/@acme%2fwidget%0a", "/@acme%2fwidget%0d%0aX:1", // PC-10
		`/@acme\widget`, `/@acme%5cwidget`, // PC-11
		"/%ff", "/@acme%c0%afwidget", "/%c0%afwidget", // PC-12
		"/＠acme∕widget", "/%ef%bc%a0acme%e2%88%95widget", // PC-13
		"/@acme%2fwid%cc%81get", "/@acme%2fwidg%c3%a9t", "/@acme%2fwidget%20", "/@acme%2fwidget.", // N-03
		"/-", "/-rev", "/@acme/-rev", // PC-17
		"/@acme%2fwidget;v=1", "/@acme/widget;v=1", // PC-41
	} {
		a := put(path, "@acme/widget")
		assert.Equal(t, http.StatusBadRequest, a.Code, "%s: %s", path, a.Body)
		assert.Empty(t, a.Header().Get("Location"), "no redirects")
	}
	for _, path := range []string{
		"/-/package/@acme%2fwidget/dist-tags/..%2f..%2fowner",                                 // PC-21
		"/@acme/widget/-/@evil%2fwidget-1.0.0.tgz/-rev/1", "/plain/-/widget-1.0.0.tgz/-rev/1", // PC-24
		"/@acme/widget/-/other-1.0.0.tgz/-rev/1", "/@acme/widget/-/../../plain/-/w.tgz/-rev/1", // PC-24
	} {
		assert.Equal(t, http.StatusBadRequest, w.do(call{method: "DELETE", path: path, bearer: bypass}).Code, path)
	}
	assert.Equal(t, 403, put("/@ACME/WIDGET", "@ACME/WIDGET").Code, "N-03: another scope")
	assert.Equal(t, 404, w.do(call{method: "POST", path: "/-/NPM/v1/tokens", bearer: bypass, body: "{}"}).Code, "PC-16")
	assert.Equal(t, 404, w.do(call{method: "POST", path: "/-/whatever/new", bearer: bypass, body: "{}"}).Code, "PC-18")
	assert.Equal(t, 404, w.do(call{method: "POST", path: "/-/whatever/new", body: "{}"}).Code, "PC-18")
	assert.Len(t, w.host.written(), 4)
}

// TestPublishBodyNames is PC-29, PC-30, PC-31 and PC-32: the body must be about the package
// that was judged, wherever it names one.
func TestPublishBodyNames(t *testing.T) {
	w := newWorld(t)
	alice := w.person("alice")
	w.host.add("@acme/widget", false, alice)
	bypass, _ := w.token("alice", token.Spec{Bypass: true, Grants: grantAll(protocol.ReadWrite)})
	good := string(hosttest.PublishBody(protocol.PackageName{Scope: "acme", Name: "widget"}, "1.0.0"))
	for name, change := range map[string][2]string{
		"PC-29 name":        {`"name":"@acme/widget","versions"`, `"name":"plain","versions"`},
		"PC-30 _id":         {`"_id":"@acme/widget"`, `"_id":"plain"`},
		"PC-31 version":     {`"name":"@acme/widget","readme"`, `"name":"plain","readme"`},
		"PC-32 attachment":  {`{"@acme/widget-1.0.0.tgz":`, `{"plain-1.0.0.tgz":`},
		"maintainers":       {`"access":null`, `"maintainers":[{"name":"mallory"}],"access":null`},
		"duplicate name":    {`"access":null`, `"access":null,"name":"@acme/widget"`},
		"cut off":           {`"access":null`, `"access":nul`},
		"second version":    {`"versions":{`, `"versions":{"9.9.9":{"name":"@acme/widget","version":"9.9.9"},`},
		"tag of another":    {`"latest":"1.0.0"`, `"latest":"0.9.0"`},
		"trailing document": {"", "{}"},
	} {
		t.Run(name, func(t *testing.T) {
			bad := strings.Replace(good, change[0], change[1], 1)
			if change[0] == "" {
				bad = good + change[1]
			}
			require.NotEqual(t, good, bad)
			a := w.do(call{method: "PUT", path: "/@acme%2fwidget", bearer: bypass, body: bad})
			want := http.StatusBadRequest
			if name == "second version" { // what npm 9 merges after a 409: another operation
				want = http.StatusForbidden
			}
			assert.Equal(t, want, a.Code, a.Body.String())
			assert.NotEmpty(t, a.text("error"))
			assert.NotContains(t, a.Body.String(), "own words", "the client hears ours, whatever the host answered")
		})
	}
	assert.Empty(t, w.host.written())
	assert.Equal(t, 200, w.do(call{method: "PUT", path: "/@acme%2fwidget", bearer: bypass, body: good}).Code)
	assert.Equal(t, []string{"publish @acme/widget@1.0.0"}, w.host.written())
}

// TestPublishReaderWithholds reads a body one byte and one buffer at a time: the
// end of the document comes only after the whole agreed. JB-15: nothing else is kept of it.
func TestPublishReaderWithholds(t *testing.T) {
	good := hosttest.PublishBody(protocol.PackageName{Name: "plain"}, "1.0.0")
	bad := []byte(strings.Replace(string(good), `{"plain-1.0.0.tgz":`, `{"other-1.0.0.tgz":`, 1)) // past where it is known to be a publish
	require.NotEqual(t, string(good), string(bad))
	for _, size := range []int{1, 2, 3, 7, 512, 1 << 20} {
		for _, good := range [][]byte{good, bad} {
			w := newWorld(t)
			alice := w.person("alice")
			w.host.add("plain", false, alice)
			bypass, _ := w.token("alice", token.Spec{Bypass: true, Grants: grantAll(protocol.ReadWrite)})
			var got []byte
			var end error
			h := w.auth.Wrap(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				op, _ := host.OperationFrom(r.Context())
				_, early := op.Change()
				assert.Error(t, early, "changes are not known before the body was read")
				buf := make([]byte, size)
				for end == nil {
					var n int
					n, end = r.Body.Read(buf)
					got = append(got, buf[:n]...)
				}
				_, late := op.Change()
				assert.Equal(t, end == io.EOF, late == nil)
			}))
			a := w.send(h, call{method: "PUT", path: "/plain", bearer: bypass, body: good})
			if strings.Contains(string(good), "other") {
				require.Error(t, end, "the host read of it")
				assert.NotEqual(t, io.EOF, end)
				assert.Less(t, len(got), len(good))
				assert.Equal(t, 400, a.Code)
			} else {
				assert.Equal(t, io.EOF, end)
				assert.Equal(t, string(good), string(got), "bit for bit, %d at a time", size)
				assert.Equal(t, 200, a.Code)
			}
		}
	}
}

// TestBodies is about what our endpoints take.
func TestBodies(t *testing.T) {
	w := newWorld(t)
	w.person("alice")
	s := w.login("alice")
	create := func(body string, header map[string]string) answer {
		return w.do(call{method: "POST", path: "/-/npm/v1/tokens", bearer: s, body: body, header: header})
	}
	pw := `"password":"` + password + `"`
	for name, body := range map[string]string{
		"JB-01 duplicate keys":      `{` + pw + `,"packages_all":true,"readonly":true,"readonly":false}`,
		"JB-02 keys folded":         `{` + pw + `,"packages_all":true,"name":"a","NAME":"b"}`,
		"JB-03 keys escaped":        `{` + pw + `,"packages_all":true,"name":"a","na\u006de":"b"}`,
		"JB-04 keys folded further": `{"pa\u017f\u017fword":"` + password + `","packages_all":true}`,
		"JB-05 trailing data":       `{` + pw + `,"packages_all":true}{"name":"b"}`,
		"JB-07 lone surrogate":      `{` + pw + `,"packages_all":true,"name":"\ud800"}`,
		"JB-07 not UTF-8":           `{` + pw + `,"packages_all":true,"name":"` + "\xff" + `"}`,
		"JB-08 deep":                strings.Repeat("[", 20000),
		"JB-06 wrong type":          `{` + pw + `,"packages_all":"true"}`,
		"JB-13 big number":          `{` + pw + `,"packages_all":true,"expires":1e400}`,
		"G-12 unknown field":        `{` + pw + `,"packages_all":true,"everything":true}`,
		"malformed":                 `{`,
		"JB-16 byte order mark":     "\ufeff{" + pw + `,"packages_all":true}`,
	} {
		t.Run(name, func(t *testing.T) {
			a := create(body, nil)
			assert.Equal(t, 400, a.Code, a.Body.String())
			assert.NotEmpty(t, a.text("error"))
			assert.Equal(t, a.text("error"), a.text("message"))
			assert.NotContains(t, a.Body.String(), password)
		})
	}
	huge := `{"name":"` + strings.Repeat("x", 70<<10) + `"}`
	for _, c := range []call{ // JB-09
		{method: "POST", path: "/-/v1/login", body: huge},
		{method: "POST", path: "/-/npm/v1/tokens", body: huge, bearer: s},
		{method: "POST", path: "/-/npm/v1/user", body: huge, bearer: s},
		{method: "PUT", path: "/-/user/org.couchdb.user:alice", body: huge},
	} {
		assert.Equal(t, http.StatusRequestEntityTooLarge, w.do(c).Code, "%s with a length", c.path)
		r := httptest.NewRequest(c.method, c.path, io.MultiReader(strings.NewReader(huge))) // chunked
		r.ContentLength = -1
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+s)
		rec := httptest.NewRecorder()
		w.handler.ServeHTTP(rec, r)
		assert.Equal(t, http.StatusRequestEntityTooLarge, rec.Code, "%s chunked", c.path)
	}
	good := `{` + pw + `,"name":"x","packages_all":true}`
	assert.Equal(t, 415, create(good, map[string]string{"Content-Encoding": "gzip"}).Code, "JB-10")
	assert.Equal(t, 415, create(good, map[string]string{"Content-Type": "text/plain"}).Code, "JB-12")
	assert.Equal(t, 415, create(good, map[string]string{"Content-Type": "application/x-www-form-urlencoded"}).Code, "JB-12")
	assert.Equal(t, 201, create(good, nil).Code)
}

// TestOutagesDeny: an error of the store or of the host is 503 and never an allow, and
// nobody becomes the anonymous for it: P-04.
func TestOutagesDeny(t *testing.T) {
	st := storetest.NewFaulty(store.NewMemory())
	w := newWorld(t, func(cfg *npmauth.Config) { cfg.Store, cfg.Fresh, cfg.HostFresh = st, -1, -1 })
	alice := w.person("alice")
	w.host.add("plain", false, alice)
	bypass, _ := w.token("alice", token.Spec{Bypass: true, Grants: grantAll(protocol.ReadWrite)})
	w.host.fail = io.ErrUnexpectedEOF
	for _, bearer := range []string{"", bypass} {
		assert.Equal(t, 503, w.do(call{method: "GET", path: "/plain", bearer: bearer}).Code)
		a := w.publish("plain", "1.0.0", bearer, "")
		assert.Equal(t, 503, a.Code)
		assert.NotContains(t, a.Body.String(), "unexpected EOF", "the cause is not the client's business")
		assert.NotEmpty(t, a.Header().Get("Retry-After"))
	}
	w.host.fail = nil
	st.Inject(storetest.Fault{Times: storetest.Always})
	assert.Equal(t, 503, w.do(call{method: "GET", path: "/plain", bearer: bypass}).Code, "what the anonymous may read, too")
	assert.Equal(t, 503, w.do(call{method: "GET", path: "/-/whoami", bearer: bypass}).Code)
	assert.Equal(t, 503, w.publish("plain", "1.0.0", bypass, "").Code)
	st.Mend()
	assert.Empty(t, w.host.written())
	assert.Empty(t, w.host.reads)
	assert.Equal(t, 200, w.do(call{method: "GET", path: "/plain", bearer: bypass}).Code)
}

// N-04
func TestPublicRoutes(t *testing.T) {
	w := newWorld(t, func(cfg *npmauth.Config) {
		cfg.Public = func(r *http.Request) bool { return true }
	})
	assert.Equal(t, 200, w.do(call{method: "GET", path: "/"}).Code)
	assert.Equal(t, "public", w.do(call{method: "GET", path: "/"}).Body.String())
	assert.Equal(t, 404, w.do(call{method: "GET", path: "/-/nothing"}).Code, "below /-/ nothing is public")
	assert.Equal(t, "public", w.do(call{method: "GET", path: "/healthz"}).Body.String(), "what the host calls none of npm's")
	for _, c := range []call{
		{method: "PUT", path: "/plain", body: "{}"}, {method: "PUT", path: "/plain/latest", body: `"1.0.0"`},
		{method: "DELETE", path: "/plain/-rev/1"}, {method: "GET", path: "/plain/-/plain-1.0.0.tgz"}, {method: "GET", path: "/-/whoami"},
	} {
		assert.NotEqual(t, "public", w.do(c).Body.String(), "%s %s: not what npm defines", c.method, c.path)
	}
	assert.Empty(t, w.host.written())
}

// LG-17: nobody's name is nobody's, and a ping needs none.
func TestAnonymous(t *testing.T) {
	w := newWorld(t)
	who := w.do(call{method: "GET", path: "/-/whoami"})
	assert.Equal(t, 401, who.Code)
	assert.Equal(t, "Bearer", who.Header().Get("WWW-Authenticate"))
	assert.Empty(t, who.text("username"))
	assert.Equal(t, 200, w.do(call{method: "GET", path: "/-/ping"}).Code)
}

func TestMountedBelowAPrefix(t *testing.T) {
	w := newWorld(t, func(cfg *npmauth.Config) { cfg.BaseURL = "https://npm.acme.test/npm" })
	w.person("alice")
	s := w.login("alice")
	assert.Equal(t, 200, w.do(call{method: "GET", path: "/npm/-/whoami", bearer: s}).Code)
	assert.Equal(t, 404, w.do(call{method: "GET", path: "/-/whoami", bearer: s}).Code)
	for _, path := range []string{ // PC-40: whole segments, none of which is walked
		"/npmfoo/-/whoami", "/npm", "/npm-/-/whoami", "//npm/-/whoami", "/NPM/-/whoami", "/x/../npm/-/whoami",
	} {
		assert.Equal(t, 404, w.do(call{method: "GET", path: path, bearer: s}).Code, path)
	}
	assert.Equal(t, 400, w.do(call{method: "GET", path: "/npm/../-/whoami", bearer: s}).Code, "PC-40")
	assert.Equal(t, 400, w.do(call{method: "PUT", path: "/npm/../npm/plain", bearer: s, body: "{}"}).Code, "PC-40")
	a := w.do(call{method: "POST", path: "/npm/-/v1/login", body: "{}"})
	assert.Contains(t, a.text("loginUrl"), "https://npm.acme.test/npm/-/auth/login/")
	assert.Equal(t, 200, w.do(call{method: "GET", path: strings.TrimPrefix(a.text("loginUrl"), "https://npm.acme.test")}).Code)
	assert.Equal(t, 202, w.do(call{method: "GET", path: strings.TrimPrefix(a.text("doneUrl"), "https://npm.acme.test")}).Code)
}

// DU-06, LOG-02: the path of a poll, which collects the session once and for five minutes, and of a
// logout, have no secret in a log that uses RedactPath.
func TestRedactPath(t *testing.T) {
	assert.Equal(t, "/-/user/token/[redacted]", wire.RedactPath("/-/user/token/npm_secret"))
	assert.Equal(t, "/npm/-/npm/v1/tokens/token/[redacted]", wire.RedactPath("/npm/-/npm/v1/tokens/token/npm_secret"))
	assert.Equal(t, "/-/auth/[redacted]", wire.RedactPath("/-/auth/done/npms_secret"))
	assert.Equal(t, "/@acme%2fwidget", wire.RedactPath("/@acme%2fwidget"))
}

func TestNewRefuses(t *testing.T) {
	good := func() npmauth.Config {
		return npmauth.Config{BaseURL: "https://npm.acme.test/", Store: newWorld(t).store, Packages: newBackend()}
	}
	for name, spoil := range map[string]func(*npmauth.Config){
		"BaseURL":          func(c *npmauth.Config) { c.BaseURL = "" },
		"BaseURL relative": func(c *npmauth.Config) { c.BaseURL = "/npm/" },
		"BaseURL query":    func(c *npmauth.Config) { c.BaseURL = "https://npm.acme.test/?x=1" },
		"BaseURL escaped":  func(c *npmauth.Config) { c.BaseURL = "https://npm.acme.test/a%20b/" },
		"Store":            func(c *npmauth.Config) { c.Store = nil },
		"Packages":         func(c *npmauth.Config) { c.Packages = nil },
		"SessionTTL": func(c *npmauth.Config) {
			c.Policy = policy.NPM().WithLimits(policy.Limits{SessionTTL: 13 * time.Hour})
		},
		"RecoveryCodes": func(c *npmauth.Config) {
			c.Policy = policy.NPM().WithLimits(policy.Limits{RecoveryCodes: 21})
		},
		"Policy":                           func(c *npmauth.Config) { c.Policy = policy.NPM().Without("no-such-rule") },
		"Legacy.SignUpAtLogin":             func(c *npmauth.Config) { c.Legacy.SignUpAtLogin = true },
		"Legacy: legacy: Config.BrownOuts": func(c *npmauth.Config) { c.Legacy.BrownOuts = []legacy.Window{{}} },
		"Legacy":                           func(c *npmauth.Config) { c.Legacy.Deprecated, c.Legacy.Sunset = time.Unix(1e9, 0), time.Unix(1e9-1, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := good()
			spoil(&cfg)
			_, err := npmauth.New(cfg)
			require.Error(t, err)
			field, _, _ := strings.Cut(name, " ")
			assert.Contains(t, err.Error(), strings.TrimSuffix(field, ","))
			assert.True(t, strings.HasPrefix(err.Error(), "npmauth: Config."), err.Error())
		})
	}
	_, err := npmauth.New(good())
	assert.NoError(t, err)
}

func TestNewRefusesWhatWouldNotWork(t *testing.T) {
	for name, spoil := range map[string]func(*npmauth.Config){
		"TrustedProxies, which never match": func(c *npmauth.Config) {
			c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("::ffff:10.0.0.0/104")}
		},
		"TrustedProxies, one of which is none": func(c *npmauth.Config) { c.TrustedProxies = []netip.Prefix{{}} },
		"Forwarded, with no proxy to write it": func(c *npmauth.Config) { c.Forwarded = true },
		"BaseURL with a bare question mark":    func(c *npmauth.Config) { c.BaseURL = "https://npm.acme.test/?" },
	} {
		cfg := npmauth.Config{BaseURL: "https://npm.acme.test/", Store: store.NewMemory(), Packages: newBackend()}
		spoil(&cfg)
		auth, err := npmauth.New(cfg)
		require.Error(t, err, name)
		field, _, _ := strings.Cut(name, ",")
		field, _, _ = strings.Cut(field, " ")
		assert.Contains(t, err.Error(), field)
		assert.Nil(t, auth)
	}
	auth, err := npmauth.New(npmauth.Config{BaseURL: "https://npm.acme.test/", Store: store.NewMemory(), Packages: newBackend(), Policy: policy.NPM().WithLimits(policy.Limits{SessionTTL: -1})})
	require.Error(t, err)
	assert.Nil(t, auth, "no half-built one")
}

// N-07: a private package and none at all cost the host the same questions, so
// that a second request takes no less time for one of them.
func TestHiddenPackagesAreNotRemembered(t *testing.T) {
	w := newWorld(t)
	alice := w.person("alice")
	w.host.add("@acme/private", true, alice)
	asked := func(path string) int {
		before := w.host.facts
		for range 5 {
			assert.Equal(t, 404, w.do(call{method: "GET", path: path}).Code)
		}
		return w.host.facts - before
	}
	assert.Equal(t, asked("/@acme%2fnothing"), asked("/@acme%2fprivate"))
}

// HS-02: what is no token of ours reaches the host's lookup only as one word.
func TestForeignBearerIsOneWord(t *testing.T) {
	var seen []string
	w := newWorld(t, func(cfg *npmauth.Config) {
		cfg.Foreign = func(_ context.Context, bearer credential.Secret) (host.ForeignToken, error) {
			seen = append(seen, bearer.Reveal())
			return host.ForeignToken{}, host.ErrInvalidToken
		}
	})
	for _, text := range []string{"Bearer npm_a, Bearer b", "Bearer npm_a b", "Bearer npm_a\tb", "Bearer old", "Bearer npm_old"} {
		r := httptest.NewRequest("GET", "/-/whoami", nil)
		r.Header.Set("Authorization", text)
		rec := httptest.NewRecorder()
		w.handler.ServeHTTP(rec, r)
		assert.Equal(t, 401, rec.Code)
	}
	assert.Equal(t, []string{"old", "npm_old"}, seen)
}
