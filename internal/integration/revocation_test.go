package integration_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/host/hosttest"
	"github.com/npmauth/npmauth/internal/integration"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/token"
)

// Revocation is exact on two nodes whose clocks are two hours apart: what was made before a
// revocation which has returned is refused by both from then on, also by requests that are
// under way, and nothing else is ever refused.
func TestRevocationIsExact(t *testing.T) {
	eachEngine(t, func(t *testing.T, at string) {
		revocations(t, newSchedule(t, at, -1))
	})
}

// With caches it is so at once on the node that revokes, and on the other within
// [npmauth.Config.Fresh].
func TestRevocationWithCaches(t *testing.T) {
	eachEngine(t, func(t *testing.T, at string) {
		s := newSchedule(t, at, time.Second)
		ctx, stop := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for _, node := range s.nodes {
			all.Go(func() { assert.NoError(t, node.Run(ctx)) })
		}
		revocations(t, s)
		stop()
		all.Wait()
	})
}

var seedFlag = flag.Uint64("revocations", 0, "the seed of the schedules of revocations; 0 is a random one")

// revocations runs random schedules.
func revocations(t *testing.T, s *schedule) {
	schedules, steps, clients := 12, 60, 6
	if testing.Short() {
		schedules, steps = 3, 40
	}
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("the seed is %d", seed)
	// One thing after the other, with one of another node between any two of its steps:
	// the same seed is the same schedule.
	for n := range uint64(schedules) {
		c := &client{schedule: s, rand: rand.New(rand.NewPCG(seed, n)), nests: true}
		for range steps {
			c.step()
		}
		if t.Failed() {
			return
		}
	}
	c := &client{schedule: s, rand: rand.New(rand.NewPCG(seed, 1000))}
	c.settle()
	nested := s.summary()
	// Many at a time.
	var all sync.WaitGroup
	for i := range uint64(clients) {
		c := &client{schedule: s, rand: rand.New(rand.NewPCG(seed, 2000+i))}
		all.Go(func() {
			for range steps * schedules / 4 {
				c.step()
			}
		})
	}
	all.Wait()
	c.settle()
	t.Logf("one after the other: %s; in all: %s", nested, s.summary())
	assert.Positive(t, s.accepted)
	assert.Positive(t, s.refused)
	problems, err := integration.Check(t.Context(), s.nodes[0].store)
	require.NoError(t, err)
	assert.Empty(t, problems)
}

// A schedule is two nodes on a store, with one host's people and packages.
type schedule struct {
	*ledger
	t      *testing.T
	people *passwords
	nodes  [2]*exactNode
	serial int // guarded by mu, as are the others

	accepted, refused, busy int
	trace                   []string
	changes                 []change
}

// A change is one of an account's row, which its requests under way have to judge anew.
type change struct {
	user   protocol.UserID // "" is everybody
	moment int
}

// changed notes a change.
func (s *schedule) changed(user protocol.UserID) {
	at := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changes = append(s.changes, change{user, at})
}

// maxRuns is after how many changes of the account a request is told to come again.
const maxRuns = 3

// calm reports whether the account has changed less often than that since a moment.
func (s *schedule) calm(user protocol.UserID, since int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, c := range s.changes {
		if c.moment >= since && (c.user == user || c.user == "") {
			n++
		}
	}
	return n < maxRuns
}

type exactNode struct {
	*npmauth.Auth
	store   store.Store
	handler http.Handler
}

// exactUsers have every right in every package.
var exactUsers = []protocol.UserID{"ada", "bob"}

func newSchedule(t *testing.T, at string, fresh time.Duration) *schedule {
	s := &schedule{ledger: &ledger{fresh: max(fresh, 0)}, t: t, people: &passwords{of: map[protocol.UserID]string{}}}
	for _, id := range exactUsers {
		s.people.of[id] = "correct horse 0"
	}
	for i, skew := range []time.Duration{-time.Hour, time.Hour} {
		engine, closeEngine, err := integration.OpenStore(at)
		require.NoError(t, err)
		t.Cleanup(func() { assert.NoError(t, closeEngine()) })
		sealed := store.Seal(engine, store.Key{1})
		auth, err := npmauth.New(npmauth.Config{
			BaseURL: "http://registry.example/", Store: interrupted{sealed}, Users: s.people, Packages: everything{},
			// No clock is to end a session.
			Policy: policy.NPM().WithLimits(policy.Limits{SessionTTL: 12 * time.Hour}).Without("no-second-factor", "manage-needs-factor"),
			Fresh:  fresh, HostFresh: -1, Now: func() time.Time { return time.Now().Add(skew) },
		})
		require.NoError(t, err)
		s.nodes[i] = &exactNode{auth, sealed, auth.Wrap(http.HandlerFunc(takes))}
	}
	return s
}

