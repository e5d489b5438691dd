package policytest

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/npmauth/npmauth/policy"
)

// UpdateEnv is the environment variable that makes [Snapshot] and [SnapshotDifference] write their
// files instead of comparing with them, if its value is 1. It is no flag, so that it can be set for
// all packages of a go test.
const UpdateEnv = "NPMAUTH_UPDATE"

// Snapshot compares the decisions of p about the requests of boxes, or of [Boxes] if there are
// none, with the file, and fails with the lines that differ. With NPMAUTH_UPDATE=1 it writes the
// file, whose diff is then reviewed.
//
// The file has every decision. Below the actions and the credentials are account, package and
// proof. Equal decisions share a line, with * for all values that the box has in a column, a|b for
// some of them and !a|b for all but some; actions with equal decisions share their lines.
// "deny/absent" is a denial that conceals the package.
func Snapshot(t testing.TB, p *policy.Policy, file string, boxes ...Box) {
	t.Helper()
	if err := p.Err(); err != nil {
		t.Errorf("policytest: %v", err)
		return
	}
	compare(t, file, Matrix(p, boxes...))
}

// SnapshotDifference is [Snapshot] with the text of [Difference]: only what p decides differently
// than from. It is short where p is from with a few rules changed.
//
//	policytest.SnapshotDifference(t, acme.Policy(), policy.NPM(), "testdata/difference.txt", append(policytest.Boxes(), own)...)
func SnapshotDifference(t testing.TB, p, from *policy.Policy, file string, boxes ...Box) {
	t.Helper()
	if err := errors.Join(p.Err(), from.Err()); err != nil {
		t.Errorf("policytest: %v", err)
		return
	}
	compare(t, file, Difference(p, from, boxes...))
}

// compare compares the text with that of the file, or writes it.
func compare(t testing.TB, file, got string) {
	t.Helper()
	if os.Getenv(UpdateEnv) == "1" {
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o777), os.WriteFile(file, []byte(got), 0o666)); err != nil {
			t.Errorf("policytest: %v", err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		t.Errorf("policytest: no %s: write it with %s=1", file, UpdateEnv)
		return
	}
	if err != nil {
		t.Errorf("policytest: %v", err)
		return
	}
	if string(want) != got {
		t.Errorf("policytest: the policy decides differently than %s says; if that is meant, write it with %s=1:\n%s",
			file, UpdateEnv, diff(string(want), got))
	}
}

// Matrix returns the text of the file of [Snapshot].
func Matrix(p *policy.Policy, boxes ...Box) string {
	text := "# What the policy decides. Written by policytest.Snapshot and not by hand.\n"
	return text + write(boxes, func(r policy.Request) string { return answer(p.Decide(r)) })
}

// Difference returns the text of the file of [SnapshotDifference]: that of [Matrix] with only those
// requests for which p and from have another effect, or one of them conceals the package and the
// other does not. Each line ends with the effect of from. Requests that both deny for different
// reasons are left out, and so are boxes without a difference.
func Difference(p, from *policy.Policy, boxes ...Box) string {
	text := "# What the policy decides differently. Written by policytest.SnapshotDifference and not by hand.\n"
	differences := write(boxes, func(r policy.Request) string {
		is, was := p.Decide(r), from.Decide(r)
		if is.Effect == was.Effect && is.Conceals() == was.Conceals() {
			return ""
		}
		return answer(is) + "  instead of  " + answer(was)
	})
	return text + cmp.Or(differences, "\n# Nothing.\n")
}

// write returns the answers to all requests of the boxes, of [Boxes] if there are none. Requests
// with an empty answer are left out.
func write(boxes []Box, answer func(policy.Request) string) string {
	if len(boxes) == 0 {
		boxes = Boxes()
	}
	var b strings.Builder
	for _, box := range boxes {
		box.write(&b, answer)
	}
	return b.String()
}

// answer is all of a decision that a snapshot shows.
func answer(d policy.Decision) string {
	s := Answer(d)
	if d.Conceals() {
		s = strings.Replace(s, "deny", "deny/absent", 1)
	}
	return s
}

func (b Box) write(out *strings.Builder, answer func(policy.Request) string) {
	type group struct {
		actions []string
		lines   string
	}
	var groups []*group
	for _, word := range b.actions() {
		r := action(word)
		d := b.dims(r.Operation.Action)
		s := sheet{dims: d, ids: map[string]int{}, prefix: commonName(d[2])}
		for r := range d.all(r) {
			s.leaves = append(s.leaves, s.id(answer(r)))
		}
		lines := s.lines()
		if lines == "" {
			continue
		}
		i := slices.IndexFunc(groups, func(g *group) bool { return g.lines == lines })
		if i < 0 {
			i = len(groups)
			groups = append(groups, &group{lines: lines})
		}
		groups[i].actions = append(groups[i].actions, word)
	}
	if len(groups) == 0 {
		return
	}
	out.WriteByte('\n')
	for _, list := range []struct {
		name  string
		words []string
		shown bool
	}{
		{"Credentials", b.Credentials, true}, {"Accounts", b.Accounts, true}, {"Packages", b.Packages, true},
		{"Organizations", b.Orgs, len(b.Orgs) > 0}, {"Proofs", b.Proofs, true}, {"Settings", b.Settings, len(b.Settings) > 0},
	} {
		if words := list.words; list.shown {
			if len(words) == 0 {
				words = []string{"-"}
			}
			fmt.Fprintf(out, "# %s: %s\n", list.name, strings.Join(words, " "))
		}
	}
	for _, g := range groups {
		fmt.Fprintf(out, "\n%s\n%s", wrap(g.actions), g.lines)
	}
}

