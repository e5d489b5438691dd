package npmauth_test

import (
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/internal/keystest"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/settings"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/token"
	"github.com/npmauth/npmauth/web"
)

// companySignIn is a company's login, which believes what comes back of who has signed in.
func companySignIn(cfg *npmauth.Config) {
	cfg.SignIn = &web.SignIn{
		Name: "Acme", Origin: "https://login.acme.test",
		Begin: func(w http.ResponseWriter, r *http.Request, state string) {
			http.Redirect(w, r, "https://login.acme.test/authorize?state="+state, http.StatusFound)
		},
		Finish: func(r *http.Request) (string, session.User, error) {
			return r.FormValue("state"), session.User{ID: protocol.UserID(r.FormValue("user")), Name: "alice"}, nil
		},
	}
}

// fromCompany sends the browser to the company's login, from the page that it shows, and returns the request with
// which it comes back as alice.
func (b *tab) fromCompany() call {
	b.w.t.Helper()
	b.submit("sign-in").is(302, "")
	state, ok := strings.CutPrefix(b.Header().Get("Location"), "https://login.acme.test/authorize?")
	require.True(b.w.t, ok)
	return b.with(call{method: "GET", path: "/-/auth/signin?" + state + "&user=" + string(b.w.ids["alice"])})
}

// sends returns the request that the form of the page makes that decides so, with pairs of field and value.
func (b *tab) sends(decision string, fields ...string) call {
	b.w.t.Helper()
	path, values := b.form(decision)
	for i := 0; i < len(fields); i += 2 {
		values.Set(fields[i], fields[i+1])
	}
	return b.with(posts(path, values))
}

// signs is sends with what the key blue of alice's signs for the form.
func (b *tab) signs(decision, by string, fields ...string) call {
	b.w.t.Helper()
	code, options := b.ask(decision, by, fields...)
	require.Equal(b.w.t, 200, code, options)
	return b.sends(decision, append(fields, "by", by, "key", string(keystest.Sign([]byte(options), "blue")))...)
}

// alicesTab returns a browser that alice is signed in to.
func (w *world) alicesTab(mode protocol.TwoFactorMode) *tab {
	w.t.Helper()
	if w.ids["alice"] == "" {
		w.alice(mode)
	}
	b := w.tab()
	b.signIn("alice", "profile")
	return b
}

// inBrowser returns the ID of the session that alice's browser keeps.
func (w *world) inBrowser() string {
	w.t.Helper()
	list, _, err := w.auth.Sessions().List(w.t.Context(), w.ids["alice"], "", 100)
	require.NoError(w.t, err)
	i := slices.IndexFunc(list, func(s session.Session) bool { return s.Via == "browser" || s.Via == session.ViaHost })
	require.GreaterOrEqual(w.t, i, 0)
	return list[i].ID
}

// sent is a request of a browser that alice is signed in to.
func (b *tab) sent(c call) prepared {
	c.session = b.w.inBrowser()
	b.w.host.reads = nil // for the pages before
	return prepared{c, b.w.ids["alice"], b.w.hostWrote}
}

// onPage prepares what alice sends from a page of her account, which decides so, with a code if her account takes one.
func onPage(mode protocol.TwoFactorMode, page, decision string, fields ...string) func(*world) prepared {
	return func(w *world) prepared {
		b := w.alicesTab(mode)
		b.open("/-/auth/" + page)
		if mode != protocol.TwoFactorOff {
			fields = append(slices.Clone(fields), "code", w.code("alice"))
		}
		return b.sent(b.sends(decision, fields...))
	}
}

// keyOnPage is onPage with a security key in place of the code.
func keyOnPage(page, decision string, fields ...string) func(*world) prepared {
	return func(w *world) prepared {
		b := w.alicesTab(protocol.AuthAndWrites)
		w.key("alice", "blue")
		b.open("/-/auth/" + page)
		return b.sent(b.signs(decision, "key", fields...))
	}
}

