package protocol

import (
	"net/netip"
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

	Version   string // with [SetDistTag], too: the version that the tag names
	Integrity string // of the tarball, as the manifest states it: SRI, from dist.integrity or else dist.shasum; "" if it states none
	// Access is "public", "restricted", or "" where the request is silent. With Publish it is
	// for a package that is new; [SetAccess] sets that of one that exists.
	Access string
	// Attachments are the names below _attachments: the tarball, then the provenance bundle if
	// there is one.
	Attachments []string

	// Of a package that exists.

	// Tags are the dist-tags that are set, with the versions that they name, and those that
	// are removed, with "". Of [Publish] all name Version; of [Unpublish] they are those that move.
	Tags map[string]string
	// Deprecated are messages by version; "" takes a deprecation away.
	Deprecated map[string]string
	Removed    []string // versions that go
	Tarballs   []string // versions that are gone, whose tarballs go
	// Maintainers are the names of all owners from now on, where the request says so, as npm
	// owner does; AddedOwners and RemovedOwners what that changes, as far as it is known what
	// there was.
	Maintainers   []string
	AddedOwners   []string
	RemovedOwners []string
	Starred       bool         // of [Star]: whether the sender's star is there from now on
	PublishMode   *PublishMode // of [SetAccess]: the package's second-factor setting
	// Revision is the document's revision that the change was made from, "" where the sender
	// named none. A registry that has revisions makes its write conditional on it.
	Revision string

	// Of an organization.

	Member     string     // the user who is added, changed or removed
	Role       OrgRole    // of Member, with [WriteOrg] that adds or changes
	Team       string     // of [WriteTeam] that makes one: its name
	Permission Permission // of [GrantTeam]: ReadOnly or ReadWrite; NoAccess takes it away
	Removes    bool       // Member, the team or its permission is removed

	// Of an account.

	Token     *TokenSpec        // the token that is made, or of [CreateToken] that rotates one: what takes its place
	Grace     *time.Duration    // for which the old secret of a rotated token goes on
	Email     *string           // the new address
	Profile   map[string]string // the other fields of the profile that change, by npm's names
	Password  string            // a MAC of the new password: what it is stays in no record
	TwoFactor TwoFactorMode     // the mode that the second factor is set to; TwoFactorOff takes it off
	Confirms  bool              // a second factor that was begun is turned on
}

// A TokenSpec is a granular token as somebody asks for it.
type TokenSpec struct {
	Name        string
	Description string
	Grants      []Grant
	Bypass      bool           // stands in for a second factor
	CIDRs       []netip.Prefix // empty: from anywhere
	// Days is in how many days the token ends, Until when. Both zero: as the registry has it.
	Days  int
	Until time.Time
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
	return c != nil && c.Version == "" && c.Access == "" && c.Tags == nil && c.Deprecated == nil && c.Removed == nil && c.Tarballs == nil &&
		c.Maintainers == nil && c.AddedOwners == nil && c.RemovedOwners == nil && c.PublishMode == nil
}

// Recorded returns the change as an event keeps it: names, versions, roles and integrity, and
// of what is said to or about people only that it changed.
func (c *Change) Recorded() *Change {
	if c == nil {
		return nil
	}
	const changed = "changed"
	r := *c
	r.Attachments, r.Password, r.Revision = nil, "", ""
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
