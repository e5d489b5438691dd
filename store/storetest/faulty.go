package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/npmauth/npmauth/store"
)

// ErrFault is the error of a call that a [Fault] strikes, unless the Fault says otherwise. From
// a Commit it means that nothing was written.
var ErrFault = errors.New("storetest: fault")

// Calls are kinds of calls of a store. Several are joined with |.
type Calls uint8

// The kinds of calls.
const (
	Gets Calls = 1 << iota
	Lists
	Commits

	Reads = Gets | Lists
	All   = Reads | Commits
)

// Always is the Times of a [Fault] that does not end.
const Always = -1

// A Call is one call of a store, with its arguments. It must not be changed.
type Call struct {
	Kind Calls
	Keys []string   // of a Get or a Commit, or the prefix of a List
	Ops  []store.Op // of a Commit
}

// A Fault strikes one call or a few. A call that it strikes first waits, if Delay or Until say
// so, then calls Do, and then ends with Err: as if it was never sent, or with After as if its
// answer was lost.
type Fault struct {
	// On says which calls are counted and struck. Zero means all.
	On Calls

	// If selects some of the calls that On names: those for which it returns false are neither
	// counted nor struck. Nil means all. It may be called at the same time by several
	// goroutines, and must not use the store.
	If func(Call) bool

	// Nth is the first call that is struck, 1 being the next. Zero means 1.
	Nth int

	// Times is how many calls are struck in a row. Zero means 1, [Always] every one
	// from the first on.
	Times int

	// After strikes when the call was made: its result is replaced by Err, if there is one.
	// Otherwise a call that ends with Err is not made.
	After bool

	// Delay and Until (until it is closed) delay the call, but no longer than its context: then
	// it ends as the contract says, with an unknown outcome if it is a Commit and was made.
	Delay time.Duration
	Until <-chan struct{}

	// Do is called in the goroutine of the call, and may panic there. It is for what other
	// goroutines do just before the call, or with After just after it. It may use the store
	// below, and the Faulty too: while it runs, its Fault neither counts nor strikes any call,
	// so that the calls in Do do not call it recursively.
	Do func()

	// Err is what the call returns. If it and all of Delay, Until and Do are zero, it
	// is [ErrFault], or [store.ErrUnknown] for a Commit with After.
	Err error
}

// A Faulty is a [store.Store] over another one that fails where a test wants it to, and counts
// its calls. Calls of a store below it that [store.As] or [store.Watch] finds bypass it.
type Faulty struct {
	s      store.Store
	mu     sync.Mutex
	counts map[Calls]int  // guarded by mu
	faults []*activeFault // guarded by mu
	struck int            // guarded by mu
}

type activeFault struct {
	Fault
	calls int // counted so far; guarded by Faulty.mu
	doing int // how many Do run; guarded by Faulty.mu
}

// NewFaulty returns a Faulty over s with these faults. Without any it only counts.
func NewFaulty(s store.Store, faults ...Fault) *Faulty {
	f := &Faulty{s: s, counts: map[Calls]int{}}
	for _, fault := range faults {
		f.Inject(fault)
	}
	return f
}

// FailNth returns a store whose n-th call, of whatever kind, fails with [ErrFault] and does
// nothing. To make a test fail at every call in turn:
//
//	for n := 1; ; n++ {
//		s := storetest.FailNth(store.NewMemory(), n)
//		… // run it, and see what is left
//		if !s.Struck() {
//			break // it makes fewer calls than n
//		}
//	}
func FailNth(s store.Store, n int) *Faulty { return NewFaulty(s, Fault{Nth: n}) }

// LoseNth returns a store whose n-th Commit happens, if it can, and returns [store.ErrUnknown].
func LoseNth(s store.Store, n int) *Faulty {
	return NewFaulty(s, Fault{On: Commits, Nth: n, After: true})
}

// ConflictNth returns a store whose n-th Commit and those after it, times in all,
// write nothing and return [store.ErrConflict].
func ConflictNth(s store.Store, n, times int) *Faulty {
	return NewFaulty(s, Fault{On: Commits, Nth: n, Times: times, Err: store.ErrConflict})
}

// Inject adds a fault, whose Nth counts the calls that begin from now on. It panics
// if the fault could strike nothing.
func (f *Faulty) Inject(fault Fault) {
	if fault.On == 0 {
		fault.On = All
	}
	if fault.Nth == 0 {
		fault.Nth = 1
	}
	if fault.Times == 0 {
		fault.Times = 1
	}
	if fault.On&^All != 0 || fault.Nth < 0 || fault.Times < Always || fault.Delay < 0 {
		panic(fmt.Sprintf("storetest: a fault that strikes nothing: %+v", fault))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = append(f.faults, &activeFault{Fault: fault})
}

// Mend removes all faults. A call that a fault delays is still delayed.
func (f *Faulty) Mend() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = nil
}

