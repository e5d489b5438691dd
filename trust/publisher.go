package trust

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// An InvalidError says to who sent a publisher what is wrong with it. The answer's status is 400.
type InvalidError struct{ Problem string }

// Error returns the problem.
func (e *InvalidError) Error() string { return e.Problem }

// Answer returns how HTTP answers the error.
func (e *InvalidError) Answer() (status int, code, sentence string) {
	return 400, "bad-trusted-publisher", e.Problem
}

func invalid(format string, args ...any) error { return &InvalidError{fmt.Sprintf(format, args...)} }

// maxValue bounds a claim's value, in bytes.
const maxValue = 1024

// A Publisher says which jobs of a CI system may publish a package, and what they may do. The zero Publisher is
// not valid and matches nothing.
type Publisher struct {
	ID   string // given when it is saved; "" in what a person sends
	Kind Kind

	// Issuer is the URL of its issuer. It is "" only in what a person sends, until [Publisher.Resolve].
	Issuer string

	// Of these it has the one of its Kind.
	GitHub   *GitHub
	GitLab   *GitLab
	CircleCI *CircleCI
	Claims   map[string]string // of KindOIDC and KindCustom: the claims and their values

	Permissions Permissions
}

// Validate returns an [*InvalidError] if p is incomplete or malformed. It does not know the issuers: see
// [Publisher.Resolve].
func (p Publisher) Validate() error {
	if p.ID != "" && !plain(p.ID, 128) {
		return invalid("id is malformed.")
	}
	if p.Issuer != "" {
		if _, err := checkURL(p.Issuer); err != nil {
			return invalid("issuer must be the URL of an issuer, exactly.")
		}
	}
	if !p.Permissions.valid() {
		return &InvalidError{noPermission}
	}
	has := map[Kind]bool{KindGitHub: p.GitHub != nil, KindGitLab: p.GitLab != nil, KindCircleCI: p.CircleCI != nil}
	for kind, ok := range has {
		if ok != (kind == p.Kind) {
			return invalid("type and claims do not belong together.")
		}
	}
	generic := p.Kind == KindOIDC || p.Kind == KindCustom
	if generic != (p.Claims != nil) {
		return invalid("type and claims do not belong together.")
	}
	switch p.Kind {
	case KindGitHub:
		return p.GitHub.validate()
	case KindGitLab:
		return p.GitLab.validate()
	case KindCircleCI:
		return p.CircleCI.validate()
	case KindOIDC, KindCustom:
		return validateClaims(p.Kind, p.Claims)
	}
	return invalid("type is not known here.")
}

// Resolve returns p with its issuer, which is one of issuers, or an [*InvalidError]. A publisher without Issuer
// belongs to the only issuer of its kind, one of CircleCI to that of its organization.
func (p Publisher) Resolve(issuers []Issuer) (Publisher, Issuer, error) {
	if err := p.Validate(); err != nil {
		return Publisher{}, Issuer{}, err
	}
	var fit []Issuer
	for _, i := range issuers {
		if i.Validate() == nil && i.Kind == p.Kind && (p.Issuer == "" || p.Issuer == i.URL) && (p.Kind != KindCircleCI || i.org() == p.CircleCI.OrgID) {
			fit = append(fit, i)
		}
	}
	switch {
	case len(fit) == 0 && p.Kind == KindCircleCI:
		return Publisher{}, Issuer{}, invalid("This registry does not accept tokens of that organization of CircleCI.")
	case len(fit) == 0 && p.Issuer != "":
		return Publisher{}, Issuer{}, invalid("This registry does not accept tokens of that issuer with type %v.", p.Kind)
	case len(fit) == 0:
		return Publisher{}, Issuer{}, invalid("This registry does not accept tokens of type %v.", p.Kind)
	case len(fit) > 1:
		var urls []string
		for _, i := range fit {
			urls = append(urls, i.URL)
		}
		slices.Sort(urls)
		return Publisher{}, Issuer{}, invalid("This registry has several issuers of type %v. Send issuer with one of: %s.", p.Kind, strings.Join(urls, ", "))
	}
	if p.Claims != nil {
		if err := fit[0].checkPublisher(p.Claims); err != nil {
			return Publisher{}, Issuer{}, err
		}
	}
	p = p.clone()
	p.Issuer = fit[0].URL
	return p, fit[0], nil
}

// clone returns a copy that shares nothing with p.
func (p Publisher) clone() Publisher {
	if p.GitHub != nil {
		c := *p.GitHub
		c.AllowEvents = slices.Clone(c.AllowEvents)
		p.GitHub = &c
	}
	if p.GitLab != nil {
		c := *p.GitLab
		c.AllowEvents = slices.Clone(c.AllowEvents)
		p.GitLab = &c
	}
	if p.CircleCI != nil {
		c := *p.CircleCI
		c.ContextIDs = slices.Clone(c.ContextIDs)
		p.CircleCI = &c
	}
	p.Claims = maps.Clone(p.Claims)
	return p
}
