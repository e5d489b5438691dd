package main

import (
	"bytes"
	"flag"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/trust"
)

func TestOptions(t *testing.T) {
	ours := func(edit func(*options)) options {
		o := options{addr: "localhost:4873", data: "npm-data", signUp: true}
		o.store = storeChoice{"sqlite", filepath.Join("npm-data", "auth.db")}
		edit(&o)
		return o
	}
	for name, tt := range map[string]struct {
		args []string
		want options
	}{
		"none":                 {nil, ours(func(*options) {})},
		"addr and url":         {[]string{"-addr", ":80", "-url", "https://npm.acme.test/npm"}, ours(func(o *options) { o.addr, o.base = ":80", "https://npm.acme.test/npm/" })},
		"data":                 {[]string{"-data", "d"}, ours(func(o *options) { o.data, o.store.at = "d", filepath.Join("d", "auth.db") })},
		"sqlite":               {[]string{"-store", "sqlite:x:y.db"}, ours(func(o *options) { o.store.at = "x:y.db" })},
		"postgres":             {[]string{"-store", "postgres://npm:pw@db.example/npm"}, ours(func(o *options) { o.store = storeChoice{"postgres", "postgres://npm:pw@db.example/npm"} })},
		"postgresql":           {[]string{"-store", "postgresql:///npm"}, ours(func(o *options) { o.store = storeChoice{"postgres", "postgresql:///npm"} })},
		"etcd":                 {[]string{"-store", "etcd://a:1,b:2"}, ours(func(o *options) { o.store = storeChoice{"etcd", "a:1,b:2"} })},
		"memory":               {[]string{"-store", "memory:"}, ours(func(o *options) { o.store = storeChoice{kind: "memory"} })},
		"closed":               {[]string{"-signup", "closed"}, ours(func(o *options) { o.signUp = false })},
		"legacy off":           {[]string{"-legacy", "off"}, ours(func(o *options) { o.legacy.off, o.signUp = true, false })},
		"legacy off, and open": {[]string{"-legacy", "off", "-signup", "open"}, ours(func(o *options) { o.legacy.off = true })},
		"sunset": {[]string{"-legacy", "2027-01-31T00:00:00Z", "-signup", "open"}, ours(func(o *options) {
			o.legacy.sunset = time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC)
		})},
		"second factor": {[]string{"-require-2fa", "2027-01-31T00:00:00Z"}, ours(func(o *options) { o.factor = time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC) })},
		"evidence":      {[]string{"-keep-evidence"}, ours(func(o *options) { o.keepEvidence = true })},
		"no apps":       {[]string{"-no-apps"}, ours(func(o *options) { o.noApps = true })},
		"no apps, behind a proxy": {[]string{"-no-apps", "-addr", "127.0.0.1:80", "-url", "https://npm.acme.test/"}, ours(func(o *options) {
			o.noApps, o.addr, o.base = true, "127.0.0.1:80", "https://npm.acme.test/"
		})},
		"proxies": {[]string{"-trust-proxy", "127.0.0.1", "-trust-proxy", "::1", "-trust-proxy", "10.0.0.0/8", "-trust-proxy", "::ffff:192.0.2.1"}, ours(func(o *options) {
			for _, p := range []string{"127.0.0.1/32", "::1/128", "10.0.0.0/8", "192.0.2.1/32"} {
				o.proxies = append(o.proxies, netip.MustParsePrefix(p))
			}
		})},
		"proxies that write Forwarded": {[]string{"-forwarded", "-trust-proxy", "127.0.0.1"}, ours(func(o *options) {
			o.proxies, o.forwarded = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, true
		})},
		"issuers": {[]string{"-trust-issuer", "github=" + trust.GitHubURL, "-trust-issuer", "oidc=http://127.0.0.1:8080/ci"}, ours(func(o *options) {
			o.issuers = []trust.Issuer{{Kind: trust.KindGitHub, URL: trust.GitHubURL}, {Kind: trust.KindOIDC, URL: "http://127.0.0.1:8080/ci"}}
		})},
		"seeds": {[]string{"-seed", "alice:a:b", "-seed", "bob:c"}, ours(func(o *options) { o.seeds = []seed{{"alice", "a:b"}, {"bob", "c"}} })},
		"orgs": {[]string{"-org", "acme=alice", "-org", "evil.corp=bob,2fa"}, ours(func(o *options) {
			o.orgs = []orgChoice{{"acme", "alice", false}, {"evil.corp", "bob", true}}
		})},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			got, err := parseOptions(tt.args, &out)
			require.NoError(t, err, out.String())
			assert.Equal(t, tt.want, got)
			assert.Empty(t, out.String())
		})
	}
}

