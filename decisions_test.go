package npmauth_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
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

// A decidedVersion is what became of one of several staged versions.
type decidedVersion struct {
	ID, PackageName, Version, State, Problem string
	Approvals, ApprovalsNeeded               int
}

// decide decides about several staged versions, and returns what became of each, as "plain@3.0.0 published".
func (w *world) decide(decision, bearer, otp string, ids ...string) (a answer, results []string) {
	w.t.Helper()
	c := decides(decision, ids...)
	c.bearer, c.otp = bearer, otp
	a = w.do(c)
	var body struct{ Results []decidedVersion }
	if a.Code == http.StatusOK {
		require.NoError(w.t, json.Unmarshal(a.Body.Bytes(), &body))
	}
	for _, r := range body.Results {
		results = append(results, strings.TrimSpace(fmt.Sprintf("%s@%s %s %d/%d %s", r.PackageName, r.Version, r.State, r.Approvals, r.ApprovalsNeeded, r.Problem)))
	}
	return a, results
}

// One second factor approves several versions, each by the settings of its own package, and the host publishes those
// that have all approvals: it sees an ordinary approval of each.
func TestApproveSeveral(t *testing.T) {
	change, _ := withLog(t)
	w := newWorld(t, stages, change)
	s := w.alice(protocol.AuthAndWrites)
	w.host.add("@acme/widget", false, w.ids["alice"])
	require.NoError(t, w.auth.SetScope(t.Context(), "acme", settings.Scope{Approvals: 2}))
	first := w.staged("plain", "3.0.0", s)
	w.clock.Add(time.Second)
	second := w.staged("@acme/widget", "2.0.0", s)
	w.clock.Add(time.Second)
	third := w.staged("plain", "3.1.0", s)
	w.host.writes = nil

	a, _ := w.decide("approve", s, "", first, second, third)
	isChallenge(t, a)
	code := w.codeAfter("alice")
	a, results := w.decide("approve", s, code, third, first, second) // and published in the order in which they were staged
	require.Equal(t, 200, a.Code, "%s", a.Body)
	assert.Equal(t, []string{"plain@3.0.0 published 1/1", "@acme/widget@2.0.0 approved 1/2", "plain@3.1.0 published 1/1"}, results)
	assert.Equal(t, []string{"approve-staged plain " + first, "approve-staged plain " + third}, short(w.host.written()))
	assert.NotContains(t, strings.Join(w.host.written(), " "), second)
	assert.Len(t, w.events.of("version.approved"), 3)
	assert.Equal(t, []string{"2.0.0"}, w.stagedVersions(s))
	// The code is spent: it approves nothing else.
	a, _ = w.decide("approve", s, code, w.staged("plain", "3.2.0", s))
	isChallenge(t, a)
}

func short(written []string) (all []string) {
	for _, text := range written {
		all = append(all, strings.Join(strings.Fields(text)[:3], " "))
	}
	return all
}

func (w *world) stagedVersions(bearer string) (versions []string) {
	w.t.Helper()
	for _, item := range w.listStaged(bearer, "?perPage=100").Items {
		versions = append(versions, item.Version)
	}
	return versions
}

