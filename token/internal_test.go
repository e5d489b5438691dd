package token

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/subject"
)

// AU-45: an event says what a token may do, until when and where from.
func TestEvents(t *testing.T) {
	tok := Token{
		ID: "id", User: "alice", Name: "ci", Bypass: true, Replaces: "old", Expires: time.Unix(1e9, 0).UTC(),
		Grants: []protocol.Grant{{Target: protocol.AllPackages, Permission: protocol.ReadWrite}},
		CIDRs:  []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")},
	}
	e := created(tok)
	assert.Equal(t, audit.TokenCreated, e.Type)
	assert.Equal(t, protocol.UserID("alice"), e.User)
	assert.Equal(t, "id", e.Credential)
	for key, want := range map[string]string{
		"name": "ci", "expires": "2001-09-09T01:46:40Z", "cidr": "192.0.2.0/24 2001:db8::/32", "bypass": "true", "replaces": "old",
	} {
		assert.Equal(t, want, e.Detail[key])
	}
	e = created(Token{Grants: tok.Grants})
	for _, key := range []string{"cidr", "bypass", "replaces"} {
		assert.NotContains(t, e.Detail, key)
	}
	r := &record{Digest: credential.Digest{1}, User: "alice"}
	assert.Equal(t, audit.Event{Type: audit.TokenRevoked, User: "alice", Credential: IDOf(r.Digest), Reasons: []string{"leaked"}}, ended(r, "leaked"))
	assert.Empty(t, ended(r, "").Reasons)
}

// No two pairs of a user and numbers share a group, whatever the form of a host's IDs.
func TestGroupOf(t *testing.T) {
	seen := map[string]bool{}
	for _, user := range []protocol.UserID{"a", "a.0", "a.0.0", "a.0.0.0", "a/0", "a.1"} {
		for _, n := range []subject.Numbers{{}, {Kind: 1}, {All: 1}, {Everyone: 1}, {Everyone: 1<<64 - 1, All: 1<<64 - 1, Kind: 1<<64 - 1}} {
			g := groupOf(user, n)
			assert.False(t, seen[g], g)
			seen[g] = true
		}
	}
}
