package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/sqlite"
	"github.com/npmauth/npmauth/token"
)

// TestMain is the broker itself where a test has started it.
func TestMain(m *testing.M) {
	if os.Getenv("BROKER") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// A registry has a service account called ci.
type registry struct {
	auth *npmauth.Auth
	url  string
	id   protocol.UserID // of ci
}

func newRegistry(t *testing.T, st store.Store) registry {
	t.Helper()
	auth, err := npmauth.New(npmauth.Config{BaseURL: "http://registry.example/", Store: st, Packages: nothing{}, Fresh: -1})
	require.NoError(t, err)
	admin, err := auth.People().Create(t.Context(), audit.Actor{}, account.NewUser{Name: "alice", Password: credential.NewSecret("correct horse battery staple")})
	require.NoError(t, err)
	ci, err := auth.People().Create(t.Context(), audit.Actor{}, account.NewUser{Name: "ci", Service: true, Administrators: []protocol.UserID{admin.ID}})
	require.NoError(t, err)
	srv := httptest.NewServer(auth.Handler())
	t.Cleanup(srv.Close)
	return registry{auth, srv.URL, ci.ID}
}

// spec is of a token that lives for ten days.
func spec(user protocol.UserID, name string) token.Spec {
	return token.Spec{
		User: user, Service: true, Name: name, Days: 10, Grants: []protocol.Grant{{Target: protocol.AllPackages, Permission: protocol.ReadOnly}},
	}
}

// whoami returns the status of npm whoami with a secret.
func (r registry) whoami(t *testing.T, secret credential.Secret) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url+"/-/whoami", nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+secret.Reveal())
	answer, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	answer.Body.Close()
	return answer.StatusCode
}

type nothing struct{}

func (nothing) Facts(context.Context, protocol.PackageName, protocol.UserID) (policy.Facts, error) {
	return policy.Facts{}, nil
}

// The program rotates a token whose secret it does not have, and its webhook gets the event,
// although it is not there at first.
func TestBroker(t *testing.T) {
	dir, kept := t.TempDir(), t.TempDir()
	key := store.Key{1: 1, 2: 2}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "auth.key"), key[:], 0o600))
	db, err := sqlite.Open(filepath.Join(dir, "auth.db"))
	require.NoError(t, err)
	defer db.Close()
	r := newRegistry(t, store.Seal(db, key))
	_, other, err := r.auth.Tokens().Create(t.Context(), audit.Actor{}, spec(r.id, "by hand"))
	require.NoError(t, err)
	first, old, err := r.auth.Tokens().Create(t.Context(), audit.Actor{}, spec(r.id, "broker"))
	require.NoError(t, err)

	got, calls := make(chan audit.Event, 10), atomic.Int32{}
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1) == 1 {
			http.Error(w, "not yet", http.StatusServiceUnavailable)
			return
		}
		var e audit.Event
		if assert.NoError(t, json.NewDecoder(r.Body).Decode(&e)) {
			got <- e
		}
	}))
	defer hook.Close()

	cmd := exec.Command(os.Args[0], "-data", dir, "-secrets", kept, "-webhook", hook.URL, "nobody", "ci")
	cmd.Env, cmd.Stderr = append(os.Environ(), "BROKER=1"), t.Output()
	require.NoError(t, cmd.Start())
	e := <-got
	assert.Equal(t, audit.TokenCreated, e.Type)
	assert.Equal(t, r.id, e.User)
	assert.Equal(t, old.ID, e.Detail["replaces"])
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	require.NoError(t, cmd.Wait(), "it ends when all events are delivered")

	secret, err := files(kept).Get("ci")
	require.NoError(t, err)
	assert.Equal(t, e.Credential, token.IDOf(credential.Sum(secret)))
	assert.Equal(t, http.StatusOK, r.whoami(t, secret))
	assert.Equal(t, http.StatusOK, r.whoami(t, first), "in its grace")
	still, err := r.auth.Tokens().Get(t.Context(), r.id, other.ID)
	require.NoError(t, err)
	assert.Equal(t, other, still, "a token of another name is not the broker's")
	info, err := os.Stat(filepath.Join(kept, "ci"))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

// A crash keeps no secret.
type crash struct{ secrets }

var errCrash = errors.New("the process died")

func (crash) Put(string, credential.Secret) error { return errCrash }

// AU-48: a broker that dies between a rotation and keeping the secret goes on where it was, however
// often, and leaves one token besides those that are in their grace.
func TestBrokerDies(t *testing.T) {
	ctx, st := t.Context(), store.NewMemory()
	past, err := token.New(token.Config{Store: st, Now: func() time.Time { return time.Now().Add(-8 * token.Day) }})
	require.NoError(t, err)
	now, err := token.New(token.Config{Store: st})
	require.NoError(t, err)
	first, old, err := past.Create(ctx, audit.Actor{}, spec("ci", "broker")) // ends in two of its ten days
	require.NoError(t, err)
	b := broker{now, files(t.TempDir())}
	require.NoError(t, b.secrets.Put("ci", first))
	verify := func(secret credential.Secret) error {
		_, err := now.Verify(ctx, secret, netip.MustParseAddr("192.0.2.1"))
		return err
	}

	for range 3 {
		require.ErrorIs(t, broker{now, crash{b.secrets}}.renew(ctx, "ci", "ci"), errCrash)
		require.NoError(t, verify(first), "builds go on")
	}
	require.NoError(t, b.renew(ctx, "ci", "ci"))
	secret, err := b.secrets.Get("ci")
	require.NoError(t, err)
	require.NoError(t, verify(secret))
	live := 0
	for tok, err := range now.Of(ctx, "ci") {
		require.NoError(t, err)
		if tok.ReplacedBy != "" {
			assert.WithinRange(t, tok.Expires, old.Created, time.Now().Add(token.Day))
			continue
		}
		live++
		assert.Equal(t, token.IDOf(credential.Sum(secret)), tok.ID)
	}
	assert.Equal(t, 1, live)

	require.NoError(t, b.renew(ctx, "ci", "ci"))
	after, err := b.secrets.Get("ci")
	require.NoError(t, err)
	assert.True(t, secret.Equal(after), "it has ten days")
	require.NoError(t, past.RevokeAll(ctx, audit.Actor{}, "ci"))
	assert.Error(t, b.renew(ctx, "ci", "ci"), "there is none to rotate")
}
