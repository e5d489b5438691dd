package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
)

// A part is one of the repository's modules that other people can require.
type part struct {
	path  string            // as its go.mod says
	dir   string            // below the repository's root; "" for the root module
	files map[string][]byte // what is packed, by its path below dir
}

// tag is the name under which the go command looks for a version of the part.
func (p *part) tag(version string) string { return path.Join(p.dir, version) }

// mod parses the part's go.mod.
func (p *part) mod() (*modfile.File, error) {
	return modfile.Parse(path.Join(p.dir, "go.mod"), p.files["go.mod"], nil)
}

// load reads the parts of the repository at root, each after those that it
// requires. They are found by their go.mod files; what is internal is for nobody
// else and left out. A file that git ignores is in no release.
func load(root string) ([]*part, error) {
	list, err := git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	var dirs []string
	for name := range strings.SplitSeq(strings.TrimSuffix(list, "\x00"), "\x00") {
		file := filepath.Join(root, filepath.FromSlash(name))
		info, err := os.Lstat(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted, and not committed yet
		}
		if err == nil && !info.Mode().IsRegular() {
			err = fmt.Errorf("%s is no regular file: module zips hold no others", name)
		}
		if err != nil {
			return nil, err
		}
		if files[name], err = os.ReadFile(file); err != nil {
			return nil, err
		}
		if path.Base(name) == "go.mod" {
			dirs = append(dirs, strings.TrimPrefix(path.Dir(name), "."))
		}
	}
	if !slices.Contains(dirs, "") {
		return nil, fmt.Errorf("%s has no go.mod", root)
	}
	parts := make([]*part, len(dirs))
	for i, dir := range dirs {
		parts[i] = &part{dir: dir, files: map[string][]byte{}}
	}
	for name, data := range files {
		p := parts[slices.Index(dirs, owner(dirs, name))]
		p.files[strings.TrimPrefix(name, p.dir+"/")] = data
	}
	parts = slices.DeleteFunc(parts, func(p *part) bool {
		above := strings.Split(p.dir, "/")
		return slices.Contains(above, "internal") || slices.Contains(above, "testdata")
	})
	for _, p := range parts {
		mod, err := p.mod()
		if err != nil {
			return nil, err
		}
		p.path = mod.Module.Mod.Path
		// As the go command does that packs a nested module from a tag.
		if _, ok := p.files["LICENSE"]; !ok {
			p.files["LICENSE"] = files["LICENSE"]
		}
	}
	return ordered(parts)
}

// owner returns the innermost of the modules' folders that the file is in.
func owner(dirs []string, name string) string {
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if slices.Contains(dirs, dir) {
			return dir
		}
	}
	return ""
}

// ordered sorts parts so that each comes after those that it requires.
func ordered(parts []*part) ([]*part, error) {
	slices.SortFunc(parts, func(a, b *part) int { return strings.Compare(a.dir, b.dir) })
	var sorted []*part
	for len(parts) > 0 {
		i := slices.IndexFunc(parts, func(p *part) bool {
			return !slices.ContainsFunc(parts, func(q *part) bool { return p.requires(q.path) })
		})
		if i < 0 {
			return nil, errors.New("the modules require each other in a circle")
		}
		sorted, parts = append(sorted, parts[i]), slices.Delete(parts, i, i+1)
	}
	return sorted, nil
}

func (p *part) requires(other string) bool {
	mod, err := p.mod()
	return err == nil && slices.ContainsFunc(mod.Require, func(r *modfile.Require) bool { return r.Mod.Path == other })
}
