package npmauth_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/token"
)

// labelled are packages that the host gave labels.
type labelled struct {
	*backend
	labels []string
}

func (l labelled) Facts(ctx context.Context, pkg protocol.PackageName, user protocol.UserID) (policy.Facts, error) {
	facts, err := l.backend.Facts(ctx, pkg, user)
	facts.Labels = l.labels
	return facts, err
}

// A host's own facts reach the rules of its own policy: groups of the user, labels of the package, the
// name of the token.
func TestRulesReadOwnFacts(t *testing.T) {
	people := newMembers("alice")
	people.rows[0].user.Groups = []string{"release-managers"}
	var seen []policy.Request
	w := newMemberWorld(t, people, func(cfg *npmauth.Config) {
		cfg.Packages = labelled{cfg.Packages.(*backend), []string{"critical"}}
		cfg.Foreign = func(context.Context, credential.Secret) (host.ForeignToken, error) {
			return host.ForeignToken{ID: "old", Name: "jenkins", User: people.rows[0].user.ID}, nil
		}
		cfg.Policy = policy.NPM().With(policy.Rule{
			ID: "witness", Sentence: "Never said.", Actions: []protocol.Action{protocol.ReadPackument},
			Judge: func(r *policy.Request) policy.Verdict {
				witnessed := *r
				witnessed.Credential = new(*r.Credential)
				seen = append(seen, witnessed)
				return policy.Silent
			},
		})
	})
	w.host.add("plain", false, "")
	ci, _ := w.token("alice", token.Spec{Name: "ci", Grants: grantAll(protocol.ReadOnly)})
	for name, bearer := range map[string]string{"ci": ci, "jenkins": "0123456789"} {
		seen = nil
		assert.Equal(t, http.StatusOK, w.do(call{method: http.MethodGet, path: "/plain", bearer: bearer}).Code)
		require.NotEmpty(t, seen)
		last := seen[len(seen)-1]
		assert.Equal(t, name, last.Credential.Name)
		assert.True(t, last.Account.InGroup("release-managers"))
		assert.False(t, last.Account.InGroup("release"))
		assert.True(t, last.Package.HasLabel("critical"))
		assert.False(t, last.Package.HasLabel(""))
	}
}
