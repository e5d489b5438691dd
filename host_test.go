package npmauth_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/storetest"
	"github.com/npmauth/npmauth/wire"
)

// members are the people of a host that has all that npmauth can ask of one.
type members struct {
	mu       sync.Mutex
	rows     []member
	prepared func()                          // called when a change was prepared; nil for nothing
	writing  func(ctx context.Context) error // called by each write before it writes; nil for nothing
	written  func()                          // and after it
	writes   int
	refuse   error // what preparing says
	empty    bool  // nothing is prepared
}

type member struct {
	user     host.User
	profile  host.Profile
	password string
}

func newMembers(names ...string) *members {
	m := &members{}
	for _, name := range names {
		m.add(host.NewUser{Name: name, Email: name + "@acme.test", Password: credential.NewSecret(password)})
	}
	return m
}

func (m *members) add(n host.NewUser) protocol.UserID {
	id := protocol.UserID(fmt.Sprint("m-", len(m.rows)+1))
	m.rows = append(m.rows, member{
		user:     host.User{ID: id, Name: n.Name, Email: n.Email, Created: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)},
		profile:  host.Profile{Email: n.Email, EmailVerified: true},
		password: n.Password.Reveal(),
	})
	return id
}

func (m *members) find(is func(host.User) bool) (*member, error) {
	for i := range m.rows {
		if is(m.rows[i].user) {
			return &m.rows[i], nil
		}
	}
	return &member{}, host.ErrNoUser
}

func (m *members) byID(id protocol.UserID) (*member, error) {
	return m.find(func(u host.User) bool { return u.ID == id })
}

func (m *members) Lookup(_ context.Context, name string) (host.User, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	row, err := m.find(func(u host.User) bool { return u.Name == name })
	return row.user, err
}

func (m *members) User(_ context.Context, id protocol.UserID) (host.User, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	row, err := m.byID(id)
	return row.user, err
}

func (m *members) CheckPassword(_ context.Context, id protocol.UserID, pw credential.Secret) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	row, err := m.byID(id)
	return err == nil && row.password == pw.Reveal(), nil
}

func (m *members) SignUp(_ context.Context, n host.NewUser) (protocol.UserID, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.refuse != nil {
		return "", m.refuse
	}
	return m.add(n), nil
}

func (m *members) Profile(_ context.Context, id protocol.UserID) (host.Profile, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	row, err := m.byID(id)
	return row.profile, err
}

// prepare returns a write that waits for the hooks and then runs fn.
func (m *members) prepare(id protocol.UserID, fn func(row *member) error) (host.Write, error) {
	if m.refuse != nil || m.empty {
		return nil, m.refuse
	}
	if m.prepared != nil {
		m.prepared()
	}
	return func(ctx context.Context) error {
		m.writes++
		if m.writing != nil {
			if err := m.writing(ctx); err != nil {
				return err
			}
		}
		err := func() error {
			m.mu.Lock()
			defer m.mu.Unlock()
			row, err := m.byID(id)
			if err == nil {
				err = fn(row)
			}
			return err
		}()
		if m.written != nil {
			m.written()
		}
		return err
	}, nil
}

func (m *members) SetProfile(_ context.Context, id protocol.UserID, was, is host.Profile) (host.Write, error) {
	return m.prepare(id, func(row *member) error {
		if row.profile != was {
			return fmt.Errorf("changed meanwhile")
		}
		row.profile, row.user.Email = is, is.Email
		return nil
	})
}

func (m *members) ChangePassword(ctx context.Context, id protocol.UserID, old, new credential.Secret) (host.Write, error) {
	if ok, err := m.CheckPassword(ctx, id, old); err != nil || !ok {
		return nil, host.ErrWrongPassword
	}
	if len(new.Reveal()) < 12 {
		return nil, &account.PasswordError{Why: "it is short"}
	}
	return m.prepare(id, func(row *member) error {
		if row.password != old.Reveal() {
			return host.ErrWrongPassword
		}
		row.password = new.Reveal()
		return nil
	})
}

