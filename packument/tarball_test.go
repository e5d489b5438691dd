package packument_test

import (
	"encoding/base64"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/npmauthtest"
	"github.com/npmauth/npmauth/packument"
	"github.com/npmauth/npmauth/policy"
)

func packed(pkg policy.PackageName, version string) string {
	return base64.StdEncoding.EncodeToString(npmauthtest.Tarball(pkg, version))
}

// holding returns the plain publish with other data.
func holding(data string) string {
	return strings.Replace(plain, `"data":""`, `"data":"`+data+`"`, 1)
}

// unpacking is ofWidget with the tarball read.
var unpacking = packument.Config{Package: widget, By: "carol", CheckTarball: true}

func TestUnpacks(t *testing.T) {
	right := packed(widget, "1.0.0")
	first := strings.Replace(first, `"data":""`, `"data":"`+right+`"`, 1)
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
				got, err := scan(unpacking, []byte(tt.in), size)
				if tt.says == "" {
					require.NoError(t, err)
					assert.Equal(t, "1.0.0", got.Version)
					continue
				}
				require.ErrorContains(t, err, tt.says)
				assert.IsType(t, &packument.Error{}, err)
				assert.NotErrorIs(t, err, packument.ErrNotPublish)
				assert.Zero(t, got)
			}
		})
	}
}

// The fault is found by the Write of the document's last brace at the latest.
func TestUnpacksBeforeTheEnd(t *testing.T) {
	in := holding(packed(widget, "1.0.1"))
	s := packument.New(unpacking)
	_, err := s.Write([]byte(in[:len(in)-1]))
	require.NoError(t, err)
	_, err = s.Write([]byte(in[len(in)-1:]))
	assert.ErrorContains(t, err, "another version")
}

func TestAbort(t *testing.T) {
	in := holding(packed(widget, "1.0.0"))
	half := strings.Index(in, `"data"`) + 60
	for name, use := range map[string]func(s *packument.Scanner){
		"half way": func(s *packument.Scanner) {
			_, err := s.Write([]byte(in[:half]))
			require.NoError(t, err)
			s.Abort()
			_, err = s.Write([]byte(in[half:]))
			require.ErrorContains(t, err, "not read to its end")
			require.ErrorContains(t, s.Close(), "not read to its end")
		},
		"refused": func(s *packument.Scanner) {
			_, err := s.Write([]byte(in[:half] + "\x00"))
			require.ErrorContains(t, err, "control character")
		},
		"cut": func(s *packument.Scanner) {
			_, err := s.Write([]byte(in[:half]))
			require.NoError(t, err)
			require.ErrorContains(t, s.Close(), "unexpected end")
		},
		"before": func(s *packument.Scanner) {
			s.Abort()
			_, err := s.Write([]byte(in))
			require.Error(t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				use(packument.New(unpacking))
				synctest.Wait()
				stacks := make([]byte, 1<<20)
				assert.NotContains(t, string(stacks[:runtime.Stack(stacks, true)]), "internal/tarball", "a goroutine is left")
			})
		})
	}
}
