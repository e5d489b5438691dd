package store

import (
	"errors"
	"fmt"
)

// A Result is the result of the writes of a [Transact].
type Result uint8

// The results. The zero value is Refused.
const (
	Refused   Result = iota // nothing was written
	Unknown                 // the Commit may have happened, or may still happen
	Committed               // all of it was written
)

// String returns "refused", "unknown" or "committed".
func (r Result) String() string {
	switch r {
	case Refused:
		return "refused"
	case Unknown:
		return "unknown"
	case Committed:
		return "committed"
	}
	return fmt.Sprintf("Result(%d)", uint8(r))
}

// An Outcome is how a [Transact] ended.
type Outcome struct {
	Result Result

	// Err is the error of Transact: nil with Committed, an error that wraps [ErrUnknown] with
	// Unknown. If Transact ends in a panic it is an error that says so, without the value of
	// the panic.
	Err error
}

// errNoReturn is the Err of a Transact that a panic or runtime.Goexit ends.
var errNoReturn = errors.New("store: the transaction ended in a panic")

// After registers fn to be called once, when the Transact around this Tx has ended. It is for
// what must not happen in a function that may run several times: to report what was written,
// and what was refused.
//
// Only the functions of the last run are called, in their order, on the goroutine of Transact
// and before it returns; those of earlier runs are dropped.
//
//   - [Committed]: the Commit happened, or none was needed since the run only read.
//   - [Refused]: nothing was written. The run returned an error or panicked, the
//     Commit failed, or no run followed the last one: because the context was over,
//     because what it expected has changed, or because there were too many.
//   - [Unknown]: the Commit returned an error that wraps [ErrUnknown], or panicked.
//
// After a panic, the functions are called and the panic continues. A function that panics does
// not prevent the calls of the others. A function must not use the Tx. It may use the store,
// but its writes are not part of this Commit, and are lost if the process ends in between:
// write in the run what must not be lost.
func (tx *Tx) After(fn func(Outcome)) {
	tx.mustRun()
	if fn == nil {
		panic("store: Tx.After without a function")
	}
	tx.after = append(tx.after, fn)
}

// tell calls the functions that the run registered. err is the error of Transact.
func (tx *Tx) tell(err error) {
	if tx.result == Unknown && errors.Is(err, errNoReturn) {
		err = fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	callAll(tx.after, Outcome{Result: tx.result, Err: err})
}

// callAll calls fns in order, all of them even if one panics.
func callAll(fns []func(Outcome), o Outcome) {
	if len(fns) == 0 {
		return
	}
	defer callAll(fns[1:], o)
	fns[0](o)
}

// resultOf returns the result of a Commit that returned err.
func resultOf(err error) Result {
	switch {
	case err == nil:
		return Committed
	case errors.Is(err, ErrUnknown):
		return Unknown
	}
	return Refused
}
