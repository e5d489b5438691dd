package subject_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
)

func TestAuthenticate(t *testing.T) {
	says := func(user string, err error) subject.Authenticator {
		return func(context.Context, store.Reader, credential.Secret, netip.Addr) (*policy.Credential, subject.Subject, error) {
			if err != nil {
				return nil, subject.Subject{}, err
			}
			return &policy.Credential{ID: user}, subject.Subject{ID: "u1"}, nil
		}
	}
	away := errors.New("away")
	unknown := says("", subject.ErrNoCredential)
	for name, tt := range map[string]struct {
		of   []subject.Authenticator
		want string
		err  error
	}{
		"none":                 {nil, "", subject.ErrNoCredential},
		"nobody knows it":      {[]subject.Authenticator{unknown, unknown}, "", subject.ErrNoCredential},
		"the first":            {[]subject.Authenticator{says("a", nil), says("b", nil)}, "a", nil},
		"the second":           {[]subject.Authenticator{unknown, says("b", nil)}, "b", nil},
		"one that cannot tell": {[]subject.Authenticator{says("", away), says("b", nil)}, "", away},
		"not from there":       {[]subject.Authenticator{says("", subject.ErrAddress), says("b", nil)}, "", subject.ErrAddress},
	} {
		cred, sub, err := subject.Authenticate(t.Context(), store.NewMemory(), credential.NewSecret("x"), netip.Addr{}, tt.of...)
		if tt.err != nil {
			require.ErrorIs(t, err, tt.err, name)
			assert.Nil(t, cred, name)
			assert.Zero(t, sub, name)
			continue
		}
		require.NoError(t, err, name)
		assert.Equal(t, tt.want, cred.ID, name)
		assert.NotZero(t, sub, name)
	}
}
