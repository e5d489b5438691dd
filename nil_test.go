package npmauth_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/leak"
	"github.com/npmauth/npmauth/legacy"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/settings"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
	"github.com/npmauth/npmauth/token"
	"github.com/npmauth/npmauth/twofactor"
	"github.com/npmauth/npmauth/web"
)

// AU-33: a method that reads through its caller's transaction reads from its own store without
// one, whether it is given nil or a transaction that is nil.
func TestNilReaderIsTheOwnStore(t *testing.T) {
	ctx, w := t.Context(), newWorld(t)
	alice := w.person("alice")
	w.enrol("alice", protocol.AuthOnly)
	rules, err := settings.New(settings.Config{Store: w.store})
	require.NoError(t, err)
	require.NoError(t, w.auth.SetPackage(ctx, "p-1", policy.Settings{Publish: protocol.FactorOnly}))
	var none *store.Tx
	for name, r := range map[string]store.Reader{"nil": nil, "a nil Tx": none, "the store": w.store} {
		t.Run(name, func(t *testing.T) {
			status, err := w.auth.Factors().Status(ctx, r, alice)
			require.NoError(t, err)
			assert.True(t, status.Enabled)
			s, err := rules.Get(ctx, r, "p-1")
			require.NoError(t, err)
			assert.Equal(t, protocol.FactorOnly, s.Publish)
			u, err := w.auth.People().ByIDFrom(ctx, r, alice)
			require.NoError(t, err)
			assert.Equal(t, "alice", u.Name)
			h, err := w.auth.People().UserFrom(ctx, r, alice)
			require.NoError(t, err)
			assert.Equal(t, "alice", h.Name)
			_, err = subject.Get(ctx, r, alice)
			if r == w.store {
				assert.NoError(t, err)
			} else {
				assert.ErrorContains(t, err, "without a Reader", "a function has no store")
			}
		})
	}
}

