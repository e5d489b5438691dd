// Package etcdtest runs etcd inside the test's process: one node, or a cluster of
// three whose members can be stopped, killed, cut off and started again. It is a
// module of its own, so that no one else has the server among its requirements.
//
// The servers run with the settings that store/etcd asks for, but do not sync
// their files: what is tested is not the disk.
package etcdtest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"

	"github.com/npmauth/npmauth/store/etcd"
)

// patience is how long a server may take to start, or a cluster to find a leader,
// on a machine that is busy with other things.
const patience = time.Minute

// Start starts one node and stops it when the test ends. What the functions in tune
// change is changed before it starts.
func Start(t testing.TB, tune ...func(*embed.Config)) *Member {
	t.Helper()
	return start(t, 1, tune).Members[0]
}

// StartCluster starts a cluster of three, and stops it when the test ends.
func StartCluster(t testing.TB, tune ...func(*embed.Config)) *Cluster {
	t.Helper()
	return start(t, 3, tune)
}

// start tries again with other ports where one was taken by someone else meanwhile.
func start(t testing.TB, members int, tune []func(*embed.Config)) *Cluster {
	t.Helper()
	for tries := 1; ; tries++ {
		c := newCluster(t, members, tune)
		err := c.start()
		if err == nil {
			t.Cleanup(func() { c.each((*Member).Kill) })
			return c
		}
		c.each((*Member).Kill)
		if tries == 5 || !taken(err) {
			require.NoError(t, err, "etcd does not start")
		}
	}
}

func taken(err error) bool { return strings.Contains(err.Error(), "address already in use") }

func newCluster(t testing.TB, members int, tune []func(*embed.Config)) *Cluster {
	t.Helper()
	c := &Cluster{}
	var initial []string
	for i := range members {
		cfg := embed.NewConfig()
		cfg.Name = fmt.Sprint("member-", i)
		cfg.Dir = t.TempDir()
		peer, client := loopback(t), loopback(t)
		cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
		cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
		cfg.TickMs, cfg.ElectionMs = 50, 500
		cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
		cfg.UnsafeNoFsync = true
		cfg.MaxRequestBytes = 8 << 20
		cfg.BcryptCost = 4
		initial = append(initial, cfg.Name+"="+peer.String())
		for _, f := range tune {
			f(cfg)
		}
		c.Members = append(c.Members, &Member{cluster: c, cfg: cfg})
	}
	for _, m := range c.Members {
		m.cfg.InitialCluster = strings.Join(initial, ",")
	}
	return c
}

// loopback returns an address that is free, as far as can be told: below those that
// systems give to whoever asks for any.
func loopback(t testing.TB) url.URL {
	t.Helper()
	for range 1000 {
		addr := fmt.Sprint("127.0.0.1:", 20000+rand.IntN(12000))
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", addr)
		if err == nil {
			require.NoError(t, l.Close())
			return url.URL{Scheme: "http", Host: addr}
		}
	}
	require.FailNow(t, "no port is free")
	return url.URL{}
}

// Open opens a store below prefix with these endpoints, and closes it when the test
// ends.
func Open(t testing.TB, prefix string, endpoints ...string) *etcd.Store {
	t.Helper()
	return OpenConfig(t, etcd.Config{Endpoints: endpoints, Prefix: prefix})
}

// OpenConfig opens a store and closes it when the test ends.
func OpenConfig(t testing.TB, cfg etcd.Config) *etcd.Store {
	t.Helper()
	s, err := etcd.Open(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// Client returns a client of etcd's own, and closes it when the test ends.
func Client(t testing.TB, endpoints ...string) *clientv3.Client {
	t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: endpoints, Logger: zap.NewNop()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}
