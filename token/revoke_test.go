package token_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/storetest"
	"github.com/npmauth/npmauth/subject"
	"github.com/npmauth/npmauth/token"
)

var operator audit.Actor

func TestRevoke(t *testing.T) {
	s := store.NewMemory()
	m := manager(t, s)
	for name, revoke := range map[string]func(token.Token) error{
		"by ID": func(tok token.Token) error { return m.Revoke(t.Context(), operator, "alice", tok.ID, "") },
		"by digest": func(tok token.Token) error {
			return m.Revoke(t.Context(), operator, "alice", token.IDOf(tok.Digest), "")
		},
		"by the operator": func(tok token.Token) error { return m.End(t.Context(), operator, tok.ID, "leaked") },
	} {
		_, tok := create(t, m, token.Spec{})
		got, err := m.Get(t.Context(), "alice", tok.ID)
		require.NoError(t, err)
		assert.Equal(t, tok, got)
		id, err := m.Find(t.Context(), "alice", tok.Digest)
		require.NoError(t, err)
		assert.Equal(t, tok.ID, id)

		require.NoError(t, revoke(tok), name)
		assert.False(t, item(t, s, token.Key(tok.ID)).Exists(), name) // TK-20
		assert.ErrorIs(t, revoke(tok), token.ErrNotFound, "%s, again", name)
		assert.ErrorIs(t, exists(m.Get(t.Context(), "alice", tok.ID)), token.ErrNotFound)
		_, err = m.Find(t.Context(), "alice", tok.Digest)
		assert.ErrorIs(t, err, token.ErrNotFound)
		assert.Empty(t, dump(t, s), "%s leaves nothing behind", name)
	}
}

// TK-24: another user's token counts as one that does not exist.
func TestRevokeAnothers(t *testing.T) {
	s := store.NewMemory()
	m := manager(t, s)
	_, tok := create(t, m, token.Spec{})
	before := dump(t, s)
	for _, user := range []protocol.UserID{"mallory", "", "Alice", "alice ", "alic"} {
		unknown := m.Revoke(t.Context(), operator, user, token.IDOf(credential.Digest{7}), "")
		require.ErrorIs(t, unknown, token.ErrNotFound)
		assert.Equal(t, unknown, m.Revoke(t.Context(), operator, user, tok.ID, ""))
		assert.Equal(t, unknown, exists(m.Get(t.Context(), user, tok.ID)))
		_, err := m.Find(t.Context(), user, tok.Digest)
		assert.Equal(t, unknown, err)
	}
	assert.Equal(t, before, dump(t, s))
}

// TK-25: exactly the ID, and nothing with the form of a pattern.
func TestRevokeExactly(t *testing.T) {
	s := store.NewMemory()
	m := manager(t, s)
	secret, tok := create(t, m, token.Spec{})
	before := dump(t, s)
	for _, id := range []string{
		"", tok.ID[:1], tok.ID[:25], tok.ID + "a", tok.ID + " ", strings.ToUpper(tok.ID), tok.ID[:25] + "b", tok.ID[:25] + "7", strings.ToUpper(tok.ID) + "x", "%", "*", "a*", "/", "../token", tok.Hint,
		tok.Digest.String(), // TK-07
		secret.Reveal(), "\x00", strings.Repeat("a", 4096), tok.ID[:8] + "%",
	} {
		assert.ErrorIs(t, m.Revoke(t.Context(), operator, "alice", id, ""), token.ErrNotFound, "%q", id)
		assert.ErrorIs(t, m.End(t.Context(), operator, id, ""), token.ErrNotFound, "%q", id)
		assert.ErrorIs(t, exists(m.Get(t.Context(), "alice", id)), token.ErrNotFound, "%q", id)
	}
	other := tok.Digest
	other[31]++ // the same ID
	for _, d := range []credential.Digest{{}, other} {
		_, err := m.Find(t.Context(), "alice", d)
		assert.ErrorIs(t, err, token.ErrNotFound)
	}
	assert.Equal(t, before, dump(t, s))
}

