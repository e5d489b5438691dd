package npmauth_test

import (
	"bytes"
	"encoding/base64"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/store"
)

const (
	dumpFile    = "testdata/first-edition.txt"
	secretsFile = "testdata/first-edition-secrets.txt"
)

// said yields the lines of a file that say something, with their numbers.
func said(t *testing.T, file string) func(yield func(int, string) bool) {
	t.Helper()
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	return func(yield func(int, string) bool) {
		n := 0
		for line := range bytes.Lines(data) {
			n++
			text := string(bytes.TrimRight(line, "\r\n"))
			if text != "" && text[0] != '#' && !yield(n, text) {
				return
			}
		}
	}
}

// loadDump puts what the dump says into s, whose keys must be absent. The form of the
// file is told at its head.
func loadDump(t *testing.T, s store.Store) {
	t.Helper()
	for n, line := range said(t, dumpFile) {
		key, rest, _ := strings.Cut(line, " ")
		until, rest, ok := strings.Cut(rest, " ")
		form, text, _ := strings.Cut(rest, " ")
		require.True(t, ok, "%s:%d", dumpFile, n)
		op := store.Op{Key: key, At: store.Absent, Action: store.Put}
		var err error
		if until != "-" {
			op.Expires, err = time.Parse(time.RFC3339Nano, until)
			require.NoError(t, err, "%s:%d", dumpFile, n)
		}
		switch form {
		case "text":
			op.Value = []byte(text)
		case "base64":
			op.Value, err = base64.StdEncoding.DecodeString(text)
			require.NoError(t, err, "%s:%d", dumpFile, n)
		default:
			require.Equal(t, "empty", rest, "%s:%d", dumpFile, n)
		}
		_, err = s.Commit(t.Context(), op)
		require.NoError(t, err, "%s:%d", dumpFile, n)
	}
}

// secrets are what the people and clients of the dump hold, by the names in the file.
type secrets map[string]string

func loadSecrets(t *testing.T) secrets {
	t.Helper()
	all := secrets{}
	for n, line := range said(t, secretsFile) {
		name, value, ok := strings.Cut(line, " ")
		require.True(t, ok, "%s:%d", secretsFile, n)
		require.NotContains(t, all, name, "%s:%d", secretsFile, n)
		for _, prefix := range []string{"npm_", "npms_", "npmo_"} {
			if tail, ok := strings.CutPrefix(value, prefix+" "); ok {
				value = prefix + tail
			}
		}
		all[name] = value
	}
	return all
}

// under returns the names that begin with one of the prefixes, sorted.
func (s secrets) under(prefixes ...string) (names []string) {
	for _, name := range slices.Sorted(maps.Keys(s)) {
		if slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(name, p) }) {
			names = append(names, name)
		}
	}
	return names
}

// at is when the dump was made.
func (s secrets) at(t *testing.T) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, s["at"])
	require.NoError(t, err)
	return at
}

// ownerOf returns the user in the name of a credential.
func ownerOf(name string) string {
	return strings.Split(strings.TrimPrefix(name, "dead."), ".")[1]
}

// dumpedPackages are those that the registry of the dump had, all of them Alice's.
var dumpedPackages = []string{"plain", "strict", "lax", "other", "third", "fourth", "fifth"}

// firstEdition is the registry of the dump, at the time at which it was made.
func firstEdition(t *testing.T, change ...func(*npmauth.Config)) (*world, secrets) {
	t.Helper()
	st, held := store.NewMemory(), loadSecrets(t)
	loadDump(t, st)
	w := newWorld(t, append([]func(*npmauth.Config){func(cfg *npmauth.Config) { cfg.Store = st }}, change...)...)
	w.clock.t = held.at(t)
	for _, name := range held.under("user.") {
		w.ids[strings.TrimPrefix(name, "user.")] = policy.UserID(held[name])
	}
	for _, name := range held.under("totp.") {
		w.secrets[strings.TrimPrefix(name, "totp.")] = held[name]
	}
	for _, name := range dumpedPackages {
		w.host.add(name, false, w.ids["alice"])
	}
	return w, held
}

