package packument_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/fuzzbound"
	"github.com/npmauth/npmauth/internal/strictjson"
	"github.com/npmauth/npmauth/packument"
	"github.com/npmauth/npmauth/protocol"
)

// FuzzPublishBody: a Scanner and a reader of the whole document agree on which bodies are a
// publish of @acme/widget, and on their content, whatever the pieces. $tgz in a body stands for
// a tarball. It is unpacked if the first bit of checks is set, and hashed if the second one is.
func FuzzPublishBody(f *testing.F) {
	tarballs := []string{"", packed(widget, "1.0.0"), packed(widget, "1.0.1"), packed(protocol.PackageName{Name: "plain"}, "1.0.0")}
	for i := range tarballs {
		for checks := range byte(4) {
			f.Add([]byte(holding("$tgz")), byte(i), checks)
			f.Add([]byte(strings.Replace(holding("$tgz"), `"access":null`, `"maintainers":[{"name":"carol"}]`, 1)), byte(i), checks)
			raw, err := base64.StdEncoding.DecodeString(tarballs[1])
			require.NoError(f, err)
			for _, order := range []string{plain, first} {
				for _, d := range []string{
					dist(integrityOf(string(raw), "sha512"), shasumOf(string(raw))), dist(nil, shasumOf(string(raw))),
					dist(integrityOf("x", "sha384")+" "+integrityOf(string(raw), "sha384"), nil), dist(integrityOf(string(raw), "sha256"), shasumOf("x")),
				} {
					in := strings.Replace(order, `"data":""`, `"data":"$tgz"`, 1)
					f.Add([]byte(strings.Replace(in, `"dist":{}`, `"dist":`+d, 1)), byte(i), checks)
				}
			}
		}
	}
	f.Add([]byte(strings.Replace(plain, `"dist":{}`, `"DIST":{}`, 1)), byte(0), byte(0))
	f.Add([]byte(strings.Replace(holding("$tgz"), `"_attachments":{`, `"_attachments":{"@acme/widget-1.0.0.sigstore":{"data":"{}"},`, 1)), byte(1), byte(3))
	f.Add([]byte(strings.Replace(plain, `"latest":"1.0.0"`, `"latest":"1.0.0","v1.0.0-rc":"1.0.0"`, 1)), byte(0), byte(0))
	f.Add([]byte(strings.ReplaceAll(plain, "1.0.0", "1.0.0-rc.1+b.01")), byte(0), byte(0))
	for _, dist := range []string{
		`{"integrity":"` + integrityOf("x", "sha512") + `"}`, `{"shasum":"` + strings.Repeat("aF", 20) + `"}`, `{"integrity":"md5-x","shasum":"` + strings.Repeat("0", 40) + `"}`,
		`{"integrity":" ` + integrityOf("x", "sha1") + `\n` + integrityOf("x", "sha256") + `?a b-c"}`, `{"integrity":"sha512-x"}`, `{"Shasum":1}`, `{"integrity":null}`,
	} {
		f.Add([]byte(strings.Replace(plain, `"dist":{}`, `"dist":`+dist, 1)), byte(0), byte(0))
	}
	f.Add([]byte(strings.Replace(plain, `"dist":{}`, `"dist":{},"x":{"a":1,"a":"\ud800"},"x":1`, 1)), byte(0), byte(0))
	files, err := filepath.Glob("testdata/*.json")
	require.NoError(f, err)
	require.NotEmpty(f, files)
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(f, err)
		f.Add(data, byte(0), byte(0))
	}
	f.Fuzz(func(t *testing.T, data []byte, which, checks byte) {
		unpacking, hashing := checks&1 != 0, checks&2 != 0
		data = bytes.ReplaceAll(data, []byte("$tgz"), []byte(tarballs[int(which)%len(tarballs)]))
		scan := func(data []byte, size int) (protocol.Change, error) {
			return scan(packument.Config{Package: widget, By: "carol", CheckTarball: unpacking, HashTarball: hashing}, data, size)
		}
		bound := scanning
		if unpacking {
			bound = unpacked
		}
		fuzzbound.Check(t, data, bound, func(data []byte) int {
			c, _ := scan(data, len(data)+1)
			return sizeOf(c)
		})
		got, err := scan(data, len(data)+1)
		if err == nil {
			bracedAt(t, data)
		}
		for _, size := range []int{1, 13} {
			cut, cutErr := scan(data, size)
			require.Equal(t, got, cut)
			require.Equal(t, err, cutErr)
		}
		want, problem := naive(data, unpacking, hashing)
		if errors.Is(problem, errCompared) {
			return // FuzzCompare of package manifest is about that
		}
		require.Equal(t, problem == nil, err == nil, "scanner: %v, oracle: %v", err, problem)
		if problem == nil {
			want.Body = bodyWithout(t, data)
		}
		require.Equal(t, want, got)
	})
}

