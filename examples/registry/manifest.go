package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/npmauth/npmauth/host"
)

// Bounds of what one publish has beside its tarball, in bytes. Everybody who installs a package
// reads the manifests of all its versions.
const (
	maxDocument = 4 << 20
	maxManifest = 512 << 10 // of the version, as it is kept; see maxPackage for that of all
	maxMessage  = 1 << 10   // of a deprecation
)

// A document is the body of a publish without its tarball.
type document struct {
	Versions    map[string]json.RawMessage
	Attachments map[string]attachment
}

// An attachment is what a publish says of its tarball.
type attachment struct {
	Length *int64 // bytes; npm sends it, others may not
}

// readDocument reads a publish body to its end, and writes the tarball in it to dst. It must
// reach the end: only there does npmauth report whether the body is what was allowed.
func readDocument(body io.Reader, dst io.Writer) (document, error) {
	lifted := newLifter(source{body}, dst)
	raw, err := io.ReadAll(io.LimitReader(lifted, maxDocument+1))
	if err != nil {
		return document{}, err
	}
	if len(raw) > maxDocument {
		return document{}, refuse(413, "The metadata of one publish may have at most %d bytes.", maxDocument)
	}
	// Members are looked up in maps, because encoding/json would accept "_Attachments" for
	// "_attachments".
	var top, attached map[string]json.RawMessage
	var doc document
	err = errors.Join(
		json.Unmarshal(raw, &top),
		unmarshal(top["versions"], &doc.Versions),
		unmarshal(top["_attachments"], &attached))
	if err != nil {
		return document{}, refuse(400, "The body is not a publish document: %v.", err)
	}
	if len(attached) != 1 || lifted.name == "" {
		return document{}, refuse(400, "A publish carries exactly one attachment, a .tgz file; provenance is not served here.")
	}
	doc.Attachments = make(map[string]attachment)
	for name, data := range attached {
		var members map[string]json.RawMessage
		var a attachment
		if err := errors.Join(unmarshal(data, &members), unmarshal(members["length"], &a.Length)); err != nil {
			return document{}, refuse(400, "The attachment %q is malformed: %v.", name, err)
		}
		doc.Attachments[name] = a
	}
	return doc, nil
}

// errBody is any failure to read a body: of the client, or of npmauth, which answers itself if
// it refused the body.
var errBody = errors.New("read body")

// A source tells a body's failures from those of the disk that it is written to.
type source struct{ r io.Reader }

func (s source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("%w: %w", errBody, err)
	}
	return n, err
}

// unmarshal is json.Unmarshal for a member that may be missing.
func unmarshal(data json.RawMessage, v any) error {
	if data == nil {
		return nil
	}
	return json.Unmarshal(data, v)
}

// A manifest is one version of a package.json. Unknown members are kept unchanged.
type manifest map[string]json.RawMessage

// manifest checks the manifest of one version against its tarball, and returns what to keep of
// it. A deprecation message, which can change later, is returned separately.
func (doc document) manifest(name, version string, by host.NPMUser, tgz *draft) (kept []byte, deprecated string, err error) {
	var m, dist manifest
	if err := errors.Join(unmarshal(doc.Versions[version], &m), unmarshal(m["dist"], &dist)); err != nil || m == nil {
		return nil, "", refuse(400, "The body has no well-formed manifest of version %s.", version)
	}
	if m.text("name") != name || m.text("version") != version {
		return nil, "", refuse(400, "The manifest of %s@%s names another package or version.", name, version)
	}
	for file, a := range doc.Attachments {
		if a.Length != nil && *a.Length != tgz.size {
			return nil, "", refuse(400, "The attachment %q says that it has %d bytes and has %d.", file, *a.Length, tgz.size)
		}
	}
	if said, ok := dist["integrity"]; ok && !tgz.promises(dist.text("integrity")) {
		return nil, "", refuse(400, "dist.integrity is %s, but the tarball has %s.", said, tgz.integrity())
	}
	if said, ok := dist["shasum"]; ok && dist.text("shasum") != tgz.shasum() {
		return nil, "", refuse(400, "dist.shasum is %s, but the tarball has %s.", said, tgz.shasum())
	}
	if dist == nil {
		dist = make(manifest)
	}
	dist.set("integrity", tgz.integrity())
	dist.set("shasum", tgz.shasum())
	for _, ours := range []string{"tarball", "signatures", "attestations"} {
		delete(dist, ours) // the registry sets it, not the publisher
	}
	m.set("dist", dist)
	m.set("_id", name+"@"+version)
	m.set("_npmUser", by) // the publisher cannot choose who published
	deprecated = m.text("deprecated")
	delete(m, "deprecated")
	if len(deprecated) > maxMessage {
		return nil, "", errMessage
	}
	kept, err = encode(m)
	if len(kept) > maxManifest {
		return nil, "", refuse(413, "The manifest of a version, with its readme, may have at most %d bytes, and this one has %d.", maxManifest, len(kept))
	}
	return kept, deprecated, err
}

var errMessage = refuse(400, "A deprecation message may have at most %d bytes.", maxMessage)

// A person is how npm's documents name a user. The e-mail address stays private; npm prints
// "undefined" if the member is missing.
type person struct {
	Name  string `json:"name"`
	Email string `json:"email"`
}

// text returns a member that is a string, "" if it is not one.
func (m manifest) text(member string) string {
	var s string
	if unmarshal(m[member], &s) != nil {
		return ""
	}
	return s
}

func (m manifest) set(member string, v any) {
	data, err := encode(v)
	if err != nil {
		panic(fmt.Sprintf("encode %s: %v", member, err)) // only strings and what was JSON before come here
	}
	m[member] = data
}

// encode is json.Marshal without its escapes for HTML, which no client of a
// registry needs and which would change what was published.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
