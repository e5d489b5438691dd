package tarball_test

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/manifest"
	"github.com/npmauth/npmauth/internal/tarball"
)

var pkg = entry{name: "package/package.json", body: packageJSON}

// accepted are tarballs of @acme/widget 1.0.0 that clients make, or could.
func accepted(tb testing.TB) map[string][]byte {
	long := strings.Repeat("d/", 200)
	return map[string][]byte{
		"plain":            tape(pkg),
		"among others":     tape(entry{name: "package/a.js", body: strings.Repeat("x", 5000)}, entry{name: "package/lib/", kind: '5'}, pkg, entry{name: "package/empty"}),
		"another folder":   tape(entry{name: "widget-1a2b3c/package.json", body: packageJSON}),
		"twice the same":   tape(pkg, entry{name: "other/package.json", body: packageJSON}, pkg),
		"further down":     tape(pkg, entry{name: "package/test/Package.json", body: "{}"}, entry{name: "package/node_modules/package.json/package.json", body: "{"}),
		"kind of before":   tape(entry{name: pkg.name, body: packageJSON, edit: func(h []byte) { h[156] = 0 }}),
		"prefix":           tape(entry{prefix: "package", name: "package.json", body: packageJSON}),
		"ends like a tape": append(tape(pkg), make([]byte, 8192)...),
		"spaces in sizes":  tape(entry{name: pkg.name, body: packageJSON, edit: func(h []byte) { copy(h[124:136], fmt.Sprintf("%10o \x00", len(packageJSON))) }}),
		"comment for all":  tape(entry{name: "pax_global_header", kind: 'g', body: record("comment", "1a2b3c")}, pkg),
		"pax times":        tape(entry{name: "PaxHeader/package.json", kind: 'x', body: record("mtime", "1.5") + record("path", pkg.name) + record("size", fmt.Sprint(len(packageJSON)))}, pkg),
		"pax long name":    tape(pkg, entry{name: "PaxHeader/x", kind: 'x', body: record("path", "package/"+long+"x")}, entry{name: "package/" + long[:90]}),
		"gnu long name":    tape(pkg, entry{name: "././@LongLink", kind: 'L', magic: "ustar  \x00", body: "package/" + long + "x\x00"}, entry{name: "package/" + long[:90], magic: "ustar  \x00"}),
		"go ustar":         packed(tb, map[string]string{pkg.name: packageJSON, "package/" + long[:180] + "x": "x"}, tar.FormatUSTAR),
		"go pax":           packed(tb, map[string]string{pkg.name: packageJSON, "package/" + long + "x": "x", "package/é": "e"}, tar.FormatPAX),
		"go gnu":           packed(tb, map[string]string{pkg.name: packageJSON, "package/" + long + "x": "x"}, tar.FormatGNU),
		"much else": tape(entry{name: pkg.name, body: `{"exports":{"./A":1,"./a":2},"name":"@acme/widget","version":"1.0.0","x":{"Name":"y","name":"z"},"long":"` +
			strings.Repeat("l", 3000) + `"}`}),
		"numbers of GNU": tape(entry{name: pkg.name, body: packageJSON, edit: func(h []byte) {
			copy(h[108:], "\x80\x1f\xff\xff\xff\xff\xff\xff")
			copy(h[136:], "\x80\x00\x00\x00\x00\x1f")
		}}),
		"times of node-tar": tape(entry{name: "package.json", prefix: "package", body: packageJSON, edit: func(h []byte) { copy(h[476:], "15270440050\x0015270440050\x00") }}),
		"prefix of 131":     tape(pkg, entry{name: "x", prefix: "package/" + long[:122] + "x"}),
		"no numbers":        tape(entry{name: pkg.name, body: packageJSON, edit: func(h []byte) { clear(h[100:124]); copy(h[136:148], "            ") }}),
		"v":                 tape(entry{name: pkg.name, body: strings.Replace(packageJSON, "1.0.0", "v1.0.0", 1)}),
		"=":                 tape(entry{name: pkg.name, body: strings.Replace(packageJSON, "1.0.0", " =v1.0.0 ", 1)}),
		"build":             tape(entry{name: pkg.name, body: strings.Replace(packageJSON, "1.0.0", "1.0.0+7", 1)}),
		"zeros":             tape(entry{name: pkg.name, body: strings.Replace(packageJSON, "1.0.0", "01.00.0", 1)}),
		"space":             tape(entry{name: pkg.name, body: strings.Replace(packageJSON, "@acme/widget", `\n@acme/widget `+"\u00a0", 1)}),

		// What JavaScript reads and nobody checks, AU-37.
		"byte order mark": tape(entry{name: pkg.name, body: "\ufeff" + packageJSON}),
		"repeated":        tape(entry{name: pkg.name, body: packageJSON[:len(packageJSON)-1] + `,"license":"MIT","license":"ISC","config":{"a":1,"a":{"a":2,"a":3}}}`}),
		"deep":            tape(entry{name: pkg.name, body: packageJSON[:len(packageJSON)-1] + `,"config":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`}),
		"surrogates":      tape(entry{name: pkg.name, body: packageJSON[:len(packageJSON)-1] + `,"config":{"\ud800":"\udc00\ud800\ud800"}}`}),
		"Latin-1":         tape(entry{name: pkg.name, body: packageJSON[:len(packageJSON)-1] + ",\"author\":\"Ren\xe9\",\"config\":{\"\xff\":1}}"}),
		"many keys":       tape(entry{name: pkg.name, body: packageJSON[:len(packageJSON)-1] + `,"exports":{` + strings.TrimSuffix(strings.Repeat(`"./x":1,`, 20000), ",") + `}}`}),
		"long key":        tape(entry{name: pkg.name, body: packageJSON[:len(packageJSON)-1] + `,"config":{"` + strings.Repeat("k", 9000) + `":1}}`}),

		"1 MiB": tape(entry{name: pkg.name, body: packageJSON + strings.Repeat(" ", 1<<20-len(packageJSON))}),
	}
}

