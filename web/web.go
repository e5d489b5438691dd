// Package web serves the pages at which a person approves a web login, answers a challenge for a
// second factor, creates an account, and manages it.
//
//	pages, err := web.New(web.Config{
//		BaseURL:       base,
//		Sessions:      sessions, // *session.Manager
//		Factors:       factors,  // *twofactor.Manager
//		Keys:          credential.NewServerKey(st, "web"),
//		CheckPassword: sessions.CheckPassword,
//		Client:        client,
//		API:           registry,
//	})
//	mux.Handle("/-/auth/", pages)
//
// It answers, below the path of the base URL:
//
//	GET, POST  /-/auth/login/<page ID>      approve or refuse npm login
//	GET, POST  /-/auth/challenge/<page ID>  confirm or refuse one operation
//	GET, POST  /-/auth/signup               create an account
//	GET, POST  /-/auth/signup/<page ID>     the same, on the way to the login of that page
//	GET, POST  /-/auth/tokens               access tokens, and a new one
//	GET, POST  /-/auth/tokens/<key>         one of them: rotate or revoke it
//	GET, POST  /-/auth/packages             the publishing access of a package
//	GET, POST  /-/auth/trust                the trusted publishers of a package or a scope
//	GET, POST  /-/auth/staged               staged versions: approve or reject some of them
//	GET, POST  /-/auth/staged/<ID>          one of them, and its difference from what is published
//	GET, POST  /-/auth/orgs                 the organizations of an account and its own scope, and their rules
//	GET, POST  /-/auth/sessions             where the account is logged in; end that
//	GET, POST  /-/auth/activity             what happened to an account
//	GET, POST  /-/auth/security             second factors, security keys among them, and password
//	GET, POST  /-/auth/profile              what the account says about its user
//	POST       /-/auth/signout
//	GET        /-/auth/signin               where a browser comes back to from the host's own login
//	GET        /-/auth/                     what pages there are, and what to type to get to one
//	GET        /-/auth/style.css
//	GET        /-/auth/copy.js
//	GET        /-/auth/keys.js
//	GET        /-/auth/logo
//
// A handler that was mounted with that path stripped works too. The polls of the waiting client
// are not served here.
//
// # Logins and challenges
//
// The page of a login or a challenge shows the client, its IP address, the time, and the operation; a login's check code,
// which the client prints as well; and a warning if the browser is at another IP address than
// the client. It requires the password and the second factor; from who is signed in to the browser it
// requires the second factor, and the password of an account that has none. So there is nothing that
// an attacker's URL does with a click. An account that was just created is logged in to nothing.
//
// Where [Config.SignUp] is set, the page of a login leads to the one for signing up, and that back
// to it: the login can be approved with the new account while it waits.
//
// # Accounts
//
// The pages of an account are there where [Config.API] is set: they send requests to it, as npm does,
// with the session of who is signed in, so that what they may do is decided in one place. Who is not
// signed in gets the form for that in the place of the page. A browser stays signed in for as long as
// any session lives, for half an hour without a page, and until it is closed; it is one of the
// account's sessions, and ends with it. Who signs in there anew ends it. Its cookie is sealed, and is no
// credential of the registry. [SignIn] puts the host's own login in the place of the password. What nobody sees again, a new
// token and recovery codes, the page shows once, after the redirect that follows the form: until
// then it is in a sealed cookie of the browser.
//
// # Security keys
//
// Where Factors has security keys, a form takes one in place of a code: its field for the code is
// empty then, and the script keys.js sends it twice. The first time has a field by, and is answered with what the
// key is to sign, in JSON, with 204 if the person has none, or with {"error": sentence}; nothing
// changes. The second time has in key what it has signed: for this page, at a login, a challenge or a
// sign-in, and otherwise for the very change that the form asks for. What keys an account has only who
// knows its password learns, or is signed in. A passkey takes the place of name, password and code. Without the script
// everything works but the keys.
//
// # Answers
//
//	200  the form, the page, or what became of the request
//	303  a form was accepted: the browser loads the result with GET; to a form that changes nothing, which
//	     lists or checks trusted publishers, the answer is the page
//	400  the form is malformed, or has a field twice; or the API answers so
//	403  name, password or second factor is wrong, the API forbids it, or the form came from elsewhere
//	404  the ID is unknown, forged or expired, which is one answer; or nobody can sign up
//	405, 413, 415
//	422  nobody can have such an account, in a sentence that says why
//	503  nobody can check now: too many passwords are, or the store is away
//
// Other refusals of the API have its status.
//
// Unknown name, wrong password, disabled account, and a second factor that is missing, wrong,
// used or locked get the same page, byte for byte. Its status is 403 and not 401, which HTTP
// allows only with a WWW-Authenticate header (RFC 9110 section 15.5.2), and with that header a
// browser prompts for a password of its own.
//
// # Defences
//
// Nothing changes on GET or HEAD, so that a link scanner or preview approves nothing; where the
// host's own login sends a browser back with GET, only that browser signs in. A POST
// must come from the page itself: [http.CrossOriginProtection] refuses a form that the browser
// reports as cross-origin, subdomains too, and the form has a token that is valid for one page
// ID, one browser's cookie, and who is signed in there. The pages load nothing from elsewhere, and a script only where there is
// something to copy or to print, or a security key to use; they appear in no frame, are stored in no cache and send their URL
// nowhere. No URL is ever built from the Host header, and none is taken from a parameter.
//
// # Concurrency
//
// Pages are safe for concurrent use.
package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/trust"
	"github.com/npmauth/npmauth/twofactor"
)

