package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/internal/authz"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/settings"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/wire"
)

// listOrgs answers GET /-/auth/v1/orgs: which organizations the account of the request is in, and before them the
// scope of its own name. It is not npm's.
func (a *API) listOrgs(r *http.Request, op protocol.Operation) (reply, error) {
	q, err := a.CheckRead(r, op)
	if err != nil {
		return reply{}, err
	}
	ctx, user := r.Context(), q.Actor.Credential.User
	own, err := a.OwnScope(ctx, user)
	if err != nil {
		return reply{}, err
	}
	var list []host.Membership
	if a.Memberships != nil {
		if list, err = a.Memberships.Memberships(ctx, user); err != nil {
			return reply{}, err
		}
	}
	objects := make([]wire.Org, 0, len(list)+1)
	if own != "" {
		org, err := a.orgOf(ctx, host.Membership{Org: own, Role: protocol.OrgOwner}, q.Now)
		if err != nil {
			return reply{}, err
		}
		org.Own, org.MaySet2FA = true, false // it has no members
		objects = append(objects, org)
	}
	for _, in := range list {
		if in.Role == protocol.NoRole || in.Role > protocol.OrgOwner {
			continue // who has no role is in no organization
		}
		org, err := a.orgOf(ctx, in, q.Now)
		if err != nil {
			return reply{}, err
		}
		objects = append(objects, org)
	}
	return ok(map[string]any{"objects": objects, "urls": map[string]string{}}), nil
}

// orgOf returns what a list says of an organization.
func (a *API) orgOf(ctx context.Context, in host.Membership, now time.Time) (wire.Org, error) {
	scope, err := a.ScopeSettings(ctx, in.Org, now)
	if err != nil {
		return wire.Org{}, err
	}
	owner := in.Role == protocol.OrgOwner
	org := wire.Org{
		Name: in.Org, Role: wire.RoleWord(in.Role), Require2FA: in.RequireFactor, MaySet2FA: a.FactorRules != nil && owner,
		KeysOnly: scope.KeysOnly, MaySetKeysOnly: owner,
		PublishersOnly: scope.PublishersOnly, MaySetPublishersOnly: owner && (a.Trust != nil || scope.PublishersOnly),
	}
	if s := scope.Narrow(policy.Settings{}); a.showsStaging(s) {
		org.StageOnly, org.Approvals, org.OtherApprover, org.MaySetStaging = s.StageOnly, s.Needed(), s.OtherApprover, owner
	}
	return org, nil
}

// setOrgFactor answers PUT /-/auth/v1/orgs/<org>, by which an owner decides whether the organization
// requires a second factor of its members, which the host keeps, and, which npmauth keeps, whether only
// security keys count for it and for the packages of its scope, whether only trusted publishers may
// publish these and what is demanded of their staged versions. It takes the owner's. Users say the latter of the scope of
// their own name. It is not npm's.
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
	if err := a.CheckRules(c); err != nil {
		return reply{}, a.Conclude(r.Context(), q, err)
	}
	var write host.Write
	if c.RequireFactor != nil {
		if write, err = a.FactorRules.SetRequireFactor(r.Context(), q.Org.ID, *c.RequireFactor); err != nil {
			return reply{}, a.Conclude(r.Context(), q, err)
		}
	}
	var set authz.Write
	if c.SetsRules() {
		set = func(ctx context.Context, tx *store.Tx, q *authz.Request) error {
			rules, err := a.Settings.Scope(ctx, tx, op.Org)
			if err != nil {
				return err
			}
			rules = authz.ScopeRules(rules, c)
			if err := a.Settings.SetScope(ctx, tx, op.Org, rules); err != nil {
				return err
			}
			by := q.Actor.By(q.Addr)
			e := settings.ScopeChanged(op.Org, rules).From(by)
			e.User, e.Credential = by.User, by.Credential
			return a.Events.Commit(ctx, tx, e)
		}
	}
	if err := a.Commit(r, q, d, nil, set); err != nil {
		return reply{}, err
	}
	if c.RequireFactor != nil {
		if err := finish(r.Context(), write); err != nil {
			return reply{}, err
		}
		by := q.Actor.By(q.Addr)
		e := audit.Event{
			Type: audit.OrgRules, Outcome: audit.Done, User: by.User, Credential: by.Credential,
			Detail: map[string]string{"organization": op.Org, "organization_id": string(q.Org.ID), "require_2fa": strconv.FormatBool(*c.RequireFactor)},
		}
		a.Events.Record(r.Context(), e.From(by))
	}
	var rep reply
	rep.notice(a.FactorNotice(q))
	return rep, nil
}
