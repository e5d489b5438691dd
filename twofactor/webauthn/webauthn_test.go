package webauthn_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	virtual "github.com/descope/virtualwebauthn"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/twofactor"
	"github.com/npmauth/npmauth/twofactor/webauthn"
)

// A world is a registry with keys, and authenticators in software.
type world struct {
	testing.TB
	store store.Store
	keys  *webauthn.Manager
	now   time.Time
}

var acme = virtual.RelyingParty{ID: "npm.acme.test", Name: "Acme", Origin: "https://npm.acme.test"}

func newWorld(t testing.TB) *world {
	w := &world{TB: t, store: store.NewMemory(), now: time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)}
	var err error
	w.keys, err = webauthn.New(webauthn.Config{
		Store: w.store, BaseURL: &url.URL{Scheme: "https", Host: "npm.acme.test", Path: "/registry/"}, Now: func() time.Time { return w.now },
	})
	require.NoError(t, err)
	return w
}

// The base URL names the domain and the origin in any spelling of a URL.
func TestSpellingOfBaseURL(t *testing.T) {
	for _, host := range []string{"NPM.Acme.test", "npm.acme.test:443"} {
		w := newWorld(t)
		var err error
		w.keys, err = webauthn.New(webauthn.Config{Store: w.store, BaseURL: &url.URL{Scheme: "https", Host: host}, Now: func() time.Time { return w.now }})
		require.NoError(t, err)
		options, err := w.keys.BeginSignIn(t.Context(), "p")
		require.NoError(t, err)
		assert.Contains(t, string(options), `"rpId":"npm.acme.test"`, host)
		k, _ := w.add("alice", "blue")
		_, err = w.verify("alice", "p", k.signed(t, acme, w.assertion("alice", "p")))
		assert.NoError(t, err, host)
	}
}

// A key is one authenticator with one credential.
type key struct {
	auth virtual.Authenticator
	cred virtual.Credential
}

// newKey is one whose public key is right: of a coordinate that begins with a zero virtualwebauthn
// leaves that out.
func newKey() *key {
	for {
		k := &key{auth: virtual.NewAuthenticator(), cred: virtual.NewCredential(virtual.KeyTypeEC2)}
		if _, err := webauthncose.ParsePublicKey(k.cred.Key.AttestationData()); err == nil {
			return k
		}
	}
}

func (k *key) made(t testing.TB, rp virtual.RelyingParty, options []byte) []byte {
	o, err := virtual.ParseAttestationOptions(string(options))
	require.NoError(t, err)
	k.auth.Options.UserHandle = []byte(o.UserID)
	return []byte(virtual.CreateAttestationResponse(rp, k.auth, k.cred, *o))
}

func (k *key) signed(t testing.TB, rp virtual.RelyingParty, options []byte) []byte {
	o, err := virtual.ParseAssertionOptions(string(options))
	require.NoError(t, err)
	k.cred.Counter++
	return []byte(virtual.CreateAssertionResponse(rp, k.auth, k.cred, *o))
}

func (w *world) tx(fn func(tx *store.Tx) error) error {
	return store.Transact(w.Context(), w.store, fn)
}

func (w *world) register(user protocol.UserID, name string, response []byte) (added twofactor.SecurityKey, err error) {
	err = w.tx(func(tx *store.Tx) error {
		added, err = w.keys.Register(w.Context(), tx, user, name, response)
		return err
	})
	return added, err
}

// add gives the user a key.
func (w *world) add(user protocol.UserID, name string) (*key, twofactor.SecurityKey) {
	w.Helper()
	k := newKey()
	options, err := w.keys.BeginRegistration(w.Context(), user, string(user))
	require.NoError(w, err)
	added, err := w.register(user, name, k.made(w, acme, options))
	require.NoError(w, err)
	return k, added
}

func (w *world) verify(user protocol.UserID, purpose string, response []byte) (used twofactor.SecurityKey, err error) {
	err = w.tx(func(tx *store.Tx) error {
		used, err = w.keys.Verify(w.Context(), tx, user, purpose, response)
		return err
	})
	return used, err
}

func (w *world) assertion(user protocol.UserID, purpose string) []byte {
	w.Helper()
	options, err := w.keys.BeginAssertion(w.Context(), user, purpose)
	require.NoError(w, err)
	return options
}

