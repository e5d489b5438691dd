package integration

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// chromeJS finds what a person sees on a page. It is evaluated by the debugger, which neither a
// page's policy nor a browser without scripts hinders.
//
//go:embed testdata/chrome.js
var chromeJS string

// A Chrome is a window of a headless Chromium, with cookies of its own. What the pages in it write
// to the console, and what breaks a policy, fails the test.
type Chrome struct {
	t      testing.TB
	ctx    context.Context
	script bool
	keys   bool // it is used by its keyboard alone

	mu       sync.Mutex
	problems []string // guarded by mu

	status int64
}

// NewChrome opens a window in a Chromium of its own, which runs the scripts of pages or does not.
func NewChrome(t testing.TB, script bool) *Chrome {
	t.Helper()
	Require(t, "chromium")
	// The sandbox does not start for root, who runs CI, and the pages are ours.
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath("chromium"), chromedp.NoSandbox)
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	return newChrome(t, ctx, script)
}

// Private opens another window of the same browser, in which nobody is signed in.
func (c *Chrome) Private() *Chrome {
	c.t.Helper()
	return newChrome(c.t, c.ctx, c.script, chromedp.WithNewBrowserContext())
}

// WithoutScript opens another window of the same person, which runs no script.
func (c *Chrome) WithoutScript() *Chrome {
	c.t.Helper()
	return newChrome(c.t, c.ctx, false)
}

// ByKeyboard has links followed, and forms filled in and sent, by the keyboard alone from now on.
func (c *Chrome) ByKeyboard() { c.keys = true }

func newChrome(t testing.TB, parent context.Context, script bool, options ...chromedp.ContextOption) *Chrome {
	t.Helper()
	c := &Chrome{t: t, script: script}
	ctx, _ := chromedp.NewContext(parent, append(options, chromedp.WithListener(c.record))...)
	c.ctx = ctx
	t.Cleanup(func() {
		assert.NoError(t, chromedp.Cancel(ctx), "close the browser")
		c.mu.Lock()
		defer c.mu.Unlock()
		assert.Empty(t, c.problems, "the browser complains about a page")
	})
	require.NoError(t, chromedp.Do(ctx)) // a browser lives as long as the context that starts it
	c.do(
		command(audits.Enable, cdp.Empty{}),
		scripts(script),
		command(emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true}),
		desktop,
	)
	return c
}

// Sizes of windows.
var (
	desktop = chromedp.EmulateViewport(1280, 800)
	phone   = chromedp.EmulateViewport(390, 844)
	narrow  = chromedp.EmulateViewport(320, 600) // of WCAG's criterion 1.4.10: a desktop's at 400 %
)

func command[P, R any](name cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, name, params)
		return err
	})
}

// record notes what the browser complains about, and what a page loads from elsewhere. That a form was
// not accepted the browser reports as an error, too, but a status is an answer.
func (c *Chrome) record(event any) {
	var problem any
	switch e := event.(type) {
	case *log.EventEntryAdded:
		if e.Entry.Source == log.EntrySourceNetwork && strings.Contains(e.Entry.Text, "the server responded with a status of ") {
			return
		}
		problem = e.Entry
	case *network.EventRequestWillBeSent:
		if to := e.Request.URL; strings.HasPrefix(to, "data:") || origin(to) == origin(e.DocumentURL) {
			return
		}
		problem = e.Request
	case *runtime.EventConsoleAPICalled:
		problem = e
	case *runtime.EventExceptionThrown:
		problem = e
	case *audits.EventIssueAdded:
		problem = e.Issue
	default:
		return
	}
	text, err := json.Marshal(problem)
	if err != nil {
		text = fmt.Append(nil, problem, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.problems = append(c.problems, string(text))
}

// origin returns an address without its path.
func origin(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return err.Error()
	}
	return u.Scheme + "://" + u.Host
}

func (c *Chrome) do(steps ...chromedp.Action[chromedp.Void]) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.ctx, patience)
	defer cancel()
	require.NoError(c.t, chromedp.Do(ctx, steps...))
}

// load does what loads a page.
func (c *Chrome) load(steps ...chromedp.Action[chromedp.Void]) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.ctx, patience)
	defer cancel()
	response, err := chromedp.RunResponse(ctx, steps...)
	require.NoError(c.t, err)
	c.status = response.Status
}

// evaluate returns what an expression of chromeJS is.
func evaluate[T any](c *Chrome, format string, args ...any) T {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.ctx, patience)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression(format, args...), chromedp.EvalAwaitPromise))
	require.NoError(c.t, err, format)
	return value
}

