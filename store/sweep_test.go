package store_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/store"
)

func TestMemorySweepWaitsAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := store.NewMemory()
		expiry := time.Now().Add(time.Minute)
		_, err := m.Commit(t.Context(), store.Op{Key: "a", Action: store.Put, Expires: expiry})
		require.NoError(t, err)
		for _, tt := range []struct {
			at   time.Time
			want int
		}{
			{expiry, 0},
			{expiry.Add(store.SweepGrace), 0}, // not sooner than an hour after
			{expiry.Add(store.SweepGrace + time.Microsecond), 1},
		} {
			time.Sleep(time.Until(tt.at))
			n, err := m.Sweep(t.Context(), time.Now().Add(time.Hour), 10)
			require.NoError(t, err)
			assert.Equal(t, tt.want, n, "at %s", tt.at)
			assert.Equal(t, tt.want == 0, get(t, m, "a").Exists())
		}
	})
}

func TestPurgeLeavesWhatChanged(t *testing.T) {
	m := store.NewMemory()
	var items []store.Item
	for i := range 70 {
		key := fmt.Sprintf("k%02d", i)
		put(t, m, key, "")
		items = append(items, get(t, m, key))
	}
	put(t, m, "k33", "newer")
	n, err := store.Purge(t.Context(), m, items)
	require.NoError(t, err)
	assert.Equal(t, 69, n)
	assert.Equal(t, []string{"k33"}, keys(t, m))

	_, err = store.Purge(t.Context(), m, []store.Item{{Key: "absent"}})
	assert.ErrorIs(t, err, store.ErrInvalid)
	_, err = store.Purge(t.Context(), &counter{Store: m, err: store.ErrUnknown}, []store.Item{get(t, m, "k33")})
	assert.ErrorIs(t, err, store.ErrUnknown)
}

func TestObserve(t *testing.T) {
	boom := errors.New("boom")
	for _, tt := range []struct {
		name string
		err  error
		want []string
	}{
		{"committed", nil, []string{"a", "b"}},
		{"unknown", store.ErrUnknown, []string{"a", "b"}},
		{"unknown and more", errors.Join(store.ErrConflict, store.ErrUnknown), []string{"a", "b"}},
		{"an error outside the contract", boom, []string{"a", "b"}},
		{"conflict", fmt.Errorf("backend: %w", store.ErrConflict), nil},
		{"invalid", store.ErrInvalid, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := store.NewMemory()
			put(t, m, "b", "")
			var got []string
			s := store.Observe(&counter{Store: m, err: tt.err}, func(keys []string) { got = append(got, keys...) })
			_, err := s.Commit(t.Context(),
				store.Op{Key: "a", Action: store.Put},
				store.Op{Key: "b", At: store.Any, Action: store.Delete},
				store.Op{Key: "c"})
			assert.ErrorIs(t, err, tt.err)
			assert.Equal(t, tt.want, got)
		})
	}
	t.Run("only checks", func(t *testing.T) {
		s := store.Observe(store.NewMemory(), func([]string) { t.Error("nothing changed") })
		_, err := s.Commit(t.Context(), store.Op{Key: "a"})
		assert.NoError(t, err)
	})
}

func TestObserveReads(t *testing.T) {
	m := store.NewMemory()
	put(t, m, "a", "value")
	want, err := m.Get(t.Context(), "a", "b")
	require.NoError(t, err)
	var got [][]store.Item
	s := store.ObserveReads(m, func(items []store.Item) { got = append(got, items) })
	items, err := s.Get(t.Context(), "a", "b")
	require.NoError(t, err)
	assert.Equal(t, want, items)
	assert.Equal(t, [][]store.Item{want}, got, "absent ones too, and before Get returns")

	got = nil
	_, err = s.List(t.Context(), "", "", 10)
	require.NoError(t, err)
	_, err = s.Commit(t.Context(), store.Op{Key: "a", At: store.Any, Action: store.Delete})
	require.NoError(t, err)
	_, err = s.Get(t.Context(), "")
	require.Error(t, err)
	assert.Empty(t, got, "neither what is listed or written, nor an error")
	_, ok := store.As[store.Watcher](s)
	assert.True(t, ok)
}

func TestAs(t *testing.T) {
	m := store.NewMemory()
	s := store.Observe(store.Seal(store.Sub(m, "x/"), store.Key{1}), func([]string) {})
	sweeper, ok := store.As[store.Sweeper](s)
	require.True(t, ok)
	assert.Same(t, m, sweeper)
	_, ok = store.As[interface{ Fly() }](s)
	assert.False(t, ok)
}

// lying returns another item than the requested one.
type lying struct{ store.Store }

func (l lying) Get(ctx context.Context, keys ...string) ([]store.Item, error) {
	items, err := l.Store.Get(ctx, "other")
	return items, err
}

func TestTableRefusesAnotherKeysItem(t *testing.T) {
	m := store.NewMemory()
	put(t, m, "other", `{"v":2,"d":{"id":"1"}}`)
	_, err := people.Get(t.Context(), lying{m}, "1")
	assert.Error(t, err)
}
