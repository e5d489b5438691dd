package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Errors of [Copy].
var (
	// ErrNotEmpty means that the destination has items that are not those of an interrupted
	// Copy: it is in use, or its copy is finished.
	ErrNotEmpty = errors.New("store: the destination is not empty")
	// ErrUnfinished means that a store is the destination of a Copy that is not finished.
	ErrUnfinished = errors.New("store: the copy into this store is not finished")
	// ErrDiffers means that source and destination differ where they should be equal: one of
	// them was written during the Copy, or an earlier run had another source.
	ErrDiffers = errors.New("store: source and destination differ")
)

// CopyConfig configures a [Copy].
type CopyConfig struct {
	// Last is the key of a row that every program that uses the store reads. Copy writes it last;
	// until then it has a value that is an error for every [Table], so that no program uses a store
	// that was copied in part. Copy refuses a source that has another key which ends with Last:
	// that is several such stores, or the destination is inside of the source. Required.
	Last string

	// Finish runs in the Commit that writes Last, and may change the row, which its Tx has as it is
	// in the source. It may run more than once, see [Transact]. Required.
	Finish func(ctx context.Context, tx *Tx) error

	// Progress is called after each Commit with the number of items copied, those of interrupted
	// runs included, and the key of the last one. May be nil.
	Progress func(items int, last string)
}

// Copy copies every item of from, with its expiry, into to. It is for moving from one backend to
// another, and for sealing a store that has no seal: values are read through the wrappers of from
// and written through those of to, so that a [Sub] limits the copy to a prefix, and a [Seal] around
// to seals it.
//
// To copy a store of npmauth's, call CopyFrom of [subject.Manager], which calls Copy: the
// copy is an earlier state of a registry, in which revoked credentials would be valid.
//
// from must not be written meanwhile: stop the programs that use it. Before its last Commit, Copy
// compares all items of both stores, and returns [ErrDiffers] if one was written or deleted after
// it was copied. It does not notice what is written after it was compared. Items that expired more
// than [SweepGrace] ago may be missing on one side.
//
// to must be empty, else the error is [ErrNotEmpty]. To continue a Copy that failed or was killed,
// call it with the same arguments: it continues after the last key that was committed. Of two
// Copies into one store at the same time, one gets [ErrConflict]. After [ErrDiffers] empty the
// destination and begin anew.
//
// Items get new revisions. An error that wraps [ErrInvalid] can also mean that a key or value of
// from is too long for to.
//
// [subject.Manager]: https://pkg.go.dev/github.com/npmauth/npmauth/subject#Manager.CopyFrom
func Copy(ctx context.Context, to Store, from Reader, cfg CopyConfig) error {
	if err := validKey(cfg.Last); err != nil || cfg.Finish == nil {
		return fmt.Errorf("%w: a copy needs CopyConfig.Last, which is a key, and CopyConfig.Finish", ErrInvalid)
	}
	if err := copyAll(ctx, to, from, cfg); err != nil {
		return fmt.Errorf("store: copy: %w", err)
	}
	return nil
}

func copyAll(ctx context.Context, to Store, from Reader, cfg CopyConfig) error {
	last, err := getOne(ctx, from, cfg.Last)
	if err != nil {
		return fmt.Errorf("source: %w", err)
	}
	if _, ok := parseMark(last.Value); ok {
		return fmt.Errorf("source: %w", ErrUnfinished)
	}
	at, m, err := beginCopy(ctx, to, cfg.Last)
	if err != nil {
		return err
	}
	for {
		items, err := from.List(ctx, "", m.last, MaxOps-1)
		if err != nil {
			return fmt.Errorf("source after %q: %w", m.last, err)
		}
		if len(items) == 0 {
			break
		}
		ops := make([]Op, 0, MaxOps)
		for _, it := range items {
			m.last = it.Key
			if it.Key == cfg.Last {
				continue
			}
			if strings.HasSuffix(it.Key, cfg.Last) {
				return fmt.Errorf("%w: the source has %q: it is several stores, or has the destination in it; copy a Sub of it", ErrInvalid, it.Key)
			}
			ops = append(ops, Op{Key: it.Key, At: Absent, Action: Put, Value: it.Value, Expires: it.Expires})
		}
		m.items += len(ops)
		// The row that says how far the copy is has the revision of the Commit before. So a
		// Commit whose outcome was unknown cannot happen after a later one.
		ops = append(ops, Op{Key: cfg.Last, At: at, Action: Put, Value: m.value()})
		if at, err = to.Commit(ctx, ops...); err != nil {
			return fmt.Errorf("destination, up to %q: %w", m.last, err)
		}
		if cfg.Progress != nil {
			cfg.Progress(m.items, m.last)
		}
	}
	if err := compare(ctx, from, to, cfg.Last); err != nil {
		return err
	}
	return finishCopy(ctx, to, at, last, cfg)
}

