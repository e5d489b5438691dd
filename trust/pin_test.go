package trust_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/trust"
)

// The numeric IDs tell a repository from one that has its name later: OI-18, O-05.
func TestResurrection(t *testing.T) {
	for name, ids := range map[string][]string{
		"github, only names": {"repository_id", "repository_owner_id"},
		"gitlab, only names": {"project_id", "namespace_id"},
		"custom, only names": {"repository_id"},
	} {
		p := named(t, name)
		before, err := json.Marshal(p.publisher)
		require.NoError(t, err)
		pins := trust.Pins(p.publisher, p.token(t))
		require.Len(t, pins, len(ids), name)
		pinned, err := p.publisher.WithPins(pins)
		require.NoError(t, err)
		after, err := json.Marshal(p.publisher)
		require.NoError(t, err)
		assert.JSONEq(t, string(before), string(after), "a publisher is not changed under its owner")

		first := p
		p.publisher = pinned
		assert.Empty(t, p.match(t), name)
		assert.Empty(t, trust.Pins(pinned, p.token(t)), "all are pinned")
		for n, id := range ids {
			assert.Equal(t, trust.Pin{Claim: id, Value: p.claims[id].(string)}, pins[n])
			other := p.with(id, "999")
			assert.Equal(t, "different", reason(other.match(t), id), name)
			assert.Empty(t, trust.Pins(pinned, other.token(t)))
			assert.Len(t, trust.Pins(first.publisher, other.token(t)), len(ids), "the first one decides")

			_, err = pinned.WithPins([]trust.Pin{{Claim: id, Value: "999"}})
			assert.ErrorContains(t, err, "another "+id)
			again, err := pinned.WithPins(pins[n : n+1])
			require.NoError(t, err)
			assert.Equal(t, pinned, again)
		}
		assert.Empty(t, trust.Pins(first.publisher, p.with("event_name", "fork").with("pipeline_source", "merge_request_event").token(t)), "what does not match pins nothing")
	}
	for _, name := range []string{"oidc", "circleci, any context"} {
		p := named(t, name)
		assert.Empty(t, trust.Pins(p.publisher, p.token(t)))
		_, err := p.publisher.WithPins([]trust.Pin{{Claim: "repository_id", Value: "1"}})
		assert.Error(t, err)
	}
	_, err := named(t, "github, only names").publisher.WithPins([]trust.Pin{{Claim: "repository_id", Value: "0x1"}})
	assert.Error(t, err)
	_, err = trust.Publisher{Kind: trust.KindCustom}.WithPins([]trust.Pin{{Claim: "repository_id", Value: "1"}})
	assert.Error(t, err)
}
