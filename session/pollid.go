package session

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"math/big"
	"strings"
	"time"

	"github.com/npmauth/npmauth/credential"
)

// A poll ID is 32 bytes in base 62: random bytes, when the flow started, and a MAC over both.
// With the MAC a node can tell an undecided flow, of which nothing is stored, from one that
// never existed, without reading the store.
//
// In text it is "npms_" and 43 characters: npm masks it in its logs, where npms_
// and 36 to 48 characters are redacted, and no session's secret is as long.
const (
	pollRandom = 20 // bytes
	pollTime   = 4  // bytes: Unix seconds
	pollMAC    = 8  // bytes: a forged ID only costs one read of a flow that does not exist
	pollSize   = pollRandom + pollTime + pollMAC
	pollDigits = 43 // 62^43 > 2^256
)

// newPollID returns the ID of a flow that starts at the time, which counts in whole seconds.
func (k *flowKeys) newPollID(started time.Time) credential.Secret {
	var b [pollSize]byte
	rand.Read(b[:pollRandom])
	binary.BigEndian.PutUint32(b[pollRandom:], uint32(started.Unix()))
	k.authenticate(b[:pollRandom+pollTime], b[pollRandom+pollTime:])
	digits := new(big.Int).SetBytes(b[:]).Text(62)
	return credential.NewSecret(credential.PrefixSession + strings.Repeat("0", pollDigits-len(digits)) + digits)
}

// openPollID returns when the flow started, and false for an ID that no node made.
func (k *flowKeys) openPollID(id string) (started time.Time, ok bool) {
	digits, found := strings.CutPrefix(id, credential.PrefixSession)
	if !found || len(digits) != pollDigits {
		return time.Time{}, false
	}
	for _, c := range []byte(digits) {
		// SetString accepts a leading + or -, too.
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return time.Time{}, false
		}
	}
	n, found := new(big.Int).SetString(digits, 62)
	if !found || n.BitLen() > pollSize*8 {
		return time.Time{}, false
	}
	var b [pollSize]byte
	n.FillBytes(b[:])
	var mac [pollMAC]byte
	k.authenticate(b[:pollRandom+pollTime], mac[:])
	if !hmac.Equal(mac[:], b[pollRandom+pollTime:]) {
		return time.Time{}, false
	}
	return time.Unix(int64(binary.BigEndian.Uint32(b[pollRandom:])), 0).UTC(), true
}

func (k *flowKeys) authenticate(b, mac []byte) {
	h := hmac.New(sha256.New, k.poll[:])
	h.Write(b)
	copy(mac, h.Sum(nil))
}
