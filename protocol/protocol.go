// Package protocol describes requests to an npm registry as data:
//
//	op, err := protocol.Classify(r.Method, r.URL.EscapedPath())
//
// An [Operation] is an [Action] and the names in the path. The other types are shared by
// requests, records and rules: names, IDs, permissions and grants, roles and modes.
//
// # Zero values
//
// The zero value of every type allows nothing: an [Operation] of the [Unknown] action, a
// [Grant] on nothing, an unknown mode. A text that is no word of an enumeration is an error and
// never its zero value.
package protocol
