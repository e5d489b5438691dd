// Package linear checks that a [store.Store] is linearizable: that what several clients were
// told at the same time fits into one order of their calls, in which each call takes effect at
// a moment between its beginning and its end. Preconditions, unknown outcomes and reads of
// several keys are part of it. Package storetest asserts one rule at a time; this finds what
// shows only in how calls overlap, such as a stale read or a Check that is lost now and then.
//
// A backend's own tests call [Test] with two independent handles on the same data, such as two
// connection pools or two processes' clients:
//
//	func TestLinearizable(t *testing.T) {
//		db := newDatabase(t)
//		linear.Test(t, open(t, db), open(t, db))
//	}
//
// It is a module of its own because of what it requires, the checker
// github.com/anishathalye/porcupine.
//
// # What it covers
//
// Each round is a short history of 12 clients on new keys below "linear/", which stay in the
// store: the time to search for an order is exponential in how many calls overlap. The clients
// make random Gets, Lists and Commits, now and then with a context that ends on the way; an
// answer is lost now and then, so that its outcome is unknown. The rounds are random: a pass is
// evidence and no proof, and a flaw that shows itself rarely needs more of them ([Check]).
//
// Expiry, sweeping, watching and limits are left to package storetest; durability, crashes and
// lost connections to the backend's own tests.
package linear

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/storetest"
)

// The size of a round. Groups of keys do not meet in any call, so that each has a
// history of its own; they are there to load the store.
const (
	groups  = 3
	keys    = 3  // of a group
	clients = 4  // of a group
	steps   = 10 // of a client
)

// Test is [Check] in a test, with 60 rounds, or 15 with -short. If there is no order it also
// writes the history as a page of HTML, among the test's artifacts.
func Test(t *testing.T, handles ...store.Store) {
	t.Helper()
	rounds := 60
	if testing.Short() {
		rounds = 15
	}
	began := time.Now()
	err := Check(t.Context(), rounds, handles...)
	t.Logf("%d rounds in %s", rounds, time.Since(began))
	if err == nil {
		return
	}
	var v *violation
	if errors.As(err, &v) {
		path := filepath.Join(t.ArtifactDir(), "history.html")
		if err := porcupine.VisualizePath(model, v.info, path); err != nil {
			t.Error(err)
		}
		t.Logf("the history is in %s (kept with go test -artifacts)", path)
	}
	t.Fatal(err)
}

// A violation is a history that has no order.
type violation struct {
	calls int
	info  porcupine.LinearizationInfo
}

func (v *violation) Error() string {
	return fmt.Sprintf("no order explains a history of %d calls", v.calls)
}

// Check makes clients use the handles of one store at the same time, and checks what they were
// told, round by round. It returns an error if no order explains it, if the answers contradict
// each other in any order, if the store returned an error that its contract does not have for
// such a call, and if an order could not be searched for within a minute. There is at least one
// round and one handle, else the error is [store.ErrInvalid]. The store may have other keys.
func Check(ctx context.Context, rounds int, handles ...store.Store) error {
	if rounds < 1 || len(handles) == 0 {
		return fmt.Errorf("linear: %w: %d rounds with %d handles check nothing", store.ErrInvalid, rounds, len(handles))
	}
	for i := range rounds {
		h := newHistory()
		seed := rand.Uint64()
		if err := round(ctx, h, fmt.Sprintf("linear/%x/", seed), seed, handles); err != nil {
			return fmt.Errorf("linear: round %d: %w", i, err)
		}
		if err := h.check(); err != nil {
			return fmt.Errorf("linear: round %d: %w", i, err)
		}
	}
	return nil
}

// round records what clients do at once with new keys below prefix.
func round(ctx context.Context, h *history, prefix string, seed uint64, handles []store.Store) error {
	start := make(chan struct{})
	var wg sync.WaitGroup
	errs := make([]error, groups*clients)
	for i := range errs {
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		// Now and then an answer is lost, in every engine.
		s := storetest.LoseNth(handles[i%len(handles)], 1+r.IntN(2*steps))
		c := &client{
			s: h.record(i, s), r: r, prefix: fmt.Sprintf("%s%d/", prefix, i%groups), name: fmt.Sprint(i), seen: map[string]store.Revision{},
		}
		wg.Go(func() {
			<-start
			for range steps {
				if errs[i] = c.step(ctx); errs[i] != nil {
					return
				}
			}
		})
	}
	close(start)
	wg.Wait()
	last := h.record(len(errs), handles[0])
	for g := range groups {
		_, err := last.List(ctx, fmt.Sprintf("%s%d/", prefix, g), "", store.MaxLimit)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// A client does at random what the users of a store do.
type client struct {
	s       store.Store
	r       *rand.Rand
	prefix  string
	name    string
	seen    map[string]store.Revision
	commits int
}

// step returns the errors that no store should return.
func (c *client) step(ctx context.Context) error {
	var some []string
	for _, i := range c.r.Perm(keys)[:1+c.r.IntN(keys)] {
		some = append(some, fmt.Sprint(c.prefix, i))
	}
	switch n := c.r.IntN(20); {
	case n < 7:
		items, err := c.s.Get(ctx, some...)
		c.saw(items)
		return err
	case n < 9:
		items, err := c.s.List(ctx, c.prefix, "", store.MaxLimit)
		c.saw(items)
		return err
	}
	c.commits++
	value := fmt.Sprint(c.name, ".", c.commits)
	var ops []store.Op
	for _, key := range some {
		op := store.Op{Key: key, At: c.seen[key]}
		switch n := c.r.IntN(20); {
		case n < 4:
			op.Action = store.Delete
		case n < 15:
			op.Action, op.Value = store.Put, []byte(value)
		}
		if n := c.r.IntN(10); n == 0 {
			op.At = store.Absent
		} else if n == 1 && op.Action != store.Check {
			op.At = store.Any
		}
		ops = append(ops, op)
	}
	if c.r.IntN(8) == 0 { // someone hangs up
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(c.r.IntN(500))*time.Microsecond)
		defer cancel()
	}
	rev, err := c.s.Commit(ctx, ops...)
	if err == nil {
		for _, op := range ops {
			switch op.Action {
			case store.Put:
				c.seen[op.Key] = rev
			case store.Delete:
				c.seen[op.Key] = store.Absent
			}
		}
		return nil
	}
	if errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrUnknown) || errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}

func (c *client) saw(items []store.Item) {
	for _, it := range items {
		c.seen[it.Key] = it.Revision
	}
}
