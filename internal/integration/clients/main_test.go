package clients_test

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
	flag.Parse()
	set := false
	flag.Visit(func(f *flag.Flag) { set = set || f.Name == "test.parallel" })
	if !set { // a client computes while it starts, and waits for the rest of the time
		if err := flag.Set("test.parallel", fmt.Sprint(4*runtime.GOMAXPROCS(0))); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	dir, err := os.MkdirTemp("", "npmauth-clients-")
	if err == nil {
		defer os.RemoveAll(dir)
		err = integration.Build(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}
