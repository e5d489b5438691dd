package account

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/store"
)

// An epoch is the one row that ends credentials of all accounts. It is read together
// with each subject.
type epoch struct {
	ID        string    `json:"id"`
	NotBefore time.Time `json:"not_before"`
}

const everyone = "everyone"

var epochs = store.NewTable("epoch", 1, func(e *epoch) string { return e.ID })

// IsEpoch reports whether the key is that of the row which [Subjects.RevokeEveryone]
// writes: what is remembered of any subject is then out of date.
func IsEpoch(key string) bool { return key == epochs.Key(everyone) }

// notBefore returns the epoch in it, zero if there has been none.
func notBefore(it store.Item) (time.Time, error) {
	rec, err := epochs.Decode(it)
	if errors.Is(err, store.ErrNotFound) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("account: epoch: %w", err)
	}
	return rec.NotBefore, nil
}

// RevokeEveryone ends every credential of every account that was created until now,
// in one write. It is what has to follow a restore from a backup, in which what was
// revoked since lives again.
func (s *Subjects) RevokeEveryone(ctx context.Context) error {
	at := s.until()
	err := store.Transact(ctx, s.store, func(tx *store.Tx) error {
		_, err := epochs.Upsert(ctx, tx, everyone, func(e *epoch, _ bool) error {
			e.ID, e.NotBefore = everyone, later(e.NotBefore, at)
			return nil
		})
		return err
	})
	if err != nil {
		return fmt.Errorf("account: epoch: %w", err)
	}
	s.record(ctx, audit.Event{Time: s.now(), Type: audit.AllRevoked, Outcome: audit.Done})
	return nil
}
