package npmauth_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
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
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/storetest"
	"github.com/npmauth/npmauth/token"
	"github.com/npmauth/npmauth/wire"
)

// observations collects what metrics are told.
type observations struct {
	mu   sync.Mutex
	all  []npmauth.Observation
	boom bool
}

func (o *observations) Observe(one npmauth.Observation) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.all = append(o.all, one)
	if o.boom {
		panic("metrics")
	}
}

// take returns what was observed since it was last called.
func (o *observations) take() []npmauth.Observation {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := o.all
	o.all = nil
	return all
}

// unjudged reports whether the policy is not asked about the request: it shows a password, a
// page's id, a signature or the credential that it ends.
func unjudged(u writing) bool {
	return u.open && u.action != protocol.ExchangeToken || u.action == protocol.Logout
}

// observed checks that a was judged once, and that what was observed agrees with it.
func (o *observations) observed(t *testing.T, a answer, events []audit.Event) npmauth.Observation {
	t.Helper()
	all := o.take()
	require.Len(t, all, 1, "%d %s", a.Code, a.Body)
	got := all[0]
	assert.Positive(t, got.Duration)
	want := []audit.Outcome{audit.Rejected}
	switch {
	case a.Code < 400:
		want[0] = audit.Done
	case a.Header().Get("Www-Authenticate") == "OTP, otp":
		want[0] = audit.Challenged
	case a.Code == http.StatusServiceUnavailable:
		want[0] = audit.Failed
	case a.text("code") == "login-required", a.text("code") == "not-offered":
	case a.Code == http.StatusUnauthorized, a.Code == http.StatusForbidden:
		want[0] = audit.Denied
	case a.Code == http.StatusNotFound: // or what is hidden
		want = append(want, audit.Denied)
	}
	assert.Contains(t, want, got.Outcome, "%d %s", a.Code, a.Body)
	if got.Rule != "" {
		require.NotEmpty(t, events)
		assert.Equal(t, events[len(events)-1].Reason(), got.Rule)
		assert.Equal(t, events[len(events)-1].Outcome, got.Outcome)
	}
	assert.True(t, got.Outcome == audit.Denied || got.Outcome == audit.Rejected || got.Rule == "", "no rule refused: %q", got.Rule)
	return got
}

// Metrics are told once of each request that was judged: what it was, how it ended, and which
// rule refused.
func TestObservations(t *testing.T) {
	for _, u := range writings {
		t.Run(u.name, func(t *testing.T) {
			t.Parallel()
			var told observations
			send := func(change func(prepared) call) (*world, answer) {
				w := u.world(t, func(cfg *npmauth.Config) { cfg.Metrics = &told })
				p := u.prepare(w)
				told.take()
				w.events.all = nil
				return w, w.do(change(p))
			}
			w, a := send(func(p prepared) call { return p.call })
			if u.relayed && u.action != protocol.Logout {
				all := told.take()
				require.NotEmpty(t, all)
				assert.Equal(t, []any{u.action, audit.Done, ""}, []any{all[len(all)-1].Action, all[len(all)-1].Outcome, all[len(all)-1].Rule})
				return
			}
			if unjudged(u) {
				assert.Empty(t, told.take())
				return
			}
			got := told.observed(t, a, w.events.all)
			if u.refused == "" {
				assert.Equal(t, u.action, got.Action)
			}
			w, a = send(prepared.anonymous)
			got = told.observed(t, a, w.events.all)
			assert.Equal(t, u.action != protocol.ExchangeToken, got.Rule != "", "a rule asks for a credential")
			w, a = send(prepared.withoutCode)
			told.observed(t, a, w.events.all)
			w, a = send(func(p prepared) call { c := p.call; c.otp = "000000"; return c })
			told.observed(t, a, w.events.all)
			w, a = send(func(p prepared) call { c := p.call; c.bearer = "npm_garbage"; return c })
			told.observed(t, a, w.events.all)
		})
	}
}

