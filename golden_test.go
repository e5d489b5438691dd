package npmauth_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/protocol"
)

var update = flag.Bool("update", false, "rewrite the files below testdata/golden")

const goldenDir = "testdata/golden"

// TestGolden compares every answer and every event of what people do, of what must be
// refused and of every writing action with what they were, byte for byte: whoever moves code
// must not change them, and who means to sees in the difference what a client or an alarm
// will notice. To accept it:
//
//	go test . -run TestGolden -update
func TestGolden(t *testing.T) {
	known := map[string]bool{}
	compare := func(t *testing.T, kind, name, got string) {
		t.Helper()
		file := filepath.Join(goldenDir, kind, strings.ReplaceAll(name, " ", "-")+".golden")
		if *update {
			require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
			require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
			return
		}
		want, err := os.ReadFile(file)
		require.NoError(t, err, "a new one is written with -update")
		assert.Equal(t, string(want), got, "%s", file)
	}
	entry := func(kind, name string, run func(t *testing.T) string) {
		require.Regexp(t, `^[a-zA-Z0-9 -]+$`, name)
		known[filepath.Join(goldenDir, kind, strings.ReplaceAll(name, " ", "-")+".golden")] = true
		t.Run(kind+"/"+name, func(t *testing.T) { compare(t, kind, name, run(t)) })
	}

	aliceOnly := func(t *testing.T) *world {
		return newWorld(t, func(cfg *npmauth.Config) { cfg.Users, cfg.Fresh = aliceAlone{}, -1 })
	}
	for _, u := range undertakings {
		entry("undertaking", u.name, func(t *testing.T) string {
			w := aliceOnly(t)
			prepared := u.prepare(w)
			rec := w.record()
			got := u.do(w, prepared)
			text := rec.end()
			require.True(t, got != "" && u.done(w, prepared, got), text)
			return text
		})
	}
	for _, u := range trespasses {
		entry("trespass", u.name, func(t *testing.T) string {
			w := aliceOnly(t)
			c := u.prepare(w)
			rec := w.record()
			a := w.do(c)
			require.GreaterOrEqual(t, a.Code, 400)
			return rec.end()
		})
	}
	for _, u := range writings {
		entry("writing", u.name, func(t *testing.T) string {
			w := u.world(t)
			p := u.prepare(w)
			rec := w.record()
			w.do(p.call)
			how := "allowed"
			if u.refused != "" {
				how = u.refused
			}
			text := "=== " + how + "\n" + rec.end()
			if !u.open {
				text += goldenRefusal(t, u, "without a credential", prepared.anonymous)
			}
			if p.call.otp != "" {
				text += goldenRefusal(t, u, "without the second factor", prepared.withoutCode)
			}
			return text
		})
	}

	err := filepath.WalkDir(goldenDir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && !known[path] {
			if *update {
				return os.Remove(path)
			}
			t.Errorf("%s is of nothing that there is", path)
		}
		return err
	})
	require.NoError(t, err)
}

// goldenRefusal records a request of u that must be refused and change nothing.
func goldenRefusal(t *testing.T, u writing, how string, of func(prepared) call) string {
	t.Helper()
	w := u.world(t)
	p := u.prepare(w)
	before := dump(t, w.store)
	rec := w.record()
	a := w.do(of(p))
	text := "=== " + how + "\n" + rec.end()
	require.GreaterOrEqual(t, a.Code, 400, text)
	require.Empty(t, changes(before, dump(t, w.store)), text)
	require.False(t, p.done() || w.hostWrote(), text)
	return text
}

// A recording is what is heard of a world: its requests, their answers, and the events.
type recording struct {
	w            *world
	text         strings.Builder
	start        time.Time
	reads, wrote int // how much the host had to do before
}

// record begins a recording, which goes on until its end.
func (w *world) record() *recording {
	rec := &recording{w: w, start: w.clock.Now(), reads: len(w.host.reads), wrote: len(w.host.written())}
	w.events.tell = rec.event
	handler := w.handler
	w.handler = http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		rec.request(r)
		inner := httptest.NewRecorder()
		handler.ServeHTTP(inner, r)
		res := inner.Result() // with the headers as they were when the answer began
		maps.Copy(out.Header(), res.Header)
		out.WriteHeader(res.StatusCode)
		out.Write(inner.Body.Bytes())
		rec.answer(res, inner.Body.String())
	})
	return rec
}

