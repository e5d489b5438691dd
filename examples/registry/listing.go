package main

import (
	"context"
	"fmt"
	"net/http"

	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
)

// A share is a package in a list, and what somebody may do with it.
type share struct {
	Name    string
	Private bool
	Grade   grade
}

// A grade is how far somebody's rights on a package go, as the view part has it.
type grade int

const (
	mayRead grade = 1 + iota
	mayWrite
	mayAdmin
)

// rights returns the grade as npmauth knows it.
func (g grade) rights() policy.Rights {
	switch g {
	case mayRead:
		return policy.RightRead
	case mayWrite:
		return policy.RightRead | policy.RightWrite
	case mayAdmin:
		return policy.RightRead | policy.RightWrite | policy.RightAdmin
	}
	return 0
}

// String returns npm's word for it.
func (g grade) String() string {
	if g >= mayWrite {
		return "write"
	}
	return "read"
}

// shares returns what a query of name, private and grade finds.
func shares(ctx context.Context, q querier, query string, args ...any) ([]share, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("list packages: %w", err)
	}
	defer rows.Close()
	var all []share
	for rows.Next() {
		var one share
		if err := rows.Scan(&one.Name, &one.Private, &one.Grade); err != nil {
			return nil, fmt.Errorf("list packages: %w", err)
		}
		all = append(all, one)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list packages: %w", err)
	}
	return all, nil
}

// readable leaves out the packages that the request of ctx may not read. Everybody reads
// what is public. On what is private it is npmauth that decides, as if each were asked for:
// a token may be for less than its user.
func readable(ctx context.Context, all []share) ([]share, error) {
	var some []share
	for _, one := range all {
		may := !one.Private
		if one.Private {
			name, err := protocol.ParsePackageName(one.Name)
			if err != nil {
				return nil, fmt.Errorf("list packages: %w", err)
			}
			if may, err = host.Readable(ctx, name); err != nil {
				return nil, fmt.Errorf("list packages: %w", err)
			}
		}
		if may {
			some = append(some, one)
		}
	}
	return some, nil
}

// listPackages serves npm access list packages <user>: where that user has a part, as
// far as the asking one may read it. pnpm asks for its own without a name.
func (s *registry) listPackages(w http.ResponseWriter, r *http.Request, op host.Operation) error {
	who, ok := host.IdentityFrom(r.Context())
	if !ok {
		return errAnonymous
	}
	id := who.User
	if op.User != "" {
		var err error
		if id, err = s.people.id(r.Context(), op.User); err != nil {
			return noUser(err, op.User)
		}
	}
	all, err := s.db.packagesOf(r.Context(), id)
	if err != nil {
		return err
	}
	return s.listShares(w, r, all)
}

// packagesOf returns the packages that user has a right on, other than as everybody.
func (d *database) packagesOf(ctx context.Context, user protocol.UserID) ([]share, error) {
	return shares(ctx, d.db, `
		SELECT name, private, max(grade) FROM part JOIN package ON package.id = part.package
		WHERE user = ? GROUP BY package.id ORDER BY name`, user)
}

// listShares answers with the packages of a list that may be read.
func (s *registry) listShares(w http.ResponseWriter, r *http.Request, all []share) error {
	all, err := readable(r.Context(), all)
	if err != nil {
		return err
	}
	words := make(map[string]string)
	for _, one := range all {
		words[one.Name] = one.Grade.String()
	}
	return list(w, words)
}

// collaborators serves npm access list collaborators: who has a right on a package
// other than as everybody.
func (s *registry) collaborators(w http.ResponseWriter, r *http.Request, op host.Operation) error {
	p, err := s.target(r.Context(), op)
	if err != nil {
		return err
	}
	all, err := s.db.parts(r.Context(), p.ID)
	if err != nil {
		return err
	}
	words := make(map[string]string)
	for id, g := range all {
		name, err := s.people.name(r.Context(), id)
		if err != nil {
			return err
		}
		if name != "" {
			words[name] = g.String()
		}
	}
	return list(w, words)
}

// parts returns who has a right on a package, and which.
func (d *database) parts(ctx context.Context, id protocol.PackageID) (map[protocol.UserID]grade, error) {
	rows, err := d.db.QueryContext(ctx, `SELECT user, max(grade) FROM part WHERE package = ? GROUP BY user`, id)
	if err != nil {
		return nil, fmt.Errorf("read rights: %w", err)
	}
	defer rows.Close()
	all := make(map[protocol.UserID]grade)
	for rows.Next() {
		var user protocol.UserID
		var g grade
		if err := rows.Scan(&user, &g); err != nil {
			return nil, fmt.Errorf("read rights: %w", err)
		}
		all[user] = g
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read rights: %w", err)
	}
	return all, nil
}

// grade returns how far the rights of user on a package go, 0 for none but those of
// everybody.
func (d *database) grade(ctx context.Context, id protocol.PackageID, user protocol.UserID) (g grade, err error) {
	err = d.db.QueryRowContext(ctx, `SELECT coalesce(max(grade), 0) FROM part WHERE package = ? AND user = ?`, id, user).Scan(&g)
	if err != nil {
		return 0, fmt.Errorf("read rights: %w", err)
	}
	return g, nil
}

// list answers with what is for this asker alone, and not for long.
func list(w http.ResponseWriter, v any) error {
	w.Header().Set("Cache-Control", "private, no-cache")
	w.Header().Set("Vary", "Authorization")
	return reply(w, http.StatusOK, v)
}
