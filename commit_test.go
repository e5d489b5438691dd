package npmauth_test

import (
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"slices"
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
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/settings"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/storetest"
	"github.com/npmauth/npmauth/token"
	"github.com/npmauth/npmauth/trust"
	"github.com/npmauth/npmauth/twofactor"
)

// An intervention is something that happens while a request is on its way, after which what the
// request asks for must not happen any more.
type intervention struct {
	name string
	// of says whether it concerns the request.
	of func(u writing, p prepared) bool
	// on makes it happen, on the node auth.
	on func(w *world, auth *npmauth.Auth, p prepared)
	// hosts says that it is the host who changes something.
	hosts bool
	// late says that it does no harm before the host was asked for the first time.
	late bool
}

func bySession(p prepared) bool {
	return strings.HasPrefix(p.call.bearer, "npms_") || p.call.session != ""
}
func byToken(p prepared) bool { return strings.HasPrefix(p.call.bearer, "npm_") && p.user != "" }

// byPublisher reports whether the request shows what an ID token was exchanged for.
func byPublisher(p prepared) bool { return strings.HasPrefix(p.call.bearer, "npm_") && p.user == "" }

// signsIn reports whether the request opens a session.
func signsIn(u writing) bool {
	return u.open && (u.action == protocol.LegacyLogin || strings.HasPrefix(u.name, "approve a login") || strings.HasPrefix(u.name, "sign in ") || u.name == "collect a login") && u.name != "sign up"
}

func signsUp(u writing) bool { return strings.HasPrefix(u.name, "sign up") }

// ofOwnScope reports whether the request is about the scope of the user's own name.
func ofOwnScope(u writing) bool { return strings.Contains(u.name, "own scope") }

// byKey reports whether the request shows what a security key has signed.
func byKey(p prepared) bool { return twofactor.FormOf(p.factor()) == twofactor.FormKey }

// page is the ID of the page that the request is about.
func (p prepared) page() string { return path.Base(p.call.path) }

// ofPackage reports whether the request is about the package plain.
func ofPackage(u writing) bool {
	return (u.action.OfPackage() || u.action == protocol.GrantTeam) && !ofNewPackage(u) && !ofScope(u)
}

// ofScope reports whether u is about a trusted publisher of the scope acme.
func ofScope(u writing) bool { return strings.Contains(u.name, "publisher of a scope") }

// asOfScope reports whether u rests on one.
func asOfScope(u writing, p prepared) bool {
	return ofScope(u) && (byPublisher(p) || u.action == protocol.ExchangeToken)
}

// ofNewPackage reports whether u is about a name that no package has.
func ofNewPackage(u writing) bool { return strings.Contains(u.name, "new package") }

// asksFactor reports whether a second factor came with u, which is one that keys-only packages and scopes
// refuse.
func asksFactor(u writing, p prepared) bool { return p.factor() != "" && u.action != protocol.Star }

// asksCode reports whether u takes one, and p is not what a security key has signed.
func asksCode(u writing, p prepared) bool {
	return asksFactor(u, p) && !byKey(p)
}

// withoutFactor reports whether u takes a session, or opens one, of an account that has no
// second factor and could have one meanwhile.
func withoutFactor(u writing) bool {
	return strings.HasSuffix(u.name, "without a factor") || u.name == "begin to enrol a factor" || u.name == "add a first key"
}

