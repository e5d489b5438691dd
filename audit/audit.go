// Package audit records events: who signed in, which token was created, which write was denied and
// by which rule.
//
// A program gives npmauth a [Sink] and receives one [Event] for each thing that happens. Most
// programs start with the sink that writes to log/slog:
//
//	sink := audit.NewSlog(slog.Default())
//
// [Multi] combines several sinks, and a [Func] makes a sink of a function. A sink that sends events
// over a network needs a [Queue] before it, so that no request waits for it; [NewRetry] makes one
// that retries.
//
// A [Log] keeps the events of changes in the store of npmauth itself, in the same commit, and
// lists them newest first, for everybody or for one account.
//
// # The content of an event
//
// Public identifiers only: a user's ID, a credential's public ID, a package, an IP address; of a
// profile, a password or a deprecation message, only that it changed. No event has a token, a
// password, a code or a digest of one. Text that a client chose (names, versions, user agents)
// appears in an event as it was sent, within the bounds of the request it came with, so a sink must
// quote it.
//
// # When an event is recorded
//
// A [Recorder] records a change, and is called where the change is committed. The Log has the
// event if and only if the change happened. The sink gets it after the change is durable,
// outside of any transaction: a process that dies between the two loses the event for the sink,
// never the change.
//
// A refusal has no commit and goes to the sink alone, since everybody could fill the store with its
// rows. So do operations that the host carries out.
//
// # Concurrency
//
// A [Log], a [Queue], a [Recorder] and the sink of [NewSlog] are safe for concurrent
// use.
package audit

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/npmauth/npmauth/protocol"
)

// A Type names what happened. The values are stable: alarms and queries may depend on them. A
// program that records events of its own should prefix their types with its name and a colon.
type Type string

