package npmauth_test

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/subject"
	"github.com/npmauth/npmauth/twofactor"
)

// budgets returns the rows of docs/security.md that have numbers alone, by their first column.
func budgets(t *testing.T) map[string][]float64 {
	t.Helper()
	text, err := os.ReadFile("docs/security.md")
	require.NoError(t, err)
	rows := map[string][]float64{}
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		var numbers []float64
		for _, cell := range cells[1:] {
			n, err := strconv.ParseFloat(strings.TrimSpace(cell), 64)
			if err != nil {
				numbers = nil
				break
			}
			numbers = append(numbers, n)
		}
		if len(numbers) > 1 {
			rows[strings.TrimSpace(cells[0])] = numbers
		}
	}
	return rows
}

// An attack is somebody who guesses at alice without pause.
type attack struct {
	*world
	n       int    // of the next guess
	session string // a stolen one
	begun   time.Time
}

func newAttack(t *testing.T, factor bool) *attack {
	w := newWorld(t)
	w.person("alice")
	if factor {
		w.enrol("alice", protocol.AuthAndWrites)
	}
	return &attack{world: w}
}

// in has a client in the i-th network.
func (a *attack) in(i int) session.SignIn {
	return session.SignIn{
		Name: "alice", Password: credential.NewSecret(password), Client: session.Client{Addr: netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 1})},
	}
}

// wrong is a code that the app shows at none of the accepted steps, and another one each time.
func (a *attack) wrong() credential.Secret {
	for {
		a.n++
		code, near := fmt.Sprintf("%06d", a.n), false
		for _, d := range []time.Duration{-30 * time.Second, 30 * time.Second, 30 * time.Second, -30 * time.Second} {
			a.clock.Add(d)
			near = near || a.codeNow("alice") == code
		}
		if !near {
			return credential.NewSecret(code)
		}
	}
}

// password tries a wrong password, and returns how long to wait if it was not checked.
func (a *attack) password(in session.SignIn) (wait time.Duration) {
	in.Password = credential.NewSecret("wrong password of mine")
	_, _, err := a.auth.Sessions().SignIn(a.t.Context(), in)
	if w, waits := errors.AsType[*subject.WaitError](err); waits {
		return w.After
	}
	require.ErrorIs(a.t, err, session.ErrDenied)
	return 0
}

// code tries a wrong code with the right password, likewise.
func (a *attack) code(in session.SignIn) (wait time.Duration) {
	in.OTP = a.wrong()
	_, _, err := a.auth.Sessions().SignIn(a.t.Context(), in)
	require.ErrorIs(a.t, err, session.ErrFactorRequired)
	if errors.Is(err, twofactor.ErrLocked) || errors.Is(err, twofactor.ErrTooMany) {
		return 30 * time.Second // until the next code
	}
	return 0
}

