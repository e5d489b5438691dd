package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/protocol"
)

// star serves npm star and npm unstar.
func (s *registry) star(w http.ResponseWriter, r *http.Request, op host.Operation) error {
	who, ok := host.IdentityFrom(r.Context())
	if !ok {
		return errAnonymous
	}
	change, err := op.Change()
	if err != nil {
		return err
	}
	if err := s.db.star(r.Context(), targetOf(op, change.Revision), who.User, change.Starred); err != nil {
		return err
	}
	return reply(w, http.StatusOK, okay)
}

// errAnonymous is the fault of this registry or of npmauth, not of a client.
var errAnonymous = errors.New("a request without an identity was let through")

// stars serves npm stars: the packages that a user has starred and the requester may read. pnpm
// lists its own user's at a path of its own, and wants names only.
func (s *registry) stars(w http.ResponseWriter, r *http.Request, _ host.Operation) error {
	who, ok := host.IdentityFrom(r.Context())
	if !ok {
		return errAnonymous
	}
	own := strings.HasSuffix(r.URL.Path, "/-/user/v1/star")
	id := who.User
	if !own {
		var name string
		if json.Unmarshal([]byte(r.URL.Query().Get("key")), &name) != nil || name == "" {
			return refuse(http.StatusBadRequest, "key must be the name of a user as a JSON string.")
		}
		var err error
		if id, err = s.people.id(r.Context(), name); err != nil {
			return noUser(err, name)
		}
	}
	all, err := s.db.starred(r.Context(), id, who.User)
	if err != nil {
		return err
	}
	if all, err = readable(r.Context(), all); err != nil {
		return err
	}
	names := make([]string, 0, len(all))
	type row struct {
		Value string `json:"value"`
	}
	rows := make([]row, 0, len(all))
	for _, p := range all {
		names, rows = append(names, p.Name), append(rows, row{p.Name})
	}
	if own {
		return list(w, names)
	}
	return list(w, map[string][]row{"rows": rows})
}

// star adds or removes the star of user on a package. It does not change the package's
// revision.
func (d *database) star(ctx context.Context, t target, user protocol.UserID, on bool) error {
	return d.write(ctx, func(tx *sql.Tx) error {
		p, err := aim(ctx, tx, t)
		if err != nil {
			return err
		}
		query := `DELETE FROM star WHERE user = ? AND package = ?`
		if on {
			query = `INSERT INTO star VALUES (?, ?) ON CONFLICT DO NOTHING`
		}
		if _, err := tx.ExecContext(ctx, query, user, p.ID); err != nil {
			return fmt.Errorf("write star: %w", err)
		}
		return nil
	})
}

// starred returns the packages that user has starred and viewer may read, by name.
func (d *database) starred(ctx context.Context, user, viewer protocol.UserID) ([]share, error) {
	return shares(ctx, d.db, `
		SELECT name, private, 1 FROM star JOIN package ON package.id = star.package
		WHERE star.user = :user AND `+visible+` ORDER BY name`, sql.Named("user", user), sql.Named("viewer", viewer))
}
