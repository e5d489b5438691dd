package session

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
)

// A SignIn is what a person presents to sign in.
type SignIn struct {
	Name     string            // as typed
	Password credential.Secret // as typed
	OTP      credential.Secret // second factor; the zero Secret is none
	// Carry lets the session present OTP once more, to publish one package, see
	// [subject.Factor]. It is for the CouchDB login: Approve refuses it.
	Carry  bool
	Client Client // the sender: the browser, for a web login
	// Browser identifies the browser, also to which accounts it is known: a random value that the
	// browser alone has, from a cookie of its own that lasts as long. The zero Secret is none.
	Browser credential.Secret
	// Session is the secret of a session that the browser keeps, see [Manager.ApproveAndStay], in
	// place of Name. The person is asked for less: an account with a second factor needs OTP and no
	// Password, one without needs Password unless the session is [Session.Fresh]. One that is not valid,
	// or not from the address of Client, is [ErrNoSession]. The zero Secret is none.
	Session credential.Secret
	// Passkey is what a passkey has signed at the page of that ID, in place of Name, Password, OTP and
	// Session: it is both factors. See [Config].Passkey. The zero Secret is none. An OTP that a security
	// key has signed is for that page, too. [Manager.Approve] sets Page.
	Passkey credential.Secret
	Page    string
	// Via names the login path, for lists and events: one short word that the caller chooses,
	// such as "couch". "" is "web" in Approve and stays "" elsewhere. [ViaHost] is an error: such a
	// session is as good as a password for a while.
	Via string
}

// nobody is an ID that is read where no user has a name, so that this takes as many requests of the
// store.
const nobody = "nobody"

// CheckPassword returns the user with this name if the password is theirs, or the user of
// in.Session, see there; of in it uses nothing else, but to find out how many guesses there are, and
// from where a session is used. An unknown name, a wrong password and a disabled account are all
// ErrDenied. A password that was not checked is a [*subject.WaitError]. A refusal has the event of a
// sign-in that ended so.
func (m *Manager) CheckPassword(ctx context.Context, in SignIn) (Person, error) {
	p, g, err := m.personOf(ctx, in)
	if err == nil {
		err = g.undo(ctx)
	}
	if err != nil {
		return Person{}, m.refuse(ctx, in, p.User, err)
	}
	return p, nil
}

// personOf is CheckPassword for a caller that ends the guess. After an error, the Person has the
// user all the same if there is one.
func (m *Manager) personOf(ctx context.Context, in SignIn) (p Person, g *guess, err error) {
	if in.Session.IsZero() {
		return m.passwordOf(ctx, in)
	}
	r, sub, err := m.sessionOf(ctx, in)
	if err != nil {
		return Person{}, nil, err
	}
	if sub.TwoFactor != protocol.TwoFactorOff || r.session().Fresh(m.now()) {
		return Person{User: User{ID: r.User, Name: r.Name}, Subject: sub}, nil, nil
	}
	in.Name = r.Name
	if p, g, err = m.passwordOf(ctx, in); err == nil && p.ID != r.User { // the name is another's by now
		err = errors.Join(ErrNoSession, g.undo(ctx))
	}
	p.Subject = sub // which was read before, and whose Evidence has the session
	return p, g, err
}

// sessionOf returns the session that in presents, and its account. It is valid from the address ranges
// of the account, as for any other request.
func (m *Manager) sessionOf(ctx context.Context, in SignIn) (*record, subject.Subject, error) {
	r, sub, err := m.verify(ctx, m.store, in.Session)
	if err != nil {
		return nil, subject.Subject{}, err
	}
	if account := sub.Account(""); !account.From(in.Client.clean().Addr) {
		return nil, subject.Subject{}, ErrNoSession
	}
	return r, sub, nil
}

// validUser returns an error unless the ID is one that a record keeps as it is. If JSON changed it, it
// could become the ID of another user.
func validUser(user User) error {
	if user.ID == "" || !utf8.ValidString(string(user.ID)) {
		return errors.New("session: the user has no valid ID")
	}
	return nil
}

