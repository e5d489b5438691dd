// Package store has the key-value interface of npmauth's storage backends, and what all backends
// share: tables, indexes, transactions and wrappers.
//
// Most programs open a backend (the nested modules store/sqlite, store/postgres and store/etcd,
// or [NewMemory] for a trial) and give it to npmauth, sealed with a key that is not in the
// database:
//
//	st, err := sqlite.Open("/var/lib/registry/auth.db")
//	…
//	sealed := store.Seal(st, key)
//
// # For packages that keep records
//
// A [Table] describes records and their indexes, and [Transact] changes any number of them in
// one Commit. The key of a credential is its digest, so that one Get finds it; a limit on a
// number of records needs a row of its own, because a List is not protected against keys that
// appear later.
//
// A caller that decides on rows first and writes later, perhaps much later, keeps their
// [Evidence] and gives it to [Tx.Expect]: the Commit then happens only if the rows have not
// changed. Events and mail belong into [Tx.After], which runs once, with the result.
//
// # For backends
//
// [Store] has three methods and its comment is the whole contract. Package storetest tests it.
// A backend calls [Validate], [ValidateKeys] and [ValidateList] first, so that the limits are
// the same everywhere. An optional ability is an interface of its own, [Sweeper] or [Watcher],
// which [As] finds through wrappers.
//
// # Wrappers
//
// [Seal] encrypts values, [Sub] shares an engine with others, [Observe] reports changes to
// caches. A wrapper has a method Unwrap() Store.
//
// # Moving
//
// [Copy] copies a store into another one: to change the backend, or to seal what was not
// sealed. CopyFrom of package subject calls it for npmauth's data.
package store
