package web

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/npmauth/npmauth/credential"
)

// tokens are the pages of an account's access tokens: of all of them, or of the one that the ID
// names.
type tokens struct{ *Pages }

// tokensPath is the address of npm's API for them.
const tokensPath = "-/npm/v1/tokens"

// A tokenAnswer is a token as the API lists it.
type tokenAnswer struct {
	Key         string     `json:"key"`
	Hint        string     `json:"token"`
	Name        string     `json:"name"`
	Description string     `json:"description"`
	Created     time.Time  `json:"created"`
	Expires     time.Time  `json:"expires"`
	Accessed    *time.Time `json:"accessed"`
	Bypass      bool       `json:"bypass_2fa"`
	CIDRs       []string   `json:"cidr"`
	Permissions []struct {
		Name   string `json:"name"`
		Action string `json:"action"`
	} `json:"permissions"`
	Scopes []struct {
		Type string `json:"type"`
		Name string `json:"name"`
	} `json:"scopes"`
	Verbs      []string `json:"verbs"`
	Replaces   *string  `json:"replaces"`
	ReplacedBy *string  `json:"replaced_by"`
}

type tokensAnswer struct {
	Objects []tokenAnswer `json:"objects"`
	Total   int           `json:"total"`
	URLs    struct {
		Next string `json:"next"`
	} `json:"urls"`
}

// A shownToken is a token as a page shows it.
type shownToken struct {
	Key, Name, Hint, Description string
	Path                         string // of its own page
	Access                       []string
	Verbs, CIDRs                 string
	Bypass                       bool
	Created, Expires             moment
	Used                         *moment // nil: never
	Replaced                     bool    // there is a newer one in its place
}

// A tokenList is what the page of all tokens shows.
type tokenList struct {
	Tokens []shownToken
	Total  int
	Next   string // path of the next page, "" if there is none
}

func (t tokens) show(ctx context.Context, c caller) (page, error) {
	if c.v.id != "" {
		return t.showOne(ctx, c)
	}
	var list tokensAnswer
	path := tokensPath
	if c.r.URL.RawQuery != "" { // of Next
		path += "?" + c.r.URL.Query().Encode()
	}
	if err := c.call(ctx, credential.Secret{}, http.MethodGet, path, nil, &list); err != nil {
		return page{}, err
	}
	factor, err := c.hasFactor(ctx)
	if err != nil {
		return page{}, err
	}
	all := tokenList{Total: list.Total}
	for _, one := range list.Objects {
		all.Tokens = append(all.Tokens, t.shown(one, c.v))
	}
	if list.URLs.Next != "" {
		all.Next = c.v.path + "?" + query(list.URLs.Next)
	}
	return page{template: "tokens.html", Title: "Access tokens", Factor: factor, Data: all}, nil
}

// showOne shows a token by itself. The API has no request for one.
func (t tokens) showOne(ctx context.Context, c caller) (page, error) {
	one, err := t.find(ctx, c)
	if err != nil {
		return page{}, err
	}
	factor, err := c.hasFactor(ctx)
	if err != nil {
		return page{}, err
	}
	return page{template: "token.html", Title: t.say("Access token %s", cmp.Or(printable(one.Name), one.Hint)), Factor: factor, Data: t.shown(one, c.v)}, nil
}

func (t tokens) find(ctx context.Context, c caller) (tokenAnswer, error) {
	for path := tokensPath; ; {
		var list tokensAnswer
		if err := c.call(ctx, credential.Secret{}, http.MethodGet, path, nil, &list); err != nil {
			return tokenAnswer{}, err
		}
		for _, one := range list.Objects {
			if one.Key == c.v.id {
				return one, nil
			}
		}
		if list.URLs.Next == "" {
			return tokenAnswer{}, errGone
		}
		path = tokensPath + "?" + query(list.URLs.Next)
	}
}

