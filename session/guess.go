package session

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/internal/cidr"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
)

// The guesses at a password, see "Guesses" in the documentation of the package.
const (
	freeGuesses   = 20               // before each waits for the one before
	firstWait     = 30 * time.Second // and each time twice as long
	longestWait   = 15 * time.Minute
	sharedGuesses = 100                  // NIST SP 800-63B-4, section 3.2.2
	guessesKept   = 365 * 24 * time.Hour // after the last
	longestCode   = 24 * time.Hour       // as longestWait, of a code
	ownGuesses    = 5
	ownKept       = 24 * time.Hour
	undoTime      = 10 * time.Second
)

// KnownFor is how long after a sign-in its network and its browser are known to the account.
const KnownFor = 90 * 24 * time.Hour

// A tally counts the guesses since the last that was right.
type tally struct {
	Failed int             `json:"failed,omitempty"`
	Next   time.Time       `json:"next,omitzero"`  // the first instant at which one more may be made
	Under  subject.Numbers `json:"under,omitzero"` // of the password; it does not count for another one
}

// unknown has the guesses at an account's password from all places that are not known to it.
type unknown struct {
	ID    string `json:"id"`
	Tally tally  `json:"tally"`
	// Codes has the codes that were tried to have a password checked all the same, right or wrong, and
	// Recovery those that cannot be guessed and were right.
	Codes    tally     `json:"codes,omitzero"`
	Recovery tally     `json:"recovery,omitzero"`
	Until    time.Time `json:"until"`
}

// A place is a network or a browser that is known to an account, with the guesses made there; or a
// network that is not known to it and had a password checked out of turn.
type place struct {
	ID    string    `json:"id"`
	Known bool      `json:"known,omitempty"`
	Tally tally     `json:"tally"`
	Until time.Time `json:"until"`
}

// own counts the guesses of a credential at the password of its own account.
type own struct {
	ID     string    `json:"id"` // of the credential
	Failed int       `json:"failed"`
	Until  time.Time `json:"until"`
}

var (
	unknowns = store.NewTable("password-guesses", 1, func(u *unknown) string { return u.ID }).
			Expiring(func(u *unknown) time.Time { return u.Until })
	places = store.NewTable("password-place", 1, func(p *place) string { return p.ID }).
		Expiring(func(p *place) time.Time { return p.Until })
	owns = store.NewTable("password-own", 1, func(o *own) string { return o.ID }).
		Expiring(func(o *own) time.Time { return o.Until })
)

// wait returns how long t has the next guess wait; 0 is not at all. What a clock that was days ahead
// has left makes nobody wait: it would for as long. Nodes are not that far apart.
func (t tally) wait(now time.Time) time.Duration {
	if wait := t.Next.Sub(now); 0 < wait && wait <= 2*longestCode {
		return wait
	}
	return 0
}

// add counts one more. Beyond those that are free the next one waits, at most for longest.
func (t *tally) add(now time.Time, longest time.Duration) {
	t.Failed++
	t.Next = time.Time{}
	if more := t.Failed - freeGuesses; more >= 0 {
		t.Next = now.Add(min(firstWait<<min(more, 20), longest))
	}
}

// A budget says what counts a guess. The zero value counts nothing.
type budget uint8

const (
	byNothing     budget = iota
	byPlace              // a place that is known to the account
	byAccount            // the account, for all places that are not
	byReservation        // the network, for which one in turn is reserved
	byCode               // the codes that were tried
	byRecovery           // the right ones that cannot be guessed
)

// A guess is the reserved right to have one password checked.
//
// A nil guess is that of somebody who was asked for no password.
type guess struct {
	m        *Manager
	under    subject.Numbers
	account  string     // ID of the row of its guesses
	network  string     // ID of the place
	browser  string     // likewise; "" if the client presents none
	known    string     // the one of the two that is known to the account, "" if neither is
	addr     netip.Addr // of the client
	factor   bool       // the account has a second factor
	reserved budget
	before   tally // of the budget
}

