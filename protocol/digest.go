package protocol

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"maps"
	"slices"
	"time"
)

// A Digest identifies an [Operation] together with its [Change]. The zero Digest is that of
// none.
type Digest [sha256.Size]byte

// String returns the digest in hex.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// IsZero reports whether d is the zero Digest.
func (d Digest) IsZero() bool { return d == Digest{} }

// MarshalText returns the digest in hex, "" for the zero Digest.
func (d Digest) MarshalText() ([]byte, error) {
	if d.IsZero() {
		return nil, nil
	}
	return []byte(d.String()), nil
}

// UnmarshalText reads what MarshalText writes. Any other text is an error.
func (d *Digest) UnmarshalText(text []byte) error {
	*d = Digest{}
	if len(text) == 0 {
		return nil
	}
	if len(text) != hex.EncodedLen(len(d)) {
		return hex.ErrLength
	}
	var read Digest
	if _, err := hex.Decode(read[:], text); err != nil {
		return err
	}
	*d = read
	return nil
}

// Digest returns the digest of op and c: SHA-256 over a version, the action and the fields in a
// fixed order, each with its length, with absent distinct from empty and sets sorted. It
// excludes revisions, names of attachments and anything that changes with time, so that npm's
// retry has the same digest. c may be nil, which is the zero Change.
func (c *Change) Digest(op Operation) Digest {
	if c == nil {
		c = &Change{}
	}
	h := hasher{sha256.New()}
	h.text("npmauth change 1")
	h.text(op.Action.String())
	for _, name := range []string{
		op.Package.Scope, op.Package.Name, op.Version, op.Tag, op.User, op.Org, op.Team, op.Service, op.ID, op.Token,
		c.Version, c.Integrity, c.Access, c.Body,
	} {
		h.text(name)
	}
	h.table(c.Tags)
	h.table(c.Deprecated)
	for _, set := range [][]string{c.Removed, c.Tarballs, c.Maintainers, c.AddedOwners, c.RemovedOwners} {
		h.set(set)
	}
	h.flag(c.Starred)
	if h.flag(c.PublishMode != nil) {
		h.number(uint64(*c.PublishMode))
	}
	if h.flag(c.KeysOnly != nil) {
		h.flag(*c.KeysOnly)
	}
	h.text(c.Member)
	h.number(uint64(c.Role))
	h.text(c.Team)
	h.number(uint64(c.Permission))
	h.flag(c.Removes)
	if h.flag(c.RequireFactor != nil) {
		h.flag(*c.RequireFactor)
	}
	if h.flag(c.Token != nil) {
		h.token(c.Token)
	}
	if h.flag(c.Grace != nil) {
		h.number(uint64(*c.Grace))
	}
	if h.flag(c.Email != nil) {
		h.text(*c.Email)
	}
	h.table(c.Profile)
	h.text(c.Password)
	h.number(uint64(c.TwoFactor))
	h.flag(c.Confirms)
	h.text(c.Factor)
	h.text(c.Name)
	h.table(c.Publisher)
	if h.flag(c.PublishersOnly != nil) {
		h.flag(*c.PublishersOnly)
	}
	if h.flag(c.StageOnly != nil) {
		h.flag(*c.StageOnly)
	}
	if h.flag(c.Approvals != nil) {
		h.number(uint64(*c.Approvals))
	}
	if h.flag(c.OtherApprover != nil) {
		h.flag(*c.OtherApprover)
	}
	h.table(c.Also)
	var d Digest
	h.Sum(d[:0])
	return d
}

// A hasher hashes values so that no two lists of them are hashed alike.
type hasher struct{ hash.Hash }

func (h hasher) number(n uint64) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], n)
	h.Write(b[:])
}

func (h hasher) flag(set bool) bool {
	if set {
		h.number(1)
	} else {
		h.number(0)
	}
	return set
}

func (h hasher) text(s string) {
	h.number(uint64(len(s)))
	h.Write([]byte(s))
}

// set hashes names whose order does not matter.
func (h hasher) set(names []string) {
	if !h.flag(names != nil) {
		return
	}
	h.number(uint64(len(names)))
	for _, name := range slices.Sorted(slices.Values(names)) {
		h.text(name)
	}
}

func (h hasher) table(m map[string]string) {
	if !h.flag(m != nil) {
		return
	}
	h.number(uint64(len(m)))
	for _, key := range slices.Sorted(maps.Keys(m)) {
		h.text(key)
		h.text(m[key])
	}
}

func (h hasher) token(t *TokenSpec) {
	h.text(t.Name)
	h.text(t.Description)
	grants := make([]string, len(t.Grants))
	for i, g := range t.Grants {
		grants[i] = g.String()
	}
	h.set(grants)
	h.flag(t.Bypass)
	ranges := make([]string, len(t.CIDRs))
	for i, p := range t.CIDRs {
		ranges[i] = p.String()
	}
	h.set(ranges)
	h.number(uint64(t.Days))
	if h.flag(!t.Until.IsZero()) {
		h.text(t.Until.UTC().Format(time.RFC3339Nano))
	}
}
