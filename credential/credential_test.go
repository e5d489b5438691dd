package credential_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/internal/fuzzbound"
)

func Example() {
	// A token is shown once; its digest is what is stored.
	secret := credential.New(credential.PrefixToken)
	stored := credential.Sum(secret)

	presented, ok := credential.Parse(secret.Reveal())
	fmt.Println(ok, presented == stored)
	fmt.Println(secret)

	_, ok = credential.Parse("npm_not-a-token")
	fmt.Println(ok)
	// Output:
	// true true
	// [redacted]
	// false
}

// valid are tokens of npm's format that were published elsewhere or computed by hand; none was
// ever valid at this registry.
var valid = []string{
	"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",
	"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",
	"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",
	"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",
	"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",
	"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",
	"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", // checksums that are padded with zeros
	"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",
}

func TestParseVectors(t *testing.T) {
	for _, text := range valid {
		d, ok := credential.Parse(text)
		assert.True(t, ok, text)
		assert.Equal(t, credential.Sum(credential.NewSecret(text)), d)

		session := "npms_" + strings.TrimPrefix(text, "npm_")
		ds, ok := credential.Parse(session)
		assert.True(t, ok, session)
		assert.NotEqual(t, d, ds, "the prefix is part of the secret")
	}
}

func TestParseRefuses(t *testing.T) {
	good := valid[0]
	for name, text := range map[string]string{
		"empty":                        "",
		"prefix alone":                 "npm_",
		"a shape without its checksum": "npm_TCllNwh2WLQlMWVhybM1iQrsTj6rMQ0BOh6d",
		"another one":                  "npm_hK0FJXBYCkejhEMY4Kp6bOOZn1DlfBOmtbJY",
		"31 characters with checksum":  "npm_00000000000000000000000000000004WZ4EQ",
		"too short":                    good[:len(good)-1],
		"too long":                     good + "0",
		"upper-case prefix":            "NPM_" + good[4:],
		"no prefix":                    good[4:],
		"another prefix":               "ghp_" + good[4:],
		"the proof of a web challenge": "npmo_" + good[4:],
		"leading space":                " " + good,
		"trailing newline":             good + "\n",
		"a poll id":                    "npms_" + strings.Repeat("a", 43),
		"a UUID of older npm":          "00000000-0000-4000-8000-000000000000",
		"a hyphen":                     good[:10] + "-" + good[11:],
		"a NUL":                        good[:10] + "\x00" + good[11:],
		"not ASCII":                    good[:10] + "\xc3" + good[11:],
		"not ASCII in the checksum":    good[:39] + "\xc3",
	} {
		t.Run(name, func(t *testing.T) {
			d, ok := credential.Parse(text)
			assert.False(t, ok)
			assert.True(t, d.IsZero())
		})
	}
}

// CRC-32 finds any single character that is replaced, and any two neighbours that are swapped.
func TestParseFindsTypos(t *testing.T) {
	for _, text := range []string{valid[0], "npms_" + valid[1][4:]} {
		for i := range text {
			for _, c := range []byte("019AZaz_-. \x00\x80\xff") {
				if text[i] == c {
					continue
				}
				_, ok := credential.Parse(text[:i] + string([]byte{c}) + text[i+1:])
				assert.False(t, ok, "%d %q", i, c)
			}
			if i > 0 && text[i-1] != text[i] {
				_, ok := credential.Parse(text[:i-1] + text[i:i+1] + text[i-1:i] + text[i+1:])
				assert.False(t, ok, "%d exchanged", i)
			}
		}
	}
}

// Six digits of base 62 have 13 times as many numbers as 32 bits: the text of the checksum plus
// 2^32 must not pass for it.
func TestParseHasNoAliases(t *testing.T) {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	body := valid[0][4:34]
	want := uint64(crc32.ChecksumIEEE([]byte(body)))
	passed := 0
	for n := want; n < 62*62*62*62*62*62; n += 1 << 32 {
		var check [6]byte
		for i, v := 5, n; i >= 0; i, v = i-1, v/62 {
			check[i] = digits[v%62]
		}
		if _, ok := credential.Parse("npm_" + body + string(check[:])); ok {
			passed++
		}
	}
	assert.Equal(t, 1, passed)
}

