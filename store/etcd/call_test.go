package etcd

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/npmauth/npmauth/store"
)

// fakeServer gives the n-th call of a kind, counted from 1, a chosen answer.
type fakeServer struct {
	pb.UnimplementedKVServer
	txns, ranges atomic.Int32
	txn          func(ctx context.Context, n int32) (*pb.TxnResponse, error)
	read         func(ctx context.Context, n int32) (*pb.RangeResponse, error)
}

func (f *fakeServer) Txn(ctx context.Context, _ *pb.TxnRequest) (*pb.TxnResponse, error) {
	return f.txn(ctx, f.txns.Add(1))
}

func (f *fakeServer) Range(ctx context.Context, _ *pb.RangeRequest) (*pb.RangeResponse, error) {
	return f.read(ctx, f.ranges.Add(1))
}

var header = &pb.ResponseHeader{Revision: 9}

func done(context.Context, int32) (*pb.TxnResponse, error) {
	return &pb.TxnResponse{Header: header, Succeeded: true}, nil
}

// serve returns a Store that talks to f, through a client as it comes.
func serve(t *testing.T, f *fakeServer) *Store {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := grpc.NewServer()
	pb.RegisterKVServer(server, f)
	served := make(chan error)
	go func() { served <- server.Serve(l) }()
	t.Cleanup(func() {
		server.Stop()
		assert.NoError(t, <-served)
	})
	return dial(t, l.Addr().String())
}

func dial(t *testing.T, addr string) *Store {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{"http://" + addr}, Logger: zap.NewNop()})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, client.Close()) })
	s, err := New(client, "")
	require.NoError(t, err)
	return s
}

// A transaction that may have been carried out is never sent twice, above all not where the
// client would repeat it by itself: it could meet its own effect and report a conflict (ST-03).
// A refused one is a plain error.
func TestAttempts(t *testing.T) {
	const once, again = 1, 2
	for _, tt := range []struct {
		name    string
		err     error
		calls   int32
		unknown bool
	}{
		{"cancelled by someone on the way", status.Error(codes.Canceled, "stream terminated by RST_STREAM"), once, true},
		{"cancelled by the server", rpctypes.ErrGRPCCanceled, once, true},
		{"the server's clock is ahead", rpctypes.ErrGRPCDeadlineExceeded, once, true},
		{"unavailable", status.Error(codes.Unavailable, "connection reset"), once, true},
		{"time out", rpctypes.ErrGRPCTimeout, once, true},
		{"leader lost", rpctypes.ErrGRPCTimeoutDueToLeaderFail, once, true},
		{"connection lost", rpctypes.ErrGRPCTimeoutDueToConnectionLost, once, true},
		{"leader changed", rpctypes.ErrGRPCLeaderChanged, once, true},
		{"stopped", rpctypes.ErrGRPCStopped, once, true},
		{"corrupt", rpctypes.ErrGRPCCorrupt, once, true},
		{"anything", status.Error(codes.Unknown, "anything"), once, true},
		{"no space left, which may be said after the fact", rpctypes.ErrGRPCNoSpace, once, true},
		{"gRPC's resources", status.Error(codes.ResourceExhausted, "anything"), once, true},

		{"too many operations", rpctypes.ErrGRPCTooManyOps, once, false},
		{"duplicate key", rpctypes.ErrGRPCDuplicateKey, once, false},
		{"too large", rpctypes.ErrGRPCRequestTooLarge, once, false},
		{"too large for gRPC", status.Error(codes.ResourceExhausted, "grpc: received message larger than max (3 vs. 2)"), once, false},
		{"too many requests", status.Error(codes.Unknown, "etcdserver: too many requests"), once, false},
		{"permission denied", rpctypes.ErrGRPCPermissionDenied, once, false},
		{"a learner", rpctypes.ErrGRPCNotSupportedForLearner, once, false},
		{"not capable", rpctypes.ErrGRPCNotCapable, once, false},

		{"no leader", rpctypes.ErrGRPCNoLeader, again, false},
		{"token expired", rpctypes.ErrGRPCInvalidAuthToken, again, false},
		{"access control changed", rpctypes.ErrGRPCAuthOldRevision, again, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := &fakeServer{txn: func(ctx context.Context, n int32) (*pb.TxnResponse, error) {
				if n == 1 {
					return nil, tt.err
				}
				return done(ctx, n)
			}}
			s := serve(t, f)
			rev, err := s.Commit(t.Context(), store.Op{Key: "k", Action: store.Put})
			assert.Equal(t, tt.calls, f.txns.Load(), "calls")
			if tt.calls == again {
				assert.NoError(t, err)
				assert.Equal(t, store.Revision(9), rev)
				return
			}
			require.Error(t, err)
			assert.NotErrorIs(t, err, store.ErrConflict)
			assert.Equal(t, tt.unknown, errors.Is(err, store.ErrUnknown), "%v", err)
		})
	}
}

