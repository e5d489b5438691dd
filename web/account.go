package web

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/internal/typed"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/subject"
	"github.com/npmauth/npmauth/twofactor"
)

// An accountPage is a page of who is signed in. Its ID, if it has one, is that of what it is about.
type accountPage interface {
	// show returns the page. It changes nothing.
	show(ctx context.Context, c caller) (page, error)
	// do carries out what the form asks for, and returns what the page shows then.
	do(ctx context.Context, c caller, form url.Values) (shown, error)
}

// shown is what a page shows after a form was accepted, the first time that it is loaded. It has
// what nobody sees again.
type shown struct {
	Done     string   `json:"done,omitempty"` // in a sentence
	Token    string   `json:"token,omitempty"`
	Recovery []string `json:"recovery,omitempty"`
	URI      string   `json:"uri,omitempty"`     // of an authenticator app, until it is confirmed
	Package  string   `json:"package,omitempty"` // that the page is about
	Org      string   `json:"org,omitempty"`     // or else the organization
	// Decided is what became of staged versions.
	Decided []shownDecision `json:"decided,omitempty"`
	// Leave is the path segment of the page to go to, where this one has nothing left to show.
	Leave string `json:"-"`
	// Read is what the page shows at once, of a form that changed nothing. It is in no cookie. Nil: the
	// form changed something.
	Read any `json:"-"`
}

// once reports whether there is something that is shown the first time only.
func (s shown) once() bool { return s.Done != "" && s.URI == "" }

// A navItem is a link to one of the pages.
type navItem struct {
	Text, Path string
	Here       bool
}

// accountPages are in the order of the navigation.
var accountPages = []struct {
	segment, text string
	ids           string // of the pages of single things, "" if there are none
	of            func(*Pages) accountPage
	offered       func(Config) bool // nil: always
}{
	{"tokens", "Access tokens", "<key>", func(p *Pages) accountPage { return tokens{p} }, nil},
	{"packages", "Packages", "", func(p *Pages) accountPage { return packages{p} }, nil},
	{trustSegment, "Trusted publishers", "", func(p *Pages) accountPage { return trusted{p} }, func(cfg Config) bool { return len(cfg.Issuers) > 0 }},
	{stagedSegment, "Staged versions", "<ID>", func(p *Pages) accountPage { return staged{p} }, func(cfg Config) bool { return cfg.Staging }},
	{"orgs", "Organizations", "", func(p *Pages) accountPage { return orgs{p} }, func(cfg Config) bool { return cfg.Orgs }},
	{"sessions", "Sessions", "", func(p *Pages) accountPage { return sessions{p} }, nil},
	{"activity", "Activity", "", func(p *Pages) accountPage { return activity{p} }, func(cfg Config) bool { return cfg.Events }},
	{"security", "Security", "", func(p *Pages) accountPage { return security{p} }, nil},
	{"profile", "Profile", "", func(p *Pages) accountPage { return profile{p} }, nil},
}

// accountRoutes returns the routes of the accountPages.
func accountRoutes() (all []route) {
	for _, a := range accountPages {
		rt := route{"GET, POST", a.segment, func(cfg Config) bool { return cfg.API != nil && (a.offered == nil || a.offered(cfg)) },
			func(p *Pages, w http.ResponseWriter, r *http.Request, v visit) { p.serveAccount(w, r, a.of(p), v) }}
		all = append(all, rt)
		if a.ids != "" {
			rt.path += "/" + a.ids
			all = append(all, rt)
		}
	}
	return all
}

func (p *Pages) pathOf(segment string) string { return p.prefix + "/-/auth/" + segment }

// navigation returns the links to the account's pages.
func (p *Pages) navigation(v visit) (items []navItem) {
	for _, a := range accountPages {
		if a.offered == nil || a.offered(p.cfg) {
			items = append(items, navItem{p.say(a.text), p.pathOf(a.segment), a.segment == v.kind && v.id == ""})
		}
	}
	return items
}

// serveAccount serves one of the account's pages, or the form for signing in in its place: no
// address of a page is passed on.
func (p *Pages) serveAccount(w http.ResponseWriter, r *http.Request, a accountPage, v visit) {
	if err := p.recognise(w, r, &v); err != nil {
		p.refuse(w, r, err)
		return
	}
	if r.Method == http.MethodPost {
		p.doAccount(w, r, a, v)
		return
	}
	p.showAccount(w, r, a, v, nil, http.StatusOK, "")
}

