// Package integration drives examples/registry with real clients, as the people
// who use a registry do. Its tests start the registry as a process of its own on
// a loopback port and run npm in a home folder that is made for the test.
//
//	registry := integration.Start(t, "-seed", "alice:correct horse")
//	home := integration.NewHome(t, registry.URL)
//	login := home.Terminal("npm", "login", "--auth-type=legacy")
//	login.Expect(`Username:`)
//	login.Type("alice")
//
// Nothing leaves the machine: the only registry that a client knows is the one
// under test.
package integration
