package integration_test

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
)

// A ledger knows of each credential, revocation and request when it began and when it was
// over, by a count of such moments and by no clock, and so which credentials must be dead
// at a request and which may be.
type ledger struct {
	fresh   time.Duration // how late another node may know of a revocation
	mu      sync.Mutex
	moment  int           // guarded by mu, as are the others
	bearers []*bearer     // that were handed out
	ends    []*revocation // that have begun
	toggles []*toggle     // ditto
}

// never is the end of what is not over, or of which nobody knows whether it happened.
const never = math.MaxInt

// A span is from when something began to when it was over.
type span struct{ begin, end int }

// A bearer is a credential. What it rests on was read before its end: the password of a
// login was shown then, or the whole request is over.
type bearer struct {
	span
	kind   policy.Kind
	user   protocol.UserID
	id     string
	secret string
}

// A use is when the credential of a request was looked at last, and by which node.
type use struct {
	span
	node int
	at   time.Time // of its begin
}

// done is where and when something was done, as a clock says that all nodes can see.
type done struct {
	node int
	at   time.Time
}

// knows reports whether what was done must be known at a use.
func (l *ledger) knows(u use, d done) bool {
	return l.fresh == 0 || u.node == d.node || u.at.Sub(d.at) >= l.fresh
}

// A revocation ends credentials of a kind, or with the kind 0 of every one; of a user or of
// everybody; or one credential.
type revocation struct {
	span
	done
	kind policy.Kind
	user protocol.UserID
	id   string
	name string
}

func (r *revocation) ends(kind policy.Kind, user protocol.UserID, id string) bool {
	if r.id != "" {
		return r.id == id
	}
	return (r.kind == 0 || r.kind == kind) && (r.user == "" || r.user == user)
}

// A toggle disables an account, or enables it again.
type toggle struct {
	span
	done
	user protocol.UserID
	on   bool
}

// now returns the next moment.
func (l *ledger) now() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.moment++
	return l.moment
}

// revoke does r, which may fail: then nobody knows.
func (l *ledger) revoke(r revocation, do func() error) error {
	r.span = span{l.now(), never}
	l.mu.Lock()
	l.ends = append(l.ends, &r)
	l.mu.Unlock()
	err := do()
	if err == nil {
		over := l.now()
		l.mu.Lock()
		r.end, r.at = over, time.Now()
		l.mu.Unlock()
	}
	return err
}

func (l *ledger) toggle(node int, user protocol.UserID, on bool, do func() error) error {
	t := &toggle{span: span{l.now(), never}, done: done{node: node}, user: user, on: on}
	l.mu.Lock()
	l.toggles = append(l.toggles, t)
	l.mu.Unlock()
	err := do()
	if err == nil {
		over := l.now()
		l.mu.Lock()
		t.end, t.at = over, time.Now()
		l.mu.Unlock()
	}
	return err
}

// dead returns why b must be refused by a request whose credential was looked at during
// use, "" if there is no reason.
func (l *ledger) dead(b *bearer, use use) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.ends {
		if r.ends(b.kind, b.user, b.id) && b.end < r.begin && r.end < use.begin && l.knows(use, r.done) {
			return fmt.Sprintf("%s was over at %d", r.name, r.end)
		}
	}
	for _, d := range l.toggles {
		if d.user != b.user || d.on || d.end >= use.begin || !l.knows(use, d.done) {
			continue
		}
		enabled := false
		for _, e := range l.toggles {
			enabled = enabled || e.user == b.user && e.on && e.end > d.begin && e.begin < use.end
		}
		if !enabled {
			return fmt.Sprintf("its account was disabled at %d", d.end)
		}
	}
	return ""
}

// excuse returns why a credential that was made, or is being made, during made may be
// refused by a request whose credential was looked at during use, "" if there is no reason.
func (l *ledger) excuse(kind policy.Kind, user protocol.UserID, id string, made span, use use) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.ends {
		if r.ends(kind, user, id) && r.end > made.begin && r.begin < use.end {
			return r.name
		}
	}
	for _, d := range l.toggles {
		if d.user != user || d.on || d.begin > use.end {
			continue
		}
		enabled := false
		for _, e := range l.toggles {
			enabled = enabled || e.user == user && e.on && e.begin > d.end && e.end < use.begin && l.knows(use, e.done)
		}
		if !enabled {
			return "its account is disabled"
		}
	}
	return ""
}

