package twofactor

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
)

const (
	challengeTTL  = 5 * time.Minute // to be approved, and from then on to be used
	outstandingOf = 10              // challenges of one credential that wait at a time
	maxItems      = 8               // changes that one challenge is for
	typedSize     = 16              // digits
	idSize        = 26              // characters of base32, 130 bits
	maxText       = 256             // bytes of a name that a page shows
	maxAgent      = 120             // bytes
)

// A NewChallenge describes an operation that needs a second factor, for [Manager.Challenge] and the
// challenge's page.
type NewChallenge struct {
	User           protocol.UserID // who must approve
	Name           string          // the name of that user
	Credential     string          // the public ID of the challenged credential. Required
	CredentialName string          // its name, for the page; may be empty
	Action         protocol.Action // of the challenged request. Required
	// Items are the changes that the proof is valid for: the first is that of the challenged
	// request, the others are offered with it, of the same action. One at least, eight at most.
	Items     []Item
	Addr      netip.Addr // where the request came from
	UserAgent string     // as the client sent it; cut to 120 bytes
	// KeysOnly reports whether only a security key counts for the operation: nothing else approves it.
	KeysOnly bool
}

// An Item is one change that a challenge is for.
type Item struct {
	Package   protocol.PackageName `json:"package"`
	Change    protocol.Digest      `json:"change"` // of the operation and its change. Required
	FollowUps []protocol.Digest    `json:"follow_ups,omitempty"`
	Words     []protocol.Line      `json:"words"` // describe the change, see [protocol.Change.Words]
}

// check refuses a challenge that no operation can have.
func (n *NewChallenge) check() error {
	size := 0
	for _, it := range n.Items {
		if it.Change.IsZero() {
			return errUse
		}
		for _, line := range it.Words {
			size += len(line.Label) + len(line.Text)
		}
	}
	switch {
	case n.User == "" || n.Credential == "" || n.Action == protocol.Unknown || n.Action >= protocol.ActionCount || n.Action.SignsIn():
		return errUse
	case len(n.Items) == 0 || len(n.Items) > maxItems || size > maxWords:
		return fmt.Errorf("twofactor: challenge: %d items with %d bytes of words", len(n.Items), size)
	}
	return nil
}

// maxWords is how many bytes the words of all items have at most. JSON writes some of them
// as six.
const maxWords = 2 * protocol.MaxWords

// A Challenge is where an operation can be approved. The two IDs are 130 random bits each, in
// base32, and do not reveal each other: a person who sees the page cannot collect the proof.
// npm prints both where it has no terminal, so the proof is bound to the challenged credential,
// and the IDs do not have the form of a token, which npm would mask.
type Challenge struct {
	PageID  string
	PollID  string
	Expires time.Time // five minutes after it was made

	// CheckCode is a code that the page shows. The client should show it too.
	CheckCode string
}

// A Request is the part of a challenge that its page shows. All text in it is the client's or
// the user's and must be escaped.
type Request struct {
	NewChallenge
	Started, Expires time.Time
	CheckCode        string
}

// checkCode returns the code that both the page and the terminal show of a challenge, so that a
// person who is tricked into opening another one's page notices. It is derived from the page
// ID, which everybody who has the page knows.
func checkCode(pageID string) string { return credential.CheckCode(digest("check code " + pageID)) }

// The states of a challenge. A denied one is deleted.
const (
	waiting  = "waiting"
	approved = "approved"
	used     = "used"
)

// A challenge is found by the digests of its page ID, poll ID and proof, and by a MAC of its
// typed code, which is short; the store has none of the four.
type challenge struct {
	ID        string            `json:"id"` // of the page ID
	Poll      credential.Digest `json:"poll"`
	Typed     credential.Digest `json:"typed"` // a MAC; zero until approved
	Proof     credential.Digest `json:"proof"` // zero until collected
	State     string            `json:"state"`
	ByKey     bool              `json:"by_key,omitempty"` // approved with a security key
	Enrolment string            `json:"enrolment"`

	User           protocol.UserID `json:"user"`
	Name           string          `json:"name"`
	Credential     string          `json:"credential"`
	CredentialName string          `json:"credential_name"`
	Action         protocol.Action `json:"action"`
	Items          []item          `json:"items"`
	Addr           netip.Addr      `json:"addr"`
	UserAgent      string          `json:"user_agent"`
	KeysOnly       bool            `json:"keys_only,omitempty"`

	Started   time.Time `json:"started"`
	Expires   time.Time `json:"expires"`
	Salt      []byte    `json:"salt"` // of the proof, from its first collection to its use
	Collected time.Time `json:"collected"`

	firstRelease
}