func TestRevokeConcurrently(t *testing.T) {
	s := store.NewMemory()
	m := manager(t, s)
	_, tok := create(t, m, token.Spec{})
	create(t, m, token.Spec{})
	var wg sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		wg.Go(func() { errs[i] = m.Revoke(t.Context(), operator, "alice", tok.ID, "") })
	}
	wg.Wait()
	done := 0
	for _, err := range errs {
		if err == nil {
			done++
		} else {
			assert.ErrorIs(t, err, token.ErrNotFound)
		}
	}
	assert.Equal(t, 1, done)
	_, _, total, err := m.List(t.Context(), "alice", token.ListOptions{})
	require.NoError(t, err)
	assert.Equal(t, 1, total)
}

// exists returns only the error of a lookup.
func exists(_ token.Token, err error) error { return err }

func TestRevokeAll(t *testing.T) {
	ctx, s := t.Context(), store.NewMemory()
	m := manager(t, s)
	_, kept := create(t, m, token.Spec{User: "mallory"})
	var toks []token.Token
	for range 1000 {
		_, tok := create(t, m, token.Spec{})
		toks = append(toks, tok)
	}
	m.Touch(&policy.Credential{ID: toks[0].ID, Expires: toks[0].Expires}, time.Now())
	require.NoError(t, m.Flush(ctx))

	f := storetest.NewFaulty(s)
	before := dump(t, s)
	require.NoError(t, manager(t, f).RevokeAll(ctx, operator, "alice"))
	assert.Equal(t, 1, f.Count(storetest.Gets))
	assert.Equal(t, 1, f.Count(storetest.Commits))
	after := dump(t, s)
	require.Len(t, after, len(before)+1)
	assert.Equal(t, before, slices.DeleteFunc(after, func(it store.Item) bool { return it.Key == subject.Key("alice") }), "one row")

	sub, err := subject.Get(ctx, s, "alice")
	require.NoError(t, err)
	page, _, total, err := m.List(ctx, "alice", token.ListOptions{})
	require.NoError(t, err)
	assert.Empty(t, page)
	assert.Zero(t, total)
	for _, tok := range toks[:10] {
		_, n, err := token.Open(item(t, s, token.Key(tok.ID)), tok.Digest)
		require.NoError(t, err)
		assert.False(t, sub.Alive(policy.KindToken, n))
		assert.ErrorIs(t, exists(m.Get(ctx, "alice", tok.ID)), token.ErrNotFound)
		_, err = m.Find(ctx, "alice", tok.Digest)
		assert.ErrorIs(t, err, token.ErrNotFound)
		assert.ErrorIs(t, m.Revoke(ctx, operator, "alice", tok.ID, ""), token.ErrNotFound)
		assert.ErrorIs(t, m.End(ctx, operator, tok.ID, ""), token.ErrNotFound)
		_, _, err = rotate(m, token.Rotation{ID: tok.ID})
		assert.ErrorIs(t, err, token.ErrNotFound)
	}
	require.NoError(t, exists(m.Get(ctx, "mallory", kept.ID)))

	_, fresh := create(t, m, token.Spec{})
	page, next, total, err := m.List(ctx, "alice", token.ListOptions{})
	require.NoError(t, err)
	assert.Equal(t, []token.Token{fresh}, page)
	assert.Equal(t, 1, total, "the limit of 1000 begins anew")
	assert.Empty(t, next)
	assert.ErrorIs(t, m.RevokeAll(ctx, operator, ""), subject.ErrNoUser)
}

