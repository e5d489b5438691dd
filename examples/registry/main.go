// Registry is a small npm registry with npmauth in front: publish, install, deprecate and
// unpublish, dist-tags, owners, private scoped packages, organizations with teams, stars and
// search, and all of npm login, npm token and npm profile, which npmauth serves.
//
//	go run ./examples/registry
//
// Several registries may share one -data folder, which has packages and the key that the auth
// store is sealed with: behind a proxy, named with -trust-proxy, they are one registry, of
// which any process may be killed. Examples/cluster runs three. npmauth's data may be in any
// store that -store can name. This example's packages, which are not npmauth's, are in SQLite,
// which does not work on network file systems, so its nodes are on one machine.
//
// Read [registry.ServeHTTP] for the work of a host, [facts] for its answers to npmauth, and run
// in this file for how they are put together.
//
// # Packages and organizations
//
// A scope belongs to the user of that name, or to the organization of that name, which -org
// creates. All members of an organization may publish new packages in its scope; its team of
// developers, which has all members, may then write them, and its owners and admins administer
// them. Teams get packages of their own scope only.
//
// An unpublished version is deleted at once, with the package if it was the last version. No
// version with that number is ever published under that name later, and an unscoped name stays
// with its maintainers.
//
// # Security keys
//
// Accounts may have security keys and passkeys beside an authenticator app, or, with -no-apps, in its
// place. A key belongs to the domain name in the address of -url, localhost for a trial, and to no
// other: where that changes, all keys are lost. At an IP address there are none.
//
// # Trusted publishers
//
// With -trust-issuer the jobs of a CI system publish without a token that somebody has made and stored: maintainers
// say with npm trust which jobs may publish their package. Docs/trusted-publishing.md says how.
//
// # The sealing key
//
// npmauth's data is sealed with the key in auth.key, in the folder of -data. It is created at
// the first start; if it is lost, so is all that it sealed. To change it, put a new key before
// the old one, keep a copy of the file, and restart:
//
//	(umask 077; head -c 32 /dev/urandom | cat - auth.key >auth.key.new) && mv auth.key.new auth.key
//
// The first key of the file seals and all of them open. The registry then reseals in the
// background what the older keys have sealed. When its log says that they can be removed, keep
// the first one alone and restart:
//
//	(umask 077; head -c 32 auth.key >auth.key.new) && mv auth.key.new auth.key
//
// To restore an older backup of the data you need the keys of its time. Stop all registries
// that share a store before the first of these restarts: a registry with the old key alone
// cannot read what the new one sealed.
//
// # Moving to another store
//
// Stop all registries of the store, and copy it, sealed with the first key of auth.key:
//
//	go run ./examples/registry -copy-to postgres://registry@db.example/auth
//
// If that is interrupted, give the same command once more. Then start the registries with
// -store and the new one. Sessions and tokens are not valid there: people log in again, and
// tokens are made anew. The old store still has valid ones, so delete it.
//
// # Operating it
//
// What an operator does while it runs is in [admin], which lists its commands with -h:
//
//	go run ./examples/registry admin -h
//
// With -metrics it counts its decisions for Prometheus. Docs/operate.md says what to watch, and what
// to do in an incident.
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
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/trust"
	"github.com/npmauth/npmauth/trust/oidc"
	"github.com/npmauth/npmauth/twofactor/webauthn"
)

// drain is how long requests that are under way have after a signal to stop.
const drain = 30 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if len(os.Args) > 1 && os.Args[1] == "admin" {
		os.Exit(admin(ctx, os.Args[2:], os.Stdin, os.Stdout, os.Stderr))
	}
	o, err := parseOptions(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(0)
	}
	if err != nil {
		os.Exit(2)
	}
	limitMemory()
	if err := run(ctx, o, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "registry:", err)
		os.Exit(1)
	}
}