// A request that an outage cuts short is one that was judged, too, wherever it strikes.
func TestObservationsOfOutages(t *testing.T) {
	for i, u := range writings {
		if unjudged(u) || u.refused != "" || testing.Short() && i%3 != 0 {
			continue
		}
		t.Run(u.name, func(t *testing.T) {
			t.Parallel()
			for n, calls := 0, 1; n <= calls; n++ {
				st := storetest.NewFaulty(store.NewMemory())
				var told observations
				w := u.world(t, func(cfg *npmauth.Config) { cfg.Store, cfg.Metrics, cfg.Fresh = st, &told, -1 })
				p := u.prepare(w)
				told.take()
				before := st.Count(storetest.All)
				if n > 0 {
					st.Inject(storetest.Fault{Nth: n})
				}
				a := w.do(p.call)
				if n == 0 {
					calls = st.Count(storetest.All) - before
				}
				told.observed(t, a, w.events.all)
			}
		})
	}
}

// What is read is judged as well, and reads of the anonymous.
func TestObservationsOfReads(t *testing.T) {
	var told observations
	w := newWorld(t, func(cfg *npmauth.Config) { cfg.Metrics = &told })
	s := w.alice(protocol.AuthAndWrites)
	w.host.add("hidden", true, "bob")
	for path, want := range map[string]struct {
		action  protocol.Action
		outcome audit.Outcome
		rule    bool
	}{
		"/plain":                     {protocol.ReadPackument, audit.Done, false},
		"/hidden":                    {protocol.ReadPackument, audit.Denied, true},
		"/plain/-/plain-1.0.0.tgz":   {protocol.ReadTarball, audit.Done, false},
		"/-/whoami":                  {protocol.Whoami, audit.Done, false},
		"/-/npm/v1/user":             {protocol.ReadProfile, audit.Done, false},
		"/-/npm/v1/tokens":           {protocol.ListTokens, audit.Done, false},
		"/-/auth/v1/self":            {protocol.ReadSelf, audit.Done, false},
		"/-/package/plain/access":    {protocol.ReadAccess, audit.Done, false},
		"/-/package/hidden/access":   {protocol.ReadAccess, audit.Denied, true},
		"/-/package/plain/dist-tags": {protocol.ReadDistTags, audit.Done, false},
		"/nothing":                   {protocol.ReadPackument, audit.Rejected, true},
		"/-/nothing/of/npms":         {protocol.Unknown, audit.Rejected, true},
	} {
		told.take()
		w.events.all = nil
		a := w.do(call{method: "GET", path: path, bearer: s})
		got := told.observed(t, a, w.events.all)
		assert.Equal(t, want.action, got.Action, path)
		assert.Equal(t, want.outcome, got.Outcome, path)
		assert.Equal(t, want.rule, got.Rule != "", "%s: %q", path, got.Rule)
	}
	for _, path := range []string{"/plain", "/hidden", "/-/whoami"} {
		told.take()
		told.observed(t, w.do(call{method: "GET", path: path}), w.events.all)
	}
	told.take()
	w.host.fail = errors.New("the host is away")
	assert.Equal(t, audit.Failed, told.observed(t, w.do(call{method: "GET", path: "/another", bearer: s}), nil).Outcome)
}

