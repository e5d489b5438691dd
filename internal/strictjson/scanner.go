package strictjson

import (
	"hash/maphash"
	"unicode/utf8"
)

// A Kind says what an [Event] is about.
type Kind uint8

// The kinds. Object and Array begin a value, EndObject and EndArray end it.
const (
	Null Kind = iota + 1
	Bool
	Number
	String
	Object
	Array
	EndObject
	EndArray
)

// A Step leads from a container to one of its values.
type Step struct {
	Key   string // in an object
	Index int    // in an array; -1 in an object
}

// An Event is one value, or the beginning or end of one.
type Event struct {
	// Path leads from the top to the value; empty at the top. It is only valid
	// during the call.
	Path []Step
	Kind Kind
	// Text is a string after unescaping, a number or boolean as it was written.
	Text string
	// Long means that a string or number was longer than Limits.Text, or that
	// Limits.Stream took it. It was validated and left out: Text is empty.
	Long bool
}

// IsText reports whether the value is the string want, whole.
func (e Event) IsText(want string) bool { return e.Kind == String && !e.Long && e.Text == want }

// Limits bound what a [Scanner] accepts and how much it remembers, so that its
// memory does not grow with the document.
type Limits struct {
	Depth int // deepest nesting of objects and arrays; 0 means 64
	Text  int // bytes of the longest string or number that is handed over; 0 means 1024
	Key   int // bytes of the longest key, a longer one is refused; 0 means 4096
	Keys  int // keys of all objects that are open at one moment; 0 means 131072

	// Trailing is how many bytes of whitespace may follow the document, for a reader that
	// withholds them until all of it was checked. Zero: any number.
	Trailing int

	// Fold makes keys that differ only in case duplicates of each other, with
	// the folding of encoding/json: K, k and the Kelvin sign are one.
	Fold bool

	// Stream is asked at the first byte of each string that is a value, with the
	// way that leads to it, which is only valid during the call. A function that it
	// returns receives the string after unescaping, in pieces of any length that are
	// only valid during its call, and nothing of it is remembered: the [Event] at
	// the string's end has Long set. An error of that function ends the scan and is
	// returned as it is. Where the pieces are cut depends on the calls of Write. A
	// piece was validated, what follows it in the string was not: only the event
	// says that the string was whole. Nil: no string is asked about.
	Stream func(path []Step) func(piece []byte) error

	// File allows what JavaScript allows that reads a file: a byte order mark before the document,
	// and bytes that are not UTF-8 in what is loose.
	File bool

	// Loose is asked after each key of an object with the way that leads to its value, which is
	// only valid during the call. Where it returns true nobody reads the value, and it need not
	// have one meaning: the key may be there before, and the value may have duplicate keys,
	// unpaired surrogates, keys of any length and up to LooseDepth levels. It is validated apart
	// from that, and has one [Event], or two if it is an object or array: with its Kind, and Long
	// set for a string or number. Nil: no value is loose.
	Loose func(path []Step) bool

	// Rest receives all bytes of the input but those of the strings that Stream took, in
	// pieces that are only valid during the call. Where they are cut depends on the calls of
	// Write. Nil: nobody receives them.
	Rest func(piece []byte)
}

// LooseDepth is the deepest nesting within a loose value, counted from the top of the document:
// encoding/json reads 10000 levels.
const LooseDepth = 8192

// A Scanner checks a JSON document that is written to it piece by piece, and
// calls a function for each value. It refuses everything that RFC 8259 leaves
// open and on which two readers could disagree: duplicate keys, invalid UTF-8,
// unpaired surrogates, a byte order mark. Where the pieces are cut never matters.
type Scanner struct {
	handle func(Event) error
	limits Limits
	seed   maphash.Seed

	err    error // sticky
	offset int64 // of the current Write's first byte
	end    int64 // of the top value, as End returns it
	after  int   // bytes of whitespace after it

	state  state
	frames []frame
	path   []Step
	hashes []uint64 // of the keys of all open objects, in order of frames

	loose bool   // the value being read, or about to be, is
	inner []bool // the containers that are open within it, itself included: whether each is an object
	marks int    // bytes of the byte order mark that were read

	text   []byte // the string or number being read, as far as it fits
	long   bool
	stream func([]byte) error // who takes the string instead; nil: text
	piece  [utf8.UTFMax]byte  // scratch for what stream is given of an escape
	folded []byte             // scratch

	inKey   bool
	num     numState
	literal string // rest of true, false or null still expected
	whole   string // that literal in full

	esc   escState
	unit  rune // UTF-16 unit being read
	high  rune // high surrogate waiting for its other half
	need  int  // continuation bytes still expected
	lower byte // bounds of the next continuation byte
	upper byte
}

