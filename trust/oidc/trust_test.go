package oidc_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/internal/issuertest"
	"github.com/npmauth/npmauth/trust"
	"github.com/npmauth/npmauth/trust/oidc"
)

// startClock is the clock of issuers.
func startClock() time.Time { return start }

// registry is the configuration of https://npm.acme.test, which has a clock that stands still.
func registry(issuers ...trust.Issuer) trust.VerifierConfig {
	return trust.VerifierConfig{Issuers: issuers, BaseURL: &url.URL{Scheme: "https", Host: "npm.acme.test"}, Now: startClock}
}

// A publisherFixture is the verifier of a registry.
type publisherFixture struct {
	trust.TokenVerifier
	t testing.TB
}

func newTokenVerifier(t testing.TB, cfg oidc.Config, registry trust.VerifierConfig) publisherFixture {
	t.Helper()
	v, err := cfg.TokenVerifier(registry)
	require.NoError(t, err)
	return publisherFixture{v, t}
}

// accepts presents a token at start.
func (f publisherFixture) accepts(token string) trust.IDToken {
	f.t.Helper()
	got, err := f.Verify(f.t.Context(), credential.NewSecret(token), start)
	require.NoError(f.t, err)
	return got
}

// refuses expects a token to be invalid, at start.
func (f publisherFixture) refuses(want oidc.Reason, token string, msg ...any) {
	f.t.Helper()
	got, err := f.Verify(f.t.Context(), credential.NewSecret(token), start)
	assert.ErrorIs(f.t, err, trust.ErrInvalidToken, msg...)
	assert.Empty(f.t, got, msg...)
	var invalid *oidc.InvalidError
	if assert.ErrorAs(f.t, err, &invalid, msg...) {
		assert.Equal(f.t, want, invalid.Reason, msg...)
	}
}

var (
	gitHubPublisher = trust.Publisher{Kind: trust.KindGitHub, Permissions: trust.CreatePackage, GitHub: &trust.GitHub{
		Repository: issuertest.Repository, Workflow: "release.yml", RepositoryID: issuertest.RepositoryID, RepositoryOwnerID: issuertest.OwnerID,
	}}
	gitLabPublisher = trust.Publisher{Kind: trust.KindGitLab, Permissions: trust.CreatePackage, GitLab: &trust.GitLab{
		ProjectPath: issuertest.Repository, ConfigFile: ".gitlab-ci.yml", ProjectID: issuertest.ProjectID, NamespaceID: issuertest.NamespaceID,
	}}
	circleCIPublisher = trust.Publisher{Kind: trust.KindCircleCI, Permissions: trust.CreatePackage, CircleCI: &trust.CircleCI{
		OrgID: issuertest.CircleOrg, ProjectID: issuertest.CircleProject, PipelineDefinitionID: issuertest.CirclePipeline,
		VCSOrigin: "github.com/" + issuertest.Repository, ContextIDs: []string{issuertest.CircleContext},
	}}
)