var interventions = []intervention{
	{
		name: "the credential is revoked",
		of:   func(_ writing, p prepared) bool { return bySession(p) || byToken(p) || byPublisher(p) },
		on: func(w *world, auth *npmauth.Auth, p prepared) {
			if p.call.session != "" {
				require.NoError(w.t, auth.Sessions().End(w.t.Context(), audit.Actor{}, p.user, p.call.session))
				return
			}
			id := w.sessionID(p.call.bearer)
			if byPublisher(p) {
				_, err := auth.Trust().RevokeToken(w.t.Context(), audit.Actor{}, id, "")
				require.NoError(w.t, err)
				return
			}
			if byToken(p) {
				require.NoError(w.t, auth.Tokens().Revoke(w.t.Context(), audit.Actor{}, p.user, id, ""))
				return
			}
			require.NoError(w.t, auth.Sessions().End(w.t.Context(), audit.Actor{}, p.user, id))
		},
	},
	{
		name: "the sessions are ended",
		of:   func(u writing, p prepared) bool { return bySession(p) || signsIn(u) },
		on: func(w *world, auth *npmauth.Auth, p prepared) {
			require.NoError(w.t, auth.Subjects().EndSessions(w.t.Context(), audit.Actor{}, p.user))
		},
	},
	{
		name: "all tokens are revoked",
		of:   func(_ writing, p prepared) bool { return byToken(p) },
		on: func(w *world, auth *npmauth.Auth, p prepared) {
			require.NoError(w.t, auth.Tokens().RevokeAll(w.t.Context(), audit.Actor{}, p.user))
		},
	},
	{
		name: "everything is revoked",
		of: func(u writing, p prepared) bool {
			return bySession(p) || byToken(p) || signsIn(u)
		},
		on: func(w *world, auth *npmauth.Auth, p prepared) {
			require.NoError(w.t, auth.Subjects().RevokeAll(w.t.Context(), audit.Actor{}, p.user))
		},
	},
	{
		name: "everybody's is revoked",
		of:   func(u writing, p prepared) bool { return bySession(p) || byToken(p) || byPublisher(p) || signsIn(u) },
		on: func(w *world, auth *npmauth.Auth, _ prepared) {
			require.NoError(w.t, auth.Restored(w.t.Context()))
		},
	},
	{
		name: "the account is disabled",
		of: func(u writing, p prepared) bool {
			return bySession(p) || byToken(p) || signsIn(u) || strings.HasPrefix(u.name, "approve a challenge")
		},
		on: func(w *world, auth *npmauth.Auth, p prepared) {
			require.NoError(w.t, auth.Subjects().Disable(w.t.Context(), audit.Actor{}, p.user))
		},
	},
	{
		name: "the account is for other addresses",
		of: func(u writing, p prepared) bool {
			return (bySession(p) || byToken(p)) && u.action != protocol.Logout // who shows a secret ends it, from anywhere
		},
		on: func(w *world, auth *npmauth.Auth, p prepared) {
			require.NoError(w.t, auth.Subjects().SetCIDRs(w.t.Context(), audit.Actor{}, p.user, []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}))
		},
	},
	{
		name: "the password is changed",
		of:   func(u writing, p prepared) bool { return bySession(p) || signsIn(u) },
		on: func(w *world, auth *npmauth.Auth, p prepared) {
			require.NoError(w.t, auth.PasswordChanged(w.t.Context(), p.user))
		},
	},
	{
		name: "the factor is turned on",
		of: func(u writing, p prepared) bool {
			return (bySession(p) || signsIn(u)) && withoutFactor(u)
		},
		on: func(w *world, auth *npmauth.Auth, _ prepared) {
			had := w.auth
			w.auth = auth
			w.enrol("alice", protocol.AuthAndWrites)
			w.auth = had
		},
	},
	{
		name: "the key is removed",
		of: func(u writing, p prepared) bool {
			only := strings.HasPrefix(u.name, "add an app") || strings.HasPrefix(u.name, "let every kind of factor count") // the one that counts
			return byKey(p) && !only
		},
		on: func(w *world, auth *npmauth.Auth, p prepared) {
			require.NoError(w.t, store.Transact(w.t.Context(), w.store, func(tx *store.Tx) error {
				return auth.Factors().RemoveFactorTx(w.t.Context(), tx, audit.Actor{}, p.user, "blue")
			}))
		},
	},
	{
		name: "the login is refused",
		of:   func(u writing, _ prepared) bool { return strings.HasPrefix(u.name, "approve a login") },
		on: func(w *world, auth *npmauth.Auth, p prepared) {
			require.NoError(w.t, auth.Sessions().Deny(w.t.Context(), p.page(), session.Client{}))
		},
	},
	{
		name: "the login is approved",
		of:   func(u writing, _ prepared) bool { return u.name == "refuse a login" },
		on: func(w *world, auth *npmauth.Auth, p prepared) {
			in := session.SignIn{Name: "alice", Password: credential.NewSecret(password), OTP: credential.NewSecret(w.code("alice"))}
			require.NoError(w.t, auth.Sessions().Approve(w.t.Context(), p.page(), in))
		},
	},
	{
		name: "the challenge is refused",
		of:   func(u writing, _ prepared) bool { return strings.HasPrefix(u.name, "approve a challenge") },
		on: func(w *world, auth *npmauth.Auth, p prepared) {
			require.NoError(w.t, auth.Factors().Deny(w.t.Context(), p.page(), netip.Addr{}))
		},
	},
	{
		name: "the challenge is approved",
		of:   func(u writing, _ prepared) bool { return u.name == "refuse a challenge" },
		on: func(w *world, auth *npmauth.Auth, p prepared) {
			_, err := auth.Factors().Approve(w.t.Context(), twofactor.Approval{PageID: p.page(), User: p.user, Value: credential.NewSecret(w.code("alice")), At: w.clock.Now()})
			require.NoError(w.t, err)
		},
	},
	{
		name: "the name is taken",
		of:   func(u writing, _ prepared) bool { return signsUp(u) },
		on: func(w *world, auth *npmauth.Auth, _ prepared) {
			_, err := auth.People().Create(w.t.Context(), audit.Actor{}, account.NewUser{Name: "carol", Email: "mallory@acme.test", Password: credential.NewSecret(newPassword)})
			require.NoError(w.t, err)
		},
	},
	{
		name: "the package takes no tokens any more",
		of: func(u writing, p prepared) bool {
			return byToken(p) && (u.action == protocol.Publish || u.action == protocol.SetDistTag)
		},
		on: func(w *world, auth *npmauth.Auth, _ prepared) {
			require.NoError(w.t, auth.SetPackage(w.t.Context(), "id-plain", policy.Settings{Publish: protocol.FactorOnly}))
		},
	},
	{
		name: "only security keys count for the package",
		of:   func(u writing, p prepared) bool { return ofPackage(u) && asksCode(u, p) },
		on: func(w *world, auth *npmauth.Auth, _ prepared) {
			require.NoError(w.t, auth.SetPackage(w.t.Context(), "id-plain", policy.Settings{KeysOnly: true}))
		},
	},
	{
		name: "only security keys count in the scope",
		of:   func(u writing, p prepared) bool { return u.action.OfOrg() && asksCode(u, p) },
		on: func(w *world, auth *npmauth.Auth, _ prepared) {
			for _, scope := range []string{"acme", "alice"} {
				require.NoError(w.t, auth.SetScope(w.t.Context(), scope, settings.Scope{KeysOnly: true}))
			}
		},
	},
	{
		name: "the scope is not the user's any more", hosts: true,
		of: func(u writing, _ prepared) bool { return ofOwnScope(u) },
		on: func(w *world, _ *npmauth.Auth, p prepared) {
			w.host.mu.Lock()
			defer w.host.mu.Unlock()
			delete(w.host.scopes, p.user)
		},
	},
	{
		name: "an organization takes the name of the scope", hosts: true,
		of: func(u writing, _ prepared) bool { return ofOwnScope(u) },
		on: func(w *world, _ *npmauth.Auth, _ prepared) {
			w.host.mu.Lock()
			defer w.host.mu.Unlock()
			w.host.orgs["alice mallory"] = policy.OrgFacts{ID: "o-2", Role: protocol.OrgOwner}
		},
	},
	{
		name: "only trusted publishers may publish the package",
		of: func(u writing, p prepared) bool {
			return ofPackage(u) && u.action == protocol.Publish && p.user != ""
		},
		on: func(w *world, auth *npmauth.Auth, _ prepared) {
			require.NoError(w.t, auth.SetPackage(w.t.Context(), "id-plain", policy.Settings{PublishersOnly: true}))
		},
	},
	{
		name: "versions of the package are staged",
		of:   func(u writing, _ prepared) bool { return ofPackage(u) && u.action == protocol.Publish },
		on: func(w *world, auth *npmauth.Auth, _ prepared) {
			require.NoError(w.t, auth.SetPackage(w.t.Context(), "id-plain", policy.Settings{StageOnly: true}))
		},
	},
	{
		name: "who staged a version does not approve it",
		of:   func(u writing, _ prepared) bool { return u.action == protocol.ApproveStaged },
		on: func(w *world, auth *npmauth.Auth, _ prepared) {
			require.NoError(w.t, auth.SetPackage(w.t.Context(), "id-plain", policy.Settings{OtherApprover: true}))
		},
	},
	{
		name: "the trusted publisher is removed",
		of: func(u writing, p prepared) bool {
			return (byPublisher(p) || u.action == protocol.ExchangeToken) && !ofScope(u)
		},
		on: func(w *world, auth *npmauth.Auth, _ prepared) {
			alice := audit.Actor{User: w.ids["alice"]}
			pending, err := auth.Trust().PendingOf(w.t.Context(), nil, brandNew, alice.User)
			require.NoError(w.t, err)
			if len(pending) > 0 {
				require.NoError(w.t, store.Transact(w.t.Context(), w.store, func(tx *store.Tx) error {
					return auth.Trust().RemovePendingTx(w.t.Context(), tx, alice, brandNew, pending[0].ID)
				}))
				return
			}
			plain := trust.Package{ID: "id-plain", Name: protocol.PackageName{Name: "plain"}}
			list, err := auth.Trust().Publishers(w.t.Context(), nil, plain.ID)
			require.NoError(w.t, err)
			require.NoError(w.t, auth.Trust().Remove(w.t.Context(), audit.Actor{}, plain, list[0].ID))
		},
	},
	{
		name: "the trusted publisher of the scope is removed", of: asOfScope,
		on: func(w *world, auth *npmauth.Auth, _ prepared) {
			list, err := auth.Trust().ScopePublishers(w.t.Context(), nil, acmeScope)
			require.NoError(w.t, err)
			require.NoError(w.t, auth.Trust().Remove(w.t.Context(), audit.Actor{}, acmeScope, list[0].ID))
		},
	},
	{
		name: "the scope gets other owners", of: asOfScope,
		on: func(w *world, auth *npmauth.Auth, _ prepared) {
			require.NoError(w.t, auth.TransferredScope(w.t.Context(), "acme"))
		},
	},
	{
		name: "the organization of the scope is another", hosts: true,
		of: func(u writing, p prepared) bool { return asOfScope(u, p) && u.action == protocol.ExchangeToken },
		on: func(w *world, _ *npmauth.Auth, _ prepared) {
			w.host.mu.Lock()
			defer w.host.mu.Unlock()
			w.host.orgs["acme "+string(w.ids["alice"])] = policy.OrgFacts{ID: "o-9", Role: protocol.OrgOwner}
		},
	},
	{
		name: "the package in the scope is another", hosts: true, late: true,
		of: asOfScope,
		on: func(w *world, _ *npmauth.Auth, _ prepared) {
			w.host.mu.Lock()
			defer w.host.mu.Unlock()
			w.host.packages[acmeWidget.Name].id = "id-another"
		},
	},
	{
		name: "the right is taken away", hosts: true,
		of: func(u writing, p prepared) bool {
			return ofPackage(u) && u.action != protocol.Star && u.action != protocol.GrantTeam && p.user != ""
		},
		on: func(w *world, _ *npmauth.Auth, p prepared) {
			w.host.change(func(h *hosted) { h.rights[p.user] = policy.RightRead })
		},
	},
	{
		name: "the package is made private", hosts: true,
		of: func(u writing, p prepared) bool {
			return ofPackage(u) && u.action != protocol.GrantTeam && p.user != "" // a publisher has its own rights
		},
		on: func(w *world, _ *npmauth.Auth, _ prepared) {
			w.host.change(func(h *hosted) { h.private, h.rights = true, nil })
		},
	},
	{
		name: "the package is another", hosts: true, late: true,
		of: func(u writing, _ prepared) bool { return ofPackage(u) && u.action != protocol.GrantTeam }, // which names it in its body
		on: func(w *world, _ *npmauth.Auth, _ prepared) { w.host.change(func(h *hosted) { h.id = "id-another" }) },
	},
	{
		name: "the name is taken by another", hosts: true,
		of: func(u writing, _ prepared) bool { return ofNewPackage(u) },
		on: func(w *world, _ *npmauth.Auth, _ prepared) { w.host.add("brand-new", false, "mallory") },
	},
	{
		name: "the user of the pending trusted publisher is disabled",
		of:   func(u writing, p prepared) bool { return ofNewPackage(u) && p.user == "" },
		on: func(w *world, auth *npmauth.Auth, _ prepared) {
			require.NoError(w.t, auth.Subjects().Disable(w.t.Context(), audit.Actor{}, w.ids["alice"]))
		},
	},
	{
		name: "everything of the user of the pending trusted publisher is revoked",
		of:   func(u writing, p prepared) bool { return ofNewPackage(u) && p.user == "" },
		on: func(w *world, auth *npmauth.Auth, _ prepared) {
			require.NoError(w.t, auth.Subjects().RevokeAll(w.t.Context(), audit.Actor{}, w.ids["alice"]))
		},
	},
	{
		name: "the user of the pending trusted publisher may not create it", hosts: true,
		of: func(u writing, _ prepared) bool { return ofNewPackage(u) },
		on: func(w *world, _ *npmauth.Auth, _ prepared) {
			w.host.mu.Lock()
			defer w.host.mu.Unlock()
			w.host.closed = true
		},
	},
	{
		name: "the role in the organization ends", hosts: true,
		of: func(u writing, _ prepared) bool { return u.action.OfOrg() && !ofOwnScope(u) },
		on: func(w *world, _ *npmauth.Auth, p prepared) {
			w.host.mu.Lock()
			defer w.host.mu.Unlock()
			w.host.orgs["acme "+string(p.user)] = policy.OrgFacts{ID: "o-1", Role: protocol.OrgMember}
		},
	},
	{
		name: "the administrator is one no more", hosts: true,
		of: func(u writing, _ prepared) bool {
			return u.action == protocol.ManageService || u.action == protocol.RevokeService
		},
		on: func(w *world, auth *npmauth.Auth, _ prepared) {
			_, err := auth.People().SetAdministrators(w.t.Context(), audit.Actor{}, w.ids["ci"], nil)
			require.NoError(w.t, err)
		},
	},
}

