package session

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
)

// A State says how far a web login has come. The zero value is Over.
type State uint8

// The states.
const (
	Over    State = iota // denied, expired, ended or never begun
	Pending              // waiting for a person to decide
	Done                 // approved
)

// String returns the state in one lower-case word.
func (s State) String() string {
	switch s {
	case Pending:
		return "pending"
	case Done:
		return "done"
	default:
		return "over"
	}
}

// A Flow is a web login that a client began.
type Flow struct {
	// PageID names the page that a person opens. It is base64url, at most 512 characters, and
	// does not reveal PollID.
	PageID string
	// PollID is what the client collects the session with. It is a secret of the client. It is
	// npms_ and 43 letters and digits.
	PollID credential.Secret
	// CheckCode is a code that the page shows. The client should show it too.
	CheckCode string
	// Expires is the first instant at which the login can be neither approved nor collected.
	Expires time.Time
}

// A Request is the part of a web login that its page shows.
type Request struct {
	Client    Client // the client that began it, as it describes itself
	Started   time.Time
	CheckCode string
	Expires   time.Time
	State     State
}

// fate is the state of a decided flow.
type fate string

const (
	approved  fate = "approved"
	denied    fate = "denied"
	collected fate = "collected"
	ended     fate = "ended" // ended after its approval: unused, or its poll ID was stolen
)

// flow is a decided flow as it is stored; an undecided one is not stored. It goes from approved
// to collected to ended, or from approved to ended; denied is final. Each step is a commit that
// depends on the step before.
type flow struct {
	Digest    credential.Digest `json:"digest"` // of the poll ID
	Fate      fate              `json:"fate"`
	Until     time.Time         `json:"until"` // it is not looked up after that
	Requester netip.Addr        `json:"asked"` // IP address of the client that began it
	User      protocol.UserID   `json:"user"`  // from here on: of an approved one
	Name      string            `json:"name"`
	Session   string            `json:"session"` // ID of the session that will be created
	Via       string            `json:"via"`
	Since     time.Time         `json:"since"`   // when the approval began
	Numbers   subject.Numbers   `json:"numbers"` // read before the password was checked
	Approver  netip.Addr        `json:"approver"`
	Notice    string            `json:"notice,omitempty"`
	Collected time.Time         `json:"collected"` // from here on: of a collected one
	Collector netip.Addr        `json:"collector"`
	Secret    credential.Digest `json:"secret"` // of the session's secret
	Salt      []byte            `json:"salt"`   // its secret is derived with it; empty once no poll can repeat
}

var (
	// Rows of schema 1 have no numbers, and are over: see flowOf.
	flows = store.NewTable("login", 2, func(f *flow) string { return f.Digest.String() }).Since(2).
		Expiring(func(f *flow) time.Time { return f.Until })
	salted = flows.Index("salted", func(f *flow) string {
		if len(f.Salt) == 0 {
			return ""
		}
		return "yes"
	})
)

// keptAfter is how long after its expiry a flow is still read: a client that lost the answer to
// a login collected in its last second may repeat the poll, and so may a thief. npm repeats a
// request 10 and 60 seconds after the first.
const keptAfter = 2 * time.Minute

// flowOf returns the decided flow with that digest of its poll ID. It returns store.ErrNotFound
// if the flow is undecided. A row of schema 1 was decided, and is over: if it counted as
// undecided, it could be approved after it was denied or collected.
func flowOf(ctx context.Context, r store.Reader, d credential.Digest) (*flow, error) {
	items, err := r.Get(ctx, flows.Key(d.String()))
	if err != nil {
		return nil, err
	}
	f, err := flows.Decode(items[0])
	if errors.Is(err, store.ErrNotFound) && items[0].Exists() {
		return &flow{Digest: d, Fate: ended}, nil
	}
	return f, err
}

// Start begins a web login for a client and stores nothing. It fails only if the key that all
// nodes share cannot be read.
func (m *Manager) Start(ctx context.Context, c Client) (Flow, error) {
	k, err := m.flowKeys(ctx)
	if err != nil {
		return Flow{}, err
	}
	now := m.now()
	a := pageContent{started: now.Truncate(time.Second), client: c.clean()}
	poll := k.newPollID(a.started)
	a.flow = credential.Sum(poll)
	f := Flow{
		PageID:    k.sealPage(a),
		PollID:    poll,
		CheckCode: k.checkCode(a.flow),
		Expires:   a.started.Add(m.flowTTL),
	}
	m.events.Record(ctx, audit.Event{
		Time: now, Type: audit.LoginStarted, Outcome: audit.Done, Addr: a.client.Addr,
		Detail: detail("via", "web", "agent", a.client.UserAgent),
	})
	return f, nil
}

// openPage returns the flow that a page ID belongs to, or ErrNoFlow if the flow can no longer be
// decided.
func (m *Manager) openPage(ctx context.Context, pageID string) (flowKeys, pageContent, error) {
	k, err := m.flowKeys(ctx)
	if err != nil {
		return flowKeys{}, pageContent{}, err
	}
	a, ok := k.openPage(pageID)
	if !ok || !m.now().Before(a.started.Add(m.flowTTL)) {
		return flowKeys{}, pageContent{}, ErrNoFlow
	}
	return k, a, nil
}

// Page returns what the page of a web login shows. It changes nothing. A page ID that is
// forged, damaged or expired is ErrNoFlow.
func (m *Manager) Page(ctx context.Context, pageID string) (Request, error) {
	k, a, err := m.openPage(ctx, pageID)
	if err != nil {
		return Request{}, err
	}
	r := Request{
		Client:    a.client,
		Started:   a.started,
		CheckCode: k.checkCode(a.flow),
		Expires:   a.started.Add(m.flowTTL),
	}
	f, err := flowOf(ctx, m.store, a.flow)
	switch {
	case errors.Is(err, store.ErrNotFound):
		r.State = Pending
	case err != nil:
		return Request{}, fmt.Errorf("session: page: %w", err)
	case f.Fate == approved || f.Fate == collected:
		r.State = Done
	}
	return r, nil
}

