package web

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/internal/typed"
	"github.com/npmauth/npmauth/protocol"
)

// packages is the page of what publishing a package takes.
type packages struct{ *Pages }

// accessPath returns the address of npm's API for the access to a package.
func accessPath(name protocol.PackageName) string {
	return "-/package/" + url.PathEscape(name.String()) + "/access"
}

// An accessBody is what npm access set mfa sends, and the part of the answer that is about it.
type accessBody struct {
	Requires  *bool `json:"publish_requires_tfa,omitempty"`
	Overrides *bool `json:"automation_token_overrides_tfa,omitempty"`
}

type accessAnswer struct {
	Public bool `json:"public"`
	accessBody
}

// mode returns npm's word for the setting, "" where the account is not shown it.
func (a accessAnswer) mode() string {
	switch {
	case a.Requires == nil:
		return ""
	case !*a.Requires:
		return protocol.NoFactor.String()
	case a.Overrides != nil && *a.Overrides:
		return protocol.FactorOrBypass.String()
	}
	return protocol.FactorOnly.String()
}

// A publishChoice is one of what publishing can take.
type publishChoice struct {
	Mode string // npm's word
	Text string
}

// publishChoices are in the order and in the words of npmjs.com.
var publishChoices = []publishChoice{
	{protocol.NoFactor.String(), "Two-factor authentication is not required"},
	{protocol.FactorOrBypass.String(), "Require two-factor authentication or an automation or granular access token"},
	{protocol.FactorOnly.String(), "Require two-factor authentication and disallow tokens"},
}

// publishText returns what publishing takes, of npm's word for it.
func publishText(mode string) string {
	for _, choice := range publishChoices {
		if choice.Mode == mode {
			return choice.Text
		}
	}
	return mode
}

// maxListed is how many packages of an account the page links.
const maxListed = 500

// A packageLink leads to the page about a package.
type packageLink struct{ Name, Path string }

// A packageState is what the page shows.
type packageState struct {
	Package string // that it is about, "" if it is about none
	Problem string // why it is not shown
	Public  bool
	Mode    string // npm's word, "" where the account may not write the package
	Choices []publishChoice
	Own     []packageLink // that the account may write
	More    int           // how many of those are not among them
}

func (p packages) show(ctx context.Context, c caller) (page, error) {
	factor, err := c.hasFactor(ctx)
	if err != nil {
		return page{}, err
	}
	state := packageState{Package: printable(packageIn(c))}
	for _, choice := range publishChoices {
		state.Choices = append(state.Choices, publishChoice{choice.Mode, p.say(choice.Text)})
	}
	if state.Package != "" {
		err = p.read(ctx, c, &state)
	}
	if err == nil {
		err = p.list(ctx, c, &state)
	}
	return page{template: "packages.html", Title: "Packages", Factor: factor, Data: state}, err
}

// packageIn returns what the visitor has typed or followed a link to.
func packageIn(c caller) string {
	for _, name := range []string{c.r.URL.Query().Get("package"), c.r.PostForm.Get("package"), c.v.shown.Package} {
		if name = typed.Line(name); name != "" {
			return name
		}
	}
	return ""
}

// packageOf returns the package of a name, and whether it is one.
func packageOf(text string) (protocol.PackageName, bool) {
	name, err := protocol.ParsePackageName(text)
	return name, err == nil
}

// read fills in what the API says of the package.
func (p packages) read(ctx context.Context, c caller, state *packageState) error {
	name, ok := packageOf(state.Package)
	if !ok {
		state.Problem = p.say(notPackage)
		return nil
	}
	state.Package = name.String()
	var is accessAnswer
	err := c.call(ctx, credential.Secret{}, http.MethodGet, accessPath(name), nil, &is)
	if refused, ok := errors.AsType[*apiError](err); ok && refused.status < http.StatusInternalServerError {
		state.Problem = refused.sentence
		return nil
	}
	state.Public, state.Mode = is.Public, is.mode()
	return err
}

// list fills in the packages that the account may write, as npm access list packages has them. A
// registry need not serve that list, so that without one the page only has none.
func (p packages) list(ctx context.Context, c caller, state *packageState) error {
	var rights map[string]string
	err := c.call(ctx, credential.Secret{}, http.MethodGet, "-/user/"+url.PathEscape(c.v.member.Name)+"/package", nil, &rights)
	if errors.Is(err, errSignedOut) || ctx.Err() != nil {
		return err
	}
	if err != nil {
		rights = nil // some of which may have been read
	}
	for _, text := range slices.Sorted(maps.Keys(rights)) {
		name, ok := packageOf(text)
		if !ok || rights[text] != "write" && rights[text] != "read-write" {
			continue
		}
		if len(state.Own) == maxListed {
			state.More++
			continue
		}
		state.Own = append(state.Own, packageLink{name.String(), c.v.path + "?package=" + url.QueryEscape(name.String())})
	}
	return nil
}

const notPackage = "That is not the name of a package."

func (p packages) do(ctx context.Context, c caller, form url.Values) (shown, error) {
	if form.Get("decision") != "set" {
		return shown{}, errMalformed
	}
	name, ok := packageOf(typed.Line(form.Get("package")))
	if !ok {
		return shown{}, problemError(notPackage)
	}
	var mode protocol.PublishMode
	if err := mode.UnmarshalText([]byte(form.Get("mode"))); err != nil {
		return shown{}, problemError("Choose what publishing takes.")
	}
	requires := mode != protocol.NoFactor
	body := accessBody{Requires: &requires}
	if requires {
		overrides := mode == protocol.FactorOrBypass
		body.Overrides = &overrides
	}
	if err := c.call(ctx, codeIn(form), http.MethodPost, accessPath(name), body, nil); err != nil {
		return shown{}, err
	}
	return shown{Done: p.say("The publishing access of %s is changed.", name), Package: name.String()}, nil
}
