package npmauth_test

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/legacy"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/wire"
)

// An error that a host did not fill in is still an error, for Yarn 1 too, which
// takes one without a sentence for a success.
func TestWriteErrorOfAHalfFilledError(t *testing.T) {
	for _, e := range []*wire.Error{{}, {Status: 200, Code: "x", Sentence: "no"}, {Status: 999}, {Status: 403}, {Status: 100}} {
		rec := httptest.NewRecorder()
		npmauth.WriteError(rec, httptest.NewRequest("GET", "/plain", nil), e)
		assert.GreaterOrEqual(t, rec.Code, 400)
		assert.Less(t, rec.Code, 600)
		assert.NotContains(t, rec.Body.String(), `"error":""`)
		assert.NotContains(t, rec.Body.String(), `"message":""`)
	}
}

// A sign-in that is denied is not an outage, whichever package says so.
func TestWriteErrorOfADeniedSignIn(t *testing.T) {
	for _, err := range []error{session.ErrDenied, legacy.ErrDenied} {
		rec := httptest.NewRecorder()
		npmauth.WriteError(rec, httptest.NewRequest("PUT", "/-/user/org.couchdb.user:alice", nil), fmt.Errorf("sign in: %w", err))
		assert.Equal(t, 401, rec.Code, "%v", err)
	}
}

// A refusal that conceals what it is about is that of what does not exist, wherever among
// the reasons the one stands that says so.
func TestAnyReasonConceals(t *testing.T) {
	absent := httptest.NewRecorder()
	hide := policy.Reason{Code: "hidden", Sentence: "There is no such package.", Conceal: true}
	tell := policy.Reason{Code: "read-only", Sentence: "Your token only reads.", Remedy: "Make another."}
	refuse := func(rec *httptest.ResponseRecorder, reasons ...policy.Reason) {
		npmauth.WriteError(rec, httptest.NewRequest("PUT", "/plain", nil), &host.DeniedError{
			Operation: protocol.Operation{Action: protocol.Publish, Package: protocol.PackageName{Name: "plain"}},
			Decision:  policy.Decision{Reasons: reasons},
		})
	}
	refuse(absent, hide)
	assert.Equal(t, 404, absent.Code)
	for name, reasons := range map[string][]policy.Reason{"first": {hide, tell}, "last": {tell, hide}, "in between": {tell, hide, tell}} {
		rec := httptest.NewRecorder()
		refuse(rec, reasons...)
		assert.Equal(t, absent.Code, rec.Code, name)
		assert.Equal(t, absent.Body.String(), rec.Body.String(), name)
		assert.Equal(t, absent.Header(), rec.Header(), name)
	}
	told := httptest.NewRecorder()
	refuse(told, tell)
	assert.Equal(t, 403, told.Code)
}

// Every answer of ours says that it is what it says it is, and is not to be kept.
func TestErrorsAreNotSniffedNorStored(t *testing.T) {
	for _, err := range []error{
		host.ErrNoCredential, host.ErrInvalidToken, errors.New("anything"), &wire.Error{Status: 409, Code: "x", Sentence: "No."}, &host.DeniedError{},
	} {
		rec := httptest.NewRecorder()
		npmauth.WriteError(rec, httptest.NewRequest("GET", "/plain", nil), err)
		assert.Equal(t, "nosniff", rec.Header().Get("X-Content-Type-Options"), "%v", err)
		assert.Equal(t, "no-store", rec.Header().Get("Cache-Control"), "%v", err)
		assert.Equal(t, "application/json", rec.Header().Get("Content-Type"), "%v", err)
	}
}
