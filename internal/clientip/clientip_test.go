package clientip_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/npmauth/npmauth/internal/clientip"
	"github.com/npmauth/npmauth/internal/fuzzbound"
)

func TestFrom(t *testing.T) {
	const proxy = "192.0.2.1:80"
	none, unknown := []string(nil), ""
	for _, tt := range []struct {
		name, remote string
		forwarded    []string
		want         string
	}{
		{"direct", "203.0.113.9:1234", none, "203.0.113.9"},
		{"IP-01 spoofed", "203.0.113.9:1234", []string{"10.0.0.1"}, "203.0.113.9"},
		{"proxied", proxy, []string{"203.0.113.9"}, "203.0.113.9"},
		{"IP-02 chain", proxy, []string{"10.0.0.1, 203.0.113.9"}, "203.0.113.9"},
		{"IP-02 two proxies", proxy, []string{"10.0.0.1, 203.0.113.9,192.0.2.7"}, "203.0.113.9"},
		{"IP-03 lines", proxy, []string{"10.0.0.1", "203.0.113.9", "192.0.2.7"}, "203.0.113.9"},
		{"IP-03 line order", proxy, []string{"203.0.113.9", "10.0.0.1"}, "10.0.0.1"},
		{"all trusted", proxy, []string{"192.0.2.9, 192.0.2.7"}, "192.0.2.9"},
		{"no header", proxy, none, "192.0.2.1"},
		{"empty header", proxy, []string{""}, "192.0.2.1"},
		{"empty entry", proxy, []string{"203.0.113.9,"}, unknown},
		{"empty lines", proxy, []string{"", ""}, unknown},
		{"IP-05 unknown", proxy, []string{"10.0.0.1, unknown"}, unknown},
		{"IP-05 obfuscated", proxy, []string{"_hidden"}, unknown},
		{"AU-36 port", proxy, []string{"10.0.0.1:99"}, "10.0.0.1"},
		{"AU-36 port of a proxy", proxy, []string{"10.0.0.1:99, 192.0.2.7:443"}, "10.0.0.1"},
		{"AU-36 IPv6 and port", proxy, []string{"[2001:db8:1::5]:1"}, "2001:db8:1::5"},
		{"AU-36 IPv6 in brackets", proxy, []string{"[2001:db8:1::5]"}, "2001:db8:1::5"},
		{"AU-36 IPv6, mapped, and port", proxy, []string{"[::ffff:10.1.2.3]:1"}, "10.1.2.3"},
		{"AU-36 IPv6 with a zone and port", proxy, []string{"[fe80::1%eth0]:1"}, "fe80::1"},
		{"AU-36 lines with ports", proxy, []string{"10.0.0.1:1", "203.0.113.9:2", "192.0.2.7:3"}, "203.0.113.9"},
		{"AU-36 IPv6 without brackets has no port", proxy, []string{"2001:db8:1::5:443"}, "2001:db8:1::5:443"},
		{"IP-05 nine groups", proxy, []string{"2001:db8:1:2:3:4:5:6:443"}, unknown},
		{"IP-05 no port behind the colon", proxy, []string{"10.0.0.1:"}, unknown},
		{"IP-05 no port behind the brackets", proxy, []string{"[2001:db8:1::5]:"}, unknown},
		{"IP-05 port of six digits", proxy, []string{"10.0.0.1:100000"}, unknown},
		{"IP-05 port with a sign", proxy, []string{"10.0.0.1:+1"}, unknown},
		{"IP-05 port by name", proxy, []string{"10.0.0.1:https"}, unknown},
		{"IP-05 two ports", proxy, []string{"10.0.0.1:1:2"}, unknown},
		{"IP-05 IPv4 in brackets", proxy, []string{"[10.0.0.1]"}, unknown},
		{"IP-05 IPv4 in brackets, and port", proxy, []string{"[10.0.0.1]:1"}, unknown},
		{"IP-05 half a bracket", proxy, []string{"[2001:db8:1::5"}, unknown},
		{"IP-05 the other half", proxy, []string{"2001:db8:1::5]"}, unknown},
		{"IP-05 quoted", proxy, []string{`"10.0.0.1"`}, unknown},
		{"IP-05 as in Forwarded", proxy, []string{"for=10.0.0.1"}, unknown},
		{"IP-05 white space within", proxy, []string{"10.0.0.1 :1"}, unknown},
		{"white space around", proxy, []string{" \t10.0.0.1\t ,\t203.0.113.9:1 "}, "203.0.113.9"},
		{"a line of white space", proxy, []string{" \t"}, "192.0.2.1"},
		{"a last line that is empty", proxy, []string{"203.0.113.9", ""}, unknown},
		{"IP-05 short", proxy, []string{"10.1"}, unknown},
		{"IP-05 hex", proxy, []string{"0x7f.1"}, unknown},
		{"IP-05 leading zeros", proxy, []string{"010.0.0.1"}, unknown},
		{"IP-05 garbage left of the client", proxy, []string{"unknown, 203.0.113.9"}, "203.0.113.9"},
		{"IP-06 mapped", "[::ffff:10.1.2.3]:1", none, "10.1.2.3"},
		{"IP-06 mapped proxy", "[::ffff:192.0.2.1]:1", []string{"::ffff:10.1.2.3"}, "10.1.2.3"},
		{"IP-08 zone", "[fe80::1%eth0]:1", none, "fe80::1"},
		{"IP-08 zone forwarded", proxy, []string{"fe80::1%eth0"}, "fe80::1"},
		{"IPv6", "[2001:db8::1]:1", []string{"2001:db8:1::5"}, "2001:db8:1::5"},
		{"IP-10 empty", "", []string{"10.0.0.1"}, unknown},
		{"IP-10 unix socket", "@", []string{"10.0.0.1"}, unknown},
		{"IP-10 no port", "192.0.2.1", []string{"10.0.0.1"}, unknown},
		{"IP-12 NAT64", "[64:ff9b::a01:203]:1", none, "64:ff9b::a01:203"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := http.Header{"X-Forwarded-For": tt.forwarded}
			// IP-04: these are nobody's word.
			h.Set("Forwarded", "for=10.9.9.9")
			h.Set("X-Real-IP", "10.9.9.9")
			h.Set("CF-Connecting-IP", "10.9.9.9")
			trusted := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/64")}
			var want netip.Addr
			if tt.want != unknown {
				want = netip.MustParseAddr(tt.want)
			}
			assert.Equal(t, want, clientip.From(tt.remote, h, clientip.Proxies{Trusted: trusted}))
		})
	}
}

