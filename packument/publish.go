package packument

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/npmauth/npmauth/internal/manifest"
	"github.com/npmauth/npmauth/internal/strictjson"
	"github.com/npmauth/npmauth/protocol"
)

// clone returns c with a map and a slice of its own.
func clone(c protocol.Change) protocol.Change {
	c.Tags, c.Attachments = maps.Clone(c.Tags), slices.Clone(c.Attachments)
	return c
}

// maxPublishTags is how many dist-tags a publish may have; clients send one.
const maxPublishTags = 32

// maxText is how many bytes a string of a publish may have where it is compared.
const maxText = 1024

// A publishCheck checks that a body is a plain npm publish: one new version of exactly the
// package that the path names, with its tags and its tarball, and nothing else.
type publishCheck struct {
	pkg    protocol.PackageName
	name   string
	by     string
	result protocol.Change

	named, versions, attachments bool // seen at the top
	manifestName, manifestVers   bool // seen in the manifest
	data                         bool // seen in the attachment being read
	maintainer                   bool // the maintainer being read is the publisher
	stated                       statement
	manifestRead                 bool // to its end

	compared manifest.Reader // reads the manifest, if the tarball is checked
	content  content
}

var (
	errMaintainers = refuse("a publish cannot change who maintains the package")
	errCase        = refuse("the version's manifest has a field in another case")
)

// begin is called when the body turns out to be a publish, with what was read of it as a
// document: if something else than its version is wrong with the publish, that is known still.
func (c *publishCheck) begin(doc *documentCheck) {
	switch versions := doc.result.Versions; {
	case len(versions) > 1:
		c.result.Version = ""
	case len(versions) == 1 && protocol.ValidVersion(doc.version):
		c.result.Version = doc.version
	}
}

// event checks one value.
func (c *publishCheck) event(e strictjson.Event) error {
	if err := c.compare(e); err != nil {
		return err
	}
	if ends(e) {
		return c.end(e)
	}
	if len(e.Text) > maxText {
		e.Text, e.Long = "", true
	}
	switch len(e.Path) {
	case 0:
		if e.Kind != strictjson.Object {
			return errTop
		}
	case 1:
		return c.top(e, e.Path[0].Key)
	case 2:
		return c.second(e, e.Path[0].Key, e.Path[1].Key)
	case 3:
		return c.third(e, e.Path[0].Key, e.Path[2].Key)
	case 4:
		if e.Path[0].Key == "versions" && e.Path[2].Key == "dist" {
			err := c.stated.read(e, e.Path[3].Key)
			c.result.Integrity = c.stated.String()
			return err
		}
	}
	return nil
}

// compare remembers what is compared with the tarball.
func (c *publishCheck) compare(e strictjson.Event) error {
	if !c.content.unpack || len(e.Path) < 3 || e.Path[0].Key != "versions" {
		return nil
	}
	err := c.compared.Read(e.Path[2:], e)
	if bad, ok := errors.AsType[*manifest.Error](err); ok {
		return refuse("the version's manifest cannot be compared with package.json: " + bad.Error())
	}
	return err
}

// published returns the manifest as far as it is compared.
func (c *publishCheck) published() manifest.Manifest {
	return c.compared.Manifest(c.name, c.result.Version)
}

// stream returns what is to be called with the string that path leads to.
func (c *publishCheck) stream(path []strictjson.Step) func([]byte) error {
	return c.content.stream(path, &c.stated, c.manifestRead)
}

