package oidc_test

import (
	"context"
	"crypto/elliptic"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/trust/oidc"
)

// OI-04: tokens name keys that nobody has, one after the other and all at once.
func TestUnknownKeys(t *testing.T) {
	s := newSystem(jwk("k", ecKeys()[0].Public()))
	v := newVerifier(t, s, nil)
	flood := func() {
		var all sync.WaitGroup
		for n := range 10 {
			all.Go(func() {
				for m := range 100 {
					v.refuses(oidc.ReasonKey, es256(fmt.Sprint("unknown", n, m), ecKeys()[1], claims()))
				}
			})
		}
		all.Wait()
	}
	flood()
	assert.Equal(t, 1, s.fetches())
	v.accepts(es256("k", ecKeys()[0], claims()))
	v.pass(time.Minute - 1)
	flood()
	assert.Equal(t, 1, s.fetches(), "within the cool-down")
	v.pass(1)
	flood()
	assert.Equal(t, 2, s.fetches(), "after it")
	v.accepts(es256("k", ecKeys()[0], claims()))

	// One that is refused for anything else has no keys fetched.
	v.pass(time.Hour)
	v.refuses(oidc.ReasonAudience, es256("new", ecKeys()[0], claims().with(fields{"aud": "npm:other.test"})))
	v.refuses(oidc.ReasonExpired, es256("new", ecKeys()[0], claims().with(fields{"iat": start.Unix() - 300, "exp": start.Unix() - 100})))
	assert.Equal(t, 2, s.fetches())
}

// OI-05: the issuer begins to use another key, and drops the first.
func TestRotation(t *testing.T) {
	s := newSystem(jwk("first", ecKeys()[0].Public()))
	v := newVerifier(t, s, nil)
	first, second := es256("first", ecKeys()[0], claims()), es256("second", ecKeys()[1], claims())
	v.accepts(first)
	v.pass(time.Minute)
	s.set(func() { s.keys = append(s.keys, jwk("second", ecKeys()[1].Public())) })
	v.accepts(second)
	assert.Equal(t, 2, s.fetches())
	v.accepts(first)

	s.set(func() { s.keys = s.keys[1:] })
	v.pass(time.Hour - 1)
	v.accepts(first)
	assert.Equal(t, 2, s.fetches())
	v.pass(1)
	v.refuses(oidc.ReasonKey, first)
	v.accepts(second)
	assert.Equal(t, 3, s.fetches())
}

// OI-05: the issuer says how long its keys are fresh.
func TestCacheControl(t *testing.T) {
	for header, want := range map[string]time.Duration{
		"":                               10 * time.Minute,
		"no-store":                       10 * time.Minute,
		"public, max-age=120":            2 * time.Minute,
		"Max-Age=120":                    2 * time.Minute,
		"max-age=0, private":             time.Minute,
		"max-age=59":                     time.Minute,
		"max-age=86400":                  10 * time.Minute,
		"max-age=-1":                     10 * time.Minute,
		"max-age=99999999999999999999":   10 * time.Minute,
		"max-age=x, max-age=300":         5 * time.Minute,
		"s-maxage=1, stale-if-error=999": 10 * time.Minute,
	} {
		s := newSystem(jwk("k", ecKeys()[0].Public()))
		s.header.Set("Cache-Control", header)
		v := newVerifier(t, s, func(cfg *oidc.Config) { cfg.RefreshAfter = 10 * time.Minute })
		token := es256("k", ecKeys()[0], claims())
		v.accepts(token)
		v.pass(want - 1)
		v.accepts(token)
		assert.Equal(t, 1, s.fetches(), header)
		v.pass(1)
		v.accepts(token)
		assert.Equal(t, 2, s.fetches(), header)
	}
}

