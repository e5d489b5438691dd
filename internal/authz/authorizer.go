// Package authz takes one npm request from its header to a decision, and commits what it changes:
//
//	q := a.NewRequest(r, op)
//	d, err := a.Filter(r, q)                  // the first decision: refuses early
//	…                                         // read the body, set q.Change
//	err = a.Commit(r, q, d, keys, write)      // the final decision, in the commit of write
//
// The first decision is made on what is cached and without a proof. The final one is made when
// all of the request was read, on rows of one Get that are preconditions of the commit, and on
// what the host says then. A second factor is spent in that commit. [Authorizer.Commit] is the
// only place that commits on behalf of a request, and [Authorizer.Conclude] the only one that
// records what became of it.
//
// A panic of the host's tables or of the store is an outage, and every error denies.
package authz

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/internal/budget"
	"github.com/npmauth/npmauth/internal/clientip"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/settings"
	"github.com/npmauth/npmauth/stage"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/token"
	"github.com/npmauth/npmauth/trust"
	"github.com/npmauth/npmauth/twofactor"
	"github.com/npmauth/npmauth/wire"
)

// An Authorizer authorizes the requests of one registry, and commits what they change. Its
// exported fields are set before the first request.
type Authorizer struct {
	Base   *url.URL // ends in a slash
	Prefix string   // of Base's path, without that slash

	Store      store.Store // that everything is written through
	unobserved store.Store // that the caches fill from, and that nothing is written through
	fresh      time.Duration
	caches     *caches

	Users     host.Users
	SignUps   host.SignUp   // nil: nobody signs up
	Profiles  host.Profiles // nil: there is an e-mail address, which Users has
	Passwords host.Passwords
	Directory *account.Directory // Users, where it is in Store; nil elsewhere
	Packages  host.Packages
	Documents host.Documents
	Orgs      host.Orgs
	Services  host.Services
	// Memberships, FactorRules and UserScopes are what Orgs can do besides; nil: it cannot.
	Memberships host.Memberships
	FactorRules host.FactorRules
	UserScopes  host.UserScopes
	Foreign     func(context.Context, credential.Secret) (host.ForeignToken, error)
	// Tarballs is what Packages can do besides; nil: it cannot.
	Tarballs host.Tarballs
	// ForeignUntil is when the host's older tokens end. Zero: never.
	ForeignUntil time.Time

	// NoApps is whether nobody enrols an authenticator app any more. It is set before the policy.
	NoApps bool

	policy   atomic.Pointer[policy.Policy]
	Sessions *session.Manager
	Tokens   *token.Manager
	Factors  *twofactor.Manager
	Settings *settings.Manager
	Trust    *trust.Manager      // nil: there are no trusted publishers
	IDTokens trust.TokenVerifier // of them; nil if Trust is
	Stage    *stage.Manager      // nil: nothing is staged

	BasicToken bool // a token may be the password of Basic authentication
	OwnSignIn  bool // people sign in at the host's own login, and have no password
	Proxies    clientip.Proxies

	Events *audit.Recorder
	// AuditLog has the events that accounts are shown. Nil: none are kept.
	AuditLog *audit.Log
	// Observe is told of each final decision, unless it is nil.
	Observe func(protocol.Action, audit.Outcome, string, time.Duration)
	Log     *slog.Logger
	Now     func() time.Time
}

// New returns an Authorizer on st. It caches rows of st for at most fresh and facts of the host for
// at most hostFresh; zero or less is not at all. ownPeople says that the people are in st.
func New(st store.Store, fresh, hostFresh time.Duration, ownPeople bool) *Authorizer {
	a := &Authorizer{fresh: fresh, caches: newCaches(fresh, hostFresh, ownPeople), unobserved: detachedStore{st}}
	a.Store = store.Observe(store.ObserveReads(a.unobserved, a.caches.read), a.caches.changed)
	return a
}

// Policy returns the policy that decides now.
func (a *Authorizer) Policy() *policy.Policy { return a.policy.Load() }

// SetPolicy sets the policy. A request that is under way keeps the one that it began with for its
// first decision; its final decision is made by this one.
func (a *Authorizer) SetPolicy(p *policy.Policy) {
	if a.NoApps {
		p = p.WithFactorRemedy(strings.TrimSuffix(a.howToEnrol(), ".") + " and try again.")
	}
	a.policy.Store(p)
}

// howToEnrol says how a user gets a first second factor.
func (a *Authorizer) howToEnrol() string {
	if a.NoApps {
		return "Add a security key at " + a.URL("-/auth/security") + " in a browser."
	}
	return "Run npm profile enable-2fa auth-and-writes."
}

// Limits returns the limits of the policy that decides now.
func (a *Authorizer) Limits() policy.Limits { return a.Policy().Limits() }

// URL returns the absolute address of path below the base URL.
func (a *Authorizer) URL(path string) string { return a.Base.String() + strings.TrimPrefix(path, "/") }

