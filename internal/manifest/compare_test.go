package manifest_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/fuzzbound"
	"github.com/npmauth/npmauth/internal/jsontest"
	"github.com/npmauth/npmauth/internal/manifest"
)

const (
	byNPM   = `,"_nodeVersion":"24.0.0","_npmVersion":"12.0.0"`
	byNPM7  = `,"_nodeVersion":"24.0.0","_npmVersion":"7.24.2"`
	byYarn1 = ``
)

// What a client makes of a package.json is no difference, AU-37.
func TestCompareAccepts(t *testing.T) {
	for _, tt := range []struct {
		packed, published string
		files             string
	}{
		{``, byNPM, ""},
		{`,"scripts":{"x":"./node_modules/.bin/tsc","y":5,"z":".\\node_modules\\.bin\\node_modules/.bin/a"}`, `,"scripts":{"x":"tsc","z":"a"}` + byNPM, ""},
		{``, `,"scripts":{"install":"node-gyp rebuild"},"gypfile":true` + byNPM, "binding.gyp"},
		{`,"scripts":{"install":""}`, `,"scripts":{"install":"node-gyp rebuild"},"gypfile":true` + byNPM, "binding.gyp"},
		{``, ``, "binding.gyp"},
		{`,"gypfile":false,"scripts":{"install":"node-gyp rebuild"}`, `,"gypfile":true,"scripts":{"install":"node-gyp rebuild"}` + byNPM7, "binding.gyp"},
		{`,"gypfile":false`, `,"gypfile":false,"scripts":{"install":"node-gyp rebuild"}` + byYarn1, "binding.gyp"},
		{`,"scripts":["a"]`, `,"scripts":["a"],"gypfile":true` + byNPM, "binding.gyp"},
		{`,"scripts":5`, `,"gypfile":true` + byNPM7, "binding.gyp"},
		{`,"scripts":{"x":"a"}`, `,"scripts":{"x":"a","start":"node server.js"}` + byNPM, "server.js"},
		{`,"scripts":null,"os":null,"engines":null,"bin":null,"dependencies":null`, byNPM, ""},

		{`,"dependencies":{"a":"1"},"optionalDependencies":{"b":"2"}`, `,"dependencies":{"a":"1","b":"2"},"optionalDependencies":{"b":"2"}` + byNPM7, ""},
		{`,"dependencies":{"a":"1","b":"1"},"optionalDependencies":{"b":"2"}`, `,"dependencies":{"a":"1"},"optionalDependencies":{"b":"2"}` + byNPM, ""},
		{`,"dependencies":"a@1, b","devDependencies":["c@^2","@d/e@1",5]`, `,"dependencies":{"a":"1","b":""},"devDependencies":{"c":"^2","":"d/e@1"}` + byNPM, ""},
		{`,"devDependencies":["a @1"]`, `,"devDependencies":{"a":"@1"}` + byNPM, ""},
		{`,"devDependencies":["a @1"]`, `,"devDependencies":{"a":"1"}` + byNPM7, ""},
		{`,"dependencies":{"a":5,"//":"c"},"peerDependencies":{"b":null,"//":"c"}`, `,"dependencies":{},"peerDependencies":{"b":""}` + byYarn1, ""},
		{`,"dependencies":{"a":"file:../a"}`, `,"dependencies":{"a":"file:packages/a"}` + byYarn1, ""},
		{`,"dependencies":{"a":"1","b":"*"},"devDependencies":{"a":"2","b":"3"},"optionalDependencies":{"a":"*"}`, `,"dependencies":{"b":"3"},"devDependencies":{},"optionalDependencies":{"a":"1"}` + byYarn1, ""},
		{`,"dependencies":{"a":"u/r","b":"https://github.com/u/r#x%20y","c":"git@gitlab.com:g/s/r.git","d":"gist:11081aaa281"}`,
			`,"dependencies":{"a":"github:u/r","b":"git+https://github.com/u/r.git#x y","c":"git+ssh://git@gitlab.com/g/s/r.git","d":"gist:11081aaa281"}` + byNPM, ""},
		{`,"bundledDependencies":["a","",5]`, `,"bundleDependencies":["a"],"dependencies":{"a":"*"}` + byNPM, ""},
		{`,"dependencies":{"a":"1"},"bundleDependencies":true`, `,"dependencies":{"a":"1"},"bundleDependencies":["a"]` + byNPM, ""},
		{`,"dependencies":{"a":"1"},"bundleDependencies":["a"]`, `,"dependencies":{"a":"*"},"bundleDependencies":["a"]` + byNPM7, ""},
		{`,"bundleDependencies":{"a":1}`, `,"bundleDependencies":["a"]` + byNPM, ""}, {`,"bundleDependencies":{"a":1}`, byNPM7, ""},
		{`,"bundleDependencies":false`, `,"bundleDependencies":[]` + byNPM, ""}, {`,"bundleDependencies":"a"`, byNPM, ""},

		{`,"bin":"./cli.js"`, `,"bin":{"widget":"cli.js"}` + byNPM, ""}, {`,"bin":"cli.js"`, `,"bin":{"@s/widget":"cli.js"}`, ""},
		{`,"bin":["./a/cli.js"]`, `,"bin":{"cli.js":"a/cli.js"}` + byNPM, ""},
		{`,"bin":{"a/b":"../x/../cli.js","..":"x","c":5,"d":"","e":"x\\y","f\n":"f"}`, `,"bin":{"b":"cli.js","e":"x/y","f":"f"}` + byNPM, ""},
		{`,"bin":{"@s/n":"cli.js","a":"/x","b":"b.js"}`, `,"bin":{"b":"b.js"}` + byYarn1, ""},
		{`,"directories":{"bin":"./bin"}`, `,"directories":{"bin":"./bin"},"bin":{"one":"bin/one","sub":"bin/sub","two":"bin/sub/two","gone":"bin/gone"}` + byNPM, "bin/one bin/sub/two bin/.x index.js"},
		{`,"directories":{"bin":"./bin"}`, `,"directories":{"bin":"./bin"}`, "bin/one"},
		{`,"directories":{"bin":"./bin"}`, `,"bin":{"one":"bin/one"}` + byYarn1, "bin/one"},
		{`,"directories":{"bin":"."}`, `,"directories":{"bin":"."},"bin":{"one":"/one","package.json":"package.json"}` + byNPM, "one"},
		{`,"directories":{"bin":"bin"},"bin":{}`, `,"bin":{}` + byYarn1, "bin/one"}, {`,"directories":{"bin":"bin"},"bin":"x"`, `,"bin":{"widget":"x"}` + byYarn1, "bin/one"},

		{`,"engines":["node >= 6","npm"],"os":"linux"`, `,"engines":{"node":">= 6","npm":""},"os":["linux"]` + byYarn1, ""},
		{`,"_NodeVersion":"1"`, byNPM, ""},
		{`,"Scripts":{"x":[1,2]},"config":1`, `,"Scripts":{"x":[1,2]},"config":2,"dist":{}` + byNPM, ""},
	} {
		err := manifest.Compare(read(t, tt.published), read(t, tt.packed), filesOf(strings.Fields(tt.files)...))
		assert.NoError(t, err, "%s\n%s", tt.packed, tt.published)
	}
}

