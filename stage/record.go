package stage

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
)

// record is a Version as it is stored. A program refuses a record with an unknown field.
type record struct {
	ID        string               `json:"id"`
	Package   protocol.PackageName `json:"package"`
	PackageID protocol.PackageID   `json:"package_id,omitempty"`
	Change    protocol.Change      `json:"change"`
	By        Stager               `json:"by"`
	Created   int64                `json:"created"` // microseconds since 1970
	Expires   int64                `json:"expires"` // the same
	Approvals []Approval           `json:"approvals,omitempty"`
}

var (
	staged = store.NewTable("stage", 1, func(r *record) string { return r.ID }).
		Expiring(func(r *record) time.Time { return timeOf(r.Expires) })
	// of has which version of a package is staged: of two at once, one is.
	of = staged.Unique("version", versionOf)
	// Lists are newest first, of a package and of all. An approval does not change them.
	ofPackage = store.NewListing(staged, "package", func(r *record) (group, order string) { return r.Package.String(), newest(r) }, listed)
	ofAll     = store.NewListing(staged, "all", func(r *record) (group, order string) { return everything, newest(r) }, listed)
)

const everything = "all"

// versionOf returns a digest, since name, version and owner may be longer together than a key.
func versionOf(r *record) string {
	digest := sha256.Sum256([]byte(r.Package.String() + " " + r.Change.Version + " " + owner(r.PackageID, r.By)))
	return hex.EncodeToString(digest[:])
}

// owner returns whose a staged version is: of the package, or of who staged it before there was one. Whoever may create
// packages could otherwise take a name's versions from the others who may.
func owner(pkg protocol.PackageID, by Stager) string {
	if pkg == "" {
		return "\x00" + string(by.User)
	}
	return string(pkg)
}

// An entry is what a list has of a staged version.
type entry struct {
	ID string `json:"id"`
}

func newest(r *record) string  { return fmt.Sprintf("%016x", math.MaxInt64-r.Created) }
func listed(r *record) *entry  { return &entry{r.ID} }
func timeOf(m int64) time.Time { return time.UnixMicro(m).UTC() }

// count is the row that enforces Config.Versions for a package: a list in a transaction cannot. It keeps when each
// staged version ends, so that expired ones cease to count without a write. What was staged for another package of the
// name counts apart. Before there is a package it is a count of who staged it, for all names together: there is no end of
// names.
type count struct {
	ID   string           `json:"id"`
	Ends map[string]int64 `json:"ends"` // by ID of the version; microseconds since 1970
}

// countOf returns the ID of the count that v is in.
func countOf(v Version) string {
	if v.PackageID == "" {
		return owner("", v.By)
	}
	return v.Package.String() + " " + owner(v.PackageID, v.By)
}

var counts = store.NewTable("stage-count", 1, func(c *count) string { return c.ID }).
	Expiring(func(c *count) time.Time {
		if len(c.Ends) == 0 {
			return time.Time{}
		}
		return timeOf(slices.Max(slices.Collect(maps.Values(c.Ends))))
	})

func recordOf(v Version) *record {
	return &record{v.ID, v.Package, v.PackageID, v.Change, v.By, v.Created.UnixMicro(), v.Expires.UnixMicro(), v.Approvals}
}

func (r *record) version() (Version, error) {
	if r.Package.Validate() != nil || r.Change.Version == "" || r.Created <= 0 || r.Expires <= 0 || r.By.User == "" && r.By.Publisher == "" {
		return Version{}, errors.New("stage: a record lacks its package, version, stager or times")
	}
	return Version{r.ID, r.Package, r.PackageID, r.Change, r.By, timeOf(r.Created), timeOf(r.Expires), r.Approvals}, nil
}

