package packument_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/packument"
	"github.com/npmauth/npmauth/protocol"
)

// there is the state of the registry in these tests.
func there() packument.State {
	return packument.State{
		Revision:    "7-a",
		Versions:    map[string]string{"1.0.0": "", "2.0.0": "old"},
		Tags:        map[string]string{"latest": "2.0.0", "old": "1.0.0"},
		Maintainers: []string{"alice", "bob"},
	}
}

// same returns a document without a change.
func same() packument.Document {
	s := there()
	return packument.Document{Revision: s.Revision, Versions: s.Versions, Tags: s.Tags, Maintainers: []string{"bob", "alice"}, Users: true}
}

// compared is the result of Compare.
type compared struct {
	Action protocol.Action
	protocol.Change
}

func compare(now packument.State, d packument.Document) (compared, error) {
	action, c, err := packument.Compare(now, d)
	return compared{action, c}, err
}

func TestCompare(t *testing.T) {
	type doc = packument.Document
	for name, tt := range map[string]struct {
		change func(*doc)
		want   compared
	}{
		"nothing":              {func(d *doc) { d.Users, d.Starred = false, false }, compared{protocol.Deprecate, protocol.Change{}}},
		"deprecate":            {func(d *doc) { d.Versions["1.0.0"] = "no" }, compared{protocol.Deprecate, protocol.Change{Deprecated: map[string]string{"1.0.0": "no"}}}},
		"undeprecate":          {func(d *doc) { d.Versions["2.0.0"] = "" }, compared{protocol.Deprecate, protocol.Change{Deprecated: map[string]string{"2.0.0": ""}}}},
		"deprecate, no more":   {func(d *doc) { *d = doc{Revision: "7-a", Versions: map[string]string{"1.0.0": "no", "2.0.0": "old"}} }, compared{protocol.Deprecate, protocol.Change{Deprecated: map[string]string{"1.0.0": "no"}}}},
		"unpublish":            {func(d *doc) { delete(d.Versions, "1.0.0"); delete(d.Tags, "old") }, compared{protocol.Unpublish, protocol.Change{Removed: []string{"1.0.0"}, Tags: map[string]string{"old": ""}}}},
		"unpublish the latest": {func(d *doc) { delete(d.Versions, "2.0.0"); d.Tags["latest"] = "1.0.0" }, compared{protocol.Unpublish, protocol.Change{Removed: []string{"2.0.0"}, Tags: map[string]string{"latest": "1.0.0"}}}},
		"unpublish, no tags":   {func(d *doc) { delete(d.Versions, "2.0.0"); d.Tags = nil }, compared{protocol.Unpublish, protocol.Change{Removed: []string{"2.0.0"}, Tags: map[string]string{"latest": ""}}}},
		"owners":               {func(d *doc) { d.Maintainers = []string{"alice"} }, compared{protocol.WriteOwners, protocol.Change{Maintainers: []string{"alice"}, RemovedOwners: []string{"bob"}}}},
		"owners alone":         {func(d *doc) { *d = doc{Revision: "7-a", Maintainers: []string{"carol"}, Partial: true} }, compared{protocol.WriteOwners, protocol.Change{Maintainers: []string{"carol"}, AddedOwners: []string{"carol"}, RemovedOwners: []string{"alice", "bob"}}}},
		"the same owners":      {func(d *doc) { *d = doc{Revision: "7-a", Maintainers: []string{"bob", "alice"}, Partial: true} }, compared{protocol.Deprecate, protocol.Change{}}},
		"star":                 {func(d *doc) { *d = doc{Revision: "7-a", Users: true, Starred: true, Partial: true} }, compared{protocol.Star, protocol.Change{Starred: true}}},
		"unstar":               {func(d *doc) { *d = doc{Revision: "7-a", Users: true, Partial: true} }, compared{protocol.Star, protocol.Change{}}},
		"pnpm's star":          {func(d *doc) { d.Users, d.Starred = true, true }, compared{protocol.Star, protocol.Change{Starred: true}}},
		"pnpm's unstar":        {func(d *doc) { d.Users, d.Starred = true, false }, compared{protocol.Star, protocol.Change{}}},
	} {
		d := same()
		tt.change(&d)
		unchanged := tt.want.Empty() || tt.want.Action == protocol.Star
		tt.want.Revision = "7-a"
		got, err := compare(there(), d)
		require.NoError(t, err, name)
		assert.Equal(t, tt.want, got, name)

		d.Revision, tt.want.Revision = "", ""
		got, err = compare(there(), d)
		switch {
		case d.Star():
			assert.NoError(t, err, name)
		case unchanged:
			assert.NoError(t, err, name)
			assert.Equal(t, compared{tt.want.Action, protocol.Change{Revision: "7-a", Starred: tt.want.Starred}}, got, name)
		case d.Partial:
			assert.ErrorIs(t, err, packument.ErrOwnersUnread, "%s, of no revision", name)
			assert.Equal(t, compared{Action: protocol.WriteOwners}, got, name)
		default:
			assert.ErrorIs(t, err, packument.ErrNoRevision, "%s, of no revision", name)
			assert.Zero(t, got, name)
		}

		now := there()
		now.Revision = ""
		d.Revision, tt.want.Revision = "6-x", "6-x"
		got, err = compare(now, d)
		require.NoError(t, err, "%s, where there are no revisions", name)
		assert.Equal(t, tt.want, got, name)

		got, err = compare(there(), d)
		switch {
		case d.Star(): // a star does not change the revision
			assert.NoError(t, err, name)
		case unchanged: // the retry of what was done
			assert.NoError(t, err, name)
			assert.Equal(t, compared{tt.want.Action, protocol.Change{Revision: "7-a", Starred: tt.want.Starred}}, got, name)
		default:
			assert.ErrorIs(t, err, packument.ErrStale, name)
			assert.Zero(t, got, name)
		}
	}
	now := there()
	now.Tags = map[string]string{"old": "1.0.0"}
	d := same()
	d.Tags = map[string]string{"latest": "2.0.0"}
	delete(d.Versions, "1.0.0")
	got, err := compare(now, d)
	require.NoError(t, err, "npm names a latest where there was none")
	assert.Equal(t, map[string]string{"old": "", "latest": "2.0.0"}, got.Tags)
}

