package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/twofactor"
)

// challenge is the page of an operation that waits for a second factor.
type challenge struct{ *Pages }

// An operation is the part of a challenge that the page shows.
type operation struct {
	Text       string
	Items      []shownItem
	Credential string // the user's name for the challenged credential
	KeysOnly   bool   // nothing but a security key counts
}

// A shownItem is one change that a challenge is for.
type shownItem struct {
	Field   string // of the form, that ticks it; "" for the requested change
	Package string
	Words   []protocol.Line
}

// fieldOf returns the name of the form field that ticks the item of that number.
func fieldOf(item int) string { return "also-" + strconv.Itoa(item) }

func (c challenge) page(ctx context.Context, r *http.Request, v visit) (page, bool, error) {
	req, err := c.cfg.Factors.Pending(ctx, v.id)
	if errors.Is(err, twofactor.ErrNoChallenge) {
		return c.result(ctx, r, v, err)
	}
	if err != nil {
		return page{}, false, err
	}
	op := operation{
		Text:       strings.ReplaceAll(req.Action.String(), "-", " "),
		Credential: printable(req.CredentialName), KeysOnly: req.KeysOnly,
	}
	for i, it := range req.Items {
		shown := shownItem{Package: printable(it.Package.String())}
		if i > 0 {
			shown.Field = fieldOf(i)
		}
		for _, line := range it.Words {
			shown.Words = append(shown.Words, protocol.Line{Label: printable(line.Label), Text: printable(line.Text)})
		}
		op.Items = append(op.Items, shown)
	}
	title := c.say("Confirm: %s", op.Text)
	if len(op.Items) > 0 {
		title = strings.TrimSpace(title + " " + op.Items[0].Package)
	}
	return page{
		template: "challenge.html", Title: title, Action: v.path,
		Name: req.Name, Here: v.is(req.User), Offers: c.cfg.Factors.OffersKeys(), CheckCode: req.CheckCode, Operation: op, Requester: newRequester(req.Addr, req.UserAgent, req.Started, req.Expires, v.client),
		wrong: "The password or the second factor is wrong. After too many wrong codes none works any more.",
	}, true, nil
}

// result shows the result of a challenge to the browser that decided it. To all others the
// challenge is gone.
func (c challenge) result(ctx context.Context, r *http.Request, v visit, gone error) (page, bool, error) {
	o, err := c.outcome(ctx, r, v)
	switch {
	case err != nil:
		return page{}, false, err
	case o == "":
		return page{}, false, gone
	case o == refused:
		return page{
			template: "result.html", Title: "Refused",
			Text: "The operation does not go on.",
			Next: "If you did not ask for this, somebody else is logged in as you: change your password, and end the logins and tokens that you do not know.",
		}, false, nil
	}
	return page{
		template: "result.html", Title: "Confirmed", Done: true, Code: o,
		Text: "The operation may go on. You can close this page.",
		Next: "It is good for the program that asked, for this operation, and for a few minutes.",
	}, false, nil
}

func (c challenge) approve(ctx context.Context, v visit, form url.Values) ([]*http.Cookie, error) {
	aead, err := c.outcomeKey(ctx)
	if err != nil {
		return nil, err
	}
	req, err := c.cfg.Factors.Pending(ctx, v.id)
	if err != nil {
		return nil, err
	}
	// Before the password is checked, so that this says nothing about it.
	value := codeIn(form)
	if req.KeysOnly && twofactor.FormOf(value.Reveal()) != twofactor.FormKey {
		return nil, keysOnly
	}
	if f := twofactor.FormOf(value.Reveal()); f != twofactor.FormTOTP && f != twofactor.FormKey {
		if c.cfg.Factors.OffersKeys() {
			return nil, noKeyOrCode
		}
		return nil, noAppCode
	}
	for range maxRuns {
		var typed credential.Secret
		if typed, err = c.prove(ctx, v, req, form); err == nil {
			return []*http.Cookie{c.carry(aead, v, typed.Reveal())}, nil
		}
		// The account has changed since it was authenticated.
		if _, changed := errors.AsType[*store.ChangedError](err); !changed {
			return nil, err
		}
	}
	return nil, err
}

// These are for a recovery code, which would be refused and not used up, and for what is no code.
const (
	noAppCode   problemError = "Only the six digits that your authenticator app shows count here."
	keysOnly    problemError = "Only a security key counts here."
	noKeyOrCode problemError = "Only a security key counts here, or the six digits that your authenticator app shows."
)

// maxRuns is how often a form is checked when the account changes meanwhile.
const maxRuns = 3

// prove approves the challenge if the form authenticates its user.
func (c challenge) prove(ctx context.Context, v visit, req twofactor.Request, form url.Values) (credential.Secret, error) {
	// The password first: an attempt at the second factor counts against the account, so
	// somebody who only has the URL must not reach it.
	in := c.presented(v, req.Name, form)
	if v.is(req.User) {
		in.Session = v.member.secret
	}
	person, err := c.cfg.CheckPassword(ctx, in)
	if err != nil {
		return credential.Secret{}, err
	}
	if person.ID != req.User {
		return credential.Secret{}, session.ErrDenied // the name now belongs to another account
	}
	var also []int
	for i := 1; i < len(req.Items); i++ {
		if form.Get(fieldOf(i)) != "" {
			also = append(also, i)
		}
	}
	return c.cfg.Factors.Approve(ctx, twofactor.Approval{
		PageID: v.id, Also: also, User: person.ID, Value: codeIn(form),
		At: v.client.At, Addr: v.client.Addr, Expect: person.Subject.Evidence,
	})
}

func (c challenge) options(ctx context.Context, _ *http.Request, v visit, form url.Values) ([]byte, error) {
	req, err := c.cfg.Factors.Pending(ctx, v.id)
	if err != nil {
		return nil, err
	}
	if v.is(req.User) {
		return c.ownOptions(ctx, req.User, v.id)
	}
	return c.keyOptions(ctx, c.presented(v, req.Name, form), v.id)
}

func (c challenge) deny(ctx context.Context, v visit) ([]*http.Cookie, error) {
	aead, err := c.outcomeKey(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.cfg.Factors.Deny(ctx, v.id, v.client.Addr); err != nil {
		return nil, err
	}
	return []*http.Cookie{c.carry(aead, v, refused)}, nil
}
