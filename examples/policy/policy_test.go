package policy_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	company "github.com/npmauth/npmauth/examples/policy"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/policy/policytest"
)

var acme = company.Company{
	Scope:     "acme",
	CI:        netip.MustParsePrefix("198.51.100.0/24"),
	Zone:      time.FixedZone("CET", 60*60),
	Protected: map[string]string{"acme-*": "brand", "*-core": "platform"},
}

// own has what each of the company's rules looks at, with something of it that does not matter.
var own = []policytest.Box{
	policytest.Own{Actions: publishes, Packages: plain, Times: []string{"2026-03-06T13:59:59Z", "2026-03-06T14:00:00Z"}}.Box(),
	policytest.Own{Actions: publishes, Packages: []string{"@acme/widget", "widget"}, Addrs: []string{"198.51.100.9"}}.Box(),
	policytest.Own{Actions: publishes, Packages: []string{"log-core", "log"}, Groups: []string{"platform", "brand"}}.Box(),
	policytest.Own{Actions: publishes[:1], Packages: plain, Versions: []string{"1.1.0", "2.0.0"}, Labels: []string{"two-maintainers"}}.Box(),
	policytest.Own{Actions: publishes[:2], Packages: plain, Versions: []string{"1.2.0", "1.2.0-rc.1"}, Tags: []string{"latest", "next"}}.Box(),
}

var (
	publishes = []string{"publish", "set-dist-tag", "remove-dist-tag"}
	plain     = []string{"plain"}
)

func TestPolicy(t *testing.T) {
	p := acme.Policy()
	policytest.RunFile(t, p, "testdata/policy.txt", own...)
	policytest.SnapshotDifference(t, p, policy.NPM(), "testdata/difference.txt", own...)
	assert.Empty(t, policytest.Dead(p, nil, own...), "rules that are there for nothing")
}

// A pattern that path.Match cannot read protects every name.
func TestMalformedPattern(t *testing.T) {
	broken := acme
	broken.Protected = map[string]string{"[": "nobody"}
	policytest.Run(t, broken.Policy(), `
		session  auth-only  publish/version=1.1.0  plain=public:rw  totp  =>  deny  protected-name
	`)
}