func (rec *recording) request(r *http.Request) {
	fmt.Fprintf(&rec.text, "> %s %s\n", r.Method, r.URL.RequestURI())
	for _, name := range []string{"Authorization", "Npm-Otp", "Cookie"} {
		value := r.Header.Get(name)
		if typedCode.MatchString(value) {
			value = "<code>"
		}
		if value != "" {
			fmt.Fprintf(&rec.text, "> %s: %s\n", name, value)
		}
	}
}

var typedCode = regexp.MustCompile(`^[0-9]{6}$`)

func (rec *recording) answer(res *http.Response, body string) {
	fmt.Fprintf(&rec.text, "< %d\n", res.StatusCode)
	for _, name := range slices.Sorted(maps.Keys(res.Header)) {
		for _, value := range res.Header[name] {
			fmt.Fprintf(&rec.text, "< %s: %s\n", name, value)
		}
	}
	for line := range strings.Lines(body) {
		rec.text.WriteString("| " + strings.TrimSuffix(line, "\n") + "\n")
	}
}

// event writes the fields of e down that say something, whichever there are.
func (rec *recording) event(e audit.Event) {
	rec.text.WriteString("! event\n")
	v := reflect.ValueOf(e)
	for i := range v.NumField() {
		name, f := v.Type().Field(i).Name, v.Field(i)
		if f.IsZero() && name != "Outcome" { // whose zero says that something was refused
			continue
		}
		var text string
		switch x := f.Interface().(type) {
		case time.Time:
			text = "at the start"
			if d := x.Sub(rec.start); d != 0 {
				text = d.String() + " after the start"
			}
		case map[string]string:
			for _, k := range slices.Sorted(maps.Keys(x)) {
				text += fmt.Sprintf(" %s=%q", k, x[k])
			}
			text = strings.TrimSpace(text)
		case *protocol.Change:
			text = string(mustJSON(x))
		default:
			text = fmt.Sprint(x)
		}
		fmt.Fprintf(&rec.text, "!   %s: %s\n", name, text)
	}
}

// end returns what was heard, with a stable word in place of what is random.
func (rec *recording) end() string {
	rec.w.events.tell = nil
	for _, r := range rec.w.host.reads[rec.reads:] {
		rec.text.WriteString("host reads: " + r + "\n")
	}
	for _, wrote := range rec.w.host.written()[rec.wrote:] {
		rec.text.WriteString("host writes: " + wrote + "\n")
	}
	text := rec.text.String()
	for name, secret := range rec.w.secrets {
		text = strings.ReplaceAll(text, secret, "<authenticator of "+name+">")
	}
	for name, id := range rec.w.ids {
		if string(id) != name {
			text = strings.ReplaceAll(text, string(id), "<user "+name+">")
		}
	}
	return replaceRandom(text)
}

// random finds what is drawn at random or made of what is. The name of the group is what
// it is called.
var random = regexp.MustCompile(strings.Join([]string{
	`(?P<secret>npm[a-z]?_[0-9A-Za-z]{30,})`,
	`(?P<hint>npm_[0-9A-Za-z]{4}\b)`,
	`(?P<key>[0-9a-f]{64})`,
	`\b(?P<id>[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[a-z2-7]{26})\b`,
	`(?P<page>[0-9A-Za-z_-]{43,})`,
	`\b(?P<text>[A-Z2-7]{26,42})\b`,
	`\b(?P<check>[0-9A-Z]{4}-[0-9A-Z]{4})\b`,
}, "|"))

// replaceRandom gives every random value a number, the same wherever it stands.
func replaceRandom(text string) string {
	count, words := map[string]int{}, map[string]string{}
	return random.ReplaceAllStringFunc(text, func(value string) string {
		if words[value] == "" {
			groups := random.FindStringSubmatch(value)
			for i, name := range random.SubexpNames() {
				if i > 0 && groups != nil && groups[i] != "" {
					count[name]++
					words[value] = fmt.Sprintf("<%s-%d>", name, count[name])
				}
			}
		}
		return words[value]
	})
}

// mustJSON is v as JSON; what has none is a fault of the test.
func mustJSON(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}
