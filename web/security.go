package web

import (
	"bytes"
	"context"
	"encoding/base64"
	"html/template"
	"image/png"
	"net/http"
	"net/url"

	"github.com/pquerna/otp"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/internal/typed"
)

// security is the page of an account's second factor and password.
type security struct{ *Pages }

const userPath = "-/npm/v1/user"

// A securityState is what the page shows.
type securityState struct {
	Mode string // of the second factor, as npm calls it; "" is off
	// Of an enrolment under way, in the browser that began it.
	Secret string
	QR     template.URL // of an image; "": none
}

// qrSize is the width of a QR code in pixels.
const qrSize = 264

// qrOf returns the image of the QR code that an authenticator app reads.
func qrOf(key *otp.Key) (template.URL, error) {
	img, err := key.Image(qrSize, qrSize)
	if err != nil {
		return "", err
	}
	var data bytes.Buffer
	if err := png.Encode(&data, img); err != nil {
		return "", err
	}
	return template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(data.Bytes())), nil //nolint:gosec // digits and letters
}

func (s security) show(ctx context.Context, c caller) (page, error) {
	mode, pending, err := c.factor(ctx)
	if err != nil {
		return page{}, err
	}
	state := securityState{}
	if !pending {
		state.Mode = mode
	}
	if uri := c.v.shown.URI; uri != "" {
		key, err := otp.NewKeyFromURL(uri)
		if err != nil {
			return page{}, err
		}
		state.Secret = key.Secret()
		if state.QR, err = qrOf(key); err != nil {
			return page{}, err
		}
	}
	return page{template: "security.html", Title: "Security", Factor: state.Mode != "", Data: state, images: state.QR != ""}, nil
}

func (s security) do(ctx context.Context, c caller, form url.Values) (shown, error) {
	switch form.Get("decision") {
	case "set":
		return s.set(ctx, c, form)
	case "confirm":
		return s.confirm(ctx, c, form)
	case "password":
		return s.password(ctx, c, form)
	}
	return shown{}, errMalformed
}

// set turns the second factor on or off, or changes what it is for.
func (s security) set(ctx context.Context, c caller, form url.Values) (shown, error) {
	var answer struct {
		TFA any `json:"tfa"` // the address for an app, or something else where none is needed
	}
	body := map[string]any{"tfa": map[string]string{"mode": form.Get("mode"), "password": form.Get("password")}}
	if err := c.call(ctx, codeIn(form), http.MethodPost, userPath, body, &answer); err != nil {
		return shown{}, err
	}
	if uri, ok := answer.TFA.(string); ok {
		return shown{URI: uri}, nil
	}
	if form.Get("mode") == "disable" {
		return shown{Done: "Two-factor authentication is off."}, nil
	}
	return shown{Done: "That is what two-factor authentication is for now."}, nil
}

// confirm turns on the factor that the page has shown the secret of.
func (s security) confirm(ctx context.Context, c caller, form url.Values) (shown, error) {
	var answer struct {
		TFA []string `json:"tfa"` // recovery codes
	}
	body := map[string]any{"tfa": []string{codeIn(form).Reveal()}}
	if err := c.call(ctx, credential.Secret{}, http.MethodPost, userPath, body, &answer); err != nil {
		return shown{}, err
	}
	return shown{Done: "Two-factor authentication is on.", Recovery: answer.TFA}, nil
}

// password changes the password. npm sends the whole profile along, which must be as it is.
func (s security) password(ctx context.Context, c caller, form url.Values) (shown, error) {
	if form.Get("new") != form.Get("again") {
		return shown{}, problemError("The two new passwords are not the same.")
	}
	body := map[string]any{"password": map[string]string{"old": form.Get("password"), "new": form.Get("new")}}
	if err := c.call(ctx, codeIn(form), http.MethodPost, userPath, body, nil); err != nil {
		return shown{}, err
	}
	return shown{Done: "The password is changed, and all other sessions have ended."}, nil
}

// profile is the page of what an account says about its user.
type profile struct{ *Pages }

func (p profile) show(ctx context.Context, c caller) (page, error) {
	var user userAnswer
	if err := c.call(ctx, credential.Secret{}, http.MethodGet, userPath, nil, &user); err != nil {
		return page{}, err
	}
	factor := user.TFA != nil && !user.TFA.Pending
	return page{template: "profile.html", Title: "Profile", Factor: factor, Data: user}, nil
}

func (p profile) do(ctx context.Context, c caller, form url.Values) (shown, error) {
	if form.Get("decision") != "save" {
		return shown{}, errMalformed
	}
	body := map[string]string{}
	for _, field := range []string{"email", "fullname", "homepage", "freenode", "twitter", "github"} {
		body[field] = typed.Line(form.Get(field))
	}
	if err := c.call(ctx, codeIn(form), http.MethodPost, userPath, body, nil); err != nil {
		return shown{}, err
	}
	return shown{Done: "The profile is saved."}, nil
}
