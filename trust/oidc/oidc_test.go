package oidc_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/trust/oidc"
)

func TestVerify(t *testing.T) {
	s := newSystem(jwk("rsa", rsaKeys()[0].Public()), jwk("ec", ecKeys()[0].Public()))
	v := newVerifier(t, s, nil)
	assert.Empty(t, s.requests(), "New fetches nothing")
	for _, token := range []string{
		rs256("rsa", rsaKeys()[0], claims()),
		es256("ec", ecKeys()[0], claims()),
		es256("ec", ecKeys()[0], claims().with(fields{"aud": []string{audience}})),
		sign([]byte(`{"kid":"ec","alg":"ES256"}`), claims().json(), ecKeys()[0]),
	} {
		got := v.accepts(token)
		assert.Equal(t, json.RawMessage(`"acme/widget"`), got.Claims["repository"])
		assert.Len(t, got.Claims, 7)
		got.Claims = nil
		assert.Equal(t, oidc.Token{
			Issuer: issuerURL, ID: "6e67b1cb-2b8d", Subject: "repo:acme/widget:ref:refs/heads/main", Audience: audience,
			Issued: start, Expires: start.Add(5 * time.Minute), Until: start.Add(5*time.Minute + 30*time.Second),
		}, got)
	}
	got := v.accepts(es256("ec", ecKeys()[0], claims().with(fields{"nbf": start.Add(-time.Minute).Unix()})))
	assert.Equal(t, start.Add(-time.Minute), got.NotBefore)
	assert.Equal(t, []string{issuerURL + configPath, issuerURL + keysPath}, s.requests(), "the keys are kept")
}

// OI-01: a token without a signature. OI-02: a MAC by a public key.
func TestAlgorithms(t *testing.T) {
	s := newSystem(jwk("k", rsaKeys()[0].Public()), jwk("e", ecKeys()[0].Public()))
	v := newVerifier(t, s, nil)
	unsigned := b64([]byte(`{"alg":"none","kid":"k"}`)) + "." + b64(claims().json()) + "."
	v.refuses(oidc.ReasonEncoding, unsigned)
	v.refuses(oidc.ReasonEncoding, strings.TrimSuffix(unsigned, "."))
	good := rs256("k", rsaKeys()[0], claims())
	v.refuses(oidc.ReasonEncoding, good[:strings.LastIndexByte(good, '.')+1])
	v.refuses(oidc.ReasonEncoding, good[:strings.LastIndexByte(good, '.')])
	for _, alg := range []any{
		"none", "None", "NONE", "HS256", "HS384", "HS512", "RS384", "RS512", "PS256", "ES384", "ES512", "ES256K", "EdDSA", "rs256", "", nil,
		256, []string{"RS256"},
	} {
		header := fields{"kid": "k"}.with(fields{"alg": alg}).json()
		v.refuses(oidc.ReasonAlgorithm, sign(header, claims().json(), rsaKeys()[0]), "%v", alg)
	}
	assert.Empty(t, s.requests())

	// The key of one algorithm is none of the other.
	v.refuses(oidc.ReasonKey, sign([]byte(`{"alg":"ES256","kid":"k"}`), claims().json(), rsaKeys()[0]))
	v.refuses(oidc.ReasonKey, sign([]byte(`{"alg":"RS256","kid":"e"}`), claims().json(), ecKeys()[0]))
	v.refuses(oidc.ReasonKey, es256("k", ecKeys()[0], claims()))
	v.refuses(oidc.ReasonSignature, rs256("k", rsaKeys()[1], claims()))
	v.refuses(oidc.ReasonSignature, es256("e", ecKeys()[1], claims()))
}

