package trust

import (
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/npmauth/npmauth/credential"
)

// The issuers that have one URL for everybody.
const (
	GitHubURL = "https://token.actions.githubusercontent.com"
	GitLabURL = "https://gitlab.com"
)

// circleOrg precedes the organization in the URL of an issuer of CircleCI.
const circleOrg = "/org/"

// An Issuer is a system whose ID tokens the operator trusts to say what they say. The zero Issuer is not valid.
type Issuer struct {
	Kind Kind

	// URL is the iss of its tokens, exactly: nothing is normalized, and a slash at the end makes another
	// URL. It is https, or http to a loopback host.
	//
	//	github    GitHubURL, or GitHubURL/<slug> of an enterprise, or https://<host>/_services/token of a server
	//	gitlab    GitLabURL, or the URL of a GitLab of one's own
	//	circleci  https://oidc.circleci.com/org/<UUID of the organization>
	URL string

	// Claims are what its publishers name, for KindCustom alone, which needs one that is neither Optional, Pin
	// nor OneOf.
	Claims []Claim
}

// A Claim is one that the publishers of a [KindCustom] issuer name. In tokens it is a string.
type Claim struct {
	Name string

	// Fold compares without regard to the case of ASCII letters. False compares exactly.
	Fold bool

	// Optional lets a publisher omit the claim, and then anything matches, also a token without it.
	Optional bool

	// Pin makes a publisher that omits the claim take it from the first token that matches: for an ID that is
	// never given to another.
	Pin bool

	// OneOf are the only values that match, whatever the publisher, which cannot name the claim. It is for
	// what the operator decides, such as the events that may start a job. Not with Fold, Optional or Pin.
	OneOf []string
}

// registered are the claims that a TokenVerifier checks.
var registered = []string{"iss", "aud", "exp", "nbf", "iat", "jti"}

// Validate returns an error that says what is wrong with i.
func (i Issuer) Validate() error {
	if i.Kind == KindUnknown || int(i.Kind) >= len(kindWords) {
		return fmt.Errorf("trust: issuer %q: its kind is unknown", i.URL)
	}
	path, err := checkURL(i.URL)
	if err == nil {
		err = i.checkPath(path)
	}
	if err == nil {
		err = i.checkClaims()
	}
	if err != nil {
		return fmt.Errorf("trust: issuer %q: %w", i.URL, err)
	}
	return nil
}

// checkURL returns the path of an issuer's URL.
func checkURL(text string) (path string, err error) {
	if !plain(text, 512) {
		return "", fmt.Errorf("the URL is empty, too long or has white space")
	}
	u, err := url.Parse(text)
	if err != nil {
		return "", fmt.Errorf("the URL is malformed")
	}
	host := u.Hostname()
	switch {
	case !strings.HasPrefix(text, "https://") && !strings.HasPrefix(text, "http://"):
		return "", fmt.Errorf("the URL must begin with https://")
	case strings.HasPrefix(text, "http://") && !loopback(host):
		return "", fmt.Errorf("http is for loopback hosts, use https")
	case u.User != nil, u.RawQuery != "", u.ForceQuery, strings.Contains(text, "#"):
		return "", fmt.Errorf("the URL must be a host and a path only")
	case !isHost(host) || u.Host != strings.ToLower(u.Host):
		return "", fmt.Errorf("the host must be a name in lower-case ASCII letters or an address")
	}
	if _, port, found := strings.Cut(u.Host[strings.LastIndexByte(u.Host, ']')+1:], ":"); found {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || port[0] == '0' {
			return "", fmt.Errorf("the port is malformed")
		}
	}
	for n, part := range strings.Split(u.EscapedPath(), "/") {
		last := n == strings.Count(u.EscapedPath(), "/")
		if part == "" && n > 0 && !last || part != "" && !isName(part, "-._~", len(part)) {
			return "", fmt.Errorf("the path is malformed")
		}
	}
	return u.EscapedPath(), nil
}

// isHost reports whether host is a name of the DNS, or an address.
func isHost(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	for label := range strings.SplitSeq(host, ".") {
		if !isName(label, "-_", 63) {
			return false
		}
	}
	return len(host) <= 253
}

// loopback reports whether host cannot be another machine.
func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// checkPath checks what the issuers of a kind have in common.
func (i Issuer) checkPath(path string) error {
	switch i.Kind {
	case KindGitHub, KindGitLab, KindCircleCI:
		if strings.HasSuffix(path, "/") {
			return fmt.Errorf("the URL must not end in a slash")
		}
	}
	switch i.Kind {
	case KindGitHub:
		if slug, ok := strings.CutPrefix(i.URL, GitHubURL+"/"); ok && !isName(slug, "-_", 100) {
			return fmt.Errorf("after the host there must be nothing, or an enterprise's slug")
		}
	case KindCircleCI:
		if i.org() == "" {
			return fmt.Errorf("the path must be /org/ and the UUID of an organization in lower case")
		}
	}
	return nil
}

// org returns the organization of an issuer of CircleCI, or "" if its URL has none.
func (i Issuer) org() string {
	u, err := url.Parse(i.URL)
	if err != nil {
		return ""
	}
	org, ok := strings.CutPrefix(u.Path, circleOrg)
	if !ok || !credential.IsID(org) {
		return ""
	}
	return org
}

// server returns the URL without its scheme.
func (i Issuer) server() string {
	_, server, _ := strings.Cut(i.URL, "://")
	return server
}

func (i Issuer) checkClaims() error {
	if i.Kind != KindCustom {
		if len(i.Claims) > 0 {
			return fmt.Errorf("Claims are for issuers of kind custom")
		}
		return nil
	}
	seen, named := map[string]bool{}, false
	for _, c := range i.Claims {
		if !plain(c.Name, 128) {
			return fmt.Errorf("a claim has no name, or a malformed one")
		}
		if seen[fold(c.Name)] {
			return fmt.Errorf("claim %q is there twice", c.Name)
		}
		seen[fold(c.Name)] = true
		for _, name := range registered {
			if c.Name == name {
				return fmt.Errorf("claim %q is the verifier's", c.Name)
			}
		}
		if c.OneOf != nil && (len(c.OneOf) == 0 || c.Fold || c.Optional || c.Pin) {
			return fmt.Errorf("claim %q: OneOf must have a value, and nothing beside it", c.Name)
		}
		for _, v := range c.OneOf {
			if !plain(v, maxValue) {
				return fmt.Errorf("claim %q: a value of OneOf is malformed", c.Name)
			}
		}
		if c.Optional && c.Pin {
			return fmt.Errorf("claim %q is Optional or Pin, not both", c.Name)
		}
		named = named || c.needed()
	}
	if !named {
		return fmt.Errorf("Claims must have one that every publisher names")
	}
	return nil
}

// needed reports whether every publisher names the claim.
func (c Claim) needed() bool { return !c.Optional && !c.Pin && c.OneOf == nil }

// claims returns what publishers of an issuer of kind oidc or custom name.
func (i Issuer) claims() []Claim {
	if i.Kind == KindOIDC {
		return []Claim{{Name: "sub"}}
	}
	return i.Claims
}

// ValidateIssuers returns an error if one of the issuers is not valid, or if two have the same URL.
func ValidateIssuers(issuers []Issuer) error {
	seen := map[string]bool{}
	for _, i := range issuers {
		if err := i.Validate(); err != nil {
			return err
		}
		if seen[i.URL] {
			return fmt.Errorf("trust: issuer %q is there twice", i.URL)
		}
		seen[i.URL] = true
	}
	return nil
}
