package web

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/internal/typed"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
)

// packages is the page of what publishing a package takes.
type packages struct{ *Pages }

// accessPath returns the address of npm's API for the access to a package.
func accessPath(name protocol.PackageName) string {
	return "-/package/" + url.PathEscape(name.String()) + "/access"
}

// An accessBody is what npm access set mfa sends, whether only security keys count, whether only trusted
// publishers may publish and what is demanded of staged versions; and the part of the answer that is about these.
type accessBody struct {
	Requires  *bool `json:"publish_requires_tfa,omitempty"`
	Overrides *bool `json:"automation_token_overrides_tfa,omitempty"`
	KeysOnly  bool  `json:"keys_only"`

	PublishersOnly *bool `json:"publishers_only,omitempty"` // nil in a registry without trusted publishers
	stagingBody
}

// A stagingBody is what is demanded of staged versions, of which all is nil in a registry without.
type stagingBody struct {
	StageOnly     *bool `json:"stage_only,omitempty"`
	Approvals     *int  `json:"approvals,omitempty"`
	OtherApprover *bool `json:"other_approver,omitempty"`
}

// stagingIn returns what a form demands of staged versions: nothing, if it does not ask about them.
func stagingIn(form url.Values) (b stagingBody, err error) {
	if form.Get("staging") == "" {
		return stagingBody{}, nil
	}
	approvals, err := strconv.Atoi(strings.TrimSpace(form.Get("approvals")))
	if err != nil || approvals < 1 { // how many are too many the API says
		return stagingBody{}, problemError(notApprovals)
	}
	stageOnly, other := form.Get("stage_only") != "", form.Get("other_approver") != ""
	return stagingBody{&stageOnly, &approvals, &other}, nil
}

type accessAnswer struct {
	Public bool `json:"public"`
	accessBody
	ScopeKeysOnly bool `json:"scope_keys_only"`

	ScopePublishersOnly bool `json:"scope_publishers_only"`

	ScopeStageOnly     bool `json:"scope_stage_only"`
	ScopeApprovals     int  `json:"scope_approvals"`
	ScopeOtherApprover bool `json:"scope_other_approver"`
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
	// KeysOnly is the value of the box that says that only security keys count, "" if it is not ticked.
	// ScopeKeysOnly reports whether that is so of the whole scope.
	KeysOnly      string
	ScopeKeysOnly bool
	// Publishers reports whether the registry has trusted publishers, PublishersOnly is the value of the box
	// that says that only these may publish, and ScopePublishersOnly reports whether that is so of the scope.
	Publishers          bool
	PublishersOnly      string
	ScopePublishersOnly bool
	Staging             *stagingState // nil in a registry without
	Choices             []publishChoice
	Trust               string        // path of the page of its trusted publishers, "" if there are none here
	Own                 []packageLink // that the account may write
	More                int           // how many of those are not among them
}

// A stagingState is what the page shows of what is demanded of staged versions: the values of its fields, and
// what is so of the whole scope.
type stagingState struct {
	StageOnly, Approvals, OtherApprover string
	ScopeStageOnly, ScopeOtherApprover  bool
	ScopeApprovals                      int // 0 where it is not more than one
	Max                                 int // of Approvals
}

// staging returns what the page shows of b and the scope, nil if b says nothing.
func (a accessAnswer) staging() *stagingState {
	if a.StageOnly == nil || a.Approvals == nil || a.OtherApprover == nil {
		return nil
	}
	s := &stagingState{
		Approvals: strconv.Itoa(*a.Approvals), ScopeStageOnly: a.ScopeStageOnly, ScopeOtherApprover: a.ScopeOtherApprover, Max: policy.MaxApprovals,
	}
	if *a.StageOnly {
		s.StageOnly = "yes"
	}
	if *a.OtherApprover {
		s.OtherApprover = "yes"
	}
	if a.ScopeApprovals > 1 {
		s.ScopeApprovals = a.ScopeApprovals
	}
	return s
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
		state.Own, state.More, err = c.ownPackages(ctx)
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
	if len(p.cfg.Issuers) > 0 {
		state.Trust = p.pathOf(trustSegment) + "?package=" + url.QueryEscape(name.String())
	}
	var is accessAnswer
	err := c.call(ctx, credential.Secret{}, http.MethodGet, accessPath(name), nil, &is)
	if refused, ok := errors.AsType[*apiError](err); ok && refused.status < http.StatusInternalServerError {
		state.Problem = refused.sentence
		return nil
	}
	state.Public, state.Mode, state.ScopeKeysOnly = is.Public, is.mode(), is.ScopeKeysOnly
	if is.KeysOnly {
		state.KeysOnly = "yes"
	}
	if state.Publishers, state.ScopePublishersOnly = is.PublishersOnly != nil, is.ScopePublishersOnly; state.Publishers && *is.PublishersOnly {
		state.PublishersOnly = "yes"
	}
	state.Staging = is.staging()
	return err
}

// ownPackages returns links to the page of c about the packages that the account may write, as npm access
// list packages has them, and how many more there are. A registry need not serve that list, so that without
// one the page only has none.
func (c caller) ownPackages(ctx context.Context) (own []packageLink, more int, err error) {
	var rights map[string]string
	err = c.call(ctx, credential.Secret{}, http.MethodGet, "-/user/"+url.PathEscape(c.v.member.Name)+"/package", nil, &rights)
	if errors.Is(err, errSignedOut) || ctx.Err() != nil {
		return nil, 0, err
	}
	if err != nil {
		rights = nil // some of which may have been read
	}
	for _, text := range slices.Sorted(maps.Keys(rights)) {
		name, ok := packageOf(text)
		if !ok || rights[text] != "write" && rights[text] != "read-write" {
			continue
		}
		if len(own) == maxListed {
			more++
			continue
		}
		own = append(own, packageLink{name.String(), c.v.path + "?package=" + url.QueryEscape(name.String())})
	}
	return own, more, nil
}

const (
	notPackage   = "That is not the name of a package."
	notApprovals = "Say how many people must approve, as a number."
)

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
	body := accessBody{Requires: &requires, KeysOnly: form.Get("keys_only") != ""}
	if form.Get("publishers") != "" {
		only := form.Get("publishers_only") != ""
		body.PublishersOnly = &only
	}
	var err error
	if body.stagingBody, err = stagingIn(form); err != nil {
		return shown{}, err
	}
	if requires {
		overrides := mode == protocol.FactorOrBypass
		body.Overrides = &overrides
	}
	if err := c.call(ctx, codeIn(form), http.MethodPost, accessPath(name), body, nil); err != nil {
		return shown{}, err
	}
	return shown{Done: p.say("The publishing access of %s is changed.", name), Package: name.String()}, nil
}
