package tarball

import (
	"crypto/sha256"
	"errors"
	"io"
)

// A File is a regular file in a tarball.
type File struct {
	Path string // as the tarball has it, without its first part; it may be any text
	Size int64  // bytes
	Sum  [sha256.Size]byte
}

// ReadFiles checks the tarball in src as a [Checker] does, within the same bounds and in turns with others, and calls each
// for every file in it, in order: an error that each returns ends it. An error about the tarball is an [*Error]. done is
// that of [Checker.Until].
func ReadFiles(src io.Reader, done <-chan struct{}, each func(File) error) (Content, error) {
	c := New()
	c.each = each
	c.Until(done)
	defer c.Abort()
	buf := make([]byte, pieceSize)
	for {
		n, err := src.Read(buf)
		if n > 0 {
			if err := c.unpack(buf[:n]); err != nil {
				c.fail(err)
				return Content{}, err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return c.Close()
		case err != nil:
			return Content{}, err
		}
	}
}
