package credential_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/credential"
)

const canary = "canary-7c1f"

// TestSecretNeverPrints is for LOG-01.
func TestSecretNeverPrints(t *testing.T) {
	s := credential.NewSecret(canary)
	type hidden struct {
		Name   string
		secret credential.Secret
		more   []credential.Secret
		at     map[string]credential.Secret
		any    any
		to     *credential.Secret
	}
	nested := hidden{"n", s, []credential.Secret{s}, map[string]credential.Secret{"k": s}, s, &s}
	values := map[string]any{
		"value": s, "pointer": &s, "slice": []credential.Secret{s}, "array": [1]credential.Secret{s},
		"map": map[string]credential.Secret{"k": s}, "nested": nested, "nested pointer": &nested,
		"nested twice": struct{ h hidden }{nested}, "any": []any{s, &s},
	}

	// Every verb and some that do not exist, with every flag.
	for name, v := range values {
		for verb := byte('A'); verb <= 'z'; verb++ {
			for _, flag := range []string{"", "+", "#", "-", " ", "0", "+#", "20", ".3"} {
				got := fmt.Sprintf("%"+flag+string(verb), v)
				assertHidden(t, got, "%s %%%s%c", name, flag, verb)
			}
		}
		assertHidden(t, fmt.Sprint(v), name)
		assertHidden(t, fmt.Errorf("wrapped: %w", errors.New(fmt.Sprint(v))).Error(), name)

		var out bytes.Buffer
		for _, h := range []slog.Handler{
			slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil),
		} {
			slog.New(h).Info("m", "v", v, slog.Group("g", "v", v))
		}
		require.NoError(t, template.Must(template.New("").Parse(`{{.}} {{printf "%v" .}}`)).Execute(&out, v))
		require.NotZero(t, out.Len())
		assertHidden(t, out.String(), name)

		if data, err := json.Marshal(v); assert.NoError(t, err, name) {
			assertHidden(t, string(data), name)
		}
	}

	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%b", "%c", "%z", "%20s", "%.3s"} {
		assert.Equal(t, "[redacted]", fmt.Sprintf(verb, s), verb)
		assert.Equal(t, "[[redacted]]", fmt.Sprintf("%v", []credential.Secret{s}))
	}
	assert.Equal(t, "[redacted]", s.String())
	assert.Equal(t, "[redacted]", s.LogValue().String())

	data, err := json.Marshal(struct{ S credential.Secret }{s})
	require.NoError(t, err)
	assert.JSONEq(t, `{"S":"[redacted]"}`, string(data))
	data, err = xml.Marshal(struct {
		XMLName struct{} `xml:"x"`
		S       credential.Secret
	}{S: s})
	require.NoError(t, err)
	assert.Equal(t, `<x><S>[redacted]</S></x>`, string(data))
}

// assertHidden also searches for the text as the verbs for bytes would print it.
func assertHidden(t *testing.T, got, format string, args ...any) {
	t.Helper()
	low := strings.ToLower(got)
	start := canary[:3] // what a precision leaves of it
	for _, spelt := range []string{start, fmt.Sprintf("%x", start), fmt.Sprintf("% x", start), fmt.Sprintf("%d", []byte(start))} {
		if strings.Contains(low, spelt) {
			assert.Fail(t, "the secret was printed", format, args)
			return
		}
	}
}

func TestSecretReveal(t *testing.T) {
	s := credential.NewSecret(canary)
	assert.Equal(t, canary, s.Reveal())
	assert.False(t, s.IsZero())
	for _, zero := range []credential.Secret{{}, credential.NewSecret("")} {
		assert.True(t, zero.IsZero())
		assert.Empty(t, zero.Reveal())
		assert.Equal(t, "[redacted]", zero.String(), "not even that it is empty")
	}
}

func TestSecretEqual(t *testing.T) {
	s := credential.NewSecret(canary)
	assert.True(t, s.Equal(s))
	assert.True(t, s.Equal(credential.NewSecret(strings.Clone(canary))))
	for _, other := range []string{"", canary[1:], canary + "x", strings.ToUpper(canary)} {
		assert.False(t, s.Equal(credential.NewSecret(other)), other)
		assert.False(t, credential.NewSecret(other).Equal(s), other)
	}
	assert.False(t, credential.Secret{}.Equal(credential.Secret{}), "nothing matches nothing")
}

func TestSecretDecodes(t *testing.T) {
	var body struct{ Password credential.Secret }
	require.NoError(t, json.Unmarshal([]byte(`{"Password":"a\u0000b"}`), &body))
	assert.Equal(t, "a\x00b", body.Password.Reveal())
	require.NoError(t, json.Unmarshal([]byte(`{"Password":""}`), &body))
	assert.True(t, body.Password.IsZero())
	assert.Error(t, json.Unmarshal([]byte(`{"Password":7}`), &body))

	// A record that was written and read back is no credential.
	data, err := json.Marshal(struct{ Password credential.Secret }{credential.NewSecret(canary)})
	require.NoError(t, err)
	assert.Error(t, json.Unmarshal(data, &body))
	assert.True(t, body.Password.IsZero())
}
