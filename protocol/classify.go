package protocol

import (
	"errors"
	"strings"
)

// ErrPath is matched by the error of [Classify] for a path that is malformed or
// names what cannot be a name. The answer is 400, never a redirect to a path that
// would have been right.
var ErrPath = errors.New("protocol: malformed path")

// Classify says which operation a request is. The path is the escaped one
// ([net/url.URL.EscapedPath]) without the prefix that the registry is mounted at
// and without a query: a query never makes an operation another one, not even
// ?write=true.
//
// Every segment is decoded once, and only to be compared or handed back as a
// name. So /@acme%2fwidget, /@acme%2Fwidget, /@acme/widget and /%40acme%2Fwidget are
// one package, and /@acme%252fwidget none. The following is [ErrPath]: doubled and
// trailing slashes, dot segments raw or escaped, control characters, backslashes,
// what is not UTF-8, a package name that [ParsePackageName] refuses (those
// reserved, - and -rev, are among them), and a tarball whose file name is not its
// package's. After the token of [RevokeToken] and [Logout] anything printable may
// follow but dot segments, since npm puts a token there as it is.
//
// HEAD is GET. A request that is none of npm's is [Unknown] without an error: a
// method that its path does not have, or a path below /-/ that is not listed at the
// actions; /-/NPM/v1/tokens is not /-/npm/v1/tokens. PUT /<pkg> is
// [WritePackument] and POST /-/npm/v1/user [WriteProfile], since only their bodies
// say more.
//
// Names are substrings of the path where nothing in them was escaped: Classify
// allocates nothing then, nor for a package whose slash or @ was.
func Classify(method, escapedPath string) (Operation, error) {
	v := verbOf(method)
	if as := ofPlainPath(escapedPath); as != nil {
		return Operation{Action: as[v]}, nil
	}
	if n, ok := plain(escapedPath); ok {
		if a := ofDocument[v]; a != Unknown {
			return Operation{Action: a, Package: n}, nil
		}
		return Operation{}, nil
	}
	return classify(v, escapedPath)
}

// ofPlainPath returns the actions of the paths without a name that npm asks for most, where
// they are spelled as npm does; nil says nothing about the path.
func ofPlainPath(path string) *verbs {
	switch path {
	case "/-/whoami":
		return &ofWhoami
	case "/-/ping":
		return &ofPing
	case "/-/npm/v1/user":
		return &ofProfile
	case "/-/npm/v1/tokens":
		return &ofTokens
	}
	return nil
}

// plain reads the path of a package's document, which most requests ask for, where
// it is spelled as npm does and needs no cutting up. What it does not know says
// nothing about the path.
func plain(path string) (n PackageName, ok bool) {
	if len(path) < 2 || path[0] != '/' {
		return PackageName{}, false
	}
	n.Name = path[1:]
	if n.Name[0] == '@' {
		for i := 1; i < len(n.Name); i++ {
			switch s := n.Name; {
			case s[i] == '/':
				n = PackageName{Scope: s[1:i], Name: s[i+1:]}
			case s[i] == '%' && i+2 < len(s) && s[i+1] == '2' && s[i+2]|0x20 == 'f':
				n = PackageName{Scope: s[1:i], Name: s[i+3:]}
			case s[i] == '%':
			default:
				continue
			}
			break
		}
	}
	if path[1] == '@' && n.Scope == "" { // or /@/name would be name
		return PackageName{}, false
	}
	return n, n.Validate() == nil // an @, a slash or an escape that is left is in no name
}

func classify(v verb, escapedPath string) (Operation, error) {
	var w route
	if err := w.cut(escapedPath); err != nil {
		return Operation{}, err
	}
	if escapedPath == "/" {
		return Operation{}, nil
	}
	if w.seg[0] == "-" || strings.EqualFold(w.seg[0], "%2d") {
		return w.api(v)
	}
	return w.registry(v)
}

// A verb is a method that npm's clients use; the zero verb is any other.
type verb uint8

const (
	get verb = iota + 1
	put
	post
	remove
)

// verbOf knows the methods as they are written: a lower-case put is none.
func verbOf(method string) verb {
	switch method {
	case "GET", "HEAD":
		return get
	case "PUT":
		return put
	case "POST":
		return post
	case "DELETE":
		return remove
	default:
		return 0
	}
}

// verbs are the actions of one path by verb, Unknown where it does not have that one.
type verbs [remove + 1]Action

// ofDocument are the actions on a package's document.
var ofDocument = verbs{get: ReadPackument, put: WritePackument}

var (
	ofPing    = verbs{get: Ping}
	ofWhoami  = verbs{get: Whoami}
	ofProfile = verbs{get: ReadProfile, post: WriteProfile}
	ofTokens  = verbs{get: ListTokens, post: CreateToken}
)

