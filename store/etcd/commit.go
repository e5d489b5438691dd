package etcd

import (
	"context"
	"fmt"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/npmauth/npmauth/store"
)

// Commit implements [store.Store] in one transaction. If ctx ends, or the Store's
// timeout passes, once the transaction may have been sent, the error wraps
// [store.ErrUnknown].
func (s *Store) Commit(ctx context.Context, ops ...store.Op) (store.Revision, error) {
	if err := store.Validate(ops...); err != nil {
		return 0, err
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	req, puts := s.transaction(ops, time.Now())
	resp, unknown, err := s.write(ctx, req)
	switch {
	case unknown:
		return 0, fmt.Errorf("etcd: commit: %w: %w", store.ErrUnknown, err)
	case err != nil && tooLarge(err):
		return 0, fmt.Errorf("etcd: commit: larger than the server's limit, see its --max-request-bytes: %w", err)
	case err != nil:
		return 0, fmt.Errorf("etcd: commit: %w", err)
	case !resp.Succeeded:
		return 0, store.ErrConflict
	case !puts:
		return 0, nil
	}
	return store.Revision(resp.Header.Revision), nil
}

// transaction returns the request that carries out ops, and whether they put anything.
func (s *Store) transaction(ops []store.Op, now time.Time) (req *pb.TxnRequest, puts bool) {
	req = &pb.TxnRequest{}
	for i := range ops {
		op := &ops[i]
		row := s.itemRow(op.Key)
		if op.At != store.Any {
			req.Compare = append(req.Compare, at(row, op.At))
		}
		switch op.Action {
		case store.Put:
			puts = true
			req.Success = append(req.Success, put(row, encodeRow(op.Value, op.Expires)))
			if !op.Expires.IsZero() {
				req.Success = append(req.Success, put(s.dueRow(due(op.Expires, now), op.Key), nil))
			}
		case store.Delete:
			req.Success = append(req.Success, remove(row))
		}
	}
	if len(req.Success) == 0 {
		// A member evaluates a transaction without any operation by its own, perhaps older
		// state. One that reads waits until the member has the latest state.
		req.Success = append(req.Success, &pb.RequestOp{Request: &pb.RequestOp_RequestRange{
			RequestRange: &pb.RangeRequest{Key: s.itemRow(ops[0].Key), CountOnly: true},
		}})
	}
	return req, puts
}

// at compares the revision of the row; 0 means that it does not exist.
func at(row []byte, rev store.Revision) *pb.Compare {
	if rev == store.Absent {
		return &pb.Compare{
			Key: row, Target: pb.Compare_CREATE, Result: pb.Compare_EQUAL,
			TargetUnion: &pb.Compare_CreateRevision{CreateRevision: 0},
		}
	}
	return &pb.Compare{
		Key: row, Target: pb.Compare_MOD, Result: pb.Compare_EQUAL,
		TargetUnion: &pb.Compare_ModRevision{ModRevision: int64(rev)},
	}
}

func put(row, value []byte) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: row, Value: value}}}
}

func remove(row []byte) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: &pb.DeleteRangeRequest{Key: row}}}
}
