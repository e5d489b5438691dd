package header_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/npmauth/npmauth/internal/fuzzbound"
	"github.com/npmauth/npmauth/internal/header"
	"github.com/stretchr/testify/require"
)

func TestSingle(t *testing.T) {
	for want, lines := range map[string][][]string{
		"":         {nil, {""}, {"legacy", "legacy"}, {"", "legacy"}, {"legacy", ""}, {"legacy", "web"}},
		"legacy":   {{"legacy"}},
		"web, web": {{"web, web"}},
	} {
		for _, l := range lines {
			assert.Equal(t, want, header.Single(http.Header{"Npm-Auth-Type": l}, "Npm-Auth-Type"), "%q", l)
		}
	}
}

func TestMediaType(t *testing.T) {
	const js, form = "application/json", "application/x-www-form-urlencoded"
	for want, lines := range map[string][][]string{
		js: {{js}, {"Application/JSON"}, {js + "; charset=utf-8"}, {" " + js + " ;charset=utf-8"}},
		"": {nil, {""}, {js, js}, {js, form}, {form, js}, {"", js}, {js, ""}, {js + ", " + js}, {js + "; charset"}, {js + " " + js}, {"/"}},
	} {
		for _, l := range lines {
			assert.Equal(t, want, header.MediaType(http.Header{"Content-Type": l}), "%q", l)
		}
	}
}

func TestEncoded(t *testing.T) { // AU-52
	for want, lines := range map[bool][][]string{
		false: {nil, {""}, {" \t"}, {"identity"}, {"IDENTITY"}, {" identity\t"}, {"identity, identity"}, {"", "identity"}, {","}, {"identity,"}},
		true: {
			{"gzip"}, {"GZIP"}, {"x-gzip"}, {"br"}, {"*"}, {"identity;q=1"}, {"identityx"}, {"none"}, {`"identity"`}, {"identity gzip"},
			{"identity, gzip"}, {"gzip, identity"}, {",gzip"}, {"gzip,"}, {"identity,\tgzip"},
			{"identity", "gzip"}, {"", "gzip"}, {"gzip", ""}, {"gzip", "identity"}, {"identity", "identity", "deflate"},
		},
	} {
		for _, l := range lines {
			assert.Equal(t, want, header.Encoded(http.Header{"Content-Encoding": l}), "%q", l)
		}
	}
}

// What is read is one thing, or nothing.
func FuzzHeader(f *testing.F) {
	for _, seed := range []string{
		"application/json; charset=utf-8", "APPLICATION/x; a=b; a*0=c; a*1*=%20", `text/plain; a="\"\\"`, "identity, gzip", " ,identity\t", "a/b; c*=utf-8'en'%e4", "a*0*=''",
	} {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, line, other string) {
		fuzzbound.Check(t, line, fuzzbound.Bounds{Memory: fuzzbound.Limit{Base: 4 << 10, PerByte: 256}, Work: fuzzbound.Limit{PerByte: 1}}, func(line string) int {
			h := http.Header{"Content-Type": {line}, "Content-Encoding": {line, other}}
			header.Encoded(h)
			return len(header.MediaType(h))
		})
		kind := header.MediaType(http.Header{"Content-Type": {line}})
		require.Equal(t, strings.ToLower(kind), kind)
		require.NotContains(t, kind, ";")
		require.Empty(t, header.MediaType(http.Header{"Content-Type": {line, other}}))
		encoded := func(lines ...string) bool { return header.Encoded(http.Header{"Content-Encoding": lines}) }
		require.Equal(t, encoded(line) || encoded(other), encoded(line, other))
		require.Equal(t, encoded(line, other), encoded(line+","+other), "lines are one list")
	})
}
