package npmauth_test

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/host/hosttest"
	"github.com/npmauth/npmauth/internal/keystest"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/settings"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
	"github.com/npmauth/npmauth/token"
	"github.com/npmauth/npmauth/trust"
	"github.com/npmauth/npmauth/twofactor"
)

// A writing is one form of an action that changes something: a request that succeeds, and
// how to tell that it did.
type writing struct {
	name   string
	action protocol.Action // what the policy calls it once its body is read

	// own reports that npmauth does it itself. What it does not is handed over to the
	// host, which writes it down.
	own bool

	// table reports that a table of the host does it, and not its handler.
	table bool

	// several reports that the host is handed several requests, of which one answer tells: its refusal of one is none of
	// the request.
	several bool

	// open reports that the request shows no credential in its Authorization header.
	open bool

	// refused is why nobody can do it. Then the request is one that is always refused.
	refused string

	// relayed reports that a page sends it on to the API, with the session of its browser.
	relayed bool

	// with changes the configuration of the worlds that it happens in. Nil changes nothing.
	with func(*npmauth.Config)

	// prepare does what comes before the request, in a world of its own, and returns it.
	prepare func(w *world) prepared
}

// A prepared is a request about to be sent, which succeeds in the world it was made for.
type prepared struct {
	call call            // with its code or proof as otp, if it takes one there
	user protocol.UserID // whose credential, password or factor it shows; "" is nobody's
	done func() bool     // whether its effect is there; it changes nothing
}

// world returns a world for one run of u. What change says counts last.
func (u writing) world(t *testing.T, change ...func(*npmauth.Config)) *world {
	t.Helper()
	if u.with != nil {
		change = append([]func(*npmauth.Config){u.with}, change...)
	}
	return newWorld(t, append([]func(*npmauth.Config){leakScanner().keys, trusts, stages}, change...)...)
}

// brandNew is the name that no package has.
var brandNew = protocol.PackageName{Name: "brand-new"}

// pending adds a trusted publisher that is pending for brandNew, and returns its ID.
func (w *world) pending(user string) string {
	w.t.Helper()
	added, err := w.auth.Trust().AddPending(w.t.Context(), audit.Actor{User: w.ids[user]}, brandNew, pendingPublisher(w.t))
	require.NoError(w.t, err)
	return added.ID
}

// stored reports whether the row of that key is there.
func (w *world) stored(key string) bool {
	w.t.Helper()
	items, err := w.store.Get(w.t.Context(), key)
	require.NoError(w.t, err)
	return items[0].Exists()
}

// factor returns the second factor that the request shows, in a header or in a form; "" is none.
func (p prepared) factor() string {
	if text, ok := p.call.body.(string); ok && p.call.header["Content-Type"] == "application/x-www-form-urlencoded" {
		form, err := url.ParseQuery(text)
		if err != nil {
			panic(err)
		}
		return cmp.Or(form.Get("code"), twofactor.KeyValue([]byte(form.Get("key"))).Reveal())
	}
	return p.call.otp
}

// anonymous returns the request without what it shows of somebody.
func (p prepared) anonymous() call {
	c := p.call
	c.bearer, c.otp = "", ""
	return c
}

// withoutCode returns the request without its second factor.
func (p prepared) withoutCode() call {
	c := p.call
	c.otp = ""
	return c
}

// leakScanner reports leaks in every world of a writing.
var leakScanner = sync.OnceValue(func() scanner {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return scanner{key}
})

// An account is what alice leaves in a store when she has signed up, enrolled and logged in,
// so that a world which begins there waits for no password.
type anAccount struct {
	rows   []store.Item
	id     protocol.UserID
	totp   string
	bearer string
	clock  time.Time
}

var accounts sync.Map // of [protocol.TwoFactorMode] to func() *anAccount

// accountOf returns the account of alice in that mode, which is made once.
func accountOf(t *testing.T, mode protocol.TwoFactorMode) *anAccount {
	t.Helper()
	make, _ := accounts.LoadOrStore(mode, sync.OnceValue(func() *anAccount {
		w := newWorld(t)
		w.person("alice")
		if mode != protocol.TwoFactorOff {
			w.enrol("alice", mode)
		}
		s := w.login("alice")
		rows, err := w.store.List(t.Context(), "", "", store.MaxLimit)
		require.NoError(t, err)
		require.Less(t, len(rows), store.MaxLimit)
		return &anAccount{rows: rows, id: w.ids["alice"], totp: w.secrets["alice"], bearer: s, clock: w.clock.Now()}
	}))
	return make.(func() *anAccount)()
}

// alice makes an account, what the writings are about, and a session of it: the package
// plain with two versions, the organization acme, and the second factor if mode is one.
func (w *world) alice(mode protocol.TwoFactorMode) (bearer string) {
	w.t.Helper()
	a := accountOf(w.t, mode)
	require.NotNil(w.t, a)
	for _, it := range a.rows {
		_, err := w.store.Commit(w.t.Context(), store.Op{Key: it.Key, At: store.Any, Action: store.Put, Value: it.Value, Expires: it.Expires})
		require.NoError(w.t, err)
	}
	w.ids["alice"] = a.id
	if a.totp != "" {
		w.secrets["alice"] = a.totp
	}
	w.clock.Add(a.clock.Sub(w.clock.Now()))
	w.host.add("plain", false, a.id)
	p := w.host.packages[protocol.PackageName{Name: "plain"}]
	p.versions, p.tags, p.maintainers = []string{"1.0.0", "2.0.0"}, map[string]string{"latest": "2.0.0", "old": "1.0.0"}, []string{"alice", "bob"}
	w.host.revision = "7-a"
	w.host.orgs["acme "+string(a.id)] = policy.OrgFacts{ID: "o-1", Role: protocol.OrgOwner}
	w.host.scopes[a.id] = "alice"
	return a.bearer
}

// hostWrote reports whether anything was handed over to the host.
func (w *world) hostWrote() bool { return len(w.host.written()) > 0 }

// subject returns what is known of name's account.
func (w *world) subject(name string) subject.Subject {
	w.t.Helper()
	sub, err := w.auth.Subjects().Get(w.t.Context(), w.ids[name])
	require.NoError(w.t, err)
	return sub
}

// sessions returns how many live sessions name has.
func (w *world) sessions(name string) int {
	w.t.Helper()
	list, _, err := w.auth.Sessions().List(w.t.Context(), w.ids[name], "", 100)
	require.NoError(w.t, err)
	return len(list)
}

// tokens returns how many tokens name has.
func (w *world) tokens(name string) int {
	w.t.Helper()
	_, _, total, err := w.auth.Tokens().List(w.t.Context(), w.ids[name], token.ListOptions{Limit: 1})
	require.NoError(w.t, err)
	return total
}

// noToken reports whether name has no token with this ID.
func (w *world) noToken(name, id string) bool {
	w.t.Helper()
	_, err := w.auth.Tokens().Get(w.t.Context(), w.ids[name], id)
	if err != nil {
		require.ErrorIs(w.t, err, token.ErrNotFound)
	}
	return err != nil
}

