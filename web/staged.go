package web

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/internal/typed"
)

// staged are the pages of staged versions: of all that the account may see, or of the one that the ID names.
type staged struct{ *Pages }

const (
	stagedSegment = "staged"
	stagedPath    = "-/stage"
	decidePath    = "-/auth/v1/staged/"
)

// stagedPerPage is how many versions a page lists.
const stagedPerPage = 20

// A stagedAnswer is a staged version as the API lists it.
type stagedAnswer struct {
	ID        string            `json:"id"`
	Package   string            `json:"packageName"`
	Version   string            `json:"version"`
	Tag       string            `json:"tag"`
	Created   time.Time         `json:"createdAt"`
	Expires   time.Time         `json:"expiresAt"`
	Actor     string            `json:"actor"`
	ActorType string            `json:"actorType"`
	Access    string            `json:"access"`
	Shasum    string            `json:"shasum"`
	Integrity string            `json:"integrity"`
	Run       map[string]string `json:"run"`
	Needed    int               `json:"approvalsNeeded"`
	Approvals []struct {
		Name string    `json:"name"`
		At   time.Time `json:"at"`
	} `json:"approvals"`
}

// A decidedAnswer is what became of a staged version that was decided about.
type decidedAnswer struct {
	Package string `json:"packageName"`
	Version string `json:"version"`
	State   string `json:"state"`
	Given   int    `json:"approvals"`
	Needed  int    `json:"approvalsNeeded"`
	Problem string `json:"problem"`
}

// A shownStaged is a staged version as a page shows it.
type shownStaged struct {
	ID, Name          string // the name is package@version
	Path              string // of its own page
	Field             string // of the form, that ticks it
	Tag, By           string
	Created, Expires  moment
	Given, Needed     int
	Approvers         []shownApprover
	Access, Integrity string
	Run               []eventFact // of the job that staged it
}

// Waits reports whether the version has all approvals that it needs and was not published: the registry has failed to,
// and is asked to once more by one approval.
func (s shownStaged) Waits() bool { return s.Given >= s.Needed }

// A shownApprover is one who has approved a version.
type shownApprover struct {
	Name string
	At   moment
}

// A stagedList is what the page of all versions shows.
type stagedList struct {
	Package      string // whose versions are listed, "" for all
	Problem      string // why none are listed
	Security     string // path of the page of second factors
	Versions     []shownStaged
	Incomplete   bool   // not all staged versions of the registry were looked at
	Newer, Older string // paths of the other pages, "" if there are none
}

// A stagedVersion is what the page of one shows.
type stagedVersion struct {
	shownStaged
	List       string // path of the page of all
	Security   string // path of the page of second factors
	Difference shownDifference
}

func (s staged) show(ctx context.Context, c caller) (page, error) {
	factor, err := c.hasFactor(ctx)
	if err != nil {
		return page{}, err
	}
	if c.v.id != "" {
		return s.showOne(ctx, c, factor)
	}
	list := stagedList{Package: printable(typed.Line(c.r.URL.Query().Get("package"))), Security: s.pathOf("security")}
	number, _ := strconv.Atoi(c.r.URL.Query().Get("page"))
	query := url.Values{"page": {strconv.Itoa(max(0, min(number, 1<<20)))}, "perPage": {strconv.Itoa(stagedPerPage)}}
	if list.Package != "" {
		name, ok := packageOf(list.Package)
		if !ok {
			list.Problem = s.say(notPackage)
		}
		query.Set("package", name.String())
	}
	var all struct {
		Items      []stagedAnswer `json:"items"`
		Page       int            `json:"page"`
		Total      int            `json:"total"`
		Incomplete bool           `json:"incomplete"`
	}
	if list.Problem == "" {
		err = c.call(ctx, credential.Secret{}, http.MethodGet, stagedPath+"?"+query.Encode(), nil, &all)
	}
	list.Incomplete = all.Incomplete
	for _, one := range all.Items {
		list.Versions = append(list.Versions, s.shown(one, c.v))
	}
	at := func(page int) string {
		query := url.Values{"page": {strconv.Itoa(page)}}
		if list.Package != "" {
			query.Set("package", list.Package)
		}
		return c.v.path + "?" + query.Encode()
	}
	if all.Page > 0 {
		list.Newer = at(all.Page - 1)
	}
	if (all.Page+1)*stagedPerPage < all.Total {
		list.Older = at(all.Page + 1)
	}
	return page{template: "staged.html", Title: "Staged versions", Factor: factor, Data: list}, err
}