// OI-03: the sender brings the key.
func TestHeaders(t *testing.T) {
	s := newSystem(jwk("k", rsaKeys()[0].Public()))
	v := newVerifier(t, s, nil)
	base := fields{"alg": "RS256", "kid": "k"}
	for name, value := range map[string]any{
		"jku": "https://evil.test/keys", "jwk": jwk("k", rsaKeys()[1].Public()), "x5u": "https://evil.test/chain", "x5c": []string{"MIIB"},
		"crit": []string{"exp"}, "b64": false, "cty": "JWT", "enc": "A128GCM", "zip": "DEF",
	} {
		for _, key := range rsaKeys() {
			v.refuses(oidc.ReasonHeader, sign(base.with(fields{name: value}).json(), claims().json(), key), "%s", name)
		}
	}
	for _, change := range []fields{
		{"typ": "at+jwt"}, {"typ": ""}, {"typ": 1}, {"kid": nil}, {"kid": ""}, {"kid": 1}, {"kid": []string{"k"}}, {"kid": strings.Repeat("k", oidc.MaxID+1)},
	} {
		v.refuses(oidc.ReasonHeader, sign(base.with(change).json(), claims().json(), rsaKeys()[0]), "%v", change)
	}
	for _, header := range []string{
		`[]`, `null`, `"RS256"`, `{`, `{"alg":"RS256","kid":"k","kid":"k"}`, `{"alg":"none","alg":"RS256","kid":"k"}`, `{"alg":"RS256","Alg":"RS256","kid":"k"}`,
		`{"alg":"RS256","kid":"k"}{}`, "\ufeff" + `{"alg":"RS256","kid":"k"}`, `{"alg":"RS256","kid":"` + "\xff" + `"}`, `{"alg":"RS256","kid":"\ud800"}`,
	} {
		v.refuses(oidc.ReasonHeader, sign([]byte(header), claims().json(), rsaKeys()[0]), "%s", header)
	}
	assert.Empty(t, s.requests())
	for _, change := range []fields{{"typ": "JWT"}, {"typ": "jwt"}, {"x5t": "a", "x5t#S256": "b"}, {"other": []any{1, nil}}} {
		v.accepts(sign(base.with(change).json(), claims().json(), rsaKeys()[0]))
	}
	// The header is the one that was signed.
	good := sign(base.json(), claims().json(), rsaKeys()[0])
	_, rest, _ := strings.Cut(good, ".")
	v.refuses(oidc.ReasonSignature, b64([]byte(`{"kid":"k","alg":"RS256"}`))+"."+rest)
}

// OI-09: an issuer that is written almost as a configured one. OI-10: one to which somebody leads the registry.
func TestIssuers(t *testing.T) {
	s := newSystem(jwk("k", rsaKeys()[0].Public()))
	v := newVerifier(t, s, func(cfg *oidc.Config) {
		cfg.Issuers = append(cfg.Issuers, "https://ci.test/org/1")
	})
	for _, iss := range []any{
		"https://ci.test/", "http://ci.test", "https://CI.test", "HTTPS://ci.test", "https://ci.test:443", "https://ci.test.evil.test", "https://ci.test.",
		"https://ci。test", "https://ci.test/org", "https://ci.test/org/2", "https://ci.test/org/1/", "https://ci.test/org/1/..", " https://ci.test",
		"https://ci.test\n", "https://ci.test?", "https://ci.test#", "https://x@ci.test", "//ci.test", "", nil, 1, []string{issuerURL},
		"http://169.254.169.254/latest", "http://127.0.0.1:8080", "https://evil.test", "file:///etc/passwd",
	} {
		v.refuses(oidc.ReasonIssuer, rs256("k", rsaKeys()[0], claims().with(fields{"iss": iss})), "%v", iss)
	}
	assert.Empty(t, s.requests())
	v.accepts(rs256("k", rsaKeys()[0], claims()))
}

