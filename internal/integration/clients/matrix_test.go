package clients_test

import (
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/integration"
	"github.com/npmauth/npmauth/internal/integration/clients"
	"github.com/npmauth/npmauth/internal/issuertest"
)

// columns are the clients, oldest first.
var columns = []clients.Column{
	{Name: "npm6", Title: "npm 6"}, {Name: "npm7", Title: "npm 7"}, {Name: "npm8", Title: "npm 8"}, {Name: "npm9", Title: "npm 9"},
	{Name: "npm10", Title: "npm 10"}, {Name: "npm11", Title: "npm 11"}, {Name: "npm12", Title: "npm 12"},
	{Name: "yarn1", Title: "Yarn 1"}, {Name: "yarn2", Title: "Yarn 2"}, {Name: "yarn3", Title: "Yarn 3"}, {Name: "yarn4", Title: "Yarn 4"},
	{Name: "pnpm9", Title: "pnpm 9"}, {Name: "pnpm10", Title: "pnpm 10"}, {Name: "pnpm11", Title: "pnpm 11"}, {Name: "pnpm12", Title: "pnpm 12"},
	{Name: "bun", Title: "Bun"}, {Name: "vlt", Title: "vlt"},
}

// slice are those that every run drives. The others are driven where NPMAUTH_REQUIRE has clients.
var slice = []string{"npm8", "npm12", "yarn1", "yarn4", "pnpm12", "bun"}

const (
	written  = "../../../docs/clients.md"
	template = "testdata/clients.md"
)

var update = flag.Bool("update", os.Getenv("NPMAUTH_UPDATE") != "", "write docs/clients.md anew")

// A world is the registry of all cells, and what stands in front of it.
type world struct {
	recorder *recorder
	registry *integration.Registry
	gitlab   *issuertest.Issuer // whose jobs may be trusted publishers
	compiled string             // where Node keeps what it has compiled
	serial   atomic.Int64

	mu       sync.Mutex
	outcomes map[clients.Cell]clients.Outcome // guarded by mu, as are the others
	owned    map[string]int                   // how many owners of organizations each client has used
	words    map[string]*word                 // by client and word
	versions map[string]string                // of the clients
}

func (w *world) installed(client, version string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.versions[client] = version
}

// A word is the first one of commands, such as owner, without the npm of Yarn and the pm of Bun. Of a client that does not know it only one of
// them is tried.
type word struct {
	tried chan struct{} // closed when one was
	lacks bool          // what came of it; to be read then
}

// word returns that of a command, and whether it is the caller who tries it.
func (c *cell) word() (of *word, first bool) {
	words := strings.Fields(c.lines.of(c))
	if len(words) > 1 && (c.family == "berry" && words[0] == "npm" || c.family == "bun" && words[0] == "pm") {
		words = words[1:]
	}
	name := c.client + " " + words[0]
	c.world.mu.Lock()
	defer c.world.mu.Unlock()
	of = c.world.words[name]
	if first = of == nil; first {
		of = &word{tried: make(chan struct{})}
		c.world.words[name] = of
	}
	return of, first
}

func newWorld(t *testing.T, flags ...string) *world {
	t.Helper()
	addr := integration.FreeAddr(t)
	w := &world{gitlab: issuertest.New(t), recorder: newRecorder(t, addr), compiled: t.TempDir(), outcomes: map[clients.Cell]clients.Outcome{}, owned: map[string]int{}, words: map[string]*word{}, versions: map[string]string{}}
	w.registry = integration.Start(t, append(flags, "-trust-issuer", "gitlab="+w.gitlab.URL(), "-addr", addr, "-url", w.recorder.URL(), "-store", "memory:", "-trust-proxy", "127.0.0.1")...)
	return w
}

