package store_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/store"
)

type person struct {
	ID      string    `json:"id"`
	Name    string    `json:"name,omitempty"`
	Team    string    `json:"team,omitempty"`
	Expires time.Time `json:"expires,omitzero"`
}

var (
	people = store.NewTable("person", 2, func(p *person) string { return p.ID }).
		Expiring(func(p *person) time.Time { return p.Expires })
	byName = people.Unique("name", func(p *person) string { return p.Name })
	byTeam = people.Index("team", func(p *person) string { return p.Team })
)

func insert(t *testing.T, s store.Store, p person) error {
	t.Helper()
	return store.Transact(t.Context(), s, func(tx *store.Tx) error { return people.Insert(t.Context(), tx, &p) })
}

func update(t *testing.T, s store.Store, id string, fn func(*person) error) error {
	t.Helper()
	return store.Transact(t.Context(), s, func(tx *store.Tx) error {
		_, err := people.Update(t.Context(), tx, id, fn)
		return err
	})
}

func keys(t *testing.T, r store.Reader) []string {
	t.Helper()
	items, err := r.List(t.Context(), "", "", store.MaxLimit)
	require.NoError(t, err)
	var ks []string
	for _, it := range items {
		ks = append(ks, it.Key)
	}
	return ks
}

func team(t *testing.T, r store.Reader, name string) []string {
	t.Helper()
	vs, next, err := byTeam.List(t.Context(), r, name, "", store.MaxLimit)
	require.NoError(t, err)
	assert.Empty(t, next)
	var ids []string
	for _, p := range vs {
		ids = append(ids, p.ID)
	}
	return ids
}

func TestTableLifeOfARecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, m := t.Context(), store.NewMemory()
		jane := person{ID: "1", Name: "jane", Team: "core", Expires: time.Now().Add(time.Hour)}
		require.NoError(t, insert(t, m, jane))
		assert.Equal(t, []string{"person.name/jane", "person.team/core/1", "person/1"}, keys(t, m))
		for _, k := range keys(t, m) {
			assert.True(t, jane.Expires.Equal(get(t, m, k).Expires), k)
		}

		got, err := people.Get(ctx, m, "1")
		require.NoError(t, err)
		assert.Equal(t, "jane", got.Name)
		got, err = byName.Get(ctx, m, "jane")
		require.NoError(t, err)
		assert.Equal(t, "1", got.ID)
		assert.Equal(t, []string{"1"}, team(t, m, "core"))

		assert.ErrorIs(t, insert(t, m, person{ID: "1"}), store.ErrExists, "id")
		assert.ErrorIs(t, insert(t, m, person{ID: "2", Name: "jane"}), store.ErrExists, "unique value")

		require.NoError(t, update(t, m, "1", func(p *person) error {
			p.Name, p.Team, p.Expires = "joan", "", time.Time{}
			return nil
		}))
		assert.Equal(t, []string{"person.name/joan", "person/1"}, keys(t, m))
		assert.True(t, get(t, m, "person.name/joan").Expires.IsZero())
		_, err = byName.Get(ctx, m, "jane")
		assert.ErrorIs(t, err, store.ErrNotFound)
		require.NoError(t, insert(t, m, person{ID: "2", Name: "jane"}), "the name is free again")
		assert.ErrorIs(t, update(t, m, "2", func(p *person) error { p.Name = "joan"; return nil }), store.ErrExists)

		for _, id := range []string{"1", "2"} {
			require.NoError(t, store.Transact(ctx, m, func(tx *store.Tx) error { return people.Delete(ctx, tx, id) }))
		}
		assert.Empty(t, keys(t, m))
		assert.ErrorIs(t, update(t, m, "1", func(*person) error { return nil }), store.ErrNotFound)
		assert.ErrorIs(t, store.Transact(ctx, m, func(tx *store.Tx) error { return people.Delete(ctx, tx, "1") }), store.ErrNotFound)
	})
}

