package etcdtest_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"

	"github.com/npmauth/npmauth/internal/etcdtest"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/etcd"
	"github.com/npmauth/npmauth/store/storetest"
)

// conformance says how to come by stores with a prefix of their own each, in one
// cluster. The second handle of one talks to the members in another order.
func conformance(endpoints ...string) storetest.Config {
	var n atomic.Int32
	var prefixes sync.Map // of the stores that are open
	open := func(t *testing.T, prefix string, first int) store.Store {
		turned := append(append([]string{}, endpoints[first:]...), endpoints[:first]...)
		s := etcdtest.Open(t, prefix, turned...)
		prefixes.Store(store.Store(s), prefix)
		return s
	}
	return storetest.Config{
		Open: func(t *testing.T) store.Store { return open(t, fmt.Sprintf("test-%d/", n.Add(1)), 0) },
		Reopen: func(t *testing.T, s store.Store) store.Store {
			prefix, ok := prefixes.Load(s)
			require.True(t, ok)
			return open(t, prefix.(string), len(endpoints)-1)
		},
	}
}

// The contract, write skew (ST-15) and expiry to the microsecond (TK-09) among it.
func TestStore(t *testing.T) {
	storetest.Run(t, conformance(etcdtest.Start(t).Endpoint()))
}

func put(key, value string, at store.Revision) store.Op {
	return store.Op{Key: key, At: at, Action: store.Put, Value: []byte(value)}
}

func get(t *testing.T, s store.Store, key string) store.Item {
	t.Helper()
	items, err := s.Get(t.Context(), key)
	require.NoError(t, err)
	return items[0]
}

func commit(t *testing.T, s store.Store, ops ...store.Op) store.Revision {
	t.Helper()
	rev, err := s.Commit(t.Context(), ops...)
	require.NoError(t, err)
	return rev
}

// largest is a Commit at every limit of the contract at once.
func largest() []store.Op {
	ops := make([]store.Op, store.MaxOps)
	for i := range ops {
		key := fmt.Sprintf("%02d", i)
		ops[i] = store.Op{
			Key: key + strings.Repeat("k", store.MaxKey-len(key)), Action: store.Put,
			Value: make([]byte, store.MaxValue+store.Overhead), Expires: time.Unix(1<<30, 0),
		}
	}
	return ops
}

// The largest Commit and the largest Get fit, with the settings that the package
// asks for (ST-13).
func TestLargest(t *testing.T) {
	s := etcdtest.Open(t, strings.Repeat("p", 127)+"/", etcdtest.Start(t).Endpoint())
	commit(t, s, largest()...)
	items, err := s.List(t.Context(), "", "", store.MaxLimit)
	require.NoError(t, err)
	var keys []string
	for len(keys) < store.MaxKeys {
		for _, it := range items {
			keys = append(keys, it.Key)
		}
	}
	items, err = s.Get(t.Context(), keys[:store.MaxKeys]...)
	require.NoError(t, err)
	for _, it := range items {
		assert.Len(t, it.Value, store.MaxValue+store.Overhead)
	}
}

// At etcd's own settings a Commit can be larger than the server takes, as etcd sees
// it or as gRPC does: it is refused, clearly, and nothing is written (ST-13).
func TestTooLarge(t *testing.T) {
	m := etcdtest.Start(t, func(cfg *embed.Config) { cfg.MaxRequestBytes = embed.DefaultMaxRequestBytes })
	s := etcdtest.Open(t, "", m.Endpoint())
	for _, n := range []int{24, store.MaxOps} {
		_, err := s.Commit(t.Context(), largest()[:n]...)
		assert.ErrorContains(t, err, "--max-request-bytes", "%d ops", n)
		assert.NotErrorIs(t, err, store.ErrUnknown, "%d ops", n)
		assert.NotErrorIs(t, err, store.ErrConflict, "%d ops", n)
		assert.NotErrorIs(t, err, store.ErrInvalid, "%d ops", n)
	}
	items, err := s.List(t.Context(), "", "", 1)
	require.NoError(t, err)
	assert.Empty(t, items)
	commit(t, s, largest()[:23]...)
}

// A server with fewer operations a transaction than etcd's default refuses what it
// cannot do (ST-13).
func TestTooManyOps(t *testing.T) {
	s := etcdtest.Open(t, "", etcdtest.Start(t, func(cfg *embed.Config) { cfg.MaxTxnOps = 2*store.MaxOps - 1 }).Endpoint())
	_, err := s.Commit(t.Context(), largest()...)
	assert.ErrorContains(t, err, "too many operations")
	assert.NotErrorIs(t, err, store.ErrUnknown)
	items, err := s.List(t.Context(), "", "", 1)
	require.NoError(t, err)
	assert.Empty(t, items)
}

// What lies in etcd: below the prefix alone, each item as one row that says its
// format and expiry, and no lease on any of them (ST-14).
func TestLayout(t *testing.T) {
	m := etcdtest.Start(t)
	client := etcdtest.Client(t, m.Endpoint())
	s, err := etcd.New(client, "")
	require.NoError(t, err)
	rev := commit(t, s, put("plain", "v", store.Absent),
		store.Op{Key: "expiring", Action: store.Put, Value: []byte("w"), Expires: time.Now().Add(time.Hour)})
	all, err := client.Get(t.Context(), "", clientv3.WithFromKey())
	require.NoError(t, err)
	var keys []string
	for _, kv := range all.Kvs {
		keys = append(keys, string(kv.Key))
		assert.Zero(t, kv.Lease, "%s", kv.Key)
		assert.Equal(t, int64(rev), kv.ModRevision)
	}
	require.Len(t, keys, 3)
	assert.Equal(t, []string{"npmauth/k/expiring", "npmauth/k/plain"}, keys[:2])
	assert.Regexp(t, "^npmauth/x/[0-9a-f]{16}/expiring$", keys[2])
	leases, err := client.Leases(t.Context())
	require.NoError(t, err)
	assert.Empty(t, leases.Leases)
	require.NoError(t, s.Close())
	_, err = client.Get(t.Context(), "x")
	assert.NoError(t, err, "the client is its owner's to close")
}

