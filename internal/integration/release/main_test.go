package main

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/mod/module"

	"github.com/npmauth/npmauth/internal/integration"
)

const (
	repository = "../../.."
	rootPath   = "github.com/npmauth/npmauth"
	version    = "v0.1.0-test"
)

func parts(t *testing.T) []*part {
	t.Helper()
	integration.Require(t, "git", "go")
	all, err := load(repository)
	require.NoError(t, err)
	return all
}

// named returns the part in the folder dir.
func named(t *testing.T, parts []*part, dir string) *part {
	t.Helper()
	i := slices.IndexFunc(parts, func(p *part) bool { return p.dir == dir })
	require.GreaterOrEqual(t, i, 0, "there is no module in %q", dir)
	return parts[i]
}

// Every module of the repository is released that is not internal, after those
// that it requires.
func TestLoad(t *testing.T) {
	var want []string
	err := filepath.WalkDir(repository, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && file != repository && (strings.HasPrefix(name, ".") || slices.Contains([]string{"internal", "testdata", "node_modules"}, name)) {
			return fs.SkipDir
		}
		if name == "go.mod" {
			dir, err := filepath.Rel(repository, filepath.Dir(file))
			require.NoError(t, err)
			want = append(want, strings.TrimPrefix(filepath.ToSlash(dir), "."))
		}
		return nil
	})
	require.NoError(t, err)
	var got []string
	for _, p := range parts(t) {
		assert.Equal(t, path.Join(rootPath, p.dir), p.path)
		mod, err := p.mod()
		require.NoError(t, err)
		for _, r := range mod.Require {
			if r.Mod.Path == rootPath || strings.HasPrefix(r.Mod.Path, rootPath+"/") {
				assert.Contains(t, got, strings.TrimPrefix(strings.TrimPrefix(r.Mod.Path, rootPath), "/"), "%s comes first", r.Mod.Path)
			}
		}
		got = append(got, p.dir)
	}
	assert.ElementsMatch(t, want, got)
	assert.Subset(t, got, []string{"", "store/sqlite", "examples"})
}

// What go.mod says in the repository that it cannot say in a release is refused.
func TestStampRefuses(t *testing.T) {
	for _, tt := range []struct{ name, line, want string }{
		{"a version", "require " + rootPath + " v0.0.1", "and not v0.0.0"},
		{"what is internal", "require " + rootPath + "/internal/integration v0.0.0", "is not released"},
		{"another replace", "replace example.org/fork => ../fork", "which a release cannot"},
		{"no go.mod", "?", "unknown directive"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &part{path: rootPath + "/store/x", dir: "store/x", files: map[string][]byte{
				"go.mod": []byte("module " + rootPath + "/store/x\n\n" + tt.line + "\n"),
			}}
			err := p.stamp(version, map[string]sums{rootPath: {}})
			assert.ErrorContains(t, err, tt.want)
		})
	}
	err := pack(parts(t), "0.1.0", t.TempDir())
	assert.Error(t, err, "a version begins with v")
	err = pack(parts(t), "v2.0.0", t.TempDir())
	assert.Error(t, err, "the second major version has another path")
}

// The zips hold what a stranger needs, and the root's nothing of a nested module.
func TestPack(t *testing.T) {
	all, out := parts(t), t.TempDir()
	require.NoError(t, pack(all, version, out))
	for _, p := range all {
		r, err := zip.OpenReader(filepath.Join(out, filepath.FromSlash(p.path), "@v", version+".zip"))
		require.NoError(t, err)
		defer r.Close()
		prefix := p.path + "@" + version + "/"
		var names []string
		for _, f := range r.File {
			name, ok := strings.CutPrefix(f.Name, prefix)
			require.True(t, ok, f.Name)
			names = append(names, name)
			for _, q := range all {
				if q != p && q.dir != "" && (p.dir == "" || strings.HasPrefix(q.dir, p.dir+"/")) {
					assert.False(t, strings.HasPrefix(p.dir+"/"+name, "/"+q.dir+"/"), "%s is in the zip of %s", f.Name, p.path)
				}
			}
			assert.NotContains(t, name, "internal/integration/")
		}
		assert.Subset(t, names, []string{"go.mod", "go.sum", "LICENSE"})
		mod, err := p.mod()
		require.NoError(t, err)
		assert.Empty(t, mod.Replace, p.path)
		for _, r := range mod.Require {
			if strings.HasPrefix(r.Mod.Path, rootPath) {
				assert.Equal(t, version, r.Mod.Version, "%s requires %s", p.path, r.Mod.Path)
				assert.Contains(t, string(p.files["go.sum"]), r.Mod.Path+" "+version+" h1:")
			}
		}
	}
}