type frame struct {
	object bool
	first  int                 // index in hashes
	set    map[uint64]struct{} // of hashes, once there are many
}

type state uint8

const (
	wantValue      state = iota
	wantMark             // before the first byte
	wantValueOrEnd       // after [
	wantKeyOrEnd         // after {
	wantKey              // after , in an object
	wantColon
	wantCommaOrEnd
	inString
	inNumber
	inLiteral
	atEnd // after the top value
)

type escState uint8

const (
	escNone escState = iota
	escBackslash
	escHex1 // four digits to come
	escHex2
	escHex3
	escHex4
	escPair // a high surrogate was read: a backslash must follow
	escPairU
)

// NewScanner returns a Scanner that calls handle for each value, in order of the
// document. An error of handle ends the scan and is returned as it is.
func NewScanner(limits Limits, handle func(Event) error) *Scanner {
	for _, d := range []struct {
		p *int
		v int
	}{{&limits.Depth, 64}, {&limits.Text, 1024}, {&limits.Key, 4096}, {&limits.Keys, 1 << 17}} {
		if *d.p <= 0 {
			*d.p = d.v
		}
	}
	s := &Scanner{handle: handle, limits: limits, seed: maphash.MakeSeed(), end: -1}
	if limits.File {
		s.state = wantMark
	}
	return s
}

// Write scans the next piece. After an error, which is an [*Error] or one of
// handle's, every call returns that error.
func (s *Scanner) Write(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	from := 0 // of the bytes for Rest
	for i := 0; i < len(p); {
		streamed := s.state == inString && s.stream != nil
		if streamed && from < i {
			s.rest(p[from:i])
		}
		n, problem, err := s.step(p[i:])
		if problem != "" {
			err = &Error{Problem: problem, Offset: s.offset + int64(i) + int64(n)}
		}
		if err != nil {
			s.err = err
			return i, err
		}
		i += n
		if streamed {
			from = i
		}
		if s.end < 0 && s.state == atEnd {
			s.end = s.offset + int64(i)
		}
	}
	if from < len(p) {
		s.rest(p[from:])
	}
	s.offset += int64(len(p))
	return len(p), nil
}

func (s *Scanner) rest(p []byte) {
	if s.limits.Rest != nil {
		s.limits.Rest(p)
	}
}

// LimitTrailing replaces Limits.Trailing. It must be called before the end of the document.
func (s *Scanner) LimitTrailing(n int) { s.limits.Trailing = n }

// End returns how many bytes there are up to the end of the document, or -1 while that
// was not written. A number at the top ends where something follows it, or with Close.
func (s *Scanner) End() int64 { return s.end }

// Held returns about how many bytes of memory the Scanner holds: the keys of the objects that are
// open, which are all that grows with the document.
func (s *Scanner) Held() int { return 8*cap(s.hashes) + setEntry*len(s.hashes) }

// Close ends the document and reports whether it was one complete value.
func (s *Scanner) Close() error {
	if s.err != nil {
		return s.err
	}
	if s.state == inNumber && s.num.complete() {
		s.err, s.end = s.endNumber(), s.offset
	}
	if s.err == nil && s.state != atEnd {
		s.err = &Error{Problem: problemEOF, Offset: s.offset}
	}
	return s.err
}

