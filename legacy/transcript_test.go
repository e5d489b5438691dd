package legacy_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/legacy"
)

var update = flag.Bool("update", false, "rewrite the responses in testdata")

// people are a registry's accounts, with the fields of a user document.
type people struct {
	users  map[string]person
	denied int // sign-ins that were
}

type person struct{ email, password, otp string }

func newPeople() *people {
	return &people{users: map[string]person{
		"alice": {email: "alice@acme.test", password: "correct horse"},
		"bob":   {email: "bob@acme.test", password: "battery staple", otp: "123456"},
	}}
}

func (p *people) signIn(_ context.Context, in legacy.SignIn) (credential.Secret, error) {
	u, ok := p.users[in.Name]
	switch {
	case !ok || in.Password.Reveal() != u.password:
		p.denied++
		return credential.Secret{}, fmt.Errorf("sign in: %w", legacy.ErrDenied)
	case u.otp != "" && in.OTP.Reveal() != u.otp:
		return credential.Secret{}, fmt.Errorf("sign in: %w", errFactorRequired)
	}
	return credential.NewSecret("npms_of_" + in.Name + "_via_legacy"), nil
}

func (p *people) signUp(_ context.Context, name, email string, password credential.Secret) error {
	if _, ok := p.users[name]; ok {
		return fmt.Errorf("create: %w", legacy.ErrNameTaken)
	}
	if strings.ToLower(name) != name {
		return errBadName
	}
	p.users[name] = person{email: email, password: password.Reveal()}
	return nil
}

// Other errors that a registry's functions return, for its own Fail.
var (
	errAnonymous      = errors.New("anonymous")
	errFactorRequired = errors.New("second factor required")
	errBadName        = errors.New("not a user name")
)

func (p *people) readUser(r *http.Request, name string) (legacy.User, error) {
	if r.Header.Get("Authorization") == "" {
		return legacy.User{}, errAnonymous
	}
	u, ok := p.users[name]
	if !ok {
		return legacy.User{}, &legacy.Error{Status: http.StatusNotFound, Code: "not-found", Sentence: "There is no such user."}
	}
	return legacy.User{Name: name, Email: u.email}, nil
}

// fail answers as a registry does.
func fail(w http.ResponseWriter, _ *http.Request, err error) {
	status, text := http.StatusServiceUnavailable, "unavailable"
	refusal, ok := errors.AsType[*legacy.Error](err)
	switch {
	case ok:
		status, text = refusal.Status, refusal.Sentence
	case errors.Is(err, legacy.ErrDenied):
		status, text = http.StatusUnauthorized, "wrong user name or password"
	case errors.Is(err, errFactorRequired):
		status, text = http.StatusUnauthorized, "one-time password needed"
		w.Header().Set("WWW-Authenticate", "OTP, otp")
	case errors.Is(err, errAnonymous):
		status, text = http.StatusUnauthorized, "log in first"
	case errors.Is(err, errBadName):
		status, text = http.StatusUnprocessableEntity, "bad name"
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	body, _ := json.Marshal(map[string]string{"error": text, "message": text})
	_, _ = w.Write(body)
}

// config returns a working Config; tests change the fields that they test.
func (p *people) config() legacy.Config {
	return legacy.Config{
		SignIn: p.signIn, ReadUser: p.readUser, Fail: fail,
		Client: func(r *http.Request) legacy.Client {
			return legacy.Client{Addr: netip.MustParseAddr("192.0.2.1"), UserAgent: r.UserAgent()}
		},
	}
}

func newHandler(t testing.TB, cfg legacy.Config) *legacy.Handler {
	h, err := legacy.New(cfg)
	require.NoError(t, err)
	return h
}

// serve routes r as a registry does.
func serve(h *legacy.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	name, _ := strings.CutPrefix(r.URL.Path, "/-/user/org.couchdb.user:")
	name, _, revision := strings.Cut(name, "/-rev/")
	switch {
	case revision:
		h.PutRevision(w, r)
	case r.Method == http.MethodPut:
		h.Put(w, r, name)
	default:
		h.Get(w, r, name)
	}
	return w
}

var (
	deprecated = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	sunset     = time.Date(2027, 6, 1, 12, 0, 0, 0, time.UTC)
	brownOut   = legacy.Window{From: sunset.AddDate(0, -1, 0), Until: sunset.AddDate(0, -1, 0).Add(4 * time.Hour)}
)

// worlds are the configurations that transcripts run in, by directory.
var worlds = map[string]func(*people) legacy.Config{
	"closed": (*people).config,
	"open": func(p *people) legacy.Config {
		c := p.config()
		c.SignUp = p.signUp
		return c
	},
	"at-login": func(p *people) legacy.Config {
		c := p.config()
		c.SignUp, c.SignUpAtLogin = p.signUp, true
		return c
	},
	"off": func(p *people) legacy.Config {
		c := p.config()
		c.Off, c.Deprecated = true, deprecated
		return c
	},
	"announced": func(p *people) legacy.Config {
		c := p.config()
		c.Deprecated, c.Sunset, c.Docs = deprecated, sunset, "https://npm.acme.test/docs/login"
		c.Now = func() time.Time { return sunset.Add(-time.Nanosecond) }
		return c
	},
	"brown-out": func(p *people) legacy.Config {
		c := p.config()
		c.Deprecated, c.Sunset, c.BrownOuts = deprecated, sunset, []legacy.Window{brownOut}
		c.Now = func() time.Time { return brownOut.From }
		return c
	},
	"sunset": func(p *people) legacy.Config {
		c := p.config()
		c.Deprecated, c.Sunset, c.Docs = deprecated, sunset, "https://npm.acme.test/docs/login"
		c.Now = func() time.Time { return sunset }
		return c
	},
}

// TestTranscripts sends the requests of each file in order, to accounts of the
// file's own, and compares the answers byte for byte.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimPrefix(file, "testdata/"), func(t *testing.T) {
			world, ok := worlds[filepath.Base(filepath.Dir(file))]
			require.True(t, ok, "no such world")
			h := newHandler(t, world(newPeople()))
			want, err := os.ReadFile(file)
			require.NoError(t, err)
			comment, rest, _ := strings.Cut(string(want), "-- request --\n")
			got := comment
			require.NotEmpty(t, rest)
			for exchange := range strings.SplitSeq(rest, "-- request --\n") {
				request, _, _ := strings.Cut(exchange, "-- response --\n")
				got += "-- request --\n" + request + "-- response --\n" + roundTrip(t, h, request)
			}
			if *update {
				require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
			}
			assert.Equal(t, string(want), got)
		})
	}
}

func roundTrip(t *testing.T, h *legacy.Handler, request string) string {
	head, body, _ := strings.Cut(request, "\n\n")
	body = strings.TrimSuffix(body, "\n")
	head = strings.ReplaceAll(head, "\n", "\r\n")
	raw := fmt.Sprintf("%s\r\nHost: npm.acme.test\r\nContent-Length: %d\r\n\r\n%s", strings.TrimSuffix(head, "\r\n"), len(body), body)
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
	require.NoError(t, err)
	res := serve(h, r).Result()
	var out bytes.Buffer
	fmt.Fprintf(&out, "%d\n", res.StatusCode)
	require.NoError(t, res.Header.Write(&out))
	out.WriteString("\n")
	_, err = out.ReadFrom(res.Body)
	require.NoError(t, err)
	return strings.ReplaceAll(out.String(), "\r\n", "\n") + "\n"
}