// OI-05: keys are as old as the request for them.
func TestAgeOfKeys(t *testing.T) {
	s := newSystem(jwk("k", ecKeys()[0].Public()))
	v := newVerifier(t, s, nil)
	body := fields{"keys": s.keys}.json()
	s.answer[keysPath] = func() ([]byte, error) {
		v.pass(10 * time.Minute)
		return body, nil
	}
	token := es256("k", ecKeys()[0], claims())
	v.accepts(token)
	v.pass(50*time.Minute - 1)
	v.accepts(token)
	assert.Equal(t, 1, s.fetches())
	v.pass(1)
	v.accepts(token)
	assert.Equal(t, 2, s.fetches())
}

// OI-06: another key with the ID of the first.
func TestSameKeyID(t *testing.T) {
	s := newSystem(jwk("k", ecKeys()[0].Public()))
	v := newVerifier(t, s, nil)
	first, second := es256("k", ecKeys()[0], claims()), es256("k", ecKeys()[1], claims())
	v.accepts(first)
	for range 100 {
		v.refuses(oidc.ReasonSignature, second)
	}
	assert.Equal(t, 1, s.fetches())
	v.pass(time.Minute)
	s.set(func() { s.keys[0] = jwk("k", ecKeys()[1].Public()) })
	v.accepts(second)
	v.refuses(oidc.ReasonSignature, first)
	assert.Equal(t, 2, s.fetches())
	v.pass(time.Minute)
	v.refuses(oidc.ReasonSignature, first)
	assert.Equal(t, 3, s.fetches())
	v.accepts(second)
}

// OI-08: the issuer is away.
func TestOutage(t *testing.T) {
	s := newSystem(jwk("k", ecKeys()[0].Public()))
	s.down = true
	v := newVerifier(t, s, nil)
	token := es256("k", ecKeys()[0], claims())
	v.unavailable(token)
	s.set(func() { s.down = false })
	v.unavailable(token)
	assert.Len(t, s.requests(), 1, "an attempt that failed begins the cool-down too")
	v.pass(time.Minute)
	v.accepts(token)

	s.set(func() { s.down = true })
	for range 23 {
		v.pass(time.Hour)
		v.accepts(token)
	}
	v.unavailable(es256("new", ecKeys()[1], claims()))
	v.refuses(oidc.ReasonSignature, es256("k", ecKeys()[1], claims()))
	v.pass(time.Hour - 1)
	v.accepts(token)
	v.pass(1)
	v.unavailable(token)
	v.unavailable(es256("k", ecKeys()[1], claims()))
	s.set(func() { s.down = false })
	v.unavailable(token)
	v.pass(time.Minute)
	v.accepts(token)

	// A clock that is set back makes neither keys nor the cool-down last.
	s.set(func() { s.down = true })
	v.pass(-48 * time.Hour)
	v.unavailable(token)
	s.set(func() { s.down = false })
	v.pass(-48 * time.Hour)
	v.accepts(token)
}