// A token that is created while all are revoked was either created before and is dead, or
// created after and is alive and counted.
func TestRevokeAllAndCreate(t *testing.T) {
	ctx := t.Context()
	for round := range 60 {
		s := store.NewMemory()
		create(t, manager(t, s), token.Spec{})
		rng := rand.New(rand.NewPCG(uint64(round), 1))
		nodes := make([]*storetest.Faulty, 4)
		for i := range nodes {
			nodes[i] = storetest.NewFaulty(s)
			for n := range 4 {
				wait := time.Duration(rng.IntN(200)) * time.Microsecond
				nodes[i].Inject(storetest.Fault{Nth: n + 1, After: rng.IntN(2) == 0, Do: func() { time.Sleep(wait) }})
			}
		}
		var revoked subject.Subject // as it was once all were revoked
		var group sync.WaitGroup
		group.Go(func() {
			assert.NoError(t, manager(t, nodes[0]).RevokeAll(ctx, operator, "alice"))
			var err error
			revoked, err = subject.Get(ctx, s, "alice")
			assert.NoError(t, err)
		})
		made := make([]token.Token, 3)
		for i := range made {
			group.Go(func() {
				var err error
				_, made[i], err = manager(t, nodes[1+i]).Create(ctx, operator, token.Spec{User: "alice", Grants: readAll})
				assert.NoError(t, err)
			})
		}
		group.Wait()
		live := 0
		m := manager(t, s)
		page, _, total, err := m.List(ctx, "alice", token.ListOptions{})
		require.NoError(t, err)
		for _, tok := range made {
			_, n, err := token.Open(item(t, s, token.Key(tok.ID)), tok.Digest)
			require.NoError(t, err)
			assert.Equal(t, tok.Numbers, n)
			alive := revoked.Alive(policy.KindToken, n)
			if alive {
				live++
			}
			assert.Equal(t, alive, slices.ContainsFunc(page, func(t token.Token) bool { return t.ID == tok.ID }))
			assert.Equal(t, alive, exists(m.Get(ctx, "alice", tok.ID)) == nil)
		}
		assert.Equal(t, live, total)
		assert.Len(t, page, live)
	}
}

// One interleaving at a time: all tokens are revoked just before the n-th call of the store
// that a creation makes.
func TestRevokeAllBeforeEachCallOfCreate(t *testing.T) {
	ctx := t.Context()
	for n := 1; ; n++ {
		s := store.NewMemory()
		m := manager(t, s)
		create(t, m, token.Spec{})
		f := storetest.NewFaulty(s, storetest.Fault{Nth: n, Do: func() { assert.NoError(t, m.RevokeAll(ctx, operator, "alice")) }})
		_, tok, err := manager(t, f).Create(ctx, operator, token.Spec{User: "alice", Grants: readAll})
		require.NoError(t, err)
		if !f.Struck() {
			break
		}
		got, _, total, err := m.List(ctx, "alice", token.ListOptions{})
		require.NoError(t, err)
		assert.Equal(t, []token.Token{tok}, got, "call %d: it came after", n)
		assert.Equal(t, 1, total)
	}
}

// A node decides by the rows that the other wrote.
func TestRevokeOnTwoNodes(t *testing.T) {
	ctx := t.Context()
	ops := map[string]func(m *token.Manager, id string) error{
		"revoke":     func(m *token.Manager, id string) error { return m.Revoke(ctx, operator, "alice", id, "") },
		"end":        func(m *token.Manager, id string) error { return m.End(ctx, operator, id, "") },
		"revoke all": func(m *token.Manager, id string) error { return m.RevokeAll(ctx, operator, "alice") },
		"rotate": func(m *token.Manager, id string) error {
			_, _, err := rotate(m, token.Rotation{ID: id})
			return err
		},
	}
	for first, do := range ops {
		for second, then := range ops {
			for n := 1; ; n++ {
				s := store.NewMemory()
				other := manager(t, s)
				_, tok := create(t, other, token.Spec{})
				_, kept := create(t, other, token.Spec{})
				f := storetest.NewFaulty(s, storetest.Fault{Nth: n, Do: func() { assert.NoError(t, do(other, tok.ID), first) }})
				err := then(manager(t, f), tok.ID)
				if !f.Struck() {
					break
				}
				name := fmt.Sprintf("%s before call %d of %s", first, n, second)
				if second == "revoke all" {
					assert.NoError(t, err, name)
				} else {
					assert.ErrorIs(t, err, token.ErrNotFound, name)
				}
				assert.ErrorIs(t, exists(other.Get(ctx, "alice", tok.ID)), token.ErrNotFound, name)
				page, _, total, err := other.List(ctx, "alice", token.ListOptions{})
				require.NoError(t, err)
				assert.Len(t, page, total, name)
				want := 1
				if first == "rotate" {
					want = 2
				}
				if first == "revoke all" || second == "revoke all" {
					want = 0
				}
				assert.Equal(t, want, total, "%s: %v", name, kept.ID)
			}
		}
	}
}

