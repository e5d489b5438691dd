package npmauth_test

import (
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/npmauth/npmauth"
)

// An error that a host did not fill in is still an error, for Yarn 1 too, which
// takes one without a sentence for a success.
func TestWriteErrorOfAHalfFilledError(t *testing.T) {
	for _, e := range []*npmauth.Error{{}, {Status: 200, Code: "x", Sentence: "no"}, {Status: 999}, {Status: 403}, {Status: 100}} {
		rec := httptest.NewRecorder()
		npmauth.WriteError(rec, httptest.NewRequest("GET", "/plain", nil), e)
		assert.GreaterOrEqual(t, rec.Code, 400)
		assert.Less(t, rec.Code, 600)
		assert.NotContains(t, rec.Body.String(), `"error":""`)
		assert.NotContains(t, rec.Body.String(), `"message":""`)
	}
}
