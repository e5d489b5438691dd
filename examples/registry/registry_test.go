package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/host/hosttest"
	"github.com/npmauth/npmauth/internal/issuertest"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/token"
	"github.com/npmauth/npmauth/trust"
)

// A world is the registry behind npmauth, with two people.
type world struct {
	*registry
	t              *testing.T
	auth           *npmauth.Auth
	handler        http.Handler
	alice, mallory string // tokens that may do all that their user may, without a code
	between        func() // runs in each request after npmauth let it through
}

func newRegistry(t testing.TB) *registry {
	return &registry{
		db: newDatabase(t), tarballs: newTarballs(t), people: new(people), view: viewAt(t, "http://registry.example/"),
		log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
}

func newWorld(t *testing.T) *world { return newWorldWith(t, nil) }

// newOpenWorld is one in which sessions manage without a second factor, which is not
// what is tested there.
func newOpenWorld(t *testing.T) *world {
	return newWorldWith(t, policy.NPM().Without("no-second-factor", "manage-needs-factor"))
}

func newWorldWith(t *testing.T, rules *policy.Policy, issuers ...trust.Issuer) *world {
	t.Helper()
	w := &world{registry: newRegistry(t), t: t, between: func() {}}
	known := facts{db: w.db, people: w.people}
	auth, err := npmauth.New(npmauth.Config{
		BaseURL: "http://registry.example/", Store: store.NewMemory(), Packages: known, Documents: known, Orgs: known,
		Public: isFront(w.view.base), OpenSignUp: true, Policy: rules, HostFresh: -1, CheckTarball: true, Trust: trusted(issuers),
	})
	require.NoError(t, err)
	w.auth, w.people.directory, w.ready = auth, auth.People(), auth.Ready
	w.handler = auth.Wrap(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.between()
		w.registry.ServeHTTP(rw, r)
	}))
	for name, to := range map[string]*string{"alice": &w.alice, "mallory": &w.mallory} {
		user, err := auth.People().Create(t.Context(), audit.Actor{}, account.NewUser{Name: name, Password: credential.NewSecret("pw"), AnyPassword: true})
		require.NoError(t, err)
		secret, _, err := auth.Tokens().Create(t.Context(), audit.Actor{}, token.Spec{
			User: user.ID, Name: "test", Bypass: true, Grants: []protocol.Grant{{Target: protocol.AllPackages, Permission: protocol.ReadWrite}},
		})
		require.NoError(t, err)
		*to = secret.Reveal()
	}
	return w
}

func (w *world) do(method, path, bearer string, body []byte, header ...string) *http.Response {
	w.t.Helper()
	r := httptest.NewRequest(method, path, bytes.NewReader(body))
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	lines := http.Header{}
	for i := 0; i+1 < len(header); i += 2 {
		lines.Add(header[i], header[i+1])
	}
	maps.Copy(r.Header, lines)
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, r)
	return rec.Result()
}

// session logs a person in, who gets an account first unless there is one.
func (w *world) session(name string) string {
	w.t.Helper()
	_, err := w.auth.People().Create(w.t.Context(), audit.Actor{}, account.NewUser{Name: name, Password: credential.NewSecret("pw"), AnyPassword: true})
	if !errors.Is(err, account.ErrNameTaken) {
		require.NoError(w.t, err)
	}
	res := w.login(name, "pw")
	var answer struct{ Token string }
	require.NoError(w.t, json.NewDecoder(res.Body).Decode(&answer))
	require.Equal(w.t, http.StatusCreated, res.StatusCode)
	return answer.Token
}

func (w *world) login(name, password string) *http.Response {
	w.t.Helper()
	body, err := json.Marshal(map[string]any{"_id": "org.couchdb.user:" + name, "name": name, "password": password, "type": "user", "roles": []string{}})
	require.NoError(w.t, err)
	return w.do("PUT", "/-/user/org.couchdb.user:"+name, "", body)
}

// user returns the ID of somebody who has an account.
func (w *world) user(name string) protocol.UserID {
	w.t.Helper()
	id, err := w.people.id(w.t.Context(), name)
	require.NoError(w.t, err)
	return id
}

// send sends v as JSON, and returns the status and the body of the answer.
func (w *world) send(method, path, bearer string, v any) (int, string) {
	w.t.Helper()
	var body []byte
	if v != nil {
		var err error
		body, err = json.Marshal(v)
		require.NoError(w.t, err)
	}
	res := w.do(method, path, bearer, body)
	return res.StatusCode, text(w.t, res)
}