// The types.
const (
	Login            Type = "login"                  // a session was opened, or a sign-in was refused
	LoginStarted     Type = "login.started"          // a client began a web login
	LoginApproved    Type = "login.approved"         // a person approved a web login on its page
	LoginDenied      Type = "login.denied"           // a person pressed deny on the page of a web login
	LoginRepeated    Type = "login.repeated"         // a web login was collected from a second IP address, and its session ended
	Logout           Type = "logout"                 // a credential ended itself
	SessionEnded     Type = "session.ended"          // a session was ended other than by its own logout; without Event.Credential, all of a user's but the one in Event.Detail
	SignUp           Type = "account.created"        // an account was created
	AccountOff       Type = "account.disabled"       // an account was disabled
	AccountOn        Type = "account.enabled"        // an account was enabled
	AccountRevoked   Type = "account.revoked"        // every credential of an account was revoked
	AccountRanges    Type = "account.ranges"         // the IP ranges of an account were changed
	Administrators   Type = "account.administrators" // the administrators of a service account were changed
	AccountImpact    Type = "account.impact"         // whether many depend on an account was changed
	AccountRecovered Type = "account.recovered"      // an account was recovered, perhaps: an operator removed its second factor or set its password, or a host told of a new e-mail address
	AllRevoked       Type = "all.revoked"            // every credential of every account was revoked
	Password         Type = "account.password"       // a password was changed, or the attempt failed
	Profile          Type = "account.profile"        // a profile was changed
	TokenCreated     Type = "token.created"          // a granular token with Event.Grants was created, or refused
	TokenRevoked     Type = "token.revoked"          // a granular token was revoked
	TokensImported   Type = "token.imported"         // as many older tokens as Event.Detail says are refused from now on
	TokenExpiring    Type = "token.expiring"         // a granular token ends within days; once for each
	FactorPending    Type = "factor.pending"         // enrolment of a second factor began
	FactorAdded      Type = "factor.added"           // a security key besides another factor
	FactorRemoved    Type = "factor.removed"         // one of several
	FactorForgotten  Type = "factor.forgotten"       // an unconfirmed enrolment was removed
	FactorEnrolled   Type = "factor.enrolled"        // a second factor was confirmed
	FactorMode       Type = "factor.mode"            // the mode of the second factor was changed
	FactorDisabled   Type = "factor.disabled"        // the second factor was removed
	FactorUsed       Type = "factor.used"            // a proof was spent, or refused
	FactorReplayed   Type = "factor.replayed"        // a spent proof was presented where that is not allowed
	FactorLocked     Type = "factor.locked"          // too many wrong codes: a credential was revoked, or a factor was locked
	RecoveryUsed     Type = "recovery.used"          // a recovery code was spent; Event.Detail says how many are left
	PackageRules     Type = "package.settings"       // a package's settings were changed to what Event.Detail says, with the package's ID
	Transferred      Type = "package.transferred"    // Event.Package got other owners; Event.Detail has its ID
	ScopeTransferred Type = "scope.transferred"      // a scope got other owners; Event.Detail has it
	OrgRules         Type = "organization.settings"  // whether an organization requires a second factor was changed to what Event.Detail says
	ScopeRules       Type = "scope.settings"         // a scope's settings were changed to what Event.Detail says
	TrustAdded       Type = "trust.added"            // a trusted publisher was added to Event.Package, or to the scope in Event.Detail, which says which, and whether it is pending
	TrustRemoved     Type = "trust.removed"          // one was removed, and its tokens are dead; as many as Event.Detail says if it names none
	TrustExchanged   Type = "trust.exchanged"        // an ID token was exchanged for a token with Event.Grants, or refused; Event.Detail says of which publisher, and for which job
	TrustBound       Type = "trust.bound"            // a pending trusted publisher has created Event.Package, and is one of it now; Event.Detail says which
	TrustRevoked     Type = "trust.revoked"          // a token that an ID token was exchanged for was revoked
	VersionStaged    Type = "version.staged"         // a version was staged; Event.Detail has its ID
	VersionApproved  Type = "version.approved"       // a person approved a staged version; Event.Detail says how many have and how many must
	VersionRejected  Type = "version.rejected"       // a staged version was rejected
	Challenge        Type = "challenge.opened"       // a client was challenged for a second factor
	ChallengeYes     Type = "challenge.approved"     // a person approved a challenge on its page
	ChallengeNo      Type = "challenge.denied"       // a person pressed deny on the page of a challenge, or it ended for what Event.Reasons say
	Collected        Type = "challenge.collected"    // a client fetched the proof of an approved challenge
	Access           Type = "access"                 // a request for Event.Action was decided: a publish, an install
	BadCredential    Type = "credential.invalid"     // a credential is unknown, or no longer valid
	JWTAsBearer      Type = "credential.jwt_bearer"  // an ID token was presented where the token it can be exchanged for belongs
	Leaked           Type = "credential.leaked"      // a credential was reported as leaked, by the source in Event.Detail, and revoked
	AddressRefused   Type = "credential.address"     // a credential was used from an IP address outside of its CIDR ranges
	EventsLost       Type = "audit.lost"             // a Queue could not keep as many events as Event.Detail says
)

// An Outcome is the outcome of what an event tells. The zero value is Denied.
//
// Of the two refusals Denied is the one to watch: a credential, a password or a code was presented
// that is not valid, or that does not permit what was requested. Rejected is what people mistype
// and what programs try: a request without a credential, or for a package that does not exist, or
// with a body that is malformed.
type Outcome uint8

// The outcomes.
const (
	Denied     Outcome = iota // refused for what was presented: Event.Reasons say why
	Rejected                  // refused since nothing was presented, or for what was requested
	Challenged                // refused until a second factor is verified
	Canceled                  // not decided: the client has disconnected, or its body ended early
	Failed                    // refused since npmauth or the host failed, or was too slow
	Done                      // allowed, or carried out
)

// Failure returns the outcome of what ended with err, which is no refusal: Canceled if the client
// has disconnected, which cancels ctx, and Failed if not.
func Failure(ctx context.Context, err error) Outcome {
	if errors.Is(err, context.Canceled) && errors.Is(ctx.Err(), context.Canceled) {
		return Canceled
	}
	return Failed
}

// String returns the outcome in one lower-case word.
func (o Outcome) String() string {
	switch o {
	case Rejected:
		return "rejected"
	case Challenged:
		return "challenged"
	case Canceled:
		return "canceled"
	case Failed:
		return "failed"
	case Done:
		return "done"
	default:
		return "denied"
	}
}

