package npmauth_test

import (
	"fmt"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/host/hosttest"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/token"
)

// TestEnrol turns a second factor on, switches its mode and turns it off, as
// npm profile does.
func TestEnrol(t *testing.T) {
	w := newWorld(t)
	w.person("alice")
	s := w.login("alice")
	post := func(body, otp, agent string) answer {
		return w.do(call{method: "POST", path: "/-/npm/v1/user", bearer: s, otp: otp, body: body, header: map[string]string{"User-Agent": agent}})
	}
	profile := func() answer { return w.do(call{method: "GET", path: "/-/npm/v1/user", bearer: s}) }
	a := profile()
	assert.Equal(t, "alice", a.text("name"))
	assert.Nil(t, a.json["tfa"])

	change := func(mode string) string {
		return `{"tfa":{"mode":"` + mode + `","password":"` + password + `"}}`
	}
	assert.Equal(t, 401, post(`{"tfa":{"mode":"auth-only","password":"wrong"}}`, "", "").Code)
	assert.Equal(t, 400, post(change("everything"), "", "").Code)
	assert.Equal(t, 400, post(`{"tfa":{"mode":"auth-only","password":"`+password+`"},"fullname":"A"}`, "", "").Code)
	a = post(change("auth-and-writes"), "", "")
	require.Equal(t, 200, a.Code, a.Body.String())
	assert.True(t, strings.HasPrefix(a.text("tfa"), "otpauth://totp/"), a.text("tfa"))
	assert.Equal(t, true, profile().json["tfa"].(map[string]any)["pending"])
	assert.Equal(t, 200, post(change("disable"), "", "").Code, "npm forgets a pending one first")
	assert.Nil(t, profile().json["tfa"])
	a = post(change("auth-and-writes"), "", "")
	link, err := url.Parse(a.text("tfa"))
	require.NoError(t, err)
	w.secrets["alice"] = link.Query().Get("secret")

	wrong := post(`{"tfa":["000000"]}`, "", "")
	assert.Equal(t, 401, wrong.Code)
	assert.Empty(t, wrong.Header().Get("WWW-Authenticate"), "npm answers no challenge here")
	a = post(`{"tfa":["`+w.codeNow("alice")+`"]}`, "", "")
	require.Equal(t, 200, a.Code, a.Body.String())
	recovery := a.json["tfa"].([]any)
	require.Len(t, recovery, 5)
	assert.Equal(t, map[string]any{"mode": "auth-and-writes", "pending": false}, profile().json["tfa"])
	assert.NotContains(t, profile().Body.String(), w.secrets["alice"], "OT-16")

	isChallenge(t, post(change("auth-only"), "", ""))
	isChallenge(t, post(change("auth-only"), w.codeNow("alice"), "")) // T7: the code that confirmed is used
	a = post(change("auth-only"), w.code("alice"), "npm/11.19.1 node/v20 linux x64")
	require.Equal(t, 200, a.Code, a.Body.String())
	assert.Equal(t, "auth-only", a.json["tfa"].(map[string]any)["mode"])
	a = post(change("auth-and-writes"), w.code("alice"), "npm/10.9.9 node/v20 linux x64")
	require.Equal(t, 200, a.Code)
	assert.Nil(t, a.json["tfa"], "npm 10 takes anything else for an error")

	isChallenge(t, post(change("disable"), "", "")) // PR-26
	a = post(change("disable"), recovery[0].(string), "")
	require.Equal(t, 200, a.Code, "PR-26: a recovery code turns it off: %s", a.Body)
	assert.Nil(t, profile().json["tfa"])
	assert.True(t, w.events.has(audit.FactorDisabled))
}

