package npmauth_test

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/host/hosttest"
	"github.com/npmauth/npmauth/internal/kdf"
	"github.com/npmauth/npmauth/internal/keystest"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/token"
	"github.com/npmauth/npmauth/twofactor"
)

const password = "correct horse battery staple"

// A clock is the time of a test, which stands still unless it is moved.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// A host is a registry that keeps what it is told to write, and nothing else of
// it: who owns a package and which versions it has.
type backend struct {
	mu       sync.Mutex
	packages map[protocol.PackageName]*hosted
	writes   []string // every request that changed something, or would have
	reads    []string
	facts    int                        // how often it was asked
	wrote    func()                     // called when it has written; nil is nobody
	asked    func()                     // called at each question; nil is nobody
	fail     error                      // what Facts answers instead
	boom     bool                       // Facts panics
	closed   bool                       // nobody may create a package
	silent   bool                       // it does not say what it has created
	orgs     map[string]policy.OrgFacts // by "org user"
	scopes   map[protocol.UserID]string // of users' own names
	revision string                     // of every document; "" is none
	kept     map[string]string          // versions that are staged, by their IDs
	demanded map[protocol.UserID]bool   // who is in an org that requires a second factor
}

type hosted struct {
	id       protocol.PackageID
	private  bool
	demands  bool // its organization requires a second factor
	evidence policy.Evidence
	rights   map[protocol.UserID]policy.Rights
	versions []string

	deprecated  map[string]string
	tags        map[string]string
	maintainers []string
}

const allRights = policy.RightRead | policy.RightWrite | policy.RightAdmin

func newBackend() *backend {
	return &backend{packages: map[protocol.PackageName]*hosted{}, kept: map[string]string{}, orgs: map[string]policy.OrgFacts{}, scopes: map[protocol.UserID]string{}, demanded: map[protocol.UserID]bool{}}
}

// Document tells the versions that were published or added, and what was set beside them.
func (h *backend) Document(_ context.Context, pkg protocol.PackageName) (host.Document, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fail != nil {
		return host.Document{}, h.fail
	}
	p := h.packages[pkg]
	if p == nil {
		return host.Document{}, nil
	}
	d := host.Document{ID: p.id, Revision: h.revision, Versions: map[string]string{}, Tags: maps.Clone(p.tags), Maintainers: slices.Clone(p.maintainers)}
	for _, v := range p.versions {
		d.Versions[v] = p.deprecated[v]
	}
	return d, nil
}

func (h *backend) OrgFacts(_ context.Context, org string, user protocol.UserID) (policy.OrgFacts, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.asked != nil {
		h.asked()
	}
	if user == "" { // is there one?
		for of, facts := range h.orgs {
			if name, _, _ := strings.Cut(of, " "); name == org {
				return policy.OrgFacts{ID: facts.ID}, h.fail
			}
		}
	}
	return h.orgs[org+" "+string(user)], h.fail
}

// Memberships are in the order of the names.
func (h *backend) Memberships(_ context.Context, user protocol.UserID) (list []host.Membership, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, of := range slices.Sorted(maps.Keys(h.orgs)) {
		if name, id, _ := strings.Cut(of, " "); id == string(user) {
			list = append(list, host.Membership{Org: name, Role: h.orgs[of].Role, RequireFactor: h.orgs[of].RequireFactor})
		}
	}
	return list, h.fail
}

func (h *backend) OwnScope(_ context.Context, user protocol.UserID) (string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.scopes[user], h.fail
}

func (h *backend) SetRequireFactor(_ context.Context, org protocol.OrgID, require bool) (host.Write, error) {
	return func(context.Context) error {
		h.mu.Lock()
		defer h.mu.Unlock()
		for of, facts := range h.orgs {
			if facts.ID == org {
				facts.RequireFactor = require
				h.orgs[of] = facts
			}
		}
		h.write(fmt.Sprintf("set-org-factor %s %v", org, require))
		return h.fail
	}, h.fail
}

