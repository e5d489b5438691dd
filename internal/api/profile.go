package api

import (
	"context"
	"net/http"
	"strings"

	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/internal/authz"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
	"github.com/npmauth/npmauth/wire"
)

var (
	errPasswordAlone = &wire.Error{Status: http.StatusBadRequest, Code: "bad-profile-request", Sentence: "Change the password by itself."}
	errNoEmail       = &wire.Error{Status: http.StatusBadRequest, Code: "bad-email", Sentence: "An e-mail address can be changed but not taken away."}
)

// readProfile answers GET /-/npm/v1/user.
func (a *API) readProfile(r *http.Request, op protocol.Operation) (reply, error) {
	q, err := a.CheckRead(r, op)
	if err != nil {
		return reply{}, err
	}
	status, err := a.Factors.Status(r.Context(), a.Store, q.Actor.Credential.User)
	if err != nil {
		return reply{}, err
	}
	var tfa any // null: none
	switch mode := q.Actor.Person.Account.TwoFactor; {
	case mode == protocol.AuthOnly || mode == protocol.AuthAndWrites:
		tfa = map[string]any{"mode": mode.String(), "pending": false}
	case status.Pending:
		tfa = map[string]any{"mode": status.PendingMode.String(), "pending": true}
	}
	user := q.Actor.Person.User
	profile, err := a.profileOf(r.Context(), user)
	if err != nil {
		return reply{}, err
	}
	body := shownProfile(user.Name, profile)
	body["tfa"] = tfa
	body["cidr_whitelist"] = nil // as npm knows it: from anywhere
	if len(q.Actor.Person.Account.CIDRs) > 0 {
		body["cidr_whitelist"] = q.Actor.Person.Account.CIDRs
	}
	if !user.Created.IsZero() {
		body["created"], body["updated"] = user.Created, user.Created
		if !profile.Updated.IsZero() {
			body["updated"] = profile.Updated
		}
	}
	return ok(body), nil
}

// shownProfile is what somebody says about themselves, as npm reads it.
func shownProfile(name string, p host.Profile) map[string]any {
	return map[string]any{
		"name": name, "email": p.Email, "email_verified": p.EmailVerified,
		"fullname": p.FullName, "homepage": p.Homepage, "freenode": p.Freenode, "twitter": p.Twitter, "github": p.GitHub,
	}
}

// writeProfile answers POST /-/npm/v1/user, behind which there are three operations.
func (a *API) writeProfile(r *http.Request, op protocol.Operation) (reply, error) {
	var body wire.ProfileRequest
	if err := wire.Decode(r, &body); err != nil {
		return reply{}, err
	}
	switch {
	case wire.IsNull(body.TFA) && !wire.IsNull(body.Password):
		op.Action = protocol.SetPassword
		return a.setPassword(r, op, body)
	case wire.IsNull(body.TFA):
		return a.setProfile(r, op, body)
	}
	change, err := body.TwoFactor()
	if err != nil {
		return reply{}, err
	}
	op.Action = protocol.SetTwoFactor
	if change.Confirms {
		return a.confirmFactor(r, op, change.Code)
	}
	mode := change.Mode
	q, d, err := a.CheckWith(r, op, &protocol.Change{TwoFactor: mode}, func(ctx context.Context, _ *store.Tx, req *policy.Request) (err error) {
		if mode == protocol.TwoFactorOff && a.Orgs != nil && req.Account.ID != "" {
			req.Account.FactorRequired, err = a.Orgs.FactorRequired(ctx, req.Account.ID)
		}
		return err
	})
	if err != nil {
		return reply{}, err
	}
	return a.setFactor(r, q, d, mode, change.Password.Reveal())
}

// apply changes a profile as d says.
func apply(d wire.ProfileDetails, p *host.Profile) error {
	had := p.Email
	for _, f := range []struct{ want, is *string }{
		{d.Email, &p.Email}, {d.FullName, &p.FullName}, {d.Homepage, &p.Homepage},
		{d.Freenode, &p.Freenode}, {d.Twitter, &p.Twitter}, {d.GitHub, &p.GitHub},
	} {
		if f.want != nil {
			*f.is = *f.want
		}
	}
	if had != "" && p.Email == "" {
		return errNoEmail
	}
	return nil
}

// setProfile changes what somebody says about themselves, and their address.
func (a *API) setProfile(r *http.Request, op protocol.Operation, body wire.ProfileRequest) (reply, error) {
	want, err := body.Details()
	if err != nil {
		return reply{}, err
	}
	q, d, err := a.Check(r, op, nil)
	if err != nil {
		return reply{}, err
	}
	change, err := a.prepareProfile(r.Context(), q, want)
	if err != nil {
		return reply{}, a.Conclude(r.Context(), q, err)
	}
	q.Change = change.shown()
	if err := a.Commit(r, q, d, nil, change.inCommit); err != nil {
		return reply{}, err
	}
	if err := finish(r.Context(), change.write); err != nil {
		return reply{}, err
	}
	return ok(shownProfile(q.Actor.Person.User.Name, change.after)), nil
}

