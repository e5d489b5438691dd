package token

import (
	"context"
	"errors"
	"fmt"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/store"
)

// Get returns the user's token with this ID, or [ErrNotFound].
func (m *Manager) Get(ctx context.Context, user policy.UserID, id string) (Token, error) {
	r, err := owned(user)(byID.Get(ctx, m.store, id))
	if err != nil {
		return Token{}, outward("look up", err)
	}
	return Token(*r), nil
}

// Find returns the ID of the user's token whose secret has this digest, or
// [ErrNotFound].
func (m *Manager) Find(ctx context.Context, user policy.UserID, d credential.Digest) (id string, err error) {
	r, err := owned(user)(tokens.Get(ctx, m.store, d.String()))
	if err != nil {
		return "", outward("look up", err)
	}
	return r.ID, nil
}

// outward makes an absent record ErrNotFound, whatever the reason, and says what
// was tried when something else failed.
func outward(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrNotFound):
		return ErrNotFound
	}
	return fmt.Errorf("token: %s: %w", what, err)
}

// Revoke ends the user's token with this ID, all of it and exactly it: a
// beginning of an ID is no ID. A token that is not the user's is [ErrNotFound].
func (m *Manager) Revoke(ctx context.Context, user policy.UserID, id string) error {
	return m.end(ctx, func(tx *store.Tx) (*record, error) { return owned(user)(byID.Get(ctx, tx, id)) })
}

// RevokeDigest ends the user's token whose secret has this digest. A token that is
// not the user's is [ErrNotFound].
func (m *Manager) RevokeDigest(ctx context.Context, user policy.UserID, d credential.Digest) error {
	return m.end(ctx, func(tx *store.Tx) (*record, error) { return owned(user)(tokens.Get(ctx, tx, d.String())) })
}

// End ends the token with this ID, whoever has it: for an operator, and for a
// token that has guessed too many codes.
func (m *Manager) End(ctx context.Context, id string) error {
	return m.end(ctx, func(tx *store.Tx) (*record, error) { return byID.Get(ctx, tx, id) })
}

// owned turns a token of somebody else into none.
func owned(user policy.UserID) func(*record, error) (*record, error) {
	return func(r *record, err error) (*record, error) {
		if err != nil {
			return nil, err
		}
		if user == "" || r.User != user {
			return nil, store.ErrNotFound
		}
		return r, nil
	}
}

func (m *Manager) end(ctx context.Context, find func(*store.Tx) (*record, error)) error {
	var ended *record
	err := store.Transact(ctx, m.store, func(tx *store.Tx) error {
		r, err := find(tx)
		if err != nil {
			return err
		}
		ended = r
		tx.Delete(usedPrefix + r.ID)
		if err := uncount(ctx, tx, r.User, r.Expires); err != nil {
			return err
		}
		return tokens.Delete(ctx, tx, r.Digest.String())
	})
	if err != nil {
		return outward("revoke", err)
	}
	m.used.drop(ended.ID)
	return nil
}
