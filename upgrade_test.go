package npmauth_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/argon2"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/host/hosttest"
	"github.com/npmauth/npmauth/internal/kdf"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
	"github.com/npmauth/npmauth/token"
	"github.com/npmauth/npmauth/twofactor"
)

// What becomes of a row of the first edition.
type becomes int

const (
	carried becomes = iota // it is read as before, and nothing deletes it
	waiting                // it is read as before, for the minutes that it has left
	left                   // nothing is decided by it any more, and it expires
)

// firstEditionRows says it of every kind of row that the first edition had.
var firstEditionRows = map[string]becomes{
	"access":    carried, // the settings of a package
	"epoch":     carried, // its instant, for the host's own bearers
	"password":  carried,
	"serverkey": carried, // that of pages, and that of web logins under way
	"subject":   carried, // all but what it says of sessions
	"twofactor": carried, // the key of the app, the last step, the recovery codes that are left
	"user":      carried,
	"user.name": carried,

	"twofactor-failures": carried, // wrong codes count on

	"twofactor-enrolment":       waiting, // until its first code comes
	"twofactor-tries":           waiting, // of a credential that is dead, or of sign-ins, which are counted anew
	"twofactor-asked":           waiting, // of a credential that is dead
	"twofactor-challenge":       waiting, // can be answered; the proof is for a credential that is dead
	"twofactor-challenge.poll":  waiting,
	"twofactor-challenge.proof": waiting,

	"twofactor-challenge.typed": left, // its key was a plain digest of the code
	"twofactor-grant":           left, // so was that of a grant
	"login":                     left, // a login that was decided is over
	"login.salted":              left,
	"session":                   left,
	"session.id":                left,
	"session.user":              left,
	"token":                     left,
	"token.id":                  left,
	"token.user":                left,
	"token-count":               left, // or replaced by the next token of the account
	"token-expiring":            left,
	"token-used":                left,
}

// newRows are the kinds of rows that the first edition did not have.
var newRows = []string{"npmauth", "token.list", "password-guesses", "password-place", "password-own"}

// kindOf is what a key says of its row.
func kindOf(key string) string {
	kind, _, _ := strings.Cut(key, "/")
	return kind
}

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
	t.Cleanup(kdf.Replace(argon2.IDKey)) // as its passwords were hashed with
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

// firstEdition is the registry of the dump, at the time at which it was made. Nothing
// that is done in it may be an outage: a row that cannot be read any more is one.
func firstEdition(t *testing.T, change ...func(*npmauth.Config)) (*world, secrets) {
	t.Helper()
	st, held := store.NewMemory(), loadSecrets(t)
	loadDump(t, st)
	var outages bytes.Buffer
	t.Cleanup(func() { assert.Empty(t, outages.String()) })
	w := newWorld(t, append([]func(*npmauth.Config){func(cfg *npmauth.Config) {
		cfg.Store, cfg.Logger = st, slog.New(slog.NewTextHandler(&outages, nil))
	}}, change...)...)
	w.clock.t = held.at(t)
	for _, name := range held.under("user.") {
		w.ids[strings.TrimPrefix(name, "user.")] = protocol.UserID(held[name])
	}
	for _, name := range held.under("totp.") {
		w.secrets[strings.TrimPrefix(name, "totp.")] = held[name]
	}
	for _, name := range dumpedPackages {
		w.host.add(name, false, w.ids["alice"])
	}
	return w, held
}

// signIn signs a person of the dump in.
func (w *world) signIn(held secrets, name, otp string) (string, error) {
	w.t.Helper()
	secret, _, err := w.auth.Sessions().SignIn(w.t.Context(), session.SignIn{
		Name: name, Password: credential.NewSecret(held["password."+name]), OTP: credential.NewSecret(otp), Via: "test",
	})
	return secret.Reveal(), err
}

// signedIn is signIn, with a code if need be, which must succeed.
func (w *world) signedIn(held secrets, name string) string {
	w.t.Helper()
	otp := ""
	if name == "alice" {
		otp = w.code(name)
	}
	secret, err := w.signIn(held, name, otp)
	require.NoError(w.t, err, name)
	return secret
}

