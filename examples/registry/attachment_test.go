package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/fuzzbound"
)

func TestLifter(t *testing.T) {
	content := bytes.Repeat([]byte("a tarball\x00\xff"), 5000)
	text := base64.StdEncoding.EncodeToString(content)
	for name, tt := range map[string]struct{ body, rest string }{
		"npm's order": {
			`{"_id":"w","_attachments":{"w-1.0.0.tgz":{"content_type":"x","data":"` + text + `","length":3}}}`,
			`{"_id":"w","_attachments":{"w-1.0.0.tgz":{"content_type":"x","data":"","length":3}}}`,
		},
		"white space and escapes": {
			"\n{ \"_attachments\" :\t{ \"@s\\/w-1.0.0.t\\u0067z\" : { \"data\" : \"" + strings.ReplaceAll(text, "/", `\/`) + "\" } } , \"x\":[{\"data\":\"y\"}]}\n",
			"\n{ \"_attachments\" :\t{ \"@s\\/w-1.0.0.t\\u0067z\" : { \"data\" : \"\" } } , \"x\":[{\"data\":\"y\"}]}\n",
		},
		"look-alikes": {
			`{"versions":{"a.tgz":{"data":"\"{","_attachments":{"a.tgz":{"data":"_attachments"}}}},"_attachments":{"a.tgz":{"deep":{"data":"z"},"list":["data","z"],"data":"` + text + `"},"b.sigstore":{"data":"{\"}"}}}`,
			`{"versions":{"a.tgz":{"data":"\"{","_attachments":{"a.tgz":{"data":"_attachments"}}}},"_attachments":{"a.tgz":{"deep":{"data":"z"},"list":["data","z"],"data":""},"b.sigstore":{"data":"{\"}"}}}`,
		},
	} {
		for how, reader := range map[string]func(io.Reader) io.Reader{
			"whole": func(r io.Reader) io.Reader { return r }, "byte by byte": iotest.OneByteReader, "error with the last data": iotest.DataErrReader,
		} {
			t.Run(name+"/"+how, func(t *testing.T) {
				require.True(t, json.Valid([]byte(tt.body)))
				var got bytes.Buffer
				rest, err := io.ReadAll(newLifter(reader(strings.NewReader(tt.body)), &got))
				require.NoError(t, err)
				assert.Equal(t, tt.rest, string(rest))
				assert.Equal(t, content, got.Bytes())
			})
		}
	}
}

// The rest of the contract of io.Reader, with buffers of all sizes.
func TestLifterReader(t *testing.T) {
	body := `{"_attachments":{"w.tgz":{"data":"` + base64.StdEncoding.EncodeToString(make([]byte, 10000)) + `"}},"_id":"w"}`
	rest := `{"_attachments":{"w.tgz":{"data":""}},"_id":"w"}`
	assert.NoError(t, iotest.TestReader(newLifter(strings.NewReader(body), io.Discard), []byte(rest)))
}

func TestLifterRefuses(t *testing.T) {
	at := func(data string) string { return `{"_attachments":{"w.tgz":{"data":"` + data + `"}}}` }
	long := strings.Repeat("AAAA", 1024) // fills one group of the decoder
	for name, tt := range map[string]struct {
		body string
		want error
	}{
		"two tarballs":         {`{"_attachments":{"a.tgz":{"data":"AAAA"},"b.tgz":{"data":"AAAA"}}}`, errAttachments},
		"one tarball twice":    {`{"_attachments":{"a.tgz":{"data":"AAAA","data":"AAAA"}}}`, errAttachments},
		"not base64":           {at("A*AA"), errBase64},
		"cut":                  {at("AAA"), errBase64},
		"padded in the middle": {at(long[:4092] + "AA==" + "AAAA"), errBase64},
		"unused bits":          {at("AB=="), errBase64},
		"line end":             {at("AA\nAA"), errBase64},
		"escaped line end":     {at(`AA\nAA`), errBase64},
		"URL alphabet":         {at("A-_A"), errBase64},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := io.ReadAll(newLifter(strings.NewReader(tt.body), io.Discard))
			assert.ErrorIs(t, err, tt.want)
		})
	}
	t.Run("disk full", func(t *testing.T) {
		_, err := io.ReadAll(newLifter(strings.NewReader(at("AAAA")), failingWriter{}))
		assert.ErrorIs(t, err, io.ErrShortWrite)
	})
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

// Whatever the bytes, the lifter ends, and what it passes on is what came but
// for the tarball.
func FuzzLifter(f *testing.F) {
	for _, s := range []string{
		`{"_attachments":{"w.tgz":{"data":"AAAA"}}}`, `{"a":"\`, `]]]}}}`, `{"_attachments":{"w.tgz":{"data":"AA\/A"`, `"":`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		fuzzbound.Check(t, body, fuzzbound.Bounds{Memory: fuzzbound.Limit{Base: 160 << 10, PerByte: 128}, Work: fuzzbound.Limit{PerByte: 2}}, func(body string) int {
			var got bytes.Buffer
			rest, _ := io.ReadAll(newLifter(strings.NewReader(body), &got))
			return len(rest) + got.Len()
		})
		var got bytes.Buffer
		rest, err := io.ReadAll(newLifter(strings.NewReader(body), &got))
		if err != nil {
			return
		}
		if got.Len() == 0 && !strings.Contains(body, `data`) {
			assert.Equal(t, body, string(rest))
		}
		assert.LessOrEqual(t, got.Len(), len(body))
	})
}