// recognise sets the member of v, and the cookies that follow.
func (p *Pages) recognise(w http.ResponseWriter, r *http.Request, v *visit) error {
	m, cookie, err := p.memberOf(r.Context(), r, v.client)
	if err != nil {
		return err
	}
	if cookie != nil {
		http.SetCookie(w, cookie)
	}
	v.member = m
	return nil
}

// showAccount answers with the page, and after a form that was not accepted with what it had, unless
// that is nil, and with the problem.
func (p *Pages) showAccount(w http.ResponseWriter, r *http.Request, a accountPage, v visit, form url.Values, status int, problem string) {
	pg, err := p.accountPage(r, a, v)
	if errors.Is(err, errSignedOut) {
		http.SetCookie(w, p.newCookie(p.memberName(), "", -1))
		v.member = nil
		pg, err = p.signInPage(v), nil
	}
	cookie := p.giveCookie(w, r)
	if err == nil {
		pg.Token, err = p.token(r.Context(), v, cookie)
	}
	if err == nil {
		err = p.frame(r.Context(), &pg, v, cookie)
	}
	if err != nil {
		p.refuseAccount(w, r, v, err)
		return
	}
	if problem == "" && r.Method == http.MethodGet && pg.Shown.once() { // not before there is a page that shows it
		http.SetCookie(w, p.dropOutcome(v))
	}
	pg.form, pg.Problem = form, problem
	if pg.Name == "" {
		pg.Name = form.Get("name")
	}
	p.write(w, status, pg)
}

func (p *Pages) accountPage(r *http.Request, a accountPage, v visit) (page, error) {
	if v.member == nil {
		return p.signInPage(v), nil
	}
	text, err := p.outcome(r.Context(), r, v)
	if err != nil {
		return page{}, err
	}
	var s shown
	if text != "" {
		_ = json.Unmarshal([]byte(text), &s) // it is sealed: ours
	}
	if v.shown.Read != nil {
		s = v.shown
	}
	v.shown = s
	pg, err := a.show(r.Context(), caller{p, r, v, false})
	if err != nil {
		return page{}, err
	}
	pg.Shown, pg.Action = s, v.path
	return pg, nil
}

// frame fills in what all pages have where somebody is signed in. cookie is the browser's.
func (p *Pages) frame(ctx context.Context, pg *page, v visit, cookie string) (err error) {
	pg.SignInWith = p.cfg.SignIn.name()
	if v.member == nil {
		return nil
	}
	pg.Fresh = v.member.Fresh(v.client.At)
	pg.Member, pg.Nav, pg.SignOut = v.member.Name, p.navigation(v), p.pathOf(signOutSegment)
	pg.SignOutToken, err = p.token(ctx, visit{kind: signOutSegment}, cookie)
	return err
}

// signInPage is the form for signing in, in the place of the page of v.
func (p *Pages) signInPage(v visit) page {
	pg := page{template: "signin.html", Title: p.say("Sign in to %s", p.cfg.Name), Action: v.path, Offers: p.cfg.Factors.OffersKeys()}
	if p.cfg.SignUp != nil {
		pg.SignUp = p.pathOf(signUpSegment)
	}
	return pg
}

