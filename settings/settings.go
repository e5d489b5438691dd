// Package settings stores the settings that the maintainers of a package choose: npm's "publishing
// access", which says what a publish needs.
//
//	m, err := settings.New(settings.Config{Store: st})
//	…
//	settings, err := m.Get(ctx, st, id)
//
// Settings belong to a package's immutable ID and not to its name, so that a package which is
// deleted and created anew begins with the default: a second factor, or a token that bypasses
// it. That default is the zero value of [policy.Settings]; nothing is stored until somebody
// changes it.
//
// # Concurrency
//
// A Manager is safe for concurrent use, also by several processes on one store.
package settings

import (
	"context"
	"errors"
	"fmt"

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
}

var settings = store.NewTable("access", 1, func(r *record) string { return string(r.ID) })

var errNoID = errors.New("settings: a package needs an ID to have settings")

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
	return policy.Settings{Publish: *rec.Publish}, nil
}

// Set changes the settings of a package in the caller's commit. It records no event: see [Changed].
func (m *Manager) Set(ctx context.Context, tx *store.Tx, id protocol.PackageID, s policy.Settings) error {
	if id == "" {
		return errNoID
	}
	_, err := settings.Upsert(ctx, tx, string(id), func(r *record, _ bool) error {
		*r = record{ID: id, Publish: &s.Publish}
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
		if err := settings.Insert(ctx, tx, &record{ID: p.ID, Publish: &p.Settings.Publish}); err != nil {
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
	return audit.Event{
		Type: audit.PackageRules, Outcome: audit.Done,
		Detail: map[string]string{"package_id": string(id), "publish": s.Publish.String()},
	}
}
