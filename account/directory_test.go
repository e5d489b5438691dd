package account_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"

	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/storetest"
	"github.com/npmauth/npmauth/subject"
)

func Example() {
	ctx := context.Background()
	hasher, err := account.NewHasher(account.HasherConfig{})
	if err != nil {
		log.Fatal(err)
	}
	people, err := account.NewDirectory(account.DirectoryConfig{Store: store.NewMemory(), Hasher: hasher})
	if err != nil {
		log.Fatal(err)
	}
	_, err = people.Create(ctx, audit.Actor{}, account.NewUser{
		Name:     "jane",
		Email:    "jane@acme.test",
		Password: credential.NewSecret("correct horse battery"),
	})
	if err != nil {
		log.Fatal(err)
	}

	user, err := people.ByName(ctx, "jane")
	if err != nil {
		log.Fatal(err)
	}
	ok, err := people.CheckPassword(ctx, user.ID, credential.NewSecret("correct horse battery"))
	fmt.Println(user.Name, ok, err)
	// Output: jane true <nil>
}

const good = "correct horse battery"

// operator is the actor of what no account does, jane a person.
var (
	operator audit.Actor
	jane     = audit.Actor{User: "jane", Credential: "c1", Addr: netip.MustParseAddr("192.0.2.1")}
)

func put(t *testing.T, st store.Store, key, value string) {
	t.Helper()
	_, err := st.Commit(t.Context(), store.Op{Key: key, At: store.Any, Action: store.Put, Value: []byte(value)})
	require.NoError(t, err)
}

// recorded is a Directory with its events, and a person and a service account in it.
type recorded struct {
	*account.Directory
	store       *storetest.Faulty
	log         *audit.Log
	sink        []audit.Event
	person, bot account.User
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func newRecorded(t *testing.T) *recorded {
	t.Helper()
	r := &recorded{store: storetest.NewFaulty(store.NewMemory())}
	now := func() time.Time { return noon }
	var err error
	r.log, err = audit.NewLog(audit.LogConfig{Store: r.store, Now: now})
	require.NoError(t, err)
	cfg := account.DirectoryConfig{Store: r.store, Hasher: newHasher(t, account.HasherConfig{}), Now: now}
	before := newDirectory(t, cfg)
	r.person, err = before.Create(t.Context(), operator, account.NewUser{Name: "person", Email: "person@acme.test", Hash: quick(t, good)})
	require.NoError(t, err)
	r.bot, err = before.Create(t.Context(), operator, account.NewUser{Name: "bot", Service: true})
	require.NoError(t, err)

	cfg.Events = audit.NewRecorder(audit.RecorderConfig{
		Sink: audit.Func(func(_ context.Context, e audit.Event) { r.sink = append(r.sink, e) }), Log: r.log, Now: now,
	})
	r.Directory = newDirectory(t, cfg)
	return r
}

func (r *recorded) logged(t *testing.T) (events []audit.Event) {
	t.Helper()
	r.store.Mend()
	page, _, err := r.log.List(t.Context(), "", 100)
	require.NoError(t, err)
	for _, e := range page {
		events = append(events, e.Event)
	}
	return events
}

func (r *recorded) transact(t *testing.T, fn func(tx *store.Tx) error) error {
	t.Helper()
	return store.Transact(t.Context(), r.store, fn)
}

func subjectOf(t *testing.T, st store.Store, id protocol.UserID) subject.Subject {
	t.Helper()
	s, err := subject.Get(t.Context(), st, id)
	require.NoError(t, err)
	return s
}

// moved returns the names of the revocation numbers that differ.
func moved(before, after subject.Subject) (names []string) {
	was, is := before.Numbers(policy.KindSession), after.Numbers(policy.KindSession)
	for _, n := range []struct {
		name    string
		was, is uint64
	}{
		{"everyone", was.Everyone, is.Everyone}, {"all", was.All, is.All}, {"sessions", was.Kind, is.Kind},
		{"tokens", before.Numbers(policy.KindToken).Kind, after.Numbers(policy.KindToken).Kind},
	} {
		if n.was != n.is {
			names = append(names, n.name)
		}
	}
	return names
}

// quick is an imported hash that is cheap to verify.
func quick(t testing.TB, pw string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(pw), bcrypt.MinCost)
	require.NoError(t, err)
	return string(hash)
}

func newDirectory(t testing.TB, cfg account.DirectoryConfig) *account.Directory {
	t.Helper()
	if cfg.Store == nil {
		cfg.Store = store.NewMemory()
	}
	if cfg.Hasher == nil {
		cfg.Hasher = newHasher(t, account.HasherConfig{})
	}
	d, err := account.NewDirectory(cfg)
	require.NoError(t, err)
	return d
}

func TestDirectoryConfig(t *testing.T) {
	h, st := newHasher(t, account.HasherConfig{}), store.NewMemory()
	for field, cfg := range map[string]account.DirectoryConfig{
		"Store":          {Hasher: h},
		"Hasher":         {Store: st},
		"Passwords.Min":  {Store: st, Hasher: h, Passwords: account.Passwords{Min: 7}},
		"Passwords.Min ": {Store: st, Hasher: h, Passwords: account.Passwords{Min: -1}},
	} {
		_, err := account.NewDirectory(cfg)
		assert.ErrorContains(t, err, strings.TrimSpace(field))
	}
}

func TestCreate(t *testing.T) {
	ctx := t.Context()
	now := time.Date(2026, 1, 2, 3, 4, 5, 6789, time.FixedZone("", 3600))
	d := newDirectory(t, account.DirectoryConfig{Now: func() time.Time { return now }})
	jane, err := d.Create(ctx, operator, account.NewUser{Name: "jane", Email: "jane@acme.test", Password: secret(good)})
	require.NoError(t, err)
	at := time.Date(2026, 1, 2, 2, 4, 5, 6000, time.UTC)
	assert.Equal(t, account.User{ID: jane.ID, Name: "jane", Email: "jane@acme.test", Created: at, Updated: at}, jane)
	assert.Len(t, jane.ID, 36)

	for name, get := range map[string]func() (account.User, error){
		"by name": func() (account.User, error) { return d.ByName(ctx, "jane") },
		"by ID":   func() (account.User, error) { return d.ByID(ctx, jane.ID) },
	} {
		got, err := get()
		require.NoError(t, err, name)
		assert.Equal(t, jane, got, name)
	}
	for _, name := range []string{"", "joe", "Jane", "jane ", "jan\u0435", strings.Repeat("x", 5000)} {
		_, err := d.ByName(ctx, name)
		assert.ErrorIs(t, err, account.ErrNoUser, "%q", name)
	}
	for _, id := range []protocol.UserID{"", "jane", jane.ID + "0", protocol.UserID(strings.Repeat("x", 5000))} {
		_, err := d.ByID(ctx, id)
		assert.ErrorIs(t, err, account.ErrNoUser, "%q", id)
	}
}