func (h *backend) FactorRequired(_ context.Context, user protocol.UserID) (bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.demanded[user], h.fail
}

func (h *backend) Facts(_ context.Context, pkg protocol.PackageName, user protocol.UserID) (policy.Facts, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.facts++
	if h.asked != nil {
		h.asked()
	}
	if h.boom {
		panic("boom")
	}
	if h.fail != nil {
		return policy.Facts{}, h.fail
	}
	p := h.packages[pkg]
	if p == nil {
		return policy.Facts{MayCreate: user != "" && pkg.Scope != "evil" && !h.closed}, nil
	}
	return policy.Facts{ID: p.id, Private: p.private, Rights: p.rights[user], RequireFactor: p.demands, Evidence: p.evidence}, nil
}

func (h *backend) add(name string, private bool, owner protocol.UserID) protocol.PackageID {
	pkg, err := protocol.ParsePackageName(name)
	if err != nil {
		panic(err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	p := &hosted{id: protocol.PackageID("id-" + name), private: private, rights: map[protocol.UserID]policy.Rights{owner: allRights}}
	h.packages[pkg] = p
	return p.id
}

// addWith adds a package that has versions.
func (h *backend) addWith(name string, owner protocol.UserID, versions ...string) {
	h.add(name, false, owner)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.packages[protocol.PackageName{Name: name}].versions = versions
}

// demand lets the organization of a package require a second factor.
func (h *backend) demand(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.packages[protocol.PackageName{Name: name}].demands = true
}

func (h *backend) written() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.writes...)
}

// write writes down what was done. h.mu is held.
func (h *backend) write(what string) {
	h.writes = append(h.writes, what)
	if h.wrote != nil {
		h.wrote()
	}
}

func (h *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	op, ok := host.OperationFrom(r.Context())
	if !ok {
		io.WriteString(w, "public")
		return
	}
	id, _ := host.IdentityFrom(r.Context())
	if !op.Action.Write() {
		h.mu.Lock()
		h.reads = append(h.reads, op.Action.String()+" "+op.Package.String())
		h.mu.Unlock()
		fmt.Fprintf(w, `{"read":%q}`, op.Action)
		return
	}
	if op.Action == protocol.Publish || op.Action == protocol.Stage {
		if _, err := io.ReadAll(r.Body); err != nil {
			http.Error(w, "the host's own words", http.StatusInternalServerError)
			return
		}
		change, err := op.Change()
		if err != nil {
			http.Error(w, "the host's own words", http.StatusInternalServerError)
			return
		}
		created, ok := h.publish(op, id, change)
		if !ok {
			http.Error(w, `{"error":"changed"}`, http.StatusConflict)
			return
		}
		if created != "" && !h.silent {
			_ = op.Created(r.Context(), created) // it is there all the same
		}
		fmt.Fprint(w, `{"ok":true}`)
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if s := op.Staged; s != nil {
		if h.kept[s.ID] == "" {
			http.Error(w, `{"error":"it was not kept"}`, http.StatusNotFound)
			return
		}
		if op.Action == protocol.ApproveStaged {
			p := h.packages[op.Package]
			if p == nil && op.PackageID == "" {
				p = &hosted{id: protocol.PackageID("id-" + op.Package.String()), rights: map[protocol.UserID]policy.Rights{s.By.User: allRights}}
				h.packages[op.Package] = p
			}
			if p == nil || op.PackageID != "" && p.id != op.PackageID || slices.Contains(p.versions, s.Version) {
				http.Error(w, `{"error":"changed"}`, http.StatusConflict)
				return
			}
			p.versions = append(p.versions, s.Version)
		}
		delete(h.kept, s.ID)
	}
	written := op.Action.String() + " " + op.Package.String() + " " + named(op)
	if c, err := op.Change(); err == nil {
		written += " " + told(c)
	}
	h.write(written)
	fmt.Fprint(w, `{"ok":true}`)
}

// publish adds a version, and returns the ID of the package if that is new. It reports whether the package is the one
// that was decided on.
func (h *backend) publish(op host.Operation, id host.Identity, change protocol.Change) (created protocol.PackageID, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.packages[op.Package]
	switch {
	case op.Action == protocol.Stage:
		h.kept[op.ID] = change.Version
		h.write("stage " + op.Package.String() + "@" + change.Version)
		return "", true
	case p == nil && op.PackageID == "":
		created = protocol.PackageID("id-" + op.Package.String())
		p = &hosted{id: created, rights: map[protocol.UserID]policy.Rights{id.Owns(): allRights}}
		h.packages[op.Package] = p
	case p == nil || p.id != op.PackageID:
		return "", false
	}
	p.versions = append(p.versions, change.Version)
	h.write("publish " + op.Package.String() + "@" + change.Version)
	return created, true
}

// named is what op names besides its package.
func named(op host.Operation) string {
	text := op.Version + op.Tag + op.User + op.Org + op.Service + op.ID + op.Token
	if op.Team != "" {
		text += ":" + op.Team
	}
	if op.Version == "" {
		text += op.Revision
	}
	return text
}

// told is what of c says something, as JSON.
func told(c protocol.Change) string {
	all := map[string]any{}
	v := reflect.ValueOf(c)
	for i := range v.NumField() {
		if f := v.Field(i); !f.IsZero() {
			all[v.Type().Field(i).Name] = f.Interface()
		}
	}
	text, err := json.Marshal(all)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// events collects what was recorded.
type events struct {
	mu   sync.Mutex
	all  []audit.Event
	tell func(audit.Event) // if not nil, what else hears of each
}

func (e *events) Record(_ context.Context, ev audit.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, ev)
	if e.tell != nil {
		e.tell(ev)
	}
}

func (e *events) has(t audit.Type) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, ev := range e.all {
		if ev.Type == t {
			return true
		}
	}
	return false
}

