package audit_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/protocol"
)

func TestMultiRecordsInEachInOrder(t *testing.T) {
	var got []string
	keep := func(name string) audit.Sink {
		return audit.Func(func(_ context.Context, e audit.Event) { got = append(got, name+":"+string(e.Type)) })
	}
	s := audit.Multi(keep("a"), nil, keep("b"))
	s.Record(t.Context(), audit.Event{Type: audit.Login})
	s.Record(t.Context(), audit.Event{Type: audit.Logout})
	assert.Equal(t, []string{"a:login", "b:login", "a:logout", "b:logout"}, got)
}

// full is an event with every field.
func full() audit.Event {
	return audit.Event{
		Time:         time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC),
		Type:         audit.TokenCreated,
		Outcome:      audit.Challenged,
		User:         "u1",
		By:           "u2",
		Credential:   "c1",
		ByCredential: "c2",
		Addr:         netip.MustParseAddr("2001:db8::1"),
		Action:       protocol.Publish,
		Package:      protocol.PackageName{Scope: "acme", Name: "widget"},
		Change:       &protocol.Change{Version: "1.0.0", Tags: map[string]string{"latest": "1.0.0"}, Role: protocol.OrgAdmin},
		Grants: []protocol.Grant{
			{Target: protocol.OnePackage, Package: protocol.PackageName{Name: "left"}, Permission: protocol.ReadWrite, Verbs: protocol.VerbPublish},
			{Target: protocol.OneOrg, Scope: "acme", Permission: protocol.ReadOnly},
		},
		Reasons: []string{"a", "b"},
		Detail:  map[string]string{"via": "web"},
	}
}

func TestEventJSON(t *testing.T) { // AU-45
	text, err := json.Marshal(full())
	require.NoError(t, err)
	assert.JSONEq(t, `{"time":"2026-03-01T12:00:00.123456789Z","type":"token.created","outcome":"challenged",
		"user":"u1","by":"u2","credential":"c1","by_credential":"c2","addr":"2001:db8::1",
		"action":"publish","package":"@acme/widget","change":{"version":"1.0.0","tags":{"latest":"1.0.0"},"role":"admin"},
		"grants":[{"target":"package","package":"left","permission":"read-write","verbs":"publish"},{"target":"org","scope":"acme","permission":"read-only"}],
		"reasons":["a","b"],"detail":{"via":"web"}}`, string(text))
	var got audit.Event
	require.NoError(t, json.Unmarshal(text, &got))
	assert.Equal(t, full(), got)

	v := reflect.ValueOf(full())
	for i := range v.NumField() {
		assert.False(t, v.Field(i).IsZero(), "the field %s is not in this test", v.Type().Field(i).Name)
	}
}

func TestEventJSONLeavesOutWhatIsZero(t *testing.T) {
	text, err := json.Marshal(audit.Event{})
	require.NoError(t, err)
	assert.JSONEq(t, `{"type":"","outcome":"denied"}`, string(text))
	var got audit.Event
	require.NoError(t, json.Unmarshal(text, &got))
	assert.Equal(t, audit.Event{}, got)
	require.Error(t, json.Unmarshal([]byte(`{"outcome":"fine"}`), &got))
}

func TestFromSaysWhoDidIt(t *testing.T) {
	admin := audit.Actor{User: "u2", Credential: "c2", Addr: netip.MustParseAddr("192.0.2.1")}
	e := audit.Event{Type: audit.TokenCreated, User: "service", Credential: "c1"}.From(admin)
	assert.Equal(t, audit.Event{
		Type: audit.TokenCreated, User: "service", By: "u2", Credential: "c1", ByCredential: "c2", Addr: netip.MustParseAddr("192.0.2.1"),
	}, e)
	assert.Equal(t, admin, e.Actor())
	assert.Zero(t, e.From(audit.Actor{}).Actor(), "the operator")
}

func TestReasonIsTheFirst(t *testing.T) {
	assert.Empty(t, audit.Event{}.Reason())
	assert.Equal(t, "a", audit.Event{Reasons: []string{"a", "b"}}.Reason())
}

func TestMultiOfNothingDiscards(t *testing.T) {
	assert.NotPanics(t, func() {
		audit.Multi().Record(t.Context(), audit.Event{})
		audit.Multi(nil).Record(t.Context(), audit.Event{})
		audit.NewSlog(nil).Record(t.Context(), audit.Event{})
	})
}

func TestZeroOutcomeIsDenied(t *testing.T) {
	assert.Equal(t, audit.Denied, audit.Event{}.Outcome)
	for want, o := range map[string]audit.Outcome{
		"denied": audit.Denied, "rejected": audit.Rejected, "challenged": audit.Challenged, "canceled": audit.Canceled, "failed": audit.Failed, "done": audit.Done,
	} {
		assert.Equal(t, want, o.String())
		b, err := json.Marshal(o)
		require.NoError(t, err)
		assert.JSONEq(t, `"`+want+`"`, string(b))
		var read audit.Outcome = 200
		require.NoError(t, json.Unmarshal(b, &read))
		assert.Equal(t, o, read)
	}
	assert.Equal(t, "denied", audit.Outcome(200).String())
}

func TestFailure(t *testing.T) {
	live := t.Context()
	gone, leave := context.WithCancel(live)
	leave()
	late, stop := context.WithDeadline(live, time.Time{})
	defer stop()
	broken := errors.New("broken")
	for _, tt := range []struct {
		name string
		ctx  context.Context
		err  error
		want audit.Outcome
	}{
		{"the client is gone", gone, gone.Err(), audit.Canceled},
		{"the client is gone, wrapped", gone, fmt.Errorf("read: %w", context.Canceled), audit.Canceled},
		{"something broke while the client left", gone, broken, audit.Failed},
		{"a deadline while the client left", gone, context.DeadlineExceeded, audit.Failed},
		{"another context was cancelled", live, context.Canceled, audit.Failed},
		{"a deadline", late, late.Err(), audit.Failed},
		{"a deadline, and another context was cancelled", late, context.Canceled, audit.Failed},
		{"something broke", live, broken, audit.Failed},
	} {
		assert.Equal(t, tt.want, audit.Failure(tt.ctx, tt.err), tt.name)
	}
}
