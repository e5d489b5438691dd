package trust

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
)

// A Token is what an ID token was exchanged for, without its secret. It belongs to one package and to nobody.
type Token struct {
	ID          string            // public: the first half of the Digest, as a granular token's
	Digest      credential.Digest // of the secret; for lookups, never for people
	Name        string            // for people: kind, repository and workflow of its publisher, or what it has of these
	Package     protocol.PackageName
	PackageID   protocol.PackageID // "" if it creates its package
	Owner       protocol.UserID    // whose pending publisher it is of, for whom it creates its package; "" if there is one
	Publisher   string             // the ID of its publisher
	Scope       string             // whose publisher that is, without @; "" if it is of the package alone
	Kind        Kind
	Issuer      string            // the URL
	Permissions Permissions       // of its publisher
	Run         map[string]string // what its ID token said of the job, see [RunOf]
	Created     time.Time
	Expires     time.Time // the first instant at which it is dead

	// Everyone is the number of all accounts that it was created under, see [subject.EveryoneNumber].
	Everyone uint64
}

// Credential returns t as a policy reads it: it may do with its package what its publisher permits, and nothing else.
// That of a Token without permissions has no grant. One that creates its package publishes the first version, whatever
// else the publisher permits.
func (t Token) Credential() *policy.Credential {
	c := &policy.Credential{ID: t.ID, Name: t.Name, Kind: policy.KindPublisher, Package: t.PackageID, Created: t.Created, Expires: t.Expires}
	verbs, err := t.Permissions.Verbs()
	if t.Owner != "" {
		c.Creates = policy.Creation{Package: t.Package, Owner: t.Owner}
		if verbs &= protocol.VerbPublish; verbs == 0 {
			return c
		}
	}
	if err == nil {
		c.Grants = []protocol.Grant{{Target: protocol.OnePackage, Package: t.Package, Permission: protocol.ReadWrite, Verbs: verbs}}
	}
	return c
}

// tokenRecord is a Token as it is stored. A program refuses a record with an unknown field, since it may be a
// restriction.
type tokenRecord struct {
	Digest      credential.Digest    `json:"digest"`
	Name        string               `json:"name"`
	Package     protocol.PackageName `json:"package"`
	PackageID   protocol.PackageID   `json:"package_id,omitempty"`
	Owner       protocol.UserID      `json:"owner,omitempty"`
	Publisher   string               `json:"publisher"`
	Scope       string               `json:"scope,omitempty"`
	Kind        Kind                 `json:"type"`
	Issuer      string               `json:"issuer"`
	Permissions []string             `json:"permissions"` // npm's words
	Run         map[string]string    `json:"run,omitempty"`
	Created     int64                `json:"created"` // microseconds since 1970
	Expires     int64                `json:"expires"` // the same
	Everyone    uint64               `json:"everyone,omitempty"`
}

var tokens = store.NewTable("trust-token", 1, func(r *tokenRecord) string { return r.Digest.Prefix().String() }).
	Expiring(func(r *tokenRecord) time.Time { return timeOf(r.Expires) })

func recordOf(t Token) *tokenRecord {
	return &tokenRecord{
		Digest: t.Digest, Name: t.Name, Package: t.Package, PackageID: t.PackageID, Owner: t.Owner, Publisher: t.Publisher, Scope: t.Scope, Kind: t.Kind, Issuer: t.Issuer,
		Permissions: t.Permissions.Words(), Run: t.Run, Created: t.Created.UnixMicro(), Expires: t.Expires.UnixMicro(), Everyone: t.Everyone,
	}
}

// token returns the Token of a record, or an error if it lacks something.
func (r *tokenRecord) token() (Token, error) {
	permissions, err := ParsePermissions(r.Permissions)
	if err != nil {
		return Token{}, errors.New("trust: token: the record has no permissions, or unknown ones")
	}
	if (r.PackageID == "") == (r.Owner == "") || r.Publisher == "" || r.Issuer == "" || r.Kind == KindUnknown || r.Created <= 0 || r.Expires <= 0 {
		return Token{}, errors.New("trust: token: the record lacks its package or owner, publisher or times")
	}
	if err := r.Package.Validate(); err != nil {
		return Token{}, fmt.Errorf("trust: token: %w", err)
	}
	if r.Scope != "" && (r.Scope != r.Package.Scope || r.PackageID == "") {
		return Token{}, errors.New("trust: token: the record has the publisher of another scope, or creates its package")
	}
	return Token{
		ID: r.Digest.Prefix().String(), Digest: r.Digest, Name: r.Name, Package: r.Package, PackageID: r.PackageID, Owner: r.Owner, Publisher: r.Publisher, Scope: r.Scope, Kind: r.Kind,
		Issuer: r.Issuer, Permissions: permissions, Run: r.Run, Created: timeOf(r.Created), Expires: timeOf(r.Expires), Everyone: r.Everyone,
	}, nil
}

