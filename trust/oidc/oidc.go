// Package oidc verifies the ID tokens with which a CI system says for which job a request is made
// (OpenID Connect Core 1.0, RFC 7519). Signatures are those of github.com/go-jose/go-jose, for which the
// package is a module of its own.
//
// [TokenVerifier] makes the verifier of a registry's trusted publishers of what the registry says, and
// [Config.TokenVerifier] one with another [http.Client] or other limits. Other programs call [New]:
//
//	verifier, err := oidc.New(oidc.Config{
//		Issuers:   []string{"https://token.actions.githubusercontent.com", "https://gitlab.com"},
//		Audiences: oidc.Audiences(baseURL),
//	})
//	…
//	token, err := verifier.Verify(ctx, bearer, time.Now())
//
// [Verifier.Verify] returns what the issuer has signed. It keeps nothing: that a token is exchanged once,
// and what its claims allow, is for the caller to decide.
//
// # What is accepted
//
// A token of an issuer in [Config.Issuers], for one audience which is in [Config.Audiences], signed with
// RS256 or ES256 by a key that the issuer publishes, within its times. It is at most [MaxToken] bytes long, in
// the compact serialization and in base64url that can be written in one way only. Its JSON has no duplicate
// keys. It has iss, sub, aud, exp, iat and jti, each of its type; nbf is checked where it is present, as
// CircleCI documents none. Headers that bring a key or its URL (jwk, jku, x5c, x5u), and extensions (crit), are refused.
//
// # Replay
//
// A token can be presented until [Token.Until], which is later than Expires by the leeway. Keep Issuer and ID
// until then: a record that ends at Expires lets the token be used twice. Two issuers may give the same ID.
//
// # Issuers
//
// The keys of an issuer are found by its document below /.well-known/openid-configuration, which must
// name the issuer exactly, and a jwks_uri of the same scheme, host and port. This is so for GitHub, GitLab and
// CircleCI, and keeps a document from leading the registry to other hosts. Nothing is fetched before a token says
// that it is from a configured issuer, and is right in everything but its signature.
//
// Issuers must be chosen by the operator: one that a user could add is a URL that the registry fetches.
// Addresses of private networks are not refused, where self-hosted CI systems are; the transport of
// [Config.Client] can do so.
//
// GitHub and GitLab have one issuer for all their users, so that a verified token is anybody's: its claims
// decide. CircleCI has an issuer for each organization, https://oidc.circleci.com/org/<id>, and documents no jti
// ([Config.WithoutID]).
//
// GitLab's tokens last as long as their job may, by its timeout: an hour, unless project, job or runner have another.
// [New] accepts no more than an hour of any issuer, and TokenVerifier [GitLabLifetime] of those of [trust.KindGitLab].
// Where jobs may take longer, either [Config.Lifetimes] says so, or the package is published by a job with a shorter
// timeout.
//
// # Outages
//
// Keys are fetched when a token needs them and they are older than [Config.RefreshAfter], or lack the key that
// it names, once in [Config.CoolDown] for each issuer, whatever is presented. A fetch that fails leaves
// the keys as they are until [Config.MaxAge] is over. Then no token of that issuer is accepted, and the error is
// [ErrUnavailable].
package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/npmauth/npmauth/credential"
)

// Limits.
const (
	MaxToken = 16 << 10 // bytes of a token
	MaxID    = 256      // bytes of the ID of a token, and of the ID of a key
)

