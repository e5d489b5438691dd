package integration

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// examples is where the programs under test are.
const examples = "github.com/npmauth/npmauth/examples/"

// Where [Build] put the programs.
var programsDir, registryProgram, clusterProgram string

// Build compiles the programs under test into dir. TestMain calls it once for all
// tests.
func Build(dir string) error {
	out, err := exec.Command("go", "build", "-o", dir+string(filepath.Separator), examples+"registry", examples+"cluster", examples+"compose", examples+"embed", examples+"hello", examples+"prefix").CombinedOutput()
	if err != nil {
		return fmt.Errorf("build the examples: %w\n%s", err, out)
	}
	programsDir = dir
	registryProgram, clusterProgram = filepath.Join(dir, "registry"), filepath.Join(dir, "cluster")
	return nil
}

// A Registry is examples/registry as a process of its own.
type Registry struct {
	URL  string // with the trailing slash
	Data string // its folder

	t       testing.TB
	program string
	args    []string
	clone   string // a clone of the repository, in which go run starts it; "": program does

	cmd *exec.Cmd
	log syncBuffer // standard error, of all its processes
	out syncBuffer // standard output
}

// Start runs a registry with a folder of its own on a free port, until the test
// ends. args are its other flags.
func Start(t testing.TB, args ...string) *Registry {
	t.Helper()
	return StartNodes(t, 1, args...)[0]
}

// StartNodes is Start for several processes that share one folder. They start at
// the same moment.
func StartNodes(t testing.TB, n int, args ...string) []*Registry {
	t.Helper()
	return start(t, n, registryProgram, args)
}

func start(t testing.TB, n int, program string, args []string) []*Registry {
	t.Helper()
	require.NotEmpty(t, program, "TestMain must call Build")
	data := t.TempDir()
	nodes := make([]*Registry, n)
	said := make([]<-chan string, n)
	for i := range nodes {
		r := &Registry{t: t, Data: data, program: program, args: args}
		nodes[i], said[i] = r, r.spawn("127.0.0.1:0")
		t.Cleanup(func() {
			if r.cmd != nil {
				assert.Zero(t, r.Stop(), "exit status after SIGTERM")
			}
			if t.Failed() {
				t.Logf("the registry's log:\n%s", r.log.String())
			}
			assert.NotRegexp(t, secretInLog, r.log.String(), "a secret is in the log")
		})
	}
	for i, r := range nodes {
		r.await(said[i])
	}
	return nodes
}

// RunClone runs the registry of a clone of the repository, with the command that the README has and the folder that this
// gives it, at addr, until the test ends.
func RunClone(t testing.TB, clone, addr string, command ...string) *Registry {
	t.Helper()
	r := &Registry{t: t, Data: filepath.Join(clone, "npm-data"), clone: clone, program: command[0], args: command[1:]}
	first := r.spawn(addr)
	t.Cleanup(func() {
		if r.cmd != nil {
			pid := r.cmd.Process.Pid
			r.Stop() // go run says 1 where it was interrupted, whatever the program says
			assert.ErrorIs(t, syscall.Kill(-pid, 0), syscall.ESRCH, "the registry still runs")
		}
		if t.Failed() {
			t.Logf("the registry's log:\n%s", r.log.String())
		}
		assert.NotRegexp(t, secretInLog, r.log.String(), "a secret is in the log")
	})
	r.await(first)
	return r
}

// signal sends a signal to the process, and to what it has started if go run has started the registry.
func (r *Registry) signal(s syscall.Signal) error {
	if r.clone == "" {
		return r.cmd.Process.Signal(s)
	}
	return syscall.Kill(-r.cmd.Process.Pid, s)
}

// compiling is how long go run may take.
const compiling = 10 * time.Minute

