package token

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"strconv"
	"sync"
	"time"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/store"
)

// Last uses have keys of their own, apart from the tokens' records: otherwise each use would
// write the record, and empty every cache of it.
const usedPrefix = "token-used/"

// use is when a credential was last used.
type use struct {
	id          string
	at, expires time.Time
}

// UsedEvery is how often the last use of a credential is written at most.
const UsedEvery = time.Minute

const (
	useShards = 64
	// maxUses bounds how many uses wait in a shard for the next flush. Any more are lost: the
	// last use is a convenience, and the memory for it must not grow while a store is down.
	maxUses = 4096
)

// usage collects uses between two flushes.
type usage struct {
	seed   maphash.Seed
	shards [useShards]struct {
		mu    sync.Mutex
		known map[string]*waiting // guarded by mu
	}
}

// waiting is one credential used lately.
type waiting struct {
	at, expires time.Time
	written     time.Time // when a flush last wrote it
	dirty       bool      // used since
}

func newUsage() *usage {
	u := &usage{seed: maphash.MakeSeed()}
	for i := range u.shards {
		u.shards[i].known = make(map[string]*waiting)
	}
	return u
}

func (u *usage) shard(id string) int { return int(maphash.String(u.seed, id) % useShards) }

func (u *usage) drop(id string) {
	s := &u.shards[u.shard(id)]
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.known, id)
}

// Touch notes that c was used at the given time. It only writes to memory and is cheap enough
// for every request; [Manager.Flush] writes to the store. A nil c is nobody's and is ignored.
func (m *Manager) Touch(c *policy.Credential, at time.Time) {
	if c == nil {
		return
	}
	s := &m.used.shards[m.used.shard(c.ID)]
	s.mu.Lock()
	defer s.mu.Unlock()
	w, ok := s.known[c.ID]
	if !ok {
		if len(s.known) >= maxUses {
			return
		}
		w = &waiting{expires: c.Expires}
		s.known[c.ID] = w
	}
	if at.After(w.at) {
		w.at, w.dirty = at, true
	}
}

// Flush writes the uses noted since they were last written, each credential's at most once in
// [UsedEvery], and forgets those that are written and not used since. It should run about every
// half minute, and once at the end. Uses that it could not write wait for the next Flush. A
// time is off by about a minute if a process ended or crashed, or if another process uses the
// token too.
//
// The use of a token that is revoked by itself is forgotten here. That of tokens that are
// revoked together, or by another process, may be written once more: nobody lists it, and it
// expires when the token would have.
func (m *Manager) Flush(ctx context.Context) error {
	for due := m.used.due(m.now()); len(due) > 0; {
		n := min(len(due), store.MaxOps)
		if err := m.write(ctx, due[:n]); err != nil {
			m.used.unwritten(due)
			return fmt.Errorf("token: write last uses: %w", err)
		}
		due = due[n:]
	}
	return nil
}

// write puts uses without reading the rows first: nothing depends on them.
func (m *Manager) write(ctx context.Context, some []use) error {
	ops := make([]store.Op, len(some))
	for i, u := range some {
		ops[i] = store.Op{
			Key:     usedPrefix + u.id,
			At:      store.Any,
			Action:  store.Put,
			Value:   strconv.AppendInt(nil, u.at.UnixMicro(), 10),
			Expires: u.expires,
		}
	}
	_, err := m.store.Commit(ctx, ops...)
	return err
}

// due returns the uses that must be written now and drops those no longer needed.
func (u *usage) due(now time.Time) (due []use) {
	for i := range u.shards {
		s := &u.shards[i]
		s.mu.Lock()
		for id, w := range s.known {
			switch {
			case now.Sub(w.written) < UsedEvery && !w.written.After(now): // written a moment ago
			case w.dirty:
				due = append(due, use{id, w.at, w.expires})
				w.written, w.dirty = now, false
			default:
				delete(s.known, id)
			}
		}
		s.mu.Unlock()
	}
	return due
}

// unwritten marks uses that could not be written.
func (u *usage) unwritten(some []use) {
	for _, one := range some {
		s := &u.shards[u.shard(one.id)]
		s.mu.Lock()
		if w, ok := s.known[one.id]; ok {
			w.dirty, w.written = true, time.Time{}
		}
		s.mu.Unlock()
	}
}

// Used returns when the credentials with these public IDs were last used, including uses that
// are not written yet. A credential that was never used is not in the map. At most
// [store.MaxKeys] IDs.
func (m *Manager) Used(ctx context.Context, ids ...string) (map[string]time.Time, error) {
	used := make(map[string]time.Time, len(ids))
	if len(ids) == 0 {
		return used, nil
	}
	keys := make([]string, len(ids))
	for i, id := range ids {
		keys[i] = usedPrefix + id
	}
	items, err := m.store.Get(ctx, keys...)
	if err != nil {
		return nil, fmt.Errorf("token: read last uses: %w", err)
	}
	for i, it := range items {
		if !it.Exists() {
			continue
		}
		at, err := strconv.ParseInt(string(it.Value), 10, 64)
		if err != nil {
			return nil, errors.New("token: a last use in the store is no time")
		}
		used[ids[i]] = time.UnixMicro(at).UTC()
	}
	for _, id := range ids {
		s := &m.used.shards[m.used.shard(id)]
		s.mu.Lock()
		if w, ok := s.known[id]; ok && w.at.After(used[id]) {
			used[id] = w.at.UTC().Truncate(time.Microsecond)
		}
		s.mu.Unlock()
	}
	return used, nil
}
