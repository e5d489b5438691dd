package hosttest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/token"
)

// The senders of the requests of a rig: its two people, each with a token for everything, by
// number; the first of them with a token for another package alone, and with one for that and
// for reading the organization of Private; anonymous.
const (
	first = iota
	second
	narrow
	inOrg
	nobody = -1
)

// another is the package that the narrow token is for.
var another = protocol.PackageName{Name: "npmauth-host-test-another"}

// A rig is a registry behind npmauth, with two people who may publish.
type rig struct {
	Registry
	auth   *npmauth.Auth
	names  [2]string
	tokens [4]string // without a second factor
	// between runs in each request that writes, after npmauth allowed it: of a publish, when
	// its body has been read to the end. It does not run in one that stages, which changes nothing yet.
	between func(who int)
	handler http.Handler
	base    *url.URL          // without the trailing slash of its path
	absent  []protocol.Action // actions that are neither served nor in Without

	mu     sync.Mutex
	panics []string // of the registry, guarded by mu
}

// freely permits the two people what NPM reserves to sessions with a second factor, and to approve what the other one has
// staged for a name that is free: the host is tested here, and not the policy.
func freely() *policy.Policy {
	return policy.NPM().Without("bypass-manages-nothing", "decision-takes-a-person", "hidden-staged", "no-second-factor")
}

// setUp puts npmauth in front of a registry.
func (x *rig) setUp(t tb, reg Registry) {
	t.Helper()
	require.NotNil(t, reg.Handler, "Registry.Handler is required; %s", add(lineHandler))
	require.NotNil(t, reg.Packages, "Registry.Packages is required; %s", add(linePackages))
	if reg.Package.IsZero() {
		reg.Package = protocol.PackageName{Name: "npmauth-host-test"}
	}
	if reg.BaseURL == "" {
		reg.BaseURL = "http://registry.example/"
	}
	base, err := url.Parse(reg.BaseURL)
	require.NoError(t, err, "Registry.BaseURL")
	base.Path = strings.TrimSuffix(base.Path, "/")
	x.base, reg = base, x.watched(reg)
	cfg := npmauth.Config{
		BaseURL: reg.BaseURL, Store: store.NewMemory(), Policy: freely(),
		Packages: reg.Packages, Documents: reg.Documents, Users: reg.Users, Orgs: reg.Orgs, Trust: publishers(),
	}
	if reg.Staging {
		cfg.Staging = new(npmauth.Staging)
	}
	auth, err := npmauth.New(cfg)
	require.NoError(t, err)
	x.Registry, x.auth, x.names, x.between = reg, auth, [2]string{"npmauth-first", "npmauth-second"}, func(int) {}
	for i := range x.names {
		if reg.Users == nil {
			u, err := auth.People().Create(t.Context(), audit.Actor{}, account.NewUser{Name: x.names[i], Password: credential.NewSecret("correct horse battery"), AnyPassword: true})
			require.NoError(t, err)
			x.Creators[i] = u.ID
			continue
		}
		require.NotEmpty(t, x.Creators[i], "Registry.Creators is needed where Users is set; %s", add(lineCreators))
		u, err := reg.Users.User(t.Context(), x.Creators[i])
		require.NoError(t, err, "Registry.Creators: Users.User(%q)", x.Creators[i])
		x.names[i] = u.Name
	}
	all, one := protocol.Grant{Target: protocol.AllPackages, Permission: protocol.ReadWrite}, protocol.Grant{Target: protocol.OnePackage, Package: another, Permission: protocol.ReadWrite}
	x.tokens = [4]string{x.token(t, first, all), x.token(t, second, all), x.token(t, first, one)}
	if org := reg.Private.Scope; org != "" {
		x.tokens[inOrg] = x.token(t, first, one, protocol.Grant{Target: protocol.OneOrg, Scope: org, Permission: protocol.ReadOnly})
	}
	x.handler = auth.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id, ok := host.IdentityFrom(r.Context()); ok && r.Method != http.MethodGet {
			op, _ := host.OperationFrom(r.Context())
			switch i := slices.Index(x.Creators[:], id.User); {
			case i >= 0 && op.Action == protocol.Publish:
				r.Body = &wholeBody{src: r.Body, read: func() { x.between(i) }}
			case i >= 0 && op.Action != protocol.Stage:
				x.between(i)
			}
		}
		x.serve(w, r)
	}))
}

