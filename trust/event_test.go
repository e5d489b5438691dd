package trust_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/npmauth/npmauth/trust"
)

// OI-23, O-08: what people without write access start does not publish, not even if a publisher lists it.
func TestEvents(t *testing.T) {
	for _, tt := range []struct {
		pair, claim string
		set         func(*trust.Publisher, []string)
		normal      []string
		on          []string // list
		never       []string
	}{
		{
			"github, only names", "event_name", func(p *trust.Publisher, e []string) { p.GitHub.AllowEvents = e },
			[]string{"push", "release", "workflow_dispatch", "schedule", "repository_dispatch"},
			[]string{"merge_group", "create", "deployment"},
			[]string{"pull_request", "pull_request_target", "workflow_run", "pull_request_review", "issue_comment", "issues", "fork", "discussion", "check_suite", "watch", "gollum"},
		}, {
			"gitlab, only names", "pipeline_source", func(p *trust.Publisher, e []string) { p.GitLab.AllowEvents = e },
			[]string{"push", "web", "schedule", "api", "trigger"},
			[]string{"pipeline", "parent_pipeline", "chat"},
			[]string{"merge_request_event", "external_pull_request_event"},
		},
	} {
		for _, event := range slices.Concat(tt.normal, tt.on, tt.never, []string{"", "Push", "push ", "unheard_of"}) {
			p := named(t, tt.pair).with(tt.claim, event)
			want := "refused"
			if slices.Contains(tt.normal, event) {
				want = ""
			}
			assert.Equal(t, want, reason(p.match(t), tt.claim), "%q", event)

			tt.set(&p.publisher, []string{event})
			if slices.Contains(tt.normal, event) || slices.Contains(tt.on, event) || event == "unheard_of" {
				assert.Empty(t, p.match(t), event)
				assert.Equal(t, "refused", reason(p.with(tt.claim, tt.never[0]).match(t), tt.claim))
			} else {
				assert.Error(t, p.publisher.Validate(), "%q", event)
				assert.NotEmpty(t, p.match(t), event)
			}
		}
		p := named(t, tt.pair)
		for _, list := range [][]string{{}, {"push", "push"}, {"pu sh"}, {strings.Repeat("a", 65)}, make([]string, 33)} {
			tt.set(&p.publisher, list)
			assert.Error(t, p.publisher.Validate(), "%q", list)
		}
	}
}
