package integration_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/internal/integration"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/twofactor"
)

// The pages of registries that are not as examples/registry at localhost is: at an IP address, where nobody signs up; with a look of
// their own and a company's login; and with a store that is away.
func TestHostsInChromium(t *testing.T) {
	integration.Require(t, "chromium")
	t.Parallel()
	chrome, inspector := integration.NewChrome(t, true), integration.NewInspector(t)
	at := func(registry *integration.Registry) *visitor {
		c := chrome.Private()
		c.ByKeyboard()
		return &visitor{t: t, Chrome: c, script: true, registry: registry, inspector: inspector}
	}

	byAddress := at(integration.Start(t, append(seed("alice"), "-signup", "closed")...))
	byAddress.Open(byAddress.page("signup"))
	byAddress.see("hosts-no-signup", http.StatusNotFound, "This registry does not let people create accounts by themselves.")
	byAddress.Open(byAddress.page("security"))
	require.NotContains(t, byAddress.Text(), "passkey")
	byAddress.Submit("Sign in", map[string]string{"User name": "alice", "Password": integration.Password})
	byAddress.see("hosts-no-keys", http.StatusOK, "a security key belongs to a domain name, and the address of this registry has none")

	company := at(integration.StartExample(t, "embed", "-company", "-company-addr", integration.FreeAddr(t)))
	company.Open(company.page(""))
	company.see("hosts-company", http.StatusOK, "Logins of The shelf")
	company.Follow("Access tokens")
	company.see("hosts-company-signin", http.StatusOK, "Sign in with Acme")
	company.Submit("Sign in with Acme", nil)
	require.Contains(t, company.Text(), "Who are you?")
	company.Submit("Sign in", map[string]string{"Who are you?": "ada"})
	company.Await("New token") // to which the page leads on by itself
	company.see("hosts-company-tokens", http.StatusOK, "Some changes need a recent sign-in.")
	company.Follow("Security")
	company.see("hosts-company-security", http.StatusOK, "Security keys")
	assert.NotContains(t, company.Text(), "Password")
	company.Open(company.page("signin?state=none"))
	company.see("hosts-company-none", http.StatusForbidden, "You are not signed in")

	embedded := integration.StartEmbedded(t, func(*npmauth.Config) {})
	eve := at(&integration.Registry{URL: embedded.URL})
	eve.outages(embedded)
	eve.limits(embedded)
}

// outages looks at what the pages say when the store does not answer, and of forms that came too late or from elsewhere.
func (v *visitor) outages(e *integration.Embedded) {
	v.t.Helper()
	in := map[string]string{"User name": "eve", "Password": integration.Password}
	token := map[string]string{"Name": "ci", "All packages": "yes", "Password": integration.Password}
	v.Open(v.page("tokens"))
	v.Submit("Sign in", in)
	v.Forge("decision", "x")
	v.Submit("Make the token", token)
	v.see("hosts-malformed", http.StatusBadRequest, "The form does not belong to this page.")
	v.Open(v.page("tokens"))
	v.Forge("token", "x")
	v.Submit("Make the token", token)
	v.see("hosts-foreign", http.StatusForbidden, "It was not sent by the page it belongs to")
	e.Away.Store(true)
	v.Open(v.page("tokens"))
	v.see("hosts-away", http.StatusServiceUnavailable, "The registry cannot check this right now.")
	e.Away.Store(false)
	v.Open(v.page("tokens"))
	e.Away.Store(true)
	v.Submit("Sign out", nil)
	v.see("hosts-not-ended", http.StatusServiceUnavailable, "This browser is signed out")
	e.Away.Store(false)
	v.Open(v.page("tokens"))
	v.Submit("Sign in", in)
	e.Advance(31 * time.Minute)
	v.Submit("Make the token", token)
	v.see("hosts-expired", http.StatusForbidden, "You are not signed in any more. Nothing was changed.")
	v.Submit("Sign in", in)
	require.Contains(v.t, v.Text(), "Signed in as eve")
}

// limits looks at a challenge of several changes, and at what the pages say after too many attempts.
func (v *visitor) limits(e *integration.Embedded) {
	v.t.Helper()
	v.Open(v.page("security"))
	v.Submit("Turn it on", map[string]string{"Password": integration.Password})
	app := integration.NewAuthenticator(v.t, v.Of("secret"))
	v.Submit("Turn it on", map[string]string{"Code of the app": app.At(e.Now())})
	require.Contains(v.t, v.Text(), "Two-factor authentication is on.")

	several := twofactor.NewChallenge{User: "eve", Name: "eve", Credential: "x", CredentialName: hostile, Action: protocol.Publish, UserAgent: hostile}
	for i, name := range []string{"gadget", longName, "widget"} {
		pkg, err := protocol.ParsePackageName(name)
		require.NoError(v.t, err)
		several.Items = append(several.Items, twofactor.Item{Package: pkg, Change: protocol.Digest{byte(i + 1)}, Words: []protocol.Line{{Label: "Publishes version", Text: hostile}}})
	}
	open := func() map[string]string {
		v.t.Helper()
		challenge, err := e.Factors().Challenge(v.t.Context(), several)
		require.NoError(v.t, err)
		v.Open(v.page("challenge/" + challenge.PageID))
		e.Advance(time.Minute)
		return map[string]string{"Second factor": app.At(e.Now())}
	}
	code := open()
	v.see("hosts-challenge-several", http.StatusOK, "Confirm this one, too")
	e.Lost.Store(true)
	v.Submit("Confirm", code)
	e.Lost.Store(false)
	v.see("hosts-unclear", http.StatusServiceUnavailable, "It is not known whether this was done")
	v.Submit("Confirm", open())
	v.see("hosts-challenge-several-confirmed", http.StatusOK, "The operation may go on.")

	v.Open(v.page("tokens"))
	for i := range 6 { // five of them end the session
		v.Submit("Make the token", map[string]string{"Name": "ci", "All packages": "yes", "Password": integration.Password, "Second factor": fmt.Sprintf("%06d", i)})
	}
	v.see("hosts-too-many-codes", http.StatusForbidden, "You are not signed in any more.")

	fresh := v.Private()
	fresh.ByKeyboard()
	fresh.Open(v.page("tokens"))
	for i := 0; fresh.Status() != http.StatusServiceUnavailable && i < 41; i++ { // as many are checked at most
		fresh.Submit("Sign in", map[string]string{"User name": "mallory", "Password": fmt.Sprint("not that one ", i)})
	}
	v.seeIn(fresh, "hosts-too-many", http.StatusServiceUnavailable, "There were too many")
}
