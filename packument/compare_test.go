package packument_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/packument"
	"github.com/npmauth/npmauth/policy"
)

// there is what a registry has in these tests.
func there() packument.State {
	return packument.State{
		Revision:    "7-a",
		Versions:    map[string]string{"1.0.0": "", "2.0.0": "old"},
		Tags:        map[string]string{"latest": "2.0.0", "old": "1.0.0"},
		Maintainers: []string{"alice", "bob"},
	}
}

// same is the document that changes nothing of it.
func same() packument.Document {
	s := there()
	return packument.Document{Revision: s.Revision, Versions: s.Versions, Tags: s.Tags, Maintainers: []string{"bob", "alice"}, Users: true}
}

func TestCompare(t *testing.T) {
	type doc = packument.Document
	for name, tt := range map[string]struct {
		change func(*doc)
		want   packument.Change
	}{
		"nothing":              {func(*doc) {}, packument.Change{Action: policy.Deprecate}},
		"deprecate":            {func(d *doc) { d.Versions["1.0.0"] = "no" }, packument.Change{Action: policy.Deprecate, Deprecated: map[string]string{"1.0.0": "no"}}},
		"undeprecate":          {func(d *doc) { d.Versions["2.0.0"] = "" }, packument.Change{Action: policy.Deprecate, Deprecated: map[string]string{"2.0.0": ""}}},
		"deprecate, no more":   {func(d *doc) { *d = doc{Revision: "7-a", Versions: map[string]string{"1.0.0": "no", "2.0.0": "old"}} }, packument.Change{Action: policy.Deprecate, Deprecated: map[string]string{"1.0.0": "no"}}},
		"unpublish":            {func(d *doc) { delete(d.Versions, "1.0.0"); delete(d.Tags, "old") }, packument.Change{Action: policy.Unpublish, Removed: []string{"1.0.0"}, Tags: map[string]string{"old": ""}}},
		"unpublish the latest": {func(d *doc) { delete(d.Versions, "2.0.0"); d.Tags["latest"] = "1.0.0" }, packument.Change{Action: policy.Unpublish, Removed: []string{"2.0.0"}, Tags: map[string]string{"latest": "1.0.0"}}},
		"unpublish, no tags":   {func(d *doc) { delete(d.Versions, "2.0.0"); d.Tags = nil }, packument.Change{Action: policy.Unpublish, Removed: []string{"2.0.0"}, Tags: map[string]string{"latest": ""}}},
		"owners":               {func(d *doc) { d.Maintainers = []string{"alice"} }, packument.Change{Action: policy.WriteOwners, Maintainers: []string{"alice"}}},
		"owners alone":         {func(d *doc) { *d = doc{Revision: "7-a", Maintainers: []string{"carol"}, Partial: true} }, packument.Change{Action: policy.WriteOwners, Maintainers: []string{"carol"}}},
		"star":                 {func(d *doc) { *d = doc{Revision: "7-a", Users: true, Starred: true, Partial: true} }, packument.Change{Action: policy.Star, Starred: true}},
		"unstar":               {func(d *doc) { *d = doc{Revision: "7-a", Users: true, Partial: true} }, packument.Change{Action: policy.Star}},
	} {
		d := same()
		tt.change(&d)
		tt.want.Revision = "7-a"
		got, err := packument.Compare(there(), d)
		require.NoError(t, err, name)
		assert.Equal(t, tt.want, got, name)

		d.Revision, tt.want.Revision = "", ""
		got, err = packument.Compare(there(), d)
		require.NoError(t, err, "%s, of no revision", name)
		assert.Equal(t, tt.want, got, name)

		now := there()
		now.Revision = ""
		d.Revision, tt.want.Revision = "6-x", "6-x"
		got, err = packument.Compare(now, d)
		require.NoError(t, err, "%s, where there are no revisions", name)
		assert.Equal(t, tt.want, got, name)

		got, err = packument.Compare(there(), d)
		if d.Star() { // which changes nothing that has a revision
			assert.NoError(t, err, name)
		} else {
			assert.ErrorIs(t, err, packument.ErrStale, name)
			assert.Zero(t, got, name)
		}
	}
	now := there()
	now.Tags = map[string]string{"old": "1.0.0"}
	d := same()
	d.Tags = map[string]string{"latest": "2.0.0"}
	delete(d.Versions, "1.0.0")
	got, err := packument.Compare(now, d)
	require.NoError(t, err, "npm names a latest where there was none")
	assert.Equal(t, map[string]string{"old": "", "latest": "2.0.0"}, got.Tags)
}