// run serves until ctx is done and the requests then under way are answered.
func run(ctx context.Context, o options, stdout, stderr io.Writer) (err error) {
	log := slog.New(slog.NewTextHandler(stderr, nil))
	if o.copyTo != (storeChoice{}) {
		return copyStore(ctx, o, stdout, log)
	}
	listeners, err := listen(o.addr)
	if err != nil {
		return err
	}
	defer closeAll(listeners)
	base, names := o.base, []string(nil)
	if base == "" {
		base, names = address(o.addr, listeners[0]), loopbackNames(listeners[0])
	}
	if err := os.MkdirAll(o.data, 0o700); err != nil {
		return err
	}
	db, first, err := openDatabase(ctx, filepath.Join(o.data, "registry.db"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.close()) }()
	files, err := openTarballs(filepath.Join(o.data, "tarballs"))
	if err != nil {
		return err
	}
	st, older, closeStore, err := openStore(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeStore()) }()

	at, err := url.Parse(base)
	if err != nil {
		return err
	}

	events, err := audit.NewLog(audit.LogConfig{Store: st})
	if err != nil {
		return err
	}
	registered := prometheus.NewRegistry()
	who := new(people)
	known := facts{db: db, people: who, tarballs: files, evidence: o.keepEvidence}
	auth, err := npmauth.New(npmauth.Config{
		BaseURL:    base,
		Store:      st,
		Packages:   known,
		Documents:  known,
		Orgs:       known,
		Public:     isFront(at),
		OpenSignUp: o.signUp,
		Legacy:     npmauth.Legacy{Off: o.legacy.off, Sunset: o.legacy.sunset},
		Policy:     policy.NPM().WithFactorFrom(o.factor).With(o.rules()...),
		Keys:       webauthn.Keys,
		NoApps:     o.noApps,
		Trust:      trusted(o.issuers),
		Staging:    &npmauth.Staging{},

		CheckTarball:   true,
		TrustedProxies: o.proxies,
		Forwarded:      o.forwarded,

		Audit:    audit.NewSlog(log),
		AuditLog: events,
		Metrics:  newMetrics(registered),
		Logger:   log,
	})
	if err != nil {
		return err
	}
	if err := ready(ctx, auth, o.data); err != nil {
		return err
	}
	if older {
		background, stop := context.WithCancel(ctx)
		var resealing sync.WaitGroup
		resealing.Go(func() { reseal(background, st, log) })
		defer resealing.Wait()
		defer stop()
	}
	who.directory = auth.People()
	if err := unclaimed(ctx, db, o.seeds); err != nil {
		return err
	}
	if err := plant(ctx, log, who.directory, o.seeds); err != nil {
		return err
	}
	if err := found(ctx, db, who, o.orgs); err != nil {
		return err
	}
	said := fmt.Sprintf("npm registry at %s\n", base)
	if o.metrics != "" {
		at, stop, failed := serveMetrics(ctx, o.metrics, registered)
		if failed != nil {
			return failed
		}
		defer func() { err = errors.Join(err, stop()) }()
		said += fmt.Sprintf("metrics at %s\n", at)
	}
	if first {
		said += greeting(base, o)
	}
	if _, err := io.WriteString(stdout, said); err != nil {
		return err
	}
	host := &registry{db: db, tarballs: files, people: who, view: view{base: at, names: names}, log: log, ready: auth.Ready}
	return serve(ctx, listeners, auth, auth.Wrap(host))
}

// trusted returns the configuration of trusted publishers, which are none without issuers.
func trusted(issuers []trust.Issuer) npmauth.Trust {
	if len(issuers) == 0 {
		return npmauth.Trust{}
	}
	return npmauth.Trust{Issuers: issuers, Verifier: oidc.TokenVerifier}
}

// serve answers requests until ctx is done, and then those under way.
func serve(ctx context.Context, listeners []net.Listener, auth *npmauth.Auth, handler http.Handler) error {
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	flushed := make(chan error, 1)
	go func() { flushed <- auth.Run(background) }()

	server := newServer(handler)
	served := make(chan error, len(listeners))
	for _, listener := range listeners {
		go func() { served <- server.Serve(listener) }()
	}

	select {
	case err := <-served: // only a failure comes before Shutdown
		stop()
		return errors.Join(err, <-flushed)
	case <-ctx.Done():
	}
	patience, cancel := context.WithTimeout(background, drain)
	defer cancel()
	err := server.Shutdown(patience)
	stop()
	return errors.Join(err, <-flushed)
}