// If one of several is refused none is approved, and the answer says which it is: by its name only to who may see it.
func TestOneOfSeveralRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		refuse func(w *world) (id string)
		status int
		says   string
	}{
		"by a setting": {func(w *world) string {
			w.host.add("other", false, w.ids["alice"])
			require.NoError(w.t, w.auth.SetPackage(w.t.Context(), "id-other", policy.Settings{OtherApprover: true}))
			return w.staged("other", "1.1.0", w.login("alice"))
		}, 403, "other@1.1.0: You staged this version"},
		"somebody else's": {func(w *world) string {
			w.person("bob")
			w.enrol("bob", protocol.AuthAndWrites)
			w.host.add("bobs", false, w.ids["bob"])
			return w.staged("bobs", "1.1.0", w.login("bob"))
		}, 404, ": There is no such staged version or you may not see it."},
		"what there is not": {func(*world) string { return uuid }, 404, uuid + ": There is no such staged version or you may not see it."},
		"what takes a security key": {func(w *world) string {
			w.host.add("keyed", false, w.ids["alice"])
			keys := true
			require.NoError(w.t, w.auth.SetPackage(w.t.Context(), "id-keyed", policy.Settings{KeysOnly: keys}))
			return w.staged("keyed", "1.1.0", w.login("alice"))
		}, 403, "keyed@1.1.0: "},
	} {
		t.Run(name, func(t *testing.T) {
			for _, decision := range []string{"approve", "reject"} {
				w := newWorld(t, stages)
				s := w.alice(protocol.AuthAndWrites)
				first, refused := w.staged("plain", "3.0.0", s), tt.refuse(w)
				if decision == "reject" && name == "by a setting" {
					continue // which is about approving
				}
				w.host.writes = nil
				for _, ids := range [][]string{{first, refused}, {refused, first}} {
					a, _ := w.decide(decision, s, w.codeAfter("alice"), ids...)
					assert.Equal(t, tt.status, a.Code, "%s", a.Body)
					assert.Contains(t, a.text("error"), tt.says)
					assert.NotContains(t, a.Body.String(), "bobs")
				}
				assert.Empty(t, w.host.written())
				assert.Empty(t, w.events.of("version.approved"))
				assert.Empty(t, w.events.of("version.rejected"))
				assert.Contains(t, w.stagedVersions(s), "3.0.0")
			}
		})
	}
}

// The final decision is made about each, in the commit and with what was proven: not only about the one that the factor
// was begun with.
func TestFinalDecisionAboutEach(t *testing.T) {
	w := newWorld(t, stages)
	s := w.alice(protocol.AuthAndWrites)
	w.host.add("other", false, w.ids["alice"])
	first, second := w.staged("plain", "3.0.0", s), w.staged("other", "1.1.0", s)
	w.host.writes = nil
	code := w.codeAfter("alice")
	require.NoError(t, w.auth.SetPolicy(policy.NPM().With(policy.Rule{
		ID: "no-apps", Doc: "No code is enough for other.", Sentence: "A code is not enough.", Actions: []protocol.Action{protocol.ApproveStaged},
		Judge: func(r *policy.Request) policy.Verdict {
			if r.Operation.Package.Name == "other" && r.Proof == policy.ProofTOTP {
				return policy.Forbid
			}
			return policy.Silent
		},
	})))
	a, _ := w.decide("approve", s, code, first, second)
	assert.Equal(t, 403, a.Code, "%s", a.Body)
	assert.Contains(t, a.text("error"), "other@1.1.0: A code is not enough.")
	assert.Empty(t, w.host.written())
	assert.Empty(t, w.events.of("version.approved"))
	assert.Equal(t, protocol.PackageName{Name: "other"}, w.events.last(audit.Access).Package)
	require.NoError(t, w.auth.SetPolicy(policy.NPM()))
	a, results := w.decide("approve", s, code, first, second)
	assert.Equal(t, []string{"plain@3.0.0 published 1/1", "other@1.1.0 published 1/1"}, results, "the code was not spent: %s", a.Body)
}

