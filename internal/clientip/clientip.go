// Package clientip finds the address of the client behind the proxies that an
// operator trusts, and no others.
package clientip

import (
	"net/http"
	"net/netip"
	"strings"
)

// From returns the client's address: that of the connection, or, where that one is
// a trusted proxy, the last address in X-Forwarded-For that is none. The address
// is unmapped (an IPv4 one never comes as IPv6) and has no zone. The zero Addr
// means that it is not known; a rule about addresses must refuse it.
//
// Entries of X-Forwarded-For are written left to right by ever nearer hops, so
// only the right end is the trusted proxies' own word; all before the first
// untrusted address may be invented by the client. An entry that is no plain
// address makes the client unknown rather than the next best hop: else a client
// behind a proxy could pass for the proxy. Where every entry is trusted, or there
// is none, the request began at the furthest trusted hop.
func From(remoteAddr string, header http.Header, trusted []netip.Prefix) netip.Addr {
	at := remote(remoteAddr)
	if !within(at, trusted) {
		return at
	}
	// Several lines are one list, in order: RFC 9110, section 5.3.
	hops := strings.Split(strings.Join(header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		hop := strings.Trim(hops[i], " \t")
		if hop == "" && len(hops) == 1 {
			break // no header
		}
		addr, err := netip.ParseAddr(hop)
		if err != nil {
			return netip.Addr{}
		}
		if at = addr.Unmap().WithZone(""); !within(at, trusted) {
			break
		}
	}
	return at
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
