package web

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/internal/typed"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/trust"
)

// trusted is the page of the trusted publishers of a package, or of all packages in the scope of an organization. To see them
// takes a second factor, as npm trust list does: what that answers, and a check, which change nothing, are the answer to the form itself.
type trusted struct{ *Pages }

// trustSegment is the path segment of the page.
const trustSegment = "trust"

// A trustTarget is what the page is about: a package, or the scope of an organization.
type trustTarget struct {
	pkg protocol.PackageName
	org string // "" is none
}

// String returns the name of the package or the scope.
func (o trustTarget) String() string {
	if o.org != "" {
		return "@" + o.org
	}
	return o.pkg.String()
}

// path returns the address of the API for the trusted publishers.
func (o trustTarget) path() string {
	if o.org != "" {
		return orgsPath + "/" + url.PathEscape(o.org) + "/trust"
	}
	return "-/package/" + url.PathEscape(o.pkg.String()) + "/trust"
}

// query returns the values by which the page is told of o.
func (o trustTarget) query() url.Values {
	if o.org != "" {
		return url.Values{"org": {o.org}}
	}
	return url.Values{"package": {o.pkg.String()}}
}

// shown returns what is shown of o from then on.
func (o trustTarget) shown(done string, read any) shown {
	if o.org != "" {
		return shown{Done: done, Org: o.org, Read: read}
	}
	return shown{Done: done, Package: o.pkg.String(), Read: read}
}

const notOrg = "That is not the name of an organization."

// trustTargetOf returns what two texts name, of which org is "" for a package, or why they name nothing.
func trustTargetOf(pkg, org string) (o trustTarget, problem string) {
	if org != "" {
		o.org = strings.TrimPrefix(org, "@")
		if !protocol.ValidOrg(o.org) {
			return trustTarget{}, notOrg
		}
		return o, ""
	}
	name, ok := packageOf(pkg)
	if !ok {
		return trustTarget{}, notPackage
	}
	return trustTarget{pkg: name}, ""
}

// A selfAnswer is what GET /-/auth/v1/self says of an action.
type selfAnswer struct {
	Explanation struct {
		Effect  policy.Effect `json:"effect"`
		Reasons []struct {
			Sentence string `json:"sentence"`
			Remedy   string `json:"remedy"`
		} `json:"reasons"`
	} `json:"explanation"`
}

// A checkAnswer is that of POST /-/auth/v1/trust/<pkg>/check.
type checkAnswer struct {
	Problem    string `json:"problem"`
	Used       bool   `json:"used"`
	Publishers []struct {
		Publisher   publisherAnswer `json:"publisher"`
		Matches     bool            `json:"matches"`
		Differences []struct {
			Claim     string `json:"claim"`
			Reason    string `json:"reason"`
			Expected  string `json:"expected"`
			Presented string `json:"presented"`
		} `json:"differences"`
	} `json:"publishers"`
}

// A trustState is what the page shows.
type trustState struct {
	Package  string // that it is about, "" if it is about none
	Org      string // or else the organization whose scope it is about
	Name     string // of the package or the scope, "" if it is about nothing that there could be
	Problem  string // why it is not shown
	Access   string // path of the page of its publishing access, or of the organization
	Security string // path of the page of second factors
	At       string // the part that comes first, which has the form that was sent: list, add or check; "": none

	Publishers *[]shownPublisher // nil: they are not listed
	Remove     *shownPublisher   // whose removal was not accepted

	Systems     []systemLink
	System      string // the form's
	Fields      []shownField
	Permissions []shownBox
	MoreOpen    bool // what few need is shown

	Checked *shownCheck

	Own  []packageLink // that the account may write
	Left int           // how many of those are not among them
}

// More returns the fields that few need.
func (s trustState) More() (fields []shownField) {
	for _, f := range s.Fields {
		if f.More {
			fields = append(fields, f)
		}
	}
	return fields
}

// HasPublishers reports whether one is listed.
func (s trustState) HasPublishers() bool { return s.Publishers != nil && len(*s.Publishers) > 0 }

// A systemLink leads to the form for a system.
type systemLink struct {
	Name, Path string
	Here       bool
}

// A shownField is a field of the form with what is in it.
type shownField struct {
	trustField
	ID, Value string
}

// A shownBox is a permission of the form.
type shownBox struct {
	Name, Text, Hint string
	Ticked           bool
}

// A shownCheck is what a check has found.
type shownCheck struct {
	Problem    string // why an ID token is not valid
	Used       bool   // it was exchanged for the package
	Token      bool   // and not only claims
	Publishers []checkedPublisher
}

// A checkedPublisher is a publisher with the claims in which it differs from what was checked.
type checkedPublisher struct {
	Title       string
	Matches     bool
	Differences []difference
}

// A difference is a claim, and two of its values.
type difference struct{ Claim, Expected, Presented string }

