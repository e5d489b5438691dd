package protocol

import "github.com/npmauth/npmauth/internal/words"

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

var verbWords = words.Set{Empty: "all", Bits: words.List{"publish", "stage", "dist-tag", "deprecate", "unpublish", "create"}}

// String returns the verbs with plus signs between them, "publish+dist-tag", or "all".
func (v Verbs) String() string { return verbWords.Text(uint8(v), "Verbs") }

// MarshalText returns String, or an error for bits that are no verb.
func (v Verbs) MarshalText() ([]byte, error) { return verbWords.Marshal(uint8(v), "Verbs") }

// UnmarshalText reads what String writes. An unknown or repeated word is an error, and so is an
// empty text: a restriction must not be lost.
func (v *Verbs) UnmarshalText(text []byte) error {
	got, err := verbWords.Parse(text, "verb")
	*v = Verbs(got)
	return err
}
