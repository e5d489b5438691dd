package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/etcd"
	"github.com/npmauth/npmauth/store/postgres"
	"github.com/npmauth/npmauth/store/sqlite"
)

// openStore opens the store that npmauth keeps its data in, sealed with the key
// beside the registry's own data: a copy of the store alone gives nobody's
// secrets away. Older says that there are keys which might not be needed any more.
func openStore(ctx context.Context, o options) (st store.Store, older bool, closeStore func() error, err error) {
	if o.store.kind == "memory" {
		return store.NewMemory(), false, func() error { return nil }, nil
	}
	engine, closeEngine, err := openEngine(ctx, o.store)
	if err != nil {
		return nil, false, nil, err
	}
	st, older, err = sealed(ctx, engine, filepath.Join(o.data, "auth.key"))
	if err != nil {
		return nil, false, nil, errors.Join(err, closeEngine())
	}
	return st, older, closeEngine, nil
}

// reach is how long a database may take to answer for the first time.
const reach = 15 * time.Second

func openEngine(ctx context.Context, c storeChoice) (store.Store, func() error, error) {
	ctx, cancel := context.WithTimeout(ctx, reach)
	defer cancel()
	switch c.kind {
	case "postgres":
		db, err := postgres.Open(ctx, c.at, postgres.Config{})
		if err != nil {
			return nil, nil, fmt.Errorf("the database that -store names cannot be used: %w", err)
		}
		return db, db.Close, nil
	case "etcd":
		var members []string
		for member := range strings.SplitSeq(c.at, ",") {
			members = append(members, "http://"+member)
		}
		db, err := etcd.Open(ctx, etcd.Config{Endpoints: members})
		if err != nil {
			return nil, nil, fmt.Errorf("the etcd that -store names cannot be used: %w", err)
		}
		return db, db.Close, nil
	case "sqlite":
		db, err := sqlite.Open(c.at)
		if err != nil {
			return nil, nil, err
		}
		return db, db.Close, nil
	default:
		return nil, nil, fmt.Errorf("-store: unknown kind %q", c.kind)
	}
}

// sealMark is written into an empty store, so that of two nodes with different
// keys, which share the store but not their data folder, only one starts.
const sealMark = "registry/sealed"

// sealed seals engine with the keys in the file at path, which is made for a store
// that has nothing in it yet. It is an error if what the store has was sealed with
// another key.
func sealed(ctx context.Context, engine store.Store, path string) (st store.Store, older bool, err error) {
	some, err := engine.List(ctx, "", "", 1)
	if err != nil {
		return nil, false, err
	}
	keys, err := loadKeys(path, len(some) == 0)
	if err != nil {
		return nil, false, err
	}
	st = store.Seal(engine, keys[0], keys[1:]...)
	if len(some) == 0 {
		_, err := st.Commit(ctx, store.Op{Key: sealMark, At: store.Absent, Action: store.Put})
		if err != nil && !errors.Is(err, store.ErrConflict) { // a conflict: another node was first
			return nil, false, err
		}
	}
	_, err = st.List(ctx, "", "", 1)
	if errors.Is(err, store.ErrSeal) {
		return nil, false, fmt.Errorf("%s has not the key that the auth store was sealed with: nodes that share a store share their -data folder: %w", path, err)
	}
	return st, len(keys) > 1, err
}
