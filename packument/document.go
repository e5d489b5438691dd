package packument

import (
	"slices"

	"github.com/npmauth/npmauth/internal/strictjson"
)

// The bounds of a document.
const (
	MaxMessage      = 4096   // bytes of a deprecation message
	maxVersions     = 100000 // of one package
	maxDocumentTags = 10000
	maxMaintainers  = 1000
)

// entry is how many bytes of memory an entry of a map of strings takes, without its text.
const entry = 96

// A Document is the content of a body that is no publish: a changed package document.
type Document struct {
	Revision string // _rev; "" if there is none
	HasID    bool   // it has _id, as a whole document has and an abbreviated one has not

	// The parts of the document. A part that is absent is nil, one that is empty is not.

	Versions    map[string]string // deprecation messages by version, "" for none
	Tags        map[string]string // versions by dist-tag
	Maintainers []string          // names
	Users       bool              // it has users: those who starred the package
	Starred     bool              // and the sender is among them

	// Partial is true of a document that has no more than its name, its revision and one of
	// maintainers and users, which is the form of npm owner and npm star.
	Partial bool
}

// A documentCheck reads a body as a changed document of a package.
type documentCheck struct {
	name   string
	by     string
	result Document

	held int // bytes of memory that result takes, about

	more       bool   // there is a field that makes it a whole document
	version    string // of the manifest being read
	maintainer bool   // the maintainer being read has a name
}

// event checks one value.
func (c *documentCheck) event(e strictjson.Event) error {
	if len(e.Text) > MaxMessage {
		e.Text, e.Long = "", true
	}
	end := ends(e)
	switch len(e.Path) {
	case 0:
		if end {
			d := &c.result
			d.Partial = !c.more && d.Versions == nil && d.Tags == nil && d.Users != (d.Maintainers != nil)
			return nil
		}
		if e.Kind != strictjson.Object {
			return errTop
		}
	case 1:
		if !end {
			return c.top(e, e.Path[0].Key)
		}
	case 2:
		if end {
			return c.endSecond(e.Path[0].Key)
		}
		return c.second(e, e.Path[0].Key, e.Path[1].Key)
	case 3:
		if !end {
			return c.third(e, e.Path[0].Key, e.Path[2].Key)
		}
	}
	return nil
}

// top reads the fields of the document.
func (c *documentCheck) top(e strictjson.Event, key string) error {
	switch key {
	case "_id", "name":
		if !e.IsText(c.name) {
			return errOther
		}
		c.result.HasID = c.result.HasID || key == "_id"
	case "_rev":
		if e.Kind != strictjson.String || e.Long {
			return refuse("_rev must be a string")
		}
		c.result.Revision = e.Text
	case "versions":
		c.result.Versions = map[string]string{}
		return mustBe(e, strictjson.Object, "versions must be an object")
	case "dist-tags":
		c.result.Tags = map[string]string{}
		return mustBe(e, strictjson.Object, "dist-tags must be an object")
	case "maintainers":
		c.result.Maintainers = []string{}
		return mustBe(e, strictjson.Array, "maintainers must be an array")
	case "users":
		c.result.Users = true
		return mustBe(e, strictjson.Object, "users must be an object")
	default:
		c.more = true
	}
	return nil
}

// second reads the values of the containers at the top.
func (c *documentCheck) second(e strictjson.Event, in, key string) error {
	switch in {
	case "versions":
		if len(c.result.Versions) == maxVersions {
			return refuse("the document has too many versions")
		}
		c.version = key
		c.result.Versions[key] = ""
		c.held += entry + len(key)
		return mustBe(e, strictjson.Object, "a version must be an object")
	case "dist-tags":
		if e.Kind != strictjson.String || e.Long || e.Text == "" {
			return refuse("a dist-tag must name a version")
		}
		if len(c.result.Tags) == maxDocumentTags {
			return refuse("the document has too many dist-tags")
		}
		c.result.Tags[key] = e.Text
		c.held += entry + len(key) + len(e.Text)
	case "maintainers":
		c.maintainer = false
		return mustBe(e, strictjson.Object, "a maintainer must be an object")
	case "users":
		if e.Kind != strictjson.Bool {
			return refuse("users must say true or false of each")
		}
		if c.by != "" && key == c.by {
			c.result.Starred = e.Text == "true"
		}
	}
	return nil
}

// third reads the fields of a manifest and of a maintainer.
func (c *documentCheck) third(e strictjson.Event, in, key string) error {
	switch in {
	case "versions":
		switch key {
		case "name":
			if !e.IsText(c.name) {
				return refuse("a version's manifest is about another package than the address")
			}
		case "version":
			if !e.IsText(c.version) {
				return refuse("a version's manifest is about another version")
			}
		case "_id":
			if !e.IsText(c.name + "@" + c.version) {
				return refuse("a version's manifest has the _id of another version")
			}
		case "deprecated":
			return c.deprecated(e)
		}
	case "maintainers":
		if key != "name" {
			return nil
		}
		if e.Kind != strictjson.String || e.Long || e.Text == "" {
			return refuse("a maintainer must have a name")
		}
		if slices.Contains(c.result.Maintainers, e.Text) {
			return refuse("a maintainer is named twice")
		}
		if len(c.result.Maintainers) == maxMaintainers {
			return refuse("the document has too many maintainers")
		}
		c.result.Maintainers = append(c.result.Maintainers, e.Text)
		c.held += entry + len(e.Text)
		c.maintainer = true
	}
	return nil
}

// deprecated reads a deprecation message. Clients remove one with an empty string; old
// registries answered with false, and npm sends that back.
func (c *documentCheck) deprecated(e strictjson.Event) error {
	switch {
	case e.Long:
		return refuse("a deprecation message is too long")
	case e.Kind == strictjson.String:
		c.result.Versions[c.version] = e.Text
		c.held += len(e.Text)
	case e.Kind == strictjson.Bool && e.Text == "false", e.Kind == strictjson.Null:
	default:
		return refuse("deprecated must be a string")
	}
	return nil
}

func (c *documentCheck) endSecond(in string) error {
	if in == "maintainers" && !c.maintainer {
		return refuse("a maintainer must have a name")
	}
	return nil
}
