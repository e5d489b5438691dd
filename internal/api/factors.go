package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/internal/authz"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/twofactor"
	"github.com/npmauth/npmauth/wire"
)

// listFactors answers GET /-/auth/v1/factors: what second factors the account of the request has, and
// with what a browser makes one more key. It is not npm's.
func (a *API) listFactors(r *http.Request, op protocol.Operation) (reply, error) {
	q, err := a.CheckRead(r, op)
	if err != nil {
		return reply{}, err
	}
	ctx, user := r.Context(), q.Actor.Credential.User
	status, err := a.Factors.Status(ctx, a.Store, user)
	if err != nil {
		return reply{}, err
	}
	keys, err := a.Factors.KeyList(ctx, a.Store, user)
	if err != nil {
		return reply{}, err
	}
	objects := []wire.Factor{}
	if status.App {
		objects = append(objects, wire.Factor{ID: protocol.FactorApp, Type: protocol.FactorApp})
	}
	if status.Enabled { // without it there are none: see twofactor.Manager.Disable
		for _, k := range keys {
			objects = append(objects, wire.Factor{ID: k.ID, Type: protocol.FactorKey, Name: k.Name, Created: k.Created, Used: k.Used, Synced: k.Synced})
		}
	}
	answer := map[string]any{
		"objects": objects, "recovery_codes": status.RecoveryLeft, "keys_only": status.KeysOnly,
	}
	if a.Factors.OffersKeys() {
		switch options, err := a.Factors.BeginRegistration(ctx, user, q.Actor.Person.Account.Name); {
		case errors.Is(err, twofactor.ErrTooManyKeys):
		case err != nil:
			return reply{}, err
		default:
			answer["registration"] = json.RawMessage(options)
		}
	}
	return ok(answer), nil
}

// addFactor answers POST /-/auth/v1/factors: it adds a security key, or to an account that has keys an
// app. It takes the password, and a factor that the account has.
func (a *API) addFactor(r *http.Request, op protocol.Operation) (reply, error) {
	var body wire.NewFactor
	if err := wire.Decode(r, &body); err != nil {
		return reply{}, err
	}
	if err := body.Check(); err != nil {
		return reply{}, err
	}
	c := &protocol.Change{Factor: body.Type, Name: body.Name}
	if body.Type == protocol.FactorKey {
		sum := sha256.Sum256(body.Response)
		c.Body = hex.EncodeToString(sum[:])
	}
	q, d, err := a.Check(r, op, c)
	if err != nil {
		return reply{}, err
	}
	if body.Type == protocol.FactorKey && !a.Factors.OffersKeys() {
		return reply{}, a.Conclude(r.Context(), q, twofactor.ErrNoKeys)
	}
	user := q.Actor.Credential.User
	var answer map[string]any
	err = a.commitWithPassword(r, q, d, body.Password, nil, func(ctx context.Context, tx *store.Tx, q *authz.Request) error {
		by := q.Actor.By(q.Addr)
		if err := a.proven(q); err != nil {
			return err
		}
		if body.Type == protocol.FactorApp {
			mode := q.Account.TwoFactor
			if mode == protocol.TwoFactorOff {
				mode = protocol.AuthAndWrites
			}
			uri, err := a.Factors.EnrolTx(ctx, tx, by, user, q.Actor.Person.Account.Name, mode)
			answer = map[string]any{"id": protocol.FactorApp, "uri": uri.Reveal()}
			return err
		}
		key, recovery, err := a.Factors.AddKeyTx(ctx, tx, by, user, body.Name, body.Response)
		if errors.Is(err, twofactor.ErrWrong) { // the new key, and not the factor that came with it
			return errBadKey
		}
		if err != nil {
			return err
		}
		answer = map[string]any{"id": key.ID, "recovery": credential.Reveal(recovery)}
		if q.Account.TwoFactor != protocol.TwoFactorOff {
			return nil
		}
		// The sessions that were opened without a factor end, but for the one that asks.
		return a.Sessions.KeepTx(ctx, tx, by, q.Actor.Person.Subject, q.Actor.Session(), "two-factor")
	})
	if err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusCreated, body: answer}, nil
}

// errBadKey is the answer to what a browser has made of options that are not good any more.
var errBadKey = &wire.Error{
	Status: http.StatusUnprocessableEntity, Code: "bad-key", Sentence: "The security key was not accepted: it took too long, or the account has it already. Try again.",
}

// removeFactor answers DELETE /-/auth/v1/factors/<id>. It takes a factor that the account has.
func (a *API) removeFactor(r *http.Request, op protocol.Operation) (reply, error) {
	c := &protocol.Change{Factor: protocol.FactorApp, Removes: true}
	if op.ID != protocol.FactorApp {
		c.Factor = protocol.FactorKey
	}
	q := a.NewRequest(r, op)
	q.Change = c
	d, err := a.Filter(r, q)
	if err != nil {
		return reply{}, err
	}
	user := q.Actor.Credential.User
	if c.Factor == protocol.FactorKey { // by its name, which its user knows
		keys, err := a.Factors.KeyList(r.Context(), a.Store, user)
		if err != nil {
			return reply{}, a.Conclude(r.Context(), q, err)
		}
		for _, k := range keys {
			if k.ID == op.ID {
				c.Name = k.Name
			}
		}
		if c.Name == "" { // nobody spends a factor on what is not there
			return reply{}, a.Conclude(r.Context(), q, twofactor.ErrNoKey)
		}
	}
	return reply{}, a.Commit(r, q, d, nil, func(ctx context.Context, tx *store.Tx, q *authz.Request) error {
		if err := a.proven(q); err != nil {
			return err
		}
		return a.Factors.RemoveFactorTx(ctx, tx, q.Actor.By(q.Addr), user, op.ID)
	})
}

// setKeysOnly answers PUT /-/auth/v1/factors, by which a user decides whether only security keys count
// for the account. It takes one to turn it on, and while it is.
func (a *API) setKeysOnly(r *http.Request, op protocol.Operation) (reply, error) {
	var body struct {
		KeysOnly *bool `json:"keys_only"`
	}
	if err := wire.Decode(r, &body); err != nil {
		return reply{}, err
	}
	if body.KeysOnly == nil {
		return reply{}, &wire.Error{Status: http.StatusBadRequest, Code: "bad-factor", Sentence: "keys_only must be true or false."}
	}
	q, d, err := a.Check(r, op, &protocol.Change{KeysOnly: body.KeysOnly})
	if err != nil {
		return reply{}, err
	}
	if *body.KeysOnly && !q.Actor.Person.Account.Keys {
		return reply{}, a.Conclude(r.Context(), q, twofactor.ErrNoKey)
	}
	return reply{}, a.Commit(r, q, d, nil, func(ctx context.Context, tx *store.Tx, q *authz.Request) error {
		if err := a.proven(q); err != nil {
			return err
		}
		return a.Factors.SetKeysOnlyTx(ctx, tx, q.Actor.By(q.Addr), q.Actor.Credential.User, *body.KeysOnly)
	})
}

// proven refuses a change of an account's second factors that none of them proved: a policy of the
// host's may not ask.
func (a *API) proven(q *authz.Request) error {
	if q.Account.TwoFactor != protocol.TwoFactorOff && !q.Proven() {
		return authz.Denied(q, q.Decision())
	}
	return nil
}
