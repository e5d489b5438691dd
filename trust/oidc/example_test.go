package oidc_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/trust"
	"github.com/npmauth/npmauth/trust/oidc"
)

func Example() {
	registry := &url.URL{Scheme: "https", Host: "npm.acme.test"}
	verifier, err := oidc.New(oidc.Config{
		Issuers:   []string{"https://ci.test"},
		Audiences: oidc.Audiences(registry),
		Client:    clientOf(newSystem(jwk("k", ecKeys()[0].Public()))), // in a program: nil
	})
	if err != nil {
		panic(err)
	}
	now := time.Date(2026, 12, 1, 10, 1, 0, 0, time.UTC)
	bearer := credential.NewSecret(es256("k", ecKeys()[0], claims())) // of the request
	token, err := verifier.Verify(context.Background(), bearer, now)
	fmt.Println(token.Issuer, token.ID, string(token.Claims["repository"]), err)

	_, err = verifier.Verify(context.Background(), bearer, now.Add(time.Hour))
	fmt.Println(errors.Is(err, oidc.ErrInvalid), err)
	// Output:
	// https://ci.test 6e67b1cb-2b8d "acme/widget" <nil>
	// true oidc: invalid token: expired (https://ci.test)
}

// A registry is given the function itself, and calls it with its issuers, its URL and its clock.
func ExampleTokenVerifier() {
	var config struct { // of a registry
		Verifier func(trust.VerifierConfig) (trust.TokenVerifier, error)
	}
	config.Verifier = oidc.TokenVerifier

	verifier, err := config.Verifier(trust.VerifierConfig{
		Issuers: []trust.Issuer{{Kind: trust.KindGitHub, URL: trust.GitHubURL}, {Kind: trust.KindGitLab, URL: "https://gitlab.acme.test"}},
		BaseURL: &url.URL{Scheme: "https", Host: "npm.acme.test"},
		Now:     time.Now,
	})
	if err != nil {
		panic(err)
	}
	_, err = verifier.Verify(context.Background(), credential.NewSecret("npm_notAnIDToken"), time.Now())
	fmt.Println(errors.Is(err, trust.ErrInvalidToken))
	// Output: true
}

// One GitLab has jobs that may take half a day, and is reached through a proxy.
func ExampleConfig_TokenVerifier() {
	proxy := &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: "proxy.acme.test:3128"})}
	cfg := oidc.Config{
		Client:    &http.Client{Transport: proxy},
		Lifetimes: map[string]time.Duration{"https://gitlab.acme.test": 12 * time.Hour},
	}
	verifier := cfg.TokenVerifier // for a registry, as TokenVerifier

	_, err := verifier(trust.VerifierConfig{
		Issuers: []trust.Issuer{{Kind: trust.KindGitLab, URL: "https://gitlab.acme.test"}},
		BaseURL: &url.URL{Scheme: "https", Host: "npm.acme.test"},
		Now:     time.Now,
	})
	fmt.Println(err)
	// Output: <nil>
}

func clientOf(s *system) *http.Client { return &http.Client{Transport: s} }