// A refused creation leaves no row, and costs no hash.
func TestCreateRefuses(t *testing.T) {
	ctx := t.Context()
	d := newDirectory(t, account.DirectoryConfig{Passwords: account.Passwords{Blocked: only("caf\u00e9 password")}})
	_, err := d.Create(ctx, operator, account.NewUser{Name: "taken", Hash: quick(t, good)})
	require.NoError(t, err)
	ok := account.NewUser{Name: "jane", Email: "jane@acme.test", Password: secret(good)}
	for name, tt := range map[string]struct {
		change func(*account.NewUser)
		want   error
	}{
		"name":              {func(u *account.NewUser) { u.Name = "Jane" }, account.ErrName},
		"no name":           {func(u *account.NewUser) { u.Name = "" }, account.ErrName},
		"reserved":          {func(u *account.NewUser) { u.Name = "admin" }, account.ErrName}, // LG-06
		"reserved too":      {func(u *account.NewUser) { u.Name = "root" }, account.ErrName},
		"reserved as well":  {func(u *account.NewUser) { u.Name = "npm" }, account.ErrName},
		"name taken":        {func(u *account.NewUser) { u.Name = "taken" }, account.ErrNameTaken},
		"e-mail":            {func(u *account.NewUser) { u.Email = "jane" }, account.ErrEmail},
		"e-mail with name":  {func(u *account.NewUser) { u.Email = "Jane <jane@acme.test>" }, account.ErrEmail},
		"two e-mails":       {func(u *account.NewUser) { u.Email = "a@acme.test, b@acme.test" }, account.ErrEmail},
		"e-mail, new line":  {func(u *account.NewUser) { u.Email = "jane@acme.test\r\nBcc: x@acme.test" }, account.ErrEmail},
		"long e-mail":       {func(u *account.NewUser) { u.Email = strings.Repeat("x", 250) + "@a.test" }, account.ErrEmail},
		"no password":       {func(u *account.NewUser) { u.Password = credential.Secret{} }, account.ErrPassword},
		"ten characters":    {func(u *account.NewUser) { u.Password = secret("0123456789") }, account.ErrPassword},
		"ten in form C":     {func(u *account.NewUser) { u.Password = secret(strings.Repeat("e\u0301", 10)) }, account.ErrPassword},
		"ten emoji":         {func(u *account.NewUser) { u.Password = secret(strings.Repeat("\U0001f600", 10)) }, account.ErrPassword},
		"long password":     {func(u *account.NewUser) { u.Password = secret(strings.Repeat("x", 1025)) }, account.ErrPassword},
		"the name":          {func(u *account.NewUser) { u.Password = secret("JaneJaneJane1") }, account.ErrPassword}, // PW-09
		"the e-mail":        {func(u *account.NewUser) { u.Password = secret("Jane@acme.test") }, account.ErrPassword},
		"guessable":         {func(u *account.NewUser) { u.Password = secret("Password1234") }, account.ErrPassword}, // AU-20
		"blocked":           {func(u *account.NewUser) { u.Password = secret("cafe\u0301 password") }, account.ErrPassword},
		"hash":              {func(u *account.NewUser) { u.Password, u.Hash = credential.Secret{}, "plain" }, account.ErrHash},
		"hash and password": {func(u *account.NewUser) { u.Hash = quick(t, good) }, account.ErrHash},
		"any but none":      {func(u *account.NewUser) { u.Password, u.AnyPassword = credential.Secret{}, true }, account.ErrPassword},
	} {
		t.Run(name, func(t *testing.T) {
			nu := ok
			tt.change(&nu)
			var user account.User
			var err error
			assert.Less(t, allocated(func() { user, err = d.Create(ctx, operator, nu) }), uint64(noHash))
			require.ErrorIs(t, err, tt.want)
			assert.Zero(t, user)
			assert.NotContains(t, err.Error(), nu.Password.Reveal()+"\x00")
			if pe, ok := errors.AsType[*account.PasswordError](err); ok {
				assert.NotEmpty(t, pe.Why)
			}
			if nu.Name != "taken" {
				_, err = d.ByName(ctx, nu.Name)
				assert.ErrorIs(t, err, account.ErrNoUser)
			}
		})
	}
}

// only is a list of one blocked password.
func only(blocked string) func(context.Context, credential.Secret) (bool, error) {
	return func(_ context.Context, pw credential.Secret) (bool, error) { return pw.Reveal() == blocked, nil }
}

// AU-20: a list of blocked passwords that cannot be asked refuses all, at sign-up as at a change,
// and is no fault of the password.
func TestBlockedFails(t *testing.T) {
	ctx, errDown := t.Context(), errors.New("down")
	up := true
	d := newDirectory(t, account.DirectoryConfig{Passwords: account.Passwords{Blocked: func(context.Context, credential.Secret) (bool, error) {
		if up {
			return false, nil
		}
		return true, errDown
	}}})
	u, err := d.Create(ctx, operator, account.NewUser{Name: "jane", Password: secret(good)})
	require.NoError(t, err)
	up = false
	_, err = d.Create(ctx, operator, account.NewUser{Name: "joan", Password: secret(good)})
	require.ErrorIs(t, err, errDown)
	require.NotErrorIs(t, err, account.ErrPassword)
	require.ErrorIs(t, d.SetPassword(ctx, operator, u.ID, secret(good), secret("another one of mine")), errDown)
	require.ErrorIs(t, d.ResetPassword(ctx, operator, u.ID, secret("another one of mine")), errDown)
	require.ErrorIs(t, d.SetPassword(ctx, operator, u.ID, secret("not it"), secret("another one of mine")), account.ErrWrongPassword)
	ok, err := d.CheckPassword(ctx, u.ID, secret(good))
	require.NoError(t, err)
	assert.True(t, ok, "nothing was changed")
}

func TestCreateAllows(t *testing.T) {
	ctx := t.Context()
	d := newDirectory(t, account.DirectoryConfig{
		Reserved:  []string{"acme"},
		Passwords: account.Passwords{Blocked: only("password")},
	})
	for name, nu := range map[string]account.NewUser{
		"another list of reserved": {Name: "admin", Password: secret(good)},
		"eleven characters":        {Name: "a1", Password: secret("kx7vqp 2nna")},
		"eleven emoji":             {Name: "a2", Password: secret("\U0001f600\U0001f431\U0001f697\U0001f33b\U0001f34e\U0001f3b2\U0001f4a1\U0001f512\U0001f4da\U0001f6b2\U0001f3b8")},
		"part of it is the name":   {Name: "horse", Password: secret(good)},
		"part of it is blocked":    {Name: "a3", Password: secret("my password is long")},
		"any password":             {Name: "a4", Password: secret("a4"), AnyPassword: true},
		"no e-mail":                {Name: "a5", Password: secret(good)},
		"imported":                 {Name: "a6", Hash: quick(t, good)},
	} {
		t.Run(name, func(t *testing.T) {
			user, err := d.Create(ctx, operator, nu)
			require.NoError(t, err)
			pw := nu.Password
			if pw.IsZero() {
				pw = secret(good)
			}
			ok, err := d.CheckPassword(ctx, user.ID, pw)
			require.NoError(t, err)
			assert.True(t, ok)
		})
	}
	_, err := d.Create(ctx, operator, account.NewUser{Name: "acme", Password: secret(good)})
	assert.ErrorIs(t, err, account.ErrName)
}

