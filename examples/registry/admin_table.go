package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/npmauth/npmauth/protocol"
)

// A table prints rows as aligned columns, or as a JSON object each.
type table struct {
	out     io.Writer
	columns []string
	headed  bool // the columns' names are printed
	json    bool
	text    *tabwriter.Writer
	rows    int
	err     error // the first one of out
}

func newTable(out io.Writer, asJSON bool) *table {
	return &table{out: out, json: asJSON, text: tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)}
}

// head names the columns of the rows that follow. The names are printed before the first row, or
// at the end: not before an error.
func (t *table) head(columns ...string) { t.columns = columns }

func (t *table) names() {
	if !t.json && !t.headed && len(t.columns) > 0 {
		t.line([]byte(strings.ToUpper(strings.ReplaceAll(strings.Join(t.columns, "\t"), "_", " ")) + "\n"))
	}
	t.headed = true
}

// aligned is how many rows are aligned together: they are in memory until then.
const aligned = 200

// add prints a row.
func (t *table) add(values ...any) {
	t.names()
	var row []byte
	for i, v := range values {
		switch {
		case !t.json:
			if i > 0 {
				row = append(row, '\t')
			}
			row = append(row, cell(v)...)
		default:
			name, value := quoted(t.columns[i]), quoted(v)
			row = append(append(append(append(row, ','), name...), ':'), value...)
		}
	}
	if t.json {
		row[0] = '{'
		row = append(row, '}')
	}
	t.line(append(row, '\n'))
	if t.rows++; t.rows%aligned == 0 {
		t.flush() // an error is kept in t.err
	}
}

// say prints a sentence, which is for people.
func (t *table) say(format string, args ...any) {
	if !t.json {
		t.names()
		t.flush() // an error is kept in t.err
		t.line(fmt.Appendf(nil, format+"\n", args...))
	}
}

func (t *table) line(text []byte) {
	to := io.Writer(t.text)
	if t.json {
		to = t.out
	}
	if _, err := to.Write(text); err != nil && t.err == nil {
		t.err = err
	}
}

// finish ends a table that is complete.
func (t *table) finish() error {
	t.names()
	return t.flush()
}

// flush prints what waits to be aligned, and returns the first error of the output.
func (t *table) flush() error {
	if err := t.text.Flush(); err != nil && t.err == nil {
		t.err = err
	}
	return t.err
}

// quoted returns a value as JSON.
func quoted(v any) []byte {
	switch u := v.(type) {
	case time.Time:
		if u.IsZero() {
			return []byte("null")
		}
		v = u.UTC()
	case []string:
		if u == nil {
			return []byte("[]")
		}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return strconv.AppendQuote(nil, err.Error()) // a grant of a newer version
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// cell returns a value as people read it. What clients chose may contain anything, and must not
// make columns or command the terminal.
func cell(v any) string {
	text := ""
	switch v := v.(type) {
	case time.Time:
		if !v.IsZero() {
			text = v.UTC().Format(time.RFC3339)
		}
	case bool:
		text = map[bool]string{true: "yes", false: "no"}[v]
	case []string:
		text = strings.Join(v, " ")
	case []protocol.Grant:
		var all []string
		for _, g := range v {
			all = append(all, g.String())
		}
		text = strings.Join(all, ", ")
	default:
		text = fmt.Sprint(v)
	}
	if text == "" {
		return "-"
	}
	if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(text)
	}
	return text
}