func TestKeys(t *testing.T) {
	w := newWorld(t)
	_, err := w.keys.BeginAssertion(t.Context(), "u-alice", "publish")
	require.ErrorIs(t, err, twofactor.ErrNoKey)
	blue, added := w.add("u-alice", " blue ")
	assert.Equal(t, twofactor.SecurityKey{ID: added.ID, Name: "blue", Created: w.now}, added)
	w.now = w.now.Add(time.Hour)
	green, other := w.add("u-alice", "green")
	for _, k := range []*key{blue, green, blue} {
		used, err := w.verify("u-alice", "publish", k.signed(t, acme, w.assertion("u-alice", "publish")))
		require.NoError(t, err)
		assert.Equal(t, w.now, used.Used)
	}
	list, err := w.keys.List(t.Context(), w.store, "u-alice")
	require.NoError(t, err)
	require.Len(t, list, 2)
	assert.Equal(t, []string{"blue", "green"}, []string{list[0].Name, list[1].Name})

	// A key that the account has is not offered again.
	options, err := w.keys.BeginRegistration(t.Context(), "u-alice", "alice")
	require.NoError(t, err)
	o, err := virtual.ParseAttestationOptions(string(options))
	require.NoError(t, err)
	assert.True(t, blue.cred.IsExcludedForAttestation(*o) && green.cred.IsExcludedForAttestation(*o))
	assert.NotContains(t, string(options), "u-alice", "the handle says nothing")
	assert.NotContains(t, string(options), "direct", "WA-11: which make a key is of is not asked for")

	remove := func(user protocol.UserID, id string) error {
		return w.tx(func(tx *store.Tx) error { return w.keys.Remove(t.Context(), tx, user, id) })
	}
	require.ErrorIs(t, remove("u-bob", added.ID), twofactor.ErrNoKey)
	response := blue.signed(t, acme, w.assertion("u-alice", "publish"))
	require.NoError(t, remove("u-alice", added.ID))
	require.ErrorIs(t, remove("u-alice", added.ID), twofactor.ErrNoKey)
	_, err = w.verify("u-alice", "publish", response)
	require.ErrorIs(t, err, twofactor.ErrWrong)
	list, err = w.keys.List(t.Context(), w.store, "u-alice")
	require.NoError(t, err)
	require.Len(t, list, 1)
	assert.Equal(t, other.ID, list[0].ID)
}

// WA-01: an answer works once, also many times at once, and where the key has no counter.
func TestReplay(t *testing.T) {
	w := newWorld(t)
	k, _ := w.add("u-alice", "key")
	for _, counting := range []bool{true, false} {
		response := k.signed(t, acme, w.assertion("u-alice", "publish"))
		if !counting {
			k.cred.Counter = 0
			w.add("u-alice", "another")
		}
		var worked atomic.Int32
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				err := w.tx(func(tx *store.Tx) error {
					_, err := w.keys.Verify(t.Context(), tx, "u-alice", "publish", response)
					return err
				})
				if err == nil {
					worked.Add(1)
				} else {
					assert.ErrorIs(t, err, twofactor.ErrWrong)
					assert.NotErrorIs(t, err, twofactor.ErrCopied)
				}
			})
		}
		all.Wait()
		assert.Equal(t, int32(1), worked.Load())
	}
	// One without a counter, as passkeys are.
	passkey := newKey()
	options, err := w.keys.BeginRegistration(t.Context(), "u-bob", "bob")
	require.NoError(t, err)
	_, err = w.register("u-bob", "passkey", passkey.made(t, acme, options))
	require.NoError(t, err)
	o, err := virtual.ParseAssertionOptions(string(w.assertion("u-bob", "publish")))
	require.NoError(t, err)
	response := []byte(virtual.CreateAssertionResponse(acme, passkey.auth, passkey.cred, *o))
	_, err = w.verify("u-bob", "publish", response)
	require.NoError(t, err)
	_, err = w.verify("u-bob", "publish", response)
	require.ErrorIs(t, err, twofactor.ErrWrong)

	// A commit that fails has used nothing up.
	o, err = virtual.ParseAssertionOptions(string(w.assertion("u-bob", "publish")))
	require.NoError(t, err)
	response = []byte(virtual.CreateAssertionResponse(acme, passkey.auth, passkey.cred, *o))
	failed := errors.New("the rest of the commit")
	require.ErrorIs(t, w.tx(func(tx *store.Tx) error {
		_, err := w.keys.Verify(t.Context(), tx, "u-bob", "publish", response)
		require.NoError(t, err)
		return failed
	}), failed)
	_, err = w.verify("u-bob", "publish", response)
	require.NoError(t, err)
}

