package subject

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
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
)

// ErrCIDR means that an account cannot have these CIDR ranges. The reason is part of the text
// and may be shown.
var ErrCIDR = errors.New("subject: invalid address ranges")

// Config configures a [Manager].
type Config struct {
	// Store keeps the subjects. Required.
	Store store.Store

	// Events records each change in the commit that makes it. Nil records nothing.
	Events *audit.Recorder

	// Now returns the current time. Nil means time.Now.
	Now func() time.Time
}

// A Manager changes the rows of accounts, each change in a commit of its own together with its
// event. User IDs are the host's and are not checked for existence. A method that changes something
// takes the actor: the zero [audit.Actor] is the operator. An error that wraps [store.ErrUnknown]
// means that the change may have happened: repeat the call.
type Manager struct {
	store  store.Store
	events *audit.Recorder
	now    func() time.Time
}

// New returns a Manager, or an error naming the field of cfg that is wrong.
func New(cfg Config) (*Manager, error) {
	if cfg.Store == nil {
		return nil, errors.New("subject: Config.Store is required")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Manager{store: cfg.Store, events: cfg.Events, now: cfg.Now}, nil
}

// Get returns the subject of id. It is [Get] on the Manager's store.
func (m *Manager) Get(ctx context.Context, id protocol.UserID) (Subject, error) {
	return Get(ctx, m.store, id)
}

// Disable denies everything to the account, at once and until [Manager.Enable]. Its credentials are
// not revoked: those that have not expired work after Enable, unless they are revoked as well.
func (m *Manager) Disable(ctx context.Context, by audit.Actor, id protocol.UserID) error {
	return m.change(ctx, by, id, audit.Event{Type: audit.AccountOff}, func(r *record) { r.Disabled = true })
}

// Enable undoes Disable.
func (m *Manager) Enable(ctx context.Context, by audit.Actor, id protocol.UserID) error {
	return m.change(ctx, by, id, audit.Event{Type: audit.AccountOn}, func(r *record) { r.Disabled = false })
}

// SetCIDRs restricts every credential of the account to these IP ranges, in place of the
// present ones; an empty list lifts the restriction. A range is written with its first IP
// address, and an IPv4 one never as IPv6; there are at most 50. [ErrCIDR] says which rule is
// broken.
func (m *Manager) SetCIDRs(ctx context.Context, by audit.Actor, id protocol.UserID, ranges []netip.Prefix) error {
	if problem := cidr.Problem(ranges); problem != "" {
		return fmt.Errorf("%w: the list %s", ErrCIDR, problem)
	}
	ranges = slices.Clone(ranges)
	texts := make([]string, len(ranges))
	for i, p := range ranges {
		texts[i] = p.String()
	}
	e := audit.Event{Type: audit.AccountRanges, Detail: map[string]string{"cidr": strings.Join(texts, " ")}}
	return m.change(ctx, by, id, e, func(r *record) { r.CIDRs = ranges })
}

// SetHighImpact records whether many packages depend on the account, for an operator who counts
// downloads or dependents. Such an account can only read for a while after it was recovered,
// see [Recover].
func (m *Manager) SetHighImpact(ctx context.Context, by audit.Actor, id protocol.UserID, many bool) error {
	e := audit.Event{Type: audit.AccountImpact, Detail: map[string]string{"high": fmt.Sprint(many)}}
	return m.change(ctx, by, id, e, func(r *record) { r.HighImpact = many })
}

// Recovered is [Recover] in a commit of its own, for a host that keeps e-mail addresses or
// passwords itself: after it changed an address, or an operator set a password.
func (m *Manager) Recovered(ctx context.Context, by audit.Actor, id protocol.UserID) error {
	return store.Transact(ctx, m.store, func(tx *store.Tx) error {
		if err := Recover(ctx, tx, id, m.now()); err != nil {
			return err
		}
		return m.record(ctx, tx, by, id, audit.Event{Type: audit.AccountRecovered})
	})
}

// RevokeAll ends every credential of the account: [Revoke] with [Everything], in a commit
// of its own.
func (m *Manager) RevokeAll(ctx context.Context, by audit.Actor, id protocol.UserID) error {
	return m.revoke(ctx, by, id, Everything, audit.Event{Type: audit.AccountRevoked})
}

// EndSessions ends every session of the account and no token.
func (m *Manager) EndSessions(ctx context.Context, by audit.Actor, id protocol.UserID) error {
	return m.revoke(ctx, by, id, Sessions, audit.Event{Type: audit.SessionEnded, Reasons: []string{"all"}})
}

// RevokeTokens revokes every granular token of the account, and no session and no bearer token
// of the host's own. [token.Manager.RevokeAll] does the same.
//
// [token.Manager.RevokeAll]: https://pkg.go.dev/github.com/npmauth/npmauth/token#Manager.RevokeAll
func (m *Manager) RevokeTokens(ctx context.Context, by audit.Actor, id protocol.UserID) error {
	return m.revoke(ctx, by, id, Tokens, audit.Event{Type: audit.TokenRevoked, Reasons: []string{"all"}})
}

func (m *Manager) revoke(ctx context.Context, by audit.Actor, id protocol.UserID, scope Scope, e audit.Event) error {
	return store.Transact(ctx, m.store, func(tx *store.Tx) error {
		if _, err := Revoke(ctx, tx, id, scope, m.now()); err != nil {
			return err
		}
		return m.record(ctx, tx, by, id, e)
	})
}

// RevokeEveryone ends every credential of every account, in one write. It must follow a restore
// from a backup, in which credentials that were revoked since are alive.
func (m *Manager) RevokeEveryone(ctx context.Context, by audit.Actor) error {
	return store.Transact(ctx, m.store, func(tx *store.Tx) error { return m.revokeEveryone(ctx, tx, by) })
}

func (m *Manager) revokeEveryone(ctx context.Context, tx *store.Tx, by audit.Actor) error {
	if err := RevokeEveryone(ctx, tx, m.now()); err != nil {
		return err
	}
	return m.record(ctx, tx, by, "", audit.Event{Type: audit.AllRevoked})
}

func (m *Manager) change(ctx context.Context, by audit.Actor, id protocol.UserID, e audit.Event, fn func(*record)) error {
	return store.Transact(ctx, m.store, func(tx *store.Tx) error {
		if err := update(ctx, tx, id, fn); err != nil {
			return err
		}
		return m.record(ctx, tx, by, id, e)
	})
}

// record records an event of the account of id in the commit.
func (m *Manager) record(ctx context.Context, tx *store.Tx, by audit.Actor, id protocol.UserID, e audit.Event) error {
	e.Outcome, e.User = audit.Done, id
	return m.events.Commit(ctx, tx, e.From(by))
}
