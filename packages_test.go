package npmauth_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/protocol"
)

const (
	noFactorText = "Two-factor authentication is not required"
	orTokenText  = "Require two-factor authentication or an automation or granular access token"
	factorText   = "Require two-factor authentication and disallow tokens"
)

// isSet asserts which choice of the page is the present one.
func (b *tab) isSet(mode, text string) {
	b.w.t.Helper()
	b.is(200, `name="mode" value="`+mode+`" checked> `+text)
	assert.Equal(b.w.t, 1, strings.Count(b.Body.String(), " checked>"))
}

// A maintainer sees and sets what publishing takes, with a second factor, as npm access set mfa does.
func TestPackagesPage(t *testing.T) {
	change, _ := withLog(t)
	w := newWorld(t, change)
	w.person("alice")
	w.enrol("alice", protocol.AuthAndWrites)
	w.host.add("@acme/widget", true, w.ids["alice"])
	b := w.tab()
	b.signIn("alice", "packages")
	assert.NotContains(t, b.Body.String(), "Publishing access")
	b.open("/-/auth/packages?package=%40acme%2fwidget").is(200, "<h2>@acme/widget</h2>")
	b.is(200, "<dd>private</dd>")
	b.is(200, noFactorText)
	b.isSet("automation", orTokenText)

	b.submit("set", "mode", "publish").is(403, "one-time pass")
	b.has(`value="publish" checked> `)
	b.is(403, "<h2>@acme/widget</h2>")
	b.submit("set", "mode", "publish", "code", "000000").is(403, "wrong")
	b.submit("set", "mode", "all", "code", "000000").is(422, "Choose what publishing takes.")
	b.submit("set", "mode", "publish", "package", "no such name", "code", "000000").is(422, "not the name of a package")
	b.open("/-/auth/packages?package=@acme/widget").isSet("automation", orTokenText)
	b.submit("set", "mode", "publish", "code", w.code("alice")).is(200, "The publishing access of @acme/widget is changed.")
	b.isSet("publish", factorText)
	b.open("/-/auth/packages?package=@acme/widget").isSet("publish", factorText)
	b.submit("set", "mode", "automation", "code", w.code("alice")).isSet("automation", orTokenText)
	b.submit("set", "mode", "none", "code", w.code("alice")).is(403, "A package can no longer be set to need no second factor.")
	assert.Empty(t, w.host.written(), "npmauth keeps it")

	b.open("/-/auth/activity").is(200, "Publishing access of a package changed")
	b.is(200, "<bdi>"+factorText+"</bdi>")
}

// A registry whose policy leaves out the rule lets a package need no second factor.
func TestPackagesPageWithoutFactor(t *testing.T) {
	w := newWorld(t)
	w.person("alice")
	w.enrol("alice", protocol.AuthAndWrites)
	w.host.add("widget", false, w.ids["alice"])
	w.auth.SetPolicy(w.auth.Policy().Without("mfa-none"))
	b := w.tab()
	b.signIn("alice", "packages")
	b.open("/-/auth/packages?package=widget").submit("set", "mode", "none", "code", w.code("alice"))
	b.isSet("none", noFactorText)
}

// Who may not write a package is not shown its setting, and not that there is a private one.
func TestPackagesPageOfOthers(t *testing.T) {
	w := newWorld(t)
	w.person("alice")
	w.person("bob")
	w.host.add("widget", false, w.ids["alice"])
	w.host.add("hidden", true, w.ids["alice"])
	b := w.tab()
	b.signIn("bob", "packages")
	b.open("/-/auth/packages?package=widget").is(200, "shown to those who may publish it")
	assert.NotContains(t, b.Body.String(), `name="mode"`)
	page := func(name string) string {
		b.open("/-/auth/packages?package=" + name)
		assert.Equal(t, 200, b.Code)
		return strings.ReplaceAll(b.has(`(?s)<main>(.*)</main>`), name, "NAME")
	}
	hidden := page("hidden")
	assert.Equal(t, page("absent"), hidden)
	assert.Contains(t, hidden, `role="alert"`)
	b.open("/-/auth/packages?package=%3Cb%3E").is(200, "That is not the name of a package.")
	assert.NotContains(t, b.Body.String(), "<b>")
	b.open("/-/auth/packages?package=%ff%0a%e2%80%ae").is(200, "That is not the name of a package.")
	assert.NotContains(t, b.Body.String(), "\u202e")

	// A form that the page has not offered is decided on as npm's request is.
	_, values := func() (string, map[string][]string) {
		w.host.add("bobs", false, w.ids["bob"])
		return b.open("/-/auth/packages?package=bobs").form("set")
	}()
	values["package"], values["mode"] = []string{"widget"}, []string{"publish"}
	b.post("/-/auth/packages", values)
	assert.Equal(t, 403, b.Code)
	a := w.do(call{method: "GET", path: "/-/package/widget/access", bearer: w.login("alice")})
	assert.Equal(t, true, a.json["automation_token_overrides_tfa"])
}

// The page links the packages that the registry lists, and does without a registry that lists none.
func TestPackagesPageLists(t *testing.T) {
	w := newWorld(t)
	w.person("alice")
	status, list := 200, `{"@acme/widget":"write","plain":"read-write","read":"read","b<b>":"write","x":"owner"}`
	var asked []string
	w.handler = w.auth.Wrap(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		op, _ := host.OperationFrom(r.Context())
		asked = append(asked, op.Action.String()+" "+op.User)
		rw.WriteHeader(status)
		fmt.Fprint(rw, list)
	}))
	b := w.tab()
	b.signIn("alice", "packages")
	assert.Equal(t, []string{"list-packages alice"}, asked)
	b.is(200, `<li><a href="/-/auth/packages?package=%40acme%2Fwidget">@acme/widget</a></li>`)
	b.is(200, `<li><a href="/-/auth/packages?package=plain">plain</a></li>`)
	assert.Equal(t, 2, strings.Count(b.Body.String(), "?package="))

	var many []string
	for i := range 510 {
		many = append(many, fmt.Sprintf(`"p%d":"write"`, i))
	}
	list = "{" + strings.Join(many, ",") + "}"
	b.open("/-/auth/packages").is(200, "And 10 more")

	for _, without := range []struct {
		status int
		list   string
	}{{404, `{"error":"not found"}`}, {500, "broken"}, {200, "<html>"}, {200, `["plain"]`}, {200, ""}, {401, "{}"}} {
		status, list = without.status, without.list
		b.open("/-/auth/packages").is(200, "Signed in as")
		assert.NotContains(t, b.Body.String(), "?package=", "%+v", without)
	}
}