// TestPublishNeedsAFactor is the first rule of December 2025.
func TestPublishNeedsAFactor(t *testing.T) {
	w := newWorld(t)
	alice := w.person("alice")
	w.host.add("plain", false, alice)
	s := w.login("alice")
	a := w.publish("plain", "1.0.0", s, "")
	assert.Equal(t, 403, a.Code, "an account without a factor is not asked for one")
	assert.Contains(t, a.text("error"), "npm profile enable-2fa")
	w.enrol("alice", protocol.AuthOnly)
	s = w.login("alice")
	isChallenge(t, w.publish("plain", "1.0.0", s, "")) // PR-21: in auth-only mode, too
	assert.Empty(t, w.host.written())
	assert.Equal(t, 200, w.publish("plain", "1.0.0", s, w.code("alice")).Code)
	assert.Equal(t, 200, w.publish("@alice/new", "1.0.0", s, w.code("alice")).Code)
}

// TestCodeIsGoodForOneThing: what presenting a code again does, with DESIGN's
// grants. OT-01, OT-03, OT-05, OT-19 to OT-25.
func TestCodeIsGoodForOneThing(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.person("alice"), w.person("bob")
	w.enrol("alice", protocol.AuthAndWrites)
	w.enrol("bob", protocol.AuthAndWrites)
	for _, name := range []string{"plain", "other"} {
		w.host.add(name, false, alice)
	}
	w.host.add("bobs", false, bob)
	s, s2, b := w.login("alice"), w.login("alice"), w.login("bob")
	rw, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadWrite)})
	tag := func(bearer, otp string) answer {
		return w.do(call{method: "PUT", path: "/-/package/plain/dist-tags/next", bearer: bearer, otp: otp, body: `"1.0.0"`})
	}
	code := w.code("alice")

	// OT-23, OT-24: reads, and requests of the wrong bearer, spend and count nothing.
	for range 20 {
		assert.Equal(t, 200, w.do(call{method: "GET", path: "/plain", bearer: s, otp: code}).Code)
		assert.Equal(t, 401, w.publish("plain", "1.0.0", "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", code).Code)
		assert.Equal(t, 200, w.do(call{method: "GET", path: "/-/whoami", bearer: s, otp: "000000"}).Code)
	}
	isChallenge(t, w.publish("bobs", "1.0.0", b, code)) // OT-05
	require.Equal(t, 200, w.publish("plain", "1.0.0", s, code).Code)
	assert.Equal(t, 200, w.publish("plain", "1.0.0", s, code).Code, "OT-19: npm sends the same PUT again")
	assert.Equal(t, 200, w.publish("other", "1.0.0", s, code).Code, "publish --workspaces --otp")
	isChallenge(t, w.publish("plain", "1.0.1", s2, code)) // OT-21: another credential
	isChallenge(t, w.publish("plain", "1.0.1", rw, code)) // OT-21
	assert.Equal(t, 200, tag(s, code).Code, "lerna publishes and then tags")
	isChallenge(t, w.do(call{method: "DELETE", path: "/plain/-rev/7-a", bearer: s, otp: code})) // OT-22: another action
	isChallenge(t, w.create(s, code, map[string]any{"packages_all": true}))

	w.clock.Add(90 * time.Second)
	isChallenge(t, w.publish("other", "1.0.1", s, code)) // its own window is over
	assert.Equal(t, 200, w.publish("plain", "1.0.0", s, code).Code, "npm's second retry comes a minute later")
	w.clock.Add(2 * time.Minute)
	isChallenge(t, w.publish("plain", "1.0.0", s, code)) // after its window

	newer := w.code("alice")
	w.clock.Add(30 * time.Second)
	newest := w.codeNow("alice")
	assert.Equal(t, 200, tag(s, newest).Code)
	isChallenge(t, tag(s2, newer)) // OT-03: an older step

	recovery := w.enrolAgain("alice")
	assert.Equal(t, 403, w.publish("plain", "2.0.0", w.login("alice"), recovery).Code, "RC-08")
	a := w.do(call{method: "PUT", path: "/-/user/org.couchdb.user:alice", body: couch("alice", password), otp: recovery})
	assert.Equal(t, 201, a.Code, "and it was not spent by that: %s", a.Body)
}