// OI-17: two issuers give one ID. The audit of PyPI in 2026 found the keys of one self-hosted instance
// accepted for another.
func TestIssuersApart(t *testing.T) {
	const other = "https://gitlab.acme.test"
	s := newSystem(jwk("k", rsaKeys()[0].Public()))
	s.hosts = map[string]*system{"gitlab.acme.test": newSystem(jwk("k", rsaKeys()[1].Public()))}
	s.hosts["gitlab.acme.test"].issuer = other
	v := newVerifier(t, s, func(cfg *oidc.Config) { cfg.Issuers = append(cfg.Issuers, other) })
	first := v.accepts(rs256("k", rsaKeys()[0], claims()))
	second := v.accepts(rs256("k", rsaKeys()[1], claims().with(fields{"iss": other})))
	assert.Equal(t, first.ID, second.ID)
	assert.Equal(t, []string{issuerURL, other}, []string{first.Issuer, second.Issuer})
	v.refuses(oidc.ReasonSignature, rs256("k", rsaKeys()[1], claims()))
	v.refuses(oidc.ReasonSignature, rs256("k", rsaKeys()[0], claims().with(fields{"iss": other})))
}

// OI-11: for somebody else, or for several.
func TestAudience(t *testing.T) {
	s := newSystem(jwk("k", ecKeys()[0].Public()))
	v := newVerifier(t, s, func(cfg *oidc.Config) { cfg.Audiences = []string{audience, audience + ":8443"} })
	for _, aud := range []any{
		"npm:registry.npm.test", "npm:npm.acme.test:443", "npm:npm.acme.test/", "npm:npm.acme.test:84430", "npm:npm.acme", "npm:NPM.acme.test", "npm.acme.test", "npm:",
		"", nil, 1, []any{}, []any{audience, "npm:other.test"}, []any{audience, audience}, []any{audience, nil}, []any{[]any{audience}}, []any{1},
		map[string]any{"0": audience}, audience + " ", audience + "," + audience,
	} {
		v.refuses(oidc.ReasonAudience, es256("k", ecKeys()[0], claims().with(fields{"aud": aud})), "%v", aud)
	}
	v.refuses(oidc.ReasonAudience, sign([]byte(`{"alg":"ES256","kid":"k"}`), claims().with(fields{"aud": json.RawMessage("null")}).json(), ecKeys()[0]))
	assert.Empty(t, s.requests())
	for _, aud := range []any{audience, audience + ":8443", []any{audience}} {
		v.accepts(es256("k", ecKeys()[0], claims().with(fields{"aud": aud})))
	}
}

// OI-12: a claim is missing. OI-27: it is of another type, or there twice.
func TestClaims(t *testing.T) {
	s := newSystem(jwk("k", ecKeys()[0].Public()))
	v := newVerifier(t, s, nil)
	token := func(change fields) string { return es256("k", ecKeys()[0], claims().with(change)) }
	null := json.RawMessage("null")
	for name, values := range map[string][]any{
		"sub": {nil, null, "", 42, []string{"a"}, true},
		"jti": {nil, null, "", 42, []string{"a"}, strings.Repeat("i", oidc.MaxID+1)},
		"iat": {nil, null, "1796119200", 0, -1, json.RawMessage("1796119200.5"), json.RawMessage("1.7961192e9"), json.RawMessage("1e400"), json.RawMessage("253402300800"), true},
		"exp": {nil, null, "1796119200", 0, -1, json.RawMessage("1796119200.0"), json.RawMessage("9223372036854775808"), json.RawMessage("99999999999999999999999")},
		"nbf": {null, "1796119200", 0, -1, false, json.RawMessage("-0")},
	} {
		for _, value := range values {
			_, err := v.verify(token(fields{name: value}))
			var invalid *oidc.InvalidError
			if assert.ErrorAs(t, err, &invalid, "%s: %v", name, value) {
				assert.Equal(t, oidc.InvalidError{Reason: oidc.ReasonClaim, Issuer: issuerURL, Claim: name}, *invalid, "%v", value)
			}
		}
	}
	payload := string(claims().json())
	for _, text := range []string{
		`[]`, `null`, `1`, `"a"`, ``, `{}{}`, payload[:len(payload)-1], strings.Replace(payload, "{", `{"jti":"first",`, 1),
		strings.Replace(payload, "{", `{"repository":"acme/widget",`, 1), strings.Replace(payload, "{", `{"Repository":"acme/widget",`, 1),
		strings.Replace(payload, "{", `{"nested":{"a":1,"a":2},`, 1), strings.Replace(payload, "{", "{\"x\":\"\xff\",", 1),
		strings.Replace(payload, "{", `{"x":"\ud800",`, 1), "\ufeff" + payload, `{"x":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}`,
	} {
		reason := oidc.ReasonPayload
		if text == "" {
			reason = oidc.ReasonEncoding
		}
		v.refuses(reason, sign([]byte(`{"alg":"ES256","kid":"k"}`), []byte(text), ecKeys()[0]), "%.40q", text)
	}
	assert.Empty(t, s.requests())

	// Other claims are as they were written: a number is no string of digits.
	got := v.accepts(token(fields{"repository_owner_id": 42, "actor_id": "42", "environment": null, "groups": []string{"a"}}))
	assert.Equal(t, []json.RawMessage{json.RawMessage("42"), json.RawMessage(`"42"`), null, json.RawMessage(`["a"]`)},
		[]json.RawMessage{got.Claims["repository_owner_id"], got.Claims["actor_id"], got.Claims["environment"], got.Claims["groups"]})
	v.accepts(token(fields{"jti": strings.Repeat("i", oidc.MaxID)}))
}

