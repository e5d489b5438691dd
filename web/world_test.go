package web_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/twofactor"
	"github.com/npmauth/npmauth/web"
)

// A world is a registry with two people and its pages. The managers are the real ones; their
// answers can be replaced by an error.
type world struct {
	testing.TB
	pages     *web.Pages
	store     store.Store
	sessions  *session.Manager
	factors   *twofactor.Manager
	now       time.Time
	passwords map[protocol.UserID]string
	recovery  []credential.Secret // alice's
	seed      string              // of alice's authenticator app

	request  *twofactor.Request // what every challenge is, if not nil
	broken   error              // what every call of the pages answers instead, if not nil
	calls    int                // of what may change something
	reported []error            // what the pages reported
	events   []audit.Event      // what the managers told of
	created  []web.NewAccount   // at the page for it
	during   func()             // runs while a password is checked, if not nil
}

const (
	alicePassword = "correct horse"
	bobPassword   = "battery staple"
	prefixed      = "https://npm.acme.test/registry/"
)

var npmClient = session.Client{Addr: netip.MustParseAddr("192.0.2.7"), UserAgent: "npm/11.19.1 node/v20.20.2 linux x64"}

// newWorld has alice, who has a second factor, and bob, who has none.
func newWorld(t testing.TB, base string) *world {
	w := &world{TB: t, store: store.NewMemory(), passwords: map[protocol.UserID]string{"u-alice": alicePassword, "u-bob": bobPassword}, now: time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)}
	now := func() time.Time { return w.now }
	var err error
	w.factors, err = twofactor.New(twofactor.Config{
		Store: w.store, Now: now, Events: w.recorder(),
	})
	require.NoError(t, err)
	w.sessions, err = session.New(session.Config{
		Store: w.store, Now: now, Events: w.recorder(),
		Lookup:        w.lookup,
		CheckPassword: w.checkPassword,
		SecondFactor:  w.factors.SignIn,
		Alive:         func(context.Context, protocol.UserID) error { return nil },
	})
	require.NoError(t, err)

	label, err := w.factors.Enrol(t.Context(), audit.Actor{}, "u-alice", "alice", protocol.AuthAndWrites)
	require.NoError(t, err)
	u, err := url.Parse(label.Reveal())
	require.NoError(t, err)
	w.seed = u.Query().Get("secret")
	w.recovery, err = w.factors.Confirm(t.Context(), audit.Actor{}, "u-alice", credential.NewSecret(w.code()))
	require.NoError(t, err)
	w.now = w.now.Add(time.Minute) // its step is used

	u, err = url.Parse(base)
	require.NoError(t, err)
	w.pages, err = web.New(w.config(u))
	require.NoError(t, err)
	return w
}

// newOpenWorld is newWorld with sign-up. The names of alice and bob are taken.
func newOpenWorld(t testing.TB, base string) *world {
	w := newWorld(t, base)
	u, err := url.Parse(base)
	require.NoError(t, err)
	cfg := w.config(u)
	cfg.SignUp = func(_ context.Context, in web.NewAccount) (string, error) {
		w.calls++
		switch {
		case w.broken != nil:
			return "", w.broken
		case w.passwords[protocol.UserID("u-"+in.Name)] != "":
			return "That user name is taken.", nil
		case !strings.Contains(in.Email, "@"):
			return "This is not an e-mail address.", nil
		}
		w.created = append(w.created, in)
		w.passwords[protocol.UserID("u-"+in.Name)] = in.Password.Reveal()
		return "", nil
	}
	w.pages, err = web.New(cfg)
	require.NoError(t, err)
	return w
}

func (w *world) config(base *url.URL) web.Config {
	return web.Config{
		BaseURL: base, Sessions: logins{w}, Factors: challenges{w}, Keys: credential.NewServerKey(w.store, "web"),
		CheckPassword: w.sessions.CheckPassword,
		Client: func(r *http.Request) session.Client {
			addr, _ := netip.ParseAddrPort(r.RemoteAddr)
			return session.Client{Addr: addr.Addr(), UserAgent: r.UserAgent(), At: w.now}
		},
		Report: func(_ *http.Request, err error) { w.reported = append(w.reported, err) },
	}
}

