package session_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/storetest"
	"github.com/npmauth/npmauth/subject"
)

// A schedule is two nodes on one store, whose clocks are an hour slow and an hour fast, and
// what is known of the sessions that they created. It counts the steps that begin, and uses no
// clock.
type schedule struct {
	t     *testing.T
	rand  *rand.Rand
	nodes []*fixture
	count int
	depth int // of what runs inside of what
	trace []string

	revoked map[protocol.UserID]int // when the last revocation that is over began
	opened  []*opened
	refused int
}

// An opened session is one whose password was checked at a count: it must be dead once a
// revocation is over that began later.
type opened struct {
	secret credential.Secret
	session.Session
	node   *fixture
	proven int
	dead   bool
}

// provenAt is the key of a context's *int, the count at which a login's password is checked.
type provenAt struct{}

func (s *schedule) login() (ctx context.Context, proven *int) {
	proven = new(int)
	return context.WithValue(s.t.Context(), provenAt{}, proven), proven
}

func newSchedule(t *testing.T, seed uint64) *schedule {
	s := &schedule{t: t, rand: rand.New(rand.NewPCG(seed, 1)), revoked: map[protocol.UserID]int{}}
	memory := store.NewMemory()
	for _, skew := range []time.Duration{-time.Hour, time.Hour} {
		faulty := storetest.NewFaulty(memory)
		faulty.Inject(storetest.Fault{Times: storetest.Always, Do: s.meanwhile})
		d := openOn(t, &counting{Store: faulty}, func(c *session.Config) {
			c.Now = func() time.Time { return time.Now().Add(skew) }
			check := c.CheckPassword
			c.CheckPassword = func(ctx context.Context, id protocol.UserID, pw credential.Secret) (bool, error) {
				*ctx.Value(provenAt{}).(*int) = s.count
				return check(ctx, id, pw)
			}
		})
		s.nodes = append(s.nodes, d)
	}
	return s
}

// meanwhile runs, now and then, another step inside a call of the store.
func (s *schedule) meanwhile() {
	if s.depth < 2 && s.rand.IntN(6) == 0 {
		s.step()
	}
}

func (s *schedule) step() {
	s.depth++
	defer func() { s.depth-- }()
	s.count++
	d := s.nodes[s.rand.IntN(len(s.nodes))]
	user := []protocol.UserID{"u-jane", "u-joe"}[s.rand.IntN(2)]
	switch n := s.rand.IntN(10); {
	case n < 4:
		s.signIn(d, user)
	case n < 6:
		s.webLogin(d, user)
	case n < 7:
		s.keep(d, user)
	case n < 8:
		require.NoError(s.t, d.subjects.SetHighImpact(s.t.Context(), operator, user, s.count%2 == 0))
	default:
		s.revoke(d, user)
	}
}

func (s *schedule) note(format string, args ...any) {
	s.trace = append(s.trace, fmt.Sprintf(format, args...))
}

func (s *schedule) in(user protocol.UserID) session.SignIn {
	if user == "u-joe" {
		return joe
	}
	return jane(fmt.Sprint("1", s.count))
}

func (s *schedule) signIn(d *fixture, user protocol.UserID) {
	ctx, proven := s.login()
	secret, got, err := d.SignIn(ctx, s.in(user))
	s.note("%d: sign-in %s: %v", *proven, user, err)
	s.opens(d, *proven, secret, got, err)
}

func (s *schedule) webLogin(d *fixture, user protocol.UserID) {
	ctx, proven := s.login()
	f, err := d.Start(ctx, terminal)
	require.NoError(s.t, err)
	err = d.Approve(ctx, f.PageID, s.in(user))
	for range 1 + s.rand.IntN(2) {
		if err != nil {
			break
		}
		s.meanwhile()
		var p session.Poll
		p, err = d.Collect(ctx, f.PollID.Reveal(), terminal)
		s.note("%d: web login %s: %s %v", *proven, user, p.State, err)
		if err == nil && p.State != session.Done {
			err = session.ErrDenied
		}
		s.opens(d, *proven, p.Secret, p.Session, err)
	}
}

