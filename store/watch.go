package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// ErrBehind means that a [Watcher] has lost its place: it was too slow, or away for
// too long, to say what changed meanwhile. Whoever watches forgets what it
// remembers and begins anew.
var ErrBehind = errors.New("store: watcher fell behind")

// A Change is what a [Watcher] reports.
type Change struct {
	// Keys are the ones that were put or deleted, in no particular order, perhaps
	// some of them twice, perhaps none.
	Keys []string

	// Seen says how far the report goes, by this process's clock: of every Commit
	// that returned before this moment, on whatever node, the keys are in this
	// Change or in an earlier one of the same Watch. It never goes back.
	Seen time.Time
}

// A Watcher is a [Store] that tells what changes, on other nodes too. Optional:
// only how fresh a cache is may rest on it, since a store is read through when
// nothing is heard. Call it by way of [Watch], which knows about wrappers.
type Watcher interface {
	// Watch calls changed with the keys that are written from its first call on,
	// through whatever handle and by whatever node, a [Sweeper]'s deletions
	// included. What is reported can be read: a read that begins after the call
	// sees it. That first call comes at once and has no keys: what was remembered
	// from before its Seen may have changed unnoticed, but nothing that is read
	// after it. From then on it calls changed when there is something to report,
	// and at least about once in every while nothing can be missing, so that the
	// time since Seen tells how old a memory can be. It calls it from one goroutine
	// at a time, and never after it has returned.
	//
	// It returns when ctx ends, with its error, or when it cannot go on: what
	// happens then goes unreported, and every error, [ErrBehind] among them, means
	// the same to the caller. It does not begin anew by itself. every must be
	// positive, else the error wraps ErrInvalid.
	Watch(ctx context.Context, every time.Duration, changed func(Change)) error
}

// Watch watches s, or the first store below its wrappers that is a [Watcher]. Keys
// are as s has them: below a [Sub] only its own are reported. Where no store can
// watch, the error wraps [errors.ErrUnsupported].
//
// The function changed must be quick and must not use the store.
func Watch(ctx context.Context, s Store, every time.Duration, changed func(Change)) error {
	if every <= 0 {
		return fmt.Errorf("%w: a watch that reports every %s", ErrInvalid, every)
	}
	prefix := ""
	for {
		if w, ok := s.(Watcher); ok {
			if prefix == "" {
				return w.Watch(ctx, every, changed)
			}
			return w.Watch(ctx, every, func(c Change) { changed(c.below(prefix)) })
		}
		if below, ok := s.(*sub); ok {
			prefix = below.prefix + prefix
		}
		w, ok := s.(interface{ Unwrap() Store })
		if !ok {
			return fmt.Errorf("store: watch: %w", errors.ErrUnsupported)
		}
		s = w.Unwrap()
	}
}

// below returns what c means to a [Sub] with this prefix.
func (c Change) below(prefix string) Change {
	below := Change{Seen: c.Seen}
	for _, key := range c.Keys {
		if rest, ok := strings.CutPrefix(key, prefix); ok && rest != "" {
			below.Keys = append(below.Keys, rest)
		}
	}
	return below
}
