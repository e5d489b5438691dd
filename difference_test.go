package npmauth_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/protocol"
)

// A keeper is the table of packages of a host that hands out tarballs.
type keeper struct {
	host.Packages
	staged, published map[string][]byte // by ID, and by package and version
	opened            []string
	open              func() (io.ReadCloser, error) // in the place of what there is; nil: nothing is
}

func (k *keeper) tarball(what string, of map[string][]byte) (io.ReadCloser, error) {
	k.opened = append(k.opened, what)
	if k.open != nil {
		return k.open()
	}
	data, ok := of[what]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}

func (k *keeper) StagedTarball(_ context.Context, id string) (io.ReadCloser, error) {
	return k.tarball(id, k.staged)
}

func (k *keeper) PublishedTarball(_ context.Context, pkg protocol.PackageID, version string) (io.ReadCloser, error) {
	return k.tarball(string(pkg)+"@"+version, k.published)
}

// keeps is a Config whose packages are those of k.
func keeps(k *keeper) func(*npmauth.Config) {
	return func(cfg *npmauth.Config) {
		k.Packages, k.staged, k.published = cfg.Packages, map[string][]byte{}, map[string][]byte{}
		cfg.Packages = k
	}
}

// comparing returns a world in which a version of plain is staged, with what its host keeps, alice's browser and session,
// and the version's ID.
func comparing(t *testing.T) (k *keeper, w *world, b *tab, session, id string) {
	t.Helper()
	k = &keeper{}
	w = newWorld(t, stages, keeps(k))
	session = w.alice(protocol.AuthAndWrites)
	b = w.tab()
	b.signIn("alice", "staged")
	return k, w, b, session, w.staged("plain", "3.0.0", session)
}

// pack returns a tarball of files, by their paths below package/.
func pack(t *testing.T, manifest string, files ...string) []byte {
	t.Helper()
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	archive := tar.NewWriter(zip)
	files = append([]string{"package.json", manifest}, files...)
	for i := 0; i < len(files); i += 2 {
		require.NoError(t, archive.WriteHeader(&tar.Header{Name: "package/" + files[i], Mode: 0o644, Size: int64(len(files[i+1]))}))
		_, err := archive.Write([]byte(files[i+1]))
		require.NoError(t, err)
	}
	require.NoError(t, archive.Close())
	require.NoError(t, zip.Close())
	return out.Bytes()
}

// differs returns what the API says of a staged version, and the page of it.
func (b *tab) differs(bearer, id string) (is struct {
	Offered                         bool
	From, Tag, Problem, FromProblem string
	Size, FromSize                  int64
	Added, Removed, Changed         struct{ Total int }
	Manifest                        []struct{ Field, Name, From, To string }
}) {
	b.w.t.Helper()
	a := b.w.do(call{method: "GET", path: "/-/auth/v1/staged/" + id + "/difference", bearer: bearer})
	require.Equal(b.w.t, 200, a.Code, "%s", a.Body)
	require.NoError(b.w.t, json.Unmarshal(a.Body.Bytes(), &is))
	b.open("/-/auth/staged/"+id).is(200, "<h2>Decide</h2>")
	return is
}