// OI-13: the instants at which a token begins and ends to be valid. OI-15: the leeway is part of that. The audit of
// PyPI in 2026 found IDs forgotten before it was over.
func TestTimes(t *testing.T) {
	s := newSystem(jwk("k", ecKeys()[0].Public()))
	const leeway = 20 * time.Second
	v := newVerifier(t, s, func(cfg *oidc.Config) { cfg.Leeway, cfg.MaxLifetime = leeway, 10*time.Minute })
	at := func(now time.Time, change fields) (oidc.Token, error) {
		return v.Verify(t.Context(), credential.NewSecret(es256("k", ecKeys()[0], claims().with(change))), now)
	}
	expires := start.Add(5 * time.Minute)
	for _, tt := range []struct {
		name   string
		now    time.Time
		change fields
		want   oidc.Reason
	}{
		{"before it was issued", start.Add(-leeway - 1), nil, oidc.ReasonEarly},
		{"as it is issued by a clock that is ahead", start.Add(-leeway), nil, ""},
		{"in its last instant", expires.Add(leeway - 1), nil, ""},
		{"as it has expired", expires.Add(leeway), nil, oidc.ReasonExpired},
		{"before nbf", start.Add(2*time.Minute - leeway - 1), fields{"nbf": start.Add(2 * time.Minute).Unix()}, oidc.ReasonEarly},
		{"at nbf", start.Add(2*time.Minute - leeway), fields{"nbf": start.Add(2 * time.Minute).Unix()}, ""},
		{"nbf before iat, as GitHub's", start, fields{"nbf": start.Add(-10 * time.Minute).Unix()}, ""},
		{"nbf at its end", start.Add(5 * time.Minute), fields{"nbf": expires.Unix()}, oidc.ReasonLifetime},
		{"as long as may be", start, fields{"exp": start.Add(10 * time.Minute).Unix()}, ""},
		{"longer", start, fields{"exp": start.Add(10*time.Minute + time.Second).Unix()}, oidc.ReasonLifetime},
		{"issued too long ago", start, fields{"iat": start.Add(-6 * time.Minute).Unix()}, oidc.ReasonLifetime},
		{"of no time", start, fields{"exp": start.Unix()}, oidc.ReasonLifetime},
		{"backwards", start, fields{"exp": start.Add(-time.Second).Unix()}, oidc.ReasonLifetime},
		{"for ever", start, fields{"exp": 253402300799}, oidc.ReasonLifetime},
		{"milliseconds", start, fields{"iat": start.UnixMilli(), "exp": start.Add(time.Minute).UnixMilli()}, oidc.ReasonClaim},
	} {
		got, err := at(tt.now, tt.change)
		if tt.want == "" {
			if assert.NoError(t, err, tt.name) {
				assert.Equal(t, got.Expires.Add(leeway), got.Until, tt.name)
				assert.True(t, tt.now.Before(got.Until), tt.name)
			}
			continue
		}
		var invalid *oidc.InvalidError
		if assert.ErrorAs(t, err, &invalid, tt.name) {
			assert.Equal(t, tt.want, invalid.Reason, tt.name)
		}
	}
}