// step reads some bytes of p. It reads none when it reports a problem, which then
// lies at n, and when p begins with what follows a number, which it ends.
func (s *Scanner) step(p []byte) (n int, problem string, err error) {
	switch s.state {
	case inString:
		return s.str(p)
	case inNumber:
		return s.number(p)
	case inLiteral:
		if p[0] != s.literal[0] {
			return 0, problemSyntax, nil
		}
		if s.literal = s.literal[1:]; s.literal != "" {
			return 1, "", nil
		}
		kind := Bool
		text := s.whole
		if s.whole == "null" {
			kind, text = Null, ""
		}
		return 1, "", s.value(Event{Kind: kind, Text: text})
	}
	c := p[0]
	if s.state == wantMark {
		return s.mark(c)
	}
	switch c {
	case ' ', '\t', '\r', '\n':
		if s.state == atEnd && s.limits.Trailing > 0 {
			if s.after == s.limits.Trailing {
				return 0, problemTrailing, nil
			}
			s.after++
		}
		return 1, "", nil
	}
	switch s.state {
	case wantValue, wantValueOrEnd:
		if c == ']' && s.state == wantValueOrEnd {
			return 1, "", s.pop(EndArray)
		}
		if problem, err = s.begin(c); problem != "" {
			return 0, problem, nil
		}
		return 1, "", err
	case wantKey, wantKeyOrEnd:
		if c == '}' && s.state == wantKeyOrEnd {
			return 1, "", s.pop(EndObject)
		}
		if c != '"' {
			return 0, problemSyntax, nil
		}
		s.beginString(true)
		return 1, "", nil
	case wantColon:
		if c != ':' {
			return 0, problemSyntax, nil
		}
		s.state = wantValue
		return 1, "", nil
	case wantCommaOrEnd:
		object := s.inObject()
		switch {
		case c == ',' && object:
			s.state = wantKey
		case c == ',':
			if len(s.inner) == 0 {
				s.path[len(s.path)-1].Index++
			}
			s.state = wantValue
		case c == '}' && object:
			return 1, "", s.pop(EndObject)
		case c == ']' && !object:
			return 1, "", s.pop(EndArray)
		default:
			return 0, problemSyntax, nil
		}
		return 1, "", nil
	default: // atEnd
		return 0, problemTrailing, nil
	}
}

// mark reads a byte of the byte order mark, or none of what is no mark.
func (s *Scanner) mark(c byte) (n int, problem string, err error) {
	const mark = "\ufeff"
	switch {
	case c == mark[s.marks]:
		if s.marks++; s.marks == len(mark) {
			s.state = wantValue
		}
		return 1, "", nil
	case s.marks > 0:
		return 0, problemUTF8, nil
	}
	s.state = wantValue
	return 0, "", nil
}

// inObject reports whether the innermost container is an object.
func (s *Scanner) inObject() bool {
	if n := len(s.inner); n > 0 {
		return s.inner[n-1]
	}
	return s.frames[len(s.frames)-1].object
}

// begin starts the value whose first byte is c.
func (s *Scanner) begin(c byte) (problem string, err error) {
	switch {
	case c == '{':
		return s.push(Object)
	case c == '[':
		return s.push(Array)
	case c == '"':
		s.beginString(false)
	case c == '-' || c >= '0' && c <= '9':
		s.state, s.num = inNumber, numStart
		s.text, s.long = s.text[:0], s.loose
		s.num, _ = s.num.next(c)
		s.keep(c)
	case c == 't':
		s.beginLiteral("true")
	case c == 'f':
		s.beginLiteral("false")
	case c == 'n':
		s.beginLiteral("null")
	case c == 0xEF && len(s.frames) == 0:
		return problemBOM, nil
	default:
		return problemSyntax, nil
	}
	return "", nil
}

func (s *Scanner) beginLiteral(l string) {
	s.state, s.whole, s.literal = inLiteral, l, l[1:]
}

func (s *Scanner) beginString(key bool) {
	s.state, s.inKey = inString, key
	s.text, s.long, s.stream = s.text[:0], s.loose, nil
	if !key && !s.loose && s.limits.Stream != nil {
		s.stream = s.limits.Stream(s.path)
		s.long = s.stream != nil
	}
}

// take passes on bytes of the current string, which lie in p or in s.piece.
func (s *Scanner) take(p []byte) error {
	if s.stream != nil {
		return s.stream(p)
	}
	s.keep(p...)
	return nil
}

// takeByte is take for one byte.
func (s *Scanner) takeByte(c byte) error {
	s.piece[0] = c
	return s.take(s.piece[:1])
}

// keep remembers bytes of the current text, as long as they fit.
func (s *Scanner) keep(b ...byte) {
	limit := s.limits.Text
	if s.inKey {
		limit = s.limits.Key
	}
	if s.long || len(s.text)+len(b) > limit {
		s.long = true
		return
	}
	s.text = append(s.text, b...)
}