// change changes the package plain.
func (h *backend) change(fn func(*hosted)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	fn(h.packages[protocol.PackageName{Name: "plain"}])
}

// harmless are requests that an intervention does not refuse, and why.
var harmless = map[string]string{
	"start a login":                    "it stores nothing and knows of nobody",
	"change a user document":           "it is always refused",
	"report a leak":                    "it is signed by a scanner",
	"collect a challenge":              "its proof is good for the credential alone, which is judged when it is shown",
	"log out":                          "it ends what the intervention ends",
	"log out a token":                  "it ends what the intervention ends",
	"log out as a trusted publisher":   "it ends what the intervention ends",
	"sign out on a page":               "it ends what the intervention ends",
	"put a document that says nothing": "it changes nothing",
}

// A moment is when an intervention comes.
type moment struct {
	name      string
	call      int  // before this call of the store; 0 is none
	body      bool // before the last byte of the body
	early     bool // before the last read
	answered  bool // after the host's last answer, whose change is the next request's business
	elsewhere bool // the intervention comes on another node
}

// await returns a world in which u is about to be sent, and the node that an intervention comes on: the
// one that answers, which remembers nothing, or another, of which the one that answers hears
// nothing and remembers what it can.
func (u writing) await(t *testing.T, elsewhere bool) (w *world, st *storetest.Faulty, p prepared, auth *npmauth.Auth) {
	st = storetest.NewFaulty(store.NewMemory())
	w = u.world(t, func(cfg *npmauth.Config) {
		cfg.Store = st
		if !elsewhere {
			cfg.Fresh = -1
		}
	})
	p = u.prepare(w)
	if !elsewhere {
		return w, st, p, w.auth
	}
	other := u.world(t, func(cfg *npmauth.Config) {
		cfg.Store, cfg.Packages, cfg.Documents, cfg.Orgs, cfg.Now = st, w.host, w.host, w.host, w.clock.Now
	})
	if p.call.session != "" {
		w.do(call{method: "GET", path: "/-/auth/profile", header: map[string]string{"Cookie": p.call.header["Cookie"]}})
	}
	w.do(call{method: "GET", path: "/-/whoami", bearer: p.call.bearer})
	return w, st, p, other.auth
}