// A publish is judged when its body was read. That of a host that answers without reading it,
// and that of a body which is none, is one judgement as well, and so is one that Confirm
// takes back.
func TestObservationsOfPublishes(t *testing.T) {
	var told observations
	w := newWorld(t, func(cfg *npmauth.Config) { cfg.Metrics = &told })
	w.alice(protocol.AuthAndWrites)
	s, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadWrite), Bypass: true})
	send := func(c call, h http.HandlerFunc) answer {
		t.Helper()
		c.bearer = s
		told.take()
		w.events.all = nil
		return w.send(w.auth.Wrap(h), c)
	}
	good := publishOf("plain", "3.0.0")
	text := string(w.bytes(good.body))
	cut := good
	cut.body = text[:len(text)-1]
	a := send(cut, w.host.ServeHTTP)
	require.Equal(t, 400, a.Code)
	assert.Equal(t, protocol.Publish, told.observed(t, a, w.events.all).Action)
	require.Len(t, w.events.all, 1)
	assert.Equal(t, []string{"bad-publish"}, w.events.all[0].Reasons)
	assert.Equal(t, "3.0.0", w.events.all[0].Change.Version)

	a = send(good, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "enough", http.StatusConflict) })
	require.Equal(t, 409, a.Code)
	assert.Equal(t, audit.Rejected, told.observed(t, a, w.events.all).Outcome)
	assert.Empty(t, w.events.all, "it was refused by the host, which has words of its own for that")

	a = send(good, func(rw http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		assert.NoError(t, err)
		w.host.change(func(h *hosted) { h.rights = nil })
		op, _ := host.OperationFrom(r.Context())
		err = op.Confirm(r.Context())
		assert.Error(t, err)
		npmauth.WriteError(rw, r, err)
	})
	require.Equal(t, 403, a.Code)
	all := told.take()
	require.Len(t, all, 1)
	assert.Equal(t, audit.Done, all[0].Outcome)
	require.Len(t, w.events.all, 2)
	assert.Equal(t, audit.Denied, w.events.all[1].Outcome, "what Confirm refuses is on record")
}

// Metrics that panic hurt nobody.
func TestMetricsPanic(t *testing.T) {
	told := observations{boom: true}
	w := newWorld(t, func(cfg *npmauth.Config) { cfg.Metrics = &told })
	s := w.alice(protocol.TwoFactorOff)
	assert.Equal(t, 200, whoami(w, s))
	assert.Equal(t, 201, w.create(s, "", map[string]any{"packages_all": true}).Code)
	assert.Equal(t, 1, w.tokens("alice"))
	assert.Equal(t, 403, w.publish("plain", "3.0.0", s, "").Code)
	bearer, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadWrite), Bypass: true})
	assert.Equal(t, 200, w.publish("plain", "3.0.0", bearer, "").Code)
	assert.Len(t, told.all, 4)
}

// What somebody who is signed in may not have done since their request is wrong is on record,
// with what is wrong with it.
func TestRefusedBodiesAreOnRecord(t *testing.T) {
	w := newWorld(t)
	s := w.alice(protocol.AuthAndWrites)
	_, tok := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly)})
	for _, tt := range []struct {
		c      call
		action protocol.Action
		reason string
	}{
		{putDocument("/plain", "no JSON"), protocol.WritePackument, "bad-document bad-publish bad-json"},
		{call{method: "PUT", path: "/-/package/plain/dist-tags/next", body: "{"}, protocol.SetDistTag, "bad-json"},
		{call{method: "PUT", path: "/-/org/acme/user", body: `{"user":"b o b"}`}, protocol.WriteOrg, "bad-access-request"},
		{call{method: "POST", path: "/-/package/plain/access", body: `{"access":"maybe"}`}, protocol.SetAccess, "bad-access-request"},
		{setUser(`{"email":"none"}`), protocol.WriteProfile, "bad-email"},
		{call{method: "POST", path: "/-/npm/v1/tokens", body: specBody(`,"expires":99999`)}, protocol.CreateToken, "bad-token-request"},
		{call{method: "POST", path: "/-/auth/v1/tokens/" + tok.ID + "x/rotate", body: `{"password":"` + password + `"}`}, protocol.CreateToken, "no-such-token"},
	} {
		w.events.all = nil
		tt.c.bearer = s
		a := w.do(tt.c)
		name := tt.c.method + " " + tt.c.path
		require.GreaterOrEqual(t, a.Code, 400, name)
		require.Less(t, a.Code, 500, name)
		if !assert.Len(t, w.events.all, 1, "%s: %s", name, a.Body) {
			continue
		}
		e := w.events.all[0]
		assert.Equal(t, audit.Access, e.Type, name)
		assert.Equal(t, audit.Rejected, e.Outcome, name)
		assert.Equal(t, tt.action, e.Action, name)
		assert.Equal(t, w.ids["alice"], e.User, name)
		assert.NotEmpty(t, e.Credential, name)
		assert.Contains(t, strings.Fields(tt.reason), e.Reason(), name)
		w.events.all = nil
		tt.c.bearer = ""
		w.do(tt.c)
		for _, e := range w.events.all {
			assert.Contains(t, []string{"login-required", "denied"}, e.Reason(), "%s: strangers' mistakes are nobody's news", name)
		}
	}
	w.events.all = nil
	w.do(call{method: "GET", path: "/-/auth/v1/self?package=%20", bearer: s})
	for _, e := range w.events.all {
		assert.NotEqual(t, audit.Access, e.Type, "nor are mistyped reads")
	}
}