// LG-04: of fifty callers that create one name at once one gets it, with one ID and one
// password.
func TestCreateRace(t *testing.T) {
	ctx, st := t.Context(), store.NewMemory()
	d := newDirectory(t, account.DirectoryConfig{Store: st})
	const racers = 50
	type result struct {
		user account.User
		err  error
	}
	results := make([]result, racers)
	hashes := make([]string, racers)
	for i := range hashes {
		hashes[i] = quick(t, fmt.Sprint("password of racer ", i))
	}
	var wg sync.WaitGroup
	for i := range results {
		wg.Go(func() {
			user, err := d.Create(ctx, operator, account.NewUser{Name: "jane", Hash: hashes[i]})
			results[i] = result{user, err}
		})
	}
	wg.Wait()

	winner := -1
	for i, r := range results {
		if r.err == nil {
			assert.Equal(t, -1, winner, "two got the name")
			winner = i
			continue
		}
		assert.ErrorIs(t, r.err, account.ErrNameTaken)
		assert.Zero(t, r.user)
	}
	require.NotEqual(t, -1, winner)
	jane, err := d.ByName(ctx, "jane")
	require.NoError(t, err)
	assert.Equal(t, results[winner].user, jane)
	ok, err := d.CheckPassword(ctx, jane.ID, secret(fmt.Sprint("password of racer ", winner)))
	require.NoError(t, err)
	assert.True(t, ok)
	for _, prefix := range []string{"user/", "user.name/", "password/"} {
		items, err := st.List(ctx, prefix, "", 100)
		require.NoError(t, err)
		assert.Len(t, items, 1, prefix)
	}
}

func TestCheckPassword(t *testing.T) {
	ctx, st := t.Context(), store.NewMemory()
	d := newDirectory(t, account.DirectoryConfig{Store: st})
	jane, err := d.Create(ctx, operator, account.NewUser{Name: "jane", Password: secret(good)})
	require.NoError(t, err)
	for _, tt := range []struct {
		id   protocol.UserID
		pw   string
		want bool
	}{
		{jane.ID, good, true},
		{jane.ID, good + " ", false},
		{jane.ID, "", false},
		{jane.ID, strings.Repeat("x", 2000), false}, // PW-03
		{"", good, false},
		{"jane", good, false},
		{protocol.UserID(strings.Repeat("x", 5000)), good, false},
	} {
		ok, err := d.CheckPassword(ctx, tt.id, secret(tt.pw))
		assert.NoError(t, err)
		assert.Equal(t, tt.want, ok, "%.10q %.30q", tt.id, tt.pw)
	}

	// EN-02: the same work for all of them.
	for name, id := range map[string]protocol.UserID{"known": jane.ID, "unknown": "nobody", "none": ""} {
		n := allocated(func() { _, err = d.CheckPassword(ctx, id, secret("wrong")) })
		require.NoError(t, err)
		assert.GreaterOrEqual(t, n, uint64(oneHash), name)
		assert.Less(t, n, uint64(oneHash+noHash), name)
	}

	// PW-06: a tampered row is an error, not a wrong password and not a right one.
	for _, hash := range []string{"", "$argon2id$v=19$m=4194304,t=999,p=255$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"} {
		put(t, st, "password/"+string(jane.ID), fmt.Sprintf(`{"v":1,"d":{"id":%q,"hash":%q,"changed":"2026-01-02T03:04:05Z"}}`, jane.ID, hash))
		ok, err := d.CheckPassword(ctx, jane.ID, secret(good))
		assert.ErrorIs(t, err, account.ErrHash)
		assert.False(t, ok)
	}
}

// A store that fails is an error for everyone, and no password is right.
func TestStoreFails(t *testing.T) {
	ctx := t.Context()
	d := newDirectory(t, account.DirectoryConfig{Store: broken{}})
	ok, err := d.CheckPassword(ctx, "u1", secret(good))
	assert.ErrorIs(t, err, errBroken)
	assert.False(t, ok)
	_, err = d.ByName(ctx, "jane")
	assert.ErrorIs(t, err, errBroken)
	assert.NotErrorIs(t, err, account.ErrNoUser)
	_, err = d.Create(ctx, operator, account.NewUser{Name: "jane", Password: secret(good)})
	assert.ErrorIs(t, err, errBroken)
	assert.ErrorIs(t, d.SetPassword(ctx, operator, "u1", secret(good), secret(good)), errBroken)
	assert.ErrorIs(t, d.ResetPassword(ctx, operator, "u1", secret(good)), errBroken)
}

var errBroken = errors.New("broken")

type broken struct{}

func (broken) Get(context.Context, ...string) ([]store.Item, error) { return nil, errBroken }
func (broken) List(context.Context, string, string, int) ([]store.Item, error) {
	return nil, errBroken
}
func (broken) Commit(context.Context, ...store.Op) (store.Revision, error) { return 0, errBroken }

func storedHash(t *testing.T, st store.Store, id protocol.UserID) string {
	t.Helper()
	items, err := st.Get(t.Context(), "password/"+string(id))
	require.NoError(t, err)
	require.True(t, items[0].Exists())
	_, rest, _ := strings.Cut(string(items[0].Value), `"hash":"`)
	hash, _, _ := strings.Cut(rest, `"`)
	return hash
}

// PW-07: the right password replaces an imported hash and one of lower costs;
// a wrong one does not.
func TestRehash(t *testing.T) {
	ctx, st := t.Context(), store.NewMemory()
	weak := newDirectory(t, account.DirectoryConfig{Store: st,
		Hasher: newHasher(t, account.HasherConfig{Params: account.Params{Memory: 12288, Time: 3, Threads: 1}})})
	older, err := weak.Create(ctx, operator, account.NewUser{Name: "older", Password: secret(good)})
	require.NoError(t, err)
	imported, err := weak.Create(ctx, operator, account.NewUser{Name: "imported", Hash: quick(t, good)})
	require.NoError(t, err)

	d := newDirectory(t, account.DirectoryConfig{Store: st})
	for _, id := range []protocol.UserID{older.ID, imported.ID} {
		was := storedHash(t, st, id)
		ok, err := d.CheckPassword(ctx, id, secret("wrong password"))
		require.NoError(t, err)
		require.False(t, ok)
		require.Equal(t, was, storedHash(t, st, id))

		for range 2 {
			ok, err = d.CheckPassword(ctx, id, secret(good))
			require.NoError(t, err)
			require.True(t, ok)
		}
		is := storedHash(t, st, id)
		assert.Contains(t, is, "$m=19456,t=2,p=1$")

		ok, err = d.CheckPassword(ctx, id, secret(good))
		require.NoError(t, err)
		assert.True(t, ok)
		assert.Equal(t, is, storedHash(t, st, id), "once")
	}
}