// Manifest confusion is refused, with the field and both sides.
func TestCompareRefuses(t *testing.T) {
	for _, tt := range []struct{ packed, published, files, says string }{
		{`,"scripts":{"postinstall":"node x"}`, ``, "", `scripts.postinstall is missing in the version's manifest and "node x" in the tarball's package.json; publish both from one folder, or the file that npm pack makes`},
		{``, `,"scripts":{"postinstall":"node x"}`, "", `scripts.postinstall is "node x" in the version's manifest and missing in the tarball's package.json`},
		{`,"scripts":{"a":"x"}`, `,"scripts":{"a":"` + strings.Repeat("y", 70) + `"}`, "", `scripts.a is "` + strings.Repeat("y", 59) + `…" in`},
		{`,"scripts":{"a\n":"x"}`, ``, "", `scripts["a\n"] is missing`},
		{`,"scripts":{"test":"x"}`, ``, "", "scripts.test"}, {`,"scripts":{"install":"x"}`, `,"scripts":{"install":"node-gyp rebuild"}`, "binding.gyp", "scripts.install"},
		{``, `,"gypfile":true` + byNPM, "binding.gyp", "gypfile"}, {`,"gypfile":false`, ``, "", "gypfile"}, {``, `,"gypfile":false`, "", "gypfile"},
		{`,"gypfile":false`, `,"gypfile":true,"scripts":{"install":"node-gyp rebuild"}` + byNPM, "", "gypfile"},
		{`,"dependencies":{"a":"1"}`, ``, "", "dependencies.a"}, {`,"dependencies":{"a":"1"}`, `,"dependencies":{"a":"2"}`, "", `"2" in the version's manifest and "1" in`},
		{`,"dependencies":{"a":"1"}`, `,"devDependencies":{"a":"1"}`, "", "dependencies.a"}, {`,"dependencies":{"a":"1"}`, `,"optionalDependencies":{"a":"1"}`, "", "dependencies.a"},
		{`,"peerDependencies":{"a":"1"}`, ``, "", "peerDependencies.a"}, {``, `,"peerDependencies":["a"]`, "", "peerDependencies"},
		{`,"peerDependenciesMeta":{"a":{"optional":true}}`, `,"peerDependenciesMeta":{"a":{"optional":false}}`, "", "peerDependenciesMeta.a"},
		{`,"dependencies":{"a":"u/r"}`, `,"dependencies":{"a":"github:u/s"}`, "", "dependencies.a"}, {`,"dependencies":{"a":"u/r#x"}`, `,"dependencies":{"a":"github:u/r"}`, "", "dependencies.a"},
		{`,"dependencies":{"a":"gitlab:u/r"}`, `,"dependencies":{"a":"github:u/r"}`, "", "dependencies.a"},
		{`,"dependencies":{"a":"https://me@github.com/u/r"}`, `,"dependencies":{"a":"https://you@github.com/u/r"}`, "", "dependencies.a"},
		{`,"dependencies":{"a":"file:../a"}`, `,"dependencies":{"a":"file:packages/a"}` + byNPM, "", "dependencies.a"},
		{`,"dependencies":{"a":"1"},"devDependencies":{"a":"2"}`, `,"dependencies":{"a":"1"}` + byNPM, "", "devDependencies.a"},
		{`,"dependencies":{"a":"1"},"devDependencies":{"a":"2"}`, `,"dependencies":{"a":"2"}` + byYarn1, "", "dependencies.a"},
		{`,"dependencies":{"a":null}`, `,"dependencies":{"a":""}` + byNPM, "", "dependencies.a"},
		{`,"bundleDependencies":["a"]`, ``, "", "bundleDependencies.a"}, {`,"bundleDependencies":{"a":1}`, byNPM, "", "bundleDependencies.a"},
		{`,"bundleDependencies":["a"],"bundledDependencies":["b"]`, `,"bundleDependencies":["b"],"dependencies":{"b":"*"}`, "", "bundleDependencies"},
		{`,"dependencies":{"a":"1"},"bundleDependencies":["a"]`, `,"dependencies":{"a":"*"},"bundleDependencies":["a"]` + byNPM, "", "dependencies.a"},
		{`,"bin":"cli.js"`, ``, "", "bin.widget"}, {`,"bin":{"a":"x"}`, `,"bin":{"a":"y"}`, "", "bin.a"}, {`,"bin":{"a":"/x","@s/n":"y"}`, `,"bin":{"a":"x"}` + byNPM, "", "bin.n"},
		{`,"bin":{"a/x":"1","b/x":"2"}`, `,"bin":{"x":"2"}`, "", `package.json has more than one meaning: bin has two commands that are called "x"`},
		{``, `,"bin":{"a/x":"1","b/x":"2"}`, "", `manifest has more than one meaning`},
		{`,"directories":{"bin":"bin"}`, `,"bin":{"two":"bin/two"}`, "bin/one bin/two", `bin.one is missing`}, {`,"directories":{"bin":"bin"}`, `,"bin":{"one":"lib/one"}`, "bin/one", "bin.one"},
		{`,"directories":{"bin":"bin"}`, `,"bin":{"other":"bin/one"}`, "bin/one", "bin.other"}, {`,"directories":{"bin":"bin"}`, ``, "bin/one", "directories.bin"},
		{``, `,"directories":{"bin":"bin"}`, "bin/one", "directories.bin"}, {`,"directories":{"bin":"bin"}`, `,"directories":{"bin":"lib"}`, "", "directories.bin"},
		{`,"directories":{"bin":"bin"},"bin":{}`, byNPM, "bin/one", "directories.bin"},
		{`,"engines":{"node":">1"}`, ``, "", "engines.node"}, {`,"os":["linux"]`, `,"os":["win32"]`, "", "os is"}, {`,"cpu":"x64"`, ``, "", "cpu"}, {``, `,"libc":["musl"]`, "", "libc"},
		{``, `,"hasInstallScript":false`, "", "hasInstallScript"}, {``, `,"acceptDependencies":{"a":"1"}`, "", "acceptDependencies.a"}, {``, `,"dependenciesMeta":{"a":{"built":false}}`, "", "dependenciesMeta.a"},
		{``, `,"bin":{"@s/n":"x"}` + byYarn1, "", "bin.n"}, {``, `,"bundleDependencies":{"a":1}` + byNPM7, "", "bundleDependencies.a"},
		{`,"dependencies":{"a":"1"},"bundleDependencies":["a"]`, `,"dependencies":{"a":"2"},"bundleDependencies":["a"]` + byNPM7, "", "dependencies.a"},
		{`,"dependencies":{"a":"1"},"bundleDependencies":["a"]`, `,"bundleDependencies":["a"]` + byNPM7, "", "dependencies.a"},
		{``, `,"Scripts":{"postinstall":"x"}`, "", "Scripts"}, {`,"` + "\u017f" + `cripts":{}`, ``, "", "cripts"},
	} {
		err := manifest.Compare(read(t, tt.published), read(t, tt.packed), filesOf(strings.Fields(tt.files)...))
		if assert.ErrorContains(t, err, tt.says, "%s\n%s", tt.packed, tt.published) {
			var differs *manifest.Error
			assert.ErrorAs(t, err, &differs)
		}
	}
}

