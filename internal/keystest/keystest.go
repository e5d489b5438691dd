// Package keystest has security keys for tests: what they sign proves nothing to anybody else.
//
//	keys, err := keystest.Keys(twofactor.KeysConfig{Store: st, …})
//	…
//	response := keystest.Sign(options, "blue") // as a browser does with the key called blue
package keystest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/twofactor"
)

// Max is how many keys an account has at most.
const Max = 3

// options are what is given to a browser, and a response what it returns: the same, with a key.
type options struct {
	Kind  string          `json:"kind"`
	User  protocol.UserID `json:"user"`
	Page  string          `json:"page"`
	Nonce string          `json:"nonce"`
	Key   string          `json:"key,omitempty"` // of a response
	// Copied makes a response one of a copied key.
	Copied bool `json:"copied,omitempty"`
}

type key struct {
	ID   string          `json:"id"` // the authenticator's, too
	User protocol.UserID `json:"user"`
	Name string          `json:"name"`
	Made time.Time       `json:"made"`
	Used time.Time       `json:"used"`
}

type used struct {
	Nonce string    `json:"nonce"`
	Until time.Time `json:"until"`
}

type ring struct {
	User protocol.UserID `json:"user"`
	Keys []string        `json:"keys"`
}

var (
	keys  = store.NewTable("keystest-key", 1, func(k *key) string { return k.ID })
	rings = store.NewTable("keystest-user", 1, func(r *ring) string { return string(r.User) })
	spent = store.NewTable("keystest-used", 1, func(u *used) string { return u.Nonce }).Expiring(func(u *used) time.Time { return u.Until })
)

type manager struct {
	store store.Store
	now   func() time.Time
}

