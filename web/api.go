package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/session"
)

// A caller sends requests of a member to the registry's API, within the process: what a page does
// is decided where npm's requests are, by the same rules, and recorded like them.
type caller struct {
	p *Pages
	r *http.Request // for the page
	v visit

	asksKey bool // for what a security key signs, which the answer to a missing factor has
}

// An apiError is a refusal of the API.
type apiError struct {
	status   int
	code     string // of package wire
	sentence string // for the person
	retry    string // the Retry-After header
	factor   bool   // a second factor is missing or wrong
	key      []byte // what a security key signs; nil: none
}

func (e *apiError) Error() string { return fmt.Sprintf("web: the API answers %d %s", e.status, e.code) }

// refuses reports whether err is an answer of the API that says no, and not that something broke.
func refuses(err error) bool {
	e, ok := errors.AsType[*apiError](err)
	return ok && e.status < http.StatusInternalServerError
}

// errSignedOut means that the session has ended.
var errSignedOut = errors.New("web: the session has ended")

// notForwarded are headers of the browser that are about its own request.
var notForwarded = []string{
	"Accept", "Accept-Encoding", "Authorization", "Connection", "Content-Encoding", "Content-Length", "Content-Type", "Cookie",
	"Expect", "If-Match", "If-Modified-Since", "If-None-Match", "If-Range", "If-Unmodified-Since", "Origin", "Range", "Referer", "Te", "Trailer",
	"Transfer-Encoding", "Upgrade",
}

// call sends body, unless it is nil, to the address path below the base URL, with a code unless that
// is zero, and decodes the answer into the value that into points to, unless it is nil. A refusal is
// an [*apiError], or errSignedOut.
func (c caller) call(ctx context.Context, code credential.Secret, method, path string, body, into any) error {
	var data []byte
	if body != nil {
		var err error
		if data, err = json.Marshal(body); err != nil {
			return err
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, c.p.prefix+"/"+path, bytes.NewReader(data))
	if err != nil {
		return err
	}
	r.RequestURI, r.RemoteAddr, r.Host, r.TLS = r.URL.RequestURI(), c.r.RemoteAddr, c.r.Host, c.r.TLS
	r.Header = c.r.Header.Clone() // a proxy's among them
	for _, name := range notForwarded {
		r.Header.Del(name)
	}
	for name := range r.Header {
		if strings.HasPrefix(name, "Npm-") || strings.HasPrefix(name, "Sec-") {
			delete(r.Header, name)
		}
	}
	r.Header.Set("Authorization", "Bearer "+c.v.member.secret.Reveal())
	r.Header.Set("Npm-Auth-Type", "legacy") // the answer to a missing code needs no page of its own
	if c.asksKey {
		r.Header.Set("Npm-Auth-Type", "security-key")
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if !code.IsZero() {
		r.Header.Set("Npm-Otp", code.Reveal())
	}
	answer := &answer{header: http.Header{}}
	c.p.cfg.API.ServeHTTP(answer, r)
	err = answer.decode(into)
	if refused, ok := errors.AsType[*apiError](err); ok && refused.status == http.StatusUnauthorized && !refused.factor {
		// A wrong password, or the session.
		switch _, ended := c.p.cfg.Sessions.Verify(ctx, c.v.member.secret); {
		case errors.Is(ended, session.ErrNoSession):
			return errSignedOut
		case ended != nil:
			return ended
		}
	}
	return err
}

// An answer is the [http.ResponseWriter] of a call.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(status int) {
	if a.status == 0 && status >= 200 {
		a.status = status
	}
}

func (a *answer) Write(data []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(data)
}

func (a *answer) decode(into any) error {
	switch {
	case a.status == 0 || a.status >= 600:
		return fmt.Errorf("web: the API answers %d", a.status)
	case a.status < 300:
		if into == nil {
			return nil
		}
		return json.Unmarshal(a.body.Bytes(), into)
	}
	var why struct {
		Message string `json:"message"`
		Error   string `json:"error"`
		Code    string `json:"code"`

		Key json.RawMessage `json:"webauthn"`
	}
	if err := json.Unmarshal(a.body.Bytes(), &why); err != nil {
		return fmt.Errorf("web: the API answers %d: %w", a.status, err)
	}
	e := &apiError{status: a.status, code: why.Code, sentence: why.Message, retry: a.header.Get("Retry-After"), key: why.Key}
	if e.sentence == "" {
		e.sentence = why.Error
	}
	e.factor = a.status == http.StatusUnauthorized && strings.Contains(strings.ToLower(a.header.Get("WWW-Authenticate")), "otp")
	return e
}

// query returns the query of an address that the API gave, for a page that lists the same.
func query(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.RawQuery
}