// Whatever events a request leaves have its address.
func TestEventsHaveAnAddress(t *testing.T) {
	for _, u := range writings {
		t.Run(u.name, func(t *testing.T) {
			w := u.world(t)
			p := u.prepare(w)
			w.events.all = nil
			w.do(p.call)
			assert.True(t, u.refused != "" || len(w.events.all) > 0)
			for _, e := range w.events.all {
				assert.Equal(t, "192.0.2.1", e.Addr.String(), "%+v", e)
			}
			if u.refused == "" && !unjudged(u) && u.own && u.name != "forget a factor that was not confirmed" {
				done := false
				for _, e := range w.events.all {
					done = done || e.Outcome == audit.Done && e.Type != audit.FactorUsed && e.Type != audit.Access
				}
				assert.True(t, done, "what was done is on record: %+v", w.events.all)
			}
		})
	}
}

// logged is a store with a log of events on it.
func logged(t *testing.T, cfg *npmauth.Config, s store.Store) *audit.Log {
	t.Helper()
	log, err := audit.NewLog(audit.LogConfig{Store: s, Now: cfg.Now})
	require.NoError(t, err)
	cfg.Store, cfg.AuditLog = s, log
	return log
}

// What npmauth does itself is in the log in the commit that does it: where that fails there is
// neither, and where nobody knows there are both or neither. No commit has more than [store.MaxOps].
func TestLogIsOfTheCommit(t *testing.T) {
	most, mostOf := 0, ""
	for i, u := range writings {
		if !u.own || u.refused != "" || testing.Short() && i%3 != 0 || u.name == "start a login" || u.name == "refuse a login" { // of which the log hears nothing
			continue
		}
		for _, fault := range []struct {
			name  string
			fault storetest.Fault
		}{
			{"nothing fails", storetest.Fault{Nth: 1 << 20}},
			{"the commit fails", storetest.Fault{Err: context.DeadlineExceeded}},
			{"the commit is lost on its way", storetest.Fault{Err: store.ErrUnknown}},
			{"the answer is lost", storetest.Fault{After: true}},
		} {
			t.Run(u.name+"/"+fault.name, func(t *testing.T) {
				st := storetest.NewFaulty(store.NewMemory())
				var log *audit.Log
				w := u.world(t, func(cfg *npmauth.Config) { log = logged(t, cfg, st) })
				p := u.prepare(w)
				entries := func() int {
					page, _, err := log.List(t.Context(), "", store.MaxLimit)
					require.NoError(t, err)
					n := 0
					for _, e := range page {
						if e.Type != audit.FactorUsed && e.Type != audit.Challenge {
							n++
						}
					}
					return n
				}
				before := entries()
				w.events.all = nil
				ops := storetest.Fault{On: storetest.Commits, Nth: 1 << 20, If: func(c storetest.Call) bool {
					if len(c.Ops) > most {
						most, mostOf = len(c.Ops), u.name
					}
					return false
				}}
				st.Inject(ops)
				fault.fault.On = storetest.Commits
				// The attempt at a code is a commit of its own, before.
				fault.fault.If = func(c storetest.Call) bool {
					for _, key := range c.Keys {
						if strings.HasPrefix(key, "audit/") {
							return true
						}
					}
					return false
				}
				st.Inject(fault.fault)
				a := w.do(p.call)
				if fault.name == "nothing fails" {
					require.Less(t, a.Code, 400)
				} else {
					require.True(t, st.Struck(), "it has no commit with an event")
				}
				if p.done() {
					assert.Greater(t, entries(), before, "done, and not in the log")
				} else if !p.done() && u.action != protocol.AuthPage { // whose done is what the sink heard
					assert.Equal(t, before, entries(), "in the log, and not done")
				}
				if fault.fault.Err != nil {
					assert.False(t, p.done())
				}
			})
		}
	}
	assert.LessOrEqual(t, most, store.MaxOps, mostOf)
	t.Log("most ops in one commit:", most, mostOf)
}

