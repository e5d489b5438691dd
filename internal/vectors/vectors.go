// Package vectors reads the test vectors of Wycheproof, which are beside the project and not in it.
//
//	data := vectors.Wycheproof(t, "../../shared", "json_web_signature_test.json")
package vectors

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Wycheproof returns the content of a file of vectors, below the folder shared as the test sees it. Without
// it the test is skipped, and fails where NPMAUTH_REQUIRE is all.
func Wycheproof(t testing.TB, shared, name string) []byte {
	t.Helper()
	file := filepath.Join(shared, "vectors", "wycheproof", name)
	data, err := os.ReadFile(file)
	switch {
	case errors.Is(err, os.ErrNotExist) && slices.Contains(strings.Split(os.Getenv("NPMAUTH_REQUIRE"), ","), "all"):
		t.Fatalf("%s is required and not there", file)
	case errors.Is(err, os.ErrNotExist):
		t.Skip("the vectors of Wycheproof are not there")
	case err != nil:
		t.Fatal(err)
	}
	return data
}
