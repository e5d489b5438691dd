package tarball_test

import (
	"bytes"
	"encoding/base64"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/tarball"
)

// decode decodes text in pieces of size bytes.
func decode(text []byte, size int) (got []byte, err error) {
	var d tarball.Decoder
	for len(text) > 0 {
		n := min(size, len(text))
		if err := d.Decode(text[:n], func(p []byte) error { got = append(got, p...); return nil }); err != nil {
			return got, err
		}
		text = text[n:]
	}
	return got, d.Close()
}

func TestDecoder(t *testing.T) {
	data := bytes.Repeat([]byte("a tarball\x00\xff"), 10000)
	for end := range 4 {
		want := data[:len(data)-end]
		for _, size := range []int{1, 3, 4, 1000, 1 << 20} {
			got, err := decode(text(want), size)
			require.NoError(t, err)
			assert.True(t, bytes.Equal(want, got))
		}
	}
	for _, wrong := range []string{"A", "AA", "AAA", "AA=", "AA==AAAA", "AAA=AAAA", "AAAA\n", "AA\r\nAA", "AB==", "AA-_", "A===", "====", "AAAA "} {
		for _, size := range []int{1, 3, 100} {
			_, err := decode([]byte(wrong), size)
			assert.ErrorContains(t, err, "not valid base64", wrong)
		}
	}
}

// What is decoded is passed on whole, in order and before it is checked.
func TestAlso(t *testing.T) {
	for name, data := range map[string][]byte{"a tarball": zip(tape(pkg)), "no gzip": bytes.Repeat([]byte("x"), 30)} {
		in := []byte(base64.StdEncoding.EncodeToString(data))
		for _, size := range []int{1, 7, len(in)} {
			var got []byte
			c := tarball.New()
			c.Also(func(p []byte) { got = append(got, p...) })
			var bad error
			for rest := in; len(rest) > 0 && bad == nil; {
				n := min(size, len(rest))
				_, bad = c.Write(rest[:n])
				rest = rest[n:]
			}
			c.Abort()
			if name == "a tarball" {
				require.NoError(t, bad)
				assert.Equal(t, data, got)
			} else {
				require.Error(t, bad)
				assert.NotEmpty(t, got)
				assert.True(t, bytes.HasPrefix(data, got))
			}
		}
	}
}
