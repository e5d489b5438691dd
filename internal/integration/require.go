package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Require skips the test where one of the programs it needs is not installed. On
// a machine that must have it, it fails instead, so that a test which is never
// run does not pass for one that does: NPMAUTH_REQUIRE is a comma-separated list
// of program names, or "all". A Postgres server is looked for by the tests that use
// one, under the name postgres. A client that CI does not install, see [RequireClients], is
// required by its name or by "clients".
func Require(t testing.TB, programs ...string) {
	t.Helper()
	for _, name := range programs {
		if _, err := exec.LookPath(name); err != nil {
			missing(t, name, false)
		}
	}
}

// RequireCheckout skips the test, or fails it, as Require does for git, where it is not run in a checkout of the repository, and
// returns the checkout.
func RequireCheckout(t testing.TB) (root string) {
	t.Helper()
	Require(t, "git")
	out, err := exec.Command("git", "rev-parse", "--show-toplevel").Output()
	root = strings.TrimSpace(string(out))
	if err == nil {
		_, err = os.Stat(filepath.Join(root, "examples", "registry")) // it may be somebody else's, with a copy in it
	}
	if err != nil {
		missing(t, "a git checkout of the repository", false)
	}
	return root
}

// missing skips or fails the test for want of a program. A local one is none of "all".
func missing(t testing.TB, name string, local bool) {
	t.Helper()
	must := strings.Split(os.Getenv("NPMAUTH_REQUIRE"), ",")
	all := "all"
	if local {
		all = "clients"
	}
	if slices.Contains(must, all) || slices.Contains(must, name) {
		t.Fatalf("%s is required by NPMAUTH_REQUIRE and is not installed", name)
	} else {
		t.Skipf("%s is not installed", name)
	}
}
