// Package npmauth is the authentication and authorization half of an npm
// registry. It wraps a registry's handler:
//
//	auth, err := npmauth.New(npmauth.Config{
//		BaseURL:  "https://registry.example/",
//		Store:    store.Seal(st, key),
//		Packages: packages{db},
//	})
//	…
//	go auth.Run(ctx)
//	http.ListenAndServe(addr, auth.Wrap(registry))
//
// Wrapped, the registry has npm login (in the browser, and the old way for older clients), two-hour
// sessions, second factors for publishing, granular tokens with an expiry, and npm's rules about
// who may do what, for the npm, Yarn, pnpm and Bun that people already have. A request that no rule
// permits is denied, and so is every request that ends in an error.
//
// # The host's side
//
// The registry's handler receives only requests that were allowed. [host.IdentityFrom] returns who
// sends it, [host.OperationFrom] what was allowed, with the preconditions that the host's write
// must be made conditional on: package hosttest tests that a host does so. People and packages stay
// in the host's own tables, behind [host.Users] and [host.Packages]; a host without users of its
// own leaves Users nil and has package account.
//
// A request is decided on when its header has arrived, to refuse early. One with a body is decided
// on finally when all of it was read: on the credential, the account and the settings as they are
// in Store then, and on what the host's tables say then. So a credential that is revoked while a
// body arrives changes nothing. The final decision about a publish is made inside the host's read
// of the body, before the document's closing brace is released: the host's tables must answer
// within 5 seconds, and the host must hold no lock or transaction that they wait for. What changes
// after that counts for the next request; a host that takes long between the body and its own write
// calls [host.Operation.Confirm] before it.
//
// Five of npm's operations send PUT /<pkg> or PUT /<pkg>/-rev/<rev>. npmauth reads from the body
// which of them it is and what it would change, decides on that, and gives it to the host as
// host.Operation.Change: the host writes that and nothing else that the body says. For npm
// deprecate and npm unpublish, which send the whole document back, [host.Documents] says what there
// is. So it is with changes of owners, and of organizations, which are behind [host.Orgs].
//
// # Before the first request
//
// [Auth.Ready] says whether Store can be read and written, and unsealed with the key that
// it was sealed with: a node that has another key must not begin. [Auth.Run] does what can
// wait. A host with people of its own calls [Auth.PasswordChanged] after each change of a
// password that did not come through [host.Passwords].
//
// # Parts
//
// [Auth.Wrap] is [Auth.Handler], which serves npm's endpoints and the pages below
// /-/auth/, around [Auth.Guard], which authorizes everything else.
// [Auth.Authenticate] and [Auth.Authorize] are the same without HTTP answers, for
// another mux or a gateway. The packages below this one work alone, too.
//
// # Deployment
//
// Publish the base URL with its trailing slash: npm stores credentials under
// the path up to the last slash. Serve it over TLS; passwords and tokens travel
// in requests. Requests reach npmauth with their path still escaped, so a proxy
// must not decode %2F nor merge slashes; it must refuse a request that has both a
// Content-Length and a Transfer-Encoding. What a request does follows from its
// method and path, so nothing behind the guard may read another method into it,
// as from X-HTTP-Method-Override or a field _method. Two requests of npm's carry
// a token in the path (DELETE /-/user/token/… and DELETE
// /-/npm/v1/tokens/token/…), so that path must not be logged; [wire.RedactPath] hides it.
//
// A body that stands still for 30 seconds, or that has been slower than 1 KiB/s for a minute, is
// answered 408, also where a host reads it. (It is twice the least rate of Apache's mod_reqtimeout,
// and less than a telephone line of 9.6 kbit/s has.) How
// long a body takes as a whole is bounded by ReadTimeout of the [http.Server], or, of a
// publish, by a host that sets a read deadline of its own with [http.ResponseController]:
// other bodies are read before the host is called. Headers are read before npmauth sees a
// request: set ReadHeaderTimeout.
//
// Bodies that are kept in memory, which are all but tarballs, take 64 MiB at most in a process,
// and those of one user, or of one network of the anonymous, as much as is free besides. Beyond it
// the answer is 503. Of a request that is refused up to 256 MiB are read, so that a client that is
// still sending gets the answer. docs/host.md says more.
//
// [wire.RedactPath]: https://pkg.go.dev/github.com/npmauth/npmauth/wire#RedactPath
package npmauth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/internal/api"
	"github.com/npmauth/npmauth/internal/authz"
	"github.com/npmauth/npmauth/internal/budget"
	"github.com/npmauth/npmauth/internal/clientip"
	"github.com/npmauth/npmauth/internal/guard"
	"github.com/npmauth/npmauth/leak"
	"github.com/npmauth/npmauth/legacy"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/settings"
	"github.com/npmauth/npmauth/stage"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
	"github.com/npmauth/npmauth/token"
	"github.com/npmauth/npmauth/trust"
	"github.com/npmauth/npmauth/twofactor"
	"github.com/npmauth/npmauth/web"
)

