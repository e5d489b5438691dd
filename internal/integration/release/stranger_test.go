package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A stranger is somebody who has nothing of this repository but what a proxy
// serves, and everything else that their modules need from where this machine has
// it.
type stranger struct {
	t     *testing.T
	proxy string // the folder of ours
	cache string // their module cache: the machine's must not get modules of ours
	env   []string
	// machine is that cache, where the build cache knows what other people wrote.
	machine string
	hide    []string // what is not for the log: where this machine gets its modules
}

func newStranger(t *testing.T, proxy string) *stranger {
	t.Helper()
	s := &stranger{t: t, proxy: proxy, cache: t.TempDir()}
	var machine struct{ GOMODCACHE, GOPROXY, GONOSUMDB, GOSUMDB string }
	out, err := exec.Command("go", "env", "-json", "GOMODCACHE", "GOPROXY", "GONOSUMDB", "GOSUMDB").Output()
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(out, &machine))
	s.machine = machine.GOMODCACHE
	for p := range strings.FieldsFuncSeq(machine.GOPROXY, func(r rune) bool { return r == ',' || r == '|' }) {
		if _, host, ok := strings.Cut(p, "://"); ok {
			host, _, _ = strings.Cut(host, "/")
			s.hide = append(s.hide, p, host)
		}
	}
	s.env = append(os.Environ(),
		"GOENV=off", "GOWORK=off", "GOFLAGS=-mod=mod -modcacherw", "GOMODCACHE="+s.cache,
		"GOPROXY="+fileURL(proxy)+","+fileURL(filepath.Join(machine.GOMODCACHE, "cache", "download"))+","+machine.GOPROXY,
		// Nothing goes past the proxy, and no sum of ours is in a public database yet.
		"GOPRIVATE=", "GONOPROXY=", "GOSUMDB="+machine.GOSUMDB,
		"GONOSUMDB="+strings.TrimPrefix(machine.GONOSUMDB+","+rootPath, ","),
	)
	return s
}

func fileURL(dir string) string { return "file://" + filepath.ToSlash(dir) }

// command runs the go command in dir, the later of env on top, and returns what it
// prints. The error has what it says.
func (s *stranger) command(dir string, env []string, args ...string) (string, error) {
	cmd := exec.CommandContext(s.t.Context(), "go", args...)
	cmd.Dir, cmd.Env = dir, append(slices.Clip(s.env), env...)
	var out, says bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &says
	err := cmd.Run()
	if err != nil {
		text := says.String() + out.String()
		for _, secret := range s.hide {
			text = strings.ReplaceAll(text, secret, "[proxy]")
		}
		err = fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, text)
	}
	return out.String(), err
}

