package integration_test

import (
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/internal/integration"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/token"
)

// small is a host that takes no large package.
func small(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, 1<<20)); err != nil {
		npmauth.WriteError(w, r, err)
	}
}

// AU-25: npm prints why a publish of 100 MiB is refused, wherever that turns out, and not that the
// connection was reset, also behind nginx.
func TestRefusedLargePublish(t *testing.T) {
	integration.RequireClients(t, "npm12")
	integration.Require(t, "nginx")
	// Not beside others: npm computes for 15 seconds to pack and to send so much.

	packer := integration.NewHome(t, "http://127.0.0.1:1/")
	packer.Use("npm12")
	dir := packer.Package("@acme/widget", "1.0.0")
	blob, err := os.Create(filepath.Join(dir, "blob"))
	require.NoError(t, err)
	_, err = io.CopyN(blob, rand.NewChaCha8([32]byte{}), 75<<20) // of which base64 makes 100
	require.NoError(t, err)
	require.NoError(t, blob.Close())
	packer.OK(dir, "npm", "pack")
	tarball := filepath.Join(dir, "acme-widget-1.0.0.tgz")

	// At the header and in the middle of the body. TestRefusalReachesWhoIsStillSending has all other places.
	for name, tt := range map[string]struct {
		scope  string // that the token is for; "": the token is none
		says   []string
		fronts map[string][]string // how nginx is configured
	}{
		"401":             {"", []string{"E401", "not valid here"}, map[string][]string{"nginx": nil}},
		"413 of the host": {"acme", []string{"E413", "too large"}, map[string][]string{"nginx, unbuffered": {"proxy_request_buffering off"}}},
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewUnstartedServer(nil)
			base := "http://" + srv.Listener.Addr().String() + "/"
			auth, err := npmauth.New(npmauth.Config{BaseURL: base, Store: store.NewMemory(), Packages: one{}, Users: onlyPerson("alice")})
			require.NoError(t, err)
			srv.Config.Handler = auth.Wrap(http.HandlerFunc(small))
			srv.Start()
			t.Cleanup(srv.Close)
			secret := "unknown"
			if tt.scope != "" {
				made, _, err := auth.Tokens().Create(t.Context(), audit.Actor{}, token.Spec{
					User: "alice", Bypass: true, Grants: []protocol.Grant{{Target: protocol.OneScope, Scope: tt.scope, Permission: protocol.ReadWrite}},
				})
				require.NoError(t, err)
				secret = made.Reveal()
			}
			ways := map[string]string{"direct": base}
			for front, lines := range tt.fronts {
				ways[front] = integration.StartNginx(t, base, lines...)
			}
			for way, at := range ways {
				t.Run(way, func(t *testing.T) {
					home := integration.NewHome(t, at)
					home.Use("npm12")
					home.SetToken(secret)
					refused := home.Run("", "npm", "publish", tarball, "--fetch-retries=0")
					assert.NotZero(t, refused.Code)
					for _, text := range tt.says {
						assert.Contains(t, refused.Output(), text)
					}
				})
			}
		})
	}
}
