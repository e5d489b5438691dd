// Package jsontest reads JSON for tests that compare what our parsers took with what was sent.
package jsontest

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

// Value returns what encoding/json reads data as. Numbers are of type [json.Number]: JSON has some, such as 1e400,
// that no float64 holds, and a fuzzer finds them.
func Value[T any](t testing.TB, data []byte) T {
	t.Helper()
	var v T
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	require.NoError(t, d.Decode(&v))
	return v
}