// Of each kind of row it is said what becomes of it.
func TestFirstEditionRows(t *testing.T) {
	kinds, expiring := map[string]bool{}, map[string]bool{}
	for _, line := range said(t, dumpFile) {
		key, rest, _ := strings.Cut(line, " ")
		kinds[kindOf(key)] = true
		expiring[kindOf(key)] = !strings.HasPrefix(rest, "- ")
	}
	assert.Equal(t, slices.Sorted(maps.Keys(firstEditionRows)), slices.Sorted(maps.Keys(kinds)))
	for kind, b := range firstEditionRows {
		assert.Equal(t, b != carried, expiring[kind], "%s: what is carried does not expire, and all else does", kind)
	}
}

// No credential is carried over, whatever is asked with it and whatever is done to its
// account; and none is an outage.
func TestFirstEditionCredentials(t *testing.T) {
	ctx := t.Context()
	w, held := firstEdition(t)
	pkg := protocol.PackageName{Name: "plain"}
	all := held.under("session.", "token.", "dead.session.", "dead.token.")
	require.Len(t, all, 37)
	dead := func(when string) {
		t.Helper()
		for _, name := range all {
			for _, addr := range []string{"", "10.1.2.3:4711"} {
				a := w.do(call{method: "GET", path: "/-/whoami", bearer: held[name], addr: addr})
				assert.Equal(t, 401, a.Code, "%s, %s: %s", when, name, a.Body)
			}
		}
	}
	dead("at first")
	for _, name := range all {
		for _, c := range []call{
			{method: "GET", path: "/-/package/plain/access"}, {method: "GET", path: "/-/npm/v1/user"}, {method: "GET", path: "/-/npm/v1/tokens"},
			{method: "GET", path: "/-/auth/v1/self"}, {method: "DELETE", path: "/-/user/token/" + held[name]},
			{method: "DELETE", path: "/-/npm/v1/tokens/token/" + held["id."+name]},
			{method: "PUT", path: "/plain", body: hosttest.PublishBody(pkg, "1.0.0"), otp: w.codeNow("alice")},
		} {
			c.bearer = held[name]
			a := w.do(c)
			if strings.HasPrefix(c.path, "/-/user/token/") { // what is dead is logged out
				assert.Equal(t, 200, a.Code, a.Body.String())
				continue
			}
			assert.Equal(t, 401, a.Code, "%s %s with %s: %s", c.method, c.path, name, a.Body)
			assert.NotContains(t, a.Body.String(), "one-time pass", "nobody is challenged for it")
		}
	}
	assert.False(t, w.hostWrote())

	for name, id := range w.ids {
		assert.Zero(t, w.tokens(name), name)
		assert.Zero(t, w.sessions(name), name)
		for range w.auth.Tokens().All(ctx) {
			assert.Fail(t, "there is no token")
		}
		require.NoError(t, w.auth.Subjects().Enable(ctx, audit.Actor{}, id))
	}
	dead("with all accounts enabled")
	for _, name := range all {
		if strings.Contains(name, "session.") {
			assert.ErrorIs(t, w.auth.Sessions().End(ctx, audit.Actor{}, w.ids[ownerOf(name)], held["id."+name]), session.ErrNoSession, name)
		} else {
			assert.ErrorIs(t, w.auth.Tokens().End(ctx, audit.Actor{}, held["id."+name], ""), token.ErrNotFound, name)
		}
	}
	for name := range w.ids {
		require.NoError(t, w.auth.Subjects().RevokeAll(ctx, audit.Actor{}, w.ids[name]))
	}
	require.NoError(t, w.auth.Restored(ctx))
	dead("after everything was revoked")
}