// signedOut prepares a form for signing in.
func signedOut(mode protocol.TwoFactorMode, fill func(w *world, b *tab) call) func(*world) prepared {
	return func(w *world) prepared {
		w.alice(mode)
		b := w.tab()
		c := fill(w, b.open("/-/auth/sessions"))
		return prepared{call: c, user: w.ids["alice"], done: moreSessions(w)}
	}
}

func approvedLogin(w *world) func() bool {
	return func() bool { return w.events.did(audit.LoginApproved) }
}

func approvedChallenge(w *world) func() bool {
	return func() bool { return w.events.did(audit.ChallengeYes) }
}

// challenged returns the address of the page of a challenge for a publish of alice's.
func (w *world) challenged() string {
	w.t.Helper()
	a := w.publish("plain", "3.0.0", w.login("alice"), "")
	isChallenge(w.t, a)
	return a.text("authUrl")
}

// carolSignedUp says whether carol has an account with the password that she typed.
func carolSignedUp(w *world) func() bool {
	return func() bool {
		u, err := w.auth.People().Lookup(w.t.Context(), "carol")
		if err != nil {
			return false
		}
		right, err := w.auth.People().CheckPassword(w.t.Context(), u.ID, credential.NewSecret(password))
		require.NoError(w.t, err)
		return right
	}
}

// fewerSessions says whether alice has fewer sessions than now.
func fewerSessions(w *world) func() bool {
	before := w.sessions("alice")
	return func() bool { return w.sessions("alice") < before }
}

// aboutOtherSession prepares the end of another session of alice's on the page of her sessions.
func aboutOtherSession(mode protocol.TwoFactorMode, decision string) func(*world) prepared {
	return func(w *world) prepared {
		w.alice(mode)
		other := w.sessionID(w.login("alice"))
		p := onPage(mode, "sessions", strings.Replace(decision, "KEY", other, 1))(w)
		p.done = fewerSessions(w)
		return p
	}
}

// aboutTokenPage prepares a form about a token of alice's, whose key replaces KEY.
func aboutTokenPage(page, decision string, done func(w *world, id string) func() bool, fields ...string) func(*world) prepared {
	return func(w *world) prepared {
		w.alice(protocol.AuthAndWrites)
		_, tok := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadWrite), Bypass: true, Days: 5})
		key := func(text string) string { return strings.Replace(text, "KEY", tok.ID, 1) }
		p := onPage(protocol.AuthAndWrites, key(page), key(decision), fields...)(w)
		p.done = done(w, tok.ID)
		return p
	}
}

// aboutStagedPage prepares a decision about a staged version, on the page of all of them.
func aboutStagedPage(decision string) func(*world) prepared {
	return func(w *world) prepared {
		id := w.staged("plain", "3.0.0", w.alice(protocol.AuthAndWrites))
		w.host.writes = nil
		return onPage(protocol.AuthAndWrites, "staged", decision, "version."+id, "yes")(w)
	}
}

// acmeBefore prepares a form of the page of organizations after the scope acme is set so.
func acmeBefore(s settings.Scope, prepare func(*world) prepared, want settings.Scope) func(*world) prepared {
	return func(w *world) prepared {
		w.alice(protocol.AuthAndWrites)
		require.NoError(w.t, w.auth.SetScope(w.t.Context(), "acme", s))
		p := prepare(w)
		p.done = func() bool {
			is, err := w.auth.Scope(w.t.Context(), "acme")
			require.NoError(w.t, err)
			return is == want
		}
		return p
	}
}

