package npmauth

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/twofactor"
)

// Authorize authenticates the credential in header and decides about op, asked
// from addr. It is what [Auth.Guard] does before it looks at a second factor,
// which Authorize never spends: an effect of [policy.Challenge] is returned as it
// is and allows nothing. Whoever has no credential is judged as the anonymous
// and has the zero Identity. An error is [ErrInvalidToken] or an outage, and
// comes with a decision that denies.
//
// PUT /<pkg> is classified as [policy.WritePackument], which every policy of npm's
// denies: whoever has read its body names the action that it is. So does op.Package with
// [policy.GrantTeam].
func (a *Auth) Authorize(ctx context.Context, op policy.Operation, header http.Header, addr netip.Addr) (Identity, policy.Decision, error) {
	req := requests.Get().(*policy.Request)
	defer release(req)
	req.Operation, req.Addr = op, addr
	act, err := a.prepare(ctx, header, req)
	if err != nil {
		return Identity{}, policy.Decision{}, err
	}
	return act.identity(), a.policy.DecideOn(req), nil
}

// requests are used again: rules see theirs through a pointer, for which each would
// have to be allocated.
var requests = sync.Pool{New: func() any { return new(policy.Request) }}

// release gives req back. The pool must not keep a credential alive.
func release(req *policy.Request) {
	*req = policy.Request{}
	requests.Put(req)
}

// prepare authenticates the sender of header and fills req, whose operation and
// address are there, with what there is to know for a decision.
func (a *Auth) prepare(ctx context.Context, header http.Header, req *policy.Request) (actor, error) {
	req.Now = a.now()
	act, err := a.authenticate(ctx, header, req.Addr, req.Now)
	if err != nil {
		return actor{}, err
	}
	req.Credential = act.cred
	if act.who != nil {
		req.Account = act.who.account
	}
	return act, a.consult(ctx, req)
}

// consult fills in what the host and the package's settings say.
func (a *Auth) consult(ctx context.Context, req *policy.Request) (err error) {
	op := &req.Operation
	if op.Action.OfOrg() {
		if err := a.consultOrg(ctx, req); err != nil {
			return err
		}
	}
	switch op.Action {
	case policy.ReadService, policy.ManageService, policy.RevokeService:
		if err := a.consultService(ctx, req); err != nil {
			return err
		}
	}
	if op.Package.IsZero() {
		return nil
	}
	write := op.Action.Write()
	if err = a.facts(ctx, req, write); err != nil {
		return err
	}
	// Without a right there is nothing to set a rule for.
	if write && req.Package.ID != "" && req.Package.Rights&(policy.RightWrite|policy.RightAdmin) != 0 {
		req.Settings, err = a.packageSettings(ctx, req.Package.ID, req.Now)
	}
	return err
}

// consultOrg asks the host about the organization of req, and nothing on behalf of the
// anonymous, who have no part in any.
func (a *Auth) consultOrg(ctx context.Context, req *policy.Request) (err error) {
	if a.orgs != nil && req.Account.ID != "" {
		req.Org, err = a.orgs.OrgFacts(ctx, req.Operation.Org(), req.Account.ID)
	}
	return err
}

// facts asks the host about req's package. Only what exists is remembered, and only for reads: a
// package that was just made must be there at once. What may not be seen is not
// remembered either, or the time of a second request told it from what is absent.
// A write forgets, so that whoever wrote reads what the host says afterwards; a read
// of theirs while the host still writes may bring back what was, for HostFresh.
func (a *Auth) facts(ctx context.Context, req *policy.Request, write bool) (err error) {
	if a.caches.hostFresh <= 0 {
		req.Package, err = a.packages.Facts(ctx, req.Operation.Package, req.Account.ID)
		return err
	}
	key := factsKey{req.Operation.Package, req.Account.ID}
	if write {
		a.caches.facts.Drop(key)
	} else if f, ok := a.caches.facts.Get(key, req.Now); ok {
		req.Package = f
		return nil
	}
	fill := a.caches.facts.Begin(key)
	req.Package, err = a.packages.Facts(ctx, key.pkg, key.user)
	f := &req.Package
	if err == nil && !write && f.ID != "" && (!f.Private || f.Rights.Has(policy.RightRead)) {
		a.caches.facts.Put(key, *f, req.Now, fill)
	}
	return err
}

func (a *Auth) packageSettings(ctx context.Context, id policy.PackageID, now time.Time) (policy.Settings, error) {
	if s, ok := a.caches.settings.Get(id, now); ok {
		return s, nil
	}
	fill := a.caches.settings.Begin(id)
	s, err := a.settings.Get(ctx, a.store, id)
	if err == nil {
		a.caches.settings.Put(id, s, now, fill)
	}
	return s, err
}

// A judgement is a request on its way to a decision.
type judgement struct {
	act    actor
	req    policy.Request
	target string // what a proof is for besides the operation's name
}

// judge authenticates r, consults and decides for the first time, without a
// proof. Only a Deny is an error yet.
func (a *Auth) judge(r *http.Request, op policy.Operation, newToken policy.NewToken) (judgement, policy.Decision, error) {
	return a.judgeWith(r, op, func(req *policy.Request) error { req.NewToken = newToken; return nil })
}

