package protocol_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/protocol"
)

// PR-07, PR-09: whole scopes, whole names, and nothing by pattern or by absence.
func TestGrantCovers(t *testing.T) {
	name := func(text string) protocol.PackageName {
		n, err := protocol.ParsePackageName(text)
		require.NoError(t, err)
		return n
	}
	all := protocol.Grant{Target: protocol.AllPackages}
	scope := protocol.Grant{Target: protocol.OneScope, Scope: "acme"}
	one := protocol.Grant{Target: protocol.OnePackage, Package: name("@acme/widget")}
	for _, tt := range []struct {
		grant   protocol.Grant
		covers  []string
		ignores []string
	}{
		{all, []string{"plain", "@acme/widget", "Plain"}, nil},
		{scope, []string{"@acme/widget", "@acme/other"}, []string{"@acme-evil/x", "@acmefoo/x", "@acme.x/y", "@Acme/x", "acme", "@evil/acme"}},
		{one, []string{"@acme/widget"}, []string{"@acme/widget2", "@acme/Widget", "widget", "@acme-evil/widget"}},
		{protocol.Grant{Target: protocol.OnePackage, Package: name("plain")}, []string{"plain"}, []string{"Plain", "@plain/plain", "plain2"}},
		{protocol.Grant{Target: protocol.OneOrg, Scope: "acme"}, nil, []string{"@acme/widget", "acme"}},
		{protocol.Grant{}, nil, []string{"plain", "@acme/widget"}},
		{protocol.Grant{Target: protocol.OneScope}, nil, []string{"plain", "@acme/widget"}},
		{protocol.Grant{Target: protocol.Target(9), Scope: "acme"}, nil, []string{"@acme/widget"}},
		{protocol.Grant{Target: protocol.AllPackages, Scope: "acme"}, nil, []string{"@acme/widget", "plain"}},
		{protocol.Grant{Target: protocol.OneScope, Scope: "acme", Package: name("plain")}, nil, []string{"@acme/widget", "plain"}},
		{protocol.Grant{Target: protocol.OnePackage, Scope: "acme", Package: name("plain")}, nil, []string{"@acme/widget", "plain"}},
	} {
		for _, n := range tt.covers {
			assert.True(t, tt.grant.Covers(name(n)), "%v covers %s", tt.grant, n)
		}
		for _, n := range tt.ignores {
			assert.False(t, tt.grant.Covers(name(n)), "%v does not cover %s", tt.grant, n)
		}
		assert.False(t, tt.grant.Covers(protocol.PackageName{}), "no name is no package")
		assert.False(t, tt.grant.Covers(protocol.PackageName{Scope: "acme"}))
	}
}

