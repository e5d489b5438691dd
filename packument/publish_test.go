package packument_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/packument"
	"github.com/npmauth/npmauth/protocol"
)

var widget = protocol.PackageName{Scope: "acme", Name: "widget"}

// scan scans a publish of carol's in pieces of size bytes. A body that is none is an error.
func scan(cfg packument.Config, data []byte, size int) (protocol.Change, error) {
	s := packument.New(cfg)
	defer s.Abort()
	for len(data) > 0 {
		n := min(size, len(data))
		if _, err := s.Write(data[:n]); err != nil {
			break // Close returns it again
		}
		data = data[n:]
	}
	if err := s.Close(); err != nil {
		return protocol.Change{}, err
	}
	if s.Kind() != packument.KindPublish {
		return protocol.Change{}, errDocument
	}
	return s.Publish(), nil
}

var errDocument = errors.New("taken for a document")

// ofWidget is the Config of most tests.
var ofWidget = packument.Config{Package: widget, By: "carol"}

// What JavaScript writes into fields that nobody checks is no fault, AU-37.
func TestLooseFields(t *testing.T) {
	deep := strings.Repeat("[", 5000) + strings.Repeat("]", 5000)
	for _, in := range []string{
		strings.Replace(plain, `"access":null`, `"description":"\ud800","readme":"\udc00"`, 1),
		strings.Replace(plain, `"dist":{}`, `"dist":{},"config":`+deep, 1),
		strings.Replace(plain, `"dist":{}`, `"dist":{},"config":{"\ud800":"\udc00"},"exports":{"`+strings.Repeat("k", 5000)+`":1}`, 1),
		strings.Replace(plain, `"dist":{}`, `"dist":{},"config":{"a":1,"a":2},"config":3`, 1),
	} {
		for _, size := range []int{1, 100, len(in)} {
			got, err := scan(ofWidget, []byte(in), size)
			require.NoError(t, err)
			assert.Equal(t, "1.0.0", got.Version)
		}
		_, _, err := packument.Split([]byte(strings.Replace(in, `"data":""`, `"data":"AAAA"`, 1)), "1.0.0")
		assert.NoError(t, err, "and it can be split")
	}
	doc := `{"_rev":"1","versions":{"1.0.0":{"deprecated":"x","config":` + deep + `,"author":"\ud800"}},"dist-tags":{}}`
	d, kind, err := read(doc, 10)
	require.NoError(t, err, "sent back to deprecate it")
	assert.Equal(t, packument.KindDocument, kind)
	assert.Equal(t, map[string]string{"1.0.0": "x"}, d.Versions)
}

// The bodies have the shape that each client sends: fields, their order, and what
// its manifests hold besides package.json.
func TestEveryClient(t *testing.T) {
	files, err := filepath.Glob("testdata/*.json")
	require.NoError(t, err)
	require.Len(t, files, 19)
	for _, file := range files {
		client := strings.TrimSuffix(filepath.Base(file), ".json")
		t.Run(client, func(t *testing.T) {
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			pkg, tarball := widget, "@acme/widget-2.3.4.tgz"
			if client == "npm12-unscoped" {
				pkg, tarball = protocol.PackageName{Name: "turnstile"}, "turnstile-2.3.4.tgz"
			}
			want := protocol.Change{
				Version: "2.3.4", Tags: map[string]string{"latest": "2.3.4"}, Attachments: []string{tarball},
				Integrity: "sha512-iAAvfhrmjrRVaR+ksS1TSbeSAWkF8B3n4ji/9yopXTiLZC2r/7wJRJRqfi8/+8zPcxJevmlsLY7r348iltPIqA==",
			}
			switch client {
			case "npm11":
				want.Access = "public"
			case "npm12-provenance":
				want.Access, want.Attachments = "public", append(want.Attachments, "@acme/widget-2.3.4.sigstore")
			case "berry2", "berry4":
				want.Access = "restricted"
			}
			for _, size := range []int{1, 7, len(data)} {
				got, err := scan(packument.Config{Package: pkg, By: "carol"}, data, size)
				require.NoError(t, err)
				want.Body = bodyWithout(t, data)
				assert.Equal(t, want, got)
			}
			_, err = scan(packument.Config{Package: protocol.PackageName{Scope: "acme-evil", Name: "widget"}, By: "carol"}, data, 64)
			assert.ErrorContains(t, err, "another package", "PC-29")
			_, err = scan(packument.Config{Package: pkg, By: "carol"}, data[:len(data)-2], 64)
			assert.ErrorContains(t, err, "unexpected end")
		})
	}
}

