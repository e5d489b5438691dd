package api

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/npmauth/npmauth/internal/authz"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/wire"
)

// A selfAnswer is what GET /-/auth/v1/self says.
type selfAnswer struct {
	Username   string         `json:"username"`
	TwoFactor  string         `json:"two_factor"`
	CIDR       []netip.Prefix `json:"cidr"` // of the account, beside the credential's own; empty: from anywhere
	Credential selfCredential `json:"credential"`
	Package    *selfPackage   `json:"package,omitempty"`
	Explained  *explained     `json:"explanation,omitempty"`
}

type selfCredential struct {
	ID      string           `json:"id"`
	Kind    policy.Kind      `json:"kind"`
	Created time.Time        `json:"created"`
	Expires *time.Time       `json:"expires"` // null: never
	CIDR    []netip.Prefix   `json:"cidr"`    // empty: from anywhere
	Bypass  bool             `json:"bypass_2fa"`
	Grants  []protocol.Grant `json:"grants"` // null for a session, which has all that its user may
}

type selfPackage struct {
	Name    string                 `json:"name"`
	Actions map[string]selfVerdict `json:"actions"`
}

type selfVerdict struct {
	Effect  policy.Effect `json:"effect"`
	Reasons []selfReason  `json:"reasons,omitempty"`
}

type selfReason struct {
	Code     string `json:"code"`
	Sentence string `json:"sentence"`
	Remedy   string `json:"remedy,omitempty"`
}

// An explained action is one with what the rules said that are about it.
type explained struct {
	Action protocol.Action `json:"action"`
	selfVerdict
	Rules []selfRule `json:"rules"`
}

type selfRule struct {
	Rule     string         `json:"rule"`
	Own      bool           `json:"own"` // of this registry: not one of npm's
	Verdict  policy.Verdict `json:"verdict"`
	Sentence string         `json:"sentence"`
}

// self answers GET /-/auth/v1/self: who asks, with what, and what it may do. With
// ?package=<name> it also says what would become of every operation on that package,
// if it were tried now, and why. With &action=<action> it explains that one instead, rule by rule,
// and with &rules=own by the rules only that are not npm's. An action on an organization takes
// &org=<name>, one on the tokens of a service account &service=<name>, and one on the account none of these:
// what the action does not take is refused.
func (a *API) self(r *http.Request, op protocol.Operation) (reply, error) {
	q, err := a.CheckRead(r, op)
	if err != nil {
		return reply{}, err
	}
	cred := q.Actor.Credential
	answer := selfAnswer{
		Username: q.Account.Name, TwoFactor: q.Account.TwoFactor.String(),
		CIDR: append([]netip.Prefix{}, q.Account.CIDRs...),
		Credential: selfCredential{
			ID: cred.ID, Kind: cred.Kind, Created: cred.Created, CIDR: append([]netip.Prefix{}, cred.CIDRs...), Bypass: cred.Bypass,
		},
	}
	if !cred.Expires.IsZero() {
		answer.Credential.Expires = &cred.Expires
	}
	if cred.Kind != policy.KindSession {
		answer.Credential.Grants = append([]protocol.Grant{}, cred.Grants...)
	}
	query := r.URL.Query()
	switch {
	case query.Has("action"):
		answer.Explained, err = a.explain(r.Context(), q, query)
	case query.Has("package"):
		answer.Package, err = a.selfPackage(r.Context(), q, query.Get("package"))
	}
	if err != nil {
		return reply{}, err
	}
	rep := ok(answer)
	rep.notice(a.ExpiryNotice(r.Context(), q.Actor, q.Now))
	return rep, nil
}

func (a *API) selfPackage(ctx context.Context, q *authz.Request, text string) (*selfPackage, error) {
	name, err := protocol.ParsePackageName(text)
	if err != nil {
		return nil, errSelfPackage
	}
	// As for a write: what is read here decides what somebody tries next.
	one := *q
	one.Operation = protocol.Operation{Action: protocol.Publish, Package: name}
	if one.Service, err = a.Consult(ctx, &one.Request); err != nil {
		return nil, err
	}
	p := &selfPackage{Name: name.String(), Actions: map[string]selfVerdict{}}
	for _, action := range protocol.Actions() {
		if !action.OfPackage() || action == protocol.WritePackument { // which is one of the others
			continue
		}
		one.Operation.Action = action
		p.Actions[action.String()], _ = a.verdict(&one)
	}
	return p, nil
}

// explain says what would become of an action, and by which rules.
func (a *API) explain(ctx context.Context, q *authz.Request, query url.Values) (*explained, error) {
	one := *q
	one.Operation = protocol.Operation{Org: query.Get("org"), Service: query.Get("service")}
	action, err := &one.Operation.Action, error(nil)
	switch err = action.UnmarshalText([]byte(query.Get("action"))); {
	case err != nil, *action == protocol.WritePackument:
		return nil, errSelfAction
	case query.Has("package") && !action.OfPackage() && *action != protocol.GrantTeam && !ofStaged(*action),
		query.Has("org") && !action.OfOrg(), query.Has("service") && !action.OfService():
		return nil, errSelfOther // no request is so, and no rule was made for what it would tell
	case query.Has("package"):
		if one.Operation.Package, err = protocol.ParsePackageName(query.Get("package")); err != nil {
			return nil, errSelfPackage
		}
	}
	if query.Has("rules") && query.Get("rules") != "own" {
		return nil, errSelfRules
	}
	if one.Service, err = a.Consult(ctx, &one.Request); err != nil {
		return nil, err
	}
	verdict, trace := a.verdict(&one)
	if query.Has("rules") {
		trace = trace.Own()
	}
	e := &explained{Action: *action, selfVerdict: verdict, Rules: []selfRule{}}
	for _, s := range trace.Steps {
		if s.Applies {
			e.Rules = append(e.Rules, selfRule{s.Rule, s.Own, s.Verdict, s.Sentence})
		}
	}
	return e, nil
}

// ofStaged reports whether an action is about a staged version, which has a package.
func ofStaged(a protocol.Action) bool {
	return a == protocol.ReadStaged || a == protocol.ApproveStaged || a == protocol.RejectStaged
}

// verdict says what would become of q, as its sender may know it.
func (a *API) verdict(q *authz.Request) (v selfVerdict, t policy.Trace) {
	t = q.ExplainToSender()
	d, err := a.Decide(q)
	v.Effect = d.Effect
	for _, why := range d.Reasons {
		v.Reasons = append(v.Reasons, selfReason{why.Code, why.Sentence, why.Remedy})
	}
	if refused, ok := errors.AsType[*wire.Error](err); ok { // the policy would allow it, and nothing serves it
		v.Effect, v.Reasons = policy.Deny, []selfReason{{Code: refused.Code, Sentence: refused.Sentence}}
	}
	return v, t
}

var (
	errSelfPackage = &wire.Error{Status: http.StatusBadRequest, Code: "bad-package", Sentence: "package must be the name of a package."}
	errSelfAction  = &wire.Error{Status: http.StatusBadRequest, Code: "bad-action", Sentence: "action must be one of the actions that this registry knows: publish, for instance."}
	errSelfOther   = &wire.Error{Status: http.StatusBadRequest, Code: "bad-action", Sentence: "The action is not about a package, an organization or a service account that the query names."}
	errSelfRules   = &wire.Error{Status: http.StatusBadRequest, Code: "bad-rules", Sentence: "rules must be own, or be left out."}
)