// opens notes the result of a login.
func (s *schedule) opens(d *fixture, proven int, secret credential.Secret, got session.Session, err error) {
	if err != nil {
		s.refused++
		require.True(s.t, secret.IsZero())
		return
	}
	if i := slices.IndexFunc(s.opened, func(o *opened) bool { return o.ID == got.ID }); i >= 0 {
		return // collected again
	}
	s.opened = append(s.opened, &opened{secret: secret, Session: got, node: d, proven: proven, dead: proven < s.revoked[got.User]})
}

func (s *schedule) revoke(d *fixture, user protocol.UserID) {
	began := s.count
	names := []string{"everything of the account", "all sessions", "everything of everybody", "another password", "a factor is turned on"}
	if user == "u-joe" {
		names = names[:4]
	}
	name := names[s.rand.IntN(len(names))]
	err := revocations[name](s.t.Context(), d, user)
	s.note("%d: revoke %s of %s: %v", began, name, user, err)
	require.NoError(s.t, err)
	s.ended(began, user, "")
	if name == "everything of everybody" {
		s.ended(began, "u-jane", "")
		s.ended(began, "u-joe", "")
	}
}

// keep ends all sessions of a user but one, which may be dead.
func (s *schedule) keep(d *fixture, user protocol.UserID) {
	began, kept := s.count, ""
	for _, o := range s.opened {
		if o.User == user && s.rand.IntN(2) == 0 {
			kept = o.ID
		}
	}
	ctx := s.t.Context()
	err := store.Transact(ctx, d.store, func(tx *store.Tx) error {
		before, err := subject.Get(ctx, tx, user)
		if err != nil {
			return err
		}
		if _, err := subject.Revoke(ctx, tx, user, subject.Sessions, time.Now()); err != nil {
			return err
		}
		return d.KeepTx(ctx, tx, operator, before, kept)
	})
	s.note("%d: keep %q of %s: %v", began, kept, user, err)
	if err == nil {
		s.ended(began, user, kept)
	}
}

// ended notes that a revocation is over which began at a count.
func (s *schedule) ended(began int, user protocol.UserID, kept string) {
	s.revoked[user] = max(s.revoked[user], began)
	for _, o := range s.opened {
		if o.User == user && o.proven < began && o.ID != kept {
			o.dead = true
		}
	}
}

// check returns how many sessions live, none of which may be dead.
func (s *schedule) check() (live int) {
	s.depth = 99 // nothing else meanwhile
	defer func() { s.depth = 0 }()
	for _, o := range s.opened {
		for _, d := range s.nodes {
			_, err := d.Verify(s.t.Context(), o.secret)
			if err == nil && d == o.node {
				live++
			}
			if o.dead {
				require.ErrorIs(s.t, err, session.ErrNoSession, "proven at %d\n%v", o.proven, s.trace)
			} else if err != nil {
				require.ErrorIs(s.t, err, session.ErrNoSession)
			}
			list, _, err := d.List(s.t.Context(), o.User, "", 100)
			require.NoError(s.t, err)
			if o.dead {
				require.NotContains(s.t, list, o.Session)
			}
		}
	}
	return live
}

// AU-01, AU-03: whatever runs at the same time, and whatever the clocks say, no session
// survives a revocation that began after its password was checked, at a sign-in or on a page.
func TestNothingOutlivesARevocation(t *testing.T) {
	seeds := uint64(150)
	if testing.Short() {
		seeds = 50
	}
	live, dead, refused := 0, 0, 0
	for seed := range seeds {
		s := newSchedule(t, seed)
		for range 5 {
			for range 5 {
				s.step()
			}
			live += s.check()
		}
		for _, o := range s.opened {
			if o.dead {
				dead++
			}
		}
		refused += s.refused
	}
	t.Logf("%d sessions seen alive, %d ended, %d logins refused", live, dead, refused)
	assert.Greater(t, live, 100)
	assert.Greater(t, dead, 100)
	assert.Greater(t, refused, 10)
}
