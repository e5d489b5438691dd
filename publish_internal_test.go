package npmauth

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/packument"
	"github.com/npmauth/npmauth/policy"
)

const plainPublish = `{"_id":"plain","name":"plain","dist-tags":{"latest":"1.0.0"},"versions":{"1.0.0":{"name":"plain","version":"1.0.0","dist":{}}},` +
	`"_attachments":{"plain-1.0.0.tgz":{"content_type":"x","data":"","length":0}}}`

// pieces is a reader of one piece a Read, with io.EOF beside the last of them where early.
type pieces struct {
	rest  []string
	early bool
}

func (s *pieces) Read(p []byte) (int, error) {
	if len(s.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.rest[0])
	if s.rest[0] = s.rest[0][n:]; s.rest[0] == "" {
		s.rest = s.rest[1:]
	}
	if len(s.rest) == 0 && s.early {
		return n, io.EOF
	}
	return n, nil
}

// cuts are all ways in which a connection may cut a publish that tail follows.
func cuts(tail string) map[string]func() io.Reader {
	all := plainPublish + tail
	brace := len(plainPublish) - 1
	whole := func() io.Reader { return &pieces{rest: []string{all}} }
	ways := map[string]func() io.Reader{
		"whole":          whole,
		"whole with EOF": func() io.Reader { return iotest.DataErrReader(whole()) },
		"bytes":          func() io.Reader { return iotest.OneByteReader(whole()) },
		"bytes with EOF": func() io.Reader { return iotest.DataErrReader(iotest.OneByteReader(whole())) },
		"empty reads":    func() io.Reader { return &pieces{rest: []string{all[:9], "", all[9:], ""}} },
	}
	for _, early := range []bool{false, true} {
		name := map[bool]string{false: "", true: " with EOF"}[early]
		ways["brace first"+name] = func() io.Reader { return &pieces{[]string{all[:brace], all[brace:]}, early} }
		ways["brace alone"+name] = func() io.Reader {
			if tail == "" {
				return &pieces{[]string{all[:brace], all[brace:]}, early}
			}
			return &pieces{[]string{all[:brace], all[brace : brace+1], tail}, early}
		}
		ways["brace last"+name] = func() io.Reader {
			if tail == "" {
				return &pieces{[]string{all}, early}
			}
			return &pieces{[]string{all[:brace+1], tail}, early}
		}
	}
	return ways
}

var tails = map[string]string{"nothing": "", "a newline": "\n", "whitespace": " \t\r\n ", "4 KiB": strings.Repeat(" ", 4096)}

// scanning returns a publishReader of a body of which nothing was scanned before.
func scanning(src io.ReadCloser, judge func() error) *publishReader {
	scan := packument.New(packument.Config{Package: policy.PackageName{Name: "plain"}, By: "alice"})
	b := newPublishReader(src, scan, nil)
	b.judge = judge
	return b
}

// A host that decodes the JSON value does not wait for what follows it, so whatever
// follows it does not make it whole before everything was judged.
func TestPublishDecodedBeforeItsEnd(t *testing.T) {
	for tailName, tail := range tails {
		for cut, src := range cuts(tail) {
			t.Run(tailName+"/"+cut, func(t *testing.T) {
				calls := 0
				source := src()
				b := scanning(io.NopCloser(source), func() error {
					calls++
					n, err := source.Read(make([]byte, 1))
					assert.Equal(t, 0, n, "judged before the last byte was read")
					assert.Equal(t, io.EOF, err)
					return nil
				})
				var doc map[string]any
				d := json.NewDecoder(b)
				require.NoError(t, d.Decode(&doc))
				assert.Equal(t, 1, calls)
				changes, err := b.changes()
				require.NoError(t, err)
				assert.Equal(t, "1.0.0", changes.Version)
				_, err = d.Token()
				assert.Equal(t, io.EOF, err)
				assert.Equal(t, 1, calls)

				gone := errors.New("revoked meanwhile")
				calls = 0
				b = scanning(io.NopCloser(src()), func() error { calls++; return gone })
				assert.ErrorIs(t, json.NewDecoder(b).Decode(&doc), gone)
				_, err = b.Read(make([]byte, 100))
				assert.ErrorIs(t, err, gone, "and it stays so")
				assert.Equal(t, 1, calls)
				assert.ErrorIs(t, b.refused.get(), gone, "which is what is answered")
				_, err = b.changes()
				assert.ErrorIs(t, err, gone)
			})
		}
	}
}

