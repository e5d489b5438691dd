package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/sqlite"
)

// If the disk is full, commits are refused and nothing of them is done, reads continue, and
// commits do once there is room (ST-19).
func TestDiskFull(t *testing.T) {
	mount := t.TempDir()
	process := another(t, full, mount)
	process.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS} // what it mounts ends with it
	if os.Geteuid() != 0 {
		process.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		process.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}}
		process.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}}
	}
	var said strings.Builder
	process.Stderr = &said
	err := process.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); errors.Is(err, syscall.EPERM) || ok && exit.ExitCode() == cannotMount {
		cannot(t, fmt.Sprintf("no small file system can be mounted: %v %s", err, &said))
	}
	require.NoError(t, err, said.String())
}

func init() { acts[full] = fillDisk }

// cannotMount is the exit code of a process that is not allowed to.
const cannotMount = 77

// fillDisk mounts a file system of 2 MB at dir, and returns an error if a store on it
// does anything that TestDiskFull says it does not.
func fillDisk(dir string) error {
	err := errors.Join(
		syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""),
		syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=2m"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(cannotMount)
	}
	ctx := context.Background()
	s, err := sqlite.Open(filepath.Join(dir, "auth.db"))
	if err != nil {
		return err
	}
	defer s.Close()
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); err != nil {
		return err
	}
	value := make([]byte, 20<<10)
	pair := func(i int) []store.Op {
		return []store.Op{
			{Key: fmt.Sprint("left-", i), Action: store.Put, Value: value},
			{Key: fmt.Sprint("right-", i), Action: store.Put, Value: value},
		}
	}
	done := 0
	for ; err == nil && done < 1000; done++ {
		_, err = s.Commit(ctx, pair(done)...)
	}
	done--
	if err == nil || done == 0 || errors.Is(err, store.ErrConflict) {
		return fmt.Errorf("after %d commits: %w", done, err)
	}
	for try := range 20 { // a retry is refused, too
		if _, err := s.Commit(ctx, pair(done)...); err == nil {
			return fmt.Errorf("there was no room, and at the %d. time there is", try)
		}
	}
	if err := s.Backup(ctx, filepath.Join(dir, "copy.db")); err == nil {
		return errors.New("a backup onto the full disk")
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.Contains(e.Name(), "copy") {
			return fmt.Errorf("%s is left of a backup", e.Name())
		}
	}
	isThere := func(pairs int) error {
		for i := range pairs + 1 {
			items, err := s.Get(ctx, fmt.Sprint("left-", i), fmt.Sprint("right-", i))
			if err != nil {
				return err
			}
			if want := i < pairs; items[0].Exists() != want || items[1].Exists() != want {
				return fmt.Errorf("pair %d of %d: %v, %v", i, pairs, items[0].Exists(), items[1].Exists())
			}
		}
		return nil
	}
	if err := isThere(done); err != nil {
		return fmt.Errorf("while it is full: %w", err)
	}
	if err := os.Remove(ballast); err != nil {
		return err
	}
	if _, err := s.Commit(ctx, pair(done)...); err != nil {
		return fmt.Errorf("with room: %w", err)
	}
	return isThere(done + 1)
}
