package strictjson_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/fuzzbound"
	"github.com/npmauth/npmauth/internal/strictjson"
)

// scan returns what a Scanner reports when it is fed in pieces of size bytes, and
// how it ended.
func scan(data []byte, limits strictjson.Limits, size int) (events []string, err error) {
	s := strictjson.NewScanner(limits, func(e strictjson.Event) error {
		events = append(events, fmt.Sprintf("%v %d %q %v", e.Path, e.Kind, e.Text, e.Long))
		return nil
	})
	for piece := range chunks(data, size) {
		if _, err = s.Write(piece); err != nil {
			break
		}
	}
	if closed := s.Close(); err == nil {
		err = closed
	}
	return events, err
}

func chunks(data []byte, size int) func(func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for len(data) > 0 {
			n := min(size, len(data))
			if !yield(data[:n]) {
				return
			}
			data = data[n:]
		}
	}
}

func TestScannerEvents(t *testing.T) {
	events, err := scan([]byte(` {"a":[1,-2.5e+3,{"b":"x\n\u00e9"},[]],"":null,"t":true,"f":false} `), strictjson.Limits{}, 1)
	require.NoError(t, err)
	assert.Equal(t, []string{
		`[] 5 "" false`,
		`[{a -1}] 6 "" false`,
		`[{a -1} { 0}] 3 "1" false`,
		`[{a -1} { 1}] 3 "-2.5e+3" false`,
		`[{a -1} { 2}] 5 "" false`,
		`[{a -1} { 2} {b -1}] 4 "x\né" false`,
		`[{a -1} { 2}] 7 "" false`,
		`[{a -1} { 3}] 6 "" false`,
		`[{a -1} { 3}] 8 "" false`,
		`[{a -1}] 8 "" false`,
		`[{ -1}] 1 "" false`,
		`[{t -1}] 2 "true" false`,
		`[{f -1}] 2 "false" false`,
		`[] 7 "" false`,
	}, events)
}

func TestScannerLimits(t *testing.T) {
	limits := strictjson.Limits{Depth: 2, Text: 3, Key: 4, Keys: 3}
	for in, says := range map[string]string{
		`[[1]]`:                       "",
		`[[[`:                         "nested too deep at byte 2",
		`{"abcd":1}`:                  "",
		`{"abcde":1}`:                 "key too long at byte 7",
		`{"a":1,"b":2,"c":3}`:         "",
		`{"a":1,"b":2,"c":3,"d":4}`:   "too many keys at byte 21",
		`{"a":{"b":1,"c":1}}`:         "",
		`{"a":{"b":1,"c":1,"d":1}}`:   "too many keys at byte 20",
		`{"a":{"b":1,"c":1},"b":1}`:   "",
		`{"a":{"a":1},"b":{"a":1}}`:   "",
		`[{"a":1},{"a":1},{"a":1}]`:   "",
		`{"a":{"a":1},"a":{"a":1}}`:   "duplicate key at byte 15",
		`{"a":1,"A":1}`:               "",
		"{\"a\":1,\"\\u0041\":1}":     "",
		`{"a":1,"\u0061":1}`:          "duplicate key at byte 14",
		`["aaaa", 123, 1234, "aaaé"]`: "",
	} {
		for _, size := range []int{1, 2, 1000} {
			_, err := scan([]byte(in), limits, size)
			if says == "" {
				assert.NoError(t, err, in)
			} else {
				assert.ErrorContains(t, err, says, "%s in pieces of %d", in, size)
			}
		}
	}
	events, err := scan([]byte(`["aaa","aaaa","aaé",123,1234,-0.5e7]`), limits, 1)
	require.NoError(t, err)
	assert.Equal(t, []string{
		`[] 6 "" false`, `[{ 0}] 4 "aaa" false`, `[{ 1}] 4 "" true`, `[{ 2}] 4 "" true`, `[{ 3}] 3 "123" false`, `[{ 4}] 3 "" true`,
		`[{ 5}] 3 "" true`, `[] 8 "" false`,
	}, events, "what is too long is left out, not cut")
}