// Admin runs registry admin on the registry's folder, and returns what it prints.
func (r *Registry) Admin(args ...string) string {
	r.t.Helper()
	cmd := exec.CommandContext(r.t.Context(), r.program, slices.Concat([]string{"admin"}, args, []string{"-data", r.Data})...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(r.t, err, "%q: %s", args, stderr.String())
	return string(out)
}

// For returns the registry for a test that shares it with the one that started it: what
// fails through it fails t. It cannot be stopped.
func (r *Registry) For(t testing.TB) *Registry { return &Registry{URL: r.URL, Data: r.Data, t: t} }

// FreeAddr returns a loopback address that nobody listens at, for a registry that
// must know its address before it starts.
func FreeAddr(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	return listener.Addr().String()
}

// secretInLog is what no line of a log may have: tokens, sessions, their polls,
// and the passwords of our tests.
var secretInLog = regexp.MustCompile(`npms?_[A-Za-z0-9]{30}|` + regexp.QuoteMeta(Password) + `|` + databasePassword)

func (r *Registry) start(addr string) {
	r.t.Helper()
	r.await(r.spawn(addr))
}

// spawn starts the process and returns where its first line will come, or nothing
// if it ends before.
func (r *Registry) spawn(addr string) <-chan string {
	r.t.Helper()
	require.Nil(r.t, r.cmd, "already running")
	if r.clone == "" {
		r.cmd = exec.Command(r.program, slices.Concat([]string{"-addr", addr, "-data", r.Data}, r.args)...)
		r.cmd.Env = []string{"HOME=" + r.Data}
	} else {
		r.cmd = exec.Command(r.program, slices.Concat(r.args, []string{"-addr", addr})...)
		r.cmd.Dir, r.cmd.SysProcAttr = r.clone, &syscall.SysProcAttr{Setpgid: true}
	}
	r.cmd.Stderr = &r.log
	// A pipe of our own: the one that Cmd makes is closed under the reader.
	read, write, err := os.Pipe()
	require.NoError(r.t, err)
	r.cmd.Stdout = write
	require.NoError(r.t, r.cmd.Start())
	write.Close()

	first := make(chan string, 1)
	go func() {
		defer read.Close()
		defer close(first)
		lines := bufio.NewReader(io.TeeReader(read, &r.out))
		if line, err := lines.ReadString('\n'); err == nil {
			first <- line
		}
		_, _ = io.Copy(io.Discard, lines)
	}()
	return first
}

// await waits until the process that was spawned serves.
func (r *Registry) await(first <-chan string) {
	r.t.Helper()
	wait := patience
	if r.clone != "" {
		wait = compiling
	}
	select {
	case line, ok := <-first:
		if !ok {
			err := r.cmd.Wait()
			r.cmd = nil
			r.t.Fatalf("the registry did not start: %v\n%s", err, r.log.String())
		}
		fields := strings.Fields(line)
		r.URL = fields[len(fields)-1]
	case <-time.After(wait):
		r.Kill()
		r.t.Fatalf("the registry says nothing\n%s", r.log.String())
	}
	res, err := http.Get(r.URL + "-/ping")
	require.NoError(r.t, err)
	res.Body.Close()
	require.Equal(r.t, http.StatusOK, res.StatusCode, "ping")
}

// Greeting returns what the registry has printed so far.
func (r *Registry) Greeting() string { return r.out.String() }

// Log returns what the registry has logged so far.
func (r *Registry) Log() string { return r.log.String() }

// Kill ends the process as a power cut does: it gets to do nothing more.
func (r *Registry) Kill() {
	r.t.Helper()
	require.NoError(r.t, r.signal(syscall.SIGKILL))
	_ = r.cmd.Wait() // says that it was killed
	r.cmd = nil
}

// Restart starts a registry that was killed or stopped at the same address, with
// nothing but what it has on the disk.
func (r *Registry) Restart() {
	r.t.Helper()
	u, err := url.Parse(r.URL)
	require.NoError(r.t, err)
	r.start(u.Host)
}

// Terminate asks the process to end, which it does when it has answered what it
// was asked before.
func (r *Registry) Terminate() {
	r.t.Helper()
	end := syscall.SIGTERM
	if r.clone != "" {
		end = syscall.SIGINT // as Ctrl-C does: go run waits for the registry then
	}
	require.NoError(r.t, r.signal(end))
}

// Stop asks the process to end and returns its exit status.
func (r *Registry) Stop() int {
	r.t.Helper()
	r.Terminate()
	return r.Wait()
}

// Wait waits for a process that was asked to end, and returns its exit status.
func (r *Registry) Wait() int {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	stuck := context.AfterFunc(ctx, func() {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			_ = r.signal(syscall.SIGKILL)
		}
	})
	err := r.cmd.Wait()
	stuck()
	code := r.cmd.ProcessState.ExitCode()
	r.cmd = nil
	if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		r.t.Errorf("wait for the registry: %v", exit)
	}
	return code
}

// Refused runs a registry that must not start, and returns its exit status and
// what it says.
func Refused(t testing.TB, args ...string) (code int, says string) {
	t.Helper()
	return refused(t, registryProgram, args)
}

// ClusterRefused is Refused for a cluster.
func ClusterRefused(t testing.TB, args ...string) (code int, says string) {
	t.Helper()
	return refused(t, clusterProgram, append([]string{"-registry", registryProgram}, args...))
}

func refused(t testing.TB, program string, args []string) (code int, says string) {
	t.Helper()
	require.NotEmpty(t, program, "TestMain must call Build")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = t.TempDir()
	out, err := cmd.CombinedOutput()
	require.Error(t, err, "it has started and ended well")
	return cmd.ProcessState.ExitCode(), string(out)
}

// syncBuffer is a buffer that one goroutine fills while others look.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
