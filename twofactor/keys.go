package twofactor

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/internal/typed"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
)

// Errors of security keys.
var (
	// ErrNoKeys means that the registry has no security keys: its [Config].Keys is nil.
	ErrNoKeys = errors.New("twofactor: there are no security keys here")
	// ErrNoKey means that the account has no key, or not this one.
	ErrNoKey = errors.New("twofactor: no such key")
	// ErrTooManyKeys means that the account has as many keys as it can have.
	ErrTooManyKeys = errors.New("twofactor: the account has as many keys as it can have")
	// ErrKeyName means that a key cannot be called so.
	ErrKeyName = errors.New("twofactor: a key's name has 1 to 64 bytes, all of them printable")
	// ErrNoDomain means that there can be no keys, since the base URL's host is an IP address.
	ErrNoDomain = errors.New("twofactor: the base URL has no domain name")
	// ErrCopied is an [ErrWrong]: there is another key that is a copy of this one.
	ErrCopied = fmt.Errorf("%w: the key was copied", ErrWrong)
	// ErrLastFactor means that the account would be without the second factor that it needs, see
	// [Manager.RemoveFactorTx].
	ErrLastFactor = errors.New("twofactor: the account's last second factor of that kind")
	// ErrNoApps means that no more apps are enrolled, see [Config].NoApps.
	ErrNoApps = errors.New("twofactor: no more apps are enrolled")
)

// A SecurityKey is a security key or a passkey of an account.
type SecurityKey struct {
	ID      string // public
	Name    string // that its user gave it
	Created time.Time
	Used    time.Time // last; zero is never
	// Synced reports whether it is, or may be, on several devices of its user.
	Synced bool
}

// Keys are the security keys and passkeys of accounts. Package webauthn, a module of its own, has them.
//
// Options are JSON for navigator.credentials, and a response is the JSON that it returns. What is
// begun stores nothing; a commit verifies a response and uses it up. page is what the key signs for:
// what is signed for one is worth nothing for another. A response that proves nothing is [ErrWrong].
type Keys interface {
	// List returns the keys of a user, the oldest first.
	List(ctx context.Context, from store.Reader, user protocol.UserID) ([]SecurityKey, error)
	// BeginRegistration returns the options for a new key of the user, whose name the browser shows.
	// As many as an account can have is [ErrTooManyKeys].
	BeginRegistration(ctx context.Context, user protocol.UserID, name string) (options []byte, err error)
	// Register adds the key that was made. name is what its user calls it, else [ErrKeyName].
	Register(ctx context.Context, tx *store.Tx, user protocol.UserID, name string, response []byte) (SecurityKey, error)
	// BeginAssertion returns the options with which a key of the user signs. A user without keys is
	// [ErrNoKey].
	BeginAssertion(ctx context.Context, user protocol.UserID, page string) (options []byte, err error)
	// Verify verifies what a key of the user has signed. With [ErrCopied], too, it returns which.
	Verify(ctx context.Context, tx *store.Tx, user protocol.UserID, page string, response []byte) (SecurityKey, error)
	// BeginSignIn returns the options with which a passkey signs its user in, whoever that is.
	BeginSignIn(ctx context.Context, page string) (options []byte, err error)
	// Owner returns whose key a response of BeginSignIn is from, and verifies nothing.
	Owner(ctx context.Context, from store.Reader, response []byte) (protocol.UserID, error)
	// SignIn verifies what a passkey has signed, and returns whose it is. With [ErrCopied] it returns
	// which it is.
	SignIn(ctx context.Context, tx *store.Tx, page string, response []byte) (protocol.UserID, SecurityKey, error)
	// Remove takes a key from its user. One that is not theirs is [ErrNoKey].
	Remove(ctx context.Context, tx *store.Tx, user protocol.UserID, id string) error
}

// A KeysConfig is what keys need of the registry that has them.
type KeysConfig struct {
	// Store keeps the keys, and responses that were used for as long as they are good. Required. It
	// should be sealed (store.Seal).
	Store store.Store

	// BaseURL is the public URL of the registry. Required. Its host is what keys belong to, and its
	// origin is the only one that responses may come from. A browser takes http for localhost alone.
	BaseURL *url.URL

	// Name is what a browser calls the registry. "" means the host of BaseURL.
	Name string

	// Now returns the current time. Nil means time.Now.
	Now func() time.Time
}

