package integration_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/packument"
	"github.com/npmauth/npmauth/protocol"
)

type object = map[string]any

// A publication is the body of a publish, taken apart.
type publication struct {
	name     string
	document object
	manifest object // in document
	packed   object // package.json in the tarball
	files    []packedFile
}

type packedFile struct {
	name string
	body []byte
}

// copied returns p with a side that can be changed.
func (p *publication) copied(manifest bool) (c *publication, side object) {
	clone := *p
	if !manifest {
		clone.packed = maps.Clone(p.packed)
		return &clone, clone.packed
	}
	clone.document, clone.manifest = maps.Clone(p.document), maps.Clone(p.manifest)
	for version := range p.document["versions"].(object) {
		clone.document["versions"] = object{version: clone.manifest}
	}
	return &clone, clone.manifest
}

// takeApart decodes the body of a publish.
func takeApart(t *testing.T, body string) *publication {
	t.Helper()
	p := &publication{document: decoded(t, []byte(body))}
	p.name = p.document["name"].(string)
	for _, m := range p.document["versions"].(object) {
		p.manifest = m.(object)
	}
	for name, a := range p.document["_attachments"].(object) {
		require.Contains(t, name, ".tgz")
		zipped, err := base64.StdEncoding.DecodeString(a.(object)["data"].(string))
		require.NoError(t, err)
		unzip, err := gzip.NewReader(bytes.NewReader(zipped))
		require.NoError(t, err)
		for archive := tar.NewReader(unzip); ; {
			header, err := archive.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
			content, err := io.ReadAll(archive)
			require.NoError(t, err)
			if header.Typeflag != tar.TypeReg {
				continue
			}
			p.files = append(p.files, packedFile{header.Name, content})
			if header.Name == "package/package.json" {
				p.packed = decoded(t, bytes.TrimPrefix(content, []byte("\ufeff")))
			}
		}
	}
	require.NotNil(t, p.packed)
	return p
}

func decoded(t *testing.T, data []byte) object {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v object
	require.NoError(t, d.Decode(&v))
	return v
}

// body puts it together again. The tarball is only packed if package.json was changed: a manifest
// states its hash.
func (p *publication) body(t *testing.T, repack bool) string {
	t.Helper()
	if repack {
		var out bytes.Buffer
		zip := gzip.NewWriter(&out)
		archive := tar.NewWriter(zip)
		for _, f := range p.files {
			if f.name == "package/package.json" {
				f.body = encoded(t, p.packed)
			}
			require.NoError(t, archive.WriteHeader(&tar.Header{Name: f.name, Size: int64(len(f.body)), Mode: 0o644}))
			_, err := archive.Write(f.body)
			require.NoError(t, err)
		}
		require.NoError(t, archive.Close())
		require.NoError(t, zip.Close())
		p, _ = p.copied(true)
		for name := range p.document["_attachments"].(object) {
			p.document["_attachments"] = object{name: object{"data": base64.StdEncoding.EncodeToString(out.Bytes())}}
		}
		p.manifest["dist"] = object{}
	}
	return string(encoded(t, p.document))
}

func encoded(t *testing.T, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	require.NoError(t, err)
	return data
}

// accepts returns why a registry that checks tarballs refuses a publish.
func accepts(body string) error {
	var head struct{ Name string }
	if err := json.NewDecoder(strings.NewReader(body)).Decode(&head); err != nil {
		return err
	}
	name, err := protocol.ParsePackageName(head.Name)
	if err != nil {
		return err
	}
	s := packument.New(packument.Config{Package: name, By: "alice", CheckTarball: true})
	_, _ = s.Write([]byte(body)) // Close returns its error
	return s.Close()
}

// has reports whether the tarball has a file.
func (p *publication) has(name string) bool {
	return slices.ContainsFunc(p.files, func(f packedFile) bool { return f.name == "package/"+name })
}

// A forgery changes one thing of a publication, on the side of the manifest or of package.json. It
// returns the field that the refusal names, or "" if the publication has no such thing, or none
// of which a client could not have made the other side.
type forgery func(p *publication, side object) (field string)

const forged = "forged"

// derived are the scripts that clients write into a manifest because of a file.
var derived = object{"install": "node-gyp rebuild", "start": "node server.js"}

var lists = []string{"dependencies", "devDependencies", "optionalDependencies", "peerDependencies"}

// forgeries returns all forgeries of a publication.
func forgeries(p *publication) map[string]forgery {
	all := map[string]forgery{
		"scripts":              addTo("scripts", "postinstall", "node "+forged),
		"peerDependenciesMeta": addTo("peerDependenciesMeta", forged, object{"optional": true}),
		"dependenciesMeta":     addTo("dependenciesMeta", forged, object{"built": true}),
		"acceptDependencies":   addTo("acceptDependencies", forged, "*"),
		"engines":              addTo("engines", forged, ">=999"),
		"os":                   set("os", []any{forged}), "cpu": set("cpu", forged), "libc": set("libc", []any{forged}),
		"hasInstallScript": set("hasInstallScript", forged),
		"SCRIPTS":          set("SCRIPTS", object{"postinstall": forged}),
		"gypfile":          forgeGypfile, "bundleDependencies": forgeBundle,
		"bin": forgeCommand, "directories": forgeFolder,
	}
	for _, list := range lists {
		all[list] = addTo(list, forged, "^9.9.9")
		for name := range objectOf(p.packed[list]) {
			all[list+" "+name] = forgeRange(list, name)
			all[list+" without "+name] = dropRange(list, name)
		}
	}
	for name := range objectOf(p.packed["scripts"]) {
		all["script "+name] = forgeScript(name)
		all["without script "+name] = dropScript(name)
	}
	for name := range objectOf(p.manifest["bin"]) {
		all["target of "+name] = forgeTarget(name)
		all["without command "+name] = dropCommand(name)
	}
	return all
}

