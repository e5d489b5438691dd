package account

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/internal/cidr"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/store"
)

// A Subject is what npmauth itself knows of an account, whoever keeps its name
// and password. An account of which nothing was ever recorded is not disabled,
// has no second factor and no not-before.
type Subject struct {
	ID       policy.UserID
	Disabled bool
	// NotBefore is when the last RevokeAll or RevokeEveryone was: credentials of
	// any kind that were created before it are dead. SessionsNotBefore is the same
	// for sessions alone. Zero: none are.
	NotBefore         time.Time
	SessionsNotBefore time.Time
	// SessionKept is the public ID of the one session that SessionsNotBefore does not
	// end: the one in which the password was changed. "": none.
	SessionKept string
	TwoFactor   policy.TwoFactorMode // never unknown
	// CIDRs are the ranges that every credential of the account may be used from, each
	// in its own ranges as well. Empty: from anywhere.
	CIDRs []netip.Prefix
	// Recovered is when a recovery code was last used or the address last changed.
	// Zero: never.
	Recovered time.Time
	// HighImpact is an account that many depend on, as [Subjects.SetHighImpact] said.
	HighImpact bool
}

// subject is a Subject as it is stored. A program refuses a record with a field that it
// does not know, so that a new one needs no other schema: an older node fails those whom
// it restricts, and reads all others as before.
type subject struct {
	ID                string         `json:"id"`
	Disabled          bool           `json:"disabled,omitempty"`
	NotBefore         time.Time      `json:"not_before,omitzero"`
	SessionsNotBefore time.Time      `json:"sessions_not_before,omitzero"`
	SessionKept       string         `json:"session_kept,omitempty"`
	TwoFactor         string         `json:"tfa,omitempty"` // "": off
	CIDRs             []netip.Prefix `json:"cidrs,omitempty"`
	Recovered         time.Time      `json:"recovered,omitzero"`
	HighImpact        bool           `json:"high_impact,omitempty"`
}

var subjects = store.NewTable("subject", 1, func(s *subject) string { return s.ID })

// SubjectKey returns the key under which the subject of this user is stored.
func SubjectKey(id policy.UserID) string { return subjects.Key(string(id)) }

// SubjectKeys returns the keys that a subject is decoded from: its own, and that of
// what holds for everyone.
func SubjectKeys(id policy.UserID) []string {
	return []string{SubjectKey(id), epochs.Key(everyone)}
}

// SubjectOf returns whose subject the key is; ok is false for other keys.
func SubjectOf(key string) (id policy.UserID, ok bool) {
	text, ok := subjects.ID(key)
	return policy.UserID(text), ok
}

// DecodeSubject returns the subject of id from what was read, in one Get, under its
// [SubjectKeys], so that it can be read together with other keys. An absent
// item is an account of which nothing was recorded; a record that cannot be
// understood is an error and not that.
func DecodeSubject(id policy.UserID, items []store.Item) (Subject, error) {
	if id == "" {
		return Subject{}, ErrNoUser
	}
	keys := SubjectKeys(id)
	if len(items) != len(keys) || items[0].Key != keys[0] || items[1].Key != keys[1] {
		return Subject{}, errors.New("account: the items are not those of the subject that was asked for")
	}
	all, err := notBefore(items[1])
	if err != nil {
		return Subject{}, err
	}
	sub := Subject{ID: id, TwoFactor: policy.TwoFactorOff}
	rec, err := subjects.Decode(items[0])
	if err == nil {
		sub, err = rec.open()
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return Subject{}, fmt.Errorf("account: subject: %w", err)
	}
	sub.NotBefore = later(sub.NotBefore, all)
	return sub, nil
}

func (s *subject) open() (Subject, error) {
	mode, err := parseMode(s.TwoFactor)
	if err != nil {
		return Subject{}, err
	}
	if slices.ContainsFunc(s.CIDRs, func(p netip.Prefix) bool { return !p.IsValid() }) {
		return Subject{}, errors.New("account: a subject has a range that is no CIDR")
	}
	return Subject{
		ID:                policy.UserID(s.ID),
		Disabled:          s.Disabled,
		NotBefore:         s.NotBefore,
		SessionsNotBefore: s.SessionsNotBefore,
		SessionKept:       s.SessionKept,
		TwoFactor:         mode,
		CIDRs:             s.CIDRs,
		Recovered:         s.Recovered,
		HighImpact:        s.HighImpact,
	}, nil
}

