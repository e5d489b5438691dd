package header_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/npmauth/npmauth/internal/header"
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
