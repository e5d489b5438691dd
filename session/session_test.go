package session_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
)

var (
	terminal = session.Client{Addr: netip.MustParseAddr("192.0.2.7"), UserAgent: "npm/11.6.2 node/v24.11.0 linux x64"}
	browser  = session.Client{Addr: netip.MustParseAddr("192.0.2.8"), UserAgent: "Mozilla/5.0"}
	stranger = session.Client{Addr: netip.MustParseAddr("203.0.113.66"), UserAgent: "curl/8"}
)

// A fixture is a Manager with two users, jane with a second factor and joe without, and a store
// that counts its calls.
type fixture struct {
	*session.Manager
	store    *counting
	subjects *subject.Manager

	mu      sync.Mutex
	events  []audit.Event
	checked []protocol.UserID        // whose password was checked
	factors int                      // how often SecondFactor was called
	gone    map[protocol.UserID]bool // users that the host has disabled
	broken  error                    // what Alive returns, if set
	slow    time.Duration            // how long a password check takes

	// Hooks, each of which runs once.
	inPassword func() // while a password is checked
	inFactor   func() // while a factor is begun
	inAlive    func() // inside Alive: after the checks, before the commit
}

func open(t *testing.T, change ...func(*session.Config)) *fixture {
	t.Helper()
	return openOn(t, &counting{Store: store.NewMemory()}, change...)
}

// openOn returns one more fixture on a store, as another node would be.
func openOn(t *testing.T, s *counting, change ...func(*session.Config)) *fixture {
	t.Helper()
	d := &fixture{store: s, gone: map[protocol.UserID]bool{}}
	events := audit.NewRecorder(audit.RecorderConfig{Sink: audit.Func(d.record)})
	cfg := d.config(s)
	cfg.Events = events
	for _, c := range change {
		c(&cfg)
	}
	var err error
	d.Manager, err = session.New(cfg)
	require.NoError(t, err)
	d.subjects, err = subject.New(subject.Config{Store: s, Now: cfg.Now})
	require.NoError(t, err)
	return d
}

func (d *fixture) config(s store.Store) session.Config {
	return session.Config{
		Store: s, Lookup: lookup, CheckPassword: d.checkPassword, SecondFactor: d.secondFactor, Alive: d.alive,
	}
}

func (d *fixture) record(_ context.Context, e audit.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.events = append(d.events, e)
}

func lookup(_ context.Context, name string) (session.User, error) {
	switch name {
	case "jane", "joe":
		return session.User{ID: protocol.UserID("u-" + name), Name: name}, nil
	case "broken":
		return session.User{}, errors.New("user table is down")
	case "nobody":
		return session.User{}, nil // a host that gets it wrong
	case "mangled":
		return session.User{ID: "u-\xff"}, nil
	}
	return session.User{}, session.ErrDenied
}

func (d *fixture) checkPassword(_ context.Context, id protocol.UserID, pw credential.Secret) (bool, error) {
	d.mu.Lock()
	d.checked = append(d.checked, id)
	slow := d.slow
	d.mu.Unlock()
	// A host reads its user table first, and the hash takes its time.
	right := id != "" && pw.Reveal() == "correct horse"
	time.Sleep(slow)
	d.run(&d.inPassword)
	return right, nil
}

// secondFactor lets each code that begins with 1 be used once, by a row that must
// be absent. One that begins with 1r is a recovery code.
func (d *fixture) secondFactor(_ context.Context, sub subject.Subject, f subject.Factor) (subject.Spend, error) {
	d.mu.Lock()
	d.factors++
	d.mu.Unlock()
	d.run(&d.inFactor)
	if sub.ID == "u-joe" && sub.TwoFactor == protocol.TwoFactorOff {
		return nil, nil
	}
	code := f.Value.Reveal()
	if !strings.HasPrefix(code, "1") {
		return nil, session.ErrFactorRequired
	}
	return func(ctx context.Context, tx *store.Tx, id string) error {
		key := "test-code/" + code
		items, err := tx.Get(ctx, key)
		if err != nil {
			return err
		}
		if items[0].Exists() {
			return session.ErrFactorRequired
		}
		tx.Create(key, []byte(id), time.Time{})
		if strings.HasPrefix(code, "1r") {
			return subject.Recover(ctx, tx, sub.ID, time.Now())
		}
		return nil
	}, nil
}

func (d *fixture) alive(_ context.Context, user protocol.UserID) error {
	d.run(&d.inAlive)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.broken != nil {
		return d.broken
	}
	if d.gone[user] {
		return session.ErrDenied
	}
	return nil
}

// run calls hook once.
func (d *fixture) run(hook *func()) {
	d.mu.Lock()
	fn := *hook
	*hook = nil
	d.mu.Unlock()
	if fn != nil {
		fn()
	}
}

