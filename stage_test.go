package npmauth_test

import (
	"bytes"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/settings"
	"github.com/npmauth/npmauth/stage"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/token"
)

// stagedList is what npm stage list reads.
type stagedList struct {
	Items []struct {
		ID, PackageName, Version, Tag, Actor, ActorType string
		CreatedAt                                       time.Time
		Approvals                                       []struct{ Name string }
	}
	Page, PerPage, Total int
}

func (w *world) listStaged(bearer, query string) (list stagedList) {
	w.t.Helper()
	a := w.do(call{method: "GET", path: "/-/stage" + query, bearer: bearer})
	require.Equal(w.t, 200, a.Code, "%s", a.Body)
	require.NoError(w.t, json.Unmarshal(a.Body.Bytes(), &list))
	return list
}

func (w *world) approveStaged(id, bearer, name string) answer {
	w.t.Helper()
	return w.do(call{method: "POST", path: "/-/stage/" + id + "/approve", bearer: bearer, otp: w.codeAfter(name)})
}

// A version is staged without a second factor, listed, shown, approved with one, and published then, once.
func TestStaging(t *testing.T) {
	w := newWorld(t, stages)
	s := w.alice(protocol.AuthAndWrites)
	c := stageOf("plain", "3.0.0")
	c.bearer = s
	a := w.do(c)
	require.Equal(t, 201, a.Code, "%s", a.Body)
	id := a.text("stageId")
	assert.Contains(t, a.text("message"), "npm stage approve "+id+" --registry=https://npm.acme.test/")
	assert.Equal(t, 404, w.do(call{method: "GET", path: "/-/stage/" + uuid, bearer: s}).Code)

	list := w.listStaged(s, "?page=0&perPage=100&package=plain")
	require.Len(t, list.Items, 1)
	assert.Equal(t, 1, list.Total)
	assert.Equal(t, []string{id, "plain", "3.0.0", "latest", "alice", "user"}, []string{list.Items[0].ID, list.Items[0].PackageName, list.Items[0].Version, list.Items[0].Tag, list.Items[0].Actor, list.Items[0].ActorType})
	assert.Equal(t, 200, w.do(call{method: "GET", path: "/-/stage/" + id, bearer: s}).Code)
	assert.Contains(t, w.do(call{method: "GET", path: "/-/stage/" + id + "/tarball", bearer: s}).Body.String(), `"read":"read-staged"`)

	a = w.do(c)
	assert.Equal(t, 409, a.Code, "the same version")
	isChallenge(t, w.do(call{method: "POST", path: "/-/stage/" + id + "/approve", bearer: s}))
	assert.NotContains(t, w.host.packages[protocol.PackageName{Name: "plain"}].versions, "3.0.0")
	a = w.approveStaged(id, s, "alice")
	require.Equal(t, 201, a.Code, "%s", a.Body)
	assert.Equal(t, true, a.json["published"])
	assert.Contains(t, w.host.packages[protocol.PackageName{Name: "plain"}].versions, "3.0.0")
	assert.Equal(t, 404, w.approveStaged(id, s, "alice").Code)
	assert.Empty(t, w.listStaged(s, "").Items)

	id = w.staged("plain", "3.1.0", s)
	isChallenge(t, w.do(call{method: "DELETE", path: "/-/stage/" + id, bearer: s}))
	assert.Equal(t, 204, w.do(call{method: "DELETE", path: "/-/stage/" + id, bearer: s, otp: w.codeAfter("alice")}).Code)
	assert.Empty(t, w.host.kept)
	assert.Equal(t, []audit.Type{audit.VersionStaged, audit.VersionApproved, audit.VersionStaged, audit.VersionRejected}, w.events.of("version."))
}

// of returns the types of the events that begin so, in order.
func (e *events) of(prefix string) (types []audit.Type) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, ev := range e.all {
		if strings.HasPrefix(string(ev.Type), prefix) {
			types = append(types, ev.Type)
		}
	}
	return types
}

