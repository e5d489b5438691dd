package main

import (
	"errors"
	"net/http"
	"strings"

	"github.com/npmauth/npmauth/policy"
)

// reserve keeps the names of organizations from those who sign up: a user called like
// one would be taken for it. Its scope would not be theirs, see [facts]. Nobody who has
// such a name can be logged in this way either, but then nobody has one.
func (s *registry) reserve(next http.Handler) http.Handler {
	prefix := strings.TrimSuffix(s.view.base.EscapedPath(), "/")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			if err := s.unreserved(r, prefix); err != nil {
				s.fail(w, r, err)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// unreserved returns the refusal of a sign-up under the name of an organization.
func (s *registry) unreserved(r *http.Request, prefix string) error {
	op, err := policy.Classify(r.Method, strings.TrimPrefix(r.URL.EscapedPath(), prefix))
	if err != nil || op.Action != policy.LegacyLogin {
		return nil // npmauth will say what is wrong with it
	}
	switch _, err := s.db.findOrg(r.Context(), op.Name); {
	case errors.Is(err, errNoOrg):
		return nil
	case err != nil:
		return err
	}
	return refuse(http.StatusForbidden, "An organization has this name.")
}
