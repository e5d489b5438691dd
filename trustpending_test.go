package npmauth_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/host/hosttest"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/settings"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/token"
	"github.com/npmauth/npmauth/trust"
)

// pendingBody is trustBody with the IDs of the job's repository.
func pendingBody(permissions ...string) string {
	return strings.Replace(trustBody(permissions...), `"workflow_ref"`, `"repository_id":"731","repository_owner_id":"42","workflow_ref"`, 1)
}

// trustCall sends a request about the trusted publishers of a name, with a new code of the user's.
func (w *world) trustCall(user, session, method, name, rest, body string) answer {
	w.t.Helper()
	c := call{method: method, path: "/-/package/" + strings.ReplaceAll(name, "/", "%2f") + "/trust" + rest, bearer: session, otp: w.codeAfter(user)}
	if body != "" {
		c.body = body
	}
	return w.do(c)
}

// pend has a user add a pending trusted publisher, and returns its ID.
func (w *world) pend(user, session, name string) string {
	w.t.Helper()
	a := w.trustCall(user, session, "POST", name, "", pendingBody("createPackage"))
	require.Equal(w.t, 201, a.Code, "%s", a.Body)
	var added []struct{ ID string }
	require.NoError(w.t, json.Unmarshal(a.Body.Bytes(), &added))
	return added[0].ID
}

// pendings returns what a user is shown of a name.
func (w *world) pendings(user, session, name string) (all []map[string]any) {
	w.t.Helper()
	a := w.trustCall(user, session, "GET", name, "", "")
	require.Equal(w.t, 200, a.Code, "%s", a.Body)
	require.NoError(w.t, json.Unmarshal(a.Body.Bytes(), &all))
	return all
}

// pendingWorld has alice, with a second factor, and her session.
func pendingWorld(t *testing.T, change ...func(*npmauth.Config)) (w *world, session string) {
	t.Helper()
	w = newWorld(t, append([]func(*npmauth.Config){trusts}, change...)...)
	return w, w.alice(protocol.AuthAndWrites)
}

// second signs in another person with a second factor.
func (w *world) second(name string) string {
	w.t.Helper()
	w.person(name)
	w.enrol(name, protocol.AuthAndWrites)
	return w.login(name)
}

func (w *world) bound(name string) []trust.Record {
	w.t.Helper()
	pkg, err := protocol.ParsePackageName(name)
	require.NoError(w.t, err)
	if w.host.packages[pkg] == nil {
		return nil
	}
	list, err := w.auth.Trust().Publishers(w.t.Context(), nil, w.host.packages[pkg].id)
	require.NoError(w.t, err)
	return list
}

// The first version comes of a job: the package belongs to who has said which job may, and the job is a trusted publisher
// of it from then on.
func TestPendingPublisherCreates(t *testing.T) {
	w, s := pendingWorld(t)
	require.Empty(t, w.pendings("alice", s, "@acme/new"))
	isChallenge(t, w.do(call{method: "POST", path: "/-/package/@acme%2fnew/trust", bearer: s, body: pendingBody("createPackage")}))
	a := w.trustCall("alice", s, "POST", "@acme/new", "", pendingBody("createPackage", "setDistTag"))
	require.Equal(t, 201, a.Code, "%s", a.Body)
	added := w.events.last(audit.TrustAdded)
	assert.Equal(t, "true", added.Detail["pending"])
	assert.NotContains(t, added.Detail, "package_id")
	listed := w.pendings("alice", s, "@acme/new")
	require.Len(t, listed, 1)
	assert.Equal(t, true, listed[0]["pending"])
	assert.Equal(t, w.clock.Now().Add(trust.PendingTTL).Truncate(time.Hour), mustTime(t, listed[0]["expires_at"]).Truncate(time.Hour))
	id := listed[0]["id"].(string)

	secret := w.exchanged("@acme/new")
	told := w.events.last(audit.TrustExchanged)
	assert.Equal(t, w.ids["alice"], told.User)
	assert.Equal(t, "true", told.Detail["pending"])
	var who host.Identity
	reads := w.auth.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { who, _ = host.IdentityFrom(r.Context()) }))
	w.host.add("plain", false, w.ids["alice"])
	w.send(reads, call{method: "GET", path: "/plain", bearer: secret})
	assert.Equal(t, w.ids["alice"], who.Publisher.Owner)
	assert.Empty(t, who.User)

	require.Equal(t, 200, w.publish("@acme/new", "1.0.0", secret, "").Code)
	pkg := w.host.packages[protocol.PackageName{Scope: "acme", Name: "new"}]
	assert.Equal(t, map[protocol.UserID]policy.Rights{w.ids["alice"]: allRights}, pkg.rights)
	bound := w.bound("@acme/new")
	require.Len(t, bound, 1)
	assert.Equal(t, id, bound[0].ID)
	assert.Equal(t, w.ids["alice"], bound[0].CreatedBy)
	assert.Equal(t, string(pkg.id), w.events.last(audit.TrustBound).Detail["package_id"])
	listed = w.pendings("alice", s, "@acme/new")
	require.Len(t, listed, 1)
	assert.NotContains(t, listed[0], "pending")

	// It was good for that one version. The next job is as any other.
	assert.Equal(t, 401, w.publish("@acme/new", "1.0.1", secret, "").Code)
	assert.Equal(t, 200, w.publish("@acme/new", "1.0.1", w.exchanged("@acme/new"), "").Code)
	rows, err := w.store.List(t.Context(), "trust-pending", "", 10)
	require.NoError(t, err)
	assert.Empty(t, rows, "nothing is left")
}