func (t trusted) show(ctx context.Context, c caller) (page, error) {
	factor, err := c.hasFactor(ctx)
	if err != nil {
		return page{}, err
	}
	state := &trustState{Security: t.pathOf("security")}
	state.Package, state.Org = trustTargetIn(c)
	read, _ := c.v.shown.Read.(trustRead)
	if c.v.shown.Read != nil {
		state.Package, state.Org = c.v.shown.Package, c.v.shown.Org
	}
	var target trustTarget
	if state.Package != "" || state.Org != "" {
		target, state.Problem = trustTargetOf(state.Package, state.Org)
		state.Problem = t.say(state.Problem)
		if state.Problem == "" {
			err = t.read(ctx, c, target, state)
		}
	}
	if err == nil && state.Name != "" && state.Problem == "" {
		state.Publishers, state.Checked = read.publishers, read.checked
		t.fillIn(c, target, state)
	}
	if err == nil {
		state.Own, state.Left, err = c.ownPackages(ctx)
	}
	return page{template: "trust.html", Title: "Trusted publishers", Factor: factor, Data: state}, err
}

// trustTargetIn returns the package that the visitor has typed or followed a link to, or else the organization.
func trustTargetIn(c caller) (pkg, org string) {
	for _, in := range []url.Values{c.r.URL.Query(), c.r.PostForm, {"package": {c.v.shown.Package}, "org": {c.v.shown.Org}}} {
		if org = printable(typed.Line(in.Get("org"))); org != "" {
			return "", org
		}
		if pkg = printable(typed.Line(in.Get("package"))); pkg != "" {
			return pkg, ""
		}
	}
	return "", ""
}

// read sets why the person may not see the publishers, if so: what the API would answer. It does not ask for
// them, which takes a second factor.
func (t trusted) read(ctx context.Context, c caller, target trustTarget, state *trustState) error {
	state.Name = target.String()
	query, action := target.query(), protocol.ReadTrust
	state.Access = t.pathOf("packages") + "?" + query.Encode()
	if target.org != "" {
		state.Org, action = target.org, protocol.ReadOrgTrust
		state.Access = t.pathOf("orgs")
	} else {
		state.Package = state.Name
	}
	query.Set("action", action.String())
	var is selfAnswer
	err := c.call(ctx, credential.Secret{}, http.MethodGet, "-/auth/v1/self?"+query.Encode(), nil, &is)
	if refuses(err) {
		refused, _ := errors.AsType[*apiError](err)
		state.Problem = refused.sentence
		return nil
	}
	if err != nil || is.Explanation.Effect != policy.Deny {
		return err
	}
	for _, why := range is.Explanation.Reasons {
		state.Problem = strings.TrimSpace(state.Problem + " " + why.Sentence + " " + why.Remedy)
	}
	state.Problem = cmp.Or(state.Problem, t.say("You may not see the trusted publishers of %s.", state.Name))
	return nil
}

// fillIn fills in the form for a new publisher, and what another form had that was not accepted.
func (t trusted) fillIn(c caller, target trustTarget, state *trustState) {
	form := c.r.PostForm
	decision, id, _ := strings.Cut(form.Get("decision"), ":")
	switch decision {
	case "list", "add", "check":
		state.At = decision
	case "remove":
		state.At = "list"
		state.Remove = &shownPublisher{ID: id, Title: printable(form.Get("title"))}
	case "":
		if c.r.URL.Query().Has("system") {
			state.At = "add"
		}
	}
	systems := ciSystems(t.cfg.Issuers)
	s := systems[0]
	if i := systemIn(systems, cmp.Or(form.Get("system"), c.r.URL.Query().Get("system"))); i >= 0 {
		s = systems[i]
	}
	state.System = s.Key
	for _, one := range systems {
		query := target.query()
		query.Set("system", one.Key)
		state.Systems = append(state.Systems, systemLink{t.say(one.Name), c.v.path + "?" + query.Encode(), one.Key == s.Key})
	}
	sent := decision == "add"
	state.MoreOpen = sent // what is wrong may be there
	for i, f := range s.fields {
		if s.kind != trust.KindCustom {
			f.Label = t.say(f.Label)
		}
		f.Hint = t.say(f.Hint)
		value := f.Usual
		if sent {
			value = form.Get(f.Name)
		}
		state.Fields = append(state.Fields, shownField{f, "field-" + strconv.Itoa(i), printable(value)})
	}
	for _, one := range trustPermissions {
		name := permissionField(one.Word)
		ticked := one.Word == "createStagedPackage"
		if sent {
			ticked = form.Get(name) != ""
		}
		state.Permissions = append(state.Permissions, shownBox{name, t.say(one.Text), t.say(one.Hint), ticked})
	}
}

func systemIn(systems []ciSystem, key string) int {
	return slices.IndexFunc(systems, func(s ciSystem) bool { return s.Key == key })
}

// A trustRead is what the API has answered to a form that changes nothing.
type trustRead struct {
	publishers *[]shownPublisher
	checked    *shownCheck
}