// Config configures a [Verifier].
type Config struct {
	// Issuers are the URLs of those whose tokens are accepted, exactly as their tokens have them in iss: https,
	// or http on the loopback interface. At least one.
	Issuers []string

	// WithoutID are those of Issuers whose tokens need not have a jti: CircleCI documents none.
	// The ID of such a token is computed from what was signed. Tokens that agree in all claims, the
	// second in which they were issued included, are then one token.
	WithoutID []string

	// Audiences are the values of aud that are accepted, npm:<host> or npm:<host>:<port>: what
	// [Audiences] returns. At least one.
	Audiences []string

	// MaxLifetime is the longest time from iat to exp of a token that is accepted. Zero means an hour, which
	// CircleCI's tokens have; at most a day.
	MaxLifetime time.Duration

	// Lifetimes replaces MaxLifetime for some of Issuers, by their URLs: a GitLab whose jobs take longer must not
	// lengthen what is accepted of others. More than zero, and at most a day.
	Lifetimes map[string]time.Duration

	// Leeway is by how much the clocks of an issuer and of this process may differ. Zero means
	// 30 seconds; at most a minute.
	Leeway time.Duration

	// Client fetches keys. Its redirects are not followed and its cookies are not used. A fetch
	// takes five seconds at most, and each of its two requests no longer than Timeout if that is not zero. Nil means a
	// client of its own, with the defaults of net/http but for headers of 64 KiB at most.
	Client *http.Client

	// RefreshAfter is how old keys are when the next token has them fetched anew, so that those the
	// issuer no longer publishes are not accepted. An issuer shortens it by Cache-Control: max-age, but not
	// below CoolDown. Zero means an hour, or MaxAge if that is less; at most MaxAge.
	RefreshAfter time.Duration

	// MaxAge is how long keys are used while fetching them fails. Zero means a day; at most a week.
	MaxAge time.Duration

	// CoolDown is the least time between two fetches from an issuer. A key that an issuer begins to use
	// as it publishes it may be unknown for as long. Zero means a minute, or RefreshAfter if that is less; at least
	// a second and at most RefreshAfter.
	CoolDown time.Duration

	// Now returns the time by which keys get old. Nil means time.Now.
	Now func() time.Time
}

// A Token is what an issuer has signed.
type Token struct {
	// Issuer is the URL of the issuer as it is in [Config.Issuers].
	Issuer string
	// ID is the jti of the token: no two tokens of an issuer have the same.
	ID string
	// Subject is the sub of the token. What it consists of, users of the CI system may change; its other
	// claims are what to match.
	Subject string
	// Audience is the one value of aud.
	Audience string
	// Issued, NotBefore and Expires are the iat, nbf and exp of the token. NotBefore is zero if it has none.
	Issued, NotBefore, Expires time.Time
	// Until is Expires and the leeway: Verify refuses the token from then on. That the ID was used must be
	// remembered until then.
	Until time.Time
	// Claims are all claims of the token, as they were written. No object in them has duplicate keys.
	Claims map[string]json.RawMessage
}

// A Verifier verifies ID tokens. It is safe for concurrent use.
type Verifier struct {
	issuers   map[string]*issuer
	audiences []string
	leeway    time.Duration
}

