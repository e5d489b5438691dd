package clientip

import (
	"net/netip"
	"strings"
)

// cutLastElement is cutLastComma for Forwarded, in which a quoted string may have commas.
//
// It goes from right to left, since only the right end is a trusted proxy's: a quote that a
// client left open must not swallow what the proxy has written behind it. That can be done,
// since inside of a quoted string each quote has a backslash before it, and the one that opens
// the string has the equals sign.
func cutLastElement(list string) (others, last string, more bool) {
	quoted := false
	for i := len(list) - 1; i >= 0; i-- {
		switch {
		case list[i] == '"' && !(quoted && i > 0 && list[i-1] == '\\'):
			quoted = !quoted
		case list[i] == ',' && !quoted:
			return list[:i], list[i+1:], true
		}
	}
	return "", list, false
}

// parseElement returns the address in an element of Forwarded, as RFC 7239, section 4, has it:
// pairs of a name and a value with semicolons between them, of which the one called for is the
// node that the request came from. White space around a semicolon is accepted. ok is false
// for everything else, for a name that is there twice, and where no address is named.
func parseElement(s string) (addr netip.Addr, ok bool) {
	node, known, seen := "", false, map[string]bool{}
	for s = trim(s); s != ""; s = trim(s) {
		if s[0] == ';' {
			s = s[1:]
			continue
		}
		name, rest, found := strings.Cut(s, "=")
		name = strings.ToLower(name)
		value, rest, fine := cutValue(rest)
		s = trim(rest)
		if !found || !isToken(name) || seen[name] || !fine || s != "" && s[0] != ';' {
			return netip.Addr{}, false
		}
		seen[name] = true
		if name == "for" {
			node, known = value, true
		}
	}
	if !known {
		return netip.Addr{}, false
	}
	return parseNode(node)
}

// cutValue returns the token or the quoted string that s begins with, and what follows it.
func cutValue(s string) (value, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		n := strings.IndexFunc(s, func(r rune) bool { return !isTokenRune(r) })
		if n < 0 {
			n = len(s)
		}
		return s[:n], s[n:], n > 0
	}
	var text strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return text.String(), s[i+1:], true
		case c == '\\' && i+1 < len(s):
			i++
			text.WriteByte(s[i])
		default:
			text.WriteByte(c)
		}
	}
	return "", "", false
}

// parseNode returns the address of a node, whose port may be hidden: RFC 7239, section 6. A node
// that is unknown or hidden has none.
func parseNode(s string) (netip.Addr, bool) {
	name, port := s, ""
	if i := strings.LastIndexByte(s, ':'); i > strings.LastIndexByte(s, ']') {
		if name, port = s[:i], s[i+1:]; !isPort(port) {
			return netip.Addr{}, false
		}
	}
	if strings.HasPrefix(name, "[") {
		addr, ok := parseBracketed(name)
		return addr, ok && addr.Zone() == ""
	}
	addr, err := netip.ParseAddr(name)
	return addr, err == nil && addr.Is4()
}

// isPort reports whether s is a port, or an identifier in place of one.
func isPort(s string) bool {
	if hidden, ok := strings.CutPrefix(s, "_"); ok {
		return hidden != "" && strings.IndexFunc(hidden, func(r rune) bool { return !isAlnum(r) && !strings.ContainsRune("._-", r) }) < 0
	}
	return 0 < len(s) && len(s) <= 5 && strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' }) < 0
}

// isToken reports whether s is a token: RFC 9110, section 5.6.2.
func isToken(s string) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool { return !isTokenRune(r) }) < 0
}

func isTokenRune(r rune) bool { return isAlnum(r) || strings.ContainsRune("!#$%&'*+-.^_`|~", r) }

func isAlnum(r rune) bool {
	return '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
}
