package policy

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"time"
)

// Limits are the numbers of npm's rules that are no yes or no: how long and how many. A
// [Policy] carries them. A number that is zero is npmjs.com's, which [DefaultLimits] returns; a
// negative one is an error. Most bound a credential when it is created, and no rule consults
// them; HighImpactHold is a rule's of [NPM].
type Limits struct {
	// SessionTTL is how long a login lasts, from its start and without renewal. Two hours, since
	// December 2025; at most twelve.
	SessionTTL time.Duration

	// WriteTokenTTL is the life of a token with any permission to write for which none is
	// given: seven days. It must not exceed MaxWriteTokenTTL, which is ninety days.
	WriteTokenTTL    time.Duration
	MaxWriteTokenTTL time.Duration
	// ReadTokenTTL is the same for a token that only reads: thirty days. What may be asked for
	// has no maximum but [MaxTokenTTL].
	ReadTokenTTL time.Duration
	// MinTokenTTL is the shortest life that may be asked for: a day.
	MinTokenTTL time.Duration

	// TokenWarning is how long before its end the user of a token is warned: seven days, or the
	// second half of its life if that is shorter. npm has no such warning.
	TokenWarning time.Duration

	// Tokens is how many live tokens an account may have: 1000; at most 3000.
	Tokens int
	// Targets is how many packages and scopes together one token may name: 50; at most 100.
	Targets int
	// Orgs is how many organizations one token may name: 50, which is also the most.
	Orgs int

	// RecoveryCodes is how many an enrolment hands out: five; at most twenty.
	RecoveryCodes int

	// HighImpactHold is how long an account that many depend on can do nothing lasting
	// after a recovery code was used or its address changed: 72 hours, since June 2026.
	HighImpactHold time.Duration
}

const day = 24 * time.Hour

// MaxTokenTTL is the longest life of any token, also of one that only reads, for which npm has
// no limit: ten years. Every token expires, so that a forgotten one does not stay valid for ever.
const MaxTokenTTL = 3650 * day

// DefaultLimits returns npmjs.com's numbers, from its documentation of access tokens and
// its announcements from September 2025 to June 2026.
func DefaultLimits() Limits {
	return Limits{
		SessionTTL:       2 * time.Hour,
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

// OrNPM returns l with npm's numbers for those that are zero.
func (l Limits) OrNPM() Limits {
	npm := DefaultLimits()
	return Limits{
		SessionTTL:       cmp.Or(l.SessionTTL, npm.SessionTTL),
		WriteTokenTTL:    cmp.Or(l.WriteTokenTTL, npm.WriteTokenTTL),
		MaxWriteTokenTTL: cmp.Or(l.MaxWriteTokenTTL, npm.MaxWriteTokenTTL),
		ReadTokenTTL:     cmp.Or(l.ReadTokenTTL, npm.ReadTokenTTL),
		MinTokenTTL:      cmp.Or(l.MinTokenTTL, npm.MinTokenTTL),
		TokenWarning:     cmp.Or(l.TokenWarning, npm.TokenWarning),
		Tokens:           cmp.Or(l.Tokens, npm.Tokens),
		Targets:          cmp.Or(l.Targets, npm.Targets),
		Orgs:             cmp.Or(l.Orgs, npm.Orgs),
		RecoveryCodes:    cmp.Or(l.RecoveryCodes, npm.RecoveryCodes),
		HighImpactHold:   cmp.Or(l.HighImpactHold, npm.HighImpactHold),
	}
}

// ErrLimits is wrapped by the errors of [Limits.Validate].
var ErrLimits = errors.New("policy: invalid limits")

// Validate returns an error that names every field that is negative or more than it may be. A
// default that is not given counts as npm's: a MaxWriteTokenTTL of two days needs a
// WriteTokenTTL, since npm's seven are more.
func (l Limits) Validate() error {
	l = l.OrNPM()
	return errors.Join(
		bounded("SessionTTL", l.SessionTTL, 12*time.Hour),
		bounded("WriteTokenTTL", l.WriteTokenTTL, l.MaxWriteTokenTTL),
		bounded("MaxWriteTokenTTL", l.MaxWriteTokenTTL, MaxTokenTTL),
		bounded("ReadTokenTTL", l.ReadTokenTTL, MaxTokenTTL),
		bounded("MinTokenTTL", l.MinTokenTTL, min(l.WriteTokenTTL, l.ReadTokenTTL)),
		bounded("TokenWarning", l.TokenWarning, math.MaxInt64),
		// The rows that these fill must fit into the 64 KiB of a store's value.
		bounded("Tokens", l.Tokens, 3000),
		bounded("Targets", l.Targets, 100),
		bounded("Orgs", l.Orgs, 50),
		bounded("RecoveryCodes", l.RecoveryCodes, 20),
		bounded("HighImpactHold", l.HighImpactHold, math.MaxInt64),
	)
}

func bounded[N int | time.Duration](field string, n, most N) error {
	switch {
	case n < 0:
		return fmt.Errorf("%w: %s is negative", ErrLimits, field)
	case n > most:
		return fmt.Errorf("%w: %s of %v is more than %v", ErrLimits, field, n, most)
	}
	return nil
}
