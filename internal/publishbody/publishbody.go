// Package publishbody checks, while it passes by, that the body of a PUT /<pkg> is
// a plain npm publish: one new version of exactly the package that the path names,
// with its tags and its tarball, and nothing else. The same request with another
// body deprecates, changes owners or drops versions, so a body that is anything
// else is refused rather than taken for the part of it that is a publish.
package publishbody

import (
	"errors"
	"slices"
	"strings"

	"github.com/npmauth/npmauth/internal/strictjson"
	"github.com/npmauth/npmauth/internal/tarball"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
)

// ErrNotPublish is what [errors.Is] finds in the error for a body that is another
// change of a package document: deprecate, owner, star, unpublish, or the merged
// document that npm 9 and older send after a 409.
var ErrNotPublish = errors.New("publishbody: not a plain publish")

// An Error says why a body was refused, in a sentence for its sender that repeats
// nothing of the body.
type Error struct {
	Problem string
	other   bool // another operation, not a wrong publish
}

// Error returns the sentence.
func (e *Error) Error() string { return e.Problem }

// Is makes errors.Is(e, ErrNotPublish) true for a body of another operation.
func (e *Error) Is(target error) bool { return target == ErrNotPublish && e.other }

// A Result is what a publish asks for.
type Result struct {
	Version string
	Tags    map[string]string // all to Version; may be empty
	Access  string            // public, restricted or "" for the default
	// Attachments are the keys of _attachments: the tarball, then the provenance
	// bundle if there is one.
	Attachments []string
}

// maxTags is how many dist-tags a publish may have; clients send one.
const maxTags = 32

// maxTrailing is how many bytes of whitespace may follow the document; no client sends any.
const maxTrailing = 4 << 10

// A Scanner checks one body, which is written to it piece by piece.
type Scanner struct {
	scanner *strictjson.Scanner
	pkg     policy.PackageName
	name    string
	by      string
	result  Result
	err     error

	named, versions, attachments bool // seen at the top
	manifestName, manifestVers   bool // seen in the manifest
	data                         bool // seen in the attachment being read
	maintainer                   bool // the one being read is who publishes

	tarball  *tarball.Checker // of the first attachment that is one; nil before
	packed   tarball.Manifest // what it says, once inside
	inside   bool             // it was read to its end
	checking bool             // the tarball is to be read
}

// New returns a Scanner for a publish of pkg by the user of that name, whom alone
// the body may call a maintainer: npm 6 does, when its configuration names a user.
func New(pkg policy.PackageName, by string) *Scanner {
	s := &Scanner{pkg: pkg, name: pkg.String(), by: by, result: Result{Tags: map[string]string{}}}
	s.scanner = strictjson.NewScanner(strictjson.Limits{Trailing: maxTrailing}, s.event)
	return s
}

// NewUnpacking is New for a Scanner that unpacks the tarball, too: the package.json
// in it must be of the same package and version, as package tarball has it. It must
// be read to its end, or to an error, or ended with [Scanner.Abort].
func NewUnpacking(pkg policy.PackageName, by string) *Scanner {
	s := New(pkg, by)
	s.scanner = strictjson.NewScanner(strictjson.Limits{Trailing: maxTrailing, Stream: s.stream}, s.event)
	s.checking = true
	return s
}

// Write checks the next piece. After an [*Error] every call returns it again.
func (s *Scanner) Write(p []byte) (int, error) {
	n, err := s.scanner.Write(p)
	return n, s.failed(err)
}

// Brace returns how many bytes of the body come before the document's closing brace, or
// -1 while that was not written.
func (s *Scanner) Brace() int64 {
	if end := s.scanner.End(); end > 0 {
		return end - 1
	}
	return -1
}

// Close ends the body. Only a nil error means that it is a publish of the package.
//
// All but what comes after the document is judged by the Write of its last brace:
// a reader of the body may decode the document without waiting for its end, so
// nobody must be handed that brace before Write returned nil.
func (s *Scanner) Close() (Result, error) {
	if err := s.failed(s.scanner.Close()); err != nil {
		return Result{}, err
	}
	return s.result, nil
}

// Abort ends the scan of a body that is not read to its end: from here on it is no
// publish, if Close did not say so before.
func (s *Scanner) Abort() { _ = s.failed(errAborted) }

var errAborted = refuse("the body was not read to its end")