// The bounds of RFC 3629: one byte inside and one outside of each.
func TestScannerUTF8(t *testing.T) {
	for text, ok := range map[string]bool{
		"\x7f": true, "\xc2\x80": true, "\xc1\xbf": false, "\xdf\xbf": true, "\xdf\xc0": false, "\x80": false, "\xbf": false,
		"\xe0\xa0\x80": true, "\xe0\x9f\xbf": false, "\xe0\xa0\x7f": false, "\xed\x9f\x80": true, "\xed\x9f\xbf": true, "\xed\xa0\x80": false,
		"\xee\x80\x80": true, "\xef\xbf\xbf": true, "\xf0\x90\x80\x80": true, "\xf0\x8f\xbf\xbf": false, "\xf4\x8f\xbf\xbf": true,
		"\xf4\x90\x80\x80": false, "\xf5\x80\x80\x80": false, "\xe2\x82": false, "\xf1\x80\x80": false, "\xff": false,
	} {
		require.Equal(t, ok, utf8.ValidString(text))
		for _, size := range []int{1, 2, 100} {
			events, err := scan([]byte(`"`+text+`"`), strictjson.Limits{}, size)
			if ok {
				require.NoError(t, err, "%q", text)
				assert.Equal(t, []string{fmt.Sprintf("[] 4 %q false", text)}, events)
			} else {
				assert.ErrorContains(t, err, "invalid UTF-8", "%q", text)
			}
		}
	}
}

func TestScannerManyKeys(t *testing.T) {
	var b strings.Builder
	b.WriteString(`{"k":{`)
	for i := range 1000 {
		fmt.Fprintf(&b, `"k%d":{"k%d":0},`, i, i)
	}
	for _, last := range []string{"k0", "k15", "k16", "k17", "k999"} {
		_, err := scan([]byte(b.String()+`"`+last+`":0}}`), strictjson.Limits{}, 100)
		assert.ErrorContains(t, err, "duplicate key", last)
	}
	_, err := scan([]byte(b.String()+`"k1000":0}}`), strictjson.Limits{}, 100)
	assert.NoError(t, err)
	_, err = scan([]byte(b.String()+`"K999":0}}`), strictjson.Limits{Fold: true}, 100)
	assert.ErrorContains(t, err, "duplicate key")
}

func TestScannerHandlerStopsIt(t *testing.T) {
	stop := errors.New("stop")
	s := strictjson.NewScanner(strictjson.Limits{}, func(strictjson.Event) error { return stop })
	_, err := s.Write([]byte(`{}`))
	require.ErrorIs(t, err, stop)
	_, err = s.Write([]byte(`{}`))
	require.ErrorIs(t, err, stop)
	require.ErrorIs(t, s.Close(), stop)
}

func TestScannerErrorsStay(t *testing.T) {
	s := strictjson.NewScanner(strictjson.Limits{}, func(strictjson.Event) error { return nil })
	_, err := s.Write([]byte(`[}`))
	require.ErrorContains(t, err, "syntax error at byte 1")
	_, again := s.Write([]byte(`]`))
	assert.Equal(t, err, again)
	assert.Equal(t, err, s.Close())

	s = strictjson.NewScanner(strictjson.Limits{}, func(strictjson.Event) error { return nil })
	require.Error(t, s.Close())
	_, err = s.Write([]byte(`1`))
	assert.Error(t, err, "after Close")
}

// The offset that an error names does not depend on how the body was cut.
func TestScannerOffsets(t *testing.T) {
	for in, offset := range map[string]int64{
		`{"a" 1}`: 5, `{"a":tru}`: 8, `[1,]`: 3, `[01]`: 2, `["\x"]`: 3, `1 2`: 2, `[`: 1, `-`: 1, "[\"a\x01\"]": 3, `{"a":1,}`: 7, `[1.]`: 3,
	} {
		for _, size := range []int{1, 2, 3, 100} {
			_, err := scan([]byte(in), strictjson.Limits{}, size)
			wrong, ok := errors.AsType[*strictjson.Error](err)
			require.True(t, ok, in)
			assert.Equal(t, offset, wrong.Offset, "%s in pieces of %d: %v", in, size, err)
		}
	}
}

