package tarball

import (
	"errors"
	"strings"

	"github.com/npmauth/npmauth/internal/manifest"
	"github.com/npmauth/npmauth/internal/strictjson"
)

// A scanner reads a package.json.
type scanner struct {
	json          *strictjson.Scanner
	name, version string
	compared      manifest.Reader
}

func newScanner() *scanner {
	s := &scanner{}
	s.json = strictjson.NewScanner(strictjson.Limits{Text: manifest.MaxText, Keys: 1 << 14, File: true, Loose: isLoose}, s.event)
	return s
}

// isLoose reports whether a value is none that is checked.
func isLoose(path []strictjson.Step) bool {
	if len(path) > 1 {
		return false
	}
	key := path[0].Key
	return !strings.EqualFold(key, "name") && !strings.EqualFold(key, "version") && !manifest.Compares(key)
}

func (s *scanner) write(p []byte) error {
	_, err := s.json.Write(p)
	return worded(err)
}

func (s *scanner) close() (manifest.Manifest, error) {
	if err := s.json.Close(); err != nil {
		return manifest.Manifest{}, worded(err)
	}
	if s.name == "" || s.version == "" {
		return manifest.Manifest{}, refuse("the tarball's package.json lacks name or version")
	}
	return s.compared.Manifest(s.name, s.version), nil
}

func worded(err error) error {
	if bad, ok := errors.AsType[*strictjson.Error](err); ok {
		return refuse("the tarball's package.json is " + bad.Error())
	}
	if bad, ok := errors.AsType[*manifest.Error](err); ok {
		return refuse("the tarball's package.json cannot be compared with the manifest: " + bad.Error())
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
	if err := s.compared.Read(e.Path, e); err != nil {
		return err
	}
	if len(e.Path) > 1 || e.Kind == strictjson.EndObject || e.Kind == strictjson.EndArray {
		return nil
	}
	switch key := e.Path[0].Key; {
	case key == "name":
		return stringTo(e, &s.name)
	case key == "version":
		return stringTo(e, &s.version)
	case strings.EqualFold(key, "name"), strings.EqualFold(key, "version"):
		return refuse("the tarball's package.json has a field in another case")
	}
	return nil
}

// maxName is how many bytes name and version may have: without what is stripped of them, the
// longest name has 214 and the longest version 256.
const maxName = 512

func stringTo(e strictjson.Event, to *string) error {
	if e.Kind != strictjson.String || e.Long || e.Text == "" || len(e.Text) > maxName {
		return refuse("the tarball's package.json has a name or a version that is none")
	}
	*to = e.Text
	return nil
}
