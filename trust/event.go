package trust

import (
	"slices"
	"strings"
)

// events are what may start a job of a provider.
type events struct {
	normal []string // unless it does
	never  []string // a publisher that lists one is not valid: people without write access start these, or choose what they run
}

// GitHub's. Of merge_group a publisher must say that it wants it: what is queued is not merged yet.
var gitHubEvents = events{
	normal: []string{"push", "release", "workflow_dispatch", "schedule", "repository_dispatch"},
	never: []string{"pull_request", "pull_request_target", "workflow_run", "pull_request_review", "pull_request_review_comment", "pull_request_comment",
		"issues", "issue_comment", "discussion", "discussion_comment", "fork", "watch", "gollum", "check_run", "check_suite"},
}

// GitLab's sources of pipelines. Of pipeline and parent_pipeline, which another pipeline starts, a publisher
// must say that it wants them: the token does not say what started the other one.
var gitLabEvents = events{
	normal: []string{"push", "web", "schedule", "api", "trigger"},
	never:  []string{"merge_request_event", "external_pull_request_event"},
}

// allowed returns the events that match, of a publisher that lists own.
func (e events) allowed(own []string) []string {
	if len(own) == 0 {
		return e.normal
	}
	return own
}

// validate checks the list of a publisher. Nil is no list.
func (e events) validate(own []string) error {
	if own != nil && len(own) == 0 {
		return invalid("allow_events must have an event. Leave it out for: %s.", strings.Join(e.normal, ", "))
	}
	if len(own) > 32 {
		return invalid("allow_events is too long.")
	}
	for n, event := range own {
		if len(event) > 64 || event == "" || strings.Trim(event, "abcdefghijklmnopqrstuvwxyz_") != "" {
			return invalid("allow_events has a malformed event.")
		}
		if slices.Contains(own[:n], event) {
			return invalid("allow_events has an event twice.")
		}
		if slices.Contains(e.never, event) {
			return invalid("allow_events must not have %s: it runs for people who may not write to the repository.", event)
		}
	}
	return nil
}
