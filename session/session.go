// Package session signs people in, by password in one request, by approval on a web page, or with a
// passkey, and stores their sessions, which last two hours as npm's do.
//
// Every login path ends in [Manager.SignIn] or, for the web page, in [Manager.Approve] or
// [Manager.ApproveAndStay]. All authenticate the person in the same way; only [Manager.Admit] takes the
// program's word for who it is:
//
//	secret, s, err := sessions.SignIn(ctx, session.SignIn{
//		Name: name, Password: password, OTP: otp, Client: client, Via: "couch",
//	})
//
// A passkey ([SignIn].Passkey) is both factors: no password is checked and none guessed, and what it has
// signed is verified in the commit that creates the session.
//
// The password is checked first, and the second factor only after a right password. The second
// factor is spent in the commit that creates the session, so that one code creates one session
// and a failed login leaves the code unspent. The account's revocation numbers are read before
// the password is checked, and the commit expects them: if the password changes while it is
// checked, the login is refused (see package subject).
//
// # Sessions
//
// A session lives for two hours from the moment the sign-in began (the lifetime of npm's own
// sessions since December 2025), and it is not renewed. It has expired at the instant
// Session.Expires. Its secret is returned once; the store has only the SHA-256 of it, which is also
// the key of the record. [Manager.Verify] checks a presented secret. A program that caches sessions
// for a moment gets a session's record with one Get of [Key], decodes it with [Open], and learns
// from package subject whether it was revoked.
//
// # Ending sessions
//
// [Manager.End] and [Manager.Logout] end one session. Package subject revokes all sessions of
// an account, and its web logins under way, in one write: when the user asks for it, with a
// change of the password, or when a second factor is turned on. The session that made the
// request goes on if [Manager.KeepTx] is called in that commit.
//
// # Web login
//
// [Manager.Start] makes the two URLs that npm login needs and stores nothing: the page's ID is
// encrypted and describes the client, and the poll's ID, a secret of the client, carries its
// own time of creation. [Manager.Page] reads the first for the person at the browser,
// [Manager.Approve] and [Manager.Deny] decide, once, and [Manager.Collect] answers npm's polls.
// Only a collected login has a session. Its secret is derived from the poll's ID, so that for
// 30 seconds a lost answer can be repeated without storing the secret.
//
// If a poll ID arrives from a second IP address after it was collected, one of the two clients
// stole it, and the session ends.
//
// # Guesses
//
// Whether a password is checked at all depends on where it comes from, and each check is counted
// before it is made; a right one is none. A network, the /24 of IPv4 or the /56 of IPv6, and a
// browser, see [SignIn].Browser, are known to an account for 90 days after it has signed in there.
//
//   - From a known place there are 20 guesses, and then one after each wait, of 30 seconds, a minute
//     and so on to 15 minutes. They are that place's own: nobody elsewhere uses them up.
//   - All other places together have as many, and to an account with a second factor 100 at most
//     (NIST SP 800-63B-4, section 3.2.2), until the account signs in from one of them, the password
//     changes, or a year after the last.
//   - Beyond that a sign-in that brings a code has its password checked if the code is right. This
//     spends nothing and does not count for the second factor. 20 codes of the app are tried so, from
//     all places together, and then one after each wait, from 30 seconds doubling to a day, until the
//     account signs in with one. Of recovery codes, which cannot be guessed, only the right ones are
//     counted, on their own: strangers close the account to nobody who has one.
//   - An account without a second factor has no codes: each other network gets one check in 15 minutes.
//
// A name that no user has is answered in the same way. A password that is not checked is a
// [*subject.WaitError].
//
// What a stranger does that costs a commit is limited for each network besides: at once 60 denied
// logins and sign-ins whose password is wrong or, since the client has left or too many others wait,
// is not checked, and one more each ten seconds, on each node. Known places are not limited so. To begin a login costs nothing and is not limited.
//
// Who presents a credential has five guesses at the password of its account: [Manager.OwnPassword].
package session

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/internal/bucket"
	"github.com/npmauth/npmauth/internal/keylock"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
)

// Errors that callers tell apart.
var (
	// ErrDenied is the error of every sign-in that fails before the second factor: unknown user,
	// wrong password, disabled account.
	ErrDenied = subject.ErrDenied
	// ErrFactorRequired means that the password was right and the second factor is missing or
	// wrong.
	ErrFactorRequired = subject.ErrFactorRequired
	// ErrNoSession means that there is no such session, or that it is another user's.
	ErrNoSession = errors.New("session: no such session")
	// ErrCursor means that a text is not a cursor that [Manager.List] has returned.
	ErrCursor = errors.New("session: unknown cursor")
	// ErrNoFlow is returned for a page ID that is forged, damaged or expired.
	ErrNoFlow = errors.New("session: no such login, or it has expired")
	// ErrDecided means that a web login was approved or denied before.
	ErrDecided = errors.New("session: this login was already decided")
)