// takes is the host: it does what it is told, if it can be read to its end.
func takes(w http.ResponseWriter, r *http.Request) {
	_, err := io.Copy(io.Discard, r.Body)
	op, _ := host.OperationFrom(r.Context())
	if err == nil && op.Action.Write() {
		_, err = op.Change()
	}
	if err != nil {
		npmauth.WriteError(w, r, err)
	}
}

// summary returns how much was done.
func (s *schedule) summary() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprintf("%d accepted, %d refused, %d busy, %d credentials, %d revocations", s.accepted, s.refused, s.busy, len(s.bearers), len(s.ends))
}

// note adds a line to what is printed when something is wrong.
func (s *schedule) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trace = append(s.trace, fmt.Sprintf("%d: ", s.moment)+fmt.Sprintf(format, args...))
}

func (s *schedule) wrong(format string, args ...any) {
	s.mu.Lock()
	trace := strings.Join(s.trace[max(0, len(s.trace)-40):], "\n")
	s.mu.Unlock()
	assert.Fail(s.t, fmt.Sprintf(format, args...), "%s", trace)
}

// A client does one thing after the other.
type client struct {
	*schedule
	rand  *rand.Rand
	nests bool // it does something on the other node between the steps of a request
	depth int
	node  int
}

// meanwhile is the key of what happens between the steps of a request, a func().
type meanwhile struct{}

func happen(ctx context.Context) {
	if fn, ok := ctx.Value(meanwhile{}).(func()); ok {
		fn()
	}
}

// context returns that of a request of c.
func (c *client) context() context.Context {
	if !c.nests {
		return c.t.Context()
	}
	return context.WithValue(c.t.Context(), meanwhile{}, func() {
		if c.depth == 0 && c.rand.IntN(5) == 0 {
			c.depth++
			c.node = 1 - c.node
			c.step()
			c.node = 1 - c.node
			c.depth--
		}
	})
}

// interrupted lets something happen before each call of the store.
type interrupted struct{ store.Store }

// Unwrap returns the store itself.
func (s interrupted) Unwrap() store.Store { return s.Store }

func (s interrupted) Get(ctx context.Context, keys ...string) ([]store.Item, error) {
	happen(ctx)
	return s.Store.Get(ctx, keys...)
}

func (s interrupted) Commit(ctx context.Context, ops ...store.Op) (store.Revision, error) {
	happen(ctx)
	return s.Store.Commit(ctx, ops...)
}

// passwords are the host's people.
type passwords struct {
	mu sync.Mutex
	of map[protocol.UserID]string // guarded by mu
}

func (p *passwords) Lookup(ctx context.Context, name string) (host.User, error) {
	return p.User(ctx, protocol.UserID(name))
}

func (p *passwords) User(ctx context.Context, id protocol.UserID) (host.User, error) {
	happen(ctx)
	if !slices.Contains(exactUsers, id) {
		return host.User{}, host.ErrNoUser
	}
	return host.User{ID: id, Name: string(id)}, nil
}

// proven is the key of a *int, the moment at which the password was checked.
type proven struct{}

// moments is the key of the func() int that says what moment it is.
type moments struct{}

func (p *passwords) CheckPassword(ctx context.Context, id protocol.UserID, pw credential.Secret) (bool, error) {
	if at, ok := ctx.Value(proven{}).(*int); ok {
		*at = ctx.Value(moments{}).(func() int)()
	}
	right := pw.Equal(credential.NewSecret(p.password(id)))
	happen(ctx)
	return right, nil
}

func (p *passwords) password(id protocol.UserID) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.of[id]
}

type everything struct{}

func (everything) Facts(ctx context.Context, _ protocol.PackageName, user protocol.UserID) (policy.Facts, error) {
	happen(ctx)
	f := policy.Facts{ID: "p-1", Private: true}
	if user != "" {
		f.Rights = policy.RightRead | policy.RightWrite | policy.RightAdmin
	}
	return f, nil
}