// pageWritings are what the pages below /-/auth/ change.
var pageWritings = []writing{
	// Signing in and out.
	{name: "sign in on a page", action: protocol.AuthPage, own: true, open: true, prepare: signedOut(protocol.AuthAndWrites, func(w *world, b *tab) call {
		return b.sends("sign-in", "name", "alice", "password", password, "code", w.code("alice"))
	})},
	{name: "sign in on a page without a factor", action: protocol.AuthPage, own: true, open: true, prepare: signedOut(protocol.TwoFactorOff, func(_ *world, b *tab) call {
		return b.sends("sign-in", "name", "alice", "password", password)
	})},
	{name: "sign in on a page with a key", action: protocol.AuthPage, own: true, open: true, prepare: signedOut(protocol.AuthAndWrites, func(w *world, b *tab) call {
		w.key("alice", "blue")
		return b.signs("sign-in", "key", "name", "alice", "password", password)
	})},
	{name: "sign in on a page with a passkey", action: protocol.AuthPage, own: true, open: true, prepare: signedOut(protocol.AuthAndWrites, func(w *world, b *tab) call {
		w.key("alice", "blue")
		return b.signs("sign-in", "passkey")
	})},
	{name: "sign in at a company", action: protocol.AuthPage, own: true, open: true, with: companySignIn, prepare: signedOut(protocol.AuthAndWrites, func(_ *world, b *tab) call {
		return b.fromCompany()
	})},
	{name: "approve a login and stay signed in", action: protocol.AuthPage, own: true, open: true, prepare: func(w *world) prepared {
		w.alice(protocol.AuthAndWrites)
		loginURL, _, _ := w.start("")
		b := w.tab().open(loginURL)
		stays, approved := moreSessions(w), approvedLogin(w)
		return prepared{
			call: b.sends("approve", "name", "alice", "password", password, "code", w.code("alice"), "stay", "yes"), user: w.ids["alice"],
			done: func() bool { return stays() || approved() },
		}
	}},
	{name: "approve a login while signed in", action: protocol.AuthPage, own: true, open: true, prepare: func(w *world) prepared {
		b := w.alicesTab(protocol.AuthAndWrites)
		loginURL, _, _ := w.start("")
		p := b.sent(b.open(loginURL).sends("approve", "code", w.code("alice")))
		p.done = approvedLogin(w)
		return p
	}},
	{name: "approve a login with a key while signed in", action: protocol.AuthPage, own: true, open: true, prepare: func(w *world) prepared {
		b := w.alicesTab(protocol.AuthAndWrites)
		w.key("alice", "blue")
		loginURL, _, _ := w.start("")
		p := b.sent(b.open(loginURL).signs("approve", "key"))
		p.done = approvedLogin(w)
		return p
	}},
	{name: "approve a login while signed in without a factor", action: protocol.AuthPage, own: true, open: true, prepare: func(w *world) prepared {
		b := w.alicesTab(protocol.TwoFactorOff)
		loginURL, _, _ := w.start("")
		p := b.sent(b.open(loginURL).sends("approve", "password", password))
		p.done = approvedLogin(w)
		return p
	}},
	{name: "approve a login after a sign-in at a company without a factor", action: protocol.AuthPage, own: true, open: true, with: companySignIn, prepare: func(w *world) prepared {
		w.alice(protocol.TwoFactorOff)
		b := w.tab().open("/-/auth/profile")
		b.send(b.fromCompany())
		b.is(200, "You are signed in")
		loginURL, _, _ := w.start("")
		p := b.sent(b.open(loginURL).sends("approve"))
		p.done = approvedLogin(w)
		return p
	}},
	{name: "refuse a login", action: protocol.AuthPage, own: true, open: true, prepare: func(w *world) prepared {
		w.alice(protocol.AuthAndWrites)
		loginURL, _, _ := w.start("")
		return prepared{call: w.tab().open(loginURL).sends("deny"), done: func() bool { return w.events.did(audit.LoginDenied) }}
	}},
	{name: "approve a challenge while signed in", action: protocol.AuthPage, own: true, open: true, prepare: func(w *world) prepared {
		b := w.alicesTab(protocol.AuthAndWrites)
		p := b.sent(b.open(w.challenged()).sends("approve", "code", w.code("alice")))
		p.done = approvedChallenge(w)
		return p
	}},
	{name: "approve a challenge with a key while signed in", action: protocol.AuthPage, own: true, open: true, prepare: func(w *world) prepared {
		b := w.alicesTab(protocol.AuthAndWrites)
		w.key("alice", "blue")
		p := b.sent(b.open(w.challenged()).signs("approve", "key"))
		p.done = approvedChallenge(w)
		return p
	}},
	{name: "refuse a challenge", action: protocol.AuthPage, own: true, open: true, prepare: func(w *world) prepared {
		w.alice(protocol.AuthAndWrites)
		return prepared{call: w.tab().open(w.challenged()).sends("deny"), user: w.ids["alice"], done: func() bool { return w.events.did(audit.ChallengeNo) }}
	}},
	{name: "sign up on a page", action: protocol.AuthPage, own: true, open: true, prepare: func(w *world) prepared {
		c := w.tab().open("/-/auth/signup").sends("approve", "name", "carol", "email", "carol@acme.test", "password", password)
		return prepared{call: c, done: carolSignedUp(w)}
	}},
	{name: "sign up on the way to a login", action: protocol.AuthPage, own: true, open: true, prepare: func(w *world) prepared {
		loginURL, _, _ := w.start("")
		c := w.tab().open("/-/auth/signup/"+path.Base(loginURL)).sends("approve", "name", "carol", "email", "carol@acme.test", "password", password)
		return prepared{call: c, done: carolSignedUp(w)}
	}},
	{name: "sign out on a page", action: protocol.Logout, own: true, open: true, relayed: true, prepare: func(w *world) prepared {
		b := w.alicesTab(protocol.AuthAndWrites)
		p := b.sent(b.sends(""))
		p.done = fewerSessions(w)
		return p
	}},
	{name: "end a session on a page", action: protocol.EndSession, own: true, open: true, relayed: true, prepare: aboutOtherSession(protocol.AuthAndWrites, "end:KEY")},
	{name: "end a session on a page without a factor", action: protocol.EndSession, own: true, open: true, relayed: true, prepare: aboutOtherSession(protocol.TwoFactorOff, "end:KEY")},
	{name: "end all other sessions on a page", action: protocol.EndSession, own: true, open: true, relayed: true, prepare: aboutOtherSession(protocol.AuthAndWrites, "end-others")},
	{name: "end all other sessions on a page without a factor", action: protocol.EndSession, own: true, open: true, relayed: true, prepare: aboutOtherSession(protocol.TwoFactorOff, "end-others")},

	// Tokens.
	{
		name: "create a token on a page", action: protocol.CreateToken, own: true, open: true, relayed: true,
		prepare: until(onPage(protocol.AuthAndWrites, "tokens", "create", "name", "ci", "permission", "read-write", "all", "yes", "days", "30", "password", password), moreTokens("alice")),
	},
	{
		name: "create a token on a page with a key", action: protocol.CreateToken, own: true, open: true, relayed: true,
		prepare: until(keyOnPage("tokens", "create", "name", "ci", "permission", "read-write", "all", "yes", "days", "30", "password", password), moreTokens("alice")),
	},
	{
		name: "create a token on a page without a factor", action: protocol.CreateToken, own: true, open: true, relayed: true,
		prepare: until(onPage(protocol.TwoFactorOff, "tokens", "create", "name", "ci", "permission", "read-only", "all", "yes", "days", "30", "password", password), moreTokens("alice")),
	},
	{
		name: "rotate a token on a page", action: protocol.CreateToken, own: true, open: true, relayed: true,
		prepare: aboutTokenPage("tokens/KEY", "rotate", func(w *world, _ string) func() bool { return moreTokens("alice")(w) }, "grace", "1", "password", password),
	},
	{name: "revoke a token on a page", action: protocol.RevokeToken, own: true, open: true, relayed: true, prepare: aboutTokenPage("tokens", "revoke:KEY", gone)},
	{name: "revoke a token on its page", action: protocol.RevokeToken, own: true, open: true, relayed: true, prepare: aboutTokenPage("tokens/KEY", "revoke", gone)},

	// The account.
	{
		name: "set the full name on a page", action: protocol.WriteProfile, own: true, open: true, relayed: true,
		prepare: until(onPage(protocol.AuthAndWrites, "profile", "save", "email", "alice@acme.test", "fullname", "Alice A."), hasFullName),
	},
	{
		name: "set the password on a page", action: protocol.SetPassword, own: true, open: true, relayed: true,
		prepare: until(onPage(protocol.AuthAndWrites, "security", "password", "password", password, "new", newPassword, "again", newPassword), hasPassword),
	},
	{
		name: "begin to enrol a factor on a page without a factor", action: protocol.SetTwoFactor, own: true, open: true, relayed: true,
		prepare: until(onPage(protocol.TwoFactorOff, "security", "set", "mode", "auth-and-writes", "password", password), pendingFactor(true)),
	},
	{
		name: "confirm a factor on a page", action: protocol.SetTwoFactor, own: true, open: true, relayed: true,
		prepare: until(func(w *world) prepared {
			b := w.alicesTab(protocol.TwoFactorOff)
			b.open("/-/auth/security").submit("set", "mode", "auth-and-writes", "password", password)
			w.secrets["alice"] = b.has(`id="secret"[^>]*>([A-Z2-7]+)<`)
			return b.sent(b.sends("confirm", "code", w.codeNow("alice")))
		}, twoFactor(protocol.AuthAndWrites)),
	},
	{
		name: "disable the factor on a page", action: protocol.SetTwoFactor, own: true, open: true, relayed: true,
		prepare: until(onPage(protocol.AuthAndWrites, "security", "set", "mode", "disable", "password", password), twoFactor(protocol.TwoFactorOff)),
	},
	{name: "add a key on a page", action: protocol.AddFactor, own: true, open: true, relayed: true, prepare: until(func(w *world) prepared {
		b := w.alicesTab(protocol.AuthAndWrites)
		made := b.open("/-/auth/security").made("green")
		return b.sent(b.sends("add-key", "name", "green", "password", password, "made", made, "code", w.code("alice")))
	}, hasKeys(1))},
	{name: "add an app on a page", action: protocol.AddFactor, own: true, open: true, relayed: true, prepare: until(func(w *world) prepared {
		w.alice(protocol.TwoFactorOff)
		w.key("alice", "blue")
		b := w.tab().open("/-/auth/security")
		b.signWith("blue", "sign-in", "passkey").is(200, "Signed in as")
		return b.sent(b.signs("add-app", "key", "password", password))
	}, pendingFactor(true))},
	{name: "remove a key on a page", action: protocol.RemoveFactor, own: true, open: true, relayed: true, prepare: until(func(w *world) prepared {
		b := w.alicesTab(protocol.AuthAndWrites)
		w.key("alice", "blue")
		return b.sent(b.open("/-/auth/security").sends("remove-factor", "id", "blue", "code", w.code("alice")))
	}, hasKeys(0))},
	{
		name: "let keys alone count on a page", action: protocol.SetTwoFactor, own: true, open: true, relayed: true,
		prepare: until(keyOnPage("security", "keys-only"), func(w *world) func() bool { return func() bool { return w.subject("alice").KeysOnly } }),
	},
	{name: "let every kind of factor count on a page", action: protocol.SetTwoFactor, own: true, open: true, relayed: true, prepare: until(func(w *world) prepared {
		b := w.alicesTab(protocol.AuthAndWrites)
		w.key("alice", "blue")
		require.NoError(w.t, store.Transact(w.t.Context(), w.store, func(tx *store.Tx) error {
			return w.auth.Factors().SetKeysOnlyTx(w.t.Context(), tx, audit.Actor{}, w.ids["alice"], true)
		}))
		b.open("/-/auth/security")
		return b.sent(b.signs("any-factor", "key"))
	}, func(w *world) func() bool { return func() bool { return !w.subject("alice").KeysOnly } })},

	// Packages.
	{
		name: "set the publishing access on a page", action: protocol.SetAccess, own: true, open: true, relayed: true,
		prepare: until(onPage(protocol.AuthAndWrites, "packages?package=plain", "set", "mode", "publish", "stage_only", "yes", "approvals", "1"), func(w *world) func() bool {
			return func() bool {
				s, err := w.auth.Package(w.t.Context(), "id-plain")
				require.NoError(w.t, err)
				return s.StageOnly && s.Publish == protocol.FactorOnly
			}
		}),
	},
	{
		name: "trust a publisher on a page", action: protocol.WriteTrust, own: true, open: true, relayed: true,
		prepare: until(onPage(protocol.AuthAndWrites, "trust?package=plain", "add", "system", "github", "claims.repository", "acme/widget", "claims.workflow_ref.file", "release.yml",
			"permission.createPackage", "yes"), func(w *world) func() bool {
			return func() bool { return w.stored(w.publishersKey("plain")) }
		}),
	},
	{
		name: "trust a publisher no more on a page", action: protocol.WriteTrust, own: true, open: true, relayed: true,
		prepare: func(w *world) prepared {
			w.alice(protocol.AuthAndWrites)
			id := w.trust("plain", "createPackage")
			b := w.alicesTab(protocol.AuthAndWrites)
			b.open("/-/auth/trust?package=plain").submit("list", "code", w.code("alice"))
			p := b.sent(b.sends("remove:"+id, "code", w.code("alice")))
			p.done = func() bool { return !w.stored(w.publishersKey("plain")) }
			return p
		},
	},
	{name: "approve what is staged on a page", action: protocol.ApproveStaged, several: true, open: true, relayed: true, prepare: aboutStagedPage("approve")},
	{name: "reject what is staged on a page", action: protocol.RejectStaged, several: true, open: true, relayed: true, prepare: aboutStagedPage("reject")},

	// Organizations.
	{name: "require a second factor on a page", action: protocol.SetOrgFactor, table: true, open: true, relayed: true, prepare: onPage(protocol.AuthAndWrites, "orgs", "require")},
	{name: "require no second factor on a page", action: protocol.SetOrgFactor, table: true, open: true, relayed: true, prepare: func(w *world) prepared {
		w.alice(protocol.AuthAndWrites)
		facts := w.host.orgs["acme "+string(w.ids["alice"])]
		facts.RequireFactor = true
		w.host.orgs["acme "+string(w.ids["alice"])] = facts
		return onPage(protocol.AuthAndWrites, "orgs", "free")(w)
	}},
	{
		name: "let only security keys count in an organization on a page", action: protocol.SetOrgFactor, own: true, open: true, relayed: true,
		prepare: acmeBefore(settings.Scope{}, keyOnPage("orgs", "keys", "org", "acme"), settings.Scope{KeysOnly: true}),
	},
	{
		name: "let every kind of second factor count in an organization on a page", action: protocol.SetOrgFactor, own: true, open: true, relayed: true,
		prepare: acmeBefore(settings.Scope{KeysOnly: true}, keyOnPage("orgs", "any", "org", "acme"), settings.Scope{}),
	},
	{
		name: "let only trusted publishers publish in an organization on a page", action: protocol.SetOrgFactor, own: true, open: true, relayed: true,
		prepare: acmeBefore(settings.Scope{}, onPage(protocol.AuthAndWrites, "orgs", "publishers", "org", "acme"), settings.Scope{PublishersOnly: true}),
	},
	{
		name: "let people publish in an organization on a page", action: protocol.SetOrgFactor, own: true, open: true, relayed: true,
		prepare: acmeBefore(settings.Scope{PublishersOnly: true}, onPage(protocol.AuthAndWrites, "orgs", "everybody", "org", "acme"), settings.Scope{}),
	},
	{
		name: "demand that versions are staged in an organization on a page", action: protocol.SetOrgFactor, own: true, open: true, relayed: true,
		prepare: acmeBefore(settings.Scope{}, onPage(protocol.AuthAndWrites, "orgs", "staging", "org", "acme", "stage_only", "yes", "approvals", "1"), settings.Scope{StageOnly: true, Approvals: 1}),
	},
	{
		name: "demand that versions are staged in the own scope on a page", action: protocol.SetOrgFactor, own: true, open: true, relayed: true,
		prepare: until(onPage(protocol.AuthAndWrites, "orgs", "staging", "org", "alice", "own", "yes", "stage_only", "yes", "approvals", "1"), aliceScope(settings.Scope{StageOnly: true, Approvals: 1})),
	},
}

