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
// is [ErrNoDomain].
package webauthn

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	npm "github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
)

// Errors that callers tell apart.
var (
	// ErrNoDomain means that the base URL's host is an IP address.
	ErrNoDomain = errors.New("webauthn: the base URL has no domain name")
	// ErrNoKey means that the account has no key, or not this one.
	ErrNoKey = errors.New("webauthn: no such key")
	// ErrTooMany means that the account has as many keys as it can have.
	ErrTooMany = errors.New("webauthn: the account has as many keys as it can have")
	// ErrWrong means that an answer proves nothing: it is malformed, of another key, origin, purpose or
	// challenge, late, or was used before.
	ErrWrong = errors.New("webauthn: the answer proves nothing")
	// ErrCopied means that there is another key that is a copy of this one. It is an ErrWrong.
	ErrCopied = fmt.Errorf("%w: the key was copied", ErrWrong)
)

// Limits.
const (
	MaxKeys     = 20              // of an account
	MaxName     = 64              // bytes of a key's name
	MaxResponse = 16 << 10        // bytes of an answer
	ttl         = 5 * time.Minute // of a challenge
)

// Config configures a [Manager].
type Config struct {
	// Store keeps the keys, and challenges that were used for as long as they live. Required. It holds
	// the key of the challenges, too, so it should be sealed (store.Seal).
	Store store.Store

	// BaseURL is the public URL of the registry. Required. Its host is what keys belong to, and its
	// origin is the only one that answers may come from. A browser takes http for localhost alone.
	BaseURL *url.URL

	// Name is what a browser calls the registry. "" means the host of BaseURL.
	Name string

	// Now returns the current time. Nil means time.Now.
	Now func() time.Time

	// Events records what happened. Nil records nothing.
	Events *audit.Recorder
}

// A Manager keeps keys and verifies what they sign. It is safe for concurrent use, also by several
// processes on one store.
type Manager struct {
	store     store.Store
	serverKey *credential.ServerKey
	rp        *webauthn.WebAuthn
	clock     func() time.Time
	events    *audit.Recorder
}

// New returns a Manager, or an error naming the field of cfg that is wrong. [ErrNoDomain] means that
// there can be no keys at that base URL.
func New(cfg Config) (*Manager, error) {
	switch {
	case cfg.Store == nil:
		return nil, errors.New("webauthn: Config.Store is nil")
	case cfg.BaseURL == nil || cfg.BaseURL.Scheme != "https" && cfg.BaseURL.Scheme != "http" || cfg.BaseURL.Hostname() == "":
		return nil, errors.New("webauthn: Config.BaseURL is not an http or https URL")
	}
	domain := cfg.BaseURL.Hostname()
	if _, err := netip.ParseAddr(domain); err == nil {
		return nil, ErrNoDomain
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
		store: cfg.Store, serverKey: credential.NewServerKey(cfg.Store, "webauthn"), rp: rp, clock: cfg.Now, events: cfg.Events,
	}, nil
}

func (m *Manager) now() time.Time { return m.clock().UTC().Truncate(time.Microsecond) }

// List returns the keys of a user, the oldest first.
func (m *Manager) List(ctx context.Context, user npm.UserID) ([]Key, error) {
	records, err := m.of(ctx, m.store, user)
	if err != nil {
		return nil, fmt.Errorf("webauthn: list: %w", err)
	}
	keys := make([]Key, len(records))
	for i, r := range records {
		keys[i] = r.key()
	}
	return keys, nil
}

// Remove takes a key from its user, in the caller's commit. One that is not the user's is [ErrNoKey].
// The caller decides who may do this, and what is left to the account then.
func (m *Manager) Remove(ctx context.Context, tx *store.Tx, by audit.Actor, user npm.UserID, id string) error {
	r, err := records.Get(ctx, tx, id)
	switch {
	case errors.Is(err, store.ErrNotFound), err == nil && r.User != user:
		return ErrNoKey
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
	return m.events.Commit(ctx, tx, audit.Event{Time: m.now(), Type: KeyRemoved, Outcome: audit.Done, User: user, Detail: map[string]string{"key": id}}.From(by))
}
