// Package etcd keeps a [store.Store] in an etcd cluster: for several nodes that must survive
// the failure of any one, without a database.
//
//	st, err := etcd.Open(ctx, etcd.Config{
//		Endpoints: []string{"https://etcd-1.example:2379", "https://etcd-2.example:2379", "https://etcd-3.example:2379"},
//		TLS:       &tls.Config{RootCAs: ca, Certificates: []tls.Certificate{cert}},
//	})
//	…
//	defer st.Close()
//
// A program that has a client already calls [New].
//
// # Several nodes
//
// A majority of etcd's members agrees on every read and every Commit, so all nodes see the same
// state at once, whichever members they are connected to. A member that is cut off from the
// majority answers nothing: calls go to other members, and fail with their context, or after
// [Config.Timeout], when there are none. A Commit whose connection breaks, or whose time runs
// out, while it is on its way wraps [store.ErrUnknown]; it is never sent twice unless the first
// one was certainly refused.
//
// The clock of the process that sweeps counts a [store.Sweeper]'s hour, so keep clocks within
// minutes. No more than one node needs to sweep.
//
// # Durability
//
// A Commit that returned nil is on the disks of a majority. Do not run etcd with
// --unsafe-no-fsync.
//
// # Settings of the server
//
// The package needs etcd 3.6 or later (old releases report the progress of a watch too early),
// and these settings:
//
//   - --max-request-bytes=8388608. The largest Commit that a [store.Store] takes is
//     somewhat more than 4 MiB; at etcd's default, one beyond 1.5 MiB is refused, with
//     nothing written.
//   - --max-txn-ops of 128, the default, or more.
//   - --auto-compaction-mode=periodic --auto-compaction-retention=1h, or the like:
//     etcd keeps every old revision until it is compacted, and stops taking writes
//     when --quota-backend-bytes are used up. Nothing here reads old revisions, but
//     for a watch, which ends with [store.ErrBehind] if compaction overtakes it.
//
// # Access
//
// All keys are below [Config.Prefix]: no other program should write there. The package needs a
// role for that prefix alone, reading and writing. Use TLS with client certificates or a
// password; [store.Seal] hides the values from etcd and its backups.
//
// # Backups
//
// Back up with etcdctl snapshot save. A cluster that is restored without options continues its
// revisions from the snapshot, and so reuses some: a Commit prepared before could then meet its
// precondition by accident, and a cache take an old record for the new one. So stop every node
// that uses the store, restore with etcdutl snapshot restore --bump-revision 1000000000
// --mark-compacted, which skips those revisions, and start the nodes. Credentials that were
// revoked after the snapshot are valid until npmauth's Auth.Restored revokes them: call that
// first.
//
// # What is not used
//
// No leases: etcd prolongs them when the leader changes, and a row with a lease vanishes
// without regard to preconditions. No serializable reads: they may be old. No locks and no
// elections.
package etcd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"github.com/npmauth/npmauth/store"
)

const (
	defaultPrefix  = "npmauth/"
	defaultTimeout = 5 * time.Second
	maxPrefix      = 128 // bytes

	// How soon a dead connection is noticed. Servers refuse much more frequent pings.
	keepAliveTime    = 10 * time.Second
	keepAliveTimeout = 3 * time.Second
)

// Config configures what [Open] opens.
type Config struct {
	// Endpoints are the URLs of the cluster's members, all of them https or all of
	// them http. At least one.
	Endpoints []string

	// Prefix is what all keys in etcd begin with: printable ASCII that ends in a
	// slash, up to 128 bytes. Empty means "npmauth/".
	Prefix string

	// TLS is for https. Nil means the system's roots and no client certificate.
	TLS *tls.Config

	// Username and Password sign in to etcd's own access control. Both or none.
	Username, Password string

	// Timeout is how long a call waits for the cluster at most, if its context allows. Zero
	// means five seconds; negative is an error.
	Timeout time.Duration
}

// A Store is a [store.Store] in an etcd cluster. Make one with [Open] or [New].
type Store struct {
	prefix  string
	timeout time.Duration
	conn    *grpc.ClientConn
	kv      pb.KVClient
	close   func() error
}

