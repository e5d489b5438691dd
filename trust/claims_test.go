package trust_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/fuzzbound"
	"github.com/npmauth/npmauth/internal/jsontest"
	"github.com/npmauth/npmauth/trust"
)

// OI-27: what two readers could understand differently is no token.
func TestParseClaims(t *testing.T) {
	c, err := trust.ParseClaims([]byte(` {"sub":"a","Sub":"b","n":1,"l":["x"],"e":"\u0061","o":{"a":{"b":[]}}} `))
	require.NoError(t, err)
	assert.Len(t, c, 6)
	for name, want := range map[string]string{"sub": "a", "Sub": "b", "e": "a"} {
		got, ok := c.Text(name)
		assert.True(t, ok)
		assert.Equal(t, want, got)
	}
	for _, name := range []string{"n", "l", "o", "SUB", ""} {
		got, ok := c.Text(name)
		assert.False(t, ok, name)
		assert.Empty(t, got)
	}
	c, err = trust.ParseClaims([]byte(`{}`))
	require.NoError(t, err)
	assert.NotNil(t, c)

	for _, payload := range []string{
		``, ` `, `null`, `[]`, `"a"`, `1`, `{`, `{"a":1,}`, `{"a":1} x`, `{"a":1}{"a":1}`, `{a:1}`, `{"a":NaN}`, `{"a":01}`,
		`{"sub":"a","sub":"a"}`, `{"sub":"a","sub":"b"}`, `{"sub":"a","s\u0075b":"b"}`, `{"a":{"b":1,"b":2}}`, `{"a":[{"b":1,"b":2}]}`,
		"{\"a\":\"\xff\"}", "{\"a\xff\":1}", "{\"a\":\"\n\"}", `{"a":"\ud800"}`, `{"a":"\x"}`, "\ufeff{}", "{\"a\":1}\x00",
	} {
		c, err := trust.ParseClaims([]byte(payload))
		assert.Error(t, err, "%q", payload)
		assert.Nil(t, c)
	}
}

// A verifier may have decoded the claims itself.
func TestClaimsText(t *testing.T) {
	for _, raw := range []string{``, ` "a"`, `a`, `"a`, `"a"b`, "\"\xff\"", `null`, `["a"]`, `1`} {
		_, ok := trust.Claims{"x": json.RawMessage(raw)}.Text("x")
		assert.False(t, ok, "%q", raw)
	}
	_, ok := trust.Claims(nil).Text("x")
	assert.False(t, ok)
}

// readNames is a second reading of an object's names, nested ones too: it returns those at the top, and an error if
// any is there twice.
func readNames(d *json.Decoder, top bool) (map[string]bool, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	delim, ok := token.(json.Delim)
	if top && delim != '{' {
		return nil, errors.New("no object")
	}
	if !ok {
		return nil, nil
	}
	names := map[string]bool{}
	for d.More() {
		if delim == '{' {
			name, err := d.Token()
			if err != nil {
				return nil, err
			}
			if names[name.(string)] {
				return nil, errors.New("twice")
			}
			names[name.(string)] = true
		}
		if _, err := readNames(d, false); err != nil {
			return nil, err
		}
	}
	_, err = d.Token()
	return names, err
}

func FuzzParseClaims(f *testing.F) {
	for _, p := range pairs() {
		payload, err := json.Marshal(p.claims)
		require.NoError(f, err)
		f.Add(payload)
	}
	for _, s := range []string{`{}`, `{"a":1,"a":2}`, `{"a":{"b":1,"b":2}}`, `{"a":"\ud83d\ude00"}`, `{"a":"\ud83d"}`, `[{}]`, `{"a":1}x`, `{"a":-4e457}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		fuzzbound.Check(t, payload, fuzzbound.Bounds{Memory: fuzzbound.Limit{Base: 16 << 10, PerByte: 256}, Work: fuzzbound.Limit{Base: 1, PerByte: 1}}, func(payload []byte) int {
			c, _ := trust.ParseClaims(payload)
			return len(c)
		})
		c, err := trust.ParseClaims(payload)
		if err != nil {
			require.Nil(t, c)
			return
		}
		d := json.NewDecoder(bytes.NewReader(payload))
		d.UseNumber()
		names, err := readNames(d, true)
		require.NoError(t, err)
		_, err = d.Token()
		require.ErrorIs(t, err, io.EOF)
		require.Len(t, c, len(names))
		for name, raw := range c {
			require.True(t, names[name])
			value := jsontest.Value[any](t, raw)
			text, ok := c.Text(name)
			want, isText := value.(string)
			require.Equal(t, isText, ok)
			require.Equal(t, want, text)
		}
	})
}