// OI-13: one issuer's tokens may live longer, or less long, than the others'.
func TestLifetimes(t *testing.T) {
	const long, short = "https://ci.test/long", "https://ci.test/short"
	s := newSystem(jwk("k", ecKeys()[0].Public()))
	s.answer["/long"+configPath] = func() ([]byte, error) {
		return fields{"issuer": long, "jwks_uri": issuerURL + keysPath}.json(), nil
	}
	s.answer["/short"+configPath] = func() ([]byte, error) {
		return fields{"issuer": short, "jwks_uri": issuerURL + keysPath}.json(), nil
	}
	v := newVerifier(t, s, func(cfg *oidc.Config) {
		cfg.Issuers = append(cfg.Issuers, long, short)
		cfg.Lifetimes = map[string]time.Duration{long: 24 * time.Hour, short: time.Minute}
	})
	for iss, longest := range map[string]time.Duration{issuerURL: time.Hour, long: 24 * time.Hour, short: time.Minute} {
		of := func(d time.Duration) string {
			return es256("k", ecKeys()[0], claims().with(fields{"iss": iss, "exp": start.Add(d).Unix()}))
		}
		v.accepts(of(longest))
		v.refuses(oidc.ReasonLifetime, of(longest+time.Second), iss)
	}
}

// OI-33: a long token.
func TestSize(t *testing.T) {
	s := newSystem(jwk("k", ecKeys()[0].Public()))
	v := newVerifier(t, s, nil)
	for _, text := range []string{
		strings.Repeat(".", 1e6), strings.Repeat("a", oidc.MaxToken+1), strings.Repeat("a.", oidc.MaxToken/2) + "a",
		es256("k", ecKeys()[0], claims().with(fields{"x": strings.Repeat("a", 1<<20)})),
	} {
		v.refuses(oidc.ReasonSize, text)
	}
	v.refuses(oidc.ReasonEncoding, strings.Repeat(".", oidc.MaxToken))
	// The longest that fits: base64url has no text of every length.
	longest := 0
	for n := oidc.MaxToken * 3 / 4; n > oidc.MaxToken/2 && longest == 0; n-- {
		if token := es256("k", ecKeys()[0], claims().with(fields{"x": strings.Repeat("a", n)})); len(token) <= oidc.MaxToken {
			longest = len(token)
			v.accepts(token)
		}
	}
	assert.InDelta(t, oidc.MaxToken, longest, 1)
}

