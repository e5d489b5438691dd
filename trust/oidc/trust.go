package oidc

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/trust"
)

// GitLabLifetime is how long the tokens of a GitLab live at most, unless the [Config] of [Config.TokenVerifier] has its
// own MaxLifetime or Lifetimes: what the runners that GitLab.com offers give a job at most.
const GitLabLifetime = 3 * time.Hour

// TokenVerifier returns the verifier of the trusted publishers of a registry, with the defaults of [Config]: its own
// method TokenVerifier, of the zero Config.
func TokenVerifier(registry trust.VerifierConfig) (trust.TokenVerifier, error) {
	return Config{}.TokenVerifier(registry)
}

// TokenVerifier returns the verifier of the trusted publishers of a registry. An error names the field that is wrong.
//
// What the registry says must not be in cfg: Issuers, Audiences, which are those of BaseURL by [Audiences], and Now.
// WithoutID are issuers beside those of CircleCI. MaxLifetime, if it is not zero, is that of GitLab's issuers, too.
func (cfg Config) TokenVerifier(registry trust.VerifierConfig) (trust.TokenVerifier, error) {
	switch {
	case cfg.Issuers != nil:
		return nil, errors.New("oidc: Config.Issuers must be nil, VerifierConfig has them")
	case cfg.Audiences != nil:
		return nil, errors.New("oidc: Config.Audiences must be nil, they are those of VerifierConfig.BaseURL")
	case cfg.Now != nil:
		return nil, errors.New("oidc: Config.Now must be nil, VerifierConfig has it")
	case registry.Now == nil:
		return nil, errors.New("oidc: VerifierConfig.Now is nil")
	case registry.BaseURL == nil || registry.BaseURL.Hostname() == "":
		return nil, errors.New("oidc: VerifierConfig.BaseURL has no host")
	}
	if err := trust.ValidateIssuers(registry.Issuers); err != nil {
		return nil, fmt.Errorf("oidc: VerifierConfig.Issuers: %w", err)
	}
	cfg.Audiences, cfg.Now = Audiences(registry.BaseURL), registry.Now
	cfg.WithoutID = slices.Clone(cfg.WithoutID)
	lifetimes := map[string]time.Duration{}
	known := map[string]trust.Issuer{}
	for _, is := range registry.Issuers {
		is.Claims = slices.Clone(is.Claims)
		known[is.URL] = is
		cfg.Issuers = append(cfg.Issuers, is.URL)
		switch is.Kind {
		case trust.KindCircleCI:
			cfg.WithoutID = append(cfg.WithoutID, is.URL)
		case trust.KindGitLab:
			if cfg.MaxLifetime == 0 {
				lifetimes[is.URL] = GitLabLifetime
			}
		}
	}
	maps.Copy(lifetimes, cfg.Lifetimes)
	cfg.Lifetimes = lifetimes
	v, err := New(cfg)
	if err != nil {
		return nil, err
	}
	return publishers{v, known}, nil
}

// publishers verify the tokens of the issuers of trusted publishers.
type publishers struct {
	*Verifier
	issuers map[string]trust.Issuer // all that the Verifier has, by their URLs
}

// Verify implements [trust.TokenVerifier].
func (p publishers) Verify(ctx context.Context, bearer credential.Secret, now time.Time) (trust.IDToken, error) {
	token, err := p.Verifier.Verify(ctx, bearer, now)
	if err != nil {
		return trust.IDToken{}, err
	}
	return trust.IDToken{
		Issuer: p.issuers[token.Issuer], ID: token.ID, Issued: token.Issued, NotBefore: token.NotBefore, Expires: token.Expires, Until: token.Until,
		Claims: token.Claims,
	}, nil
}
