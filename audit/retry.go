package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

const (
	retryTries = 10
	retryWait  = time.Second
	retryMost  = time.Minute // between two tries
)

// RetryConfig configures [NewRetry].
type RetryConfig struct {
	// Tries is how often deliver is called for an event at most. Zero means ten, which with the
	// default Wait takes four minutes; negative is an error.
	Tries int

	// Wait is the time between the first two tries. It doubles with each further one, up to a
	// minute. Zero means one second; negative is an error.
	Wait time.Duration

	// Logger logs events that were not delivered, with the last error. Nil discards.
	Logger *slog.Logger
}

// NewRetry returns a [Sink] that calls deliver with each event until deliver returns nil, or an
// error naming what is wrong with the arguments. Its Record blocks while it waits between the
// tries, so put it behind a [Queue]:
//
//	sink, err := audit.NewRetry(post, audit.RetryConfig{Logger: log})
//	…
//	queue, err := audit.NewQueue(sink, audit.QueueConfig{Logger: log})
//
// An event is lost after RetryConfig.Tries tries, or when its context ends. The receiver may get an
// event more than once, if deliver fails after it was sent. Errors of deliver are logged, so they
// must contain no secret, such as the URL of a webhook.
func NewRetry(deliver func(context.Context, Event) error, cfg RetryConfig) (Sink, error) {
	switch {
	case deliver == nil:
		return nil, errors.New("audit: a retry without a function")
	case cfg.Tries < 0:
		return nil, fmt.Errorf("audit: RetryConfig.Tries is negative: %d", cfg.Tries)
	case cfg.Wait < 0:
		return nil, fmt.Errorf("audit: RetryConfig.Wait is negative: %v", cfg.Wait)
	}
	if cfg.Tries == 0 {
		cfg.Tries = retryTries
	}
	if cfg.Wait == 0 {
		cfg.Wait = retryWait
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return Func(func(ctx context.Context, e Event) {
		if err := retry(ctx, deliver, cfg, e); err != nil {
			cfg.Logger.ErrorContext(ctx, "audit: an event was not delivered", "type", string(e.Type), "error", err)
		}
	}), nil
}

func retry(ctx context.Context, deliver func(context.Context, Event) error, cfg RetryConfig, e Event) (err error) {
	for n, wait := 1, cfg.Wait; ; n, wait = n+1, min(2*wait, retryMost) {
		if err = deliver(ctx, clone(e)); err == nil || n >= cfg.Tries {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(wait):
		}
	}
}
