package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/trust"
)

// Options are the flags, checked.
type options struct {
	addr         string
	base         string // "" means http://<addr>/, which is known once the listener is open
	data         string
	store        storeChoice
	copyTo       storeChoice // zero: serve, copy nothing
	signUp       bool
	seeds        []seed
	orgs         []orgChoice
	legacy       legacyChoice
	keepEvidence bool      // whether a version has the evidence of the one before it
	factor       time.Time // from which on who writes must have a second factor; zero: never
	noApps       bool      // no more authenticator apps are enrolled

	metrics string // "" means that none are served

	proxies   []netip.Prefix // whose X-Forwarded-For is trusted
	forwarded bool           // Forwarded is, in its place

	issuers []trust.Issuer // CI systems whose jobs may be trusted publishers; none: no trusted publishing
}

// rules returns the rules that the policy has besides npm's.
func (o *options) rules() (rules []policy.Rule) {
	if o.keepEvidence {
		rules = append(rules, policy.EvidenceStays(""))
	}
	return rules
}

// A storeChoice says where npmauth keeps what it owns.
type storeChoice struct {
	kind string // sqlite, postgres, etcd or memory
	// at is the file of sqlite, the members of etcd with commas between them, or the connection
	// string of postgres, which may contain a password and must not be printed.
	at string
}

// A seed is an account that must exist at start.
type seed struct{ name, password string }

// An orgChoice is an organization that must exist at start.
type orgChoice struct {
	name, owner string
	factor      bool // its members must have a second factor
}

// A legacyChoice says whether and until when the CouchDB login is served.
type legacyChoice struct {
	off    bool
	sunset time.Time
}

// errUsage is the error of a wrong command line. The reason was printed.
var errUsage = errors.New("wrong usage")

// parseOptions reads the command line. It prints errors, or the requested help, to out.
func parseOptions(args []string, out io.Writer) (options, error) {
	var o options
	var at, to, signUp, legacy string
	flags := flag.NewFlagSet("registry", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.StringVar(&o.addr, "addr", "localhost:4873", "listen on `host:port`; localhost is 127.0.0.1 and ::1")
	flags.StringVar(&o.base, "url", "", "`address` at which clients reach the registry (default http://<addr>/; security keys need a name and no IP address in it)")
	flags.StringVar(&o.data, "data", "npm-data", "`folder` of the registry's data")
	flags.StringVar(&at, "store", "", "`where` npmauth keeps its data: sqlite:PATH, postgres://…, etcd://host:port,… or memory: (default sqlite:<data>/auth.db; a password of Postgres is better in PGPASSWORD, where ps does not show it)")
	flags.StringVar(&to, "copy-to", "", "copy what -store has to this empty `store`, named likewise, instead of serving; stop all nodes first, and repeat it if it is interrupted")
	flags.StringVar(&signUp, "signup", "", "`open` lets anyone create an account, closed nobody (default open where -legacy is on)")
	flags.StringVar(&legacy, "legacy", "on", "login of older clients: on, off, or until when it is on, as `RFC3339`")
	flags.Func("require-2fa", "refuse, from this `RFC3339` time on, what people without a second factor write; npm prints the time to them before", func(s string) (err error) {
		if o.factor, err = time.Parse(time.RFC3339, s); err != nil || o.factor.IsZero() {
			return errors.New("must be a time such as 2027-01-31T00:00:00Z")
		}
		return nil
	})
	flags.BoolVar(&o.keepEvidence, "keep-evidence", false, "publish no version with less evidence than the newest before it: a trusted publisher, an approval of what was staged")
	flags.BoolVar(&o.noApps, "no-apps", false, "enrol no more authenticator apps: security keys take their place, which need a name and no IP address in -url")
	flags.StringVar(&o.metrics, "metrics", "", "serve metrics for Prometheus at this loopback `host:port`, as /metrics")
	flags.Func("seed", "create the account `name:password` unless it exists (repeatable)", func(s string) error {
		name, password, ok := strings.Cut(s, ":")
		if !ok || name == "" || password == "" {
			return errors.New("must be name:password")
		}
		o.seeds = append(o.seeds, seed{name, password})
		return nil
	})
	flags.Func("org", "create the organization `name=owner` unless it exists; name=owner,2fa demands a second factor of its members from each start on (repeatable)", func(s string) error {
		org, err := parseOrg(s)
		o.orgs = append(o.orgs, org)
		return err
	})
	flags.Func("trust-proxy", "believe the X-Forwarded-For of a proxy at this `address` or CIDR range (repeatable)", func(s string) error {
		proxy, err := parseProxy(s)
		o.proxies = append(o.proxies, proxy)
		return err
	})
	flags.BoolVar(&o.forwarded, "forwarded", false, "believe Forwarded (RFC 7239) of the proxies in -trust-proxy, and not X-Forwarded-For")
	flags.Func("trust-issuer", "accept as trusted publishers the jobs of the CI system whose ID tokens have this `kind=URL` as their kind and iss: github, gitlab,\n"+
		"circleci or oidc, such as github="+trust.GitHubURL+"; http is for loopback addresses (repeatable)", func(s string) error {
		issuer, err := parseIssuer(s)
		if err != nil {
			return err
		}
		o.issuers = append(o.issuers, issuer)
		return trust.ValidateIssuers(o.issuers)
	})
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return options{}, err
		}
		return options{}, errUsage // flags has printed it
	}
	err := errors.Join(
		o.checkAddr(flags.Args()),
		o.checkForwarded(),
		o.checkApps(),
		o.setStores(at, to),
		o.setLegacy(legacy),
		o.setSignUp(signUp))
	if err != nil {
		fmt.Fprintln(out, err)
		return options{}, errUsage
	}
	return o, nil
}

