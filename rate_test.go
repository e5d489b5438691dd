package npmauth_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/token"
)

// A slowLine is a body of which a piece comes now and then, and the connection that has its
// deadlines.
type slowLine struct {
	*httptest.ResponseRecorder
	rest  string
	first int // bytes that come at once
	piece int // bytes
	every time.Duration

	next     time.Time // when the next piece has come
	here     int       // bytes that have come
	deadline time.Time
}

func (l *slowLine) SetReadDeadline(t time.Time) error {
	l.deadline = t
	return nil
}

func (l *slowLine) Read(p []byte) (int, error) {
	if l.next.IsZero() {
		l.here, l.next = l.first, time.Now().Add(l.every)
	}
	for !l.next.After(time.Now()) { // also while nobody reads
		l.here, l.next = l.here+l.piece, l.next.Add(l.every)
	}
	if l.here == 0 {
		if until := l.deadline; !until.IsZero() && until.Before(l.next) {
			time.Sleep(time.Until(until))
			return 0, os.ErrDeadlineExceeded
		}
		time.Sleep(time.Until(l.next))
		return l.Read(p)
	}
	n := copy(p[:min(len(p), l.here)], l.rest)
	l.rest, l.here = l.rest[n:], l.here-n
	if l.rest == "" {
		return n, io.EOF
	}
	return n, nil
}

func (l *slowLine) Close() error { return nil }

// AU-25: a body must not only come on, but bring 1 KiB a second. The minute in which it may bring
// less is no credit that grows.
func TestSlowBodies(t *testing.T) {
	const size = 15 << 20
	long := `{"_id":"plain","readme":"` + strings.Repeat("x", size) + `"}`
	for name, tt := range map[string]struct {
		first, piece int
		every        time.Duration
		host         func(r *http.Request) // reads
		late         bool
	}{
		"a byte each 29 s":           {piece: 1, every: 29 * time.Second, late: true},
		"1 KiB each 29 s":            {piece: 1 << 10, every: 29 * time.Second, late: true},
		"a byte a second":            {piece: 1, every: time.Second, late: true},
		"a byte a second after much": {first: size / 2, piece: 1, every: time.Second, late: true},
		"less than 1 KiB a second":   {piece: 1000, every: time.Second, late: true},
		"nothing for 31 s":           {piece: size, every: 31 * time.Second, late: true},
		"nothing for 29 s":           {piece: size, every: 29 * time.Second},
		"29 KiB each 29 s":           {piece: 29 << 10, every: 29 * time.Second},
		"1 KiB a second":             {piece: 1 << 10, every: time.Second},
		"a host that takes its time": {first: 1 << 10, piece: 1 << 20, every: 20 * time.Second, host: func(r *http.Request) {
			for range 3 {
				_, err := io.CopyN(io.Discard, r.Body, 1<<10)
				assert.NoError(t, err)
				time.Sleep(time.Hour)
			}
			_, err := io.Copy(io.Discard, r.Body)
			assert.NoError(t, err)
		}},
	} {
		for _, reader := range []string{"npmauth", "the host"} {
			if tt.host != nil && reader != "the host" {
				continue
			}
			t.Run(name+", "+reader+" reads", func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, uploads)
					w.host.add("plain", false, w.person("alice"))
					bearer, _ := w.token("alice", token.Spec{Bypass: true, Grants: grantAll(protocol.ReadWrite)})
					method, path := "PUT", "/plain"
					var read error
					if reader == "the host" {
						method, path, bearer = "POST", "/upload", ""
					}
					handler := w.auth.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
						if tt.host != nil {
							tt.host(r)
							return
						}
						_, read = io.Copy(io.Discard, r.Body)
					}))
					line := &slowLine{ResponseRecorder: httptest.NewRecorder(), rest: long, first: tt.first, piece: tt.piece, every: tt.every}
					r := httptest.NewRequest(method, path, line)
					r.Header.Set("Authorization", "Bearer "+bearer)
					start := time.Now()
					handler.ServeHTTP(line, r)
					if !tt.late {
						assert.NotEqual(t, http.StatusRequestTimeout, line.Code, line.Body)
						assert.NoError(t, read)
						return
					}
					assert.Equal(t, http.StatusRequestTimeout, line.Code, line.Body)
					assert.Less(t, time.Since(start), time.Hour) // by the clock of the bubble
					if reader == "the host" {
						assert.ErrorIs(t, read, os.ErrDeadlineExceeded)
					}
				})
			})
		}
	}
}

// So it is on a real connection.
func TestSlowBodyOnAConnection(t *testing.T) {
	w := newSlowWorld(t, time.Minute)
	w.auth.SetBodyRate(1<<20, 200*time.Millisecond)
	c := dial(t, w.handler)
	c.begin("PUT", "/plain", w.bypass, len(w.publish))
	go func() {
		for _, b := range w.publish {
			if _, err := io.WriteString(c.conn, string(b)); err != nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	a, text := c.answer()
	isBodyTimeout(t, a, text)
}
