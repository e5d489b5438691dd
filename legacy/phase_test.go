package legacy_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/legacy"
)

func TestBrownOutsAreValidated(t *testing.T) {
	at := func(hours int) time.Time { return deprecated.Add(time.Duration(hours) * time.Hour) }
	for _, tt := range []struct {
		name       string
		deprecated time.Time
		sunset     time.Time
		windows    []legacy.Window
		wrong      string // part of the error; "" for none
	}{
		{"side by side, up to the sunset", deprecated, at(4), []legacy.Window{{at(0), at(1)}, {at(1), at(2)}, {at(3), at(4)}}, ""},
		{"no sunset", deprecated, time.Time{}, []legacy.Window{{at(0), at(1)}}, ""},
		{"not announced", time.Time{}, at(4), []legacy.Window{{at(0), at(1)}}, "needs Config.Deprecated"},
		{"empty", deprecated, at(4), []legacy.Window{{at(1), at(1)}}, "[0] ends"},
		{"empty in whole seconds", deprecated, at(4), []legacy.Window{{at(1), at(1).Add(time.Second - 1)}}, "[0] ends"},
		{"backwards", deprecated, at(4), []legacy.Window{{at(0), at(1)}, {at(3), at(2)}}, "[1] ends"},
		{"too early", deprecated, at(4), []legacy.Window{{at(-1), at(1)}}, "[0] begins before"},
		{"overlap", deprecated, at(4), []legacy.Window{{at(0), at(2)}, {at(1), at(3)}}, "[1] begins before"},
		{"out of order", deprecated, at(4), []legacy.Window{{at(2), at(3)}, {at(0), at(1)}}, "[1] begins before"},
		{"too late", deprecated, at(4), []legacy.Window{{at(3), at(5)}}, "[0] ends after"},
		{"zero", deprecated, at(4), []legacy.Window{{}}, "[0] ends"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := newPeople().config()
			cfg.Deprecated, cfg.Sunset, cfg.BrownOuts = tt.deprecated, tt.sunset, tt.windows
			_, err := legacy.New(cfg)
			if tt.wrong == "" {
				assert.NoError(t, err)
				return
			}
			assert.ErrorContains(t, err, "Config.BrownOuts")
			assert.ErrorContains(t, err, tt.wrong)
		})
	}
}

// The handler keeps windows of its own.
func TestBrownOutsAreCopied(t *testing.T) {
	cfg := newPeople().config()
	windows := []legacy.Window{brownOut}
	cfg.Deprecated, cfg.Sunset, cfg.BrownOuts = deprecated, sunset, windows
	h := newHandler(t, cfg)
	windows[0] = legacy.Window{}
	assert.False(t, h.Open(brownOut.From))
}

