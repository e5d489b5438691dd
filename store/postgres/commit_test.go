package postgres_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/postgres"
)

// The ways in which pgx can send a batch. It reads the answers in different ways, too.
var modes = []string{"cache_statement", "cache_describe", "exec", "simple_protocol"}

// What a proxy does with the next data of a client.
const (
	pass      = iota
	lose      // the connection breaks and nothing of it arrives
	lostReply // the connection breaks when the server has answered, and nothing of that arrives
)

// A proxy stands between a store and its server and breaks connections. Each of them
// breaks once: the one that replaces it works.
type proxy struct {
	listener net.Listener
	network  string // of the server
	addr     string
	fault    atomic.Int32
	conns    sync.WaitGroup

	mu   sync.Mutex
	open map[net.Conn]struct{} // guarded by mu
}

// newProxy returns a proxy and the connection string that leads through it.
func newProxy(t *testing.T, dsn string) (*proxy, string) {
	t.Helper()
	config, err := pgx.ParseConfig(dsn)
	require.NoError(t, err)
	if config.TLSConfig != nil {
		postgres.Lack(t, "what is encrypted cannot be cut where it matters")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{listener: listener, open: map[net.Conn]struct{}{}}
	p.network, p.addr = "tcp", net.JoinHostPort(config.Host, fmt.Sprint(config.Port))
	if strings.HasPrefix(config.Host, "/") {
		p.network, p.addr = "unix", fmt.Sprintf("%s/.s.PGSQL.%d", config.Host, config.Port)
	}
	p.conns.Go(p.serve)
	t.Cleanup(func() {
		_ = listener.Close() // some tests have closed it
		p.breakAll()
		p.conns.Wait()
	})
	_, port, err := net.SplitHostPort(listener.Addr().String())
	require.NoError(t, err)
	return p, postgres.With(postgres.With(dsn, "host", "127.0.0.1"), "port", port)
}

func (p *proxy) serve() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial(p.network, p.addr)
		if err != nil {
			_ = client.Close()
			continue
		}
		p.mu.Lock()
		p.open[client], p.open[server] = struct{}{}, struct{}{}
		p.mu.Unlock()
		var deaf atomic.Bool
		p.conns.Go(func() { p.forward(client, server, &deaf) })
		p.conns.Go(func() { p.back(client, server, &deaf) })
	}
}

// breakAll breaks the connections that are open.
func (p *proxy) breakAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.open {
		_ = conn.Close()
	}
	clear(p.open)
}

func (p *proxy) end(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range conns {
		_ = conn.Close()
		delete(p.open, conn)
	}
}

func (p *proxy) forward(client, server net.Conn, deaf *atomic.Bool) {
	defer p.end(client, server)
	buf := make([]byte, 1<<20)
	for {
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		if !deaf.Load() {
			switch fault := p.fault.Swap(pass); fault {
			case lose:
				return
			case lostReply:
				deaf.Store(true)
			}
		}
		if _, err := server.Write(buf[:n]); err != nil {
			return
		}
	}
}

// readyForQuery is the end of every answer.
var readyForQuery = []byte{'Z', 0, 0, 0, 5}

func (p *proxy) back(client, server net.Conn, deaf *atomic.Bool) {
	defer p.end(client, server)
	buf := make([]byte, 1<<20)
	for {
		n, err := server.Read(buf)
		if err != nil {
			return
		}
		if deaf.Load() {
			if bytes.Contains(buf[:n], readyForQuery) {
				return
			}
			continue
		}
		if _, err := client.Write(buf[:n]); err != nil {
			return
		}
	}
}

func put(key, value string, at store.Revision) store.Op {
	return store.Op{Key: key, At: at, Action: store.Put, Value: []byte(value)}
}

func get(t testing.TB, s store.Store, key string) store.Item {
	t.Helper()
	items, err := s.Get(t.Context(), key)
	require.NoError(t, err)
	return items[0]
}

// ST-03: when the connection breaks during a Commit, it may have happened. A retry at the known
// revision does nothing twice.
func TestConnectionCut(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) { connectionCut(t, postgres.With(postgres.DSN(t), "default_query_exec_mode", mode)) })
	}
}

func connectionCut(t *testing.T, dsn string) {
	p, dsn := newProxy(t, dsn)
	s := open(t, dsn, postgres.NewSchema())
	rev, err := s.Commit(t.Context(), put("n", "", store.Absent))
	require.NoError(t, err)

	for name, tt := range map[string]struct {
		fault    int32
		happened bool
	}{
		"before the server had it":        {lose, false},
		"before the answer came":          {lostReply, true},
		"before the server had it, again": {lose, false},
	} {
		t.Run(name, func(t *testing.T) {
			before := get(t, s, "n")
			p.fault.Store(tt.fault)
			_, err := s.Commit(t.Context(), put("n", string(before.Value)+"x", before.Revision), put(name, "", store.Absent))
			require.ErrorIs(t, err, store.ErrUnknown)
			assert.NotErrorIs(t, err, store.ErrConflict)
			assert.EqualValues(t, pass, p.fault.Load(), "the fault struck")

			assert.Equal(t, tt.happened, get(t, s, name).Exists())
			_, err = s.Commit(t.Context(), put("n", string(before.Value)+"x", before.Revision), put(name, "", store.Any))
			if tt.happened {
				assert.ErrorIs(t, err, store.ErrConflict)
			} else {
				assert.NoError(t, err)
			}
			assert.Equal(t, string(before.Value)+"x", string(get(t, s, "n").Value), "once")
		})
	}
	_, err = s.Commit(t.Context(), store.Op{Key: "n", At: rev, Action: store.Delete})
	assert.ErrorIs(t, err, store.ErrConflict)
}

