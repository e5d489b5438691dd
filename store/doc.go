// Package store is where npmauth keeps what it owns: a small key-value
// interface for backends, and everything above it that is written once.
//
// Most programs open a backend (the nested modules store/sqlite and
// store/postgres, or [NewMemory] for a trial) and hand it to npmauth, sealed with
// a key that is not in the database:
//
//	st, err := sqlite.Open("/var/lib/registry/auth.db")
//	…
//	sealed := store.Seal(st, key)
//
// # For packages that keep records
//
// A [Table] describes records and their indexes, [Transact] changes any number
// of them in one Commit. Credentials lie under their digest, so that one Get
// finds them; a limit on how many there are of something is a row of its own,
// because no List is protected against what appears after it.
//
// Whoever decides on rows first and writes later, perhaps much later, keeps their
// [Evidence] and hands it to [Tx.Expect]: the Commit then happens only if the rows
// are still what was decided on. Events and mail belong into [Tx.After], which learns
// how it ended, once.
//
// # For backends
//
// [Store] has three methods and its comment is the whole contract. Package
// storetest proves it. A backend calls [Validate], [ValidateKeys] and
// [ValidateList] first, so that the limits are the same everywhere. What only
// some backends can do is an interface of its own, [Sweeper] or [Watcher], which
// [As] finds through wrappers.
//
// # Wrappers
//
// [Seal] encrypts values, [Sub] shares an engine with others, [Observe] tells
// caches what changed. A wrapper has a method Unwrap() Store.
package store
