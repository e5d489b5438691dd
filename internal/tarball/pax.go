package tarball

import (
	"bytes"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// pax is what the attributes of an entry say of where it is and how long.
type pax struct {
	path *string
	size *int64
}

// numeric are the attributes for whose sake a reader may refuse an entry.
var numeric = []string{"uid", "gid", "atime", "ctime", "mtime"}

// paxNumber is a number, of seconds maybe, or none, which leaves the header's.
var paxNumber = regexp.MustCompile(`^(-?[0-9]{1,15}(\.[0-9]{0,20})?)?$`)

// attributes reads pax records, "<length> <key>=<value>\n" each: POSIX.1-2024, pax,
// "pax Extended Header". Most are of no account: times, owners, comments.
func (a *archive) attributes(h entryHeader, global bool) (pax, error) {
	data, err := a.meta(h)
	if err != nil {
		return pax{}, err
	}
	var x pax
	for len(data) > 0 {
		digits, _, _ := bytes.Cut(data[:min(len(data), 8)], []byte(" "))
		n, err := strconv.ParseUint(string(digits), 10, 32)
		if err != nil || digits[0] == '0' || n > uint64(len(data)) || n <= uint64(len(digits)) {
			return pax{}, errHeader
		}
		record := string(data[len(digits)+1 : n])
		data = data[n:]
		if err := a.does(&a.work.records, 1); err != nil {
			return pax{}, err
		}
		key, value, ok := strings.Cut(record, "=")
		// node-tar splits at line ends, whatever the length says.
		if !ok || key == "" || strings.Contains(key, "\x00") || strings.IndexByte(record, '\n') != len(record)-1 {
			return pax{}, errHeader
		}
		value = strings.TrimSuffix(value, "\n")
		switch {
		case key == "path" && !global && x.path == nil && value != "" && !strings.Contains(value, "\x00"):
			x.path = &value
		case key == "size" && !global && x.size == nil:
			size, err := strconv.ParseUint(value, 10, 62)
			if err != nil {
				return pax{}, errHeader
			}
			x.size = new(int64)
			*x.size = int64(size)
		case slices.Contains(numeric, key):
			if !paxNumber.MatchString(value) {
				return pax{}, errHeader
			}
		case (key == "uname" || key == "gname") && strings.Contains(value, "\x00"):
			return pax{}, errHeader
		case key == "path", key == "size", key == "linkpath", strings.HasPrefix(key, "GNU.sparse."):
			return pax{}, errHeader
		}
	}
	return x, nil
}

// longName reads the name of the next entry, which a NUL may end.
func (a *archive) longName(h entryHeader) (*string, error) {
	data, err := a.meta(h)
	if err != nil {
		return nil, err
	}
	name := strings.TrimSuffix(string(data), "\x00")
	if name == "" || strings.Contains(name, "\x00") {
		return nil, errHeader
	}
	return &name, nil
}