func TestTableExpiryMovesRows(t *testing.T) {
	m := store.NewMemory()
	at := time.Unix(1e9, 0)
	require.NoError(t, insert(t, m, person{ID: "1", Name: "jane", Team: "core", Expires: at}))
	require.NoError(t, update(t, m, "1", func(p *person) error { p.Expires = at.Add(time.Hour); return nil }))
	for _, k := range keys(t, m) {
		assert.True(t, at.Add(time.Hour).Equal(get(t, m, k).Expires), k)
	}
}

// A change drops the entry that a cache has of another node's change, if the two are equal.
func TestTableUpdateWithoutChangeIsObserved(t *testing.T) {
	m := store.NewMemory()
	require.NoError(t, insert(t, m, person{ID: "1", Name: "jane", Team: "core", Expires: time.Unix(1e9, 123)}))
	var changed []string
	s := store.Observe(m, func(keys []string) { changed = append(changed, keys...) })
	before := get(t, m, people.Key("1")).Revision
	require.NoError(t, store.Transact(t.Context(), s, func(tx *store.Tx) error {
		_, err := people.Update(t.Context(), tx, "1", func(*person) error { return nil })
		return err
	}))
	assert.Equal(t, []string{people.Key("1")}, changed, "and no index row")
	assert.NotEqual(t, before, get(t, m, people.Key("1")).Revision)

	require.NoError(t, store.Transact(t.Context(), s, func(tx *store.Tx) error {
		_, err := people.Upsert(t.Context(), tx, "1", func(_ *person, found bool) error {
			assert.True(t, found)
			return nil
		})
		return err
	}))
	assert.Equal(t, []string{people.Key("1"), people.Key("1")}, changed)
}

func TestTableUpdateRefusals(t *testing.T) {
	m := store.NewMemory()
	require.NoError(t, insert(t, m, person{ID: "1", Name: "jane"}))
	boom := errors.New("boom")
	assert.Equal(t, boom, update(t, m, "1", func(p *person) error { p.Name = "x"; return boom }))
	assert.ErrorIs(t, update(t, m, "1", func(p *person) error { p.ID = "2"; return nil }), store.ErrInvalid)
	got, err := people.Get(t.Context(), m, "1")
	require.NoError(t, err)
	assert.Equal(t, "jane", got.Name)
	assert.ErrorIs(t, insert(t, m, person{}), store.ErrInvalid, "no id")
	assert.ErrorIs(t, insert(t, m, person{ID: strings.Repeat("x", 600)}), store.ErrInvalid, "long id")
	assert.ErrorIs(t, insert(t, m, person{ID: "2", Name: strings.Repeat("x", 600)}), store.ErrInvalid, "long value")
}

func TestTableUpsert(t *testing.T) {
	ctx, m := t.Context(), store.NewMemory()
	for i := range 3 {
		require.NoError(t, store.Transact(ctx, m, func(tx *store.Tx) error {
			_, err := people.Upsert(ctx, tx, "1", func(p *person, found bool) error {
				assert.Equal(t, i > 0, found)
				p.ID, p.Name, p.Team = "1", "jane", fmt.Sprint("t", i)
				return nil
			})
			return err
		}))
	}
	assert.Equal(t, []string{"person.name/jane", "person.team/t2/1", "person/1"}, keys(t, m))
	err := store.Transact(ctx, m, func(tx *store.Tx) error {
		_, err := people.Upsert(ctx, tx, "2", func(p *person, _ bool) error { p.ID = "3"; return nil })
		return err
	})
	assert.ErrorIs(t, err, store.ErrInvalid)
}

