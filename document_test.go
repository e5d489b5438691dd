package npmauth_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/host/hosttest"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/token"
)

// documented is a world with a package of two versions, which alice and bob maintain,
// and a token of alice's that needs no second factor.
func documented(t *testing.T, change ...func(*npmauth.Config)) (w *world, bypass string) {
	w = newWorld(t, change...)
	alice := w.person("alice")
	w.person("bob")
	w.host.add("plain", false, alice)
	p := w.host.packages[protocol.PackageName{Name: "plain"}]
	p.versions, p.tags, p.maintainers = []string{"1.0.0", "2.0.0"}, map[string]string{"latest": "2.0.0", "old": "1.0.0"}, []string{"alice", "bob"}
	p.deprecated = map[string]string{}
	w.host.revision = "7-a"
	bypass, _ = w.token("alice", token.Spec{Bypass: true, Grants: grantAll(protocol.ReadWrite)})
	return w, bypass
}

// whole is the document of that package as npm would send it back, each %s replaced.
const whole = `{"_id":"plain","_rev":"7-a","name":"plain","readme":"x","time":{"modified":"now"},"users":{"bob":true},
	"dist-tags":{%s},"maintainers":[%s],"versions":{%s}}`

const (
	tagsAsTheyAre = `"latest":"2.0.0","old":"1.0.0"`
	bothMaintain  = `{"name":"bob","email":"b@acme.test"},{"name":"alice"}`
	one           = `"1.0.0":{"name":"plain","version":"1.0.0","_id":"plain@1.0.0","dist":{"integrity":"forged"}}`
	two           = `"2.0.0":{"name":"plain","version":"2.0.0"}`
)

