package npmauth

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/npmauth/npmauth/store"
)

// readyKey is the key of a row that says the same in every store: who reads it as it was
// written has the right seal.
const readyKey = "npmauth/ready"

var readyText = []byte("npmauth")

// errNotOurs means that the row of readyKey does not say what it should.
var errNotOurs = errors.New("npmauth: the store holds something else where npmauth keeps what every store of its has")

// Ready reports whether requests can be decided: whether Store can be read and written,
// and whether it is sealed with the key that what is in it was sealed with, which
// otherwise goes unnoticed until another node reads what this one wrote. Call it before the
// first request is served; an error that wraps [store.ErrSeal] means another key. It serves
// health checks, too: once the store was found to be ready it costs one read.
func (a *Auth) Ready(ctx context.Context) error {
	items, err := a.store.Get(ctx, readyKey)
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

// makeReady writes the row. A store that holds anything must be one that can be read: a key
// that came too late must not look like the first.
func (a *Auth) makeReady(ctx context.Context) error {
	if _, err := a.store.List(ctx, "", "", 1); err != nil {
		return err
	}
	_, err := a.store.Commit(ctx, store.Op{Key: readyKey, At: store.Absent, Action: store.Put, Value: readyText})
	if errors.Is(err, store.ErrConflict) { // another node was faster: with which key?
		_, err = a.store.Get(ctx, readyKey)
	}
	return err
}
