package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/storetest"
)

// The rows of these tests: what must be there for anything to be used, and one more that
// finishing a copy writes.
const (
	lastKey = "state/all"
	doneKey = "state.done/all"
)

type copyState struct{ ID, Text string }

var copyStates = store.NewTable("state", 1, func(s *copyState) string { return s.ID })

// copying is a copy that says in the last row, which it reads, that it is one.
func copying(progress func(items int, last string)) store.CopyConfig {
	return store.CopyConfig{Last: lastKey, Progress: progress, Finish: func(ctx context.Context, tx *store.Tx) error {
		_, err := copyStates.Upsert(ctx, tx, "all", func(s *copyState, _ bool) error {
			s.ID, s.Text = "all", s.Text+", copied"
			return nil
		})
		tx.Put(doneKey, nil, time.Time{})
		return err
	}}
}

// fiveCommits is how many items a copy takes five commits for.
const fiveCommits = 4*store.MaxOps + 22

// filled returns a store with n items of all kinds before and behind lastKey, and that one.
func filled(t *testing.T, s store.Store, n int) store.Store {
	t.Helper()
	var ops []store.Op
	for i := range n {
		op := store.Op{Key: fmt.Sprintf("%c/%04d", 'a'+i%26, i), Action: store.Put, Value: []byte(fmt.Sprint("value ", i))}
		switch i % 7 {
		case 1:
			op.Value = nil
		case 2:
			op.Expires = time.Date(2126, 1, 2, 3, 4, 5, 678000+i*1000, time.UTC)
		case 3:
			op.Value = bytes.Repeat([]byte{0, 255, byte(i)}, 5)
		case 4:
			op.Expires = time.Now().Add(-time.Minute).Truncate(time.Microsecond)
		case 5:
			op.Key += strings.Repeat("~", 300)
		}
		ops = append(ops, op)
	}
	ops = append(ops, store.Op{Key: lastKey, Action: store.Put, Value: []byte(`{"v":1,"d":{"ID":"all","Text":"original"}}`)})
	for _, op := range ops {
		_, err := s.Commit(t.Context(), op)
		require.NoError(t, err)
	}
	return s
}

// contents returns the values and expiries of s.
func contents(t *testing.T, s store.Reader) map[string]string {
	t.Helper()
	all, after := map[string]string{}, ""
	for {
		items, err := s.List(t.Context(), "", after, store.MaxLimit)
		require.NoError(t, err)
		for _, it := range items {
			after = it.Key
			all[it.Key] = string(it.Value)
			if !it.Expires.IsZero() {
				all[it.Key] += it.Expires.Format(" 2006-01-02T15:04:05.000000000Z07:00")
			}
		}
		if len(items) < store.MaxLimit {
			return all
		}
	}
}

// wantCopy returns the contents of a copy of s.
func wantCopy(t *testing.T, s store.Reader) map[string]string {
	t.Helper()
	want := contents(t, s)
	want[lastKey] = `{"v":1,"d":{"ID":"all","Text":"original, copied"}}`
	want[doneKey] = ""
	return want
}

func TestCopy(t *testing.T) {
	key, other := store.Key{1}, store.Key{2}
	for _, tt := range []struct {
		name       string
		source, to func(store.Store) store.Store
	}{
		{"as it is", unwrapped, unwrapped},
		{"sealed", unwrapped, sealing(key)},
		{"unsealed", sealing(key), unwrapped},
		{"sealed with another key", sealing(key), sealing(other)},
		{"below a prefix", partOf("auth/"), partOf("npmauth:")},
		{"below a prefix, sealed", partOf("auth/"), func(s store.Store) store.Store { return store.Seal(store.Sub(s, "x/"), key) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			engine, target := store.NewMemory(), store.NewMemory()
			from, to := filled(t, tt.source(engine), 400), tt.to(target)
			// What others keep in the same engines does not matter, and stays.
			shared := strings.Contains(tt.name, "prefix")
			for _, m := range []*store.Memory{engine, target} {
				if !shared {
					break
				}
				_, err := m.Commit(t.Context(), store.Op{Key: "auth", Action: store.Put}, store.Op{Key: "zz", Action: store.Put})
				require.NoError(t, err)
			}
			was := contents(t, engine)
			said, last := 0, ""
			require.NoError(t, store.Copy(t.Context(), to, from, copying(func(items int, key string) {
				assert.Greater(t, items, said)
				assert.LessOrEqual(t, items-said, store.MaxOps-1)
				assert.Greater(t, key, last)
				said, last = items, key
			})))
			assert.Equal(t, 400, said)
			assert.Equal(t, wantCopy(t, from), contents(t, to))
			assert.Equal(t, was, contents(t, engine), "the source is only read")
			if shared {
				assert.Contains(t, contents(t, target), "auth")
				assert.Len(t, contents(t, target), 404)
			}
		})
	}
}

