package packument_test

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// sumOf returns the hash of data, as bytes.
func sumOf(data, algorithm string) string {
	switch algorithm {
	case "sha1":
		sum := sha1.Sum([]byte(data))
		return string(sum[:])
	case "sha256":
		sum := sha256.Sum256([]byte(data))
		return string(sum[:])
	case "sha384":
		sum := sha512.Sum384([]byte(data))
		return string(sum[:])
	case "sha512":
		sum := sha512.Sum512([]byte(data))
		return string(sum[:])
	}
	panic(algorithm)
}

// integrityOf returns the hash of data as Subresource Integrity text.
func integrityOf(data, algorithm string) string {
	return algorithm + "-" + base64.StdEncoding.EncodeToString([]byte(sumOf(data, algorithm)))
}

func shasumOf(data string) string { return hex.EncodeToString([]byte(sumOf(data, "sha1"))) }

// dist returns a manifest's dist with these fields; a nil one is omitted.
func dist(integrity, shasum any) string {
	fields := map[string]any{}
	if integrity != nil {
		fields["integrity"] = integrity
	}
	if shasum != nil {
		fields["shasum"] = shasum
	}
	text, err := json.Marshal(fields)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func TestIntegrity(t *testing.T) {
	const (
		noSRI = "not Subresource Integrity text"
		noHex = "not a SHA-1 hash"
		cased = "a field in another case"
	)
	long := integrityOf("x", "sha512")
	short := "sha1-" + base64.StdEncoding.EncodeToString([]byte(sumOf("x", "sha1")))
	options := long + "?" + strings.Repeat("o", 1024-len(long)-1)
	for name, tt := range map[string]struct{ dist, want, says string }{
		"none":                {dist: `{}`},
		"sha512":              {dist: dist(long, nil), want: long},
		"both":                {dist: dist(long, shasumOf("x")), want: long},
		"both, shasum first":  {dist: `{"shasum":"` + shasumOf("x") + `","integrity":"` + long + `"}`, want: long},
		"shasum":              {dist: dist(nil, shasumOf("x")), want: short},
		"shasum in capitals":  {dist: dist(nil, strings.ToUpper(shasumOf("x"))), want: short},
		"sha1":                {dist: dist(short, nil), want: short},
		"several":             {dist: dist(short+" "+long, nil), want: short + " " + long},
		"space around":        {dist: dist(" "+long+"\t\n", nil), want: " " + long + "\t\n"},
		"options":             {dist: dist(long+"?a=b?c", nil), want: long + "?a=b?c"},
		"1024 bytes":          {dist: dist(options, nil), want: options},
		"1025 bytes":          {dist: dist(options+"o", nil), says: noSRI},
		"unknown":             {dist: dist("md5-anything", nil)},
		"unknown and a known": {dist: dist("sha3-any "+long, nil), want: "sha3-any " + long},
		"unknown and shasum":  {dist: dist("md5-anything", shasumOf("x")), want: short},

		"empty":             {dist: dist("", nil), says: noSRI},
		"space":             {dist: dist(" \n", nil), says: noSRI},
		"null":              {dist: `{"integrity":null}`, says: noSRI},
		"a number":          {dist: dist(512, nil), says: noSRI},
		"an object":         {dist: `{"integrity":{"sha512":[]}}`, says: noSRI},
		"an array":          {dist: `{"integrity":["` + long + `"]}`, says: noSRI},
		"no algorithm":      {dist: dist(long[len("sha512"):], nil), says: noSRI},
		"no hash":           {dist: dist("sha512", nil), says: noSRI},
		"no hash, unknown":  {dist: dist("md5-", nil), says: noSRI},
		"options alone":     {dist: dist("?a", nil), says: noSRI},
		"capitals":          {dist: dist(strings.Replace(long, "sha", "SHA", 1), nil), says: noSRI},
		"of another size":   {dist: dist("sha512-"+short[len("sha1-"):], nil), says: noSRI},
		"no padding":        {dist: dist(strings.TrimRight(long, "="), nil), says: noSRI},
		"padding with bits": {dist: dist(long[:len(long)-3]+"B==", nil), says: noSRI},
		"hexadecimal":       {dist: dist("sha1-"+shasumOf("x"), nil), says: noSRI},
		"one of two":        {dist: dist(long+" sha256-x", nil), says: noSRI},
		"no ASCII":          {dist: dist(long+"?é", nil), says: noSRI},
		"other space":       {dist: dist(long+"\u00a0"+long, nil), says: noSRI},

		"shasum empty":     {dist: dist(nil, ""), says: noHex},
		"shasum null":      {dist: `{"shasum":null}`, says: noHex},
		"shasum a number":  {dist: `{"shasum":` + strings.Repeat("1", 40) + `}`, says: noHex},
		"shasum short":     {dist: dist(nil, shasumOf("x")[1:]), says: noHex},
		"shasum of sha256": {dist: dist(nil, hex.EncodeToString([]byte(sumOf("x", "sha256")))), says: noHex},
		"shasum no hex":    {dist: dist(nil, strings.Repeat("g", 40)), says: noHex},
		"shasum beside":    {dist: dist(long, "x"), says: noHex},

		// A reader that ignores case would take these for the fields that were checked.
		"Integrity":     {dist: `{"integrity":"` + long + `","Integrity":"` + short + `"}`, says: cased},
		"SHASUM":        {dist: `{"SHASUM":"` + shasumOf("x") + `"}`, says: cased},
		"\u017fhasum":   {dist: `{"\u017fhasum":"` + shasumOf("x") + `"}`, says: cased},
		"deeper is not": {dist: `{"signatures":[{"integrity":1}],"x":{"integrity":1}}`},
	} {
		t.Run(name, func(t *testing.T) {
			for _, order := range []string{plain, first} {
				require.Equal(t, 1, strings.Count(order, `"dist":{}`))
				in := []byte(strings.Replace(order, `"dist":{}`, `"dist":`+tt.dist, 1))
				for _, size := range []int{1, 7, len(in)} {
					got, err := scan(ofWidget, in, size)
					if tt.says != "" {
						require.ErrorContains(t, err, tt.says)
						continue
					}
					require.NoError(t, err)
					assert.Equal(t, tt.want, got.Integrity)
				}
			}
		})
	}
}

// The hashes in a changed document are the host's own, and not checked.
func TestIntegrityOfADocument(t *testing.T) {
	doc, _, err := read(`{"versions":{"1.0.0":{"dist":{"integrity":"forged","shasum":1}}}}`, 7)
	require.NoError(t, err)
	assert.Contains(t, doc.Versions, "1.0.0")
}
