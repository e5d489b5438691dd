package main

import (
	"fmt"
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
	line("log in, in the browser", "npm login --registry=%s", base)
	line("turn on two-factor authentication, which publishing asks for",
		"npm profile enable-2fa auth-and-writes --registry=%s", base)
	line("publish, in a folder with a package.json, with the code that your app shows",
		"npm publish --otp=123456 --registry=%s", base)
	line("make a token for CI, which needs no code",
		"npm token create --name=ci --packages-all --packages-and-scopes-permission=read-write --bypass-2fa --expires=7 --otp=123456 --registry=%s", base)
	line("install it, anywhere", "npm install <package> --registry=%s", base)
	return w.String()
}
