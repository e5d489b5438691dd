package integration_test

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"testing"

	"github.com/npmauth/npmauth/internal/integration"
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if integration.IsWorker() {
		if err := integration.Work(); err != nil {
			fmt.Fprintln(os.Stderr, "worker:", err)
			return 1
		}
		return 0
	}
	flag.Parse()
	set := false
	flag.Visit(func(f *flag.Flag) { set = set || f.Name == "test.parallel" })
	if !set { // most of a test is waiting, for a program to start or for the next code of an app
		if err := flag.Set("test.parallel", fmt.Sprint(8*runtime.GOMAXPROCS(0))); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	dir, err := os.MkdirTemp("", "npmauth-integration-")
	if err == nil {
		defer os.RemoveAll(dir)
		err = integration.Build(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if err := integration.StopShared(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return max(code, 1)
	}
	return code
}

// seed is the flag that creates an account of the tests.
func seed(name string) []string { return []string{"-seed", name + ":" + integration.Password} }

// member starts a registry on which alice is logged in with npm's session in a
// home of hers, and has a second factor in the app that is returned.
func member(t *testing.T, flags ...string) (*integration.Registry, *integration.Home, *integration.Authenticator) {
	t.Helper()
	integration.Require(t, "npm")
	t.Parallel() // most of a test is npm starting, or the clock coming to the next code
	registry := integration.Start(t, append(seed("alice"), flags...)...)
	home := integration.NewHome(t, registry.URL)
	home.SetToken(registry.SignIn("alice", ""))
	app, _ := registry.Enrol(home.Token())
	return registry, home, app
}
