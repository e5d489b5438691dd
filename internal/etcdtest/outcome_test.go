package etcdtest_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/etcdtest"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/etcd"
)

// sent waits until the server has carried out a Commit whose answer is held back.
func sent(t *testing.T, s store.Store, key string) {
	t.Helper()
	require.Eventually(t, func() bool { return get(t, s, key).Exists() }, time.Minute, time.Millisecond)
}

// A Commit that happened, and whose answer was lost, is unknown: not a conflict with
// itself, and not sent again (ST-03). Whoever tries to spend the same thing again
// meets what is there now.
func TestAnswerLost(t *testing.T) {
	m := etcdtest.Start(t)
	p := newProxy(t, m.Endpoint())
	direct, s := etcdtest.Open(t, "", m.Endpoint()), etcdtest.Open(t, "", p.endpoint())
	for name, lose := range map[string]func(cancel context.CancelFunc){
		"connection": func(context.CancelFunc) { p.cut() },
		"context":    func(cancel context.CancelFunc) { cancel() },
	} {
		t.Run(name, func(t *testing.T) {
			defer p.silence(false)
			single, spent := name+"/once", name+"/spent"
			rev := commit(t, direct, put(single, "", store.Absent))
			get(t, s, single) // there is a connection
			p.silence(true)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			answer := make(chan error)
			ops := []store.Op{{Key: single, At: rev, Action: store.Delete}, put(spent, "", store.Absent)}
			go func() {
				_, err := s.Commit(ctx, ops...)
				answer <- err
			}()
			sent(t, direct, spent)
			lose(cancel)
			err := <-answer
			assert.ErrorIs(t, err, store.ErrUnknown)
			assert.NotErrorIs(t, err, store.ErrConflict)
			p.silence(false)
			p.cut()
			get(t, s, single) // there is a connection that goes on

			_, err = s.Commit(t.Context(), ops...)
			assert.ErrorIs(t, err, store.ErrConflict, "again")
		})
	}
}

// What a server says too late for the store's own timeout is unknown, too.
func TestTimeout(t *testing.T) {
	m := etcdtest.Start(t)
	p := newProxy(t, m.Endpoint())
	direct := etcdtest.Open(t, "", m.Endpoint())
	s := etcdtest.OpenConfig(t, etcd.Config{Endpoints: []string{p.endpoint()}, Timeout: 200 * time.Millisecond})
	p.silence(true)
	_, err := s.Commit(t.Context(), put("k", "", store.Absent))
	assert.ErrorIs(t, err, store.ErrUnknown)
	assert.ErrorIs(t, err, context.DeadlineExceeded)
	_, err = s.Get(t.Context(), "k")
	assert.ErrorIs(t, err, context.DeadlineExceeded)
	sent(t, direct, "k")
}

// A Commit for which there is no server, and one that was refused, did not happen.
func TestKnownNotToHaveHappened(t *testing.T) {
	m := etcdtest.Start(t)
	s := etcdtest.OpenConfig(t, etcd.Config{Endpoints: []string{m.Endpoint()}, Timeout: 200 * time.Millisecond})
	commit(t, s, put("k", "1", store.Absent))
	m.Kill()
	_, err := s.Commit(t.Context(), put("before", "", store.Absent)) // it may go down a connection that just breaks
	require.Error(t, err)
	_, err = s.Commit(t.Context(), put("k", "2", store.Any))
	assert.ErrorIs(t, err, context.DeadlineExceeded)
	assert.NotErrorIs(t, err, store.ErrUnknown)
	m.Restart(t)
	again := etcdtest.Open(t, "", m.Endpoint())
	assert.Equal(t, "1", string(get(t, again, "k").Value))
}

func TestClosed(t *testing.T) {
	s, err := etcd.Open(t.Context(), etcd.Config{Endpoints: []string{etcdtest.Start(t).Endpoint()}})
	require.NoError(t, err)
	commit(t, s, put("k", "", store.Absent))
	require.NoError(t, s.Close())
	require.NoError(t, s.Close())
	_, err = s.Get(t.Context(), "k")
	assert.Error(t, err)
	_, err = s.Get(t.Context(), "k", "l")
	assert.Error(t, err)
	_, err = s.List(t.Context(), "", "", 1)
	assert.Error(t, err)
	_, err = s.Commit(t.Context(), put("k", "", store.Any))
	assert.Error(t, err)
	assert.NotErrorIs(t, err, store.ErrUnknown)
	_, err = s.Sweep(t.Context(), time.Now(), 1)
	assert.Error(t, err)
	assert.Error(t, s.Watch(t.Context(), time.Minute, func(store.Change) {}))
}

// A context that ends after Open does not close the store.
func TestOpenContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s, err := etcd.Open(ctx, etcd.Config{Endpoints: []string{etcdtest.Start(t).Endpoint()}})
	require.NoError(t, err)
	cancel()
	commit(t, s, put("k", "", store.Absent))
	assert.NoError(t, s.Close())
}

// Data and revisions survive a server that is killed.
func TestRestart(t *testing.T) {
	m := etcdtest.Start(t)
	s := etcdtest.Open(t, "", m.Endpoint())
	expires := time.Now().Add(time.Hour).Truncate(time.Microsecond)
	kept := commit(t, s, store.Op{Key: "a", Action: store.Put, Value: []byte("1"), Expires: expires})
	last := commit(t, s, put("b", "2", store.Absent))
	commit(t, s, store.Op{Key: "b", At: last, Action: store.Delete})
	m.Kill()
	m.Restart(t)
	it := get(t, s, "a")
	assert.Equal(t, "1", string(it.Value))
	assert.Equal(t, kept, it.Revision)
	assert.True(t, expires.Equal(it.Expires))
	assert.Greater(t, commit(t, s, put("b", "3", store.Absent)), last)
}
