// Package packument reads the body of PUT /<pkg>, which six commands of npm send: publish,
// deprecate, unpublish, owner, star and unstar. [Receive] reads one into memory, authorizes it and
// returns what it does. A [Reader] lets a registry stream a publish while it is checked, and
// withholds its end until it is authorized. Both use a [Scanner], which distinguishes a publish
// from a changed document and stores nothing of a tarball, and [Compare], which returns the change
// of a document.
package packument

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"slices"
	"strings"

	"github.com/npmauth/npmauth/internal/manifest"
	"github.com/npmauth/npmauth/internal/strictjson"
	"github.com/npmauth/npmauth/protocol"
)

// Config configures a [Scanner].
type Config struct {
	// Package is the package that the request's path names. A body of another package is
	// refused, and zero refuses every body.
	Package protocol.PackageName

	// By is the name of the user who sent the body. It is the only maintainer that a publish
	// may name, and the star of a document is this user's. Empty: a publish may name no
	// maintainer, and no star is the sender's.
	By string

	// CheckTarball unpacks the tarball of a publish: the package.json in it must be of the
	// same package and version, and have the scripts, dependencies, commands and platforms of the
	// version's manifest, as npm reads them. It implies HashTarball. It takes a goroutine, which
	// lives until the Scanner is closed, aborted or returns an error: one of these must happen.
	CheckTarball bool

	// HashTarball compares the tarball of a publish with the integrity and the shasum in its
	// manifest, and refuses a tarball that differs. Of several hashes in the integrity one of
	// the strongest algorithm must match. A publish without any passes. It can be turned on
	// later: see [Scanner.HashTarball].
	HashTarball bool

	// Hold is called by a [Reader] before each read of its source, with about how many bytes of
	// memory the Reader and its Scanner hold. An error refuses the body, and is returned as it is.
	// It is called by the goroutine that reads, and must not call the Reader. Nil: memory is
	// bounded for each body alone.
	Hold func(bytes int) error

	// Done, once it is closed, ends the check of a tarball: the next Write returns an error, and
	// so does one that waits for its turn, since few checks compute at a time in a process. It is
	// the Done of the request's context. Nil means that a Write waits for as long as it takes,
	// which is the time of some 24 KiB of each other tarball that is being checked.
	Done <-chan struct{}
}

// A Kind is the kind of a body.
type Kind uint8

// The kinds. A body is a publish from the first attachment on, and another document if it
// has none at its closing brace.
const (
	KindUnknown Kind = iota // not known yet
	KindPublish
	KindDocument
)

// ErrNotPublish matches, with [errors.Is], the error for a body that has an attachment, but
// changes more of the package's document than a publish may: npm 9 and older send it after a
// 409.
var ErrNotPublish = errors.New("packument: not a plain publish")

// An Error says why a body is refused. Problem is a sentence for its sender. It quotes nothing of
// the body but, where the tarball's package.json differs from the manifest, the name of the field
// and at most 60 characters of each side.
type Error struct {
	Problem string
	other   bool // another operation, not a wrong publish
}

// Error returns the sentence.
func (e *Error) Error() string { return e.Problem }

// Is makes errors.Is(e, ErrNotPublish) true for a body of another operation.
func (e *Error) Is(target error) bool { return target == ErrNotPublish && e.other }

// Answer returns how HTTP answers the error, with a sentence that is whole.
func (e *Error) Answer() (status int, code, sentence string) {
	if e.other {
		return 403, "not-offered", "The registry refused the package document: " + e.Problem + "."
	}
	return 400, "bad-publish", "The registry refused the package: " + e.Problem + "."
}

func refuse(problem string) error { return &Error{Problem: problem} }

func notPublish(problem string) error {
	return &Error{Problem: problem + "; only a plain publish is accepted here", other: true}
}

var (
	errOther   = refuse("the body is about another package than the address")
	errTop     = refuse("the body must be an object")
	errAborted = refuse("the body was not read to its end")
	errLate    = errors.New("packument: HashTarball was called when the tarball had passed by")
)

