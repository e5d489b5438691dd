package tarball_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/manifest"
	"github.com/npmauth/npmauth/internal/tarball"
)

const packageJSON = `{"name":"@acme/widget","version":"1.0.0"}`

// check has text checked in pieces of size bytes, as the tarball of @acme/widget 1.0.0.
func check(text []byte, size int) error {
	c := tarball.New()
	for len(text) > 0 {
		n := min(size, len(text))
		if _, err := c.Write(text[:n]); err != nil {
			c.Abort()
			break // Close returns it again
		}
		text = text[n:]
	}
	content, err := c.Close()
	if err != nil {
		return err
	}
	return compare(content)
}

// compare compares only name and version: the rest is tested in package manifest.
func compare(c tarball.Content) error {
	packed := manifest.Manifest{Name: c.Manifest.Name, Version: c.Manifest.Version}
	return manifest.Compare(manifest.Manifest{Name: "@acme/widget", Version: "1.0.0"}, packed, &c.Files)
}

// An entry is the header and the content of a tar entry. What is zero is as it
// should be for the rest.
type entry struct {
	name, prefix, link, body string
	kind                     byte
	magic                    string
	edit                     func(header []byte) // before the sum is put in
	after                    func(header []byte) // and after
}

func (e entry) bytes() []byte {
	h := make([]byte, 512)
	copy(h, e.name)
	copy(h[100:], "0000644\x000000000\x000000000\x00")
	copy(h[124:], fmt.Sprintf("%011o\x00%011o\x00", len(e.body), 0))
	h[156] = '0'
	if e.kind != 0 {
		h[156] = e.kind
	}
	copy(h[157:], e.link)
	copy(h[257:], "ustar\x0000")
	copy(h[257:], e.magic)
	copy(h[345:], e.prefix)
	if e.edit != nil {
		e.edit(h)
	}
	copy(h[148:], "        ")
	sum := 0
	for _, c := range h {
		sum += int(c)
	}
	copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
	if e.after != nil {
		e.after(h)
	}
	h = append(h, e.body...)
	return append(h, make([]byte, -len(h)&511)...)
}

var end = make([]byte, 1024)

// tape returns a tar file.
func tape(entries ...entry) (data []byte) {
	for _, e := range entries {
		data = append(data, e.bytes()...)
	}
	return append(data, end...)
}

// record is one of pax.
func record(key, value string) string {
	for n := len(key) + len(value) + 3; ; n++ {
		if r := fmt.Sprintf("%d %s=%s\n", n, key, value); len(r) == n {
			return r
		}
	}
}

func zip(data []byte) []byte { return zipAs("", data) }

// zipAs writes a file name in the header.
func zipAs(name string, data []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if w.Name = name; name != "" {
		w.Comment, w.Extra = "a comment", []byte("extra")
	}
	_, _ = w.Write(data)
	_ = w.Close()
	return out.Bytes()
}

func text(data []byte) []byte { return []byte(base64.StdEncoding.EncodeToString(data)) }

// packed returns what archive/tar writes.
func packed(tb testing.TB, files map[string]string, format tar.Format) []byte {
	tb.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for name, body := range files {
		require.NoError(tb, w.WriteHeader(&tar.Header{Name: name, Size: int64(len(body)), Mode: 0o644, Format: format}))
		_, err := w.Write([]byte(body))
		require.NoError(tb, err)
	}
	require.NoError(tb, w.Close())
	return out.Bytes()
}

// most is the work that n bytes of gzip may cause, in numbers of its own.
func most(n int64) map[string]int64 {
	return map[string]int64{
		"unpacked":   33554432 + 64*n + 32768, // and a piece that was not read any more
		"headers":    16384 + n/16 + 1,
		"attributes": 1048576 + 8*n + 65536,
		"records":    16384 + n/8 + 1,
		"copies":     17,
		"hashed":     2097152 + 1048576,
		"parsed":     1048576,
	}
}
