package npmauth

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/npmauth/npmauth/store"
)

// TK-10, TK-11: what a clock says that was set is not what has expired.
func TestSteadiness(t *testing.T) {
	start := time.Now()
	type look struct {
		passed, off time.Duration
		want        bool
	}
	const grace = store.SweepGrace
	for name, looks := range map[string][]look{
		"steady":                 {{15 * time.Minute, 0, true}, {30 * time.Minute, 0, true}},
		"corrected a little":     {{15 * time.Minute, grace - 1, true}, {30 * time.Minute, 1 - grace, true}},
		"ten years ahead":        {{15 * time.Minute, 87600 * time.Hour, false}, {30 * time.Minute, 87600 * time.Hour, false}, {45 * time.Minute, 0, true}},
		"ten years back":         {{15 * time.Minute, -87600 * time.Hour, false}, {30 * time.Minute, -87600 * time.Hour, false}, {45 * time.Minute, 0, true}},
		"asleep":                 {{15 * time.Minute, grace, false}, {30 * time.Minute, grace, true}},
		"in small steps forward": {{15 * time.Minute, grace - 1, true}, {30 * time.Minute, grace + 1, false}},
		"asleep for a day":       {{15 * time.Minute, asleep, false}, {30 * time.Minute, asleep, false}},
		"back within a day":      {{15 * time.Minute, -grace, false}, {30 * time.Minute, -grace, true}},
	} {
		t.Run(name, func(t *testing.T) {
			var s steadiness
			_, ok := s.steady(start, start)
			assert.True(t, ok, "nothing to compare with")
			for i, l := range looks {
				off, ok := s.steady(start.Add(l.passed+l.off), start.Add(l.passed))
				assert.Equal(t, l.want, ok, "look %d, off by %s", i, off)
			}
		})
	}
}