// What each client does with each command is what docs/clients.md says.
func TestMatrix(t *testing.T) {
	text, err := os.ReadFile(written)
	require.NoError(t, err)
	committed, err := clients.Parse(string(text), columns)
	require.NoError(t, err)
	all := slices.Contains(strings.Split(os.Getenv("NPMAUTH_REQUIRE"), ","), "clients")

	var flags []string
	for _, column := range columns {
		if !all && !slices.Contains(slice, column.Name) {
			continue
		}
		for _, owner := range orgOwners(column.Name) {
			flags = append(flags, "-seed", owner+":"+integration.Password, "-org", orgOf(owner)+"="+owner)
		}
	}
	w := newWorld(t, flags...)
	t.Run("cells", func(t *testing.T) { // which has ended when all of them have
		for _, column := range columns {
			if !all && !slices.Contains(slice, column.Name) {
				continue
			}
			t.Run(column.Name, func(t *testing.T) {
				integration.RequireClients(t, programs(column.Name)...)
				t.Parallel()
				w.installed(column.Name, integration.Version(t, column.Name))
				for _, group := range table {
					for _, command := range group.commands {
						t.Run(strings.ReplaceAll(command.name, " ", "-"), func(t *testing.T) {
							t.Parallel()
							w.observe(t, column.Name, command)
						})
					}
				}
			})
		}
	})

	for name, host := range w.recorder.elsewhere { // nobody goes on
		assert.True(t, strings.HasPrefix(name, "yarn1-") && host == "registry.yarnpkg.com:443", "%s goes to %s", name, host)
	}
	next := clients.Document{Versions: maps.Clone(committed.Versions), Outcomes: map[clients.Cell]clients.Outcome{}}
	maps.Copy(next.Versions, w.versions)
	for _, group := range table {
		for _, command := range group.commands {
			for _, column := range columns {
				at := clients.Cell{Command: command.name, Client: column.Name}
				next.Outcomes[at] = committed.Outcomes[at]
				seen, ok := w.outcomes[at]
				if !ok {
					continue
				}
				next.Outcomes[at] = seen
				if !*update {
					assert.Equal(t, committed.Outcomes[at].String(), seen.String(), "%s: %s", column.Title, command.name)
				}
			}
		}
	}
	for name, version := range w.versions {
		if !*update {
			assert.Equal(t, committed.Versions[name], version, "the version of %s", name)
		}
	}
	frame, err := os.ReadFile(template)
	require.NoError(t, err)
	if *update {
		require.NoError(t, os.WriteFile(written, []byte(next.Render(string(frame), columns, groups())), 0o644))
		return
	}
	if !t.Failed() {
		assert.Equal(t, next.Render(string(frame), columns, groups()), string(text), "%s is written by -update", filepath.Base(written))
	}
}

func groups() (all []clients.Group) {
	for _, g := range table {
		one := clients.Group{Title: g.title}
		for _, c := range g.commands {
			one.Commands = append(one.Commands, c.name)
		}
		all = append(all, one)
	}
	return all
}

// Each command has one name, and each fault is of a cell that there is.
func TestTable(t *testing.T) {
	known := map[string]bool{}
	for _, g := range groups() {
		for _, c := range g.Commands {
			assert.False(t, known[c], "two commands are called %q", c)
			known[c] = true
		}
	}
	check := func(names, commands string) {
		for command := range strings.SplitSeq(commands, "; ") {
			assert.True(t, known[command], "no command is called %q", command)
		}
		for client := range strings.FieldsSeq(names) {
			assert.True(t, slices.ContainsFunc(columns, func(c clients.Column) bool { return c.Name == client }), "no client is called %q", client)
		}
	}
	for _, f := range faults {
		check(f.clients, f.commands)
	}
	for _, e := range ends {
		check(e.clients, e.commands)
	}
}

// A cell is a command with a client, and what comes of it.
type cell struct {
	t        *testing.T
	world    *world
	registry *integration.Registry
	client   string
	command  string // what is typed first: npm, yarn, pnpm, bun or vlt
	family   string // npm, yarn1, berry, pnpm, bun or vlt
	serial   int64
	people   int
	hide     map[string]string // what is not the same each time, and what is written instead
	you      *person           // who types

	tokens         []string
	lines          lines  // of the command
	flagged        bool   // it took the flag for a code
	signsUp        bool   // the person has no account and makes one at the page
	refusesPrompts bool   // whatever the client asks at the terminal is not what was wanted
	wrong          string // the code that the person types, in place of one of the app

	result  integration.Result // of the last run
	printed string             // by all runs
	prompts []string           // that were answered, by name
	stuck   string             // why the client was ended, "" if it ended by itself
}

// cell returns one of a client.
func (w *world) cell(t *testing.T, client string) *cell {
	c := &cell{t: t, world: w, registry: w.registry.For(t), client: client, serial: w.serial.Add(1), hide: map[string]string{}}
	c.command = strings.TrimRight(client, "0123456789")
	switch {
	case client == "yarn1":
		c.family = client
	case c.command == "yarn":
		c.family = "berry"
	default:
		c.family = c.command
	}
	return c
}

