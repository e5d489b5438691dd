package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/npmauth/npmauth/host"
)

// stagedFor is how long staged versions are kept at least: longer than npmauth lets them be approved.
const stagedFor = 15 * 24 * time.Hour

var errNotStaged = refuse(http.StatusNotFound, "There is no such staged version.")

// stage keeps what a publish would store, under the ID of the operation.
func (s *registry) stage(w http.ResponseWriter, r *http.Request, op host.Operation) error {
	p, err := s.receive(w, r, op)
	if err != nil {
		return err
	}
	if op.PackageID != "" {
		switch _, err := s.db.release(r.Context(), op.PackageID, p.Release.Version); {
		case err == nil:
			return errPublished
		case !errors.Is(err, errNoVersion):
			return err
		}
	}
	if err := s.db.stage(r.Context(), op.ID, p); err != nil {
		return err
	}
	return reply(w, http.StatusCreated, okay)
}

// readStaged serves the tarball of a staged version.
func (s *registry) readStaged(w http.ResponseWriter, r *http.Request, op host.Operation) error {
	p, err := s.db.staged(r.Context(), op.ID)
	if err != nil {
		return err
	}
	f, err := s.tarballs.open(p.Release.Tarball)
	if err != nil {
		return fmt.Errorf("tarball of a staged version: %w", err)
	}
	defer f.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Cache-Control", "private, no-store")
	http.ServeContent(w, r, "", p.Release.Published, f)
	return nil
}

// approveStaged publishes a staged version, whose package npmauth has decided on anew.
func (s *registry) approveStaged(w http.ResponseWriter, r *http.Request, op host.Operation) error {
	p, err := s.db.staged(r.Context(), op.ID)
	if err != nil {
		return err
	}
	var m manifest
	if err := unmarshal(p.Release.Manifest, &m); err != nil {
		return err
	}
	m.set("_npmUser", op.Staged.NPMUser("", ""))
	if p.Release.Manifest, err = encode(m); err != nil {
		return err
	}
	p.At, p.Owner, p.Release.Published = op.PackageID, op.Staged.By.User, time.Now()
	if err := s.db.publish(r.Context(), p); err != nil {
		return err
	}
	s.created(r, op)
	if err := s.db.unstage(r.Context(), op.ID); err != nil {
		return err
	}
	return reply(w, http.StatusCreated, okay)
}

// rejectStaged forgets a staged version.
func (s *registry) rejectStaged(w http.ResponseWriter, r *http.Request, op host.Operation) error {
	if err := s.db.unstage(r.Context(), op.ID); err != nil {
		return err
	}
	return reply(w, http.StatusOK, okay)
}

// stage stores a publication for later, and forgets those that nobody can approve any more.
func (d *database) stage(ctx context.Context, id string, p publication) error {
	body, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return d.write(ctx, func(tx *sql.Tx) error {
		now := time.Now()
		if _, err := tx.ExecContext(ctx, `DELETE FROM staged WHERE created < ?`, now.Add(-stagedFor).UnixMilli()); err != nil {
			return fmt.Errorf("write staged version: %w", err)
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO staged VALUES (?, ?, ?)`, id, body, now.UnixMilli()); err != nil {
			return fmt.Errorf("write staged version: %w", err)
		}
		return nil
	})
}

// staged returns what was stored under an ID, or errNotStaged.
func (d *database) staged(ctx context.Context, id string) (p publication, err error) {
	var body []byte
	switch err := d.db.QueryRowContext(ctx, `SELECT publication FROM staged WHERE id = ?`, id).Scan(&body); {
	case errors.Is(err, sql.ErrNoRows):
		return publication{}, errNotStaged
	case err != nil:
		return publication{}, fmt.Errorf("read staged version: %w", err)
	}
	return p, json.Unmarshal(body, &p)
}

// unstage forgets what was stored under an ID, if there is anything.
func (d *database) unstage(ctx context.Context, id string) error {
	return d.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM staged WHERE id = ?`, id)
		return err
	})
}
