package etcd

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/npmauth/npmauth/store"
)

// Storing an expiry does not change it (TK-08, TK-09).
func TestRows(t *testing.T) {
	for _, expires := range []time.Time{
		{}, time.Unix(0, 0), time.UnixMicro(-1), time.UnixMicro(1), time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC),
	} {
		for _, value := range []string{"", "\x00", "value"} {
			row := &mvccpb.KeyValue{Value: encodeRow([]byte(value), expires), ModRevision: 7}
			it, err := decodeRow("key", row)
			require.NoError(t, err)
			assert.Equal(t, "key", it.Key)
			assert.Equal(t, value, string(it.Value))
			assert.Equal(t, store.Revision(7), it.Revision)
			assert.Equal(t, expires.IsZero(), it.Expires.IsZero())
			assert.True(t, expires.Equal(it.Expires), "%s became %s", expires, it.Expires)
			assert.NotNil(t, it.Value, "a present value")
			assert.Equal(t, len(it.Value), cap(it.Value), "room behind the value")
		}
	}
}

func TestForeignRows(t *testing.T) {
	good := encodeRow([]byte("value"), time.Time{})
	for name, row := range map[string][]byte{
		"empty": {}, "short": good[:rowHeader-1], "a later format": append([]byte{rowFormat + 1}, good[1:]...), "text": []byte("some text"),
	} {
		_, err := decodeRow("key", &mvccpb.KeyValue{Value: row, ModRevision: 1})
		assert.ErrorIs(t, err, errFormat, name)
	}
	_, err := decodeRow("key", &mvccpb.KeyValue{Value: good[:rowHeader], ModRevision: 1})
	assert.NoError(t, err, "one byte more than short")
}

func TestRowNames(t *testing.T) {
	s := &Store{prefix: "p/"}
	for _, key := range []string{"k", "a/b", " ", "~", "/"} {
		got, err := s.keyOf(s.itemRow(key))
		require.NoError(t, err)
		assert.Equal(t, key, got)
		got, err = s.keyDue(s.dueRow(1, key))
		require.NoError(t, err)
		assert.Equal(t, key, got)
	}
	for _, row := range []string{"", "p/", "q/k/a", "p/x/a"} {
		_, err := s.keyOf([]byte(row))
		assert.ErrorIs(t, err, errFormat, row)
	}
	for _, row := range []string{"", "p/x/", "p/x/0000000000000001", "p/x/1/a", "p/k/0000000000000001/a"} {
		_, err := s.keyDue([]byte(row))
		assert.ErrorIs(t, err, errFormat, row)
	}
	rows := [][]byte{
		s.dueRow(ordered(math.MinInt64), "z"), s.dueRow(ordered(-1), "y"), s.dueRow(ordered(0), "x"),
		s.dueRow(ordered(1), "w"), s.dueRow(ordered(math.MaxInt64), "v"),
	}
	assert.True(t, slices.IsSortedFunc(rows, slices.Compare), "due rows are in the order of their times")
}

// A due row never comes before its item's expiry, and later by a sixteenth of the
// time from now until it is swept at most.
func TestDue(t *testing.T) {
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	for _, ttl := range []time.Duration{
		-1000 * time.Hour, -time.Microsecond, 0, time.Microsecond, time.Minute, 2 * time.Hour, 90 * 24 * time.Hour, 100 * 365 * 24 * time.Hour,
	} {
		expires := now.Add(ttl)
		late := time.Duration(due(expires, now)-ordered(expires.UnixMicro())) * time.Microsecond
		assert.GreaterOrEqual(t, late, time.Duration(0), "%s", ttl)
		assert.LessOrEqual(t, late, (max(ttl, 0)+store.SweepGrace)/16, "%s", ttl)
	}
	for _, extreme := range []int64{math.MinInt64 + 1, math.MaxInt64} {
		assert.GreaterOrEqual(t, due(time.UnixMicro(extreme), now), ordered(extreme))
	}
}

// A row that is put every minute, each time with a later expiry, does not fill the store with
// due rows (ST-12).
func TestDueRowsAreFew(t *testing.T) {
	start := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	for _, ttl := range []time.Duration{time.Minute, 2 * time.Hour, 30 * 24 * time.Hour} {
		end := start.Add(2*ttl + 2*store.SweepGrace)
		rows := map[uint64]bool{}
		most := 0
		for now := start; now.Before(end); now = now.Add(time.Minute) {
			rows[due(now.Add(ttl), now)] = true
			for at := range rows {
				if at < ordered(now.Add(-store.SweepGrace).UnixMicro()) {
					delete(rows, at) // swept
				}
			}
			most = max(most, len(rows))
		}
		assert.LessOrEqual(t, most, 64, "%s", ttl)
		assert.Greater(t, most, 1, "%s", ttl)
	}
}

// Each op costs two operations at most, of the 128 that a transaction may have
// (ST-13).
func TestTransactionSize(t *testing.T) {
	s := &Store{prefix: "p/"}
	ops := make([]store.Op, store.MaxOps)
	for i := range ops {
		ops[i] = store.Op{Key: string(rune('a' + i)), Action: store.Put, Expires: time.Unix(1, 0)}
	}
	req, puts := s.transaction(ops, time.Unix(0, 0))
	assert.True(t, puts)
	assert.Len(t, req.Compare, store.MaxOps)
	assert.Len(t, req.Success, 2*store.MaxOps)
	for _, op := range req.Success {
		assert.Zero(t, op.GetRequestPut().Lease, "leases are not used (ST-14)")
	}
}

// A Commit of checks alone still reads, and never from a member that may lag behind (ST-07).
func TestChecksRead(t *testing.T) {
	s := &Store{prefix: "p/"}
	req, puts := s.transaction([]store.Op{{Key: "a"}, {Key: "b", At: 3}}, time.Now())
	assert.False(t, puts)
	assert.Len(t, req.Compare, 2)
	require.Len(t, req.Success, 1)
	require.NotNil(t, req.Success[0].GetRequestRange())
	assert.False(t, req.Success[0].GetRequestRange().Serializable)
}
