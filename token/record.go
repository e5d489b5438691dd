package token

import (
	"cmp"
	"crypto/subtle"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
)

// A Token describes a token, without its secret.
type Token struct {
	ID          string            // public accessor: IDOf the Digest
	Digest      credential.Digest // of the secret; for lookups, never for people
	Hint        string            // the secret's first 8 characters
	User        protocol.UserID
	Name        string
	Description string
	Grants      []protocol.Grant
	Bypass      bool
	CIDRs       []netip.Prefix // none: from anywhere
	Created     time.Time
	Expires     time.Time // the first instant at which it is dead
	CreatedBy   string    // public ID of the credential that created it
	// Replaces is the ID of the token that was rotated to make it, "" for none. ReplacedBy is
	// the ID of the token that this one was rotated to, last if several times: this one is in
	// its grace then. Either of them may have ended since.
	Replaces, ReplacedBy string
	// Numbers are the revocation numbers that it was created under.
	Numbers subject.Numbers
}

// hintSize is how many characters of a secret a list shows. npm's client takes the
// listed text for a literal beginning of the token when it revokes by value.
const hintSize = 8

// ReadOnly reports whether no grant of t can do more than read.
func (t Token) ReadOnly() bool { return !slices.ContainsFunc(t.Grants, writes) }

