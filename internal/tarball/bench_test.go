package tarball_test

import (
	"compress/gzip"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/npmauth/npmauth/internal/tarball"
)

// source returns n bytes that pack as JavaScript does, about 4 to 1.
func source(n int) string {
	words := []string{"function", "return", "const", "exports", "this", "null", "=>", "if (", ") {", "}\n", "require", ".length", "module", "+= 1;\n"}
	r := rand.New(rand.NewPCG(1, 2))
	var b []byte
	for len(b) < n {
		b = append(b, words[r.IntN(len(words))]...)
		if r.IntN(3) == 0 {
			b = fmt.Appendf(b, " v%x", r.IntN(1<<12))
		}
		b = append(b, ' ')
	}
	return string(b[:n])
}

// BenchmarkChecker reads a tarball of 32 files of 1 MiB, in pieces of 32 KiB. Its
// floor is gzip alone, of the same bytes decoded already. Bytes are those of base64.
func BenchmarkChecker(b *testing.B) {
	entries := []entry{pkg}
	for i := range 32 {
		entries = append(entries, entry{name: fmt.Sprintf("package/%d.js", i), body: source(1 << 20)})
	}
	packed := zip(tape(entries...))
	in := text(packed)
	b.Run("gzip", func(b *testing.B) {
		b.SetBytes(int64(len(in)))
		b.ReportAllocs()
		for b.Loop() {
			r, err := gzip.NewReader(&pieces{packed, 24 << 10})
			if err == nil {
				_, err = io.Copy(io.Discard, r)
			}
			if err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("checker", func(b *testing.B) {
		b.SetBytes(int64(len(in)))
		b.ReportAllocs()
		for b.Loop() {
			c := tarball.New()
			if _, err := io.Copy(c, &pieces{in, 32 << 10}); err != nil {
				b.Fatal(err)
			}
			if content, err := c.Close(); err != nil || compare(content) != nil {
				b.Fatal(err)
			}
		}
	})
}

// pieces reads data some bytes at a time.
type pieces struct {
	data []byte
	size int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.data) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.data[:min(p.size, len(p.data))])
	p.data = p.data[n:]
	return n, nil
}
