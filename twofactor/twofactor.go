// Package twofactor stores the second factors of accounts, an authenticator app, security keys and
// recovery codes, and verifies the values that clients present.
//
// A program whose policy challenged a request calls [Manager.Prove] with the value of the npm-otp
// header and what the proof is for:
//
//	proof, err := factors.Prove(ctx, user, twofactor.Use{
//		Credential: sessionID, Action: op.Action, Package: op.Package, Change: change.Digest(op),
//	}, value)
//
// The second factor of a sign-in is [Manager.SignIn], which fits into package session's Config.
//
// If the proof must be committed together with what it allows, such as a new token, the caller
// makes the commit: [Manager.Begin] counts an attempt, and [Attempt.Spend] uses up the value in the
// caller's [store.Transact]. [Manager.BeginFor] and [Attempt.Decide] do the same where a policy
// decides whether a proof is needed, and [Manager.Authorize] does all of it, the commit included.
// [Config].Events records the result after the commit; the caller records nothing.
//
// The account's row says what needs its second factor, see package subject. Turning a factor on
// ends, in the same commit, the sessions that were opened without it.
//
// # What may be presented
//
// Every kind of proof arrives in the same header and has a format of its own, see [Form]. A value
// is verified only as the kind whose format it has. A value without one is refused before anything
// is read.
//
// A value is verified for the time at which its request arrived, [Use].At, so that a right code
// stays valid during a slow upload, for [Config].AttemptTTL at most. Attempts are counted by
// the present time.
//
// A code is that of the present step of 30 seconds, of the step before, or of the one after. One
// that is right and was used before is a [*UsedError]. [Sentence] is what to tell the person about
// a value that was refused.
//
// # Security keys
//
// [Config].Keys has the security keys and passkeys of accounts; the module twofactor/webauthn is one.
// An account may have an app, keys, or both: [Manager.AddKeyTx] adds a key, and the first factor of
// whatever kind comes with recovery codes. [Manager.RemoveFactorTx] removes one of several.
//
// A key signs for one thing. [Manager.KeyOptions] begins that, for the change of a request or for a
// page, and [KeyValue] makes of what the browser returns a value to present like any other, for that
// [Use] and once. [Manager.Approve] takes one for the page of a challenge, whose proof is then of another
// form than after a code, so that a policy tells them apart ([policy.ProofKey]). A passkey is a whole
// sign-in: [Manager.Passkey]. What a key signs cannot be guessed, and is not counted.
//
// [Manager.SetKeysOnlyTx] is for who wants nothing but keys to count.
//
// # Repeated codes
//
// A code works once (RFC 6238 section 5.2): the highest step that was accepted only grows.
// Clients however send one code several times: npm repeats a PUT that was answered 5xx after 10
// and after 60 seconds, unpublishes in two requests, and publishes a whole workspace with one
// --otp. So a spent proof leaves a record of reuse, which works only for the same value with
// the same credential:
//
//   - for the same action and change, and for what belongs to it ([Use].FollowUps), for
//     three minutes, eight times;
//   - to publish, and to set and remove dist-tags ([protocol.Action.AcrossPackages]), of any
//     package until the code's own window ends, 64 times, if it was a typed TOTP code, was
//     spent on one of these, and no newer one was accepted since. [Config.Strict] removes
//     this one;
//   - a code typed into a legacy login may be presented once more by the session
//     that it opened, to publish one package ([Use.Carry]).
//
// Creating a token, changing the second factor and changing the profile or password leave none
// ([protocol.Action.Repeats]): no client repeats those requests.
//
// # Guessing
//
// An attempt whose value the factor does not accept is counted, in a commit of its own, before
// the answer. A right code is no guess, even if the operation then fails: an upload breaks off,
// a host refuses. [Config.SoftLimit] attempts of one credential without a success end that
// credential ([ErrTooMany]), [Config.HardLimit] TOTP codes of one account lock the app
// ([ErrLocked]). Recovery codes cannot be guessed: wrong ones end a credential, and neither lock
// anything nor count at a login, so that whoever has the password bars the owner from none. One value counts once within a step of 30
// seconds, however often it is presented: repeats reveal nothing more, and a client that sends
// one code with twenty parallel requests is not guessing. The caller must verify the primary
// credential first: an attempt counts against the account, so a client that cannot sign in must
// not reach it.
//
// # Secrets
//
// Of keys only what is public is stored. Of recovery codes, page and poll IDs and proofs only SHA-256 digests are stored. A TOTP key is
// needed in the clear: its record has the key, so the store should be sealed (see [store.Seal]). A
// seal does not encrypt store keys, so a value that is short enough to be found by trying, a code
// or the digits of a page, is in them only under HMAC-SHA256 with a key that all nodes share (see
// [credential.ServerKey]).
//
// A clock that runs ahead accepts steps of the future; when it is set right the codes in
// between are refused until the clock catches up. If that takes too long, disable the factor.
package twofactor

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"net/netip"
	"time"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/internal/keylock"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
)