// Whoever had an account has it still, and can log in and make tokens.
func TestFirstEditionAccounts(t *testing.T) {
	ctx := t.Context()
	const limit = 3
	w, held := firstEdition(t, func(cfg *npmauth.Config) {
		cfg.Policy = policy.NPM().WithLimits(policy.Limits{Tokens: limit})
	})
	at := func(text string) time.Time {
		at, err := time.Parse(time.RFC3339Nano, text)
		require.NoError(t, err)
		return at
	}
	for name, want := range map[string]subject.Subject{
		"alice": {TwoFactor: protocol.AuthAndWrites, Recovered: at("2026-03-01T15:14:31Z")},
		"bob":   {},
		"carol": {Disabled: true},
		"dave":  {Revoked: at("2026-03-01T15:14:34.000001Z")},
		"erin": {
			HighImpact: true, Recovered: at("2026-03-01T15:14:37Z"),
			CIDRs: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")},
		},
		"frank": {},
		"robot": {},
	} {
		want.ID = w.ids[name]
		if want.TwoFactor == protocol.TwoFactorUnknown {
			want.TwoFactor = protocol.TwoFactorOff
		}
		if want.Revoked.IsZero() {
			want.Revoked = at("2026-03-01T12:00:00.000001Z") // of all accounts
		}
		got := w.subject(name)
		got.Evidence = nil
		assert.Equal(t, want, got)
	}
	require.NoError(t, w.auth.Ready(ctx))

	alice, err := w.auth.People().ByName(ctx, "alice")
	require.NoError(t, err)
	assert.Equal(t, "alice@acme.test", alice.Email)
	assert.Equal(t, "Alice Ångström", alice.Profile.FullName)
	robot, err := w.auth.People().ByName(ctx, "robot")
	require.NoError(t, err)
	assert.True(t, robot.Service)
	assert.Equal(t, []protocol.UserID{w.ids["alice"]}, robot.Administrators)
	for _, name := range held.under("settings.") {
		s, err := w.auth.Package(ctx, protocol.PackageID(strings.TrimPrefix(name, "settings.")))
		require.NoError(t, err)
		assert.Equal(t, held[name], s.Publish.String(), name)
	}

	_, err = w.signIn(held, "carol", "")
	assert.ErrorIs(t, err, session.ErrDenied, "her account is disabled")
	require.NoError(t, w.auth.Subjects().Enable(ctx, audit.Actor{}, w.ids["carol"]))

	whoami := func(bearer, addr string) answer {
		return w.do(call{method: "GET", path: "/-/whoami", bearer: bearer, addr: addr})
	}
	for _, name := range held.under("password.") {
		name = strings.TrimPrefix(name, "password.")
		_, err := w.auth.Sessions().CheckPassword(ctx, session.SignIn{Name: name, Password: credential.NewSecret("not " + held["password."+name])})
		assert.ErrorIs(t, err, session.ErrDenied, name)
		s := w.signedIn(held, name)
		assert.Equal(t, name, whoami(s, "").text("username"), name)
		assert.Equal(t, 1, w.sessions(name), name)
		for i := range limit { // however many there were
			tok, _ := w.token(name, token.Spec{Name: "new " + string(rune('a'+i)), Grants: grantAll(protocol.ReadOnly)})
			assert.Equal(t, name, whoami(tok, "").text("username"), name)
		}
		_, _, err = w.auth.Tokens().Create(ctx, audit.Actor{}, token.Spec{User: w.ids[name], Name: "one more", Grants: grantAll(protocol.ReadOnly)})
		assert.ErrorIs(t, err, token.ErrTooMany, name)
		assert.Equal(t, limit, w.tokens(name), name)
		if name == "erin" {
			assert.Equal(t, "cidr", whoami(s, "198.51.100.1:4711").text("code"), "her address ranges")
		}
	}

	// What those hold for a while who depend on it, and for how long.
	s := w.signedIn(held, "erin")
	w.host.add("hers", false, w.ids["erin"])
	assert.Equal(t, 403, w.publish("hers", "1.0.0", s, "").Code, "her address changed")
	w.clock.Add(72 * time.Hour)
	a := w.publish("hers", "1.0.0", w.signedIn(held, "erin"), "")
	assert.NotContains(t, a.Body.String(), "recover", "%s", a.Body)

	// Service accounts, by whom they are administered.
	s = w.signedIn(held, "alice")
	body := strings.Replace(specBody(""), password, held["password.alice"], 1)
	a = w.do(call{method: "POST", path: "/-/auth/v1/services/robot/tokens", bearer: s, otp: w.code("alice"), body: body})
	require.Equal(t, 201, a.Code, a.Body.String())
	assert.Equal(t, "robot", whoami(a.text("token"), "").text("username"))
	a = w.do(call{method: "POST", path: "/-/auth/v1/services/robot/tokens", bearer: w.signedIn(held, "bob"), body: strings.Replace(specBody(""), password, held["password.bob"], 1)})
	assert.Equal(t, 404, a.Code, a.Body.String())

	for _, key := range w.keys("/") {
		if _, known := firstEditionRows[kindOf(key)]; !known {
			assert.Contains(t, newRows, kindOf(key), "say what becomes of it")
		}
	}
}