// Struck reports whether any fault has struck a call.
func (f *Faulty) Struck() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.struck > 0
}

// Count returns how many calls of these kinds have begun.
func (f *Faulty) Count(kinds Calls) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for kind, count := range f.counts {
		if kind&kinds != 0 {
			n += count
		}
	}
	return n
}

// Unwrap returns the store below.
func (f *Faulty) Unwrap() store.Store { return f.s }

// Get implements [store.Reader].
func (f *Faulty) Get(ctx context.Context, keys ...string) (items []store.Item, err error) {
	err = f.call(ctx, Call{Kind: Gets, Keys: keys}, func() (err error) {
		items, err = f.s.Get(ctx, keys...)
		return err
	})
	if err != nil {
		return nil, err
	}
	return items, nil
}

// List implements [store.Reader].
func (f *Faulty) List(ctx context.Context, prefix, after string, limit int) (items []store.Item, err error) {
	err = f.call(ctx, Call{Kind: Lists, Keys: []string{prefix}}, func() (err error) {
		items, err = f.s.List(ctx, prefix, after, limit)
		return err
	})
	if err != nil {
		return nil, err
	}
	return items, nil
}

// Commit implements [store.Store].
func (f *Faulty) Commit(ctx context.Context, ops ...store.Op) (rev store.Revision, err error) {
	call := Call{Kind: Commits, Ops: ops}
	for _, op := range ops {
		call.Keys = append(call.Keys, op.Key)
	}
	err = f.call(ctx, call, func() (err error) {
		rev, err = f.s.Commit(ctx, ops...)
		return err
	})
	if err != nil {
		return 0, err
	}
	return rev, nil
}

// call makes one call with its faults.
func (f *Faulty) call(ctx context.Context, call Call, do func() error) error {
	before, after := f.strike(call)
	for _, fault := range before {
		if err := f.befall(ctx, call.Kind, fault); err != nil {
			return err
		}
	}
	err := do()
	for _, fault := range after {
		if lost := f.befall(ctx, call.Kind, fault); lost != nil {
			err = lost
		}
	}
	return err
}

// strike counts a call and returns the faults that strike it.
func (f *Faulty) strike(call Call) (before, after []*activeFault) {
	f.mu.Lock()
	f.counts[call.Kind]++
	faults := slices.Clone(f.faults)
	f.mu.Unlock()
	faults = slices.DeleteFunc(faults, func(fault *activeFault) bool {
		return fault.On&call.Kind == 0 || fault.If != nil && !fault.If(call)
	})

	f.mu.Lock()
	defer f.mu.Unlock()
	for _, fault := range faults {
		if fault.doing > 0 {
			continue
		}
		fault.calls++
		late := fault.calls - fault.Nth
		if late < 0 || fault.Times != Always && late >= fault.Times {
			continue
		}
		f.struck++
		if fault.After {
			after = append(after, fault)
		} else {
			before = append(before, fault)
		}
	}
	return before, after
}

// befall applies a fault and returns the error that the call ends with, or nil if it continues.
func (f *Faulty) befall(ctx context.Context, kind Calls, fault *activeFault) error {
	if err := fault.wait(ctx); err != nil {
		if fault.After && kind == Commits {
			return fmt.Errorf("storetest: %w: %w", store.ErrUnknown, err)
		}
		return err
	}
	if fault.Do != nil {
		f.do(fault)
	}
	switch {
	case fault.Err != nil || fault.Do != nil || fault.Delay > 0 || fault.Until != nil:
		return fault.Err
	case fault.After && kind == Commits:
		return fmt.Errorf("storetest: %w", store.ErrUnknown)
	}
	return ErrFault
}

// do calls Do, during which the fault does not strike.
func (f *Faulty) do(fault *activeFault) {
	add := func(n int) {
		f.mu.Lock()
		defer f.mu.Unlock()
		fault.doing += n
	}
	add(1)
	defer add(-1)
	fault.Do()
}

// wait returns the context's error if it ends before the delay does.
func (f *Fault) wait(ctx context.Context) error {
	if f.Delay > 0 {
		timer := time.NewTimer(f.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if f.Until != nil {
		select {
		case <-f.Until:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