// expression returns an expression in which chromeJS is known, with arguments as JSON.
func expression(format string, args ...any) string {
	for i, arg := range args {
		text, err := json.Marshal(arg)
		if err != nil {
			panic(err) // only strings and maps of them are passed
		}
		args[i] = text
	}
	return "(() => {" + chromeJS + "\nreturn " + fmt.Sprintf(format, args...) + "})()"
}

// Open goes to an address.
func (c *Chrome) Open(address string) {
	c.t.Helper()
	c.load(chromedp.Navigate(address))
}

// Follow clicks the link that reads text.
func (c *Chrome) Follow(text string) {
	c.t.Helper()
	c.load(c.click("link", text))
}

// Submit fills in, by the labels that a person reads, the form with the button that reads button,
// and clicks it. A box or a choice is ticked by any value, and by "" it is not.
func (c *Chrome) Submit(button string, fields map[string]string) {
	c.t.Helper()
	c.Fill(button, fields)
	c.load(c.click("button", button))
}

// Fill is Submit without the click.
func (c *Chrome) Fill(button string, fields map[string]string) {
	c.t.Helper()
	if c.keys {
		c.enter(button, fields)
		return
	}
	for label, value := range fields {
		if evaluate[bool](c, "prepare(%s, %s, %s)", button, label, value) {
			field := chromedp.JSPath(expression("field(%s, %s)", button, label))
			c.do(chromedp.SendKeys(field, value))
		}
	}
}

// Buttons returns the texts of the buttons that begin with text.
func (c *Chrome) Buttons(text string) []string {
	c.t.Helper()
	return evaluate[[]string](c, "buttons(%s)", text)
}

// Press clicks the button that reads text and loads no page, and waits until one reads after.
func (c *Chrome) Press(text, after string) {
	c.t.Helper()
	c.do(c.click("button", text))
	require.Eventually(c.t, func() bool { return len(c.Buttons(after)) > 0 }, patience, 10*time.Millisecond, "no button reads %s", after)
}

// enter is Fill by the keyboard.
func (c *Chrome) enter(button string, fields map[string]string) {
	c.t.Helper()
	keys := map[string]string{"up": kb.ArrowUp, "down": kb.ArrowDown, "space": " "}
	left := maps.Clone(fields)
	for len(left) > 0 {
		c.tabTo(fmt.Sprintf("%s: %v", button, left), func() bool {
			at := evaluate[struct {
				Label, Key string
				Times      int
			}](c, "place(%s, %s)", button, left)
			keys["type"] = cmp.Or(left[at.Label], kb.Delete) // in the place of what is there, which is selected
			for range at.Times {
				c.do(chromedp.KeyEvent(keys[at.Key]))
			}
			delete(left, at.Label)
			return at.Label != ""
		})
	}
}

// tabTo presses the tab key until it is at what it is to get to.
func (c *Chrome) tabTo(what string, there func() bool) {
	c.t.Helper()
	for range 2*len(evaluate[[]string](c, "controls()")) + 2 {
		c.do(chromedp.KeyEvent(kb.Tab))
		if there() {
			return
		}
	}
	require.Fail(c.t, "the keyboard does not get to a field", "%s", what)
}

func (c *Chrome) click(what, text string) chromedp.Action[chromedp.Void] {
	if c.keys {
		c.t.Helper()
		c.tabTo(what+" "+text, func() bool { return evaluate[bool](c, "at(%s, %s)", what, text) })
		return chromedp.KeyEvent(kb.Enter)
	}
	return chromedp.Click(chromedp.JSPath(expression(what+"(%s)", text)))
}

// Status returns that of the answer with the page.
func (c *Chrome) Status() int { return int(c.status) }

// Text returns what a person reads on the page.
func (c *Chrome) Text() string {
	c.t.Helper()
	return strings.Join(strings.Fields(evaluate[string](c, `document.body?.innerText ?? ""`)), " ")
}

// Of returns the text of the element with an ID.
func (c *Chrome) Of(id string) string {
	c.t.Helper()
	return evaluate[string](c, "document.getElementById(%s).innerText", id)
}

// Picture returns the image at a CSS selector as it is on the screen, as PNG.
func (c *Chrome) Picture(selector string) []byte {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.ctx, patience)
	defer cancel()
	data, err := chromedp.Run(ctx, chromedp.Screenshot(chromedp.CSS(selector)))
	require.NoError(c.t, err)
	return data
}

// An Inspector checks pages for everybody who uses them.
type Inspector struct {
	axe  string // the source
	dir  string // of screenshots; "": none
	seen map[string]bool
}

