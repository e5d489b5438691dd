package web

import (
	"cmp"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/npmauth/npmauth/internal/typed"
	"github.com/npmauth/npmauth/trust"
)

// A ciSystem is one for which the page has a form: the issuers of a kind, or a single issuer of kind
// custom, whose publishers name claims of its own.
type ciSystem struct {
	Key    string // in a URL and in a form: the kind, or the issuer's URL
	Name   string // that people read
	kind   trust.Kind
	issuer string // of kind custom
	fields []trustField
}

// A trustField is a field of a publisher, in a form and in a list.
type trustField struct {
	Name     string // of the input: what the API calls it
	Label    string
	Hint     string
	Usual    string   // value of a new form
	Options  []string // nil: a person types it
	Box      bool     // it is true or false
	Required bool
	More     bool // few need it

	at    []string // where it is in the API's JSON
	list  bool     // several, with commas
	exact bool     // it is compared as it is
	title bool     // it names the publisher
	fact  string   // what a list says of a box that is ticked
	none  string   // what a list says where there is none; "": nothing
}

const (
	anyEnvironment = "any, or none"
	firstID        = "that of the first job that matches"
	firstIDHint    = "A number. Empty means that of the first job that matches, and from then on no other."
	allRefs        = "all"
	protectedRefs  = "only protected ones"
	gitHubEvents   = "push, release, workflow_dispatch, schedule, repository_dispatch"
	gitLabEvents   = "push, web, schedule, api, trigger"
)

// protectedField is of GitHub and GitLab.
var protectedField = trustField{
	Name: "ref_protected", at: []string{"ref_protected"}, Label: "Branches and tags", Hint: "Only protected branches and tags", Box: true, More: true,
	fact: protectedRefs, none: allRefs,
}

func claim(name string, rest ...string) trustField {
	path := append([]string{"claims", name}, rest...)
	return trustField{Name: strings.Join(path, "."), at: path}
}

// as returns f with a label and a hint, changed by each of the changes.
func (f trustField) as(label, hint string, changes ...func(*trustField)) trustField {
	f.Label, f.Hint = label, hint
	for _, change := range changes {
		change(&f)
	}
	return f
}

func required(f *trustField)  { f.Required = true }
func titles(f *trustField)    { f.title = true }
func more(f *trustField)      { f.More = true }
func listed(f *trustField)    { f.list = true }
func exactly(f *trustField)   { f.exact = true }
func numericID(f *trustField) { f.More, f.none = true, firstID }

func without(text string) func(*trustField) { return func(f *trustField) { f.none = text } }

func topLevel(name string) trustField { return trustField{Name: name, at: []string{name}} }

// kindSystems are the systems of each kind but custom, without the choice of an issuer.
var kindSystems = []ciSystem{
	{kind: trust.KindGitHub, Name: "GitHub Actions", fields: []trustField{
		claim("repository").as("Repository", "Owner and name, as in acme/widget.", required, titles),
		claim("workflow_ref", "file").as("Workflow file", "Its name in .github/workflows, as in release.yml: of the workflow that is started, not of one that it calls.", required),
		claim("environment").as("Environment", "That the job must have. Empty means any, or none.", without(anyEnvironment)),
		protectedField,
		topLevel("allow_events").as("Events", "That may start the workflow, with commas between them. Empty means "+gitHubEvents+".", more, listed, without(gitHubEvents)),
		topLevel("reusable_workflow").as("Reusable workflow", "That the workflow calls and the job is of: owner/repository/.github/workflows/file.yml, and @ with a ref or commit if it must be that one. Empty means none.", more),
		claim("repository_id").as("Repository ID", firstIDHint, numericID),
		claim("repository_owner_id").as("Owner ID", firstIDHint, numericID),
	}},
	{kind: trust.KindGitLab, Name: "GitLab", fields: []trustField{
		claim("project_path").as("Project", "Group and name, as in acme/tools/widget.", required, titles),
		claim("ci_config_ref_uri", "file").as("Pipeline file", "Its path in the project.", required, func(f *trustField) { f.Usual = ".gitlab-ci.yml" }),
		claim("environment").as("Environment", "That the job must have. Empty means any, or none.", without(anyEnvironment)),
		protectedField,
		topLevel("allow_events").as("Pipeline sources", "What may start the pipeline, with commas between them. Empty means "+gitLabEvents+".", more, listed, without(gitLabEvents)),
		claim("project_id").as("Project ID", firstIDHint, numericID),
		claim("namespace_id").as("Namespace ID", firstIDHint, numericID),
	}},
	{kind: trust.KindCircleCI, Name: "CircleCI", fields: []trustField{
		claim("oidc.circleci.com/project-id").as("Project ID", "A UUID.", required),
		claim("oidc.circleci.com/pipeline-definition-id").as("Pipeline definition ID", "A UUID.", required),
		claim("oidc.circleci.com/vcs-origin").as("Repository", "Host, owner and name, as in github.com/acme/widget.", required, titles),
		claim("oidc.circleci.com/context-ids").as("Context IDs", "UUIDs of the contexts that the job must have, with commas between them. Empty means any, or none.", more, listed),
	}},
	{kind: trust.KindOIDC, Name: "Another, by the subject", fields: []trustField{
		claim("sub").as("Subject", "What the claim sub of the job must be, exactly.", required, titles, exactly),
	}},
}

