package tarball

import (
	"bytes"
	"encoding/base64"
)

var errBase64 = refuse("the tarball is not valid base64")

// A Decoder decodes the base64 of a tarball (RFC 4648, section 4: the standard alphabet,
// padded, with nothing in between), whose text is cut anywhere.
type Decoder struct {
	quad   [4]byte // the group that is not complete yet
	n      int     // bytes in it
	padded bool    // the last group was padded: nothing may follow
	out    []byte
}

// pieceSize is how many bytes are decoded at once.
const pieceSize = 24 << 10

// Decode decodes p and calls emit with what comes of it, which is only valid during the call.
// All that precedes an error has been emitted, so that what is found first does not depend on
// the cuts. An error is an [*Error] or emit's; after it the Decoder must not be used.
func (d *Decoder) Decode(p []byte, emit func([]byte) error) error {
	if d.n > 0 {
		k := copy(d.quad[d.n:], p)
		d.n += k
		if p = p[k:]; d.n < len(d.quad) {
			return nil
		}
		d.n = 0
		if err := d.groups(d.quad[:], emit); err != nil {
			return err
		}
	}
	whole := len(p) / 4 * 4
	for rest := p[:whole]; len(rest) > 0; {
		k := min(len(rest), pieceSize/3*4)
		if err := d.groups(rest[:k], emit); err != nil {
			return err
		}
		rest = rest[k:]
	}
	d.n = copy(d.quad[:], p[whole:])
	return nil
}

// groups decodes groups of four.
func (d *Decoder) groups(p []byte, emit func([]byte) error) error {
	if d.padded {
		return errBase64
	}
	if d.out == nil {
		d.out = make([]byte, pieceSize)
	}
	n, err := base64.StdEncoding.Strict().Decode(d.out, p)
	// The package skips line ends.
	if err != nil || bytes.IndexByte(p, '\n') >= 0 || bytes.IndexByte(p, '\r') >= 0 {
		if len(p) == 4 {
			return errBase64
		}
		for ; len(p) > 0; p = p[4:] { // up to the wrong one
			if err := d.groups(p[:4], emit); err != nil {
				return err
			}
		}
		return errBase64
	}
	d.padded = n < len(p)/4*3
	return emit(d.out[:n])
}

// Close returns an error unless the text ended at the end of a group.
func (d *Decoder) Close() error {
	if d.n > 0 {
		return errBase64
	}
	return nil
}
