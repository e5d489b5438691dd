package wire_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/wire"
)

// Every error has a status of one and a sentence in both of the fields that clients read,
// whatever was left out: Yarn 1 takes one without for a success.
func TestWriteError(t *testing.T) {
	for _, tt := range []struct {
		err    wire.Error
		status int
	}{
		{wire.Error{}, 503}, {wire.Error{Status: 200, Code: "x", Sentence: "no"}, 503}, {wire.Error{Status: 999}, 503}, {wire.Error{Status: 403}, 403},
		{wire.Error{Status: 409, Code: "taken", Sentence: "Try again."}, 409}, {wire.Error{Status: 401, Authenticate: "Bearer"}, 401},
		{wire.Error{Challenge: &wire.Challenge{}}, 401},
	} {
		w := httptest.NewRecorder()
		wire.WriteError(w, &tt.err)
		assert.Equal(t, tt.status, w.Code)
		var body struct{ Error, Message, Code string }
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &body))
		assert.NotEmpty(t, body.Error)
		assert.Equal(t, body.Error, body.Message)
		assert.Equal(t, "no-store", w.Header().Get("Cache-Control"))
		assert.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
		assert.Equal(t, tt.status == http.StatusServiceUnavailable, w.Header().Get("Retry-After") != "")
		if tt.err.Challenge == nil {
			assert.Equal(t, tt.err.Authenticate, w.Header().Get("WWW-Authenticate"))
		} else {
			assert.Equal(t, "OTP, otp", w.Header().Get("WWW-Authenticate"))
		}
	}
}

func ExampleWriteError() {
	w := httptest.NewRecorder()
	wire.WriteError(w, &wire.Error{Status: http.StatusConflict, Code: "taken", Sentence: "The name is taken. Choose another one."})
	fmt.Println(w.Code, w.Body)
	// Output: 409 {"error":"The name is taken. Choose another one.","message":"The name is taken. Choose another one.","code":"taken"}
}