// LG-14: every instant at which something begins or ends, from the first one on, and what npm
// prints then.
func TestPhases(t *testing.T) {
	second := legacy.Window{From: brownOut.From.AddDate(0, 0, 14), Until: brownOut.Until.AddDate(0, 0, 14).Add(30 * time.Second)}
	now := time.Time{}
	cfg := newPeople().config()
	cfg.Deprecated, cfg.Sunset, cfg.BrownOuts = deprecated, sunset, []legacy.Window{brownOut, second}
	cfg.Now = func() time.Time { return now }
	h := newHandler(t, cfg)

	const ends = "It ends on 2027-06-01 12:00 UTC. Use: npm login --auth-type=web"
	const is = "Logging in with a password at this address is "
	for _, tt := range []struct {
		at     time.Time
		status int
		says   string // in the notice, or in the error
	}{
		{deprecated, http.StatusCreated, is + "deprecated. It is off from 2027-05-01 12:00 UTC until 2027-05-01 16:00 UTC. " + ends},
		{brownOut.From.Add(-1), http.StatusCreated, is + "deprecated. It is off from 2027-05-01 12:00 UTC until 2027-05-01 16:00 UTC. " + ends},
		{brownOut.From, http.StatusGone, is + "off until 2027-05-01 16:00 UTC, as announced. " + ends},
		{brownOut.Until.Add(-1), http.StatusGone, is + "off until 2027-05-01 16:00 UTC, as announced. " + ends},
		{brownOut.Until, http.StatusCreated, is + "deprecated. It is off from 2027-05-15 12:00 UTC until 2027-05-15 16:00:30 UTC. " + ends},
		{second.From, http.StatusGone, is + "off until 2027-05-15 16:00:30 UTC, as announced. " + ends},
		{second.Until, http.StatusCreated, is + "deprecated. " + ends},
		{sunset.Add(-1), http.StatusCreated, is + "deprecated. " + ends},
		{sunset, http.StatusGone, "has ended. Use: npm login"},
	} {
		now = tt.at
		w := serve(h, put("alice", aliceLogin))
		require.Equal(t, tt.status, w.Code, "%s", tt.at)
		assert.Equal(t, tt.status == http.StatusCreated, h.Open(tt.at), "%s", tt.at)
		assert.Equal(t, []string{"@1767225600"}, w.Header().Values("Deprecation"), "%s", tt.at)
		assert.Equal(t, []string{"Tue, 01 Jun 2027 12:00:00 GMT"}, w.Header().Values("Sunset"), "%s", tt.at)
		if tt.status == http.StatusCreated {
			assert.Equal(t, tt.says, w.Header().Get("Npm-Notice"), "%s", tt.at)
		} else {
			assert.Empty(t, w.Header().Get("Npm-Notice"), "%s", tt.at)
			assert.Contains(t, w.Body.String(), tt.says, "%s", tt.at)
		}
	}
}

func TestSchedule(t *testing.T) {
	second := legacy.Window{From: brownOut.Until, Until: brownOut.Until.Add(time.Hour)}
	cfg := newPeople().config()
	assert.Empty(t, newHandler(t, cfg).Schedule(deprecated))
	cfg.Deprecated, cfg.Sunset, cfg.BrownOuts = deprecated, sunset, []legacy.Window{brownOut, second}
	h := newHandler(t, cfg)
	const next = "It is off from 2027-05-01 16:00 UTC until 2027-05-01 17:00 UTC. It ends on 2027-06-01 12:00 UTC."
	for at, want := range map[time.Time]string{
		deprecated:             "It is off from 2027-05-01 12:00 UTC until 2027-05-01 16:00 UTC. " + next,
		brownOut.Until.Add(-1): "It is off from 2027-05-01 12:00 UTC until 2027-05-01 16:00 UTC. " + next,
		brownOut.Until:         next,
		second.Until:           "It ends on 2027-06-01 12:00 UTC.",
		sunset.Add(-1):         "It ends on 2027-06-01 12:00 UTC.",
		sunset:                 "It ended on 2027-06-01 12:00 UTC.",
	} {
		assert.Equal(t, want, h.Schedule(at), "%s", at)
	}
	cfg.Off = true
	assert.Equal(t, "It is switched off.", newHandler(t, cfg).Schedule(deprecated))
}

// Nothing is said before it is announced, and nothing of what is not.
func TestNotice(t *testing.T) {
	for _, tt := range []struct {
		name               string
		deprecated, sunset time.Time
		want               string
	}{
		{"nothing", time.Time{}, time.Time{}, ""},
		{"later", deprecated.Add(time.Second), time.Time{}, ""},
		{"deprecated", deprecated, time.Time{}, "Logging in with a password at this address is deprecated. Use: npm login --auth-type=web"},
		{"sunset alone", time.Time{}, sunset, "Logging in with a password at this address is deprecated. It ends on 2027-06-01 12:00 UTC. Use: npm login --auth-type=web"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := newPeople().config()
			cfg.Deprecated, cfg.Sunset, cfg.Now = tt.deprecated, tt.sunset, func() time.Time { return deprecated }
			w := serve(newHandler(t, cfg), put("alice", aliceLogin))
			assert.Equal(t, tt.want, w.Header().Get("Npm-Notice"))
		})
	}
	cfg := newPeople().config()
	cfg.Off, cfg.Deprecated, cfg.Sunset = true, deprecated, sunset
	assert.False(t, newHandler(t, cfg).Open(deprecated))
}