// str reads on in a string. It is the loop that a tarball runs through.
func (s *Scanner) str(p []byte) (n int, problem string, err error) {
	if s.esc != escNone {
		return s.escape(p[0])
	}
	if s.need > 0 {
		c := p[0]
		if c < s.lower || c > s.upper {
			return 0, problemUTF8, nil
		}
		s.need--
		s.lower, s.upper = 0x80, 0xBF
		return 1, "", s.takeByte(c)
	}
	for n < len(p) && (plain[p[n]] || p[n] >= utf8.RuneSelf && s.loose && s.limits.File) {
		n++
	}
	if n > 0 {
		return n, "", s.take(p[:n])
	}
	switch c := p[0]; {
	case c == '"':
		if s.inKey && s.long && !s.loose {
			return 0, problemKeyLong, nil
		}
		if !s.inKey {
			return 1, "", s.value(s.textEvent(String))
		}
		s.inKey = false
		if problem = s.key(); problem != "" {
			return 0, problem, nil
		}
		return 1, "", nil
	case c == '\\':
		s.esc = escBackslash
	case c < 0x20:
		return 0, problemControl, nil
	default:
		if s.need, s.lower, s.upper = utf8Lead(c); s.need == 0 {
			return 0, problemUTF8, nil
		}
		return 1, "", s.takeByte(c)
	}
	return 1, "", nil
}