// ok is send of what must succeed.
func (w *world) ok(method, path, bearer string, v any) string {
	w.t.Helper()
	status, body := w.send(method, path, bearer, v)
	require.Contains(w.t, []int{http.StatusOK, http.StatusCreated}, status, "%s %s: %s", method, path, body)
	return body
}

// refused is send of what must not, and returns what npm prints of it.
func (w *world) refused(status int, method, path, bearer string, v any) string {
	w.t.Helper()
	got, body := w.send(method, path, bearer, v)
	assert.Equal(w.t, status, got, "%s %s: %s", method, path, body)
	var refusal struct{ Error, Message string }
	require.NoError(w.t, json.Unmarshal([]byte(body), &refusal), body)
	assert.NotEmpty(w.t, refusal.Error)
	return refusal.Error
}

// doc is the packument of a package as alice gets it, to be sent back changed.
func (w *world) doc(name string) map[string]any {
	w.t.Helper()
	var doc map[string]any
	require.NoError(w.t, json.Unmarshal([]byte(w.ok("GET", "/"+escape(name)+"?write=true", w.alice, nil)), &doc))
	return doc
}

// escape returns a package's name as npm puts it into a path.
func escape(name string) string { return strings.ReplaceAll(name, "/", "%2f") }

func text(t *testing.T, res *http.Response) string {
	t.Helper()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return string(body)
}

// sentence returns what npm prints of a refusal, and checks that all of npm's
// clients could.
func sentence(t *testing.T, res *http.Response) string {
	t.Helper()
	var refusal struct{ Error, Message string }
	raw := text(t, res)
	require.NoError(t, json.Unmarshal([]byte(raw), &refusal), raw)
	assert.NotEmpty(t, refusal.Error)
	assert.Equal(t, refusal.Error, refusal.Message)
	return refusal.Error
}

// publish publishes a version as alice. edit changes what npm would send.
func (w *world) publish(name, version string, edit func(top, manifest map[string]any)) *http.Response {
	w.t.Helper()
	pkg, err := protocol.ParsePackageName(name)
	require.NoError(w.t, err)
	body := hosttest.PublishBody(pkg, version)
	if edit != nil {
		var top map[string]any
		require.NoError(w.t, json.Unmarshal(body, &top))
		edit(top, top["versions"].(map[string]any)[version].(map[string]any))
		body, err = json.Marshal(top)
		require.NoError(w.t, err)
	}
	return w.do("PUT", "/"+escape(name), w.alice, body)
}

func (w *world) mustPublish(name, version string, edit func(top, manifest map[string]any)) {
	w.t.Helper()
	res := w.publish(name, version, edit)
	require.Equal(w.t, http.StatusCreated, res.StatusCode, text(w.t, res))
}

func with(member string, value any) func(top, manifest map[string]any) {
	return func(top, _ map[string]any) { top[member] = value }
}