// OI-12: a token of CircleCI has no ID, and those of the others need one. OI-17: what is verified is a token of one of
// the issuers, as it is configured. OI-09: another organization of CircleCI is another issuer.
func TestTokenVerifier(t *testing.T) {
	gh, gl := issuertest.New(t, issuertest.Now(startClock)), issuertest.New(t, issuertest.Now(startClock), issuertest.ES256)
	circle := issuertest.New(t, issuertest.Now(startClock))
	org, otherOrg := circle.Org(issuertest.CircleOrg), circle.Org("0c1d2e3f-9999-4a1b-8c2d-aaaaaaaaaaaa")
	custom := trust.Issuer{Kind: trust.KindCustom, URL: issuertest.New(t).URL(), Claims: []trust.Claim{{Name: "repository", Fold: true}}}
	cfg := registry(
		trust.Issuer{Kind: trust.KindGitHub, URL: gh.URL()}, trust.Issuer{Kind: trust.KindGitLab, URL: gl.URL()},
		trust.Issuer{Kind: trust.KindCircleCI, URL: org.URL()}, custom,
	)
	verifier, err := oidc.TokenVerifier(cfg)
	require.NoError(t, err)
	v := publisherFixture{verifier, t}
	jti := map[string]any{"jti": "a1b2"}
	for n, tt := range []struct {
		iss        *issuertest.Issuer
		token      string
		publisher  trust.Publisher
		id         string
		notBefore  time.Time
		repository string
	}{
		{gh, gh.GitHub(audience, jti), gitHubPublisher, `^a1b2$`, start.Add(-10 * time.Minute), "repository"},
		{gl, gl.GitLab(audience, jti), gitLabPublisher, `^a1b2$`, start.Add(-5 * time.Second), "project_path"},
		{org, org.CircleCI(audience), circleCIPublisher, `^sha256-`, time.Time{}, "oidc.circleci.com/vcs-origin"},
	} {
		got := v.accepts(tt.token)
		assert.Regexp(t, tt.id, got.ID)
		assert.Contains(t, string(got.Claims[tt.repository]), issuertest.Repository)
		tt.publisher.Issuer = tt.iss.URL()
		assert.Empty(t, trust.Match(tt.publisher, got))
		got.ID, got.Claims = "", nil
		assert.Equal(t, trust.IDToken{
			Issuer: cfg.Issuers[n], NotBefore: tt.notBefore, Issued: start, Expires: start.Add(5 * time.Minute), Until: start.Add(5*time.Minute + 30*time.Second),
		}, got)
		_, err := v.Verify(t.Context(), credential.NewSecret(tt.token), start.Add(5*time.Minute+30*time.Second))
		assert.ErrorIs(t, err, trust.ErrInvalidToken)
		v.refuses(oidc.ReasonEncoding, tt.token+"=")
	}
	one, other := v.accepts(org.CircleCI(audience)), v.accepts(org.CircleCI(audience))
	assert.NotEqual(t, one.ID, other.ID, "two jobs of one second")
	v.refuses(oidc.ReasonClaim, gh.GitHub(audience, map[string]any{"jti": nil}))
	v.refuses(oidc.ReasonClaim, gl.GitLab(audience, map[string]any{"jti": nil}))

	unknown := issuertest.New(t, issuertest.Now(startClock))
	v.refuses(oidc.ReasonIssuer, unknown.GitHub(audience))
	v.refuses(oidc.ReasonIssuer, otherOrg.CircleCI(audience))
	v.refuses(oidc.ReasonIssuer, circle.GitHub(audience))
	assert.Zero(t, unknown.Fetches()+otherOrg.Fetches()+circle.Fetches())
	assert.Equal(t, []int{1, 1, 1}, []int{gh.Fetches(), gl.Fetches(), org.Fetches()})
}

// The claims that publishers of an issuer name are part of what is verified, as they were when it was configured.
func TestTokenVerifierCustom(t *testing.T) {
	iss := issuertest.New(t, issuertest.Now(startClock))
	is := trust.Issuer{Kind: trust.KindCustom, URL: iss.URL(), Claims: []trust.Claim{{Name: "repository", Fold: true}}}
	v := newTokenVerifier(t, oidc.Config{}, registry(is))
	is.Claims[0] = trust.Claim{Name: "workflow"}
	got := v.accepts(iss.GitHub(audience))
	assert.Equal(t, []trust.Claim{{Name: "repository", Fold: true}}, got.Issuer.Claims)
}

// OI-05: the issuer changes its keys. OI-08: it is away, which is not the token's fault.
func TestTokenVerifierRotation(t *testing.T) {
	iss := issuertest.New(t, issuertest.Now(startClock))
	cfg, passed := registry(trust.Issuer{Kind: trust.KindGitHub, URL: iss.URL()}), time.Duration(0)
	cfg.Now = func() time.Time { return start.Add(passed) }
	v := newTokenVerifier(t, oidc.Config{}, cfg)
	first := iss.GitHub(audience)
	v.accepts(first)
	iss.Rotate()
	second := iss.GitHub(audience)
	v.refuses(oidc.ReasonKey, second, "within the cool-down")
	passed = time.Minute
	v.accepts(second)
	v.accepts(first)
	iss.Retire()
	passed += time.Hour
	v.refuses(oidc.ReasonKey, first)
	v.accepts(second)
	assert.Equal(t, 3, iss.Fetches())

	iss.Down(true)
	passed += 24*time.Hour - 1
	v.accepts(second)
	passed += time.Minute
	_, err := v.Verify(t.Context(), credential.NewSecret(second), start)
	require.ErrorIs(t, err, oidc.ErrUnavailable)
	require.NotErrorIs(t, err, trust.ErrInvalidToken)
	iss.Down(false)
	passed += time.Minute
	v.accepts(second)
}

