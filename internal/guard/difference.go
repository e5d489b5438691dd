package guard

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/npmauth/npmauth/internal/authz"
	"github.com/npmauth/npmauth/internal/manifest"
	"github.com/npmauth/npmauth/internal/tarball"
	"github.com/npmauth/npmauth/stage"
)

// Bounds of a difference, beside those of package tarball for each of the two.
const (
	// differenceTime is how long the two tarballs are read.
	differenceTime = 30 * time.Second
	// maxTarball is how many bytes of a tarball are read: as many as a publish may have.
	maxTarball = 150 << 20
	// maxFiles is how many files of a tarball are compared, and maxPaths how many bytes their paths have.
	maxFiles = 50_000
	maxPaths = 4 << 20
	// maxListed is how many files of a kind the answer lists, and how many values of package.json; maxShown how many
	// bytes of each text.
	maxListed = 500
	maxShown  = 1 << 10
)

// comparing has an element for each difference that is made: two at a time, so that they bound the memory of the files.
var comparing = make(chan struct{}, 2)

// A differenceAnswer is that of GET /-/auth/v1/staged/<id>/difference.
type differenceAnswer struct {
	// Offered reports whether the registry hands out tarballs. Without it the answer has no files.
	Offered bool `json:"offered"`
	// From is the published version that the staged one is compared with, "" if there is none, and Tag the dist-tag
	// that names it.
	From string `json:"from,omitempty"`
	Tag  string `json:"tag,omitempty"`
	// Problem is why the staged tarball is not read, and FromProblem why the published one is not.
	Problem     string `json:"problem,omitempty"`
	FromProblem string `json:"fromProblem,omitempty"`

	Size      int64            `json:"size"` // bytes of all files, unpacked
	FromSize  int64            `json:"fromSize"`
	Files     int              `json:"files"` // how many the staged version has
	FromFiles int              `json:"fromFiles"`
	Added     differingFiles   `json:"added"`
	Removed   differingFiles   `json:"removed"`
	Changed   differingFiles   `json:"changed"`
	Manifest  []differingValue `json:"manifest"`
	More      int              `json:"moreManifest"` // how many values are not listed
}

// differingFiles are files that differ in one way, in the order of their paths: all of them are counted, the first are listed.
type differingFiles struct {
	Total int             `json:"total"`
	Files []differingFile `json:"files"`
}

type differingFile struct {
	Path string `json:"path"`
	From int64  `json:"fromSize"` // bytes
	Size int64  `json:"size"`
}

// A differingValue is one of package.json.
type differingValue struct {
	Field   string `json:"field"`
	Name    string `json:"name"`
	From    string `json:"from"`
	To      string `json:"to"`
	Install bool   `json:"install"` // it says what is run where the package is installed
}

// stagedDifference returns in what a staged version differs from the one that is published under its dist-tag, or under latest.
// What cannot be read is said in it: it hides nothing of the rest.
func (a *Guard) stagedDifference(r *http.Request, q *authz.Request, v stage.Version) differenceAnswer {
	none := differingFiles{Files: []differingFile{}}
	is := differenceAnswer{Offered: a.Tarballs != nil, Added: none, Removed: none, Changed: none, Manifest: []differingValue{}}
	ctx, cancel := context.WithTimeout(r.Context(), differenceTime)
	defer cancel()
	if err := a.publishedBefore(ctx, q, v, &is); err != nil {
		is.FromProblem = unreadable
		a.LogLater(r.Context(), "npmauth: what a staged version is compared with is unknown", err)
	}
	if !is.Offered {
		return is
	}
	select {
	case comparing <- struct{}{}:
		defer func() { <-comparing }()
	case <-ctx.Done():
		is.Problem = unreadable
		return is
	}
	var staged, before contents
	staged, is.Problem = a.contents(ctx, func() (io.ReadCloser, error) { return a.Tarballs.StagedTarball(ctx, v.ID) })
	if is.From != "" {
		before, is.FromProblem = a.contents(ctx, func() (io.ReadCloser, error) {
			return a.Tarballs.PublishedTarball(ctx, q.Package.ID, is.From)
		})
	}
	is.Size, is.Files, is.FromSize, is.FromFiles = staged.size, len(staged.files), before.size, len(before.files)
	if is.Problem == "" && is.FromProblem == "" { // also where there is nothing to compare with
		is.compare(before, staged)
	}
	return is
}