const plain = `{"_id":"@acme/widget","name":"@acme/widget","dist-tags":{"latest":"1.0.0"},` +
	`"versions":{"1.0.0":{"name":"@acme/widget","version":"1.0.0","_id":"@acme/widget@1.0.0","dist":{}}},` +
	`"access":null,"_attachments":{"@acme/widget-1.0.0.tgz":{"content_type":"x","data":"","length":0}}}`

// attached is what plain has at its end, and first is plain with it at its beginning, as Yarn
// 2 to 4 send it.
const attached = `"_attachments":{"@acme/widget-1.0.0.tgz":{"content_type":"x","data":"","length":0}}`

var first = strings.Replace(strings.Replace(plain, ","+attached, "", 1), "{", "{"+attached+",", 1)

func TestRefuses(t *testing.T) {
	for _, in := range []string{plain, first} {
		_, err := scan(ofWidget, []byte(in), 1)
		require.NoError(t, err, "what the cases change is a publish")
	}
	// What is refused as a publish and as a document before it is known which of them it is
	// has the sentence for a document.
	early := map[string]string{
		"tag to nothing":          "a dist-tag must name a version",
		"version":                 "about another version",
		"version with a path":     "about another version",
		"PC-28 nameless":          "a maintainer must have a name",
		"PC-28 named by a number": "a maintainer must have a name",
	}
	const other = "only a plain publish"
	for _, tt := range []struct{ name, old, new, says string }{
		{"PC-29 name", `"name":"@acme/widget","dist`, `"name":"@acme/gadget","dist`, "another package than the address"},
		{"PC-29 name without scope", `"name":"@acme/widget","dist`, `"name":"widget","dist`, "another package than the address"},
		{"PC-29 name encoded", `"name":"@acme/widget","dist`, `"name":"@acme%2fwidget","dist`, "another package than the address"},
		{"PC-29 no name", `"name":"@acme/widget","dist`, `"dist`, "does not name its package"},
		{"PC-29 name null", `"name":"@acme/widget","dist`, `"name":null,"dist`, "another package than the address"},
		{"PC-29 name of another type", `"name":"@acme/widget","dist`, `"name":["@acme/widget"],"dist`, "another package than the address"},
		{"PC-29 name long", `"name":"@acme/widget","dist`, `"name":"` + strings.Repeat("a", 2000) + `","dist`, "another package than the address"},
		{"PC-29 name twice", `"access"`, `"name":"@acme/gadget","access"`, "duplicate key"},
		{"PC-29 Name beside it", `"access"`, `"Name":"@acme/gadget","access"`, "does not have"},
		{"PC-29 name escaped twice", `"access"`, `"n\u0061me":"@acme/gadget","access"`, "duplicate key"},
		{"PC-30", `"_id":"@acme/widget",`, `"_id":"@acme/gadget",`, "another package than the address"},
		{"PC-30 null", `"_id":"@acme/widget",`, `"_id":null,`, "another package than the address"},
		{"PC-31 name", `{"name":"@acme/widget","version"`, `{"name":"plain","version"`, "manifest is about another package"},
		{"PC-31 no name", `{"name":"@acme/widget","version"`, `{"version"`, "lacks name or version"},
		{"PC-31 version", `"version":"1.0.0"`, `"version":"1.0.1"`, "manifest is about another version"},
		{"PC-31 no version", `"version":"1.0.0",`, ``, "lacks name or version"},
		{"PC-31 version of another type", `"version":"1.0.0"`, `"version":1`, "manifest is about another version"},
		{"PC-31 _id", `"_id":"@acme/widget@1.0.0"`, `"_id":"@acme/widget@1.0.1"`, "_id of another version"},
		{"PC-31 NAME", `"dist":{}}`, `"dist":{},"NAME":"plain"}`, "field in another case"},
		{"PC-31 ver\u017fion", `"dist":{}}`, `"dist":{},"ver\u017fion":"9.9.9"}`, "field in another case"},
		{"PC-31 Dist", `"dist":{}}`, `"Dist":{}}`, "field in another case"},
		{"dist", `"dist":{}`, `"dist":"x"`, "dist must be an object"},
		{"PC-32", `"@acme/widget-1.0.0.tgz"`, `"plain-1.0.0.tgz"`, "not the name of this version's tarball"},
		{"PC-32 version", `"@acme/widget-1.0.0.tgz"`, `"@acme/widget-1.0.1.tgz"`, "not the name of this version's tarball"},
		{"PC-32 scope", `"@acme/widget-1.0.0.tgz"`, `"@acme-evil/widget-1.0.0.tgz"`, "not the name of this version's tarball"},
		{"PC-32 path", `"@acme/widget-1.0.0.tgz"`, `"../widget-1.0.0.tgz"`, "not the name of this version's tarball"},
		{"PC-32 beside it", `"_attachments":{`, `"_attachments":{"plain-1.0.0.tgz":{"data":""},`, "not the name of this version's tarball"},
		{"two tarballs", `"_attachments":{`, `"_attachments":{"widget-1.0.0.tgz":{"data":""},`, "must have one tarball"},
		{"three attachments", `"_attachments":{`, `"_attachments":{"a":{"data":""},"b":{"data":""},`, "attachments besides"},
		{"only provenance", `"@acme/widget-1.0.0.tgz"`, `"@acme/widget-1.0.0.sigstore"`, "must have one tarball"},
		{"attachment is a stub", `"data":"",`, `"stub":true,`, "does not have"},
		{"attachment without data", `"data":"",`, ``, "has no data"},
		{"second attachment without data", `"_attachments":{`, `"_attachments":{"@acme/widget-1.0.0.sigstore":{},`, "has no data"},
		{"attachment data", `"data":""`, `"data":{}`, "must be a string"},
		{"attachment type", `"content_type":"x"`, `"content_type":1`, "must be a string"},
		{"attachment length", `"length":0`, `"length":"0"`, "must be a number"},
		{"attachment", `:{"content_type":"x","data":"","length":0}`, `:""`, "must be an object"},
		{"attachments", `{"@acme/widget-1.0.0.tgz":{"content_type":"x","data":"","length":0}}`, `[{"data":""}]`, "_attachments must be an object"},
		{"tag to another version", `"latest":"1.0.0"`, `"latest":"1.0.0","next":"1.0.1"`, "must name the published version"},
		{"tag to nothing", `"latest":"1.0.0"`, `"latest":null`, "must name the published version"},
		{"tag name empty", `"latest":`, `"":`, "not allowed"},
		{"tag name with a slash", `"latest":`, `"../latest":`, "not allowed"},
		{"tag name is a version", `"latest":`, `"v1.0.0":`, "not allowed"},
		{"tags", `"dist-tags":{"latest":"1.0.0"}`, `"dist-tags":[]`, "dist-tags must be an object"},
		{"too many tags", `"latest":"1.0.0"`, tags(33), "too many dist-tags"},
		{"version", `"versions":{"1.0.0"`, `"versions":{"1.0"`, "not a semantic version"},
		{"version with a path", `"versions":{"1.0.0"`, `"versions":{"1.0.0-../../x"`, "not a semantic version"},
		{"version null", `"versions":{"1.0.0":`, `"versions":{"1.0.0":null,"x":`, "a version must be an object"},
		{"versions empty", plain[strings.Index(plain, `{"1.0.0":{`):strings.Index(plain, `,"access"`)], `{}`, "has no version"},
		{"versions null", plain[strings.Index(plain, `{"1.0.0":{`):strings.Index(plain, `,"access"`)], `null`, "versions must be an object"},
		{"access", `"access":null`, `"access":"private"`, "public or restricted"},
		{"access of another type", `"access":null`, `"access":true`, "public or restricted"},
		{"unknown field", `"access":null`, `"owners":["mallory"]`, "does not have"},
		{"deleted", `"access":null`, `"_deleted":true`, "does not have"},
		{"prototype", `"access":null`, `"__proto__":{}`, "does not have"},
		{"maintainers", `"access":null`, `"maintainers":{"name":"mallory"}`, "maintainers must be an array"},
		{"maintainer as text", `"access":null`, `"maintainers":["mallory"]`, "a maintainer must be an object"},
		{"PC-28 another maintainer", `"access":null`, `"maintainers":[{"name":"mallory"}]`, "who maintains"},
		{"PC-28 beside the publisher", `"access":null`, `"maintainers":[{"name":"carol"},{"name":"mallory"}]`, "who maintains"},
		{"PC-28 before the publisher", `"access":null`, `"maintainers":[{"name":"mallory"},{"name":"carol"}]`, "who maintains"},
		{"PC-28 nobody", `"access":null`, `"maintainers":[]`, "who maintains"},
		{"PC-28 nameless", `"access":null`, `"maintainers":[{"name":"carol"},{}]`, "who maintains"},
		{"PC-28 named by a number", `"access":null`, `"maintainers":[{"name":1}]`, "who maintains"},
		{"PC-28 Name", `"access":null`, `"maintainers":[{"name":"carol","Name":"mallory"}]`, "who maintains"},
		{"trailing data", `"length":0}}}`, `"length":0}}}{}`, "data after the end"},
		{"JB-07", `"access":null`, `"access":"\ud800"`, "unpaired surrogate"},
		{"JB-07 in what an installation reads", `"dist":{}`, `"dist":{},"scripts":{"x":"\ud800"}`, "unpaired surrogate"},
		{"JB-01 in what an installation reads", `"dist":{}`, `"dist":{},"scripts":{"x":"a","x":"b"}`, "duplicate key"},
		{"bytes that JavaScript does not write", `"access":null`, "\"description\":\"\xe9\"", "invalid UTF-8"},

		// What else comes as PUT /<pkg>.
		{"PC-26 deprecate, retry after 409", `"access":null`, `"_rev":"3-abc"`, other},
		{"PC-22 a version among several", `"versions":{`, `"versions":{"0.9.0":{"name":"@acme/widget","version":"0.9.0"},`, other},
		{"history", `"access":null`, `"time":{}`, other},
		{"star", `"access":null`, `"users":{"mallory":true}`, other},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, order := range []string{plain, first} {
				if order == first && tt.name == "trailing data" {
					continue // the case is about the end of plain
				}
				require.Equal(t, 1, strings.Count(order, tt.old), "the case changes one place")
				in := []byte(strings.Replace(order, tt.old, tt.new, 1))
				says := tt.says
				if sentence, is := early[tt.name]; is && order == plain {
					says = sentence
				}
				var texts []string
				for _, size := range []int{1, 5, len(in)} {
					got, err := scan(ofWidget, in, size)
					require.Error(t, err)
					assert.Zero(t, got)
					_, ok := errors.AsType[*packument.Error](err)
					assert.True(t, ok, "%T", err)
					assert.ErrorContains(t, err, says)
					assert.Equal(t, says == other, errors.Is(err, packument.ErrNotPublish))
					texts = append(texts, err.Error())
				}
				assert.Equal(t, texts[0], texts[1])
				assert.Equal(t, texts[0], texts[2])
				assert.NotContains(t, texts[0], "mallory")
			}
		})
	}
}

