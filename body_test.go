package npmauth_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/protocol"
)

// JB-06: a value of another type is refused, and what is null was not said: it never
// makes a token that can do more.
func TestTokenRequestTypes(t *testing.T) {
	w := newWorld(t)
	w.person("alice")
	w.enrol("alice", protocol.AuthOnly)
	s := w.login("alice")
	for field, wrong := range map[string][]string{
		"readonly":                       {`"true"`, `"false"`, `1`, `0`, `[]`, `{}`},
		"packages_all":                   {`"true"`, `1`, `[]`, `{}`},
		"bypass_2fa":                     {`"true"`, `1`, `[]`, `{}`},
		"packages":                       {`"plain"`, `1`, `true`, `{}`, `[1]`, `[null]`, `[["plain"]]`},
		"scopes":                         {`"@acme"`, `{}`, `[null]`},
		"orgs":                           {`"acme"`, `{}`, `[null]`},
		"cidr_whitelist":                 {`"10.0.0.0/8"`, `{}`, `[null]`, `[10]`},
		"packages_and_scopes_permission": {`1`, `true`, `[]`, `["read-write"]`},
		"name":                           {`1`, `true`, `["x"]`, `{}`},
		"expires":                        {`true`, `[]`, `{}`, `[1]`, `""`},
		"password":                       {`1`, `null`, `[]`},
	} {
		for _, value := range wrong {
			fields := map[string]string{"password": `"` + password + `"`, "packages_all": "true"}
			if field == "packages" || field == "scopes" {
				delete(fields, "packages_all")
			}
			fields[field] = value
			var parts []string
			for k, v := range fields {
				parts = append(parts, `"`+k+`":`+v)
			}
			a := w.do(call{method: "POST", path: "/-/npm/v1/tokens", bearer: s, body: "{" + strings.Join(parts, ",") + "}"})
			assert.Equal(t, 400, a.Code, "%s: %s: %s", field, value, a.Body)
		}
	}
	for _, null := range []string{"readonly", "packages_all", "bypass_2fa"} {
		a := w.do(call{method: "POST", path: "/-/npm/v1/tokens", bearer: s, body: `{"password":"` + password + `","` + null + `":null}`})
		assert.Equal(t, 400, a.Code, "%s: a token for nothing", null)
	}
	a := w.create(s, w.code("alice"), map[string]any{"packages": []string{"plain"}, "readonly": (*bool)(nil), "bypass_2fa": (*bool)(nil), "packages_and_scopes_permission": (*string)(nil)})
	require.Equal(t, 201, a.Code, a.Body.String())
	assert.Equal(t, true, a.json["readonly"])
	assert.Equal(t, false, a.json["bypass_2fa"])
	assert.Equal(t, []any{map[string]any{"type": "package", "name": "plain"}}, a.json["scopes"])
}

// JB-17: a date is one of RFC 3339, as its grammar has it.
func TestTokenRequestDates(t *testing.T) {
	w := newWorld(t) // it is noon of 2026-03-01
	w.person("alice")
	w.enrol("alice", protocol.AuthOnly)
	s := w.login("alice")
	for _, date := range []string{
		"2026-02-30", "2026-3-9", "2026-03-09T12:00:00", "2026-03-09t12:00:00z", "2026-03-09T12:00:00z", "2026-03-09 12:00:00Z", "2026-03-09T23:59:60Z",
		"2026-03-09T24:00:00Z", "2026-03-09T1:00:00Z", "2026-03-09T01:00:00,5Z", "2026-03-09T01:00:00+24:00", "2026-03-09T01:00:00+01:60",
		"2026-03-09T01:00:00+0100", "2026-03-09T01:00Z", "26-03-09", "+002026-03-09", " 2026-03-09", "2026-03-09\n", "NaN", "never", "9",
	} {
		assert.Equal(t, 400, w.create(s, "", map[string]any{"packages_all": true, "expires": date}).Code, "%q", date)
	}
	for date, want := range map[string]string{
		"2026-03-09":                "2026-03-09T00:00:00Z",
		"2026-03-09T12:00:00Z":      "2026-03-09T12:00:00Z",
		"2026-03-09T12:00:00+02:00": "2026-03-09T10:00:00Z",
		"2026-03-09T12:00:00.25Z":   "2026-03-09T12:00:00.25Z",
	} {
		a := w.create(s, w.code("alice"), map[string]any{"packages_all": true, "expires": date})
		require.Equal(t, 201, a.Code, "%s: %s", date, a.Body)
		assert.Equal(t, want, a.text("expires"))
	}
}

