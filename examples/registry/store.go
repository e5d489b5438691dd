package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/etcd"
	"github.com/npmauth/npmauth/store/postgres"
	"github.com/npmauth/npmauth/store/sqlite"
)

// keyFile is in the folder of -data.
const keyFile = "auth.key"

// openStore opens the store that npmauth keeps its data in, sealed with the key beside the
// registry's own data: a copy of the store alone reveals no secrets. Older reports whether
// there are older keys, which may be superfluous.
func openStore(ctx context.Context, o options) (st store.Store, older bool, closeStore func() error, err error) {
	if o.store.kind == "memory" {
		return store.NewMemory(), false, func() error { return nil }, nil
	}
	engine, closeEngine, err := openEngine(ctx, "-store", o.store)
	if err != nil {
		return nil, false, nil, err
	}
	st, older, err = sealed(ctx, engine, filepath.Join(o.data, keyFile))
	if err != nil {
		return nil, false, nil, errors.Join(err, closeEngine())
	}
	return st, older, closeEngine, nil
}

// reach is how long a database may take for its first answer.
const reach = 15 * time.Second

// openEngine opens the store that a flag names.
func openEngine(ctx context.Context, flag string, c storeChoice) (store.Store, func() error, error) {
	ctx, cancel := context.WithTimeout(ctx, reach)
	defer cancel()
	switch c.kind {
	case "postgres":
		db, err := postgres.Open(ctx, c.at, postgres.Config{})
		if err != nil {
			return nil, nil, fmt.Errorf("the database that %s names cannot be used: %w", flag, err)
		}
		return db, db.Close, nil
	case "etcd":
		var members []string
		for member := range strings.SplitSeq(c.at, ",") {
			members = append(members, "http://"+member)
		}
		db, err := etcd.Open(ctx, etcd.Config{Endpoints: members})
		if err != nil {
			return nil, nil, fmt.Errorf("the etcd that %s names cannot be used: %w", flag, err)
		}
		return db, db.Close, nil
	case "sqlite":
		db, err := sqlite.Open(c.at)
		if err != nil {
			return nil, nil, err
		}
		return db, db.Close, nil
	default:
		return nil, nil, fmt.Errorf("%s: unknown kind %q", flag, c.kind)
	}
}

// sealed seals engine with the keys in the file at path, which it creates for an empty store.
// ready reports whether they are the store's keys.
func sealed(ctx context.Context, engine store.Store, path string) (st store.Store, older bool, err error) {
	some, err := engine.List(ctx, "", "", 1)
	if err != nil {
		return nil, false, err
	}
	keys, err := loadKeys(path, len(some) == 0)
	if err != nil {
		return nil, false, err
	}
	return store.Seal(engine, keys[0], keys[1:]...), len(keys) > 1, nil
}

// ready returns an error that says what to do if auth cannot use its store. Of two nodes
// with different keys, which share the store but not their data folder, only one is ready.
func ready(ctx context.Context, auth *npmauth.Auth, data string) error {
	ctx, cancel := context.WithTimeout(ctx, reach)
	defer cancel()
	err := auth.Ready(ctx)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrSeal):
		return fmt.Errorf("%s has not the key that the auth store was sealed with: put the right one back, and let nodes that share a store share their -data folder: %w",
			filepath.Join(data, keyFile), err)
	case errors.Is(err, store.ErrUnfinished):
		return fmt.Errorf("the auth store that -store names was copied in part: repeat the command with -copy-to: %w", err)
	}
	return fmt.Errorf("the auth store that -store names cannot be used; see that it can be reached and written, and start again: %w", err)
}