// Lifetimes.
const (
	defaultFlowTTL = 5 * time.Minute
	minFlowTTL     = time.Minute
	maxFlowTTL     = 15 * time.Minute
)

// What strangers may cost, for each network.
const (
	strangerBurst = 60
	strangerEvery = 10 * time.Second
)

// A User is the account that a name belongs to.
type User = subject.User

// A Person is a user whose password was verified, see [Manager.CheckPassword].
type Person struct {
	User
	// Subject was read before the password was checked. A commit that relies on the password
	// must expect that it has not changed: its Evidence is for [store.Tx.Expect].
	Subject subject.Subject
}

// A Client is the sender of a request.
type Client struct {
	Addr      netip.Addr // from a trusted proxy; the zero Addr is unknown
	UserAgent string     // as sent, not verified
	// At is when the request's header arrived. The second factor is verified for this time.
	// Zero means now.
	At time.Time
}

// maxUserAgent is how much of a user agent is kept, in bytes.
const maxUserAgent = 120

// clean returns c as it is stored and compared: an IPv4 address in its own form, no zone, and a
// short user agent of printable ASCII.
func (c Client) clean() Client {
	c.Addr = c.Addr.Unmap().WithZone("")
	ua := c.UserAgent
	if len(ua) > maxUserAgent {
		ua = ua[:maxUserAgent]
	}
	c.UserAgent = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, ua)
	return c
}

// Config configures a [Manager].
type Config struct {
	// Store keeps sessions and decided web logins. Required. It holds the key
	// of the web login, too, so it should be sealed (store.Seal).
	Store store.Store

	// Limits returns the present limits, of which SessionTTL is the lifetime of a new session.
	// [policy.Policy.Limits] is such a function. Nil means [policy.DefaultLimits], with npm's two
	// hours.
	Limits func() policy.Limits

	// FlowTTL is how long a web login waits for its approval, and an approved
	// one for npm to collect it. Zero means five minutes; one to fifteen
	// minutes.
	FlowTTL time.Duration

	// Now returns the current time. Nil means time.Now.
	Now func() time.Time

	// Lookup returns the user with this name, as the client sent it; it may be empty. Required: for
	// a program with an account.Directory, its SignIn. [ErrDenied] means that no user who may
	// sign in has the name. Any other error means that the lookup failed, and the sign-in fails
	// with it.
	//
	// [account.Directory]: https://pkg.go.dev/github.com/npmauth/npmauth/account#Directory.SignIn
	Lookup func(ctx context.Context, name string) (User, error)

	// CheckPassword reports whether the password is that of the user. Required: for a program with
	// an account.Directory, its CheckPassword. It is called with the ID "" for a name that no user
	// has, and must then report false after the same time.
	CheckPassword func(ctx context.Context, user protocol.UserID, password credential.Secret) (bool, error)

	// SecondFactor begins the check of the second factor f of a sign-in to the account sub, whose
	// password was right. Required: the SignIn of a [twofactor.Manager], unless the program stores
	// second factors elsewhere. It counts an attempt in a commit of its own and returns the Spend,
	// which runs in the commit that creates or approves the session. A nil Spend means that the
	// account needs no second factor. If it needs one that is missing or wrong, the error, here or
	// of the Spend, wraps [ErrFactorRequired].
	//
	// [twofactor.Manager]: https://pkg.go.dev/github.com/npmauth/npmauth/twofactor#Manager.SignIn
	SecondFactor func(ctx context.Context, sub subject.Subject, f subject.Factor) (subject.Spend, error)

	// Verifies reports whether the account accepts the second factor f now, and whether a value of
	// its kind can be guessed, as six digits can. It counts, spends and changes nothing. For a
	// program with a [twofactor.Manager], its Verifies. Nil means that no code lets a sign-in through
	// for which there are too many guesses, see "Guesses". It is called for accounts without a second factor,
	// too, and for an account that does not exist where no user has the name.
	//
	// [twofactor.Manager]: https://pkg.go.dev/github.com/npmauth/npmauth/twofactor#Manager.Verifies
	Verifies func(ctx context.Context, sub subject.Subject, f subject.Factor) (right, guessable bool, err error)

	// Passkey returns the user who presents what a passkey has signed at the page f.Page, and a
	// Spend that verifies it in the commit that relies on it. A value that is none is
	// [ErrFactorRequired], here or of the Spend. For a program with a [twofactor.Manager] it calls its
	// Passkey. Nil means that nobody signs in with one.
	//
	// [twofactor.Manager]: https://pkg.go.dev/github.com/npmauth/npmauth/twofactor#Manager.Passkey
	Passkey func(ctx context.Context, f subject.Factor) (User, subject.Spend, error)

	// Alive returns nil if the host lets the user have a session, and [ErrDenied] if the host has
	// disabled or removed the user. Required: for a program with an account.Directory, its Alive.
	// It is called last, before a session or an approval is written, and once more when a web login
	// is collected. Any other error means that the check failed, and the client may try again. What
	// package subject records of the account is checked besides.
	Alive func(ctx context.Context, user protocol.UserID) error

	// Notice returns what the client should print to the person who signs in, such as that the
	// password, which was right, is one that guesses begin with; "" is nothing. It has at most 300
	// bytes, without line ends. With an error nobody signs in. Nil returns nothing.
	Notice func(ctx context.Context, user User, password credential.Secret) (string, error)

	// Events records what happened. Nil records nothing.
	Events *audit.Recorder
}