// newGuess finds out what a guess of the sign-in counts for. sub is the account's, or if no user
// has the name, known is false, any Subject. Then guesses are answered as those at an account with
// a second factor, or as those at one without: always in the same way for one name. Such names
// share rows, so that people who try many do not fill the store.
func (m *Manager) newGuess(ctx context.Context, in SignIn, known bool, sub subject.Subject) (*guess, error) {
	key, err := m.serverKey.Derive(ctx, "session: guesses at passwords")
	if err != nil {
		return nil, err
	}
	g := &guess{m: m, addr: in.Client.Addr.Unmap().WithZone("")}
	if known {
		g.account, g.under = digest(key, "user", string(sub.ID)), sub.Numbers(policy.KindSession)
		g.factor = sub.TwoFactor != protocol.TwoFactorOff
	} else {
		sum := digest(key, "name", in.Name)
		g.account, g.factor = "nobody-"+sum[:4], sum[4] < '8'
	}
	g.network = digest(key, "network", g.account, cidr.Network(g.addr).String())
	keys := []string{places.Key(g.network)}
	if !in.Browser.IsZero() {
		g.browser = digest(key, "browser", g.account, in.Browser.Reveal())
		keys = append(keys, places.Key(g.browser))
	}
	items, err := m.store.Get(ctx, keys...)
	if err != nil {
		return nil, err
	}
	for _, it := range items { // a browser rather than a network, which may be that of many others
		p, err := found(places.Decode(it))
		if err != nil {
			return nil, err
		}
		if p != nil && p.Known && p.Tally.Under == g.under && m.now().Before(p.Until) {
			g.known = p.ID
		}
	}
	return g, nil
}