// moments returns when an intervention must be noticed: before each call of the store up to the one
// that decides, which is the commit, or where there is none the last read before the host
// is given the end of the request.
func (u writing) moments(t *testing.T, elsewhere bool) (ms []moment) {
	w, st, p, _ := u.await(t, elsewhere)
	var calls []storetest.Calls
	asked := 0  // how many calls were made before the host's last answer
	handed := 0 // how many were made before it wrote: what follows decides nothing
	w.host.asked = func() {
		if handed == 0 {
			asked = len(calls)
		}
	}
	w.host.wrote = func() { handed = len(calls) }
	st.Inject(storetest.Fault{If: func(c storetest.Call) bool {
		calls = append(calls, c.Kind)
		if slices.ContainsFunc(c.Keys, func(key string) bool { return strings.HasPrefix(key, "user.name/") }) {
			w.host.asked() // package account stands for the host
		}
		return false
	}})
	a := w.do(p.call)
	require.Less(t, a.Code, 400, a.Body.String())
	st.Mend()
	w.host.asked, w.host.wrote = nil, nil
	if handed > 0 {
		calls = calls[:handed]
	}
	require.True(t, p.done())
	decides := 0
	for i, kind := range calls {
		if kind == storetest.Commits && (decides == 0 || !signsUp(u)) { // whose first makes the account
			decides = i + 1
		}
	}
	commits := decides > 0
	if !commits {
		decides = len(calls)
	}
	read := 0
	for i, kind := range calls[:decides] {
		if kind == storetest.Gets {
			read = i + 1
		}
	}
	if p.call.body != nil && !u.open {
		ms = append(ms, moment{name: "before the last byte of the body", body: true})
	}
	if commits {
		ms = append(ms, moment{name: "between judgement and commit", call: decides})
	} else if p.call.body == nil {
		return nil // judged when the header came, and nothing waited
	}
	if !u.open { // to sign in after an intervention is another matter
		ms = append(ms, moment{name: "before the last read", call: read})
		for i := 1; i < read && !testing.Short(); i++ {
			ms = append(ms, moment{name: fmt.Sprint("before call ", i), call: i, early: true})
		}
	}
	for i := range ms {
		ms[i].elsewhere, ms[i].answered = elsewhere, ms[i].call > asked
		if elsewhere {
			ms[i].name += ", on another node"
		}
	}
	return ms
}