// The modes as they are stored. An unknown one is an error: read as off it
// would let a password alone publish.
func parseMode(text string) (policy.TwoFactorMode, error) {
	switch text {
	case "":
		return policy.TwoFactorOff, nil
	case "auth-only":
		return policy.AuthOnly, nil
	case "auth-and-writes":
		return policy.AuthAndWrites, nil
	}
	return policy.TwoFactorUnknown, fmt.Errorf("account: unknown two-factor mode %q", text)
}

func formatMode(mode policy.TwoFactorMode) (string, error) {
	switch mode {
	case policy.TwoFactorOff:
		return "", nil
	case policy.AuthOnly:
		return "auth-only", nil
	case policy.AuthAndWrites:
		return "auth-and-writes", nil
	}
	return "", fmt.Errorf("account: unknown two-factor mode %d", mode)
}

// SubjectsConfig configures [Subjects].
type SubjectsConfig struct {
	// Store keeps the subjects. Required.
	Store store.Store

	// Now returns the current time. Nil means time.Now.
	Now func() time.Time

	// Record receives events, after what they tell of is durable: that an account was
	// disabled, enabled, restricted to addresses, or that what it has was ended. Nil
	// discards them.
	Record func(ctx context.Context, e audit.Event)
}

// Subjects changes what is recorded of accounts. The IDs are the host's and
// are not checked for existence. It is safe for concurrent use.
type Subjects struct {
	store  store.Store
	now    func() time.Time
	record func(context.Context, audit.Event)
}

