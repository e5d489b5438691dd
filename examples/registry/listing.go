package main

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"

	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
)

// A share is a package in a list, with a user's rights on it.
type share struct {
	Name    string
	Private bool
	Grade   grade
}

// A grade is the extent of a user's rights on a package, as stored in the view part.
type grade int

const (
	mayRead grade = 1 + iota
	mayWrite
	mayAdmin
)

// rights returns the grade as npmauth has it.
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

// visible is the condition that the user :viewer may read a row of package. What is hidden from
// them must not leave the database: npmauth decides about each private package of a list, and
// that takes time by which they could count those of others.
const visible = `(NOT package.private OR EXISTS (SELECT 1 FROM part WHERE part.package = package.id AND part.user = :viewer))`

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

// readable omits the packages that the request of ctx may not read, of those visible to its user.
// Everybody reads public packages. npmauth decides about private ones, as if each were requested:
// a token may have fewer rights than its user.
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

// listPackages serves npm access list packages <user>: the packages on which that user has
// rights, as far as the requester may read them. pnpm lists its own user's without a name.
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
	all, err := s.db.packagesOf(r.Context(), id, who.User)
	if err != nil {
		return err
	}
	return s.listShares(w, r, all)
}

// packagesOf returns the packages on which user has more rights than everybody, as far as viewer
// may read them.
func (d *database) packagesOf(ctx context.Context, user, viewer protocol.UserID) ([]share, error) {
	return shares(ctx, d.db, `
		SELECT name, private, max(own.grade) FROM part AS own JOIN package ON package.id = own.package
		WHERE own.user = :user AND `+visible+` GROUP BY package.id ORDER BY name`, sql.Named("user", user), sql.Named("viewer", viewer))
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

// collaborators serves npm access list collaborators: the users who have more rights on a
// package than everybody.
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

// parts returns the users with rights on a package, and which.
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

// grade returns the rights of user on a package, 0 for no more than everybody's.
func (d *database) grade(ctx context.Context, id protocol.PackageID, user protocol.UserID) (g grade, err error) {
	err = d.db.QueryRowContext(ctx, `SELECT coalesce(max(grade), 0) FROM part WHERE package = ? AND user = ?`, id, user).Scan(&g)
	if err != nil {
		return 0, fmt.Errorf("read rights: %w", err)
	}
	return g, nil
}

// list answers with JSON for this user alone, which caches must not keep.
func list(w http.ResponseWriter, v any) error {
	w.Header().Set("Cache-Control", "private, no-cache")
	w.Header().Set("Vary", "Authorization")
	return reply(w, http.StatusOK, v)
}