// publishedBefore sets what the staged version is compared with.
func (a *Guard) publishedBefore(ctx context.Context, q *authz.Request, v stage.Version, is *differenceAnswer) error {
	if q.Package.ID == "" || a.Documents == nil {
		return nil
	}
	doc, err := a.Documents.Document(ctx, v.Package)
	if err != nil || doc.ID != q.Package.ID { // it was replaced a moment ago
		return err
	}
	for _, tag := range append(slices.Sorted(maps.Keys(v.Change.Tags)), "latest") {
		if _, there := doc.Versions[doc.Tags[tag]]; there {
			is.From, is.Tag = doc.Tags[tag], tag
			break
		}
	}
	return nil
}

// Why a tarball is not read.
const (
	unreadable = "The registry cannot read it at the moment."
	notKept    = "The registry does not have it."
	tooMuch    = "It is larger than what this page compares."
)

var errTooMuch = errors.New("guard: more than is compared")

// contents are what a tarball holds.
type contents struct {
	files    map[string]file
	size     int64
	manifest manifest.Manifest
}

// A file is that of a path. Of several only the last is installed; sum is of all of them then, since not every client
// need agree.
type file struct {
	size int64
	sum  [sha256.Size]byte
}

// contents reads a tarball, or returns why it is not read.
func (a *Guard) contents(ctx context.Context, open func() (io.ReadCloser, error)) (c contents, problem string) {
	none := contents{}
	_, err := authz.Call(ctx, func() (struct{}, error) { // the host's reader may panic, too
		src, err := open()
		if err != nil {
			return struct{}{}, err
		}
		if src == nil {
			return struct{}{}, fs.ErrNotExist
		}
		defer src.Close()
		return struct{}{}, c.read(ctx, src)
	})
	bad, malformed := errors.AsType[*tarball.Error](err)
	switch {
	case err == nil:
		return c, ""
	case malformed:
		return none, "It is malformed: " + bad.Problem + "."
	case errors.Is(err, errTooMuch):
		return none, tooMuch
	case errors.Is(err, fs.ErrNotExist):
		return none, notKept
	}
	a.LogLater(ctx, "npmauth: a tarball that is to be compared cannot be read", err)
	return none, unreadable
}

func (c *contents) read(ctx context.Context, src io.Reader) error {
	c.files = map[string]file{}
	paths := 0
	content, err := tarball.ReadFiles(&boundedReader{ctx, src, maxTarball + 1}, ctx.Done(), func(f tarball.File) error {
		if paths += len(f.Path); paths > maxPaths || len(c.files) >= maxFiles {
			return errTooMuch
		}
		is := file{f.Size, f.Sum}
		if old, twice := c.files[f.Path]; twice {
			c.size -= old.size
			if old != is {
				is.sum = sha256.Sum256(append(old.sum[:], f.Sum[:]...))
			}
		}
		c.files[f.Path] = is
		c.size += f.Size
		return nil
	})
	c.manifest = content.Manifest
	return err
}

// A boundedReader reads as much as a tarball may have, until ctx is over.
type boundedReader struct {
	ctx  context.Context
	src  io.Reader
	left int64
}

func (b *boundedReader) Read(p []byte) (int, error) {
	switch {
	case b.ctx.Err() != nil:
		return 0, b.ctx.Err()
	case b.left <= 0:
		return 0, errTooMuch
	}
	n, err := b.src.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// compare lists what differs.
func (is *differenceAnswer) compare(before, staged contents) {
	all := maps.Clone(before.files)
	if all == nil {
		all = map[string]file{}
	}
	maps.Copy(all, staged.files)
	for _, path := range slices.Sorted(maps.Keys(all)) {
		old, was := before.files[path]
		now, stays := staged.files[path]
		switch {
		case !was:
			is.Added.add(path, old, now)
		case !stays:
			is.Removed.add(path, old, now)
		case old != now:
			is.Changed.add(path, old, now)
		}
	}
	for _, d := range manifest.Differences(before.manifest, staged.manifest) {
		if len(is.Manifest) == maxListed {
			is.More++
			continue
		}
		is.Manifest = append(is.Manifest, differingValue{d.Field, shownText(d.Name), shownText(d.Old), shownText(d.New), d.RunsAtInstall()})
	}
}

func (d *differingFiles) add(path string, old, now file) {
	if d.Total++; d.Total <= maxListed {
		d.Files = append(d.Files, differingFile{shownText(path), old.size, now.size})
	}
}

// shownText returns as much of a text as is shown.
func shownText(text string) string {
	if len(text) <= maxShown {
		return text
	}
	return strings.ToValidUTF8(text[:maxShown], "") + "…"
}