func mustTime(t *testing.T, text any) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, text.(string))
	require.NoError(t, err)
	return at
}

// There is nothing to pin yet, so that the IDs are sent; and what does not publish creates no package.
func TestPendingPublisherNeedsIDs(t *testing.T) {
	w, s := pendingWorld(t)
	gitlab := `[{"type":"gitlab","claims":{"project_path":"acme/widget","ci_config_ref_uri":{"file":".gitlab-ci.yml"}%s},"permissions":["createPackage"]}]`
	for body, says := range map[string]string{
		trustBody("createPackage"): "claims.repository_id and claims.repository_owner_id",
		strings.Replace(pendingBody("createPackage"), `"repository_id":"731",`, "", 1): "under: claims.repository_id.",
		fmt.Sprintf(gitlab, ""):                     "claims.project_id and claims.namespace_id",
		fmt.Sprintf(gitlab, `,"namespace_id":"72"`): "under: claims.project_id.",
		pendingBody("createStagedPackage"):          "send createPackage in permissions",
		pendingBody("setDistTag"):                   "send createPackage in permissions",
	} {
		a := w.trustCall("alice", s, "POST", "@acme/new", "", body)
		assert.Equal(t, 400, a.Code, body)
		assert.Contains(t, a.text("error"), says, body)
	}
	assert.Equal(t, 201, w.trustCall("alice", s, "POST", "@acme/new", "", fmt.Sprintf(gitlab, `,"project_id":"22","namespace_id":"72"`)).Code)
	w.pend("alice", s, "@acme/new")
	a := w.trustCall("alice", s, "POST", "@acme/new", "", pendingBody("createPackage", "setDistTag"))
	assert.Equal(t, 409, a.Code, "one that expects the same")
	// Of a package that exists none are demanded.
	w.host.add("plain", false, w.ids["alice"])
	assert.Equal(t, 201, w.trustCall("alice", s, "POST", "plain", "", trustBody("createPackage")).Code)
}

