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

// developers is the team that every organization has: all its members are in it, and it may
// write the packages that are created in its scope.
const developers = "developers"

// Errors of teams.
var (
	errNoTeam    = errors.New("no such team")
	errTeamTaken = errors.New("team exists")
	// errDevelopers means a change of the team of developers: it always has all members.
	errDevelopers = errors.New("the developers are the members")
)

// named is an entry of a list as pnpm wants it.
type named struct {
	Name string `json:"name"`
}

// listNames answers with names: npm wants them as text, with format=cli, and pnpm wants
// objects.
func listNames(w http.ResponseWriter, r *http.Request, names []string) error {
	if r.URL.Query().Get("format") == "cli" {
		return list(w, names)
	}
	all := make([]named, len(names))
	for i, name := range names {
		all[i] = named{name}
	}
	return list(w, all)
}

// teams serves npm team ls <org>.
func (s *registry) teams(w http.ResponseWriter, r *http.Request, op host.Operation) error {
	names, err := column[string](r.Context(), s.db.db, `SELECT name FROM team WHERE org = ? ORDER BY name`, op.OrgID)
	if err != nil {
		return err
	}
	for i := range names {
		names[i] = op.Org + ":" + names[i]
	}
	return listNames(w, r, names)
}

// team serves npm team ls <org:team>: its members.
func (s *registry) team(w http.ResponseWriter, r *http.Request, op host.Operation) error {
	id, err := findTeam(r.Context(), s.db.db, op.OrgID, op.Team)
	if err != nil {
		return err
	}
	ids, err := users(r.Context(), s.db.db, `SELECT user FROM team_member WHERE team = ? ORDER BY rowid`, id)
	if err != nil {
		return err
	}
	names, err := s.people.list(r.Context(), ids)
	if err != nil {
		return err
	}
	return listNames(w, r, names)
}

// teamPackages serves npm access list packages <org:team>.
func (s *registry) teamPackages(w http.ResponseWriter, r *http.Request, op host.Operation) error {
	who, ok := host.IdentityFrom(r.Context())
	if !ok {
		return errAnonymous
	}
	id, err := findTeam(r.Context(), s.db.db, op.OrgID, op.Team)
	if err != nil {
		return err
	}
	all, err := shares(r.Context(), s.db.db, `
		SELECT name, private, 1 + write FROM team_grant JOIN package ON package.id = team_grant.package
		WHERE team = :team AND `+visible+` ORDER BY name`, sql.Named("team", id), sql.Named("viewer", who.User))
	if err != nil {
		return err
	}
	return s.listShares(w, r, all)
}

// writeTeam serves npm team create and npm team destroy.
func (s *registry) writeTeam(w http.ResponseWriter, r *http.Request, op host.Operation) error {
	if r.Method == http.MethodDelete {
		if err := s.db.removeTeam(r.Context(), op.Org, op.OrgID, op.Team); err != nil {
			return err
		}
		return reply(w, http.StatusOK, struct{}{})
	}
	change, err := op.Change()
	if err != nil {
		return err
	}
	if err := s.db.addTeam(r.Context(), op.Org, op.OrgID, change.Team); err != nil {
		return err
	}
	return reply(w, http.StatusCreated, named{op.Org + ":" + change.Team})
}

// writeTeamMember serves npm team add and npm team rm.
func (s *registry) writeTeamMember(w http.ResponseWriter, r *http.Request, op host.Operation) error {
	change, err := op.Change()
	if err != nil {
		return err
	}
	id, err := s.people.id(r.Context(), change.Member)
	if err != nil {
		return noUser(err, change.Member)
	}
	if r.Method == http.MethodDelete {
		err = s.db.removeTeamMember(r.Context(), op.Org, op.OrgID, op.Team, id)
	} else {
		err = s.db.addTeamMember(r.Context(), op.Org, op.OrgID, op.Team, id)
	}
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, struct{}{})
}

// grantTeam serves npm access grant and npm access revoke.
func (s *registry) grantTeam(w http.ResponseWriter, r *http.Request, op host.Operation) error {
	change, err := op.Change()
	if err != nil {
		return err
	}
	t := targetOf(op, "")
	switch {
	case r.Method == http.MethodDelete && change.Permission == protocol.NoAccess:
		err = s.db.revokeTeam(r.Context(), op.Org, op.OrgID, op.Team, t)
	case r.Method == http.MethodPut && change.Permission == protocol.ReadOnly:
		err = s.db.grantTeam(r.Context(), op.Org, op.OrgID, op.Team, t, false)
	case r.Method == http.MethodPut && change.Permission == protocol.ReadWrite:
		err = s.db.grantTeam(r.Context(), op.Org, op.OrgID, op.Team, t, true)
	default:
		err = fmt.Errorf("a grant of %s by %s was let through", change.Permission, r.Method)
	}
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, struct{}{})
}