// PW-07: the new hash of a password that was changed while it was computed is dropped, and does
// not restore the old password.
func TestRehashAfterAChange(t *testing.T) {
	ctx, r := t.Context(), newRecorded(t)
	r.store.Inject(storetest.Fault{On: storetest.Commits, Do: func() {
		assert.NoError(t, r.ResetPassword(ctx, operator, r.person.ID, secret(better)))
	}})
	ok, err := r.CheckPassword(ctx, r.person.ID, secret(good))
	require.NoError(t, err)
	assert.True(t, ok, "it was when the check began")
	require.True(t, r.store.Struck())
	for pw, want := range map[string]bool{good: false, better: true} {
		ok, err := r.CheckPassword(ctx, r.person.ID, secret(pw))
		require.NoError(t, err)
		assert.Equal(t, want, ok, pw)
	}
}

func TestSetPassword(t *testing.T) {
	ctx := t.Context()
	d := newDirectory(t, account.DirectoryConfig{})
	jane, err := d.Create(ctx, operator, account.NewUser{Name: "jane", Email: "jane@acme.test", Password: secret(good)})
	require.NoError(t, err)
	const next = "battery staple horse"

	for name, tt := range map[string]struct {
		id       protocol.UserID
		old, new string
		want     error
	}{
		"wrong old":         {jane.ID, "wrong", next, account.ErrWrongPassword},
		"wrong old, weak":   {jane.ID, "wrong", "weak", account.ErrWrongPassword},
		"unknown":           {"nobody", good, next, account.ErrWrongPassword},
		"no ID":             {"", good, next, account.ErrWrongPassword},
		"weak":              {jane.ID, good, "0123456789", account.ErrPassword},
		"none":              {jane.ID, good, "", account.ErrPassword},
		"the e-mail, PW-09": {jane.ID, good, "JANE@acme.test", account.ErrPassword},
	} {
		assert.ErrorIs(t, d.SetPassword(ctx, operator, tt.id, secret(tt.old), secret(tt.new)), tt.want, name)
	}
	require.NoError(t, d.SetPassword(ctx, operator, jane.ID, secret(good), secret(next)))
	for pw, want := range map[string]bool{good: false, next: true} {
		ok, err := d.CheckPassword(ctx, jane.ID, secret(pw))
		require.NoError(t, err)
		assert.Equal(t, want, ok)
	}

	require.NoError(t, d.ResetPassword(ctx, operator, jane.ID, secret(good)))
	ok, err := d.CheckPassword(ctx, jane.ID, secret(good))
	require.NoError(t, err)
	assert.True(t, ok)
	assert.ErrorIs(t, d.ResetPassword(ctx, operator, "nobody", secret(good)), account.ErrNoUser)
	assert.ErrorIs(t, d.ResetPassword(ctx, operator, jane.ID, secret("weak")), account.ErrPassword)
}

// PW-10: of two changes of one password one happens.
func TestSetPasswordRace(t *testing.T) {
	ctx := t.Context()
	d := newDirectory(t, account.DirectoryConfig{})
	jane, err := d.Create(ctx, operator, account.NewUser{Name: "jane", Password: secret(good)})
	require.NoError(t, err)
	errs := make([]error, 4)
	next := func(i int) credential.Secret { return secret(fmt.Sprint("another password ", i)) }
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { errs[i] = d.SetPassword(ctx, operator, jane.ID, secret(good), next(i)) })
	}
	wg.Wait()
	changed := 0
	for i, err := range errs {
		ok, checkErr := d.CheckPassword(ctx, jane.ID, next(i))
		require.NoError(t, checkErr)
		assert.Equal(t, err == nil, ok)
		if err == nil {
			changed++
		} else {
			assert.ErrorIs(t, err, account.ErrWrongPassword)
		}
	}
	assert.Equal(t, 1, changed)
}

func TestSetProfile(t *testing.T) {
	ctx := t.Context()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	d := newDirectory(t, account.DirectoryConfig{Now: func() time.Time { return now }})
	jane, err := d.Create(ctx, operator, account.NewUser{Name: "jane", Hash: quick(t, good)})
	require.NoError(t, err)
	now = now.Add(time.Hour)
	want := jane
	want.Profile = account.Profile{
		FullName: "Jane D\u00f6e", Homepage: "https://jane.acme.test/", Freenode: "jane", Twitter: "@jane", GitHub: strings.Repeat("\u00e9", 256),
	}
	want.Updated = now
	got, err := d.ReplaceProfile(ctx, operator, jane.ID, want.Profile)
	require.NoError(t, err)
	assert.Equal(t, want, got)

	for _, bad := range []string{strings.Repeat("x", 257), "a\nb", "\x1b[31m", "\xff", "\u0085"} {
		for _, p := range []account.Profile{{FullName: bad}, {Homepage: bad}, {Freenode: bad}, {Twitter: bad}, {GitHub: bad}} {
			_, err := d.ReplaceProfile(ctx, operator, jane.ID, p)
			assert.ErrorIs(t, err, account.ErrProfile, "%q", bad)
		}
	}
	got, err = d.ByID(ctx, jane.ID)
	require.NoError(t, err)
	assert.Equal(t, want, got)
	for _, id := range []protocol.UserID{"", "nobody"} {
		_, err = d.ReplaceProfile(ctx, operator, id, account.Profile{})
		assert.ErrorIs(t, err, account.ErrNoUser)
	}
}

