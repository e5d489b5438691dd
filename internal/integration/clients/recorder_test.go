package clients_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// A recorder is what stands between the clients and the registry, and knows what they were told.
type recorder struct {
	server *httptest.Server

	mu        sync.Mutex
	exchanges []exchange        // of clients, and none of the tests' own; guarded by mu, as are the others
	sentences map[string]bool   // that the registry gave
	polls     map[string]string // the path of each page's poll, by the path of the page
	waits     map[string]int    // how often a poll was answered that it must go on
	ends      map[string]int    // how often a poll was answered that it is over, without a proof or session
	elsewhere map[string]string // another host that a client wanted, by who it was
}

// An exchange is a request and what became of it.
type exchange struct {
	bearer, otp, method, path, agent, body string
	status                                 int
	answer                                 string
}

// ours is the User-Agent of the tests' own requests.
const ours = "Go-http-client"

// newRecorder listens in front of a registry that will listen at addr.
func newRecorder(t *testing.T, addr string) *recorder {
	t.Helper()
	r := &recorder{sentences: map[string]bool{}, polls: map[string]string{}, waits: map[string]int{}, ends: map[string]int{}}
	to := &url.URL{Scheme: "http", Host: addr}
	r.elsewhere = map[string]string{}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(to)
			p.Out.Host = p.In.Host
			p.SetXForwarded() // who it is, for the registry bounds what one network may do
			if p.Out.Body != nil {
				sent := &head{ReadCloser: p.Out.Body}
				p.Out.Body = sent
				p.Out = p.Out.WithContext(context.WithValue(p.Out.Context(), sentKey{}, sent))
			}
		},
		ModifyResponse: r.record,
		ErrorHandler:   func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	r.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method == http.MethodConnect {
			r.refuse(w, req)
			return
		}
		proxy.ServeHTTP(w, req)
	}))
	t.Cleanup(r.server.Close)
	return r
}

// sentKey is where the context of a request has the head of its body.
type sentKey struct{}

// A head is a body of which the beginning is kept.
type head struct {
	io.ReadCloser
	mu   sync.Mutex
	kept []byte // guarded by mu
}

func (h *head) Read(p []byte) (int, error) {
	n, err := h.ReadCloser.Read(p)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.kept = append(h.kept, p[:min(n, kept-len(h.kept))]...)
	return n, err
}

// kept is how much is kept of a body, in bytes.
const kept = 400

// URL is where the clients find the registry.
func (r *recorder) URL() string { return r.server.URL + "/" }

// proxyFor is the proxy of somebody's client on its way to hosts other than the registry, of which it
// lets nobody through.
func (r *recorder) proxyFor(name string) string {
	return strings.Replace(r.server.URL, "http://", "http://"+name+":x@", 1)
}

func (r *recorder) refuse(w http.ResponseWriter, req *http.Request) {
	w.WriteHeader(http.StatusForbidden)
	credentials, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(req.Header.Get("Proxy-Authorization"), "Basic "))
	if err != nil {
		return
	}
	name, _, _ := strings.Cut(string(credentials), ":")
	r.mu.Lock()
	defer r.mu.Unlock()
	r.elsewhere[name] = req.Host
}

// wanted returns the other host that somebody's client wanted, "" if none.
func (r *recorder) wanted(name string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.elsewhere[name]
}

func (r *recorder) record(res *http.Response) error {
	if strings.HasPrefix(res.Request.UserAgent(), ours) {
		return nil
	}
	// What a client is told, and no package.
	var said struct{ Error, Message, LoginURL, AuthURL, DoneURL, Token string }
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	_ = json.Unmarshal(body, &said) // it may be a page or a tarball
	path := res.Request.URL.Path

	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range []string{said.Error, said.Message, res.Header.Get("Npm-Notice")} {
		if s = refusal(s); s != "" {
			r.sentences[s] = true
		}
	}
	for _, page := range []string{said.LoginURL, said.AuthURL} {
		if page != "" && said.DoneURL != "" {
			r.polls[pathOf(page)] = pathOf(said.DoneURL)
		}
	}
	if strings.Contains(path, "/-/auth/") {
		if res.StatusCode == http.StatusAccepted {
			r.waits[path]++
		} else if said.Token == "" {
			r.ends[path]++
		}
	}
	sent := ""
	if h, ok := res.Request.Context().Value(sentKey{}).(*head); ok {
		h.mu.Lock()
		sent = string(h.kept)
		h.mu.Unlock()
	}
	bearer := strings.TrimPrefix(res.Request.Header.Get("Authorization"), "Bearer ")
	r.exchanges = append(r.exchanges, exchange{
		bearer: bearer, otp: res.Request.Header.Get("Npm-Otp"), method: res.Request.Method, path: res.Request.URL.RequestURI(),
		agent: res.Request.UserAgent(), status: res.StatusCode, answer: string(body[:min(len(body), kept)]), body: sent,
	})
	return nil
}

