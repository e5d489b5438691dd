package npmauth_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/token"
)

var goBlock = regexp.MustCompile("(?s)```go\n(.*?)```")

// TestDocuments holds the Go of each document to code that is compiled and run: each
// of its blocks stands, line by line, in an example.
func TestDocuments(t *testing.T) {
	for _, tt := range []struct {
		name   string
		blocks int
		code   []string // where they are from
	}{
		{"docs/host.md", 12, []string{"examples/registry/*.go", "examples/embed/*.go", "look_example_test.go"}},
		{"docs/trusted-publishing.md", 2, []string{"examples/registry/*.go", "trust/example_test.go"}},
		{"docs/legacy.md", 2, []string{"legacy_example_test.go"}},
		{"docs/backend.md", 4, []string{"store/storetest/backend_test.go", "store/storetest/linear/backend_test.go"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text, err := os.ReadFile(tt.name)
			require.NoError(t, err)
			var code strings.Builder
			for _, pattern := range tt.code {
				files, err := filepath.Glob(pattern)
				require.NoError(t, err)
				require.NotEmpty(t, files, pattern)
				for _, name := range files {
					data, err := os.ReadFile(name)
					require.NoError(t, err)
					code.WriteString(flat(string(data)))
				}
			}
			blocks := goBlock.FindAllStringSubmatch(string(text), -1)
			require.Len(t, blocks, tt.blocks)
			for _, b := range blocks {
				assert.Contains(t, code.String(), flat(b[1]))
			}
		})
	}
}

// The three ways of the README are three programs, whole and with their imports.
func TestReadmeWays(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	files, err := filepath.Glob("examples/readme/*/*.go")
	require.NoError(t, err)
	assert.Len(t, files, 3)
	for _, file := range files {
		code, err := os.ReadFile(file)
		require.NoError(t, err)
		assert.Contains(t, string(readme), "```go\n"+string(code)+"```", file)
	}
	assert.Len(t, goBlock.FindAll(readme, -1), len(files), "and nothing that is not compiled")
}

// The commands that the README tells people to type are there.
func TestReadmeCommands(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	for _, command := range []string{"go run ./examples/registry", "go test work"} {
		assert.Contains(t, string(readme), "```sh\n"+command+"\n```")
	}
}

// The numbers of docs/tokens.md are those of the code.
func TestTokenLimitsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("docs/tokens.md")
	require.NoError(t, err)
	l := policy.DefaultLimits()
	days := func(d time.Duration) int { return int(d / token.Day) }
	for _, says := range []string{
		fmt.Sprintf("| %d if the token may write, %d if it only reads |", days(l.WriteTokenTTL), days(l.ReadTokenTTL)),
		fmt.Sprintf("| %d to %d if it may write, %d to %d if it only reads |", days(l.MinTokenTTL), days(l.MaxWriteTokenTTL), days(l.MinTokenTTL), days(policy.MaxTokenTTL)),
		fmt.Sprintf("| %d packages and scopes in all", l.Targets),
		fmt.Sprintf("| %d organizations |", l.Orgs),
		fmt.Sprintf("| %d ranges,", token.MaxCIDRs),
		fmt.Sprintf("| %d printable characters;", token.MaxName),
		fmt.Sprintf("| %d printable characters |", token.MaxDescription),
		fmt.Sprintf("An account\nhas %d at most", l.Tokens),
	} {
		assert.Contains(t, string(text), says)
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
