package token

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
)

// ReadsOf returns the keys that [Manager.RevokeTx] and [Manager.RotateTx] read first of the
// user's token with this ID, or, with the ID "", those that [Manager.CreateTx] reads. A caller
// that adds these keys to its own first [store.Tx.Get] saves a request.
func ReadsOf(user protocol.UserID, id string) []string {
	keys := append(subject.Keys(user), counts.Key(string(user)))
	if key := Key(id); key != "" {
		keys = append(keys, key)
	}
	return keys
}

// can reports whether user can have a token: an ID that is no valid key has none.
func can(user protocol.UserID) bool {
	return user != "" && store.ValidateKeys(ReadsOf(user, "")...) == nil
}

// Get returns the user's live token with this ID, or [ErrNotFound]. It returns a token of a
// disabled account, too: the token works once the account is enabled.
func (m *Manager) Get(ctx context.Context, user protocol.UserID, id string) (Token, error) {
	r, err := m.get(ctx, m.store, user, id)
	if err != nil {
		return Token{}, outward("look up", err)
	}
	return r.token(), nil
}

// ByID is [Manager.Get] whoever the token's user is, for an operator.
func (m *Manager) ByID(ctx context.Context, id string) (Token, error) {
	if !isID(id) {
		return Token{}, ErrNotFound
	}
	r, err := tokens.Get(ctx, m.store, id)
	if err != nil {
		return Token{}, outward("look up", err)
	}
	return m.Get(ctx, r.User, id)
}

// Find returns the ID of the user's live token whose secret has this digest, or
// [ErrNotFound].
func (m *Manager) Find(ctx context.Context, user protocol.UserID, d credential.Digest) (id string, err error) {
	r, err := m.get(ctx, m.store, user, IDOf(d))
	if err == nil && subtle.ConstantTimeCompare(r.Digest[:], d[:]) != 1 {
		err = store.ErrNotFound
	}
	if err != nil {
		return "", outward("look up", err)
	}
	return r.id(), nil
}

// FindHint returns the ID of the user's only live token whose [Token.Hint] is hint. It lists the
// user's tokens, and returns [ErrAmbiguous] where several have that hint, [ErrNotFound] where
// none has.
//
// More of a secret than its hint is [ErrNotFound], too: a record has no more of it than the hint
// and the digest, so that nobody could tell whether the rest was right.
func (m *Manager) FindHint(ctx context.Context, user protocol.UserID, hint string) (id string, err error) {
	if len(hint) != hintSize {
		return "", ErrNotFound
	}
	for t, err := range m.Of(ctx, user) {
		switch {
		case err != nil:
			return "", err
		case t.Hint != hint:
			continue
		case id != "":
			return "", ErrAmbiguous
		}
		id = t.ID
	}
	if id == "" {
		return "", ErrNotFound
	}
	return id, nil
}

// get returns the user's live token in one Get.
func (m *Manager) get(ctx context.Context, r store.Reader, user protocol.UserID, id string) (*record, error) {
	key := Key(id)
	if key == "" || !can(user) {
		return nil, store.ErrNotFound
	}
	items, err := r.Get(ctx, append(subject.Keys(user), key)...)
	if err != nil {
		return nil, err
	}
	sub, err := subject.Decode(user, items[:2])
	if err != nil {
		return nil, err
	}
	return m.owned(items[2], sub)
}

// owned returns the token in it if it is a live one of sub. Another user's token counts as one
// that does not exist.
func (m *Manager) owned(it store.Item, sub subject.Subject) (*record, error) {
	r, err := tokens.Decode(it)
	if err != nil {
		return nil, err
	}
	if r.User != sub.ID || r.revoked(sub) || r.expired(m.now()) {
		return nil, store.ErrNotFound
	}
	return r, nil
}

// outward makes an absent record ErrNotFound, whatever the reason, and adds what was tried to
// any other error.
func outward(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrNotFound):
		return ErrNotFound
	}
	if rotated, ok := errors.AsType[*RotatedError](err); ok {
		return rotated
	}
	return fmt.Errorf("token: %s: %w", what, err)
}

// pageSize is how many tokens are read at a time, so that the subjects of all their
// users, and the row of all accounts, are one Get.
const pageSize = store.MaxKeys - 1

// pages calls fn for all tokens of all users, dead ones too, a page at a time, with the
// subjects of their users as they were after the page was read. So a token whose numbers differ
// is revoked: they were those of its user when it was created.
func (m *Manager) pages(ctx context.Context, fn func(page []*record, of map[protocol.UserID]subject.Subject) error) error {
	for after := ""; ; {
		page, err := tokens.List(ctx, m.store, after, pageSize)
		if err != nil {
			return err
		}
		of, err := subjectsOf(ctx, m.store, page)
		if err != nil {
			return err
		}
		if err := fn(page, of); err != nil {
			return err
		}
		if len(page) < pageSize {
			return nil
		}
		after = page[len(page)-1].id()
	}
}

// subjectsOf returns the subjects of the users of a page.
func subjectsOf(ctx context.Context, r store.Reader, page []*record) (map[protocol.UserID]subject.Subject, error) {
	of := make(map[protocol.UserID]subject.Subject, len(page))
	if len(page) == 0 {
		return of, nil
	}
	var keys []string
	for _, rec := range page {
		own := subject.Keys(rec.User)
		if len(keys) == 0 {
			keys = append(keys, own[1]) // of all accounts
		}
		if !slices.Contains(keys, own[0]) {
			keys = append(keys, own[0])
		}
	}
	items, err := r.Get(ctx, keys...)
	if err != nil {
		return nil, err
	}
	for _, it := range items[1:] {
		user, _ := subject.Of(it.Key)
		if of[user], err = subject.Decode(user, []store.Item{it, items[0]}); err != nil {
			return nil, err
		}
	}
	return of, nil
}