// set changes the answers of the fixture.
func (d *fixture) set(change func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change()
}

// kinds are the events so far, as type and outcome.
func (d *fixture) kinds() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []string
	for _, e := range d.events {
		all = append(all, string(e.Type)+" "+e.Outcome.String())
	}
	return all
}

func (d *fixture) last(t *testing.T) audit.Event {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	require.NotEmpty(t, d.events)
	return d.events[len(d.events)-1]
}

// reset forgets the events so far.
func (d *fixture) reset() { d.set(func() { d.events = nil }) }

// jane returns a sign-in that succeeds once for each code.
func jane(code string) session.SignIn {
	return session.SignIn{
		Name: "jane", Password: credential.NewSecret("correct horse"), OTP: credential.NewSecret(code), Client: browser,
	}
}

// joe returns a sign-in without a second factor.
var joe = session.SignIn{Name: "joe", Password: credential.NewSecret("correct horse"), Client: browser}

// operator is the actor of what no account does.
var operator = audit.Actor{}

// keys are the keys in the store that begin with prefix.
func keys(t *testing.T, s store.Store, prefix string) []string {
	t.Helper()
	var all []string
	for after := ""; ; {
		items, err := s.List(t.Context(), prefix, after, 100)
		require.NoError(t, err)
		for _, it := range items {
			all = append(all, it.Key)
		}
		if len(items) < 100 {
			return all
		}
		after = items[len(items)-1].Key
	}
}

// dump is every key and value of a store.
func dump(t *testing.T, s store.Store) string {
	t.Helper()
	var b strings.Builder
	for _, key := range keys(t, s, "") {
		items, err := s.Get(t.Context(), key)
		require.NoError(t, err)
		b.WriteString(key + "\n" + string(items[0].Value) + "\n")
	}
	return b.String()
}

// counting counts the calls of a store, and can lose the answer of a Commit.
type counting struct {
	store.Store
	mu             sync.Mutex
	reads, commits int
	before, after  error // what the next Commit returns, undone or done
	reading        func(keys []string)
	of             string // the prefix of a key that this Commit has
}

func (c *counting) Get(ctx context.Context, keys ...string) ([]store.Item, error) {
	c.mu.Lock()
	c.reads++
	reading := c.reading
	c.mu.Unlock()
	if reading != nil {
		reading(keys)
	}
	return c.Store.Get(ctx, keys...)
}

func (c *counting) List(ctx context.Context, prefix, after string, limit int) ([]store.Item, error) {
	c.mu.Lock()
	c.reads++
	c.mu.Unlock()
	return c.Store.List(ctx, prefix, after, limit)
}

func (c *counting) Commit(ctx context.Context, ops ...store.Op) (store.Revision, error) {
	c.mu.Lock()
	c.commits++
	var before, after error
	if slices.ContainsFunc(ops, func(op store.Op) bool { return strings.HasPrefix(op.Key, c.of) }) {
		before, after = c.before, c.after
		c.before, c.after = nil, nil
	}
	c.mu.Unlock()
	if before != nil {
		return 0, before
	}
	rev, err := c.Store.Commit(ctx, ops...)
	if err == nil && after != nil {
		return 0, after
	}
	return rev, err
}

func (c *counting) counts() (reads, commits int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reads, c.commits
}

func TestNewNamesTheWrongField(t *testing.T) {
	d := &fixture{}
	good := d.config(store.NewMemory())
	_, err := session.New(good)
	require.NoError(t, err)
	for field, spoil := range map[string]func(*session.Config){
		"Store":         func(c *session.Config) { c.Store = nil },
		"Lookup":        func(c *session.Config) { c.Lookup = nil },
		"CheckPassword": func(c *session.Config) { c.CheckPassword = nil },
		"SecondFactor":  func(c *session.Config) { c.SecondFactor = nil },
		"Alive":         func(c *session.Config) { c.Alive = nil },
		"FlowTTL":       func(c *session.Config) { c.FlowTTL = time.Minute - 1 },
		"FlowTTL ":      func(c *session.Config) { c.FlowTTL = 15*time.Minute + 1 },
	} {
		cfg := good
		spoil(&cfg)
		_, err := session.New(cfg)
		assert.ErrorContains(t, err, "Config."+strings.TrimSpace(field)+" ", field)
	}
	good.Limits = lasting(12*time.Hour + 1)
	_, err = session.New(good)
	assert.ErrorIs(t, err, policy.ErrLimits)
	assert.ErrorContains(t, err, "Config.Limits: ")
}

// lasting returns the limits under which a session lasts that long.
func lasting(ttl time.Duration) func() policy.Limits {
	return func() policy.Limits { return policy.Limits{SessionTTL: ttl} }
}
