package audit_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
)

// counted is a store that counts its calls.
type counted struct {
	store.Store
	calls, rows, ops int
	largest          int // bytes of a value
}

func (c *counted) Get(ctx context.Context, keys ...string) ([]store.Item, error) {
	c.calls, c.rows = c.calls+1, c.rows+len(keys)
	return c.Store.Get(ctx, keys...)
}

func (c *counted) List(ctx context.Context, prefix, after string, limit int) ([]store.Item, error) {
	items, err := c.Store.List(ctx, prefix, after, limit)
	c.calls, c.rows = c.calls+1, c.rows+len(items)
	return items, err
}

func (c *counted) Commit(ctx context.Context, ops ...store.Op) (store.Revision, error) {
	c.calls, c.ops = c.calls+1, c.ops+len(ops)
	for _, op := range ops {
		c.largest = max(c.largest, len(op.Value))
	}
	return c.Store.Commit(ctx, ops...)
}

func newLog(t *testing.T, s store.Store) *audit.Log {
	t.Helper()
	l, err := audit.NewLog(audit.LogConfig{Store: s})
	require.NoError(t, err)
	return l
}

// write writes events in one commit.
func write(t *testing.T, s store.Store, l *audit.Log, events ...audit.Event) {
	t.Helper()
	require.NoError(t, store.Transact(t.Context(), s, func(tx *store.Tx) error {
		for _, e := range events {
			if err := l.Write(t.Context(), tx, e); err != nil {
				return err
			}
		}
		return nil
	}))
}

// types are the types of the entries of a page.
func types(page []audit.Entry) string {
	var words []string
	for _, e := range page {
		words = append(words, string(e.Type))
	}
	return strings.Join(words, " ")
}

func TestNewLog(t *testing.T) {
	_, err := audit.NewLog(audit.LogConfig{})
	require.ErrorContains(t, err, "LogConfig.Store")
	_, err = audit.NewLog(audit.LogConfig{Store: store.NewMemory(), Keep: -1})
	require.ErrorContains(t, err, "LogConfig.Keep")
}

func TestLogListsNewestFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store.NewMemory()
		l := newLog(t, s)
		write(t, s, l, audit.Event{Type: "1", User: "alice"}, audit.Event{Type: "2", User: "bob"}) // at one time
		time.Sleep(time.Microsecond)
		write(t, s, l, audit.Event{Type: "3"}, audit.Event{Type: "4", User: "alice", Time: time.Now().Add(-time.Second)})
		write(t, s, l, audit.Event{Type: "5", User: "alice", Time: time.Now().Add(time.Second)})

		page, next, err := l.List(t.Context(), "", 100)
		require.NoError(t, err)
		assert.Empty(t, next)
		assert.Equal(t, "5 3 2 1 4", types(page))
		assert.Equal(t, time.Now().UTC(), page[1].Time, "the time of writing")

		page, next, err = l.ListUser(t.Context(), "alice", "", 100)
		require.NoError(t, err)
		assert.Empty(t, next)
		assert.Equal(t, "5 1 4", types(page))

		page, _, err = l.ListUser(t.Context(), "ali", "", 100)
		require.NoError(t, err)
		assert.Empty(t, page)
		page, _, err = l.ListUser(t.Context(), "", "", 100)
		require.NoError(t, err)
		assert.Empty(t, page)
	})
}

func TestLogPages(t *testing.T) {
	s := store.NewMemory()
	l := newLog(t, s)
	for i := range 5 {
		write(t, s, l, audit.Event{Type: audit.Type(fmt.Sprint(i)), User: "alice"})
	}
	for name, list := range map[string]func(string, int) ([]audit.Entry, string, error){
		"all": func(after string, limit int) ([]audit.Entry, string, error) { return l.List(t.Context(), after, limit) },
		"user": func(after string, limit int) ([]audit.Entry, string, error) {
			return l.ListUser(t.Context(), "alice", after, limit)
		},
	} {
		t.Run(name, func(t *testing.T) {
			var pages []string
			for after := ""; ; {
				page, next, err := list(after, 2)
				require.NoError(t, err)
				pages = append(pages, types(page))
				if after = next; next == "" {
					break
				}
			}
			assert.Equal(t, []string{"4 3", "2 1", "0"}, pages)

			for _, limit := range []int{-1, 0, store.MaxLimit + 1} {
				_, _, err := list("", limit)
				require.ErrorIs(t, err, store.ErrInvalid)
			}
		})
	}
}

