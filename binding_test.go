package npmauth_test

import (
	"fmt"
	"html"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/internal/keystest"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/trust"
	"github.com/npmauth/npmauth/twofactor"
)

// A bound is one request that takes a second factor.
type bound struct {
	name   string
	action protocol.Action
	call   func(s *scene) call

	// same is what it has in common with those others that make the same change in another
	// form, for which its proof is good. "" is nothing.
	same string
}

// sends is a request that is the same in every scene.
func sends(method, path, body string) func(*scene) call {
	c := call{method: method, path: path, body: body}
	if body == "" {
		c.body = nil
	}
	return func(*scene) call { return c }
}

func is(c call) func(*scene) call { return func(*scene) call { return c } }

// ofToken is a request whose path names a token of a scene: its key replaces KEY.
func ofToken(name, method, path, body string) func(*scene) call {
	return func(s *scene) call { return sends(method, strings.Replace(path, "KEY", s.keys[name], 1), body)(s) }
}

// makes is a request for a token.
func makes(path, fields string) func(*scene) call {
	return sends("POST", path, `{"password":"`+password+`",`+fields+`}`)
}

func rotates(fields string) string { return `{"password":"` + password + `"` + fields + `}` }

func changesPassword(to string) func(*scene) call {
	return sends("POST", "/-/npm/v1/user", `{"password":{"old":"`+password+`","new":"`+to+`"}}`)
}

// addsKey is a request that adds a key of alice's.
func addsKey(name, id string) func(*scene) call {
	return func(s *scene) call {
		options := fmt.Sprintf(`{"kind":"register","user":%q,"nonce":"n"}`, s.ids["alice"])
		return sends("POST", ownFactors, fmt.Sprintf(`{"type":"key","name":%q,"password":%q,"response":%s}`, name, password, keystest.Make([]byte(options), id)))(s)
	}
}

const (
	ownTokens = "/-/npm/v1/tokens"

	ownSessions = "/-/auth/v1/sessions"
	ownFactors  = "/-/auth/v1/factors"
	cdTokens    = "/-/auth/v1/services/cd/tokens"
	longText    = 700 // bytes: more than a page shows
)

