package webauthn

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	npm "github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/twofactor"
)

// BeginRegistration returns the options for navigator.credentials.create, in JSON, with which a browser
// makes a key for the user, whose name it shows. Keys that the account has are not offered again. As many
// as it can have is [twofactor.ErrTooManyKeys].
func (m *Manager) BeginRegistration(ctx context.Context, user npm.UserID, name string) ([]byte, error) {
	o, err := m.owner(ctx, m.store, user, name)
	if err != nil {
		return nil, fmt.Errorf("webauthn: begin: %w", err)
	}
	if len(o.keys) >= MaxKeys {
		return nil, twofactor.ErrTooManyKeys
	}
	challenge, err := m.challenge(ctx, registering, user, "")
	if err != nil {
		return nil, fmt.Errorf("webauthn: begin: %w", err)
	}
	options, _, err := m.rp.BeginRegistration(o,
		webauthn.WithExclusions(o.descriptors()),
		webauthn.WithAuthenticatorSelection(protocol.AuthenticatorSelection{
			// A key that can say whose it is may sign its user in; one that cannot is a second factor.
			ResidentKey: protocol.ResidentKeyRequirementPreferred, UserVerification: protocol.VerificationPreferred,
		}),
		func(options *protocol.PublicKeyCredentialCreationOptions) error {
			options.Challenge = challenge
			return nil
		})
	if err != nil {
		return nil, fmt.Errorf("webauthn: begin: %w", err)
	}
	return json.Marshal(options.Response)
}

// Register adds the key that a browser has made, in JSON, to the account, in the caller's commit.
// name is what the user calls it: 1 to 64 bytes of UTF-8, else an error. A key that any account has
// already is [twofactor.ErrWrong], as is an answer that is none.
func (m *Manager) Register(ctx context.Context, tx *store.Tx, user npm.UserID, name string, response []byte) (twofactor.SecurityKey, error) {
	name = strings.TrimSpace(name)
	if name == "" || len(name) > MaxName || !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return twofactor.SecurityKey{}, twofactor.ErrKeyName
	}
	if len(response) > MaxResponse {
		return twofactor.SecurityKey{}, twofactor.ErrWrong
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(response)
	if err != nil {
		return twofactor.SecurityKey{}, wrong(err)
	}
	challenge := parsed.Response.CollectedClientData.Challenge
	if err := m.spend(ctx, tx, registering, user, "", challenge); err != nil {
		return twofactor.SecurityKey{}, fmt.Errorf("webauthn: register: %w", err)
	}
	o, err := m.owner(ctx, tx, user, "")
	if err != nil {
		return twofactor.SecurityKey{}, fmt.Errorf("webauthn: register: %w", err)
	}
	made, err := m.rp.CreateCredential(o, webauthn.SessionData{
		Challenge: challenge, RelyingPartyID: m.rp.Config.RPID, UserID: o.handle, CredParams: webauthn.CredentialParametersDefault(),
	}, parsed)
	if err != nil {
		return twofactor.SecurityKey{}, wrong(err)
	}
	made.Attestation = webauthn.CredentialAttestation{} // not asked for, and large
	r := &record{ID: idOf(made.ID), User: user, Name: name, Credential: *made, Created: m.now()}
	switch err := records.Insert(ctx, tx, r); {
	case errors.Is(err, store.ErrExists):
		return twofactor.SecurityKey{}, wrong(err)
	case err != nil:
		return twofactor.SecurityKey{}, fmt.Errorf("webauthn: register: %w", err)
	}
	_, err = rings.Upsert(ctx, tx, string(user), func(ring *ring, _ bool) error {
		if len(ring.Keys) >= MaxKeys {
			return twofactor.ErrTooManyKeys
		}
		ring.User, ring.Keys = user, append(ring.Keys, r.ID)
		return nil
	})
	if err != nil {
		return twofactor.SecurityKey{}, fmt.Errorf("webauthn: register: %w", err)
	}
	return r.key(), nil
}

// BeginAssertion returns the options for navigator.credentials.get, in JSON, with which a key of the
// user signs for the purpose. A user without keys is [twofactor.ErrNoKey].
func (m *Manager) BeginAssertion(ctx context.Context, user npm.UserID, purpose string) ([]byte, error) {
	o, err := m.owner(ctx, m.store, user, "")
	if err != nil {
		return nil, fmt.Errorf("webauthn: begin: %w", err)
	}
	if len(o.keys) == 0 {
		return nil, twofactor.ErrNoKey
	}
	challenge, err := m.challenge(ctx, asserting, user, purpose)
	if err != nil {
		return nil, fmt.Errorf("webauthn: begin: %w", err)
	}
	options, _, err := m.rp.BeginLogin(o, webauthn.WithChallenge(challenge), webauthn.WithUserVerification(protocol.VerificationPreferred))
	if err != nil {
		return nil, fmt.Errorf("webauthn: begin: %w", err)
	}
	return json.Marshal(options.Response)
}

// Verify verifies an answer to [Manager.BeginAssertion], in JSON, and uses its challenge up in the
// caller's commit. An answer that proves nothing is [twofactor.ErrWrong], and [twofactor.ErrCopied] if the key is known to
// have been copied.
func (m *Manager) Verify(ctx context.Context, tx *store.Tx, user npm.UserID, purpose string, response []byte) (twofactor.SecurityKey, error) {
	parsed, err := parse(response)
	if err != nil {
		return twofactor.SecurityKey{}, err
	}
	return m.verify(ctx, tx, asserting, user, user, purpose, parsed)
}