// registry reads what stands outside /-/: packages.
func (w *route) registry(v verb) (Operation, error) {
	if err := w.whole(); err != nil {
		return Operation{}, err
	}
	n, i, err := w.pkg(0)
	if err != nil {
		return Operation{}, err
	}
	if i == w.n {
		return known(ofDocument[v], n, "")
	}
	var action Action
	var name string
	switch what := w.word(i); {
	case what == "-":
		return w.file(v, i+1, n)
	case what == "-rev":
		if name, err = w.name(i + 1); err != nil {
			return Operation{}, err
		}
		if w.n == i+2 {
			action = verbs{put: WritePackument, remove: UnpublishAll}[v]
		}
	case n == PackageName{Name: "team"} && strings.HasPrefix(what, "@"):
		return w.yarnTeam(v, i)
	case i+1 == w.n:
		if name, err = w.tag(i); err != nil {
			return Operation{}, err
		}
		action = verbs{get: ReadPackument, put: SetDistTag}[v]
	}
	return known(action, n, name)
}

// known returns the operation of these, or the zero Operation where no action was
// found. It takes the parts since a whole one is too large for registers.
func known(a Action, n PackageName, name string) (Operation, error) {
	if a == Unknown {
		return Operation{}, nil
	}
	return Operation{a, n, name}, nil
}

// file reads /<pkg>/-/<file>[/-rev/<rev>], i being the file's segment.
func (w *route) file(v verb, i int, n PackageName) (Operation, error) {
	file, i, err := w.tarball(i, n)
	if err != nil {
		return Operation{}, err
	}
	op := Operation{Package: n, Name: file}
	switch {
	case i == w.n:
		op.Action = verbs{get: ReadTarball}[v]
	case i+2 == w.n && w.word(i) == "-rev":
		if _, err := w.name(i + 1); err != nil {
			return Operation{}, err
		}
		op.Action = verbs{remove: Unpublish}[v]
	}
	return known(op.Action, op.Package, op.Name)
}

// yarnTeam reads /team/@<org>[/<team>[/user]], which is where Yarn 1 looks for
// teams. No dist-tag begins with @, so nothing else is meant, and it must not pass
// for a write to a package that is called team.
func (w *route) yarnTeam(v verb, i int) (Operation, error) {
	name, err := w.org(i)
	if err != nil {
		return Operation{}, err
	}
	if w.n > i+1 {
		team, err := w.org(i + 1)
		if err != nil {
			return Operation{}, err
		}
		name += ":" + team
	}
	switch {
	case w.n == i+1:
		return known(verbs{get: ListTeams, put: WriteTeam, remove: WriteTeam}[v], PackageName{}, name)
	case w.n == i+2:
		return known(verbs{get: ReadTeam, put: WriteTeam, remove: WriteTeam}[v], PackageName{}, name)
	case w.n == i+3 && w.word(i+2) == "user":
		return known(verbs{get: ReadTeam, put: WriteTeamMember, remove: WriteTeamMember}[v], PackageName{}, name)
	}
	return Operation{}, nil
}

// api reads what stands below /-/.
func (w *route) api(v verb) (Operation, error) {
	// The two places where a token stands in the path come first: only there may a
	// slash be doubled or come last.
	if w.n > 3 && v == remove && w.word(1) == "user" && w.word(2) == "token" {
		name, err := w.rest(3)
		return Operation{Action: Logout, Name: name}.orError(err)
	}
	if w.n > 5 && v == remove && w.word(1) == "npm" && w.word(2) == "v1" && w.word(3) == "tokens" && w.word(4) == "token" {
		name, err := w.rest(5)
		return Operation{Action: RevokeToken, Name: name}.orError(err)
	}
	if err := w.whole(); err != nil {
		return Operation{}, err
	}
	if w.n == 1 {
		return Operation{}, errPackage // a package called -
	}
	switch w.word(1) {
	case "ping":
		return w.one(2, ofPing[v])
	case "whoami":
		return w.one(2, ofWhoami[v])
	case "all":
		if w.is(2) || w.is(2, "since") {
			return Operation{Action: verbs{get: Search}[v]}, nil
		}
	case "_view":
		if w.is(2, "starredByUser") {
			return Operation{Action: verbs{get: ListStars}[v]}, nil
		}
	case "-":
		// pnpm 11 and 12 ask for the packages of nobody in particular like this.
		if w.is(2, "package") {
			return Operation{Action: verbs{get: ListPackages}[v]}, nil
		}
	case "v1":
		switch {
		case w.is(2, "search"):
			return Operation{Action: verbs{get: Search}[v]}, nil
		case w.is(2, "login"):
			return Operation{Action: verbs{post: Login}[v]}, nil
		}
	case "auth":
		return w.auth(v)
	case "user":
		return w.user(v)
	case "package":
		return w.ofPackage(v)
	case "org":
		return w.ofOrg(v)
	case "team":
		return w.ofTeam(v)
	case "stage":
		return w.staged(v)
	case "npm":
		if w.word(2) == "v1" {
			return w.npm(v)
		}
	}
	return Operation{}, nil
}

