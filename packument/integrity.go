package packument

import (
	"encoding/base64"
	"encoding/hex"
	"strings"

	"github.com/npmauth/npmauth/internal/strictjson"
)

// An algorithm is a hash algorithm that npm's clients use for tarballs. A later one is
// stronger.
type algorithm int

const (
	sha1Sum algorithm = iota
	sha256Sum
	sha384Sum
	sha512Sum
	algorithms
)

// The names of the algorithms, and the bytes of their sums.
var (
	algorithmNames = [algorithms]string{"sha1", "sha256", "sha384", "sha512"}
	sumSizes       = [algorithms]int{20, 32, 48, 64}
)

// A statement is the hashes of the tarball in a manifest's dist.
type statement struct {
	integrity string    // dist.integrity, if it has a sum of a known algorithm
	strongest algorithm // of those that it has
	sums      []string  // of the strongest one, each as bytes; any of them may match
	shasum    string    // dist.shasum as bytes; "" if there is none
}

// String returns the statement as Subresource Integrity text, "" if there is none.
func (s *statement) String() string {
	switch {
	case s.integrity != "":
		return s.integrity
	case s.shasum != "":
		return "sha1-" + base64.StdEncoding.EncodeToString([]byte(s.shasum))
	}
	return ""
}

var (
	errIntegrity = refuse("the version's dist.integrity is not Subresource Integrity text, which is sha512- and the hash in base64")
	errShasum    = refuse("the version's dist.shasum is not a SHA-1 hash in 40 hexadecimal digits")
)

// read reads a field of dist.
func (s *statement) read(e strictjson.Event, key string) error {
	switch {
	case key == "integrity":
		if e.Kind != strictjson.String || e.Long || !s.parse(e.Text) {
			return errIntegrity
		}
	case key == "shasum":
		sum, err := hex.DecodeString(e.Text)
		if e.Kind != strictjson.String || e.Long || err != nil || len(sum) != sumSizes[sha1Sum] {
			return errShasum
		}
		s.shasum = string(sum)
	case strings.EqualFold(key, "integrity"), strings.EqualFold(key, "shasum"):
		return errCase
	}
	return nil
}

// parse reads Subresource Integrity text (https://www.w3.org/TR/SRI/, section 3.5): one or more
// of <algorithm>-<base64>?<options>, of which those of the strongest algorithm count. An
// unknown algorithm is skipped, as by clients.
func (s *statement) parse(text string) bool {
	tokens := strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" \t\r\n\f", r) })
	for _, token := range tokens {
		expression, _, _ := strings.Cut(token, "?")
		name, value, _ := strings.Cut(expression, "-")
		if name == "" || value == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return false
		}
		if strings.ContainsFunc(name, func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') }) {
			return false
		}
		for a, known := range algorithmNames {
			if name != known {
				continue
			}
			sum, err := base64.StdEncoding.Strict().DecodeString(value)
			if err != nil || len(sum) != sumSizes[a] {
				return false
			}
			s.add(algorithm(a), string(sum))
		}
	}
	if s.sums != nil {
		s.integrity = text
	}
	return len(tokens) > 0
}

func (s *statement) add(a algorithm, sum string) {
	if s.sums != nil && a < s.strongest {
		return
	}
	if a > s.strongest {
		s.sums = nil
	}
	s.strongest, s.sums = a, append(s.sums, sum)
}
