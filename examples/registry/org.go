package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net/http"

	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/protocol"
)

// Errors of organizations.
var (
	errNoOrg = errors.New("no such organization")
	// errOrgMoved means that an organization is no longer the one that the caller was allowed
	// to change.
	errOrgMoved  = errors.New("organization has changed hands")
	errNoMember  = errors.New("no such member")
	errLastBoss  = errors.New("the last owner of an organization stays")
	errNotInside = errors.New("package is not in the organization's scope")
)

// An org is one organization. It owns the packages of the scope with its name.
type org struct {
	ID   protocol.OrgID
	Name string
	// Factor is its rule that its members have a second factor.
	Factor bool
}

// roleWord returns npm's word for a role: a member is a developer.
func roleWord(r protocol.OrgRole) string {
	if r == protocol.OrgMember {
		return "developer"
	}
	return r.String()
}

// members serves npm org ls.
func (s *registry) members(w http.ResponseWriter, r *http.Request, op host.Operation) error {
	all, err := s.db.members(r.Context(), op.OrgID)
	if err != nil {
		return err
	}
	words := make(map[string]string)
	for id, role := range all {
		name, err := s.people.name(r.Context(), id)
		if err != nil {
			return err
		}
		if name != "" {
			words[name] = roleWord(role)
		}
	}
	return list(w, words)
}

// orgPackages serves npm access list packages <org>: the readable ones in its scope, and the
// requester's rights on them.
func (s *registry) orgPackages(w http.ResponseWriter, r *http.Request, op host.Operation) error {
	who, ok := host.IdentityFrom(r.Context())
	if !ok {
		return errAnonymous
	}
	all, err := shares(r.Context(), s.db.db, `
		SELECT name, private, coalesce((SELECT max(grade) FROM part WHERE part.package = package.id AND user = :viewer), 1)
		FROM package WHERE scope = :scope AND `+visible+` ORDER BY name`, sql.Named("viewer", who.User), sql.Named("scope", op.Org))
	if err != nil {
		return err
	}
	return s.listShares(w, r, all)
}

// writeOrg serves npm org set and npm org rm.
func (s *registry) writeOrg(w http.ResponseWriter, r *http.Request, op host.Operation) error {
	change, err := op.Change()
	if err != nil {
		return err
	}
	id, err := s.people.id(r.Context(), change.Member)
	if err != nil {
		return noUser(err, change.Member)
	}
	if r.Method == http.MethodDelete {
		if err := s.db.removeMember(r.Context(), op.Org, op.OrgID, id); err != nil {
			return err
		}
		return reply(w, http.StatusOK, struct{}{})
	}
	size, err := s.db.setMember(r.Context(), op.Org, op.OrgID, id, change.Role)
	if err != nil {
		return err
	}
	type about struct {
		Name string `json:"name"`
		Size int    `json:"size"`
	}
	return reply(w, http.StatusOK, struct {
		Org  about  `json:"org"`
		User string `json:"user"`
		Role string `json:"role"`
	}{about{op.Org, size}, change.Member, roleWord(change.Role)})
}

// findOrg returns the organization of that name, or errNoOrg.
func (d *database) findOrg(ctx context.Context, name string) (org, error) {
	return findOrg(ctx, d.db, name)
}

func findOrg(ctx context.Context, q querier, name string) (org, error) {
	o := org{Name: name}
	err := q.QueryRowContext(ctx, `SELECT id, factor FROM org WHERE name = ?`, name).Scan(&o.ID, &o.Factor)
	if errors.Is(err, sql.ErrNoRows) {
		return org{}, errNoOrg
	}
	if err != nil {
		return org{}, fmt.Errorf("find organization: %w", err)
	}
	return o, nil
}