// token creates a token of one of the two.
func (x *rig) token(t tb, who int, grants ...protocol.Grant) string {
	t.Helper()
	secret, _, err := x.auth.Tokens().Create(t.Context(), audit.Actor{}, token.Spec{User: x.Creators[who], Name: "host test", Bypass: true, Grants: grants})
	require.NoError(t, err)
	return secret.Reveal()
}

// A wholeBody reads all of src before it returns any of it, and calls read if that succeeded:
// npmauth has made its last decision then, and the host has not written.
type wholeBody struct {
	src  io.ReadCloser
	read func()
	once sync.Once
	data bytes.Reader
	err  error
}

func (b *wholeBody) Read(p []byte) (int, error) {
	b.once.Do(func() {
		var data []byte
		data, b.err = io.ReadAll(b.src)
		b.data.Reset(data)
		if b.err == nil {
			b.read()
		}
	})
	n, err := b.data.Read(p)
	if errors.Is(err, io.EOF) && b.err != nil {
		err = b.err
	}
	return n, err
}

func (b *wholeBody) Close() error { return b.src.Close() }

// once lets fn run in the next request that writes, and not in those that fn makes.
func (x *rig) once(fn func()) {
	var done sync.Once
	x.between = func(int) { done.Do(func() { x.between = func(int) {}; fn() }) }
}

// send sends a request as one of the senders. The pieces of its body arrive one after the
// other.
func (x *rig) send(ctx context.Context, who int, method, path string, pieces ...string) *httptest.ResponseRecorder {
	if who == nobody {
		return x.answer(x.request(ctx, method, path, pieces))
	}
	return x.present(ctx, x.tokens[who], method, path, pieces...)
}

// request returns a request without a credential.
func (x *rig) request(ctx context.Context, method, path string, pieces []string) *http.Request {
	var body []io.Reader
	for _, p := range pieces {
		body = append(body, strings.NewReader(p))
	}
	req := httptest.NewRequestWithContext(ctx, method, x.base.String()+path, io.MultiReader(body...))
	req.RequestURI, req.URL.Scheme, req.URL.Host = req.URL.RequestURI(), "", "" // as a server gives it to a handler
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req
}

// present sends a request with a credential.
func (x *rig) present(ctx context.Context, bearer, method, path string, pieces ...string) *httptest.ResponseRecorder {
	req := x.request(ctx, method, path, pieces)
	req.Header.Set("Authorization", "Bearer "+bearer)
	return x.answer(req)
}

func (x *rig) answer(req *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	if x.aborts(func() { x.handler.ServeHTTP(w, req) }) {
		w.Code = http.StatusBadGateway // as a proxy answers
	}
	return w
}

func success(status int) bool { return status >= 200 && status < 300 }

// path returns the path of Package's document.
func (x *rig) path() string { return "/" + url.PathEscape(x.Package.String()) }

// publish sends the publish of one of the two and returns its status.
func (x *rig) publish(ctx context.Context, who int, version string) int {
	return x.send(ctx, who, http.MethodPut, x.path(), string(PublishBody(x.Package, version))).Code
}

// publishAs is publish with a visibility, public or restricted.
func (x *rig) publishAs(ctx context.Context, who int, version, access string) int {
	body := strings.Replace(string(PublishBody(x.Package, version)), `"access":null`, `"access":"`+access+`"`, 1)
	return x.send(ctx, who, http.MethodPut, x.path(), body).Code
}

// published publishes as one of the two, undisturbed.
func (x *rig) published(t tb, who int, versions ...string) {
	t.Helper()
	for _, v := range versions {
		status := x.publish(t.Context(), who, v)
		require.True(t, success(status), "a publish of %s, undisturbed, was answered %d", v, status)
	}
}

