package npmauth_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var goBlock = regexp.MustCompile("(?s)```go\n(.*?)```")

// TestReadme holds the README's Go to code that is compiled and run: each of its
// blocks stands, line by line, in an example.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	files, err := filepath.Glob("examples/embed/*.go")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	var code strings.Builder
	for _, name := range append(files, "example_test.go") {
		data, err := os.ReadFile(name)
		require.NoError(t, err)
		code.WriteString(flat(string(data)))
	}
	blocks := goBlock.FindAllStringSubmatch(string(readme), -1)
	require.Len(t, blocks, 3)
	for _, b := range blocks {
		assert.Contains(t, code.String(), flat(b[1]))
	}
	for _, command := range []string{"go run ./examples/registry", "go test work"} {
		assert.Contains(t, string(readme), "```sh\n"+command+"\n```")
	}
}

// flat takes the indentation off every line.
func flat(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(strings.TrimPrefix(strings.TrimLeft(line, " \t"), "return "))
	}
	return b.String()
}
