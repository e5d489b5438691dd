package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/npmauth/npmauth/store"
)

// A table is how one table's records are kept, told apart from the code that keeps
// them, so that the two cannot be wrong in the same way. A table that is not among
// tables is one that [Check] knows nothing of, and a problem.
type table struct {
	id     string                             // the field that is the key
	unique map[string]func(rec) string        // by the name of the index
	index  map[string]func(rec) string        // ditto
	also   func(c *checker, id string, r rec) // what else is to be said of a record
}

// A rec is the JSON of a record.
type rec map[string]any

func field(name string) func(rec) string {
	return func(r rec) string {
		s, _ := r[name].(string)
		if s == strings.Repeat("0", 64) { // the digest of nothing
			return ""
		}
		return s
	}
}

var tables = map[string]table{
	"access":   {id: "id"},
	"subject":  {id: "id", also: (*checker).subject},
	"epoch":    {id: "id"},
	"user":     {id: "id", unique: indexes("name"), also: (*checker).user},
	"password": {id: "id", also: (*checker).password},
	"session":  {id: "digest", unique: indexes("id"), index: indexes("user")},
	"login": {id: "digest", index: map[string]func(rec) string{"salted": func(r rec) string {
		if field("salt")(r) == "" {
			return ""
		}
		return "yes"
	}}},
	"token":               {id: "digest", unique: indexes("id"), index: indexes("user")},
	"token-count":         {id: "user"},
	"token-expiring":      {id: "id"},
	"twofactor":           {id: "user", also: (*checker).factor},
	"twofactor-enrolment": {id: "user"},
	"twofactor-failures":  {id: "user"},
	"twofactor-tries":     {id: "id"},
	"twofactor-grant":     {id: "id"},
	"twofactor-asked":     {id: "id"},
	"twofactor-challenge": {id: "id", unique: indexes("poll", "typed", "proof"), also: (*checker).challenge},
}

// plain are the keys that no table has, by their beginning, and what is wrong with
// a value.
var plain = map[string]func(value string) bool{
	"serverkey":  func(v string) bool { return len(v) != 1+32 },
	"token-used": func(v string) bool { return strings.Trim(v, "0123456789") != "" || v == "" },
	"registry":   func(v string) bool { return v != "" },
}

func indexes(names ...string) map[string]func(rec) string {
	m := make(map[string]func(rec) string)
	for _, name := range names {
		m[name] = field(name)
	}
	return m
}

// Check reads everything that a store holds, which nobody alive may write meanwhile,
// and returns what is wrong with it: a record that cannot be read, one that lacks an
// index row or a row without a record, a counter that counts something else, one
// half of what only comes in pairs.
func Check(ctx context.Context, s store.Store) ([]string, error) {
	items, err := settled(ctx, s)
	if err != nil {
		return nil, err
	}
	c := &checker{records: make(map[string]map[string]rec), rows: make(map[string]string)}
	for _, it := range items {
		c.sort(it.Key, string(it.Value))
	}
	for _, name := range slices.Sorted(maps.Keys(c.records)) {
		for _, id := range slices.Sorted(maps.Keys(c.records[name])) {
			c.record(name, id, c.records[name][id])
		}
	}
	for _, key := range slices.Sorted(maps.Keys(c.rows)) {
		c.problem("%s: no record has this row", key)
	}
	c.counts()
	return c.problems, nil
}

// settled reads everything until it finds the same twice in a row. A server may still
// carry out the last commit of a client that was killed, and what it writes between two
// pages would look like half of it.
func settled(ctx context.Context, s store.Store) ([]store.Item, error) {
	var before []store.Item
	for {
		now, err := everything(ctx, s)
		if err != nil {
			return nil, err
		}
		if before != nil && slices.EqualFunc(before, now, func(a, b store.Item) bool {
			return a.Key == b.Key && a.Revision == b.Revision
		}) {
			return now, nil
		}
		before = now
	}
}

func everything(ctx context.Context, s store.Store) ([]store.Item, error) {
	all := []store.Item{}
	for after := ""; ; {
		items, err := s.List(ctx, "", after, store.MaxLimit)
		if err != nil {
			return nil, err
		}
		all = append(all, items...)
		if len(items) < store.MaxLimit {
			return all, nil
		}
		after = items[len(items)-1].Key
	}
}

type checker struct {
	records  map[string]map[string]rec // by table and id
	rows     map[string]string         // index rows that no record was found for yet, with their values
	problems []string
}

func (c *checker) problem(format string, args ...any) {
	c.problems = append(c.problems, fmt.Sprintf(format, args...))
}