// failed makes every error an *Error and keeps the first. Nothing of the Scanner runs
// on after it.
func (s *Scanner) failed(err error) error {
	if err != nil && s.tarball != nil {
		s.tarball.Abort()
	}
	if err != nil && s.err == nil {
		s.err = err
		if _, ours := errors.AsType[*Error](err); !ours {
			s.err = &Error{Problem: err.Error()}
		}
	}
	return s.err
}

func refuse(problem string) error { return &Error{Problem: problem} }

var errMaintainers = refuse("a publish cannot change who maintains the package")

func notPublish(problem string) error {
	return &Error{Problem: problem + "; only a plain publish is accepted here", other: true}
}

// event judges one value by the way that leads to it.
func (s *Scanner) event(e strictjson.Event) error {
	if e.Kind == strictjson.EndObject || e.Kind == strictjson.EndArray {
		return s.end(e)
	}
	switch len(e.Path) {
	case 0:
		if e.Kind != strictjson.Object {
			return refuse("the body must be an object")
		}
	case 1:
		return s.top(e, e.Path[0].Key)
	case 2:
		return s.second(e, e.Path[0].Key, e.Path[1].Key)
	case 3:
		return s.third(e, e.Path[0].Key, e.Path[2].Key)
	}
	return nil
}

// stream has the data of the first attachment that is called a tarball unpacked. If
// the body turns out to have another one, it is refused for having two.
func (s *Scanner) stream(path []strictjson.Step) func([]byte) error {
	if s.tarball != nil || !isTarballData(path) {
		return nil
	}
	s.tarball = tarball.New()
	return func(piece []byte) error {
		_, err := s.tarball.Write(piece)
		return err
	}
}

func isTarballData(path []strictjson.Step) bool {
	return len(path) == 3 && path[0].Key == "_attachments" && strings.HasSuffix(path[1].Key, ".tgz") && path[2].Key == "data"
}

// unpacked is called at the end of an attachment's data.
func (s *Scanner) unpacked(path []strictjson.Step) (err error) {
	if s.tarball == nil || s.inside || !isTarballData(path) {
		return nil
	}
	s.packed, err = s.tarball.Close()
	s.inside = err == nil
	return err
}

// top judges the fields of the document. The list is closed: what a packument can
// hold besides is its owners, its history and its fate.
func (s *Scanner) top(e strictjson.Event, key string) error {
	switch key {
	case "_id", "name":
		if !e.IsText(s.name) {
			return refuse("the body is about another package than the address")
		}
		s.named = s.named || key == "name"
	case "versions":
		s.versions = true
		return mustBe(e, strictjson.Object, "versions must be an object")
	case "dist-tags":
		return mustBe(e, strictjson.Object, "dist-tags must be an object")
	case "_attachments":
		s.attachments = true
		return mustBe(e, strictjson.Object, "_attachments must be an object")
	case "maintainers":
		s.maintainer = false
		return mustBe(e, strictjson.Array, "maintainers must be an array")
	case "access":
		switch {
		case e.Kind == strictjson.Null:
		case e.IsText("public"), e.IsText("restricted"):
			s.result.Access = e.Text
		default:
			return refuse("access must be public or restricted")
		}
	case "description", "readme", "readmeFilename", "keywords", "homepage", "repository", "bugs", "license", "author", "contributors":
	case "_rev", "time", "users":
		return notPublish("the body changes a package document as a whole")
	default:
		return refuse("the body has a field that a publish does not have")
	}
	return nil
}

// second judges what stands directly in one of the containers at the top.
func (s *Scanner) second(e strictjson.Event, in, key string) error {
	switch in {
	case "versions":
		if s.result.Version != "" {
			return notPublish("the body has more than one version")
		}
		if !protocol.ValidVersion(key) {
			return refuse("the version is not a semantic version")
		}
		s.result.Version = key
		return mustBe(e, strictjson.Object, "a version must be an object")
	case "dist-tags":
		if !protocol.ValidTag(key) {
			return refuse("a dist-tag has a name that is not allowed")
		}
		if e.Kind != strictjson.String || e.Long || e.Text == "" {
			return refuse("a dist-tag must name the published version")
		}
		if len(s.result.Tags) == maxTags {
			return refuse("the body has too many dist-tags")
		}
		s.result.Tags[key] = e.Text
	case "_attachments":
		if len(s.result.Attachments) == 2 {
			return refuse("the body has attachments besides the tarball and its provenance")
		}
		s.result.Attachments = append(s.result.Attachments, key)
		s.data = false
		return mustBe(e, strictjson.Object, "an attachment must be an object")
	case "maintainers":
		s.maintainer = false
		return mustBe(e, strictjson.Object, "a maintainer must be an object")
	}
	return nil
}

