package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
)

// Errors of the package database. The caller turns each into an answer for npm's clients.
var (
	errNoPackage = errors.New("no such package")
	errNoVersion = errors.New("no such version")
	errNoTag     = errors.New("no such dist-tag")
	errPublished = errors.New("version is already published")
	// errUnpublished means that the version existed and was unpublished.
	errUnpublished = errors.New("version was unpublished")
	// errStale means that the package has changed since the caller read it.
	errStale = errors.New("package has changed")
	// errMoved means that the package is no longer the one that the caller was allowed to
	// write: it was created, or deleted and created anew, meanwhile.
	errMoved = errors.New("package has changed hands")
	// errLargeDocument means that a change would make a package's document too large.
	errLargeDocument = errors.New("package has too much metadata")
)

// A database is the registry's own tables of packages: npmauth never reads them, and calls
// [facts] instead.
type database struct {
	db *sql.DB
}

// A pkg is one package.
type pkg struct {
	ID       protocol.PackageID
	Name     string
	Private  bool
	Revision int64 // number of changes so far
	Created  time.Time
	Modified time.Time
}

// rev returns npm's _rev of the package: a new one with every change, and never one of another
// package, not even of one that had the name before.
func (p pkg) rev() string { return fmt.Sprintf("%d-%s", p.Revision, p.ID) }

// A release is one published version.
type release struct {
	Version    string
	Manifest   []byte // JSON, without a tarball URL; nil where it is not needed
	Tarball    digest
	Published  time.Time
	Deprecated string // deprecation message, "" for none
}

// A publication is one publish: a release, and the changes of its package.
type publication struct {
	Name string
	// At is the package that the publisher may write. "" means that no package has the name
	// yet; this publication creates it, for Owner.
	At      protocol.PackageID
	Owner   protocol.UserID
	Private bool // of a new package
	Release release
	Tags    map[string]string
}

// maxOpens is how often the database is tried if others open it at the same moment.
const maxOpens = 50

// openDatabase opens the database at path and creates it if it is absent; made reports whether
// this call created it. An acknowledged write is on the disk (synchronous=FULL), so that a
// crash of the machine loses no write that a client knows of. Several processes may have the
// database open, and may open a new one at the same time.
func openDatabase(ctx context.Context, path string) (d *database, made bool, err error) {
	db, err := sql.Open("sqlite", dataSource(path))
	if err != nil {
		return nil, false, fmt.Errorf("open %s: %w", path, err)
	}
	d = &database{db: db}
	for tries := 1; ; tries++ {
		made, err = d.makeTables(ctx)
		// SQLite lets processes that put a new file into WAL mode at once not wait
		// for each other.
		var busy *sqlite.Error
		if !errors.As(err, &busy) || busy.Code()&0xff != sqlite3.SQLITE_BUSY || tries == maxOpens {
			break
		}
		time.Sleep(mathrand.N(100 * time.Millisecond))
	}
	if err != nil {
		db.Close()
		return nil, false, fmt.Errorf("open %s: %w", path, err)
	}
	return d, made, nil
}