// A read on a broken connection is repeated on another one.
func TestReadsOutliveConnections(t *testing.T) {
	p, dsn := newProxy(t, postgres.DSN(t))
	s := open(t, dsn, postgres.NewSchema())
	_, err := s.Commit(t.Context(), put("a", "x", store.Absent))
	require.NoError(t, err)
	for _, fault := range []int32{lose, lostReply} {
		p.fault.Store(fault)
		assert.Equal(t, "x", string(get(t, s, "a").Value))
		p.fault.Store(fault)
		items, err := s.List(t.Context(), "", "", 10)
		require.NoError(t, err)
		assert.Len(t, items, 1)
	}
	p.breakAll()
	assert.Equal(t, "x", string(get(t, s, "a").Value))
}

// ST-03: if no server is reached, a Commit certainly did not happen.
func TestNothingSent(t *testing.T) {
	p, dsn := newProxy(t, postgres.DSN(t))
	s := open(t, postgres.With(dsn, "pool_max_conns", "1"), postgres.NewSchema())
	require.NoError(t, p.listener.Close())
	p.breakAll()
	_, err := s.Get(t.Context(), "a")
	assert.Error(t, err) // and the pool knows now that its connection is gone
	_, err = s.Commit(t.Context(), put("a", "x", store.Absent))
	require.Error(t, err)
	assert.NotErrorIs(t, err, store.ErrUnknown)
	assert.NotErrorIs(t, err, store.ErrConflict)
}

// A failure at the commit itself comes after the row of success.
func TestCommitFails(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) { commitFails(t, postgres.With(postgres.DSN(t), "default_query_exec_mode", mode)) })
	}
}

func commitFails(t *testing.T, dsn string) {
	schema := postgres.NewSchema()
	s := open(t, dsn, schema)
	conn := postgres.Connect(t, postgres.DSN(t))
	_, err := conn.Exec(t.Context(), strings.ReplaceAll(`
		CREATE FUNCTION {s}.spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			RAISE EXCEPTION 'spoiled at commit';
		END $$;
		CREATE CONSTRAINT TRIGGER spoil AFTER INSERT ON {s}.npmauth DEFERRABLE INITIALLY DEFERRED
			FOR EACH ROW WHEN (NEW.key = 'bad') EXECUTE FUNCTION {s}.spoil()`, "{s}", schema))
	require.NoError(t, err)

	rev, err := s.Commit(t.Context(), put("bad", "x", store.Absent), put("other", "x", store.Absent))
	assert.ErrorContains(t, err, "spoiled at commit")
	assert.NotErrorIs(t, err, store.ErrUnknown, "the server said that it failed")
	assert.NotErrorIs(t, err, store.ErrConflict)
	assert.Zero(t, rev)
	assert.False(t, get(t, s, "bad").Exists())
	assert.False(t, get(t, s, "other").Exists())
	_, err = s.Commit(t.Context(), put("other", "x", store.Absent))
	assert.NoError(t, err)
}

// ST-04: a transaction is retried if the server requests it, a bounded number of times, and
// only while the caller waits.
func TestRetries(t *testing.T) {
	for _, code := range []string{"40001", "40P01"} {
		t.Run(code, func(t *testing.T) {
			s, schema := postgres.OpenNew(t)
			conn := postgres.Connect(t, postgres.DSN(t))
			// A sequence counts attempts that are undone, too.
			_, err := conn.Exec(t.Context(), strings.NewReplacer("{s}", schema, "{code}", code).Replace(`
				CREATE SEQUENCE {s}.attempts;
				CREATE FUNCTION {s}.fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
					IF nextval('{s}.attempts') <= convert_from(NEW.value, 'UTF8')::integer THEN
						RAISE EXCEPTION USING ERRCODE = '{code}';
					END IF;
					RETURN NEW;
				END $$;
				CREATE TRIGGER fail BEFORE INSERT ON {s}.npmauth FOR EACH ROW EXECUTE FUNCTION {s}.fail()`))
			require.NoError(t, err)
			attempts := func() (n int) {
				require.NoError(t, conn.QueryRow(t.Context(), "SELECT last_value FROM "+schema+".attempts").Scan(&n))
				return n
			}
			restart := func() {
				_, err := conn.Exec(t.Context(), "ALTER SEQUENCE "+schema+".attempts RESTART")
				require.NoError(t, err)
			}

			_, err = s.Commit(t.Context(), put("a", "3", store.Absent))
			require.NoError(t, err)
			assert.Equal(t, 4, attempts())
			assert.True(t, get(t, s, "a").Exists())

			restart()
			_, err = s.Commit(t.Context(), put("b", "1000", store.Absent))
			require.ErrorContains(t, err, code)
			assert.NotErrorIs(t, err, store.ErrUnknown, "all of them were undone")
			assert.NotErrorIs(t, err, store.ErrConflict)
			assert.Equal(t, 8, attempts())

			restart()
			ctx, cancel := context.WithCancel(t.Context())
			answer := make(chan error)
			go func() {
				_, err := s.Commit(ctx, put("b", "1000", store.Absent))
				answer <- err
			}()
			cancel()
			assert.ErrorIs(t, <-answer, context.Canceled)
			assert.False(t, get(t, s, "b").Exists())
		})
	}
}
