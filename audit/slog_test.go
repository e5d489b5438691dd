package audit_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/protocol"
)

func TestSlogWritesWhatIsSet(t *testing.T) {
	var out bytes.Buffer
	s := audit.NewSlog(slog.New(slog.NewJSONHandler(&out, nil)))
	s.Record(t.Context(), audit.Event{
		Time:       time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
		Type:       audit.TokenCreated,
		Outcome:    audit.Done,
		User:       "u1",
		By:         "u2",
		Credential: "c1", ByCredential: "c2",
		Addr:    netip.MustParseAddr("192.0.2.1"),
		Package: protocol.PackageName{Scope: "acme", Name: "widget"},
		Change:  &protocol.Change{Version: "1.0.0", Tags: map[string]string{"latest": "1.0.0"}},
		Grants:  []protocol.Grant{{Target: protocol.OneScope, Scope: "acme", Permission: protocol.ReadWrite}},
		Reasons: []string{"why", "and-why"},
		Detail:  map[string]string{"b": "2", "a": "1\nlevel=forged"}, // LOG-03
	})
	s.Record(t.Context(), audit.Event{Type: audit.Login, Outcome: audit.Failed})

	lines := bytes.Split(bytes.TrimSpace(out.Bytes()), []byte("\n"))
	require.Len(t, lines, 2)
	assert.JSONEq(t, `{"time":"2026-03-01T12:00:00Z","level":"INFO","msg":"audit","type":"token.created","outcome":"done",
		"user":"u1","by":"u2","credential":"c1","by_credential":"c2","addr":"192.0.2.1","package":"@acme/widget","change":{"tags":{"latest":"1.0.0"},"version":"1.0.0"},
		"grants":[{"target":"scope","scope":"acme","permission":"read-write"}],"reasons":["why","and-why"],
		"detail":{"a":"1\nlevel=forged","b":"2"}}`, string(lines[0]))
	var second map[string]any
	require.NoError(t, json.Unmarshal(lines[1], &second))
	assert.NotEmpty(t, second["time"], "an event without a time gets the moment of recording")
	delete(second, "time")
	assert.Equal(t, map[string]any{"level": "ERROR", "msg": "audit", "type": "login", "outcome": "failed"}, second)
}

func TestSlogLevels(t *testing.T) {
	for outcome, want := range map[audit.Outcome]string{
		audit.Done: "INFO", audit.Challenged: "INFO", audit.Rejected: "INFO", audit.Canceled: "INFO", audit.Denied: "WARN", audit.Failed: "ERROR", 99: "WARN",
	} {
		var out bytes.Buffer
		audit.NewSlog(slog.New(slog.NewTextHandler(&out, nil))).Record(t.Context(), audit.Event{Outcome: outcome})
		assert.Contains(t, out.String(), "level="+want)
		assert.Contains(t, out.String(), "outcome="+outcome.String())
	}
	var out bytes.Buffer
	l := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelError}))
	audit.NewSlog(l).Record(t.Context(), audit.Event{Outcome: audit.Denied})
	assert.Empty(t, out.String(), "below the logger's level")
}
