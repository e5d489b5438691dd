package trust

import "github.com/npmauth/npmauth/internal/words"

// A Kind says what the tokens of an issuer contain. The zero Kind is unknown and matches nothing.
type Kind uint8

// The kinds. The first three are types of npm's.
const (
	KindUnknown  Kind = iota
	KindGitHub        // GitHub Actions, also of GitHub Enterprise
	KindGitLab        // GitLab.com or a GitLab of one's own
	KindCircleCI      // an organization of CircleCI
	KindOIDC          // any issuer, by the subject
	KindCustom        // any issuer, by the claims that Issuer.Claims names
)

var kindWords = words.List{KindUnknown: "unknown", KindGitHub: "github", KindGitLab: "gitlab", KindCircleCI: "circleci", KindOIDC: "oidc", KindCustom: "custom"}

// String returns the kind's text, which is the type in npm's JSON: unknown, github, gitlab, circleci, oidc or custom.
func (k Kind) String() string { return kindWords.Text(uint8(k), "Kind") }

// MarshalText returns String, or an error for a value that is no kind.
func (k Kind) MarshalText() ([]byte, error) { return kindWords.Marshal(uint8(k), "trust: Kind") }

// UnmarshalText reads what String writes.
func (k *Kind) UnmarshalText(text []byte) error {
	v, err := kindWords.Parse(text, "kind of issuer")
	*k = Kind(v)
	return err
}