// bounds are requests that differ in one thing from another at least: whatever two of them have
// not in common is a change of its own.
var bounds = slices.Concat([]bound{
	{"publish", protocol.Publish, is(release{pkg: "plain", version: "3.0.0"}.call()), ""},
	{"publish, tarball first", protocol.Publish, is(release{pkg: "plain", version: "3.0.0", first: true}.call()), ""},
	{"publish with a script", protocol.Publish, is(release{pkg: "plain", version: "3.0.0", script: "node ."}.call()), ""},
	{"publish with another script", protocol.Publish, is(release{pkg: "plain", version: "3.0.0", script: "node x"}.call()), ""},
	{"publish with provenance", protocol.Publish, is(release{pkg: "plain", version: "3.0.0", bundle: "{}"}.call()), ""},
	{"publish with a readme", protocol.Publish, is(release{pkg: "plain", version: "3.0.0", readme: "read me"}.call()), ""},
	{"publish, as public as it is", protocol.Publish, is(release{pkg: "plain", version: "3.0.0", access: "public"}.call()), ""},
	{"publish another version", protocol.Publish, is(release{pkg: "plain", version: "3.0.1"}.call()), ""},
	{"publish another version, tarball first", protocol.Publish, is(release{pkg: "plain", version: "3.0.2", first: true}.call()), ""},
	{"publish another package", protocol.Publish, is(release{pkg: "second", version: "3.0.0"}.call()), ""},
	{"publish with another tag", protocol.Publish, is(release{pkg: "plain", version: "3.0.0", tags: []string{"next"}}.call()), ""},
	{"publish with two tags", protocol.Publish, is(release{pkg: "plain", version: "3.0.0", tags: []string{"next", "latest"}}.call()), ""},
	{"publish without a tag", protocol.Publish, is(release{pkg: "plain", version: "3.0.0", tags: []string{}}.call()), ""},
	{"publish another tarball", protocol.Publish, is(release{pkg: "plain", version: "3.0.0", tarball: []byte("other bytes")}.call()), ""},
	{"publish another tarball that comes first", protocol.Publish, is(release{pkg: "plain", version: "3.0.0", tarball: []byte("more bytes"), first: true}.call()), ""},
	{"publish with a shasum alone", protocol.Publish, is(release{pkg: "plain", version: "3.0.0", integrity: "-"}.call()), ""},
	{"publish with another shasum alone", protocol.Publish, is(release{pkg: "plain", version: "3.0.0", integrity: "-", tarball: []byte("other bytes")}.call()), ""},
	{"publish without a hash", protocol.Publish, is(release{pkg: "plain", version: "3.0.0", integrity: "-", shasum: "-"}.call()), ""},
	{"publish a new package", protocol.Publish, is(release{pkg: "@acme/new", version: "3.0.0"}.call()), ""},
	{"publish a new package in the open", protocol.Publish, is(release{pkg: "@acme/new", version: "3.0.0", access: "public"}.call()), ""},
	{"publish a new package for few", protocol.Publish, is(release{pkg: "@acme/new", version: "3.0.0", access: "restricted"}.call()), ""},
	{"publish a new package of another scope", protocol.Publish, is(release{pkg: "@acme-new/new", version: "3.0.0"}.call()), ""},

	{"set a tag", protocol.SetDistTag, sends("PUT", "/-/package/plain/dist-tags/next", `"1.0.0"`), "tag"},
	{"set a tag with POST", protocol.SetDistTag, sends("POST", "/-/package/plain/dist-tags/next", `"1.0.0"`), "tag"},
	{"set a tag by the older path", protocol.SetDistTag, sends("PUT", "/plain/next", `"1.0.0"`), "tag"},
	{"set a tag to another version", protocol.SetDistTag, sends("PUT", "/-/package/plain/dist-tags/next", `"2.0.0"`), ""},
	{"set another tag", protocol.SetDistTag, sends("PUT", "/-/package/plain/dist-tags/Next", `"1.0.0"`), ""},
	{"set a tag of another package", protocol.SetDistTag, sends("PUT", "/-/package/second/dist-tags/next", `"1.0.0"`), ""},
	{"set the tag that can be removed", protocol.SetDistTag, sends("PUT", "/-/package/plain/dist-tags/old", `"1.0.0"`), ""},
	{"remove a tag", protocol.RemoveDistTag, sends("DELETE", "/-/package/plain/dist-tags/old", ""), ""},
	{"remove another tag", protocol.RemoveDistTag, sends("DELETE", "/-/package/plain/dist-tags/older", ""), ""},
	{"remove a tag of another package", protocol.RemoveDistTag, sends("DELETE", "/-/package/second/dist-tags/old", ""), ""},

	{"deprecate", protocol.Deprecate, is(deprecates("plain", map[string]string{"2.0.0": "do not use"})), ""},
	{"deprecate with another message", protocol.Deprecate, is(deprecates("plain", map[string]string{"2.0.0": "do not  use"})), ""},
	{"deprecate with a message that looks the same", protocol.Deprecate, is(deprecates("plain", map[string]string{"2.0.0": "do not\u200b use"})), ""},
	{"deprecate with a message that ends in a space", protocol.Deprecate, is(deprecates("plain", map[string]string{"2.0.0": "do not use "})), ""},
	{"deprecate with a long message", protocol.Deprecate, is(deprecates("plain", map[string]string{"2.0.0": strings.Repeat("a", longText) + "b"})), ""},
	{"deprecate with another long message", protocol.Deprecate, is(deprecates("plain", map[string]string{"2.0.0": strings.Repeat("a", longText) + "c"})), ""},
	{"deprecate another version", protocol.Deprecate, is(deprecates("plain", map[string]string{"2.1.0": "do not use"})), ""},
	{"deprecate two versions", protocol.Deprecate, is(deprecates("plain", map[string]string{"2.0.0": "do not use", "2.1.0": "do not use"})), ""},
	{"deprecate two versions differently", protocol.Deprecate, is(deprecates("plain", map[string]string{"2.0.0": "do not use", "2.1.0": "with the same message"})), ""},
	{"deprecate another package", protocol.Deprecate, is(deprecates("second", map[string]string{"2.0.0": "do not use"})), ""},
	{"take a deprecation away", protocol.Deprecate, is(deprecates("plain", map[string]string{"1.0.0": ""})), ""},

	{"unpublish a version", protocol.Unpublish, is(unpublishes("plain", nil, "2.0.0")), ""},
	{"unpublish another version", protocol.Unpublish, is(unpublishes("plain", map[string]any{"latest": "2.0.0"}, "2.1.0")), ""},
	{"unpublish and move the tag elsewhere", protocol.Unpublish, is(unpublishes("plain", map[string]any{"latest": "1.0.0"}, "2.1.0")), ""},
	{"unpublish and remove the tag", protocol.Unpublish, is(unpublishes("plain", map[string]any{"latest": nil}, "2.1.0")), ""},
	{"unpublish two versions", protocol.Unpublish, is(unpublishes("plain", map[string]any{"latest": "1.0.0"}, "2.1.0", "2.0.0")), ""},
	{"unpublish a version of another package", protocol.Unpublish, is(unpublishes("second", nil, "2.0.0")), ""},
	{"unpublish by the tarball", protocol.Unpublish, sends("DELETE", "/plain/-/plain-2.0.0.tgz/-rev/7-a", ""), ""},
	{"unpublish by another tarball", protocol.Unpublish, sends("DELETE", "/plain/-/plain-2.1.0.tgz/-rev/7-a", ""), ""},
	{"unpublish by a tarball of another package", protocol.Unpublish, sends("DELETE", "/second/-/second-2.0.0.tgz/-rev/7-a", ""), ""},
	{"delete a tarball of no version", protocol.Unpublish, sends("DELETE", "/plain/-/plain-0.9.0.tgz/-rev/7-a", ""), ""},
	{"unpublish a package", protocol.UnpublishAll, sends("DELETE", "/plain/-rev/7-a", ""), ""},
	{"unpublish another package", protocol.UnpublishAll, sends("DELETE", "/second/-rev/7-a", ""), ""},

	{"replace an owner", protocol.WriteOwners, is(owners("plain", "alice", "carol")), "owners"},
	{"replace an owner, in another order", protocol.WriteOwners, is(owners("plain", "carol", "alice")), "owners"},
	{"replace an owner in the whole document", protocol.WriteOwners, is(docOf("plain", func(d map[string]any) {
		d["maintainers"] = []map[string]string{{"name": "alice"}, {"name": "carol"}}
	})), "owners"},
	{"replace an owner by another", protocol.WriteOwners, is(owners("plain", "alice", "mallory")), ""},
	{"add an owner to the document", protocol.WriteOwners, is(owners("plain", "alice", "bob", "carol")), ""},
	{"remove an owner from the document", protocol.WriteOwners, is(owners("plain", "alice")), ""},
	{"remove the other owner from the document", protocol.WriteOwners, is(owners("plain", "bob")), ""},
	{"replace an owner of another package", protocol.WriteOwners, is(owners("second", "alice", "carol")), ""},
	{"add an owner", protocol.WriteOwners, sends("PUT", "/-/package/plain/owners", `{"user":"carol"}`), "owner"},
	{"add an owner with npm's @", protocol.WriteOwners, sends("PUT", "/-/package/plain/owners", `{"user":"@carol"}`), "owner"},
	{"add another owner", protocol.WriteOwners, sends("PUT", "/-/package/plain/owners", `{"user":"mallory"}`), ""},
	{"add an owner of another package", protocol.WriteOwners, sends("PUT", "/-/package/second/owners", `{"user":"carol"}`), ""},
	{"remove an owner", protocol.WriteOwners, sends("DELETE", "/-/package/plain/owners/bob", ""), ""},
	{"remove another owner", protocol.WriteOwners, sends("DELETE", "/-/package/plain/owners/carol", ""), ""},
	{"remove an owner of another package", protocol.WriteOwners, sends("DELETE", "/-/package/second/owners/bob", ""), ""},

	{"make a package restricted", protocol.SetAccess, sends("POST", "/-/package/plain/access", `{"access":"restricted"}`), ""},
	{"make a package public", protocol.SetAccess, sends("POST", "/-/package/plain/access", `{"access":"public"}`), ""},
	{"make another package restricted", protocol.SetAccess, sends("POST", "/-/package/second/access", `{"access":"restricted"}`), ""},
	{"mfa=publish", protocol.SetAccess, sends("POST", "/-/package/plain/access", `{"publish_requires_tfa":true,"automation_token_overrides_tfa":false}`), "mfa"},
	{"mfa=publish, in fewer words", protocol.SetAccess, sends("POST", "/-/package/plain/access", `{"publish_requires_tfa":true}`), "mfa"},
	{"mfa=automation", protocol.SetAccess, sends("POST", "/-/package/plain/access", `{"publish_requires_tfa":true,"automation_token_overrides_tfa":true}`), ""},
	{"every factor counts", protocol.SetAccess, sends("POST", "/-/package/plain/access", `{"keys_only":false}`), ""},
	{"only trusted publishers publish", protocol.SetAccess, sends("POST", "/-/package/plain/access", `{"publishers_only":true}`), ""},
	{"people publish, too", protocol.SetAccess, sends("POST", "/-/package/plain/access", `{"publishers_only":false}`), ""},
	{"only what is staged is published", protocol.SetAccess, sends("POST", "/-/package/plain/access", `{"stage_only":true}`), ""},
	{"staging is not demanded", protocol.SetAccess, sends("POST", "/-/package/plain/access", `{"stage_only":false}`), ""},
	{"two people approve", protocol.SetAccess, sends("POST", "/-/package/plain/access", `{"approvals":2}`), ""},
	{"three people approve", protocol.SetAccess, sends("POST", "/-/package/plain/access", `{"approvals":3}`), ""},
	{"another person approves", protocol.SetAccess, sends("POST", "/-/package/plain/access", `{"other_approver":true}`), ""},
	{"who staged approves, too", protocol.SetAccess, sends("POST", "/-/package/plain/access", `{"other_approver":false}`), ""},
	{"mfa=publish and every factor counts", protocol.SetAccess, sends("POST", "/-/package/plain/access", `{"publish_requires_tfa":true,"keys_only":false}`), ""},
	{"every factor counts for another package", protocol.SetAccess, sends("POST", "/-/package/second/access", `{"keys_only":false}`), ""},
	{"mfa=publish of another package", protocol.SetAccess, sends("POST", "/-/package/second/access", `{"publish_requires_tfa":true}`), ""},

	{"make somebody an admin", protocol.WriteOrg, sends("PUT", "/-/org/acme/user", `{"user":"bob","role":"admin"}`), ""},
	{"make somebody an owner of the organization", protocol.WriteOrg, sends("PUT", "/-/org/acme/user", `{"user":"bob","role":"owner"}`), ""},
	{"make somebody a member", protocol.WriteOrg, sends("PUT", "/-/org/acme/user", `{"user":"bob"}`), ""},
	{"make another an admin", protocol.WriteOrg, sends("PUT", "/-/org/acme/user", `{"user":"carol","role":"admin"}`), ""},
	{"make somebody an admin of another organization", protocol.WriteOrg, sends("PUT", "/-/org/beta/user", `{"user":"bob","role":"admin"}`), ""},
	{"remove a member", protocol.WriteOrg, sends("DELETE", "/-/org/acme/user", `{"user":"bob"}`), ""},
	{"remove another member", protocol.WriteOrg, sends("DELETE", "/-/org/acme/user", `{"user":"carol"}`), ""},
	{"remove a member of another organization", protocol.WriteOrg, sends("DELETE", "/-/org/beta/user", `{"user":"bob"}`), ""},

	{"require a second factor", protocol.SetOrgFactor, sends("PUT", "/-/auth/v1/orgs/acme", `{"require_2fa":true}`), ""},
	{"require no second factor", protocol.SetOrgFactor, sends("PUT", "/-/auth/v1/orgs/acme", `{"require_2fa":false}`), ""},
	{"require a second factor of another organization", protocol.SetOrgFactor, sends("PUT", "/-/auth/v1/orgs/beta", `{"require_2fa":true}`), ""},
	{"every factor counts in an organization", protocol.SetOrgFactor, sends("PUT", "/-/auth/v1/orgs/acme", `{"keys_only":false}`), ""},
	{"require a second factor of which every kind counts", protocol.SetOrgFactor, sends("PUT", "/-/auth/v1/orgs/acme", `{"require_2fa":true,"keys_only":false}`), ""},
	{"only trusted publishers publish in an organization", protocol.SetOrgFactor, sends("PUT", "/-/auth/v1/orgs/acme", `{"publishers_only":true}`), ""},
	{"people publish in an organization, too", protocol.SetOrgFactor, sends("PUT", "/-/auth/v1/orgs/acme", `{"publishers_only":false}`), ""},
	{"only what is staged is published in an organization", protocol.SetOrgFactor, sends("PUT", "/-/auth/v1/orgs/acme", `{"stage_only":true}`), ""},
	{"two people approve in an organization", protocol.SetOrgFactor, sends("PUT", "/-/auth/v1/orgs/acme", `{"approvals":2}`), ""},
	{"who staged approves in an organization, too", protocol.SetOrgFactor, sends("PUT", "/-/auth/v1/orgs/acme", `{"other_approver":false}`), ""},
	{"every factor counts in another organization", protocol.SetOrgFactor, sends("PUT", "/-/auth/v1/orgs/beta", `{"keys_only":false}`), ""},
	{"only trusted publishers publish in the own scope", protocol.SetOrgFactor, sends("PUT", "/-/auth/v1/orgs/alice", `{"publishers_only":true}`), ""},
	{"create a team", protocol.WriteTeam, sends("PUT", "/-/org/acme/team", `{"name":"devs"}`), "team"},
	{"create a team, described", protocol.WriteTeam, sends("PUT", "/-/org/acme/team", `{"team":"devs","description":"us"}`), "team"},
	{"create another team", protocol.WriteTeam, sends("PUT", "/-/org/acme/team", `{"name":"ops"}`), ""},
	{"create a team of another organization", protocol.WriteTeam, sends("PUT", "/-/org/beta/team", `{"name":"devs"}`), ""},
	{"destroy a team", protocol.WriteTeam, sends("DELETE", "/-/team/acme/devs", ""), ""},
	{"destroy another team", protocol.WriteTeam, sends("DELETE", "/-/team/acme/ops", ""), ""},
	{"destroy a team of another organization", protocol.WriteTeam, sends("DELETE", "/-/team/beta/devs", ""), ""},
	{"add to a team", protocol.WriteTeamMember, sends("PUT", "/-/team/acme/devs/user", `{"user":"bob"}`), ""},
	{"add another to a team", protocol.WriteTeamMember, sends("PUT", "/-/team/acme/devs/user", `{"user":"carol"}`), ""},
	{"add to another team", protocol.WriteTeamMember, sends("PUT", "/-/team/acme/ops/user", `{"user":"bob"}`), ""},
	{"add to a team of another organization", protocol.WriteTeamMember, sends("PUT", "/-/team/beta/devs/user", `{"user":"bob"}`), ""},
	{"remove from a team", protocol.WriteTeamMember, sends("DELETE", "/-/team/acme/devs/user", `{"user":"bob"}`), ""},
	{"let a team write", protocol.GrantTeam, sends("PUT", "/-/team/acme/devs/package", `{"package":"plain","permissions":"read-write"}`), ""},
	{"let a team read", protocol.GrantTeam, sends("PUT", "/-/team/acme/devs/package", `{"package":"plain","permissions":"read-only"}`), ""},
	{"let a team write another package", protocol.GrantTeam, sends("PUT", "/-/team/acme/devs/package", `{"package":"second","permissions":"read-write"}`), ""},
	{"let another team write", protocol.GrantTeam, sends("PUT", "/-/team/acme/ops/package", `{"package":"plain","permissions":"read-write"}`), ""},
	{"let a team of another organization write", protocol.GrantTeam, sends("PUT", "/-/team/beta/devs/package", `{"package":"plain","permissions":"read-write"}`), ""},
	{"take a package from a team", protocol.GrantTeam, sends("DELETE", "/-/team/acme/devs/package", `{"package":"plain"}`), ""},
	{"take another package from a team", protocol.GrantTeam, sends("DELETE", "/-/team/acme/devs/package", `{"package":"second"}`), ""},

	{"rotate", protocol.CreateToken, ofToken("t1", "POST", "/-/auth/v1/tokens/KEY/rotate", rotates("")), "rotate"},
	{"rotate, in more words", protocol.CreateToken, ofToken("t1", "POST", "/-/auth/v1/tokens/KEY/rotate", rotates(`,"grace":24`)), "rotate"},
	{"rotate with another grace", protocol.CreateToken, ofToken("t1", "POST", "/-/auth/v1/tokens/KEY/rotate", rotates(`,"grace":2`)), ""},
	{"rotate without a grace", protocol.CreateToken, ofToken("t1", "POST", "/-/auth/v1/tokens/KEY/rotate", rotates(`,"grace":0`)), ""},
	{"rotate for long", protocol.CreateToken, ofToken("t1", "POST", "/-/auth/v1/tokens/KEY/rotate", rotates(`,"expires":10`)), ""},
	{"rotate another", protocol.CreateToken, ofToken("t2", "POST", "/-/auth/v1/tokens/KEY/rotate", rotates("")), ""},
	{"rotate of a service", protocol.ManageService, ofToken("c1", "POST", ciTokens+"/KEY/rotate", rotates("")), ""},
	{"rotate of a service with another grace", protocol.ManageService, ofToken("c1", "POST", ciTokens+"/KEY/rotate", rotates(`,"grace":2`)), ""},
	{"rotate another of a service", protocol.ManageService, ofToken("c2", "POST", ciTokens+"/KEY/rotate", rotates("")), ""},

	{"revoke", protocol.RevokeToken, ofToken("t1", "DELETE", ownTokens+"/token/KEY", ""), "revoke"},
	{"revoke by its text", protocol.RevokeToken, ofToken("t1 text", "DELETE", ownTokens+"/token/KEY", ""), "revoke"},
	{"revoke another", protocol.RevokeToken, ofToken("t2", "DELETE", ownTokens+"/token/KEY", ""), ""},
	{"revoke all", protocol.RevokeToken, sends("DELETE", "/-/auth/v1/tokens", ""), ""},
	{"end a session", protocol.EndSession, ofToken("s1", "DELETE", ownSessions+"/KEY", ""), ""},
	{"end another session", protocol.EndSession, ofToken("s2", "DELETE", ownSessions+"/KEY", ""), ""},
	{"end all other sessions", protocol.EndSession, sends("DELETE", ownSessions, ""), ""},
	{"revoke of a service", protocol.RevokeService, ofToken("c1", "DELETE", ciTokens+"/KEY", ""), ""},
	{"revoke another of a service", protocol.RevokeService, ofToken("c2", "DELETE", ciTokens+"/KEY", ""), ""},

	{"list the trusted publishers", protocol.ReadTrust, sends("GET", "/-/package/plain/trust", ""), ""},
	{"list those of another package", protocol.ReadTrust, sends("GET", "/-/package/second/trust", ""), ""},
	{"check a job", protocol.CheckTrust, sends("POST", "/-/auth/v1/trust/plain/check", checkBody), ""},
	{"check a job of another package", protocol.CheckTrust, sends("POST", "/-/auth/v1/trust/second/check", checkBody), ""},
	{"trust a publisher", protocol.WriteTrust, sends("POST", "/-/package/second/trust", trustBody("createPackage")), "trust"},
	{"trust a publisher, with what it says anyway", protocol.WriteTrust, sends("POST", "/-/package/second/trust", trustWith(`"issuer":"`+trust.GitHubURL+`"`)), "trust"},
	{"trust a publisher that stages", protocol.WriteTrust, sends("POST", "/-/package/second/trust", trustBody("createStagedPackage")), ""},
	{"trust a publisher that does both", protocol.WriteTrust, sends("POST", "/-/package/second/trust", trustBody("createPackage", "createStagedPackage")), ""},
	{"trust a publisher of a repository", protocol.WriteTrust, sends("POST", "/-/package/second/trust", strings.Replace(trustBody("createPackage"), "acme/widget", "acme/gadget", 1)), ""},
	{"trust a publisher of a workflow", protocol.WriteTrust, sends("POST", "/-/package/second/trust", strings.Replace(trustBody("createPackage"), "release.yml", "Release.yml", 1)), ""},
	{"trust a publisher of protected branches", protocol.WriteTrust, sends("POST", "/-/package/second/trust", trustWith(`"ref_protected":true`)), ""},
	{"trust a publisher with an event", protocol.WriteTrust, sends("POST", "/-/package/second/trust", trustWith(`"allow_events":["push"]`)), ""},
	{"trust a publisher of another package", protocol.WriteTrust, sends("POST", "/-/package/plain/trust", strings.Replace(trustBody("createPackage"), "release.yml", "third.yml", 1)), ""},
	{"trust a publisher of a new package", protocol.WriteTrust, sends("POST", "/-/package/@acme%2fnew/trust", pendingBody("createPackage")), ""},
	{"trust a publisher of a new package of another name", protocol.WriteTrust, sends("POST", "/-/package/@acme-new%2fnew/trust", pendingBody("createPackage")), ""},
	{"trust a publisher no more", protocol.WriteTrust, ofToken("publisher", "DELETE", "/-/package/plain/trust/KEY", ""), ""},
	{"trust another publisher no more", protocol.WriteTrust, ofToken("other publisher", "DELETE", "/-/package/plain/trust/KEY", ""), ""},
	{"list the trusted publishers of a scope", protocol.ReadOrgTrust, sends("GET", ownOrgs+"/acme/trust", ""), ""},
	{"list those of another scope", protocol.ReadOrgTrust, sends("GET", ownOrgs+"/beta/trust", ""), ""},
	{"trust a publisher in a scope", protocol.WriteOrgTrust, sends("POST", ownOrgs+"/acme/trust", strings.Replace(trustBody("createPackage"), "release.yml", "third.yml", 1)), "org trust"},
	{"trust a publisher in a scope, with what it says anyway", protocol.WriteOrgTrust, sends("POST", ownOrgs+"/acme/trust", strings.Replace(trustWith(`"issuer":"`+trust.GitHubURL+`"`), "release.yml", "third.yml", 1)), "org trust"},
	{"trust a publisher in a scope that stages", protocol.WriteOrgTrust, sends("POST", ownOrgs+"/acme/trust", strings.Replace(trustBody("createStagedPackage"), "release.yml", "third.yml", 1)), ""},
	{"trust a publisher in another scope", protocol.WriteOrgTrust, sends("POST", ownOrgs+"/beta/trust", strings.Replace(trustBody("createPackage"), "release.yml", "third.yml", 1)), ""},
	{"trust a publisher of a scope no more", protocol.WriteOrgTrust, ofToken("publisher of a scope", "DELETE", ownOrgs+"/acme/trust/KEY", ""), ""},
	{"trust another publisher of a scope no more", protocol.WriteOrgTrust, ofToken("other publisher of a scope", "DELETE", ownOrgs+"/acme/trust/KEY", ""), ""},
	{"approve a staged version", protocol.ApproveStaged, ofToken("staged 4.0.0", "POST", "/-/stage/KEY/approve", ""), ""},
	{"approve another staged version", protocol.ApproveStaged, ofToken("staged 4.1.0", "POST", "/-/stage/KEY/approve", ""), ""},
	{"reject a staged version", protocol.RejectStaged, ofToken("staged 4.0.0", "DELETE", "/-/stage/KEY", ""), ""},
	{"reject another staged version", protocol.RejectStaged, ofToken("staged 4.2.0", "DELETE", "/-/stage/KEY", ""), ""},
	{"approve two staged versions", protocol.ApproveStaged, ofStaged("approve", "staged 4.0.0", "staged 4.1.0"), ""},
	{"approve two others", protocol.ApproveStaged, ofStaged("approve", "staged 4.0.0", "staged 4.2.0"), ""},
	{"reject two staged versions", protocol.RejectStaged, ofStaged("reject", "staged 4.0.0", "staged 4.1.0"), ""},
	{"set the full name", protocol.WriteProfile, sends("POST", "/-/npm/v1/user", `{"fullname":"Alice A."}`), "name"},
	{"set the full name as npm does", protocol.WriteProfile, sends("POST", "/-/npm/v1/user", `{"fullname":"Alice A.","homepage":null,"email":"alice@acme.test"}`), "name"},
	{"set another full name", protocol.WriteProfile, sends("POST", "/-/npm/v1/user", `{"fullname":"Alice B."}`), ""},
	{"set another field", protocol.WriteProfile, sends("POST", "/-/npm/v1/user", `{"github":"Alice A."}`), ""},
	{"set two fields", protocol.WriteProfile, sends("POST", "/-/npm/v1/user", `{"fullname":"Alice A.","github":"Alice A."}`), ""},
	{"set the address", protocol.WriteProfile, sends("POST", "/-/npm/v1/user", `{"email":"alice@new.test"}`), ""},
	{"set another address", protocol.WriteProfile, sends("POST", "/-/npm/v1/user", `{"email":"alice@newer.test"}`), ""},
	{"set the address and a name", protocol.WriteProfile, sends("POST", "/-/npm/v1/user", `{"email":"alice@new.test","fullname":"Alice A."}`), ""},
	{"set the password", protocol.SetPassword, changesPassword(newPassword), ""},
	{"set another password", protocol.SetPassword, changesPassword(newPassword + "s"), ""},
	{"switch the mode", protocol.SetTwoFactor, sends("POST", "/-/npm/v1/user", tfa("auth-only")), ""},
	{"switch the mode to what it is", protocol.SetTwoFactor, sends("POST", "/-/npm/v1/user", tfa("auth-and-writes")), ""},
	{"add a key", protocol.AddFactor, addsKey("red", "one"), ""},
	{"add a key called otherwise", protocol.AddFactor, addsKey("Red", "one"), ""},
	{"add another key", protocol.AddFactor, addsKey("red", "two"), ""},
	{"remove a key", protocol.RemoveFactor, sends("DELETE", ownFactors+"/blue", ""), ""},
	{"remove another key", protocol.RemoveFactor, sends("DELETE", ownFactors+"/green", ""), ""},
	{"let all factors count", protocol.SetTwoFactor, sends("PUT", ownFactors, `{"keys_only":false}`), ""},
	{disablesFactor, protocol.SetTwoFactor, sends("POST", "/-/npm/v1/user", tfa("disable")), ""},
}, tokenBounds())

