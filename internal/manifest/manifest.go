// Package manifest compares what a publish says of a version with the package.json in its
// tarball. An installation resolves and links by the first and runs scripts of the second: a
// publish in which they differ hides from whoever reads one of them what the other does, which is
// known as manifest confusion.
//
// Clients do not copy package.json, they normalize it, each in its own way. So two sides are
// compared by what npm reads in them ([Compare]), and what a client adds or leaves out without
// hiding anything is no difference.
package manifest

import (
	"slices"
	"strings"

	"github.com/npmauth/npmauth/internal/strictjson"
)

// The bounds of what is compared.
const (
	// MaxText is how many bytes a string or a number may have.
	MaxText = 64 << 10
	// maxSize is how many bytes all keys and values may have, with 256 for each, which is what
	// comparing takes: 4 MiB, some 16000 values.
	maxSize  = 4 << 20
	overhead = 256
)

// An Error says why a manifest or a package.json cannot be compared, or what differs. Problem is a
// clause for its sender; it quotes at most a few words of a field that is about to be public.
type Error struct{ Problem string }

// Error returns the clause.
func (e *Error) Error() string { return e.Problem }

// The fields that are compared besides name and version.
var (
	dependencies = []string{"dependencies", "devDependencies", "optionalDependencies", "peerDependencies"}
	platforms    = []string{"os", "cpu", "libc"}
	plain        = []string{"peerDependenciesMeta", "dependenciesMeta", "acceptDependencies", "engines", "hasInstallScript"}
	others       = []string{"scripts", "gypfile", "bin", "directories", "bundleDependencies", "bundledDependencies"}
	// writers say which client wrote a manifest: npm since 6 both, Yarn 1 none.
	writers = []string{"_nodeVersion", "_npmVersion"}

	compared = slices.Concat(dependencies, platforms, plain, others, writers)
)

// Compares reports whether Compare needs the field of that name, in whatever case it is written.
func Compares(key string) bool {
	return slices.ContainsFunc(compared, func(c string) bool { return strings.EqualFold(c, key) })
}

// A Manifest is what is compared of a manifest or a package.json.
type Manifest struct {
	Name    string
	Version string // as it is written

	fields map[string]any // as encoding/json decodes them, and numbers as [number]
}

// A number is one as it is written.
type number string

// A Reader remembers the fields that are compared while a [strictjson.Scanner] reads them.
type Reader struct {
	fields map[string]any
	open   []any // the containers from the innermost field on: map[string]any or *[]any
	size   int
}

// Read reads an event of a value at path, which leads from the top of the manifest. The string of
// an event is at most [MaxText] long, or the event has Long set.
func (r *Reader) Read(path []strictjson.Step, e strictjson.Event) error {
	if len(path) == 0 || !Compares(path[0].Key) {
		return nil
	}
	var v any
	switch e.Kind {
	case strictjson.EndObject, strictjson.EndArray:
		r.open = r.open[:len(r.open)-1]
		return nil
	case strictjson.Object:
		v = map[string]any{}
	case strictjson.Array:
		v = &[]any{}
	case strictjson.String:
		v = e.Text
	case strictjson.Number:
		v = number(e.Text)
	case strictjson.Bool:
		v = e.Text == "true"
	}
	key := path[len(path)-1].Key
	switch {
	case e.Long:
		return &Error{"its " + path[0].Key + " have a value that is longer than 64 KiB"}
	case key == "__proto__": // a field in JSON, and none in some of the objects that JavaScript makes of it
		return &Error{"its " + path[0].Key + " have a key that JavaScript may leave out"}
	}
	if r.size += len(key) + len(e.Text) + overhead; r.size > maxSize {
		return &Error{"what it says of dependencies, scripts and commands is too long"}
	}
	r.add(path, v)
	if e.Kind == strictjson.Object || e.Kind == strictjson.Array {
		r.open = append(r.open, v)
	}
	return nil
}

// Held returns about how many bytes of memory the fields take.
func (r *Reader) Held() int { return r.size }

func (r *Reader) add(path []strictjson.Step, v any) {
	key := path[len(path)-1].Key
	if len(path) == 1 {
		if r.fields == nil {
			r.fields = map[string]any{}
		}
		r.fields[key] = v
		return
	}
	switch in := r.open[len(r.open)-1].(type) {
	case map[string]any:
		in[key] = v
	case *[]any:
		*in = append(*in, v)
	}
}

// Manifest returns what was read, with its name and version.
func (r *Reader) Manifest(name, version string) Manifest {
	return Manifest{Name: name, Version: version, fields: r.fields}
}
