package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
)

// refusedTarball: the tarball is more work than its bytes allow.
var refusedTarball = []string{"400"}

// publish is the publish of one version. edit, which may be nil, changes its manifest.
func publish(from source, token, name, version string, edit func(manifest map[string]any), tgz []byte) call {
	manifest := map[string]any{"name": name, "version": version, "dist": map[string]string{}}
	if edit != nil {
		edit(manifest)
	}
	return call{from: from, method: http.MethodPut, path: name, bearer: token, body: map[string]any{
		"_id": name, "name": name, "dist-tags": map[string]string{"latest": version},
		"versions": map[string]any{version: manifest},
		"_attachments": map[string]any{name + "-" + version + ".tgz": map[string]any{
			"content_type": "application/octet-stream", "data": base64.StdEncoding.EncodeToString(tgz), "length": len(tgz),
		}},
	}}
}

func packageJSON(name, version string) string {
	return fmt.Sprintf(`{"name":%q,"version":%q}`, name, version)
}

// packed is the tarball of a package that has nothing.
func packed(name, version string) []byte {
	return gzipped(func(w io.Writer) { writeEntry(w, "package/package.json", packageJSON(name, version)) })
}

// writeEntry writes a header and a file of a tar.
func writeEntry(w io.Writer, name, content string) {
	out := tar.NewWriter(w)
	_ = out.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))}) // to memory
	_, _ = io.WriteString(out, content)
	_ = out.Flush()
}

func gzipped(write func(w io.Writer)) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	write(w)
	_, _ = w.Write(make([]byte, 1024))
	_ = w.Close()
	return out.Bytes()
}

// bombs are the tarballs of AU-26: pax records, many package.json, zeros, and headers alone.
var bombs = sync.OnceValue(func() [][]byte {
	name, version := "bomb", "1.0.0"
	repeat := func(n int, name, content string, kind byte) []byte {
		var one bytes.Buffer
		writeEntry(&one, name, content)
		if kind != 0 {
			header := one.Bytes()[:512]
			header[156] = kind
			copy(header[148:], "        ")
			sum := 0
			for _, c := range header {
				sum += int(c)
			}
			copy(header[148:], fmt.Sprintf("%06o\x00 ", sum))
			writeEntry(&one, "package/x", "")
		}
		return gzipped(func(w io.Writer) {
			writeEntry(w, "package/package.json", packageJSON(name, version))
			for range n {
				_, _ = w.Write(one.Bytes())
			}
		})
	}
	return [][]byte{
		repeat(2000, "PaxHeader", strings.Repeat("5 a=\n", 60<<10/5), 'x'),
		repeat(20000, "package/package.json", packageJSON(name, version), 0),
		repeat(300, "package/x", strings.Repeat("\x00", 1<<20), 0),
		repeat(100000, "package/x", "", 0),
	}
})

// bomb is AU-26.
func bomb(ctx context.Context, t *target, i int) (string, error) {
	all := bombs()
	return publish(mixed(i), t.Scene.Publisher[i%publishers], "bomb", "1.0.0", nil, all[i%len(all)]).answered(ctx, t)
}