// Config configures an [Auth]. The first three fields are required. The next are other tables of
// the host, then what is decided and served, and how it runs.
type Config struct {
	// Every registry sets these three.

	// BaseURL is where clients reach the registry: absolute, http or https, with the prefix it is
	// mounted at, if any. Every URL that npmauth returns begins with it; the Host header is never
	// used. Required.
	//
	// Requests are served with the prefix in their path, and also where [http.StripPrefix] has
	// removed all of it. A proxy in front must not remove it: then each is answered 404, and
	// the first one that could be npm's is logged.
	BaseURL string

	// Store keeps what npmauth owns. Required. Wrap it in [store.Seal], or who
	// reads a backup reads the secrets of people's authenticator apps. [Auth.Ready] says
	// whether the key is right.
	Store store.Store

	// Packages is the host's table of packages. Required.
	Packages host.Packages

	// The other tables of a host that has them.

	// Users is the host's table of people. Nil means a directory of package account in Store, with
	// the defaults of [account.DirectoryConfig]. Which of [host.SignUp], [host.Profiles] and
	// [host.Passwords] it implements decides whether signing up, npm profile set and npm profile set
	// password are served.
	Users host.Users

	// Documents is the host's table of package documents. Nil means that changed documents, which
	// npm deprecate and npm unpublish send, are refused. It is often the same value as Packages.
	Documents host.Documents

	// Orgs is the host's table of organizations. Nil means that there are none.
	Orgs host.Orgs

	// Services says who administers which service account. Nil means Users if that is a
	// [host.Services], as package account's directory is, else nobody.
	Services host.Services

	// Foreign looks up bearer tokens that do not have npmauth's format: tokens that the host issued
	// itself. An unknown one is [host.ErrInvalidToken]. It is called for every request with such a
	// token. Nil means that there are none.
	Foreign func(ctx context.Context, bearer credential.Secret) (host.ForeignToken, error)

	// ForeignUntil is when the tokens of Foreign end: from then on it is not asked, and each bearer
	// that does not have npmauth's shape is answered as one that [Auth.Tokens] imported as revoked
	// at that time. Until then npm prints the date to those who use one: with whoami, audits
	// and what changes something each time, with other reads once a minute. Zero: they do not end.
	ForeignUntil time.Time

	// What is decided, and what is served.

	// Policy decides about requests and has the limits of sessions, tokens and recovery codes. Nil
	// means policy.NPM(): the rules and the limits of npmjs.com. A policy with an error is an error
	// of New. [Auth.SetPolicy] sets another one later.
	Policy *policy.Policy

	// OpenSignUp lets anyone create an account: at the page /-/auth/signup, to which the page of
	// npm login and a refused password login lead, and with npm adduser while Legacy is on. With a
	// Users that is no [host.SignUp] it is an error of New.
	OpenSignUp bool

	// Legacy configures the CouchDB login of older clients. The zero value
	// serves it.
	Legacy Legacy

	// Public reports whether a request bypasses authorization: a front page, a health check. Nil
	// means that none does. It is called for requests that are no operation of npm's, and for reads
	// of what could be a package: /healthz is a valid name of a package, and only the host knows
	// that there is none. It is not called for npm's writes, nor for paths below /-/, with the
	// prefix of BaseURL or without. Compare whole paths in it: everybody may send a request for
	// which it returns true.
	Public func(*http.Request) bool

	// CheckTarball unpacks the tarball of a publish while it passes by, and refuses the publish
	// with 400 unless the package.json in it says the same as the manifest that the publish has of
	// the version: an installation resolves by the one and runs scripts of the other, and a publish
	// that shows people one thing and does another is manifest confusion. Compared are name and
	// version, scripts, dependencies of every kind, commands, engines, os, cpu and libc, by what npm
	// reads in them: what a client normalizes is no difference. docs/host.md says what is compared,
	// what is not, and what people do whose build changes package.json. Refused, too, is
	// what two readers could take differently: several package.json that differ, repeated keys in
	// what is compared, links, paths with .., data behind the end (tarballs of 2012 can have some zeros
	// there, no client of today's does), and what takes more work than what was sent allows. For n
	// bytes of tarball that is 32 MiB and 64 n bytes unpacked (at most 2 GiB), 16384 and n/16 headers of
	// entries (at most 262144), 1 MiB and 8 n bytes of their attributes in 16384 and n/8 records, 16 equal
	// package.json and 2 MiB of them; each is several times what real packages have. So
	// is a tarball that is not the one that the integrity and the shasum of the version's manifest
	// state, as far as it states them. False means that the content of a tarball is not checked, but
	// of a version that is staged where Packages is a [host.Tarballs]: a page shows its package.json.
	//
	// It costs what gunzip costs, and a tenth more: measured, 14 ms for each MiB that
	// JavaScript takes of a publish, where gzip alone takes 12 and the check of a publish
	// without it 1; and for each publish under way 200 KiB of memory and what is compared, which
	// is a few KiB of most and is refused beyond some MiB. In a process one check fewer than there are
	// processors computes at a time, 24 KiB of a tarball each, in turns; one that waits for its client
	// takes nobody's turn, and one whose client has disconnected ends.
	CheckTarball bool

	// AllowBasicToken accepts a token as the password of Basic authentication, as
	// older tools send it with any user name. A person's password is never
	// accepted there.
	AllowBasicToken bool

	// LeakKeys are the keys of those who may report leaked credentials at POST /-/auth/v1/leaked,
	// which revokes them: [leak.Fetch] for GitHub's, [leak.Static] for a scanner of your own. Nil
	// means nobody.
	LeakKeys leak.Keys

	// Name is the registry's name on pages and in authenticator apps. Empty means
	// BaseURL's host, on pages with its port.
	Name string

	// Keys are the security keys and passkeys of accounts, such as webauthn.Keys of the module
	// twofactor/webauthn: New calls it with Store, BaseURL and Name. There are none where BaseURL's host
	// is an IP address, to which no key can belong. Nil means that there are none.
	Keys func(twofactor.KeysConfig) (twofactor.Keys, error)

	// NoApps lets nobody enrol an authenticator app any more, where security keys are to take their
	// place. Apps that are enrolled go on. Without keys it is an error of New.
	NoApps bool

	// SignIn is your own way to sign people in, such as a company's login, in place of the password:
	// on the pages, and in whatever takes the password besides, see [web.SignIn]. CheckPassword of
	// Users then reports false. Nil means passwords.
	SignIn *web.SignIn

	// Trust lets trusted publishers publish packages: jobs of GitHub Actions, GitLab, CircleCI and other CI
	// systems, which show an ID token and need no token of a user. Maintainers set them up with npm
	// trust. The zero value offers none.
	Trust Trust

	// Staging lets versions be staged: sent without a second factor, and published when people with one have
	// approved them, as npm stage does. The handler keeps what is sent: docs/host.md says how. Nil offers none.
	Staging *Staging

	// Look is how the pages look. The zero value is how they are by themselves.
	Look web.Look

	// How it runs: proxies, logs and events, caches.

	// TrustedProxies are the address ranges of the proxies whose X-Forwarded-For, or Forwarded, is
	// used. Nil means none: a client's address is that of its connection. With an entry of the
	// header that names no address, an unknown or hidden one among them, the client's address is
	// unknown, and lies in no CIDR range. Entries may have a port.
	TrustedProxies []netip.Prefix

	// Forwarded says that TrustedProxies write the header Forwarded (RFC 7239), which is used in
	// place of X-Forwarded-For. Only one of the two ever is, also for a request that has both: a
	// proxy passes on the one that it does not write as the client sent it. False means
	// X-Forwarded-For. True without TrustedProxies is an error of New.
	Forwarded bool

	// Logger logs outages. That a client has disconnected is none: it is logged at level Debug. Nil
	// means that none are logged.
	Logger *slog.Logger

	// Audit receives events, after what happened is durable, while the request waits. Nil means
	// that nobody does. Events of the moment before the process dies are lost. Put a receiver that
	// may be slow behind an [audit.Queue].
	Audit audit.Sink

	// AuditLog stores events as rows of Store, each in the commit that it describes, so that no
	// change lacks its event. Nil means that none are stored. It must be made on the same value as
	// Store, sealed in the same way, which New does not check. Events of refusals and of the host's
	// writes, such as a publish, go to Audit alone. People are shown the events of their own account,
	// at /-/auth/activity and GET /-/auth/v1/events, without what is for operators.
	AuditLog *audit.Log

	// Metrics observes each request that was decided on, after the final decision. May be nil.
	Metrics Metrics

	// Fresh is the greatest age of cached credentials and users, and so how late this node sees a
	// revocation on another node, or that an account was enabled. It sees its own changes at once.
	// If Store is a [store.Watcher] and [Auth.Run] runs, what did not change is cached for longer
	// and what did is usually seen sooner, within the same bound. Zero means one second; negative
	// means no cache: every request reads the store.
	Fresh time.Duration

	// HostFresh is the greatest age of cached Facts of Packages, for reads; for writes Facts is
	// always called. Zero means five seconds; negative means no cache.
	HostFresh time.Duration

	// Passwords says which new passwords are acceptable where Users is nil. A host with Users of
	// its own calls [account.Passwords.Check] where these get a password.
	Passwords account.Passwords

	// Hasher checks passwords where Users is nil. Nil means one with the defaults
	// of [account.HasherConfig].
	Hasher *account.Hasher

	// Now returns the current time. Nil means time.Now.
	Now func() time.Time
}