// ciSystems returns the systems of the issuers, in the order of the page.
func ciSystems(issuers []trust.Issuer) (systems []ciSystem) {
	for _, s := range kindSystems {
		var urls []string
		for _, i := range issuers {
			if i.Kind == s.kind {
				urls = append(urls, i.URL)
			}
		}
		if len(urls) == 0 {
			continue
		}
		s.Key = s.kind.String()
		switch {
		case s.kind == trust.KindCircleCI: // whose publishers name the organization, which is in its issuer's URL
			organization := claim("oidc.circleci.com/org-id").as("Organization", "")
			for _, u := range urls {
				organization.Options = append(organization.Options, u[strings.LastIndexByte(u, '/')+1:])
			}
			s.fields = append([]trustField{organization}, s.fields...)
		case len(urls) > 1:
			issuer := topLevel("issuer").as("Issuer", "")
			issuer.Options = urls
			s.fields = append([]trustField{issuer}, s.fields...)
		}
		systems = append(systems, s)
	}
	for _, i := range issuers {
		if i.Kind == trust.KindCustom {
			systems = append(systems, customSystem(i))
		}
	}
	return systems
}

// systemName returns the name of a kind's system, and the kind itself where it has none.
func systemName(kind string) string {
	for _, s := range kindSystems {
		if s.kind.String() == kind {
			return s.Name
		}
	}
	return kind
}

// customSystem has the claims that publishers of an issuer of kind custom name.
func customSystem(i trust.Issuer) ciSystem {
	_, host, _ := strings.Cut(i.URL, "://")
	s := ciSystem{Key: i.URL, Name: strings.TrimSuffix(host, "/"), kind: i.Kind, issuer: i.URL}
	for _, c := range i.Claims {
		if c.OneOf != nil { // the operator's
			continue
		}
		f := claim(c.Name).as(c.Name, "", exactly)
		switch {
		case c.Optional:
			f.Hint, f.none = "Empty means any, or none.", anyEnvironment
		case c.Pin:
			f.Hint, f.none = "Empty means that of the first job that matches, and from then on no other.", firstID
		default:
			f.Required = true
			f.title = !slices.ContainsFunc(s.fields, func(f trustField) bool { return f.title })
		}
		s.fields = append(s.fields, f)
	}
	return s
}

// A trustPermission is one of what a publisher may do: npm's word, what a form and a list say, and a hint.
type trustPermission struct{ Word, Text, Hint, Fact string }

// trustPermissions are in the order of the page.
var trustPermissions = []trustPermission{
	{"createStagedPackage", "Stage versions", "A maintainer approves each of them with a second factor, and only then it can be installed.", "stage versions"},
	{"createPackage", "Publish versions, which is not recommended", "Nobody approves them: whoever gets to change the workflow publishes.", "publish versions"},
	{"setDistTag", "Set dist-tags", "", "set dist-tags"},
}

// permissionField returns the name of a permission's box.
func permissionField(word string) string { return "permission." + word }

// body returns what npm trust sends for what the form says. What is wrong with it the API says.
func (s ciSystem) body(form url.Values) []any {
	permissions := []string{}
	for _, p := range trustPermissions {
		if form.Get(permissionField(p.Word)) != "" {
			permissions = append(permissions, p.Word)
		}
	}
	body := map[string]any{"type": s.kind.String(), "claims": map[string]any{}, "permissions": permissions}
	if s.issuer != "" {
		body["issuer"] = s.issuer
	}
	for _, f := range s.fields {
		if value := f.value(form.Get(f.Name)); value != nil {
			put(body, f.at, value)
		}
	}
	return []any{body}
}

