package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"
)

const (
	whoamiEvery = 5 * time.Millisecond
	warmUp      = 100              // requests before anything is measured
	patience    = 20 * time.Second // with one request
	stranger    = 40000            // the first network that nobody else sends from, see direct
)

// errEnough ends a measure that has nothing left to do.
var errEnough = errors.New("enough")

// An extra is what one attack is measured by besides. No request of it may fail.
type extra struct {
	name  string
	every time.Duration
	// do is the i-th time of a phase, 0 for idle and 1 for the attack.
	do func(ctx context.Context, base string, s *scene, phase, i int) error
}

// A measure has the times that something took.
type measure struct {
	mu     sync.Mutex
	took   []time.Duration // guarded by mu
	failed []error         // guarded by mu
}

func (m *measure) time(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	begin := time.Now()
	err := f(ctx)
	took := time.Since(begin)
	if errors.Is(err, errEnough) {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.took = append(m.took, took)
	if err != nil {
		m.failed = append(m.failed, err)
	}
	return nil
}

// A stat is a measure in numbers. Times are in milliseconds.
type stat struct {
	N      int
	P50    float64
	P99    float64 // of fewer than a hundred the longest
	Failed int
	Error  string `json:",omitempty"` // the first
}

func (m *measure) stat() stat {
	slices.Sort(m.took)
	at := func(percent int) float64 {
		if len(m.took) == 0 {
			return 0
		}
		return float64(m.took[(len(m.took)*percent+99)/100-1].Microseconds()) / 1000
	}
	s := stat{N: len(m.took), P50: at(50), P99: at(99), Failed: len(m.failed)}
	if s.Failed > 0 {
		s.Error = m.failed[0].Error()
	}
	return s
}

// Phases of a measurement.
const (
	idle = iota
	attacked
)

// observe measures for that long what people notice.
func (s *scene) observe(ctx context.Context, base string, a attack, phase int, length time.Duration) map[string]stat {
	var all sync.WaitGroup
	measures := map[string]*measure{whoami: {}, ownerIn: {}, otherIn: {}}
	until := time.Now().Add(length)
	// each calls f again and again; one that takes long delays the next only where they are in sequence.
	each := func(what string, every time.Duration, sequence bool, f func(ctx context.Context, i int) error) {
		m := measures[what]
		all.Go(func() {
			tick := time.NewTicker(every)
			defer tick.Stop()
			for i := 0; time.Now().Before(until) && ctx.Err() == nil; i++ {
				once := func() error { return m.time(ctx, func(ctx context.Context) error { return f(ctx, i) }) }
				if !sequence {
					all.Go(func() { _ = once() })
				} else if once() != nil {
					return
				}
				<-tick.C
			}
		})
	}
	each(whoami, whoamiEvery, true, func(ctx context.Context, _ int) error {
		return call{from: home, method: http.MethodGet, path: "-/whoami", bearer: s.Session}.must(ctx, base, nil)
	})
	each(ownerIn, ownersEvery, false, func(ctx context.Context, i int) error {
		name := owner(phase*s.Owners/2 + i%(s.Owners/2))
		session, err := signIn(ctx, base, home, name, password, "")
		if err != nil {
			return err
		}
		return profile(home, session, map[string]any{"password": map[string]string{"old": password, "new": newPassword}}).must(ctx, base, nil)
	})
	each(otherIn, othersEvery, false, func(ctx context.Context, i int) error {
		n := phase*s.Others/2 + i%(s.Others/2)
		_, err := signIn(ctx, base, direct(stranger+n, 0), other(n), password, "")
		return err
	})
	if a.also != nil {
		measures[a.also.name] = &measure{}
		each(a.also.name, a.also.every, true, func(ctx context.Context, i int) error { return a.also.do(ctx, base, s, phase, i) })
	}
	all.Wait()
	stats := map[string]stat{}
	for what, m := range measures {
		stats[what] = m.stat()
	}
	return stats
}

// measure starts a registry and attacks it.
func (s *scene) measure(ctx context.Context, a attack, length time.Duration) (r result, err error) {
	p, err := s.open(ctx, filepath.Join(filepath.Dir(s.dir), a.name))
	if err != nil {
		return result{}, err
	}
	defer func() { err = errors.Join(err, p.end(os.Kill)) }() // it may have many requests under way
	if a.prepare != nil {
		if err := a.prepare(ctx, p.url, s); err != nil {
			return result{}, fmt.Errorf("prepare: %w", err)
		}
	}
	for range warmUp {
		if err := (call{from: home, method: http.MethodGet, path: "-/whoami", bearer: s.Session}).must(ctx, p.url, nil); err != nil {
			return result{}, err
		}
	}
	r = result{Attack: a.name, About: a.about, Load: load(), also: a.also}
	if r.Idle, err = p.phase(func() map[string]stat { return s.observe(ctx, p.url, a, idle, length) }); err != nil {
		return result{}, err
	}
	stop, err := launch(ctx, a, p.url, s)
	if err != nil {
		return result{}, err
	}
	if r.Attacked, err = p.phase(func() map[string]stat { return s.observe(ctx, p.url, a, attacked, length) }); err != nil {
		return result{}, errors.Join(err, stop(&r.Answers))
	}
	if err := stop(&r.Answers); err != nil {
		return result{}, err
	}
	if err := ctx.Err(); err != nil {
		return result{}, err
	}
	r.judge(a)
	return r, nil
}

// load is how many programs of this machine want a processor, by the kernel's average of a minute.
func load() (n float64) {
	text, _ := os.ReadFile("/proc/loadavg")
	_, _ = fmt.Sscan(string(text), &n) // 0 where it is not told
	return n
}

// phase is what f observes, with the peak of the registry's memory and the time of processors
// meanwhile.
func (p *process) phase(f func() map[string]stat) (o observed, err error) {
	if err := p.resetPeak(); err != nil {
		return observed{}, err
	}
	began, theirs, ours := time.Now(), p.processor(), processor()
	o.Stats = f()
	o.Took, o.Registry, o.Attackers = time.Since(began), p.processor()-theirs, processor()-ours
	o.Peak, err = p.peak()
	return o, err
}

// processor returns how long this process, which has the attackers and those who are measured, has
// used processors.
func processor() time.Duration {
	var used syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &used) != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
