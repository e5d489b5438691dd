package twofactor

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
)

const (
	reuseTTL   = 3 * time.Minute // npm's retries come 10 and 60 seconds after an answer that may itself take a while
	reuseTimes = 8
	wideTimes  = 64
	maxReused  = maxItems // uses of one proof
)

// A reuse lets one credential present a spent value once more. It is found by a MAC of user,
// credential and value together, so only the value finds it, and its key does not reveal a code
// of six digits.
type reuse struct {
	ID         string          `json:"id"`
	User       protocol.UserID `json:"user"`
	Enrolment  string          `json:"enrolment"`
	Credential string          `json:"credential"`

	// Carry: left by a login, good for one publish of any package, whose reuse it then becomes.
	Carry bool `json:"carry"`

	// What the value was spent on: one change, or several of the list that a page approved.
	Of    []reused  `json:"of"`
	Until time.Time `json:"until"`

	// Another package: while no step above Step was accepted. A zero WideUntil is none.
	Step      int64     `json:"step"`
	WideUntil time.Time `json:"wide_until"`
	WideLeft  int       `json:"wide_left"`

	firstRelease
	Left int `json:"left,omitempty"` // rows of the first release have it, too
}

// A reused is one change that a value was spent on.
type reused struct {
	Action    protocol.Action      `json:"action"`
	Package   protocol.PackageName `json:"package"`
	Change    protocol.Digest      `json:"change"`
	FollowUps []protocol.Digest    `json:"follow_ups,omitempty"`
	Left      int                  `json:"left"`
}

// covers reports whether use is what the value was spent on, or belongs to it. A use whose
// Change is not known yet may be covered.
func (o *reused) covers(use Use) bool {
	return o.Action == use.Action && o.Package == use.Package &&
		(use.Change.IsZero() || use.Change == o.Change || slices.Contains(o.FollowUps, use.Change))
}

var reuses = store.NewTable("twofactor-grant", 1, func(r *reuse) string { return r.ID }).
	Expiring(func(r *reuse) time.Time { return r.Until })

func (a *Attempt) reuseID(credentialID string) string {
	return mac(a.keys.reuse, string(a.user), credentialID, a.value.Reveal()).String()
}

// leaveReuse writes the record of reuse of a spent value, if its use allows reuse.
func (a *Attempt) leaveReuse(ctx context.Context, tx *store.Tx, use Use, s spent) error {
	signIn := use.Action.SignsIn()
	if a.form == FormKey { // no client repeats what a page has sent
		return nil
	}
	if signIn && (!use.Carry || a.form != FormTOTP) || !use.Action.Repeats() {
		return nil
	}
	_, err := reuses.Upsert(ctx, tx, a.reuseID(use.Credential), func(r *reuse, exists bool) error {
		if !exists || r.Enrolment != s.enrolment || !a.at.Before(r.Until) {
			*r = reuse{ID: a.reuseID(use.Credential), User: a.user, Enrolment: s.enrolment, Credential: use.Credential, Step: s.step}
		}
		r.Until = a.at.Add(reuseTTL)
		if signIn {
			r.Carry = true
			return nil
		}
		r.add(use)
		if use.Action.AcrossPackages() && a.form == FormTOTP && !a.m.strict {
			r.WideUntil, r.WideLeft = stepEnd(s.step), wideTimes
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("twofactor: reuse: %w", err)
	}
	return nil
}

// add adds use to what the value was spent on.
func (r *reuse) add(use Use) {
	if len(r.Of) < maxReused {
		r.Of = append(r.Of, reused{use.Action, use.Package, use.Change, use.FollowUps, reuseTimes})
	}
}

// covering returns the part of r that covers use, nil for none.
func (r *reuse) covering(use Use) *reused {
	for i := range r.Of {
		if r.Of[i].covers(use) {
			return &r.Of[i]
		}
	}
	return nil
}

// reuse returns the record of reuse that lets the attempt's value be presented for use, nil if
// there is none.
func (a *Attempt) reuse(ctx context.Context, tx *store.Tx, use Use) (*reuse, error) {
	if a.use.Credential == "" { // a sign-in
		return nil, nil
	}
	r, err := found(reuses.Get(ctx, tx, a.reuseID(use.Credential)))
	if err != nil {
		return nil, fmt.Errorf("twofactor: reuse: %w", err)
	}
	if r == nil || r.User != a.user || r.Credential != use.Credential || !a.at.Before(r.Until) {
		return nil, nil
	}
	f, err := factorOf(ctx, tx, a.user)
	if err != nil {
		return nil, err
	}
	covered := r.Carry && use.Action == protocol.Publish ||
		use.Action.AcrossPackages() && a.at.Before(r.WideUntil) && r.WideLeft > 0 && f.Step == r.Step
	if of := r.covering(use); of != nil {
		covered = of.Left > 0
	}
	if !covered || f.Enrolment != r.Enrolment {
		return nil, nil
	}
	return r, nil
}

// take counts one use of a record that allows it.
func (r *reuse) take(ctx context.Context, tx *store.Tx, use Use) error {
	switch of := r.covering(use); {
	case of != nil:
		of.Left--
	case r.Carry:
		r.Carry = false
		r.add(use)
	default:
		r.WideLeft--
	}
	if err := put(ctx, tx, reuses, r.ID, r); err != nil {
		return fmt.Errorf("twofactor: reuse: %w", err)
	}
	return nil
}