// Open connects to a cluster, and reads from it once to check the connection.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	s, err := open(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("etcd: open: %w", err)
	}
	return s, nil
}

func open(ctx context.Context, cfg Config) (*Store, error) {
	if cfg.Prefix == "" {
		cfg.Prefix = defaultPrefix
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = defaultTimeout
	}
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	// The client's own context outlives this call, unless ctx ends during it.
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, end)
	client, err := clientv3.New(clientv3.Config{
		Context:              life,
		Endpoints:            cfg.Endpoints,
		TLS:                  cfg.TLS,
		Username:             cfg.Username,
		Password:             cfg.Password,
		DialTimeout:          cfg.Timeout, // for signing in
		DialKeepAliveTime:    keepAliveTime,
		DialKeepAliveTimeout: keepAliveTimeout,
		Logger:               zap.NewNop(), // the errors have what matters
	})
	if err != nil {
		end()
		return nil, ended(ctx, err)
	}
	s := newStore(client, cfg.Prefix, cfg.Timeout)
	s.close = sync.OnceValue(func() error {
		err := client.Close()
		end()
		if errors.Is(err, context.Canceled) {
			return nil // the client's way to say that it is closed
		}
		return err
	})
	if first := s.readPosition(ctx); first.err != nil {
		return nil, errors.Join(first.err, s.close())
	}
	if !stop() {
		return nil, errors.Join(ctx.Err(), s.close())
	}
	return s, nil
}

func (cfg *Config) validate() error {
	if len(cfg.Endpoints) == 0 {
		return errors.New("no Endpoints")
	}
	scheme := ""
	for _, endpoint := range cfg.Endpoints {
		u, err := url.Parse(endpoint)
		if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
			return fmt.Errorf("Endpoints: %q is not an http or https URL", endpoint)
		}
		if scheme != "" && u.Scheme != scheme {
			return errors.New("Endpoints: the client uses either http or https for all of them") // the first one's
		}
		scheme = u.Scheme
	}
	switch {
	case cfg.TLS != nil && scheme != "https":
		return errors.New("TLS is set and Endpoints are http")
	case (cfg.Username == "") != (cfg.Password == ""):
		return errors.New("Username and Password go together")
	case cfg.Timeout < 0:
		return errors.New("Timeout is negative")
	}
	return validPrefix(cfg.Prefix)
}

func validPrefix(prefix string) error {
	notPrintable := func(r rune) bool { return r < 0x20 || r > 0x7e }
	if !strings.HasSuffix(prefix, "/") || len(prefix) > maxPrefix || strings.ContainsFunc(prefix, notPrintable) {
		return fmt.Errorf("Prefix %q must be printable ASCII that ends in a slash, up to %d bytes", prefix, maxPrefix)
	}
	return nil
}

// New returns a Store below prefix ("" means "npmauth/") in the cluster that client is
// connected to, with a timeout of five seconds. It uses the client's connection, and neither
// its KV, which may have been wrapped, nor its limits. The caller still owns the client, and
// closes it after the last call.
func New(client *clientv3.Client, prefix string) (*Store, error) {
	if prefix == "" {
		prefix = defaultPrefix
	}
	if err := validPrefix(prefix); err != nil {
		return nil, fmt.Errorf("etcd: %w", err)
	}
	if client.ActiveConnection() == nil {
		return nil, errors.New("etcd: the client has no connection")
	}
	s := newStore(client, prefix, defaultTimeout)
	s.close = func() error { return nil }
	return s, nil
}

func newStore(client *clientv3.Client, prefix string, timeout time.Duration) *Store {
	conn := client.ActiveConnection()
	return &Store{prefix: prefix, timeout: timeout, conn: conn, kv: pb.NewKVClient(conn)}
}

// Close closes the connections of a Store that [Open] opened: every call that is under way or
// comes later is an error, except Close itself. It does nothing to a Store of [New].
func (s *Store) Close() error { return s.close() }

var _ interface {
	store.Store
	store.Sweeper
	store.Watcher
} = (*Store)(nil)
