package npmauth

import (
	"context"
	"sync"
	"time"

	"github.com/npmauth/npmauth/internal/authz"
	"github.com/npmauth/npmauth/store"
)

const (
	usedEvery  = 30 * time.Second // how often last-used times are written
	sweepEvery = 15 * time.Minute // how often expired rows are deleted
	sweepBatch = 500              // rows at a time

	forgetEvery = 30 * time.Second // how often the salts of collected logins are erased

	warnEvery = 24 * time.Hour   // how often a node looks for tokens that end soon
	warnLook  = 10 * time.Minute // how often it looks whether that is due, so soon after a start and after an error
)

// Run does work in the background: it stores when tokens were last used, tells of floods of refusals, deletes what expired long
// ago, records events of tokens that expire soon, and watches what other nodes change, so that
// caches keep the rest for longer. It returns when ctx is done, with the error of a last write if
// that failed. No decision depends on it.
func (a *Auth) Run(ctx context.Context) error {
	var watching sync.WaitGroup
	defer watching.Wait()
	watching.Go(func() { a.authz.Watch(ctx) })

	used, sweep := time.NewTicker(usedEvery), time.NewTicker(sweepEvery)
	forget := time.NewTicker(forgetEvery)
	warn := time.NewTicker(warnLook)
	defer used.Stop()
	defer warn.Stop()
	defer sweep.Stop()
	defer forget.Stop()
	clock, warnClock := steadiness{}, steadiness{}
	clock.steady(a.authz.Now(), time.Now())
	warnClock.steady(a.authz.Now(), time.Now())
	var warned time.Time
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			a.authz.Events.Flush(last, true)
			return a.authz.Tokens.Flush(last)
		case <-used.C:
			a.authz.Events.Flush(ctx, false)
			if err := a.authz.Tokens.Flush(ctx); err != nil {
				a.authz.LogLater(ctx, "npmauth: last-used times not written", err)
			}
		case <-forget.C:
			if err := a.authz.Sessions.Forget(ctx); err != nil {
				a.authz.LogLater(ctx, "npmauth: collected logins not forgotten", err)
			}
		case <-warn.C:
			if !warned.IsZero() && time.Since(warned) < warnEvery {
				continue
			}
			if off, ok := warnClock.steady(a.authz.Now(), time.Now()); !ok {
				a.authz.Log.WarnContext(ctx, "npmauth: the clock was set, nobody is told that a token ends", "by", off)
				continue
			}
			if err := a.warn(ctx); err != nil {
				a.authz.LogLater(ctx, "npmauth: not everybody was told that a token ends", err)
				continue
			}
			if _, err := a.authz.Tokens.Sweep(ctx); err != nil {
				a.authz.LogLater(ctx, "npmauth: not all revoked tokens were swept", err)
				continue
			}
			warned = time.Now()
		case <-sweep.C:
			if off, ok := clock.steady(a.authz.Now(), time.Now()); !ok {
				a.authz.Log.WarnContext(ctx, "npmauth: the clock was set, nothing is swept", "by", off)
				continue
			}
			if err := a.sweep(ctx); err != nil {
				a.authz.LogLater(ctx, "npmauth: sweep not finished", err)
			}
		}
	}
}

func (a *Auth) sweep(ctx context.Context) error {
	s, ok := store.As[store.Sweeper](a.authz.Store)
	if !ok {
		return nil
	}
	for {
		n, err := authz.Call(ctx, func() (int, error) { return s.Sweep(ctx, a.authz.Now(), sweepBatch) })
		if err != nil || n < sweepBatch {
			return err
		}
	}
}

// asleep is how long a machine is believed to have slept. A clock that is further
// ahead than that of what has passed is taken for a wrong one.
const asleep = 24 * time.Hour

// A steadiness compares the clock that expiries are told by with the time that has
// passed, so that one which leaps ahead does not delete what is live on every other
// node, or will be when it is set right. The zero value has seen no time yet.
type steadiness struct {
	clock time.Time // without a monotonic reading
	since time.Time // with one
}

// steady reports whether the clock is where the time that has passed would have put
// it, give or take what a sweep allows for, and by how much it is not. After one that
// a machine's sleep explains it begins anew; after a greater one it waits for the
// clock to come back, or for the next start.
func (s *steadiness) steady(clock, since time.Time) (off time.Duration, ok bool) {
	clock = clock.Round(0)
	if s.clock.IsZero() {
		s.clock, s.since = clock, since
		return 0, true
	}
	off = clock.Sub(s.clock) - since.Sub(s.since)
	if off.Abs() < store.SweepGrace {
		return off, true
	}
	if off.Abs() < asleep {
		s.clock, s.since = clock, since
	}
	return off, false
}
