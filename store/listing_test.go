package store_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/store"
)

type post struct {
	ID      string    `json:"id"`
	Author  string    `json:"author,omitempty"`
	Rank    string    `json:"rank,omitempty"`
	Title   string    `json:"title,omitempty"`
	Text    string    `json:"text,omitempty"`
	Expires time.Time `json:"expires,omitzero"`
}

type headline struct {
	ID    string `json:"id"`
	Title string `json:"title"`
}

func newPosts(schema, since int) (*store.Table[post], *store.Listing[post, headline]) {
	t := store.NewTable("post", schema, func(p *post) string { return p.ID }).Since(since).
		Expiring(func(p *post) time.Time { return p.Expires })
	return t, store.NewListing(t, "by", func(p *post) (string, string) { return p.Author, p.Rank },
		func(p *post) *headline { return &headline{p.ID, p.Title} })
}

var posts, postsBy = newPosts(1, 1)

func transact(t *testing.T, s store.Store, fn func(ctx context.Context, tx *store.Tx) error) {
	t.Helper()
	require.NoError(t, store.Transact(t.Context(), s, func(tx *store.Tx) error { return fn(t.Context(), tx) }))
}

func insertPost(t *testing.T, s store.Store, p post) {
	t.Helper()
	transact(t, s, func(ctx context.Context, tx *store.Tx) error { return posts.Insert(ctx, tx, &p) })
}

func changePost(t *testing.T, s store.Store, id string, fn func(*post)) {
	t.Helper()
	transact(t, s, func(ctx context.Context, tx *store.Tx) error {
		_, err := posts.Update(ctx, tx, id, func(p *post) error { fn(p); return nil })
		return err
	})
}

// by returns the IDs and titles of a group, read in pages.
func by(t *testing.T, s store.Reader, group string) []string {
	t.Helper()
	shown := []string{}
	for after := ""; ; {
		page, next, err := postsBy.List(t.Context(), s, group, after, 3)
		require.NoError(t, err)
		for _, h := range page {
			shown = append(shown, h.ID+" "+h.Title)
		}
		if next == "" {
			return shown
		}
		after = next
	}
}

func TestListingLifeOfARecord(t *testing.T) {
	m := store.NewMemory()
	at := time.Unix(1e9, 0).UTC()
	for i, rank := range []string{"b", "a", "c"} {
		insertPost(t, m, post{ID: fmt.Sprint(i), Author: "jane", Rank: rank, Title: "of " + rank, Expires: at})
	}
	insertPost(t, m, post{ID: "3", Author: "jane/b", Rank: "a"})
	insertPost(t, m, post{ID: "4", Rank: "a"})
	assert.Equal(t, []string{
		"post.by/jane%2Fb/a/3", "post.by/jane/a/1", "post.by/jane/b/0", "post.by/jane/c/2", "post/0", "post/1", "post/2", "post/3", "post/4",
	}, keys(t, m))
	assert.Equal(t, at, get(t, m, "post.by/jane/b/0").Expires)
	assert.Equal(t, []string{"1 of a", "0 of b", "2 of c"}, by(t, m, "jane"))
	assert.Empty(t, by(t, m, ""))
	assert.Empty(t, by(t, m, "nobody"))
	assert.Empty(t, by(t, m, strings.Repeat("x", 600)))

	changePost(t, m, "0", func(p *post) { p.Title = "new" })
	assert.Equal(t, []string{"1 of a", "0 new", "2 of c"}, by(t, m, "jane"), "what is shown")
	changePost(t, m, "0", func(p *post) { p.Rank = "d" })
	assert.Equal(t, []string{"1 of a", "2 of c", "0 new"}, by(t, m, "jane"), "where")
	revision := get(t, m, "post.by/jane/d/0").Revision
	changePost(t, m, "0", func(p *post) { p.Text = "not shown" })
	assert.Equal(t, revision, get(t, m, "post.by/jane/d/0").Revision, "it shows nothing of the change")
	changePost(t, m, "0", func(p *post) { p.Expires = at.Add(time.Hour) })
	assert.Equal(t, at.Add(time.Hour), get(t, m, "post.by/jane/d/0").Expires)
	changePost(t, m, "0", func(p *post) { p.Author = "jane/b" })
	assert.Equal(t, []string{"1 of a", "2 of c"}, by(t, m, "jane"), "in which group")
	assert.Equal(t, []string{"3 ", "0 new"}, by(t, m, "jane/b"))
	changePost(t, m, "0", func(p *post) { p.Author = "" })
	assert.Equal(t, []string{"3 "}, by(t, m, "jane/b"), "in none")

	transact(t, m, func(ctx context.Context, tx *store.Tx) error {
		_, err := posts.Upsert(ctx, tx, "4", func(p *post, _ bool) error { p.Author = "jane"; return nil })
		return err
	})
	assert.Equal(t, []string{"1 of a", "4 ", "2 of c"}, by(t, m, "jane"), "two in one place are in the order of their IDs")
	for i := range 5 {
		transact(t, m, func(ctx context.Context, tx *store.Tx) error { return posts.Delete(ctx, tx, fmt.Sprint(i)) })
	}
	assert.Empty(t, keys(t, m))
}