func newMemberWorld(t *testing.T, m *members, change ...func(*npmauth.Config)) *world {
	t.Helper()
	w := newWorld(t, append([]func(*npmauth.Config){func(cfg *npmauth.Config) { cfg.Users, cfg.Fresh = m, -1 }}, change...)...)
	for _, row := range m.rows {
		w.ids[row.user.Name] = row.user.ID
	}
	return w
}

func (w *world) adduser(name, email string) answer {
	w.t.Helper()
	return w.do(call{method: "PUT", path: "/-/user/org.couchdb.user:" + name, body: map[string]any{
		"_id": "org.couchdb.user:" + name, "name": name, "password": password, "email": email, "type": "user", "roles": []string{}, "date": "2026-01-01T00:00:00.000Z",
	}, header: map[string]string{"Npm-Command": "adduser"}})
}

// npm adduser creates an account in the host's own table.
func TestSignUpWithAHostsPeople(t *testing.T) {
	m := newMembers("alice")
	w := newMemberWorld(t, m)
	a := w.adduser("bob", "bob@acme.test")
	require.Equal(t, 201, a.Code, a.Body.String())
	assert.Equal(t, 200, whoami(w, a.text("token")))
	bob, err := m.Lookup(t.Context(), "bob")
	require.NoError(t, err)
	assert.Equal(t, "bob@acme.test", bob.Email)
	assert.True(t, w.events.has(audit.SignUp))

	assert.Equal(t, 201, w.adduser("alice", "").Code, "who is there logs in")
	m.rows[0].password = "another password of mine"
	assert.Equal(t, 401, w.adduser("alice", "alice@acme.test").Code, "and with a wrong password does not")
	w.host.orgs["acme m-1"] = policy.OrgFacts{ID: "o-1", Role: protocol.OrgOwner}
	assert.Equal(t, 401, w.adduser("acme", "a@acme.test").Code, "organizations have names, too")
	w.host.fail = assert.AnError
	assert.Equal(t, 503, w.adduser("carol", "a@acme.test").Code)
	w.host.fail = nil
	for err, want := range map[error]int{
		host.ErrNameTaken:                    401,
		account.ErrEmail:                     422, // AU-72
		&account.PasswordError{Why: "short"}: 422,
		&wire.Error{Status: 403, Code: "ask-us", Sentence: "Ask us."}: 403,
		assert.AnError: 503,
	} {
		m.refuse = err
		assert.Equal(t, want, w.adduser("carol", "a@acme.test").Code, err)
	}
	assert.Len(t, m.rows, 2)

	_, err = npmauth.New(npmauth.Config{BaseURL: "https://npm.acme.test/", Store: store.NewMemory(), Packages: w.host, Users: &people{}, OpenSignUp: true})
	assert.ErrorContains(t, err, "OpenSignUp")
	closed := newMemberWorld(t, newMembers(), func(cfg *npmauth.Config) { cfg.OpenSignUp = false })
	assert.Equal(t, 401, closed.adduser("bob", "bob@acme.test").Code)
}

