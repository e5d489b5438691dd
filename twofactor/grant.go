package twofactor

import (
	"context"
	"fmt"
	"time"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/store"
)

const (
	grantTTL  = 3 * time.Minute // npm's retries come 10 and 60 seconds after an answer that may itself take a while
	grantUses = 8
	wideUses  = 64
)

// A grant lets one credential present a spent value again. It is found by a MAC of
// user, credential and value together, so presenting the value is the only way to
// use it, and its key does not tell a code of six digits.
type grant struct {
	ID         string             `json:"id"`
	User       policy.UserID      `json:"user"`
	Enrolment  string             `json:"enrolment"`
	Credential string             `json:"credential"`
	Class      policy.Class       `json:"class"`
	Package    policy.PackageName `json:"package"`
	Target     string             `json:"target"`

	// Carry: left by a login, good for one publish of any package. That turns it
	// into the grant of that publish.
	Carry bool `json:"carry"`

	// For the same operation.
	Until time.Time `json:"until"`
	Left  int       `json:"left"`

	// For another package or target of the class: while no step above Step was
	// accepted. A zero WideUntil is none.
	Step      int64     `json:"step"`
	WideUntil time.Time `json:"wide_until"`
	WideLeft  int       `json:"wide_left"`
}

var grants = store.NewTable("twofactor-grant", 1, func(g *grant) string { return g.ID }).
	Expiring(func(g *grant) time.Time { return g.Until })

func (a *Attempt) grantID(credentialID string) string {
	return mac(a.keys.grant, string(a.user), credentialID, a.value.Reveal()).String()
}

func (g *grant) use() Use {
	return Use{Credential: g.Credential, Class: g.Class, Package: g.Package, Target: g.Target}
}

// leaveGrant writes the grant that a spent value leaves, if its use leaves one.
func (a *Attempt) leaveGrant(ctx context.Context, tx *store.Tx, credentialID string, s spent) error {
	g := &grant{
		ID: a.grantID(credentialID), User: a.user, Enrolment: s.enrolment, Credential: credentialID,
		Class: a.use.Class, Package: a.use.Package, Target: a.use.Target,
		Until: a.at.Add(grantTTL), Left: grantUses, Step: s.step,
	}
	switch a.use.Class {
	case policy.ClassTokenCreate, policy.ClassTwoFactor, policy.ClassProfile:
		// What these make outlives the proof, and they are POSTs, which npm never
		// sends twice: a second one is somebody else's.
		return nil
	case policy.ClassLogin:
		if !a.use.Carry || a.form != FormTOTP || credentialID == "" {
			return nil
		}
		g.Class, g.Carry = policy.ClassPublish, true
	default:
		if a.form == FormTOTP && !a.m.strict {
			g.WideUntil, g.WideLeft = stepEnd(s.step), wideUses
		}
	}
	if err := put(ctx, tx, grants, g.ID, g); err != nil {
		return fmt.Errorf("twofactor: grant: %w", err)
	}
	return nil
}

// grant returns the grant that covers the attempt, nil if none does.
func (a *Attempt) grant(ctx context.Context, tx *store.Tx) (*grant, error) {
	if a.use.Credential == "" { // a sign-in
		return nil, nil
	}
	g, err := found(grants.Get(ctx, tx, a.grantID(a.use.Credential)))
	if err != nil {
		return nil, fmt.Errorf("twofactor: grant: %w", err)
	}
	if g == nil || g.User != a.user || g.Credential != a.use.Credential || !a.at.Before(g.Until) {
		return nil, nil
	}
	f, err := factorOf(ctx, tx, a.user)
	if err != nil {
		return nil, err
	}
	if f.Enrolment != g.Enrolment || a.use.Class != g.Class {
		return nil, nil
	}
	covers := g.Left > 0
	switch {
	case g.Carry:
		covers = true
	case !a.use.same(g.use()):
		covers = a.at.Before(g.WideUntil) && g.WideLeft > 0 && f.Step == g.Step
	}
	if !covers {
		return nil, nil
	}
	return g, nil
}

// takeGrant takes one use of a grant that covers the attempt.
func (a *Attempt) takeGrant(ctx context.Context, tx *store.Tx, g *grant) error {
	switch {
	case g.Carry:
		g.Carry, g.Package, g.Target = false, a.use.Package, a.use.Target
	case a.use.same(g.use()):
		g.Left--
	default:
		g.WideLeft--
	}
	if err := put(ctx, tx, grants, g.ID, g); err != nil {
		return fmt.Errorf("twofactor: grant: %w", err)
	}
	return nil
}