// plain says which bytes of a string stand for themselves and need no state.
var plain = func() (t [256]bool) {
	for c := 0x20; c < 0x80; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// utf8Lead returns how many bytes follow c, and the bounds of the first of them:
// RFC 3629, section 4. None follow an invalid c.
func utf8Lead(c byte) (need int, lower, upper byte) {
	switch {
	case c >= 0xC2 && c <= 0xDF:
		return 1, 0x80, 0xBF
	case c == 0xE0:
		return 2, 0xA0, 0xBF
	case c == 0xED:
		return 2, 0x80, 0x9F
	case c >= 0xE1 && c <= 0xEF:
		return 2, 0x80, 0xBF
	case c == 0xF0:
		return 3, 0x90, 0xBF
	case c >= 0xF1 && c <= 0xF3:
		return 3, 0x80, 0xBF
	case c == 0xF4:
		return 3, 0x80, 0x8F
	}
	return 0, 0, 0
}

var unescaped = map[byte]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// escape reads one byte of an escape sequence.
func (s *Scanner) escape(c byte) (n int, problem string, err error) {
	switch s.esc {
	case escBackslash:
		if c == 'u' {
			s.esc, s.unit = escHex1, 0
			return 1, "", nil
		}
		b, ok := unescaped[c]
		if !ok {
			return 0, problemEscape, nil
		}
		s.esc = escNone
		return 1, "", s.takeByte(b)
	case escPair:
		if c != '\\' {
			return 0, problemSurrogate, nil
		}
		s.esc = escPairU
		return 1, "", nil
	case escPairU:
		if c != 'u' {
			return 0, problemSurrogate, nil
		}
		s.esc, s.unit = escHex1, 0
		return 1, "", nil
	}
	d := hexDigit(c)
	if d < 0 {
		return 0, problemEscape, nil
	}
	s.unit = s.unit<<4 | d
	if s.esc != escHex4 {
		s.esc++
		return 1, "", nil
	}
	s.esc = escNone
	if s.loose {
		return 1, "", nil
	}
	r := s.unit
	low := r >= 0xDC00 && r <= 0xDFFF
	switch {
	case low != (s.high != 0):
		return 0, problemSurrogate, nil
	case low:
		r = (s.high-0xD800)<<10 | (r - 0xDC00) + 0x10000
		s.high = 0
	case r >= 0xD800 && r <= 0xDBFF:
		s.high, s.esc = r, escPair
		return 1, "", nil
	}
	return 1, "", s.take(s.piece[:utf8.EncodeRune(s.piece[:], r)])
}

func hexDigit(c byte) rune {
	switch {
	case c >= '0' && c <= '9':
		return rune(c - '0')
	case c >= 'a' && c <= 'f':
		return rune(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return rune(c-'A') + 10
	}
	return -1
}

// number reads on in a number. The byte after it is left for the next step.
func (s *Scanner) number(p []byte) (n int, problem string, err error) {
	for ; n < len(p); n++ {
		next, ok := s.num.next(p[n])
		if !ok {
			break
		}
		s.num = next
		s.keep(p[n])
	}
	if n == len(p) {
		return n, "", nil
	}
	if !s.num.complete() {
		return n, problemSyntax, nil
	}
	return n, "", s.endNumber()
}

func (s *Scanner) endNumber() error { return s.value(s.textEvent(Number)) }

func (s *Scanner) textEvent(k Kind) Event {
	if s.long {
		return Event{Kind: k, Long: true}
	}
	return Event{Kind: k, Text: string(s.text)}
}

// value reports a scalar, which is complete.
func (s *Scanner) value(e Event) error {
	s.ended()
	if len(s.inner) > 0 {
		return nil
	}
	s.loose = false
	e.Path = s.path
	return s.handle(e)
}

// ended moves to what follows a complete value.
func (s *Scanner) ended() {
	s.state = wantCommaOrEnd
	if len(s.frames) == 0 {
		s.state = atEnd
	}
}

func (s *Scanner) push(k Kind) (problem string, err error) {
	if s.loose {
		return s.pushLoose(k)
	}
	if len(s.frames) == s.limits.Depth {
		return problemDepth, nil
	}
	if err := s.handle(Event{Path: s.path, Kind: k}); err != nil {
		return "", err
	}
	s.frames = append(s.frames, frame{object: k == Object, first: len(s.hashes)})
	if k == Object {
		s.path = append(s.path, Step{Index: -1})
		s.state = wantKeyOrEnd
	} else {
		s.path = append(s.path, Step{})
		s.state = wantValueOrEnd
	}
	return "", nil
}

func (s *Scanner) pushLoose(k Kind) (problem string, err error) {
	if len(s.frames)+len(s.inner) == LooseDepth {
		return problemDepth, nil
	}
	if len(s.inner) == 0 {
		if err := s.handle(Event{Path: s.path, Kind: k}); err != nil {
			return "", err
		}
	}
	s.inner = append(s.inner, k == Object)
	s.state = wantValueOrEnd
	if k == Object {
		s.state = wantKeyOrEnd
	}
	return "", nil
}

func (s *Scanner) popLoose(k Kind) error {
	s.inner = s.inner[:len(s.inner)-1]
	s.ended()
	if len(s.inner) > 0 {
		return nil
	}
	s.loose = false
	return s.handle(Event{Path: s.path, Kind: k})
}

func (s *Scanner) pop(k Kind) error {
	if s.loose {
		return s.popLoose(k)
	}
	last := len(s.frames) - 1
	s.hashes = s.hashes[:s.frames[last].first]
	s.frames[last] = frame{}
	s.frames = s.frames[:last]
	s.path = s.path[:last]
	s.ended()
	return s.handle(Event{Path: s.path, Kind: k})
}

// setEntry is how many bytes a hash takes in a set, at most and without the old half of a set that
// grows.
const setEntry = 24

// manyKeys is when an object's keys go into a map; up to there a search is faster.
const manyKeys = 16

// key takes the text as the key of the next value.
func (s *Scanner) key() (problem string) {
	s.state = wantColon
	if s.loose {
		return ""
	}
	s.path[len(s.path)-1].Key = string(s.text)
	if s.limits.Loose != nil && s.limits.Loose(s.path) {
		s.loose = true
		return ""
	}
	if len(s.hashes) == s.limits.Keys {
		return problemKeys
	}
	name := s.text
	if s.limits.Fold {
		s.folded = fold(s.folded[:0], name)
		name = s.folded
	}
	// The seed is drawn per scan, so nobody can make two keys collide: a chance
	// collision, which would refuse an honest document, is a matter of 2⁻⁶⁴ per
	// pair of keys.
	h := maphash.Bytes(s.seed, name)
	f := &s.frames[len(s.frames)-1]
	if f.set == nil {
		for _, seen := range s.hashes[f.first:] {
			if seen == h {
				return problemDuplicate
			}
		}
		if len(s.hashes)-f.first == manyKeys {
			f.set = make(map[uint64]struct{}, 4*manyKeys)
			for _, seen := range s.hashes[f.first:] {
				f.set[seen] = struct{}{}
			}
		}
	} else if _, dup := f.set[h]; dup {
		return problemDuplicate
	}
	if f.set != nil {
		f.set[h] = struct{}{}
	}
	s.hashes = append(s.hashes, h)
	return ""
}
