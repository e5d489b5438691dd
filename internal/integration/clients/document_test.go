package clients_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/integration/clients"
)

// What is rendered is read again, and an outcome that is not there is no outcome.
func TestDocument(t *testing.T) {
	columns := []clients.Column{{Name: "one1", Title: "One 1"}, {Name: "two2", Title: "Two 2"}}
	groups := []clients.Group{{Title: "First", Commands: []string{"log in", "log out"}}, {Title: "Second", Commands: []string{"star"}}}
	d := clients.Document{Versions: map[string]string{"one1": "1.2.3", "two2": "2.0.0-rc.1"}, Outcomes: map[clients.Cell]clients.Outcome{
		{Command: "log in", Client: "one1"}:  {Kind: clients.Works},
		{Command: "log in", Client: "two2"}:  {Kind: clients.Refused, Note: "No."},
		{Command: "log out", Client: "one1"}: {Kind: clients.Refused, Note: "Not now."},
		{Command: "log out", Client: "two2"}: {Kind: clients.Fault, Note: "it hangs: end it"},
		{Command: "star", Client: "one1"}:    {Kind: clients.Refused, Note: "No."},
		{Command: "star", Client: "two2"}:    {Kind: clients.Fault, Note: "it hangs: end it"},
	}}
	text := d.Render("# Clients\n\n<!-- versions -->\n\n## Tables\n\n<!-- tables -->\n\n## Faults\n\n<!-- faults -->\n", columns, groups)
	assert.Equal(t, `# Clients

| client | version |
|---|---|
| One 1 | 1.2.3 |
| Two 2 | 2.0.0-rc.1 |

## Tables

### First

| | One 1 | Two 2 |
|---|:-:|:-:|
| log in | ✓ | refused 1 |
| log out | refused 2 | fault |

1. “No.”
2. “Not now.”

### Second

| | One 1 | Two 2 |
|---|:-:|:-:|
| star | refused 1 | fault |

1. “No.”

## Faults

### Two 2

- *log out*, *star*: it hangs: end it
`, text)
	parsed, err := clients.Parse(text, columns)
	require.NoError(t, err)
	assert.Equal(t, d, parsed)

	delete(d.Outcomes, clients.Cell{Command: "star", Client: "one1"})
	parsed, err = clients.Parse(d.Render("<!-- tables -->\n<!-- faults -->", columns, groups), columns)
	require.NoError(t, err)
	assert.Equal(t, d.Outcomes, parsed.Outcomes)
	_, err = clients.Parse(d.Render("<!-- tables -->", columns, groups), columns)
	assert.ErrorContains(t, err, "is not described")
	_, err = clients.Parse("| | Three 3 |\n", columns)
	assert.ErrorContains(t, err, "no client is called Three 3")
}