func (t trusted) do(ctx context.Context, c caller, form url.Values) (shown, error) {
	target, problem := trustTargetOf(typed.Line(form.Get("package")), typed.Line(form.Get("org")))
	if problem != "" {
		return shown{}, problemError(problem)
	}
	switch decision, id, _ := strings.Cut(form.Get("decision"), ":"); {
	case decision == "list":
		return t.list(ctx, c, form, target)
	case decision == "add":
		return t.add(ctx, c, form, target)
	case decision == "remove" && validID(id):
		if err := c.call(ctx, codeIn(form), http.MethodDelete, target.path()+"/"+id, nil, nil); err != nil {
			return shown{}, err
		}
		return target.shown(t.say("The trusted publisher of %s is removed, and the tokens that its jobs had are dead.", target), nil), nil
	case decision == "check" && target.org == "":
		return t.check(ctx, c, form, target)
	}
	return shown{}, errMalformed
}

// list reads the publishers.
func (t trusted) list(ctx context.Context, c caller, form url.Values, target trustTarget) (shown, error) {
	var list []publisherAnswer
	if err := c.call(ctx, codeIn(form), http.MethodGet, target.path(), nil, &list); err != nil {
		return shown{}, err
	}
	all := []shownPublisher{}
	for _, one := range list {
		p := t.publisher(one, c.v.client.At)
		if scope := one.text("scope"); scope != "" && target.org == "" {
			p.Scope, p.ScopePath = scope, t.pathOf(trustSegment)+"?"+trustTarget{org: scope}.query().Encode()
		}
		all = append(all, p)
	}
	return target.shown("", trustRead{publishers: &all}), nil
}

// add adds a publisher of what the form says. What the rules do not allow the API refuses.
func (t trusted) add(ctx context.Context, c caller, form url.Values, target trustTarget) (shown, error) {
	systems := ciSystems(t.cfg.Issuers)
	i := systemIn(systems, form.Get("system"))
	if i < 0 {
		return shown{}, errMalformed
	}
	if !slices.ContainsFunc(trustPermissions, func(p trustPermission) bool { return form.Get(permissionField(p.Word)) != "" }) {
		return shown{}, problemError("Choose what the publisher may do.")
	}
	var added []publisherAnswer
	err := c.call(ctx, codeIn(form), http.MethodPost, target.path(), systems[i].body(form), &added)
	if refused, ok := errors.AsType[*apiError](err); ok {
		refused.sentence = systems[i].said(refused.sentence)
	}
	if err != nil {
		return shown{}, err
	}
	s := target.shown(t.say("The trusted publisher of %s is added.", target), nil)
	if len(added) == 1 {
		s.Done = t.say("%s is a trusted publisher of %s now.", t.publisher(added[0], time.Time{}).Title, target)
		if added[0].text("pending") == "true" {
			s.Done = t.say("%s is a pending trusted publisher of %s now: its next job creates the package for you.", t.publisher(added[0], time.Time{}).Title, target)
		}
	}
	return s, nil
}

// notPresented says what cannot be checked. It does not repeat what it was: that may be an ID token.
const notPresented = "That is neither an ID token nor an object of claims that has iss."

// check compares an ID token, or claims, with the publishers.
func (t trusted) check(ctx context.Context, c caller, form url.Values, target trustTarget) (shown, error) {
	text := strings.TrimSpace(form.Get("presented"))
	body := map[string]any{}
	token := !strings.HasPrefix(text, "{")
	switch {
	case token:
		body["id_token"] = strings.Join(strings.Fields(text), "") // a terminal may have broken it
	case json.Valid([]byte(text)):
		body["claims"] = json.RawMessage(text)
	default:
		return shown{}, problemError(notPresented)
	}
	var is checkAnswer
	err := c.call(ctx, codeIn(form), http.MethodPost, "-/auth/v1/trust/"+url.PathEscape(target.pkg.String())+"/check", body, &is)
	if refused, ok := errors.AsType[*apiError](err); ok && refused.code == "bad-check" {
		refused.sentence = t.say(notPresented)
	}
	if err != nil {
		return shown{}, err
	}
	return target.shown("", trustRead{checked: t.checked(is, token)}), nil
}

// checked returns in words what a check has found.
func (t trusted) checked(is checkAnswer, token bool) *shownCheck {
	check := &shownCheck{Used: is.Used, Token: token}
	if is.Problem != "" {
		_, why, _ := strings.Cut(printable(is.Problem), "token: ") // the rest is for a log
		check.Problem = cmp.Or(why, printable(is.Problem))
	}
	for _, one := range is.Publishers {
		checked := checkedPublisher{Title: t.publisher(one.Publisher, time.Time{}).Title, Matches: one.Matches}
		for _, d := range one.Differences {
			presented := printable(d.Presented)
			switch d.Reason {
			case "missing":
				presented = t.say("nothing")
			case "malformed":
				presented = t.say("%s, which is malformed", presented)
			}
			checked.Differences = append(checked.Differences, difference{printable(d.Claim), printable(d.Expected), presented})
		}
		check.Publishers = append(check.Publishers, checked)
	}
	return check
}
