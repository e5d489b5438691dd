//go:build race

package tarball_test

const raceEnabled = true // the detector slows what has no race in it tenfold