// What has ended since it was read is not decided about, and neither are the others, nor is the code used up.
func TestOneOfSeveralEnds(t *testing.T) {
	for _, decision := range []string{"approve", "reject"} {
		w := newWorld(t, stages)
		s := w.alice(protocol.AuthAndWrites)
		first, second := w.staged("plain", "3.0.0", s), w.staged("plain", "3.1.0", s)
		w.host.writes = nil
		m, err := stage.New(stage.Config{Store: w.store, Now: w.clock.Now})
		require.NoError(t, err)
		asked := 0
		w.host.asked = func() {
			if asked++; asked == 3 { // after two first decisions
				assert.NoError(t, store.Transact(t.Context(), w.store, func(tx *store.Tx) error {
					_, err := m.RejectTx(t.Context(), tx, audit.Actor{}, second, "")
					return err
				}))
			}
		}
		code := w.codeAfter("alice")
		a, _ := w.decide(decision, s, code, first, second)
		assert.Equal(t, 404, a.Code, "%s", a.Body)
		assert.Contains(t, a.text("error"), "There is no such staged version")
		assert.GreaterOrEqual(t, asked, 3)
		assert.Empty(t, w.host.written())
		assert.Equal(t, []string{"3.0.0"}, w.stagedVersions(s))
		a, results := w.decide(decision, s, code, first)
		assert.Len(t, results, 1, "%s", a.Body)
	}
}

// Several are rejected as one is.
func TestRejectSeveral(t *testing.T) {
	w := newWorld(t, stages)
	s := w.alice(protocol.AuthAndWrites)
	first, second := w.staged("plain", "3.0.0", s), w.staged("plain", "3.1.0", s)
	a, results := w.decide("reject", s, w.codeAfter("alice"), first, second)
	require.Equal(t, 200, a.Code, "%s", a.Body)
	assert.Equal(t, []string{"plain@3.0.0 rejected 0/1", "plain@3.1.0 rejected 0/1"}, results)
	assert.Empty(t, w.host.kept)
	assert.Empty(t, w.stagedVersions(s))
	assert.Len(t, w.events.of("version.rejected"), 2)
}

// What the host does not publish stays approved, and none of the others waits for it.
func TestHostFailsOneOfSeveral(t *testing.T) {
	w := newWorld(t, stages)
	s := w.alice(protocol.AuthAndWrites)
	var ids []string
	for i := range 4 {
		ids = append(ids, w.staged("plain", fmt.Sprintf("3.%d.0", i), s))
	}
	var paths []string
	backend := w.host
	w.handler = w.auth.Wrap(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		paths = append(paths, r.Method+" "+r.URL.Path+" "+r.RequestURI+" "+r.Header.Get("Npm-Otp")+r.Header.Get("Content-Type"))
		switch {
		case strings.Contains(r.URL.Path, ids[0]):
			rw.WriteHeader(http.StatusConflict)
			fmt.Fprint(rw, `{"error":"It is there already."}`)
		case strings.Contains(r.URL.Path, ids[1]):
			panic(http.ErrAbortHandler)
		case strings.Contains(r.URL.Path, ids[2]):
			http.Error(rw, strings.Repeat("x", 1<<20), http.StatusBadGateway)
		default:
			backend.ServeHTTP(rw, r)
		}
	}))
	a, results := w.decide("approve", s, w.codeAfter("alice"), ids...)
	require.Equal(t, 200, a.Code, "%s", a.Body)
	assert.Equal(t, []string{
		"plain@3.0.0 approved 1/1 It is there already.", "plain@3.1.0 approved 1/1 The registry cannot decide this at the moment. Try again shortly.",
		"plain@3.2.0 approved 1/1 The registry answers 502 Bad Gateway.", "plain@3.3.0 published 1/1",
	}, results)
	for i, id := range ids {
		path := "/-/stage/" + id + "/approve"
		assert.Equal(t, "POST "+path+" "+path+" ", paths[i])
	}
	assert.Len(t, w.stagedVersions(s), 3)
	assert.Equal(t, 201, w.send(w.auth.Wrap(w.host), call{method: "POST", path: "/-/stage/" + ids[1] + "/approve", bearer: s, otp: w.codeAfter("alice")}).Code)
}

