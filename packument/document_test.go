package packument_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/fuzzbound"
	"github.com/npmauth/npmauth/packument"
	"github.com/npmauth/npmauth/protocol"
)

// read scans a body of alice's in pieces of n bytes.
func read(body string, n int) (packument.Document, packument.Kind, error) {
	s := packument.New(packument.Config{Package: widget, By: "alice"})
	for rest := body; rest != ""; {
		piece := rest[:min(n, len(rest))]
		rest = rest[len(piece):]
		if _, err := s.Write([]byte(piece)); err != nil {
			return s.Document(), s.Kind(), err
		}
	}
	err := s.Close()
	return s.Document(), s.Kind(), err
}

func ExampleScanner_Document() {
	s := packument.New(packument.Config{Package: protocol.PackageName{Name: "widget"}, By: "alice"})
	if _, err := s.Write([]byte(`{"_id":"widget","_rev":"3-a","maintainers":[{"name":"alice"},{"name":"bob"}]}`)); err != nil {
		fmt.Println(err)
	}
	err := s.Close()
	doc := s.Document()
	fmt.Println(doc.Revision, doc.Maintainers, doc.Partial, err)
	// Output: 3-a [alice bob] true <nil>
}

func TestDocuments(t *testing.T) {
	for body, want := range map[string]packument.Document{
		`{}`:                        {},
		`{"name":"@acme/widget"}`:   {},
		`{"_rev":"1-x","users":{}}`: {Revision: "1-x", Users: true, Partial: true},
		`{"users":{"alice":true}}`:  {Users: true, Starred: true, Partial: true},
		`{"users":{"alice":false}}`: {Users: true, Partial: true},
		`{"users":{"bob":true}}`:    {Users: true, Partial: true},
		`{"users":{},"readme":"x"}`: {Users: true},
		`{"_id":"@acme/widget","maintainers":[{"name":"bob"}]}`: {HasID: true, Maintainers: []string{"bob"}, Partial: true},
		`{"maintainers":[]}`: {Maintainers: []string{}, Partial: true},
		`{"maintainers":[{"name":"bob","email":"x"},{"email":"y","name":"alice"}]}`: {Maintainers: []string{"bob", "alice"}, Partial: true},
		`{"maintainers":[{"name":"bob"}],"users":{}}`:                               {Maintainers: []string{"bob"}, Users: true},
		`{"maintainers":[{"name":"bob"}],"versions":{}}`:                            {Maintainers: []string{"bob"}, Versions: map[string]string{}},
		`{"maintainers":[{"name":"bob"}],"dist-tags":{}}`:                           {Maintainers: []string{"bob"}, Tags: map[string]string{}},
		`{"users":{},"dist-tags":{"latest":"1.0.0"}}`:                               {Users: true, Tags: map[string]string{"latest": "1.0.0"}},
		`{"dist-tags":{"latest":"1.0.0"}}`:                                          {Tags: map[string]string{"latest": "1.0.0"}},
		`{"versions":{"1.0.0":{"name":"@acme/widget","version":"1.0.0","_id":"@acme/widget@1.0.0","deprecated":"no"},"2.0.0":{"deprecated":""},"3.0.0":{"deprecated":false},"4.0.0":{"deprecated":null},"5.0.0":{"deep":{"deprecated":"x","name":"y"}}}}`: {
			Versions: map[string]string{"1.0.0": "no", "2.0.0": "", "3.0.0": "", "4.0.0": "", "5.0.0": ""},
		},
		`{"_attachments":{}}`: {},
	} {
		for _, n := range []int{1, 7, 1 << 20} {
			doc, kind, err := read(body, n)
			require.NoError(t, err, body)
			assert.Equal(t, packument.KindDocument, kind, body)
			assert.Equal(t, want, doc, body)
		}
	}
}

