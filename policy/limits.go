package policy

import (
	"errors"
	"fmt"
	"time"
)

// Limits are the numbers of npm's rules that are no yes or no: how long and how
// many, and from when. [DefaultLimits] has npmjs.com's. Most bound a credential when it is
// issued, and no rule consults them; those that say so are for [NPMWith].
//
// The zero value is not valid: a limit of nothing is more likely forgotten than meant.
type Limits struct {
	// SessionTTL is how long a login lasts, from its start and without renewal.
	// Two hours since December 2025.
	SessionTTL time.Duration
	// MaxSessionTTL is the longest SessionTTL that may be set: half a day.
	MaxSessionTTL time.Duration

	// WriteTokenTTL is the life of a token with any permission to write for which
	// none is given: seven days, and at most MaxWriteTokenTTL, ninety.
	WriteTokenTTL    time.Duration
	MaxWriteTokenTTL time.Duration
	// ReadTokenTTL is the same for a token that only reads: thirty days, and no most.
	ReadTokenTTL time.Duration
	// MinTokenTTL is the shortest life that may be asked for: a day.
	MinTokenTTL time.Duration

	// TokenWarning is how long before its end whoever uses a token is warned of it: seven
	// days, and for a short-lived one the second half of its life. npm has no such thing.
	TokenWarning time.Duration

	// Tokens is how many live tokens an account may have: 1000.
	Tokens int
	// Targets is how many packages and scopes together one token may name: 50.
	Targets int
	// Orgs is how many orgs one token may name: 50.
	Orgs int

	// RecoveryCodes is how many an enrolment hands out: five.
	RecoveryCodes int

	// HighImpactHold is how long an account that many depend on can do nothing lasting
	// after a recovery code was used or its address changed: 72 hours since June 2026. A
	// rule's.
	HighImpactHold time.Duration
	// BypassPublishEnds is the instant from which a token that bypasses the second
	// factor publishes no more and only stages. Zero: never, and then the rule
	// bypass-publishes-no-more is not there. npm has announced it for about January 2027 and
	// named no day, so it is zero in DefaultLimits.
	BypassPublishEnds time.Time
}

// DefaultLimits returns npmjs.com's numbers, from its documentation of access tokens and
// its announcements from September 2025 to June 2026.
func DefaultLimits() Limits {
	const day = 24 * time.Hour
	return Limits{
		SessionTTL:       2 * time.Hour,
		MaxSessionTTL:    12 * time.Hour,
		WriteTokenTTL:    7 * day,
		MaxWriteTokenTTL: 90 * day,
		ReadTokenTTL:     30 * day,
		MinTokenTTL:      day,
		TokenWarning:     7 * day,
		Tokens:           1000,
		Targets:          50,
		Orgs:             50,
		RecoveryCodes:    5,
		HighImpactHold:   3 * day,
	}
}

// ErrLimits is wrapped by the errors of [Limits.Validate].
var ErrLimits = errors.New("policy: invalid limits")

// Validate returns an error that names every field that is not positive, or is
// more than its maximum allows.
func (l Limits) Validate() error {
	var errs []error
	for _, f := range []struct {
		name string
		n    int64
	}{
		{"SessionTTL", int64(l.SessionTTL)}, {"MaxSessionTTL", int64(l.MaxSessionTTL)},
		{"WriteTokenTTL", int64(l.WriteTokenTTL)}, {"MaxWriteTokenTTL", int64(l.MaxWriteTokenTTL)},
		{"ReadTokenTTL", int64(l.ReadTokenTTL)}, {"MinTokenTTL", int64(l.MinTokenTTL)}, {"TokenWarning", int64(l.TokenWarning)},
		{"Tokens", int64(l.Tokens)}, {"Targets", int64(l.Targets)}, {"Orgs", int64(l.Orgs)},
		{"RecoveryCodes", int64(l.RecoveryCodes)}, {"HighImpactHold", int64(l.HighImpactHold)},
	} {
		if f.n <= 0 {
			errs = append(errs, fmt.Errorf("%w: %s is not positive", ErrLimits, f.name))
		}
	}
	for _, f := range []struct {
		name  string
		n, at time.Duration
	}{
		{"SessionTTL", l.SessionTTL, l.MaxSessionTTL},
		{"WriteTokenTTL", l.WriteTokenTTL, l.MaxWriteTokenTTL},
		{"MinTokenTTL", l.MinTokenTTL, min(l.WriteTokenTTL, l.ReadTokenTTL)},
	} {
		if f.n > f.at {
			errs = append(errs, fmt.Errorf("%w: %s of %v is more than %v", ErrLimits, f.name, f.n, f.at))
		}
	}
	return errors.Join(errs...)
}
