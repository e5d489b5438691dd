// Package clientip finds the address of the client behind the proxies that an
// operator trusts, and no others.
package clientip

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Proxies are the proxies that an operator trusts. The zero value trusts none.
type Proxies struct {
	Trusted []netip.Prefix // their addresses
	// Forwarded says that they write Forwarded, as RFC 7239 has it; false that they write
	// X-Forwarded-For. The other header is ignored: a proxy passes on what it does not
	// write, so it may be the client's.
	Forwarded bool
}

// From returns the client's address: that of the connection, or, where that one is
// a trusted proxy, the last address in the proxies' header that is none. The address
// is unmapped (an IPv4 one never comes as IPv6) and has no zone. The zero Addr
// means that it is not known; a rule about addresses must refuse it.
//
// Entries of the header are written left to right by ever nearer hops, so
// only the right end is the trusted proxies' own word; all before the first
// untrusted address may be invented by the client, and is not read. An entry that does not
// name an address makes the client unknown rather than the next best hop: else a client
// behind a proxy could pass for the proxy. Where every entry is trusted, or there
// is none, the request began at the furthest trusted hop.
func From(remoteAddr string, header http.Header, p Proxies) netip.Addr {
	at := remote(remoteAddr)
	if !within(at, p.Trusted) {
		return at
	}
	name, cutLast, parse := "X-Forwarded-For", cutLastComma, parseHop
	if p.Forwarded {
		name, cutLast, parse = "Forwarded", cutLastElement, parseElement
	}
	lines := header.Values(name)
	if len(lines) == 1 && trim(lines[0]) == "" {
		return at // as without the header
	}
	// Several lines are one list, in order: RFC 9110, section 5.3.
	for _, line := range slices.Backward(lines) {
		for more := true; more; {
			var hop string
			line, hop, more = cutLast(line)
			addr, ok := parse(trim(hop))
			if !ok {
				return netip.Addr{}
			}
			if at = addr.Unmap().WithZone(""); !within(at, p.Trusted) {
				return at
			}
		}
	}
	return at
}

// trim removes the white space that may stand around the entry of a list.
func trim(s string) string { return strings.Trim(s, " \t") }

// cutLastComma returns the last entry of a list, and the others if there are more.
func cutLastComma(list string) (others, last string, more bool) {
	i := strings.LastIndexByte(list, ',')
	return list[:max(i, 0)], list[i+1:], i >= 0
}

// maxHop is more than an address with a zone and a port has, in bytes. Errors of package netip quote
// what they are about.
const maxHop = 128

// parseHop reads an entry of X-Forwarded-For. It has no specification: most proxies write an
// address, and some, as Azure's, address:port. An IPv6 address without brackets has no port,
// whatever it ends in.
func parseHop(s string) (netip.Addr, bool) {
	if len(s) > maxHop {
		return netip.Addr{}, false
	}
	if addr, err := netip.ParseAddr(s); err == nil {
		return addr, true
	}
	if hop, err := netip.ParseAddrPort(s); err == nil {
		return hop.Addr(), true
	}
	return parseBracketed(s)
}

// parseBracketed reads an IPv6 address in brackets.
func parseBracketed(s string) (netip.Addr, bool) {
	s, opened := strings.CutPrefix(s, "[")
	s, closed := strings.CutSuffix(s, "]")
	addr, err := netip.ParseAddr(s)
	return addr, opened && closed && err == nil && addr.Is6()
}

// remote returns the address of a connection, as http.Request.RemoteAddr has it,
// or the zero Addr, as for a Unix socket.
func remote(remoteAddr string) netip.Addr {
	peer, err := netip.ParseAddrPort(remoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return peer.Addr().Unmap().WithZone("")
}

func within(a netip.Addr, prefixes []netip.Prefix) bool {
	for _, p := range prefixes {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
