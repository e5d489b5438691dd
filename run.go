package npmauth

import (
	"context"
	"time"

	"github.com/npmauth/npmauth/store"
)

const (
	usedEvery  = 30 * time.Second // how often last-used times are written
	sweepEvery = 15 * time.Minute // how often expired rows are deleted
	sweepBatch = 500              // rows at a time

	forgetEvery = 30 * time.Second // how often the salts of collected logins are erased
)

// Run does what can wait: it writes down when tokens were last used and deletes
// what expired long ago. It returns when ctx is done, with the error of a last
// write if that failed. Nothing that npmauth decides depends on it.
func (a *Auth) Run(ctx context.Context) error {
	used, sweep := time.NewTicker(usedEvery), time.NewTicker(sweepEvery)
	forget := time.NewTicker(forgetEvery)
	defer used.Stop()
	defer sweep.Stop()
	defer forget.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			return a.tokens.Flush(last)
		case <-used.C:
			if err := a.tokens.Flush(ctx); err != nil {
				a.log.WarnContext(ctx, "npmauth: last-used times not written", "error", err)
			}
		case <-forget.C:
			if err := a.sessions.Forget(ctx); err != nil {
				a.log.WarnContext(ctx, "npmauth: collected logins not forgotten", "error", err)
			}
		case <-sweep.C:
			if err := a.sweep(ctx); err != nil {
				a.log.WarnContext(ctx, "npmauth: sweep not finished", "error", err)
			}
		}
	}
}

func (a *Auth) sweep(ctx context.Context) error {
	s, ok := store.As[store.Sweeper](a.store)
	if !ok {
		return nil
	}
	for {
		n, err := s.Sweep(ctx, a.now(), sweepBatch)
		if err != nil || n < sweepBatch {
			return err
		}
	}
}
