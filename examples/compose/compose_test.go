package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/parser"
	"go/token"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pquerna/otp/totp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/storetest"
	granular "github.com/npmauth/npmauth/token"
)

const (
	module   = "github.com/npmauth/npmauth"
	password = "correct horse battery"
)

// The example shows that the parts can be used alone: neither the root package nor what is internal
// is part of it, and it stays short.
func TestOnlyParts(t *testing.T) {
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	lines := 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "//") {
				lines++
			}
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		require.NoError(t, err)
		for _, spec := range parsed.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			require.NoError(t, err)
			assert.NotEqual(t, module, name, file)
			assert.NotContains(t, name+"/", "/internal/", file)
		}
	}
	assert.NotZero(t, lines)
	assert.LessOrEqual(t, lines, 400, "of code")
}

// A world is the registry with alice and bob.
type world struct {
	*testing.T
	g     *registry
	store *storetest.Faulty
	key   string // of alice's authenticator app
}

func newWorld(t *testing.T) *world {
	w := &world{T: t, store: storetest.NewFaulty(store.NewMemory())}
	var err error
	w.g, err = newRegistry("http://registry.example/", w.store)
	require.NoError(t, err)
	for _, name := range []string{"alice", "bob"} {
		_, err := w.g.people.Create(t.Context(), audit.Actor{}, account.NewUser{Name: name, Password: credential.NewSecret(password)})
		require.NoError(t, err)
	}
	return w
}