// step does one thing.
func (c *client) step() {
	if c.depth == 0 {
		c.node = c.rand.IntN(2)
	}
	user := exactUsers[c.rand.IntN(2)]
	switch n := c.rand.IntN(20); {
	case n < 3:
		c.login(user)
	case n < 4:
		c.webLogin(user)
	case n < 6:
		c.operatorToken(user)
	case n < 15:
		if b := c.any(user); b != nil {
			c.use(b)
		}
	case n < 19:
		c.revoke(user)
	default:
		c.toggles(user)
	}
}

// any returns a credential of the user, most often a young one.
func (c *client) any(user protocol.UserID) *bearer {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, b := range slices.Backward(c.bearers) {
		if b.user == user && (i == 0 || c.rand.IntN(2) == 0) {
			return b
		}
	}
	return nil
}

// send sends a request whose body comes in pieces, and returns the moments at which the
// last piece was asked for and at which it was answered.
func (c *client) send(ctx context.Context, method, path, bearer string, pieces ...string) (*httptest.ResponseRecorder, use) {
	sp := use{span: span{begin: c.now()}, node: c.node, at: time.Now()}
	b := &pieceReader{pieces: pieces, last: func() { sp.begin, sp.at = c.now(), time.Now() }, between: func() { happen(ctx) }}
	r := httptest.NewRequestWithContext(ctx, method, "http://registry.example"+path, b)
	if pieces == nil {
		r.Body, r.ContentLength = http.NoBody, 0
	} else {
		r.ContentLength = int64(len(strings.Join(pieces, "")))
		r.Header.Set("Content-Type", "application/json")
	}
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	w := httptest.NewRecorder()
	c.nodes[c.node].handler.ServeHTTP(w, r)
	sp.end = c.now()
	return w, sp
}

// A pieceReader is a body that arrives piece by piece.
type pieceReader struct {
	pieces  []string
	last    func()
	between func()
}

func (p *pieceReader) Read(buf []byte) (int, error) {
	if len(p.pieces) == 0 {
		return 0, io.EOF
	}
	p.between()
	if len(p.pieces) == 1 {
		p.last()
	}
	n := copy(buf, p.pieces[0])
	if p.pieces[0] = p.pieces[0][n:]; p.pieces[0] == "" {
		p.pieces = p.pieces[1:]
	}
	return n, nil
}

// halves returns text in two pieces, the second of which is its last byte.
func halves(text []byte) []string {
	return []string{string(text[:len(text)-1]), string(text[len(text)-1:])}
}

func encode(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return data
}

// judged compares an answer with what must be and what may be.
func (c *client) judged(what string, b *bearer, use use, w *httptest.ResponseRecorder) (accepted bool) {
	c.note("node %d: %s with %s of %s: %d", c.node, what, b.id, b.user, w.Code)
	switch {
	case w.Code == http.StatusServiceUnavailable: // the account changes all the time
		if c.nests && c.calm(b.user, use.begin) {
			c.wrong("%s was answered %d: %s", what, w.Code, w.Body)
		}
		c.count(&c.busy)
		return false
	case w.Code < 300:
		c.count(&c.accepted)
		if why := c.dead(b, use); why != "" {
			c.wrong("%s with %s (%v, made %v) was accepted at %v: %s", what, b.id, b.kind, b.span, use.span, why)
		}
		return true
	case w.Code == http.StatusUnauthorized || w.Code == http.StatusForbidden:
		c.count(&c.refused)
		if c.excuse(b.kind, b.user, b.id, b.span, use) == "" {
			c.wrong("%s with %s (%v, made %v) was refused at %v: %d %s", what, b.id, b.kind, b.span, use.span, w.Code, w.Body)
		}
	default:
		c.wrong("%s was answered %d: %s", what, w.Code, w.Body)
	}
	return false
}

func (c *client) count(n *int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*n++
}

// made notes what came of making a credential, which began at a moment.
func (c *client) made(what string, b bearer, err error) {
	c.note("node %d: %s %s of %s %v: %v", c.node, what, b.id, b.user, b.span, err)
	switch {
	case err == nil:
		c.mu.Lock()
		defer c.mu.Unlock()
		c.bearers = append(c.bearers, &b)
	case errors.Is(err, errBusy), errors.Is(err, store.ErrConflict):
		if c.nests && c.calm(b.user, b.begin) {
			c.wrong("%s: %v", what, err)
		}
		c.count(&c.busy)
	default:
		over := span{b.begin, c.now()}
		stored := use{span: over, at: time.Now().Add(c.fresh)} // what is made rests on nothing older
		if c.excuse(b.kind, b.user, "", over, stored) == "" {
			c.wrong("%s of %s was refused: %v", what, b.user, err)
		}
	}
}