// A context, or the store's own timeout, that ends while the transaction is on its
// way leaves it unknown. Its answer comes too late.
func TestEndsOnTheWay(t *testing.T) {
	arrived := make(chan struct{}, 1)
	f := &fakeServer{txn: func(ctx context.Context, _ int32) (*pb.TxnResponse, error) {
		arrived <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	s := serve(t, f)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-arrived
		cancel()
	}()
	_, err := s.Commit(ctx, store.Op{Key: "k", Action: store.Put})
	assert.ErrorIs(t, err, store.ErrUnknown)
	assert.ErrorIs(t, err, context.Canceled)

	s.timeout = 50 * time.Millisecond
	_, err = s.Commit(t.Context(), store.Op{Key: "k", Action: store.Put})
	assert.ErrorIs(t, err, store.ErrUnknown)
	assert.ErrorIs(t, err, context.DeadlineExceeded)
	assert.EqualValues(t, 2, f.txns.Load())
}

// A transaction that was never sent certainly did not happen.
func TestNotSent(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	s := dial(t, l.Addr().String()) // nobody listens
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = s.Commit(ctx, store.Op{Key: "k", Action: store.Put})
	assert.ErrorIs(t, err, context.DeadlineExceeded)
	assert.NotErrorIs(t, err, store.ErrUnknown)

	s.timeout = 50 * time.Millisecond
	_, err = s.Commit(t.Context(), store.Op{Key: "k", Action: store.Put})
	assert.ErrorIs(t, err, context.DeadlineExceeded)
	assert.NotErrorIs(t, err, store.ErrUnknown)
	_, err = s.Get(t.Context(), "k")
	assert.ErrorIs(t, err, context.DeadlineExceeded)
}

// A read goes to another member while one is unavailable, and requires a leader each time. No
// read may be old (ST-07).
func TestReadsGoOn(t *testing.T) {
	var leader atomic.Bool
	f := &fakeServer{read: func(ctx context.Context, n int32) (*pb.RangeResponse, error) {
		md, _ := metadata.FromIncomingContext(ctx)
		leader.Store(len(md.Get(rpctypes.MetadataRequireLeaderKey)) == 1)
		if n < 3 {
			return nil, rpctypes.ErrGRPCNoLeader
		}
		return &pb.RangeResponse{Header: header}, nil
	}}
	s := serve(t, f)
	items, err := s.Get(t.Context(), "k")
	require.NoError(t, err)
	assert.False(t, items[0].Exists())
	assert.EqualValues(t, 3, f.ranges.Load())
	assert.True(t, leader.Load())

	f.read = func(context.Context, int32) (*pb.RangeResponse, error) { return nil, rpctypes.ErrGRPCPermissionDenied }
	f.ranges.Store(0)
	_, err = s.Get(t.Context(), "k")
	assert.ErrorContains(t, err, "permission denied")
	_, err = s.List(t.Context(), "", "", 1)
	assert.ErrorContains(t, err, "permission denied")
	_, err = s.Sweep(t.Context(), time.Now(), 1)
	assert.ErrorContains(t, err, "permission denied")
	assert.EqualValues(t, 3, f.ranges.Load(), "nobody else would allow it")
}

// A row that this release cannot decode is an error, not an absent one (ST-09).
func TestReadsForeignRows(t *testing.T) {
	rows := []*mvccpb.KeyValue{{Key: []byte("npmauth/k/k"), Value: []byte{rowFormat + 1, 0, 0, 0, 0, 0, 0, 0, 0}, ModRevision: 3}}
	s := serve(t, &fakeServer{
		read: func(context.Context, int32) (*pb.RangeResponse, error) {
			return &pb.RangeResponse{Header: header, Kvs: rows}, nil
		},
		txn: func(context.Context, int32) (*pb.TxnResponse, error) {
			answer := &pb.ResponseOp{Response: &pb.ResponseOp_ResponseRange{ResponseRange: &pb.RangeResponse{Kvs: rows}}}
			return &pb.TxnResponse{Header: header, Succeeded: true, Responses: []*pb.ResponseOp{answer, answer}}, nil
		},
	})
	_, err := s.Get(t.Context(), "k")
	assert.ErrorIs(t, err, errFormat)
	_, err = s.Get(t.Context(), "k", "l")
	assert.ErrorIs(t, err, errFormat)
	_, err = s.Get(t.Context(), "k", "l", "m")
	assert.Error(t, err, "an answer is missing")
	_, err = s.List(t.Context(), "", "", 10)
	assert.ErrorIs(t, err, errFormat)
}

// Each call is one request to the server.
func TestOneRoundTrip(t *testing.T) {
	f := &fakeServer{
		txn: func(ctx context.Context, n int32) (*pb.TxnResponse, error) {
			answer := &pb.ResponseOp{Response: &pb.ResponseOp_ResponseRange{ResponseRange: &pb.RangeResponse{}}}
			return &pb.TxnResponse{Header: header, Succeeded: true, Responses: []*pb.ResponseOp{answer, answer}}, nil
		},
		read: func(context.Context, int32) (*pb.RangeResponse, error) { return &pb.RangeResponse{Header: header}, nil },
	}
	s := serve(t, f)
	for name, call := range map[string]func() error{
		"get":        func() error { _, err := s.Get(t.Context(), "k"); return err },
		"get of two": func() error { _, err := s.Get(t.Context(), "k", "l"); return err },
		"list":       func() error { _, err := s.List(t.Context(), "", "", 1); return err },
		"commit": func() error {
			_, err := s.Commit(t.Context(), store.Op{Key: "k"}, store.Op{Key: "l", Action: store.Put})
			return err
		},
	} {
		f.txns.Store(0)
		f.ranges.Store(0)
		require.NoError(t, call(), name)
		assert.EqualValues(t, 1, f.txns.Load()+f.ranges.Load(), name)
	}
}

// A server that ends a stream a moment before our timer does has ended it for the same
// reason.
func TestSettled(t *testing.T) {
	late := status.Error(codes.DeadlineExceeded, "context deadline exceeded")
	soon, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	assert.Equal(t, context.DeadlineExceeded, settled(soon, late))
	far, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	for name, ctx := range map[string]context.Context{"no deadline": t.Context(), "one that is far away": far} {
		assert.NoError(t, settled(ctx, late), name)
	}
	near, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	assert.NoError(t, settled(near, status.Error(codes.Unavailable, "")), "it broke for another reason")
	cancel()
	assert.Equal(t, context.Canceled, settled(near, late))
}