// OI-07, OI-08: what the issuer publishes is no set of keys. The keys before stay.
func TestBadKeys(t *testing.T) {
	good := jwk("k", ecKeys()[0].Public())
	many := make([]fields, 65)
	for n := range many {
		many[n] = good.with(fields{"kid": fmt.Sprint(n)})
	}
	token := es256("k", ecKeys()[0], claims())
	text := func(body string) func() ([]byte, error) { return func() ([]byte, error) { return []byte(body), nil } }
	for name, answer := range map[string]struct {
		path string
		body func() ([]byte, error)
	}{
		"no keys":             {keysPath, text(`{"keys":[]}`)},
		"null":                {keysPath, text(`{"keys":null}`)},
		"an object":           {keysPath, text(`{"keys":{}}`)},
		"nothing":             {keysPath, text(`{}`)},
		"a page":              {keysPath, text(`<!doctype html>`)},
		"and much space":      {keysPath, text(string(fields{"keys": []any{good}}.json()) + strings.Repeat(" ", 512<<10))},
		"cut off":             {keysPath, text(`{"keys":[`)},
		"empty":               {keysPath, text(``)},
		"twice":               {keysPath, text(`{"keys":[],"keys":[` + string(good.json()) + `]}`)},
		"only unusable":       {keysPath, text(string(fields{"keys": []any{good.with(fields{"use": "enc"}), nil, 1}}.json()))},
		"too many":            {keysPath, text(string(fields{"keys": many}.json()))},
		"longer than bounds":  {keysPath, text(string(fields{"keys": []any{good.with(fields{"x5c": make([]byte, 512<<10)})}}.json()))},
		"a broken transport":  {keysPath, func() ([]byte, error) { panic("transport") }},
		"no configuration":    {configPath, text(`{}`)},
		"another issuer":      {configPath, text(string(fields{"issuer": issuerURL + "/", "jwks_uri": issuerURL + keysPath}.json()))},
		"no jwks_uri":         {configPath, text(string(fields{"issuer": issuerURL}.json()))},
		"keys elsewhere":      {configPath, text(string(fields{"issuer": issuerURL, "jwks_uri": "https://evil.test" + keysPath}.json()))},
		"keys on a port":      {configPath, text(string(fields{"issuer": issuerURL, "jwks_uri": issuerURL + ":8443" + keysPath}.json()))},
		"keys in the clear":   {configPath, text(string(fields{"issuer": issuerURL, "jwks_uri": "http://ci.test" + keysPath}.json()))},
		"a file of keys":      {configPath, text(string(fields{"issuer": issuerURL, "jwks_uri": "file:///etc/keys"}.json()))},
		"keys with a user":    {configPath, text(string(fields{"issuer": issuerURL, "jwks_uri": "https://u@ci.test" + keysPath}.json()))},
		"keys below the path": {configPath, text(string(fields{"issuer": issuerURL, "jwks_uri": keysPath}.json()))},
		"a list of jwks_uri":  {configPath, text(string(fields{"issuer": issuerURL, "jwks_uri": []string{issuerURL + keysPath}}.json()))},
	} {
		s := newSystem(good)
		s.answer[answer.path] = answer.body
		cold := newVerifier(t, s, nil)
		_, err := cold.verify(token)
		assert.ErrorIs(t, err, oidc.ErrUnavailable, name)

		s = newSystem(good)
		warm := newVerifier(t, s, nil)
		warm.accepts(token)
		s.set(func() { s.answer[answer.path] = answer.body })
		warm.pass(23 * time.Hour)
		_, err = warm.verify(token)
		assert.NoError(t, err, name)
		for _, u := range s.requests() {
			assert.Contains(t, []string{issuerURL + configPath, issuerURL + keysPath}, u, name)
		}
		assert.Len(t, s.requests(), map[string]int{keysPath: 4, configPath: 3}[answer.path], "%s: it was fetched anew", name)
	}
}