// Who may not create a package has nothing pending for its name, and hears what they would of one that is hidden.
func TestWhoHasPendingPublishers(t *testing.T) {
	w, s := pendingWorld(t)
	w.host.add("@evil/hidden", true, "somebody")
	for method, body := range map[string]string{"GET": "", "POST": pendingBody("createPackage")} {
		absent, hidden := w.trustCall("alice", s, method, "@evil/new", "", body), w.trustCall("alice", s, method, "@evil/hidden", "", body)
		assert.Equal(t, 404, absent.Code, method)
		assert.Equal(t, strings.ReplaceAll(hidden.Body.String(), "hidden", "new"), absent.Body.String(), method)
	}
	assert.Equal(t, 404, w.trustCall("alice", s, "DELETE", "@evil/new", "/"+uuid, "").Code)
	bypass, _ := w.token("alice", token.Spec{Bypass: true, Grants: grantAll(protocol.ReadWrite)})
	a := w.do(call{method: "POST", path: "/-/package/@acme%2fnew/trust", bearer: bypass, body: pendingBody("createPackage")})
	assert.Equal(t, 403, a.Code)
	assert.Equal(t, "session-only", a.text("code"))
	w.person("carol")
	a = w.do(call{method: "POST", path: "/-/package/@acme%2fnew/trust", bearer: w.login("carol"), body: pendingBody("createPackage")})
	assert.Equal(t, 403, a.Code)
	assert.Equal(t, "no-second-factor", a.text("code"))
	assert.Equal(t, 401, w.do(call{method: "POST", path: "/-/package/@acme%2fnew/trust", body: pendingBody("createPackage")}).Code)
}

// What others have pending for a name is none of a user's business. Where the jobs of two match, nobody gets a token: one
// of them names the repository of somebody else.
func TestPendingPublishersOfOthers(t *testing.T) {
	w, alice := pendingWorld(t)
	bob := w.second("bob")
	id := w.pend("alice", alice, "@acme/new")
	assert.Empty(t, w.pendings("bob", bob, "@acme/new"))
	a := w.trustCall("bob", bob, "DELETE", "@acme/new", "/"+id, "")
	assert.Equal(t, 404, a.Code)
	never := w.trustCall("bob", bob, "DELETE", "@acme/new", "/"+uuid, "")
	assert.Equal(t, never.Body.String(), a.Body.String())
	w.clock.Add(time.Minute)
	check := w.do(call{method: "POST", path: "/-/auth/v1/trust/@acme%2fnew/check", bearer: bob, otp: w.code("bob"), body: map[string]string{"id_token": w.idToken()}})
	assert.JSONEq(t, `{"used":false,"publishers":[]}`, check.Body.String())
	w.clock.Add(time.Minute)
	check = w.do(call{method: "POST", path: "/-/auth/v1/trust/@acme%2fnew/check", bearer: alice, otp: w.code("alice"), body: map[string]string{"id_token": w.idToken()}})
	assert.Contains(t, check.Body.String(), `"matches":true`)

	theirs := w.pend("bob", bob, "@acme/new")
	require.Len(t, w.pendings("alice", alice, "@acme/new"), 1)
	refused := w.do(exchangeOf("@acme%2fnew", w.idToken()))
	assert.Equal(t, 404, refused.Code)
	assert.Equal(t, w.do(exchangeOf("absent", w.idToken())).Body.String(), refused.Body.String())
	told := w.events.refusals()
	assert.Equal(t, trust.ErrContested.Error(), told[0].Detail["problem"])
	// One whose user is disabled, or may not create it any more, counts for nothing.
	require.NoError(t, w.auth.Subjects().Disable(t.Context(), audit.Actor{}, w.ids["bob"]))
	assert.Equal(t, 201, w.do(exchangeOf("@acme%2fnew", w.idToken())).Code)
	require.NoError(t, w.auth.Subjects().Enable(t.Context(), audit.Actor{}, w.ids["bob"]))
	assert.Equal(t, 404, w.do(exchangeOf("@acme%2fnew", w.idToken())).Code)
	assert.Equal(t, 204, w.trustCall("bob", w.login("bob"), "DELETE", "@acme/new", "/"+theirs, "").Code)
	assert.Equal(t, 201, w.do(exchangeOf("@acme%2fnew", w.idToken())).Code)
}

