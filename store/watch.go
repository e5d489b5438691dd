package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// ErrBehind means that a [Watcher] has lost its place: it was too slow, or disconnected for too
// long, to know what changed meanwhile. The caller drops its caches and begins anew.
var ErrBehind = errors.New("store: watcher fell behind")

// A Change is what a [Watcher] reports.
type Change struct {
	// Keys are the ones that were put or deleted, in no particular order, perhaps
	// some of them twice, perhaps none.
	Keys []string

	// Seen is how far the report goes, by this process's clock: the keys of every Commit that
	// returned before this moment, on whatever node, are in this Change or in an earlier one of
	// the same Watch. It never goes back.
	Seen time.Time
}

// A Watcher is a [Store] that reports changes, those of other nodes too. Optional: only the
// freshness of a cache may depend on it, since a cache reads the store when it gets no reports.
// Call it through [Watch], which handles wrappers.
type Watcher interface {
	// Watch calls changed with the keys that are written from its first call on, through
	// whatever handle and by whatever node, a [Sweeper]'s deletions included. A reported write
	// is visible: a read that begins after the call sees it. The first call comes at once and
	// has no keys: what a cache read before its Seen may have changed unreported, but nothing
	// that it reads after it. From then on it calls changed when there is something to report,
	// and at least about once in every if nothing can be missing, so that the time since Seen
	// is the greatest age of a cache's entries. It calls it from one goroutine at a time, and
	// never after it has returned.
	//
	// It returns when ctx ends, with its error, or when it cannot continue: changes after that
	// are not reported, and every error, [ErrBehind] among them, means the same to the caller.
	// It does not begin anew by itself. every must be positive, else the error wraps
	// ErrInvalid.
	Watch(ctx context.Context, every time.Duration, changed func(Change)) error
}

// Watch watches s, or the first store below its wrappers that is a [Watcher]. Keys are as s has
// them: below a [Sub] only its own are reported. If no store can watch, the error wraps
// [errors.ErrUnsupported].
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

// below returns c as a [Sub] with this prefix reports it.
func (c Change) below(prefix string) Change {
	below := Change{Seen: c.Seen}
	for _, key := range c.Keys {
		if rest, ok := strings.CutPrefix(key, prefix); ok && rest != "" {
			below.Keys = append(below.Keys, rest)
		}
	}
	return below
}
