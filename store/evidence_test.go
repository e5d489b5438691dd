package store_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/store"
)

func evidence(key string, at store.Revision) store.Evidence {
	return store.Evidence{Key: key, Revision: at}
}

// onFirstCommit returns a counter over m that calls do before the first Commit.
func onFirstCommit(m store.Store, do func()) *counter {
	c := &counter{Store: m}
	c.before = func([]store.Op) {
		if c.commits == 1 {
			do()
		}
	}
	return c
}

func changed(t *testing.T, err error, key string) {
	t.Helper()
	var e *store.ChangedError
	require.ErrorAs(t, err, &e)
	assert.Equal(t, key, e.Key)
	assert.ErrorIs(t, err, store.ErrConflict)
	assert.NotErrorIs(t, err, store.ErrUnknown)
	assert.NotContains(t, err.Error(), key, "a key may hold what a person typed")
}

func TestExpectIsCheckedWithoutARead(t *testing.T) {
	m := store.NewMemory()
	judged := []store.Evidence{{Key: "subject", Revision: put(t, m, "subject", "")}, get(t, m, "block").Evidence()}
	c := &counter{Store: m}
	var ops []store.Op
	c.before = func(made []store.Op) { ops = made }
	require.NoError(t, store.Transact(t.Context(), c, func(tx *store.Tx) error {
		tx.Expect(judged...)
		tx.Expect(judged[0])
		tx.Put("k", nil, never)
		return nil
	}))
	assert.Zero(t, c.gets)
	assert.Equal(t, 1, c.commits)
	assert.ElementsMatch(t, []store.Op{
		{Key: "subject", At: judged[0].Revision}, {Key: "block", At: store.Absent}, {Key: "k", At: store.Any, Action: store.Put},
	}, ops)
}

func TestExpectStopsWhenItHasChanged(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(t *testing.T, m store.Store)
		key    string
	}{
		{"rewritten", func(t *testing.T, m store.Store) { put(t, m, "subject", "disabled") }, "subject"},
		{"deleted", func(t *testing.T, m store.Store) {
			_, err := m.Commit(t.Context(), store.Op{Key: "subject", At: store.Any, Action: store.Delete})
			require.NoError(t, err)
		}, "subject"},
		{"created", func(t *testing.T, m store.Store) { put(t, m, "block", "") }, "block"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := store.NewMemory()
				rev := put(t, m, "subject", "")
				c := onFirstCommit(m, func() { tt.change(t, m) })
				runs := 0
				changed(t, store.Transact(t.Context(), c, func(tx *store.Tx) error {
					runs++
					tx.Expect(evidence("epoch", 0), evidence("subject", rev), evidence("block", 0))
					tx.Put("k", nil, never)
					return nil
				}), tt.key)
				assert.Equal(t, []int{1, 1, 1}, []int{runs, c.gets, c.commits}, "runs, gets, commits")
				assert.False(t, get(t, m, "k").Exists())
			})
		})
	}
}

// After a conflict elsewhere fn is rerun, on rows that the one Get has read, and the evidence
// of the first run is still expected.
func TestExpectOutlastsAConflictElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := store.NewMemory()
		rev := put(t, m, "subject", "ada")
		c := onFirstCommit(m, func() { put(t, m, "count", "x") })
		fn := func(tx *store.Tx) error {
			if c.commits == 0 {
				tx.Expect(evidence("subject", rev), evidence("block", 0))
			}
			_, err := tx.Get(t.Context(), "count")
			require.NoError(t, err)
			if c.commits > 0 {
				before := c.gets
				assert.Equal(t, "ada", string(get(t, tx, "subject").Value))
				assert.False(t, get(t, tx, "block").Exists())
				assert.Equal(t, before, c.gets, "already read")
			}
			tx.Put("count", []byte("y"), never)
			return nil
		}
		require.NoError(t, store.Transact(t.Context(), c, fn))
		assert.Equal(t, []int{3, 2}, []int{c.gets, c.commits}, "a get in each run, and one more")

		// And once more, with a row that changes only before the second Commit.
		c = &counter{Store: m}
		c.before = func([]store.Op) {
			if c.commits == 1 {
				put(t, m, "count", "x")
			} else {
				put(t, m, "block", "")
			}
		}
		changed(t, store.Transact(t.Context(), c, fn), "block")
		assert.Equal(t, 2, c.commits)
		assert.Equal(t, "x", string(get(t, m, "count").Value))
	})
}