// Credential returns t as a policy reads it. It shares the grants and ranges.
func (t Token) Credential() *policy.Credential {
	return &policy.Credential{
		ID:      t.ID,
		Name:    t.Name,
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

// record is a Token as it is stored: flat and short, since every verification that no cache
// answers decodes one. A program refuses a record with an unknown field, so that a new
// restriction needs no other schema.
type record struct {
	Digest      credential.Digest `json:"digest"`
	User        protocol.UserID   `json:"user"`
	Numbers     numbers           `json:"numbers,omitzero"`
	Hint        string            `json:"hint"`
	Name        string            `json:"name,omitempty"`
	Description string            `json:"description,omitempty"`
	Grants      grants            `json:"grants"`
	Bypass      bool              `json:"bypass,omitempty"`
	CIDRs       ranges            `json:"cidrs,omitempty"`
	Created     int64             `json:"created"` // microseconds since 1970
	Expires     int64             `json:"expires"` // the same
	CreatedBy   string            `json:"by,omitempty"`
	Replaces    string            `json:"replaces,omitempty"`
	ReplacedBy  string            `json:"replaced_by,omitempty"`
	Life        int64             `json:"life,omitempty"` // microseconds; Expires-Created before a rotation
}

// Tokens of schema 1 had their whole digest as the key and had no numbers: none of them is
// converted.
var (
	tokens = store.NewTable("token", 2, func(r *record) string { return r.id() }).Since(2).
		Expiring(func(r *record) time.Time { return timeOf(r.Expires) })
	// A list shows all of a token, newest first. Tokens that were revoked together are in a
	// group that nobody lists any more.
	listed = store.NewListing(tokens, "list",
		func(r *record) (group, order string) {
			return groupOf(r.User, subject.Numbers(r.Numbers)), fmt.Sprintf("%0*x", orderSize, math.MaxInt64-r.Created)
		},
		func(r *record) *record { return r })
)

// orderSize is how many hex digits say when a token was created; the newest has the smallest
// number.
const orderSize = 16

func groupOf(user protocol.UserID, n subject.Numbers) string {
	return string(numbers(n).append(append([]byte(user), '.')))
}

func recordOf(t Token) *record {
	return &record{
		Digest: t.Digest, User: t.User, Numbers: numbers(t.Numbers), Hint: t.Hint, Name: t.Name, Description: t.Description,
		Grants: t.Grants, Bypass: t.Bypass, CIDRs: t.CIDRs, Created: t.Created.UnixMicro(), Expires: t.Expires.UnixMicro(),
		CreatedBy: t.CreatedBy, Replaces: t.Replaces, ReplacedBy: t.ReplacedBy,
	}
}

func (r *record) token() Token {
	return Token{
		ID: r.id(), Digest: r.Digest, User: r.User, Numbers: subject.Numbers(r.Numbers), Hint: r.Hint, Name: r.Name, Description: r.Description,
		Grants: r.Grants, Bypass: r.Bypass, CIDRs: r.CIDRs, Created: timeOf(r.Created), Expires: timeOf(r.Expires),
		CreatedBy: r.CreatedBy, Replaces: r.Replaces, ReplacedBy: r.ReplacedBy,
	}
}

func (r *record) id() string { return IDOf(r.Digest) }

// life returns for how long the token was created, whatever a rotation made of that.
func (r *record) life() time.Duration {
	return time.Duration(cmp.Or(r.Life, r.Expires-r.Created)) * time.Microsecond
}

// expired reports whether the token has expired at a time.
func (r *record) expired(at time.Time) bool { return at.UnixMicro() >= r.Expires }

// revoked reports whether its user's tokens have been revoked since. A token is not revoked
// because its account is disabled: it works once the account is enabled.
func (r *record) revoked(sub subject.Subject) bool {
	return subject.Numbers(r.Numbers) != sub.Numbers(policy.KindToken)
}

// alive reports whether the token is not revoked and its account not disabled.
func (r *record) alive(sub subject.Subject) bool {
	return sub.Alive(policy.KindToken, subject.Numbers(r.Numbers))
}

func timeOf(micros int64) time.Time { return time.UnixMicro(micros).UTC() }

// IDOf returns the public ID of the token whose secret has the digest d: its first 16
// bytes in lower-case base32, 26 characters.
//
// So one read finds a token by its secret as well as by its ID, and lists, events and logs show
// a part of the digest. This reveals nothing useful: to find a secret with these 128 bits takes
// 2^128 tries, and the secret that has all 256 is one of 2^178 random ones. The ID proves
// nothing either: [Open] compares the whole digest. Two secrets do not get the same ID by
// accident, and Create refuses the second.
func IDOf(d credential.Digest) string { return d.Prefix().String() }

// isID reports whether text is what IDOf could have returned.
func isID(text string) bool {
	_, ok := credential.ParsePrefix(text)
	return ok
}

// Key returns the store's key of the token with this ID, "" for what is no ID.
func Key(id string) string {
	if !isID(id) {
		return ""
	}
	return tokens.Key(id)
}

// KeyOf returns the store's key of the token whose secret has the digest d.
func KeyOf(d credential.Digest) string { return tokens.Key(IDOf(d)) }

// IDFromKey returns the ID of the token whose key this is; ok is false for the key of
// anything else.
func IDFromKey(key string) (id string, ok bool) {
	if id, ok = tokens.ID(key); ok && isID(id) {
		return id, true
	}
	return "", false
}

// PrefixFromKey returns the half of a digest that the key of a token is made of; ok is
// false for the key of anything else. It tells a cache which entry a changed key concerns.
func PrefixFromKey(key string) (p credential.Prefix, ok bool) {
	id, ok := tokens.ID(key)
	if !ok {
		return p, false
	}
	return credential.ParsePrefix(id)
}

// Open decodes the token in it, which was read under [KeyOf] d, into a [policy.Credential], and
// returns the revocation numbers that the token was created under. The token is alive while
// they are those of its user, which [subject.Subject.Alive] compares, and until Expires, which
// the caller compares with the time.
//
// An absent item is [store.ErrNotFound], and so is the token of a secret that does not have the
// digest d, which is compared in constant time. A record with an unknown field, word or range
// is an error, since it may be a restriction. The result must not be changed.
func Open(it store.Item, d credential.Digest) (*policy.Credential, subject.Numbers, error) {
	r, err := tokens.Decode(it)
	if err != nil {
		return nil, subject.Numbers{}, err
	}
	if d.IsZero() || subtle.ConstantTimeCompare(r.Digest[:], d[:]) != 1 {
		return nil, subject.Numbers{}, store.ErrNotFound
	}
	if r.User == "" || r.Created <= 0 || r.Expires <= 0 {
		return nil, subject.Numbers{}, errors.New("token: a record lacks its user or times")
	}
	id, _ := tokens.ID(it.Key)
	return &policy.Credential{
		ID:      id,
		Name:    r.Name,
		Kind:    policy.KindToken,
		User:    r.User,
		Grants:  r.Grants,
		Bypass:  r.Bypass,
		CIDRs:   r.CIDRs,
		Created: timeOf(r.Created),
		Expires: timeOf(r.Expires),
	}, subject.Numbers(r.Numbers), nil
}