func (m *Manager) passwordOf(ctx context.Context, in SignIn) (p Person, g *guess, err error) {
	user, err := m.lookup(ctx, in.Name)
	known := err == nil
	if err != nil && !errors.Is(err, ErrDenied) {
		return Person{}, nil, err
	}
	if !known {
		user = User{}
	}
	p.User = user
	id := protocol.UserID(nobody)
	if known {
		if err := validUser(user); err != nil {
			return Person{}, nil, err
		}
		id = user.ID
	}
	if p.Subject, err = subject.Get(ctx, m.store, id); err != nil {
		return p, nil, fmt.Errorf("session: %w", err)
	}
	if g, err = m.beginGuess(ctx, in, known, p.Subject); err != nil {
		return p, nil, err
	}
	ctx = subject.WithClient(ctx, subject.Client{Addr: in.Client.Addr, Known: g.known != ""})
	right, err := m.checkPassword(ctx, user.ID, in.Password)
	if err != nil {
		g.wrong() // two commits: otherwise clients that leave at once cause as many as they like
		return p, nil, errors.Join(err, g.undo(ctx))
	}
	// No password is the right one. A directory may think otherwise: to LDAP it is an anonymous bind,
	// which succeeds (RFC 4513 section 5.1.2).
	if !known || !right || in.Password.IsZero() || p.Subject.Disabled {
		g.wrong()
		return p, nil, ErrDenied
	}
	return p, g, nil
}

// SignIn checks the password, then the second factor, and creates a session in the commit that
// spends the factor. It returns the session's secret, which is not stored and cannot be shown a
// second time.
//
// Errors wrap ErrDenied (which does not tell whether the user exists) or, after a right
// password only, ErrFactorRequired. Every other error means that something broke: no secret is
// returned, and if a session was created nobody can use it.
func (m *Manager) SignIn(ctx context.Context, in SignIn) (credential.Secret, Session, error) {
	p, err := m.prove(ctx, in)
	if err != nil {
		return credential.Secret{}, Session{}, err
	}
	secret := credential.New(credential.PrefixSession)
	var s Session
	err = m.commit(ctx, in, p, func(tx *store.Tx) error {
		s, err = m.open(ctx, tx, p, in, p.id, secret)
		return err
	})
	if err != nil {
		return credential.Secret{}, Session{}, err
	}
	s.Notice = p.notice
	return secret, s, nil
}

// ViaHost is the Via of a session that [Manager.Admit] has created.
const ViaHost = "host"

// FreshFor is how long such a session is as good as the password.
const FreshFor = 10 * time.Minute

// Fresh reports whether the person has just signed in at the program's own login, see
// [Manager.Admit]: what takes a password besides the session takes none for [FreshFor].
func (s Session) Fresh(now time.Time) bool {
	return s.Via == ViaHost && !now.Before(s.Created) && now.Before(s.Created.Add(FreshFor))
}

// Admit creates a session for a person whom the program has authenticated by itself, such as at a
// company's login, and who has no password here. It asks for no second factor: whatever takes one
// asks for it. An account that may not sign in is [ErrDenied].
func (m *Manager) Admit(ctx context.Context, user User, c Client) (credential.Secret, Session, error) {
	in := SignIn{Client: c.clean(), Via: ViaHost}
	p := &proven{id: credential.NewID(), since: m.now(), spend: func(context.Context, *store.Tx, string) error { return nil }}
	p.User = user
	err := validUser(user)
	if err != nil {
		return credential.Secret{}, Session{}, m.refuse(ctx, in, User{}, err)
	}
	if p.Subject, err = subject.Get(ctx, m.store, user.ID); err == nil && p.Subject.Disabled {
		err = ErrDenied
	}
	if err != nil {
		return credential.Secret{}, Session{}, m.refuse(ctx, in, user, err)
	}
	secret := credential.New(credential.PrefixSession)
	var s Session
	err = m.commit(ctx, in, p, func(tx *store.Tx) error {
		s, err = m.open(ctx, tx, p, in, p.id, secret)
		return err
	})
	if err != nil {
		return credential.Secret{}, Session{}, err
	}
	return secret, s, nil
}