func TestCompareRefuses(t *testing.T) {
	type doc = packument.Document
	for name, tt := range map[string]struct {
		change func(*doc)
		says   string
		action policy.Action
	}{
		"an owner in a deprecate":     {func(d *doc) { d.Versions["1.0.0"] = "no"; d.Maintainers = []string{"mallory"} }, "more than one thing", policy.WriteOwners},
		"a deprecate in an unpublish": {func(d *doc) { delete(d.Versions, "2.0.0"); d.Tags = nil; d.Versions["1.0.0"] = "no" }, "more than one thing", policy.Unpublish},
		"a new version":               {func(d *doc) { d.Versions["3.0.0"] = "" }, "not published", policy.Unknown},
		"a moved tag":                 {func(d *doc) { d.Tags["latest"] = "1.0.0" }, "moves dist-tags", policy.Unknown},
		"a new tag":                   {func(d *doc) { d.Tags["next"] = "1.0.0" }, "moves dist-tags", policy.Unknown},
		"a tag less":                  {func(d *doc) { delete(d.Tags, "old") }, "moves dist-tags", policy.Unknown},
		"a tag of what goes":          {func(d *doc) { delete(d.Versions, "2.0.0") }, "moves dist-tags", policy.Unknown},
		"a new tag beside":            {func(d *doc) { delete(d.Versions, "1.0.0"); d.Tags = map[string]string{"latest": "2.0.0", "x": "2.0.0"} }, "moves dist-tags", policy.Unknown},
		"nobody":                      {func(d *doc) { d.Maintainers = []string{} }, "to nobody", policy.WriteOwners},
		"nobody alone":                {func(d *doc) { *d = doc{Maintainers: []string{}, Partial: true} }, "to nobody", policy.WriteOwners},
		"no version":                  {func(d *doc) { d.Versions = map[string]string{}; d.Tags = nil }, "as a whole", policy.Unpublish},
		"neither":                     {func(d *doc) { *d = doc{} }, "neither versions nor", policy.Unknown},
		"owners and stars":            {func(d *doc) { *d = doc{Maintainers: []string{"alice"}, Users: true} }, "neither versions nor", policy.Unknown},
	} {
		d := same()
		tt.change(&d)
		got, err := packument.Compare(there(), d)
		var bad *packument.ChangeError
		require.ErrorAs(t, err, &bad, name)
		assert.Contains(t, bad.Sentence, tt.says, name)
		assert.Equal(t, packument.CodeDocument, bad.Code, name)
		assert.Equal(t, packument.Change{Action: tt.action}, got, name)
	}
}

func TestSetRevision(t *testing.T) {
	for _, tt := range []struct{ doc, path, want string }{
		{"", "", ""}, {"7-a", "", "7-a"}, {"", "7-a", "7-a"}, {"7-a", "7-a", "7-a"}, {"", "undefined", ""}, {"7-a", "undefined", "7-a"},
	} {
		d := packument.Document{Revision: tt.doc}
		require.NoError(t, d.SetRevision(tt.path))
		assert.Equal(t, tt.want, d.Revision)
	}
	d := packument.Document{Revision: "7-a"}
	assert.ErrorContains(t, d.SetRevision("6-a"), "two revisions")
	assert.Equal(t, "7-a", d.Revision)
}

func ExampleCompare() {
	s := packument.New(packument.Config{Package: policy.PackageName{Name: "widget"}, By: "alice"})
	_, _ = s.Write([]byte(`{"_rev":"7-a","versions":{"1.0.0":{"deprecated":"use 2.0.0"},"2.0.0":{}}}`))
	if err := s.Close(); err != nil {
		fmt.Println(err)
	}
	now := packument.State{Revision: "7-a", Versions: map[string]string{"1.0.0": "", "2.0.0": ""}}
	change, err := packument.Compare(now, s.Document())
	fmt.Println(change.Action, change.Deprecated, err)
	// Output: deprecate map[1.0.0:use 2.0.0] <nil>
}
