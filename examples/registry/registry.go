package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/protocol"
)

const maxPublish = 256 << 20 // bytes of its body; npmauth bounds the others, which it reads itself

// A registry is the registry itself: packages, tarballs and dist-tags, owners, organizations
// and teams, without any authorization. A host gives it to npmauth's Wrap, and it serves only
// requests that Wrap allows.
type registry struct {
	db       *database
	tarballs *tarballs
	people   *people
	view     view
	log      *slog.Logger
	// ready reports whether npmauth can decide, and is [npmauth.Auth.Ready].
	ready func(context.Context) error
}

// ServeHTTP serves one request that npmauth has allowed. The context has the operation, which
// npmauth reads from the path once, so that the decision and the action cannot differ.
func (s *registry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	op, ok := host.OperationFrom(r.Context())
	if !ok {
		err := errors.New("the registry is served without npmauth")
		if isFront(s.view.base)(r) {
			err = s.front(w, r)
		}
		if err != nil {
			s.fail(w, r, err)
		}
		return
	}
	var err error
	switch op.Action {
	case protocol.Ping:
		err = s.ping(w, r)
	case protocol.Audit:
		err = errNoAdvisories
	case protocol.ReadPackument:
		err = s.packument(w, r, op)
	case protocol.ReadTarball:
		err = s.tarball(w, r, op)
	case protocol.ReadVisibility:
		err = s.visibility(w, r, op)
	case protocol.ReadDistTags:
		err = s.distTags(w, r, op)
	case protocol.SetDistTag:
		err = s.setDistTag(w, r, op)
	case protocol.RemoveDistTag:
		err = s.removeDistTag(w, r, op)
	case protocol.Publish:
		err = s.publish(w, r, op)
	case protocol.Stage:
		err = s.stage(w, r, op)
	case protocol.ReadStaged:
		err = s.readStaged(w, r, op)
	case protocol.ApproveStaged:
		err = s.approveStaged(w, r, op)
	case protocol.RejectStaged:
		err = s.rejectStaged(w, r, op)
	case protocol.Deprecate:
		err = s.deprecate(w, r, op)
	case protocol.Unpublish:
		err = s.unpublish(w, r, op)
	case protocol.UnpublishAll:
		err = s.unpublishAll(w, r, op)
	case protocol.WriteOwners:
		err = s.writeOwners(w, r, op)
	case protocol.SetAccess:
		err = s.setAccess(w, r, op)
	case protocol.ReadCollaborators:
		err = s.collaborators(w, r, op)
	case protocol.ListPackages:
		err = s.listPackages(w, r, op)
	case protocol.Search:
		err = s.search(w, r, op)
	case protocol.Star:
		err = s.star(w, r, op)
	case protocol.ListStars:
		err = s.stars(w, r, op)
	case protocol.ReadOrg:
		err = s.members(w, r, op)
	case protocol.ListOrgPackages:
		err = s.orgPackages(w, r, op)
	case protocol.WriteOrg:
		err = s.writeOrg(w, r, op)
	case protocol.ListTeams:
		err = s.teams(w, r, op)
	case protocol.ReadTeam:
		err = s.team(w, r, op)
	case protocol.ListTeamPackages:
		err = s.teamPackages(w, r, op)
	case protocol.WriteTeam:
		err = s.writeTeam(w, r, op)
	case protocol.WriteTeamMember:
		err = s.writeTeamMember(w, r, op)
	case protocol.GrantTeam:
		err = s.grantTeam(w, r, op)
	default:
		err = refuse(http.StatusNotFound, "This registry does not serve that.")
	}
	if err != nil {
		s.fail(w, r, err)
	}
}

// ping reports whether the registry works: whether its own tables and npmauth's store answer.
func (s *registry) ping(w http.ResponseWriter, r *http.Request) error {
	if err := errors.Join(s.db.ping(r.Context()), s.ready(r.Context())); err != nil {
		s.report(r, "ping", err)
		return refuse(http.StatusServiceUnavailable, "The registry is not ready.")
	}
	return reply(w, http.StatusOK, struct{}{})
}