// A world is a registry with npmauth in front of it, and a clock.
type world struct {
	t       *testing.T
	auth    *npmauth.Auth
	host    *backend
	store   store.Store
	clock   *clock
	events  *events
	handler http.Handler
	ids     map[string]protocol.UserID
	secrets map[string]string // of authenticator apps
}

func newWorld(t *testing.T, change ...func(*npmauth.Config)) *world {
	t.Helper()
	w := &world{
		t: t, host: newBackend(), store: store.NewMemory(), events: &events{},
		clock: &clock{t: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)},
		ids:   map[string]protocol.UserID{}, secrets: map[string]string{},
	}
	cfg := npmauth.Config{
		BaseURL: "https://npm.acme.test/", Store: w.store, Packages: w.host, Documents: w.host, Orgs: w.host, OpenSignUp: true, Keys: keystest.Keys,
		Audit: w.events, Now: w.clock.Now, Hasher: quickHasher(t),
	}
	for _, f := range change {
		f(&cfg)
	}
	if _, ok := cfg.Users.(host.SignUp); cfg.Users != nil && !ok {
		cfg.OpenSignUp = false
	}
	auth, err := npmauth.New(cfg)
	require.NoError(t, err)
	w.store = cfg.Store
	w.auth, w.handler = auth, auth.Wrap(w.host)
	return w
}

// What is tested here is not argon2id, which would take three quarters of the time.
func init() { kdf.Replace(quickKey) }

func quickKey(password, salt []byte, time, memory uint32, threads uint8, size uint32) []byte {
	key, err := hkdf.Key(sha256.New, password, salt, fmt.Sprint(time, memory, threads), int(size))
	if err != nil {
		panic(err)
	}
	return key
}

var hasherOnce = sync.OnceValues(func() (*account.Hasher, error) { return account.NewHasher(account.HasherConfig{}) })

func quickHasher(t *testing.T) *account.Hasher {
	t.Helper()
	h, err := hasherOnce()
	require.NoError(t, err)
	return h
}

