package credential_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/npmauth/npmauth/credential"
)

func TestCheckCode(t *testing.T) {
	assert.Equal(t, "BBBB-BBBB", credential.CheckCode(credential.Digest{}))
	assert.Equal(t, "ZBBB-BBBB", credential.CheckCode(credential.Digest{7: 19}))
	seen := map[string]bool{}
	for i := range 256 {
		code := credential.CheckCode(credential.Sum(credential.NewSecret(string(rune('a' + i)))))
		assert.Regexp(t, `^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$`, code)
		seen[code] = true
	}
	assert.Len(t, seen, 256)
}