func (w *world) code() string {
	code, err := totp.GenerateCode(w.seed, w.now)
	require.NoError(w, err)
	return code
}

func (w *world) recorder() *audit.Recorder {
	return audit.NewRecorder(audit.RecorderConfig{
		Sink: audit.Func(func(_ context.Context, e audit.Event) { w.events = append(w.events, e) }),
	})
}

func (w *world) lookup(_ context.Context, name string) (session.User, error) {
	if w.passwords[protocol.UserID("u-"+name)] == "" {
		return session.User{}, session.ErrDenied
	}
	return session.User{ID: protocol.UserID("u-" + name), Name: name}, nil
}

func (w *world) checkPassword(_ context.Context, id protocol.UserID, pw credential.Secret) (bool, error) {
	want, ok := w.passwords[id]
	right := ok && want == pw.Reveal()
	if during := w.during; during != nil {
		during()
	}
	return right, nil
}

// dump is everything that is stored.
func (w *world) dump() string {
	items, err := w.store.List(w.Context(), "", "", 100)
	require.NoError(w, err)
	var b strings.Builder
	for _, it := range items {
		if strings.HasPrefix(it.Key, "password-guesses/") || it.Key == "serverkey/session" {
			continue // they are about passwords, and package session tests them
		}
		fmt.Fprintf(&b, "%s %d %s\n", it.Key, it.Revision, it.Value)
	}
	return b.String()
}

func (w *world) startLogin() session.Flow {
	f, err := w.sessions.Start(w.Context(), npmClient)
	require.NoError(w, err)
	return f
}

func (w *world) startChallenge() twofactor.Challenge {
	c, err := w.factors.Challenge(w.Context(), twofactor.NewChallenge{
		User: "u-alice", Name: "alice", Credential: "s-1", CredentialName: "laptop", Action: protocol.Publish, Items: []twofactor.Item{publishing("1.2.3")},
		Addr: npmClient.Addr, UserAgent: npmClient.UserAgent,
	})
	require.NoError(w, err)
	return c
}

// publishing is a publish of @acme/widget.
func publishing(version string) twofactor.Item {
	op := protocol.Operation{Action: protocol.Publish, Package: protocol.PackageName{Scope: "acme", Name: "widget"}}
	c := protocol.Change{Version: version, Tags: map[string]string{"latest": version}, Integrity: "sha512-AAAA"}
	return twofactor.Item{Package: op.Package, Change: c.Digest(op), Words: c.Words(op)}
}

// useOf returns the use of the proof for the item.
func useOf(credentialID string, it twofactor.Item) twofactor.Use {
	return twofactor.Use{Credential: credentialID, Action: protocol.Publish, Package: it.Package, Change: it.Change}
}

// logins and challenges are the managers, or return w.broken.
type logins struct{ w *world }

func (l logins) Page(ctx context.Context, id string) (session.Request, error) {
	return l.w.sessions.Page(ctx, id)
}

func (l logins) Approve(ctx context.Context, id string, in session.SignIn) error {
	l.w.calls++
	if l.w.broken != nil {
		return l.w.broken
	}
	return l.w.sessions.Approve(ctx, id, in)
}

func (l logins) ApproveAndStay(ctx context.Context, id string, in session.SignIn) (credential.Secret, session.Session, error) {
	l.w.calls++
	if l.w.broken != nil {
		return credential.Secret{}, session.Session{}, l.w.broken
	}
	return l.w.sessions.ApproveAndStay(ctx, id, in)
}

func (l logins) SignIn(ctx context.Context, in session.SignIn) (credential.Secret, session.Session, error) {
	l.w.calls++
	if l.w.broken != nil {
		return credential.Secret{}, session.Session{}, l.w.broken
	}
	return l.w.sessions.SignIn(ctx, in)
}

