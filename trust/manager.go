package trust

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
)

// Errors of a [Manager] to branch on. Others are an [*InvalidError], [ErrInvalidToken] and a
// [*MismatchError].
var (
	// ErrNotFound means that the package or scope has no such publisher, or that there is no such token.
	ErrNotFound = errors.New("trust: not found")
	// ErrDuplicate means that the package or scope has a publisher of the same issuer that expects the same.
	ErrDuplicate = errors.New("trust: there is this publisher")
	// ErrTooMany means that the package or scope has as many publishers as ManagerConfig.Publishers allows, or that all of
	// them together are too long.
	ErrTooMany = errors.New("trust: too many publishers")
	// ErrUsed means that the ID token was exchanged for the package before.
	ErrUsed = errors.New("trust: the ID token was used")
	// ErrMismatch is wrapped by every [MismatchError].
	ErrMismatch = errors.New("trust: no publisher matches the ID token")
)

// The defaults and limits of a [ManagerConfig].
const (
	defaultPublishers = 10 // as on npmjs.com
	maxPublishers     = 50
	defaultTokenTTL   = 15 * time.Minute
	minTokenTTL       = time.Second
	maxTokenTTL       = time.Hour
)

// A ManagerConfig configures a [Manager].
type ManagerConfig struct {
	// Store keeps the publishers and the tokens. Required.
	Store store.Store

	// Issuers are those whose publishers can be added and whose ID tokens are exchanged. No two have the same URL.
	// With none a Manager lists and removes what publishers there are, and refuses the rest.
	Issuers []Issuer

	// Publishers is how many a package may have, and how many a scope. Zero means 10, as on npmjs.com. More than 50 and negative
	// numbers are errors. Fewer than before removes none.
	Publishers int

	// TokenTTL is how long a token lives that an ID token is exchanged for. Zero means 15 minutes. Less than a
	// second and more than an hour are errors.
	TokenTTL time.Duration

	// Events records every change in the commit that makes it. Nil records nothing.
	Events *audit.Recorder

	// Now returns the current time. Nil means time.Now.
	Now func() time.Time
}

// A Manager keeps the trusted publishers of packages and scopes, and exchanges ID tokens for tokens. Make one with
// [NewManager]. It is safe for concurrent use, also by several processes on one store.
//
// Who may add and remove publishers is for package policy to decide: a Manager does not check it. The
// [audit.Actor] is the account that makes the request, the zero one the operator.
type Manager struct {
	store      store.Store
	issuers    []Issuer
	publishers int
	ttl        time.Duration
	events     *audit.Recorder
	now        func() time.Time
}

// NewManager returns a Manager, or an error naming the field of cfg that is wrong.
func NewManager(cfg ManagerConfig) (*Manager, error) {
	if cfg.Store == nil {
		return nil, errors.New("trust: ManagerConfig.Store is missing")
	}
	if err := ValidateIssuers(cfg.Issuers); err != nil {
		return nil, fmt.Errorf("trust: ManagerConfig.Issuers: %w", err)
	}
	if cfg.Publishers < 0 || cfg.Publishers > maxPublishers {
		return nil, fmt.Errorf("trust: ManagerConfig.Publishers must be 0 to %d, not %d", maxPublishers, cfg.Publishers)
	}
	if cfg.Publishers == 0 {
		cfg.Publishers = defaultPublishers
	}
	if cfg.TokenTTL != 0 && (cfg.TokenTTL < minTokenTTL || cfg.TokenTTL > maxTokenTTL) {
		return nil, fmt.Errorf("trust: ManagerConfig.TokenTTL must be %v to %v, not %v", minTokenTTL, maxTokenTTL, cfg.TokenTTL)
	}
	if cfg.TokenTTL == 0 {
		cfg.TokenTTL = defaultTokenTTL
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Manager{cfg.Store, cloneIssuers(cfg.Issuers), cfg.Publishers, cfg.TokenTTL, cfg.Events, cfg.Now}, nil
}

// Issuers returns the issuers of the ManagerConfig.
func (m *Manager) Issuers() []Issuer { return cloneIssuers(m.issuers) }

func cloneIssuers(issuers []Issuer) []Issuer {
	issuers = slices.Clone(issuers)
	for i := range issuers {
		issuers[i].Claims = slices.Clone(issuers[i].Claims)
		for j := range issuers[i].Claims {
			issuers[i].Claims[j].OneOf = slices.Clone(issuers[i].Claims[j].OneOf)
		}
	}
	return issuers
}

// issuer returns the issuer with a URL.
func (m *Manager) issuer(url string) (Issuer, bool) {
	i := slices.IndexFunc(m.issuers, func(i Issuer) bool { return i.URL == url })
	if i < 0 {
		return Issuer{}, false
	}
	return m.issuers[i], true
}

// A Package is a package by its ID, to which its publishers and tokens belong, and the name that it has, which
// events and the grants of tokens have. Both are required.
type Package struct {
	ID   protocol.PackageID
	Name protocol.PackageName
	// Org is the ID of the organization that has the name of the package's scope, whose publishers publish the package,
	// too. "" is none: the package has its own publishers alone.
	Org protocol.OrgID
}

// targets returns what the publishers belong to whose jobs may publish p: p, and its scope if that has an organization.
func (p Package) targets() []Target {
	if s := (Scope{p.Name.Scope, p.Org}); s.validate() == nil {
		return []Target{p, s}
	}
	return []Target{p}
}

func (p Package) validate() error {
	if p.ID == "" {
		return errNoID
	}
	if err := p.Name.Validate(); err != nil {
		return fmt.Errorf("trust: Package.Name: %w", err)
	}
	return nil
}

var errNoID = errors.New("trust: a package needs an ID to have publishers")

// instant returns the current time as a record keeps it.
func (m *Manager) instant() time.Time { return m.now().UTC().Truncate(time.Microsecond) }

func timeOf(micros int64) time.Time { return time.UnixMicro(micros).UTC() }

// tell records what was done, in the commit of tx.
func (m *Manager) tell(ctx context.Context, tx *store.Tx, by audit.Actor, e audit.Event) error {
	e.Outcome = audit.Done
	return m.events.Commit(ctx, tx, e.From(by))
}

// Add is [Manager.AddTx] in a commit of its own.
func (m *Manager) Add(ctx context.Context, by audit.Actor, to Target, p Publisher) (added Record, err error) {
	err = store.Transact(ctx, m.store, func(tx *store.Tx) (err error) {
		added, err = m.AddTx(ctx, tx, by, to, p)
		return err
	})
	return added, err
}

// AddPending is [Manager.AddPendingTx] in a commit of its own.
func (m *Manager) AddPending(ctx context.Context, by audit.Actor, name protocol.PackageName, p Publisher) (added Pending, err error) {
	err = store.Transact(ctx, m.store, func(tx *store.Tx) (err error) {
		added, err = m.AddPendingTx(ctx, tx, by, name, p)
		return err
	})
	return added, err
}

// Remove is [Manager.RemoveTx] in a commit of its own.
func (m *Manager) Remove(ctx context.Context, by audit.Actor, from Target, id string) error {
	return store.Transact(ctx, m.store, func(tx *store.Tx) error { return m.RemoveTx(ctx, tx, by, from, id) })
}

// RevokeToken is [Manager.RevokeTokenTx] in a commit of its own.
func (m *Manager) RevokeToken(ctx context.Context, by audit.Actor, id, reason string) (t Token, err error) {
	err = store.Transact(ctx, m.store, func(tx *store.Tx) (err error) {
		t, err = m.RevokeTokenTx(ctx, tx, by, id, reason)
		return err
	})
	return t, err
}