func (o *options) checkAddr(rest []string) error {
	if len(rest) > 0 {
		return fmt.Errorf("there are no arguments beside the flags: %q", rest[0])
	}
	if _, _, err := net.SplitHostPort(o.addr); err != nil {
		return fmt.Errorf("-addr %q: must be host:port", o.addr)
	}
	if o.metrics != "" {
		if err := loopback(o.metrics); err != nil {
			return fmt.Errorf("-metrics %w", err)
		}
	}
	if o.base == "" {
		return nil
	}
	u, err := url.Parse(o.base)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("-url %q: must be an http or https address", o.base)
	}
	if !strings.HasSuffix(o.base, "/") { // without it npm would keep credentials under the parent's path
		o.base += "/"
	}
	return nil
}

func (o *options) checkForwarded() error {
	if o.forwarded && len(o.proxies) == 0 {
		return errors.New("-forwarded: must come with -trust-proxy, which says whose Forwarded is believed")
	}
	return nil
}

// checkApps leaves it to checkAddr to say that an address is malformed.
func (o *options) checkApps() error {
	host, _, _ := net.SplitHostPort(o.addr)
	if u, err := url.Parse(o.base); err == nil && u.Host != "" {
		host = u.Hostname()
	}
	if o.noApps && isIP(host) {
		return fmt.Errorf("-no-apps: security keys belong to a domain name, and %s is an IP address: name the registry with -url, such as https://npm.example/", host)
	}
	return nil
}

func isIP(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}

// parseOrg reads name=owner or name=owner,2fa.
func parseOrg(s string) (orgChoice, error) {
	name, rest, ok := strings.Cut(s, "=")
	owner, rule, ruled := strings.Cut(rest, ",")
	if !ok || account.ValidName(name) != nil || account.ValidName(owner) != nil || ruled && rule != "2fa" {
		return orgChoice{}, errors.New("must be name=owner or name=owner,2fa, both in lower case")
	}
	return orgChoice{name, owner, ruled}, nil
}

// parseProxy reads an IP address, or a range that is written with its first IP address.
func parseProxy(s string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(s); err == nil && addr.Zone() == "" {
		return netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil || p != p.Masked() || p.Addr().Is4In6() {
		return netip.Prefix{}, errors.New("must be an address or a CIDR range, such as 127.0.0.1 or 10.0.0.0/8")
	}
	return p, nil
}

// parseIssuer reads kind=URL. Claims of one's own, for kind custom, are more than a flag can say.
func parseIssuer(s string) (trust.Issuer, error) {
	word, url, _ := strings.Cut(s, "=")
	var kind trust.Kind
	if kind.UnmarshalText([]byte(word)) != nil || kind == trust.KindUnknown || kind == trust.KindCustom {
		return trust.Issuer{}, errors.New("must be github, gitlab, circleci or oidc, then = and the URL of the issuer, such as github=" + trust.GitHubURL)
	}
	return trust.Issuer{Kind: kind, URL: url}, nil
}

func (o *options) setStores(at, to string) (err error) {
	if at == "" {
		at = "sqlite:" + filepath.Join(o.data, "auth.db")
	}
	if o.store, err = parseStore("-store", at); err != nil || to == "" {
		return err
	}
	if o.copyTo, err = parseStore("-copy-to", to); err != nil {
		return err
	}
	if o.store.kind == "memory" || o.copyTo.kind == "memory" {
		return errors.New("-copy-to: what is in memory: is gone when the process ends, and cannot be copied from there or to there")
	}
	return nil
}

// parseStore reads the value of a flag.
func parseStore(name, at string) (storeChoice, error) {
	kind, rest, _ := strings.Cut(at, ":")
	switch {
	case kind == "sqlite" && rest != "":
		return storeChoice{"sqlite", rest}, nil
	case at == "memory:":
		return storeChoice{kind: "memory"}, nil
	case (kind == "postgres" || kind == "postgresql") && strings.HasPrefix(rest, "//"):
		return storeChoice{"postgres", at}, nil
	case kind == "etcd" && strings.HasPrefix(rest, "//"):
		for member := range strings.SplitSeq(rest[2:], ",") {
			if host, port, err := net.SplitHostPort(member); err != nil || host == "" || port == "" || strings.ContainsAny(member, "/@?#") {
				return storeChoice{}, fmt.Errorf("%s etcd: must be etcd://host:port,host:port,… and nothing else", name)
			}
		}
		return storeChoice{"etcd", rest[2:]}, nil
	}
	// Not quoted: it may contain a password.
	return storeChoice{}, fmt.Errorf("%s: must be sqlite:PATH, postgres://…, etcd://host:port,… or memory:", name)
}

func (o *options) setLegacy(text string) error {
	switch text {
	case "on":
	case "off":
		o.legacy.off = true
	default:
		t, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return fmt.Errorf("-legacy %q: must be on, off, or a time such as 2027-01-31T00:00:00Z", text)
		}
		o.legacy.sunset = t
	}
	return nil
}

// setSignUp comes after setLegacy, on which the default depends.
func (o *options) setSignUp(text string) error {
	switch text {
	case "":
		o.signUp = !o.legacy.off
	case "open":
		o.signUp = true
	case "closed":
	default:
		return fmt.Errorf("-signup %q: must be open or closed", text)
	}
	return nil
}