// Errors of this package. Every other error means that the check failed, and the request must be
// refused too.
var (
	// ErrWrong is returned for every value that is not accepted: one that is wrong, expired or
	// malformed, or of another account, credential or operation. A [*UsedError], for one that is right
	// and was used before, wraps it.
	ErrWrong = errors.New("twofactor: wrong code")
	// ErrLocked means that there were too many wrong codes of the app. It stays locked
	// until it is disabled.
	ErrLocked = errors.New("twofactor: factor is locked")
	// ErrTooMany means that the credential presented too many wrong values. The caller must end
	// the credential; for a sign-in, which has none, it ends fifteen minutes at most after the
	// last attempt that was counted.
	ErrTooMany = errors.New("twofactor: too many wrong codes")
	// ErrNoFactor means that the account has no second factor, or that there is no enrolment to
	// confirm.
	ErrNoFactor = errors.New("twofactor: no second factor")
	// ErrEnrolled means that the account has a second factor already.
	ErrEnrolled = errors.New("twofactor: already enrolled")
	// ErrNoChallenge is returned for a page ID that is unknown, expired or answered.
	ErrNoChallenge = errors.New("twofactor: no such challenge")
)

// Limits of Config.
const (
	defaultSoftLimit = 5
	maxHardLimit     = 100
)

// Config configures a [Manager].
type Config struct {
	// Store keeps factors, attempts, challenges and records of reuse. Required. It holds
	// TOTP keys, so it should be sealed.
	Store store.Store

	// Now returns the current time. Nil means time.Now.
	Now func() time.Time

	// Issuer names the registry in people's authenticator apps. Empty means "npm".
	Issuer string

	// Keys are the security keys and passkeys of accounts, such as those of package webauthn. Nil means
	// that there are none.
	Keys Keys

	// NoApps lets nobody enrol an authenticator app any more, where keys are to take their place: it
	// needs Keys. Apps that are enrolled go on.
	NoApps bool

	// Strict refuses a typed code that is presented for another package after its first, as a
	// strict reading of NIST SP 800-63B section 3.1.4.2 requires. Publishing a workspace with
	// one --otp fails from its second package on.
	Strict bool

	// SoftLimit is how many values one credential may present without a success, and how many
	// wrong codes one network may present at a login before each waits for those before. Zero means
	// 5. It must not exceed HardLimit.
	SoftLimit int

	// HardLimit is how many codes may be tried against the app of an account
	// without a success, by all credentials together. Zero means 100, which is
	// also the most: NIST SP 800-63B section 3.2.2.
	HardLimit int

	// Limits returns the limits that hold now: RecoveryCodes is how many recovery codes an
	// enrolment returns. Those of a policy are its method Limits. Nil means
	// [policy.DefaultLimits], which are npm's: five.
	Limits func() policy.Limits

	// AttemptTTL is how long after its arrival a value may still be spent: the longest upload
	// during which a code stays valid. Zero means an hour; negative is an error. A longer time
	// helps codes only: records of reuse and approvals may be swept an hour after they expire.
	AttemptTTL time.Duration

	// Events records what happened. Nil records nothing.
	Events *audit.Recorder
}

// A Manager stores and verifies second factors. It is safe for concurrent use, also by several
// processes on one store.
type Manager struct {
	store      store.Store
	clock      func() time.Time
	issuer     string
	devices    Keys // nil: none
	noApps     bool
	strict     bool
	soft       int
	hard       int
	limits     func() policy.Limits
	attemptTTL time.Duration
	events     *audit.Recorder
	locks      keylock.Locks[protocol.UserID] // of what one client sends at once, as lerna does with one code
	serverKey  *credential.ServerKey
}

// New returns a Manager, or an error naming the field of cfg that is wrong.
func New(cfg Config) (*Manager, error) {
	m := &Manager{
		store: cfg.Store, clock: cfg.Now, issuer: cfg.Issuer, devices: cfg.Keys, noApps: cfg.NoApps, strict: cfg.Strict,
		soft: cfg.SoftLimit, hard: cfg.HardLimit, limits: cfg.Limits, attemptTTL: cfg.AttemptTTL,
		events: cfg.Events,
	}
	if m.clock == nil {
		m.clock = time.Now
	}
	if m.issuer == "" {
		m.issuer = "npm"
	}
	if m.limits == nil {
		m.limits = policy.DefaultLimits
	}
	if m.soft == 0 {
		m.soft = defaultSoftLimit
	}
	if m.hard == 0 {
		m.hard = maxHardLimit
	}
	if m.attemptTTL == 0 {
		m.attemptTTL = defaultAttemptTTL
	}
	switch {
	case m.store == nil:
		return nil, errors.New("twofactor: Config.Store is required")
	case m.noApps && m.devices == nil:
		return nil, errors.New("twofactor: Config.NoApps needs Config.Keys")
	case m.attemptTTL < 0:
		return nil, fmt.Errorf("twofactor: Config.AttemptTTL is %v, less than zero", m.attemptTTL)
	case m.hard < 0 || m.hard > maxHardLimit:
		return nil, fmt.Errorf("twofactor: Config.HardLimit %d is outside of 1 to %d", m.hard, maxHardLimit)
	case m.soft < 0 || m.soft > m.hard:
		return nil, fmt.Errorf("twofactor: Config.SoftLimit %d is outside of 1 to HardLimit, %d", m.soft, m.hard)
	}
	if err := m.limits().Validate(); err != nil {
		return nil, fmt.Errorf("twofactor: Config.Limits: %w", err)
	}
	m.serverKey = credential.NewServerKey(m.store, "twofactor")
	return m, nil
}