func TestEdit(t *testing.T) {
	ctx, st := t.Context(), store.NewMemory()
	d := newDirectory(t, account.DirectoryConfig{Store: st})
	jane, err := d.Create(ctx, operator, account.NewUser{Name: "jane", Email: "jane@acme.test", Password: secret(good)})
	require.NoError(t, err)
	edit := func(id protocol.UserID, fn func(*string, *account.Profile) error) (before, after account.User, err error) {
		err = store.Transact(ctx, st, func(tx *store.Tx) error {
			before, after, err = d.Edit(ctx, tx, operator, id, fn)
			return err
		})
		return before, after, err
	}
	before, after, err := edit(jane.ID, func(email *string, p *account.Profile) error {
		*email, p.GitHub = "j@new.test", "jane"
		return nil
	})
	require.NoError(t, err)
	assert.Equal(t, jane, before)
	assert.Equal(t, "j@new.test", after.Email)
	assert.Equal(t, account.Profile{GitHub: "jane"}, after.Profile)
	assert.True(t, after.Updated.After(jane.Updated))
	got, err := d.ByID(ctx, jane.ID)
	require.NoError(t, err)
	assert.Equal(t, after, got)

	same, again, err := edit(jane.ID, func(*string, *account.Profile) error { return nil })
	require.NoError(t, err)
	assert.Equal(t, same, again, "nothing changed, not even the time")
	boom := errors.New("boom")
	for name, tt := range map[string]struct {
		id   protocol.UserID
		fn   func(*string, *account.Profile) error
		want error
	}{
		"fn's own":  {jane.ID, func(email *string, _ *account.Profile) error { *email = "x@y.test"; return boom }, boom},
		"address":   {jane.ID, func(email *string, _ *account.Profile) error { *email = "nobody"; return nil }, account.ErrEmail},
		"none":      {jane.ID, func(email *string, _ *account.Profile) error { *email = ""; return nil }, account.ErrEmail},
		"profile":   {jane.ID, func(_ *string, p *account.Profile) error { p.FullName = "a\nb"; return nil }, account.ErrProfile},
		"not there": {"nobody", func(*string, *account.Profile) error { return nil }, account.ErrNoUser},
	} {
		_, _, err := edit(tt.id, tt.fn)
		assert.ErrorIs(t, err, tt.want, name)
	}
	got, err = d.ByID(ctx, jane.ID)
	require.NoError(t, err)
	assert.Equal(t, after, got)
}

// A prepared change happens once, with the rest of its commit, and not after another change.
func TestChangePassword(t *testing.T) {
	ctx, st := t.Context(), store.NewMemory()
	d := newDirectory(t, account.DirectoryConfig{Store: st})
	jane, err := d.Create(ctx, operator, account.NewUser{Name: "jane", Password: secret(good)})
	require.NoError(t, err)
	is := func(pw string) bool {
		right, err := d.CheckPassword(ctx, jane.ID, secret(pw))
		require.NoError(t, err)
		return right
	}
	_, err = d.PrepareChange(ctx, jane.ID, secret("wrong"), secret(good+" 1"))
	assert.ErrorIs(t, err, account.ErrWrongPassword)
	_, err = d.PrepareChange(ctx, jane.ID, secret(good), secret("short"))
	assert.ErrorIs(t, err, account.ErrPassword)
	first, err := d.PrepareChange(ctx, jane.ID, secret(good), secret(good+" 1"))
	require.NoError(t, err)
	second, err := d.PrepareChange(ctx, jane.ID, secret(good), secret(good+" 2"))
	require.NoError(t, err)
	assert.True(t, is(good), "nothing has changed yet")

	boom := errors.New("boom")
	assert.ErrorIs(t, store.Transact(ctx, st, func(tx *store.Tx) error {
		require.NoError(t, first.Apply(ctx, tx, operator))
		return boom
	}), boom)
	assert.True(t, is(good), "nor with a commit that did not happen")
	require.NoError(t, store.Transact(ctx, st, func(tx *store.Tx) error { return first.Apply(ctx, tx, operator) }))
	assert.True(t, is(good+" 1"))
	for _, c := range []*account.PasswordChange{first, second} {
		assert.ErrorIs(t, store.Transact(ctx, st, func(tx *store.Tx) error { return c.Apply(ctx, tx, operator) }), account.ErrWrongPassword)
	}
	assert.True(t, is(good+" 1"))
}

const better = "battery staple horse"

// passwordChanges are all ways to change the password of a person.
var passwordChanges = map[string]func(t *testing.T, r *recorded, by audit.Actor) error{
	"SetPassword": func(t *testing.T, r *recorded, by audit.Actor) error {
		return r.SetPassword(t.Context(), by, r.person.ID, secret(good), secret(better))
	},
	"ResetPassword": func(t *testing.T, r *recorded, by audit.Actor) error {
		return r.ResetPassword(t.Context(), by, r.person.ID, secret(better))
	},
	"ChangePassword": func(t *testing.T, r *recorded, by audit.Actor) error {
		c, err := r.PrepareChange(t.Context(), r.person.ID, secret(good), secret(better))
		require.NoError(t, err)
		return r.transact(t, func(tx *store.Tx) error { return c.Apply(t.Context(), tx, by) })
	},
	"PrepareReset": func(t *testing.T, r *recorded, by audit.Actor) error {
		c, err := r.PrepareReset(t.Context(), r.person.ID, secret(better))
		require.NoError(t, err)
		return r.transact(t, func(tx *store.Tx) error { return c.Apply(t.Context(), tx, by) })
	},
}

// Each change of the password ends the sessions by their number, in the same commit, and no
// token.
func TestPasswordChangeEndsSessions(t *testing.T) {
	for name, change := range passwordChanges {
		t.Run(name, func(t *testing.T) {
			r := newRecorded(t)
			before, bot := subjectOf(t, r.store, r.person.ID), subjectOf(t, r.store, r.bot.ID)
			require.NoError(t, change(t, r, operator))
			after := subjectOf(t, r.store, r.person.ID)
			assert.Equal(t, []string{"sessions"}, moved(before, after))
			assert.False(t, after.Alive(policy.KindSession, before.Numbers(policy.KindSession)))
			assert.True(t, after.Alive(policy.KindToken, before.Numbers(policy.KindToken)))
			assert.Zero(t, after.Revoked, "nor a bearer of the host")
			assert.Equal(t, bot, subjectOf(t, r.store, r.bot.ID))
			ok, err := r.CheckPassword(t.Context(), r.person.ID, secret(better))
			require.NoError(t, err)
			assert.True(t, ok)
		})
	}
}

// A password that somebody else set is a recovery of the account. One that its user changed, or that
// was changed by who knew the old one, is none.
func TestResetRecovers(t *testing.T) {
	for name, change := range passwordChanges {
		t.Run(name, func(t *testing.T) {
			reset := name == "ResetPassword" || name == "PrepareReset"
			for _, tt := range []struct {
				by   func(r *recorded) audit.Actor
				want bool
			}{
				{func(*recorded) audit.Actor { return operator }, reset},
				{func(*recorded) audit.Actor { return jane }, reset}, // another account
				{func(r *recorded) audit.Actor { return audit.Actor{User: r.person.ID} }, false},
			} {
				r := newRecorded(t)
				require.NoError(t, change(t, r, tt.by(r)))
				recovered := subjectOf(t, r.store, r.person.ID).Recovered
				assert.Equal(t, tt.want, recovered.Equal(noon), recovered)
				assert.Equal(t, tt.want, !recovered.IsZero())
			}
		})
	}
}