// top checks the fields of the document. The list is closed: what a packument can
// hold besides is its owners, its history and its fate.
func (c *publishCheck) top(e strictjson.Event, key string) error {
	switch key {
	case "_id", "name":
		if !e.IsText(c.name) {
			return errOther
		}
		c.named = c.named || key == "name"
	case "versions":
		c.versions = true
		return mustBe(e, strictjson.Object, "versions must be an object")
	case "dist-tags":
		return mustBe(e, strictjson.Object, "dist-tags must be an object")
	case "_attachments":
		c.attachments = true
		return mustBe(e, strictjson.Object, "_attachments must be an object")
	case "maintainers":
		c.maintainer = false
		return mustBe(e, strictjson.Array, "maintainers must be an array")
	case "access":
		switch {
		case e.Kind == strictjson.Null:
		case e.IsText("public"), e.IsText("restricted"):
			c.result.Access = e.Text
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

// second checks the values of the containers at the top.
func (c *publishCheck) second(e strictjson.Event, in, key string) error {
	switch in {
	case "versions":
		if c.result.Version != "" {
			c.result.Version = ""
			return notPublish("the body has more than one version")
		}
		if !protocol.ValidVersion(key) {
			return refuse("the version is not a semantic version")
		}
		c.result.Version = key
		return mustBe(e, strictjson.Object, "a version must be an object")
	case "dist-tags":
		if !protocol.ValidTag(key) {
			return refuse("a dist-tag has a name that is not allowed")
		}
		if e.Kind != strictjson.String || e.Long || e.Text == "" {
			return refuse("a dist-tag must name the published version")
		}
		if len(c.result.Tags) == maxPublishTags {
			return refuse("the body has too many dist-tags")
		}
		c.result.Tags[key] = e.Text
	case "_attachments":
		if len(c.result.Attachments) == 2 {
			return refuse("the body has attachments besides the tarball and its provenance")
		}
		c.result.Attachments = append(c.result.Attachments, key)
		c.data = false
		return mustBe(e, strictjson.Object, "an attachment must be an object")
	case "maintainers":
		c.maintainer = false
		return mustBe(e, strictjson.Object, "a maintainer must be an object")
	}
	return nil
}

// third checks the fields of a manifest, an attachment and a maintainer.
func (c *publishCheck) third(e strictjson.Event, in, key string) error {
	switch in {
	case "versions":
		return c.field(e, key)
	case "_attachments":
		switch key {
		case "data":
			c.data = true
			if err := mustBe(e, strictjson.String, "the data of an attachment must be a string"); err != nil {
				return err
			}
			return c.content.end(e.Path)
		case "content_type":
			return mustBe(e, strictjson.String, "the content_type of an attachment must be a string")
		case "length":
			return mustBe(e, strictjson.Number, "the length of an attachment must be a number")
		}
		return refuse("an attachment has a field that a publish does not have")
	case "maintainers":
		switch {
		case key == "name":
			c.maintainer = c.by != "" && e.IsText(c.by)
		case strings.EqualFold(key, "name"):
			return errMaintainers
		}
	}
	return nil
}

// checked are the fields of a manifest by which a registry knows what it stores. A
// reader that ignores case, as encoding/json does, would take Name for name.
var checked = []string{"name", "version", "_id", "dist"}

func (c *publishCheck) field(e strictjson.Event, key string) error {
	v := c.result.Version
	switch key {
	case "name":
		c.manifestName = true
		if !e.IsText(c.name) {
			return refuse("the version's manifest is about another package than the address")
		}
	case "version":
		c.manifestVers = true
		if !e.IsText(v) {
			return refuse("the version's manifest is about another version")
		}
	case "_id":
		if !e.IsText(c.name + "@" + v) {
			return refuse("the version's manifest has the _id of another version")
		}
	case "dist":
		return mustBe(e, strictjson.Object, "dist must be an object")
	default:
		if slices.ContainsFunc(checked, func(c string) bool { return strings.EqualFold(c, key) }) {
			return errCase
		}
	}
	return nil
}

// end checks what a container lacks.
func (c *publishCheck) end(e strictjson.Event) error {
	switch len(e.Path) {
	case 0:
		return c.complete()
	case 1:
		// An empty list would leave the package to nobody.
		if e.Path[0].Key == "maintainers" && !c.maintainer {
			return errMaintainers
		}
		return nil
	case 2:
	default:
		return nil
	}
	switch e.Path[0].Key {
	case "versions":
		if !c.manifestName || !c.manifestVers {
			return refuse("the version's manifest lacks name or version")
		}
		c.manifestRead = true
	case "_attachments":
		if !c.data {
			return refuse("an attachment has no data")
		}
	case "maintainers":
		if !c.maintainer {
			return errMaintainers
		}
	}
	return nil
}

// complete checks the whole: fields come in any order, so what one says of another
// is compared last.
func (c *publishCheck) complete() error {
	v := c.result.Version
	switch {
	case !c.attachments || !c.versions:
		return notPublish("the body has no versions or no _attachments")
	case !c.named:
		return refuse("the body does not name its package")
	case v == "":
		return refuse("the body has no version")
	}
	for _, to := range c.result.Tags {
		if to != v {
			return refuse("a dist-tag must name the published version")
		}
	}
	tarballs, bundles := c.files(".tgz"), c.files(".sigstore")
	if len(tarballs)+len(bundles) != len(c.result.Attachments) {
		return refuse("an attachment has not the name of this version's tarball")
	}
	if len(tarballs) != 1 {
		return refuse("the body must have one tarball")
	}
	if err := c.content.check(c.published(), &c.stated); err != nil {
		return err
	}
	c.result.Attachments = append(tarballs, bundles...)
	return nil
}

// files returns the attachments that are this version's file of the given kind.
// Clients call it <full name>-<version>; some leave the scope out.
func (c *publishCheck) files(ext string) (names []string) {
	tail := "-" + c.result.Version + ext
	for _, f := range c.result.Attachments {
		if f == c.name+tail || f == c.pkg.Name+tail {
			names = append(names, f)
		}
	}
	return names
}