// A pausedBody gives its last byte only after fn.
type pausedBody struct {
	rest []byte
	fn   func()
}

func (b *pausedBody) Read(p []byte) (int, error) {
	if len(b.rest) == 0 {
		return 0, io.EOF
	}
	if len(b.rest) == 1 {
		b.fn()
	}
	n := copy(p, b.rest[:max(1, min(len(b.rest)-1, len(p)))])
	b.rest = b.rest[n:]
	return n, nil
}

// intervene sends the request of u in a world of its own and lets the intervention come at m.
func (u writing) intervene(t *testing.T, iv intervention, m moment) (w *world, p prepared, a answer) {
	w, st, p, auth := u.await(t, m.elsewhere)
	c := p.call
	if m.body {
		c.body = &pausedBody{rest: w.bytes(c.body), fn: func() { iv.on(w, auth, p) }}
		return w, p, w.do(c)
	}
	st.Inject(storetest.Fault{Nth: m.call, Do: func() { iv.on(w, auth, p) }})
	a = w.do(c)
	require.True(t, st.Struck(), "there is no such call")
	return w, p, a
}

// Whatever is taken from somebody while their request is on its way, up to the commit, or to
// the last byte of a body that is handed over, is taken from the request as well: nothing
// happens of what it asks for. No request of npm's that changes something is left out.
//
// AU-01, AU-02, AU-04.
func TestInterventions(t *testing.T) {
	for i, u := range writings {
		if u.refused != "" || harmless[u.name] != "" {
			continue
		}
		t.Run(u.name, func(t *testing.T) {
			t.Parallel()
			ms := append(u.moments(t, false), u.moments(t, true)...)
			probe := u.prepare(u.world(t))
			concerned := 0
			for j, iv := range interventions {
				if !iv.of(u, probe) {
					continue
				}
				concerned++
				w := u.world(t)
				alone := u.prepare(w)
				iv.on(w, w.auth, alone)
				same := alone.done() // what the intervention does is what the request would have done
				for k, m := range ms {
					// Under -short every intervention comes at one moment, another for each request, and
					// with the race detector, which is slow, at one in three of these.
					if testing.Short() && (k != (i+j)%len(ms) || raceEnabled && (i+j)/len(ms)%3 != 0) || m.early && (i+j+k)%3 != 0 || iv.hosts && (m.elsewhere || m.answered) || iv.late && m.early {
						continue
					}
					t.Run(iv.name+" "+m.name, func(t *testing.T) {
						w, p, a := u.intervene(t, iv, m)
						if u.name != "collect a login" || a.text("token") != "" { // whose refusal is a 200 without one
							assert.GreaterOrEqual(t, a.Code, 300, a.Body.String())
						}
						if !same {
							assert.False(t, p.done(), "it was done: %d %s", a.Code, a.Body)
						}
						if !u.own {
							assert.Empty(t, w.host.written())
						}
					})
				}
			}
			assert.Positive(t, concerned, "no intervention concerns it")
		})
	}
}