// A row that someone else wrote, or a later release, is an error and not an item.
func TestForeignRow(t *testing.T) {
	m := etcdtest.Start(t)
	s := etcdtest.Open(t, "p/", m.Endpoint())
	_, err := etcdtest.Client(t, m.Endpoint()).Put(t.Context(), "p/k/a", "something else")
	require.NoError(t, err)
	_, err = s.Get(t.Context(), "a")
	assert.Error(t, err)
	_, err = s.List(t.Context(), "", "", 1)
	assert.Error(t, err)
}

// Stores with different prefixes, one the beginning of the other, do not meet.
func TestPrefixes(t *testing.T) {
	m := etcdtest.Start(t)
	a, b := etcdtest.Open(t, "a/", m.Endpoint()), etcdtest.Open(t, "a/a/", m.Endpoint())
	old := time.Now().Add(-2 * store.SweepGrace)
	commit(t, a, store.Op{Key: "one", Action: store.Put, Expires: old})
	commit(t, b, store.Op{Key: "two", Action: store.Put, Expires: old})
	n, err := a.Sweep(t.Context(), time.Now(), 100)
	require.NoError(t, err)
	assert.Equal(t, 1, n)
	assert.False(t, get(t, a, "one").Exists())
	assert.True(t, get(t, b, "two").Exists())
	items, err := a.List(t.Context(), "", "", 10)
	require.NoError(t, err)
	assert.Empty(t, items)
}

// A wrong password, and a role that may not write, are refused with nothing unknown;
// a role for the prefix is enough, and a session that the server forgot begins anew.
func TestAccess(t *testing.T) {
	m := etcdtest.Start(t)
	admin := etcdtest.Client(t, m.Endpoint())
	ctx := t.Context()
	_, err := admin.UserAdd(ctx, "root", "root-password")
	require.NoError(t, err)
	_, err = admin.UserGrantRole(ctx, "root", "root")
	require.NoError(t, err)
	for user, permission := range map[string]clientv3.PermissionType{
		"writer": clientv3.PermissionType(clientv3.PermReadWrite), "reader": clientv3.PermissionType(clientv3.PermRead),
	} {
		_, err = admin.RoleAdd(ctx, user)
		require.NoError(t, err)
		_, err = admin.RoleGrantPermission(ctx, user, "npmauth/", clientv3.GetPrefixRangeEnd("npmauth/"), permission)
		require.NoError(t, err)
		_, err = admin.UserAdd(ctx, user, user+"-password")
		require.NoError(t, err)
		_, err = admin.UserGrantRole(ctx, user, user)
		require.NoError(t, err)
	}
	_, err = admin.AuthEnable(ctx)
	require.NoError(t, err)

	cfg := etcd.Config{Endpoints: []string{m.Endpoint()}, Username: "writer", Password: "wrong-password"}
	_, err = etcd.Open(ctx, cfg)
	require.ErrorContains(t, err, "authentication failed")
	assert.NotContains(t, err.Error(), cfg.Password)
	_, err = etcd.Open(ctx, etcd.Config{Endpoints: cfg.Endpoints})
	require.Error(t, err, "nobody")

	cfg.Password = "writer-password"
	s := etcdtest.OpenConfig(t, cfg)
	ops := []store.Op{put("a", "1", store.Absent), {Key: "b", Action: store.Put, Expires: time.Now().Add(-2 * store.SweepGrace)}}
	commit(t, s, ops...)
	commit(t, s, store.Op{Key: "none"}, store.Op{Key: "a", At: get(t, s, "a").Revision})
	n, err := s.Sweep(ctx, time.Now(), 10)
	require.NoError(t, err)
	assert.Equal(t, 1, n)
	items, err := s.List(ctx, "", "", store.MaxLimit)
	require.NoError(t, err)
	assert.Len(t, items, 1)
	w := watch(t, s, every)
	commit(t, s, put("c", "1", store.Absent))
	assert.True(t, w.until(t)["c"])

	cfg.Username, cfg.Password = "reader", "reader-password"
	reader := etcdtest.OpenConfig(t, cfg)
	assert.True(t, get(t, reader, "a").Exists())
	_, err = reader.Commit(ctx, put("a", "2", store.Any))
	assert.ErrorContains(t, err, "permission denied")
	assert.NotErrorIs(t, err, store.ErrUnknown)

	cfg.Username, cfg.Password, cfg.Prefix = "writer", "writer-password", "other/"
	_, err = etcd.Open(ctx, cfg)
	assert.ErrorContains(t, err, "permission denied", "another prefix")

	// The server forgets its sessions when it is started anew.
	m.Kill()
	m.Restart(t)
	commit(t, s, put("a", "again", store.Any))
	assert.Equal(t, "again", string(get(t, s, "a").Value))
}