// A creation and a revocation are one Get and one Commit each.
func TestChangesCostOneGetAndOneCommit(t *testing.T) {
	ctx, s := t.Context(), store.NewMemory()
	_, tok := create(t, manager(t, s), token.Spec{})
	for _, step := range []struct {
		name string
		do   func(m *token.Manager) error
	}{
		{"create", func(m *token.Manager) error {
			_, _, err := m.Create(ctx, operator, token.Spec{User: "alice", Grants: readAll})
			return err
		}},
		{"rotate", func(m *token.Manager) (err error) {
			_, tok, err = rotate(m, token.Rotation{ID: tok.ID, Grace: time.Hour})
			return err
		}},
		{"revoke", func(m *token.Manager) error { return m.Revoke(ctx, operator, "alice", tok.ID, "") }},
		{"revoke all", func(m *token.Manager) error { return m.RevokeAll(ctx, operator, "alice") }},
	} {
		f := storetest.NewFaulty(s)
		require.NoError(t, step.do(manager(t, f)), step.name)
		assert.Equal(t, 1, f.Count(storetest.Gets), step.name)
		assert.Equal(t, 1, f.Count(storetest.Commits), step.name)
		assert.Equal(t, 2, f.Count(storetest.All), step.name)
	}

	// A caller that reads more reads it in the same Get.
	_, tok = create(t, manager(t, s), token.Spec{})
	f := storetest.NewFaulty(s)
	m := manager(t, f)
	require.NoError(t, store.Transact(ctx, f, func(tx *store.Tx) error {
		if _, err := tx.Get(ctx, append(token.ReadsOf("alice", tok.ID), "mine")...); err != nil {
			return err
		}
		if err := m.RevokeTx(ctx, tx, operator, "alice", tok.ID, ""); err != nil {
			return err
		}
		_, _, err := m.CreateTx(ctx, tx, operator, token.Spec{User: "alice", Grants: readAll})
		return err
	}))
	assert.Equal(t, 1, f.Count(storetest.Gets))
	assert.Equal(t, 2, f.Count(storetest.All))
}

func TestDisabled(t *testing.T) {
	ctx, s := t.Context(), store.NewMemory()
	m := manager(t, s)
	subjects, err := subject.New(subject.Config{Store: s})
	require.NoError(t, err)
	_, tok := create(t, m, token.Spec{})
	require.NoError(t, subjects.Disable(ctx, operator, "alice"))
	_, _, err = m.Create(ctx, operator, token.Spec{User: "alice", Grants: readAll})
	assert.ErrorIs(t, err, token.ErrDisabled)
	_, _, err = rotate(m, token.Rotation{ID: tok.ID})
	assert.ErrorIs(t, err, token.ErrDisabled)
	for range m.All(ctx) {
		assert.Fail(t, "it reaches nothing")
	}
	n, err := m.Sweep(ctx)
	require.NoError(t, err)
	assert.Zero(t, n, "it is not dead")
	page, _, total, err := m.List(ctx, "alice", token.ListOptions{})
	require.NoError(t, err)
	assert.Equal(t, []token.Token{tok}, page)
	assert.Equal(t, 1, total)

	require.NoError(t, subjects.Enable(ctx, operator, "alice"))
	require.NoError(t, exists(m.Get(ctx, "alice", tok.ID)))
	require.NoError(t, m.Revoke(ctx, operator, "alice", tok.ID, ""))
}