func TestAccepts(t *testing.T) {
	for name, data := range accepted(t) {
		t.Run(name, func(t *testing.T) {
			in := text(zip(data))
			for _, size := range []int{1, 3, 4, 1000, len(in)} {
				require.NoError(t, check(in, size), "in pieces of %d", size)
			}
			assert.NoError(t, naive(in), "the oracle")
		})
	}
}

const (
	notPlain = "not plain tar"
	taken    = "could be taken"
)

// refused are tarballs that one reader takes for another's, and some that nobody does.
func refused() map[string]struct {
	data []byte
	says string
} {
	body := func(s string) []byte { return tape(entry{name: pkg.name, body: s}) }
	beside := func(name string) []byte { return tape(pkg, entry{name: name, body: packageJSON}) }
	header := func(edit func([]byte)) []byte {
		return tape(entry{name: pkg.name, body: packageJSON, edit: edit})
	}
	x := func(body string) []byte { return tape(entry{name: "PaxHeader", kind: 'x', body: body}, pkg) }
	type tt = struct {
		data []byte
		says string
	}
	all := map[string]tt{
		"another package":        {body(`{"name":"@acme/gadget","version":"1.0.0"}`), "another package"},
		"without scope":          {body(`{"name":"widget","version":"1.0.0"}`), "another package"},
		"another version":        {body(`{"name":"@acme/widget","version":"1.0.1"}`), "another version"},
		"version in the middle":  {body(`{"name":"@acme/widget","version":"1.0.0-v"}`), "another version"},
		"no name":                {body(`{"version":"1.0.0"}`), "lacks"},
		"no version":             {body(`{"name":"@acme/widget"}`), "lacks"},
		"name of another type":   {body(`{"name":["@acme/widget"],"version":"1.0.0"}`), "is none"},
		"name long":              {body(`{"name":"` + strings.Repeat("x", 600) + `","version":"1.0.0"}`), "is none"},
		"name twice":             {body(`{"name":"@acme/gadget","name":"@acme/widget","version":"1.0.0"}`), "duplicate key"},
		"Name beside it":         {body(`{"name":"@acme/widget","version":"1.0.0","Name":"@acme/gadget"}`), "another case"},
		"ver\u017fion beside it": {body(`{"name":"@acme/widget","version":"1.0.0","ver` + "\u017f" + `ion":"2.0.0"}`), "another case"},
		"duplicate further down": {body(`{"name":"@acme/widget","version":"1.0.0","scripts":{"install":"a","install":"b"}}`), "duplicate key"},
		"not JSON":               {body(packageJSON + "x"), "invalid JSON"},
		"two byte order marks":   {body("\ufeff\ufeff" + packageJSON), "byte order mark at byte 3"},
		"half a byte order mark": {body("\ufeff"[:2] + packageJSON), "invalid UTF-8"},
		"array":                  {body(`["name","version"]`), "must be an object"},
		"empty":                  {body(""), "unexpected end"},
		"big":                    {body(packageJSON + strings.Repeat(" ", 1<<20+1-len(packageJSON))), "too big"},
		"none":                   {tape(entry{name: "package/index.js"}), "no package.json"},
		"none at the root":       {tape(entry{name: "package/lib/package.json", body: packageJSON}), "no package.json"},
		"nothing":                {tape(), "no package.json"},
		"two that differ":        {tape(pkg, entry{name: "other/package.json", body: packageJSON + "\n"}), "several"},
		"two, the last wrong":    {tape(pkg, entry{name: pkg.name, body: `{"name":"x","version":"1.0.0"}`}), "several"},

		"directory in its place":  {tape(pkg, entry{name: "package/package.json/", kind: '5'}), taken},
		"file in its place":       {tape(pkg, entry{name: "package/package.json/x"}), taken},
		"way to it by pax":        {tape(pkg, entry{name: "PaxHeader", kind: 'x', body: record("path", pkg.name)}, entry{name: "package/x", body: packageJSON}), taken},
		"way from it by pax":      {tape(pkg, entry{name: "PaxHeader", kind: 'x', body: record("path", "package/x")}, pkg), taken},
		"case of it by pax":       {tape(pkg, entry{name: "PaxHeader", kind: 'x', body: record("path", "package/PACKAGE.json")}, entry{name: "package/x"}), taken},
		"way to it by GNU":        {tape(pkg, entry{name: "././@LongLink", kind: 'L', magic: "ustar  \x00", body: pkg.name + "\x00"}, entry{name: "package/x", body: packageJSON, magic: "ustar  \x00"}), taken},
		"hard link":               {tape(pkg, entry{name: pkg.name, kind: '1', link: "package/x"}), "neither a file"},
		"symbolic link":           {tape(pkg, entry{name: "package/x", kind: '2', link: "."}, entry{name: "package/x/package.json", body: "{}"}), "neither a file"},
		"device":                  {tape(pkg, entry{name: "package/x", kind: '3'}), "neither a file"},
		"contiguous":              {tape(pkg, entry{name: "package/x", kind: '7'}), "neither a file"},
		"sparse":                  {tape(pkg, entry{name: "package/x", kind: 'S', magic: "ustar  \x00"}), "neither a file"},
		"sparse by pax":           {x(record("GNU.sparse.major", "1") + record("GNU.sparse.minor", "0") + record("GNU.sparse.name", "package/x")), notPlain},
		"attributes of Solaris":   {tape(pkg, entry{name: "package/x", kind: 'X'}), "neither a file"},
		"path for all":            {tape(entry{name: "g", kind: 'g', body: record("path", "package/x")}, pkg), notPlain},
		"long name and pax":       {tape(entry{name: "L", kind: 'L', body: "package/x"}, entry{name: "x", kind: 'x', body: record("path", "package/y")}, pkg), notPlain},
		"pax for nothing":         {tape(pkg, entry{name: "x", kind: 'x', body: record("path", "package/y")}), notPlain},
		"long name with a NUL":    {tape(pkg, entry{name: "L", kind: 'L', body: "package/x\x00y"}, entry{name: "y"}), notPlain},
		"long name empty":         {tape(pkg, entry{name: "L", kind: 'L'}, entry{name: "y"}), notPlain},
		"attributes big":          {x(record("comment", strings.Repeat("x", 70000))), notPlain},
		"pax size":                {x(record("size", "1024")), notPlain},
		"pax size negative":       {x(record("size", "-1")), notPlain},
		"pax path twice":          {x(record("path", pkg.name) + record("path", pkg.name)), notPlain},
		"pax path empty":          {x(record("path", "")), notPlain},
		"pax path with a NUL":     {x(record("path", pkg.name+"\x00x")), notPlain},
		"pax linkpath":            {x(record("linkpath", "x")), notPlain},
		"pax in pax":              {x(record("comment", "x\n30 path=package/package.json")), notPlain},
		"pax record cut":          {x("30 path=x\n"), notPlain},
		"pax record without =":    {x("7 path\n"), notPlain},
		"pax record without key":  {x("5 =x\n"), notPlain},
		"pax record of no length": {x("path=x\n"), notPlain},
		"pax record of zero":      {x("0 path=x\n"), notPlain},
		"pax length with a zero":  {x("010 path=x\n"), notPlain},
		"pax record short":        {x("2 path=x\n"), notPlain},
		"pax record unended":      {x("9 path=xyz\n"), notPlain},

		"name behind a NUL":      {header(func(h []byte) { copy(h[40:], "\nx") }), notPlain},
		"link name on a file":    {tape(entry{name: pkg.name, link: "x", body: packageJSON}), notPlain},
		"directory with content": {tape(pkg, entry{name: "package/x/", kind: '5', body: "x"}), notPlain},
		"file like a directory":  {tape(pkg, entry{name: "package/x/", body: "x"}), notPlain},
		"file of no name":        {tape(pkg, entry{body: "x"}), notPlain},
		"sum wrong":              {tape(entry{name: pkg.name, body: packageJSON, after: func(h []byte) { h[0] = 'q' }}), notPlain},
		"sum of signed bytes":    {tape(pkg, entry{name: "package/\xff", after: func(h []byte) { copy(h[148:], fmt.Sprintf("%06o\x00 ", signed(h))) }}), notPlain},
		"size in base 256": {header(func(h []byte) {
			copy(h[124:], append([]byte{0x80}, make([]byte, 10)...))
			h[135] = byte(len(packageJSON))
		}), notPlain},
		"size of none":           {header(func(h []byte) { copy(h[124:], make([]byte, 12)) }), notPlain},
		"size with more":         {header(func(h []byte) { copy(h[124:], "51 1\x00\x00\x00\x00\x00\x00\x00\x00") }), notPlain},
		"size negative":          {header(func(h []byte) { copy(h[124:], "-0000000051\x00") }), notPlain},
		"mode of no number":      {header(func(h []byte) { copy(h[100:], "rw-r--r--") }), notPlain},
		"user of 54 bits":        {header(func(h []byte) { copy(h[108:], "\x80\x20\x00\x00\x00\x00\x00\x00") }), notPlain},
		"time of 54 bits":        {header(func(h []byte) { copy(h[136:], "\x80\x00\x00\x00\x00\x20") }), notPlain},
		"time before all":        {header(func(h []byte) { copy(h[136:], strings.Repeat("\xff", 12)) }), notPlain},
		"prefix behind a NUL":    {header(func(h []byte) { copy(h[345:], "x\x00/x") }), notPlain},
		"time of node-tar":       {header(func(h []byte) { copy(h[476:], "package") }), notPlain},
		"device of no number":    {header(func(h []byte) { h[329] = 'x' }), notPlain},
		"magic of star":          {header(func(h []byte) { copy(h[508:], "tar\x00") }), notPlain},
		"pax time of no number":  {x(record("mtime", "now")), notPlain},
		"pax user with a NUL":    {x(record("uname", "x\x00")), notPlain},
		"pax key with a NUL":     {x(record("x\x00", "x")), notPlain},
		"no magic":               {header(func(h []byte) { copy(h[257:], make([]byte, 8)) }), notPlain},
		"version of no standard": {header(func(h []byte) { copy(h[263:], "  ") }), notPlain},
		"GNU with a prefix":      {tape(pkg, entry{name: "package.json", prefix: "package", magic: "ustar  \x00", body: packageJSON}), notPlain},
		"block of zeros within":  {append(append(pkg.bytes(), make([]byte, 512)...), tape(pkg)...), notPlain},
		"no end":                 {pkg.bytes(), "cut short"},
		"half an end":            {append(pkg.bytes(), make([]byte, 512)...), "cut short"},
		"block not whole":        {append(tape(pkg), 0), "cut short"},
		"entry behind the end":   {append(tape(pkg), tape(pkg)...), "after its end"},
		"byte behind the end":    {append(tape(pkg), append(make([]byte, 511), 1)...), "after its end"},
		"entry cut":              {pkg.bytes()[:600], "cut short"},
		"pax cut":                {entry{name: "x", kind: 'x', body: record("path", "y")}.bytes(), "cut short"},
		"empty tar":              {nil, "cut short"},
	}
	for _, name := range []string{
		"package/Package.json", "package/pac\u212Aage.json", "package/pack\u200Bage.json", "package/package.json.", "package/package.json ",
		"package/package.json::$DATA", "package/PACKAG~1.JSO", "package/pa1b2c~1.jso", "PACKAGE/PACKAGE.JSON",
		"./package.json", "/package.json", "package.json", "Package.json", "package//package.json", "package/./package.json", "./package/package.json",
		"/package/package.json", `package\package.json`, `package/.\package.json`, `a\b/package.json`, "c:/package/package.json", "c:package/package.json",
		`C:\package\package.json`, "//host/share/package/package.json", `\\?\C:\package\package.json`, "package/. /package.json", "./package.json/x", "package/package.json/.",
	} {
		all["at "+name] = tt{beside(name), taken}
	}
	for _, name := range []string{"package/../package/package.json", "../package.json", "package/x/..", "package/.. /package.json", `package\..\x`, "c:../x"} {
		all["at "+name] = tt{beside(name), ".. in its path"}
	}
	return all
}

