package integration_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/internal/integration"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/token"
)

// AU-41: npm logs in, publishes and installs below a prefix that http.StripPrefix removes.
func TestNPMBelowAStrippedPrefix(t *testing.T) {
	integration.Require(t, "npm")
	t.Parallel()
	srv := httptest.NewUnstartedServer(nil)
	base := "http://" + srv.Listener.Addr().String() + "/npm/"
	auth, err := npmauth.New(npmauth.Config{BaseURL: base, Store: store.NewMemory(), Packages: one{}, Users: onlyPerson("alice")})
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.Handle("/npm/", http.StripPrefix("/npm", auth.Wrap(&oneRelease{base: base})))
	srv.Config.Handler = mux
	srv.Start()
	t.Cleanup(srv.Close)

	home := integration.NewHome(t, base)
	login := home.Start("", "npm", "login")
	address := login.Expect(`Login at:\s+(http://\S+)`)[1]
	browser := integration.NewBrowser(t)
	browser.Submit(browser.Open(address), "approve", map[string]string{"name": "alice", "password": integration.Password})
	assert.Contains(t, login.OK().Output(), "Logged in on "+base)
	assert.Equal(t, "alice", strings.TrimSpace(home.OK("", "npm", "whoami").Stdout))

	secret, _, err := auth.Tokens().Create(t.Context(), audit.Actor{}, token.Spec{
		User: "alice", Bypass: true, Grants: []protocol.Grant{{Target: protocol.OneScope, Scope: "acme", Permission: protocol.ReadWrite}},
	})
	require.NoError(t, err)
	home.SetToken(secret.Reveal())
	home.OK(home.Package("@acme/widget", "1.0.0"), "npm", "publish")
	project := home.Project("app", map[string]string{"package.json": `{"name":"app","version":"1.0.0"}`})
	home.OK(project, "npm", "install", "@acme/widget")
	assert.Contains(t, home.OK(project, "npm", "ls").Stdout, "@acme/widget@1.0.0")
}

// one says that every package exists and that whoever is logged in may do everything.
type one struct{}

func (one) Facts(_ context.Context, _ protocol.PackageName, user protocol.UserID) (policy.Facts, error) {
	f := policy.Facts{ID: "p-1", Private: true}
	if user != "" {
		f.Rights = policy.RightRead | policy.RightWrite | policy.RightAdmin
	}
	return f, nil
}

// oneRelease is a host that keeps what was published last. It reads paths only from the operation.
type oneRelease struct {
	base    string
	mu      sync.Mutex
	doc     map[string]any // guarded by mu
	tarball []byte         // guarded by mu
}

func (h *oneRelease) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	op, _ := host.OperationFrom(r.Context())
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case op.Action == protocol.Publish:
		var doc struct {
			Name        string                    `json:"name"`
			Tags        map[string]string         `json:"dist-tags"`
			Versions    map[string]map[string]any `json:"versions"`
			Attachments map[string]struct {
				Data string `json:"data"`
			} `json:"_attachments"`
		}
		if err := json.Unmarshal(body, &doc); err != nil {
			http.Error(w, "{}", http.StatusBadRequest)
			return
		}
		for _, a := range doc.Attachments {
			h.tarball, _ = base64.StdEncoding.DecodeString(a.Data)
		}
		for _, m := range doc.Versions {
			m["dist"].(map[string]any)["tarball"] = h.base + "@acme/widget/-/widget-1.0.0.tgz"
		}
		h.doc = map[string]any{"name": doc.Name, "dist-tags": doc.Tags, "versions": doc.Versions}
		_, _ = io.WriteString(w, "{}")
	case op.Action == protocol.ReadTarball && h.tarball != nil:
		_, _ = w.Write(h.tarball)
	case op.Action == protocol.ReadPackument && h.doc != nil:
		_ = json.NewEncoder(w).Encode(h.doc)
	default:
		http.Error(w, `{"error":"not found"}`, http.StatusNotFound)
	}
}

// onlyPerson is the only person there is.
type onlyPerson string

func (p onlyPerson) Lookup(ctx context.Context, name string) (host.User, error) {
	return p.User(ctx, protocol.UserID(name))
}

func (p onlyPerson) User(_ context.Context, id protocol.UserID) (host.User, error) {
	if string(id) != string(p) {
		return host.User{}, host.ErrNoUser
	}
	return host.User{ID: id, Name: string(id)}, nil
}

func (onlyPerson) CheckPassword(_ context.Context, _ protocol.UserID, pw credential.Secret) (bool, error) {
	return pw.Equal(credential.NewSecret(integration.Password)), nil
}
