package protocol

import (
	"fmt"
	"strings"

	"github.com/npmauth/npmauth/internal/words"
)

// Verbs narrow a [Grant] to a part of read-write. The zero value narrows nothing: it is npm's
// read-write. npmjs.com has no verbs, which its users have requested.
//
// A grant with verbs changes neither maintainers nor settings.
type Verbs uint8

// The verbs.
const (
	VerbPublish   Verbs = 1 << iota // new versions of packages that exist
	VerbStage                       // versions that a person approves
	VerbDistTag                     // dist-tags apart from those of a publish
	VerbDeprecate                   // deprecation messages
	VerbUnpublish                   // removing versions and packages
	VerbCreate                      // the first version of a package; not with OnePackage
)

var verbWords = []string{"publish", "stage", "dist-tag", "deprecate", "unpublish", "create"}

// String returns the verbs with plus signs between them, "publish+dist-tag", or "all".
func (v Verbs) String() string {
	if v == 0 {
		return "all"
	}
	if v >= 1<<len(verbWords) {
		return fmt.Sprintf("Verbs(%d)", uint8(v))
	}
	var has []string
	for i, w := range verbWords {
		if v&(1<<i) != 0 {
			has = append(has, w)
		}
	}
	return strings.Join(has, "+")
}

// MarshalText returns String, or an error for bits that are no verb.
func (v Verbs) MarshalText() ([]byte, error) {
	if v >= 1<<len(verbWords) {
		return nil, fmt.Errorf("protocol: Verbs(%d) has no name", uint8(v))
	}
	return []byte(v.String()), nil
}

// UnmarshalText reads what String writes. An unknown or repeated word is an error, and so is an
// empty text: a restriction must not be lost.
func (v *Verbs) UnmarshalText(text []byte) error {
	*v = 0
	if string(text) == "all" {
		return nil
	}
	var got Verbs
	for word := range strings.SplitSeq(string(text), "+") {
		i, err := words.List(verbWords).Parse([]byte(word), "verb")
		if err != nil {
			return err
		}
		if got&(1<<i) != 0 {
			return fmt.Errorf("protocol: verb %q twice", word)
		}
		got |= 1 << i
	}
	*v = got
	return nil
}
