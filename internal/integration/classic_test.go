package integration_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/internal/integration"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/token"
)

// AU-73: npm prints when a classic token was revoked and what to use, and until when a token of
// the host's own is accepted. It prints no advice of its own in place of that.
func TestClassicTokensWithNPM(t *testing.T) {
	t.Parallel()
	const classic, old = "6f1b0a52-1111-4222-8333-9b2d7e5c4f00", "acme-0123456789"
	var handler http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	people := &passwords{of: map[protocol.UserID]string{"ada": "correct horse 0"}}
	auth, err := npmauth.New(npmauth.Config{
		BaseURL: server.URL, Store: store.NewMemory(), Users: people, Packages: everything{},
		ForeignUntil: time.Date(2126, 3, 31, 0, 0, 0, 0, time.UTC),
		Foreign: func(_ context.Context, bearer credential.Secret) (host.ForeignToken, error) {
			if bearer.Reveal() != old {
				return host.ForeignToken{}, host.ErrInvalidToken
			}
			return host.ForeignToken{ID: "old", User: "ada", Created: time.Now()}, nil
		},
	})
	require.NoError(t, err)
	handler = auth.Wrap(http.HandlerFunc(takes))
	_, err = auth.Tokens().ImportRevoked(t.Context(), audit.Actor{}, slices.Values([]token.Revoked{{
		Digest: credential.Sum(credential.NewSecret(classic)), Kind: token.ClassicAutomation, At: time.Date(2025, 12, 9, 0, 0, 0, 0, time.UTC),
	}}))
	require.NoError(t, err)

	for _, npm := range among("npm6", "npm8", "npm10", "npm11", "npm12") {
		t.Run(npm, func(t *testing.T) {
			integration.RequireClients(t, npm)
			t.Parallel()
			home := integration.NewHome(t, server.URL+"/")
			home.Use(npm)
			home.SetToken(classic)
			for _, args := range [][]string{{"whoami"}, {"publish"}} {
				refused := home.Run(home.Package("widget", "1.0.0"), "npm", args...)
				assert.NotZero(t, refused.Code)
				assert.Contains(t, refused.Output(), "This automation token was revoked on 2025-12-09 for good. For CI, create a granular access token with npm token create.")
				assert.NotContains(t, refused.Output(), "To correct this please")
			}
			home.SetToken(old)
			says := home.OK("", "npm", "whoami").Output()
			assert.Contains(t, says, "This older token is accepted until 2126-03-31.")
		})
	}
}
