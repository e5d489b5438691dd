package etcdtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/server/v3/embed"
	"google.golang.org/grpc"
)

// A Cluster is a number of members that know each other.
type Cluster struct {
	Members []*Member
}

// A Member is one server. Its methods are for one goroutine at a time.
type Member struct {
	cluster *Cluster
	cfg     *embed.Config
	running *embed.Etcd  // nil: it is stopped
	rpc     *grpc.Server // what clients talk to
}

// Endpoint returns the URL that clients use.
func (m *Member) Endpoint() string { return m.cfg.ListenClientUrls[0].String() }

// Endpoints returns the URLs of all members.
func (c *Cluster) Endpoints() []string {
	var endpoints []string
	for _, m := range c.Members {
		endpoints = append(endpoints, m.Endpoint())
	}
	return endpoints
}

// each calls do for every member, at the same time.
func (c *Cluster) each(do func(*Member)) {
	var done sync.WaitGroup
	for _, m := range c.Members {
		done.Go(func() { do(m) })
	}
	done.Wait()
}

// start returns once all members can be asked, or one of them cannot start.
func (c *Cluster) start() error {
	failed := make(chan struct{})
	var first sync.Once
	var err error
	c.each(func(m *Member) {
		if e := m.start(failed); e != nil {
			first.Do(func() {
				err = e
				close(failed)
			})
		}
	})
	return err
}

func (m *Member) start(failed <-chan struct{}) (err error) {
	cfg := *m.cfg // the server changes it
	rpc := make(chan *grpc.Server, 1)
	cfg.ServiceRegister = func(s *grpc.Server) { rpc <- s }
	if m.running, err = embed.StartEtcd(&cfg); err != nil {
		return err
	}
	late := time.After(patience)
	for ready := m.running.Server.ReadyNotify(); ready != nil || m.rpc == nil; {
		select {
		case m.rpc = <-rpc:
		case <-ready:
			ready = nil
		case err := <-m.running.Err():
			return err
		case <-failed:
			return errors.New("another member did not start")
		case <-late:
			return fmt.Errorf("%s is not ready in %s", m.cfg.Name, patience)
		}
	}
	return nil
}

// Stop ends a member in good order, as far as the others are concerned: it hands on
// leadership. Its clients' connections break. A member that is stopped stays so.
func (m *Member) Stop() {
	if m.running == nil {
		return
	}
	// Otherwise it would wait for streams to end by themselves, such as watches.
	if m.rpc != nil {
		_ = m.running.Server.TryTransferLeadershipOnShutdown() // or the others elect one
		m.rpc.Stop()
	}
	m.running.Close()
	m.running, m.rpc = nil, nil
}

// Kill ends a member at once, whatever it is doing.
func (m *Member) Kill() {
	if m.running == nil {
		return
	}
	if m.rpc != nil {
		m.running.Server.HardStop()
		m.rpc.Stop()
	}
	m.running.Close()
	m.running, m.rpc = nil, nil
}

// Restart starts a member that was stopped or killed, with the data it had.
func (m *Member) Restart(t testing.TB) {
	t.Helper()
	require.Nil(t, m.running, "it runs")
	var err error
	require.Eventually(t, func() bool {
		if err = m.start(nil); err == nil || !taken(err) {
			return true
		}
		m.running = nil
		return false
	}, patience, 100*time.Millisecond)
	require.NoError(t, err)
}

// CutOff has nothing come to this member from the others, nor to them from it, until
// Rejoin. Clients reach it as before.
func (m *Member) CutOff() { m.others((*Member).cut) }

// Rejoin ends what CutOff began.
func (m *Member) Rejoin() { m.others((*Member).mend) }

func (m *Member) cut(other *Member)  { m.running.Server.CutPeer(other.running.Server.MemberID()) }
func (m *Member) mend(other *Member) { m.running.Server.MendPeer(other.running.Server.MemberID()) }

func (m *Member) others(do func(a, b *Member)) {
	for _, other := range m.cluster.Members {
		if other != m && other.running != nil {
			do(m, other)
			do(other, m)
		}
	}
}

// Leading reports whether a member takes itself for the leader.
func (m *Member) Leading() bool {
	return m.running != nil && m.running.Server.Leader() == m.running.Server.MemberID()
}

// Lost reports whether a member knows of no leader.
func (m *Member) Lost() bool { return m.running != nil && m.running.Server.Leader() == 0 }

// Leader waits until one of the members, and not one of those, leads.
func (c *Cluster) Leader(t testing.TB, except ...*Member) *Member {
	t.Helper()
	var leader *Member
	require.Eventually(t, func() bool {
		for _, m := range c.Members {
			if m.Leading() && !slices.Contains(except, m) {
				leader = m
				return true
			}
		}
		return false
	}, patience, 10*time.Millisecond, "no leader")
	return leader
}

// Compact makes the server forget all revisions but the last.
func (m *Member) Compact(t testing.TB) {
	t.Helper()
	client := Client(t, m.Endpoint())
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	resp, err := client.Get(ctx, "x")
	require.NoError(t, err)
	_, err = client.Compact(ctx, resp.Header.Revision)
	require.NoError(t, err)
}