// putOrg creates an organization with one owner and its team of developers. An existing one
// keeps its members and the rule on second factors, which factor only adds: its owners may have set it.
func (d *database) putOrg(ctx context.Context, name string, owner protocol.UserID, factor bool) error {
	return d.write(ctx, func(tx *sql.Tx) error {
		o, err := findOrg(ctx, tx, name)
		switch {
		case err == nil:
			if factor {
				_, err = tx.ExecContext(ctx, `UPDATE org SET factor = true WHERE id = ?`, o.ID)
			}
		case errors.Is(err, errNoOrg):
			o.ID = protocol.OrgID(rand.Text())
			if _, err = tx.ExecContext(ctx, `INSERT INTO org VALUES (?, ?, ?)`, o.ID, name, factor); err != nil {
				break
			}
			if _, err = tx.ExecContext(ctx, `INSERT INTO team (org, name) VALUES (?, ?)`, o.ID, developers); err != nil {
				break
			}
			err = putMember(ctx, tx, o.ID, owner, protocol.OrgOwner)
		}
		if err != nil {
			return fmt.Errorf("make organization: %w", err)
		}
		return nil
	})
}

// role returns the role of user in an organization.
func (d *database) role(ctx context.Context, id protocol.OrgID, user protocol.UserID) (protocol.OrgRole, error) {
	return roleOf(ctx, d.db, id, user)
}

func roleOf(ctx context.Context, q querier, id protocol.OrgID, user protocol.UserID) (role protocol.OrgRole, err error) {
	err = q.QueryRowContext(ctx, `SELECT role FROM member WHERE org = ? AND user = ?`, id, user).Scan(&role)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return protocol.NoRole, fmt.Errorf("read role: %w", err)
	}
	return role, nil
}

// demanded reports whether user is in an organization that requires a second factor.
func (d *database) demanded(ctx context.Context, user protocol.UserID) (demands bool, err error) {
	err = d.db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM member JOIN org ON org.id = member.org WHERE member.user = ? AND org.factor)`, user).Scan(&demands)
	if err != nil {
		return false, fmt.Errorf("read organizations: %w", err)
	}
	return demands, nil
}

// memberships returns the organizations that user is in, by name.
func (d *database) memberships(ctx context.Context, user protocol.UserID) ([]host.Membership, error) {
	rows, err := d.db.QueryContext(ctx, `SELECT org.name, member.role, org.factor FROM member JOIN org ON org.id = member.org WHERE member.user = ? ORDER BY org.name`, user)
	if err != nil {
		return nil, fmt.Errorf("read organizations: %w", err)
	}
	defer rows.Close()
	var all []host.Membership
	for rows.Next() {
		var m host.Membership
		if err := rows.Scan(&m.Org, &m.Role, &m.RequireFactor); err != nil {
			return nil, fmt.Errorf("read organizations: %w", err)
		}
		all = append(all, m)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read organizations: %w", err)
	}
	return all, nil
}

// requireFactor sets whether an organization requires a second factor of its members. It returns
// errOrgMoved if there is none with that ID any more.
func (d *database) requireFactor(ctx context.Context, id protocol.OrgID, require bool) error {
	return d.write(ctx, func(tx *sql.Tx) error {
		done, err := tx.ExecContext(ctx, `UPDATE org SET factor = ? WHERE id = ?`, require, id)
		if err != nil {
			return fmt.Errorf("set the rule of an organization: %w", err)
		}
		switch n, err := done.RowsAffected(); {
		case err != nil:
			return fmt.Errorf("set the rule of an organization: %w", err)
		case n == 0:
			return errOrgMoved
		}
		return nil
	})
}

// members returns the members of an organization with their roles.
func (d *database) members(ctx context.Context, id protocol.OrgID) (map[protocol.UserID]protocol.OrgRole, error) {
	rows, err := d.db.QueryContext(ctx, `SELECT user, role FROM member WHERE org = ?`, id)
	if err != nil {
		return nil, fmt.Errorf("read members: %w", err)
	}
	defer rows.Close()
	all := make(map[protocol.UserID]protocol.OrgRole)
	for rows.Next() {
		var user protocol.UserID
		var role protocol.OrgRole
		if err := rows.Scan(&user, &role); err != nil {
			return nil, fmt.Errorf("read members: %w", err)
		}
		all[user] = role
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read members: %w", err)
	}
	return all, nil
}

// reform runs fn in a transaction in which the organization called name is id.
func (d *database) reform(ctx context.Context, name string, id protocol.OrgID, fn func(tx *sql.Tx) error) error {
	return d.write(ctx, func(tx *sql.Tx) error {
		o, err := findOrg(ctx, tx, name)
		if err != nil {
			return err
		}
		if o.ID != id {
			return errOrgMoved
		}
		return fn(tx)
	})
}

// setMember adds a user to an organization, or gives a member another role, and returns how
// many members it has.
func (d *database) setMember(ctx context.Context, name string, id protocol.OrgID, user protocol.UserID, role protocol.OrgRole) (size int, err error) {
	if role == protocol.NoRole {
		return 0, errors.New("a member without a role was let through")
	}
	err = d.reform(ctx, name, id, func(tx *sql.Tx) error {
		if role != protocol.OrgOwner {
			if err := notLast(ctx, tx, id, user); err != nil {
				return err
			}
		}
		if err := putMember(ctx, tx, id, user, role); err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, `SELECT count(*) FROM member WHERE org = ?`, id).Scan(&size)
	})
	return size, err
}

// putMember writes a member, who also joins the developers.
func putMember(ctx context.Context, tx *sql.Tx, id protocol.OrgID, user protocol.UserID, role protocol.OrgRole) error {
	if _, err := tx.ExecContext(ctx, `INSERT INTO member VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET role = excluded.role`, id, user, role); err != nil {
		return fmt.Errorf("write member: %w", err)
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO team_member SELECT id, ? FROM team WHERE org = ? AND name = ? ON CONFLICT DO NOTHING`, user, id, developers); err != nil {
		return fmt.Errorf("write member: %w", err)
	}
	return nil
}