var errBusy = errors.New("busy")

// shows returns a context that notes when a password is checked.
func (c *client) shows(at *int) context.Context {
	return context.WithValue(context.WithValue(c.context(), moments{}, c.now), proven{}, at)
}

// login is npm login --auth-type=legacy.
func (c *client) login(user protocol.UserID) {
	b := bearer{kind: policy.KindSession, user: user, span: span{begin: c.now()}}
	ctx := c.shows(&b.end)
	w, _ := c.send(ctx, http.MethodPut, "/-/user/org.couchdb.user:"+string(user), "", string(encode(map[string]any{
		"_id": "org.couchdb.user:" + user, "name": user, "password": c.people.password(user), "type": "user", "roles": []string{},
	})))
	var err error
	var answer struct{ Token string }
	switch {
	case w.Code == http.StatusServiceUnavailable:
		err = errBusy
	case w.Code >= 300:
		err = fmt.Errorf("%d %s", w.Code, w.Body)
	default:
		err = json.Unmarshal(w.Body.Bytes(), &answer)
		b.secret, b.id = answer.Token, c.identify(answer.Token)
	}
	c.made("login", b, err)
}

// identify returns the public ID of a session, however it is.
func (c *client) identify(secret string) string {
	items, err := c.nodes[0].store.Get(c.t.Context(), session.Key(credential.Sum(credential.NewSecret(secret))))
	if assert.NoError(c.t, err) && items[0].Exists() {
		if s, _, err := session.Open(items[0]); assert.NoError(c.t, err) {
			return s.ID
		}
	}
	return "gone already"
}

var somewhere = session.Client{Addr: netip.MustParseAddr("192.0.2.1"), UserAgent: "npm"}

func (c *client) webLogin(user protocol.UserID) {
	b := bearer{kind: policy.KindSession, user: user, span: span{begin: c.now()}}
	ctx, sessions := c.shows(&b.end), c.nodes[c.node].Sessions()
	flow, err := sessions.Start(ctx, somewhere)
	if err == nil {
		err = sessions.Approve(ctx, flow.PageID, session.SignIn{Name: string(user), Password: credential.NewSecret(c.people.password(user)), Client: somewhere})
	}
	if err == nil {
		happen(ctx)
		var p session.Poll
		p, err = sessions.Collect(ctx, flow.PollID.Reveal(), somewhere)
		if err == nil && p.State != session.Done {
			err = fmt.Errorf("the login is %v", p.State)
		}
		b.id, b.secret = p.Session.ID, p.Secret.Reveal()
	}
	c.made("web login", b, err)
}

func (c *client) operatorToken(user protocol.UserID) {
	b := bearer{kind: policy.KindToken, user: user, span: span{begin: c.now()}}
	secret, tok, err := c.nodes[c.node].Tokens().Create(c.context(), audit.Actor{}, token.Spec{
		User: user, Name: "ci", Bypass: true, Grants: []protocol.Grant{{Target: protocol.AllPackages, Permission: protocol.ReadWrite}},
	})
	b.id, b.secret, b.end = tok.ID, secret.Reveal(), c.now()
	c.made("token", b, err)
}

