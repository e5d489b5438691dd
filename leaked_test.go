package npmauth_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/leak"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/storetest"
	"github.com/npmauth/npmauth/token"
)

// A scanner finds credentials and reports them.
type scanner struct{ key *ecdsa.PrivateKey }

func newScanner(t *testing.T) scanner {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return scanner{key}
}

func (s scanner) keys(cfg *npmauth.Config) { cfg.LeakKeys = leak.Static{"scanner": &s.key.PublicKey} }

func (s scanner) report(w *world, finds any) answer {
	w.t.Helper()
	body, err := json.Marshal(finds)
	require.NoError(w.t, err)
	return s.send(w, body, nil)
}

// send signs a body and sends it, with more headers.
func (s scanner) send(w *world, body []byte, header map[string]string) answer {
	w.t.Helper()
	c := s.signed(w.t, body)
	maps.Copy(c.header, header)
	return w.do(c)
}

// signed returns a report with its signature.
func (s scanner) signed(t *testing.T, body []byte) call {
	t.Helper()
	digest := sha256.Sum256(body)
	signature, err := ecdsa.SignASN1(rand.Reader, s.key, digest[:])
	require.NoError(t, err)
	return call{method: "POST", path: "/-/auth/v1/leaked", body: body, header: map[string]string{
		leak.KeyHeader: "scanner", leak.SignatureHeader: base64.StdEncoding.EncodeToString(signature),
	}}
}

type find struct {
	Token  string `json:"token"`
	Type   string `json:"type"`
	URL    string `json:"url"`
	Source string `json:"source"`
}

// What was revoked with others was ended before, and is no find.
func TestLeakOfWhatWasRevoked(t *testing.T) {
	s := newScanner(t)
	w := newWorld(t, s.keys)
	alice := w.person("alice")
	bearer, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly)})
	session := w.login("alice")
	require.NoError(t, w.auth.Subjects().RevokeAll(t.Context(), audit.Actor{}, alice))
	a := s.report(w, []find{{Token: bearer, Type: "npm_token"}, {Token: session, Type: "npm_session"}})
	require.Equal(t, 200, a.Code, a.Body.String())
	assert.NotContains(t, a.Body.String(), "true_positive")
	assert.False(t, w.events.has(audit.Leaked))
}

// SS-07, SS-08, SS-09, P-07: only whole secrets count, of every kind, and only for who signs.
func TestLeaked(t *testing.T) {
	s := newScanner(t)
	w := newWorld(t, s.keys)
	alice := w.person("alice")
	bearer, tok := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadWrite), Bypass: true})
	spare, spareTok := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly)})
	gone, goneTok := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly)})
	require.NoError(t, w.auth.Tokens().Revoke(t.Context(), audit.Actor{}, alice, goneTok.ID, ""))
	session := w.login("alice")
	d, ok := credential.Parse(spare)
	require.True(t, ok)

	finds := []find{
		{bearer, "npm_token", "https://git.example/blob/1", "commit"},
		{session, "npm_session", "", "issue_body"},
		{gone, "npm_token", "", ""},
		{"npm_garbage", "npm_token", "", ""},
		{bearer, "npm_token", "https://git.example/blob/2", "commit"}, // twice
		{d.String(), "npm_token", "", ""},
		{spareTok.ID, "npm_token", "", ""},
		{spare + " ", "npm_token", "", ""},
		{"", "npm_token", "", ""},
	}
	forged := newScanner(t)
	for name, a := range map[string]answer{
		"unsigned": w.do(call{method: "POST", path: "/-/auth/v1/leaked", body: finds}),
		"forged":   forged.report(w, finds),
		"garbage":  forged.report(w, "x"),
	} {
		assert.Equal(t, http.StatusUnauthorized, a.Code, name)
		assert.Equal(t, "The report is not signed with a key that counts here.", a.text("error"), name)
	}
	require.Equal(t, 200, whoami(w, bearer))

	a := s.report(w, finds)
	require.Equal(t, 200, a.Code, a.Body.String())
	var verdicts []map[string]string
	require.NoError(t, json.Unmarshal(a.Body.Bytes(), &verdicts))
	require.Len(t, verdicts, len(finds)-1)
	for i, v := range verdicts {
		label := "false_positive"
		if i < 2 { // and the second time it was ended already
			label = "true_positive"
		}
		assert.Equal(t, map[string]string{"token_raw": finds[i].Token, "token_type": finds[i].Type, "label": label}, v)
	}
	assert.Equal(t, 401, whoami(w, bearer))
	assert.Equal(t, 401, whoami(w, session))
	assert.Equal(t, 200, whoami(w, spare))

	var told []audit.Event
	for _, e := range w.events.all {
		if e.Type == audit.Leaked {
			told = append(told, e)
		}
	}
	require.Len(t, told, 2)
	assert.Equal(t, alice, told[0].User)
	assert.Equal(t, tok.ID, told[0].Credential)
	assert.Equal(t, map[string]string{"url": "https://git.example/blob/1", "source": "commit", "type": "npm_token"}, told[0].Detail)

	assert.Equal(t, 400, s.report(w, map[string]string{"token": spare}).Code)
	assert.Equal(t, 200, s.report(w, finds).Code, "a report that comes again harms nobody")
	assert.Equal(t, 404, w.do(call{method: "GET", path: "/-/auth/v1/leaked"}).Code)
	assert.Equal(t, 404, s.report(newWorld(t), finds).Code, "where nobody may report there is nothing")
}

