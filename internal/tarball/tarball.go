// Package tarball checks, while it passes by, that the tarball of an npm publish
// holds a package.json which every reader finds at the same place and reads the
// same. npm installs by that file, other tools go by what the registry says of the
// package: a tarball that says another thing than its publish is how a harmless
// looking package hides what it is.
//
// What is refused is what two readers could take differently, so the check knows
// less of gzip, tar and JSON than any of them: see [Checker].
package tarball

import (
	"errors"

	"github.com/npmauth/npmauth/internal/manifest"
)

// Bounds of any tarball; see [bounds] for how much of them one may use. A publish has at most
// 200 MiB of base64, so 150 MiB of gzip.
const (
	// maxSize is how many bytes it may have unpacked: 2 GiB, 14 times the largest
	// tarball. JavaScript packs 3 to 6 times; a gzip bomb packs 1000 times.
	maxSize = 2 << 30
	// maxEntries is how many headers it may have: of files and directories, and of their
	// attributes. Packages that are one file per icon have some ten thousands.
	maxEntries = 1 << 18
	// maxManifest is how many bytes package.json may have: 1 MiB.
	maxManifest = 1 << 20
	// maxMeta is how many bytes the name of an entry and its other attributes may
	// have, where they do not fit its header: 64 KiB.
	maxMeta = 64 << 10
)

// An Error says why a tarball was refused, in a sentence for its sender.
type Error struct{ Problem string }

// Error returns the sentence.
func (e *Error) Error() string { return e.Problem }

func refuse(problem string) error { return &Error{problem} }

var (
	errAborted = errors.New("tarball: the check was aborted")
	errCut     = refuse("the tarball is cut short")
)

// A Content is what a tarball holds that is compared with the manifest of its publish.
type Content struct {
	Manifest manifest.Manifest // package.json
	Files    manifest.Files
}

// A Checker reads one tarball, which is written to it as base64, piece by piece.
// Where the pieces are cut never matters. What npm and the other clients pack is
// accepted, as long as it is:
//
//   - base64 of the standard alphabet, padded, with nothing in between;
//   - one gzip member that ends where the data ends; some tarballs of 2012 have zeros behind it;
//   - a tar of files and directories alone, ustar, pax or GNU, that ends in two
//     blocks of zeros and nothing else. Links are refused, though npm leaves them
//     out at install, because other clients do not;
//   - at least one regular file that is package.json once the first part of its
//     path, whatever that is called, is stripped as npm does. If there are several
//     (one replaces another when they are unpacked) they are the same bytes;
//   - no entry that a client or a file system could take for that file, or for a
//     way to it, by case, by dots, by links or by a long name;
//   - a package.json with a name and a version at the top, and no key that differs from
//     those only in case. What package manifest compares has one meaning, as package
//     strictjson knows it. Before and within all else it may have what JavaScript reads: a
//     byte order mark, repeated keys, bytes that are not UTF-8.
//
// The work is bounded by what was sent, at each moment. For n bytes of gzip there may be 32 MiB and
// 64 n bytes unpacked, 16384 and n/16 headers of entries, 1 MiB and 8 n bytes of attributes (pax
// records, long names), 16384 and n/8 of these records; 2 GiB and 262144 headers at most, and 16
// package.json of 1 MiB each and 2 MiB in all. A few checks at a time compute, see [Checker.Until].
//
// A goroutine unpacks what is written. It lives from the first Write until an error,
// Close or Abort, one of which must come; none returns before its work has ended. The
// memory is the same for every tarball, some 200 KiB, but for what the attributes of an
// entry (64 KiB) and the keys of package.json (16384) take while they are read, and for
// the Content (a few KiB of most, 4 MiB of none more). A Checker is not safe for concurrent use.
type Checker struct {
	text    Decoder
	at      int // bytes decoded, up to the flags of gzip
	also    func([]byte)
	each    func(File) error
	done    <-chan struct{}
	feed    *feed // nil before there is something to unpack
	content Content
	work    work  // the goroutine's, until it waits or has ended
	err     error // sticky
	closed  bool
}

// New returns a Checker.
func New() *Checker { return &Checker{} }

// Also has f called with each piece of the tarball that is decoded, before it is unpacked. The
// piece is only valid during the call. Also must be called before the first Write.
func (c *Checker) Also(f func(piece []byte)) { c.also = f }

// Until has a Write that waits for its turn return an error once done is closed. As many checks
// compute at once as there are processors but one, each a piece of some 24 KiB at a time and in
// the order in which they came. Without Until a Write waits for as long as it takes, which is the
// time of one piece of each check that is under way. Until must be called before the first Write.
func (c *Checker) Until(done <-chan struct{}) { c.done = done }

// Write checks the next piece of the base64 text. After an error, which is an
// [*Error] unless the Checker was closed or aborted, every call returns that error.
func (c *Checker) Write(p []byte) (int, error) {
	if c.err == nil && c.closed {
		c.err = errAborted
	}
	if c.err != nil {
		return 0, c.err
	}
	if err := c.text.Decode(p, c.unpack); err != nil {
		c.fail(err)
		return 0, err
	}
	return len(p), nil
}

// The flags of a gzip header, of which RFC 1952 (section 2.3.1.2) wants some zero:
// zlib refuses them, compress/gzip does not look.
const (
	flagsAt  = 3
	reserved = 0xE0
)

// unpack checks a piece of the tarball when it is its turn.
func (c *Checker) unpack(p []byte) error {
	return turn(c.done, func() error { return c.unpackNow(p) })
}

// unpackNow hands a piece of the tarball to the goroutine, and waits until it was read.
func (c *Checker) unpackNow(p []byte) error {
	if c.also != nil {
		c.also(p)
	}
	if i := flagsAt - c.at; i >= 0 {
		if i < len(p) && p[i]&reserved != 0 {
			return errGzip
		}
		c.at += len(p)
	}
	if c.feed == nil {
		c.feed = newFeed(func(f *feed) (err error) {
			c.content, err = read(f, &c.work, c.each)
			return err
		})
	}
	return c.feed.push(p)
}

// Close ends the tarball and returns what it holds. Only a nil error
// means that it is a tarball as this package knows it.
func (c *Checker) Close() (Content, error) {
	if c.closed || c.err != nil {
		return c.content, c.err
	}
	c.closed = true
	if err := c.text.Close(); err != nil {
		c.fail(err)
	} else if c.feed == nil {
		c.err = errCut
	} else if err := c.feed.end(nil); err != nil {
		c.fail(err)
	}
	return c.content, c.err
}

// Abort ends the check of a tarball that will not be written to its end. It does
// nothing to a Checker that was closed.
func (c *Checker) Abort() {
	if !c.closed && c.err == nil {
		c.fail(errAborted)
	}
}

func (c *Checker) fail(err error) {
	c.err, c.closed = err, true
	if c.feed != nil {
		_ = c.feed.end(err)
	}
	c.content = Content{}
}
