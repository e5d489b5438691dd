package account

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// leastUnguessed is how many parts a password needs that a list of guesses does not have as one:
// each common word, run of keys or digits, repetition and part of the user's name counts as one
// part, each other character as another one.
const leastUnguessed = 6

// guessable reports whether a password is among those that are tried first: little more than
// common words, runs, repetitions and the words in own, which are about its user. Letters count
// as lower-case ones, and digits and signs as the letters that they are written for.
func guessable(text string, own ...string) bool {
	lower := strings.ToLower(text)
	words := slices.Concat(own, commonWords)
	for _, spelling := range []string{lower, plain.Replace(lower), plainL.Replace(lower)} {
		if parts(spelling, words) < leastUnguessed {
			return true
		}
	}
	return false
}

// longestUnit is how many bytes are noticed when they are repeated.
const longestUnit = 32

// plain and plainL undo the usual replacements of letters.
var (
	replacements = []string{"0", "o", "3", "e", "4", "a", "@", "a", "5", "s", "$", "s", "7", "t", "+", "t", "8", "b"}
	plain        = strings.NewReplacer(append([]string{"1", "i", "!", "i"}, replacements...)...)
	plainL       = strings.NewReplacer(append([]string{"1", "l", "!", "l"}, replacements...)...)
)

// parts returns the least number of parts that text can be made of, up to leastUnguessed.
func parts(text string, words []string) int {
	// least[i] is that of the text up to i.
	least := make([]int, len(text)+1)
	for i := 1; i <= len(text); i++ {
		least[i] = leastUnguessed
	}
	for i := range len(text) {
		if least[i] >= leastUnguessed || !utf8.RuneStart(text[i]) {
			continue
		}
		rest, next := text[i:], least[i]+1
		reach := func(n int) {
			least[i+n] = min(least[i+n], next)
		}
		_, size := utf8.DecodeRuneInString(rest)
		reach(size)
		for _, word := range words {
			if len(word) >= 3 && strings.HasPrefix(rest, word) {
				reach(len(word))
			}
		}
		for n := runOf(rest); n >= 3; n-- {
			reach(n)
		}
		for unit := 1; unit <= min(i, longestUnit); unit++ { // what stands in front, once more, and so on
			n := 0
			for strings.HasPrefix(rest[n:], text[i-unit:i]) {
				n += unit
				least[i+n] = min(least[i+n], least[i]) // repeating it is no part of its own
			}
		}
	}
	return least[len(text)]
}

// rows are keys and letters in an order that people type.
var rows = []string{
	"abcdefghijklmnopqrstuvwxyz", "01234567890", "`1234567890-=", "~!@#$%^&*()_+",
	"qwertyuiop[]", "asdfghjkl;'", "zxcvbnm,./", "qwertzuiop", "yxcvbnm", "azertyuiop", "qsdfghjklm", "wxcvbn",
	"1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik,9ol.0p;/", "1q2w3e4r5t6y7u8i9o0p", "q1w2e3r4t5y6u7i8o9p0", "147258369", "159753",
}

func init() {
	for _, row := range slices.Clone(rows) {
		back := []byte(row)
		slices.Reverse(back)
		rows = append(rows, string(back))
	}
}

// runOf returns how many bytes at the beginning of text follow each other in a row of keys.
func runOf(text string) (longest int) {
	for _, row := range rows {
		for i := range len(row) {
			n := 0
			for n < len(text) && i+n < len(row) && text[n] == row[i+n] {
				n++
			}
			longest = max(longest, n)
		}
	}
	return longest
}

// aboutUser returns the words of a user's name and e-mail address, as they are and backwards.
func aboutUser(name, email string) (words []string) {
	local, domain, _ := strings.Cut(strings.ToLower(email), "@")
	add := func(word string) {
		if len(word) < 3 || slices.Contains(words, word) {
			return
		}
		back := []rune(word)
		slices.Reverse(back)
		words = append(words, word, string(back))
	}
	for _, text := range []string{strings.ToLower(name), local, domain} {
		add(text)
		for _, word := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(".-_+", r) }) {
			add(word)
		}
	}
	return words
}

// commonWords are those that guesses begin with: words of the lists of most frequent passwords
// in several languages, of this trade, and years. They are lower-case ASCII letters and digits.
var commonWords = append(strings.Fields(`
	password passwort passwd passw pass contrasena motdepasse senha parola wachtwoord haslo salasana qwerty
	qwertz azerty letmein welcome willkommen bienvenue admin administrator root login user guest test testing
	tester demo default changeme change secret geheim private access master super superman batman spiderman
	dragon monkey football baseball soccer hockey basketball iloveyou loveyou love lovely princess sunshine
	shadow michael jordan jennifer jessica ashley daniel charlie thomas andrew joshua robert matthew anthony
	nicole michelle hunter killer ranger harley buster pepper ginger tigger cookie summer winter spring autumn
	freedom whatever trustno1 trustno starwars pokemon naruto computer internet server database system linux
	windows google facebook github samsung apple android iphone mercedes ferrari porsche yankees lakers cowboys
	arsenal chelsea liverpool barcelona juventus madrid abc123 abcd asdf zxcv qazwsx hello hallo hola bonjour
	flower orange banana purple silver golden diamond angel jesus christ money mustang maggie cheese chocolate
	butterfly blink mother father family friend forever npm node nodejs registry publish package yarn pnpm
	javascript typescript developer company monday tuesday wednesday thursday friday saturday sunday january
	february march april june july august september october november december
`), years()...)

func years() (list []string) {
	for year := 1950; year <= 2040; year++ {
		list = append(list, strconv.Itoa(year))
	}
	return list
}
