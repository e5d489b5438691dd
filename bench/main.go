// Bench attacks a running registry as strangers, thieves and publishers could, from many source
// addresses, and measures what everybody else notices of it:
//
//	go run ./bench
//	go run ./bench -attack AU-25 -for 30s
//
// It builds examples/registry and starts it on loopback for each attack. Idle comes first and then the
// attack, while a client asks who it is, owners log in from where they have logged in before and
// change their passwords, and other people log in from networks that are new. What an attack must
// not cost them is in [goals]; the exit status is 1 where it did.
//
// The attackers are a process of their own with the lowest priority, since the cores of this machine
// are the registry's. They send from 127.0.0.0/8, and from many networks of IPv4 and IPv6 through an
// address that the registry trusts as a proxy.
//
// AU-23, what strangers learn from the time of an answer, is counted in tests and not timed: see
// docs/cases.md.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) > 1 && os.Args[1] == attackerCommand {
		os.Exit(attackerMain(ctx, os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run returns the exit status: 0, 1 where a goal was missed, 2 where there is no result.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	only := flags.String("attack", "", "the `name` of one attack, or what it begins with, such as AU-21")
	length := flags.Duration("for", 10*time.Second, "how `long` idle and each attack are measured")
	asJSON := flags.Bool("json", false, "print JSON")
	reportOnly := flags.Bool("report", false, "exit with 0 also where a goal is missed")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	var chosen []attack
	var names []string
	for _, a := range attacks {
		names = append(names, a.name)
		if strings.HasPrefix(a.name, *only) {
			chosen = append(chosen, a)
		}
	}
	if flags.NArg() > 0 || len(chosen) == 0 || *length <= 0 {
		fmt.Fprintf(stderr, "bench: there are no arguments beside the flags, -for is positive, and -attack is one of %s\n", strings.Join(names, ", "))
		return 2
	}
	if busy := load(); busy > float64(runtime.NumCPU()) {
		fmt.Fprintf(stderr, "bench: other programs use this machine (load %.1f): its times mean little\n", busy)
	}
	results, err := drill(ctx, chosen, *length, stderr)
	if err != nil {
		fmt.Fprintln(stderr, "bench:", err)
		return 2
	}
	if *asJSON {
		out := json.NewEncoder(stdout)
		out.SetIndent("", "\t")
		_ = out.Encode(results)
	} else {
		printTable(stdout, results)
	}
	for _, r := range results {
		if len(r.Missed) > 0 && !*reportOnly {
			return 1
		}
	}
	return 0
}

// drill runs attacks one after the other, each against a registry that has just started.
func drill(ctx context.Context, chosen []attack, length time.Duration, log io.Writer) ([]result, error) {
	dir, err := os.MkdirTemp("", "npmauth-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	program, err := build(ctx, dir)
	if err != nil {
		return nil, err
	}
	s, err := populate(ctx, program, dir, length)
	if err != nil {
		return nil, fmt.Errorf("prepare the registry: %w", err)
	}
	var results []result
	for _, a := range chosen {
		fmt.Fprintf(log, "%s: %s\n", a.name, a.about)
		r, err := s.measure(ctx, a, length)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", a.name, err)
		}
		results = append(results, r)
	}
	return results, nil
}
