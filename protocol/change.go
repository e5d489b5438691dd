package protocol

import (
	"net/netip"
	"reflect"
	"slices"
	"time"
)

// A Change describes a write beyond what its [Operation] names. A policy decides on it, a page
// shows it before a second factor is proven, the proof is bound to it, a registry writes it,
// and an event records it.
//
// A field that the action does not set is its zero value. A nil slice, map or pointer is
// absent, which is not the same as empty.
type Change struct {
	// Of [Publish]: one new version.

	Version   string `json:"version,omitempty"`   // with [SetDistTag], too: the version that the tag names
	Integrity string `json:"integrity,omitempty"` // of the tarball, as the manifest states it: SRI, from dist.integrity or else dist.shasum; "" if it states none
	// Access is "public", "restricted", or "" if the request does not say. With Publish it is
	// for a package that is new; [SetAccess] sets that of one that exists.
	Access string `json:"access,omitempty"`
	// Attachments are the names below _attachments: the tarball, then the provenance bundle if
	// there is one.
	Attachments []string `json:"attachments,omitempty"`

	// Of a package that exists.

	// Tags are the dist-tags that are set, with the versions that they name, and those that are
	// removed, with "". Of [Publish] all name Version; of [Unpublish] they are those that move.
	Tags map[string]string `json:"tags,omitempty"`
	// Deprecated are messages by version; "" removes a deprecation.
	Deprecated map[string]string `json:"deprecated,omitempty"`
	Removed    []string          `json:"removed,omitempty"`  // versions that are removed
	Tarballs   []string          `json:"tarballs,omitempty"` // versions that are gone, whose tarballs are removed
	// Maintainers are the names of all owners after the change, if the request has them, as npm
	// owner does; AddedOwners and RemovedOwners are the difference, as far as the owners before
	// are known.
	Maintainers   []string     `json:"maintainers,omitempty"`
	AddedOwners   []string     `json:"added_owners,omitempty"`
	RemovedOwners []string     `json:"removed_owners,omitempty"`
	Starred       bool         `json:"starred,omitempty"`      // of [Star]: whether the sender stars the package
	PublishMode   *PublishMode `json:"publish_mode,omitempty"` // of [SetAccess]: the package's second-factor setting
	// KeysOnly is, of [SetAccess], whether only security keys count as second factors for writing to
	// the package and managing it, and of [SetOrgFactor], for all packages of the organization's scope
	// and for managing the organization. Of [SetTwoFactor] it is for all that the account is asked for.
	KeysOnly *bool `json:"keys_only,omitempty"`
	// PublishersOnly is, of [SetAccess], whether only trusted publishers may publish versions of the
	// package, and of [SetOrgFactor], whether that is so of all packages of the organization's scope.
	PublishersOnly *bool `json:"publishers_only,omitempty"`
	// StageOnly is, of [SetAccess], whether versions of the package are published only by approving staged
	// ones, Approvals how many people must approve one, of which zero means one, and OtherApprover whether who
	// staged it may not be among them. Of [SetOrgFactor] they are for all packages of the organization's
	// scope.
	StageOnly     *bool  `json:"stage_only,omitempty"`
	Approvals     *uint8 `json:"approvals,omitempty"`
	OtherApprover *bool  `json:"other_approver,omitempty"`
	// Publisher is, of [WriteTrust] and [WriteOrgTrust] that add one, the trusted publisher: its type, issuer and permissions
	// and what it demands of a job, by npm's names, as trust.Publisher.Fields returns it.
	Publisher map[string]string `json:"publisher,omitempty"`
	// Also are, of [ApproveStaged] and [RejectStaged] of several staged versions at once, those that the
	// operation does not name: by their IDs, each as package@version.
	Also map[string]string `json:"also,omitempty"`
	// Revision is the document's revision that the change was made from, "" if the sender named
	// none. A registry that has revisions makes its write conditional on it. A change
	// that changes nothing has the present revision, so that a repeated request succeeds.
	Revision string `json:"revision,omitempty"`

	// Body is the SHA-256 in hex of a body. With [Publish] it is that of the body without the
	// data of the tarball, which Integrity stands for: a publish is approved with its
	// dependencies, scripts and provenance. Otherwise it is that of a body that this module does
	// not read, of an action that npm's rules deny.
	Body string `json:"body,omitempty"`

	// Of an organization.

	Member     string     `json:"member,omitempty"`    // the user who is added, changed or removed
	Role       OrgRole    `json:"role,omitzero"`       // of Member, with [WriteOrg] that adds or changes
	Team       string     `json:"team,omitempty"`      // of [WriteTeam] that creates a team: its name
	Permission Permission `json:"permission,omitzero"` // of [GrantTeam]: ReadOnly or ReadWrite; NoAccess removes it
	Removes    bool       `json:"removes,omitempty"`   // Member, the team, its permission or what the operation's ID names is removed
	// RequireFactor is, of [SetOrgFactor], whether the members must have a second factor.
	RequireFactor *bool `json:"require_factor,omitempty"`

	// Of an account.

	Token     *TokenSpec        `json:"token,omitempty"`     // the new token, also that of a rotation
	Grace     *time.Duration    `json:"grace,omitempty"`     // for which the old secret of a rotated token stays valid
	Email     *string           `json:"email,omitempty"`     // the new e-mail address
	Profile   map[string]string `json:"profile,omitempty"`   // the other fields of the profile that change, by npm's names
	Password  string            `json:"password,omitempty"`  // a MAC of the new password, which is in no record
	TwoFactor TwoFactorMode     `json:"two_factor,omitzero"` // the mode that the second factor is set to; TwoFactorOff removes it
	Confirms  bool              `json:"confirms,omitempty"`  // a pending second factor is turned on
	Factor    string            `json:"factor,omitempty"`    // of [AddFactor] and [RemoveFactor]: [FactorApp] or [FactorKey]; Body is that of a new key
	Name      string            `json:"name,omitempty"`      // of that key, as its user calls it
}