func TestPublishAndRead(t *testing.T) {
	w := newWorld(t)
	w.mustPublish("@alice/widget", "1.0.0", with("access", "public"))

	res := w.do("GET", "/@alice%2Fwidget", "", nil)
	require.Equal(t, http.StatusOK, res.StatusCode)
	assert.Equal(t, "application/json", res.Header.Get("Content-Type"))
	assert.Equal(t, "public, no-cache", res.Header.Get("Cache-Control"))
	assert.Equal(t, "Accept, Authorization", res.Header.Get("Vary"))
	var doc struct {
		Name     string
		Versions map[string]struct {
			Dist struct{ Tarball, Integrity string }
		}
		Tags map[string]string `json:"dist-tags"`
	}
	require.NoError(t, json.NewDecoder(res.Body).Decode(&doc))
	assert.Equal(t, map[string]string{"latest": "1.0.0"}, doc.Tags)
	dist := doc.Versions["1.0.0"].Dist
	assert.Equal(t, "http://registry.example/@alice/widget/-/widget-1.0.0.tgz", dist.Tarball)

	unchanged := w.do("GET", "/@alice%2fwidget", "", nil, "If-None-Match", res.Header.Get("ETag"))
	assert.Equal(t, http.StatusNotModified, unchanged.StatusCode)

	short := w.do("GET", "/@alice%2fwidget", "", nil, "Accept", abbreviatedType+"; q=1.0, application/json; q=0.8, */*")
	assert.Equal(t, abbreviatedType, short.Header.Get("Content-Type"))
	assert.NotEqual(t, res.Header.Get("ETag"), short.Header.Get("ETag"))
	assert.NotContains(t, text(t, short), "readme")
	lines := w.do("GET", "/@alice%2fwidget", "", nil, "Accept", "application/json; q=0.8", "Accept", abbreviatedType)
	assert.Equal(t, abbreviatedType, lines.Header.Get("Content-Type"), "several lines are one list")

	for _, path := range []string{"/@alice%2fwidget/1.0.0", "/@alice%2fwidget/latest"} {
		one := w.do("GET", path, "", nil)
		assert.Equal(t, http.StatusOK, one.StatusCode, path)
		assert.Contains(t, text(t, one), `"version":"1.0.0"`, path)
	}
	for path, want := range map[string]int{
		"/@alice%2fwidget/2.0.0": 404, "/@alice/widget/-/widget-2.0.0.tgz": 404,
		"/@alice/widget/-/widget-latest.tgz": 400, "/@alice/widget/-/gadget-1.0.0.tgz": 400, // npmauth's word: not of npm's grammar
	} {
		none := w.do("GET", path, "", nil)
		assert.Equal(t, want, none.StatusCode, path)
		sentence(t, none)
	}

	tgz := w.do("GET", "/@alice/widget/-/widget-1.0.0.tgz", "", nil)
	assert.Equal(t, "public, max-age=31536000, immutable", tgz.Header.Get("Cache-Control"))
	got := draftOf(t, w.tarballs, text(t, tgz))
	assert.True(t, got.promises(dist.Integrity))
}

// A version of a trusted publisher says so, and belongs to the owners of the package.
func TestTrustedPublish(t *testing.T) {
	ci := issuertest.New(t, issuertest.ES256)
	w := newWorldWith(t, nil, trust.Issuer{Kind: trust.KindGitHub, URL: ci.URL()})
	w.mustPublish("@alice/widget", "1.0.0", nil)
	at, err := w.db.find(t.Context(), "@alice/widget")
	require.NoError(t, err)
	pkg := protocol.PackageName{Scope: "alice", Name: "widget"}
	publisher, err := trust.ParsePublisher([]byte(`[{"type":"github","claims":{"repository":"` + issuertest.Repository + `","workflow_ref":{"file":"` + issuertest.Workflow + `"}},"permissions":["createPackage"]}]`))
	require.NoError(t, err)
	added, err := w.auth.Trust().Add(t.Context(), audit.Actor{}, trust.Package{ID: at.ID, Name: pkg}, publisher)
	require.NoError(t, err)
	var exchanged struct{ Token string }
	body := w.ok("POST", "/-/npm/v1/oidc/token/exchange/package/@alice%2fwidget", ci.GitHub("npm:registry.example"), nil)
	require.NoError(t, json.Unmarshal([]byte(body), &exchanged))

	assert.JSONEq(t, `{"public":false}`, w.ok("GET", "/-/package/@alice%2fwidget/visibility", exchanged.Token, nil))
	before := w.doc("@alice/widget")
	for name, want := range map[string]int{"@alice/widget": http.StatusCreated, "@alice/gadget": http.StatusForbidden, "gadget": http.StatusForbidden} {
		other, err := protocol.ParsePackageName(name)
		require.NoError(t, err)
		res := w.do("PUT", "/"+escape(name), exchanged.Token, hosttest.PublishBody(other, "1.1.0"))
		assert.Equal(t, want, res.StatusCode, "%s: %s", name, text(t, res))
	}
	after := w.doc("@alice/widget")
	assert.Equal(t, before["maintainers"], after["maintainers"])
	evidence := map[string]any{
		"name": "GitHub Actions", "email": "", "trustedPublisher": map[string]any{"id": "github", "oidcConfigId": "oidc:" + added.ID},
	}
	assert.Equal(t, evidence, after["versions"].(map[string]any)["1.1.0"].(map[string]any)["_npmUser"])
	assert.Contains(t, w.ok("GET", "/-/v1/search?text=widget", w.alice, nil), `"publisher":{"username":"GitHub Actions","email":""}`)
	_, err = w.db.find(t.Context(), "gadget")
	assert.ErrorIs(t, err, errNoPackage)
}