// The page says in which files, scripts, commands and dependencies a staged version differs from what its dist-tag
// names, or latest.
func TestStagedDifference(t *testing.T) {
	k, w, b, s, id := comparing(t)
	k.published["id-plain@1.0.0"] = pack(t, `{"name":"plain","version":"1.0.0","scripts":{"test":"go"},"bin":"cli.js","dependencies":{"a":"^1.0.0","b":"1"}}`,
		"same.js", "same", "changed.js", "old", "gone.js", "four")
	k.staged[id] = pack(t, `{"name":"plain","version":"3.0.0","scripts":{"test":"go","postinstall":"node <evil> \u202e.js\ufe01"},"bin":{"plain":"cli.js"},"dependencies":{"a":"^2.0.0","b":"1"},"optionalDependencies":{"c":"*"}}`,
		"same.js", "same", "changed.js", "newer", "lib/<b>&.js", "12", "lib/h\ufe0fi\U000e0141d\u3164d\u2800en.js", "12345", "lib/\u202egpj.js", strings.Repeat("x", 3<<10), "line\nbreak", "1")
	w.host.change(func(p *hosted) { p.versions, p.tags = []string{"1.0.0"}, map[string]string{"latest": "1.0.0"} })

	is := b.differs(s, id)
	assert.Equal(t, []any{true, "1.0.0", "latest", "", "", 4, 1, 2}, []any{is.Offered, is.From, is.Tag, is.Problem, is.FromProblem, is.Added.Total, is.Removed.Total, is.Changed.Total})
	assert.Equal(t, []string{id, "id-plain@1.0.0"}, k.opened[:2])
	for _, text := range []string{
		"<h2>Difference from <bdi>1.0.0</bdi></h2>", "That version is published as <bdi>latest</bdi>.",
		`<th scope="row"><bdi>scripts: postinstall</bdi> <strong>Runs at install</strong></th><td>none</td><td><bdi>node &lt;evil&gt; \u202e.js\ufe01</bdi></td>`,
		`<th scope="row"><bdi>bin</bdi></th><td><bdi>cli.js</bdi></td><td>none</td>`, `<bdi>bin: plain</bdi></th><td>none</td><td><bdi>cli.js</bdi></td>`,
		`<bdi>dependencies: a</bdi></th><td><bdi>^1.0.0</bdi></td><td><bdi>^2.0.0</bdi></td>`, `<bdi>optionalDependencies: c</bdi></th><td>none</td><td><bdi>*</bdi></td>`,
		"<caption>Files that are new: 4</caption>", `<bdi>lib/h\ufe0fi\U000e0141d\u3164d\u2800en.js</bdi></th><td>5 bytes</td>`, `<bdi>lib/&lt;b&gt;&amp;.js</bdi></th><td>2 bytes</td>`, `<bdi>lib/\u202egpj.js</bdi></th><td>3.0 KiB</td>`, `<bdi>line\nbreak</bdi></th><td>1 byte</td>`,
		"<caption>Files with another content: 2</caption>", `<bdi>changed.js</bdi></th><td>3 bytes</td><td>5 bytes</td>`,
		"<caption>Files that are gone: 1</caption>", `<bdi>gone.js</bdi></th><td>4 bytes</td>`, "<dt>Staged</dt><dd>7 files, ", "<dt>Published</dt><dd>4 files, ",
	} {
		b.is(200, text)
	}
	for _, text := range []string{"same.js", "scripts: test", "dependencies: b", "<evil>", "\u202e", "\ufe01", "\ufe0f", "\U000e0141", "\u3164", "\u2800", "<b>"} {
		assert.NotContains(t, b.Body.String(), text)
	}

	// A dist-tag of its own counts before latest.
	next := call{method: "POST", path: "/-/stage/package/plain", body: strings.ReplaceAll(string(w.bytes(stageOf("plain", "4.0.0").body)), `"latest"`, `"next"`), bearer: s}
	a := w.do(next)
	require.Equal(t, 201, a.Code, "%s", a.Body)
	id = a.text("stageId")
	k.staged[id], k.published["id-plain@2.0.0"] = k.published["id-plain@1.0.0"], k.published["id-plain@1.0.0"]
	is = b.differs(s, id)
	assert.Equal(t, []string{"1.0.0", "latest"}, []string{is.From, is.Tag})
	b.is(200, "No file differs.")
	b.is(200, "Scripts, commands and dependencies are the same.")
	w.host.change(func(p *hosted) {
		p.versions, p.tags = append(p.versions, "2.0.0"), map[string]string{"latest": "1.0.0", "next": "2.0.0"}
	})
	is = b.differs(s, id)
	assert.Equal(t, []string{"2.0.0", "next"}, []string{is.From, is.Tag})

	// Of a first version all files are listed.
	first := w.staged("@acme/new", "1.0.0", s)
	k.staged[first] = pack(t, `{"name":"@acme/new","version":"1.0.0"}`, "index.js", "")
	is = b.differs(s, first)
	assert.Equal(t, []any{"", 2}, []any{is.From, is.Added.Total})
	b.is(200, "There is no published version that it could be compared with.")
	b.is(200, "<caption>Its files: 2</caption>")
	b.is(200, `<bdi>index.js</bdi></th><td>0 bytes</td>`)
}

