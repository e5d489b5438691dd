package web_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/subject"
	"github.com/npmauth/npmauth/twofactor"
)

var typedCode = regexp.MustCompile(`value="(\d{16})"><span>(\d{4})</span><span>(\d{4})</span><span>(\d{4})</span><span>(\d{4})</span></data>`)

func TestChallengeIsApproved(t *testing.T) {
	w := newWorld(t, prefixed)
	c := w.startChallenge()
	b := w.browser()

	page := b.get(challengePath(c)).Body.String()
	for _, shown := range []string{"publish", "@acme/widget", "alice", "laptop", "192.0.2.7", "npm/11.19.1"} {
		assert.Contains(t, page, shown)
	}

	rec := b.submit(challengePath(c), "decision", "approve", "password", alicePassword, "code", w.code())
	require.Equal(t, http.StatusSeeOther, rec.Code, "%s", rec.Body) // RD-02
	require.Equal(t, challengePath(c), rec.Header().Get("Location"))

	rec = b.get(challengePath(c))
	require.Equal(t, http.StatusOK, rec.Code)
	typed := typedCode.FindStringSubmatch(rec.Body.String())
	require.NotNil(t, typed, "%s", rec.Body)
	assert.Equal(t, typed[1], typed[2]+typed[3]+typed[4]+typed[5])

	// For all others the page is gone.
	other := w.browser().get(challengePath(c))
	assert.Equal(t, http.StatusNotFound, other.Code)
	assert.NotContains(t, other.Body.String(), typed[2])

	proof, err := w.factors.Prove(t.Context(), "u-alice", useOf("s-1", publishing("1.2.3")), credential.NewSecret(typed[1]))
	require.NoError(t, err)
	assert.Equal(t, policy.ProofWeb, proof)
}

func TestChallengeIsRefused(t *testing.T) {
	w := newWorld(t, prefixed)
	c := w.startChallenge()
	b := w.browser()
	rec := b.submit(challengePath(c), "decision", "deny")
	require.Equal(t, http.StatusSeeOther, rec.Code)
	rec = b.get(challengePath(c))
	assert.Equal(t, http.StatusOK, rec.Code)
	assert.Contains(t, rec.Body.String(), "The operation does not go on.")
	poll, err := w.factors.Collect(t.Context(), c.PollID, npmClient.Addr)
	require.NoError(t, err)
	assert.Equal(t, twofactor.Over, poll.State)
}

// EN-03: without the right password the page reveals nothing about the second factor, and
// counts no attempt at it.
func TestChallengeDenials(t *testing.T) {
	w := newWorld(t, prefixed)
	c := w.startChallenge()
	b := w.browser()
	form := b.form(challengePath(c), "decision", "approve")
	before := w.dump()
	answer := func(password, code string, status int) string {
		form.Set("password", password)
		form.Set("code", code)
		rec := b.do(http.MethodPost, challengePath(c), form.Encode())
		require.Equal(t, status, rec.Code)
		return rec.Body.String()
	}
	send := func(password, code string) string { return answer(password, code, http.StatusForbidden) }
	first := send("wrong", w.code())
	assert.Equal(t, first, send("", w.code()))
	assert.Equal(t, first, send(bobPassword, w.code()), "the password of somebody else")
	assert.Zero(t, w.calls)
	assert.Equal(t, before, w.dump(), "but for the guesses at the password")
	assert.Equal(t, first, send(alicePassword, "000000"))
	counted := w.dump()
	// AU-39: what no app shows is said to be that, whatever the password.
	for _, code := range []string{"", "12345", "1234 5678 9012 3456", strings.Repeat("0", 64)} {
		for _, password := range []string{"wrong", alicePassword} {
			assert.Contains(t, answer(password, code, http.StatusUnprocessableEntity), "Only the six digits that your authenticator app shows count here.", code)
		}
	}
	assert.Equal(t, counted, w.dump())
	w.broken = twofactor.ErrTooMany
	assert.Equal(t, first, send(alicePassword, w.code()))
	w.broken = twofactor.ErrLocked
	assert.Equal(t, first, send(alicePassword, w.code()))
	assert.Empty(t, w.reported)
}

