package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/protocol"
)

// errLastOwner means that a package would have no maintainer.
var errLastOwner = errors.New("the last maintainer stays")

// writeOwners serves npm owner, which sends the names of all maintainers of the package, and
// pnpm owner, which sends the added or removed ones.
func (s *registry) writeOwners(w http.ResponseWriter, r *http.Request, op host.Operation) error {
	change, err := op.Change()
	if err != nil {
		return err
	}
	edit, err := s.editOwners(r.Context(), change)
	if err != nil {
		return err
	}
	err = s.db.setOwners(r.Context(), targetOf(op, change.Revision), edit)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, map[string]bool{"ok": true, "success": true}) // Yarn 1 looks for success
}

// editOwners returns the maintainers of a package after a change, which has all of them, or the
// added and the removed ones.
func (s *registry) editOwners(ctx context.Context, change protocol.Change) (func([]protocol.UserID) []protocol.UserID, error) {
	if change.Maintainers != nil {
		all, err := s.people.ids(ctx, change.Maintainers)
		return func([]protocol.UserID) []protocol.UserID { return all }, err
	}
	added, err := s.people.ids(ctx, change.AddedOwners)
	if err != nil {
		return nil, err
	}
	removed, err := s.people.ids(ctx, change.RemovedOwners)
	return func(was []protocol.UserID) []protocol.UserID {
		return append(slices.DeleteFunc(was, func(id protocol.UserID) bool { return slices.Contains(removed, id) }), added...)
	}, err
}

// noUser makes the answer for a name that no user has.
func noUser(err error, name string) error {
	if errors.Is(err, errNoUser) {
		return refuse(http.StatusNotFound, "There is no user called %s.", quote(name))
	}
	return err
}

// quote quotes text of a client for a sentence that a terminal shows.
func quote(s string) string {
	text, err := json.Marshal(s)
	if err != nil {
		return "that"
	}
	return string(text)
}

// owners returns the maintainers of a package, in the order in which they were added.
func owners(ctx context.Context, q querier, id protocol.PackageID) ([]protocol.UserID, error) {
	return users(ctx, q, `SELECT user FROM owner WHERE package = ? ORDER BY rowid`, id)
}

// users returns the one column of a query, whose values are user IDs.
func users(ctx context.Context, q querier, query string, args ...any) ([]protocol.UserID, error) {
	return column[protocol.UserID](ctx, q, query, args...)
}

// column returns the one column of a query.
func column[T any](ctx context.Context, q querier, query string, args ...any) ([]T, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		var one T
		if err := rows.Scan(&one); err != nil {
			return nil, fmt.Errorf("read: %w", err)
		}
		all = append(all, one)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	return all, nil
}

// setOwners replaces the maintainers of a package by the result of edit, which must not be
// empty.
func (d *database) setOwners(ctx context.Context, t target, edit func([]protocol.UserID) []protocol.UserID) error {
	return d.change(ctx, t, func(tx *sql.Tx) error {
		was, err := owners(ctx, tx, t.ID)
		if err != nil {
			return err
		}
		is := edit(slices.Clone(was))
		if len(is) == 0 {
			return errLastOwner
		}
		for _, user := range was {
			if slices.Contains(is, user) {
				continue
			}
			if _, err := tx.ExecContext(ctx, `DELETE FROM owner WHERE package = ? AND user = ?`, t.ID, user); err != nil {
				return fmt.Errorf("write owners: %w", err)
			}
		}
		for _, user := range is {
			if _, err := tx.ExecContext(ctx, `INSERT INTO owner VALUES (?, ?) ON CONFLICT DO NOTHING`, t.ID, user); err != nil {
				return fmt.Errorf("write owners: %w", err)
			}
		}
		return nil
	})
}
