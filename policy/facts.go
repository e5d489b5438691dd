package policy

import (
	"slices"

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

var rightWords = words.Set{Empty: "none", Bits: words.List{"read", "write", "admin"}}

// Has reports whether r includes every right of want. Nothing includes the empty want.
func (r Rights) Has(want Rights) bool { return want != 0 && r&want == want }

// String returns the rights with plus signs between them, "read+write", or "none".
func (r Rights) String() string { return rightWords.Text(uint8(r), "Rights") }

// MarshalText returns String, or an error for bits that are no right.
func (r Rights) MarshalText() ([]byte, error) { return rightWords.Marshal(uint8(r), "Rights") }

// UnmarshalText reads what String writes. An unknown or repeated word is an error.
func (r *Rights) UnmarshalText(text []byte) error {
	got, err := rightWords.Parse(text, "right")
	*r = Rights(got)
	return err
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
	// Evidence is that of the newest version, by when it was published. No rule of NPM reads it:
	// [EvidenceStays] does.
	Evidence Evidence
}

// HasLabel reports whether label is one of Labels.
func (f *Facts) HasLabel(label string) bool { return slices.Contains(f.Labels, label) }

// Settings is what the maintainers of a package set for it. Package settings stores it under the
// package's ID. The zero value is npm's default: a second factor or a token that bypasses it.
type Settings struct {
	Publish protocol.PublishMode
	// KeysOnly reports whether a security key is demanded of people: each write to the package, and
	// each change of who may do what with it, takes one, whatever Publish and the mode of the account
	// say. In a [Request] it is also what those who administer the package's scope set for all of
	// its packages, those that are yet to be created included, and with an action on an
	// organization what its owners set. It says nothing about trusted publishers, nor about tokens
	// that bypass the second factor: Publish does, with [protocol.FactorOnly].
	KeysOnly bool
	// PublishersOnly reports whether only trusted publishers may publish new versions of the package, and
	// neither people nor their tokens. Everything else stays with people: dist-tags, deprecating and
	// unpublishing. In a [Request] it is also what was set for the package's scope. Only
	// a pending trusted publisher creates a package in a scope where it is set.
	PublishersOnly bool
	// StageOnly reports whether versions are published by approving staged ones and in no other way, also
	// by trusted publishers. In a [Request] it is also what was set for the package's scope, and so are the
	// next two.
	StageOnly bool
	// Approvals is how many people must approve a staged version before it is published. Zero means one; the
	// most that can be set is [MaxApprovals].
	Approvals uint8
	// OtherApprover reports whether who staged a version cannot approve it.
	OtherApprover bool
}

// MaxApprovals is how many people must approve a staged version at most: each of them is judged anew in the
// commit of the last one's approval, which has room for a bounded number of rows.
const MaxApprovals = 5

// Needed returns how many people must approve a staged version.
func (s Settings) Needed() int { return max(1, int(s.Approvals)) }

// Staged is what is known of the staged version that a request is about. The zero value is none.
type Staged struct {
	By        protocol.UserID   // who staged it; "" is a trusted publisher
	Approvals []protocol.UserID // who has approved it so far. They must not be changed
}
