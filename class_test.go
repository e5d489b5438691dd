package npmauth_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
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
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/storetest"
	"github.com/npmauth/npmauth/token"
)

// An issued credential of a test, with all that a class can select it by.
type issued struct {
	id, secret, user string
	kind             policy.Kind
	created          time.Time
	bypass           bool
	acme             bool // has a grant for @acme or something in it
	writes, reads    bool // @acme/private
}

// A classWorld has people with many credentials, of which those of bob are of a disabled account.
type classWorld struct {
	*world
	all []issued
}

func newClassWorld(t *testing.T, change ...func(*npmauth.Config)) *classWorld {
	w := &classWorld{world: newWorld(t, change...)}
	alice, bob := w.person("alice"), w.person("bob")
	w.host.add("plain", false, alice)
	w.host.add("@acme/private", true, alice)
	hidden := protocol.PackageName{Scope: "acme", Name: "private"}
	w.host.packages[hidden].rights[bob] = policy.RightRead
	one := func(name protocol.PackageName) protocol.Grant {
		return protocol.Grant{Target: protocol.OnePackage, Package: name, Permission: protocol.ReadWrite}
	}
	grants := []struct {
		grant               protocol.Grant
		acme, writes, reads bool
	}{
		{protocol.Grant{Target: protocol.AllPackages, Permission: protocol.ReadOnly}, true, false, true},
		{protocol.Grant{Target: protocol.AllPackages, Permission: protocol.ReadWrite}, true, true, true},
		{one(hidden), true, true, true},
		{one(protocol.PackageName{Scope: "acme", Name: "absent"}), true, false, false},
		{one(protocol.PackageName{Name: "plain"}), false, false, false},
		{protocol.Grant{Target: protocol.OneScope, Scope: "acme", Permission: protocol.ReadOnly}, true, false, true},
		{protocol.Grant{Target: protocol.OneScope, Scope: "acm", Permission: protocol.ReadWrite}, false, false, false},
		{protocol.Grant{Target: protocol.OneOrg, Scope: "acme", Permission: protocol.ReadWrite}, true, false, false},
		{protocol.Grant{Target: protocol.OneOrg, Scope: "other", Permission: protocol.ReadWrite}, false, false, false},
	}
	for range 2 { // before and after noon
		for _, name := range []string{"alice", "bob", "carol"} {
			if w.ids[name] == "" {
				w.person(name)
			}
			for i := range 2 * len(grants) {
				g, bypass := grants[i/2], i%2 == 1
				if bypass && (g.grant.Permission == protocol.ReadOnly || g.grant.Target == protocol.OneOrg) {
					continue
				}
				secret, tok := w.token(name, token.Spec{Grants: []protocol.Grant{g.grant}, Bypass: bypass, Days: 30})
				w.all = append(w.all, issued{
					tok.ID, secret, name, policy.KindToken, w.clock.Now(), bypass, g.acme,
					g.writes && name == "alice", g.reads && name != "carol",
				})
			}
			secret, s, err := w.auth.Sessions().SignIn(t.Context(), session.SignIn{Name: name, Password: credential.NewSecret(password)})
			require.NoError(t, err)
			w.all = append(w.all, issued{s.ID, secret.Reveal(), name, policy.KindSession, w.clock.Now(), false, false, name == "alice", name != "carol"})
		}
		w.clock.Add(30 * time.Minute)
	}
	require.NoError(t, w.auth.Subjects().Disable(t.Context(), audit.Actor{}, bob))
	return w
}

// A selection is a class, and what belongs to it.
type selection struct {
	class npmauth.CredentialClass
	has   func(issued) bool
}

