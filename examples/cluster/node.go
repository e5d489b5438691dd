package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// How long a node that ended stays down: twice as long each time, until it has served.
const (
	minAway = time.Second
	maxAway = 30 * time.Second
)

// A node is a registry process, and its successor when it ends.
type node struct {
	name    string
	program string
	flags   []string
	log     *slog.Logger
	stderr  io.Writer
	ready   chan struct{} // closed when it serves for the first time

	mu   sync.Mutex
	addr string // "" while it does not serve; guarded by mu
	pid  int    // guarded by mu
	said string // after its first line; guarded by mu
}

func newNode(name, program string, flags []string, log *slog.Logger, stderr io.Writer) *node {
	return &node{
		name: name, program: program, flags: flags, log: log.With("node", name),
		stderr: &prefixer{w: stderr, prefix: name + ": "}, ready: make(chan struct{}),
	}
}

// at returns where the node serves, "" if it does not.
func (n *node) at() (addr string, pid int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.addr, n.pid
}

// greeting returns the text that the node printed when it first served.
func (n *node) greeting() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.said
}

// keep runs the node until ctx is done, and restarts it when it ends while serving is not done. A
// node that ends before it has served once is an error: it cannot be run.
func (n *node) keep(ctx, serving context.Context) error {
	away := minAway
	for {
		served, err := n.run(ctx)
		if ctx.Err() != nil || serving.Err() != nil { // Ctrl-C reaches the nodes, too
			return err
		}
		select {
		case <-n.ready:
		default:
			return fmt.Errorf("node %s does not start: %w", n.name, cmp.Or(err, errEnded))
		}
		if served {
			away = minAway
		}
		n.log.WarnContext(ctx, "a node has ended and will be restarted", "error", cmp.Or(err, errEnded), "in", away)
		select {
		case <-time.After(away):
		case <-serving.Done():
			return nil
		}
		away = min(2*away, maxAway)
	}
}

var errEnded = errors.New("it ended by itself")

// run runs the node once, to its end or until ctx is done, and reports whether it
// has served.
func (n *node) run(ctx context.Context) (served bool, err error) {
	addr, err := freeAddr()
	if err != nil {
		return false, err
	}
	cmd := exec.Command(n.program, slices.Concat([]string{"-addr", addr}, n.flags)...)
	cmd.Stderr = n.stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return false, err
	}
	if err := cmd.Start(); err != nil {
		return false, err
	}
	stopping := context.AfterFunc(ctx, func() {
		if cmd.Process.Signal(syscall.SIGTERM) != nil { // not on every system
			_ = cmd.Process.Kill()
		}
	})
	defer stopping()

	lines := bufio.NewReader(stdout)
	if _, err := lines.ReadString('\n'); err == nil { // the line says that it serves
		served = true
		n.serves(addr, cmd.Process.Pid, lines)
	}
	_, _ = io.Copy(io.Discard, lines) // to the end, which Wait must not come before
	n.gone()
	return served, cmd.Wait()
}

// serves records that the node serves at addr. The text that it printed with its first line was
// written with it, so it is there.
func (n *node) serves(addr string, pid int, lines *bufio.Reader) {
	rest, _ := lines.Peek(lines.Buffered())
	n.mu.Lock()
	n.addr, n.pid, n.said = addr, pid, string(rest)
	n.mu.Unlock()
	select {
	case <-n.ready:
		n.log.Info("a node is back", "addr", addr, "pid", pid)
	default:
		close(n.ready)
	}
}

func (n *node) gone() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.addr = ""
}

// freeAddr returns a loopback address that is free. Another process may take it before the node
// does; then the node ends, and the next one gets another.
func freeAddr() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}

// A prefixer writes whole lines, each with a prefix.
type prefixer struct {
	w      io.Writer
	prefix string
	rest   []byte
}

func (p *prefixer) Write(b []byte) (int, error) {
	p.rest = append(p.rest, b...)
	end := bytes.LastIndexByte(p.rest, '\n') + 1
	if end == 0 {
		return len(b), nil
	}
	out := new(strings.Builder)
	for line := range strings.Lines(string(p.rest[:end])) {
		out.WriteString(p.prefix + line)
	}
	p.rest = slices.Clone(p.rest[end:])
	if _, err := io.WriteString(p.w, out.String()); err != nil {
		return 0, err
	}
	return len(b), nil
}
