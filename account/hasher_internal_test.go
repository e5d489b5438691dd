package account

import (
	"context"
	"crypto/sha256"
	"errors"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/internal/kdf"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
)

func busy(t *testing.T) (*Hasher, *Directory) {
	t.Helper()
	h, err := NewHasher(HasherConfig{Workers: 1, Wait: time.Second})
	require.NoError(t, err)
	d, err := NewDirectory(DirectoryConfig{Store: store.NewMemory(), Hasher: h})
	require.NoError(t, err)
	return h, d
}

// EN-02: known and unknown users, right and wrong passwords all wait in the same queue, and get
// the same refusal at the same time.
func TestEveryCheckWaitsInTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, d := busy(t)
		right := credential.NewSecret("correct horse battery")
		jane, err := d.Create(t.Context(), audit.Actor{}, NewUser{Name: "jane", Password: right})
		require.NoError(t, err)

		require.NoError(t, h.queue.acquire(t.Context())) // the only worker
		for name, try := range map[string]func() (bool, error){
			"right":   func() (bool, error) { return d.CheckPassword(t.Context(), jane.ID, right) },
			"wrong":   func() (bool, error) { return d.CheckPassword(t.Context(), jane.ID, credential.NewSecret("x")) },
			"unknown": func() (bool, error) { return d.CheckPassword(t.Context(), "nobody", right) },
			"no ID":   func() (bool, error) { return d.CheckPassword(t.Context(), "", right) },
			"hash":    func() (bool, error) { _, err := h.Hash(t.Context(), right); return false, err },
		} {
			start := time.Now()
			ok, err := try()
			assert.ErrorIs(t, err, ErrBusy, name)
			assert.False(t, ok, name)
			assert.Equal(t, time.Second, time.Since(start), name)
		}
		h.queue.release()
		idle(t, h.queue, 1)
	})
}

// PW-02: the hash of a caller that left is never begun.
func TestCancelledCheckHashesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, d := busy(t)
		require.NoError(t, h.queue.acquire(t.Context()))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			_, err := d.CheckPassword(ctx, "", credential.NewSecret("correct horse"))
			done <- err
		}()
		synctest.Wait()
		cancel()
		require.ErrorIs(t, <-done, context.Canceled)
		assert.Zero(t, h.queue.all.waiting)
		h.queue.release()
		idle(t, h.queue, 1)
	})
}

// The hash of the absent user matches no password, not even by chance, and has the costs of a
// new one.
func TestNobody(t *testing.T) {
	h, _ := busy(t)
	pw := credential.NewSecret("correct horse battery")
	phc, err := h.Hash(t.Context(), pw)
	require.NoError(t, err)
	made, err := parseHash(phc)
	require.NoError(t, err)
	assert.Equal(t, made.params, h.nobody.params)
	assert.Len(t, h.nobody.salt, len(made.salt))
	assert.Len(t, h.nobody.key, len(made.key))

	h.nobody = made // as if it had been drawn so
	ok, _, err := h.Verify(t.Context(), "", pw)
	require.NoError(t, err)
	assert.False(t, ok)
}