// The dump holds of everything that the first edition keeps, and it is all good.
func TestFirstEdition(t *testing.T) {
	ctx := t.Context()
	w, held := firstEdition(t)

	kinds := map[string]bool{}
	for _, line := range said(t, dumpFile) {
		kind, _, _ := strings.Cut(line, "/")
		kinds[kind] = true
	}
	assert.Equal(t, []string{
		"access", "epoch", "login", "login.salted", "password", "serverkey", "session", "session.id", "session.user", "subject",
		"token", "token-count", "token-expiring", "token-used", "token.id", "token.user", "twofactor", "twofactor-asked",
		"twofactor-challenge", "twofactor-challenge.poll", "twofactor-challenge.proof", "twofactor-challenge.typed",
		"twofactor-enrolment", "twofactor-failures", "twofactor-grant", "twofactor-tries", "user", "user.name",
	}, slices.Sorted(maps.Keys(kinds)))

	// Credentials.
	who := func(name, addr string) answer {
		return w.do(call{method: "GET", path: "/-/whoami", bearer: held[name], addr: addr})
	}
	for _, name := range held.under("session.", "token.") {
		addr := ""
		if name == "token.alice.cidr" {
			assert.NotEqual(t, 200, who(name, "").Code, name)
			addr = "10.1.2.3:4711"
		}
		a := who(name, addr)
		assert.Equal(t, 200, a.Code, "%s: %s", name, a.Body)
		assert.Equal(t, ownerOf(name), a.text("username"), name)
		if addr == "" {
			assert.Equal(t, held["id."+name], w.sessionID(held[name]), name)
		}
	}
	for _, name := range held.under("dead.") {
		assert.NotEqual(t, 200, who(name, "").Code, name)
	}
	for _, name := range held.under("session.erin.", "token.erin.") {
		assert.NotEqual(t, 200, who(name, "198.51.100.1:4711").Code, name)
	}
	ids := func(prefix string) (want []string) {
		for _, name := range held.under(prefix) {
			want = append(want, held["id."+name])
		}
		return want
	}
	var listed []string
	tokens, _, err := w.auth.Tokens().List(ctx, w.ids["alice"], 0, 100)
	require.NoError(t, err)
	for _, tok := range tokens {
		listed = append(listed, tok.ID)
	}
	assert.ElementsMatch(t, ids("token.alice."), listed)
	used, err := w.auth.Tokens().Used(ctx, ids("token.")...)
	require.NoError(t, err)
	assert.Len(t, used, len(held.under("token.")))

	// Accounts.
	sub := func(name string) (s struct {
		NotBefore, SessionsNotBefore, Recovered, Kept, Disabled, HighImpact bool
		TwoFactor                                                           policy.TwoFactorMode
		CIDRs                                                               []netip.Prefix
	}) {
		got, err := w.auth.Subjects().Get(ctx, nil, w.ids[name])
		require.NoError(t, err)
		epoch := time.Date(2026, 3, 1, 12, 0, 0, 1000, time.UTC)
		s.NotBefore, s.SessionsNotBefore = got.NotBefore.After(epoch), !got.SessionsNotBefore.IsZero()
		s.Recovered, s.Kept = !got.Recovered.IsZero(), got.SessionKept == held["id.session.bob.kept"]
		s.Disabled, s.HighImpact, s.TwoFactor, s.CIDRs = got.Disabled, got.HighImpact, got.TwoFactor, got.CIDRs
		return s
	}
	want := sub("frank")
	assert.Equal(t, policy.TwoFactorOff, want.TwoFactor)
	plain := want
	want.TwoFactor, want.Recovered = policy.AuthAndWrites, true
	assert.Equal(t, want, sub("alice"))
	want = plain
	want.SessionsNotBefore, want.Kept = true, true
	assert.Equal(t, want, sub("bob"))
	want = plain
	want.Disabled = true
	assert.Equal(t, want, sub("carol"))
	want = plain
	want.NotBefore, want.SessionsNotBefore = true, true
	assert.Equal(t, want, sub("dave"))
	want = plain
	want.HighImpact, want.Recovered = true, true
	want.CIDRs = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")}
	assert.Equal(t, want, sub("erin"))
	robot, err := w.auth.People().Lookup(ctx, "robot")
	require.NoError(t, err)
	assert.Equal(t, w.ids["robot"], robot.ID)
	assert.True(t, robot.Service)
	assert.Equal(t, []policy.UserID{w.ids["alice"]}, robot.Administrators)
	alice, err := w.auth.People().Lookup(ctx, "alice")
	require.NoError(t, err)
	assert.Equal(t, "Alice Ångström", alice.Profile.FullName)
	for _, name := range held.under("password.") {
		right, err := w.auth.People().CheckPassword(ctx, w.ids[strings.TrimPrefix(name, "password.")], credential.NewSecret(held[name]))
		require.NoError(t, err)
		assert.True(t, right, name)
	}
	for _, name := range held.under("settings.") {
		s, err := w.auth.Package(ctx, policy.PackageID(strings.TrimPrefix(name, "settings.")))
		require.NoError(t, err)
		assert.Equal(t, held[name], s.Publish.String(), name)
	}

	// Codes that were used may be presented again by whom they have a grant for.
	isChallenge(t, w.publish("plain", "1.0.1", held["session.alice.second"], held["code.alice.spent"]))
	assert.Equal(t, 200, w.publish("plain", "1.0.0", held["session.alice.main"], held["code.alice.spent"]).Code)
	assert.Equal(t, 200, w.publish("plain", "1.0.1", held["session.alice.couch"], held["code.alice.carried"]).Code)

	// Challenges. The collected one was collected more than half a minute ago.
	for name, code := range map[string]int{"open": 202, "approved": 200, "collected": 404, "used": 404} {
		a := w.poll(base+"/-/auth/proof/"+held["challenge."+name+".poll"], "GET")
		assert.Equal(t, code, a.Code, name)
		if name == "approved" {
			assert.True(t, strings.HasPrefix(a.text("token"), "npmo_"))
		}
	}
	publish := func(challenge, proof string) answer {
		return w.publish(held["challenge."+challenge+".package"], "1.0.0", held["session.alice.main"], proof)
	}
	assert.Equal(t, 200, publish("approved", held["challenge.approved.typed"]).Code)
	assert.Equal(t, 200, publish("collected", held["challenge.collected.proof"]).Code)
	page := base + "/-/auth/challenge/" + held["challenge.open.page"]
	require.Less(t, w.submit(page, map[string]string{"password": held["password.alice"], "code": w.code("alice")}).Code, 400)
	proof := w.poll(base+"/-/auth/proof/"+held["challenge.open.poll"], "GET").text("token")
	assert.Equal(t, 200, publish("open", proof).Code)

	// Factors.
	status, err := w.auth.Factors().Status(ctx, w.store, w.ids["alice"])
	require.NoError(t, err)
	assert.Equal(t, len(held.under("recovery.alice.")), status.RecoveryLeft)
	signIn := func(otp string) error {
		_, _, err := w.auth.Sessions().SignIn(ctx, session.SignIn{
			Name: "alice", Password: credential.NewSecret(held["password.alice"]), OTP: credential.NewSecret(otp),
		})
		return err
	}
	require.NoError(t, signIn(w.code("alice")))
	require.ErrorIs(t, signIn(held["used.recovery.alice.1"]), session.ErrFactorRequired)
	for _, name := range held.under("recovery.alice.") {
		require.NoError(t, signIn(held[name]), name)
	}
	frank, err := w.auth.Factors().Confirm(ctx, w.ids["frank"], credential.NewSecret(w.codeNow("frank")))
	require.NoError(t, err)
	assert.Len(t, frank, 5)
}

// The web logins of the dump go on where they were.
func TestFirstEditionLogins(t *testing.T) {
	w, held := firstEdition(t)
	poll := func(name string) answer { return w.poll(base+"/-/auth/done/"+held["login."+name+".poll"], "GET") }
	assert.Equal(t, held["session.bob.web"], poll("collected").text("token"), "for half a minute")
	assert.Empty(t, poll("denied").text("token"))
	a := w.do(call{method: "GET", path: "/-/whoami", bearer: poll("approved").text("token")})
	assert.Equal(t, "bob", a.text("username"), a.Body.String())
	assert.Equal(t, 202, poll("open").Code)
	page := base + "/-/auth/login/" + held["login.open.page"]
	require.Less(t, w.submit(page, map[string]string{"name": "bob", "password": held["password.bob"]}).Code, 400)
	a = w.do(call{method: "GET", path: "/-/whoami", bearer: poll("open").text("token")})
	assert.Equal(t, "bob", a.text("username"), a.Body.String())
}