// Legacy configures the CouchDB login, PUT /-/user/org.couchdb.user:<name>: the
// only one that Yarn 1 to 3 have, and what npm falls back to. It ends in steps, which
// docs/legacy.md describes; [Auth.LegacyUse] says who still needs it.
type Legacy struct {
	// Off answers 404, on which clients stop trying.
	Off bool
	// Deprecated is announced in the Deprecation header (RFC 9745), and from then on in an
	// npm-notice. Zero means that there is none.
	Deprecated time.Time
	// BrownOuts are announced windows in which the login is answered 410, the earliest first, for
	// those who did not read the notice. They are between Deprecated, which they need, and Sunset,
	// and do not overlap. Nil means none.
	BrownOuts []legacy.Window
	// Sunset is announced in the Sunset header (RFC 8594) and the notice, and from then on the login
	// is answered 410. Zero means never.
	Sunset time.Time
	// Docs is the URL of a page about it, for the Link header and the notice. Empty means none.
	Docs string
	// SignUpAtLogin lets a login with a name that is free create the account, also of npm login,
	// where it is often a name that was mistyped. False: only npm adduser does, with an e-mail
	// address. It needs Config.OpenSignUp.
	SignUpAtLogin bool
}

// Trust configures trusted publishers. Issuers and Verifier belong together: either both are set or neither.
type Trust struct {
	// Issuers are the CI systems whose ID tokens are accepted, such as
	//
	//	{Kind: trust.KindGitHub, URL: trust.GitHubURL}
	//
	// An issuer may say of any of its users what it wants: name those only that you rely on.
	Issuers []trust.Issuer

	// Verifier verifies ID tokens: TokenVerifier of the module trust/oidc. New calls it with Issuers and
	// BaseURL, whose host is what the tokens must be issued for.
	Verifier func(trust.VerifierConfig) (trust.TokenVerifier, error)

	// Publishers is how many trusted publishers a package may have, and how many a scope. Zero means 10, npm's; at most 50.
	Publishers int

	// TokenTTL is how long the token lives that a job gets for its ID token. Zero means 15 minutes; at most
	// an hour, npm's.
	TokenTTL time.Duration
}

