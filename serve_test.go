package npmauth_test

import (
	"bytes"
	"hash/fnv"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/host/hosttest"
	"github.com/npmauth/npmauth/internal/fuzzbound"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/token"
)

// Whatever a request is, it is answered, and neither as a fault of the server nor with more work
// than its length allows. signed says whether it has the token of somebody who may do all there is.
func FuzzWrap(f *testing.F) {
	for _, r := range routes {
		body := strings.ReplaceAll(r.body, password, "not the password")
		if name, ok := strings.CutPrefix(body, "PUBLISH "); ok {
			pkg, err := protocol.ParsePackageName(name)
			require.NoError(f, err)
			body = string(hosttest.PublishBody(pkg, "3.0.0"))
		}
		for _, signed := range []bool{false, true} {
			f.Add(signed, r.method, r.path, "", []byte(body))
		}
	}
	for _, lines := range []string{
		"Authorization: Basic eDp5", "Authorization: Bearer npm_x\nAuthorization: Bearer npm_x", "X-Forwarded-For: 10.0.0.1, 192.0.2.7", "Npm-Otp: 123456\nNpm-Auth-Type: legacy",
		"Content-Encoding: gzip", "Content-Type: text/plain", "User-Agent: npm/6.14.18 node/v12\nReferer: publish", "Cookie: npmauth=x", "If-None-Match: *\nAccept: text/html",
	} {
		f.Add(false, "POST", "/-/v1/login", lines, []byte(`{"hostname":"x"}`))
		f.Add(true, "PUT", "/plain", lines, hosttest.PublishBody(protocol.PackageName{Name: "plain"}, "3.0.0"))
		f.Add(true, "GET", "/-/npm/v1/tokens?page=1&perPage=2&after=x", lines, []byte(nil))
		f.Add(true, "GET", "/-/auth/v1/self?action=publish&package=plain&rules=own", lines, []byte(nil))
	}
	h := newBackend()
	now := &clock{t: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	hasher, err := hasherOnce()
	require.NoError(f, err)
	auth, err := npmauth.New(npmauth.Config{
		BaseURL: "https://npm.acme.test/", Store: store.NewMemory(), Packages: h, Documents: h, Orgs: h, Now: now.Now, Hasher: hasher,
		AllowBasicToken: true, CheckTarball: true, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
	})
	require.NoError(f, err)
	alice, err := auth.People().Create(f.Context(), audit.Actor{}, account.NewUser{Name: "alice", Email: "alice@acme.test", Password: credential.NewSecret(password)})
	require.NoError(f, err)
	h.addWith("plain", alice.ID, "1.0.0", "1.1.0")
	bearer, _, err := auth.Tokens().Create(f.Context(), audit.Actor{}, token.Spec{User: alice.ID, Name: "fuzz", Bypass: true, Grants: grantAll(protocol.ReadWrite)})
	require.NoError(f, err)
	handler := auth.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // it writes nothing, so that all inputs meet the same
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			w.WriteHeader(http.StatusNoContent)
		}
	}))
	answered := []int{200, 201, 202, 204, 303, 400, 401, 403, 404, 405, 406, 408, 409, 410, 411, 413, 415, 422, 429, 501, 503}
	f.Fuzz(func(t *testing.T, signed bool, method, path, lines string, body []byte) {
		target, err := url.ParseRequestURI(path)
		if err != nil || method == "" || !strings.HasPrefix(path, "/") {
			return // net/http answers
		}
		// Everybody comes from a place of their own, so that a place that has had enough is not all
		// that is met.
		sum := fnv.New32a()
		io.WriteString(sum, method+path+lines)
		sum.Write(body)
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte(sum.Sum(nil))), 443).String()
		send := func(lines string, body []byte) *httptest.ResponseRecorder {
			now.Add(time.Second)
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", bytes.NewReader(body))
			own := *target
			r.Method, r.URL, r.RequestURI, r.RemoteAddr = method, &own, path, from
			if len(body) > 0 {
				r.Header.Set("Content-Type", "application/json")
			}
			if signed {
				r.Header.Set("Authorization", "Bearer "+bearer.Reveal())
			}
			for line := range strings.SplitSeq(lines, "\n") {
				if name, value, ok := strings.Cut(line, ": "); ok {
					name = http.CanonicalHeaderKey(name)
					r.Header[name] = append(r.Header[name], value)
				}
			}
			rec := httptest.NewRecorder()
			handler.ServeHTTP(rec, r)
			require.Contains(t, answered, rec.Code, "%s", rec.Body)
			return rec
		}
		bounds := fuzzbound.Bounds{
			Memory: fuzzbound.Limit{Base: 512<<10 + 600*(len(path)+len(lines)+len(body)), PerByte: 600}, Work: fuzzbound.Limit{Base: 64 << 10, PerByte: 8},
		}
		fuzzbound.Check(t, body, bounds, func(body []byte) int { return send(lines, body).Body.Len() })
		if lines != "" {
			fuzzbound.Check(t, lines, bounds, func(lines string) int { return send(lines, body).Body.Len() })
		}
	})
}