// KeyValue returns what a browser's navigator.credentials.get returned, in JSON, as a value to present.
func KeyValue(response []byte) credential.Secret {
	if len(response) == 0 {
		return credential.Secret{}
	}
	return credential.NewSecret(typed.KeyPrefix + base64.RawURLEncoding.EncodeToString(response))
}

// response returns the response in a value of [FormKey].
func response(value credential.Secret) ([]byte, error) {
	data, err := base64.RawURLEncoding.DecodeString(value.Reveal()[len(typed.KeyPrefix):])
	if err != nil {
		return nil, wrong(reasonForm)
	}
	return data, nil
}

// signedFor returns what a key signs for so that it proves use: the page, or else the operation itself.
func (u Use) signedFor() (string, error) {
	switch {
	case u.Page != "":
		return "page/" + u.Page, nil
	case u.Credential == "" || u.Change.IsZero():
		return "", errUse
	}
	return "change/" + joined(u.Credential, u.Action.String(), u.Package.String(), u.Change.String()), nil
}

// OffersKeys reports whether the registry has security keys.
func (m *Manager) OffersKeys() bool { return m.devices != nil }

// KeyOptions returns the options for navigator.credentials.get, in JSON, with which a security key of
// the user proves use, see [Use].Page. A user without keys is [ErrNoKey].
func (m *Manager) KeyOptions(ctx context.Context, user protocol.UserID, use Use) ([]byte, error) {
	if m.devices == nil {
		return nil, ErrNoKeys
	}
	page, err := use.signedFor()
	if err != nil {
		return nil, err
	}
	return m.devices.BeginAssertion(ctx, user, page)
}

// PasskeyOptions returns the options for navigator.credentials.get, in JSON, with which a passkey signs
// its user in at a page, see [Manager.Passkey].
func (m *Manager) PasskeyOptions(ctx context.Context, page string) ([]byte, error) {
	if m.devices == nil {
		return nil, ErrNoKeys
	}
	return m.devices.BeginSignIn(ctx, "page/"+page)
}

// Passkey returns who has presented f.Value, what a passkey has signed at the page f.Page, and a Spend that
// verifies it in the commit that relies on it: before that nothing is proven. A passkey is both
// factors: it has verified its user by a PIN or a finger. It is the Passkey of package session.
func (m *Manager) Passkey(ctx context.Context, f subject.Factor) (protocol.UserID, subject.Spend, error) {
	if m.devices == nil {
		return "", nil, ErrNoKeys
	}
	if FormOf(f.Value.Reveal()) != FormKey {
		return "", nil, wrong(reasonForm)
	}
	answer, err := response(f.Value)
	if err != nil {
		return "", nil, err
	}
	user, err := m.devices.Owner(ctx, m.store, answer)
	if err != nil {
		return "", nil, err
	}
	return user, func(ctx context.Context, tx *store.Tx, credentialID string) error {
		// The keys are good only as long as the account has its factor.
		if _, err := factorOf(ctx, tx, user); err != nil {
			return m.keyError(err)
		}
		e := audit.Event{Time: m.now(), Type: audit.FactorUsed, Outcome: audit.Done, User: user, By: user, Addr: f.Addr, Detail: map[string]string{"form": "passkey"}}
		signed, key, err := m.devices.SignIn(ctx, tx, "page/"+f.Page, answer)
		if err == nil && signed != user {
			err = ErrWrong
		}
		switch {
		case errors.Is(err, ErrCopied): // of which the owner is to know
			e.Outcome, e.Reasons, e.Detail["key"] = audit.Denied, []string{reasonCopied}, key.ID
			m.events.Outcome(ctx, tx, func(store.Outcome) (audit.Event, bool) { return e, true })
		case err == nil:
			e.Credential, e.ByCredential, e.Detail["key"] = credentialID, credentialID, key.ID
			return m.events.Commit(ctx, tx, e)
		}
		return m.keyError(err)
	}, nil
}

// keyError says of a key that signed for nothing that a sign-in needs another.
func (m *Manager) keyError(err error) error {
	if errors.Is(err, ErrNoFactor) || errors.Is(err, ErrWrong) {
		return m.required(errors.Join(ErrWrong, err))
	}
	return err
}