// A new package belongs to its creator: without one, which npmauth does not let through, there is none.
func TestPublishOfNobody(t *testing.T) {
	w := newWorld(t)
	op := host.Operation{Operation: protocol.Operation{Action: protocol.Publish, Package: protocol.PackageName{Name: "widget"}}}
	r := httptest.NewRequest("PUT", "/widget", strings.NewReader("{}"))
	ctx := host.NewContext(r.Context(), host.Identity{Publisher: &host.Publisher{ID: "p", Type: "github"}}, op, nil)
	rec := httptest.NewRecorder()
	w.registry.ServeHTTP(rec, r.WithContext(&ctx))
	assert.Equal(t, http.StatusInternalServerError, rec.Code)
	_, err := w.db.find(t.Context(), "widget")
	assert.ErrorIs(t, err, errNoPackage)
}

func TestPrivate(t *testing.T) {
	w := newWorld(t)
	w.mustPublish("@alice/secret", "1.0.0", nil) // npm sends access null unless it is told to
	for _, path := range []string{"/@alice%2fsecret", "/@alice%2fsecret/1.0.0", "/@alice/secret/-/secret-1.0.0.tgz", "/-/package/@alice%2fsecret/dist-tags", "/-/package/@alice%2fsecret/visibility"} {
		own := w.do("GET", path, w.alice, nil)
		assert.Equal(t, http.StatusOK, own.StatusCode, path)
		assert.Contains(t, own.Header.Get("Cache-Control"), "private", path)
		for _, bearer := range []string{"", w.mallory} {
			assert.GreaterOrEqual(t, w.do("GET", path, bearer, nil).StatusCode, 400, path)
		}
	}
	assert.JSONEq(t, `{"public":false}`, text(t, w.do("GET", "/-/package/@alice%2fsecret/visibility", w.alice, nil)))

	hidden, absent := w.do("GET", "/@alice%2fsecret", w.mallory, nil), w.do("GET", "/@alice%2fabsent", w.mallory, nil)
	assert.Equal(t, http.StatusNotFound, hidden.StatusCode)
	assert.Equal(t, absent.StatusCode, hidden.StatusCode)
	assert.Equal(t, absent.Header, hidden.Header)
	assert.Equal(t, text(t, absent), text(t, hidden), "as if it were not there")
}

func TestWhoMayCreate(t *testing.T) {
	w := newWorld(t)
	for name, want := range map[string]int{
		"widget": http.StatusCreated, "@alice/widget": http.StatusCreated,
		"@mallory/widget": http.StatusForbidden, "@acme/widget": http.StatusForbidden, "@alicex/widget": http.StatusForbidden,
		"Widget": http.StatusForbidden, "@Alice/widget": http.StatusForbidden,
	} {
		assert.Equal(t, want, w.publish(name, "1.0.0", nil).StatusCode, name)
	}
	body := hosttest.PublishBody(protocol.PackageName{Name: "widget"}, "6.6.6")
	assert.Equal(t, http.StatusForbidden, w.do("PUT", "/widget", w.mallory, body).StatusCode, "somebody else's")
	assert.Equal(t, http.StatusUnauthorized, w.do("PUT", "/gadget", "", body).StatusCode)
}

