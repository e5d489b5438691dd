package web_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/twofactor"
)

// hostile is text that a client chooses.
var hostile = []string{
	`<script>alert(1)</script>`,
	`"><img src=x onerror=alert(1)>`,
	`' onfocus='alert(1)' autofocus='`,
	`javascript:alert(1)`,
	`</title></main><form action=//evil.test>`,
	`{{.Token}}{{template "page"}}`,
	`&lt;b&gt;<!--`,
	"a\u202egpj.exe\u2066\x00\x1b[2J\u200b\ufeff",
	"alice\u3164\u2800\ufe0f\U000e0141",
}

// CS-06: text that clients choose adds no element and no attribute to a page, and nothing that
// a browser would not show as a character.
func TestHostileText(t *testing.T) {
	w := newWorld(t, prefixed)
	b := w.browser()
	var login, again, challenge []string // the tags of each page without hostile text
	for _, text := range append([]string{"harmless"}, hostile...) {
		f, err := w.sessions.Start(t.Context(), session.Client{Addr: npmClient.Addr, UserAgent: text})
		require.NoError(t, err)
		form := b.form(loginPath(f), "decision", "approve", "name", text, "password", "wrong")
		w.request = &twofactor.Request{NewChallenge: twofactor.NewChallenge{
			User: "u-alice", Name: text, CredentialName: text, Action: protocol.Publish, Addr: npmClient.Addr, UserAgent: text,
			Items: []twofactor.Item{
				{Package: protocol.PackageName{Scope: text, Name: text}, Words: []protocol.Line{{Label: text, Text: text}}},
				{Package: protocol.PackageName{Scope: text, Name: text}, Words: []protocol.Line{{Label: text, Text: text}}},
			},
		}}
		for _, got := range []struct {
			page string
			want *[]string
		}{
			{b.get(loginPath(f)).Body.String(), &login},
			{b.do(http.MethodPost, loginPath(f), form.Encode()).Body.String(), &again},
			{b.get("/registry/-/auth/challenge/x").Body.String(), &challenge},
		} {
			if text == "harmless" {
				require.Contains(t, got.page, text)
				*got.want = tags(got.page)
			}
			assert.Equal(t, *got.want, tags(got.page), "%q", text)
			for _, mark := range "\u202e\u2066\u200b\ufeff\x00\x1b\u3164\u2800\ufe0f\U000e0141" {
				assert.NotContains(t, got.page, string(mark), "%q", text)
			}
		}
	}
}

var (
	tag   = regexp.MustCompile(`<[^>]*>`)
	value = regexp.MustCompile(`"[^"]*"`)
)

// tags returns the tags of a page without the values of their attributes.
func tags(page string) []string {
	all := tag.FindAllString(page, -1)
	for i, t := range all {
		all[i] = value.ReplaceAllString(t, `""`)
	}
	return all
}

// A page works without a script, for a screen reader, and for a password manager (CS-09).
func TestPagesAreAccessible(t *testing.T) {
	w := newWorld(t, prefixed)
	for _, path := range []string{loginPath(w.startLogin()), challengePath(w.startChallenge())} {
		page := w.browser().get(path).Body.String()
		assert.NotContains(t, page, "<script")
		assert.NotContains(t, page, " style=")
		assert.NotRegexp(t, `\son[a-z]+=`, page)
		assert.Contains(t, page, `<html lang="en">`)
		assert.Contains(t, page, `<input type="password" id="password" name="password" autocomplete="current-password" required>`)
		assert.Contains(t, page, `autocomplete="one-time-code"`)
		assert.Contains(t, page, `autocomplete="username"`)
		assert.Equal(t, 1, strings.Count(page, "<h1>"))
		labelled := regexp.MustCompile(`<label for="([a-z]+)">`).FindAllStringSubmatch(page, -1)
		assert.Len(t, labelled, 3)
		for _, l := range labelled {
			assert.Regexp(t, `<input [^>]*id="`+l[1]+`"`, page)
		}
	}
}

// A page says how far its times are from when it was loaded: the visitor's clock shows another hour.
func TestTimesAreRelative(t *testing.T) {
	w := newWorld(t, prefixed)
	for want, d := range map[string]time.Duration{
		"now": 59 * time.Second, "in 1 minute": time.Minute, "in 59 minutes": time.Hour - 1, "in 1 hour": time.Hour, "in 47 hours": 48*time.Hour - 1, "in 2 days": 48 * time.Hour, "in 30 days": 30*24*time.Hour - time.Minute,
		"1 minute ago": -time.Minute, "2 hours ago": -2 * time.Hour, "30 days ago": -30 * 24 * time.Hour,
	} {
		w.request = &twofactor.Request{Started: w.now, Expires: w.now.Add(d), NewChallenge: twofactor.NewChallenge{User: "u-alice", Action: protocol.Publish}}
		assert.Contains(t, w.browser().get("/registry/-/auth/challenge/x").Body.String(), ` UTC</time> <span class="whole">(`+want+")</span></dd>", d)
	}
}

// Only what was approved looks like it.
func TestOnlyApprovedIsGreen(t *testing.T) {
	w := newWorld(t, prefixed)
	f := w.startLogin()
	b := w.browser()
	const green = `class="result done"`
	b.submit(loginPath(f), "decision", "approve", "name", "bob", "password", bobPassword)
	assert.Contains(t, b.get(loginPath(f)).Body.String(), green)
	denied := w.startLogin()
	b.submit(loginPath(denied), "decision", "deny")
	for _, path := range []string{loginPath(denied), "/registry/-/auth/login/forged"} {
		page := b.get(path).Body.String()
		assert.Contains(t, page, `class="result"`)
		assert.NotContains(t, page, green)
	}
}

func TestIndex(t *testing.T) {
	w := newWorld(t, prefixed)
	for _, path := range []string{"/registry/-/auth/", "/registry/-/auth"} {
		rec := w.browser().get(path)
		assert.Equal(t, http.StatusOK, rec.Code)
		assert.Contains(t, rec.Body.String(), `npm login <span class="whole">--registry=https://npm.acme.test/registry/<`)
	}
	rec := w.browser().do(http.MethodPost, "/registry/-/auth/", "")
	assert.Equal(t, http.StatusMethodNotAllowed, rec.Code)
	assert.Equal(t, "GET, HEAD", rec.Header().Get("Allow"))
}

// DU-02: the page does not reveal the poll ID.
func TestPageHidesThePoll(t *testing.T) {
	w := newWorld(t, prefixed)
	f := w.startLogin()
	page := w.browser().get(loginPath(f)).Body.String()
	assert.NotContains(t, page, "npms_")
	assert.NotContains(t, page, strings.TrimPrefix(f.PollID.Reveal(), "npms_"))

	c := w.startChallenge()
	assert.NotContains(t, w.browser().get(challengePath(c)).Body.String(), c.PollID)
}

func FuzzHostileText(f *testing.F) {
	for _, text := range hostile {
		f.Add(text)
	}
	w := newWorld(f, prefixed)
	f.Fuzz(func(t *testing.T, text string) {
		w.TB = t
		flow := w.startLogin()
		b := w.browser()
		form := b.form(loginPath(flow), "decision", "approve", "name", text)
		hostile := b.do(http.MethodPost, loginPath(flow), form.Encode()).Body.String()
		form.Set("name", "alice")
		require.Equal(t, tags(b.do(http.MethodPost, loginPath(flow), form.Encode()).Body.String()), tags(hostile))
	})
}
