package token

import (
	"fmt"
	"time"

	"github.com/npmauth/npmauth/internal/cidr"
	"github.com/npmauth/npmauth/policy"
)

// Day is the unit of a token's life: 24 hours, whatever the calendar says.
const Day = 24 * time.Hour

// Limits that npm does not publish, or does not have.
const (
	// MaxLife is the longest life of any token, also of one that only reads, for which npm has
	// no limit: ten years. Every token expires, so that a forgotten one does not stay valid for
	// ever.
	MaxLife = 3650 * Day
	// MaxCIDRs is how many ranges a token may have.
	MaxCIDRs = cidr.Max
	// MaxName and MaxDescription are the longest name and description, in code
	// points.
	MaxName        = 64
	MaxDescription = 1000
)

// checkLimits refuses limits under which a record could exceed the 64 KiB of a store's value,
// or a token could outlive MaxLife.
func checkLimits(l policy.Limits) error {
	if err := l.Validate(); err != nil {
		return fmt.Errorf("token: Config.Limits: %w", err)
	}
	for _, n := range []struct {
		name   string
		n, max int
	}{
		{"Tokens", l.Tokens, 3000}, {"Targets", l.Targets, 100}, {"Orgs", l.Orgs, 50},
	} {
		if n.n > n.max {
			return fmt.Errorf("token: Config.Limits.%s is %d, more than %d", n.name, n.n, n.max)
		}
	}
	if l.MaxWriteTokenTTL > MaxLife || l.ReadTokenTTL > MaxLife {
		return fmt.Errorf("token: Config.Limits lets a token live longer than %v", MaxLife)
	}
	return nil
}
