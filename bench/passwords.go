package main

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// refusedLogin: the password is wrong, or it is not checked now.
var refusedLogin = []string{"401", "503"}

// guessOwners is AU-20 at the owners who log in meanwhile, and at an account with a second factor.
func guessOwners(ctx context.Context, t *target, i int) (string, error) {
	name := factored(0)
	if i%2 == 0 {
		name = owner(t.Scene.Owners/2 + i/2%(t.Scene.Owners/2))
	}
	return login(mixed(i), name, fmt.Sprintf("guess %d", i), "").answered(ctx, t)
}

// guessNames is AU-20 at names that nobody has.
func guessNames(ctx context.Context, t *target, i int) (string, error) {
	return login(mixed(i), fmt.Sprintf("nobody-%d", i), "a guess", "").answered(ctx, t)
}

// mixed is IPv4 with and without a proxy, and IPv6.
func mixed(i int) source {
	switch i % 3 {
	case 0:
		return direct(100+i%1000, i)
	case 1:
		return anywhere(i)
	}
	return inSite(i)
}

// queueFrom is AU-21: names that nobody has, so that nothing but the network is counted.
func queueFrom(from func(int) source) func(context.Context, *target, int) (string, error) {
	return func(ctx context.Context, t *target, i int) (string, error) {
		return login(from(i), fmt.Sprintf("nobody-%d", i), "a guess", "").answered(ctx, t)
	}
}

func inNetwork(i int) source { return direct(77, i) }

// atHome is the /24 of the owners, and none of their addresses.
func atHome(i int) source { return direct(9, 1+i%200) }

func thousand(i int) source { return anywhere(i % 1000) }

// wrongCode is AU-24.
func wrongCode(ctx context.Context, t *target, i int) (string, error) {
	return login(mixed(i), factored(1), password, fmt.Sprintf("%06d", i)).answered(ctx, t)
}

// recovers has the owner of the account of AU-24 log in with recovery codes.
var recovers = extra{name: "recovery", every: time.Second, do: func(ctx context.Context, base string, s *scene, phase, i int) error {
	if i >= len(s.Recovery[phase]) {
		return errEnough
	}
	return login(direct(stranger-1, 0), factored(phase), password, s.Recovery[phase][i]).must(ctx, base, nil)
}}

// refusedFlood: a bearer that is none and a write without one are 401. To begin a login is allowed,
// its page sends who has denied it back to itself, and too many are 503.
var refusedFlood = []string{"200", "303", "401", "503"}

// flood is AU-22.
func flood(ctx context.Context, t *target, i int) (string, error) {
	from := mixed(i / 3)
	switch i % 3 {
	case 0:
		return call{from: from, method: http.MethodGet, path: "-/whoami", bearer: garbage()}.answered(ctx, t)
	case 1:
		return call{from: from, method: http.MethodPut, path: fmt.Sprintf("stolen-%d", i), body: map[string]string{"name": "stolen"}}.answered(ctx, t)
	}
	return denyLogin(ctx, t, from)
}
