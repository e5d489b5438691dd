package packument_test

import (
	"encoding/base64"
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/npmauthtest"
	"github.com/npmauth/npmauth/policy"
)

var widget = policy.PackageName{Scope: "acme", Name: "widget"}

func packed(pkg policy.PackageName, version string) string {
	return base64.StdEncoding.EncodeToString(npmauthtest.Tarball(pkg, version))
}

// quoted returns the string literals of a test that look like a body.
func quoted(f *testing.F, file string) (texts []string) {
	tree, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	require.NoError(f, err)
	ast.Inspect(tree, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if text, err := strconv.Unquote(lit.Value); err == nil && text != "" && text[0] == '{' {
				texts = append(texts, text)
			}
		}
		return true
	})
	return texts
}

// pairs returns the changes of a body that the table of a test makes.
func pairs(f *testing.F, file string) (changes [][2]string) {
	tree, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	require.NoError(f, err)
	ast.Inspect(tree, func(n ast.Node) bool {
		lit, ok := n.(*ast.CompositeLit)
		if !ok || len(lit.Elts) != 4 {
			return true
		}
		var parts []string
		for _, e := range lit.Elts[1:3] {
			if l, ok := e.(*ast.BasicLit); ok && l.Kind == token.STRING {
				text, err := strconv.Unquote(l.Value)
				require.NoError(f, err)
				parts = append(parts, text)
			}
		}
		if len(parts) == 2 {
			changes = append(changes, [2]string(parts))
		}
		return true
	})
	return changes
}