func signed(h []byte) (sum int) {
	for i, c := range h {
		if i >= 148 && i < 156 {
			c = ' '
		}
		sum += int(int8(c))
	}
	return sum
}

func TestRefuses(t *testing.T) {
	for name, tt := range refused() {
		t.Run(name, func(t *testing.T) { refuses(t, text(zip(tt.data)), tt.says) })
	}
}

func refuses(t *testing.T, in []byte, says string) {
	t.Helper()
	for _, size := range []int{1, 3, 4, 1000, len(in) + 1} {
		err := check(in, size)
		require.ErrorContains(t, err, says, "in pieces of %d", size)
		if _, differs := errors.AsType[*manifest.Error](err); !differs {
			assert.IsType(t, &tarball.Error{}, err)
		}
	}
	assert.Error(t, naive(in), "the oracle")
}

func TestRefusesGzip(t *testing.T) {
	good := zip(tape(pkg))
	edited := func(at int, c byte) []byte {
		data := bytes.Clone(good)
		data[(at+len(data))%len(data)] = c
		return data
	}
	stored := append([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff}, good[10:]...)
	require.NoError(t, check(text(stored), 7))
	require.NoError(t, check(text(zipAs("widget.tgz", tape(pkg))), 7))
	for name, tt := range map[string]struct {
		data []byte
		says string
	}{
		"nothing":          {nil, "cut short"},
		"only a tar":       {tape(pkg), "not valid gzip"},
		"header cut":       {good[:9], "cut short"},
		"cut":              {good[:len(good)/2], "cut short"},
		"trailer cut":      {good[:len(good)-1], "cut short"},
		"sum":              {edited(-5, good[len(good)-5]^1), "not valid gzip"},
		"length":           {edited(-1, 1), "not valid gzip"},
		"method":           {edited(2, 7), "not valid gzip"},
		"reserved flag":    {edited(3, 0x20), "not valid gzip"},
		"block of no type": {edited(10, 0x07), "not valid gzip"},
		"zero behind it":   {append(bytes.Clone(good), 0), "after its end"},
		"second member":    {append(bytes.Clone(good), zip(nil)...), "after its end"},
		"two members":      {append(zip(pkg.bytes()), zip(end)...), "cut short"},
		"text behind it":   {append(bytes.Clone(good), "PK\x03\x04"...), "after its end"},
	} {
		t.Run(name, func(t *testing.T) { refuses(t, text(tt.data), tt.says) })
	}
}

