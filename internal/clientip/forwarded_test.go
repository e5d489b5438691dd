package clientip_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/clientip"
	"github.com/npmauth/npmauth/internal/fuzzbound"
)

// proxies are those of the tests, which write Forwarded.
var proxies = clientip.Proxies{
	Trusted:   []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/64")},
	Forwarded: true,
}

func TestForwarded(t *testing.T) { // AU-36
	const proxy = "192.0.2.1:80"
	none, unknown := []string(nil), ""
	for _, tt := range []struct {
		name, remote string
		forwarded    []string
		want         string
	}{
		{"direct", "203.0.113.9:1234", none, "203.0.113.9"},
		{"spoofed", "203.0.113.9:1234", []string{"for=10.0.0.1"}, "203.0.113.9"},
		{"proxied", proxy, []string{"for=203.0.113.9"}, "203.0.113.9"},
		{"no header", proxy, none, "192.0.2.1"},
		{"empty header", proxy, []string{" "}, "192.0.2.1"},
		{"empty lines", proxy, []string{"", ""}, unknown},
		{"all pairs", proxy, []string{"for=203.0.113.9;proto=https;by=192.0.2.1;host=npm.acme.test"}, "203.0.113.9"},
		{"in another order", proxy, []string{"proto=https;FOR=203.0.113.9"}, "203.0.113.9"},
		{"a pair that nobody knows", proxy, []string{"secret=_x;for=203.0.113.9"}, "203.0.113.9"},
		{"empty pairs", proxy, []string{";for=203.0.113.9;;proto=https;"}, "203.0.113.9"},
		{"white space", proxy, []string{"\tfor=203.0.113.9 ; proto=https "}, "203.0.113.9"},

		{"elements", proxy, []string{"for=10.0.0.1, for=203.0.113.9"}, "203.0.113.9"},
		{"elements of proxies", proxy, []string{"for=10.0.0.1,for=203.0.113.9,for=192.0.2.7"}, "203.0.113.9"},
		{"lines", proxy, []string{"for=10.0.0.1", "for=203.0.113.9;proto=http", "for=192.0.2.7"}, "203.0.113.9"},
		{"order of lines", proxy, []string{"for=203.0.113.9", "for=10.0.0.1"}, "10.0.0.1"},
		{"all trusted", proxy, []string{`for=192.0.2.9, for="192.0.2.7:1"`}, "192.0.2.9"},

		{"quoted", proxy, []string{`for="203.0.113.9"`}, "203.0.113.9"},
		{"quoted in part with backslashes", proxy, []string{`for="203.0.\113\.9"`}, "203.0.113.9"},
		{"port", proxy, []string{`for="203.0.113.9:47011"`}, "203.0.113.9"},
		{"hidden port", proxy, []string{`for="203.0.113.9:_gaz.o-n_k"`}, "203.0.113.9"},
		{"IPv6", proxy, []string{`for="[2001:db8:cafe::17]"`}, "2001:db8:cafe::17"},
		{"IPv6 and port", proxy, []string{`For="[2001:db8:cafe::17]:4711"`}, "2001:db8:cafe::17"},
		{"IPv6, mapped", proxy, []string{`for="[::ffff:10.1.2.3]:1"`}, "10.1.2.3"},
		{"a proxy by IPv6", proxy, []string{`for=203.0.113.9, for="[2001:db8::2]:443"`}, "203.0.113.9"},
		{"a comma in quotes", proxy, []string{`for=10.0.0.1, for=203.0.113.9;by="a, for=10.0.0.2"`}, "203.0.113.9"},
		{"a semicolon in quotes", proxy, []string{`by=";for=10.0.0.2;";for=203.0.113.9`}, "203.0.113.9"},
		{"quotes in quotes", proxy, []string{`for=203.0.113.9;by="\", for=10.0.0.1;x=\""`}, "203.0.113.9"},
		{"a backslash at the end of quotes", proxy, []string{`for=10.0.0.1, for=203.0.113.9;by="\\"`}, "203.0.113.9"},

		// What the client has written before it is not read.
		{"quote that was left open", proxy, []string{`for=10.0.0.1;by=", for=203.0.113.9`}, "203.0.113.9"},
		{"quote that was left open, before quotes", proxy, []string{`for=10.0.0.1;by=", for="203.0.113.9:1";by="x"`}, "203.0.113.9"},
		{"quote that was left open in a line", proxy, []string{`for=10.0.0.1;by="`, `for="[2001:db8:cafe::17]"`}, "2001:db8:cafe::17"},
		{"quote that closes in another pair", proxy, []string{`for=x;by=", for=203.0.113.9;host=",for=10.0.0.1;b="`}, "203.0.113.9"},
		{"backslash at the end", proxy, []string{`for="\, for=203.0.113.9`}, "203.0.113.9"},
		{"garbage", proxy, []string{`,;=,"" , for=203.0.113.9`}, "203.0.113.9"},

		{"no for", proxy, []string{"proto=https"}, unknown},
		{"no for in the last", proxy, []string{"for=10.0.0.1, proto=https"}, unknown},
		{"unknown", proxy, []string{"for=unknown"}, unknown},
		{"unknown, before", proxy, []string{"for=unknown, for=203.0.113.9"}, "203.0.113.9"},
		{"hidden", proxy, []string{"for=_SEVKISEK"}, unknown},
		{"hidden and port", proxy, []string{`for="_hidden:1"`}, unknown},
		{"twice", proxy, []string{"for=10.0.0.1;for=203.0.113.9"}, unknown},
		{"twice, in other letters", proxy, []string{"for=10.0.0.1;For=10.0.0.1"}, unknown},
		{"twice, behind an empty pair", proxy, []string{"for=10.0.0.1;;for=203.0.113.9"}, unknown},
		{"another pair twice", proxy, []string{"for=10.0.0.1;by=a;by=b"}, unknown},
		{"empty element", proxy, []string{"for=203.0.113.9,"}, unknown},
		{"empty value", proxy, []string{"for="}, unknown},
		{"empty quotes", proxy, []string{`for=""`}, unknown},
		{"no value", proxy, []string{"for"}, unknown},
		{"no name", proxy, []string{"=203.0.113.9"}, unknown},
		{"plain, as X-Forwarded-For has it", proxy, []string{"203.0.113.9"}, unknown},
		{"white space around the equals sign", proxy, []string{"for = 203.0.113.9"}, unknown},
		{"white space behind the equals sign", proxy, []string{"for= 203.0.113.9"}, unknown},
		{"port without quotes", proxy, []string{"for=203.0.113.9:1"}, unknown},
		{"IPv6 without quotes", proxy, []string{"for=[2001:db8:cafe::17]"}, unknown},
		{"IPv6 without brackets", proxy, []string{`for="2001:db8:cafe::17"`}, unknown},
		{"IPv6 with a zone", proxy, []string{`for="[fe80::1%eth0]"`}, unknown},
		{"IPv4 in brackets", proxy, []string{`for="[203.0.113.9]"`}, unknown},
		{"IPv4 in brackets, and port", proxy, []string{`for="[203.0.113.9]:1"`}, unknown},
		{"brackets that are not closed", proxy, []string{`for="[2001:db8:cafe::17"`}, unknown},
		{"text behind the brackets", proxy, []string{`for="[2001:db8:cafe::17]1"`}, unknown},
		{"no port behind the colon", proxy, []string{`for="203.0.113.9:"`}, unknown},
		{"port of six digits", proxy, []string{`for="203.0.113.9:100000"`}, unknown},
		{"hidden port without a name", proxy, []string{`for="203.0.113.9:_"`}, unknown},
		{"hidden port with a space", proxy, []string{`for="203.0.113.9:_a b"`}, unknown},
		{"white space in quotes", proxy, []string{`for=" 203.0.113.9"`}, unknown},
		{"text behind the quotes", proxy, []string{`for="203.0.113.9"x`}, unknown},
		{"quotes within", proxy, []string{`for=203"."0.113.9`}, unknown},
		{"quotes that are not closed", proxy, []string{`for="203.0.113.9`}, unknown},
		{"a backslash that ends it", proxy, []string{`for="203.0.113.9\`}, unknown},
		{"leading zeros", proxy, []string{"for=010.0.0.1"}, unknown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := http.Header{"Forwarded": tt.forwarded}
			h.Set("X-Forwarded-For", "10.9.9.9") // which nobody trusted has written
			h.Set("X-Real-IP", "10.9.9.9")
			var want netip.Addr
			if tt.want != unknown {
				want = netip.MustParseAddr(tt.want)
			}
			assert.Equal(t, want, clientip.From(tt.remote, h, proxies))
		})
	}
}

// hops is what reading a header may take.
var hops = fuzzbound.Bounds{Memory: fuzzbound.Limit{Base: 2 << 10, PerByte: 32}}

// Whatever a client sends, in the same line or in one of its own, the last element is the proxy's,
// whatever that has to quote.
func FuzzForwarded(f *testing.F) {
	for _, client := range []string{"", "for=10.0.0.1", `for="`, `for=10.0.0.1;by="`, `"\`, `,;="`, `for=x;by=\"`, `for=10.0.0.1;by="ab\"c";a=b`, "10.0.0.7,10.0.0.8"} {
		for _, host := range []string{"npm.acme.test", "", `"`, `\`, ",for=10.0.0.1;b=", `a", for=10.0.0.1;b="`} {
			f.Add(client, host)
		}
	}
	const peer = "192.0.2.1:443"
	from := func(lines ...string) netip.Addr {
		return clientip.From(peer, http.Header{"Forwarded": lines}, proxies)
	}
	f.Fuzz(func(t *testing.T, client, host string) {
		fuzzbound.Check(t, client, hops, func(client string) int { from(client); return 0 })
		quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(host) + `"`
		for own, want := range map[string]string{
			"for=203.0.113.9;host=" + quoted:                           "203.0.113.9",
			"host=" + quoted + `;proto=https;for="[2001:db8:1::5]:99"`: "2001:db8:1::5",
			`for="203.0.113.9:_x";host=` + quoted + `;by="_y"`:         "203.0.113.9",
		} {
			require.Equal(t, want, from(client+", "+own).String(), "%q", own)
			require.Equal(t, want, from(client, own).String(), "%q", own)
			require.Equal(t, want, from(client+", "+own, `for=192.0.2.7;host=`+quoted).String(), "%q", own)
		}
		// And by itself it makes a client of its own, or an unknown one, and never a panic.
		if addr := from(client); addr.IsValid() {
			require.Equal(t, addr, addr.Unmap().WithZone(""))
		}
	})
}

// Likewise X-Forwarded-For, whose entries have no quotes.
func FuzzFrom(f *testing.F) {
	for _, client := range []string{"", "10.0.0.1", "10.0.0.1:99", "[::1]:1", "[::1", "fe80::1%eth0", "unknown,", `"`, "0:91\xdez\xde#X\xde\xde"} {
		f.Add(client)
	}
	plain := clientip.Proxies{Trusted: proxies.Trusted}
	from := func(lines ...string) netip.Addr {
		return clientip.From("192.0.2.1:443", http.Header{"X-Forwarded-For": lines}, plain)
	}
	f.Fuzz(func(t *testing.T, client string) {
		fuzzbound.Check(t, client, fuzzbound.Bounds{Memory: fuzzbound.Limit{Base: 8 << 10, PerByte: 1}}, func(client string) int { from(client); return 0 })
		for own, want := range map[string]string{"203.0.113.9": "203.0.113.9", "203.0.113.9:99": "203.0.113.9", "[2001:db8:1::5]:99": "2001:db8:1::5"} {
			require.Equal(t, want, from(client+", "+own).String())
			require.Equal(t, want, from(client, own, "192.0.2.7:1").String())
		}
		if addr := from(client); addr.IsValid() {
			require.Equal(t, addr, addr.Unmap().WithZone(""))
			require.Equal(t, addr, from(addr.String()))
		}
	})
}