// One request is six operations, and only the difference from what there is tells which.
func TestDocumentsThatAreSentBack(t *testing.T) {
	for name, tt := range map[string]struct {
		path, body string
		write      string // what reaches the host
		code       int
		says       string
	}{
		"deprecate": {
			body:  fmt.Sprintf(whole, tagsAsTheyAre, bothMaintain, one+`,"2.0.0":{"version":"2.0.0","deprecated":"no"}`),
			write: `deprecate plain  {"Deprecated":{"2.0.0":"no"},"Revision":"7-a"}`,
		},
		"nothing changes": { // npm deprecate with the message that is there
			body: strings.Replace(fmt.Sprintf(whole, tagsAsTheyAre, bothMaintain, one+","+two), `"users":{"bob":true},`, "", 1), write: `deprecate plain  {"Revision":"7-a"}`,
		},
		"nothing changes, with users": { // whose star is sent back with it: pnpm's way to unstar
			body: fmt.Sprintf(whole, tagsAsTheyAre, bothMaintain, one+","+two), write: `star plain  {"Revision":"7-a"}`,
		},
		"pnpm's star": {
			path: "/plain/-rev/7-a", body: strings.Replace(fmt.Sprintf(whole, tagsAsTheyAre, bothMaintain, one+","+two), `{"bob":true}`, `{"bob":true,"alice":true}`, 1),
			write: `star plain 7-a {"Revision":"7-a","Starred":true}`,
		},
		"nothing changes, from before": { // npm's retry of what was done, of which the answer was lost
			path: "/plain/-rev/6-a", body: strings.Replace(fmt.Sprintf(whole, tagsAsTheyAre, bothMaintain, one+","+two), "7-a", "6-a", 1),
			write: `star plain 6-a {"Revision":"7-a"}`,
		},
		"the same owners, from before": {
			path: "/plain/-rev/6-a", body: `{"_id":"plain","_rev":"6-a","maintainers":[{"name":"alice"},{"name":"bob"}]}`,
			write: `deprecate plain 6-a {"Revision":"7-a"}`,
		},
		"deprecated false": {
			body:  fmt.Sprintf(whole, tagsAsTheyAre, bothMaintain, one+`,"2.0.0":{"deprecated":false}`),
			write: `star plain  {"Revision":"7-a"}`,
		},
		"unpublish a version that tags name": {
			path: "/plain/-rev/7-a", body: fmt.Sprintf(whole, `"latest":"1.0.0","old":"1.0.0"`, bothMaintain, one),
			write: `unpublish plain 7-a {"Removed":["2.0.0"],"Revision":"7-a","Tags":{"latest":"1.0.0"}}`,
		},
		"unpublish with its tag": {
			path: "/plain/-rev/7-a", body: fmt.Sprintf(whole, `"latest":"2.0.0"`, bothMaintain, two),
			write: `unpublish plain 7-a {"Removed":["1.0.0"],"Revision":"7-a","Tags":{"old":""}}`,
		},
		"unpublish without a word on tags": {
			body:  `{"_id":"plain","_rev":"7-a","versions":{` + one + `}}`,
			write: `unpublish plain  {"Removed":["2.0.0"],"Revision":"7-a","Tags":{"latest":""}}`,
		},
		"unpublish of no revision": {
			body: `{"_id":"plain","versions":{` + one + `}}`,
			code: 409, says: "does not say which revision",
		},
		"owners of no revision":                {body: `{"_id":"plain","maintainers":[{"name":"carol"}]}`, code: 409, says: "Use npm owner"},
		"the owners of Yarn 1 (AU-60)":         {path: "/plain/-rev/undefined", body: `{"maintainers":[{"name":"carol","email":"c@acme.test"}]}`, code: 409, says: "Use npm owner"},
		"a deprecation to no revision (AU-52)": {path: "/plain/-rev/undefined", body: `{"_id":"plain","versions":{` + one + `,"2.0.0":{"deprecated":"no"}}}`, code: 409, says: "does not say which revision"},
		"owner": {
			path: "/plain/-rev/7-a", body: `{"_id":"plain","_rev":"7-a","maintainers":[{"name":"alice"},{"name":"carol","email":"c@acme.test"}]}`,
			code: 403, says: "may not manage access",
		},
		"star":                   {body: `{"_id":"plain","_rev":"7-a","users":{"bob":true,"alice":true}}`, write: `star plain  {"Revision":"7-a","Starred":true}`},
		"unstar":                 {body: `{"_id":"plain","_rev":"7-a","users":{"bob":true}}`, write: `star plain  {"Revision":"7-a"}`},
		"another's star is none": {body: `{"_id":"plain","users":{"Alice":true,"alice ":true}}`, write: `star plain  {}`},

		"an owner hidden in a deprecate": {
			body: fmt.Sprintf(whole, tagsAsTheyAre, bothMaintain+`,{"name":"mallory"}`, one+`,"2.0.0":{"deprecated":"no"}`),
			code: 400, says: "more than one thing",
		},
		"a deprecate hidden in an unpublish": {
			body: fmt.Sprintf(whole, `"latest":"1.0.0","old":"1.0.0"`, bothMaintain, `"1.0.0":{"deprecated":"no"}`), code: 400, says: "more than one thing",
		},
		"a new version without its tarball": {
			body: fmt.Sprintf(whole, tagsAsTheyAre, bothMaintain, one+","+two+`,"3.0.0":{}`), code: 400, says: "not published",
		},
		"a version renamed":               {body: fmt.Sprintf(whole, tagsAsTheyAre, bothMaintain, one+`,"2.0.1":{}`), code: 400, says: "not published"},
		"a tag moved":                     {body: fmt.Sprintf(whole, `"latest":"1.0.0","old":"1.0.0"`, bothMaintain, one+","+two), code: 400, says: "dist-tag"},
		"a tag moved beside an unpublish": {body: fmt.Sprintf(whole, `"latest":"1.0.0","old":"1.0.0","x":"1.0.0"`, bothMaintain, one), code: 400, says: "dist-tag"},
		"a tag to what goes":              {body: fmt.Sprintf(whole, `"latest":"2.0.0","old":"1.0.0"`, bothMaintain, one), code: 400, says: "dist-tag"},
		"a tag that stays with what goes": {body: fmt.Sprintf(whole, tagsAsTheyAre, bothMaintain, one), code: 400, says: "dist-tag"},
		"all versions":                    {body: fmt.Sprintf(whole, ``, bothMaintain, ``), code: 400, says: "as a whole"},
		"nobody":                          {body: `{"_id":"plain","maintainers":[]}`, code: 400, says: "nobody"},
		"nobody, whole":                   {body: fmt.Sprintf(whole, tagsAsTheyAre, ``, one+","+two), code: 400, says: "nobody"},
		"owners and stars":                {body: `{"_id":"plain","maintainers":[{"name":"alice"}],"users":{}}`, code: 400, says: "neither"},
		"owners and tags":                 {body: `{"_id":"plain","_rev":"7-a","maintainers":[{"name":"alice"}],"dist-tags":{"latest":"1.0.0"}}`, code: 400, says: "neither"},
		"neither":                         {body: `{"_id":"plain","_rev":"7-a"}`, code: 400, says: "neither"},
		"tags alone":                      {body: `{"_id":"plain","dist-tags":{"latest":"1.0.0"}}`, code: 400, says: "neither"},
		"of another revision":             {body: strings.Replace(fmt.Sprintf(whole, tagsAsTheyAre, bothMaintain, one+`,"2.0.0":{"deprecated":"no"}`), "7-a", "6-a", 1), code: 409, says: "changed since"},
		"owners of another revision":      {path: "/plain/-rev/6-a", body: `{"_id":"plain","_rev":"6-a","maintainers":[{"name":"alice"}]}`, code: 409, says: "changed since"},
		"two revisions":                   {path: "/plain/-rev/6-a", body: fmt.Sprintf(whole, tagsAsTheyAre, bothMaintain, one+","+two), code: 400, says: "two revisions"},
		"of another package":              {body: `{"_id":"other","users":{}}`, code: 400, says: "another package"},
		"with another's manifest":         {body: fmt.Sprintf(whole, tagsAsTheyAre, bothMaintain, one+`,"2.0.0":{"name":"other"}`), code: 400, says: "another package"},
		"twice":                           {body: `{"_id":"plain","users":{},"users":{"alice":true}}`, code: 400},
		"compressed":                      {body: "\x1f\x8b", code: 400},
		"a publish to a revision":         {path: "/plain/-rev/7-a", body: string(hosttest.PublishBody(protocol.PackageName{Name: "plain"}, "3.0.0")), code: 400, says: "attachments"},
		"attachments of none":             {body: `{"_id":"plain","users":{},"_attachments":{}}`, code: 400, says: "neither"},
	} {
		t.Run(name, func(t *testing.T) {
			w, bypass := documented(t)
			path := tt.path
			if path == "" {
				path = "/plain"
			}
			a := w.do(call{method: "PUT", path: path, bearer: bypass, body: tt.body})
			if tt.write != "" {
				require.Equal(t, 200, a.Code, "%s", a.Body)
				assert.Equal(t, []string{tt.write}, w.host.written())
				return
			}
			assert.Equal(t, tt.code, a.Code, "%s", a.Body)
			assert.Contains(t, a.text("error"), tt.says)
			assert.Empty(t, w.host.written())
		})
	}
}

