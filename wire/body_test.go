package wire_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/wire"
)

func TestDecode(t *testing.T) {
	decode := func(body io.Reader, header ...string) (string, error) {
		r := httptest.NewRequest(http.MethodPost, "/", body)
		r.Header.Set("Content-Type", "application/json")
		for i := 0; i+1 < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		var v struct {
			Name string `json:"name"`
		}
		err := wire.Decode(r, &v)
		return v.Name, err
	}
	name, err := decode(strings.NewReader(`{"name":"jane"}`), "Content-Type", "application/json; charset=utf-8")
	require.NoError(t, err)
	assert.Equal(t, "jane", name)

	fits := `{"name":"` + strings.Repeat("x", wire.MaxBody-11) + `"}`
	require.Len(t, fits, wire.MaxBody)
	_, err = decode(io.MultiReader(strings.NewReader(fits))) // of unknown length
	require.NoError(t, err)
	for name, body := range map[string]io.Reader{"stated": strings.NewReader(fits + " "), "of unknown length": io.MultiReader(strings.NewReader(fits + " "))} {
		_, err := decode(body)
		assert.ErrorIs(t, err, wire.TooLarge, name)
	}
	for _, body := range []string{"", `{"name":"jane","role":"admin"}`, `{"Name":"jane"}`, `{"name":"a","name":"b"}`, `{"name":1}`, `{} {}`} {
		_, err := decode(strings.NewReader(body))
		var answer *wire.Error
		require.ErrorAs(t, err, &answer, "%q", body)
		assert.Equal(t, http.StatusBadRequest, answer.Status, "%q", body)
	}
	_, err = decode(strings.NewReader(`{}`), "Content-Encoding", "gzip")
	assert.ErrorIs(t, err, wire.Compressed)
	var answer *wire.Error
	_, err = decode(strings.NewReader(`name=jane`), "Content-Type", "application/x-www-form-urlencoded")
	require.ErrorAs(t, err, &answer)
	assert.Equal(t, http.StatusUnsupportedMediaType, answer.Status)
}