// ofStaged is a decision about several staged versions of a scene.
func ofStaged(decision string, names ...string) func(*scene) call {
	return func(s *scene) call {
		var ids []string
		for _, name := range names {
			ids = append(ids, s.keys[name])
		}
		c := decides(decision, ids...)
		return sends(c.method, c.path, c.body.(string))(s)
	}
}

// checkBody has claims to compare.
const checkBody = `{"claims":{"iss":"` + trust.GitHubURL + `"}}`

// trustWith is trustBody with more fields beside the type.
func trustWith(more string) string {
	return strings.Replace(trustBody("createPackage"), `"type":`, more+`,"type":`, 1)
}

// disablesFactor is the one after which no second factor is asked for.
const disablesFactor = "turn the factor off"

// tokenBounds are requests for tokens that differ in one field each.
func tokenBounds() (all []bound) {
	const (
		all1 = `"packages_all":true,"packages_and_scopes_permission":"read-write"`
		some = `"name":"n","packages":["plain","second"],"packages_and_scopes_permission":"read-write"`
	)
	fields := []struct{ name, fields, same string }{
		{"make a token", `"name":"n",` + all1, "make"},
		{"make a token, as the API has it", `"token_name":"n","bypass_2fa":false,` + all1, "make"},
		{"make a token called otherwise", `"name":"N",` + all1, ""},
		{"make a token that is described", `"name":"n","description":"for CI",` + all1, ""},
		{"make a token that is described otherwise", `"name":"n","description":"for CI.",` + all1, ""},
		{"make a token that reads", `"name":"n","packages_all":true`, ""},
		{"make a token that stages", `"name":"n","packages_all":true,"packages_and_scopes_permission":"read-write-stage-only"`, ""},
		{"make a token that publishes", `"name":"n","verbs":["publish"],` + all1, ""},
		{"make a token that unpublishes", `"name":"n","verbs":["unpublish"],` + all1, ""},
		{"make a token that bypasses", `"name":"n","bypass_2fa":true,` + all1, ""},
		{"make a token for a network", `"name":"n","cidr":["192.0.2.0/24"],` + all1, ""},
		{"make a token for a larger network", `"name":"n","cidr":["192.0.2.0/23"],` + all1, ""},
		{"make a token for two networks", `"name":"n","cidr":["192.0.2.0/24","198.51.100.0/24"],` + all1, ""},
		{"make a token for days", `"name":"n","expires":7,` + all1, ""},
		{"make a token for more days", `"name":"n","expires":8,` + all1, ""},
		{"make a token to a date", `"name":"n","expires":"2026-03-08",` + all1, ""},
		{"make a token to another date", `"name":"n","expires":"2026-03-08T00:00:01Z",` + all1, ""},
		{"make a token of packages", some, "some"},
		{"make a token of packages, in another order", `"name":"n","packages":["second,plain"],"packages_and_scopes_permission":"read-write"`, "some"},
		{"make a token of one package", `"name":"n","packages":["plain"],"packages_and_scopes_permission":"read-write"`, ""},
		{"make a token of one package that reads", `"name":"n","packages":["plain"]`, ""},
		{"make a token of a scope", `"name":"n","scopes":["@acme"],"packages_and_scopes_permission":"read-write"`, ""},
		{"make a token of another scope", `"name":"n","scopes":["@acme-new"],"packages_and_scopes_permission":"read-write"`, ""},
		{"make a token of an organization", `"name":"n","orgs":["acme"],"orgs_permission":"read-write"`, ""},
		{"make a token of an organization that reads", `"name":"n","orgs":["acme"]`, ""},
	}
	for _, f := range fields {
		all = append(all, bound{f.name, protocol.CreateToken, makes(ownTokens, f.fields), f.same})
	}
	for _, f := range fields[:10] {
		same := f.same
		if same != "" {
			same += " of a service"
		}
		all = append(all, bound{f.name + " of a service", protocol.ManageService, makes(ciTokens, f.fields), same})
	}
	return append(all, bound{"make a token of another service", protocol.ManageService, makes(cdTokens, fields[0].fields), ""})
}