// Of a subject's row what it said of sessions is dropped when it is written next. The rest
// stays.
func TestFirstEditionSubjectsAreWrittenAnew(t *testing.T) {
	ctx := t.Context()
	w, _ := firstEdition(t)
	row := func(name string) string {
		items, err := w.store.Get(ctx, subject.Key(w.ids[name]))
		require.NoError(t, err)
		return string(items[0].Value)
	}
	for _, name := range []string{"bob", "dave"} {
		require.Contains(t, row(name), "sessions_not_before")
		before := w.subject(name)
		require.NoError(t, w.auth.Subjects().SetHighImpact(ctx, audit.Actor{}, w.ids[name], false))
		assert.NotContains(t, row(name), "sessions_not_before", name)
		assert.NotContains(t, row(name), "session_kept", name)
		after := w.subject(name)
		before.Evidence, after.Evidence = nil, nil
		assert.Equal(t, before, after)
	}
	assert.Contains(t, row("dave"), `"not_before":"2026-03-01T15:14:34.000001Z"`)
}

// Second factors are what they were: the app, the codes that are left, those that are used.
func TestFirstEditionFactors(t *testing.T) {
	ctx := t.Context()
	w, held := firstEdition(t)
	status, err := w.auth.Factors().Status(ctx, w.store, w.ids["alice"])
	require.NoError(t, err)
	assert.Equal(t, len(held.under("recovery.alice.")), status.RecoveryLeft)

	for name, otp := range map[string]string{
		"none": "", "used recovery code": held["used.recovery.alice.1"], "used code": held["code.alice.spent"], "carried code": held["code.alice.carried"],
	} {
		_, err = w.signIn(held, "alice", otp)
		assert.ErrorIs(t, err, session.ErrFactorRequired, name)
	}
	s := w.signedIn(held, "alice")
	isChallenge(t, w.publish("plain", "1.0.0", s, ""))
	assert.Equal(t, 200, w.publish("plain", "1.0.0", s, w.code("alice")).Code)
	isChallenge(t, w.publish("other", "1.0.0", s, held["code.alice.spent"]))
	isChallenge(t, w.publish("other", "1.0.0", s, held["code.alice.carried"]))
	for _, name := range held.under("recovery.alice.") {
		_, err = w.signIn(held, "alice", held[name])
		require.NoError(t, err, name)
		_, err = w.signIn(held, "alice", held[name])
		require.ErrorIs(t, err, session.ErrFactorRequired, name)
	}
}

// An enrolment that waits is finished where it was, and ends the sessions that were opened
// without it.
func TestFirstEditionEnrolment(t *testing.T) {
	w, held := firstEdition(t)
	s := w.signedIn(held, "frank")
	codes, err := w.auth.Factors().Confirm(t.Context(), audit.Actor{}, w.ids["frank"], credential.NewSecret(w.codeNow("frank")))
	require.NoError(t, err)
	assert.Len(t, codes, 5)
	assert.Equal(t, protocol.AuthOnly, w.subject("frank").TwoFactor)
	assert.Equal(t, 401, w.do(call{method: "GET", path: "/-/whoami", bearer: s}).Code)
	_, err = w.signIn(held, "frank", "")
	assert.ErrorIs(t, err, session.ErrFactorRequired)
	_, err = w.signIn(held, "frank", w.code("frank"))
	assert.NoError(t, err)
}

// A web login that was decided is over, and cannot be decided again. Of one that nobody has
// decided nothing was stored: it goes on.
func TestFirstEditionLogins(t *testing.T) {
	w, held := firstEdition(t)
	poll := func(name string) answer { return w.poll(base+"/-/auth/done/"+held["login."+name+".poll"], "GET") }
	for _, name := range []string{"approved", "collected", "denied"} {
		for range 2 {
			a := poll(name)
			assert.Equal(t, 410, a.Code, name)
			assert.Empty(t, a.text("token"), name)
			page, err := w.auth.Sessions().Page(t.Context(), held["login."+name+".page"])
			require.NoError(t, err)
			assert.Equal(t, session.Over, page.State, name)
			form, _, a := w.open(base + "/-/auth/login/" + held["login."+name+".page"])
			assert.Equal(t, 200, a.Code, name)
			assert.Empty(t, form, "there is nothing to send")
			ctx, in := t.Context(), session.SignIn{Name: "bob", Password: credential.NewSecret(held["password.bob"])}
			assert.ErrorIs(t, w.auth.Sessions().Approve(ctx, held["login."+name+".page"], in), session.ErrDecided, name)
			assert.ErrorIs(t, w.auth.Sessions().Deny(ctx, held["login."+name+".page"], session.Client{}), session.ErrDecided, name)
		}
	}
	assert.Zero(t, w.sessions("bob"))
	require.Equal(t, 202, poll("open").Code)
	page := base + "/-/auth/login/" + held["login.open.page"]
	require.Less(t, w.submit(page, map[string]string{"name": "bob", "password": held["password.bob"]}).Code, 400)
	a := w.do(call{method: "GET", path: "/-/whoami", bearer: poll("open").text("token")})
	assert.Equal(t, "bob", a.text("username"), a.Body.String())
}

