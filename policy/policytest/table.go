package policytest

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/npmauth/npmauth/policy"
)

// A Table is what [ParseTable] reads.
type Table struct {
	Rows   []Row
	Covers []string // the rules that the table must exercise, "all" among them for every one
}

// A LineError is what is wrong with one line.
type LineError struct {
	Line int
	Text string
	Err  error
}

func (e *LineError) Error() string { return fmt.Sprintf("line %d: %v: %s", e.Line, e.Err, e.Text) }

func (e *LineError) Unwrap() error { return e.Err }

// ErrEmpty is returned for a table without a request.
var ErrEmpty = errors.New("policytest: the table has no request")

// ParseTable reads a table. The error joins a [LineError] for every line that is
// wrong; the rows are those that are not.
func ParseTable(text string) (Table, error) {
	var table Table
	var errs []error
	rd := newReader()
	asked := map[string]int{}
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = uncommented(line)
		if line == "" {
			continue
		}
		if err := table.read(rd, line, n, asked); err != nil {
			errs = append(errs, &LineError{n, line, err})
		}
	}
	for name, def := range rd.names {
		if !def.used {
			errs = append(errs, &LineError{def.line, "let " + name, errors.New("not used")})
		}
	}
	slices.SortStableFunc(errs, func(a, b error) int { return lineOf(a) - lineOf(b) })
	if len(table.Rows) == 0 {
		errs = append(errs, ErrEmpty)
	}
	return table, errors.Join(errs...)
}

func lineOf(err error) int {
	var at *LineError
	if errors.As(err, &at) {
		return at.Line
	}
	return 0
}

func (table *Table) read(rd *reader, line string, n int, asked map[string]int) error {
	words := strings.Fields(line)
	if strings.Contains(line, "=>") {
		row, err := rd.row(line)
		if err != nil {
			return err
		}
		row.Line = n
		if question, err := Format(row.Request); err == nil {
			if before, ok := asked[question]; ok {
				return fmt.Errorf("line %d asks the same", before)
			}
			asked[question] = n
		}
		table.Rows = append(table.Rows, row)
		return nil
	}
	switch {
	case words[0] == "now" && len(words) == 2:
		now, err := parseTime(words[1])
		if err != nil {
			return err
		}
		rd.now = now
	case words[0] == "from" && len(words) == 2:
		from, err := parseAddr(words[1])
		if err != nil {
			return err
		}
		rd.from = from
	case words[0] == "let" && len(words) == 4 && words[2] == "=":
		name, word := words[1], words[3]
		switch {
		case strings.Trim(name, nameBytes) != "":
			return fmt.Errorf("%q is not lower-case letters, digits and hyphens", name)
		case strings.HasPrefix(word, "$"):
			return errors.New("a let of a let")
		case rd.names[name] != nil:
			return fmt.Errorf("line %d lets it, too", rd.names[name].line)
		}
		rd.names[name] = &named{word: word, line: n}
	case words[0] == "covers" && len(words) > 1:
		table.Covers = append(table.Covers, words[1:]...)
	default:
		return errNoRow
	}
	return nil
}

// Run checks that p decides about every request of the table as the table says. What
// fails is told by line, with what each rule said.
//
// A policy with an error fails, and so does a table with one.
func Run(t testing.TB, p *policy.Policy, table string) {
	t.Helper()
	run(t, p, "table", table)
}

// RunFile is [Run] with a table from a file.
func RunFile(t testing.TB, p *policy.Policy, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Errorf("policytest: %v", err)
		return
	}
	run(t, p, file, string(text))
}

func run(t testing.TB, p *policy.Policy, name, text string) {
	t.Helper()
	if err := p.Err(); err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	table, err := ParseTable(text)
	if err != nil {
		t.Errorf("%s: %v", name, err)
	}
	known := []string{policy.CodeNotPermitted}
	for _, rule := range p.Rules() {
		known = append(known, rule.ID)
	}
	for _, row := range table.Rows {
		for _, code := range row.Codes {
			if !slices.Contains(known, code) {
				t.Errorf("%s:%d: the policy has no rule %s", name, row.Line, code)
			}
		}
		if d := p.Decide(row.Request); d.Effect != row.Effect || !slices.Equal(codes(d), row.Codes) {
			t.Errorf("%s:%d: %s\ngot %s\n%v", name, row.Line, row.Text, Answer(d), p.Explain(row.Request))
		}
	}
	for _, gap := range table.gaps(p) {
		t.Errorf("%s: no line makes %s, which the table is to cover", name, gap)
	}
	if silent := spoken(p, table.Rows).silent(); len(silent) > 0 {
		t.Logf("%s: rules that are silent on every line: %s", name, strings.Join(silent, " "))
	}
}
