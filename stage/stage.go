// Package stage keeps which versions of packages are staged: sent to a registry, and published when people
// have approved them.
//
//	m, err := stage.New(stage.Config{Store: st})
//	…
//	v, err := m.AddTx(ctx, tx, by, stage.Version{Package: name, PackageID: id, Change: change, By: stage.Stager{User: user}})
//	…
//	v, done, err := m.ApproveTx(ctx, tx, by, v.ID, stage.Approval{User: approver}, 1, mayStillApprove)
//
// What was sent is the registry's to keep, under the ID of the staged version: here is what it will do, who staged
// it and who has approved it. Who may do so is for package policy to decide; a Manager does not check it.
//
// A package has each version staged once at a time. A staged version ends when it is rejected, when it was
// published, or at its expiry.
//
// # Concurrency
//
// A Manager is safe for concurrent use, also by several processes on one store.
package stage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
)

// Errors to branch on.
var (
	// ErrNotFound means that there is no such staged version, or that it has expired.
	ErrNotFound = errors.New("stage: not found")
	// ErrStaged means that the package has this version staged.
	ErrStaged = errors.New("stage: the version is staged")
	// ErrTooMany means that the package has as many staged versions as Config.Versions allows, or who stages
	// has for names that no package has.
	ErrTooMany = errors.New("stage: too many staged versions")
)

// Limits of a [Config].
const (
	defaultTTL      = 14 * 24 * time.Hour
	maxTTL          = 90 * 24 * time.Hour
	defaultVersions = 100
	maxVersions     = 1000
)

// Config configures a [Manager].
type Config struct {
	// Store keeps the staged versions. Required.
	Store store.Store

	// TTL is how long a version stays staged. Zero means 14 days; npm documents no time. Less than a minute
	// and more than 90 days are errors.
	TTL time.Duration

	// Versions is how many versions of a package may be staged at a time, and how many of one user for all names that no
	// package has. Zero means 100; more than 1000 and negative numbers are errors.
	Versions int

	// Events records every staged version and what is decided about it. Nil records nothing.
	Events *audit.Recorder

	// Now returns the current time. Nil means time.Now.
	Now func() time.Time
}

// A Manager keeps staged versions. Make one with [New].
type Manager struct {
	store    store.Store
	ttl      time.Duration
	versions int
	events   *audit.Recorder
	now      func() time.Time
}

// New returns a Manager, or an error naming the field of cfg that is wrong.
func New(cfg Config) (*Manager, error) {
	if cfg.Store == nil {
		return nil, errors.New("stage: Config.Store is missing")
	}
	if cfg.TTL == 0 {
		cfg.TTL = defaultTTL
	}
	if cfg.TTL < time.Minute || cfg.TTL > maxTTL {
		return nil, fmt.Errorf("stage: Config.TTL must be a minute to 90 days, not %v", cfg.TTL)
	}
	if cfg.Versions == 0 {
		cfg.Versions = defaultVersions
	}
	if cfg.Versions < 0 || cfg.Versions > maxVersions {
		return nil, fmt.Errorf("stage: Config.Versions must be 1 to %d, not %d", maxVersions, cfg.Versions)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Manager{cfg.Store, cfg.TTL, cfg.Versions, cfg.Events, cfg.Now}, nil
}

// instant returns the current time as a record keeps it.
func (m *Manager) instant() time.Time { return m.now().UTC().Truncate(time.Microsecond) }

// A Version is a staged version.
type Version struct {
	ID        string // a UUID, by which npm names it
	Package   protocol.PackageName
	PackageID protocol.PackageID // "" if the package did not exist when it was staged
	Change    protocol.Change    // what publishing it does: its version, tags, access and integrity
	By        Stager
	Created   time.Time
	Expires   time.Time // the first instant at which it is staged no more
	Approvals []Approval
}

// A Stager is who staged a version: a user, or a trusted publisher.
type Stager struct {
	User       protocol.UserID `json:"user,omitempty"`
	Name       string          `json:"name,omitempty"`       // of the user
	Credential string          `json:"credential,omitempty"` // the public ID of the one it was staged with

	// Of a trusted publisher, as package trust has them.
	Publisher string            `json:"publisher,omitempty"` // its ID
	Type      string            `json:"type,omitempty"`
	Issuer    string            `json:"issuer,omitempty"`
	Run       map[string]string `json:"run,omitempty"`
}

// An Approval is that of one person.
type Approval struct {
	User  protocol.UserID `json:"user"`
	Name  string          `json:"name"`
	At    time.Time       `json:"at"`
	Proof policy.Proof    `json:"proof"` // the second factor that was shown
}

// Staged returns v as a policy reads it.
func (v Version) Staged() policy.Staged {
	s := policy.Staged{By: v.By.User}
	for _, a := range v.Approvals {
		s.Approvals = append(s.Approvals, a.User)
	}
	return s
}

// NewID returns an ID for a version that is about to be staged.
func NewID() string { return credential.NewID() }

// Get returns a staged version, read from r; a nil r means the Manager's own store. One that is not there is
// [ErrNotFound], and so is one that has expired.
func (m *Manager) Get(ctx context.Context, r store.Reader, id string) (Version, error) {
	rec, err := staged.Get(ctx, store.ReaderOr(r, m.store), id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return Version{}, ErrNotFound
	case err != nil:
		return Version{}, fmt.Errorf("stage: %w", err)
	}
	v, err := rec.version()
	if err != nil {
		return Version{}, err
	}
	if !m.now().Before(v.Expires) {
		return Version{}, ErrNotFound
	}
	return v, nil
}

// Key returns the key of a staged version, for those who read it together with other rows; "" for what is no ID.
func Key(id string) string {
	if !credential.IsID(id) {
		return ""
	}
	return staged.Key(id)
}