// person makes an account.
func (w *world) person(name string) protocol.UserID {
	w.t.Helper()
	u, err := w.auth.People().Create(w.t.Context(), audit.Actor{}, account.NewUser{Name: name, Email: name + "@acme.test", Password: credential.NewSecret(password)})
	require.NoError(w.t, err)
	w.ids[name] = u.ID
	return u.ID
}

// login signs name in without a browser and returns the session's token.
func (w *world) login(name string) string {
	w.t.Helper()
	in := session.SignIn{Name: name, Password: credential.NewSecret(password), Via: "test"}
	if w.secrets[name] != "" {
		in.OTP = credential.NewSecret(w.code(name))
	}
	secret, _, err := w.auth.Sessions().SignIn(w.t.Context(), in)
	require.NoError(w.t, err)
	return secret.Reveal()
}

// enrol turns on a second factor, in a mode, and returns its recovery codes.
func (w *world) enrol(name string, mode protocol.TwoFactorMode) []string {
	w.t.Helper()
	link, err := w.auth.Factors().Enrol(w.t.Context(), audit.Actor{}, w.ids[name], name, mode)
	require.NoError(w.t, err)
	u, err := url.Parse(link.Reveal())
	require.NoError(w.t, err)
	w.secrets[name] = u.Query().Get("secret")
	require.NotEmpty(w.t, w.secrets[name])
	codes, err := w.auth.Factors().Confirm(w.t.Context(), audit.Actor{User: w.ids[name]}, w.ids[name], credential.NewSecret(w.codeNow(name)))
	require.NoError(w.t, err)
	var out []string
	for _, c := range codes {
		out = append(out, c.Reveal())
	}
	return out
}

// key gives the account a security key, and returns the recovery codes if it is the first factor.
func (w *world) key(name, id string) (codes []credential.Secret) {
	w.t.Helper()
	options, err := w.auth.Factors().BeginRegistration(w.t.Context(), w.ids[name], name)
	require.NoError(w.t, err)
	require.NoError(w.t, store.Transact(w.t.Context(), w.store, func(tx *store.Tx) (err error) {
		_, codes, err = w.auth.Factors().AddKeyTx(w.t.Context(), tx, audit.Actor{}, w.ids[name], id, keystest.Make(options, id))
		return err
	}))
	w.clock.Add(2 * time.Second) // it was not the node that did so
	return codes
}

// signs returns what the key of the user signs with these options, as a value to present.
func signs(options []byte, id string) string {
	return twofactor.KeyValue(keystest.Sign(options, id)).Reveal()
}

// codeNow is what the authenticator app shows at the clock's time.
func (w *world) codeNow(name string) string {
	w.t.Helper()
	code, err := totp.GenerateCode(w.secrets[name], w.clock.Now())
	require.NoError(w.t, err)
	return code
}

// code moves the clock until the app shows a code that was never used.
func (w *world) code(name string) string {
	w.t.Helper()
	w.clock.Add(30 * time.Second)
	return w.codeNow(name)
}

// token makes a granular token, as the operator.
func (w *world) token(name string, spec token.Spec) (string, token.Token) {
	w.t.Helper()
	spec.User = w.ids[name]
	if spec.Name == "" {
		spec.Name = "test"
	}
	secret, tok, err := w.auth.Tokens().Create(w.t.Context(), audit.Actor{}, spec)
	require.NoError(w.t, err)
	return secret.Reveal(), tok
}

func grantAll(p protocol.Permission) []protocol.Grant {
	return []protocol.Grant{{Target: protocol.AllPackages, Permission: p}}
}

// An answer is what came back.
type answer struct {
	*httptest.ResponseRecorder
	json map[string]any
}

func (a answer) text(field string) string { s, _ := a.json[field].(string); return s }

// A call is a request in the making.
type call struct {
	method, path string
	body         any // string, []byte, a Reader, or a value for JSON
	bearer       string
	otp          string
	header       map[string]string
	lines        http.Header // headers of several lines
	addr         string
	session      string // ID of the session that its cookie is of, for a test to know
}

func (w *world) do(c call) answer {
	w.t.Helper()
	return w.send(w.handler, c)
}