// packument serves a package's metadata, or one version's.
func (s *registry) packument(w http.ResponseWriter, r *http.Request, op host.Operation) error {
	if op.Version != "" || op.Tag != "" {
		return s.version(w, r, op)
	}
	is, err := s.db.read(r.Context(), op.Package.String(), op.PackageID)
	if err != nil {
		return err
	}
	maintainers, err := s.people.list(r.Context(), is.owners)
	if err != nil {
		return err
	}
	fans, err := s.people.list(r.Context(), is.fans)
	if err != nil {
		return err
	}
	kind, view := "application/json", s.view.of(r)
	if strings.Contains(strings.Join(r.Header["Accept"], ","), abbreviatedType) {
		kind = abbreviatedType
	}
	// The revision stands for all but the names of people, and for what this program makes of it.
	tag, err := encode([]any{1, kind, view.base.String(), is.rev(), maintainers, fans})
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Vary", "Accept, Authorization")
	cacheable(w, is.pkg, tag)
	if unchanged(w, r) || r.Method == http.MethodHead {
		return nil
	}
	read := func(ctx context.Context, version string) (release, error) {
		r, err := s.db.stored(ctx, is.ID, version)
		if errors.Is(err, errNoVersion) { // unpublished since the picture
			err = errStale
		}
		return r, err
	}
	return s.stream(w, r, func(w io.Writer) error {
		if kind == abbreviatedType {
			return view.abbreviated(r.Context(), w, is, maintainers, read)
		}
		return view.packument(r.Context(), w, is, maintainers, fans, read)
	})
}

func (s *registry) version(w http.ResponseWriter, r *http.Request, op host.Operation) error {
	p, rel, err := s.release(r, op, cmp.Or(op.Version, op.Tag))
	if err != nil {
		return err
	}
	body, err := s.view.of(r).render(r.Context(), p, rel.Version, func(ctx context.Context, version string) (release, error) {
		return s.db.stored(ctx, p.ID, version)
	}, nil)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Vary", "Authorization")
	cacheable(w, p, body)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
	return nil
}

// stream answers with what write writes. An error in the middle cuts the answer off, so that
// nobody takes it for whole.
func (s *registry) stream(w http.ResponseWriter, r *http.Request, write func(io.Writer) error) error {
	answer := &begun{w: w}
	buffer := bufio.NewWriterSize(answer, 32<<10)
	err := write(buffer)
	if err == nil {
		err = buffer.Flush()
	}
	if err == nil || !answer.begun {
		return err
	}
	if answer.err == nil {
		s.report(r, "answer", err)
	}
	panic(http.ErrAbortHandler)
}

// A begun writer knows whether anything was written, and why no more could be: clients disconnect.
type begun struct {
	w     io.Writer
	begun bool
	err   error
}

func (b *begun) Write(p []byte) (n int, err error) {
	b.begun = true
	n, b.err = b.w.Write(p)
	return n, b.err
}

// cacheable sets the headers of a document that the next publish changes: a cache may keep it, but
// must revalidate it, for which it has an ETag of what the document is made from.
func cacheable(w http.ResponseWriter, p pkg, from []byte) {
	sum := sha256.Sum256(from)
	w.Header().Set("ETag", `"`+hex.EncodeToString(sum[:16])+`"`)
	w.Header().Set("Cache-Control", visibility(p)+", no-cache")
}

// unchanged answers 304 if the client has the document of this ETag.
func unchanged(w http.ResponseWriter, r *http.Request) bool {
	for had := range strings.SplitSeq(strings.Join(r.Header["If-None-Match"], ","), ",") {
		if had = strings.TrimPrefix(strings.TrimSpace(had), "W/"); had == w.Header().Get("ETag") || had == "*" {
			w.Header().Del("Content-Type")
			w.WriteHeader(http.StatusNotModified)
			return true
		}
	}
	return false
}