func TestPublishRefused(t *testing.T) {
	w := newWorld(t)
	w.mustPublish("widget", "1.0.0", nil)
	type object = map[string]any
	for name, tt := range map[string]struct {
		pkg, version string
		edit         func(top, manifest object)
		status       int
		says         string
	}{
		"over a version":  {"widget", "1.0.0", func(_, m object) { m["description"] = "other" }, 403, "previously published"},
		"another tarball": {"widget", "1.0.1", func(_, m object) { m["dist"].(object)["integrity"] = "sha512-AAAA" }, 400, "dist.integrity"},
		"tarball of another": {"widget", "1.0.1", func(top, m object) {
			other := hosttest.Tarball(protocol.PackageName{Name: "gadget"}, "1.0.1")
			top["_attachments"].(object)["widget-1.0.1.tgz"].(object)["data"] = base64.StdEncoding.EncodeToString(other)
		}, 400, "another package"},
		"no version":         {"widget", "1.0", nil, 400, ""},
		"tag like a range":   {"widget", "1.0.1", with("dist-tags", object{"1.x": "1.0.1"}), 400, ""},
		"made restricted":    {"widget", "1.0.1", with("access", "restricted"), 403, "--access=public"},
		"unscoped and new":   {"gadget", "1.0.0", with("access", "restricted"), 400, "Only a scoped package"},
		"owners with it":     {"gadget", "1.0.0", with("maintainers", []object{{"name": "mallory", "email": "m@acme.test"}}), 400, ""},
		"another's document": {"gadget", "1.0.0", with("_id", "widget"), 400, ""},
	} {
		t.Run(name, func(t *testing.T) {
			res := w.publish(tt.pkg, tt.version, tt.edit)
			assert.Equal(t, tt.status, res.StatusCode)
			assert.Contains(t, sentence(t, res), tt.says)
			assert.Equal(t, "no-store", res.Header.Get("Cache-Control"))
		})
	}
	is, err := w.db.read(t.Context(), "widget", w.id("widget"))
	require.NoError(t, err)
	assert.Len(t, is.versions, 1)
	assert.Equal(t, map[string]string{"latest": "1.0.0"}, is.tags)
	_, err = w.db.find(t.Context(), "gadget")
	assert.ErrorIs(t, err, errNoPackage)
	assert.Zero(t, drafts(t, w.tarballs))
}

func (w *world) id(name string) protocol.PackageID {
	w.t.Helper()
	p, err := w.db.find(w.t.Context(), name)
	require.NoError(w.t, err)
	return p.ID
}

// What was allowed was to read or write the package that npmauth asked about. One
// that took its name meanwhile is another, whoever may read it.
func TestPackageReplaced(t *testing.T) {
	for path, method := range map[string]string{
		"/@alice%2fwidget": "GET", "/@alice%2fwidget/1.0.0": "GET", "/@alice/widget/-/widget-1.0.0.tgz": "GET",
		"/-/package/@alice%2fwidget/visibility": "GET", "/-/package/@alice%2fwidget/dist-tags": "GET",
		"/-/package/@alice%2fwidget/dist-tags/next": "PUT", "/-/package/@alice%2fwidget/dist-tags/beta": "DELETE",
	} {
		t.Run(method+" "+path, func(t *testing.T) {
			w := newWorld(t)
			w.mustPublish("@alice/widget", "1.0.0", with("dist-tags", map[string]string{"beta": "1.0.0"}))
			w.between = func() {
				_, err := w.db.db.Exec(`UPDATE package SET name = '@alice/old' WHERE name = '@alice/widget'`)
				require.NoError(t, err)
				other := publicationOf("@alice/widget", "1.0.0")
				other.Owner, other.Private, other.Tags = "u-other", true, map[string]string{"beta": "1.0.0"}
				require.NoError(t, w.db.publish(t.Context(), other))
			}
			res := w.do(method, path, w.alice, []byte(`"1.0.0"`))
			assert.Equal(t, http.StatusConflict, res.StatusCode)
			sentence(t, res)
			tags, err := w.db.tags(t.Context(), w.id("@alice/widget"))
			require.NoError(t, err)
			assert.Equal(t, map[string]string{"latest": "1.0.0", "beta": "1.0.0"}, tags)
		})
	}
}

func TestDistTags(t *testing.T) {
	w := newWorld(t)
	w.mustPublish("widget", "1.0.0", nil)
	w.mustPublish("widget", "2.0.0-rc.1", with("dist-tags", map[string]string{"next": "2.0.0-rc.1"}))
	const path = "/-/package/widget/dist-tags"
	list := func() string { return text(t, w.do("GET", path, "", nil)) }
	assert.JSONEq(t, `{"latest":"1.0.0","next":"2.0.0-rc.1"}`, list())

	require.Equal(t, http.StatusOK, w.do("PUT", path+"/beta", w.alice, []byte(`"2.0.0-rc.1"`)).StatusCode)
	for range 2 { // a retry takes away what is not there any more
		require.Equal(t, http.StatusOK, w.do("DELETE", path+"/next", w.alice, nil).StatusCode)
	}
	assert.JSONEq(t, `{"latest":"1.0.0","beta":"2.0.0-rc.1"}`, list())

	for name, tt := range map[string]struct {
		method, tag, body, bearer string
		status                    int
	}{
		"latest removed":  {"DELETE", "/latest", "", w.alice, 400},
		"absent version":  {"PUT", "/beta", `"3.0.0"`, w.alice, 404},
		"not a string":    {"PUT", "/beta", `{"version":"1.0.0"}`, w.alice, 400},
		"like a version":  {"PUT", "/v3", `"1.0.0"`, w.alice, 400},
		"endless":         {"PUT", "/beta", `"` + strings.Repeat("1", 64<<10) + `"`, w.alice, 413},
		"another user's":  {"PUT", "/beta", `"1.0.0"`, w.mallory, 403},
		"anonymous":       {"PUT", "/beta", `"1.0.0"`, "", 401},
		"removed by them": {"DELETE", "/beta", "", w.mallory, 403},
	} {
		t.Run(name, func(t *testing.T) {
			res := w.do(tt.method, path+tt.tag, tt.bearer, []byte(tt.body))
			assert.Equal(t, tt.status, res.StatusCode)
			sentence(t, res)
		})
	}
	assert.JSONEq(t, `{"latest":"1.0.0","beta":"2.0.0-rc.1"}`, list())
}