// selections returns each of the ways to select, and each pair of them.
func (w *classWorld) selections() map[string]selection {
	noon := w.all[len(w.all)-1].created
	hidden := protocol.PackageName{Scope: "acme", Name: "private"}
	type part struct {
		set func(*npmauth.CredentialClass)
		has func(issued) bool
	}
	type class = npmauth.CredentialClass
	parts := map[string]part{
		"user":     {func(c *class) { c.User = w.ids["alice"] }, func(i issued) bool { return i.user == "alice" }},
		"disabled": {func(c *class) { c.User = w.ids["bob"] }, func(i issued) bool { return i.user == "bob" }},
		"bypass":   {func(c *class) { c.Bypass = true }, func(i issued) bool { return i.bypass }},
		"before":   {func(c *class) { c.Before = noon }, func(i issued) bool { return i.created.Before(noon) }},
		"scope":    {func(c *class) { c.Scope = "acme" }, func(i issued) bool { return i.acme }},
		"package":  {func(c *class) { c.Package = hidden }, func(i issued) bool { return i.writes }},
		"readers": {func(c *class) { c.Package, c.Rights = hidden, policy.RightRead },
			func(i issued) bool { return i.reads }},
	}
	all := map[string]selection{}
	for name, p := range parts {
		for other, q := range parts {
			for kind, word := range map[policy.Kind]string{policy.KindUnknown: "both", policy.KindToken: "tokens", policy.KindSession: "sessions"} {
				s := selection{npmauth.CredentialClass{Kind: kind}, func(i issued) bool {
					return p.has(i) && q.has(i) && (kind == policy.KindUnknown || i.kind == kind)
				}}
				p.set(&s.class)
				q.set(&s.class)
				pair := name + "+" + other
				if other < name || kind == policy.KindSession && (s.class.Bypass || s.class.Scope != "") ||
					pair == "disabled+user" || pair == "package+readers" {
					continue // was there, contradicts itself, or says one thing twice
				}
				all[pair+" "+word] = s
			}
		}
	}
	return all
}

// listed returns the IDs of what a class selects.
func (w *classWorld) listed(c npmauth.CredentialClass) (ids []string) {
	w.t.Helper()
	for cred, err := range w.auth.CredentialsOf(w.t.Context(), c) {
		require.NoError(w.t, err)
		ids = append(ids, cred.ID)
	}
	return ids
}

// check enables all accounts, and requires that exactly those of has are dead.
func (w *classWorld) check(has func(issued) bool, name string) {
	w.t.Helper()
	require.NoError(w.t, w.auth.Subjects().Enable(w.t.Context(), audit.Actor{}, w.ids["bob"]))
	for _, i := range w.all {
		want := 200
		if has(i) {
			want = 401
		}
		assert.Equal(w.t, want, whoami(w.world, i.secret), "%s: %+v", name, i)
	}
}

func idsOf(all []issued, has func(issued) bool) (ids []string) {
	for _, i := range all {
		if has(i) {
			ids = append(ids, i.id)
		}
	}
	return ids
}

// AU-28: what a class selects is revoked and nothing else, each with its event, also what belongs to
// an account that is disabled and enabled later.
func TestRevokeClass(t *testing.T) {
	names := slices.Sorted(maps.Keys(newClassWorld(t).selections()))
	require.Len(t, names, 65)
	for _, name := range names {
		w := newClassWorld(t)
		s := w.selections()[name]
		want := idsOf(w.all, s.has)
		assert.ElementsMatch(t, want, w.listed(s.class), name)
		w.events.all = nil
		var told []string
		n, err := w.auth.RevokeClass(t.Context(), s.class, func(c *policy.Credential) { told = append(told, c.ID) })
		require.NoError(t, err, name)
		assert.Equal(t, len(want), n, name)
		assert.ElementsMatch(t, want, told, name)
		var events []string
		for _, e := range w.events.all {
			assert.Contains(t, []audit.Type{audit.TokenRevoked, audit.SessionEnded}, e.Type)
			assert.Equal(t, audit.Done, e.Outcome)
			assert.Equal(t, []string{"bulk"}, e.Reasons)
			assert.Empty(t, e.By, "the operator")
			events = append(events, e.Credential)
		}
		assert.ElementsMatch(t, want, events, name)
		assert.Empty(t, w.listed(s.class), name)
		n, err = w.auth.RevokeClass(t.Context(), s.class, nil)
		require.NoError(t, err, "and it is safe to repeat")
		assert.Zero(t, n, name)
		w.check(s.has, name)
	}
}

// What selects nothing by itself never selects everything.
func TestNoClass(t *testing.T) {
	w := newClassWorld(t)
	pkg := protocol.PackageName{Name: "plain"}
	for name, c := range map[string]npmauth.CredentialClass{
		"empty":              {},
		"kind alone":         {Kind: policy.KindToken},
		"rights alone":       {Rights: policy.RightWrite},
		"rights, no package": {Rights: policy.RightWrite, Bypass: true},
		"unknown right":      {Package: pkg, Rights: 8},
		"foreign":            {Kind: policy.KindForeign, User: "u"},
		"publisher":          {Kind: policy.KindPublisher, User: "u"},
		"no kind":            {Kind: 99, User: "u"},
		"bypass of sessions": {Kind: policy.KindSession, Bypass: true},
		"scope of sessions":  {Kind: policy.KindSession, Scope: "acme"},
		"@":                  {Scope: "@acme"},
		"scope of two":       {Scope: "acme/x"},
		"no package name":    {Package: protocol.PackageName{Scope: "acme"}},
	} {
		n, err := w.auth.RevokeClass(t.Context(), c, nil)
		assert.ErrorIs(t, err, npmauth.ErrClass, name)
		assert.NotContains(t, fmt.Sprint(err), "again", name)
		assert.Zero(t, n)
		count := 0
		for cred, err := range w.auth.CredentialsOf(t.Context(), c) {
			count++
			assert.Nil(t, cred)
			assert.ErrorIs(t, err, npmauth.ErrClass, name)
		}
		assert.Equal(t, 1, count, name)
	}
	w.check(func(issued) bool { return false }, "none")
	assert.Empty(t, w.listed(npmauth.CredentialClass{User: "nobody"}))
	for range w.auth.CredentialsOf(t.Context(), npmauth.CredentialClass{Before: w.clock.Now()}) {
		break // the caller may have seen enough
	}
}