// A challenge belongs to a credential that is dead, and does not say what it is for. It cannot
// be answered, and allows nothing: neither that credential nor another one gets anything for
// its proof.
func TestFirstEditionChallenges(t *testing.T) {
	ctx := t.Context()
	w, held := firstEdition(t)
	proofs := map[string][]string{}
	page := base + "/-/auth/challenge/" + held["challenge.open.page"]
	_, _, a := w.open(page)
	assert.Equal(t, 404, a.Code, a.Body.String())
	for _, name := range []string{"open", "approved", "collected", "used"} {
		a := w.poll(base+"/-/auth/proof/"+held["challenge."+name+".poll"], "GET")
		assert.Equal(t, 410, a.Code, "%s: %s", name, a.Body)
		for _, proof := range []string{a.text("token"), held["challenge."+name+".proof"], held["challenge."+name+".typed"]} {
			if proof != "" {
				proofs[name] = append(proofs[name], proof)
			}
		}
		_, err := w.auth.Factors().Pending(ctx, held["challenge."+name+".page"])
		assert.ErrorIs(t, err, twofactor.ErrNoChallenge, "%s: it was answered", name)
	}
	require.NotEmpty(t, proofs)
	for name, all := range proofs {
		s := w.signedIn(held, "alice")
		for _, proof := range all {
			pkg := held["challenge."+name+".package"]
			assert.Equal(t, 401, w.publish(pkg, "1.0.0", held["session.alice.main"], proof).Code, name)
			isChallenge(t, w.publish(pkg, "1.0.0", s, proof))
		}
		assert.Equal(t, 200, w.publish("plain", "1.0.0", s, w.code("alice")).Code, "and the account works on")
	}
	assert.Len(t, w.host.written(), len(proofs))
}

// The host's own bearers, which carry no numbers, are as dead as the first edition left them.
func TestFirstEditionForeignBearers(t *testing.T) {
	bearers := map[string]host.ForeignToken{}
	w, _ := firstEdition(t, func(cfg *npmauth.Config) {
		cfg.Foreign = func(_ context.Context, bearer credential.Secret) (host.ForeignToken, error) {
			if f, ok := bearers[bearer.Reveal()]; ok {
				return f, nil
			}
			return host.ForeignToken{}, host.ErrInvalidToken
		}
	})
	for _, tt := range []struct {
		user, created string
		want          int
	}{
		{"bob", "2026-03-01T12:00:00.000001Z", 401}, // Restored
		{"bob", "2026-03-01T12:00:00.000002Z", 200}, // a changed password ends sessions alone
		{"carol", "2026-03-01T15:17:00Z", 401},      // disabled
		{"dave", "2026-03-01T12:00:00.000002Z", 401},
		{"dave", "2026-03-01T15:14:34.000001Z", 401}, // RevokeAll
		{"dave", "2026-03-01T15:14:34.000002Z", 200},
	} {
		created, err := time.Parse(time.RFC3339Nano, tt.created)
		require.NoError(t, err)
		name := tt.user + tt.created
		bearers[name] = host.ForeignToken{ID: name, User: w.ids[tt.user], Grants: grantAll(protocol.ReadWrite), Created: created}
		assert.Equal(t, tt.want, w.do(call{method: "GET", path: "/-/whoami", bearer: name}).Code, name)
	}
}