// now is the time as records keep it: cut to microseconds, which every backend can store, so
// that an instant is read as it was written.
func (m *Manager) now() time.Time { return m.clock().UTC().Truncate(time.Microsecond) }

// A Use is the operation that a proof is for. A proof is bound to its Credential, Action,
// Package and Change.
type Use struct {
	// Credential is the public ID of the credential that presents the value. Empty for a
	// sign-in until its session has one.
	Credential string

	// Action is the action of the request. Required.
	Action protocol.Action

	// Package is the package of the operation. The zero value means none.
	Package protocol.PackageName

	// Change is the digest of the operation and its whole change, see [protocol.Change.Digest].
	// Required to spend a proof other than a sign-in's. It may be zero when an attempt begins
	// before the whole body of a request is known.
	Change protocol.Digest

	// FollowUps are the digests of requests that belong to it and need no proof of their own,
	// see [protocol.Change.FollowUps]. May be nil.
	FollowUps []protocol.Digest

	// Page is the ID of the page at which a security key has signed for the use. "" means that it has
	// signed for Credential, Action, Package and Change, which a sign-in does not have. Other values
	// do not depend on it.
	Page string

	// Carry lets the session that a sign-in opens present the same TOTP code once more, to
	// publish one package within three minutes. Yarn 1 does so after a login on the legacy
	// endpoint. Only with a sign-in, and never for a code typed into a page.
	Carry bool

	// At is when the request that presents the value arrived: its header, not the end of its
	// body. The value is verified for this time. Zero means now.
	At time.Time

	// Addr is the IP address that the request came from, for the event.
	Addr netip.Addr
}

// errUse is returned for a Use that no operation has: a mistake of the caller.
var errUse = errors.New("twofactor: a use needs an action, and a credential unless it is a login")

// errOtherUse is returned for an attempt that is spent on a use that it was not begun for.
var errOtherUse = errors.New("twofactor: an attempt was begun for something else")

// begins checks a use before an attempt at it.
func (u Use) begins() error {
	if u.Action == protocol.Unknown || u.Action >= protocol.ActionCount ||
		u.Action.SignsIn() != (u.Credential == "") || u.Carry && !u.Action.SignsIn() {
		return errUse
	}
	return nil
}

// continues checks the use that an attempt is spent on, which began as u.
func (u Use) continues(spent Use) error {
	switch {
	case spent.Action != u.Action || spent.Package != u.Package || spent.Carry != u.Carry, spent.Page != u.Page, spent.Credential == "":
		return errOtherUse
	case u.Action.SignsIn():
		return nil
	case spent.Credential != u.Credential, spent.Change.IsZero(), !u.Change.IsZero() && spent.Change != u.Change:
		return errOtherUse
	}
	return nil
}

// A refusal is ErrWrong with its reason, which goes into the event and never to the client.
type refusal struct {
	reason string
	owner  protocol.UserID // the user of the challenge, with reasonForeign
}

func (*refusal) Error() string { return ErrWrong.Error() }
func (*refusal) Unwrap() error { return ErrWrong }

func wrong(reason string) error { return &refusal{reason: reason} }

// The reasons of refusals.
const (
	reasonForm    = "malformed"
	reasonWrong   = "wrong"
	reasonExpired = "expired"
	reasonForeign = "foreign"
	reasonCopied  = "copied"
)

// joined returns a digest of parts in hex that no other list of parts has. Short secret parts
// could be found by trying, so no secret goes into a store key this way; see mac.
func joined(parts ...string) string {
	h := sha256.New()
	write(h, parts)
	return hex.EncodeToString(h.Sum(nil))
}

// write hashes parts as no other list of parts is hashed.
func write(h hash.Hash, parts []string) {
	var size [8]byte
	for _, p := range parts {
		binary.BigEndian.PutUint64(size[:], uint64(len(p)))
		h.Write(size[:])
		h.Write([]byte(p))
	}
}

// found returns nil instead of an error if the record is absent.
func found[T any](v *T, err error) (*T, error) {
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return v, err
}