func TestCompareRefuses(t *testing.T) {
	type doc = packument.Document
	for name, tt := range map[string]struct {
		change func(*doc)
		says   string
		action protocol.Action
	}{
		"an owner in a deprecate":     {func(d *doc) { d.Versions["1.0.0"] = "no"; d.Maintainers = []string{"mallory"} }, "more than one thing", protocol.WriteOwners},
		"a deprecate in an unpublish": {func(d *doc) { delete(d.Versions, "2.0.0"); d.Tags = nil; d.Versions["1.0.0"] = "no" }, "more than one thing", protocol.Unpublish},
		"a new version":               {func(d *doc) { d.Versions["3.0.0"] = "" }, "not published", protocol.Unknown},
		"a moved tag":                 {func(d *doc) { d.Tags["latest"] = "1.0.0" }, "moves dist-tags", protocol.Unknown},
		"a new tag":                   {func(d *doc) { d.Tags["next"] = "1.0.0" }, "moves dist-tags", protocol.Unknown},
		"a tag less":                  {func(d *doc) { delete(d.Tags, "old") }, "moves dist-tags", protocol.Unknown},
		"a tag of what goes":          {func(d *doc) { delete(d.Versions, "2.0.0") }, "moves dist-tags", protocol.Unknown},
		"a new tag beside":            {func(d *doc) { delete(d.Versions, "1.0.0"); d.Tags = map[string]string{"latest": "2.0.0", "x": "2.0.0"} }, "moves dist-tags", protocol.Unknown},
		"nobody":                      {func(d *doc) { d.Maintainers = []string{} }, "to nobody", protocol.WriteOwners},
		"nobody alone":                {func(d *doc) { *d = doc{Maintainers: []string{}, Partial: true} }, "to nobody", protocol.WriteOwners},
		"an owner with no name":       {func(d *doc) { d.Maintainers = []string{"alice", "a b"} }, "nobody can be called", protocol.WriteOwners},
		"a path alone":                {func(d *doc) { *d = doc{Maintainers: []string{"../x"}, Partial: true} }, "nobody can be called", protocol.WriteOwners},
		"no version":                  {func(d *doc) { d.Versions = map[string]string{}; d.Tags = nil }, "as a whole", protocol.Unpublish},
		"neither":                     {func(d *doc) { *d = doc{} }, "neither versions nor", protocol.Unknown},
		"owners and stars":            {func(d *doc) { *d = doc{Maintainers: []string{"alice"}, Users: true} }, "neither versions nor", protocol.Unknown},
	} {
		d := same()
		tt.change(&d)
		got, err := compare(there(), d)
		var bad *packument.ChangeError
		require.ErrorAs(t, err, &bad, name)
		assert.Contains(t, bad.Sentence, tt.says, name)
		assert.Equal(t, packument.CodeDocument, bad.Code, name)
		assert.Equal(t, compared{tt.action, protocol.Change{}}, got, name)

		d.Revision = "6-x" // then it may be that somebody else has made the difference
		got, err = compare(there(), d)
		assert.ErrorIs(t, err, packument.ErrStale, name)
		assert.Zero(t, got, name)
	}
}

