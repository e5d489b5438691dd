package leak_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/fuzzbound"
	"github.com/npmauth/npmauth/internal/vectors"
	"github.com/npmauth/npmauth/leak"
)

// published are reports that GitHub and others published with their signatures.
var published = []struct{ id, key, body, signature string }{
	{
		"bcb53661c06b4728e59d897fb6165d5c9cda0fd9cdf9d09ead458168deb7518c",
		"MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEYAGMWO8XgCamYKMJS6jc/qgvSlAdAjPuDPRcXU22YxgBrz+zoN19MzuRyW87qEt9/AmtoNP5GrobzUvQSyJFVw==",
		`[{"source":"commit","token":"some_token","type":"some_type","url":"https://example.com/base-repo-url/"}]`,
		"MEQCIQDaMKqrGnE27S0kgMrEK0eYBmyG0LeZismAEz/BgZyt7AIfXt9fErtRS4XaeSt/AO1RtBY66YcAdjxji410VQV4xg==",
	},
	{
		"90a421169f0a406205f1563a953312f0be898d3c7b6c06b681aa86a874555f4a",
		"MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE9MJJHnMfn2+H4xL4YaPDA4RpJqUqkCmRCBnYERxZanmcpzQSXs1X/AljlKkbJ8qpVIW4clayyef9gWhFbNHWAA==",
		`[{"token":"some_token","type":"some_type","url":"some_url"}]`,
		"MEUCIQDKZokqnCjrRtw0tni+2Ltvl/uiMJ1EGumEsp1BsNr32AIgQY1YXD2nlj+XNfGK4rBfkMJ1JDOQcYXxa2sY8FNkrKc=",
	},
	{
		"f9525bf080f75b3506ca1ead061add62b8633a346606dc5fe544e29231c6ee0d",
		"MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEsz9ugWDj5jK5ELBK42ynytbo38gPHzZFI03Exwz8Lh/tCfL3YxwMdLjB+bMznsanlhK0RwcGP3IDb34kQDIo3Q==",
		`[{"token":"some_token","type":"some_type","url":"some_url","source":"some_source"}]`,
		"MEUCIFLZzeK++IhS+y276SRk2Pe5LfDrfvTXu6iwKKcFGCrvAiEAhHN2kDOhy2I6eGkOFmxNkOJ+L2y8oQ9A2T9GGJo6WJY=",
	},
}

func spki(b64 string) []byte {
	return []byte("-----BEGIN PUBLIC KEY-----\n" + b64 + "\n-----END PUBLIC KEY-----\n")
}

func signed(id, signature string) http.Header {
	return http.Header{leak.KeyHeader: {id}, leak.SignatureHeader: {signature}}
}

func TestPublishedReports(t *testing.T) {
	keys := leak.Static{}
	for _, v := range published {
		key, err := leak.ParseKey(spki(v.key))
		require.NoError(t, err)
		keys[v.id] = key
	}
	for i, v := range published {
		reports, err := leak.Read(t.Context(), keys, signed(v.id, v.signature), []byte(v.body))
		require.NoError(t, err)
		require.Len(t, reports, 1)
		assert.Equal(t, "some_token", reports[0].Token.Reveal())
		assert.Equal(t, "some_type", reports[0].Type)
		assert.Equal(t, []string{"https://example.com/base-repo-url/", "some_url", "some_url"}[i], reports[0].URL)
		assert.Equal(t, []string{"commit", "", "some_source"}[i], reports[0].Source)
	}
	v, other := published[0], published[1]
	for name, c := range map[string]struct {
		header http.Header
		body   string
	}{
		"no headers":         {http.Header{}, v.body}, // SS-01
		"no signature":       {http.Header{leak.KeyHeader: {v.id}}, v.body},
		"no key":             {http.Header{leak.SignatureHeader: {v.signature}}, v.body},
		"two signatures":     {http.Header{leak.KeyHeader: {v.id}, leak.SignatureHeader: {v.signature, v.signature}}, v.body},
		"two keys":           {http.Header{leak.KeyHeader: {v.id, v.id}, leak.SignatureHeader: {v.signature}}, v.body},
		"garbage":            {signed(v.id, "garbage!"), v.body},
		"not base64":         {signed(v.id, " "+v.signature), v.body},
		"empty":              {signed(v.id, ""), v.body},
		"another's key":      {signed(other.id, v.signature), v.body},
		"another's report":   {signed(v.id, v.signature), other.body},
		"a key nobody knows": {signed("x", v.signature), v.body},
		"one byte more":      {signed(v.id, v.signature), v.body + "\n"}, // SS-02
		"written anew":       {signed(v.id, v.signature), `[{"token":"some_token","source":"commit","type":"some_type","url":"https://example.com/base-repo-url/"}]`},
		"nothing":            {signed(v.id, v.signature), ""},
	} {
		_, err := leak.Read(t.Context(), keys, c.header, []byte(c.body))
		assert.ErrorIs(t, err, leak.ErrSignature, name)
		assert.NotErrorIs(t, err, leak.ErrMalformed, name+": nothing is read before the signature")
	}
}

