package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

// pack makes the parts what they are in a release of the version, and writes them
// into out as GOPROXY=file://out serves them. They must be in the order of load.
func pack(parts []*part, version, out string) error {
	ours := map[string]sums{}
	for _, p := range parts {
		if err := module.Check(p.path, version); err != nil {
			return err
		}
		ours[p.path] = sums{} // replaced where it is packed, required only afterwards
	}
	for _, p := range parts {
		if err := p.stamp(version, ours); err != nil {
			return err
		}
		packed, err := p.zip(version)
		if err != nil {
			return err
		}
		file, err := publish(out, module.Version{Path: p.path, Version: version}, p.files["go.mod"], packed)
		if err != nil {
			return err
		}
		if ours[p.path], err = sumsOf(file, p.files["go.mod"]); err != nil {
			return err
		}
	}
	return nil
}

// zip returns p as the go command packs it.
func (p *part) zip(version string) ([]byte, error) {
	var files []zip.File
	for name, data := range p.files {
		files = append(files, memFile{name, data})
	}
	var b bytes.Buffer
	err := zip.Create(&b, module.Version{Path: p.path, Version: version}, files)
	return b.Bytes(), err
}

// publish writes the files of one version of a module into the proxy at out. It
// returns the name of the zip.
func publish(out string, v module.Version, mod, packed []byte) (string, error) {
	escaped, err := module.EscapePath(v.Path)
	if err != nil {
		return "", err
	}
	version, err := module.EscapeVersion(v.Version)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(out, filepath.FromSlash(escaped), "@v")
	info, err := json.Marshal(struct{ Version string }{v.Version})
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	list, err := os.ReadFile(filepath.Join(dir, "list"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if line := v.Version + "\n"; !slices.Contains(slices.Collect(strings.Lines(string(list))), line) {
		list = append(list, line...)
	}
	for name, data := range map[string][]byte{
		"list": list, version + ".info": info, version + ".mod": mod, version + ".zip": packed,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			return "", err
		}
	}
	return filepath.Join(dir, version+".zip"), nil
}

// A memFile is a file of a zip, and its own description.
type memFile struct {
	name string
	data []byte
}

func (f memFile) Path() string                 { return f.name }
func (f memFile) Lstat() (fs.FileInfo, error)  { return f, nil }
func (f memFile) Open() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(f.data)), nil }

func (f memFile) Name() string     { return path.Base(f.name) }
func (f memFile) Size() int64      { return int64(len(f.data)) }
func (memFile) Mode() fs.FileMode  { return 0o644 }
func (memFile) ModTime() time.Time { return time.Time{} }
func (memFile) IsDir() bool        { return false }
func (memFile) Sys() any           { return nil }
