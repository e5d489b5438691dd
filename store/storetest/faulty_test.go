package storetest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/storetest"
)

func create(key string) store.Op { return store.Op{Key: key, Action: store.Put} }

func present(t *testing.T, s store.Store, key string) bool {
	t.Helper()
	items, err := s.Get(t.Context(), key)
	require.NoError(t, err)
	return items[0].Exists()
}

// A Faulty without a fault is a Store like any other, with the abilities below it.
func TestFaultyIsAStore(t *testing.T) {
	storetest.Run(t, storetest.Config{
		Open:   func(*testing.T) store.Store { return storetest.NewFaulty(store.NewMemory()) },
		Reopen: func(_ *testing.T, s store.Store) store.Store { return s },
	})
}

// get, list, commit call s and return the error.
func get(ctx context.Context, s store.Store) error { _, err := s.Get(ctx, "k"); return err }
func list(ctx context.Context, s store.Store) error {
	_, err := s.List(ctx, "", "", 1)
	return err
}
func commit(ctx context.Context, s store.Store) error {
	_, err := s.Commit(ctx, create("k"))
	return err
}

func TestFaultStrikes(t *testing.T) {
	boom := errors.New("boom")
	calls := []func(context.Context, store.Store) error{get, commit, list, get, list, get}
	for _, tt := range []struct {
		name    string
		fault   storetest.Fault
		want    map[int]error // by call, from 0
		written bool
	}{
		{"the next call", storetest.Fault{}, map[int]error{0: storetest.ErrFault}, true},
		{"the fourth call", storetest.Fault{Nth: 4}, map[int]error{3: storetest.ErrFault}, true},
		{"no call", storetest.Fault{Nth: 7}, nil, true},
		{"the second get", storetest.Fault{On: storetest.Gets, Nth: 2}, map[int]error{3: storetest.ErrFault}, true},
		{"two reads", storetest.Fault{On: storetest.Reads, Nth: 2, Times: 2}, map[int]error{2: storetest.ErrFault, 3: storetest.ErrFault}, true},
		{"every list", storetest.Fault{On: storetest.Lists, Times: storetest.Always, Err: boom}, map[int]error{2: boom, 4: boom}, true},
		{"a commit", storetest.Fault{On: storetest.Commits, Err: boom}, map[int]error{1: boom}, false},
		{"a commit that conflicts", storetest.Fault{On: storetest.Commits, Err: store.ErrConflict}, map[int]error{1: store.ErrConflict}, false},
		{"a lost commit", storetest.Fault{On: storetest.Commits, After: true}, map[int]error{1: store.ErrUnknown}, true},
		{"a lost commit and its error", storetest.Fault{On: storetest.Commits, After: true, Err: boom}, map[int]error{1: boom}, true},
		{"a lost get", storetest.Fault{After: true}, map[int]error{0: storetest.ErrFault}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := store.NewMemory()
			f := storetest.NewFaulty(m, tt.fault)
			for i, call := range calls {
				if want := tt.want[i]; want != nil {
					assert.ErrorIs(t, call(t.Context(), f), want, "call %d", i)
				} else {
					assert.NoError(t, call(t.Context(), f), "call %d", i)
				}
			}
			assert.Equal(t, len(tt.want) > 0, f.Struck())
			assert.Equal(t, tt.written, present(t, m, "k"))
			assert.Equal(t, []int{3, 2, 1, 5, 6}, []int{f.Count(storetest.Gets), f.Count(storetest.Lists),
				f.Count(storetest.Commits), f.Count(storetest.Reads), f.Count(storetest.All)}, "those that failed count, too")
		})
	}
}

func TestFaultDo(t *testing.T) {
	m := store.NewMemory()
	f := storetest.NewFaulty(m)
	between := func() { assert.NoError(t, commit(t.Context(), m)) }

	f.Inject(storetest.Fault{On: storetest.Gets, After: true, Do: between})
	items, err := f.Get(t.Context(), "k")
	require.NoError(t, err)
	assert.False(t, items[0].Exists(), "it was read before")
	assert.True(t, present(t, f, "k"))

	f.Inject(storetest.Fault{On: storetest.Commits, Do: func() { panic("boom") }})
	assert.PanicsWithValue(t, "boom", func() { _ = commit(t.Context(), f) })
	assert.ErrorIs(t, commit(t.Context(), f), store.ErrConflict, "no longer")

	f.Inject(storetest.Fault{On: storetest.Commits, After: true, Do: func() {}})
	assert.ErrorIs(t, commit(t.Context(), f), store.ErrConflict, "nothing is lost without an Err")
}

