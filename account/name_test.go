package account_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/internal/fuzzbound"
)

func TestValidName(t *testing.T) {
	for _, name := range []string{
		"a", "jane", "jane.doe", "jane-doe", "jane_doe", "0", "7of9", "a.", "a-", "x--y",
		strings.Repeat("a", 214), "admin", // which is the directory's to reserve
	} {
		assert.NoError(t, account.ValidName(name), name)
	}
	for _, name := range []string{
		// LG-05: twins.
		"Alice", "ALICE", "alic\u0435", "\ufb00", "alice\u200b", "alice\u0301", "\u00e9", "al\u0131ce", "\u212aate",
		// LG-06: names that mean something else.
		"-", "_users", "org.couchdb.user:x", "org.couchdb.user", ".", "..", "package.json",
		"constructor", "__proto__", "-rev", ".npmrc", "node_modules", "favicon.ico",
		// LG-09: length and characters.
		"", strings.Repeat("a", 215), "a:b", "a/b", "a%b", "a%2fb", "a b", " a", "a\n", "a\x00", "a@b", "@a", "a\\b",
		"a?b", "a#b", "a+b", "a'b", "a~b", "a!b", "a*b", "(a)", "\xff", "a,b", "a;b", "a=b", "a\"b", "a<b",
	} {
		err := account.ValidName(name)
		assert.ErrorIs(t, err, account.ErrName, "%q", name)
	}
}

func FuzzValidName(f *testing.F) {
	f.Add("jane")
	f.Add("__proto__")
	f.Fuzz(func(t *testing.T, name string) {
		fuzzbound.Check(t, name, fuzzbound.Bounds{Memory: fuzzbound.Limit{Base: 1 << 10}}, func(name string) int { _ = account.ValidName(name); return 0 })
		if account.ValidName(name) != nil {
			return
		}
		assert.Equal(t, strings.ToLower(name), name)
		assert.Empty(t, strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789._-"))
		assert.NotContains(t, "._-", name[:1])
		assert.LessOrEqual(t, len(name), 214)
	})
}
