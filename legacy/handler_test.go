package legacy_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/legacy"
)

func TestNewRefuses(t *testing.T) {
	for field, change := range map[string]func(*legacy.Config){
		"SignIn":  func(c *legacy.Config) { c.SignIn = nil },
		"Client":  func(c *legacy.Config) { c.Client = nil },
		"Fail":    func(c *legacy.Config) { c.Fail = nil },
		"Docs":    func(c *legacy.Config) { c.Docs = "/docs" },
		"Docs is": func(c *legacy.Config) { c.Docs = "https://npm.acme.test/?a=<b>" },
		"Sunset":  func(c *legacy.Config) { c.Deprecated, c.Sunset = deprecated, deprecated.Add(-time.Second) }, // RFC 9745 section 4
	} {
		cfg := newPeople().config()
		change(&cfg)
		_, err := legacy.New(cfg)
		assert.ErrorContains(t, err, "Config."+field)
	}
}

func TestDocsAreLinkedOnlyFromAnAnnouncement(t *testing.T) {
	cfg := newPeople().config()
	cfg.Docs = "https://npm.acme.test/docs?a=b"
	assert.Empty(t, serve(newHandler(t, cfg), put("alice", aliceLogin)).Header().Values("Link"))

	cfg.Sunset = sunset.Add(999 * time.Millisecond)
	cfg.Now = func() time.Time { return sunset.Add(-time.Nanosecond) }
	w := serve(newHandler(t, cfg), put("alice", aliceLogin))
	assert.Equal(t, []string{`<https://npm.acme.test/docs?a=b>; rel="sunset"; type="text/html"`}, w.Header().Values("Link"))
	assert.Equal(t, http.StatusCreated, w.Code)

	// LG-13: announced times are cut to whole seconds.
	cfg.Now = func() time.Time { return sunset }
	assert.Equal(t, http.StatusGone, serve(newHandler(t, cfg), put("alice", aliceLogin)).Code)
}

// SignIn gets the fields of the document and the request, and not the bearer of an older login.
func TestWhatSignInGets(t *testing.T) {
	var got legacy.SignIn
	cfg := newPeople().config()
	cfg.SignIn = func(_ context.Context, in legacy.SignIn) (credential.Secret, error) {
		got = in
		return credential.NewSecret("x"), nil
	}
	r := put("alice", aliceLogin)
	r.Header.Set("Npm-Otp", "123456")
	r.Header.Set("Authorization", "Bearer npms_old")
	r.Header.Set("User-Agent", "npm/11.19.1")
	require.Equal(t, http.StatusCreated, serve(newHandler(t, cfg), r).Code)
	assert.Equal(t, "alice", got.Name)
	assert.Equal(t, "correct horse", got.Password.Reveal())
	assert.Equal(t, "123456", got.OTP.Reveal())
	assert.Equal(t, "192.0.2.1", got.Client.Addr.String())
	assert.Equal(t, "npm/11.19.1", got.Client.UserAgent)
}

// AU-35: the arrival of a request is known before its body is.
func TestClientIsKnownBeforeTheBody(t *testing.T) {
	r := put("alice", aliceLogin)
	body := &countingReader{ReadCloser: r.Body}
	r.Body = body
	cfg := newPeople().config()
	cfg.Client = func(*http.Request) legacy.Client {
		assert.Zero(t, body.reads)
		return legacy.Client{}
	}
	require.Equal(t, http.StatusCreated, serve(newHandler(t, cfg), r).Code)
	assert.Positive(t, body.reads)
}

type countingReader struct {
	io.ReadCloser
	reads int
}

func (r *countingReader) Read(b []byte) (int, error) {
	r.reads++
	return r.ReadCloser.Read(b)
}

// An account is created only if no user was found, never because something broke, and a failure
// is an error of its own.
func TestFailsClosed(t *testing.T) {
	broken := errors.New("store is away")
	for _, tt := range []struct {
		name           string
		signIn, signUp error
		want           int
		asked          int // times that SignUp was
	}{
		{"sign-in broken", broken, nil, http.StatusServiceUnavailable, 0},
		{"factor required", errFactorRequired, nil, http.StatusUnauthorized, 0},
		{"name taken", legacy.ErrDenied, legacy.ErrNameTaken, http.StatusUnauthorized, 1},
		{"sign-up broken", legacy.ErrDenied, broken, http.StatusServiceUnavailable, 1},
		{"denied after signing up", legacy.ErrDenied, nil, http.StatusUnauthorized, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			asked := 0
			cfg := newPeople().config()
			cfg.SignIn = func(context.Context, legacy.SignIn) (credential.Secret, error) {
				return credential.Secret{}, tt.signIn
			}
			cfg.SignUp = func(context.Context, string, string, credential.Secret) error {
				asked++
				return tt.signUp
			}
			w := serve(newHandler(t, cfg), adduser("alice", `{"name":"alice","password":"correct horse","email":"alice@acme.test"}`))
			assert.Equal(t, tt.want, w.Code)
			assert.Equal(t, tt.asked, asked)
			assert.NotContains(t, w.Body.String(), "token")
		})
	}
}

// Fail can tell a taken name from a wrong password, where sign-up tells it anyway.
func TestFailGetsBothReasons(t *testing.T) {
	var got error
	cfg := newPeople().config()
	cfg.SignUp = newPeople().signUp
	cfg.Fail = func(_ http.ResponseWriter, _ *http.Request, err error) { got = err }
	serve(newHandler(t, cfg), adduser("alice", `{"name":"alice","password":"taken over","email":"mallory@acme.test"}`))
	assert.ErrorIs(t, got, legacy.ErrDenied)
	assert.ErrorIs(t, got, legacy.ErrNameTaken)
	serve(newHandler(t, cfg), put("alice", `{"name":"alice","password":"taken over","email":"mallory@acme.test"}`))
	assert.ErrorIs(t, got, legacy.ErrDenied)
	assert.NotErrorIs(t, got, legacy.ErrNameTaken)
}

func TestGetWithoutReader(t *testing.T) {
	cfg := newPeople().config()
	cfg.ReadUser = nil
	r, err := http.NewRequest(http.MethodGet, "/-/user/org.couchdb.user:alice", nil)
	require.NoError(t, err)
	assert.Equal(t, http.StatusNotFound, serve(newHandler(t, cfg), r).Code)
}
