package account

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"

	"github.com/npmauth/npmauth/internal/fuzzbound"
)

// AU-20: what a list of guesses begins with is refused, however long it is, and what is a
// password of somebody's own is not.
func TestGuessable(t *testing.T) {
	own := aboutUser("alice-smith", "alice.s@acme.test")
	for _, text := range []string{
		"password123", "Password123!", "P@ssw0rd1234", "passwordpassword", "pa55word2026", "12345678901", "09876543210", "qwertyuiop1", "qwertyuiop[]",
		"1qaz2wsx3edc", "1q2w3e4r5t6y", "aaaaaaaaaaaa", "abababababab", "abcabcabcabc", "asdfghjkl;'", "letmeinletmein", "Welcome2026!", "iloveyou1234",
		"admin@admin.1", "alicealice1", "Alice-Smith!", "smith-alice-1", "ecilaecilaecila", "acme.test2026", "alice.s@acme.test", "11111111111111111111111111", "",
		"superman1234", "summer2026!!", "npmpublish2026", strings.Repeat("password", 100),
	} {
		assert.True(t, guessable(text, own...), text)
	}
	for _, text := range []string{
		"correct horse battery", "correct horse", "tr0ub4dor & 3", "a password of my own", "kx7 vqp 2nn", "Zwölf Boxkämpfer", "пароль мой собственный", "密码是我自己的好密码吗朋友",
		"my password is long", "hunter2hunter3-yes", "alice likes tea", "the 4 seasons of 2026", "k9k9k9 m3m3m3 z", strings.Repeat("x", 10) + "k7vq!",
	} {
		assert.False(t, guessable(text, own...), text)
	}
	assert.True(t, guessable("bob-builder1", aboutUser("bob-builder", "")...))
	assert.False(t, guessable("bob-builder1"), "who is somebody else")
}

// The words of a name that are too short to say anything about a password do not count.
func TestAboutUser(t *testing.T) {
	assert.Equal(t, []string{"al-x.jones", "senoj.x-la", "jones", "senoj"}, aboutUser("al-x.jones", ""))
	assert.Empty(t, aboutUser("al", "b@cd"))
	assert.Equal(t, []string{"alice", "ecila", "acme.test", "tset.emca", "acme", "emca", "test", "tset"}, aboutUser("alice", "Alice@acme.test"))
}

func FuzzGuessable(f *testing.F) {
	for _, text := range []string{"password123", "aaaaaaaaaaaa", "correct horse battery", "\xff\xfe", "äöü"} {
		f.Add(text, "alice", "alice@acme.test")
	}
	f.Add("a020aa", "0", "0") // twice, it has a repetition that goes on into the second
	f.Fuzz(func(t *testing.T, text, name, email string) {
		if !utf8.ValidString(text) || len(text) > MaxPassword || len(name) > MaxName || len(email) > MaxName {
			return
		}
		own := aboutUser(name, email)
		fuzzbound.Check(t, text, fuzzbound.Bounds{Memory: fuzzbound.Limit{Base: 64 << 10, PerByte: 64}}, func(text string) int {
			guessable(text[:min(len(text), MaxPassword)], own...)
			return 0
		})
		if guessable(text) {
			assert.True(t, guessable(text, own...), "more words make no fewer guesses")
		}
		if text := strings.ToLower(text); len(text) <= longestUnit && guessable(text, own...) && !strings.ContainsAny(text, "1!") {
			assert.True(t, guessable(text+text, own...), "a repetition adds nothing")
		}
	})
}
