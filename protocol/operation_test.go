package protocol_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/protocol"
)

func TestOperationString(t *testing.T) {
	pkg := protocol.PackageName{Scope: "acme", Name: "widget"}
	for want, op := range map[string]protocol.Operation{
		"unknown":                            {},
		"ping":                               {Action: protocol.Ping},
		"publish @acme/widget":               {Action: protocol.Publish, Package: pkg},
		`set-dist-tag @acme/widget "latest"`: {Action: protocol.SetDistTag, Package: pkg, Tag: "latest"},
		`revoke-token "[redacted]"`:          {Action: protocol.RevokeToken, Token: "npm_secret"},
		`logout "[redacted]"`:                {Action: protocol.Logout, Token: "npm_secret"},
		"logout":                             {Action: protocol.Logout},
	} {
		assert.Equal(t, want, op.String())
	}
}

func TestOperationNeverPrintsAToken(t *testing.T) {
	op := protocol.Operation{Action: protocol.RevokeToken, Token: "npm_secret"}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
		fmt.Fprintf(&out, verb, op)
		fmt.Fprintf(&out, verb, []protocol.Operation{op})
		fmt.Fprintf(&out, verb, struct{ Op protocol.Operation }{op})
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "op", op)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "op", op)
	require.NoError(t, json.NewEncoder(&out).Encode(map[string]any{"op": op}))
	assert.NotContains(t, out.String(), "npm_secret")
	assert.Contains(t, out.String(), "[redacted]")
}

func TestOperationJSON(t *testing.T) {
	data, err := json.Marshal(protocol.Operation{Action: protocol.SetDistTag, Package: protocol.PackageName{Name: "plain"}, Tag: "next"})
	require.NoError(t, err)
	assert.JSONEq(t, `{"action":"set-dist-tag","package":"plain","tag":"next"}`, string(data))
}
