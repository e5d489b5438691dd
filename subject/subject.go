// Package subject stores what npmauth itself knows about an account, beside the host's user table:
// whether it is disabled, which of its credentials were revoked, what needs its second factor, and
// whether security keys are that.
//
//	subjects, err := subject.New(subject.Config{Store: st})
//	…
//	err = subjects.RevokeAll(ctx, audit.Actor{}, user) // ends every session and token
//
// # Revocation numbers
//
// The row of an account has three random numbers: one for everything the account has, one for its
// sessions, one for its tokens. One more row has a number for all accounts. A credential stores the
// [Numbers] of its account at its creation, and is alive while they are still the account's:
// [Subject.Alive]. Revoking writes a new number, in one commit, however many credentials there are.
// No clock is involved, so a wrong clock can neither keep a revoked credential alive nor end a
// valid one.
//
// # Verifying
//
// A verification compares two rows, that of the credential and that of its account. If they are
// read at two moments, or one of them from a cache, they may differ while both are right: in
// that case, read both in one Get before the credential is refused.
//
// # Committing
//
// A commit that depends on a [Subject] must expect that the Subject has not changed: pass its
// Evidence to [store.Tx.Expect], or read it through the [store.Tx].
//
// # Concurrency
//
// A Manager is safe for concurrent use, also by several processes on one store. Rows are never
// deleted, and nothing that happens often writes them. A program that shares the store of a
// registry opens it with the same seal and prefix; running nodes see its revocations within
// their freshness bound.
package subject

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
)

// ErrNoUser is returned for the empty user ID, which no user has. An ID of which nothing was
// ever recorded is no error: only the host knows whether a user has it.
var ErrNoUser = errors.New("subject: no user")

// A Subject is what npmauth itself knows about an account. An account of which nothing was ever
// recorded is not disabled and has no second factor.
type Subject struct {
	ID        protocol.UserID
	Disabled  bool
	TwoFactor protocol.TwoFactorMode // what needs the second factor; never unknown
	// Keys reports whether a security key is among its second factors, and KeysOnly whether nothing
	// else counts.
	Keys, KeysOnly bool
	// CIDRs are the ranges that every credential of the account may be used from, in addition to
	// its own ranges. Empty means any address.
	CIDRs []netip.Prefix
	// Recovered is when the account was last recovered or its e-mail address last changed, see
	// [Recover]. Zero means never.
	Recovered time.Time
	// HighImpact reports whether many packages depend on the account's, see
	// [Manager.SetHighImpact].
	HighImpact bool
	// Revoked is when everything of the account, or of all accounts, was last revoked, by the
	// clock of the node that did so. Zero: never. It is for bearer tokens that a host issued
	// itself, which have no Numbers: see [Subject.AliveSince]. The next revocation of the same
	// scope corrects a time that a wrong clock set more than a day ahead.
	Revoked time.Time
	// Evidence names the rows that the Subject was read from, at the revisions read. A row that
	// the same Tx has written cannot be Evidence: [store.Tx.Expect] refuses it.
	Evidence []store.Evidence

	numbers  numbers
	everyone uint64
}

// Numbers are the revocation numbers that a credential was created under. The zero value is
// that of an account of which nothing was ever revoked.
type Numbers struct {
	Everyone uint64 `json:"everyone,omitempty"` // of all accounts
	All      uint64 `json:"all,omitempty"`      // of everything that the account has
	Kind     uint64 `json:"kind,omitempty"`     // of its sessions, or of its tokens
}

// Numbers returns the numbers under which a credential of that kind is created now. Only
// sessions and tokens have any.
func (s Subject) Numbers(kind policy.Kind) Numbers {
	n := Numbers{Everyone: s.everyone, All: s.numbers.All}
	switch kind {
	case policy.KindSession:
		n.Kind = s.numbers.Sessions
	case policy.KindToken:
		n.Kind = s.numbers.Tokens
	}
	return n
}