// JB-10: a report is what was signed, and is never unpacked.
func TestCompressedReport(t *testing.T) {
	s := newScanner(t)
	w := newWorld(t, s.keys)
	w.person("alice")
	bearer := w.login("alice")
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, err := io.WriteString(z, `[{"token":"`+bearer+`","type":"x"}]`)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	a := s.send(w, packed.Bytes(), map[string]string{"Content-Encoding": "gzip"})
	assert.Equal(t, 415, a.Code, a.Body.String())
	assert.Equal(t, 400, s.send(w, packed.Bytes(), nil).Code, "nor is it unpacked for what it looks like")
	assert.Equal(t, 200, whoami(w, bearer))
	assert.Equal(t, 200, s.send(w, []byte(`[{"token":"`+bearer+`","type":"x"}]`), map[string]string{"Content-Encoding": "identity"}).Code)
	assert.Equal(t, 401, whoami(w, bearer))
}

// JB-16: JSON is UTF-8 and begins at once.
func TestOtherEncodings(t *testing.T) {
	w := newWorld(t)
	w.person("alice")
	s := w.login("alice")
	text := `{"password":"` + password + `","packages_all":true}`
	for name, order := range map[string][2]int{"UTF-16LE": {0, 1}, "UTF-16BE": {1, 0}} {
		for _, mark := range []string{"", "\ufeff"} {
			var data []byte
			for _, u := range utf16.Encode([]rune(mark + text)) {
				two := [2]byte{byte(u), byte(u >> 8)}
				data = append(data, two[order[0]], two[order[1]])
			}
			for _, path := range []string{"/-/npm/v1/tokens", "/-/npm/v1/user", "/-/v1/login"} {
				a := w.do(call{method: "POST", path: path, bearer: s, body: data, header: map[string]string{"Content-Type": "application/json; charset=utf-16"}})
				assert.GreaterOrEqual(t, a.Code, 400, "%s %s", name, path)
			}
		}
	}
	assert.Equal(t, 400, w.do(call{method: "POST", path: "/-/npm/v1/tokens", bearer: s, body: "\ufeff" + text}).Code)
	assert.Equal(t, 201, w.do(call{method: "POST", path: "/-/npm/v1/tokens", bearer: s, body: text}).Code)
}

// JB-11: whoever sends a body byte by byte waits alone. No place in the password queue
// is theirs before the whole has come.
func TestSlowBodiesHoldNobodyUp(t *testing.T) {
	hasher, err := account.NewHasher(account.HasherConfig{Workers: 1})
	require.NoError(t, err)
	w := newWorld(t, func(cfg *npmauth.Config) { cfg.Hasher = hasher })
	w.person("alice")
	s := w.login("alice")
	var ends []*io.PipeWriter
	done := make(chan int)
	for range 40 {
		for _, rt := range []route{{"PUT", "/-/user/org.couchdb.user:alice", ""}, {"POST", "/-/npm/v1/tokens", ""}, {"POST", "/-/npm/v1/user", ""}} {
			r, end := io.Pipe()
			ends = append(ends, end)
			go func() {
				req := httptest.NewRequestWithContext(t.Context(), rt.method, rt.path, r)
				req.Header.Set("Content-Type", "application/json")
				req.Header.Set("Authorization", "Bearer "+s)
				rec := httptest.NewRecorder()
				w.handler.ServeHTTP(rec, req)
				r.Close()
				done <- rec.Code
			}()
			_, err := io.WriteString(end, "{") // it is being read
			require.NoError(t, err)
		}
	}
	a := w.do(call{method: "PUT", path: "/-/user/org.couchdb.user:alice", body: couch("alice", password)})
	assert.Equal(t, 201, a.Code, a.Body.String())
	assert.Equal(t, 201, w.create(s, "", map[string]any{"packages_all": true}).Code)
	for _, end := range ends {
		end.CloseWithError(io.ErrUnexpectedEOF) // their server's deadline
	}
	for range ends {
		assert.GreaterOrEqual(t, <-done, 400)
	}
}