// Those who approve a version go by the integrity that npm stage view and the page show: it is that of the bytes, also without
// Config.CheckTarball, and whichever of the document and the tarball comes first.
func TestStagedIntegrity(t *testing.T) {
	w := newWorld(t, stages)
	s := w.alice(protocol.AuthAndWrites)
	c := stageOf("plain", "3.0.0")
	c.bearer = s
	good := w.bytes(c.body)
	var doc struct {
		Versions    map[string]struct{ Dist map[string]string }
		Attachments map[string]struct{ Data string } `json:"_attachments"`
	}
	require.NoError(t, json.Unmarshal(good, &doc))
	other := strings.Repeat("A", 86) + "=="
	for _, field := range []string{"integrity", "shasum"} {
		value := doc.Versions["3.0.0"].Dist[field]
		require.NotEmpty(t, value, field)
		forged := "sha512-" + other
		if field == "shasum" {
			forged = strings.Repeat("a", 40)
		}
		c.body = bytes.Replace(good, []byte(value), []byte(forged), 1)
		a := w.do(c)
		assert.Equal(t, 400, a.Code, "%s: %s", field, a.Body)
	}
	tarball := pack(t, `{"name":"plain","version":"3.1.0"}`, "random.bin", strings.Join(many(2000), ""))
	require.Greater(t, len(tarball), 64<<10)
	first := func(integrity string) string { // as Yarn sends it
		return fmt.Sprintf(`{"_id":"plain","name":"plain","_attachments":{"plain-3.1.0.tgz":{"content_type":"application/octet-stream","data":%q,"length":%d}},`+
			`"dist-tags":{"latest":"3.1.0"},"versions":{"3.1.0":{"name":"plain","version":"3.1.0","_id":"plain@3.1.0","dist":{"integrity":%q}}}}`,
			base64.StdEncoding.EncodeToString(tarball), len(tarball), integrity)
	}
	c.body = first("sha512-" + other)
	assert.Equal(t, 400, w.do(c).Code)
	assert.Zero(t, w.listStaged(s, "").Total)
	assert.Empty(t, w.host.kept)
	sum := sha512.Sum512(tarball)
	for _, body := range []any{good, first("sha512-" + base64.StdEncoding.EncodeToString(sum[:]))} {
		c.body = body
		a := w.do(c)
		require.Equal(t, 201, a.Code, "%s", a.Body)
	}
}

// Of a name without a scope that is free, to everybody who may create packages: what is staged for it is of who staged it
// alone, and takes neither a version nor room from others who stage for it, or who make the package.
func TestStagedForAFreeName(t *testing.T) {
	w := newWorld(t, func(cfg *npmauth.Config) { cfg.Staging = &npmauth.Staging{Versions: 2} })
	s := w.alice(protocol.AuthAndWrites)
	w.person("mallory")
	w.enrol("mallory", protocol.AuthAndWrites)
	mallory := w.login("mallory")
	theirs := w.staged("brand-new", "1.0.0", mallory)
	w.staged("brand-new", "1.0.1", mallory)
	ours := w.staged("brand-new", "1.0.0", s)
	w.staged("brand-new", "1.0.1", s)
	for _, of := range []struct{ bearer, name, id string }{{mallory, "mallory", ours}, {s, "alice", theirs}} {
		assert.Equal(t, 2, w.listStaged(of.bearer, "").Total)
		assert.Equal(t, 2, w.listStaged(of.bearer, "?package=brand-new").Total)
		for _, c := range []call{
			{method: "GET", path: "/-/stage/" + of.id}, {method: "GET", path: "/-/stage/" + of.id + "/tarball"}, {method: "GET", path: "/-/auth/v1/staged/" + of.id + "/difference"},
			{method: "POST", path: "/-/stage/" + of.id + "/approve"}, {method: "DELETE", path: "/-/stage/" + of.id}, decides("approve", of.id), decides("reject", of.id),
		} {
			c.bearer = of.bearer
			if c.method != "GET" {
				c.otp = w.codeAfter(of.name)
			}
			a := w.do(c)
			assert.Equal(t, 404, a.Code, "%s %s", c.method, c.path)
			assert.Contains(t, a.text("error"), "There is no such staged version or you may not see it.")
			assert.NotContains(t, a.Body.String(), "brand-new")
		}
	}
	more := stageOf("brand-new", "1.0.2")
	more.bearer = s
	assert.Equal(t, 409, w.do(more).Code, "more than a package may have")

	w.host.add("brand-new", false, w.ids["alice"])
	assert.Zero(t, w.listStaged(mallory, "").Total)
	assert.Equal(t, 404, w.approveStaged(theirs, mallory, "mallory").Code)
	assert.Equal(t, 404, w.approveStaged(theirs, s, "alice").Code)
	require.Equal(t, 201, w.approveStaged(ours, s, "alice").Code, "what she staged before is of her package")
	w.staged("brand-new", "1.1.0", s)
	w.staged("brand-new", "1.1.1", s)

	// In a scope those see it who may create packages there.
	scoped := w.staged("@acme/new", "1.0.0", s)
	assert.Equal(t, 1, w.listStaged(mallory, "?package=@acme/new").Total)
	require.Equal(t, 201, w.approveStaged(scoped, mallory, "mallory").Code)
}

