package integration_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/integration"
)

// OI-14: what can be used once is used once, by however many callers in however many
// processes at the same moment.
func TestOnceAcrossProcesses(t *testing.T) {
	const (
		callers = 8 // of each of two processes, for each of five things: 80 in all
		batch   = 5 // rounds at a time: most of one is waiting
	)
	rounds := 200
	if testing.Short() {
		rounds = 10
	}
	eachEngine(t, func(t *testing.T, at string) {
		library, err := integration.OpenLibrary(at)
		require.NoError(t, err)
		defer library.Close()
		workers := []*integration.Worker{integration.StartWorker(t), integration.StartWorker(t)}
		for _, w := range workers {
			w.Open(at)
		}
		firsts := make([]int, len(workers)) // how often each was first
		for round := 0; round < rounds; round += batch {
			var shots []integration.Shot
			for i := range batch {
				more, err := library.Load(t.Context(), fmt.Sprint("user-", round+i))
				require.NoError(t, err)
				shots = append(shots, more...)
			}
			volleys := integration.Race(t, workers, shots, callers)
			won := make([]int, len(shots))
			for i, v := range volleys {
				require.Empty(t, v.Errors)
				for j, n := range v.Won {
					won[j] += n
					firsts[i] += n
				}
			}
			for i, s := range shots {
				require.Equal(t, 1, won[i], "%s of %s", s.Kind, s.User)
			}
		}
		t.Logf("the two processes were first %v times", firsts)
		if !testing.Short() { // a few rounds may all be won by one of them
			assert.NotContains(t, firsts, 0, "this was no race")
		}
		problems, err := integration.Check(t.Context(), library.Store)
		require.NoError(t, err)
		assert.Empty(t, problems)
	})
}
