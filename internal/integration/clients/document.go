package clients

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// A Kind says what comes of a command with a client.
type Kind int

// The zero Kind is none.
const (
	_       Kind = iota
	Works        // it does what it is for
	Lacks        // the client does not have it, and says so
	Refused      // the registry does not allow it, and the client prints its sentence
	Fault        // the client does something else
)

var words = map[Kind]string{Works: "✓", Lacks: "–", Refused: "refused", Fault: "fault"}

// An Outcome is what came of a command with a client.
type Outcome struct {
	Kind Kind
	Note string // the sentence of Refused, or what a Fault is and what to do about it
}

func (o Outcome) String() string {
	if o.Note == "" {
		return words[o.Kind]
	}
	return words[o.Kind] + ": " + o.Note
}

// A Column is a client.
type Column struct {
	Name  string // as .ci/install-clients installs it
	Title string // as people call it
}

// A Group is a table of commands.
type Group struct {
	Title    string
	Commands []string // whose names are unique among all groups
}

// A Document is what docs/clients.md says.
type Document struct {
	Versions map[string]string // by the name of the column
	Outcomes map[Cell]Outcome
}

// A Cell is a command and the name of a client.
type Cell struct{ Command, Client string }

// Places of a template, each in a line of its own: what the clients' versions are, the tables, and
// the faults of each client.
const (
	versionsHere = "<!-- versions -->"
	tablesHere   = "<!-- tables -->"
	faultsHere   = "<!-- faults -->"
)

// Render writes the document in the places of a template.
func (d Document) Render(template string, columns []Column, groups []Group) string {
	return strings.NewReplacer(
		versionsHere, d.versions(columns), tablesHere, d.tables(columns, groups), faultsHere, d.faults(columns, groups),
	).Replace(template)
}

func (d Document) versions(columns []Column) string {
	var all []string
	for _, c := range columns {
		all = append(all, fmt.Sprintf("| %s | %s |", c.Title, d.Versions[c.Name]))
	}
	return "| client | version |\n|---|---|\n" + strings.Join(all, "\n")
}

func (d Document) tables(columns []Column, groups []Group) string {
	var all []string
	for _, g := range groups {
		all = append(all, d.table(columns, g))
	}
	return strings.Join(all, "\n\n")
}

func (d Document) table(columns []Column, g Group) string {
	head := []string{""}
	for _, c := range columns {
		head = append(head, c.Title)
	}
	lines := []string{"### " + g.Title, "", line(head), "|---" + strings.Repeat("|:-:", len(columns)) + "|"}
	var sentences []string
	for _, command := range g.Commands {
		row := []string{command}
		for _, c := range columns {
			o := d.Outcomes[Cell{command, c.Name}]
			text := cmp.Or(words[o.Kind], "?")
			if o.Kind == Refused {
				if !slices.Contains(sentences, o.Note) {
					sentences = append(sentences, o.Note)
				}
				text += fmt.Sprintf(" %d", slices.Index(sentences, o.Note)+1)
			}
			row = append(row, text)
		}
		lines = append(lines, line(row))
	}
	for n, sentence := range sentences {
		if n == 0 {
			lines = append(lines, "")
		}
		lines = append(lines, fmt.Sprintf("%d. “%s”", n+1, sentence))
	}
	return strings.Join(lines, "\n")
}

func line(cells []string) string {
	if cells[0] == "" {
		return "| | " + strings.Join(cells[1:], " | ") + " |"
	}
	return "| " + strings.Join(cells, " | ") + " |"
}

func (d Document) faults(columns []Column, groups []Group) string {
	var out []string
	for _, c := range columns {
		of := map[string][]string{} // commands by note
		var notes []string
		for _, g := range groups {
			for _, command := range g.Commands {
				if o := d.Outcomes[Cell{command, c.Name}]; o.Kind == Fault {
					if of[o.Note] == nil {
						notes = append(notes, o.Note)
					}
					of[o.Note] = append(of[o.Note], command)
				}
			}
		}
		if len(notes) == 0 {
			continue
		}
		section := "### " + c.Title + "\n"
		for _, note := range notes {
			section += fmt.Sprintf("\n- *%s*: %s", strings.Join(of[note], "*, *"), note)
		}
		out = append(out, section)
	}
	return strings.Join(out, "\n\n")
}

var (
	versionLine  = regexp.MustCompile(`^\| (\S[^|]*) \| (\d\S*) \|$`)
	sentenceLine = regexp.MustCompile(`^(\d+)\. “(.*)”$`)
	faultLine    = regexp.MustCompile(`^- \*(.+?)\*: (.*)$`)
)

// Parse reads what Render has written.
func Parse(text string, columns []Column) (Document, error) {
	d := Document{Versions: map[string]string{}, Outcomes: map[Cell]Outcome{}}
	column := map[string]string{}
	for _, c := range columns {
		column[c.Title] = c.Name
	}
	var heads []string                 // of the table that is read
	section := ""                      // the client whose faults are read
	refused := map[Cell]string{}       // of the table that is read, by number
	faulty := map[Cell]bool{}          // without a note yet
	lines := strings.Split(text, "\n") // a line is written as one, however long
	for i, line := range lines {
		where := func(problem string) error { return fmt.Errorf("line %d: %s: %s", i+1, problem, line) }
		switch {
		case strings.HasPrefix(line, "### "):
			section, heads = column[strings.TrimPrefix(line, "### ")], nil
			clear(refused)
		case strings.HasPrefix(line, "| |"):
			heads = cells(line)[1:]
			for j, title := range heads {
				if heads[j] = column[title]; heads[j] == "" {
					return d, where("no client is called " + title)
				}
			}
		case versionLine.MatchString(line) && heads == nil:
			m := versionLine.FindStringSubmatch(line)
			if column[m[1]] == "" {
				return d, where("no such client")
			}
			d.Versions[column[m[1]]] = m[2]
		case strings.HasPrefix(line, "| ") && heads != nil:
			row := cells(line)
			if len(row) != len(heads)+1 {
				return d, where("not as many cells as clients")
			}
			for j, text := range row[1:] {
				at := Cell{row[0], heads[j]}
				word, number, _ := strings.Cut(text, " ")
				for kind, w := range words {
					if w == word {
						d.Outcomes[at] = Outcome{Kind: kind}
					}
				}
				switch d.Outcomes[at].Kind {
				case Refused:
					refused[at] = number
				case Fault:
					faulty[at] = true
				}
			}
		case sentenceLine.MatchString(line) && heads != nil:
			m := sentenceLine.FindStringSubmatch(line)
			for at, number := range refused {
				if number == m[1] {
					d.Outcomes[at] = Outcome{Refused, m[2]}
				}
			}
		case section != "" && faultLine.MatchString(line):
			m := faultLine.FindStringSubmatch(line)
			for command := range strings.SplitSeq(m[1], "*, *") {
				at := Cell{command, section}
				if !faulty[at] {
					return d, where("no fault in the table: " + command)
				}
				delete(faulty, at)
				d.Outcomes[at] = Outcome{Fault, m[2]}
			}
		}
	}
	for at, o := range d.Outcomes {
		if o.Kind == Refused && o.Note == "" {
			return d, fmt.Errorf("the sentence for %s in %q is not there", at.Client, at.Command)
		}
	}
	for at := range maps.Keys(faulty) {
		return d, fmt.Errorf("the fault of %s in %q is not described", at.Client, at.Command)
	}
	return d, nil
}

func cells(line string) []string {
	parts := strings.Split(strings.Trim(line, "|"), "|")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}
