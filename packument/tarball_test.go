package packument_test

import (
	"encoding/base64"
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/host/hosttest"
	"github.com/npmauth/npmauth/packument"
	"github.com/npmauth/npmauth/protocol"
)

func packed(pkg protocol.PackageName, version string) string {
	return base64.StdEncoding.EncodeToString(hosttest.Tarball(pkg, version))
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
		"another package":            {holding(packed(protocol.PackageName{Name: "widget"}, "1.0.0")), "package.json is about another package"},
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

// The Write of the document's last brace finds the error at the latest.
func TestUnpacksBeforeTheEnd(t *testing.T) {
	in := holding(packed(widget, "1.0.1"))
	s := packument.New(unpacking)
	_, err := s.Write([]byte(in[:len(in)-1]))
	require.NoError(t, err)
	_, err = s.Write([]byte(in[len(in)-1:]))
	assert.ErrorContains(t, err, "another version")
}

// A check whose sender is gone ends.
func TestDone(t *testing.T) {
	in := holding(packed(widget, "1.0.0"))
	half := strings.Index(in, `"data"`) + 60
	done := make(chan struct{})
	cfg := unpacking
	cfg.Done = done
	s := packument.New(cfg)
	_, err := s.Write([]byte(in[:half]))
	require.NoError(t, err)
	close(done)
	_, err = s.Write([]byte(in[half:]))
	require.ErrorContains(t, err, "aborted")
	assert.Error(t, s.Close())
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

// hashing is ofWidget with the tarball compared with the manifest.
var hashing = packument.Config{Package: widget, By: "carol", HashTarball: true}

// stating returns a publish with data as its tarball's base64 and a dist.
func stating(order, data, dist string) string {
	return strings.Replace(strings.Replace(order, `"data":""`, `"data":"`+data+`"`, 1), `"dist":{}`, `"dist":`+dist, 1)
}

func TestHashes(t *testing.T) {
	const differs = "the tarball is not the one that the manifest's integrity states"
	text := packed(widget, "1.0.0")
	raw, err := base64.StdEncoding.DecodeString(text)
	require.NoError(t, err)
	data := string(raw)
	of := func(algorithm string) string { return integrityOf(data, algorithm) }
	for name, tt := range map[string]struct{ data, dist, says string }{
		"none":                  {text, `{}`, ""},
		"none, and no base64":   {"*", `{}`, ""},
		"unknown":               {text, dist("md5-x", nil), ""},
		"sha512":                {text, dist(of("sha512"), nil), ""},
		"sha384":                {text, dist(of("sha384"), nil), ""},
		"sha256":                {text, dist(of("sha256"), nil), ""},
		"sha1":                  {text, dist(of("sha1"), nil), ""},
		"shasum":                {text, dist(nil, shasumOf(data)), ""},
		"both":                  {text, dist(of("sha512"), shasumOf(data)), ""},
		"options":               {text, dist(of("sha512")+"?x", nil), ""},
		"one of two":            {text, dist(integrityOf("x", "sha512")+" "+of("sha512"), nil), ""},
		"the other of two":      {text, dist(of("sha512")+" "+integrityOf("x", "sha512"), nil), ""},
		"the strongest counts":  {text, dist(integrityOf("x", "sha1")+" "+of("sha512")+" "+integrityOf("x", "sha384"), nil), ""},
		"empty":                 {"", dist(integrityOf("", "sha512"), nil), ""},
		"escaped":               {strings.ReplaceAll(text, "/", `\/`), dist(of("sha512"), nil), ""},
		"only the weaker":       {text, dist(of("sha1")+" "+integrityOf("x", "sha512")+" "+of("sha384"), nil), differs},
		"wrong sha512":          {text, dist(integrityOf("x", "sha512"), nil), differs},
		"wrong sha384":          {text, dist(integrityOf("x", "sha384"), nil), differs},
		"wrong sha256":          {text, dist(integrityOf("x", "sha256"), nil), differs},
		"wrong sha1":            {text, dist(integrityOf("x", "sha1"), nil), differs},
		"wrong shasum":          {text, dist(nil, shasumOf("x")), differs},
		"wrong shasum of two":   {text, dist(of("sha512"), shasumOf("x")), differs},
		"wrong sha512 of two":   {text, dist(integrityOf("x", "sha512"), shasumOf(data)), differs},
		"unknown, wrong shasum": {text, dist("md5-x", shasumOf("x")), differs},
		"nothing in it":         {"", dist(of("sha512"), nil), differs},
		"no base64":             {"*" + text[1:], dist(of("sha512"), nil), "not valid base64"},
		"cut":                   {text[:len(text)-1], dist(of("sha512"), nil), "not valid base64"},
		"more behind it":        {text + "AAAA", dist(of("sha512"), nil), ""},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "more behind it" {
				tt.says = differs
				if strings.HasSuffix(text, "=") {
					tt.says = "not valid base64"
				}
			}
			for _, order := range []string{plain, first} {
				in := []byte(stating(order, tt.data, tt.dist))
				_, err := scan(ofWidget, in, len(in))
				require.NoError(t, err, "nothing of it matters")
				for _, size := range []int{1, 13, len(in)} {
					got, err := scan(hashing, in, size)
					if tt.says == "" {
						require.NoError(t, err)
						assert.Equal(t, "1.0.0", got.Version)
						continue
					}
					require.ErrorContains(t, err, tt.says)
					assert.IsType(t, &packument.Error{}, err)
					assert.NotErrorIs(t, err, packument.ErrNotPublish)
				}
				s := packument.New(hashing)
				_, err = s.Write(in[:len(in)-1])
				require.NoError(t, err)
				_, err = s.Write(in[len(in)-1:])
				assert.Equal(t, tt.says != "", err != nil, "it is found by the last brace")
				if strings.HasPrefix(tt.says, differs) { // the tarball is right, and of that version
					_, err = scan(unpacking, in, 1000)
					assert.Error(t, err, "CheckTarball implies it")
				}
			}
		})
	}
	for _, order := range []string{plain, first} {
		_, err = scan(unpacking, []byte(stating(order, text, dist(of("sha512"), shasumOf(data)))), 100)
		assert.NoError(t, err)
		_, err = scan(unpacking, []byte(stating(order, text, dist(nil, shasumOf("x")))), 100)
		assert.ErrorContains(t, err, differs)
		_, err = scan(unpacking, []byte(stating(order, packed(widget, "1.0.1"), dist(nil, shasumOf("x")))), 100)
		assert.ErrorContains(t, err, "package.json is about another version", "which says more")
	}
}