// maxTrailing is how many bytes of whitespace may follow a publish; no client sends any.
const maxTrailing = 4 << 10

// A Scanner reads one body, which is written to it piece by piece. The sizes of the pieces do
// not matter. It accepts no JSON that two readers could read differently in what it checks or an
// installation uses: no duplicate keys, no unpaired surrogates, 64 levels. Other fields of the
// document and of a manifest may have what JavaScript writes, up to 8192 levels. All is UTF-8.
//
// Until the kind of the body is known, the Scanner checks it as a publish and as a document. An
// error of one kind counts once the body is known to be of that kind; a body that can be
// neither is refused at once. A Scanner is not safe for concurrent use.
type Scanner struct {
	scanner *strictjson.Scanner
	hold    func(int) error // Config.Hold
	err     error           // the first, which every call returns
	kind    Kind
	closed  bool // Close has returned nil

	rest         hash.Hash // of the body but for the data of the tarball, while it may be a publish
	publish      publishCheck
	publishFault error
	doc          documentCheck
	docFault     error
}

// New returns a Scanner.
func New(cfg Config) *Scanner {
	name := cfg.Package.String()
	s := &Scanner{
		hold:    cfg.Hold,
		publish: publishCheck{pkg: cfg.Package, name: name, by: cfg.By, result: protocol.Change{Tags: map[string]string{}}},
		doc:     documentCheck{name: name, by: cfg.By},
	}
	s.publish.content.unpack, s.publish.content.hash = cfg.CheckTarball, cfg.CheckTarball || cfg.HashTarball
	s.publish.content.done = cfg.Done
	s.rest = sha256.New()
	s.scanner = strictjson.NewScanner(strictjson.Limits{Text: manifest.MaxText, Stream: s.publish.stream, Loose: isLoose, Rest: s.sum}, s.event)
	if cfg.Package == (protocol.PackageName{}) {
		s.err = errOther
	}
	return s
}

// The fields of a document that have a meaning here, and those of a manifest in it.
var (
	documentFields = []string{"_id", "_rev", "name", "versions", "dist-tags", "_attachments", "maintainers", "access", "users", "time"}
	manifestFields = append([]string{"deprecated"}, checked...)
)

// isLoose reports whether a value is of a field that nobody checks: it is what JavaScript wrote,
// which need not have one meaning. Fields that differ from the others only in case are no such.
func isLoose(path []strictjson.Step) bool {
	is := func(key string) func(string) bool {
		return func(known string) bool { return strings.EqualFold(known, key) }
	}
	switch {
	case len(path) == 1:
		return !slices.ContainsFunc(documentFields, is(path[0].Key))
	case len(path) == 3 && path[0].Key == "versions":
		key := path[2].Key
		return !manifest.Compares(key) && !slices.ContainsFunc(manifestFields, is(key))
	}
	return false
}

// Write scans the next piece. After an error every call returns that error. It is an [*Error],
// unless [Scanner.HashTarball] was called too late.
func (s *Scanner) Write(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.scanner.Write(p)
	return n, s.failed(err)
}

// HashTarball turns Config.HashTarball on, for a caller that learns only from the beginning of
// a publish whether its bytes matter. It must be called before more than 32 KiB of the base64
// of the tarball were written, at the latest before the Scanner is closed. Later it is a
// mistake of the program, which Write and Close return as an error that is no [*Error]. If the
// whole document was written, the tarball is compared at once, and Close returns the result.
func (s *Scanner) HashTarball() {
	c := &s.publish.content
	switch was := c.hash; {
	case was || s.err != nil:
	case s.closed || c.dropped:
		s.err = errLate
	default:
		c.hash = true
		if s.kind == KindPublish && s.Brace() >= 0 {
			_ = s.failed(c.check(s.publish.published(), &s.publish.stated))
		}
	}
}

// Kind returns the kind of the body, as far as it is known. It stays known after an error.
func (s *Scanner) Kind() Kind { return s.kind }