// JB-08, JB-15: a body of any size is scanned in the same memory.
func TestScannerEnd(t *testing.T) {
	for _, doc := range []string{`{"a":[{}]}`, `[1]`, `"x}"`, `12`, `true`} {
		for _, tail := range []string{"", " ", "\r\n\t"} {
			for _, size := range []int{1, 2, 100} {
				s := strictjson.NewScanner(strictjson.Limits{Trailing: 3}, func(strictjson.Event) error { return nil })
				assert.EqualValues(t, -1, s.End())
				for piece := range chunks([]byte(" "+doc+tail), size) {
					_, err := s.Write(piece)
					require.NoError(t, err)
				}
				require.NoError(t, s.Close())
				assert.EqualValues(t, 1+len(doc), s.End(), "%q", doc+tail)
			}
		}
	}
	s := strictjson.NewScanner(strictjson.Limits{}, func(strictjson.Event) error { return nil })
	_, err := s.Write([]byte(`{"a":{}`))
	require.NoError(t, err)
	assert.EqualValues(t, -1, s.End())
}

func TestScannerTrailing(t *testing.T) {
	for _, size := range []int{1, 2, 100} {
		_, err := scan([]byte(" [ ] \n\t"), strictjson.Limits{Trailing: 3}, size)
		assert.NoError(t, err)
		_, err = scan([]byte(" [ ] \n\t\r"), strictjson.Limits{Trailing: 3}, size)
		assert.ErrorContains(t, err, "data after the end at byte 7")
	}
	_, err := scan([]byte("[]"+strings.Repeat(" ", 10000)), strictjson.Limits{}, 100)
	assert.NoError(t, err)
}

// What may follow the document can be bounded once it is known what the document is.
func TestScannerLimitTrailing(t *testing.T) {
	var s *strictjson.Scanner
	s = strictjson.NewScanner(strictjson.Limits{}, func(e strictjson.Event) error {
		if e.Kind == strictjson.EndArray {
			s.LimitTrailing(2)
		}
		return nil
	})
	_, err := s.Write([]byte("[] \n"))
	require.NoError(t, err)
	_, err = s.Write([]byte("\n"))
	assert.ErrorContains(t, err, "data after the end at byte 4")
}

func TestScannerConstantMemory(t *testing.T) {
	piece := bytes.Repeat([]byte("H4sIAAAAAAAAA+2VwWrDMAxA"), 1<<12) // 96 KiB
	for _, stream := range []func([]strictjson.Step) func([]byte) error{
		nil, func([]strictjson.Step) func([]byte) error { return func([]byte) error { return nil } },
	} {
		s := strictjson.NewScanner(strictjson.Limits{Stream: stream}, func(strictjson.Event) error { return nil })
		write := func(p []byte) {
			_, err := s.Write(p)
			require.NoError(t, err)
		}
		write([]byte(`{"data":"`))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range 400 { // 38 MiB
			write(piece)
		}
		for range 4000 { // what is not plain comes byte by byte
			write([]byte(`\/\u00e9é`))
		}
		runtime.ReadMemStats(&after)
		assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20))
		write([]byte(`"}`))
		require.NoError(t, s.Close())
	}
}

// What is streamed is what the event would have said, however the input is cut.
func TestScannerStream(t *testing.T) {
	const doc = `{"a":"plain","b":["\u00e9\ud83d\ude00é\/\n",1,"",{"data":"` + "\u20ac" + `x"}],"data":"kept","c":null}`
	want := map[string]string{"[{a -1}]": "plain", "[{b -1} { 0}]": "é\U0001f600é/\n", "[{b -1} { 2}]": "", "[{b -1} { 3} {data -1}]": "€x"}
	for size := 1; size <= len(doc); size++ {
		got, ends := map[string]string{}, map[string]bool{}
		s := strictjson.NewScanner(strictjson.Limits{Stream: func(path []strictjson.Step) func([]byte) error {
			at := fmt.Sprint(path)
			if at == "[{data -1}]" {
				return nil
			}
			got[at] = ""
			return func(p []byte) error { got[at] += string(p); return nil }
		}}, func(e strictjson.Event) error {
			if e.Kind == strictjson.String {
				at := fmt.Sprint(e.Path)
				_, streamed := want[at]
				assert.Equal(t, streamed, e.Long, at)
				assert.Equal(t, map[bool]string{false: "kept"}[streamed], e.Text, at)
				ends[at] = true
			}
			return nil
		})
		for piece := range chunks([]byte(doc), size) {
			_, err := s.Write(piece)
			require.NoError(t, err)
		}
		require.NoError(t, s.Close())
		require.Equal(t, want, got, "in pieces of %d", size)
		assert.Len(t, ends, len(want)+1)
	}
}