// What comes before the brace passes by at once, the rest after the judgement, and all of
// it bit for bit: there may be a Content-Length.
func TestPublishPassesBy(t *testing.T) {
	brace := len(plainPublish) - 1
	for tailName, tail := range tails {
		for cut, src := range cuts(tail) {
			for _, size := range []int{1, 2, 3, 512, 1 << 20} {
				for _, verdict := range []error{nil, io.ErrClosedPipe} {
					t.Run(tailName+"/"+cut, func(t *testing.T) {
						judged := false
						b := scanning(io.NopCloser(src()), func() error { judged = true; return verdict })
						var got []byte
						var end error
						buf := make([]byte, size)
						for end == nil {
							var n int
							n, end = b.Read(buf)
							got = append(got, buf[:n]...)
							if len(got) > brace {
								assert.True(t, judged)
							} else {
								_, err := b.changes()
								assert.Error(t, err)
								assert.False(t, json.Valid(got))
							}
						}
						if verdict != nil {
							assert.Equal(t, verdict, end)
							assert.Equal(t, plainPublish[:brace], string(got))
							return
						}
						assert.Equal(t, io.EOF, end)
						assert.Equal(t, plainPublish+tail, string(got))
					})
				}
			}
		}
	}
	// The source stalls before the brace: a host has all that came.
	src, to := io.Pipe()
	b := scanning(src, nil)
	go func() {
		_, err := io.WriteString(to, plainPublish[:brace])
		assert.NoError(t, err)
	}()
	got := make([]byte, brace)
	_, err := io.ReadFull(b, got)
	require.NoError(t, err)
	assert.Equal(t, plainPublish[:brace], string(got))
	require.NoError(t, b.Close())
}

// What may follow is whitespace, and not much: it is kept until the end.
func TestPublishTrailingData(t *testing.T) {
	for _, tail := range []string{"{}", "\n}", " \n,", "\x00", "\u00a0", strings.Repeat("\n", 4097)} {
		for cut, src := range cuts(tail) {
			b := scanning(io.NopCloser(src()), func() error {
				assert.Fail(t, "judged", cut)
				return nil
			})
			got, err := io.ReadAll(b)
			assert.ErrorContains(t, err, "data after the end", cut)
			assert.Equal(t, err, b.refused.get())
			assert.False(t, json.Valid(got))
			assert.LessOrEqual(t, cap(b.withheld), 8<<10)
		}
	}
}

// Nobody is asked about a body that is refused anyway, or that nobody reads on.
func TestPublishNotJudged(t *testing.T) {
	judge := func() error { assert.Fail(t, "judged"); return nil }
	other := strings.Replace(plainPublish, `"_id":"plain"`, `"_id":"other"`, 1)
	for name, in := range map[string]string{"another package": other, "cut short": plainPublish[:len(plainPublish)-1], "empty": ""} {
		b := scanning(io.NopCloser(strings.NewReader(in)), judge)
		_, err := io.Copy(io.Discard, b)
		assert.Error(t, err, name)
		assert.Error(t, b.refused.get(), name)
	}
	broken := errors.New("connection reset")
	b := scanning(io.NopCloser(io.MultiReader(strings.NewReader(plainPublish), iotest.ErrReader(broken))), judge)
	got, err := io.ReadAll(b)
	assert.Equal(t, broken, err)
	assert.Len(t, got, len(plainPublish)-1)
	_, err = b.changes()
	assert.ErrorIs(t, err, errNoChanges)

	b = scanning(io.NopCloser(strings.NewReader(plainPublish)), judge)
	b.abort()
	_, err = b.Read(make([]byte, 10))
	assert.ErrorIs(t, err, http.ErrBodyReadAfterClose)
	assert.NoError(t, b.refused.get(), "which says nothing of the body")
}

// A panic of what the judgement asks is an outage, also on a goroutine that is not the
// server's.
func TestPublishJudgePanics(t *testing.T) {
	for _, x := range []any{"looking up plain", http.ErrAbortHandler} {
		b := scanning(io.NopCloser(strings.NewReader(plainPublish)), func() error { panic(x) })
		var got bytes.Buffer
		_, err := got.ReadFrom(b)
		require.ErrorIs(t, err, errUnavailable)
		assert.Equal(t, errUnavailable, answer(b.refused.get()))
		assert.True(t, outage(err), "and is logged")
		assert.NotContains(t, err.Error(), "looking up plain")
		assert.False(t, json.Valid(got.Bytes()))
	}
}