// firstRelease are fields that rows of the first release have in place of a digest. They are
// decoded so that such a row is not an error, and have no effect.
type firstRelease struct {
	Class   string               `json:"class,omitempty"`
	Package protocol.PackageName `json:"package,omitzero"`
	Target  string               `json:"target,omitempty"`
}

// An item is an Item and its state.
type item struct {
	Item
	Approved bool `json:"approved"`
	Used     bool `json:"used"`
}

var (
	challenges = store.NewTable("twofactor-challenge", 1, func(c *challenge) string { return c.ID }).
			Expiring(func(c *challenge) time.Time { return c.Expires })
	byPoll  = challenges.Unique("poll", func(c *challenge) string { return text(c.Poll) })
	byTyped = challenges.Unique("typed", func(c *challenge) string { return text(c.Typed) })
	byProof = challenges.Unique("proof", func(c *challenge) string { return text(c.Proof) })
)

func text(d credential.Digest) string {
	if d.IsZero() {
		return ""
	}
	return d.String()
}

// itemOf returns the item that matches use, nil if none does.
func (c *challenge) itemOf(use Use) *item {
	if c.Credential != use.Credential || c.Action != use.Action {
		return nil
	}
	for i := range c.Items {
		if it := &c.Items[i]; it.Package == use.Package && it.Change == use.Change {
			return it
		}
	}
	return nil
}

// open reports whether c can still be approved.
func (c *challenge) open(now time.Time) bool {
	return c != nil && c.State == waiting && now.Before(c.Expires) && len(c.Items) > 0 // no items: a row of the first release
}

// outstanding are the challenges of one credential, oldest first. They are one record so that
// their number has a limit: two transactions that count keys could both add one.
type outstanding struct {
	ID      string    `json:"id"`
	Pages   []string  `json:"pages"`
	Expires time.Time `json:"expires"`
}

var outstandings = store.NewTable("twofactor-asked", 1, func(o *outstanding) string { return o.ID }).
	Expiring(func(o *outstanding) time.Time { return o.Expires })

// Challenge opens a challenge. A credential has at most ten that wait; one more ends the
// oldest. ErrNoFactor means that the user has no second factor to approve with. The caller must
// have verified the credential: for anonymous requests nothing is stored.
func (m *Manager) Challenge(ctx context.Context, n NewChallenge) (Challenge, error) {
	if err := n.check(); err != nil {
		return Challenge{}, err
	}
	page, poll := rand.Text(), rand.Text()
	now := m.now()
	c := challenge{
		ID: digest(page).String(), Poll: digest(poll), State: waiting,
		User: n.User, Name: clip(n.Name, maxText), Credential: n.Credential, CredentialName: clip(n.CredentialName, maxText), Action: n.Action,
		Addr: n.Addr, UserAgent: clip(n.UserAgent, maxAgent), KeysOnly: n.KeysOnly,
		Started: now, Expires: now.Add(challengeTTL),
	}
	for _, it := range n.Items {
		c.Items = append(c.Items, item{Item: it})
	}
	unlock, err := m.locks.Lock(ctx, n.User)
	if err != nil {
		return Challenge{}, fmt.Errorf("twofactor: challenge: %w", err)
	}
	defer unlock()
	err = store.Transact(ctx, m.store, func(tx *store.Tx) error {
		f, err := factorOf(ctx, tx, n.User)
		if err != nil {
			return err
		}
		c.Enrolment = f.Enrolment
		if err := challenges.Insert(ctx, tx, &c); err != nil {
			return err
		}
		if err := queue(ctx, tx, &c); err != nil {
			return err
		}
		// An event for the sink only, and not the log: every credential can open any number of
		// challenges.
		m.events.Outcome(ctx, tx, func(o store.Outcome) (audit.Event, bool) {
			return c.event(now, audit.Challenge, audit.Actor{User: c.User, Credential: c.Credential, Addr: c.Addr}), o.Result == store.Committed
		})
		return nil
	})
	if err != nil {
		return Challenge{}, fmt.Errorf("twofactor: challenge: %w", err)
	}
	return Challenge{PageID: page, PollID: poll, Expires: c.Expires, CheckCode: checkCode(page)}, nil
}

