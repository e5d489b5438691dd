package policy

import (
	"errors"
	"strings"
)

// ErrPath is matched by the error of [Classify] for a path that is malformed or
// names what cannot be a name. The answer is 400, never a redirect to a path that
// would have been right.
var ErrPath = errors.New("policy: malformed path")

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
	var w route
	if err := w.cut(escapedPath); err != nil {
		return Operation{}, err
	}
	if escapedPath == "/" {
		return Operation{}, nil
	}
	if method == "HEAD" {
		method = get
	}
	if w.seg[0] == "-" || strings.EqualFold(w.seg[0], "%2d") {
		return w.api(method)
	}
	return w.registry(method)
}

// on returns the action of method, given as pairs of a method and an action.
func on(method string, pairs ...pair) Action {
	for _, p := range pairs {
		if p.method == method {
			return p.action
		}
	}
	return Unknown
}

type pair struct {
	method string
	action Action
}

// The methods, spelled out: what decides does not depend on net/http.
const (
	get    = "GET"
	put    = "PUT"
	post   = "POST"
	remove = "DELETE"
)

// registry reads what stands outside /-/: packages.
func (w *route) registry(method string) (Operation, error) {
	if err := w.whole(); err != nil {
		return Operation{}, err
	}
	n, i, err := w.pkg(0)
	if err != nil {
		return Operation{}, err
	}
	op := Operation{Package: n}
	switch {
	case i == w.n:
		op.Action = on(method, pair{get, ReadPackument}, pair{put, WritePackument})
	case w.word(i) == "-":
		return w.file(method, i+1, n)
	case w.word(i) == "-rev":
		if op.Name, err = w.name(i + 1); err != nil {
			return Operation{}, err
		}
		if w.n == i+2 {
			op.Action = on(method, pair{put, WritePackument}, pair{remove, UnpublishAll})
		}
	case n == PackageName{Name: "team"} && strings.HasPrefix(w.word(i), "@"):
		return w.yarnTeam(method, i)
	case i+1 == w.n:
		if op.Name, err = w.tag(i); err != nil {
			return Operation{}, err
		}
		op.Action = on(method, pair{get, ReadPackument}, pair{put, SetDistTag})
	}
	return op.known()
}

// known returns op, or the zero Operation where no action was found for it.
func (op Operation) known() (Operation, error) {
	if op.Action == Unknown {
		return Operation{}, nil
	}
	return op, nil
}

// file reads /<pkg>/-/<file>[/-rev/<rev>], i being the file's segment.
func (w *route) file(method string, i int, n PackageName) (Operation, error) {
	file, i, err := w.tarball(i, n)
	if err != nil {
		return Operation{}, err
	}
	op := Operation{Package: n, Name: file}
	switch {
	case i == w.n:
		op.Action = on(method, pair{get, ReadTarball})
	case i+2 == w.n && w.word(i) == "-rev":
		if _, err := w.name(i + 1); err != nil {
			return Operation{}, err
		}
		op.Action = on(method, pair{remove, Unpublish})
	}
	return op.known()
}

// yarnTeam reads /team/@<org>[/<team>[/user]], which is where Yarn 1 looks for
// teams. No dist-tag begins with @, so nothing else is meant, and it must not pass
// for a write to a package that is called team.
func (w *route) yarnTeam(method string, i int) (Operation, error) {
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
	if w.n > i+3 || w.n == i+3 && w.word(i+2) != "user" {
		return Operation{}, nil
	}
	return Operation{Action: on(method, pair{get, ReadTeam}, pair{put, WriteTeam}, pair{remove, WriteTeam}), Name: name}.known()
}

