package integration_test

import (
	"fmt"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/integration"
)

// OT-01, OT-03: The codes are those of an authenticator that others wrote, oathtool of OATH Toolkit,
// and each is good once: a code, the next one, and the first again are two logins.
func TestOathtool(t *testing.T) {
	t.Parallel()
	integration.Require(t, "oathtool")
	registry := integration.Start(t, "-seed", "alice:"+integration.Password)
	session := registry.As(registry.SignIn("alice", ""))
	var enrolled struct{ TFA string }
	session.Do(http.MethodPost, "-/npm/v1/user", map[string]any{"tfa": map[string]string{"mode": "auth-and-writes", "password": integration.Password}}).JSON(t, &enrolled)
	uri, err := url.Parse(enrolled.TFA)
	require.NoError(t, err)

	now := time.Now()
	if now.Unix()%30 > 20 { // the steps must not move on before the end of the test
		time.Sleep(time.Duration(30-now.Unix()%30) * time.Second)
		now = time.Now()
	}
	code := func(steps int) string {
		at := fmt.Sprintf("@%d", now.Unix()+30*int64(steps))
		out, err := exec.Command("oathtool", "--totp", "--base32", "--now", at, uri.Query().Get("secret")).Output()
		require.NoError(t, err)
		return strings.TrimSpace(string(out))
	}
	confirmed := session.Do(http.MethodPost, "-/npm/v1/user", map[string]any{"tfa": []string{code(-1)}})
	require.Equal(t, http.StatusOK, confirmed.Status, "%s", confirmed.Body)
	for i, want := range []int{http.StatusCreated, http.StatusCreated, http.StatusUnauthorized, http.StatusUnauthorized} {
		body := map[string]any{"_id": "org.couchdb.user:alice", "name": "alice", "password": integration.Password, "type": "user", "roles": []string{}}
		answer := registry.As("").Do(http.MethodPut, "-/user/org.couchdb.user:alice", body, "npm-otp", code(i%2))
		assert.Equal(t, want, answer.Status, "%d: %s", i, answer.Body)
	}
}
