package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A pipes is a listener whose connections are in memory, so that synctest's clock is theirs.
type pipes struct {
	conns chan net.Conn
	once  sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	c, ok := <-p.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.conns) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{} }

// served runs test with a connection to a server of handler, as serve makes one.
func served(t *testing.T, handler http.Handler, test func(t *testing.T, conn net.Conn)) {
	synctest.Test(t, func(t *testing.T) {
		at := &pipes{conns: make(chan net.Conn)}
		server := newServer(handler)
		ended := make(chan error)
		go func() { ended <- server.Serve(at) }()
		here, there := net.Pipe()
		at.conns <- there
		defer func() {
			assert.NoError(t, here.Close())
			assert.NoError(t, server.Close())
			assert.ErrorIs(t, <-ended, http.ErrServerClosed)
			time.Sleep(time.Minute) // net/http ends the connection later
		}()
		test(t, here)
	})
}

// AU-27: a download takes as long as it takes, as long as it goes on. Whoever stops reading is cut
// off, and its request ends.
func TestSlowDownloads(t *testing.T) {
	big := bytes.Repeat([]byte("tarball "), 1<<20)
	path := t.TempDir() + "/big.tgz"
	require.NoError(t, os.WriteFile(path, big, 0o600))
	for name, answer := range map[string]func(w http.ResponseWriter, r *http.Request) error{
		"in one write": func(w http.ResponseWriter, _ *http.Request) error { _, err := w.Write(big); return err },
		"a file": func(w http.ResponseWriter, r *http.Request) error {
			f, err := os.Open(path)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = io.Copy(w, f)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			var answered chan error
			handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answered <- answer(w, r) })
			served(t, handler, func(t *testing.T, conn net.Conn) {
				answered = make(chan error, 1)
				began := time.Now()
				for range 2 { // an old deadline is not the next request's
					_, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
					require.NoError(t, err)
					slow := bufio.NewReaderSize(&slowly{conn}, progressPiece)
					res, err := http.ReadResponse(slow, nil)
					require.NoError(t, err)
					got, err := io.ReadAll(res.Body)
					require.NoError(t, err)
					assert.Len(t, got, len(big))
					require.NoError(t, <-answered)
					time.Sleep(time.Minute)
				}
				assert.Greater(t, time.Since(began), time.Hour)

				_, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
				require.NoError(t, err)
				_, err = io.ReadFull(conn, make([]byte, 100<<10))
				require.NoError(t, err)
				stopped := time.Now()
				assert.ErrorIs(t, <-answered, os.ErrDeadlineExceeded)
				assert.LessOrEqual(t, time.Since(stopped), stall)
				_, err = io.Copy(io.Discard, conn)
				assert.True(t, err == nil || errors.Is(err, io.ErrUnexpectedEOF), "%v", err)
			})
		})
	}
}

// slowly reads progressPiece in most of the time that it may take.
type slowly struct{ net.Conn }

func (s *slowly) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	time.Sleep(time.Duration(n) * (stall * 3 / 4) / progressPiece)
	return n, err
}

// AU-27: a request's headers come soon, are not large, and a connection is not kept for nothing.
func TestHeadersAndIdleConnections(t *testing.T) {
	quick := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/long" { // an upload, say
			time.Sleep(10 * stall)
		}
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusNoContent)
	})
	send := func(t *testing.T, conn net.Conn, request string) *http.Response {
		go func() { _, _ = io.WriteString(conn, request) }() // the server may not read all of it
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		return res
	}
	t.Run("headers that do not end", func(t *testing.T) {
		served(t, quick, func(t *testing.T, conn net.Conn) {
			began := time.Now()
			_, err := io.WriteString(conn, "GET / HTTP/1.1\r\n")
			require.NoError(t, err)
			_, _ = io.Copy(io.Discard, conn)
			assert.LessOrEqual(t, time.Since(began), time.Minute)
		})
	})
	t.Run("large headers", func(t *testing.T) {
		served(t, quick, func(t *testing.T, conn net.Conn) {
			res := send(t, conn, "GET / HTTP/1.1\r\nHost: x\r\nX: "+string(bytes.Repeat([]byte("x"), 80<<10))+"\r\n\r\n")
			assert.Equal(t, http.StatusRequestHeaderFieldsTooLarge, res.StatusCode)
		})
	})
	t.Run("idle", func(t *testing.T) {
		served(t, quick, func(t *testing.T, conn net.Conn) {
			assert.Equal(t, http.StatusNoContent, send(t, conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").StatusCode)
			assert.Equal(t, http.StatusNoContent, send(t, conn, "GET /long HTTP/1.1\r\nHost: x\r\n\r\n").StatusCode, "whose answer comes late")
			time.Sleep(2 * stall)
			assert.Equal(t, http.StatusContinue, send(t, conn, "PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n").StatusCode)
			assert.Equal(t, http.StatusNoContent, send(t, conn, "x").StatusCode)
			began := time.Now()
			_, err := conn.Read(make([]byte, 1))
			assert.ErrorIs(t, err, io.EOF)
			assert.LessOrEqual(t, time.Since(began), 5*time.Minute)
		})
	})
}
