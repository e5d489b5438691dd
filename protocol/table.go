package protocol

import "slices"

// A target is what an action is about.
type target uint8

const (
	ofNothing target = iota
	ofPackage        // Operation.Package
	ofOrg            // Operation.Org
	ofService        // Operation.Service
)

// A reuse says for what a second factor that was proven for an action may be presented once
// more.
type reuse uint8

const (
	notAtAll   reuse = iota // the result outlives the proof, and npm never sends its POST twice
	sameChange              // for the same change and what belongs to it: clients repeat requests
	anyPackage              // a typed code for other packages, too: npm publish --workspaces --otp
)

// A row is all that the module knows of an action.
type row struct {
	text    string
	of      target
	reads   bool     // changes nothing
	public  bool     // shows to everyone what packages there are and what is in them
	verb    Verbs    // that it needs of a grant with verbs
	repeats reuse    // of a second factor that was proven for it; a read repeats
	routes  []string // method and path, see parseRoute; none: only a body tells
}

// table has the row of each action. A new action is a constant and a row; compile errors and
// tests show what else it needs.
var table = [actions]row{
	Unknown: {text: "unknown"},

	Ping:   {text: "ping", reads: true, routes: []string{"GET /-/ping"}},
	Search: {text: "search", reads: true, public: true, routes: []string{"GET /-/v1/search", "GET /-/all", "GET /-/all/since"}},
	// A read, whatever its method.
	Audit:    {text: "audit", reads: true, public: true, routes: []string{"GET /-/npm/v1/security/{any...}", "POST /-/npm/v1/security/{any...}"}},
	ReadKeys: {text: "read-keys", reads: true, public: true, routes: []string{"GET /-/npm/v1/keys"}},
	Whoami:   {text: "whoami", reads: true, routes: []string{"GET /-/whoami"}},
	ReadSelf: {text: "read-self", reads: true, routes: []string{"GET /-/auth/v1/self"}},

	Login:        {text: "login", repeats: sameChange, routes: []string{"POST /-/v1/login"}},
	LegacyLogin:  {text: "legacy-login", repeats: sameChange, routes: []string{"PUT /-/user/org.couchdb.user:{user}"}},
	LegacyUpdate: {text: "legacy-update", repeats: sameChange, routes: []string{"PUT /-/user/org.couchdb.user:{user}/-rev/{revision}"}},
	ReadUser:     {text: "read-user", reads: true, routes: []string{"GET /-/user/org.couchdb.user:{user or package}"}},
	Logout:       {text: "logout", repeats: sameChange, routes: []string{"DELETE /-/user/token/{token...}"}},

	ListTokens:  {text: "list-tokens", reads: true, routes: []string{"GET /-/npm/v1/tokens"}},
	CreateToken: {text: "create-token", routes: []string{"POST /-/npm/v1/tokens", "POST /-/auth/v1/tokens/{key}/rotate"}},
	RevokeToken: {text: "revoke-token", repeats: sameChange, routes: []string{"DELETE /-/npm/v1/tokens/token/{token...}", "DELETE /-/auth/v1/tokens"}},

	ListSessions:    {text: "list-sessions", reads: true, routes: []string{"GET /-/auth/v1/sessions"}},
	EndSession:      {text: "end-session", repeats: sameChange, routes: []string{"DELETE /-/auth/v1/sessions", "DELETE /-/auth/v1/sessions/{key}"}},
	ListEvents:      {text: "list-events", reads: true, routes: []string{"GET /-/auth/v1/events"}},
	ListMemberships: {text: "list-memberships", reads: true, routes: []string{"GET /-/auth/v1/orgs"}},

	ReadProfile:  {text: "read-profile", reads: true, routes: []string{"GET /-/npm/v1/user"}},
	WriteProfile: {text: "write-profile", routes: []string{"POST /-/npm/v1/user"}},
	SetTwoFactor: {text: "set-two-factor", routes: []string{"PUT /-/auth/v1/factors"}}, // and what only a body of npm's tells
	ListFactors:  {text: "list-factors", reads: true, routes: []string{"GET /-/auth/v1/factors"}},
	AddFactor:    {text: "add-factor", routes: []string{"POST /-/auth/v1/factors"}},
	RemoveFactor: {text: "remove-factor", routes: []string{"DELETE /-/auth/v1/factors/{id}"}},
	SetPassword:  {text: "set-password"},

	// A read although a page accepts POST: the page itself guards what it changes.
	AuthPage:   {text: "auth-page", reads: true, routes: []string{"* /-/auth", "* /-/auth/{any...}"}},
	ReportLeak: {text: "report-leak", repeats: sameChange, routes: []string{"POST /-/auth/v1/leaked"}},

	ReadService: {text: "read-service", of: ofService, reads: true, routes: []string{"GET /-/auth/v1/services/{service}/tokens"}},
	ManageService: {text: "manage-service", of: ofService, routes: []string{
		"POST /-/auth/v1/services/{service}/tokens", "POST /-/auth/v1/services/{service}/tokens/{key}/rotate"}},
	RevokeService: {text: "revoke-service", repeats: sameChange, of: ofService, routes: []string{"DELETE /-/auth/v1/services/{service}/tokens/{key}"}},

	ListStars:  {text: "list-stars", reads: true, routes: []string{"GET /-/_view/starredByUser", "GET /-/user/v1/star"}},
	WriteStars: {text: "write-stars", repeats: sameChange, routes: []string{"PUT /-/user/v1/star", "DELETE /-/user/v1/star"}},
	ReadHooks:  {text: "read-hooks", reads: true, routes: []string{"GET /-/npm/v1/hooks", "GET /-/npm/v1/hooks/hook/{id}"}},
	WriteHooks: {text: "write-hooks", repeats: sameChange, routes: []string{
		"POST /-/npm/v1/hooks/hook", "PUT /-/npm/v1/hooks/hook/{id}", "DELETE /-/npm/v1/hooks/hook/{id}"}},

	// Yarn 1 lists teams below /team/@org.
	ReadOrg:         {text: "read-org", of: ofOrg, reads: true, routes: []string{"GET /-/org/{org}/user"}},
	ListTeams:       {text: "list-teams", of: ofOrg, reads: true, routes: []string{"GET /-/org/{org}/team", "GET /team/@{org}"}},
	ListOrgPackages: {text: "list-org-packages", of: ofOrg, reads: true, routes: []string{"GET /-/org/{org}/package"}},
	WriteOrg:        {text: "write-org", repeats: sameChange, of: ofOrg, routes: []string{"PUT /-/org/{org}/user", "DELETE /-/org/{org}/user"}},
	SetOrgFactor:    {text: "set-org-factor", repeats: sameChange, of: ofOrg, routes: []string{"PUT /-/auth/v1/orgs/{org}"}},
	ReadOrgTrust:    {text: "read-org-trust", of: ofOrg, reads: true, routes: []string{"GET /-/auth/v1/orgs/{org}/trust"}},
	WriteOrgTrust: {text: "write-org-trust", repeats: sameChange, of: ofOrg, routes: []string{
		"POST /-/auth/v1/orgs/{org}/trust", "DELETE /-/auth/v1/orgs/{org}/trust/{opaque id}"}},
	ReadTeam:         {text: "read-team", of: ofOrg, reads: true, routes: []string{"GET /-/team/{org}/{team}/user", "GET /team/@{org}/{team}", "GET /team/@{org}/{team}/user"}},
	ListTeamPackages: {text: "list-team-packages", of: ofOrg, reads: true, routes: []string{"GET /-/team/{org}/{team}/package"}},
	WriteTeam: {text: "write-team", repeats: sameChange, of: ofOrg, routes: []string{
		"PUT /-/org/{org}/team", "DELETE /-/team/{org}/{team}",
		"PUT /team/@{org}", "DELETE /team/@{org}", "PUT /team/@{org}/{team}", "DELETE /team/@{org}/{team}"}},
	WriteTeamMember: {text: "write-team-member", repeats: sameChange, of: ofOrg, routes: []string{
		"PUT /-/team/{org}/{team}/user", "DELETE /-/team/{org}/{team}/user", "PUT /team/@{org}/{team}/user", "DELETE /team/@{org}/{team}/user"}},
	GrantTeam: {text: "grant-team", repeats: sameChange, of: ofOrg, routes: []string{"PUT /-/team/{org}/{team}/package", "DELETE /-/team/{org}/{team}/package"}},

	// pnpm 11 and 12 list the packages of the user of the request below /-/-/.
	ListPackages:  {text: "list-packages", reads: true, routes: []string{"GET /-/user/{user}/package", "GET /-/-/package"}},
	ListStaged:    {text: "list-staged", reads: true, routes: []string{"GET /-/stage"}},
	ReadStaged:    {text: "read-staged", reads: true, routes: []string{"GET /-/stage/{id}", "GET /-/stage/{id}/tarball", "GET /-/auth/v1/staged/{id}/difference"}},
	ApproveStaged: {text: "approve-staged", verb: VerbPublish, repeats: sameChange, routes: []string{"POST /-/stage/{id}/approve", "POST /-/auth/v1/staged/approve"}},
	RejectStaged:  {text: "reject-staged", repeats: sameChange, routes: []string{"DELETE /-/stage/{id}", "POST /-/auth/v1/staged/reject"}},

	ReadPackument:    {text: "read-packument", of: ofPackage, reads: true, public: true, routes: []string{"GET /{package}", "GET /{package}/{version or tag}"}},
	ReadTarball:      {text: "read-tarball", of: ofPackage, reads: true, public: true, routes: []string{"GET /{package}/-/{tarball}"}},
	ReadAttestations: {text: "read-attestations", of: ofPackage, reads: true, public: true, routes: []string{"GET /-/npm/v1/attestations/{package@version}"}},
	ReadDistTags:     {text: "read-dist-tags", of: ofPackage, reads: true, public: true, routes: []string{"GET /-/package/{package}/dist-tags"}},
	SetDistTag: {text: "set-dist-tag", repeats: anyPackage, of: ofPackage, verb: VerbDistTag, routes: []string{
		"PUT /-/package/{package}/dist-tags/{tag}", "POST /-/package/{package}/dist-tags/{tag}", "PUT /{package}/{tag}"}},
	RemoveDistTag: {text: "remove-dist-tag", repeats: anyPackage, of: ofPackage, verb: VerbDistTag, routes: []string{"DELETE /-/package/{package}/dist-tags/{tag}"}},

	// Its body says which of the five that follow it is.
	WritePackument: {text: "write-packument", repeats: sameChange, of: ofPackage, routes: []string{"PUT /{package}", "PUT /{package}/-rev/{revision}"}},
	Publish:        {text: "publish", repeats: anyPackage, of: ofPackage, verb: VerbPublish},
	Deprecate:      {text: "deprecate", repeats: sameChange, of: ofPackage, verb: VerbDeprecate},
	Star:           {text: "star", repeats: sameChange, of: ofPackage},
	Unpublish:      {text: "unpublish", repeats: sameChange, of: ofPackage, verb: VerbUnpublish, routes: []string{"DELETE /{package}/-/{tarball}/-rev/{revision}"}},
	WriteOwners: {text: "write-owners", repeats: sameChange, of: ofPackage, routes: []string{
		"PUT /-/package/{package}/owners", "DELETE /-/package/{package}/owners/{user}"}},
	UnpublishAll: {text: "unpublish-all", repeats: sameChange, of: ofPackage, verb: VerbUnpublish, routes: []string{"DELETE /{package}/-rev/{revision}"}},

	ReadAccess:        {text: "read-access", of: ofPackage, reads: true, routes: []string{"GET /-/package/{package}/access"}},
	SetAccess:         {text: "set-access", repeats: sameChange, of: ofPackage, routes: []string{"POST /-/package/{package}/access"}},
	ReadVisibility:    {text: "read-visibility", of: ofPackage, reads: true, routes: []string{"GET /-/package/{package}/visibility"}},
	ReadCollaborators: {text: "read-collaborators", of: ofPackage, reads: true, routes: []string{"GET /-/package/{package}/collaborators"}},
	Stage:             {text: "stage", repeats: sameChange, of: ofPackage, verb: VerbStage, routes: []string{"POST /-/stage/package/{package}"}},
	ReadTrust:         {text: "read-trust", of: ofPackage, reads: true, routes: []string{"GET /-/package/{package}/trust"}},
	CheckTrust:        {text: "check-trust", of: ofPackage, reads: true, routes: []string{"POST /-/auth/v1/trust/{package}/check"}},
	WriteTrust:        {text: "write-trust", repeats: sameChange, of: ofPackage, routes: []string{"POST /-/package/{package}/trust", "DELETE /-/package/{package}/trust/{opaque id}"}},
	ExchangeToken:     {text: "exchange-token", repeats: sameChange, of: ofPackage, routes: []string{"POST /-/npm/v1/oidc/token/exchange/package/{package}"}},
}

// row returns the row of a, that of [Unknown] for a number that is no action.
func (a Action) row() *row {
	if a >= actions {
		a = Unknown
	}
	return &table[a]
}

// Routes returns the requests of the action, method and path, as "GET
// /-/package/{package}/dist-tags". An action that only a body identifies has none. A method of
// * is any; HEAD is GET.
func (a Action) Routes() []string { return slices.Clone(a.row().routes) }