// A receiver that panics, or that stands still behind a queue, is not felt by a request.
func TestSinkHurtsNobody(t *testing.T) {
	blocked := make(chan struct{})
	queue, err := audit.NewQueue(audit.Func(func(context.Context, audit.Event) { <-blocked }), audit.QueueConfig{Size: 4})
	require.NoError(t, err)
	running, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- queue.Run(running) }()
	t.Cleanup(func() { stop(); close(blocked); <-ended })
	for name, sink := range map[string]audit.Sink{
		"panics":                  audit.Func(func(context.Context, audit.Event) { panic("sink") }),
		"is blocked in its queue": queue,
	} {
		for _, u := range writings {
			if u.refused != "" || u.name == "start a login" || strings.HasPrefix(u.name, "approve a ") || strings.HasPrefix(u.name, "refuse a ") || u.name == "collect a challenge" {
				continue // whose done asks the events
			}
			t.Run(name+"/"+u.name, func(t *testing.T) {
				w := u.world(t, func(cfg *npmauth.Config) { cfg.Audit = sink })
				p := u.prepare(w)
				a := w.do(p.call)
				assert.Less(t, a.Code, 400, "%s", a.Body)
				assert.True(t, p.done())
			})
		}
	}
	assert.Positive(t, queue.Lost())
}

// A refusal is on record with all its reasons, and the metrics have the first.
func TestRefusalsHaveAllReasons(t *testing.T) {
	var told observations
	w := newWorld(t, func(cfg *npmauth.Config) { cfg.Metrics = &told })
	w.alice(protocol.AuthAndWrites)
	bearer, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly), CIDRs: []netip.Prefix{netip.MustParsePrefix("192.0.2.99/32")}})
	told.take()
	w.events.all = nil
	op := protocol.Operation{Action: protocol.Publish, Package: protocol.PackageName{Name: "plain"}}
	_, d, err := w.auth.Authorize(t.Context(), op, http.Header{"Authorization": {"Bearer " + bearer}}, w.auth.ClientAddr(&http.Request{RemoteAddr: "192.0.2.1:1"}))
	require.NoError(t, err)
	require.Greater(t, len(d.Reasons), 1, "of which there must be several")
	require.Equal(t, 401, w.publish("plain", "3.0.0", bearer, "").Code)
	var codes []string
	for _, why := range d.Reasons {
		codes = append(codes, why.Code)
	}
	require.Len(t, w.events.all, 1)
	assert.Equal(t, codes, w.events.all[0].Reasons, fmt.Sprint(w.events.all[0]))
	all := told.take()
	require.Len(t, all, 1)
	assert.Equal(t, codes[0], all[0].Rule)
}