// sameChange reports whether two of them make the same change.
func sameChange(a, b bound) bool { return a.name == b.name || a.same != "" && a.same == b.same }

// Every action that can be challenged is in the set, more than once, under names that tell
// the requests apart.
func TestBoundsAreAll(t *testing.T) {
	names, n := map[string]bool{}, map[protocol.Action]int{}
	for _, b := range bounds {
		assert.False(t, names[b.name], "two are called %q", b.name)
		names[b.name] = true
		n[b.action]++
	}
	rules := policy.NPM()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	asked := 0
	for _, action := range protocol.Actions() {
		d := rules.Decide(policy.Request{
			Operation:  protocol.Operation{Action: action, Package: protocol.PackageName{Name: "plain"}, Org: "acme", Service: "ci"},
			Credential: &policy.Credential{ID: "s", Kind: policy.KindSession, User: "alice", Created: now, Expires: now.Add(time.Hour)},
			Account:    policy.Account{ID: "alice", Name: "alice", TwoFactor: protocol.AuthAndWrites},
			Package:    policy.Facts{ID: "id-plain", Rights: allRights}, Org: policy.OrgFacts{ID: "o", Role: protocol.OrgOwner}, Administers: true, Now: now,
		})
		if d.Effect == policy.Challenge {
			asked++
			assert.Greater(t, n[action], 1, action)
		}
	}
	assert.Len(t, n, asked)
}