// The numbers of docs/security.md are what an attacker who never pauses has. OT-09: from however many
// networks.
func TestSecurityDoc(t *testing.T) {
	rows := budgets(t)
	simulate := func(what string, factor bool, begin func(*attack), try func(*attack) time.Duration) {
		want := rows[what]
		delete(rows, what)
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			require.NotEmpty(t, want, "there is no such row")
			a := newAttack(t, factor)
			if begin != nil {
				begin(a)
			}
			// Three days: from the second on they are alike.
			const day = 24 * time.Hour
			begun := a.clock.Now()
			var days [3]int
			for refused := 0; refused < 300; {
				n := int(a.clock.Now().Sub(begun) / day)
				if n >= len(days) {
					break
				}
				if wait := try(a); wait > 0 {
					refused++
					a.clock.Add(wait)
					continue
				}
				refused = 0
				days[n]++
			}
			require.Equal(t, days[1], days[2])
			year := days[0] + 364*days[1]
			if strings.Contains(what, "is known to it") {
				year = days[0] + 89*days[1] // as long as it is
			}
			got := []float64{float64(days[0]), float64(year)}
			if len(want) > 2 {
				chance := 1 - math.Pow(1-3e-6, float64(year))
				assert.InDelta(t, want[2], chance, chance/100)
			}
			assert.Equal(t, want[:2], got)
		})
	}
	signIn := func(a *attack, in session.SignIn) {
		_, _, err := a.auth.Sessions().SignIn(t.Context(), in)
		require.NoError(t, err)
	}
	browser := func(a *attack, i int) session.SignIn {
		in := a.in(i)
		in.Browser = credential.NewSecret("the browser of alice")
		return in
	}
	own := func(check func(a *attack) error) func(*attack) time.Duration {
		return func(a *attack) time.Duration {
			if check(a) != nil {
				return time.Hour
			}
			return 0
		}
	}

	simulate("an account with a second factor, from all unknown places together", true, nil, func(a *attack) time.Duration {
		a.n++
		return a.password(a.in(a.n % 2000))
	})
	simulate("an account without one, from one unknown network", false, nil, func(a *attack) time.Duration { return a.password(a.in(1)) })
	simulate("an account without one, from two unknown networks", false, nil, func(a *attack) time.Duration {
		wait := a.password(a.in(1))
		if wait == 0 {
			return 0
		}
		return min(wait, a.password(a.in(2)))
	})
	simulate("any account, from one network that is known to it", false, func(a *attack) { signIn(a, a.in(1)) },
		func(a *attack) time.Duration { return a.password(a.in(1)) })
	simulate("any account, from one browser that is known to it", false, func(a *attack) { signIn(a, browser(a, 1)) },
		func(a *attack) time.Duration { a.n++; return a.password(browser(a, 1+a.n%2000)) })
	// sends reports whether a request with alice's session was refused for what it guessed.
	sends := func(otp, password string, counted ...string) func(a *attack) error {
		return func(a *attack) error {
			code := otp
			if code != "" {
				code = a.wrong().Reveal()
			}
			answer := a.create(a.session, code, map[string]any{"password": password, "packages_all": true})
			require.Equal(a.t, 401, answer.Code, answer.Body)
			if slices.Contains(counted, answer.text("code")) || otp != "" && answer.Header().Get("Www-Authenticate") != "" {
				return nil
			}
			return errors.New(answer.text("code"))
		}
	}
	// Who waits for the codes of others has each of these tried, right or wrong.
	closed := func(a *attack) {
		for refused := 0; refused < 3; {
			a.n++
			wait := a.password(a.in(a.n % 2000))
			if a.clock.Add(wait); wait == 0 {
				refused = 0
			} else {
				refused++
			}
		}
		a.begun = a.clock.Now()
	}
	opens := func(a *attack) time.Duration {
		a.n++
		in := a.in(a.n % 2000)
		in.OTP = credential.NewSecret(a.codeNow("alice"))
		switch {
		case a.password(in) == 0:
			return 0
		case a.clock.Now().Before(a.begun.Add(24 * time.Hour)):
			return 2 * time.Minute
		default: // when each waits for a day
			return time.Hour
		}
	}
	simulate("the same, with codes of its app", true, closed, opens)
	simulate("codes, to have a password checked", true, closed, opens)

	steal := func(a *attack) { a.session = a.login("alice") }
	simulate("one's own account, with a session or a token", false, steal, own(sends("", "wrong password of mine", "wrong-password", "too-many-passwords")))

	simulate("codes, at a login, from one network", true, nil, func(a *attack) time.Duration { return a.code(a.in(1)) })
	simulate("codes, at a login, from all networks together", true, nil, func(a *attack) time.Duration { return a.code(a.in(a.n % 2000)) })
	begin := func(a *attack, id string) error {
		use := twofactor.Use{Action: protocol.SetTwoFactor, Credential: id}
		_, err := a.auth.Factors().Begin(t.Context(), a.ids["alice"], use, a.wrong())
		return err
	}
	simulate("codes, with one session", true, steal, own(sends("wrong", password)))
	simulate("codes, with as many sessions as it takes", true, nil, own(func(a *attack) error { return begin(a, fmt.Sprint("c-", a.n/5)) }))
	assert.Empty(t, rows, "rows that nobody computes")
}