// WA-02, WA-03, WA-04: what was signed at another site, for another user or purpose, by a key of
// somebody else, or for a challenge that nobody made, proves nothing.
func TestWrongAnswers(t *testing.T) {
	w := newWorld(t)
	alices, _ := w.add("u-alice", "key")
	bobs, _ := w.add("u-bob", "key")
	for _, origin := range []string{
		"https://npm.acme.test.evil.test", "https://evil.npm.acme.test", "http://npm.acme.test", "https://npm.acme.test:8443", "https://acme.test", "null", "",
	} {
		_, err := w.verify("u-alice", "publish", alices.signed(t, virtual.RelyingParty{ID: acme.ID, Origin: origin}, w.assertion("u-alice", "publish")))
		assert.ErrorIs(t, err, twofactor.ErrWrong, origin)
	}
	_, err := w.verify("u-alice", "publish", alices.signed(t, virtual.RelyingParty{ID: "acme.test", Origin: acme.Origin}, w.assertion("u-alice", "publish")))
	assert.ErrorIs(t, err, twofactor.ErrWrong, "another domain's key")
	for what, check := range map[string]func() error{
		"for another purpose": func() error {
			_, err := w.verify("u-alice", "unpublish", alices.signed(t, acme, w.assertion("u-alice", "publish")))
			return err
		},
		"for another user": func() error {
			_, err := w.verify("u-bob", "publish", bobs.signed(t, acme, w.assertion("u-alice", "publish")))
			return err
		},
		"by another user's key": func() error {
			_, err := w.verify("u-alice", "publish", bobs.signed(t, acme, w.assertion("u-alice", "publish")))
			return err
		},
		"for a sign-in": func() error {
			options, err := w.keys.BeginSignIn(t.Context(), "publish")
			require.NoError(t, err)
			_, err = w.verify("u-alice", "publish", alices.signed(t, acme, options))
			return err
		},
		"for a registration": func() error {
			options, err := w.keys.BeginRegistration(t.Context(), "u-alice", "alice")
			require.NoError(t, err)
			_, err = w.verify("u-alice", "", alices.signed(t, acme, options))
			return err
		},
		"for a challenge that nobody made": func() error {
			o := virtual.AssertionOptions{Challenge: make([]byte, 56), RelyingPartyID: acme.ID}
			_, err := w.verify("u-alice", "publish", []byte(virtual.CreateAssertionResponse(acme, alices.auth, alices.cred, o)))
			return err
		},
		"with nobody present": func() error {
			alices.auth.Options.UserNotPresent = true
			defer func() { alices.auth.Options.UserNotPresent = false }()
			_, err := w.verify("u-alice", "publish", alices.signed(t, acme, w.assertion("u-alice", "publish")))
			return err
		},
		"with another handle": func() error {
			was := alices.auth.Options.UserHandle
			alices.auth.Options.UserHandle = bobs.auth.Options.UserHandle
			defer func() { alices.auth.Options.UserHandle = was }()
			_, err := w.verify("u-alice", "publish", alices.signed(t, acme, w.assertion("u-alice", "publish")))
			return err
		},
		"nothing": func() error { _, err := w.verify("u-alice", "publish", nil); return err },
		"too much": func() error {
			_, err := w.verify("u-alice", "publish", make([]byte, webauthn.MaxResponse+1))
			return err
		},
	} {
		assert.ErrorIs(t, check(), twofactor.ErrWrong, what)
	}

	// WA-09: at the end of its time, and from the future.
	options := w.assertion("u-alice", "publish")
	w.now = w.now.Add(5 * time.Minute)
	_, err = w.verify("u-alice", "publish", alices.signed(t, acme, options))
	assert.ErrorIs(t, err, twofactor.ErrWrong)
	options = w.assertion("u-alice", "publish")
	w.now = w.now.Add(-2 * time.Minute)
	_, err = w.verify("u-alice", "publish", alices.signed(t, acme, options))
	assert.ErrorIs(t, err, twofactor.ErrWrong)
	w.now = w.now.Add(7*time.Minute - time.Second)
	_, err = w.verify("u-alice", "publish", alices.signed(t, acme, options))
	assert.NoError(t, err)
}