// Logins are web logins that wait for a person: a [session.Manager]. Errors wrap
// [session.ErrNoFlow] for an ID that is unknown or expired, [session.ErrDecided] for one that
// was answered before, and [session.ErrDenied] or [session.ErrFactorRequired] for a person who
// is not authenticated. Any other error means that the check failed.
type Logins interface {
	Page(ctx context.Context, pageID string) (session.Request, error)
	Approve(ctx context.Context, pageID string, in session.SignIn) error
	ApproveAndStay(ctx context.Context, pageID string, in session.SignIn) (credential.Secret, session.Session, error)
	Deny(ctx context.Context, pageID string, c session.Client) error
	SignIn(ctx context.Context, in session.SignIn) (credential.Secret, session.Session, error)
	Verify(ctx context.Context, secret credential.Secret) (session.Session, error)
	Admit(ctx context.Context, user session.User, c session.Client) (credential.Secret, session.Session, error)
}

// Challenges are operations that wait for a second factor: a [twofactor.Manager]. Errors wrap
// [twofactor.ErrNoChallenge] for an ID that is unknown, expired or answered, and
// [twofactor.ErrWrong], [twofactor.ErrLocked], [twofactor.ErrTooMany] or
// [twofactor.ErrNoFactor] for a value that proves nothing. A [*store.ChangedError] means that
// an account was changed after its password was checked: the page checks it once more. Any
// other error means that the check failed.
//
// A page shows ErrTooMany as it shows ErrWrong. The host must end the challenged credential:
// wrap Approve.
type Challenges interface {
	// OffersKeys reports whether there are security keys. KeyOptions and PasskeyOptions begin to use
	// one, and are not called where there are none.
	OffersKeys() bool
	KeyOptions(ctx context.Context, user protocol.UserID, use twofactor.Use) ([]byte, error)
	PasskeyOptions(ctx context.Context, page string) ([]byte, error)
	Pending(ctx context.Context, pageID string) (twofactor.Request, error)
	Approve(ctx context.Context, in twofactor.Approval) (credential.Secret, error)
	Deny(ctx context.Context, pageID string, addr netip.Addr) error
}

