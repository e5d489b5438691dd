package integration

import (
	"bytes"
	"context"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/npmauth/npmauth/store"
)

// A table is how one table's records are kept, told apart from the code that keeps
// them, so that the two cannot be wrong in the same way. A table that is not among
// tables is one that [Check] knows nothing of, and a problem.
type table struct {
	schema  int                                        // of each record and row; 0 means 1
	id      func(rec) string                           // what the key is made of
	unique  map[string]func(rec) string                // by the name of the index
	index   map[string]func(rec) string                // ditto
	listing map[string]func(rec) (group, order string) // ditto: the row is a copy of the record
	also    func(c *checker, id string, r rec)         // what else is to be said of a record
}

// A rec is the JSON of a record, with numbers as they stand there.
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
	"access":           {id: field("id")},
	"audit":            {id: field("id"), index: map[string]func(rec) string{"user": func(r rec) string { return field("User")(inner(r, "event")) }}},
	"subject":          {id: field("id"), also: (*checker).subject},
	"epoch":            {id: field("id")},
	"user":             {id: field("id"), unique: indexes("name"), also: (*checker).user},
	"password":         {id: field("id"), also: (*checker).password},
	"password-guesses": {id: field("id")},
	"password-place":   {id: field("id")},
	"password-own":     {id: field("id")},
	"password-imports": {id: field("id")},
	"session":          {schema: 2, id: field("digest"), unique: indexes("id"), index: indexes("user")},
	"login": {schema: 2, id: field("digest"), index: map[string]func(rec) string{"salted": func(r rec) string {
		if field("salt")(r) == "" {
			return ""
		}
		return "yes"
	}}},
	"revoked":             {id: field("digest")},
	"token":               {schema: 2, id: half, listing: map[string]func(rec) (string, string){"list": newest}},
	"token-count":         {schema: 2, id: field("user")},
	"token-expiring":      {id: field("id"), also: (*checker).warning},
	"scope":               {id: field("scope")},
	"trust":               {id: field("package")},
	"trust-pending":       {id: field("name")},
	"trust-pending-user":  {id: field("user")},
	"trust-scope":         {id: field("scope")},
	"trust-token":         {id: half},
	"trust-used":          {id: field("id")},
	"legacy-use":          {id: field("user"), also: (*checker).legacyUse},
	"twofactor":           {id: field("user"), also: (*checker).factor},
	"twofactor-enrolment": {id: field("user")},
	"twofactor-failures":  {id: field("user")},
	"twofactor-tries":     {id: field("id")},
	"twofactor-grant":     {id: field("id")},
	"twofactor-asked":     {id: field("id")},
	"webauthn-key":        {id: field("id")},
	"webauthn-user":       {id: field("user")},
	"webauthn-spent":      {id: field("id")},
	"twofactor-challenge": {id: field("id"), unique: indexes("poll", "typed", "proof"), also: (*checker).challenge},
}

// half is the ID of a token: the first half of its digest in base32.
func half(r rec) string {
	digest, err := hex.DecodeString(field("digest")(r))
	if err != nil || len(digest) != 32 {
		return ""
	}
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(digest[:16]))
}

// newest is where a token is listed: with those of its user that were made under the same
// numbers, the newest first.
func newest(r rec) (group, order string) {
	return field("user")(r) + "." + numbersOf(r), fmt.Sprintf("%016x", math.MaxInt64-micros(r["created"]))
}

// numbersOf are the revocation numbers of a token, as its record has them.
func numbersOf(r rec) string {
	if text := field("numbers")(r); text != "" {
		return text
	}
	return "0.0.0"
}

// micros is a time as a record has it that has microseconds, 0 if that is none.
func micros(v any) int64 {
	n, _ := v.(json.Number)
	i, _ := n.Int64()
	return i
}

// inner is a record in a record.
func inner(r rec, name string) rec {
	m, _ := r[name].(map[string]any)
	return m
}