// The token creates that one package and does nothing else.
func TestPendingTokenCreatesOneName(t *testing.T) {
	w, s := pendingWorld(t)
	w.host.add("plain", false, w.ids["alice"])
	w.host.add("private", true, w.ids["alice"])
	w.pend("alice", s, "@acme/new")
	secret := w.exchanged("@acme/new")
	for _, name := range []string{"@acme/other", "plain", "private", "new", "@evil/new"} {
		a := w.publish(name, "1.0.0", secret, "")
		assert.Equal(t, 403, a.Code, "%s: %s", name, a.Body)
	}
	for request, want := range map[string]int{
		"GET /plain": 200, "GET /private": 404, "GET /@acme%2fnew": 404, "GET /-/whoami": 403, "GET /-/npm/v1/tokens": 403,
		"PUT /-/package/plain/dist-tags/next": 403, "PUT /-/package/@acme%2fnew/dist-tags/next": 404, "GET /-/package/@acme%2fnew/trust": 404, "GET /-/auth/v1/self": 200,
	} {
		method, path, _ := strings.Cut(request, " ")
		c := call{method: method, path: path, bearer: secret}
		if method == "PUT" {
			c.body = `"1.0.0"`
		}
		a := w.do(c)
		assert.Equal(t, want, a.Code, "%s: %s", request, a.Body)
	}
	assert.Empty(t, w.host.written())
	// Settings of the scope hold for it as for others: what only trusted publishers may do it may, and where versions are
	// staged it publishes none.
	require.NoError(t, w.auth.SetScope(t.Context(), "acme", settings.Scope{StageOnly: true}))
	a := w.publish("@acme/new", "1.0.0", secret, "")
	assert.Equal(t, 403, a.Code)
	assert.Equal(t, "stage-required", a.text("code"))
	require.NoError(t, w.auth.SetScope(t.Context(), "acme", settings.Scope{PublishersOnly: true}))
	assert.Equal(t, 200, w.publish("@acme/new", "1.0.0", secret, "").Code)
	require.Len(t, w.bound("@acme/new"), 1)
}

// publishWhile publishes, and does what happens when half of the body has been read.
func (w *world) publishWhile(name, version, bearer string, happens func()) answer {
	w.t.Helper()
	pkg, err := protocol.ParsePackageName(name)
	require.NoError(w.t, err)
	body := hosttest.PublishBody(pkg, version)
	half := len(body) / 2
	return w.do(call{
		method: "PUT", path: "/" + strings.ReplaceAll(name, "/", "%2f"), bearer: bearer,
		body: io.MultiReader(bytes.NewReader(body[:half]), &happening{fn: happens}, bytes.NewReader(body[half:])),
	})
}

// A happening is a reader of nothing that does something before.
type happening struct{ fn func() }

func (h *happening) Read([]byte) (int, error) {
	h.fn()
	return 0, io.EOF
}

// What ends between the exchange and the publish ends the token.
func TestPendingTokenDies(t *testing.T) {
	for name, end := range map[string]func(w *world, s, id string){
		"removed": func(w *world, s, id string) {
			require.Equal(w.t, 204, w.trustCall("alice", s, "DELETE", "@acme/new", "/"+id, "").Code)
			assert.Equal(w.t, "true", w.events.last(audit.TrustRemoved).Detail["pending"])
		},
		"disabled": func(w *world, _, _ string) {
			require.NoError(w.t, w.auth.Subjects().Disable(w.t.Context(), audit.Actor{}, w.ids["alice"]))
		},
		"revoked": func(w *world, _, _ string) {
			require.NoError(w.t, w.auth.Subjects().RevokeAll(w.t.Context(), audit.Actor{}, w.ids["alice"]))
		},
		"all revoked": func(w *world, _, _ string) { require.NoError(w.t, w.auth.Restored(w.t.Context())) },
		"the job runs again": func(w *world, _, _ string) {
			assert.NotEmpty(w.t, w.exchanged("@acme/new"))
		},
		"time": func(w *world, _, _ string) { w.clock.Add(15 * time.Minute) },
	} {
		w, s := pendingWorld(t)
		id := w.pend("alice", s, "@acme/new")
		secret := w.exchanged("@acme/new")
		assert.Equal(t, 200, w.do(call{method: "GET", path: "/-/auth/v1/self", bearer: secret}).Code, name)
		end(w, s, id)
		a := w.publish("@acme/new", "1.0.0", secret, "")
		assert.Equal(t, 401, a.Code, "%s: %s", name, a.Body)
		assert.Equal(t, 401, w.do(call{method: "GET", path: "/-/auth/v1/self", bearer: secret}).Code, name)
		assert.Empty(t, w.host.written(), name)
	}
	// So do those that end while the body is on its way.
	for name, end := range map[string]func(w *world, id string) error{
		"removed": func(w *world, id string) error {
			return store.Transact(w.t.Context(), w.store, func(tx *store.Tx) error {
				return w.auth.Trust().RemovePendingTx(w.t.Context(), tx, audit.Actor{User: w.ids["alice"]}, protocol.PackageName{Scope: "acme", Name: "new"}, id)
			})
		},
		"disabled": func(w *world, _ string) error {
			return w.auth.Subjects().Disable(w.t.Context(), audit.Actor{}, w.ids["alice"])
		},
	} {
		w, s := pendingWorld(t)
		id := w.pend("alice", s, "@acme/new")
		secret := w.exchanged("@acme/new")
		a := w.publishWhile("@acme/new", "1.0.0", secret, func() { require.NoError(t, end(w, id)) })
		assert.Equal(t, 401, a.Code, "%s: %s", name, a.Body)
		assert.Empty(t, w.host.written(), name)
	}
}