// enrolAgain replaces the factor and returns a recovery code.
func (w *world) enrolAgain(name string) string {
	w.t.Helper()
	require.NoError(w.t, w.auth.ResetTwoFactor(w.t.Context(), w.ids[name]))
	w.clock.Add(time.Second)
	return w.enrol(name, protocol.AuthAndWrites)[0]
}

// TestOneCodeManyRequests is OT-02 through HTTP: one code, many sessions at once.
func TestOneCodeManyRequests(t *testing.T) {
	w := newWorld(t)
	alice := w.person("alice")
	w.enrol("alice", protocol.AuthAndWrites)
	w.host.add("plain", false, alice)
	var sessions []string
	for range 16 {
		sessions = append(sessions, w.login("alice"))
	}
	code := w.code("alice")
	var wins atomic.Int32
	var done sync.WaitGroup
	for _, s := range sessions {
		done.Go(func() {
			if w.publish("plain", "1.0.0", s, code).Code == 200 {
				wins.Add(1)
			}
		})
	}
	done.Wait()
	assert.EqualValues(t, 1, wins.Load())
	assert.Len(t, w.host.written(), 1)
}

// TestGuessing is OT-08 and OT-11: a credential that guesses is ended, and a
// factor that was guessed at too often is locked.
func TestGuessing(t *testing.T) {
	w := newWorld(t)
	alice := w.person("alice")
	recovery := w.enrol("alice", protocol.AuthAndWrites)
	w.host.add("plain", false, alice)
	s := w.login("alice")
	guess := func(i int) string {
		return string([]byte{'0', '0', '0', byte('0' + i/100), byte('0' + i/10%10), byte('0' + i%10)})
	}
	ended := 0
	for i := range 10 {
		a := w.publish("plain", "1.0.0", s, guess(i))
		require.Equal(t, 401, a.Code)
		if a.Header().Get("WWW-Authenticate") != "OTP, otp" {
			ended = i
			break
		}
	}
	assert.Equal(t, 5, ended, "five guesses, and the session is over")
	assert.Equal(t, 401, w.do(call{method: "GET", path: "/-/whoami", bearer: s}).Code)
	assert.True(t, w.events.has(audit.FactorLocked))

	left := 95
	for left > 0 {
		tok, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadWrite)})
		for i := 0; i < 5 && left > 0; i++ {
			a := w.publish("plain", "1.0.0", tok, guess(left))
			if left > 1 { // the last one locks the factor
				isChallenge(t, a)
			}
			left--
		}
	}
	tok, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadWrite)})
	a := w.publish("plain", "1.0.0", tok, w.code("alice"))
	assert.Equal(t, 403, a.Code, "429 would make npm send it again, and no code would do: neither another nor a recovery code")
	assert.Equal(t, "locked-factor", a.text("code"))
	assert.Equal(t, a.Body.String(), w.publish("plain", "1.0.0", tok, "").Body.String(), "a page would ask for what is locked")
	// AU-75: what is left is offered where it counts.
	a = w.do(call{method: "PUT", path: "/-/user/org.couchdb.user:alice", body: couch("alice", password), otp: w.code("alice")})
	isChallenge(t, a)
	assert.Regexp(t, `^Codes of this kind are locked .* Enter a recovery code\.$`, a.Header().Get("Npm-Notice"))
	a = w.do(call{method: "PUT", path: "/-/user/org.couchdb.user:alice", body: couch("alice", password), otp: recovery[0]})
	assert.Equal(t, 201, a.Code, "the other factor still works: %s", a.Body)
	assert.Empty(t, w.host.written())
}

