package web

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"github.com/npmauth/npmauth/internal/typed"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/subject"
	"github.com/npmauth/npmauth/twofactor"
)

// keysFile is the script for security keys, below /-/auth/. It sends a form twice: first
// for what a key is to sign, with the field "by", and then with what it has signed, in "key".
const keysFile = "keys.js"

// The values of the field "by" of a form.
const (
	byKey     = "key"     // a second factor
	byPasskey = "passkey" // the whole sign-in
)

// asksKey reports whether a form asks for what a security key signs, and not yet for what the form says.
func asksKey(form url.Values) bool {
	by := form.Get("by")
	return (by == byKey || by == byPasskey) && form.Get("key") == ""
}

// ownOptions returns what a key of the user signs at the page, nil if the user has none.
func (p *Pages) ownOptions(ctx context.Context, user protocol.UserID, place string) ([]byte, error) {
	if !p.cfg.Factors.OffersKeys() {
		return nil, nil
	}
	options, err := p.cfg.Factors.KeyOptions(ctx, user, twofactor.Use{Page: place})
	if errors.Is(err, twofactor.ErrNoKey) {
		return nil, nil
	}
	return options, err
}

// keyOptions is ownOptions for whom the password identifies: nobody else learns what keys there are. Of an
// account that has another second factor and no key it says what it says of a wrong password: as little as
// the form does that brings no second factor.
func (p *Pages) keyOptions(ctx context.Context, in session.SignIn, place string) ([]byte, error) {
	person, err := p.cfg.CheckPassword(ctx, in)
	if err != nil {
		return nil, err
	}
	options, err := p.ownOptions(ctx, person.ID, place)
	if err == nil && options == nil && person.Subject.TwoFactor != protocol.TwoFactorOff {
		return nil, session.ErrFactorRequired
	}
	return options, err
}

// offersPasskeys reports whether a passkey signs people in: not where the host does so by itself, whose
// login it would get around.
func (p *Pages) offersPasskeys() bool { return p.cfg.SignIn == nil && p.cfg.Factors.OffersKeys() }

// signInPlace is what a key signs for that signs somebody in to the browser of r.
func (p *Pages) signInPlace(r *http.Request) string {
	cookie, _ := p.cookie(r) // with which the form came
	return "browser/" + cookie
}

// signInOptions answers the form for signing in, before a key has signed.
func (p *Pages) signInOptions(w http.ResponseWriter, r *http.Request, v visit, form url.Values) {
	var options []byte
	var err error
	switch {
	case form.Get("by") == byKey:
		options, err = p.keyOptions(r.Context(), p.presented(v, typed.Line(form.Get("name")), form), p.signInPlace(r))
	case p.offersPasskeys():
		options, err = p.cfg.Factors.PasskeyOptions(r.Context(), p.signInPlace(r))
	}
	p.answerKey(w, r, v, options, err, wrongSignIn)
}

// wrongOf is what the page says of a form that authenticated nobody.
func (p *Pages) wrongOf(r *http.Request, k kind, v visit) string {
	pg, _, err := k.page(r.Context(), r, v)
	if err != nil {
		return wrongSignIn
	}
	return pg.wrong
}

// answerKey answers the script with the options, with 204 if there is no key, or with what is wrong.
func (p *Pages) answerKey(w http.ResponseWriter, r *http.Request, v visit, options []byte, err error, wrongText string) {
	var problem problemError
	var wait *subject.WaitError
	var refused *apiError
	switch {
	case err == nil && options == nil:
		w.WriteHeader(http.StatusNoContent)
	case err == nil:
		writeJSON(w, http.StatusOK, options)
	case errors.Is(err, session.ErrNoSession), errors.Is(err, errSignedOut):
		p.keyProblem(w, http.StatusForbidden, signedOut)
	case wrong(err):
		p.keyProblem(w, http.StatusForbidden, wrongText)
	case errors.As(err, &wait):
		w.Header().Set("Retry-After", strconv.Itoa(wait.RetryAfter()))
		status, _, sentence := wait.Answer()
		p.keyProblem(w, status, sentence)
	case errors.As(err, &problem):
		p.keyProblem(w, http.StatusUnprocessableEntity, string(problem))
	case errors.As(err, &refused) && refused.key != nil:
		writeJSON(w, http.StatusOK, refused.key)
	case errors.As(err, &refused):
		status := refused.status
		if status == http.StatusUnauthorized {
			status = http.StatusForbidden // see package documentation
		}
		p.keyProblem(w, status, refused.sentence)
	case decided(err), errors.Is(err, session.ErrNoFlow):
		p.keyProblem(w, http.StatusNotFound, gone.Text)
	case errors.Is(err, errMalformed):
		p.keyProblem(w, http.StatusBadRequest, malformed.Text)
	default:
		p.cfg.Report(r, err)
		p.keyProblem(w, http.StatusServiceUnavailable, busy.Text)
	}
}

// keyProblem answers the script with what it shows.
func (p *Pages) keyProblem(w http.ResponseWriter, status int, sentence string) {
	data, _ := json.Marshal(map[string]string{"error": p.say(sentence)}) // of a string there is no error
	writeJSON(w, status, data)
}

func writeJSON(w http.ResponseWriter, status int, data []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(data) // an error means that the browser has disconnected
}
