package etcd

import (
	"context"
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc"

	"github.com/npmauth/npmauth/store"
)

// Get implements [store.Reader]: several keys are read in one transaction.
func (s *Store) Get(ctx context.Context, keys ...string) ([]store.Item, error) {
	if err := store.ValidateKeys(keys...); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	items, err := s.get(ctx, keys)
	if err != nil {
		return nil, fmt.Errorf("etcd: get: %w", err)
	}
	return items, nil
}

func (s *Store) get(ctx context.Context, keys []string) ([]store.Item, error) {
	items := make([]store.Item, len(keys))
	if len(keys) == 1 {
		kvs, _, err := s.scan(ctx, &pb.RangeRequest{Key: s.itemRow(keys[0])})
		if err != nil {
			return nil, err
		}
		items[0], err = found(keys[0], kvs)
		return items, err
	}
	req := &pb.TxnRequest{Success: make([]*pb.RequestOp, len(keys))}
	for i, k := range keys {
		req.Success[i] = &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: s.itemRow(k)}}}
	}
	var resp *pb.TxnResponse
	err := s.read(ctx, func(ctx context.Context, opts ...grpc.CallOption) (err error) {
		resp, err = s.kv.Txn(ctx, req, opts...)
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(resp.Responses) != len(keys) {
		return nil, fmt.Errorf("%d answers to %d questions", len(resp.Responses), len(keys))
	}
	for i, k := range keys {
		if items[i], err = found(k, resp.Responses[i].GetResponseRange().GetKvs()); err != nil {
			return nil, err
		}
	}
	return items, nil
}

// found returns the item of the row in kvs, if there is one.
func found(key string, kvs []*mvccpb.KeyValue) (store.Item, error) {
	if len(kvs) == 0 {
		return store.Item{Key: key}, nil
	}
	return decodeRow(key, kvs[0])
}

// scan reads rows in byte order, and the store's revision of that moment. The member waits
// until it has every Commit that returned before.
func (s *Store) scan(ctx context.Context, req *pb.RangeRequest) (kvs []*mvccpb.KeyValue, revision int64, err error) {
	var resp *pb.RangeResponse
	err = s.read(ctx, func(ctx context.Context, opts ...grpc.CallOption) (err error) {
		resp, err = s.kv.Range(ctx, req, opts...)
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	return resp.Kvs, resp.Header.Revision, nil
}

// List implements [store.Reader].
func (s *Store) List(ctx context.Context, prefix, after string, limit int) ([]store.Item, error) {
	if err := store.ValidateList(prefix, after, limit); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	// In printable ASCII nothing sorts between a key and the same key with a space appended,
	// and DEL sorts after all that can follow a prefix.
	from := prefix
	if after != "" {
		from = max(prefix, after+" ")
	}
	if from >= prefix+"\x7f" {
		return nil, nil
	}
	kvs, _, err := s.scan(ctx, &pb.RangeRequest{Key: s.itemRow(from), RangeEnd: s.itemRow(prefix + "\x7f"), Limit: int64(limit)})
	if err != nil {
		return nil, fmt.Errorf("etcd: list: %w", err)
	}
	items := make([]store.Item, len(kvs))
	for i, kv := range kvs {
		key, err := s.keyOf(kv.Key)
		if err == nil {
			items[i], err = decodeRow(key, kv)
		}
		if err != nil {
			return nil, fmt.Errorf("etcd: list: %w", err)
		}
	}
	return items, nil
}
