package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/text/unicode/norm"
)

// The tables of the root module are those of golang.org/x/text, and its test
// compares with what golang.org/x/text does. A newer toolchain may bring newer
// tables: characters that were not assigned before, all others unchanged.
func TestFilesAreCurrent(t *testing.T) {
	if norm.Version != "15.0.0" {
		require.NotEqual(t, "all", os.Getenv("NPMAUTH_REQUIRE"), "golang.org/x/text has Unicode %s: write the files anew", norm.Version)
		t.Skipf("golang.org/x/text has Unicode %s with this toolchain; the files hold 15.0.0", norm.Version)
	}
	require.NotEmpty(t, files)
	for name, generate := range files {
		want, err := generate()
		require.NoError(t, err)
		got, err := os.ReadFile(filepath.Join("..", "..", "nfc", name))
		require.NoError(t, err)
		assert.Equal(t, string(want), string(got), "%s: run go run ./nfcgen ../nfc in internal/integration", name)
	}
}