func TestNew(t *testing.T) {
	// The expression by which npm masks tokens in its own logs.
	masked := regexp.MustCompile(`\b(npms?_)[a-zA-Z0-9]{36,48}\b`)
	seen := map[string]bool{}
	for range 1000 {
		for _, prefix := range []string{credential.PrefixToken, credential.PrefixSession} {
			s := credential.New(prefix)
			d, ok := credential.Parse(s.Reveal())
			require.True(t, ok)
			require.Equal(t, credential.Sum(s), d)
			require.True(t, strings.HasPrefix(s.Reveal(), prefix))
			require.Equal(t, s.Reveal(), masked.FindString(s.Reveal()))
			require.False(t, seen[s.Reveal()])
			seen[s.Reveal()] = true
		}
	}
}

func TestDerive(t *testing.T) {
	stream := make([]byte, 256)
	for i := range stream {
		stream[i] = byte(i * 7)
	}
	a, err := credential.Derive("npms_", bytes.NewReader(stream))
	require.NoError(t, err)
	b, err := credential.Derive("npms_", iotestOneByte{bytes.NewReader(stream)})
	require.NoError(t, err)
	assert.Equal(t, a.Reveal(), b.Reveal(), "however the stream is cut")
	_, ok := credential.Parse(a.Reveal())
	assert.True(t, ok)

	t.Run("rejection", func(t *testing.T) {
		// Bytes above 247 are skipped: they would favour eight characters.
		r := bytes.NewReader(append(bytes.Repeat([]byte{248, 255, 61}, 30), 0, 0))
		s, err := credential.Derive("npm_", r)
		require.NoError(t, err)
		assert.Equal(t, valid[5], s.Reveal())
		assert.Equal(t, 2, r.Len(), "no byte is read that is not needed")
	})
	t.Run("short stream", func(t *testing.T) {
		for _, n := range []int{0, 1, 29} {
			s, err := credential.Derive("npm_", bytes.NewReader(make([]byte, n)))
			require.Error(t, err)
			assert.True(t, s.IsZero())
		}
	})
	t.Run("every character is as likely", func(t *testing.T) {
		all := make([]byte, 0, 256*30)
		for b := range 256 {
			all = append(all, bytes.Repeat([]byte{byte(b)}, 30)...)
		}
		counts, r := map[byte]int{}, bytes.NewReader(all)
		for {
			s, err := credential.Derive("", r)
			if err != nil {
				break
			}
			for _, c := range []byte(s.Reveal()[:30]) {
				counts[c]++
			}
		}
		require.Len(t, counts, 62)
		for c, n := range counts {
			assert.Equal(t, 4*30, n, "%q", c)
		}
	})
}

type iotestOneByte struct{ r io.Reader }

func (o iotestOneByte) Read(p []byte) (int, error) {
	if len(p) > 1 {
		p = p[:1]
	}
	return o.r.Read(p)
}