// did reports whether an event tells that something was done.
func (e *events) did(t audit.Type) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, ev := range e.all {
		if ev.Type == t && ev.Outcome == audit.Done {
			return true
		}
	}
	return false
}

// more returns whether count is more than it was when more was called.
func more(count func() int) func() bool {
	before := count()
	return func() bool { return count() > before }
}

// withCode prepares c for a session of alice's and a code of her second factor.
func withCode(c call) func(*world) prepared {
	return func(w *world) prepared {
		c := c
		c.bearer = w.alice(protocol.AuthAndWrites)
		c.otp = w.code("alice")
		return prepared{c, w.ids["alice"], w.hostWrote}
	}
}

// withKey prepares c for a session of alice's and with what her security key signs for it.
func withKey(c call) func(*world) prepared {
	return func(w *world) prepared {
		c := c
		c.bearer = w.alice(protocol.AuthAndWrites)
		w.key("alice", "blue")
		c.otp = w.signed(c.bearer, c, "blue")
		return prepared{c, w.ids["alice"], w.hostWrote}
	}
}

// withSession prepares c for a session of alice's, whose account has that mode, and no code.
func withSession(mode protocol.TwoFactorMode, c call) func(*world) prepared {
	return func(w *world) prepared {
		c := c
		c.bearer = w.alice(mode)
		return prepared{c, w.ids["alice"], w.hostWrote}
	}
}

// withBypass prepares c for a token of alice's that needs no second factor.
func withBypass(c call) func(*world) prepared {
	return func(w *world) prepared {
		c := c
		w.alice(protocol.AuthAndWrites)
		c.bearer, _ = w.token("alice", token.Spec{Grants: grantAll(protocol.ReadWrite), Bypass: true})
		return prepared{c, w.ids["alice"], w.hostWrote}
	}
}

// withOrgToken prepares c for a token of alice's for the organization acme, and a code.
func withOrgToken(c call) func(*world) prepared {
	return func(w *world) prepared {
		c := c
		w.alice(protocol.AuthAndWrites)
		c.bearer, _ = w.token("alice", token.Spec{Grants: []protocol.Grant{{Target: protocol.OneOrg, Scope: "acme", Permission: protocol.ReadWrite}}})
		c.otp = w.code("alice")
		return prepared{c, w.ids["alice"], w.hostWrote}
	}
}

// withProof prepares c for a session of alice's and the proof of a page that she approved
// for it.
func withProof(c call) func(*world) prepared {
	return func(w *world) prepared {
		c := c
		c.bearer = w.alice(protocol.AuthAndWrites)
		c.otp = w.approve(w.do(c), "alice")
		return prepared{c, w.ids["alice"], w.hostWrote}
	}
}

// until replaces done.
func until(prepare func(*world) prepared, done func(w *world) func() bool) func(*world) prepared {
	return func(w *world) prepared {
		p := prepare(w)
		p.done = done(w)
		return p
	}
}

// signingUp is the body of a login that makes an account.
func signingUp(name string) map[string]any {
	body := couchUser(name)
	body["email"] = name + "@acme.test"
	return body
}

func putDocument(path, body string) call { return call{method: "PUT", path: path, body: body} }

func publishOf(name, version string) call {
	return call{method: "PUT", path: "/" + name, body: hosttest.PublishBody(protocol.PackageName{Name: name}, version)}
}

// stageOf stages a version.
func stageOf(name, version string) call {
	return call{method: "POST", path: "/-/stage/package/" + name, body: hosttest.PublishBody(protocol.PackageName{Name: name}, version)}
}

// aboutStaged prepares a request about a staged version, with a code.
func aboutStaged(method, behind string) func(*world) prepared {
	return func(w *world) prepared {
		bearer := w.alice(protocol.AuthAndWrites)
		id := w.staged("plain", "3.0.0", bearer)
		w.host.writes = nil
		return prepared{call{method: method, path: "/-/stage/" + id + behind, bearer: bearer, otp: w.code("alice")}, w.ids["alice"], w.hostWrote}
	}
}

// aboutSeveral prepares a decision about two staged versions, with a code.
func aboutSeveral(decision string) func(*world) prepared {
	return func(w *world) prepared {
		bearer := w.alice(protocol.AuthAndWrites)
		c := decides(decision, w.staged("plain", "3.0.0", bearer), w.staged("plain", "3.1.0", bearer))
		w.host.writes = nil
		c.bearer, c.otp = bearer, w.code("alice")
		return prepared{c, w.ids["alice"], func() bool { return len(w.host.written()) == 2 }}
	}
}

func setUser(body string) call { return call{method: "POST", path: "/-/npm/v1/user", body: body} }

// newPassword is what a password is changed to.
const newPassword = "another password of mine"

func tfa(mode string) string { return `{"tfa":{"mode":"` + mode + `","password":"` + password + `"}}` }

// createCall asks for a token.
func createCall(more string) call {
	return call{method: "POST", path: "/-/npm/v1/tokens", body: specBody(more)}
}

const readWrite = `,"packages_and_scopes_permission":"read-write","bypass_2fa":true`

func moreTokens(name string) func(*world) func() bool {
	return func(w *world) func() bool { return more(func() int { return w.tokens(name) }) }
}

// aboutToken prepares a request about a token of alice's, whose key replaces KEY and whose
// text replaces SECRET in its path.
func aboutToken(mode protocol.TwoFactorMode, c call, done func(w *world, id string) func() bool) func(*world) prepared {
	return func(w *world) prepared {
		c := c
		c.bearer = w.alice(mode)
		secret, tok := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadWrite), Bypass: true, Days: 5})
		c.path = strings.NewReplacer("KEY", tok.ID, "SECRET", secret).Replace(c.path)
		if mode != protocol.TwoFactorOff {
			c.otp = w.code("alice")
		}
		return prepared{c, w.ids["alice"], done(w, tok.ID)}
	}
}

// aboutSession prepares a request of alice's about another session of hers, whose ID replaces KEY in
// its path.
func aboutSession(mode protocol.TwoFactorMode, c call) func(*world) prepared {
	return func(w *world) prepared {
		c := c
		c.bearer = w.alice(mode)
		c.path = strings.Replace(c.path, "KEY", w.sessionID(w.login("alice")), 1)
		if mode != protocol.TwoFactorOff {
			c.otp = w.code("alice")
		}
		before := w.sessions("alice")
		return prepared{c, w.ids["alice"], func() bool { return w.sessions("alice") < before }}
	}
}

func gone(w *world, id string) func() bool { return func() bool { return w.noToken("alice", id) } }