// O-12: a package that somebody else creates in between is never the pending publisher's, whether the host tells of it or not.
func TestPendingPublisherOvertaken(t *testing.T) {
	for _, silent := range []bool{false, true} {
		w, s := pendingWorld(t)
		w.host.silent = silent
		w.person("bob")
		w.pend("alice", s, "@acme/new")
		secret := w.exchanged("@acme/new")
		bypass, _ := w.token("bob", token.Spec{Bypass: true, Grants: grantAll(protocol.ReadWrite)})
		require.Equal(t, 200, w.publish("@acme/new", "1.0.0", bypass, "").Code)
		a := w.publish("@acme/new", "1.0.1", secret, "")
		assert.Equal(t, map[bool]int{false: 401, true: 403}[silent], a.Code, "%s", a.Body)
		assert.Equal(t, 404, w.do(exchangeOf("@acme%2fnew", w.idToken())).Code)
		assert.Empty(t, w.bound("@acme/new"))
		assert.Equal(t, []string{"publish @acme/new@1.0.0"}, w.host.written())
		delete(w.host.packages, protocol.PackageName{Scope: "acme", Name: "new"})
		again := w.do(exchangeOf("@acme%2fnew", w.idToken()))
		assert.Equal(t, map[bool]int{false: 404, true: 201}[silent], again.Code, "the name is free once more, and what was pending is gone if the host told")
		if !silent {
			gone := w.events.last(audit.TrustRemoved)
			assert.Equal(t, []string{"package-created"}, gone.Reasons)
			assert.Empty(t, gone.User, "bob is not told whose it was")
			assert.Empty(t, gone.By)
		}
	}
}

// A host that does not tell gets the package, and no trusted publisher: nothing proves who has created it.
func TestPendingPublisherOfSilentHost(t *testing.T) {
	w, s := pendingWorld(t)
	w.host.silent = true
	w.pend("alice", s, "@acme/new")
	secret := w.exchanged("@acme/new")
	require.Equal(t, 200, w.publish("@acme/new", "1.0.0", secret, "").Code)
	assert.Empty(t, w.bound("@acme/new"))
	a := w.publish("@acme/new", "1.0.1", secret, "")
	assert.Equal(t, 403, a.Code)
	assert.Equal(t, "pending-publisher-creates", a.text("code"))
	assert.Equal(t, 404, w.do(exchangeOf("@acme%2fnew", w.idToken())).Code)
}