func TestRefused(t *testing.T) {
	for _, body := range []string{
		``, `[]`, `null`, `{`, `{} {}`, `{"_rev":"1","_rev":"1"}`, `{"maintainers":[{"name":"bob","a":1,"a":1}]}`, "\ufeff{}",
		`{"_id":"widget"}`, `{"name":"@acme/other"}`, `{"name":1}`, `{"name":"@ACME/widget"}`,
		`{"_rev":1}`, `{"_rev":"` + strings.Repeat("x", packument.MaxMessage+1) + `"}`,
		`{"versions":[]}`, `{"versions":{"1.0.0":1}}`, `{"versions":{"1.0.0":{"name":"other"}}}`, `{"versions":{"1.0.0":{"version":"1.0.1"}}}`,
		`{"versions":{"1.0.0":{"_id":"@acme/widget@1.0.1"}}}`, `{"versions":{"1.0.0":{"deprecated":true}}}`, `{"versions":{"1.0.0":{"deprecated":{}}}}`,
		`{"versions":{"1.0.0":{"deprecated":"` + strings.Repeat("x", packument.MaxMessage+1) + `"}}}`, `{"versions":{"1.0.0":{},"1.0.0":{}}}`,
		`{"dist-tags":[]}`, `{"dist-tags":{"a":""}}`, `{"dist-tags":{"a":1}}`, `{"dist-tags":{"a":null}}`,
		`{"maintainers":{}}`, `{"maintainers":["bob"]}`, `{"maintainers":[{}]}`, `{"maintainers":[{"Name":"bob"}]}`, `{"maintainers":[{"name":""}]}`,
		`{"maintainers":[{"name":"bob"},{"email":"x"}]}`, `{"maintainers":[{"name":"bob"},{"name":"bob"}]}`, `{"maintainers":[{"name":["bob"]}]}`,
		`{"users":[]}`, `{"users":{"alice":1}}`, `{"users":{"alice":"true"}}`, `{"users":{"alice":{}}}`,
		`{"maintainers":[` + strings.TrimSuffix(numbered(`{"name":"u%d"},`, 1001), ",") + `]}`,
		`{"dist-tags":{` + strings.TrimSuffix(numbered(`"t%d":"1.0.0",`, 10001), ",") + `}}`,
	} {
		for _, n := range []int{1, 1 << 20} {
			doc, kind, err := read(body, n)
			var bad *packument.Error
			require.ErrorAs(t, err, &bad, "%.100s", body)
			assert.NotEmpty(t, bad.Problem)
			assert.NotEqual(t, packument.KindPublish, kind)
			assert.Zero(t, doc)
		}
	}
}

