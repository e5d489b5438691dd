package hosttest

import (
	"bytes"
	"context"
	"encoding/base64"
	"io"
	"io/fs"
	"testing/iotest"

	"github.com/npmauth/npmauth/protocol"
)

// StagedTarball implements [host.Tarballs].
func (s *shop) StagedTarball(_ context.Context, id string) (io.ReadCloser, error) {
	return s.tarball(id, func() []byte {
		for key, v := range s.kept {
			is := key == id
			if s.careless == "compares any version" {
				is = v.change.Version == "3.0.0"
			}
			if is {
				return v.tarball()
			}
		}
		return nil
	})
}

// PublishedTarball implements [host.Tarballs].
func (s *shop) PublishedTarball(_ context.Context, pkg protocol.PackageID, version string) (io.ReadCloser, error) {
	return s.tarball(string(pkg)+"@"+version, func() []byte {
		for _, g := range s.goods {
			if g.id != pkg && s.careless != "compares with any package" {
				continue
			}
			if s.careless == "compares with the newest" {
				version = g.tags["latest"]
			}
			return g.files[version]
		}
		return nil
	})
}

// tarball returns the bytes of a staged version.
func (v staging) tarball() []byte {
	for _, a := range v.sent.Attachments {
		if data, err := base64.StdEncoding.DecodeString(a.Data); err == nil {
			return data
		}
	}
	return nil
}

// tarball opens what find returns, nil for nothing.
func (s *shop) tarball(of string, find func() []byte) (io.ReadCloser, error) {
	s.mu.Lock()
	data := find()
	r := io.Reader(bytes.NewReader(data))
	s.mu.Unlock()
	switch {
	case data == nil && s.careless == "calls absence a failure":
		return nil, errGone
	case data == nil && s.careless == "calls absence nothing":
		return nil, nil
	case data == nil:
		return nil, fs.ErrNotExist
	}
	switch s.careless {
	case "panics in tarballs":
		panic("boom")
	case "cuts tarballs":
		r = bytes.NewReader(data[:len(data)-1])
	case "breaks tarballs off":
		r = io.MultiReader(r, iotest.ErrReader(errGone))
	case "has one reader of each":
		if s.readers[of] == nil {
			s.readers[of] = r
		}
		r = s.readers[of]
	case "opens one at a time":
		s.room <- struct{}{}
		return alone{r, s}, nil
	}
	return io.NopCloser(r), nil
}

// alone is the only reader until it is closed.
type alone struct {
	io.Reader
	s *shop
}

func (r alone) Close() error {
	r.s.leave()
	return nil
}
