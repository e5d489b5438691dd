package audit_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/audit"
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
		"denied": audit.Denied, "challenged": audit.Challenged, "failed": audit.Failed, "done": audit.Done,
	} {
		assert.Equal(t, want, o.String())
		b, err := json.Marshal(o)
		require.NoError(t, err)
		assert.JSONEq(t, `"`+want+`"`, string(b))
	}
	assert.Equal(t, "denied", audit.Outcome(200).String())
}
