package web_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/web"
)

const stagedPage = "/registry/-/auth/staged"

// What became of many versions fits into the cookie that carries it to the page: the failures first, and of the rest how many.
func TestManyDecided(t *testing.T) {
	const id = "0c1d2e3f-3333-4a1b-8c2d-cccccccccccc"
	var body string
	w := newWorld(t, prefixed)
	w.withAPI(prefixed, func(rw http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/registry/-/auth/v1/factors":
			fmt.Fprint(rw, `{"objects":[{"type":"app"}]}`)
		case "/registry/-/stage":
			fmt.Fprintf(rw, `{"items":[{"id":%q,"packageName":"plain","version":"1.0.0","approvalsNeeded":1,"expiresAt":"2026-12-01T00:00:00Z"}],"total":1}`, id)
		case "/registry/-/auth/v1/staged/approve":
			data := make([]byte, r.ContentLength)
			_, err := r.Body.Read(data)
			assert.NoError(t, err)
			body = string(data)
			var all []string
			for i := range 50 {
				all = append(all, fmt.Sprintf(`{"packageName":"@%s/<b>\u202e%02d","version":"1.0.0","state":"published","approvals":1,"approvalsNeeded":1}`, strings.Repeat("é", 100), i))
			}
			all = append(all, `{"packageName":"last","version":"1.0.0","state":"approved","approvals":1,"approvalsNeeded":1,"problem":"disk <full> `+strings.Repeat("x", 5000)+`"}`)
			fmt.Fprintf(rw, `{"results":[%s]}`, strings.Join(all, ","))
		default:
			rw.WriteHeader(http.StatusNotFound)
			fmt.Fprint(rw, `{}`)
		}
	}, func(cfg *web.Config) { cfg.Staging = true })
	b := w.signedIn()
	tokens := tokenField.FindAllStringSubmatch(b.get(stagedPage).Body.String(), -1)
	require.Len(t, tokens, 2, "of signing out and of the list")
	form := b.form(stagedPage, "decision", "approve", "version."+id, "yes", "version.../x", "", "code", "123456")
	form.Set("token", tokens[1][1])
	rec := b.do(http.MethodPost, stagedPage, form.Encode())
	require.Equal(t, http.StatusSeeOther, rec.Code, "%s", rec.Body)
	assert.Equal(t, `{"ids":["`+id+`"]}`, strings.TrimSpace(body))
	for _, cookie := range rec.Header()["Set-Cookie"] {
		assert.Less(t, len(cookie), 4<<10)
	}
	page := b.get(stagedPage).Body.String()
	for _, text := range []string{"<bdi>last@1.0.0</bdi> is approved, and the registry has not published it.", "<bdi>disk &lt;full&gt; x", "/&lt;b&gt;\uFFFD00@1.0.0</bdi> is published.", " more.</li>"} {
		assert.Contains(t, page, text)
	}
	assert.Less(t, strings.Index(page, "last@1.0.0"), strings.Index(page, "is published."))
	assert.NotContains(t, page, "<b>")
}