// sort puts an item with those of its kind.
func (c *checker) sort(key, value string) {
	head, rest, _ := strings.Cut(key, "/")
	name, _, isRow := strings.Cut(head, ".")
	if bad, ok := plain[head]; ok {
		if bad(value) {
			c.problem("%s: not the value of such a key", key)
		}
		return
	}
	if _, ok := tables[name]; !ok {
		c.problem("%s: of no table that is known", key)
		return
	}
	if isRow {
		c.rows[key] = value
		return
	}
	var envelope struct {
		V int
		D rec
	}
	if err := json.Unmarshal([]byte(value), &envelope); err != nil || envelope.V != 1 || envelope.D == nil {
		c.problem("%s: not a record", key)
		return
	}
	if c.records[name] == nil {
		c.records[name] = make(map[string]rec)
	}
	c.records[name][rest] = envelope.D
}

// record compares a record with its key and its rows, which it takes off the list.
func (c *checker) record(name, key string, r rec) {
	t := tables[name]
	id := field(t.id)(r)
	if id == "" || escaped(id) != key {
		c.problem("%s/%s: the record of %q", name, key, id)
	}
	row := func(index, value, suffix, want string) {
		at := name + "." + index + "/" + escaped(value) + suffix
		got, ok := c.rows[at]
		switch {
		case !ok:
			c.problem("%s/%s: lacks its row %s", name, key, at)
		case got != want:
			c.problem("%s: is the row of %q", at, got)
		}
		delete(c.rows, at)
	}
	for index, of := range t.unique {
		if value := of(r); value != "" {
			row(index, value, "", id)
		}
	}
	for index, of := range t.index {
		if value := of(r); value != "" {
			row(index, value, "/"+escaped(id), "")
		}
	}
	if t.also != nil {
		t.also(c, id, r)
	}
}

func (c *checker) user(id string, r rec) {
	if service, _ := r["service"].(bool); service == (c.records["password"][escaped(id)] != nil) {
		c.problem("user/%s: has no password row, or is a service account that has one", id)
	}
}

func (c *checker) password(id string, _ rec) {
	if c.records["user"][escaped(id)] == nil {
		c.problem("password/%s: has no user", id)
	}
}

// subject and factor: who is asked for a second factor has one, and the other way
// round.
func (c *checker) subject(id string, r rec) {
	if mode := field("tfa")(r); (mode != "") != (c.records["twofactor"][escaped(id)] != nil) {
		c.problem("subject/%s: mode %q and another factor", id, mode)
	}
}

func (c *checker) factor(id string, _ rec) {
	if field("tfa")(c.records["subject"][escaped(id)]) == "" {
		c.problem("twofactor/%s: nobody asks for it", id)
	}
}

// challenge: one that waits is counted.
func (c *checker) challenge(id string, r rec) {
	if r["state"] != "waiting" {
		return
	}
	for _, asked := range c.records["twofactor-asked"] {
		if pages, _ := asked["pages"].([]any); slices.Contains(pages, any(id)) {
			return
		}
	}
	c.problem("twofactor-challenge/%s: waits and is not counted", id)
}

// counts compares when tokens end with when they are counted to end. Those that are
// over need not be counted, nor deleted yet.
func (c *checker) counts() {
	now := time.Now().UnixMicro()
	real := make(map[string][]int64)
	for key, r := range c.records["token"] {
		ends, err := time.Parse(time.RFC3339Nano, field("expires")(r))
		if err != nil {
			c.problem("token/%s: %v", key, err)
		}
		if user := escaped(field("user")(r)); ends.UnixMicro() > now {
			real[user] = append(real[user], ends.UnixMicro())
		}
	}
	for user, r := range c.records["token-count"] {
		var counted []int64
		ends, _ := r["ends"].([]any)
		for _, end := range ends {
			if end, _ := end.(float64); int64(end) > now { // microseconds fit a float64
				counted = append(counted, int64(end))
			}
		}
		slices.Sort(counted)
		slices.Sort(real[user])
		if !slices.Equal(counted, real[user]) {
			c.problem("token-count/%s: counts %d tokens where there are %d, or others", user, len(counted), len(real[user]))
		}
		delete(real, user)
	}
	for user, tokens := range real {
		c.problem("token-count/%s: is missing where there are %d tokens", user, len(tokens))
	}
}

// escaped returns how text stands in a key.
func escaped(text string) string {
	var b strings.Builder
	for i := range len(text) {
		if c := text[i]; c > ' ' && c < 0x7f && c != '/' && c != '%' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