func TestTableSeveralWritesInOneTx(t *testing.T) {
	ctx, m := t.Context(), store.NewMemory()
	require.NoError(t, insert(t, m, person{ID: "1", Name: "jane"}))
	require.NoError(t, store.Transact(ctx, m, func(tx *store.Tx) error {
		if err := people.Delete(ctx, tx, "1"); err != nil {
			return err
		}
		if err := people.Insert(ctx, tx, &person{ID: "2", Name: "jane"}); err != nil {
			return err
		}
		got, err := byName.Get(ctx, tx, "jane")
		require.NoError(t, err)
		assert.Equal(t, "2", got.ID, "reads its writes")
		_, err = people.Update(ctx, tx, "2", func(p *person) error { p.Team = "core"; return nil })
		return err
	}))
	assert.Equal(t, []string{"person.name/jane", "person.team/core/2", "person/2"}, keys(t, m))

	err := store.Transact(ctx, m, func(tx *store.Tx) error {
		if _, err := byName.Get(ctx, tx, "jane"); err != nil {
			return err
		}
		err := people.Insert(ctx, tx, &person{ID: "3", Name: "jane"})
		assert.ErrorIs(t, err, store.ErrExists, "what the Tx has read is not asked again")
		return err
	})
	assert.ErrorIs(t, err, store.ErrExists)
}

