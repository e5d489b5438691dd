package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"slices"
)

// Options are the flags, checked.
type options struct {
	addr         string
	store        string
	defaultStore bool // not chosen by a flag
	data         string
	nodes        int
	registry     string   // "" builds one
	more         []string // flags of the registries
}

const (
	localPostgres = "postgres://postgres@127.0.0.1:5432/postgres"
	maxNodes      = 26 // each has a letter
)

// hint is printed if there is no database.
const hint = `There is no Postgres where one is looked for by default. Either start one,
  docker run --rm -e POSTGRES_PASSWORD=secret -p 127.0.0.1:5432:5432 postgres
  PGPASSWORD=secret go run ./examples/cluster
name yours with -store postgres://… or -store etcd://…, or do without:
  go run ./examples/cluster -store sqlite:npm-cluster/auth.db`

// errUsage is the error of a wrong command line. The reason was printed.
var errUsage = errors.New("wrong usage")

// parseOptions reads the command line. It prints errors, or the requested help, to out.
func parseOptions(args []string, out io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("cluster", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.Usage = func() {
		fmt.Fprintf(out, "cluster [flags] [-- flags of each registry, such as -seed alice:a-long-password]\n")
		flags.PrintDefaults()
	}
	flags.StringVar(&o.addr, "addr", "127.0.0.1:4873", "listen on `host:port`")
	flags.StringVar(&o.store, "store", "", "the `database` that the nodes share: postgres://…, etcd://host:port,… or sqlite:PATH (default "+localPostgres+"; a password is better in PGPASSWORD, where ps does not show it)")
	flags.StringVar(&o.data, "data", "npm-cluster", "`folder` of packages and of the store's key, which the nodes share")
	flags.IntVar(&o.nodes, "nodes", 3, "`how many` registries to run")
	flags.StringVar(&o.registry, "registry", "", "`path` of a built examples/registry (default: go build it)")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return options{}, err
		}
		return options{}, errUsage // flags has printed it
	}
	o.more = flags.Args()
	if o.store == "" {
		o.store, o.defaultStore = localPostgres, true
	}
	if err := o.check(); err != nil {
		fmt.Fprintln(out, err)
		return options{}, errUsage
	}
	return o, nil
}

func (o options) check() error {
	host, _, err := net.SplitHostPort(o.addr)
	switch {
	case err != nil || host == "": // clients cannot use the address of all interfaces
		return fmt.Errorf("-addr %q: must be host:port", o.addr)
	case o.nodes < 1 || o.nodes > maxNodes:
		return fmt.Errorf("-nodes %d: must be 1 to %d", o.nodes, maxNodes)
	case o.store == "memory:":
		return errors.New("-store memory: each node has its own, which makes no cluster")
	}
	return nil
}

// base returns the URL of a proxy that listens at addr, by the name in -addr: security keys belong to one.
func (o options) base(addr net.Addr) string {
	host, _, errName := net.SplitHostPort(o.addr)
	_, port, errPort := net.SplitHostPort(addr.String())
	if errName != nil || errPort != nil {
		return "http://" + addr.String() + "/"
	}
	return "http://" + net.JoinHostPort(host, port) + "/"
}

// flags returns the flags of each registry, except its address.
func (o options) flags(base string) []string {
	return slices.Concat([]string{"-url", base, "-data", o.data, "-store", o.store, "-trust-proxy", "127.0.0.1"}, o.more)
}
