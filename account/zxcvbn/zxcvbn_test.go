package zxcvbn_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/account/zxcvbn"
	"github.com/npmauth/npmauth/credential"
)

func ExampleBelow() {
	passwords := account.Passwords{Blocked: zxcvbn.Below(3)}
	for _, text := range []string{"hollywood guinness", "a quite unguessed one"} {
		fmt.Println(passwords.Check(context.Background(), credential.NewSecret(text), "jane", "jane@acme.test"))
	}
	// Output:
	// account: unacceptable password: it is one of those that are tried first
	// <nil>
}

func TestBelow(t *testing.T) {
	// Each is refused from a score on, and none of them by account.Passwords itself.
	for text, from := range map[string]int{
		"elizabeth1985":        1,
		"hollywood guinness":   2,
		"abigail-12/12/1990":   4,
		"vQ4!mZx8-tR7":         5,
		"ein güteß paßwört öä": 5,
	} {
		require.NoError(t, account.Passwords{}.Check(t.Context(), credential.NewSecret(text), "jane", ""), text)
		for least := 1; least <= 4; least++ {
			blocked, err := zxcvbn.Below(least)(t.Context(), credential.NewSecret(text))
			require.NoError(t, err)
			assert.Equal(t, least >= from, blocked, "%s, %d", text, least)
		}
	}
	assert.Panics(t, func() { zxcvbn.Below(0) })
	assert.Panics(t, func() { zxcvbn.Below(5) })

	over, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := zxcvbn.Below(1)(over, credential.NewSecret("vQ4!mZx8-tR7"))
	assert.ErrorIs(t, err, context.Canceled)
}

// What follows the first 72 characters is no work, and nobody's guess is easier for it.
func TestLongPasswords(t *testing.T) {
	blocked := zxcvbn.Below(4)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			long, err := blocked(t.Context(), credential.NewSecret("vQ4!mZx8-tR7"+strings.Repeat("password", 120)))
			assert.NoError(t, err)
			assert.False(t, long)
		})
	}
	all.Wait()
}

func FuzzBelow(f *testing.F) {
	for _, text := range []string{"", "p4$$w0rd", "İİİİİİİİ", "\xff\xfe", "1/1/1999", "qwertyuiop[]", "aaaaaaaaaaaaaaaaaaaaaaaaaaaa"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		weakest, err := zxcvbn.Below(1)(t.Context(), credential.NewSecret(text))
		require.NoError(t, err)
		below, err := zxcvbn.Below(4)(t.Context(), credential.NewSecret(text))
		require.NoError(t, err)
		assert.True(t, below || !weakest)
	})
}
