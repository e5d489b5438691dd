package npmauth_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/keystest"
	"github.com/npmauth/npmauth/protocol"
)

// A keyPlace is a form that takes what a key of alice's has signed.
type keyPlace struct {
	open         func(w *world) *tab
	decision, by string
	fields       []string
}

// signsInOnPage opens the form for signing in, in a browser of its own.
func signsInOnPage(w *world) *tab { return w.tab().open("/-/auth/profile") }

func loginPage(w *world) *tab {
	loginURL, _, _ := w.start("")
	return w.tab().open(loginURL)
}

func challengePage(w *world) *tab { return w.tab().open(w.challenged()) }

var keyPlaces = map[string]keyPlace{
	"a sign-in":                         {signsInOnPage, "sign-in", "key", []string{"name", "alice", "password", password}},
	"a sign-in of a passkey":            {signsInOnPage, "sign-in", "passkey", nil},
	"the page of a login":               {loginPage, "approve", "key", []string{"name", "alice", "password", password}},
	"the page of a login, of a passkey": {loginPage, "approve", "passkey", nil},
	"the page of a challenge":           {challengePage, "approve", "key", []string{"password", password}},
	"the page of a login by who is signed in": {func(w *world) *tab {
		b := w.alicesTab(protocol.AuthAndWrites)
		u, _, _ := w.start("")
		return b.open(u)
	}, "approve", "key", nil},
	"the page of a challenge by who is signed in": {func(w *world) *tab { b := w.alicesTab(protocol.AuthAndWrites); return b.open(w.challenged()) }, "approve", "key", nil},
	"a profile": {func(w *world) *tab { return w.alicesTab(protocol.AuthAndWrites).open("/-/auth/profile") }, "save", "key", []string{"email", "alice@acme.test"}},
}

// WA-03: what a key signs for one page is good there and on no other, nor on another of its kind, nor in another browser.
func TestKeySignsForOnePage(t *testing.T) {
	for from, signed := range keyPlaces {
		for _, to := range append(slices.Sorted(maps.Keys(keyPlaces)), "where it was signed") {
			t.Run(from+" at "+to, func(t *testing.T) {
				w := newWorld(t)
				w.alice(protocol.AuthAndWrites)
				w.key("alice", "blue")
				b := signed.open(w)
				code, options := b.ask(signed.decision, signed.by, signed.fields...)
				require.Equal(t, 200, code, options)
				key := string(keystest.Sign([]byte(options), "blue"))
				place := signed
				if to != "where it was signed" {
					place = keyPlaces[to]
					b = place.open(w)
				}
				b.submit(place.decision, append(slices.Clone(place.fields), "by", place.by, "key", key)...)
				if to == "where it was signed" {
					assert.Equal(t, 200, b.Code, "%s", b.Body)
					return
				}
				assert.Equal(t, 403, b.Code, "%s", b.Body)
			})
		}
	}
}
