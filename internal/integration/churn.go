package integration

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/store"
)

// A Deed is something that a worker does to a store, which changes it in more than
// one place. A worker reports it twice, before and after.
type Deed struct {
	// Do is what it is:
	//
	//	enrol    User gets a second factor, which ends the sessions of before
	//	spend    Shot is taken
	//	collect  the login with the poll in Secret becomes the session ID
	//	create   User gets a token
	//	revoke   that token ends
	Do   string
	User protocol.UserID
	At   time.Time

	Shot   Shot
	ID     string // of the token or session
	Secret string

	Done    bool   // it was acknowledged
	Error   string // or it failed. Neither: it has begun
	Unknown bool   // of the error, which says that it may have happened
}

// churn lives one user's life after the other, until ctx is done, and reports each
// deed.
func (l *Library) churn(ctx context.Context, name string, report func(Deed)) {
	for n := 0; ctx.Err() == nil; n++ {
		l.Live(ctx, protocol.UserID(fmt.Sprintf("%s-%d", name, n)), report)
	}
}

// Live lives the life of one user, who makes and revokes tokens, logs in, turns on a
// second factor and spends some of it, and reports each deed.
func (l *Library) Live(ctx context.Context, user protocol.UserID, report func(Deed)) {
	life{l, user, report}.live(ctx)
}

type life struct {
	*Library
	user   protocol.UserID
	report func(Deed)
}

// do does one deed, and reports whether it is done.
func (l life) do(d Deed, how func(d *Deed) error) bool {
	d.User, d.At = l.user, time.Now()
	l.report(d)
	err := how(&d)
	if d.Done = err == nil; !d.Done {
		d.Error, d.Unknown = err.Error(), errors.Is(err, store.ErrUnknown)
		time.Sleep(10 * time.Millisecond) // nothing is to be had just now
	}
	l.report(d)
	return d.Done
}

func (l life) fire(ctx context.Context, s Shot) bool {
	s.User = l.user
	return l.do(Deed{Do: "spend", Shot: s}, func(*Deed) error {
		won, err := l.Fire(ctx, s)
		if err == nil && !won {
			err = errors.New("it is spent, and nobody else has it")
		}
		return err
	})
}

func (l life) live(ctx context.Context) {
	for range 3 {
		l.create(ctx)
		if id := l.create(ctx); id != "" {
			l.do(Deed{Do: "revoke", ID: id}, func(*Deed) error { return l.Tokens().Revoke(ctx, audit.Actor{}, l.user, id, "test") })
		}
	}
	flow, err := l.Sessions().Start(ctx, here)
	if err == nil && l.fire(ctx, Shot{Kind: "approval", Value: flow.PageID}) {
		l.do(Deed{Do: "collect", Secret: flow.PollID.Reveal()}, func(d *Deed) (err error) {
			d.ID, err = l.collect(ctx, d.Secret)
			return err
		})
	}
	var f *Factor
	if !l.do(Deed{Do: "enrol"}, func(*Deed) (err error) {
		f, err = l.Enrol(ctx, l.user)
		return err
	}) {
		return
	}
	l.fire(ctx, Shot{Kind: "totp", Value: f.Next()})
	for _, code := range f.Recovery[:3] {
		l.fire(ctx, Shot{Kind: "recovery", Value: code})
	}
}

// create makes a token and returns its ID, "" if it failed.
func (l life) create(ctx context.Context) (id string) {
	l.do(Deed{Do: "create"}, func(d *Deed) error {
		secret, t, err := l.Tokens().Create(ctx, audit.Actor{}, ci(l.user))
		if err == nil {
			d.ID, d.Secret, id = t.ID, secret.Reveal(), t.ID
		}
		return err
	})
	return id
}

// collect collects an approved login and returns the ID of its session.
func (l *Library) collect(ctx context.Context, poll string) (string, error) {
	p, err := l.Sessions().Collect(ctx, poll, here)
	if err == nil && p.State != session.Done {
		err = fmt.Errorf("an approved login is %s", p.State)
	}
	return p.Session.ID, err
}

// young is how old a deed may be for its code, or its poll, to be good still.
const young = 20 * time.Second