// KeyList returns the security keys of a user, the oldest first, read from r; a nil r means the
// Manager's own store. Without [Config].Keys there are none.
func (m *Manager) KeyList(ctx context.Context, r store.Reader, user protocol.UserID) ([]SecurityKey, error) {
	if m.devices == nil {
		return nil, nil
	}
	return m.devices.List(ctx, store.ReaderOr(r, m.store), user)
}

// BeginRegistration returns the options for navigator.credentials.create, in JSON, with which a browser
// makes a key for the user, whose name it shows.
func (m *Manager) BeginRegistration(ctx context.Context, user protocol.UserID, name string) ([]byte, error) {
	if m.devices == nil {
		return nil, ErrNoKeys
	}
	return m.devices.BeginRegistration(ctx, user, name)
}

// AddKeyTx adds, in the caller's commit, the key that a browser has made with the options of
// [Manager.BeginRegistration] and returned in JSON, under the name that its user gives it. If it is the
// account's first factor, that is on from then on, for logging in and for writing: AddKeyTx returns its
// recovery codes, which are shown only once, and ends all sessions of the user, as
// [Confirmation.Apply] does. Errors are those of [Keys]. The caller decides who may do this; by anybody
// but the user it is a recovery of the account, see [subject.Recover].
func (m *Manager) AddKeyTx(ctx context.Context, tx *store.Tx, by audit.Actor, user protocol.UserID, name string, response []byte) (SecurityKey, []credential.Secret, error) {
	if m.devices == nil {
		return SecurityKey{}, nil, ErrNoKeys
	}
	sub, err := subject.Get(ctx, tx, user)
	if err != nil {
		return SecurityKey{}, nil, fmt.Errorf("twofactor: add key: %w", err)
	}
	key, err := m.devices.Register(ctx, tx, user, name, response)
	if err != nil {
		return SecurityKey{}, nil, err
	}
	e := audit.Event{Time: m.now(), Type: audit.FactorAdded, Outcome: audit.Done, User: user}.From(by)
	e.Detail = map[string]string{"factor": protocol.FactorKey, "key": key.ID}
	codes, err := m.firstKey(ctx, tx, user)
	if codes != nil {
		e.Type, e.Detail["mode"] = audit.FactorEnrolled, protocol.AuthAndWrites.String()
	}
	if err == nil {
		err = subject.SetKeys(ctx, tx, user, true, sub.KeysOnly)
	}
	if err == nil {
		err = m.recovered(ctx, tx, by, user, "factor-added")
	}
	if err != nil {
		return SecurityKey{}, nil, fmt.Errorf("twofactor: add key: %w", err)
	}
	return key, codes, m.events.Commit(ctx, tx, e)
}

// firstKey turns the factor on unless it is.
func (m *Manager) firstKey(ctx context.Context, tx *store.Tx, user protocol.UserID) ([]credential.Secret, error) {
	switch err := absent(ctx, tx, user); {
	case errors.Is(err, ErrEnrolled):
		return nil, nil
	case err != nil:
		return nil, err
	}
	if f, err := found(factors.Get(ctx, tx, string(user))); err != nil || f != nil { // it has keys already
		return nil, err
	}
	codes, digests := newRecoveryCodes(m.limits().OrNPM().RecoveryCodes)
	if err := factors.Insert(ctx, tx, &factor{User: user, Enrolment: newEnrolment(), Recovery: digests, Since: m.now()}); err != nil {
		return nil, err
	}
	if _, err := removed(enrolments.Delete(ctx, tx, string(user))); err != nil { // of an app, for an account without a factor
		return nil, err
	}
	if err := subject.SetTwoFactor(ctx, tx, user, protocol.AuthAndWrites); err != nil {
		return nil, err
	}
	if _, err := subject.Revoke(ctx, tx, user, subject.Sessions, m.now()); err != nil {
		return nil, err
	}
	return codes, nil
}