// queue adds c to the outstanding challenges of its credential and deletes the oldest if there
// are too many. One that was answered meanwhile stays.
func queue(ctx context.Context, tx *store.Tx, c *challenge) error {
	var oldest string
	id := joined(string(c.User), c.Credential)
	_, err := outstandings.Upsert(ctx, tx, id, func(o *outstanding, _ bool) error {
		if !c.Started.Before(o.Expires) {
			o.Pages = nil // all of them expired
		}
		o.ID, o.Expires = id, c.Expires
		o.Pages = append(o.Pages, c.ID)
		if len(o.Pages) > outstandingOf {
			oldest, o.Pages = o.Pages[0], o.Pages[1:]
		}
		return nil
	})
	if err != nil || oldest == "" {
		return err
	}
	old, err := found(challenges.Get(ctx, tx, oldest))
	if err != nil || old == nil || old.State != waiting {
		return err
	}
	return challenges.Delete(ctx, tx, oldest)
}

// Pending returns what the page of an open challenge shows. It changes nothing. A page ID that
// is unknown, expired or answered is ErrNoChallenge.
func (m *Manager) Pending(ctx context.Context, pageID string) (Request, error) {
	c, err := m.waiting(ctx, m.store, pageID, m.now())
	if err != nil {
		return Request{}, fmt.Errorf("twofactor: pending: %w", err)
	}
	req := Request{
		NewChallenge: NewChallenge{
			User: c.User, Name: c.Name, Credential: c.Credential, CredentialName: c.CredentialName, Action: c.Action,
			Addr: c.Addr, UserAgent: c.UserAgent, KeysOnly: c.KeysOnly,
		},
		Started: c.Started, Expires: c.Expires, CheckCode: checkCode(pageID),
	}
	for _, it := range c.Items {
		req.Items = append(req.Items, it.Item)
	}
	return req, nil
}

func (m *Manager) waiting(ctx context.Context, r store.Reader, pageID string, now time.Time) (*challenge, error) {
	if len(pageID) != idSize {
		return nil, ErrNoChallenge
	}
	c, err := found(challenges.Get(ctx, r, digest(pageID).String()))
	if err != nil {
		return nil, err
	}
	if !c.open(now) {
		return nil, ErrNoChallenge
	}
	return c, nil
}

// An Approval is what a person enters on the page of a challenge.
type Approval struct {
	PageID string
	User   protocol.UserID   // whose password the caller has verified
	Value  credential.Secret // a TOTP code of that user
	// Also are the indexes of the other items to approve with the first. Nil: none.
	Also []int
	At   time.Time  // when it arrived; zero means now
	Addr netip.Addr // of the browser
	// Expect are the rows that the password was verified by: the commit of the approval expects
	// that they have not changed, see [store.Tx.Expect].
	Expect []store.Evidence
}