func TestLogCosts(t *testing.T) {
	s := &counted{Store: store.NewMemory()}
	l := newLog(t, s)
	write(t, s, l, audit.Event{Type: "1", User: "alice"})
	assert.Equal(t, 2, s.ops, "an event of an account")
	write(t, s, l, audit.Event{Type: "2"})
	assert.Equal(t, 3, s.ops, "an event of none")
	assert.Equal(t, 2, s.calls, "nothing is read to write")
	for range 20 {
		write(t, s, l, audit.Event{Type: "3", User: "alice"})
	}

	s.calls, s.rows = 0, 0
	_, _, err := l.List(t.Context(), "", 10)
	require.NoError(t, err)
	assert.Equal(t, []int{1, 10}, []int{s.calls, s.rows}, "List")
	s.calls, s.rows = 0, 0
	_, _, err = l.ListUser(t.Context(), "alice", "", 10)
	require.NoError(t, err)
	assert.Equal(t, []int{2, 20}, []int{s.calls, s.rows}, "ListUser: the index and its events")
}

func TestLogKeepsWhatWasWritten(t *testing.T) {
	s := store.NewMemory()
	l := newLog(t, s)
	write(t, s, l, full())
	page, _, err := l.List(t.Context(), "", 1)
	require.NoError(t, err)
	require.Len(t, page, 1)
	assert.Equal(t, full(), page[0].Event)

	text, err := json.Marshal(page[0])
	require.NoError(t, err)
	var flat map[string]any
	require.NoError(t, json.Unmarshal(text, &flat))
	assert.Equal(t, page[0].ID, flat["id"])
	assert.Equal(t, "token.created", flat["type"])
}

func TestLogEventStandsAndFallsWithTheCommit(t *testing.T) {
	s := store.NewMemory()
	l := newLog(t, s)
	broken := errors.New("broken")
	err := store.Transact(t.Context(), s, func(tx *store.Tx) error {
		if err := l.Write(t.Context(), tx, audit.Event{Type: "1"}); err != nil {
			return err
		}
		return broken
	})
	require.ErrorIs(t, err, broken)

	runs := 0
	require.NoError(t, store.Transact(t.Context(), s, func(tx *store.Tx) error {
		if _, err := tx.Get(t.Context(), "key"); err != nil {
			return err
		}
		if runs++; runs == 1 { // another changes it
			_, err := s.Commit(t.Context(), store.Op{Key: "key", Action: store.Put})
			require.NoError(t, err)
		}
		tx.Put("key", []byte("mine"), time.Time{})
		return l.Write(t.Context(), tx, audit.Event{Type: "2", User: "alice"})
	}))
	assert.Equal(t, 2, runs)
	page, _, err := l.List(t.Context(), "", 100)
	require.NoError(t, err)
	assert.Equal(t, "2", types(page), "once")
}

func TestLogExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store.NewMemory()
		l, err := audit.NewLog(audit.LogConfig{Store: s, Keep: time.Hour})
		require.NoError(t, err)
		// Counted from the moment of writing, whatever time the event has.
		write(t, s, l, audit.Event{Type: "1", User: "alice", Time: time.Now().Add(-30 * time.Minute)})
		shown := func() int {
			t.Helper()
			all, next, err := l.List(t.Context(), "", 10)
			require.NoError(t, err)
			assert.Empty(t, next)
			user, _, err := l.ListUser(t.Context(), "alice", "", 10)
			require.NoError(t, err)
			assert.Len(t, user, len(all))
			return len(all)
		}
		time.Sleep(time.Hour - time.Nanosecond)
		assert.Equal(t, 1, shown(), "last instant")
		time.Sleep(time.Nanosecond)
		assert.Equal(t, 0, shown(), "at expiry")

		write(t, s, l, audit.Event{Type: "2"})
		page, next, err := l.List(t.Context(), "", 2)
		require.NoError(t, err)
		assert.Equal(t, "2", types(page))
		assert.NotEmpty(t, next, "a page that is short is not the last")
		page, next, err = l.List(t.Context(), next, 2)
		require.NoError(t, err)
		assert.Empty(t, page)
		assert.Empty(t, next)

		time.Sleep(store.SweepGrace + time.Second)
		n, err := s.Sweep(t.Context(), time.Now(), 100)
		require.NoError(t, err)
		assert.Equal(t, 2, n, "the event and its index row")
	})
}

func TestLogDefaultKeep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store.NewMemory()
		l := newLog(t, s)
		write(t, s, l, audit.Event{Type: "1"})
		time.Sleep(90*24*time.Hour - 1)
		page, _, err := l.List(t.Context(), "", 10)
		require.NoError(t, err)
		assert.Len(t, page, 1)
		time.Sleep(time.Nanosecond)
		page, _, err = l.List(t.Context(), "", 10)
		require.NoError(t, err)
		assert.Empty(t, page)
	})
}

