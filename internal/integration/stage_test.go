package integration_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// pnpm 12 approves several versions with one command, and shows what it got for the first with the others, too. That is
// spent: it asks once more for each, and publishes all of them. Only the page takes one second factor for several.
func TestApproveSeveral(t *testing.T) {
	t.Parallel()
	play(t, among("pnpm12"), map[string]func(*scene){"page": (*scene).approvesAtPages, "code": (*scene).approvesWithCode, "at-once": (*scene).approvesAtOnce})
}

// stages stages a version of each of two packages, and returns them and the IDs in this order.
func (a *actor) stages() (names, ids []string) {
	a.t.Helper()
	for _, part := range []string{"one", "two"} {
		names = append(names, "@"+a.name+"/"+part)
		a.home.OK(a.home.Package(names[len(names)-1], "1.0.0"), "pnpm", "stage", "publish")
	}
	newest := a.staged()
	require.Len(a.t, newest, 2)
	return names, []string{newest[1], newest[0]}
}

func (s *scene) approvesAtPages() {
	alice := s.person(s.name)
	names, ids := alice.stages()
	p := alice.home.Terminal("", "pnpm", "stage", "approve", ids[0], ids[1])
	for i, name := range names {
		page := alice.atPage(p)
		assert.Contains(s.t, page, name)
		assert.NotContains(s.t, page, names[1-i], "what a page approves is what it shows")
	}
	p.OK()
	alice.all(names, "1.0.0", "latest")
}

func (s *scene) approvesWithCode() {
	alice := s.person(s.name)
	names, ids := alice.stages()
	p := alice.home.Terminal("", "pnpm", "stage", "approve", ids[0], ids[1], "--otp="+alice.app.Lasting())
	p.Expect("Approved " + names[0])
	assert.Contains(s.t, alice.atPage(p), names[1])
	p.OK()
	alice.all(names, "1.0.0", "latest")

	// Without a terminal it cannot ask.
	for _, name := range names {
		alice.home.OK(alice.home.Package(name, "1.1.0"), "pnpm", "stage", "publish")
	}
	newest := alice.staged()
	r := alice.home.Run("", "pnpm", "stage", "approve", newest[1], newest[0], "--otp="+alice.app.Lasting())
	assert.NotZero(s.t, r.Code)
	assert.NotNil(s.t, alice.has(names[0], "1.1.0"), r.Output())
	assert.Nil(s.t, alice.has(names[1], "1.1.0"), r.Output())
}

func (s *scene) approvesAtOnce() {
	alice := s.person(s.name)
	names, ids := alice.stages()
	answer := s.registry.As(alice.home.Token()).Do("POST", "-/auth/v1/staged/approve", map[string]any{"ids": ids}, "npm-otp", alice.app.Fresh())
	require.Equal(s.t, 200, answer.Status, answer.Body)
	alice.all(names, "1.0.0", "latest")
}
