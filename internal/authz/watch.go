package authz

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/npmauth/npmauth/store"
)

const (
	minWatch = 10 * time.Millisecond // how often a watcher is asked to report at most

	watchPauseMin = 100 * time.Millisecond // before a watch that failed begins anew
	watchPauseMax = 10 * time.Second
)

// Watch drops from the caches what other nodes change, and lets the rest live on
// while the store says how far it has seen. While nothing is reported everything grows
// too old within Config.Fresh, and the store is read: nothing is decided by a watch.
func (a *Authorizer) Watch(ctx context.Context) {
	if a.fresh <= 0 {
		return // nothing is remembered
	}
	// A report must come, and be late, before the bound.
	every := max(a.fresh/4, minWatch)
	for pause := watchPauseMin; ; pause = min(2*pause, watchPauseMax) {
		began := false
		_, err := Call(ctx, func() (struct{}, error) {
			return struct{}{}, store.Watch(ctx, a.Store, every, func(c store.Change) {
				if !began {
					began, pause = true, watchPauseMin
					a.caches.forget() // what is older than the first report may have changed unnoticed
				}
				a.caches.changed(c.Keys)
				a.caches.seen(c.Seen)
			})
		})
		if ctx.Err() != nil || errors.Is(err, errors.ErrUnsupported) {
			return
		}
		a.LogLater(ctx, "npmauth: the store does not report changes, nothing is cached for longer than Config.Fresh", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause/2 + rand.N(pause/2)): // jitter: nodes lose a store together
		}
	}
}
