package twofactor

import (
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"
)

// The parameters of RFC 6238 that every authenticator app knows. They are not stored, so that a
// changed record cannot weaken them.
const (
	period    = 30 // seconds in a step
	window    = 1  // steps before and after the present one: RFC 6238 section 5.2
	keySize   = 20 // bytes, RFC 4226 section 4 R6 recommends 160 bits
	minKey    = 16 // bytes, the same section demands 128 bits
	digits    = otp.DigitsSix
	algorithm = otp.AlgorithmSHA1
)

var (
	errKey  = errors.New("twofactor: stored key is too short")
	errTime = errors.New("twofactor: time is before 1970")
)

var keyText = base32.StdEncoding.WithPadding(base32.NoPadding)

func stepOf(t time.Time) int64 { return t.Unix() / period }

// stepStart is the first instant at which apps show the code of step.
func stepStart(step int64) time.Time { return time.Unix(step*period, 0).UTC() }

// stepEnd is the first instant at which the code of step is no longer accepted.
func stepEnd(step int64) time.Time { return time.Unix((step+window+1)*period, 0).UTC() }

// codeAt returns the code of a step. HMAC accepts an empty key, and then everyone
// can compute the code: a short one is an error.
func codeAt(key []byte, step int64, d otp.Digits) (string, error) {
	if len(key) < minKey {
		return "", errKey
	}
	if step < 0 {
		return "", errTime
	}
	return totp.GenerateCodeCustom(keyText.EncodeToString(key), time.Unix(step*period, 0),
		totp.ValidateOpts{Period: period, Digits: d, Algorithm: algorithm})
}

// accept returns the step that code belongs to, if it is within the window and above last. One that
// is not above is a UsedError, and any other error wraps ErrWrong.
//
// It has its own loop because the library only reports whether a code matched, and the step is
// needed to detect a replay. Where two steps have the same code the higher one counts, or the
// code could be used a second time.
func accept(key []byte, code string, now time.Time, last int64) (int64, error) {
	if now.Unix() < 0 {
		return 0, errTime
	}
	matched, here := int64(-1), stepOf(now)
	for step := max(here-window, 0); step <= here+window; step++ {
		want, err := codeAt(key, step, digits)
		if err != nil {
			return 0, err
		}
		if subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 {
			matched = step
		}
	}
	switch {
	case matched < 0:
		return 0, wrong(reasonWrong)
	case matched <= last:
		return 0, usedCode(matched, last)
	}
	return matched, nil
}

// keyURI returns the otpauth URI that authenticator apps read. Issuer and label
// are joined by a colon, so one inside of them is escaped.
func keyURI(issuer, label string, key []byte) string {
	text := func(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
	return "otpauth://totp/" + text(issuer) + ":" + text(label) +
		"?secret=" + keyText.EncodeToString(key) + "&issuer=" + text(issuer) +
		"&algorithm=SHA1&digits=6&period=30"
}
