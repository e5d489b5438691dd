package integration_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/integration"
)

// The operator's command works beside two nodes on every store, and both see what it did.
func TestAdmin(t *testing.T) {
	eachEngine(t, func(t *testing.T, at string) {
		t.Parallel()
		nodes := integration.StartNodes(t, 2, append(seed("alice"), "-store", at)...)
		admin := func(args ...string) string {
			t.Helper()
			return nodes[0].Admin(append(args, "-store", at)...)
		}
		session := nodes[0].SignIn("alice", "")
		status := func(n *integration.Registry) int { return n.As(session).Do("GET", "-/whoami", nil).Status }
		for _, n := range nodes {
			require.Equal(t, http.StatusOK, status(n))
		}
		assert.Contains(t, admin("users", "list"), "alice")
		assert.Contains(t, admin("revoke", "-user", "alice", "-dry-run", "-json"), `"kind":"session","user":"alice"`)
		assert.Contains(t, admin("revoke", "-user", "alice"), "Credentials that were revoked: 1")
		for _, n := range nodes {
			require.Eventually(t, func() bool { return status(n) == http.StatusUnauthorized }, time.Minute, 10*time.Millisecond)
		}
		assert.Contains(t, admin("audit", "-type", "session.ended", "-json"), `"detail":["bulk"]`)
	})
}
