package policy_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/policy"
)

// PR-07, PR-09: whole scopes, whole names, and nothing by pattern or by absence.
func TestGrantCovers(t *testing.T) {
	name := func(text string) policy.PackageName {
		n, err := policy.ParsePackageName(text)
		require.NoError(t, err)
		return n
	}
	all := policy.Grant{Target: policy.AllPackages}
	scope := policy.Grant{Target: policy.OneScope, Scope: "acme"}
	one := policy.Grant{Target: policy.OnePackage, Package: name("@acme/widget")}
	for _, tt := range []struct {
		grant   policy.Grant
		covers  []string
		ignores []string
	}{
		{all, []string{"plain", "@acme/widget", "Plain"}, nil},
		{scope, []string{"@acme/widget", "@acme/other"}, []string{"@acme-evil/x", "@acmefoo/x", "@acme.x/y", "@Acme/x", "acme", "@evil/acme"}},
		{one, []string{"@acme/widget"}, []string{"@acme/widget2", "@acme/Widget", "widget", "@acme-evil/widget"}},
		{policy.Grant{Target: policy.OnePackage, Package: name("plain")}, []string{"plain"}, []string{"Plain", "@plain/plain", "plain2"}},
		{policy.Grant{Target: policy.OneOrg, Scope: "acme"}, nil, []string{"@acme/widget", "acme"}},
		{policy.Grant{}, nil, []string{"plain", "@acme/widget"}},
		{policy.Grant{Target: policy.OneScope}, nil, []string{"plain", "@acme/widget"}},
		{policy.Grant{Target: policy.Target(9), Scope: "acme"}, nil, []string{"@acme/widget"}},
		{policy.Grant{Target: policy.AllPackages, Scope: "acme"}, nil, []string{"@acme/widget", "plain"}},
		{policy.Grant{Target: policy.OneScope, Scope: "acme", Package: name("plain")}, nil, []string{"@acme/widget", "plain"}},
		{policy.Grant{Target: policy.OnePackage, Scope: "acme", Package: name("plain")}, nil, []string{"@acme/widget", "plain"}},
	} {
		for _, n := range tt.covers {
			assert.True(t, tt.grant.Covers(name(n)), "%v covers %s", tt.grant, n)
		}
		for _, n := range tt.ignores {
			assert.False(t, tt.grant.Covers(name(n)), "%v does not cover %s", tt.grant, n)
		}
		assert.False(t, tt.grant.Covers(policy.PackageName{}), "no name is no package")
		assert.False(t, tt.grant.Covers(policy.PackageName{Scope: "acme"}))
	}
}

func TestGrantValidate(t *testing.T) {
	widget := policy.PackageName{Scope: "acme", Name: "widget"}
	for _, g := range []policy.Grant{
		{Target: policy.AllPackages, Permission: policy.ReadWrite},
		{Target: policy.AllPackages},
		{Target: policy.OnePackage, Package: widget, Permission: policy.StageOnly},
		{Target: policy.OneScope, Scope: "acme", Permission: policy.ReadOnly},
		{Target: policy.OneOrg, Scope: "acme", Permission: policy.ReadWrite},
		{Target: policy.AllPackages, Permission: policy.ReadWrite, Verbs: policy.VerbCreate | policy.VerbPublish},
		{Target: policy.OneScope, Scope: "acme", Permission: policy.ReadWrite, Verbs: policy.VerbStage},
		{Target: policy.OnePackage, Package: widget, Permission: policy.ReadWrite, Verbs: policy.VerbPublish | policy.VerbUnpublish},
	} {
		assert.NoError(t, g.Validate(), "%v", g)
	}
	for name, g := range map[string]policy.Grant{
		"zero":                     {},
		"no target":                {Permission: policy.ReadOnly},
		"unknown target":           {Target: 9, Permission: policy.ReadOnly},
		"unknown permission":       {Target: policy.AllPackages, Permission: 9},
		"no package":               {Target: policy.OnePackage, Permission: policy.ReadOnly},
		"bad package":              {Target: policy.OnePackage, Package: policy.PackageName{Name: "*"}},
		"no scope":                 {Target: policy.OneScope},
		"a scope with @":           {Target: policy.OneScope, Scope: "@acme"},
		"a pattern":                {Target: policy.OneScope, Scope: "acme*"}, // PR-08
		"a scope and a slash":      {Target: policy.OneScope, Scope: "acme/**"},
		"a long scope":             {Target: policy.OneScope, Scope: string(make([]byte, 300))},
		"no org":                   {Target: policy.OneOrg},
		"an org to stage":          {Target: policy.OneOrg, Scope: "acme", Permission: policy.StageOnly},
		"all and a package":        {Target: policy.AllPackages, Package: widget},
		"all and a scope":          {Target: policy.AllPackages, Scope: "acme"},
		"a package and a scope":    {Target: policy.OnePackage, Package: widget, Scope: "acme"},
		"a scope and a package":    {Target: policy.OneScope, Scope: "acme", Package: widget},
		"an org and a package":     {Target: policy.OneOrg, Scope: "acme", Package: widget},
		"an unknown verb":          {Target: policy.AllPackages, Permission: policy.ReadWrite, Verbs: 1 << 6},
		"verbs that read":          {Target: policy.AllPackages, Permission: policy.ReadOnly, Verbs: policy.VerbPublish},
		"verbs of stage-only":      {Target: policy.AllPackages, Permission: policy.StageOnly, Verbs: policy.VerbStage},
		"verbs of nothing":         {Target: policy.AllPackages, Verbs: policy.VerbStage},
		"verbs on an org":          {Target: policy.OneOrg, Scope: "acme", Permission: policy.ReadWrite, Verbs: policy.VerbPublish},
		"creating one package":     {Target: policy.OnePackage, Package: widget, Permission: policy.ReadWrite, Verbs: policy.VerbCreate},
		"a name half of a package": {Target: policy.OnePackage, Package: policy.PackageName{Scope: "acme"}},
	} {
		assert.ErrorIs(t, g.Validate(), policy.ErrGrant, name)
		_, err := json.Marshal(g)
		assert.ErrorIs(t, err, policy.ErrGrant, "%s must not be stored", name)
	}
}

