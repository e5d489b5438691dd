// Broker keeps the tokens of service accounts from ending: it rotates those that end soon, writes
// the new secret to a file that builds read, and posts what it did to a webhook.
//
//	go run ./examples/broker -secrets ci-tokens -webhook http://127.0.0.1:8080/ deploy nightly
//
// It works on the store of examples/registry. An administrator creates the first token of each
// account, named broker, and may throw its secret away. Run one broker at a time.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io/fs"
	"log"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/sqlite"
	"github.com/npmauth/npmauth/token"
)

func main() {
	data := flag.String("data", "npm-data", "`folder` of the registry, with auth.db and auth.key")
	folder := flag.String("secrets", "ci-tokens", "`folder` that exists, for a file per account")
	hook := flag.String("webhook", "", "`URL` that gets each event as JSON")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	key := store.Key(must(os.ReadFile(filepath.Join(*data, "auth.key"))))
	st := store.Seal(must(sqlite.Open(filepath.Join(*data, "auth.db"))), key)
	post := must(audit.NewRetry(webhook(*hook), audit.RetryConfig{Logger: slog.Default()}))
	queue := must(audit.NewQueue(post, audit.QueueConfig{Logger: slog.Default()}))
	people := must(account.NewDirectory(account.DirectoryConfig{Store: st, Hasher: must(account.NewHasher(account.HasherConfig{}))}))
	tokens := must(token.New(token.Config{Store: st, Events: audit.NewRecorder(audit.RecorderConfig{Sink: queue})}))
	events, end := context.WithCancel(context.Background())
	go func() {
		defer end() // no event comes any more
		for b := (broker{tokens, files(*folder)}); ctx.Err() == nil; {
			for _, name := range flag.Args() {
				user, err := people.ByName(ctx, name)
				if err == nil {
					err = b.renew(ctx, name, user.ID)
				}
				if err != nil {
					slog.Error("the token was not renewed", "account", name, "error", err)
				}
			}
			select {
			case <-ctx.Done():
			case <-time.After(time.Hour):
			}
		}
	}()
	must(queue, queue.Run(events))
}

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}

// webhook returns a function that posts an event to url.
func webhook(url string) func(context.Context, audit.Event) error {
	return func(_ context.Context, e audit.Event) error {
		body, err := json.Marshal(e)
		if err != nil {
			return err
		}
		answer, err := (&http.Client{Timeout: 10 * time.Second}).Post(url, "application/json", bytes.NewReader(body))
		if err != nil {
			return errors.Unwrap(err) // without the URL, which may be a secret
		}
		defer answer.Body.Close()
		if answer.StatusCode >= 300 {
			return errors.New("the webhook answers " + answer.Status)
		}
		return nil
	}
}

// Secrets is where builds get tokens from: files here, with you the secrets of your CI.
type secrets interface {
	Get(account string) (credential.Secret, error) // the zero Secret if there is none
	Put(account string, secret credential.Secret) error
}

type broker struct {
	tokens  *token.Manager
	secrets secrets
}

// renew rotates the account's newest token if it ends soon, or if secrets does not have it: then
// the process died between a rotation and Put. So renew may fail anywhere, and is run again.
func (b broker) renew(ctx context.Context, name string, user protocol.UserID) error {
	kept, err := b.secrets.Get(name)
	if err != nil {
		return err
	}
	for t, err := range b.tokens.Of(ctx, user) {
		switch {
		case err != nil:
			return err
		case t.Name != "broker":
			continue
		case t.ID == token.IDOf(credential.Sum(kept)) && !b.tokens.Expiring(t.Credential(), time.Now()):
			return nil
		}
		secret, _, err := b.tokens.Rotate(ctx, audit.Actor{}, token.Rotation{User: user, ID: t.ID, Grace: token.Day, Service: true})
		if err != nil {
			return err
		}
		return b.secrets.Put(name, secret)
	}
	return errors.New("there is no token named broker")
}

// Files are secrets in a folder, a file for each account.
type files string

func (f files) Get(account string) (credential.Secret, error) {
	text, err := os.ReadFile(filepath.Join(string(f), account))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return credential.NewSecret(string(text)), err
}

func (f files) Put(account string, secret credential.Secret) error {
	fresh := filepath.Join(string(f), "."+account)
	if err := os.WriteFile(fresh, []byte(secret.Reveal()), 0o600); err != nil {
		return err
	}
	return os.Rename(fresh, filepath.Join(string(f), account))
}