// OI-11: npm and pnpm ask for a host, Yarn for a host and a port.
func TestTokenVerifierAudience(t *testing.T) {
	iss := issuertest.New(t, issuertest.Now(startClock))
	for base, accepted := range map[string][]string{
		"https://npm.acme.test":           {"npm:npm.acme.test"},
		"https://NPM.acme.test:443/path/": {"npm:npm.acme.test"},
		"https://npm.acme.test:8443":      {"npm:npm.acme.test", "npm:npm.acme.test:8443"},
	} {
		u, err := url.Parse(base)
		require.NoError(t, err)
		cfg := registry(trust.Issuer{Kind: trust.KindGitHub, URL: iss.URL()})
		cfg.BaseURL = u
		v := newTokenVerifier(t, oidc.Config{}, cfg)
		for _, aud := range []string{
			"npm:npm.acme.test", "npm:npm.acme.test:8443", "npm:npm.acme.test:443", "npm:npm.acme.test:8444", "npm:other.test", "npm.acme.test", base, "",
		} {
			token := iss.GitHub(aud)
			if slices.Contains(accepted, aud) {
				v.accepts(token)
			} else {
				v.refuses(oidc.ReasonAudience, token, "%s for %s", aud, base)
			}
		}
		v.refuses(oidc.ReasonAudience, iss.GitHub("", map[string]any{"aud": []string{"npm:npm.acme.test", "npm:other.test"}}))
	}
}

// O-03: the tokens of two instances say the same, also with one ID. Each is of its issuer alone, and matches publishers of
// no other. OI-17: the key of one has signed nothing of the other.
func TestTwoGitLabs(t *testing.T) {
	one, other := issuertest.New(t, issuertest.Now(startClock)), issuertest.New(t, issuertest.Now(startClock))
	v := newTokenVerifier(t, oidc.Config{}, registry(
		trust.Issuer{Kind: trust.KindGitLab, URL: one.URL()}, trust.Issuer{Kind: trust.KindGitLab, URL: other.URL()},
	))
	jti := map[string]any{"jti": "same"}
	tokens := map[string]trust.IDToken{one.URL(): v.accepts(one.GitLab(audience, jti)), other.URL(): v.accepts(other.GitLab(audience, jti))}
	for of, p := range tokens {
		assert.Equal(t, "same", p.ID)
		assert.Equal(t, of, p.Issuer.URL)
		assert.Equal(t, json.RawMessage(`"`+of+`"`), p.Claims["iss"])
		publisher := gitLabPublisher
		publisher.Issuer = of
		for from, token := range tokens {
			diff := trust.Match(publisher, token)
			if from == of {
				assert.Empty(t, diff)
			} else if assert.Len(t, diff, 1) {
				assert.Equal(t, "iss", diff[0].Claim)
			}
		}
	}
	v.refuses(oidc.ReasonKey, other.GitLab(audience, map[string]any{"iss": one.URL()}))
	v.refuses(oidc.ReasonKey, one.GitLab(audience, map[string]any{"iss": other.URL()}))
}

// OI-13: the tokens of a GitLab live as long as a job may, and those of others an hour at most.
func TestTokenVerifierLifetime(t *testing.T) {
	gh, gl, other := issuertest.New(t, issuertest.Now(startClock)), issuertest.New(t, issuertest.Now(startClock)), issuertest.New(t, issuertest.Now(startClock))
	org := issuertest.New(t, issuertest.Now(startClock)).Org(issuertest.CircleOrg)
	cfg := registry(
		trust.Issuer{Kind: trust.KindGitHub, URL: gh.URL()}, trust.Issuer{Kind: trust.KindGitLab, URL: gl.URL()},
		trust.Issuer{Kind: trust.KindGitLab, URL: other.URL()}, trust.Issuer{Kind: trust.KindCircleCI, URL: org.URL()},
	)
	const h = time.Hour
	own := map[string]time.Duration{gl.URL(): 12 * h}
	for _, tt := range []struct {
		name                              string
		cfg                               oidc.Config
		gitHub, gitLab, another, circleCI time.Duration
	}{
		{"by default", oidc.Config{}, h, 3 * h, 3 * h, h},
		{"one for all", oidc.Config{MaxLifetime: 2 * h}, 2 * h, 2 * h, 2 * h, 2 * h},
		{"one GitLab's own", oidc.Config{Lifetimes: own}, h, 12 * h, 3 * h, h},
		{"both", oidc.Config{MaxLifetime: h / 2, Lifetimes: own}, h / 2, 12 * h, h / 2, h / 2},
	} {
		v := newTokenVerifier(t, tt.cfg, cfg)
		for _, of := range []struct {
			token   func(string, ...map[string]any) string
			longest time.Duration
		}{{gh.GitHub, tt.gitHub}, {gl.GitLab, tt.gitLab}, {other.GitLab, tt.another}, {org.CircleCI, tt.circleCI}} {
			v.accepts(of.token(audience, map[string]any{"exp": start.Add(of.longest).Unix()}))
			v.refuses(oidc.ReasonLifetime, of.token(audience, map[string]any{"exp": start.Add(of.longest + time.Second).Unix()}), tt.name)
		}
	}
	assert.Equal(t, map[string]time.Duration{gl.URL(): 12 * h}, own, "what the caller has is not changed")
}

