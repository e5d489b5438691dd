package nfc_test

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/nfc"
)

func Example() {
	fmt.Println(nfc.String("e\u0301") == "\u00e9")
	// Output: true
}

func TestString(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"empty", "", ""},
		{"ASCII", "correct horse", "correct horse"},
		{"below U+0300", "\u00e9\u02ff", "\u00e9\u02ff"},
		{"one letter", "e\u0301", "\u00e9"},
		{"composed already", "\u00e9\u0301", "\u00e9\u0301"},
		{"in two steps", "u\u0308\u0304", "\u01d6"},
		{"from the middle", "\u00fc\u0304", "\u01d6"},
		{"no letter", "\u0301e", "\u0301e"},

		// Reordering: classes ascend, equal ones keep their order.
		{"dot below and above", "a\u0307\u0323", "\u1ea1\u0307"},
		{"the same, in order", "a\u0323\u0307", "\u1ea1\u0307"},
		{"of one class", "q\u0307\u0301", "q\u0307\u0301"},
		{"of one class, exchanged", "q\u0301\u0307", "q\u0301\u0307"},
		{"three classes", "q\u0345\u0301\u0323", "q\u0323\u0301\u0345"},
		{"blocked by its own class", "a\u0305\u0301", "a\u0305\u0301"},
		{"over a lower class", "a\u0327\u0301", "\u00e1\u0327"},
		{"blocked by a starter", "a\u200b\u0301", "a\u200b\u0301"},
		{"a starter in between is kept", "a\u0323e\u0301", "\u1ea1\u00e9"},

		{"excluded", "\u0958", "\u0915\u093c"},
		{"excluded, apart", "\u0915\u093c", "\u0915\u093c"},
		{"singleton", "\u212b", "\u00c5"},
		{"singleton of a CJK ideograph", "\uf900", "\u8c48"},
		{"a mark that decomposes", "\u0344", "\u0308\u0301"},
		{"a starter that joins a starter", "\u09c7\u09be", "\u09cb"},
		{"beyond the first plane", "\U00011099\U000110ba", "\U0001109a"},

		// Compatibility is another form: passwords must not lose it.
		{"ligature", "\ufb01", "\ufb01"},
		{"full-width digit", "\uff11", "\uff11"},
		{"joined emoji", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f468\u200d\U0001f469\u200d\U0001f467"},

		{"Hangul LV", "\u1100\u1161", "\uac00"},
		{"Hangul LVT", "\u1100\u1161\u11a8", "\uac01"},
		{"Hangul LV and T", "\uac00\u11a8", "\uac01"},
		{"Hangul LVT and T", "\uac01\u11a8", "\uac01\u11a8"},
		{"Hangul last", "\u1112\u1175\u11c2", "\ud7a3"},
		{"Hangul: the filler is no T", "\uac00\u11a7", "\uac00\u11a7"},
		{"Hangul: past the Vs", "\u1100\u1176", "\u1100\u1176"},
		{"Hangul: past the Ls", "\u1113\u1161", "\u1113\u1161"},
		{"Hangul: past the Ts", "\uac00\u11c3", "\uac00\u11c3"},
		{"Hangul with a mark between", "\u1100\u0323\u1161", "\u1100\u0323\u1161"},

		{"not UTF-8", "e\xff\u0301", "e\xff\u0301"},
		{"half a character", "e\xcc", "e\xcc"},
		{"half a character, then a mark", "\xccu\u0308", "\xcc\u00fc"},
		{"a surrogate's bytes", "\xed\xa0\x80e\u0301", "\xed\xa0\x80\u00e9"},
		{"the replacement character", "\ufffde\u0301", "\ufffd\u00e9"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			assert.Equal(t, tt.want, nfc.String(tt.in))
			assert.Equal(t, tt.want, nfc.String(tt.want), "a second time changes nothing")
		})
	}
}

// What golang.org/x/text gives: for every character that has a decomposition,
// composed and apart, for random text of what interacts, and as one digest for
// every code point there is.
func TestConformance(t *testing.T) {
	f, err := os.Open("testdata/conformance.txt")
	require.NoError(t, err)
	defer f.Close()

	rows, digests := 0, 0
	for lines := bufio.NewScanner(f); lines.Scan(); {
		source, want, ok := strings.Cut(lines.Text(), ";")
		switch {
		case strings.HasPrefix(source, "#"):
		case source == "every code point":
			digests++
			h := sha256.New()
			for r := range rune(utf8.MaxRune + 1) {
				if utf8.ValidRune(r) {
					h.Write([]byte(nfc.String(string(r))))
				}
			}
			assert.Equal(t, want, hex.EncodeToString(h.Sum(nil)))
		default:
			require.True(t, ok)
			rows++
			require.Equal(t, text(t, want), nfc.String(text(t, source)), lines.Text())
			require.Equal(t, text(t, want), nfc.String(text(t, want)), lines.Text())
		}
	}
	assert.Equal(t, 1, digests)
	assert.Greater(t, rows, 4000)
}

func text(t *testing.T, points string) string {
	var b strings.Builder
	for p := range strings.FieldsSeq(points) {
		r, err := strconv.ParseUint(p, 16, 21)
		require.NoError(t, err)
		b.WriteRune(rune(r))
	}
	return b.String()
}

// Many marks in a row are sorted, not stumbled over, and none is put in between.
func TestManyMarks(t *testing.T) {
	in := "a" + strings.Repeat("\u0301\u0323", 500)
	want := "\u1ea1" + strings.Repeat("\u0323", 499) + strings.Repeat("\u0301", 500)
	assert.Equal(t, want, nfc.String(in))
}

func FuzzString(f *testing.F) {
	for _, s := range []string{"e\u0301", "\uac00\u11a8", "a\u0307\u0323", "\xff\u0301", "\u0958"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		once := nfc.String(s)
		require.Equal(t, once, nfc.String(once))
		require.Equal(t, utf8.ValidString(s), utf8.ValidString(once))
	})
}