func TestExpectWhatIsWritten(t *testing.T) {
	write := map[string]func(tx *store.Tx){
		"put":    func(tx *store.Tx) { tx.Put("k", []byte("new"), never) },
		"delete": func(tx *store.Tx) { tx.Delete("k") },
		"create": func(tx *store.Tx) { tx.Create("k", []byte("new"), never) },
		"replace": func(tx *store.Tx) {
			tx.Delete("k")
			tx.Create("k", []byte("new"), never)
		},
	}
	for _, tt := range []struct {
		write    string
		present  bool
		expected bool // that it is present
		want     error
	}{
		{"put", true, true, nil},
		{"put", false, false, nil},
		{"put", true, false, store.ErrConflict},
		{"put", false, true, store.ErrConflict},
		{"delete", true, true, nil},
		{"delete", false, false, nil},
		{"delete", true, false, store.ErrConflict},
		{"create", false, false, nil},
		{"create", true, true, store.ErrExists},
		{"create", false, true, store.ErrExists},
		{"create", true, false, store.ErrConflict},
		{"replace", true, true, nil},
		{"replace", true, false, store.ErrConflict},
	} {
		for _, first := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/present %t/expected %t/expected first %t", tt.write, tt.present, tt.expected, first), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					m := store.NewMemory()
					var rev store.Revision
					if tt.expected || tt.present {
						rev = put(t, m, "k", "old")
					}
					if !tt.present {
						_, err := m.Commit(t.Context(), store.Op{Key: "k", At: store.Any, Action: store.Delete})
						require.NoError(t, err)
					}
					if !tt.expected {
						rev = store.Absent
					}
					was := get(t, m, "k")
					err := store.Transact(t.Context(), m, func(tx *store.Tx) error {
						if first {
							tx.Expect(evidence("k", rev))
						}
						write[tt.write](tx)
						if !first {
							tx.Expect(evidence("k", rev))
						}
						return nil
					})
					if tt.want == nil {
						require.NoError(t, err)
						assert.Equal(t, tt.write != "delete", get(t, m, "k").Exists())
						return
					}
					assert.ErrorIs(t, err, tt.want)
					if errors.Is(tt.want, store.ErrConflict) {
						changed(t, err, "k")
					}
					assert.Equal(t, was, get(t, m, "k"))
				})
			})
		}
	}
}

// Evidence contradicts a read or other evidence: one is wrong, and the rerun learns which
// before it does anything.
func TestExpectAgainstWhatTheTxKnows(t *testing.T) {
	for _, tt := range []struct {
		name string
		fn   func(t *testing.T, tx *store.Tx, old, now store.Revision)
		want error
		gets int
	}{
		{"read, then expected", func(t *testing.T, tx *store.Tx, old, _ store.Revision) {
			get(t, tx, "k")
			tx.Expect(evidence("k", old))
		}, store.ErrConflict, 2},
		{"expected, then read", func(t *testing.T, tx *store.Tx, old, _ store.Revision) {
			tx.Expect(evidence("k", old))
			get(t, tx, "k")
		}, store.ErrConflict, 2},
		{"expected at both", func(t *testing.T, tx *store.Tx, old, now store.Revision) {
			tx.Expect(evidence("k", now), evidence("k", old))
		}, store.ErrConflict, 1},
		{"expected at both, and absent", func(t *testing.T, tx *store.Tx, old, now store.Revision) {
			tx.Put("k", nil, never)
			tx.Expect(evidence("k", 0), evidence("k", now))
		}, store.ErrConflict, 1},
		{"read, and created as it was expected absent", func(t *testing.T, tx *store.Tx, _, _ store.Revision) {
			get(t, tx, "k")
			tx.Expect(evidence("k", 0))
			tx.Create("k", nil, never)
		}, store.ErrConflict, 2},
		{"listed, then written, then expected", func(t *testing.T, tx *store.Tx, old, _ store.Revision) {
			_, err := tx.List(t.Context(), "", "", 10)
			require.NoError(t, err)
			tx.Delete("k")
			tx.Expect(evidence("k", old))
		}, store.ErrConflict, 1},
		{"read and expected alike", func(t *testing.T, tx *store.Tx, _, now store.Revision) {
			tx.Expect(evidence("k", now))
			tx.Expect(get(t, tx, "k").Evidence())
			tx.Put("k", nil, never)
			tx.Expect(evidence("k", now))
		}, nil, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := store.NewMemory()
				old := put(t, m, "k", "old")
				now := put(t, m, "k", "now")
				c := &counter{Store: m}
				err := store.Transact(t.Context(), c, func(tx *store.Tx) error {
					tt.fn(t, tx, old, now)
					tx.Put("other", nil, never)
					return nil
				})
				assert.ErrorIs(t, err, tt.want)
				if tt.want != nil {
					changed(t, err, "k")
				}
				assert.Equal(t, tt.gets, c.gets)
			})
		})
	}
}

