package web

import (
	"bytes"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/npmauth/npmauth/session"
)

// A page has all that a template may show. Everything in it is escaped by html/template; text
// that a client chose goes through [printable] before.
type page struct {
	Registry string
	Style    string // path of the style sheet
	Logo     string // path of the logo, "" if there is none
	Script   string // path of the script that copies and prints, "" if there is nothing to
	Keys     string // path of the script for security keys, "" if there are none
	Title    string
	Problem  string // why the form is shown once more
	Base     string // URL of the registry, of the index
	Security string // URL of the page where second factors are added, of an index where npm enrols none

	// Of a form.
	Action    string // where it is sent
	Token     string
	Name      string // of a user, as typed or as known
	Email     string // as typed
	CheckCode string
	SignUp    string // path of the page where to create an account; "" if nobody can
	Login     string // path of the login page that the visitor came from
	Requester requester
	Operation operation

	// Of a result.
	Text, Next string
	Back       string // path of a page to go back to, "" if there is none
	Done       bool   // what was to be approved is
	Code       string // typed code of an approved challenge
	Steps      []step

	// Of an account's page.
	Member                string // who is signed in; "": nobody
	Nav                   []navItem
	SignOut, SignOutToken string // where its form is sent, and with what
	Shown                 shown
	Factor                *factors // that the form takes; nil: none
	Offers                bool     // there are security keys, of whoever it is
	Here                  bool     // a challenge is for who is signed in
	Stay                  bool     // a browser can stay signed in
	SignInWith            string   // the host's own login; "": a password
	Fresh                 bool     // who is signed in has just been there
	Data                  any      // of the template

	images   bool       // it has some in itself
	creates  bool       // it makes security keys
	form     url.Values // that was not accepted
	template string
	wrong    string // Problem of a form that authenticated nobody
}

// An requester is the client that began what a page decides.
type requester struct {
	Addr      string
	Agent     string // "": unknown
	Elsewhere string // the visitor's IP address if it is another; "" if not
	Started   moment
	Expires   moment
}

// A moment is a time as a page shows it: in UTC, since a page without a script does not know the
// visitor's time zone, and how far it is from when the page was loaded, which all clocks share.
type moment struct{ at, now time.Time }

// Machine and Text return the time.
func (m moment) Machine() string { return m.at.UTC().Format(time.RFC3339) }
func (m moment) Text() string    { return m.at.UTC().Format("2 January 2006, 15:04:05 UTC") }

// Distance returns "in 4 minutes", "2 hours ago" or "now", in the largest unit of which there is
// one. The rest is cut off, but of days: a token of thirty is not one of twenty-nine.
func (m moment) Distance() string {
	d := m.at.Sub(m.now)
	n, unit := int64(d.Abs()/time.Minute), "minute"
	switch {
	case n == 0:
		return "now"
	case n >= 48*60:
		n, unit = (n+12*60)/(24*60), "day"
	case n >= 60:
		n, unit = n/60, "hour"
	}
	text := fmt.Sprintf("%d %s", n, unit)
	if n != 1 {
		text += "s"
	}
	if d < 0 {
		return text + " ago"
	}
	return "in " + text
}

func newRequester(addr netip.Addr, agent string, started, expires time.Time, visitor session.Client) requester {
	a := requester{Addr: "unknown", Agent: printable(agent), Started: moment{started, visitor.At}, Expires: moment{expires, visitor.At}}
	addr, here := addr.Unmap().WithZone(""), visitor.Addr.Unmap().WithZone("")
	if addr.IsValid() {
		a.Addr = addr.String()
	}
	if addr != here && here.IsValid() && !(addr.IsLoopback() && here.IsLoopback()) { // one machine has several
		a.Elsewhere = here.String()
	}
	return a
}