// OI-34: a token can be written in one way. OI-35: other serializations, and encrypted tokens.
func TestEncoding(t *testing.T) {
	s := newSystem(jwk("k", ecKeys()[0].Public()))
	v := newVerifier(t, s, nil)
	good := es256("k", ecKeys()[0], claims())
	v.accepts(good)
	parts := strings.Split(good, ".")
	var bad []string
	for n := range parts {
		for _, change := range []func(string) string{
			func(p string) string { return p + "=" },
			func(p string) string { return p + "==" },
			func(p string) string { return p + "\n" },
			func(p string) string { return p[:4] + "\r\n" + p[4:] },
			func(p string) string { return " " + p },
			func(p string) string { return p + "\x00" },
			func(p string) string { return p[:4] + "+" + p[5:] },
			func(p string) string { return p[:4] + "/" + p[5:] },
			func(p string) string { return p[:4] + "?" + p[5:] },
			func(string) string { return "" },
			func(p string) string { return p + ".a" },
		} {
			next := slices.Clone(parts)
			next[n] = change(next[n])
			bad = append(bad, strings.Join(next, "."))
		}
	}
	// 64 bytes leave four bits of the last character unused.
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, good[len(good)-1])
	require.Zero(t, last&15)
	bad = append(bad, good[:len(good)-1]+alphabet[last+1:last+2])
	bad = append(bad, "", ".", "..", "...", " "+good, good+" ", "Bearer "+good, good+"."+parts[2], strings.Join(parts[:2], "."),
		`{"payload":"`+parts[1]+`","protected":"`+parts[0]+`","signature":"`+parts[2]+`"}`,
		`{"payload":"`+parts[1]+`","signatures":[{"protected":"`+parts[0]+`","signature":"`+parts[2]+`"},{"protected":"`+parts[0]+`","signature":"`+parts[2]+`"}]}`,
		parts[0]+".a."+parts[1]+"."+parts[2]+".a", // a JWE has five parts
	)
	for _, text := range bad {
		v.refuses(oidc.ReasonEncoding, text, "%q", text)
	}
	v.refuses(oidc.ReasonHeader, sign([]byte(`{"alg":"RS256","enc":"A128GCM","kid":"k"}`), claims().json(), ecKeys()[0]))
}

// OI-12: CircleCI's tokens have no jti.
func TestWithoutID(t *testing.T) {
	s := newSystem(jwk("k", ecKeys()[0].Public()))
	v := newVerifier(t, s, func(cfg *oidc.Config) { cfg.WithoutID = cfg.Issuers })
	token := es256("k", ecKeys()[0], claims().with(fields{"jti": nil}))
	first, same := v.accepts(token), v.accepts(token)
	assert.Regexp(t, `^sha256-[\w-]{43}$`, first.ID)
	assert.Equal(t, first.ID, same.ID)
	assert.Equal(t, first.ID, v.accepts(es256("k", ecKeys()[0], claims().with(fields{"jti": nil}))).ID, "another signature of the same")
	assert.NotEqual(t, first.ID, v.accepts(es256("k", ecKeys()[0], claims().with(fields{"jti": nil, "iat": start.Unix() - 1}))).ID)
	assert.Equal(t, "6e67b1cb-2b8d", v.accepts(es256("k", ecKeys()[0], claims())).ID)
	v.refuses(oidc.ReasonClaim, es256("k", ecKeys()[0], claims().with(fields{"jti": ""})))
	v.refuses(oidc.ReasonClaim, es256("k", ecKeys()[0], claims().with(fields{"jti": json.RawMessage("null")})))
}

// What is presented gets into logs by no error.
func TestErrorsTellNothing(t *testing.T) {
	const canary = "canary"
	s := newSystem(jwk("k", ecKeys()[0].Public()))
	v := newVerifier(t, s, nil)
	texts := map[string]bool{}
	for _, token := range []string{
		canary, canary + "." + canary + "." + canary, strings.Repeat(canary, 1<<14),
		sign([]byte(`{"alg":"`+canary+`"}`), claims().json(), ecKeys()[0]),
		sign([]byte(`{"alg":"ES256","kid":"k","typ":"`+canary+`"}`), claims().json(), ecKeys()[0]),
		sign([]byte(`{"alg":"ES256","kid":"k"}`), []byte(`{"`+canary+`":1,"`+canary+`":1}`), ecKeys()[0]),
		es256(canary, ecKeys()[0], claims().with(fields{"sub": canary})),
		es256("k", ecKeys()[1], claims().with(fields{"sub": canary})),
		es256("k", ecKeys()[0], claims().with(fields{"iss": "https://" + canary})),
		es256("k", ecKeys()[0], claims().with(fields{"aud": canary})),
		es256("k", ecKeys()[0], claims().with(fields{"jti": canary, "exp": canary})),
	} {
		_, err := v.verify(token)
		if assert.Error(t, err) {
			assert.NotContains(t, err.Error(), canary)
			texts[err.Error()] = true
		}
	}
	assert.Contains(t, texts, "oidc: invalid token: claim exp (https://ci.test)")
	assert.Contains(t, texts, "oidc: invalid token: size")
	s.set(func() { s.down = true })
	v.pass(48 * time.Hour)
	_, err := v.verify(es256("k", ecKeys()[0], claims().with(fields{"sub": canary})))
	assert.ErrorIs(t, err, oidc.ErrUnavailable)
	assert.NotContains(t, err.Error(), canary)
	assert.Contains(t, err.Error(), issuerURL)
}

