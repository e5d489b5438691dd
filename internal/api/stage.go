package api

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/npmauth/npmauth/internal/authz"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/wire"
)

// Pages of npm stage list.
const (
	stagedPerPage = 10
	maxStagedPage = 100
)

// maxStagedSeen is how many staged versions a list looks at, of which those are listed that the sender may see: no index
// has these, since the host says what they may, and anybody may ask.
const maxStagedSeen = 2000

var errStagedPage = &wire.Error{Status: http.StatusBadRequest, Code: "bad-page", Sentence: "page is 0 or more and perPage is 1 to 100."}

// listStaged answers GET /-/stage: the staged versions that the sender may read, newest first, of a package or of
// all. That of a package reads what is staged for its name alone, which is little but where many people stage for a name
// that is free. That of all reads what others have staged, too, and asks the host once for each package, and for each version
// that was staged before there was one. Both end after the newest maxStagedSeen, and say so.
func (a *API) listStaged(r *http.Request, op protocol.Operation) (reply, error) {
	q, err := a.CheckRead(r, op)
	if err != nil {
		return reply{}, err
	}
	query := r.URL.Query()
	page, perPage := 0, stagedPerPage
	for name, to := range map[string]*int{"page": &page, "perPage": &perPage} {
		if query.Has(name) {
			if *to, err = strconv.Atoi(query.Get(name)); err != nil {
				return reply{}, errStagedPage
			}
		}
	}
	if page < 0 || page > 1<<20 || perPage < 1 || perPage > maxStagedPage {
		return reply{}, errStagedPage
	}
	var of protocol.PackageName
	if query.Has("package") {
		if of, err = protocol.ParsePackageName(query.Get("package")); err != nil {
			return reply{}, errSelfPackage
		}
	}
	items, total, reader := []authz.StagedItem{}, 0, a.NewStagedReader(q)
	after, seen := "", 0
	for more := true; more; more = after != "" && seen < maxStagedSeen {
		versions, next, err := a.Stage.List(r.Context(), a.Store, of, after, store.MaxLimit)
		if err != nil {
			return reply{}, err
		}
		for _, v := range versions {
			item, reads, err := reader.Item(r.Context(), v)
			if err != nil {
				return reply{}, err
			}
			if !reads {
				continue
			}
			if total >= page*perPage && len(items) < perPage {
				items = append(items, item)
			}
			total++
		}
		after, seen = next, seen+store.MaxLimit // also of rows that have expired
	}
	rep := ok(map[string]any{"items": items, "page": page, "perPage": perPage, "total": total, "incomplete": after != ""})
	switch {
	case after == "":
	case of.IsZero():
		rep.notice(fmt.Sprintf("Only the newest %d staged versions of the registry were looked at. To see all of a package run npm stage list <package>.", maxStagedSeen))
	default:
		rep.notice(fmt.Sprintf("Only the newest %d staged versions of this name were looked at.", maxStagedSeen))
	}
	return rep, nil
}
