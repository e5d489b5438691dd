package api

import (
	"net/http"
	"net/netip"
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

// self answers GET /-/auth/v1/self: who asks, with what, and what it may do. With
// ?package=<name> it also says what would become of every operation on that package,
// if it were tried now, and why.
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
	if r.URL.Query().Has("package") {
		if answer.Package, err = a.selfPackage(r, q); err != nil {
			return reply{}, err
		}
	}
	rep := ok(answer)
	rep.notice(a.ExpiryNotice(r.Context(), q.Actor, q.Now))
	return rep, nil
}

func (a *API) selfPackage(r *http.Request, q *authz.Request) (*selfPackage, error) {
	name, err := protocol.ParsePackageName(r.URL.Query().Get("package"))
	if err != nil {
		return nil, &wire.Error{Status: http.StatusBadRequest, Code: "bad-package", Sentence: "package must be the name of a package."}
	}
	// As for a write: what is read here decides what somebody tries next.
	req := q.Request
	req.Operation = protocol.Operation{Action: protocol.Publish, Package: name}
	if _, err := a.Consult(r.Context(), &req); err != nil {
		return nil, err
	}
	p := &selfPackage{Name: name.String(), Actions: map[string]selfVerdict{}}
	for _, action := range protocol.Actions() {
		if !action.OfPackage() || action == protocol.WritePackument { // which is one of the others
			continue
		}
		req.Operation.Action = action
		d := a.Policy().Decide(req)
		v := selfVerdict{Effect: d.Effect}
		for _, why := range d.Reasons {
			v.Reasons = append(v.Reasons, selfReason{why.Code, why.Sentence, why.Remedy})
		}
		p.Actions[action.String()] = v
	}
	return p, nil
}
