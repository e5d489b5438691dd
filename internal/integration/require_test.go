package integration_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/npmauth/npmauth/internal/integration"
)

// outcome records what a test would have ended with.
type outcome struct {
	testing.TB
	failed, skipped string
}

func (o *outcome) Helper()                           {}
func (o *outcome) Fatalf(format string, args ...any) { o.failed = fmt.Sprintf(format, args...) }
func (o *outcome) Skipf(format string, args ...any)  { o.skipped = fmt.Sprintf(format, args...) }

func TestRequire(t *testing.T) {
	for must, wantFailure := range map[string]bool{
		"": false, "npm": false, "all": true, "npm,npmauth-no-such-program": true, "npmauth-no-such": false,
	} {
		t.Run(must, func(t *testing.T) {
			t.Setenv("NPMAUTH_REQUIRE", must)
			o := &outcome{TB: t}
			integration.Require(o, "go")
			assert.Empty(t, o.failed+o.skipped, "go is there")
			integration.Require(o, "npmauth-no-such-program")
			assert.Equal(t, wantFailure, o.failed != "")
			assert.Equal(t, !wantFailure, o.skipped != "")
		})
	}
}

// A client that CI does not install is none of "all".
func TestRequireClients(t *testing.T) {
	t.Setenv("NPMAUTH_CLIENTS", t.TempDir())
	for must, want := range map[string]map[string]bool{
		"": {"npm12": false, "npm9": false}, "all": {"npm12": true, "npm9": false},
		"clients": {"npm12": false, "npm9": true}, "npm9": {"npm12": false, "npm9": true},
	} {
		for name, wantFailure := range want {
			t.Setenv("NPMAUTH_REQUIRE", must)
			o := &outcome{TB: t}
			integration.RequireClients(o, name)
			assert.Equal(t, wantFailure, o.failed != "", "%s of %q", name, must)
			assert.Equal(t, !wantFailure, o.skipped != "" && o.failed == "", "%s of %q", name, must)
		}
	}
}