// OI-37: keys that are too weak. One that cannot be used does not keep the others from being used.
func TestWeakKeys(t *testing.T) {
	strong, weak := jwk("k", rsaKeys()[0].Public()), newRSA(1024)
	ec, p384 := jwk("e", ecKeys()[0].Public()), newEC(elliptic.P384())
	n := rsaKeys()[0].N.Bytes()
	long, even := make([]byte, 8193/8+1), append([]byte(nil), n...)
	long[0], long[len(long)-1] = 1, 1
	even[len(even)-1] &^= 1
	for name, key := range map[string]fields{
		"1024 bits":             jwk("k", weak.Public()),
		"more than 8192 bits":   strong.with(fields{"n": b64(long)}),
		"even":                  strong.with(fields{"n": b64(even)}),
		"e is 1":                strong.with(fields{"e": b64([]byte{1})}),
		"e is 3":                strong.with(fields{"e": b64([]byte{3})}),
		"e is even":             strong.with(fields{"e": b64([]byte{1, 0, 2})}),
		"e is 0":                strong.with(fields{"e": b64([]byte{0})}),
		"e of 72 bits":          strong.with(fields{"e": b64([]byte{1, 0, 0, 0, 0, 0, 1, 0, 1})}),
		"no e":                  strong.with(fields{"e": nil}),
		"e is a number":         strong.with(fields{"e": 65537}),
		"no n":                  strong.with(fields{"n": nil}),
		"padded":                strong.with(fields{"n": strong["n"].(string) + "="}),
		"for encryption":        strong.with(fields{"use": "enc"}),
		"use is a list":         strong.with(fields{"use": []string{"sig"}}),
		"to encrypt":            strong.with(fields{"key_ops": []string{"encrypt"}}),
		"operations are text":   strong.with(fields{"key_ops": "verify"}),
		"for PS256":             strong.with(fields{"alg": "PS256"}),
		"for RS512":             strong.with(fields{"alg": "RS512"}),
		"private":               strong.with(fields{"d": b64(rsaKeys()[0].D.Bytes())}),
		"secret":                {"kty": "oct", "kid": "k", "k": b64(n), "alg": "RS256"},
		"of no type":            strong.with(fields{"kty": nil}),
		"of an unknown type":    strong.with(fields{"kty": "rsa"}),
		"without ID":            strong.with(fields{"kid": nil}),
		"with a number as ID":   strong.with(fields{"kid": 1}),
		"P-384":                 jwk("e", p384.Public()),
		"P-384 as P-256":        jwk("e", p384.Public()).with(fields{"crv": "P-256"}),
		"not on the curve":      ec.with(fields{"y": ec["x"]}),
		"for ES384":             ec.with(fields{"alg": "ES384"}),
		"of no curve":           ec.with(fields{"crv": nil}),
		"without y":             ec.with(fields{"y": nil}),
		"for encryption, EC":    ec.with(fields{"use": "enc"}),
		"private, EC":           ec.with(fields{"d": ec["x"]}),
		"a point of 31 bytes":   ec.with(fields{"x": ec["x"].(string)[4:]}),
		"the point at infinity": ec.with(fields{"x": b64(make([]byte, 32)), "y": b64(make([]byte, 32))}),
	} {
		s := newSystem(key, jwk("other", ecKeys()[1].Public()))
		v := newVerifier(t, s, nil)
		v.accepts(es256("other", ecKeys()[1], claims()))
		for _, token := range []string{rs256("k", rsaKeys()[0], claims()), rs256("k", weak, claims()), es256("e", ecKeys()[0], claims())} {
			v.refuses(oidc.ReasonKey, token, name)
		}
	}
	for name, change := range map[string]fields{
		"as most are": {"alg": "RS256", "x5c": []string{"not read"}, "x5t": "a"}, "without use": {"use": nil}, "with operations": {"use": nil, "key_ops": []string{"verify"}},
	} {
		v := newVerifier(t, newSystem(strong.with(change)), nil)
		_, err := v.verify(rs256("k", rsaKeys()[0], claims()))
		assert.NoError(t, err, name)
	}
}

// OI-07: two keys have one ID.
func TestDuplicateKeyID(t *testing.T) {
	s := newSystem(jwk("k", ecKeys()[0].Public()), jwk("k", rsaKeys()[0].Public()), jwk("k", ecKeys()[1].Public()))
	v := newVerifier(t, s, nil)
	v.accepts(es256("k", ecKeys()[0], claims()))
	v.accepts(es256("k", ecKeys()[1], claims()))
	v.accepts(rs256("k", rsaKeys()[0], claims()))
	v.refuses(oidc.ReasonSignature, rs256("k", rsaKeys()[1], claims()))
	v.refuses(oidc.ReasonSignature, es256("k", newEC(elliptic.P256()), claims()))
}

// slow is a transport that answers after a while, or as the request ends.
type slow struct {
	*system
	wait time.Duration
}

func (s slow) RoundTrip(req *http.Request) (*http.Response, error) {
	select {
	case <-time.After(s.wait):
		return s.system.RoundTrip(req)
	case <-req.Context().Done():
		return nil, req.Context().Err()
	}
}

