package integration

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// databasePassword is that of the server's superuser, and must not be in a log.
const databasePassword = "swordfish-in-the-dsn"

// A Postgres is a server of the tests' own, with a folder that is gone when it is.
type Postgres struct {
	bin  string // where its programs are
	dir  string
	port string
	as   *syscall.Credential // it does not run as root; nil: as we do
	cmd  *exec.Cmd           // nil while it is stopped
	log  syncBuffer
}

// StartPostgres starts a server for one test.
func StartPostgres(t testing.TB) *Postgres {
	t.Helper()
	p, err := newPostgres(t)
	require.NoError(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the log of Postgres:\n%s", p.log.String())
		}
		require.NoError(t, p.remove())
	})
	return p
}

// shared is the server that tests share which need no more than a database.
var shared struct {
	sync.Mutex
	*Postgres // nil: nobody has needed it yet
}

// SharedPostgres returns a server that runs until [StopShared]. Nobody may stop it.
func SharedPostgres(t testing.TB) *Postgres {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.Postgres == nil {
		p, err := newPostgres(t)
		require.NoError(t, err)
		shared.Postgres = p
	}
	return shared.Postgres
}

// StopShared ends what outlives single tests. TestMain calls it after them.
func StopShared() error {
	shared.Lock()
	defer shared.Unlock()
	if shared.Postgres == nil {
		return nil
	}
	p := shared.Postgres
	shared.Postgres = nil
	return p.remove()
}

func newPostgres(t testing.TB) (p *Postgres, err error) {
	t.Helper()
	p = &Postgres{bin: postgresPrograms(t)}
	if os.Geteuid() == 0 {
		if p.as, err = postgresUser(); err != nil {
			return nil, err
		}
	}
	if p.dir, err = os.MkdirTemp("", "npmauth-postgres-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.remove())
		}
	}()
	_, p.port, _ = net.SplitHostPort(FreeAddr(t))
	secret := filepath.Join(p.dir, "password")
	if err := os.WriteFile(secret, []byte(databasePassword), 0o600); err != nil {
		return nil, err
	}
	if p.as != nil {
		for _, path := range []string{p.dir, secret} {
			if err := os.Chown(path, int(p.as.Uid), int(p.as.Gid)); err != nil {
				return nil, err
			}
		}
	}
	init := p.command("initdb", "-D", p.data(), "-U", "postgres", "-A", "scram-sha-256", "--pwfile", secret, "--no-instructions", "--no-sync", "-E", "UTF8", "--locale=C")
	if out, err := init.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return p, p.Start()
}

// postgresPrograms returns the folder with the programs of the newest Postgres
// server, which distributions do not put where others are.
func postgresPrograms(t testing.TB) string {
	t.Helper()
	folders, _ := filepath.Glob("/usr/lib/postgresql/*/bin") // Debian's
	version := func(folder string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(folder)))
		return n
	}
	slices.SortFunc(folders, func(a, b string) int { return version(b) - version(a) })
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			folders = append(folders, filepath.Dir(path))
		}
	}
	for _, folder := range folders {
		if !slices.ContainsFunc([]string{"initdb", "postgres", "pg_isready", "createdb"}, func(name string) bool {
			_, err := exec.LookPath(filepath.Join(folder, name))
			return err != nil
		}) {
			return folder
		}
	}
	missing(t, "postgres", false)
	return ""
}

// postgresUser is whom a server runs as that root starts.
func postgresUser() (*syscall.Credential, error) {
	u, err := user.Lookup("postgres")
	if err != nil {
		if u, err = user.Lookup("nobody"); err != nil {
			return nil, err
		}
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, err
}

func (p *Postgres) data() string { return filepath.Join(p.dir, "data") }

func (p *Postgres) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(p.bin, name), args...)
	cmd.Dir = p.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "HOME=" + p.dir, "PGPASSWORD=" + databasePassword}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.as, Setpgid: true}
	return cmd
}

// Start starts the server and waits until it answers.
func (p *Postgres) Start() error {
	p.cmd = p.command("postgres", "-D", p.data(), "-p", p.port, "-k", p.dir,
		"-c", "listen_addresses=127.0.0.1", "-c", "max_connections=200")
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	if err := p.cmd.Start(); err != nil {
		p.cmd = nil
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for p.command("pg_isready", "-q", "-h", "127.0.0.1", "-p", p.port, "-U", "postgres").Run() != nil {
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("Postgres does not answer:\n%s", p.log.String()), p.end(syscall.SIGQUIT))
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

// Stop ends the server in good order, without waiting for clients.
func (p *Postgres) Stop() error { return p.end(syscall.SIGINT) }

// Crash ends the server at once, so that it has to recover when it starts again.
func (p *Postgres) Crash() error { return p.end(syscall.SIGQUIT) }

func (p *Postgres) end(how syscall.Signal) error {
	if p.cmd == nil {
		return nil
	}
	err := p.cmd.Process.Signal(how)
	stuck := time.AfterFunc(patience, func() { _ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) })
	_ = p.cmd.Wait() // an exit status after SIGQUIT is none to complain of
	stuck.Stop()
	p.cmd = nil
	return err
}

func (p *Postgres) remove() error { return errors.Join(p.Crash(), os.RemoveAll(p.dir)) }

// Database makes an empty database and returns its connection string.
func (p *Postgres) Database(t testing.TB) string {
	t.Helper()
	name := "npm_" + strings.ToLower(rand.Text())
	out, err := p.command("createdb", "-h", "127.0.0.1", "-p", p.port, "-U", "postgres", "-T", "template0", name).CombinedOutput()
	require.NoError(t, err, "%s", out)
	u := url.URL{Scheme: "postgres", User: url.UserPassword("postgres", databasePassword), Host: p.Addr(), Path: "/" + name, RawQuery: "sslmode=disable"}
	return u.String()
}

// Addr is where the server listens.
func (p *Postgres) Addr() string { return net.JoinHostPort("127.0.0.1", p.port) }

// Through returns a connection string of [Postgres.Database] that goes by a link.
func (p *Postgres) Through(dsn string, l *Link) string {
	return strings.Replace(dsn, "@"+p.Addr()+"/", "@"+l.Addr+"/", 1)
}
