package main

import (
	"fmt"
	"net/url"
	"strings"
)

// greeting returns the commands that a new user types next.
func greeting(base string, o options) string {
	w := new(strings.Builder)
	fmt.Fprintf(w, "\nThis is the first start. Next, in another terminal:\n\n")
	line := func(what, format string, args ...any) {
		fmt.Fprintf(w, "  # %s\n  %s\n\n", what, fmt.Sprintf(format, args...))
	}
	switch {
	case o.signUp:
		line("sign up, in a browser", "%s-/auth/signup", base) // npm 12 has no adduser
	case len(o.seeds) == 0:
		line("nobody can sign up here: stop, and start again with an account",
			"go run ./examples/registry -data %s -seed alice:a-long-password", o.data)
	}
	line("log in: npm prints the address of a page that asks for your name and password, or asks for them itself, and for an\n"+
		"  # e-mail address (npm 8)",
		"npm login --registry=%s", base)
	proof, next := "npm asks for a code, at a page, or by itself (npm 8). A code works once, and\n"+
		"  # the app has a new one every 30 seconds", "at a page or by itself, for the next code"
	if o.noApps {
		line("turn on two-factor authentication, which publishing takes: add a security key or a passkey, in a browser. Keep the\n"+
			"  # recovery codes", "%s-/auth/security", base)
		proof, next = "npm prints the address of a page that asks for the key", "at a page, for the key"
	} else {
		line("turn on two-factor authentication, which publishing takes: npm asks for your password, shows a secret for an\n"+
			"  # authenticator app, as a picture and in letters, and asks for the code that the app then shows. Keep the recovery codes",
			"npm profile enable-2fa auth-and-writes --registry=%s", base)
	}
	line("a package to publish, in a folder of its own", "mkdir hello-registry && cd hello-registry && npm init --yes")
	line("publish it: "+proof, "npm publish --registry=%s", base)
	line("install it, in a folder beside", "mkdir ../app && cd ../app && npm install hello-registry --registry=%s", base)
	line("make a token for CI: npm asks for your password, and then, "+next+". The token publishes\n"+
		"  # without a code, if npm is 11.6 or later: what older ones make still takes one",
		"npm token create --name=ci --packages-all --packages-and-scopes-permission=read-write --bypass-2fa --expires=7 --registry=%s", base)
	keys := ""
	if at, err := url.Parse(base); err == nil && !isIP(at.Hostname()) {
		keys = " (also with a security key)"
	}
	fmt.Fprintf(w, "%s in a browser says how to point Yarn, pnpm and Bun here. %s-/auth/ is for your account: tokens, sessions,\n"+
		"two-factor authentication%s, password.\n", base, base, keys)
	return w.String()
}
