//go:build !race

// The detector slows tenfold what has no race in it: these pack tens of MiB.

package tarball_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/tarball"
)

// counted checks packed and returns what that took and why it was refused.
func counted(t *testing.T, packed []byte) (map[string]int64, error) {
	t.Helper()
	c := tarball.New()
	_, err := c.Write(text(packed))
	if err == nil {
		_, err = c.Close()
	}
	work := c.Work()
	for what, n := range most(int64(len(packed))) {
		assert.LessOrEqual(t, work[what], n, what)
	}
	return work, err
}

// AU-26: a tarball of half a MiB that costs seconds is refused before it has.
func TestWorkIsBoundedByWhatWasSent(t *testing.T) {
	const (
		big     = "too big unpacked"
		entries = "too many entries"
		attrs   = "too many attributes"
		several = "too many package.json"
	)
	records := strings.Repeat("5 a=\n", 60<<10/5)
	comments := record("comment", strings.Repeat("x", 60<<10))
	long := entry{name: "././@LongLink", kind: 'L', magic: "ustar  \x00", body: "package/" + strings.Repeat("/.", 30<<10) + "x\x00"}
	object := `{"name":"@acme/widget","version":"1.0.0","x":[` + strings.Repeat("0,", 500<<10) + "0]}"
	for name, tt := range map[string]struct {
		entry entry
		n     int
		says  string
	}{
		"zeros":                {entry{name: "package/x", body: strings.Repeat("\x00", 1<<20)}, 48, big},
		"headers":              {entry{name: "package/x"}, 40 << 10, entries},
		"equal package.json":   {pkg, 5000, several},
		"big package.json":     {entry{name: pkg.name, body: object}, 5, several},
		"records of pax":       {entry{name: "PaxHeader", kind: 'x', body: records}, 500, attrs},
		"records for all":      {entry{name: "pax_global_header", kind: 'g', body: records}, 500, attrs},
		"long records of pax":  {entry{name: "PaxHeader", kind: 'x', body: comments}, 500, attrs},
		"long names of GNU":    {long, 500, attrs},
		"headers of pax":       {entry{name: "PaxHeader", kind: 'x'}, 20 << 10, entries},
		"directories":          {entry{name: "package/x/", kind: '5'}, 40 << 10, entries},
		"files that pack well": {entry{name: "package/x", body: strings.Repeat("x", 4<<10)}, 10 << 10, big},
	} {
		t.Run(name, func(t *testing.T) {
			one := tt.entry.bytes()
			if tt.entry.kind == 'x' || tt.entry.kind == 'L' {
				one = append(one, entry{name: "package/x", magic: tt.entry.magic}.bytes()...)
			}
			packed := zip(append(bytes.Repeat(one, tt.n), end...))
			require.Less(t, len(packed), 1<<20)
			_, err := counted(t, packed)
			assert.ErrorContains(t, err, tt.says)
			assert.IsType(t, &tarball.Error{}, err)
		})
	}
}

// What is sent last buys nothing for what comes first.
func TestWorkIsBoundedAtEachMoment(t *testing.T) {
	zeros := entry{name: "package/x", body: strings.Repeat("\x00", 64<<20)}
	noise := make([]byte, 2<<20)
	_, _ = rand.NewChaCha8([32]byte{}).Read(noise)
	random := entry{name: "package/y", body: string(noise)}
	first := zip(tape(pkg, zeros, random))
	work, err := counted(t, first)
	require.ErrorContains(t, err, "too big unpacked")
	assert.Less(t, work["unpacked"], int64(36<<20))
	_, err = counted(t, zip(tape(pkg, random, zeros)))
	assert.NoError(t, err)
}

// The shares are several times those of real packages.
func TestRealPackagesAreWithinTheBounds(t *testing.T) {
	var icons, paths, texts []entry
	for i := range 40000 {
		icons = append(icons, entry{name: fmt.Sprintf("package/icons/%x.js", i*7919), body: fmt.Sprintf("export default '%x'\n", i*104729)})
	}
	for i := range 8000 { // a bundle of dependencies, with what GNU tar and others write of each file
		name := fmt.Sprintf("package/%sdist/%x.js", strings.Repeat("node_modules/some-dependency/", 8), i*7919)
		about := record("path", name) + record("mtime", fmt.Sprintf("%d.%d", 1700000000+i*61, i*104729)) + record("SCHILY.ino", fmt.Sprint(i*31))
		paths = append(paths, entry{name: "PaxHeader/x", kind: 'x', body: about}, entry{name: fmt.Sprintf("package/%x.js", i), body: fmt.Sprintf("module.exports = %d\n", i*104729)})
	}
	for i := range 40 { // 30 to 1
		texts = append(texts, entry{name: fmt.Sprintf("package/%d.json", i), body: strings.Repeat(source(3<<10), 1<<20/(3<<10))})
	}
	for name, entries := range map[string][]entry{"icons": icons, "a bundle": paths, "what packs well": texts} {
		t.Run(name, func(t *testing.T) {
			packed := zip(tape(append(entries, pkg)...))
			work, err := counted(t, packed)
			require.NoError(t, err)
			t.Logf("%d bytes: %v", len(packed), work)
			for what, n := range most(int64(len(packed))) {
				if what != "parsed" {
					assert.Less(t, work[what], n, what)
				}
			}
		})
	}
}

// AU-26: copies of package.json are compared and not parsed once more.
func TestParsesOneOfEqualPackageJSON(t *testing.T) {
	work, err := counted(t, zip(tape(pkg, pkg, pkg)))
	require.NoError(t, err)
	n := int64(len(packageJSON))
	assert.Equal(t, []int64{3, 3 * n, n}, []int64{work["copies"], work["hashed"], work["parsed"]})
}
