package audit

import (
	"context"
	"maps"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/npmauth/npmauth/protocol"
)

// Refusals that are alike, see [Recorder.Record].
const (
	floodAfter  = 10          // of a kind in a window are told as they are
	floodWindow = time.Minute // the others in one event
	maxFloods   = 1024        // kinds; beyond them those of all accounts are one
)

// A flood is refusals of one kind: whoever sends them sends many.
type flood struct {
	begun time.Time
	told  int
	more  Event // the first that was not told on its own, of which there are count
	count int
}

// kind is what refusals have in common that are told in one event.
type kind struct {
	typ     Type
	outcome Outcome
	user    protocol.UserID
	action  protocol.Action
	reason  string
}

// floods counts refusals. It is safe for concurrent use.
type floods struct {
	mu  sync.Mutex
	all map[kind]*flood // guarded by mu
}

// take reports whether e is counted, to be told later.
func (f *floods) take(e Event, now time.Time) bool {
	if !isRefusal(e) {
		return false
	}
	k := kind{e.Type, e.Outcome, e.User, e.Action, e.Reason()}
	f.mu.Lock()
	defer f.mu.Unlock()
	of := f.all[k]
	if of == nil && len(f.all) >= maxFloods {
		k.user = "" // what is left are words of npmauth's, of which there are few
		of = f.all[k]
	}
	if of == nil {
		if f.all == nil {
			f.all = map[kind]*flood{}
		}
		of = &flood{begun: now}
		f.all[k] = of
	}
	if of.told < floodAfter {
		of.told++
		return false
	}
	if of.count++; of.count == 1 {
		of.more = clone(e)
		return true
	}
	// What they do not have in common is not said.
	m := &of.more
	if m.Addr != e.Addr {
		m.Addr = netip.Addr{}
	}
	if m.User != e.User {
		m.User = ""
	}
	if m.By != e.By {
		m.By = ""
	}
	if m.Credential != e.Credential {
		m.Credential = ""
	}
	if m.ByCredential != e.ByCredential {
		m.ByCredential = ""
	}
	if m.Package != e.Package {
		m.Package = protocol.PackageName{}
	}
	m.Change = nil
	maps.DeleteFunc(m.Detail, func(key, value string) bool { return e.Detail[key] != value })
	return true
}

// over returns the events of the windows that are over, or of all.
func (f *floods) over(now time.Time, all bool) (events []Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for k, of := range f.all {
		if passed := now.Sub(of.begun); !all && 0 <= passed && passed < floodWindow {
			continue
		}
		delete(f.all, k)
		if of.count == 0 {
			continue
		}
		e := of.more
		if of.count > 1 {
			if e.Detail == nil {
				e.Detail = map[string]string{}
			}
			e.Detail["count"], e.Detail["since"] = strconv.Itoa(of.count), e.Time.UTC().Format(time.RFC3339)
			e.Time = now
		}
		events = append(events, e)
	}
	return events
}

// Flush tells of the refusals that [Recorder.Record] has counted, of every minute that is over, and
// with all of the present one, too. A program calls it each minute, and with all before it ends;
// without that they are told with the next event after their minute.
func (r *Recorder) Flush(ctx context.Context, all bool) {
	if r == nil {
		return
	}
	for _, e := range r.floods.over(r.now(), all) {
		r.give(ctx, e)
	}
}