// What cannot be read is said, and hides nothing of the rest.
func TestStagedDifferenceUnreadable(t *testing.T) {
	good := pack(t, `{"name":"plain","version":"3.0.0"}`, "a.js", "a")
	for name, tt := range map[string]struct {
		staged   []byte
		open     func() (io.ReadCloser, error)
		problem  string
		hasFiles bool
	}{
		"what is no tarball":     {staged: []byte("no gzip <b>"), problem: "It is malformed: the tarball is not valid gzip."},
		"what is cut short":      {staged: good[:len(good)-9], problem: "It is malformed: the tarball is cut short."},
		"nothing":                {staged: []byte{}, problem: "It is malformed: the tarball is cut short."},
		"no package.json":        {staged: pack(t, `{}`), problem: "It is malformed: the tarball&#39;s package.json lacks name or version."},
		"a way up":               {staged: pack(t, `{"name":"plain","version":"3.0.0"}`, "../../x", "x"), problem: "It is malformed: the tarball has an entry with .. in its path."},
		"a bomb":                 {staged: pack(t, `{"name":"plain","version":"3.0.0"}`, "zeros", strings.Repeat("\x00", 64<<20)), problem: "It is malformed: the tarball is too big unpacked."},
		"too many files":         {staged: pack(t, `{"name":"plain","version":"3.0.0"}`, many(50_000)...), problem: "It is larger than what this page compares."},
		"what the host lacks":    {problem: "The registry does not have it."},
		"a host that is broken":  {open: func() (io.ReadCloser, error) { return nil, errors.New("disk") }, problem: "The registry cannot read it at the moment."},
		"a host that panics":     {open: func() (io.ReadCloser, error) { panic("disk") }, problem: "The registry cannot read it at the moment."},
		"a reader that panics":   {open: func() (io.ReadCloser, error) { return io.NopCloser(brokenReader{}), nil }, problem: "The registry cannot read it at the moment."},
		"a host without a value": {open: func() (io.ReadCloser, error) { return nil, nil }, problem: "The registry does not have it."},
	} {
		t.Run(name, func(t *testing.T) {
			k, w, b, s, id := comparing(t)
			if tt.staged != nil {
				k.staged[id] = tt.staged
			}
			k.open = tt.open
			b.differs(s, id)
			b.is(200, "<p class=\"problem\">The staged tarball is not shown. <bdi>"+tt.problem+"</bdi></p>")
			b.is(200, "<dt>Staged by</dt><dd><bdi>alice</bdi></dd>")
			assert.NotContains(t, b.Body.String(), "<b>")
			b.submit("reject", "code", w.codeAfter("alice")).is(200, "is rejected.")

			// And likewise of what is published.
			id = w.staged("plain", "3.1.0", s)
			k.open, k.staged[id] = nil, good
			if tt.staged != nil {
				k.published["id-plain@2.0.0"] = tt.staged
			}
			w.host.change(func(p *hosted) { p.versions, p.tags = []string{"2.0.0"}, map[string]string{"latest": "2.0.0"} })
			if tt.open == nil {
				b.differs(s, id)
				b.is(200, "<p class=\"problem\">The published version is not compared. <bdi>"+tt.problem+"</bdi></p>")
				b.is(200, "<dt>Staged</dt><dd>2 files, ")
			}
		})
	}
}

// Where it is not known what is published it is not said that nothing is.
func TestStagedDifferenceWithoutDocument(t *testing.T) {
	k := &keeper{}
	w := newWorld(t, stages, keeps(k), func(cfg *npmauth.Config) { cfg.Documents = noDocuments{} })
	s := w.alice(protocol.AuthAndWrites)
	b := w.tab()
	b.signIn("alice", "staged")
	id := w.staged("plain", "3.0.0", s)
	k.staged[id] = pack(t, `{"name":"plain","version":"3.0.0"}`, "a.js", "a")
	b.differs(s, id)
	b.is(200, "The published version is not compared. <bdi>The registry cannot read it at the moment.</bdi>")
	b.is(200, "<dt>Staged</dt><dd>2 files, ")
	assert.NotContains(t, b.Body.String(), "There is no published version")
	assert.NotContains(t, b.Body.String(), "Its files")
}

type noDocuments struct{}