// notLast returns errLastBoss if user is the only owner of an organization.
func notLast(ctx context.Context, tx *sql.Tx, id protocol.OrgID, user protocol.UserID) error {
	bosses, err := users(ctx, tx, `SELECT user FROM member WHERE org = ? AND role = ?`, id, protocol.OrgOwner)
	if err != nil {
		return err
	}
	if len(bosses) == 1 && bosses[0] == user {
		return errLastBoss
	}
	return nil
}

// removeMember removes a user from an organization, from its teams, and from the maintainers of
// the packages in its scope. Packages without any maintainer then get the owners.
func (d *database) removeMember(ctx context.Context, name string, id protocol.OrgID, user protocol.UserID) error {
	return d.reform(ctx, name, id, func(tx *sql.Tx) error {
		role, err := roleOf(ctx, tx, id, user)
		if err != nil {
			return err
		}
		if role == protocol.NoRole {
			return errNoMember
		}
		if err := notLast(ctx, tx, id, user); err != nil {
			return err
		}
		for _, write := range []struct {
			query string
			args  []any
		}{
			{`DELETE FROM member WHERE org = ? AND user = ?`, []any{id, user}},
			{`DELETE FROM team_member WHERE user = ? AND team IN (SELECT id FROM team WHERE org = ?)`, []any{user, id}},
			// Packages that lose a maintainer get a new revision.
			{`UPDATE package SET revision = revision + 1 WHERE scope = ? AND id IN (SELECT package FROM owner WHERE user = ?)`, []any{name, user}},
			{`DELETE FROM owner WHERE user = ? AND package IN (SELECT id FROM package WHERE scope = ?)`, []any{user, name}},
			{`INSERT INTO owner SELECT package.id, member.user FROM package JOIN member ON member.org = ? AND member.role = ?
				WHERE package.scope = ? AND NOT EXISTS (SELECT 1 FROM owner WHERE owner.package = package.id)`, []any{id, protocol.OrgOwner, name}},
		} {
			if _, err := tx.ExecContext(ctx, write.query, write.args...); err != nil {
				return fmt.Errorf("remove member: %w", err)
			}
		}
		return nil
	})
}
