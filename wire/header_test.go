package wire_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/fuzzbound"
	"github.com/npmauth/npmauth/wire"
)

func TestBearer(t *testing.T) {
	for _, tt := range []struct {
		lines []string
		want  string
		err   error
	}{
		{nil, "", nil},
		{[]string{"Bearer npm_x"}, "npm_x", nil},
		{[]string{"bEARER   npm_x"}, "npm_x", nil},
		{[]string{""}, "", wire.InvalidToken},
		{[]string{"Bearer"}, "", wire.InvalidToken},
		{[]string{"Bearer "}, "", wire.InvalidToken},
		{[]string{"npm_x"}, "", wire.InvalidToken},
		{[]string{"Bearer npm_x npm_y"}, "", wire.InvalidToken},
		{[]string{"Bearer npm_x,Bearer npm_y"}, "", wire.InvalidToken},
		{[]string{"Bearer\tnpm_x"}, "", wire.InvalidToken},
		{[]string{"Basic bnBtOm5wbV94"}, "", wire.InvalidToken},
		{[]string{"Bearer npm_x", "Bearer npm_x"}, "", wire.TwoCredentials},
		{[]string{"", "Bearer npm_x"}, "", wire.TwoCredentials},
	} {
		got, err := wire.Bearer(http.Header{"Authorization": tt.lines})
		assert.Equal(t, tt.want, got, "%q", tt.lines)
		if tt.err == nil {
			assert.NoError(t, err, "%q", tt.lines)
		} else {
			assert.ErrorIs(t, err, tt.err, "%q", tt.lines)
		}
	}
}

func TestOTP(t *testing.T) {
	for _, lines := range [][]string{nil, {""}, {" \t"}, {"\u00a0"}} {
		got, err := wire.OTP(http.Header{"Npm-Otp": lines})
		require.NoError(t, err)
		assert.True(t, got.IsZero())
	}
	got, err := wire.OTP(http.Header{"Npm-Otp": {"123 456"}})
	require.NoError(t, err)
	assert.Equal(t, "123 456", got.Reveal(), "as sent")
	got, err = wire.OTP(http.Header{"Npm-Otp": {strings.Repeat("1", 256)}})
	require.NoError(t, err)
	assert.False(t, got.IsZero())
	for _, lines := range [][]string{{"123456", "123456"}, {"", ""}, {strings.Repeat("1", 257)}} {
		got, err := wire.OTP(http.Header{"Npm-Otp": lines})
		assert.True(t, isBadRequest(err), "%q", lines)
		assert.True(t, got.IsZero())
	}
}

// What is read of a header is one part of it, as it is.
func FuzzHeader(f *testing.F) {
	for _, seed := range []string{"Bearer npms_x", "bearer  x", "Bearer a, Bearer b", "Basic eDp5", "123456", " 123 456\t", "\u200b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		fuzzbound.Check(t, line, fuzzbound.Bounds{Memory: fuzzbound.Limit{Base: 1 << 10, PerByte: 8}, Work: fuzzbound.Limit{PerByte: 2}}, func(line string) int {
			secret, _ := wire.Bearer(http.Header{"Authorization": {line}})
			otp, _ := wire.OTP(http.Header{"Npm-Otp": {line}})
			return len(secret) + len(otp.Reveal())
		})
		secret, err := wire.Bearer(http.Header{"Authorization": {line}})
		require.Equal(t, err == nil, secret != "")
		require.True(t, strings.HasSuffix(line, secret))
		require.NotContains(t, secret, " ")
		otp, err := wire.OTP(http.Header{"Npm-Otp": {line}})
		require.True(t, err == nil || otp.IsZero())
		require.Contains(t, []string{"", line}, otp.Reveal())
	})
}
