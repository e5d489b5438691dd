package oidc_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/trust/oidc"
)

// A token that was not signed is not accepted, whatever it is, and is not what makes keys unavailable. One
// whose payload was signed is accepted or invalid, and what is accepted is what was signed.
func FuzzVerify(f *testing.F) {
	ec, rsa := ecKeys()[0], rsaKeys()[0]
	s := newSystem(jwk("k", ec.Public()), jwk("r", rsa.Public()))
	header := `{"alg":"ES256","kid":"k"}`
	for _, payload := range []string{
		string(claims().json()), string(claims().with(fields{"aud": []string{audience}, "nbf": start.Unix()}).json()),
		string(claims().with(fields{"jti": nil}).json()), `{}`, `[]`, `null`, `{"iss":"https://ci.test","aud":[]}`, `{"exp":1e9}`,
	} {
		f.Add(header, payload, []byte("signature"))
	}
	f.Add(`{"alg":"none","kid":"k"}`, string(claims().json()), []byte{})
	f.Add(`{"alg":"HS256","kid":"k"}`, string(claims().json()), make([]byte, 32))
	f.Add(`{"alg":"RS256","kid":"r"}`, string(claims().json()), make([]byte, 256))
	f.Add(header, string(claims().json()), make([]byte, 64))
	f.Fuzz(func(t *testing.T, header, payload string, signature []byte) {
		v, err := oidc.New(oidc.Config{Issuers: []string{issuerURL}, Audiences: []string{audience}, Client: clientOf(s)})
		require.NoError(t, err)
		for _, text := range []string{
			b64([]byte(header)) + "." + b64([]byte(payload)) + "." + b64(signature),
			header + "." + payload + "." + string(signature),
			b64([]byte(`{"alg":"ES256","kid":"k"}`)) + "." + b64(claims().json()) + "." + string(signature),
			header,
		} {
			got, err := v.Verify(t.Context(), credential.NewSecret(text), start)
			require.ErrorIs(t, err, oidc.ErrInvalid)
			require.Empty(t, got)
		}
		text := sign([]byte(`{"alg":"ES256","kid":"k"}`), []byte(payload), ec)
		got, err := v.Verify(t.Context(), credential.NewSecret(text), start)
		if err != nil {
			var invalid *oidc.InvalidError
			require.ErrorAs(t, err, &invalid)
			require.NotEmpty(t, invalid.Reason)
			require.Empty(t, got)
			return
		}
		require.Equal(t, issuerURL, got.Issuer)
		require.Equal(t, audience, got.Audience)
		require.NotEmpty(t, got.ID)
		require.NotEmpty(t, got.Subject)
		require.False(t, start.Before(got.Issued.Add(-30e9)))
		require.True(t, start.Before(got.Until))
		for name, raw := range got.Claims {
			require.Contains(t, payload, string(raw), "%q", name)
		}
	})
}
