package integration

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// Require skips the test where one of the programs it needs is not installed. On
// a machine that must have it, it fails instead, so that a test which is never
// run does not pass for one that does: NPMAUTH_REQUIRE is a comma-separated list
// of program names, or "all".
func Require(t testing.TB, programs ...string) {
	t.Helper()
	must := strings.Split(os.Getenv("NPMAUTH_REQUIRE"), ",")
	for _, name := range programs {
		_, err := exec.LookPath(name)
		switch {
		case err == nil:
		case slices.Contains(must, "all") || slices.Contains(must, name):
			t.Fatalf("%s is required by NPMAUTH_REQUIRE and is not installed", name)
		default:
			t.Skipf("%s is not installed", name)
		}
	}
}
