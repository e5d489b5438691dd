package cidr_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/npmauth/npmauth/internal/cidr"
)

func TestProblem(t *testing.T) {
	for text, want := range map[string]string{
		"10.0.0.0/8":         "",
		"2001:db8::/32":      "",
		"0.0.0.0/0":          "",
		"192.0.2.1/32":       "",
		"10.0.0.1/8":         "first address",
		"2001:db8::1/32":     "first address",
		"::ffff:10.0.0.0/96": "written as IPv6",
	} {
		got := cidr.Problem([]netip.Prefix{netip.MustParsePrefix(text)})
		if want == "" {
			assert.Empty(t, got, text)
		} else {
			assert.Contains(t, got, want, text)
		}
	}
	assert.Empty(t, cidr.Problem(nil))
	assert.Contains(t, cidr.Problem(make([]netip.Prefix, 1)), "no CIDR")
	many := slices.Repeat([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, cidr.Max)
	assert.Empty(t, cidr.Problem(many))
	assert.Contains(t, cidr.Problem(append(many, many[0])), "more than 50")
}

func TestNetwork(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.7": "192.0.2.0/24", "::ffff:192.0.2.7": "192.0.2.0/24", "2001:db8:1:2ff::1": "2001:db8:1:200::/56",
		"fe80::1%eth0": "fe80::/56", "": "invalid Prefix",
	} {
		a, _ := netip.ParseAddr(addr)
		assert.Equal(t, want, cidr.Network(a).String(), addr)
	}
}
