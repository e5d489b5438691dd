package protocol

import (
	"net/netip"
	"reflect"
	"slices"
	"time"
)

// A Change says what a write would do, beyond what its [Operation] names. It is what a policy
// judges, what a page shows before somebody proves a second factor, what that proof is good
// for, what a registry is handed to write, and what is recorded.
//
// A field that the action does not set is its zero value. A nil slice, map or pointer is
// absent, which is not the same as empty.
type Change struct {
	// Of [Publish]: one new version.

	Version   string `json:"version,omitempty"`   // with [SetDistTag], too: the version that the tag names
	Integrity string `json:"integrity,omitempty"` // of the tarball, as the manifest states it: SRI, from dist.integrity or else dist.shasum; "" if it states none
	// Access is "public", "restricted", or "" where the request is silent. With Publish it is
	// for a package that is new; [SetAccess] sets that of one that exists.
	Access string `json:"access,omitempty"`
	// Attachments are the names below _attachments: the tarball, then the provenance bundle if
	// there is one.
	Attachments []string `json:"attachments,omitempty"`

	// Of a package that exists.

	// Tags are the dist-tags that are set, with the versions that they name, and those that
	// are removed, with "". Of [Publish] all name Version; of [Unpublish] they are those that move.
	Tags map[string]string `json:"tags,omitempty"`
	// Deprecated are messages by version; "" takes a deprecation away.
	Deprecated map[string]string `json:"deprecated,omitempty"`
	Removed    []string          `json:"removed,omitempty"`  // versions that go
	Tarballs   []string          `json:"tarballs,omitempty"` // versions that are gone, whose tarballs go
	// Maintainers are the names of all owners from now on, where the request says so, as npm
	// owner does; AddedOwners and RemovedOwners what that changes, as far as it is known what
	// there was.
	Maintainers   []string     `json:"maintainers,omitempty"`
	AddedOwners   []string     `json:"added_owners,omitempty"`
	RemovedOwners []string     `json:"removed_owners,omitempty"`
	Starred       bool         `json:"starred,omitempty"`      // of [Star]: whether the sender's star is there from now on
	PublishMode   *PublishMode `json:"publish_mode,omitempty"` // of [SetAccess]: the package's second-factor setting
	// Revision is the document's revision that the change was made from, "" where the sender
	// named none. A registry that has revisions makes its write conditional on it. Of what
	// changes nothing it is the one there is, so that the repetition of a request that has
	// succeeded succeeds.
	Revision string `json:"revision,omitempty"`

	// Body is the SHA-256 in hex of a body: of [Publish] without the data of the tarball, which
	// Integrity stands for, so that what was approved is approved with its dependencies, scripts
	// and provenance; of actions that only a registry's own policy permits as it is.
	Body string `json:"body,omitempty"`

	// Of an organization.

	Member     string     `json:"member,omitempty"`    // the user who is added, changed or removed
	Role       OrgRole    `json:"role,omitzero"`       // of Member, with [WriteOrg] that adds or changes
	Team       string     `json:"team,omitempty"`      // of [WriteTeam] that makes one: its name
	Permission Permission `json:"permission,omitzero"` // of [GrantTeam]: ReadOnly or ReadWrite; NoAccess takes it away
	Removes    bool       `json:"removes,omitempty"`   // Member, the team or its permission is removed

	// Of an account.

	Token     *TokenSpec        `json:"token,omitempty"`     // the token that is made, or of [CreateToken] that rotates one: what takes its place
	Grace     *time.Duration    `json:"grace,omitempty"`     // for which the old secret of a rotated token goes on
	Email     *string           `json:"email,omitempty"`     // the new address
	Profile   map[string]string `json:"profile,omitempty"`   // the other fields of the profile that change, by npm's names
	Password  string            `json:"password,omitempty"`  // a MAC of the new password: what it is stays in no record
	TwoFactor TwoFactorMode     `json:"two_factor,omitzero"` // the mode that the second factor is set to; TwoFactorOff takes it off
	Confirms  bool              `json:"confirms,omitempty"`  // a second factor that was begun is turned on
}

// A TokenSpec is a granular token as somebody asks for it.
type TokenSpec struct {
	Name        string         `json:"name,omitempty"`
	Description string         `json:"description,omitempty"`
	Grants      []Grant        `json:"grants,omitempty"`
	Bypass      bool           `json:"bypass_2fa,omitempty"` // stands in for a second factor
	CIDRs       []netip.Prefix `json:"cidrs,omitempty"`      // empty: from anywhere
	// Days is in how many days the token ends, Until when. Both zero: as the registry has it.
	Days  int       `json:"days,omitempty"`
	Until time.Time `json:"until,omitzero"`
}

// Writes reports whether the token could do more than read. A nil token could not.
func (t *TokenSpec) Writes() bool {
	if t == nil {
		return false
	}
	for i := range t.Grants {
		if t.Grants[i].Permission != ReadOnly {
			return true
		}
	}
	return false
}

// NewToken returns the token that the change makes, nil if it makes none. c may be nil.
func (c *Change) NewToken() *TokenSpec {
	if c == nil {
		return nil
	}
	return c.Token
}

// RemovesFactor reports whether the change takes a second factor off. c may be nil.
func (c *Change) RemovesFactor() bool { return c != nil && c.TwoFactor == TwoFactorOff }

// maxFollowUps is how many requests may belong to one Change: npm unpublish takes one version
// away.
const maxFollowUps = 16

// FollowUps returns the digests of the requests that belong to the change that op makes, so
// that who proved a second factor for it proves none for them: of versions that are taken out
// of a document, the removal of their tarballs afterwards. They are none for more than 16
// versions.
func (c *Change) FollowUps(op Operation) []Digest {
	if c == nil || op.Action != Unpublish || op.Version != "" || len(c.Removed) > maxFollowUps {
		return nil
	}
	var all []Digest
	for _, v := range c.Removed {
		next := Change{Tarballs: []string{v}}
		all = append(all, next.Digest(Operation{Action: Unpublish, Package: op.Package, Version: v}))
	}
	return all
}

// Empty reports whether the change of a document changes nothing: it is a retry of one that
// has happened. c may be nil, which says that nothing is known.
func (c *Change) Empty() bool {
	if c == nil {
		return false
	}
	said := *c
	said.Revision = ""
	return reflect.DeepEqual(said, Change{})
}

// Recorded returns the change as an event keeps it: names, versions, roles and integrity, and
// of what is said to or about people only that it changed. It is nil for one that says
// nothing beyond its operation. c may be nil.
func (c *Change) Recorded() *Change {
	if c == nil || c.Empty() {
		return nil
	}
	const changed = "changed"
	r := *c
	r.Attachments, r.Password, r.Revision = nil, "", ""
	if c.Version != "" { // the document is the registry's to keep
		r.Body = ""
	}
	if c.Password != "" {
		r.Password = changed
	}
	if c.Email != nil {
		text := changed
		r.Email = &text
	}
	r.Profile = changedOnly(c.Profile)
	r.Deprecated = changedOnly(c.Deprecated)
	if c.Token != nil {
		t := *c.Token
		t.Description = ""
		t.Grants = slices.DeleteFunc(slices.Clone(t.Grants), func(g Grant) bool { return g.Validate() != nil })
		r.Token = &t
	}
	return &r
}

// changedOnly returns the keys of m, and of each value only whether there is one.
func changedOnly(m map[string]string) map[string]string {
	if m == nil {
		return nil
	}
	r := make(map[string]string, len(m))
	for k, v := range m {
		if r[k] = ""; v != "" {
			r[k] = "changed"
		}
	}
	return r
}