// New returns a Verifier, or an error naming the field of cfg that is wrong. It fetches nothing yet.
func New(cfg Config) (*Verifier, error) {
	if len(cfg.Issuers) == 0 {
		return nil, errors.New("oidc: Config.Issuers is empty")
	}
	if len(cfg.Audiences) == 0 {
		return nil, errors.New("oidc: Config.Audiences is empty")
	}
	for _, audience := range cfg.Audiences {
		if !validAudience(audience) {
			return nil, fmt.Errorf("oidc: Config.Audiences: %q is not npm:<host> or npm:<host>:<port>", audience)
		}
	}
	if err := cfg.setLimits(); err != nil {
		return nil, err
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	from := &source{
		client: newClient(cfg.Client), now: cfg.Now,
		refreshAfter: cfg.RefreshAfter, maxAge: cfg.MaxAge, coolDown: cfg.CoolDown,
	}
	v := &Verifier{issuers: make(map[string]*issuer), audiences: slices.Clone(cfg.Audiences), leeway: cfg.Leeway}
	for _, text := range cfg.Issuers {
		base, err := parseIssuer(text)
		if err != nil {
			return nil, fmt.Errorf("oidc: Config.Issuers: %q %w", text, err)
		}
		if v.issuers[text] != nil {
			return nil, fmt.Errorf("oidc: Config.Issuers has %q twice", text)
		}
		v.issuers[text] = &issuer{url: text, base: base, source: from, lifetime: cfg.MaxLifetime}
	}
	for _, text := range cfg.WithoutID {
		if v.issuers[text] == nil {
			return nil, fmt.Errorf("oidc: Config.WithoutID: %q is not in Issuers", text)
		}
		v.issuers[text].withoutID = true
	}
	for text, lifetime := range cfg.Lifetimes {
		if v.issuers[text] == nil {
			return nil, fmt.Errorf("oidc: Config.Lifetimes: %q is not in Issuers", text)
		}
		if lifetime < 1 || lifetime > longest {
			return nil, fmt.Errorf("oidc: Config.Lifetimes: %v of %q must be from %v to %v", lifetime, text, time.Duration(1), longest)
		}
		v.issuers[text].lifetime = lifetime
	}
	return v, nil
}

// longest is the greatest lifetime that can be configured.
const longest = 24 * time.Hour

// setLimits replaces the times that are zero, or returns an error naming one that is out of bounds.
func (cfg *Config) setLimits() error {
	for _, d := range []struct {
		name            string
		value           *time.Duration
		zero, low, high time.Duration
	}{
		{"MaxLifetime", &cfg.MaxLifetime, time.Hour, 1, longest},
		{"Leeway", &cfg.Leeway, 30 * time.Second, 1, time.Minute},
		{"MaxAge", &cfg.MaxAge, 24 * time.Hour, time.Second, 7 * 24 * time.Hour},
		{"RefreshAfter", &cfg.RefreshAfter, time.Hour, time.Second, 0},
		{"CoolDown", &cfg.CoolDown, time.Minute, time.Second, 0},
	} {
		switch d.name {
		case "RefreshAfter":
			d.high = cfg.MaxAge
		case "CoolDown":
			d.high = cfg.RefreshAfter
		}
		if *d.value == 0 {
			*d.value = min(d.zero, d.high)
		}
		if *d.value < d.low || *d.value > d.high {
			return fmt.Errorf("oidc: Config.%s is %v; it must be from %v to %v", d.name, *d.value, d.low, d.high)
		}
	}
	return nil
}

// Verify returns what an accepted token says. now is the time by which the token is valid or not. Any
// other token is [ErrInvalid], and an *[InvalidError] says why. [ErrUnavailable] means that nobody knows, as the
// keys of the issuer cannot be fetched, or that ctx ended before they were. The bearer is in no error.
func (v *Verifier) Verify(ctx context.Context, bearer credential.Secret, now time.Time) (Token, error) {
	signed, err := parse(bearer.Reveal())
	if err != nil {
		return Token{}, err
	}
	// Before the signature, which takes the issuer's keys: a token that is refused for its claims
	// must not have them fetched.
	token, err := v.claims(signed, now)
	if err != nil {
		return Token{}, err
	}
	if err := v.issuers[token.Issuer].verify(ctx, signed); err != nil {
		return Token{}, err
	}
	return token, nil
}

// Audiences returns the values of aud that clients request from a CI system for the registry at base: npm and pnpm
// npm:<host>, Yarn npm:<host>:<port> if the URL has a port that is not its scheme's. Registries on ports
// of one host share the first.
func Audiences(base *url.URL) []string {
	host, port := strings.ToLower(base.Hostname()), base.Port()
	if strings.Contains(host, ":") {
		host = "[" + host + "]" // as the hostname of a URL in JavaScript
	}
	audiences := []string{"npm:" + host}
	if port != "" && !(base.Scheme == "https" && port == "443") && !(base.Scheme == "http" && port == "80") {
		audiences = append(audiences, "npm:"+host+":"+port)
	}
	return audiences
}

func validAudience(text string) bool {
	host, ok := strings.CutPrefix(text, "npm:")
	if !ok || host != strings.ToLower(host) {
		return false
	}
	u, err := url.Parse("https://" + host)
	if err != nil || u.Host != host || u.Hostname() == "" || u.User != nil || strings.HasSuffix(host, ":") {
		return false
	}
	if u.Port() == "" {
		return true
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	return err == nil && port > 0 && strconv.FormatUint(port, 10) == u.Port()
}

// parseIssuer returns the URL of an issuer. What is wrong with it follows its text in an error.
func parseIssuer(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || u.User != nil || u.String() != text:
		return nil, errors.New("is not a URL of a host, without a password")
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(text, "#"):
		return nil, errors.New("has a query or a fragment")
	case u.Scheme != "https" && !(u.Scheme == "http" && loopback(u.Hostname())):
		return nil, errors.New("is not https: who can change its keys can issue any token")
	}
	return u, nil
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}
