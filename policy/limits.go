package policy

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"time"
)

// Limits are the durations and counts of npm's rules. A [Policy] has them: see [Policy.WithLimits].
// A field that is zero means the number of npmjs.com, which [DefaultLimits] returns; a negative one
// is an error. HighImpactHold is read by a rule of [NPM]. The others are applied by packages
// session, token and twofactor, most when a credential is created.
type Limits struct {
	// SessionTTL is how long a session lasts from the login on. It is not renewed. Zero means two
	// hours, npm's since December 2025; at most twelve hours.
	SessionTTL time.Duration

	// WriteTokenTTL is the lifetime of a token with any permission to write that is created without
	// one: zero means seven days. It must not exceed MaxWriteTokenTTL, the longest lifetime that
	// such a token may be created with: zero means ninety days; at most [MaxTokenTTL].
	WriteTokenTTL    time.Duration
	MaxWriteTokenTTL time.Duration
	// ReadTokenTTL is the lifetime of a token that only reads and is created without one: zero
	// means thirty days; at most [MaxTokenTTL], which is also the longest that such a token may be
	// created with.
	ReadTokenTTL time.Duration
	// MinTokenTTL is the shortest lifetime that a token may be created with: zero means a day; at
	// most WriteTokenTTL and ReadTokenTTL.
	MinTokenTTL time.Duration

	// TokenWarning is how long before its expiry the user of a token is warned, at most the second
	// half of its lifetime: zero means seven days. npm has no such warning.
	TokenWarning time.Duration

	// Tokens is how many live tokens an account may have: zero means 1000; at most 3000.
	Tokens int
	// Targets is how many packages and scopes together one token may name: zero means 50; at most
	// 100.
	Targets int
	// Orgs is how many organizations one token may name: zero means 50, which is also the maximum.
	Orgs int

	// RecoveryCodes is how many recovery codes an enrolment creates: zero means five; at most
	// twenty.
	RecoveryCodes int

	// HighImpactHold is how long a high-impact account only reads after a recovery code was used, an
	// operator removed its second factor or set its password, or its e-mail address changed: zero means 72 hours, npm's since June 2026. There is no maximum.
	// See [Account].HighImpact.
	HighImpactHold time.Duration
}

const day = 24 * time.Hour

// MaxTokenTTL is the longest lifetime of any token: ten years. npm has no maximum for tokens that
// only read; here every token expires, so that a forgotten one does not stay valid for ever.
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

// OrNPM returns l with npm's number for each field that is zero.
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

// ErrLimits is wrapped by the errors of [Limits.Validate] and, about limits, of [Policy.Err].
var ErrLimits = errors.New("policy: invalid limits")

// Validate returns an error that names every field that is negative or above its maximum, or nil. A
// field that is zero counts as npm's number: a MaxWriteTokenTTL of two days needs a WriteTokenTTL,
// since npm's seven days are more.
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
