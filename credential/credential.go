// Package credential protects secrets in memory from being printed, creates and parses tokens of
// npm's format, and caches decoded records for a short time.
//
// [New] creates a token; its digest, [Sum], is what is stored. [Parse] turns the text that a
// client presented into the digest to look up:
//
//	digest, ok := credential.Parse(presented)
//	if !ok {
//		return errInvalid // never looked up
//	}
//
// # Format
//
// A token is a prefix, 30 characters drawn uniformly from 0-9A-Za-z (178 bits) and six of
// checksum: CRC-32 (IEEE) of the 30, written in base 62, most significant digit first. That is
// the format of npm's own tokens since 2021, so secret scanners recognise it, and npm's log
// redactor masks it. The checksum tells tokens from other text before any lookup; it is public
// and authenticates nothing.
package credential

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
)

// The prefixes that [Parse] knows. The stored record, and never the prefix, says what a
// credential is.
const (
	PrefixToken   = "npm_"
	PrefixSession = "npms_"
)

const (
	alphabet  = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	bodySize  = 30
	checkSize = 6
	tailSize  = bodySize + checkSize
)

// digits maps a character to its value in alphabet, all others to foreign.
var digits = func() (t [256]uint8) {
	for i := range t {
		t[i] = foreign
	}
	for i := range len(alphabet) {
		t[alphabet[i]] = uint8(i)
	}
	return t
}()

const foreign = 0x80

// New returns a random secret with the prefix.
func New(prefix string) Secret {
	s, err := Derive(prefix, rand.Reader)
	if err != nil {
		// crypto/rand.Reader does not fail: it ends the process first.
		panic(err)
	}
	return s
}

// Derive returns the secret that r determines: the same bytes give the same secret, so one that
// must be returned twice need not be stored. Nobody else must be able to predict the stream, as
// with the output of HKDF. It reads thirty bytes, and one more for each that is rejected to
// keep the characters uniform; 64 suffice except once in 2^100. A stream that ends early is an
// error.
func Derive(prefix string, r io.Reader) (Secret, error) {
	var tail [tailSize]byte
	for n := 0; n < bodySize; {
		chunk := tail[n:bodySize]
		if _, err := io.ReadFull(r, chunk); err != nil {
			return Secret{}, fmt.Errorf("credential: derive: %w", err)
		}
		for _, b := range chunk {
			// 248 is the largest multiple of 62 in a byte; higher bytes would make the first
			// eight characters likelier.
			if b < 248 {
				tail[n] = alphabet[b%62]
				n++
			}
		}
	}
	crc := crc32.ChecksumIEEE(tail[:bodySize])
	for i := tailSize - 1; i >= bodySize; i-- {
		tail[i] = alphabet[crc%62]
		crc /= 62
	}
	return NewSecret(prefix + string(tail[:])), nil
}

// Parse returns the digest of a presented token if its prefix, length, alphabet and checksum
// are those of one. If ok is false do not look the text up: it was never issued.
func Parse(text string) (d Digest, ok bool) {
	tail, ok := strings.CutPrefix(text, PrefixToken)
	if !ok {
		tail, ok = strings.CutPrefix(text, PrefixSession)
	}
	if !ok || len(tail) != tailSize {
		return Digest{}, false
	}
	crc, seen := ^uint32(0), uint8(0) // as crc32.ChecksumIEEE, which would put the text on the heap
	for i := range bodySize {
		seen |= digits[tail[i]]
		crc = crc32.IEEETable[byte(crc)^tail[i]] ^ crc>>8
	}
	// Six digits of base 62 exceed 32 bits; compared in 64, no other text of the checksum has
	// the same number.
	var check uint64
	for i := bodySize; i < tailSize; i++ {
		v := digits[tail[i]]
		seen |= v
		check = check*62 + uint64(v)
	}
	if seen&foreign != 0 || check != uint64(^crc) {
		return Digest{}, false
	}
	return sum(text), true
}

// A Digest is the SHA-256 of a secret, under which its record is stored and found. A secret of
// this package has 178 bits, so a fast hash suffices; passwords need package account. The zero
// value is the digest of the zero Secret.
type Digest [sha256.Size]byte

// ErrDigest is returned for text that is not a digest in hex.
var ErrDigest = errors.New("credential: malformed digest")

// Sum returns the digest of s. That of the zero Secret is the zero Digest, under which nothing
// is stored.
func Sum(s Secret) Digest {
	if s.IsZero() {
		return Digest{}
	}
	return sum(*s.text)
}

func sum(text string) Digest {
	var buf [64]byte // keeps a text of a token's length off the heap
	return sha256.Sum256(append(buf[:0], text...))
}

// A Prefix is the first half of a [Digest]. It names a credential where its whole digest is
// compared afterwards. 128 bits of SHA-256 of a random secret reveal nothing of it, and no two
// secrets share them.
type Prefix [16]byte

// Prefix returns the first half of d.
func (d Digest) Prefix() Prefix { return Prefix(d[:16]) }

// A Prefix is written as base32 and not as a UUID, which npm masks where it prints one, so
// that what `npm token list --json` shows can be given to `npm token revoke`.
var prefixEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

const prefixSize = 26 // characters

// String returns p in lower-case base32, 26 characters, which is the public ID of a token.
func (p Prefix) String() string {
	var text [prefixSize]byte
	prefixEncoding.Encode(text[:], p[:])
	return string(text[:])
}

// ParsePrefix reads what [Prefix.String] writes. ok is false for any other text, so that a Prefix has one
// spelling.
func ParsePrefix(text string) (p Prefix, ok bool) {
	if len(text) != prefixSize {
		return Prefix{}, false
	}
	n, err := prefixEncoding.Decode(p[:], []byte(text))
	if err != nil || n != len(p) || p.String() != text { // the last character has bits to spare
		return Prefix{}, false
	}
	return p, true
}

// ParseDigest reads what [Digest.String] writes: 64 lower-case hex digits. Any
// other text is [ErrDigest], so that a digest has one spelling.
func ParseDigest(text string) (Digest, error) {
	var d Digest
	if err := d.UnmarshalText([]byte(text)); err != nil {
		return Digest{}, err
	}
	return d, nil
}

// String returns the digest in lower-case hex.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// IsZero reports whether d is the digest of the zero Secret.
func (d Digest) IsZero() bool { return d == Digest{} }

// MarshalText returns what String does.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what MarshalText writes, or returns [ErrDigest].
func (d *Digest) UnmarshalText(text []byte) error {
	if len(text) != hex.EncodedLen(len(d)) {
		return ErrDigest
	}
	var v Digest
	if _, err := hex.Decode(v[:], text); err != nil {
		return ErrDigest
	}
	for _, c := range text {
		if 'A' <= c && c <= 'F' {
			return ErrDigest
		}
	}
	*d = v
	return nil
}

// IsID reports whether text has the form of what [NewID] returns: a UUID in lower case, of whatever version.
func IsID(text string) bool {
	if len(text) != 36 {
		return false
	}
	for i, c := range []byte(text) {
		switch hyphen := i == 8 || i == 13 || i == 18 || i == 23; {
		case hyphen && c != '-', !hyphen && (c < '0' || c > '9') && (c < 'a' || c > 'f'):
			return false
		}
	}
	return true
}

// NewID returns a random UUID (version 4): a credential's public name, which
// lists, events and logs may show.
func NewID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