func TestDigest(t *testing.T) {
	d := credential.Sum(credential.NewSecret("abc"))
	const want = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" // FIPS 180-4
	assert.Equal(t, want, d.String())
	back, err := credential.ParseDigest(want)
	require.NoError(t, err)
	assert.Equal(t, d, back)

	long := strings.Repeat("a", 1000)
	assert.Equal(t, "41edece42d63e8d9bf515a9ba6932e1c20cbc9f5a5d134645adb5db1b9737ea3",
		credential.Sum(credential.NewSecret(long)).String())

	data, err := json.Marshal(map[credential.Digest]credential.Digest{d: d})
	require.NoError(t, err)
	assert.Equal(t, `{"`+want+`":"`+want+`"}`, string(data))
	var m map[credential.Digest]credential.Digest
	require.NoError(t, json.Unmarshal(data, &m))
	assert.Equal(t, d, m[d])

	assert.True(t, credential.Sum(credential.Secret{}).IsZero(), "of nothing, nothing")
	assert.False(t, d.IsZero())

	for _, bad := range []string{"", want[1:], want + "0", strings.ToUpper(want), "g" + want[1:], want[:63] + "F"} {
		_, err := credential.ParseDigest(bad)
		assert.ErrorIs(t, err, credential.ErrDigest, bad)
		got := d
		assert.ErrorIs(t, got.UnmarshalText([]byte(bad)), credential.ErrDigest)
		assert.Equal(t, d, got, "an error leaves it as it was")
	}
}

func TestNewID(t *testing.T) {
	v4 := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	seen := map[string]bool{}
	for range 1000 {
		id := credential.NewID()
		require.Regexp(t, v4, id)
		require.False(t, seen[id])
		seen[id] = true
	}
}

// Parse accepts exactly the texts of the format, which are checked here in another way: the
// prefix, 30 characters, and their checksum in six.
func FuzzParse(f *testing.F) {
	for _, text := range valid {
		f.Add(text)
	}
	f.Add("npms_" + strings.Repeat("0", 36))
	shape := regexp.MustCompile(`^npms?_[0-9A-Za-z]{36}$`)
	f.Fuzz(func(t *testing.T, text string) {
		fuzzbound.Check(t, text, fuzzbound.Bounds{Memory: fuzzbound.Limit{Base: 256}}, func(text string) int {
			credential.Parse(text)
			return 0
		})
		d, ok := credential.Parse(text)
		shaped := shape.MatchString(text)
		if !shaped {
			require.False(t, ok)
			require.True(t, d.IsZero())
			return
		}
		// Of all texts of this shape those are tokens whose end is the checksum.
		body := text[len(text)-36 : len(text)-6]
		right := text[:len(text)-6] + check(crc32.ChecksumIEEE([]byte(body)))
		require.Equal(t, text == right, ok)
		if !ok {
			require.True(t, d.IsZero())
		}
		d, ok = credential.Parse(right)
		require.True(t, ok)
		require.Equal(t, credential.Sum(credential.NewSecret(right)), d)
	})
}

// check writes a checksum as the end of a token, by division.
func check(crc uint32) string {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	text := ""
	for range 6 {
		text, crc = digits[crc%62:crc%62+1]+text, crc/62
	}
	return text
}

// The ID that is made of a digest has one spelling, which says half of the digest and no more.
func TestPrefixText(t *testing.T) {
	d := credential.Sum(credential.NewSecret("x"))
	text := d.Prefix().String()
	assert.Regexp(t, `^[a-z2-7]{26}$`, text, "AU-70: nothing that npm masks")
	p, ok := credential.ParsePrefix(text)
	require.True(t, ok)
	assert.Equal(t, d.Prefix(), p)
	other := d
	other[15]++
	assert.NotEqual(t, text, other.Prefix().String())
	other = d
	other[16]++
	assert.Equal(t, text, other.Prefix().String())

	zero := strings.Repeat("a", 26)
	assert.Equal(t, zero, credential.Prefix{}.String())
	p, ok = credential.ParsePrefix(zero)
	assert.True(t, ok)
	assert.Zero(t, p)

	for _, bad := range []string{
		"", text + "a", text[1:], strings.ToUpper(text), d.String(), d.String()[:26], zero[:25] + "b", zero[:25] + "\n", zero[:24] + "\n\n", "\n" + zero[1:], zero[:25] + "=",
		strings.Repeat("\n", 26), strings.Repeat("=", 26), zero[:25] + "1",
	} {
		p, ok := credential.ParsePrefix(bad)
		assert.False(t, ok, "%q", bad)
		assert.Zero(t, p, "%q", bad)
	}
}