// TestWebChallenge: the page, and the proof that npm collects. CH-01, CH-03,
// CH-05, CH-06, CH-07.
func TestWebChallenge(t *testing.T) {
	w := newWorld(t)
	alice := w.person("alice")
	w.person("mallory")
	w.enrol("alice", protocol.AuthAndWrites)
	w.host.add("plain", false, alice)
	w.host.add("other", false, alice)
	s, s2 := w.login("alice"), w.login("alice")

	anonymous := w.publish("plain", "1.0.0", "", "")
	assert.Empty(t, anonymous.text("authUrl"), "CH-01: nothing is opened for nobody")
	ask := func() (authURL, doneURL string) {
		a := w.publish("plain", "1.0.0", s, "")
		isChallenge(t, a)
		assert.Regexp(t, `^Open \S+ to confirm this, or use the code that your authenticator app shows\. The page must show the check code [B-Z]{4}-[B-Z]{4}\.$`, a.Header().Get("Npm-Notice"))
		assert.NotContains(t, a.text("authUrl"), "%")
		_, _, page := w.open(a.text("authUrl"))
		notice := a.Header().Get("Npm-Notice")
		assert.Contains(t, page.Body.String(), notice[len(notice)-10:len(notice)-1], "the page shows the check code that npm printed")
		return a.text("authUrl"), a.text("doneUrl")
	}
	authURL, doneURL := ask()
	assert.Regexp(t, `/[A-Z2-7]{26}$`, doneURL, "not a shape that npm masks: without a terminal it must print it")
	assert.Equal(t, 202, w.poll(doneURL, "PUT").Code)
	_, _, page := w.open(authURL)
	for _, shown := range []string{"plain", "alice", "publish", "session " + w.sessionID(s) + ", a login of 1 March 2026, 12:"} {
		assert.Contains(t, page.Body.String(), shown) // CH-04
	}
	for _, fields := range []map[string]string{
		{"password": "mallory's own password", "code": w.codeNow("alice")}, // CH-03: it is alice's to approve
		{"password": password, "code": "000000"},
		{"password": password, "code": "000000", "name": "mallory"},
	} {
		assert.GreaterOrEqual(t, w.submit(authURL, fields).Code, 400, "CH-03")
	}
	// CH-03: nor is it whose browser she is signed in to, with what is hers.
	w.enrol("mallory", protocol.AuthAndWrites)
	hers := w.tab()
	hers.signIn("mallory", "profile")
	hers.open(authURL).is(200, `name="password"`)
	hers.submit("approve", "password", password, "code", w.code("mallory")).is(403, "is wrong")
	assert.Equal(t, 202, w.poll(doneURL, "GET").Code, "CH-03")

	approve := func(authURL string) {
		a := w.submit(authURL, map[string]string{"password": password, "code": w.code("alice")})
		require.Contains(t, []int{200, 303}, a.Code, a.Body.String())
	}
	approve(authURL)
	for _, method := range []string{"HEAD", "POST"} {
		assert.Equal(t, 405, w.poll(doneURL, method).Code)
	}
	a := w.poll(doneURL, "DELETE")
	require.Equal(t, 200, a.Code, a.Body.String())
	proof := a.text("token")
	assert.True(t, strings.HasPrefix(proof, "npmo_"))
	assert.Equal(t, 401, w.do(call{method: "GET", path: "/-/whoami", bearer: proof}).Code, "TK-06")
	isChallenge(t, w.publish("other", "1.0.0", s, proof))  // CH-05: another package
	isChallenge(t, w.publish("plain", "1.0.0", s2, proof)) // CH-06: another credential
	require.Equal(t, 200, w.publish("plain", "1.0.0", s, proof).Code)
	assert.Equal(t, 200, w.publish("plain", "1.0.0", s, proof).Code, "a retry of the same")
	w.clock.Add(4 * time.Minute)
	isChallenge(t, w.publish("plain", "1.0.0", s, proof)) // CH-07
	gone := w.poll(doneURL, "GET")
	assert.Equal(t, 410, gone.Code, "AU-69")
	assert.Contains(t, gone.text("error"), "is over")
}