// AddTx stages a version in the caller's commit, and returns it with its times, and with an ID if v has none. The
// caller says who staged it, what it does and for which package. [ErrStaged] means that the package has this version
// staged, and [ErrTooMany] that it has too many.
func (m *Manager) AddTx(ctx context.Context, tx *store.Tx, by audit.Actor, v Version) (Version, error) {
	if v.ID == "" {
		v.ID = NewID()
	}
	v.Created = m.instant()
	v.Expires, v.Approvals = v.Created.Add(m.ttl), nil
	r := recordOf(v)
	if _, err := r.version(); err != nil || !credential.IsID(v.ID) {
		return Version{}, errors.New("stage: the version lacks its package, version or stager, or its ID is no UUID")
	}
	switch old, err := of.Get(ctx, tx, versionOf(r)); {
	case errors.Is(err, store.ErrNotFound):
	case err != nil:
		return Version{}, fmt.Errorf("stage: %w", err)
	case m.now().Before(timeOf(old.Expires)):
		return Version{}, ErrStaged
	default: // expired, and not swept yet
		if err := staged.Delete(ctx, tx, old.ID); err != nil {
			return Version{}, fmt.Errorf("stage: %w", err)
		}
	}
	full := false
	_, err := counts.Upsert(ctx, tx, countOf(v), func(c *count, _ bool) error {
		now := m.now().UnixMicro()
		c.ID = countOf(v)
		maps.DeleteFunc(c.Ends, func(_ string, end int64) bool { return end <= now })
		if full = len(c.Ends) >= m.versions; full {
			return nil
		}
		if c.Ends == nil {
			c.Ends = map[string]int64{}
		}
		c.Ends[v.ID] = r.Expires
		return nil
	})
	if err == nil && full {
		return Version{}, ErrTooMany
	}
	if err == nil {
		err = staged.Insert(ctx, tx, r)
	}
	if err != nil {
		return Version{}, fmt.Errorf("stage: %w", err)
	}
	return v, m.tell(ctx, tx, by, audit.VersionStaged, v, nil)
}

// ApproveTx adds an approval in the caller's commit, and reports whether the version has as many now as it needs. One
// person counts once, so that a request which is sent again changes nothing, and a version that has as many as it
// needs takes no more: who approves it then has it published once more, if it was not.
//
// Counts reports whether an earlier approval still counts: who gave it may have left the package since, which is
// the caller's to know. One that does not is removed. With a nil counts all do.
func (m *Manager) ApproveTx(ctx context.Context, tx *store.Tx, by audit.Actor, id string, a Approval, needed int, counts func(Approval) (bool, error)) (Version, bool, error) {
	v, err := m.Get(ctx, tx, id)
	if err != nil {
		return Version{}, false, err
	}
	if a.User == "" {
		return Version{}, false, errors.New("stage: an approval needs a user")
	}
	needed = max(1, needed)
	kept, removed, err := stillCounting(v.Approvals, counts)
	if err != nil {
		return Version{}, false, err
	}
	v.Approvals = kept
	isNew := len(kept) < needed && !slices.ContainsFunc(kept, func(b Approval) bool { return b.User == a.User })
	if isNew {
		a.At = m.instant()
		v.Approvals = append(v.Approvals, a)
	}
	if isNew || len(removed) > 0 {
		if _, err := staged.Update(ctx, tx, id, func(r *record) error { r.Approvals = v.Approvals; return nil }); err != nil {
			return Version{}, false, fmt.Errorf("stage: %w", err)
		}
		detail := map[string]string{"approvals": fmt.Sprint(len(v.Approvals)), "needed": fmt.Sprint(needed)}
		if len(removed) > 0 {
			detail["removed"] = strings.Join(removed, ",")
		}
		if err := m.tell(ctx, tx, by, audit.VersionApproved, v, detail); err != nil {
			return Version{}, false, err
		}
	}
	return v, len(v.Approvals) >= needed, nil
}

// stillCounting returns the approvals that count, and of whom the others are.
func stillCounting(approvals []Approval, counts func(Approval) (bool, error)) (kept []Approval, removed []string, err error) {
	for _, a := range approvals {
		ok := true
		if counts != nil {
			if ok, err = counts(a); err != nil {
				return nil, nil, err
			}
		}
		if ok {
			kept = append(kept, a)
		} else {
			removed = append(removed, string(a.User))
		}
	}
	return kept, removed, nil
}

