package npmauth_test

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/npmauth/npmauth/store"
)

// An interleaving runs two activities one call of the store at a time, in an order that it is
// told, so that all orders can be tried.
type interleaving struct {
	answers bool  // the first activity waits with what a Get of it has answered, too
	choices []int // at each moment when both wait: which goes on
	made    int   // how many of them were made
	arrived chan int
	proceed [2]chan struct{}
	steps   []step
}

// A step is what one of the two was let do.
type step struct {
	of     int
	commit bool // a Commit that succeeded
	end    bool // the activity returned
}

type activityKey struct{}

// A steppedStore waits before each call for its turn in the interleaving that it is given, if
// the call is one of its activities'.
type steppedStore struct {
	store.Store
	in *interleaving // nil waits for nothing
}

func (s *steppedStore) wait(ctx context.Context) (of int) {
	of, ok := ctx.Value(activityKey{}).(int)
	if !ok || s.in == nil {
		return -1
	}
	s.in.arrived <- of
	<-s.in.proceed[of]
	return of
}

func (s *steppedStore) Get(ctx context.Context, keys ...string) ([]store.Item, error) {
	s.wait(ctx)
	items, err := s.Store.Get(ctx, keys...)
	if s.in != nil && s.in.answers && ctx.Value(activityKey{}) == 0 {
		s.wait(ctx)
	}
	return items, err
}

func (s *steppedStore) List(ctx context.Context, prefix, after string, limit int) ([]store.Item, error) {
	s.wait(ctx)
	return s.Store.List(ctx, prefix, after, limit)
}

func (s *steppedStore) Commit(ctx context.Context, ops ...store.Op) (store.Revision, error) {
	of := s.wait(ctx)
	rev, err := s.Store.Commit(ctx, ops...)
	if of >= 0 && err == nil {
		s.in.steps = append(s.in.steps, step{of: of, commit: true})
	}
	return rev, err
}

// run runs both activities in the order of choices, and after those the first one first.
func (in *interleaving) run(ctx context.Context, activities [2]func(context.Context)) {
	in.arrived = make(chan int)
	ended := make(chan int)
	for i, fn := range activities {
		in.proceed[i] = make(chan struct{})
		go func() {
			in.arrived <- i // none begins before it may
			<-in.proceed[i]
			fn(context.WithValue(ctx, activityKey{}, i))
			ended <- i
		}()
	}
	waiting, running := [2]bool{}, [2]bool{true, true}
	await := func(of int) { // the other stands still meanwhile
		select {
		case <-in.arrived:
			waiting[of] = true
		case <-ended:
			running[of] = false
			in.steps = append(in.steps, step{of: of, end: true})
		}
	}
	for range activities {
		waiting[<-in.arrived] = true
	}
	for running[0] || running[1] {
		next := 0
		switch {
		case waiting[0] && waiting[1]:
			if in.made == len(in.choices) {
				in.choices = append(in.choices, 0)
			}
			next = in.choices[in.made]
			in.made++
		case waiting[1]:
			next = 1
		}
		waiting[next] = false
		in.steps = append(in.steps, step{of: next})
		in.proceed[next] <- struct{}{}
		await(next)
	}
}

// index is where the last step is that fn picks, -1 for none.
func (in *interleaving) index(fn func(step) bool) int {
	last := -1
	for i, s := range in.steps {
		if fn(s) {
			last = i
		}
	}
	return last
}

// committed is when an activity made its last commit, and -1 if it made none.
func (in *interleaving) committed(of int) int {
	return in.index(func(s step) bool { return s.of == of && s.commit })
}

// ended is when it returned.
func (in *interleaving) ended(of int) int {
	return in.index(func(s step) bool { return s.of == of && s.end })
}

// began is when it began.
func (in *interleaving) began(of int) int {
	for i, s := range in.steps {
		if s.of == of {
			return i
		}
	}
	return -1
}

// read is when an activity made its first call.
func (in *interleaving) read(of int) int {
	for i := in.began(of) + 1; i < len(in.steps); i++ {
		if in.steps[i].of == of {
			return i
		}
	}
	return -1
}

// interleave calls fn once for each order in which the calls of its two activities can come,
// and returns how many there are.
func interleave(t *testing.T, fn func(in *interleaving)) (orders int) {
	t.Helper()
	var choices []int
	for {
		in := &interleaving{choices: choices}
		fn(in)
		orders++
		choices = in.choices[:in.made]
		for len(choices) > 0 && choices[len(choices)-1] == 1 {
			choices = choices[:len(choices)-1]
		}
		if len(choices) == 0 || t.Failed() {
			return orders
		}
		choices[len(choices)-1] = 1
	}
}

// sendIn is send for a request that is part of an activity.
func (w *world) sendIn(ctx context.Context, c call) answer {
	r := httptest.NewRequestWithContext(ctx, c.method, c.path, strings.NewReader(string(w.bytes(c.body))))
	if c.body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.bearer != "" {
		r.Header.Set("Authorization", "Bearer "+c.bearer)
	}
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, r)
	a := answer{ResponseRecorder: rec}
	_ = json.Unmarshal(rec.Body.Bytes(), &a.json)
	return a
}