// aboutService prepares a request of alice's about the tokens of the service account ci
// that she administers, the key of one of which replaces KEY in its path.
func aboutService(mode protocol.TwoFactorMode, c call, done func(w *world, id string) func() bool) func(*world) prepared {
	return func(w *world) prepared {
		c := c
		c.bearer = w.alice(mode)
		w.service("ci", w.ids["alice"])
		_, tok := w.token("ci", token.Spec{Grants: grantAll(protocol.ReadWrite), Bypass: true, Days: 5})
		c.path = strings.Replace(c.path, "KEY", tok.ID, 1)
		if mode != protocol.TwoFactorOff {
			c.otp = w.code("alice")
		}
		return prepared{c, w.ids["alice"], done(w, tok.ID)}
	}
}

// twoFactor says whether alice's account has that mode.
func twoFactor(mode protocol.TwoFactorMode) func(*world) func() bool {
	return func(w *world) func() bool {
		return func() bool { return w.subject("alice").TwoFactor == mode }
	}
}

// pendingFactor says whether alice's account has a factor that is not confirmed, or no more.
func pendingFactor(want bool) func(*world) func() bool {
	return func(w *world) func() bool {
		return func() bool {
			status, err := w.auth.Factors().Status(w.t.Context(), w.store, w.ids["alice"])
			require.NoError(w.t, err)
			return status.Pending == want
		}
	}
}

// addingKey prepares that a key is added to alice's account, with a code if it has a factor.
func addingKey(mode protocol.TwoFactorMode) func(*world) prepared {
	return func(w *world) prepared {
		bearer := w.alice(mode)
		options := fmt.Sprintf(`{"kind":"register","user":%q,"nonce":"n"}`, w.ids["alice"])
		c := newKey(bearer, "", []byte(options), "blue", password)
		if mode != protocol.TwoFactorOff {
			c.otp = w.code("alice")
		}
		return prepared{call: c, user: w.ids["alice"]}
	}
}

// hasKeys says whether alice's account has as many security keys.
func hasKeys(n int) func(*world) func() bool {
	return func(w *world) func() bool {
		return func() bool {
			keys, err := w.auth.Factors().KeyList(w.t.Context(), w.store, w.ids["alice"])
			require.NoError(w.t, err)
			return len(keys) == n && w.subject("alice").Keys == (n > 0)
		}
	}
}

// enrolling prepares c for a session of alice's while her factor is not confirmed yet.
func enrolling(c func(w *world) call) func(*world) prepared {
	return func(w *world) prepared {
		s := w.alice(protocol.TwoFactorOff)
		link, err := w.auth.Factors().Enrol(w.t.Context(), audit.Actor{}, w.ids["alice"], "alice", protocol.AuthAndWrites)
		require.NoError(w.t, err)
		u, err := url.Parse(link.Reveal())
		require.NoError(w.t, err)
		w.secrets["alice"] = u.Query().Get("secret")
		c := c(w)
		c.bearer = s
		return prepared{call: c, user: w.ids["alice"]}
	}
}

// hasPassword says whether alice's password is the new one.
func hasPassword(w *world) func() bool {
	return func() bool {
		right, err := w.auth.People().CheckPassword(w.t.Context(), w.ids["alice"], credential.NewSecret(newPassword))
		require.NoError(w.t, err)
		return right
	}
}

// says says whether what alice says of herself, or her address, is so.
func says(want func(account.User) bool) func(*world) func() bool {
	return func(w *world) func() bool {
		return func() bool {
			u, err := w.auth.People().ByID(w.t.Context(), w.ids["alice"])
			require.NoError(w.t, err)
			return want(u)
		}
	}
}

var (
	hasFullName = says(func(u account.User) bool { return u.Profile.FullName == "Alice A." })
	hasEmail    = says(func(u account.User) bool { return u.Email == "alice@new.test" })
)

// aliceScope says whether that is set for the scope @alice.
func aliceScope(want settings.Scope) func(*world) func() bool {
	return func(w *world) func() bool {
		return func() bool {
			is, err := w.auth.Scope(w.t.Context(), "alice")
			require.NoError(w.t, err)
			return is == want
		}
	}
}

func moreSessions(w *world) func() bool { return more(func() int { return w.sessions("alice") }) }

// onLoginPage opens the page of a login and returns what alice would send.
func onLoginPage(w *world) (approve call, doneURL string) {
	w.t.Helper()
	w.alice(protocol.AuthAndWrites)
	loginURL, doneURL, _ := w.start("")
	form, cookie, a := w.open(loginURL)
	require.Equal(w.t, 200, a.Code)
	form.Del("stay")
	return w.filled(loginURL, form, cookie, map[string]string{"name": "alice", "password": password, "code": w.code("alice")}), doneURL
}

// onChallengePage opens the page of a challenge and returns what alice would send.
func onChallengePage(w *world) (approve call, doneURL string) {
	w.t.Helper()
	c := publishOf("plain", "3.0.0")
	c.bearer = w.alice(protocol.AuthAndWrites)
	a := w.do(c)
	isChallenge(w.t, a)
	form, cookie, page := w.open(a.text("authUrl"))
	require.Equal(w.t, 200, page.Code)
	return w.filled(a.text("authUrl"), form, cookie, map[string]string{"password": password, "code": w.code("alice")}), a.text("doneUrl")
}

const (
	notOffered = "nothing here serves it: policy.NPM says not-offered"
	uuid       = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
)

