package npmauth_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
	"github.com/npmauth/npmauth/token"
)

// A reviver does to a registry what could bring a token back that was imported as revoked.
type reviver struct {
	*world
	rand    *rand.Rand
	people  *town
	foreign map[string]host.ForeignToken
	values  []string        // every secret that there ever was
	revoked map[string]bool // those of them that were imported
	rows    []store.Item    // of credentials, as they were when these were valid
}

// registry makes a registry on st, with the same people and older tokens.
func (v *reviver) registry(t *testing.T, st store.Store) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	if v.world != nil {
		now = v.clock.Now()
	}
	v.world = newWorld(t, func(cfg *npmauth.Config) {
		cfg.Store, cfg.Users, cfg.Foreign = st, v.people, v.find
		cfg.Fresh = []time.Duration{-1, time.Hour}[v.rand.IntN(2)]
	})
	v.clock.Add(now.Sub(v.clock.Now()))
	v.ids["alice"] = "1"
}

func (v *reviver) any() string { return v.values[v.rand.IntN(len(v.values))] }

// keep remembers a secret that is valid, and its rows.
func (v *reviver) keep(secret string) {
	v.values = append(v.values, secret)
	if d, ok := credential.Parse(secret); ok {
		items, err := v.store.Get(v.t.Context(), session.Key(d), token.KeyOf(d))
		require.NoError(v.t, err)
		v.rows = append(v.rows, slices.DeleteFunc(items, func(it store.Item) bool { return !it.Exists() })...)
	}
}

// live returns alice's tokens.
func (v *reviver) live() (list []token.Token) {
	for tok, err := range v.auth.Tokens().Of(v.t.Context(), "1") {
		require.NoError(v.t, err)
		list = append(list, tok)
	}
	return list
}

// step does one thing, and returns what.
func (v *reviver) step() string {
	t, ctx, by := v.t, v.t.Context(), audit.Actor{}
	switch v.rand.IntN(17) {
	case 0, 1:
		if users, err := v.auth.Subjects().Get(ctx, "1"); err != nil || users.Disabled {
			return "no token for a disabled account"
		}
		secret, _ := v.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly), Days: 1 + v.rand.IntN(20)})
		v.keep(secret)
		return "create"
	case 2:
		if sub, err := v.auth.Subjects().Get(ctx, "1"); err != nil || sub.Disabled {
			return "no login for a disabled account"
		}
		v.keep(v.login("alice"))
		return "log in"
	case 3:
		value := "acme-" + credential.NewID()
		v.foreign[value] = host.ForeignToken{ID: value[:13], User: "1", Grants: grantAll(protocol.ReadOnly), Created: v.clock.Now()}
		v.keep(value)
		return "a token of the host's"
	case 4, 5:
		if list := v.live(); len(list) > 0 {
			secret, _, err := v.auth.Tokens().Rotate(ctx, by, token.Rotation{User: "1", ID: list[v.rand.IntN(len(list))].ID, Grace: time.Hour})
			if err == nil {
				v.keep(secret.Reveal())
			}
		}
		return "rotate"
	case 6, 7, 8, 9: // some that may be live, or imported already
		kind := token.ClassicKind(v.rand.IntN(4))
		for range 1 + v.rand.IntN(5) {
			value := v.any()
			list := []token.Revoked{{Digest: credential.Sum(credential.NewSecret(value)), Kind: kind, At: v.clock.Now().Add(-time.Hour)}}
			_, err := v.auth.Tokens().ImportRevoked(ctx, by, slices.Values(list))
			if errors.Is(err, token.ErrLive) {
				continue
			}
			require.NoError(t, err)
			v.revoked[value] = true
		}
		return "import"
	case 10:
		if list := v.live(); len(list) > 0 {
			require.NoError(t, v.auth.Tokens().Revoke(ctx, by, "1", list[v.rand.IntN(len(list))].ID, ""))
		}
		return "revoke"
	case 11:
		require.NoError(t, v.auth.Subjects().RevokeAll(ctx, by, "1"))
		return "revoke all"
	case 12:
		require.NoError(t, v.auth.Subjects().Disable(ctx, by, "1"))
		return "disable"
	case 13:
		require.NoError(t, v.auth.Subjects().Enable(ctx, by, "1"))
		return "enable"
	case 14:
		v.clock.Add(time.Duration(v.rand.IntN(72)) * time.Hour)
		_, err := v.auth.Tokens().Sweep(ctx)
		require.NoError(t, err)
		return "later"
	case 15:
		if len(v.rows) > 0 { // of a backup, without npmauth
			it := v.rows[v.rand.IntN(len(v.rows))]
			require.NoError(t, store.Transact(ctx, v.store, func(tx *store.Tx) error {
				tx.Put(it.Key, it.Value, it.Expires)
				return nil
			}))
		}
		return "put a row back"
	default:
		to := store.NewMemory()
		subjects, err := subject.New(subject.Config{Store: to, Now: v.clock.Now})
		require.NoError(t, err)
		require.NoError(t, subjects.CopyFrom(ctx, by, v.store, nil))
		v.registry(t, to)
		return "copy"
	}
}

// AU-73: whatever is done to a registry, and in whatever order, no token that was imported as
// revoked is valid, and it is told so wherever it is presented.
func TestRevokedNeverComesBack(t *testing.T) {
	seeds, steps := 40, 80
	if testing.Short() {
		seeds = 8
	}
	valid, refused := 0, 0
	for seed := range uint64(seeds) {
		v := &reviver{
			rand: rand.New(rand.NewPCG(seed, 73)), people: &town{},
			foreign: map[string]host.ForeignToken{}, revoked: map[string]bool{},
		}
		v.people.set(host.User{ID: "1", Name: "alice"})
		v.registry(t, store.NewMemory())
		for range 3 {
			v.values = append(v.values, credential.NewID(), credential.New("npm_").Reveal())
		}
		var trace []string
		for range steps {
			trace = append(trace, v.step())
			for _, value := range v.values {
				code := whoami(v.world, value)
				_, err := v.auth.Tokens().Verify(t.Context(), credential.NewSecret(value), netip.Addr{})
				if !v.revoked[value] {
					if code == 200 {
						valid++
					}
					continue
				}
				refused++
				require.Equal(t, 401, code, "seed %d: %v", seed, trace)
				require.ErrorIs(t, err, token.ErrNotFound, "seed %d: %v", seed, trace)
				a := v.do(call{method: "GET", path: "/-/whoami", bearer: value})
				require.Contains(t, a.text("error"), "token was revoked on 2", "seed %d: %v", seed, trace)
			}
		}
	}
	assert.Greater(t, valid, 100)
	assert.Greater(t, refused, 1000)
}

// find is the host's table of older tokens.
func (v *reviver) find(_ context.Context, bearer credential.Secret) (host.ForeignToken, error) {
	if tok, ok := v.foreign[bearer.Reveal()]; ok {
		return tok, nil
	}
	return host.ForeignToken{}, host.ErrInvalidToken
}