// do sends body, which is JSON, and decodes the answer into out unless that is nil.
func (w *world) do(method, path, bearer, otp, body string, out any) int {
	w.Helper()
	r := httptest.NewRequest(method, path, bytes.NewBufferString(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	if otp != "" {
		r.Header.Set("Npm-Otp", otp)
	}
	rec := httptest.NewRecorder()
	w.g.ServeHTTP(rec, r)
	if out != nil {
		require.NoError(w, json.Unmarshal(rec.Body.Bytes(), out), rec.Body.String())
	}
	return rec.Code
}

func (w *world) login(name, otp string) (session string, status int) {
	w.Helper()
	var out struct{ Token string }
	status = w.do("PUT", "/-/user/org.couchdb.user:"+name, "", otp, fmt.Sprintf(`{"name":%q,"password":%q}`, name, password), &out)
	return out.Token, status
}

// enrol gives alice a second factor.
func (w *world) enrol(session string) {
	w.Helper()
	var pending struct{ TFA string }
	require.Equal(w, 200, w.do("POST", "/-/npm/v1/user", session, "", `{"tfa":{"mode":"auth-and-writes","password":"`+password+`"}}`, &pending))
	uri, err := url.Parse(pending.TFA)
	require.NoError(w, err)
	w.key = uri.Query().Get("secret")
	var done struct{ TFA []string }
	require.Equal(w, 200, w.do("POST", "/-/npm/v1/user", session, "", `{"tfa":["`+w.code()+`"]}`, &done))
	require.Len(w, done.TFA, 5)
}

// code returns a code that was not given out: it waits for the next.
func (w *world) code() string {
	w.Helper()
	time.Sleep(30 * time.Second)
	code, err := totp.GenerateCode(w.key, time.Now())
	require.NoError(w, err)
	return code
}

func publish(name, version string) string {
	return fmt.Sprintf(`{"_id":%[1]q,"name":%[1]q,"dist-tags":{"latest":%[2]q},"versions":{%[2]q:{"name":%[1]q,"version":%[2]q,"dist":{}}},`+
		`"_attachments":{"%[1]s-%[2]s.tgz":{"content_type":"application/octet-stream","data":"AAEC","length":3}}}`, name, version)
}

// token creates a token of alice and returns it with its key.
func (w *world) token(session, more string) (secret, key string) {
	w.Helper()
	var out struct{ Token, Key string }
	body := fmt.Sprintf(`{"password":%q,"name":"ci","packages_all":true,"packages_and_scopes_permission":"read-write"%s}`, password, more)
	require.Equal(w, 200, w.do("POST", "/-/npm/v1/tokens", session, w.code(), body, &out))
	return out.Token, out.Key
}

// AU-76: A token that bypasses the second factor publishes, and changes no owner, whatever the
// request calls itself.
func TestBypassChangesNoOwner(t *testing.T) { synctest.Test(t, bypassChangesNoOwner) }

func bypassChangesNoOwner(t *testing.T) {
	w := newWorld(t)
	session, status := w.login("alice", "")
	require.Equal(t, 201, status)
	w.enrol(session)
	bypass, _ := w.token(session, `,"bypass_2fa":true`)
	require.Equal(t, 200, w.do("PUT", "/widget", bypass, "", publish("widget", "1.0.0"), nil))
	var doc struct {
		Rev         string `json:"_rev"`
		Maintainers []struct{ Name string }
	}
	owners := func() (names []string) {
		t.Helper()
		doc.Maintainers = nil
		require.Equal(t, 200, w.do("GET", "/widget", "", "", "", &doc))
		for _, m := range doc.Maintainers {
			names = append(names, m.Name)
		}
		return names
	}
	require.Equal(t, []string{"alice"}, owners())

	both := fmt.Sprintf(`{"_id":"widget","_rev":%q,"maintainers":[{"name":"alice"},{"name":"bob"}]}`, doc.Rev)
	whole := fmt.Sprintf(`{"_id":"widget","_rev":%q,"name":"widget","dist-tags":{"latest":"1.0.0"},"versions":{"1.0.0":{"name":"widget","version":"1.0.0"}},`+
		`"maintainers":[{"name":"bob"}]}`, doc.Rev)
	published := strings.Replace(publish("widget", "1.0.1"), `"dist-tags"`, `"maintainers":[{"name":"alice"},{"name":"bob"}],"dist-tags"`, 1)
	for path, bodies := range map[string][]string{"/widget/-rev/" + doc.Rev: {both, whole}, "/widget": {both, whole, published}} {
		for _, body := range bodies {
			assert.Contains(t, []int{400, 403}, w.do("PUT", path, bypass, "", body, nil), "%s %s", path, body)
			assert.Equal(t, []string{"alice"}, owners())
		}
	}
	assert.Equal(t, 401, w.do("PUT", "/widget/-rev/"+doc.Rev, session, "", both, nil), "her session is challenged")
	assert.Equal(t, []string{"alice"}, owners())
	ghost := strings.Replace(both, "bob", "ghost", 1)
	assert.Equal(t, 404, w.do("PUT", "/widget/-rev/"+doc.Rev, session, "", ghost, nil), "a name that somebody may get later")
	assert.Equal(t, 200, w.do("PUT", "/widget/-rev/"+doc.Rev, session, w.code(), both, nil), "and with her code it is an owner's to do")
	assert.Equal(t, []string{"alice", "bob"}, owners())
	assert.Equal(t, 200, w.do("PUT", "/widget", bypass, "", publish("widget", "1.0.1"), nil))
}

// Nothing works without what it takes, and what was revoked works no more.
func TestFailsClosed(t *testing.T) { synctest.Test(t, failsClosed) }

func failsClosed(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"/-/whoami", "/-/npm/v1/tokens", "/-/npm/v1/user", "/-/user/org.couchdb.user:bob"} {
		assert.Equal(t, 401, w.do("GET", path, "", "", "", nil), path)
		assert.Equal(t, 401, w.do("GET", path, "npms_no", "", "", nil), path)
	}
	assert.Equal(t, 401, w.do("PUT", "/widget", "", "", publish("widget", "1.0.0"), nil))
	assert.Equal(t, 404, w.do("GET", "/absent", "", "", "", nil))
	assert.Equal(t, 404, w.do("POST", "/-/something/new", "", "", "{}", nil))
	assert.Equal(t, 400, w.do("GET", "/%00", "", "", "", nil))
	_, status := w.login("nobody", "")
	assert.Equal(t, 401, status)

	session, status := w.login("alice", "")
	require.Equal(t, 201, status)
	assert.Equal(t, 403, w.do("PUT", "/widget", session, "", publish("widget", "1.0.0"), nil), "without a second factor")
	assert.Equal(t, 401, w.do("POST", "/-/npm/v1/user", session, "", `{"tfa":{"mode":"auth-only","password":"wrong"}}`, nil))
	assert.Equal(t, 403, w.do("POST", "/-/npm/v1/user", session, "", `{"email":"a@acme.test"}`, nil), "not offered")
	second, _ := w.login("alice", "")
	w.enrol(session)
	assert.Equal(t, 401, w.do("GET", "/-/whoami", second, "", "", nil), "a session that was opened without the factor")
	assert.Equal(t, 200, w.do("GET", "/-/whoami", session, "", "", nil), "the one that asked")
	_, status = w.login("alice", "")
	assert.Equal(t, 401, status, "she needs it to log in")

	assert.Equal(t, 401, w.do("PUT", "/widget", session, "", publish("widget", "1.0.0"), nil), "a challenge")
	assert.Equal(t, 401, w.do("PUT", "/widget", session, "000000", publish("widget", "1.0.0"), nil))
	restricted := strings.Replace(publish("widget", "1.0.0"), `"dist-tags"`, `"access":"restricted","dist-tags"`, 1)
	assert.Equal(t, 403, w.do("PUT", "/widget", session, w.code(), restricted, nil), "nothing here is private")
	assert.Equal(t, 400, w.do("PUT", "/other", session, "", publish("widget", "1.0.0"), nil))
	assert.Equal(t, 404, w.do("GET", "/widget", "", "", "", nil))

	secret, key := w.token(session, "")
	var list struct{ Objects []struct{ Key string } }
	require.Equal(t, 200, w.do("GET", "/-/npm/v1/tokens", session, "", "", &list))
	require.Len(t, list.Objects, 1)
	assert.Equal(t, key, list.Objects[0].Key)
	assert.Equal(t, 200, w.do("GET", "/-/whoami", secret, "", "", nil))
	assert.Equal(t, 401, w.do("PUT", "/widget", secret, "", publish("widget", "1.0.0"), nil), "it does not bypass the factor")
	assert.Equal(t, 200, w.do("DELETE", "/-/npm/v1/tokens/token/"+key, session, w.code(), "", nil))
	assert.Equal(t, 401, w.do("GET", "/-/whoami", secret, "", "", nil))

	w.store.Inject(storetest.Fault{Times: storetest.Always, Err: fmt.Errorf("away")})
	for _, bearer := range []string{session, secret} {
		assert.Equal(t, http.StatusServiceUnavailable, w.do("GET", "/-/whoami", bearer, "", "", nil))
		assert.Equal(t, http.StatusServiceUnavailable, w.do("PUT", "/widget", bearer, "", publish("widget", "1.0.0"), nil))
	}
}

// A service account is one for the policy, too.
func TestServiceAccount(t *testing.T) {
	w := newWorld(t)
	alice, err := w.g.people.ByName(t.Context(), "alice")
	require.NoError(t, err)
	ci, err := w.g.people.Create(t.Context(), audit.Actor{}, account.NewUser{Name: "ci", Service: true, Administrators: []protocol.UserID{alice.ID}})
	require.NoError(t, err)
	secret, _, err := w.g.tokens.Create(t.Context(), audit.Actor{}, granular.Spec{
		User: ci.ID, Service: true, Grants: []protocol.Grant{{Target: protocol.AllPackages, Permission: protocol.ReadWrite}},
	})
	require.NoError(t, err)
	var out struct{ Code string }
	assert.Equal(t, 403, w.do("PUT", "/widget", secret.Reveal(), "", publish("widget", "1.0.0"), &out))
	assert.Equal(t, "service-needs-bypass", out.Code)
}