func TestExpectLeavesTheErrorOfItsFunction(t *testing.T) {
	m := store.NewMemory()
	put(t, m, "k", "")
	boom := errors.New("boom")
	c := &counter{Store: m}
	err := store.Transact(t.Context(), c, func(tx *store.Tx) error {
		tx.Expect(evidence("k", 7))
		get(t, tx, "k")
		return boom
	})
	assert.Equal(t, boom, err)
	assert.Zero(t, c.commits)
}

func TestExpectAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := store.NewMemory()
		rev := put(t, m, "k", "")
		for _, reads := range []bool{false, true} {
			expect := func(tx *store.Tx) error {
				if reads {
					get(t, tx, "other")
				}
				tx.Expect(evidence("k", rev))
				return nil
			}
			c := &counter{Store: m}
			require.NoError(t, store.Transact(t.Context(), c, expect))
			assert.Equal(t, 1, c.commits, "the rows were read at another moment")
		}
		c := &counter{Store: m}
		require.NoError(t, store.Transact(t.Context(), c, func(tx *store.Tx) error { tx.Expect(); return nil }))
		assert.Zero(t, c.commits)

		put(t, m, "k", "")
		changed(t, store.Transact(t.Context(), m, func(tx *store.Tx) error {
			tx.Expect(evidence("k", rev))
			return nil
		}), "k")
	})
}

func TestExpectInvalid(t *testing.T) {
	for _, e := range []store.Evidence{
		{}, {Key: "\x00", Revision: 1}, {Key: strings.Repeat("k", store.MaxKey+1)}, {Key: "k", Revision: store.Any}, {Key: "k", Revision: -2},
	} {
		c := &counter{Store: store.NewMemory()}
		err := store.Transact(t.Context(), c, func(tx *store.Tx) error {
			tx.Expect(e)
			tx.Put("other", nil, never)
			return nil
		})
		assert.ErrorIs(t, err, store.ErrInvalid, "%.20q at %d", e.Key, e.Revision)
		assert.Zero(t, c.commits)
	}

	m := store.NewMemory()
	err := store.Transact(t.Context(), m, func(tx *store.Tx) error {
		tx.Put("k", nil, never)
		tx.Expect(get(t, tx, "k").Evidence())
		return nil
	})
	assert.ErrorIs(t, err, store.ErrInvalid, "what the Tx wrote itself is no evidence")

	assert.ErrorIs(t, store.Transact(t.Context(), m, func(tx *store.Tx) error {
		for i := range store.MaxOps + 1 {
			tx.Expect(evidence(fmt.Sprint(i), 0))
		}
		return nil
	}), store.ErrInvalid, "more than a Commit has room for")
}

// A row that only a rerun expects to be absent, and writes, has changed if it is there: Expect,
// not Create, fails.
func TestExpectAbsentInARerun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := store.NewMemory()
		put(t, m, "k", "")
		c := onFirstCommit(m, func() { put(t, m, "count", "") })
		changed(t, store.Transact(t.Context(), c, func(tx *store.Tx) error {
			get(t, tx, "count")
			if c.commits > 0 {
				tx.Expect(evidence("k", 0))
				tx.Put("k", []byte("new"), never)
			}
			tx.Put("count", nil, never)
			return nil
		}), "k")
		assert.Empty(t, get(t, m, "k").Value)
	})
}

// The Get of the rerun may fail like any call.
func TestExpectRereadFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := store.NewMemory()
		ctx, cancel := context.WithCancel(t.Context())
		c := onFirstCommit(m, func() { put(t, m, "k", "") })
		err := store.Transact(ctx, &cancelsGets{c, cancel}, func(tx *store.Tx) error {
			tx.Expect(evidence("k", 0))
			return nil
		})
		assert.ErrorIs(t, err, context.Canceled)
	})
}

