package etcd

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"

	"github.com/npmauth/npmauth/store"
)

var errSilent = errors.New("the member of the stream sends nothing")

// Watch implements [store.Watcher]. Apart from the events, it costs a read and a request on the
// stream in every. It returns when the stream breaks, when its member has lost its leader, and
// when that member sends nothing for as long as the Store's timeout.
func (s *Store) Watch(ctx context.Context, every time.Duration, changed func(store.Change)) error {
	if every <= 0 {
		return fmt.Errorf("%w: a watch that reports every %s", store.ErrInvalid, every)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	w, err := s.watch(ctx)
	if err == nil {
		defer w.close()
		err = w.run(ctx, every, changed)
	}
	if over := settled(ctx, err); over != nil {
		return over
	}
	return fmt.Errorf("etcd: watch: %w", err)
}

// A watch follows the item rows on a stream of its own: a stream of the client begins anew by
// itself when it breaks, and is shared.
type watch struct {
	s       *Store
	stream  pb.Watch_WatchClient
	cancel  context.CancelFunc
	working sync.WaitGroup

	responses chan *pb.WatchResponse // closed when there will be no more
	broken    error                  // why; may be read once responses is closed
	positions chan position

	seen      time.Time // of the last Change
	delivered int64     // the revision up to which everything was received
	wanted    position  // must be delivered before its time can be reported; none if its revision is 0
	reading   bool      // a position is being read
	lastReply time.Time // when the stream last showed that it goes on, or the wait for it began
}

// A position is a moment, and a revision no older than any Commit that had returned
// by then.
type position struct {
	at       time.Time
	revision int64
	err      error
}

func (s *Store) readPosition(ctx context.Context) position {
	at := time.Now()
	_, rev, err := s.scan(ctx, &pb.RangeRequest{Key: s.itemRow(""), CountOnly: true})
	return position{at, rev, err}
}

func (s *Store) watch(ctx context.Context) (*watch, error) {
	first := s.readPosition(ctx)
	if first.err != nil {
		return nil, first.err
	}
	w := &watch{s: s, responses: make(chan *pb.WatchResponse), positions: make(chan position, 1)}
	// The present time, and not that of the position: reads since then may be older than the
	// first event, and caches must drop them.
	w.seen = time.Now()
	w.lastReply, w.delivered = w.seen, first.revision
	ctx, w.cancel = context.WithCancel(clientv3.WithRequireLeader(ctx))
	late := time.AfterFunc(s.timeout, w.cancel)
	var err error
	w.stream, err = pb.NewWatchClient(s.conn).Watch(ctx, grpc.WaitForReady(true), grpc.MaxCallRecvMsgSize(math.MaxInt32))
	if err == nil {
		err = w.stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{
			CreateRequest: &pb.WatchCreateRequest{
				Key:           s.itemRow(""),
				RangeEnd:      s.itemRow("\x7f"),
				StartRevision: first.revision + 1,
				Fragment:      true, // however much there is to catch up with, no response is much larger than a request
			},
		}})
	}
	if err == nil && !late.Stop() {
		err = errSilent
	}
	if err != nil {
		w.cancel()
		return nil, err
	}
	w.working.Go(func() { w.receive(ctx) })
	return w, nil
}

func (w *watch) receive(ctx context.Context) {
	defer close(w.responses)
	for {
		resp, err := w.stream.Recv()
		if err != nil {
			w.broken = err
			return
		}
		select {
		case w.responses <- resp:
		case <-ctx.Done():
			w.broken = ctx.Err()
			return
		}
	}
}

// close ends the stream and waits for its goroutines.
func (w *watch) close() {
	w.cancel()
	w.working.Wait()
}

func (w *watch) run(ctx context.Context, every time.Duration, changed func(store.Change)) error {
	ctx, cancel := context.WithCancel(ctx) // for the positions, when run returns
	defer cancel()
	tick := time.NewTicker(max(every/4, 5*time.Millisecond))
	defer tick.Stop()
	var last time.Time // of the last position
	created := false
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()

		case resp, ok := <-w.responses:
			if !ok {
				return w.broken
			}
			keys, err := w.take(resp)
			if err != nil {
				return err
			}
			if resp.Created {
				created = true
				changed(store.Change{Seen: w.seen})
			}
			if caughtUp := w.catchUp(); caughtUp || len(keys) > 0 {
				changed(store.Change{Keys: keys, Seen: w.seen})
			}

		case w.wanted = <-w.positions:
			w.reading = false
			if w.wanted.err != nil {
				return w.wanted.err
			}
			if w.catchUp() { // nothing was written since the last progress request
				changed(store.Change{Seen: w.seen})
				continue
			}
			w.lastReply = time.Now() // the wait begins
			if err := w.ask(); err != nil {
				return err
			}

		case <-tick.C:
			waiting := !created || w.wanted.revision != 0
			switch {
			case waiting && time.Since(w.lastReply) > w.s.timeout:
				return errSilent
			case w.wanted.revision != 0: // a member that was not yet that far did not answer
				if err := w.ask(); err != nil {
					return err
				}
			case created && !w.reading && time.Since(last) > every-every/8:
				last, w.reading = time.Now(), true
				w.working.Go(func() { w.positions <- w.s.readPosition(ctx) })
			}
		}
	}
}

// ask requests a response with the progress of the stream, which the member sends if it has
// nothing more to send.
func (w *watch) ask() error {
	return w.stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_ProgressRequest{
		ProgressRequest: &pb.WatchProgressRequest{},
	}})
}

// take returns the keys in a response, and notes the progress of the stream.
func (w *watch) take(resp *pb.WatchResponse) (keys []string, err error) {
	w.lastReply = time.Now()
	switch {
	case resp.CompactRevision != 0:
		return nil, store.ErrBehind
	case resp.Canceled:
		return nil, fmt.Errorf("the server ended it: %s", resp.CancelReason)
	case resp.Created:
		return nil, nil
	case len(resp.Events) == 0:
		w.delivered = max(w.delivered, resp.Header.Revision)
		return nil, nil
	}
	// The revision in the header is the store's, while more events of it may follow, those of
	// the last one's own revision among them.
	w.delivered = max(w.delivered, resp.Events[len(resp.Events)-1].Kv.ModRevision-1)
	for _, event := range resp.Events {
		key, err := w.s.keyOf(event.Kv.Key)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// catchUp reports whether everything up to the wanted position was delivered.
func (w *watch) catchUp() bool {
	if w.wanted.revision == 0 || w.delivered < w.wanted.revision {
		return false
	}
	w.seen, w.wanted = w.wanted.at, position{}
	return true
}
