package authz

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
	"github.com/npmauth/npmauth/twofactor"
)

// Authorize is that of the root package.
func (a *Authorizer) Authorize(ctx context.Context, op protocol.Operation, header http.Header, addr netip.Addr) (host.Identity, policy.Decision, error) {
	req := requests.Get().(*policy.Request)
	defer release(req)
	req.Operation, req.Addr = op, addr
	act, _, err := a.Prepare(ctx, header, req)
	if err != nil {
		return host.Identity{}, policy.Decision{}, err
	}
	return act.Identity(), a.Policy.DecideOn(req), nil
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
// address are there, with what there is to know for a decision. It returns the service
// account that the operation names, too.
func (a *Authorizer) Prepare(ctx context.Context, header http.Header, req *policy.Request) (act Actor, service host.User, err error) {
	req.Now = a.Now()
	if act, err = a.Authenticate(ctx, header, req.Addr, req.Now); err != nil {
		return Actor{}, host.User{}, err
	}
	req.Credential = act.Credential
	if act.Person != nil {
		req.Account = act.Person.Account
	}
	service, err = a.Consult(ctx, req)
	return act, service, err
}

// consult fills in what the host and the package's settings say, as far as it need not be
// newer than the caches.
func (a *Authorizer) Consult(ctx context.Context, req *policy.Request) (service host.User, err error) {
	op := &req.Operation
	if service, err = a.consultOthers(ctx, req); err != nil {
		return host.User{}, err
	}
	if op.Package.IsZero() {
		return service, nil
	}
	write := op.Action.Write()
	if err = a.facts(ctx, req, write); err != nil {
		return host.User{}, err
	}
	// Without a right there is nothing to set a rule for.
	if write && req.Package.ID != "" && req.Package.Rights&(policy.RightWrite|policy.RightAdmin) != 0 {
		req.Settings, err = a.PackageSettings(ctx, req.Package.ID, req.Now)
	}
	return service, err
}

// consultOthers asks the host about what is no package: the organization of req, on whose
// behalf nothing is asked for the anonymous, who have no part in any, and its service
// account, which it returns.
func (a *Authorizer) consultOthers(ctx context.Context, req *policy.Request) (service host.User, err error) {
	op := &req.Operation
	if op.Action.OfOrg() && a.Orgs != nil && req.Account.ID != "" {
		if req.Org, err = a.Orgs.OrgFacts(ctx, op.Org, req.Account.ID); err != nil {
			return host.User{}, err
		}
	}
	if op.Action.OfService() {
		service, req.Administers, err = a.administered(ctx, req.Account.ID, op.Service)
	}
	return service, err
}

// consultIn is consult for the judgement that counts: the settings are read in tx, and the
// host is asked now, last of all.
func (a *Authorizer) consultIn(ctx context.Context, tx *store.Tx, j *Request) (err error) {
	req := &j.Request
	before := req.Package.ID
	if before != "" {
		if req.Settings, err = a.Settings.Get(ctx, tx, before); err != nil {
			return err
		}
	}
	if j.Service, err = a.consultOthers(ctx, req); err != nil {
		return err
	}
	if !req.Operation.Package.IsZero() {
		if err := a.facts(ctx, req, true); err != nil {
			return err
		}
		if req.Package.ID != before {
			req.Settings = policy.Settings{} // those of another package
		}
	}
	if j.Fill != nil {
		return j.Fill(req)
	}
	return nil
}

// facts asks the host about req's package. Only what exists is remembered, and only for reads: a
// package that was just made must be there at once. What may not be seen is not
// remembered either, or the time of a second request told it from what is absent.
// A write forgets, so that whoever wrote reads what the host says afterwards; a read
// of theirs while the host still writes may bring back what was, for HostFresh.
func (a *Authorizer) facts(ctx context.Context, req *policy.Request, write bool) (err error) {
	if a.caches.hostFresh <= 0 {
		req.Package, err = a.Packages.Facts(ctx, req.Operation.Package, req.Account.ID)
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
	req.Package, err = a.Packages.Facts(ctx, key.pkg, key.user)
	f := &req.Package
	if err == nil && !write && f.ID != "" && (!f.Private || f.Rights.Has(policy.RightRead)) {
		a.caches.facts.Put(key, *f, req.Now, fill)
	}
	return err
}

func (a *Authorizer) PackageSettings(ctx context.Context, id protocol.PackageID, now time.Time) (policy.Settings, error) {
	if s, ok := a.caches.settings.Get(id, now); ok {
		return s, nil
	}
	fill := a.caches.settings.Begin(id)
	s, err := a.Settings.Get(ctx, a.unobserved, id)
	if err == nil {
		a.caches.settings.Put(id, s, now, fill)
	}
	return s, err
}

// A judgement is a request on its way to a decision.
type Request struct {
	Actor Actor
	policy.Request
	Service host.User                   // that the operation names
	Fill    func(*policy.Request) error // says what else is to be known, at each judgement

	agent string // what the client calls itself

	began   time.Time // by the real clock; zero without metrics
	Arrived time.Time // when the header came: second factors are dated by it

	Password    *credential.Secret // that the commit needs; nil for most
	passwordFor subject.Numbers    // of sessions, read before the password was right
	Attempt     *twofactor.Attempt // at the second factor; nil until one is needed
	proven      policy.Proof       // by an attempt that was spent

	pass       *Pass         // that the request goes on with if it is allowed
	HandedOver bool          // what is allowed the host does
	Limit      time.Duration // of the judgement that counts; 0 is none
}

// newJudgement is the beginning of one. It is called when the header of r has arrived, or
// later by an endpoint of ours.
func (a *Authorizer) NewRequest(r *http.Request, op protocol.Operation) *Request {
	client := a.SessionClient(r) // of an endpoint of ours as it was before the body was read
	// Both in one allocation.
	both := new(struct {
		Request
		Pass
	})
	j := &both.Request
	j.Operation, j.Addr, j.agent, j.Arrived, j.pass = op, client.Addr, client.UserAgent, client.At, &both.Pass
	if a.Observe != nil {
		j.began = time.Now()
	}
	return j
}

// judge authenticates r, consults and decides for the first time, without a
// proof. c is what r would do, nil if that is not known yet. Only a Deny is an error yet.
func (a *Authorizer) Check(r *http.Request, op protocol.Operation, c *protocol.Change) (*Request, policy.Decision, error) {
	return a.CheckWith(r, op, c, nil)
}

// judgeWith is judge for a request of which more is to be said: fill says it, when the
// rest is known, at each judgement.
func (a *Authorizer) CheckWith(r *http.Request, op protocol.Operation, c *protocol.Change, fill func(*policy.Request) error) (*Request, policy.Decision, error) {
	j := a.NewRequest(r, op)
	j.Change, j.Fill = c, fill
	d, err := a.Filter(r, j)
	return j, d, err
}

// filter makes the first judgement of j.
func (a *Authorizer) Filter(r *http.Request, j *Request) (d policy.Decision, err error) {
	if err = a.Find(r, j); err == nil {
		d, err = a.Decide(j)
	}
	if err != nil {
		return d, a.Conclude(r.Context(), j, err)
	}
	return d, nil
}

// find finds out all that a first judgement of j needs to know.
func (a *Authorizer) Find(r *http.Request, j *Request) (err error) {
	if j.Actor, j.Service, err = a.Prepare(r.Context(), r.Header, &j.Request); err != nil {
		return err
	}
	if j.Fill != nil {
		return j.Fill(&j.Request)
	}
	return nil
}

// judgeRead judges a request that changes nothing, for which there is no second factor.
func (a *Authorizer) CheckRead(r *http.Request, op protocol.Operation) (*Request, error) {
	j, d, err := a.Check(r, op, nil)
	if err != nil {
		return nil, err
	}
	if d.Effect != policy.Allow {
		err = Denied(j, d)
	}
	return j, a.Conclude(r.Context(), j, err)
}

// touch remembers that a token was used.
func (a *Authorizer) touch(j *Request) {
	if j.Actor.Credential != nil && j.Actor.Credential.Kind == policy.KindToken {
		a.Tokens.Touch(j.Actor.Credential, j.Now)
	}
}

// decide asks the policy. Only a Deny is an error.
func (a *Authorizer) Decide(j *Request) (policy.Decision, error) {
	d := a.Policy.DecideOn(&j.Request)
	if d.Effect != policy.Allow && d.Effect != policy.Challenge {
		return d, Denied(j, d)
	}
	return d, nil
}

// denied is a refusal as an error.
func Denied(j *Request, d policy.Decision) error {
	return &host.DeniedError{Operation: j.Operation, Decision: d, Anonymous: j.Actor.Credential == nil}
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

// BringsApproval reports whether the request of h brings what a page gave for it, looked at
// by its form alone.
func BringsApproval(h http.Header) bool {
	value, err := proofHeader(h)
	return err == nil && twofactor.FormOf(value.Reveal()).Proof() == policy.ProofWeb
}

// use says what a proof for this judgement would be spent on. As long as it is not known what
// a write would do it has no digest of that; of a read the operation says all.
func (j *Request) use() twofactor.Use {
	op, c := j.Operation, j.Change
	u := twofactor.Use{
		Credential: j.Actor.Credential.ID, Action: op.Action, Package: op.Package, FollowUps: c.FollowUps(op), At: j.Arrived, Addr: j.Addr,
	}
	if c != nil || !op.Action.Write() {
		u.Change = c.Digest(op)
	}
	return u
}

// acceptable reports whether value, if it proves right, would lead to an Allow.
// It is asked before anything is spent, so that nobody loses a recovery code
// over what it cannot do.
func (a *Authorizer) acceptable(j *Request, value credential.Secret) bool {
	req := j.Request
	req.Proof = twofactor.FormOf(value.Reveal()).Proof()
	return req.Proof != policy.NoProof && a.Policy.Decide(req).Effect == policy.Allow
}

// beginFactor answers a challenge with the proof that came along: an attempt is counted,
// which the commit spends. Without one that would do it is the challenge.
func (a *Authorizer) BeginFactor(ctx context.Context, h http.Header, j *Request) error {
	if j.Actor.Credential == nil { // nobody who could have a factor
		return Denied(j, a.Policy.Decide(j.Request))
	}
	value, err := proofHeader(h)
	if err != nil {
		return err
	}
	if value.IsZero() || !a.acceptable(j, value) {
		return a.Challenge(ctx, j, !value.IsZero())
	}
	j.Attempt, err = a.Factors.Begin(ctx, j.Actor.Credential.User, j.use(), value)
	if errors.Is(err, twofactor.ErrWrong) {
		return a.Challenge(ctx, j, true)
	}
	return err
}

// checkOwnPassword checks the password that npm asks for again before an account is
// changed, and remembers for which numbers it was right.
func (a *Authorizer) checkOwnPassword(ctx context.Context, j *Request) error {
	numbers := j.Actor.Person.Subject.Numbers(policy.KindSession)
	right, err := a.Users.CheckPassword(ctx, j.Actor.Credential.User, *j.Password)
	if err != nil {
		return err
	}
	if !right {
		a.Events.Record(ctx, audit.Event{
			Type: audit.Password, Outcome: audit.Denied, User: j.Actor.Credential.User, Credential: j.Actor.Credential.ID, Addr: j.Addr, Reasons: []string{"wrong-password"},
		})
		return errWrongPassword
	}
	j.passwordFor = numbers
	return nil
}