// dataSource returns the name by which the driver opens the database at path.
func dataSource(path string) string {
	dsn := url.URL{
		Scheme: "file",
		Opaque: (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath(),
		RawQuery: url.Values{
			"_pragma": {"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(ON)"},
			"_txlock": {"immediate"},
		}.Encode(),
	}
	return dsn.String()
}

func (d *database) close() error { return d.db.Close() }

func (d *database) ping(ctx context.Context) error { return d.db.PingContext(ctx) }

// querier is what [sql.DB] and [sql.Tx] have in common.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// find returns the package called name, or errNoPackage.
func (d *database) find(ctx context.Context, name string) (pkg, error) {
	return find(ctx, d.db, name)
}

func find(ctx context.Context, q querier, name string) (pkg, error) {
	p := pkg{Name: name}
	var created, modified int64
	err := q.QueryRowContext(ctx,
		`SELECT id, private, revision, created, modified FROM package WHERE name = ?`, name).
		Scan(&p.ID, &p.Private, &p.Revision, &created, &modified)
	if errors.Is(err, sql.ErrNoRows) {
		return pkg{}, errNoPackage
	}
	if err != nil {
		return pkg{}, fmt.Errorf("find package: %w", err)
	}
	p.Created, p.Modified = time.UnixMilli(created), time.UnixMilli(modified)
	return p, nil
}

// A picture is all data of a package but its manifests, as of one moment.
type picture struct {
	pkg
	versions []dated // oldest first
	tags     map[string]string
	owners   []protocol.UserID
	fans     []protocol.UserID // who has starred it
}

// A dated is when a version was published.
type dated struct {
	Version   string
	Published time.Time
}

// read returns the picture of the package called name. It returns errMoved if its ID is not id.
func (d *database) read(ctx context.Context, name string, id protocol.PackageID) (picture, error) {
	was, err := d.readAny(ctx, name)
	if err == nil && was.ID != id {
		return picture{}, errMoved
	}
	return was, err
}

// readAny is read for whichever package has the name.
func (d *database) readAny(ctx context.Context, name string) (picture, error) {
	tx, err := d.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return picture{}, fmt.Errorf("read package: %w", err)
	}
	defer tx.Rollback()
	return readIn(ctx, tx, name)
}

func readIn(ctx context.Context, tx querier, name string) (is picture, err error) {
	if is.pkg, err = find(ctx, tx, name); err != nil {
		return picture{}, err
	}
	if is.versions, err = versions(ctx, tx, is.ID); err != nil {
		return picture{}, err
	}
	if is.tags, err = tagsOf(ctx, tx, is.ID); err != nil {
		return picture{}, err
	}
	if is.owners, err = owners(ctx, tx, is.ID); err != nil {
		return picture{}, err
	}
	if is.fans, err = users(ctx, tx, `SELECT user FROM star WHERE package = ? ORDER BY rowid`, is.ID); err != nil {
		return picture{}, err
	}
	return is, nil
}

// messages returns the picture of the package called name, and the deprecation messages of all
// versions, "" for none.
func (d *database) messages(ctx context.Context, name string) (is picture, messages map[string]string, err error) {
	tx, err := d.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return picture{}, nil, fmt.Errorf("read package: %w", err)
	}
	defer tx.Rollback()
	if is, err = readIn(ctx, tx, name); err != nil {
		return picture{}, nil, err
	}
	messages, err = pairs(ctx, tx, `SELECT version, deprecated FROM release WHERE package = ?`, is.ID)
	return is, messages, err
}

func versions(ctx context.Context, q querier, id protocol.PackageID) ([]dated, error) {
	rows, err := q.QueryContext(ctx, `SELECT version, published FROM release WHERE package = ? ORDER BY published, rowid`, id)
	if err != nil {
		return nil, fmt.Errorf("read versions: %w", err)
	}
	defer rows.Close()
	var all []dated
	for rows.Next() {
		var one dated
		var published int64
		if err := rows.Scan(&one.Version, &published); err != nil {
			return nil, fmt.Errorf("read versions: %w", err)
		}
		one.Published = time.UnixMilli(published)
		all = append(all, one)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read versions: %w", err)
	}
	return all, nil
}

// release returns one release of a package without its manifest, named by its version or, if
// there is no such version, by a tag.
func (d *database) release(ctx context.Context, id protocol.PackageID, name string) (release, error) {
	var r release
	var published int64
	err := d.db.QueryRowContext(ctx, `
		SELECT version, tarball, published, deprecated FROM release
		WHERE package = ?1 AND version IN (?2, (SELECT version FROM tag WHERE package = ?1 AND name = ?2))
		ORDER BY version = ?2 DESC LIMIT 1`, id, name).
		Scan(&r.Version, &r.Tarball, &published, &r.Deprecated)
	if errors.Is(err, sql.ErrNoRows) {
		return release{}, errNoVersion
	}
	if err != nil {
		return release{}, fmt.Errorf("read release: %w", err)
	}
	r.Published = time.UnixMilli(published)
	return r, nil
}

