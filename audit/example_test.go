package audit_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/store"
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

func ExampleLog() {
	ctx := context.Background()
	st := store.NewMemory()
	events, err := audit.NewLog(audit.LogConfig{Store: st, Keep: 365 * 24 * time.Hour})
	if err != nil {
		panic(err)
	}

	// npmauth writes the event in the commit that it describes.
	err = store.Transact(ctx, st, func(tx *store.Tx) error {
		tx.Put("token/1", nil, time.Time{})
		return events.Write(ctx, tx, audit.Event{Type: audit.TokenCreated, Outcome: audit.Done, User: "alice", Credential: "c1"})
	})
	if err != nil {
		panic(err)
	}

	// A page of the events that concern alice, and all that follow.
	for after := ""; ; {
		page, next, err := events.ListUser(ctx, "alice", after, 50)
		if err != nil {
			panic(err)
		}
		for _, e := range page {
			fmt.Println(e.Type, e.Outcome, e.Credential)
		}
		if after = next; after == "" {
			break
		}
	}
	// Output:
	// token.created done c1
}

func ExampleRecorder() {
	ctx := context.Background()
	st := store.NewMemory()
	events := audit.NewRecorder(audit.RecorderConfig{Sink: audit.Func(func(_ context.Context, e audit.Event) {
		fmt.Println(e.Type, e.Outcome, "of", e.User, "by", e.By)
	})})

	admin := audit.Actor{User: "alice", Credential: "c1"}
	err := store.Transact(ctx, st, func(tx *store.Tx) error {
		tx.Put("token/2", nil, time.Time{})
		return events.Commit(ctx, tx, audit.Event{Type: audit.TokenCreated, Outcome: audit.Done, User: "ci", Credential: "c2"}.From(admin))
	})
	if err != nil {
		panic(err)
	}
	// Output:
	// token.created done of ci by alice
}

func ExampleQueue() {
	send := audit.Func(func(_ context.Context, e audit.Event) {
		text, err := json.Marshal(e) // to a collector over the network, say
		fmt.Println(string(text), err)
	})
	queue, err := audit.NewQueue(send, audit.QueueConfig{Size: 10_000})
	if err != nil {
		panic(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ran := make(chan error)
	go func() { ran <- queue.Run(ctx) }() // as long as the program serves

	queue.Record(ctx, audit.Event{ // never waits for send
		Time: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
		Type: audit.Logout, Outcome: audit.Done, User: "alice", Credential: "c1",
	})

	stop()
	if err := <-ran; err != nil { // what waited is delivered
		panic(err)
	}
	// Output:
	// {"time":"2026-03-01T12:00:00Z","type":"logout","outcome":"done","user":"alice","credential":"c1"} <nil>
}
