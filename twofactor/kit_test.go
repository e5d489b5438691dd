package twofactor_test

import (
	"context"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
	"github.com/npmauth/npmauth/twofactor"
)

const (
	alice   protocol.UserID = "u1"
	mallory protocol.UserID = "u2"
	session                 = "session-1"
)

var (
	widget = protocol.PackageName{Scope: "acme", Name: "widget"}
	plain  = protocol.PackageName{Name: "plain"}

	terminal = netip.MustParseAddr("192.0.2.1")
	browser  = netip.MustParseAddr("192.0.2.2")

	operator = audit.Actor{}
)

// A kit is a Manager with its store, clock and events.
type kit struct {
	*twofactor.Manager
	t     *testing.T
	store *store.Memory

	mu     sync.Mutex
	events []audit.Event // guarded by mu
}

func newKit(t *testing.T, change ...func(*twofactor.Config)) *kit {
	t.Helper()
	k := &kit{t: t, store: store.NewMemory()}
	k.Manager = k.node(change...)
	return k
}

// node returns another Manager on the same store.
func (k *kit) node(change ...func(*twofactor.Config)) *twofactor.Manager {
	k.t.Helper()
	cfg := twofactor.Config{
		Store: k.store,
		Events: audit.NewRecorder(audit.RecorderConfig{Sink: audit.Func(func(_ context.Context, e audit.Event) {
			k.mu.Lock()
			defer k.mu.Unlock()
			k.events = append(k.events, e)
		})}),
	}
	for _, c := range change {
		c(&cfg)
	}
	m, err := twofactor.New(cfg)
	require.NoError(k.t, err)
	return m
}

// mode returns what needs the factor of u, according to package subject.
func (k *kit) mode(u protocol.UserID) protocol.TwoFactorMode {
	k.t.Helper()
	return k.subject(u).TwoFactor
}

func (k *kit) subject(u protocol.UserID) subject.Subject {
	k.t.Helper()
	sub, err := subject.Get(k.t.Context(), k.store, u)
	require.NoError(k.t, err)
	return sub
}

// subjects changes what is recorded of accounts.
func (k *kit) subjects() *subject.Manager {
	k.t.Helper()
	m, err := subject.New(subject.Config{Store: k.store})
	require.NoError(k.t, err)
	return m
}

// approve approves a challenge as the page does.
func (k *kit) approve(pageID string, user protocol.UserID, value credential.Secret) (credential.Secret, error) {
	k.t.Helper()
	return k.Approve(k.t.Context(), twofactor.Approval{PageID: pageID, User: user, Value: value, Addr: browser})
}

// last returns the last event.
func (k *kit) last() audit.Event {
	k.t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	require.NotEmpty(k.t, k.events)
	return k.events[len(k.events)-1]
}

// An app is a person's authenticator app and recovery codes.
type app struct {
	t        *testing.T
	secret   string
	recovery []credential.Secret
}

// enrol gives user a second factor. That uses up the code of the present step, so time moves on
// to the next one, whose code is another: of a million apps one would show the same.
func (k *kit) enrol(user protocol.UserID) *app {
	k.t.Helper()
	a := &app{t: k.t}
	for a.secret == "" || a.at(time.Now()).Equal(a.at(time.Now().Add(30*time.Second))) {
		uri, err := k.Enrol(k.t.Context(), operator, user, string(user), protocol.AuthAndWrites)
		require.NoError(k.t, err)
		a.secret = secretIn(k.t, uri)
	}
	var err error
	a.recovery, err = k.Confirm(k.t.Context(), audit.Actor{User: user}, user, a.code())
	require.NoError(k.t, err)
	time.Sleep(30 * time.Second)
	return a
}

func secretIn(t *testing.T, uri credential.Secret) string {
	t.Helper()
	u, err := url.Parse(uri.Reveal())
	require.NoError(t, err)
	return u.Query().Get("secret")
}

// code returns the code that the app shows now.
func (a *app) code() credential.Secret { return a.at(time.Now()) }

func (a *app) at(now time.Time) credential.Secret {
	a.t.Helper()
	c, err := totp.GenerateCode(a.secret, now)
	require.NoError(a.t, err)
	return credential.NewSecret(c)
}

// wrong returns a code that is not valid now, another one for each n.
func (a *app) wrong(n int) credential.Secret {
	a.t.Helper()
	for i := n * 10; ; i++ {
		c := credential.NewSecret(sixDigits(i % 1000000))
		near := false
		for step := -2; step <= 2; step++ {
			near = near || c.Equal(a.at(time.Now().Add(time.Duration(step)*30*time.Second)))
		}
		if !near {
			return c
		}
	}
}

func sixDigits(n int) string {
	b := []byte("000000")
	for i := 5; i >= 0; i, n = i-1, n/10 {
		b[i] += byte(n % 10)
	}
	return string(b)
}

func publish(pkg protocol.PackageName) twofactor.Use {
	return bound(twofactor.Use{Credential: session, Action: protocol.Publish, Package: pkg})
}

// bound returns use with the digest of its change: of these names, if there are any.
func bound(use twofactor.Use, names ...string) twofactor.Use {
	c := protocol.Change{Removed: names}
	use.Change = c.Digest(protocol.Operation{Action: use.Action, Package: use.Package})
	return use
}

var login = twofactor.Use{Action: protocol.Login}

// opens returns the use of a sign-in with the session that it opens.
func opens(use twofactor.Use, id string) twofactor.Use {
	if use.Action.SignsIn() {
		use.Credential = id
	}
	return use
}

// signIn spends value in a commit that stands for the creation of the session id.
func (k *kit) signIn(m *twofactor.Manager, user protocol.UserID, use twofactor.Use, id string, value credential.Secret) error {
	ctx := k.t.Context()
	a, err := m.Begin(ctx, user, use, value)
	if err != nil {
		return err
	}
	return store.Transact(ctx, k.store, func(tx *store.Tx) error {
		if err := a.Spend(ctx, tx, opens(use, id)); err != nil {
			return err
		}
		tx.Create("opened/"+id, nil, time.Time{})
		return nil
	})
}

// dump returns every row of the store.
func (k *kit) dump() string {
	k.t.Helper()
	var all string
	for after := ""; ; {
		items, err := k.store.List(k.t.Context(), "", after, 100)
		require.NoError(k.t, err)
		if len(items) == 0 {
			return all
		}
		for _, it := range items {
			all += it.Key + "=" + string(it.Value) + "\n"
			after = it.Key
		}
	}
}

func upper(s string) string { return strings.ToUpper(s) }

// replaceKey returns a factor's record with another TOTP key.
func replaceKey(t *testing.T, record []byte, key string) []byte {
	t.Helper()
	field := regexp.MustCompile(`"key":"[^"]*"|"key":null`)
	require.Regexp(t, field, string(record))
	return field.ReplaceAll(record, []byte(`"key":`+key))
}

func secretOf(s string) credential.Secret { return credential.NewSecret(s) }
