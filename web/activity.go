package web

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
)

// activity is the page of what happened to an account.
type activity struct{ *Pages }

const eventsPath = "-/auth/v1/events"

type eventAnswer struct {
	Time       time.Time         `json:"time"`
	Type       audit.Type        `json:"type"`
	Outcome    string            `json:"outcome"`
	By         string            `json:"by"`
	Addr       string            `json:"ip"`
	Credential string            `json:"credential"`
	Action     string            `json:"action"`
	Package    string            `json:"package"`
	Reasons    []string          `json:"reasons"`
	Detail     map[string]string `json:"detail"`
}

type eventsAnswer struct {
	Objects []eventAnswer `json:"objects"`
	URLs    struct {
		Next string `json:"next"`
	} `json:"urls"`
}

// A shownEvent is an event as the page shows it.
type shownEvent struct {
	What string
	When moment
	Addr string // "" is unknown
	More []eventFact
}

// An eventFact is one more thing that the page says of an event.
type eventFact struct{ Term, Text string }

// An eventList is what the page shows.
type eventList struct {
	Events []shownEvent
	Older  string // path of the next page, "" if there is none
	First  bool   // it is the page of the newest
}

func (a activity) show(ctx context.Context, c caller) (page, error) {
	path := eventsPath
	if c.r.URL.RawQuery != "" { // of Older
		path += "?" + c.r.URL.Query().Encode()
	}
	var list eventsAnswer
	if err := c.call(ctx, credential.Secret{}, http.MethodGet, path, nil, &list); err != nil {
		return page{}, err
	}
	all := eventList{First: c.r.URL.Query().Get("after") == ""}
	for _, one := range list.Objects {
		all.Events = append(all.Events, a.event(one, c.v.client.At))
	}
	if list.URLs.Next != "" {
		all.Older = c.v.path + "?" + query(list.URLs.Next)
	}
	return page{template: "activity.html", Title: "Activity", Data: all}, nil
}

// do refuses, since the page has no form.
func (a activity) do(context.Context, caller, url.Values) (shown, error) {
	return shown{}, errMalformed
}

// An eventText says what an event is: of what was done, and of what was refused. Without the second
// the first says it.
type eventText struct{ done, refused string }

// eventTexts has the texts of those types that an account's user is shown. Others are shown as they are.
var eventTexts = map[audit.Type]eventText{
	audit.Login:            {"Logged in", "Login refused"},
	audit.LoginApproved:    {"Login of a program approved", ""},
	audit.LoginRepeated:    {"Login ended, because two addresses fetched it", ""},
	audit.Logout:           {"Logged out", ""},
	audit.SignUp:           {"Account created", ""},
	audit.AccountOff:       {"Account disabled", ""},
	audit.AccountOn:        {"Account enabled", ""},
	audit.AccountRevoked:   {"All sessions and tokens revoked", ""},
	audit.AccountRanges:    {"Addresses changed from which the account can be used", ""},
	audit.AccountImpact:    {"Changed whether many depend on this account", ""},
	audit.AccountRecovered: {"Account recovered", ""},
	audit.Administrators:   {"Administrators changed", ""},
	audit.Password:         {"Password changed", "Change of the password refused"},
	audit.Profile:          {"Profile changed", ""},
	audit.TokenCreated:     {"Access token made", "Access token refused"},
	audit.FactorPending:    {"Two-factor authentication begun", ""},
	audit.FactorForgotten:  {"Two-factor authentication not confirmed, and given up", ""},
	audit.FactorEnrolled:   {"Two-factor authentication turned on", ""},
	audit.FactorAdded:      {"Security key added", ""},
	audit.FactorRemoved:    {"One of several second factors removed", ""},
	audit.FactorMode:       {"Changed what two-factor authentication is for", ""},
	audit.FactorDisabled:   {"Two-factor authentication turned off", ""},
	audit.FactorUsed:       {"Second factor used", "Second factor refused"},
	audit.FactorReplayed:   {"Second factor refused, because it was used before", ""},
	audit.FactorLocked:     {"Second factor locked after too many wrong codes", ""},
	audit.RecoveryUsed:     {"Recovery code used", ""},
	audit.PackageRules:     {"Publishing access of a package changed", ""},
	audit.ScopeRules:       {"Changed what holds for the packages of a scope", ""},
	audit.TrustAdded:       {"Trusted publisher added to a package", ""},
	audit.TrustRemoved:     {"Trusted publisher removed from a package", ""},
	audit.VersionStaged:    {"Version of a package staged", ""},
	audit.VersionApproved:  {"Staged version approved", ""},
	audit.VersionRejected:  {"Staged version rejected", ""},
	audit.Challenge:        {"Second factor asked for on a page", ""},
	audit.ChallengeYes:     {"Operation confirmed on its page", ""},
	audit.ChallengeNo:      {"Operation refused on its page", ""},
	audit.Collected:        {"Confirmed operation carried on", ""},
	audit.Leaked:           {"Reported as leaked, and revoked", ""},
}

