package tarball

import (
	"bytes"
	"strconv"
	"strings"
)

// errHeader is for everything in the tar format that packing a package does not
// need: what one reader takes for an entry another skips.
var errHeader = refuse("the tarball has an entry that is not plain tar")

var errKind = refuse("the tarball has an entry that is neither a file nor a directory")

const blockSize = 512

// A block is what a tar file is made of. The first one of an entry is its header:
// POSIX.1-2024, pax, "ustar Interchange Format".
type block [blockSize]byte

// The kinds of entries that are read. Everything else is refused: links, devices,
// sparse files, and the many of no standard.
const (
	kindFile     = '0'
	kindDir      = '5'
	kindPAX      = 'x' // attributes of the next entry
	kindGlobal   = 'g' // attributes of all that follow
	kindLongName = 'L' // GNU: the name of the next entry
)

// An entryHeader is what a header says.
type entryHeader struct {
	kind byte
	name string
	size int64
}

// header reads a header. It takes ustar and GNU's variant of it, each as its own
// writers write it.
func (b *block) header() (entryHeader, error) {
	want, ok := octal(b[148:156])
	if !ok || want != b.sum() {
		return entryHeader{}, errHeader
	}
	h := entryHeader{kind: b[156]}
	if h.kind == 0 { // how it was before POSIX
		h.kind = kindFile
	}
	name, ok1 := text(b[:100])
	link, ok2 := text(b[157:257])
	prefix := ""
	ok3 := false
	switch string(b[257:265]) {
	case "ustar\x0000":
		if prefix, ok3 = text(b[345:500]); b[475] == 0 { // node-tar writes times behind a prefix that leaves them room
			prefix, ok3 = text(b[345:476])
			ok3 = ok3 && number(b[476:488]) && number(b[488:500])
		}
	case "ustar  \x00":
		// Readers that take GNU's for ustar would find a prefix here.
		ok3 = zero(b[345:500])
	}
	h.size, ok = octal(b[124:136])
	if !ok || !ok1 || !ok2 || !ok3 || !zero(b[500:]) { // star, which some read otherwise, has its magic there
		return entryHeader{}, errHeader
	}
	// Mode, user, group, time and device numbers are of no account, but an entry
	// with a wrong one is skipped by some.
	for _, field := range [][]byte{b[100:108], b[108:116], b[116:124], b[136:148], b[329:337], b[337:345]} {
		if !number(field) {
			return entryHeader{}, errHeader
		}
	}
	switch h.kind {
	case kindFile, kindPAX, kindGlobal, kindLongName:
	case kindDir:
		if h.size != 0 { // skipped by some and not by others
			return entryHeader{}, errHeader
		}
	default:
		return entryHeader{}, errKind
	}
	if link != "" { // node-tar skips what has one and should not
		return entryHeader{}, errHeader
	}
	if h.name = name; prefix != "" {
		h.name = prefix + "/" + name
	}
	return h, nil
}

// sum returns the sum of all bytes, those of the sum itself taken for spaces.
func (b *block) sum() int64 {
	n := int64(0)
	for i, c := range b {
		if i >= 148 && i < 156 {
			c = ' '
		}
		n += int64(c)
	}
	return n
}

// text reads a field that holds text, up to the first NUL if there is one. What
// follows it must be NUL too: node-tar reads on behind a line end.
func text(field []byte) (string, bool) {
	s, rest, _ := bytes.Cut(field, []byte{0})
	return string(s), zero(rest)
}

func zero(p []byte) bool { return bytes.Count(p, []byte{0}) == len(p) }

// octal reads a number: spaces, digits, then spaces and NULs. Of the sizes that
// need GNU's other form none fits a tarball.
func octal(field []byte) (int64, bool) {
	digits := strings.TrimLeft(strings.TrimRight(string(field), " \x00"), " ")
	if strings.Trim(digits, "01234567") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(digits, 8, 64)
	return n, err == nil
}

// number reports whether a field is empty, octal, or a number in GNU's other form
// that every reader can hold: at most 53 bits.
func number(field []byte) bool {
	if field[0] == 0x80 {
		high := len(field) - 7
		return zero(field[1:high]) && field[high] < 0x20
	}
	_, ok := octal(field)
	return ok || strings.Trim(string(field), " \x00") == ""
}