// open creates a session of the person in the commit.
func (m *Manager) open(ctx context.Context, tx *store.Tx, p *proven, in SignIn, id string, secret credential.Secret) (Session, error) {
	r := m.newRecord(id, secret, p.User, p.Subject.Numbers(policy.KindSession), p.since, in.Client, in.Via)
	s := r.session()
	if err := sessions.Insert(ctx, tx, r); err != nil {
		return Session{}, err
	}
	return s, m.events.Commit(ctx, tx, audit.Event{
		Time: m.now(), Type: audit.Login, Outcome: audit.Done, User: s.User, By: s.User, Credential: s.ID, Addr: s.Addr,
		Detail: detail("via", s.Via, "agent", s.UserAgent),
	})
}

// proven is a person whose password was right and whose second factor is reserved.
type proven struct {
	Person
	guess  *guess  // nil: no password was asked for
	by     *SignIn // with the session; nil: without one
	notice string
	spend  subject.Spend // never nil
	id     string        // of the session that will be created
	since  time.Time     // a time before anything was checked
}

// prove authenticates the person, for every login path.
func (m *Manager) prove(ctx context.Context, in SignIn) (*proven, error) {
	if in.Via == ViaHost {
		return nil, errors.New("session: sign in: SignIn.Via is for Admit alone")
	}
	p := &proven{id: credential.NewID(), since: m.now()}
	in.Client = in.Client.clean()
	if !in.Passkey.IsZero() {
		if err := m.provePasskey(ctx, in, p); err != nil {
			return nil, m.refuse(ctx, in, p.User, err)
		}
		return p, nil
	}
	var err error
	if p.Person, p.guess, err = m.personOf(ctx, in); err != nil {
		return nil, m.refuse(ctx, in, p.User, err)
	}
	if !in.Session.IsZero() {
		p.by = &in
	}
	if p.guess != nil {
		if p.notice, err = m.notice(ctx, p.User, in.Password); err != nil {
			return nil, m.refuse(ctx, in, p.User, errors.Join(err, p.guess.undo(ctx)))
		}
	}
	f := subject.Factor{Value: in.OTP, Carry: in.Carry, Page: in.Page, At: in.Client.At, Addr: in.Client.Addr}
	if p.spend, err = m.secondFactor(ctx, p.Subject, f); err != nil {
		return nil, m.refuse(ctx, in, p.User, errors.Join(err, p.guess.undo(ctx)))
	}
	if p.spend == nil {
		p.spend = func(context.Context, *store.Tx, string) error { return nil }
	}
	return p, nil
}

// provePasskey sets who presents a passkey. It is verified in the commit that relies on it.
func (m *Manager) provePasskey(ctx context.Context, in SignIn, p *proven) (err error) {
	if m.passkey == nil {
		return ErrDenied
	}
	if p.User, p.spend, err = m.passkey(ctx, subject.Factor{Value: in.Passkey, Page: in.Page, At: in.Client.At, Addr: in.Client.Addr}); err != nil {
		p.User = User{} // nothing is proven
		return err
	}
	if err := validUser(p.User); err != nil {
		return err
	}
	if p.Subject, err = subject.Get(ctx, m.store, p.ID); err != nil {
		return fmt.Errorf("session: %w", err)
	}
	if p.Subject.Disabled || !p.Subject.Keys {
		return ErrDenied
	}
	return nil
}

// maxRuns is how often a commit is tried when a row that it expects has changed.
const maxRuns = 3