// Config configures [Pages].
type Config struct {
	// BaseURL is the public URL of the registry, http or https, with the path that it is
	// mounted at. Required. With https the cookies are for https only.
	BaseURL *url.URL

	// Name is what the pages call the registry. "" means the host of BaseURL.
	Name string

	// SignIn is the host's own way to sign people in, in place of the password. It takes API. Nil
	// means passwords.
	SignIn *SignIn

	// Look changes how the pages look.
	Look Look

	// Sessions are the web logins. Required.
	Sessions Logins

	// Factors are the challenges. Required.
	Factors Challenges

	// Keys makes the keys of form tokens and of the cookie that carries a typed
	// code to the result page. Required.
	Keys *credential.ServerKey

	// CheckPassword returns the user of in.Name if in.Password is theirs, with their account
	// as it was before the check: a [session.Manager.CheckPassword]. Required. An unknown name,
	// a wrong password and a disabled account are all [session.ErrDenied] and take the same
	// time; a password that is not checked since there were too many is a [*subject.WaitError]. It
	// is called for a challenge; for a login Sessions checks.
	CheckPassword func(ctx context.Context, in session.SignIn) (session.Person, error)

	// SignUp creates an account and returns "", or the sentence that says why not, which the page
	// shows above the form. Anyone can have it called as often as they like, with any input. An
	// error means that it could not tell. Nil means that nobody can sign up.
	SignUp func(ctx context.Context, in NewAccount) (problem string, err error)

	// API serves npm's endpoints and npmauth's, to which the pages of an account send their requests,
	// within the process, with the session of who is signed in: whatever a page does is decided
	// there. Requests have the header of the one for the page, without what is about itself. Nil
	// means that there are no such pages, and that nobody stays signed in in a browser.
	API http.Handler

	// Events reports whether API answers GET /-/auth/v1/events. False means that there is no page
	// of what happened to an account.
	Events bool

	// Orgs reports whether API answers GET /-/auth/v1/orgs. False means that there is no page of an
	// account's organizations.
	Orgs bool

	// Issuers are those of trusted publishers, where API answers GET /-/package/<pkg>/trust. None means that
	// there is no page of a package's trusted publishers.
	Issuers []trust.Issuer

	// Staging reports whether API answers GET /-/stage. False means that there is no page of staged versions.
	Staging bool

	// WantsKeys reports whether there are security keys where BaseURL's host is a domain name, and NoApps
	// whether no more authenticator apps are enrolled: what the pages then say and offer.
	WantsKeys, NoApps bool

	// Client returns the client of a request, and when the request arrived. Required. It is
	// called before the body is read, so its At may be the present time; second factors are
	// verified for it, and pages say how far their times are from it.
	Client func(*http.Request) session.Client

	// Report gets every error that a visitor sees as 503 only. Nil discards.
	Report func(r *http.Request, err error)
}

// Pages serves the pages. Create one with [New].
type Pages struct {
	cfg    Config
	prefix string // of the base URL's path, without a slash at its end
	secure bool   // the base URL is https
	origin http.CrossOriginProtection
	design *design
}

// New returns Pages, or an error naming the field of cfg that is wrong.
func New(cfg Config) (*Pages, error) {
	base := cfg.BaseURL
	switch {
	case base == nil:
		return nil, errors.New("web: Config.BaseURL is nil")
	case base.Scheme != "https" && base.Scheme != "http" || base.Host == "" || base.User != nil || base.RawQuery != "" || base.Fragment != "":
		return nil, errors.New("web: Config.BaseURL is not an absolute http or https URL without user, query and fragment")
	case cfg.Sessions == nil:
		return nil, errors.New("web: Config.Sessions is nil")
	case cfg.Factors == nil:
		return nil, errors.New("web: Config.Factors is nil")
	case cfg.Keys == nil:
		return nil, errors.New("web: Config.Keys is nil")
	case cfg.CheckPassword == nil:
		return nil, errors.New("web: Config.CheckPassword is nil")
	case cfg.Client == nil:
		return nil, errors.New("web: Config.Client is nil")
	case cfg.SignIn != nil && cfg.API == nil:
		return nil, errors.New("web: Config.SignIn takes an API")
	}
	if err := cfg.SignIn.validate(); err != nil {
		return nil, err
	}
	if err := trust.ValidateIssuers(cfg.Issuers); err != nil {
		return nil, fmt.Errorf("web: Config.Issuers: %w", err)
	}
	if cfg.Name == "" {
		cfg.Name = base.Host
	}
	if cfg.Report == nil {
		cfg.Report = func(*http.Request, error) {}
	}
	p := &Pages{cfg: cfg, prefix: strings.TrimRight(base.EscapedPath(), "/"), secure: base.Scheme == "https"}
	var err error
	if p.design, err = newDesign(cfg.Look); err != nil {
		return nil, err
	}
	// Behind a proxy that changes the Host header, the origin that the browser sends is still
	// BaseURL's.
	if err := p.origin.AddTrustedOrigin(base.Scheme + "://" + base.Host); err != nil {
		return nil, fmt.Errorf("web: Config.BaseURL: %w", err)
	}
	return p, nil
}

// A route is one of what [Pages] serves.
type route struct {
	methods string            // as documented: where GET is one, so is HEAD
	path    string            // below /-/auth/, as documented; it ends with an ID where that is in angle brackets
	offered func(Config) bool // nil: always
	serve   func(*Pages, http.ResponseWriter, *http.Request, visit)
}