// digest is a MAC of parts, in hexadecimal.
func digest(key [32]byte, parts ...string) string {
	mac := hmac.New(sha256.New, key[:])
	for _, p := range parts {
		fmt.Fprintf(mac, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

// found returns v as it is, and nil for a record that is not there.
func found[T any](v *T, err error) (*T, error) {
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return v, err
}

// beginGuess reserves the right to check one password, in a commit of its own that stands whatever
// happens next. If there is none, the error is a [*subject.WaitError].
func (m *Manager) beginGuess(ctx context.Context, in SignIn, known bool, sub subject.Subject) (*guess, error) {
	g, err := m.newGuess(ctx, in, known, sub)
	if err != nil {
		return nil, fmt.Errorf("session: guesses: %w", err)
	}
	if g.known == "" {
		if wait := m.strangers.Wait(g.addr); wait > 0 {
			return nil, &subject.WaitError{After: wait, Network: true}
		}
	}
	wait, err := g.reserve(ctx)
	if err == nil && wait > 0 {
		err = m.codeOpens(ctx, g, in, sub, &subject.WaitError{After: wait})
	}
	if err != nil {
		if !in.OTP.IsZero() { // to try a code takes a commit
			g.wrong()
		}
		return nil, fmt.Errorf("session: guesses: %w", err)
	}
	return g, nil
}

// reserve counts the guess, or returns how long it has to wait for that.
func (g *guess) reserve(ctx context.Context) (wait time.Duration, err error) {
	err = store.Transact(ctx, g.m.store, func(tx *store.Tx) (err error) {
		if g.known != "" {
			wait, err = g.countPlace(ctx, tx)
			return err
		}
		if wait, err = g.countAccount(ctx, tx); wait == 0 || err != nil || g.factor {
			return err
		}
		// Nobody else closes an account without a second factor to its owner.
		instead, err := g.countReservation(ctx, tx)
		wait = min(wait, instead)
		return err
	})
	return wait, err
}

// countPlace counts the guess for the place that is known to the account.
func (g *guess) countPlace(ctx context.Context, tx *store.Tx) (wait time.Duration, err error) {
	p, err := found(places.Get(ctx, tx, g.known))
	if err != nil {
		return 0, err
	}
	now := g.m.now()
	if p == nil { // it was known a moment ago
		return time.Second, nil
	}
	if wait := p.Tally.wait(now); wait > 0 {
		return wait, nil
	}
	g.reserved, g.before = byPlace, p.Tally
	p.Tally.add(now, longestWait)
	return 0, put(ctx, tx, places, p.ID, p)
}

// countAccount counts the guess for the account.
func (g *guess) countAccount(ctx context.Context, tx *store.Tx) (wait time.Duration, err error) {
	u, err := g.unknown(ctx, tx)
	if err != nil {
		return 0, err
	}
	now := g.m.now()
	if g.factor && u.Tally.Failed >= sharedGuesses {
		return longestWait, nil
	}
	if wait := u.Tally.wait(now); wait > 0 {
		return wait, nil
	}
	g.reserved, g.before = byAccount, u.Tally
	u.Tally.add(now, longestWait)
	u.Until = now.Add(guessesKept)
	return 0, put(ctx, tx, unknowns, u.ID, u)
}

// unknown returns the guesses at the account, from places that are not known to it.
func (g *guess) unknown(ctx context.Context, tx *store.Tx) (*unknown, error) {
	u, err := found(unknowns.Get(ctx, tx, g.account))
	if err != nil {
		return nil, err
	}
	if u == nil || !g.m.now().Before(u.Until) || u.Tally.Under != g.under {
		u = g.none()
	}
	return u, nil
}

// none is that nobody has guessed.
func (g *guess) none() *unknown {
	t := tally{Under: g.under}
	return &unknown{ID: g.account, Tally: t, Codes: t, Recovery: t}
}

// countReservation counts the guess for its network: of those that have to wait for others, each
// gets one in the longest time that there is to wait.
func (g *guess) countReservation(ctx context.Context, tx *store.Tx) (wait time.Duration, err error) {
	p, err := found(places.Get(ctx, tx, g.network))
	if err != nil {
		return 0, err
	}
	now := g.m.now()
	if p != nil && p.Tally.Under == g.under {
		if p.Known && now.Before(p.Until) { // since a moment ago: it stays so
			return time.Second, nil
		}
		if wait := p.Tally.wait(now); wait > 0 && !p.Known {
			return wait, nil
		}
	}
	p = &place{ID: g.network, Tally: tally{Under: g.under, Next: now.Add(longestWait)}, Until: now.Add(longestWait)}
	g.reserved, g.before = byReservation, tally{Under: g.under}
	return 0, put(ctx, tx, places, p.ID, p)
}

// codeOpens lets the guess, which has to wait, through if the sign-in brings a code that the account
// accepts now. That neither spends the code nor counts for the second factor, which strangers would
// lock. Whether a code was right is not told.
//
// What can be guessed is counted before its result is used: otherwise whoever has the password guesses
// at the factor here, and the lock of the factor would not end it. Of the others the right ones are:
// who has found a recovery code has no more guesses at the password than who has the app.
func (m *Manager) codeOpens(ctx context.Context, g *guess, in SignIn, sub subject.Subject, refused *subject.WaitError) error {
	if m.verifies == nil || in.OTP.IsZero() {
		return refused
	}
	right, guessable, err := m.verifies(ctx, sub, subject.Factor{Value: in.OTP, At: in.Client.At, Addr: in.Client.Addr})
	if err != nil {
		return err
	}
	if !right && !guessable {
		return refused
	}
	g.reserved = byRecovery
	if guessable {
		g.reserved = byCode
	}
	err = store.Transact(ctx, m.store, func(tx *store.Tx) error {
		u, err := g.unknown(ctx, tx)
		if err != nil {
			return err
		}
		t, now := g.tallyOf(u), m.now()
		if t.wait(now) > 0 {
			return refused
		}
		g.before = *t
		t.add(now, longestCode)
		u.Until = now.Add(guessesKept)
		return put(ctx, tx, unknowns, u.ID, u)
	})
	if err != nil {
		return err
	}
	if !right {
		return refused
	}
	return nil
}

// tallyOf returns which of u counts the guess.
func (g *guess) tallyOf(u *unknown) *tally {
	switch g.reserved {
	case byCode:
		return &u.Codes
	case byRecovery:
		return &u.Recovery
	default:
		return &u.Tally
	}
}

// wrong says that the password was, or that it was not checked although this has caused commits: it
// costs the network.
func (g *guess) wrong() {
	if g.known == "" {
		g.m.strangers.Spend(g.addr)
	}
}

// undo takes the guess back: the password was not checked, or it was right and nobody signs in.
func (g *guess) undo(ctx context.Context) error {
	if g == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	err := store.Transact(ctx, g.m.store, func(tx *store.Tx) error {
		back := func(t *tally) {
			if t.Under != g.under {
				return
			}
			if t.Failed = max(t.Failed-1, 0); t.Failed <= g.before.Failed {
				t.Next = g.before.Next
			}
		}
		switch g.reserved {
		case byAccount, byCode, byRecovery:
			u, err := g.unknown(ctx, tx)
			if err != nil {
				return err
			}
			back(g.tallyOf(u))
			u.Until = g.m.now().Add(guessesKept)
			return put(ctx, tx, unknowns, u.ID, u)
		case byPlace, byReservation:
			id := g.network
			if g.reserved == byPlace {
				id = g.known
			}
			p, err := found(places.Get(ctx, tx, id))
			if p == nil || err != nil || p.Known != (g.reserved == byPlace) { // another has signed in there meanwhile
				return err
			}
			back(&p.Tally)
			return put(ctx, tx, places, p.ID, p)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("session: guesses: %w", err)
	}
	return nil
}

// right is part of the commit of a sign-in: what was guessed before does not count any more where
// it was counted, and the client's places are known to the account from now on.
func (g *guess) right(ctx context.Context, tx *store.Tx) error {
	if g == nil {
		return nil
	}
	ids := []string{g.network, g.browser}
	if !g.addr.IsValid() { // which clients are there is not known
		ids[0] = ""
	}
	brought := g.reserved == byCode || g.reserved == byRecovery // a code that let it through
	keys := []string{unknowns.Key(g.account)}
	for _, id := range ids {
		if id != "" {
			keys = append(keys, places.Key(id))
		}
	}
	if g.known != "" && !brought {
		keys = keys[1:]
	}
	if _, err := tx.Get(ctx, keys...); err != nil { // all in one request
		return err
	}
	now := g.m.now()
	if g.known == "" || brought {
		u, err := g.unknown(ctx, tx)
		if err != nil {
			return err
		}
		none := g.none()
		if g.known != "" {
			none.Tally = u.Tally
		}
		*u, u.Until = *none, now.Add(guessesKept)
		if err := put(ctx, tx, unknowns, u.ID, u); err != nil {
			return err
		}
	}
	for _, id := range ids {
		if id == "" {
			continue
		}
		_, err := places.Upsert(ctx, tx, id, func(p *place, _ bool) error {
			if !p.Known || p.Tally.Under != g.under || id == g.known {
				p.Tally = tally{Under: g.under}
			}
			p.ID, p.Known, p.Until = id, true, now.Add(KnownFor)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// put writes v, whether or not there was one before.
func put[T any](ctx context.Context, tx *store.Tx, t *store.Table[T], id string, v *T) error {
	_, err := t.Upsert(ctx, tx, id, func(old *T, _ bool) error {
		*old = *v
		return nil
	})
	return err
}

// ErrGuesses means that somebody who presents a credential has guessed at the password of its
// account too often.
var ErrGuesses error = guessesError{}

type guessesError struct{}

func (guessesError) Error() string { return "session: too many wrong passwords with one credential" }

// Answer returns how HTTP answers the error.
func (guessesError) Answer() (status int, code, sentence string) {
	return 401, "too-many-passwords", "Too many wrong passwords: this login was ended. Run npm login."
}

// OwnPassword checks the password that a credential presents of its own account, as npm does for
// some changes of it. by has the account, the public ID of the credential and the address. It
// returns the account as it was before the check, for the commit of the change to expect its
// Evidence. A wrong password is [ErrDenied]. The fifth is [ErrGuesses], whatever right ones there were
// between them in less than a day: no more are checked, and if the credential is a session, it
// ends; its caller ends any other.
func (m *Manager) OwnPassword(ctx context.Context, by audit.Actor, password credential.Secret) (subject.Subject, error) {
	sub, err := subject.Get(ctx, m.store, by.User)
	if err != nil {
		return subject.Subject{}, fmt.Errorf("session: own password: %w", err)
	}
	err = m.OwnPasswordBy(ctx, by, func(ctx context.Context) (bool, error) {
		right, err := m.checkPassword(ctx, by.User, password)
		return right && !password.IsZero(), err
	})
	if err != nil {
		return subject.Subject{}, err
	}
	return sub, nil
}

// OwnPasswordBy is [Manager.OwnPassword] with the check of the caller, which may do more in the same
// turn, such as to hash the next password. An error of check is returned as it is, and is no guess. Those
// of one credential are checked one after the other, on each node.
func (m *Manager) OwnPasswordBy(ctx context.Context, by audit.Actor, check func(context.Context) (right bool, err error)) error {
	if by.User == "" || by.Credential == "" {
		return errors.New("session: own password: there is no account or no credential")
	}
	unlock, err := m.owning.Lock(ctx, by.Credential) // not many at once
	if err != nil {
		return fmt.Errorf("session: own password: %w", err)
	}
	defer unlock()
	switch o, err := found(owns.Get(ctx, m.store, by.Credential)); {
	case err != nil:
		return fmt.Errorf("session: own password: %w", err)
	case o != nil && o.Failed >= ownGuesses && m.now().Before(o.Until):
		return m.endGuessing(ctx, by)
	}
	// Others who guess do not delay it.
	right, err := check(subject.WithClient(ctx, subject.Client{Addr: by.Addr, Known: true}))
	if right || err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime) // whoever leaves has guessed all the same
	defer cancel()
	switch failed, err := m.countOwn(ctx, by.Credential); {
	case err != nil:
		return err
	case failed >= ownGuesses:
		return m.endGuessing(ctx, by)
	}
	return ErrDenied
}

// endGuessing ends the session of by, and returns ErrGuesses.
func (m *Manager) endGuessing(ctx context.Context, by audit.Actor) error {
	err := m.End(ctx, by, by.User, by.Credential, "too-many-passwords")
	if err == nil || errors.Is(err, ErrNoSession) { // it is another kind of credential, or has ended
		return ErrGuesses
	}
	return errors.Join(ErrGuesses, err)
}

// countOwn counts a wrong password of a credential, and returns how many there were.
func (m *Manager) countOwn(ctx context.Context, id string) (failed int, err error) {
	err = store.Transact(ctx, m.store, func(tx *store.Tx) error {
		now := m.now()
		_, err := owns.Upsert(ctx, tx, id, func(o *own, found bool) error {
			if !found || !now.Before(o.Until) {
				*o = own{ID: id}
			}
			o.Failed++
			failed, o.Until = o.Failed, now.Add(ownKept)
			return nil
		})
		return err
	})
	if err != nil {
		err = fmt.Errorf("session: own password: %w", err)
	}
	return failed, err
}