// one returns a, if the path has n segments.
func (w *route) one(n int, a Action) (Operation, error) {
	if w.n != n {
		return Operation{}, nil
	}
	return Operation{Action: a}, nil
}

// orError returns op, or the zero Operation and err.
func (op Operation) orError(err error) (Operation, error) {
	if err != nil {
		return Operation{}, err
	}
	return known(op.Action, op.Package, op.Name)
}

// auth reads /-/auth/…, which is ours.
func (w *route) auth(v verb) (Operation, error) {
	for i := 2; i < w.n; i++ {
		if strings.Contains(w.word(i), "/") {
			return Operation{}, errName
		}
	}
	switch {
	case v == get && w.is(2, "v1", "self"):
		return Operation{Action: ReadSelf}, nil
	case v == post && w.is(2, "v1", "leaked"):
		return Operation{Action: ReportLeak}, nil
	case v == post && w.n == 6 && w.word(2) == "v1" && w.word(3) == "tokens" && w.word(5) == "rotate":
		name, err := w.name(4)
		return Operation{Action: CreateToken, Name: name}.orError(err)
	case v == remove && w.is(2, "v1", "tokens"):
		return Operation{Action: RevokeToken}, nil
	case w.n >= 6 && w.n <= 8 && w.word(2) == "v1" && w.word(3) == "services" && w.word(5) == "tokens":
		return w.service(v)
	}
	return Operation{Action: AuthPage}, nil
}

// service reads /-/auth/v1/services/<name>/tokens[/<key>[/rotate]]. The Name of the operation is
// name, or name:key.
func (w *route) service(v verb) (Operation, error) {
	name, err := w.name(4)
	if err != nil || strings.Contains(name, ":") { // which would be another account's name and part of a key
		return Operation{}, err
	}
	if w.n == 6 {
		return known(verbs{get: ReadService, post: ManageService}[v], PackageName{}, name)
	}
	key, err := w.name(6)
	op := Operation{Name: name + ":" + key}
	switch {
	case w.n == 7:
		op.Action = verbs{remove: RevokeService}[v]
	case w.word(7) == "rotate":
		op.Action = verbs{post: ManageService}[v]
	}
	return op.orError(err)
}

// user reads /-/user/…
func (w *route) user(v verb) (Operation, error) {
	couch, ok := strings.CutPrefix(w.word(2), "org.couchdb.user:")
	switch {
	case ok:
		return w.couch(v, couch)
	case w.is(2, "v1", "star"):
		return Operation{Action: verbs{get: ListStars, put: WriteStars, remove: WriteStars}[v]}, nil
	case w.n == 4 && w.word(3) == "package":
		name, err := w.name(2)
		return Operation{Action: verbs{get: ListPackages}[v], Name: name}.orError(err)
	}
	return Operation{}, nil
}

// couch reads /-/user/org.couchdb.user:<name>[/-rev/<rev>].
func (w *route) couch(v verb, user string) (Operation, error) {
	if v == get && strings.HasPrefix(user, "@") {
		// yarn owner add <package> <user>, its arguments swapped, puts a package
		// name there as it is.
		switch {
		case w.n == 4:
			user += "/" + w.word(3)
		case w.n > 4:
			return Operation{}, nil
		}
		if _, err := ParsePackageName(user); err != nil && !validName(user) {
			return Operation{}, errName
		}
		return Operation{Action: ReadUser, Name: user}, nil
	}
	if !validName(user) {
		return Operation{}, errName
	}
	op := Operation{Name: user}
	switch {
	case w.n == 3:
		op.Action = verbs{get: ReadUser, put: LegacyLogin}[v]
	case w.n == 5 && w.word(3) == "-rev":
		if _, err := w.name(4); err != nil {
			return Operation{}, err
		}
		op.Action = verbs{put: LegacyUpdate}[v]
	}
	return known(op.Action, op.Package, op.Name)
}

