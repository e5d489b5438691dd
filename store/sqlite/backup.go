package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Backup writes the content of the store at one moment to a new file at path, which only its
// owner can read and write, and which [Open] opens. Commits and reads go on meanwhile, but the
// -wal file cannot be emptied and grows with the writes.
//
// The file gets its name when all of it is on the disk: until then it is a file beside it, with
// a journal, whose names begin with a dot; only a crash leaves these. A file that exists is not
// replaced. The file system must have hard links. The package's comment says what to do after
// restoring a backup.
func (s *Store) Backup(ctx context.Context, path string) error {
	err := s.users.run(ctx, func(ctx context.Context) error { return s.backup(ctx, path) })
	if err != nil {
		return fmt.Errorf("sqlite: backup: %w", err)
	}
	return nil
}

func (s *Store) backup(ctx context.Context, path string) (err error) {
	if path, err = absolute(path); err != nil {
		return err
	}
	// SQLite takes these files beside a database for a part of it.
	for _, beside := range []string{"", "-wal", "-shm", "-journal"} {
		switch _, err := os.Lstat(path + beside); {
		case err == nil:
			return fmt.Errorf("%s: %w", path+beside, fs.ErrExist)
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".part-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if gone := os.Remove(f.Name()); err == nil {
			err = gone
		}
		_ = os.Remove(f.Name() + "-journal") // SQLite does that, if it can
	}()
	if err := f.Close(); err != nil {
		return err
	}
	if err := s.vacuumInto(ctx, f.Name()); err != nil {
		return err
	}
	if err := syncFile(f.Name()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil { // unlike a rename, replaces nothing
		return err
	}
	return syncDir(filepath.Dir(path))
}

// vacuumInto copies what is committed into an empty file, in one read transaction.
func (s *Store) vacuumInto(ctx context.Context, path string) (err error) {
	db, err := pool(s.path, 1)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	_, err = db.ExecContext(ctx, "VACUUM INTO ?", path)
	return err
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