func (l logins) Verify(ctx context.Context, secret credential.Secret) (session.Session, error) {
	if l.w.broken != nil {
		return session.Session{}, l.w.broken
	}
	return l.w.sessions.Verify(ctx, secret)
}

func (l logins) Admit(ctx context.Context, user session.User, c session.Client) (credential.Secret, session.Session, error) {
	l.w.calls++
	if l.w.broken != nil {
		return credential.Secret{}, session.Session{}, l.w.broken
	}
	return l.w.sessions.Admit(ctx, user, c)
}

func (l logins) Deny(ctx context.Context, id string, c session.Client) error {
	l.w.calls++
	return l.w.sessions.Deny(ctx, id, c)
}

type challenges struct{ w *world }

func (c challenges) Pending(ctx context.Context, id string) (twofactor.Request, error) {
	if c.w.request != nil {
		return *c.w.request, nil
	}
	return c.w.factors.Pending(ctx, id)
}

func (c challenges) OffersKeys() bool { return c.w.factors.OffersKeys() }

func (c challenges) KeyOptions(ctx context.Context, user protocol.UserID, use twofactor.Use) ([]byte, error) {
	return c.w.factors.KeyOptions(ctx, user, use)
}

func (c challenges) PasskeyOptions(ctx context.Context, page string) ([]byte, error) {
	return c.w.factors.PasskeyOptions(ctx, page)
}

func (c challenges) Approve(ctx context.Context, in twofactor.Approval) (credential.Secret, error) {
	c.w.calls++
	if c.w.broken != nil {
		return credential.Secret{}, c.w.broken
	}
	return c.w.factors.Approve(ctx, in)
}

func (c challenges) Deny(ctx context.Context, id string, addr netip.Addr) error {
	c.w.calls++
	return c.w.factors.Deny(ctx, id, addr)
}

// A browser keeps cookies and sends the origin of its requests.
type browser struct {
	w       *world
	cookies map[string]*http.Cookie
	header  http.Header // added to every request
	last    string      // path of the page with the form that was loaded last
}

func (w *world) browser() *browser {
	return &browser{w: w, cookies: map[string]*http.Cookie{}, header: http.Header{}}
}

func (b *browser) do(method, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://npm.acme.test"+path, strings.NewReader(body))
	r.RemoteAddr = "192.0.2.7:40000"
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for name, values := range b.header {
		r.Header.Del(name)
		for _, v := range values {
			if v != "" {
				r.Header.Add(name, v)
			}
		}
	}
	for _, c := range b.cookies {
		if strings.HasPrefix(path, c.Path) {
			r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
		}
	}
	rec := httptest.NewRecorder()
	b.w.pages.ServeHTTP(rec, r)
	for _, c := range rec.Result().Cookies() {
		b.cookies[c.Name] = c
	}
	return rec
}

func (b *browser) get(path string) *httptest.ResponseRecorder { return b.do(http.MethodGet, path, "") }

var tokenField = regexp.MustCompile(`name="token" value="([^"]+)"`)

// form loads the page and returns its fields, filled in for a decision.
func (b *browser) form(path string, fields ...string) url.Values {
	b.last = path
	rec := b.get(path)
	require.Equal(b.w, http.StatusOK, rec.Code, "%s", rec.Body)
	token := tokenField.FindStringSubmatch(rec.Body.String())
	require.NotNil(b.w, token)
	form := url.Values{"token": {token[1]}}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	return form
}

// submit loads the page and sends its form.
func (b *browser) submit(path string, fields ...string) *httptest.ResponseRecorder {
	return b.do(http.MethodPost, path, b.form(path, fields...).Encode())
}

func loginPath(f session.Flow) string            { return "/registry/-/auth/login/" + f.PageID }
func signUpPath(f session.Flow) string           { return "/registry/-/auth/signup/" + f.PageID }
func challengePath(c twofactor.Challenge) string { return "/registry/-/auth/challenge/" + c.PageID }
