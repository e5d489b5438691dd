// Package settings stores the settings that the maintainers of a package choose: npm's "publishing
// access", which says what a publish needs, whether only security keys count, whether only trusted
// publishers may publish and what is demanded of staged versions. It also stores all but the first for all
// packages of a scope, see [Scope].
//
//	m, err := settings.New(settings.Config{Store: st})
//	…
//	settings, err := m.Get(ctx, st, id)
//
// Settings belong to a package's immutable ID and not to its name, so that a package which is
// deleted and created anew begins with the default: a second factor, or a token that bypasses
// it. That default is the zero value of [policy.Settings]; nothing is stored until somebody
// changes it. Those of a scope belong to its name, as the packages in it do.
//
// # Concurrency
//
// A Manager is safe for concurrent use, also by several processes on one store.
package settings

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
)

// Config configures a [Manager].
type Config struct {
	// Store keeps the settings. Required.
	Store store.Store
}

// A Manager reads and writes the settings of packages. Make one with [New].
type Manager struct{ store store.Store }

// record is a package's settings as they are stored.
type record struct {
	ID protocol.PackageID `json:"id"`
	// A pointer, because the zero mode is the laxer one: a record without the field must not be
	// read as if it had that mode.
	Publish *protocol.PublishMode `json:"publish"`
	// An earlier version refuses a record that has one of these. It must not read it as one without.
	KeysOnly       bool `json:"keys_only,omitempty"`
	PublishersOnly bool `json:"publishers_only,omitempty"`
	staging
}

// staging is what a package and a scope say of staged versions.
type staging struct {
	StageOnly     bool  `json:"stage_only,omitempty"`
	Approvals     uint8 `json:"approvals,omitempty"`
	OtherApprover bool  `json:"other_approver,omitempty"`
}

// validate refuses what no version could have.
func (s staging) validate() error {
	if s.Approvals > policy.MaxApprovals {
		return fmt.Errorf("settings: %d approvals are more than %d", s.Approvals, policy.MaxApprovals)
	}
	return nil
}

func recordOf(id protocol.PackageID, s policy.Settings) *record {
	return &record{
		ID: id, Publish: &s.Publish, KeysOnly: s.KeysOnly, PublishersOnly: s.PublishersOnly, staging: staging{s.StageOnly, s.Approvals, s.OtherApprover},
	}
}

// scopeRecord is a scope's settings as they are stored.
type scopeRecord struct {
	Scope          string `json:"scope"`
	KeysOnly       bool   `json:"keys_only,omitempty"`
	PublishersOnly bool   `json:"publishers_only,omitempty"`
	staging
}

var (
	settings = store.NewTable("access", 1, func(r *record) string { return string(r.ID) })
	scopes   = store.NewTable("scope", 1, func(r *scopeRecord) string { return r.Scope })
)

var (
	errNoID    = errors.New("settings: a package needs an ID to have settings")
	errNoScope = errors.New("settings: a scope needs a name to have settings, which is without @")
)

// New returns a Manager, or an error naming the field of cfg that is wrong.
func New(cfg Config) (*Manager, error) {
	if cfg.Store == nil {
		return nil, errors.New("settings: Config.Store is required")
	}
	return &Manager{cfg.Store}, nil
}

// SettingsKey returns the key of a package's settings, for caches.
func SettingsKey(id protocol.PackageID) string { return settings.Key(string(id)) }

// PackageOf returns the package whose settings have this key; false for any other key.
func PackageOf(key string) (protocol.PackageID, bool) {
	id, ok := settings.ID(key)
	return protocol.PackageID(id), ok
}

// Get returns the settings of a package, read from r: the default if there are none. A nil r means
// the Manager's own store.
func (m *Manager) Get(ctx context.Context, r store.Reader, id protocol.PackageID) (policy.Settings, error) {
	if id == "" {
		return policy.Settings{}, errNoID
	}
	rec, err := settings.Get(ctx, store.ReaderOr(r, m.store), string(id))
	if errors.Is(err, store.ErrNotFound) {
		return policy.Settings{}, nil
	}
	if err != nil {
		return policy.Settings{}, fmt.Errorf("settings: %w", err)
	}
	if rec.Publish == nil {
		return policy.Settings{}, errors.New("settings: the stored record names no mode")
	}
	return policy.Settings{
		Publish: *rec.Publish, KeysOnly: rec.KeysOnly, PublishersOnly: rec.PublishersOnly,
		StageOnly: rec.StageOnly, Approvals: rec.Approvals, OtherApprover: rec.OtherApprover,
	}, nil
}

// Set changes the settings of a package in the caller's commit. It records no event: see [Changed]. More than
// [policy.MaxApprovals] are an error, as they are of Add and SetScope.
func (m *Manager) Set(ctx context.Context, tx *store.Tx, id protocol.PackageID, s policy.Settings) error {
	if id == "" {
		return errNoID
	}
	rec := recordOf(id, s)
	if err := rec.validate(); err != nil {
		return err
	}
	_, err := settings.Upsert(ctx, tx, string(id), func(r *record, _ bool) error {
		*r = *rec
		return nil
	})
	if err != nil {
		return fmt.Errorf("settings: %w", err)
	}
	return nil
}