// A page costs one List, and reads no row that it does not show.
func TestListingReadsWhatItShows(t *testing.T) {
	m := store.NewMemory()
	for i := range 250 {
		insertPost(t, m, post{ID: fmt.Sprint(i), Author: "jane", Rank: fmt.Sprintf("%03d", 249-i)})
	}
	c := &counter{Store: m}
	var ids []string
	for after := ""; ; {
		lists, rows := c.lists, c.rows
		page, next, err := postsBy.List(t.Context(), c, "jane", after, 40)
		require.NoError(t, err)
		assert.Equal(t, 1, c.lists-lists)
		assert.Equal(t, len(page), c.rows-rows)
		for _, h := range page {
			ids = append(ids, h.ID)
		}
		if next == "" {
			break
		}
		after = next
	}
	require.Len(t, ids, 250)
	assert.Equal(t, "249", ids[0])
	assert.Equal(t, "0", ids[249])
	assert.Zero(t, c.gets)
}

// A sweep may delete the record or its row first. Neither prevents a change.
func TestListingSwept(t *testing.T) {
	old := post{ID: "1", Author: "jane", Rank: "a", Title: "old", Expires: time.Unix(1, 0)}
	sweep := func(t *testing.T, key string) *store.Memory {
		m := store.NewMemory()
		insertPost(t, m, old)
		require.True(t, get(t, m, key).Exists())
		_, err := m.Commit(t.Context(), store.Op{Key: key, At: store.Any, Action: store.Delete})
		require.NoError(t, err)
		return m
	}
	t.Run("the row", func(t *testing.T) {
		m := sweep(t, "post.by/jane/a/1")
		assert.Empty(t, by(t, m, "jane"))
		changePost(t, m, "1", func(p *post) { p.Expires = time.Unix(2e9, 0) })
		assert.Equal(t, []string{"1 old"}, by(t, m, "jane"), "it is there again")
		m = sweep(t, "post.by/jane/a/1")
		changePost(t, m, "1", func(p *post) { p.Rank = "b" })
		assert.Equal(t, []string{"1 old"}, by(t, m, "jane"))
		m = sweep(t, "post.by/jane/a/1")
		transact(t, m, func(ctx context.Context, tx *store.Tx) error { return posts.Delete(ctx, tx, "1") })
		assert.Empty(t, keys(t, m))
	})
	t.Run("the record", func(t *testing.T) {
		m := sweep(t, "post/1")
		assert.Equal(t, []string{"1 old"}, by(t, m, "jane"), "until it is swept as well")
		insertPost(t, m, post{ID: "1", Author: "jane", Rank: "a", Title: "new"})
		assert.Equal(t, []string{"1 new"}, by(t, m, "jane"))
	})
}

func TestListingIsStrict(t *testing.T) {
	m := store.NewMemory()
	insertPost(t, m, post{ID: "1", Author: "jane", Rank: "a"})
	for name, value := range map[string]string{
		"unknown field": `{"v":1,"d":{"id":"1","title":"","only_on":"mondays"}}`,
		"wrong type":    `{"v":1,"d":{"id":1,"title":""}}`,
		"newer schema":  `{"v":2,"d":{"id":"1","title":""}}`,
		"trailing data": `{"v":1,"d":{"id":"1","title":""}}{}`,
		"nothing":       ``,
	} {
		put(t, m, "post.by/jane/a/1", value)
		_, _, err := postsBy.List(t.Context(), m, "jane", "", 10)
		assert.ErrorIs(t, err, store.ErrSchema, name)
	}
	for _, after := range []string{"a", "/", "a/", "a b/1", "a/1/2", "a%2f/1", "a/\x00", strings.Repeat("x", 600) + "/1", "é/1"} {
		_, _, err := postsBy.List(t.Context(), m, "jane", after, 10)
		assert.ErrorIs(t, err, store.ErrInvalid, "%q", after)
	}
	for _, limit := range []int{-1, 0, 101} {
		_, _, err := postsBy.List(t.Context(), m, "jane", "", limit)
		assert.ErrorIs(t, err, store.ErrInvalid)
	}
	err := store.Transact(t.Context(), m, func(tx *store.Tx) error {
		return posts.Insert(t.Context(), tx, &post{ID: "2", Author: strings.Repeat("x", 600)})
	})
	assert.ErrorIs(t, err, store.ErrInvalid, "a group too long for a key")
}