// A page that was approved for these owners is not shown for others.
func TestOwnersTakeAFactorForTheseOwners(t *testing.T) {
	w, _ := documented(t)
	w.enrol("alice", protocol.AuthOnly)
	s := w.login("alice")
	put := func(who, proof string) answer {
		return w.do(call{method: "PUT", path: "/plain/-rev/7-a", bearer: s, otp: proof, body: `{"_id":"plain","_rev":"7-a","maintainers":[{"name":"alice"},{"name":"` + who + `"}]}`})
	}
	proof := w.approve(put("carol", ""), "alice", "<dt>Adds owner</dt><dd><bdi>carol</bdi></dd>", "<dt>Removes owner</dt><dd><bdi>bob</bdi></dd>")
	isChallenge(t, put("mallory", proof))
	require.Equal(t, 200, put("carol", proof).Code)
	assert.Equal(t, 200, put("carol", proof).Code, "npm sends it again where the answer was lost")
	isChallenge(t, put("mallory", proof))
	w.host.revision = "8-a"
	assert.Equal(t, 409, put("carol", proof).Code)
	write := `write-owners plain 7-a {"AddedOwners":["carol"],"Maintainers":["alice","carol"],"RemovedOwners":["bob"],"Revision":"7-a"}`
	assert.Equal(t, []string{write, write}, w.host.written())
}

// approve answers a challenge on its page, which shows what it is for, and returns what
// the client collects.
func (w *world) approve(a answer, name string, shows ...string) (proof string) {
	w.t.Helper()
	isChallenge(w.t, a)
	_, _, page := w.open(a.text("authUrl"))
	for _, text := range shows {
		require.Contains(w.t, page.Body.String(), text)
	}
	ok := w.submit(a.text("authUrl"), map[string]string{"password": password, "code": w.code(name)})
	require.Contains(w.t, []int{200, 303}, ok.Code, ok.Body.String())
	return w.poll(a.text("doneUrl"), "GET").text("token")
}

// A registry that does not say what there is takes new versions, owners and stars.
func TestDocumentsOfAHostWithoutCurrent(t *testing.T) {
	w, bypass := documented(t, func(cfg *npmauth.Config) { cfg.Documents = nil })
	a := w.do(call{method: "PUT", path: "/plain", bearer: bypass, body: fmt.Sprintf(whole, tagsAsTheyAre, bothMaintain, one+","+two)})
	assert.Equal(t, 403, a.Code)
	assert.Contains(t, a.text("error"), "does not offer")
	assert.Equal(t, 200, w.do(call{method: "PUT", path: "/plain", bearer: bypass, body: `{"_id":"plain","users":{"alice":true}}`}).Code)
	assert.Equal(t, 200, w.do(call{method: "PUT", path: "/plain", bearer: bypass, body: hosttest.PublishBody(protocol.PackageName{Name: "plain"}, "3.0.0")}).Code)
	assert.Equal(t, []string{`star plain  {"Starred":true}`, "publish plain@3.0.0"}, w.host.written())
}