// Add sets, in the caller's commit, the settings of those packages that have none in the store, and
// returns these packages. The others keep their settings.
func (m *Manager) Add(ctx context.Context, tx *store.Tx, packages ...Package) (added []Package, err error) {
	keys := make([]string, len(packages))
	for i, p := range packages {
		if p.ID == "" {
			return nil, errNoID
		}
		keys[i] = SettingsKey(p.ID)
	}
	if _, err := tx.Get(ctx, keys...); err != nil { // all of them in one trip
		return nil, fmt.Errorf("settings: %w", err)
	}
	for _, p := range packages {
		switch _, err := settings.Get(ctx, tx, string(p.ID)); {
		case err == nil:
			continue
		case !errors.Is(err, store.ErrNotFound):
			return nil, fmt.Errorf("settings: %s: %w", p.ID, err)
		}
		rec := recordOf(p.ID, p.Settings)
		if err := rec.validate(); err != nil {
			return nil, fmt.Errorf("%w, of package %s", err, p.ID)
		}
		if err := settings.Insert(ctx, tx, rec); err != nil {
			return nil, fmt.Errorf("settings: %s: %w", p.ID, err)
		}
		added = append(added, p)
	}
	return added, nil
}

// A Package is a package's ID and its settings.
type Package struct {
	ID       protocol.PackageID
	Settings policy.Settings
}

// Changed returns the event of a change of a package's settings to s.
func Changed(id protocol.PackageID, s policy.Settings) audit.Event {
	e := audit.Event{
		Type: audit.PackageRules, Outcome: audit.Done,
		Detail: map[string]string{
			"package_id": string(id), "publish": s.Publish.String(),
			"keys_only": strconv.FormatBool(s.KeysOnly), "publishers_only": strconv.FormatBool(s.PublishersOnly),
		},
	}
	staging{s.StageOnly, s.Approvals, s.OtherApprover}.tell(e.Detail)
	return e
}

// tell adds what is said of staged versions, also that nothing is: it may have been taken back.
func (s staging) tell(detail map[string]string) {
	detail["stage_only"], detail["other_approver"] = strconv.FormatBool(s.StageOnly), strconv.FormatBool(s.OtherApprover)
	detail["approvals"] = strconv.Itoa(max(1, int(s.Approvals)))
}

// A Scope is what those who administer a scope set for all packages in it, those included that are yet
// to be created. The zero value is the default.
type Scope struct {
	// KeysOnly is [policy.Settings].KeysOnly of each of its packages. Of a scope that is an
	// organization's it is also that of the organization.
	KeysOnly bool
	// PublishersOnly is [policy.Settings].PublishersOnly of each of its packages.
	PublishersOnly bool
	// StageOnly, Approvals and OtherApprover are those of [policy.Settings]. The stricter of a package and its
	// scope holds.
	StageOnly     bool
	Approvals     uint8
	OtherApprover bool
}

// Narrow returns the settings of a package with what its scope demands besides.
func (s Scope) Narrow(p policy.Settings) policy.Settings {
	p.KeysOnly = p.KeysOnly || s.KeysOnly
	p.PublishersOnly = p.PublishersOnly || s.PublishersOnly
	p.StageOnly = p.StageOnly || s.StageOnly
	p.Approvals = max(p.Approvals, s.Approvals)
	p.OtherApprover = p.OtherApprover || s.OtherApprover
	return p
}

// ScopeKey returns the key of a scope's settings, for caches. The scope is a name without @.
func ScopeKey(scope string) string { return scopes.Key(scope) }

// ScopeOf returns the scope whose settings have this key; false for any other key.
func ScopeOf(key string) (string, bool) { return scopes.ID(key) }

// Scope returns the settings of a scope, read from r: the default if there are none. A nil r means the
// Manager's own store.
func (m *Manager) Scope(ctx context.Context, r store.Reader, scope string) (Scope, error) {
	if scope == "" {
		return Scope{}, errNoScope
	}
	rec, err := scopes.Get(ctx, store.ReaderOr(r, m.store), scope)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return Scope{}, nil
	case err != nil:
		return Scope{}, fmt.Errorf("settings: %w", err)
	}
	return Scope{rec.KeysOnly, rec.PublishersOnly, rec.StageOnly, rec.Approvals, rec.OtherApprover}, nil
}

// SetScope changes the settings of a scope in the caller's commit. It records no event: see
// [ScopeChanged].
func (m *Manager) SetScope(ctx context.Context, tx *store.Tx, scope string, s Scope) error {
	if !protocol.ValidOrg(scope) {
		return errNoScope
	}
	rec := scopeRecord{
		Scope: scope, KeysOnly: s.KeysOnly, PublishersOnly: s.PublishersOnly, staging: staging{s.StageOnly, s.Approvals, s.OtherApprover},
	}
	if err := rec.validate(); err != nil {
		return err
	}
	_, err := scopes.Upsert(ctx, tx, scope, func(r *scopeRecord, _ bool) error {
		*r = rec
		return nil
	})
	if err != nil {
		return fmt.Errorf("settings: %w", err)
	}
	return nil
}

// ScopeChanged returns the event of a change of a scope's settings to s.
func ScopeChanged(scope string, s Scope) audit.Event {
	e := audit.Event{
		Type: audit.ScopeRules, Outcome: audit.Done,
		Detail: map[string]string{
			"scope": scope, "keys_only": strconv.FormatBool(s.KeysOnly), "publishers_only": strconv.FormatBool(s.PublishersOnly),
		},
	}
	staging{s.StageOnly, s.Approvals, s.OtherApprover}.tell(e.Detail)
	return e
}
