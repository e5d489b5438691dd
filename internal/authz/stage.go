package authz

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/stage"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/wire"
)

var (
	errNoStaging = &wire.Error{Status: http.StatusForbidden, Code: policy.CodeNotOffered, Sentence: "This registry does not offer staged publishing."}
	// ErrUnstaged means that the host has answered a version to be staged, and has not read it.
	ErrUnstaged = &wire.Error{Status: http.StatusBadRequest, Code: "not-staged", Sentence: "The version was not staged."}
)

// Stager returns the actor as who stages a version.
func (a Actor) Stager() stage.Stager {
	who := a.Identity()
	by := stage.Stager{User: who.User, Name: who.Name, Credential: who.Credential}
	if p := who.Publisher; p != nil {
		by.Publisher, by.Type, by.Issuer, by.Run = p.ID, p.Type, p.Issuer, p.Run
	}
	return by
}

// Approval returns that of the actor, who has shown a second factor.
func (a Actor) Approval(proof policy.Proof) stage.Approval {
	who := a.Identity()
	return stage.Approval{User: who.User, Name: who.Name, Proof: proof}
}

// HostStaged returns a staged version as the host has it.
func HostStaged(v stage.Version) *host.Staged {
	s := &host.Staged{ID: v.ID, Version: v.Change.Version, By: host.Identity{User: v.By.User, Name: v.By.Name, Credential: v.By.Credential}}
	if v.By.Publisher != "" {
		s.By.Kind = policy.KindPublisher
		s.By.Publisher = &host.Publisher{ID: v.By.Publisher, Type: v.By.Type, Issuer: v.By.Issuer, Run: v.By.Run}
	}
	for _, approval := range v.Approvals {
		s.Approvers = append(s.Approvers, host.Approver{User: approval.User, Name: approval.Name, At: approval.At})
	}
	return s
}

// SetStaged makes the staged version part of what the host is told.
func (p *Pass) SetStaged(s *host.Staged) { p.Context = p.WithStaged(s) }

// SetStaged makes req one about the staged version v, or about no package, unless v is a staged version of the
// package that there is. One that was staged before there was a package is, if who staged it may write to the
// package now.
func (a *Authorizer) SetStaged(ctx context.Context, req *policy.Request, v stage.Version) error {
	req.Staged = v.Staged()
	if v.PackageID == req.Package.ID {
		return nil
	}
	if v.PackageID == "" && v.By.User != "" {
		facts, err := a.Packages.Facts(ctx, v.Package, v.By.User)
		if err != nil {
			return err
		}
		if facts.ID == req.Package.ID && facts.Rights.Has(policy.RightWrite) {
			return nil
		}
	}
	req.Operation.Package, req.Package, req.Settings = protocol.PackageName{}, policy.Facts{}, policy.Settings{}
	return nil
}

// StillApproves reports whether who gave an approval could give it now to the staged version that q is about, with
// what was shown then: they may have left the package or the registry since, or rules may have been set that
// it does not meet. It is asked in the commit of a further approval, of which what it reads is a precondition.
func (a *Authorizer) StillApproves(ctx context.Context, tx *store.Tx, q *Request, given stage.Approval) (bool, error) {
	who, err := a.readPerson(ctx, tx, given.User)
	switch {
	case errors.Is(err, host.ErrInvalidToken):
		return false, nil
	case err != nil:
		return false, err
	}
	req := q.Request
	req.Account, req.Proof = who.Account, given.Proof
	req.Account.CIDRs = nil // they were met by the address that it came from
	req.Credential = &policy.Credential{Kind: policy.KindSession, User: given.User, Created: given.At, Expires: q.Now.Add(time.Hour)}
	if req.Package, err = a.Packages.Facts(ctx, req.Operation.Package, given.User); err != nil {
		return false, err
	}
	return req.Package.ID == q.Package.ID && q.policy.Decide(req).Effect == policy.Allow, nil
}

// StagedItem is a staged version as npm stage reads it.
type StagedItem struct {
	ID        string            `json:"id"`
	Package   string            `json:"packageName"`
	Version   string            `json:"version"`
	Tag       string            `json:"tag"`
	Created   time.Time         `json:"createdAt"`
	Expires   time.Time         `json:"expiresAt"`
	Actor     string            `json:"actor"`
	ActorType string            `json:"actorType"` // user or trusted automation
	Access    string            `json:"access,omitempty"`
	Shasum    string            `json:"shasum,omitempty"`
	Integrity string            `json:"integrity,omitempty"`
	Approvals []stagedApproval  `json:"approvals"`
	Needed    int               `json:"approvalsNeeded"`
	Run       map[string]string `json:"run,omitempty"` // of the job that staged it
}

type stagedApproval struct {
	Name string    `json:"name"`
	At   time.Time `json:"at"`
}

// stagedItem returns v as npm stage reads it, of a package with those settings.
func stagedItem(v stage.Version, settings policy.Settings) StagedItem {
	item := StagedItem{
		ID: v.ID, Package: v.Package.String(), Version: v.Change.Version, Created: v.Created, Expires: v.Expires,
		Actor: v.By.Name, ActorType: "user", Access: v.Change.Access, Integrity: v.Change.Integrity, Approvals: []stagedApproval{}, Needed: settings.Needed(), Run: v.By.Run,
	}
	for tag := range v.Change.Tags { // npm sends one
		if item.Tag == "" || tag < item.Tag {
			item.Tag = tag
		}
	}
	if len(v.Change.Integrity) == 40 { // no SRI
		item.Shasum, item.Integrity = v.Change.Integrity, ""
	}
	if v.By.Publisher != "" {
		item.Actor, item.ActorType = v.By.Type, "trusted automation"
	}
	for _, approval := range v.Approvals {
		item.Approvals = append(item.Approvals, stagedApproval{approval.Name, approval.At})
	}
	return item
}

// A StagedReader says what the sender of a request is shown of staged versions. Make one with NewStagedReader.
type StagedReader struct {
	a    *Authorizer
	q    *Request
	seen map[protocol.PackageName]policy.Request // what was found of each package
}

// NewStagedReader returns that of q.
func (a *Authorizer) NewStagedReader(q *Request) StagedReader {
	return StagedReader{a, q, map[protocol.PackageName]policy.Request{}}
}

// Item returns v as npm stage reads it, and whether the sender may read it.
func (s StagedReader) Item(ctx context.Context, v stage.Version) (item StagedItem, reads bool, err error) {
	req, ok := s.seen[v.Package]
	if !ok {
		req = s.q.Request
		// For this the settings are read, which say how many must approve.
		req.Operation = protocol.Operation{Action: protocol.ApproveStaged, Package: v.Package}
		if _, err := s.a.Consult(ctx, &req); err != nil {
			return StagedItem{}, false, err
		}
		s.seen[v.Package] = req
	}
	item = stagedItem(v, req.Settings)
	req.Operation.Action, req.Settings = protocol.ReadStaged, policy.Settings{}
	if err := s.a.SetStaged(ctx, &req, v); err != nil {
		return StagedItem{}, false, err
	}
	return item, s.q.policy.Decide(req).Effect == policy.Allow, nil
}
