package token

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/store"
)

// A Token is what is known of a token. The secret is not.
type Token struct {
	ID          string            // public accessor
	Digest      credential.Digest // of the secret; for lookups, never for people
	Hint        string            // the secret's first 8 characters
	User        policy.UserID
	Name        string
	Description string
	Grants      []policy.Grant
	Bypass      bool
	CIDRs       []netip.Prefix // none: from anywhere
	Created     time.Time
	Expires     time.Time // the first instant at which it is dead
	CreatedBy   string    // public ID of the credential that asked for it
}

// hintSize is how many characters of a secret a list shows. npm's client takes the
// listed text for a literal beginning of the token when it revokes by value.
const hintSize = 8

// ReadOnly reports whether no grant of t can do more than read.
func (t Token) ReadOnly() bool { return !slices.ContainsFunc(t.Grants, writes) }

// Credential returns what policy is told of t. It shares the grants and ranges.
func (t Token) Credential() *policy.Credential {
	return &policy.Credential{
		ID:      t.ID,
		Kind:    policy.KindToken,
		User:    t.User,
		Grants:  t.Grants,
		Bypass:  t.Bypass,
		CIDRs:   t.CIDRs,
		Created: t.Created,
		Expires: t.Expires,
	}
}

func (t Token) clone() Token {
	t.Grants, t.CIDRs = slices.Clone(t.Grants), slices.Clone(t.CIDRs)
	return t
}

// record is a Token as it is stored.
type record struct {
	ID          string            `json:"id"`
	Digest      credential.Digest `json:"digest"`
	Hint        string            `json:"hint"`
	User        policy.UserID     `json:"user"`
	Name        string            `json:"name"`
	Description string            `json:"description"`
	Grants      []policy.Grant    `json:"grants"`
	Bypass      bool              `json:"bypass"`
	CIDRs       []netip.Prefix    `json:"cidrs"`
	Created     time.Time         `json:"created"`
	Expires     time.Time         `json:"expires"`
	CreatedBy   string            `json:"created_by"`
}

// Records lie under the digest, so that a presented token is one Get away.
var (
	tokens = store.NewTable("token", 1, func(r *record) string { return r.Digest.String() }).
		Expiring(func(r *record) time.Time { return r.Expires })
	byID   = tokens.Unique("id", func(r *record) string { return r.ID })
	byUser = tokens.Index("user", func(r *record) string { return string(r.User) })
)

// Key returns the store's key of the token with this digest.
func Key(d credential.Digest) string { return tokens.Key(d.String()) }

// DigestOf returns the digest of the token whose key this is; ok is false for
// the key of anything else.
func DigestOf(key string) (d credential.Digest, ok bool) {
	id, ok := tokens.ID(key)
	if !ok {
		return credential.Digest{}, false
	}
	d, err := credential.ParseDigest(id)
	return d, err == nil
}

// Open returns what policy is told of the token stored in it. It does not compare
// the time. An absent item is [store.ErrNotFound]; a record with a field, word or
// range that this program does not know is an error, since it may be a
// restriction. The result must not be changed.
func Open(it store.Item) (*policy.Credential, error) {
	r, err := tokens.Decode(it)
	if err != nil {
		return nil, err
	}
	switch {
	case r.ID == "", r.User == "", r.Created.IsZero(), r.Expires.IsZero():
		return nil, fmt.Errorf("token: a record lacks its id, user or times")
	case slices.ContainsFunc(r.CIDRs, func(p netip.Prefix) bool { return !p.IsValid() }):
		return nil, fmt.Errorf("token: a record has a range that is no CIDR")
	}
	return Token(*r).Credential(), nil
}
