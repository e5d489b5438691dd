package main

import (
	"context"
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

var (
	forms  = regexp.MustCompile(`(?s)<form method="post" action="([^"]*)">(.*?)</form>`)
	fields = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
)

// denyLogin begins a web login and denies it on its page.
func denyLogin(ctx context.Context, t *target, from source) (string, error) {
	status, text, err := call{from: from, method: http.MethodPost, path: "-/v1/login", body: struct{}{}}.send(ctx, t.Base)
	if err != nil || status != http.StatusOK {
		return strconv.Itoa(status), err
	}
	var begun struct{ LoginURL string }
	if err := json.Unmarshal(text, &begun); err != nil {
		return "", err
	}
	page := call{from: from, method: http.MethodGet, path: strings.TrimPrefix(begun.LoginURL, t.Base)}
	req, err := page.request(ctx, t.Base)
	if err != nil {
		return "", err
	}
	shown, err := read(from, req)
	if err != nil || shown.status != http.StatusOK {
		return "page " + strconv.Itoa(shown.status), err
	}
	for _, form := range forms.FindAllStringSubmatch(string(shown.text), -1) {
		values := url.Values{}
		for _, in := range fields.FindAllStringSubmatch(form[2], -1) {
			values.Set(html.UnescapeString(in[1]), html.UnescapeString(in[2]))
		}
		if values.Get("decision") != "deny" {
			continue
		}
		page.method, page.body = http.MethodPost, []byte(values.Encode())
		page.header = map[string]string{"Content-Type": "application/x-www-form-urlencoded", "Origin": strings.TrimSuffix(t.Base, "/"), "Sec-Fetch-Site": "same-origin"}
		post, err := page.request(ctx, t.Base)
		if err != nil {
			return "", err
		}
		for _, c := range shown.cookies {
			post.AddCookie(c)
		}
		a, err := read(from, post)
		return strconv.Itoa(a.status), err
	}
	return "no form", nil
}