// Who may see what is staged: those who may write to the package. To all others it does not exist.
func TestStagedIsHidden(t *testing.T) {
	w := newWorld(t, stages, trusts)
	s := w.alice(protocol.AuthAndWrites)
	w.person("bob")
	w.enrol("bob", protocol.AuthAndWrites)
	bob := w.login("bob")
	id := w.staged("plain", "3.0.0", s)
	reads, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly)})
	other, _ := w.token("alice", token.Spec{Grants: []protocol.Grant{{Target: protocol.OneScope, Scope: "acme", Permission: protocol.ReadWrite}}})
	for _, bearer := range []string{bob, reads, other} {
		assert.Zero(t, w.listStaged(bearer, "").Total)
		for _, path := range []string{"/-/stage/" + id, "/-/stage/" + id + "/tarball", "/-/stage/" + uuid, "/-/stage/x"} {
			a := w.do(call{method: "GET", path: path, bearer: bearer})
			assert.Equal(t, 404, a.Code, path)
			assert.Equal(t, "not-found", a.text("code"), path)
		}
		assert.Equal(t, 404, w.do(call{method: "POST", path: "/-/stage/" + id + "/approve", bearer: bearer}).Code)
		assert.Equal(t, 404, w.do(call{method: "DELETE", path: "/-/stage/" + id, bearer: bearer}).Code)
	}
	assert.Equal(t, 401, w.do(call{method: "GET", path: "/-/stage/" + id}).Code)
	assert.Equal(t, 401, w.do(call{method: "GET", path: "/-/stage"}).Code)
	w.trust("plain", "createPackage")
	assert.Equal(t, 403, w.do(call{method: "GET", path: "/-/stage", bearer: w.exchanged("plain")}).Code)

	stager, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.StageOnly)})
	assert.Equal(t, 1, w.listStaged(stager, "").Total)
	for _, query := range []string{"?page=-1", "?perPage=0", "?perPage=101", "?page=x", "?package=@"} {
		assert.Equal(t, 400, w.do(call{method: "GET", path: "/-/stage" + query, bearer: s}).Code, query)
	}
}

// Pages are newest first, and end.
func TestStagedPages(t *testing.T) {
	w := newWorld(t, stages)
	s := w.alice(protocol.AuthOnly)
	for _, version := range []string{"3.0.0", "3.1.0", "3.2.0"} {
		w.clock.Add(time.Second)
		w.staged("plain", version, s)
	}
	var got []string
	for _, page := range []string{"0", "1", "2"} {
		list := w.listStaged(s, "?perPage=2&page="+page)
		assert.Equal(t, 3, list.Total)
		for _, item := range list.Items {
			got = append(got, item.Version)
		}
	}
	assert.Equal(t, []string{"3.2.0", "3.1.0", "3.0.0"}, got)
}