// AU-63: A client that asks for a code hears of the page in words. What the page then shows is
// a code, and a code that was refused is said to have been.
func TestTypedChallenge(t *testing.T) {
	w := newWorld(t)
	alice := w.person("alice")
	w.enrol("alice", protocol.AuthAndWrites)
	w.host.add("plain", false, alice)
	s := w.login("alice")
	publish := func(otp string) answer {
		return w.do(call{method: "PUT", path: "/plain", body: hosttest.PublishBody(protocol.PackageName{Name: "plain"}, "1.0.0"), bearer: s, otp: otp,
			header: map[string]string{"npm-auth-type": "legacy"}})
	}
	wrong := publish("000000")
	isChallenge(t, wrong)
	assert.Equal(t, "The one-time password is wrong or too old. This operation requires a one-time password.", wrong.text("error"))
	assert.Regexp(t, `^The one-time password is wrong or too old\. Enter the code `, wrong.Header().Get("Npm-Notice"), "npm prints no more than this")
	a := publish("")
	isChallenge(t, a)
	assert.Equal(t, "This operation requires a one-time password.", a.text("error"))
	assert.Empty(t, a.text("authUrl")+a.text("doneUrl"))
	page := regexp.MustCompile(`^Enter the code that your authenticator app shows, or open (\S+), whose check code must be [B-Z]{4}-[B-Z]{4}, and enter`).FindStringSubmatch(a.Header().Get("Npm-Notice"))
	require.NotNil(t, page, a.Header())
	form, cookie, _ := w.open(page[1])
	done := w.fill(page[1], form, cookie, map[string]string{"password": password, "code": w.code("alice")})
	require.Equal(t, 303, done.Code, done.Body.String())
	outcome, _, _ := strings.Cut(done.Header().Get("Set-Cookie"), ";")
	shown := w.do(call{method: "GET", path: strings.TrimPrefix(page[1], "https://npm.acme.test"), header: map[string]string{"Cookie": cookie + "; " + outcome}})
	typed := regexp.MustCompile(`id="typed" value="(\d{16})">`).FindStringSubmatch(shown.Body.String())
	require.NotNil(t, typed, shown.Body.String())
	inGroups := typed[1][:4] + " " + typed[1][4:8] + " " + typed[1][8:12] + " " + typed[1][12:]
	assert.Equal(t, 200, publish(inGroups).Code, "AU-38: as the page shows it")
}

// AU-39: A recovery code is refused where the policy does not take it, in the words of its rule,
// and is not used up: neither what is right nor what is wrong is counted.
func TestUnacceptedProof(t *testing.T) {
	w := newWorld(t)
	alice := w.person("alice")
	recovery := w.enrol("alice", protocol.AuthAndWrites)
	w.host.add("plain", false, alice)
	s := w.login("alice")
	for range 6 { // more often than one may guess
		for _, code := range []string{recovery[0], strings.ToUpper(recovery[0][:32]) + " " + recovery[0][32:], strings.Repeat("0", 64)} {
			a := w.publish("plain", "1.0.0", s, code)
			require.Equal(t, 403, a.Code, a.Body)
			assert.Equal(t, "recovery-code", a.text("code"))
			assert.Equal(t, "A recovery code repairs your account but cannot be used for this. Use a code of your authenticator app or reset it with npm profile disable-2fa.", a.text("error"))
		}
	}
	assert.Empty(t, w.host.written())
	assert.False(t, w.events.has(audit.RecoveryUsed))
	a := w.do(call{method: "PUT", path: "/-/user/org.couchdb.user:alice", body: couch("alice", password), otp: recovery[0]})
	assert.Equal(t, 201, a.Code, a.Body)
}

