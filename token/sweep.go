package token

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
)

// sweepBatch is how many tokens one Commit deletes: each takes up to four ops, its record, its
// row in the list, its last use and the mark of its warning.
const sweepBatch = store.MaxOps / 4

// Sweep deletes the records of tokens that were revoked together with others, and returns how
// many, also together with an error. Nothing depends on it: dead tokens stay dead, and it only
// frees space. It reads all tokens, a page at a time: once a day is often enough.
//
// Tokens of a disabled account stay. Expired tokens, and those of schema 1, are left to the
// store's own [store.Sweeper]: it uses a clock that all nodes share, and one node's may be
// wrong.
func (m *Manager) Sweep(ctx context.Context) (int, error) {
	swept := 0
	err := m.pages(ctx, func(page []*record, of map[protocol.UserID]subject.Subject) error {
		var dead []*record
		for _, r := range page {
			if r.revoked(of[r.User]) {
				dead = append(dead, r)
			}
		}
		for some := range slices.Chunk(dead, sweepBatch) {
			n, err := m.sweep(ctx, some)
			swept += n
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return swept, fmt.Errorf("token: sweep: %w", err)
	}
	return swept, nil
}

// sweep deletes those of dead that have not changed since they were read.
func (m *Manager) sweep(ctx context.Context, dead []*record) (swept int, err error) {
	keys := make([]string, len(dead))
	for i, r := range dead {
		keys[i] = KeyOf(r.Digest)
	}
	err = store.Transact(ctx, m.store, func(tx *store.Tx) error {
		swept = 0
		items, err := tx.Get(ctx, keys...)
		if err != nil {
			return err
		}
		for i, it := range items {
			r, err := tokens.Decode(it)
			if errors.Is(err, store.ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			if r.Numbers != dead[i].Numbers || r.Expires != dead[i].Expires {
				continue
			}
			tx.Delete(warnings.Key(r.id()))
			if err := m.remove(ctx, tx, r.id()); err != nil {
				return err
			}
			swept++
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return swept, nil
}
