//go:build unix

package postgres_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/postgres"
)

// A cluster is a server of this test's own.
type cluster struct {
	t    *testing.T
	bin  string // where initdb and pg_ctl are
	dir  string
	port string
	cred *syscall.Credential // whom to run as; PostgreSQL refuses root
}

// newCluster makes the files of a server that does not run yet. It does not sync, so
// that stores must be told that they may lose what they wrote.
func newCluster(t *testing.T) *cluster {
	t.Helper()
	postgres.DSN(t) // whoever has no database does not want one to be started
	if testing.Short() {
		t.Skip("a server of its own takes seconds to make")
	}
	c := &cluster{t: t, dir: filepath.Join(t.TempDir(), "data")}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // not in Debian's PATH
	if path, err := exec.LookPath("initdb"); err == nil {
		found = append(found, path)
	}
	if len(found) == 0 {
		postgres.Lack(t, "initdb is not installed")
	}
	c.bin = filepath.Dir(found[len(found)-1])
	if os.Getuid() == 0 {
		c.becomePostgres()
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	_, c.port, err = net.SplitHostPort(listener.Addr().String())
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	c.run("initdb", "--auth=trust", "--username=postgres", "--no-sync", "--encoding=UTF8", "--locale=C")
	t.Cleanup(func() {
		_ = c.command("pg_ctl", "stop", "--mode=immediate", "--silent").Run() // it may not be running
	})
	return c
}

func (c *cluster) becomePostgres() {
	c.t.Helper()
	who, err := user.Lookup("postgres")
	if err != nil {
		postgres.Lack(c.t, "root cannot run a server, and there is no user postgres")
	}
	uid, err := strconv.Atoi(who.Uid)
	require.NoError(c.t, err)
	gid, err := strconv.Atoi(who.Gid)
	require.NoError(c.t, err)
	c.cred = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	require.NoError(c.t, os.Mkdir(c.dir, 0o700))
	require.NoError(c.t, os.Chown(c.dir, uid, gid))
	for dir := filepath.Dir(c.dir); dir != filepath.Clean(os.TempDir()) && dir != "/"; dir = filepath.Dir(dir) {
		require.NoError(c.t, os.Chmod(dir, 0o755)) // it must get there
	}
}

func (c *cluster) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(c.bin, name), append([]string{"--pgdata=" + c.dir}, args...)...)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.cred}
	return cmd
}

func (c *cluster) run(name string, args ...string) {
	c.t.Helper()
	// To a file: the server that pg_ctl leaves behind would keep a pipe open.
	out, err := os.Create(filepath.Join(c.t.TempDir(), "out"))
	require.NoError(c.t, err)
	defer out.Close()
	cmd := c.command(name, args...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		text, _ := os.ReadFile(out.Name())
		c.t.Fatalf("%s: %v\n%s", name, err, text)
	}
}

func (c *cluster) start() {
	c.t.Helper()
	c.run("pg_ctl", "start", "--wait", "--silent",
		fmt.Sprintf("--options=-F -h 127.0.0.1 -p %s -c unix_socket_directories=''", c.port))
}

func (c *cluster) stop() {
	c.t.Helper()
	c.run("pg_ctl", "stop", "--wait", "--mode=fast", "--silent")
}

func (c *cluster) dsn() string {
	return fmt.Sprintf("host=127.0.0.1 port=%s user=postgres dbname=postgres sslmode=disable", c.port)
}

// ST-07: reads refuse a server that became a replica, both through a new store and through one
// that knew it as the primary; once it is promoted they succeed. It is a real server that was
// shut down, made a standby, and restarted.
func TestReplica(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.start()
	_, err := postgres.Open(t.Context(), c.dsn(), postgres.Config{})
	assert.ErrorContains(t, err, "fsync is off")
	lax := postgres.Config{InsecureNotDurable: true}
	s, err := postgres.Open(t.Context(), c.dsn(), lax)
	require.NoError(t, err)
	defer s.Close()
	rev, err := s.Commit(t.Context(), put("a", "x", store.Absent))
	require.NoError(t, err)
	watch := make(chan error, 1)
	go func() { watch <- s.Watch(t.Context(), time.Millisecond, func(store.Change) {}) }()

	host := postgres.Connect(t, postgres.DSN(t)).Config()
	require.NoError(t, admin(t.Context(), c.dsn(), "CREATE DATABASE "+host.Database)) // for later

	c.stop()
	assert.Error(t, <-watch)
	_, err = s.Get(t.Context(), "a")
	require.Error(t, err, "there is no server")
	_, err = s.Commit(t.Context(), put("a", "y", rev))
	require.Error(t, err)
	assert.NotErrorIs(t, err, store.ErrUnknown)

	standby := filepath.Join(c.dir, "standby.signal")
	require.NoError(t, os.WriteFile(standby, nil, 0o600))
	if c.cred != nil {
		require.NoError(t, os.Chown(standby, int(c.cred.Uid), int(c.cred.Gid)))
	}
	c.start()
	_, err = postgres.Open(t.Context(), c.dsn(), lax)
	assert.ErrorContains(t, err, "it is a replica")
	_, err = s.Get(t.Context(), "a")
	assert.ErrorContains(t, err, "it is a replica")
	_, err = s.List(t.Context(), "", "", 10)
	assert.ErrorContains(t, err, "it is a replica")
	_, err = s.Commit(t.Context(), put("a", "y", rev))
	assert.ErrorContains(t, err, "it is a replica")
	assert.NotErrorIs(t, err, store.ErrUnknown)
	_, err = s.Sweep(t.Context(), time.Now(), 10)
	assert.ErrorContains(t, err, "it is a replica")
	assert.ErrorContains(t, s.Watch(t.Context(), time.Second, func(store.Change) { t.Error("called") }), "it is a replica")
	postgres.ReadsRefuse(t, c.dsn())

	// With several hosts, the one that is no replica is found.
	both := fmt.Sprintf("host=127.0.0.1,%s port=%s,%d user=%s dbname=%s password='%s' sslmode=disable",
		host.Host, c.port, host.Port, host.User, host.Database, host.Password)
	primary := open(t, both, postgres.NewSchema())
	_, err = primary.Commit(t.Context(), put("a", "x", store.Absent))
	assert.NoError(t, err)

	c.run("pg_ctl", "promote", "--wait", "--silent")
	_, err = s.Commit(t.Context(), put("a", "y", rev))
	assert.NoError(t, err)
	assert.Equal(t, "y", string(get(t, s, "a").Value))
}