// OI-07: the issuer is slow.
func TestSlowIssuer(t *testing.T) {
	for _, tt := range []struct {
		each, timeout time.Duration // of a document, of the client
		took          time.Duration
		ok            bool
	}{
		{2 * time.Second, 0, 4 * time.Second, true},
		{3 * time.Second, 0, 5 * time.Second, false},
		{time.Hour, time.Minute, 5 * time.Second, false},
		{time.Hour, time.Second, time.Second, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			v, err := oidc.New(oidc.Config{
				Issuers: []string{issuerURL}, Audiences: []string{audience},
				Client: &http.Client{Transport: slow{newSystem(jwk("k", ecKeys()[0].Public())), tt.each}, Timeout: tt.timeout},
			})
			require.NoError(t, err)
			began := time.Now()
			_, err = v.Verify(t.Context(), credential.NewSecret(es256("k", ecKeys()[0], claims())), start)
			assert.Equal(t, tt.took, time.Since(began))
			if tt.ok {
				assert.NoError(t, err)
			} else {
				assert.ErrorIs(t, err, oidc.ErrUnavailable)
			}
		})
	}
}

// Requests that need keys at one time share a fetch, and it outlives the one that began it.
func TestSharedFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSystem(jwk("k", ecKeys()[0].Public()))
		v, err := oidc.New(oidc.Config{
			Issuers: []string{issuerURL}, Audiences: []string{audience}, Client: &http.Client{Transport: slow{s, time.Second}},
		})
		require.NoError(t, err)
		token := credential.NewSecret(es256("k", ecKeys()[0], claims()))
		var all sync.WaitGroup
		all.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(500*time.Millisecond, cancel)
			_, err := v.Verify(ctx, token, start)
			assert.ErrorIs(t, err, context.Canceled)
			assert.ErrorIs(t, err, oidc.ErrUnavailable)
			assert.NotErrorIs(t, err, oidc.ErrInvalid)
		})
		for n := range 20 {
			all.Go(func() {
				time.Sleep(time.Duration(n+1) * 50 * time.Millisecond)
				_, err := v.Verify(t.Context(), token, start)
				assert.NoError(t, err)
				assert.LessOrEqual(t, s.fetches(), 1)
			})
		}
		all.Wait()
		assert.Len(t, s.requests(), 2)

		// Keys that are there do not wait for anything.
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = v.Verify(ended, token, start)
		assert.NoError(t, err)
	})
}

// An issuer whose URL ends in a slash has its configuration where one without has it, and is another one.
func TestIssuerWithSlash(t *testing.T) {
	s := newSystem(jwk("k", ecKeys()[0].Public()))
	s.answer[configPath] = func() ([]byte, error) {
		return fields{"issuer": issuerURL + "/", "jwks_uri": issuerURL + keysPath}.json(), nil
	}
	v := newVerifier(t, s, func(cfg *oidc.Config) { cfg.Issuers = []string{issuerURL + "/"} })
	got := v.accepts(es256("k", ecKeys()[0], claims().with(fields{"iss": issuerURL + "/"})))
	assert.Equal(t, issuerURL+"/", got.Issuer)
	v.refuses(oidc.ReasonIssuer, es256("k", ecKeys()[0], claims()))
}

// An issuer that is away is not another's outage.
func TestOneIssuerAway(t *testing.T) {
	const other = "https://gitlab.acme.test"
	s := newSystem(jwk("k", ecKeys()[0].Public()))
	s.hosts = map[string]*system{"gitlab.acme.test": newSystem()}
	s.hosts["gitlab.acme.test"].answer[configPath] = func() ([]byte, error) { return nil, errors.New("away") }
	v := newVerifier(t, s, func(cfg *oidc.Config) { cfg.Issuers = append(cfg.Issuers, other) })
	v.unavailable(es256("k", ecKeys()[0], claims().with(fields{"iss": other})))
	v.accepts(es256("k", ecKeys()[0], claims()))
}