// AU-01: a decision from before the change of the password is not committed after it.
func TestPasswordChangeStopsWhatWasDecidedBefore(t *testing.T) {
	r := newRecorded(t)
	before := subjectOf(t, r.store, r.person.ID)
	ok, err := r.CheckPassword(t.Context(), r.person.ID, secret(good))
	require.NoError(t, err)
	require.True(t, ok)
	require.NoError(t, r.ResetPassword(t.Context(), operator, r.person.ID, secret(better)))
	err = r.transact(t, func(tx *store.Tx) error {
		tx.Expect(before.Evidence...)
		tx.Create("session/s1", nil, time.Time{})
		return nil
	})
	changed, ok := errors.AsType[*store.ChangedError](err)
	require.True(t, ok, err)
	assert.Equal(t, subject.Key(r.person.ID), changed.Key)
}

// A password that did not change ends nothing, even if its hash was replaced.
func TestUnchangedPasswordEndsNothing(t *testing.T) {
	ctx, r := t.Context(), newRecorded(t)
	before := subjectOf(t, r.store, r.person.ID)
	was := storedHash(t, r.store, r.person.ID)
	ok, err := r.CheckPassword(ctx, r.person.ID, secret(good))
	require.NoError(t, err)
	require.True(t, ok)
	require.NotEqual(t, was, storedHash(t, r.store, r.person.ID), "bcrypt was replaced")

	assert.ErrorIs(t, r.SetPassword(ctx, operator, r.person.ID, secret("wrong"), secret(better)), account.ErrWrongPassword)
	assert.ErrorIs(t, r.ResetPassword(ctx, operator, r.person.ID, secret("weak")), account.ErrPassword)
	assert.ErrorIs(t, r.ResetPassword(ctx, operator, r.bot.ID, secret(better)), account.ErrService)
	assert.Equal(t, before, subjectOf(t, r.store, r.person.ID))
	assert.Empty(t, r.sink)
	assert.Empty(t, r.logged(t))
}

// PW-10: a change that was prepared with a password that has changed since changes nothing, nor
// does the rest of its commit happen.
func TestApplyAfterAnotherChange(t *testing.T) {
	for name, other := range passwordChanges {
		t.Run(name, func(t *testing.T) {
			ctx, r := t.Context(), newRecorded(t)
			c, err := r.PrepareChange(ctx, r.person.ID, secret(good), secret(good+" 1"))
			require.NoError(t, err)
			require.NoError(t, other(t, r, operator))
			between := subjectOf(t, r.store, r.person.ID)
			r.sink = nil
			assert.ErrorIs(t, r.transact(t, func(tx *store.Tx) error {
				tx.Put("k", nil, time.Time{})
				return c.Apply(ctx, tx, jane)
			}), account.ErrWrongPassword)
			assert.Equal(t, between, subjectOf(t, r.store, r.person.ID))
			assert.Empty(t, r.sink)
			items, err := r.store.Get(ctx, "k")
			require.NoError(t, err)
			assert.False(t, items[0].Exists())
			ok, err := r.CheckPassword(ctx, r.person.ID, secret(better))
			require.NoError(t, err)
			assert.True(t, ok)
		})
	}
}

// A reset does not depend on the old password, nor on when that was changed.
func TestResetAfterAnotherChange(t *testing.T) {
	ctx, r := t.Context(), newRecorded(t)
	c, err := r.PrepareReset(ctx, r.person.ID, secret(good+" 1"))
	require.NoError(t, err)
	require.NoError(t, r.SetPassword(ctx, operator, r.person.ID, secret(good), secret(better)))
	require.NoError(t, r.transact(t, func(tx *store.Tx) error { return c.Apply(ctx, tx, operator) }))
	ok, err := r.CheckPassword(ctx, r.person.ID, secret(good+" 1"))
	require.NoError(t, err)
	assert.True(t, ok)
}

// A prepared creation happens with the rest of its commit, or not at all.
func TestCreation(t *testing.T) {
	ctx, r := t.Context(), newRecorded(t)
	c, err := r.PrepareCreate(ctx, account.NewUser{Name: "new", Email: "new@acme.test", Hash: quick(t, good)})
	require.NoError(t, err)
	late, err := r.PrepareCreate(ctx, account.NewUser{Name: "new", Hash: quick(t, good)})
	require.NoError(t, err, "the name is free yet")
	_, err = r.ByName(ctx, "new")
	assert.ErrorIs(t, err, account.ErrNoUser)

	boom := errors.New("boom")
	apply := func(c *account.Creation, key string, after error) (user account.User, err error) {
		err = r.transact(t, func(tx *store.Tx) error {
			tx.Put(key, nil, time.Time{})
			if user, err = c.Apply(ctx, tx, jane); err != nil {
				return err
			}
			return after
		})
		return user, err
	}
	exists := func(key string) bool {
		items, err := r.store.Get(ctx, key)
		require.NoError(t, err)
		return items[0].Exists()
	}
	_, err = apply(c, "k1", boom)
	assert.ErrorIs(t, err, boom)
	_, err = r.ByName(ctx, "new")
	assert.ErrorIs(t, err, account.ErrNoUser)
	assert.Empty(t, r.sink)

	user, err := apply(c, "k2", nil)
	require.NoError(t, err)
	got, err := r.ByName(ctx, "new")
	require.NoError(t, err)
	assert.Equal(t, user, got)
	ok, err := r.CheckPassword(ctx, user.ID, secret(good))
	require.NoError(t, err)
	assert.True(t, ok)

	for _, c := range []*account.Creation{late, c} {
		_, err = apply(c, "k3", nil)
		assert.ErrorIs(t, err, account.ErrNameTaken)
	}
	assert.Equal(t, []bool{false, true, false}, []bool{exists("k1"), exists("k2"), exists("k3")})
	want := audit.Event{Time: noon, Type: audit.SignUp, Outcome: audit.Done, User: user.ID}.From(jane)
	assert.Equal(t, []audit.Event{want}, r.sink)
	assert.Equal(t, []audit.Event{want}, r.logged(t))
}

