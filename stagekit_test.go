package npmauth_test

import (
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/internal/keystest"
)

// stages is a Config with staging.
func stages(cfg *npmauth.Config) { cfg.Staging = &npmauth.Staging{} }

// staged stages a version and returns its ID.
func (w *world) staged(name, version, bearer string) string {
	w.t.Helper()
	c := stageOf(name, version)
	c.bearer = bearer
	a := w.do(c)
	require.Equal(w.t, 201, a.Code, "%s", a.Body)
	return a.text("stageId")
}

// decides is a decision about several staged versions: approve or reject.
func decides(decision string, ids ...string) call {
	return call{method: "POST", path: "/-/auth/v1/staged/" + decision, body: `{"ids":["` + strings.Join(ids, `","`) + `"]}`}
}

// signedWith is what a security key has signed for options.
func signedWith(options, key string) string { return string(keystest.Sign([]byte(options), key)) }