// A name can belong to another account by the time the page is filled in. Its password is right
// then, and approves nothing.
func TestChallengeIsForItsUserOnly(t *testing.T) {
	w := newWorld(t, prefixed)
	c, err := w.factors.Challenge(t.Context(), twofactor.NewChallenge{
		User: "u-alice", Name: "bob", Credential: "s-1", Action: protocol.Publish, Items: []twofactor.Item{publishing("1.2.3")},
	})
	require.NoError(t, err)
	rec := w.browser().submit(challengePath(c), "decision", "approve", "password", bobPassword, "code", w.code())
	assert.Equal(t, http.StatusForbidden, rec.Code)
	assert.Zero(t, w.calls)
}

// AU-01: if the account changed during the check, it is checked once more, and approved only if
// it still may be.
func TestChallengeIsJudgedAnew(t *testing.T) {
	operator := audit.Actor{}
	for name, tt := range map[string]struct {
		change func(w *world, m *subject.Manager) error
		always bool
		status int
	}{
		"high impact": {func(w *world, m *subject.Manager) error {
			return m.SetHighImpact(w.Context(), operator, "u-alice", true)
		}, false, http.StatusSeeOther},
		"sessions ended": {func(w *world, m *subject.Manager) error { return m.EndSessions(w.Context(), operator, "u-alice") }, false, http.StatusSeeOther},
		"everybody's":    {func(w *world, m *subject.Manager) error { return m.RevokeEveryone(w.Context(), operator) }, false, http.StatusSeeOther},
		"disabled":       {func(w *world, m *subject.Manager) error { return m.Disable(w.Context(), operator, "u-alice") }, false, http.StatusForbidden},
		"password": {func(w *world, m *subject.Manager) error {
			w.passwords["u-alice"] = "another"
			return m.EndSessions(w.Context(), operator, "u-alice")
		}, false, http.StatusForbidden},
		"all the time": {func(w *world, m *subject.Manager) error { return m.EndSessions(w.Context(), operator, "u-alice") }, true, http.StatusServiceUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, prefixed)
			subjects, err := subject.New(subject.Config{Store: w.store})
			require.NoError(t, err)
			c := w.startChallenge()
			w.during = func() {
				if !tt.always {
					w.during = nil
				}
				require.NoError(t, tt.change(w, subjects))
			}
			code := w.code()
			rec := w.browser().submit(challengePath(c), "decision", "approve", "password", alicePassword, "code", code)
			assert.Equal(t, tt.status, rec.Code, "%s", rec.Body)
			if tt.status == http.StatusSeeOther {
				return
			}
			_, err = w.factors.Pending(t.Context(), c.PageID)
			require.NoError(t, err, "it still waits")
			_, err = w.factors.Prove(t.Context(), "u-alice", useOf("s-2", publishing("1.2.3")), credential.NewSecret(code))
			assert.NoError(t, err, "the code is not spent")
		})
	}
}

// AU-35: a code is verified for when the form arrived, however long its password waited.
func TestChallengeIsDatedByItsArrival(t *testing.T) {
	w := newWorld(t, prefixed)
	c := w.startChallenge()
	w.during = func() { w.now = w.now.Add(95 * time.Second) }
	rec := w.browser().submit(challengePath(c), "decision", "approve", "password", alicePassword, "code", w.code())
	assert.Equal(t, http.StatusSeeOther, rec.Code, "%s", rec.Body)
}

// The event of a decision has the IP address.
func TestDecisionsHaveAnAddress(t *testing.T) {
	w := newWorld(t, prefixed)
	for _, tt := range []struct {
		typ    audit.Type
		path   string
		fields []string
	}{
		{audit.ChallengeNo, challengePath(w.startChallenge()), []string{"decision", "deny"}},
		{audit.ChallengeYes, challengePath(w.startChallenge()), []string{"decision", "approve", "password", alicePassword, "code", w.code()}},
		{audit.LoginDenied, loginPath(w.startLogin()), []string{"decision", "deny"}},
		{audit.LoginApproved, loginPath(w.startLogin()), []string{"decision", "approve", "name", "bob", "password", bobPassword}},
	} {
		require.Equal(t, http.StatusSeeOther, w.browser().submit(tt.path, tt.fields...).Code)
		e := w.events[len(w.events)-1]
		assert.Equal(t, tt.typ, e.Type)
		assert.Equal(t, "192.0.2.7", e.Addr.String(), tt.typ)
	}
}