func TestRefusesBase64(t *testing.T) {
	good := ""
	for name := "x"; !strings.HasSuffix(good, "=="); name += "x" {
		good = string(text(zipAs(name, tape(pkg))))
	}
	last := len(good) - 3
	for name, in := range map[string]string{
		"line end":         good[:40] + "\n" + good[40:],
		"return":           good[:40] + "\r" + good[40:],
		"line end at last": good + "\n",
		"four of them":     good[:40] + "\n\n\n\n" + good[40:],
		"space":            good[:40] + " " + good[40:],
		"of URLs":          good[:40] + "-_-_" + good[44:],
		"no padding":       good[:len(good)-2],
		"half of it":       good[:len(good)-1],
		"too much of it":   good + "====",
		"in the middle":    good[:40] + "AA==" + good[40:],
		"more behind":      good + "AAAA",
		"loose bits":       good[:last] + string(good[last]+1) + "==",
		"not ASCII":        good[:40] + "é" + good[40:],
	} {
		t.Run(name, func(t *testing.T) { refuses(t, []byte(in), "base64") })
	}
}

// A bomb is refused when it has grown to the bound, not when it has ended; and so is one that
// sends as much as what it unpacks to may have.
func TestRefusesBombs(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("unpacks 4 GiB")
	}
	big := entry{name: "package/x", edit: func(h []byte) { copy(h[124:], fmt.Sprintf("%011o\x00", int64(3)<<30)) }}
	noise := make([]byte, 300<<10)
	_, _ = rand.NewChaCha8([32]byte{}).Read(noise)
	zeros := make([]byte, 16<<20)
	for name, tt := range map[string]struct {
		start, more []byte
		most        int
	}{
		"in an entry":         {append(pkg.bytes(), big.bytes()...), zeros, 34 << 20},
		"behind the end":      {tape(pkg), zeros, 34 << 20},
		"with enough sent":    {append(pkg.bytes(), big.bytes()...), append(zeros, noise...), 2 << 30},
		"with much less sent": {append(pkg.bytes(), big.bytes()...), append(zeros, noise[:100<<10]...), 60 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			c := tarball.New()
			defer c.Abort()
			var out bytes.Buffer
			w := gzip.NewWriter(&out)
			more := func(p []byte) []byte {
				out.Reset()
				_, err := w.Write(p)
				require.NoError(t, err)
				require.NoError(t, w.Flush())
				return out.Bytes()
			}
			encode := base64.NewEncoder(base64.StdEncoding, c)
			_, err := encode.Write(append(bytes.Clone(more(tt.start)), more(tt.more)...))
			require.NoError(t, err)
			further := more(tt.more) // it refers to what was before, and so may come any number of times
			n := 1
			for ; err == nil && n < 200; n++ {
				_, err = encode.Write(further)
			}
			require.ErrorContains(t, err, "too big unpacked")
			assert.InDelta(t, tt.most, c.Work()["unpacked"], float64(2*len(tt.more)))
		})
	}
}

