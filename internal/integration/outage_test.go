package integration_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/etcdtest"
	"github.com/npmauth/npmauth/internal/integration"
)

// A trouble is something that happens to a database while nodes use it, one of them
// busy. It is over when do returns.
type trouble struct {
	name string
	do   func(t *testing.T, busy *integration.Worker)
}

// besiege lets two nodes spend and a third one work while each of troubles happens,
// and checks that nothing acknowledged is lost and nothing spent twice, and that the
// nodes go on as if nothing had been. It returns how many deeds failed. The
// nodes know the store as at, and the test as direct.
func besiege(t *testing.T, direct, at string, troubles []trouble) (failed int) {
	t.Helper()
	const callers = 8 // of each node, for each thing
	workers := []*integration.Worker{integration.StartWorker(t), integration.StartWorker(t), integration.StartWorker(t)}
	for _, w := range workers {
		w.Open(at)
	}
	spenders, busy := workers[:2], workers[2]
	library := open(t, direct)
	busy.Churn("busy", 4)
	for round, trouble := range troubles {
		shots, err := library.Load(t.Context(), fmt.Sprint("user-", round))
		require.NoError(t, err)
		won := make([]int, len(shots))
		for _, v := range integration.Siege(t, spenders, shots, callers, func() { trouble.do(t, busy) }) {
			require.Empty(t, v.Errors, "after %s", trouble.name)
			for i, n := range v.Won {
				won[i] += n
			}
		}
		for i, s := range shots {
			// Nobody was told that it was theirs if the answer was lost; all the
			// same it is spent.
			require.LessOrEqual(t, won[i], 1, "%s: %s", trouble.name, s.Kind)
			require.Empty(t, library.Spent(t.Context(), s), "%s: %s", trouble.name, s.Kind)
		}
	}
	shots, err := library.Load(t.Context(), "after")
	require.NoError(t, err)
	for _, v := range integration.Race(t, spenders, shots, callers) {
		assert.Empty(t, v.Errors, "the nodes that saw it all")
	}

	busy.Stop()
	deeds := busy.Deeds()
	done, unknown := 0, 0
	for _, d := range deeds {
		switch {
		case d.Done:
			done++
		case d.Error != "":
			failed++
			if d.Unknown {
				unknown++
			}
		}
	}
	t.Logf("%d deeds were done and %d failed; %d outcomes were unknown", done, failed, unknown)
	assert.Positive(t, done)
	assert.Empty(t, library.Verify(t.Context(), deeds))
	problems, err := integration.Check(t.Context(), library.Store)
	require.NoError(t, err)
	assert.Empty(t, problems)
	require.NoError(t, library.Close())
	return failed
}

// Connections that break in the middle of a commit, and a server that is restarted
// under load, cost nothing but time.
func TestPostgresFails(t *testing.T) {
	server := integration.StartPostgres(t)
	link := integration.NewLink(t, server.Addr())
	direct := server.Database(t)
	again := func(t *testing.T, stop func() error) {
		t.Helper()
		time.Sleep(20 * time.Millisecond)
		require.NoError(t, stop())
		require.NoError(t, server.Start())
	}
	troubles := []trouble{
		{"answers are lost", func(t *testing.T, busy *integration.Worker) {
			link.Lose(40) // a connection takes a few to be made
			until(t, func() bool { return busy.Unknown() >= 3 })
			link.Lose(0)
		}},
		{"connections break", func(*testing.T, *integration.Worker) {
			for range 10 {
				time.Sleep(15 * time.Millisecond)
				link.Cut()
			}
		}},
		{"a restart", func(t *testing.T, _ *integration.Worker) { again(t, server.Stop) }},
		{"a crash", func(t *testing.T, _ *integration.Worker) { again(t, server.Crash) }},
	}
	if testing.Short() {
		troubles = []trouble{troubles[0], troubles[3]}
	}
	failed := besiege(t, direct, server.Through(direct, link), troubles)
	assert.Positive(t, failed, "this was no trouble")
}

// A cluster of three that loses its leader, again and again, has lost nothing else.
func TestEtcdFails(t *testing.T) {
	cluster := etcdtest.StartCluster(t)
	fails := func(how func(*etcdtest.Member)) func(*testing.T, *integration.Worker) {
		return func(t *testing.T, _ *integration.Worker) {
			leader := cluster.Leader(t)
			how(leader)
			cluster.Leader(t, leader)
			leader.Restart(t)
		}
	}
	troubles := []trouble{
		{"the leader is killed", fails((*etcdtest.Member).Kill)},
		{"the leader is stopped", fails((*etcdtest.Member).Stop)},
		{"the leader is cut off", func(t *testing.T, _ *integration.Worker) {
			leader := cluster.Leader(t)
			leader.CutOff()
			cluster.Leader(t, leader)
			leader.Rejoin()
		}},
	}
	if testing.Short() {
		troubles = troubles[:1]
	}
	at := etcdAt(cluster.Endpoints()...)
	besiege(t, at, at, troubles)
}
