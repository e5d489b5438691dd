package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"strings"
)

// A lifter reads npm's publish body and removes the tarball from it: Read returns the same JSON
// with "" in the place of the base64 text at _attachments.<name>.tgz.data, whose bytes the
// lifter writes to a tarball. A publish then costs the memory of its metadata, however big its
// tarball is.
//
// It parses only as much JSON as it needs to find that place. The reader of the rest checks
// whether it is JSON.
type lifter struct {
	src  *bufio.Reader
	dst  io.Writer
	name string // of the attachment that was lifted, "" before

	path     []level // the open objects and arrays, outermost first
	out      []byte  // passed on, not yet read
	pos      int     // how much of out was read
	err      error   // what ends the stream once out is read
	inString bool
	escaped  bool
	key      []byte // the text of a key while inside it
}

// A level is one open object or array.
type level struct {
	object  bool
	wantKey bool   // the next string is a key
	key     string // the last key
}

// Errors of a publish body.
var (
	errAttachments = errors.New("a publish carries exactly one tarball")
	errBase64      = errors.New("the tarball is not valid base64")
)

func newLifter(src io.Reader, dst io.Writer) *lifter {
	return &lifter{src: bufio.NewReaderSize(src, 64<<10), dst: dst}
}

// Read implements [io.Reader].
func (l *lifter) Read(p []byte) (int, error) {
	for l.pos == len(l.out) && l.err == nil {
		l.out, l.pos = l.out[:0], 0
		l.err = l.fill(len(p))
	}
	n := copy(p, l.out[l.pos:])
	l.pos += n
	if n == 0 && len(p) > 0 {
		return 0, l.err
	}
	return n, nil
}

// fill passes on up to n bytes.
func (l *lifter) fill(n int) error {
	for range max(n, 1) {
		c, err := l.src.ReadByte()
		if err != nil {
			return err
		}
		l.out = append(l.out, c)
		if l.inString {
			l.char(c)
			continue
		}
		if err := l.token(c); err != nil {
			return err
		}
	}
	return nil
}

// char takes one byte inside a string.
func (l *lifter) char(c byte) {
	top := l.top()
	if top != nil && top.wantKey && len(l.key) < 1024 { // longer than any name that matters
		l.key = append(l.key, c)
	}
	switch {
	case l.escaped:
		l.escaped = false
	case c == '\\':
		l.escaped = true
	case c == '"':
		l.inString = false
		if top != nil && top.wantKey {
			top.wantKey = false
			if json.Unmarshal(l.key, &top.key) != nil {
				top.key = ""
			}
		}
	}
}

// token takes one byte outside a string.
func (l *lifter) token(c byte) error {
	top := l.top()
	switch c {
	case '{', '[':
		// Deeper levels need not be told apart.
		l.path = append(l.path, level{object: c == '{', wantKey: c == '{'})
		if len(l.path) > 1000 {
			return errors.New("nested too deep")
		}
	case '}', ']':
		if top != nil {
			l.path = l.path[:len(l.path)-1]
		}
	case ',':
		if top != nil {
			top.wantKey = top.object
		}
	case '"':
		if name, ok := l.attachment(); ok {
			return l.lift(name)
		}
		l.inString, l.key = true, append(l.key[:0], c)
	}
	return nil
}

func (l *lifter) top() *level {
	if len(l.path) == 0 {
		return nil
	}
	return &l.path[len(l.path)-1]
}

// attachment reports whether the string that begins here is a tarball.
func (l *lifter) attachment() (name string, ok bool) {
	p := l.path
	if len(p) != 3 || !p[2].object || p[2].wantKey || p[0].key != "_attachments" || p[2].key != "data" {
		return "", false
	}
	return p[1].key, strings.HasSuffix(p[1].key, ".tgz")
}

// lift decodes the string that begins here, up to and with its closing quote.
func (l *lifter) lift(name string) error {
	if l.name != "" {
		return errAttachments
	}
	l.name = name
	var (
		quad   [4096]byte // whole groups of four, so that only the last can be padded
		bin    [len(quad) / 4 * 3]byte
		padded bool
	)
	for done := false; !done; {
		n := 0
		for n < len(quad) && !done {
			c, err := l.src.ReadByte()
			if err == nil && c == '\\' { // the one escape that base64 can need
				if c, err = l.src.ReadByte(); err == nil && c != '/' {
					return errBase64
				}
			}
			switch {
			case err != nil:
				return err
			case c == '"':
				done = true
			default:
				quad[n] = c
				n++
			}
		}
		if n > 0 && padded {
			return errBase64
		}
		padded = padded || bytes.IndexByte(quad[:n], '=') >= 0
		// Decode skips line ends, which JSON does not allow in a string.
		if bytes.ContainsAny(quad[:n], "\r\n") {
			return errBase64
		}
		m, err := base64.StdEncoding.Strict().Decode(bin[:], quad[:n])
		if err != nil {
			return errBase64
		}
		if _, err := l.dst.Write(bin[:m]); err != nil {
			return err
		}
	}
	l.out = append(l.out, '"')
	return nil
}
