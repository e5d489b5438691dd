package integration

import (
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A Browser is a person's browser, as far as a page without JavaScript needs one.
type Browser struct {
	t      testing.TB
	client *http.Client
}

// NewBrowser opens a browser without cookies.
func NewBrowser(t testing.TB) *Browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	return &Browser{t: t, client: &http.Client{Jar: jar}}
}

// A Page is what a browser shows.
type Page struct {
	URL    *url.URL
	Status int
	HTML   string
}

// Text returns what a person reads.
func (p Page) Text() string {
	return strings.Join(strings.Fields(html.UnescapeString(tags.ReplaceAllString(p.HTML, " "))), " ")
}

var (
	tags  = regexp.MustCompile(`(?s)<[^>]*>`)
	forms = regexp.MustCompile(`(?s)<form method="post" action="([^"]*)"[^>]*>(.*?)</form>`)
	// The inputs of a form that have a value; what a person fills in is not among them.
	hidden = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
)

// Open goes to an address.
func (b *Browser) Open(address string) Page {
	b.t.Helper()
	req, err := http.NewRequest(http.MethodGet, address, nil)
	require.NoError(b.t, err)
	return b.do(req)
}

// Follow clicks the link of a page that reads text.
func (b *Browser) Follow(p Page, text string) Page {
	b.t.Helper()
	link := regexp.MustCompile(`<a href="([^"]*)">` + regexp.QuoteMeta(text) + `</a>`).FindStringSubmatch(p.HTML)
	require.NotNil(b.t, link, "the page has no link %q\n%s", text, p.HTML)
	to, err := p.URL.Parse(html.UnescapeString(link[1]))
	require.NoError(b.t, err)
	return b.Open(to.String())
}

// Submit fills in the form of a page that decides as wanted, by a hidden field or by a button, and
// sends it.
func (b *Browser) Submit(p Page, decision string, fields map[string]string) Page {
	b.t.Helper()
	for _, form := range forms.FindAllStringSubmatch(p.HTML, -1) {
		values := url.Values{}
		for _, in := range hidden.FindAllStringSubmatch(form[2], -1) {
			values.Set(html.UnescapeString(in[1]), html.UnescapeString(in[2]))
		}
		if button := `<button type="submit" name="decision" value="` + html.EscapeString(decision) + `"`; strings.Contains(form[2], button) {
			values.Set("decision", decision)
		}
		if values.Get("decision") != decision {
			continue
		}
		for name, value := range fields {
			require.Contains(b.t, form[2], `name="`+name+`"`, "the form has no such field")
			values.Set(name, value)
		}
		action, err := p.URL.Parse(html.UnescapeString(form[1]))
		require.NoError(b.t, err)
		req, err := http.NewRequest(http.MethodPost, action.String(), strings.NewReader(values.Encode()))
		require.NoError(b.t, err)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", p.URL.Scheme+"://"+p.URL.Host)
		req.Header.Set("Sec-Fetch-Site", "same-origin")
		return b.do(req)
	}
	require.Fail(b.t, "the page has no such form", "%s\n%s", decision, p.HTML)
	return Page{}
}

// Approve opens the page at address and agrees to what it asks.
func (b *Browser) Approve(address string, fields map[string]string) Page {
	b.t.Helper()
	p := b.Submit(b.Open(address), "approve", fields)
	require.Equal(b.t, http.StatusOK, p.Status, p.HTML)
	return p
}

func (b *Browser) do(req *http.Request) Page {
	b.t.Helper()
	req.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	res, err := b.client.Do(req)
	require.NoError(b.t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(b.t, err)
	return Page{URL: res.Request.URL, Status: res.StatusCode, HTML: string(body)}
}
