// Package packument reads the body of a PUT /<pkg> while it arrives, until it is clear
// whether it is a publish, and otherwise says what of a package's document it sends
// back: npm deprecate, npm unpublish, npm owner and npm star all do. It judges nothing but
// that the body is about the package that the path names.
package packument

import (
	"errors"
	"slices"

	"github.com/npmauth/npmauth/internal/strictjson"
	"github.com/npmauth/npmauth/policy"
)

// An Error says why a body was refused, in a sentence for its sender that repeats
// nothing of the body.
type Error struct{ Problem string }

// Error returns the sentence.
func (e *Error) Error() string { return e.Problem }

// Bounds of what a document may hold.
const (
	MaxMessage     = 4096   // bytes of a deprecation message
	maxVersions    = 100000 // of one package
	maxTags        = 10000
	maxMaintainers = 1000
)

// A Document is what a body says of a package.
type Document struct {
	Revision string // _rev; "" if there is none

	// The parts that it has. A part that is absent is nil, one that is empty is not.

	Versions    map[string]string // deprecation messages by version, "" for none
	Tags        map[string]string // versions by dist-tag
	Maintainers []string          // names
	Users       bool              // it has users: those who starred the package
	Starred     bool              // and the sender is among them

	// Partial is true of a document that has no more than its name, its revision and one
	// of maintainers and users, which is how npm owner and npm star send theirs.
	Partial bool
}

// A Scanner reads one body, which is written to it piece by piece.
type Scanner struct {
	scanner *strictjson.Scanner
	name    string
	by      string
	doc     Document
	err     error

	publish    bool
	more       bool   // there is a field that makes it a whole document
	version    string // whose manifest is being read
	maintainer bool   // the one being read has a name
}

// New returns a Scanner for a document of pkg that is sent by the user of that name.
func New(pkg policy.PackageName, by string) *Scanner {
	s := &Scanner{name: pkg.String(), by: by}
	s.scanner = strictjson.NewScanner(strictjson.Limits{Text: MaxMessage}, s.event)
	return s
}

// Publish reports whether what was written so far has an attachment, which only a
// publish has. Whoever sees it leaves the rest to [publishbody].
//
// [publishbody]: https://pkg.go.dev/github.com/npmauth/npmauth/internal/publishbody
func (s *Scanner) Publish() bool { return s.publish }

// Version returns the version of a publish, where the body names it before its
// attachments as clients do, and one alone; "" otherwise.
func (s *Scanner) Version() string {
	if len(s.doc.Versions) != 1 {
		return ""
	}
	return s.version
}

// Write reads the next piece. After an [*Error] every call returns it again.
func (s *Scanner) Write(p []byte) (int, error) {
	n, err := s.scanner.Write(p)
	return n, s.failed(err)
}

// Close ends the body, and returns the document that it is.
func (s *Scanner) Close() (Document, error) {
	if err := s.failed(s.scanner.Close()); err != nil {
		return Document{}, err
	}
	s.doc.Partial = !s.more && s.doc.Versions == nil && s.doc.Tags == nil && s.doc.Users != (s.doc.Maintainers != nil)
	return s.doc, nil
}

func (s *Scanner) failed(err error) error {
	if err != nil && s.err == nil {
		s.err = err
		if _, ours := errors.AsType[*Error](err); !ours {
			s.err = &Error{err.Error()}
		}
	}
	return s.err
}

func refuse(problem string) error { return &Error{problem} }

var errOther = refuse("the body is about another package than the address")

func (s *Scanner) event(e strictjson.Event) error {
	end := e.Kind == strictjson.EndObject || e.Kind == strictjson.EndArray
	switch len(e.Path) {
	case 0:
		if !end && e.Kind != strictjson.Object {
			return refuse("the body must be an object")
		}
	case 1:
		if !end {
			return s.top(e, e.Path[0].Key)
		}
	case 2:
		if end {
			return s.endSecond(e.Path[0].Key)
		}
		return s.second(e, e.Path[0].Key, e.Path[1].Key)
	case 3:
		if !end {
			return s.third(e, e.Path[0].Key, e.Path[2].Key)
		}
	}
	return nil
}

