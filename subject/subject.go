// Package subject records what is true of an account, whoever keeps its name and password:
// whether it is disabled, what of it was revoked, and what needs its second factor.
//
//	subjects, err := subject.New(subject.Config{Store: st})
//	…
//	err = subjects.RevokeAll(ctx, audit.Actor{}, user) // ends every session and token
//
// # Revocation is a number
//
// The row of an account holds three random numbers: one for everything it has, one for
// its sessions, one for its tokens. One more row holds a number for all accounts. A
// credential carries the [Numbers] that it was created under, and is alive while they are
// those of its account: [Subject.Alive]. To revoke is to write another number, in one
// commit, however many credentials there are. No clock takes part, so none that is wrong
// can keep a thief alive or an account dead.
//
// # Verifying
//
// A verification compares two rows, that of the credential and that of its account. Read
// at two moments, or one of them from a cache, they may differ while both are right: where
// they do, read both again in one Get before anything is refused.
//
// # Committing
//
// What was decided on a [Subject] is committed on condition that the Subject is still the
// same: pass its Evidence to [store.Tx.Expect], or read it through the [store.Tx].
//
// # Concurrency
//
// A Manager is safe for concurrent use, also by several processes on one store. Rows are
// never deleted, and nothing that happens often writes them. A program that shares the store
// of a registry opens it with the same seal and prefix; nodes that run see what it revokes
// within their freshness bound.
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

// ErrNoUser is returned for the empty user ID, which is nobody's. An ID of which nothing
// was ever recorded is no error: whether it is somebody's, the host knows.
var ErrNoUser = errors.New("subject: no user")

// A Subject is what npmauth itself knows of an account. One of which nothing was ever
// recorded is not disabled and has no second factor.
type Subject struct {
	ID        protocol.UserID
	Disabled  bool
	TwoFactor protocol.TwoFactorMode // what needs the second factor; never unknown
	// CIDRs are the ranges that every credential of the account may be used from, each
	// in its own ranges as well. Empty: from anywhere.
	CIDRs []netip.Prefix
	// Recovered is when a recovery code was last used or the e-mail address last changed,
	// see [Recover]. Zero: never.
	Recovered time.Time
	// HighImpact is an account that many depend on, as [Manager.SetHighImpact] said.
	HighImpact bool
	// Revoked is when everything of the account, or of all accounts, was last revoked, by
	// the clock of the node that did so. Zero: never. It is for bearers that a host
	// issued itself, which carry no Numbers: see [Subject.AliveSince]. One that a clock
	// left more than a day ahead is corrected by the next revocation of the same extent.
	Revoked time.Time
	// Evidence names the rows that all of this was read from, at the revisions read. That
	// of a row which the same Tx has written is none: [store.Tx.Expect] refuses it.
	Evidence []store.Evidence

	numbers  numbers
	everyone uint64
}

// Numbers are the revocation numbers that a credential was created under. The zero value
// is that of an account of which nothing was ever revoked.
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
// Credentials of other kinds carry no numbers and are never alive.
func (s Subject) Alive(kind policy.Kind, n Numbers) bool {
	switch kind {
	case policy.KindSession, policy.KindToken:
		return s.ID != "" && !s.Disabled && n == s.Numbers(kind)
	}
	return false
}

// AliveSince is [Subject.Alive] for a bearer that carries no numbers, one that a host
// issued itself: it must have been created after everything of the account was last
// revoked. What was created in the same microsecond is dead.
func (s Subject) AliveSince(created time.Time) bool {
	// Revoked is cut to a microsecond, so created is too: else what is some nanoseconds
	// older than a revocation would live.
	return s.ID != "" && !s.Disabled && (s.Revoked.IsZero() || cut(created).After(s.Revoked))
}

// Key returns the key of the row of this user.
func Key(id protocol.UserID) string { return subjects.Key(string(id)) }

// Keys returns the keys that a [Subject] is decoded from: that of its own row, and that of
// the row of all accounts.
func Keys(id protocol.UserID) []string { return []string{Key(id), epochs.Key(everyone)} }

// Of returns the user whose row has this key; ok is false for other keys.
func Of(key string) (id protocol.UserID, ok bool) {
	text, ok := subjects.ID(key)
	return protocol.UserID(text), ok
}

// IsEveryone reports whether key is that of the row of all accounts: when it changes,
// every cached Subject is out of date.
func IsEveryone(key string) bool { return key == epochs.Key(everyone) }

// Get returns the subject of id as r has it, in one Get.
func Get(ctx context.Context, r store.Reader, id protocol.UserID) (Subject, error) {
	if id == "" {
		return Subject{}, ErrNoUser
	}
	items, err := r.Get(ctx, Keys(id)...)
	if err != nil {
		return Subject{}, fmt.Errorf("subject: %w", err)
	}
	return Decode(id, items)
}

// Decode returns the subject of id from the items of its [Keys], in that order and of one
// Get, for a caller who reads more in the same Get. A row that cannot be understood is an
// error and not an account of which nothing was recorded.
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
	switch all, err := epochs.Decode(items[1]); {
	case errors.Is(err, store.ErrNotFound):
	case err != nil:
		return Subject{}, fmt.Errorf("subject: row of all accounts: %w", err)
	default:
		sub.everyone = all.Number
		if all.Revoked.After(sub.Revoked) {
			sub.Revoked = all.Revoked
		}
	}
	sub.Evidence = []store.Evidence{items[0].Evidence(), items[1].Evidence()}
	return sub, nil
}

// numbers are an account's own.
type numbers struct {
	All      uint64 `json:"all,omitempty"`
	Sessions uint64 `json:"sessions,omitempty"`
	Tokens   uint64 `json:"tokens,omitempty"`
}

// record is a Subject as it is stored. A program refuses a record with a field that it
// does not know, so that a new one needs no other schema: an older node fails those whom
// it restricts, and reads all others as before.
type record struct {
	ID         string         `json:"id"`
	Disabled   bool           `json:"disabled,omitempty"`
	Numbers    numbers        `json:"numbers,omitzero"`
	Revoked    time.Time      `json:"not_before,omitzero"`
	TwoFactor  string         `json:"tfa,omitempty"` // "": off
	CIDRs      []netip.Prefix `json:"cidrs,omitempty"`
	Recovered  time.Time      `json:"recovered,omitzero"`
	HighImpact bool           `json:"high_impact,omitempty"`

	// Of the first edition, whose sessions are dead: dropped at the next write.
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
		ID: protocol.UserID(r.ID), Disabled: r.Disabled, TwoFactor: mode, CIDRs: r.CIDRs,
		Recovered: r.Recovered, HighImpact: r.HighImpact, Revoked: r.Revoked, numbers: r.Numbers,
	}, nil
}

// The modes as they are stored. An unknown one is an error: read as off it
// would let a password alone publish.
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
