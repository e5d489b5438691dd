package wire

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"time"

	"github.com/npmauth/npmauth/protocol"
)

// A TokenRequest is the body of POST /-/npm/v1/tokens, in the spelling of the npm CLI and in
// that of npm's API documentation. An unknown field is refused, since it may be a restriction.
type TokenRequest struct {
	Password          string          `json:"password"`
	Name              *string         `json:"name"`
	TokenName         *string         `json:"token_name"`
	Description       *string         `json:"description"`
	TokenDescription  *string         `json:"token_description"`
	Packages          []string        `json:"packages"`
	PackagesAll       *bool           `json:"packages_all"`
	Scopes            []string        `json:"scopes"`
	Orgs              []string        `json:"orgs"`
	PackagePermission *string         `json:"packages_and_scopes_permission"`
	OrgPermission     *string         `json:"orgs_permission"`
	Verbs             []string        `json:"verbs"` // not npm's: which verbs of read-write on packages and scopes
	Expires           json.RawMessage `json:"expires"`
	Expiry            json.RawMessage `json:"expiry"`
	CIDRWhitelist     []string        `json:"cidr_whitelist"`
	CIDR              []string        `json:"cidr"`
	Bypass            *bool           `json:"bypass_2fa"`
	ReadOnly          *bool           `json:"readonly"`
}