func objectOf(v any) object { o, _ := v.(object); return o }

func listOf(v any) []any { l, _ := v.([]any); return l }

func addTo(field, name string, value any) forgery {
	return func(_ *publication, side object) string {
		o := maps.Clone(objectOf(side[field]))
		if o == nil {
			o = object{}
		}
		o[name] = value
		side[field] = o
		return field
	}
}

func set(field string, value any) forgery {
	return func(_ *publication, side object) string {
		side[field] = value
		return field
	}
}

func forgeScript(name string) forgery {
	return func(_ *publication, side object) string {
		s, ok := objectOf(side["scripts"])[name].(string)
		if !ok {
			return ""
		}
		return addTo("scripts", name, s+" && "+forged)(nil, side)
	}
}

func dropScript(name string) forgery {
	return func(p *publication, side object) string {
		scripts := maps.Clone(objectOf(side["scripts"]))
		if _, ok := scripts[name].(string); !ok || derived[name] == objectOf(p.manifest["scripts"])[name] {
			return ""
		}
		delete(scripts, name)
		side["scripts"] = scripts
		return "scripts"
	}
}

// shadowed reports whether a range says nothing: it is a comment, or the dependency is optional or
// not compared.
func shadowed(p *publication, list, name string) bool {
	if name == "//" {
		return true
	}
	if version, _ := p.manifest["_npmVersion"].(string); strings.HasPrefix(version, "7.") && list == "dependencies" &&
		slices.Contains(listOf(p.manifest["bundleDependencies"]), any(name)) {
		return true // it is bundled: npm 7 writes * for whatever range
	}
	optional := p.packed["optionalDependencies"]
	_, is := objectOf(optional)[name]
	other := optional != nil && objectOf(optional) == nil // text or a list
	return list == "dependencies" && (is || other)
}

func forgeRange(list, name string) forgery {
	return func(p *publication, side object) string {
		if _, ok := objectOf(side[list])[name].(string); !ok || shadowed(p, list, name) {
			return ""
		}
		return addTo(list, name, "^9.9.9")(nil, side)
	}
}

func dropRange(list, name string) forgery {
	return func(p *publication, side object) string {
		ranges := maps.Clone(objectOf(side[list]))
		bundled := p.packed["bundleDependencies"] != nil || p.packed["bundledDependencies"] != nil
		if s, ok := ranges[name].(string); !ok || shadowed(p, list, name) || s == "*" && bundled {
			return ""
		}
		delete(ranges, name)
		side[list] = ranges
		return list
	}
}

func forgeGypfile(p *publication, side object) string {
	_, inManifest := side["_nodeVersion"]
	version, _ := p.manifest["_npmVersion"].(string)
	switch {
	case side["gypfile"] == false:
		side["gypfile"] = forged
	case !inManifest && p.manifest["gypfile"] == true && strings.Contains("678", version[:1]):
		return "" // which these write whatever package.json says
	default:
		side["gypfile"] = false
	}
	return "gypfile"
}

func forgeBundle(_ *publication, side object) string {
	list, _ := side["bundleDependencies"].([]any)
	side["bundleDependencies"] = append(slices.Clone(list), forged)
	return "bundleDependencies"
}

// forgeCommand adds a command.
func forgeCommand(p *publication, side object) string {
	switch bin := side["bin"].(type) {
	case nil:
		side["bin"] = object{forged: "cli.js"}
	case object:
		return addTo("bin", forged, "cli.js")(p, side)
	case []any:
		side["bin"] = append(slices.Clone(bin), forged)
	default:
		side["bin"] = forged
	}
	return "bin"
}

func forgeTarget(name string) forgery {
	return func(_ *publication, side object) string {
		if _, ok := objectOf(side["bin"])[name].(string); !ok {
			return ""
		}
		return addTo("bin", name, forged)(nil, side)
	}
}

// dropCommand removes a command. One of a folder may be of a file that is not packed, and without
// any the manifest says that all files of the folder are commands, which is as good.
func dropCommand(name string) forgery {
	return func(p *publication, side object) string {
		bin := maps.Clone(objectOf(side["bin"]))
		target, ok := bin[name].(string)
		if !ok {
			return ""
		}
		if folder, ok := objectOf(p.packed["directories"])["bin"].(string); ok {
			folder, target = path.Clean("/"+folder), path.Clean("/"+target)
			if strings.HasPrefix(target, folder+"/") && (len(bin) == 1 || path.Dir(target) != folder || !p.has(target[1:])) {
				return ""
			}
		}
		delete(bin, name)
		side["bin"] = bin
		return "bin"
	}
}

// forgeFolder makes the files of a folder commands. Where commands are named, nobody looks there.
func forgeFolder(p *publication, side object) string {
	if len(objectOf(p.manifest["bin"])) > 0 || !p.has("lib/b.js") {
		return ""
	}
	return addTo("directories", "bin", "lib")(p, side)
}
