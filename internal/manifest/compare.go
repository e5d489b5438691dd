package manifest

import (
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Files are the regular files of a tarball, as far as they are remembered.
type Files struct {
	paths []string
	size  int
	more  bool // there are too many to remember
}

// maxFiles is how many bytes the paths may have, 256 KiB: some 5000 files. They are of account only
// for packages that name no commands, but a folder of them.
const maxFiles = 256 << 10

// Add adds a file by its path within the package. A path that is the package's folder itself has no
// name to be a command by, and is left out.
func (f *Files) Add(name string) {
	if f.size += len(name) + 16; f.size > maxFiles {
		f.paths, f.more = nil, true
		return
	}
	if name = path.Clean("/" + name)[1:]; name != "" {
		f.paths = append(f.paths, name)
	}
}

// in returns the names of the files that are directly in a folder and not hidden.
func (f *Files) in(dir string) (names []string) {
	for _, p := range f.paths {
		if in, name := path.Split(p); path.Clean(in) == dir && name[0] != '.' || dir == "." && in == "" && name[0] != '.' {
			names = append(names, name)
		}
	}
	return names
}

// The scripts that clients derive from files. They are in no package.json.
var implied = facts{
	{"scripts", "install"}: "node-gyp rebuild", // of *.gyp
	{"scripts", "start"}:   "node server.js",   // of server.js
}

// Compare returns an [*Error] that says what a publish says of a version and the package.json in
// its tarball do not, or the other way round. files are the tarball's.
//
// The names are equal but for space around that of package.json, and the versions once
// package.json's is cleaned as node-semver does: what is published is compared as it is. Compared
// are then, by what npm reads in them: scripts, dependencies of every kind with
// peerDependenciesMeta, dependenciesMeta and acceptDependencies, bundled dependencies, bin with
// directories.bin, engines, os, cpu, libc, gypfile and hasInstallScript. Keys that differ from
// these only in case are compared as they are. What npm 6 to 8 or Yarn 1 read differently is
// compared as they read it, if they wrote the manifest.
//
// It is no difference that a manifest has the script that a client derives from *.gyp or server.js.
// That it has none is no difference either: of today's clients only npm and those that pack for
// it write it down.
func Compare(published, packed Manifest, files *Files) error {
	switch {
	case strings.Trim(packed.Name, space) != published.Name:
		return &Error{"the tarball's package.json is about another package than the address"}
	case packed.Version != published.Version && !publishedAs(published.Version, packed.Version):
		return &Error{"the tarball's package.json is about another version"}
	}
	packed.Name = published.Name
	err := compareAs(published, packed, files, npm)
	if as := published.writer(); err != nil && as != npm && compareAs(published, packed, files, as) == nil {
		return nil
	}
	return err
}

func compareAs(published, packed Manifest, files *Files, as reading) error {
	m, err := published.read(as, true)
	if err != nil {
		return &Error{"the version's manifest has more than one meaning: " + err.Error()}
	}
	p, err := packed.read(as, false)
	if err != nil {
		return &Error{"the tarball's package.json has more than one meaning: " + err.Error()}
	}
	return differ(m, p, files, as)
}

// differ returns what differs between what a manifest says and what a package.json does.
func differ(m, p content, files *Files, as reading) error {
	if err := sameFolder(m, p, files); err != nil {
		return err
	}
	// npm says true of what it derives from *.gyp, and npm 6 to 8 of whatever does the same.
	install := fact{"scripts", "install"}
	derived := m.gyp == true && (m.facts[install] == implied[install] || p.noScripts) && (p.gyp != false || as == olderNPM)
	if text(m.gyp) != text(p.gyp) && !derived {
		return difference(fact{"gypfile", ""}, text(m.gyp), m.gyp != nil, text(p.gyp), p.gyp != nil)
	}
	all := maps.Clone(m.facts)
	maps.Copy(all, p.facts)
	for _, f := range slices.SortedFunc(maps.Keys(all), fact.compare) {
		if f.field == "bin" && p.binDir != "" {
			continue
		}
		a, inM := m.facts[f]
		b, inP := p.facts[f]
		derived, may := implied[f]
		_, bundled := p.facts[fact{"bundleDependencies", f.name}]
		switch {
		case a == b && inM == inP:
		case may && a == derived && b == "":
		case bundled && f.field == "dependencies" && a == "*" && as == olderNPM && !m.assumed[f.name]: // npm 7 writes that for any range
		default:
			return difference(f, a, inM, b, inP)
		}
	}
	return nil
}

// sameFolder compares what says that all files of a folder are commands. Some clients leave that in
// the manifest, npm adds the commands, and Yarn 1 has them instead. Files that are not packed may
// be among the commands, and files further down as well.
func sameFolder(m, p content, files *Files) error {
	named := false
	for f, target := range m.facts {
		if f.field != "bin" || p.binDir == "" {
			continue
		}
		named = true
		if path.Base(target) != f.name || p.binDir != "." && !strings.HasPrefix(target, p.binDir+"/") {
			return difference(f, target, true, "", false)
		}
	}
	left := p.binDir != "" && !named && (files.more || len(files.in(p.binDir)) > 0) // commands that nothing says
	if m.dir != p.dir && (m.dir != "" || left) {
		return difference(fact{"directories", "bin"}, m.dir, m.dir != "", p.dir, p.dir != "")
	}
	if !named {
		return nil
	}
	if files.more {
		return &Error{"the tarball has too many files to find the commands in directories.bin: name them in bin"}
	}
	for _, name := range files.in(p.binDir) {
		f := fact{"bin", name}
		if _, there := m.facts[f]; !there {
			return difference(f, "", false, path.Join(p.binDir, name), true)
		}
	}
	return nil
}

// difference returns the error for a fact that one side says and the other does not.
func difference(f fact, a string, inM bool, b string, inP bool) error {
	return &Error{f.String() + " is " + said(a, inM) + " in the version's manifest and " + said(b, inP) +
		" in the tarball's package.json; publish both from one folder, or the file that npm pack makes"}
}

func said(value string, there bool) string {
	if !there {
		return "missing"
	}
	return short(value)
}

// short returns a value in quotes, cut to a length that is read at a glance.
func short(value string) string {
	const most = 60
	if r := []rune(value); len(r) > most {
		value = string(r[:most-1]) + "…"
	}
	return strconv.Quote(value)
}
