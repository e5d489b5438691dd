package wire_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/wire"
)

// CH-11: npm looks for words in the WWW-Authenticate header, so that no sentence of a rule or of the
// host, and nothing that a client chose, is in it.
func TestAuthenticateIsConstant(t *testing.T) {
	const hostile = `x, otp, error_description="one-time pass", ipaddress`
	w := httptest.NewRecorder()
	wire.WriteChallenge(w, wire.Challenge{}, hostile)
	assert.Equal(t, []string{"OTP, otp"}, w.Result().Header["Www-Authenticate"])
	op := protocol.Operation{Action: protocol.Publish, Package: protocol.PackageName{Name: "otp"}}
	for code, want := range map[string][]string{"rule": nil, policy.CodeCIDR: {"ipaddress"}, policy.CodeLoginRequired: {"Bearer"}} {
		d := policy.Decision{Effect: policy.Deny, Reasons: []policy.Reason{{Code: code, Sentence: hostile, Remedy: hostile}}}
		w := httptest.NewRecorder()
		wire.WriteError(w, wire.Refusal(op, d, code == policy.CodeLoginRequired))
		assert.Equal(t, want, w.Result().Header["Www-Authenticate"], code)
	}
}

// AU-63: A client that asks for a code is not given what it would rather follow, and why a code
// was refused is in what it prints. AU-75: The notice offers what there is.
func TestWriteChallenge(t *testing.T) {
	page := wire.Challenge{AuthURL: "https://registry.example/a", DoneURL: "https://registry.example/d", CheckCode: "BCDF-GHJK"}
	app, both := []policy.Proof{policy.ProofTOTP}, []policy.Proof{policy.ProofTOTP, policy.ProofRecovery}
	const check, code, recovery = " The page must show the check code BCDF-GHJK.", "the code that your authenticator app shows", "a recovery code"
	const why = "That code was used already."
	for name, tt := range map[string]struct {
		codes  []policy.Proof
		page   bool
		typed  bool
		why    string
		notice string
	}{
		"page alone":            {nil, true, false, "", "Open https://registry.example/a to confirm this." + check},
		"page or code":          {app, true, false, "", "Open https://registry.example/a to confirm this, or use " + code + "." + check},
		"page or two":           {both, true, false, "", "Open https://registry.example/a to confirm this, or use " + code + " or " + recovery + "." + check},
		"page, after a code":    {app, true, false, why, "Open https://registry.example/a to confirm this, or use " + code + "." + check + " " + why},
		"typed, page alone":     {nil, true, true, "", "Open https://registry.example/a, whose check code must be BCDF-GHJK, and enter the digits that it shows in the end."},
		"typed, page or code":   {app, true, true, "", "Enter " + code + ", or open https://registry.example/a, whose check code must be BCDF-GHJK, and enter the digits that it shows in the end."},
		"typed, after a code":   {app, true, true, why, why + " Enter " + code + ", or open https://registry.example/a, whose check code must be BCDF-GHJK, and enter the digits that it shows in the end."},
		"code":                  {app, false, false, "", "Enter " + code + "."},
		"code, after a code":    {[]policy.Proof{policy.ProofRecovery}, false, true, why, why + " Enter " + recovery + "."},
		"nothing known":         {nil, false, false, "", "Enter a one-time password."},
		"nothing, after a code": {[]policy.Proof{policy.ProofWeb, policy.NoProof}, false, false, why, why + " Enter a one-time password."},
	} {
		var c wire.Challenge
		if tt.page {
			c = page
		}
		c.Codes, c.Typed = tt.codes, tt.typed
		w := httptest.NewRecorder()
		wire.WriteChallenge(w, c, tt.why)
		assert.Equal(t, tt.notice, w.Header().Get("Npm-Notice"), name)
		var body struct{ Error, AuthURL, DoneURL string }
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &body))
		assert.Contains(t, body.Error, "one-time pass", name)
		assert.Contains(t, body.Error, tt.why, name)
		if tt.page && !tt.typed {
			assert.Equal(t, [2]string{page.AuthURL, page.DoneURL}, [2]string{body.AuthURL, body.DoneURL}, name)
		} else {
			assert.Empty(t, body.AuthURL+body.DoneURL, name)
		}
	}
	// CH-10: npm needs both addresses, so one alone is none.
	for _, half := range []wire.Challenge{{AuthURL: page.AuthURL, CheckCode: page.CheckCode}, {DoneURL: page.DoneURL}} {
		w := httptest.NewRecorder()
		wire.WriteChallenge(w, half, "")
		assert.Equal(t, "Enter a one-time password.", w.Header().Get("Npm-Notice"))
		assert.NotContains(t, w.Body.String(), "Url")
		assert.NotContains(t, w.Body.String(), "URL")
	}
	for value, want := range map[string]bool{"legacy": true, "web": false, "": false} {
		assert.Equal(t, want, wire.TakesCode(http.Header{"Npm-Auth-Type": {value}}), value)
	}
}