// ofPackage reads /-/package/<pkg>/…
func (w *route) ofPackage(v verb) (Operation, error) {
	n, i, err := w.pkg(2)
	if err != nil {
		return Operation{}, err
	}
	op := Operation{Package: n}
	switch what, last := w.word(i), i+1 == w.n; {
	case what == "dist-tags" && last:
		op.Action = verbs{get: ReadDistTags}[v]
	case what == "dist-tags" && i+2 == w.n:
		op.Name, err = w.tag(i + 1)
		op.Action = verbs{put: SetDistTag, post: SetDistTag, remove: RemoveDistTag}[v]
	case what == "access" && last:
		op.Action = verbs{get: ReadAccess, post: SetAccess}[v]
	case what == "visibility" && last:
		op.Action = verbs{get: ReadVisibility}[v]
	case what == "collaborators" && last:
		op.Action = verbs{get: ReadCollaborators}[v]
	case what == "owners" && last:
		op.Action = verbs{put: WriteOwners}[v]
	case what == "owners" && i+2 == w.n:
		op.Name, err = w.name(i + 1)
		op.Action = verbs{remove: WriteOwners}[v]
	case what == "trust" && last:
		op.Action = verbs{get: ReadTrust, post: WriteTrust}[v]
	case what == "trust" && i+2 == w.n:
		op.Name, err = w.opaque(i + 1)
		op.Action = verbs{remove: WriteTrust}[v]
	}
	return op.orError(err)
}

// ofOrg reads /-/org/<org>/…
func (w *route) ofOrg(v verb) (Operation, error) {
	if w.n < 3 {
		return Operation{}, nil
	}
	org, err := w.org(2)
	op := Operation{Name: org}
	switch {
	case w.is(3, "user"):
		op.Action = verbs{get: ReadOrg, put: WriteOrg, remove: WriteOrg}[v]
	case w.is(3, "team"):
		op.Action = verbs{get: ListTeams, put: WriteTeam}[v]
	case w.is(3, "package"):
		op.Action = verbs{get: ListOrgPackages}[v]
	}
	return op.orError(err)
}

// ofTeam reads /-/team/<org>/<team>[/…]
func (w *route) ofTeam(v verb) (Operation, error) {
	if w.n < 4 {
		return Operation{}, nil
	}
	org, err := w.org(2)
	if err != nil {
		return Operation{}, err
	}
	team, err := w.org(3)
	op := Operation{Name: org + ":" + team}
	switch {
	case w.is(4):
		op.Action = verbs{remove: WriteTeam}[v]
	case w.is(4, "user"):
		op.Action = verbs{get: ReadTeam, put: WriteTeamMember, remove: WriteTeamMember}[v]
	case w.is(4, "package"):
		op.Action = verbs{get: ListTeamPackages, put: GrantTeam, remove: GrantTeam}[v]
	}
	return op.orError(err)
}

// staged reads /-/stage/…
func (w *route) staged(v verb) (Operation, error) {
	switch {
	case w.is(2):
		return Operation{Action: verbs{get: ListStaged}[v]}, nil
	case w.word(2) == "package" && w.n > 3:
		n, i, err := w.pkg(3)
		if err == nil && i != w.n {
			return Operation{}, nil
		}
		return Operation{Action: verbs{post: Stage}[v], Package: n}.orError(err)
	case w.word(2) == "package":
		return Operation{}, nil
	}
	id, err := w.name(2)
	op := Operation{Name: id}
	switch {
	case w.is(3):
		op.Action = verbs{get: ReadStaged, remove: RejectStaged}[v]
	case w.is(3, "tarball"):
		op.Action = verbs{get: ReadStaged}[v]
	case w.is(3, "approve"):
		op.Action = verbs{post: ApproveStaged}[v]
	}
	return op.orError(err)
}

// npm reads /-/npm/v1/…
func (w *route) npm(v verb) (Operation, error) {
	switch w.word(3) {
	case "keys":
		return w.one(4, verbs{get: ReadKeys}[v])
	case "user":
		return w.one(4, ofProfile[v])
	case "tokens":
		return w.one(4, ofTokens[v])
	case "security":
		if w.n > 4 {
			return Operation{Action: verbs{get: Audit, post: Audit}[v]}, nil
		}
	case "attestations":
		if v == get {
			n, version, err := w.versioned(4)
			return Operation{Action: ReadAttestations, Package: n, Name: version}.orError(err)
		}
	case "hooks":
		switch {
		case w.is(4):
			return Operation{Action: verbs{get: ReadHooks}[v]}, nil
		case w.is(4, "hook"):
			return Operation{Action: verbs{post: WriteHooks}[v]}, nil
		case w.n == 6 && w.word(4) == "hook":
			id, err := w.name(5)
			return Operation{Action: verbs{get: ReadHooks, put: WriteHooks, remove: WriteHooks}[v], Name: id}.orError(err)
		}
	case "oidc":
		if w.n > 7 && w.word(4) == "token" && w.word(5) == "exchange" && w.word(6) == "package" {
			n, i, err := w.pkg(7)
			if err == nil && i != w.n {
				return Operation{}, nil
			}
			return Operation{Action: verbs{post: ExchangeToken}[v], Package: n}.orError(err)
		}
	}
	return Operation{}, nil
}