// use does something with a credential that it may do.
func (c *client) use(b *bearer) {
	ctx, n := c.context(), c.rand.IntN(4)
	switch {
	case n == 0:
		w, at := c.send(ctx, http.MethodGet, "/-/whoami", b.secret)
		c.judged("whoami", b, at, w)
	case n == 1 || b.kind == policy.KindSession && n == 2:
		w, at := c.send(ctx, http.MethodGet, "/widget", b.secret)
		if w.Code == http.StatusNotFound { // private, to nobody
			w.Code = http.StatusUnauthorized
		}
		c.judged("read", b, at, w)
	case b.kind == policy.KindSession:
		body := encode(map[string]any{"password": c.people.password(b.user), "name": "ci", "packages_all": true, "packages_and_scopes_permission": "read-write", "bypass_2fa": true})
		begin := c.now()
		w, at := c.send(ctx, http.MethodPost, "/-/npm/v1/tokens", b.secret, halves(body)...)
		if c.judged("make a token", b, at, w) {
			var made struct{ Key, Token string }
			err := json.Unmarshal(w.Body.Bytes(), &made)
			c.made("token", bearer{kind: policy.KindToken, user: b.user, span: span{begin, at.end}, id: made.Key, secret: made.Token}, err)
		}
	case n == 2:
		w, at := c.send(ctx, http.MethodPut, "/-/package/widget/dist-tags/next", b.secret, halves([]byte(`"1.0.0"`))...)
		c.judged("dist-tag", b, at, w)
	default:
		c.mu.Lock()
		c.serial++
		version := fmt.Sprintf("1.0.%d", c.serial)
		c.mu.Unlock()
		w, at := c.send(ctx, http.MethodPut, "/widget", b.secret, halves(bytes.TrimSpace(hosttest.PublishBody(protocol.PackageName{Name: "widget"}, version)))...)
		c.judged("publish", b, at, w)
	}
}

// revoke ends something in one of all ways.
func (c *client) revoke(user protocol.UserID) {
	node, ctx := c.nodes[c.node], c.context()
	did := func(r revocation, do func() error) {
		r.node = c.node
		err := c.ledger.revoke(r, do)
		if r.id == "" {
			c.changed(r.user)
		}
		c.note("node %d: %s %s: %v", c.node, r.name, user, err)
		gone := errors.Is(err, session.ErrNoSession) || errors.Is(err, token.ErrNotFound) // this node has ended nothing
		if err != nil && !gone && (c.nests || !errors.Is(err, store.ErrConflict)) {
			c.wrong("%s: %v", r.name, err)
		}
	}
	switch c.rand.IntN(12) {
	case 0:
		did(revocation{name: "everything of an account", user: user}, func() error { return node.Subjects().RevokeAll(ctx, audit.Actor{}, user) })
	case 1:
		did(revocation{name: "all sessions", kind: policy.KindSession, user: user}, func() error { return node.Subjects().EndSessions(ctx, audit.Actor{}, user) })
	case 2:
		did(revocation{name: "all tokens", kind: policy.KindToken, user: user}, func() error { return node.Tokens().RevokeAll(ctx, audit.Actor{}, user) })
	case 3:
		did(revocation{name: "everybody's"}, func() error { return node.Restored(ctx) })
	case 4:
		did(revocation{name: "another password", kind: policy.KindSession, user: user}, func() error {
			c.people.mu.Lock()
			c.people.of[user] = fmt.Sprintf("correct horse %d", c.rand.Uint64())
			c.people.mu.Unlock()
			return node.PasswordChanged(ctx, user)
		})
	default: // one
		b := c.any(user)
		if b == nil {
			return
		}
		did(revocation{name: "one", id: b.id}, func() error {
			if b.kind == policy.KindSession {
				return node.Sessions().End(ctx, audit.Actor{}, user, b.id)
			}
			return node.Tokens().Revoke(ctx, audit.Actor{}, user, b.id, "test")
		})
	}
}

// toggles disables an account, and enables it after something else.
func (c *client) toggles(user protocol.UserID) {
	for _, on := range []bool{false, true} {
		subjects, ctx := c.nodes[c.node].Subjects(), c.context()
		do := func() error { return subjects.Disable(ctx, audit.Actor{}, user) }
		if on {
			do = func() error { return subjects.Enable(ctx, audit.Actor{}, user) }
		}
		for err := store.ErrConflict; errors.Is(err, store.ErrConflict); {
			err = c.toggle(c.node, user, on, do)
			c.changed(user)
			c.note("node %d: enabled is %v of %s: %v", c.node, on, user, err)
		}
		if b := c.any(user); b != nil && !on {
			c.use(b)
		}
	}
}

// settle uses every credential on each node, when nothing else happens.
func (c *client) settle() {
	time.Sleep(c.fresh)
	c.mu.Lock()
	all := slices.Clone(c.bearers)
	c.mu.Unlock()
	for _, b := range all {
		for c.node = range c.nodes {
			w, at := c.send(c.context(), http.MethodGet, "/-/whoami", b.secret)
			c.judged("whoami, at last,", b, at, w)
		}
	}
}
