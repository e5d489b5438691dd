package integration_test

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestStagingDocument types the commands of docs/staging.md as they stand there, from the first to the last, with the
// clients that they are of. They begin a package.
func TestStagingDocument(t *testing.T) {
	t.Parallel()
	_, blocks := document(t, "docs/staging.md")
	lines := map[string][]string{} // by command
	for _, b := range blocks {
		require.Equal(t, "sh", b.language)
		for line := range strings.Lines(b.text) {
			line, _, _ = strings.Cut(line, "#")
			line = strings.TrimSpace(line)
			command, _, _ := strings.Cut(line, " ")
			lines[command] = append(lines[command], line)
		}
	}
	clients := map[string][]string{"npm": among("npm11", "npm12"), "pnpm": among("pnpm11", "pnpm12"), "yarn": {"yarn4"}}
	require.Len(t, lines, len(clients))
	for command, of := range clients {
		require.NotEmpty(t, lines[command])
		play(t, of, map[string]func(*scene){"stages": func(s *scene) {
			alice := s.person(s.name)
			d := &stagingDocument{actor: alice, pkg: "@" + s.name + "/widget", stage: lines[command][0], typed: map[string]bool{}}
			for _, line := range lines[command] {
				d.types(line)
			}
			for _, done := range []string{"publish", "list", "approve", "reject"} {
				assert.True(s.t, d.typed[done], done)
			}
		}})
	}
}

type stagingDocument struct {
	*actor
	pkg      string
	stage    string // the command that stages
	releases int
	typed    map[string]bool // what the commands do

	dir, version, id string // of the version that is staged
}

var stageVerb = regexp.MustCompile(`^(?:npm|pnpm|yarn npm) (?:stage )?(publish|list|view|download|approve|reject)\b`)

// types types a command, and confirms it where the client asks.
func (d *stagingDocument) types(line string) {
	d.t.Helper()
	verb := stageVerb.FindStringSubmatch(line)
	require.NotNil(d.t, verb, line)
	d.typed[verb[1]] = true
	if verb[1] == "publish" {
		require.Equal(d.t, d.stage, line)
		d.next()
		return
	}
	if verb[1] == "reject" { // what was staged before is published
		d.next()
	}
	args := words(strings.NewReplacer("<id>", d.id, "https://registry.example/", d.registry.URL).Replace(line))
	if verb[1] == "approve" || verb[1] == "reject" {
		p := d.home.Terminal(d.dir, args[0], args[1:]...)
		if args[0] == "yarn" {
			d.yarnAsks(p)
			p.Type(d.app.Fresh())
		} else {
			assert.Contains(d.t, d.atPage(p), d.pkg)
		}
		p.OK()
		assert.Empty(d.t, d.staged())
		assert.Equal(d.t, verb[1] == "approve", d.has(d.pkg, d.version) != nil, line)
	} else {
		output := d.home.OK(d.dir, args[0], args[1:]...).Output()
		if verb[1] == "download" {
			files, err := filepath.Glob(filepath.Join(d.dir, "*.tgz"))
			require.NoError(d.t, err)
			assert.Len(d.t, files, 1, output)
		} else {
			assert.Contains(d.t, output, d.version, line)
			assert.Contains(d.t, output, d.id, line)
		}
		assert.Nil(d.t, d.has(d.pkg, d.version), line)
	}
	if verb[1] == "approve" {
		by, _ := d.has(d.pkg, d.version)["_npmUser"].(map[string]any)
		approver, _ := by["approver"].(map[string]any)
		assert.Equal(d.t, d.name, approver["name"])
	}
}

// next stages the next version, for which nobody is asked for a code.
func (d *stagingDocument) next() {
	d.t.Helper()
	d.releases++
	d.version = []string{"", "1.0.0", "1.1.0"}[d.releases]
	args := words(d.stage)
	if args[0] == "yarn" {
		d.dir = d.workspace(d.pkg, d.version)
	} else {
		d.dir = d.home.Package(d.pkg, d.version)
	}
	d.home.OK(d.dir, args[0], args[1:]...)
	ids := d.staged()
	require.Len(d.t, ids, 1)
	d.id = ids[0]
	assert.Nil(d.t, d.has(d.pkg, d.version))
}

// staged returns the IDs of the staged versions that the actor sees.
func (a *actor) staged() (ids []string) {
	a.t.Helper()
	var list struct{ Items []struct{ ID string } }
	a.registry.As(a.home.Token()).Do("GET", "-/stage?page=0&perPage=100", nil).JSON(a.t, &list)
	for _, item := range list.Items {
		ids = append(ids, item.ID)
	}
	return ids
}