func tags(n int) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf(`"t%d":"1.0.0"`, i))
	}
	return strings.Join(list, ",")
}

// PC-28 and the others that share the request: none of them is taken for a publish.
func TestOtherOperations(t *testing.T) {
	const attachments = `{"@acme/widget-1.0.0.tgz":{"content_type":"x","data":"","length":0}}`
	for name, in := range map[string]string{
		"PC-28 owner":              `{"_id":"@acme/widget","_rev":"1","maintainers":[{"name":"mallory"}]}`,
		"PC-28 owner without _rev": `{"_id":"@acme/widget","name":"@acme/widget","maintainers":[{"name":"carol"}]}`,
		"star":                     `{"_id":"@acme/widget","_rev":"1","users":{"alice":true}}`,
		"deprecate":                `{"name":"@acme/widget","versions":{"1.0.0":{"name":"@acme/widget","version":"1.0.0","deprecated":"no"}}}`,
		"nothing":                  `{}`,
		"no attachment":            strings.Replace(plain, attachments, `{}`, 1),
		"attachments of no kind":   strings.Replace(plain, attachments, `[]`, 1),
		"attachments null":         strings.Replace(first, attachments, `null`, 1),
	} {
		_, err := scan(ofWidget, []byte(in), 3)
		assert.ErrorIs(t, err, errDocument, name)
	}
	for _, in := range []string{`[]`, `null`, `"x"`, ``, `x`} {
		_, err := scan(ofWidget, []byte(in), 3)
		assert.Error(t, err, in)
		assert.IsType(t, &packument.Error{}, err, in)
		assert.NotErrorIs(t, err, packument.ErrNotPublish, in)
	}
}