// The host confirms each by itself, for which no code is asked for twice, and which takes what the sender still may.
func TestConfirmOneOfSeveral(t *testing.T) {
	for _, decision := range []string{"approve", "reject"} {
		w := newWorld(t, stages)
		s := w.alice(protocol.AuthAndWrites)
		w.host.add("other", false, w.ids["alice"])
		ids := []string{w.staged("plain", "3.0.0", s), w.staged("other", "3.0.0", s)}
		confirmed := 0
		w.handler = w.auth.Wrap(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			op, _ := host.OperationFrom(r.Context())
			change, err := op.Change()
			assert.NoError(t, err)
			assert.Empty(t, change.Also)
			if assert.NotNil(t, op.Staged) {
				assert.Equal(t, op.ID, op.Staged.ID)
			}
			if err := op.Confirm(r.Context()); err != nil {
				npmauth.WriteError(rw, r, err)
				return
			}
			confirmed++
			assert.NoError(t, w.auth.Subjects().Disable(t.Context(), audit.Actor{}, w.ids["alice"]))
		}))
		a, results := w.decide(decision, s, w.codeAfter("alice"), ids...)
		require.Equal(t, 200, a.Code, "%s", a.Body)
		assert.Equal(t, 1, confirmed)
		assert.Contains(t, results[1], "is not valid here, or not any more", decision)
	}
}

// Who may not do it, and what is no list of staged versions.
func TestSeveralMalformed(t *testing.T) {
	w := newWorld(t, stages, trusts)
	s := w.alice(protocol.AuthAndWrites)
	first := w.staged("plain", "3.0.0", s)
	a, _ := w.decide("approve", "", "", first)
	assert.Equal(t, 401, a.Code)
	bypass, _ := w.token("alice", token.Spec{Bypass: true, Grants: grantAll(protocol.ReadWrite)})
	a, _ = w.decide("approve", bypass, "", first)
	assert.Equal(t, 403, a.Code)
	w.trust("plain", "createPackage")
	a, _ = w.decide("approve", w.exchanged("plain"), "", first)
	assert.GreaterOrEqual(t, a.Code, 403, "%s", a.Body)
	assert.NotContains(t, a.Body.String(), "plain@")
	for body, status := range map[string]int{
		``: 400, `{}`: 400, `{"ids":[]}`: 400, `{"ids":["x"]}`: 400, `{"ids":["` + first + `","` + first + `"]}`: 400, `{"ids":["` + first + `"],"x":1}`: 400,
		`{"ids":["` + strings.Repeat(uuid+`","`, 50) + first + `"]}`: 409, `{"ids":["` + strings.Repeat("x", 1<<17) + `"]}`: 413,
	} {
		c := decides("approve")
		c.body, c.bearer, c.otp = body, s, w.code("alice")
		assert.Equal(t, status, w.do(c).Code, "%.80s", body)
	}
	assert.Empty(t, w.events.of("version.approved"))
	without := newWorld(t)
	a, _ = without.decide("approve", without.alice(protocol.AuthAndWrites), "", uuid)
	assert.Equal(t, "not-offered", a.text("code"), "%s", a.Body)
}

// Two people who approve the same versions at once each count, and each version is published once.
func TestTwoApproveAtOnce(t *testing.T) {
	w := newWorld(t, stages)
	s := w.alice(protocol.AuthAndWrites)
	require.NoError(t, w.auth.SetPackage(t.Context(), "id-plain", policy.Settings{Approvals: 2}))
	ids := []string{w.staged("plain", "3.0.0", s), w.staged("plain", "3.1.0", s), w.staged("plain", "3.2.0", s)}
	var calls []call
	for _, name := range []string{"bob", "carol"} {
		w.person(name)
		w.enrol(name, protocol.AuthAndWrites)
		w.host.change(func(p *hosted) { p.rights[w.ids[name]] = policy.RightRead | policy.RightWrite })
		c := decides("approve", ids...)
		c.bearer = w.login(name)
		calls = append(calls, c)
	}
	w.clock.Add(time.Minute) // after the codes of the logins
	calls[0].otp, calls[1].otp = w.code("bob"), w.code("carol")
	w.host.writes = nil
	answers := make([]answer, len(calls))
	var wg sync.WaitGroup
	for i := range calls {
		wg.Go(func() { answers[i] = w.do(calls[i]) })
	}
	wg.Wait()
	var published, approved int
	for _, a := range answers {
		assert.Equal(t, 200, a.Code, "%s", a.Body)
		published += strings.Count(a.Body.String(), `"state":"published","approvals":2`)
		approved += strings.Count(a.Body.String(), `"state":"approved","approvals":1`)
	}
	assert.Equal(t, []int{3, 3}, []int{published, approved})
	assert.Len(t, w.host.written(), 3)
	assert.Empty(t, w.stagedVersions(s))
}

