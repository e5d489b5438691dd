package npmauth_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/internal/issuertest"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/trust"
)

// trusts is a Config with two issuers. Their tokens are not signed: that is for trust/oidc to test.
func trusts(cfg *npmauth.Config) {
	cfg.Trust = npmauth.Trust{
		Issuers:  []trust.Issuer{{Kind: trust.KindGitHub, URL: trust.GitHubURL}, {Kind: trust.KindGitLab, URL: trust.GitLabURL}},
		Verifier: func(v trust.VerifierConfig) (trust.TokenVerifier, error) { return unsigned(v), nil },
	}
}

// unsigned verifies all of an ID token but its signature.
type unsigned trust.VerifierConfig

const leeway = 30 * time.Second

func (u unsigned) Verify(_ context.Context, bearer credential.Secret, now time.Time) (trust.IDToken, error) {
	parts := strings.Split(bearer.Reveal(), ".")
	if len(parts) != 3 || parts[2] != "c2lnbmVk" {
		return trust.IDToken{}, fmt.Errorf("%w: its signature is wrong", trust.ErrInvalidToken)
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return trust.IDToken{}, fmt.Errorf("%w: %w", trust.ErrInvalidToken, err)
	}
	claims, err := trust.ParseClaims(payload)
	if err != nil {
		return trust.IDToken{}, fmt.Errorf("%w: %w", trust.ErrInvalidToken, err)
	}
	var exp int64
	if err := json.Unmarshal(claims["exp"], &exp); err != nil {
		return trust.IDToken{}, fmt.Errorf("%w: %w", trust.ErrInvalidToken, err)
	}
	url, _ := claims.Text("iss")
	id, _ := claims.Text("jti")
	audience, _ := claims.Text("aud")
	until := time.Unix(exp, 0).Add(leeway)
	for _, issuer := range u.Issuers {
		if issuer.URL == url && audience == "npm:"+u.BaseURL.Hostname() && now.Before(until) {
			return trust.IDToken{Issuer: issuer, ID: id, Expires: time.Unix(exp, 0), Until: until, Claims: claims}, nil
		}
	}
	return trust.IDToken{}, fmt.Errorf("%w: its issuer, audience or time is wrong", trust.ErrInvalidToken)
}

// idToken returns one of a job of GitHub Actions in acme/widget.
func (w *world) idToken(changes ...map[string]any) string {
	w.t.Helper()
	claims := issuertest.GitHub(map[string]any{
		"iss": trust.GitHubURL, "aud": "npm:npm.acme.test", "exp": w.clock.Now().Add(5 * time.Minute).Unix(), "jti": credential.NewID(),
	})
	for _, change := range changes {
		maps.Copy(claims, change)
	}
	data, err := json.Marshal(claims)
	require.NoError(w.t, err)
	return "eyJhbGciOiJSUzI1NiJ9." + base64.RawURLEncoding.EncodeToString(data) + ".c2lnbmVk"
}

// trustBody is what npm trust github sends for that job.
func trustBody(permissions ...string) string {
	list, err := json.Marshal(permissions)
	if err != nil {
		panic(err)
	}
	return `[{"type":"github","claims":{"repository":"` + issuertest.Repository + `","workflow_ref":{"file":"` + issuertest.Workflow + `"}},"permissions":` + string(list) + `}]`
}

// exchangeOf exchanges an ID token.
func exchangeOf(name, bearer string) call {
	return call{method: "POST", path: "/-/npm/v1/oidc/token/exchange/package/" + name, bearer: bearer}
}

// trust adds a trusted publisher to a package, as the operator, and returns its ID.
func (w *world) trust(name string, permissions ...string) string {
	w.t.Helper()
	p, err := trust.ParsePublisher([]byte(trustBody(permissions...)))
	require.NoError(w.t, err)
	return w.trustPublisher(name, p)
}

func (w *world) trustPublisher(name string, p trust.Publisher) string {
	w.t.Helper()
	pkg, err := protocol.ParsePackageName(name)
	require.NoError(w.t, err)
	added, err := w.auth.Trust().Add(w.t.Context(), audit.Actor{}, trust.Package{ID: w.host.packages[pkg].id, Name: pkg}, p)
	require.NoError(w.t, err)
	return added.ID
}

// trustScope adds a trusted publisher to the scope acme, as the operator, and returns its ID. The package @acme/widget is in it.
func (w *world) trustScope(permissions ...string) string {
	w.t.Helper()
	p, err := trust.ParsePublisher([]byte(trustBody(permissions...)))
	require.NoError(w.t, err)
	w.host.add("@acme/widget", false, w.ids["alice"])
	added, err := w.auth.Trust().Add(w.t.Context(), audit.Actor{}, acmeScope, p)
	require.NoError(w.t, err)
	return added.ID
}

// acmeScope is the scope of the organization that worlds have.
var acmeScope = trust.Scope{Name: "acme", Org: "o-1"}

// acmeWidget is a package in it, as package trust knows it.
var acmeWidget = trust.Package{ID: "id-@acme/widget", Name: protocol.PackageName{Scope: "acme", Name: "widget"}, Org: "o-1"}

// exchanged returns a token of the package's trusted publisher.
func (w *world) exchanged(name string, changes ...map[string]any) string {
	w.t.Helper()
	a := w.do(exchangeOf(name, w.idToken(changes...)))
	require.Equal(w.t, 201, a.Code, "%s", a.Body)
	return a.text("token")
}

// exchanges returns how many tokens of trusted publishers there are.
func (w *world) exchanges() int {
	w.t.Helper()
	rows, err := w.store.List(w.t.Context(), "trust-token/", "", store.MaxLimit)
	require.NoError(w.t, err)
	return len(rows)
}

func (w *world) publishersKey(name string) string {
	pkg, err := protocol.ParsePackageName(name)
	require.NoError(w.t, err)
	return trust.PublishersKey(w.host.packages[pkg].id)
}