// Everything is known when the last brace was written, before a reader that does
// not wait for the end of the body can have decoded it.
func TestJudgedByTheLastBrace(t *testing.T) {
	for _, change := range [][2]string{
		{`"@acme/widget-1.0.0.tgz"`, `"plain-1.0.0.tgz"`},
		{`"latest":"1.0.0"`, `"latest":"1.0.1"`},
		{`"name":"@acme/widget","dist`, `"dist`},
		{`"access":null`, `"maintainers":[{"name":"mallory"}]`},
	} {
		require.Equal(t, 1, strings.Count(plain, change[0]))
		_, err := packument.New(ofWidget).Write([]byte(strings.Replace(plain, change[0], change[1], 1)))
		assert.Error(t, err, change[1])
	}
	s := packument.New(ofWidget)
	_, err := s.Write([]byte(plain + " \n"))
	require.NoError(t, err)
	_, err = s.Write([]byte("x"))
	assert.ErrorContains(t, err, "data after the end")
}

// Where the document ends is known as soon as its last brace was written, and little may
// follow.
func TestBrace(t *testing.T) {
	for _, lead := range []string{"", "\r\n "} {
		in := lead + plain
		for _, tail := range []string{"", "\n", " \t\r\n", strings.Repeat(" ", 4096)} {
			for _, size := range []int{1, 2, 7, 1 << 20} {
				s := packument.New(ofWidget)
				for rest := in + tail; rest != ""; {
					n := min(size, len(rest))
					_, err := s.Write([]byte(rest[:n]))
					require.NoError(t, err)
					rest = rest[n:]
					want := -1
					if len(rest) <= len(tail) {
						want = len(in) - 1
					}
					require.EqualValues(t, want, s.Brace())
				}
				require.NoError(t, s.Close())
			}
		}
	}
	for _, size := range []int{1, 100, 1 << 20} {
		_, err := scan(ofWidget, []byte(plain+strings.Repeat("\n", 4097)), size)
		assert.ErrorContains(t, err, fmt.Sprintf("data after the end at byte %d", len(plain)+4096))
	}
}

