package oidc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// A source is where and how often keys are fetched, for all issuers.
type source struct {
	client       *http.Client
	now          func() time.Time
	refreshAfter time.Duration
	maxAge       time.Duration
	coolDown     time.Duration
}

// An issuer has the keys of one issuer.
type issuer struct {
	url       string // as configured
	base      *url.URL
	source    *source
	withoutID bool          // its tokens need no jti
	lifetime  time.Duration // the longest of its tokens

	mu      sync.Mutex
	present published     // guarded by mu
	tried   time.Time     // when the last fetch began, zero: never; guarded by mu
	failed  error         // of the last fetch that ended; guarded by mu
	fetched chan struct{} // closed when the fetch under way ends; nil: there is none; guarded by mu
}

// published are keys as they were fetched.
type published struct {
	keys  []key // not changed any more
	since time.Time
	fresh time.Duration // until then they are not fetched anew
}

// verify returns nil if the issuer has signed the token.
func (i *issuer) verify(ctx context.Context, c *compact) error {
	now, failed := i.current()
	if !now.within(i.source.now(), now.fresh) {
		if err := i.refresh(ctx); err != nil {
			return err
		}
		now, failed = i.current()
	}
	if !i.usable(now) {
		return i.unavailable(failed)
	}
	reason := check(now.keys, c)
	if reason == "" {
		return nil
	}
	// The issuer may have other keys by now, also one of the same ID.
	if err := i.refresh(ctx); err != nil {
		return err
	}
	next, failed := i.current()
	if !next.since.Equal(now.since) && i.usable(next) {
		reason = check(next.keys, c)
	} else if failed != nil && reason == ReasonKey {
		return i.unavailable(failed) // it may be a new one
	}
	if reason == "" {
		return nil
	}
	return &InvalidError{Reason: reason, Issuer: i.url}
}

func (i *issuer) current() (published, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.present, i.failed
}

func (i *issuer) usable(p published) bool { return p.within(i.source.now(), i.source.maxAge) }

// within reports whether there are keys of less than some age. Those of the future have none: the clock
// was set back.
func (p published) within(now time.Time, age time.Duration) bool {
	since := now.Sub(p.since)
	return !p.since.IsZero() && since >= 0 && since < age
}

func (i *issuer) unavailable(cause error) error {
	if cause == nil {
		cause = errors.New("they are too old, and the cool-down is not over")
	}
	return fmt.Errorf("%w: %s: %v", ErrUnavailable, i.url, cause)
}

// refresh fetches the keys, unless that was tried within the cool-down. Callers at one time share a fetch, which
// does not end with the context of any of them: somebody who disconnects must not keep the keys from others.
func (i *issuer) refresh(ctx context.Context) error {
	i.mu.Lock()
	if i.fetched == nil {
		now := i.source.now()
		if since := now.Sub(i.tried); !i.tried.IsZero() && since >= 0 && since < i.source.coolDown {
			i.mu.Unlock()
			return nil
		}
		i.tried, i.fetched = now, make(chan struct{})
		go i.fetch(context.WithoutCancel(ctx), now, i.fetched)
	}
	fetched := i.fetched
	i.mu.Unlock()
	select {
	case <-fetched:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	}
}

// fetch replaces the keys by those that the issuer publishes, or leaves them as they are.
func (i *issuer) fetch(ctx context.Context, began time.Time, fetched chan struct{}) {
	next, err := i.source.get(ctx, i)
	i.mu.Lock()
	defer i.mu.Unlock()
	if err == nil {
		next.since = began // what the issuer did since then is unknown
		i.present = next
	}
	i.failed, i.fetched = err, nil
	close(fetched)
}