// A list ends after the versions that were staged last, of whomever, and says so. That of a package reads none of others.
func TestStagedListEnds(t *testing.T) {
	w := newWorld(t, stages)
	s := w.alice(protocol.AuthOnly)
	own := w.staged("plain", "3.0.0", s)
	m, err := stage.New(stage.Config{Store: w.store, Now: w.clock.Now, Versions: 1000})
	require.NoError(t, err)
	pkg, id := func(i int) string { return fmt.Sprint("p", i%10) }, protocol.PackageID("x")
	others := func(n int) {
		for i := range n {
			w.clock.Add(time.Millisecond)
			require.NoError(t, store.Transact(t.Context(), w.store, func(tx *store.Tx) error {
				_, err := m.AddTx(t.Context(), tx, audit.Actor{}, stage.Version{
					Package: protocol.PackageName{Scope: "others", Name: pkg(i)}, PackageID: id, By: stage.Stager{User: "u", Name: "u"},
					Change: protocol.Change{Version: fmt.Sprintf("1.%d.%d", w.clock.Now().UnixNano(), i)},
				})
				return err
			}))
		}
	}
	list := func(query string) (total int, incomplete bool, notice string) {
		a := w.do(call{method: "GET", path: "/-/stage" + query, bearer: s})
		var is struct {
			Total      int
			Incomplete bool
		}
		require.NoError(t, json.Unmarshal(a.Body.Bytes(), &is), "%s", a.Body)
		return is.Total, is.Incomplete, a.Header().Get("npm-notice")
	}
	b := w.tab()
	b.signIn("alice", "staged")
	const says = "Only those were looked at that were staged last in the registry."
	others(1998)
	total, incomplete, notice := list("")
	assert.Equal(t, 1, total)
	assert.False(t, incomplete)
	assert.Empty(t, notice)
	b.open("/-/auth/staged").is(200, "plain@3.0.0")
	assert.NotContains(t, b.Body.String(), says)

	others(2)
	total, incomplete, notice = list("")
	assert.Zero(t, total)
	assert.True(t, incomplete)
	assert.Equal(t, "Only the newest 2000 staged versions of the registry were looked at. To see all of a package run npm stage list <package>.", notice)
	b.open("/-/auth/staged").is(200, says)
	total, incomplete, _ = list("?package=plain")
	assert.Equal(t, 1, total)
	assert.False(t, incomplete)
	b.open("/-/auth/staged?package=plain").open("/-/auth/staged/"+own).is(200, "plain@3.0.0")

	pkg = func(int) string { return "one" }
	others(1000)
	id = "y" // another package of the name
	others(1000)
	id = "z"
	others(1)
	_, incomplete, notice = list("?package=@others/one")
	assert.True(t, incomplete)
	assert.Equal(t, "Only the newest 2000 staged versions of this name were looked at.", notice)
	b.open("/-/auth/staged?package=@others/one").is(200, "Only those were looked at that were staged last for this name.")
}

// Stage-only tokens and publishers stage and do not publish; nobody does where staging is wanted.
func TestStageRequired(t *testing.T) {
	w := newWorld(t, stages, trusts)
	s := w.alice(protocol.AuthAndWrites)
	stager, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.StageOnly)})
	a := w.publish("plain", "3.0.0", stager, "")
	assert.Equal(t, 403, a.Code)
	assert.Contains(t, a.text("error"), "E_STAGE_REQUIRED")
	w.staged("plain", "3.0.0", stager)
	w.trust("plain", "createPackage", "createStagedPackage")
	require.NoError(t, w.auth.SetPackage(t.Context(), "id-plain", policy.Settings{StageOnly: true}))
	for _, bearer := range []string{s, w.exchanged("plain")} {
		a := w.publish("plain", "3.1.0", bearer, w.codeAfter("alice"))
		assert.Equal(t, 403, a.Code)
		assert.Contains(t, a.text("error"), "E_STAGE_REQUIRED")
	}
	id := w.staged("plain", "3.1.0", w.exchanged("plain"))
	item := w.listStaged(s, "").Items[0]
	assert.Equal(t, []string{id, "github", "trusted automation"}, []string{item.ID, item.Actor, item.ActorType})
	assert.Equal(t, 201, w.approveStaged(id, s, "alice").Code)

	require.NoError(t, w.auth.SetPackage(t.Context(), "id-plain", policy.Settings{}))
	require.NoError(t, w.auth.SetScope(t.Context(), "acme", settings.Scope{StageOnly: true}))
	w.host.add("@acme/widget", false, w.ids["alice"])
	assert.Equal(t, "stage-required", w.publish("@acme/widget", "1.0.0", s, w.codeAfter("alice")).text("code"))
	assert.Equal(t, 200, w.publish("plain", "4.0.0", s, w.codeAfter("alice")).Code)
}

