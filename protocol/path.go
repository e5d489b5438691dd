package protocol

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxPath     = 16 << 10 // bytes; the longest valid path has a token
	maxName     = 1 << 10  // bytes of a name in a path, packages aside
	maxSegments = 10       // no operation has more, except with a token that has slashes
)

// A pathError says what is wrong with a path. It never contains the path, which
// may contain a token.
type pathError string

func (e pathError) Error() string { return "protocol: malformed path: " + string(e) }

func (e pathError) Is(target error) bool { return target == ErrPath }

const (
	errPath    pathError = "not an escaped path"
	errLong    pathError = "too long"
	errEmpty   pathError = "empty segment"
	errDots    pathError = "dot segment"
	errEscape  pathError = "bad escape"
	errByte    pathError = "byte that no path has"
	errPackage pathError = "invalid package name"
	errName    pathError = "invalid name"
	errTarball pathError = "tarball of another package"
)

// A path is an escaped path cut into its segments, which are still escaped: each is decoded
// once, by the code that knows its meaning. All of it is checked: no segment is a dot segment,
// and every escape is of printable UTF-8.
type path struct {
	text  string
	seg   [maxSegments]string
	at    [maxSegments]uint16 // where each begins in text
	n     int                 // how many; maxSegments may stand for more
	empty int                 // where the first empty segment begins; len(text)+1: nowhere
}

// cut reads path in one pass.
func (p *path) cut(path string) error {
	if path == "" || path[0] != '/' {
		return errPath
	}
	if len(path) > maxPath {
		return errLong
	}
	p.text, p.empty = path, len(path)+1
	start, escaped := 1, false // escaped: there is more than a package name's slash
	for i := 1; i <= len(path); i++ {
		if i < len(path) && path[i] != '/' {
			switch c := path[i]; {
			case pathByte[c]:
			case c == '%':
				escaped = escaped || !plainSlash(path[i:])
			default:
				return errByte
			}
			continue
		}
		s := path[start:i]
		switch {
		case s == "":
			p.empty = min(p.empty, start)
		case escaped || s[0] == '.':
			if err := checkEscapes(s); err != nil {
				return err
			}
		}
		if p.n < maxSegments {
			p.seg[p.n], p.at[p.n] = s, uint16(start)
			p.n++
		}
		start, escaped = i+1, false
	}
	return nil
}

// plainSlash reports whether s begins with an escaped slash that no dot follows, as in every
// package name with a scope. A segment that begins with no dot and has no other escapes needs
// no checkEscapes.
func plainSlash(s string) bool {
	return len(s) > 3 && s[1] == '2' && s[2]|0x20 == 'f' && s[3] != '.'
}

// pathByte are the bytes that stand for themselves in an escaped path (RFC 3986,
// section 3.3). The square brackets are not among them but clients send them.
var pathByte = func() (is [256]bool) {
	for _, c := range []byte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~!$&'()*+,;=:@[]") {
		is[c] = true
	}
	return is
}()

// checkEscapes refuses what no decoded segment may contain: broken escapes, control characters,
// invalid UTF-8, and dot segments, those between escaped slashes too.
func checkEscapes(s string) error {
	length, dots, wide := 0, 0, false // of the part since the last slash
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' {
			var ok bool
			if c, ok = unescapeByte(s[i:]); !ok {
				return errEscape
			}
			i += 2
		}
		switch {
		case c == '/':
			if length == dots && (dots == 1 || dots == 2) {
				return errDots
			}
			length, dots = 0, 0
			continue
		case c < ' ' || c == 0x7f || c == '\\':
			return errByte
		case c == '.':
			dots++
		case c >= utf8.RuneSelf:
			wide = true
		}
		length++
	}
	if length == dots && (dots == 1 || dots == 2) {
		return errDots
	}
	if !wide {
		return nil
	}
	d, _ := unescape(s)
	if !utf8.ValidString(d) || strings.IndexFunc(d, func(r rune) bool { return !unicode.IsPrint(r) }) >= 0 {
		return errByte
	}
	return nil
}

// unescape decodes s once. Without an escape it returns s itself.
func unescape(s string) (string, bool) {
	i := strings.IndexByte(s, '%')
	if i < 0 {
		return s, true
	}
	b := make([]byte, i, len(s))
	copy(b, s)
	for ; i < len(s); i++ {
		c := s[i]
		if c == '%' {
			var ok bool
			if c, ok = unescapeByte(s[i:]); !ok {
				return "", false
			}
			i += 2
		}
		b = append(b, c)
	}
	return string(b), true
}

// unescapeByte returns the byte of the escape that s begins with.
func unescapeByte(s string) (byte, bool) {
	if len(s) < 3 {
		return 0, false
	}
	hi, lo := unhex(s[1]), unhex(s[2])
	return hi<<4 | lo, hi|lo <= 15
}

func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	default:
		return 255
	}
}

// word returns segment i decoded, "" if there is none. It may have slashes.
func (p *path) word(i int) string {
	if i >= p.n {
		return ""
	}
	s, _ := unescape(p.seg[i])
	return s
}

// is reports whether segment i is literal once it is decoded.
func (p *path) is(i int, literal string) bool {
	s := p.seg[i]
	for k := range len(literal) {
		if s == "" {
			return false
		}
		c, size := s[0], 1
		if c == '%' {
			c, _ = unescapeByte(s)
			size = 3
		}
		if c != literal[k] {
			return false
		}
		s = s[size:]
	}
	return s == ""
}