func TestSmallAnswers(t *testing.T) {
	w := newWorld(t)
	assert.Equal(t, http.StatusOK, w.do("GET", "/-/ping", "", nil).StatusCode)
	for _, path := range []string{"advisories/bulk", "audits/quick", "audits"} { // AU-65
		audit := w.do("POST", "/-/npm/v1/security/"+path, "", []byte(`{"widget":["1.0.0"]}`))
		assert.Equal(t, http.StatusNotFound, audit.StatusCode)
		assert.Contains(t, sentence(t, audit), "no advisories")
	}
	for _, path := range []string{"/-/npm/v1/hooks", "/absent", "/absent/1.0.0", "/-/package/absent/dist-tags"} {
		res := w.do("GET", path, w.alice, nil)
		assert.GreaterOrEqual(t, res.StatusCode, 400, path)
		sentence(t, res)
	}
}

func TestNotReady(t *testing.T) {
	w := newWorld(t)
	ready := w.ready
	w.ready = func(context.Context) error { return errors.New("the auth store is gone") }
	assert.Equal(t, http.StatusServiceUnavailable, w.do("GET", "/-/ping", "", nil).StatusCode)
	w.ready = ready
	require.Equal(t, http.StatusOK, w.do("GET", "/-/ping", "", nil).StatusCode)
	require.NoError(t, w.db.close())
	res := w.do("GET", "/-/ping", "", nil)
	assert.Equal(t, http.StatusServiceUnavailable, res.StatusCode)
	sentence(t, res)
	assert.Equal(t, http.StatusServiceUnavailable, w.do("GET", "/widget", "", nil).StatusCode, "not: no such package")
}

// Served without npmauth, the registry serves nobody.
func TestUnwrapped(t *testing.T) {
	rec := httptest.NewRecorder()
	newRegistry(t).ServeHTTP(rec, httptest.NewRequest("GET", "/-/ping", nil))
	assert.Equal(t, http.StatusInternalServerError, rec.Code)
	sentence(t, rec.Result())
}

// A tarball whose file is gone is an error, and says nothing of the disk.
func TestTarballGone(t *testing.T) {
	w := newWorld(t)
	w.mustPublish("widget", "1.0.0", nil)
	require.NoError(t, filepath.WalkDir(w.tarballs.dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		return os.Remove(path)
	}))
	res := w.do("GET", "/widget/-/widget-1.0.0.tgz", "", nil)
	assert.Equal(t, http.StatusInternalServerError, res.StatusCode)
	assert.NotContains(t, sentence(t, res), w.tarballs.dir)
	assert.Empty(t, res.Header.Get("ETag"))
}

// AU-44: what ends since its client has left is no error of the registry.
func TestDisconnectIsNoError(t *testing.T) {
	gone, leave := context.WithCancel(t.Context())
	leave()
	late, stop := context.WithDeadline(t.Context(), time.Time{})
	defer stop()
	for want, ctx := range map[string]context.Context{"level=INFO": gone, "level=ERROR msg=": t.Context(), "level=ERROR": late} {
		var out bytes.Buffer
		s := &registry{log: slog.New(slog.NewTextHandler(&out, nil))}
		rec := httptest.NewRecorder()
		s.fail(rec, httptest.NewRequestWithContext(ctx, http.MethodGet, "/widget", nil), errors.New("interrupted"))
		assert.Equal(t, http.StatusInternalServerError, rec.Code)
		assert.Contains(t, out.String(), want)
	}
}
