package linear

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/npmauth/npmauth/store"
)

// A call is one that a client made, with what it was told.
type call struct {
	client     int
	begin, end int64 // ns since the history began

	keys  []string     // of a Get
	list  string       // the prefix of a List
	items []store.Item // what either found

	ops      []store.Op // of a Commit
	revision store.Revision

	err error
}

// A history is what clients of one store did, and were told.
type history struct {
	began time.Time
	mu    sync.Mutex
	calls []call // guarded by mu
}

func newHistory() *history { return &history{began: time.Now()} }

// record returns s for one client, with each of its calls written down. A client
// makes one call at a time. Its Lists are of all keys of a group.
func (h *history) record(client int, s store.Store) store.Store {
	return &recorder{h: h, client: client, s: s}
}

type recorder struct {
	h      *history
	client int
	s      store.Store
}

// Unwrap returns the store that is recorded.
func (r *recorder) Unwrap() store.Store { return r.s }

func (r *recorder) now() int64 { return int64(time.Since(r.h.began)) }

func (r *recorder) add(c call) {
	c.client, c.end = r.client, r.now()
	r.h.mu.Lock()
	defer r.h.mu.Unlock()
	r.h.calls = append(r.h.calls, c)
}

func (r *recorder) Get(ctx context.Context, keys ...string) ([]store.Item, error) {
	c := call{begin: r.now(), keys: keys}
	c.items, c.err = r.s.Get(ctx, keys...)
	r.add(c)
	return c.items, c.err
}

func (r *recorder) List(ctx context.Context, prefix, after string, limit int) ([]store.Item, error) {
	c := call{begin: r.now(), list: prefix}
	c.items, c.err = r.s.List(ctx, prefix, after, limit)
	r.add(c)
	return c.items, c.err
}

func (r *recorder) Commit(ctx context.Context, ops ...store.Op) (store.Revision, error) {
	c := call{begin: r.now(), ops: ops}
	c.revision, c.err = r.s.Commit(ctx, ops...)
	r.add(c)
	return c.revision, c.err
}

// tooHard bounds the search. A history that takes so long is an error, not a pass.
const tooHard = time.Minute

// check returns an error if no order of the calls explains what was told.
func (h *history) check() error {
	operations, err := h.operations()
	if err != nil {
		return err
	}
	result, info := porcupine.CheckOperationsVerbose(model, operations, tooHard)
	switch result {
	case porcupine.Ok:
		return nil
	case porcupine.Illegal:
		return &violation{calls: len(operations), info: info}
	}
	return fmt.Errorf("a history of %d calls cannot be checked in %s", len(operations), tooHard)
}

// operations returns the calls for the model. What contradicts itself in any order
// is an error: values that nobody wrote, or whose Commit is said to have written
// nothing, and revisions that mean two things.
func (h *history) operations() ([]porcupine.Operation, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	written, err := h.revisions()
	if err != nil {
		return nil, err
	}
	var end int64
	for _, c := range h.calls {
		end = max(end, c.end)
	}
	layout, err := h.layout()
	if err != nil {
		return nil, err
	}
	var operations []porcupine.Operation
	for _, c := range h.calls {
		op := porcupine.Operation{ClientId: c.client, Call: c.begin, Return: c.end}
		switch {
		case c.ops != nil:
			outcome, known := outcomeOf(c.err)
			if !known {
				continue // it wrote nothing
			}
			in := input{group: path.Dir(c.ops[0].Key)}
			for _, o := range c.ops {
				s := step{key: layout[o.Key], at: o.At, action: o.Action}
				if o.Action == store.Put {
					s.becomes = cell{revision: written[string(o.Value)], value: string(o.Value)}
				}
				in.steps = append(in.steps, s)
			}
			if outcome == unknown {
				op.Return = end + 1 // it may still happen
			}
			op.Input, op.Output = in, output{outcome: outcome}
		case c.err != nil:
			continue // a read that was told nothing
		default:
			var in input
			var out output
			if c.list != "" {
				in.group = strings.TrimSuffix(c.list, "/")
				for key, i := range layout {
					if path.Dir(key) == in.group && !slices.ContainsFunc(c.items, func(it store.Item) bool { return it.Key == key }) {
						in.reads, out.cells = append(in.reads, i), append(out.cells, cell{})
					}
				}
			} else {
				in.group = path.Dir(c.keys[0])
			}
			for _, it := range c.items {
				in.reads = append(in.reads, layout[it.Key])
				out.cells = append(out.cells, cell{revision: it.Revision, value: string(it.Value)})
			}
			op.Input, op.Output = in, out
		}
		operations = append(operations, op)
	}
	return operations, nil
}

