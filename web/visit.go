package web

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
	"github.com/npmauth/npmauth/twofactor"
)

// A visit is one request for one page.
type visit struct {
	kind   string // the path segment: login, challenge or signup
	id     string // of the page; "" for a sign-up that no login led to
	path   string // as the browser knows it
	client session.Client
	// browser identifies the browser for as long as it is known to an account; see browserOf.
	browser string
	member  *member // who is signed in; nil: nobody
	shown   shown   // of an account's page
}

// A kind is a page at which something is decided.
type kind interface {
	// page returns what the page shows and whether it still waits for a decision.
	page(ctx context.Context, r *http.Request, v visit) (page, bool, error)
	// approve and deny decide, for the person who filled in the form or for anybody who has the
	// page. The cookies that they return are to be set.
	approve(ctx context.Context, v visit, form url.Values) ([]*http.Cookie, error)
	deny(ctx context.Context, v visit) ([]*http.Cookie, error)
	// options returns what a security key signs at the page, nil if the person has none.
	options(ctx context.Context, r *http.Request, v visit, form url.Values) ([]byte, error)
}

// show answers GET.
func (p *Pages) show(w http.ResponseWriter, r *http.Request, k kind, v visit) {
	err := p.recognise(w, r, &v)
	var pg page
	var waits bool
	if err == nil {
		pg, waits, err = k.page(r.Context(), r, v)
	}
	if err == nil && waits {
		cookie := p.giveCookie(w, r)
		pg.Token, err = p.token(r.Context(), v, cookie)
		if err == nil {
			err = p.frame(r.Context(), &pg, v, cookie)
		}
	}
	if err != nil {
		p.refuse(w, r, err)
		return
	}
	p.write(w, http.StatusOK, pg)
}

// decide answers POST.
func (p *Pages) decide(w http.ResponseWriter, r *http.Request, k kind, v visit) {
	err := p.recognise(w, r, &v)
	var form url.Values
	if err == nil {
		form, err = p.readForm(w, r, v)
	}
	if errors.Is(err, errElse) {
		p.refuseForm(w, r, k, v, nil, http.StatusForbidden, v.elseProblem())
		return
	}
	if err != nil {
		p.refuse(w, r, err)
		return
	}
	var cookies []*http.Cookie
	var problem problemError
	var wait *subject.WaitError
	switch form.Get("decision") {
	case "approve":
		if asksKey(form) {
			options, err := k.options(r.Context(), r, v, form)
			p.answerKey(w, r, v, options, err, p.wrongOf(r, k, v))
			return
		}
		cookies, err = k.approve(r.Context(), v, form)
	case "deny":
		cookies, err = k.deny(r.Context(), v)
	case "sign-in":
		if p.cfg.SignIn != nil {
			p.beginSignIn(w, r, v)
			return
		}
		err = errMalformed
	default:
		err = errMalformed
	}
	switch {
	case err == nil:
		for _, cookie := range cookies {
			http.SetCookie(w, cookie)
		}
		p.seeOther(w, v)
	case errors.Is(err, session.ErrNoSession):
		http.SetCookie(w, p.newCookie(p.memberName(), "", -1))
		v.member = nil
		p.refuseForm(w, r, k, v, form, http.StatusForbidden, signedOut)
	case wrong(err):
		p.refuseForm(w, r, k, v, form, http.StatusForbidden, used(err, v.client.At))
	case errors.As(err, &wait):
		w.Header().Set("Retry-After", strconv.Itoa(wait.RetryAfter()))
		status, _, sentence := wait.Answer()
		p.refuseForm(w, r, k, v, form, status, sentence)
	case errors.As(err, &problem):
		p.refuseForm(w, r, k, v, form, http.StatusUnprocessableEntity, string(problem))
	case decided(err):
		// Sent twice, or decided in another window: the page shows the result.
		if _, waits, gone := k.page(r.Context(), r, v); gone == nil && !waits {
			p.seeOther(w, v)
			return
		}
		p.refuse(w, r, err)
	default:
		p.refuse(w, r, err)
	}
}

// wrong reports whether err means that the form did not authenticate its sender.
func wrong(err error) bool {
	return isAny(err, session.ErrDenied, session.ErrFactorRequired,
		twofactor.ErrWrong, twofactor.ErrLocked, twofactor.ErrTooMany, twofactor.ErrNoFactor)
}

// used returns the sentence about a code that is right and was used before, "" for any other error.
// Of all that did not authenticate the sender only this is told: it takes the right password and a
// code that the app has shown within the last minute. Somebody who has seen that code can learn
// here that a password is right; before it was used, they could have signed in with both.
func used(err error, now time.Time) string {
	if _, ok := errors.AsType[*twofactor.UsedError](err); !ok {
		return ""
	}
	return twofactor.Sentence(err, now)
}

// decided reports whether err means that there is nothing left to decide.
func decided(err error) bool { return isAny(err, session.ErrDecided, twofactor.ErrNoChallenge) }

func isAny(err error, targets ...error) bool {
	return slices.ContainsFunc(targets, func(target error) bool { return errors.Is(err, target) })
}

// refuseForm answers a form with the form and what is wrong with it. If it did not authenticate its
// sender, problem is "", and the page says the same for every reason, or what [used] says.
func (p *Pages) refuseForm(w http.ResponseWriter, r *http.Request, k kind, v visit, form url.Values, status int, problem string) {
	pg, waits, err := k.page(r.Context(), r, v)
	if err != nil {
		p.refuse(w, r, err)
		return
	}
	if !waits {
		p.seeOther(w, v)
		return
	}
	pg.Problem, pg.Email = cmp.Or(problem, pg.wrong), form.Get("email")
	cookie, _ := p.cookie(r)                                         // with which the form came
	if pg.Token, err = p.token(r.Context(), v, cookie); err == nil { // of who is signed in now
		err = p.frame(r.Context(), &pg, v, cookie)
	}
	if err != nil {
		p.refuse(w, r, err)
		return
	}
	if pg.Name == "" {
		pg.Name = form.Get("name")
	}
	p.write(w, status, pg)
}

// seeOther sends the browser to the page of v, with GET and without the form: 307 would send
// the password once more. The location has no host, so that it cannot be another one.
func (p *Pages) seeOther(w http.ResponseWriter, v visit) {
	w.Header().Set("Location", v.path)
	w.WriteHeader(http.StatusSeeOther)
}

// refuse answers a request that err ended.
func (p *Pages) refuse(w http.ResponseWriter, r *http.Request, err error) {
	_, large := errors.AsType[*http.MaxBytesError](err)
	switch {
	case decided(err), errors.Is(err, session.ErrNoFlow):
		p.write(w, http.StatusNotFound, gone)
	case errors.Is(err, errForeign):
		p.write(w, http.StatusForbidden, foreign)
	case errors.Is(err, errMalformed):
		p.write(w, http.StatusBadRequest, malformed)
	case errors.Is(err, errMediaType):
		p.write(w, http.StatusUnsupportedMediaType, malformed)
	case large:
		p.write(w, http.StatusRequestEntityTooLarge, malformed)
	default:
		p.cfg.Report(r, err)
		pg := busy
		if errors.Is(err, store.ErrUnknown) {
			pg = unclear
		}
		w.Header().Set("Retry-After", "5")
		p.write(w, http.StatusServiceUnavailable, pg)
	}
}
