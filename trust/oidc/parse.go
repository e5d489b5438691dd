package oidc

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/npmauth/npmauth/internal/strictjson"
)

// algorithms are those that are accepted. Each goes with one type of key.
var algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.ES256}

// refused are the parameters of a header that change what is signed or by whose key, or say that what is signed
// is not claims. Others are ignored (RFC 7515, section 4), as x5t, which GitHub sends.
var refused = []string{"crit", "b64", "jku", "jwk", "x5u", "x5c", "cty", "enc", "zip"}

// A compact is a token that was taken apart. Nothing of it is verified.
type compact struct {
	text      string
	algorithm string
	keyID     string
	payload   []byte
	claims    map[string]json.RawMessage
}

// parse takes a token apart, if all of it has one meaning.
func parse(text string) (*compact, error) {
	c, err := unpack(text)
	if err != nil {
		return nil, err
	}
	var ok bool
	if c.claims, ok = object(c.payload); !ok {
		return nil, &InvalidError{Reason: ReasonPayload}
	}
	return c, nil
}

// unpack takes the JWS that a token is apart, whatever its payload is.
func unpack(text string) (*compact, error) {
	invalid := func(reason Reason) (*compact, error) { return nil, &InvalidError{Reason: reason} }
	if len(text) > MaxToken { // before anything reads it
		return invalid(ReasonSize)
	}
	if strings.Count(text, ".") != 2 {
		return invalid(ReasonEncoding)
	}
	var parts [3][]byte
	for n, part := range strings.Split(text, ".") {
		data, ok := decode(part)
		if !ok || len(data) == 0 {
			return invalid(ReasonEncoding)
		}
		parts[n] = data
	}
	c := &compact{text: text, payload: parts[1]}
	header, ok := object(parts[0])
	if !ok {
		return invalid(ReasonHeader)
	}
	for _, name := range refused {
		if _, ok := header[name]; ok {
			return invalid(ReasonHeader)
		}
	}
	if typ, ok := header["typ"]; ok {
		if name, ok := str(typ); !ok || !strings.EqualFold(name, "JWT") { // no access token, say
			return invalid(ReasonHeader)
		}
	}
	if c.algorithm, ok = str(header["alg"]); !ok || !accepted(c.algorithm) {
		return invalid(ReasonAlgorithm)
	}
	if c.keyID, ok = str(header["kid"]); !ok || c.keyID == "" || len(c.keyID) > MaxID {
		return invalid(ReasonHeader)
	}
	return c, nil
}

func accepted(algorithm string) bool {
	return slices.Contains(algorithms, jose.SignatureAlgorithm(algorithm))
}

// decode reads base64url without padding. Each value has one text: the decoder of the standard library
// skips line ends.
func decode(text string) ([]byte, bool) {
	if strings.ContainsAny(text, "\r\n") {
		return nil, false
	}
	data, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return data, err == nil
}

// object reads a JSON object, if it has one meaning for every reader, and so has all that is in it.
func object(data []byte) (map[string]json.RawMessage, bool) {
	var fields map[string]json.RawMessage
	err := strictjson.Unmarshal(data, &fields)
	return fields, err == nil && fields != nil
}

// str reads a JSON string. Anything else, and what is not there, is not one.
func str(raw json.RawMessage) (string, bool) {
	if len(raw) == 0 || raw[0] != '"' {
		return "", false
	}
	var text string
	err := json.Unmarshal(raw, &text)
	return text, err == nil
}
