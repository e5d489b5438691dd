package npmauth_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/legacy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/storetest"
)

// by logs name in as the client that calls itself agent does.
func (w *world) by(name, agent string) answer {
	w.t.Helper()
	return w.do(call{method: "PUT", path: "/-/user/org.couchdb.user:" + name, body: couch(name, password), header: map[string]string{"User-Agent": agent}})
}

func (w *world) legacyUse() []npmauth.LegacyUse {
	w.t.Helper()
	var all []npmauth.LegacyUse
	for use, err := range w.auth.LegacyUse(w.t.Context()) {
		require.NoError(w.t, err)
		all = append(all, use)
	}
	return all
}

const (
	agent8    = "npm/8.19.4 node/v20.20.2 linux x64 workspaces/false"
	agentYarn = "yarn/1.22.22 npm/? node/v20.20.2 linux x64"
)

// LG-15: the operator learns who logs in with a password, and with what.
func TestLegacyUse(t *testing.T) {
	w := newWorld(t)
	alice := w.person("alice")
	w.person("bob")
	began := w.clock.Now()
	assert.Empty(t, w.legacyUse())
	w.login("alice") // in a browser
	require.Equal(t, 401, w.do(call{method: "PUT", path: "/-/user/org.couchdb.user:alice", body: couch("alice", "wrong")}).Code)
	require.Equal(t, 401, w.by("nobody", agent8).Code)
	assert.Empty(t, w.legacyUse(), "who is refused is nobody")

	require.Equal(t, 201, w.by("alice", agent8).Code)
	w.clock.Add(time.Hour - time.Second)
	require.Equal(t, 201, w.by("alice", agent8).Code)
	first := npmauth.LegacyClient{Client: "npm/8.19.4", First: began, Last: began, Count: 1}
	assert.Equal(t, []npmauth.LegacyUse{{User: alice, Name: "alice", Email: "alice@acme.test", Clients: []npmauth.LegacyClient{first}}}, w.legacyUse())
	w.clock.Add(time.Second)
	require.Equal(t, 201, w.by("alice", agent8).Code)
	first.Last, first.Count = began.Add(time.Hour), 2
	require.Equal(t, 201, w.by("alice", agentYarn).Code)
	yarn := npmauth.LegacyClient{Client: "yarn/1.22.22", First: first.Last, Last: first.Last, Count: 1}
	require.Equal(t, 201, w.by("bob", "").Code)
	all := w.legacyUse()
	require.Len(t, all, 2)
	for _, use := range all {
		if use.User == alice {
			assert.Equal(t, []npmauth.LegacyClient{yarn, first}, use.Clients)
		} else {
			assert.Equal(t, "bob", use.Name)
			assert.Empty(t, use.Clients[0].Client)
		}
	}
	for range w.auth.LegacyUse(t.Context()) {
		break // and nothing more is called
	}

	w.clock.Add(180*24*time.Hour - time.Second)
	assert.Len(t, w.legacyUse(), 2)
	w.clock.Add(time.Second)
	assert.Empty(t, w.legacyUse(), "forgotten")
}

// Only a product and a version are kept, and an address is none.
func TestLegacyUseKeepsProducts(t *testing.T) {
	for agent, want := range map[string]string{
		agent8: "npm/8.19.4", agentYarn: "yarn/1.22.22", "got (https://github.com/sindresorhus/got)": "got",
		"npm/12.0.0-pre.1+x": "npm/12.0.0-pre.1+x", "pnpm/v9": "pnpm/v9",
		"": "", " npm/8": "", "https://evil.test/": "", "evil.test": "", "evil.test/1": "", "npm/": "", "npm/x": "", "npm/8\x00": "", "n\u00e4m/1": "",
		"npm/8" + strings.Repeat("1", 60): "",
	} {
		w := newWorld(t)
		w.person("alice")
		require.Equal(t, 201, w.by("alice", agent).Code)
		assert.Equal(t, want, w.legacyUse()[0].Clients[0].Client, "%q", agent)
	}
}

// What one account can make the store keep is bounded, and the clock may be wrong meanwhile.
func TestLegacyUseIsBounded(t *testing.T) {
	w := newWorld(t)
	w.person("alice")
	for i := range 12 {
		require.Equal(t, 201, w.by("alice", fmt.Sprintf("npm/%d.0.0", i)).Code)
		w.clock.Add(time.Second)
	}
	rows, err := w.store.List(t.Context(), "legacy-use/", "", 10)
	require.NoError(t, err)
	require.Len(t, rows, 1)
	var names []string
	for _, c := range w.legacyUse()[0].Clients {
		names = append(names, c.Client)
	}
	assert.Equal(t, []string{"npm/11.0.0", "npm/10.0.0", "npm/9.0.0", "npm/8.0.0", "npm/7.0.0", "npm/6.0.0", "npm/5.0.0", "npm/4.0.0"}, names)
	w.clock.Add(-2 * time.Hour)
	require.Equal(t, 201, w.by("alice", "npm/11.0.0").Code)
	assert.Equal(t, w.clock.Now().Truncate(time.Second), w.legacyUse()[0].Clients[0].Last, "a clock that was ahead is put right")
}