// AU-23, EN-07: while imported hashes are stored, whatever is checked computes one of every kind, and each
// once.
func TestImportedHashesAreTheSameWork(t *testing.T) {
	d, err := NewDirectory(DirectoryConfig{Store: store.NewMemory(), Hasher: quick(t)})
	require.NoError(t, err)
	five, err := bcrypt.GenerateFromPassword([]byte("correct horse battery"), 5)
	require.NoError(t, err)
	four, err := bcrypt.GenerateFromPassword([]byte("correct horse battery"), 4)
	require.NoError(t, err)
	other := hash{params: Params{Memory: 8, Time: 1, Threads: 1}, salt: random(saltSize), key: random(keySize)}.String()
	here := d.hasher.hash(password{text: "correct horse battery"})
	create := func(name, phc string) User {
		u, err := d.Create(t.Context(), audit.Actor{}, NewUser{Name: name, Hash: phc})
		require.NoError(t, err)
		return u
	}
	kinds := func() []string {
		items, err := d.store.Get(t.Context(), imported.Key(importsID))
		require.NoError(t, err)
		i, err := imported.Decode(items[0])
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		require.NoError(t, err)
		return slices.Sorted(maps.Keys(i.Kinds))
	}
	create("here", here)
	assert.Empty(t, kinds(), "as new ones are")
	jane, joe, jim := create("jane", string(five)), create("joe", string(five)), create("jim", string(four))
	create("old", other)
	require.Len(t, kinds(), 3)

	work := func(phc string) []string {
		stored := d.hasher.nobody
		if phc != "" {
			var err error
			stored, err = parseHash(phc)
			require.NoError(t, err)
		}
		others, err := d.hasher.others(stored, kinds())
		require.NoError(t, err)
		all := []string{stored.kind()}
		for _, o := range others {
			all = append(all, o.kind())
			assert.False(t, o.matches(password{"x", "x"}))
		}
		slices.Sort(all)
		return all
	}
	want := work("")
	assert.Len(t, want, 4)
	for _, phc := range []string{here, string(five), string(four), other} {
		assert.Equal(t, want, work(phc), phc)
	}
	assert.NotContains(t, want, string(five), "no password's")

	// They are computed: each argon2id among them, once, also where the password is right and its
	// hash is replaced.
	computed := []string{}
	t.Cleanup(kdf.Replace(func(pw, salt []byte, time, memory uint32, threads uint8, size uint32) []byte {
		computed = append(computed, Params{memory, time, threads}.String())
		key := sha256.Sum256(slices.Concat(pw, salt))
		return key[:size]
	}))
	for _, try := range []struct {
		id protocol.UserID
		pw string
	}{{"", "wrong"}, {"unknown", "wrong"}, {jim.ID, "wrong"}, {jane.ID, "wrong"}, {jane.ID, "correct horse battery"}} {
		computed = computed[:0]
		ok, err := d.CheckPassword(t.Context(), try.id, credential.NewSecret(try.pw))
		require.NoError(t, err)
		assert.Equal(t, try.pw != "wrong", ok)
		slices.Sort(computed)
		assert.Equal(t, []string{"argon2id m=19456 t=2 p=1", "argon2id m=8 t=1 p=1"}, computed, "%v", try)
	}

	// Until none is left of a kind: signed in, changed, reset.
	require.Len(t, kinds(), 3, "joe's is as jane's was")
	require.NoError(t, d.ResetPassword(t.Context(), audit.Actor{}, joe.ID, credential.NewSecret("a quite unguessed one")))
	require.Len(t, kinds(), 2)
	require.NoError(t, d.SetPassword(t.Context(), audit.Actor{}, jim.ID, credential.NewSecret("correct horse battery"), credential.NewSecret("a quite unguessed one")))
	require.Len(t, kinds(), 1)
	require.NoError(t, d.ResetPassword(t.Context(), audit.Actor{}, jim.ID, credential.NewSecret("another quite unguessed")))
	require.Len(t, kinds(), 1, "it was counted once")
}

// AU-23: a name that nobody has, and an account that does not exist, cost the store as many requests.
func TestUnknownCostsTheStoreTheSame(t *testing.T) {
	st := &requests{Store: store.NewMemory()}
	d, err := NewDirectory(DirectoryConfig{Store: st, Hasher: quick(t)})
	require.NoError(t, err)
	jane, err := d.Create(t.Context(), audit.Actor{}, NewUser{Name: "jane", Password: credential.NewSecret("correct horse battery")})
	require.NoError(t, err)
	count := func(fn func()) int {
		st.n = 0
		fn()
		return st.n
	}
	byName := count(func() { _, _ = d.ByName(t.Context(), "jane") })
	assert.Equal(t, 2, byName)
	assert.Equal(t, byName, count(func() {
		_, err := d.ByName(t.Context(), "joe")
		assert.ErrorIs(t, err, ErrNoUser)
	}))
	for _, id := range []protocol.UserID{jane.ID, "", "unknown"} {
		assert.Equal(t, 1, count(func() { _, _ = d.CheckPassword(t.Context(), id, credential.NewSecret("wrong")) }), "%q", id)
	}
}

// requests counts the requests of a store.
type requests struct {
	store.Store
	n int
}

func (r *requests) Get(ctx context.Context, keys ...string) ([]store.Item, error) {
	r.n++
	return r.Store.Get(ctx, keys...)
}

func quick(t *testing.T) *Hasher {
	t.Helper()
	h, err := NewHasher(HasherConfig{})
	require.NoError(t, err)
	return h
}
