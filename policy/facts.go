package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/npmauth/npmauth/internal/words"
	"github.com/npmauth/npmauth/protocol"
)

// Rights are the rights that a user has on a package at the time of the request, according to the
// host. The zero value is none.
type Rights uint8

// The rights. RightWrite does not include RightRead: a host sets both.
const (
	RightRead  Rights = 1 << iota // read metadata and tarballs
	RightWrite                    // publish, tag, deprecate, unpublish
	RightAdmin                    // maintainers, access, settings
)

var rightWords = []string{"read", "write", "admin"}

// Has reports whether r includes every right of want. Nothing includes the empty want.
func (r Rights) Has(want Rights) bool { return want != 0 && r&want == want }

// String returns the rights with plus signs between them, "read+write", or "none".
func (r Rights) String() string {
	if r == 0 {
		return "none"
	}
	if r >= 1<<len(rightWords) {
		return fmt.Sprintf("Rights(%d)", r)
	}
	var has []string
	for i, w := range rightWords {
		if r&(1<<i) != 0 {
			has = append(has, w)
		}
	}
	return strings.Join(has, "+")
}

// MarshalText returns String, or an error for bits that are no right.
func (r Rights) MarshalText() ([]byte, error) {
	if r >= 1<<len(rightWords) {
		return nil, fmt.Errorf("policy: Rights(%d) has no name", r)
	}
	return []byte(r.String()), nil
}

// UnmarshalText reads what String writes. An unknown or repeated word is an error.
func (r *Rights) UnmarshalText(text []byte) error {
	*r = 0
	if string(text) == "none" {
		return nil
	}
	var got Rights
	for word := range strings.SplitSeq(string(text), "+") {
		i, err := words.List(rightWords).Parse([]byte(word), "right")
		if err != nil {
			return err
		}
		if got&(1<<i) != 0 {
			return fmt.Errorf("policy: right %q twice", word)
		}
		got |= 1 << i
	}
	*r = got
	return nil
}

// Facts is what the host says about a package and about the rights that the request's user has on
// it. The zero value is a package that does not exist and that the user may not create.
//
// A host that fetches a package from another registry on the first request for it (a mirror) must
// return an ID for it from the start: nobody reads a package without one.
type Facts struct {
	ID        protocol.PackageID // empty while the package does not exist; of the other fields only MayCreate, RequireFactor and Labels count then
	Private   bool               // reading needs RightRead
	Rights    Rights             // of the user; none for an anonymous request
	MayCreate bool               // the user may create a package of this name; counts only while there is none
	// RequireFactor reports whether the package's organization requires a second factor of its
	// members. Rights and MayCreate of a user who has none do not count then. It does not apply to
	// service accounts and trusted publishers.
	RequireFactor bool
	// Labels are the host's labels on the package, such as "critical" or "two-maintainers", the
	// same for every user. They are for rules of the host's own: no rule of NPM reads them. They
	// must not be changed once they were returned.
	Labels []string
}

// HasLabel reports whether label is one of Labels.
func (f *Facts) HasLabel(label string) bool { return slices.Contains(f.Labels, label) }

// Settings is what the maintainers of a package set for it. Package settings stores it under the
// package's ID. The zero value is npm's default: a second factor or a token that bypasses it.
type Settings struct {
	Publish protocol.PublishMode
}
