package authz

import (
	"context"
	"fmt"
	"time"

	"github.com/npmauth/npmauth/store"
)

// CommitTime is how long a commit may go on after its client is gone.
const CommitTime = 10 * time.Second

// A detachedStore does not let go of a commit because the client went away. The outcome
// would be unknown, and a revocation that lands after its caches were dropped could
// be overtaken by a read of what was there before. A panic of the store is an error.
type detachedStore struct{ s store.Store }

// Get implements [store.Reader].
func (d detachedStore) Get(ctx context.Context, keys ...string) ([]store.Item, error) {
	return Call(ctx, func() ([]store.Item, error) { return d.s.Get(ctx, keys...) })
}

// List implements [store.Reader].
func (d detachedStore) List(ctx context.Context, prefix, after string, limit int) ([]store.Item, error) {
	return Call(ctx, func() ([]store.Item, error) { return d.s.List(ctx, prefix, after, limit) })
}

// Commit carries on when ctx ends, for a while. After a panic nobody knows whether it
// happened.
func (d detachedStore) Commit(ctx context.Context, ops ...store.Op) (store.Revision, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), CommitTime)
	defer cancel()
	rev, err := Call(ctx, func() (store.Revision, error) { return d.s.Commit(ctx, ops...) })
	if isPanic(err) {
		err = fmt.Errorf("%w: %w", store.ErrUnknown, err)
	}
	return rev, err
}

// Unwrap returns the store below, for [store.As].
func (d detachedStore) Unwrap() store.Store { return d.s }
