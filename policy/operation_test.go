package policy_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/policy"
)

func TestOperationString(t *testing.T) {
	pkg := policy.PackageName{Scope: "acme", Name: "widget"}
	for want, op := range map[string]policy.Operation{
		"unknown":                            {},
		"ping":                               {Action: policy.Ping},
		"publish @acme/widget":               {Action: policy.Publish, Package: pkg},
		`set-dist-tag @acme/widget "latest"`: {Action: policy.SetDistTag, Package: pkg, Name: "latest"},
		`revoke-token "[redacted]"`:          {Action: policy.RevokeToken, Name: "npm_secret"},
		`logout "[redacted]"`:                {Action: policy.Logout, Name: "npm_secret"},
		"logout":                             {Action: policy.Logout},
	} {
		assert.Equal(t, want, op.String())
	}
}

func TestOperationNeverPrintsAToken(t *testing.T) {
	op := policy.Operation{Action: policy.RevokeToken, Name: "npm_secret"}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
		fmt.Fprintf(&out, verb, op)
		fmt.Fprintf(&out, verb, []policy.Operation{op})
		fmt.Fprintf(&out, verb, struct{ Op policy.Operation }{op})
		fmt.Fprintf(&out, verb, policy.Request{Operation: op})
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "op", op, "request", policy.Request{Operation: op})
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "op", op, "request", policy.Request{Operation: op})
	require.NoError(t, json.NewEncoder(&out).Encode(map[string]any{"op": op}))
	assert.NotContains(t, out.String(), "npm_secret")
	assert.Contains(t, out.String(), "[redacted]")
}

func TestOperationJSON(t *testing.T) {
	data, err := json.Marshal(policy.Operation{Action: policy.SetDistTag, Package: policy.PackageName{Name: "plain"}, Name: "next"})
	require.NoError(t, err)
	assert.JSONEq(t, `{"action":"set-dist-tag","package":"plain","name":"next"}`, string(data))
}
