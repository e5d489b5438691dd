package clients_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/stretchr/testify/require"
)

// orgs is how many commands are about an organization: each has one of its own.
const orgs = 10

// orgOwners are the people of a client's cells who own an organization, which is there from the start.
func orgOwners(client string) (names []string) {
	for i := range orgs {
		names = append(names, fmt.Sprintf("%s-%d-owner", client, i))
	}
	return names
}

func orgOf(owner string) string { return owner + "s-org" }

// org returns a cell's person who owns an organization, with somebody else who is not in it if other.
func org(other bool) func(c *cell) *person {
	return func(c *cell) *person {
		c.t.Helper()
		p := c.stranger()
		delete(c.hide, p.name)
		p.name = c.world.owner(c.client)
		p.org = orgOf(p.name)
		c.hide[p.org], c.hide[p.name] = "<org>", "<you>"
		p.useToken(c.registry.SignIn(p.name, ""))
		p.app, _ = c.registry.Enrol(p.session)
		if other {
			p.other = c.newcomer()
		}
		return p
	}
}

// owner returns one of a client's owners who was not returned before.
func (w *world) owner(client string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.owned[client]++
	return orgOwners(client)[w.owned[client]-1]
}

// orgPackage is org with a package of the organization.
func orgPackage(c *cell) *person {
	p := org(false)(c)
	p.publishesAs("@"+p.org+"/widget", "restricted", "1.0.0")
	return p
}

func (p *person) sets(name, role string) {
	p.t.Helper()
	p.must(p.app.Fresh(), "PUT", "-/org/"+p.org+"/user", map[string]string{"user": name, "role": role})
}

func (p *person) creates(team string) {
	p.t.Helper()
	p.must(p.app.Fresh(), "PUT", "-/org/"+p.org+"/team", map[string]string{"name": team})
}

func (p *person) members() (roles map[string]string) {
	p.t.Helper()
	require.Equal(p.t, http.StatusOK, p.gets("-/org/"+p.org+"/user", &roles))
	return roles
}

// teams returns the names of the organization's, without its own.
func (p *person) teams() (names []string) {
	p.t.Helper()
	require.Equal(p.t, http.StatusOK, p.gets("-/org/"+p.org+"/team?format=cli", &names))
	for i := range names {
		names[i] = names[i][len(p.org)+1:]
	}
	slices.Sort(names)
	return names
}

// team returns who is in one.
func (p *person) team(name string) (members []string) {
	p.t.Helper()
	require.Equal(p.t, http.StatusOK, p.gets("-/team/"+p.org+"/"+name+"/user?format=cli", &members))
	return members
}

// rights returns what a team may do with the package of the organization: read, write or nothing.
func (p *person) rights(team string) string {
	p.t.Helper()
	var of map[string]string
	require.Equal(p.t, http.StatusOK, p.gets("-/team/"+p.org+"/"+team+"/package?format=cli", &of))
	return of["@"+p.org+"/widget"]
}

type profile struct {
	FullName string
	TFA      struct {
		Mode    string
		Pending bool
	}
}

func (p *person) profile() (v profile) {
	p.t.Helper()
	var read struct {
		FullName string
		TFA      any
	}
	require.Equal(p.t, http.StatusOK, p.gets("-/npm/v1/user", &read))
	v.FullName = read.FullName
	if tfa, ok := read.TFA.(map[string]any); ok {
		v.TFA.Mode, _ = tfa["mode"].(string)
		v.TFA.Pending, _ = tfa["pending"].(bool)
	}
	return v
}

// tokenHolder is somebody with a second factor and one token.
func (c *cell) tokenHolder() *person {
	c.t.Helper()
	p := c.newcomer()
	p.must("", "POST", "-/npm/v1/tokens", map[string]any{"name": "ci", "password": p.password, "packages_all": true})
	p.key = p.keys()[0]
	p.app, _ = c.registry.Enrol(p.session)
	return p
}

// star stars the person's package.
func (p *person) star() {
	p.t.Helper()
	var doc struct {
		Rev string `json:"_rev"`
	}
	p.gets(url.PathEscape(p.pkg())+"?write=true", &doc)
	p.must("", "PUT", url.PathEscape(p.pkg()), map[string]any{"_id": p.pkg(), "_rev": doc.Rev, "users": map[string]bool{p.name: true}})
}

// stars returns what the person has starred.
func (p *person) stars() (names []string) {
	p.t.Helper()
	var list struct {
		Rows []struct{ Value string }
	}
	require.Equal(p.t, http.StatusOK, p.gets("-/_view/starredByUser?key="+url.QueryEscape(`"`+p.name+`"`), &list))
	for _, row := range list.Rows {
		names = append(names, row.Value)
	}
	return names
}