// AU-44: what people mistype is told apart from what attackers try, by the outcome of the event and
// by the level of its line.
func TestRefusalsAreToldApart(t *testing.T) {
	const mistyped, tried = "level=INFO msg=audit type=access outcome=rejected", "level=WARN msg=audit type=%s outcome=denied"
	denied := func(typ audit.Type) string { return fmt.Sprintf(tried, typ) }
	var log bytes.Buffer
	w := newWorld(t, func(cfg *npmauth.Config) { cfg.Audit = audit.NewSlog(slog.New(slog.NewTextHandler(&log, nil))) })
	s := w.alice(protocol.AuthAndWrites)
	w.host.add("hidden", true, "bob")
	w.host.orgs["other bob"] = policy.OrgFacts{ID: "o-2", Role: protocol.OrgOwner}
	w.host.orgs["other "+string(w.ids["alice"])] = policy.OrgFacts{ID: "o-2"}
	reader, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly)})
	inside, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadWrite), CIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	bypass, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadWrite), Bypass: true})
	login := func(name, pw, otp string) call {
		return call{method: "PUT", path: "/-/user/org.couchdb.user:" + name, body: couch(name, pw), otp: otp}
	}
	publish := publishOf("@evil/plain", "1.0.0")
	publish.bearer = s
	for name, tt := range map[string]struct {
		c    call
		want string
	}{
		"install what does not exist":                {call{method: "GET", path: "/lodahs"}, mistyped},
		"install what is private without a login":    {call{method: "GET", path: "/hidden"}, mistyped},
		"install what does not exist with a login":   {call{method: "GET", path: "/lodahs", bearer: s}, mistyped},
		"install what does not exist with a token":   {call{method: "GET", path: "/lodahs/-/lodahs-1.0.0.tgz", bearer: reader}, mistyped},
		"tag what does not exist":                    {call{method: "PUT", path: "/-/package/lodahs/dist-tags/next", body: `"1.0.0"`, bearer: s}, mistyped},
		"publish without a login":                    {publishOf("plain", "3.0.0"), mistyped},
		"whoami without a login":                     {call{method: "GET", path: "/-/whoami"}, mistyped},
		"an organization that does not exist":        {call{method: "GET", path: "/-/org/acne/user", bearer: s}, mistyped},
		"a path that is none":                        {call{method: "GET", path: "/-/nothing", bearer: s}, mistyped},
		"what is not offered":                        {call{method: "GET", path: "/-/npm/v1/hooks", bearer: s}, mistyped},
		"a body that is malformed":                   {call{method: "PUT", path: "/-/package/plain/dist-tags/next", body: "{", bearer: s}, mistyped},
		"a body that is encoded":                     {call{method: "PUT", path: "/-/package/plain/dist-tags/next", body: "{", bearer: s, header: map[string]string{"Content-Encoding": "gzip"}}, mistyped},
		"an owner change that is out of date":        {call{method: "PUT", path: "/plain/-rev/6-a", bearer: s, body: `{"_id":"plain","_rev":"6-a","maintainers":[{"name":"carol"}]}`}, mistyped},
		"install what is private of others":          {call{method: "GET", path: "/hidden", bearer: s}, denied(audit.Access)},
		"install what is private with a token":       {call{method: "GET", path: "/hidden", bearer: reader}, denied(audit.Access)},
		"install what does not exist from elsewhere": {call{method: "GET", path: "/lodahs", bearer: inside}, denied(audit.Access)},
		"a path that is none from elsewhere":         {call{method: "GET", path: "/-/nothing", bearer: inside}, denied(audit.Access)},
		"an organization of others":                  {call{method: "GET", path: "/-/org/other/user", bearer: s}, denied(audit.Access)},
		"publish to a scope of others":               {publish, denied(audit.Access)},
		"publish with a token that reads":            {call{method: "PUT", path: "/plain", body: publishOf("plain", "3.0.0").body, bearer: reader}, denied(audit.Access)},
		"change owners with a token that bypasses":   {call{method: "PUT", path: "/-/package/plain/owners", body: `{"user":"carol"}`, bearer: bypass}, denied(audit.Access)},
		"a token that is none":                       {call{method: "GET", path: "/-/whoami", bearer: "npm_garbage"}, denied(audit.BadCredential)},
		"a token that is none, in an installation":   {call{method: "GET", path: "/hidden", bearer: "npm_rubbish"}, denied(audit.BadCredential)},
		"a wrong password":                           {login("alice", "wrong", ""), denied(audit.Login)},
		"a name that nobody has":                     {login("alcie", password, ""), denied(audit.Login)},
		"a wrong code at a login":                    {login("alice", password, "000000"), denied(audit.Login)},
		"a wrong code":                               {call{method: "PUT", path: "/-/package/plain/dist-tags/next", body: `"1.0.0"`, bearer: s, otp: "000000"}, denied(audit.FactorUsed)},
		"a wrong password for a token":               {call{method: "POST", path: "/-/npm/v1/tokens", bearer: s, otp: w.code("alice"), body: `{"password":"wrong","packages_all":true}`}, denied(audit.Password)},
	} {
		log.Reset()
		a := w.do(tt.c)
		assert.GreaterOrEqual(t, a.Code, 400, name)
		assert.Contains(t, log.String(), tt.want, "%s: %d %s", name, a.Code, a.Body)
		if tt.want == mistyped {
			assert.NotContains(t, log.String(), "level=WARN", name)
		}
		assert.NotContains(t, log.String(), "level=ERROR", name)
	}
}

