package tarball_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"github.com/npmauth/npmauth/internal/strictjson"
)

// A file is an entry with the names that a reader could know it by.
type file struct {
	names []string
	body  string
	dir   bool
}

// naive does over the whole tarball at once what a Checker does on the stream, by
// other means: it agrees on what is accepted.
func naive(in []byte) error {
	list, err := files(in)
	if err != nil {
		return err
	}
	found := []string{}
	for _, f := range list {
		exact := 0
		for _, name := range f.names {
			switch {
			case wayUp.MatchString(strings.ReplaceAll(name, `\`, "/")):
				return errors.New("a way up")
			case !f.dir && oneDown.MatchString(name):
				exact++
			case lands(name, f.dir):
				return errors.New("similar")
			}
		}
		if exact == 0 {
			continue
		}
		if found = append(found, f.body); exact < len(f.names) || f.body != found[0] || len(f.body) > 1<<20 {
			return errors.New("they differ")
		}
	}
	if len(found) == 0 {
		return errors.New("none")
	}
	text := []byte(strings.TrimPrefix(found[0], "\ufeff"))
	if strings.HasPrefix(string(text), "\ufeff") {
		return errors.New("two marks")
	}
	unchecked := func(path []strictjson.Step) bool { return len(path) == 1 && !checkedField.MatchString(path[0].Key) }
	strict := strictjson.NewScanner(strictjson.Limits{Keys: 1 << 14, File: true, Loose: unchecked}, func(e strictjson.Event) error {
		if len(e.Path) > 1 && e.Path[len(e.Path)-1].Key == "__proto__" {
			return errors.New("proto")
		}
		return nil
	})
	if _, err := strict.Write(text); err != nil {
		return err
	}
	if err := strict.Close(); err != nil {
		return err
	}
	var top map[string]any
	if err := json.Unmarshal(text, &top); err != nil {
		return err
	}
	for key := range top {
		if key != "name" && strings.EqualFold(key, "name") || key != "version" && strings.EqualFold(key, "version") {
			return errors.New("another case")
		}
	}
	version, _ := top["version"].(string)
	name, _ := top["name"].(string)
	if len(name) > 512 || strings.Trim(name, "\ufeff\u00a0 \t\r\n\v\f") != "@acme/widget" || len(version) > 512 || !cleaned.MatchString(version) {
		return errors.New("another package")
	}
	return nil
}

var (
	checkedField = regexp.MustCompile(`(?i)^(name|version|scripts|gypfile|bin|directories|bundled?Dependencies|(dev|peer|optional|accept)?Dependencies|(peer)?DependenciesMeta|engines|os|cpu|libc|hasInstallScript|_nodeVersion|_npmVersion)$`)

	cleaned = regexp.MustCompile(`^[\s\x0b\x{a0}\x{feff}]*[=v]*[=v\s]*0*1\.0+\.0+(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?[\s\x0b\x{a0}\x{feff}]*$`)
	oneDown = regexp.MustCompile(`^[^/\\:]*[^/\\:. ][^/\\:]*/package\.json$`)
	wayUp   = regexp.MustCompile(`(^|^.:|/)\.\.[. ]*(/|$)`)
	nothing = regexp.MustCompile(`/[. ]*/`)
	alike   = regexp.MustCompile(`(?i)^(package\.json|pa[^:]*~[^:]*\.jso)[. ]*(:|$)`)
)

// lands reports whether a reader puts the entry where package.json is, or makes a
// directory of that name for it.
func lands(name string, dir bool) bool {
	for _, view := range []string{name, regexp.MustCompile(`(?s)^.:`).ReplaceAllString(strings.ReplaceAll(name, `\`, "/"), "")} {
		tidy := "/" + view + "/"
		for nothing.MatchString(tidy) {
			tidy = nothing.ReplaceAllString(tidy, "/")
		}
		first, rest, _ := strings.Cut(strings.Trim(tidy, "/"), "/")
		then, _, _ := strings.Cut(rest, "/")
		if isAlike(then) {
			return true
		}
		plain := strings.TrimSuffix(name, "/") == strings.Trim(tidy, "/")
		if isAlike(first) && (!plain || rest == "" && !dir) {
			return true
		}
	}
	return strings.HasPrefix(strings.ReplaceAll(name, `\`, "/"), "//")
}

func isAlike(part string) bool {
	var b strings.Builder
	for _, r := range part {
		if !unicode.Is(unicode.Cf, r) && !unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) && !unicode.Is(unicode.Variation_Selector, r) {
			b.WriteRune(r)
		}
	}
	return alike.MatchString(b.String())
}

var (
	base64Text = regexp.MustCompile(`^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==)$`)
	number     = regexp.MustCompile(`^ *([0-7]+)[ \x00]*$`)
	anyNumber  = regexp.MustCompile(`^ *([0-7]*)[ \x00]*$`)
	gnuNumber  = regexp.MustCompile(`^80(0{8})?[01].{13}$`)
	paxRecord  = regexp.MustCompile(`^([1-9][0-9]*) ([^=\n]+)=([^\n]*)\n`)
)

// isNumber knows octal, nothing, and GNU's other form.
func isNumber(field string) bool {
	return anyNumber.MatchString(field) || gnuNumber.MatchString(hex.EncodeToString([]byte(field)))
}

// files returns the entries of a tarball that is plain from its base64 to its end.
func files(in []byte) (list []file, err error) {
	if !base64Text.Match(in) {
		return nil, errors.New("base64")
	}
	packed, err := base64.StdEncoding.Strict().DecodeString(string(in))
	if err != nil || len(packed) < 10 || packed[3] > 0x1f {
		return nil, errors.New("base64 or gzip")
	}
	src := bytes.NewReader(packed)
	zip, err := gzip.NewReader(src)
	if err != nil {
		return nil, err
	}
	zip.Multistream(false)
	data, err := io.ReadAll(zip)
	if err != nil || src.Len() > 0 || len(data)%512 > 0 {
		return nil, errors.New("gzip")
	}
	cut := func(n int) string {
		if n > len(data) {
			err = errors.New("cut")
			n = len(data)
		}
		s := string(data[:n])
		data = data[n:]
		return s
	}
	meta := file{}
	size := "" // of pax
	for {
		h := cut(512)
		if err != nil {
			return nil, err
		}
		if strings.Trim(h, "\x00") == "" {
			if len(data) < 512 || bytes.Trim(data, "\x00") != nil || meta.names != nil {
				return nil, errors.New("end")
			}
			return list, nil
		}
		sum := 8 * int(' ')
		for i := range len(h) {
			if i < 148 || i > 155 {
				sum += int(h[i])
			}
		}
		sums, sizes := number.FindStringSubmatch(h[148:156]), number.FindStringSubmatch(h[124:136])
		if sums == nil || sizes == nil {
			return nil, errors.New("number")
		}
		if n, _ := strconv.ParseInt(sums[1], 8, 64); n != int64(sum) {
			return nil, errors.New("sum")
		}
		length, _ := strconv.ParseInt(sizes[1], 8, 64)
		for _, f := range []string{h[100:108], h[108:116], h[116:124], h[136:148], h[329:337], h[337:345]} {
			if !isNumber(f) {
				return nil, errors.New("number")
			}
		}
		if strings.Trim(h[500:], "\x00") != "" {
			return nil, errors.New("star")
		}
		name, prefix := strings.TrimRight(h[:100], "\x00"), strings.TrimRight(h[345:500], "\x00")
		if h[475] == 0 && h[262] == 0 {
			prefix = strings.TrimRight(h[345:475], "\x00")
			for _, f := range []string{h[476:488], h[488:500]} {
				if !isNumber(f) {
					return nil, errors.New("time")
				}
			}
		}
		if strings.Contains(name+prefix, "\x00") || strings.Trim(h[157:257], "\x00") != "" {
			return nil, errors.New("name")
		}
		switch {
		case h[257:265] == "ustar\x0000" && prefix != "":
			name = prefix + "/" + name
		case h[257:265] == "ustar\x0000", h[257:265] == "ustar  \x00" && prefix == "":
		default:
			return nil, errors.New("magic")
		}
		if length > int64(len(data)) {
			return nil, errors.New("cut")
		}
		body := cut(int(length))
		cut(-int(length) & 511)
		switch kind := h[156]; kind {
		case 'L', 'x', 'g':
			if meta.names != nil || length > 64<<10 {
				return nil, errors.New("meta")
			}
			if kind == 'L' {
				long := strings.TrimSuffix(body, "\x00")
				if long == "" || strings.Contains(long, "\x00") {
					return nil, errors.New("long")
				}
				meta.names = []string{long}
				continue
			}
			values := map[string]string{}
			for body != "" {
				m := paxRecord.FindStringSubmatch(body)
				if m == nil || m[1] != strconv.Itoa(len(m[0])) {
					return nil, errors.New("pax")
				}
				_, twice := values[m[2]]
				reserved := m[2] == "path" || m[2] == "size" || m[2] == "linkpath" || strings.HasPrefix(m[2], "GNU.sparse.")
				if reserved && (twice || kind == 'g' || m[2] == "linkpath" || m[2][0] == 'G') {
					return nil, errors.New("pax")
				}
				values[m[2]] = m[3]
				switch m[2] {
				case "uid", "gid", "atime", "ctime", "mtime":
					whole, part, _ := strings.Cut(strings.TrimPrefix(m[3], "-"), ".")
					if strings.Trim(whole+part, "0123456789") != "" || len(whole) > 15 || len(part) > 20 || whole == "" && m[3] != "" {
						return nil, errors.New("pax")
					}
				case "uname", "gname":
					if strings.Contains(m[3], "\x00") {
						return nil, errors.New("pax")
					}
				}
				if strings.Contains(m[2], "\x00") {
					return nil, errors.New("pax")
				}
				body = body[len(m[0]):]
			}
			if kind == 'g' {
				continue
			}
			meta.names = []string{}
			if p, ok := values["path"]; ok {
				if p == "" || strings.Contains(p, "\x00") {
					return nil, errors.New("pax")
				}
				meta.names = append(meta.names, p)
			}
			if s, ok := values["size"]; ok {
				if !regexp.MustCompile(`^[0-9]+$`).MatchString(s) {
					return nil, errors.New("pax")
				}
				size = strings.TrimLeft(s, "0") + "."
			}
		case 0, '0', '5':
			f := file{names: append(meta.names, name), body: body, dir: kind == '5'}
			last := f.names[0]
			if f.dir && length > 0 || !f.dir && (last == "" || strings.HasSuffix(last, "/")) ||
				size != "" && size != strings.TrimLeft(strconv.FormatInt(length, 10), "0")+"." {
				return nil, errors.New("kind")
			}
			list = append(list, f)
			meta, size = file{}, ""
		default:
			return nil, errors.New("kind")
		}
	}
}