// plain are the keys that no table has, by their beginning, and what is wrong with
// a value.
var plain = map[string]func(value string) bool{
	"npmauth":    func(v string) bool { return v != "npmauth" },
	"serverkey":  func(v string) bool { return len(v) != 1+32 },
	"token-used": func(v string) bool { return strings.Trim(v, "0123456789") != "" || v == "" },
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
	c := &checker{records: make(map[string]map[string]rec), rows: make(map[string]string), values: make(map[string]string)}
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
	rows     map[string]string         // rows of indexes and listings that no record was found for yet, with their values
	values   map[string]string         // of records that are listed, by key
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
	d := json.NewDecoder(bytes.NewReader([]byte(value)))
	d.UseNumber() // a float64 has not the digits of a revocation number
	if err := d.Decode(&envelope); err != nil || envelope.V != max(1, tables[name].schema) || envelope.D == nil {
		c.problem("%s: not a record", key)
		return
	}
	if c.records[name] == nil {
		c.records[name] = make(map[string]rec)
	}
	c.records[name][rest] = envelope.D
	if tables[name].listing != nil {
		c.values[name+"/"+rest] = value
	}
}

// record compares a record with its key and its rows, which it takes off the list.
func (c *checker) record(name, key string, r rec) {
	t := tables[name]
	id := t.id(r)
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
			c.problem("%s: is the row of %q and not of %q", at, got, want)
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
	for listing, of := range t.listing {
		group, order := of(r)
		row(listing, group, "/"+escaped(order)+"/"+escaped(id), c.values[name+"/"+key])
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

// warning: a token of whose end was told is there, or was revoked.
func (c *checker) warning(id string, r rec) {
	if t := c.records["token"][escaped(id)]; t != nil && field("expires")(r) == "" {
		c.problem("token-expiring/%s: never ends", id)
	}
}

// legacyUse: as many clients as are kept of an account, and one at least.
func (c *checker) legacyUse(id string, r rec) {
	if clients, _ := r["clients"].([]any); len(clients) < 1 || len(clients) > 8 {
		c.problem("legacy-use/%s: has %d clients", id, len(clients))
	}
}

// present returns the revocation numbers under which tokens of a user live, as a record
// of a token has them: that of everybody, that of the user and that of the user's tokens.
func (c *checker) present(user string) string {
	of := inner(c.records["subject"][escaped(user)], "numbers")
	return numbers(c.records["epoch"]["everyone"]["number"], of["all"], of["tokens"])
}

// numbers writes three numbers as a record of a token has them. One that is missing is 0.
func numbers(three ...any) string {
	var texts []string
	for _, v := range three {
		n, _ := v.(json.Number)
		u, _ := strconv.ParseUint(n.String(), 10, 64)
		texts = append(texts, strconv.FormatUint(u, 36))
	}
	return strings.Join(texts, ".")
}

// counts compares when tokens end with when they are counted to end. Those that are
// over or revoked need not be counted, nor deleted yet: a count under other numbers than
// the present ones is of such.
func (c *checker) counts() {
	now := time.Now().UnixMicro()
	real := make(map[string][]int64) // by user
	for key, r := range c.records["token"] {
		ends, user := micros(r["expires"]), field("user")(r)
		if ends == 0 || user == "" || micros(r["created"]) == 0 {
			c.problem("token/%s: lacks its user or times", key)
		}
		if ends > now && numbersOf(r) == c.present(user) {
			real[user] = append(real[user], ends)
		}
	}
	for key, r := range c.records["token-count"] {
		var counted []int64
		user := field("user")(r)
		of := inner(r, "numbers")
		if ends, _ := r["ends"].([]any); numbers(of["everyone"], of["all"], of["kind"]) == c.present(user) {
			for _, end := range ends {
				if micros(end) > now {
					counted = append(counted, micros(end))
				}
			}
		}
		slices.Sort(counted)
		slices.Sort(real[user])
		if !slices.Equal(counted, real[user]) {
			c.problem("token-count/%s: counts %d tokens where there are %d, or others", key, len(counted), len(real[user]))
		}
		delete(real, user)
	}
	for user, tokens := range real {
		c.problem("token-count/%s: is missing where there are %d tokens", escaped(user), len(tokens))
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