// AU-28: wherever it is interrupted, it says that it is to be run again, and then it is complete. A
// commit whose outcome is unknown may have happened, and its credential is not left.
func TestRevokeClassInterrupted(t *testing.T) {
	for name, fault := range map[string]storetest.Fault{
		"fails":            {On: storetest.Commits},
		"unknown, happens": {On: storetest.Commits, After: true},
		"unknown":          {On: storetest.Commits, Err: store.ErrUnknown},
		"get":              {On: storetest.Gets},
		"list":             {On: storetest.Lists},
	} {
		for nth := 1; ; nth++ {
			st := storetest.NewFaulty(store.NewMemory())
			w := newClassWorld(t, func(cfg *npmauth.Config) { cfg.Store = st })
			s := w.selections()["package+package both"]
			want := idsOf(w.all, s.has)
			fault.Nth = nth
			st.Inject(fault)
			first, err := w.auth.RevokeClass(t.Context(), s.class, nil)
			if !st.Struck() {
				require.NoError(t, err)
				require.Greater(t, nth, 1)
				break
			}
			require.Error(t, err, "%s %d", name, nth)
			assert.ErrorContains(t, err, fmt.Sprintf("%d credentials were revoked, and perhaps not all of them; run it again", first))
			if name == "list" { // the last one is of trusted publishers, which have no token here
				assert.LessOrEqual(t, first, len(want))
			} else {
				assert.Less(t, first, len(want))
			}
			rest, err := w.auth.RevokeClass(t.Context(), s.class, nil)
			require.NoError(t, err, "%s %d", name, nth)
			if fault.After {
				first++ // happened, and was not counted
			}
			assert.Equal(t, len(want), first+rest, "%s %d", name, nth)
			w.check(s.has, name)
		}
	}
}

// What ends while it runs is no error; what is created while it runs may be left, and is found the
// next time.
func TestRevokeClassMeanwhile(t *testing.T) {
	w := newClassWorld(t)
	class := npmauth.CredentialClass{User: w.ids["alice"]}
	// A session of the class may create a token until it is revoked.
	made := ""
	_, err := w.auth.RevokeClass(t.Context(), class, func(c *policy.Credential) {
		if c.Kind == policy.KindSession && made == "" {
			_, tok := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly)})
			made = tok.ID
		}
	})
	require.NoError(t, err)
	require.NotEmpty(t, made)
	assert.Empty(t, w.listed(class))

	w = newClassWorld(t)
	class.User = w.ids["alice"]
	n, err := w.auth.RevokeClass(t.Context(), class, func(c *policy.Credential) {
		if c.Kind == policy.KindToken {
			assert.NoError(t, w.auth.Tokens().RevokeAll(t.Context(), audit.Actor{}, c.User))
			w.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly)})
		}
	})
	require.NoError(t, err)
	assert.Equal(t, 3, n, "two sessions, and the first token")
	n, err = w.auth.RevokeClass(t.Context(), class, nil)
	require.NoError(t, err)
	assert.Equal(t, 1, n, "the new one")

	w = newClassWorld(t)
	class = npmauth.CredentialClass{User: w.ids["alice"], Kind: policy.KindToken}
	old := w.listed(class)
	fresh := map[string]bool{}
	_, err = w.auth.RevokeClass(t.Context(), class, func(c *policy.Credential) {
		for _, id := range old {
			if _, tok, err := w.auth.Tokens().Rotate(t.Context(), audit.Actor{}, token.Rotation{User: c.User, ID: id, Grace: time.Hour}); err == nil {
				fresh[tok.ID] = true
			}
		}
	})
	require.NoError(t, err)
	assert.NotEmpty(t, fresh)
	for _, id := range old {
		_, err := w.auth.Tokens().ByID(t.Context(), id)
		assert.ErrorIs(t, err, token.ErrNotFound, "rotated, and in its grace")
	}
	for _, id := range w.listed(class) {
		assert.True(t, fresh[id])
	}

	w = newClassWorld(t)
	class = npmauth.CredentialClass{User: w.ids["alice"]}
	left := w.listed(npmauth.CredentialClass{User: class.User, Kind: policy.KindSession})
	require.Len(t, left, 2)
	n, err = w.auth.RevokeClass(t.Context(), npmauth.CredentialClass{User: class.User, Kind: policy.KindSession}, func(c *policy.Credential) {
		for _, id := range left {
			if id != c.ID {
				assert.NoError(t, w.auth.Sessions().End(t.Context(), audit.Actor{}, c.User, id))
			}
		}
	})
	require.NoError(t, err)
	assert.Equal(t, 1, n)
	ctx, cancel := context.WithCancel(t.Context())
	n, err = w.auth.RevokeClass(ctx, class, func(*policy.Credential) { cancel() })
	assert.ErrorIs(t, err, context.Canceled)
	assert.LessOrEqual(t, n, 1)

	w.host.fail = errors.New("the host is down")
	_, err = w.auth.RevokeClass(t.Context(), npmauth.CredentialClass{Package: protocol.PackageName{Name: "plain"}}, nil)
	assert.ErrorIs(t, err, w.host.fail)
}

