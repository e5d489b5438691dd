package trust_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/trust"
)

// OI-09, O-03: an issuer's URL is written in one way.
func TestIssuerURL(t *testing.T) {
	const circle = "https://oidc.circleci.com/org/"
	for _, tt := range []struct {
		kind trust.Kind
		url  string
		ok   bool
	}{
		{trust.KindGitHub, trust.GitHubURL, true},
		{trust.KindGitHub, trust.GitHubURL + "/acme", true},
		{trust.KindGitHub, trust.GitHubURL + "/acme-inc_2", true},
		{trust.KindGitHub, "https://ghes.acme.test/_services/token", true},
		{trust.KindGitHub, trust.GitHubURL + "/", false},
		{trust.KindGitHub, trust.GitHubURL + "/acme/", false},
		{trust.KindGitHub, trust.GitHubURL + "/acme/evil", false},
		{trust.KindGitHub, trust.GitHubURL + "/acme.evil", false},
		{trust.KindGitLab, trust.GitLabURL, true},
		{trust.KindGitLab, "https://gitlab.acme.test:8443/gitlab", true},
		{trust.KindGitLab, "https://gitlab.com/", false},
		{trust.KindCircleCI, circle + org, true},
		{trust.KindCircleCI, "http://127.0.0.1:8080/org/" + org, true},
		{trust.KindCircleCI, circle + org + "/", false},
		{trust.KindCircleCI, circle + "0C1D2E3F-1111-4A1B-8C2D-AAAAAAAAAAAA", false},
		{trust.KindCircleCI, circle, false},
		{trust.KindCircleCI, circle + org[:35], false},
		{trust.KindCircleCI, circle + org + "/" + org, false},
		{trust.KindCircleCI, "https://oidc.circleci.com", false},
		{trust.KindOIDC, "https://id.acme.test", true},
		{trust.KindOIDC, "https://id.acme.test/", true},
		{trust.KindOIDC, "https://id.acme.test/realms/ci", true},
		{trust.KindOIDC, "https://[2001:db8::1]:8443/x", true},
		{trust.KindOIDC, "http://localhost:3000", true},
		{trust.KindOIDC, "http://127.0.0.2", true},
		{trust.KindOIDC, "http://[::1]:80/x", true},
		{trust.KindOIDC, "http://id.acme.test", false},
		{trust.KindOIDC, "http://localhost.acme.test", false},
		{trust.KindOIDC, "http://10.0.0.1", false},
		{trust.KindOIDC, "http://127.1", false},
		{trust.KindOIDC, "http://0.0.0.0", false},
		{trust.KindOIDC, "HTTPS://id.acme.test", false},
		{trust.KindOIDC, "https://ID.acme.test", false},
		{trust.KindOIDC, "https://id.acme.test.", false},
		{trust.KindOIDC, "https://id\u3002acme.test", false},
		{trust.KindOIDC, "https://i\u0501.acme.test", false},
		{trust.KindOIDC, "https://id.acme.test?x", false},
		{trust.KindOIDC, "https://id.acme.test?", false},
		{trust.KindOIDC, "https://id.acme.test#", false},
		{trust.KindOIDC, "https://id.acme.test/#x", false},
		{trust.KindOIDC, "https://user@id.acme.test", false},
		{trust.KindOIDC, "https://@id.acme.test", false},
		{trust.KindOIDC, "https://id.acme.test:", false},
		{trust.KindOIDC, "https://id.acme.test:0", false},
		{trust.KindOIDC, "https://id.acme.test:0443", false},
		{trust.KindOIDC, "https://id.acme.test:65536", false},
		{trust.KindOIDC, "https://id.acme.test/a//b", false},
		{trust.KindOIDC, "https://id.acme.test//", false},
		{trust.KindOIDC, "https://id.acme.test/../x", false},
		{trust.KindOIDC, "https://id.acme.test/%61", false},
		{trust.KindOIDC, "https://id.acme.test/a b", false},
		{trust.KindOIDC, `https://id.acme.test\x`, false},
		{trust.KindOIDC, " https://id.acme.test", false},
		{trust.KindOIDC, "https://id.acme.test\n", false},
		{trust.KindOIDC, "https:id.acme.test", false},
		{trust.KindOIDC, "https:///x", false},
		{trust.KindOIDC, "//id.acme.test", false},
		{trust.KindOIDC, "id.acme.test", false},
		{trust.KindOIDC, "", false},
		{trust.KindUnknown, trust.GitHubURL, false},
		{trust.Kind(9), trust.GitHubURL, false},
	} {
		err := trust.Issuer{Kind: tt.kind, URL: tt.url}.Validate()
		assert.Equal(t, tt.ok, err == nil, "%v %q: %v", tt.kind, tt.url, err)
	}
	assert.Error(t, trust.Issuer{}.Validate())
}