// beginCopy returns how far the copy into to is, and the revision of the row that says so, which
// it writes if to is empty.
func beginCopy(ctx context.Context, to Store, key string) (Revision, mark, error) {
	have, err := getOne(ctx, to, key)
	if err != nil {
		return 0, mark{}, fmt.Errorf("destination: %w", err)
	}
	if m, ok := parseMark(have.Value); ok {
		return have.Revision, m, nil
	}
	some, err := to.List(ctx, "", "", 1)
	if err != nil {
		return 0, mark{}, fmt.Errorf("destination: %w", err)
	}
	if len(some) > 0 {
		return 0, mark{}, ErrNotEmpty
	}
	at, err := to.Commit(ctx, Op{Key: key, At: Absent, Action: Put, Value: mark{}.value()})
	if err != nil {
		return 0, mark{}, fmt.Errorf("destination: %w", err)
	}
	return at, mark{}, nil
}

// finishCopy puts last, as it is in the source and cfg.Finish changes it, in place of the row
// that says how far the copy is.
func finishCopy(ctx context.Context, to Store, at Revision, last Item, cfg CopyConfig) error {
	err := Transact(ctx, to, func(tx *Tx) error {
		have, err := getOne(ctx, tx, cfg.Last)
		if err != nil {
			return err
		}
		if have.Revision != at {
			return fmt.Errorf("%w: another copy writes the destination", ErrConflict)
		}
		if last.Exists() {
			tx.Put(cfg.Last, last.Value, last.Expires)
		} else {
			tx.Delete(cfg.Last)
		}
		return cfg.Finish(ctx, tx)
	})
	if err == nil {
		return nil
	}
	if have, readErr := getOne(ctx, to, cfg.Last); readErr == nil && errors.Is(err, ErrUnknown) {
		if _, ok := parseMark(have.Value); !ok {
			return nil // the Commit has happened
		}
	}
	return fmt.Errorf("destination, last commit: %w", err)
}

// A mark says how far a copy is. Its value is not the JSON of a record.
type mark struct {
	items int
	last  string // key
}

const markHead = "npmauth: copy not finished: "

func (m mark) value() []byte { return fmt.Appendf(nil, "%s%d %s", markHead, m.items, m.last) }

func parseMark(value []byte) (m mark, ok bool) {
	rest, ok := bytes.CutPrefix(value, []byte(markHead))
	if !ok {
		return mark{}, false
	}
	items, last, ok := strings.Cut(string(rest), " ")
	if !ok {
		return mark{}, false
	}
	n, err := strconv.Atoi(items)
	return mark{n, last}, err == nil
}

// compare returns an error that wraps ErrDiffers unless both have the same items, except for the
// one at key. Revisions differ.
func compare(ctx context.Context, from, to Reader, key string) error {
	a, b := &cursor{r: from, skip: key}, &cursor{r: to, skip: key}
	for {
		if err := errors.Join(a.fill(ctx), b.fill(ctx)); err != nil {
			return fmt.Errorf("compare: %w", err)
		}
		var at Item
		same := false
		switch {
		case len(a.page) == 0 && len(b.page) == 0:
			return nil
		case len(b.page) == 0 || len(a.page) > 0 && a.page[0].Key < b.page[0].Key:
			at = a.next()
			same = mayBeSwept(at)
		case len(a.page) == 0 || b.page[0].Key < a.page[0].Key:
			at = b.next()
			same = mayBeSwept(at)
		default:
			at = a.next()
			other := b.next()
			same = bytes.Equal(at.Value, other.Value) && at.Expires.Equal(other.Expires)
		}
		if !same {
			return fmt.Errorf("%w: at %q", ErrDiffers, at.Key)
		}
	}
}

// mayBeSwept reports whether a store may have deleted it by itself.
func mayBeSwept(it Item) bool {
	return !it.Expires.IsZero() && it.Expires.Before(time.Now().Add(-SweepGrace))
}

// A cursor reads all items but that at skip, in order.
type cursor struct {
	r    Reader
	skip string
	page []Item // those that are next
	last string
	over bool
}

// fill reads the next page when the present one is used up. The page is empty at the end.
func (c *cursor) fill(ctx context.Context) error {
	for len(c.page) == 0 && !c.over {
		items, err := c.r.List(ctx, "", c.last, MaxLimit)
		if err != nil {
			return err
		}
		c.over = len(items) < MaxLimit
		for _, it := range items {
			if c.last = it.Key; it.Key != c.skip {
				c.page = append(c.page, it)
			}
		}
	}
	return nil
}

func (c *cursor) next() Item {
	it := c.page[0]
	c.page = c.page[1:]
	return it
}
