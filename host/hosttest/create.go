package hosttest

import (
	"context"
	"net/http"
	"sync"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// race publishes for both at once: each request that reaches the host waits there for the
// other, unless the other was refused before. It returns the statuses, and who reached the
// host.
func (x *rig) race(ctx context.Context) (status [2]int, reached [2]bool) {
	var settled [2]sync.Once
	var both, done sync.WaitGroup
	both.Add(2)
	x.between = func(who int) {
		reached[who] = true
		settled[who].Do(both.Done)
		both.Wait()
	}
	for who := range status {
		done.Go(func() {
			status[who] = x.publish(ctx, who, []string{"1.0.0", "1.0.1"}[who]) // two versions, which do not collide
			settled[who].Do(both.Done)
		})
	}
	done.Wait()
	return status, reached
}

// creatorsRace lets both through while the package does not exist, and then both write at once.
func creatorsRace(t tb, x *rig) {
	status, reached := x.race(t.Context())
	require.Equal(t, [2]bool{true, true}, reached, "Facts must let both creators create the package, the statuses are %v", status)
	require.NotEqual(t, success(status[0]), success(status[1]), "exactly one of two creators must succeed, the statuses are %v", status)
	winner := first
	if success(status[second]) {
		winner = second
	}
	x.settled(t, winner)
}

// creatorOvertaken lets the second through while the package does not exist, and the first
// create it before the second writes another version.
func creatorOvertaken(t tb, x *rig) {
	x.once(func() { x.published(t, first, "1.0.0") })
	status := x.publish(t.Context(), second, "1.0.1")
	assert.False(t, success(status), "who was allowed to create must not write to what another created meanwhile, the status is %d", status)
	x.settled(t, first)
}

// publishCutShort sends bodies of which only the end shows that they are no publish. A host
// that has not read to the end without an error must not have written.
func publishCutShort(t tb, x *rig) {
	whole := string(PublishBody(x.Package, "1.0.0"))
	for _, body := range [][]string{{whole + " ", "{}"}, {whole[:len(whole)-1], `,"name":"another"}`}, {whole[:len(whole)-1]}} {
		w := x.send(t.Context(), first, http.MethodPut, x.path(), body...)
		assert.False(t, success(w.Code))
		facts, err := x.Packages.Facts(t.Context(), x.Package, x.Creators[first])
		require.NoError(t, err)
		require.Empty(t, facts.ID, "a package was made of a body that is no publish to its end")
	}
	x.published(t, first, "1.0.0")
}
