package integration

import (
	"os"

	"golang.org/x/sys/unix"
)

// echoes reports whether a terminal shows what is typed by itself, as it does until a program
// has asked it for keys.
func echoes(tty *os.File) (yes bool) {
	conn, err := tty.SyscallConn()
	if err != nil {
		return false
	}
	_ = conn.Control(func(fd uintptr) {
		settings, err := unix.IoctlGetTermios(int(fd), getTermios)
		yes = err == nil && settings.Lflag&unix.ECHO != 0
	})
	return yes
}