func TestRefusesManyEntries(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("unpacks 128 MiB")
	}
	c := tarball.New()
	defer c.Abort()
	encode := base64.NewEncoder(base64.StdEncoding, c)
	w := gzip.NewWriter(encode)
	write := func(data []byte) error {
		_, err := w.Write(data)
		return cmp.Or(err, w.Flush())
	}
	noise := make([]byte, 4<<20) // so much that the share of it is no less
	_, _ = rand.NewChaCha8([32]byte{}).Read(noise)
	one := entry{name: "package/x"}.bytes()
	require.NoError(t, write(slices.Concat(pkg.bytes(), entry{name: "package/y", body: string(noise)}.bytes(), bytes.Repeat(one, 1<<18-2))))
	require.ErrorContains(t, write(bytes.Repeat(one, 2)), "too many entries")
}

// However a check ends, its goroutine has ended before.
func TestNoGoroutineIsLeft(t *testing.T) {
	good := text(zip(tape(entry{name: "package/x", body: strings.Repeat("x", 1<<16)}, pkg)))
	bad := text(zip(tape(entry{name: "package/x", kind: '1'}, pkg)))
	for name, use := range map[string]func(c *tarball.Checker){
		"closed": func(c *tarball.Checker) {
			_, err := c.Write(good)
			require.NoError(t, err)
			_, err = c.Close()
			require.NoError(t, err)
			c.Abort()
			_, err = c.Close()
			require.NoError(t, err, "closed once")
			_, err = c.Write(good)
			require.Error(t, err)
		},
		"closed half way": func(c *tarball.Checker) {
			_, err := c.Write(good[:len(good)/8*4])
			require.NoError(t, err)
			_, err = c.Close()
			require.ErrorContains(t, err, "cut short")
		},
		"aborted half way": func(c *tarball.Checker) {
			_, err := c.Write(good[:len(good)/8*4])
			require.NoError(t, err)
			c.Abort()
			c.Abort()
			_, err = c.Write(good[len(good)/8*4:])
			require.Error(t, err)
			m, err := c.Close()
			require.Error(t, err)
			require.Zero(t, m)
		},
		"aborted in the header": func(c *tarball.Checker) {
			_, err := c.Write(good[:8])
			require.NoError(t, err)
			c.Abort()
		},
		"aborted at the end": func(c *tarball.Checker) {
			_, err := c.Write(good)
			require.NoError(t, err)
			c.Abort()
			_, err = c.Close()
			require.Error(t, err)
		},
		"refused": func(c *tarball.Checker) {
			_, err := c.Write(bad)
			require.ErrorContains(t, err, "neither")
		},
		"refused for its base64": func(c *tarball.Checker) {
			_, err := c.Write(append(good[:80:80], "****"...))
			require.ErrorContains(t, err, "base64")
		},
		"unused":        func(*tarball.Checker) {},
		"closed at all": func(c *tarball.Checker) { _, err := c.Close(); require.ErrorContains(t, err, "cut short") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for range 10 {
					use(tarball.New())
				}
				synctest.Wait() // for those that are ending
				stacks := make([]byte, 1<<20)
				assert.NotContains(t, string(stacks[:runtime.Stack(stacks, true)]), "tarball.newFeed.func", "a goroutine is left")
			})
		})
	}
}
