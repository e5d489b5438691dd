package web_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/fuzzbound"
)

// CS-01 to CS-04: a form that the page itself did not send, in the browser that loaded it,
// decides nothing, even with the right password.
func TestForeignForms(t *testing.T) {
	w := newWorld(t, prefixed)
	for _, tt := range []struct {
		name   string
		change func(b *browser, form url.Values)
	}{
		{"CS-01 cross-site", func(b *browser, _ url.Values) { b.header.Set("Sec-Fetch-Site", "cross-site") }},
		{"CS-01 foreign origin", func(b *browser, _ url.Values) {
			b.header["Sec-Fetch-Site"], b.header["Origin"] = []string{""}, []string{"https://evil.test"}
		}},
		{"CS-01 opaque origin", func(b *browser, _ url.Values) {
			b.header["Sec-Fetch-Site"], b.header["Origin"] = []string{""}, []string{"null"}
		}},
		{"CS-02 same site", func(b *browser, _ url.Values) { b.header.Set("Sec-Fetch-Site", "same-site") }},
		{"CS-03 silent and without token", func(b *browser, form url.Values) {
			b.header["Sec-Fetch-Site"] = []string{""}
			form.Del("token")
		}},
		{"CS-03 empty token", func(_ *browser, form url.Values) { form.Set("token", "") }},
		{"CS-03 wrong token", func(_ *browser, form url.Values) { form.Set("token", form.Get("token")+"A") }},
		{"token of another page", func(b *browser, form url.Values) {
			form.Set("token", b.form(loginPath(w.startLogin())).Get("token"))
		}},
		{"token of another kind of page", func(b *browser, form url.Values) {
			form.Set("token", b.form(challengePath(w.startChallenge())).Get("token"))
		}},
		{"no cookie", func(b *browser, _ url.Values) { clear(b.cookies) }},
		{"cookie of another browser", func(b *browser, _ url.Values) {
			other := w.browser()
			other.form(loginPath(w.startLogin()))
			b.cookies = other.cookies
		}},
		{"CS-04 second cookie, with its token", func(b *browser, form url.Values) {
			other := w.browser()
			form.Set("token", other.form(b.last).Get("token"))
			b.header.Set("Cookie", "__Host-npmauth-f0ebb72e="+other.cookies["__Host-npmauth-f0ebb72e"].Value)
		}},
		{"CS-04 cookie that a subdomain can set", func(b *browser, _ url.Values) {
			b.cookies["npmauth"], b.cookies["__Host-npmauth-f0ebb72e"] = b.cookies["__Host-npmauth-f0ebb72e"], b.cookies["npmauth"]
			b.cookies["npmauth"].Name = "npmauth"
			delete(b.cookies, "__Host-npmauth-f0ebb72e")
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := w.browser()
			f := w.startLogin()
			form := b.form(loginPath(f), "decision", "approve", "name", "bob", "password", bobPassword)
			tt.change(b, form)
			before, calls := w.dump(), w.calls
			rec := b.do(http.MethodPost, loginPath(f), form.Encode())
			assert.Equal(t, http.StatusForbidden, rec.Code)
			assert.Contains(t, rec.Body.String(), "The form was not accepted")
			assert.Equal(t, calls, w.calls)
			assert.Equal(t, before, w.dump())
		})
	}
}

// Forms of the page itself, from browsers that send fewer headers.
func TestOwnForms(t *testing.T) {
	for name, header := range map[string]http.Header{
		"same origin":                  {"Sec-Fetch-Site": {"same-origin"}},
		"typed by the person":          {"Sec-Fetch-Site": {"none"}},
		"origin only":                  {"Sec-Fetch-Site": {""}, "Origin": {"http://npm.acme.test"}},
		"behind a proxy, other Host":   {"Sec-Fetch-Site": {""}, "Origin": {"https://npm.acme.test"}},
		"neither, with cookie and all": {"Sec-Fetch-Site": {""}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, prefixed)
			b := w.browser()
			b.header = header
			rec := b.submit(loginPath(w.startLogin()), "decision", "approve", "name", "bob", "password", bobPassword)
			assert.Equal(t, http.StatusSeeOther, rec.Code)
		})
	}
}

func TestMalformedForms(t *testing.T) {
	w := newWorld(t, prefixed)
	f := w.startLogin()
	b := w.browser()
	good := b.form(loginPath(f), "decision", "approve", "name", "bob", "password", bobPassword).Encode()
	before := w.dump()
	post := func(body string) int { return b.do(http.MethodPost, loginPath(f), body).Code }
	assert.Equal(t, http.StatusBadRequest, post(good+"&name=alice"), "HS: a field twice")
	assert.Equal(t, http.StatusBadRequest, post(good+"&%zz=1"))
	assert.Equal(t, http.StatusBadRequest, post(strings.Replace(good, "approve", "maybe", 1)))
	assert.Equal(t, http.StatusBadRequest, post(strings.Replace(good, "decision", "x", 1)))
	assert.Equal(t, http.StatusRequestEntityTooLarge, post(good+"&x="+strings.Repeat("x", 64<<10)))
	for _, typ := range []string{"application/json", "multipart/form-data; boundary=x", "text/plain", ""} {
		b.header["Content-Type"] = []string{typ}
		assert.Equal(t, http.StatusUnsupportedMediaType, post(good), typ)
	}
	delete(b.header, "Content-Type")
	b.header.Set("Content-Encoding", "gzip")
	assert.Equal(t, http.StatusUnsupportedMediaType, post(good))
	b.header["Content-Encoding"] = []string{"identity", "gzip"} // AU-52
	assert.Equal(t, http.StatusUnsupportedMediaType, post(good))
	delete(b.header, "Content-Encoding")

	// The URL must have no field.
	rec := b.do(http.MethodPost, loginPath(f)+"?"+good, "")
	assert.Equal(t, http.StatusForbidden, rec.Code)
	assert.Zero(t, w.calls)
	assert.Equal(t, before, w.dump())
	require.Equal(t, http.StatusSeeOther, post(good), "it was a good one")
}

// A form decides something only if its page's token and cookie came with it, however its bytes are
// taken apart.
func FuzzForm(f *testing.F) {
	for _, seed := range []string{"decision=approve&name=alice&password=x", "token=%zz", "a;b", "token=&token=", "name=%00&name", "&&&=&a=b+c%20", "decision=deny", strings.Repeat("a&", 100)} {
		f.Add(seed, "__Host-npmauth-f0ebb72e="+strings.Repeat("A", 26))
	}
	w := newWorld(f, prefixed)
	path := loginPath(w.startLogin())
	f.Fuzz(func(t *testing.T, body, cookies string) {
		send := func(body string) *httptest.ResponseRecorder {
			b := w.browser()
			b.header["Cookie"] = []string{cookies}
			rec := b.do(http.MethodPost, path, body)
			require.Contains(t, []int{http.StatusBadRequest, http.StatusForbidden}, rec.Code)
			return rec
		}
		fuzzbound.Check(t, body, fuzzbound.Bounds{Memory: fuzzbound.Limit{Base: 128 << 10, PerByte: 512}, Work: fuzzbound.Limit{Base: 16 << 10}}, func(body string) int {
			return send(body).Body.Len()
		})
		fuzzbound.Check(t, cookies, fuzzbound.Bounds{Memory: fuzzbound.Limit{Base: 128 << 10, PerByte: 512}, Work: fuzzbound.Limit{Base: 16 << 10}}, func(line string) int {
			b := w.browser()
			b.header["Cookie"] = []string{line}
			return b.get(path).Body.Len()
		})
	})
}
