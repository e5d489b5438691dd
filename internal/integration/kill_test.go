package integration_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/integration"
)

// A node that is killed, at whatever moment, has lost nothing that it said was
// done, has revoked what it said it revoked, and has done nothing by halves.
func TestKilledAnywhere(t *testing.T) {
	const perStore = 25 // a store that grows is read whole each round
	rounds := 100
	if testing.Short() {
		rounds = 10
	}
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			var at string
			done, cut := 0, 0
			next := integration.StartWorker(t)
			for round := range rounds {
				if round%perStore == 0 {
					at = e.make(t)
				}
				worker := next
				next = integration.StartWorker(t) // gets ready meanwhile
				// Every other time the one that died was alone: then whoever comes
				// next has to clear up.
				var witness *integration.Library
				if round%2 == 0 {
					witness = open(t, at)
				}
				worker.Open(at)
				worker.Churn(fmt.Sprint("round-", round), 4)
				time.Sleep(rand.N(120 * time.Millisecond))
				worker.Kill()
				deeds := worker.Deeds()
				if witness == nil {
					witness = open(t, at)
				}
				for _, d := range deeds {
					require.Empty(t, d.Error, "%+v", d)
					if d.Done {
						done++
						cut--
					} else {
						cut++
					}
				}
				problems, err := integration.Check(t.Context(), witness.Store)
				require.NoError(t, err)
				require.Empty(t, problems, "round %d", round)
				require.Empty(t, witness.Verify(t.Context(), deeds), "round %d", round)
				require.NoError(t, witness.Close())
			}
			t.Logf("%d deeds were done, and %d cut short", done, cut)
			assert.Greater(t, done, rounds, "too little was done to lose")
			assert.Positive(t, cut, "nothing was cut short")
		})
	}
}

func open(t *testing.T, at string) *integration.Library {
	t.Helper()
	library, err := integration.OpenLibrary(at)
	require.NoError(t, err)
	return library
}