// readsOnly are the forms that change nothing, by page and decision.
var readsOnly = map[string]bool{"trust list": true, "trust check": true}

// formsOf has the pages on which the forms of a template stand. A template that is not here stands on the page of its name.
var formsOf = map[string][]string{
	"token.html": {"tokens"}, "stagedversion.html": {"staged"}, "signin.html": {"tokens"}, // in the place of any page
}

var (
	templateForm = regexp.MustCompile(`(?s)<form method="post".*?</form>`)
	formDecision = regexp.MustCompile(`name="decision" value="([^"]*)"`)
	eitherWord   = regexp.MustCompile(`^{{if [^}]*}}([a-z-]+){{else}}([a-z-]+){{end}}$`)
)

// Every form of every page is in the table: whoever adds one adds what must make it fail.
func TestWritingsHaveEveryForm(t *testing.T) {
	want := map[string]bool{"signout ": true, "signin ": true} // what has no decision
	names, err := fs.Glob(web.Files(), "*.html")
	require.NoError(t, err)
	for _, name := range names {
		text, err := fs.ReadFile(web.Files(), name)
		require.NoError(t, err)
		for _, form := range templateForm.FindAllString(string(text), -1) {
			assert.True(t, formDecision.MatchString(form) || strings.Contains(form, "{{.SignOut}}"), "a form of %s says nothing of what it decides: %s", name, form)
		}
		pages := formsOf[name]
		if pages == nil {
			pages = []string{strings.TrimSuffix(name, ".html")}
		}
		for _, m := range formDecision.FindAllStringSubmatch(string(text), -1) {
			decisions := []string{m[1]}
			if either := eitherWord.FindStringSubmatch(m[1]); either != nil {
				decisions = either[1:]
			}
			for _, decision := range decisions {
				decision, _, _ = strings.Cut(decision, ":")
				require.Regexp(t, `^[a-z-]+$`, decision, name)
				on := pages
				switch decision {
				case "deny":
					on = []string{"login", "challenge"}
				case "sign-in":
					on = nil
				}
				for _, page := range on {
					want[page+" "+decision] = true
				}
			}
		}
	}
	got := map[string]bool{}
	signIns := 0
	for _, u := range writings {
		p := u.prepare(u.world(t))
		rest, ok := strings.CutPrefix(p.call.path, "/-/auth/")
		if !ok || strings.HasPrefix(rest, "v1/") || p.call.header["Cookie"] == "" {
			continue
		}
		page := regexp.MustCompile(`^[a-z]+`).FindString(rest)
		var decision string
		if body, ok := p.call.body.(string); ok {
			form, err := url.ParseQuery(body)
			require.NoError(t, err)
			decision, _, _ = strings.Cut(form.Get("decision"), ":")
		}
		if decision == "sign-in" {
			signIns++
			continue
		}
		got[page+" "+decision] = true
	}
	maps.DeleteFunc(want, func(form string, _ bool) bool { return readsOnly[form] })
	assert.Equal(t, slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got)))
	assert.Equal(t, 4, signIns, "by password, code, key and passkey")
}
