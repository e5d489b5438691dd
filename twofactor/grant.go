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

// useGrant reports whether a grant covers the attempt, and takes one use of it.
func (a *Attempt) useGrant(ctx context.Context, tx *store.Tx) (bool, error) {
	id := a.grantID(a.use.Credential)
	if _, err := tx.Get(ctx, grants.Key(id), factors.Key(string(a.user))); err != nil {
		return false, fmt.Errorf("twofactor: grant: %w", err)
	}
	g, err := found(grants.Get(ctx, tx, id))
	if err != nil {
		return false, fmt.Errorf("twofactor: grant: %w", err)
	}
	if g == nil || g.User != a.user || g.Credential != a.use.Credential || !a.at.Before(g.Until) {
		return false, nil
	}
	f, err := factorOf(ctx, tx, a.user)
	if err != nil {
		return false, err
	}
	if f.Enrolment != g.Enrolment {
		return false, nil
	}
	switch {
	case g.Carry:
		if a.use.Class != g.Class {
			return false, nil
		}
		g.Carry, g.Package, g.Target = false, a.use.Package, a.use.Target
	case a.use.same(g.use()):
		if g.Left <= 0 {
			return false, nil
		}
		g.Left--
	case a.use.Class == g.Class:
		if !a.at.Before(g.WideUntil) || g.WideLeft <= 0 || f.Step != g.Step {
			return false, nil
		}
		g.WideLeft--
	default:
		return false, nil
	}
	if err := put(ctx, tx, grants, g.ID, g); err != nil {
		return false, fmt.Errorf("twofactor: grant: %w", err)
	}
	return true, nil
}
