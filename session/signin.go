package session

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/store"
)

// A SignIn is what a person shows to prove who they are.
type SignIn struct {
	Name     string            // as typed
	Password credential.Secret // as typed
	OTP      credential.Secret // second factor; the zero Secret is none
	Client   Client            // who sends it: the browser, for a web login
	// Via says by which path, for lists and events: one short word of the
	// caller's, such as "couch". "" is "web" in Approve and stays "" elsewhere.
	Via string
}

// SignIn checks the password, then the second factor, and creates a session in
// the commit that spends the factor. It returns the session's secret, which is
// not stored and cannot be had again.
//
// Errors wrap ErrDenied (nobody learns whether the user exists) or, after a right
// password only, ErrFactorRequired. Every other error means that something broke:
// no secret is returned, and if a session was created nobody can use it.
func (m *Manager) SignIn(ctx context.Context, in SignIn) (credential.Secret, Session, error) {
	p, err := m.prove(ctx, in)
	if err != nil {
		return credential.Secret{}, Session{}, err
	}
	secret := credential.New(credential.PrefixSession)
	r := m.newRecord(p.id, secret, p.user, p.since, in.Client, in.Via)
	err = store.Transact(ctx, m.store, func(tx *store.Tx) error {
		if err := p.spend(ctx, tx, p.id); err != nil {
			return err
		}
		return sessions.Insert(ctx, tx, r)
	})
	if err != nil {
		return credential.Secret{}, Session{}, m.refuse(ctx, in, p.user, err)
	}
	s := Session(*r)
	m.record(ctx, audit.Event{
		Time: m.now(), Type: audit.Login, Outcome: audit.Done, User: s.User, Credential: s.ID, Addr: s.Addr,
		Detail: detail("via", s.Via, "agent", s.UserAgent),
	})
	return secret, s, nil
}

// proven is a person who showed a right password and began to spend a factor.
type proven struct {
	user  User
	spend Spend     // never nil
	id    string    // of the session to be
	since time.Time // before anything was checked
}

// prove is how every login path finds out who is there.
func (m *Manager) prove(ctx context.Context, in SignIn) (proven, error) {
	// The session counts from here and not from the end of the checks: what
	// ends all sessions of an account while they run must end this one too.
	p := proven{id: credential.NewID(), since: m.now()}
	in.Client = in.Client.clean()
	var err error
	if p.user, err = m.checkPassword(ctx, in.Name, in.Password); err != nil {
		return proven{}, m.refuse(ctx, in, User{}, err)
	}
	// An ID that JSON would change on its way into the record might come out as
	// somebody else's.
	if p.user.ID == "" || !utf8.ValidString(string(p.user.ID)) {
		return proven{}, m.refuse(ctx, in, User{}, errors.New("the user has no valid ID"))
	}
	if p.spend, err = m.secondFactor(ctx, p.user, in.OTP); err != nil {
		return proven{}, m.refuse(ctx, in, p.user, err)
	}
	if p.spend == nil {
		p.spend = func(context.Context, *store.Tx, string) error { return nil }
	}
	return p, nil
}

// refuse records a sign-in that ended with err and returns what the caller is
// told.
func (m *Manager) refuse(ctx context.Context, in SignIn, u User, err error) error {
	e := audit.Event{
		Time: m.now(), Type: audit.Login, Outcome: audit.Failed, Reasons: []string{"error"}, User: u.ID,
		Addr: in.Client.clean().Addr, Detail: detail("via", in.Via),
	}
	switch {
	case errors.Is(err, ErrDenied):
		// Without the name that was typed: it may be the password.
		e.Outcome, e.Reasons = audit.Denied, []string{"password"}
	case errors.Is(err, ErrFactorRequired) && in.OTP.IsZero():
		e.Outcome, e.Reasons = audit.Challenged, []string{"factor"}
	case errors.Is(err, ErrFactorRequired):
		e.Outcome, e.Reasons = audit.Denied, []string{"factor"}
	case errors.Is(err, ErrDecided) || errors.Is(err, ErrNoFlow):
		e.Outcome, e.Reasons = audit.Denied, []string{"flow"}
	}
	m.record(ctx, e)
	return fmt.Errorf("session: sign in: %w", err)
}

// detail returns the pairs of key and value whose value is not empty.
func detail(pairs ...string) map[string]string {
	d := make(map[string]string, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			d[pairs[i]] = pairs[i+1]
		}
	}
	return d
}
