// Package storetest tests that a backend fulfils the contract of [store.Store]. A backend's own
// tests call [Run]:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, storetest.Config{
//			Open:   func(t *testing.T) store.Store { … },
//			Reopen: func(t *testing.T, s store.Store) store.Store { … },
//		})
//	}
//
// Each subtest opens an empty store. They test what one process with two handles can observe. A
// backend's own tests must cover durability, other processes and machines, and lost
// connections.
//
// For all programs that use a store there is [Faulty], a store that fails where a test wants it
// to.
package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/store"
)

// Config says how to open the stores to test.
type Config struct {
	// Open returns an empty store, which it closes with t.Cleanup. Required.
	Open func(t *testing.T) store.Store

	// Reopen returns a second, independent handle on the data of s, such as another connection
	// pool, and closes it with t.Cleanup. A store that has only one handle returns s. Nil skips
	// the tests that need it.
	Reopen func(t *testing.T, s store.Store) store.Store

	// NoSweep and NoWatch say why the store is no [store.Sweeper] or no [store.Watcher], and
	// skip the tests that need one. Empty means that it is one, so that an ability is not left
	// untested by mistake.
	NoSweep, NoWatch string

	// MaxKey is the longest key, in bytes. Zero means [store.MaxKey]; only a wrapper that adds
	// to the keys may have less.
	MaxKey int
}

// patience is how long the cases wait for what must happen at some time.
const patience = 30 * time.Second

// Run tests the store that cfg opens. With -short it does so in fewer rounds, and skips the
// tests that wait.
func Run(t *testing.T, cfg Config) {
	require.NotNil(t, cfg.Open, "storetest: Config.Open is required")
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			switch {
			case c.second && cfg.Reopen == nil:
				t.Skip("Config.Reopen is nil: no second handle")
			case c.sweeps && cfg.NoSweep != "":
				t.Skip("no Sweeper: " + cfg.NoSweep)
			case c.watches && cfg.NoWatch != "":
				t.Skip("no Watcher: " + cfg.NoWatch)
			case c.waits && testing.Short():
				t.Skip("it waits for some seconds")
			case c.waits:
				t.Parallel()
			}
			e := env{s: cfg.Open(t), maxKey: cfg.MaxKey, noSweep: cfg.NoSweep, noWatch: cfg.NoWatch, short: testing.Short(), patience: patience}
			if e.maxKey == 0 {
				e.maxKey = store.MaxKey
			}
			if c.second {
				e.reopen = func() store.Store { return cfg.Reopen(t, e.s) }
				e.other = e.reopen()
			}
			c.run(t, e)
		})
	}
}

// env is the environment of a case.
type env struct {
	s      store.Store
	other  store.Store        // a second handle, if the case wants one
	reopen func() store.Store // one more, if the case wants a second

	maxKey           int
	noSweep, noWatch string
	short            bool
	patience         time.Duration // how long to wait for what must happen
}

// handles returns the handles that there are.
func (e env) handles() []store.Store {
	if e.other == nil {
		return []store.Store{e.s}
	}
	return []store.Store{e.s, e.other}
}

// pair returns two handles, which may be one and the same.
func (e env) pair() (a, b store.Store) {
	handles := e.handles()
	return handles[0], handles[len(handles)-1]
}

// rounds returns n, or with -short a part of it.
func (e env) rounds(n int) int {
	if e.short {
		return max(1, n/4)
	}
	return n
}

// tb is the part of testing.T that cases use, so that the tests of this package can see them
// fail.
type tb interface {
	require.TestingT
	Helper()
	Context() context.Context
	Skip(args ...any)
	Logf(format string, args ...any)
}

type testCase struct {
	name    string
	run     func(t tb, e env)
	second  bool // wants a second handle
	sweeps  bool // wants a Sweeper
	watches bool // wants a Watcher
	waits   bool // sleeps
}

