package web

import (
	"context"
	"net/http"
	"net/url"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/protocol"
)

// orgs is the page of the organizations that an account is in.
type orgs struct{ *Pages }

const orgsPath = "-/auth/v1/orgs"

type orgAnswer struct {
	Name     string `json:"name"`
	Role     string `json:"role"`
	Requires bool   `json:"require_2fa"`
	MaySet   bool   `json:"may_set_2fa"`
}

// Shown returns the name as the page shows it.
func (o orgAnswer) Shown() string { return printable(o.Name) }

func (o orgs) show(ctx context.Context, c caller) (page, error) {
	var list struct {
		Objects []orgAnswer `json:"objects"`
	}
	if err := c.call(ctx, credential.Secret{}, http.MethodGet, orgsPath, nil, &list); err != nil {
		return page{}, err
	}
	factor, err := c.hasFactor(ctx)
	if err != nil {
		return page{}, err
	}
	return page{template: "orgs.html", Title: "Organizations", Factor: factor, Data: list.Objects}, nil
}

func (o orgs) do(ctx context.Context, c caller, form url.Values) (shown, error) {
	name, decision := form.Get("org"), form.Get("decision")
	if !protocol.ValidOrg(name) || decision != "require" && decision != "free" {
		return shown{}, errMalformed
	}
	require := decision == "require"
	body := map[string]bool{"require_2fa": require}
	if err := c.call(ctx, codeIn(form), http.MethodPut, orgsPath+"/"+url.PathEscape(name), body, nil); err != nil {
		return shown{}, err
	}
	if require {
		return shown{Done: o.say("%s requires two-factor authentication of its members now.", name)}, nil
	}
	return shown{Done: o.say("%s does not require two-factor authentication any more.", name)}, nil
}