// Every intervention concerns some request.
func TestInterventionsConcernSomething(t *testing.T) {
	for name := range harmless {
		assert.True(t, slices.ContainsFunc(writings, func(u writing) bool { return u.name == name }), name)
	}
	for _, iv := range interventions {
		met := slices.ContainsFunc(writings, func(u writing) bool {
			return u.refused == "" && harmless[u.name] == "" && iv.of(u, u.prepare(u.world(t)))
		})
		assert.True(t, met, iv.name)
	}
}

// Of every action of npmauth's own that takes no more than a session of an account without a
// second factor, there is a request that meets the factor being turned on.
//
// AU-04.
func TestActionsWithoutAFactorAreMet(t *testing.T) {
	rules := policy.NPM()
	n := 0
	for _, u := range writings {
		if !u.own || u.open || u.refused != "" || u.action == protocol.Logout || // which needs no live session at all
			u.action == protocol.RemoveFactor { // of which there is none then
			continue
		}
		now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		d := rules.Decide(policy.Request{
			Operation:  protocol.Operation{Action: u.action, Package: protocol.PackageName{Name: "plain"}, Service: "ci"},
			Credential: &policy.Credential{ID: "s", Kind: policy.KindSession, User: "alice", Created: now, Expires: now.Add(time.Hour)},
			Account:    policy.Account{ID: "alice", Name: "alice", TwoFactor: protocol.TwoFactorOff},
			Package:    policy.Facts{ID: "id-plain", Rights: allRights}, Administers: true, Now: now,
		})
		if d.Effect != policy.Allow {
			continue
		}
		n++
		assert.True(t, slices.ContainsFunc(writings, func(v writing) bool { return v.action == u.action && withoutFactor(v) }), "%s: %s", u.name, u.action)
	}
	assert.Greater(t, n, 8)
}