// rfc3339 is the form of a date-time of RFC 3339, section 5.6. [time.Parse] also accepts some
// that are not: a comma, an hour of one digit, offsets of a day.
var rfc3339 = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`)

// Spec returns the token that the request describes, or an [*Error]. It does not check whether
// such a token is allowed.
func (q TokenRequest) Spec() (s protocol.TokenSpec, err error) {
	bad := func(text string) (protocol.TokenSpec, error) {
		return protocol.TokenSpec{}, &Error{Status: http.StatusBadRequest, Code: "bad-token-request", Sentence: text}
	}
	if s.Name, err = one(q.Name, q.TokenName, "name"); err != nil {
		return protocol.TokenSpec{}, err
	}
	if s.Description, err = one(q.Description, q.TokenDescription, "description"); err != nil {
		return protocol.TokenSpec{}, err
	}
	if s.Grants, err = q.grants(); err != nil {
		return protocol.TokenSpec{}, err
	}
	s.Bypass = q.Bypass != nil && *q.Bypass
	if s.CIDRs, err = parseCIDRs(split(append(q.CIDRWhitelist, q.CIDR...))); err != nil {
		return protocol.TokenSpec{}, err
	}
	expires := q.Expires
	if IsNull(expires) {
		expires = q.Expiry
	} else if !IsNull(q.Expiry) {
		return bad("Send either expires or expiry, not both.")
	}
	if IsNull(expires) {
		return s, nil
	}
	var text string
	if json.Unmarshal(expires, &text) == nil {
		layout := time.DateOnly
		if rfc3339.MatchString(text) {
			layout = time.RFC3339
		}
		if s.Until, err = time.Parse(layout, text); err == nil {
			return s, nil
		}
		return bad("expires must be a number of days or a date like 2026-12-31.")
	}
	if json.Unmarshal(expires, &s.Days) != nil || s.Days < 1 {
		return bad("expires must be a whole number of days, at least 1.")
	}
	return s, nil
}

// grants reads the targets and their permissions. An empty list counts as an absent one, and
// never as everything: that is packages_all, or the readonly of older clients, which could only
// create tokens for everything.
func (q TokenRequest) grants() ([]protocol.Grant, error) {
	bad := func(text string) ([]protocol.Grant, error) {
		return nil, &Error{Status: http.StatusBadRequest, Code: "bad-token-request", Sentence: text}
	}
	packages, scopes, orgs := split(q.Packages), split(q.Scopes), split(q.Orgs)
	all := q.PackagesAll != nil && *q.PackagesAll
	named := all || len(packages)+len(scopes) > 0
	permission := protocol.ReadOnly // npm's default for named targets
	switch {
	case q.PackagePermission != nil:
		if err := permission.UnmarshalText([]byte(*q.PackagePermission)); err != nil {
			return bad("packages_and_scopes_permission must be no-access, read-only, read-write or read-write-stage-only.")
		}
		if !named && permission != protocol.NoAccess {
			return bad("A permission for packages and scopes needs packages, scopes or packages_all.")
		}
	case q.ReadOnly != nil && !*q.ReadOnly:
		permission = protocol.ReadWrite
	}
	if !named && len(orgs) == 0 && q.ReadOnly != nil && q.PackagePermission == nil {
		all, named = true, true
	}
	if !named && len(orgs) == 0 {
		return bad("Say what the token is for: packages, scopes, orgs or packages_all. npm does not send --read-only; use --packages-and-scopes-permission=read-only with --packages-all, --packages or --scopes.")
	}
	if all && len(packages)+len(scopes) > 0 {
		return bad("Send either packages_all or a list of packages and scopes, not both.")
	}

	verbs, err := q.verbs()
	switch {
	case err != nil:
		return nil, err
	case verbs != 0 && (!named || permission != protocol.ReadWrite):
		return bad("verbs need packages, scopes or packages_all with packages_and_scopes_permission=read-write.")
	case verbs&protocol.VerbCreate != 0 && len(packages) > 0:
		return bad("The verb create needs scopes or packages_all: a named package must exist before a token can name it.")
	}

	var grants []protocol.Grant
	if named && permission != protocol.NoAccess {
		if all {
			grants = append(grants, protocol.Grant{Target: protocol.AllPackages, Permission: permission, Verbs: verbs})
		}
		for _, text := range packages {
			name, err := protocol.ParsePackageName(text)
			if err != nil {
				return bad("packages holds something that is not a package name: for everything use packages_all.")
			}
			grants = append(grants, protocol.Grant{Target: protocol.OnePackage, Package: name, Permission: permission, Verbs: verbs})
		}
		for _, text := range scopes {
			grants = append(grants, protocol.Grant{Target: protocol.OneScope, Scope: strings.TrimPrefix(text, "@"), Permission: permission, Verbs: verbs})
		}
	}
	org := protocol.ReadOnly
	if q.OrgPermission != nil {
		if err := org.UnmarshalText([]byte(*q.OrgPermission)); err != nil || org == protocol.StageOnly {
			return bad("orgs_permission must be no-access, read-only or read-write.")
		}
		if len(orgs) == 0 && org != protocol.NoAccess {
			return bad("A permission for orgs needs orgs.")
		}
	}
	for _, text := range orgs {
		if org != protocol.NoAccess {
			grants = append(grants, protocol.Grant{Target: protocol.OneOrg, Scope: strings.TrimPrefix(text, "@"), Permission: org})
		}
	}
	if len(grants) == 0 {
		return bad("The token would have access to nothing.")
	}
	if spec := (protocol.TokenSpec{Grants: grants}); q.ReadOnly != nil && *q.ReadOnly && spec.Writes() {
		return bad("A token cannot be readonly and have a permission to write.")
	}
	return grants, nil
}

// verbs reads the verbs that read-write is narrowed to; zero is no narrowing. An empty list is
// refused: it could mean nothing or everything.
func (q TokenRequest) verbs() (verbs protocol.Verbs, err error) {
	if q.Verbs == nil {
		return 0, nil
	}
	words := strings.Join(q.Verbs, ",")
	err = verbs.UnmarshalText([]byte(strings.Join(split([]string{words}), "+")))
	if err != nil || verbs == 0 || strings.Contains(words, "+") {
		return 0, &Error{Status: http.StatusBadRequest, Code: "bad-token-request", Sentence: "verbs must be some of publish, stage, dist-tag, deprecate, unpublish and create, each once."}
	}
	return verbs, nil
}

// shownVerbs returns the verbs of a token for a list: those that its grants on packages have,
// or null if one of the grants has the whole permission.
func shownVerbs(grants []protocol.Grant) any {
	var all protocol.Verbs
	for _, g := range grants {
		if g.Permission != protocol.ReadWrite || g.Target == protocol.OneOrg {
			continue
		}
		if g.Verbs == 0 {
			return nil
		}
		all |= g.Verbs
	}
	if all == 0 {
		return nil
	}
	return strings.Split(all.String(), "+")
}

// one picks a field that may come in two spellings.
func one(cli, api *string, field string) (string, error) {
	switch {
	case cli != nil && api != nil:
		return "", &Error{Status: http.StatusBadRequest, Code: "bad-token-request", Sentence: "Send " + field + " once, in one spelling."}
	case cli != nil:
		return *cli, nil
	case api != nil:
		return *api, nil
	}
	return "", nil
}

// split undoes what npm leaves undone: --packages=a,b arrives as one entry.
func split(entries []string) (names []string) {
	for _, entry := range entries {
		for name := range strings.SplitSeq(entry, ",") {
			names = append(names, strings.Trim(name, " "))
		}
	}
	return names
}

// A RotateRequest is the body of POST /-/auth/v1/tokens/<key>/rotate.
type RotateRequest struct {
	Password string `json:"password"`
	Grace    *int   `json:"grace"`   // hours that the old secret stays valid; a day if absent
	Expires  *int   `json:"expires"` // days of the new one
}

// maxGraceHours is more than any grace, and a number of hours that fits a duration.
const maxGraceHours = 1 << 20

// Rotation returns for how long the old secret stays valid, and in how many days the new token
// expires, 0 for the lifetime of the old one; or an [*Error].
func (q RotateRequest) Rotation() (grace time.Duration, days int, err error) {
	grace = 24 * time.Hour
	if q.Grace != nil {
		grace = time.Duration(min(max(*q.Grace, -1), maxGraceHours)) * time.Hour
	}
	if q.Expires != nil {
		if days = *q.Expires; days < 1 {
			return 0, 0, &Error{Status: http.StatusBadRequest, Code: "bad-token-request", Sentence: "expires must be a number of days."}
		}
	}
	return grace, days, nil
}

// parseCIDRs reads ranges such as 10.0.0.0/8 and 2001:db8::/32.
func parseCIDRs(texts []string) ([]netip.Prefix, error) {
	var cidrs []netip.Prefix
	for _, text := range texts {
		// Not net.ParseCIDR, which accepts 10.0.0.0/08 and turns ::ffff:10.0.0.0/104 into IPv4.
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, &Error{Status: http.StatusBadRequest, Code: "bad-token-request", Sentence: "Each entry of cidr_whitelist must be a CIDR range, such as 10.0.0.0/8."}
		}
		cidrs = append(cidrs, p)
	}
	return cidrs, nil
}

// A Token is a token as npm lists it.
type Token struct {
	Key     string // public
	Hint    string // the secret's first characters; npm token revoke accepts them
	Created time.Time
	Expires time.Time
	// Replaces is the key of the token that was rotated to make it, ReplacedBy that of the token
	// that it was rotated to; "" is null in the JSON. npm has neither.
	Replaces, ReplacedBy string
	protocol.TokenSpec
}

// Fields returns the fields of the token's JSON, every one in both of its spellings. Ranges are
// null where there are none: npm prints "with IP whitelist:" of a list, also of an empty one.
func (t Token) Fields() map[string]any {
	var cidrs []string
	for _, p := range t.CIDRs {
		cidrs = append(cidrs, p.String())
	}
	packages, orgs := protocol.NoAccess, protocol.NoAccess
	scopes := []map[string]string{}
	for _, g := range t.Grants {
		switch g.Target {
		case protocol.AllPackages:
			packages = g.Permission
			scopes = append(scopes, map[string]string{"type": "package", "name": "*"})
		case protocol.OnePackage:
			packages = g.Permission
			scopes = append(scopes, map[string]string{"type": "package", "name": g.Package.String()})
		case protocol.OneScope:
			packages = g.Permission
			scopes = append(scopes, map[string]string{"type": "scope", "name": "@" + g.Scope})
		case protocol.OneOrg:
			orgs = g.Permission
			scopes = append(scopes, map[string]string{"type": "org", "name": g.Scope})
		}
	}
	return map[string]any{
		"key": t.Key, "token": t.Hint, "name": t.Name, "description": t.Description,
		"created": t.Created, "updated": t.Created, "expires": t.Expires, "expiry": t.Expires, "revoked": nil,
		"readonly":       packages != protocol.ReadWrite && packages != protocol.StageOnly && orgs != protocol.ReadWrite,
		"bypass_2fa":     t.Bypass,
		"cidr_whitelist": cidrs, "cidr": cidrs,
		"permissions": []map[string]string{
			{"name": "package", "action": packages.String()}, {"name": "org", "action": orgs.String()},
		},
		"scopes":   scopes,
		"verbs":    shownVerbs(t.Grants),
		"replaces": orNull(t.Replaces), "replaced_by": orNull(t.ReplacedBy),
	}
}

// orNull returns text for JSON, and null for none.
func orNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}
