package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb/dirhash"
)

// unreleased is the version that the repository's modules require of each other.
const unreleased = "v0.0.0"

// stamp turns p's go.mod into that of a release: what it requires of the
// repository is version, and nothing is replaced. Its go.sum gets the sums of
// those modules.
func (p *part) stamp(version string, ours map[string]sums) error {
	mod, err := p.mod()
	if err != nil {
		return err
	}
	name := mod.Syntax.Name
	for _, r := range mod.Replace {
		if _, ok := ours[r.Old.Path]; !ok {
			return fmt.Errorf("%s replaces %s, which a release cannot", name, r.Old.Path)
		}
		if err := mod.DropReplace(r.Old.Path, r.Old.Version); err != nil {
			return err
		}
	}
	root := strings.TrimSuffix(p.path, "/"+p.dir)
	sum := p.files["go.sum"]
	for _, r := range mod.Require {
		s, ok := ours[r.Mod.Path]
		switch {
		case ok && r.Mod.Version != unreleased:
			return fmt.Errorf("%s requires %s, and not %s", name, r.Mod, unreleased)
		case ok:
			if err := mod.AddRequire(r.Mod.Path, version); err != nil {
				return err
			}
			sum = s.add(sum, r.Mod.Path, version)
		case r.Mod.Path == root || strings.HasPrefix(r.Mod.Path, root+"/"):
			return fmt.Errorf("%s requires %s, which is not released", name, r.Mod.Path)
		}
	}
	mod.Cleanup()
	if p.files["go.mod"], err = mod.Format(); err != nil {
		return err
	}
	if len(sum) > 0 {
		p.files["go.sum"] = sum
	}
	return nil
}

// sums are what go.sum says of a module: of all its files, and of its go.mod.
type sums struct{ zip, mod string }

// add returns a go.sum with those of path at version, in the go command's order.
func (s sums) add(sum []byte, path, version string) []byte {
	hashes := map[module.Version]string{
		{Path: path, Version: version}:             s.zip,
		{Path: path, Version: version + "/go.mod"}: s.mod,
	}
	for line := range strings.Lines(string(sum)) {
		if f := strings.Fields(line); len(f) == 3 {
			hashes[module.Version{Path: f[0], Version: f[1]}] = f[2]
		}
	}
	var lines []module.Version
	for v := range hashes {
		lines = append(lines, v)
	}
	module.Sort(lines)
	var b bytes.Buffer
	for _, v := range lines {
		fmt.Fprintln(&b, v.Path, v.Version, hashes[v])
	}
	return b.Bytes()
}

// sumsOf returns the sums of a module whose zip is the named file.
func sumsOf(zip string, mod []byte) (s sums, err error) {
	if s.zip, err = dirhash.HashZip(zip, dirhash.Hash1); err != nil {
		return sums{}, err
	}
	s.mod, err = dirhash.Hash1([]string{"go.mod"}, func(string) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(mod)), nil
	})
	return s, err
}
