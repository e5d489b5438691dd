package main

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/internal/fuzzbound"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/token"
)

// narrow returns a token that reads one package.
func (w *world) narrow(user, name string) string {
	w.t.Helper()
	pkg, err := protocol.ParsePackageName(name)
	require.NoError(w.t, err)
	secret, _, err := w.auth.Tokens().Create(w.t.Context(), audit.Actor{}, token.Spec{
		User: w.user(user), Name: "narrow", Grants: []protocol.Grant{{Target: protocol.OnePackage, Package: pkg, Permission: protocol.ReadOnly}},
	})
	require.NoError(w.t, err)
	return secret.Reveal()
}

func (w *world) search(bearer, text string, more ...string) (names []string, total int) {
	w.t.Helper()
	body := w.ok("GET", "/-/v1/search?text="+url.QueryEscape(text)+strings.Join(more, ""), bearer, nil)
	var answer struct {
		Objects []struct {
			Package struct {
				Name, Version, Date string
				Maintainers         []username
			}
			Score struct{ Final float64 }
		}
		Total int
	}
	require.NoError(w.t, json.Unmarshal([]byte(body), &answer), body)
	for _, o := range answer.Objects {
		names = append(names, o.Package.Name)
		assert.NotEmpty(w.t, o.Package.Version)
		assert.NotEmpty(w.t, o.Package.Maintainers)
		assert.Positive(w.t, o.Score.Final)
	}
	return names, answer.Total
}

func TestSearch(t *testing.T) {
	w := newWorld(t)
	describe := func(description string, keywords ...string) func(_, m map[string]any) {
		return func(_, m map[string]any) { m["description"], m["keywords"] = description, keywords }
	}
	w.mustPublish("widget", "1.0.0", describe("Turns things"))
	w.mustPublish("widgets", "1.0.0", describe("all of them", "round"))
	w.mustPublish("gadget", "1.0.0", describe("no WIDGET at all"))
	w.mustPublish("@alice/secret", "1.0.0", describe("a widget of ours"))
	w.mustPublish("@alice/other", "1.0.0", describe("a widget of ours"))
	every := []string{"widget", "widgets", "@alice/other", "@alice/secret", "gadget"}

	for name, tt := range map[string]struct {
		bearer, text string
		want         []string
	}{
		"anonymous":       {"", "Widget", []string{"widget", "widgets", "gadget"}},
		"somebody else":   {w.mallory, "widget", []string{"widget", "widgets", "gadget"}},
		"who may":         {w.alice, "widget", every},
		"a narrow token":  {w.narrow("alice", "@alice/secret"), "widget", []string{"widget", "widgets", "@alice/secret", "gadget"}},
		"two words":       {"", "them widget", []string{"widgets"}},
		"keyword":         {"", "round", []string{"widgets"}},
		"nothing":         {"", "absent", nil},
		"what is no word": {"", `%_"';--`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, total := w.search(tt.bearer, tt.text)
			assert.Equal(t, tt.want, got)
			assert.Equal(t, len(tt.want), total)
		})
	}
	t.Run("pages", func(t *testing.T) {
		got, total := w.search(w.alice, "widget", "&size=2&from=1")
		assert.Equal(t, every[1:3], got)
		assert.Equal(t, 5, total)
		got, _ = w.search(w.alice, "widget", "&from=9")
		assert.Empty(t, got)
		for _, bad := range []string{"&size=-1", "&from=x", "&from=99999999999999999999"} {
			w.refused(400, "GET", "/-/v1/search?text=x"+bad, "", nil)
		}
		w.refused(400, "GET", "/-/v1/search?text="+strings.Repeat("a+", searchWords+1), "", nil)
	})
	t.Run("an odd one", func(t *testing.T) { // which hides no other
		_, err := w.db.db.Exec(`UPDATE manifest SET body = CAST('{' AS BLOB) WHERE package = ?`, w.id("widgets"))
		require.NoError(t, err)
		got, _ := w.search("", "gadget")
		assert.Equal(t, []string{"gadget"}, got)
		_, err = w.db.db.Exec(`DELETE FROM tag WHERE package = ?`, w.id("widgets"))
		require.NoError(t, err)
	})
	t.Run("all of it", func(t *testing.T) {
		var all map[string]any
		require.NoError(t, json.Unmarshal([]byte(w.ok("GET", "/-/all", "", nil)), &all))
		assert.Len(t, all, 3)
		assert.Contains(t, all, "_updated")
		assert.NotContains(t, all, "@alice/secret")
		require.NoError(t, json.Unmarshal([]byte(w.ok("GET", "/-/all/since?stale=update_after&startkey=0", w.alice, nil)), &all))
		assert.Contains(t, all, "@alice/secret")
	})
}

