package hosttest

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/trust"
)

// ciSystem issues one ID token, jobToken, of one job.
var ciSystem = trust.Issuer{Kind: trust.KindOIDC, URL: "https://ci.registry.example"}

const (
	jobToken = "eyJhbGciOiJSUzI1NiJ9.e30.c2lnbmVk"
	job      = "npmauth-host-test"
)

// publishers lets jobs of ciSystem be trusted publishers.
func publishers() npmauth.Trust {
	return npmauth.Trust{Issuers: []trust.Issuer{ciSystem}, Verifier: func(trust.VerifierConfig) (trust.TokenVerifier, error) { return jobVerifier{}, nil }}
}

// jobVerifier verifies jobToken, each time as another token of the job.
type jobVerifier struct{}

func (jobVerifier) Verify(_ context.Context, bearer credential.Secret, now time.Time) (trust.IDToken, error) {
	if bearer.Reveal() != jobToken {
		return trust.IDToken{}, trust.ErrInvalidToken
	}
	claims, err := trust.ParseClaims([]byte(`{"sub":"` + job + `"}`))
	if err != nil {
		return trust.IDToken{}, errors.Join(trust.ErrInvalidToken, err)
	}
	until := now.Add(time.Minute)
	return trust.IDToken{Issuer: ciSystem, ID: credential.NewID(), Issued: now, Expires: until, Until: until, Claims: claims}, nil
}

// jobPublisher is a trusted publisher that the job matches.
func jobPublisher() trust.Publisher {
	return trust.Publisher{Kind: ciSystem.Kind, Issuer: ciSystem.URL, Claims: map[string]string{"sub": job}, Permissions: trust.CreatePackage}
}

// exchanged makes the job a trusted publisher of Package, and returns its token.
func (x *rig) exchanged(t tb) string {
	t.Helper()
	facts, err := x.Packages.Facts(t.Context(), x.Package, x.Creators[first])
	require.NoError(t, err)
	_, err = x.auth.Trust().Add(t.Context(), audit.Actor{}, trust.Package{ID: facts.ID, Name: x.Package}, jobPublisher())
	require.NoError(t, err)
	return x.exchange(t)
}

// exchange returns a token of the job for Package.
func (x *rig) exchange(t tb) string {
	t.Helper()
	w := x.present(t.Context(), jobToken, http.MethodPost, "/-/npm/v1/oidc/token/exchange/package/"+url.PathEscape(x.Package.String()))
	var answer struct{ Token string }
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer), "%s", w.Body)
	require.NotEmpty(t, answer.Token, "%s", w.Body)
	return answer.Token
}

// trustedPublish publishes as a trusted publisher, who is no user: the version is stored, and the package
// belongs to whom it has belonged to.
func trustedPublish(t tb, x *rig) {
	x.published(t, first, "1.0.0")
	owners := func() any { return x.read(t, first)["maintainers"] }
	before := owners()
	w := x.present(t.Context(), x.exchanged(t), http.MethodPut, x.path(), string(PublishBody(x.Package, "1.1.0")))
	require.True(t, success(w.Code), "the publish of a trusted publisher, whose Identity has a Publisher and no User, was answered %d: %s", w.Code, w.Body)
	manifest := x.read(t, first).manifest("1.1.0")
	require.NotNil(t, manifest, "the version of a trusted publisher is not served")
	if by, ok := manifest["_npmUser"].(map[string]any); ok {
		assert.NotEmpty(t, by["name"], "_npmUser has no name: see host.Identity.NPMUser")
		assert.NotContains(t, x.names, by["name"], "_npmUser of a trusted publisher names a user")
	}
	assert.Equal(t, before, owners(), "a trusted publisher changed the maintainers")
	x.settled(t, first)
	facts, err := x.Packages.Facts(t.Context(), x.Package, "")
	require.NoError(t, err)
	assert.Zero(t, facts.Rights&(policy.RightWrite|policy.RightAdmin), "everybody has rights to what a trusted publisher has published")
}

// trustedCreate publishes the first version as a pending trusted publisher: the package belongs to whose that is, and
// npmauth is told of it.
func trustedCreate(t tb, x *rig) {
	pending, err := x.auth.Trust().AddPending(t.Context(), audit.Actor{User: x.Creators[first]}, x.Package, jobPublisher())
	require.NoError(t, err)
	w := x.present(t.Context(), x.exchange(t), http.MethodPut, x.path(), string(PublishBody(x.Package, "1.0.0")))
	require.True(t, success(w.Code), "the first version of a pending trusted publisher, whose Identity has a Publisher with an Owner and no User, was answered %d: %s", w.Code, w.Body)
	x.settled(t, first)
	facts, err := x.Packages.Facts(t.Context(), x.Package, x.Creators[first])
	require.NoError(t, err)
	bound, err := x.auth.Trust().Publishers(t.Context(), nil, facts.ID)
	require.NoError(t, err)
	require.Len(t, bound, 1, "the pending trusted publisher has created the package and is none of it: call Operation.Created before you answer")
	assert.Equal(t, pending.ID, bound[0].ID)
}

// othersPending publishes the first version as a person, while somebody has a trusted publisher pending for the name.
func othersPending(t tb, x *rig) {
	_, err := x.auth.Trust().AddPending(t.Context(), audit.Actor{User: x.Creators[second]}, x.Package, jobPublisher())
	require.NoError(t, err)
	x.published(t, first, "1.0.0")
	x.settled(t, first)
	left, err := x.auth.Trust().PendingOf(t.Context(), nil, x.Package, x.Creators[second])
	require.NoError(t, err)
	assert.Empty(t, left, "a package was created and npmauth was not told of it: call Operation.Created whoever sends the request")
}
