package api

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/wire"
)

// eventsPerPage is how many events are read for one answer.
const eventsPerPage = 100

// listEvents answers GET /-/auth/v1/events: what happened to the account of the request, newest
// first, as the audit log has it. It is not npm's. An answer may have fewer events than a page and
// still name a next one.
//
// The list has the events that concern the account, whoever acted, with that one's IP address: who
// was logged in from where is for the user to know. What is left out is for operators: the public
// ID of the credential that acted, which may be another account's, and that account's ID, the
// internal ID of a package, how many rows npmauth cut from an event, events that a program records
// of its own, and each detail that is not in [shownDetails]. Refusals are not in the log.
func (a *API) listEvents(r *http.Request, op protocol.Operation) (reply, error) {
	q, err := a.CheckRead(r, op)
	if err != nil {
		return reply{}, err
	}
	user := q.Actor.Credential.User
	list, next, err := a.AuditLog.ListUser(r.Context(), user, r.URL.Query().Get("after"), eventsPerPage)
	if err != nil {
		return reply{}, err
	}
	objects := make([]wire.Event, 0, len(list))
	for _, e := range list {
		if !strings.Contains(string(e.Type), ":") { // else a program's own
			objects = append(objects, shownEvent(e.Event, user))
		}
	}
	urls := map[string]string{}
	if next != "" {
		urls["next"] = a.URL("-/auth/v1/events?after=" + url.QueryEscape(next))
	}
	return ok(map[string]any{"objects": objects, "urls": urls}), nil
}

// shownDetails are the details of an event that its account's user is shown.
var shownDetails = []string{
	"via", "agent", "asked_from", "asked_by", "approved_from", "collected_from", // of a login
	"name", "expires", "cidr", "bypass", "replaces", // of a token or an account
	"url", "source", "type", // of a leak
	"issuer", "repository", "workflow", "project_path", "ci_config", "environment", "permissions", "publishers", // of trusted publishers, with type
	"form", "left", "mode", "changed", "publish", "keys_only", "publishers_only", "stage_only", "approvals", "other_approver", "scope", // of a second factor, a profile, the setting of a package or a scope
}

// shownEvent returns e as its account's user is shown it.
func shownEvent(e audit.Event, user protocol.UserID) wire.Event {
	shown := wire.Event{Time: e.Time, Type: string(e.Type), Outcome: e.Outcome.String(), Credential: e.Credential, Reasons: e.Reasons}
	switch {
	case e.By == user:
		shown.By = "account"
	case e.By != "":
		shown.By = "other"
	case e.Outcome == audit.Done:
		shown.By = "registry"
	}
	if e.Addr.IsValid() {
		shown.Addr = e.Addr.String()
	}
	if e.Action != protocol.Unknown {
		shown.Action = e.Action.String()
	}
	if !e.Package.IsZero() {
		shown.Package = e.Package.String()
	}
	for name, value := range e.Detail {
		if slices.Contains(shownDetails, name) {
			if shown.Detail == nil {
				shown.Detail = map[string]string{}
			}
			shown.Detail[name] = value
		}
	}
	return shown
}