// A login that is not noted opens no session, and one that does is noted: it is one commit.
func TestLegacyUseIsOfTheCommit(t *testing.T) {
	st := storetest.NewFaulty(store.NewMemory())
	w := newWorld(t, func(cfg *npmauth.Config) { cfg.Store = st })
	w.person("alice")
	st.Inject(storetest.Fault{On: storetest.Commits, Err: assert.AnError})
	require.Equal(t, 503, w.by("alice", agent8).Code)
	assert.Empty(t, w.legacyUse())
	require.Equal(t, 201, w.by("alice", agent8).Code)
	assert.Len(t, w.legacyUse(), 1)

	st.Inject(storetest.Fault{On: storetest.Lists, Err: assert.AnError})
	for _, err := range w.auth.LegacyUse(t.Context()) {
		assert.ErrorIs(t, err, assert.AnError)
	}
}

// Who left the host's table is nobody to write to, and a table that is away is said to be.
func TestLegacyUseOfAHost(t *testing.T) {
	m := newMembers("alice", "bob")
	w := newMemberWorld(t, m)
	require.Equal(t, 201, w.by("alice", agent8).Code)
	require.Equal(t, 201, w.by("bob", agent8).Code)
	require.Len(t, w.legacyUse(), 2)
	m.rows = m.rows[1:]
	use := w.legacyUse()
	require.Len(t, use, 1)
	assert.Equal(t, "bob", use[0].Name)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	seen := 0
	for _, err := range w.auth.LegacyUse(ctx) {
		assert.Error(t, err)
		seen++
	}
	assert.Equal(t, 1, seen)
}

func TestLegacyMail(t *testing.T) {
	sunset := time.Date(2027, 6, 1, 12, 0, 0, 0, time.UTC)
	w := newWorld(t, func(cfg *npmauth.Config) {
		cfg.Legacy = npmauth.Legacy{
			Deprecated: sunset.AddDate(0, -6, 0), Sunset: sunset, Docs: "https://npm.acme.test/docs/login",
			BrownOuts: []legacy.Window{{From: sunset.AddDate(0, -1, 0), Until: sunset.AddDate(0, -1, 0).Add(time.Hour)}},
		}
	})
	use := npmauth.LegacyUse{User: "u", Name: "alice", Clients: []npmauth.LegacyClient{
		{Client: "npm/8.19.4", Last: sunset.AddDate(-1, 0, 0)}, {Client: "got", Last: sunset.AddDate(-1, 0, -1)}, {Last: sunset.AddDate(-1, 0, -2)},
	}}
	assert.Equal(t, `Hello alice,

these programs log in to https://npm.acme.test/ with your password, the old way:

  npm/8.19.4, last on 2026-06-01
  Yarn 2 or newer, last on 2026-05-31
  a program that does not say its name, last on 2026-05-30

It is off from 2027-05-01 12:00 UTC until 2027-05-01 13:00 UTC. It ends on 2027-06-01 12:00 UTC.

At a terminal, log in with a browser instead:

  npm login --auth-type=web --registry=https://npm.acme.test/   (npm 9 or newer)
  pnpm login --registry=https://npm.acme.test/   (pnpm 11 or newer)
  yarn npm login --web-login   (Yarn 4)

In CI, and for Yarn 1 to 3, which cannot open a browser, make a token and give it to the program in place of the password:

  npm token create --name=ci --packages-all --packages-and-scopes-permission=read-write --bypass-2fa --expires=30 --registry=https://npm.acme.test/

Your account, your password and your packages stay as they are.
More about it: https://npm.acme.test/docs/login
`, w.auth.LegacyMail(use))

	forged := use
	forged.Name = "alice,\r\n\nyour password has expired"
	assert.True(t, strings.HasPrefix(w.auth.LegacyMail(forged), "Hello alice, your password has expired,\n"), "a name has no lines of its own")

	plain := newWorld(t).auth.LegacyMail(use)
	assert.Contains(t, plain, "\nIt will end.\n")
	assert.NotContains(t, plain, "More about it")
	off := newWorld(t, func(cfg *npmauth.Config) { cfg.Legacy.Off = true }).auth.LegacyMail(use)
	assert.Contains(t, off, "\nIt is switched off.\n")
	assert.NotEmpty(t, newWorld(t).auth.LegacyMail(npmauth.LegacyUse{User: protocol.UserID("u")}))
}