// AU-75: The notice offers what the account has and the policy takes, and still begins with the page,
// which Yarn opens.
func TestNoticeOffers(t *testing.T) {
	w := newWorld(t)
	alice := w.person("alice")
	recovery := w.enrol("alice", protocol.AuthAndWrites)
	w.host.add("plain", false, alice)
	s := w.login("alice")
	const app = `Open https://npm\.acme\.test/-/auth/challenge/\w+ to confirm this, or use the code that your authenticator app shows`
	profile := func() answer {
		return w.do(call{method: "POST", path: "/-/npm/v1/user", bearer: s, body: `{"fullname":"Alice"}`})
	}
	notice := func(a answer) string {
		isChallenge(t, a)
		return a.Header().Get("Npm-Notice")
	}
	login := func() answer {
		return w.do(call{method: "PUT", path: "/-/user/org.couchdb.user:alice", body: couch("alice", password)})
	}
	assert.Regexp(t, `^`+app+`\. The page must`, notice(w.publish("plain", "1.0.0", s, "")))
	assert.Regexp(t, `^`+app+` or a recovery code\. The page must`, notice(profile()))
	assert.Equal(t, "Enter the code that your authenticator app shows or a recovery code.", notice(login()))
	for _, code := range recovery {
		require.Equal(t, 201, w.do(call{method: "PUT", path: "/-/user/org.couchdb.user:alice", body: couch("alice", password), otp: code}).Code)
	}
	assert.Regexp(t, `^`+app+`\. The page must`, notice(profile()), "there are none left")
	assert.Equal(t, "Enter the code that your authenticator app shows.", notice(login()))
}

// A policy that takes an approval on the page alone is offered no code, and one that takes no proof at all is
// refused in its own words.
func TestNoticeOffersWhatThePolicyTakes(t *testing.T) {
	only := func(proofs ...policy.Proof) func(*npmauth.Config) {
		return func(cfg *npmauth.Config) {
			cfg.Policy = policy.NPM().With(policy.Rule{
				ID: "vault", Sentence: "This package is confirmed on paper.", Actions: []protocol.Action{protocol.Publish},
				Judge: func(r *policy.Request) policy.Verdict {
					if slices.Contains(proofs, r.Proof) {
						return policy.Silent
					}
					return policy.NeedProof
				},
			})
		}
	}
	for name, tt := range map[string]struct {
		takes  []policy.Proof
		notice string // "": refused
		typed  string
		page   bool
	}{
		"page":    {[]policy.Proof{policy.ProofWeb}, `^Open \S+ to confirm this\. The page must show`, `^Open \S+, whose check code must be \S+ and enter the digits`, true},
		"app":     {[]policy.Proof{policy.ProofTOTP}, `^Enter the code that your authenticator app shows\.$`, `^Enter the code that your authenticator app shows\.$`, false},
		"nothing": {nil, "", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, only(tt.takes...))
			w.host.add("plain", false, w.person("alice"))
			w.enrol("alice", protocol.AuthAndWrites)
			s := w.login("alice")
			publish := func(kind string) answer {
				return w.do(call{method: "PUT", path: "/plain", body: hosttest.PublishBody(protocol.PackageName{Name: "plain"}, "1.0.0"), bearer: s, header: map[string]string{"npm-auth-type": kind}})
			}
			a, typed := publish("web"), publish("legacy")
			if tt.notice == "" {
				require.Equal(t, 403, a.Code, a.Body)
				assert.Equal(t, 403, typed.Code)
				return
			}
			isChallenge(t, a)
			isChallenge(t, typed)
			assert.Regexp(t, tt.notice, a.Header().Get("Npm-Notice"))
			assert.Regexp(t, tt.typed, typed.Header().Get("Npm-Notice"))
			assert.Equal(t, tt.page, a.text("authUrl") != "")
			assert.Empty(t, typed.text("authUrl"))
			if !slices.Contains(tt.takes, policy.ProofTOTP) {
				refused := w.publish("plain", "1.0.0", s, w.code("alice"))
				assert.Equal(t, 403, refused.Code)
				assert.Equal(t, "This package is confirmed on paper.", refused.text("error"))
			}
		})
	}
}