// OI-12: an issuer besides CircleCI's gives its tokens no ID.
func TestTokenVerifierWithoutID(t *testing.T) {
	iss := issuertest.New(t, issuertest.Now(startClock))
	org := iss.Org(issuertest.CircleOrg)
	without := []string{iss.URL(), ""}
	v := newTokenVerifier(t, oidc.Config{WithoutID: without[:1]}, registry(
		trust.Issuer{Kind: trust.KindOIDC, URL: iss.URL()}, trust.Issuer{Kind: trust.KindCircleCI, URL: org.URL()},
	))
	assert.Regexp(t, `^sha256-`, v.accepts(iss.GitHub(audience, map[string]any{"jti": nil})).ID)
	assert.Regexp(t, `^sha256-`, v.accepts(org.CircleCI(audience)).ID)
	assert.Equal(t, []string{iss.URL(), ""}, without, "what the caller has is not changed")
}

// counter is a transport that fails.
type counter struct{ requests atomic.Int64 }

func (c *counter) RoundTrip(*http.Request) (*http.Response, error) {
	c.requests.Add(1)
	return nil, errors.New("not here")
}

func TestTokenVerifierConfig(t *testing.T) {
	iss := issuertest.New(t, issuertest.Now(startClock))
	own := trust.Issuer{Kind: trust.KindGitHub, URL: iss.URL()}
	transport := &counter{}
	v := newTokenVerifier(t, oidc.Config{Client: &http.Client{Transport: transport}}, registry(own))
	_, err := v.Verify(t.Context(), credential.NewSecret(iss.GitHub(audience)), start)
	assert.ErrorIs(t, err, oidc.ErrUnavailable)
	assert.EqualValues(t, 1, transport.requests.Load())
	assert.Zero(t, iss.Fetches())

	for field, changes := range map[string][]func(*oidc.Config, *trust.VerifierConfig){
		"Config.Issuers must be nil":   {func(c *oidc.Config, _ *trust.VerifierConfig) { c.Issuers = []string{own.URL} }},
		"Config.Audiences must be nil": {func(c *oidc.Config, _ *trust.VerifierConfig) { c.Audiences = []string{audience} }},
		"Config.Now must be nil":       {func(c *oidc.Config, _ *trust.VerifierConfig) { c.Now = time.Now }},
		"VerifierConfig.Now":           {func(_ *oidc.Config, r *trust.VerifierConfig) { r.Now = nil }},
		"VerifierConfig.BaseURL": {
			func(_ *oidc.Config, r *trust.VerifierConfig) { r.BaseURL = nil },
			func(_ *oidc.Config, r *trust.VerifierConfig) { r.BaseURL = &url.URL{Path: "npm.acme.test"} },
			func(_ *oidc.Config, r *trust.VerifierConfig) { r.BaseURL = &url.URL{Scheme: "https", Host: ":443"} },
		},
		"VerifierConfig.Issuers": {
			func(_ *oidc.Config, r *trust.VerifierConfig) { r.Issuers = []trust.Issuer{{}} },
			func(_ *oidc.Config, r *trust.VerifierConfig) { r.Issuers = []trust.Issuer{own, own} },
			func(_ *oidc.Config, r *trust.VerifierConfig) {
				r.Issuers = []trust.Issuer{{Kind: trust.KindGitHub, URL: "http://ci.test"}}
			},
		},
		"Config.Issuers is empty": {func(_ *oidc.Config, r *trust.VerifierConfig) { r.Issuers = nil }},
		"Config.Leeway":           {func(c *oidc.Config, _ *trust.VerifierConfig) { c.Leeway = time.Hour }},
		"Config.Lifetimes": {func(c *oidc.Config, _ *trust.VerifierConfig) {
			c.Lifetimes = map[string]time.Duration{"https://other.test": time.Hour}
		}},
		"Config.WithoutID": {func(c *oidc.Config, _ *trust.VerifierConfig) { c.WithoutID = []string{"https://other.test"} }},
	} {
		for n, change := range changes {
			c, r := oidc.Config{}, registry(own)
			change(&c, &r)
			v, err := c.TokenVerifier(r)
			assert.ErrorContains(t, err, field, "%d", n)
			assert.Nil(t, v)
		}
	}
}
