package token

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/npmauth/npmauth/internal/cidr"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
)

// A Spec describes the token to create.
type Spec struct {
	User protocol.UserID // required

	// Name and Description are for people. A name has at most [MaxName] printable characters, a
	// description [MaxDescription]. Both may be empty: npm requires a name, but its clients up
	// to 11.6 and its bare token create send none.
	Name, Description string

	// Grants say what the token can access: at least one, each with a permission other than
	// none, and no target twice, not even with other verbs.
	Grants []protocol.Grant

	// Bypass lets the token publish without a second factor where a package allows that. It
	// needs a grant to write packages.
	Bypass bool

	// CIDRs are the networks that the token may be used from; none means
	// anywhere. Each is written with its first address: 10.0.0.0/8 and not
	// 10.0.0.1/8. An IPv4 network is never written as IPv6.
	CIDRs []netip.Prefix

	// Days or Until end the token; with neither it has the default lifetime. Days are whole
	// days of 24 hours, at least Limits.MinTokenTTL; 0 means not given, so that a caller that
	// decodes a request must itself refuse a 0 in it. Until is any time in the future, and is
	// cut to microseconds. A token that may write lives for Limits.MaxWriteTokenTTL at most,
	// any other for [policy.MaxTokenTTL].
	Days  int
	Until time.Time

	// Service says that User is a service account: then a token that only reads may live no
	// longer than one that writes. Nobody logs in to a service account and notices an old
	// token.
	Service bool
}

// SpecOf returns the Spec of a token of user that a request describes.
func SpecOf(user protocol.UserID, s protocol.TokenSpec) Spec {
	return Spec{
		User: user, Name: s.Name, Description: s.Description, Grants: s.Grants, Bypass: s.Bypass, CIDRs: s.CIDRs, Days: s.Days, Until: s.Until,
	}
}

// A SpecError says which part of a [Spec] is not allowed, and why. Its text is for the client.
type SpecError struct {
	Field   string // of npm's request: name, description, permissions, bypass_2fa, cidr_whitelist, expires
	Problem string
}

// Error returns the field and the problem, without the name of this package.
func (e *SpecError) Error() string { return e.Field + " " + e.Problem }

// Answer returns how HTTP answers the error.
func (e *SpecError) Answer() (status int, code, sentence string) {
	return 400, "bad-token-request", e.Error()
}

func wrong(field, format string, args ...any) error {
	return &SpecError{Field: field, Problem: fmt.Sprintf(format, args...)}
}

// Validate returns the error that Create would return for the content of spec, usually a
// [*SpecError], before a password or a second factor is spent on it.
func (m *Manager) Validate(spec Spec) error {
	_, err := m.check(spec, m.now())
	return err
}

// check returns when the token ends, or why the spec is not allowed.
func (m *Manager) check(s Spec, now time.Time) (time.Time, error) {
	if s.User == "" {
		return time.Time{}, errors.New("token: Spec.User is missing")
	}
	if !printable(s.Name, MaxName) {
		return time.Time{}, wrong("name", "must have at most %d printable characters", MaxName)
	}
	if !printable(s.Description, MaxDescription) {
		return time.Time{}, wrong("description", "must have at most %d printable characters", MaxDescription)
	}
	if err := m.checkGrants(s.Grants); err != nil {
		return time.Time{}, err
	}
	if s.Bypass && !slices.ContainsFunc(s.Grants, writesPackages) {
		return time.Time{}, wrong("bypass_2fa", "needs permission to write packages")
	}
	if err := checkCIDRs(s.CIDRs); err != nil {
		return time.Time{}, err
	}
	return m.until(s, now)
}

