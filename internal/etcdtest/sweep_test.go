package etcdtest_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/npmauth/npmauth/internal/etcdtest"
	"github.com/npmauth/npmauth/store"
)

func expiring(key string, expires time.Time) store.Op {
	return store.Op{Key: key, At: store.Any, Action: store.Put, Value: []byte("x"), Expires: expires}
}

// dueRows returns how many rows wait for the sweeper.
func dueRows(t *testing.T, client *clientv3.Client) int64 {
	t.Helper()
	resp, err := client.Get(t.Context(), "npmauth/x/", clientv3.WithPrefix(), clientv3.WithCountOnly())
	require.NoError(t, err)
	return resp.Count
}

// The rows by which the sweeper finds items go with them, and those of items that
// were put anew or deleted go by themselves, with nothing lost (ST-11, ST-12).
func TestSweepClears(t *testing.T) {
	m := etcdtest.Start(t)
	s, client := etcdtest.Open(t, "", m.Endpoint()), etcdtest.Client(t, m.Endpoint())
	old, later := time.Now().Add(-3*store.SweepGrace), time.Now().Add(time.Hour)
	const each = 110 // more than a page
	for i := range each {
		for _, name := range []string{"renewed", "kept", "deleted", "expired"} {
			key := fmt.Sprintf("%s-%03d", name, i)
			rev := commit(t, s, expiring(key, old.Add(time.Duration(i)*time.Second)))
			switch name {
			case "renewed":
				commit(t, s, expiring(key, later))
			case "kept":
				commit(t, s, put(key, "x", rev))
			case "deleted":
				commit(t, s, store.Op{Key: key, At: rev, Action: store.Delete})
			}
		}
	}
	require.EqualValues(t, 5*each, dueRows(t, client))

	n, err := s.Sweep(t.Context(), time.Now(), 7)
	require.NoError(t, err)
	assert.Equal(t, 7, n, "rows of what is no longer expired are not counted")
	n, err = s.Sweep(t.Context(), time.Now(), 10*each)
	require.NoError(t, err)
	assert.Equal(t, each-7, n)
	assert.EqualValues(t, each, dueRows(t, client), "those of the items that were renewed")
	for name, there := range map[string]bool{"renewed": true, "kept": true, "deleted": false, "expired": false} {
		items, err := s.List(t.Context(), name, "", store.MaxLimit)
		require.NoError(t, err)
		if there {
			assert.Len(t, items, store.MaxLimit, name)
		} else {
			assert.Empty(t, items, name)
		}
	}
}

// A sweep and whoever renews, or uses, an expired item at the same time: either the
// item was swept and the other has a conflict, or it lives on (ST-11).
func TestSweepRaces(t *testing.T) {
	m := etcdtest.Start(t)
	s, other := etcdtest.Open(t, "", m.Endpoint()), etcdtest.Open(t, "", m.Endpoint())
	client := etcdtest.Client(t, m.Endpoint())
	const items = 60
	old := time.Now().Add(-2 * store.SweepGrace)
	revs := make([]store.Revision, items)
	for i := range revs {
		revs[i] = commit(t, s, expiring(fmt.Sprint("k", i), old))
	}
	var done sync.WaitGroup
	done.Go(func() {
		for {
			n, err := s.Sweep(t.Context(), time.Now(), 5)
			if !assert.NoError(t, err) || n < 5 {
				return
			}
		}
	})
	swept := 0
	for i := range items {
		key, expires := fmt.Sprint("k", i), old
		if i%2 == 0 {
			expires = time.Now().Add(time.Hour)
		}
		op := expiring(key, expires)
		op.At = revs[i]
		_, err := other.Commit(t.Context(), op, put(fmt.Sprint("used-", i), "", store.Absent))
		if errors.Is(err, store.ErrConflict) {
			swept++
			assert.False(t, get(t, other, fmt.Sprint("used-", i)).Exists())
			continue
		}
		require.NoError(t, err)
		if i%2 == 0 {
			assert.True(t, get(t, other, key).Exists(), "%s was renewed", key)
		}
	}
	done.Wait()
	t.Logf("%d of %d were swept first", swept, items)

	// What was put again as expired must still be found.
	_, err := s.Sweep(t.Context(), time.Now(), 10*items)
	require.NoError(t, err)
	for i := range items {
		if i%2 == 1 {
			assert.False(t, get(t, s, fmt.Sprint("k", i)).Exists(), "k%d was never swept", i)
		}
	}
	left, err := s.List(t.Context(), "k", "", store.MaxLimit)
	require.NoError(t, err)
	assert.EqualValues(t, len(left), dueRows(t, client), "one for each that was renewed")
}

// What ends a sweep midway leaves nothing that the next one does not find.
func TestSweepEnds(t *testing.T) {
	m := etcdtest.Start(t)
	s := etcdtest.Open(t, "", m.Endpoint())
	for i := range 40 {
		commit(t, s, expiring(fmt.Sprint("k", i), time.Now().Add(-2*store.SweepGrace)))
	}
	// The items go, and their rows stay, as if the process had ended in between.
	items, err := s.List(t.Context(), "", "", 20)
	require.NoError(t, err)
	n, err := store.Purge(t.Context(), s, items)
	require.NoError(t, err)
	require.Equal(t, 20, n)
	n, err = s.Sweep(t.Context(), time.Now(), 100)
	require.NoError(t, err)
	assert.Equal(t, 20, n)
	assert.Zero(t, dueRows(t, etcdtest.Client(t, m.Endpoint())))
}