// The ledger itself: what it lets pass, and what not.
func TestLedger(t *testing.T) {
	of := func(begin, end int) span { return span{begin, end} }
	one := &bearer{span: of(10, 20), kind: policy.KindToken, user: "ada", id: "t-1"}
	for name, tt := range map[string]struct {
		ends    []*revocation
		toggles []*toggle
		use     span
		dead    bool
		excused bool
	}{
		"nothing":                  {use: of(30, 40)},
		"revoked before its use":   {ends: []*revocation{{span: of(25, 28), user: "ada"}}, use: of(30, 40), dead: true, excused: true},
		"revoked during its use":   {ends: []*revocation{{span: of(25, 35), user: "ada"}}, use: of(30, 40), excused: true},
		"revoked after its use":    {ends: []*revocation{{span: of(45, 48), user: "ada"}}, use: of(30, 40)},
		"revoked while it is made": {ends: []*revocation{{span: of(15, 28), user: "ada"}}, use: of(30, 40), excused: true},
		"revoked before it":        {ends: []*revocation{{span: of(5, 8), user: "ada"}}, use: of(30, 40)},
		"nobody knows":             {ends: []*revocation{{span: of(25, never), user: "ada"}}, use: of(30, 40), excused: true},
		"of another user":          {ends: []*revocation{{span: of(25, 28), user: "bob"}}, use: of(30, 40)},
		"of everybody":             {ends: []*revocation{{span: of(25, 28)}}, use: of(30, 40), dead: true, excused: true},
		"of another kind":          {ends: []*revocation{{span: of(25, 28), kind: policy.KindSession}}, use: of(30, 40)},
		"of its kind":              {ends: []*revocation{{span: of(25, 28), kind: policy.KindToken}}, use: of(30, 40), dead: true, excused: true},
		"of it alone":              {ends: []*revocation{{span: of(25, 28), id: "t-1"}}, use: of(30, 40), dead: true, excused: true},
		"of another alone":         {ends: []*revocation{{span: of(25, 28), id: "t-2"}}, use: of(30, 40)},
		"disabled":                 {toggles: []*toggle{{span: of(25, 28), user: "ada", on: false}}, use: of(30, 40), dead: true, excused: true},
		"disabled during its use":  {toggles: []*toggle{{span: of(25, 35), user: "ada", on: false}}, use: of(30, 40), excused: true},
		"enabled again":            {toggles: []*toggle{{span: of(5, 8), user: "ada", on: false}, {span: of(25, 28), user: "ada", on: true}}, use: of(30, 40)},
		"enabled during its use":   {toggles: []*toggle{{span: of(5, 8), user: "ada", on: false}, {span: of(25, 35), user: "ada", on: true}}, use: of(30, 40), excused: true},
		"enabled and disabled":     {toggles: []*toggle{{span: of(21, 22), user: "ada", on: true}, {span: of(25, 28), user: "ada", on: false}}, use: of(30, 40), dead: true, excused: true},
	} {
		t.Run(name, func(t *testing.T) {
			l := &ledger{ends: tt.ends, toggles: tt.toggles}
			for _, r := range tt.ends {
				r.name = strings.ReplaceAll(name, " ", "-")
			}
			assert.Equal(t, tt.dead, l.dead(one, use{span: tt.use}) != "", "dead")
			assert.Equal(t, tt.excused, l.excuse(one.kind, one.user, one.id, one.span, use{span: tt.use}) != "", "excused")
		})
	}
}

// What another node did need not be known before its time, neither an end nor its undoing.
func TestLedgerOfCaches(t *testing.T) {
	at := time.Now()
	one := &bearer{span: span{10, 20}, kind: policy.KindToken, user: "ada", id: "t-1"}
	disabled := &toggle{span: span{21, 22}, done: done{node: 0, at: at}, user: "ada"}
	enabled := &toggle{span: span{25, 28}, done: done{node: 1, at: at}, user: "ada", on: true}
	for name, tt := range map[string]struct {
		toggles       []*toggle
		node          int
		after         time.Duration
		dead, excused bool
	}{
		"disabled elsewhere":             {toggles: []*toggle{disabled}, node: 1, excused: true},
		"disabled elsewhere, a while on": {toggles: []*toggle{disabled}, node: 1, after: time.Second, dead: true, excused: true},
		"disabled here":                  {toggles: []*toggle{disabled}, node: 0, dead: true, excused: true},
		"enabled elsewhere":              {toggles: []*toggle{disabled, enabled}, node: 0, excused: true},
		"enabled elsewhere, a while on":  {toggles: []*toggle{disabled, enabled}, node: 0, after: time.Second},
		"enabled here":                   {toggles: []*toggle{disabled, enabled}, node: 1},
	} {
		t.Run(name, func(t *testing.T) {
			l := &ledger{fresh: time.Second, toggles: tt.toggles}
			u := use{span: span{30, 40}, node: tt.node, at: at.Add(tt.after)}
			assert.Equal(t, tt.dead, l.dead(one, u) != "", "dead")
			assert.Equal(t, tt.excused, l.excuse(one.kind, one.user, one.id, one.span, u) != "", "excused")
		})
	}
}
