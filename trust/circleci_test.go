package trust_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// OI-29: a job of CircleCI in which somebody types is refused, and the contexts are a set.
func TestCircleCI(t *testing.T) {
	p := named(t, "circleci, a context")
	assert.Empty(t, p.match(t))
	for _, value := range []any{true, "false", "true", nil, 0, []bool{}} {
		assert.Equal(t, "refused", reason(p.with("oidc.circleci.com/ssh-rerun", value).match(t), "oidc.circleci.com/ssh-rerun"), "%v", value)
	}
	for _, tt := range []struct{ list, want string }{
		{`["` + context1 + `"]`, ""},
		{`["` + context1 + `","` + context1 + `"]`, ""},
		{`["` + context2 + `"]`, "different"},
		{`[]`, "different"},
		{`["` + strings.ToUpper(context1) + `"]`, "different"},
		{`["` + context1 + ` "]`, "different"},
		{`["` + context1 + `",42]`, "malformed"},
		{`["` + context1 + `",null]`, "malformed"},
		{`[["` + context1 + `"]]`, "malformed"},
		{`"` + context1 + `"`, "malformed"},
		{`{"` + context1 + `":"` + context1 + `"}`, "malformed"},
	} {
		got := p.with("oidc.circleci.com/context-ids", json.RawMessage(tt.list)).match(t)
		assert.Equal(t, tt.want, reason(got, "oidc.circleci.com/context-ids"), tt.list)
	}
}