// Nodes of both editions on one store: the first edition refuses rows of a newer schema and
// rows with a field that it does not know, and looks for a token under its whole digest. What
// it revokes itself it writes as an instant, which ends nothing of this edition: Ready,
// called first, keeps it from serving anybody. To disable an account means the same in both.
func TestFirstEditionNodes(t *testing.T) {
	ctx := t.Context()
	w, held := firstEdition(t)
	bob := w.ids["bob"]
	row := func(key string) string {
		items, err := w.store.Get(ctx, key)
		require.NoError(t, err)
		return string(items[0].Value)
	}
	put := func(key, value string) {
		_, err := w.store.Commit(ctx, store.Op{Key: key, At: store.Any, Action: store.Put, Value: []byte(value)})
		require.NoError(t, err)
	}
	whoami := func(bearer string) int {
		return w.do(call{method: "GET", path: "/-/whoami", bearer: bearer}).Code
	}
	epoch := subject.Keys(bob)[1]
	require.NotContains(t, row(epoch), `"number"`)
	instant := regexp.MustCompile(`"not_before":"[^"]+"`).FindString(row(epoch))
	require.NotEmpty(t, instant)
	require.NoError(t, w.auth.Ready(ctx))
	assert.Contains(t, row(epoch), `"number"`)
	assert.Contains(t, row(epoch), instant, "for the host's own bearers, which it does not end")
	drawn := row(epoch)
	require.NoError(t, w.auth.Ready(ctx))
	assert.Equal(t, drawn, row(epoch), "once")

	s := w.signedIn(held, "bob")
	d, ok := credential.Parse(s)
	require.True(t, ok)
	assert.True(t, strings.HasPrefix(row(session.Key(d)), `{"v":2,`), row(session.Key(d)))
	tok, _ := w.token("bob", token.Spec{Grants: grantAll(protocol.ReadOnly)})
	d, ok = credential.Parse(tok)
	require.True(t, ok)
	assert.NotContains(t, w.keys("token/"), "token/"+d.String())

	old := `{"v":1,"d":{"id":"` + string(bob) + `","not_before":"2026-03-02T00:00:00Z","sessions_not_before":"2026-03-02T00:00:00Z"}}`
	put(subject.Key(bob), old)
	assert.Equal(t, 200, whoami(s))
	assert.Equal(t, 200, whoami(tok))
	put(subject.Key(bob), strings.Replace(old, `"not_before"`, `"disabled":true,"not_before"`, 1))
	w.clock.Add(2 * time.Second)
	assert.Equal(t, 401, whoami(s))
	assert.Equal(t, 401, whoami(tok))

	require.NoError(t, w.auth.Subjects().RevokeAll(ctx, audit.Actor{}, bob))
	assert.Contains(t, row(subject.Key(bob)), `"numbers"`)
}

// Whoever has the wrong key of a sealed store hears so before anything is served.
func TestFirstEditionSealed(t *testing.T) {
	ctx, mem := t.Context(), store.NewMemory()
	right, wrong := store.Key{1}, store.Key{2}
	loadDump(t, store.Seal(mem, right))
	ready := func(key store.Key) error {
		w := newWorld(t, func(cfg *npmauth.Config) { cfg.Store = store.Seal(mem, key) })
		return w.auth.Ready(ctx)
	}
	assert.ErrorIs(t, ready(wrong), store.ErrSeal)
	assert.NoError(t, ready(right))
	assert.ErrorIs(t, ready(wrong), store.ErrSeal)
}

// What is left of the first edition expires, and is deleted then; what is carried over is not.
func TestFirstEditionIsSwept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st, held := store.NewMemory(), loadSecrets(t)
		loadDump(t, st)
		var logged bytes.Buffer
		w := newWorld(t, func(cfg *npmauth.Config) {
			cfg.Store, cfg.Users, cfg.Now = st, aliceAlone{}, time.Now
			cfg.Logger = slog.New(slog.NewTextHandler(&logged, nil))
		})
		kinds := func() (now map[string]bool) {
			now = map[string]bool{}
			for _, key := range w.keys("/") {
				now[kindOf(key)] = true
			}
			return now
		}
		before := kinds()
		time.Sleep(time.Until(held.at(t)))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- w.auth.Run(ctx) }()
		time.Sleep(2*time.Hour + store.SweepGrace + 20*time.Minute + time.Second)
		cancel()
		require.NoError(t, <-done)
		assert.Empty(t, logged.String())
		assert.Empty(t, w.events.all, "nobody is told of a token that ends, or of a login")
		now := kinds()
		for kind, b := range firstEditionRows {
			stays := b == carried || strings.HasPrefix(kind, "token") // of a token as long as it would have lived
			assert.Equal(t, stays, now[kind], kind)
		}
		// After a year, for the longest token.
		time.Sleep(366 * 24 * time.Hour)
		for {
			n, err := st.Sweep(t.Context(), time.Now(), 100)
			require.NoError(t, err)
			if n == 0 {
				break
			}
		}
		now = kinds()
		for kind, b := range firstEditionRows {
			require.True(t, before[kind], kind)
			assert.Equal(t, b == carried, now[kind], kind)
		}
	})
}
