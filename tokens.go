package npmauth

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/token"
	"github.com/npmauth/npmauth/wire"
)

// A tokenRequest is the body of POST /-/npm/v1/tokens, in the spelling of the
// npm CLI and in that of npm's API documentation. A restriction that is not
// understood is never dropped: an unknown field is refused.
type tokenRequest struct {
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
	Verbs             []string        `json:"verbs"` // ours: which of read-write on packages and scopes
	Expires           json.RawMessage `json:"expires"`
	Expiry            json.RawMessage `json:"expiry"`
	CIDRWhitelist     []string        `json:"cidr_whitelist"`
	CIDR              []string        `json:"cidr"`
	Bypass            *bool           `json:"bypass_2fa"`
	ReadOnly          *bool           `json:"readonly"`
}

// rfc3339 is the form of a date-time of RFC 3339, section 5.6, of which [time.Parse] also
// takes some that are none: a comma, an hour of one digit, offsets of a day.
var rfc3339 = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`)

// spec turns the request into what package token understands.
func (q tokenRequest) spec() (s token.Spec, err error) {
	bad := func(text string) (token.Spec, error) {
		return token.Spec{}, &wire.Error{Status: http.StatusBadRequest, Code: "bad-token-request", Sentence: text}
	}
	if s.Name, err = one(q.Name, q.TokenName, "name"); err != nil {
		return token.Spec{}, err
	}
	if s.Description, err = one(q.Description, q.TokenDescription, "description"); err != nil {
		return token.Spec{}, err
	}
	if s.Grants, err = q.grants(); err != nil {
		return token.Spec{}, err
	}
	s.Bypass = q.Bypass != nil && *q.Bypass
	if s.CIDRs, err = token.ParseCIDRs(split(append(q.CIDRWhitelist, q.CIDR...))); err != nil {
		return token.Spec{}, err
	}
	expires := q.Expires
	if isNull(expires) {
		expires = q.Expiry
	} else if !isNull(q.Expiry) {
		return bad("Give expires or expiry but not both.")
	}
	if isNull(expires) {
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

// grants reads the targets and their permissions. An empty list is an absent one,
// and no list is ever everything: that takes packages_all, or the readonly of
// older clients, who could only make tokens for everything.
func (q tokenRequest) grants() ([]policy.Grant, error) {
	bad := func(text string) ([]policy.Grant, error) {
		return nil, &wire.Error{Status: http.StatusBadRequest, Code: "bad-token-request", Sentence: text}
	}
	packages, scopes, orgs := split(q.Packages), split(q.Scopes), split(q.Orgs)
	all := q.PackagesAll != nil && *q.PackagesAll
	named := all || len(packages)+len(scopes) > 0
	permission := policy.ReadOnly // npm's default for what is named
	switch {
	case q.PackagePermission != nil:
		if err := permission.UnmarshalText([]byte(*q.PackagePermission)); err != nil {
			return bad("packages_and_scopes_permission must be no-access, read-only, read-write or read-write-stage-only.")
		}
		if !named && permission != policy.NoAccess {
			return bad("A permission for packages and scopes needs packages, scopes or packages_all.")
		}
	case q.ReadOnly != nil && !*q.ReadOnly:
		permission = policy.ReadWrite
	}
	if !named && len(orgs) == 0 && q.ReadOnly != nil && q.PackagePermission == nil {
		all, named = true, true
	}
	if !named && len(orgs) == 0 {
		return bad("Say what the token is for: packages, scopes, orgs or packages_all. npm does not send --read-only; use --packages-and-scopes-permission=read-only with --packages-all, --packages or --scopes.")
	}
	if all && len(packages)+len(scopes) > 0 {
		return bad("Give packages_all or a list of packages and scopes but not both.")
	}

	verbs, err := q.verbs()
	switch {
	case err != nil:
		return nil, err
	case verbs != 0 && (!named || permission != policy.ReadWrite):
		return bad("verbs need packages, scopes or packages_all with packages_and_scopes_permission=read-write.")
	case verbs&policy.VerbCreate != 0 && len(packages) > 0:
		return bad("The verb create needs scopes or packages_all: a named package must exist before a token can name it.")
	}

	var grants []policy.Grant
	if named && permission != policy.NoAccess {
		if all {
			grants = append(grants, policy.Grant{Target: policy.AllPackages, Permission: permission, Verbs: verbs})
		}
		for _, text := range packages {
			name, err := policy.ParsePackageName(text)
			if err != nil {
				return bad("packages holds something that is not a package name: for everything use packages_all.")
			}
			grants = append(grants, policy.Grant{Target: policy.OnePackage, Package: name, Permission: permission, Verbs: verbs})
		}
		for _, text := range scopes {
			grants = append(grants, policy.Grant{Target: policy.OneScope, Scope: strings.TrimPrefix(text, "@"), Permission: permission, Verbs: verbs})
		}
	}
	org := policy.ReadOnly
	if q.OrgPermission != nil {
		if err := org.UnmarshalText([]byte(*q.OrgPermission)); err != nil || org == policy.StageOnly {
			return bad("orgs_permission must be no-access, read-only or read-write.")
		}
		if len(orgs) == 0 && org != policy.NoAccess {
			return bad("A permission for orgs needs orgs.")
		}
	}
	for _, text := range orgs {
		if org != policy.NoAccess {
			grants = append(grants, policy.Grant{Target: policy.OneOrg, Scope: strings.TrimPrefix(text, "@"), Permission: org})
		}
	}
	if len(grants) == 0 {
		return bad("The token would have access to nothing.")
	}
	if q.ReadOnly != nil && *q.ReadOnly && slices.ContainsFunc(grants, writes) {
		return bad("A token cannot be readonly and have a permission to write.")
	}
	return grants, nil
}

// verbs reads what read-write is narrowed to; zero is nothing. A list of none is refused:
// it says neither that nothing nor that all may be done.
func (q tokenRequest) verbs() (verbs policy.Verbs, err error) {
	if q.Verbs == nil {
		return 0, nil
	}
	words := strings.Join(q.Verbs, ",")
	err = verbs.UnmarshalText([]byte(strings.Join(split([]string{words}), "+")))
	if err != nil || verbs == 0 || strings.Contains(words, "+") {
		return 0, &wire.Error{Status: http.StatusBadRequest, Code: "bad-token-request", Sentence: "verbs must be some of publish, stage, dist-tag, deprecate, unpublish and create, each once."}
	}
	return verbs, nil
}

// shownVerbs is what a list says of the verbs of a token: those that its grants on
// packages have, or null where one of them may do all that its permission says.
func shownVerbs(grants []policy.Grant) any {
	var all policy.Verbs
	for _, g := range grants {
		if g.Permission != policy.ReadWrite || g.Target == policy.OneOrg {
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

func writes(g policy.Grant) bool { return g.Permission != policy.ReadOnly }

// one picks a field that may come in two spellings.
func one(cli, api *string, field string) (string, error) {
	switch {
	case cli != nil && api != nil:
		return "", &wire.Error{Status: http.StatusBadRequest, Code: "bad-token-request", Sentence: field + " is given twice."}
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

func isNull(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

// createToken answers POST /-/npm/v1/tokens: in a session, with the password,
// and with a second factor where the account has one.
func (a *Auth) createToken(r *http.Request, op policy.Operation) (reply, error) {
	var body tokenRequest
	if err := decode(r, &body); err != nil {
		return reply{}, err
	}
	spec, err := body.spec()
	if err != nil {
		return reply{}, err
	}
	j, d, err := a.judge(r, op, newToken(spec))
	if err != nil {
		return reply{}, err
	}
	spec.User = j.act.cred.User
	return a.makeToken(r, j, d, body.Password, spec)
}

// newToken is the change that makes the token of spec.
func newToken(spec token.Spec) *protocol.Change {
	return &protocol.Change{Token: &protocol.TokenSpec{
		Name: spec.Name, Description: spec.Description, Grants: spec.Grants, Bypass: spec.Bypass, CIDRs: spec.CIDRs, Days: spec.Days, Until: spec.Until,
	}}
}

// makeToken makes the token of spec for a judgement that does not deny it: with the
// password, and the second factor if that is what is missing.
func (a *Auth) makeToken(r *http.Request, j *judgement, d policy.Decision, password string, spec token.Spec) (reply, error) {
	if err := a.tokens.Validate(spec); err != nil {
		return reply{}, a.conclude(r.Context(), j, err)
	}
	var secret credential.Secret
	var tok token.Token
	err := a.commitWithPassword(r, j, d, password, token.ReadsOf(spec.User, ""), func(ctx context.Context, tx *store.Tx, j *judgement) (err error) {
		secret, tok, err = a.tokens.CreateTx(ctx, tx, j.act.did(j.req.Addr), spec)
		return err
	})
	if err != nil {
		return reply{}, err
	}
	return made(secret, tok), nil
}

// made answers with a new token, whose secret is seen this once.
func made(secret credential.Secret, tok token.Token) reply {
	shown := shownToken(tok)
	shown["token"] = secret.Reveal()
	return reply{status: http.StatusCreated, body: shown}
}

// A rotateRequest is the body of POST /-/auth/v1/tokens/<key>/rotate.
type rotateRequest struct {
	Password string `json:"password"`
	Grace    *int   `json:"grace"`   // hours that the old secret goes on; a day if it is not given
	Expires  *int   `json:"expires"` // days of the new one
}

// maxGraceHours is more than any grace, and a number of hours that fits a duration.
const maxGraceHours = 1 << 20

// rotation is what the request asks for of the token of that key.
func (q rotateRequest) rotation(key string) (token.Rotation, error) {
	rotation := token.Rotation{ID: key, Grace: token.Day}
	if q.Grace != nil {
		rotation.Grace = time.Duration(min(max(*q.Grace, -1), maxGraceHours)) * time.Hour
	}
	if q.Expires != nil {
		if rotation.Days = *q.Expires; rotation.Days < 1 {
			return token.Rotation{}, &wire.Error{Status: http.StatusBadRequest, Code: "bad-token-request", Sentence: "expires must be a number of days."}
		}
	}
	return rotation, nil
}

// rotateToken answers POST /-/auth/v1/tokens/<key>/rotate: a new secret for a token, in
// one call, while the old one goes on for a while. It takes what creating a token takes.
func (a *Auth) rotateToken(r *http.Request, op policy.Operation) (reply, error) {
	var body rotateRequest
	if err := decode(r, &body); err != nil {
		return reply{}, err
	}
	rotation, err := body.rotation(op.Token)
	if err != nil {
		return reply{}, err
	}
	// Judged twice: what is asked for is only known once it is known who asks.
	j, _, err := a.judge(r, op, nil)
	if err != nil {
		return reply{}, err
	}
	rotation.User = j.act.cred.User
	return a.rotate(r, j, body.Password, rotation)
}

// rotate makes a token in the place of the one that rotation names, for a judgement that
// does not deny it, which knows nothing of that token.
func (a *Auth) rotate(r *http.Request, j *judgement, password string, rotation token.Rotation) (reply, error) {
	old, err := a.tokens.Get(r.Context(), rotation.User, rotation.ID)
	if err != nil {
		return reply{}, a.conclude(r.Context(), j, err)
	}
	c := newToken(token.Spec{Name: old.Name, Grants: old.Grants, Bypass: old.Bypass, CIDRs: old.CIDRs, Days: rotation.Days})
	c.Grace = &rotation.Grace
	j, d, err := a.judge(r, j.req.Operation, c)
	if err != nil {
		return reply{}, err
	}
	var secret credential.Secret
	var tok token.Token
	err = a.commitWithPassword(r, j, d, password, token.ReadsOf(rotation.User, rotation.ID), func(ctx context.Context, tx *store.Tx, j *judgement) (err error) {
		secret, tok, err = a.tokens.RotateTx(ctx, tx, j.act.did(j.req.Addr), rotation)
		return err
	})
	if err != nil {
		return reply{}, err
	}
	return made(secret, tok), nil
}

// commitWithPassword is commit for what takes the password as well.
func (a *Auth) commitWithPassword(r *http.Request, j *judgement, d policy.Decision, password string, keys []string, fn committing) error {
	secret := credential.NewSecret(password)
	j.password = &secret
	return a.commit(r, j, d, keys, fn)
}

// listTokens answers GET /-/npm/v1/tokens, newest first. Sessions are not among
// them.
func (a *Auth) listTokens(r *http.Request, op policy.Operation) (reply, error) {
	j, err := a.judgeRead(r, op)
	if err != nil {
		return reply{}, err
	}
	return a.tokenPage(r, j.act.cred.User, "-/npm/v1/tokens")
}

// tokenPage answers with the page of user's tokens that the query asks for; path is what
// was asked.
func (a *Auth) tokenPage(r *http.Request, user policy.UserID, path string) (reply, error) {
	query := r.URL.Query()
	page, per := number(query, "page", 0, 0, 1000), number(query, "perPage", 100, 1, 100)
	opt := token.ListOptions{After: query.Get("after"), Limit: per}
	if opt.After == "" {
		opt.Offset = page * per
	}
	list, next, total, err := a.tokens.List(r.Context(), user, opt)
	if err != nil {
		return reply{}, err
	}
	ids := make([]string, len(list))
	for i, t := range list {
		ids[i] = t.ID
	}
	used, err := a.tokens.Used(r.Context(), ids...)
	if err != nil {
		return reply{}, err
	}
	objects := make([]map[string]any, 0, len(list))
	for _, t := range list {
		shown := shownToken(t)
		shown["accessed"] = nil
		if at, ok := used[t.ID]; ok {
			shown["accessed"] = at
		}
		objects = append(objects, shown)
	}
	urls := map[string]string{} // always there: npm reads urls.next
	if next != "" && (page+1)*per < total {
		urls["next"] = a.url(path + "?" + url.Values{
			"page": {strconv.Itoa(page + 1)}, "perPage": {strconv.Itoa(per)}, "after": {next},
		}.Encode())
	}
	return ok(map[string]any{"objects": objects, "total": total, "urls": urls}), nil
}

// number reads a query parameter, and takes the default where it is not a number
// in range.
func number(q url.Values, name string, def, low, high int) int {
	n, err := strconv.Atoi(q.Get(name))
	if err != nil {
		return def
	}
	return min(max(n, low), high)
}

// shownToken is a token as npm lists it, every field in both of its spellings.
func shownToken(t token.Token) map[string]any {
	cidrs := make([]string, 0, len(t.CIDRs))
	for _, p := range t.CIDRs {
		cidrs = append(cidrs, p.String())
	}
	packages, orgs := policy.NoAccess, policy.NoAccess
	scopes := []map[string]string{}
	for _, g := range t.Grants {
		switch g.Target {
		case policy.AllPackages:
			packages = g.Permission
			scopes = append(scopes, map[string]string{"type": "package", "name": "*"})
		case policy.OnePackage:
			packages = g.Permission
			scopes = append(scopes, map[string]string{"type": "package", "name": g.Package.String()})
		case policy.OneScope:
			packages = g.Permission
			scopes = append(scopes, map[string]string{"type": "scope", "name": "@" + g.Scope})
		case policy.OneOrg:
			orgs = g.Permission
			scopes = append(scopes, map[string]string{"type": "org", "name": g.Scope})
		}
	}
	return map[string]any{
		"key": t.ID, "token": t.Hint, "name": t.Name, "description": t.Description,
		"created": t.Created, "updated": t.Created, "expires": t.Expires, "expiry": t.Expires, "revoked": nil,
		"readonly":       packages != policy.ReadWrite && packages != policy.StageOnly && orgs != policy.ReadWrite,
		"bypass_2fa":     t.Bypass,
		"cidr_whitelist": cidrs, "cidr": cidrs,
		"permissions": []map[string]string{
			{"name": "package", "action": packages.String()}, {"name": "org", "action": orgs.String()},
		},
		"scopes": scopes,
		"verbs":  shownVerbs(t.Grants),
	}
}

// revokeToken answers DELETE /-/npm/v1/tokens/token/<key or token>. What is not
// the asking user's answers as what does not exist.
func (a *Auth) revokeToken(r *http.Request, op policy.Operation) (reply, error) {
	j, d, err := a.judge(r, op, &protocol.Change{})
	if err != nil {
		return reply{}, err
	}
	id := op.Token
	if d, shaped := credential.Parse(op.Token); shaped {
		id = token.IDOf(d)
	}
	// The path may hold the token itself, and what a challenge is about is stored
	// and shown on its page.
	j.req.Operation.Token = id
	return a.revoke(r, j, d, j.act.cred.User, id)
}

// revoke ends a token of user for a judgement that does not deny it.
func (a *Auth) revoke(r *http.Request, j *judgement, d policy.Decision, user policy.UserID, id string) (reply, error) {
	if d.Effect == policy.Challenge { // nobody spends a factor on what is not there
		if _, err := a.tokens.Get(r.Context(), user, id); err != nil {
			return reply{}, a.conclude(r.Context(), j, err)
		}
	}
	return reply{}, a.commit(r, j, d, token.ReadsOf(user, id), func(ctx context.Context, tx *store.Tx, j *judgement) error {
		return a.tokens.RevokeTx(ctx, tx, j.act.did(j.req.Addr), user, id, "")
	})
}

// revokeTokens answers DELETE /-/auth/v1/tokens: all tokens of the asking user, and none
// of their sessions. After an error it can be sent again.
func (a *Auth) revokeTokens(r *http.Request, op policy.Operation) (reply, error) {
	j, d, err := a.judge(r, op, &protocol.Change{})
	if err != nil {
		return reply{}, err
	}
	return reply{}, a.commit(r, j, d, nil, func(ctx context.Context, tx *store.Tx, j *judgement) error {
		return a.tokens.RevokeAllTx(ctx, tx, j.act.did(j.req.Addr), j.act.cred.User)
	})
}