// BeginSignIn returns the options for navigator.credentials.get, in JSON, with which a passkey signs
// its user in, whoever that is.
func (m *Manager) BeginSignIn(ctx context.Context, purpose string) ([]byte, error) {
	challenge, err := m.challenge(ctx, signingIn, "", purpose)
	if err != nil {
		return nil, fmt.Errorf("webauthn: begin: %w", err)
	}
	options, _, err := m.rp.BeginDiscoverableLogin(webauthn.WithChallenge(challenge), webauthn.WithUserVerification(protocol.VerificationRequired))
	if err != nil {
		return nil, fmt.Errorf("webauthn: begin: %w", err)
	}
	return json.Marshal(options.Response)
}

// Owner returns whose key an answer to [Manager.BeginSignIn] is from. It verifies nothing. A key of
// nobody is [twofactor.ErrWrong].
func (m *Manager) Owner(ctx context.Context, from store.Reader, response []byte) (npm.UserID, error) {
	parsed, err := parse(response)
	if err != nil {
		return "", err
	}
	r, err := ownerOf(ctx, from, parsed)
	if err != nil {
		return "", err
	}
	return r.User, nil
}

// ownerOf returns the key that an answer is from.
func ownerOf(ctx context.Context, from store.Reader, parsed *protocol.ParsedCredentialAssertionData) (*record, error) {
	r, err := records.Get(ctx, from, idOf(parsed.RawID))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, wrong(err)
	case err != nil:
		return nil, fmt.Errorf("webauthn: sign in: %w", err)
	case len(parsed.Response.UserHandle) == 0:
		return nil, twofactor.ErrWrong
	}
	return r, nil
}

// SignIn returns the user whose passkey has signed, and uses the challenge up in the caller's commit.
// The key has verified its user, by a PIN or a finger, so that it is both factors. Errors are those
// of [Manager.Verify].
func (m *Manager) SignIn(ctx context.Context, tx *store.Tx, purpose string, response []byte) (npm.UserID, twofactor.SecurityKey, error) {
	parsed, err := parse(response)
	if err != nil {
		return "", twofactor.SecurityKey{}, err
	}
	r, err := ownerOf(ctx, tx, parsed)
	if err != nil {
		return "", twofactor.SecurityKey{}, err
	}
	key, err := m.verify(ctx, tx, signingIn, "", r.User, purpose, parsed)
	if err != nil {
		return "", key, err
	}
	return r.User, key, nil
}

func parse(response []byte) (*protocol.ParsedCredentialAssertionData, error) {
	if len(response) > MaxResponse {
		return nil, twofactor.ErrWrong
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes(response)
	if err != nil {
		return nil, wrong(err)
	}
	return parsed, nil
}

// verify verifies what a key of user has signed, for a challenge that was made for whom: nobody, where the key says
// whose it is.
func (m *Manager) verify(ctx context.Context, tx *store.Tx, k kind, whom, user npm.UserID, purpose string, parsed *protocol.ParsedCredentialAssertionData) (twofactor.SecurityKey, error) {
	challenge := parsed.Response.CollectedClientData.Challenge
	text, err := decode(challenge)
	if err != nil {
		return twofactor.SecurityKey{}, err
	}
	// Of one moment: of two, the key of an answer that was just used would seem to be a copy.
	if _, err := tx.Get(ctx, spents.Key(spentID(text)), records.Key(idOf(parsed.RawID))); err != nil {
		return twofactor.SecurityKey{}, fmt.Errorf("webauthn: verify: %w", err)
	}
	if err := m.spend(ctx, tx, k, whom, purpose, challenge); err != nil {
		return twofactor.SecurityKey{}, fmt.Errorf("webauthn: verify: %w", err)
	}
	o, err := m.owner(ctx, tx, user, "")
	if err != nil {
		return twofactor.SecurityKey{}, fmt.Errorf("webauthn: verify: %w", err)
	}
	data := webauthn.SessionData{Challenge: challenge, RelyingPartyID: m.rp.Config.RPID, UserID: o.handle, UserVerification: protocol.VerificationPreferred}
	if k == signingIn {
		data.UserVerification = protocol.VerificationRequired
	}
	for _, r := range o.keys {
		data.AllowedCredentialIDs = append(data.AllowedCredentialIDs, r.Credential.ID)
	}
	if len(data.AllowedCredentialIDs) == 0 { // which go-webauthn would take for no restriction
		return twofactor.SecurityKey{}, twofactor.ErrWrong
	}
	after, err := m.rp.ValidateLogin(o, data, parsed)
	if err != nil {
		return twofactor.SecurityKey{}, wrong(err)
	}
	id := idOf(after.ID)
	if after.Authenticator.CloneWarning {
		return twofactor.SecurityKey{ID: id}, twofactor.ErrCopied
	}
	r, err := records.Update(ctx, tx, id, func(r *record) error {
		r.Credential, r.Used = *after, m.now()
		return nil
	})
	if err != nil {
		return twofactor.SecurityKey{}, fmt.Errorf("webauthn: verify: %w", err)
	}
	return r.key(), nil
}

func (m *Manager) owner(ctx context.Context, from store.Reader, user npm.UserID, name string) (owner, error) {
	if user == "" {
		return owner{}, errors.New("no user")
	}
	keys, err := m.of(ctx, from, user)
	if err != nil {
		return owner{}, err
	}
	handle, err := m.handle(ctx, user)
	return owner{handle: handle, name: name, keys: keys}, err
}

// wrong is [twofactor.ErrWrong], and says why to those who run the registry.
func wrong(err error) error {
	why := err.Error()
	if e, ok := errors.AsType[*protocol.Error](err); ok {
		why = strings.TrimSpace(e.Details + " " + e.DevInfo)
	}
	return fmt.Errorf("%w: %s", twofactor.ErrWrong, why)
}
