package npmauth_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"regexp"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/host/hosttest"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/token"
)

// bigSize is the base64 of a tarball of 150 MiB.
const bigSize = 200 << 20

// writeBig writes a publish of plain 1.0.0 whose tarball has bigSize bytes of base64
// and a little more, without ever holding it.
func writeBig(to io.Writer) error {
	body := hosttest.PublishBody(protocol.PackageName{Name: "plain"}, "1.0.0")
	small := base64.StdEncoding.EncodeToString(hosttest.Tarball(protocol.PackageName{Name: "plain"}, "1.0.0"))
	head, tail, _ := bytes.Cut(body, []byte(small))
	if _, err := to.Write(head); err != nil {
		return err
	}
	text := base64.NewEncoder(base64.StdEncoding, to)
	long, short := sha512.New(), sha1.New()
	zip, err := gzip.NewWriterLevel(io.MultiWriter(text, long, short), gzip.NoCompression)
	if err != nil {
		return err
	}
	files := tar.NewWriter(zip)
	manifest := []byte(`{"name":"plain","version":"1.0.0"}`)
	random := rand.NewChaCha8([32]byte{})
	for _, f := range []struct {
		name string
		size int64
		from io.Reader
	}{
		{"package/blob", bigSize / 4 * 3, random},
		{"package/package.json", int64(len(manifest)), bytes.NewReader(manifest)},
	} {
		if err := files.WriteHeader(&tar.Header{Name: f.name, Mode: 0o644, Size: f.size}); err != nil {
			return err
		}
		if _, err := io.CopyN(files, f.from, f.size); err != nil {
			return err
		}
	}
	for _, part := range []io.Closer{files, zip, text} {
		if err := part.Close(); err != nil {
			return err
		}
	}
	// The manifest states what the tarball hashes to, and comes behind it.
	tail = regexp.MustCompile(`"sha512-[^"]*"`).ReplaceAll(tail, []byte(`"sha512-`+base64.StdEncoding.EncodeToString(long.Sum(nil))+`"`))
	tail = regexp.MustCompile(`"shasum":"[^"]*"`).ReplaceAll(tail, []byte(`"shasum":"`+hex.EncodeToString(short.Sum(nil))+`"`))
	_, err = to.Write(tail)
	return err
}

// A counter is a host that reads a body and keeps nothing of it.
type counter struct {
	size  int64
	sum   hash.Hash
	end   error
	live  uint64 // most bytes alive at any of the looks
	looks int
}

func (c *counter) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	c.sum = sha256.New()
	buf := make([]byte, 64<<10)
	for c.end == nil {
		var n int
		n, c.end = r.Body.Read(buf)
		c.sum.Write(buf[:n])
		c.size += int64(n)
		// While the first bytes are there, in between, and when nearly all are.
		if c.size >= int64(c.looks)*(bigSize/4-1<<16) {
			c.looks++
			c.live = max(c.live, alive())
		}
	}
}

func alive() uint64 {
	runtime.GC()
	runtime.GC() // what pools keep lives for two
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// A publish of 200 MiB is passed on as it comes: the host reads what was sent, and at
// no time is more alive for it than the buffers of its check.
func TestPublishIsNotBuffered(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("sends 600 MiB, which the race detector slows tenfold")
	}
	// transfer returns how much more was alive than before, and what was allocated.
	transfer := func(t *testing.T, wrap func(http.Handler) http.Handler, bearer string) (live, total uint64) {
		c := &counter{}
		h := wrap(c)
		src, to := io.Pipe()
		sent := sha256.New()
		written := make(chan error, 1)
		r := httptest.NewRequest("PUT", "/plain", src)
		r.Header.Set("Authorization", "Bearer "+bearer)
		answer := httptest.NewRecorder()
		var before, after runtime.MemStats
		start := alive()
		runtime.ReadMemStats(&before)
		go func() {
			err := writeBig(io.MultiWriter(to, sent))
			to.CloseWithError(err)
			written <- err
		}()
		h.ServeHTTP(answer, r)
		runtime.ReadMemStats(&after)
		src.Close()
		require.NoError(t, <-written)
		require.Equal(t, http.StatusOK, answer.Code, answer.Body.String())
		require.Equal(t, io.EOF, c.end)
		assert.Greater(t, c.size, int64(bigSize))
		assert.Equal(t, sent.Sum(nil), c.sum.Sum(nil), "bit for bit")
		assert.Equal(t, 5, c.looks)
		return c.live - min(start, c.live), after.TotalAlloc - before.TotalAlloc
	}
	floor, allocated := transfer(t, func(h http.Handler) http.Handler { return h }, "")
	for name, check := range map[string]bool{"as it is": false, "CheckTarball": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(cfg *npmauth.Config) { cfg.CheckTarball = check })
			alice := w.person("alice")
			w.host.add("plain", false, alice)
			bypass, _ := w.token("alice", token.Spec{Bypass: true, Grants: grantAll(protocol.ReadWrite)})
			live, total := transfer(t, w.auth.Wrap, bypass)
			t.Logf("%d KiB more alive than without npmauth, %d KiB more allocated", (int64(live)-int64(floor))>>10, (int64(total)-int64(allocated))>>10)
			assert.LessOrEqual(t, live, floor+1<<20)
			assert.LessOrEqual(t, total, allocated+1<<20, "nor is it copied in small pieces")
		})
	}
}