func unwrapped(s store.Store) store.Store { return s }

func sealing(key store.Key) func(store.Store) store.Store {
	return func(s store.Store) store.Store { return store.Seal(s, key) }
}

func partOf(prefix string) func(store.Store) store.Store {
	return func(s store.Store) store.Store { return store.Sub(s, prefix) }
}

// An empty store, and one without the last row, can be copied.
func TestCopyOfLittle(t *testing.T) {
	for _, ops := range [][]store.Op{nil, {{Key: "a", Action: store.Put}}, {{Key: lastKey, Action: store.Put, Value: []byte(`{"v":1,"d":{"ID":"all","Text":"original"}}`)}}} {
		from, to := store.NewMemory(), store.NewMemory()
		for _, op := range ops {
			_, err := from.Commit(t.Context(), op)
			require.NoError(t, err)
		}
		require.NoError(t, store.Copy(t.Context(), to, from, copying(nil)))
		want := wantCopy(t, from)
		if _, ok := contents(t, from)[lastKey]; !ok {
			want[lastKey] = `{"v":1,"d":{"ID":"all","Text":", copied"}}`
		}
		assert.Equal(t, want, contents(t, to))
	}
}

// unfinished requires that nobody can use to.
func unfinished(t *testing.T, to store.Store, msg ...any) {
	t.Helper()
	_, err := copyStates.Get(t.Context(), to, "all")
	require.ErrorIs(t, err, store.ErrUnfinished, msg...)
	require.ErrorIs(t, err, store.ErrSchema, msg...)
}

// errKilled ends a copy the way a killed process does: nothing runs after it.
var errKilled = errors.New("killed")

// A copy that fails at any call, that is killed there, or whose Commit has an outcome that is
// not known, is carried on by the next one with the same result (ST-05). In between the
// destination cannot be used.
func TestCopyIsResumed(t *testing.T) {
	kill := func() { panic(errKilled) }
	for name, fault := range map[string]storetest.Fault{
		"refused":                {Err: errors.New("disk full")},
		"killed before":          {Do: kill},
		"killed after":           {Do: kill, After: true},
		"answer lost":            {On: storetest.Commits, After: true},
		"unknown and never done": {On: storetest.Commits, Err: store.ErrUnknown},
		"cancelled":              {Err: context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			for _, seal := range []func(store.Store) store.Store{unwrapped, sealing(store.Key{1})} {
				from := filled(t, store.NewMemory(), fiveCommits)
				want := wantCopy(t, from)
				struck := 0
				for n := 1; ; n++ {
					engine := store.NewMemory()
					fault.Nth = n
					faulty := storetest.NewFaulty(engine, fault)
					err := copyKilled(t, seal(faulty), from)
					to := seal(engine)
					if !faulty.Struck() {
						require.NoError(t, err)
						require.Equal(t, want, contents(t, to))
						break
					}
					struck++
					if _, done := contents(t, to)[doneKey]; done {
						// The last Commit was made. It was read back, or the process was dead by then.
						require.Equal(t, want, contents(t, to), n)
						if name != "answer lost" {
							require.ErrorIs(t, err, errKilled)
						} else {
							require.NoError(t, err)
						}
						require.ErrorIs(t, store.Copy(t.Context(), to, from, copying(nil)), store.ErrNotEmpty)
						require.Equal(t, want, contents(t, to), n)
						continue
					}
					require.Error(t, err, n)
					if len(contents(t, engine)) > 0 {
						unfinished(t, to, n)
					}
					before := len(contents(t, engine))
					first := -1
					require.NoError(t, store.Copy(t.Context(), to, from, copying(func(items int, _ string) {
						if first < 0 {
							first = items
						}
					})), n)
					require.Equal(t, want, contents(t, to), n)
					if first >= 0 {
						require.GreaterOrEqual(t, first, before-1, "it begins behind what is there")
					}
				}
				require.GreaterOrEqual(t, struck, 7, "a fault at each Commit")
			}
		})
	}
}

// copyKilled is a Copy that may be killed.
func copyKilled(t *testing.T, to store.Store, from store.Reader) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = r.(error)
		}
	}()
	return store.Copy(t.Context(), to, from, copying(nil))
}