// RejectTx ends a staged version in the caller's commit, and returns what it was. The reason is for the event; ""
// is none.
func (m *Manager) RejectTx(ctx context.Context, tx *store.Tx, by audit.Actor, id, reason string) (Version, error) {
	v, err := m.remove(ctx, tx, id)
	if err != nil {
		return Version{}, err
	}
	var reasons []string
	if reason != "" {
		reasons = []string{reason}
	}
	return v, m.tell(ctx, tx, by, audit.VersionRejected, v, nil, reasons...)
}

// PublishedTx ends, in the caller's commit, the staging of a version that was published. One that is not there any more
// is no error: it was ended by the same request, sent again.
func (m *Manager) PublishedTx(ctx context.Context, tx *store.Tx, id string) error {
	_, err := m.remove(ctx, tx, id)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

func (m *Manager) remove(ctx context.Context, tx *store.Tx, id string) (Version, error) {
	v, err := m.Get(ctx, tx, id)
	if err != nil {
		return Version{}, err
	}
	if err := staged.Delete(ctx, tx, id); err != nil {
		return Version{}, fmt.Errorf("stage: %w", err)
	}
	if err := m.uncount(ctx, tx, v); err != nil {
		return Version{}, fmt.Errorf("stage: %w", err)
	}
	return v, nil
}

// uncount takes a version out of the count of its package.
func (m *Manager) uncount(ctx context.Context, tx *store.Tx, v Version) error {
	c, err := counts.Get(ctx, tx, countOf(v))
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	now := m.now().UnixMicro()
	maps.DeleteFunc(c.Ends, func(id string, end int64) bool { return id == v.ID || end <= now })
	if len(c.Ends) == 0 { // a row that counts nothing would stay for good
		return counts.Delete(ctx, tx, c.ID)
	}
	_, err = counts.Update(ctx, tx, c.ID, func(row *count) error { row.Ends = c.Ends; return nil })
	return err
}

// List returns staged versions, newest first: those of a package, or with the zero name of all packages. After is ""
// or the next of an earlier page, and next is "" at the end. A page has at most limit versions (1 to
// [store.MaxLimit]), and fewer where some have expired. A nil r means the Manager's own store.
func (m *Manager) List(ctx context.Context, r store.Reader, pkg protocol.PackageName, after string, limit int) (page []Version, next string, err error) {
	listing, group := ofAll, everything
	if !pkg.IsZero() {
		listing, group = ofPackage, pkg.String()
	}
	r = store.ReaderOr(r, m.store)
	entries, next, err := listing.List(ctx, r, group, after, limit)
	if err != nil || len(entries) == 0 {
		return nil, next, wrapped(err)
	}
	keys := make([]string, len(entries))
	for i, e := range entries {
		keys[i] = staged.Key(e.ID)
	}
	items, err := r.Get(ctx, keys...)
	if err != nil {
		return nil, "", wrapped(err)
	}
	for _, it := range items {
		rec, err := staged.Decode(it)
		if errors.Is(err, store.ErrNotFound) { // ended since
			continue
		}
		if err != nil {
			return nil, "", wrapped(err)
		}
		v, err := rec.version()
		if err != nil {
			return nil, "", err
		}
		if m.now().Before(v.Expires) {
			page = append(page, v)
		}
	}
	return page, next, nil
}

func wrapped(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("stage: %w", err)
}

// tell records what was done to a staged version, in the commit of tx.
func (m *Manager) tell(ctx context.Context, tx *store.Tx, by audit.Actor, of audit.Type, v Version, detail map[string]string, reasons ...string) error {
	e := audit.Event{Type: of, Outcome: audit.Done, Reasons: reasons, User: v.By.User, Package: v.Package, Change: v.Change.Recorded(), Detail: map[string]string{"id": v.ID}}
	maps.Copy(e.Detail, detail)
	if v.By.Publisher != "" {
		e.Detail["publisher"] = v.By.Publisher
	}
	return m.events.Commit(ctx, tx, e.From(by))
}
