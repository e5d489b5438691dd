// Package protocol says what a request to an npm registry asks for, as data:
//
//	op, err := protocol.Classify(r.Method, r.URL.EscapedPath())
//
// An [Operation] is an [Action] and what the path names. The other types are the words that
// requests, records and rules have in common: names, IDs, permissions and grants, roles and
// modes.
//
// # Failing
//
// The zero value of every type is nothing that anybody may do: an [Operation] of the
// [Unknown] action, a [Grant] on nothing, a mode that is not known. A text that is no word
// of an enumeration is an error and never its zero value by accident.
package protocol
