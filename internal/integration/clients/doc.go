// Package clients drives every client of the npm registry through every command that concerns
// authentication, against examples/registry, and writes down what comes of it in docs/clients.md.
//
// Each cell of that table was observed: the client ran, and what it should have done was looked for
// on the registry by a request of its own. TestMatrix fails where a cell comes out otherwise than
// the document says, and names it; with -update, or NPMAUTH_UPDATE=1, it writes the document anew. Which
// commands there are and how each client writes them stands in commands_test.go, the clients' own
// faults in faults_test.go.
package clients
