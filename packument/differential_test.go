package packument_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	olddoc "github.com/npmauth/npmauth/internal/packument"
	"github.com/npmauth/npmauth/internal/publishbody"
	"github.com/npmauth/npmauth/internal/strictjson"
	"github.com/npmauth/npmauth/packument"
)

// at writes data byte by byte, and returns what it was told and after how many bytes.
func at(data []byte, write func([]byte) (int, error)) (int, error) {
	for i := range data {
		if _, err := write(data[i : i+1]); err != nil {
			return i + 1, err
		}
	}
	return len(data) + 1, nil
}

// attachment returns behind which byte an attachment begins, or -1.
func attachment(data []byte) int {
	found := errors.New("found")
	s := strictjson.NewScanner(strictjson.Limits{}, func(e strictjson.Event) error {
		if len(e.Path) == 2 && e.Path[0].Key == "_attachments" && e.Kind != strictjson.EndArray && e.Kind != strictjson.EndObject {
			return found
		}
		return nil
	})
	n, err := at(data, s.Write)
	if err == nil { // a number ends with what follows it
		err = s.Close()
	}
	if !errors.Is(err, found) {
		return -1
	}
	return n
}

type outcome struct {
	kind  packument.Kind
	pub   publishbody.Result
	doc   olddoc.Document
	says  string
	other bool
}

func old(data []byte, unpack bool) outcome {
	d := olddoc.New(widget, "carol")
	docAt, docErr := at(data, d.Write)
	var doc olddoc.Document
	if docErr == nil {
		doc, docErr = d.Close()
	}
	makes := publishbody.New
	if unpack {
		makes = publishbody.NewUnpacking
	}
	p := makes(widget, "carol")
	defer p.Abort()
	pubAt, pubErr := at(data, p.Write)
	var pub publishbody.Result
	if pubErr == nil {
		pub, pubErr = p.Close()
	}
	attached := attachment(data)
	if attached < 0 || docErr != nil && pubErr != nil && docAt <= attached && pubAt <= attached && max(docAt, pubAt) < attached {
		if docErr != nil {
			return outcome{says: docErr.Error()}
		}
		return outcome{kind: packument.KindDocument, doc: doc}
	}
	if pubErr != nil {
		return outcome{says: pubErr.Error(), other: errors.Is(pubErr, publishbody.ErrNotPublish)}
	}
	return outcome{kind: packument.KindPublish, pub: pub}
}

func fresh(t *testing.T, data []byte, unpack bool, size int) outcome {
	s := packument.New(packument.Config{Package: widget, By: "carol", CheckTarball: unpack})
	defer s.Abort()
	for rest := data; len(rest) > 0; {
		n := min(size, len(rest))
		_, err := s.Write(rest[:n])
		rest = rest[n:]
		if size == 1 && (err == nil || s.Kind() == packument.KindPublish) {
			attached := attachment(data)
			require.Equal(t, attached >= 0 && len(data)-len(rest) >= attached, s.Kind() == packument.KindPublish)
		}
		if err != nil {
			break
		}
	}
	err := s.Close()
	if err != nil {
		require.IsType(t, &packument.Error{}, err)
		return outcome{says: err.Error(), other: errors.Is(err, packument.ErrNotPublish)}
	}
	p, d := s.Publish(), s.Document()
	return outcome{kind: s.Kind(), pub: publishbody.Result(p), doc: olddoc.Document(d)}
}

// FuzzDifferential holds the scanner to the two that it replaces.
func FuzzDifferential(f *testing.F) {
	tarballs := []string{"", packed(widget, "1.0.0"), packed(widget, "1.0.1")}
	for _, seed := range differentialSeeds(f) {
		f.Add([]byte(seed), byte(1), false)
		f.Add([]byte(seed), byte(1), true)
	}
	f.Fuzz(func(t *testing.T, data []byte, which byte, unpack bool) {
		data = bytes.ReplaceAll(data, []byte("$tgz"), []byte(tarballs[int(which)%len(tarballs)]))
		want := old(data, unpack)
		for _, size := range []int{1, 2, 7, 64, 1 << 30} {
			require.Equal(t, want, fresh(t, data, unpack, size), "pieces of %d", size)
		}
	})
}

func differentialSeeds(f *testing.F) (seeds []string) {
	const plain = `{"_id":"@acme/widget","name":"@acme/widget","dist-tags":{"latest":"1.0.0"},` +
		`"versions":{"1.0.0":{"name":"@acme/widget","version":"1.0.0","_id":"@acme/widget@1.0.0","dist":{}}},` +
		`"access":null,"_attachments":{"@acme/widget-1.0.0.tgz":{"content_type":"x","data":"$tgz","length":0}}}`
	const first = `{"_attachments":{"@acme/widget-1.0.0.tgz":{"content_type":"x","data":"$tgz","length":0}},` +
		`"_id":"@acme/widget","name":"@acme/widget","dist-tags":{"latest":"1.0.0"},"access":null,` +
		`"versions":{"1.0.0":{"name":"@acme/widget","version":"1.0.0","_id":"@acme/widget@1.0.0","dist":{}}}}`
	for _, file := range []string{"publishbody_test.go", "unpack_test.go"} {
		seeds = append(seeds, quoted(f, "../internal/publishbody/"+file)...)
	}
	seeds = append(seeds, quoted(f, "../internal/packument/packument_test.go")...)
	seeds = append(seeds, quoted(f, "../document_test.go")...)
	changes := pairs(f, "../internal/publishbody/publishbody_test.go")
	for _, whole := range []string{plain, first} {
		seeds = append(seeds, whole, whole+"\n", whole+strings.Repeat(" ", 4096), whole+strings.Repeat(" ", 4097))
		for _, c := range changes {
			seeds = append(seeds, strings.Replace(whole, c[0], c[1], 1))
		}
	}
	for _, m := range []string{`"maintainers":[{"name":"carol"},{"name":"carol"}]`, `"maintainers":[{"name":"carol"}]`, `"_rev":"1-a"`, `"_rev":1`, `"users":{}`} {
		seeds = append(seeds, strings.Replace(plain, `"access":null`, m, 1), strings.Replace(first, `"access":null`, m, 1))
		seeds = append(seeds, strings.Replace(plain, `"dist":{}`, `"dist":{},"deprecated":true`, 1))
	}
	files, err := filepath.Glob("../internal/publishbody/testdata/*.json")
	require.NoError(f, err)
	require.NotEmpty(f, files)
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(f, err)
		seeds = append(seeds, string(data), strings.Replace(string(data), "{", `{"_rev":"1-x",`, 1))
	}
	require.Greater(f, len(seeds), 300, fmt.Sprint(len(seeds)))
	return seeds
}