// RemoveFactorTx removes, in the caller's commit, one of several second factors of the user: the key
// with that ID, or the app if id is [protocol.FactorApp]. What was approved and not used yet ends.
// [ErrNoKey] means that there is no such factor. The last of an account is [ErrLastFactor], which
// [Manager.DisableTx] removes, and so is the last key of an account for which only keys count.
func (m *Manager) RemoveFactorTx(ctx context.Context, tx *store.Tx, by audit.Actor, user protocol.UserID, id string) error {
	f, err := factorOf(ctx, tx, user)
	if errors.Is(err, ErrNoFactor) {
		return ErrNoKey
	}
	if err != nil {
		return err
	}
	sub, err := subject.Get(ctx, tx, user)
	if err != nil {
		return fmt.Errorf("twofactor: remove: %w", err)
	}
	keys, err := m.KeyList(ctx, tx, user)
	if err != nil {
		return err
	}
	e := audit.Event{Time: m.now(), Type: audit.FactorRemoved, Outcome: audit.Done, User: user, Detail: map[string]string{"factor": protocol.FactorApp}}.From(by)
	switch {
	case id != protocol.FactorApp:
		if m.devices == nil {
			return ErrNoKey
		}
		if err := m.devices.Remove(ctx, tx, user, id); err != nil {
			return err
		}
		if len(keys) == 1 {
			if len(f.Key) == 0 || sub.KeysOnly {
				return ErrLastFactor
			}
			if err := subject.SetKeys(ctx, tx, user, false, false); err != nil {
				return fmt.Errorf("twofactor: remove: %w", err)
			}
		}
		e.Detail = map[string]string{"factor": protocol.FactorKey, "key": id}
	case len(f.Key) == 0:
		return ErrNoKey
	case len(keys) == 0:
		return ErrLastFactor
	default:
		if _, err := removed(failed.Delete(ctx, tx, string(user))); err != nil {
			return fmt.Errorf("twofactor: remove: %w", err)
		}
	}
	if err := m.recovered(ctx, tx, by, user, "factor-removed"); err != nil {
		return fmt.Errorf("twofactor: remove: %w", err)
	}
	_, err = factors.Update(ctx, tx, string(user), func(f *factor) error {
		if f.Enrolment = newEnrolment(); id == protocol.FactorApp {
			f.Key, f.Step = nil, 0
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("twofactor: remove: %w", err)
	}
	return m.events.Commit(ctx, tx, e)
}

// SetKeysOnlyTx sets, in the caller's commit, whether only security keys count as the second factor of
// the user, see [subject.Subject].KeysOnly; recovery codes repair the account all the same. An account
// without a key is [ErrNoKey].
func (m *Manager) SetKeysOnlyTx(ctx context.Context, tx *store.Tx, by audit.Actor, user protocol.UserID, only bool) error {
	sub, err := subject.Get(ctx, tx, user)
	if err != nil {
		return fmt.Errorf("twofactor: set keys only: %w", err)
	}
	if only && !sub.Keys {
		return ErrNoKey
	}
	if err := subject.SetKeys(ctx, tx, user, sub.Keys, only); err != nil {
		return fmt.Errorf("twofactor: set keys only: %w", err)
	}
	return m.events.Commit(ctx, tx, audit.Event{
		Time: m.now(), Type: audit.FactorMode, Outcome: audit.Done, User: user, Detail: map[string]string{"keys_only": fmt.Sprint(only)},
	}.From(by))
}

// verifyKey verifies and uses up what a key has signed.
func (a *Attempt) verifyKey(ctx context.Context, tx *store.Tx, use Use) error {
	if a.m.devices == nil {
		return wrong(reasonForm)
	}
	page, err := use.signedFor()
	if err != nil {
		return err
	}
	answer, err := response(a.value)
	if err != nil {
		return err
	}
	key, err := a.m.devices.Verify(ctx, tx, a.user, page, answer)
	a.key = key.ID
	return err
}

// removeKeys removes all keys of the user.
func (m *Manager) removeKeys(ctx context.Context, tx *store.Tx, user protocol.UserID) error {
	if m.devices == nil { // those that are there would count once more when there are keys again
		if sub, err := subject.Get(ctx, tx, user); err != nil || sub.Keys {
			return errors.Join(err, errors.New("the account has security keys, and Config.Keys is nil"))
		}
		return nil
	}
	keys, err := m.KeyList(ctx, tx, user)
	if err != nil {
		return err
	}
	for _, key := range keys {
		if err := m.devices.Remove(ctx, tx, user, key.ID); err != nil {
			return err
		}
	}
	return nil
}