// printable returns s without characters that a browser would not show.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !shows(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// shows reports whether a browser shows r. It does not show controls, the marks that change the direction of text and
// make one word appear as another, fillers, and what selects the form of the character before it.
func shows(r rune) bool {
	const brailleBlank = '\u2800'
	return unicode.IsPrint(r) && r != brailleBlank && !unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// Value returns what a form that was not accepted had in a field, and otherwise usual.
func (pg page) Value(field, usual string) string {
	if pg.form == nil {
		return usual
	}
	return printable(pg.form.Get(field))
}

// Checked reports whether a box was ticked in a form that was not accepted.
func (pg page) Checked(field string) bool { return pg.form.Get(field) != "" }

// A proof is the field of a second factor.
type proof struct {
	ID, To   string // of the field; what it is for, "" is what the form is for
	ReadOnly bool   // a recovery code is enough for what only reads
	factors
}

// Proof returns the field for what the account has, with that ID. Where recovery is not "yes", a recovery
// code is not enough, and where it is "read" only for what reads.
func (pg page) Proof(id, to, recovery string) proof {
	f := proof{ID: id, To: to, ReadOnly: recovery == "read"}
	if pg.Factor != nil {
		f.factors = *pg.Factor
	}
	f.Recovery = f.Recovery && recovery == "yes"
	return f
}

// Groups returns the typed code in groups of four.
func (pg page) Groups() []string {
	var groups []string
	for rest := pg.Code; rest != ""; {
		n := min(4, len(rest))
		groups, rest = append(groups, rest[:n]), rest[n:]
	}
	return groups
}

// The pages that are the same for everyone.
var (
	gone = page{
		template: "result.html", Title: "There is nothing to decide here",
		Text: "This address is incomplete, or its few minutes are over.",
		Next: "Run the command again: it gives you a new address.",
	}
	noThing = page{
		template: "result.html", Title: "There is no such page",
		Text: "What it was about has ended, was decided, or was never there.",
	}
	noSignUp = page{
		template: "result.html", Title: "Nobody can sign up here",
		Text: "This registry does not let people create accounts by themselves.",
		Next: "Ask those who run it for one.",
	}
	notSignedIn = page{
		template: "result.html", Title: "You are not signed in",
		Text: "Nobody signed in, or it took too long, or it began in another browser.",
		Next: "Go back to the page from which you came, and begin anew.",
	}
	notEnded = page{
		template: "result.html", Title: "This browser is signed out",
		Text: "The registry could not end the session itself right now. It ends by itself when its time is over.",
		Next: "To end it sooner, sign in later, and end it in the list of your sessions.",
	}
	foreign = page{
		template: "result.html", Title: "The form was not accepted",
		Text: "It was not sent by the page it belongs to, or the browser keeps no cookies. Nothing was changed.",
		Next: "Open the page again, and fill in the form there.",
	}
	malformed = page{
		template: "result.html", Title: "The form was not accepted",
		Text: "The form does not belong to this page. Nothing was changed.",
		Next: "Open the page again, and fill in the form there.",
	}
	badMethod = page{
		template: "result.html", Title: "The request was not accepted",
		Text: "Open this page in a browser.",
	}
	busy = page{
		template: "result.html", Title: "Not at the moment",
		Text: "The registry cannot check this right now. Nothing was changed.",
		Next: "Wait a few seconds. Then load this page again, or go back and send the form again.",
	}
	// The change may have happened.
	unclear = page{
		template: "result.html", Title: "It is not known whether this was done",
		Text: "The registry lost the connection to its database while it handled your form.",
		Next: "If the program does not continue, run the command again: it gives you a new address.",
	}
)

// write answers with pg.
func (p *Pages) write(w http.ResponseWriter, status int, pg page) {
	pg.Registry, pg.Style, pg.Name = p.cfg.Name, p.pathOf(styleFile), printable(pg.Name)
	pg.Email = printable(pg.Email)
	if len(p.design.look.Logo) > 0 {
		pg.Logo = p.pathOf(logoFile)
	}
	if pg.Code != "" || pg.images || pg.Shown.Token != "" || len(pg.Shown.Recovery) > 0 {
		pg.Script = p.pathOf(scriptFile)
	}
	if (pg.Offers || pg.Factor != nil && pg.Factor.Keys || pg.creates) && pg.Token != "" {
		pg.Keys = p.pathOf(keysFile)
	}
	for _, text := range []*string{&pg.Title, &pg.Problem, &pg.Text, &pg.Next, &pg.Shown.Done} {
		*text = p.say(*text)
	}
	var body bytes.Buffer
	if err := p.design.templates[pg.template].ExecuteTemplate(&body, "page", pg); err != nil {
		panic(err) // New has tried the template
	}
	w.Header().Set("Content-Security-Policy", p.policyOf(pg))
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes()) // an error means that the browser has disconnected
}
