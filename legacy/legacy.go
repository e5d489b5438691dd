// Package legacy answers the CouchDB user document, the login that npm's clients had before
// they opened a browser and that all of them still fall back to: PUT
// /-/user/org.couchdb.user:<name> with name and password in the body, and the token in the
// answer.
//
//	h, err := legacy.New(legacy.Config{
//		SignIn: signIn, // the one function behind every way of logging in
//		Client: client,
//		Fail:   npmauth.WriteError,
//		Sunset: time.Date(2027, 6, 1, 0, 0, 0, 0, time.UTC),
//	})
//	h.Put(w, r, name)
//
// A Handler is an adapter: it reads the document, calls [Config.SignIn] and writes the answer.
// That function checks all that a sign-in needs, the second factor too, so this login is no
// weaker than the others. The function need not be npmauth's: it must return [ErrDenied] for a
// wrong name or password.
//
// # The request
//
// The body is the only credential. An Authorization header, which npm sends from an older login
// and Yarn 1 and pnpm fill with the same password, is neither read nor compared. A document's
// roles, type and date are accepted, since every client sends them, and ignored. A field that
// no client sends is refused.
//
// # Signing up
//
// With [Config.SignUp] set, npm adduser makes an account of a name that is free: a request that
// says that it is adduser, in the npm-command header or in npm 6's referer, and has an e-mail
// address in its document. In npm 6 to 8 npm login is another name of npm adduser and cannot be
// told from it. Any other request for a name that is free is denied, so that a mistyped name is a
// failed login; [Config.SignUpAtLogin] makes an account of it. An existing name is a login,
// whatever else the document says: nothing about the account changes, not its e-mail address
// either.
//
// While sign-up is open, npm adduser tells anyone which names are taken, as every such site does.
// All other requests get one answer for unknown names and wrong passwords.
//
// # The end of it
//
// [Config.Deprecated], [Config.BrownOuts] and [Config.Sunset] are the steps in which PUT ends: it
// works and says that it will not for ever; it is 410 for a few announced hours, so that whoever
// did not read that notices; it is 410. A refused PUT is answered before anything of it is read.
// Until then every answer to it has the headers of RFC 9745 and RFC 8594, and an npm-notice, which
// npm prints, with the next brown-out and the end. GET is no login (npm owner add reads a user
// with it) and stays.
//
// # Concurrency
//
// A Handler is safe for concurrent use.
package legacy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/npmauth/npmauth/credential"
)

// MaxBody is the size up to which a document is read.
const MaxBody = 64 << 10 // bytes

// prefix is what CouchDB puts before a user's name to make a document's id.
const prefix = "org.couchdb.user:"

// A SignIn has the fields of a login's document and request.
type SignIn struct {
	Name     string            // as typed, and in the path
	Password credential.Secret // as typed; the zero Secret is an empty password
	OTP      credential.Secret // the npm-otp header; the zero Secret is none
	Client   Client            // what [Config.Client] returned
	// Notice makes the client print text, if it prints an npm-notice, beside the answer.
	Notice func(text string)
}

// A Client is the sender of a request.
type Client struct {
	Addr      netip.Addr // from a trusted proxy; the zero Addr is unknown
	UserAgent string     // as sent: the client can claim anything
	At        time.Time  // when the request's header arrived
}

// A User is an account as [Handler.Get] shows it.
type User struct {
	Name  string
	Email string
}

