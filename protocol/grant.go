package protocol

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/npmauth/npmauth/internal/words"
)

// A Permission is what a [Grant] allows on its target. The zero value allows nothing.
type Permission uint8

// The permissions, with npm's names.
const (
	NoAccess  Permission = iota // no-access
	ReadOnly                    // read-only
	ReadWrite                   // read-write
	StageOnly                   // read-write-stage-only: read, and stage versions that a person approves
)

var permissionWords = words.List{NoAccess: "no-access", ReadOnly: "read-only", ReadWrite: "read-write", StageOnly: "read-write-stage-only"}

// String returns npm's word.
func (p Permission) String() string { return permissionWords.Text(uint8(p), "Permission") }

// MarshalText returns npm's word, or an error for a number that is no permission.
func (p Permission) MarshalText() ([]byte, error) {
	return permissionWords.Marshal(uint8(p), "Permission")
}

// UnmarshalText reads npm's word exactly. Any other text is an error.
func (p *Permission) UnmarshalText(text []byte) error {
	v, err := permissionWords.Parse(text, "permission")
	*p = Permission(v)
	return err
}

// A Target says what a [Grant] is about. The zero value is nothing.
type Target uint8

// The targets.
const (
	NoTarget    Target = iota
	AllPackages        // every package that the user can access: explicit, never the meaning of an empty list
	OnePackage         // Package
	OneScope           // every package of Scope, future ones too
	OneOrg             // the org's settings, teams and members, named by Scope; never its packages
)

var targetWords = words.List{NoTarget: "none", AllPackages: "all", OnePackage: "package", OneScope: "scope", OneOrg: "org"}

// String returns the target's text: none, all, package, scope or org.
func (t Target) String() string { return targetWords.Text(uint8(t), "Target") }

// MarshalText returns the target's text, or an error for a number that is no target.
func (t Target) MarshalText() ([]byte, error) { return targetWords.Marshal(uint8(t), "Target") }

// UnmarshalText reads a target's text. Any other text is an error.
func (t *Target) UnmarshalText(text []byte) error {
	v, err := targetWords.Parse(text, "target")
	*t = Target(v)
	return err
}

// A Grant is one permission on one target. A credential has a list of grants, and each is
// evaluated alone: a wide read does not widen a narrow write. An empty list grants nothing.
//
// A grant never allows more than its user may do at the moment of the request; see
// policy.Request.Rights.
type Grant struct {
	Target     Target
	Package    PackageName // with OnePackage
	Scope      string      // with OneScope and OneOrg, without @
	Permission Permission
	Verbs      Verbs // with ReadWrite on packages: what it is narrowed to; zero means that it is not
}

// ErrGrant is wrapped by every error of [Grant.Validate] and of a grant's JSON.
var ErrGrant = errors.New("protocol: invalid grant")

// Validate returns an error that wraps [ErrGrant] unless g has a known target, exactly the
// fields of that target, and a permission that npm has for it. There are no patterns: no name
// has a *.
func (g Grant) Validate() error {
	if int(g.Permission) >= len(permissionWords) {
		return fmt.Errorf("%w: unknown permission", ErrGrant)
	}
	var named, scoped bool
	switch g.Target {
	case AllPackages:
	case OnePackage:
		named = true
		if g.Package.Validate() != nil {
			return fmt.Errorf("%w: %q is no package name", ErrGrant, g.Package)
		}
	case OneScope, OneOrg:
		scoped = true
		if len(g.Scope) > MaxPackageName || !validPart(g.Scope, false) {
			return fmt.Errorf("%w: %q is no scope", ErrGrant, g.Scope)
		}
	default:
		return fmt.Errorf("%w: no target", ErrGrant)
	}
	if !named && !g.Package.IsZero() || !scoped && g.Scope != "" {
		return fmt.Errorf("%w: more than its target", ErrGrant)
	}
	if g.Target == OneOrg && g.Permission == StageOnly {
		return fmt.Errorf("%w: %v is no permission on an org", ErrGrant, g.Permission)
	}
	switch {
	case g.Verbs == 0:
	case g.Verbs >= 1<<len(verbWords.Bits):
		return fmt.Errorf("%w: unknown verb", ErrGrant)
	case g.Permission != ReadWrite || g.Target == OneOrg:
		return fmt.Errorf("%w: verbs narrow read-write on packages and nothing else", ErrGrant)
	case g.Target == OnePackage && g.Verbs&VerbCreate != 0:
		return fmt.Errorf("%w: a grant on one package creates none", ErrGrant)
	}
	return nil
}