// A Created about another package than the one that there is binds nothing, and so does one of a token whose user was
// disabled after the publish was let through.
func TestCreatedBindsNothingElse(t *testing.T) {
	name := protocol.PackageName{Scope: "acme", Name: "new"}
	for what, tt := range map[string]struct {
		before func(w *world)
		id     protocol.PackageID
		says   string
	}{
		"another ID": {id: "id-other", says: "has no package @acme/new"},
		"no ID":      {says: "has no package @acme/new"},
		"disabled": {before: func(w *world) {
			require.NoError(w.t, w.auth.Subjects().Disable(w.t.Context(), audit.Actor{}, w.ids["alice"]))
		}, id: "id-@acme/new"},
		"revoked": {before: func(w *world) {
			require.NoError(w.t, w.auth.Subjects().RevokeAll(w.t.Context(), audit.Actor{}, w.ids["alice"]))
		}, id: "id-@acme/new"},
		"an outage":     {before: func(w *world) { w.host.fail = fmt.Errorf("down") }, id: "id-@acme/new", says: "down"},
		"not yet there": {before: func(w *world) { delete(w.host.packages, name) }, id: "id-@acme/new", says: "has no package"},
	} {
		w, s := pendingWorld(t)
		w.pend("alice", s, "@acme/new")
		secret := w.exchanged("@acme/new")
		var said, unread error
		h := w.auth.Wrap(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			op, _ := host.OperationFrom(r.Context())
			unread = op.Created(r.Context(), tt.id)
			w.host.silent = true
			w.host.ServeHTTP(rw, r)
			if tt.before != nil {
				tt.before(w)
			}
			said = op.Created(r.Context(), tt.id)
		}))
		c := call{method: "PUT", path: "/@acme%2fnew", bearer: secret, body: hosttest.PublishBody(name, "1.0.0")}
		a := w.send(h, c)
		require.Equal(t, 200, a.Code, "%s: %s", what, a.Body)
		assert.ErrorIs(t, unread, host.ErrNoChange, what)
		w.host.fail = nil
		if tt.says == "" {
			assert.NoError(t, said, what)
		} else {
			assert.ErrorContains(t, said, tt.says, what)
		}
		assert.Empty(t, w.bound("@acme/new"), what)
	}
	assert.ErrorIs(t, host.Operation{}.Created(t.Context(), "p"), host.ErrUnguarded)
}

// Of two exchanges at once both may succeed, one after the other, and one token is alive: that which the record has. Of two
// with one ID token one does.
func TestPendingExchangesAtOnce(t *testing.T) {
	w, s := pendingWorld(t)
	w.pend("alice", s, "@acme/new")
	other := newWorld(t, trusts, func(cfg *npmauth.Config) {
		cfg.Store, cfg.Packages, cfg.Now = w.store, w.host, w.clock.Now
	})
	var wg sync.WaitGroup
	secrets := make([]string, 6)
	for i := range secrets {
		bearer := w.idToken()
		wg.Go(func() { secrets[i] = []*world{w, other}[i%2].do(exchangeOf("@acme%2fnew", bearer)).text("token") })
	}
	wg.Wait()
	alive := 0
	for _, secret := range secrets {
		require.NotEmpty(t, secret)
		if w.do(call{method: "GET", path: "/-/auth/v1/self", bearer: secret}).Code == 200 {
			alive++
		}
	}
	assert.Equal(t, 1, alive)

	bearer, codes := w.idToken(), make([]int, 6)
	for i := range codes {
		wg.Go(func() { codes[i] = []*world{w, other}[i%2].do(exchangeOf("@acme%2fnew", bearer)).Code })
	}
	wg.Wait()
	slices.Sort(codes)
	assert.Equal(t, []int{201, 401, 401, 401, 401, 401}, codes)
	// It was used for the name, and so it is for the package.
	require.Equal(t, 200, w.publish("@acme/new", "1.0.0", w.exchanged("@acme/new"), "").Code)
	assert.Equal(t, 401, w.do(exchangeOf("@acme%2fnew", bearer)).Code)
}

// A job that matches nothing gets nothing, whatever the user has pending elsewhere, and the operator hears why.
func TestPendingExchangeRefused(t *testing.T) {
	w, s := pendingWorld(t)
	id := w.pend("alice", s, "@acme/new")
	for what, change := range map[string]map[string]any{
		"repository_id": {"repository_id": "732"}, "repository_owner_id": {"repository_owner_id": "43"}, "repository": {"repository": "acme/other"},
	} {
		w.events.all = nil
		assert.Equal(t, 404, w.do(exchangeOf("@acme%2fnew", w.idToken(change))).Code, what)
		told := w.events.refusals()
		require.Len(t, told, 1)
		assert.Contains(t, told[0].Detail["publisher "+id], what+" is different", what)
	}
	assert.Equal(t, 404, w.do(exchangeOf("@acme%2fother", w.idToken())).Code)
	assert.Zero(t, w.exchanges())
	// Nor does one of a user who has lost the right to create it, or their second factor.
	require.NoError(t, w.auth.Factors().Disable(t.Context(), audit.Actor{}, w.ids["alice"]))
	w.events.all = nil
	assert.Equal(t, 404, w.do(exchangeOf("@acme%2fnew", w.idToken())).Code)
	assert.Contains(t, w.events.refusals()[0].Detail["publisher "+id], "one who may create the package")
	assert.Zero(t, w.exchanges())
}