// Approve approves a challenge and returns sixteen digits, for clients that accept a typed code
// only; they are as good as the proof that [Manager.Collect] returns, and the first of the two
// that is used ends the other. Both can be used for five minutes from now.
//
// Only a TOTP code of the user who must approve is verified, and what a security key of theirs has
// signed for the page. Any other kind of value, and another user's, is [ErrWrong]: a recovery code, or a proof for another operation, must not become a proof
// for this one. The attempt counts for the challenged credential. The code cannot be presented a
// second time. ErrNoChallenge is as for Pending.
func (m *Manager) Approve(ctx context.Context, in Approval) (credential.Secret, error) {
	c, err := m.waiting(ctx, m.store, in.PageID, m.now())
	if err != nil {
		return credential.Secret{}, fmt.Errorf("twofactor: approve: %w", err)
	}
	use := Use{Credential: c.Credential, Action: c.Action, Package: c.Items[0].Package, Change: c.Items[0].Change, At: in.At, Addr: in.Addr, Page: in.PageID}
	a, err := m.attempt(ctx, in.User, use, in.Value)
	if err != nil {
		return credential.Secret{}, err
	}
	if in.User != c.User {
		err := &refusal{reason: reasonForeign, owner: c.User}
		m.events.Record(ctx, a.event(ctx, err))
		return credential.Secret{}, err
	}
	if a.form != FormTOTP && a.form != FormKey {
		return credential.Secret{}, wrong(reasonForm)
	}
	if c.KeysOnly && a.form != FormKey {
		return credential.Secret{}, errKeysOnly // a code would be spent on nothing
	}
	leave, err := a.Wait(ctx)
	if err != nil {
		return credential.Secret{}, err
	}
	defer leave()
	if err := a.begin(ctx); err != nil {
		return credential.Secret{}, err
	}
	typed := newTyped()
	err = store.Transact(ctx, m.store, func(tx *store.Tx) error {
		tx.Expect(in.Expect...)
		err := m.approve(ctx, tx, a, in, typed)
		if err != nil {
			m.events.Outcome(ctx, tx, func(store.Outcome) (audit.Event, bool) { return a.event(ctx, err), true })
			return err
		}
		return m.events.Commit(ctx, tx, c.event(m.now(), audit.ChallengeYes, audit.Actor{User: in.User, Addr: in.Addr}))
	})
	if err != nil {
		return credential.Secret{}, fmt.Errorf("twofactor: approve: %w", err)
	}
	return typed, nil
}

func (m *Manager) approve(ctx context.Context, tx *store.Tx, a *Attempt, in Approval, typed credential.Secret) error {
	if m.late(a.at) {
		return wrong(reasonExpired)
	}
	c, err := m.waiting(ctx, tx, in.PageID, a.at)
	if err != nil {
		return err
	}
	if err := a.read(ctx, tx); err != nil {
		return err
	}
	s, err := a.verify(ctx, tx, a.use)
	if err != nil {
		return err
	}
	if s.enrolment != c.Enrolment {
		return ErrNoChallenge
	}
	_, err = challenges.Update(ctx, tx, c.ID, func(c *challenge) error {
		c.ByKey = a.form == FormKey
		c.State, c.Typed, c.Expires = approved, mac(a.keys.typed, typed.Reveal()), a.at.Add(challengeTTL)
		for i := range c.Items {
			c.Items[i].Approved = i == 0 || slices.Contains(in.Also, i)
		}
		return nil
	})
	return err
}

// Deny ends an open challenge, on behalf of anybody who has the page, from addr; the client's
// poll ends. ErrNoChallenge is as for Pending.
func (m *Manager) Deny(ctx context.Context, pageID string, addr netip.Addr) error {
	now := m.now()
	err := store.Transact(ctx, m.store, func(tx *store.Tx) error {
		c, err := m.waiting(ctx, tx, pageID, now)
		if err != nil {
			return err
		}
		if err := challenges.Delete(ctx, tx, c.ID); err != nil {
			return err
		}
		return m.events.Commit(ctx, tx, c.event(now, audit.ChallengeNo, audit.Actor{Addr: addr}))
	})
	if err != nil {
		return fmt.Errorf("twofactor: deny: %w", err)
	}
	return nil
}

// challengePage is how many challenges EndChallenges has in memory.
const challengePage = 32

// EndChallenges ends all challenges for an operation on a package, whoever must approve them, approved ones
// included: their proofs are worth nothing from then on. One that is for other packages, too, ends as a whole.
// It returns how many it has ended. The reason is a word for their events, "" for none.
//
// It reads all challenges, a page at a time. Each ends in a commit of its own, so that some may have ended
// where an error is returned: then call it again. One that is opened meanwhile may be missed.
func (m *Manager) EndChallenges(ctx context.Context, pkg protocol.PackageName, reason string) (ended int, err error) {
	for after := ""; ; {
		page, err := challenges.List(ctx, m.store, after, challengePage)
		if err != nil {
			return ended, fmt.Errorf("twofactor: end challenges: %w", err)
		}
		for _, c := range page {
			if !c.about(pkg) {
				continue
			}
			gone, err := m.endChallenge(ctx, c.ID, reason)
			if err != nil {
				return ended, fmt.Errorf("twofactor: end challenges: %w", err)
			}
			if gone {
				ended++
			}
		}
		if len(page) < challengePage {
			return ended, nil
		}
		after = page[len(page)-1].ID
	}
}

