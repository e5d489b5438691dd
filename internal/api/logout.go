package api

import (
	"errors"
	"net/http"
	"strings"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/internal/authz"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/token"
)

// logout ends the credential in the path of DELETE /-/user/token/<token>. Who
// sends it must show that it is theirs: as the bearer of the same request, or by
// a live credential of the same user, or of the same package's trusted publishers. npm keeps its copy unless the answer is
// 2xx, so that a token which is dead already, presented by its holder, is one.
func (a *API) logout(r *http.Request, op protocol.Operation) (reply, error) {
	ctx, done := r.Context(), ok(map[string]bool{"ok": true})
	text, err := a.Bearer(r.Header)
	if err != nil {
		return reply{}, err
	}
	if text == "" {
		return reply{}, host.ErrNoCredential
	}
	d, shaped := credential.Parse(op.Token)
	if text == op.Token {
		if !shaped {
			return done, a.logoutForeign(r, text)
		}
		_, err := a.endSecret(r, nil, d)
		return done, err
	}
	act, err := a.Authenticate(ctx, r.Header, a.Client(r), a.Now())
	if err != nil {
		return reply{}, err
	}
	if shaped {
		found, err := a.endSecret(r, act.Verified, d)
		if found || err != nil {
			return done, err
		}
	}
	return reply{}, token.ErrNotFound
}

// endsItself ends the session of the request if id is its own, and reports whether it is. As for
// any logout it takes no second factor, and no policy decides.
func (a *API) endsItself(r *http.Request, id string) (bool, error) {
	// An error of the header is Check's to return. No ID of a token has a hyphen.
	text, _ := a.Bearer(r.Header)
	if !strings.HasPrefix(text, credential.PrefixSession) || !strings.Contains(id, "-") {
		return false, nil
	}
	d, shaped := credential.Parse(text)
	if !shaped {
		return false, nil
	}
	switch v, err := a.Stored(r.Context(), a.Store, d); {
	case errors.Is(err, host.ErrInvalidToken):
		return false, nil
	case err != nil:
		return false, err
	case v.Credential.Kind != policy.KindSession || v.Credential.ID != id:
		return false, nil
	}
	_, err := a.endSecret(r, nil, d)
	return true, err
}

// logoutForeign says whether a bearer that is not of npmauth's shape may be called
// logged out: a live one of the host's own cannot be ended here.
func (a *API) logoutForeign(r *http.Request, text string) error {
	if a.Foreign == nil {
		return nil
	}
	switch _, err := a.VerifyForeign(r.Context(), a.Store, credential.NewSecret(text)); {
	case err == nil:
		return errForeignLogout
	case errors.Is(err, host.ErrInvalidToken):
		return nil
	default:
		return err
	}
}

// endSecret ends the session or token of a digest: whoever's, where by is nil and the
// holder asks, or else one of the user of by, which must hold in the same commit. It
// reports whether there was one.
func (a *API) endSecret(r *http.Request, by *authz.Verified, d credential.Digest) (found bool, err error) {
	ctx := r.Context()
	err = store.Transact(ctx, a.Store, func(tx *store.Tx) error {
		found = false
		var asking authz.Actor
		if by != nil {
			if _, err := tx.Get(ctx, append(a.ActorKeys(by), authz.CredentialKeys(d)...)...); err != nil {
				return err
			}
			var err error
			if asking, err = a.Present(ctx, tx, by, a.Now()); err != nil {
				return err
			}
		}
		v, err := a.Stored(ctx, tx, d)
		if errors.Is(err, host.ErrInvalidToken) {
			return nil
		}
		if err != nil || by != nil && !authz.SameHolder(&v.Credential, asking.Credential) {
			return err
		}
		found = true
		if by == nil {
			asking = authz.Actor{Credential: &v.Credential}
		}
		if v.Credential.Kind == policy.KindSession {
			_, err = a.Sessions.LogoutTx(ctx, tx, asking.By(a.Client(r)), d)
			return err
		}
		return a.EndCredentialTx(ctx, tx, asking.By(a.Client(r)), &v.Credential, "logout")
	})
	if authz.Gone(err) {
		err = nil // another logout was faster
	}
	return found, err
}