// Do may use its own Faulty, also if that strikes for ever.
func TestFaultDoUsesTheFaulty(t *testing.T) {
	f := storetest.NewFaulty(store.NewMemory())
	rewritten := 0
	f.Inject(storetest.Fault{On: storetest.Commits, Times: storetest.Always, Do: func() {
		rewritten++
		_, err := f.Commit(t.Context(), store.Op{Key: "guard", At: store.Any, Action: store.Put})
		assert.NoError(t, err)
	}})
	for i := range 3 {
		items, err := f.Get(t.Context(), "guard")
		require.NoError(t, err)
		_, err = f.Commit(t.Context(), store.Op{Key: "guard", At: items[0].Revision}, create("k"))
		assert.ErrorIs(t, err, store.ErrConflict, "it changed just before")
		assert.Equal(t, i+1, rewritten, "once for each call, and not for its own")
	}
	assert.Equal(t, 6, f.Count(storetest.Commits), "its own count")

	// A fault that strikes while another's Do runs does not begin that Do anew.
	both := storetest.NewFaulty(store.NewMemory())
	var order []string
	for _, name := range []string{"first", "second"} {
		both.Inject(storetest.Fault{On: storetest.Gets, Times: storetest.Always, Do: func() {
			order = append(order, name)
			assert.NoError(t, get(t.Context(), both))
		}})
	}
	assert.NoError(t, get(t.Context(), both))
	assert.Equal(t, []string{"first", "second", "second", "first"}, order)

	// A panic ends it, too.
	f.Mend()
	f.Inject(storetest.Fault{On: storetest.Gets, Times: 2, Do: func() { panic("boom") }})
	for range 2 {
		assert.Panics(t, func() { _ = get(t.Context(), f) })
	}
	assert.NoError(t, get(t.Context(), f))
}

func TestFaultIf(t *testing.T) {
	var calls []storetest.Call
	m := store.NewMemory()
	f := storetest.NewFaulty(m,
		storetest.Fault{Nth: 100, If: func(c storetest.Call) bool { calls = append(calls, c); return true }},
		storetest.Fault{Nth: 2, If: func(c storetest.Call) bool { return slices.Contains(c.Keys, "l") }},
	)
	require.NoError(t, get(t.Context(), f))
	_, err := f.Commit(t.Context(), create("l"), create("m"))
	require.NoError(t, err, "the first that names l")
	require.NoError(t, list(t.Context(), f))
	_, err = f.Get(t.Context(), "m", "l")
	assert.ErrorIs(t, err, storetest.ErrFault, "the second")
	assert.Equal(t, []storetest.Call{
		{Kind: storetest.Gets, Keys: []string{"k"}},
		{Kind: storetest.Commits, Keys: []string{"l", "m"}, Ops: []store.Op{create("l"), create("m")}},
		{Kind: storetest.Lists, Keys: []string{""}},
		{Kind: storetest.Gets, Keys: []string{"m", "l"}},
	}, calls)
}

// An injected fault counts from its injection, beside those that there are.
func TestInject(t *testing.T) {
	f := storetest.ConflictNth(store.NewMemory(), 3, 1)
	require.NoError(t, get(t.Context(), f))
	f.Inject(storetest.Fault{Nth: 2})
	assert.NoError(t, commit(t.Context(), f))
	assert.False(t, f.Struck())
	assert.ErrorIs(t, get(t.Context(), f), storetest.ErrFault)
	assert.True(t, f.Struck())
	_, err := f.Commit(t.Context(), create("l"))
	assert.NoError(t, err)
	_, err = f.Commit(t.Context(), create("m"))
	assert.ErrorIs(t, err, store.ErrConflict, "the third")
	_, err = f.Commit(t.Context(), create("m"))
	assert.NoError(t, err)

	f.Inject(storetest.Fault{Times: storetest.Always})
	assert.ErrorIs(t, get(t.Context(), f), storetest.ErrFault)
	assert.ErrorIs(t, get(t.Context(), f), storetest.ErrFault)
	f.Mend()
	assert.NoError(t, get(t.Context(), f))
	assert.True(t, f.Struck(), "it was")

	for _, fault := range []storetest.Fault{{Nth: -1}, {Times: -2}, {On: 1 << 7}, {Delay: -1}} {
		assert.Panics(t, func() { f.Inject(fault) }, "%+v", fault)
	}
}