// writings hold every writing action of [protocol.Actions] in each of its forms, and what the
// pages below /-/auth/ change.
var writings = slices.Concat([]writing{
	// Signing in and out.
	{
		name: "start a login", action: protocol.Login, own: true, open: true,
		prepare: func(w *world) prepared {
			return prepared{call: call{method: "POST", path: "/-/v1/login", body: "{}"}, done: func() bool { return w.events.did(audit.LoginStarted) }}
		},
	},
	{
		name: "approve a login", action: protocol.AuthPage, own: true, open: true,
		prepare: func(w *world) prepared {
			approve, _ := onLoginPage(w)
			return prepared{approve, w.ids["alice"], func() bool { return w.events.did(audit.LoginApproved) }}
		},
	},
	{
		name: "collect a login", action: protocol.AuthPage, own: true, open: true,
		prepare: func(w *world) prepared {
			approve, doneURL := onLoginPage(w)
			require.Less(w.t, w.do(approve).Code, 400)
			return prepared{call{method: "GET", path: strings.TrimPrefix(doneURL, base)}, w.ids["alice"], moreSessions(w)}
		},
	},
	{
		name: "approve a challenge", action: protocol.AuthPage, own: true, open: true,
		prepare: func(w *world) prepared {
			approve, _ := onChallengePage(w)
			return prepared{approve, w.ids["alice"], func() bool { return w.events.did(audit.ChallengeYes) }}
		},
	},
	{
		name: "approve a login with a passkey", action: protocol.AuthPage, own: true, open: true,
		prepare: func(w *world) prepared {
			w.alice(protocol.AuthAndWrites)
			w.key("alice", "blue")
			loginURL, _, _ := w.start("")
			form, cookie, a := w.open(loginURL)
			require.Equal(w.t, 200, a.Code)
			form.Del("stay")
			options, err := w.auth.Factors().PasskeyOptions(w.t.Context(), path.Base(loginURL))
			require.NoError(w.t, err)
			approve := w.filled(loginURL, form, cookie, map[string]string{"by": "passkey", "key": string(keystest.Sign(options, "blue"))})
			return prepared{approve, w.ids["alice"], func() bool { return w.events.did(audit.LoginApproved) }}
		},
	},
	{
		name: "approve a challenge with a key", action: protocol.AuthPage, own: true, open: true,
		prepare: func(w *world) prepared {
			c := publishOf("plain", "3.0.0")
			c.bearer = w.alice(protocol.AuthAndWrites)
			w.key("alice", "blue")
			a := w.do(c)
			isChallenge(w.t, a)
			form, cookie, page := w.open(a.text("authUrl"))
			require.Equal(w.t, 200, page.Code)
			options, err := w.auth.Factors().KeyOptions(w.t.Context(), w.ids["alice"], twofactor.Use{Page: path.Base(a.text("authUrl"))})
			require.NoError(w.t, err)
			approve := w.filled(a.text("authUrl"), form, cookie, map[string]string{"password": password, "by": "key", "key": string(keystest.Sign(options, "blue"))})
			return prepared{approve, w.ids["alice"], func() bool { return w.events.did(audit.ChallengeYes) }}
		},
	},
	{
		name: "collect a challenge", action: protocol.AuthPage, own: true, open: true,
		prepare: func(w *world) prepared {
			approve, doneURL := onChallengePage(w)
			require.Less(w.t, w.do(approve).Code, 400)
			return prepared{call{method: "GET", path: strings.TrimPrefix(doneURL, base)}, w.ids["alice"], func() bool { return w.events.did(audit.Collected) }}
		},
	},
	{
		name: "log in as older clients do", action: protocol.LegacyLogin, own: true, open: true,
		prepare: func(w *world) prepared {
			w.alice(protocol.AuthOnly)
			c := call{method: "PUT", path: "/-/user/org.couchdb.user:alice", body: couchUser("alice"), otp: w.code("alice")}
			return prepared{c, w.ids["alice"], moreSessions(w)}
		},
	},
	{
		name: "log in as older clients do without a factor", action: protocol.LegacyLogin, own: true, open: true,
		prepare: func(w *world) prepared {
			w.alice(protocol.TwoFactorOff)
			return prepared{call{method: "PUT", path: "/-/user/org.couchdb.user:alice", body: couchUser("alice")}, w.ids["alice"], moreSessions(w)}
		},
	},
	{
		name: "sign up", action: protocol.LegacyLogin, own: true, open: true,
		prepare: func(w *world) prepared {
			return prepared{call: call{method: "PUT", path: "/-/user/org.couchdb.user:carol", body: signingUp("carol"), header: map[string]string{"Npm-Command": "adduser"}}, done: carolSignedUp(w)}
		},
	},
	{
		name: "change a user document", action: protocol.LegacyUpdate, own: true, open: true,
		refused: "the CouchDB login changes no account: legacy.ErrUpdate",
		prepare: withSession(protocol.TwoFactorOff, call{method: "PUT", path: "/-/user/org.couchdb.user:alice/-rev/1-0", body: `{"name":"alice","password":"` + newPassword + `"}`}),
	},
	{
		name: "log out", action: protocol.Logout, own: true,
		prepare: func(w *world) prepared {
			s := w.alice(protocol.AuthAndWrites)
			before := w.sessions("alice")
			return prepared{call{method: "DELETE", path: "/-/user/token/" + s, bearer: s}, w.ids["alice"], func() bool { return w.sessions("alice") < before }}
		},
	},
	{
		name: "log out by another session", action: protocol.Logout, own: true,
		prepare: func(w *world) prepared {
			s := w.alice(protocol.AuthAndWrites)
			other := w.login("alice")
			before := w.sessions("alice")
			return prepared{call{method: "DELETE", path: "/-/user/token/" + other, bearer: s}, w.ids["alice"], func() bool { return w.sessions("alice") < before }}
		},
	},
	{
		name: "log out a token", action: protocol.Logout, own: true,
		prepare: func(w *world) prepared {
			w.alice(protocol.AuthAndWrites)
			secret, tok := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly)})
			return prepared{call{method: "DELETE", path: "/-/user/token/" + secret, bearer: secret}, w.ids["alice"], gone(w, tok.ID)}
		},
	},
	{
		name: "report a leak", action: protocol.ReportLeak, own: true, open: true,
		prepare: func(w *world) prepared {
			w.alice(protocol.AuthAndWrites)
			secret, tok := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly)})
			body, err := json.Marshal([]find{{secret, "npm_token", "https://git.example/blob/1", "commit"}})
			require.NoError(w.t, err)
			return prepared{leakScanner().signed(w.t, body), w.ids["alice"], gone(w, tok.ID)}
		},
	},

	// Tokens.
	{
		name: "create a token", action: protocol.CreateToken, own: true,
		prepare: until(withCode(createCall(readWrite)), moreTokens("alice")),
	},
	{
		name: "create a token with a proof", action: protocol.CreateToken, own: true,
		prepare: until(withProof(createCall(readWrite)), moreTokens("alice")),
	},
	{
		name: "create a token without a factor", action: protocol.CreateToken, own: true,
		prepare: until(withSession(protocol.TwoFactorOff, createCall("")), moreTokens("alice")),
	},
	{
		name: "rotate a token", action: protocol.CreateToken, own: true,
		prepare: aboutToken(protocol.AuthAndWrites, call{method: "POST", path: "/-/auth/v1/tokens/KEY/rotate", body: `{"password":"` + password + `","grace":1}`},
			func(w *world, _ string) func() bool { return moreTokens("alice")(w) }),
	},
	{
		name: "rotate a token without a factor", action: protocol.CreateToken, own: true,
		prepare: func(w *world) prepared { // one that needs none
			c := call{method: "POST", bearer: w.alice(protocol.TwoFactorOff), body: `{"password":"` + password + `","grace":1}`}
			_, tok := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly), Days: 5})
			c.path = "/-/auth/v1/tokens/" + tok.ID + "/rotate"
			return prepared{c, w.ids["alice"], moreTokens("alice")(w)}
		},
	},
	{
		name: "revoke a token", action: protocol.RevokeToken, own: true,
		prepare: aboutToken(protocol.AuthAndWrites, call{method: "DELETE", path: "/-/npm/v1/tokens/token/KEY"}, gone),
	},
	{
		name: "revoke a token by its text", action: protocol.RevokeToken, own: true,
		prepare: aboutToken(protocol.AuthAndWrites, call{method: "DELETE", path: "/-/npm/v1/tokens/token/SECRET"}, gone),
	},
	{
		name: "revoke a token without a factor", action: protocol.RevokeToken, own: true,
		prepare: aboutToken(protocol.TwoFactorOff, call{method: "DELETE", path: "/-/npm/v1/tokens/token/KEY"}, gone),
	},
	{
		name: "revoke all tokens", action: protocol.RevokeToken, own: true,
		prepare: aboutToken(protocol.AuthAndWrites, call{method: "DELETE", path: "/-/auth/v1/tokens"}, gone),
	},
	{
		name: "revoke all tokens without a factor", action: protocol.RevokeToken, own: true,
		prepare: aboutToken(protocol.TwoFactorOff, call{method: "DELETE", path: "/-/auth/v1/tokens"}, gone),
	},
	{
		name: "end a session", action: protocol.EndSession, own: true,
		prepare: aboutSession(protocol.AuthAndWrites, call{method: "DELETE", path: "/-/auth/v1/sessions/KEY"}),
	},
	{
		name: "end a session without a factor", action: protocol.EndSession, own: true,
		prepare: aboutSession(protocol.TwoFactorOff, call{method: "DELETE", path: "/-/auth/v1/sessions/KEY"}),
	},
	{
		name: "end all other sessions", action: protocol.EndSession, own: true,
		prepare: aboutSession(protocol.AuthAndWrites, call{method: "DELETE", path: "/-/auth/v1/sessions"}),
	},
	{
		name: "create a token of a service account", action: protocol.ManageService, own: true,
		prepare: aboutService(protocol.AuthAndWrites, call{method: "POST", path: ciTokens, body: specBody(readWrite)},
			func(w *world, _ string) func() bool { return moreTokens("ci")(w) }),
	},
	{
		name: "rotate a token of a service account", action: protocol.ManageService, own: true,
		prepare: aboutService(protocol.AuthAndWrites, call{method: "POST", path: ciTokens + "/KEY/rotate", body: `{"password":"` + password + `","grace":1}`},
			func(w *world, _ string) func() bool { return moreTokens("ci")(w) }),
	},
	{
		name: "revoke a token of a service account", action: protocol.RevokeService, own: true,
		prepare: aboutService(protocol.AuthAndWrites, call{method: "DELETE", path: ciTokens + "/KEY"},
			func(w *world, id string) func() bool { return func() bool { return w.noToken("ci", id) } }),
	},
	{
		name: "revoke a token of a service account without a factor", action: protocol.RevokeService, own: true,
		prepare: aboutService(protocol.TwoFactorOff, call{method: "DELETE", path: ciTokens + "/KEY"},
			func(w *world, id string) func() bool { return func() bool { return w.noToken("ci", id) } }),
	},

	// The account.
	{
		name: "set the full name", action: protocol.WriteProfile, own: true,
		prepare: until(withCode(setUser(`{"fullname":"Alice A."}`)), hasFullName),
	},
	{
		name: "set the full name without a factor", action: protocol.WriteProfile, own: true,
		prepare: until(withSession(protocol.TwoFactorOff, setUser(`{"fullname":"Alice A."}`)), hasFullName),
	},
	{
		name: "set the e-mail address", action: protocol.WriteProfile, own: true,
		prepare: until(withCode(setUser(`{"email":"alice@new.test"}`)), hasEmail),
	},
	{
		name: "set the e-mail address without a factor", action: protocol.WriteProfile, own: true,
		prepare: until(withSession(protocol.TwoFactorOff, setUser(`{"email":"alice@new.test"}`)), hasEmail),
	},
	{
		name: "set the password", action: protocol.SetPassword, own: true,
		prepare: until(withCode(setUser(`{"password":{"old":"`+password+`","new":"`+newPassword+`"}}`)), hasPassword),
	},
	{
		name: "set the password without a factor", action: protocol.SetPassword, own: true,
		prepare: until(withSession(protocol.TwoFactorOff, setUser(`{"password":{"old":"`+password+`","new":"`+newPassword+`"}}`)), hasPassword),
	},
	{
		name: "begin to enrol a factor", action: protocol.SetTwoFactor, own: true,
		prepare: until(withSession(protocol.TwoFactorOff, setUser(tfa("auth-and-writes"))), pendingFactor(true)),
	},
	{
		name: "confirm a factor", action: protocol.SetTwoFactor, own: true,
		prepare: until(enrolling(func(w *world) call { return setUser(`{"tfa":["` + w.codeNow("alice") + `"]}`) }), twoFactor(protocol.AuthAndWrites)),
	},
	{
		name: "forget a factor that was not confirmed", action: protocol.SetTwoFactor, own: true,
		prepare: until(enrolling(func(*world) call { return setUser(tfa("disable")) }), pendingFactor(false)),
	},
	{
		name: "switch the mode of the factor", action: protocol.SetTwoFactor, own: true,
		prepare: until(withCode(setUser(tfa("auth-only"))), twoFactor(protocol.AuthOnly)),
	},
	{
		name: "disable the factor", action: protocol.SetTwoFactor, own: true,
		prepare: until(withCode(setUser(tfa("disable"))), twoFactor(protocol.TwoFactorOff)),
	},
	{
		name: "disable the factor with a recovery code", action: protocol.SetTwoFactor, own: true,
		prepare: until(func(w *world) prepared {
			c := setUser(tfa("disable"))
			w.alice(protocol.TwoFactorOff)
			codes := w.enrol("alice", protocol.AuthAndWrites)
			c.bearer, c.otp = w.login("alice"), codes[0]
			return prepared{call: c, user: w.ids["alice"]}
		}, twoFactor(protocol.TwoFactorOff)),
	},
	{name: "add a first key", action: protocol.AddFactor, own: true, prepare: until(addingKey(protocol.TwoFactorOff), hasKeys(1))},
	{name: "add a key", action: protocol.AddFactor, own: true, prepare: until(addingKey(protocol.AuthAndWrites), hasKeys(1))},
	{name: "add an app to a key", action: protocol.AddFactor, own: true, prepare: until(func(w *world) prepared {
		c := call{method: "POST", path: ownFactors, body: `{"type":"app","password":"` + password + `"}`}
		w.alice(protocol.TwoFactorOff)
		w.key("alice", "blue")
		c.bearer = w.passkeySession("blue")
		c.otp = w.signed(c.bearer, c, "blue")
		return prepared{call: c, user: w.ids["alice"]}
	}, pendingFactor(true))},
	{name: "let keys alone count", action: protocol.SetTwoFactor, own: true, prepare: until(withKey(call{method: "PUT", path: ownFactors, body: `{"keys_only":true}`}), func(w *world) func() bool { return func() bool { return w.subject("alice").KeysOnly } })},
	{name: "let every kind of factor count", action: protocol.SetTwoFactor, own: true, prepare: until(func(w *world) prepared {
		c := call{method: "PUT", path: ownFactors, body: `{"keys_only":false}`}
		c.bearer = w.alice(protocol.AuthAndWrites)
		w.key("alice", "blue")
		require.NoError(w.t, store.Transact(w.t.Context(), w.store, func(tx *store.Tx) error {
			return w.auth.Factors().SetKeysOnlyTx(w.t.Context(), tx, audit.Actor{}, w.ids["alice"], true)
		}))
		w.clock.Add(2 * time.Second)
		c.otp = w.signed(c.bearer, c, "blue")
		return prepared{call: c, user: w.ids["alice"]}
	}, func(w *world) func() bool { return func() bool { return !w.subject("alice").KeysOnly } })},
	{name: "remove a key", action: protocol.RemoveFactor, own: true, prepare: until(func(w *world) prepared {
		c := call{method: "DELETE", path: ownFactors + "/blue"}
		c.bearer = w.alice(protocol.AuthAndWrites)
		w.key("alice", "blue")
		c.otp = w.code("alice")
		return prepared{call: c, user: w.ids["alice"]}
	}, hasKeys(0))},
	{name: "remove the app", action: protocol.RemoveFactor, own: true, prepare: until(func(w *world) prepared {
		c := call{method: "DELETE", path: ownFactors + "/app"}
		c.bearer = w.alice(protocol.AuthAndWrites)
		w.key("alice", "blue")
		c.otp = w.signed(c.bearer, c, "blue")
		return prepared{call: c, user: w.ids["alice"]}
	}, func(w *world) func() bool {
		return func() bool {
			status, err := w.auth.Factors().Status(w.t.Context(), w.store, w.ids["alice"])
			require.NoError(w.t, err)
			return !status.App
		}
	})},

	// Packages.
	{name: "publish", action: protocol.Publish, prepare: withCode(publishOf("plain", "3.0.0"))},
	{name: "publish with a token", action: protocol.Publish, prepare: withBypass(publishOf("plain", "3.0.0"))},
	{name: "publish with a proof", action: protocol.Publish, prepare: withProof(publishOf("plain", "3.0.0"))},
	{name: "publish a new package", action: protocol.Publish, prepare: withCode(publishOf("brand-new", "1.0.0"))},
	{
		name: "put a document that says nothing", action: protocol.WritePackument,
		refused: "a document is one of the other actions once its body is read",
		prepare: withBypass(putDocument("/plain", `{"_id":"plain","_rev":"7-a"}`)),
	},
	{
		name: "deprecate", action: protocol.Deprecate,
		prepare: withCode(putDocument("/plain", fmt.Sprintf(whole, tagsAsTheyAre, bothMaintain, one+`,"2.0.0":{"version":"2.0.0","deprecated":"no"}`))),
	},
	{
		name: "deprecate with a token", action: protocol.Deprecate,
		prepare: withBypass(putDocument("/plain", fmt.Sprintf(whole, tagsAsTheyAre, bothMaintain, one+`,"2.0.0":{"version":"2.0.0","deprecated":"no"}`))),
	},
	{
		name: "unpublish a version", action: protocol.Unpublish,
		prepare: withCode(putDocument("/plain/-rev/7-a", fmt.Sprintf(whole, `"latest":"1.0.0","old":"1.0.0"`, bothMaintain, one))),
	},
	{name: "delete a tarball", action: protocol.Unpublish, prepare: withCode(call{method: "DELETE", path: "/plain/-/plain-2.0.0.tgz/-rev/7-a"})},
	{name: "unpublish a package", action: protocol.UnpublishAll, prepare: withCode(call{method: "DELETE", path: "/plain/-rev/7-a"})},
	{name: "unpublish a package with a token", action: protocol.UnpublishAll, prepare: withBypass(call{method: "DELETE", path: "/plain/-rev/7-a"})},
	{
		name: "star a package", action: protocol.Star,
		prepare: withSession(protocol.AuthAndWrites, putDocument("/plain", `{"_id":"plain","_rev":"7-a","users":{"bob":true,"alice":true}}`)),
	},
	{
		name: "unstar a package", action: protocol.Star,
		prepare: withSession(protocol.AuthAndWrites, putDocument("/plain", `{"_id":"plain","_rev":"7-a","users":{"bob":true}}`)),
	},
	{name: "set a dist-tag", action: protocol.SetDistTag, prepare: withCode(call{method: "PUT", path: "/-/package/plain/dist-tags/next", body: `"1.0.0"`})},
	{name: "set a dist-tag with POST", action: protocol.SetDistTag, prepare: withCode(call{method: "POST", path: "/-/package/plain/dist-tags/next", body: `"1.0.0"`})},
	{name: "set a dist-tag by the older path", action: protocol.SetDistTag, prepare: withCode(call{method: "PUT", path: "/plain/next", body: `"1.0.0"`})},
	{name: "set a dist-tag with a token", action: protocol.SetDistTag, prepare: withBypass(call{method: "PUT", path: "/-/package/plain/dist-tags/next", body: `"1.0.0"`})},
	{name: "remove a dist-tag", action: protocol.RemoveDistTag, prepare: withCode(call{method: "DELETE", path: "/-/package/plain/dist-tags/old"})},
	{name: "write owners into the document", action: protocol.WriteOwners, prepare: withCode(putDocument("/plain/-rev/7-a", `{"_id":"plain","_rev":"7-a","maintainers":[{"name":"alice"},{"name":"carol"}]}`))},
	{name: "add an owner", action: protocol.WriteOwners, prepare: withCode(call{method: "PUT", path: "/-/package/plain/owners", body: `{"user":"carol"}`})},
	{name: "remove an owner", action: protocol.WriteOwners, prepare: withCode(call{method: "DELETE", path: "/-/package/plain/owners/bob"})},
	{name: "set the visibility", action: protocol.SetAccess, prepare: withCode(call{method: "POST", path: "/-/package/plain/access", body: `{"access":"restricted"}`})},
	{
		name: "set whether publishing requires a factor", action: protocol.SetAccess, own: true,
		prepare: until(withCode(call{method: "POST", path: "/-/package/plain/access", body: `{"publish_requires_tfa":true,"automation_token_overrides_tfa":false}`}), func(w *world) func() bool {
			return func() bool {
				s, err := w.auth.Package(w.t.Context(), "id-plain")
				require.NoError(w.t, err)
				return s == policy.Settings{Publish: protocol.FactorOnly}
			}
		}),
	},
	{
		name: "let every kind of second factor count for a package", action: protocol.SetAccess, own: true,
		prepare: until(withCode(call{method: "POST", path: "/-/package/plain/access", body: `{"keys_only":false}`}), func(w *world) func() bool {
			return func() bool { return w.stored(settings.SettingsKey("id-plain")) }
		}),
	},
	{
		name: "let only security keys count for a package", action: protocol.SetAccess, own: true,
		prepare: until(withKey(call{method: "POST", path: "/-/package/plain/access", body: `{"keys_only":true}`}), func(w *world) func() bool {
			return func() bool {
				s, err := w.auth.Package(w.t.Context(), "id-plain")
				require.NoError(w.t, err)
				return s == policy.Settings{KeysOnly: true}
			}
		}),
	},
	{
		name: "let only trusted publishers publish a package", action: protocol.SetAccess, own: true,
		prepare: until(withCode(call{method: "POST", path: "/-/package/plain/access", body: `{"publishers_only":true}`}), func(w *world) func() bool {
			return func() bool {
				s, err := w.auth.Package(w.t.Context(), "id-plain")
				require.NoError(w.t, err)
				return s == policy.Settings{PublishersOnly: true}
			}
		}),
	},
	{
		name: "demand that versions of a package are staged", action: protocol.SetAccess, own: true,
		prepare: until(withCode(call{method: "POST", path: "/-/package/plain/access", body: `{"stage_only":true,"approvals":2,"other_approver":true}`}), func(w *world) func() bool {
			return func() bool {
				s, err := w.auth.Package(w.t.Context(), "id-plain")
				require.NoError(w.t, err)
				return s == policy.Settings{StageOnly: true, Approvals: 2, OtherApprover: true}
			}
		}),
	},

	// Organizations and teams.
	{name: "set a member of an organization", action: protocol.WriteOrg, prepare: withCode(call{method: "PUT", path: "/-/org/acme/user", body: `{"user":"bob","role":"admin"}`})},
	{name: "set a member of an organization with a token", action: protocol.WriteOrg, prepare: withOrgToken(call{method: "PUT", path: "/-/org/acme/user", body: `{"user":"bob","role":"admin"}`})},
	{name: "remove a member of an organization", action: protocol.WriteOrg, prepare: withCode(call{method: "DELETE", path: "/-/org/acme/user", body: `{"user":"bob"}`})},
	{name: "require a second factor of an organization", action: protocol.SetOrgFactor, table: true, prepare: withCode(call{method: "PUT", path: "/-/auth/v1/orgs/acme", body: `{"require_2fa":true}`})},
	{name: "require no second factor of an organization with a token", action: protocol.SetOrgFactor, table: true, prepare: withOrgToken(call{method: "PUT", path: "/-/auth/v1/orgs/acme", body: `{"require_2fa":false}`})},
	{
		name: "let every kind of second factor count in an organization", action: protocol.SetOrgFactor, own: true,
		prepare: until(withCode(call{method: "PUT", path: "/-/auth/v1/orgs/acme", body: `{"keys_only":false}`}), func(w *world) func() bool {
			return func() bool { return w.stored(settings.ScopeKey("acme")) }
		}),
	},
	{
		name: "let only security keys count in an organization", action: protocol.SetOrgFactor, own: true,
		prepare: until(withKey(call{method: "PUT", path: "/-/auth/v1/orgs/acme", body: `{"keys_only":true}`}), func(w *world) func() bool {
			return func() bool {
				s, err := w.auth.Scope(w.t.Context(), "acme")
				require.NoError(w.t, err)
				return s == settings.Scope{KeysOnly: true}
			}
		}),
	},
	{
		name: "let only trusted publishers publish in an organization", action: protocol.SetOrgFactor, own: true,
		prepare: until(withCode(call{method: "PUT", path: "/-/auth/v1/orgs/acme", body: `{"publishers_only":true}`}), func(w *world) func() bool {
			return func() bool { return w.stored(settings.ScopeKey("acme")) }
		}),
	},
	{
		name: "demand that versions are staged in an organization", action: protocol.SetOrgFactor, own: true,
		prepare: until(withCode(call{method: "PUT", path: "/-/auth/v1/orgs/acme", body: `{"stage_only":true,"approvals":2,"other_approver":true}`}), func(w *world) func() bool {
			return func() bool {
				s, err := w.auth.Scope(w.t.Context(), "acme")
				require.NoError(w.t, err)
				return s == settings.Scope{StageOnly: true, Approvals: 2, OtherApprover: true}
			}
		}),
	},
	{
		name: "let only trusted publishers publish in the own scope", action: protocol.SetOrgFactor, own: true,
		prepare: until(withCode(call{method: "PUT", path: "/-/auth/v1/orgs/alice", body: `{"publishers_only":true}`}), aliceScope(settings.Scope{PublishersOnly: true})),
	},
	{
		name: "let only security keys count in the own scope", action: protocol.SetOrgFactor, own: true,
		prepare: until(withKey(call{method: "PUT", path: "/-/auth/v1/orgs/alice", body: `{"keys_only":true}`}), aliceScope(settings.Scope{KeysOnly: true})),
	},
	{name: "create a team", action: protocol.WriteTeam, prepare: withCode(call{method: "PUT", path: "/-/org/acme/team", body: `{"name":"devs"}`})},
	{name: "destroy a team", action: protocol.WriteTeam, prepare: withCode(call{method: "DELETE", path: "/-/team/acme/devs"})},
	{name: "add a member of a team", action: protocol.WriteTeamMember, prepare: withCode(call{method: "PUT", path: "/-/team/acme/devs/user", body: `{"user":"bob"}`})},
	{name: "remove a member of a team", action: protocol.WriteTeamMember, prepare: withCode(call{method: "DELETE", path: "/-/team/acme/devs/user", body: `{"user":"bob"}`})},
	{name: "grant a team a package", action: protocol.GrantTeam, prepare: withCode(call{method: "PUT", path: "/-/team/acme/devs/package", body: `{"package":"plain","permissions":"read-write"}`})},
	{name: "take a package from a team", action: protocol.GrantTeam, prepare: withCode(call{method: "DELETE", path: "/-/team/acme/devs/package", body: `{"package":"plain"}`})},

	// Trusted publishers.
	{
		name: "trust a publisher", action: protocol.WriteTrust, own: true,
		prepare: until(withCode(call{method: "POST", path: "/-/package/plain/trust", body: trustBody("createPackage")}), func(w *world) func() bool {
			return func() bool { return w.stored(w.publishersKey("plain")) }
		}),
	},
	{
		name: "trust a publisher no more", action: protocol.WriteTrust, own: true,
		prepare: func(w *world) prepared {
			p := withCode(call{method: "DELETE"})(w)
			p.call.path = "/-/package/plain/trust/" + w.trust("plain", "createPackage")
			p.done = func() bool { return !w.stored(w.publishersKey("plain")) }
			return p
		},
	},
	{
		name: "exchange an ID token", action: protocol.ExchangeToken, own: true, open: true,
		prepare: func(w *world) prepared {
			w.alice(protocol.AuthAndWrites)
			w.trust("plain", "createPackage")
			return prepared{exchangeOf("plain", w.idToken()), "", more(w.exchanges)}
		},
	},
	{
		name: "publish as a trusted publisher", action: protocol.Publish,
		prepare: func(w *world) prepared {
			w.alice(protocol.AuthAndWrites)
			w.trust("plain", "createPackage")
			p := prepared{publishOf("plain", "3.0.0"), "", w.hostWrote}
			p.call.bearer = w.exchanged("plain")
			return p
		},
	},
	{
		name: "set a dist-tag as a trusted publisher", action: protocol.SetDistTag,
		prepare: func(w *world) prepared {
			w.alice(protocol.AuthAndWrites)
			w.trust("plain", "createPackage", "setDistTag")
			p := prepared{call{method: "PUT", path: "/-/package/plain/dist-tags/next", body: `"1.0.0"`}, "", w.hostWrote}
			p.call.bearer = w.exchanged("plain")
			return p
		},
	},
	{
		name: "deprecate as a trusted publisher", action: protocol.Deprecate,
		prepare: func(w *world) prepared {
			w.alice(protocol.AuthAndWrites)
			w.trust("plain", "deprecate")
			p := prepared{putDocument("/plain", fmt.Sprintf(whole, tagsAsTheyAre, bothMaintain, one+`,"2.0.0":{"version":"2.0.0","deprecated":"no"}`)), "", w.hostWrote}
			p.call.bearer = w.exchanged("plain")
			return p
		},
	},
	{
		name: "log out as a trusted publisher", action: protocol.Logout, own: true,
		prepare: func(w *world) prepared {
			w.alice(protocol.AuthAndWrites)
			w.trust("plain", "createPackage")
			secret := w.exchanged("plain")
			return prepared{call{method: "DELETE", path: "/-/user/token/" + secret, bearer: secret}, "", func() bool { return w.exchanges() == 0 }}
		},
	},
	{
		name: "trust a publisher of a scope", action: protocol.WriteOrgTrust, own: true,
		prepare: until(withCode(call{method: "POST", path: ownOrgs + "/acme/trust", body: trustBody("createPackage")}), func(w *world) func() bool {
			return func() bool { return w.stored(trust.ScopeKey("acme")) }
		}),
	},
	{
		name: "trust a publisher of a scope no more", action: protocol.WriteOrgTrust, own: true,
		prepare: func(w *world) prepared {
			p := withCode(call{method: "DELETE"})(w)
			p.call.path = ownOrgs + "/acme/trust/" + w.trustScope("createPackage")
			p.done = func() bool { return !w.stored(trust.ScopeKey("acme")) }
			return p
		},
	},
	{
		name: "exchange an ID token for a publisher of a scope", action: protocol.ExchangeToken, own: true, open: true,
		prepare: func(w *world) prepared {
			w.alice(protocol.AuthAndWrites)
			w.trustScope("createPackage")
			return prepared{exchangeOf("@acme%2fwidget", w.idToken()), "", more(w.exchanges)}
		},
	},
	{
		name: "publish as a trusted publisher of a scope", action: protocol.Publish,
		prepare: func(w *world) prepared {
			w.alice(protocol.AuthAndWrites)
			w.trustScope("createPackage")
			p := prepared{call{method: "PUT", path: "/@acme%2fwidget", body: hosttest.PublishBody(acmeWidget.Name, "3.0.0")}, "", w.hostWrote}
			p.call.bearer = w.exchanged("@acme%2fwidget")
			return p
		},
	},
	{
		name: "trust a publisher of a new package", action: protocol.WriteTrust, own: true,
		prepare: until(withCode(call{method: "POST", path: "/-/package/brand-new/trust", body: pendingBody("createPackage")}), func(w *world) func() bool {
			return func() bool { return w.stored(trust.PendingKey(brandNew)) }
		}),
	},
	{
		name: "trust a publisher of a new package no more", action: protocol.WriteTrust, own: true,
		prepare: func(w *world) prepared {
			p := withCode(call{method: "DELETE"})(w)
			p.call.path = "/-/package/brand-new/trust/" + w.pending("alice")
			p.done = func() bool { return !w.stored(trust.PendingKey(brandNew)) }
			return p
		},
	},
	{
		name: "exchange an ID token for a new package", action: protocol.ExchangeToken, own: true, open: true,
		prepare: func(w *world) prepared {
			w.alice(protocol.AuthAndWrites)
			w.pending("alice")
			return prepared{exchangeOf("brand-new", w.idToken()), "", more(w.exchanges)}
		},
	},
	{
		name: "publish a new package as a trusted publisher", action: protocol.Publish,
		prepare: func(w *world) prepared {
			w.alice(protocol.AuthAndWrites)
			w.pending("alice")
			p := prepared{publishOf("brand-new", "1.0.0"), "", w.hostWrote}
			p.call.bearer = w.exchanged("brand-new")
			return p
		},
	},

	// Staging.
	{name: "stage without a code", action: protocol.Stage, prepare: withSession(protocol.AuthAndWrites, stageOf("plain", "3.0.0"))},
	{name: "stage with a token", action: protocol.Stage, prepare: withBypass(stageOf("plain", "3.0.0"))},
	{
		name: "stage as a trusted publisher", action: protocol.Stage,
		prepare: func(w *world) prepared {
			w.alice(protocol.AuthAndWrites)
			w.trust("plain", "createStagedPackage")
			p := prepared{stageOf("plain", "3.0.0"), "", w.hostWrote}
			p.call.bearer = w.exchanged("plain")
			return p
		},
	},
	{name: "approve what is staged", action: protocol.ApproveStaged, prepare: aboutStaged("POST", "/approve")},
	{name: "reject what is staged", action: protocol.RejectStaged, prepare: aboutStaged("DELETE", "")},
	{name: "approve several that are staged", action: protocol.ApproveStaged, several: true, prepare: aboutSeveral("approve")},
	{name: "reject several that are staged", action: protocol.RejectStaged, several: true, prepare: aboutSeveral("reject")},

	// What is npm's and not served.
	{name: "star by the newer path", action: protocol.WriteStars, refused: notOffered, prepare: withCode(call{method: "PUT", path: "/-/user/v1/star", body: `{"name":"plain"}`})},
	{name: "create a hook", action: protocol.WriteHooks, refused: notOffered, prepare: withCode(call{method: "POST", path: "/-/npm/v1/hooks/hook", body: "{}"})},
}, pageWritings)

