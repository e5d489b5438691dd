package token

import (
	"time"

	"github.com/npmauth/npmauth/internal/cidr"
)

// Day is the unit of a token's life: 24 hours, whatever the calendar says.
const Day = 24 * time.Hour

// Limits that npm does not publish, or does not have.
const (
	// MaxCIDRs is how many ranges a token may have.
	MaxCIDRs = cidr.Max
	// MaxName and MaxDescription are the longest name and description, in code
	// points.
	MaxName        = 64
	MaxDescription = 1000
)