// api reads what stands below /-/.
func (w *route) api(method string) (Operation, error) {
	// The two places where a token stands in the path come first: only there may a
	// slash be doubled or come last.
	if w.n > 3 && method == remove && w.word(1) == "user" && w.word(2) == "token" {
		name, err := w.rest(3)
		return Operation{Action: Logout, Name: name}.orError(err)
	}
	if w.n > 5 && method == remove && w.word(1) == "npm" && w.word(2) == "v1" && w.word(3) == "tokens" && w.word(4) == "token" {
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
		return w.one(2, on(method, pair{get, Ping}))
	case "whoami":
		return w.one(2, on(method, pair{get, Whoami}))
	case "all":
		if w.is(2) || w.is(2, "since") {
			return Operation{Action: on(method, pair{get, Search})}, nil
		}
	case "_view":
		if w.is(2, "starredByUser") {
			return Operation{Action: on(method, pair{get, ListStars})}, nil
		}
	case "-":
		// pnpm 11 and 12 ask for the packages of nobody in particular like this.
		if w.is(2, "package") {
			return Operation{Action: on(method, pair{get, ListPackages})}, nil
		}
	case "v1":
		switch {
		case w.is(2, "search"):
			return Operation{Action: on(method, pair{get, Search})}, nil
		case w.is(2, "login"):
			return Operation{Action: on(method, pair{post, Login})}, nil
		}
	case "auth":
		return w.auth(method)
	case "user":
		return w.user(method)
	case "package":
		return w.ofPackage(method)
	case "org":
		return w.ofOrg(method)
	case "team":
		return w.ofTeam(method)
	case "stage":
		return w.staged(method)
	case "npm":
		if w.word(2) == "v1" {
			return w.npm(method)
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
	return op.known()
}

// auth reads /-/auth/…, which is ours.
func (w *route) auth(method string) (Operation, error) {
	for i := 2; i < w.n; i++ {
		if strings.Contains(w.word(i), "/") {
			return Operation{}, errName
		}
	}
	switch {
	case method == get && w.is(2, "v1", "self"):
		return Operation{Action: ReadSelf}, nil
	case method == post && w.is(2, "v1", "leaked"):
		return Operation{Action: ReportLeak}, nil
	}
	return Operation{Action: AuthPage}, nil
}

// user reads /-/user/…
func (w *route) user(method string) (Operation, error) {
	couch, ok := strings.CutPrefix(w.word(2), "org.couchdb.user:")
	switch {
	case ok:
		return w.couch(method, couch)
	case w.is(2, "v1", "star"):
		return Operation{Action: on(method, pair{get, ListStars}, pair{put, Star}, pair{remove, Star})}, nil
	case w.n == 4 && w.word(3) == "package":
		name, err := w.name(2)
		return Operation{Action: on(method, pair{get, ListPackages}), Name: name}.orError(err)
	}
	return Operation{}, nil
}

// couch reads /-/user/org.couchdb.user:<name>[/-rev/<rev>].
func (w *route) couch(method, user string) (Operation, error) {
	if method == get && strings.HasPrefix(user, "@") {
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
		op.Action = on(method, pair{get, ReadUser}, pair{put, LegacyLogin})
	case w.n == 5 && w.word(3) == "-rev":
		if _, err := w.name(4); err != nil {
			return Operation{}, err
		}
		op.Action = on(method, pair{put, LegacyUpdate})
	}
	return op.known()
}

// ofPackage reads /-/package/<pkg>/…
func (w *route) ofPackage(method string) (Operation, error) {
	n, i, err := w.pkg(2)
	if err != nil {
		return Operation{}, err
	}
	op := Operation{Package: n}
	switch what, last := w.word(i), i+1 == w.n; {
	case what == "dist-tags" && last:
		op.Action = on(method, pair{get, ReadDistTags})
	case what == "dist-tags" && i+2 == w.n:
		op.Name, err = w.tag(i + 1)
		op.Action = on(method, pair{put, SetDistTag}, pair{post, SetDistTag}, pair{remove, RemoveDistTag})
	case what == "access" && last:
		op.Action = on(method, pair{get, ReadAccess}, pair{post, SetAccess})
	case what == "visibility" && last:
		op.Action = on(method, pair{get, ReadVisibility})
	case what == "collaborators" && last:
		op.Action = on(method, pair{get, ReadCollaborators})
	case what == "owners" && last:
		op.Action = on(method, pair{put, WriteOwners})
	case what == "owners" && i+2 == w.n:
		op.Name, err = w.name(i + 1)
		op.Action = on(method, pair{remove, WriteOwners})
	case what == "trust" && last:
		op.Action = on(method, pair{get, ReadTrust}, pair{post, WriteTrust})
	case what == "trust" && i+2 == w.n:
		op.Name, err = w.opaque(i + 1)
		op.Action = on(method, pair{remove, WriteTrust})
	}
	return op.orError(err)
}

// ofOrg reads /-/org/<org>/…
func (w *route) ofOrg(method string) (Operation, error) {
	if w.n < 3 {
		return Operation{}, nil
	}
	org, err := w.org(2)
	op := Operation{Name: org}
	switch {
	case w.is(3, "user"):
		op.Action = on(method, pair{get, ReadOrg}, pair{put, WriteOrg}, pair{remove, WriteOrg})
	case w.is(3, "team"):
		op.Action = on(method, pair{get, ReadOrg}, pair{put, WriteTeam})
	case w.is(3, "package"):
		op.Action = on(method, pair{get, ReadOrg})
	}
	return op.orError(err)
}

// ofTeam reads /-/team/<org>/<team>[/…]
func (w *route) ofTeam(method string) (Operation, error) {
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
		op.Action = on(method, pair{remove, WriteTeam})
	case w.is(4, "user"):
		op.Action = on(method, pair{get, ReadTeam}, pair{put, WriteTeam}, pair{remove, WriteTeam})
	case w.is(4, "package"):
		op.Action = on(method, pair{get, ReadTeam}, pair{put, GrantTeam}, pair{remove, GrantTeam})
	}
	return op.orError(err)
}

// staged reads /-/stage/…
func (w *route) staged(method string) (Operation, error) {
	switch {
	case w.is(2):
		return Operation{Action: on(method, pair{get, ListStaged})}, nil
	case w.word(2) == "package" && w.n > 3:
		n, i, err := w.pkg(3)
		if err == nil && i != w.n {
			return Operation{}, nil
		}
		return Operation{Action: on(method, pair{post, Stage}), Package: n}.orError(err)
	case w.word(2) == "package":
		return Operation{}, nil
	}
	id, err := w.name(2)
	op := Operation{Name: id}
	switch {
	case w.is(3):
		op.Action = on(method, pair{get, ReadStaged}, pair{remove, RejectStaged})
	case w.is(3, "tarball"):
		op.Action = on(method, pair{get, ReadStaged})
	case w.is(3, "approve"):
		op.Action = on(method, pair{post, ApproveStaged})
	}
	return op.orError(err)
}

// npm reads /-/npm/v1/…
func (w *route) npm(method string) (Operation, error) {
	switch w.word(3) {
	case "keys":
		return w.one(4, on(method, pair{get, ReadKeys}))
	case "user":
		return w.one(4, on(method, pair{get, ReadProfile}, pair{post, WriteProfile}))
	case "tokens":
		return w.one(4, on(method, pair{get, ListTokens}, pair{post, CreateToken}))
	case "security":
		if w.n > 4 {
			return Operation{Action: on(method, pair{get, Audit}, pair{post, Audit})}, nil
		}
	case "attestations":
		if method == get {
			n, version, err := w.versioned(4)
			return Operation{Action: ReadAttestations, Package: n, Name: version}.orError(err)
		}
	case "hooks":
		switch {
		case w.is(4):
			return Operation{Action: on(method, pair{get, ReadHooks})}, nil
		case w.is(4, "hook"):
			return Operation{Action: on(method, pair{post, WriteHooks})}, nil
		case w.n == 6 && w.word(4) == "hook":
			id, err := w.name(5)
			return Operation{Action: on(method, pair{get, ReadHooks}, pair{put, WriteHooks}, pair{remove, WriteHooks}), Name: id}.orError(err)
		}
	case "oidc":
		if w.n > 7 && w.word(4) == "token" && w.word(5) == "exchange" && w.word(6) == "package" {
			n, i, err := w.pkg(7)
			if err == nil && i != w.n {
				return Operation{}, nil
			}
			return Operation{Action: on(method, pair{post, ExchangeToken}), Package: n}.orError(err)
		}
	}
	return Operation{}, nil
}