// Alive reports whether a session or token of the account that was created under n is not
// revoked, and the account not disabled. The caller checks when the credential expires.
// Credentials of other kinds have no numbers and are never alive.
func (s Subject) Alive(kind policy.Kind, n Numbers) bool {
	switch kind {
	case policy.KindSession, policy.KindToken:
		return s.ID != "" && !s.Disabled && n == s.Numbers(kind)
	}
	return false
}

// AliveSince is [Subject.Alive] for a bearer token without numbers, one that a host issued
// itself: it must have been created after everything of the account was last revoked. A token
// that was created in the same microsecond is dead.
func (s Subject) AliveSince(created time.Time) bool {
	// Revoked is cut to a microsecond, so created is too: otherwise a token that is some
	// nanoseconds older than a revocation would be alive.
	return s.ID != "" && !s.Disabled && (s.Revoked.IsZero() || cut(created).After(s.Revoked))
}

// Key returns the key of the row of this user.
func Key(id protocol.UserID) string { return subjects.Key(string(id)) }

// Keys returns the keys that a [Subject] is decoded from: that of its own row, and that of
// the row of all accounts.
func Keys(id protocol.UserID) []string { return []string{Key(id), EveryoneKey()} }

// Of returns the user whose row has this key; ok is false for other keys.
func Of(key string) (id protocol.UserID, ok bool) {
	text, ok := subjects.ID(key)
	return protocol.UserID(text), ok
}

// IsEveryone reports whether key is that of the row of all accounts: when it changes,
// every cached Subject is out of date.
func IsEveryone(key string) bool { return key == EveryoneKey() }

// EveryoneKey returns the key of the row of all accounts, which [CheckEveryone] and [EveryoneNumber] take.
func EveryoneKey() string { return epochs.Key(everyone) }

// CheckEveryone returns an error if no subject can be decoded, because of the row of all
// accounts: it is damaged, or the store is a copy that is not finished ([store.ErrUnfinished]).
// An absent row is none.
func CheckEveryone(it store.Item) error {
	_, err := decodeEveryone(it)
	return err
}

// EveryoneNumber returns the number of the row of all accounts, from the item of its key: zero while it
// is absent. It is for credentials that belong to no account: one is dead when the number is no longer the
// one that it was created under. The errors are those of [CheckEveryone], and the item of another key is
// one.
func EveryoneNumber(it store.Item) (uint64, error) {
	if !IsEveryone(it.Key) {
		return 0, errors.New("subject: the item is not the row of all accounts")
	}
	all, err := decodeEveryone(it)
	return all.Number, err
}

// decodeEveryone returns the zero epoch if it is absent.
func decodeEveryone(it store.Item) (epoch, error) {
	all, err := epochs.Decode(it)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return epoch{}, nil
	case err != nil:
		return epoch{}, fmt.Errorf("subject: row of all accounts: %w", err)
	}
	return *all, nil
}

// Get returns the subject of id, which it reads from r in one Get. r must not be nil: only
// [Manager.Get] has a store of its own.
func Get(ctx context.Context, r store.Reader, id protocol.UserID) (Subject, error) {
	if id == "" {
		return Subject{}, ErrNoUser
	}
	if r = store.ReaderOr(r, nil); r == nil {
		return Subject{}, errors.New("subject: Get without a Reader")
	}
	items, err := r.Get(ctx, Keys(id)...)
	if err != nil {
		return Subject{}, fmt.Errorf("subject: %w", err)
	}
	return Decode(id, items)
}

