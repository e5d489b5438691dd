//go:build !race

package npmauth_test

const raceEnabled = false
