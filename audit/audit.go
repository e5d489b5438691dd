// Package audit says what happened: who signed in, which token was made, which
// write was refused and by which rule.
//
// A program gives npmauth a [Sink] and receives one [Event] for each thing worth
// keeping. The sink that most programs start with writes to log/slog:
//
//	sink := audit.NewSlog(slog.Default())
//
// Several sinks become one with [Multi], and a function becomes one as a [Func]. One
// that sends events over a network goes behind a [Queue], so that no request waits
// for it.
//
// A [Log] keeps what was done in the store of npmauth itself, in the same commit, and
// lists it newest first, for everybody or for one account.
//
// # What an event holds
//
// Public identifiers only: a user's ID, a credential's accessor, a package, an
// address; of what a person says about themselves or others, only that it changed. No event holds a token, a password, a code or a digest of one. Text
// that a client chose (names, versions, user agents) appears in an event as it was
// sent, within the bounds of the request it came with, so a sink must quote it.
//
// # When an event is recorded
//
// What was done is recorded by a [Recorder], which is called where the change is
// committed. The Log has the event if and only if the change is there. The sink hears
// of it after the change is durable, outside of any transaction: a process that dies
// between the two loses the event for the sink, never the change.
//
// What was refused has no commit and goes to the sink alone, since rows that strangers
// can cause would fill the store. So do operations that a host carries out, once they
// are handed over.
//
// # Concurrency
//
// A [Log], a [Queue], a [Recorder] and the sink of [NewSlog] are safe for concurrent
// use.
package audit

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/npmauth/npmauth/protocol"
)

// A Type names what happened. The values are stable: alarms and queries may rest
// on them. A program that records events of its own should prefix their types
// with its name and a colon.
type Type string

// The types.
const (
	Login            Type = "login"                  // a session was opened, or a sign-in was refused
	LoginStarted     Type = "login.started"          // a client asked for a web login
	LoginApproved    Type = "login.approved"         // a person approved a web login on its page
	LoginDenied      Type = "login.denied"           // a person pressed deny on the page of a web login
	LoginRepeated    Type = "login.repeated"         // a web login was collected again from another address, and its session ended
	Logout           Type = "logout"                 // a credential ended itself
	SessionEnded     Type = "session.ended"          // a session was ended other than by its own logout; without Event.Credential, all of a user's but the one in Event.Detail
	SignUp           Type = "account.created"        // an account came to be
	AccountOff       Type = "account.disabled"       // an account was disabled
	AccountOn        Type = "account.enabled"        // an account was enabled again
	AccountRevoked   Type = "account.revoked"        // every credential of an account was ended
	AccountRanges    Type = "account.ranges"         // from which addresses an account may be used was changed
	Administrators   Type = "account.administrators" // others administer a service account
	AccountImpact    Type = "account.impact"         // whether many depend on an account was changed
	AccountRecovered Type = "account.recovered"      // an account was taken up again other than by its ordinary factors
	AllRevoked       Type = "all.revoked"            // every credential of every account was ended
	Password         Type = "account.password"       // a password was changed, or the attempt failed
	Profile          Type = "account.profile"        // a profile was changed
	TokenCreated     Type = "token.created"          // a granular token was made, which reaches Event.Grants, or refused
	TokenRevoked     Type = "token.revoked"          // a granular token was ended
	TokenExpiring    Type = "token.expiring"         // a granular token ends within days; once for each
	FactorPending    Type = "factor.pending"         // enrolment of a second factor began
	FactorForgotten  Type = "factor.forgotten"       // an enrolment that was never confirmed was given up
	FactorEnrolled   Type = "factor.enrolled"        // a second factor was confirmed
	FactorMode       Type = "factor.mode"            // for what the factor is asked was changed
	FactorDisabled   Type = "factor.disabled"        // the second factor was removed
	FactorUsed       Type = "factor.used"            // a proof was spent, or refused
	FactorReplayed   Type = "factor.replayed"        // a proof was presented again where that is not allowed
	FactorLocked     Type = "factor.locked"          // too many wrong codes: a credential ended, or a factor was locked
	RecoveryUsed     Type = "recovery.used"          // a recovery code was spent
	PackageRules     Type = "package.settings"       // a package's settings were changed to what Event.Detail says, with the package's ID
	Challenge        Type = "challenge.opened"       // a client was asked for a second factor and given a page
	ChallengeYes     Type = "challenge.approved"     // a person approved a challenge on its page
	ChallengeNo      Type = "challenge.denied"       // a person pressed deny on the page of a challenge
	Collected        Type = "challenge.collected"    // a client fetched the proof of an approved challenge
	Access           Type = "access"                 // a request was decided
	BadCredential    Type = "credential.invalid"     // a credential that is none of ours, or no longer
	JWTAsBearer      Type = "credential.jwt_bearer"  // an ID token was presented where the token it can be exchanged for belongs
	Leaked           Type = "credential.leaked"      // a credential was reported as leaked, by where Event.Detail says, and ended
	AddressRefused   Type = "credential.address"     // a credential was used from outside of its CIDR ranges
	EventsLost       Type = "audit.lost"             // a Queue could not keep as many events as Event.Detail says
)

