// Package session signs people in and keeps the sessions they get: npm's two-hour
// logins, by password in one request or by approval on a web page.
//
// Every login path ends in [Manager.SignIn] or, for the web page, in
// [Manager.Approve], which prove the person in the same way:
//
//	secret, s, err := sessions.SignIn(ctx, session.SignIn{
//		Name: name, Password: password, OTP: otp, Client: client, Via: "couch",
//	})
//
// The password is checked first, and the second factor only after a right one. The
// factor is spent in the very commit that creates the session, so that one code
// opens one session and a failed login leaves the code unspent. The account's
// revocation numbers are read before the password is checked, and the commit expects
// them: a right password is good for those and no others, so that a change of the
// password while it was checked refuses the login (see package subject).
//
// # Sessions
//
// A session lives for two hours from the moment its owner began to prove who they
// are (the lifetime of npm's own sessions since December 2025), and nothing
// prolongs it. It is dead at the instant Session.Expires. Its secret is
// returned once; stored is the SHA-256 of it, which is also the key of the
// record. [Manager.Verify] checks a presented secret. A program that keeps what it read
// for a moment gets a session's record with one Get of [Key], what it says from [Open],
// and whether it was revoked from package subject.
//
// # Ending sessions
//
// [Manager.End] and [Manager.Logout] end one. All sessions of an account, and its web logins
// under way, end when package subject revokes them, in one write: by the account's owner,
// with a change of the password, or when a second factor is turned on. The session that asked
// for it goes on if [Manager.KeepTx] is called in that commit.
//
// # Web login
//
// [Manager.Start] makes the two URLs that npm login asks for and stores nothing:
// the page's ID is a sealed note of who asked, and the poll's ID, which npm keeps
// to itself, proves its own age. [Manager.Page] reads the first for the person in
// front of the browser, [Manager.Approve] and [Manager.Deny] decide, once, and
// [Manager.Collect] answers npm's polls. Only a collected login has a session. Its
// secret is derived from the poll's ID, so that an answer lost on the wire can be
// given again for 30 seconds without the secret being stored.
//
// A poll ID that is shown from another address after it was collected was stolen,
// or the thief was first: either way the session ends.
//
// # Limits
//
// The package does not throttle. Callers bound how often an address may start,
// approve and deny; only approvals and denials write, one record each, which
// expires minutes after its flow.
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
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
)

// Errors that callers tell apart.
var (
	// ErrDenied is the one answer to every sign-in that fails before the second
	// factor: unknown user, wrong password, disabled account.
	ErrDenied = errors.New("session: wrong user name or password")
	// ErrFactorRequired means that the password was right and a second factor is
	// missing or wrong.
	ErrFactorRequired = errors.New("session: second factor required")
	// ErrNoSession means that there is no such session, or that it is another
	// user's.
	ErrNoSession = errors.New("session: no such session")
	// ErrNoFlow is returned for a page ID that is forged, damaged or expired.
	ErrNoFlow = errors.New("session: no such login, or it has expired")
	// ErrDecided means that a web login was approved or denied before.
	ErrDecided = errors.New("session: this login was already decided")
)

// Lifetimes.
const (
	defaultTTL     = 2 * time.Hour
	maxTTL         = 12 * time.Hour
	defaultFlowTTL = 5 * time.Minute
	minFlowTTL     = time.Minute
	maxFlowTTL     = 15 * time.Minute
)

// A User is the account that a name belongs to.
type User struct {
	ID   protocol.UserID // never "", and valid UTF-8
	Name string          // as npm whoami prints it
}

// A Person is a User who showed the right password, see [Manager.CheckPassword].
type Person struct {
	User
	// Subject was read before the password was checked. What is done because the
	// password was right is committed on condition that it still holds: its Evidence is
	// for [store.Tx.Expect].
	Subject subject.Subject
}

// A Client is who sends a request.
type Client struct {
	Addr      netip.Addr // from a hop that is trusted; the zero Addr is unknown
	UserAgent string     // as sent: whoever calls chose it
	// At is when the request's header arrived, by which its second factor is dated. Zero
	// means now.
	At time.Time
}

// maxUserAgent is how much of a user agent is kept, in bytes.
const maxUserAgent = 120

// clean returns c as it is stored and compared: an IPv4 address in its own form,
// no zone, and a short user agent of printable ASCII.
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

