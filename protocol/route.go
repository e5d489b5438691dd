package protocol

import (
	"cmp"
	"slices"
	"strings"
)

// A verb is a method that npm's clients use; the zero verb is any other.
type verb uint8

const (
	get verb = iota + 1
	put
	post
	remove
	anyVerb
)

// verbOf returns the verb of a method. Methods are case-sensitive: a lower-case put is none.
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

// A part is a placeholder in one segment of a route's path.
type part uint8

const (
	aLiteral       part = iota
	aPackage            // one segment or two
	aVersionOrTag       // a version, else a dist-tag
	aTag                // a dist-tag
	aTarball            // one segment or two, see path.tarball
	aPackageAndVer      // <package>@<version>, one segment or two, the last
	aUser               // a user's name
	aUserOrPackage      // the same, or a package's name in one segment or two
	anOrg               // an organization, with or without npm's @
	aTeam               // a team, likewise
	aService            // a service account's name
	aKey                // a token's key
	aRevision           // a document's revision
	anID                // an id without a slash
	anOpaqueID          // an id that may have one
	theToken            // all that is left: a token, unescaped
	theRest             // one segment or more
)

var partOf = map[string]part{
	"package": aPackage, "version or tag": aVersionOrTag, "tag": aTag, "tarball": aTarball, "package@version": aPackageAndVer,
	"user": aUser, "user or package": aUserOrPackage, "org": anOrg, "team": aTeam, "service": aService, "key": aKey,
	"revision": aRevision, "id": anID, "opaque id": anOpaqueID, "token...": theToken, "any...": theRest,
}

// A segment is a literal, or a part behind a literal that may be "".
type segment struct {
	literal string
	part    part
}

// A route is one method and path of an action.
type route struct {
	action   Action
	verb     verb
	segments []segment
}

// parseRoute reads a route of the table: "PUT /-/user/org.couchdb.user:{user}".
func parseRoute(action Action, text string) route {
	method, path, _ := strings.Cut(text, " ")
	r := route{action: action, verb: verbOf(method)}
	if method == "*" {
		r.verb = anyVerb
	}
	for s := range strings.SplitSeq(path[1:], "/") {
		before, name, named := strings.Cut(strings.TrimSuffix(s, "}"), "{")
		p, known := partOf[name]
		if r.verb == 0 || named != known {
			panic("protocol: bad route " + text)
		}
		r.segments = append(r.segments, segment{before, p})
	}
	return r
}

// The routes of the table: those of packages, and those below /-/ by the word that
// follows. One with more literals comes before one that has a name in their place.
var packageRoutes, apiRoutes = func() (packages []route, api map[string][]route) {
	api = map[string][]route{}
	for a := range table {
		for _, text := range table[a].routes {
			r := parseRoute(Action(a), text)
			if first := r.segments[0]; first.part == aLiteral && first.literal == "-" {
				word := r.segments[1].literal
				api[word] = append(api[word], r)
			} else {
				packages = append(packages, r)
			}
		}
	}
	for _, routes := range api {
		slices.SortStableFunc(routes, byLiterals)
	}
	slices.SortStableFunc(packages, byLiterals)
	return packages, api
}()

// byLiterals orders routes so that of two that could match the same path, the first is the one
// with a literal where they first differ.
func byLiterals(a, b route) int {
	return slices.CompareFunc(a.segments, b.segments, func(s, t segment) int {
		return cmp.Compare(min(s.part, 1), min(t.part, 1))
	})
}

// find returns the operation of the route that matches the path. A path that matches a route
// but has a malformed name is an error, whatever the method.
func find(routes []route, v verb, p *path) (Operation, error) {
	var malformed error
	for i := range routes {
		r := &routes[i]
		op := Operation{Action: r.action}
		switch matches, err := r.match(p, &op); {
		case !matches:
		case err != nil:
			malformed = cmp.Or(malformed, err)
		case r.verb == v || r.verb == anyVerb:
			return op, nil
		}
	}
	return Operation{}, cmp.Or(malformed, p.whole())
}

// match reports whether p has the form of r, and reads its names into op.
func (r *route) match(p *path, op *Operation) (matches bool, err error) {
	i := 0
	for k := range r.segments {
		s := &r.segments[k]
		if i >= p.n {
			return false, nil
		}
		switch s.part {
		case aLiteral:
			if !p.is(i, s.literal) {
				return false, nil
			}
			i++
			continue
		case aPackage:
			if op.Package, i, err = p.pkg(i); err != nil { // where it ends is not known either
				return true, err
			}
			continue
		case theToken:
			op.Token, err = p.rest(i)
			return true, err
		case theRest:
			return true, p.plainRest(i)
		}
		word, ok := strings.CutPrefix(p.word(i), s.literal)
		if !ok {
			return false, nil
		}
		next, bad := p.name(s, i, word, op)
		err = cmp.Or(err, bad)
		if next == 0 { // where the tarball's name ends is not known
			return true, err
		}
		i = next
	}
	if i != p.n {
		return false, nil
	}
	if err == nil {
		err = p.whole()
	}
	return true, err
}

// name reads the part of s from segment i into op; word is the decoded text after the literal.
// It returns the segment after it, or 0 and an error.
func (p *path) name(s *segment, i int, word string, op *Operation) (next int, err error) {
	next = i + 1
	switch s.part {
	case aPackageAndVer:
		if op.Package, op.Version, err = p.versioned(i); err == nil {
			next = p.n
		}
	case aTarball:
		op.Version, next, err = p.tarball(i, op.Package)
	case aVersionOrTag:
		switch {
		case ValidVersion(word):
			op.Version = word
		case !validName(word) || word[0] == '-' || word[0] == '@':
			err = errName
		default: // only the registry knows the tags
			op.Tag = word
		}
	case aTag:
		op.Tag, err = word, check(ValidTag(word))
	case aUser:
		op.User, err = word, check(ValidUser(word))
	case aUserOrPackage: // yarn owner add <package> <user>, its arguments swapped
		if next < p.n && strings.HasPrefix(word, "@") {
			word += "/" + p.word(next)
			next++
		}
		if _, bad := ParsePackageName(word); bad != nil {
			word = strings.TrimPrefix(word, "@")
			err = check(ValidUser(word))
		}
		op.User = word
	case anOrg, aTeam:
		if s.literal == "" {
			word = strings.TrimPrefix(word, "@")
		}
		err = check(ValidOrg(word))
		if s.part == anOrg {
			op.Org = word
		} else {
			op.Team = word
		}
	case aService:
		op.Service, err = word, check(ValidUser(word))
	case aKey:
		op.Token, err = word, check(validName(word))
	case aRevision:
		op.Revision, err = word, check(validName(word))
	case anID:
		op.ID, err = word, check(validName(word))
	case anOpaqueID:
		op.ID, err = word, check(word != "" && len(word) <= maxName)
	}
	return next, err
}

func check(valid bool) error {
	if !valid {
		return errName
	}
	return nil
}