// TokenKey returns the store's key of the token whose secret has the digest d.
func TokenKey(d credential.Digest) string { return tokens.Key(d.Prefix().String()) }

// PrefixFromKey returns the half of a digest that the key of a token is made of. It is false for the key of
// anything else. It tells a cache which entry a changed key concerns.
func PrefixFromKey(key string) (credential.Prefix, bool) {
	id, ok := tokens.ID(key)
	if !ok {
		return credential.Prefix{}, false
	}
	return credential.ParsePrefix(id)
}

// OpenToken decodes the token in it, which was read under [TokenKey] d. The token is alive while [State.Alive] says
// so, and until Expires, which the caller compares with the time.
//
// An absent item is [store.ErrNotFound], and so is the token of a secret that does not have the digest d, which is
// compared in constant time. A record with an unknown field or word is an error, since it may be a restriction.
func OpenToken(it store.Item, d credential.Digest) (Token, error) {
	r, err := tokens.Decode(it)
	if err != nil {
		return Token{}, err
	}
	if d.IsZero() || subtle.ConstantTimeCompare(r.Digest[:], d[:]) != 1 {
		return Token{}, store.ErrNotFound
	}
	return r.token()
}

// Unrevoked yields every token that has not expired and is not revoked, whatever package it is for or creates. It reads
// all tokens, and the publishers of each package or scope that has one, or what is pending for its name. A token that is created or
// revoked meanwhile may be yielded or not. An error is the last element.
func (m *Manager) Unrevoked(ctx context.Context) iter.Seq2[Token, error] {
	return func(yield func(Token, error) bool) {
		for after := ""; ; {
			page, err := tokens.List(ctx, m.store, after, store.MaxLimit)
			if err != nil {
				yield(Token{}, fmt.Errorf("trust: tokens: %w", err))
				return
			}
			states := map[string]State{}
			for _, r := range page {
				t, alive, err := m.unrevoked(ctx, r, states)
				if err != nil {
					yield(Token{}, err)
					return
				}
				if alive && !yield(t, nil) {
					return
				}
			}
			if len(page) < store.MaxLimit {
				return
			}
			after = page[len(page)-1].Digest.Prefix().String()
		}
	}
}

// unrevoked returns the token of r, and whether it can be used. The states of packages and scopes are read once each.
func (m *Manager) unrevoked(ctx context.Context, r *tokenRecord, states map[string]State) (Token, bool, error) {
	t, err := r.token()
	if err != nil {
		return Token{}, false, err
	}
	if t.PackageID == "" {
		state, err := readPendingState(ctx, m.store, t.Package, t.Owner)
		return t, err == nil && state.Alive(t) && m.now().Before(t.Expires), err
	}
	keys, decode := StateKeys(t.PackageID), func(items []store.Item) (State, error) { return DecodeState(t.PackageID, items) }
	if t.Scope != "" {
		keys, decode = ScopeStateKeys(t.Scope), func(items []store.Item) (State, error) { return DecodeScopeState(t.Scope, items) }
	}
	state, known := states[keys[0]]
	if !known {
		items, err := m.store.Get(ctx, keys...)
		if err != nil {
			return Token{}, false, fmt.Errorf("trust: tokens: %w", err)
		}
		if state, err = decode(items); err != nil {
			return Token{}, false, err
		}
		states[keys[0]] = state
	}
	return t, state.Alive(t) && m.now().Before(t.Expires), nil
}

// RevokeTokenTx revokes, in the caller's commit, the token with this ID, and returns what it was. One that is absent
// or has expired is [ErrNotFound]. The reason is a word for the event, "" for none.
func (m *Manager) RevokeTokenTx(ctx context.Context, tx *store.Tx, by audit.Actor, id, reason string) (Token, error) {
	r, err := tokens.Get(ctx, tx, id)
	if errors.Is(err, store.ErrNotFound) {
		return Token{}, ErrNotFound
	}
	if err != nil {
		return Token{}, fmt.Errorf("trust: revoke: %w", err)
	}
	t, err := r.token()
	if err != nil {
		return Token{}, err
	}
	if !m.now().Before(t.Expires) {
		return Token{}, ErrNotFound
	}
	if err := tokens.Delete(ctx, tx, id); err != nil {
		return Token{}, fmt.Errorf("trust: revoke: %w", err)
	}
	e := audit.Event{
		Type: audit.TrustRevoked, Credential: t.ID, Package: t.Package,
		Detail: map[string]string{"publisher": t.Publisher, "package_id": string(t.PackageID)},
	}
	if t.Scope != "" {
		e.Detail["scope"] = t.Scope
	}
	if reason != "" {
		e.Reasons = []string{reason}
	}
	return t, m.tell(ctx, tx, by, e)
}
