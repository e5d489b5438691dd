package hosttest

import (
	"context"
	"io"
	"io/fs"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/protocol"
)

// tarballsOf returns the table of packages, without what watches it, as the tarballs that it opens.
func tarballsOf(reg Registry) host.Tarballs {
	table := reg.Packages
	if w, ok := table.(watchedPackages); ok {
		table = w.Packages
	}
	tarballs, _ := table.(host.Tarballs)
	return tarballs
}

// noTarballs is missing of the cases about tarballs that npmauth compares.
func noTarballs(reg Registry) string {
	if tarballsOf(reg) == nil {
		return "Packages, as host.Tarballs,"
	}
	return noStaging(reg)
}

// A comparedTarball is one of host.Tarballs.
type comparedTarball struct {
	x    *rig
	what string // for failures
	open func(context.Context) (io.ReadCloser, error)
}

func (x *rig) ofStaged(id, what string) comparedTarball {
	return comparedTarball{x, "StagedTarball of " + what, func(ctx context.Context) (r io.ReadCloser, err error) {
		defer x.caught("Packages.StagedTarball", func() { r, err = nil, errPanic })
		return tarballsOf(x.Registry).StagedTarball(ctx, id)
	}}
}

func (x *rig) ofPublished(pkg protocol.PackageID, version, what string) comparedTarball {
	return comparedTarball{x, "PublishedTarball of " + what, func(ctx context.Context) (r io.ReadCloser, err error) {
		defer x.caught("Packages.PublishedTarball", func() { r, err = nil, errPanic })
		return tarballsOf(x.Registry).PublishedTarball(ctx, pkg, version)
	}}
}

// is checks that the tarball has these bytes, also where somebody else has opened it and read a part of it.
func (c comparedTarball) is(t tb, want string) {
	t.Helper()
	left, err := c.open(t.Context())
	require.NoError(t, err, c.what)
	require.NotNil(t, left, "%s is neither a reader nor an error", c.what)
	defer left.Close() // before its end, as what is too large
	_, err = left.Read(make([]byte, 1))
	require.NoError(t, err, c.what)
	type content struct {
		data []byte
		err  error
	}
	read := make(chan content, 1)
	go func() {
		var is content
		defer func() { read <- is }()
		r, err := c.open(t.Context())
		if err != nil || r == nil {
			is.err = err
			return
		}
		defer r.Close()
		is.data, is.err = io.ReadAll(r)
	}()
	select {
	case is := <-read:
		require.NoError(t, is.err, c.what)
		assert.Equal(t, want, string(is.data), c.what)
	case <-time.After(unhurried):
		require.Fail(t, c.what+" waits for another reader of the same tarball: people compare at the same time")
	}
}

// isAbsent checks that there is no such tarball, and that it is said in the way that npmauth knows.
func (c comparedTarball) isAbsent(t tb) {
	t.Helper()
	r, err := c.open(t.Context())
	if r != nil {
		_ = r.Close()
	}
	assert.ErrorIs(t, err, fs.ErrNotExist, "%s is io/fs.ErrNotExist, and not %v", c.what, err)
}

// id returns the ID that Package has.
func (x *rig) id(t tb) protocol.PackageID {
	t.Helper()
	facts, err := x.Packages.Facts(t.Context(), x.Package, x.Creators[first])
	require.NoError(t, err)
	require.NotEmpty(t, facts.ID, "the package exists")
	return facts.ID
}

// comparedAsKept opens the tarballs of two published versions and of two staged ones.
func comparedAsKept(t tb, x *rig) {
	x.published(t, first, "1.0.0", "1.1.0")
	pkg, staged := x.id(t), map[string]string{}
	for _, version := range []string{"2.0.0", "3.0.0"} {
		staged[version] = x.staged(t, first, version)
	}
	for version, id := range staged {
		x.ofStaged(id, "a version").is(t, string(Tarball(x.Package, version)))
	}
	for _, version := range []string{"1.0.0", "1.1.0"} {
		x.ofPublished(pkg, version, "a version").is(t, string(Tarball(x.Package, version)))
	}
}

// comparedAbsent asks for tarballs that there are not, or not any more.
func comparedAbsent(t tb, x *rig) {
	x.published(t, first, "1.0.0")
	pkg, id := x.id(t), x.staged(t, first, "2.0.0")
	x.ofStaged("3f0c9d52-6f6b-4f0e-9d0f-0a54c2f7b9e1", "an ID that nothing is staged under").isAbsent(t)
	x.ofPublished(pkg, "9.0.0", "a version that there is not").isAbsent(t)
	x.ofPublished(pkg, "2.0.0", "a version that is only staged").isAbsent(t)
	x.ofPublished("npmauth-host-test-nothing", "1.0.0", "a package that there is not").isAbsent(t)
	x.approved(t, first, id)
	x.ofStaged(id, "a version that was approved").isAbsent(t)
	id = x.staged(t, first, "3.0.0")
	x.reject(t, id)
	x.ofStaged(id, "a version that was rejected").isAbsent(t)

	x.remove(t, first)
	x.published(t, second, "1.0.1")
	x.ofPublished(pkg, "1.0.1", "a package that was removed, whose name another one has").isAbsent(t)
	x.ofPublished(pkg, "1.0.0", "a package that was removed").isAbsent(t)
}