// A Verifier is made of headers alone, and of no others than a report with a valid signature has.
func TestNewVerifier(t *testing.T) {
	v := published[0]
	key, err := leak.ParseKey(spki(v.key))
	require.NoError(t, err)
	keys := leak.Static{v.id: key, "none": nil}
	reading, err := leak.NewVerifier(t.Context(), keys, signed(v.id, v.signature))
	require.NoError(t, err)
	for range 2 {
		reports, err := reading.Read([]byte(v.body))
		require.NoError(t, err)
		assert.Len(t, reports, 1)
		_, err = reading.Read([]byte(v.body + " "))
		assert.ErrorIs(t, err, leak.ErrSignature)
	}
	for name, header := range map[string]http.Header{
		"no headers":         {},
		"no key":             {leak.SignatureHeader: {v.signature}},
		"no signature":       {leak.KeyHeader: {v.id}},
		"a key nobody knows": signed("x", v.signature),
		"a key that is none": signed("none", v.signature),
		"long id":            signed(strings.Repeat("x", 257), v.signature),
		"empty":              signed(v.id, ""),
		"not base64":         signed(v.id, v.signature[1:]),
		"long":               signed(v.id, base64.StdEncoding.EncodeToString(make([]byte, 73))),
	} {
		_, err := leak.NewVerifier(t.Context(), keys, header)
		assert.ErrorIs(t, err, leak.ErrSignature, name)
	}
	_, err = leak.NewVerifier(t.Context(), keys, signed(v.id, base64.StdEncoding.EncodeToString(make([]byte, 72))))
	assert.NoError(t, err, "as long as one can be")
}

// A signer makes reports.
type signer struct{ key *ecdsa.PrivateKey }

func newSigner(t testing.TB) signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return signer{key}
}

func (s signer) keys() leak.Static { return leak.Static{"ours": &s.key.PublicKey} }

func (s signer) sign(body string) http.Header {
	digest := sha256.Sum256([]byte(body))
	signature, err := ecdsa.SignASN1(rand.Reader, s.key, digest[:])
	if err != nil {
		panic(err) // the random source does not fail
	}
	return signed("ours", base64.StdEncoding.EncodeToString(signature))
}

// SS-07: what a signed report may contain, and what not.
func TestRead(t *testing.T) {
	s := newSigner(t)
	read := func(body string) ([]string, error) {
		reports, err := leak.Read(t.Context(), s.keys(), s.sign(body), []byte(body))
		var tokens []string
		for _, r := range reports {
			tokens = append(tokens, r.Token.Reveal())
		}
		return tokens, err
	}
	for body, want := range map[string][]string{
		`[]`:   nil,
		`[{}]`: {""},
		`[{"token":"a"},{"token":"b","type":3},{"token":"a"}]`:                 {"a", "b", "a"},
		`[{"token":1},{"token":null},{"token":["x"]},{"token":{"token":"x"}}]`: {"", "", "", ""},
		`[1,"x",null,[{"token":"x"}],{"token":"a"}]`:                           {"", "", "", "", "a"},
		`[{"token":"a","later":{"token":"x"}}]`:                                {"a"},
	} {
		got, err := read(body)
		require.NoError(t, err, body)
		assert.Equal(t, want, got, body)
	}
	for _, body := range []string{``, `{}`, `"x"`, `null`, `[`, `[{"token":"a"}] ` + `x`, `[{"token":"a","token":"b"}]`, "[{\"token\":\"\xff\"}]"} {
		got, err := read(body)
		assert.ErrorIs(t, err, leak.ErrMalformed, body)
		assert.Empty(t, got, "a part of it is nothing to act on")
	}
}

func TestParseKey(t *testing.T) {
	other, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader) // SS-10
	require.NoError(t, err)
	der, err := x509.MarshalPKIXPublicKey(&other.PublicKey)
	require.NoError(t, err)
	good := string(spki(published[0].key))
	_, err = leak.ParseKey([]byte(good + "\n \r\n"))
	require.NoError(t, err)
	for name, text := range map[string]string{
		"empty": "", "P-384": string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), "two": good + good, "trailing": good + "x",
		"garbage": string(spki("AAAA")), "private": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
	} {
		_, err := leak.ParseKey([]byte(text))
		assert.Error(t, err, name)
	}
	// A Keys of another program may be careless.
	body := `[]`
	for _, key := range []*ecdsa.PublicKey{nil, &other.PublicKey} {
		_, err = leak.Read(t.Context(), leak.Static{"ours": key}, newSigner(t).sign(body), []byte(body))
		assert.ErrorIs(t, err, leak.ErrSignature)
	}
}