// AU-05: each change records one event, with its actor, in its commit, and a password that is reset
// for somebody a second one, of the recovery; there is no event if nothing has changed or nothing was
// committed.
func TestEvents(t *testing.T) {
	type test struct {
		call func(t *testing.T, r *recorded, by audit.Actor) error
		want func(r *recorded) audit.Event
	}
	tests := map[string]test{
		"Create": {
			func(t *testing.T, r *recorded, by audit.Actor) error {
				_, err := r.Create(t.Context(), by, account.NewUser{Name: "new", Hash: quick(t, good)})
				return err
			},
			func(r *recorded) audit.Event {
				user, _ := r.ByName(context.Background(), "new")
				return audit.Event{Type: audit.SignUp, User: user.ID}
			},
		},
		"Create service account": {
			func(t *testing.T, r *recorded, by audit.Actor) error {
				_, err := r.Create(t.Context(), by, account.NewUser{Name: "new", Service: true})
				return err
			},
			func(r *recorded) audit.Event {
				user, _ := r.ByName(context.Background(), "new")
				return audit.Event{Type: audit.SignUp, User: user.ID, Detail: map[string]string{"service": "true"}}
			},
		},
		"SetProfile": {
			func(t *testing.T, r *recorded, by audit.Actor) error {
				_, err := r.ReplaceProfile(t.Context(), by, r.person.ID, account.Profile{FullName: "Secret", GitHub: "secret"})
				return err
			},
			func(r *recorded) audit.Event {
				return audit.Event{Type: audit.Profile, User: r.person.ID, Detail: map[string]string{"changed": "fullname github"}}
			},
		},
		"SetAdministrators": {
			func(t *testing.T, r *recorded, by audit.Actor) error {
				_, err := r.SetAdministrators(t.Context(), by, r.bot.ID, []protocol.UserID{r.person.ID})
				return err
			},
			func(r *recorded) audit.Event {
				return audit.Event{Type: audit.Administrators, User: r.bot.ID, Detail: map[string]string{"administrators": "1"}}
			},
		},
	}
	for name, change := range passwordChanges {
		tests[name] = test{change, func(r *recorded) audit.Event { return audit.Event{Type: audit.Password, User: r.person.ID} }}
	}
	resets := []string{"ResetPassword", "PrepareReset"}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			events := func(r *recorded) []audit.Event {
				if slices.Contains(resets, name) {
					return []audit.Event{{Type: audit.AccountRecovered, User: r.person.ID, Reasons: []string{"password"}}, tt.want(r)}
				}
				return []audit.Event{tt.want(r)}
			}
			for _, by := range []audit.Actor{operator, jane} {
				r := newRecorded(t)
				require.NoError(t, tt.call(t, r, by))
				want := events(r)
				for i, e := range want {
					e.Time, e.Outcome = noon, audit.Done
					want[i] = e.From(by)
				}
				assert.Equal(t, want, r.sink)
				assert.ElementsMatch(t, want, r.logged(t))
			}

			r := newRecorded(t)
			r.store.Inject(storetest.Fault{On: storetest.Commits})
			assert.ErrorIs(t, tt.call(t, r, jane), storetest.ErrFault)
			assert.Empty(t, r.sink)
			assert.Empty(t, r.logged(t))

			r = newRecorded(t)
			r.store.Inject(storetest.Fault{On: storetest.Commits, Err: store.ErrConflict})
			require.NoError(t, tt.call(t, r, jane))
			n := len(events(r))
			assert.Len(t, r.sink, n, "once, however often it ran")
			assert.Len(t, r.logged(t), n)

			r = newRecorded(t)
			r.store.Inject(storetest.Fault{On: storetest.Commits, After: true})
			assert.ErrorIs(t, tt.call(t, r, jane), store.ErrUnknown)
			require.Len(t, r.sink, n)
			for _, e := range r.sink {
				assert.Equal(t, audit.Failed, e.Outcome)
				assert.Contains(t, e.Reasons, "unknown")
			}
			assert.Len(t, r.logged(t), n)
		})
	}
}

// An edit records which fields it changed, by npm's names and without their values, and
// recovers the account if the e-mail address changes.
func TestEditRecords(t *testing.T) {
	for name, tt := range map[string]struct {
		edit      func(email *string, p *account.Profile)
		changed   string
		recovered bool
	}{
		"nothing":     {func(*string, *account.Profile) {}, "", false},
		"the same":    {func(email *string, _ *account.Profile) { *email = "person@acme.test" }, "", false},
		"the e-mail":  {func(email *string, _ *account.Profile) { *email = "other@acme.test" }, "email", true},
		"its case":    {func(email *string, _ *account.Profile) { *email = "Person@acme.test" }, "email", true},
		"one field":   {func(_ *string, p *account.Profile) { p.Homepage = "https://acme.test" }, "homepage", false},
		"every field": {func(_ *string, p *account.Profile) { *p = account.Profile{"1", "2", "3", "4", "5"} }, "fullname homepage freenode twitter github", false},
		"all of them": {func(email *string, p *account.Profile) {
			*email, *p = "a@b.test", account.Profile{"1", "2", "3", "4", "5"}
		}, "email fullname homepage freenode twitter github", true},
		"e-mail, name": {func(email *string, p *account.Profile) { *email, p.FullName = "a@b.test", "A" }, "email fullname", true},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, r := t.Context(), newRecorded(t)
			before := subjectOf(t, r.store, r.person.ID)
			require.NoError(t, r.transact(t, func(tx *store.Tx) error {
				_, _, err := r.Edit(ctx, tx, jane, r.person.ID, func(email *string, p *account.Profile) error {
					tt.edit(email, p)
					return nil
				})
				return err
			}))
			after := subjectOf(t, r.store, r.person.ID)
			assert.Empty(t, moved(before, after))
			assert.Equal(t, tt.recovered, after.Recovered.Equal(noon))
			assert.Equal(t, tt.recovered, !after.Recovered.IsZero())
			if tt.changed == "" {
				assert.Empty(t, r.sink)
				assert.Empty(t, r.logged(t))
				return
			}
			want := audit.Event{
				Time: noon, Type: audit.Profile, Outcome: audit.Done, User: r.person.ID, Detail: map[string]string{"changed": tt.changed},
			}.From(jane)
			assert.Equal(t, []audit.Event{want}, r.sink)
			assert.Equal(t, []audit.Event{want}, r.logged(t))
		})
	}

	// Neither happens if the caller's commit does not.
	ctx, r := t.Context(), newRecorded(t)
	boom := errors.New("boom")
	assert.ErrorIs(t, r.transact(t, func(tx *store.Tx) error {
		_, _, err := r.Edit(ctx, tx, jane, r.person.ID, func(email *string, _ *account.Profile) error {
			*email = "other@acme.test"
			return nil
		})
		require.NoError(t, err)
		return boom
	}), boom)
	assert.Zero(t, subjectOf(t, r.store, r.person.ID).Recovered)
	assert.Empty(t, r.sink)
}

func TestByIDFrom(t *testing.T) {
	ctx, r := t.Context(), newRecorded(t)
	require.NoError(t, r.transact(t, func(tx *store.Tx) error {
		got, err := r.ByIDFrom(ctx, tx, r.person.ID)
		require.NoError(t, err)
		assert.Equal(t, r.person, got)
		_, after, err := r.Edit(ctx, tx, operator, r.person.ID, func(email *string, _ *account.Profile) error {
			*email = "other@acme.test"
			return nil
		})
		require.NoError(t, err)
		got, err = r.ByIDFrom(ctx, tx, r.person.ID)
		require.NoError(t, err)
		assert.Equal(t, after, got, "as the Tx has written it")
		_, err = r.ByIDFrom(ctx, tx, "")
		assert.ErrorIs(t, err, account.ErrNoUser)
		_, err = r.ByIDFrom(ctx, tx, "nobody")
		assert.ErrorIs(t, err, account.ErrNoUser)
		return nil
	}))
}