// Every action that writes is in the table, under names that tell its forms apart.
func TestWritingsAreAll(t *testing.T) {
	names, actions := map[string]bool{}, map[protocol.Action]bool{}
	for _, u := range writings {
		assert.False(t, names[u.name], "two are called %q", u.name)
		names[u.name], actions[u.action] = true, true
	}
	for _, a := range protocol.Actions() {
		assert.True(t, !a.Write() || actions[a], "%s writes and is not in the table", a)
	}
}

// What the table says of a request is true: it changes what it says, at the host as the
// action that it is, or here. That it changes nothing without its credential or its code is
// TestGolden's to see.
func TestWritings(t *testing.T) {
	for _, u := range writings {
		t.Run(u.name, func(t *testing.T) {
			w := u.world(t)
			p := u.prepare(w)
			require.False(t, p.done(), "done before it is sent")
			before := dump(t, w.store)
			a := w.do(p.call)
			if u.refused != "" {
				require.GreaterOrEqual(t, a.Code, 400)
				require.False(t, p.done())
				require.Empty(t, changes(before, dump(t, w.store)))
				return
			}
			require.Less(t, a.Code, 400, "%s", a.Body)
			require.True(t, p.done(), "%s", a.Body)
			require.Equal(t, !u.own, w.hostWrote(), "whose it is")
			if !u.own {
				require.Equal(t, u.action.String(), strings.Fields(w.host.written()[0])[0])
			}
		})
	}
}