// ST-09
func TestTableDecodeIsStrict(t *testing.T) {
	for _, tt := range []struct{ name, value string }{
		{"empty", ``},
		{"not JSON", `x`},
		{"null", `null`},
		{"no envelope", `{"id":"1"}`},
		{"higher schema", `{"v":3,"d":{"id":"1"}}`},
		{"higher schema with a field of it", `{"v":3,"d":{"id":"1","new":1}}`},
		{"schema 0", `{"v":0,"d":{"id":"1"}}`},
		{"negative schema", `{"v":-1,"d":{"id":"1"}}`},
		{"no data", `{"v":2}`},
		{"null data", `{"v":2,"d":null}`},
		{"unknown field", `{"v":2,"d":{"id":"1","admin":true}}`},
		{"wrong type", `{"v":2,"d":{"id":1}}`},
		{"trailing data", `{"v":2,"d":{"id":"1"}}{}`},
		{"trailing data inside", `{"v":2,"d":{"id":"1"}{}}`},
		{"trailing brace", `{"v":2,"d":{"id":"1"}}}`},
		{"cut short", `{"v":2,"d":{"id":"1"}`},
		{"another's record", `{"v":2,"d":{"id":"2"}}`},
		{"envelope with more", `{"v":2,"d":{"id":"1"},"d":{"id":"1"}}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := people.Decode(store.Item{Key: "person/1", Value: []byte(tt.value), Revision: 1})
			assert.ErrorIs(t, err, store.ErrSchema)
		})
	}
	t.Run("lower schema", func(t *testing.T) {
		p, err := people.Decode(store.Item{Key: "person/1", Value: []byte(`{"v":1,"d":{"id":"1"}}`), Revision: 1})
		require.NoError(t, err)
		assert.Equal(t, "1", p.ID)
	})
	t.Run("absent", func(t *testing.T) {
		_, err := people.Decode(store.Item{Key: "person/1"})
		assert.ErrorIs(t, err, store.ErrNotFound)
	})
	t.Run("an error quotes no value", func(t *testing.T) {
		_, err := people.Decode(store.Item{Key: "person/1", Value: []byte(`{"v":2,"d":{"id":"1","expires":"hunter2"}}`), Revision: 1})
		require.ErrorIs(t, err, store.ErrSchema)
		assert.NotContains(t, err.Error(), "hunter2")
	})
}

// A reused decoder keeps nothing of the last value, not after an error either.
func TestTableDecodesOneAfterTheOther(t *testing.T) {
	for range 3 {
		for _, value := range []string{`{"v":2,"d":{"id":"1","name":"jane"}}`, `{"v":2,"d":{"id":"1"}}`} {
			for _, bad := range []string{`{"v":2,"d":{"id":"1","x":1}}`, `{"v":2,"d":{"id":"1"}{}}`, `{"v":2,"d":{"id":"1"}`, `{"v":2,"d":{"id":"1",}}`, `{"v":2,"d":}`} {
				_, err := people.Decode(store.Item{Key: "person/1", Value: []byte(bad), Revision: 1})
				require.ErrorIs(t, err, store.ErrSchema, bad)
				p, err := people.Decode(store.Item{Key: "person/1", Value: []byte(value), Revision: 1})
				require.NoError(t, err)
				assert.Equal(t, value == `{"v":2,"d":{"id":"1"}}`, p.Name == "")
			}
		}
	}
}

func TestTableKeys(t *testing.T) {
	seen := map[string]string{}
	for _, id := range []string{
		"a", "A", "a b", "a/b", "a%2Fb", "a%2fb", "%", "a.b", "@scope/name", "größe", "\x00", "\xff\xfe", "..", "a/", "/a", "\t", "a+b",
	} {
		key := people.Key(id)
		require.NoError(t, store.ValidateKeys(key), "%q", id)
		require.NotContains(t, seen, key)
		seen[key] = id
		back, ok := people.ID(key)
		assert.True(t, ok, key)
		assert.Equal(t, id, back)
	}
	for _, key := range []string{"", "person", "person/", "person.name/a", "persona/a", "person/a/b", "person/%2", "person/%2f", "person/%41", "person/a b", "person/%zz"} {
		_, ok := people.ID(key)
		assert.False(t, ok, key)
	}
	for value, key := range map[string]string{"jane": "person.name/jane", "a/b": "person.name/a%2Fb"} {
		got, ok := byName.Value(key)
		assert.True(t, ok, key)
		assert.Equal(t, value, got)
	}
	for _, key := range []string{"", "person/jane", "person.name", "person.name/", "person.team/jane", "person.name/a/b", "person.name/%2f"} {
		_, ok := byName.Value(key)
		assert.False(t, ok, key)
	}
	_, err := people.Get(t.Context(), store.NewMemory(), strings.Repeat("x", 600))
	assert.ErrorIs(t, err, store.ErrNotFound)
	_, err = people.Get(t.Context(), store.NewMemory(), "")
	assert.ErrorIs(t, err, store.ErrNotFound)
}

func FuzzTableKey(f *testing.F) {
	f.Add("a/b", "a%2Fb")
	f.Fuzz(func(t *testing.T, a, b string) {
		if id, ok := people.ID(people.Key(a)); a != "" && (!ok || id != a) {
			t.Errorf("%q came back as %q, %v", a, id, ok)
		}
		if a != b && people.Key(a) == people.Key(b) {
			t.Errorf("%q and %q share a key", a, b)
		}
		if id, ok := people.ID(a); ok && people.Key(id) != a {
			t.Errorf("%q is a second key of %q", a, id)
		}
	})
}

func TestTableListAndIndexPages(t *testing.T) {
	ctx, m := t.Context(), store.NewMemory()
	for i := range 7 {
		require.NoError(t, insert(t, m, person{ID: fmt.Sprintf("%d", i), Team: "a"}))
		require.NoError(t, insert(t, m, person{ID: fmt.Sprintf("x/%d", i), Team: "a/b"}))
	}
	vs, err := people.List(ctx, m, "", 3)
	require.NoError(t, err)
	require.Len(t, vs, 3)
	vs, err = people.List(ctx, m, vs[2].ID, 100)
	require.NoError(t, err)
	assert.Len(t, vs, 11)

	for value, prefix := range map[string]string{"a": "", "a/b": "x/"} {
		var ids []string
		after := ""
		for {
			page, next, err := byTeam.List(ctx, m, value, after, 3)
			require.NoError(t, err)
			for _, p := range page {
				ids = append(ids, p.ID)
			}
			if after = next; after == "" {
				break
			}
		}
		require.Len(t, ids, 7, value)
		for i, id := range ids {
			assert.Equal(t, fmt.Sprintf("%s%d", prefix, i), id)
		}
	}
	assert.Empty(t, team(t, m, ""), "empty is not indexed")
	assert.Empty(t, team(t, m, strings.Repeat("x", 600)))
	_, _, err = byTeam.List(ctx, m, "a", "", 0)
	assert.ErrorIs(t, err, store.ErrInvalid)
}

func TestNewTablePanics(t *testing.T) {
	id := func(p *person) string { return p.ID }
	assert.Panics(t, func() { store.NewTable("", 1, id) })
	assert.Panics(t, func() { store.NewTable("a.b", 1, id) })
	assert.Panics(t, func() { store.NewTable("a/b", 1, id) })
	assert.Panics(t, func() { store.NewTable("a", 0, id) })
	tab := store.NewTable("a", 1, id)
	tab.Index("x", id)
	assert.Panics(t, func() { tab.Unique("x", id) }, "one name, two indexes")
	assert.Panics(t, func() { tab.Index("x/y", id) })
}

func BenchmarkTableDecode(b *testing.B) {
	m := store.NewMemory()
	if err := store.Transact(b.Context(), m, func(tx *store.Tx) error {
		return people.Insert(b.Context(), tx, &person{ID: "1", Name: "jane", Team: "core"})
	}); err != nil {
		b.Fatal(err)
	}
	items, err := m.Get(b.Context(), people.Key("1"))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := people.Decode(items[0]); err != nil {
			b.Fatal(err)
		}
	}
}

// The row of an expired record may be swept first, and its value belong to another record
// before this one is gone. Changes of the expired record do not change that row.
func TestTableRowOfAnother(t *testing.T) {
	for name, change := range map[string]func(tx *store.Tx) error{
		"delete": func(tx *store.Tx) error { return people.Delete(t.Context(), tx, "1") },
		"rename": func(tx *store.Tx) error {
			_, err := people.Update(t.Context(), tx, "1", func(p *person) error { p.Name = "joan"; return nil })
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := twoJanes(t)
			require.NoError(t, store.Transact(t.Context(), m, change))
			jane, err := byName.Get(t.Context(), m, "jane")
			require.NoError(t, err)
			assert.Equal(t, "2", jane.ID)
		})
	}
	t.Run("prolong", func(t *testing.T) {
		m := twoJanes(t)
		assert.ErrorIs(t, update(t, m, "1", func(p *person) error { p.Expires = time.Unix(2e9, 0); return nil }), store.ErrExists)
		jane, err := byName.Get(t.Context(), m, "jane")
		require.NoError(t, err)
		assert.Equal(t, "2", jane.ID)
	})
	t.Run("prolong without another", func(t *testing.T) {
		m := store.NewMemory()
		require.NoError(t, insert(t, m, person{ID: "1", Name: "jane", Expires: time.Unix(1, 0)}))
		_, err := m.Commit(t.Context(), store.Op{Key: "person.name/jane", At: store.Any, Action: store.Delete})
		require.NoError(t, err)
		require.NoError(t, update(t, m, "1", func(p *person) error { p.Expires = time.Unix(2e9, 0); return nil }))
		_, err = byName.Get(t.Context(), m, "jane")
		assert.NoError(t, err, "the row is there again")
	})
}

// twoJanes returns a store in which a new record has the name of an expired one.
func twoJanes(t *testing.T) *store.Memory {
	t.Helper()
	m := store.NewMemory()
	require.NoError(t, insert(t, m, person{ID: "1", Name: "jane", Expires: time.Unix(1, 0)}))
	_, err := m.Commit(t.Context(), store.Op{Key: "person.name/jane", At: store.Any, Action: store.Delete})
	require.NoError(t, err)
	require.NoError(t, insert(t, m, person{ID: "2", Name: "jane"}))
	return m
}

// A row may outlive its record. It does not prevent a new record with the same id.
func TestTableRowOfItsOwn(t *testing.T) {
	ctx, m := t.Context(), store.NewMemory()
	jane := person{ID: "1", Name: "jane", Expires: time.Unix(1, 0)}
	require.NoError(t, insert(t, m, jane))
	_, err := m.Commit(ctx, store.Op{Key: "person/1", At: store.Any, Action: store.Delete})
	require.NoError(t, err)
	require.NoError(t, insert(t, m, jane))
	got, err := byName.Get(ctx, m, "jane")
	require.NoError(t, err)
	assert.Equal(t, "1", got.ID)
}

// A pass is stored under schema 2; oldPasses is the table of the program before.
type pass struct {
	ID    string `json:"id"`
	Owner string `json:"owner"`
}

var (
	oldPasses = store.NewTable("pass", 1, func(p *pass) string { return p.ID })
	_         = oldPasses.Index("owner", func(p *pass) string { return p.Owner })
	_         = oldPasses.Unique("label", func(p *pass) string { return "label of " + p.ID })

	passes      = store.NewTable("pass", 3, func(p *pass) string { return p.ID }).Since(2)
	passByOwner = passes.Index("owner", func(p *pass) string { return p.Owner })
	passByLabel = passes.Unique("label", func(p *pass) string { return "label of " + p.ID })
)

// withOldPasses returns a store with passes 000 to n-1 of the old schema.
func withOldPasses(t *testing.T, n int) *store.Memory {
	t.Helper()
	m := store.NewMemory()
	for i := range n {
		require.NoError(t, store.Transact(t.Context(), m, func(tx *store.Tx) error {
			return oldPasses.Insert(t.Context(), tx, &pass{ID: fmt.Sprintf("%03d", i), Owner: "jane"})
		}))
	}
	return m
}

func TestSinceReadsNoOlderRecord(t *testing.T) {
	ctx, m := t.Context(), withOldPasses(t, 1)
	it := get(t, m, "pass/000")
	for name, value := range map[string]string{
		"as it was written":     string(it.Value),
		"whatever it holds":     `{"v":1,"d":{"colour":"red"}}`,
		"under another's id":    `{"v":1,"d":{"id":"7"}}`,
		"with its parts turned": `{"d":{"id":"000"},"v":1}`,
	} {
		it.Value = []byte(value)
		_, err := passes.Decode(it)
		assert.ErrorIs(t, err, store.ErrNotFound, name)
	}
	for name, value := range map[string]string{
		"no schema": `{"v":0,"d":{"id":"000"}}`, "a newer one": `{"v":4,"d":{"id":"000"}}`, "no record": `{"v":1}`, "nothing": ``,
	} {
		it.Value = []byte(value)
		_, err := passes.Decode(it)
		assert.ErrorIs(t, err, store.ErrSchema, name)
	}
	it.Value = []byte(`{"v":2,"d":{"id":"000"}}`)
	_, err := passes.Decode(it)
	assert.NoError(t, err, "older than the newest and not left behind")

	_, err = passes.Get(ctx, m, "000")
	assert.ErrorIs(t, err, store.ErrNotFound)
	_, err = passByLabel.Get(ctx, m, "label of 000")
	assert.ErrorIs(t, err, store.ErrNotFound)
	page, next, err := passByOwner.List(ctx, m, "jane", "", 10)
	require.NoError(t, err)
	assert.Empty(t, page)
	assert.Empty(t, next)
	before := get(t, m, "pass/000").Revision
	for name, write := range map[string]func(tx *store.Tx) error{
		"update": func(tx *store.Tx) error {
			_, err := passes.Update(ctx, tx, "000", func(*pass) error { return nil })
			return err
		},
		"delete": func(tx *store.Tx) error { return passes.Delete(ctx, tx, "000") },
	} {
		assert.ErrorIs(t, store.Transact(ctx, m, write), store.ErrNotFound, name)
	}
	assert.Equal(t, before, get(t, m, "pass/000").Revision)
}

// A list continues after records that it omits, so that a short page is the last one.
func TestSinceLists(t *testing.T) {
	ctx, m := t.Context(), withOldPasses(t, 250)
	for _, id := range []string{"100x", "170x", "249x", "zzz"} {
		require.NoError(t, store.Transact(ctx, m, func(tx *store.Tx) error {
			return passes.Insert(ctx, tx, &pass{ID: id, Owner: "jane"})
		}))
	}
	for limit, want := range map[int][]string{1: {"100x"}, 3: {"100x", "170x", "249x"}, 100: {"100x", "170x", "249x", "zzz"}} {
		page, err := passes.List(ctx, m, "", limit)
		require.NoError(t, err)
		var ids []string
		for _, p := range page {
			ids = append(ids, p.ID)
		}
		assert.Equal(t, want, ids, limit)
	}
	page, err := passes.List(ctx, m, "249x", 5)
	require.NoError(t, err)
	assert.Len(t, page, 1)
}

func TestSinceReplacesAtItsRevision(t *testing.T) {
	ctx := t.Context()
	fresh := pass{ID: "000", Owner: "joan"}
	for name, write := range map[string]func(tx *store.Tx) error{
		"insert": func(tx *store.Tx) error { return passes.Insert(ctx, tx, &fresh) },
		"insert of what was read": func(tx *store.Tx) error {
			if _, err := tx.Get(ctx, "pass/000"); err != nil {
				return err
			}
			return passes.Insert(ctx, tx, &fresh)
		},
		"upsert": func(tx *store.Tx) error {
			_, err := passes.Upsert(ctx, tx, "000", func(p *pass, found bool) error {
				assert.False(t, found)
				assert.Zero(t, *p, "nothing of it is carried over")
				*p = fresh
				return nil
			})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := withOldPasses(t, 1)
			require.NoError(t, store.Transact(ctx, m, write))
			got, err := passes.Get(ctx, m, "000")
			require.NoError(t, err)
			assert.Equal(t, fresh, *got)
			got, err = passByLabel.Get(ctx, m, "label of 000")
			require.NoError(t, err, "the value of the old one is taken over")
			assert.Equal(t, fresh, *got)
			assert.ErrorIs(t, store.Transact(ctx, m, func(tx *store.Tx) error { return passes.Insert(ctx, tx, &fresh) }), store.ErrExists)

			// A record that an old program writes meanwhile is not overwritten unread.
			m = withOldPasses(t, 1)
			it := get(t, m, "pass/000")
			runs := 0
			require.NoError(t, store.Transact(ctx, m, func(tx *store.Tx) error {
				if runs++; runs == 2 {
					_, err := m.Commit(ctx, store.Op{Key: it.Key, At: it.Revision, Action: store.Put, Value: it.Value})
					assert.NoError(t, err)
				}
				return write(tx)
			}))
			got, err = passes.Get(ctx, m, "000")
			require.NoError(t, err)
			assert.Equal(t, fresh, *got)
		})
	}
	t.Run("expected", func(t *testing.T) {
		m := withOldPasses(t, 1)
		evidence := get(t, m, "pass/000").Evidence()
		require.NoError(t, store.Transact(ctx, m, func(tx *store.Tx) error {
			tx.Expect(evidence)
			return passes.Insert(ctx, tx, &fresh)
		}))
		err := store.Transact(ctx, m, func(tx *store.Tx) error {
			tx.Expect(evidence)
			return passes.Insert(ctx, tx, &fresh)
		})
		assert.ErrorIs(t, err, store.ErrExists)
	})
}

func TestSinceReindex(t *testing.T) {
	ctx, m := t.Context(), withOldPasses(t, 3)
	require.NoError(t, store.Transact(ctx, m, func(tx *store.Tx) error {
		return passes.Insert(ctx, tx, &pass{ID: "new", Owner: "jane"})
	}))
	require.NoError(t, passes.Reindex(ctx, m))
	assert.Equal(t, []string{
		"pass.label/label%20of%20new", "pass.owner/jane/new", "pass/000", "pass/001", "pass/002", "pass/new",
	}, keys(t, m), "rows that lead to nothing go, records stay until they expire")
}

func TestSincePanics(t *testing.T) {
	tab := store.NewTable("a", 2, func(p *pass) string { return p.ID })
	assert.Panics(t, func() { tab.Since(0) })
	assert.Panics(t, func() { tab.Since(3) })
	assert.NotPanics(t, func() { tab.Since(2) })
}
