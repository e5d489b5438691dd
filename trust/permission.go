package trust

import (
	"fmt"

	"github.com/npmauth/npmauth/protocol"
)

// Permissions are what a publisher may do with its package. The zero value permits nothing and is not valid.
type Permissions uint8

// The permissions.
const (
	CreatePackage       Permissions = 1 << iota // npm publish, and npm stage publish
	CreateStagedPackage                         // npm stage publish
	SetDistTag                                  // npm dist-tag; the word is ours, and npm trust list prints it as it is
	Deprecate                                   // npm deprecate and npm undeprecate; the word is ours, too
)

var permissionWords = []string{"createPackage", "createStagedPackage", "setDistTag", "deprecate"}

var permissionVerbs = []protocol.Verbs{protocol.VerbPublish | protocol.VerbStage, protocol.VerbStage, protocol.VerbDistTag, protocol.VerbDeprecate}

// noPermission is what npmjs.com answers.
const noPermission = "permissions is required and must contain at least one valid route"

// ParsePermissions returns the permissions of npm's words. No word, an unknown and a repeated one are errors.
func ParsePermissions(list []string) (Permissions, error) {
	var p Permissions
	for _, word := range list {
		bit := Permissions(0)
		for i, w := range permissionWords {
			if w == word {
				bit = 1 << i
			}
		}
		if bit == 0 {
			return 0, &InvalidError{noPermission}
		}
		if p&bit != 0 {
			return 0, &InvalidError{"permissions has a word twice."}
		}
		p |= bit
	}
	if p == 0 {
		return 0, &InvalidError{noPermission}
	}
	return p, nil
}

// valid reports whether p has a permission, and no bit that is none.
func (p Permissions) valid() bool { return p != 0 && p < 1<<len(permissionWords) }

// Words returns the permissions in npm's words, in the order of the constants.
func (p Permissions) Words() []string {
	var list []string
	for i, w := range permissionWords {
		if p&(1<<i) != 0 {
			list = append(list, w)
		}
	}
	return list
}

// Verbs returns the verbs of a grant that is created for the publisher. It is an error if p is not valid: the
// zero [protocol.Verbs] narrow nothing and must not come of a publisher without permissions.
//
// Who may publish may stage as well, as on npmjs.com. None of the permissions is that of creating a
// package's first version.
func (p Permissions) Verbs() (protocol.Verbs, error) {
	if !p.valid() {
		return 0, fmt.Errorf("trust: Permissions(%d) has no verbs", uint8(p))
	}
	var v protocol.Verbs
	for i, verbs := range permissionVerbs {
		if p&(1<<i) != 0 {
			v |= verbs
		}
	}
	return v, nil
}