// text returns what the event is.
func (e eventAnswer) text() string {
	switch {
	case e.Type == audit.SessionEnded && e.Credential == "":
		return "All sessions ended, or all but one"
	case e.Type == audit.SessionEnded:
		return "Session ended"
	case e.Type == audit.TokenRevoked && e.Credential == "":
		return "All access tokens revoked"
	case e.Type == audit.TokenRevoked:
		return "Access token revoked"
	case e.Type == audit.TrustAdded && e.Detail["scope"] != "":
		return "Trusted publisher added to a scope"
	case e.Type == audit.TrustRemoved && e.Detail["scope"] != "":
		return "Trusted publisher removed from a scope"
	}
	text, known := eventTexts[e.Type]
	switch {
	case !known:
		return printable(string(e.Type))
	case text.refused != "" && e.refused():
		return text.refused
	}
	return text.done
}

func (e eventAnswer) refused() bool { return e.Outcome != audit.Done.String() }

// eventDetails are the terms of an event's details, in the order of the page.
var eventDetails = []struct{ name, term string }{
	{"name", "Name"}, {"agent", "Program"}, {"asked_by", "Asked for by"}, {"asked_from", "Asked for from"}, {"approved_from", "Approved from"},
	{"collected_from", "Fetched before from"}, {"expires", "Expires"}, {"cidr", "Only from"}, {"replaces", "Replaces"}, {"changed", "Changed"},
	{"left", "Recovery codes left"}, {"source", "Reported by"}, {"url", "Found at"},
	{"repository", "Repository"}, {"workflow", "Workflow file"}, {"project_path", "Project"}, {"ci_config", "Pipeline file"}, {"environment", "Environment"},
	{"issuer", "Issuer"}, {"publishers", "How many"},
}

// eventReasons are the words for reasons that have some.
var eventReasons = map[string]string{
	"all": "all of them", "ended-by-user": "ended on purpose", "password": "the password was changed", "leaked": "it was reported as leaked", "logout": "log-out",
	"operator": "by those who run the registry", "too-many": "too many wrong codes", "locked": "too many wrong codes",
	"address": "two addresses", "transferred": "the package or scope got other owners", "account": "the account could not log in any more",
}

// event returns an event as the page shows it at now.
func (a activity) event(e eventAnswer, now time.Time) shownEvent {
	s := shownEvent{What: a.say(e.text()), When: moment{e.Time, now}, Addr: e.Addr}
	add := func(term, text string) {
		if text != "" {
			s.More = append(s.More, eventFact{a.say(term), printable(text)})
		}
	}
	words := func(term, text string) { add(term, a.say(text)) }
	switch {
	case e.By == "other":
		words("By", "another account, such as an administrator's")
	case e.By == "registry" && e.Addr == "":
		words("By", "the registry, or those who run it")
	}
	if via := e.Detail["via"]; via != "" {
		words("With", a.viaText(via))
	}
	add("To", strings.ReplaceAll(e.Action, "-", " "))
	add("Package", e.Package)
	for _, d := range eventDetails {
		add(d.term, e.Detail[d.name])
	}
	if e.Type == audit.TrustAdded || e.Type == audit.TrustRemoved {
		words("CI system", systemName(e.Detail["type"]))
		add("May", a.may(e.Detail["permissions"]))
	}
	switch e.Detail["form"] {
	case "totp":
		words("With", "a code of the authenticator app")
	case "recovery":
		words("With", "a recovery code")
	case "web", "typed":
		words("With", "a confirmation in the browser")
	}
	switch mode := e.Detail["mode"]; mode {
	case "auth-only":
		words("For", "logging in")
	case "auth-and-writes":
		words("For", "logging in and writing")
	default:
		add("For", mode)
	}
	if mode := e.Detail["publish"]; mode != "" {
		add("Publishing access", publishText(mode))
	}
	add("Scope", e.Detail["scope"])
	switch e.Detail["keys_only"] {
	case "true":
		words("Second factors", "only security keys count")
	case "false":
		words("Second factors", "every kind counts")
	}
	switch e.Detail["publishers_only"] {
	case "true":
		words("Publishing", "only by trusted publishers")
	case "false":
		words("Publishing", "not only by trusted publishers")
	}
	if e.Type == audit.PackageRules || e.Type == audit.ScopeRules {
		a.stagingFacts(e.Detail, add, words)
	}
	if e.Detail["bypass"] != "" {
		words("Second factor", "not asked for")
	}
	add("Session or token", e.Credential)
	for _, code := range e.Reasons {
		reason := eventReasons[code]
		if reason == "" {
			reason = strings.ReplaceAll(code, "-", " ")
		}
		words("Why", reason)
	}
	return s
}

// stagingFacts adds what an event says of staged versions: of a registry that has none, no more than that none
// are demanded.
func (a activity) stagingFacts(detail map[string]string, add, words func(term, text string)) {
	switch detail["stage_only"] {
	case "true":
		words("Staging", "each version is staged")
	case "false":
		words("Staging", "not demanded")
	}
	if n := detail["approvals"]; n != "1" {
		add("Approvals of a staged version", n)
	}
	if detail["other_approver"] == "true" {
		words("Approved by", "not by who staged it")
	}
}