func TestFaultWaits(t *testing.T) {
	for _, tt := range []struct {
		name     string
		after    bool
		timeout  time.Duration
		took     time.Duration
		want     error
		unknown  bool
		happened bool
	}{
		{name: "before, in time", timeout: time.Hour, took: 2 * time.Minute, happened: true},
		{name: "after, in time", after: true, timeout: time.Hour, took: 2 * time.Minute, happened: true},
		{name: "before, too long", timeout: 90 * time.Second, took: 90 * time.Second, want: context.DeadlineExceeded},
		{name: "after, too long", after: true, timeout: 90 * time.Second, took: 90 * time.Second,
			want: context.DeadlineExceeded, unknown: true, happened: true},
		{name: "before, in the delay", timeout: time.Second, took: time.Second, want: context.DeadlineExceeded},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, until := store.NewMemory(), make(chan struct{})
				time.AfterFunc(2*time.Minute, func() { close(until) })
				f := storetest.NewFaulty(m, storetest.Fault{After: tt.after, Delay: time.Minute, Until: until})
				ctx, cancel := context.WithTimeout(t.Context(), tt.timeout)
				defer cancel()
				begin := time.Now()
				err := commit(ctx, f)
				assert.Equal(t, tt.took, time.Since(begin))
				assert.ErrorIs(t, err, tt.want)
				assert.Equal(t, tt.unknown, errors.Is(err, store.ErrUnknown))
				assert.Equal(t, tt.happened, present(t, m, "k"))
				time.Sleep(time.Hour)
			})
		})
	}
}

// Each call of many at once is counted, and one of them is struck.
func TestFaultyAtOnce(t *testing.T) {
	f := storetest.FailNth(store.NewMemory(), 50)
	var wg sync.WaitGroup
	errs := make([]error, 100)
	for i := range errs {
		wg.Go(func() { errs[i] = get(t.Context(), f) })
	}
	wg.Wait()
	assert.ErrorIs(t, errors.Join(errs...), storetest.ErrFault)
	assert.Equal(t, len(errs), f.Count(storetest.All))
	failed := 0
	for _, err := range errs {
		if err != nil {
			failed++
		}
	}
	assert.Equal(t, 1, failed)
}

func ExampleFailNth() {
	// What is tested: a guest is recorded, and the number of guests with it.
	invite := func(ctx context.Context, s store.Store, name string) error {
		return store.Transact(ctx, s, func(tx *store.Tx) error {
			count, err := tx.Get(ctx, "guests")
			if err != nil {
				return err
			}
			tx.Create("guest/"+name, nil, time.Time{})
			tx.Put("guests", append(count[0].Value, '+'), time.Time{})
			return nil
		})
	}

	// Wherever the store fails: both or none.
	for n := 1; ; n++ {
		m := store.NewMemory()
		s := storetest.FailNth(m, n)
		err := invite(context.Background(), s, "ada")
		items, _ := m.List(context.Background(), "", "", 10)
		fmt.Printf("call %d: %v, %d items\n", n, err, len(items))
		if !s.Struck() {
			break
		}
	}
	// Output:
	// call 1: storetest: fault, 0 items
	// call 2: storetest: fault, 0 items
	// call 3: <nil>, 2 items
}

// A request is allowed, and then the user is disabled, just before the write. Nothing may be
// written then.
func ExampleFault_do() {
	ctx := context.Background()
	f := storetest.NewFaulty(store.NewMemory())
	disable := func(user string) error {
		return store.Transact(ctx, f, func(tx *store.Tx) error {
			tx.Put("user/"+user, []byte("disabled"), time.Time{})
			return nil
		})
	}

	// What is tested: it reads the user first, and writes a token later.
	issue := func(user string) error {
		items, err := f.Get(ctx, "user/"+user)
		if err != nil {
			return err
		}
		if string(items[0].Value) == "disabled" {
			return fmt.Errorf("%s is disabled", user)
		}
		return store.Transact(ctx, f, func(tx *store.Tx) error {
			tx.Expect(items[0].Evidence())
			tx.Create("token/of-"+user, nil, time.Time{})
			return nil
		})
	}

	f.Inject(storetest.Fault{
		On: storetest.Commits,
		If: func(c storetest.Call) bool {
			return slices.ContainsFunc(c.Keys, func(key string) bool { return strings.HasPrefix(key, "token/") })
		},
		Do: func() { fmt.Println("disable:", disable("ada")) },
	})
	fmt.Println(issue("ada"))
	fmt.Println(issue("ada"))
	left, _ := f.List(ctx, "token/", "", 10)
	fmt.Println(len(left), "tokens")
	// Output:
	// disable: <nil>
	// store: conflict: an expected row has changed
	// ada is disabled
	// 0 tokens
}

func ExampleLoseNth() {
	s := storetest.LoseNth(store.NewMemory(), 1)
	_, err := s.Commit(context.Background(), store.Op{Key: "k", Action: store.Put})
	fmt.Println(errors.Is(err, store.ErrUnknown))
	items, _ := s.Get(context.Background(), "k")
	fmt.Println(items[0].Exists())
	// Output:
	// true
	// true
}
