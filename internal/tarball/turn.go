package tarball

import "runtime"

// slots has an element for each check that is computing, in the whole process: one fewer than
// there are processors, so that the tarballs of some leave one for all others. A check has a slot
// for one piece of what was sent, some 24 KiB, and none while it waits for the next: whoever
// sends slowly is in nobody's way. Goroutines that wait for a channel are served in their
// order, so checks take turns.
var slots = make(chan struct{}, max(1, runtime.GOMAXPROCS(0)-1))

// turn runs f once there is a slot, or returns errAborted if done is closed before.
func turn(done <-chan struct{}, f func() error) error {
	select {
	case <-done: // also where there is a slot
		return errAborted
	default:
	}
	select {
	case slots <- struct{}{}:
	case <-done:
		return errAborted
	}
	defer func() { <-slots }()
	return f()
}
