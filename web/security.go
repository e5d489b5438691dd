package web

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"html/template"
	"image/png"
	"net/http"
	"net/netip"
	"net/url"

	"github.com/pquerna/otp"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/internal/typed"
	"github.com/npmauth/npmauth/protocol"
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

	Factors      []shownFactor
	Several      bool   // there is more than one of them
	Registration string // with what a browser makes one more key, "" if it cannot
	AddsApp      bool   // an app can be enrolled
	KeysOnly     bool
	NoDomain     bool // there would be keys if the registry had a domain name
}

// A shownFactor is a second factor as the page shows it.
type shownFactor struct {
	ID, Name      string
	Created, Used *moment // nil: unknown, never
	Synced        bool
	Several       bool // it can be removed
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
	var list factorsAnswer
	if err := c.call(ctx, credential.Secret{}, http.MethodGet, factorsPath, nil, &list); err != nil {
		return page{}, err
	}
	s.fill(&state, list, c.v)
	return page{
		template: "security.html", Title: "Security", Factor: list.factors(), Data: state, images: state.QR != "", creates: state.Registration != "",
	}, nil
}

// fill sets what state says about the factors of a list.
func (s security) fill(state *securityState, list factorsAnswer, v visit) {
	state.Registration, state.KeysOnly, state.AddsApp = string(list.Registration), list.KeysOnly, !s.cfg.NoApps
	_, err := netip.ParseAddr(s.cfg.BaseURL.Hostname())
	state.NoDomain = err == nil && s.cfg.WantsKeys
	state.Several = len(list.Objects) > 1
	for _, f := range list.Objects {
		shown := shownFactor{ID: f.ID, Name: printable(f.Name), Synced: f.Synced, Several: state.Several}
		if f.Type == protocol.FactorApp {
			shown.Name = s.say("Authenticator app")
		} else {
			shown.Created = &moment{f.Created, v.client.At}
		}
		if !f.Used.IsZero() {
			shown.Used = &moment{f.Used, v.client.At}
		}
		state.Factors = append(state.Factors, shown)
	}
}

func (s security) do(ctx context.Context, c caller, form url.Values) (shown, error) {
	switch form.Get("decision") {
	case "set":
		return s.set(ctx, c, form)
	case "confirm":
		return s.confirm(ctx, c, form)
	case "password":
		return s.password(ctx, c, form)
	case "add-key":
		return s.addKey(ctx, c, form)
	case "add-app":
		return s.addApp(ctx, c, form)
	case "remove-factor":
		err := c.call(ctx, codeIn(form), http.MethodDelete, factorsPath+"/"+url.PathEscape(form.Get("id")), nil, nil)
		return shown{Done: "The second factor is removed."}, err
	case "keys-only", "any-factor":
		only := form.Get("decision") == "keys-only"
		done := "Every kind of second factor counts again."
		if only {
			done = "Only security keys count from now on."
		}
		err := c.call(ctx, codeIn(form), http.MethodPut, factorsPath, map[string]bool{"keys_only": only}, nil)
		return shown{Done: done}, err
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

// noKeyMade is for a form that was sent without the script that makes a key.
const noKeyMade problemError = "The browser has made no security key. It takes JavaScript."

// addKey adds the security key that the browser has made.
func (s security) addKey(ctx context.Context, c caller, form url.Values) (shown, error) {
	made := json.RawMessage(form.Get("made"))
	if !json.Valid(made) {
		return shown{}, noKeyMade
	}
	var answer struct {
		Recovery []string `json:"recovery"`
	}
	body := map[string]any{"type": protocol.FactorKey, "name": typed.Line(form.Get("name")), "password": form.Get("password"), "response": made}
	if err := c.call(ctx, codeIn(form), http.MethodPost, factorsPath, body, &answer); err != nil {
		return shown{}, err
	}
	done := "The security key is added."
	if len(answer.Recovery) > 0 {
		done = "Two-factor authentication is on."
	}
	return shown{Done: done, Recovery: answer.Recovery}, nil
}

// addApp begins to enrol an app for an account that has keys.
func (s security) addApp(ctx context.Context, c caller, form url.Values) (shown, error) {
	var answer struct {
		URI string `json:"uri"`
	}
	body := map[string]any{"type": protocol.FactorApp, "password": form.Get("password")}
	err := c.call(ctx, codeIn(form), http.MethodPost, factorsPath, body, &answer)
	return shown{URI: answer.URI}, err
}

// confirm turns on the factor that the page has shown the secret of.
func (s security) confirm(ctx context.Context, c caller, form url.Values) (shown, error) {
	var answer struct {
		TFA []string `json:"tfa"` // recovery codes
	}
	code := form.Get("code")
	form.Set("code", form.Get("proof")) // of an account that has keys
	body := map[string]any{"tfa": []string{typed.Code(code)}}
	if err := c.call(ctx, codeIn(form), http.MethodPost, userPath, body, &answer); err != nil {
		return shown{}, err
	}
	done := "Two-factor authentication is on."
	if form.Has("proof") {
		done = "The authenticator app is added. Recovery codes that you had before work no more."
	}
	return shown{Done: done, Recovery: answer.TFA}, nil
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
	factor, err := c.hasFactor(ctx)
	if err != nil {
		return page{}, err
	}
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