// scanning and unpacked are what the scan of a body may take, and that with the tarball's check,
// which has buffers of its own and a window of 32 KiB.
var (
	scanning = fuzzbound.Bounds{Memory: fuzzbound.Limit{Base: 64 << 10, PerByte: 128}, Work: fuzzbound.Limit{Base: 1 << 10, PerByte: 4}}
	unpacked = fuzzbound.Bounds{Memory: fuzzbound.Limit{Base: 1 << 20, PerByte: 600}, Work: scanning.Work}
)

// sizeOf returns how many bytes of text a change has, and each of its entries one more.
func sizeOf(c protocol.Change) int {
	n := len(c.Version) + len(c.Integrity) + len(c.Access) + len(c.Body)
	for _, m := range []map[string]string{c.Tags, c.Deprecated} {
		for key, value := range m {
			n += len(key) + len(value) + 1
		}
	}
	for _, list := range [][]string{c.Attachments, c.Removed, c.Tarballs, c.Maintainers, c.AddedOwners, c.RemovedOwners} {
		for _, name := range list {
			n += len(name) + 1
		}
	}
	return n
}

// bodyWithout returns the SHA-256 of data without the characters of the tarball's data.
func bodyWithout(t *testing.T, data []byte) string {
	d := json.NewDecoder(bytes.NewReader(data))
	var path []string // of keys; an array has ""
	var keys []bool   // whether a key comes next, in each container
	for {
		from := d.InputOffset()
		tok, err := d.Token()
		require.NoError(t, err)
		last := len(keys) - 1
		delim, is := tok.(json.Delim)
		switch {
		case is && (delim == '}' || delim == ']'):
			path, keys = path[:last], keys[:last]
			if last--; last >= 0 && data[d.InputOffset()-1] == byte(delim) && path[last] != "" {
				keys[last] = true
			}
			continue
		case is:
			path, keys = append(path, map[json.Delim]string{'{': "?", '[': ""}[delim]), append(keys, delim == '{')
			continue
		case last >= 0 && keys[last]:
			path[last], keys[last] = "."+tok.(string), false
			continue
		}
		if len(path) == 3 && path[0] == "._attachments" && strings.HasSuffix(path[1], ".tgz") && path[2] == ".data" {
			quote := from + int64(bytes.IndexByte(data[from:], '"'))
			sum := sha256.New()
			sum.Write(data[:quote+1])
			sum.Write(data[d.InputOffset():])
			return hex.EncodeToString(sum.Sum(nil))
		}
		if last >= 0 && path[last] != "" {
			keys[last] = true
		}
	}
}

// bracedAt checks that a Scanner returns the place of the brace as soon as it was written.
func bracedAt(t *testing.T, data []byte) {
	brace := len(bytes.TrimRight(data, " \t\r\n")) - 1
	for _, cut := range []int{0, brace, brace + 1, len(data)} {
		s := packument.New(ofWidget)
		_, err := s.Write(data[:cut])
		require.NoError(t, err)
		if cut <= brace {
			require.EqualValues(t, -1, s.Brace())
			_, err = s.Write(data[cut:])
			require.NoError(t, err)
		}
		require.EqualValues(t, brace, s.Brace())
	}
}

type object = map[string]any

// must stops naive, which has read the whole.
func must(ok bool, what string) {
	if !ok {
		panic(problem(what))
	}
}

type problem string

const errCompared = problem("compared with package.json")

var (
	documentField = regexp.MustCompile(`(?i)^(_id|_rev|name|versions|dist-tags|_attachments|maintainers|access|users|time)$`)
	manifestField = regexp.MustCompile(`(?i)^(_id|name|version|dist|deprecated)$`)
	comparedField = regexp.MustCompile(`(?i)^(scripts|gypfile|bin|directories|bundled?Dependencies|(dev|peer|optional|accept)?Dependencies|(peer)?DependenciesMeta|engines|os|cpu|libc|hasInstallScript|_nodeVersion|_npmVersion)$`)
)