type broken struct{ err error }

func (b broken) Key(context.Context, string) (*ecdsa.PublicKey, error) { return nil, b.err }

func TestKeysAway(t *testing.T) {
	away := errors.New("away")
	_, err := leak.Read(t.Context(), broken{away}, newSigner(t).sign(`[]`), []byte(`[]`))
	assert.ErrorIs(t, err, away)
	assert.NotErrorIs(t, err, leak.ErrSignature)
}

// SS-10: the signatures that implementations have got wrong before.
func TestWycheproof(t *testing.T) {
	data := vectors.Wycheproof(t, "../../shared", "ecdsa_secp256r1_sha256_test.json")
	var suite struct {
		NumberOfTests int
		TestGroups    []struct {
			PublicKeyPem string
			Tests        []struct {
				TcID             int
				Comment          string
				Msg, Sig, Result string
			}
		}
	}
	require.NoError(t, json.Unmarshal(data, &suite))
	n := 0
	for _, group := range suite.TestGroups {
		key, err := leak.ParseKey([]byte(group.PublicKeyPem))
		require.NoError(t, err)
		for _, tt := range group.Tests {
			n++
			msg, err := hex.DecodeString(tt.Msg)
			require.NoError(t, err)
			sig, err := hex.DecodeString(tt.Sig)
			require.NoError(t, err)
			_, err = leak.Read(t.Context(), leak.Static{"k": key}, signed("k", base64.StdEncoding.EncodeToString(sig)), msg)
			switch tt.Result { // what was signed is not a report
			case "valid":
				assert.ErrorIs(t, err, leak.ErrMalformed, "%d: %s", tt.TcID, tt.Comment)
			case "invalid":
				assert.ErrorIs(t, err, leak.ErrSignature, "%d: %s", tt.TcID, tt.Comment)
			}
		}
	}
	assert.Equal(t, suite.NumberOfTests, n)
	assert.Positive(t, n)
}

func Example() {
	key, err := leak.ParseKey(spki(published[0].key))
	if err != nil {
		panic(err)
	}
	keys := leak.Static{published[0].id: key}
	header := http.Header{leak.KeyHeader: {published[0].id}, leak.SignatureHeader: {published[0].signature}}
	reports, err := leak.Read(context.Background(), keys, header, []byte(published[0].body))
	fmt.Println(reports[0].Source, reports[0].Token, err)
	// Output: commit [redacted] <nil>
}

// What an accepted key has signed is read as encoding/json reads it, and is an error if it is not an
// array that has one meaning.
func FuzzRead(f *testing.F) {
	for _, v := range published {
		f.Add([]byte(v.body))
	}
	for _, body := range []string{`[]`, `[0,{},[]]`, `[{"token":1},{"Token":"x"}]`, `[{"token":{"token":"x"}}]`, `{}`, `[{"token":"\ud800"}]`, `[{"token":"a","token":"b"}]`} {
		f.Add([]byte(body))
	}
	s := newSigner(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		read := func(body []byte) ([]leak.Report, error) {
			return leak.Read(t.Context(), s.keys(), s.sign(string(body)), body)
		}
		// A report of nothing takes two bytes, and a place in a list that grows.
		fuzzbound.Check(t, body, fuzzbound.Bounds{Memory: fuzzbound.Limit{Base: 64 << 10, PerByte: 256}, Work: fuzzbound.Limit{PerByte: 1}}, func(body []byte) int {
			reports, _ := read(body)
			return len(reports)
		})
		reports, err := read(body)
		if err != nil {
			require.ErrorIs(t, err, leak.ErrMalformed)
			require.Empty(t, reports)
			return
		}
		var want []json.RawMessage
		require.NoError(t, json.Unmarshal(body, &want))
		require.Len(t, reports, len(want))
		for i, one := range want {
			var fields map[string]any
			_ = json.Unmarshal(one, &fields)
			for field, got := range map[string]string{"token": reports[i].Token.Reveal(), "type": reports[i].Type, "url": reports[i].URL, "source": reports[i].Source} {
				if text, _ := fields[field].(string); len(text) <= 4096 {
					require.Equal(t, text, got, field)
				} else {
					require.Empty(t, got, field)
				}
			}
		}
	})
}