// about reports whether c is for an operation on the package.
func (c *challenge) about(pkg protocol.PackageName) bool {
	return slices.ContainsFunc(c.Items, func(it item) bool { return it.Package == pkg })
}

// endChallenge deletes the challenge with this ID, and reports whether there was still something to end.
func (m *Manager) endChallenge(ctx context.Context, id, reason string) (gone bool, err error) {
	err = store.Transact(ctx, m.store, func(tx *store.Tx) error {
		gone = false
		c, err := found(challenges.Get(ctx, tx, id))
		if err != nil || c == nil || c.State == used || !m.now().Before(c.Expires) {
			return err
		}
		gone = true
		if err := challenges.Delete(ctx, tx, id); err != nil {
			return err
		}
		e := c.event(m.now(), audit.ChallengeNo, audit.Actor{})
		if reason != "" {
			e.Reasons = []string{reason}
		}
		return m.events.Commit(ctx, tx, e)
	})
	return gone && err == nil, err
}

// spendChallenge uses up an approved challenge that the value proves, if the value is valid for
// exactly this use: each item of a challenge is spent by itself.
func (a *Attempt) spendChallenge(ctx context.Context, tx *store.Tx, f *factor, use Use) error {
	by, id := byTyped, mac(a.keys.typed, a.value.Reveal())
	if a.form == FormWeb || a.form == FormWebKey {
		by, id = byProof, credential.Sum(a.value)
	}
	c, err := found(by.Get(ctx, tx, id.String()))
	switch {
	case err != nil:
		return fmt.Errorf("twofactor: challenge: %w", err)
	case c == nil:
		return wrong(reasonWrong)
	case c.User != a.user || c.itemOf(use) == nil || c.State != waiting && !c.itemOf(use).Approved:
		return &refusal{reason: reasonForeign, owner: c.User}
	case c.itemOf(use).Used:
		return usedValue(a.form)
	case a.form == FormWeb && c.ByKey, a.form == FormWebKey && !c.ByKey:
		return wrong(reasonWrong)
	case c.State != approved || !a.at.Before(c.Expires) || c.Enrolment != f.Enrolment:
		return wrong(reasonExpired)
	}
	_, err = challenges.Update(ctx, tx, c.ID, func(c *challenge) error {
		c.itemOf(use).Used = true
		if !slices.ContainsFunc(c.Items, func(it item) bool { return it.Approved && !it.Used }) {
			c.State, c.Salt = used, nil
		}
		return nil
	})
	return err
}

// event returns the event of what was done with the challenge: by its user, or by anybody who
// has the page or the poll ID.
func (c *challenge) event(now time.Time, t audit.Type, by audit.Actor) audit.Event {
	return audit.Event{
		Time: now, Type: t, Outcome: audit.Done, User: c.User, Credential: c.Credential,
		Action: c.Action, Package: c.Items[0].Package,
	}.From(by)
}

func digest(id string) credential.Digest { return credential.Sum(credential.NewSecret(id)) }

// newTyped returns sixteen uniform digits, 53 bits: enough for a code that lives for minutes,
// is bound to one credential and may be tried five times.
func newTyped() credential.Secret {
	const all = 1e16
	for {
		var b [8]byte
		rand.Read(b[:])
		// 54 bits; values from all on are drawn anew, since a remainder would not be uniform.
		if n := binary.BigEndian.Uint64(b[:]) >> 10; n < all {
			return credential.NewSecret(fmt.Sprintf("%016d", n))
		}
	}
}

// clip cuts s to at most max bytes of valid UTF-8.
func clip(s string, max int) string {
	return strings.ToValidUTF8(s[:min(len(s), max)], "")
}