// The package that the document belongs to is the one whose rights were asked for.
func TestDocumentOfAReplacedPackage(t *testing.T) {
	w, bypass := documented(t, func(cfg *npmauth.Config) {
		reg := cfg.Documents.(*backend)
		cfg.Documents = replaced{reg}
	})
	a := w.do(call{method: "PUT", path: "/plain", bearer: bypass, body: fmt.Sprintf(whole, tagsAsTheyAre, bothMaintain, one+","+two)})
	assert.Equal(t, 409, a.Code)
	assert.Empty(t, w.host.written())
}

// A replaced host says what there is of another package than its facts did.
type replaced struct{ *backend }

func (h replaced) Document(ctx context.Context, pkg protocol.PackageName) (host.Document, error) {
	d, err := h.backend.Document(ctx, pkg)
	d.ID = "another"
	return d, err
}

// unread is a body that nobody reads.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, io.EOF
}

// Of those who may change nothing of a package nothing of the body is read.
func TestBodiesOfStrangersAreNotRead(t *testing.T) {
	w, _ := documented(t)
	reader, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly)})
	for who, bearer := range map[string]string{"nobody": "", "a reader": reader, "somebody": "npm_garbage"} {
		for _, path := range []string{"/plain", "/plain/-rev/7-a"} {
			r := httptest.NewRequestWithContext(t.Context(), "PUT", path, unread{t})
			if bearer != "" {
				r.Header.Set("Authorization", "Bearer "+bearer)
			}
			rec := httptest.NewRecorder()
			w.handler.ServeHTTP(rec, r)
			assert.Contains(t, []int{401, 403}, rec.Code, "%s at %s", who, path)
		}
	}
	assert.Empty(t, w.host.written())
}

// Of those who could do no more than star a package no more is read than that takes.
func TestBodiesOfReadersAreBounded(t *testing.T) {
	w, bypass := documented(t)
	w.enrol("bob", protocol.AuthOnly)
	bob := w.login("bob")
	of := func(size int) string {
		return `{"_id":"plain","readme":"` + strings.Repeat("x", size) + `","users":{}}`
	}
	assert.Equal(t, 413, w.do(call{method: "PUT", path: "/plain", bearer: bob, body: of(2 << 20)}).Code)
	assert.Equal(t, 400, w.do(call{method: "PUT", path: "/plain", bearer: bypass, body: of(2 << 20)}).Code)
	assert.Equal(t, 413, w.do(call{method: "PUT", path: "/plain", bearer: bypass, body: of(17 << 20)}).Code)
	assert.Equal(t, 200, w.do(call{method: "PUT", path: "/plain", bearer: bob, body: `{"_id":"plain","users":{"bob":true}}`}).Code)
	assert.Equal(t, []string{`star plain  {"Starred":true}`}, w.host.written())
}

// A policy may look at what is published: it is asked again when the whole body was read.
func TestPolicyOfVersions(t *testing.T) {
	w, bypass := documented(t, func(cfg *npmauth.Config) {
		cfg.Policy = policy.NPM().With(policy.Rule{
			ID: "no-majors", Sentence: "A major version is not published.", Actions: []protocol.Action{protocol.Publish},
			Judge: func(r *policy.Request) policy.Verdict {
				if r.Change != nil && strings.HasSuffix(r.Change.Version, ".0.0") {
					return policy.Forbid
				}
				return policy.Silent
			},
		})
	})
	assert.Equal(t, 200, w.publish("plain", "2.1.0", bypass, "").Code)
	assert.Equal(t, "no-majors", w.publish("plain", "3.0.0", bypass, "").text("code"))
	var doc map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(hosttest.PublishBody(protocol.PackageName{Name: "plain"}, "4.0.0"), &doc))
	first := `{"_attachments":` + string(doc["_attachments"]) + `,"_id":"plain","name":"plain","dist-tags":{"latest":"4.0.0"},"versions":` + string(doc["versions"]) + `}`
	a := w.do(call{method: "PUT", path: "/plain", bearer: bypass, body: strings.Replace(first, `,"_id"`, `,"readme":"`+strings.Repeat("x", 1<<16)+`","_id"`, 1)})
	assert.Equal(t, "no-majors", a.text("code"), "Yarn 2 to 4 name the version after the tarball")
	assert.Equal(t, []string{"publish plain@2.1.0"}, w.host.written())
}

