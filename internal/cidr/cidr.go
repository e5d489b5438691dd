// Package cidr says which address ranges may be stored as a restriction, and which addresses count
// as one client.
package cidr

import (
	"fmt"
	"net/netip"
)

// Max is how many ranges one credential or account may have.
const Max = 50

// Problem says what is wrong with the ranges, in words that follow a name for them:
// "has a range that is no CIDR". It is "" where nothing is.
func Problem(ranges []netip.Prefix) string {
	if len(ranges) > Max {
		return fmt.Sprintf("has more than %d ranges", Max)
	}
	for _, p := range ranges {
		switch {
		case !p.IsValid():
			return "has a range that is no CIDR"
		case p.Addr().Is4In6():
			// Clients' addresses are compared unmapped: it would never match.
			return "has an IPv4 range written as IPv6"
		case p != p.Masked():
			return fmt.Sprintf("has a range that does not begin with its first address; %v would", p.Masked())
		}
	}
	return ""
}

// Network returns the IP addresses that count as one client, since one can easily have them: the
// /24 of IPv4, and the /56 of IPv6 that an access provider gives to a household. That of the zero
// Addr is the zero Prefix.
func Network(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap().WithZone("")
	bits := 56
	if addr.Is4() {
		bits = 24
	}
	network, _ := addr.Prefix(bits)
	return network
}
