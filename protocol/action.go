package protocol

import "github.com/npmauth/npmauth/internal/words"

// An Action is one operation of the npm registry protocol, named for what it
// does and not for its path. The zero value is [Unknown], which every policy
// denies.
//
// Its text is its Go name in lower case with hyphens: read-packument, set-dist-tag.
type Action uint8

// The actions that [Classify] can tell apart. The request each one stands for
// is given as npm and its fellow clients send it.
const (
	// Unknown is a request that is none of npm's. Always denied.
	Unknown Action = iota

	// Without a package.

	Ping             // GET /-/ping
	Search           // GET /-/v1/search, /-/all
	Audit            // POST /-/npm/v1/security/…: a read, whatever its method
	ReadKeys         // GET /-/npm/v1/keys
	Whoami           // GET /-/whoami
	ReadSelf         // GET /-/auth/v1/self
	Login            // POST /-/v1/login: starts a web login
	LegacyLogin      // PUT /-/user/org.couchdb.user:<name>
	LegacyUpdate     // PUT /-/user/org.couchdb.user:<name>/-rev/<rev>
	ReadUser         // GET /-/user/org.couchdb.user:<name>, as npm owner add does
	Logout           // DELETE /-/user/token/<token>
	ListTokens       // GET /-/npm/v1/tokens
	CreateToken      // POST /-/npm/v1/tokens, and with the key of a token as Name POST /-/auth/v1/tokens/<key>/rotate
	RevokeToken      // DELETE /-/npm/v1/tokens/token/<key or token>
	ReadProfile      // GET /-/npm/v1/user
	WriteProfile     // POST /-/npm/v1/user, not yet told apart
	SetTwoFactor     // POST /-/npm/v1/user with tfa: enrol, confirm, switch mode, disable
	SetPassword      // POST /-/npm/v1/user with password
	AuthPage         // anything below /-/auth/ that is a page or a poll of ours
	ReportLeak       // POST /-/auth/v1/leaked
	ReadService      // GET /-/auth/v1/services/<name>/tokens
	ManageService    // POST the same, POST …/<key>/rotate: a token of a service account
	RevokeService    // DELETE /-/auth/v1/services/<name>/tokens/<key>
	ListStars        // GET /-/_view/starredByUser, GET /-/user/v1/star
	WriteStars       // PUT, DELETE /-/user/v1/star
	ReadHooks        // GET /-/npm/v1/hooks…
	WriteHooks       // POST, PUT, DELETE /-/npm/v1/hooks…
	ReadOrg          // GET /-/org/<org>/user: its members
	ListTeams        // GET /-/org/<org>/team
	ListOrgPackages  // GET /-/org/<org>/package
	WriteOrg         // PUT, DELETE /-/org/<org>/user
	ReadTeam         // GET /-/team/<org>/<team>/user: its members
	ListTeamPackages // GET /-/team/<org>/<team>/package
	WriteTeam        // PUT /-/org/<org>/team, DELETE /-/team/<org>/<team>
	WriteTeamMember  // PUT, DELETE /-/team/<org>/<team>/user
	GrantTeam        // PUT, DELETE /-/team/<org>/<team>/package
	ListPackages     // GET /-/user/<user>/package, /-/-/package (of the asking user)
	ListStaged       // GET /-/stage
	ReadStaged       // GET /-/stage/<id>, …/tarball
	ApproveStaged    // POST /-/stage/<id>/approve
	RejectStaged     // DELETE /-/stage/<id>

	// Of one package.

	ReadPackument     // GET /<pkg>, GET /<pkg>/<version or tag>
	ReadTarball       // GET /<pkg>/-/<file>.tgz
	ReadAttestations  // GET /-/npm/v1/attestations/<pkg>@<version>
	ReadDistTags      // GET /-/package/<pkg>/dist-tags
	SetDistTag        // PUT, POST /-/package/<pkg>/dist-tags/<tag>, PUT /<pkg>/<tag>
	RemoveDistTag     // DELETE /-/package/<pkg>/dist-tags/<tag>
	WritePackument    // PUT /<pkg>[/-rev/<rev>] before its body is known
	Publish           // PUT /<pkg> with a new version
	Deprecate         // PUT /<pkg> that changes deprecated only
	Star              // PUT /<pkg> with only users
	Unpublish         // PUT /<pkg>/-rev/<rev> that drops a version, DELETE of its tarball
	UnpublishAll      // DELETE /<pkg>/-rev/<rev>
	WriteOwners       // PUT /<pkg>/-rev/<rev> that changes maintainers, PUT, DELETE /-/package/<pkg>/owners
	ReadAccess        // GET /-/package/<pkg>/access
	SetAccess         // POST /-/package/<pkg>/access: visibility or second-factor setting
	ReadVisibility    // GET /-/package/<pkg>/visibility
	ReadCollaborators // GET /-/package/<pkg>/collaborators
	Stage             // POST /-/stage/package/<pkg>
	ReadTrust         // GET /-/package/<pkg>/trust
	WriteTrust        // POST /-/package/<pkg>/trust, DELETE …/<id>
	ExchangeToken     // POST /-/npm/v1/oidc/token/exchange/package/<pkg>

	actions
)