// npm profile get and set are for the host's people as for npmauth's own.
func TestProfileOfAHostsPeople(t *testing.T) {
	m := newMembers("alice")
	w := newMemberWorld(t, m)
	s := w.login("alice")
	get := func() answer { return w.do(call{method: "GET", path: "/-/npm/v1/user", bearer: s}) }
	assert.Equal(t, true, get().json["email_verified"])
	assert.Equal(t, get().json["created"], get().json["updated"])

	w.events.all = nil
	a := w.setUser(s, "", `{"email":"alice@acme.test","fullname":"Alice","homepage":null,"github":"alice"}`)
	require.Equal(t, 200, a.Code, a.Body.String())
	assert.Equal(t, "Alice", a.text("fullname"))
	assert.Equal(t, true, a.json["email_verified"], "the address is as it was")
	assert.Equal(t, host.Profile{Email: "alice@acme.test", EmailVerified: true, FullName: "Alice", GitHub: "alice"}, m.rows[0].profile)
	require.Len(t, w.events.all, 1)
	e := w.events.all[0]
	assert.Equal(t, audit.Profile, e.Type)
	assert.Equal(t, map[string]string{"changed": "fullname github"}, e.Detail)
	assert.EqualValues(t, "m-1", e.By)
	sub, err := w.auth.Subjects().Get(t.Context(), "m-1")
	require.NoError(t, err)
	assert.Zero(t, sub.Recovered)

	a = w.setUser(s, "", `{"email":"a@new.test","fullname":"Alice","github":"alice"}`)
	require.Equal(t, 200, a.Code, a.Body.String())
	assert.Equal(t, false, a.json["email_verified"], "an address that is new")
	assert.False(t, m.rows[0].profile.EmailVerified)
	sub, err = w.auth.Subjects().Get(t.Context(), "m-1")
	require.NoError(t, err)
	assert.Equal(t, w.clock.Now(), sub.Recovered)
	m.rows[0].profile.Updated = w.clock.Now()
	assert.NotEqual(t, get().json["created"], get().json["updated"])

	w.events.all, m.writes = nil, 0
	for body, want := range map[string]int{
		`{"email":null}`:                                  400,
		`{"email":"nobody"}`:                              400,
		`{"fullname":"a\u0007"}`:                          400,
		`{"fullname":"` + strings.Repeat("x", 257) + `"}`: 400,
		`{}`: 200, // as it was
	} {
		assert.Equal(t, want, w.setUser(s, "", body).Code, body)
	}
	assert.Zero(t, m.writes)
	assert.False(t, w.events.did(audit.Profile))
	for err, want := range map[error]int{
		account.ErrEmail: 400,
		&wire.Error{Status: 409, Code: "address-taken", Sentence: "Another account has this address."}: 409,
		assert.AnError: 503,
	} {
		m.refuse = err
		assert.Equal(t, want, w.setUser(s, "", `{"email":"b@new.test"}`).Code, err)
	}
	m.refuse, m.empty = nil, true
	assert.Equal(t, 503, w.setUser(s, "", `{"fullname":"B"}`).Code, "nothing was prepared")
	m.empty, m.prepared = false, func() { panic("boom") }
	assert.Equal(t, 503, w.setUser(s, "", `{"fullname":"B"}`).Code)
	m.prepared, m.writing = nil, func(context.Context) error { panic("boom") }
	assert.Equal(t, 503, w.setUser(s, "", `{"fullname":"B"}`).Code)
	assert.Equal(t, "Alice", m.rows[0].profile.FullName)
	assert.False(t, w.events.did(audit.Profile))
}

// What the host refuses costs no second factor, and what is not proven is not written.
func TestProfileOfAHostTakesTheFactor(t *testing.T) {
	m := newMembers("alice")
	w := newMemberWorld(t, m)
	w.enrol("alice", protocol.AuthOnly)
	s, code := w.login("alice"), w.code("alice")
	a := w.setUser(s, "", `{"email":"a@new.test"}`)
	isChallenge(t, a)
	_, _, page := w.open(a.text("authUrl"))
	assert.Contains(t, page.Body.String(), "<dt>Sets the e-mail address to</dt><dd><bdi>a@new.test</bdi></dd>")
	assert.Zero(t, m.writes)
	m.refuse = account.ErrEmail
	assert.Equal(t, 400, w.setUser(s, code, `{"email":"a@new.test"}`).Code)
	m.refuse = nil
	assert.Equal(t, 200, w.setUser(s, code, `{"email":"a@new.test"}`).Code, "the code was not spent")
	assert.Equal(t, 1, m.writes)
}