// nobodyChecks tells the fields of a publish that are not checked.
func nobodyChecks(path []strictjson.Step) bool {
	switch {
	case len(path) == 1:
		return !documentField.MatchString(path[0].Key)
	case len(path) == 3 && path[0].Key == "versions":
		return !manifestField.MatchString(path[2].Key) && !comparedField.MatchString(path[2].Key)
	}
	return false
}

func (p problem) Error() string { return string(p) }

const semver = `(?:0|[1-9][0-9]{0,15})\.(?:0|[1-9][0-9]{0,15})\.(?:0|[1-9][0-9]{0,15})` +
	`(?:-(?:0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*))*)?(?:\+[0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*)?`

var (
	version = regexp.MustCompile(`^` + semver + `$`)
	tagName = regexp.MustCompile(`^[A-Za-z0-9\-_.!~*'()]{1,128}$`)
)

// naive checks a publish of @acme/widget by carol that is decoded as a whole.
func naive(data []byte, unpacking, hashing bool) (res protocol.Change, err error) {
	defer func() {
		if p, ok := recover().(problem); ok {
			res, err = protocol.Change{}, p
		}
	}()
	strict := strictjson.NewScanner(strictjson.Limits{Loose: nobodyChecks}, func(strictjson.Event) error { return nil })
	_, err = strict.Write(data)
	must(err == nil && strict.Close() == nil, "JSON")
	must(len(data)-len(bytes.TrimRight(data, " \t\r\n")) <= 4096, "trailing whitespace")
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var whole any
	must(d.Decode(&whole) == nil, "JSON")
	top, ok := whole.(object)
	must(ok, "top")
	for key := range top {
		must(slices.Contains([]string{
			"_id", "name", "versions", "dist-tags", "_attachments", "maintainers", "access", "description", "readme", "readmeFilename",
			"keywords", "homepage", "repository", "bugs", "license", "author", "contributors",
		}, key), "field")
	}
	const name = "@acme/widget"
	must(top["name"] == name, "name")
	if id, has := top["_id"]; has {
		must(id == name, "_id")
	}

	versions, _ := top["versions"].(object)
	must(len(versions) == 1, "versions")
	for v := range versions {
		must(version.MatchString(v) && len(v) <= 256, "version")
		res.Version = v
	}
	manifest, ok := versions[res.Version].(object)
	must(ok, "manifest")
	must(manifest["name"] == name && manifest["version"] == res.Version, "manifest")
	for key, value := range manifest {
		if unpacking && comparedField.MatchString(key) {
			panic(errCompared)
		}
		switch strings.ToLower(strings.ReplaceAll(key, "\u017f", "s")) {
		case "name", "version":
			must(key == strings.ToLower(key) && !strings.Contains(key, "\u017f"), "case")
		case "_id":
			must(key == "_id" && value == name+"@"+res.Version, "_id")
		case "dist":
			must(key == "dist", "case")
			dist, ok := value.(object)
			must(ok, "dist")
			res.Integrity = stated(dist)
		}
	}

	res.Tags = map[string]string{}
	if value, has := top["dist-tags"]; has {
		tags, ok := value.(object)
		must(ok && len(tags) <= 32, "tags")
		for tag, to := range tags {
			must(to == res.Version, "tag")
			bare := strings.TrimPrefix(tag, "v")
			must(tagName.MatchString(tag) && tag != "." && tag != ".." && (!version.MatchString(bare) || len(bare) > 256), "tag")
			res.Tags[tag] = res.Version
		}
	}

	switch access := top["access"]; access {
	case nil:
	case "public", "restricted":
		res.Access = access.(string)
	default:
		must(false, "access")
	}

	if value, has := top["maintainers"]; has {
		list, _ := value.([]any)
		must(len(list) > 0, "maintainers")
		for _, one := range list {
			who, _ := one.(object)
			must(who["name"] == "carol", "maintainer")
			for key := range who {
				must(key == "name" || !strings.EqualFold(key, "name"), "case")
			}
		}
	}

	attachments, _ := top["_attachments"].(object)
	for _, ext := range []string{".tgz", ".sigstore"} {
		for _, short := range []string{name, "widget"} {
			if file := fmt.Sprintf("%s-%s%s", short, res.Version, ext); attachments[file] != nil {
				res.Attachments = append(res.Attachments, file)
			}
		}
	}
	must(len(res.Attachments) == len(attachments) && len(attachments) > 0 && len(attachments) < 3, "attachments")
	must(strings.HasSuffix(res.Attachments[0], ".tgz") && !strings.HasSuffix(res.Attachments[len(attachments)-1], ".tgz") == (len(attachments) == 2), "one tarball")
	for _, value := range attachments {
		file, ok := value.(object)
		must(ok, "attachment")
		for _, key := range slices.Collect(maps.Keys(file)) {
			switch file[key].(type) {
			case string:
				must(key == "data" || key == "content_type", "attachment")
			case json.Number:
				must(key == "length", "attachment")
			default:
				must(false, "attachment")
			}
		}
		must(file["data"] != nil, "data")
	}
	text := attachments[res.Attachments[0]].(object)["data"].(string)
	if unpacking {
		packedIs(text, name, res.Version)
	}
	if dist, _ := manifest["dist"].(object); res.Integrity != "" && (unpacking || hashing) {
		hashesTo(dist, res.Integrity, text)
	}
	return res, nil
}