func (noDocuments) Document(context.Context, protocol.PackageName) (host.Document, error) {
	return host.Document{}, errors.New("disk")
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { panic("disk") }

// many are files whose contents differ.
func many(n int) (files []string) {
	for i := range n {
		files = append(files, fmt.Sprint(i), fmt.Sprintf("%x", sha256.Sum256([]byte{byte(i), byte(i >> 8), byte(i >> 16)})))
	}
	return files
}

// Long lists are cut with a count, and so are long texts. A path that is there twice is another file than either.
func TestStagedDifferenceIsCut(t *testing.T) {
	k, w, b, s, id := comparing(t)
	dependencies := map[string]string{}
	for i := range 700 {
		dependencies[fmt.Sprintf("d%04d", i)] = "1"
	}
	data, err := json.Marshal(map[string]any{"name": "plain", "version": "3.0.0", "dependencies": dependencies})
	require.NoError(t, err)
	k.staged[id] = pack(t, string(data), append(many(900), "n"+strings.Repeat("long/", 2000)+"x", "x", "twice", "1", "twice", "2")...)
	k.published["id-plain@2.0.0"] = pack(t, `{"name":"plain","version":"2.0.0"}`, "twice", "2")
	w.host.change(func(p *hosted) { p.versions, p.tags = []string{"2.0.0"}, map[string]string{"latest": "2.0.0"} })
	is := b.differs(s, id)
	assert.Equal(t, []int{901, 2}, []int{is.Added.Total, is.Changed.Total})
	b.is(200, "<caption>Files that are new: 901</caption>")
	b.is(200, "<p>And 701 more.</p>")
	b.is(200, "<p>And 500 more.</p>")
	b.is(200, "<bdi>twice</bdi></th><td>1 byte</td><td>1 byte</td>")
	assert.Less(t, b.Body.Len(), 1<<20)
}

// Clients install by the manifest of a version: it says what the package.json does that the page shows, also without
// Config.CheckTarball.
func TestStagedManifestIsShown(t *testing.T) {
	for _, shows := range []bool{true, false} {
		w := newWorld(t, stages)
		if shows {
			w = newWorld(t, stages, keeps(&keeper{}))
		}
		s := w.alice(protocol.AuthAndWrites)
		c := stageOf("plain", "3.0.0")
		c.bearer = s
		c.body = strings.Replace(string(w.bytes(c.body)), `"readme":`, `"dependencies":{"evil":"1.0.0"},"readme":`, 1)
		a := w.do(c)
		if !shows {
			assert.Equal(t, 201, a.Code, "%s", a.Body)
			continue
		}
		assert.Equal(t, 400, a.Code, "%s", a.Body)
		assert.Contains(t, a.text("error"), "dependencies")
		assert.Zero(t, w.listStaged(s, "").Total)
		c.body = stageOf("plain", "3.0.0").body
		assert.Equal(t, 201, w.do(c).Code)
	}
}

// It is for those who may see the version; a host that hands out no tarballs has what is known without.
func TestStagedDifferenceOfOthers(t *testing.T) {
	k := &keeper{}
	w := newWorld(t, stages, keeps(k))
	s := w.alice(protocol.AuthAndWrites)
	id := w.staged("plain", "3.0.0", s)
	w.person("bob")
	bob := w.login("bob")
	for _, bearer := range []string{"", bob} {
		a := w.do(call{method: "GET", path: "/-/auth/v1/staged/" + id + "/difference", bearer: bearer})
		assert.Equal(t, map[string]int{"": 401, bob: 404}[bearer], a.Code, "%s", a.Body)
	}
	assert.Empty(t, k.opened)
	assert.Equal(t, 404, w.do(call{method: "GET", path: "/-/auth/v1/staged/" + uuid + "/difference", bearer: s}).Code)

	w = newWorld(t, stages)
	s = w.alice(protocol.AuthAndWrites)
	b := w.tab()
	b.signIn("alice", "staged")
	w.host.change(func(p *hosted) { p.versions, p.tags = []string{"2.0.0"}, map[string]string{"latest": "2.0.0"} })
	is := b.differs(s, w.staged("plain", "3.0.0", s))
	assert.Equal(t, []any{false, "2.0.0"}, []any{is.Offered, is.From})
	b.is(200, "This registry does not show the files of staged versions.")
}