// Path returns the escaped path of r below the prefix, which begins with a slash; ok is false
// where r is not below the prefix.
//
// [http.StripPrefix] removes the prefix from r.URL and leaves it in RequestURI. Without it both
// have the same path, so that no sender can make one case pass for the other. A handler behind
// reads in r.URL what is returned, in the other case after the prefix.
func (a *Authorizer) Path(r *http.Request) (path string, ok bool) {
	path = r.URL.EscapedPath()
	if a.Prefix != "" && !a.stripped(r, path) {
		if path, ok = strings.CutPrefix(path, a.Prefix); !ok {
			return "", false
		}
	}
	return path, strings.HasPrefix(path, "/")
}

// stripped reports whether path is what is left of that of r without the prefix.
func (a *Authorizer) stripped(r *http.Request, path string) bool {
	sent, err := url.ParseRequestURI(r.RequestURI)
	return err == nil && sent.EscapedPath() == a.Prefix+path
}

// Rooted returns r, with a slash before its path where [http.StripPrefix] was given the prefix
// with the slash at its end: a handler behind expects one. It is put before a slash, too: what is left of
// /npm//npm/plain would have the prefix once more, and Path would remove that.
func (a *Authorizer) Rooted(r *http.Request) *http.Request {
	if a.Prefix == "" || !a.stripped(r, "/"+r.URL.EscapedPath()) {
		return r
	}
	rooted, u := *r, *r.URL
	u.Path = "/" + u.Path
	if u.RawPath != "" {
		u.RawPath = "/" + u.RawPath
	}
	rooted.URL = &u
	return &rooted
}

// Client returns the address that r comes from, through the proxies that are
// trusted. It is the zero Addr where that cannot be told, which no CIDR contains.
func (a *Authorizer) Client(r *http.Request) netip.Addr {
	return clientip.From(r.RemoteAddr, r.Header, a.Proxies)
}

func (a *Authorizer) SessionClient(r *http.Request) session.Client {
	if c, ok := ClientFrom(r.Context()); ok {
		return c
	}
	return session.Client{Addr: a.Client(r), UserAgent: r.UserAgent(), At: a.Now()}
}

type clientKey struct{}

// WithClient returns a context of a request that c sent.
func WithClient(ctx context.Context, c session.Client) context.Context {
	return context.WithValue(ctx, clientKey{}, c)
}

// ClientFrom returns the client of [WithClient].
func ClientFrom(ctx context.Context) (session.Client, bool) {
	c, ok := ctx.Value(clientKey{}).(session.Client)
	return c, ok
}

// BufferBody bounds the body of r, which is read into memory, and accounts for that: reading may fail
// with [budget.ErrFull].
func BufferBody(w http.ResponseWriter, r *http.Request, bound int64) {
	r.Body = http.MaxBytesReader(w, budget.From(r.Context()).Buffered(r.Body), bound)
}

// Fail answers r with err, and logs what is an outage: the client only learns
// that there is one.
func (a *Authorizer) Fail(w http.ResponseWriter, r *http.Request, err error) {
	if outage(err) {
		a.LogOutage(r, err)
	}
	WriteError(w, r, err)
}

// Unclear returns [wire.Unclear] in the place of err, which it logs, where nobody knows whether npmauth itself has done what r
// asks for. It is not for a commit that comes before the host's writing, which has not begun then. Who reads just reads again.
func (a *Authorizer) Unclear(r *http.Request, action protocol.Action, err error) error {
	if !action.Write() || !errors.Is(err, store.ErrUnknown) || Answer(err) != wire.Unavailable {
		return err
	}
	a.LogOutage(r, err)
	return wire.Unclear
}

// LogOutage logs err, which refused r as an outage does. That the client has disconnected is none.
func (a *Authorizer) LogOutage(r *http.Request, err error) {
	attrs := []any{"method", r.Method, "path", wire.RedactPath(r.URL.EscapedPath())}
	if canceled(r.Context(), err) {
		a.Log.DebugContext(r.Context(), "npmauth: the client has disconnected", append(attrs, errorAttrs(err)...)...)
		return
	}
	a.Log.ErrorContext(r.Context(), "npmauth: request refused by an outage", append(attrs, errorAttrs(err)...)...)
}

// LogLater logs what went wrong in the background.
func (a *Authorizer) LogLater(ctx context.Context, what string, err error) {
	a.Log.WarnContext(ctx, what, errorAttrs(err)...)
}

// errorAttrs are what a log says of err.
func errorAttrs(err error) []any {
	attrs := []any{"error", err}
	if p, ok := errors.AsType[*panicError](err); ok {
		attrs = append(attrs, "stack", string(p.stack))
	}
	return attrs
}

// Forget drops what is cached of a user, whose record at the host has changed.
func (a *Authorizer) Forget(id protocol.UserID) { a.caches.people.Drop(holder{user: id}) }
