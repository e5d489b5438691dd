package npmauthtest

import (
	"context"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/policy"
)

// oneCreator is a host in which only one of the two may take a name.
type oneCreator struct{ rig **rig }

func (p oneCreator) Facts(_ context.Context, _ policy.PackageName, user policy.UserID) (policy.Facts, error) {
	return policy.Facts{MayCreate: user == (*p.rig).Creators[0]}, nil
}

var _ npmauth.Packages = oneCreator{}

// A creator who is refused reaches no host, and the other must not wait for them.
func TestRaceWithoutASecondCreator(t *testing.T) {
	var x *rig
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	x = newRig(t, Registry{Handler: handler, Packages: oneCreator{&x}})
	status, reached := x.race(t.Context())
	assert.Equal(t, [2]int{200, 403}, status)
	assert.Equal(t, [2]bool{true, false}, reached)
}