// An Outcome says how it ended. The zero value is [Denied].
type Outcome uint8

// The outcomes.
const (
	Denied     Outcome = iota // refused: Event.Reasons say why
	Challenged                // refused until a second factor is shown
	Failed                    // refused since something of ours or of the host's broke
	Done                      // allowed, or carried out
)

// String returns the outcome in one lower-case word.
func (o Outcome) String() string {
	switch o {
	case Challenged:
		return "challenged"
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

// An Event is one thing that happened. Fields that do not apply are zero, and are
// left out of its JSON.
//
// User says whom an event concerns, By who did it: when an administrator makes a token
// for a service account, User is the service account and By the administrator. When
// the operator does it, By is empty. [Event.From] sets what says who did it.
type Event struct {
	// Time is when it happened. The zero time stands for the moment of recording.
	Time time.Time `json:"time,omitzero"`

	Type    Type    `json:"type"`
	Outcome Outcome `json:"outcome"`

	// User is the account that it concerns: whose credential, factor or profile it
	// is, or who asked for it. "" if nobody's, or unknown.
	User protocol.UserID `json:"user,omitempty"`

	// By is the account that did it, most often User itself: the one that the acting
	// credential, or the password shown, belongs to. "" with [Done] means the operator,
	// a process of ours, or somebody who needs no account; else somebody unproven.
	By protocol.UserID `json:"by,omitempty"`

	// Credential is the accessor of the credential that it is about: the one that was
	// made, changed or ended, else the one that was used.
	Credential string `json:"credential,omitempty"`

	// ByCredential is the accessor of the credential that By acted with. "" if there
	// was none yet, as at a sign-in.
	ByCredential string `json:"by_credential,omitempty"`

	// Addr is the client's address, as far as it can be told: By's, or that of whoever
	// was refused.
	Addr netip.Addr `json:"addr,omitzero"`

	Action  protocol.Action      `json:"action,omitzero"`  // what was asked for, with Access
	Package protocol.PackageName `json:"package,omitzero"` // of which package
	// Change is what a write did or would have done, as [protocol.Change.Recorded] has it:
	// nil for a read, and where it was refused before that was known.
	Change *protocol.Change `json:"change,omitempty"`

	// Grants are what a credential that was made reaches. They are valid: JSON has no
	// words for others.
	Grants []protocol.Grant `json:"grants,omitempty"`

	// Reasons are the codes of all rules or errors that refused, in the order of the
	// decision, or of why it was done: words of ours, never a client's.
	Reasons []string `json:"reasons,omitempty"`

	// Detail is anything else worth knowing. A sink must not change it.
	Detail map[string]string `json:"detail,omitempty"`
}

// Reason returns the first of e.Reasons, which is the one that a person is told,
// or "".
func (e Event) Reason() string {
	if len(e.Reasons) == 0 {
		return ""
	}
	return e.Reasons[0]
}

// An Actor is who does something: an account, the accessor of the credential that it
// acts with, and the address of its client. The zero Actor is the operator.
type Actor struct {
	User       protocol.UserID
	Credential string
	Addr       netip.Addr
}

// From returns e as done by a: its By, ByCredential and Addr are a's.
func (e Event) From(a Actor) Event {
	e.By, e.ByCredential, e.Addr = a.User, a.Credential, a.Addr
	return e
}

// Actor returns who did e.
func (e Event) Actor() Actor {
	return Actor{User: e.By, Credential: e.ByCredential, Addr: e.Addr}
}

// A Sink keeps events, or passes them on. It must be safe for concurrent use and
// must not block for long: it is called while a client waits. It must keep the
// event even if ctx is done by then, and has to deal with its own errors, since
// what the event tells of can no longer be undone.
type Sink interface {
	Record(ctx context.Context, e Event)
}

// A Func is a function as a [Sink].
type Func func(ctx context.Context, e Event)

// Record calls f.
func (f Func) Record(ctx context.Context, e Event) { f(ctx, e) }

// Multi returns a Sink that records every event in each of sinks, in order. Nil
// ones are left out; without any, events are discarded.
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
