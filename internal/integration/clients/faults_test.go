package clients_test

import (
	"slices"
	"strings"
)

// A fault is what a client does in place of what it should, whatever the registry answers.
type fault struct {
	clients  string // names with spaces between them
	commands string // names with semicolons and spaces between them
	shows    string // a pattern of what it prints, and of how it ends: [exit 1] [hangs]
	done     bool   // what was wanted is done all the same
	says     string // what users are told: what it does, and what to do
}

const newPNPM = "pnpm11 pnpm12"

var faults = []fault{
	{"yarn1", "logout", `Cleared login credentials`, false,
		"it forgets the name and the e-mail address alone. A token in `.npmrc` stays there and stays valid: end it with `npm logout`."},
	{"yarn1", "audit", `\[goes to registry\.yarnpkg\.com:443\]`, true,
		"it asks registry.yarnpkg.com, whichever registry is configured, and so tells it what is installed. Use `npm audit`."},
	{"yarn1", "owner add; owner rm", `Invalid package name\.`, false,
		"it takes the name of a scoped package for an invalid one. Use `npm owner`."},
	{"yarn2 yarn3 yarn4", "logout", `Registry authentication settings removed`, false,
		"it removes the token from `.yarnrc.yml`, but the session stays valid until it expires. `npm logout` ends it."},

	{newPNPM, "deprecate; owner add; owner add to an unscoped package; owner rm; access public; access restricted; access mfa; access grant; access revoke; team create; team add; team rm; team destroy",
		`You must be logged in to .*\[exit 0\] \[\] \[with --otp\]`, true,
		"it does not ask for a second factor, and says that one must be logged in. Give the command `--otp` and a code."},
	{"pnpm12", "token create; token revoke", `ERR_PNPM_TOKEN_UNAUTHORIZED.*\[exit 0\] \[\] \[with --otp\]`, true,
		"it does not ask for a second factor, and says that one must be logged in. Give the command `--otp` and a code."},
	{"pnpm12", "profile set; profile set password; profile disable-2fa", `Pass it with --otp <code>\..*\[exit 0\] \[\] \[with --otp\]`, true,
		"it does not ask for a second factor, and says that `--otp` takes a code."},
	{newPNPM, "access list collaborators", `invalid type: map, expected a sequence|data is not iterable`, false,
		"it does not understand the answer, which is npm's. Use `npm access list collaborators`."},
	{"npm9 npm10", "access grant; access revoke", `code EOTP.*\[exit 0\] \[\] \[with --otp\]`, true,
		"it does not ask for a second factor, and fails. Give the command `--otp` and a code."},
	{"vlt", "publish without a second factor", `Failed to publish package Full details written to`, false,
		"it prints no reason. What the registry has answered is in the file that it names."},
	{newPNPM, "login refused in the browser; publish refused at the page", `\[polls although it is over\]`, true,
		"it waits for five minutes, whatever the registry answers. End it with Ctrl-C."},
	{"vlt", "publish refused at the page", `Failed to publish package Full details written to`, true,
		"it prints no reason. What the registry has answered is in the file that it names."},
	{"vlt", "publish --otp with a wrong code", `\[waits for the page\]`, false,
		"it does not say that the code was wrong, and waits for the page, also without a terminal."},
	{"yarn2", "publish --otp; publish --otp with a wrong code", `One-time password:.*\[exit 0\]`, false,
		"it has no `--otp`. Without a terminal it asks for a code all the same, and ends with status 0 without having published. In CI, use a token that needs no second factor."},
	{"yarn3", "publish --otp with a wrong code", `open this url now.*\[exit 0\]`, false,
		"without a terminal it asks for another code all the same, and ends with status 0 without having published. In CI, use a token that needs no second factor."},
	{newPNPM, "publish --otp with a wrong code", `ERR_PNPM_OTP_NON_INTERACTIVE`, false,
		"without a terminal it does not say that the code was wrong, but that there is no terminal."},
}

// An end is how a client says in words of its own that it was refused. All others print the
// registry's sentence.
type end struct{ clients, commands, says string }

var ends = []end{
	{"yarn2", "install a private package of others", "Response code 404 (Not Found)"},
	{"yarn3", "install a private package of others", "The remote server failed to provide the requested resource"},
	{"yarn4", "install a private package of others", "Package not found"},
	{"pnpm9 pnpm10 pnpm11 pnpm12", "install a private package of others", "is not in the npm registry, or you have no permission to fetch it."},
	{"bun", "install a private package of others", "failed to resolve"},
	{"vlt", "install a private package of others", "failed to fetch manifest"},
	{"yarn4", "login refused in the browser", "HTTPError: Response code 410 (Gone)"},
	{"bun", "audit", "/-/npm/v1/security/advisories/bulk - 404"},
	{"vlt", "login refused in the browser", "Invalid response from web login endpoint"},
	{"npm6", "audit", "does not support audit requests."},
	{"yarn2", "audit", "Response code 404 (Not Found)"},
	{"pnpm9 pnpm10 pnpm11 pnpm12", "audit", "ERR_PNPM_AUDIT_ENDPOINT_NOT_EXISTS"},
	{"npm7", "publish --otp with a wrong code; publish with a wrong code at the terminal", "If you already provided a one-time password then it is likely that you either typoed"},
	{"yarn1", "publish --otp with a wrong code; publish with a wrong code at the terminal", "Incorrect one-time password."},
	{"yarn2", "publish with a wrong code at the terminal", "Invalid authentication (as <you>)"},
	{"yarn3 yarn4", "publish with a wrong code at the terminal", "Invalid OTP token"},
	{"yarn2 yarn3 yarn4", "login with a wrong password", "Invalid authentication (attempted as <you>)"},
}

// faultOf returns what a client does wrong with a command, nil if nothing.
func faultOf(client, command string) *fault {
	for i, f := range faults {
		if covers(f.clients, f.commands, client, command) {
			return &faults[i]
		}
	}
	return nil
}

// endOf returns what a client says in place of the registry's sentence, "" if nothing.
func endOf(client, command string) string {
	for _, e := range ends {
		if covers(e.clients, e.commands, client, command) {
			return e.says
		}
	}
	return ""
}

func covers(clients, commands, client, command string) bool {
	return slices.Contains(strings.Fields(clients), client) && slices.Contains(strings.Split(commands, "; "), command)
}