// WA-06: of two keys with one secret the one that lags behind is refused, and so is each after it.
func TestCopiedKey(t *testing.T) {
	w := newWorld(t)
	k, added := w.add("u-alice", "key")
	stolen := *k
	for range 3 {
		_, err := w.verify("u-alice", "publish", k.signed(t, acme, w.assertion("u-alice", "publish")))
		require.NoError(t, err)
	}
	copied, err := w.verify("u-alice", "publish", stolen.signed(t, acme, w.assertion("u-alice", "publish")))
	require.ErrorIs(t, err, twofactor.ErrCopied)
	assert.Equal(t, added.ID, copied.ID, "for whoever records it")
	_, err = w.verify("u-alice", "publish", k.signed(t, acme, w.assertion("u-alice", "publish")))
	require.NoError(t, err, "the owner's goes on")
}

// WA-07: a key that somebody has is registered by nobody else, and a ceremony adds one key.
func TestRegistrations(t *testing.T) {
	w := newWorld(t)
	k, _ := w.add("u-alice", "key")
	options, err := w.keys.BeginRegistration(t.Context(), "u-bob", "bob")
	require.NoError(t, err)
	_, err = w.register("u-bob", "mine", k.made(t, acme, options))
	require.ErrorIs(t, err, twofactor.ErrWrong)
	options, err = w.keys.BeginRegistration(t.Context(), "u-bob", "bob")
	require.NoError(t, err)
	_, err = w.register("u-alice", "mine", newKey().made(t, acme, options))
	require.ErrorIs(t, err, twofactor.ErrWrong, "another user's ceremony")
	_, err = w.register("u-bob", "mine", newKey().made(t, virtual.RelyingParty{ID: acme.ID, Origin: "https://evil.test"}, options))
	require.ErrorIs(t, err, twofactor.ErrWrong)
	_, err = w.register("u-bob", "mine", newKey().made(t, acme, options))
	require.NoError(t, err)
	_, err = w.register("u-bob", "mine", newKey().made(t, acme, options))
	require.ErrorIs(t, err, twofactor.ErrWrong, "it was used")
	for _, name := range []string{"", " ", strings.Repeat("x", webauthn.MaxName+1), "\xff"} {
		_, err = w.register("u-bob", name, nil)
		assert.Error(t, err, "%q", name)
	}

	for i := 1; i < webauthn.MaxKeys; i++ {
		w.add("u-alice", fmt.Sprint(i))
	}
	_, err = w.keys.BeginRegistration(t.Context(), "u-alice", "alice")
	require.ErrorIs(t, err, twofactor.ErrTooManyKeys)
}

// WA-05: a passkey signs its user in, if it has verified that it is them.
func TestSignIn(t *testing.T) {
	w := newWorld(t)
	k, added := w.add("u-alice", "passkey")
	signIn := func(purpose string, response []byte) (user protocol.UserID, used twofactor.SecurityKey, err error) {
		err = w.tx(func(tx *store.Tx) error {
			user, used, err = w.keys.SignIn(t.Context(), tx, purpose, response)
			return err
		})
		return user, used, err
	}
	begin := func(purpose string) []byte {
		options, err := w.keys.BeginSignIn(t.Context(), purpose)
		require.NoError(t, err)
		return options
	}
	response := k.signed(t, acme, begin("login"))
	user, used, err := signIn("login", response)
	require.NoError(t, err)
	assert.Equal(t, protocol.UserID("u-alice"), user)
	assert.Equal(t, added.ID, used.ID)
	_, _, err = signIn("login", response)
	require.ErrorIs(t, err, twofactor.ErrWrong)
	_, _, err = signIn("login", k.signed(t, acme, begin("another login")))
	require.ErrorIs(t, err, twofactor.ErrWrong)
	_, _, err = signIn("login", k.signed(t, acme, w.assertion("u-alice", "login")))
	require.ErrorIs(t, err, twofactor.ErrWrong, "a second factor is no sign-in")
	_, _, err = signIn("login", newKey().signed(t, acme, begin("login")))
	require.ErrorIs(t, err, twofactor.ErrWrong, "a key of nobody")

	k.auth.Options.UserNotVerified = true
	_, _, err = signIn("login", k.signed(t, acme, begin("login")))
	require.ErrorIs(t, err, twofactor.ErrWrong, "whoever finds it")
	k.auth.Options.UserNotVerified = false
	handle := k.auth.Options.UserHandle
	for _, bad := range [][]byte{nil, []byte("u-bob"), append(handle[:len(handle)-1:len(handle)-1], 0)} {
		k.auth.Options.UserHandle = bad
		_, _, err = signIn("login", k.signed(t, acme, begin("login")))
		require.ErrorIs(t, err, twofactor.ErrWrong)
	}
}

