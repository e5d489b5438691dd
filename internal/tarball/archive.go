package tarball

import (
	"compress/flate"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"io"
	"strings"
)

// The reasons that have no better place.
var (
	errGzip    = refuse("the tarball is not valid gzip")
	errBehind  = refuse("the tarball has data after its end")
	errNone    = refuse("the tarball has no package.json")
	errSeveral = refuse("the tarball has several package.json that differ")
	errBig     = refuse("the tarball's package.json is too big")
)

// read reads the tarball in src to its end, and calls each, unless that is nil, for each file.
func read(src *feed, w *work, each func(File) error) (Content, error) {
	zip, err := gzip.NewReader(src)
	if err != nil {
		return Content{}, unpacked(err)
	}
	zip.Multistream(false)
	a := &archive{src: zip, sent: src, work: w, each: each}
	if err := a.read(); err != nil {
		return Content{}, unpacked(err)
	}
	switch _, err := src.ReadByte(); {
	case err == nil:
		return Content{}, errBehind
	case !errors.Is(err, io.EOF):
		return Content{}, err
	case !a.found:
		return Content{}, errNone
	}
	return a.content, nil
}

// unpacked puts an error of gzip or tar into words.
func unpacked(err error) error {
	var corrupt flate.CorruptInputError
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errCut
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum), errors.As(err, &corrupt):
		return errGzip
	}
	return err
}

// An archive reads a tar file.
type archive struct {
	src   io.Reader
	sent  *feed // what src unpacks
	work  *work
	each  func(File) error // nil: nobody wants to know
	block block
	buf   [32 << 10]byte

	found   bool
	sum     [sha256.Size]byte // of the first package.json
	content Content
}

// read reads all entries, and the end.
func (a *archive) read() error {
	for {
		if err := a.next(); err != nil {
			return err
		}
		if a.block == (block{}) {
			return a.end()
		}
		if err := a.entry(); err != nil {
			return err
		}
	}
}

// next reads one block.
func (a *archive) next() error { return a.fill(a.block[:]) }

// does counts work that comes next, and returns an error if that is too much for what has been
// read of the tarball so far.
func (a *archive) does(counter *int64, n int) error {
	*counter += int64(n)
	return a.work.within(bounds(a.sent.read))
}

// fill reads len(p) bytes.
func (a *archive) fill(p []byte) error {
	if err := a.does(&a.work.unpacked, len(p)); err != nil {
		return err
	}
	_, err := io.ReadFull(a.src, p)
	return err
}

// end reads what follows the first block of zeros: another one, and zeros up to the
// size of a tape's record.
func (a *archive) end() error {
	if err := a.next(); err != nil {
		return err
	}
	if a.block != (block{}) {
		return errHeader
	}
	for {
		n, err := a.src.Read(a.buf[:])
		if err := a.does(&a.work.unpacked, n); err != nil {
			return err
		}
		switch {
		case !zero(a.buf[:n]):
			return errBehind
		case errors.Is(err, io.EOF) && a.work.unpacked%blockSize == 0:
			return nil
		case err != nil:
			return err
		}
	}
}

// header reads the header in a.block.
func (a *archive) header() (entryHeader, error) {
	if err := a.does(&a.work.headers, 1); err != nil {
		return entryHeader{}, err
	}
	return a.block.header()
}

// entry reads the entry whose first header is in a.block.
func (a *archive) entry() error {
	h, err := a.header()
	if err != nil {
		return err
	}
	var long *string // the name that replaces the header's
	switch h.kind {
	case kindGlobal:
		_, err := a.attributes(h, true)
		return err
	case kindPAX, kindLongName:
		var x pax
		if h.kind == kindPAX {
			x, err = a.attributes(h, false)
		} else {
			x.path, err = a.longName(h)
		}
		if err == nil {
			err = a.next()
		}
		if err != nil {
			return err
		}
		if h, err = a.header(); err != nil {
			return err
		}
		if h.kind != kindFile && h.kind != kindDir || x.size != nil && *x.size != h.size {
			return errHeader
		}
		long = x.path
	}
	name := h.name
	exact, err := place(name, h.kind == kindFile)
	if err == nil && long != nil && *long != name {
		var also bool
		if also, err = place(*long, h.kind == kindFile); err == nil && (exact || also) {
			err = errPlace // who knows the long name and who does not would disagree
		}
		name = *long
	}
	if err != nil {
		return err
	}
	if h.kind == kindFile && (name == "" || name[len(name)-1] == '/') {
		return errHeader // a directory to some, which has no content
	}
	if exact {
		if err := a.packageJSON(h.size); err != nil || a.each == nil {
			return err
		}
		return a.each(File{packageJSON, h.size, a.sum})
	}
	path := name
	if _, within, ok := strings.Cut(name, "/"); ok && h.kind == kindFile {
		a.content.Files.Add(within)
		path = within
	}
	if a.each == nil || h.kind != kindFile {
		return a.data(h.size, func([]byte) error { return nil })
	}
	sum := sha256.New()
	if err := a.data(h.size, func(p []byte) error { sum.Write(p); return nil }); err != nil {
		return err
	}
	return a.each(File{path, h.size, [sha256.Size]byte(sum.Sum(nil))})
}

// data reads what an entry holds, and what fills its last block.
func (a *archive) data(size int64, to func([]byte) error) error {
	for rest := size; rest > 0; {
		p := a.buf[:min(rest, int64(len(a.buf)))]
		if err := a.fill(p); err != nil {
			return err
		}
		if err := to(p); err != nil {
			return err
		}
		rest -= int64(len(p))
	}
	if pad := size % blockSize; pad > 0 {
		return a.fill(a.block[pad:])
	}
	return nil
}

// meta reads what an entry holds that is about another one.
func (a *archive) meta(h entryHeader) ([]byte, error) {
	if h.size > maxMeta {
		return nil, errHeader
	}
	if err := a.does(&a.work.attributes, int(h.size)); err != nil {
		return nil, err
	}
	data := make([]byte, 0, h.size)
	err := a.data(h.size, func(p []byte) error { data = append(data, p...); return nil })
	return data, err
}

// packageJSON reads a package.json. Only the first is parsed: the others must be the same.
func (a *archive) packageJSON(size int64) (err error) {
	if size > maxManifest {
		return errBig
	}
	a.work.copies++
	if err := a.does(&a.work.hashed, int(size)); err != nil {
		return err
	}
	sum := sha256.New()
	if a.found {
		err = a.data(size, func(p []byte) error { sum.Write(p); return nil })
		if err == nil && [sha256.Size]byte(sum.Sum(nil)) != a.sum {
			err = errSeveral
		}
		return err
	}
	scan := newScanner()
	err = a.data(size, func(p []byte) error {
		sum.Write(p)
		a.work.parsed += int64(len(p))
		return scan.write(p)
	})
	if err != nil {
		return err
	}
	a.content.Manifest, err = scan.close()
	a.found, a.sum = err == nil, [sha256.Size]byte(sum.Sum(nil))
	return err
}