// A sample is which requests of the set a test tries: all of them, or some that are
// always the same.
func sample(share int) (some []bound) {
	if !testing.Short() && !raceEnabled {
		return bounds
	}
	order := rand.New(rand.NewPCG(7, 11)).Perm(len(bounds))[:len(bounds)/share]
	slices.Sort(order)
	for _, i := range order {
		some = append(some, bounds[i])
	}
	return some
}

// What somebody approved on a page, or typed a code for, is what happens and nothing else:
// a proof for one change is tried on every other, before it is spent and after it.
//
// The exceptions are those that clients need. The same change in another form of request is the
// same change. A typed code that was spent on publishing or on a dist-tag serves for both, of
// any package, as long as it would be accepted. What repeats a request that a client repeats
// is done again. TestFollowUpsOfAnUnpublish, TestProofOfAList and TestCodeOfALegacyLogin have the
// others.
//
// AU-10, AU-11.
func TestProofIsForOneChange(t *testing.T) {
	others := sample(4)
	for i, a := range sample(8) {
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			was := s.rows()
			refused := func(got answer, what string, b bound) {
				t.Helper()
				isChallenge(t, got)
				require.Empty(t, s.host.written(), "%s for %s", what, b.name)
			}
			unchanged := func() {
				t.Helper()
				require.Empty(t, s.changed(was))
			}
			does := func(b bound, otp, what string) {
				t.Helper()
				got := s.try(b.call(s), otp)
				require.Less(t, got.Code, 300, "%s for %s: %s", what, b.name, got.Body)
				require.Equal(t, b.action.Write(), len(s.changed(was)) > 0, "%s for %s", what, b.name)
				was = s.restore(was)
			}
			again := func(b bound, otp, what string) {
				t.Helper()
				if a.action.Repeats() {
					does(b, otp, what)
				} else {
					isChallenge(t, s.try(b.call(s), otp))
				}
			}

			web, typed := s.approved(s.try(a.call(s), ""))
			unchanged()
			values := []string{web, typed}
			tried := 0
			for j, b := range others {
				if !sameChange(a, b) {
					tried++
					refused(s.try(b.call(s), values[(i+j)%2]), "a proof that waits", b)
				}
			}
			unchanged()
			does(a, web, "its proof")
			if a.name == disablesFactor {
				return
			}
			isChallenge(t, s.try(a.call(s), typed)) // one of the two, once
			_, values[1] = s.approved(s.try(a.call(s), ""))
			does(a, values[1], "its digits")
			again(a, values[0], "its proof again")
			again(a, values[1], "its digits again")
			for j, b := range others {
				switch {
				case a.name == b.name:
				case sameChange(a, b):
					again(b, values[(i+j)%2], "the proof of the same change")
				case (i+j)%3 == 0:
					refused(s.try(b.call(s), values[(i+j)/3%2]), "a proof that was spent", b)
				}
			}
			unchanged()

			code := s.code("alice")
			does(a, code, "a code")
			again(a, code, "a code again")
			for _, b := range others {
				switch {
				case a.name == b.name:
				case sameChange(a, b):
					again(b, code, "the code of the same change")
				case slices.Contains(acrossPackages, a.action) && slices.Contains(acrossPackages, b.action):
					does(b, code, "a code for publishing and dist-tags")
				default:
					refused(s.try(b.call(s), code), "a code that was spent", b)
				}
			}
			unchanged()
			require.Greater(t, tried, len(others)-6)
		})
	}
}