// bytes is a body as it is sent.
func (w *world) bytes(body any) []byte {
	w.t.Helper()
	switch b := body.(type) {
	case nil:
		return nil
	case string:
		return []byte(b)
	case []byte:
		return b
	}
	data, err := json.Marshal(body)
	require.NoError(w.t, err)
	return data
}

func (w *world) send(h http.Handler, c call) answer {
	w.t.Helper()
	var body io.Reader = http.NoBody
	switch b := c.body.(type) {
	case nil:
	case io.Reader:
		body = b
	default:
		body = bytes.NewReader(w.bytes(b))
	}
	r := httptest.NewRequestWithContext(w.t.Context(), c.method, c.path, body)
	if c.body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.bearer != "" {
		r.Header.Set("Authorization", "Bearer "+c.bearer)
	}
	if c.otp != "" {
		r.Header.Set("Npm-Otp", c.otp)
	}
	for k, v := range c.header {
		r.Header.Set(k, v)
	}
	maps.Copy(r.Header, c.lines)
	if c.addr != "" {
		r.RemoteAddr = c.addr
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	a := answer{ResponseRecorder: rec}
	_ = json.Unmarshal(rec.Body.Bytes(), &a.json)
	return a
}

// publish sends a publish of name at version.
func (w *world) publish(name, version, bearer, otp string) answer {
	w.t.Helper()
	pkg, err := protocol.ParsePackageName(name)
	require.NoError(w.t, err)
	return w.do(call{method: "PUT", path: "/" + strings.Replace(name, "/", "%2f", 1), body: hosttest.PublishBody(pkg, version), bearer: bearer, otp: otp})
}

// isChallenge checks that a is the challenge that every client understands.
func isChallenge(t *testing.T, a answer) {
	t.Helper()
	require.Equal(t, http.StatusUnauthorized, a.Code, a.Body.String())
	require.Equal(t, []string{"OTP, otp"}, a.Header()["Www-Authenticate"])
	require.Contains(t, a.text("error"), "one-time pass")
	require.Equal(t, a.text("error"), a.text("message"))
	require.NotEmpty(t, a.Header().Get("Npm-Notice"))
}

var hiddenField = regexp.MustCompile(`name="([^"]+)"\s+value="([^"]*)"`)

// open fetches a page and returns its hidden fields and its cookie.
func (w *world) open(pageURL string) (url.Values, string, answer) {
	w.t.Helper()
	a := w.do(call{method: "GET", path: strings.TrimPrefix(pageURL, "https://npm.acme.test")})
	form := url.Values{}
	for _, m := range hiddenField.FindAllStringSubmatch(a.Body.String(), -1) {
		if !form.Has(m[1]) { // the form that approves comes first, the one that refuses after it
			form.Set(m[1], m[2])
		}
	}
	cookie, _, _ := strings.Cut(a.Header().Get("Set-Cookie"), ";")
	return form, cookie, a
}

// submit sends the form of a page back, with more fields.
func (w *world) submit(pageURL string, fields map[string]string) answer {
	w.t.Helper()
	form, cookie, a := w.open(pageURL)
	require.Equal(w.t, http.StatusOK, a.Code, a.Body.String())
	return w.fill(pageURL, form, cookie, fields)
}

// fill sends the form of a page that was opened back, with more fields.
func (w *world) fill(pageURL string, form url.Values, cookie string, fields map[string]string) answer {
	w.t.Helper()
	return w.do(w.filled(pageURL, form, cookie, fields))
}

// filled returns the request that sends a form back.
func (w *world) filled(pageURL string, form url.Values, cookie string, fields map[string]string) call {
	for k, v := range fields {
		form.Set(k, v)
	}
	return call{method: "POST", path: strings.TrimPrefix(pageURL, "https://npm.acme.test"), body: form.Encode(), header: map[string]string{
		"Content-Type": "application/x-www-form-urlencoded", "Cookie": cookie, "Origin": "https://npm.acme.test", "Sec-Fetch-Site": "same-origin",
	}}
}
