package policy_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/policy"
)

func TestDefaultLimits(t *testing.T) {
	const day = 24 * time.Hour
	l := policy.DefaultLimits()
	require.NoError(t, l.Validate())
	assert.Equal(t, policy.Limits{
		SessionTTL: 2 * time.Hour, MaxSessionTTL: 12 * time.Hour,
		WriteTokenTTL: 7 * day, MaxWriteTokenTTL: 90 * day, ReadTokenTTL: 30 * day, MinTokenTTL: day,
		TokenWarning: 7 * day,
		Tokens:       1000, Targets: 50, Orgs: 50, RecoveryCodes: 5, HighImpactHold: 3 * day,
	}, l)
	assert.True(t, l.BypassPublishEnds.IsZero(), "npm has named no day")
}

func TestLimitsValidate(t *testing.T) {
	for name, change := range map[string]func(*policy.Limits){
		"SessionTTL":       func(l *policy.Limits) { l.SessionTTL = 0 },
		"MaxSessionTTL":    func(l *policy.Limits) { l.MaxSessionTTL = -1 },
		"WriteTokenTTL":    func(l *policy.Limits) { l.WriteTokenTTL = 0 },
		"MaxWriteTokenTTL": func(l *policy.Limits) { l.MaxWriteTokenTTL = 0 },
		"ReadTokenTTL":     func(l *policy.Limits) { l.ReadTokenTTL = 0 },
		"MinTokenTTL":      func(l *policy.Limits) { l.MinTokenTTL = 0 },
		"TokenWarning":     func(l *policy.Limits) { l.TokenWarning = 0 },
		"Tokens":           func(l *policy.Limits) { l.Tokens = 0 },
		"Targets":          func(l *policy.Limits) { l.Targets = -5 },
		"Orgs":             func(l *policy.Limits) { l.Orgs = 0 },
		"RecoveryCodes":    func(l *policy.Limits) { l.RecoveryCodes = 0 },
		"HighImpactHold":   func(l *policy.Limits) { l.HighImpactHold = -1 },
		"SessionTTL of":    func(l *policy.Limits) { l.SessionTTL = 13 * time.Hour },
		"WriteTokenTTL of": func(l *policy.Limits) { l.WriteTokenTTL = l.MaxWriteTokenTTL + 1 },
		"MinTokenTTL of":   func(l *policy.Limits) { l.MinTokenTTL = l.WriteTokenTTL + 1 },
	} {
		l := policy.DefaultLimits()
		change(&l)
		err := l.Validate()
		require.ErrorIs(t, err, policy.ErrLimits, name)
		assert.Contains(t, err.Error(), name)
	}
	l := policy.DefaultLimits()
	l.SessionTTL = l.MaxSessionTTL
	assert.NoError(t, l.Validate(), "the most is allowed")
	assert.Error(t, policy.Limits{}.Validate(), "the zero value is nothing")
}