func TestGrantValidate(t *testing.T) {
	widget := protocol.PackageName{Scope: "acme", Name: "widget"}
	for _, g := range []protocol.Grant{
		{Target: protocol.AllPackages, Permission: protocol.ReadWrite},
		{Target: protocol.AllPackages},
		{Target: protocol.OnePackage, Package: widget, Permission: protocol.StageOnly},
		{Target: protocol.OneScope, Scope: "acme", Permission: protocol.ReadOnly},
		{Target: protocol.OneOrg, Scope: "acme", Permission: protocol.ReadWrite},
		{Target: protocol.AllPackages, Permission: protocol.ReadWrite, Verbs: protocol.VerbCreate | protocol.VerbPublish},
		{Target: protocol.OneScope, Scope: "acme", Permission: protocol.ReadWrite, Verbs: protocol.VerbStage},
		{Target: protocol.OnePackage, Package: widget, Permission: protocol.ReadWrite, Verbs: protocol.VerbPublish | protocol.VerbUnpublish},
	} {
		assert.NoError(t, g.Validate(), "%v", g)
	}
	for name, g := range map[string]protocol.Grant{
		"zero":                     {},
		"no target":                {Permission: protocol.ReadOnly},
		"unknown target":           {Target: 9, Permission: protocol.ReadOnly},
		"unknown permission":       {Target: protocol.AllPackages, Permission: 9},
		"no package":               {Target: protocol.OnePackage, Permission: protocol.ReadOnly},
		"bad package":              {Target: protocol.OnePackage, Package: protocol.PackageName{Name: "*"}},
		"no scope":                 {Target: protocol.OneScope},
		"a scope with @":           {Target: protocol.OneScope, Scope: "@acme"},
		"a pattern":                {Target: protocol.OneScope, Scope: "acme*"}, // PR-08
		"a scope and a slash":      {Target: protocol.OneScope, Scope: "acme/**"},
		"a long scope":             {Target: protocol.OneScope, Scope: string(make([]byte, 300))},
		"no org":                   {Target: protocol.OneOrg},
		"an org to stage":          {Target: protocol.OneOrg, Scope: "acme", Permission: protocol.StageOnly},
		"all and a package":        {Target: protocol.AllPackages, Package: widget},
		"all and a scope":          {Target: protocol.AllPackages, Scope: "acme"},
		"a package and a scope":    {Target: protocol.OnePackage, Package: widget, Scope: "acme"},
		"a scope and a package":    {Target: protocol.OneScope, Scope: "acme", Package: widget},
		"an org and a package":     {Target: protocol.OneOrg, Scope: "acme", Package: widget},
		"an unknown verb":          {Target: protocol.AllPackages, Permission: protocol.ReadWrite, Verbs: 1 << 6},
		"verbs that read":          {Target: protocol.AllPackages, Permission: protocol.ReadOnly, Verbs: protocol.VerbPublish},
		"verbs of stage-only":      {Target: protocol.AllPackages, Permission: protocol.StageOnly, Verbs: protocol.VerbStage},
		"verbs of nothing":         {Target: protocol.AllPackages, Verbs: protocol.VerbStage},
		"verbs on an org":          {Target: protocol.OneOrg, Scope: "acme", Permission: protocol.ReadWrite, Verbs: protocol.VerbPublish},
		"creating one package":     {Target: protocol.OnePackage, Package: widget, Permission: protocol.ReadWrite, Verbs: protocol.VerbCreate},
		"a name half of a package": {Target: protocol.OnePackage, Package: protocol.PackageName{Scope: "acme"}},
	} {
		assert.ErrorIs(t, g.Validate(), protocol.ErrGrant, name)
		_, err := json.Marshal(g)
		assert.ErrorIs(t, err, protocol.ErrGrant, "%s must not be stored", name)
	}
}