// judgeWith is judge for a request of which more is to be said: fill says it, when the
// rest is known.
func (a *Auth) judgeWith(r *http.Request, op policy.Operation, fill func(*policy.Request) error) (judgement, policy.Decision, error) {
	j := judgement{req: policy.Request{Operation: op, Addr: a.client(r)}}
	var err error
	if j.act, err = a.prepare(r.Context(), r.Header, &j.req); err != nil {
		return judgement{}, policy.Decision{}, err
	}
	if err := fill(&j.req); err != nil {
		return judgement{}, policy.Decision{}, err
	}
	d, err := a.decide(r.Context(), j)
	if err != nil {
		return judgement{}, d, err
	}
	a.touch(j)
	return j, d, nil
}

// touch remembers that a token was used.
func (a *Auth) touch(j judgement) {
	if j.act.cred != nil && j.act.cred.Kind == policy.KindToken {
		a.tokens.Touch(j.act.cred, j.req.Now)
	}
}

// decide asks the policy. Only a Deny is an error.
func (a *Auth) decide(ctx context.Context, j judgement) (policy.Decision, error) {
	d := a.policy.Decide(j.req)
	if d.Effect != policy.Allow && d.Effect != policy.Challenge {
		return d, a.denied(ctx, j, d)
	}
	return d, nil
}

// denied records a refusal and returns it as an error.
func (a *Auth) denied(ctx context.Context, j judgement, d policy.Decision) error {
	e := audit.Event{Type: audit.Access, Outcome: audit.Denied, Addr: j.req.Addr, Action: j.req.Operation.Action, Package: j.req.Operation.Package}
	for _, reason := range d.Reasons {
		e.Reasons = append(e.Reasons, reason.Code)
	}
	if len(e.Reasons) == 0 {
		e.Reasons = []string{"denied"}
	}
	if j.act.cred != nil {
		e.User, e.Credential = j.act.cred.User, j.act.cred.ID
	}
	a.record(ctx, e)
	return &DeniedError{Operation: j.req.Operation, Decision: d, anonymous: j.act.cred == nil}
}

// proofHeader takes the second factor out of the request: zero when there is
// none. Several are never tried one after the other.
func proofHeader(h http.Header) (credential.Secret, error) {
	lines := h["Npm-Otp"]
	switch {
	case len(lines) == 0 || len(lines) == 1 && lines[0] == "":
		return credential.Secret{}, nil
	case len(lines) > 1:
		return credential.Secret{}, errTwoCodes
	case len(lines[0]) > 256:
		return credential.Secret{}, errLongCode
	}
	return credential.NewSecret(lines[0]), nil
}

// use says what a proof for this judgement would be spent on.
func (j judgement) use() twofactor.Use {
	op := j.req.Operation
	u := twofactor.Use{Credential: j.act.cred.ID, Class: op.Action.Class(), Package: op.Package, Target: op.Name}
	switch op.Action {
	case policy.Publish, policy.Unpublish: // requests that one proof serves name different things
		u.Target = ""
	case policy.WriteOwners: // a revision that moves on while a person looks for the phone
		u.Target = ""
	}
	if j.target != "" {
		u.Target = strings.TrimSpace(u.Target + " " + j.target)
	}
	return u
}

// acceptable reports whether value, if it proves right, would lead to an Allow.
// It is asked before anything is spent, so that nobody loses a recovery code
// over what it cannot do.
func (a *Auth) acceptable(j judgement, value credential.Secret) bool {
	req := j.req
	req.Proof = twofactor.FormOf(value.Reveal()).Proof()
	return req.Proof != policy.NoProof && a.policy.Decide(req).Effect == policy.Allow
}

// prove answers a challenge of the guard with the proof that came along, in a
// commit of its own.
func (a *Auth) prove(r *http.Request, j judgement) error {
	value, err := proofHeader(r.Header)
	if err != nil {
		return err
	}
	if value.IsZero() || !a.acceptable(j, value) {
		return a.challenge(r, j, !value.IsZero())
	}
	proof, err := a.factors.Prove(r.Context(), j.act.cred.User, j.use(), value)
	if err != nil {
		return a.unproven(r, j, err)
	}
	j.req.Proof = proof
	if d := a.policy.Decide(j.req); d.Effect != policy.Allow {
		return a.denied(r.Context(), j, d)
	}
	return nil
}

// reserve answers a challenge of an endpoint of ours: the caller spends the
// attempt inside the commit that does what was asked, and reports how that ended.
func (a *Auth) reserve(r *http.Request, j judgement) (*twofactor.Attempt, error) {
	value, err := proofHeader(r.Header)
	if err != nil {
		return nil, err
	}
	if value.IsZero() || !a.acceptable(j, value) {
		return nil, a.challenge(r, j, !value.IsZero())
	}
	attempt, err := a.factors.Begin(r.Context(), j.act.cred.User, j.use(), value)
	if err != nil {
		return nil, a.unproven(r, j, err)
	}
	j.req.Proof = attempt.Proof()
	if d := a.policy.Decide(j.req); d.Effect != policy.Allow {
		return nil, a.denied(r.Context(), j, d)
	}
	return attempt, nil
}