// acrossPackages are what one typed code serves for.
var acrossPackages = []protocol.Action{protocol.Publish, protocol.SetDistTag, protocol.RemoveDistTag}

var (
	shownLine = regexp.MustCompile(`(?s)<dt>(.*?)</dt><dd>(.*?)</dd>`)
	htmlTag   = regexp.MustCompile(`<[^>]*>`)
)

// saidOn is what a page says in its lists, as a browser shows it: without markup, and every run
// of white space is one space.
func saidOn(page answer) string {
	var all []string
	for _, m := range shownLine.FindAllStringSubmatch(page.Body.String(), -1) {
		all = append(all, m[1]+": "+strings.Join(strings.Fields(html.UnescapeString(htmlTag.ReplaceAllString(m[2], ""))), " "))
	}
	return strings.Join(all, "\n")
}

// Whoever reads the page can tell every change of the set from every other.
//
// AU-10.
func TestPageTellsChangesApart(t *testing.T) {
	s := newScene(t)
	said := map[string]bound{}
	for _, b := range bounds {
		a := s.try(b.call(s), "")
		isChallenge(t, a)
		_, _, page := s.open(a.text("authUrl"))
		require.Equal(t, 200, page.Code)
		text := saidOn(page)
		require.Contains(t, text, "Operation: "+strings.ReplaceAll(b.action.String(), "-", " "))
		assert.NotContains(t, text, "With a body whose SHA-256 is", "%s: nobody can read what is approved", b.name)
		if other, twice := said[text]; twice {
			assert.True(t, sameChange(b, other), "%q and %q have one page:\n%s", b.name, other.name, text)
		}
		for seen, other := range maps.All(said) {
			if sameChange(b, other) {
				assert.Equal(t, seen, text, "%q and %q", b.name, other.name)
			}
		}
		said[text] = b
	}
	assert.Greater(t, len(said), 100)
	require.Empty(t, s.host.written())
}

