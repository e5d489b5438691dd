package protocol

import "github.com/npmauth/npmauth/internal/words"

// An Action is one operation of the npm registry protocol, named for its effect and not for its
// path. The zero value is Unknown, which npm's rules deny.
//
// Its text is its Go name in lower case with hyphens: read-packument, set-dist-tag.
type Action uint8

// The actions that [Classify] can distinguish, each with its requests as npm and other clients
// send them.
const (
	// Unknown is a request that is not npm's. npm's rules deny it.
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
	CreateToken      // POST /-/npm/v1/tokens, and with Token POST /-/auth/v1/tokens/<key>/rotate
	RevokeToken      // DELETE /-/npm/v1/tokens/token/<key or token>
	ListSessions     // GET /-/auth/v1/sessions
	EndSession       // DELETE /-/auth/v1/sessions/<key>, DELETE /-/auth/v1/sessions: all others
	ListEvents       // GET /-/auth/v1/events
	ListMemberships  // GET /-/auth/v1/orgs: those of the user of the request
	ReadProfile      // GET /-/npm/v1/user
	WriteProfile     // POST /-/npm/v1/user before its body is known
	SetTwoFactor     // POST /-/npm/v1/user with tfa: enrol, confirm, switch mode, disable; PUT /-/auth/v1/factors
	ListFactors      // GET /-/auth/v1/factors: the app and the security keys of the account
	AddFactor        // POST /-/auth/v1/factors: a security key, or an app besides the keys
	RemoveFactor     // DELETE /-/auth/v1/factors/<id>: one of several
	SetPassword      // POST /-/npm/v1/user with password
	AuthPage         // a page or a poll of npmauth's below /-/auth/
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
	SetOrgFactor     // PUT /-/auth/v1/orgs/<org>: whether its members must have a second factor, and only security keys count
	ReadOrgTrust     // GET /-/auth/v1/orgs/<org>/trust: the trusted publishers of all packages in its scope
	WriteOrgTrust    // POST /-/auth/v1/orgs/<org>/trust, DELETE …/<id>
	ReadTeam         // GET /-/team/<org>/<team>/user: its members
	ListTeamPackages // GET /-/team/<org>/<team>/package
	WriteTeam        // PUT /-/org/<org>/team, DELETE /-/team/<org>/<team>
	WriteTeamMember  // PUT, DELETE /-/team/<org>/<team>/user
	GrantTeam        // PUT, DELETE /-/team/<org>/<team>/package
	ListPackages     // GET /-/user/<user>/package, /-/-/package (of the user of the request)
	ListStaged       // GET /-/stage
	ReadStaged       // GET /-/stage/<id>, …/tarball, GET /-/auth/v1/staged/<id>/difference
	ApproveStaged    // POST /-/stage/<id>/approve, and of several POST /-/auth/v1/staged/approve
	RejectStaged     // DELETE /-/stage/<id>, and of several POST /-/auth/v1/staged/reject

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
	CheckTrust        // POST /-/auth/v1/trust/<pkg>/check: which of its trusted publishers an ID token matches
	WriteTrust        // POST /-/package/<pkg>/trust, DELETE …/<id>
	ExchangeToken     // POST /-/npm/v1/oidc/token/exchange/package/<pkg>

	actions
)

// Actions returns every action that [Classify] can find, without [Unknown].
func Actions() []Action {
	as := make([]Action, 0, actions-1)
	for a := Unknown + 1; a < actions; a++ {
		as = append(as, a)
	}
	return as
}

// actionWords has the text of every action.
var actionWords = func() words.List {
	list := make(words.List, actions)
	for a := range table {
		list[a] = table[a].text
	}
	return list
}()

// String returns the action's text. A number that is no action has the text of [Unknown].
func (a Action) String() string { return a.row().text }

// MarshalText returns the action's text, or an error for a number that is no action.
func (a Action) MarshalText() ([]byte, error) { return actionWords.Marshal(uint8(a), "Action") }

// UnmarshalText sets a to the action of that text. A text that names none is an error.
func (a *Action) UnmarshalText(text []byte) error {
	v, err := actionWords.Parse(text, "action")
	*a = Action(v)
	return err
}

// OfPackage reports whether the action is about one package, which [Operation.Package] names.
func (a Action) OfPackage() bool { return a.row().of == ofPackage }

// OfOrg reports whether the action is about one organization, which [Operation.Org] names.
func (a Action) OfOrg() bool { return a.row().of == ofOrg }

// OfService reports whether the action is about one service account, which
// [Operation.Service] names.
func (a Action) OfService() bool { return a.row().of == ofService }

// Write reports whether the action changes something. An unknown action counts as a write.
func (a Action) Write() bool { return !a.row().reads }

// Public reports whether the action reads what an installation, a search or an audit needs of
// packages, which a registry with public packages shows to everyone. A client sends these with
// whatever credential it has, so one that has ended is ignored: the answer is the anonymous's.
func (a Action) Public() bool { return a.row().public }

// Repeats reports whether a second factor that was spent on the action may be presented once more
// for the same change, as clients do that repeat a request. It is false for an action that creates
// a token or changes the profile, the password or the second factor, and for a number that is no
// action.
func (a Action) Repeats() bool { return a.row().reads || a.row().repeats != notAtAll }

// AcrossPackages reports whether a typed code that was spent on the action may be presented for
// another such action on any package: publishing, and setting and removing dist-tags.
func (a Action) AcrossPackages() bool { return a.row().repeats == anyPackage }

// SignsIn reports whether the action opens a session, and so has no credential yet.
func (a Action) SignsIn() bool { return a == Login || a == LegacyLogin }

// Verb returns the verb that the action needs of a grant with verbs, zero for an action that
// needs none. The first version of a package needs [VerbCreate] too.
func (a Action) Verb() Verbs { return a.row().verb }

// ActionCount is how many actions there are, [Unknown] among them: every action is less.
const ActionCount = actions
