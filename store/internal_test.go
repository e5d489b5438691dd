package store

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestOrder compares an order that is split, thinned out and refilled with a sorted set.
func TestOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var o order
	model := map[string]bool{}
	for _, phase := range []struct{ steps, adds int }{{6000, 95}, {9000, 20}, {3000, 90}} {
		for range phase.steps {
			k := fmt.Sprintf("k%04d", r.IntN(3000))
			if r.IntN(100) < phase.adds {
				o.add(k)
				model[k] = true
			} else {
				o.remove(k)
				delete(model, k)
			}
		}
		want := slices.Sorted(maps.Keys(model))
		var got []string
		o.from("", func(k string) bool { got = append(got, k); return true })
		require.Equal(t, want, got)
		for _, run := range o.runs {
			require.NotEmpty(t, run)
			require.LessOrEqual(t, len(run), maxRun)
		}
		for range 200 {
			k := fmt.Sprintf("k%04d", r.IntN(3200))
			i, _ := slices.BinarySearch(want, k)
			got := []string{}
			o.from(k, func(k string) bool { got = append(got, k); return len(got) < 3 })
			require.Equal(t, append([]string{}, want[i:min(i+3, len(want))]...), got)
		}
	}
}
