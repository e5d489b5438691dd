package protocol

import (
	"errors"
)

// ErrPath is wrapped by the error of [Classify] for a path that is malformed or has an invalid
// name. Answer with 400 and never with a redirect to a corrected path.
var ErrPath = errors.New("protocol: malformed path")

// Classify returns the operation of a request. The path is the escaped one
// ([net/url.URL.EscapedPath]) without the prefix that the registry is mounted at and without a
// query: a query never changes the operation, not even ?write=true.
//
// Every segment is decoded once, and only to be compared or returned as a name. So
// /@acme%2fwidget, /@acme%2Fwidget, /@acme/widget and /%40acme%2Fwidget are one package, and
// /@acme%252fwidget none. The following is [ErrPath]: doubled and trailing slashes, dot
// segments raw or escaped, control characters, backslashes, invalid UTF-8, a package name that
// [ParsePackageName] refuses (the reserved - and -rev are among them), and a tarball whose file
// name is not its package's. After the token of [RevokeToken] and [Logout] anything printable
// may follow except dot segments, since npm puts a token there unescaped. /-/auth/ is the page
// that /-/auth is: people type either.
//
// HEAD is GET. A request that is not npm's is [Unknown] without an error: a method that its
// path does not have, or a path below /-/ that is not listed at the actions; /-/NPM/v1/tokens
// is not /-/npm/v1/tokens. PUT /<pkg> is [WritePackument] and POST /-/npm/v1/user
// [WriteProfile], since only their bodies say more.
//
// Names are substrings of the path if they had no escape: Classify allocates nothing then, nor
// for a package with an escaped slash or @.
func Classify(method, escapedPath string) (Operation, error) {
	if escapedPath == "/-/auth/" {
		return Operation{Action: AuthPage}, nil
	}
	var p path
	if err := p.cut(escapedPath); err != nil {
		return Operation{}, err
	}
	if escapedPath == "/" {
		return Operation{}, nil
	}
	v := verbOf(method)
	if p.is(0, "-") {
		if p.n == 1 {
			return Operation{}, errPackage // a package called -
		}
		return find(apiRoutes[p.word(1)], v, &p)
	}
	if err := p.whole(); err != nil {
		return Operation{}, err
	}
	if _, _, err := p.pkg(0); err != nil {
		return Operation{}, err
	}
	return find(packageRoutes, v, &p)
}
