//go:build race

package npmauth_test

const raceEnabled = true // the detector allocates