var cases = []testCase{
	{name: "abilities are as told", run: abilities},

	{name: "empty store", run: emptyStore},
	{name: "put and get", run: putAndGet},
	{name: "preconditions", run: preconditions},
	{name: "all or nothing", run: allOrNothing},
	{name: "check-only commits", run: checkOnly},
	{name: "revision returned by commit", run: returnedRevision},
	{name: "revisions are never used again", run: revisionsNotReused},
	{name: "nil value is present", run: nilValue},
	{name: "values are not aliased", run: notAliased},
	{name: "bytes survive", run: bytesSurvive},

	{name: "get in the order asked", run: getOrder},
	{name: "list in byte order", run: listOrder},
	{name: "list takes a prefix literally", run: listPrefix},
	{name: "list pages", run: listPages},

	{name: "limits of keys", run: keyLimits},
	{name: "limits of commits", run: commitLimits},
	{name: "limits of reads", run: readLimits},
	{name: "room for a seal", run: roomForSeal},

	{name: "expiry is a hint", run: expiryIsAHint},
	{name: "expiry to the microsecond", run: expiryPrecision},
	{name: "expired items stay", run: expiredStay, waits: true},
	{name: "sweep", run: sweep, sweeps: true},
	{name: "sweep against writers", run: sweepAgainstWriters, sweeps: true},

	{name: "cancelled context", run: cancelled},
	{name: "cancelled on the way", run: cancelledOnTheWay},
	{name: "reads cancelled on the way", run: readsCancelled},

	{name: "many writers, one winner", run: oneWinner},
	{name: "many creators, one winner", run: oneCreator},
	{name: "write skew on absent keys", run: skewAbsent},
	{name: "write skew on present keys", run: skewPresent},
	{name: "checks hold against deletion", run: skewDeleted},
	{name: "what is expected holds", run: expectations},
	{name: "no lost update", run: noLostUpdate},
	{name: "transfers keep the sum", run: transfers},
	{name: "get is of one moment", run: getSnapshot},
	{name: "list page is of one moment", run: listSnapshot},
	{name: "list page has no phantoms", run: listPhantoms},
	{name: "mixed load", run: mixedLoad},
	{name: "large commits that overlap", run: overlapping},

	{name: "second handle reads what was committed", run: secondHandleReads, second: true},
	{name: "second handle, one winner", run: oneWinner, second: true},
	{name: "second handle, write skew", run: skewAbsent, second: true},
	{name: "second handle, write skew on present keys", run: skewPresent, second: true},
	{name: "second handle, what is expected holds", run: expectations, second: true},
	{name: "second handle, no lost update", run: noLostUpdate, second: true},
	{name: "second handle, get is of one moment", run: getSnapshot, second: true},
	{name: "second handle, list page has no phantoms", run: listPhantoms, second: true},
	{name: "second handle, mixed load", run: mixedLoad, second: true},
	{name: "second handle, large commits that overlap", run: overlapping, second: true},
	{name: "second handle, revisions", run: secondHandleRevisions, second: true},
	{name: "second handle opened later, revisions", run: laterHandleRevisions, second: true},

	{name: "watch begins at once", run: watchBegins, watches: true},
	{name: "watch refuses", run: watchRefuses, watches: true},
	{name: "watch reports what is written", run: watchReports, watches: true},
	{name: "watch reports what is swept", run: watchSweep, watches: true, sweeps: true},
	{name: "watch goes on while nothing happens", run: watchIdle, watches: true},
	{name: "watch ends with its context", run: watchEnds, watches: true},
	{name: "watch with a slow listener", run: watchSlow, watches: true},
	{name: "watch reports what can be read", run: watchVisible, watches: true},
	{name: "watch under load", run: watchLoad, watches: true},
	{name: "second handle, watch reports what is written", run: watchReports, watches: true, second: true},
	{name: "second handle, watch reports what can be read", run: watchVisible, watches: true, second: true},
	{name: "second handle, watch under load", run: watchLoad, watches: true, second: true},
}

// abilities checks that the store is what the Config says.
func abilities(t tb, e env) {
	_, sweeps := store.As[store.Sweeper](e.s)
	assert.Equal(t, e.noSweep == "", sweeps, "a store is a Sweeper, or Config.NoSweep says why not")
	_, watches := store.As[store.Watcher](e.s)
	assert.Equal(t, e.noWatch == "", watches, "a store is a Watcher, or Config.NoWatch says why not")
}

// never is an item's expiry if it has none.
var never time.Time

func put(key, value string, at store.Revision) store.Op {
	return store.Op{Key: key, At: at, Action: store.Put, Value: []byte(value)}
}

func check(key string, at store.Revision) store.Op { return store.Op{Key: key, At: at} }

func del(key string, at store.Revision) store.Op {
	return store.Op{Key: key, At: at, Action: store.Delete}
}

func commit(t tb, s store.Store, ops ...store.Op) store.Revision {
	t.Helper()
	rev, err := s.Commit(t.Context(), ops...)
	require.NoError(t, err)
	return rev
}

// conflicts requires that ops do not commit because of a precondition.
func conflicts(t tb, s store.Store, ops ...store.Op) {
	t.Helper()
	_, err := s.Commit(t.Context(), ops...)
	require.ErrorIs(t, err, store.ErrConflict)
	require.NotErrorIs(t, err, store.ErrUnknown, "a conflict is known")
}

func get(t tb, s store.Store, key string) store.Item {
	t.Helper()
	items, err := s.Get(t.Context(), key)
	require.NoError(t, err)
	require.Len(t, items, 1)
	require.Equal(t, key, items[0].Key)
	if !items[0].Exists() {
		require.Empty(t, items[0].Value, "value of an absent key")
		require.True(t, items[0].Expires.IsZero(), "expiry of an absent key")
	} else {
		require.Positive(t, int64(items[0].Revision), "revision of a present key")
	}
	return items[0]
}

func list(t tb, s store.Store, prefix, after string, limit int) []store.Item {
	t.Helper()
	items, err := s.List(t.Context(), prefix, after, limit)
	require.NoError(t, err)
	require.LessOrEqual(t, len(items), limit)
	return items
}

func keysOf(items []store.Item) []string {
	keys := []string{}
	for _, it := range items {
		keys = append(keys, it.Key)
	}
	return keys
}

// holds asserts that the store consists of these keys and values.
func holds(t tb, s store.Store, want map[string]string) {
	t.Helper()
	got := map[string]string{}
	for _, it := range list(t, s, "", "", store.MaxLimit) {
		got[it.Key] = string(it.Value)
	}
	assert.Equal(t, want, got)
}

func number(i int) string { return fmt.Sprintf("%06d", i) }
