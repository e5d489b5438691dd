package policytest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// few is how many words an error lists. Of more it has the closest.
const few = 24

// no is the error for a word that is no what: it names the words that are, or of many the
// closest, and then where all of them are.
func no(what, word string, right []string, list string) error {
	return fmt.Errorf("%q is no %s: %s", word, what, offer(word, right, list))
}

// offer tells people to write one of the words in the place of wrong.
func offer(wrong string, right []string, list string) string {
	where := ""
	if len(right) > few {
		right = closest(wrong, right)
		where = " (" + list + " has them all)"
	}
	return "write " + or(right) + where
}

// or joins words as a sentence does.
func or(words []string) string {
	last := len(words) - 1
	if last < 1 {
		return strings.Join(words, "")
	}
	comma := ", "
	if strings.HasPrefix(words[0], ",") {
		comma = " "
	}
	return strings.Join(words[:last], comma) + " or " + words[last]
}

// closest returns the three words that take the fewest changes of letters to become.
func closest(word string, right []string) []string {
	sorted := slices.Clone(right)
	slices.SortStableFunc(sorted, func(a, b string) int { return cmp.Compare(distance(word, a), distance(word, b)) })
	return sorted[:min(3, len(sorted))]
}

// distance returns how many letters must be put in, taken out or replaced to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1) // of a[:i], to each b[:j]
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// texts returns the words of an enumeration.
func texts[T interface {
	~uint8
	MarshalText() ([]byte, error)
}]() []string {
	var all []string
	for v := T(0); ; v++ {
		text, err := v.MarshalText()
		if err != nil {
			return all
		}
		all = append(all, string(text))
	}
}

// readText sets to to the value that has the word.
func readText[T interface {
	~uint8
	MarshalText() ([]byte, error)
}, P interface {
	*T
	UnmarshalText(text []byte) error
}](to P, what, word string, more ...string) error {
	if to.UnmarshalText([]byte(word)) != nil {
		return no(what, word, append(texts[T](), more...), "")
	}
	return nil
}

// A flag is a word that may follow another, after a sign.
type flag struct {
	word    string
	example string              // of the value that the word has after =, "" if it has none
	once    string              // what is said by it, and may be said once; word if it is empty
	many    bool                // it may be repeated
	empty   bool                // the value may be empty
	fits    func(*reading) bool // whether the word goes with what was read; nil: with all
	set     func(r *reading, value string) error
}

// text returns the word as it may be written.
func (f *flag) text() string {
	if f.example == "" {
		return f.word
	}
	return f.word + "=" + f.example
}

func (f *flag) goesWith(r *reading) bool { return f.fits == nil || f.fits(r) }

func (f *flag) is(part string) bool {
	if f.example == "" {
		return f.word == part
	}
	key, _, valued := strings.Cut(part, "=")
	return valued && key == f.word
}

// says returns what the word says, which may be said once.
func (f *flag) says() string { return cmp.Or(f.once, f.word) }

// read reads the words that follow, each after the sign.
func (r *reading) read(sign string, parts []string, flags []flag) error {
	var said []string
	for _, part := range parts {
		i := slices.IndexFunc(flags, func(f flag) bool { return f.is(part) && f.goesWith(r) })
		if i < 0 {
			var right []string
			for _, f := range flags {
				if word := sign + f.text(); f.goesWith(r) && !slices.Contains(said, f.says()) && !slices.Contains(right, word) {
					right = append(right, word)
				}
			}
			return fmt.Errorf("%q does not go here: %s", sign+part, offer(sign+part, right, "the package's documentation"))
		}
		f := &flags[i]
		_, value, _ := strings.Cut(part, "=")
		switch {
		case slices.Contains(said, f.says()):
			return fmt.Errorf("%q twice: write it once", f.says())
		case value == "" && f.example != "" && !f.empty:
			return fmt.Errorf("%q has no value: write %s", sign+part, sign+f.text())
		case !f.many:
			said = append(said, f.says())
		}
		if err := f.set(r, value); err != nil {
			return err
		}
	}
	return nil
}
