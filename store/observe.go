package store

import (
	"context"
	"errors"
)

type observed struct {
	Store
	changed func(keys []string)
}

// Observe returns a Store that calls changed with the keys of each Commit that may have changed
// them, before that Commit returns. So a cache that drops these keys is exact for all writes
// through this Store: once a revocation has returned, no later request finds the old entry. A
// Commit whose outcome is unknown counts too; one that certainly wrote nothing does not.
//
// Several Commits may call changed at the same time. It must be quick and must not use the
// Store. Writes of other nodes, and deletions of a [Sweeper] below, are not reported. A Commit
// that ended in ErrUnknown may still happen after changed was called, so a cache must not keep
// for ever what it reads anew.
func Observe(s Store, changed func(keys []string)) Store {
	return &observed{s, changed}
}

// Unwrap returns the observed Store.
func (o *observed) Unwrap() Store { return o.Store }

type readObserved struct {
	Store
	read func(items []Item)
}

// ObserveReads returns a Store that calls read with the items of each successful Get before
// that Get returns, absent ones among them. A cache that drops entries at another revision is
// then exact for the reads of this Store, too: once this node has answered that a credential
// was revoked on another node, it refuses that credential.
//
// The cache itself must fill from the Store below, or the read that fills it drops its entry.
// Several calls may run at the same time. The function must be quick, must not use the Store
// and must neither keep nor change the items. The results of List are not reported.
func ObserveReads(s Store, read func(items []Item)) Store {
	return &readObserved{s, read}
}

// Unwrap returns the observed Store.
func (o *readObserved) Unwrap() Store { return o.Store }

func (o *readObserved) Get(ctx context.Context, keys ...string) ([]Item, error) {
	items, err := o.Store.Get(ctx, keys...)
	if err == nil {
		o.read(items)
	}
	return items, err
}

func (o *observed) Commit(ctx context.Context, ops ...Op) (Revision, error) {
	rev, err := o.Store.Commit(ctx, ops...)
	// An error that the contract does not name should mean that nothing was written. To drop
	// too much costs a read, to drop too little misses a revocation.
	if conflict(err) || errors.Is(err, ErrInvalid) && !errors.Is(err, ErrUnknown) {
		return rev, err
	}
	keys := make([]string, 0, len(ops))
	for i := range ops {
		if ops[i].Action != Check {
			keys = append(keys, ops[i].Key)
		}
	}
	if len(keys) > 0 {
		o.changed(keys)
	}
	return rev, err
}