func numbered(format string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

// An attachment makes a publish, as soon as its value begins.
func TestKind(t *testing.T) {
	s := packument.New(packument.Config{Package: widget, By: "alice"})
	_, err := s.Write([]byte(`{"_id":"@acme/widget","_attachments":{"@acme/widget-1.0.0.tgz"`))
	require.NoError(t, err)
	assert.Equal(t, packument.KindUnknown, s.Kind(), "its value has not begun")
	_, err = s.Write([]byte(`:{`))
	require.NoError(t, err)
	assert.Equal(t, packument.KindPublish, s.Kind())
	assert.Empty(t, s.Publish().Version)

	_, err = s.Write([]byte(`]`))
	assert.Error(t, err)
	_, again := s.Write([]byte(`}`))
	assert.Equal(t, err, again)
	assert.Equal(t, err, s.Close())
	assert.Equal(t, packument.KindPublish, s.Kind())

	s = packument.New(packument.Config{Package: widget, By: "alice"})
	_, err = s.Write([]byte(`{"_attachments":{}`))
	require.NoError(t, err)
	assert.Equal(t, packument.KindUnknown, s.Kind())
	_, err = s.Write([]byte(`}`))
	require.NoError(t, err)
	assert.Equal(t, packument.KindDocument, s.Kind())
}

// The version is known if it is before the attachments, and valid.
func TestVersionBeforeTheEnd(t *testing.T) {
	for body, want := range map[string]string{
		`{"versions":{"1.0.0":{"name":"@acme/widget"}},"_attachments":{"x":{`:          "1.0.0",
		`{"_rev":"1-a","versions":{"1.0.0":{}},"_attachments":{"x":{`:                  "1.0.0",
		`{"versions":{"1.0.0":{},"2.0.0":{}},"_attachments":{"x":{`:                    "",
		`{"_attachments":{"x":{},"y":{}},"versions":{"1.0.0":{},"2.0.0":{`:             "",
		`{"versions":{},"_attachments":{"x":{`:                                         "",
		`{"versions":{"../x":{}},"_attachments":{"x":{`:                                "",
		`{"_attachments":{"x":{"data":""},"y":{"data":""}},"versions":{"1.0.0":{`:      "1.0.0",
		`{"readme":"{\"versions\":{\"9.0.0\":{}}}","_attachments":{"x":{`:              "",
		`{"x":{"versions":{"9.0.0":{}}},"versions":{"1.0.0":{}},"_attachments":{"x":{`: "1.0.0",
	} {
		s := packument.New(packument.Config{Package: widget, By: "alice"})
		_, _ = s.Write([]byte(body)) // an invalid publish, in some cases
		assert.Equal(t, packument.KindPublish, s.Kind(), body)
		assert.Equal(t, want, s.Publish().Version, body)
	}
}

// While the kind of a body is unknown, only a body that can be neither is refused.
func TestFaultsOfOneKind(t *testing.T) {
	const attached = `,"_attachments":{"@acme/widget-1.0.0.tgz":{"data":""}}}`
	manifest := `"name":"@acme/widget","versions":{"1.0.0":{"name":"@acme/widget","version":"1.0.0","deprecated":true}}`
	for body, want := range map[string]struct {
		kind packument.Kind
		says string
	}{
		`{` + manifest + attached:                                     {packument.KindPublish, ""},
		`{` + manifest + `}`:                                          {packument.KindDocument, "deprecated must be a string"},
		`{` + manifest + `,`:                                          {packument.KindUnknown, "deprecated must be a string"},
		`{` + manifest + `,"readme":"x","time":{}` + attached:         {packument.KindUnknown, "deprecated must be a string"},
		`{"_rev":"1-a",` + manifest:                                   {packument.KindUnknown, "deprecated must be a string"},
		`{"_rev":"1-a","name":"@acme/widget"` + attached:              {packument.KindPublish, "only a plain publish"},
		`{"_rev":"1-a","name":"@acme/widget"}`:                        {packument.KindDocument, ""},
		`{"_rev":"1-a","name":"@acme/widget"`:                         {packument.KindUnknown, "unexpected end"},
		`{"_rev":"1-a","name":"@acme/widget]`:                         {packument.KindUnknown, "unexpected end"},
		`{"_rev":"1-a","name":"@acme/other"` + attached:               {packument.KindUnknown, "another package"},
		`{"maintainers":[{"name":"alice"},{"name":"alice"}]}`:         {packument.KindDocument, "named twice"},
		`{"maintainers":[{"name":"bob"}]` + attached:                  {packument.KindPublish, "who maintains"},
		`{"maintainers":[{"name":"bob"}],"users":{"alice":1}`:         {packument.KindUnknown, "true or false"},
		`{"_attachments":{"x":1`:                                      {packument.KindPublish, "an attachment must be an object"},
		`{"maintainers":[{"name":"bob"}],"_attachments":[{"data":""}`: {packument.KindPublish, "who maintains"},
	} {
		for _, n := range []int{1, 3, 1 << 20} {
			_, kind, err := read(body, n)
			assert.Equal(t, want.kind, kind, body)
			if want.says == "" {
				assert.NoError(t, err, body)
			} else {
				assert.ErrorContains(t, err, want.says, body)
			}
		}
	}
}

// A Scanner without a package refuses every body.
func TestNoPackage(t *testing.T) {
	s := packument.New(packument.Config{})
	_, err := s.Write([]byte(`{"name":""`))
	assert.ErrorContains(t, err, "another package")
	assert.Equal(t, err, s.Close())
}

// FuzzDocument compares what a scanner says of an accepted body with encoding/json, and with
// itself for every size of the pieces.
func FuzzDocument(f *testing.F) {
	for _, seed := range []string{
		`{"_id":"@acme/widget","_rev":"1-a","maintainers":[{"name":"alice"}]}`, `{"users":{"alice":true}}`,
		`{"versions":{"1.0.0":{"name":"@acme/widget","deprecated":"no"}},"dist-tags":{"latest":"1.0.0"}}`,
		`{"_attachments":{"x":{}}}`, `{"versions":{"1.0.0":{"deprecated":false}}}`, `{"_attachments":1}`,
	} {
		f.Add(seed, 3)
	}
	f.Fuzz(func(t *testing.T, body string, n int) {
		fuzzbound.Check(t, body, scanning, func(body string) int {
			doc, _, _ := read(body, 1<<30)
			n := 0
			for version, message := range doc.Versions {
				n += len(version) + len(message)
			}
			for tag, version := range doc.Tags {
				n += len(tag) + len(version)
			}
			return n + len(doc.Maintainers)
		})
		doc, kind, err := read(body, 1<<30)
		pieces, kindPieces, errPieces := read(body, max(1, n%64))
		if fmt.Sprint(err) != fmt.Sprint(errPieces) || fmt.Sprint(doc) != fmt.Sprint(pieces) || kind != kindPieces {
			t.Fatalf("the pieces matter: %v %v %v, %v %v %v", doc, kind, err, pieces, kindPieces, errPieces)
		}
		if err != nil {
			return
		}
		var top map[string]json.RawMessage
		if err := json.Unmarshal([]byte(body), &top); err != nil || top == nil {
			t.Fatalf("accepted: %v", err)
		}
		for _, key := range []string{"_id", "name"} {
			if raw, ok := top[key]; ok {
				var s string
				if json.Unmarshal(raw, &s) != nil || s != widget.String() {
					t.Fatalf("%s is %s", key, raw)
				}
			}
		}
		var attachments map[string]json.RawMessage
		_ = json.Unmarshal(top["_attachments"], &attachments)
		if (kind == packument.KindPublish) != (len(attachments) > 0) {
			t.Fatalf("taken for %v with %d attachments", kind, len(attachments))
		}
		if kind == packument.KindPublish { // FuzzPublishBody covers this kind
			return
		}
		var versions map[string]map[string]json.RawMessage
		if raw, ok := top["versions"]; ok {
			if err := json.Unmarshal(raw, &versions); err != nil {
				t.Fatal(err)
			}
		}
		if len(versions) != len(doc.Versions) {
			t.Fatalf("%d versions and not %d", len(versions), len(doc.Versions))
		}
		for v, m := range versions {
			var s string
			if raw, ok := m["deprecated"]; ok && string(raw) != "false" {
				if err := json.Unmarshal(raw, &s); err != nil {
					t.Fatal(err)
				}
			}
			if got, ok := doc.Versions[v]; !ok || got != s {
				t.Fatalf("version %q: %q and not %q", v, got, s)
			}
		}
		var tags map[string]string
		var maintainers []struct {
			Name string `json:"name"`
		}
		var users map[string]bool
		for key, v := range map[string]any{"dist-tags": &tags, "maintainers": &maintainers, "users": &users} {
			if raw, ok := top[key]; ok {
				if err := json.Unmarshal(raw, v); err != nil {
					t.Fatalf("%s: %v", key, err)
				}
			}
		}
		if len(tags) != len(doc.Tags) || len(maintainers) != len(doc.Maintainers) || users["alice"] != doc.Starred {
			t.Fatalf("%v and not %v, %v, %v", doc, tags, maintainers, users)
		}
		for tag, to := range tags {
			if doc.Tags[tag] != to {
				t.Fatalf("tag %q", tag)
			}
		}
		if doc.Partial {
			for key := range top {
				switch key {
				case "_id", "name", "_rev", "users", "maintainers":
				default:
					t.Fatalf("partial with %q", key)
				}
			}
		}
	})
}
