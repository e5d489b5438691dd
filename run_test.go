package npmauth_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/token"
)

// running runs fn while a world's Run does what can wait, in a bubble whose clock is the
// world's too, and returns what Run returned.
func running(t *testing.T, fn func(w *world)) (w *world, err error) {
	t.Helper()
	w = newWorld(t, func(cfg *npmauth.Config) { cfg.Users, cfg.Now = aliceAlone{}, time.Now })
	w.ids["alice"] = "alice"
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- w.auth.Run(ctx) }()
	fn(w)
	cancel()
	return w, <-done
}

// keys returns the keys in the store that contain some text.
func (w *world) keys(text string) (keys []string) {
	w.t.Helper()
	for after := ""; ; {
		items, err := w.store.List(context.Background(), "", after, 100)
		require.NoError(w.t, err)
		for _, it := range items {
			after = it.Key
			if strings.Contains(it.Key, text) {
				keys = append(keys, it.Key)
			}
		}
		if len(items) < 100 {
			return keys
		}
	}
}

// Last-used times are written every half minute, and once more at the end: a use just before
// is not lost with the process.
func TestRunWritesLastUses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, err := running(t, func(w *world) {
			early, tok := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly)})
			require.Equal(t, 200, whoami(w, early))
			assert.Empty(t, w.keys("token-used/"+tok.ID), "not while a client waits")
			time.Sleep(31 * time.Second)
			assert.NotEmpty(t, w.keys("token-used/"+tok.ID))
			late, _ := w.token("alice", token.Spec{Name: "late", Grants: grantAll(protocol.ReadOnly)})
			require.Equal(t, 200, whoami(w, late))
		})
		require.NoError(t, err)
		tokens, _, _, err := w.auth.Tokens().List(t.Context(), "alice", token.ListOptions{})
		require.NoError(t, err)
		require.Len(t, tokens, 2)
		for _, tok := range tokens {
			assert.NotEmpty(t, w.keys("token-used/"+tok.ID), tok.Name)
		}
	})
}

// What a collected login's secret is derived with is erased within a minute.
func TestRunForgetsSalts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, err := running(t, func(w *world) {
			loginURL, doneURL, _ := w.start("")
			require.Less(t, w.submit(loginURL, map[string]string{"name": "alice", "password": password}).Code, 400)
			s := w.poll(doneURL, "GET").text("token")
			require.Equal(t, 200, whoami(w, s))
			assert.NotEmpty(t, w.keys("salted"), "npm may poll again")
			time.Sleep(time.Minute + time.Second)
			assert.Empty(t, w.keys("salted"))
			assert.Equal(t, 200, whoami(w, s))
		})
		require.NoError(t, err)
	})
}

// A sweep goes on until nothing is left that expired long ago, however much that is.
func TestRunSweepsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, err := running(t, func(w *world) {
			const n = 1100 // more than two batches
			for i := range n {
				ops := []store.Op{{Key: fmt.Sprintf("sweep.me/%04d", i), Action: store.Put, Expires: time.Now().Add(time.Minute)}}
				_, err := w.store.Commit(t.Context(), ops...)
				require.NoError(t, err)
			}
			_, err := w.store.Commit(t.Context(), store.Op{Key: "sweep.me/not", Action: store.Put, Expires: time.Now().Add(24 * time.Hour)})
			require.NoError(t, err)
			time.Sleep(store.SweepGrace)
			assert.Len(t, w.keys("sweep.me/"), n+1, "what expired a moment ago may be read by who is slow")
			time.Sleep(17 * time.Minute)
			assert.Equal(t, []string{"sweep.me/not"}, w.keys("sweep.me/"))
		})
		require.NoError(t, err)
	})
}