// stored returns what a document says of a version: its manifest and its deprecation message.
func (d *database) stored(ctx context.Context, id protocol.PackageID, version string) (release, error) {
	r := release{Version: version}
	err := d.db.QueryRowContext(ctx, `
		SELECT body, deprecated FROM release JOIN manifest USING (package, version) WHERE package = ? AND version = ?`, id, version).
		Scan(&r.Manifest, &r.Deprecated)
	if errors.Is(err, sql.ErrNoRows) {
		return release{}, errNoVersion
	}
	if err != nil {
		return release{}, fmt.Errorf("read manifest: %w", err)
	}
	return r, nil
}

// evidence returns how the newest version of a package was published, none if it has no version.
func (d *database) evidence(ctx context.Context, id protocol.PackageID) (policy.Evidence, error) {
	var text []byte
	switch err := d.db.QueryRowContext(ctx, `
		SELECT body FROM release JOIN manifest USING (package, version) WHERE package = ?
		ORDER BY published DESC, release.rowid DESC LIMIT 1`, id).Scan(&text); {
	case errors.Is(err, sql.ErrNoRows):
		return 0, nil
	case err != nil:
		return 0, fmt.Errorf("read manifest: %w", err)
	}
	var m struct {
		By host.NPMUser `json:"_npmUser"`
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return 0, fmt.Errorf("read manifest: %w", err)
	}
	return m.By.Evidence(), nil
}

// tags returns a package's dist-tags.
func (d *database) tags(ctx context.Context, id protocol.PackageID) (map[string]string, error) {
	return tagsOf(ctx, d.db, id)
}

func tagsOf(ctx context.Context, q querier, id protocol.PackageID) (map[string]string, error) {
	return pairs(ctx, q, `SELECT name, version FROM tag WHERE package = ?`, id)
}

