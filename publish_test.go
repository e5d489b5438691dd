package npmauth_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/token"
)

// A gateway may answer while something else still reads the body, as
// httputil.ReverseProxy does when the registry behind it answers early. Run it with
// the race detector.
func TestPublishAnsweredWhileItIsRead(t *testing.T) {
	w := newWorld(t)
	alice := w.person("alice")
	w.host.add("plain", false, alice)
	bypass, _ := w.token("alice", token.Spec{Bypass: true, Grants: grantAll(policy.ReadWrite)})
	h := w.auth.Wrap(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		read := make(chan error)
		go func() {
			_, err := io.Copy(io.Discard, r.Body)
			read <- err
		}()
		rw.WriteHeader(http.StatusConflict)
		assert.Error(t, <-read)
	}))
	a := w.send(h, call{method: "PUT", path: "/plain", bearer: bypass, body: `{"name":"` + strings.Repeat("x", 1<<16) + `"}`})
	assert.Contains(t, []int{http.StatusConflict, http.StatusBadRequest}, a.Code, "whoever was first")
}
