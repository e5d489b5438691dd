package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/internal/fuzzbound"
	"github.com/npmauth/npmauth/packument"
	"github.com/npmauth/npmauth/protocol"
)

// body returns a publish of widget 1.0.0 whose tarball is "hello", after edit.
func body(t testing.TB, edit func(top, version, dist, attachment map[string]any)) string {
	t.Helper()
	attachment := map[string]any{"content_type": "application/octet-stream", "data": base64.StdEncoding.EncodeToString([]byte("hello")), "length": 5}
	dist := map[string]any{
		"integrity": "sha512-m3HSJL1i83hdltRq0+o9czGb+8KJDKra4t/3JRlnPKcjI8PZm6XBHXx6zG4UuMXaDEZjR1wuXDre9G9zvN7AQw==",
		"shasum":    "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d",
		"tarball":   "http://elsewhere.example/widget-1.0.0.tgz",
	}
	version := map[string]any{"name": "widget", "version": "1.0.0", "dist": dist}
	top := map[string]any{
		"_id": "widget", "name": "widget", "dist-tags": map[string]any{"latest": "1.0.0"},
		"versions":     map[string]any{"1.0.0": version},
		"_attachments": map[string]any{"widget-1.0.0.tgz": attachment},
	}
	if edit != nil {
		edit(top, version, dist, attachment)
	}
	raw, err := json.Marshal(top)
	require.NoError(t, err)
	return string(raw)
}

// keep runs the registry's own checks over a publish body.
func keep(t *testing.T, body string) (manifest, error) {
	t.Helper()
	tgz := draftOf(t, newTarballs(t), "")
	doc, err := readDocument(strings.NewReader(body), tgz)
	if err != nil {
		return nil, err
	}
	raw, _, err := doc.manifest("widget", "1.0.0", host.NPMUser{Name: "alice"}, tgz)
	if err != nil {
		return nil, err
	}
	var m manifest
	require.NoError(t, json.Unmarshal(raw, &m))
	return m, nil
}

func TestManifest(t *testing.T) {
	m, err := keep(t, body(t, func(_, version, dist, _ map[string]any) {
		version["description"] = "a <b> & c"
		version["_npmUser"] = map[string]string{"name": "mallory"}
		dist["fileCount"] = 3
		dist["signatures"] = []string{"forged"}
	}))
	require.NoError(t, err)
	assert.Equal(t, "a <b> & c", m.text("description"))
	assert.JSONEq(t, `{"name":"alice","email":""}`, string(m["_npmUser"]))
	assert.JSONEq(t, `{
		"fileCount": 3,
		"integrity": "sha512-m3HSJL1i83hdltRq0+o9czGb+8KJDKra4t/3JRlnPKcjI8PZm6XBHXx6zG4UuMXaDEZjR1wuXDre9G9zvN7AQw==",
		"shasum": "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d"
	}`, string(m["dist"]))
}

// Clients that send less than npm get what is missing from the bytes.
func TestManifestFillsIn(t *testing.T) {
	m, err := keep(t, body(t, func(_, version, _, attachment map[string]any) {
		delete(version, "dist")
		delete(attachment, "length")
	}))
	require.NoError(t, err)
	var dist manifest
	require.NoError(t, json.Unmarshal(m["dist"], &dist))
	assert.Equal(t, "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d", dist.text("shasum"))
	assert.True(t, strings.HasPrefix(dist.text("integrity"), "sha512-m3HSJL"))
}

func TestManifestRefuses(t *testing.T) {
	type object = map[string]any
	for name, edit := range map[string]func(top, version, dist, attachment object){
		"another integrity":    func(_, _, dist, _ object) { dist["integrity"] = "sha512-AAAA" },
		"weak integrity alone": func(_, _, dist, _ object) { dist["integrity"] = "sha1-qvTGHdzF6KLavt4PO0gs2a6pQ00=" },
		"integrity null":       func(_, _, dist, _ object) { dist["integrity"] = nil },
		"another shasum":       func(_, _, dist, _ object) { dist["shasum"] = strings.Repeat("0", 40) },
		"shasum a number":      func(_, _, dist, _ object) { dist["shasum"] = 1 },
		"another length":       func(_, _, _, attachment object) { attachment["length"] = 4 },
		"length a string":      func(_, _, _, attachment object) { attachment["length"] = "5" },
		"another tarball":      func(_, _, _, attachment object) { attachment["data"] = "aGVsbA==" },
		"another name":         func(_, version, _, _ object) { version["name"] = "gadget" },
		"another version":      func(_, version, _, _ object) { version["version"] = "1.0.1" },
		"no manifest":          func(top, _, _, _ object) { top["versions"] = object{} },
		"manifest a string":    func(top, _, _, _ object) { top["versions"] = object{"1.0.0": "x"} },
		"dist a string":        func(_, version, _, _ object) { version["dist"] = "x" },
		"no attachment":        func(top, _, _, _ object) { top["_attachments"] = object{} },
		"attachment elsewhere": func(top, _, _, a object) { delete(top, "_attachments"); top["_Attachments"] = object{"w.tgz": a} },
		"no data":              func(_, _, _, attachment object) { delete(attachment, "data") },
		"provenance":           func(top, _, _, _ object) { top["_attachments"].(object)["w-1.0.0.sigstore"] = object{"data": "{}"} },
	} {
		t.Run(name, func(t *testing.T) {
			_, err := keep(t, body(t, edit))
			no, ok := errors.AsType[*refusal](err)
			require.True(t, ok, "%v", err)
			assert.Equal(t, 400, no.status)
		})
	}
}