// A Manager signs people in and stores their sessions. It is safe for concurrent use, also by
// several processes on one store.
type Manager struct {
	store         store.Store
	serverKey     *credential.ServerKey
	limits        func() policy.Limits
	flowTTL       time.Duration
	clock         func() time.Time
	lookup        func(context.Context, string) (User, error)
	checkPassword func(context.Context, protocol.UserID, credential.Secret) (bool, error)
	secondFactor  func(context.Context, subject.Subject, subject.Factor) (subject.Spend, error)
	alive         func(context.Context, protocol.UserID) error
	events        *audit.Recorder
	notice        func(context.Context, User, credential.Secret) (string, error)
	verifies      func(context.Context, subject.Subject, subject.Factor) (right, guessable bool, err error)
	passkey       func(context.Context, subject.Factor) (User, subject.Spend, error)
	owning        keylock.Locks[string] // by the ID of a credential
	strangers     *bucket.Buckets       // of networks that no account knows
}

// New returns a Manager, or an error naming the field of cfg that is wrong.
func New(cfg Config) (*Manager, error) {
	switch {
	case cfg.Store == nil:
		return nil, errors.New("session: Config.Store is nil")
	case cfg.Lookup == nil:
		return nil, errors.New("session: Config.Lookup is nil")
	case cfg.CheckPassword == nil:
		return nil, errors.New("session: Config.CheckPassword is nil")
	case cfg.SecondFactor == nil:
		return nil, errors.New("session: Config.SecondFactor is nil")
	case cfg.Alive == nil:
		return nil, errors.New("session: Config.Alive is nil")
	case cfg.FlowTTL != 0 && (cfg.FlowTTL < minFlowTTL || cfg.FlowTTL > maxFlowTTL):
		return nil, fmt.Errorf("session: Config.FlowTTL is %v, neither 0 nor between %v and %v", cfg.FlowTTL, minFlowTTL, maxFlowTTL)
	}
	m := &Manager{
		store:         cfg.Store,
		serverKey:     credential.NewServerKey(cfg.Store, "session"),
		limits:        cfg.Limits,
		flowTTL:       cfg.FlowTTL,
		clock:         cfg.Now,
		lookup:        cfg.Lookup,
		checkPassword: cfg.CheckPassword,
		secondFactor:  cfg.SecondFactor,
		alive:         cfg.Alive,
		events:        cfg.Events,
		verifies:      cfg.Verifies,
		passkey:       cfg.Passkey,
		notice:        cfg.Notice,
	}
	if m.limits == nil {
		m.limits = policy.DefaultLimits
	}
	if err := m.limits().Validate(); err != nil {
		return nil, fmt.Errorf("session: Config.Limits: %w", err)
	}
	if m.flowTTL == 0 {
		m.flowTTL = defaultFlowTTL
	}
	if m.notice == nil {
		m.notice = func(context.Context, User, credential.Secret) (string, error) { return "", nil }
	}
	if m.clock == nil {
		m.clock = time.Now
	}
	m.strangers = bucket.New(strangerBurst, strangerEvery, m.clock)
	return m, nil
}

// now is the time as it is stored: cut to microseconds, which every backend keeps, so that an
// expiry does not change when it is stored.
func (m *Manager) now() time.Time { return m.clock().UTC().Truncate(time.Microsecond) }

// ttl is how long a session lives.
func (m *Manager) ttl() time.Duration { return m.limits().OrNPM().SessionTTL }
