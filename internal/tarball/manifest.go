package tarball

import (
	"errors"
	"strings"

	"github.com/npmauth/npmauth/internal/strictjson"
)

// A scanner reads a package.json.
type scanner struct {
	json          *strictjson.Scanner
	manifest      Manifest
	name, version bool // seen
}

func newScanner() *scanner {
	s := &scanner{}
	// The longest name has 214 bytes, the longest version 256.
	s.json = strictjson.NewScanner(strictjson.Limits{Text: 512, Keys: 1 << 14}, s.event)
	return s
}

func (s *scanner) write(p []byte) error {
	_, err := s.json.Write(p)
	return worded(err)
}

func (s *scanner) close() (Manifest, error) {
	if err := s.json.Close(); err != nil {
		return Manifest{}, worded(err)
	}
	if !s.name || !s.version {
		return Manifest{}, refuse("the tarball's package.json lacks name or version")
	}
	return s.manifest, nil
}

func worded(err error) error {
	if bad, ok := errors.AsType[*strictjson.Error](err); ok {
		return refuse("the tarball's package.json is " + bad.Error())
	}
	return err
}

func (s *scanner) event(e strictjson.Event) error {
	if len(e.Path) == 0 {
		if e.Kind != strictjson.Object && e.Kind != strictjson.EndObject {
			return refuse("the tarball's package.json must be an object")
		}
		return nil
	}
	if len(e.Path) > 1 || e.Kind == strictjson.EndObject || e.Kind == strictjson.EndArray {
		return nil
	}
	switch key := e.Path[0].Key; {
	case key == "name":
		s.name = true
		return stringTo(e, &s.manifest.Name)
	case key == "version":
		s.version = true
		return stringTo(e, &s.manifest.Version)
	case strings.EqualFold(key, "name"), strings.EqualFold(key, "version"):
		return refuse("the tarball's package.json has a field in another case")
	}
	return nil
}

func stringTo(e strictjson.Event, to *string) error {
	if e.Kind != strictjson.String || e.Long || e.Text == "" {
		return refuse("the tarball's package.json has a name or a version that is none")
	}
	*to = e.Text
	return nil
}

// clean returns a version without what npm's publish strips.
func clean(version string) string {
	version = strings.TrimLeft(strings.Trim(version, " \t\r\n"), "=v")
	version, _, _ = strings.Cut(version, "+")
	return version
}