// What was revoked while the host prepared a change is not done: the last judgement is made
// right before the host's write.
func TestAHostsWriteIsJudged(t *testing.T) {
	for name, body := range map[string]string{
		"profile":  `{"fullname":"Mallory"}`,
		"address":  `{"email":"m@new.test"}`,
		"password": `{"password":{"old":"` + password + `","new":"` + newPassword + `"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			m := newMembers("alice")
			w := newMemberWorld(t, m)
			s := w.login("alice")
			m.prepared = func() { assert.NoError(t, w.auth.Subjects().EndSessions(t.Context(), audit.Actor{}, "m-1")) }
			assert.Equal(t, 401, w.setUser(s, "", body).Code)
			assert.Zero(t, m.writes)
			s = w.login("alice")
			m.prepared = func() { w.enrol("alice", protocol.AuthOnly) }
			a := w.setUser(s, "", body)
			assert.Equal(t, 401, a.Code, "a factor that was turned on meanwhile")
			assert.Zero(t, m.writes)
		})
	}
}

// A password is changed in the host's table, and ends all sessions but the one that asks.
func TestPasswordOfAHostsPeople(t *testing.T) {
	m := newMembers("alice", "bob")
	w := newMemberWorld(t, m)
	s, other, bobs := w.login("alice"), w.login("alice"), w.login("bob")
	approved, done, _ := w.start("")
	require.Less(t, w.submit(approved, map[string]string{"name": "alice", "password": password}).Code, 400)
	change := func(old, new string) answer {
		return w.setUser(s, "", `{"email":"alice@acme.test","fullname":null,"password":{"old":"`+old+`","new":"`+new+`"}}`)
	}
	w.events.all = nil
	assert.Equal(t, "wrong-password", change("wrong", newPassword).text("code"))
	require.Len(t, w.events.all, 1)
	assert.Equal(t, audit.Denied, w.events.all[0].Outcome)
	assert.Equal(t, "bad-password", change(password, "short").text("code"))
	assert.Equal(t, 400, w.setUser(s, "", `{"fullname":"x","password":{"old":"`+password+`","new":"`+newPassword+`"}}`).Code, "one thing at a time")
	assert.Zero(t, m.writes)
	require.Equal(t, 200, whoami(w, other))

	w.events.all = nil
	during, atWrite := "", 0
	m.writing = func(context.Context) error {
		atWrite = whoami(w, other)
		during = w.login("alice") // with the old password
		assert.Equal(t, 200, whoami(w, during))
		return nil
	}
	a := change(password, newPassword)
	require.Equal(t, 200, a.Code, a.Body.String())
	assert.Equal(t, 401, atWrite, "sessions end before the write, and not only if the process lives on")
	assert.Equal(t, 401, whoami(w, during), "a session that began while the host wrote")
	assert.Equal(t, 401, whoami(w, other))
	assert.Equal(t, 200, whoami(w, s), "the session that asked")
	assert.Equal(t, 200, whoami(w, bobs))
	assert.Empty(t, w.poll(done, "GET").text("token"), "a login that was approved before")
	assert.True(t, w.events.did(audit.Password))
	assert.Equal(t, newPassword, m.rows[0].password)
	signIn := func(pw string) error {
		_, _, err := w.auth.Sessions().SignIn(t.Context(), session.SignIn{Name: "alice", Password: credential.NewSecret(pw)})
		return err
	}
	assert.ErrorIs(t, signIn(password), session.ErrDenied)
	assert.NoError(t, signIn(newPassword))
}

// Of two changes of one password one happens, and after an outage nobody knows, so that
// what the old one opened ends.
func TestPasswordOfAHostThatFails(t *testing.T) {
	body := `{"password":{"old":"` + password + `","new":"` + newPassword + `"}}`
	m := newMembers("alice")
	w := newMemberWorld(t, m)
	s := w.login("alice")
	m.writing = func(context.Context) error { m.rows[0].password = "the password of a faster one"; return nil }
	w.events.all = nil
	a := w.setUser(s, "", body)
	assert.Equal(t, 401, a.Code)
	assert.Equal(t, "wrong-password", a.text("code"))
	assert.False(t, w.events.did(audit.Password))
	assert.Equal(t, 200, whoami(w, s))

	m.rows[0].password = password
	during := ""
	m.writing = func(context.Context) error { during = w.login("alice"); return assert.AnError }
	w.events.all = nil
	assert.Equal(t, 503, w.setUser(s, "", body).Code)
	assert.Equal(t, 401, whoami(w, during), "it may have been changed")
	assert.Equal(t, 200, whoami(w, s))
	assert.False(t, w.events.did(audit.Password))

	// Whoever ended the asking session meanwhile has ended it.
	m.writing = nil
	m.written = func() { assert.NoError(t, w.auth.Subjects().EndSessions(t.Context(), audit.Actor{}, "m-1")) }
	assert.Equal(t, 200, w.setUser(s, "", body).Code)
	assert.Equal(t, 401, whoami(w, s))
}

// A client that goes away changes nothing about what was decided.
func TestAHostsWriteOutlivesTheClient(t *testing.T) {
	m := newMembers("alice")
	w := newMemberWorld(t, m)
	s := w.login("alice")
	ctx, cancel := context.WithCancel(t.Context())
	other := ""
	m.writing = func(writing context.Context) error {
		other = w.login("alice")
		cancel()
		_, bounded := writing.Deadline()
		assert.True(t, bounded)
		return writing.Err()
	}
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/-/npm/v1/user", strings.NewReader(`{"password":{"old":"`+password+`","new":"`+newPassword+`"}}`))
	r.Header.Set("Authorization", "Bearer "+s)
	r.Header.Set("Content-Type", "application/json")
	w.handler.ServeHTTP(httptest.NewRecorder(), r)
	assert.Equal(t, newPassword, m.rows[0].password)
	assert.Equal(t, 401, whoami(w, other))
}

// The people of package account on Config.Store are changed in npmauth's own commits, also
// where it was the host that made the directory.
func TestDirectoryUsersInTheStore(t *testing.T) {
	st := storetest.NewFaulty(store.NewMemory())
	own, err := account.NewDirectory(account.DirectoryConfig{Store: st, Hasher: quickHasher(t)})
	require.NoError(t, err)
	w := newWorld(t, func(cfg *npmauth.Config) { cfg.Store, cfg.Users = st, own })
	require.NotNil(t, w.auth.People())
	w.person("alice")
	_, err = own.Lookup(t.Context(), "alice")
	require.NoError(t, err)
	s, other := w.login("alice"), w.login("alice")
	body := `{"password":{"old":"` + password + `","new":"` + newPassword + `"}}`
	st.Inject(storetest.Fault{On: storetest.Commits, Err: assert.AnError})
	require.Equal(t, 503, w.setUser(s, "", body).Code)
	assert.Equal(t, 200, whoami(w, other), "nothing has happened")
	w.events.all = nil
	require.Equal(t, 200, w.setUser(s, "", body).Code)
	assert.Equal(t, 401, whoami(w, other), "at once, although the credential was remembered")
	assert.True(t, w.events.did(audit.Password))
	require.Equal(t, 200, w.setUser(s, "", `{"fullname":"Alice"}`).Code)
	assert.Equal(t, 201, w.adduser("bob", "bob@acme.test").Code)
	assert.True(t, w.events.has(audit.SignUp), "by the recorder of npmauth")
	w.host.orgs["acme x"] = policy.OrgFacts{ID: "o-1"}
	assert.Equal(t, 401, w.adduser("acme", "a@acme.test").Code)

	// Service accounts come with it.
	admin, err := own.Lookup(t.Context(), "bob")
	require.NoError(t, err)
	w.service("ci", admin.ID)
	assert.Equal(t, 200, w.do(call{method: "GET", path: ciTokens, bearer: w.login("bob")}).Code)
	assert.Equal(t, 404, w.do(call{method: "GET", path: ciTokens, bearer: s}).Code)
}

// On another store the people of package account are a host's like any other.
func TestDirectoryUsersElsewhere(t *testing.T) {
	own, err := account.NewDirectory(account.DirectoryConfig{Store: store.NewMemory(), Hasher: quickHasher(t)})
	require.NoError(t, err)
	w := newWorld(t, func(cfg *npmauth.Config) { cfg.Users = own })
	assert.Nil(t, w.auth.People())
	a := w.adduser("alice", "alice@acme.test")
	require.Equal(t, 201, a.Code, a.Body.String())
	s, other := a.text("token"), w.login("alice")
	assert.True(t, w.events.has(audit.SignUp))
	require.Equal(t, 200, w.setUser(s, "", `{"email":"a@new.test","fullname":"Alice"}`).Code)
	assert.Equal(t, "a@new.test", w.do(call{method: "GET", path: "/-/npm/v1/user", bearer: s}).text("email"))
	assert.Equal(t, "wrong-password", w.setUser(s, "", `{"password":{"old":"x","new":"`+newPassword+`"}}`).text("code"))
	require.Equal(t, 200, w.setUser(s, "", `{"password":{"old":"`+password+`","new":"`+newPassword+`"}}`).Code)
	assert.Equal(t, 401, whoami(w, other))
	assert.Equal(t, 200, whoami(w, s))
	assert.Equal(t, 401, w.adduser("alice", "").Code, "the old password")
}