// As many people approve as the package wants, and not who staged it, if it wants another.
func TestApprovals(t *testing.T) {
	w := newWorld(t, stages)
	s := w.alice(protocol.AuthAndWrites)
	sessions := map[string]string{"alice": s}
	for _, name := range []string{"bob", "carol"} {
		w.person(name)
		w.enrol(name, protocol.AuthAndWrites)
		sessions[name] = w.login(name)
		w.host.packages[protocol.PackageName{Name: "plain"}].rights[w.ids[name]] = policy.RightRead | policy.RightWrite
	}
	require.NoError(t, w.auth.SetPackage(t.Context(), "id-plain", policy.Settings{OtherApprover: true, Approvals: 2}))
	id := w.staged("plain", "3.0.0", s)
	a := w.approveStaged(id, s, "alice")
	assert.Equal(t, "approver-is-stager", a.text("code"))
	for range 2 { // once more is not one more
		a = w.approveStaged(id, sessions["bob"], "bob")
		require.Equal(t, 201, a.Code, "%s", a.Body)
		assert.Equal(t, false, a.json["published"])
		assert.Contains(t, a.text("message"), "needs 2 approvals and has 1")
	}
	require.Len(t, w.listStaged(s, "").Items[0].Approvals, 1)
	a = w.approveStaged(id, sessions["carol"], "carol")
	require.Equal(t, 201, a.Code, "%s", a.Body)
	assert.Equal(t, true, a.json["published"])
}

// An approval counts while who gave it could give it now, with what was shown then.
func TestApprovalsOfThoseWhoLeft(t *testing.T) {
	for name, leave := range map[string]func(w *world, bob protocol.UserID) error{
		"may write no more": func(w *world, bob protocol.UserID) error {
			w.host.change(func(p *hosted) { p.rights[bob] = policy.RightRead })
			return nil
		},
		"is disabled": func(w *world, bob protocol.UserID) error {
			return w.auth.Subjects().Disable(t.Context(), audit.Actor{}, bob)
		},
		"has no second factor any more": func(w *world, bob protocol.UserID) error {
			return w.auth.Factors().Disable(t.Context(), audit.Actor{}, bob)
		},
		"has staged it, which must be another": func(w *world, _ protocol.UserID) error {
			return w.auth.SetPackage(t.Context(), "id-plain", policy.Settings{Approvals: 2, OtherApprover: true})
		},
		"may not by a rule of the host": func(w *world, _ protocol.UserID) error {
			return w.auth.SetPolicy(policy.NPM().With(policy.Rule{
				ID: "not-bob", Doc: "Bob does not approve.", Sentence: "You do not approve.", Actions: []protocol.Action{protocol.ApproveStaged},
				Judge: func(r *policy.Request) policy.Verdict {
					if r.Account.Name == "bob" {
						return policy.Forbid
					}
					return policy.Silent
				},
			}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, stages)
			w.alice(protocol.AuthAndWrites)
			sessions := map[string]string{}
			for _, name := range []string{"bob", "carol", "dave"} {
				w.person(name)
				w.enrol(name, protocol.AuthAndWrites)
				sessions[name] = w.login(name)
				w.host.change(func(p *hosted) { p.rights[w.ids[name]] = policy.RightRead | policy.RightWrite })
			}
			require.NoError(t, w.auth.SetPackage(t.Context(), "id-plain", policy.Settings{Approvals: 2}))
			id := w.staged("plain", "3.0.0", sessions["bob"])
			require.Equal(t, 201, w.approveStaged(id, sessions["bob"], "bob").Code)

			require.NoError(t, leave(w, w.ids["bob"]))
			a := w.approveStaged(id, sessions["carol"], "carol")
			require.Equal(t, 201, a.Code, "%s", a.Body)
			assert.Equal(t, []any{false, float64(1)}, []any{a.json["published"], a.json["approvals"]})
			assert.Equal(t, string(w.ids["bob"]), w.events.last(audit.VersionApproved).Detail["removed"])
			a = w.approveStaged(id, sessions["dave"], "dave")
			require.Equal(t, 201, a.Code, "%s", a.Body)
			assert.Equal(t, []any{true, float64(2)}, []any{a.json["published"], a.json["approvals"]})
		})
	}
}