// value returns what the API gets for what was typed, nil for nothing.
func (f trustField) value(text string) any {
	switch {
	case f.Box && text != "":
		return true
	case f.Box:
		return nil
	case f.exact:
		text = strings.TrimSpace(text)
	default:
		text = typed.Line(text)
	}
	switch {
	case text == "":
		return nil
	case f.list:
		return words(text)
	}
	return text
}

// put sets the value at a path in an object.
func put(object map[string]any, path []string, value any) {
	for _, name := range path[:len(path)-1] {
		inner, ok := object[name].(map[string]any)
		if !ok {
			inner = map[string]any{}
			object[name] = inner
		}
		object = inner
	}
	object[path[len(path)-1]] = value
}

// said returns a sentence of the API, which calls fields by their names, with the fields' labels.
func (s ciSystem) said(sentence string) string {
	for _, f := range s.fields {
		sentence = regexp.MustCompile(regexp.QuoteMeta(f.Name)+`\b`).ReplaceAllLiteralString(sentence, f.Label)
	}
	return sentence
}

// A publisherAnswer is a publisher as the API lists it.
type publisherAnswer map[string]any

// text returns the text at a path, of a list with commas, "" if there is none.
func (a publisherAnswer) text(path ...string) string {
	var value any = map[string]any(a)
	for _, name := range path {
		object, _ := value.(map[string]any)
		value = object[name]
	}
	return textOf(value)
}

func textOf(value any) string {
	switch v := value.(type) {
	case string:
		return printable(v)
	case bool:
		if v {
			return "true"
		}
	case []any:
		var all []string
		for _, one := range v {
			all = append(all, textOf(one))
		}
		return strings.Join(all, ", ")
	}
	return ""
}

// A shownPublisher is a publisher in words.
type shownPublisher struct {
	ID, Title string
	Facts     []eventFact
	Added     moment
	// Scope is whose it is, where it is not removed here but at ScopePath; "": here.
	Scope, ScopePath string
}

// systemOf returns the system of a publisher. That of an issuer that is there no more has no fields.
func (t trusted) systemOf(a publisherAnswer) ciSystem {
	kind := a.text("type")
	for _, s := range ciSystems(t.cfg.Issuers) {
		if s.kind.String() == kind && (s.issuer == "" || s.issuer == a.text("issuer")) {
			return s
		}
	}
	return ciSystem{Name: kind}
}

// publisher returns a publisher in words.
func (t trusted) publisher(a publisherAnswer, now time.Time) shownPublisher {
	created, _ := time.Parse(time.RFC3339Nano, a.text("created_at"))
	p := shownPublisher{ID: a.text("id"), Added: moment{created, now}}
	add := func(term, text string) {
		if text != "" {
			p.Facts = append(p.Facts, eventFact{term, text})
		}
	}
	if expires, err := time.Parse(time.RFC3339Nano, a.text("expires_at")); err == nil && a.text("pending") == "true" {
		add(t.say("Pending"), t.say("until a job creates the package, or %s", expires.UTC().Format("2 January 2006")))
	}
	system, shown := t.systemOf(a), map[string]bool{}
	name := ""
	for _, f := range system.fields {
		text := a.text(f.at...)
		if f.title {
			name = text
		}
		if f.at[0] == "claims" {
			shown[f.at[1]] = true
		}
		switch {
		case text == "":
			text = t.say(f.none)
		case f.Box:
			text = t.say(f.fact)
		}
		if f.Name != "issuer" {
			add(t.say(f.Label), text)
		}
	}
	claims, _ := a["claims"].(map[string]any)
	for _, claim := range slices.Sorted(maps.Keys(claims)) {
		if !shown[claim] {
			add(printable(claim), a.text("claims", claim))
		}
	}
	add(t.say("Issuer"), a.text("issuer"))
	p.Title = t.say(system.Name) + ": " + cmp.Or(name, p.ID)
	add(t.say("May"), t.may(a.text("permissions")))
	return p
}

// may returns permissions, npm's words with commas between them, in words.
func (p *Pages) may(permissions string) string {
	var all []string
	for _, word := range words(permissions) {
		for _, known := range trustPermissions {
			if known.Word == word {
				word = p.say(known.Fact)
			}
		}
		all = append(all, word)
	}
	return strings.Join(all, ", ")
}