// The hashes in the manifest are of the tarball, wherever the other attachment is.
func TestHashesTheTarball(t *testing.T) {
	text := packed(widget, "1.0.0")
	raw, err := base64.StdEncoding.DecodeString(text)
	require.NoError(t, err)
	right := dist(integrityOf(string(raw), "sha512"), nil)
	const bundle = `"@acme/widget-1.0.0.sigstore":{"data":"{}"}`
	for _, order := range []string{plain, first} {
		in := stating(order, text, right)
		_, err := scan(hashing, []byte(strings.Replace(in, `"_attachments":{`, `"_attachments":{`+bundle+`,`, 1)), 9)
		assert.NoError(t, err)
		_, err = scan(hashing, []byte(strings.Replace(in, `"length":0}`, `"length":0},`+bundle, 1)), 9)
		assert.NoError(t, err)
		_, err = scan(hashing, []byte(strings.Replace(in, `"_attachments":{`, `"_attachments":{"widget-1.0.0.tgz":{"data":"AAAA"},`, 1)), 9)
		assert.ErrorContains(t, err, "must have one tarball")
	}
}

// HashTarball may be called after the beginning.
func TestHashTarballLater(t *testing.T) {
	const window = 32 << 10
	long := strings.Repeat("AAAA", window/4+1)
	for _, order := range []string{plain, first} {
		for name, tt := range map[string]struct {
			data string
			at   int // bytes of the data that were written when HashTarball is called; -1: all of the body
			late bool
		}{
			"before the data": {long, 0, false},
			"in the window":   {long, window, false},
			"behind it":       {long, window + 1, true},
			"small, whole":    {long[:window], -1, false},
			"large, whole":    {long[:window+4], -1, true},
		} {
			for _, right := range []bool{true, false} {
				raw, err := base64.StdEncoding.DecodeString(tt.data)
				require.NoError(t, err)
				sum := integrityOf(string(raw), "sha512")
				if !right {
					sum = integrityOf("x", "sha512")
				}
				in := stating(order, tt.data, dist(sum, nil))
				s := packument.New(ofWidget)
				cut := strings.Index(in, `"data":"`) + len(`"data":"`) + tt.at
				if tt.at < 0 {
					cut = len(in)
				}
				_, err = s.Write([]byte(in[:cut]))
				require.NoError(t, err)
				s.HashTarball()
				s.HashTarball()
				_, err = s.Write([]byte(in[cut:]))
				closed := s.Close()
				if err != nil {
					assert.Equal(t, err, closed)
				}
				switch bad, _ := errors.AsType[*packument.Error](closed); {
				case tt.late:
					assert.ErrorContains(t, closed, "HashTarball was called", name)
					assert.Nil(t, bad, "it is no fault of the sender's")
				case right:
					assert.NoError(t, closed, name)
				default:
					assert.ErrorContains(t, closed, "not the one that the manifest's integrity states", name)
					assert.NotNil(t, bad)
				}
			}
		}
		s := packument.New(ofWidget)
		_, err := s.Write([]byte(order))
		require.NoError(t, err)
		require.NoError(t, s.Close())
		s.HashTarball()
		assert.ErrorContains(t, s.Close(), "HashTarball was called", "closed")
	}
}