// A package begins with a staged version. What else is staged for the name then belongs to it, if who staged it may
// write to it.
func TestStageANewPackage(t *testing.T) {
	w := newWorld(t, stages)
	s := w.alice(protocol.AuthAndWrites)
	first, second := w.staged("@acme/new", "1.0.0", s), w.staged("@acme/new", "1.0.1", s)
	assert.Equal(t, 2, w.listStaged(s, "").Total)
	require.Equal(t, 201, w.approveStaged(first, s, "alice").Code)
	assert.Equal(t, 1, w.listStaged(s, "").Total)
	require.Equal(t, 201, w.approveStaged(second, s, "alice").Code)

	third := w.staged("@acme/newer", "1.0.0", s)
	w.person("mallory")
	w.enrol("mallory", protocol.AuthAndWrites)
	w.host.add("@acme/newer", false, w.ids["mallory"])
	mallory := w.login("mallory")
	assert.Zero(t, w.listStaged(s, "").Total)
	assert.Zero(t, w.listStaged(mallory, "").Total, "it is not of the package that she has made")
	assert.Equal(t, 404, w.approveStaged(third, mallory, "mallory").Code)
	assert.Equal(t, 404, w.approveStaged(third, s, "alice").Code)
	// Another package of the name has none of what was staged for the first.
	fourth := w.staged("plain", "5.0.0", s)
	w.host.change(func(h *hosted) { h.id = "id-another" })
	assert.Equal(t, 404, w.approveStaged(fourth, s, "alice").Code)
}

// Where the rule is, a version is published as the newest one was, directly and through staging.
func TestEvidenceStays(t *testing.T) {
	w := newWorld(t, stages, trusts, func(cfg *npmauth.Config) { cfg.Policy = policy.NPM().With(policy.EvidenceStays("")) })
	s := w.alice(protocol.AuthAndWrites)
	w.trust("plain", "createPackage")
	job := w.exchanged("plain")
	stage := func(version, bearer string) answer {
		c := stageOf("plain", version)
		c.bearer = bearer
		return w.do(c)
	}
	require.Equal(t, 200, w.publish("plain", "3.0.0", s, w.codeAfter("alice")).Code)
	old := w.staged("plain", "3.1.0", s)

	w.host.change(func(h *hosted) { h.evidence = policy.EvidencePublisher })
	for _, a := range []answer{w.publish("plain", "3.2.0", s, ""), w.publish("plain", "3.2.0", s, w.codeAfter("alice")), stage("3.2.0", s), w.approveStaged(old, s, "alice")} {
		assert.Equal(t, 403, a.Code, "%s", a.Body)
		assert.Equal(t, "less-evidence", a.text("code"))
	}
	require.Equal(t, 200, w.publish("plain", "3.2.0", job, "").Code)
	require.Equal(t, 201, w.approveStaged(w.staged("plain", "3.3.0", job), s, "alice").Code)

	w.host.change(func(h *hosted) { h.evidence = policy.EvidenceApproval })
	assert.Equal(t, "less-evidence", w.publish("plain", "3.4.0", job, "").text("code"))
	require.Equal(t, 201, w.approveStaged(old, s, "alice").Code)
}

// The visibility that a version was staged with is for a new package, and not for one that is there when it is approved.
func TestStagedVisibility(t *testing.T) {
	for _, made := range []bool{false, true} {
		w := newWorld(t, stages)
		s := w.alice(protocol.AuthAndWrites)
		c := stageOf("brand-new", "1.0.0")
		c.body = bytes.Replace(c.body.([]byte), []byte(`"access":null`), []byte(`"access":"public"`), 1)
		c.bearer = s
		a := w.do(c)
		require.Equal(t, 201, a.Code, "%s", a.Body)
		want := "public"
		if made {
			w.host.add("brand-new", true, w.ids["alice"])
			want = ""
		}
		var change protocol.Change
		h := w.auth.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			op, _ := host.OperationFrom(r.Context())
			var err error
			change, err = op.Change()
			assert.NoError(t, err)
		}))
		require.Equal(t, 201, w.send(h, call{method: "POST", path: "/-/stage/" + a.text("stageId") + "/approve", bearer: s, otp: w.codeAfter("alice")}).Code)
		assert.Equal(t, "1.0.0", change.Version)
		assert.Equal(t, want, change.Access)
	}
}

