package web_test

import (
	"bytes"
	"flag"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite testdata")

// TestGolden compares whole answers, headers and all, with testdata, so that a change of a page
// or of a header shows in a review.
func TestGolden(t *testing.T) {
	w := newWorld(t, prefixed)

	b := w.browser()
	f := w.startLogin()
	golden(t, "login", b.get(loginPath(f)))
	golden(t, "login-wrong", b.submit(loginPath(f), "decision", "approve", "name", "alice", "password", "wrong"))
	golden(t, "login-sent", b.submit(loginPath(f), "decision", "approve", "name", "bob", "password", bobPassword))
	golden(t, "login-approved", b.get(loginPath(f)))
	golden(t, "login-gone", b.get("/registry/-/auth/login/x"))
	golden(t, "index", b.get("/registry/-/auth/"))

	f = w.startLogin()
	b.submit(loginPath(f), "decision", "deny")
	golden(t, "login-refused", b.get(loginPath(f)))
	b.header.Set("Sec-Fetch-Site", "cross-site")
	golden(t, "login-foreign", b.do("POST", loginPath(f), "decision=deny"))
	b.header.Del("Sec-Fetch-Site")

	c := w.startChallenge()
	golden(t, "challenge", b.get(challengePath(c)))
	golden(t, "challenge-wrong", b.submit(challengePath(c), "decision", "approve", "password", "wrong", "code", "123456"))
	golden(t, "challenge-sent", b.submit(challengePath(c), "decision", "approve", "password", alicePassword, "code", w.code()))
	golden(t, "challenge-approved", b.get(challengePath(c)))

	c = w.startChallenge()
	b.submit(challengePath(c), "decision", "deny")
	golden(t, "challenge-refused", b.get(challengePath(c)))
	golden(t, "signup-closed", b.get("/registry/-/auth/signup"))

	w = newOpenWorld(t, prefixed)
	b = w.browser()
	f = w.startLogin()
	golden(t, "login-signup", b.get(loginPath(f)))
	golden(t, "index-signup", b.get("/registry/-/auth/"))
	golden(t, "signup", b.get("/registry/-/auth/signup"))
	golden(t, "signup-refused", b.submit(signUpPath(f), "decision", "approve", "name", "bob", "email", "carol@acme.test", "password", "correct staple"))
	golden(t, "signup-sent", b.submit(signUpPath(f), "decision", "approve", "name", "carol", "email", "carol@acme.test", "password", "correct staple"))
	golden(t, "signup-login", b.get(signUpPath(f)))
	b.submit("/registry/-/auth/signup", "decision", "approve", "name", "dave", "email", "dave@acme.test", "password", "correct staple")
	golden(t, "signup-created", b.get("/registry/-/auth/signup"))
}

// random are the patterns of what differs from run to run, each with its replacement.
var random = []struct {
	in  *regexp.Regexp
	out string
}{
	{regexp.MustCompile(`(/-/auth/(?:login|challenge|signup)/)[\w-]{10,}`), "${1}PAGE"},
	{regexp.MustCompile(`(name="token" value=)"[\w-]{43}\.[\w-]{43}"`), `${1}"TOKEN"`},
	{regexp.MustCompile(`(id="check">)[^<]+`), "${1}CHECK-CODE"},
	{regexp.MustCompile(`(id="typed" value=)"\d{16}">(<span>\d{4}</span>){4}`), `${1}"DIGITS">…`},
	{regexp.MustCompile(`(?m)^(Set-Cookie: \w+[\w-]*=)[^;]+`), "${1}VALUE"},
}

func golden(t *testing.T, name string, rec *httptest.ResponseRecorder) {
	t.Helper()
	res := rec.Result()
	var got bytes.Buffer
	fmt.Fprintf(&got, "%d\n", res.StatusCode)
	require.NoError(t, res.Header.Write(&got))
	got.WriteString("\n")
	got.Write(rec.Body.Bytes())
	text := bytes.ReplaceAll(got.Bytes(), []byte("\r\n"), []byte("\n"))
	for _, r := range random {
		text = r.in.ReplaceAll(text, []byte(r.out))
	}

	file := filepath.Join("testdata", name+".txt")
	if *update {
		require.NoError(t, os.WriteFile(file, text, 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, string(want), string(text), name)
}