// MarshalText returns the word of [Outcome.String].
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText reads a word of [Outcome.String]. Any other is an error.
func (o *Outcome) UnmarshalText(text []byte) error {
	for v := Denied; v <= Done; v++ {
		if v.String() == string(text) {
			*o = v
			return nil
		}
	}
	return fmt.Errorf("audit: unknown outcome %q", text)
}

// An Event is one thing that happened. Fields that do not apply are zero, and are omitted from
// its JSON.
//
// User is the account that an event concerns, By the account that acted: when an administrator
// creates a token for a service account, User is the service account and By the administrator.
// When the operator acts, By is empty. [Event.From] sets the fields of the actor.
type Event struct {
	// Time is when it happened. The zero time means the moment of recording.
	Time time.Time `json:"time,omitzero"`

	Type    Type    `json:"type"`
	Outcome Outcome `json:"outcome"`

	// User is the account that the event concerns: the owner of the credential, factor or
	// profile, or the sender of the request. "" if there is none, or it is unknown.
	User protocol.UserID `json:"user,omitempty"`

	// By is the account that acted, most often User itself: the user of the acting credential,
	// or of the password. "" with [Done] means the operator, a process of npmauth's, or an
	// operation that needs no account; otherwise the actor was not authenticated.
	By protocol.UserID `json:"by,omitempty"`

	// Credential is the public ID of the credential that the event is about: the one that was
	// created, changed or revoked, else the one that was used.
	Credential string `json:"credential,omitempty"`

	// ByCredential is the public ID of the credential that By acted with. "" if there was none yet,
	// as at a sign-in.
	ByCredential string `json:"by_credential,omitempty"`

	// Addr is the IP address of the client, as far as it is known: of By, or of a client that
	// was refused.
	Addr netip.Addr `json:"addr,omitzero"`

	Action  protocol.Action      `json:"action,omitzero"`  // of the request, with Access
	Package protocol.PackageName `json:"package,omitzero"` // of the request
	// Change is the change of a write, carried out or refused, as [protocol.Change.Recorded]
	// returns it: nil for a read, and for a refusal before the change was known.
	Change *protocol.Change `json:"change,omitempty"`

	// Grants are those of a created credential. They are valid: JSON has no words for others.
	Grants []protocol.Grant `json:"grants,omitempty"`

	// Reasons are the codes of all rules or errors that refused, in the order of the decision,
	// or of the reason for the action: npmauth's words, never a client's.
	Reasons []string `json:"reasons,omitempty"`

	// Detail has anything else worth knowing. A sink must not change it.
	Detail map[string]string `json:"detail,omitempty"`
}

// Reason returns the first of e.Reasons, which is the one that the client gets, or "".
func (e Event) Reason() string {
	if len(e.Reasons) == 0 {
		return ""
	}
	return e.Reasons[0]
}

// An Actor is the account that acts, with the public ID of its credential and the IP address of its
// client. The zero Actor is the operator.
type Actor struct {
	User       protocol.UserID
	Credential string
	Addr       netip.Addr
}

// From returns e with the By, ByCredential and Addr of a.
func (e Event) From(a Actor) Event {
	e.By, e.ByCredential, e.Addr = a.User, a.Credential, a.Addr
	return e
}

// Actor returns the actor of e.
func (e Event) Actor() Actor {
	return Actor{User: e.By, Credential: e.ByCredential, Addr: e.Addr}
}

// A Sink receives events. It must be safe for concurrent use and must not block for long: it is
// called while a client waits. It must accept the event even if ctx is done, and must handle its
// own errors, since the change has happened already.
type Sink interface {
	Record(ctx context.Context, e Event)
}

// A Func is a function as a [Sink].
type Func func(ctx context.Context, e Event)

// Record calls f. A nil Func discards.
func (f Func) Record(ctx context.Context, e Event) {
	if f != nil {
		f(ctx, e)
	}
}

// Multi returns a Sink that records every event in each of sinks, in order. It skips nil sinks;
// without any, events are discarded.
func Multi(sinks ...Sink) Sink {
	var kept multi
	for _, s := range sinks {
		if s != nil {
			kept = append(kept, s)
		}
	}
	return kept
}

type multi []Sink

func (m multi) Record(ctx context.Context, e Event) {
	for _, s := range m {
		s.Record(ctx, e)
	}
}