// Approve lets the client that began a web login have a session of the person who signs in with
// in. The second factor is spent in the commit that writes the approval. The session is created
// when the client collects it, if no revocation came in between, and its lifetime counts from
// the approval.
//
// Errors are those of [Manager.SignIn], ErrNoFlow and, if the login was decided
// before, ErrDecided.
func (m *Manager) Approve(ctx context.Context, pageID string, in SignIn) error {
	return m.approve(ctx, pageID, in, nil)
}

// viaBrowser is how a session says that a browser keeps it.
const viaBrowser = "browser"

// ApproveAndStay is [Manager.Approve], and signs the person in to the browser, too: it returns the
// secret of a session that the browser keeps, from a commit with the approval.
func (m *Manager) ApproveAndStay(ctx context.Context, pageID string, in SignIn) (credential.Secret, Session, error) {
	secret := credential.New(credential.PrefixSession)
	var s Session
	err := m.approve(ctx, pageID, in, func(tx *store.Tx, p *proven) (err error) {
		in := in
		in.Via = viaBrowser
		s, err = m.open(ctx, tx, p, in, credential.NewID(), secret)
		return err
	})
	if err != nil {
		return credential.Secret{}, Session{}, err
	}
	return secret, s, nil
}

// approve is Approve; the commit also runs stay, unless that is nil.
func (m *Manager) approve(ctx context.Context, pageID string, in SignIn, stay func(*store.Tx, *proven) error) error {
	if in.Carry {
		return errors.New("session: approve: SignIn.Carry is for a login without a page")
	}
	_, a, err := m.openPage(ctx, pageID)
	if err != nil {
		return err
	}
	if in.Via == "" {
		in.Via = "web"
	}
	in.Page = pageID
	// Checked before the password, so that a decided flow costs neither a second factor nor a
	// password hash. The commit below checks it once more.
	switch _, err := flowOf(ctx, m.store, a.flow); {
	case err == nil:
		return ErrDecided
	case !errors.Is(err, store.ErrNotFound):
		return fmt.Errorf("session: approve: %w", err)
	}
	p, err := m.prove(ctx, in)
	if err != nil {
		return err
	}
	in.Client = in.Client.clean()
	return m.commit(ctx, in, p, func(tx *store.Tx) error {
		f := m.newFlow(a, approved)
		f.User, f.Name, f.Session, f.Via, f.Since = p.ID, p.Name, p.id, in.Via, p.since
		f.Numbers, f.Approver, f.Notice = p.Subject.Numbers(policy.KindSession), in.Client.Addr, p.notice
		if err := m.decide(ctx, tx, f); err != nil {
			return err
		}
		err := m.events.Commit(ctx, tx, audit.Event{
			Time: m.now(), Type: audit.LoginApproved, Outcome: audit.Done,
			User: f.User, By: f.User, Credential: f.Session, Addr: f.Approver,
			Detail: detail("via", f.Via, "agent", in.Client.UserAgent, "asked_from", text(f.Requester), "asked_by", a.client.UserAgent),
		})
		if err != nil || stay == nil {
			return err
		}
		return stay(tx, p)
	})
}

// Deny ends a web login that nobody has decided, on behalf of the client c. It needs no
// password: everybody who has the page may deny. Errors are ErrNoFlow, ErrDecided and, for a
// network that denies too many, a [*subject.WaitError].
func (m *Manager) Deny(ctx context.Context, pageID string, c Client) error {
	_, a, err := m.openPage(ctx, pageID)
	if err != nil {
		return err
	}
	if wait := m.strangers.Take(c.Addr, 1); wait > 0 { // each is a row
		return fmt.Errorf("session: deny: %w", &subject.WaitError{After: wait, Network: true})
	}
	f := m.newFlow(a, denied)
	err = store.Transact(ctx, m.store, func(tx *store.Tx) error {
		e := audit.Event{
			Time: m.now(), Type: audit.LoginDenied, Outcome: audit.Done, Addr: c.clean().Addr,
			Detail: detail("via", "web", "asked_from", text(f.Requester), "asked_by", a.client.UserAgent),
		}
		// Only the sink gets this event: anybody can start logins and deny them, and the log
		// would keep a row of each.
		m.events.Outcome(ctx, tx, func(o store.Outcome) (audit.Event, bool) {
			if o.Result == store.Unknown {
				e.Outcome, e.Reasons = audit.Failed, []string{"unknown"}
			}
			return e, o.Result != store.Refused
		})
		return m.decide(ctx, tx, f)
	})
	if err != nil {
		return fmt.Errorf("session: deny: %w", err)
	}
	return nil
}

func (m *Manager) newFlow(a pageContent, to fate) *flow {
	return &flow{Digest: a.flow, Fate: to, Until: a.started.Add(m.flowTTL + keptAfter), Requester: a.client.Addr}
}

// decide writes a flow that must be undecided.
func (m *Manager) decide(ctx context.Context, tx *store.Tx, f *flow) error {
	// Checked here too: to check a password takes a while.
	if !m.now().Before(f.Until.Add(-keptAfter)) {
		return ErrNoFlow
	}
	switch _, err := flowOf(ctx, tx, f.Digest); {
	case err == nil:
		return ErrDecided
	case !errors.Is(err, store.ErrNotFound):
		return err
	}
	return flows.Insert(ctx, tx, f)
}

// text returns an IP address for an event, "" if it is unknown.
func text(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}
