package main

import (
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/assert"
)

// AU-25
func TestLimitMemory(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	t.Setenv("GOMEMLIMIT", "1GiB") // the runtime has read it at its start
	debug.SetMemoryLimit(1 << 30)
	assert.EqualValues(t, 1<<30, limitMemory(), "the operator's")

	t.Setenv("GOMEMLIMIT", "")
	assert.EqualValues(t, 64<<20+runtime.GOMAXPROCS(0)*24<<20, limitMemory())
}