// The kinds of second factor of [Change].Factor. FactorApp is also the ID by which [RemoveFactor] names
// the app.
const (
	FactorApp = "app" // an authenticator app
	FactorKey = "key" // a security key or a passkey
)

// A TokenSpec is a granular token as a request describes it.
type TokenSpec struct {
	Name        string         `json:"name,omitempty"`
	Description string         `json:"description,omitempty"`
	Grants      []Grant        `json:"grants,omitempty"`
	Bypass      bool           `json:"bypass_2fa,omitempty"` // bypasses a second factor
	CIDRs       []netip.Prefix `json:"cidrs,omitempty"`      // empty: from anywhere
	// Days is in how many days the token expires, or Until at what time. Both zero means the
	// registry's default.
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

// NewToken returns the token that the change creates, nil if it creates none. c may be nil.
func (c *Change) NewToken() *TokenSpec {
	if c == nil {
		return nil
	}
	return c.Token
}

// RemovesFactor reports whether the change removes a second factor. c may be nil.
func (c *Change) RemovesFactor() bool { return c != nil && c.TwoFactor == TwoFactorOff }

// DemandsKeys reports whether the change makes security keys the only second factors that count. c may
// be nil.
func (c *Change) DemandsKeys() bool { return c != nil && c.KeysOnly != nil && *c.KeysOnly }

// DemandsPublishers reports whether the change lets only trusted publishers publish. c may be nil.
func (c *Change) DemandsPublishers() bool {
	return c != nil && c.PublishersOnly != nil && *c.PublishersOnly
}

// SetsRules reports whether the change sets one of KeysOnly, PublishersOnly, StageOnly, Approvals and
// OtherApprover. c may be nil.
func (c *Change) SetsRules() bool {
	return c != nil && (c.KeysOnly != nil || c.PublishersOnly != nil || c.StageOnly != nil || c.Approvals != nil || c.OtherApprover != nil)
}

// DemandsStaging reports whether the change demands that versions are staged, more than one approval, or
// that of another person than who staged. c may be nil.
func (c *Change) DemandsStaging() bool {
	is := func(v *bool) bool { return v != nil && *v }
	return c != nil && (is(c.StageOnly) || is(c.OtherApprover) || c.Approvals != nil && *c.Approvals > 1)
}

// maxFollowUps is how many requests may belong to one Change: npm unpublish removes one
// version.
const maxFollowUps = 16

// FollowUps returns the digests of the requests that belong to the change of op and need no
// proof of their own: for versions that are removed from a document, the later removal of their
// tarballs. There are none for more than 16 versions.
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

// Empty reports whether the change of a document changes nothing: it repeats one that has
// happened. c may be nil, and then the change is not known.
func (c *Change) Empty() bool {
	if c == nil {
		return false
	}
	said := *c
	said.Revision = ""
	return reflect.DeepEqual(said, Change{})
}

// Recorded returns the change for an event: names, versions, roles and integrity, and of messages,
// profiles and passwords only that they changed. It is nil for a change that adds nothing to its
// operation. c may be nil.
func (c *Change) Recorded() *Change {
	if c == nil || c.Empty() {
		return nil
	}
	const changed = "changed"
	r := *c
	r.Attachments, r.Password, r.Revision = nil, "", ""
	if c.Version != "" || c.Factor != "" { // the document is the registry's to keep, and so is a key
		r.Body = ""
	}
	r.Name = readable(c.Name)
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
		t.Name, t.Description = readable(t.Name), ""
		t.Grants = slices.DeleteFunc(slices.Clone(t.Grants), func(g Grant) bool { return g.Validate() != nil })
		r.Token = &t
	}
	return &r
}

// changedOnly returns the keys of m, and of each value only whether it is empty.
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