// commit spends the second factor and runs fn, which records its own event, in a commit that
// expects what p relies on. A refusal is recorded here.
func (m *Manager) commit(ctx context.Context, in SignIn, p *proven, fn func(tx *store.Tx) error) error {
	err := m.commitProven(ctx, p, func(tx *store.Tx) error {
		if err := p.spend(ctx, tx, p.id); err != nil {
			return err
		}
		if err := p.guess.right(ctx, tx); err != nil {
			return err
		}
		return fn(tx)
	})
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrUnknown):
		return fmt.Errorf("session: sign in: %w", err) // the commit itself recorded it
	}
	return m.refuse(ctx, in, p.User, errors.Join(err, p.guess.undo(ctx)))
}

// commitProven expects the account's row to be as it was before the password was checked, and
// calls the host last. A change of that row that concerns neither the password nor the second
// factor does no harm: p gets the new row and the commit is tried once more.
func (m *Manager) commitProven(ctx context.Context, p *proven, fn func(tx *store.Tx) error) error {
	for range maxRuns {
		if err := m.alive(ctx, p.ID); err != nil {
			return err
		}
		err := store.Transact(ctx, m.store, func(tx *store.Tx) error {
			tx.Expect(p.Subject.Evidence...)
			return fn(tx)
		})
		if _, changed := errors.AsType[*store.ChangedError](err); !changed {
			return err
		}
		now, err := m.subjectOf(ctx, p)
		if err != nil {
			return err
		}
		if now.Disabled || now.Numbers(policy.KindSession) != p.Subject.Numbers(policy.KindSession) {
			return ErrDenied // the password has changed, or its numbers were revoked
		}
		if (now.TwoFactor == protocol.TwoFactorOff) != (p.Subject.TwoFactor == protocol.TwoFactorOff) {
			return ErrFactorRequired
		}
		if now.KeysOnly && !p.Subject.KeysOnly { // what was presented may not count any more
			return ErrFactorRequired
		}
		p.Subject = now
	}
	return fmt.Errorf("%w: the account changes all the time", store.ErrConflict)
}

// subjectOf reads the account of p once more, and the session that p has signed in with.
func (m *Manager) subjectOf(ctx context.Context, p *proven) (subject.Subject, error) {
	if p.by == nil {
		return subject.Get(ctx, m.store, p.ID)
	}
	_, sub, err := m.sessionOf(ctx, *p.by)
	return sub, err
}

// refuse records a sign-in that ended with err and returns the error for the caller.
func (m *Manager) refuse(ctx context.Context, in SignIn, u User, err error) error {
	e := audit.Event{
		Time: m.now(), Type: audit.Login, Outcome: audit.Failure(ctx, err), User: u.ID,
		Addr: in.Client.clean().Addr, Detail: detail("via", in.Via),
	}
	wait, waits := errors.AsType[*subject.WaitError](err)
	switch {
	case waits:
		_, code, _ := wait.Answer()
		e.Outcome, e.Reasons = audit.Denied, []string{code}
	case errors.Is(err, ErrNoSession):
		e.Outcome, e.Reasons = audit.Denied, []string{"session"}
	case errors.Is(err, ErrDenied):
		// Without the name that was typed: people type passwords there.
		e.Outcome, e.Reasons = audit.Denied, []string{"password"}
	case errors.Is(err, ErrFactorRequired) && !in.Passkey.IsZero():
		e.Outcome, e.Reasons = audit.Denied, []string{"passkey"}
	case errors.Is(err, ErrFactorRequired) && in.OTP.IsZero():
		e.Outcome, e.Reasons = audit.Challenged, []string{"factor"}
	case errors.Is(err, ErrFactorRequired):
		e.Outcome, e.Reasons = audit.Denied, []string{"factor"}
	case errors.Is(err, ErrDecided) || errors.Is(err, ErrNoFlow):
		e.Outcome, e.Reasons = audit.Rejected, []string{"flow"}
	case errors.Is(err, subject.ErrBusy):
		e.Outcome, e.Reasons = audit.Denied, []string{"busy"}
	case e.Outcome == audit.Failed:
		e.Reasons = []string{"error"}
	}
	m.events.Record(ctx, e)
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