// Verify compares what is in the store with deeds that were reported, in the order
// in which they were, and returns what is wrong: a deed that was acknowledged and is
// undone, something that can be spent once more, a session without the spending that
// opens it. It spends what turns out to be left.
func (l *Library) Verify(ctx context.Context, deeds []Deed) (problems []string) {
	lives := make(map[protocol.UserID][]Deed)
	for _, d := range deeds { // the report after a deed replaces the one before
		all := lives[d.User]
		if n := len(all); n > 0 && (d.Done || d.Error != "") {
			all[n-1] = d
		} else {
			all = append(all, d)
		}
		lives[d.User] = all
	}
	for user, deeds := range lives {
		for _, p := range l.verify(ctx, user, deeds) {
			problems = append(problems, fmt.Sprintf("%s: %s", user, p))
		}
	}
	return problems
}

func (l *Library) verify(ctx context.Context, user protocol.UserID, deeds []Deed) (problems []string) {
	problem := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	revoked := make(map[string]bool) // by ID, true if that was acknowledged
	for _, d := range deeds {
		if d.Do == "revoke" {
			revoked[d.ID] = d.Done
		}
	}
	// A factor that was turned on has ended what was opened or approved before, and
	// nothing else: a deed of which nobody knows the outcome has done both or neither.
	st, err := l.Factors().Status(ctx, l.Store, user)
	if err != nil {
		problem("status: %v", err)
	}
	least, most := 0, 0 // sessions
	var known []string
	for _, d := range slices.Backward(deeds) { // what is unsettled comes last, and is tried before anything else
		switch fresh := time.Since(d.At) < young; d.Do {
		case "create":
			if !d.Done {
				continue
			}
			err := l.alive(ctx, d.Secret)
			switch acknowledged, begun := revoked[d.ID]; {
			case err != nil && !errors.Is(err, host.ErrInvalidToken):
				problem("token %s: %v", d.ID, err)
			case err != nil && !begun:
				problem("token %s was created and is gone", d.ID)
			case err == nil && acknowledged:
				problem("token %s was revoked and is alive", d.ID)
			}
		case "enrol":
			if d.Done && !st.Enabled {
				problem("the factor is gone")
			}
		case "spend":
			if d.Shot.Kind == "approval" {
				r, err := l.Sessions().Page(ctx, d.Shot.Value)
				ended := st.Enabled && r.State == session.Over // it was collected too late
				if err != nil || d.Done && r.State != session.Done && !ended {
					problem("the approval is gone: %s, %v", r.State, err)
				}
				continue
			}
			won := false
			if fresh || d.Shot.Kind == "recovery" {
				var err error
				if won, err = l.Fire(ctx, d.Shot); err != nil {
					problem("spend the %s: %v", d.Shot.Kind, err)
				}
			}
			if won && d.Done {
				problem("the %s was spent, and once more", d.Shot.Kind)
			}
			most++ // now, if it was not before
			if d.Done || fresh || d.Shot.Kind == "recovery" {
				least++
			}
		case "collect":
			if st.Enabled {
				if fresh && !d.Done {
					if id, err := l.collect(ctx, d.Secret); err == nil {
						problem("session %s was collected of a login that a factor has ended", id)
					}
				}
				continue
			}
			if d.Done {
				known = append(known, d.ID)
			} else if fresh {
				if _, err := l.collect(ctx, d.Secret); err != nil {
					problem("collect: %v", err)
				}
			}
			most++
			if d.Done || fresh {
				least++
			}
		}
	}
	list, next, err := l.Sessions().List(ctx, user, "", store.MaxLimit)
	if err != nil || next != "" {
		problem("list of sessions: %v", err)
	}
	if len(list) < least || len(list) > most {
		problem("%d sessions, of %d to %d", len(list), least, most)
	}
	for _, id := range known {
		if !slices.ContainsFunc(list, func(s session.Session) bool { return s.ID == id }) {
			problem("session %s was collected and is gone", id)
		}
	}
	return problems
}

// alive authenticates a token, and returns npmauth's error if it is none.
func (l *Library) alive(ctx context.Context, secret string) error {
	_, _, err := l.Authorize(ctx, protocol.Operation{Action: protocol.Whoami}, http.Header{"Authorization": {"Bearer " + secret}}, here.Addr)
	return err
}
