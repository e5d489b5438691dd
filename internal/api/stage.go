package api

import (
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

var errStagedPage = &wire.Error{Status: http.StatusBadRequest, Code: "bad-page", Sentence: "page is 0 or more and perPage is 1 to 100."}

// listStaged answers GET /-/stage: the staged versions that the sender may read, newest first, of a package or of
// all. It goes through all that are staged, of which a registry has few at a time.
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
	for after, more := "", true; more; more = after != "" {
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
		after = next
	}
	return ok(map[string]any{"items": items, "page": page, "perPage": perPage, "total": total}), nil
}
