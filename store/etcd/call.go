package etcd

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// The sizes of the largest Commit, and of the answer to the largest Get, with a margin. The
// client's own limits may be lower.
const (
	maxRequest = 8 << 20  // bytes
	maxAnswer  = 16 << 20 // bytes
)

// pauseBetween is about how long a call waits before it tries another member.
const pauseBetween = 25 * time.Millisecond

// refusals are the errors of a server that has not carried out a transaction and will not.
// "Database space exceeded" is not one of them: a server that runs out of space while it
// applies a transaction returns it, and has applied the transaction.
var refusals = make(map[string]bool)

func init() {
	for _, err := range []error{
		rpctypes.ErrGRPCNoLeader, // see begin: it is checked before anything else
		rpctypes.ErrGRPCNotCapable,
		rpctypes.ErrGRPCNotSupportedForLearner,
		rpctypes.ErrGRPCTooManyOps,
		rpctypes.ErrGRPCDuplicateKey,
		rpctypes.ErrGRPCRequestTooLarge,
		rpctypes.ErrGRPCRequestTooManyRequests,
		rpctypes.ErrGRPCUserEmpty,
		rpctypes.ErrGRPCPermissionDenied,
		rpctypes.ErrGRPCInvalidAuthToken,
		rpctypes.ErrGRPCAuthOldRevision,
	} {
		refusals[rpctypes.ErrorDesc(err)] = true
	}
}

func refused(err error) bool { return refusals[rpctypes.ErrorDesc(err)] || tooLarge(err) }

// tooLarge reports whether the request was larger than the server accepts. A request half a
// megabyte beyond its limit does not even reach etcd: gRPC refuses it.
func tooLarge(err error) bool {
	return errors.Is(err, rpctypes.ErrGRPCRequestTooLarge) || status.Code(err) == codes.ResourceExhausted &&
		strings.HasPrefix(rpctypes.ErrorDesc(err), "grpc: received message larger than max")
}

// begin returns the context of a call, which a member without a leader refuses at once instead
// of waiting for a leader.
func (s *Store) begin(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	return clientv3.WithRequireLeader(ctx), cancel
}

// A call is one request of the client to the server.
type call func(ctx context.Context, opts ...grpc.CallOption) error

// once makes a call one time, and reports whether any part of it was sent. The client repeats a
// call by itself if it ends as cancelled, or out of time, while its context goes on, although
// the call may have been carried out by then. So the context ends with the first attempt whose
// outcome is not certain.
func once(ctx context.Context, do call) (sent bool, err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var server peer.Peer // has an address once there is a stream to send on
	err = do(ctx, grpc.WaitForReady(true), grpc.MaxCallSendMsgSize(maxRequest), grpc.MaxCallRecvMsgSize(maxAnswer),
		grpc.Peer(&server), grpc.OnFinish(func(err error) {
			if err != nil && !refused(err) {
				stop()
			}
		}))
	return server.Addr != nil, err
}

// read makes a call that changes nothing, until a member answers it.
func (s *Store) read(ctx context.Context, do call) error {
	ctx, cancel := s.begin(ctx)
	defer cancel()
	for {
		_, err := once(ctx, do)
		if err == nil {
			return nil
		}
		if status.Code(err) != codes.Unavailable || !pause(ctx) {
			return ended(ctx, err)
		}
	}
}

// write carries out a transaction at most once. If it returns an error, unknown says whether
// the transaction may have been carried out, or may still be.
func (s *Store) write(ctx context.Context, req *pb.TxnRequest) (resp *pb.TxnResponse, unknown bool, err error) {
	ctx, cancel := s.begin(ctx)
	defer cancel()
	for {
		sent, err := once(ctx, func(ctx context.Context, opts ...grpc.CallOption) (err error) {
			resp, err = s.kv.Txn(ctx, req, opts...)
			return err
		})
		if err == nil {
			return resp, false, nil
		}
		if sent && !refused(err) {
			return nil, true, ended(ctx, err)
		}
		// A member without a leader is unavailable; another one may have it.
		if status.Code(err) != codes.Unavailable || !pause(ctx) {
			return nil, false, ended(ctx, err)
		}
	}
}

// ended returns the context's error in place of the client's.
func ended(ctx context.Context, err error) error {
	over := ctx.Err()
	if over == nil && status.Code(err) == codes.DeadlineExceeded {
		over = context.DeadlineExceeded // the server's clock was a little ahead of our timer
	}
	if over == nil {
		return err
	}
	return fmt.Errorf("%w (%v)", over, err)
}

// settled returns the error of ctx if that is why a stream broke, or nil. A server whose clock
// is a little ahead of our timer ends the stream before ctx ends; settled then waits for ctx.
func settled(ctx context.Context, err error) error {
	if at, ok := ctx.Deadline(); ok && status.Code(err) == codes.DeadlineExceeded && time.Until(at) < time.Second {
		<-ctx.Done()
	}
	return ctx.Err()
}

// pause reports whether ctx goes on after a moment.
func pause(ctx context.Context) bool {
	timer := time.NewTimer(pauseBetween/2 + rand.N(pauseBetween))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
