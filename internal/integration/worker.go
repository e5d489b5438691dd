package integration

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// workerVariable makes a process of the test binary a worker.
const workerVariable = "NPMAUTH_INTEGRATION_WORKER"

// A Worker is a process of its own that works on a store with a [Library], as it is
// told on its standard input, line by line. It is the test binary run once more.
type Worker struct {
	t       testing.TB
	cmd     *exec.Cmd
	in      *json.Encoder
	out     *bufio.Reader
	deeds   chan []Deed // of what it is at
	unknown atomic.Int64
}

// An order is a line to a worker.
type order struct {
	Open string // the store, as -store names it

	Fire    []Shot
	Times   int   // how many try each shot
	At      int64 // when, in nanoseconds since 1970
	Persist bool  // who does not know what came of it tries again

	Churn string // live lives of users with such names,
	Width int    // so many at a time,
	Stop  bool   // until this
}

// A Volley is what came of shots in one process.
type Volley struct {
	Won    []int    // of each
	Errors []string // of those of which nobody can tell
}

// StartWorker starts a process, which opens no store yet: it is there when it is
// needed, since starting takes longer than most of what it is for.
func StartWorker(t testing.TB) *Worker {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), workerVariable+"=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	// A pipe of our own: what was written before a kill is read after it.
	read, write, err := os.Pipe()
	require.NoError(t, err)
	cmd.Stdout = write
	require.NoError(t, cmd.Start())
	write.Close()
	w := &Worker{t: t, cmd: cmd, in: json.NewEncoder(in), out: bufio.NewReaderSize(read, 1<<20)}
	t.Cleanup(func() {
		w.Kill()
		read.Close()
	})
	return w
}

// Open lets the worker open a store, and waits until it has.
func (w *Worker) Open(at string) {
	w.t.Helper()
	w.tell(order{Open: at})
	var opened bool
	w.answer(&opened)
	require.True(w.t, opened)
}

func (w *Worker) tell(o order) {
	w.t.Helper()
	require.NoError(w.t, w.in.Encode(o))
}

func (w *Worker) answer(v any) {
	w.t.Helper()
	line, err := w.out.ReadBytes('\n')
	require.NoError(w.t, err, "the worker has ended")
	require.NoError(w.t, json.Unmarshal(line, v), "%s", line)
}

// Churn lets the worker live lives, width of them at a time, until it is killed or
// stopped, and waits until one deed is done. What it reports is to be had from Deeds.
func (w *Worker) Churn(name string, width int) {
	w.t.Helper()
	w.tell(order{Churn: name, Width: width})
	w.deeds = make(chan []Deed, 1)
	begun := make(chan struct{})
	begin := sync.OnceFunc(func() { close(begun) })
	go func() {
		defer begin()
		var all []Deed
		for {
			if n := len(all); n > 0 && all[n-1].Done {
				begin()
			}
			line, err := w.out.ReadBytes('\n')
			var d Deed
			if err != nil || json.Unmarshal(line, &d) != nil || d.Do == "" { // killed, or done
				w.deeds <- all
				return
			}
			all = append(all, d)
			if d.Unknown {
				w.unknown.Add(1)
			}
		}
	}()
	<-begun
}

// Unknown returns of how many deeds the worker has reported so far that nobody knows
// whether they are done.
func (w *Worker) Unknown() int { return int(w.unknown.Load()) }

// Stop ends what Churn began.
func (w *Worker) Stop() {
	w.t.Helper()
	w.tell(order{Stop: true})
}

// Deeds returns all that a worker which was killed or stopped has reported.
func (w *Worker) Deeds() []Deed { return <-w.deeds }

// Kill ends the worker as a power cut does, if it has not ended.
func (w *Worker) Kill() {
	if w.cmd.ProcessState == nil {
		_ = w.cmd.Process.Kill()
		_ = w.cmd.Wait()
	}
}

// Race lets times callers in each of the workers take each of the shots, all at the
// same moment.
func Race(t testing.TB, workers []*Worker, shots []Shot, times int) []Volley {
	t.Helper()
	return race(t, workers, shots, order{Times: times}, nil)
}

// Siege is Race while meanwhile happens, with callers that do as clients do when a
// request fails: they send it again.
func Siege(t testing.TB, workers []*Worker, shots []Shot, times int, meanwhile func()) []Volley {
	t.Helper()
	return race(t, workers, shots, order{Times: times, Persist: true}, meanwhile)
}

func race(t testing.TB, workers []*Worker, shots []Shot, o order, meanwhile func()) []Volley {
	t.Helper()
	o.At = time.Now().Add(2 * time.Millisecond).UnixNano()
	for i, w := range workers {
		o.Fire = slices.Clone(shots)
		for j, s := range shots {
			if i > 0 && s.Other != "" {
				o.Fire[j].Value = s.Other
			}
		}
		w.tell(o)
	}
	if meanwhile != nil {
		meanwhile()
	}
	volleys := make([]Volley, len(workers))
	for i, w := range workers {
		w.answer(&volleys[i])
	}
	return volleys
}

// IsWorker reports whether this process is one.
func IsWorker() bool { return os.Getenv(workerVariable) != "" }

// Work does what a worker is told, until there is nothing more to read.
func Work() error {
	ctx := context.Background()
	in := json.NewDecoder(os.Stdin)
	out := &reporter{w: os.Stdout}
	var lib *Library
	var stop func()
	for {
		var o order
		if err := in.Decode(&o); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		switch {
		case o.Open != "":
			var err error
			if lib, err = OpenLibrary(o.Open); err != nil {
				return err
			}
			out.report(true)
		case o.Fire != nil:
			out.report(lib.volley(ctx, o))
		case o.Churn != "":
			stop = lib.churns(ctx, o, out)
		case o.Stop:
			stop()
			out.report(Deed{})
		default:
			return fmt.Errorf("an order without a meaning")
		}
	}
}

// volley takes the shots of an order.
func (l *Library) volley(ctx context.Context, o order) Volley {
	won := make([]atomic.Int32, len(o.Fire))
	var mu sync.Mutex
	v := Volley{Won: make([]int, len(o.Fire))}
	var all sync.WaitGroup
	for range o.Times {
		for i, s := range o.Fire {
			all.Go(func() {
				time.Sleep(time.Until(time.Unix(0, o.At)))
				ok, err := l.Fire(ctx, s)
				for ; o.Persist && err != nil && time.Since(time.Unix(0, o.At)) < patience; ok, err = l.Fire(ctx, s) {
					time.Sleep(rand.N(20 * time.Millisecond))
				}
				if ok {
					won[i].Add(1)
				}
				if err != nil {
					mu.Lock()
					defer mu.Unlock()
					v.Errors = append(v.Errors, s.Kind+": "+err.Error())
				}
			})
		}
	}
	all.Wait()
	for i := range won {
		v.Won[i] = int(won[i].Load())
	}
	return v
}

// churns begins the churning of an order, and returns what ends it and waits.
func (l *Library) churns(ctx context.Context, o order, out *reporter) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	for i := range o.Width {
		all.Go(func() { l.churn(ctx, fmt.Sprintf("%s-%d", o.Churn, i), func(d Deed) { out.report(d) }) })
	}
	return func() { cancel(); all.Wait() }
}

// A reporter writes lines of JSON. Each is with the kernel when report returns, so
// that nothing of it is lost when the process is killed.
type reporter struct {
	mu sync.Mutex
	w  io.Writer // guarded by mu
}

func (r *reporter) report(v any) {
	line, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, err := r.w.Write(append(line, '\n')); err != nil {
		os.Exit(1) // nobody listens any more
	}
}
