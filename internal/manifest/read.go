package manifest

import (
	"cmp"
	"encoding/json"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A reading is how a client reads what package.json should not have, where clients differ.
type reading int

const (
	npm      reading = iota // 9 and later, and all that publish package.json as it is
	olderNPM                // 6 to 8
	yarn1
)

// writer returns how the client reads that wrote a manifest, as far as the manifest tells.
func (m Manifest) writer() reading {
	version, _ := m.fields["_npmVersion"].(string)
	switch _, node := m.fields["_nodeVersion"]; {
	case !node:
		return yarn1
	case olderVersion.MatchString(version):
		return olderNPM
	}
	return npm
}

var olderVersion = regexp.MustCompile(`^[6-8]\.`)

// facts are what a manifest says, each in one text: by field and name in it, as
// {"scripts", "postinstall"}. A field that is compared as a whole has no name.
type facts map[fact]string

type fact struct{ field, name string }

// String returns the fact as people write it.
func (f fact) String() string {
	if f.name == "" {
		return f.field
	}
	if !ordinary.MatchString(f.name) {
		return f.field + "[" + short(f.name) + "]"
	}
	return f.field + "." + f.name
}

var ordinary = regexp.MustCompile(`^[A-Za-z0-9@/._-]{1,214}$`)

func (f fact) compare(g fact) int {
	return cmp.Or(strings.Compare(f.field, g.field), strings.Compare(f.name, g.name))
}

// A content is what is read of a manifest or a package.json.
type content struct {
	facts facts
	// dir is directories.bin as it is, and
	dir string
	// binDir the folder whose files all are commands, "." for the package itself; "" if there is
	// none, or if commands are named.
	binDir string
	gyp    any // what gypfile says
	// assumed are dependencies that are not listed, but bundled.
	assumed map[string]bool
	// noScripts reports whether scripts is there and no object: what npm derives of *.gyp gets lost.
	noScripts bool
}

// read returns what m says, as a client reads it. What was published is what the client has made of
// its reading: nothing in it is left out any more.
func (m Manifest) read(as reading, published bool) (content, error) {
	leaves := as
	if published {
		leaves = npm
	}
	c := content{facts: facts{}, gyp: m.fields["gypfile"], assumed: map[string]bool{}}
	c.scripts(m)
	if err := c.dependencies(m, as, leaves); err != nil {
		return c, err
	}
	if err := c.commands(m, leaves); err != nil {
		return c, err
	}
	for _, field := range platforms { // one may stand for a list of one
		switch v := m.fields[field].(type) {
		case nil:
		case string:
			c.facts[fact{field, ""}] = text(&[]any{v})
		default:
			c.facts[fact{field, ""}] = text(v)
		}
	}
	for _, field := range plain {
		v, there := m.fields[field]
		if field == "engines" {
			v = engines(v)
		}
		switch v := v.(type) {
		case map[string]any:
			for name, value := range v {
				c.facts[fact{field, name}] = text(value)
			}
		case nil:
		default:
			if there {
				c.facts[fact{field, ""}] = text(v)
			}
		}
	}
	for field, v := range m.fields { // what encoding/json would take for them
		if !slices.Contains(compared, field) && field[0] != '_' {
			c.facts[fact{field, ""}] = text(v)
		}
	}
	return c, nil
}

// text returns a value as JSON, with sorted keys.
func text(v any) string {
	data, err := json.Marshal(v)
	if err != nil { // no value of JSON
		return ""
	}
	return string(data)
}

// MarshalJSON returns the number as it is written.
func (n number) MarshalJSON() ([]byte, error) { return []byte(n), nil }

// binFolder is what npm removes from the beginning of a script: it runs with that folder in PATH.
var binFolder = regexp.MustCompile(`^((\.[/\\])?node_modules[/\\].bin[\\/])+`)

func (c *content) scripts(m Manifest) {
	scripts, _ := m.fields["scripts"].(map[string]any)
	for name, v := range scripts {
		if s, ok := v.(string); ok {
			c.facts[fact{"scripts", name}] = binFolder.ReplaceAllString(s, "")
		}
	}
	c.noScripts = m.fields["scripts"] != nil && scripts == nil
}

// dependencies reads what the package depends on. What is optional is no plain dependency, in
// whatever lists it is, and what is bundled is one.
func (c *content) dependencies(m Manifest, as, leaves reading) error {
	lists := map[string]map[string]string{}
	for _, field := range dependencies {
		lists[field] = ranges(m.fields[field], field, as)
	}
	if leaves == yarn1 {
		deduplicate(lists["optionalDependencies"], lists["dependencies"], lists["devDependencies"])
	}
	optional, _ := object(m.fields["optionalDependencies"], as).(map[string]any)
	for name := range optional {
		delete(lists["dependencies"], name)
	}
	names, err := bundled(m, leaves)
	if err != nil {
		return err
	}
	for _, name := range names {
		c.facts[fact{"bundleDependencies", name}] = "true"
		_, there := lists["dependencies"][name]
		if _, is := optional[name]; !is && !there {
			lists["dependencies"][name] = "*"
			c.assumed[name] = true
		}
	}
	switch peers := m.fields["peerDependencies"].(type) {
	case nil, map[string]any:
	default: // the keys of an array are names, to JavaScript
		c.facts[fact{"peerDependencies", ""}] = text(peers)
	}
	for field, list := range lists {
		for name, spec := range list {
			c.facts[fact{field, name}] = spec
		}
	}
	return nil
}

// deduplicate leaves each dependency in the first of the lists that has it, with the first range that
// says something, as Yarn 1 does.
func deduplicate(lists ...map[string]string) {
	says := func(spec string) bool { return spec != "" && spec != "*" }
	for i, list := range lists {
		for name := range list {
			for _, later := range lists[i+1:] {
				if !says(list[name]) && says(later[name]) {
					list[name] = later[name]
				}
				delete(later, name)
			}
		}
	}
}

// ranges returns a list of dependencies without what npm removes.
func ranges(v any, field string, as reading) map[string]string {
	list := map[string]string{}
	if field != "peerDependencies" {
		v = object(v, as)
	}
	entries, _ := v.(map[string]any)
	for name, v := range entries {
		switch spec, ok := v.(string); {
		case name == "//": // a comment, which Yarn 1 removes
		case as == yarn1 && strings.HasPrefix(spec, "file:"): // which it resolves from another folder
			list[name] = "file:" + path.Base(spec)
		case ok:
			list[name] = repository(spec)
		case as == yarn1 && falsy(v):
			list[name] = ""
		}
	}
	return list
}

// entry is how npm reads the elements of a list of dependencies that is no object.
var entry = regexp.MustCompile(`(?s)^([^@\s><=]*?)(:?[@\s><=].*)?$`)

// object returns a list of dependencies as an object: it may be an array or a text of "name@range".
func object(v any, as reading) any {
	var elements []any
	switch v := v.(type) {
	case string:
		for _, s := range strings.FieldsFunc(v, func(r rune) bool { return r == ',' || strings.ContainsRune(space, r) }) {
			elements = append(elements, s)
		}
	case *[]any:
		elements = *v
	default:
		return v
	}
	list := map[string]any{}
	for _, e := range elements {
		s, ok := e.(string)
		if !ok {
			continue
		}
		parts := entry.FindStringSubmatch(strings.Trim(s, space))
		spec := parts[2]
		if as == olderNPM {
			spec = strings.TrimPrefix(strings.Trim(spec, space), "@")
		} else {
			spec = strings.Trim(strings.TrimPrefix(spec, "@"), space)
		}
		list[parts[1]] = spec
	}
	return list
}

// bundled returns the names of the dependencies that are in the tarball.
func bundled(m Manifest, as reading) (names []string, err error) {
	v, there := m.fields["bundleDependencies"]
	if !there {
		v = m.fields["bundledDependencies"]
	}
	switch v := v.(type) {
	case *[]any:
		for _, e := range *v {
			if s, _ := e.(string); s != "" {
				names = append(names, s)
			}
		}
	case bool:
		if v {
			if text, _ := m.fields["dependencies"].(string); len(text) > maxCharacters {
				return nil, &Error{"dependencies is a text, and bundleDependencies stands for each of its characters"}
			}
			names = keys(m.fields["dependencies"])
		}
	case map[string]any:
		if as != olderNPM {
			names = keys(v)
		}
	}
	return names, nil
}

// maxCharacters is how long a text may be of which each character is a dependency, as JavaScript
// has it. Nobody writes one: it bounds how many small things are made of one large one.
const maxCharacters = 256

// keys returns what Object.keys of JavaScript does.
func keys(v any) (names []string) {
	n := 0
	switch v := v.(type) {
	case map[string]any:
		return slices.Collect(maps.Keys(v))
	case *[]any:
		n = len(*v)
	case string:
		n = len([]rune(v))
	}
	for i := range n {
		names = append(names, strconv.Itoa(i))
	}
	return names
}

// falsy reports whether JavaScript takes v for false.
func falsy(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case bool:
		return !v
	case string:
		return v == ""
	case number:
		n, err := strconv.ParseFloat(string(v), 64)
		return err == nil && n == 0
	}
	return false
}

