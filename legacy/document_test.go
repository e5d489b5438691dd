package legacy_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/fuzzbound"
	"github.com/npmauth/npmauth/internal/jsontest"
	"github.com/npmauth/npmauth/legacy"
)

func put(name, body string) *http.Request {
	r := httptest.NewRequest(http.MethodPut, "/-/user/org.couchdb.user:"+name, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	return r
}

// adduser is a PUT of npm adduser.
func adduser(name, body string) *http.Request {
	r := put(name, body)
	r.Header.Set("Npm-Command", "adduser")
	return r
}

const aliceLogin = `{"name":"alice","password":"correct horse"}`

func TestBody(t *testing.T) {
	pad := func(n int) string { // a document of n bytes
		return aliceLogin[:len(aliceLogin)-1] + strings.Repeat(" ", n-len(aliceLogin)) + "}"
	}
	for _, tt := range []struct {
		name string
		body string
		want int
	}{
		{"largest", pad(legacy.MaxBody), http.StatusCreated},
		{"JB-09 one byte more", pad(legacy.MaxBody + 1), http.StatusRequestEntityTooLarge},
		{"JB-02 case-folded key", `{"name":"alice","NAME":"bob","password":"correct horse"}`, http.StatusBadRequest},
		{"JB-03 key equal when unescaped", `{"name":"alice","na\u006de":"alice","password":"correct horse"}`, http.StatusBadRequest},
		{"JB-07 invalid UTF-8", `{"name":"alice","password":"correct horse` + "\xff" + `"}`, http.StatusBadRequest},
		{"JB-07 lone surrogate", `{"name":"alice","password":"\ud800"}`, http.StatusBadRequest},
		{"JB-08 deep", `{"name":"alice","password":"correct horse","roles":` + strings.Repeat("[", 20000), http.StatusBadRequest},
		{"JB-16 byte order mark", "\ufeff" + aliceLogin, http.StatusBadRequest},
		{"password is no string", `{"name":"alice","password":["correct horse"]}`, http.StatusBadRequest},
		{"nothing", ``, http.StatusBadRequest},
		{"null", `null`, http.StatusBadRequest},
		{"a list", `[]`, http.StatusBadRequest},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPeople()
			w := serve(newHandler(t, p.config()), put("alice", tt.body))
			assert.Equal(t, tt.want, w.Code, "%s", w.Body)
			assert.Zero(t, p.denied, "nobody was asked")
		})
	}
}

// JB-09: a body without a Content-Length, or with a false one, is read up to the limit only.
func TestBodyIsNotReadOn(t *testing.T) {
	endless := &counter{Reader: strings.NewReader(`{"name":"alice","password":"` + strings.Repeat("x", 10<<20))}
	r := put("alice", "")
	r.Body, r.ContentLength = io.NopCloser(endless), -1
	w := serve(newHandler(t, newPeople().config()), r)
	assert.Equal(t, http.StatusRequestEntityTooLarge, w.Code)
	assert.LessOrEqual(t, endless.n, 2*legacy.MaxBody)
}

type counter struct {
	io.Reader
	n int
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	c.n += n
	return n, err
}

func TestMediaType(t *testing.T) {
	for _, tt := range []struct {
		name, field, value string
		want               int
	}{
		{"charset", "Content-Type", "application/json; charset=utf-8", http.StatusCreated},
		{"JB-12 form", "Content-Type", "application/x-www-form-urlencoded", http.StatusUnsupportedMediaType},
		{"JB-12 text", "Content-Type", "text/plain", http.StatusUnsupportedMediaType},
		{"JB-12 none", "Content-Type", "", http.StatusUnsupportedMediaType},
		{"JB-10 compressed", "Content-Encoding", "gzip", http.StatusUnsupportedMediaType},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := put("alice", aliceLogin)
			r.Header.Set(tt.field, tt.value)
			assert.Equal(t, tt.want, serve(newHandler(t, newPeople().config()), r).Code)
		})
	}
	for field, lines := range map[string][]string{"Content-Type": {"application/json", "application/json"}, "Content-Encoding": {"identity", "gzip"}} { // AU-52
		r := put("alice", aliceLogin)
		r.Header[field] = lines
		assert.Equal(t, http.StatusUnsupportedMediaType, serve(newHandler(t, newPeople().config()), r).Code, field)
	}
}

// LG-09
func TestName(t *testing.T) {
	p := newPeople()
	p.users["J.D_e-1!~*'()"] = person{password: "pw"}
	h := newHandler(t, p.config())
	body := func(name string) string { return `{"name":"` + name + `","password":"pw"}` }
	direct := func(name string) int {
		w := httptest.NewRecorder()
		h.Put(w, put("x", body(name)), name)
		return w.Code
	}
	assert.Equal(t, http.StatusCreated, direct("J.D_e-1!~*'()"))
	assert.Equal(t, http.StatusUnauthorized, direct(strings.Repeat("a", 214)), "longest: unknown, but a name")
	for _, name := range []string{"", ".", "..", "a:b", "a/b", "a%62", "a b", "ali\u0441e", "\ufb00", "a\u200b", "a?b", "a#b", "a@b", "a&b", strings.Repeat("a", 215)} {
		assert.Equal(t, http.StatusUnprocessableEntity, direct(name), "%q", name) // AU-72
	}
	require.Equal(t, 1, p.denied, "only the long name was looked up")
}

// Whatever is sent, nobody is signed in by it who does not name themself and their password as
// encoding/json reads them.
func FuzzBody(f *testing.F) {
	for _, seed := range []string{
		aliceLogin, `{"_id":"org.couchdb.user:alice","name":"alice","password":"correct horse","email":"a@b.c","type":"user","roles":[],"date":"2026-11-30T20:00:00.000Z"}`,
		`{"name":"alice","password":"correct horse","readonly":true}`, `{"name":"alice","password":"correct horse","date":-4e457}`, `{"name":"bob","password":"correct horse"}`, `{"name":"alice","password":null}`, `null`,
	} {
		f.Add("alice", []byte(seed))
	}
	p := newPeople()
	h := newHandler(f, p.config())
	f.Fuzz(func(t *testing.T, name string, body []byte) {
		send := func(body []byte) *httptest.ResponseRecorder {
			r := put("alice", string(body))
			r.URL.Path = "/-/user/org.couchdb.user:" + name
			return serve(h, r)
		}
		fuzzbound.Check(t, body, fuzzbound.Bounds{Memory: fuzzbound.Limit{Base: 64 << 10, PerByte: 64}, Work: fuzzbound.Limit{Base: 1 << 10}}, func(body []byte) int {
			return send(body).Body.Len()
		})
		w := send(body)
		require.Less(t, w.Code, 500, "%s", w.Body)
		if w.Code != http.StatusCreated {
			return
		}
		d := jsontest.Value[map[string]any](t, body)
		require.Equal(t, name, d["name"])
		require.Equal(t, p.users[name].password, d["password"])
		require.NotEqual(t, true, d["readonly"])
	})
}
