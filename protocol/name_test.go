package protocol_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/fuzzbound"
	"github.com/npmauth/npmauth/protocol"
)

func TestParsePackageName(t *testing.T) {
	long := strings.Repeat("a", 214)
	for text, want := range map[string]protocol.PackageName{
		"plain":                {Name: "plain"},
		"JSONStream":           {Name: "JSONStream"},
		"lodash.get":           {Name: "lodash.get"},
		"a_b-c.d":              {Name: "a_b-c.d"},
		"0":                    {Name: "0"},
		long:                   {Name: long},
		"@acme/widget":         {Scope: "acme", Name: "widget"},
		"@acme/_private":       {Scope: "acme", Name: "_private"},
		"@acme/node_modules":   {Scope: "acme", Name: "node_modules"},
		"@a/" + long[:211]:     {Scope: "a", Name: long[:211]},
		"@ACME/Widget":         {Scope: "ACME", Name: "Widget"},
		"@acme.x/y":            {Scope: "acme.x", Name: "y"},
		"node_modules.example": {Name: "node_modules.example"},
	} {
		n, err := protocol.ParsePackageName(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, n, text)
		assert.Equal(t, text, n.String(), "it prints as it was")
		assert.NoError(t, n.Validate())
	}
	for _, text := range []string{
		"", "-", "-rev", "-x", ".", "..", ".x", "_x", " x", "x ", "x y", "a/b", "/", "@", "@/", "@/x", "@acme", "@acme/", "@acme//x", "@acme/x/y",
		"@acme/.x", "@acme/..", "@acme/-x", "@.acme/x", "@-/x", "@_x/y", "@@acme/x", "acme/@x", "x@1.0.0", "node_modules", "Node_Modules", "favicon.ico",
		"a%2fb", "%40acme/x", "x\x00", "x\n", "x\\y", "x;v=1", "x?y", "x#y", "x~y", "x!", "x'", "x(", "x)", "*", "@acme/*", "@*/x", "@acme*", "é", "ｘ", "\xff",
		long + "a", "@a/" + long[:212],
	} {
		n, err := protocol.ParsePackageName(text)
		assert.ErrorIs(t, err, protocol.ErrPackageName, "%q", text)
		assert.Zero(t, n, "%q", text)
	}
}

// A name that was not parsed is validated like one that was.
func TestPackageNameValidate(t *testing.T) {
	for _, n := range []protocol.PackageName{
		{}, {Scope: "acme"}, {Scope: "acme", Name: "a/b"}, {Scope: "a/b", Name: "c"}, {Scope: "@acme", Name: "x"}, {Name: "@acme/x"}, {Name: ".."},
	} {
		assert.ErrorIs(t, n.Validate(), protocol.ErrPackageName, "%+v", n)
	}
}

func TestPackageNameText(t *testing.T) {
	type record struct {
		Package protocol.PackageName `json:"package"`
	}
	for _, text := range []string{`{"package":"@acme/widget"}`, `{"package":"plain"}`, `{"package":""}`} {
		var r record
		require.NoError(t, json.Unmarshal([]byte(text), &r))
		data, err := json.Marshal(r)
		require.NoError(t, err)
		assert.JSONEq(t, text, string(data))
	}
	r := record{Package: protocol.PackageName{Name: "was"}}
	require.ErrorIs(t, json.Unmarshal([]byte(`{"package":"@acme/../x"}`), &r), protocol.ErrPackageName)
	assert.True(t, r.Package.IsZero(), "and nothing is left of what was there")
	assert.True(t, protocol.PackageName{}.IsZero())
}

// A parsed name prints as it was, is valid and contains no path.
func FuzzParsePackageName(f *testing.F) {
	for _, s := range []string{"plain", "@acme/widget", "@acme/../x", "-", "A"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		fuzzbound.Check(t, s, fuzzbound.Bounds{Memory: fuzzbound.Limit{Base: 256}, Work: fuzzbound.Limit{PerByte: 1}}, func(s string) int {
			n, _ := protocol.ParsePackageName(s)
			return len(n.Scope) + len(n.Name)
		})
		n, err := protocol.ParsePackageName(s)
		if err != nil {
			require.ErrorIs(t, err, protocol.ErrPackageName)
			return
		}
		require.Equal(t, s, n.String())
		require.NoError(t, n.Validate())
		require.NotContains(t, n.Name, "/")
		require.LessOrEqual(t, len(s), protocol.MaxPackageName)
	})
}