func TestPersonKey(t *testing.T) {
	for _, id := range []protocol.UserID{"u1", "42", "a/b", "\u00e9", "user@acme.test"} {
		got, ok := account.PersonOf(account.PersonKey(id))
		assert.True(t, ok)
		assert.Equal(t, id, got)
	}
	for _, key := range []string{"", "user", "user/", "user.name/u1", "subject/u1"} {
		_, ok := account.PersonOf(key)
		assert.False(t, ok, key)
	}
	r := newRecorded(t)
	items, err := r.store.Get(t.Context(), account.PersonKey(r.person.ID))
	require.NoError(t, err)
	assert.True(t, items[0].Exists())
}

// A wrapper of a store, of a type that cannot be compared.
type wrapped struct {
	store.Store
	_ []string
}

// A program that wraps a directory's store uses the directory within the wrapper.
func TestWithin(t *testing.T) {
	st := store.NewMemory()
	d := newDirectory(t, account.DirectoryConfig{Store: st})
	assert.True(t, d.Uses(st))
	assert.False(t, d.Uses(nil))
	assert.False(t, d.Uses(store.NewMemory()), "another one")
	assert.False(t, d.Uses(wrapped{Store: st}))
	assert.False(t, newDirectory(t, account.DirectoryConfig{Store: wrapped{Store: st}}).Uses(wrapped{Store: st}))

	var seen []string
	outer := store.Observe(st, func(keys []string) { seen = append(seen, keys...) })
	var told []audit.Event
	events := audit.NewRecorder(audit.RecorderConfig{Sink: audit.Func(func(_ context.Context, e audit.Event) { told = append(told, e) })})
	taken := func(_ context.Context, name string) (bool, error) { return name == "acme", nil }
	in := d.Within(outer, events, taken)
	assert.True(t, in.Uses(outer))
	assert.True(t, d.Uses(st), "as it was")
	u, err := in.Create(t.Context(), audit.Actor{}, account.NewUser{Name: "jane", Password: credential.NewSecret("pw"), AnyPassword: true})
	require.NoError(t, err)
	assert.Contains(t, seen, account.PersonKey(u.ID))
	assert.Len(t, told, 1)
	_, err = d.ByName(t.Context(), "jane")
	assert.NoError(t, err, "the rows are the same")
	_, err = in.Create(t.Context(), audit.Actor{}, account.NewUser{Name: "acme", Password: credential.NewSecret("pw"), AnyPassword: true})
	assert.ErrorIs(t, err, account.ErrNameTaken)

	// The events and names that it was made with stay.
	own := newDirectory(t, account.DirectoryConfig{Store: st, Taken: func(_ context.Context, name string) (bool, error) { return name == "other", nil }})
	in = own.Within(outer, nil, taken)
	_, err = in.Create(t.Context(), audit.Actor{}, account.NewUser{Name: "other", Password: credential.NewSecret("pw"), AnyPassword: true})
	assert.ErrorIs(t, err, account.ErrNameTaken)
	_, err = in.Create(t.Context(), audit.Actor{}, account.NewUser{Name: "acme", Password: credential.NewSecret("pw"), AnyPassword: true})
	assert.NoError(t, err)
}

// Update changes both, and Commit the password, each in a commit of its own.
func TestUpdateAndCommit(t *testing.T) {
	d := newDirectory(t, account.DirectoryConfig{})
	u, err := d.Create(t.Context(), audit.Actor{}, account.NewUser{Name: "jane", Email: "jane@acme.test", Password: credential.NewSecret("pw"), AnyPassword: true})
	require.NoError(t, err)
	before, after, err := d.Update(t.Context(), audit.Actor{}, u.ID, func(email *string, p *account.Profile) error {
		*email, p.GitHub = "j@acme.test", "jane"
		return nil
	})
	require.NoError(t, err)
	assert.Equal(t, "jane@acme.test", before.Email)
	assert.Equal(t, "j@acme.test", after.Email)
	is, err := d.ByID(t.Context(), u.ID)
	require.NoError(t, err)
	assert.Equal(t, after, is)
	_, _, err = d.Update(t.Context(), audit.Actor{}, u.ID, func(*string, *account.Profile) error { return assert.AnError })
	assert.ErrorIs(t, err, assert.AnError)

	const next = "another password of mine"
	c, err := d.PrepareChange(t.Context(), u.ID, credential.NewSecret("pw"), credential.NewSecret(next))
	require.NoError(t, err)
	require.NoError(t, c.Commit(t.Context(), audit.Actor{}))
	ok, err := d.CheckPassword(t.Context(), u.ID, credential.NewSecret(next))
	require.NoError(t, err)
	assert.True(t, ok)
	assert.ErrorIs(t, c.Commit(t.Context(), audit.Actor{}), account.ErrWrongPassword, "that was the old one")
}

func TestValidEmail(t *testing.T) {
	for text, ok := range map[string]bool{"a@acme.test": true, "": false, "nobody": false, "A <a@b.test>": false, strings.Repeat("a", 250) + "@b.test": false} {
		assert.Equal(t, ok, account.ValidEmail(text) == nil, text)
	}
	assert.NoError(t, account.Profile{GitHub: strings.Repeat("ä", 256)}.Validate())
	assert.ErrorIs(t, account.Profile{GitHub: strings.Repeat("ä", 257)}.Validate(), account.ErrProfile)
	assert.ErrorIs(t, account.Profile{Twitter: "a\u0007"}.Validate(), account.ErrProfile)
}

func TestDirectoryList(t *testing.T) {
	st := store.NewMemory()
	d := newDirectory(t, account.DirectoryConfig{Store: st})
	want := map[protocol.UserID]account.User{}
	for i := range 7 {
		u, err := d.Create(t.Context(), operator, account.NewUser{Name: fmt.Sprint("robot-", i), Service: i > 0, Password: map[bool]credential.Secret{true: credential.NewSecret(good)}[i == 0]})
		require.NoError(t, err)
		want[u.ID] = u
	}
	for _, limit := range []int{1, 3, 7, 100} {
		got := map[protocol.UserID]account.User{}
		for after := protocol.UserID(""); ; {
			page, next, err := d.List(t.Context(), after, limit)
			require.NoError(t, err)
			for _, u := range page {
				assert.NotContains(t, got, u.ID)
				got[u.ID] = u
			}
			if after = next; next == "" {
				break
			}
			assert.Len(t, page, limit)
		}
		assert.Equal(t, want, got, limit)
	}
	for _, limit := range []int{0, 101} {
		_, _, err := d.List(t.Context(), "", limit)
		assert.ErrorIs(t, err, store.ErrInvalid)
	}
	broken := newDirectory(t, account.DirectoryConfig{Store: storetest.NewFaulty(st, storetest.Fault{})})
	page, next, err := broken.List(t.Context(), "", 1)
	assert.ErrorIs(t, err, storetest.ErrFault)
	assert.Empty(t, page)
	assert.Empty(t, next)
}
