package integration

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/stretchr/testify/require"
)

// patience is how long anything may take. Nothing is measured by it: it is there
// for what hangs.
const patience = 2 * time.Minute

// A Process is a client that runs.
type Process struct {
	t      testing.TB
	line   string // how it was started
	cmd    *exec.Cmd
	stdout syncBuffer
	stderr syncBuffer // empty on a terminal, where both are one
	tty    *os.File   // nil without a terminal
	seen   int        // how much of stdout was matched
	done   chan struct{}
	timer  *time.Timer
	result Result // once done is closed
}

// A Result is how a client ended.
type Result struct {
	Code   int // the exit status; -1 if a signal ended it
	Stdout string
	Stderr string
}

// Output is all that was printed.
func (r Result) Output() string { return r.Stdout + r.Stderr }

// Run runs a client in dir, without a terminal, to its end.
func (h *Home) Run(dir, name string, args ...string) Result {
	h.t.Helper()
	return h.Start(dir, name, args...).Wait()
}

// OK is Run for a client that must succeed.
func (h *Home) OK(dir, name string, args ...string) Result {
	h.t.Helper()
	r := h.Run(dir, name, args...)
	require.Zero(h.t, r.Code, "%s %s\n%s", name, strings.Join(args, " "), r.Output())
	return r
}

// Start starts a client in dir, without a terminal: what CI is to it.
func (h *Home) Start(dir, name string, args ...string) *Process {
	h.t.Helper()
	p := h.process(dir, name, args)
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.WaitDelay = time.Second // for grandchildren that keep the pipes open
	require.NoError(h.t, p.cmd.Start())
	p.watch(func() {})
	return p
}

// Terminal starts a client in dir with a terminal in front of it.
func (h *Home) Terminal(dir, name string, args ...string) *Process {
	h.t.Helper()
	p := h.process(dir, name, args)
	// Wide enough that no address is broken across lines.
	tty, err := pty.StartWithSize(p.cmd, &pty.Winsize{Rows: 60, Cols: 2000})
	require.NoError(h.t, err)
	p.tty = tty
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		_, _ = io.Copy(&p.stdout, tty) // ends in an error when the other side closes
	}()
	p.watch(func() {
		select {
		case <-drained:
		case <-time.After(time.Second):
		}
		tty.Close()
	})
	return p
}

func (h *Home) process(dir, name string, args []string) *Process {
	program := name
	if h.has(name) { // a program is looked for in the PATH of the tests
		program = filepath.Join(h.bin(), name)
	}
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Env = dir, h.environment()
	if dir == "" {
		cmd.Dir = h.Dir
	}
	return &Process{t: h.t, line: name + " " + strings.Join(args, " "), cmd: cmd, done: make(chan struct{})}
}

// watch waits for the process, and ends it with all its children when it has
// taken too long or the test is over.
func (p *Process) watch(drain func()) {
	p.timer = time.AfterFunc(patience, p.Kill)
	go func() {
		defer close(p.done)
		err := p.cmd.Wait()
		p.timer.Stop()
		drain()
		p.result = Result{Code: p.cmd.ProcessState.ExitCode(), Stdout: clean(p.stdout.String()), Stderr: clean(p.stderr.String())}
		if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok && !errors.Is(err, exec.ErrWaitDelay) {
			p.result.Stderr += "\n" + err.Error()
		}
	}()
	p.t.Cleanup(func() {
		select {
		case <-p.done:
		default:
			p.Kill()
			<-p.done
		}
	})
}

// Kill ends the process and all its children at once.
func (p *Process) Kill() { _ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) }

// Printed is what the process has printed so far.
func (p *Process) Printed() string { return clean(p.stdout.String()) + clean(p.stderr.String()) }

// Expect waits until the process has printed, after what was expected before, a
// text that matches pattern, and returns the match and its groups.
func (p *Process) Expect(pattern string) []string {
	p.t.Helper()
	m := p.Next(pattern)
	if m == nil {
		p.t.Fatalf("%s ended with %d and did not print %s:\n%s", p.line, p.result.Code, pattern, clean(p.stdout.String())+clean(p.stderr.String()))
	}
	return m
}

// Next is Expect for what may not come: it returns nil when the process has ended without it.
func (p *Process) Next(pattern string) []string {
	re := regexp.MustCompile(pattern)
	for {
		over := p.Ended() // then what came last is looked at once more
		if m := p.Match(re); m != nil || over {
			return m
		}
		select {
		case <-p.done:
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Match is Next for what may have come: it does not wait.
func (p *Process) Match(re *regexp.Regexp) (groups []string) {
	text := clean(p.stdout.String())
	m := re.FindStringSubmatchIndex(text[p.seen:])
	for i := 0; i < len(m); i += 2 {
		if m[i] < 0 {
			groups = append(groups, "")
			continue
		}
		groups = append(groups, text[p.seen+m[i]:p.seen+m[i+1]])
	}
	if m != nil {
		p.seen += m[1]
	}
	return groups
}

// Ended reports whether the process has ended.
func (p *Process) Ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// Type types a line at the terminal, and Enter, which is a carriage return: a program that
// reads keys knows no other. It waits until the program reads keys: some ask first and set the
// terminal then, which throws away what was typed before. A program that reads lines never does.
func (p *Process) Type(line string) {
	p.t.Helper()
	require.NotNil(p.t, p.tty, "there is no terminal")
	for until := time.Now().Add(3 * time.Second); echoes(p.tty) && time.Now().Before(until); {
		time.Sleep(10 * time.Millisecond)
	}
	_, err := io.WriteString(p.tty, line+"\r")
	require.NoError(p.t, err)
}

// Wait waits for the process to end.
func (p *Process) Wait() Result {
	<-p.done
	return p.result
}

// OK waits for the process to end, which it must do well.
func (p *Process) OK() Result {
	p.t.Helper()
	r := p.Wait()
	require.Zero(p.t, r.Code, "%s\n%s", p.line, r.Output())
	return r
}

var (
	control = regexp.MustCompile(`\x1b\][^\a\x1b]*(?:\a|\x1b\\)|\x1b\[[0-9;?]*[a-zA-Z]|\x1b[=>78]|[\r\a\x{2800}-\x{28ff}]`)
	partial = regexp.MustCompile(`\x1b(\[[0-9;?]*|\][^\a\x1b]*\x1b?)?$`) // the rest of it is on its way
)

// clean removes what is there to move a cursor, to paint and to link: escape sequences,
// carriage returns and the Braille dots of spinners.
func clean(s string) string {
	return control.ReplaceAllString(partial.ReplaceAllString(s, ""), "")
}