// module makes a module of theirs with these files. Its go.sum has what ours know
// of other people's modules, which saves asking for it.
func (s *stranger) module(parts []*part, files map[string]string) string {
	s.t.Helper()
	dir := s.t.TempDir()
	all := map[string]string{"go.mod": "module stranger.example/host\n\ngo 1.26.0\n"}
	for _, p := range parts {
		for line := range strings.Lines(string(p.files["go.sum"])) {
			if !strings.HasPrefix(line, rootPath) {
				all["go.sum"] += line
			}
		}
	}
	maps.Copy(all, files)
	for name, text := range all {
		require.NoError(s.t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	return dir
}

// unpacked returns the folder that the go command unpacks a part into.
func (s *stranger) unpacked(p *part, version string) (string, error) {
	out, err := s.command(s.t.TempDir(), nil, "mod", "download", "-json", p.path+"@"+version)
	if err != nil {
		return "", err
	}
	var module struct{ Dir string }
	err = json.Unmarshal([]byte(out), &module)
	return module.Dir, err
}

// accept returns what is wrong with a release, for somebody who requires it.
func (s *stranger) accept(parts []*part, version string) error {
	for _, p := range parts {
		if p.dir == "" {
			continue
		}
		if err := s.acceptNested(parts, p, version); err != nil {
			return fmt.Errorf("%s: %w", p.path, err)
		}
	}
	if err := s.acceptPolicy(parts, version); err != nil {
		return fmt.Errorf("policy alone: %w", err)
	}
	if err := s.acceptAll(parts, version); err != nil {
		return fmt.Errorf("the root and the stores: %w", err)
	}
	return nil
}

// acceptNested requires one nested module and nothing else.
func (s *stranger) acceptNested(parts []*part, p *part, version string) error {
	host := s.module(parts, nil)
	if _, err := s.command(host, nil, "get", p.path+"@"+version); err != nil {
		return err
	}
	root, err := s.command(host, nil, "list", "-m", rootPath)
	if err != nil {
		return err
	}
	if want := rootPath + " " + version; strings.TrimSpace(root) != want {
		return fmt.Errorf("it takes %s and not %s", root, want)
	}
	// Its go.mod and go.sum must suffice for itself: go get mends what is missing.
	dir, err := s.unpacked(p, version)
	if err != nil {
		return err
	}
	alone := s.t.TempDir()
	if err := os.CopyFS(alone, os.DirFS(dir)); err != nil {
		return err
	}
	if _, err := s.command(alone, []string{"GOFLAGS=-mod=readonly -modcacherw"}, "list", "-deps", "-test", "./..."); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(alone, "LICENSE")); err != nil {
		return err
	}
	// go install pkg@version refuses a go.mod that replaces anything. It has no go.sum
	// to look into, for what was just compared with one. What it would do is enough:
	// compiling is for acceptAll.
	mains, err := s.command(alone, nil, "list", "-f", `{{if eq .Name "main"}}{{.ImportPath}}{{end}}`, "./...")
	if err != nil {
		return err
	}
	for main := range strings.FieldsSeq(mains) {
		if _, err := s.command(host, []string{"GOSUMDB=off"}, "install", "-n", main+"@"+version); err != nil {
			return err
		}
	}
	return nil
}

// policyNeeds are the modules that somebody's build list has who requires the root
// module alone. Of all but the root itself, go.mod files are all that is fetched.
var policyNeeds = []string{
	"github.com/boombuler/barcode", rootPath, "github.com/pquerna/otp", "github.com/stretchr/testify",
	"go.yaml.in/yaml/v3", "golang.org/x/crypto", "golang.org/x/sys", "golang.org/x/text", "stranger.example/host",
}

// acceptPolicy is somebody who imports policy and nothing else.
func (s *stranger) acceptPolicy(parts []*part, version string) error {
	fresh := newStranger(s.t, s.proxy)
	host := fresh.module(parts, map[string]string{"main.go": `package main

import "` + rootPath + `/policy"

func main() { println(policy.NPM().Err() == nil) }
`})
	if _, err := fresh.command(host, nil, "get", rootPath+"/policy@"+version); err != nil {
		return err
	}
	list, err := fresh.command(host, nil, "list", "-m", "-f", "{{.Path}}", "all")
	if err != nil {
		return err
	}
	needs := strings.Fields(list)
	slices.Sort(needs)
	if want := slices.Sorted(slices.Values(policyNeeds)); !slices.Equal(needs, want) {
		return fmt.Errorf("its build list is %v and not %v", needs, want)
	}
	if _, err := fresh.command(host, nil, "build", "-o", os.DevNull, "."); err != nil {
		return err
	}
	var zips []string
	err = filepath.WalkDir(filepath.Join(fresh.cache, "cache", "download"), func(file string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(file, ".zip") {
			zips = append(zips, filepath.Base(file))
		}
		return err
	})
	if err == nil && len(zips) != 1 {
		err = fmt.Errorf("it downloads %d modules: %v", len(zips), zips)
	}
	return err
}

// acceptAll is somebody whose registry has everything that the root module offers
// and all stores. It builds the program and runs it.
func (s *stranger) acceptAll(parts []*part, version string) error {
	main, err := os.ReadFile("testdata/host/main.go")
	if err != nil {
		return err
	}
	var wanted []*part
	imports, opens := "", ""
	for _, p := range parts {
		if p.dir == "" || path.Dir(p.dir) == "store" {
			wanted = append(wanted, p)
		}
		if path.Dir(p.dir) == "store" {
			imports += fmt.Sprintf("\t%q\n", p.path)
			opens += fmt.Sprintf("\t%s.Open,\n", path.Base(p.dir))
		}
	}
	host := s.module(parts, map[string]string{
		"main.go":   string(main),
		"stores.go": "package main\n\nimport (\n" + imports + ")\n\nvar _ = []any{\n" + opens + "}\n",
	})
	args := []string{"get"}
	for _, p := range wanted {
		args = append(args, p.path+"@"+version)
	}
	if _, err := s.command(host, nil, args...); err != nil {
		return err
	}
	if err := s.acceptPackages(host, wanted); err != nil {
		return err
	}
	// The same modules, built where this machine has compiled those of other people
	// before: the build cache knows a package by its folder.
	edit := []string{"mod", "edit"}
	for _, p := range parts {
		dir, err := s.unpacked(p, version)
		if err != nil {
			return err
		}
		edit = append(edit, "-replace="+p.path+"@"+version+"="+dir)
	}
	for _, ext := range []string{"mod", "sum"} {
		data, err := os.ReadFile(filepath.Join(host, "go."+ext))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(host, "build."+ext), data, 0o644); err != nil {
			return err
		}
	}
	if _, err := s.command(host, nil, append(edit, "build.mod")...); err != nil {
		return err
	}
	out, err := s.command(host, []string{"GOMODCACHE=" + s.machine}, "run", "-modfile=build.mod", ".")
	if err != nil {
		return err
	}
	if want := `200 {"username":"alice"}`; strings.TrimSpace(out) != want {
		return fmt.Errorf("whoami answers %s and not %s", out, want)
	}
	return nil
}

// acceptPackages compares the packages that the host sees with those that the
// repository has.
func (s *stranger) acceptPackages(host string, parts []*part) error {
	var want []string
	for _, p := range parts {
		out, err := s.command(filepath.Join(repository, p.dir), []string{"GOMODCACHE=" + s.machine, "GOFLAGS="}, "list", "./...")
		if err != nil {
			return err
		}
		want = append(want, strings.Fields(out)...)
	}
	out, err := s.command(host, nil, "list", rootPath+"/...")
	if err != nil {
		return err
	}
	got := strings.Fields(out)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		return fmt.Errorf("it has the packages %v and not %v", got, want)
	}
	return nil
}
