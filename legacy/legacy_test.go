package legacy_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/legacy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
)

// A registry has real accounts and real sessions, as in a program.
type registry struct {
	users    *account.Directory
	sessions *session.Manager
}

func newRegistry(t *testing.T) registry {
	st := store.NewMemory()
	hasher, err := account.NewHasher(account.HasherConfig{})
	require.NoError(t, err)
	users, err := account.NewDirectory(account.DirectoryConfig{Store: st, Hasher: hasher})
	require.NoError(t, err)
	sessions, err := session.New(session.Config{
		Store: st,
		Lookup: func(ctx context.Context, name string) (session.User, error) {
			u, err := users.Lookup(ctx, name)
			if errors.Is(err, account.ErrNoUser) {
				err = session.ErrDenied
			}
			return session.User{ID: u.ID, Name: u.Name}, err
		},
		CheckPassword: users.CheckPassword, // which takes the same time for ""
		SecondFactor: func(context.Context, subject.Subject, subject.Factor) (subject.Spend, error) {
			return nil, nil
		},
		Alive: func(context.Context, protocol.UserID) error { return nil },
	})
	require.NoError(t, err)
	return registry{users, sessions}
}

func (g registry) handler(t *testing.T, open bool) *legacy.Handler {
	cfg := legacy.Config{
		SignIn: func(ctx context.Context, in legacy.SignIn) (credential.Secret, error) {
			secret, _, err := g.sessions.SignIn(ctx, session.SignIn{Name: in.Name, Password: in.Password, OTP: in.OTP})
			if errors.Is(err, session.ErrDenied) {
				err = legacy.ErrDenied
			}
			return secret, err
		},
		Client: func(*http.Request) legacy.Client { return legacy.Client{} },
		Fail:   fail,
	}
	if open {
		cfg.SignUp = func(ctx context.Context, name, email string, pw credential.Secret) error {
			// Checked first, as SignUp must: Create checks the password before.
			_, err := g.users.Lookup(ctx, name)
			if err == nil {
				return legacy.ErrNameTaken
			}
			if !errors.Is(err, account.ErrNoUser) {
				return err
			}
			_, err = g.users.Create(ctx, audit.Actor{}, account.NewUser{Name: name, Email: email, Password: pw})
			if errors.Is(err, account.ErrNameTaken) { // by who was faster
				err = legacy.ErrNameTaken
			}
			return err
		}
	}
	return newHandler(t, cfg)
}

func document(name, password, email string) string {
	return fmt.Sprintf(`{"_id":"org.couchdb.user:%s","name":"%s","password":"%s","email":"%s","type":"user","roles":[],"date":"2026-11-23T07:12:45.462Z"}`,
		name, name, password, email)
}

const pass, other = "a long enough sentence", "another long enough sentence"

// LG-01, LG-02, EN-01, PW-03 with real accounts, sign-up open and closed.
func TestExistingAccount(t *testing.T) {
	for name, open := range map[string]bool{"open": true, "closed": false} {
		t.Run(name, func(t *testing.T) {
			g := newRegistry(t)
			h := g.handler(t, open)
			_, err := g.users.Create(t.Context(), audit.Actor{}, account.NewUser{Name: "jane", Email: "jane@acme.test", Password: credential.NewSecret(pass)})
			require.NoError(t, err)

			denied := serve(h, adduser("jane", document("jane", other, "mallory@acme.test")))
			assert.Equal(t, http.StatusUnauthorized, denied.Code)
			for _, password := range []string{"short", "", pass + " ", strings.ToUpper(pass), strings.Repeat("x", 60<<10)} {
				again := serve(h, adduser("jane", document("jane", password, "mallory@acme.test")))
				assert.Equal(t, denied.Code, again.Code)
				assert.Equal(t, denied.Body.String(), again.Body.String())
			}
			if !open {
				unknown := serve(h, adduser("nobody", document("nobody", pass, "nobody@acme.test")))
				assert.Equal(t, denied.Body.String(), unknown.Body.String())
				assert.Equal(t, denied.Result().Header, unknown.Result().Header)
				_, err := g.users.Lookup(t.Context(), "nobody")
				assert.ErrorIs(t, err, account.ErrNoUser)
			}

			in := serve(h, adduser("jane", document("jane", pass, "mallory@acme.test")))
			require.Equal(t, http.StatusCreated, in.Code, "%s", in.Body)
			u, err := g.users.Lookup(t.Context(), "jane")
			require.NoError(t, err)
			assert.Equal(t, "jane@acme.test", u.Email)
		})
	}
}

// LG-04: of many that sign up under one name at once, one succeeds, and the account has its
// password.
func TestSignUpRace(t *testing.T) {
	g := newRegistry(t)
	h := g.handler(t, true)
	const racers = 8
	password := func(i int) string { return fmt.Sprintf("a sentence of racer %d", i) }
	codes := make([]int, racers)
	var wg sync.WaitGroup
	for i := range racers {
		wg.Go(func() {
			codes[i] = serve(h, adduser("newuser", document("newuser", password(i), "new@acme.test"))).Code
		})
	}
	wg.Wait()
	winners := 0
	for i, code := range codes {
		// Never 409, after which clients try another request.
		require.Contains(t, []int{http.StatusCreated, http.StatusUnauthorized}, code)
		if code == http.StatusCreated {
			winners++
		}
		assert.Equal(t, code, serve(h, adduser("newuser", document("newuser", password(i), "new@acme.test"))).Code, "and again")
	}
	assert.Equal(t, 1, winners)
}
