package api

import (
	"net/http"
	"strconv"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/wire"
)

// listOrgs answers GET /-/auth/v1/orgs: which organizations the account of the request is in. It is
// not npm's.
func (a *API) listOrgs(r *http.Request, op protocol.Operation) (reply, error) {
	q, err := a.CheckRead(r, op)
	if err != nil {
		return reply{}, err
	}
	list, err := a.Memberships.Memberships(r.Context(), q.Actor.Credential.User)
	if err != nil {
		return reply{}, err
	}
	objects := make([]wire.Org, 0, len(list))
	for _, in := range list {
		if in.Role == protocol.NoRole || in.Role > protocol.OrgOwner {
			continue // who has no role is in no organization
		}
		objects = append(objects, wire.Org{
			Name: in.Org, Role: wire.RoleWord(in.Role), Require2FA: in.RequireFactor, MaySet2FA: a.FactorRules != nil && in.Role == protocol.OrgOwner,
		})
	}
	return ok(map[string]any{"objects": objects, "urls": map[string]string{}}), nil
}

// setOrgFactor answers PUT /-/auth/v1/orgs/<org>, by which an owner decides whether the organization
// requires a second factor of its members. It takes the owner's. It is not npm's.
func (a *API) setOrgFactor(r *http.Request, op protocol.Operation) (reply, error) {
	data, err := wire.ReadBody(r)
	if err != nil {
		return reply{}, err
	}
	c := new(protocol.Change)
	if err := wire.ReadChange(r.Method, data, &op, c); err != nil {
		return reply{}, err
	}
	q, d, err := a.Check(r, op, c)
	if err != nil {
		return reply{}, err
	}
	org, require := q.Org.ID, *c.RequireFactor
	write, err := a.FactorRules.SetRequireFactor(r.Context(), org, require)
	if err != nil {
		return reply{}, a.Conclude(r.Context(), q, err)
	}
	if err := a.Commit(r, q, d, nil, nil); err != nil {
		return reply{}, err
	}
	if err := finish(r.Context(), write); err != nil {
		return reply{}, err
	}
	by := q.Actor.By(q.Addr)
	e := audit.Event{
		Type: audit.OrgRules, Outcome: audit.Done, User: by.User, Credential: by.Credential,
		Detail: map[string]string{"organization": op.Org, "organization_id": string(org), "require_2fa": strconv.FormatBool(require)},
	}
	a.Events.Record(r.Context(), e.From(by))
	return reply{}, nil
}