// What npmauth itself was asked for may be done although the store's answer was lost, and so nobody is told to try
// again. Where a commit comes before what the host writes, that has not happened.
func TestUnknownOutcome(t *testing.T) {
	lost := storetest.Fault{On: storetest.Commits, After: true}
	st := storetest.NewFaulty(store.NewMemory())
	w := newWorld(t, trusts, stages, func(cfg *npmauth.Config) { cfg.Store, cfg.Fresh = st, -1 })
	s := w.alice(protocol.AuthAndWrites)
	before := w.tokens("alice")
	st.Inject(lost)
	a := w.create(s, w.code("alice"), map[string]any{"packages": []string{"plain"}, "packages_and_scopes_permission": "read-only"})
	assert.Equal(t, http.StatusServiceUnavailable, a.Code)
	assert.Equal(t, wire.Unclear.Sentence, a.text("message"))
	assert.Equal(t, before+1, w.tokens("alice"), "it was done")

	w.trust("plain", "createPackage")
	var ids []string
	for _, version := range []string{"4.0.0", "4.1.0", "4.2.0", "4.3.0"} {
		ids = append(ids, w.staged("plain", version, s))
	}
	written := w.host.written()
	for _, c := range []call{
		{method: "POST", path: "/-/stage/" + ids[0] + "/approve", bearer: s}, {method: "DELETE", path: "/-/stage/" + ids[1], bearer: s},
		decides("approve", ids[2]), decides("reject", ids[3]),
	} {
		c.bearer, c.otp = s, w.codeAfter("alice")
		st.Inject(lost)
		a = w.do(c)
		assert.Equal(t, http.StatusServiceUnavailable, a.Code, c.path)
		assert.Equal(t, wire.Unclear.Sentence, a.text("message"), c.path)
	}
	assert.ElementsMatch(t, []string{"4.0.0", "4.2.0"}, w.stagedVersions(s), "two are rejected, and none is published")
	st.Inject(lost)
	a = w.do(exchangeOf("plain", w.idToken()))
	assert.Equal(t, wire.Unclear.Sentence, a.text("message"))
	assert.Contains(t, a.Header().Get("Npm-Notice"), wire.Unclear.Sentence)
	st.Inject(lost)
	a = w.do(call{method: "GET", path: "/-/package/plain/trust", bearer: s, otp: w.codeAfter("alice")})
	assert.Equal(t, http.StatusServiceUnavailable, a.Code)
	assert.Equal(t, wire.Unavailable.Sentence, a.text("message"), "it only reads")

	w.clock.Add(time.Minute)
	st.Inject(lost)
	a = w.do(publishCall(s, w.code("alice")))
	assert.Equal(t, http.StatusServiceUnavailable, a.Code)
	assert.Equal(t, wire.Unavailable.Sentence, a.text("message"))
	assert.Equal(t, written, w.host.written())
}
