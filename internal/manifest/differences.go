package manifest

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
)

// shown are the fields that Differences compares, in its order.
var shown = slices.Concat([]string{"scripts", "gypfile", "hasInstallScript", "bin", "directories"}, dependencies, []string{"bundleDependencies", "bundledDependencies"})

// A Difference is a value that two versions of a package do not have in common.
type Difference struct {
	Field string // of package.json, such as scripts or dependencies
	Name  string // in the field; "" is the whole field
	Old   string // "" if there was none
	New   string // "" if there is none
}

// Differences returns what of scripts, commands and dependencies of every kind is in one of two package.json and not in
// the other, as they have it: texts as they are, and all else as JSON.
func Differences(old, is Manifest) (all []Difference) {
	for _, field := range shown {
		before, after := entries(old.fields[field]), entries(is.fields[field])
		names := maps.Clone(before)
		maps.Copy(names, after)
		for _, name := range slices.Sorted(maps.Keys(names)) {
			if before[name] != after[name] {
				all = append(all, Difference{field, name, before[name], after[name]})
			}
		}
	}
	return all
}

// RunsAtInstall reports whether the difference is of a script that is run where the package is installed.
func (d Difference) RunsAtInstall() bool {
	switch d.Field {
	case "gypfile", "hasInstallScript":
		return true
	}
	return d.Field == "scripts" && slices.Contains([]string{"preinstall", "install", "postinstall", "preprepare", "prepare", "postprepare", "prepublish"}, d.Name)
}

// entries returns what is in a field by its name there: of a list by what it is, and of a single value by "".
func entries(v any) map[string]string {
	all := map[string]string{}
	switch v := v.(type) {
	case nil:
	case map[string]any:
		for name, value := range v {
			all[name] = plainText(value)
		}
	case *[]any:
		for i, value := range *v {
			text := plainText(value)
			all[cmp.Or(text, strconv.Itoa(i))] = text
		}
	default:
		all[""] = plainText(v)
	}
	return all
}

// plainText returns a text as it is, and any other value as JSON. An empty text is two quotation marks, since "" is no value.
func plainText(v any) string {
	if s, ok := v.(string); ok && s != "" {
		return s
	}
	return text(v)
}
