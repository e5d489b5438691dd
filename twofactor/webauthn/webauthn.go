// Package webauthn keeps the security keys and passkeys of accounts, and verifies what they sign
// (Web Authentication, https://www.w3.org/TR/webauthn-3/). The ceremonies are those of
// github.com/go-webauthn/webauthn, for which the package is a module of its own.
//
//	keys, err := webauthn.New(webauthn.Config{Store: st, BaseURL: base, Name: "Acme"})
//	…
//	options, err := keys.BeginAssertion(ctx, user, "publish/"+pageID) // for navigator.credentials.get
//	…
//	err = store.Transact(ctx, st, func(tx *store.Tx) error {
//		_, err := keys.Verify(ctx, tx, user, "publish/"+pageID, response)
//		return errors.Join(err, …)
//	})
//
// # Ceremonies
//
// Each has two halves: the browser gets options, and answers with what an authenticator has signed. To
// begin one stores nothing: the challenge in the options is a random value with its time and a MAC
// over who it is for and what, its purpose. It is good for five minutes, and once: the commit that
// relies on the answer also notes that the challenge was used. A key signs for one purpose: what is signed
// for one page, operation or sign-in is worth nothing for another.
//
// [Manager.Register] adds a key to an account whose user is authenticated; the caller decides what
// that takes. [Manager.Verify] is a second factor of a user who is known. [Manager.SignIn] is a whole
// sign-in: the key says who the user is, and has verified that, by a PIN or a finger.
//
// Attestation is not asked for: any key will do. A key whose counter has not grown was copied, and is
// refused.
//
// # Where there are keys
//
// A key belongs to the domain name of the base URL, for ever. Where that is an IP address there can be none, which
// is [twofactor.ErrNoDomain].
package webauthn

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/npmauth/npmauth/credential"
	npm "github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/twofactor"
)

// Errors of a [Manager] are those of package twofactor: [twofactor.ErrNoDomain], [twofactor.ErrNoKey],
// [twofactor.ErrTooManyKeys], [twofactor.ErrKeyName], [twofactor.ErrWrong], and [twofactor.ErrCopied],
// which is an ErrWrong.

// Limits.
const (
	MaxKeys     = 20              // of an account
	MaxName     = 64              // bytes of a key's name
	MaxResponse = 16 << 10        // bytes of an answer
	ttl         = 5 * time.Minute // of a challenge
)

// A Config configures a [Manager].
type Config = twofactor.KeysConfig

// Keys returns a [Manager] as the Keys of a registry: it is what npmauth's Config.Keys takes.
func Keys(cfg Config) (twofactor.Keys, error) {
	m, err := New(cfg)
	if err != nil {
		return nil, err // and not a nil Manager in an interface
	}
	return m, nil
}

// A Manager keeps keys and verifies what they sign. It is safe for concurrent use, also by several
// processes on one store.
type Manager struct {
	store     store.Store
	serverKey *credential.ServerKey
	rp        *webauthn.WebAuthn
	clock     func() time.Time
}

// New returns a Manager, or an error naming the field of cfg that is wrong. [twofactor.ErrNoDomain] means that
// there can be no keys at that base URL.
func New(cfg Config) (*Manager, error) {
	switch {
	case cfg.Store == nil:
		return nil, errors.New("webauthn: Config.Store is nil")
	case cfg.BaseURL == nil || cfg.BaseURL.Scheme != "https" && cfg.BaseURL.Scheme != "http" || cfg.BaseURL.Hostname() == "":
		return nil, errors.New("webauthn: Config.BaseURL is not an http or https URL")
	}
	domain := strings.ToLower(cfg.BaseURL.Hostname()) // as browsers have it: a key's domain is compared byte for byte
	if _, err := netip.ParseAddr(domain); err == nil {
		return nil, twofactor.ErrNoDomain
	}
	if cfg.Name == "" {
		cfg.Name = cfg.BaseURL.Host
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	rp, err := webauthn.New(&webauthn.Config{
		RPID: domain, RPDisplayName: cfg.Name, RPOrigins: []string{cfg.BaseURL.Scheme + "://" + cfg.BaseURL.Host},
		AttestationPreference: protocol.PreferNoAttestation,
	})
	if err != nil {
		return nil, fmt.Errorf("webauthn: Config.BaseURL: %w", err)
	}
	return &Manager{
		store: cfg.Store, serverKey: credential.NewServerKey(cfg.Store, "webauthn"), rp: rp, clock: cfg.Now,
	}, nil
}

func (m *Manager) now() time.Time { return m.clock().UTC().Truncate(time.Microsecond) }

// List returns the keys of a user, the oldest first.
func (m *Manager) List(ctx context.Context, from store.Reader, user npm.UserID) ([]twofactor.SecurityKey, error) {
	records, err := m.of(ctx, from, user)
	if err != nil {
		return nil, fmt.Errorf("webauthn: list: %w", err)
	}
	keys := make([]twofactor.SecurityKey, len(records))
	for i, r := range records {
		keys[i] = r.key()
	}
	return keys, nil
}

// Remove takes a key from its user, in the caller's commit. One that is not the user's is [twofactor.ErrNoKey].
// The caller decides who may do this, and what is left to the account then.
func (m *Manager) Remove(ctx context.Context, tx *store.Tx, user npm.UserID, id string) error {
	r, err := records.Get(ctx, tx, id)
	switch {
	case errors.Is(err, store.ErrNotFound), err == nil && r.User != user:
		return twofactor.ErrNoKey
	case err != nil:
		return fmt.Errorf("webauthn: remove: %w", err)
	}
	if err := records.Delete(ctx, tx, id); err != nil {
		return fmt.Errorf("webauthn: remove: %w", err)
	}
	_, err = rings.Update(ctx, tx, string(user), func(ring *ring) error {
		ring.remove(id)
		return nil
	})
	if err != nil {
		return fmt.Errorf("webauthn: remove: %w", err)
	}
	return nil
}