func TestConfig(t *testing.T) {
	base := func() oidc.Config {
		return oidc.Config{Issuers: []string{issuerURL}, Audiences: []string{audience}}
	}
	_, err := oidc.New(base())
	require.NoError(t, err)
	for field, changes := range map[string][]func(*oidc.Config){
		"Issuers": {
			func(c *oidc.Config) { c.Issuers = nil },
			func(c *oidc.Config) { c.Issuers = []string{issuerURL, issuerURL} },
			func(c *oidc.Config) { c.Issuers = []string{""} },
			func(c *oidc.Config) { c.Issuers = []string{"ci.test"} },
			func(c *oidc.Config) { c.Issuers = []string{"http://ci.test"} },
			func(c *oidc.Config) { c.Issuers = []string{"http://localhost.evil.test"} },
			func(c *oidc.Config) { c.Issuers = []string{"http://10.0.0.1"} },
			func(c *oidc.Config) { c.Issuers = []string{"ftp://localhost"} },
			func(c *oidc.Config) { c.Issuers = []string{"https://u:p@ci.test"} },
			func(c *oidc.Config) { c.Issuers = []string{"https://ci.test?a=b"} },
			func(c *oidc.Config) { c.Issuers = []string{"https://ci.test?"} },
			func(c *oidc.Config) { c.Issuers = []string{"https://ci.test#"} },
			func(c *oidc.Config) { c.Issuers = []string{"https://ci.test/ "} },
			func(c *oidc.Config) { c.Issuers = []string{"https://:443"} },
		},
		"WithoutID": {func(c *oidc.Config) { c.WithoutID = []string{"https://other.test"} }},
		"Audiences": {
			func(c *oidc.Config) { c.Audiences = nil },
			func(c *oidc.Config) { c.Audiences = []string{""} },
			func(c *oidc.Config) { c.Audiences = []string{"npm:"} },
			func(c *oidc.Config) { c.Audiences = []string{"npm.acme.test"} },
			func(c *oidc.Config) { c.Audiences = []string{"npm:NPM.acme.test"} },
			func(c *oidc.Config) { c.Audiences = []string{"npm:npm.acme.test/"} },
			func(c *oidc.Config) { c.Audiences = []string{"npm:npm.acme.test:"} },
			func(c *oidc.Config) { c.Audiences = []string{"npm:npm.acme.test:0"} },
			func(c *oidc.Config) { c.Audiences = []string{"npm:npm.acme.test:65536"} },
			func(c *oidc.Config) { c.Audiences = []string{"npm:npm.acme.test:0443"} },
			func(c *oidc.Config) { c.Audiences = []string{"npm:u@npm.acme.test"} },
			func(c *oidc.Config) { c.Audiences = []string{"https://npm.acme.test"} },
		},
		"MaxLifetime": {
			func(c *oidc.Config) { c.MaxLifetime = -1 },
			func(c *oidc.Config) { c.MaxLifetime = 24*time.Hour + 1 },
		},
		"Lifetimes": {
			func(c *oidc.Config) { c.Lifetimes = map[string]time.Duration{"https://other.test": time.Hour} },
			func(c *oidc.Config) { c.Lifetimes = map[string]time.Duration{issuerURL: 0} },
			func(c *oidc.Config) { c.Lifetimes = map[string]time.Duration{issuerURL: -1} },
			func(c *oidc.Config) { c.Lifetimes = map[string]time.Duration{issuerURL: 24*time.Hour + 1} },
		},
		"Leeway": {
			func(c *oidc.Config) { c.Leeway = -1 },
			func(c *oidc.Config) { c.Leeway = time.Minute + 1 },
		},
		"MaxAge": {
			func(c *oidc.Config) { c.MaxAge = -1 },
			func(c *oidc.Config) { c.MaxAge = 7*24*time.Hour + 1 },
			func(c *oidc.Config) { c.MaxAge = time.Second - 1 },
		},
		"RefreshAfter": {
			func(c *oidc.Config) { c.RefreshAfter = -1 },
			func(c *oidc.Config) { c.RefreshAfter, c.MaxAge = time.Minute+1, time.Minute },
		},
		"CoolDown": {
			func(c *oidc.Config) { c.CoolDown = -1 },
			func(c *oidc.Config) { c.CoolDown = time.Second - 1 },
			func(c *oidc.Config) { c.CoolDown, c.RefreshAfter = time.Minute+1, time.Minute },
		},
	} {
		for n, change := range changes {
			cfg := base()
			change(&cfg)
			v, err := oidc.New(cfg)
			assert.ErrorContains(t, err, "Config."+field, "%d", n)
			assert.Nil(t, v)
		}
	}
	for _, change := range []func(*oidc.Config){
		func(c *oidc.Config) {
			c.Issuers = []string{"https://ci.test/", "https://ci.test", "https://ci.test:8443/a/b"}
		},
		func(c *oidc.Config) {
			c.Issuers = []string{"http://localhost:1", "http://127.0.0.2", "http://[::1]:80"}
		},
		func(c *oidc.Config) {
			c.Audiences = []string{"npm:localhost:4873", "npm:[::1]:4873", "npm:127.0.0.1", "npm:[::1]"}
		},
		func(c *oidc.Config) { c.MaxAge = time.Second },
		func(c *oidc.Config) { c.MaxAge, c.MaxLifetime, c.Leeway = 7*24*time.Hour, 24*time.Hour, time.Minute },
	} {
		cfg := base()
		change(&cfg)
		_, err := oidc.New(cfg)
		assert.NoError(t, err)
	}

	// What the caller does to its slices later changes nothing.
	cfg := base()
	s := newSystem(jwk("k", ecKeys()[0].Public()))
	cfg.Client = &http.Client{Transport: s}
	v, err := oidc.New(cfg)
	require.NoError(t, err)
	cfg.Issuers[0], cfg.Audiences[0] = "https://evil.test", "npm:evil.test"
	_, err = v.Verify(t.Context(), credential.NewSecret(es256("k", ecKeys()[0], claims())), start)
	assert.NoError(t, err)
	_, err = v.Verify(t.Context(), credential.Secret{}, start)
	assert.ErrorIs(t, err, oidc.ErrInvalid)
}

func TestAudiences(t *testing.T) {
	for base, want := range map[string][]string{
		"https://npm.acme.test":           {"npm:npm.acme.test"},
		"https://npm.acme.test/registry/": {"npm:npm.acme.test"},
		"https://NPM.acme.test:443":       {"npm:npm.acme.test"},
		"http://npm.acme.test:80":         {"npm:npm.acme.test"},
		"http://npm.acme.test:443":        {"npm:npm.acme.test", "npm:npm.acme.test:443"},
		"https://npm.acme.test:8443":      {"npm:npm.acme.test", "npm:npm.acme.test:8443"},
		"http://[::1]:4873":               {"npm:[::1]", "npm:[::1]:4873"},
	} {
		u, err := url.Parse(base)
		require.NoError(t, err)
		got := oidc.Audiences(u)
		assert.Equal(t, want, got, base)
		_, err = oidc.New(oidc.Config{Issuers: []string{issuerURL}, Audiences: got})
		assert.NoError(t, err, base)
	}
}