// cancelsGets ends the context when a Get begins.
type cancelsGets struct {
	store.Store
	cancel func()
}

func (b *cancelsGets) Get(ctx context.Context, keys ...string) ([]store.Item, error) {
	b.cancel()
	return b.Store.Get(ctx, keys...)
}

// A unique value whose row is expected, but whose record is gone, can be claimed.
func TestExpectIndexRow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := store.NewMemory()
		inviteTable := store.NewTable("invited", 1, func(i *invite) string { return i.Code })
		inviteTable.Unique("team", func(i *invite) string { return i.Team })
		row := put(t, m, "invited.team/core", "gone")
		require.NoError(t, store.Transact(t.Context(), m, func(tx *store.Tx) error {
			tx.Expect(evidence("invited.team/core", row), evidence(inviteTable.Key("1"), 0))
			return inviteTable.Insert(t.Context(), tx, &invite{Code: "1", Team: "core"})
		}))
		assert.Equal(t, "1", string(get(t, m, "invited.team/core").Value))
	})
}

// Two transactions make their calls in random order: one depends on a row that was read before,
// while the other changes that row, or another row of the Commit. Whatever the order, nothing
// is done once the expected row has changed.
func TestExpectNeverCommitsAfterAChange(t *testing.T) {
	outcomes := map[bool]int{}
	for seed := range uint64(400) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			m := store.NewMemory()
			if r.IntN(2) == 0 {
				put(t, m, "judged", "yes")
			}
			judged := get(t, m, "judged").Evidence()
			first, reads, writes, others := r.IntN(2) == 0, r.IntN(2) == 0, r.IntN(2) == 0, r.IntN(4)

			var order []string // of the commits
			actor := &paced{Store: m, turn: make(chan struct{}), committed: func() { order = append(order, "act") }}
			changer := &paced{Store: m, turn: make(chan struct{}), committed: func() { order = append(order, "change") }}
			var acted, failed error
			var wg sync.WaitGroup
			wg.Go(func() {
				acted = store.Transact(t.Context(), actor, func(tx *store.Tx) error {
					if first {
						tx.Expect(judged)
					}
					items, err := tx.Get(t.Context(), "count")
					if err != nil {
						return err
					}
					if reads {
						if _, err := tx.Get(t.Context(), "judged"); err != nil {
							return err
						}
					}
					if writes {
						tx.Put("judged", []byte("acted"), never)
					}
					tx.Put("count", append(items[0].Value, 'a'), never)
					if !first {
						tx.Expect(judged)
					}
					return nil
				})
			})
			wg.Go(func() {
				for i := range others + 1 {
					failed = store.Transact(t.Context(), changer, func(tx *store.Tx) error {
						if i < others {
							tx.Put("count", nil, never)
							return nil
						}
						tx.Put("judged", []byte("no"), never)
						return nil
					})
					if failed == nil && i < others {
						order = order[:len(order)-1] // no change of the expected row
					}
				}
			})
			for done := 0; done < 100; done++ {
				synctest.Wait()
				one := []*paced{actor, changer}[r.IntN(2)]
				select {
				case one.turn <- struct{}{}:
				case <-time.After(time.Second): // it waits for another run, or has ended
				}
			}
			wg.Wait()
			require.NoError(t, failed)
			if outcomes[acted == nil]++; acted == nil {
				assert.Equal(t, []string{"act", "change"}, order, "seed %d", seed)
			} else {
				changed(t, acted, "judged")
				assert.Equal(t, []string{"change"}, order, "seed %d", seed)
			}
		})
	}
	assert.Greater(t, outcomes[true], 20)
	assert.Greater(t, outcomes[false], 20)
}

// paced waits for its turn before each call. Calls that take turns need no lock.
type paced struct {
	store.Store
	turn      chan struct{}
	committed func()
}

func (p *paced) Get(ctx context.Context, keys ...string) ([]store.Item, error) {
	<-p.turn
	return p.Store.Get(ctx, keys...)
}

func (p *paced) Commit(ctx context.Context, ops ...store.Op) (store.Revision, error) {
	<-p.turn
	rev, err := p.Store.Commit(ctx, ops...)
	if err == nil {
		p.committed()
	}
	return rev, err
}
