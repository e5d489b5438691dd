package web_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// AU-39: A code that was used a moment ago is called that, with when the next one comes, to whoever
// has the right password. Everybody else sees what they see of any other code.
func TestUsedCode(t *testing.T) {
	const used = "That code was used already. Your app shows the next one in 20 seconds."
	w := newWorld(t, prefixed)
	w.now = w.now.Add(10 * time.Second)
	code := w.code()
	login := []string{"decision", "approve", "name", "alice", "code", code[:3] + " " + code[3:], "password"}
	require.Equal(t, http.StatusSeeOther, w.browser().submit(loginPath(w.startLogin()), append(login, alicePassword)...).Code)

	submit := func(path, password string) string {
		rec := w.browser().submit(path, append(login, password)...)
		require.Equal(t, http.StatusForbidden, rec.Code)
		return rec.Body.String()
	}
	for name, path := range map[string]string{"login": loginPath(w.startLogin()), "challenge": challengePath(w.startChallenge())} {
		assert.Contains(t, submit(path, alicePassword), used, name)
		wrong := submit(path, "wrong")
		assert.NotContains(t, wrong, "used already", name)
		login[5] = "000000"
		token := func(page string) string {
			return strings.SplitN(strings.SplitN(page, `name="token" value="`, 2)[1], `"`, 2)[0]
		}
		other := submit(path, "wrong")
		assert.Equal(t, wrong, strings.ReplaceAll(other, token(other), token(wrong)), "%s: a wrong password is answered the same whatever the code", name)
		login[5] = code
	}
}

// AU-38, AU-62: A name and an address are what a person meant, also where a keyboard or a clipboard
// added to them.
func TestTypedNames(t *testing.T) {
	w := newOpenWorld(t, prefixed)
	path := "/registry/-/auth/signup"
	rec := w.browser().submit(path, "decision", "approve", "name", "\ufeffｃａｒｏｌ\u00a0", "email", " carol@acme.test\u200b", "password", "ａ good one ")
	require.Equal(t, http.StatusSeeOther, rec.Code, rec.Body)
	require.Len(t, w.created, 1)
	assert.Equal(t, "carol", w.created[0].Name)
	assert.Equal(t, "carol@acme.test", w.created[0].Email)
	assert.Equal(t, "ａ good one ", w.created[0].Password.Reveal(), "as typed")
	rec = w.browser().submit(loginPath(w.startLogin()), "decision", "approve", "name", "\u3000ｂｏｂ", "password", bobPassword)
	assert.Equal(t, http.StatusSeeOther, rec.Code)
}