// The DELETE of a tarball belongs to the unpublish that came before it, once its version is out of
// the document, and only then.
//
// AU-10.
func TestFollowUpsOfAnUnpublish(t *testing.T) {
	tarball := func(pkg, v string) call {
		return call{method: "DELETE", path: fmt.Sprintf("/%s/-/%s-%s.tgz/-rev/7-a", pkg, pkg, v)}
	}
	for name, prove := range map[string]func(s *scene, c call) string{
		"proof":  func(s *scene, c call) string { proof, _ := s.approved(s.try(c, "")); return proof },
		"digits": func(s *scene, c call) string { _, typed := s.approved(s.try(c, "")); return typed },
		"code":   func(s *scene, _ call) string { return s.code("alice") },
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			first := unpublishes("plain", nil, "2.0.0")
			value := prove(s, first)
			if name != "code" { // which is for whatever it is shown for first
				isChallenge(t, s.try(tarball("plain", "2.0.0"), value))
			}
			require.Equal(t, 200, s.try(first, value).Code)
			isChallenge(t, s.try(tarball("plain", "2.0.0"), value)) // the document has it still
			for _, pkg := range []string{"plain", "second"} {
				s.host.mu.Lock()
				s.host.packages[protocol.PackageName{Name: pkg}].versions = []string{"2.1.0"}
				s.host.mu.Unlock()
			}
			isChallenge(t, s.try(tarball("plain", "1.0.0"), value)) // it went by another request
			isChallenge(t, s.try(tarball("plain", "2.1.0"), value))
			isChallenge(t, s.try(tarball("second", "2.0.0"), value))
			isChallenge(t, s.try(call{method: "DELETE", path: "/plain/-rev/7-a"}, value))
			require.Len(t, s.host.written(), 1)
			require.Equal(t, 200, s.try(tarball("plain", "2.0.0"), value).Code)
			require.Equal(t, 200, s.try(tarball("plain", "2.0.0"), value).Code, "and its retry")
			assert.Equal(t, `unpublish plain 2.0.0 {"Tarballs":["2.0.0"]}`, s.host.written()[1])
		})
	}
}