// routes has all of them, in the order of the package's documentation.
var routes = slices.Concat([]route{
	{"GET, POST", "login/<page ID>", nil, decides(func(p *Pages) kind { return login{p} })},
	{"GET, POST", "challenge/<page ID>", nil, decides(func(p *Pages) kind { return challenge{p} })},
	{"GET, POST", signUpSegment, nil, decides(func(p *Pages) kind { return signUp{p} })},
	{"GET, POST", signUpSegment + "/<page ID>", nil, decides(func(p *Pages) kind { return signUp{p} })},
}, accountRoutes(), []route{
	{"POST", signOutSegment, func(cfg Config) bool { return cfg.API != nil }, (*Pages).serveSignOut},
	{"GET", signInSegment, func(cfg Config) bool { return cfg.SignIn != nil }, (*Pages).finishSignIn},
	{"GET", "", nil, (*Pages).serveIndex},
	{"GET", styleFile, nil, asset("text/css; charset=utf-8", func(d *design) []byte { return d.style })},
	{"GET", scriptFile, nil, asset("text/javascript; charset=utf-8", func(d *design) []byte { return d.script })},
	{"GET", keysFile, nil, asset("text/javascript; charset=utf-8", func(d *design) []byte { return d.keys })},
	{"GET", logoFile, func(cfg Config) bool { return len(cfg.Look.Logo) > 0 }, (*Pages).serveLogo},
})

// decides returns what serves the pages of a kind.
func decides(of func(*Pages) kind) func(*Pages, http.ResponseWriter, *http.Request, visit) {
	return func(p *Pages, w http.ResponseWriter, r *http.Request, v visit) {
		if r.Method == http.MethodPost {
			p.decide(w, r, of(p), v)
			return
		}
		p.show(w, r, of(p), v)
	}
}

// routeOf returns the route of what follows /-/auth/ in a path, with its first segment and the ID, "" if it has none.
func (p *Pages) routeOf(rest string) (rt route, segment, id string, ok bool) {
	segment, id, slash := strings.Cut(rest, "/")
	if slash && !validID(id) {
		return route{}, "", "", false
	}
	for _, rt := range routes {
		if at, _, takesID := strings.Cut(rt.path, "/"); at == segment && takesID == slash && (rt.offered == nil || rt.offered(p.cfg)) {
			return rt, segment, id, true
		}
	}
	return route{}, "", "", false
}

// allowed returns the methods of a route for the header Allow. HEAD would sign somebody in as GET does, so that it is none there.
func (rt route) allowed() string {
	if rt.path == signInSegment {
		return rt.methods
	}
	return strings.Replace(rt.methods, "GET", "GET, HEAD", 1)
}

// ServeHTTP serves one request.
func (p *Pages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.protect(w.Header())
	path, _ := strings.CutPrefix(r.URL.EscapedPath(), p.prefix)
	if path == "/-/auth" {
		path += "/"
	}
	rest, below := strings.CutPrefix(path, "/-/auth/")
	rt, segment, id, ok := p.routeOf(rest)
	switch {
	case !ok || !below:
		p.write(w, http.StatusNotFound, gone)
	case segment == signUpSegment && p.cfg.SignUp == nil:
		p.write(w, http.StatusNotFound, noSignUp)
	case !slices.Contains(strings.Split(rt.allowed(), ", "), r.Method):
		w.Header().Set("Allow", rt.allowed())
		p.write(w, http.StatusMethodNotAllowed, badMethod)
	default:
		rt.serve(p, w, r, visit{kind: segment, id: id, path: p.prefix + path, client: p.cfg.Client(r), browser: p.browserOf(r)})
	}
}

// security is the URL of the page where second factors are added.
func (p *Pages) security() string {
	return strings.TrimRight(p.cfg.BaseURL.String(), "/") + "/-/auth/security"
}

// serveIndex answers with the page for whoever looks for the others.
func (p *Pages) serveIndex(w http.ResponseWriter, r *http.Request, v visit) {
	base := strings.TrimRight(p.cfg.BaseURL.String(), "/") + "/" // npm keeps credentials under the path up to the last slash
	index := page{template: "index.html", Title: p.say("Logins of %s", p.cfg.Name), Base: base}
	if p.cfg.NoApps {
		index.Security = p.security()
	}
	if p.cfg.SignUp != nil {
		index.SignUp = p.prefix + "/-/auth/" + signUpSegment
	}
	if p.cfg.API != nil {
		err := p.recognise(w, r, &v)
		index.Nav = p.navigation(v)
		if err == nil && v.member != nil {
			err = p.frame(r.Context(), &index, v, p.giveCookie(w, r))
		}
		if err != nil {
			p.refuse(w, r, err)
			return
		}
	}
	p.write(w, http.StatusOK, index)
}

// validID reports whether id could be a page ID: both kinds have only these characters, which
// need no escaping in a path, in HTML or in a cookie.
func validID(id string) bool {
	if id == "" || len(id) > 1024 {
		return false
	}
	for _, c := range []byte(id) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}