// third judges the fields of a manifest, an attachment and a maintainer.
func (s *Scanner) third(e strictjson.Event, in, key string) error {
	switch in {
	case "versions":
		return s.manifest(e, key)
	case "_attachments":
		switch key {
		case "data":
			s.data = true
			if err := mustBe(e, strictjson.String, "the data of an attachment must be a string"); err != nil {
				return err
			}
			return s.unpacked(e.Path)
		case "content_type":
			return mustBe(e, strictjson.String, "the content_type of an attachment must be a string")
		case "length":
			return mustBe(e, strictjson.Number, "the length of an attachment must be a number")
		}
		return refuse("an attachment has a field that a publish does not have")
	case "maintainers":
		switch {
		case key == "name":
			s.maintainer = s.by != "" && e.IsText(s.by)
		case strings.EqualFold(key, "name"):
			return errMaintainers
		}
	}
	return nil
}

// checked are the fields of a manifest by which a registry knows what it stores. A
// reader that ignores case, as encoding/json does, would take Name for name.
var checked = []string{"name", "version", "_id", "dist"}

func (s *Scanner) manifest(e strictjson.Event, key string) error {
	v := s.result.Version
	switch key {
	case "name":
		s.manifestName = true
		if !e.IsText(s.name) {
			return refuse("the version's manifest is about another package than the address")
		}
	case "version":
		s.manifestVers = true
		if !e.IsText(v) {
			return refuse("the version's manifest is about another version")
		}
	case "_id":
		if !e.IsText(s.name + "@" + v) {
			return refuse("the version's manifest has the _id of another version")
		}
	case "dist":
		return mustBe(e, strictjson.Object, "dist must be an object")
	default:
		if slices.ContainsFunc(checked, func(c string) bool { return strings.EqualFold(c, key) }) {
			return refuse("the version's manifest has a field in another case")
		}
	}
	return nil
}

// end judges what a container lacks.
func (s *Scanner) end(e strictjson.Event) error {
	switch len(e.Path) {
	case 0:
		return s.complete()
	case 1:
		// An empty list would leave the package to nobody.
		if e.Path[0].Key == "maintainers" && !s.maintainer {
			return errMaintainers
		}
		return nil
	case 2:
	default:
		return nil
	}
	switch e.Path[0].Key {
	case "versions":
		if !s.manifestName || !s.manifestVers {
			return refuse("the version's manifest lacks name or version")
		}
	case "_attachments":
		if !s.data {
			return refuse("an attachment has no data")
		}
	case "maintainers":
		if !s.maintainer {
			return errMaintainers
		}
	}
	return nil
}

// complete judges the whole: fields come in any order, so what one says of another
// is compared last.
func (s *Scanner) complete() error {
	v := s.result.Version
	switch {
	case !s.attachments || !s.versions:
		return notPublish("the body has no versions or no _attachments")
	case !s.named:
		return refuse("the body does not name its package")
	case v == "":
		return refuse("the body has no version")
	}
	for _, to := range s.result.Tags {
		if to != v {
			return refuse("a dist-tag must name the published version")
		}
	}
	tarballs, bundles := s.files(".tgz"), s.files(".sigstore")
	if len(tarballs)+len(bundles) != len(s.result.Attachments) {
		return refuse("an attachment has not the name of this version's tarball")
	}
	if len(tarballs) != 1 {
		return refuse("the body must have one tarball")
	}
	if s.checking {
		if !s.inside {
			return refuse("the body has a tarball that was not read")
		}
		if err := s.packed.Check(s.name, v); err != nil {
			return err
		}
	}
	s.result.Attachments = append(tarballs, bundles...)
	return nil
}

// files returns the attachments that are this version's file of the given kind.
// Clients call it <full name>-<version>; some leave the scope out.
func (s *Scanner) files(ext string) (names []string) {
	tail := "-" + s.result.Version + ext
	for _, f := range s.result.Attachments {
		if f == s.name+tail || f == s.pkg.Name+tail {
			names = append(names, f)
		}
	}
	return names
}

func mustBe(e strictjson.Event, k strictjson.Kind, problem string) error {
	if e.Kind != k {
		return refuse(problem)
	}
	return nil
}