// Covers reports whether g is about the package n: by its whole name, its whole scope, or as
// one of all. A grant on an org covers none of its packages, and a grant with fields that its
// target does not have covers nothing.
func (g *Grant) Covers(n PackageName) bool {
	if n.Name == "" {
		return false
	}
	switch g.Target {
	case AllPackages:
		return g.Scope == "" && g.Package.IsZero()
	case OnePackage:
		return g.Scope == "" && g.Package == n
	case OneScope:
		return g.Package.IsZero() && g.Scope != "" && g.Scope == n.Scope
	default:
		return false
	}
}

// String returns the grant for people: "read-write on package @acme/widget", "read-write
// (publish+dist-tag) on scope @acme".
func (g Grant) String() string {
	may := g.Permission.String()
	if g.Verbs != 0 {
		may += " (" + g.Verbs.String() + ")"
	}
	switch g.Target {
	case OnePackage:
		return fmt.Sprintf("%s on package %v", may, g.Package)
	case OneScope:
		return fmt.Sprintf("%s on scope @%s", may, g.Scope)
	case OneOrg:
		return fmt.Sprintf("%s on org %s", may, g.Scope)
	case AllPackages:
		return may + " on all packages"
	default:
		return fmt.Sprintf("%s on %v", may, g.Target)
	}
}

// MarshalJSON writes {"target":…,"package":…,"scope":…,"permission":…,"verbs":…} without empty
// fields. A grant that is not valid is an error: it must not be stored.
func (g Grant) MarshalJSON() ([]byte, error) {
	if err := g.Validate(); err != nil {
		return nil, err
	}
	return json.Marshal(struct {
		Target     Target      `json:"target"`
		Package    PackageName `json:"package,omitzero"`
		Scope      string      `json:"scope,omitempty"`
		Permission Permission  `json:"permission"`
		Verbs      Verbs       `json:"verbs,omitzero"`
	}{g.Target, g.Package, g.Scope, g.Permission, g.Verbs})
}

// UnmarshalJSON reads what MarshalJSON writes. An unknown, repeated or differently spelled
// field, an unknown word, a null and a grant that is not valid are errors, which wrap
// [ErrGrant]: a restriction must not be dropped.
func (g *Grant) UnmarshalJSON(data []byte) error {
	*g = Grant{}
	var read Grant
	if err := read.decode(data); err != nil {
		return fmt.Errorf("%w: %w", ErrGrant, err)
	}
	if err := read.Validate(); err != nil {
		return err
	}
	*g = read
	return nil
}

// decode reads the object token by token: encoding/json would match the fields without regard
// to case and use the last of two.
func (g *Grant) decode(data []byte) error {
	d := json.NewDecoder(bytes.NewReader(data))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return errors.New("not an object")
	}
	seen := map[string]bool{}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		name, _ := key.(string)
		if seen[name] {
			return fmt.Errorf("field %q twice", name)
		}
		seen[name] = true
		value, err := d.Token()
		if err != nil {
			return err
		}
		text, ok := value.(string)
		if !ok {
			return fmt.Errorf("field %q is no string", name)
		}
		switch name {
		case "target":
			err = g.Target.UnmarshalText([]byte(text))
		case "package":
			err = g.Package.UnmarshalText([]byte(text))
		case "scope":
			g.Scope = text
		case "permission":
			err = g.Permission.UnmarshalText([]byte(text))
		case "verbs":
			err = g.Verbs.UnmarshalText([]byte(text))
		default:
			err = fmt.Errorf("unknown field %q", name)
		}
		if err != nil {
			return err
		}
	}
	if !seen["permission"] {
		return errors.New("no permission")
	}
	if _, err := d.Token(); err != nil { // the closing brace
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one value")
	}
	return nil
}