// A user has no more than that many, of all names together, and a name not more than ten.
func TestPendingPublishersAreCounted(t *testing.T) {
	w, s := pendingWorld(t)
	var last string
	for i := range trust.MaxPending {
		last = w.pend("alice", s, fmt.Sprintf("@acme/new-%d", i))
	}
	a := w.trustCall("alice", s, "POST", "@acme/more", "", pendingBody("createPackage"))
	assert.Equal(t, 409, a.Code)
	assert.Equal(t, "too-many-pending", a.text("code"))
	assert.Contains(t, a.text("error"), "as many pending trusted publishers")
	require.Equal(t, 204, w.trustCall("alice", s, "DELETE", fmt.Sprintf("@acme/new-%d", trust.MaxPending-1), "/"+last, "").Code)
	w.pend("alice", s, "@acme/more")
	// What went with its package counts no more.
	bob := w.second("bob")
	bypass, _ := w.token("bob", token.Spec{Bypass: true, Grants: grantAll(protocol.ReadWrite)})
	require.Equal(t, 200, w.publish("@acme/new-0", "1.0.0", bypass, "").Code)
	w.pend("alice", s, "@acme/again")
	assert.Equal(t, 409, w.trustCall("alice", s, "POST", "@acme/more-again", "", pendingBody("createPackage")).Code)

	for i := range 10 {
		_, err := w.auth.Trust().AddPending(t.Context(), audit.Actor{User: protocol.UserID(fmt.Sprintf("u-%d", i))}, protocol.PackageName{Name: "wanted"}, pendingPublisher(t))
		require.NoError(t, err)
	}
	assert.Equal(t, 409, w.trustCall("bob", bob, "POST", "wanted", "", pendingBody("createPackage")).Code)
}

func pendingPublisher(t *testing.T) trust.Publisher {
	t.Helper()
	p, err := trust.ParsePublisher([]byte(pendingBody("createPackage")))
	require.NoError(t, err)
	return p
}

// After thirty days nothing is left of it, and it counts for nothing from that instant.
func TestPendingPublisherExpires(t *testing.T) {
	w, s := pendingWorld(t)
	w.pend("alice", s, "@acme/new")
	added := w.clock.Now()
	w.clock.Add(trust.PendingTTL - time.Minute)
	assert.Equal(t, 201, w.do(exchangeOf("@acme%2fnew", w.idToken())).Code)
	a := w.do(exchangeOf("@acme%2fnew", w.idToken()))
	require.Equal(t, 201, a.Code)
	assert.Equal(t, added.Add(trust.PendingTTL), mustTime(t, a.text("expires")), "a token does not outlive it")
	w.clock.Add(time.Minute)
	assert.Equal(t, 401, w.publish("@acme/new", "1.0.0", a.text("token"), "").Code)
	assert.Equal(t, 404, w.do(exchangeOf("@acme%2fnew", w.idToken())).Code)
	s = w.login("alice")
	assert.Empty(t, w.pendings("alice", s, "@acme/new"))
	w.pend("alice", s, "@acme/new")
}

// A user whose credentials were all revoked has nothing pending: somebody else may have added it.
func TestPendingPublisherOfRevokedUser(t *testing.T) {
	w, s := pendingWorld(t)
	w.pend("alice", s, "@acme/new")
	require.NoError(t, w.auth.Subjects().RevokeAll(t.Context(), audit.Actor{}, w.ids["alice"]))
	assert.Equal(t, 404, w.do(exchangeOf("@acme%2fnew", w.idToken())).Code)
	s = w.login("alice")
	assert.Empty(t, w.pendings("alice", s, "@acme/new"))
	w.pend("alice", s, "@acme/new")
	assert.Equal(t, 201, w.do(exchangeOf("@acme%2fnew", w.idToken())).Code)
}
