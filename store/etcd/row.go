package etcd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/npmauth/npmauth/store"
)

// Below the prefix, an item has one row with its content, and for each time at which the
// sweeper must check it one more, which is empty:
//
//	k/<key>
//	x/<time, 16 hexadecimal digits>/<key>
const (
	itemRows = "k/"
	dueRows  = "x/"
)

// A row's value is a byte for the format of the rest, the expiry as microseconds since 1970,
// big-endian, and the caller's value.
const (
	rowFormat = 1
	rowHeader = 1 + 8 // bytes

	noExpiry = math.MinInt64
)

var errFormat = errors.New("a row was not written by this release or an older one")

func encodeRow(value []byte, expires time.Time) []byte {
	micros := int64(noExpiry)
	if !expires.IsZero() {
		micros = expires.UnixMicro()
	}
	row := make([]byte, rowHeader, rowHeader+len(value))
	row[0] = rowFormat
	binary.BigEndian.PutUint64(row[1:], uint64(micros))
	return append(row, value...)
}

// decodeRow returns the item in kv, whose bytes it keeps.
func decodeRow(key string, kv *mvccpb.KeyValue) (store.Item, error) {
	row := kv.Value
	if len(row) < rowHeader || row[0] != rowFormat {
		return store.Item{}, errFormat
	}
	it := store.Item{Key: key, Value: row[rowHeader:len(row):len(row)], Revision: store.Revision(kv.ModRevision)}
	if micros := int64(binary.BigEndian.Uint64(row[1:])); micros != noExpiry {
		it.Expires = time.UnixMicro(micros).UTC()
	}
	return it, nil
}

// ordered maps times to numbers with the same order, also before 1970.
func ordered(micros int64) uint64 { return uint64(micros) ^ 1<<63 }

// due returns when the sweeper checks an item that is put now: at its expiry, rounded up by a
// sixteenth of the time until it is swept at most. So a row that is put repeatedly with a later
// expiry has a few dozen due rows at any time, not one for each put. Only their number depends
// on the clock.
func due(expires, now time.Time) uint64 {
	at, since := expires.UnixMicro(), now.UnixMicro()
	rest := uint64(max(at, since)-since) + uint64(store.SweepGrace.Microseconds())
	step := uint64(1) << (bits.Len64(rest) - 1 - 4)
	up := (ordered(at) + step - 1) &^ (step - 1)
	if up < ordered(at) {
		return math.MaxUint64
	}
	return up
}

func (s *Store) itemRow(key string) []byte { return []byte(s.prefix + itemRows + key) }

func (s *Store) dueRow(at uint64, key string) []byte {
	return fmt.Appendf(nil, "%s%s%016x/%s", s.prefix, dueRows, at, key)
}

// keyOf returns the key of an item row.
func (s *Store) keyOf(row []byte) (string, error) {
	key, ok := strings.CutPrefix(string(row), s.prefix+itemRows)
	if !ok {
		return "", errFormat
	}
	return key, nil
}

// keyDue returns the key of a due row.
func (s *Store) keyDue(row []byte) (string, error) {
	rest, ok := strings.CutPrefix(string(row), s.prefix+dueRows)
	at, key, found := strings.Cut(rest, "/")
	if !ok || !found || len(at) != 16 {
		return "", errFormat
	}
	return key, nil
}