// printable reports whether s has at most limit code points, all of them visible or spaces: no
// control characters, which could forge lines of a log or headers, and no invisible ones, which
// could make two names appear alike.
func printable(s string, limit int) bool {
	if !utf8.ValidString(s) || utf8.RuneCountInString(s) > limit {
		return false
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}

func (m *Manager) checkGrants(grants []protocol.Grant) error {
	limits := m.limits()
	if len(grants) == 0 {
		return wrong("permissions", "must name at least one package, scope or organization")
	}
	if len(grants) > limits.Targets+limits.Orgs+1 { // before checking each
		return wrong("permissions", "name more than %d packages and scopes or %d organizations", limits.Targets, limits.Orgs)
	}
	seen := make(map[protocol.Grant]bool, len(grants))
	targets, orgs := 0, 0
	for _, g := range grants {
		if err := g.Validate(); err != nil {
			return wrong("permissions", "are not valid: %v", err)
		}
		// A stored grant of no access would seem to restrict a wider grant, and would not: each
		// grant is evaluated alone.
		if g.Permission == protocol.NoAccess {
			return wrong("permissions", "must be at least read-only")
		}
		// Neither narrows the other: of two grants on one target the wider one counts.
		g.Permission, g.Verbs = protocol.NoAccess, 0
		if seen[g] {
			return wrong("permissions", "name a target twice")
		}
		seen[g] = true
		switch g.Target {
		case protocol.OnePackage, protocol.OneScope:
			targets++
		case protocol.OneOrg:
			orgs++
		}
	}
	if targets > limits.Targets {
		return wrong("permissions", "name more than %d packages and scopes", limits.Targets)
	}
	if orgs > limits.Orgs {
		return wrong("permissions", "name more than %d organizations", limits.Orgs)
	}
	return nil
}

// writes reports whether g can do more than read. One such grant makes the token a writing one,
// with the shorter life.
func writes(g protocol.Grant) bool {
	return g.Permission != protocol.ReadOnly && g.Permission != protocol.NoAccess
}

func writesPackages(g protocol.Grant) bool { return writes(g) && g.Target != protocol.OneOrg }

func checkCIDRs(cidrs []netip.Prefix) error {
	if problem := cidr.Problem(cidrs); problem != "" {
		return wrong("cidr_whitelist", "%s", problem)
	}
	return nil
}

// until returns the first instant at which the token is dead.
func (m *Manager) until(s Spec, now time.Time) (time.Time, error) {
	limits := m.limits()
	what, longest, life := "only reads", policy.MaxTokenTTL, limits.ReadTokenTTL
	if slices.ContainsFunc(s.Grants, writes) {
		what, longest, life = "may write", limits.MaxWriteTokenTTL, limits.WriteTokenTTL
	}
	if s.Service && longest > limits.MaxWriteTokenTTL {
		what, longest = "is a service account's", limits.MaxWriteTokenTTL
		life = min(life, longest)
	}
	until := now.Add(life)
	switch {
	case s.Days != 0 && !s.Until.IsZero():
		return time.Time{}, wrong("expires", "must be days or a date, not both")
	case s.Days < 0, s.Days != 0 && s.Days < days(limits.MinTokenTTL+Day-1):
		return time.Time{}, wrong("expires", "must be at least %d day(s)", days(limits.MinTokenTTL+Day-1))
	case s.Days != 0:
		// Compared in days: the product of the two could overflow.
		if s.Days > days(longest) {
			return time.Time{}, tooLong(what, longest)
		}
		until = now.Add(time.Duration(s.Days) * Day)
	case !s.Until.IsZero():
		until = s.Until.UTC().Truncate(time.Microsecond)
		if !until.After(now) {
			return time.Time{}, wrong("expires", "must be in the future")
		}
		if until.After(now.Add(longest)) {
			return time.Time{}, tooLong(what, longest)
		}
	}
	return until, nil
}

func tooLong(what string, longest time.Duration) error {
	return wrong("expires", "is too far away: a token that %s lives %d days at most", what, days(longest))
}

// days returns how many whole days fit d.
func days(d time.Duration) int { return int(d / Day) }