// NewSubjects returns Subjects, or an error naming the field of cfg that is
// wrong.
func NewSubjects(cfg SubjectsConfig) (*Subjects, error) {
	if cfg.Store == nil {
		return nil, errors.New("account: SubjectsConfig.Store is required")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Record == nil {
		cfg.Record = func(context.Context, audit.Event) {}
	}
	return &Subjects{store: cfg.Store, now: cfg.Now, record: cfg.Record}, nil
}

// Get returns the subject of id as r has it; nil reads from the store. "" is
// [ErrNoUser].
func (s *Subjects) Get(ctx context.Context, r store.Reader, id policy.UserID) (Subject, error) {
	if id == "" {
		return Subject{}, ErrNoUser
	}
	if r == nil {
		r = s.store
	}
	items, err := r.Get(ctx, SubjectKeys(id)...)
	if err != nil {
		return Subject{}, fmt.Errorf("account: subject: %w", err)
	}
	return DecodeSubject(id, items)
}

// Disable refuses the account everything, at once and until Enable. Its
// credentials are not revoked: those that have not expired work again after
// Enable, unless RevokeAll was called as well.
func (s *Subjects) Disable(ctx context.Context, id policy.UserID) error {
	return s.changed(ctx, id, audit.Event{Type: audit.AccountOff}, func(rec *subject) { rec.Disabled = true })
}

// Enable undoes Disable.
func (s *Subjects) Enable(ctx context.Context, id policy.UserID) error {
	return s.changed(ctx, id, audit.Event{Type: audit.AccountOn}, func(rec *subject) { rec.Disabled = false })
}

// RevokeAll ends every credential of the account that was created until now:
// one write, however many there are. Clocks decide what came first, so a
// credential made a moment ago on a node whose clock is ahead survives by as
// much as it is.
func (s *Subjects) RevokeAll(ctx context.Context, id policy.UserID) error {
	at := s.until()
	return s.changed(ctx, id, audit.Event{Type: audit.AccountRevoked}, func(rec *subject) { rec.NotBefore = later(rec.NotBefore, at) })
}

// EndSessions ends every session of the account that was created until now,
// and no token.
func (s *Subjects) EndSessions(ctx context.Context, id policy.UserID) error {
	at := s.until()
	return s.changed(ctx, id, audit.Event{Type: audit.SessionEnded, Reasons: []string{"all"}}, func(rec *subject) {
		rec.SessionsNotBefore, rec.SessionKept = later(rec.SessionsNotBefore, at), ""
	})
}

// EndOtherSessions is EndSessions in the caller's commit, and without an event of its own,
// for all sessions but the one with the public ID kept, which was created at that time. It
// brings none back: where that one was ended with others it is [ErrSessionEnded].
func (s *Subjects) EndOtherSessions(ctx context.Context, tx *store.Tx, id policy.UserID, kept string, created time.Time) error {
	at, over := s.until(), false
	err := upsert(ctx, tx, id, func(rec *subject) {
		over = rec.SessionKept != kept && !rec.SessionsNotBefore.IsZero() && !created.After(rec.SessionsNotBefore)
		if !over {
			rec.SessionsNotBefore, rec.SessionKept = later(rec.SessionsNotBefore, at), kept
		}
	})
	if err == nil && over {
		err = ErrSessionEnded
	}
	return err
}

// until returns the first instant that a store can tell from now. Creation
// times are cut to microseconds, so one of this very microsecond may lie
// before the call.
func (s *Subjects) until() time.Time {
	return s.now().UTC().Truncate(time.Microsecond).Add(time.Microsecond)
}

// later keeps what was revoked revoked when a clock is set back.
func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// SetTwoFactor records, in tx, for what the account's second factor is asked.
// The caller enrols or removes the factor in the same tx.
func (s *Subjects) SetTwoFactor(ctx context.Context, tx *store.Tx, id policy.UserID, mode policy.TwoFactorMode) error {
	text, err := formatMode(mode)
	if err != nil {
		return err
	}
	return upsert(ctx, tx, id, func(rec *subject) { rec.TwoFactor = text })
}

// SetCIDRs says from where every credential of the account may be used, in place of
// what held before; none means from anywhere. A range is written with its first address,
// and an IPv4 one never as IPv6; there are at most 50. [ErrCIDR] says which rule is
// broken.
func (s *Subjects) SetCIDRs(ctx context.Context, id policy.UserID, ranges []netip.Prefix) error {
	if problem := cidr.Problem(ranges); problem != "" {
		return fmt.Errorf("%w: the list %s", ErrCIDR, problem)
	}
	ranges = slices.Clone(ranges)
	texts := make([]string, len(ranges))
	for i, p := range ranges {
		texts[i] = p.String()
	}
	e := audit.Event{Type: audit.AccountRanges, Detail: map[string]string{"cidr": strings.Join(texts, " ")}}
	return s.changed(ctx, id, e, func(rec *subject) { rec.CIDRs = ranges })
}

// SetHighImpact says whether many depend on the account, for whoever counts downloads or
// dependents. After it was recovered such an account is held for a while, see
// [Subjects.Recovered].
func (s *Subjects) SetHighImpact(ctx context.Context, id policy.UserID, many bool) error {
	return s.change(ctx, id, func(rec *subject) { rec.HighImpact = many })
}

// Recovered notes that the account was taken up again other than by its ordinary
// factors: by a recovery code, or by an address that was changed. An account that many
// depend on is then held for a while, see [policy.Limits].HighImpactHold. It is noted in
// tx; a nil one makes a commit of its own.
//
// A host that keeps e-mail addresses itself calls it when one changes.
func (s *Subjects) Recovered(ctx context.Context, tx *store.Tx, id policy.UserID) error {
	at := s.now().UTC().Truncate(time.Microsecond)
	note := func(rec *subject) { rec.Recovered = later(rec.Recovered, at) }
	if tx == nil {
		return s.change(ctx, id, note)
	}
	return upsert(ctx, tx, id, note)
}

// changed makes a change and tells of it.
func (s *Subjects) changed(ctx context.Context, id policy.UserID, e audit.Event, fn func(*subject)) error {
	if err := s.change(ctx, id, fn); err != nil {
		return err
	}
	e.Time, e.Outcome, e.User = s.now(), audit.Done, id
	s.record(ctx, e)
	return nil
}

func (s *Subjects) change(ctx context.Context, id policy.UserID, fn func(*subject)) error {
	return store.Transact(ctx, s.store, func(tx *store.Tx) error { return upsert(ctx, tx, id, fn) })
}

func upsert(ctx context.Context, tx *store.Tx, id policy.UserID, fn func(*subject)) error {
	if id == "" {
		return ErrNoUser
	}
	_, err := subjects.Upsert(ctx, tx, string(id), func(rec *subject, found bool) error {
		rec.ID = string(id)
		// What cannot be understood must not be overwritten as if it were.
		if _, err := rec.open(); err != nil {
			return err
		}
		fn(rec)
		return nil
	})
	if err != nil {
		return fmt.Errorf("account: subject: %w", err)
	}
	return nil
}