// commonName returns the name= that all packages begin with, "" if they differ.
func commonName(packages []string) string {
	name := ""
	for i, p := range packages {
		before, _, ok := strings.Cut(p, "=")
		if !ok || i > 0 && before+"=" != name {
			return ""
		}
		name = before + "="
	}
	return name
}

// wrap breaks a list of words into lines.
func wrap(words []string) string {
	var b strings.Builder
	width := 0
	for i, w := range words {
		switch {
		case i == 0:
		case width+len(w) > 110:
			b.WriteByte('\n')
			width = 0
		default:
			b.WriteByte(' ')
		}
		b.WriteString(w)
		width += len(w) + 1
	}
	return b.String()
}

// A sheet is all answers to one action, with every answer and every block of them
// that occurs more than once kept as one number.
type sheet struct {
	dims   dims
	leaves []int
	ids    map[string]int
	texts  []string
	prefix string // of all packages: name=
}

func (s *sheet) id(text string) int {
	id, ok := s.ids[text]
	if !ok {
		id = len(s.texts)
		s.ids[text] = id
		s.texts = append(s.texts, text)
	}
	return id
}

// order is how dims.all counts, from the outermost.
var order = [5]int{0, 1, 4, 2, 3}

// lines merges, from the innermost column outwards, what is answered alike.
func (s *sheet) lines() string {
	blocks := s.leaves
	for depth := len(order) - 1; depth >= 0; depth-- {
		words := s.dims[order[depth]]
		var outer []int
		for len(blocks) > 0 {
			outer = append(outer, s.id(s.merge(order[depth], words, blocks[:len(words)])))
			blocks = blocks[len(words):]
		}
		blocks = outer
	}
	var b strings.Builder
	last := ""
	if s.texts[blocks[0]] == "" {
		return ""
	}
	for line := range strings.SplitSeq(s.texts[blocks[0]], "\n") {
		credential, rest, _ := strings.Cut(line, "\t")
		if credential != last {
			fmt.Fprintf(&b, "  %s\n", credential[1:])
			last = credential
		}
		b.WriteString(format(strings.Split(rest, "\t")))
	}
	return b.String()
}

// merge returns the lines of a column: the lines of each different block below it, with
// the words that it is the block of in front.
func (s *sheet) merge(column int, words []string, blocks []int) string {
	var lines []string
	done := map[int]bool{}
	for _, block := range blocks {
		if done[block] || s.texts[block] == "" {
			continue
		}
		done[block] = true
		var in, out []string
		for i, w := range words {
			if column == 2 {
				w = strings.TrimPrefix(w, s.prefix)
			}
			if blocks[i] == block {
				in = append(in, w)
			} else {
				out = append(out, w)
			}
		}
		label := strings.Join(in, "|")
		switch {
		case len(words) == 1:
		case len(out) == 0:
			label = "*"
		case len(out) < len(in):
			label = "!" + strings.Join(out, "|")
		}
		for line := range strings.SplitSeq(s.texts[block], "\n") {
			lines = append(lines, fmt.Sprintf("%d%s\t%s", column, label, line))
		}
	}
	return strings.Join(lines, "\n")
}

// format writes the columns below a credential in their order, padded alike in the whole
// file, so that a change of one line is no change of others.
func format(columns []string) string {
	var cells [5]string
	for _, c := range columns[:len(columns)-1] {
		cells[c[0]-'0'] = c[1:]
	}
	s := fmt.Sprintf("    %-15s  %-42s  %-8s", cells[1], cells[2], cells[3])
	if cells[4] != "" {
		s += "  " + cells[4]
	}
	return s + "  =>  " + columns[len(columns)-1] + "\n"
}

// diff returns the lines that were taken out and put in, each under the last line before
// it that names actions.
func diff(want, got string) string {
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	// common[i][j] is how many lines a[i:] and b[j:] have in common, in order.
	common := make([][]int, len(a)+1)
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var out []string
	var above [2]string // the actions and the credential that a line is about
	put := func(sign, line string) {
		for i := range above {
			if above[i] != "" {
				out = append(out, "@"+above[i])
			}
			above[i] = ""
		}
		out = append(out, sign+line)
	}
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			switch indent := len(a[i]) - len(strings.TrimLeft(a[i], " ")); {
			case a[i] == "" || a[i][0] == '#':
			case indent == 0:
				above = [2]string{a[i], ""}
			case indent == 2:
				above[1] = a[i]
			}
			i++
			j++
		case i < len(a) && (j == len(b) || common[i+1][j] >= common[i][j+1]):
			put("-", a[i])
			i++
		default:
			put("+", b[j])
			j++
		}
	}
	const most = 80
	if len(out) > most {
		out = append(out[:most], fmt.Sprintf("… and %d lines more", len(out)-most))
	}
	return strings.Join(out, "\n")
}