func TestFromTrustsNobodyByDefault(t *testing.T) {
	h := http.Header{"X-Forwarded-For": {"10.0.0.1"}}
	assert.Equal(t, netip.MustParseAddr("127.0.0.1"), clientip.From("127.0.0.1:80", h, clientip.Proxies{}))
}

func ExampleFrom() {
	h := http.Header{"X-Forwarded-For": {"10.0.0.1, 203.0.113.9"}}
	fmt.Println(clientip.From("192.0.2.1:4711", h, clientip.Proxies{}))
	fmt.Println(clientip.From("192.0.2.1:4711", h, clientip.Proxies{Trusted: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}}))
	// Output:
	// 192.0.2.1
	// 203.0.113.9
}

// An entry that is longer than any address is unknown, and not quoted in an error either.
func TestLongEntry(t *testing.T) {
	for entry, want := range map[string]string{
		"fe80::1%" + strings.Repeat("z", 120):         "fe80::1", // 128 bytes
		"fe80::1%" + strings.Repeat("z", 121):         "",
		"[fe80::1]:" + strings.Repeat("\xff", 64<<10): "",
	} {
		h := http.Header{"X-Forwarded-For": {entry}}
		got := clientip.From("192.0.2.1:443", h, clientip.Proxies{Trusted: proxies.Trusted})
		assert.Equal(t, want != "", got.IsValid(), "%.20q", entry)
		if got.IsValid() {
			assert.Equal(t, want, got.String())
		}
		fuzzbound.Memory(t, entry, func() int {
			clientip.From("192.0.2.1:443", h, clientip.Proxies{Trusted: proxies.Trusted})
			return 8 << 10
		})
	}
}