// AU-39: Whoever sends a code that was used a moment ago is told so, and when the next one comes:
// in the answer and in what npm prints, for a change and for a login.
func TestUsedCode(t *testing.T) {
	const used = "That code was used already. Your app shows the next one in 30 seconds."
	w := newWorld(t)
	alice := w.person("alice")
	w.enrol("alice", protocol.AuthAndWrites)
	w.host.add("plain", false, alice)
	s := w.login("alice")
	w.clock.Add(30*time.Second - time.Duration(w.clock.Now().UnixNano()%int64(30*time.Second)))
	code := w.code("alice")
	require.Equal(t, 200, w.publish("plain", "1.0.0", s, code).Code)
	for _, spelling := range []string{code, code[:3] + " " + code[3:]} {
		a := w.do(call{method: "POST", path: "/-/npm/v1/user", bearer: s, otp: spelling, body: `{"fullname":"Alice"}`})
		isChallenge(t, a)
		assert.True(t, strings.HasPrefix(a.text("error"), used), a.Body)
		assert.True(t, strings.HasSuffix(a.Header().Get("Npm-Notice"), used), a.Header())
		a = w.do(call{method: "PUT", path: "/-/user/org.couchdb.user:alice", body: couch("alice", password), otp: spelling})
		isChallenge(t, a)
		assert.True(t, strings.HasPrefix(a.text("error"), used), a.Body)
		a = w.do(call{method: "PUT", path: "/-/user/org.couchdb.user:alice", body: couch("alice", "wrong"), otp: spelling})
		assert.Equal(t, "wrong-login", a.text("code"), "to nobody without the password")
	}
}

// A token that guessed too often is ended, and somebody hears of it.
func TestGuessingTokenIsRecorded(t *testing.T) {
	w := newWorld(t)
	alice := w.person("alice")
	w.enrol("alice", protocol.AuthAndWrites)
	w.host.add("plain", false, alice)
	rw, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadWrite)})
	for i := range 6 {
		w.publish("plain", "1.0.0", rw, fmt.Sprintf("%06d", i))
	}
	require.Equal(t, 401, w.do(call{method: "GET", path: "/-/whoami", bearer: rw}).Code)
	assert.True(t, w.events.has(audit.TokenRevoked))
}

// sessionID returns the public ID of a session.
func (w *world) sessionID(bearer string) string {
	w.t.Helper()
	r := httptest.NewRequestWithContext(w.t.Context(), "GET", "/", nil)
	r.Header.Set("Authorization", "Bearer "+bearer)
	id, err := w.auth.Authenticate(r)
	require.NoError(w.t, err)
	return id.Credential
}

// AU-75: to an account with keys the notice offers what it has: a page alone where it has no app, a page or the app's
// code where it has one. Who says legacy is told of the page, too.
func TestNoticeOffersToKeys(t *testing.T) {
	const page = `https://npm\.acme\.test/-/auth/challenge/\w+`
	for name, tt := range map[string]struct{ web, typed string }{
		"a key alone": {`^Open ` + page + ` to confirm this\. The page must show`, `^Open ` + page + `, whose check code must be \S+ and enter the digits that it shows in the end\.$`},
		"a key and an app": {
			`^Open ` + page + ` to confirm this, or use the code that your authenticator app shows\. The page must show`,
			`^Enter the code that your authenticator app shows, or open ` + page + `, whose check code must be \S+ and enter the digits that it shows in the end\.$`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			s := w.alice(protocol.AuthAndWrites)
			w.key("alice", "blue")
			if name == "a key alone" {
				remove := call{method: "DELETE", path: ownFactors + "/app"}
				remove.otp = w.signed(s, remove, "blue")
				require.Equal(t, 204, w.do(withBearer(remove, s)).Code)
			}
			publish := func(kind string) string {
				a := w.do(call{method: "PUT", path: "/plain", body: hosttest.PublishBody(protocol.PackageName{Name: "plain"}, "3.0.0"), bearer: s, header: map[string]string{"npm-auth-type": kind}})
				isChallenge(t, a)
				return a.Header().Get("Npm-Notice")
			}
			assert.Regexp(t, tt.web, publish("web"))
			assert.Regexp(t, tt.typed, publish("legacy"))
		})
	}
}
