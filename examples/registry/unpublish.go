package main

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"

	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/protocol"
)

// unpublish serves both steps in which npm unpublish takes a version away: the document
// without it, and the DELETE of its tarball. Either does it. Without its last version
// the package is gone as well.
//
// A tarball's file stays in its folder, where nobody can ask for it: another package may
// have the same bytes.
func (s *registry) unpublish(w http.ResponseWriter, r *http.Request, op host.Operation) error {
	if r.Method == http.MethodDelete {
		return s.unpublishTarball(w, r, op)
	}
	change, err := op.Change()
	if err != nil {
		return err
	}
	if err := s.db.unpublish(r.Context(), targetOf(op, change.Revision), change.Removed, change.Tags); err != nil {
		return err
	}
	return reply(w, http.StatusOK, okay)
}

// unpublishTarball is what npm sends when the version is gone already.
func (s *registry) unpublishTarball(w http.ResponseWriter, r *http.Request, op host.Operation) error {
	err := s.db.unpublish(r.Context(), targetOf(op, ""), []string{op.Version}, nil)
	if err != nil && !errors.Is(err, errNoVersion) {
		return err
	}
	return reply(w, http.StatusOK, okay)
}

// unpublishAll takes the package away, if it is the revision that was read.
func (s *registry) unpublishAll(w http.ResponseWriter, r *http.Request, op host.Operation) error {
	if err := s.db.remove(r.Context(), targetOf(op, op.Revision)); err != nil {
		return err
	}
	return reply(w, http.StatusOK, okay)
}

// unpublish takes versions of a package away, for ever, and lets tags name other ones,
// or none where that is "". Other tags of what goes go with it. If latest would be one of
// these, it becomes what was published last.
func (d *database) unpublish(ctx context.Context, t target, versions []string, tags map[string]string) error {
	return d.change(ctx, t, func(tx *sql.Tx) error {
		for _, version := range versions {
			if _, err := tx.ExecContext(ctx, `DELETE FROM tag WHERE package = ? AND version = ?`, t.ID, version); err != nil {
				return fmt.Errorf("unpublish: %w", err)
			}
			gone, err := tx.ExecContext(ctx, `DELETE FROM release WHERE package = ? AND version = ?`, t.ID, version)
			if err != nil {
				return fmt.Errorf("unpublish: %w", err)
			}
			if n, err := gone.RowsAffected(); err != nil || n != 1 {
				return cmp.Or(err, errNoVersion)
			}
			if err := retire(ctx, tx, t.Name, version); err != nil {
				return err
			}
		}
		for tag, version := range tags {
			var err error
			if version == "" {
				_, err = tx.ExecContext(ctx, `DELETE FROM tag WHERE package = ? AND name = ?`, t.ID, tag)
			} else {
				err = putTag(ctx, tx, t.ID, tag, version)
			}
			if err != nil {
				return err
			}
		}
		var left int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM release WHERE package = ?`, t.ID).Scan(&left); err != nil {
			return fmt.Errorf("unpublish: %w", err)
		}
		if left == 0 {
			return drop(ctx, tx, t.Name, t.ID)
		}
		if _, err := tx.ExecContext(ctx, `
			INSERT INTO tag SELECT package, 'latest', version FROM release WHERE package = ?
			ORDER BY published DESC, rowid DESC LIMIT 1 ON CONFLICT DO NOTHING`, t.ID); err != nil {
			return fmt.Errorf("unpublish: %w", err)
		}
		return nil
	})
}

// remove takes a package away with all its versions.
func (d *database) remove(ctx context.Context, t target) error {
	return d.write(ctx, func(tx *sql.Tx) error {
		p, err := aim(ctx, tx, t)
		if err != nil {
			return err
		}
		all, err := versions(ctx, tx, p.ID)
		if err != nil {
			return err
		}
		for _, r := range all {
			if err := retire(ctx, tx, p.Name, r.Version); err != nil {
				return err
			}
		}
		return drop(ctx, tx, p.Name, p.ID)
	})
}

// retire prevents a version from being published later.
func retire(ctx context.Context, tx *sql.Tx, name, version string) error {
	if _, err := tx.ExecContext(ctx, `INSERT INTO tombstone VALUES (?, ?)`, name, version); err != nil {
		return fmt.Errorf("retire: %w", err)
	}
	return nil
}

// drop removes what is left of a package whose versions are retired. A package that is
// made under its name later is another one. The owner of an unscoped name stays the same.
func drop(ctx context.Context, tx *sql.Tx, name string, id protocol.PackageID) error {
	if scopeOf(name) == "" {
		if _, err := tx.ExecContext(ctx, `INSERT INTO former SELECT ?, user FROM owner WHERE package = ?`, name, id); err != nil {
			return fmt.Errorf("remove package: %w", err)
		}
	}
	for _, rows := range []string{
		`DELETE FROM tag WHERE package = ?`, `DELETE FROM release WHERE package = ?`, `DELETE FROM owner WHERE package = ?`,
		`DELETE FROM team_grant WHERE package = ?`, `DELETE FROM star WHERE package = ?`, `DELETE FROM package WHERE id = ?`,
	} {
		if _, err := tx.ExecContext(ctx, rows, id); err != nil {
			return fmt.Errorf("remove package: %w", err)
		}
	}
	return nil
}
