package integration_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/npmauth/npmauth/internal/integration"
)

func TestTerminal(t *testing.T) {
	integration.Require(t, "sh")
	home := integration.NewHome(t, "http://127.0.0.1:1/")
	p := home.Terminal("", "sh", "-c", `test -t 0 && test -t 1 || exit 9
		printf '\033[1mName\033[0m:\r\n'; read name; printf 'Again: '; read again; echo "$name and $again"; exit 3`)
	assert.Equal(t, []string{"Name:\n", "Name"}, p.Expect(`(\w+):\n`))
	p.Type("ada")
	p.Expect(`Again: `)
	p.Type("ben")
	p.Expect(`ada and ben`)
	assert.Equal(t, 3, p.Wait().Code)
}

func TestStart(t *testing.T) {
	integration.Require(t, "sh")
	home := integration.NewHome(t, "http://127.0.0.1:1/")
	home.SetToken("secret")
	assert.Equal(t, "secret", home.Token())
	t.Setenv("GITHUB_ACTIONS", "true")
	p := home.Start("", "sh", "-c", `test -t 0 || echo no terminal; echo "[$GITHUB_ACTIONS]" >&2; cat .npmrc; exit 4`)
	p.Expect("no terminal")
	r := p.Wait()
	assert.Equal(t, 4, r.Code)
	assert.Equal(t, "[]\n", r.Stderr, "nothing of the machine's environment")
	assert.Contains(t, r.Stdout, "registry=http://127.0.0.1:1/\n")
}