// A package that names no commands but a folder of them is refused if its files cannot be listed.
func TestFilesBound(t *testing.T) {
	many := filesOf()
	for i := range 10000 {
		many.Add(fmt.Sprintf("lib/a-file-with-a-name-%d", i))
	}
	folder := read(t, `,"directories":{"bin":"bin"},"bin":{}`)
	named := read(t, `,"directories":{"bin":"bin"},"bin":{"one":"bin/one"}`)
	assert.ErrorContains(t, manifest.Compare(named, folder, many), "too many files")
	assert.NoError(t, manifest.Compare(named, named, many))
	assert.ErrorContains(t, manifest.Compare(read(t, byNPM), folder, many), "directories.bin")
	assert.NoError(t, manifest.Compare(folder, folder, many))
}

// An entry that is the package's folder, to some, is no command of it.
func TestFilesNameless(t *testing.T) {
	for _, name := range []string{"", ".", "..", "./", "x/..", "/"} {
		m := read(t, `,"directories":{"bin":"."},"bin":{"a":"x"}`)
		assert.NoError(t, manifest.Compare(m, m, filesOf(name)), "%q", name)
		folder := read(t, `,"directories":{"bin":"."}`)
		assert.NoError(t, manifest.Compare(folder, folder, filesOf(name)), "%q", name)
	}
}

