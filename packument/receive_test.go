package packument_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/fuzzbound"
	"github.com/npmauth/npmauth/packument"
	"github.com/npmauth/npmauth/protocol"
)

// A closing body tells whether it was closed and read to its end.
type closing struct {
	io.Reader
	ended, closed bool
}

func (c *closing) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.ended = c.ended || errors.Is(err, io.EOF)
	return n, err
}

func (c *closing) Close() error {
	c.closed = true
	return nil
}

func TestReceive(t *testing.T) {
	now := packument.State{Revision: "7", Versions: map[string]string{"1.0.0": ""}, Tags: map[string]string{"latest": "1.0.0"}, Maintainers: []string{"alice"}}
	publish := strings.Replace(plainPublish, `"data":""`, `"data":"AAEC"`, 1)
	refused := errors.New("refused")
	for name, tt := range map[string]struct {
		body, revision string
		says           error
		action         protocol.Action
		asked          bool
		err            string
	}{
		"publish":               {publish, "", nil, protocol.Publish, true, ""},
		"publish, refused":      {publish, "", refused, 0, true, "refused"},
		"publish to a revision": {publish, "7", nil, 0, false, "attachments"},
		"owners":                {`{"maintainers":[{"name":"alice"},{"name":"bob"}]}`, "7", nil, protocol.WriteOwners, true, ""},
		"owners, refused":       {`{"maintainers":[{"name":"alice"},{"name":"bob"}]}`, "7", refused, 0, true, "refused"},
		"owners, stale":         {`{"maintainers":[{"name":"alice"},{"name":"bob"}]}`, "6", nil, 0, false, "has changed"},
		"owners, of none":       {`{"maintainers":[{"name":"bob"}]}`, "undefined", nil, 0, false, "npm owner"},
		"two revisions":         {`{"_rev":"6","maintainers":[{"name":"bob"}]}`, "7", nil, 0, false, "two revisions"},
		"of another package":    {`{"name":"other","maintainers":[{"name":"bob"}]}`, "7", nil, 0, false, "another package"},
		"no JSON":               {`{`, "", nil, 0, false, "unexpected end"},
		"cut off":               {publish[:len(publish)-1], "", nil, 0, false, "unexpected end"},
		"no tarball":            {strings.Replace(publish, "AAEC", "", 1), "", nil, 0, true, "tarball"},
	} {
		t.Run(name, func(t *testing.T) {
			body := &closing{Reader: strings.NewReader(tt.body)}
			asked := 0
			got, err := packument.Receive(body, packument.Config{Package: protocol.PackageName{Name: "plain"}, By: "alice"}, tt.revision, now, func(action protocol.Action, c protocol.Change) error {
				asked++
				assert.True(t, body.ended, "before the last byte")
				assert.False(t, c.Empty())
				assert.Contains(t, []protocol.Action{protocol.Publish, protocol.WriteOwners}, action)
				return tt.says
			})
			assert.True(t, body.closed)
			assert.Equal(t, tt.asked, asked == 1)
			if tt.err != "" {
				require.ErrorContains(t, err, tt.err)
				assert.Zero(t, got)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, tt.action, got.Action)
			if tt.action == protocol.Publish {
				assert.Equal(t, "1.0.0", got.Change.Version)
				assert.Equal(t, "plain", got.Manifest["name"])
				assert.Equal(t, []byte{0, 1, 2}, got.Tarball)
			} else {
				assert.Equal(t, []string{"bob"}, got.Change.AddedOwners)
				assert.Nil(t, got.Tarball)
			}
		})
	}
}

// A body is authorized once, for what it does, or is refused; and what is kept of it is in
// proportion to it.
func FuzzReceive(f *testing.F) {
	now := packument.State{Revision: "7", Versions: map[string]string{"1.0.0": "", "2.0.0": "old"}, Tags: map[string]string{"latest": "2.0.0"}, Maintainers: []string{"alice", "bob"}}
	for _, body := range []string{
		strings.NewReplacer("1.0.0", "3.0.0", `"data":""`, `"data":"AAEC"`).Replace(plainPublish),
		`{"_rev":"7","maintainers":[{"name":"alice"},{"name":"bob"},{"name":"carol","email":"x"}]}`, `{"_rev":"7","maintainers":[{"name":"alice"}]}`, `{"_rev":"7","users":{"alice":true}}`,
		`{"_rev":"7","dist-tags":{"latest":"2.0.0"},"versions":{"1.0.0":{"name":"plain","version":"1.0.0","deprecated":"x"},"2.0.0":{"name":"plain","version":"2.0.0","deprecated":"old"}}}`,
		`{"_rev":"7","dist-tags":{"latest":"2.0.0"},"versions":{"2.0.0":{"name":"plain","version":"2.0.0","deprecated":"old"}}}`,
	} {
		f.Add([]byte(body), "")
		f.Add([]byte(body), "7")
	}
	cfg := packument.Config{Package: protocol.PackageName{Name: "plain"}, By: "alice"}
	f.Fuzz(func(t *testing.T, body []byte, revision string) {
		receive := func(body []byte) (asked int, action protocol.Action, change protocol.Change, got packument.Received, err error) {
			got, err = packument.Receive(io.NopCloser(bytes.NewReader(body)), cfg, revision, now, func(a protocol.Action, c protocol.Change) error {
				asked, action, change = asked+1, a, c
				return nil
			})
			return asked, action, change, got, err
		}
		// The manifest is decoded into maps.
		fuzzbound.Check(t, body, fuzzbound.Bounds{Memory: fuzzbound.Limit{Base: 128 << 10, PerByte: 512}, Work: fuzzbound.Limit{Base: 1 << 10, PerByte: 4}}, func(body []byte) int {
			_, _, change, got, _ := receive(body)
			return sizeOf(change) + len(got.Tarball) + len(got.Manifest)
		})
		asked, action, change, got, err := receive(body)
		require.LessOrEqual(t, asked, 1)
		if err != nil {
			require.Zero(t, got)
			return
		}
		require.Equal(t, 1, asked)
		require.Equal(t, action, got.Action)
		require.Equal(t, change, got.Change)
		require.Equal(t, action == protocol.Publish, got.Tarball != nil)
		if action != protocol.Publish {
			require.Contains(t, []string{"", "7"}, revision)
		}
	})
}
