// Cluster runs one npm registry as several processes: three of examples/registry on one
// database, and in front of them a proxy that sends each request to the next one. Log in on one
// node, publish on another, revoke on the third.
//
//	PGPASSWORD=secret go run ./examples/cluster -store postgres://postgres@127.0.0.1:5432/postgres
//	go run ./examples/cluster -store etcd://127.0.0.1:2379
//	go run ./examples/cluster -store sqlite:npm-cluster/auth.db
//
// A node that ends, by kill -9 for instance, is skipped at once and restarted a moment later.
// All nodes share a data folder with packages and the key that the store is sealed with;
// examples/registry says what the folder needs.
//
// Security keys need a name: with -addr localhost:4873 accounts can have them.
//
// A real proxy also has TLS and limits of its own. It must keep, as this one does, the path
// unchanged, with its %2f, and the client's IP address in X-Forwarded-For, which the registries
// trust from this proxy alone.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// drain is how long requests that are under way have after a signal to stop.
const drain = 30 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	o, err := parseOptions(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(0)
	}
	if err != nil {
		os.Exit(2)
	}
	if err := run(ctx, o, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

// run serves until ctx is done and the requests then under way are answered.
func run(ctx context.Context, o options, stdout, stderr io.Writer) error {
	log := slog.New(slog.NewTextHandler(stderr, nil))
	listener, err := net.Listen("tcp", o.addr)
	if err != nil {
		return err
	}
	defer listener.Close()
	base := o.base(listener.Addr())

	program := o.registry
	if program == "" {
		dir, err := os.MkdirTemp("", "npm-cluster-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		if program, err = build(ctx, dir); err != nil {
			return err
		}
	}

	keep, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	nodes := make([]*node, o.nodes)
	ends := make(chan error, o.nodes)
	for i := range nodes {
		nodes[i] = newNode(string(rune('a'+i)), program, o.flags(base), log, stderr)
		go func() { ends <- nodes[i].keep(keep, ctx) }()
	}
	end := func(err error) error { // stops all nodes, and waits
		stop()
		var errs []error
		for range nodes {
			errs = append(errs, <-ends)
		}
		if err != nil { // which is why they had to
			return err
		}
		return errors.Join(errs...)
	}
	for _, n := range nodes {
		select {
		case <-n.ready:
		case <-ctx.Done():
			return end(nil)
		case err := <-ends: // before it served anything: so would the next one
			ends <- nil
			if o.defaultStore {
				err = fmt.Errorf("%w\n%s", err, hint)
			}
			return end(err)
		}
	}

	if err := o.greet(stdout, base, nodes); err != nil {
		return end(err)
	}
	return end(serve(ctx, listener, newFront(nodes, log)))
}

// build compiles examples/registry into dir.
func build(ctx context.Context, dir string) (string, error) {
	program := filepath.Join(dir, "registry")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", program, "github.com/npmauth/npmauth/examples/registry")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build examples/registry (run this from the repository, or name a built one with -registry): %w\n%s", err, out)
	}
	return program, nil
}

// serve answers requests until ctx is done, and then those under way.
func serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second, // bodies may be slow: tarballs are big
		IdleTimeout:       2 * time.Minute,
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served: // only a failure comes before Shutdown
		return err
	case <-ctx.Done():
	}
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	return server.Shutdown(patience)
}

// greet says where everything is, and what to type next.
func (o options) greet(w io.Writer, base string, nodes []*node) error {
	said := new(strings.Builder)
	fmt.Fprintf(said, "npm registry at %s\n\nIts nodes, which take turns:\n\n", base)
	for _, n := range nodes {
		addr, pid := n.at()
		fmt.Fprintf(said, "  %s  http://%s/  pid %d\n", n.name, addr, pid)
	}
	fmt.Fprintf(said, "\nKill one with kill -9: the others go on, and it comes back.\n")
	for _, n := range nodes {
		said.WriteString(n.greeting()) // of the one that was first, if any was
	}
	_, err := io.WriteString(w, said.String())
	return err
}
