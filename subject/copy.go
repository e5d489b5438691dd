package subject

import (
	"context"
	"fmt"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/store"
)

// CopyFrom copies the whole store of a registry into the Manager's, which must be empty or hold an
// unfinished copy of from, and ends every credential of every account in the copy, as
// RevokeEveryone does: credentials that are revoked in from after the copy would be valid in it
// otherwise. Accounts, passwords, second factors, settings, the keys of web logins and recorded
// events are copied as they are. It calls [store.Copy], which says what must be true of both stores
// and how a copy continues after an interruption.
//
//	from, to := store.Seal(old, oldKey), store.Seal(other, key)
//	subjects, err := subject.New(subject.Config{Store: to})
//	…
//	err = subjects.CopyFrom(ctx, audit.Actor{}, from, nil)
//
// Until CopyFrom returns nil the destination cannot be used: reading a subject in it is an error
// that wraps [store.ErrUnfinished]. For progress, which may be nil, see [store.CopyConfig].
func (m *Manager) CopyFrom(ctx context.Context, by audit.Actor, from store.Reader, progress func(items int, last string)) error {
	err := store.Copy(ctx, m.store, from, store.CopyConfig{
		Last:     EveryoneKey(),
		Finish:   func(ctx context.Context, tx *store.Tx) error { return m.revokeEveryone(ctx, tx, by) },
		Progress: progress,
	})
	if err != nil {
		return fmt.Errorf("subject: %w", err)
	}
	return nil
}