func (t tokens) shown(one tokenAnswer, v visit) shownToken {
	at := func(when time.Time) moment { return moment{when, v.client.At} }
	s := shownToken{
		Key: one.Key, Name: printable(one.Name), Hint: one.Hint, Description: printable(one.Description), Path: t.pathOf("tokens") + "/" + one.Key,
		Bypass: one.Bypass, Created: at(one.Created), Expires: at(one.Expires), Verbs: strings.Join(one.Verbs, ", "), CIDRs: strings.Join(one.CIDRs, ", "),
		Replaced: one.ReplacedBy != nil,
	}
	if one.Accessed != nil {
		used := at(*one.Accessed)
		s.Used = &used
	}
	for _, permission := range one.Permissions {
		var names []string
		for _, scope := range one.Scopes {
			if (scope.Type == "org") == (permission.Name == "org") {
				names = append(names, printable(scope.Name))
			}
		}
		if len(names) == 0 {
			continue
		}
		what := "packages"
		if permission.Name == "org" {
			what = "organizations"
		}
		if slices.Equal(names, []string{"*"}) {
			names = []string{"all"}
		}
		s.Access = append(s.Access, fmt.Sprintf("%s: %s, %s", what, strings.Join(names, ", "), strings.ReplaceAll(permission.Action, "-", " ")))
	}
	return s
}

func (t tokens) do(ctx context.Context, c caller, form url.Values) (shown, error) {
	decision, key, _ := strings.Cut(form.Get("decision"), ":")
	if c.v.id != "" {
		key = c.v.id
	}
	switch {
	case decision == "create" && c.v.id == "":
		return t.create(ctx, c, form)
	case decision == "revoke" && validID(key):
		if err := c.call(ctx, codeIn(form), http.MethodDelete, tokensPath+"/token/"+key, nil, nil); err != nil {
			return shown{}, err
		}
		return shown{Done: "The token is revoked: it works no more.", Leave: "tokens"}, nil
	case decision == "rotate" && c.v.id != "":
		return t.rotate(ctx, c, form)
	}
	return shown{}, errMalformed
}

// create makes a token of what the form says. What the rules do not allow the API refuses.
func (t tokens) create(ctx context.Context, c caller, form url.Values) (shown, error) {
	body := map[string]any{"password": form.Get("password"), "name": strings.TrimSpace(form.Get("name"))}
	if text := strings.TrimSpace(form.Get("description")); text != "" {
		body["description"] = text
	}
	for field, name := range map[string]string{"packages": "packages", "scopes": "scopes", "orgs": "orgs", "cidr": "cidr_whitelist"} {
		if list := words(form.Get(field)); len(list) > 0 {
			body[name] = list
		}
	}
	if form.Get("all") != "" {
		body["packages_all"] = true
	}
	if body["packages"] != nil || body["scopes"] != nil || body["packages_all"] != nil {
		body["packages_and_scopes_permission"] = form.Get("permission")
	}
	if body["orgs"] != nil {
		body["orgs_permission"] = form.Get("org-permission")
	}
	var verbs []string
	for _, verb := range tokenVerbs {
		if form.Get("verb-"+verb) != "" {
			verbs = append(verbs, verb)
		}
	}
	if verbs != nil {
		body["verbs"] = verbs
	}
	if text := strings.TrimSpace(form.Get("days")); text != "" {
		days, err := strconv.Atoi(text)
		if err != nil {
			return shown{}, problemError("Say in how many days the token expires, in digits.")
		}
		body["expires"] = days
	}
	if form.Get("bypass") != "" {
		body["bypass_2fa"] = true
	}
	var made tokenAnswer
	if err := c.call(ctx, codeIn(form), http.MethodPost, tokensPath, body, &made); err != nil {
		return shown{}, err
	}
	return shown{Done: "The token is made.", Token: made.Hint}, nil
}

// tokenVerbs are what read and write may be narrowed to.
var tokenVerbs = []string{"publish", "dist-tag", "deprecate", "unpublish", "create"}

// rotate makes a new secret for the token.
func (t tokens) rotate(ctx context.Context, c caller, form url.Values) (shown, error) {
	body := map[string]any{"password": form.Get("password")}
	for field, name := range map[string]string{"grace": "grace", "days": "expires"} {
		text := strings.TrimSpace(form.Get(field))
		if text == "" {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil {
			return shown{}, problemError("Hours and days are numbers, in digits.")
		}
		body[name] = n
	}
	var made tokenAnswer
	if err := c.call(ctx, codeIn(form), http.MethodPost, "-/auth/v1/tokens/"+c.v.id+"/rotate", body, &made); err != nil {
		return shown{}, err
	}
	return shown{Done: "The token has a new secret.", Token: made.Hint, Leave: "tokens"}, nil
}

// words returns what is between spaces, commas and line ends.
func words(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' || r == '\r' || r == '\t' })
}

// Verbs returns the verbs that the form offers.
func (tokenList) Verbs() []string { return tokenVerbs }