// A package that got other owners has nothing staged any more.
func TestTransferredStaged(t *testing.T) {
	w := newWorld(t, stages)
	s := w.alice(protocol.AuthOnly)
	id := w.staged("plain", "3.0.0", s)
	w.host.add("other", false, w.ids["alice"])
	w.staged("other", "3.0.0", s)
	require.NoError(t, w.auth.Transferred(t.Context(), protocol.PackageName{Name: "plain"}, "id-plain"))
	assert.Equal(t, 1, w.listStaged(s, "").Total)
	assert.Equal(t, 404, w.approveStaged(id, s, "alice").Code)
}

// Of a scope it is what was staged for names that no package has; what belongs to a package stays.
func TestTransferredScopeStaged(t *testing.T) {
	w := newWorld(t, stages)
	s := w.alice(protocol.AuthAndWrites)
	w.host.add("@acme/widget", false, w.ids["alice"])
	w.person("mallory")
	first := w.staged("@acme/new", "1.0.0", w.login("mallory"))
	stay := []string{w.staged("@acme/widget", "3.0.0", s), w.staged("@other/new", "1.0.0", s), w.staged("acme", "1.0.0", s)}
	require.NoError(t, w.auth.TransferredScope(t.Context(), "acme"))
	assert.Equal(t, []string{"transferred"}, w.events.last(audit.VersionRejected).Reasons)
	assert.Equal(t, 404, w.approveStaged(first, s, "alice").Code)
	for _, id := range stay {
		assert.Equal(t, 201, w.approveStaged(id, s, "alice").Code)
	}
}

// It makes no difference that neither staging nor trusted publishing is offered any more.
func TestTransferredWithoutOptions(t *testing.T) {
	w := newWorld(t, stages, trusts)
	s := w.alice(protocol.AuthAndWrites)
	w.trust("plain", "createPackage")
	id := w.staged("plain", "3.0.0", s)
	other, err := npmauth.New(npmauth.Config{BaseURL: "https://npm.acme.test/", Store: w.store, Packages: w.host, Hasher: quickHasher(t), Now: w.clock.Now, Audit: w.events})
	require.NoError(t, err)
	require.NoError(t, other.Transferred(t.Context(), protocol.PackageName{Name: "plain"}, "id-plain"))
	for _, of := range []audit.Type{audit.TrustRemoved, audit.VersionRejected} {
		assert.Equal(t, []string{"transferred"}, w.events.last(of).Reasons)
	}
	assert.Equal(t, 404, w.approveStaged(id, s, "alice").Code)
	assert.Equal(t, 404, w.do(exchangeOf("plain", w.idToken())).Code)
}