// whole reports an empty segment, which a doubled or a trailing slash leaves.
func (p *path) whole() error {
	if p.empty <= len(p.text) {
		return errEmpty
	}
	return nil
}

// validName reports whether s can be a name: decoded once, without a slash, and without a
// percent sign, which would be an escape of an escape.
func validName(s string) bool {
	return s != "" && s != "." && s != ".." && len(s) <= maxName && !strings.ContainsAny(s, "/%")
}

// rest returns all that follows from segment i, slashes included and decoded once.
func (p *path) rest(i int) (string, error) {
	if i >= p.n {
		return "", errEmpty
	}
	start := int(p.at[i])
	if start == len(p.text) || p.empty < start {
		return "", errEmpty
	}
	s, ok := unescape(p.text[start:])
	if !ok {
		return "", errEscape
	}
	return s, nil
}

// plainRest refuses a slash within one of the segments from i on.
func (p *path) plainRest(i int) error {
	for ; i < p.n; i++ {
		if strings.Contains(p.word(i), "/") {
			return errName
		}
	}
	return p.whole()
}

// pkg returns the package that segments i and perhaps i+1 name, and the segment
// after it. The slash of a scoped name comes raw or as %2f, its @ raw or as %40;
// of all four spellings the parts are the same substrings of the path.
func (p *path) pkg(i int) (PackageName, int, error) {
	if i >= p.n {
		return PackageName{}, 0, errPackage
	}
	s, next := p.seg[i], i+1
	n := PackageName{Name: s}
	rest, scoped := cutAt(s)
	if scoped {
		var ok bool
		if n.Scope, n.Name, ok = cutSlash(rest); !ok {
			if next >= p.n {
				return PackageName{}, 0, errPackage
			}
			n.Name = p.seg[next]
			next++
		}
	}
	if n.Validate() != nil || scoped && n.Scope == "" {
		// A name with an escape in it is decoded before it is checked.
		n.Scope, _ = unescape(n.Scope)
		n.Name, _ = unescape(n.Name)
		if n.Validate() != nil || scoped && n.Scope == "" {
			return PackageName{}, 0, errPackage
		}
	}
	return n, next, nil
}

// cutAt cuts a leading @ or %40.
func cutAt(s string) (rest string, ok bool) {
	if rest, ok = strings.CutPrefix(s, "@"); ok {
		return rest, true
	}
	return strings.CutPrefix(s, "%40")
}

// cutSlash cuts around the first %2f or %2F.
func cutSlash(s string) (before, after string, ok bool) {
	for i := 0; i+2 < len(s); i++ {
		if s[i] == '%' && s[i+1] == '2' && s[i+2]|0x20 == 'f' {
			return s[:i], s[i+3:], true
		}
	}
	return s, "", false
}

// versioned returns the package and version of <pkg>@<version> from segment i to the end.
func (p *path) versioned(i int) (PackageName, string, error) {
	if i >= p.n || p.n > i+2 {
		return PackageName{}, "", errPackage
	}
	s := p.word(i)
	if i+1 < p.n {
		s += "/" + p.word(i+1)
	}
	at := strings.LastIndexByte(s, '@')
	if at <= 0 {
		return PackageName{}, "", errPackage
	}
	n, err := ParsePackageName(s[:at])
	if err != nil {
		return PackageName{}, "", errPackage
	}
	if v := s[at+1:]; validName(v) {
		return n, v, nil
	}
	return PackageName{}, "", errName
}

// tarball returns the version of n whose file segment i names, and the segment after it. The
// file is <name>-<version>.tgz and nothing else, so that a request for one package's path
// cannot get another package's file from a host that keeps all files in one place. Yarn 1 and
// Berry publish with the whole package name there, @s/n-1.0.0.tgz; the scope must be the
// package's and is dropped.
func (p *path) tarball(i int, n PackageName) (string, int, error) {
	if i >= p.n {
		return "", 0, errTarball
	}
	file, next := p.word(i), i+1
	if scope, ok := strings.CutPrefix(file, "@"); ok && n.Scope != "" {
		scope, name, one := strings.Cut(scope, "/")
		if !one {
			name = p.word(next)
			next++
		}
		if scope != n.Scope {
			return "", 0, errTarball
		}
		file = name
	}
	v, ok := strings.CutPrefix(file, n.Name)
	if ok {
		v, ok = strings.CutPrefix(v, "-")
	}
	if ok {
		v, ok = strings.CutSuffix(v, ".tgz")
	}
	if !ok || len(file) > maxName || !versionLike(v) {
		return "", 0, errTarball
	}
	return v, next, nil
}

// versionLike reports whether v begins with three numbers as every version does. Without that,
// n-extra-1.0.0.tgz would be a file of n as well as of n-extra.
func versionLike(v string) bool {
	for k := range 3 {
		digits := 0
		for digits < len(v) && '0' <= v[digits] && v[digits] <= '9' {
			digits++
		}
		if digits == 0 {
			return false
		}
		v = v[digits:]
		if k < 2 {
			if v == "" || v[0] != '.' {
				return false
			}
			v = v[1:]
		}
	}
	for i := range len(v) {
		if !partByte[v[i]] && v[i] != '+' {
			return false
		}
	}
	return true
}