// Staging configures staged publishing. The zero value has the defaults.
type Staging struct {
	// TTL is how long a version stays staged. Zero means 14 days; a minute to 90 days.
	TTL time.Duration
	// Versions is how many versions of a package may be staged at a time, and how many of one user for all names that
	// no package has. Zero means 100; at most 1000.
	Versions int
}

// Auth is the authentication and authorization of one registry. Its methods are
// safe for concurrent use. Make one with [New].
type Auth struct {
	authz    *authz.Authorizer
	guard    *guard.Guard
	api      *api.API
	subjects *subject.Manager
	// What ends publishers and staged versions, also those of before Config.Trust or Config.Staging was taken away.
	publishers *trust.Manager
	staged     *stage.Manager

	legacyDocs string // Legacy.Docs
}

// New returns an Auth, or an error that names the field of cfg that is wrong.
// It starts no goroutine and does not touch the store.
func New(cfg Config) (*Auth, error) {
	if err := cfg.complete(); err != nil {
		return nil, fmt.Errorf("npmauth: Config.%w", err)
	}
	base, err := parseBase(cfg.BaseURL)
	if err != nil {
		return nil, fmt.Errorf("npmauth: Config.BaseURL %w", err)
	}
	az := authz.New(cfg.Store, orDefault(cfg.Fresh, time.Second), orDefault(cfg.HostFresh, 5*time.Second), keepsPeople(cfg))
	az.Base, az.Prefix = base, strings.TrimSuffix(base.Path, "/")
	az.BasicToken, az.OwnSignIn = cfg.AllowBasicToken, cfg.SignIn != nil
	az.Proxies = clientip.Proxies{Trusted: slices.Clone(cfg.TrustedProxies), Forwarded: cfg.Forwarded}
	az.ForeignUntil = cfg.ForeignUntil
	az.NoApps = cfg.NoApps
	az.SetPolicy(cfg.Policy)
	az.Log, az.Now = cfg.Logger, cfg.Now
	az.Events = audit.NewRecorder(audit.RecorderConfig{Sink: cfg.Audit, Log: cfg.AuditLog, Logger: cfg.Logger, Now: cfg.Now})
	az.AuditLog = cfg.AuditLog
	if cfg.Metrics != nil {
		az.Observe = func(action protocol.Action, outcome audit.Outcome, rule string, d time.Duration) {
			cfg.Metrics.Observe(Observation{Action: action, Outcome: outcome, Rule: rule, Duration: d})
		}
	}
	a := &Auth{authz: az, legacyDocs: cfg.Legacy.Docs}
	if err := a.build(cfg); err != nil {
		return nil, fmt.Errorf("npmauth: %w", err)
	}
	a.guard = &guard.Guard{Authorizer: az, Public: cfg.Public, CheckTarball: cfg.CheckTarball, Memory: budget.New(guard.MaxMemory), ReadAccess: a.api.Serve}
	return a, nil
}

