package packument_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/npmauth/npmauth/packument"
	"github.com/npmauth/npmauth/protocol"
)

// A registry that is composed without npmauth's root lets publishes through to its handler and
// nothing else that comes as PUT /<pkg>.
func ExampleReader() {
	registry := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil { // a registry removes now what it wrote
			http.Error(w, err.Error(), http.StatusForbidden)
		}
	})
	guard := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		op, err := protocol.Classify(r.Method, r.URL.EscapedPath())
		if err != nil || op.Action != protocol.WritePackument {
			http.Error(w, "not a publish", http.StatusForbidden)
			return
		}
		scan := packument.New(packument.Config{Package: op.Package, By: "alice"})
		body, err := packument.NewReader(r.Body, scan, 1<<20)
		if err != nil || body.Kind() != packument.KindPublish {
			http.Error(w, "not a publish", http.StatusForbidden)
			return
		}
		defer body.Abort(nil)
		body.Authorize = func(p protocol.Change) error {
			if p.Tags["latest"] != "" && strings.HasPrefix(p.Version, "0.") {
				return errors.New("latest must not name a version below 1.0.0")
			}
			return nil
		}
		r.Body = body
		registry.ServeHTTP(w, r)
	})
	for _, body := range []string{plainPublish, strings.ReplaceAll(plainPublish, "1.0.0", "0.9.0"), `{"maintainers":[{"name":"mallory"}]}`} {
		answer := httptest.NewRecorder()
		guard.ServeHTTP(answer, httptest.NewRequest("PUT", "/plain", strings.NewReader(body)))
		fmt.Println(answer.Code, strings.Fields(answer.Body.String()))
	}
	// Output:
	// 200 []
	// 403 [latest must not name a version below 1.0.0]
	// 403 [not a publish]
}
