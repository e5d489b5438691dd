package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"path"
	"runtime"
	"slices"
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

// latestMembers are the members of the latest manifest that a packument has as well.
var latestMembers = []string{"description", "homepage", "keywords", "repository", "author", "bugs", "license", "readme"}

// A view renders packages for clients.
type view struct {
	base  *url.URL // where clients reach the registry
	names []string // other hosts at which they do, with the port
}

// of returns the view for the client of a request. npm and others take a tarball of another host
// than their registry for a stranger's: they send no token there, and npm 12 refuses it. So on this
// machine, where a registry has several names, the URLs of tarballs are at the one that the client
// uses. No other Host header counts.
func (v view) of(r *http.Request) view {
	if !slices.Contains(v.names, r.Host) {
		return v
	}
	base := *v.base
	base.Host = r.Host
	return view{base: &base}
}

// rendering has an element for each manifest that is being read and rendered, in the whole
// process: that takes several times the memory of the result, and time. One processor is left for
// all else, and readers of big documents take turns.
var rendering = make(chan struct{}, max(1, runtime.GOMAXPROCS(0)-1))

// A reader returns a version as it is stored.
type reader func(ctx context.Context, version string) (release, error)

// packument writes the document of a whole package, version by version: a reader takes the
// memory of one of them, however many there are and however slowly it reads. maintainers and fans
// are names.
func (v view) packument(ctx context.Context, w io.Writer, p picture, maintainers, fans []string, read reader) error {
	doc := v.begin(w, p, maintainers)
	doc.key("time")
	times := newObject(w)
	times.put("created", stamp(p.Created))
	times.put("modified", stamp(p.Modified))
	for _, one := range p.versions {
		times.put(one.Version, stamp(one.Published))
	}
	if err := times.end(); err != nil {
		return err
	}
	if len(fans) > 0 {
		users := make(map[string]bool)
		for _, name := range fans {
			users[name] = true
		}
		doc.put("users", users)
	}
	if latest, ok := p.tags["latest"]; ok {
		text, err := v.render(ctx, p.pkg, latest, read, latestMembers)
		if err != nil {
			return err
		}
		doc.putAll(text)
	}
	return v.finish(ctx, doc, p, read, nil)
}

// abbreviated writes what an install needs of a package, and what yarn owner of Yarn 1 needs, which
// reads no other document: without the maintainers it would send back those whom it adds, and
// nobody else.
func (v view) abbreviated(ctx context.Context, w io.Writer, p picture, maintainers []string, read reader) error {
	doc := v.begin(w, p, maintainers)
	doc.put("modified", stamp(p.Modified))
	return v.finish(ctx, doc, p, read, installMembers)
}

// begin writes what both documents have.
func (v view) begin(w io.Writer, p picture, maintainers []string) *object {
	doc := newObject(w)
	doc.put("_id", p.Name)
	doc.put("_rev", p.rev())
	doc.put("name", p.Name)
	doc.put("dist-tags", p.tags)
	doc.put("maintainers", persons(maintainers))
	return doc
}

// finish writes the versions, of which it keeps some members or all (nil), and the end.
func (v view) finish(ctx context.Context, doc *object, p picture, read reader, members []string) error {
	doc.key("versions")
	versions := newObject(doc.w)
	for _, one := range p.versions {
		text, err := v.render(ctx, p.pkg, one.Version, read, members)
		if err != nil {
			return err
		}
		versions.key(one.Version)
		versions.write(text)
		if versions.err != nil {
			return versions.err
		}
	}
	if err := versions.end(); err != nil {
		return err
	}
	return doc.end()
}

// persons returns people of these names, as a document lists them.
func persons(names []string) []person {
	all := make([]person, len(names))
	for i, name := range names {
		all[i] = person{Name: name}
	}
	return all
}

// render returns some members of a version, or all of it (nil), for clients.
func (v view) render(ctx context.Context, p pkg, version string, read reader, members []string) ([]byte, error) {
	select {
	case rendering <- struct{}{}:
		defer func() { <-rendering }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	r, err := read(ctx, version)
	if err != nil {
		return nil, err
	}
	m, err := v.manifest(p, r)
	if err != nil {
		return nil, err
	}
	if members != nil {
		maps.DeleteFunc(m, func(member string, _ json.RawMessage) bool { return !slices.Contains(members, member) })
	}
	return encode(m)
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
	if dist == nil { // the publish of an older registry
		dist = make(manifest)
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