// hostUsers are people in a table of the host's own, which may disable them.
type hostUsers struct {
	host.Users
	disabled, gone bool
}

func (h *hostUsers) User(ctx context.Context, id protocol.UserID) (host.User, error) {
	if h.gone {
		return host.User{}, host.ErrNoUser
	}
	u, err := h.Users.User(ctx, id)
	u.Disabled = h.disabled
	return u, err
}

// A token of somebody whom the host has disabled reaches nothing now, and belongs to the class: it
// works once the host enables them. Who is gone has no rights.
func TestReachOfWhomTheHostHasDisabled(t *testing.T) {
	st := store.NewMemory()
	people, err := account.NewDirectory(account.DirectoryConfig{Store: st, Hasher: quickHasher(t)})
	require.NoError(t, err)
	users := &hostUsers{Users: people}
	w := newWorld(t, func(cfg *npmauth.Config) { cfg.Store, cfg.Users, cfg.Fresh = st, users, -1 })
	alice, err := people.Create(t.Context(), audit.Actor{}, account.NewUser{Name: "alice", Password: credential.NewSecret(password)})
	require.NoError(t, err)
	w.ids["alice"] = alice.ID
	w.host.add("plain", false, alice.ID)
	w.token("alice", token.Spec{Grants: grantAll(protocol.ReadWrite)})
	pkg := protocol.PackageName{Name: "plain"}
	for name, tt := range map[string]struct {
		disabled, gone     bool
		reaching, selected int
	}{"here": {false, false, 1, 1}, "disabled": {true, false, 0, 1}, "gone": {false, true, 0, 0}} {
		users.disabled, users.gone = tt.disabled, tt.gone
		reaching, selected := 0, 0
		for _, err := range w.auth.TokensReaching(t.Context(), pkg, policy.RightWrite) {
			require.NoError(t, err)
			reaching++
		}
		for _, err := range w.auth.CredentialsOf(t.Context(), npmauth.CredentialClass{Package: pkg}) {
			require.NoError(t, err)
			selected++
		}
		assert.Equal(t, tt.reaching, reaching, name)
		assert.Equal(t, tt.selected, selected, name)
	}
}