// What the host does not keep is not staged, and what it does not publish stays staged.
func TestStagingHostFails(t *testing.T) {
	w := newWorld(t, stages)
	s := w.alice(protocol.AuthAndWrites)
	answers := http.StatusConflict
	reads := true
	h := w.auth.Wrap(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if reads {
			_, _ = io.Copy(io.Discard, r.Body)
		}
		rw.Header().Set("X-Host", "yes")
		rw.WriteHeader(answers)
		assert.NoError(t, http.NewResponseController(rw).Flush())
		_, _ = io.WriteString(rw, `{"error":"the host's words"}`)
	}))
	c := stageOf("plain", "3.0.0")
	c.bearer = s
	a := w.send(h, c)
	assert.Equal(t, 409, a.Code)
	assert.Contains(t, a.Body.String(), "the host's words")
	assert.Zero(t, w.listStaged(s, "").Total)
	reads, answers = false, http.StatusCreated
	a = w.send(h, c)
	assert.Equal(t, 400, a.Code, "it has not read it: %s", a.Body)
	assert.Zero(t, w.listStaged(s, "").Total)
	reads = true
	abort := w.auth.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		panic(http.ErrAbortHandler)
	}))
	assert.Panics(t, func() { w.send(abort, c) })
	assert.Zero(t, w.listStaged(s, "").Total)
	assert.Equal(t, []string{"not-kept"}, w.events.last(audit.VersionRejected).Reasons)
	a = w.send(h, c)
	assert.Equal(t, 201, a.Code)
	assert.Empty(t, a.Header().Get("X-Host"), "the answer is npm's")
	id := a.text("stageId")

	answers = http.StatusServiceUnavailable
	approve := call{method: "POST", path: "/-/stage/" + id + "/approve", bearer: s, otp: w.codeAfter("alice")}
	assert.Equal(t, 503, w.send(h, approve).Code)
	assert.Equal(t, 1, w.listStaged(s, "").Total)
	answers = http.StatusOK
	assert.Equal(t, 201, w.send(h, approve).Code, "npm sends it again with the same code")
	assert.Zero(t, w.listStaged(s, "").Total)
}

// The host is told who staged and who approved.
func TestStagedEvidence(t *testing.T) {
	w := newWorld(t, stages, trusts)
	s := w.alice(protocol.AuthAndWrites)
	id := w.trust("plain", "createStagedPackage")
	staged := w.staged("plain", "3.0.0", w.exchanged("plain"))
	var op host.Operation
	var who host.Identity
	h := w.auth.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		op, _ = host.OperationFrom(r.Context())
		who, _ = host.IdentityFrom(r.Context())
	}))
	require.Equal(t, 201, w.send(h, call{method: "POST", path: "/-/stage/" + staged + "/approve", bearer: s, otp: w.codeAfter("alice")}).Code)
	assert.Equal(t, "alice", who.Name)
	assert.Equal(t, protocol.PackageID("id-plain"), op.PackageID)
	require.NotNil(t, op.Staged)
	data, err := json.Marshal(op.Staged.NPMUser("", "alice@acme.test"))
	require.NoError(t, err)
	assert.Equal(t, policy.EvidencePublisher|policy.EvidenceApproval, op.Staged.NPMUser("", "").Evidence())
	assert.Zero(t, who.NPMUser("").Evidence())
	assert.JSONEq(t, `{"name":"GitHub Actions","email":"","trustedPublisher":{"id":"github","oidcConfigId":"oidc:`+id+`"},"approver":{"name":"alice","email":"alice@acme.test"}}`, string(data))
	change, err := op.Change()
	require.NoError(t, err)
	assert.Equal(t, "3.0.0", change.Version)
}

func TestStagingConfig(t *testing.T) {
	_, err := npmauth.New(npmauth.Config{BaseURL: "https://npm.acme.test/", Store: newWorld(t).store, Packages: newBackend(), Hasher: quickHasher(t), Staging: &npmauth.Staging{TTL: time.Second}})
	assert.ErrorContains(t, err, "Config.Staging")
	w := newWorld(t)
	s := w.alice(protocol.AuthOnly)
	for _, c := range []call{stageOf("plain", "3.0.0"), {method: "GET", path: "/-/stage"}, {method: "GET", path: "/-/stage/" + uuid}, {method: "DELETE", path: "/-/stage/" + uuid}} {
		for _, bearer := range []string{"", s} {
			c.bearer = bearer
			a := w.do(c)
			assert.Equal(t, 403, a.Code, "%s: %s", c.path, a.Body)
			assert.Equal(t, "not-offered", a.text("code"))
		}
	}
	c := stageOf("plain", "3.0.0")
	c.body, c.bearer = `{}`, s
	assert.Equal(t, 400, newWorldWith(t, stages, c).Code)
}

// newWorldWith sends a request of alice's in a world of its own.
func newWorldWith(t *testing.T, change func(*npmauth.Config), c call) answer {
	t.Helper()
	w := newWorld(t, change)
	c.bearer = w.alice(protocol.AuthOnly)
	return w.do(c)
}