// complete sets the defaults, and returns an error that begins with the field that is wrong.
func (cfg *Config) complete() error {
	if cfg.Store == nil {
		return errors.New("Store is required")
	}
	if cfg.Packages == nil {
		return errors.New("Packages is required")
	}
	for _, p := range cfg.TrustedProxies {
		if !p.IsValid() || p.Addr().Is4In6() { // addresses are compared unmapped: it would never match
			return fmt.Errorf("TrustedProxies: %v is not an IPv4 or IPv6 prefix", p)
		}
	}
	if cfg.Forwarded && len(cfg.TrustedProxies) == 0 {
		return errors.New("Forwarded needs Config.TrustedProxies")
	}
	if _, ok := cfg.Users.(host.SignUp); cfg.OpenSignUp && cfg.Users != nil && !ok {
		return errors.New("OpenSignUp needs Config.Users to have the method of host.SignUp")
	}
	if cfg.Users != nil && (cfg.Passwords.Min != 0 || cfg.Passwords.Blocked != nil) {
		return errors.New("Passwords is about the accounts that are kept where Users is nil")
	}
	if cfg.Legacy.SignUpAtLogin && !cfg.OpenSignUp {
		return errors.New("Legacy.SignUpAtLogin needs Config.OpenSignUp")
	}
	if cfg.Policy == nil {
		cfg.Policy = policy.NPM()
	}
	if err := cfg.Policy.Err(); err != nil {
		return fmt.Errorf("Policy: %w", err)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// build makes the parts and plugs each into those that need it.
func (a *Auth) build(cfg Config) (err error) {
	fail := func(part string, err error) error { return fmt.Errorf("%s: %w", part, err) }
	az := a.authz
	if cfg.Users == nil {
		if cfg.Hasher == nil {
			if cfg.Hasher, err = account.NewHasher(account.HasherConfig{}); err != nil {
				return fail("Config.Hasher", err)
			}
		}
		people, err := account.NewDirectory(account.DirectoryConfig{Store: cfg.Store, Hasher: cfg.Hasher, Now: cfg.Now, Passwords: cfg.Passwords})
		if err != nil {
			return fail("account", err)
		}
		cfg.Users = people
	}
	if keepsPeople(cfg) {
		az.Directory = cfg.Users.(*account.Directory).Within(az.Store, az.Events, az.NamesOrg)
		cfg.Users = az.Directory
	}
	az.Plug(authz.Host{
		Users: cfg.Users, Packages: cfg.Packages, Documents: cfg.Documents, Orgs: cfg.Orgs, Services: cfg.Services, Foreign: cfg.Foreign,
	})
	if a.subjects, err = subject.New(subject.Config{Store: az.Store, Now: az.Now, Events: az.Events}); err != nil {
		return fail("subject", err)
	}
	var keys twofactor.Keys
	if cfg.Keys != nil {
		keys, err = cfg.Keys(twofactor.KeysConfig{Store: az.Store, BaseURL: az.Base, Name: cfg.Name, Now: az.Now})
		switch {
		case errors.Is(err, twofactor.ErrNoDomain):
			keys = nil // which a nil pointer in the interface is not
		case err != nil:
			return fail("Config.Keys", err)
		}
	}
	if cfg.NoApps && keys == nil {
		return errors.New("Config.NoApps needs security keys, which take Config.Keys and a domain name in Config.BaseURL")
	}
	az.Factors, err = twofactor.New(twofactor.Config{
		Store: az.Store, Now: az.Now, Issuer: cmp.Or(cfg.Name, az.Base.Hostname()), Limits: az.Limits, Events: az.Events, Keys: keys, NoApps: cfg.NoApps,
	})
	if err != nil {
		return fail("twofactor", err)
	}
	if az.Tokens, err = token.New(token.Config{Store: az.Store, Limits: az.Limits, Now: az.Now, Events: az.Events}); err != nil {
		return fail("token", err)
	}
	if az.Settings, err = settings.New(settings.Config{Store: az.Store}); err != nil {
		return fail("settings", err)
	}
	if err := cfg.Trust.plugInto(az); err != nil {
		return err
	}
	if a.publishers = az.Trust; a.publishers == nil {
		if a.publishers, err = trust.NewManager(trust.ManagerConfig{Store: az.Store, Events: az.Events, Now: az.Now}); err != nil {
			return fail("trust", err)
		}
	}
	var staging Staging
	if cfg.Staging != nil {
		staging = *cfg.Staging
	}
	if a.staged, err = stage.New(stage.Config{Store: az.Store, TTL: staging.TTL, Versions: staging.Versions, Events: az.Events, Now: az.Now}); err != nil {
		return fail("Config.Staging", err)
	}
	if cfg.Staging != nil {
		az.Stage = a.staged
	}
	az.Sessions, err = session.New(session.Config{
		Store: az.Store, Limits: az.Limits, Now: az.Now, Events: az.Events,
		Lookup: az.Lookup, CheckPassword: az.Users.CheckPassword, SecondFactor: az.SecondFactor, Verifies: az.Verifies, Passkey: az.Passkey, Notice: az.SignInNotice,
		Alive: az.MaySignIn,
	})
	if err != nil {
		return fail("session", err)
	}
	a.api, err = api.New(api.Config{
		Look:       cfg.Look,
		SignIn:     cfg.SignIn,
		WantsKeys:  cfg.Keys != nil,
		NoApps:     cfg.NoApps,
		Authorizer: az, Name: cfg.Name, LeakKeys: cfg.LeakKeys, OpenSignUp: cfg.OpenSignUp,
		Legacy: legacy.Config{
			Off: cfg.Legacy.Off, Deprecated: cfg.Legacy.Deprecated, BrownOuts: cfg.Legacy.BrownOuts, Sunset: cfg.Legacy.Sunset, Docs: cfg.Legacy.Docs,
			SignUpAtLogin: cfg.Legacy.SignUpAtLogin,
		},
	})
	return err // names the field itself
}

// plugInto makes the trusted publishers, if there are any.
func (t Trust) plugInto(az *authz.Authorizer) (err error) {
	switch {
	case len(t.Issuers) == 0 && t.Verifier == nil && t.Publishers == 0 && t.TokenTTL == 0:
		return nil
	case len(t.Issuers) == 0:
		return errors.New("Config.Trust.Issuers is missing")
	case t.Verifier == nil:
		return errors.New("Config.Trust.Verifier is missing: TokenVerifier of trust/oidc")
	}
	az.Trust, err = trust.NewManager(trust.ManagerConfig{
		Store: az.Store, Issuers: t.Issuers, Publishers: t.Publishers, TokenTTL: t.TokenTTL, Events: az.Events, Now: az.Now,
	})
	if err != nil {
		return fmt.Errorf("Config.Trust: %w", err)
	}
	az.IDTokens, err = t.Verifier(trust.VerifierConfig{Issuers: az.Trust.Issuers(), BaseURL: az.Base, Now: az.Now})
	if err != nil {
		return fmt.Errorf("Config.Trust.Verifier: %w", err)
	}
	if az.IDTokens == nil {
		return errors.New("Config.Trust.Verifier returns no verifier")
	}
	return nil
}

// parseBase parses the base URL, whose path ends in a slash then.
func parseBase(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil, text == "":
		return nil, errors.New("is required and must be a URL")
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "", u.User != nil, u.RawQuery != "", u.ForceQuery, u.Fragment != "":
		return nil, fmt.Errorf("%q: must be http(s)://host[:port]/[prefix/]", text)
	case u.EscapedPath() != u.Path, strings.Contains(u.Path, "//"), strings.Contains(u.Path, "%"):
		return nil, fmt.Errorf("%q: the path must need no escaping", text)
	}
	u.Path = strings.TrimSuffix(u.Path, "/") + "/"
	return u, nil
}

func orDefault(d, def time.Duration) time.Duration {
	switch {
	case d == 0:
		return def
	case d < 0:
		return 0
	}
	return d
}

// ClientAddr returns the IP address that r comes from, through Config.TrustedProxies: the addr of
// [Auth.Authorize]. It is the zero Addr if it is unknown.
func (a *Auth) ClientAddr(r *http.Request) netip.Addr { return a.authz.Client(r) }

// keepsPeople reports whether the people are in cfg.Store: what is read and written of them
// is part of npmauth's own commits then.
func keepsPeople(cfg Config) bool {
	d, ok := cfg.Users.(*account.Directory)
	return cfg.Users == nil || ok && d.Uses(cfg.Store)
}