// sum hashes a piece of what is no data of the tarball.
func (s *Scanner) sum(p []byte) {
	if s.publishFault == nil {
		s.rest.Write(p)
	}
}

// Publish returns what is known of a publish so far: its Version, Tags, Access, Integrity and
// Attachments. It is complete and checked only when Close has returned nil, and has
// Body then. Integrity is the
// hash in the manifest's dist, as Subresource Integrity text of at most 1 KiB: its integrity as
// it was sent, if that has a hash of SHA-1 or of SHA-2 with at least 256 bits, else its shasum,
// else "".
func (s *Scanner) Publish() protocol.Change {
	if s.kind != KindPublish {
		return protocol.Change{}
	}
	return clone(s.publish.result)
}

// Document returns the document, once Close has returned nil and unless the body is a publish.
func (s *Scanner) Document() Document {
	if s.kind != KindDocument || !s.closed {
		return Document{}
	}
	return s.doc.result
}

// held returns about how many bytes of memory the Scanner holds: what grows with the body. The data
// of a tarball is no part of it.
func (s *Scanner) held() int {
	return s.scanner.Held() + s.doc.held + s.publish.compared.Held()
}

// Brace returns how many bytes of the body come before the document's closing brace, or
// -1 until that was written.
func (s *Scanner) Brace() int64 {
	if end := s.scanner.End(); end > 0 {
		return end - 1
	}
	return -1
}

// Close ends the body. Only a nil error means that the body is of the Kind.
//
// The Write of the document's last brace checks everything but the whitespace after it: a
// reader of the body may decode the document without waiting for its end, so it must not get
// that brace before Write has returned nil.
func (s *Scanner) Close() error {
	if s.err != nil {
		return s.err
	}
	if err := s.failed(s.scanner.Close()); err != nil {
		return err
	}
	s.closed = true
	if s.kind == KindPublish {
		s.publish.result.Body = hex.EncodeToString(s.rest.Sum(nil))
	}
	return nil
}

// Abort ends the scan of a body that is not read to its end. It changes nothing after Close or
// an error.
func (s *Scanner) Abort() {
	if !s.closed && s.err == nil {
		s.publish.content.abort()
		s.err = errAborted
	}
}

// failed makes every error an *Error and keeps the first. No part of the Scanner runs after it.
func (s *Scanner) failed(err error) error {
	if err == nil {
		return s.err
	}
	s.publish.content.abort()
	if s.err != nil {
		return s.err
	}
	s.err = err
	if s.kind == KindUnknown && s.docFault != nil {
		s.err = s.docFault
	}
	if _, ours := errors.AsType[*Error](s.err); !ours {
		s.err = &Error{Problem: s.err.Error()}
	}
	return s.err
}

// event checks one value by the path that leads to it.
func (s *Scanner) event(e strictjson.Event) error {
	if s.kind == KindUnknown && s.docFault == nil {
		s.docFault = s.doc.event(e)
	}
	if s.publishFault == nil {
		s.publishFault = s.publish.event(e)
	}
	if s.kind == KindUnknown {
		s.tell(e)
	}
	switch {
	case s.kind == KindPublish:
		return s.publishFault
	case s.kind == KindDocument || s.publishFault != nil:
		return s.docFault
	}
	return nil
}

// tell learns from e the kind of the body.
func (s *Scanner) tell(e strictjson.Event) {
	switch {
	case len(e.Path) == 0 && ends(e):
		s.kind = KindDocument
	case len(e.Path) == 2 && e.Path[0].Key == "_attachments" && !ends(e):
		s.kind = KindPublish
		s.publish.begin(&s.doc)
		s.doc = documentCheck{}
		s.scanner.LimitTrailing(maxTrailing)
	}
}

func ends(e strictjson.Event) bool {
	return e.Kind == strictjson.EndObject || e.Kind == strictjson.EndArray
}

func mustBe(e strictjson.Event, k strictjson.Kind, problem string) error {
	if e.Kind != k {
		return refuse(problem)
	}
	return nil
}
