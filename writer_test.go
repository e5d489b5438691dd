package npmauth_test

import (
	"bufio"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A connection is a server's ResponseWriter that notes what it is told.
type connection struct {
	*httptest.ResponseRecorder
	told []string
	err  error // of what it is told
}

func (c *connection) note(what string, args ...any) error {
	c.told = append(c.told, fmt.Sprint(append([]any{what}, args...)...))
	return c.err
}

func (c *connection) SetReadDeadline(t time.Time) error {
	if t.Equal(farAway) {
		return c.note("SetReadDeadline", t)
	}
	return nil // ours
}
func (c *connection) SetWriteDeadline(t time.Time) error { return c.note("SetWriteDeadline", t) }
func (c *connection) EnableFullDuplex() error            { return c.note("EnableFullDuplex") }
func (c *connection) FlushError() error                  { return c.note("Flush") }
func (c *connection) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return nil, nil, c.note("Hijack")
}

var farAway = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)

// AU-25: what a host sets with http.NewResponseController on the writer that it is given reaches the
// connection, and so does what comes back. The writers are all that are in the source.
func TestHostsControlTheConnection(t *testing.T) {
	seen := map[string]bool{}
	methods := reflect.TypeFor[*http.ResponseController]()
	broken := errors.New("broken")
	for name, method := range map[string]string{"publish": "PUT", "upload": "POST", "without a body": "GET"} {
		for m := range methods.Methods() {
			for _, fails := range []error{nil, broken} {
				t.Run(fmt.Sprintf("%s, %s, %v", name, m.Name, fails), func(t *testing.T) {
					w := newSlowWorld(t, time.Minute, uploads)
					c := &connection{ResponseRecorder: httptest.NewRecorder(), err: fails}
					var got error
					h := w.auth.Wrap(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
						seen[strings.TrimPrefix(fmt.Sprintf("%T", rw), "*")] = true
						args := []reflect.Value{reflect.ValueOf(http.NewResponseController(rw))}
						want := m.Name
						if m.Type.NumIn() == 2 {
							args = append(args, reflect.ValueOf(farAway))
							want = fmt.Sprint(m.Name, farAway)
						}
						out := m.Func.Call(args)
						got, _ = out[len(out)-1].Interface().(error)
						assert.Equal(t, []string{want}, c.told)
					}))
					r := httptest.NewRequest(method, map[string]string{"PUT": "/plain", "POST": "/upload", "GET": "/plain"}[method], nil)
					if method != "GET" {
						r = httptest.NewRequest(method, r.URL.Path, strings.NewReader(w.publish))
					}
					r.Header.Set("Authorization", "Bearer "+w.bypass)
					h.ServeHTTP(c, r)
					require.NotEmpty(t, c.told)
					assert.ErrorIs(t, got, fails)
					assert.Equal(t, fails == nil, got == nil)
				})
			}
		}
	}
	delete(seen, "npmauth_test.connection")
	seen["guard.heldWriter"] = true // keeps back what the host answers, and so what it flushes
	seen["web.answer"] = true       // to a page, in memory: there is no connection
	seen["guard.keptAnswer"] = true // in the same way
	var wrappers []string
	for name := range seen {
		wrappers = append(wrappers, name)
	}
	// A bodyWriter embeds the other.
	assert.ElementsMatch(t, writersInSource(t), wrappers, "a writer that no request of this test is given")
}

// writersInSource returns the types of the root module that are an http.ResponseWriter: those that
// have a method WriteHeader, and those that embed one.
func writersInSource(t *testing.T) (writers []string) {
	embeds := map[string][]string{} // by type, with its package
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			nested, _ := filepath.Glob(filepath.Join(file, "go.mod"))
			if file != "." && (len(nested) > 0 || strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			return err
		}
		in := parsed.Name.Name + "."
		ast.Inspect(parsed, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Name.Name == "WriteHeader" && n.Recv != nil {
					of := n.Recv.List[0].Type
					if star, ok := of.(*ast.StarExpr); ok {
						of = star.X
					}
					name := in + of.(*ast.Ident).Name
					embeds[name] = append(embeds[name], "http.ResponseWriter")
				}
			case *ast.TypeSpec:
				s, ok := n.Type.(*ast.StructType)
				if !ok {
					return true
				}
				for _, f := range s.Fields.List {
					if len(f.Names) > 0 {
						continue
					}
					of := f.Type
					if star, ok := of.(*ast.StarExpr); ok {
						of = star.X
					}
					switch of := of.(type) {
					case *ast.Ident:
						embeds[in+n.Name.Name] = append(embeds[in+n.Name.Name], in+of.Name)
					case *ast.SelectorExpr:
						embeds[in+n.Name.Name] = append(embeds[in+n.Name.Name], of.X.(*ast.Ident).Name+"."+of.Sel.Name)
					}
				}
			}
			return true
		})
		return nil
	})
	require.NoError(t, err)
	is := []string{"http.ResponseWriter"}
	for grown := true; grown; {
		grown = false
		for name, of := range embeds {
			if !slices.Contains(is, name) && slices.ContainsFunc(of, func(e string) bool { return slices.Contains(is, e) }) {
				is, grown = append(is, name), true
			}
		}
	}
	require.Greater(t, len(is), 1)
	return is[1:]
}