// engines returns engines as an object, where it is a list as in 2010.
func engines(v any) any {
	list, ok := v.(*[]any)
	if !ok {
		return v
	}
	out := map[string]any{}
	for _, e := range *list {
		if s, ok := e.(string); ok {
			words := strings.FieldsFunc(s, func(r rune) bool { return r == ' ' })
			if len(words) > 0 {
				out[words[0]] = strings.Join(words[1:], " ")
			}
		}
	}
	return out
}

// commands reads what is linked as a command.
func (c *content) commands(m Manifest, as reading) error {
	bin := map[string]any{}
	switch v := m.fields["bin"].(type) {
	case string:
		bin[m.Name] = v
	case *[]any:
		for _, e := range *v {
			if s, ok := e.(string); ok {
				if err := command(bin, path.Base(s), s); err != nil {
					return err
				}
			}
		}
	case map[string]any:
		bin = v
	}
	named := map[string]any{}
	_, single := m.fields["bin"].(string)
	for name, v := range bin {
		target, ok := v.(string)
		if !ok || as == yarn1 && !(single || yarnBin.MatchString(name)) || as == yarn1 && escapes(target) {
			continue
		}
		// npm takes the name of the package before it trims it.
		name, target = strings.Trim(path.Base("/"+inside(name)), space), inside(target)
		if name == "/" || name == "" || target == "" {
			continue
		}
		if err := command(named, name, target); err != nil {
			return err
		}
	}
	for name, target := range named {
		c.facts[fact{"bin", name}] = target.(string)
	}
	directories, _ := m.fields["directories"].(map[string]any)
	c.dir, _ = directories["bin"].(string)
	if len(named) == 0 && c.dir != "" && (as != yarn1 || falsy(m.fields["bin"])) {
		c.binDir = cmp.Or(inside(c.dir), ".")
	}
	return nil
}

func command(bin map[string]any, name, target string) error {
	if was, there := bin[name]; there && was != target {
		return &Error{"bin has two commands that are called " + short(name) + " once their names are cleaned"}
	}
	bin[name] = target
	return nil
}

// yarnBin are the names of commands that Yarn 1 takes.
var yarnBin = regexp.MustCompile(`(?i)^(?:[a-z0-9_-][a-z0-9._-]*|\.[a-z0-9_-][a-z0-9._-]*|\.\.[a-z0-9._-]+)$`)

func escapes(target string) bool {
	return path.IsAbs(target) || strings.HasPrefix(path.Clean(target), "..")
}

// inside returns a path within the package as npm 12 has it: nothing leads out.
func inside(p string) string {
	return strings.TrimPrefix(path.Clean("/"+strings.NewReplacer(`\`, "/", ":", "/").Replace(p)), "/")
}