// As many as may be decided about at once fit into a commit, with the events as rows, and also where each is of a
// package and a scope of its own.
func TestSeveralFitACommit(t *testing.T) {
	change, _ := withLog(t)
	w := newWorld(t, stages, change)
	s := w.alice(protocol.AuthAndWrites)
	w.key("alice", "blue")
	for decision, n := range map[string]int{"approve": 10, "reject": 5} {
		var ids []string
		for i := range n + 1 {
			name := fmt.Sprintf("@scope%d/%s", i, decision)
			w.host.add(name, false, w.ids["alice"])
			ids = append(ids, w.staged(name, "3.0.0", s))
		}
		a, _ := w.decide(decision, s, w.codeAfter("alice"), ids...)
		assert.Equal(t, "too-many-ids", a.text("code"), "%s", a.Body)
		assert.Contains(t, a.text("error"), fmt.Sprintf("Choose fewer, such as %d.", n))
		assert.Len(t, w.stagedVersions(s), len(ids))
		c := decides(decision, ids[:n]...)
		c.bearer = s
		a, results := w.decide(decision, s, w.keyFor(c), ids[:n]...) // which takes more ops than a code
		require.Equal(t, 200, a.Code, "%s", a.Body)
		assert.Len(t, results, n)
		w.decide("reject", s, w.codeAfter("alice"), ids[n])
	}
}

// keyFor returns what a key of alice's has signed for a request.
func (w *world) keyFor(c call) string {
	w.t.Helper()
	c.header = map[string]string{"npm-auth-type": "security-key"}
	options, err := json.Marshal(w.do(c).json["webauthn"])
	require.NoError(w.t, err)
	return signs(options, "blue")
}

// More fit where they share a scope, and more yet where they are of one package: as many as the documentation says, also with
// a security key, which takes more ops than a code.
func TestMoreOfOneScopeFit(t *testing.T) {
	for _, tt := range []struct {
		decision, of string
		name         func(i int) string
		n            int
	}{
		{"approve", "a scope", func(i int) string { return fmt.Sprint("@scope/", i) }, 12},
		{"approve", "a package", func(int) string { return "plain" }, 16},
		{"reject", "a scope", func(i int) string { return fmt.Sprint("@scope/", i) }, 6},
		{"reject", "a package", func(int) string { return "plain" }, 8},
	} {
		t.Run(tt.decision+" of "+tt.of, func(t *testing.T) {
			change, _ := withLog(t)
			w := newWorld(t, stages, change)
			s := w.alice(protocol.AuthAndWrites)
			w.key("alice", "blue")
			var ids []string
			for i := range tt.n + 1 {
				if name := tt.name(i); name != "plain" {
					w.host.add(name, false, w.ids["alice"])
				}
				ids = append(ids, w.staged(tt.name(i), fmt.Sprintf("3.%d.0", i), s))
			}
			decide := func(ids []string) (answer, []string) {
				c := decides(tt.decision, ids...)
				c.bearer = s
				return w.decide(tt.decision, s, w.keyFor(c), ids...)
			}
			a, _ := decide(ids)
			assert.Equal(t, "too-many-ids", a.text("code"), "%s", a.Body)
			_, results := decide(ids[:tt.n])
			assert.Len(t, results, tt.n)
		})
	}
}