// AU-26: a text in which each character is a bundled dependency makes no more of them than anybody
// would write.
func TestBundledCharacters(t *testing.T) {
	of := func(n int) manifest.Manifest {
		return read(t, `,"bundleDependencies":true,"dependencies":"`+strings.Repeat("x", n)+`"`)
	}
	assert.NoError(t, manifest.Compare(of(256), of(256), filesOf()))
	assert.ErrorContains(t, manifest.Compare(of(257), of(257), filesOf()), "each of its characters")
	assert.NoError(t, manifest.Compare(read(t, `,"dependencies":"`+strings.Repeat("x", 257)+`"`), read(t, `,"dependencies":"`+strings.Repeat("x", 257)+`"`), filesOf()))
}

// reading is what a package.json may take, and its comparison with another.
var reading = fuzzbound.Bounds{Memory: fuzzbound.Limit{Base: 512 << 10, PerByte: 1 << 10}}

// FuzzCompare: whatever two manifests have, one is equal to itself unless it has more than one
// meaning, and two that are accepted run the same after an installation and are for the same systems.
func FuzzCompare(f *testing.F) {
	for _, seed := range []string{
		`"scripts":{"postinstall":"x","a":5}`, `"dependencies":{"a":"u/r#x","//":""},"optionalDependencies":["a"]`, `"devDependencies":["a@1","b"],"dependencies":"a b@1,c","bin":["a","b/c"]`, `"bin":{"a/x":"1","b/x":"./2"}`, `"bin":["/a",".."]`,
		`"directories":{"bin":"."},"bin":{"":"."}`, `"bundleDependencies":true,"dependencies":"a b@1"`, `"engines":[" a  b ",5],"os":"x","cpu":[[]],"libc":{}`, `"gypfile":true,"scripts":[]`,
		`"scripts":{"postinstall":"node_modules/.bin/x"}`, `"SCRIPTS":1e5,"_npmVersion":"6.1.1","_nodeVersion":null`, `"private":-4e457`, `"os":[1e400,100000,1e5]`,
	} {
		f.Add([]byte(seed), []byte(seed), "bin/one\none")
		f.Add([]byte(seed), []byte(``), ".")
	}
	prefix := regexp.MustCompile(`^((\.[/\\])?node_modules[/\\].bin[\\/])+`)
	f.Fuzz(func(t *testing.T, a, b []byte, names string) {
		files := filesOf(strings.Split(names, "\n")...)
		var both [2]manifest.Manifest
		var plain [2]struct {
			scripts map[string]any
			os      any
		}
		for i, fields := range [][]byte{a, b} {
			text := `{` + string(fields) + `}`
			fuzzbound.Check(t, fields, reading, func(fields []byte) int {
				m, err := parse(`{` + string(fields) + `}`)
				if err == nil {
					_ = manifest.Compare(m, m, files)
				}
				return 0
			})
			m, err := parse(text)
			if err != nil {
				return
			}
			top := jsontest.Value[map[string]any](t, []byte(text))
			plain[i].scripts, _ = top["scripts"].(map[string]any)
			plain[i].os = top["os"]
			if s, ok := plain[i].os.(string); ok {
				plain[i].os = []any{s}
			}
			m.Name, m.Version = "widget", "1.0.0"
			both[i] = m
			if err := manifest.Compare(m, m, files); err != nil && !strings.Contains(err.Error(), "directories.bin") {
				// A name in the manifest for each file of the folder, or none.
				require.Regexp(t, `more than one meaning|^bin`, err.Error())
			}
		}
		if manifest.Compare(both[0], both[1], filesOf()) != nil {
			return
		}
		require.Equal(t, plain[1].os, plain[0].os)
		x, isX := plain[0].scripts["postinstall"].(string)
		y, isY := plain[1].scripts["postinstall"].(string)
		require.Equal(t, isX, isY)
		require.Equal(t, prefix.ReplaceAllString(y, ""), prefix.ReplaceAllString(x, ""))
	})
}
