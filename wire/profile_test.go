package wire_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/wire"
)

func TestTwoFactorRequest(t *testing.T) {
	for body, want := range map[string]*wire.TwoFactorRequest{
		`{}`:           nil,
		`{"tfa":null}`: nil,
		`{"tfa":{"mode":"auth-only","password":"p"}}`:  {Mode: protocol.AuthOnly, Password: credential.NewSecret("p")},
		`{"tfa":{"mode":"auth-and-writes"}}`:           {Mode: protocol.AuthAndWrites, Password: credential.NewSecret("")},
		`{"tfa":{"mode":"disable","password":"p"}}`:    {Mode: protocol.TwoFactorOff, Password: credential.NewSecret("p")},
		`{"tfa":["123456"],"password":null}`:           {Confirms: true, Code: credential.NewSecret("123456")},
		`{"tfa":[""]}`:                                 {Confirms: true, Code: credential.NewSecret("")},
		`{"tfa":null,"password":{"old":"a","new":""}}`: nil,
	} {
		var q wire.ProfileRequest
		require.NoError(t, json.Unmarshal([]byte(body), &q))
		got, err := q.TwoFactor()
		require.NoError(t, err, body)
		assert.Equal(t, want, got, body)
	}
	for _, body := range []string{
		`{"tfa":["123456"],"email":"jane@acme.test"}`, `{"tfa":{"mode":"disable"},"password":{}}`, `{"tfa":{"mode":"disable"},"cidr_whitelist":[]}`,
		`{"tfa":[]}`, `{"tfa":["1","2"]}`, `{"tfa":[1]}`, `{"tfa":"disable"}`, `{"tfa":true}`, `{"tfa":{}}`, `{"tfa":{"mode":"off"}}`, `{"tfa":{"mode":"unknown"}}`,
		`{"tfa":{"mode":"disable","otp":"1"}}`,
	} {
		var q wire.ProfileRequest
		require.NoError(t, json.Unmarshal([]byte(body), &q))
		got, err := q.TwoFactor()
		assert.True(t, isBadRequest(err), body)
		assert.Nil(t, got, body)
	}
}