// Whoever has nothing of this repository but a proxy gets the modules, builds a
// registry from them and runs it. And the same check sees what a wrong release
// looks like to them.
func TestStranger(t *testing.T) {
	proxy := t.TempDir()
	s := newStranger(t, proxy)
	t.Run("release", func(t *testing.T) {
		all := parts(t)
		require.NoError(t, pack(all, version, proxy))
		s.t = t
		require.NoError(t, s.accept(all, version))
	})
	type check func(all []*part, version string) error
	nested := func(dir string) check {
		return func(all []*part, version string) error { return s.acceptNested(all, named(s.t, all, dir), version) }
	}
	for i, tt := range []struct {
		name   string
		before func(all []*part)                 // done to the repository
		after  func(all []*part, version string) // done to the release
		check  check                             // the part of accept that sees it
		want   string
		long   bool
	}{
		{name: "a replace is left", check: nested("store/sqlite"), want: "replaced by ../..", after: func(all []*part, _ string) {
			named(t, all, "store/sqlite").edit("go.mod", "\nrequire (", "\nreplace "+rootPath+" => ../..\n\nrequire (")
		}},
		{name: "a replace is left in a program", check: nested("examples"), want: "module providing named packages", after: func(all []*part, _ string) {
			named(t, all, "examples").edit("go.mod", "\nrequire (", "\nreplace "+rootPath+" v0.0.0 => ../..\n\nrequire (")
		}},
		{name: "a requirement is missing", check: nested("store/sqlite"), want: "cannot find module providing package modernc.org/sqlite", before: func(all []*part) {
			named(t, all, "store/sqlite").edit("go.mod", "\tmodernc.org/sqlite v", "\t// v")
		}},
		{name: "an older root is required", check: nested("store/sqlite"), want: "it takes " + rootPath + " " + version, after: func(all []*part, v string) {
			named(t, all, "store/sqlite").edit("go.mod", rootPath+" "+v, rootPath+" "+version)
		}},
		{name: "a version is required that is not there", check: nested("store/sqlite"), want: rootPath + "@v0.0.0", after: func(all []*part, v string) {
			named(t, all, "store/sqlite").edit("go.mod", rootPath+" "+v, rootPath+" v0.0.0")
		}},
		{name: "a package is missing", check: nested("examples"), want: rootPath + "/session", before: func(all []*part) {
			named(t, all, "").remove("session/")
		}},
		{name: "a package is there that the repository does not have", check: s.acceptAll, want: rootPath + "/more", long: true, before: func(all []*part) {
			named(t, all, "").files["more/more.go"] = []byte("package more\n")
		}},
		{name: "the root has a nested module's files", check: nested("store/sqlite"), want: "ambiguous import", before: func(all []*part) {
			for name, data := range named(t, all, "store/sqlite").files {
				if name != "go.mod" {
					named(t, all, "").files["store/sqlite/"+name] = data
				}
			}
		}},
		{name: "the root requires a driver", check: s.acceptPolicy, want: "its build list is", before: func(all []*part) {
			named(t, all, "").edit("go.mod", "\nrequire (", "\nrequire modernc.org/mathutil v1.7.1\n\nrequire (")
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.long && testing.Short() {
				t.Skip("is found late")
			}
			all, v := parts(t), fmt.Sprintf("v0.1.1-broken.%d", i)
			if tt.before != nil {
				tt.before(all)
			}
			require.NoError(t, pack(all, v, proxy))
			if tt.after != nil {
				tt.after(all, v)
				for _, p := range all {
					packed, err := p.zip(v)
					require.NoError(t, err)
					_, err = publish(proxy, module.Version{Path: p.path, Version: v}, p.files["go.mod"], packed)
					require.NoError(t, err)
				}
			}
			s.t = t
			assert.ErrorContains(t, tt.check(all, v), tt.want)
		})
	}
}

func (p *part) edit(name, old, new string) {
	text := string(p.files[name])
	if !strings.Contains(text, old) {
		panic(fmt.Sprintf("%s has no %q", name, old))
	}
	p.files[name] = []byte(strings.Replace(text, old, new, 1))
}

func (p *part) remove(prefix string) {
	before := len(p.files)
	maps.DeleteFunc(p.files, func(name string, _ []byte) bool { return strings.HasPrefix(name, prefix) })
	if len(p.files) == before {
		panic(fmt.Sprintf("nothing is in %s", prefix))
	}
}

// The commit that RELEASING.md has one make and tag is what was packed: the go
// command makes zips of the same sums from it.
func TestTags(t *testing.T) {
	all, proxy, repo := parts(t), t.TempDir(), t.TempDir()
	run := func(args ...string) {
		t.Helper()
		_, err := git(repo, append([]string{"-c", "user.name=release", "-c", "user.email=release@registry.example"}, args...)...)
		require.NoError(t, err)
	}
	run("init", "-q")
	for _, p := range all {
		for name, data := range p.files {
			if name == "LICENSE" && p.dir != "" {
				continue // is not there: load put the root's into the zip
			}
			file := filepath.Join(repo, p.dir, name)
			require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
			require.NoError(t, os.WriteFile(file, data, 0o644))
		}
	}
	run("add", "-f", ".")
	t.Chdir(filepath.Join(repo, "store"))
	var tags bytes.Buffer
	require.ErrorContains(t, release(&tags, version, proxy, true), "not committed")
	run("commit", "-q", "-m", "main")
	require.NoError(t, release(&tags, version, proxy, true))
	run("commit", "-q", "-am", "release")
	for tag := range strings.FieldsSeq(tags.String()) {
		run("tag", "-am", tag, tag)
	}

	s := newStranger(t, t.TempDir())
	direct := []string{
		"GOPROXY=direct",
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=url." + repo + ".insteadOf", "GIT_CONFIG_VALUE_0=https://" + rootPath,
	}
	for _, p := range all {
		dir := filepath.Join(proxy, filepath.FromSlash(p.path), "@v")
		mod, err := os.ReadFile(filepath.Join(dir, version+".mod"))
		require.NoError(t, err)
		want, err := sumsOf(filepath.Join(dir, version+".zip"), mod)
		require.NoError(t, err)
		out, err := s.command(t.TempDir(), direct, "mod", "download", "-json", p.path+"@"+version)
		require.NoError(t, err)
		assert.Contains(t, out, `"Sum": "`+want.zip+`"`, p.path)
		assert.Contains(t, out, `"GoModSum": "`+want.mod+`"`, p.path)
	}
}