func (s *registry) tarball(w http.ResponseWriter, r *http.Request, op host.Operation) error {
	p, rel, err := s.release(r, op, op.Version)
	if err != nil {
		return err
	}
	if rel.Version != op.Version { // a tag names no tarball: its bytes would change
		return errNoVersion
	}
	f, err := s.tarballs.open(rel.Tarball)
	if err != nil {
		return fmt.Errorf("tarball of %s@%s: %w", p.Name, op.Version, err)
	}
	defer f.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("ETag", `"`+string(rel.Tarball[:32])+`"`)
	w.Header().Set("Vary", "Authorization")
	if p.Private {
		w.Header().Set("Cache-Control", "private, no-cache")
	} else {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	http.ServeContent(w, r, "", rel.Published, f)
	return nil
}

// release finds the release that the request was allowed to read.
func (s *registry) release(r *http.Request, op host.Operation, name string) (pkg, release, error) {
	p, err := s.target(r.Context(), op)
	if err != nil {
		return pkg{}, release{}, err
	}
	rel, err := s.db.release(r.Context(), p.ID, name)
	return p, rel, err
}

// target finds the package that npmauth decided on. Another package may have its name by now,
// and that one is not allowed.
func (s *registry) target(ctx context.Context, op host.Operation) (pkg, error) {
	p, err := s.db.find(ctx, op.Package.String())
	if err == nil && p.ID != op.PackageID {
		return pkg{}, errMoved
	}
	return p, err
}

func (s *registry) distTags(w http.ResponseWriter, r *http.Request, op host.Operation) error {
	p, err := s.target(r.Context(), op)
	if err != nil {
		return err
	}
	tags, err := s.db.tags(r.Context(), p.ID)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", visibility(p)+", no-cache")
	w.Header().Set("Vary", "Authorization")
	return reply(w, http.StatusOK, tags)
}

func (s *registry) setDistTag(w http.ResponseWriter, r *http.Request, op host.Operation) error {
	change, err := op.Change()
	if err != nil {
		return err
	}
	if err := s.db.setTag(r.Context(), op.Package.String(), op.PackageID, op.Tag, change.Version); err != nil {
		return err
	}
	return reply(w, http.StatusOK, okay)
}

func (s *registry) removeDistTag(w http.ResponseWriter, r *http.Request, op host.Operation) error {
	if op.Tag == "latest" {
		return refuse(http.StatusBadRequest, "The dist-tag latest can be moved to another version, but not removed.")
	}
	// npm looks for the tag before: one that is not there any more is its retry.
	if err := s.db.removeTag(r.Context(), op.Package.String(), op.PackageID, op.Tag); err != nil && !errors.Is(err, errNoTag) {
		return err
	}
	return reply(w, http.StatusOK, okay)
}

// publish adds a version. Nothing is visible before the tarball is safe on the disk and the
// body was read to its end.
func (s *registry) publish(w http.ResponseWriter, r *http.Request, op host.Operation) error {
	p, err := s.receive(w, r, op)
	if err != nil {
		return err
	}
	if err := s.db.publish(r.Context(), p); err != nil {
		return err
	}
	s.created(r, op)
	return reply(w, http.StatusCreated, okay)
}

// created tells npmauth of a package that an operation has created. That it could not be told does not undo the publish.
func (s *registry) created(r *http.Request, op host.Operation) {
	if op.PackageID != "" {
		return
	}
	p, err := s.db.find(r.Context(), op.Package.String())
	if err == nil {
		err = op.Created(r.Context(), p.ID)
	}
	if err != nil {
		s.report(r, "tell of a new package", err)
	}
}

// receive reads the body of a publish, keeps its tarball, and returns what is to be stored of it.
func (s *registry) receive(w http.ResponseWriter, r *http.Request, op host.Operation) (publication, error) {
	who, ok := host.IdentityFrom(r.Context())
	if !ok {
		return publication{}, errAnonymous
	}
	if op.PackageID == "" && who.Owns() == "" { // no user whom a new package could belong to
		return publication{}, errAnonymous
	}
	tgz, err := s.tarballs.draft()
	if err != nil {
		return publication{}, err
	}
	defer tgz.discard()
	doc, err := readDocument(http.MaxBytesReader(w, r.Body, maxPublish), tgz)
	if err != nil {
		return publication{}, err
	}
	allowed, err := op.Change()
	if err != nil {
		return publication{}, err
	}
	name := op.Package.String()
	m, deprecated, err := doc.manifest(name, allowed.Version, who.NPMUser(""), tgz)
	if err != nil {
		return publication{}, err
	}
	private, err := s.access(r.Context(), op, allowed.Access)
	if err != nil {
		return publication{}, err
	}
	kept, err := tgz.keep()
	if err != nil {
		return publication{}, err
	}
	return publication{
		Name: name, At: op.PackageID, Owner: who.Owns(), Private: private,
		Release: release{Version: allowed.Version, Manifest: m, Tarball: kept, Published: time.Now(), Deprecated: deprecated},
		Tags:    allowed.Tags,
	}, nil
}

// access reports whether the package of a publish is private. A new scoped package is unless
// its publisher sends public, as on npm.
func (s *registry) access(ctx context.Context, op host.Operation, visibility string) (private bool, err error) {
	if op.PackageID != "" {
		p, err := s.target(ctx, op)
		return p.Private, err
	}
	if op.Package.Scope == "" {
		if visibility == "restricted" {
			return false, errUnscoped
		}
		return false, nil
	}
	return visibility != "public", nil
}

// visibility returns HTTP's word for the caches that may keep an answer about a package.
func visibility(p pkg) string {
	if p.Private {
		return "private"
	}
	return "public"
}

// errNoAdvisories answers a request for known vulnerabilities. An empty answer would be that there
// are none: clients print "found 0 vulnerabilities". After 404 an installation goes on, and npm audit
// says why there is nothing to say.
var errNoAdvisories = refuse(http.StatusNotFound, "This registry has no advisories and cannot say whether a package is vulnerable.")

var okay = map[string]bool{"ok": true}

func reply(w http.ResponseWriter, status int, v any) error {
	body, err := encode(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(body)
	return nil
}

// fail answers an error with the JSON that all of npm's clients can read: error
// and message, both strings.
func (s *registry) fail(w http.ResponseWriter, r *http.Request, err error) {
	no, ok := errors.AsType[*refusal](err)
	if !ok {
		no = s.translate(r, err)
	}
	w.Header().Set("Cache-Control", "no-store")
	for _, h := range []string{"ETag", "Last-Modified"} {
		w.Header().Del(h)
	}
	if err := reply(w, no.status, map[string]string{"error": no.sentence, "message": no.sentence}); err != nil {
		s.log.ErrorContext(r.Context(), "answer", "error", err)
	}
}

// translate returns the answer to an error that is not meant for clients.
func (s *registry) translate(r *http.Request, err error) *refusal {
	_, tooLarge := errors.AsType[*http.MaxBytesError](err)
	switch {
	case tooLarge:
		return &refusal{http.StatusRequestEntityTooLarge, "The body is too large."}
	case errors.Is(err, errNoPackage):
		return &refusal{http.StatusNotFound, "Not found."}
	case errors.Is(err, errNoVersion):
		return &refusal{http.StatusNotFound, "The package has no such version or tag."}
	case errors.Is(err, errPublished):
		return &refusal{http.StatusForbidden, "You cannot publish over the previously published versions."}
	case errors.Is(err, errUnpublished):
		return &refusal{http.StatusForbidden, "This version was unpublished, and no version can be published twice. Choose another."}
	case errors.Is(err, errStale):
		return &refusal{http.StatusConflict, "The package has changed since it was read. Try again."}
	case errors.Is(err, errLargeDocument):
		return &refusal{http.StatusForbidden, fmt.Sprintf(
			"The manifests of all versions of a package, with their tags, may have at most %d bytes together. Unpublish versions that nobody needs.", maxPackage)}
	case errors.Is(err, errLastOwner):
		return &refusal{http.StatusForbidden, "The last maintainer of a package cannot be removed. Add another one first."}
	case errors.Is(err, errNoOrg), errors.Is(err, errOrgMoved):
		return &refusal{http.StatusConflict, "The organization has been removed or replaced meanwhile. Try again."}
	case errors.Is(err, errNoTeam):
		return &refusal{http.StatusNotFound, "The organization has no such team."}
	case errors.Is(err, errTeamTaken):
		return &refusal{http.StatusConflict, "The organization has a team of that name already."}
	case errors.Is(err, errDevelopers):
		return &refusal{http.StatusForbidden, "All members of the organization are in its team of developers. It cannot be changed."}
	case errors.Is(err, errNoMember):
		return &refusal{http.StatusNotFound, "The organization or team has no such member."}
	case errors.Is(err, errLastBoss):
		return &refusal{http.StatusForbidden, "The last owner of an organization stays its owner. Make another one first."}
	case errors.Is(err, errNotInside):
		return &refusal{http.StatusForbidden, "A team gets packages of its organization's scope only."}
	case errors.Is(err, errMoved):
		return &refusal{http.StatusConflict, "Someone else has created or removed this package meanwhile. Try again."}
	case errors.Is(err, errAttachments), errors.Is(err, errBase64):
		return &refusal{http.StatusBadRequest, "The body is not a publish: " + err.Error() + "."}
	case errors.Is(err, errBody):
		return &refusal{http.StatusBadRequest, "The body could not be read to its end."}
	}
	s.report(r, "request failed", err)
	return &refusal{http.StatusInternalServerError, "The registry could not do that. Its log says why."}
}

// report logs an error of the registry. After a client has disconnected, which ends the statements
// that run for it, nothing is wrong.
func (s *registry) report(r *http.Request, what string, err error) {
	level := slog.LevelError
	if errors.Is(r.Context().Err(), context.Canceled) {
		level = slog.LevelInfo
	}
	s.log.Log(r.Context(), level, what, "error", err)
}
