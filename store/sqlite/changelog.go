package sqlite

import (
	"context"
	"strings"
)

// The change log has one row for each transaction, with the keys that it wrote, or more rows if
// they are many. The newest keepChanges rows are kept: at the highest rate of syncs of a disk,
// some seconds of a watcher that is blocked.
const (
	keepChanges = 1 << 15

	maxChange = 3500 // bytes of a row, so that it fits into its page

	// Old rows are deleted in small steps, so that no commit waits for long; each may delete
	// more rows than were added since the last one.
	trimEvery = 64  // rows added
	trimMost  = 256 // rows deleted
)

// logChanges records in the change log that keys are written.
func (w *writer) logChanges(ctx context.Context, keys []string) error {
	for len(keys) > 0 {
		n, size := 0, 0
		for n < len(keys) && (n == 0 || size+len(keys[n]) < maxChange) {
			size += len(keys[n]) + 1
			n++
		}
		added, err := w.log.ExecContext(ctx, strings.Join(keys[:n], "\n"))
		if err != nil {
			return err
		}
		seq, err := added.LastInsertId()
		if err != nil {
			return err
		}
		if seq%trimEvery == 0 { // also of processes that each write little
			if _, err := w.trim.ExecContext(ctx, seq-w.keep, trimMost); err != nil {
				return err
			}
		}
		keys = keys[n:]
	}
	return nil
}
