package protocol_test

import (
	"bufio"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/fuzzbound"
	"github.com/npmauth/npmauth/protocol"
)

// A requestRow is a line of testdata/requests.txt.
type requestRow struct {
	method, path string
	want         protocol.Operation
	bad          bool
}

func requestRows(t testing.TB) []requestRow {
	t.Helper()
	f, err := os.Open("testdata/requests.txt")
	require.NoError(t, err)
	defer f.Close()
	var rows []requestRow
	for s := bufio.NewScanner(f); s.Scan(); {
		line := strings.TrimSpace(s.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		var col []string
		for range 4 {
			word, rest, _ := strings.Cut(line, " ")
			col, line = append(col, word), strings.TrimLeft(rest, " ")
		}
		require.NotEmpty(t, line, "five columns: %v", col)
		row := requestRow{method: col[0], path: col[1], bad: col[2] == "error"}
		if !row.bad {
			require.NoError(t, row.want.Action.UnmarshalText([]byte(col[2])))
		}
		if col[3] != "-" {
			row.want.Package, err = protocol.ParsePackageName(col[3])
			require.NoError(t, err)
		}
		if line != "-" {
			setNames(t, &row.want, line)
		}
		rows = append(rows, row)
	}
	require.NotEmpty(t, rows, "a table that is empty shows nothing")
	return rows
}

// setNames reads the last column: key=value, one for each field, a space before each key but
// the first.
func setNames(t testing.TB, op *protocol.Operation, text string) {
	t.Helper()
	fields := map[string]*string{
		"version": &op.Version, "tag": &op.Tag, "user": &op.User, "org": &op.Org, "team": &op.Team,
		"service": &op.Service, "revision": &op.Revision, "id": &op.ID, "token": &op.Token,
	}
	var last *string
	for word := range strings.SplitSeq(text, " ") {
		key, value, ok := strings.Cut(word, "=")
		if field := fields[key]; ok && field != nil {
			*field, last = value, field
			continue
		}
		require.NotNil(t, last, text)
		*last += " " + word // a token has spaces
	}
}

// The table has every request that was recorded from npm's clients, and the cases PC-01 to
// PC-41 as far as method and path show them.
func TestClassify(t *testing.T) {
	for _, row := range requestRows(t) {
		t.Run(row.method+" "+row.path, func(t *testing.T) {
			op, err := protocol.Classify(row.method, row.path)
			if row.bad {
				require.ErrorIs(t, err, protocol.ErrPath)
				assert.Zero(t, op)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, row.want.Action.String(), op.Action.String())
			assert.Equal(t, row.want, op, "token %q", op.Token)
		})
	}
}

// Every action must have a request in the table, except those that only a body identifies.
func TestClassifyFindsEveryAction(t *testing.T) {
	body := []protocol.Action{protocol.Publish, protocol.Deprecate, protocol.Star, protocol.SetPassword}
	found := map[protocol.Action]bool{}
	for _, row := range requestRows(t) {
		found[row.want.Action] = true
	}
	for _, a := range protocol.Actions() {
		assert.Equal(t, !slices.Contains(body, a), found[a], "%v", a)
	}
}

// PC-10, PC-11, PC-12: cases that a line of the table cannot express.
func TestClassifyRawBytes(t *testing.T) {
	for b := range 256 {
		op, err := protocol.Classify("PUT", "/pl"+string([]byte{byte(b)})+"ain")
		switch {
		case strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._", rune(b)):
			require.NoError(t, err, "%q", b)
		case b == '/': // PUT /pl/ain
			assert.Equal(t, protocol.SetDistTag, op.Action)
		default:
			require.ErrorIs(t, err, protocol.ErrPath, "%q", b)
		}
	}
	for _, path := range []string{"", "/＠acme∕widget", "/a b", "/plain/\xff", "/-/user/token/a b"} {
		_, err := protocol.Classify("GET", path)
		assert.ErrorIs(t, err, protocol.ErrPath, "%q", path)
	}
}

// Every escaped byte, in a package name, in a name and in a token.
func TestClassifyEscapedBytes(t *testing.T) {
	const hex = "0123456789ABCDEF"
	for b := range 256 {
		esc := "%" + hex[b>>4:b>>4+1] + hex[b&15:b&15+1]
		inName := strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._", rune(b)) && b < 0x80
		printable := b >= 0x20 && b < 0x7f && b != '\\'

		_, err := protocol.Classify("PUT", "/pl"+esc+"ain")
		assert.Equal(t, inName, err == nil, "package with %s", esc)
		op, err := protocol.Classify("GET", "/plain/v"+esc)
		assert.Equal(t, printable && b != '/' && b != '%', err == nil, "version with %s", esc)
		if err == nil {
			assert.Equal(t, "v"+string(rune(b)), op.Tag)
		}
		op, err = protocol.Classify("DELETE", "/-/user/token/t"+esc+"x")
		assert.Equal(t, printable, err == nil, "token with %s", esc)
		if err == nil {
			assert.Equal(t, "t"+string(rune(b))+"x", op.Token)
		}
	}
}

func TestClassifyErrorsKeepThePathOut(t *testing.T) {
	_, err := protocol.Classify("DELETE", "/-/user/token/npm_secret%00")
	require.ErrorIs(t, err, protocol.ErrPath)
	assert.NotContains(t, err.Error(), "npm_secret")
}

// PC-42
func TestClassifyLongPaths(t *testing.T) {
	for name, path := range map[string]string{
		"name":     "/" + strings.Repeat("a", 215),
		"scoped":   "/@a%2f" + strings.Repeat("a", 212),
		"path":     "/-/user/token/" + strings.Repeat("a", 64<<10),
		"version":  "/plain/" + strings.Repeat("1", 2000),
		"segments": strings.Repeat("/a", 10_000),
	} {
		_, err := protocol.Classify("DELETE", path)
		_, err2 := protocol.Classify("GET", path)
		assert.ErrorIs(t, errOr(err, err2), protocol.ErrPath, name)
	}
	_, err := protocol.Classify("PUT", "/"+strings.Repeat("a", 214))
	require.NoError(t, err)
	_, err = protocol.Classify("PUT", "/@a%2f"+strings.Repeat("a", 211))
	require.NoError(t, err)
}

func errOr(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

var allocationFree = []struct{ method, path string }{
	{"GET", "/plain"},
	{"PUT", "/@acme%2fwidget"},
	{"PUT", "/@acme%2Fwidget"},
	{"GET", "/%40acme%2Fwidget"},
	{"GET", "/@acme/widget"},
	{"GET", "/@acme/widget/-/widget-1.0.0.tgz"},
	{"GET", "/@acme%2fwidget/1.0.0"},
	{"PUT", "/-/package/plain/dist-tags/latest"},
	{"GET", "/-/whoami"},
	{"PUT", "/-/user/org.couchdb.user:alice"},
	{"DELETE", "/-/npm/v1/tokens/token/npm_x"},
	{"POST", "/-/npm/v1/oidc/token/exchange/package/plain"},
}

// The strings of an Operation are substrings of the path, also for a package whose slash or @
// is escaped.
func TestClassifyAllocatesNothing(t *testing.T) {
	for _, q := range allocationFree {
		n := testing.AllocsPerRun(100, func() {
			if _, err := protocol.Classify(q.method, q.path); err != nil {
				panic(err)
			}
		})
		assert.Zero(t, n, "%s %s", q.method, q.path)
	}
}

func BenchmarkClassify(b *testing.B) {
	for _, path := range []string{"/plain", "/@acme%2fwidget", "/@acme/widget/-/widget-1.0.0.tgz", "/-/npm/v1/tokens"} {
		b.Run(strings.NewReplacer("/", "|", "%", "~").Replace(path), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := protocol.Classify("GET", path); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// canonical returns a path of op in which everything that can be escaped is. It is the inverse
// of Classify, written from the list of actions.
func canonical(t testing.TB, method string, op protocol.Operation) string {
	esc := func(s string) string { return strings.ReplaceAll(url.PathEscape(s), "+", "%2B") }
	pkg := esc(op.Package.String())
	org, team, isTeam := op.Org, op.Team, op.Team != ""
	switch op.Action {
	case protocol.Ping:
		return "/-/ping"
	case protocol.Search:
		return "/-/v1/search"
	case protocol.Audit:
		return "/-/npm/v1/security/audits"
	case protocol.ReadKeys:
		return "/-/npm/v1/keys"
	case protocol.Whoami:
		return "/-/whoami"
	case protocol.ReadSelf:
		return "/-/auth/v1/self"
	case protocol.Login:
		return "/-/v1/login"
	case protocol.LegacyLogin, protocol.ReadUser:
		return "/-/user/org.couchdb.user:" + esc(op.User)
	case protocol.LegacyUpdate:
		return "/-/user/org.couchdb.user:" + esc(op.User) + "/-rev/" + esc(op.Revision)
	case protocol.Logout:
		return "/-/user/token/" + esc(op.Token)
	case protocol.ListTokens, protocol.CreateToken:
		if op.Token != "" {
			return "/-/auth/v1/tokens/" + esc(op.Token) + "/rotate"
		}
		return "/-/npm/v1/tokens"
	case protocol.RevokeToken:
		if op.Token == "" {
			return "/-/auth/v1/tokens"
		}
		return "/-/npm/v1/tokens/token/" + esc(op.Token)
	case protocol.ListSessions, protocol.EndSession:
		if op.Token != "" {
			return "/-/auth/v1/sessions/" + esc(op.Token)
		}
		return "/-/auth/v1/sessions"
	case protocol.ListMemberships:
		return "/-/auth/v1/orgs"
	case protocol.SetOrgFactor:
		return "/-/auth/v1/orgs/" + esc(op.Org)
	case protocol.ReadOrgTrust, protocol.WriteOrgTrust:
		if op.ID != "" {
			return "/-/auth/v1/orgs/" + esc(op.Org) + "/trust/" + esc(op.ID)
		}
		return "/-/auth/v1/orgs/" + esc(op.Org) + "/trust"
	case protocol.ListFactors, protocol.AddFactor, protocol.SetTwoFactor:
		return "/-/auth/v1/factors"
	case protocol.RemoveFactor:
		return "/-/auth/v1/factors/" + esc(op.ID)
	case protocol.ListEvents:
		return "/-/auth/v1/events"
	case protocol.ReadProfile, protocol.WriteProfile:
		return "/-/npm/v1/user"
	case protocol.AuthPage:
		return "/-/auth/page"
	case protocol.ReportLeak:
		return "/-/auth/v1/leaked"
	case protocol.ReadService, protocol.ManageService, protocol.RevokeService:
		name, key, one := op.Service, op.Token, op.Token != ""
		if one {
			path := "/-/auth/v1/services/" + esc(name) + "/tokens/" + esc(key)
			if op.Action == protocol.ManageService {
				path += "/rotate"
			}
			return path
		}
		return "/-/auth/v1/services/" + esc(name) + "/tokens"
	case protocol.ListStars, protocol.WriteStars:
		return "/-/user/v1/star"
	case protocol.ReadHooks, protocol.WriteHooks:
		switch {
		case op.ID != "":
			return "/-/npm/v1/hooks/hook/" + esc(op.ID)
		case op.Action == protocol.WriteHooks:
			return "/-/npm/v1/hooks/hook"
		}
		return "/-/npm/v1/hooks"
	case protocol.ReadOrg, protocol.WriteOrg:
		return "/-/org/" + esc(org) + "/user"
	case protocol.ListTeams:
		return "/-/org/" + esc(org) + "/team"
	case protocol.ListOrgPackages:
		return "/-/org/" + esc(org) + "/package"
	case protocol.WriteTeam:
		if isTeam {
			return "/team/@" + esc(org) + "/" + esc(team)
		}
		return "/team/@" + esc(org)
	case protocol.ReadTeam, protocol.WriteTeamMember:
		return "/-/team/" + esc(org) + "/" + esc(team) + "/user"
	case protocol.GrantTeam, protocol.ListTeamPackages:
		return "/-/team/" + esc(org) + "/" + esc(team) + "/package"
	case protocol.ListPackages:
		if op.User == "" {
			return "/-/-/package"
		}
		return "/-/user/" + esc(op.User) + "/package"
	case protocol.ListStaged:
		return "/-/stage"
	case protocol.ReadStaged, protocol.RejectStaged:
		if op.ID == "" {
			return "/-/auth/v1/staged/reject"
		}
		return "/-/stage/" + esc(op.ID)
	case protocol.ApproveStaged:
		if op.ID == "" {
			return "/-/auth/v1/staged/approve"
		}
		return "/-/stage/" + esc(op.ID) + "/approve"
	case protocol.ReadPackument:
		if op.Version+op.Tag != "" {
			return "/" + pkg + "/" + esc(op.Version+op.Tag)
		}
		return "/" + pkg
	case protocol.WritePackument:
		if op.Revision != "" {
			return "/" + pkg + "/-rev/" + esc(op.Revision)
		}
		return "/" + pkg
	case protocol.ReadTarball:
		return "/" + pkg + "/-/" + esc(op.Package.Name+"-"+op.Version+".tgz")
	case protocol.Unpublish:
		return "/" + pkg + "/-/" + esc(op.Package.Name+"-"+op.Version+".tgz") + "/-rev/" + esc(op.Revision)
	case protocol.UnpublishAll:
		return "/" + pkg + "/-rev/" + esc(op.Revision)
	case protocol.ReadAttestations:
		return "/-/npm/v1/attestations/" + pkg + "@" + esc(op.Version)
	case protocol.ReadDistTags:
		return "/-/package/" + pkg + "/dist-tags"
	case protocol.SetDistTag, protocol.RemoveDistTag:
		return "/-/package/" + pkg + "/dist-tags/" + esc(op.Tag)
	case protocol.WriteOwners:
		if op.User != "" {
			return "/-/package/" + pkg + "/owners/" + esc(op.User)
		}
		return "/-/package/" + pkg + "/owners"
	case protocol.ReadAccess, protocol.SetAccess:
		return "/-/package/" + pkg + "/access"
	case protocol.ReadVisibility:
		return "/-/package/" + pkg + "/visibility"
	case protocol.ReadCollaborators:
		return "/-/package/" + pkg + "/collaborators"
	case protocol.Stage:
		return "/-/stage/package/" + pkg
	case protocol.ReadTrust, protocol.WriteTrust:
		if op.ID != "" {
			return "/-/package/" + pkg + "/trust/" + esc(op.ID)
		}
		return "/-/package/" + pkg + "/trust"
	case protocol.CheckTrust:
		return "/-/auth/v1/trust/" + pkg + "/check"
	case protocol.ExchangeToken:
		return "/-/npm/v1/oidc/token/exchange/package/" + pkg
	}
	t.Fatalf("no path for %v", op.Action)
	return ""
}

// allNames returns all names in op apart from its package.
func allNames(op protocol.Operation) string {
	return strings.Join([]string{op.Version, op.Tag, op.User, op.Org, op.Team, op.Service, op.Revision, op.ID, op.Token}, "|")
}

// checkClassified asserts what is true of every classified request.
func checkClassified(t testing.TB, method, path string) {
	t.Helper()
	op, err := protocol.Classify(method, path)
	if err != nil {
		require.ErrorIs(t, err, protocol.ErrPath)
		require.Zero(t, op, "an operation came with an error")
		return
	}
	if op.Action == protocol.Unknown {
		require.Zero(t, op, "an unknown operation names something")
		return
	}
	require.Equal(t, op.Action.OfPackage(), !op.Package.IsZero(), "%v", op)
	if !op.Package.IsZero() {
		require.NoError(t, op.Package.Validate())
	}
	for name := range strings.SplitSeq(allNames(op), "|") {
		for part := range strings.SplitSeq(name, "/") {
			require.NotContains(t, []string{".", ".."}, part)
		}
	}
	require.NotContains(t, allNames(op), "\x00")
	if method == "GET" || method == "HEAD" {
		require.False(t, op.Action.Write(), "%s is %v", method, op.Action)
	}

	again := canonical(t, method, op)
	op2, err := protocol.Classify(method, again)
	require.NoError(t, err, "%s %s → %s", method, path, again)
	require.Equal(t, op, op2, "%s %s → %s", method, path, again)
	if method == "GET" {
		head, err := protocol.Classify("HEAD", path)
		require.NoError(t, err)
		require.Equal(t, op, head)
	}
}

// A reference is a router as a Go registry would have it: net/http's, which decodes each
// segment once, and then the simplest code to get a package's name.
type reference struct {
	mux *http.ServeMux
	pkg string // of the request that was last routed, "" if it names none
}

func newReference() *reference {
	ref := &reference{mux: http.NewServeMux()}
	pattern := ""
	for n := range 12 {
		pattern += fmt.Sprintf("/{s%d}", n)
		ref.mux.HandleFunc(pattern, func(_ http.ResponseWriter, r *http.Request) {
			segs := make([]string, n+2) // one more than there are
			for i := range n + 1 {
				segs[i] = r.PathValue(fmt.Sprintf("s%d", i))
			}
			ref.pkg = packageOf(segs)
		})
	}
	return ref
}

// packageOf returns the package that the segments of a path name.
func packageOf(segs []string) string {
	at := 0
	if segs[0] == "-" {
		for _, below := range [][]string{{"-", "package"}, {"-", "stage", "package"}, {"-", "npm", "v1", "oidc", "token", "exchange", "package"}} {
			if len(segs) > len(below) && slices.Equal(segs[:len(below)], below) {
				at = len(below)
			}
		}
		if at == 0 {
			return ""
		}
	}
	name := segs[at]
	if strings.HasPrefix(name, "@") && !strings.Contains(name, "/") && at+1 < len(segs) {
		name += "/" + segs[at+1]
	}
	return name
}

// route returns the package that the reference would hand the request to.
func (ref *reference) route(path string) string {
	ref.pkg = ""
	u, err := url.ParseRequestURI(path)
	if err != nil || u.Host != "" || u.RawQuery != "" || u.ForceQuery || u.EscapedPath() != path {
		return ""
	}
	ref.mux.ServeHTTP(httptest.NewRecorder(), &http.Request{Method: "POST", URL: u, Host: "npm.acme.test", RequestURI: path})
	return ref.pkg
}

// checkRouted compares a request with the reference: if the reference routes it to a package,
// Classify returns that package or none. So two requests for one package of the reference never
// belong to two packages.
func checkRouted(t testing.TB, ref *reference, method, path string) {
	t.Helper()
	pkg := ref.route(path)
	op, err := protocol.Classify(method, path)
	if pkg == "" || err != nil || op.Action == protocol.Unknown {
		return
	}
	if op.Action.OfOrg() { // of Yarn 1, below /team/@
		require.Equal(t, "team", pkg)
		return
	}
	require.Equal(t, pkg, op.Package.String(), "%s %s", method, path)
}

// The reference and the table agree on the table's requests.
func TestReferenceRouter(t *testing.T) {
	ref, agreed := newReference(), 0
	for _, row := range requestRows(t) {
		checkRouted(t, ref, row.method, row.path)
		if !row.want.Package.IsZero() && ref.route(row.path) == row.want.Package.String() {
			agreed++
		}
	}
	assert.Greater(t, agreed, 60, "the reference routes next to nothing")
	for path, pkg := range map[string]string{
		"/@acme%2fwidget": "@acme/widget", "/@acme/widget": "@acme/widget", "/%40acme%2Fwidget/latest": "@acme/widget", "/@acme%252fwidget": "@acme%2fwidget",
		"/-/package/@acme/widget/dist-tags": "@acme/widget", "/%2d/package/plain/access": "plain", "/-/whoami": "", "/plain/-/plain-1.0.0.tgz": "plain", "/a/../b": "",
	} {
		got := ref.route(path)
		if path == "/@acme%252fwidget" { // the name has no slash, and there is no next segment
			pkg += "/"
		}
		assert.Equal(t, pkg, got, path)
	}
}

// classifying is what the path of a request may take: each route that begins as it does decodes
// its segments.
var classifying = fuzzbound.Bounds{Memory: fuzzbound.Limit{Base: 1 << 10, PerByte: 48}, Work: fuzzbound.Limit{PerByte: 1}}

// The canonical path of an operation is the same operation, no request belongs to another
// package than a router that decodes once finds, and Classify never panics.
func FuzzClassify(f *testing.F) {
	for _, row := range requestRows(f) {
		f.Add(row.method, row.path)
	}
	for _, q := range allocationFree {
		f.Add(q.method, q.path)
	}
	ref := newReference()
	f.Fuzz(func(t *testing.T, method, path string) {
		fuzzbound.Check(t, path, classifying, func(path string) int {
			op, _ := protocol.Classify(method, path)
			return len(op.Package.Scope) + len(op.Package.Name) + len(op.Tag) + len(op.Version) + len(op.Org) + len(op.Team) + len(op.User) + len(op.Token) + len(op.Revision)
		})
		checkClassified(t, method, path)
		checkRouted(t, ref, method, path)
	})
}

// PC-43: a proxy that decodes a path, in part or wholly, never changes its package into another
// one. The result may be refused.
func TestClassifyBehindADecodingProxy(t *testing.T) {
	slashes := strings.NewReplacer("%2f", "/", "%2F", "/")
	ats := strings.NewReplacer("%40", "@")
	changed := 0
	for _, row := range requestRows(t) {
		op, err := protocol.Classify(row.method, row.path)
		if err != nil || op.Package.IsZero() {
			continue
		}
		all, err := url.PathUnescape(row.path)
		require.NoError(t, err)
		for _, path := range []string{slashes.Replace(row.path), ats.Replace(row.path), ats.Replace(slashes.Replace(row.path)), all} {
			if path == row.path {
				continue
			}
			behind, err := protocol.Classify(row.method, path)
			if err == nil && !behind.Package.IsZero() {
				changed++
				assert.Equal(t, op.Package, behind.Package, "%s became %s", row.path, path)
				assert.Equal(t, op.Action, behind.Action, "%s became %s", row.path, path)
			}
		}
	}
	assert.Greater(t, changed, 20)
}

// Classify accepts the escaped path of the standard library, so that nothing is lost between
// them.
func TestClassifyEscapedPathOfURL(t *testing.T) {
	for _, row := range requestRows(t) {
		u, err := url.ParseRequestURI(row.path)
		if err != nil || u.Path == "" || u.Host != "" || u.RawQuery != "" || strings.Contains(row.path, "#") {
			continue
		}
		op, err := protocol.Classify(row.method, u.EscapedPath())
		assert.Equal(t, row.bad, err != nil, "%s", row.path)
		assert.Equal(t, row.want, op, "%s", row.path)
	}
}