// The source fails at any call, and the copy is carried on.
func TestCopyOutlivesItsSource(t *testing.T) {
	from := filled(t, store.NewMemory(), fiveCommits)
	for n := 1; ; n++ {
		faulty, to := storetest.FailNth(from, n), store.NewMemory()
		err := store.Copy(t.Context(), to, faulty, copying(nil))
		if !faulty.Struck() {
			require.NoError(t, err)
			require.Greater(t, n, 5)
			return
		}
		require.ErrorIs(t, err, storetest.ErrFault)
		require.NoError(t, store.Copy(t.Context(), to, from, copying(nil)))
		require.Equal(t, wantCopy(t, from), contents(t, to))
	}
}

// A Commit of which nobody knew whether it would happen cannot happen once the copy went on, not
// even if what it writes was deleted since.
func TestCopyAfterALateCommit(t *testing.T) {
	from := filled(t, store.NewMemory(), fiveCommits)
	for n := 1; ; n++ {
		to := store.NewMemory()
		var late []store.Op
		commits := 0
		faulty := storetest.NewFaulty(to, storetest.Fault{
			On: storetest.Commits, Nth: n, Err: store.ErrUnknown, If: func(c storetest.Call) bool {
				if commits++; commits == n {
					late = c.Ops
				}
				return true
			},
		})
		err := store.Copy(t.Context(), faulty, from, copying(nil))
		if !faulty.Struck() {
			require.NoError(t, err)
			require.Greater(t, n, 5)
			return
		}
		require.ErrorIs(t, err, store.ErrUnknown)
		require.NoError(t, store.Copy(t.Context(), to, from, copying(nil)))
		require.Equal(t, wantCopy(t, from), contents(t, to))
		for _, op := range late {
			if op.Key != lastKey {
				_, err = to.Commit(t.Context(), store.Op{Key: op.Key, At: store.Any, Action: store.Delete})
				require.NoError(t, err)
			}
		}
		_, err = to.Commit(t.Context(), late...)
		require.ErrorIs(t, err, store.ErrConflict)
	}
}

// Of two copies into one store one goes on, whenever the other comes.
func TestTwoCopies(t *testing.T) {
	from := filled(t, store.NewMemory(), fiveCommits)
	for n := 1; ; n++ {
		to := store.NewMemory()
		var other error
		faulty := storetest.NewFaulty(to, storetest.Fault{
			On: storetest.Commits, Nth: n, Do: func() { other = store.Copy(t.Context(), to, from, copying(nil)) },
		})
		err := store.Copy(t.Context(), faulty, from, copying(nil))
		if !faulty.Struck() {
			require.NoError(t, err)
			return
		}
		require.NoError(t, other, n)
		require.ErrorIs(t, err, store.ErrConflict, n)
		require.Equal(t, wantCopy(t, from), contents(t, to))
	}
}

func TestCopyRefuses(t *testing.T) {
	from := filled(t, store.NewMemory(), 10)
	t.Run("what is not empty", func(t *testing.T) {
		for _, key := range []string{"a", lastKey, "zz"} {
			to := store.NewMemory()
			_, err := to.Commit(t.Context(), store.Op{Key: key, Action: store.Put, Value: []byte("theirs")})
			require.NoError(t, err)
			was := contents(t, to)
			assert.ErrorIs(t, store.Copy(t.Context(), to, from, copying(nil)), store.ErrNotEmpty, key)
			assert.Equal(t, was, contents(t, to))
		}
		assert.ErrorIs(t, store.Copy(t.Context(), from, from, copying(nil)), store.ErrNotEmpty, "itself")
	})
	t.Run("a source that is copied in part", func(t *testing.T) {
		half := store.NewMemory()
		require.Error(t, store.Copy(t.Context(), storetest.LoseNth(half, 2), from, copying(nil)))
		to := store.NewMemory()
		assert.ErrorIs(t, store.Copy(t.Context(), to, half, copying(nil)), store.ErrUnfinished)
		assert.Empty(t, contents(t, to))
	})
	t.Run("a copy that has no end", func(t *testing.T) {
		to, whole := store.NewMemory(), copying(nil)
		assert.ErrorIs(t, store.Copy(t.Context(), to, from, store.CopyConfig{Last: lastKey}), store.ErrInvalid)
		assert.ErrorIs(t, store.Copy(t.Context(), to, from, store.CopyConfig{Finish: whole.Finish}), store.ErrInvalid)
		assert.ErrorIs(t, store.Copy(t.Context(), to, from, store.CopyConfig{Last: "\n", Finish: whole.Finish}), store.ErrInvalid)
		assert.Empty(t, contents(t, to))
	})
	t.Run("a finish that fails", func(t *testing.T) {
		to, cfg, boom := store.NewMemory(), copying(nil), errors.New("boom")
		whole := cfg.Finish
		cfg.Finish = func(ctx context.Context, tx *store.Tx) error { return errors.Join(whole(ctx, tx), boom) }
		assert.ErrorIs(t, store.Copy(t.Context(), to, from, cfg), boom)
		unfinished(t, to)
	})
	t.Run("a destination in the source", func(t *testing.T) {
		for _, seal := range []func(store.Store) store.Store{unwrapped, sealing(store.Key{1})} {
			engine := filled(t, store.NewMemory(), 10)
			to := seal(store.Sub(engine, "new/"))
			assert.ErrorIs(t, store.Copy(t.Context(), to, engine, copying(nil)), store.ErrInvalid)
			unfinished(t, to)
		}
	})
	t.Run("several stores at once", func(t *testing.T) {
		engine, to := store.NewMemory(), store.NewMemory()
		filled(t, store.Sub(engine, "auth/"), 10)
		assert.ErrorIs(t, store.Copy(t.Context(), to, engine, copying(nil)), store.ErrInvalid)
		unfinished(t, to)
	})
	t.Run("a key that is too long there", func(t *testing.T) {
		to := store.Sub(store.NewMemory(), strings.Repeat("p", 400))
		assert.ErrorIs(t, store.Copy(t.Context(), to, from, copying(nil)), store.ErrInvalid)
		unfinished(t, to)
	})
	t.Run("a wrong key", func(t *testing.T) {
		engine := store.NewMemory()
		filled(t, store.Seal(engine, store.Key{1}), 10)
		to := store.NewMemory()
		assert.ErrorIs(t, store.Copy(t.Context(), to, store.Seal(engine, store.Key{2}), copying(nil)), store.ErrSeal)
		assert.Empty(t, contents(t, to))
	})
}

