package main

import (
	"os"
	"runtime"
	"runtime/debug"
)

// The memory that limitMemory leaves to the process, in bytes: for the bodies and documents that are
// under way, and for each processor a password that is hashed, which takes 19 MiB.
const (
	memoryForAll       = 64 << 20
	memoryForProcessor = 24 << 20
)

// limitMemory has the garbage collector keep the process below a limit while that is possible, unless
// GOMEMLIMIT is set, and returns the limit. Without one the heap grows to twice what is in use, and so
// what strangers can have it hold would count twice.
func limitMemory() int64 {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryForAll + memoryForProcessor*int64(runtime.GOMAXPROCS(0)))
	}
	return debug.SetMemoryLimit(-1)
}