// A publish of nobody's can name no maintainer.
func TestMaintainerWithoutPublisher(t *testing.T) {
	for _, order := range []string{plain, first} {
		for who, says := range map[string]string{"carol": "who maintains", "": "maint"} {
			in := strings.Replace(order, `"access":null`, `"maintainers":[{"name":"`+who+`"}]`, 1)
			_, err := packument.New(packument.Config{Package: widget}).Write([]byte(in))
			assert.ErrorContains(t, err, says)
		}
	}
}

func TestWriteStopsAtTheFirstFault(t *testing.T) {
	s := packument.New(ofWidget)
	_, err := s.Write([]byte(`{"name":"plain"`))
	require.ErrorContains(t, err, "another package")
	_, again := s.Write([]byte(`}`))
	assert.Equal(t, err, again)
	assert.Equal(t, err, s.Close())
}

func TestCloseIsNeededAndFinal(t *testing.T) {
	s := packument.New(ofWidget)
	_, err := s.Write([]byte(plain))
	require.NoError(t, err)
	require.NoError(t, s.Close())
	first := s.Publish()
	s.Abort()
	require.NoError(t, s.Close())
	assert.Equal(t, first, s.Publish())
}

func TestVersions(t *testing.T) {
	for v, ok := range map[string]bool{
		"0.0.0": true, "1.2.3": true, "1.2.3-beta.1": true, "1.2.3-0": true, "1.2.3-01": false, "1.2.3-01a": true, "1.2.3--": true,
		"1.2.3+build.01": true, "1.2.3-a+b": true, "1.2.3+": false, "1.2.3-": false, "1.2.3-a..b": false, "01.2.3": false, "1.2": false,
		"1.2.3.4": false, "v1.2.3": false, "1..3": false, "1.2.x": false, "1.2.3 ": false, "1.2.3-é": false, "99999999999999999.0.0": false,
		"1.2.3-" + strings.Repeat("a", 250): true, "1.2.3-" + strings.Repeat("a", 251): false, "1.2.3+a+b": false, "-1.2.3": false,
	} {
		_, err := scan(ofWidget, []byte(strings.ReplaceAll(plain, "1.0.0", v)), 100)
		if ok {
			assert.NoError(t, err, v)
		} else {
			assert.ErrorContains(t, err, "not a semantic version", v)
		}
	}
}

func ExampleScanner() {
	s := packument.New(packument.Config{Package: protocol.PackageName{Scope: "acme", Name: "gadget"}, By: "carol"})
	_, err := s.Write([]byte(plain))
	fmt.Println(err)

	s = packument.New(packument.Config{Package: widget, By: "carol"})
	_, _ = s.Write([]byte(plain))
	err = s.Close()
	publish := s.Publish()
	fmt.Println(publish.Version, publish.Tags, publish.Attachments, err)
	// Output:
	// the body is about another package than the address
	// 1.0.0 map[latest:1.0.0] [@acme/widget-1.0.0.tgz] <nil>
}
