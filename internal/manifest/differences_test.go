package manifest_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/npmauth/npmauth/internal/manifest"
)

func TestDifferences(t *testing.T) {
	for name, tt := range map[string]struct {
		old, is string
		want    []manifest.Difference
	}{
		"nothing":        {`,"dependencies":{"a":"1"},"scripts":{"x":"y"}`, `,"scripts":{"x":"y"},"dependencies":{"a":"1"}`, nil},
		"a script":       {``, `,"scripts":{"install":"x","test":"y"}`, []manifest.Difference{{"scripts", "install", "", "x"}, {"scripts", "test", "", "y"}}},
		"of every kind":  {`,"peerDependencies":{"a":"1"},"devDependencies":{"b":"1"}`, `,"devDependencies":{"b":"2"}`, []manifest.Difference{{"devDependencies", "b", "1", "2"}, {"peerDependencies", "a", "1", ""}}},
		"a list":         {`,"bundleDependencies":["a","b"]`, `,"bundleDependencies":["b","c"]`, []manifest.Difference{{"bundleDependencies", "a", "a", ""}, {"bundleDependencies", "c", "", "c"}}},
		"a single value": {`,"bin":"cli.js"`, `,"bin":{"x":"cli.js"}`, []manifest.Difference{{"bin", "", "cli.js", ""}, {"bin", "x", "", "cli.js"}}},
		"no text":        {`,"gypfile":true`, `,"gypfile":false,"dependencies":{"a":"","b":{"c":1}}`, []manifest.Difference{{"gypfile", "", "true", "false"}, {"dependencies", "a", "", `""`}, {"dependencies", "b", "", `{"c":1}`}}},
	} {
		assert.Equal(t, tt.want, manifest.Differences(read(t, tt.old), read(t, tt.is)), name)
	}
	assert.Len(t, manifest.Differences(manifest.Manifest{}, read(t, `,"bin":"x"`)), 1, "there was none before")
	for d, want := range map[manifest.Difference]bool{
		{Field: "scripts", Name: "postinstall"}: true, {Field: "scripts", Name: "prepare"}: true, {Field: "gypfile"}: true,
		{Field: "scripts", Name: "test"}: false, {Field: "bin", Name: "install"}: false,
	} {
		assert.Equal(t, want, d.RunsAtInstall(), d)
	}
}