func TestChallengeIsDecidedOnce(t *testing.T) {
	w := newWorld(t, prefixed)
	c := w.startChallenge()
	b := w.browser()
	form := b.form(challengePath(c), "decision", "deny")
	require.Equal(t, http.StatusSeeOther, b.do(http.MethodPost, challengePath(c), form.Encode()).Code)
	assert.Equal(t, http.StatusSeeOther, b.do(http.MethodPost, challengePath(c), form.Encode()).Code, "sent twice")

	other := w.browser()
	c = w.startChallenge()
	form = other.form(challengePath(c), "decision", "approve", "password", alicePassword, "code", w.code())
	require.Equal(t, http.StatusSeeOther, b.submit(challengePath(c), "decision", "deny").Code)
	assert.Equal(t, http.StatusNotFound, other.do(http.MethodPost, challengePath(c), form.Encode()).Code, "decided elsewhere")
}

func TestChallengeExpires(t *testing.T) {
	w := newWorld(t, prefixed)
	c := w.startChallenge()
	w.now = c.Expires.Add(-time.Microsecond)
	assert.Equal(t, http.StatusOK, w.browser().get(challengePath(c)).Code)
	w.now = c.Expires
	assert.Equal(t, http.StatusNotFound, w.browser().get(challengePath(c)).Code)
}

// An outcome is valid for its own page and as it was sealed.
func TestOutcomeIsBound(t *testing.T) {
	w := newWorld(t, prefixed)
	b := w.browser()
	one := w.startChallenge()
	require.Equal(t, http.StatusSeeOther, b.submit(challengePath(one), "decision", "deny").Code)
	cookie := b.cookies["__Secure-npmauth-outcome"]
	require.NotNil(t, cookie)
	assert.Equal(t, challengePath(one), cookie.Path)
	assert.True(t, cookie.Secure && cookie.HttpOnly && cookie.SameSite == http.SameSiteStrictMode && cookie.Domain == "" && cookie.MaxAge == 300)

	two := w.startChallenge()
	require.NoError(t, w.factors.Deny(t.Context(), two.PageID, npmClient.Addr))
	cookie.Path = challengePath(two)
	assert.Equal(t, http.StatusNotFound, b.get(challengePath(two)).Code)

	cookie.Path = challengePath(one)
	for _, value := range []string{"", "!", "refused", cookie.Value[1:]} {
		cookie.Value = value
		assert.Equal(t, http.StatusNotFound, b.get(challengePath(one)).Code, value)
	}
}

// A page offers the other changes of a list, and approves those that are ticked.
func TestChallengeOfSeveral(t *testing.T) {
	w := newWorld(t, prefixed)
	items := []twofactor.Item{publishing("1.0.0"), publishing("2.0.0"), publishing("3.0.0")}
	c, err := w.factors.Challenge(t.Context(), twofactor.NewChallenge{
		User: "u-alice", Name: "alice", Credential: "s-1", Action: protocol.Publish, Items: items, Addr: npmClient.Addr,
	})
	require.NoError(t, err)
	b := w.browser()
	shown := b.get(challengePath(c)).Body.String()
	for _, version := range []string{"1.0.0", "2.0.0", "3.0.0"} {
		assert.Contains(t, shown, "<dt>Publishes version</dt><dd><bdi>"+version+"</bdi></dd>")
	}
	assert.Equal(t, 2, strings.Count(shown, "Confirm this one, too"))
	rec := b.submit(challengePath(c), "decision", "approve", "password", alicePassword, "code", w.code(), "also-2", "yes")
	require.Equal(t, http.StatusSeeOther, rec.Code, "%s", rec.Body)
	typed := typedCode.FindStringSubmatch(b.get(challengePath(c)).Body.String())
	require.NotNil(t, typed)
	for i, it := range items {
		_, err := w.factors.Prove(t.Context(), "u-alice", useOf("s-1", it), credential.NewSecret(typed[1]))
		assert.Equal(t, i != 1, err == nil, "%d: %v", i, err)
	}
}