// AU-33: what needs a transaction, a function or a value refuses nil and changes nothing.
func TestNilIsRefused(t *testing.T) {
	ctx, w := t.Context(), newWorld(t)
	alice := w.person("alice")
	w.host.add("plain", false, alice)
	_, tok := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly)})
	secret := w.login("alice")
	var (
		by       audit.Actor
		log, err = audit.NewLog(audit.LogConfig{Store: w.store})
		recorder = audit.NewRecorder(audit.RecorderConfig{Log: log})
		people   = w.auth.People()
		sessions = w.auth.Sessions()
		tokens   = w.auth.Tokens()
		factors  = w.auth.Factors()
		digest   = credential.Sum(credential.NewSecret(secret))
		now      = time.Now()
	)
	require.NoError(t, err)
	rules, err := settings.New(settings.Config{Store: w.store})
	require.NoError(t, err)
	creation, err := people.PrepareCreate(ctx, account.NewUser{Name: "bob", Password: credential.NewSecret(password)})
	require.NoError(t, err)
	change, err := people.PrepareReset(ctx, alice, credential.NewSecret(password+"!"))
	require.NoError(t, err)
	_, err = factors.Enrol(ctx, by, alice, "alice", protocol.AuthOnly)
	require.NoError(t, err)
	before := dump(t, w.store)

	for name, call := range map[string]func() error{
		"account.Creation.Apply":              func() error { _, err := creation.Apply(ctx, nil, by); return err },
		"account.Creation.Apply, none":        func() error { _, err := (*account.Creation)(nil).Apply(ctx, nil, by); return err },
		"account.PasswordChange.Apply":        func() error { return change.Apply(ctx, nil, by) },
		"account.PasswordChange.Apply, none":  func() error { return (*account.PasswordChange)(nil).Apply(ctx, nil, by) },
		"account.PasswordChange.Commit, none": func() error { return new(account.PasswordChange).Commit(ctx, by) },
		"account.Directory.Edit": func() error {
			_, _, err := people.Edit(ctx, nil, by, alice, func(*string, *account.Profile) error { return nil })
			return err
		},
		"account.Directory.Update, no func": func() error { _, _, err := people.Update(ctx, by, alice, nil); return err },
		"account.Directory.EditProfile": func() error {
			_, _, err := people.EditProfile(ctx, nil, by, alice, func(*host.Profile) error { return nil })
			return err
		},
		"account.Directory.EditProfile, no fn": func() error { _, _, err := people.EditProfile(ctx, nil, by, alice, nil); return err },
		"audit.Log.Write":                      func() error { return log.Write(ctx, nil, audit.Event{}) },
		"audit.Recorder.Commit":                func() error { return recorder.Commit(ctx, nil, audit.Event{}) },
		"audit.NewQueue":                       func() error { _, err := audit.NewQueue(nil, audit.QueueConfig{}); return err },
		"audit.NewRetry":                       func() error { _, err := audit.NewRetry(nil, audit.RetryConfig{}); return err },
		"audit.NewLog":                         func() error { _, err := audit.NewLog(audit.LogConfig{}); return err },
		"credential.ServerKey.Derive":          func() error { _, err := credential.NewServerKey(nil, "web").Derive(ctx, "x"); return err },
		"leak.Read":                            func() error { _, err := leak.Read(ctx, nil, signed(), []byte("[]")); return err },
		"leak.NewVerifier":                     func() error { _, err := leak.NewVerifier(ctx, nil, signed()); return err },
		"leak.Verifier.Read, none":             func() error { _, err := new(leak.Verifier).Read([]byte("[]")); return err },
		"legacy.New":                           func() error { _, err := legacy.New(legacy.Config{}); return err },
		"web.New":                              func() error { _, err := web.New(web.Config{}); return err },
		"npmauth.New":                          func() error { _, err := npmauth.New(npmauth.Config{}); return err },
		"host.Operation.Confirm":               func() error { return host.Operation{}.Confirm(ctx) },
		"host.Operation.Change": func() error {
			op, _ := host.OperationFrom(contextOf(host.NewContext(ctx, host.Identity{}, host.Operation{}, nil)))
			_, err := op.Change()
			return err
		},
		"session.EndTx":          func() error { return sessions.EndTx(ctx, nil, by, alice, "id") },
		"session.KeepTx":         func() error { return sessions.KeepTx(ctx, nil, by, subject.Subject{ID: alice}, "id") },
		"session.LogoutTx":       func() error { _, err := sessions.LogoutTx(ctx, nil, by, digest); return err },
		"session.New":            func() error { _, err := session.New(session.Config{}); return err },
		"settings.Set":           func() error { return rules.Set(ctx, nil, "p-1", policy.Settings{}) },
		"settings.New":           func() error { _, err := settings.New(settings.Config{}); return err },
		"subject.Revoke":         func() error { _, err := subject.Revoke(ctx, nil, alice, subject.Sessions, now); return err },
		"subject.RevokeEveryone": func() error { return subject.RevokeEveryone(ctx, nil, now) },
		"subject.Begin":          func() error { return subject.Begin(ctx, nil) },
		"subject.SetTwoFactor":   func() error { return subject.SetTwoFactor(ctx, nil, alice, protocol.AuthOnly) },
		"subject.Recover":        func() error { return subject.Recover(ctx, nil, alice, now) },
		"subject.New":            func() error { _, err := subject.New(subject.Config{}); return err },
		"token.CreateTx": func() error {
			_, _, err := tokens.CreateTx(ctx, nil, by, token.Spec{User: alice, Grants: grantAll(protocol.ReadOnly)})
			return err
		},
		"token.RotateTx": func() error {
			_, _, err := tokens.RotateTx(ctx, nil, by, token.Rotation{User: alice, ID: tok.ID})
			return err
		},
		"token.RevokeTx":               func() error { return tokens.RevokeTx(ctx, nil, by, alice, tok.ID, "") },
		"token.EndTx":                  func() error { return tokens.EndTx(ctx, nil, by, tok.ID, "") },
		"token.RevokeAllTx":            func() error { return tokens.RevokeAllTx(ctx, nil, by, alice) },
		"token.Warn":                   func() error { return tokens.Warn(ctx, nil) },
		"token.New":                    func() error { _, err := token.New(token.Config{}); return err },
		"twofactor.EnrolTx":            func() error { _, err := factors.EnrolTx(ctx, nil, by, alice, "alice", protocol.AuthOnly); return err },
		"twofactor.DisableTx":          func() error { return factors.DisableTx(ctx, nil, by, alice) },
		"twofactor.SetModeTx":          func() error { return factors.SetModeTx(ctx, nil, by, alice, protocol.AuthOnly) },
		"twofactor.Confirmation.Apply": func() error { _, err := (*twofactor.Confirmation)(nil).Apply(ctx, nil, by); return err },
		"twofactor.Attempt.Wait":       func() error { _, err := (*twofactor.Attempt)(nil).Wait(ctx); return err },
		"twofactor.Attempt.Spend":      func() error { return new(twofactor.Attempt).Spend(ctx, nil, twofactor.Use{}) },
		"twofactor.New":                func() error { _, err := twofactor.New(twofactor.Config{}); return err },
	} {
		t.Run(name, func(t *testing.T) {
			assert.NotPanics(t, func() { assert.Error(t, call()) })
		})
	}
	for name, call := range map[string]func(){
		"audit.Func":          func() { audit.Func(nil).Record(ctx, audit.Event{}) },
		"audit.Multi":         func() { audit.Multi(nil, audit.Func(nil)).Record(ctx, audit.Event{}) },
		"audit.NewSlog":       func() { audit.NewSlog(nil).Record(ctx, audit.Event{}) },
		"audit.Recorder":      func() { (*audit.Recorder)(nil).Record(ctx, audit.Event{}) },
		"audit.Outcome":       func() { recorder.Outcome(ctx, nil, nil) },
		"account.Within":      func() { _, err := people.Within(nil, nil, nil).ByID(ctx, alice); assert.NoError(t, err) },
		"token.Expiring":      func() { assert.False(t, tokens.Expiring(nil, now)) },
		"token.Touch":         func() { tokens.Touch(nil, now) },
		"twofactor.Keys":      func() { assert.Empty(t, (*twofactor.Attempt)(nil).Keys()) },
		"twofactor.Proof":     func() { assert.Equal(t, policy.NoProof, (*twofactor.Attempt)(nil).Proof()) },
		"npmauth.Wrap, Guard": func() { served(t, w.auth.Wrap(nil)); served(t, w.auth.Guard(nil)) },
		"npmauth.WriteError":  func() { npmauth.WriteError(httptest.NewRecorder(), nil, nil) },
		"npmauth.Authorize": func() {
			_, d, err := w.auth.Authorize(ctx, protocol.Operation{}, nil, netip.Addr{})
			assert.NoError(t, err)
			assert.Equal(t, policy.Deny, d.Effect)
		},
		"host.IdentityFrom": func() { _, ok := host.IdentityFrom(ctx); assert.False(t, ok) },
	} {
		t.Run(name, func(t *testing.T) { assert.NotPanics(t, call) })
	}
	assert.Equal(t, before, dump(t, w.store))
}

func contextOf(c host.Context) context.Context { return &c }

// signed is the header of a report whose signature is read.
func signed() http.Header {
	return http.Header{leak.KeyHeader: {"id"}, leak.SignatureHeader: {"AAAA"}}
}

// served asks h for a package, of which there is no host.
func served(t *testing.T, h http.Handler) {
	t.Helper()
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/plain", nil))
	assert.Equal(t, http.StatusNotFound, rec.Code)
}