// Decode returns the subject of id from the items of its [Keys], in that order and of one Get,
// for a caller that reads more in the same Get. A row that cannot be decoded is an error and
// not an account of which nothing was recorded.
func Decode(id protocol.UserID, items []store.Item) (Subject, error) {
	if id == "" {
		return Subject{}, ErrNoUser
	}
	keys := Keys(id)
	if len(items) != len(keys) || items[0].Key != keys[0] || items[1].Key != keys[1] {
		return Subject{}, errors.New("subject: the items are not those of the keys of this subject")
	}
	sub := Subject{ID: id, TwoFactor: protocol.TwoFactorOff}
	switch rec, err := subjects.Decode(items[0]); {
	case errors.Is(err, store.ErrNotFound):
	case err != nil:
		return Subject{}, fmt.Errorf("subject: %w", err)
	default:
		if sub, err = rec.open(); err != nil {
			return Subject{}, fmt.Errorf("subject: %w", err)
		}
	}
	all, err := decodeEveryone(items[1])
	if err != nil {
		return Subject{}, err
	}
	sub.everyone = all.Number
	if all.Revoked.After(sub.Revoked) {
		sub.Revoked = all.Revoked
	}
	sub.Evidence = []store.Evidence{items[0].Evidence(), items[1].Evidence()}
	return sub, nil
}

// numbers are the account's own revocation numbers.
type numbers struct {
	All      uint64 `json:"all,omitempty"`
	Sessions uint64 `json:"sessions,omitempty"`
	Tokens   uint64 `json:"tokens,omitempty"`
}

// record is a Subject as it is stored. A program refuses a record with an unknown field, so
// that a new one needs no other schema: an older node refuses the accounts that the new field
// restricts, and reads all others as before.
type record struct {
	ID         string         `json:"id"`
	Disabled   bool           `json:"disabled,omitempty"`
	Numbers    numbers        `json:"numbers,omitzero"`
	Revoked    time.Time      `json:"not_before,omitzero"`
	TwoFactor  string         `json:"tfa,omitempty"` // "": off
	Keys       bool           `json:"keys,omitempty"`
	KeysOnly   bool           `json:"keys_only,omitempty"`
	CIDRs      []netip.Prefix `json:"cidrs,omitempty"`
	Recovered  time.Time      `json:"recovered,omitzero"`
	HighImpact bool           `json:"high_impact,omitempty"`

	// Of the first release, whose sessions are dead: dropped at the next write.
	SessionsNotBefore time.Time `json:"sessions_not_before,omitzero"`
	SessionKept       string    `json:"session_kept,omitempty"`
}

// An epoch is the row of all accounts. It is read together with each subject.
type epoch struct {
	ID      string    `json:"id"`
	Number  uint64    `json:"number,omitempty"`
	Revoked time.Time `json:"not_before"`
}

const everyone = "everyone"

var (
	subjects = store.NewTable("subject", 1, func(r *record) string { return r.ID })
	epochs   = store.NewTable("epoch", 1, func(e *epoch) string { return e.ID })
)

func (r *record) open() (Subject, error) {
	mode, err := parseMode(r.TwoFactor)
	if err != nil {
		return Subject{}, err
	}
	if slices.ContainsFunc(r.CIDRs, func(p netip.Prefix) bool { return !p.IsValid() }) {
		return Subject{}, errors.New("the record has a range that is no CIDR")
	}
	return Subject{
		ID: protocol.UserID(r.ID), Disabled: r.Disabled, TwoFactor: mode, Keys: r.Keys, KeysOnly: r.KeysOnly, CIDRs: r.CIDRs,
		Recovered: r.Recovered, HighImpact: r.HighImpact, Revoked: r.Revoked, numbers: r.Numbers,
	}, nil
}

// parseMode reads a mode as it is stored. An unknown one is an error: if it counted as off, a
// password alone could publish.
func parseMode(text string) (protocol.TwoFactorMode, error) {
	switch text {
	case "":
		return protocol.TwoFactorOff, nil
	case "auth-only":
		return protocol.AuthOnly, nil
	case "auth-and-writes":
		return protocol.AuthAndWrites, nil
	}
	return protocol.TwoFactorUnknown, fmt.Errorf("unknown two-factor mode %q", text)
}

func formatMode(mode protocol.TwoFactorMode) (string, error) {
	switch mode {
	case protocol.TwoFactorOff:
		return "", nil
	case protocol.AuthOnly:
		return "auth-only", nil
	case protocol.AuthAndWrites:
		return "auth-and-writes", nil
	}
	return "", fmt.Errorf("unknown two-factor mode %d", mode)
}
