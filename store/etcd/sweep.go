package etcd

import (
	"context"
	"fmt"
	"slices"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/npmauth/npmauth/store"
)

// Sweep implements [store.Sweeper]. The hour is counted by the clock of this process. It reads
// the due rows, the earliest first, and only the items that they name. A due row remains when
// its item is put anew or deleted: Sweep removes it once its time has come, and does not count
// it.
func (s *Store) Sweep(ctx context.Context, before time.Time, limit int) (int, error) {
	if limit < 1 {
		return 0, fmt.Errorf("%w: a sweep has a limit of at least 1, not %d", store.ErrInvalid, limit)
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if last := time.Now().Add(-store.SweepGrace); before.After(last) {
		before = last
	}
	deleted, err := s.sweep(ctx, before, limit)
	if err != nil {
		err = fmt.Errorf("etcd: sweep: %w", err)
	}
	return deleted, err
}

func (s *Store) sweep(ctx context.Context, before time.Time, limit int) (deleted int, err error) {
	from, end := []byte(s.prefix+dueRows), s.dueRow(ordered(before.UnixMicro()), "")
	for seen := 0; seen < limit; {
		page := min(limit-seen, store.MaxKeys)
		rows, _, err := s.scan(ctx, &pb.RangeRequest{Key: from, RangeEnd: end, Limit: int64(page), KeysOnly: true})
		if err != nil || len(rows) == 0 {
			return deleted, err
		}
		expired, err := s.expired(ctx, rows, before)
		if err != nil {
			return deleted, err
		}
		n, err := store.Purge(ctx, s, expired)
		deleted += n
		if err != nil {
			return deleted, err
		}
		// A put of an item since its row was read has put the due row, too.
		if err := s.removeUnchanged(ctx, rows); err != nil {
			return deleted, err
		}
		seen += len(expired)
		from = append(rows[len(rows)-1].Key, 0)
	}
	return deleted, nil
}

// expired returns those items named by due rows that expired before the given time.
func (s *Store) expired(ctx context.Context, rows []*mvccpb.KeyValue, before time.Time) ([]store.Item, error) {
	var keys []string
	for _, row := range rows {
		key, err := s.keyDue(row.Key)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	items, err := s.get(ctx, keys)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(items, func(it store.Item) bool {
		return it.Expires.IsZero() || !it.Expires.Before(before)
	}), nil
}

// removeUnchanged deletes those rows that have not changed since they were read.
func (s *Store) removeUnchanged(ctx context.Context, rows []*mvccpb.KeyValue) error {
	for chunk := range slices.Chunk(rows, store.MaxOps) {
		all, err := s.removeAtOnce(ctx, chunk)
		if err != nil {
			return err
		}
		if all || len(chunk) == 1 {
			continue
		}
		for i := range chunk { // one has changed; the others may be deleted
			if _, err := s.removeAtOnce(ctx, chunk[i:i+1]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Store) removeAtOnce(ctx context.Context, rows []*mvccpb.KeyValue) (done bool, err error) {
	req := &pb.TxnRequest{}
	for _, row := range rows {
		req.Compare = append(req.Compare, at(row.Key, store.Revision(row.ModRevision)))
		req.Success = append(req.Success, remove(row.Key))
	}
	resp, _, err := s.write(ctx, req)
	return resp.GetSucceeded(), err
}