var (
	sriToken = regexp.MustCompile(`^([a-z0-9]+)-([!->@-~]+)(\?[!-~]*)?$`)
	hexSum   = regexp.MustCompile(`^[0-9a-fA-F]{40}$`)
)

// stated is the hashes in dist.
func stated(dist object) (integrity string) {
	for key := range dist {
		for _, known := range []string{"integrity", "shasum"} {
			must(key == known || !strings.EqualFold(key, known), "case")
		}
	}
	if value, has := dist["shasum"]; has {
		text, ok := value.(string)
		must(ok && hexSum.MatchString(text), "shasum")
		sum, err := hex.DecodeString(text)
		must(err == nil, "shasum")
		integrity = "sha1-" + base64.StdEncoding.EncodeToString(sum)
	}
	if value, has := dist["integrity"]; has {
		text, ok := value.(string)
		must(ok && len(text) <= 1024, "integrity")
		tokens := strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r >= '\t' && r <= '\r' && r != '\v' })
		must(len(tokens) > 0, "integrity")
		for _, token := range tokens {
			parts := sriToken.FindStringSubmatch(token)
			must(parts != nil, "integrity")
			size := map[string]int{"sha1": 20, "sha256": 32, "sha384": 48, "sha512": 64}[parts[1]]
			if size > 0 {
				sum, err := base64.StdEncoding.Strict().DecodeString(parts[2])
				must(err == nil && len(sum) == size, "integrity")
				integrity = text
			}
		}
	}
	return integrity
}

// hashesTo compares the tarball with both statements.
func hashesTo(dist object, integrity, text string) {
	data, err := base64.StdEncoding.Strict().DecodeString(text)
	must(err == nil && !strings.ContainsAny(text, "\r\n"), "base64")
	for _, algorithm := range []string{"sha512", "sha384", "sha256", "sha1"} {
		if strings.Contains(" "+strings.Join(strings.Fields(integrity), " "), " "+algorithm+"-") {
			right := false
			for _, token := range strings.Fields(integrity) {
				expression, _, _ := strings.Cut(token, "?")
				right = right || expression == integrityOf(string(data), algorithm)
			}
			must(right, "integrity")
			break
		}
	}
	if shasum, has := dist["shasum"].(string); has {
		must(strings.EqualFold(shasum, shasumOf(string(data))), "shasum")
	}
}

// packedIs reads the only entry of a tarball; package tarball has an oracle for more.
func packedIs(text, name, version string) {
	data, err := base64.StdEncoding.DecodeString(text)
	must(err == nil && !strings.ContainsAny(text, "\r\n"), "base64")
	zip, err := gzip.NewReader(bytes.NewReader(data))
	must(err == nil, "gzip")
	files := tar.NewReader(zip)
	_, err = files.Next()
	must(err == nil, "tar")
	body, err := io.ReadAll(files)
	must(err == nil, "tar")
	var m struct{ Name, Version string }
	must(json.Unmarshal(body, &m) == nil && m.Name == name, "package.json")
	must(m.Version == version, "package.json")
}
