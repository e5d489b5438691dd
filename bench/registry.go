package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/npmauth/npmauth/credential"
)

const (
	password    = "eleven grey herons wade"
	newPassword = "nine brown owls listen"
)

// Where people have logged in before.
var home = direct(9, 0)

// How many people of each kind there are.
const (
	publishers  = 4 // each with a package, and a token that publishes
	factorUsers = 2 // each with a second factor

	ownersEvery = 500 * time.Millisecond // one logs in
	othersEvery = time.Second
)

// A scene is a registry's data, and what its people have.
type scene struct {
	program, dir string

	Owners    int // of two kinds: each logs in once
	Others    int
	Publisher []string // tokens
	Recovery  [factorUsers][]string
	Session   string // of the normal client
}

func owner(i int) string     { return fmt.Sprintf("owner-%d", i) }
func other(i int) string     { return fmt.Sprintf("other-%d", i) }
func publisher(i int) string { return fmt.Sprintf("publisher-%d", i%publishers) }
func factored(i int) string  { return fmt.Sprintf("factored-%d", i%factorUsers) }
func ownPackage(i int) string {
	return fmt.Sprintf("package-of-%s", publisher(i))
}

// build compiles the registry into dir.
func build(ctx context.Context, dir string) (program string, err error) {
	program = filepath.Join(dir, "registry")
	out, err := exec.CommandContext(ctx, "go", "build", "-o", program, "github.com/npmauth/npmauth/examples/registry").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the registry: %w\n%s", err, out)
	}
	return program, nil
}

// populate makes the data that every attack begins with, for two phases of that length.
func populate(ctx context.Context, program, dir string, length time.Duration) (s *scene, err error) {
	s = &scene{program: program, dir: filepath.Join(dir, "data"), Owners: 2 * (1 + int(length/ownersEvery)), Others: 2 * (1 + int(length/othersEvery))}
	var args []string
	seed := func(n int, name func(int) string) {
		for i := range n {
			args = append(args, "-seed", name(i)+":"+password)
		}
	}
	seed(s.Owners, owner)
	seed(s.Others, other)
	seed(publishers, publisher)
	seed(factorUsers, factored)
	seed(1, func(int) string { return "normal" })
	p, err := start(ctx, program, s.dir, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.end(os.Interrupt)) }()
	for i := range s.Owners {
		if _, err := signIn(ctx, p.url, home, owner(i), password, ""); err != nil {
			return nil, err
		}
	}
	if s.Session, err = signIn(ctx, p.url, home, "normal", password, ""); err != nil {
		return nil, err
	}
	for i := range factorUsers {
		if _, s.Recovery[i], _, err = enrol(ctx, p.url, factored(i)); err != nil {
			return nil, err
		}
	}
	for i := range publishers {
		session, _, code, err := enrol(ctx, p.url, publisher(i))
		if err != nil {
			return nil, err
		}
		var made struct{ Token string }
		err = call{from: home, method: http.MethodPost, path: "-/npm/v1/tokens", bearer: session, header: map[string]string{"npm-otp": code}, body: map[string]any{
			"password": password, "name": "ci", "packages_all": true, "bypass_2fa": true, "packages_and_scopes_permission": "read-write",
		}}.must(ctx, p.url, &made)
		if err != nil {
			return nil, err
		}
		s.Publisher = append(s.Publisher, made.Token)
		if err := publish(home, made.Token, ownPackage(i), "1.0.0", nil, packed(ownPackage(i), "1.0.0")).must(ctx, p.url, nil); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// enrol turns on the second factor of an account, and returns a session of it, its recovery codes
// and a code of the app that was not used.
func enrol(ctx context.Context, base, name string) (session string, recovery []string, code string, err error) {
	if session, err = signIn(ctx, base, home, name, password, ""); err != nil {
		return "", nil, "", err
	}
	var pending struct{ TFA string }
	err = profile(home, session, map[string]any{"tfa": map[string]string{"mode": "auth-and-writes", "password": password}}).must(ctx, base, &pending)
	if err != nil {
		return "", nil, "", err
	}
	_, key, _ := strings.Cut(pending.TFA, "secret=")
	key, _, _ = strings.Cut(key, "&")
	now := time.Now()
	first, err := totp.GenerateCode(key, now)
	if err != nil {
		return "", nil, "", err
	}
	var done struct{ TFA []string }
	if err := profile(home, session, map[string]any{"tfa": []string{first}}).must(ctx, base, &done); err != nil {
		return "", nil, "", err
	}
	// The registry takes the step after its own, too.
	code, err = totp.GenerateCode(key, now.Add(30*time.Second))
	return session, done.TFA, code, err
}

// A process is a registry that runs.
type process struct {
	url string
	cmd *exec.Cmd
	log *os.File
}

// open starts a registry with a copy of the data of s.
func (s *scene) open(ctx context.Context, dir string) (*process, error) {
	if err := os.CopyFS(dir, os.DirFS(s.dir)); err != nil {
		return nil, err
	}
	// The registry refuses files that others may read.
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		return os.Chmod(path, 0o600)
	})
	if err != nil {
		return nil, err
	}
	return start(ctx, s.program, dir)
}

func start(ctx context.Context, program, data string, args ...string) (*process, error) {
	if err := os.MkdirAll(data, 0o700); err != nil {
		return nil, err
	}
	log, err := os.Create(data + ".log") // with what was refused
	if err != nil {
		return nil, err
	}
	defer log.Close()
	args = append([]string{"-addr", "127.0.0.1:0", "-data", data, "-trust-proxy", proxies}, args...)
	p := &process{cmd: exec.CommandContext(ctx, program, args...), log: log}
	p.cmd.Stderr = log
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewReader(out)
	line, err := lines.ReadString('\n')
	fields := strings.Fields(line)
	if err != nil || len(fields) == 0 {
		_ = p.cmd.Wait()
		said, _ := os.ReadFile(log.Name())
		return nil, fmt.Errorf("the registry did not start: %w\n%s", err, said)
	}
	p.url = fields[len(fields)-1]
	go func() { _, _ = io.Copy(io.Discard, lines) }()
	return p, nil
}

// end ends the process by a signal.
func (p *process) end(sig os.Signal) error {
	if err := p.cmd.Process.Signal(sig); err != nil {
		return err
	}
	err := p.cmd.Wait()
	if sig == os.Kill {
		return nil // the error says so
	}
	return err
}

// resetPeak begins a new peak of the process's memory.
func (p *process) resetPeak() error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.cmd.Process.Pid), []byte("5"), 0)
}

// processor returns how long the process has used processors.
func (p *process) processor() time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), ") ") // behind the name
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * (time.Second / 100) // Linux counts in hundredths
}

// peak returns the greatest resident memory since resetPeak, in bytes.
func (p *process) peak() (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(text) {
		if fields := bytes.Fields(line); len(fields) == 3 && string(fields[0]) == "VmHWM:" {
			n, err := strconv.ParseInt(string(fields[1]), 10, 64)
			return n << 10, err
		}
	}
	return 0, errors.New("/proc tells no peak of the memory")
}

// garbage is a token that nobody has.
func garbage() string { return credential.New(credential.PrefixToken).Reveal() }