// Keys returns keys that are kept in the store.
func Keys(cfg twofactor.KeysConfig) (twofactor.Keys, error) {
	if cfg.Store == nil {
		return nil, errors.New("keystest: no store")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &manager{cfg.Store, func() time.Time { return cfg.Now().UTC().Truncate(time.Microsecond) }}, nil
}

// Make returns what a browser returns for a new key with these options: its ID is id.
func Make(data []byte, id string) []byte { return respond(data, "register", id, false) }

// Sign returns what a browser returns when the key signs: for a sign-in as a passkey.
func Sign(data []byte, id string) []byte { return respond(data, "", id, false) }

// SignCopied is Sign of a key that was copied.
func SignCopied(data []byte, id string) []byte { return respond(data, "", id, true) }

func respond(data []byte, kind, id string, copied bool) []byte {
	var o options
	if err := json.Unmarshal(data, &o); err != nil || kind != "" && o.Kind != kind {
		panic("keystest: options: " + string(data))
	}
	o.Key, o.Copied = id, copied
	response, err := json.Marshal(o)
	if err != nil {
		panic(err)
	}
	return response
}

func (m *manager) List(ctx context.Context, from store.Reader, user protocol.UserID) (all []twofactor.SecurityKey, err error) {
	r, err := rings.Get(ctx, from, string(user))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, id := range r.Keys {
		k, err := keys.Get(ctx, from, id)
		if err != nil {
			return nil, err
		}
		all = append(all, twofactor.SecurityKey{ID: k.ID, Name: k.Name, Created: k.Made, Used: k.Used})
	}
	return all, nil
}

func begin(o options) ([]byte, error) {
	o.Nonce = rand.Text()
	return json.Marshal(o)
}

func (m *manager) BeginRegistration(ctx context.Context, user protocol.UserID, _ string) ([]byte, error) {
	all, err := m.List(ctx, m.store, user)
	if err == nil && len(all) >= Max {
		err = twofactor.ErrTooManyKeys
	}
	if err != nil {
		return nil, err
	}
	return begin(options{Kind: "register", User: user})
}

func (m *manager) BeginAssertion(ctx context.Context, user protocol.UserID, page string) ([]byte, error) {
	all, err := m.List(ctx, m.store, user)
	if err == nil && len(all) == 0 {
		err = twofactor.ErrNoKey
	}
	if err != nil {
		return nil, err
	}
	return begin(options{Kind: "assert", User: user, Page: page})
}

func (m *manager) BeginSignIn(_ context.Context, page string) ([]byte, error) {
	return begin(options{Kind: "sign in", Page: page})
}

// spend reads a response and uses it up.
func (m *manager) spend(ctx context.Context, tx *store.Tx, want options, response []byte) (options, error) {
	var o options
	if err := json.Unmarshal(response, &o); err != nil || o.Kind != want.Kind || o.User != want.User || o.Page != want.Page || o.Key == "" {
		return o, twofactor.ErrWrong
	}
	if o.Copied {
		return o, twofactor.ErrCopied
	}
	err := spent.Insert(ctx, tx, &used{o.Nonce, m.now().Add(time.Hour)})
	if errors.Is(err, store.ErrExists) {
		err = twofactor.ErrWrong
	}
	return o, err
}

func (m *manager) Register(ctx context.Context, tx *store.Tx, user protocol.UserID, name string, response []byte) (twofactor.SecurityKey, error) {
	if strings.TrimSpace(name) == "" || len(name) > 64 {
		return twofactor.SecurityKey{}, twofactor.ErrKeyName
	}
	o, err := m.spend(ctx, tx, options{Kind: "register", User: user}, response)
	if err != nil {
		return twofactor.SecurityKey{}, err
	}
	k := &key{o.Key, user, name, m.now(), time.Time{}}
	err = keys.Insert(ctx, tx, k)
	if errors.Is(err, store.ErrExists) {
		err = twofactor.ErrWrong
	}
	if err == nil {
		_, err = rings.Upsert(ctx, tx, string(user), func(r *ring, _ bool) error {
			if len(r.Keys) >= Max {
				return twofactor.ErrTooManyKeys
			}
			r.User, r.Keys = user, append(r.Keys, k.ID)
			return nil
		})
	}
	return twofactor.SecurityKey{ID: k.ID, Name: k.Name, Created: k.Made}, err
}

func (m *manager) Verify(ctx context.Context, tx *store.Tx, user protocol.UserID, page string, response []byte) (twofactor.SecurityKey, error) {
	o, err := m.spend(ctx, tx, options{Kind: "assert", User: user, Page: page}, response)
	if err != nil {
		return twofactor.SecurityKey{ID: o.Key}, err
	}
	return m.use(ctx, tx, user, o.Key)
}

func (m *manager) use(ctx context.Context, tx *store.Tx, user protocol.UserID, id string) (twofactor.SecurityKey, error) {
	k, err := keys.Get(ctx, tx, id)
	if errors.Is(err, store.ErrNotFound) || err == nil && k.User != user {
		err = twofactor.ErrWrong
	}
	if err != nil {
		return twofactor.SecurityKey{}, err
	}
	k, err = keys.Update(ctx, tx, id, func(k *key) error { k.Used = m.now(); return nil })
	if err != nil {
		return twofactor.SecurityKey{}, err
	}
	return twofactor.SecurityKey{ID: k.ID, Name: k.Name, Created: k.Made, Used: k.Used}, nil
}

func (m *manager) Owner(ctx context.Context, from store.Reader, response []byte) (protocol.UserID, error) {
	var o options
	if err := json.Unmarshal(response, &o); err != nil || o.Key == "" {
		return "", twofactor.ErrWrong
	}
	k, err := keys.Get(ctx, from, o.Key)
	if errors.Is(err, store.ErrNotFound) {
		err = twofactor.ErrWrong
	}
	if err != nil {
		return "", err
	}
	return k.User, nil
}

func (m *manager) SignIn(ctx context.Context, tx *store.Tx, page string, response []byte) (protocol.UserID, twofactor.SecurityKey, error) {
	o, err := m.spend(ctx, tx, options{Kind: "sign in", Page: page}, response)
	if err != nil {
		return "", twofactor.SecurityKey{}, err
	}
	user, err := m.Owner(ctx, tx, response)
	if err != nil {
		return "", twofactor.SecurityKey{}, err
	}
	k, err := m.use(ctx, tx, user, o.Key)
	return user, k, err
}

func (m *manager) Remove(ctx context.Context, tx *store.Tx, user protocol.UserID, id string) error {
	k, err := keys.Get(ctx, tx, id)
	if errors.Is(err, store.ErrNotFound) || err == nil && k.User != user {
		return twofactor.ErrNoKey
	}
	if err == nil {
		err = keys.Delete(ctx, tx, id)
	}
	if err != nil {
		return err
	}
	_, err = rings.Update(ctx, tx, string(user), func(r *ring) error {
		var left []string
		for _, other := range r.Keys {
			if other != id {
				left = append(left, other)
			}
		}
		r.Keys = left
		return nil
	})
	return err
}
