package main

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"net/http"

	"github.com/npmauth/npmauth/host"
)

// deprecate serves npm deprecate and npm undeprecate: messages for some versions.
func (s *registry) deprecate(w http.ResponseWriter, r *http.Request, op host.Operation) error {
	change, err := op.Change()
	if err != nil {
		return err
	}
	if err := s.db.deprecate(r.Context(), targetOf(op, change.Revision), change.Deprecated); err != nil {
		return err
	}
	return reply(w, http.StatusOK, okay)
}

// deprecate writes the messages of versions; "" removes one.
func (d *database) deprecate(ctx context.Context, t target, messages map[string]string) error {
	return d.change(ctx, t, func(tx *sql.Tx) error {
		for version, message := range messages {
			if len(message) > maxMessage {
				return errMessage
			}
			put, err := tx.ExecContext(ctx, `UPDATE release SET deprecated = ? WHERE package = ? AND version = ?`, message, t.ID, version)
			if err != nil {
				return fmt.Errorf("deprecate: %w", err)
			}
			if n, err := put.RowsAffected(); err != nil || n != 1 {
				return cmp.Or(err, errNoVersion)
			}
		}
		return nil
	})
}

// targetOf returns the package that op may write, at the revision.
func targetOf(op host.Operation, revision string) target {
	return target{Name: op.Package.String(), ID: op.PackageID, Revision: revision}
}