// A profileChange is a change of a profile on its way.
type profileChange struct {
	before, after host.Profile
	inCommit      authz.Write // in the commit of the final decision
	write         host.Write  // by the host, after it; nil where inCommit has made the change
}

// prepareProfile tries what would change, before a factor is spent, and for what the page
// should say.
func (a *API) prepareProfile(ctx context.Context, q *authz.Request, want wire.ProfileDetails) (*profileChange, error) {
	c, id := new(profileChange), q.Actor.Credential.User
	var err error
	if a.Directory != nil {
		c.inCommit = func(ctx context.Context, tx *store.Tx, q *authz.Request) (err error) {
			if c.before, c.after, err = a.Directory.EditProfile(ctx, tx, q.Actor.By(q.Addr), id, func(p *host.Profile) error { return apply(want, p) }); err != nil {
				return err
			}
			// npm sends all fields: one that was changed meanwhile would be changed back, which
			// nobody has approved.
			if was := q.Change; was != nil && was.Digest(q.Operation) != c.shown().Digest(q.Operation) {
				return authz.ErrProfileChanged
			}
			return nil
		}
		return c, a.dryRun(ctx, func(tx *store.Tx) error { return c.inCommit(ctx, tx, q) })
	}
	if c.before, err = a.Profiles.Profile(ctx, id); err != nil {
		return nil, err
	}
	c.after = c.before
	if err := apply(want, &c.after); err != nil {
		return nil, err
	}
	changed := c.changed()
	if len(changed) == 0 { // npm says so of what is as it was
		c.inCommit = func(context.Context, *store.Tx, *authz.Request) error { return nil }
		return c, nil
	}
	moved := c.before.Email != c.after.Email
	if moved {
		if err := account.ValidEmail(c.after.Email); err != nil {
			return nil, err
		}
		c.after.EmailVerified = false
	}
	if err := account.ProfileOf(c.after).Validate(); err != nil {
		return nil, err
	}
	write, err := a.Profiles.SetProfile(ctx, id, c.before, c.after)
	if err != nil {
		return nil, err
	}
	c.inCommit = func(ctx context.Context, tx *store.Tx, q *authz.Request) error {
		if !moved {
			return nil
		}
		// Before the host's write: an account must not go without its hold because a process
		// ended between the two.
		return subject.Recover(ctx, tx, id, q.Now)
	}
	c.write = func(ctx context.Context) error {
		if err := write(ctx); err != nil {
			return err
		}
		a.Forget(id)
		// By name: no event holds what a person says, nor an address.
		e := audit.Event{Type: audit.Profile, Outcome: audit.Done, User: id, Detail: map[string]string{"changed": strings.Join(changed, " ")}}
		a.Events.Record(ctx, e.From(q.Actor.By(q.Addr)))
		return nil
	}
	return c, nil
}

// shown returns what changes: the address and the fields, by npm's names.
func (c *profileChange) shown() *protocol.Change {
	was, is := c.before, c.after
	change := &protocol.Change{}
	if was.Email != is.Email {
		change.Email = &is.Email
	}
	for _, f := range []struct{ name, was, is string }{
		{"fullname", was.FullName, is.FullName}, {"homepage", was.Homepage, is.Homepage},
		{"freenode", was.Freenode, is.Freenode}, {"twitter", was.Twitter, is.Twitter}, {"github", was.GitHub, is.GitHub},
	} {
		if f.was != f.is {
			if change.Profile == nil {
				change.Profile = map[string]string{}
			}
			change.Profile[f.name] = f.is
		}
	}
	return change
}

// changed returns the names of the fields that change, as npm profile has them.
func (c *profileChange) changed() (names []string) {
	change := c.shown()
	if change.Email != nil {
		names = append(names, "email")
	}
	for _, name := range []string{"fullname", "homepage", "freenode", "twitter", "github"} {
		if _, is := change.Profile[name]; is {
			names = append(names, name)
		}
	}
	return names
}

// profileOf returns the profile of a user: with the address that [host.Users] knows and nothing
// else where the host has no [host.Profiles].
func (a *API) profileOf(ctx context.Context, user host.User) (host.Profile, error) {
	if a.Profiles == nil {
		return host.Profile{Email: user.Email}, nil
	}
	return a.Profiles.Profile(ctx, user.ID)
}