// pairs returns the two columns of a query, by the first.
func pairs(ctx context.Context, q querier, query string, args ...any) (map[string]string, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	defer rows.Close()
	all := make(map[string]string)
	for rows.Next() {
		var key, value string
		if err := rows.Scan(&key, &value); err != nil {
			return nil, fmt.Errorf("read: %w", err)
		}
		all[key] = value
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	return all, nil
}

// publish adds a release to a package, or creates the package with it. The precondition of the
// permission is a condition of the write: publish returns errMoved if the name now means
// another package than p.At, errPublished if the version exists already and errUnpublished if
// it existed. The same release once more, soon after, changes nothing and is no error: npm
// repeats a publish whose answer was lost.
func (d *database) publish(ctx context.Context, p publication) error {
	err := d.write(ctx, func(tx *sql.Tx) error {
		now := p.Release.Published.UnixMilli()
		old, err := find(ctx, tx, p.Name)
		switch {
		case err != nil && !errors.Is(err, errNoPackage):
			return err
		case old.ID != p.At: // old.ID is "" if there is none
			return errMoved
		case old.ID == "":
			old.ID, err = create(ctx, tx, p, now)
		default:
			err = touch(ctx, tx, old.ID, now)
		}
		if err != nil {
			return fmt.Errorf("write package: %w", err)
		}
		var gone bool
		if err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM tombstone WHERE package = ? AND version = ?)`,
			p.Name, p.Release.Version).Scan(&gone); err != nil {
			return fmt.Errorf("read tombstones: %w", err)
		}
		if gone {
			return errUnpublished
		}
		if err := addRelease(ctx, tx, old.ID, p.Release); err != nil {
			return err
		}
		for tag, version := range p.Tags {
			if err := putTag(ctx, tx, old.ID, tag, version); err != nil {
				return err
			}
		}
		// npm install without a version means latest, so the first release is latest under
		// whatever tag it was published.
		if _, err := tx.ExecContext(ctx, `INSERT INTO tag VALUES (?, 'latest', ?) ON CONFLICT DO NOTHING`,
			old.ID, p.Release.Version); err != nil {
			return fmt.Errorf("write dist-tag: %w", err)
		}
		if size, err := documentSize(ctx, tx, old.ID); err != nil || size > maxPackage {
			return cmp.Or(err, errLargeDocument)
		}
		return nil
	})
	if errors.Is(err, errRepeated) {
		return nil
	}
	return err
}

// addRelease writes a new release.
func addRelease(ctx context.Context, tx *sql.Tx, id protocol.PackageID, r release) error {
	added, err := tx.ExecContext(ctx, `
		INSERT INTO release (package, version, tarball, published, deprecated) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		id, r.Version, r.Tarball, r.Published.UnixMilli(), r.Deprecated)
	if err != nil {
		return fmt.Errorf("write release: %w", err)
	}
	if n, err := added.RowsAffected(); err != nil || n != 1 {
		return cmp.Or(err, published(ctx, tx, id, r))
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO manifest VALUES (?, ?, ?)`, id, r.Version, r.Manifest); err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	if _, err := tx.ExecContext(ctx, describe+` WHERE package = ? AND version = ?`, id, r.Version); err != nil {
		return fmt.Errorf("write release: %w", err)
	}
	return nil
}

// Bounds of what a package's document has, in bytes.
const (
	// maxPackage is for all versions and tags, as documentSize counts them. To deprecate or unpublish one
	// of them npm sends all of it back, of which npmauth reads at most 16 MiB.
	maxPackage = 12 << 20
	aVersion   = 1 << 10 // what a version has beside its manifest: its times, its tarball's URL
)

// documentSize returns the bytes of a package's document, but for its people.
func documentSize(ctx context.Context, q querier, id protocol.PackageID) (bytes int64, err error) {
	err = q.QueryRowContext(ctx, `
		SELECT coalesce((SELECT sum(size + octet_length(deprecated) + ?2) FROM release WHERE package = ?1), 0)
			+ coalesce((SELECT sum(length(name) + length(version)) FROM tag WHERE package = ?1), 0)`, id, aVersion).Scan(&bytes)
	if err != nil {
		return 0, fmt.Errorf("read size: %w", err)
	}
	return bytes, nil
}

// create creates the package of its first publication. A new package in an organization's scope
// may be written by its team of developers, as on npm.
func create(ctx context.Context, tx *sql.Tx, p publication, now int64) (protocol.PackageID, error) {
	switch may, err := mayTake(ctx, tx, p.Name, p.Owner); {
	case err != nil:
		return "", err
	case !may: // it was created and deleted meanwhile
		return "", errMoved
	}
	id, scope := protocol.PackageID(rand.Text()), scopeOf(p.Name)
	for _, write := range []struct {
		query string
		args  []any
	}{
		{`INSERT INTO package (id, name, scope, private, revision, created, modified) VALUES (?, ?, ?, ?, 1, ?, ?)`,
			[]any{id, p.Name, scope, p.Private, now, now}},
		{`INSERT INTO owner VALUES (?, ?)`, []any{id, p.Owner}},
		{`DELETE FROM former WHERE package = ?`, []any{p.Name}},
		{`INSERT INTO team_grant SELECT team.id, ?, 1 FROM team JOIN org ON org.id = team.org WHERE org.name = ? AND team.name = ?`,
			[]any{id, scope, developers}},
	} {
		if _, err := tx.ExecContext(ctx, write.query, write.args...); err != nil {
			return "", err
		}
	}
	return id, nil
}

// mayTake reports whether user may have a name that no package has: the name of an unpublished
// package stays with its maintainers.
func mayTake(ctx context.Context, q querier, name string, user protocol.UserID) (may bool, err error) {
	err = q.QueryRowContext(ctx, `
		SELECT NOT EXISTS (SELECT 1 FROM former WHERE package = ?1) OR EXISTS (SELECT 1 FROM former WHERE package = ?1 AND user = ?2)`,
		name, user).Scan(&may)
	return may, err
}

// scopeOf returns the scope of a package's name, "" where it has none.
func scopeOf(name string) string {
	scope, _, scoped := strings.Cut(name, "/")
	if !scoped {
		return ""
	}
	return strings.TrimPrefix(scope, "@")
}

// retries is how long a client may repeat the same publish: npm waits ten seconds, then sixty.
const retries = 3 * time.Minute

// errRepeated rolls back a publish that has happened before.
var errRepeated = errors.New("published just now")

// published returns the answer to a release whose version exists.
func published(ctx context.Context, tx *sql.Tx, id protocol.PackageID, r release) error {
	var was release
	var at int64
	err := tx.QueryRowContext(ctx, `
		SELECT body, tarball, published FROM release JOIN manifest USING (package, version) WHERE package = ? AND version = ?`, id, r.Version).
		Scan(&was.Manifest, &was.Tarball, &at)
	switch {
	case err != nil:
		return fmt.Errorf("read release: %w", err)
	case was.Tarball != r.Tarball, !bytes.Equal(was.Manifest, r.Manifest), r.Published.Sub(time.UnixMilli(at)) > retries:
		return errPublished
	}
	return errRepeated
}

// setTag sets a tag of the package id, called name, to a version of it.
func (d *database) setTag(ctx context.Context, name string, id protocol.PackageID, tag, version string) error {
	return d.change(ctx, target{Name: name, ID: id}, func(tx *sql.Tx) error {
		return putTag(ctx, tx, id, tag, version)
	})
}

// removeTag removes a tag of the package id, called name.
func (d *database) removeTag(ctx context.Context, name string, id protocol.PackageID, tag string) error {
	return d.change(ctx, target{Name: name, ID: id}, func(tx *sql.Tx) error {
		gone, err := tx.ExecContext(ctx, `DELETE FROM tag WHERE package = ? AND name = ?`, id, tag)
		if err != nil {
			return fmt.Errorf("remove dist-tag: %w", err)
		}
		if n, err := gone.RowsAffected(); err != nil || n != 1 {
			return cmp.Or(err, errNoTag)
		}
		return nil
	})
}

func putTag(ctx context.Context, tx *sql.Tx, id protocol.PackageID, tag, version string) error {
	put, err := tx.ExecContext(ctx, `
		INSERT INTO tag SELECT package, ?, version FROM release WHERE package = ? AND version = ?
		ON CONFLICT DO UPDATE SET version = excluded.version`, tag, id, version)
	if err != nil {
		return fmt.Errorf("write dist-tag: %w", err)
	}
	if n, err := put.RowsAffected(); err != nil || n != 1 {
		return cmp.Or(err, errNoVersion)
	}
	return nil
}

func touch(ctx context.Context, tx *sql.Tx, id protocol.PackageID, now int64) error {
	_, err := tx.ExecContext(ctx, `UPDATE package SET revision = revision + 1, modified = max(modified, ?) WHERE id = ?`, now, id)
	return err
}

// A target is the package that a caller was allowed to write.
type target struct {
	Name     string
	ID       protocol.PackageID
	Revision string // that the caller has read; "" for any
}

// aim returns the package of t, or errMoved or errStale.
func aim(ctx context.Context, q querier, t target) (pkg, error) {
	p, err := find(ctx, q, t.Name)
	switch {
	case err != nil:
		return pkg{}, err
	case p.ID != t.ID:
		return pkg{}, errMoved
	case t.Revision != "" && t.Revision != p.rev():
		return pkg{}, errStale
	}
	return p, nil
}

// change runs fn in a transaction in which the package is t, and sets a new revision. What makes the
// document larger than it may be is errLargeDocument; one that is too large already can be made smaller.
func (d *database) change(ctx context.Context, t target, fn func(tx *sql.Tx) error) error {
	return d.write(ctx, func(tx *sql.Tx) error {
		p, err := aim(ctx, tx, t)
		if err != nil {
			return err
		}
		if err := touch(ctx, tx, p.ID, time.Now().UnixMilli()); err != nil {
			return fmt.Errorf("write package: %w", err)
		}
		was, err := documentSize(ctx, tx, p.ID)
		if err != nil {
			return err
		}
		if err := fn(tx); err != nil {
			return err
		}
		is, err := documentSize(ctx, tx, p.ID)
		if err == nil && is > max(was, maxPackage) {
			err = errLargeDocument
		}
		return err
	})
}

// write runs fn in a transaction that has the write lock from its beginning, so that what fn
// reads is still true when it commits.
func (d *database) write(ctx context.Context, fn func(tx *sql.Tx) error) error {
	tx, err := d.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer tx.Rollback()
	if err := fn(tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}
