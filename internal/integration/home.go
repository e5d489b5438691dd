package integration

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Password is what the accounts of the tests have.
const Password = "correct horse battery"

// A Home is the home folder of one person on one machine: their .npmrc, .yarnrc.yml and vlt.json,
// cache and projects, and nothing of the machine that the tests run on.
type Home struct {
	Dir      string
	Registry string

	t        testing.TB
	commands map[string]string // the home's own, see Use: what runs each; nil if it has none
	extra    []string          // of the environment, see Set
}

// NewHome makes a home whose only registry is at registryURL. Nobody is logged in.
func NewHome(t testing.TB, registryURL string) *Home {
	t.Helper()
	h := &Home{Dir: t.TempDir(), Registry: registryURL, t: t}
	h.writeConfig("", "")
	return h
}

// SetToken logs the home in with a token, as CI does, or out with "".
func (h *Home) SetToken(token string) {
	h.t.Helper()
	if token == "" {
		h.writeConfig("", "")
		h.write(pnpmAuth, "")
		h.write(vltKeychain, "{}\n")
		return
	}
	npm := fmt.Sprintf("%s:_authToken=%s\n", h.realm(), token)
	h.writeConfig(npm, fmt.Sprintf("npmAuthToken: %q\n", token))
	h.write(pnpmAuth, npm)
	u, err := url.Parse(h.Registry)
	require.NoError(h.t, err)
	h.write(vltKeychain, fmt.Sprintf("{%q:%q}\n", u.Scheme+"://"+u.Host, "Bearer "+token))
}

// Token returns the token that npm has stored, "" if there is none.
func (h *Home) Token() string {
	h.t.Helper()
	data, err := os.ReadFile(h.config())
	require.NoError(h.t, err)
	for line := range strings.Lines(string(data)) {
		if token, ok := strings.CutPrefix(strings.TrimSpace(line), h.realm()+":_authToken="); ok {
			return strings.Trim(token, `"`)
		}
	}
	return ""
}

// Tokens returns the sessions of npmauth that clients have stored, and in how many places.
func (h *Home) Tokens() map[string]int {
	h.t.Helper()
	found := map[string]int{}
	for _, file := range []string{".npmrc", ".yarnrc.yml", pnpmAuth, vltKeychain} {
		data, err := os.ReadFile(h.in(file))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		require.NoError(h.t, err)
		for _, token := range stored.FindAllString(string(data), -1) {
			found[token]++
		}
	}
	return found
}

// Where clients keep their tokens, beside .npmrc and .yarnrc.yml.
const (
	pnpmAuth    = ".config/pnpm/auth.ini" // of pnpm 11 and later
	vltKeychain = ".xdata/vlt/auth/keychain.json"
)

var stored = regexp.MustCompile(`npms_[A-Za-z0-9]+`)

// Set sets a variable of the environment of what is started in the home from now on.
func (h *Home) Set(name, value string) { h.extra = append(h.extra, name+"="+value) }

func (h *Home) in(path string) string { return filepath.Join(h.Dir, filepath.FromSlash(path)) }

// write writes a file of the home with what nobody else may read.
func (h *Home) write(path, text string) {
	h.t.Helper()
	require.NoError(h.t, os.MkdirAll(filepath.Dir(h.in(path)), 0o755))
	require.NoError(h.t, os.WriteFile(h.in(path), []byte(text), 0o600))
}

func (h *Home) config() string { return filepath.Join(h.Dir, ".npmrc") }

// writeConfig writes the configuration of npm, which Yarn 1, pnpm and Bun read, too, and those of
// Yarn 2 and later and of vlt.
func (h *Home) writeConfig(npm, yarn string) {
	h.t.Helper()
	u, err := url.Parse(h.Registry)
	require.NoError(h.t, err)
	yarn += fmt.Sprintf("npmRegistryServer: %q\nunsafeHttpWhitelist: [%q]\n", strings.TrimSuffix(h.Registry, "/"), u.Hostname()) +
		"enableTelemetry: false\nenableGlobalCache: false\nnodeLinker: node-modules\n"
	h.write(".yarnrc.yml", yarn)
	h.write(".npmrc", "registry="+h.Registry+"\n"+npm)
	h.write(".config/vlt/vlt.json", fmt.Sprintf(`{"config":{"registry":%[1]q,"registries":{"npm":%[1]q}}}`+"\n", h.Registry))
}

// realm is how npm names the registry that a credential belongs to.
func (h *Home) realm() string {
	u, err := url.Parse(h.Registry)
	require.NoError(h.t, err)
	return "//" + u.Host + u.Path
}

// DropCache empties npm's cache, so that what it installs next it must fetch.
func (h *Home) DropCache() {
	h.t.Helper()
	require.NoError(h.t, os.RemoveAll(filepath.Join(h.Dir, ".cache")))
}

// Project makes a folder with files in it and returns its path. A file whose name
// has slashes gets its folders, too.
func (h *Home) Project(name string, files map[string]string) string {
	h.t.Helper()
	dir := filepath.Join(h.Dir, name)
	for file, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(file))
		require.NoError(h.t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(h.t, os.WriteFile(path, []byte(content), 0o644))
	}
	return dir
}

// Package makes the folder of a package that can be published, and returns its
// path.
func (h *Home) Package(name, version string) string {
	h.t.Helper()
	return h.Project(filepath.Base(name), map[string]string{
		"package.json": fmt.Sprintf(`{"name":%q,"version":%q,"description":"made for a test","license":"MIT","main":"index.js"}`, name, version),
		"index.js":     fmt.Sprintf("module.exports = %q\n", name+"@"+version),
	})
}

// environment is all that a client sees. Nothing is inherited but the way to the
// programs: the variables of a CI system would change what clients do.
func (h *Home) environment() []string {
	path := os.Getenv("PATH")
	if h.commands != nil {
		path = h.bin() + string(os.PathListSeparator) + path
	}
	return append([]string{
		"PATH=" + path, "HOME=" + h.Dir, "TERM=xterm", "LANG=C.UTF-8", "NO_COLOR=1", "BROWSER=/bin/true",
		"XDG_CONFIG_HOME=" + h.in(".config"), "XDG_CACHE_HOME=" + h.in(".xcache"), "XDG_DATA_HOME=" + h.in(".xdata"),
		"npm_config_cache=" + h.in(".cache"), "npm_config_globalconfig=" + h.in("global-npmrc"),
		"npm_config_update_notifier=false", "npm_config_progress=false", "npm_config_audit=false", "npm_config_fund=false",
		"npm_config_fetch_retry_mintimeout=100", "npm_config_fetch_retry_maxtimeout=200",
		"YARN_IGNORE_PATH=1", "YARN_ENABLE_IMMUTABLE_INSTALLS=false",
		"FAKEROOTKEY=1", // Yarn 1 has another home for root
		"pnpm_config_pm_on_fail=ignore",
	}, h.extra...)
}