// A Spend uses up a second factor inside the commit that depends on it, for the
// credential that the commit creates. It must write only through tx and must not
// keep it: it may run more than once.
type Spend func(ctx context.Context, tx *store.Tx, credentialID string) error

// Config configures a [Manager].
type Config struct {
	// Store keeps sessions and decided web logins. Required. It holds the key
	// of the web login, too, so it should be sealed (store.Seal).
	Store store.Store

	// TTL is how long a session lives. Zero means two hours, as npm's; at most
	// twelve hours.
	TTL time.Duration

	// FlowTTL is how long a web login waits for its approval, and an approved
	// one for npm to collect it. Zero means five minutes; one to fifteen
	// minutes.
	FlowTTL time.Duration

	// Now returns the current time. Nil means time.Now.
	Now func() time.Time

	// Lookup returns the user of that name. Required. ErrDenied means that the name is
	// nobody's who may sign in. Any other error means that nobody can tell, and refuses
	// as well. It is called with what the client sent, which may be empty.
	Lookup func(ctx context.Context, name string) (User, error)

	// CheckPassword reports whether the password is that of the user. Required. It is
	// called with the ID "" for a name that is nobody's, and must then report false
	// after the same time.
	CheckPassword func(ctx context.Context, user protocol.UserID, password credential.Secret) (bool, error)

	// SecondFactor begins the check of the second factor in in.OTP for the user, whose
	// password was right; the zero OTP is none. Required. sub says for what the account's
	// factor is asked. It reserves an attempt in a commit of its own and returns the
	// Spend that runs inside the commit that creates or approves the session. A nil
	// Spend means that the user needs no factor. An error wraps ErrFactorRequired when
	// one is needed and in.OTP is not it; so does an error of the Spend.
	SecondFactor func(ctx context.Context, user User, sub subject.Subject, in SignIn) (Spend, error)

	// Alive returns nil if the user may have a session as far as the host can tell, and
	// ErrDenied if not: the account was disabled or removed. Required. It is called last
	// of all before a session or an approval is written, and again when a web login is
	// collected. Any other error means that nobody can tell, and the client may try
	// again. What npmauth knows of the account itself, package subject says.
	Alive func(ctx context.Context, user protocol.UserID) error

	// Events are told what happened. Nil: nobody is.
	Events *audit.Recorder
}

// A Manager signs people in and keeps their sessions. It is safe for concurrent
// use.
type Manager struct {
	store         store.Store
	serverKey     *credential.ServerKey
	ttl, flowTTL  time.Duration
	clock         func() time.Time
	lookup        func(context.Context, string) (User, error)
	checkPassword func(context.Context, protocol.UserID, credential.Secret) (bool, error)
	secondFactor  func(context.Context, User, subject.Subject, SignIn) (Spend, error)
	alive         func(context.Context, protocol.UserID) error
	events        *audit.Recorder
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
	case cfg.TTL < 0 || cfg.TTL > maxTTL:
		return nil, fmt.Errorf("session: Config.TTL is %v, not between 0 and %v", cfg.TTL, maxTTL)
	case cfg.FlowTTL != 0 && (cfg.FlowTTL < minFlowTTL || cfg.FlowTTL > maxFlowTTL):
		return nil, fmt.Errorf("session: Config.FlowTTL is %v, neither 0 nor between %v and %v", cfg.FlowTTL, minFlowTTL, maxFlowTTL)
	}
	m := &Manager{
		store:         cfg.Store,
		serverKey:     credential.NewServerKey(cfg.Store, "session"),
		ttl:           cfg.TTL,
		flowTTL:       cfg.FlowTTL,
		clock:         cfg.Now,
		lookup:        cfg.Lookup,
		checkPassword: cfg.CheckPassword,
		secondFactor:  cfg.SecondFactor,
		alive:         cfg.Alive,
		events:        cfg.Events,
	}
	if m.ttl == 0 {
		m.ttl = defaultTTL
	}
	if m.flowTTL == 0 {
		m.flowTTL = defaultFlowTTL
	}
	if m.clock == nil {
		m.clock = time.Now
	}
	return m, nil
}

// now is the time as it is stored: cut to microseconds, which every backend
// keeps, so that an expiry never moves later on its way through one.
func (m *Manager) now() time.Time { return m.clock().UTC().Truncate(time.Microsecond) }