// A host that prepares after the body asks once more before it writes.
func TestConfirm(t *testing.T) {
	for _, u := range writings {
		if u.own || u.table || u.several || u.refused != "" || harmless[u.name] != "" {
			continue
		}
		t.Run(u.name, func(t *testing.T) {
			t.Parallel()
			probe := u.prepare(u.world(t))
			for _, iv := range append([]intervention{{name: "nothing happens"}}, interventions...) {
				if iv.of != nil && !iv.of(u, probe) {
					continue
				}
				t.Run(iv.name, func(t *testing.T) {
					w := u.world(t)
					p := u.prepare(w)
					var before, after error
					h := w.auth.Wrap(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
						_, err := io.Copy(io.Discard, r.Body)
						assert.NoError(t, err)
						op, _ := host.OperationFrom(r.Context())
						before = op.Confirm(r.Context())
						if iv.on != nil {
							iv.on(w, w.auth, p)
						}
						if after = op.Confirm(r.Context()); after != nil {
							npmauth.WriteError(rw, r, after)
						}
					}))
					a := w.send(h, p.call)
					assert.NoError(t, before, "and no code is asked for twice")
					if iv.on == nil {
						assert.NoError(t, after)
						return
					}
					assert.Error(t, after)
					assert.GreaterOrEqual(t, a.Code, 400)
					assert.Less(t, a.Code, 500, a.Body.String())
				})
			}
		})
	}
	var op host.Operation
	assert.Error(t, op.Confirm(t.Context()), "nobody allowed it")
}

// A request is judged anew where its rows changed, and a store that says so for ever is an
// outage.
func TestCommitGivesUp(t *testing.T) {
	st := storetest.NewFaulty(store.NewMemory())
	w := newWorld(t, func(cfg *npmauth.Config) { cfg.Store = st })
	s := w.alice(protocol.TwoFactorOff)
	st.Inject(storetest.Fault{On: storetest.Commits, Times: storetest.Always, Err: store.ErrConflict})
	a := w.create(s, "", map[string]any{"packages_all": true})
	assert.Equal(t, 503, a.Code, a.Body.String())
	st.Mend()
	assert.Zero(t, w.tokens("alice"))
}