// refusal is a text of the registry in one line, without the sentences that send somebody to a page.
func refusal(text string) string {
	sentences := strings.SplitAfter(oneLine(text), ". ")
	return strings.TrimSpace(strings.Join(slices.DeleteFunc(sentences, pointer.MatchString), ""))
}

var pointer = regexp.MustCompile(`/-/auth/challenge/|check code`)

// polled returns how often the client that was sent to a page was told to go on polling, and that
// it is over.
func (r *recorder) polled(page string) (waits, ends int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	poll := r.polls[pathOf(page)]
	return r.waits[poll], r.ends[poll]
}

// pageOf returns the last page that a client with this token was sent to, "" if there is none.
func (r *recorder) pageOf(bearer string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range slices.Backward(r.exchanges) {
		var said struct{ AuthURL string }
		if e.bearer == bearer && json.Unmarshal([]byte(e.answer), &said) == nil && said.AuthURL != "" {
			return said.AuthURL
		}
	}
	return ""
}

// requests returns those of a client with one of these tokens, or about this name.
func (r *recorder) requests(name string, tokens []string) []exchange {
	r.mu.Lock()
	defer r.mu.Unlock()
	var of []exchange
	for _, e := range r.exchanges {
		if slices.Contains(tokens, e.bearer) && e.bearer != "" || strings.Contains(e.path, name) {
			of = append(of, e)
		}
	}
	return of
}

// sentence returns what a client has printed last of all that the registry has said, "" if nothing.
func (r *recorder) sentence(printed string) (last string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	end := -1
	for s := range r.sentences {
		i := strings.LastIndex(printed, s)
		if i < 0 {
			continue
		}
		if at := i + len(s); at > end || at == end && len(s) > len(last) {
			last, end = s, at
		}
	}
	return last
}

func pathOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	return u.Path
}

// oneLine is a text without line breaks, and with one space where there are several.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// A recorder knows who is waiting for a page, and what was said.
func TestRecorder(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/widget":
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, `{"error":"Confirm  it.","authUrl":"http://registry.example/-/auth/a","doneUrl":"http://registry.example/-/auth/b"}`)
		case "/-/auth/b":
			w.WriteHeader(http.StatusAccepted)
		default:
			w.Header().Set("Npm-Notice", "Gone. Open http://registry.example/-/auth/challenge/a and wait.")
			w.WriteHeader(http.StatusGone)
			_, _ = io.WriteString(w, `{"error":"It is gone. Gone."}`)
		}
	}))
	t.Cleanup(backend.Close)
	r := newRecorder(t, backend.Listener.Addr().String())
	get := func(path, agent string) {
		req, err := http.NewRequest(http.MethodGet, r.URL()+path, nil)
		require.NoError(t, err)
		req.Header.Set("User-Agent", agent)
		req.Header.Set("Authorization", "Bearer secret")
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		res.Body.Close()
	}
	get("widget", "npm")
	get("-/auth/b", "npm")
	get("-/auth/b", ours)
	require.Equal(t, "http://registry.example/-/auth/a", r.pageOf("secret"))
	waits, ends := r.polled(r.pageOf("secret"))
	require.Equal(t, [2]int{1, 0}, [2]int{waits, ends})
	get("other", "npm")
	require.Equal(t, "Confirm it.", r.sentence("npm: Gone. Confirm it. Or not."))
	require.Equal(t, "It is gone. Gone.", r.sentence("npm: Confirm it. It is gone. Gone."))
	require.Empty(t, r.sentence("Confirm"))
	require.Len(t, r.requests("widget", nil), 1)
}
