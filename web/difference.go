package web

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/npmauth/npmauth/credential"
)

// How many files of a kind, and how many values, a page lists.
const maxDiffering = 200

// A differenceAnswer is that of GET /-/auth/v1/staged/<id>/difference.
type differenceAnswer struct {
	Offered     bool        `json:"offered"`
	From        string      `json:"from"`
	Tag         string      `json:"tag"`
	Problem     string      `json:"problem"`
	FromProblem string      `json:"fromProblem"`
	Size        int64       `json:"size"`
	FromSize    int64       `json:"fromSize"`
	Files       int         `json:"files"`
	FromFiles   int         `json:"fromFiles"`
	Added       filesAnswer `json:"added"`
	Removed     filesAnswer `json:"removed"`
	Changed     filesAnswer `json:"changed"`
	Manifest    []struct {
		Field   string `json:"field"`
		Name    string `json:"name"`
		From    string `json:"from"`
		To      string `json:"to"`
		Install bool   `json:"install"`
	} `json:"manifest"`
	More int `json:"moreManifest"`
}

type filesAnswer struct {
	Total int `json:"total"`
	Files []struct {
		Path     string `json:"path"`
		FromSize int64  `json:"fromSize"`
		Size     int64  `json:"size"`
	} `json:"files"`
}

// A shownDifference is in what a staged version differs from the published one.
type shownDifference struct {
	Offered              bool   // there is something to show of its files
	From, Tag            string // the version that it is compared with, and by which dist-tag; "": none
	Problem, FromProblem string // why a tarball is not read
	Size, FromSize       string // of all files
	Files, FromFiles     int
	Values               []shownValue // of package.json
	More                 int          // how many of them are not listed
	Kinds                []shownKind  // of files
}

// Compared reports whether both tarballs are read, or the only one.
func (d shownDifference) Compared() bool { return d.Offered && d.Problem == "" && d.FromProblem == "" }

// A shownKind are the files that differ in one way.
type shownKind struct {
	Caption string
	Total   int
	New     bool // the staged version has them, with a size
	Old     bool // and so has the published one
	Files   []shownFile
}

// More returns how many are not listed.
func (k shownKind) More() int { return k.Total - len(k.Files) }

// A shownFile is a file with its sizes.
type shownFile struct{ Path, From, Size string }

// A shownValue is a value of package.json in both versions.
type shownValue struct {
	Name     string
	From, To string // "": none
	Install  bool   // it says what is run where the package is installed
}

// difference reads in what the version of c differs from the published one.
func (s staged) difference(ctx context.Context, c caller) (shownDifference, error) {
	var is differenceAnswer
	if err := c.call(ctx, credential.Secret{}, http.MethodGet, decidePath+c.v.id+"/difference", nil, &is); err != nil {
		return shownDifference{}, err
	}
	d := shownDifference{
		Offered: is.Offered, From: printable(is.From), Tag: printable(is.Tag), Problem: printable(is.Problem), FromProblem: printable(is.FromProblem),
		Size: sizeText(is.Size), FromSize: sizeText(is.FromSize), Files: is.Files, FromFiles: is.FromFiles, More: is.More,
	}
	added := s.say("Files that are new")
	if d.From == "" {
		added = s.say("Its files")
	}
	for _, kind := range []struct {
		caption string
		files   filesAnswer
		is, was bool
	}{{added, is.Added, true, false}, {s.say("Files with another content"), is.Changed, true, true}, {s.say("Files that are gone"), is.Removed, false, true}} {
		shown := shownKind{Caption: kind.caption, Total: kind.files.Total, New: kind.is, Old: kind.was}
		for _, f := range kind.files.Files[:min(maxDiffering, len(kind.files.Files))] {
			shown.Files = append(shown.Files, shownFile{visible(f.Path), sizeText(f.FromSize), sizeText(f.Size)})
		}
		if shown.Total > 0 {
			d.Kinds = append(d.Kinds, shown)
		}
	}
	for i, v := range is.Manifest {
		if i == maxDiffering {
			d.More += len(is.Manifest) - i
			break
		}
		d.Values = append(d.Values, shownValue{strings.TrimSuffix(printable(v.Field)+": "+visible(v.Name), ": "), visible(v.From), visible(v.To), v.Install})
	}
	return d, nil
}

// visible returns a text with what a browser would not show written as in a program. So nothing is hidden in it, and no two
// texts look the same for a character that is only in one of them.
func visible(text string) string {
	quoted := strconv.Quote(text)
	var b strings.Builder
	for _, r := range strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`) {
		if shows(r) {
			b.WriteRune(r)
			continue
		}
		escaped := strconv.QuoteRuneToASCII(r)
		b.WriteString(escaped[1 : len(escaped)-1])
	}
	return b.String()
}

// sizeText returns a number of bytes as people read it.
func sizeText(n int64) string {
	const kib = 1 << 10
	switch {
	case n == 1:
		return "1 byte"
	case n < kib:
		return fmt.Sprintf("%d bytes", n)
	case n < kib*kib:
		return fmt.Sprintf("%.1f KiB", float64(n)/kib)
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(kib*kib))
}
