package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// An attack is what many clients do at the same time, again and again.
type attack struct {
	name, about string
	workers     int
	rate        int // requests a second of all together; 0: as many as are answered
	// prepare runs before idle is measured. May be nil.
	prepare func(ctx context.Context, base string, s *scene) error
	// send does the i-th request, and returns how it was answered.
	send func(ctx context.Context, t *target, i int) (answer string, err error)
	// expect are the answers that an attacker may get, besides held.
	expect []string
	also   *extra // may be nil
}

// Answers that are no status.
const (
	held   = "held"   // not answered when the attack was over
	closed = "closed" // the connection was closed without an answer
)

var attacks = []attack{
	{name: "AU-20-owners", about: "passwords are guessed at the owners' accounts and at one with a second factor, from everywhere", workers: 64, rate: 300, send: guessOwners, expect: refusedLogin},
	{name: "AU-20-names", about: "passwords are guessed at names that nobody has, from everywhere", workers: 64, rate: 300, send: guessNames, expect: refusedLogin},
	{name: "AU-21-48", about: "120 connections of one IPv6 /48 fill the password queue", workers: 120, rate: 300, send: queueFrom(inSite), expect: refusedLogin},
	{name: "AU-21-24", about: "150 connections of one IPv4 /24 fill the password queue", workers: 150, rate: 300, send: queueFrom(inNetwork), expect: refusedLogin},
	{name: "AU-21-own", about: "150 connections of the owner's own /24 fill the password queue", workers: 150, rate: 300, send: queueFrom(atHome), expect: refusedLogin},
	{name: "AU-21-1000", about: "a thousand networks of IPv4, in 100 of /16, fill the password queue", workers: 200, rate: 300, send: queueFrom(thousand), expect: refusedLogin},
	{name: "AU-22", about: "garbage bearers, web logins that are denied and anonymous writes", workers: 64, rate: 400, send: flood, expect: refusedFlood},
	{name: "AU-24", about: "wrong codes by somebody who has the password", workers: 32, rate: 100, send: wrongCode, expect: refusedLogin, also: &recovers},
	{name: "AU-25", about: "bodies that are never finished: documents of up to 16 MiB, drips and reports of leaks", workers: 260, send: unfinished, expect: refusedBody},
	{name: "AU-26", about: "publishers send tarballs that take more work than bytes", workers: 8, send: bomb, expect: refusedTarball},
	{name: "AU-27", about: "anonymous readers of the largest documents that publishers can make", workers: 64, rate: 100, prepare: publishLargest, send: readLargest, expect: served, also: &searches},
}

func findAttack(name string) (attack, error) {
	for _, a := range attacks {
		if a.name == name {
			return a, nil
		}
	}
	return attack{}, fmt.Errorf("there is no attack %q", name)
}

// A target is what attackers are given.
type target struct {
	Attack string
	Base   string
	Scene  *scene
}

// attackerCommand is the argument of the process that attacks.
const attackerCommand = "attacker"

// launch starts the attackers. stop ends them and tells how they were answered.
func launch(ctx context.Context, a attack, base string, s *scene) (stop func(answers *map[string]int) error, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "nice", "-n", "19", self, attackerCommand)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	err = json.NewEncoder(in).Encode(target{a.name, base, s})
	return func(answers *map[string]int) error {
		closeErr := in.Close()
		readErr := json.NewDecoder(out).Decode(answers)
		return errors.Join(closeErr, readErr, cmd.Wait())
	}, err
}

// attackerMain is the process that attacks, until its standard input ends.
func attackerMain(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer) (code int) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	input := json.NewDecoder(stdin)
	var t target
	err := input.Decode(&t)
	var a attack
	if err == nil {
		a, err = findAttack(t.Attack)
	}
	if err != nil {
		fmt.Fprintln(stderr, "attacker:", err)
		return 2
	}
	go func() {
		_, _ = io.Copy(io.Discard, stdin)
		cancel()
	}()
	_ = json.NewEncoder(stdout).Encode(a.run(ctx, &t))
	return 0
}

// run attacks until ctx is done, but at least once, and counts the answers.
func (a attack) run(ctx context.Context, t *target) map[string]int {
	var (
		all     sync.WaitGroup
		n       atomic.Int64
		mu      sync.Mutex
		answers = map[string]int{} // guarded by mu
	)
	pace := make(<-chan time.Time)
	if a.rate > 0 {
		ticker := time.NewTicker(time.Second / time.Duration(a.rate))
		defer ticker.Stop()
		pace = ticker.C
	}
	for worker := range a.workers {
		all.Go(func() {
			for first := worker == 0; first || ctx.Err() == nil; first = false {
				if a.rate > 0 && !first {
					select {
					case <-pace:
					case <-ctx.Done():
						return
					}
				}
				answer, err := a.send(ctx, t, int(n.Add(1)-1))
				switch {
				case err != nil && ctx.Err() != nil:
					answer = held
				case err != nil:
					answer = err.Error()
				}
				mu.Lock()
				answers[answer]++
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return answers
}

// answered sends a request whose answer is of no interest but for its status.
func (c call) answered(ctx context.Context, t *target) (string, error) {
	status, _, err := c.send(ctx, t.Base)
	return strconv.Itoa(status), err
}