// doAccount answers a form.
func (p *Pages) doAccount(w http.ResponseWriter, r *http.Request, a accountPage, v visit) {
	form, err := p.readForm(w, r, v)
	if errors.Is(err, errElse) {
		p.showAccount(w, r, a, v, nil, http.StatusForbidden, v.elseProblem())
		return
	}
	if err != nil {
		p.refuse(w, r, err)
		return
	}
	if form.Get("decision") == "sign-in" {
		if p.cfg.SignIn == nil && asksKey(form) {
			p.signInOptions(w, r, v, form)
			return
		}
		if p.cfg.SignIn != nil {
			p.beginSignIn(w, r, v)
			return
		}
		p.signIn(w, r, a, v, form)
		return
	}
	if v.member == nil {
		p.showAccount(w, r, a, v, nil, http.StatusForbidden, signedOut)
		return
	}
	if p.cfg.SignIn != nil {
		form.Del("password") // it counts for nothing there, see [SignIn]
	}
	c := caller{p, r, v, asksKey(form)}
	aead, err := p.outcomeKey(r.Context())
	if err != nil {
		p.refuse(w, r, err)
		return
	}
	s, err := a.do(r.Context(), c, form)
	var refused *apiError
	var problem problemError
	switch {
	case err != nil && c.asksKey:
		p.answerKey(w, r, v, nil, err, "")
	case err == nil && s.Read != nil:
		v.shown = s
		p.showAccount(w, r, a, v, nil, http.StatusOK, "")
	case err == nil:
		text, err := json.Marshal(s)
		if err != nil {
			p.refuse(w, r, err)
			return
		}
		if s.Leave != "" {
			v = visit{kind: s.Leave, path: p.pathOf(s.Leave), member: v.member}
		}
		http.SetCookie(w, p.carry(aead, v, string(text)))
		p.seeOther(w, v)
	case errors.Is(err, errSignedOut):
		http.SetCookie(w, p.newCookie(p.memberName(), "", -1))
		v.member = nil
		p.showAccount(w, r, a, v, nil, http.StatusForbidden, signedOut)
	case errors.As(err, &problem):
		p.showAccount(w, r, a, v, form, http.StatusUnprocessableEntity, string(problem))
	case errors.As(err, &refused):
		status := refused.status
		if status == http.StatusUnauthorized {
			status = http.StatusForbidden // see package documentation
		}
		if refused.retry != "" {
			w.Header().Set("Retry-After", refused.retry)
		}
		sentence := refused.sentence
		if refused.factor && form.Get("only") == "key" && form.Get("key") == "" {
			sentence = noKey
		}
		p.showAccount(w, r, a, v, form, status, sentence)
	default:
		p.refuse(w, r, err)
	}
}

// refuseAccount answers where not even the page can be shown.
func (p *Pages) refuseAccount(w http.ResponseWriter, r *http.Request, v visit, err error) {
	switch refused, _ := errors.AsType[*apiError](err); {
	case errors.Is(err, errGone):
		pg := noThing
		pg.Back = p.pathOf(v.kind)
		p.write(w, http.StatusNotFound, pg)
	case refuses(err):
		p.write(w, http.StatusForbidden, page{template: "result.html", Title: "This cannot be shown", Text: refused.sentence, Back: p.pathOf("")})
	default:
		p.refuse(w, r, err)
	}
}

const (
	noKey      = "This takes a security key and your browser sent none. Security keys work only with JavaScript."
	signedOut  = "You are not signed in any more. Nothing was changed."
	signedAnew = "Since you opened this page, somebody has signed in in this browser. Nothing was changed."
)

// elseProblem is what is wrong with a form that was not given to who is signed in now.
func (v visit) elseProblem() string {
	if v.member == nil {
		return signedOut
	}
	return signedAnew
}

// errGone means that there is no such thing as the page's ID names.
var errGone = errors.New("web: the page is about nothing that there is")

// signIn signs in who has filled in the form.
func (p *Pages) signIn(w http.ResponseWriter, r *http.Request, a accountPage, v visit, form url.Values) {
	aead, err := p.key(r.Context(), "web: member")
	if err != nil {
		p.refuse(w, r, err)
		return
	}
	in := p.presented(v, typed.Line(form.Get("name")), form)
	in.Via, in.Page = "browser", p.signInPlace(r)
	secret, _, err := p.cfg.Sessions.SignIn(r.Context(), in)
	wait, waits := errors.AsType[*subject.WaitError](err)
	was := v.member
	v.member = nil // whoever it was
	switch {
	case err == nil:
		p.replace(r, v, was)
		http.SetCookie(w, p.memberCookie(aead, secret, v.client.At))
		http.SetCookie(w, p.browserCookie(v))
		p.seeOther(w, v)
	case wrong(err):
		problem := used(err, v.client.At)
		if problem == "" {
			problem = wrongSignIn
		}
		p.showAccount(w, r, a, v, form, http.StatusForbidden, problem)
	case waits:
		w.Header().Set("Retry-After", strconv.Itoa(wait.RetryAfter()))
		status, _, sentence := wait.Answer()
		p.showAccount(w, r, a, v, form, status, sentence)
	default:
		p.refuse(w, r, err)
	}
}

// replace ends the session of was, in whose place somebody has signed in to the browser of v: otherwise to sign out would leave it
// behind. One that cannot be ended does so by itself.
func (p *Pages) replace(r *http.Request, v visit, was *member) {
	if was == nil {
		return
	}
	v.member = was
	if err := (caller{p, r, v, false}).signOut(r.Context()); err != nil && !errors.Is(err, errSignedOut) {
		p.cfg.Report(r, err)
	}
}

