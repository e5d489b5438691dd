package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/npmauth/npmauth/internal/words"
	"github.com/npmauth/npmauth/protocol"
)

// Rights are a user's live rights on a package: the host says them at each
// request. The zero value grants nothing.
type Rights uint8

// The rights. Write includes nothing of Read: a host sets both.
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

// Facts is what the host says of a package and of the asking user's part in it.
// The zero value is a package that does not exist and may not be created.
//
// A host that serves a package from elsewhere on first request (a mirror) gives it
// an ID from the start: without one, nobody reads it.
type Facts struct {
	ID        protocol.PackageID // "" while the package does not exist; of the fields below only MayCreate and RequireFactor count then
	Private   bool               // reading needs RightRead
	Rights    Rights             // of the asking user; nothing for the anonymous
	MayCreate bool               // the asking user may create a package of this name; counts only while there is none
	// RequireFactor is the rule of the package's organization that its members have a
	// second factor. The Rights and the MayCreate of a user who has none count for nothing
	// while it holds. What is no person, a service account or a publisher, has none to have.
	RequireFactor bool
	// Labels are the host's own for its own rules: "critical", "two-maintainers". No rule of NPM
	// reads them, and unlike Rights they are not of the asking user. They count while the package
	// does not exist, too, and must not be changed once they were returned.
	Labels []string
}

// HasLabel reports whether the host gave the package the label.
func (f *Facts) HasLabel(label string) bool { return slices.Contains(f.Labels, label) }

// Settings is what a package's maintainers decided about it. It is kept by
// npmauth under the package's ID.
type Settings struct {
	Publish protocol.PublishMode
}
