package publishbody_test

import (
	"encoding/base64"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/publishbody"
	"github.com/npmauth/npmauth/npmauthtest"
	"github.com/npmauth/npmauth/policy"
)

func packed(pkg policy.PackageName, version string) string {
	return base64.StdEncoding.EncodeToString(npmauthtest.Tarball(pkg, version))
}

// holding returns the plain publish with other data.
func holding(data string) string {
	return strings.Replace(plain, `"data":""`, `"data":"`+data+`"`, 1)
}

func unpack(in string, size int) (publishbody.Result, error) {
	s := publishbody.NewUnpacking(widget, "carol")
	defer s.Abort()
	for len(in) > 0 {
		n := min(size, len(in))
		if _, err := s.Write([]byte(in[:n])); err != nil {
			break // Close returns it again
		}
		in = in[n:]
	}
	return s.Close()
}

func TestUnpacks(t *testing.T) {
	right := packed(widget, "1.0.0")
	first := `{"_attachments":{"@acme/widget-1.0.0.tgz":{"data":"` + right + `"}},` +
		strings.Replace(plain[1:], `,"_attachments":{"@acme/widget-1.0.0.tgz":{"content_type":"x","data":"","length":0}}`, "", 1)
	bundle := strings.Replace(holding(right), `"_attachments":{`, `"_attachments":{"@acme/widget-1.0.0.sigstore":{"data":"{}"},`, 1)
	for name, tt := range map[string]struct{ in, says string }{
		"right":                      {holding(right), ""},
		"tarball first":              {first, ""},
		"bundle first":               {bundle, ""},
		"escaped":                    {holding(strings.ReplaceAll(right, "/", `\/`)), ""},
		"empty":                      {plain, "tarball is cut short"},
		"another package":            {holding(packed(policy.PackageName{Name: "widget"}, "1.0.0")), "package.json is about another package"},
		"another version":            {holding(packed(widget, "1.0.1")), "package.json is about another version"},
		"another version, and first": {strings.Replace(first, right, packed(widget, "1.0.1"), 1), "package.json is about another version"},
		"no gzip":                    {holding("AAAAAAAAAAAAAAAA"), "not valid gzip"},
		"a line end in it":           {holding(right[:8] + `\n` + right[8:]), "not valid base64"},
		"not base64":                 {holding(right + "é"), "not valid base64"},
		"two of them, wrong first": {strings.Replace(holding(right), `"_attachments":{`,
			`"_attachments":{"widget-1.0.0.tgz":{"data":"`+packed(widget, "1.0.1")+`"},`, 1), "must have one tarball"},
		"two of them, wrong last": {strings.Replace(holding(right), `"_attachments":{`,
			`"_attachments":{"widget-1.0.0.tgz":{"data":"`+right+`"},`, 1), "must have one tarball"},
		"under another name": {strings.Replace(holding(right), `/widget-1.0.0.tgz"`, `/widget-1.0.0.TGZ"`, 1), "not the name of this version's tarball"},
		"data elsewhere":     {strings.Replace(plain, `"dist":{}`, `"dist":{"data":"`+right+`"}`, 1), "tarball is cut short"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, size := range []int{1, 100, len(tt.in)} {
				got, err := unpack(tt.in, size)
				if tt.says == "" {
					require.NoError(t, err)
					assert.Equal(t, "1.0.0", got.Version)
					continue
				}
				require.ErrorContains(t, err, tt.says)
				assert.IsType(t, &publishbody.Error{}, err)
				assert.NotErrorIs(t, err, publishbody.ErrNotPublish)
				assert.Zero(t, got)
			}
		})
	}
}

// The fault is found by the Write of the document's last brace at the latest.
func TestUnpacksBeforeTheEnd(t *testing.T) {
	in := holding(packed(widget, "1.0.1"))
	s := publishbody.NewUnpacking(widget, "carol")
	_, err := s.Write([]byte(in[:len(in)-1]))
	require.NoError(t, err)
	_, err = s.Write([]byte(in[len(in)-1:]))
	assert.ErrorContains(t, err, "another version")
}

func TestAbort(t *testing.T) {
	in := holding(packed(widget, "1.0.0"))
	half := strings.Index(in, `"data"`) + 60
	for name, use := range map[string]func(s *publishbody.Scanner){
		"half way": func(s *publishbody.Scanner) {
			_, err := s.Write([]byte(in[:half]))
			require.NoError(t, err)
			s.Abort()
			_, err = s.Write([]byte(in[half:]))
			require.ErrorContains(t, err, "not read to its end")
			_, err = s.Close()
			require.ErrorContains(t, err, "not read to its end")
		},
		"refused": func(s *publishbody.Scanner) {
			_, err := s.Write([]byte(in[:half] + "\x00"))
			require.ErrorContains(t, err, "control character")
		},
		"cut": func(s *publishbody.Scanner) {
			_, err := s.Write([]byte(in[:half]))
			require.NoError(t, err)
			_, err = s.Close()
			require.ErrorContains(t, err, "unexpected end")
		},
		"before": func(s *publishbody.Scanner) {
			s.Abort()
			_, err := s.Write([]byte(in))
			require.Error(t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				use(publishbody.NewUnpacking(widget, "carol"))
				synctest.Wait()
				stacks := make([]byte, 1<<20)
				assert.NotContains(t, string(stacks[:runtime.Stack(stacks, true)]), "internal/tarball", "a goroutine is left")
			})
		})
	}
}
