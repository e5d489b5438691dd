package packument_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/packument"
	"github.com/npmauth/npmauth/protocol"
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

// reader returns a Reader of a body of alice's.
func reader(t *testing.T, src io.Reader, authorize func(protocol.Change) error) *packument.Reader {
	r, err := packument.NewReader(io.NopCloser(src), packument.New(ofPlain), 1<<20)
	require.NoError(t, err)
	r.Authorize = authorize
	return r
}

var ofPlain = packument.Config{Package: protocol.PackageName{Name: "plain"}, By: "alice"}

// A host that decodes the JSON value does not wait for what follows it, so whatever
// follows it does not make it whole before everything was judged.
func TestPublishDecodedBeforeItsEnd(t *testing.T) {
	for tailName, tail := range tails {
		for cut, src := range cuts(tail) {
			t.Run(tailName+"/"+cut, func(t *testing.T) {
				calls := 0
				source := src()
				b := reader(t, source, func(p protocol.Change) error {
					assert.Equal(t, "1.0.0", p.Version)
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
				publish, released := b.Released()
				assert.True(t, released)
				assert.Equal(t, "1.0.0", publish.Version)
				_, err := d.Token()
				assert.Equal(t, io.EOF, err)
				assert.Equal(t, 1, calls)

				gone := errors.New("revoked meanwhile")
				calls = 0
				b = reader(t, src(), func(protocol.Change) error { calls++; return gone })
				assert.ErrorIs(t, json.NewDecoder(b).Decode(&doc), gone)
				_, err = b.Read(make([]byte, 100))
				assert.ErrorIs(t, err, gone, "and it stays so")
				assert.Equal(t, 1, calls)
				assert.ErrorIs(t, b.Err(), gone, "which is what is answered")
				_, released = b.Released()
				assert.False(t, released)
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
						b := reader(t, src(), func(protocol.Change) error { judged = true; return verdict })
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
								_, released := b.Released()
								assert.False(t, released)
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
	go func() {
		_, err := io.WriteString(to, plainPublish[:brace])
		assert.NoError(t, err)
	}()
	b := reader(t, src, nil)
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
			b := reader(t, src(), func(protocol.Change) error {
				assert.Fail(t, "authorized", cut)
				return nil
			})
			got, err := io.ReadAll(b)
			assert.ErrorContains(t, err, "data after the end", cut)
			assert.Equal(t, err, b.Err())
			assert.False(t, json.Valid(got))
			assert.LessOrEqual(t, b.Withheld(), 8<<10)
		}
	}
}

// What was found wrong from the beginning is an error before the first byte is read, and one
// of the Reader only where the body is a publish.
func TestWrongFromTheBeginning(t *testing.T) {
	for name, change := range map[string][2]string{
		"another operation": {`"name":"plain","dist-tags"`, `"name":"plain","_rev":"1-a","dist-tags"`},
		"a field":           {`"name":"plain","dist-tags"`, `"name":"plain","x":1,"dist-tags"`},
		"the attachment":    {`{"content_type":"x","data":"","length":0}`, `1`},
		"JSON":              {`"length":0`, `"length":`},
	} {
		require.Equal(t, 1, strings.Count(plainPublish, change[0]), name)
		in := strings.Replace(plainPublish, change[0], change[1], 1)
		var told []error
		b := reader(t, strings.NewReader(in), func(protocol.Change) error { assert.Fail(t, "authorized"); return nil })
		b.Refused = func(err error) { told = append(told, err) }
		assert.Equal(t, packument.KindPublish, b.Kind())
		assert.NoError(t, b.Err(), "nothing was read yet")
		got, err := io.ReadAll(b)
		assert.IsType(t, &packument.Error{}, err, name)
		assert.Empty(t, got)
		assert.Equal(t, err, b.Err())
		b.Abort(errors.New("not read"))
		assert.Equal(t, []error{err}, told, "once")
	}
	for name, in := range map[string]string{
		"another package": strings.Replace(plainPublish, `"_id":"plain"`, `"_id":"other"`, 1), "empty": "", "no object": "[]",
		"cut": plainPublish[:30], "a document": `{"name":"plain","maintainers":[1]}`,
	} {
		_, err := packument.NewReader(io.NopCloser(iotest.OneByteReader(strings.NewReader(in))), packument.New(ofPlain), 1<<20)
		assert.IsType(t, &packument.Error{}, err, name)
	}
}

// Authorize is not asked about a body that is refused anyway, or that is not read on.
func TestPublishNotAuthorized(t *testing.T) {
	authorize := func(protocol.Change) error { assert.Fail(t, "authorized"); return nil }
	b := reader(t, strings.NewReader(plainPublish[:len(plainPublish)-1]), authorize)
	_, err := io.Copy(io.Discard, b)
	assert.ErrorContains(t, err, "unexpected end")
	assert.Equal(t, err, b.Err())

	broken := errors.New("connection reset")
	b = reader(t, io.MultiReader(strings.NewReader(plainPublish), iotest.ErrReader(broken)), authorize)
	got, err := io.ReadAll(b)
	assert.Equal(t, broken, err)
	assert.Len(t, got, len(plainPublish)-1)
	_, released := b.Released()
	assert.False(t, released)
	assert.NoError(t, b.Err(), "which says nothing of the body")

	for name, end := range map[string]func(*packument.Reader){
		"aborted": func(r *packument.Reader) { r.Abort(nil) },
		"closed":  func(r *packument.Reader) { require.NoError(t, r.Close()) },
	} {
		b = reader(t, strings.NewReader(plainPublish), authorize)
		b.Refused = func(err error) { assert.Fail(t, "refused", err) }
		_, err = b.Read(make([]byte, 10))
		require.NoError(t, err)
		end(b)
		_, err = b.Read(make([]byte, 10))
		assert.ErrorIs(t, err, packument.ErrClosed, name)
		assert.NoError(t, b.Err(), "which says nothing of the body")
	}
}

// Of a publish either Authorize decides or Refused is told, and one of them once.
func TestRefusedIsTold(t *testing.T) {
	unread := errors.New("not read to its end")
	for name, tt := range map[string]struct {
		in   string
		read bool
		want []string
	}{
		"right":     {plainPublish, true, []string{"authorized"}},
		"not read":  {plainPublish, false, []string{unread.Error()}},
		"trailing":  {plainPublish + "x", true, []string{"invalid JSON: data after the end at byte " + strconv.Itoa(len(plainPublish))}},
		"documents": {`{"name":"plain"}`, false, nil},
	} {
		var told []string
		b := reader(t, strings.NewReader(tt.in), func(protocol.Change) error { told = append(told, "authorized"); return nil })
		b.Refused = func(err error) { told = append(told, err.Error()) }
		if tt.read {
			_, _ = io.Copy(io.Discard, b)
		}
		b.Abort(nil)
		b.Abort(unread)
		b.Abort(unread)
		assert.Equal(t, tt.want, told, name)
	}
	broken := errors.New("the connection broke") // AU-44
	b := reader(t, io.MultiReader(strings.NewReader(plainPublish[:len(plainPublish)-1]), iotest.ErrReader(broken)), nil)
	var told []error
	b.Refused = func(err error) { told = append(told, err) }
	_, err := io.Copy(io.Discard, b)
	require.ErrorIs(t, err, broken)
	b.Abort(unread)
	assert.Equal(t, []error{broken}, told, "rather than that it was not read")

	b = reader(t, strings.NewReader(plainPublish), nil)
	b.Refused = func(err error) { assert.Fail(t, "refused", err) }
	_, err = io.Copy(io.Discard, b)
	require.NoError(t, err)
	b.Abort(unread)
	_, released := b.Released()
	assert.True(t, released)
}

// A panic of Authorize is an error, also on a goroutine that is not the server's.
func TestAuthorizePanics(t *testing.T) {
	for _, x := range []any{"looking up plain", io.ErrUnexpectedEOF} {
		b := reader(t, strings.NewReader(plainPublish), func(protocol.Change) error { panic(x) })
		var got bytes.Buffer
		_, err := got.ReadFrom(b)
		require.ErrorContains(t, err, "panic in Authorize")
		assert.Equal(t, err, b.Err())
		assert.NotContains(t, err.Error(), "looking up plain")
		assert.False(t, json.Valid(got.Bytes()))
	}
}

// A document is read whole, up to the bound, and given again as it was.
func TestReaderOfADocument(t *testing.T) {
	in := `{"name":"plain","users":{"alice":true},"readme":"` + strings.Repeat("x", 10000) + `"}` + strings.Repeat("\n", 5000)
	for name, src := range map[string]io.Reader{
		"whole": strings.NewReader(in), "bytes": iotest.OneByteReader(strings.NewReader(in)), "with EOF": iotest.DataErrReader(strings.NewReader(in)),
	} {
		b := reader(t, src, func(protocol.Change) error { assert.Fail(t, "authorized"); return nil })
		b.Refused = func(err error) { assert.Fail(t, "refused", err) }
		assert.Equal(t, packument.KindDocument, b.Kind())
		assert.Equal(t, packument.Document{Users: true, Starred: true}, b.Document())
		assert.Zero(t, b.Publish())
		got, err := io.ReadAll(iotest.OneByteReader(b))
		require.NoError(t, err)
		assert.Equal(t, in, string(got), name)
		_, released := b.Released()
		assert.False(t, released)
		b.Abort(errors.New("not read"))
		_, err = b.Read(make([]byte, 1))
		assert.ErrorIs(t, err, io.EOF, "it had ended")
	}
	whole := func() io.ReadCloser { return io.NopCloser(strings.NewReader(in)) }
	_, err := packument.NewReader(whole(), packument.New(ofPlain), len(in)+1)
	assert.NoError(t, err)
	_, err = packument.NewReader(whole(), packument.New(ofPlain), 8000)
	assert.ErrorIs(t, err, packument.ErrTooLarge)
	_, err = packument.NewReader(io.NopCloser(strings.NewReader(plainPublish)), packument.New(ofPlain), 0)
	assert.ErrorIs(t, err, packument.ErrTooLarge)
	broken := errors.New("connection reset")
	_, err = packument.NewReader(io.NopCloser(io.MultiReader(strings.NewReader(in[:9]), iotest.ErrReader(broken))), packument.New(ofPlain), 1<<20)
	assert.Equal(t, broken, err)
}

// A registry that knows after the beginning that the bytes matter has them compared, also
// where all of a small publish had come by then.
func TestReaderHashesTheTarball(t *testing.T) {
	for _, size := range []int{1, 1 << 20} {
		for sum, says := range map[string]string{"": "", "x": "not the one that the manifest's integrity states"} {
			in := strings.Replace(plainPublish, `"dist":{}`, `"dist":`+dist(integrityOf(sum, "sha512"), nil), 1)
			require.NotEqual(t, plainPublish, in)
			b := reader(t, &pieces{rest: strings.SplitAfterN(in, ":", size)}, nil)
			assert.Equal(t, integrityOf(sum, "sha512"), b.Publish().Integrity)
			b.HashTarball()
			got, err := io.ReadAll(b)
			if says == "" {
				require.NoError(t, err)
				assert.Equal(t, in, string(got))
				continue
			}
			assert.ErrorContains(t, err, says)
			assert.False(t, json.Valid(got))
		}
	}
}