// A publish may name its attachments first or last, and is one in either case.
func TestPublishWhereverItsAttachmentsAre(t *testing.T) {
	w, bypass := documented(t)
	last := string(hosttest.PublishBody(protocol.PackageName{Name: "plain"}, "3.0.0"))
	require.Equal(t, 200, w.do(call{method: "PUT", path: "/plain", bearer: bypass, body: last}).Code)
	var doc map[string]json.RawMessage
	require.NoError(t, json.Unmarshal([]byte(strings.ReplaceAll(last, "3.0.0", "4.0.0")), &doc))
	attachments, err := json.Marshal(doc["_attachments"])
	require.NoError(t, err)
	delete(doc, "_attachments")
	rest, err := json.Marshal(doc)
	require.NoError(t, err)
	first := `{"_attachments":` + string(attachments) + `,"readme":"` + strings.Repeat("x", 1<<20) + `",` + string(rest[1:])
	assert.Equal(t, 200, w.do(call{method: "PUT", path: "/plain", bearer: bypass, body: first}).Code)
	assert.Equal(t, []string{"publish plain@3.0.0", "publish plain@4.0.0"}, w.host.written())
}

// What a body does takes the right to do it, whatever it is sent to: a token that may do
// one thing cannot send another as if it were that.
//
// PC-22, PC-26, PC-27, PC-28, N-05, N-06.
func TestDocumentsTakeTheRightToWhatTheyDo(t *testing.T) {
	bodies := map[protocol.Action][2]string{
		protocol.Publish:     {"/plain", string(hosttest.PublishBody(protocol.PackageName{Name: "plain"}, "3.0.0"))},
		protocol.Deprecate:   {"/plain", fmt.Sprintf(whole, tagsAsTheyAre, bothMaintain, one+`,"2.0.0":{"deprecated":"no"}`)},
		protocol.Unpublish:   {"/plain/-rev/7-a", fmt.Sprintf(whole, `"latest":"1.0.0","old":"1.0.0"`, bothMaintain, one)},
		protocol.WriteOwners: {"/plain/-rev/7-a", `{"_id":"plain","_rev":"7-a","maintainers":[{"name":"mallory"}]}`},
		protocol.Star:        {"/plain", `{"_id":"plain","_rev":"7-a","users":{"alice":true}}`},
	}
	plain := protocol.Grant{Target: protocol.OnePackage, Package: protocol.PackageName{Name: "plain"}, Permission: protocol.ReadWrite}
	narrow := func(v protocol.Verbs) []protocol.Grant {
		g := plain
		g.Verbs = v
		return []protocol.Grant{g}
	}
	for name, tt := range map[string]struct {
		grants []protocol.Grant
		may    []protocol.Action
	}{
		"read-only":      {grants: grantAll(protocol.ReadOnly)},
		"stage-only":     {grants: grantAll(protocol.StageOnly)},
		"read-write":     {grants: []protocol.Grant{plain}, may: []protocol.Action{protocol.Publish, protocol.Deprecate, protocol.Unpublish, protocol.Star}},
		"publish only":   {grants: narrow(protocol.VerbPublish), may: []protocol.Action{protocol.Publish, protocol.Star}},
		"deprecate only": {grants: narrow(protocol.VerbDeprecate), may: []protocol.Action{protocol.Deprecate, protocol.Star}},
		"unpublish only": {grants: narrow(protocol.VerbUnpublish), may: []protocol.Action{protocol.Unpublish, protocol.Star}},
		"dist-tag only":  {grants: narrow(protocol.VerbDistTag), may: []protocol.Action{protocol.Star}},
	} {
		for action, sent := range bodies {
			t.Run(name+" "+action.String(), func(t *testing.T) {
				w, _ := documented(t)
				bearer, _ := w.token("alice", token.Spec{Grants: tt.grants, Bypass: !slices.ContainsFunc(tt.grants, func(g protocol.Grant) bool { return g.Permission == protocol.ReadOnly })})
				a := w.do(call{method: "PUT", path: sent[0], bearer: bearer, body: sent[1]})
				if slices.Contains(tt.may, action) {
					assert.Equal(t, 200, a.Code, "%s", a.Body)
					assert.Len(t, w.host.written(), 1)
					assert.True(t, strings.HasPrefix(w.host.written()[0], action.String()))
					return
				}
				assert.Equal(t, 403, a.Code, "%s", a.Body)
				assert.Empty(t, w.host.written())
			})
		}
	}
}