// findTeam returns the row of a team, or errNoTeam.
func findTeam(ctx context.Context, q querier, id protocol.OrgID, name string) (row int64, err error) {
	err = q.QueryRowContext(ctx, `SELECT id FROM team WHERE org = ? AND name = ?`, id, name).Scan(&row)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, errNoTeam
	}
	if err != nil {
		return 0, fmt.Errorf("find team: %w", err)
	}
	return row, nil
}

// reformTeam runs fn in a transaction in which the organization called org is id and has
// the team.
func (d *database) reformTeam(ctx context.Context, org string, id protocol.OrgID, team string, fn func(tx *sql.Tx, row int64) error) error {
	return d.reform(ctx, org, id, func(tx *sql.Tx) error {
		row, err := findTeam(ctx, tx, id, team)
		if err != nil {
			return err
		}
		return fn(tx, row)
	})
}

// addTeam creates a team without members.
func (d *database) addTeam(ctx context.Context, org string, id protocol.OrgID, team string) error {
	return d.reform(ctx, org, id, func(tx *sql.Tx) error {
		added, err := tx.ExecContext(ctx, `INSERT INTO team (org, name) VALUES (?, ?) ON CONFLICT DO NOTHING`, id, team)
		if err != nil {
			return fmt.Errorf("write team: %w", err)
		}
		if n, err := added.RowsAffected(); err != nil || n != 1 {
			return cmp.Or(err, errTeamTaken)
		}
		return nil
	})
}

// removeTeam removes a team, with what it was granted.
func (d *database) removeTeam(ctx context.Context, org string, id protocol.OrgID, team string) error {
	if team == developers {
		return errDevelopers
	}
	return d.reformTeam(ctx, org, id, team, func(tx *sql.Tx, row int64) error {
		for _, rows := range []string{
			`DELETE FROM team_grant WHERE team = ?`, `DELETE FROM team_member WHERE team = ?`, `DELETE FROM team WHERE id = ?`,
		} {
			if _, err := tx.ExecContext(ctx, rows, row); err != nil {
				return fmt.Errorf("remove team: %w", err)
			}
		}
		return nil
	})
}

// addTeamMember takes a member of the organization into one of its teams.
func (d *database) addTeamMember(ctx context.Context, org string, id protocol.OrgID, team string, user protocol.UserID) error {
	return d.reformTeam(ctx, org, id, team, func(tx *sql.Tx, row int64) error {
		role, err := roleOf(ctx, tx, id, user)
		if err != nil {
			return err
		}
		if role == protocol.NoRole {
			return errNoMember
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO team_member VALUES (?, ?) ON CONFLICT DO NOTHING`, row, user); err != nil {
			return fmt.Errorf("write team: %w", err)
		}
		return nil
	})
}

// removeTeamMember takes somebody out of a team.
func (d *database) removeTeamMember(ctx context.Context, org string, id protocol.OrgID, team string, user protocol.UserID) error {
	if team == developers {
		return errDevelopers
	}
	return d.reformTeam(ctx, org, id, team, func(tx *sql.Tx, row int64) error {
		gone, err := tx.ExecContext(ctx, `DELETE FROM team_member WHERE team = ? AND user = ?`, row, user)
		if err != nil {
			return fmt.Errorf("write team: %w", err)
		}
		if n, err := gone.RowsAffected(); err != nil || n != 1 {
			return cmp.Or(err, errNoMember)
		}
		return nil
	})
}

// grantTeam lets a team read a package of its organization's scope, or write it as well.
func (d *database) grantTeam(ctx context.Context, org string, id protocol.OrgID, team string, t target, write bool) error {
	return d.reformTeam(ctx, org, id, team, func(tx *sql.Tx, row int64) error {
		p, err := aim(ctx, tx, t)
		if err != nil {
			return err
		}
		if scopeOf(p.Name) != org {
			return errNotInside
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO team_grant VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET write = excluded.write`, row, p.ID, write); err != nil {
			return fmt.Errorf("write grant: %w", err)
		}
		return nil
	})
}

// revokeTeam takes a package away from a team. One that has it not is no error: npm says
// revoke to make sure.
func (d *database) revokeTeam(ctx context.Context, org string, id protocol.OrgID, team string, t target) error {
	return d.reformTeam(ctx, org, id, team, func(tx *sql.Tx, row int64) error {
		p, err := aim(ctx, tx, t)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM team_grant WHERE team = ? AND package = ?`, row, p.ID); err != nil {
			return fmt.Errorf("write grant: %w", err)
		}
		return nil
	})
}
