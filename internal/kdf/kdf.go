// Package kdf is argon2id, at a place where a test that is about something else can put a
// quick function.
package kdf

import (
	"sync/atomic"

	"golang.org/x/crypto/argon2"
)

// A Func computes the key of a password as [argon2.IDKey] does: memory is in KiB, and size is
// the length of the key in bytes.
type Func func(password, salt []byte, time, memory uint32, threads uint8, size uint32) []byte

var replaced atomic.Pointer[Func] // nil: by nothing

// Key is argon2id, unless a test has replaced it.
func Key(password, salt []byte, time, memory uint32, threads uint8, size uint32) []byte {
	if f := replaced.Load(); f != nil {
		return (*f)(password, salt, time, memory, threads, size)
	}
	return argon2.IDKey(password, salt, time, memory, threads, size)
}

// Replace puts f in the place of argon2id, and returns what puts back what was there. Only
// tests may call it.
func Replace(f Func) (restore func()) {
	before := replaced.Swap(&f)
	return func() { replaced.Store(before) }
}