// What changes in either store during the copy is noticed, if it comes before the comparison.
func TestCopyNoticesChanges(t *testing.T) {
	put := func(key, value string, expires time.Time) func(*testing.T, store.Store) {
		return func(t *testing.T, s store.Store) {
			_, err := s.Commit(t.Context(), store.Op{Key: key, At: store.Any, Action: store.Put, Value: []byte(value), Expires: expires})
			require.NoError(t, err)
		}
	}
	del := func(key string) func(*testing.T, store.Store) {
		return func(t *testing.T, s store.Store) {
			_, err := s.Commit(t.Context(), store.Op{Key: key, At: store.Any, Action: store.Delete})
			require.NoError(t, err)
		}
	}
	soon, recent, old := time.Now().Add(time.Hour), time.Now().Add(-store.SweepGrace/2), time.Now().Add(-2*store.SweepGrace)
	for _, tt := range []struct {
		name   string
		change func(*testing.T, store.Store)
		in     string // source or destination
		fine   bool
	}{
		{"changed", put("a/0000", "other", time.Time{}), "source", false},
		{"changed in length", put("a/0000", "", time.Time{}), "source", false},
		{"expiry changed", put("a/0000", "value 0", soon), "source", false},
		{"added in front", put("0", "", time.Time{}), "source", false},
		{"added in the middle", put("b/00", "", soon), "source", false},
		{"deleted", del("a/0000"), "source", false},
		{"swept in the source", del("old"), "source", true},
		{"swept in the destination", del("old"), "destination", true},
		{"expired and added", put("0", "", old), "source", true},
		{"expired too recently to be swept", put("0", "", recent), "source", false},
		{"added to the destination", put("0", "", time.Time{}), "destination", false},
		{"at the end of the destination", put("zzz", "", time.Time{}), "destination", false},
		{"deleted in the destination", del("a/0000"), "destination", false},
		{"changed in the destination", put("a/0000", "other", time.Time{}), "destination", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			from, to := filled(t, store.NewMemory(), store.MaxOps+18), store.NewMemory()
			put("old", "", old)(t, from)
			calls := 0
			err := store.Copy(t.Context(), to, from, copying(func(int, string) {
				if calls++; calls != 2 {
					return
				}
				if tt.in == "source" {
					tt.change(t, from)
				} else {
					tt.change(t, to)
				}
			}))
			require.GreaterOrEqual(t, calls, 2)
			if tt.fine {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, store.ErrDiffers)
			unfinished(t, to)
			assert.ErrorIs(t, store.Copy(t.Context(), to, from, copying(nil)), store.ErrDiffers, "it is not forgotten")
		})
	}
	t.Run("another source", func(t *testing.T) {
		from, to := filled(t, store.NewMemory(), fiveCommits), store.NewMemory()
		require.Error(t, store.Copy(t.Context(), storetest.LoseNth(to, 3), from, copying(nil)))
		other := filled(t, store.NewMemory(), fiveCommits-10)
		assert.ErrorIs(t, store.Copy(t.Context(), to, other, copying(nil)), store.ErrDiffers)
		unfinished(t, to)
	})
}