// NewInspector returns an Inspector, which puts a picture of each page into the folder
// NPMAUTH_SCREENSHOTS, if there is such a variable.
func NewInspector(t testing.TB) *Inspector {
	t.Helper()
	source, err := os.ReadFile(clients("axe-core", "axe.min.js"))
	if err != nil {
		missing(t, "axe-core", false)
	}
	return &Inspector{axe: string(source), dir: os.Getenv("NPMAUTH_SCREENSHOTS"), seen: map[string]bool{}}
}

// Inspect checks the page in c, which is called name: axe-core finds nothing in it, in light and in
// dark; the keyboard reaches all of it; and it needs no more than 320 pixels.
func (in *Inspector) Inspect(c *Chrome, name string) {
	c.t.Helper()
	require.False(c.t, in.seen[name], "two pages are called %s", name)
	in.seen[name] = true
	if !c.script { // axe-core is one, so that what is there without scripts has to stay
		c.do(chromedp.Evaluate[chromedp.Void](`document.querySelectorAll("noscript").forEach(e => e.replaceWith(...e.childNodes))`), scripts(true))
		defer c.do(scripts(false))
	}
	c.do(chromedp.Evaluate[chromedp.Void](in.axe))
	for _, scheme := range []string{"light", "dark"} {
		c.do(colours(scheme))
		assert.Empty(c.t, evaluate[[]string](c, "audit(%s)", scheme), "axe-core on %s in %s", name, scheme)
		in.picture(c, name+"-"+scheme)
	}
	c.do(colours("light"), phone)
	in.picture(c, name+"-phone")
	c.do(narrow)
	assert.Empty(c.t, evaluate[[]string](c, "outside()"), "%s is wider than 320 pixels", name)
	c.do(desktop)
	in.tab(c, name)
}

func scripts(run bool) chromedp.Action[chromedp.Void] {
	return command(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !run})
}

func colours(scheme string) chromedp.Action[chromedp.Void] {
	return command(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
}

// toStart has the tab key begin at the start of the page.
const toStart = `document.body.tabIndex = -1; document.body.focus(); document.body.removeAttribute("tabindex")`

// tab goes through the page by its keyboard, in the order of the page.
func (in *Inspector) tab(c *Chrome, name string) {
	c.t.Helper()
	controls := evaluate[[]string](c, "controls()")
	c.do(chromedp.Evaluate[chromedp.Void](toStart))
	reached := []string{}
	for range controls {
		c.do(chromedp.KeyEvent(kb.Tab))
		at := evaluate[string](c, "focused()")
		reached = append(reached, at)
	}
	assert.Equal(c.t, controls, reached, "the keyboard on %s", name)
	c.do(colours("dark"))
	assert.Equal(c.t, controls, evaluate[[]string](c, "rings()"), "the keyboard on %s in dark", name)
	c.do(colours("light"), chromedp.Evaluate[chromedp.Void](toStart))
}

func (in *Inspector) picture(c *Chrome, name string) {
	c.t.Helper()
	if in.dir == "" {
		return
	}
	ctx, cancel := context.WithTimeout(c.ctx, patience)
	defer cancel()
	data, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	require.NoError(c.t, err)
	require.NoError(c.t, os.MkdirAll(in.dir, 0o755))
	require.NoError(c.t, os.WriteFile(filepath.Join(in.dir, name+".png"), data, 0o644))
}

// Key plugs a security key into the window that keeps passkeys and knows its user by a PIN.
func (c *Chrome) Key() {
	c.t.Helper()
	c.do(
		command(webauthn.Enable, webauthn.EnableParams{}),
		command(webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &webauthn.VirtualAuthenticatorOptions{
			Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportUsb,
			HasResidentKey: true, HasUserVerification: true, IsUserVerified: true, AutomaticPresenceSimulation: true,
		}}),
	)
}

// Push clicks the button that reads text, after which a page is loaded.
func (c *Chrome) Push(text string) {
	c.t.Helper()
	c.load(c.click("button", text))
}

// Touch clicks the button that reads text, and waits until the page says what it reads after: without
// loading another.
func (c *Chrome) Touch(text, after string) {
	c.t.Helper()
	c.do(c.click("button", text))
	c.Await(after)
}

// Forge gives all hidden fields of a name another value.
func (c *Chrome) Forge(field, value string) {
	c.t.Helper()
	c.do(chromedp.Evaluate[chromedp.Void](expression("document.getElementsByName(%s).forEach(e => { e.value = %s; })", field, value)))
}

// Await waits until the page says text.
func (c *Chrome) Await(text string) {
	c.t.Helper()
	require.Eventually(c.t, func() bool { return strings.Contains(c.Text(), text) }, patience, 10*time.Millisecond, "the page does not say %s", text)
}