// layout gives each key a place in the state of its group.
func (h *history) layout() (map[string]int, error) {
	var all []string
	for _, c := range h.calls {
		all = append(all, c.keys...)
		for _, it := range c.items {
			all = append(all, it.Key)
		}
		for _, op := range c.ops {
			all = append(all, op.Key)
		}
	}
	slices.Sort(all)
	layout, inGroup := map[string]int{}, map[string]int{}
	for _, key := range slices.Compact(all) {
		group := path.Dir(key)
		if inGroup[group] == keys {
			return nil, fmt.Errorf("more than %d keys in the group %q", keys, group)
		}
		layout[key] = inGroup[group]
		inGroup[group]++
	}
	return layout, nil
}

// revisions returns the revision of each value, which names its Commit. If its
// outcome was never learned and nobody read it, that is a negative one, which no
// client can have asked for.
func (h *history) revisions() (map[string]store.Revision, error) {
	written := map[string]store.Revision{}
	nothing := map[string]error{} // values whose Commit ended in that and wrote nothing
	for i, c := range h.calls {
		puts := 0
		for _, op := range c.ops {
			if op.Action != store.Put {
				continue
			}
			puts++
			value := string(op.Value)
			switch outcome, known := outcomeOf(c.err); {
			case !known, outcome == conflict:
				nothing[value] = c.err
			case outcome == unknown:
				written[value] = store.Revision(-2 - i)
			default:
				written[value] = c.revision
			}
		}
		if c.ops != nil && c.err == nil && (puts > 0) != (c.revision > 0) {
			return nil, fmt.Errorf("a Commit of %d puts returned revision %d", puts, c.revision)
		}
	}
	type place struct {
		key string
		at  store.Revision
	}
	values := map[place]string{}
	for _, c := range h.calls {
		if c.keys != nil && c.err == nil && !slices.EqualFunc(c.keys, c.items, func(key string, it store.Item) bool { return key == it.Key }) {
			return nil, fmt.Errorf("a Get of %q found %v", c.keys, c.items)
		}
		for _, it := range c.items {
			if !it.Exists() {
				continue
			}
			value := string(it.Value)
			rev, ok := written[value]
			switch {
			case !ok && nothing[value] != nil:
				return nil, fmt.Errorf("%q can be read, and its Commit is said to have written nothing: %w", value, nothing[value])
			case !ok:
				return nil, fmt.Errorf("%q can be read, and nobody wrote it", value)
			case rev < store.Any:
				written[value] = it.Revision
			case rev != it.Revision:
				return nil, fmt.Errorf("%q is at revision %d and at %d", value, rev, it.Revision)
			}
			p := place{it.Key, it.Revision}
			if had, ok := values[p]; ok && had != value {
				return nil, fmt.Errorf("revision %d of %s is %q and %q", it.Revision, it.Key, had, value)
			}
			values[p] = value
		}
	}
	return written, nil
}

// outcomeOf returns false for the errors that say that nothing was written, for
// another reason than a condition.
func outcomeOf(err error) (outcome, bool) {
	switch {
	case err == nil:
		return done, true
	case errors.Is(err, store.ErrUnknown):
		return unknown, true
	case errors.Is(err, store.ErrConflict):
		return conflict, true
	}
	return 0, false
}
