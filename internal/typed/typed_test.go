package typed_test

import (
	"testing"
	"unicode"

	"github.com/stretchr/testify/assert"

	"github.com/npmauth/npmauth/internal/fuzzbound"
	"github.com/npmauth/npmauth/internal/typed"
)

// AU-38, AU-62: What people type is one text in all its spellings.
func TestCode(t *testing.T) {
	for _, spelling := range []string{
		"123456", " 123456\r\n", "123 456", "123-456", "12 34 56", "123\u00a0456", "123\u2009456", "１２３４５６", "１２３　４５６", "１２３－４５６",
		"123–456", "123—456", "123‐456", "123−456", "\ufeff123456", "123\u200b456", "\u202a123456\u202c", "123\u00ad456", "١٢٣٤٥٦", "۱۲۳۴۵۶", "१२३४५६", "𝟙𝟚𝟛𝟜𝟝𝟞",
	} {
		assert.Equal(t, "123456", typed.Code(spelling), "%q", spelling)
	}
	for code, want := range map[string]string{
		"": "", " - ": "", "npmo_aB 1": "npmo_aB1", "ｎｐｍｏ＿ａＢ": "npmo_aB", "123,456": "123,456", "123.456": "123.456", "①②③": "①②③", "²": "²", "12\x003": "12\x003", "Ⅻ": "Ⅻ",
		"\xff123456": "\ufffd123456", "+12345": "+12345",
	} {
		assert.Equal(t, want, typed.Code(code), "%q", code)
	}
}

// Every digit that there is has the value that Unicode gives it: digits come in tens from zero on.
func TestCodeDigits(t *testing.T) {
	run := 0
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if !unicode.IsDigit(r) {
			assert.Zero(t, run%10, "before %U", r)
			run = 0
			continue
		}
		assert.Equal(t, string('0'+rune(run%10)), typed.Code(string(r)), "%U", r)
		run++
	}
}

func TestLine(t *testing.T) {
	for text, want := range map[string]string{
		"alice": "alice", " alice\t\r\n": "alice", "\u00a0alice\u3000": "alice", "\ufeffalice\u200b": "alice", "ａｌｉｃｅ": "alice", "ａｌｉｃｅ＠ａｃｍｅ．ｔｅｓｔ": "alice@acme.test",
		"a lice": "a lice", "al-ice": "al-ice", "ALICE": "ALICE", "": "", "  ": "", "alicе": "alicе", "ali\u0301ce": "ali\u0301ce", "\x00alice": "\x00alice",
	} {
		assert.Equal(t, want, typed.Line(text), "%q", text)
	}
}

// What was read once is read as itself, or a text would have two normal forms.
func FuzzCode(f *testing.F) {
	for _, s := range []string{"123 456", "１２３", "\u200b１\u200b", "－１２", "\u00ad", "npmo_x"} {
		f.Add(s)
	}
	// A byte that is not UTF-8 becomes a rune of three.
	thrice := fuzzbound.Bounds{Memory: fuzzbound.Limit{Base: 128, PerByte: 16}, Work: fuzzbound.Limit{PerByte: 3}}
	f.Fuzz(func(t *testing.T, s string) {
		s = s[:min(len(s), 512)] // which is more than any code has; longer ones are made of it
		fuzzbound.Check(t, s, thrice, func(s string) int { return len(typed.Code(s)) })
		assert.Equal(t, typed.Code(s), typed.Code(typed.Code(s)))
		assert.Equal(t, typed.Line(s), typed.Line(typed.Line(s)))
		assert.Equal(t, typed.Code(s), typed.Code(typed.Line(s)))
	})
}
