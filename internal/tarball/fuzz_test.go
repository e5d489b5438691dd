package tarball_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/fuzzbound"
	"github.com/npmauth/npmauth/internal/tarball"
)

// FuzzTarball changes a tar (0), what gzip made of it (1) or the base64 (2). A
// Checker and an implementation that has the whole of it agree, wherever the text is
// cut; and of what is accepted archive/tar and encoding/json read the same. None takes more work or
// memory than its length allows: AU-26.
func FuzzTarball(f *testing.F) {
	for _, data := range accepted(f) {
		if len(data) < 5<<10 {
			f.Add(byte(0), data)
			f.Add(byte(1), zip(data))
			f.Add(byte(2), text(zip(data)))
		}
	}
	for _, tt := range refused() {
		if len(tt.data) < 5<<10 {
			f.Add(byte(0), tt.data)
		}
	}
	f.Fuzz(func(t *testing.T, layer byte, data []byte) {
		if layer%3 == 0 {
			data = zip(summed(data))
		}
		if layer%3 < 2 {
			data = text(data)
		}
		frugal(t, data)
		err := check(data, len(data)+1)
		for _, size := range []int{1, 512} {
			require.Equal(t, err, check(data, size), "in pieces of %d", size)
		}
		if err != nil && strings.Contains(err.Error(), "the tarball has too many") {
			return // the oracle does not count
		}
		want := naive(data)
		require.Equal(t, want == nil, err == nil, "checker: %v, oracle: %v", err, want)
		if err == nil {
			readers(t, data)
		}
	})
}

// summed returns a tar with the sums of its headers put right, so that a change
// reaches what is behind them.
func summed(data []byte) []byte {
	data = bytes.Clone(data)
	for i := 0; i+512 <= len(data); i += 512 {
		if h := data[i : i+512]; bytes.HasPrefix(h[257:], []byte("ustar")) && h[155] == ' ' {
			e := entry{edit: func(fresh []byte) { copy(fresh, h) }}
			copy(h, e.bytes()[:512])
		}
	}
	return data
}

// readers reads an accepted tarball as those would who read it later.
func readers(t *testing.T, in []byte) {
	packed, err := base64.StdEncoding.DecodeString(string(in))
	require.NoError(t, err)
	zip, err := gzip.NewReader(bytes.NewReader(packed))
	require.NoError(t, err)
	files := tar.NewReader(zip)
	var found []string
	for {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		require.Contains(t, []byte{tar.TypeReg, tar.TypeDir, tar.TypeXGlobalHeader}, h.Typeflag)
		_, rest, _ := strings.Cut(h.Name, "/")
		if rest != "package.json" || h.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		require.EqualValues(t, tar.TypeReg, h.Typeflag)
		body, err := io.ReadAll(files)
		require.NoError(t, err)
		found = append(found, string(body))
	}
	require.NotEmpty(t, found)
	for _, body := range found {
		require.Equal(t, found[0], body)
	}
	var m struct{ Name, Version string }
	require.NoError(t, json.Unmarshal([]byte(strings.TrimPrefix(found[0], "\ufeff")), &m))
	require.Equal(t, "@acme/widget", strings.TrimFunc(m.Name, func(r rune) bool { return unicode.IsSpace(r) || r == '\ufeff' }))
	require.Regexp(t, `1\.0+\.0`, m.Version)
}

// frugal fails the test if a check takes more work or memory than the length of its input allows.
func frugal(t *testing.T, in []byte) {
	n := int64(len(in)) / 4 * 3
	var work map[string]int64
	fuzzbound.Memory(t, in, func() int {
		c := tarball.New()
		_, _ = c.Write(in)
		_, _ = c.Close()
		work = c.Work()
		// What is made for attributes and names, some of it for each slash, is garbage at once.
		return int(1<<20 + 600*n + 64*work["attributes"] + 1000*work["headers"] + 500*work["records"] + 64*work["parsed"])
	})
	for what, bound := range most(n) {
		require.LessOrEqual(t, work[what], bound, what)
	}
}