// signOut ends the session of the caller.
func (c caller) signOut(ctx context.Context) error {
	return c.call(ctx, credential.Secret{}, http.MethodDelete, "-/user/token/"+url.PathEscape(c.v.member.secret.Reveal()), nil, nil)
}

// wrongSignIn is one sentence for every reason.
const wrongSignIn = "The user name, the password or the second factor is wrong. If the account has a second factor, it cannot be left empty. " +
	"After too many wrong codes wait for some minutes, or use a recovery code."

// signOutSegment is the path segment that the form for signing out is sent to.
const signOutSegment = "signout"

// serveSignOut ends the session of the browser. The browser forgets it also where it cannot be ended:
// whoever uses the browser next must not go on with it.
func (p *Pages) serveSignOut(w http.ResponseWriter, r *http.Request, v visit) {
	if _, err := p.readForm(w, r, visit{kind: signOutSegment}); err != nil {
		p.refuse(w, r, err)
		return
	}
	var err error
	if v.member, _, err = p.memberOf(r.Context(), r, v.client); v.member != nil {
		err = caller{p, r, v, false}.signOut(r.Context())
	}
	http.SetCookie(w, p.newCookie(p.memberName(), "", -1))
	if err != nil && !errors.Is(err, errSignedOut) {
		p.cfg.Report(r, err)
		p.write(w, http.StatusServiceUnavailable, notEnded)
		return
	}
	w.Header().Set("Location", p.pathOf(""))
	w.WriteHeader(http.StatusSeeOther)
}

// factor returns npm's name of what the second factor of the caller's account is for, "" if there is
// none, and whether it waits for its first code.
func (c caller) factor(ctx context.Context) (mode string, pending bool, err error) {
	var user userAnswer
	if err := c.call(ctx, credential.Secret{}, http.MethodGet, "-/npm/v1/user", nil, &user); err != nil {
		return "", false, err
	}
	if user.TFA == nil {
		return "", false, nil
	}
	return user.TFA.Mode, user.TFA.Pending, nil
}

// A userAnswer is that of GET /-/npm/v1/user.
type userAnswer struct {
	Name     string `json:"name"`
	Email    string `json:"email"`
	FullName string `json:"fullname"`
	Homepage string `json:"homepage"`
	Freenode string `json:"freenode"`
	Twitter  string `json:"twitter"`
	GitHub   string `json:"github"`
	TFA      *struct {
		Mode    string `json:"mode"`
		Pending bool   `json:"pending"`
	} `json:"tfa"`
	Created time.Time `json:"created"`
}

// factors are what an account has of second factors.
type factors struct{ App, Keys, Recovery bool }

// A factorsAnswer is that of GET /-/auth/v1/factors.
type factorsAnswer struct {
	Objects []struct {
		ID      string    `json:"id"`
		Type    string    `json:"type"`
		Name    string    `json:"name"`
		Created time.Time `json:"created"`
		Used    time.Time `json:"used"`
		Synced  bool      `json:"synced"`
	} `json:"objects"`
	RecoveryCodes int             `json:"recovery_codes"`
	KeysOnly      bool            `json:"keys_only"`
	Registration  json.RawMessage `json:"registration"`
}

// factors returns what the account has, nil if it has none.
func (a factorsAnswer) factors() *factors {
	if len(a.Objects) == 0 {
		return nil
	}
	f := &factors{Recovery: a.RecoveryCodes > 0}
	for _, o := range a.Objects {
		f.App, f.Keys = f.App || o.Type == protocol.FactorApp, f.Keys || o.Type == protocol.FactorKey
	}
	return f
}

const factorsPath = "-/auth/v1/factors"

// hasFactor returns the second factors that a form asks for, nil if it asks for none.
func (c caller) hasFactor(ctx context.Context) (*factors, error) {
	var list factorsAnswer
	if err := c.call(ctx, credential.Secret{}, http.MethodGet, factorsPath, nil, &list); err != nil {
		return nil, err
	}
	return list.factors(), nil
}

// codeIn returns the second factor in a form: what a security key has signed, or what was typed.
func codeIn(form url.Values) credential.Secret {
	if asksKey(form) {
		return credential.Secret{}
	}
	if key := form.Get("key"); key != "" {
		return twofactor.KeyValue([]byte(key))
	}
	return credential.NewSecret(typed.Code(form.Get("code")))
}
