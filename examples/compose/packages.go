package main

import (
	"maps"
	"slices"
	"strconv"

	"github.com/npmauth/npmauth/packument"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/wire"
)

// A pkg is a public package at one revision, in memory, and never changes: a write puts another one
// in its place.
type pkg struct {
	id              protocol.PackageID // "": there is no such package. None is ever removed, so that no other has it later
	packument.State                    // versions, tags and owners, by their names, each of which is one person's forever
	manifests       object             // by version
	tarballs        map[string][]byte
}

var none = &pkg{State: packument.State{Versions: map[string]string{}, Tags: map[string]string{}}, manifests: object{}, tarballs: map[string][]byte{}}

func (g *registry) get(name protocol.PackageName) *pkg {
	g.mu.Lock()
	defer g.mu.Unlock()
	if p := g.packages[name]; p != nil {
		return p
	}
	return none
}

// replace puts is in the place of was, for which the write was authorized. If the package has
// changed since, or somebody was faster to create it, nothing happens.
func (g *registry) replace(name protocol.PackageName, was *pkg, is pkg) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if p := g.packages[name]; p != was && (p != nil || was != none) {
		return packument.ErrStale
	}
	g.serial++
	is.id, is.Revision = protocol.PackageID(name.String()), strconv.Itoa(g.serial)
	g.packages[name] = &is
	return nil
}

func (g *registry) publish(name protocol.PackageName, was *pkg, owner string, got packument.Received) error {
	version := got.Change.Version
	if _, taken := was.Versions[version]; taken {
		return &wire.Error{Status: 403, Code: "exists", Sentence: "That version is published already."}
	}
	is := pkg{manifests: maps.Clone(was.manifests), tarballs: maps.Clone(was.tarballs)}
	is.State = packument.State{Versions: maps.Clone(was.Versions), Tags: maps.Clone(was.Tags), Maintainers: was.Maintainers}
	if was == none {
		is.Maintainers = []string{owner}
	}
	got.Manifest["dist"].(object)["tarball"] = g.base + name.String() + "/-/" + name.Name + "-" + version + ".tgz"
	is.Versions[version], is.manifests[version], is.tarballs[version] = "", got.Manifest, got.Tarball
	maps.Copy(is.Tags, got.Change.Tags)
	return g.replace(name, was, is)
}

// facts is what the policy takes of a package and of the user's part in it.
func (p *pkg) facts(user policy.Account) policy.Facts {
	facts := policy.Facts{ID: p.id, Rights: policy.RightRead, MayCreate: user.ID != ""}
	if user.ID != "" && slices.Contains(p.Maintainers, user.Name) {
		facts.Rights |= policy.RightWrite | policy.RightAdmin
	}
	return facts
}

// document answers GET /<pkg>.
func (p *pkg) document(name protocol.PackageName) object {
	owners := []object{}
	for _, owner := range p.Maintainers {
		owners = append(owners, object{"name": owner})
	}
	return object{"_id": name.String(), "_rev": p.Revision, "name": name.String(), "versions": p.manifests, "dist-tags": p.Tags, "maintainers": owners}
}
