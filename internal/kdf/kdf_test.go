package kdf_test

import (
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/npmauth/npmauth/internal/kdf"
)

func TestKeyIsArgon2id(t *testing.T) {
	key := func() string {
		return hex.EncodeToString(kdf.Key([]byte("password"), []byte("somesalt"), 2, 256, 1, 32))
	}
	const want = "9dfeb910e80bad0311fee20f9c0e2b12c17987b4cac90c2ef54d5b3021c68bfe" // of the reference implementation's tests
	assert.Equal(t, want, key())
	restore := kdf.Replace(func(_, _ []byte, _, _ uint32, _ uint8, size uint32) []byte { return make([]byte, size) })
	assert.NotEqual(t, want, key())
	restore()
	assert.Equal(t, want, key())
}