// showOne shows a version by itself.
func (s staged) showOne(ctx context.Context, c caller, factor *factors) (page, error) {
	var one stagedAnswer
	err := c.call(ctx, credential.Secret{}, http.MethodGet, stagedPath+"/"+c.v.id, nil, &one)
	if refused, ok := errors.AsType[*apiError](err); ok && refused.status == http.StatusNotFound {
		err = errGone
	}
	if err != nil {
		return page{}, err
	}
	is := stagedVersion{shownStaged: s.shown(one, c.v), List: s.pathOf(stagedSegment), Security: s.pathOf("security")}
	if is.Difference, err = s.difference(ctx, c); err != nil {
		return page{}, err
	}
	return page{template: "stagedversion.html", Title: s.say("Staged version %s", is.Name), Factor: factor, Data: is}, nil
}

func (s staged) shown(one stagedAnswer, v visit) shownStaged {
	at := func(when time.Time) moment { return moment{when, v.client.At} }
	is := shownStaged{
		ID: one.ID, Name: printable(one.Package + "@" + one.Version), Path: s.pathOf(stagedSegment) + "/" + one.ID, Field: stagedField + one.ID,
		Tag: printable(one.Tag), By: printable(one.Actor), Created: at(one.Created), Expires: at(one.Expires),
		Given: len(one.Approvals), Needed: one.Needed, Access: printable(one.Access), Integrity: printable(cmp.Or(one.Integrity, one.Shasum)),
	}
	if one.ActorType != "user" {
		is.By = s.say("a job of %s", s.say(systemName(is.By)))
	}
	for _, a := range one.Approvals {
		is.Approvers = append(is.Approvers, shownApprover{printable(a.Name), at(a.At)})
	}
	for _, claim := range slices.Sorted(maps.Keys(one.Run)) {
		is.Run = append(is.Run, eventFact{printable(claim), printable(one.Run[claim])})
	}
	return is
}

// stagedField begins the name of the box that ticks a version, before its ID.
const stagedField = "version."

func (s staged) do(ctx context.Context, c caller, form url.Values) (shown, error) {
	decision := form.Get("decision")
	if decision != "approve" && decision != "reject" {
		return shown{}, errMalformed
	}
	ids := []string{}
	if c.v.id != "" {
		ids = append(ids, c.v.id)
	} else {
		for _, field := range slices.Sorted(maps.Keys(form)) {
			if id, ok := strings.CutPrefix(field, stagedField); ok && form.Get(field) != "" {
				ids = append(ids, id)
			}
		}
	}
	if len(ids) == 0 {
		return shown{}, problemError("Tick the versions first.")
	}
	var answer struct {
		Results []decidedAnswer `json:"results"`
	}
	if err := c.call(ctx, codeIn(form), http.MethodPost, decidePath+decision, map[string][]string{"ids": ids}, &answer); err != nil {
		return shown{}, err
	}
	done := "This is what became of them."
	if len(answer.Results) == 1 {
		done = "This is what became of it."
	}
	return shown{Done: s.say(done), Decided: s.decided(answer.Results), Leave: stagedSegment}, nil
}

// A shownDecision says what became of a version.
type shownDecision struct {
	Name    string `json:"name"`
	Text    string `json:"text"`
	Problem string `json:"problem,omitempty"` // why the registry has not done it
}

// maxDecided is how many bytes a page shows of what became of versions: they are in a cookie until then.
const maxDecided = 2 << 10

// decided returns in words what became of versions, the failures first: of as many as a cookie has room for.
func (s staged) decided(results []decidedAnswer) (all []shownDecision) {
	slices.SortStableFunc(results, func(a, b decidedAnswer) int { return cmp.Compare(failed(b), failed(a)) })
	size := 0
	for i, one := range results {
		is := shownDecision{Name: cut(printable(one.Package+"@"+one.Version), 256), Problem: cut(printable(one.Problem), 256)}
		switch {
		case one.State == "published":
			is.Text = s.say("is published.")
		case one.State == "rejected":
			is.Text = s.say("is rejected.")
		case one.Given < one.Needed:
			is.Text = s.say("is approved. It needs %d approvals and has %d.", one.Needed, one.Given)
		default:
			is.Text = s.say("is approved, and the registry has not published it. Approve it once more to try again.")
		}
		if size += len(is.Name) + len(is.Text) + len(is.Problem) + len(`{"name":"","text":"","problem":""},`); size > maxDecided {
			return append(all, shownDecision{Text: s.say("And %d more.", len(results)-i)})
		}
		all = append(all, is)
	}
	return all
}

func failed(d decidedAnswer) int { return min(1, len(d.Problem)) }

// cut returns at most that many bytes of a text.
func cut(text string, size int) string {
	if len(text) <= size {
		return text
	}
	return strings.ToValidUTF8(text[:size], "") + "…"
}