func TestGrantJSON(t *testing.T) {
	for text, want := range map[string]protocol.Grant{
		`{"target":"all","permission":"read-only"}`:                               {Target: protocol.AllPackages, Permission: protocol.ReadOnly},
		`{"target":"package","package":"@acme/widget","permission":"read-write"}`: {Target: protocol.OnePackage, Package: protocol.PackageName{Scope: "acme", Name: "widget"}, Permission: protocol.ReadWrite},
		`{"target":"scope","scope":"acme","permission":"read-write-stage-only"}`:  {Target: protocol.OneScope, Scope: "acme", Permission: protocol.StageOnly},
		`{"target":"org","scope":"acme","permission":"no-access"}`:                {Target: protocol.OneOrg, Scope: "acme"},
		` { "permission" : "read-only" , "target":"package","package":"plain" } `: {Target: protocol.OnePackage, Package: protocol.PackageName{Name: "plain"}, Permission: protocol.ReadOnly},
		`{"target":"all","permission":"read-write","verbs":"publish+dist-tag"}`:   {Target: protocol.AllPackages, Permission: protocol.ReadWrite, Verbs: protocol.VerbPublish | protocol.VerbDistTag},
		`{"target":"all","permission":"read-write","verbs":"all"}`:                {Target: protocol.AllPackages, Permission: protocol.ReadWrite},
		`{"t\u0061rget":"all","permission":"read-only"}`:                          {Target: protocol.AllPackages, Permission: protocol.ReadOnly},
	} {
		var g protocol.Grant
		require.NoError(t, json.Unmarshal([]byte(text), &g), text)
		assert.Equal(t, want, g)
		data, err := json.Marshal(g)
		require.NoError(t, err)
		var again protocol.Grant
		require.NoError(t, json.Unmarshal(data, &again))
		assert.Equal(t, want, again)
	}
	for _, text := range []string{
		`null`, `{}`, `[]`, `"all"`, `1`, `true`,
		`{"target":"all"}`,
		`{"permission":"read-only"}`,
		`{"target":"all","permission":null}`,
		`{"target":1,"permission":"read-only"}`,
		`{"target":["all"],"permission":"read-only"}`,
		`{"target":{"all":1},"permission":"read-only"}`,
		`{"target":"all","permission":"read-only","more":"x"}`,
		`{"Target":"all","permission":"read-only"}`,
		`{"target":"all","permission":"read-only","permission":"read-write"}`,      // JB-01
		`{"target":"all","permission":"read-only","permiſſion":"read-write"}`,      // JB-04
		`{"target":"all","permission":"read-only","p\u0065rmission":"read-write"}`, // JB-03
		`{"target":"all","permission":"Read-Only"}`,
		`{"target":"all","permission":"read-write "}`, // PR-10
		`{"target":"all","permission":"admin"}`,
		`{"target":"all","permission":""}`,
		`{"target":"*","permission":"read-only"}`,
		`{"target":"none","permission":"read-only"}`,
		`{"target":"all","scope":"acme","permission":"read-only"}`,
		`{"target":"scope","scope":"@acme","permission":"read-only"}`,
		`{"target":"scope","scope":"acme*","permission":"read-only"}`,
		`{"target":"scope","scope":"\ud800","permission":"read-only"}`, // JB-07
		`{"target":"package","package":"@acme/*","permission":"read-only"}`,
		`{"target":"package","package":"","permission":"read-only"}`,
		`{"target":"org","scope":"acme","permission":"read-write-stage-only"}`,
		`{"target":"all","permission":"read-write","verbs":""}`,
		`{"target":"all","permission":"read-write","verbs":"none"}`,
		`{"target":"all","permission":"read-write","verbs":["publish"]}`,
		`{"target":"all","permission":"read-write","verbs":null}`,
		`{"target":"all","permission":"read-write","verbs":"publish","verbs":"all"}`,
		`{"target":"all","permission":"read-write","Verbs":"publish"}`,
		`{"target":"all","permission":"read-only","verbs":"publish"}`,
		`{"target":"org","scope":"acme","permission":"read-write","verbs":"publish"}`,
		`{"target":"package","package":"plain","permission":"read-write","verbs":"create"}`,
	} {
		g := protocol.Grant{Target: protocol.AllPackages, Permission: protocol.ReadWrite}
		assert.ErrorIs(t, json.Unmarshal([]byte(text), &g), protocol.ErrGrant, text)
		assert.Zero(t, g, "nothing of the old grant is left: %s", text)
	}
	var g protocol.Grant
	for _, text := range []string{``, `{"target":"all","permission":"read-only"}{}`, `{"target":"all","permission":"read-only"`, `{"target"`, `{"target":"all",}`, `{`} {
		assert.ErrorIs(t, g.UnmarshalJSON([]byte(text)), protocol.ErrGrant, "%q", text)
	}
}

func TestGrantString(t *testing.T) {
	for want, g := range map[string]protocol.Grant{
		"read-write on package @acme/widget":           {Target: protocol.OnePackage, Package: protocol.PackageName{Scope: "acme", Name: "widget"}, Permission: protocol.ReadWrite},
		"read-write (publish+dist-tag) on scope @acme": {Target: protocol.OneScope, Scope: "acme", Permission: protocol.ReadWrite, Verbs: protocol.VerbPublish | protocol.VerbDistTag},
		"read-only on scope @acme":                     {Target: protocol.OneScope, Scope: "acme", Permission: protocol.ReadOnly},
		"read-only on org acme":                        {Target: protocol.OneOrg, Scope: "acme", Permission: protocol.ReadOnly},
		"read-only on all packages":                    {Target: protocol.AllPackages, Permission: protocol.ReadOnly},
		"no-access on none":                            {},
	} {
		assert.Equal(t, want, g.String())
	}
}
