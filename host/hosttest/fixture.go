package hosttest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha1"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/npmauth/npmauth/protocol"
)

// Tarball returns a package of one file as npm pack would make it: a gzipped
// tar with package/package.json.
func Tarball(pkg protocol.PackageName, version string) []byte {
	manifest := fmt.Sprintf(`{"name":%q,"version":%q}`, pkg, version)
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	files := tar.NewWriter(zip)
	err := files.WriteHeader(&tar.Header{Name: "package/package.json", Mode: 0o644, Size: int64(len(manifest))})
	if err == nil {
		_, err = files.Write([]byte(manifest))
	}
	if err == nil {
		err = files.Close()
	}
	if err == nil {
		err = zip.Close()
	}
	if err != nil { // a bytes.Buffer does not fail
		panic("hosttest: " + err.Error())
	}
	return out.Bytes()
}

// PublishBody returns the body of PUT /<pkg> that npm publish sends for
// [Tarball].
func PublishBody(pkg protocol.PackageName, version string) []byte {
	data := Tarball(pkg, version)
	long, short := sha512.Sum512(data), sha1.Sum(data)
	name := pkg.String()
	file := fmt.Sprintf("%s-%s.tgz", name, version)
	body, err := json.Marshal(map[string]any{
		"_id": name, "name": name, "description": "a fixture",
		"dist-tags": map[string]string{"latest": version},
		"versions": map[string]any{version: map[string]any{
			"name": name, "version": version, "_id": name + "@" + version, "readme": "# fixture\n",
			"dist": map[string]string{
				"integrity": "sha512-" + base64.StdEncoding.EncodeToString(long[:]),
				"shasum":    hex.EncodeToString(short[:]),
				"tarball":   fmt.Sprintf("http://registry.example/%s/-/%s-%s.tgz", name, pkg.Name, version),
			},
		}},
		"access": nil,
		"_attachments": map[string]any{file: map[string]any{
			"content_type": "application/octet-stream", "data": base64.StdEncoding.EncodeToString(data), "length": len(data),
		}},
	})
	if err != nil {
		panic("hosttest: " + err.Error())
	}
	return body
}
