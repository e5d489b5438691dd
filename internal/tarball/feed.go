package tarball

import (
	"cmp"
	"io"
)

// A feed lets a function that reads be written to: it runs in a goroutine of its
// own, which works only while the writer waits. So it never falls behind, and an
// error comes with the piece that it is about.
//
// [iter.Pull] would do the same, but ends the process if the goroutine that writes
// and the one that ends are bound to threads (runtime.LockOSThread): who calls are a
// host's.
type feed struct {
	pieces chan []byte
	idle   chan struct{} // the goroutine wants a piece
	done   chan struct{} // the goroutine has ended
	err    error         // of run; read after done
	ended  bool
	reason error // why there is no more, if it is not the end; written before pieces is closed

	// The goroutine's own.
	piece []byte // being read
	read  int64  // bytes of all pieces so far
	last  error  // what follows it, once there are no more
}

func newFeed(run func(*feed) error) *feed {
	f := &feed{pieces: make(chan []byte), idle: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(f.done)
		f.err = errPanic // unless run returns: nobody else could recover
		defer func() { _ = recover() }()
		f.err = run(f)
	}()
	f.wait()
	return f
}

// errPanic is for a tarball that breaks the packages that read it.
var errPanic = refuse("the tarball cannot be read")

func (f *feed) wait() {
	select {
	case <-f.idle:
	case <-f.done:
	}
}

// push has p read. It must not be called after end.
func (f *feed) push(p []byte) error {
	select {
	case <-f.done:
		return f.failed()
	default:
	}
	if len(p) == 0 {
		return nil
	}
	f.pieces <- p // it is idle, so it takes it
	f.wait()
	select {
	case <-f.done:
		return f.failed()
	default:
		return nil
	}
}

// failed returns why the goroutine ended before the end, which is never well.
func (f *feed) failed() error {
	if f.err == nil {
		return errPanic
	}
	return f.err
}

// end says that there is no more, for a reason or because it is the end (nil), and
// returns what run returned.
func (f *feed) end(reason error) error {
	if !f.ended {
		f.ended, f.reason = true, reason
		close(f.pieces)
	}
	<-f.done
	return f.err
}

// next waits for a piece if there is none.
func (f *feed) next() error {
	for len(f.piece) == 0 && f.last == nil {
		f.idle <- struct{}{} // the writer waits for it, always
		piece, more := <-f.pieces
		if f.piece = piece; !more {
			f.last = cmp.Or(f.reason, io.EOF)
		}
	}
	if len(f.piece) == 0 {
		return f.last
	}
	return nil
}

// Read implements io.Reader, for the goroutine.
func (f *feed) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if err := f.next(); err != nil {
		return 0, err
	}
	n := copy(p, f.piece)
	f.piece = f.piece[n:]
	f.read += int64(n)
	return n, nil
}

// ReadByte implements io.ByteReader: gzip then reads no more than its own.
func (f *feed) ReadByte() (byte, error) {
	if len(f.piece) == 0 {
		if err := f.next(); err != nil {
			return 0, err
		}
	}
	c := f.piece[0]
	f.piece = f.piece[1:]
	f.read++
	return c, nil
}