func TestLogWritesWhatIsLargeOrOdd(t *testing.T) {
	long := strings.Repeat("\x00", 100_000) // six bytes each in JSON
	var grants []protocol.Grant
	for i := range 300 {
		grants = append(grants, protocol.Grant{Target: protocol.OneScope, Scope: strings.Repeat("s", 200) + fmt.Sprint(i), Permission: protocol.ReadOnly})
	}
	var reasons []string
	detail := map[string]string{}
	for i := range 200 {
		reasons = append(reasons, long)
		detail[fmt.Sprint(i)+long] = long
	}
	large := audit.Event{
		Type: audit.Type(long), User: protocol.UserID(long), By: protocol.UserID(long), Credential: long, ByCredential: long,
		Addr: netip.MustParseAddr("fe80::1").WithZone(long), Change: &protocol.Change{Version: long, Removed: reasons}, Grants: grants, Reasons: reasons, Detail: detail,
		Package: protocol.PackageName{Scope: strings.Repeat("s", 100), Name: strings.Repeat("n", 112)},
	}
	for name, e := range map[string]audit.Event{
		"large":           large,
		"invalid UTF-8":   {User: "a\xff", Type: "\xff", Detail: map[string]string{"\xff": "\xff", "\xfe": ""}},
		"no such action":  {Action: math.MaxUint8},
		"no such outcome": {Outcome: math.MaxUint8},
		"no such grant":   {Grants: []protocol.Grant{{}, {Target: protocol.AllPackages, Permission: protocol.ReadOnly}}},
		"no such role":    {Change: &protocol.Change{Role: math.MaxUint8}},
		"no such package": {Package: protocol.PackageName{Name: "../x"}},
		"before all time": {Time: time.Date(-5, 1, 1, 0, 0, 0, 0, time.UTC)},
		"after all time":  {Time: time.Date(20_000, 1, 1, 0, 0, 0, 0, time.UTC)},
		"odd zone":        {Addr: netip.MustParseAddr("fe80::1").WithZone("\xff")},
	} {
		t.Run(name, func(t *testing.T) {
			s := &counted{Store: store.NewMemory()}
			l := newLog(t, s)
			write(t, s, l, e)
			assert.LessOrEqual(t, s.largest, store.MaxValue)
			page, _, err := l.List(t.Context(), "", 1)
			require.NoError(t, err)
			require.Len(t, page, 1)
			got := page[0]
			if name == "large" {
				assert.Greater(t, len(got.Grants), 50, "what npm allows fits")
				assert.Equal(t, grants[:len(got.Grants)], got.Grants)
				assert.NotEmpty(t, got.Detail["omitted"])
				assert.True(t, strings.HasSuffix(got.Change.Version, "…"))
				assert.Empty(t, got.Change.Removed)
				assert.Equal(t, "@"+strings.Repeat("s", 100)+"/"+strings.Repeat("n", 112), got.Package.String())
			}
			if name == "no such grant" {
				assert.Equal(t, e.Grants[1:], got.Grants)
				assert.Equal(t, "1", got.Detail["omitted"])
			}
			if got.User != "" {
				page, _, err = l.ListUser(t.Context(), got.User, "", 1)
				require.NoError(t, err)
				assert.Len(t, page, 1)
			}
		})
	}
	assert.Len(t, detail, 200, "the caller's event is as it was")
	assert.Equal(t, long, reasons[0])
}

func TestLogListsOfALongID(t *testing.T) {
	s := store.NewMemory()
	l := newLog(t, s)
	for _, n := range []int{128, 129, 512} {
		user := protocol.UserID(strings.Repeat("/", n)) // three bytes each in a key
		write(t, s, l, audit.Event{Type: audit.Type(fmt.Sprint(n)), User: user})
		page, _, err := l.ListUser(t.Context(), user, "", 10)
		require.NoError(t, err)
		assert.Equal(t, fmt.Sprint(n), types(page))
	}
}

// A text that is no entry's ID is no place in the list.
func TestLogCursor(t *testing.T) {
	st := store.NewMemory()
	l, err := audit.NewLog(audit.LogConfig{Store: st})
	require.NoError(t, err)
	for range 2 {
		require.NoError(t, store.Transact(t.Context(), st, func(tx *store.Tx) error { return l.Write(t.Context(), tx, audit.Event{User: "alice"}) }))
	}
	all, _, err := l.List(t.Context(), "", 2)
	require.NoError(t, err)
	require.Len(t, all, 2)
	for _, after := range []string{"x", "/", "alice", all[0].ID + "/", " " + all[0].ID, strings.ToUpper(all[0].ID)} {
		_, _, err := l.List(t.Context(), after, 2)
		assert.ErrorIs(t, err, audit.ErrCursor, after)
		_, _, err = l.ListUser(t.Context(), "alice", after, 2)
		assert.ErrorIs(t, err, audit.ErrCursor, after)
	}
	rest, _, err := l.ListUser(t.Context(), "alice", all[0].ID, 2)
	require.NoError(t, err)
	assert.Equal(t, all[1:], rest)
}
