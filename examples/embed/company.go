package main

import (
	"crypto/rand"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/web"
)

// A company is a stub of a company's login, at an address of its own: it believes whoever says who
// they are. A real one is an OpenID provider, for which a library does what signIn does here.
type company struct {
	origin string // of the login
	back   string // where it sends people back to
	app    *app

	mu    sync.Mutex
	codes map[string]string // name of who has signed in, by a code that is good once; guarded by mu
}

// newCompany returns a company's login at origin for the app's people, of the registry at base.
func newCompany(a *app, origin, base string) *company {
	return &company{origin: origin, back: base + "-/auth/signin", app: a, codes: map[string]string{}}
}

// signIn is for npmauth.Config.SignIn.
func (c *company) signIn() *web.SignIn {
	return &web.SignIn{
		Name: "Acme", Origin: c.origin,
		Begin: func(w http.ResponseWriter, r *http.Request, state string) {
			http.Redirect(w, r, c.origin+"/authorize?"+url.Values{"state": {state}}.Encode(), http.StatusSeeOther)
		},
		Finish: func(r *http.Request) (state string, user session.User, err error) {
			name, ok := c.redeem(r.FormValue("code"))
			if !ok {
				return "", session.User{}, session.ErrDenied
			}
			known, err := users{app: c.app}.Lookup(r.Context(), name)
			if err != nil || known.Disabled {
				return "", session.User{}, session.ErrDenied
			}
			return r.FormValue("state"), session.User{ID: known.ID, Name: known.Name}, nil
		},
	}
}

// redeem returns who has signed in with a code, once.
func (c *company) redeem(code string) (name string, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	name, ok = c.codes[code]
	delete(c.codes, code)
	return name, ok
}

var companyPage = template.Must(template.New("").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Acme</title>
<form method="post">
<label>Who are you? <input name="name" autocomplete="username" required></label>
<button>Sign in</button>
</form>
`))

// ServeHTTP is the login itself.
func (c *company) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/authorize" {
		http.NotFound(w, r)
		return
	}
	name := strings.TrimSpace(r.PostFormValue("name"))
	if r.Method != http.MethodPost || !c.knows(name) {
		if err := companyPage.Execute(w, nil); err != nil {
			fmt.Println(err)
		}
		return
	}
	code := rand.Text()
	c.mu.Lock()
	c.codes[code] = name
	c.mu.Unlock()
	http.Redirect(w, r, c.back+"?"+url.Values{"code": {code}, "state": {r.FormValue("state")}}.Encode(), http.StatusSeeOther)
}

func (c *company) knows(name string) bool {
	c.app.mu.Lock()
	defer c.app.mu.Unlock()
	return slices.ContainsFunc(c.app.people, func(p person) bool { return p.name == name && !p.left })
}