// No option is accepted and ignored: what is not served is refused, in words.
func TestOptionsRefused(t *testing.T) {
	for want, args := range map[string][]string{
		"must be sqlite:PATH, postgres://…, etcd":   {"-store", "file.db"},
		"-store etcd: must be etcd://host:port":     {"-store", "etcd://db.example"},
		"host:port,host:port,… and":                 {"-store", "etcd://a:1,,b:2"},
		"-store: must be":                           {"-store", "sqlite:"},
		`-legacy "maybe": must be`:                  {"-legacy", "maybe"},
		`flag -require-2fa: must be a time such as`: {"-require-2fa", "soon"},
		`-signup "ajar": must be`:                   {"-signup", "ajar"},
		"must be name:password":                     {"-seed", "alice"},
		`"acme" for flag -org: must be name=owner`:  {"-org", "acme"},
		`"Acme=alice" for flag -org: must be`:       {"-org", "Acme=alice"},
		`"acme=alice,3fa" for flag -org: must`:      {"-org", "acme=alice,3fa"},
		`"acme=alice," for flag -org: must`:         {"-org", "acme=alice,"},
		`"acme=" for flag -org: must`:               {"-org", "acme="},
		`"10.0.0.1/8" for flag -trust-proxy: must`:  {"-trust-proxy", "10.0.0.1/8"},
		`"proxy" for flag -trust-proxy: must`:       {"-trust-proxy", "proxy"},
		`"fe80::1%lo" for flag -trust-proxy: must`:  {"-trust-proxy", "fe80::1%lo"},
		"-forwarded: must come with -trust-proxy":   {"-forwarded"},
		`-trust-issuer: must be github, gitlab`:     {"-trust-issuer", trust.GitHubURL},
		"circleci or oidc, then = and the URL":      {"-trust-issuer", "travis=https://ci.example"},
		"such as github=https://token.actions":      {"-trust-issuer", "custom=https://ci.example"},
		"then = and the URL of the issuer":          {"-trust-issuer", "unknown=https://ci.example"},
		"the URL is empty":                          {"-trust-issuer", "github"},
		"http is for loopback hosts, use https":     {"-trust-issuer", "gitlab=http://gitlab.example"},
		"the URL must not end in a slash":           {"-trust-issuer", "gitlab=https://gitlab.example/"},
		"/org/ and the UUID of an organization":     {"-trust-issuer", "circleci=https://oidc.circleci.com"},
		`"https://ci.example" is there twice`:       {"-trust-issuer", "oidc=https://ci.example", "-trust-issuer", "gitlab=https://ci.example"},
		`-addr "4873": must be`:                     {"-addr", "4873"},
		`-url "npm.acme.test": must be`:             {"-url", "npm.acme.test"},
		"-no-apps: security keys belong to a":       {"-no-apps", "-addr", "127.0.0.1:80"},
		"and ::1 is an IP address":                  {"-no-apps", "-url", "https://[::1]:80/"},
		"and 10.0.0.1 is an IP address":             {"-no-apps", "-addr", "localhost:80", "-url", "http://10.0.0.1/"},
		`no arguments beside the flags: "serve"`:    {"serve"},
		"flag provided but not defined: -verbose":   {"-verbose"},
	} {
		t.Run(want, func(t *testing.T) {
			var out bytes.Buffer
			_, err := parseOptions(args, &out)
			assert.ErrorIs(t, err, errUsage)
			assert.Contains(t, out.String(), want)
		})
	}
	t.Run("a password", func(t *testing.T) {
		for _, at := range []string{"postgres:npm:swordfish@db.example", "etcd://npm:swordfish@db.example:1", "mysql://npm:swordfish@db.example"} {
			var out bytes.Buffer
			_, err := parseOptions([]string{"-store", at}, &out)
			assert.ErrorIs(t, err, errUsage)
			assert.NotContains(t, out.String(), "swordfish")
		}
	})
	t.Run("help", func(t *testing.T) {
		var out bytes.Buffer
		_, err := parseOptions([]string{"-h"}, &out)
		assert.ErrorIs(t, err, flag.ErrHelp)
		assert.Contains(t, out.String(), "-seed name:password")
	})
}
