//go:build darwin || freebsd || netbsd || openbsd || dragonfly

package integration

import "golang.org/x/sys/unix"

const getTermios = unix.TIOCGETA