// top reads the fields of the document.
func (s *Scanner) top(e strictjson.Event, key string) error {
	switch key {
	case "_id", "name":
		if !e.IsText(s.name) {
			return errOther
		}
	case "_rev":
		if e.Kind != strictjson.String || e.Long {
			return refuse("_rev must be a string")
		}
		s.doc.Revision = e.Text
	case "versions":
		s.doc.Versions = map[string]string{}
		return mustBe(e, strictjson.Object, "versions must be an object")
	case "dist-tags":
		s.doc.Tags = map[string]string{}
		return mustBe(e, strictjson.Object, "dist-tags must be an object")
	case "maintainers":
		s.doc.Maintainers = []string{}
		return mustBe(e, strictjson.Array, "maintainers must be an array")
	case "users":
		s.doc.Users = true
		return mustBe(e, strictjson.Object, "users must be an object")
	default:
		s.more = true
	}
	return nil
}

// second reads what stands directly in one of the containers at the top.
func (s *Scanner) second(e strictjson.Event, in, key string) error {
	switch in {
	case "_attachments":
		s.publish = true
	case "versions":
		if len(s.doc.Versions) == maxVersions {
			return refuse("the document has too many versions")
		}
		s.version = key
		s.doc.Versions[key] = ""
		return mustBe(e, strictjson.Object, "a version must be an object")
	case "dist-tags":
		if e.Kind != strictjson.String || e.Long || e.Text == "" {
			return refuse("a dist-tag must name a version")
		}
		if len(s.doc.Tags) == maxTags {
			return refuse("the document has too many dist-tags")
		}
		s.doc.Tags[key] = e.Text
	case "maintainers":
		s.maintainer = false
		return mustBe(e, strictjson.Object, "a maintainer must be an object")
	case "users":
		if e.Kind != strictjson.Bool {
			return refuse("users must say true or false of each")
		}
		if s.by != "" && key == s.by {
			s.doc.Starred = e.Text == "true"
		}
	}
	return nil
}

// third reads the fields of a manifest and of a maintainer.
func (s *Scanner) third(e strictjson.Event, in, key string) error {
	switch in {
	case "versions":
		switch key {
		case "name":
			if !e.IsText(s.name) {
				return refuse("a version's manifest is about another package than the address")
			}
		case "version":
			if !e.IsText(s.version) {
				return refuse("a version's manifest is about another version")
			}
		case "_id":
			if !e.IsText(s.name + "@" + s.version) {
				return refuse("a version's manifest has the _id of another version")
			}
		case "deprecated":
			return s.deprecated(e)
		}
	case "maintainers":
		if key != "name" {
			return nil
		}
		if e.Kind != strictjson.String || e.Long || e.Text == "" {
			return refuse("a maintainer must have a name")
		}
		if slices.Contains(s.doc.Maintainers, e.Text) {
			return refuse("a maintainer is named twice")
		}
		if len(s.doc.Maintainers) == maxMaintainers {
			return refuse("the document has too many maintainers")
		}
		s.doc.Maintainers = append(s.doc.Maintainers, e.Text)
		s.maintainer = true
	}
	return nil
}

// deprecated reads a deprecation message. Clients take one away with an empty string;
// registries of old have answered with false, and npm sends back what it got.
func (s *Scanner) deprecated(e strictjson.Event) error {
	switch {
	case e.Long:
		return refuse("a deprecation message is too long")
	case e.Kind == strictjson.String:
		s.doc.Versions[s.version] = e.Text
	case e.Kind == strictjson.Bool && e.Text == "false", e.Kind == strictjson.Null:
	default:
		return refuse("deprecated must be a string")
	}
	return nil
}

func (s *Scanner) endSecond(in string) error {
	if in == "maintainers" && !s.maintainer {
		return refuse("a maintainer must have a name")
	}
	return nil
}

func mustBe(e strictjson.Event, k strictjson.Kind, problem string) error {
	if e.Kind != k {
		return refuse(problem)
	}
	return nil
}
