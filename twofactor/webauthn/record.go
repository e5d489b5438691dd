package webauthn

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	npm "github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/twofactor"
)

// A record is a key as it is stored.
type record struct {
	ID         string              `json:"id"` // digest of the credential's ID, which is as long as its maker likes
	User       npm.UserID          `json:"user"`
	Name       string              `json:"name"`
	Credential webauthn.Credential `json:"credential"`
	Created    time.Time           `json:"created"`
	Used       time.Time           `json:"used,omitzero"`
}

// A ring is the keys of a user, oldest first: one row, so that their number has a limit.
type ring struct {
	User npm.UserID `json:"user"`
	Keys []string   `json:"keys"`
}

// A spent is a challenge that was used. It is kept for as long as the challenge is good.
type spent struct {
	ID    string    `json:"id"`
	Until time.Time `json:"until"`
}

var (
	records = store.NewTable("webauthn-key", 1, func(r *record) string { return r.ID })
	rings   = store.NewTable("webauthn-user", 1, func(r *ring) string { return string(r.User) })
	spents  = store.NewTable("webauthn-spent", 1, func(s *spent) string { return s.ID }).
		Expiring(func(s *spent) time.Time { return s.Until })
)

func (r *ring) remove(id string) {
	r.Keys = slices.DeleteFunc(r.Keys, func(k string) bool { return k == id })
}

func (r *record) key() twofactor.SecurityKey {
	return twofactor.SecurityKey{ID: r.ID, Name: r.Name, Created: r.Created, Used: r.Used, Synced: r.Credential.Flags.BackupEligible}
}

// idOf returns the public ID of the key with that credential ID.
func idOf(rawID []byte) string {
	sum := sha256.Sum256(rawID)
	return hex.EncodeToString(sum[:16])
}

// of returns the keys of a user, oldest first.
func (m *Manager) of(ctx context.Context, from store.Reader, user npm.UserID) ([]*record, error) {
	ring, err := rings.Get(ctx, from, string(user))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil || len(ring.Keys) == 0 {
		return nil, err
	}
	names := make([]string, len(ring.Keys))
	for i, id := range ring.Keys {
		names[i] = records.Key(id)
	}
	items, err := from.Get(ctx, names...)
	if err != nil {
		return nil, err
	}
	var all []*record
	for _, it := range items {
		switch r, err := records.Decode(it); {
		case errors.Is(err, store.ErrNotFound): // it was removed since
		case err != nil:
			return nil, err
		case r.User == user:
			all = append(all, r)
		}
	}
	return all, nil
}

// An owner is a user as go-webauthn takes one.
type owner struct {
	handle []byte
	name   string
	keys   []*record
}

func (o owner) WebAuthnID() []byte          { return o.handle }
func (o owner) WebAuthnName() string        { return o.name }
func (o owner) WebAuthnDisplayName() string { return o.name }

func (o owner) WebAuthnCredentials() []webauthn.Credential {
	all := make([]webauthn.Credential, len(o.keys))
	for i, r := range o.keys {
		all[i] = r.Credential
	}
	return all
}

func (o owner) descriptors() []protocol.CredentialDescriptor {
	all := make([]protocol.CredentialDescriptor, len(o.keys))
	for i, r := range o.keys {
		all[i] = r.Credential.Descriptor()
	}
	return all
}