func TestScannerStreamStopsIt(t *testing.T) {
	full := errors.New("full")
	for _, in := range []string{`["x`, `["é`, `["\n`, `["\u0041`} {
		s := strictjson.NewScanner(strictjson.Limits{Stream: func([]strictjson.Step) func([]byte) error {
			return func([]byte) error { return full }
		}}, func(strictjson.Event) error { return nil })
		_, err := s.Write([]byte(in))
		require.ErrorIs(t, err, full, in)
		_, err = s.Write([]byte(`"]`))
		require.ErrorIs(t, err, full, in)
		require.ErrorIs(t, s.Close(), full)
	}
}

// scanning is what a Scanner may take: 64 levels, an event begins or ends with a byte of its own, a
// key has its hash, and a text is handed over once.
var scanning = fuzzbound.Bounds{Memory: fuzzbound.Limit{Base: 16 << 10, PerByte: 32}, Work: fuzzbound.Limit{PerByte: 1}}

// count scans data, however far it is valid, and returns how many events there are.
func count(data []byte, limits strictjson.Limits) (events int) {
	s := strictjson.NewScanner(limits, func(strictjson.Event) error { events++; return nil })
	if _, err := s.Write(data); err == nil {
		_ = s.Close()
	}
	return events
}

// FuzzScanner compares with encoding/json: whatever the Scanner accepts is valid
// there, and what it refuses though valid there is refused for one of the reasons
// that it adds, each checked by other means. How the input is cut never matters.
func FuzzScanner(f *testing.F) {
	for _, seed := range []string{
		`{}`, `[]`, `0`, `-0.1e-1`, `"x"`, `null`, `tru`, `{"a":{"a":1},"b":[{"a":[]}]}`, `{"a":1,"\u0061":2}`, `"\ud83d\ude00"`, `"\ud83d"`,
		"\"\xe2\x82\xac\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"", "\"\xc0\xaf\"", "\"\xf0\x80\x80\x80\"", `[1,2,]`, `{"a":1,"A":2}`, "\ufeff1",
		"1e5 ", "\"\x7f\x1f\"", strings.Repeat("[", 65) + strings.Repeat("]", 65), strings.Repeat("[", 64) + strings.Repeat("]", 64),
		`{"` + strings.Repeat("k", 5000) + `":0}`, `"\uDC00\uD800"`, `1 1`, `"\/\b\f"`, `1e700`,
	} {
		f.Add([]byte(seed), uint8(3))
	}
	f.Fuzz(func(t *testing.T, data []byte, size uint8) {
		fuzzbound.Check(t, data, scanning, func(data []byte) int { return count(data, strictjson.Limits{}) })
		fuzzbound.Check(t, data, scanning, func(data []byte) int {
			return count(data, strictjson.Limits{Fold: true, File: true, Text: 1, Keys: 1 << 6})
		})
		events, err := scan(data, strictjson.Limits{}, len(data)+1)
		for _, n := range []int{1, int(size)%7 + 2} {
			cut, cutErr := scan(data, strictjson.Limits{}, n)
			require.Equal(t, events, cut, "pieces of %d", n)
			require.Equal(t, err, cutErr, "pieces of %d", n)
			cut, cutErr = streamed(data, n)
			require.Equal(t, events, cut, "streamed in pieces of %d", n)
			require.Equal(t, err, cutErr, "streamed in pieces of %d", n)
		}
		if err == nil {
			require.True(t, json.Valid(data), "accepted, but not valid")
			require.True(t, utf8.Valid(data), "accepted, but not UTF-8")
			require.Empty(t, oracle(data), "accepted, but ambiguous")
			return
		}
		wrong, ok := errors.AsType[*strictjson.Error](err)
		require.True(t, ok, "%T", err)
		if !json.Valid(data) || !utf8.Valid(data) {
			return
		}
		require.Contains(t, oracle(data), wrong.Problem, "refused, but nothing is wrong with it")
	})
}

