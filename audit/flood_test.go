package audit_test

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/protocol"
)

// A minute is a Recorder with a clock, and what its sink got.
type minute struct {
	*audit.Recorder
	now  time.Time
	mu   sync.Mutex
	told []audit.Event
}

func newMinute() *minute {
	m := &minute{now: time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)}
	m.Recorder = audit.NewRecorder(audit.RecorderConfig{
		Now: func() time.Time { return m.now },
		Sink: audit.Func(func(_ context.Context, e audit.Event) {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.told = append(m.told, e)
		}),
	})
	return m
}

func (m *minute) take() []audit.Event {
	told := m.told
	m.told = nil
	return told
}

func denied(user protocol.UserID, i int) audit.Event {
	return audit.Event{
		Type: audit.Login, Outcome: audit.Denied, User: user, Addr: netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}),
		Credential: strconv.Itoa(i), Reasons: []string{"password"}, Detail: map[string]string{"via": "web", "agent": fmt.Sprint(i)},
	}
}

// AU-22: a flood of refusals is one event a minute, with how many there were.
func TestFloodIsOneEvent(t *testing.T) {
	m := newMinute()
	for i := range 10_000 {
		m.Record(t.Context(), denied("u-jane", i))
		m.now = m.now.Add(time.Millisecond)
	}
	require.Len(t, m.told, 10)
	for i, e := range m.take() {
		assert.Equal(t, denied("u-jane", i).Addr, e.Addr)
	}
	m.Flush(t.Context(), false)
	assert.Empty(t, m.take(), "the minute is not over")
	m.now = m.now.Add(50 * time.Second)
	m.Flush(t.Context(), false)
	assert.Equal(t, []audit.Event{{
		Time: m.now, Type: audit.Login, Outcome: audit.Denied, User: "u-jane", Reasons: []string{"password"},
		Detail: map[string]string{"via": "web", "count": "9990", "since": "2026-11-30T12:00:00Z"},
	}}, m.take())
	m.Flush(t.Context(), true)
	assert.Empty(t, m.take(), "once")

	// Without Flush, the next event tells, and a program that ends tells all.
	for i := range 12 {
		m.Record(t.Context(), denied("u-jane", i))
	}
	require.Len(t, m.take(), 10)
	m.now = m.now.Add(time.Minute)
	m.Record(t.Context(), audit.Event{Type: audit.Login, Outcome: audit.Done})
	told := m.take()
	require.Len(t, told, 2)
	assert.Equal(t, "2", told[0].Detail["count"])
	for i := range 11 {
		m.Record(t.Context(), denied("u-jane", i))
	}
	require.Len(t, m.take(), 10)
	m.Flush(t.Context(), true)
	assert.Equal(t, []audit.Event{func() audit.Event { e := denied("u-jane", 10); e.Time = m.now; return e }()}, m.take(), "one alone is told as it is")
}

// Refusals are told together that are alike; what was done is never left out.
func TestOnlyAlikeIsOneEvent(t *testing.T) {
	m := newMinute()
	one := denied("u-jane", 1)
	others := []audit.Event{denied("u-joe", 1), denied("", 1)}
	for _, change := range []func(*audit.Event){
		func(e *audit.Event) { e.Type = audit.Access },
		func(e *audit.Event) { e.Outcome = audit.Rejected },
		func(e *audit.Event) { e.Reasons = []string{"factor"} },
		func(e *audit.Event) { e.Action = protocol.Publish },
	} {
		e := denied("u-jane", 1)
		change(&e)
		others = append(others, e)
	}
	for range 10 {
		m.Record(t.Context(), one)
	}
	m.take()
	m.Record(t.Context(), one)
	assert.Empty(t, m.take())
	for _, e := range others {
		m.Record(t.Context(), e)
		assert.Len(t, m.take(), 1, "%v", e)
	}
	for _, outcome := range []audit.Outcome{audit.Done, audit.Failed} {
		for range 100 {
			m.Record(t.Context(), audit.Event{Type: audit.Login, Outcome: outcome})
		}
		assert.Len(t, m.take(), 100, "%v", outcome)
	}
}

// However many accounts there are, the memory and the events are bounded, and no refusal is lost.
func TestFloodOfKinds(t *testing.T) {
	m := newMinute()
	const users, each = 3000, 12
	for i := range users * each {
		m.Record(t.Context(), denied(protocol.UserID(fmt.Sprint(i%users)), 1))
	}
	alone := len(m.take())
	m.Flush(t.Context(), true)
	told := alone
	for _, e := range m.take() {
		n, err := strconv.Atoi(e.Detail["count"])
		require.NoError(t, err)
		told += n
		if n > each {
			assert.Empty(t, e.User)
		}
	}
	assert.Equal(t, users*each, told)
	assert.Equal(t, 1024*10+10, alone)
}

func TestFloodAtOnce(t *testing.T) {
	m := newMinute()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 100 {
				m.Record(t.Context(), denied("u-jane", i))
			}
		})
	}
	wg.Wait()
	m.Flush(t.Context(), true)
	require.Len(t, m.told, 11)
	assert.Equal(t, "790", m.told[10].Detail["count"])
	var none *audit.Recorder
	none.Flush(t.Context(), true)
}
