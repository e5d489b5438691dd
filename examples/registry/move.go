package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
)

// copyStore copies the store of -store to that of -copy-to, and seals it with the same key.
func copyStore(ctx context.Context, o options, stdout io.Writer, log *slog.Logger) (err error) {
	from, _, closeFrom, err := openStore(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeFrom()) }()
	some, err := from.List(ctx, "", "", 1)
	if err != nil {
		return fmt.Errorf("-store: %w", err)
	}
	if len(some) == 0 {
		return errors.New("the store that -store names is empty: there is nothing to copy")
	}
	keys, err := loadKeys(filepath.Join(o.data, keyFile), false)
	if err != nil {
		return err
	}
	engine, closeTo, err := openEngine(ctx, "-copy-to", o.copyTo)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeTo()) }()
	subjects, err := subject.New(subject.Config{
		Store:  store.Seal(engine, keys[0], keys[1:]...),
		Events: audit.NewRecorder(audit.RecorderConfig{Sink: audit.NewSlog(log), Logger: log}),
	})
	if err != nil {
		return err
	}
	var copied int
	var told time.Time
	err = subjects.CopyFrom(ctx, audit.Actor{}, from, func(items int, last string) {
		copied = items
		if time.Since(told) > 5*time.Second {
			log.InfoContext(ctx, "copying", "items", items, "last", last)
			told = time.Now()
		}
	})
	switch {
	case errors.Is(err, store.ErrNotEmpty):
		return fmt.Errorf("the store that -copy-to names is in use, or was copied to already: start a registry with -store and that one, or name an empty one: %w", err)
	case errors.Is(err, store.ErrDiffers):
		return fmt.Errorf("a registry is still running, or another store was copied there before: stop it, empty the store that -copy-to names, and begin anew: %w", err)
	case err != nil:
		return fmt.Errorf("the copy is not finished; give the same command once more: %w", err)
	}
	_, err = fmt.Fprintf(stdout, "copied %d items. Start the registries with -store and the new store; everybody logs in again. Then delete the old one.\n", copied)
	return err
}