// A change of the account that takes nothing from a request does not refuse it, also when it
// comes at the moment of the commit.
func TestHarmlessChangeAtTheCommit(t *testing.T) {
	post := func(w *world, s string, body any) answer {
		return w.do(call{method: "POST", path: "/-/npm/v1/user", bearer: s, body: body})
	}
	for name, tt := range map[string]struct {
		writes string // the prefix of the row that it is about
		do     func(w *world, s string, begins func()) answer
	}{
		"token": {"token/", func(w *world, s string, begins func()) answer {
			begins()
			return w.create(s, "", map[string]any{"packages_all": true})
		}},
		"password": {"password/", func(w *world, s string, begins func()) answer {
			begins()
			return post(w, s, map[string]any{"password": map[string]any{"old": password, "new": "another fine password here"}})
		}},
		"confirmation of a factor": {"twofactor/", func(w *world, s string, begins func()) answer {
			a := post(w, s, map[string]any{"tfa": map[string]any{"mode": "auth-only", "password": password}})
			require.Equal(t, 200, a.Code, a.Body.String())
			link, err := url.Parse(a.text("tfa"))
			require.NoError(t, err)
			w.secrets["alice"] = link.Query().Get("secret")
			begins()
			return post(w, s, map[string]any{"tfa": []string{w.codeNow("alice")}})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			st := storetest.NewFaulty(store.NewMemory())
			w := newWorld(t, func(cfg *npmauth.Config) { cfg.Store = st })
			alice := w.person("alice")
			s := w.login("alice")
			a := tt.do(w, s, func() {
				st.Inject(storetest.Fault{
					On: storetest.Commits,
					If: func(c storetest.Call) bool {
						return slices.ContainsFunc(c.Ops, func(op store.Op) bool {
							return op.Action == store.Put && strings.HasPrefix(op.Key, tt.writes)
						})
					},
					Do: func() {
						require.NoError(t, w.auth.Subjects().SetHighImpact(t.Context(), audit.Actor{}, alice, true))
					},
				})
			})
			assert.Less(t, a.Code, 300, a.Body.String())
			assert.True(t, st.Struck())
			assert.Equal(t, 200, whoami(w, s))
		})
	}
}

// The rows of a request are read in as few requests as can be, and what waits for nothing
// costs none.
func TestRoundTrips(t *testing.T) {
	st := storetest.NewFaulty(store.NewMemory())
	p := &people{user: host.User{ID: "1", Name: "alice"}}
	w := newWorld(t, func(cfg *npmauth.Config) { cfg.Store, cfg.Users = st, p })
	w.ids["alice"] = "1"
	w.host.add("plain", false, "1")
	count := func(what string, want int, fn func() int) {
		t.Helper()
		before := st.Count(storetest.All)
		require.Less(t, fn(), 300, what)
		assert.Equal(t, want, st.Count(storetest.All)-before, what)
	}
	s := w.login("alice")
	bearer, tok := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadWrite), Bypass: true})
	second, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadWrite), Bypass: true})
	w.clock.Add(2 * time.Second) // older than Config.Fresh
	count("cold: the credential and its user", 2, func() int { return whoami(w, bearer) })
	count("warm", 0, func() int { return whoami(w, bearer) })
	count("another credential of a user who is warm", 1, func() int { return whoami(w, second) })
	count("a session of that user", 1, func() int { return whoami(w, s) })
	count("a token without a proof: the guesses at the password, and itself", 1+2, func() int {
		return w.create(s, "", map[string]any{"packages_all": true}).Code
	})
	count("revoke", 2, func() int {
		return w.do(call{method: "DELETE", path: "/-/npm/v1/tokens/token/" + tok.ID, bearer: s}).Code
	})
	count("revoke all", 2, func() int { return w.do(call{method: "DELETE", path: "/-/auth/v1/tokens", bearer: s}).Code })
	third, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadWrite), Bypass: true})
	require.Equal(t, 200, whoami(w, third))
	tag := func(version string) int {
		return w.do(call{method: "PUT", path: "/-/package/plain/dist-tags/next", bearer: third, body: `"` + version + `"`}).Code
	}
	require.Equal(t, 200, tag("1.0.0")) // and the package's settings are known
	count("a dist-tag, whose body was waited for", 1, func() int { return tag("2.0.0") })
	count("the last byte of a publish", 1, func() int { return w.publish("plain", "3.0.0", third, "").Code })

	w.enrol("alice", protocol.AuthAndWrites)
	s = w.login("alice")
	require.Equal(t, 201, w.create(s, w.code("alice"), map[string]any{"packages_all": true}).Code)
	otp := w.code("alice")
	require.Equal(t, 200, whoami(w, s))
	count("a token with a code: the guesses, the check of the code, which writes nothing if it is right, and itself", 1+1+2, func() int {
		return w.create(s, otp, map[string]any{"packages_all": true}).Code
	})
}