func TestIssuerClaims(t *testing.T) {
	with := func(claims ...trust.Claim) trust.Issuer {
		return trust.Issuer{Kind: trust.KindCustom, URL: "https://ci.acme.test", Claims: claims}
	}
	job := trust.Claim{Name: "job"}
	for _, i := range []trust.Issuer{
		with(job), with(trust.Claim{Name: "sub"}), with(job, trust.Claim{Name: "id", Pin: true, Fold: true}, trust.Claim{Name: "on", OneOf: []string{"push"}}), forgejoIssuer,
	} {
		assert.NoError(t, i.Validate())
	}
	for _, i := range []trust.Issuer{
		with(),
		with(trust.Claim{Name: "job", Optional: true}),
		with(trust.Claim{Name: "job", Pin: true}),
		with(trust.Claim{Name: "job", OneOf: []string{"x"}}),
		with(job, job),
		with(job, trust.Claim{Name: "Job"}),
		with(job, trust.Claim{}),
		with(job, trust.Claim{Name: "a\nb"}),
		with(job, trust.Claim{Name: "x", Pin: true, Optional: true}),
		with(job, trust.Claim{Name: "x", OneOf: []string{}}),
		with(job, trust.Claim{Name: "x", OneOf: []string{""}}),
		with(job, trust.Claim{Name: "x", OneOf: []string{"y"}, Fold: true}),
		with(job, trust.Claim{Name: "x", OneOf: []string{"y"}, Optional: true}),
		with(job, trust.Claim{Name: "x", OneOf: []string{"y"}, Pin: true}),
		with(job, trust.Claim{Name: "iss"}), with(job, trust.Claim{Name: "aud"}), with(job, trust.Claim{Name: "exp"}),
		with(job, trust.Claim{Name: "nbf"}), with(job, trust.Claim{Name: "iat"}), with(job, trust.Claim{Name: "jti"}),
		{Kind: trust.KindOIDC, URL: "https://ci.acme.test", Claims: []trust.Claim{job}},
		{Kind: trust.KindGitHub, URL: trust.GitHubURL, Claims: []trust.Claim{job}},
	} {
		assert.Error(t, i.Validate(), "%+v", i)
		p := named(t, "custom, all")
		p.issuer = i
		assert.NotEmpty(t, p.match(t))
	}
}

func TestValidateIssuers(t *testing.T) {
	require.NoError(t, trust.ValidateIssuers([]trust.Issuer{gitHubIssuer, gitLabIssuer, circleCIIssuer, oidcIssuer, forgejoIssuer}))
	require.NoError(t, trust.ValidateIssuers(nil))
	assert.ErrorContains(t, trust.ValidateIssuers([]trust.Issuer{gitHubIssuer, {Kind: trust.KindOIDC, URL: gitHubIssuer.URL}}), "twice")
	assert.Error(t, trust.ValidateIssuers([]trust.Issuer{gitHubIssuer, {}}))
}
