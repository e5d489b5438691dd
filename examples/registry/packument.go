package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"path"
	"time"
)

// abbreviatedType is the media type of the short packument, which has only what
// an install needs.
const abbreviatedType = "application/vnd.npm.install-v1+json"

// installMembers are the members of a manifest that an abbreviated packument
// keeps, as npm's documentation lists them and its client reads them.
var installMembers = []string{
	"name", "version", "deprecated", "dependencies", "optionalDependencies", "devDependencies",
	"bundleDependencies", "bundledDependencies", "peerDependencies", "peerDependenciesMeta",
	"acceptDependencies", "bin", "directories", "dist", "engines", "os", "cpu", "libc", "funding",
	"_hasShrinkwrap", "hasInstallScript",
}

// A view renders packages for clients.
type view struct {
	base *url.URL // where clients reach the registry
}

// packument renders a whole package. maintainers and fans are names.
func (v view) packument(p picture, maintainers, fans []string) ([]byte, error) {
	versions := make(map[string]manifest)
	times := map[string]string{"created": stamp(p.Created), "modified": stamp(p.Modified)}
	var latest manifest
	for _, r := range p.releases {
		m, err := v.manifest(p.pkg, r)
		if err != nil {
			return nil, err
		}
		versions[r.Version], times[r.Version] = m, stamp(r.Published)
		if p.tags["latest"] == r.Version {
			latest = m
		}
	}
	doc := map[string]any{
		"_id":         p.Name,
		"_rev":        p.rev(),
		"name":        p.Name,
		"dist-tags":   p.tags,
		"versions":    versions,
		"time":        times,
		"maintainers": persons(maintainers),
	}
	if len(fans) > 0 {
		users := make(map[string]bool)
		for _, name := range fans {
			users[name] = true
		}
		doc["users"] = users
	}
	for _, member := range []string{"description", "homepage", "keywords", "repository", "author", "bugs", "license", "readme"} {
		if value, ok := latest[member]; ok {
			doc[member] = value
		}
	}
	return encode(doc)
}

// persons returns people of these names, as a document lists them.
func persons(names []string) []person {
	all := make([]person, len(names))
	for i, name := range names {
		all[i] = person{Name: name}
	}
	return all
}

// abbreviated renders what an install needs of a package, and what yarn owner of Yarn 1 needs, which
// reads no other document: without the maintainers it would send back those whom it adds, and
// nobody else.
func (v view) abbreviated(p picture, maintainers []string) ([]byte, error) {
	versions := make(map[string]manifest)
	for _, r := range p.releases {
		m, err := v.manifest(p.pkg, r)
		if err != nil {
			return nil, err
		}
		short := make(manifest)
		for _, member := range installMembers {
			if value, ok := m[member]; ok {
				short[member] = value
			}
		}
		versions[r.Version] = short
	}
	return encode(map[string]any{
		"_id":         p.Name,
		"_rev":        p.rev(),
		"name":        p.Name,
		"modified":    stamp(p.Modified),
		"dist-tags":   p.tags,
		"versions":    versions,
		"maintainers": persons(maintainers),
	})
}

// manifest returns a version for clients: with the URL of its tarball, its deprecation message,
// and whether it has install scripts, which npm's lockfile keeps.
func (v view) manifest(p pkg, r release) (manifest, error) {
	var m, dist manifest
	var scripts map[string]json.RawMessage
	if err := json.Unmarshal(r.Manifest, &m); err != nil {
		return nil, fmt.Errorf("manifest of %s@%s: %w", p.Name, r.Version, err)
	}
	if err := unmarshal(m["dist"], &dist); err != nil {
		return nil, fmt.Errorf("manifest of %s@%s: %w", p.Name, r.Version, err)
	}
	dist.set("tarball", v.tarball(p.Name, r.Version))
	m.set("dist", dist)
	if delete(m, "deprecated"); r.Deprecated != "" {
		m.set("deprecated", r.Deprecated)
	}
	if unmarshal(m["scripts"], &scripts) == nil {
		for _, hook := range []string{"preinstall", "install", "postinstall"} {
			if _, ok := scripts[hook]; ok {
				m.set("hasInstallScript", true)
			}
		}
	}
	return m, nil
}

// tarball returns the URL of a version's tarball.
func (v view) tarball(name, version string) string {
	return v.base.JoinPath(name, "-", tarballFile(name, version)).String()
}

// tarballFile returns the last segment of a tarball's URL, in which npm omits the scope.
func tarballFile(name, version string) string {
	return path.Base(name) + "-" + version + ".tgz"
}

// stamp writes a time as JavaScript's toISOString does.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