// SS-01, SS-03: who is not known to sign is refused by headers alone, however large the body is.
func TestLeakedHeadersFirst(t *testing.T) {
	s := newScanner(t)
	w := newWorld(t, s.keys)
	right := s.signed(t, []byte(`[]`)).header
	with := func(key, value string) map[string]string {
		h := maps.Clone(right)
		h[key] = value
		return h
	}
	for name, header := range map[string]map[string]string{
		"none":           nil,
		"no signature":   {leak.KeyHeader: "scanner"},
		"no key":         {leak.SignatureHeader: right[leak.SignatureHeader]},
		"an unknown key": with(leak.KeyHeader, "other"),
		"no base64":      with(leak.SignatureHeader, "*"),
		"too long":       with(leak.SignatureHeader, base64.StdEncoding.EncodeToString(make([]byte, 100))),
		"compressed":     with("Content-Encoding", "gzip"),
	} {
		a := w.do(call{method: "POST", path: "/-/auth/v1/leaked", body: unread{t}, header: header})
		want := http.StatusUnauthorized
		if name == "compressed" {
			want = http.StatusUnsupportedMediaType
		}
		assert.Equal(t, want, a.Code, name)
	}
	nobody := newWorld(t)
	assert.Equal(t, http.StatusNotFound, nobody.do(call{method: "POST", path: "/-/auth/v1/leaked", body: unread{t}, header: right}).Code)
}

// A pausing body says when its first bytes were read, and waits before it gives the last.
type pausing struct {
	first   io.Reader
	paused  chan<- struct{}
	release <-chan struct{}
}

func (p *pausing) Read(b []byte) (int, error) {
	if n, err := p.first.Read(b); err == nil {
		return n, nil
	}
	if p.paused != nil {
		p.paused <- struct{}{}
		<-p.release
		p.paused = nil
	}
	return 0, io.EOF
}

// The names of keys are public: of large reports, which anybody can send, a few are kept at a time,
// and small ones are read all the same.
func TestLeakedFewLargeReports(t *testing.T) {
	s := newScanner(t)
	w := newWorld(t, s.keys)
	const most, small = 4, 64 << 10
	forged := s.signed(t, []byte(`[]`)).header
	paused, release := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	for range most {
		all.Go(func() {
			body := &pausing{strings.NewReader(strings.Repeat(" ", small+1)), paused, release}
			a := w.do(call{method: "POST", path: "/-/auth/v1/leaked", body: body, header: forged})
			assert.Equal(t, http.StatusUnauthorized, a.Code)
		})
	}
	for range most {
		<-paused
	}
	large := []byte("[" + strings.Repeat(" ", small-1) + "]")
	a := s.send(w, large, nil)
	assert.Equal(t, http.StatusServiceUnavailable, a.Code)
	assert.Equal(t, "5", a.Header().Get("Retry-After"))
	assert.Contains(t, a.text("error"), "Send this one again shortly")
	assert.Equal(t, 200, s.send(w, append([]byte("["), large[2:]...), nil).Code, "a body of 64 KiB")
	close(release)
	all.Wait()
	assert.Equal(t, 200, s.send(w, large, nil).Code, "they have ended")
}

// SS-06: a report may name very many, and one that an outage cuts short can be sent again.
func TestLeakedMany(t *testing.T) {
	s := newScanner(t)
	st := storetest.NewFaulty(store.NewMemory())
	w := newWorld(t, s.keys, func(cfg *npmauth.Config) { cfg.Store = st })
	w.ids["alice"] = "alice"
	var bearers []string
	finds := make([]find, 100_000)
	for i := range finds {
		finds[i] = find{Token: "npm_" + string(rune('a'+i%26)), Type: "npm_token"}
		if i%5000 == 0 {
			bearer, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly)})
			bearers, finds[i].Token = append(bearers, bearer), bearer
		}
	}
	st.Inject(storetest.Fault{Nth: 30})
	assert.Equal(t, http.StatusServiceUnavailable, s.report(w, finds).Code)
	require.True(t, st.Struck())
	require.Equal(t, 200, s.report(w, finds).Code)
	for _, bearer := range bearers {
		d, _ := credential.Parse(bearer)
		items, err := st.Get(t.Context(), token.KeyOf(d))
		require.NoError(t, err)
		assert.False(t, items[0].Exists())
	}
	big := make([]find, 200_000)
	assert.Equal(t, http.StatusRequestEntityTooLarge, s.report(w, big).Code)
}