// streamed is scan with every string streamed, and told of as if it were not.
func streamed(data []byte, size int) (events []string, err error) {
	var text []byte
	s := strictjson.NewScanner(strictjson.Limits{Stream: func([]strictjson.Step) func([]byte) error {
		text = text[:0]
		return func(p []byte) error { text = append(text, p...); return nil }
	}}, func(e strictjson.Event) error {
		if e.Kind == strictjson.String {
			if e.Long = len(text) > 1024; !e.Long {
				e.Text = string(text)
			}
		}
		events = append(events, fmt.Sprintf("%v %d %q %v", e.Path, e.Kind, e.Text, e.Long))
		return nil
	})
	for piece := range chunks(data, size) {
		if _, err = s.Write(piece); err != nil {
			break
		}
	}
	if closed := s.Close(); err == nil {
		err = closed
	}
	return events, err
}

// oracle returns what a Scanner may say of valid JSON in valid UTF-8.
func oracle(data []byte) (problems []string) {
	if loneSurrogate(data) {
		problems = append(problems, "unpaired surrogate")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()              // 1e700 is a number, whatever a float64 makes of it
	var open []map[string]bool // nil: an array
	isKey := false
	total, depth := 0, 0
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return problems
		}
		if err != nil {
			return append(problems, err.Error())
		}
		inObject := len(open) > 0 && open[len(open)-1] != nil
		switch v := token.(type) {
		case json.Delim:
			if v == '{' || v == '[' {
				var keys map[string]bool
				if v == '{' {
					keys = map[string]bool{}
				}
				open = append(open, keys)
				depth = max(depth, len(open))
				isKey = v == '{'
				if depth > 64 {
					problems = append(problems, "nested too deep")
				}
				continue
			}
			total -= len(open[len(open)-1])
			open = open[:len(open)-1]
			isKey = len(open) > 0 && open[len(open)-1] != nil
			continue
		case string:
			if inObject && isKey {
				if open[len(open)-1][v] {
					problems = append(problems, "duplicate key")
				}
				if len(v) > 4096 {
					problems = append(problems, "key too long")
				}
				open[len(open)-1][v] = true
				if total++; total > 1<<17 {
					problems = append(problems, "too many keys")
				}
				isKey = false
				continue
			}
		}
		isKey = inObject
	}
}

// loneSurrogate looks for an escaped half of a pair in valid JSON.
func loneSurrogate(data []byte) bool {
	high := false
	for i := 0; i < len(data); i++ {
		if data[i] != '\\' {
			if high {
				return true
			}
			continue
		}
		i++
		if data[i] != 'u' {
			if high {
				return true
			}
			continue
		}
		var unit rune
		for _, c := range bytes.ToLower(data[i+1 : i+5]) {
			unit = unit<<4 | rune(strings.IndexByte("0123456789abcdef", c))
		}
		i += 4
		low := unit >= 0xDC00 && unit <= 0xDFFF
		if low != high {
			return true
		}
		high = unit >= 0xD800 && unit <= 0xDBFF
	}
	return high
}

// The seeds of the fuzz test hold at least one document for each refusal.
func TestOracleKnowsEachRefusal(t *testing.T) {
	for in, want := range map[string]string{
		`"\ud800"`: "unpaired surrogate", `{"a":1,"a":1}`: "duplicate key", strings.Repeat("[", 65) + strings.Repeat("]", 65): "nested too deep",
		`{"` + strings.Repeat("k", 4097) + `":0}`: "key too long",
	} {
		assert.Contains(t, oracle([]byte(in)), want)
		_, err := scan([]byte(in), strictjson.Limits{}, 1)
		assert.ErrorContains(t, err, want)
	}
	assert.Empty(t, oracle([]byte(`{"a":"\ud83d\ude00","b":[{"a":[]},{"a":1}]}`)))
}