var actionWords = [actions]string{
	Unknown:           "unknown",
	Ping:              "ping",
	Search:            "search",
	Audit:             "audit",
	ReadKeys:          "read-keys",
	Whoami:            "whoami",
	ReadSelf:          "read-self",
	Login:             "login",
	LegacyLogin:       "legacy-login",
	LegacyUpdate:      "legacy-update",
	ReadUser:          "read-user",
	Logout:            "logout",
	ListTokens:        "list-tokens",
	CreateToken:       "create-token",
	RevokeToken:       "revoke-token",
	ReadProfile:       "read-profile",
	WriteProfile:      "write-profile",
	SetTwoFactor:      "set-two-factor",
	SetPassword:       "set-password",
	AuthPage:          "auth-page",
	ReportLeak:        "report-leak",
	ReadService:       "read-service",
	ManageService:     "manage-service",
	RevokeService:     "revoke-service",
	ListStars:         "list-stars",
	WriteStars:        "write-stars",
	ReadHooks:         "read-hooks",
	WriteHooks:        "write-hooks",
	ReadOrg:           "read-org",
	WriteOrg:          "write-org",
	ReadTeam:          "read-team",
	WriteTeam:         "write-team",
	ListTeams:         "list-teams",
	ListOrgPackages:   "list-org-packages",
	ListTeamPackages:  "list-team-packages",
	WriteTeamMember:   "write-team-member",
	GrantTeam:         "grant-team",
	ListPackages:      "list-packages",
	ListStaged:        "list-staged",
	ReadStaged:        "read-staged",
	ApproveStaged:     "approve-staged",
	RejectStaged:      "reject-staged",
	ReadPackument:     "read-packument",
	ReadTarball:       "read-tarball",
	ReadAttestations:  "read-attestations",
	ReadDistTags:      "read-dist-tags",
	SetDistTag:        "set-dist-tag",
	RemoveDistTag:     "remove-dist-tag",
	WritePackument:    "write-packument",
	Publish:           "publish",
	Deprecate:         "deprecate",
	Star:              "star",
	Unpublish:         "unpublish",
	UnpublishAll:      "unpublish-all",
	WriteOwners:       "write-owners",
	ReadAccess:        "read-access",
	SetAccess:         "set-access",
	ReadVisibility:    "read-visibility",
	ReadCollaborators: "read-collaborators",
	Stage:             "stage",
	ReadTrust:         "read-trust",
	WriteTrust:        "write-trust",
	ExchangeToken:     "exchange-token",
}

// Actions returns every action that [Classify] can find, without [Unknown].
func Actions() []Action {
	as := make([]Action, 0, actions-1)
	for a := Unknown + 1; a < actions; a++ {
		as = append(as, a)
	}
	return as
}

// String returns the action's text. A number that is no action is as unknown as
// [Unknown], and is called so.
func (a Action) String() string {
	if a >= actions {
		a = Unknown
	}
	return actionWords[a]
}

// MarshalText returns the action's text, or an error for a number that is no action.
func (a Action) MarshalText() ([]byte, error) {
	return words.List(actionWords[:]).Marshal(uint8(a), "Action")
}

// UnmarshalText sets a to the action of that text. A text that names none is an error.
func (a *Action) UnmarshalText(text []byte) error {
	v, err := words.List(actionWords[:]).Parse(text, "action")
	*a = Action(v)
	return err
}

// OfPackage reports whether the action is about one package, so that its
// [Operation] names the package and its [Request] needs [Facts].
func (a Action) OfPackage() bool { return a >= ReadPackument && a < actions }

// OfOrg reports whether the action is about one organization, which [Operation.Org]
// names, so that its [Request] needs [OrgFacts].
func (a Action) OfOrg() bool { return a >= ReadOrg && a <= GrantTeam }

// reads are the actions that change nothing. AuthPage is among them although a
// page may be posted to: what a page changes is guarded by the page itself.
var reads = []Action{
	Ping, Search, Audit, ReadKeys, Whoami, ReadSelf, ReadUser, ListTokens, ReadProfile, AuthPage, ReadService, ListStars, ReadHooks,
	ReadOrg, ListTeams, ListOrgPackages, ReadTeam, ListTeamPackages, ListPackages, ListStaged, ReadStaged,
	ReadPackument, ReadTarball, ReadAttestations, ReadDistTags, ReadAccess, ReadVisibility, ReadCollaborators, ReadTrust,
}

var isRead = func() (is [actions]bool) {
	for _, a := range reads {
		is[a] = true
	}
	return is
}()

// Write reports whether the action changes something. An action that is not
// known does: what nobody can name is treated as the worse of the two.
func (a Action) Write() bool { return a >= actions || !isRead[a] }

// ActionCount is how many actions there are, [Unknown] among them: every action is less.
const ActionCount = actions
