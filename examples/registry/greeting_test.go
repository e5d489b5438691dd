package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestGreeting(t *testing.T) {
	const base = "http://localhost:4873/"
	open := greeting(base, options{signUp: true})
	for _, command := range []string{
		base + "-/auth/signup", "npm login --registry=" + base,
		"npm profile enable-2fa auth-and-writes", "npm publish", "npm token create", "npm install",
	} {
		assert.Contains(t, open, command)
	}
	closed := greeting(base, options{})
	assert.NotContains(t, closed, "signup")
	assert.Contains(t, closed, "-seed", "else nobody can come in")
	assert.NotContains(t, greeting(base, options{seeds: []seed{{"alice", "x"}}}), "-seed")
	assert.Contains(t, open, "also with a security key")
	assert.NotContains(t, greeting("http://127.0.0.1:4873/", options{signUp: true}), "security key", "it would belong to no domain")
	keys := greeting(base, options{noApps: true})
	assert.Contains(t, keys, base+"-/auth/security")
	assert.NotContains(t, keys, "enable-2fa", "which is refused")
	assert.NotContains(t, keys, "asks for a code")
}
