package web_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/session"
)

const signUpPage = "/registry/-/auth/signup"

// AU-67: who has no account makes one on the way, and the login that waits is approved with it.
func TestSignUpOnTheWayToALogin(t *testing.T) {
	w := newOpenWorld(t, prefixed)
	f := w.startLogin()
	b := w.browser()
	assert.Contains(t, b.get(loginPath(f)).Body.String(), `<a href="`+signUpPath(f)+`">Create one</a>`)
	assert.Contains(t, b.get(signUpPath(f)).Body.String(), `<a href="`+loginPath(f)+`">Log in</a>`, "who has one goes back")

	rec := b.submit(signUpPath(f), "decision", "approve", "name", " carol ", "email", "carol@acme.test\t", "password", " a sentence of mine ")
	require.Equal(t, http.StatusSeeOther, rec.Code, "%s", rec.Body)
	require.Equal(t, signUpPath(f), rec.Header().Get("Location"))
	require.Len(t, w.created, 1)
	assert.Equal(t, "carol", w.created[0].Name)
	assert.Equal(t, "carol@acme.test", w.created[0].Email)
	assert.Equal(t, " a sentence of mine ", w.created[0].Password.Reveal(), "every character of a password counts")
	page := b.get(signUpPath(f)).Body.String()
	assert.Contains(t, page, "The account carol is yours.")
	assert.Contains(t, page, `<a href="`+loginPath(f)+`">Log in</a>`)
	assert.Contains(t, page, `npm profile enable-2fa auth-and-writes <span class="whole">--registry=`+prefixed)
	assert.NotContains(t, page, "npm login")

	poll, err := w.sessions.Collect(t.Context(), f.PollID.Reveal(), npmClient)
	require.NoError(t, err)
	require.Equal(t, session.Pending, poll.State, "an account is no login")
	require.Equal(t, http.StatusSeeOther, b.submit(loginPath(f), "decision", "approve", "name", "carol", "password", " a sentence of mine ").Code)
	poll, err = w.sessions.Collect(t.Context(), f.PollID.Reveal(), npmClient)
	require.NoError(t, err)
	assert.Equal(t, session.Done, poll.State)
}

func TestSignUpAlone(t *testing.T) {
	for _, base := range []string{prefixed, strings.TrimSuffix(prefixed, "/")} {
		w := newOpenWorld(t, base)
		b := w.browser()
		require.Equal(t, http.StatusSeeOther, b.submit(signUpPage, "decision", "approve", "name", "carol", "email", "carol@acme.test", "password", "a sentence of mine").Code)
		page := b.get(signUpPage).Body.String()
		assert.Contains(t, page, `<pre>npm login <span class="whole">--registry=`+prefixed+"</span></pre>")
		assert.NotContains(t, page, "a sentence of mine")
		assert.Contains(t, w.browser().get(signUpPage).Body.String(), "<form", "another browser has another page")
		assert.Contains(t, b.get(signUpPath(w.startLogin())).Body.String(), "<form", "and another login has")
	}
}

// What is wrong is said above the form, which keeps all but the password.
func TestSignUpRefused(t *testing.T) {
	w := newOpenWorld(t, prefixed)
	b := w.browser()
	for _, tt := range []struct{ name, email, says string }{
		{"bob", "carol@acme.test", "That user name is taken."},
		{"ca<b>rol", "nowhere", "This is not an e-mail address."},
		{"carol", "", "This is not an e-mail address."},
	} {
		rec := b.submit(signUpPage, "decision", "approve", "name", tt.name, "email", tt.email, "password", "a sentence of mine")
		assert.Equal(t, http.StatusUnprocessableEntity, rec.Code)
		page := rec.Body.String()
		assert.Contains(t, page, tt.says)
		assert.Contains(t, page, `value="`+strings.NewReplacer("<", "&lt;", ">", "&gt;").Replace(tt.name)+`"`)
		assert.Contains(t, page, `value="`+tt.email+`"`)
		assert.NotContains(t, page, "a sentence of mine")
		assert.Empty(t, rec.Header().Values("Set-Cookie"))
	}
	assert.Empty(t, w.created)

	assert.Equal(t, http.StatusBadRequest, b.submit(signUpPage, "decision", "deny").Code)
	w.broken = errors.New("the queue of the password hasher is full")
	rec := b.submit(signUpPage, "decision", "approve", "name", "carol", "email", "carol@acme.test", "password", "a sentence of mine")
	assert.Equal(t, http.StatusServiceUnavailable, rec.Code)
	assert.NotContains(t, rec.Body.String(), "hasher")
	require.Len(t, w.reported, 1)
	assert.ErrorIs(t, w.reported[0], w.broken)
}

// CS-01, CS-03: nobody has another's browser make an account, and the form is the page's.
func TestForeignSignUp(t *testing.T) {
	w := newOpenWorld(t, prefixed)
	b := w.browser()
	form := b.form(signUpPage, "decision", "approve", "name", "carol", "email", "carol@acme.test", "password", "a sentence of mine")
	b.header.Set("Sec-Fetch-Site", "cross-site")
	assert.Equal(t, http.StatusForbidden, b.do(http.MethodPost, signUpPage, form.Encode()).Code)
	b.header.Set("Sec-Fetch-Site", "same-origin")
	other := form
	other.Set("token", w.browser().form(signUpPage).Get("token"))
	assert.Equal(t, http.StatusForbidden, b.do(http.MethodPost, signUpPage, other.Encode()).Code, "another browser's")
	other.Set("token", b.form(signUpPath(w.startLogin())).Get("token"))
	assert.Equal(t, http.StatusForbidden, b.do(http.MethodPost, signUpPage, other.Encode()).Code, "another page's")
	assert.Zero(t, w.calls)
}

// Where nobody can sign up there is no page, and no page leads to it.
func TestSignUpClosed(t *testing.T) {
	w := newWorld(t, prefixed)
	b, f := w.browser(), w.startLogin()
	for _, path := range []string{signUpPage, signUpPath(f)} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut} {
			rec := b.do(method, path, "decision=approve&name=carol")
			assert.Equal(t, http.StatusNotFound, rec.Code)
			assert.Contains(t, rec.Body.String(), "Nobody can sign up here")
		}
	}
	assert.NotContains(t, b.get(loginPath(f)).Body.String(), "signup")
}

func TestSignUpPaths(t *testing.T) {
	w := newOpenWorld(t, prefixed)
	for path, want := range map[string]int{
		signUpPage: 200, signUpPage + "?next=//evil.test/": 200, "/-/auth/signup": 200,
		signUpPage + "/": 404, signUpPage + "/x": 404, signUpPage + "/" + w.startChallenge().PageID: 404,
		"/signup": 404, "/x/-/auth/signup": 404, "/registry/-/auth/signups": 404,
	} {
		rec := w.browser().get(path)
		assert.Equal(t, want, rec.Code, path)
		assert.NotContains(t, rec.Body.String(), "evil")
	}
	assert.Equal(t, http.StatusMethodNotAllowed, w.browser().do(http.MethodPut, signUpPage, "").Code)
	// DU-08: a program that opens the page creates nothing.
	before := w.dump()
	w.browser().get(signUpPage + "?decision=approve&name=carol&email=carol@acme.test&password=a+sentence+of+mine")
	assert.Zero(t, w.calls)
	assert.Equal(t, before, w.dump())
}
