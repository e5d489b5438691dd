package main

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"

	"github.com/npmauth/npmauth/host"
)

// visibility says whether everybody may read a package.
func (s *registry) visibility(w http.ResponseWriter, r *http.Request, op host.Operation) error {
	p, err := s.target(r.Context(), op)
	if err != nil {
		return err
	}
	return list(w, map[string]bool{"public": !p.Private})
}

// setAccess serves npm access set status=…; what mfa=… sets is npmauth's.
func (s *registry) setAccess(w http.ResponseWriter, r *http.Request, op host.Operation) error {
	change, err := op.Change()
	if err != nil {
		return err
	}
	private := change.Access == "restricted"
	switch {
	case change.Access != "public" && !private:
		return errAccess
	case private && op.Package.Scope == "":
		return errUnscoped
	}
	if err := s.db.setPrivate(r.Context(), targetOf(op, change.Revision), private); err != nil {
		return err
	}
	return reply(w, http.StatusOK, okay)
}

var (
	errAccess   = refuse(http.StatusBadRequest, "access must be public or restricted.")
	errUnscoped = refuse(http.StatusBadRequest, "Only a scoped package can be restricted.")
)

// setPrivate says who may read a package: those with a right on it, or everybody.
func (d *database) setPrivate(ctx context.Context, t target, private bool) error {
	return d.change(ctx, t, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `UPDATE package SET private = ? WHERE id = ?`, private, t.ID); err != nil {
			return fmt.Errorf("write package: %w", err)
		}
		return nil
	})
}
