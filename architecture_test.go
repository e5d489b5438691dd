package npmauth_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const module = "github.com/npmauth/npmauth"

// mayImport says which packages of ours each package of the root module may
// import, tests aside. "ground" stands for protocol, policy, credential, store, audit, subject
// and what is internal.
var mayImport = map[string][]string{
	"protocol":   {"internal/words"},
	"policy":     {"protocol", "internal/words"},
	"store":      {},
	"audit":      {"protocol", "store"},
	"credential": {"store"},
	"subject":    {"protocol", "policy", "credential", "store", "audit", "internal/cidr"},
	"account":    {"ground", "host"},
	"host":       {"protocol", "policy", "credential"},
	"settings":   {"ground"},
	"stage":      {"ground"},
	"session":    {"ground"},
	"token":      {"ground"},
	"twofactor":  {"ground"},
	"trust":      {"ground"},
	"packument":  {"protocol", "internal/strictjson", "internal/manifest", "internal/tarball"},
	"wire":       {"protocol", "policy", "credential", "subject", "internal/header", "internal/strictjson", "internal/typed"},
	"legacy":     {"credential", "internal/header", "internal/strictjson"},
	"web":        {"ground", "session", "trust", "twofactor"},
	"leak":       {"ground"},
	"":           {"ground", "host", "account", "settings", "session", "token", "twofactor", "trust", "stage", "legacy", "leak", "web", "internal/authz", "internal/guard", "internal/api"},

	"internal/authz": {"ground", "host", "wire", "packument", "account", "settings", "session", "token", "twofactor", "trust", "stage", "legacy"},
	"internal/guard": {"ground", "host", "wire", "packument", "settings", "stage", "internal/authz"},
	"internal/api":   {"ground", "host", "wire", "account", "settings", "session", "token", "twofactor", "trust", "legacy", "leak", "web", "internal/authz"},

	"internal/fuzzbound":  {},
	"internal/strictjson": {},
	"internal/manifest":   {"internal/strictjson"},
	"internal/tarball":    {"internal/strictjson", "internal/manifest"},
	"internal/clientip":   {},
	"internal/header":     {},
	"internal/words":      {},
	"internal/typed":      {},
	"internal/kdf":        {},
	"internal/cidr":       {},
	"internal/keylock":    {},
	"internal/keystest":   {"ground", "twofactor"},
	"internal/issuertest": {},
	"internal/jsontest":   {},
	"internal/vectors":    {},
	"internal/bucket":     {"internal/cidr"},
	"internal/budget":     {},

	"store/storetest":   {"store"},
	"policy/policytest": {"policy", "protocol"},
	"host/hosttest":     {"ground", "host", "", "account", "session", "token", "trust"},
}

var ground = []string{"protocol", "policy", "credential", "store", "audit", "subject"}

// above are the internal packages that stand on the parts, not below them.
var above = []string{"internal/authz", "internal/guard", "internal/api"}

// jitter are the files that draw numbers which may be guessed, to wait for a while.
var jitter = []string{"internal/authz/watch.go", "store/tx.go", "store/storetest/load.go", "store/storetest/concurrent.go", "store/storetest/watch.go"}

// TestImports holds every package to the direction that its imports may take, and
// the parts of the library to staying apart from HTTP.
func TestImports(t *testing.T) {
	seen, used := map[string]bool{}, map[[2]string]bool{}
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			nested, _ := filepath.Glob(filepath.Join(file, "go.mod"))
			if file != "." && (len(nested) > 0 || strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		pkg := filepath.ToSlash(filepath.Dir(file))
		if pkg == "." {
			pkg = ""
		}
		allowed, known := mayImport[pkg]
		if !assert.True(t, known, "package %q is not in this test's table", pkg) {
			return nil
		}
		seen[pkg] = true
		if pkg != "internal/kdf" {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			assert.NotContains(t, string(text), "kdf.Replace", "%s is no test", file)
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		require.NoError(t, err)
		for _, spec := range parsed.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			require.NoError(t, err)
			if strings.HasPrefix(name, "math/rand") { // ST-21: what must not be guessed has one source, and no other to fall back on
				assert.Contains(t, jitter, file, "%s draws numbers that can be guessed", file)
			}
			if name == "net/http" {
				assert.Contains(t, []string{"", "legacy", "web", "leak", "wire", "host/hosttest", "internal/clientip", "internal/header", "internal/authz", "internal/guard", "internal/api", "internal/issuertest"}, pkg, "%s imports net/http", file)
			}
			if name == module+"/internal/kdf" { // which must stay argon2id outside of tests
				assert.Equal(t, "account", pkg, "%s imports %q", file, name)
			}
			ours, ok := strings.CutPrefix(name, module)
			if !ok {
				continue
			}
			ours = strings.TrimPrefix(ours, "/")
			used[[2]string{pkg, ours}] = true
			fine := slices.Contains(allowed, ours) ||
				slices.Contains(allowed, "ground") && (slices.Contains(ground, ours) || path.Dir(ours) == "internal" && !slices.Contains(above, ours))
			assert.True(t, fine, "%s imports %q", file, ours)
		}
		return nil
	})
	require.NoError(t, err)
	for pkg, allowed := range mayImport {
		assert.True(t, seen[pkg], "package %q of this test's table is not there", pkg)
		for _, ours := range allowed {
			assert.True(t, ours == "ground" || used[[2]string{pkg, ours}], "%q imports no %q, and need not be allowed to", pkg, ours)
		}
	}
}