func TestStars(t *testing.T) {
	w := newOpenWorld(t)
	alice, mallory := w.session("alice"), w.session("mallory")
	w.mustPublish("widget", "1.0.0", nil)
	w.mustPublish("@alice/secret", "1.0.0", nil)
	star := func(status int, bearer, name string, users map[string]bool) {
		t.Helper()
		doc := w.doc(name)
		got, says := w.send("PUT", "/"+escape(name), bearer, map[string]any{"_id": name, "_rev": doc["_rev"], "users": users})
		assert.Equal(t, status, got, says)
	}
	before := w.doc("widget")
	star(200, alice, "widget", map[string]bool{"alice": true})
	star(200, alice, "@alice/secret", map[string]bool{"alice": true, "mallory": true})
	star(403, mallory, "@alice/secret", map[string]bool{"mallory": true})
	assert.Equal(t, before["_rev"], w.doc("widget")["_rev"], "a star is no change")
	assert.Equal(t, map[string]any{"alice": true}, w.doc("widget")["users"])

	const view = "/-/_view/starredByUser?key=%22alice%22"
	assert.JSONEq(t, `{"rows":[{"value":"@alice/secret"},{"value":"widget"}]}`, w.ok("GET", view, alice, nil))
	assert.JSONEq(t, `{"rows":[{"value":"widget"}]}`, w.ok("GET", view, mallory, nil), "what others may not read is not shown to them")
	assert.JSONEq(t, `{"rows":[]}`, w.ok("GET", "/-/_view/starredByUser?key=%22mallory%22", mallory, nil), "one's own star only")
	assert.JSONEq(t, `["@alice/secret","widget"]`, w.ok("GET", "/-/user/v1/star", alice, nil))
	w.refused(404, "GET", "/-/_view/starredByUser?key=%22nobody%22", alice, nil)
	w.refused(400, "GET", "/-/_view/starredByUser?key=alice", alice, nil)
	w.refused(401, "GET", view, "", nil)

	star(200, alice, "widget", map[string]bool{})
	assert.JSONEq(t, `["@alice/secret"]`, w.ok("GET", "/-/user/v1/star", alice, nil))
	at := target{Name: "widget", ID: "other"}
	assert.ErrorIs(t, w.db.star(t.Context(), at, "u", true), errMoved)
}

// Lists show a token what it may read, whatever its user may.
func TestListPackages(t *testing.T) {
	w := newWorld(t)
	w.mustPublish("widget", "1.0.0", nil)
	w.mustPublish("@alice/secret", "1.0.0", nil)
	w.mustPublish("@alice/other", "1.0.0", nil)
	for bearer, want := range map[string]string{
		w.alice:                            `{"widget":"write","@alice/secret":"write","@alice/other":"write"}`,
		w.mallory:                          `{"widget":"write"}`,
		w.narrow("alice", "@alice/secret"): `{"widget":"write","@alice/secret":"write"}`,
	} {
		assert.JSONEq(t, want, w.ok("GET", "/-/user/alice/package", bearer, nil))
	}
	assert.JSONEq(t, `{}`, w.ok("GET", "/-/-/package", w.mallory, nil))
	assert.JSONEq(t, `{"widget":"write","@alice/secret":"write","@alice/other":"write"}`, w.ok("GET", "/-/-/package", w.alice, nil))
	w.refused(404, "GET", "/-/user/nobody/package", w.alice, nil)
	w.refused(401, "GET", "/-/user/alice/package", "", nil)
	w.refused(404, "GET", "/-/package/@alice%2fsecret/collaborators", w.mallory, nil)
	assert.JSONEq(t, `{"alice":"write"}`, w.ok("GET", "/-/package/widget/collaborators", w.mallory, nil))
}

// A query finds what has all of its words, or is refused, and takes no more than it is long.
func FuzzSearch(f *testing.F) {
	s := newRegistry(f)
	for _, name := range []string{"widget", "gadget"} {
		require.NoError(f, s.db.publish(f.Context(), publicationOf(name, "1.0.0")))
	}
	for _, query := range []string{"text=widget&size=1", "text=ET+dg", "text=%25_%22'&from=3", "size=-1", "from=99999999999", "text=" + strings.Repeat("a+", searchWords+1), "text=%zz;", "text=\u0130"} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		search := func(query string) (found []share, err error) {
			values, _ := url.ParseQuery(query)
			if _, err := number(values.Get("size"), searchPage); err != nil {
				return nil, err
			}
			words, err := searched(values.Get("text"))
			if err != nil {
				return nil, err
			}
			return s.db.search(t.Context(), "", words)
		}
		fuzzbound.Check(t, query, fuzzbound.Bounds{Memory: fuzzbound.Limit{Base: 256 << 10, PerByte: 512}, Work: fuzzbound.Limit{Base: 2}}, func(query string) int {
			found, _ := search(query)
			return len(found)
		})
		found, err := search(query)
		if err != nil {
			var refused *refusal
			require.ErrorAs(t, err, &refused)
		}
		for _, one := range found {
			values, _ := url.ParseQuery(query)
			for _, word := range strings.Fields(strings.ToLower(values.Get("text"))) {
				require.Contains(t, one.Name, word)
			}
		}
	})
}
