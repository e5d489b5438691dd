package web

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
)

// orgs is the page of the organizations that an account is in, and of the scope of its own name.
type orgs struct{ *Pages }

const orgsPath = "-/auth/v1/orgs"

type orgAnswer struct {
	Name     string `json:"name"`
	Role     string `json:"role"`
	Own      bool   `json:"own"`
	Requires bool   `json:"require_2fa"`
	MaySet   bool   `json:"may_set_2fa"`

	KeysOnly       bool `json:"keys_only"`
	MaySetKeysOnly bool `json:"may_set_keys_only"`

	PublishersOnly       bool `json:"publishers_only"`
	MaySetPublishersOnly bool `json:"may_set_publishers_only"`

	StageOnly     bool `json:"stage_only"`
	Approvals     int  `json:"approvals"` // 0 in a registry without staging
	OtherApprover bool `json:"other_approver"`
	MaySetStaging bool `json:"may_set_staging"`

	Typed stagingTyped `json:"-"`
	Trust string       `json:"-"` // path of the page of the scope's trusted publishers, "" if there are none here, or it is no organization's, or who reads does not own that
}

// stagingTyped are the values of the form about staged versions.
type stagingTyped struct {
	StageOnly, OtherApprover bool
	Approvals                string
}

// MaxApprovals is how many approvals can be asked for at most.
func (orgAnswer) MaxApprovals() int { return policy.MaxApprovals }

// Shown returns the name as the page shows it.
func (o orgAnswer) Shown() string {
	if o.Own {
		return "@" + printable(o.Name)
	}
	return printable(o.Name)
}

func (o orgs) show(ctx context.Context, c caller) (page, error) {
	var list struct {
		Objects []orgAnswer `json:"objects"`
	}
	if err := c.call(ctx, credential.Secret{}, http.MethodGet, orgsPath, nil, &list); err != nil {
		return page{}, err
	}
	for i := range list.Objects {
		is := &list.Objects[i]
		if len(o.cfg.Issuers) > 0 && !is.Own && is.Role == protocol.OrgOwner.String() {
			is.Trust = o.pathOf(trustSegment) + "?" + trustTarget{org: is.Name}.query().Encode()
		}
		is.Typed = stagingTyped{is.StageOnly, is.OtherApprover, strconv.Itoa(is.Approvals)}
		if f := c.r.PostForm; f.Get("decision") == "staging" && f.Get("org") == is.Name { // it was not accepted
			is.Typed = stagingTyped{f.Get("stage_only") != "", f.Get("other_approver") != "", printable(f.Get("approvals"))}
		}
	}
	factor, err := c.hasFactor(ctx)
	if err != nil {
		return page{}, err
	}
	return page{template: "orgs.html", Title: "Organizations", Factor: factor, Data: list.Objects}, nil
}

// orgDecisions are what an owner can decide: the body of the API's request, nil if the form has it, and what
// is said of it when it is done.
var orgDecisions = map[string]struct {
	body map[string]bool
	done string
}{
	"require": {map[string]bool{"require_2fa": true}, "%s requires two-factor authentication of its members now."},
	"free":    {map[string]bool{"require_2fa": false}, "%s does not require two-factor authentication any more."},
	"keys":    {map[string]bool{"keys_only": true}, "Only security keys count for %s and the packages in its scope now."},
	"any":     {map[string]bool{"keys_only": false}, "Every kind of second factor counts for %s and the packages in its scope again."},

	"publishers": {map[string]bool{"publishers_only": true}, "Only trusted publishers may publish the packages in the scope of %s now."},
	"staging":    {nil, "What is demanded of staged versions in the scope of %s is changed."},
	"everybody":  {map[string]bool{"publishers_only": false}, "People may publish the packages in the scope of %s again."},
}

// ownDone is what is said of the scope of the user's own name in place of that.
var ownDone = map[string]string{
	"keys":       "Only security keys count for the packages in your scope now.",
	"any":        "Every kind of second factor counts for the packages in your scope again.",
	"publishers": "Only trusted publishers may publish the packages in your scope now.",
	"staging":    "What is demanded of staged versions in your scope is changed.",
	"everybody":  "You may publish the packages in your scope again.",
}

func (o orgs) do(ctx context.Context, c caller, form url.Values) (shown, error) {
	name := form.Get("org")
	decision, ok := orgDecisions[form.Get("decision")]
	if !protocol.ValidOrg(name) || !ok {
		return shown{}, errMalformed
	}
	var body any = decision.body
	if decision.body == nil {
		staging, err := stagingIn(form)
		if err != nil {
			return shown{}, err
		}
		body = staging
	}
	if err := c.call(ctx, codeIn(form), http.MethodPut, orgsPath+"/"+url.PathEscape(name), body, nil); err != nil {
		return shown{}, err
	}
	if done := ownDone[form.Get("decision")]; done != "" && form.Get("own") != "" {
		return shown{Done: o.say(done)}, nil
	}
	return shown{Done: o.say(decision.done, name)}, nil
}
