package npmauth

import (
	"context"
	"time"

	"github.com/npmauth/npmauth/store"
)

// commitTime bounds a commit whose client does not wait for it any more.
const commitTime = 10 * time.Second

// A finisher does not let go of a commit because the client went away. The outcome
// would be unknown, and a revocation that lands after its caches were dropped could
// be overtaken by a read of what was there before.
type finisher struct{ store.Store }

// Commit carries on when ctx ends, for a while.
func (f finisher) Commit(ctx context.Context, ops ...store.Op) (store.Revision, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTime)
	defer cancel()
	return f.Store.Commit(ctx, ops...)
}

// Unwrap returns the store below, for [store.As].
func (f finisher) Unwrap() store.Store { return f.Store }
