package trust

import (
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"github.com/npmauth/npmauth/internal/strictjson"
)

// Claims are the claims of an ID token by their names, each as it was written.
type Claims map[string]json.RawMessage

// ParseClaims reads the payload of an ID token. It refuses what two readers could understand differently: a name
// that is there twice, also within a claim, text that is not UTF-8, and data after the end. Names that
// differ in case are different names.
func ParseClaims(payload []byte) (Claims, error) {
	s := strictjson.NewScanner(strictjson.Limits{Depth: 16, Text: 1}, func(strictjson.Event) error { return nil })
	if _, err := s.Write(payload); err != nil {
		return nil, fmt.Errorf("trust: claims: %w", err)
	}
	if err := s.Close(); err != nil {
		return nil, fmt.Errorf("trust: claims: %w", err)
	}
	var c Claims
	if err := json.Unmarshal(payload, &c); err != nil || c == nil { // null
		return nil, fmt.Errorf("trust: claims: not an object")
	}
	return c, nil
}

// Text returns a claim that is a string. It reports false for one that is absent, and for any other type:
// a number is not its text.
func (c Claims) Text(name string) (string, bool) {
	raw := c[name]
	if len(raw) == 0 || raw[0] != '"' || !utf8.Valid(raw) {
		return "", false
	}
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return "", false
	}
	return s, true
}

// texts returns a claim that is an array of strings.
func (c Claims) texts(name string) ([]string, bool) {
	raw := c[name]
	if len(raw) == 0 || raw[0] != '[' {
		return nil, false
	}
	var parts []json.RawMessage
	if json.Unmarshal(raw, &parts) != nil {
		return nil, false
	}
	list := make([]string, 0, len(parts))
	for _, part := range parts {
		s, ok := Claims{"": part}.Text("")
		if !ok {
			return nil, false
		}
		list = append(list, s)
	}
	return list, true
}

// has reports whether the claim is there, be it null.
func (c Claims) has(name string) bool {
	_, ok := c[name]
	return ok
}