// Config configures a [Handler].
type Config struct {
	// SignIn signs in and returns the secret of the new credential. Required. It must return an
	// error that wraps [ErrDenied] for an unknown name, a wrong password and a disabled account
	// alike, and another error for everything else, such as a second factor that is missing or
	// wrong. Fail gets its errors unchanged.
	SignIn func(ctx context.Context, in SignIn) (credential.Secret, error)

	// SignUp creates an account. Nil means that sign-up is closed. It is called only after
	// SignIn has denied, and must return an error that wraps [ErrNameTaken] if the name is
	// taken before it checks anything else, or a wrong password would be checked as a new one.
	// email is "" if the document has none, which happens with SignUpAtLogin alone. Fail gets its
	// other errors, and for a name that is taken one that wraps both ErrDenied and ErrNameTaken.
	SignUp func(ctx context.Context, name, email string, password credential.Secret) error

	// SignUpAtLogin lets every login with a name that is free create the account, as npmauth did
	// before it had a page for signing up. A mistyped name then becomes an account. False: only
	// npm adduser creates one. It changes nothing while SignUp is nil.
	SignUpAtLogin bool

	// ReadUser returns the account of that name for the sender of r. It decides whether the
	// sender may read it, and Fail gets its errors. Nil means that GET is answered as not
	// found.
	ReadUser func(r *http.Request, name string) (User, error)

	// Off turns logging in and signing up off: PUT is answered as not found. GET is not
	// affected.
	Off bool

	// Deprecated is the time from which clients should not use PUT. Zero: not announced.
	Deprecated time.Time

	// BrownOuts are the windows in which PUT is gone before it is for good, the earliest first.
	// They must not overlap, begin before Deprecated, nor end after Sunset if there is one.
	// Times are in whole seconds: parts of a second are cut off. Nil: there are none. With one,
	// Deprecated is required: a window is announced.
	BrownOuts []Window

	// Sunset is the first instant at which PUT is gone, in whole seconds: parts of a second are
	// cut off. Zero means never. It must not be before Deprecated.
	Sunset time.Time

	// Docs is the absolute http or https URL of a page that says what to use instead. It is
	// linked, and named in the notice, if Deprecated or Sunset is announced. May be "".
	Docs string

	// Now returns the current time. Nil means time.Now.
	Now func() time.Time

	// Client returns the client of a request, and when the request arrived. Required. It is
	// called before the body is read, so its At may be the present time; second factors are
	// verified for it.
	Client func(*http.Request) Client

	// Fail answers a request with an error. Required. It gets an [*Error] for a refusal of this
	// package, with status and sentence, and the errors of SignIn, SignUp and ReadUser
	// unchanged.
	Fail func(w http.ResponseWriter, r *http.Request, err error)
}

// A Handler answers the requests for user documents. Create one with [New].
type Handler struct {
	cfg   Config
	notes http.Header // header fields of every answer to PUT
}

// New returns a Handler, or an error naming the field of cfg that is wrong.
func New(cfg Config) (*Handler, error) {
	switch {
	case cfg.SignIn == nil:
		return nil, errors.New("legacy: Config.SignIn is nil")
	case cfg.Client == nil:
		return nil, errors.New("legacy: Config.Client is nil")
	case cfg.Fail == nil:
		return nil, errors.New("legacy: Config.Fail is nil")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	cfg.Sunset = cfg.Sunset.Truncate(time.Second)
	if !cfg.Sunset.IsZero() && cfg.Sunset.Before(cfg.Deprecated.Truncate(time.Second)) {
		return nil, errors.New("legacy: Config.Sunset is before Config.Deprecated") // RFC 9745 section 4
	}
	var err error
	if cfg.BrownOuts, err = checkWindows(cfg); err != nil {
		return nil, err
	}
	notes, err := notes(cfg)
	if err != nil {
		return nil, err
	}
	return &Handler{cfg: cfg, notes: notes}, nil
}

// notes returns the header fields that announce the end of PUT.
func notes(cfg Config) (http.Header, error) {
	h := http.Header{}
	if !cfg.Deprecated.IsZero() {
		h.Set("Deprecation", fmt.Sprintf("@%d", cfg.Deprecated.Unix()))
	}
	if !cfg.Sunset.IsZero() {
		h.Set("Sunset", cfg.Sunset.UTC().Format(http.TimeFormat))
	}
	if cfg.Docs == "" {
		return h, nil
	}
	docs, err := url.Parse(cfg.Docs)
	if err != nil || docs.Scheme != "https" && docs.Scheme != "http" || docs.Host == "" || docs.User != nil ||
		strings.ContainsAny(cfg.Docs, "<>\"") || strings.ContainsFunc(cfg.Docs, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, errors.New("legacy: Config.Docs is not an absolute http or https URL")
	}
	for _, field := range []string{"Deprecation", "Sunset"} {
		if h.Get(field) != "" {
			h.Add("Link", fmt.Sprintf("<%s>; rel=%q; type=%q", docs, strings.ToLower(field), "text/html"))
		}
	}
	return h, nil
}
