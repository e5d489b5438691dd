package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// proxies are the addresses whose X-Forwarded-For the registry believes.
const proxies = "127.255.0.0/24"

// A source is where requests come from.
type source struct {
	local     netip.Addr // of the connection
	forwarded netip.Addr // whom the proxy at local names; invalid: nobody
}

// direct is the n-th client of the i-th /24 of 127.0.0.0/8.
func direct(i, n int) source {
	i %= 253 * 256 // of the rest one is the proxies'
	return source{local: netip.AddrFrom4([4]byte{127, byte(1 + i>>8), byte(i), byte(1 + n%254)})}
}

func through(addr netip.Addr) source {
	return source{local: netip.AddrFrom4([4]byte{127, 255, 0, 1}), forwarded: addr}
}

// anywhere is a client in the i-th of 65536 /24 of IPv4, each but 256 in a /16 of its own.
func anywhere(i int) source {
	return through(netip.AddrFrom4([4]byte{byte(1 + i%100), byte(i / 100), 0, 1}))
}

// inSite is a client in the i-th /56 of one /48.
func inSite(i int) source {
	return through(netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 0, 1, byte(i)}))
}

// clients has a client for each address that connections come from.
var clients sync.Map

func (s source) client() *http.Client {
	if c, ok := clients.Load(s.local); ok {
		return c.(*http.Client)
	}
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: s.local.AsSlice()}, Timeout: patience}
	c, _ := clients.LoadOrStore(s.local, &http.Client{
		Transport:     &http.Transport{DialContext: dialer.DialContext, MaxIdleConnsPerHost: 256, IdleConnTimeout: 20 * time.Second},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	})
	return c.(*http.Client)
}

// A call is a request.
type call struct {
	from         source
	method, path string // the path without the slash in front
	bearer       string // "" for none
	body         any    // JSON; []byte is sent as it is, nil is none
	header       map[string]string
}

func (c call) request(ctx context.Context, base string) (*http.Request, error) {
	var body io.Reader
	switch b := c.body.(type) {
	case nil:
	case []byte:
		body = bytes.NewReader(b)
	default:
		data, err := json.Marshal(b)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, c.method, base+c.path, body)
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.bearer != "" {
		req.Header.Set("Authorization", "Bearer "+c.bearer)
	}
	if c.from.forwarded.IsValid() {
		req.Header.Set("X-Forwarded-For", c.from.forwarded.String())
	}
	for name, value := range c.header {
		req.Header.Set(name, value)
	}
	return req, nil
}

// send returns the status and the body of the answer.
func (c call) send(ctx context.Context, base string) (status int, text []byte, err error) {
	req, err := c.request(ctx, base)
	if err != nil {
		return 0, nil, err
	}
	a, err := read(c.from, req)
	return a.status, a.text, err
}

// must sends what has to succeed, and decodes the answer into v unless that is nil.
func (c call) must(ctx context.Context, base string, v any) error {
	status, text, err := c.send(ctx, base)
	if err != nil {
		return err
	}
	if status != http.StatusOK && status != http.StatusCreated {
		return fmt.Errorf("%s %s: %d %s", c.method, c.path, status, bytes.TrimSpace(text))
	}
	if v == nil {
		return nil
	}
	return json.Unmarshal(text, v)
}

// login is the CouchDB login, with a code unless that is "".
func login(from source, name, password, code string) call {
	c := call{from: from, method: http.MethodPut, path: "-/user/org.couchdb.user:" + name, body: map[string]any{
		"_id": "org.couchdb.user:" + name, "name": name, "password": password, "type": "user", "roles": []string{}, "date": "2026-01-01T00:00:00.000Z",
	}}
	if code != "" {
		c.header = map[string]string{"npm-otp": code}
	}
	return c
}

// signIn logs in and returns the session.
func signIn(ctx context.Context, base string, from source, name, password, code string) (string, error) {
	var answer struct{ Token string }
	err := login(from, name, password, code).must(ctx, base, &answer)
	return answer.Token, err
}

func profile(from source, session string, change any) call {
	return call{from: from, method: http.MethodPost, path: "-/npm/v1/user", bearer: session, body: change}
}

// dial opens a connection and sends the headers of a request whose body has length bytes.
func (c call) dial(ctx context.Context, base string, length int) (net.Conn, error) {
	req, err := c.request(ctx, base)
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: c.from.local.AsSlice()}, Timeout: patience}
	conn, err := dialer.DialContext(ctx, "tcp", req.URL.Host)
	if err != nil {
		return nil, err
	}
	var head strings.Builder
	fmt.Fprintf(&head, "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n", c.method, req.URL.RequestURI(), req.URL.Host, length)
	req.Header.Del("Content-Type")
	_ = req.Header.Write(&head) // to memory
	head.WriteString("\r\n")
	if _, err := io.WriteString(conn, head.String()); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// An answer is what came back. Without one its status is 0.
type answer struct {
	status  int
	cookies []*http.Cookie
	text    []byte
}

// read does a request, and reads the answer.
func read(from source, req *http.Request) (answer, error) {
	res, err := from.client().Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Cookies(), text}, err
}