// AU-60: Yarn 1 makes a list of owners from an abbreviated document, which has neither _rev nor
// maintainers, so that the list has those whom it adds and nobody else. Where there are no
// revisions only _id tells such a list from npm's.
func TestCompareListOfOwnersThatWasMadeFromNothing(t *testing.T) {
	now := there()
	for _, revision := range []string{"7-a", ""} {
		now.Revision = revision
		for _, maintainers := range [][]string{{"alice", "bob"}, nil} { // nil: the host does not say
			now.Maintainers = maintainers
			got, err := compare(now, packument.Document{Maintainers: []string{"carol"}, Partial: true})
			assert.ErrorIs(t, err, packument.ErrOwnersUnread, "revision %q", revision)
			assert.Zero(t, got.Change)
		}
	}
	got, err := compare(now, packument.Document{Maintainers: []string{"carol"}, HasID: true, Partial: true})
	require.NoError(t, err)
	assert.Equal(t, []string{"carol"}, got.Maintainers)
}

func TestCheckRevision(t *testing.T) {
	for _, tt := range []struct {
		now, rev string
		want     error
	}{
		{"", "", nil}, {"", "6-a", nil}, {"", "undefined", nil}, {"7-a", "7-a", nil},
		{"7-a", "", packument.ErrNoRevision}, {"7-a", "undefined", packument.ErrNoRevision}, {"7-a", "6-a", packument.ErrStale},
	} {
		assert.Equal(t, tt.want, packument.State{Revision: tt.now}.CheckRevision(tt.rev), "%q at %q", tt.rev, tt.now)
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
	s := packument.New(packument.Config{Package: protocol.PackageName{Name: "widget"}, By: "alice"})
	_, _ = s.Write([]byte(`{"_rev":"7-a","versions":{"1.0.0":{"deprecated":"use 2.0.0"},"2.0.0":{}}}`))
	if err := s.Close(); err != nil {
		fmt.Println(err)
	}
	now := packument.State{Revision: "7-a", Versions: map[string]string{"1.0.0": "", "2.0.0": ""}}
	action, change, err := packument.Compare(now, s.Document())
	fmt.Println(action, change.Deprecated, err)
	// Output: deprecate map[1.0.0:use 2.0.0] <nil>
}