// observe says what comes of a command with a client.
func (w *world) observe(t *testing.T, client string, command command) {
	c := w.cell(t, client)
	c.lines = command.lines
	word, first := c.word()
	if first {
		defer close(word.tried)
	} else {
		<-word.tried
	}
	outcome := clients.Outcome{Kind: clients.Lacks}
	if first || !word.lacks {
		c.act(command)
		outcome = c.judge(command)
	}
	if first {
		word.lacks = outcome.Kind == clients.Lacks && c.unknown(oneLine(c.printed))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.outcomes[clients.Cell{Command: command.name, Client: client}] = outcome
}

// act does what people do for the command.
func (c *cell) act(command command) {
	c.t.Helper()
	prepare, run := command.prepare, command.run
	if prepare == nil {
		prepare = (*cell).member
	}
	if run == nil {
		run = func(p *person) { p.write(p.here(), p.line(p.lines)) }
	}
	c.you = prepare(c)
	c.hide[c.you.name] = "<you>"
	run(c.you)
}

// judge says what came of the command.
func (c *cell) judge(command command) clients.Outcome {
	c.t.Helper()
	said := oneLine(c.printed)
	done := command.done(c.you)
	explain := func(problem string) clients.Outcome {
		c.t.Errorf("%s\ndone: %v, exit status: %d, ended: %q, asked: %v\n%s\n%s", problem, done, c.result.Code, c.stuck, c.prompts, c.printed, c.log())
		return clients.Outcome{}
	}
	if f := faultOf(c.client, command.name); f != nil {
		if f.done != done || !regexp.MustCompile(f.shows).MatchString(said+" "+c.state()) {
			return explain("it does not have the fault that faults_test.go says")
		}
		return clients.Outcome{Kind: clients.Fault, Note: f.says}
	}
	switch {
	case done && !c.flagged && c.result.Code == 0 && c.stuck == "" && !command.fails:
		return clients.Outcome{Kind: clients.Works}
	case done && c.flagged:
		return explain("it does not ask for a code, and takes one")
	case c.lacks(said, command):
		return clients.Outcome{Kind: clients.Lacks}
	case done != command.fails || c.result.Code == 0 || c.stuck != "":
		return explain("nobody has explained this")
	}
	if words := endOf(c.client, command.name); words != "" {
		if !strings.Contains(c.hidden(said), words) {
			return explain("it does not say what faults_test.go says")
		}
		return clients.Outcome{Kind: clients.Refused, Note: words}
	}
	if sentence := c.world.recorder.sentence(said); sentence != "" {
		return clients.Outcome{Kind: clients.Refused, Note: c.hidden(sentence)}
	}
	return explain("it does not say why it was refused")
}

// challenged reports whether the registry has asked the client for a second factor.
func (c *cell) challenged() bool {
	return slices.ContainsFunc(c.world.recorder.requests(c.you.name, c.tokens), func(e exchange) bool {
		return e.status == http.StatusUnauthorized && strings.Contains(e.answer, "one-time pass")
	})
}

// state is how the client ended, in words that a fault can ask for.
func (c *cell) state() string {
	state := fmt.Sprintf("[exit %d] [%s]", c.result.Code, c.stuck)
	if c.flagged {
		state += " [with --otp]"
	}
	if host := c.world.recorder.wanted(c.you.proxied); host != "" {
		state += " [goes to " + host + "]"
	}
	return state
}

// lacking is how clients say that they do not have a command.
var lacking = map[string]string{
	"npm":   `Unknown command: "|Usage: npm <command>`,
	"yarn1": `Command "[^"]*" not found|(not|yet to be) implemented`,
	"berry": `Unknown Syntax Error|Command not found`,
	"pnpm":  `Command "[^"]*" not found|Unknown command|is not yet implemented in pnpm`,
	"bun":   `Script not found|unknown command|reserved for future use|bun pm has no --`,
	"vlt":   `Usage: vlt (?:help|token)|Invalid Option Flag`,
}

// unknown reports whether the client says that there is no such command at all.
func (c *cell) unknown(said string) bool {
	return c.result.Code != 0 && regexp.MustCompile(lacking[c.family]).MatchString(said)
}

// lacks reports whether the client does not have the command, or not in this form.
func (c *cell) lacks(said string, command command) bool {
	if c.unknown(said) {
		return true
	}
	for _, name := range []string{c.client, c.family} {
		if words := command.lacks[name]; words != "" && regexp.MustCompile(words).MatchString(said+" "+c.state()) {
			return true
		}
	}
	return false
}

// hidden is a sentence without what is of this run alone.
func (c *cell) hidden(s string) string {
	for _, what := range slices.Backward(slices.SortedFunc(maps.Keys(c.hide), func(a, b string) int { return len(a) - len(b) })) {
		s = strings.ReplaceAll(s, what, c.hide[what])
	}
	return strings.ReplaceAll(s, strings.TrimSuffix(c.world.recorder.URL(), "/"), "https://registry.example")
}

// log is what the client has sent.
func (c *cell) log() string {
	var all strings.Builder
	for _, e := range c.world.recorder.requests(c.you.name, c.tokens) {
		fmt.Fprintf(&all, "  %s %s otp=%q by %q %s: %d %s\n", e.method, e.path, e.otp, e.agent, e.body, e.status, e.answer)
	}
	return all.String()
}