func TestReadDocumentFailures(t *testing.T) {
	whole := body(t, nil)
	read := func(r io.Reader) error {
		_, err := readDocument(r, draftOf(t, newTarballs(t), ""))
		return err
	}
	t.Run("cut", func(t *testing.T) {
		for _, n := range []int{0, 1, len(whole) / 2, len(whole) - 1} {
			_, ok := errors.AsType[*refusal](read(strings.NewReader(whole[:n])))
			assert.True(t, ok, "after %d bytes", n)
		}
	})
	t.Run("trailing data", func(t *testing.T) {
		_, ok := errors.AsType[*refusal](read(strings.NewReader(whole + "{}")))
		assert.True(t, ok)
	})
	t.Run("withheld last byte", func(t *testing.T) { // what npmauth does with a body that it refuses
		no := errors.New("not yours")
		err := read(io.MultiReader(strings.NewReader(whole[:len(whole)-1]), iotest.ErrReader(no)))
		assert.ErrorIs(t, err, errBody)
		assert.ErrorIs(t, err, no)
	})
	t.Run("too much metadata", func(t *testing.T) {
		endless := io.MultiReader(strings.NewReader(`{"readme":"`), iotest.OneByteReader(zeros{}))
		no, ok := errors.AsType[*refusal](read(endless))
		require.True(t, ok)
		assert.Equal(t, 413, no.status)
	})
}

// zeros is an endless stream of the digit 0.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '0'
	}
	return len(p), nil
}

// What is read of a publish that npmauth lets pass is what encoding/json reads, and its tarball.
func FuzzReadDocument(f *testing.F) {
	f.Add([]byte(body(f, nil)))
	f.Add([]byte(body(f, func(top, version, _, attachment map[string]any) {
		version["a"], top["readme"], attachment["length"] = map[string]any{"data": "x", "b": []any{1.5, nil}}, "\u00e9", nil
	})))
	for _, text := range []string{`{"versions":{"1.0.0":[]},"_attachments":{"x.tgz":{"data":"AAAA"}}}`, `{"_attachments":{"x.tgz":{"data":"AA=A"}}}`, `[{"_attachments":`, strings.Repeat("[", 1001)} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		// Members are copied from one map of them to the next.
		fuzzbound.Check(t, body, fuzzbound.Bounds{Memory: fuzzbound.Limit{Base: 256 << 10, PerByte: 512}, Work: fuzzbound.Limit{PerByte: 1}}, func(body []byte) int {
			doc, _ := readDocument(bytes.NewReader(body), io.Discard)
			return len(doc.Versions) + len(doc.Attachments)
		})
		scan := packument.New(packument.Config{Package: protocol.PackageName{Name: "widget"}, By: "alice"})
		if _, err := scan.Write(body); err != nil || scan.Close() != nil || scan.Kind() != packument.KindPublish {
			return // npmauth refuses it
		}
		var tarball bytes.Buffer
		doc, err := readDocument(bytes.NewReader(body), &tarball)
		if err != nil {
			return
		}
		var want struct {
			Versions    map[string]json.RawMessage
			Attachments map[string]struct{ Data []byte } `json:"_attachments"`
		}
		require.NoError(t, json.Unmarshal(body, &want))
		require.Equal(t, want.Versions, doc.Versions)
		require.Len(t, doc.Attachments, 1)
		for name, a := range want.Attachments {
			require.Contains(t, doc.Attachments, name)
			require.Equal(t, string(a.Data), tarball.String())
		}
	})
}
