package integration

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// StartNginx runs nginx in front of the registry at upstream until the test ends, and returns its
// URL. lines are further directives of the location, each without the semicolon.
func StartNginx(t testing.TB, upstream string, lines ...string) string {
	t.Helper()
	Require(t, "nginx")
	to, err := url.Parse(upstream)
	require.NoError(t, err)
	dir, addr := t.TempDir(), FreeAddr(t)
	var temp strings.Builder
	for _, part := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&temp, "%s_temp_path %s; ", part, filepath.Join(dir, part))
	}
	conf := fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log stderr;
events { worker_connections 64; }
http {
	access_log off; merge_slashes off; client_max_body_size 0; %[2]s
	server { listen %[3]s; location / { proxy_pass http://%[4]s; proxy_http_version 1.1; %[5]s } }
}
`, dir, temp.String(), addr, to.Host, strings.Join(append(lines, ""), "; "))
	file := filepath.Join(dir, "nginx.conf")
	require.NoError(t, os.WriteFile(file, []byte(conf), 0o600))
	cmd := exec.Command("nginx", "-p", dir, "-e", "stderr", "-c", file)
	var log syncBuffer
	cmd.Stdout, cmd.Stderr = &log, &log
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		assert.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
		assert.NoError(t, cmd.Wait())
		if t.Failed() {
			t.Logf("the log of nginx:\n%s", log.String())
		}
	})
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
		}
		return err == nil
	}, patience, 10*time.Millisecond, "nginx does not answer")
	return "http://" + addr + to.Path
}