// A document is a package's document, as it is served.
type document map[string]any

// read returns Package's document as the registry serves it to one of the two.
func (x *rig) read(t tb, who int) document {
	t.Helper()
	w := x.send(t.Context(), who, http.MethodGet, x.path()+"?write=true")
	require.Equal(t, http.StatusOK, w.Code, "GET %s: %s", x.path(), w.Body)
	var d document
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &d))
	return d
}

// state returns a document without the parts that each write or read changes.
func (d document) state() document {
	copied := d.copy()
	for _, field := range []string{"_rev", "time", "_etag", "_cached"} {
		delete(copied, field)
	}
	return copied
}

func (d document) copy() document {
	var c document
	if err := json.Unmarshal([]byte(d.text()), &c); err != nil {
		panic("hosttest: " + err.Error()) // it was JSON before
	}
	return c
}

func (d document) text() string {
	data, err := json.Marshal(d)
	if err != nil {
		panic("hosttest: " + err.Error())
	}
	return string(data)
}

func (d document) versions() map[string]any { v, _ := d["versions"].(map[string]any); return v }
func (d document) tags() map[string]any     { v, _ := d["dist-tags"].(map[string]any); return v }

// revision returns the document's _rev, and what npm writes into a path for one that has none.
func (d document) revision() string {
	if rev, ok := d["_rev"].(string); ok {
		return rev
	}
	return "undefined"
}

func (d document) manifest(version string) map[string]any {
	m, _ := d.versions()[version].(map[string]any)
	return m
}

// sendBack sends a document back, as npm does, and returns the status.
func (x *rig) sendBack(ctx context.Context, who int, d document) int {
	path := x.path()
	if rev, ok := d["_rev"].(string); ok && len(d) < 4 { // npm owner names the revision in the path
		path += "/-rev/" + url.PathEscape(rev)
	}
	return x.send(ctx, who, http.MethodPut, path, d.text()).Code
}

// owners sends a list of maintainers of Package.
func (x *rig) owners(t tb, who int, names ...string) int {
	t.Helper()
	var all []any
	for _, n := range names {
		all = append(all, map[string]any{"name": n, "email": n + "@registry.example"})
	}
	d := document{"_id": x.Package.String(), "maintainers": all}
	if rev, ok := x.read(t, who)["_rev"]; ok {
		d["_rev"] = rev
	}
	return x.sendBack(t.Context(), who, d)
}

// remove removes Package, on behalf of its owner.
func (x *rig) remove(t tb, who int) {
	t.Helper()
	if x.serves(protocol.UnpublishAll) {
		w := x.removeAt(t.Context(), who, x.read(t, who).revision())
		require.True(t, success(w.Code), "DELETE %s was answered %d: %s", x.path(), w.Code, w.Body)
		return
	}
	require.NotNil(t, x.Remove, "Registry.Remove is needed where UnpublishAll is not served; %s", add(lineRemove))
	require.NoError(t, x.Remove(t.Context(), x.Package))
}

// removeAt sends the DELETE of Package as a whole at a revision.
func (x *rig) removeAt(ctx context.Context, who int, revision string) *httptest.ResponseRecorder {
	return x.send(ctx, who, http.MethodDelete, x.path()+"/-rev/"+url.PathEscape(revision))
}

// settled checks that one creator owns the package and the other has no rights to it.
func (x *rig) settled(t tb, winner int) {
	t.Helper()
	won, err := x.Packages.Facts(t.Context(), x.Package, x.Creators[winner])
	require.NoError(t, err)
	lost, err := x.Packages.Facts(t.Context(), x.Package, x.Creators[1-winner])
	require.NoError(t, err)
	assert.NotEmpty(t, won.ID, "the package exists")
	assert.NotZero(t, won.Rights&policy.RightWrite, "its creator may write it")
	assert.Zero(t, lost.Rights&(policy.RightWrite|policy.RightAdmin), "the other has no part in it")
}