func TestGrantJSON(t *testing.T) {
	for text, want := range map[string]policy.Grant{
		`{"target":"all","permission":"read-only"}`:                               {Target: policy.AllPackages, Permission: policy.ReadOnly},
		`{"target":"package","package":"@acme/widget","permission":"read-write"}`: {Target: policy.OnePackage, Package: policy.PackageName{Scope: "acme", Name: "widget"}, Permission: policy.ReadWrite},
		`{"target":"scope","scope":"acme","permission":"read-write-stage-only"}`:  {Target: policy.OneScope, Scope: "acme", Permission: policy.StageOnly},
		`{"target":"org","scope":"acme","permission":"no-access"}`:                {Target: policy.OneOrg, Scope: "acme"},
		` { "permission" : "read-only" , "target":"package","package":"plain" } `: {Target: policy.OnePackage, Package: policy.PackageName{Name: "plain"}, Permission: policy.ReadOnly},
		`{"target":"all","permission":"read-write","verbs":"publish+dist-tag"}`:   {Target: policy.AllPackages, Permission: policy.ReadWrite, Verbs: policy.VerbPublish | policy.VerbDistTag},
		`{"target":"all","permission":"read-write","verbs":"all"}`:                {Target: policy.AllPackages, Permission: policy.ReadWrite},
		`{"t\u0061rget":"all","permission":"read-only"}`:                          {Target: policy.AllPackages, Permission: policy.ReadOnly},
	} {
		var g policy.Grant
		require.NoError(t, json.Unmarshal([]byte(text), &g), text)
		assert.Equal(t, want, g)
		data, err := json.Marshal(g)
		require.NoError(t, err)
		var again policy.Grant
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
		g := policy.Grant{Target: policy.AllPackages, Permission: policy.ReadWrite}
		assert.ErrorIs(t, json.Unmarshal([]byte(text), &g), policy.ErrGrant, text)
		assert.Zero(t, g, "nothing of the old grant is left: %s", text)
	}
	var g policy.Grant
	for _, text := range []string{``, `{"target":"all","permission":"read-only"}{}`, `{"target":"all","permission":"read-only"`, `{"target"`, `{"target":"all",}`, `{`} {
		assert.ErrorIs(t, g.UnmarshalJSON([]byte(text)), policy.ErrGrant, "%q", text)
	}
}

func TestGrantString(t *testing.T) {
	for want, g := range map[string]policy.Grant{
		"read-write on package @acme/widget":           {Target: policy.OnePackage, Package: policy.PackageName{Scope: "acme", Name: "widget"}, Permission: policy.ReadWrite},
		"read-write (publish+dist-tag) on scope @acme": {Target: policy.OneScope, Scope: "acme", Permission: policy.ReadWrite, Verbs: policy.VerbPublish | policy.VerbDistTag},
		"read-only on scope @acme":                     {Target: policy.OneScope, Scope: "acme", Permission: policy.ReadOnly},
		"read-only on org acme":                        {Target: policy.OneOrg, Scope: "acme", Permission: policy.ReadOnly},
		"read-only on all packages":                    {Target: policy.AllPackages, Permission: policy.ReadOnly},
		"no-access on none":                            {},
	} {
		assert.Equal(t, want, g.String())
	}
}