func TestNew(t *testing.T) {
	st := store.NewMemory()
	for base, want := range map[string]error{
		"https://npm.acme.test/": nil, "http://localhost:4873/": nil, "http://127.0.0.1:4873/": twofactor.ErrNoDomain, "http://[::1]:4873/": twofactor.ErrNoDomain,
	} {
		u, err := url.Parse(base)
		require.NoError(t, err)
		_, err = webauthn.New(webauthn.Config{Store: st, BaseURL: u})
		assert.Equal(t, want, err, base)
	}
	for _, cfg := range []webauthn.Config{{}, {Store: st}, {Store: st, BaseURL: &url.URL{}}, {Store: st, BaseURL: &url.URL{Scheme: "ftp", Host: "acme.test"}}} {
		_, err := webauthn.New(cfg)
		assert.Error(t, err)
	}
}

// An outage is none of the errors that callers tell apart.
func TestOutage(t *testing.T) {
	w := newWorld(t)
	k, added := w.add("u-alice", "key")
	response := k.signed(t, acme, w.assertion("u-alice", "publish"))
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for what, call := range map[string]func() error{
		"list":     func() error { _, err := w.keys.List(over, w.store, "u-alice"); return err },
		"begin":    func() error { _, err := w.keys.BeginAssertion(over, "u-alice", "publish"); return err },
		"register": func() error { _, err := w.keys.BeginRegistration(over, "u-alice", "alice"); return err },
		"verify": func() error {
			return store.Transact(t.Context(), w.store, func(tx *store.Tx) error {
				_, err := w.keys.Verify(over, tx, "u-alice", "publish", response)
				return err
			})
		},
		"remove": func() error {
			return store.Transact(t.Context(), w.store, func(tx *store.Tx) error { return w.keys.Remove(over, tx, "u-alice", added.ID) })
		},
	} {
		err := call()
		require.ErrorIs(t, err, context.Canceled, what)
		assert.NotErrorIs(t, err, twofactor.ErrWrong, what)
		assert.NotErrorIs(t, err, twofactor.ErrNoKey, what)
	}
}

// WA-08: whatever bytes come in place of an answer, it proves nothing, and takes no more than they are.
func FuzzResponse(f *testing.F) {
	w := newWorld(f)
	k, _ := w.add("u-alice", "key")
	f.Add(k.signed(f, acme, w.assertion("u-alice", "publish")))
	options, err := w.keys.BeginRegistration(f.Context(), "u-alice", "alice")
	require.NoError(f, err)
	f.Add(newKey().made(f, acme, options))
	f.Add([]byte(`{"id":"AA","rawId":"AA","type":"public-key","response":{}}`))
	_, err = w.verify("u-alice", "another", k.signed(f, acme, w.assertion("u-alice", "publish")))
	require.ErrorIs(f, err, twofactor.ErrWrong)
	w.now = w.now.Add(time.Hour) // all challenges are over
	f.Fuzz(func(t *testing.T, data []byte) {
		w := *w
		w.TB = t
		for what, err := range map[string]error{
			"verify":   first(w.verify("u-alice", "publish", data)),
			"register": first(w.register("u-alice", "key", data)),
			"sign in": w.tx(func(tx *store.Tx) error {
				_, _, err := w.keys.SignIn(t.Context(), tx, "login", data)
				return err
			}),
		} {
			require.ErrorIs(t, err, twofactor.ErrWrong, what)
		}
	})
}

func first(_ twofactor.SecurityKey, err error) error { return err }
