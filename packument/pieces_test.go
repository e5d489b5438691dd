package packument_test

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/packument"
)

// bodies are what takes most memory while it is read, each of about n bytes.
func bodies(n int) map[string]string {
	many := func(entry string, most int) string {
		var b strings.Builder
		for i := 0; i < most && b.Len() < n; i++ {
			fmt.Fprintf(&b, entry+",", fmt.Sprintf("%06d", i))
		}
		return strings.TrimSuffix(b.String(), ",")
	}
	return map[string]string{
		"stars":    `{"_id":"plain","_rev":"1-x","users":{` + many(`"%s":true`, 1<<17-100) + `}}`,
		"versions": `{"_id":"plain","name":"plain","versions":{` + many(`"%s":{}`, 90000) + `}}`,
		"messages": `{"_id":"plain","name":"plain","versions":{` + many(`"1.0.%s":{"deprecated":"`+strings.Repeat("x", 2000)+`"}`, 90000) + `}}`,
		"tags":     `{"_id":"plain","name":"plain","dist-tags":{` + many(`"%s":"1.0.0"`, 9000) + `}}`,
		"text":     `{"_id":"plain","name":"plain","readme":"` + strings.Repeat("x", n) + `"}`,
		"publish":  `{"_id":"plain","name":"plain","readme":"` + strings.Repeat("x", n) + plainPublish[len(`{"_id":"plain","name":"plain`):],
	}
}

func inUse() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// What a Reader says that it holds is what it holds, when nearly all was read.
func TestHoldSaysWhatIsHeld(t *testing.T) {
	for name, body := range bodies(1 << 20) {
		t.Run(name, func(t *testing.T) {
			cut := len(body) - 1
			if name == "publish" {
				cut = strings.Index(body, `,"_attachments"`)
			}
			var said, held int
			cfg := ofPlain
			cfg.Hold = func(n int) error {
				said = n
				return nil
			}
			before := inUse()
			stop := readerFunc(func([]byte) (int, error) {
				held = inUse() - before
				return 0, io.ErrUnexpectedEOF
			})
			_, err := packument.NewReader(io.NopCloser(io.MultiReader(strings.NewReader(body[:cut]), stop)), packument.New(cfg), 16<<20)
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			t.Logf("%d KiB are held of %d KiB, and said to be %d KiB", held>>10, len(body)>>10, said>>10)
			assert.GreaterOrEqual(t, said, held*8/10)
			assert.LessOrEqual(t, said, held*2)
			runtime.KeepAlive(body)
		})
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// Nothing is read that cannot be held.
func TestHoldRefuses(t *testing.T) {
	full := errors.New("full")
	for name, body := range bodies(1 << 20) {
		for _, most := range []int{0, 100 << 10} {
			cfg := ofPlain
			cfg.Hold = func(n int) error {
				if n > most {
					return full
				}
				return nil
			}
			src := strings.NewReader(body)
			_, err := packument.NewReader(io.NopCloser(src), packument.New(cfg), 16<<20)
			assert.ErrorIs(t, err, full, name)
			assert.LessOrEqual(t, len(body)-src.Len(), most, name)
		}
	}
}

// The beginning of a publish is held until it was read, and then there is but the scan.
func TestHoldOfAPublish(t *testing.T) {
	const size = 1 << 20
	var held []int
	cfg := ofPlain
	cfg.Hold = func(n int) error {
		held = append(held, n)
		return nil
	}
	body := bodies(size)["publish"]
	r, err := packument.NewReader(io.NopCloser(iotest.DataErrReader(iotest.HalfReader(strings.NewReader(body+" ")))), packument.New(cfg), 16<<20)
	require.NoError(t, err)
	assert.GreaterOrEqual(t, held[len(held)-1], size)
	assert.LessOrEqual(t, held[len(held)-1], size+size/8)
	held = nil
	got, err := io.ReadAll(r)
	require.NoError(t, err)
	assert.Equal(t, body+" ", string(got))
	for _, n := range held {
		assert.Less(t, n, 16<<10)
	}

	// What refuses the host's read refuses the publish.
	full := errors.New("full")
	cfg.Hold = func(int) error { return nil }
	src := io.MultiReader(strings.NewReader(plainPublish[:len(plainPublish)-30]), strings.NewReader(plainPublish[len(plainPublish)-30:]))
	refuse := false
	cfg.Hold = func(int) error {
		if refuse {
			return full
		}
		return nil
	}
	r, err = packument.NewReader(io.NopCloser(src), packument.New(cfg), 16<<20)
	require.NoError(t, err)
	var told error
	r.Refused = func(err error) { told = err }
	refuse = true
	_, err = io.ReadAll(r)
	assert.ErrorIs(t, err, full)
	assert.ErrorIs(t, r.Err(), full)
	assert.ErrorIs(t, told, full)
}
