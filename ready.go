package npmauth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
)

// readyKey is the key of a row that says the same in every store: who reads it as it was
// written has the right seal.
const readyKey = "npmauth/ready"

var readyText = []byte("npmauth")

// errNotOurs means that the row of readyKey does not say what it should.
var errNotOurs = errors.New("npmauth: the row npmauth/ready has an unexpected value: the store is another program's, or a newer version's")

// Ready reports whether requests can be decided: whether Store can be read and written, and whether
// it is sealed with the key that what is in it was sealed with, which otherwise goes unnoticed
// until another node reads what this one wrote. Call it before the first request is served. An
// error that wraps [store.ErrSeal] means another key, and one that wraps [store.ErrUnfinished] that
// a copy into Store was interrupted (see [subject.Manager.CopyFrom]). It is also for health checks:
// once the store was ready it costs one read.
//
// The first call on a store also writes the number that all credentials are created under (see
// [subject.Begin]), and so revokes those that were created before it.
func (a *Auth) Ready(ctx context.Context) error {
	items, err := a.authz.Store.Get(ctx, readyKey, subject.EveryoneKey())
	if err == nil {
		err = subject.CheckEveryone(items[1])
	}
	if err == nil && !items[0].Exists() {
		err = a.makeReady(ctx)
	} else if err == nil && !bytes.Equal(items[0].Value, readyText) {
		err = errNotOurs
	}
	if err != nil {
		return fmt.Errorf("npmauth: not ready: %w", err)
	}
	return nil
}

// makeReady writes the row, and what else every store has. A store that holds anything must
// be one that can be read: a key that came too late must not look like the first.
func (a *Auth) makeReady(ctx context.Context) error {
	if _, err := a.authz.Store.List(ctx, "", "", 1); err != nil {
		return err
	}
	return store.Transact(ctx, a.authz.Store, func(tx *store.Tx) error {
		items, err := tx.Get(ctx, readyKey)
		if err != nil || items[0].Exists() { // another node was faster, with a key that is ours or not
			return err
		}
		tx.Create(readyKey, readyText, time.Time{})
		return subject.Begin(ctx, tx)
	})
}
