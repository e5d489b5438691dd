package tarball

import (
	"slices"
	"strings"
	"unicode"
)

const packageJSON = "package.json"

var (
	errPlace  = refuse("the tarball has an entry that could be taken for its package.json")
	errParent = refuse("the tarball has an entry with .. in its path")
)

// place reports whether the entry at path is the package.json that npm finds: a file
// two parts down, of which npm strips the first. It refuses what some reader or file
// system could put in that place and this one would not, or the other way round.
//
// Readers strip the first part before or after they drop what is empty or a dot;
// on Windows a backslash parts, too. So in the paths that all of them agree on, only
// the second part is of account; in the others, the first is as well.
func place(path string, file bool) (exact bool, err error) {
	if file && isExact(path) {
		return true, nil
	}
	windows := strings.ReplaceAll(path, `\`, "/")
	if strings.HasPrefix(windows, "//") { // the name of a device, maybe
		return false, errPlace
	}
	if len(windows) > 1 && windows[1] == ':' { // a drive
		windows = windows[2:]
	}
	for _, as := range []string{path, windows} {
		parts := strings.Split(as, "/")
		if slices.ContainsFunc(parts, isParent) {
			return false, errParent
		}
		parts = slices.DeleteFunc(parts, func(p string) bool { return strings.Trim(p, ". ") == "" })
		clean := strings.TrimSuffix(path, "/") == strings.Join(parts, "/")
		switch {
		case len(parts) == 0:
		case len(parts) > 1 && similar(parts[1]):
			return false, errPlace
		case similar(parts[0]) && (!clean || len(parts) == 1 && file):
			return false, errPlace
		}
	}
	return false, nil
}

func isExact(path string) bool {
	first, rest, _ := strings.Cut(path, "/")
	return rest == packageJSON && strings.Trim(first, ". ") != "" && !strings.ContainsAny(first, `\:`)
}

// isParent reports whether a part of a path is the way up. Windows drops spaces and
// dots at the end of it.
func isParent(part string) bool {
	return strings.HasPrefix(part, "..") && strings.Trim(part, ". ") == ""
}

// similar reports whether a file system could take a name for package.json: without
// regard to case, to what Unicode says to ignore, to dots and spaces at the end and
// to what follows a colon (an NTFS stream); or because it is the short name that
// Windows gives to it.
func similar(name string) bool {
	name, _, _ = strings.Cut(name, ":")
	name = strings.TrimRight(strings.Map(func(r rune) rune {
		if r <= unicode.MaxASCII {
			return r // of which none is ignored; the tables are slow to search
		}
		if unicode.In(r, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) {
			return -1
		}
		return r
	}, name), ". ")
	if strings.EqualFold(name, packageJSON) {
		return true
	}
	short := strings.ToLower(name) // PACKAG~1.JSO, PA1B2C~1.JSO
	return strings.HasPrefix(short, "pa") && strings.Contains(short, "~") && strings.HasSuffix(short, ".jso")
}
