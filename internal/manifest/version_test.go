package manifest_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/npmauth/npmauth/internal/manifest"
)

// A version is compared as npm's publish would have it, AU-37.
func TestVersion(t *testing.T) {
	for _, tt := range []struct {
		written, version string
		ok               bool
	}{
		{"1.0.0", "1.0.0", true}, {"v1.0.0", "1.0.0", true}, {"=v1.0.0\n", "1.0.0", true}, {"1.0.0+b", "1.0.0+b", true}, {"1.0.0+b", "1.0.0", true},
		{"01.02.03", "1.2.3", true}, {"000.0.00", "0.0.0", true}, {"v 1.0.0", "1.0.0", true}, {"= v=1.0.0", "1.0.0", true}, {"\u00a01.0.0\ufeff", "1.0.0", true},
		{"1.0.0-01", "1.0.0-1", true}, {"1.0.0beta.007", "1.0.0-beta.7", true}, {"1.0.0-0a", "1.0.0-0a", true}, {"1.0.0-rc.1+b.01", "1.0.0-rc.1", true}, {"1.0.0--", "1.0.0--", true},
		{"1.0.0", "1.0.0+b", false}, {"1.0.0+a", "1.0.0+b", false}, {"1.0", "1.0.0", false}, {"V1.0.0", "1.0.0", false}, {"1.0.0-a", "1.0.0", false},
		{"", "1.0.0", false}, {"1.0.00", "1.0.1", false}, {"10.0.0", "1.0.0", false}, {"1.0.0-", "1.0.0", false}, {"1.0.0+", "1.0.0", false}, {"1.0.0 x", "1.0.0", false}, {"x", "", false},
	} {
		err := manifest.Compare(manifest.Manifest{Name: "x", Version: tt.version}, manifest.Manifest{Name: "x", Version: tt.written}, filesOf())
		assert.Equal(t, tt.ok, err == nil, "%q as %q", tt.written, tt.version)
	}
	for name, ok := range map[string]bool{"x": true, " x\n": true, "\ufeffx\u2003": true, "": false, "X": false, "x y": false, "@x/x": false} {
		err := manifest.Compare(manifest.Manifest{Name: "x", Version: "1.0.0"}, manifest.Manifest{Name: name, Version: "1.0.0"}, filesOf())
		assert.Equal(t, ok, err == nil, "%q", name)
	}
}
