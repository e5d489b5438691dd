package sqlite_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// locks returns how many locks this process has on the file.
func locks(t *testing.T, path string) int {
	t.Helper()
	info, err := os.Stat(path)
	require.NoError(t, err)
	data, err := os.ReadFile("/proc/locks")
	require.NoError(t, err)
	n := 0
	for line := range strings.Lines(string(data)) {
		if strings.Contains(line, fmt.Sprintf(" %d ", os.Getpid())) &&
			strings.Contains(line, fmt.Sprintf(":%d ", info.Sys().(*syscall.Stat_t).Ino)) {
			n++
		}
	}
	return n
}

// A second handle in one process leaves the first one's locks alone. POSIX drops
// all that a process has on a file as soon as it closes any descriptor of it, and
// other processes then take the file for unused.
func TestSecondHandleKeepsTheLocks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "auth.db")
	open(t, path)
	before := locks(t, path)
	if before == 0 {
		cannot(t, "the locks of this file are not in /proc/locks")
	}
	open(t, path)
	assert.Equal(t, before, locks(t, path))
}
