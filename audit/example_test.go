package audit_test

import (
	"context"
	"log/slog"
	"os"
	"time"

	"github.com/npmauth/npmauth/audit"
)

func Example() {
	sink := audit.NewSlog(slog.New(slog.NewTextHandler(os.Stdout, nil)))
	sink.Record(context.Background(), audit.Event{
		Time:    time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
		Type:    audit.Login,
		Outcome: audit.Denied,
		Reasons: []string{"wrong-password"},
	})
	// Output:
	// time=2026-03-01T12:00:00.000Z level=WARN msg=audit type=login outcome=denied reasons=[wrong-password]
}
