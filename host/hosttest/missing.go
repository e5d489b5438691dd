package hosttest

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/protocol"
)

// Lines for a [Registry] that lacks something.
const (
	lineHandler   = `Handler: registry,`
	linePackages  = `Packages: packages,`
	lineDocuments = `Documents: documents,`
	lineCreators  = `Creators: [2]protocol.UserID{"…", "…"},`
	lineUsers     = `Users: users, ` + lineCreators
	linePackage   = `Package: protocol.PackageName{Scope: "…", Name: "npmauth-host-test"},`
	linePrivate   = `Private: protocol.PackageName{Scope: "…", Name: "npmauth-host-test"},`
	lineRemove    = `Remove: func(ctx context.Context, pkg protocol.PackageName) error { return remove(ctx, pkg) },`
)

// add returns the advice of a failure to add a line.
func add(line string) string { return "add to the Registry:\n\t" + line }

// optional are the actions that a registry need not serve, as Go names them.
var optional = []struct {
	action protocol.Action
	name   string
}{
	{protocol.ReadTarball, "ReadTarball"}, {protocol.SetDistTag, "SetDistTag"}, {protocol.RemoveDistTag, "RemoveDistTag"},
	{protocol.Deprecate, "Deprecate"}, {protocol.Unpublish, "Unpublish"}, {protocol.UnpublishAll, "UnpublishAll"},
	{protocol.WriteOwners, "WriteOwners"}, {protocol.Star, "Star"}, {protocol.Search, "Search"},
	{protocol.ListPackages, "ListPackages"}, {protocol.ListOrgPackages, "ListOrgPackages"},
}

// without returns the line for a registry that does not serve these actions either.
func (reg Registry) without(more []protocol.Action) string {
	var names []string
	for _, o := range optional {
		if !reg.serves(o.action) || slices.Contains(more, o.action) {
			names = append(names, "protocol."+o.name)
		}
	}
	line := "Without: []protocol.Action{" + strings.Join(names, ", ") + "},"
	if reg.Remove == nil && slices.Contains(more, protocol.UnpublishAll) {
		line += " " + lineRemove
	}
	return line
}

// creatorsMayCreate tests what every other case begins with.
func creatorsMayCreate(t tb, x *rig) {
	line := linePackage
	if x.Users == nil {
		line = lineUsers
	}
	for _, id := range x.Creators {
		facts, err := x.Packages.Facts(t.Context(), x.Package, id)
		require.NoError(t, err)
		require.Empty(t, facts.ID, "%s is there already: open must return an empty registry", x.Package)
		require.True(t, facts.MayCreate, "Facts do not let the user %q create %s; %s", id, x.Package, add(line))
	}
	if x.Private.IsZero() {
		return
	}
	facts, err := x.Packages.Facts(t.Context(), x.Private, x.Creators[first])
	require.NoError(t, err)
	require.True(t, facts.ID == "" && facts.MayCreate, "Facts do not let the first creator create %s; %s", x.Private, add(linePrivate))
}

// A try is the request of an optional action.
type try struct {
	action protocol.Action
	send   func() int
}

// tries returns a request of each optional action, to be sent in this order about a
// package with the versions 1.0.0 and 2.0.0.
func (x *rig) tries(t tb) []try {
	getAs := func(who int, path string) func() int {
		return func() int { return x.send(t.Context(), who, http.MethodGet, path).Code }
	}
	get := func(path string) func() int { return getAs(first, path) }
	all := []try{
		{protocol.ReadTarball, get("/" + x.Package.String() + "/-/" + x.Package.Name + "-1.0.0.tgz")},
		{protocol.SetDistTag, func() int { return x.send(t.Context(), first, http.MethodPut, x.tagPath(), `"1.0.0"`).Code }},
		{protocol.RemoveDistTag, func() int { return x.send(t.Context(), first, http.MethodDelete, x.tagPath()).Code }},
		{protocol.Deprecate, func() int {
			d := x.read(t, first)
			d.manifest("1.0.0")["deprecated"] = "do not use"
			return x.sendBack(t.Context(), first, d)
		}},
		{protocol.WriteOwners, func() int { return x.owners(t, first, x.names[first], x.names[second]) }},
		{protocol.Star, func() int {
			return x.sendBack(t.Context(), first, document{"_id": x.Package.String(), "users": map[string]any{x.names[first]: true}})
		}},
		{protocol.Search, get("/-/v1/search?text=" + url.QueryEscape(x.Package.Name))},
		{protocol.ListPackages, get("/-/user/" + x.names[first] + "/package")},
	}
	if x.Orgs != nil && x.Private.Scope != "" {
		all = append(all, try{protocol.ListOrgPackages, getAs(inOrg, "/-/org/"+x.Private.Scope+"/package")})
	}
	return append(all,
		try{protocol.Unpublish, func() int { return x.sendBack(t.Context(), first, without(x.read(t, first), "2.0.0", "1.0.0")) }},
		try{protocol.UnpublishAll, func() int { return x.removeAt(t.Context(), first, x.read(t, first).revision()).Code }},
	)
}

// served requests every optional action that is not in Without.
func served(t tb, x *rig) {
	x.published(t, first, "1.0.0", "2.0.0")
	var failed []string
	for _, try := range x.tries(t) {
		if !x.serves(try.action) {
			continue
		}
		if status := try.send(); !success(status) {
			x.absent = append(x.absent, try.action)
			failed = append(failed, fmt.Sprintf("%v was answered %d", try.action, status))
		}
	}
	if len(failed) == 0 {
		return
	}
	instead := ""
	if x.Documents == nil && (slices.Contains(x.absent, protocol.Deprecate) || slices.Contains(x.absent, protocol.Unpublish)) {
		instead = "\nIf it takes changed documents back, " + add(lineDocuments)
	}
	assert.Fail(t, fmt.Sprintf("%s.\nIf the registry does not serve that, and nothing of it is tested, %s%s", strings.Join(failed, ", "), add(x.without(x.absent)), instead))
}

// notServed requests the actions in Without.
func notServed(t tb, x *rig) {
	x.published(t, first, "1.0.0", "2.0.0")
	before := x.read(t, first)
	for _, try := range x.tries(t) {
		if x.serves(try.action) {
			continue
		}
		status := try.send()
		assert.False(t, success(status), "%v is said not to be served and was answered %d", try.action, status)
		assert.Equal(t, before.state(), x.read(t, first).state(), "%v is said not to be served", try.action)
	}
}