// Rows of an excluded schema are not shown, and their replacements are.
func TestListingSince(t *testing.T) {
	m := store.NewMemory()
	insertPost(t, m, post{ID: "1", Author: "jane", Rank: "a", Title: "old"})
	insertPost(t, m, post{ID: "2", Author: "jane", Rank: "b", Title: "old"})
	table, listing := newPosts(2, 2)
	transact(t, m, func(ctx context.Context, tx *store.Tx) error {
		return table.Insert(ctx, tx, &post{ID: "2", Author: "jane", Rank: "b", Title: "new"})
	})
	page, next, err := listing.List(t.Context(), m, "jane", "", 10)
	require.NoError(t, err)
	assert.Equal(t, []*headline{{"2", "new"}}, page)
	assert.Empty(t, next)
}

func TestListingReindex(t *testing.T) {
	ctx, m := t.Context(), store.NewMemory()
	plain := store.NewTable("post", 1, func(p *post) string { return p.ID })
	for i := range 120 {
		transact(t, m, func(ctx context.Context, tx *store.Tx) error {
			return plain.Insert(ctx, tx, &post{ID: fmt.Sprintf("p/%03d", i), Author: "jane", Rank: fmt.Sprint(i % 7), Title: "t"})
		})
	}
	put(t, m, "post.by/jane/9/p%2F001", "in another place")
	put(t, m, "post.by/jane/2/p%2F002", "not what it shows")
	put(t, m, "post.by/jane/2/p%2F999", "of no record")
	put(t, m, "post.by/jane/nonsense", "")
	put(t, m, "post.gone/jane/1/p%2F001", "of a listing that is no more")
	for range 2 {
		require.NoError(t, posts.Reindex(ctx, m))
		assert.Len(t, by(t, m, "jane"), 120)
		for _, k := range []string{"post.by/jane/9/p%2F001", "post.by/jane/2/p%2F999", "post.by/jane/nonsense", "post.gone/jane/1/p%2F001"} {
			assert.False(t, get(t, m, k).Exists(), k)
		}
	}
}

// After any operations on records, by several goroutines, the rows match the records.
func TestListingFollowsItsRecords(t *testing.T) {
	ctx, m := t.Context(), store.NewMemory()
	done := make(chan struct{})
	for g := range 4 {
		go func() {
			defer func() { done <- struct{}{} }()
			rng := rand.New(rand.NewPCG(uint64(g), 1))
			for range 150 {
				id := fmt.Sprint(rng.IntN(6))
				err := store.Transact(ctx, m, func(tx *store.Tx) error {
					if rng.IntN(3) == 0 {
						return posts.Delete(ctx, tx, id)
					}
					_, err := posts.Upsert(ctx, tx, id, func(p *post, _ bool) error {
						p.ID, p.Author = id, []string{"", "jane", "joan"}[rng.IntN(3)]
						p.Rank, p.Title = fmt.Sprint(rng.IntN(4)), fmt.Sprint(rng.IntN(4))
						return nil
					})
					return err
				})
				if err != nil && !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrConflict) {
					t.Error(err)
				}
			}
		}()
	}
	for range 4 {
		<-done
	}
	all, err := posts.List(ctx, m, "", 100)
	require.NoError(t, err)
	for _, author := range []string{"jane", "joan"} {
		var want []*post
		for _, p := range all {
			if p.Author == author {
				want = append(want, p)
			}
		}
		slices.SortFunc(want, func(a, b *post) int { return strings.Compare(a.Rank+a.ID, b.Rank+b.ID) })
		titles := []string{}
		for _, p := range want {
			titles = append(titles, p.ID+" "+p.Title)
		}
		assert.Equal(t, titles, by(t, m, author))
	}
}

func TestNewListingPanics(t *testing.T) {
	tab := store.NewTable("a", 1, func(p *post) string { return p.ID })
	place := func(*post) (string, string) { return "", "" }
	same := func(p *post) *post { return p }
	tab.Index("x", func(*post) string { return "" })
	store.NewListing(tab, "y", place, same)
	for name, declare := range map[string]func(){
		"an index's name":  func() { store.NewListing(tab, "x", place, same) },
		"a listing's name": func() { store.NewListing(tab, "y", place, same) },
		"of an index":      func() { tab.Index("y", func(*post) string { return "" }) },
		"unusable":         func() { store.NewListing(tab, "y/z", place, same) },
		"no place":         func() { store.NewListing(tab, "z", nil, same) },
		"nothing shown":    func() { store.NewListing[post, post](tab, "z", place, nil) },
	} {
		assert.Panics(t, declare, name)
	}
}
