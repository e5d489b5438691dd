package twofactor

import (
	"testing"
	"time"

	"github.com/pquerna/otp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/protocol"
)

var rfcKey = []byte("12345678901234567890")

// T6: RFC 6238 appendix B, SHA-1.
func TestCodesOfRFC6238(t *testing.T) {
	for unix, want := range map[int64]string{
		59:          "94287082",
		1111111109:  "07081804",
		1111111111:  "14050471",
		1234567890:  "89005924",
		2000000000:  "69279037",
		20000000000: "65353130",
	} {
		got, err := codeAt(rfcKey, stepOf(time.Unix(unix, 0)), otp.DigitsEight)
		require.NoError(t, err)
		assert.Equal(t, want, got, unix)
		six, err := codeAt(rfcKey, stepOf(time.Unix(unix, 0)), digits)
		require.NoError(t, err)
		assert.Equal(t, want[2:], six, unix)
	}
}

// OT-06: the window is one step to each side, to the nanosecond.
func TestAcceptWindow(t *testing.T) {
	const step = 37037036
	start := time.Unix(step*period, 0)
	code, err := codeAt(rfcKey, step, digits)
	require.NoError(t, err)
	for _, tt := range []struct {
		name string
		at   time.Duration // after the step begins
		ok   bool
	}{
		{"two steps early", -30*time.Second - time.Nanosecond, false},
		{"one step early", -30 * time.Second, true},
		{"begin", 0, true},
		{"29.999 s", 29999 * time.Millisecond, true},
		{"next step", 30 * time.Second, true},
		{"59.999 s", 59999 * time.Millisecond, true},
		{"two steps late", 60 * time.Second, false},
	} {
		got, err := accept(rfcKey, code, start.Add(tt.at), 0)
		if tt.ok {
			assert.NoError(t, err, tt.name)
			assert.EqualValues(t, step, got, tt.name)
		} else {
			assert.ErrorIs(t, err, ErrWrong, tt.name)
		}
		assert.Equal(t, tt.ok, start.Add(tt.at).Before(stepEnd(step)) && tt.at >= -30*time.Second, "stepEnd: %s", tt.name)
	}
}

// Two neighbouring steps of this key have one code. If the lower one counted, the same code
// would be accepted twice.
func TestAcceptTakesTheHigherOfTwoEqualSteps(t *testing.T) {
	const step = 31476425
	now := time.Unix(step*period, 0)
	a, err := codeAt(rfcKey, step, digits)
	require.NoError(t, err)
	b, err := codeAt(rfcKey, step+1, digits)
	require.NoError(t, err)
	require.Equal(t, a, b)
	got, err := accept(rfcKey, a, now, 0)
	require.NoError(t, err)
	assert.EqualValues(t, step+1, got)
	_, err = accept(rfcKey, a, now, got)
	assert.ErrorIs(t, err, ErrWrong)
}

// OT-17: HMAC with an empty key can be computed by anyone.
func TestShortKeysDeny(t *testing.T) {
	now := time.Unix(1234567890, 0)
	for _, key := range [][]byte{nil, {}, rfcKey[:15]} {
		padded := append(append([]byte{}, key...), make([]byte, 20)...) // HMAC pads with zeros
		code, err := codeAt(padded, stepOf(now), digits)
		require.NoError(t, err)
		_, err = accept(key, code, now, 0)
		assert.ErrorIs(t, err, errKey)
	}
}

func TestTimesBefore1970Deny(t *testing.T) {
	_, err := accept(rfcKey, "000000", time.Unix(-1, 0), 0)
	assert.ErrorIs(t, err, errTime)
	code, err := codeAt(rfcKey, 0, digits)
	require.NoError(t, err)
	_, err = accept(rfcKey, code, time.Unix(0, 0), 0)
	assert.ErrorIs(t, err, ErrWrong, "step 0 is never above the last")
}

// T8: a colon in a name must not pass for the one between issuer and label.
func TestKeyURI(t *testing.T) {
	assert.Equal(t,
		"otpauth://totp/npm%3Aevil%20inc:a%3Ab%40c%2Fd%3F?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=npm%3Aevil%20inc&algorithm=SHA1&digits=6&period=30",
		keyURI("npm:evil inc", "a:b@c/d?", rfcKey))
}

func TestJoinedIsUnambiguous(t *testing.T) {
	seen := map[string]bool{}
	for _, parts := range [][]string{{}, {""}, {"", ""}, {"ab"}, {"a", "b"}, {"", "ab"}, {"ab", ""}, {"a", "b", ""}} {
		id := joined(parts...)
		assert.False(t, seen[id], "%q", parts)
		seen[id] = true
	}
}

func TestNewTypedHasSixteenDigits(t *testing.T) {
	for range 1000 {
		f, _ := parse(newTyped().Reveal())
		require.Equal(t, FormTyped, f)
	}
}

func TestKeyNamesTheUser(t *testing.T) {
	for _, u := range []protocol.UserID{"u1", "a/b", "ü %2f"} {
		got, ok := UserOf(Key(u))
		assert.True(t, ok)
		assert.Equal(t, u, got)
	}
	for _, key := range []string{"", "twofactor", failed.Key("u1"), enrolments.Key("u1"), reuses.Key("u1")} {
		_, ok := UserOf(key)
		assert.False(t, ok, key)
	}
}
