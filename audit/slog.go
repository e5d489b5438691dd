package audit

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/npmauth/npmauth/protocol"
)

// NewSlog returns a Sink that writes each event to l as one record with the
// message "audit": at level Warn if it was denied, Error if it failed, and Info
// otherwise. The record has the event's time. Its attributes have the names
// of the event's JSON: empty ones are left out, and Change and Detail are the groups
// "change" and "detail" with their keys sorted. Records below the level
// of l are dropped, so that a logger set to Error loses the audit trail. A nil l
// discards.
func NewSlog(l *slog.Logger) Sink {
	if l == nil {
		return Multi()
	}
	return &slogSink{l.Handler()}
}

type slogSink struct{ h slog.Handler }

func (s *slogSink) Record(ctx context.Context, e Event) {
	level := slog.LevelWarn
	switch e.Outcome {
	case Rejected, Challenged, Canceled, Done:
		level = slog.LevelInfo
	case Failed:
		level = slog.LevelError
	}
	if !s.h.Enabled(ctx, level) {
		return
	}
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	r := slog.NewRecord(e.Time, level, "audit", 0)
	r.AddAttrs(slog.String("type", string(e.Type)), slog.String("outcome", e.Outcome.String()))
	text := func(key, value string) {
		if value != "" {
			r.AddAttrs(slog.String(key, value))
		}
	}
	text("user", string(e.User))
	text("by", string(e.By))
	text("credential", e.Credential)
	text("by_credential", e.ByCredential)
	if e.Addr.IsValid() {
		text("addr", e.Addr.String())
	}
	if e.Action != 0 {
		r.AddAttrs(slog.Any("action", e.Action))
	}
	text("package", e.Package.String())
	if attrs := changeAttrs(e.Change); len(attrs) > 0 {
		r.AddAttrs(slog.Attr{Key: "change", Value: slog.GroupValue(attrs...)})
	}
	if len(e.Grants) > 0 {
		r.AddAttrs(slog.Any("grants", e.Grants))
	}
	if len(e.Reasons) > 0 {
		r.AddAttrs(slog.Any("reasons", e.Reasons))
	}
	if len(e.Detail) > 0 {
		detail := make([]slog.Attr, 0, len(e.Detail))
		for _, key := range slices.Sorted(maps.Keys(e.Detail)) {
			detail = append(detail, slog.String(key, e.Detail[key]))
		}
		r.AddAttrs(slog.Attr{Key: "detail", Value: slog.GroupValue(detail...)})
	}
	_ = s.h.Handle(ctx, r) // ignored, as slog.Logger does
}

// changeAttrs returns the fields of c that are set, by the names of its JSON, sorted.
func changeAttrs(c *protocol.Change) []slog.Attr {
	if c == nil {
		return nil
	}
	text, err := json.Marshal(c)
	var fields map[string]any
	if err == nil {
		err = json.Unmarshal(text, &fields)
	}
	if err != nil {
		return []slog.Attr{slog.String("omitted", err.Error())}
	}
	var attrs []slog.Attr
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		attrs = append(attrs, slog.Any(key, fields[key]))
	}
	return attrs
}