// The tokens of trusted publishers are of a class by what they are for, and are nobody's.
func TestRevokeClassOfPublishers(t *testing.T) {
	w := newWorld(t, trusts)
	alice := w.person("alice")
	w.host.add("plain", false, alice)
	w.host.add("@acme/widget", true, alice)
	widget := protocol.PackageName{Scope: "acme", Name: "widget"}
	w.trust("plain", "createPackage")
	w.trust("@acme/widget", "createPackage")
	old := w.exchanged("plain")
	w.clock.Add(time.Minute)
	noon := w.clock.Now()
	plain, scoped := w.exchanged("plain"), w.exchanged("@acme/widget")
	granular, tok := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadWrite)})
	idOf := func(secret string) string { return credential.Sum(credential.NewSecret(secret)).Prefix().String() }
	listed := func(c npmauth.CredentialClass) (ids []string) {
		for cred, err := range w.auth.CredentialsOf(t.Context(), c) {
			require.NoError(t, err)
			ids = append(ids, cred.ID)
		}
		return ids
	}
	all := []string{idOf(old), idOf(plain), idOf(scoped)}
	type class = npmauth.CredentialClass
	later := noon.Add(time.Hour)
	for name, tt := range map[string]struct {
		class class
		want  []string
	}{
		"of the kind":              {class{Kind: policy.KindPublisher, Before: later}, all},
		"before":                   {class{Kind: policy.KindPublisher, Before: noon}, all[:1]},
		"of a scope":               {class{Kind: policy.KindPublisher, Scope: "acme"}, all[2:]},
		"of a package":             {class{Kind: policy.KindPublisher, Package: widget}, all[2:]},
		"of a package, to read":    {class{Kind: policy.KindPublisher, Package: widget, Rights: policy.RightRead}, all[2:]},
		"that manages a package":   {class{Kind: policy.KindPublisher, Package: widget, Rights: policy.RightAdmin}, nil},
		"of every kind":            {class{Package: widget}, []string{tok.ID, all[2]}},
		"granular":                 {class{Kind: policy.KindToken, Before: later}, []string{tok.ID}},
		"of a user":                {class{User: alice}, []string{tok.ID}},
		"that bypass":              {class{Bypass: true}, nil},
		"of a package that is not": {class{Kind: policy.KindPublisher, Package: protocol.PackageName{Name: "absent"}}, nil},
	} {
		assert.ElementsMatch(t, tt.want, listed(tt.class), name)
	}
	for _, c := range []class{{Kind: policy.KindPublisher}, {Kind: policy.KindPublisher, User: alice}, {Kind: policy.KindPublisher, Before: later, Bypass: true}} {
		_, err := w.auth.RevokeClass(t.Context(), c, nil)
		assert.ErrorIs(t, err, npmauth.ErrClass)
	}

	// Another package of the name is not the one that a token is for.
	had := w.host.packages[widget].id
	w.host.packages[widget].id = "another"
	assert.Empty(t, listed(class{Kind: policy.KindPublisher, Package: widget}))
	w.host.packages[widget].id = had

	w.events.all = nil
	n, err := w.auth.RevokeClass(t.Context(), class{Kind: policy.KindPublisher, Before: noon}, nil)
	require.NoError(t, err)
	assert.Equal(t, 1, n)
	e := w.events.last(audit.TrustRevoked)
	assert.Equal(t, []any{idOf(old), []string{"bulk"}, protocol.UserID("")}, []any{e.Credential, e.Reasons, e.By})
	n, err = w.auth.RevokeClass(t.Context(), class{Package: widget}, nil)
	require.NoError(t, err)
	assert.Equal(t, 2, n)
	assert.Equal(t, all[1:2], listed(class{Kind: policy.KindPublisher, Before: later}))
	assert.Equal(t, 401, whoami(w, granular))
	assert.Equal(t, 401, w.publish("plain", "2.0.0", old, "").Code)
	assert.Equal(t, 401, w.publish("@acme/widget", "2.0.0", scoped, "").Code)
	assert.Equal(t, 200, w.publish("plain", "2.0.0", plain, "").Code)
	assert.Equal(t, 200, w.publish("@acme/widget", "2.0.0", w.exchanged("@acme/widget"), "").Code, "its publisher is there")
}

// So is the token that creates a package, which has no ID yet.
func TestRevokeClassOfPendingPublishers(t *testing.T) {
	w, s := pendingWorld(t)
	w.pend("alice", s, "@acme/new")
	secret := w.exchanged("@acme/new")
	for name, c := range map[string]npmauth.CredentialClass{
		"of the kind": {Kind: policy.KindPublisher, Before: w.clock.Now().Add(time.Hour)},
		"of a scope":  {Kind: policy.KindPublisher, Scope: "acme"},
	} {
		n := 0
		for cred, err := range w.auth.CredentialsOf(t.Context(), c) {
			require.NoError(t, err, name)
			assert.Equal(t, credential.Sum(credential.NewSecret(secret)).Prefix().String(), cred.ID, name)
			n++
		}
		assert.Equal(t, 1, n, name)
	}
	n, err := w.auth.RevokeClass(t.Context(), npmauth.CredentialClass{Kind: policy.KindPublisher, Scope: "acme"}, nil)
	require.NoError(t, err)
	assert.Equal(t, 1, n)
	assert.Equal(t, 401, w.publish("@acme/new", "1.0.0", secret, "").Code)
}
