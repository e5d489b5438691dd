package policytest

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/npmauth/npmauth/policy"
)

// A Table is what [ParseTable] reads.
type Table struct {
	Rows   []Row
	Covers []string // IDs of the rules that the table must cover; "all" for every rule, "own" for those that are not NPM's
	Always []string // IDs of the rules that must not be silent about a request of the table that they apply to
}

// A LineError is an error in one line of a table.
type LineError struct {
	Line int
	Text string
	Err  error
}

// Error returns the line's number, its text and the error.
func (e *LineError) Error() string { return fmt.Sprintf("line %d: %s: %v", e.Line, e.Text, e.Err) }

// Unwrap returns Err.
func (e *LineError) Unwrap() error { return e.Err }

// ErrEmpty is returned for a table without a request.
var ErrEmpty = errors.New("policytest: the table has no request")

// ParseTable reads a table, as the package documentation describes it. Its error joins a
// [LineError] for every wrong line, and is [ErrEmpty] for a table without a request. The rows are
// those of the lines without an error.
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
			errs = append(errs, &LineError{def.line, "let " + name, fmt.Errorf("not used: write $%s below it, or take the let out", name)})
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
				return fmt.Errorf("line %d asks the same: take one of them out", before)
			}
			asked[question] = n
		}
		table.Rows = append(table.Rows, row)
		return nil
	}
	switch {
	case words[0] == "now" && len(words) == 2:
		return into(&rd.now, parseTime, words[1])
	case words[0] == "from" && len(words) == 2:
		return into(&rd.from, parseAddr, words[1])
	case words[0] == "let" && len(words) == 4 && words[2] == "=":
		name, word := words[1], words[3]
		switch {
		case strings.Trim(name, nameBytes) != "":
			return fmt.Errorf("%q is not lower-case letters, digits and hyphens: write it as let ci = word", name)
		case strings.HasPrefix(word, "$"):
			return fmt.Errorf("a let of a let: write what %s is", word)
		case rd.names[name] != nil:
			return fmt.Errorf("line %d lets it, too: write another name than %s", rd.names[name].line, name)
		}
		rd.names[name] = &named{word: word, line: n}
	case words[0] == "covers" && len(words) > 1:
		table.Covers = append(table.Covers, words[1:]...)
	case words[0] == "always" && len(words) > 1:
		table.Always = append(table.Always, words[1:]...)
	default:
		return noRow(words)
	}
	return nil
}

// forms are examples of the lines that are no request, by their first words.
var forms = map[string]string{
	"now": "now " + formatTime(Noon), "from": "from " + Here.String(), "let": "let ci = token(rw:all)+bypass",
	"covers": "covers own", "always": "always no-unpublish",
}

// noRow is the error for a line without a request.
func noRow(words []string) error {
	request := example + " => allow"
	if form, ok := forms[strings.Join(words[:min(1, len(words))], "")]; ok {
		return fmt.Errorf("no => and no line of %s: write %s, or a request as %s", words[0], form, request)
	}
	return fmt.Errorf("no =>: write %s, or a line as %s", request, or(slices.Sorted(maps.Values(forms))))
}

// Run checks that p decides about every request of the table as the table says. It reports each
// line that fails, with the verdict of each rule. Lines with a ? fail together, with this part of
// the table as p decides it.
//
// The lines covers and always need the boxes, besides [Boxes], that the rules of p depend on: see
// [Own].
//
// Run fails for a policy with an error and for a table with one.
func Run(t testing.TB, p *policy.Policy, table string, boxes ...Box) {
	t.Helper()
	run(t, p, "table", table, boxes)
}

// RunFile is [Run] with the table in file.
func RunFile(t testing.TB, p *policy.Policy, file string, boxes ...Box) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Errorf("policytest: %v", err)
		return
	}
	run(t, p, file, string(text), boxes)
}

func run(t testing.TB, p *policy.Policy, name, text string, boxes []Box) {
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
	var answered []string // the lines of the table, if one is a question, with the answers
	var traces strings.Builder
	first, last := 0, 0
	for _, row := range table.Rows {
		for _, code := range row.Codes {
			if !slices.Contains(known, code) {
				t.Errorf("%s:%d: the policy has no rule %s: %s", name, row.Line, code, offer(code, known, "Policy.Rules"))
			}
		}
		switch d := p.Decide(row.Request); {
		case row.Question:
			if answered == nil {
				answered, first = strings.Split(text, "\n"), row.Line
			}
			last = row.Line
			question, effect, _ := strings.Cut(answered[row.Line-1], "=>")
			answered[row.Line-1] = question + "=>" + strings.Replace(effect, "?", Answer(d), 1)
			fmt.Fprintf(&traces, "\n%s:%d: %v", name, row.Line, p.Explain(row.Request))
		case d.Effect != row.Effect || !slices.Equal(codes(d), row.Codes):
			t.Errorf("%s:%d: %s\ngot %s\n%v", name, row.Line, row.Text, Answer(d), p.Explain(row.Request))
		}
	}
	if answered != nil {
		t.Errorf("%s: a question is no test. The policy answers, from the first to the last:\n%s\n%s", name, strings.Join(answered[first-1:last], "\n"), &traces)
	}
	for _, gap := range table.gaps(p, boxes) {
		t.Errorf("%s: no line makes %s, which the table is to cover", name, gap)
	}
	if silent := spoken(p, table.Rows).silent(); len(silent) > 0 {
		t.Logf("%s: rules that are silent on every line: %s", name, strings.Join(silent, " "))
	}
}