// BenchmarkScannerTarball is a document with 64 MiB of data, forgotten and streamed.
func BenchmarkScannerTarball(b *testing.B) {
	piece := bytes.Repeat([]byte("H4sIAAAAAAAAA+2VwWrDMAxA0123456"), 1<<10) // 32 KiB
	const pieces = 2 << 10
	var streamed int64
	count := func(p []byte) error { streamed += int64(len(p)); return nil }
	for _, tt := range []struct {
		name   string
		stream func([]strictjson.Step) func([]byte) error
	}{{"forgotten", nil}, {"streamed", func([]strictjson.Step) func([]byte) error { return count }}} {
		b.Run(tt.name, func(b *testing.B) {
			b.SetBytes(int64(len(piece) * pieces))
			b.ReportAllocs()
			for b.Loop() {
				s := strictjson.NewScanner(strictjson.Limits{Stream: tt.stream}, func(strictjson.Event) error { return nil })
				_, err := s.Write([]byte(`{"data":"`))
				for range pieces {
					if err == nil {
						_, err = s.Write(piece)
					}
				}
				if err == nil {
					_, err = s.Write([]byte(`"}`))
				}
				if err = cmp.Or(err, s.Close()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Rest receives what Stream does not take, with the quotes around it.
func TestRest(t *testing.T) {
	const doc = ` {"a": "x\"y", "take": "pla\\in\u00e9é", "b": ["take", {"take": "q"}], "c": 12 } `
	const want = ` {"a": "x\"y", "take": ", "b": ["take", {"take": "}], "c": 12 } `
	for _, size := range []int{1, 2, 3, 7, len(doc)} {
		var rest []byte
		s := strictjson.NewScanner(strictjson.Limits{
			Stream: func(path []strictjson.Step) func([]byte) error {
				if path[len(path)-1].Key != "take" {
					return nil
				}
				return func([]byte) error { return nil }
			},
			Rest: func(p []byte) { rest = append(rest, p...) },
		}, func(strictjson.Event) error { return nil })
		for piece := range slices.Chunk([]byte(doc), size) {
			_, err := s.Write(piece)
			require.NoError(t, err)
		}
		require.NoError(t, s.Close())
		assert.Equal(t, want, string(rest), size)
	}
}

// looseness are limits under which everything but key "a" is loose.
func looseness(file bool) strictjson.Limits {
	return strictjson.Limits{File: file, Loose: func(path []strictjson.Step) bool { return path[len(path)-1].Key != "a" }}
}

// What nobody checks may be what JavaScript reads, AU-37.
func TestScannerLoose(t *testing.T) {
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for name, tt := range map[string]struct {
		in, file string // the problem, "" for none
	}{
		`{"x":1,"x":2,"a":{"y":1,"y":2,"a":3}}`:        {"", ""},
		`{"x":{"a":1,"a":[{"a":1,"a":2}]}}`:            {"", ""},
		`{"a":1,"x":1,"a":2}`:                          {"duplicate key", "duplicate key"},
		`{"a":{"a":1,"a":2}}`:                          {"duplicate key", "duplicate key"},
		`{"x":"\ud800","y":{"\udc00":"\ud800\u0"}}`:    {"invalid escape", "invalid escape"},
		`{"x":"\ud800","y":{"\udc00":"\ud800x"}}`:      {"", ""},
		`{"a":"\ud800"}`:                               {"unpaired surrogate", "unpaired surrogate"},
		`{"\ud800":1}`:                                 {"unpaired surrogate", "unpaired surrogate"},
		"{\"x\":\"\xe9\",\"y\":{\"\xff\":[\"\xc3\"]}}": {"invalid UTF-8", ""},
		"{\"a\":\"\xe9\"}":                             {"invalid UTF-8", "invalid UTF-8"},
		"{\"\xe9\":1}":                                 {"invalid UTF-8", "invalid UTF-8"},
		"{\"x\":\"\xe9\n\"}":                           {"invalid UTF-8", "control character"},
		"\ufeff{}":                                     {"byte order mark", ""},
		"\ufeff \ufeff{}":                              {"byte order mark", "byte order mark"},
		"\xef\xbb{}":                                   {"byte order mark", "invalid UTF-8"},
		" \ufeff{}":                                    {"byte order mark", "byte order mark"},
		`{"x":` + deep(strictjson.LooseDepth-1) + `}`:  {"", ""},
		`{"x":` + deep(strictjson.LooseDepth) + `}`:    {"nested too deep", "nested too deep"},
		`{"a":` + deep(64) + `}`:                       {"nested too deep", "nested too deep"},
		`{"x":{"` + strings.Repeat("k", 5000) + `":"` + strings.Repeat("v", 5000) + `"},"a":"` + strings.Repeat("v", 1024) + `"}`: {"", ""},
		`{"x":[1,{"y":[]},{}],"a":[1,2],"z":-1e5,"n":null,"t":[true,false]}`:                                                      {"", ""},
		`{"x":[1,]}`: {"syntax error", "syntax error"}, `{"x":{"y" 1}}`: {"syntax error", "syntax error"}, `{"x":[}`: {"syntax error", "syntax error"},
		`{"x":01}`: {"syntax error", "syntax error"}, `{"x":[{"y":tru}]}`: {"syntax error", "syntax error"}, `{"x":{"y":1]}`: {"syntax error", "syntax error"},
		`{"x":{`: {"unexpected end", "unexpected end"}, `{"x":"\q"}`: {"invalid escape", "invalid escape"},
	} {
		for _, file := range []bool{false, true} {
			want := tt.in
			if file {
				want = tt.file
			}
			for _, size := range []int{1, 2, 7, len(name)} {
				_, err := scan([]byte(name), looseness(file), size)
				if want == "" {
					require.NoError(t, err, "%.60q", name)
				} else {
					require.ErrorContains(t, err, want, "%.60q", name)
				}
			}
		}
	}
}

// A loose value is one event, or two, and nothing of it is remembered.
func TestScannerLooseEvents(t *testing.T) {
	events, err := scan([]byte(`{"x":{"y":[1]},"s":"text","n":12,"b":true,"0":null,"a":["x",{"z":[2]}]}`), looseness(true), 3)
	require.NoError(t, err)
	assert.Equal(t, []string{
		`[] 5 "" false`,
		`[{x -1}] 5 "" false`, `[{x -1}] 7 "" false`,
		`[{s -1}] 4 "" true`, `[{n -1}] 3 "" true`, `[{b -1}] 2 "true" false`, `[{0 -1}] 1 "" false`,
		`[{a -1}] 6 "" false`, `[{a -1} { 0}] 4 "x" false`, `[{a -1} { 1}] 5 "" false`,
		`[{a -1} { 1} {z -1}] 6 "" false`, `[{a -1} { 1} {z -1}] 8 "" false`, `[{a -1} { 1}] 7 "" false`, `[{a -1}] 8 "" false`,
		`[] 7 "" false`,
	}, events)
}

// FuzzScannerLoose compares what is accepted within a loose value with encoding/json, which knows
// of no duplicates, no surrogates and no UTF-8, and reads 10000 levels.
func FuzzScannerLoose(f *testing.F) {
	for _, seed := range []string{`{"a":1,"a":[2,{}]}`, `"\ud800\u00e9"`, "\"\xff\"", `[[[]],-1.5e7,"",null]`, `{"":tru`, `1 `, `[01]`, `{"a"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		fuzzbound.Check(t, data, scanning, func(data []byte) int {
			return count(append(append([]byte(`{"x":`), data...), '}'), looseness(true)) - 4
		})
		doc := append(append([]byte(`{"x":`), data...), '}')
		want := json.Valid(doc)
		if want && !json.Valid(data) {
			return // it ends the value, and more keys follow
		}
		events, err := scan(doc, looseness(true), 1+len(data)%5)
		if bytes.Count(data, []byte("["))+bytes.Count(data, []byte("{")) < strictjson.LooseDepth {
			require.Equal(t, want, err == nil, "%v", err)
		}
		if err == nil {
			require.LessOrEqual(t, len(events), 4)
			require.True(t, json.Valid(doc))
		}
	})
}
