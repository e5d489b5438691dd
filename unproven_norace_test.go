//go:build !race

package npmauth_test

import (
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A publish that is too large to be read for nobody is asked for a code, which it can bring along.
func TestTooLargeToBeReadForNobody(t *testing.T) {
	for _, first := range []bool{false, true} {
		s := newScene(t)
		took := s.takenBy()
		head, tail, found := strings.Cut(string(release{pkg: "plain", version: "3.0.0", tarball: []byte("TARBALL"), first: first}.body()), "VEFSQkFMTA==")
		require.True(t, found)
		read := &counted{Reader: io.MultiReader(strings.NewReader(head), io.LimitReader(letters{}, 300<<20), strings.NewReader(tail))}
		a := s.try(call{method: "PUT", path: "/plain", body: read}, "")
		isChallenge(t, a)
		assert.Empty(t, a.text("authUrl"))
		assert.Empty(t, a.text("doneUrl"))
		assert.NotContains(t, a.Header().Get("Npm-Notice"), "http")
		assert.Zero(t, took.calls)
		assert.Empty(t, s.pages())
		assert.GreaterOrEqual(t, read.n, 256<<20)
		assert.Less(t, read.n, 257<<20)
	}
}