// What was there when the page was made may be another when its proof comes: the change is another
// then, and is asked for anew.
//
// AU-10.
func TestDocumentChangesAfterThePage(t *testing.T) {
	for name, tt := range map[string]struct {
		call   call
		change func(p *hosted)
	}{
		"a version that a document does not have": {unpublishes("plain", nil, "2.0.0"), func(p *hosted) { p.versions = append(p.versions, "2.0.1") }},
		"an owner that a document does not have":  {owners("plain", "alice", "carol"), func(p *hosted) { p.maintainers = append(p.maintainers, "dave") }},
		"an owner who is there by now":            {owners("plain", "alice", "carol"), func(p *hosted) { p.maintainers = append(p.maintainers, "carol") }},
		"an owner who is gone by now":             {owners("plain", "alice", "carol"), func(p *hosted) { p.maintainers = []string{"alice"} }},
		"a message that was set":                  {deprecates("plain", map[string]string{"2.0.0": "no"}), func(p *hosted) { p.deprecated["2.1.0"] = "new" }},
		"a version that is gone, by the tarball": {
			call{method: "DELETE", path: "/plain/-/plain-2.0.0.tgz/-rev/7-a"}, func(p *hosted) { p.versions = []string{"1.0.0"} },
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			proof, _ := s.approved(s.try(tt.call, ""))
			s.host.change(tt.change)
			isChallenge(t, s.try(tt.call, proof))
			require.Empty(t, s.host.written())
			s.resetHost()
			require.Equal(t, 200, s.try(tt.call, proof).Code, "it was not spent on the other")
		})
	}
}

// A code that was typed for the login of an older client is presented once more by the session
// that it opened, for one publish; for nothing else, and not before the others were refused.
//
// AU-11.
func TestCodeOfALegacyLogin(t *testing.T) {
	s := newScene(t)
	code := s.code("alice")
	a := s.do(call{method: "PUT", path: "/-/user/org.couchdb.user:alice", body: couchUser("alice"), otp: code})
	require.Equal(t, 201, a.Code)
	s.session = a.text("token")
	for _, b := range bounds {
		if b.action != protocol.Publish {
			isChallenge(t, s.try(b.call(s), code))
		}
	}
	require.Empty(t, s.host.written())
	require.Equal(t, 200, s.publish("plain", "3.0.0", s.session, code).Code)
	require.Equal(t, 200, s.publish("plain", "3.0.0", s.session, code).Code, "its retry")
	s.resetHost()
	for _, b := range bounds {
		if b.name != "publish" && b.same != "publish" {
			isChallenge(t, s.try(b.call(s), code))
		}
	}
	require.Empty(t, s.host.written())
}

// A page may be for several changes, of which a person ticks those that may go on. Each is done once,
// and no other.
//
// AU-10.
func TestProofOfAList(t *testing.T) {
	for _, digits := range []bool{false, true} {
		s := newScene(t)
		var asked []call
		n := twofactor.NewChallenge{
			User: s.ids["alice"], Name: "alice", Credential: s.sessionID(s.session), Action: protocol.SetDistTag,
		}
		for _, pkg := range []string{"plain", "second", "plain"} {
			c := call{method: "PUT", path: fmt.Sprintf("/-/package/%s/dist-tags/tag-%d", pkg, len(asked)), body: `"1.0.0"`}
			op, err := protocol.Classify(c.method, c.path)
			require.NoError(t, err)
			change := protocol.Change{Version: "1.0.0", Tags: map[string]string{op.Tag: "1.0.0"}}
			n.Items = append(n.Items, twofactor.Item{Package: op.Package, Change: change.Digest(op), Words: change.Words(op)})
			asked = append(asked, c)
		}
		page, err := s.auth.Factors().Challenge(t.Context(), n)
		require.NoError(t, err)
		authURL, doneURL := base+"/-/auth/challenge/"+page.PageID, base+"/-/auth/proof/"+page.PollID
		form, cookie, shown := s.open(authURL)
		assert.Contains(t, saidOn(shown), "Sets a dist-tag: tag-2 to 1.0.0")
		form.Del("also-2") // which open takes for a hidden field
		sent := s.do(s.filled(authURL, form, cookie, map[string]string{"password": password, "code": s.code("alice"), "also-1": "yes"}))
		require.Equal(t, 303, sent.Code)
		proof := s.poll(doneURL, "GET").text("token")
		if digits {
			proof = s.digits(authURL, sent)
		}
		isChallenge(t, s.try(asked[2], proof)) // which was not ticked
		for _, b := range sample(4) {
			isChallenge(t, s.try(b.call(s), proof))
		}
		require.Empty(t, s.host.written())
		require.Equal(t, 200, s.try(asked[1], proof).Code)
		require.Equal(t, 200, s.try(asked[0], proof).Code)
		require.Equal(t, 200, s.try(asked[1], proof).Code, "a retry")
		isChallenge(t, s.try(asked[2], proof))
		for _, b := range sample(4) {
			isChallenge(t, s.try(b.call(s), proof))
		}
		require.Len(t, s.host.written(), 3)
	}
}

// A host's rule may want a second factor for what only reads, as npmjs.com does for npm trust list. The
// path says all of it then.
//
// AU-10.
func TestProofOfARead(t *testing.T) {
	reads := []protocol.Action{protocol.ReadPackument, protocol.ReadTarball, protocol.ReadDistTags, protocol.ReadOrg, protocol.Search}
	s := newScene(t, func(cfg *npmauth.Config) {
		cfg.Policy = policy.NPM().With(policy.Rule{
			ID: "reads-need-factor", Doc: "Reading takes a factor.", Sentence: "Reading takes a one-time password.", Actions: reads,
			Judge: func(r *policy.Request) policy.Verdict {
				if r.Proven() {
					return policy.Silent
				}
				return policy.NeedProof
			},
		})
	})
	paths := []string{"/plain", "/second", "/plain/1.0.0", "/plain/-/plain-1.0.0.tgz", "/plain/-/plain-2.0.0.tgz", "/-/package/plain/dist-tags", "/-/org/acme/user", "/-/org/beta/user", "/-/v1/search"}
	for i, path := range paths {
		get := func(path, otp string) answer { return s.try(call{method: "GET", path: path}, otp) }
		proof, _ := s.approved(get(path, ""))
		for _, other := range paths {
			if other != path {
				isChallenge(t, get(other, proof))
			}
		}
		require.Len(t, s.host.reads, 3*i, path)
		require.Equal(t, 200, get(path, proof).Code, path)
		require.Equal(t, 200, get(path, proof).Code, path)
		require.Equal(t, 200, get(path, s.code("alice")).Code, path)
		pages := len(s.pages())
		assert.Contains(t, []int{401, 403}, s.do(call{method: "GET", path: path}).Code, path)
		assert.Len(t, s.pages(), pages, "nobody is asked who has no factor")
	}
}
