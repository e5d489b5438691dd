package packument

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
)

var errSplit = refuse("the manifest of the version or its tarball is missing or malformed")

// Split returns the manifest and the tarball of a version from the whole body of a publish, for a
// registry that reads bodies into memory. It does not check what a [Scanner] checks: body must have
// been read from a [Reader], and version is that of the change that [Reader.Released] returns. If
// the body has no manifest of the version with a dist, or no tarball, the error is an [*Error].
func Split(body []byte, version string) (manifest map[string]any, tarball []byte, err error) {
	var doc struct {
		Versions    map[string]map[string]any `json:"versions"`
		Attachments map[string]struct {
			Data *string `json:"data"`
		} `json:"_attachments"`
	}
	read := json.NewDecoder(bytes.NewReader(body))
	read.UseNumber() // a large number in a manifest stays what it is
	if read.Decode(&doc) != nil {
		return nil, nil, errSplit
	}
	manifest = doc.Versions[version]
	if _, ok := manifest["dist"].(map[string]any); !ok {
		return nil, nil, errSplit
	}
	for name, a := range doc.Attachments {
		if !strings.HasSuffix(name, ".tgz") || a.Data == nil {
			continue
		}
		if tarball, err = base64.StdEncoding.DecodeString(*a.Data); err != nil {
			return nil, nil, errSplit
		}
	}
	if len(tarball) == 0 {
		return nil, nil, errSplit
	}
	return manifest, tarball, nil
}