// listen listens at addr. The name localhost is both of its addresses, where this machine has both:
// some clients try the one first and some the other.
func listen(addr string) ([]net.Listener, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || host != "localhost" {
		listener, err := net.Listen("tcp", addr)
		if err != nil {
			return nil, err
		}
		return []net.Listener{listener}, nil
	}
	for tries := 0; ; tries++ {
		four, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", port))
		if err != nil {
			return nil, err
		}
		if !hasIPv6() {
			return []net.Listener{four}, nil
		}
		_, chosen, _ := net.SplitHostPort(four.Addr().String())
		six, err := net.Listen("tcp6", net.JoinHostPort("::1", chosen))
		if err == nil {
			return []net.Listener{four, six}, nil
		}
		// Another process has it, and would get the passwords and tokens of those who try it first.
		if err := errors.Join(err, four.Close()); port != "0" || tries == 9 {
			return nil, err
		}
	}
}

func hasIPv6() bool {
	listener, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		return false
	}
	closeAll([]net.Listener{listener})
	return true
}

func closeAll(listeners []net.Listener) {
	for _, listener := range listeners {
		_ = listener.Close() // closed by the server already, if it served
	}
}

// loopbackNames returns the Host headers of clients on this machine.
func loopbackNames(listener net.Listener) (names []string) {
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		return nil
	}
	for _, host := range []string{"localhost", "127.0.0.1", "::1"} {
		names = append(names, net.JoinHostPort(host, port))
	}
	if port == "80" {
		names = append(names, "localhost", "127.0.0.1", "[::1]")
	}
	return names
}

// address returns the URL at which a client on this machine reaches listener.
func address(addr string, listener net.Listener) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil || host == "" {
		host = "localhost"
	}
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		return "http://" + addr + "/"
	}
	return "http://" + net.JoinHostPort(host, port) + "/"
}

// plant creates the accounts that do not exist yet, with any password: these are the
// operator's, who is warned of a weak one.
func plant(ctx context.Context, log *slog.Logger, people *account.Directory, seeds []seed) error {
	for _, s := range seeds {
		_, err := people.Lookup(ctx, s.name)
		if errors.Is(err, account.ErrNoUser) {
			password := credential.NewSecret(s.password)
			if weak := (account.Passwords{}).Check(ctx, password, s.name, ""); weak != nil {
				log.WarnContext(ctx, "the password of -seed is weak", "user", s.name, "why", weak)
			}
			_, err = people.Create(ctx, audit.Actor{}, account.NewUser{Name: s.name, Password: password, AnyPassword: true})
		}
		if err != nil && !errors.Is(err, account.ErrNameTaken) {
			return fmt.Errorf("-seed %s: %w", s.name, err)
		}
	}
	return nil
}

// unclaimed returns an error if an account would have an organization's name.
func unclaimed(ctx context.Context, db *database, seeds []seed) error {
	for _, s := range seeds {
		_, err := db.findOrg(ctx, s.name)
		if err == nil {
			return fmt.Errorf("-seed %s: an organization is called that", s.name)
		}
		if !errors.Is(err, errNoOrg) {
			return err
		}
	}
	return nil
}

// found creates the organizations that do not exist yet. Organizations and users share names,
// since both are scopes.
func found(ctx context.Context, db *database, who *people, orgs []orgChoice) error {
	for _, o := range orgs {
		_, err := who.id(ctx, o.name)
		if err == nil {
			return fmt.Errorf("-org %s: a user is called that", o.name)
		}
		if !errors.Is(err, errNoUser) {
			return err
		}
		owner, err := who.id(ctx, o.owner)
		if err != nil {
			return fmt.Errorf("-org %s: its owner %s: %w", o.name, o.owner, err)
		}
		if err := db.putOrg(ctx, o.name, owner, o.factor); err != nil {
			return fmt.Errorf("-org %s: %w", o.name, err)
		}
	}
	return nil
}
