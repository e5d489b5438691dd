package npmauth_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// series are the cases that an attacker of a registry is expected to try, numbered from
// 01 without a gap: paths (PC), headers (HS), JSON bodies (JB), tokens (TK), what they may
// do (PR), addresses (IP), reports of leaks (SS), and what other registries went wrong in:
// grants (G), names (N), operation (P).
var series = []struct {
	letters string
	last    int
}{
	{"PC", 43}, {"HS", 15}, {"JB", 17}, {"TK", 34}, {"PR", 29}, {"IP", 12}, {"SS", 10},
	{"G", 14}, {"N", 8}, {"P", 8},
}

// A proof is where a case is tested, or why it is not.
type proof struct {
	dir, test string // the package's directory and the test that names the case
	table     string // the file that names it, where the test reads one
	na        string // why the case cannot arise here
}

func by(dir, test string) proof             { return proof{dir: dir, test: test} }
func byTable(dir, test, table string) proof { return proof{dir: dir, test: test, table: table} }
func na(reason string) proof                { return proof{na: reason} }

// cases says of every case where it is tested. A test that is renamed, or that a case
// is taken out of, is missed here.
var cases = map[string]proof{
	"PC-01": by(".", "TestPaths"),
	"PC-02": by(".", "TestPaths"),
	"PC-03": by(".", "TestPaths"),
	"PC-04": by(".", "TestPaths"),
	"PC-05": by(".", "TestPaths"),
	"PC-06": by(".", "TestPaths"),
	"PC-07": by(".", "TestPaths"),
	"PC-08": by(".", "TestPaths"),
	"PC-09": by(".", "TestPaths"),
	"PC-10": by(".", "TestPaths"),
	"PC-11": by(".", "TestPaths"),
	"PC-12": by(".", "TestPaths"),
	"PC-13": by(".", "TestPaths"),
	"PC-14": by(".", "TestPathsAreJudgedAlike"),
	"PC-15": by(".", "TestPathsAreJudgedAlike"),
	"PC-16": by(".", "TestPaths"),
	"PC-17": by(".", "TestPaths"),
	"PC-18": by(".", "TestPaths"),
	"PC-19": by(".", "TestTagsByEitherPath"),
	"PC-20": by(".", "TestTagsByEitherPath"),
	"PC-21": by(".", "TestPaths"),
	"PC-23": by(".", "TestUnpublishIsOfThePathsPackage"),
	"PC-24": by(".", "TestPaths"),
	"PC-25": by(".", "TestUnpublishIsOfThePathsPackage"),
	"PC-29": by(".", "TestPublishBodyNames"),
	"PC-30": by(".", "TestPublishBodyNames"),
	"PC-31": by(".", "TestPublishBodyNames"),
	"PC-32": by(".", "TestPublishBodyNames"),
	"PC-33": by(".", "TestLegacyLogin"),
	"PC-34": byTable("protocol", "TestClassify", "testdata/requests.txt"),
	"PC-35": by(".", "TestExchangeRefused"),
	"PC-36": by(".", "TestRequestTargets"),
	"PC-37": by(".", "TestPathsAreJudgedAlike"),
	"PC-38": by(".", "TestPathsAreJudgedAlike"),
	"PC-39": by(".", "TestPathsAreJudgedAlike"),
	"PC-40": by(".", "TestMountedBelowAPrefix"),
	"PC-41": by(".", "TestPaths"),
	"PC-42": by("protocol", "TestClassifyLongPaths"),
	"PC-43": by("protocol", "TestClassifyBehindADecodingProxy"),

	"HS-01": by(".", "TestCredentialHeader"),
	"HS-02": by(".", "TestCredentialHeader"),
	"HS-03": by(".", "TestCredentialHeader"),
	"HS-04": by(".", "TestCarriersAreJudgedAlike"),
	"HS-05": by(".", "TestCookiesAreNotCredentials"),
	"HS-06": by(".", "TestProofHeader"),
	"HS-07": by(".", "TestProofHeader"),
	"HS-08": by(".", "TestProofHeader"),
	"HS-09": by(".", "TestProofHeader"),
	"HS-10": by(".", "TestProofHeader"),
	"HS-11": by(".", "TestSmuggledHeaders"),
	"HS-12": by(".", "TestSmuggledHeaders"),
	"HS-13": by(".", "TestHostHeaderIsNotUsed"),
	"HS-14": by(".", "TestHostHeaderIsNotUsed"),
	"HS-15": by(".", "TestTokenRequests"),

	"JB-01": by(".", "TestBodies"),
	"JB-02": by(".", "TestBodies"),
	"JB-03": by(".", "TestBodies"),
	"JB-04": by(".", "TestBodies"),
	"JB-05": by(".", "TestBodies"),
	"JB-06": by(".", "TestTokenRequestTypes"),
	"JB-07": by(".", "TestBodies"),
	"JB-08": by(".", "TestBodies"),
	"JB-09": by(".", "TestBodies"),
	"JB-10": by(".", "TestCompressedReport"),
	"JB-11": by(".", "TestSlowBodiesHoldNobodyUp"),
	"JB-12": by(".", "TestBodies"),
	"JB-13": by(".", "TestTokenRequests"),
	"JB-14": by("token", "TestSpecRefused"),
	"JB-15": by(".", "TestPublishReaderWithholds"),
	"JB-16": by(".", "TestOtherEncodings"),
	"JB-17": by(".", "TestTokenRequestDates"),

	"TK-01": by(".", "TestCredentialsAreNotTheirLooks"),
	"TK-02": by(".", "TestCredentialsAreNotTheirLooks"),
	"TK-03": by(".", "TestCredentialsAreNotTheirLooks"),
	"TK-04": by(".", "TestCredentialsAreNotTheirLooks"),
	"TK-05": by(".", "TestCredentialsAreNotTheirLooks"),
	"TK-06": by(".", "TestCredentialsAreNotTheirLooks"),
	"TK-07": by(".", "TestCredentialsAreNotTheirLooks"),
	"TK-08": by(".", "TestTokenRights"),
	"TK-09": by("session", "TestSessionExpiry"),
	"TK-10": by(".", "TestClockSetBack"),
	"TK-11": by(".", "TestSteadiness"),
	"TK-12": by("token", "TestDaysAreNotCalendarDays"),
	"TK-13": by("token", "TestSpecRefused"),
	"TK-14": by(".", "TestSecretsAreNotRepeated"),
	"TK-15": by(".", "TestNamesThatChangeHands"),
	"TK-16": by(".", "TestAccountEnds"),
	"TK-17": by(".", "TestNamesThatChangeHands"),
	"TK-18": by(".", "TestSetPassword"),
	"TK-19": by(".", "TestFactorEndsOldSessions"),
	"TK-20": by(".", "TestTokenLifecycle"),
	"TK-21": by(".", "TestWatchKeepsAndDrops"),
	"TK-22": by(".", "TestWatchKeepsAndDrops"),
	"TK-23": by(".", "TestRevokedWhilePublishing"),
	"TK-24": by(".", "TestTokenLifecycle"),
	"TK-25": by(".", "TestTokenLifecycle"),
	"TK-26": by(".", "TestLogout"),
	"TK-27": by(".", "TestTokenLifecycle"),
	"TK-28": by(".", "TestTokenPaging"),
	"TK-29": by(".", "TestRestrictionsAreEnforced"),
	"TK-30": by("session", "TestSessionExpiry"),
	"TK-31": by("token", "TestFlushFails"),
	"TK-32": na("no call takes a secret: each is drawn at random by the part that stores it"),
	"TK-33": by(".", "TestDeadTokensCostTheSame"),
	"TK-34": by(".", "TestTokenLifecycle"),

	"PR-01": by(".", "TestTokenRights"),
	"PR-02": by(".", "TestTokenRights"),
	"PR-03": by(".", "TestTokenRights"),
	"PR-04": by("token", "TestRotate"),
	"PR-05": na("only a session makes tokens, and each outlives it"),
	"PR-06": by("token", "TestRotate"),
	"PR-07": by(".", "TestTokenRights"),
	"PR-08": by(".", "TestTokenRequests"),
	"PR-09": by(".", "TestTokenRequests"),
	"PR-10": by(".", "TestTokenRequests"),
	"PR-11": by(".", "TestRightsAreLive"),
	"PR-12": by(".", "TestRightsAreLive"),
	"PR-13": by(".", "TestRightsAreLive"),
	"PR-14": by(".", "TestTokenRights"),
	"PR-15": by(".", "TestTokenRights"),
	"PR-16": by(".", "TestTokenRights"),
	"PR-17": by(".", "TestTokensChangeNoRules"),
	"PR-18": by(".", "TestPackageSettingsAreLive"),
	"PR-19": by(".", "TestTokenRights"),
	"PR-20": by(".", "TestTokenRights"),
	"PR-21": by(".", "TestPublishNeedsAFactor"),
	"PR-22": by(".", "TestBodiesMakeNobody"),
	"PR-23": byTable("policy", "TestNPM", "testdata/decisions.txt"),
	"PR-24": by(".", "TestBodiesMakeNobody"),
	"PR-25": by(".", "TestTokensChangeNoAccount"),
	"PR-26": by(".", "TestEnrol"),
	"PR-27": by(".", "TestRequiredFactorStays"),
	"PR-28": by(".", "TestNothingIsWrittenWithoutAllow"),
	"PR-29": by(".", "TestTokensChangeNoRules"),

	"IP-01": by(".", "TestTokenAddresses"),
	"IP-02": by(".", "TestForwardedAddresses"),
	"IP-03": by(".", "TestForwardedAddresses"),
	"IP-04": by("internal/clientip", "TestFrom"),
	"IP-05": by(".", "TestForwardedAddresses"),
	"IP-06": by(".", "TestTokenAddresses"),
	"IP-07": by(".", "TestNetworksHoldTheirOwn"),
	"IP-08": by(".", "TestNetworksHoldTheirOwn"),
	"IP-09": by("token", "TestSpecRefused"),
	"IP-10": by(".", "TestNetworksHoldTheirOwn"),
	"IP-11": by(".", "TestRangesHoldEverywhere"),
	"IP-12": by(".", "TestNetworksHoldTheirOwn"),

	"SS-01": by("leak", "TestPublishedReports"),
	"SS-02": by("leak", "TestPublishedReports"),
	"SS-03": by("leak", "TestFetch"),
	"SS-04": by("leak", "TestFetchFlood"),
	"SS-05": by("leak", "TestFetchFails"),
	"SS-06": by(".", "TestLeakedMany"),
	"SS-07": by(".", "TestLeaked"),
	"SS-08": by(".", "TestLeaked"),
	"SS-09": by(".", "TestLeaked"),
	"SS-10": by("leak", "TestWycheproof"),

	"G-01": by(".", "TestGrantsDoNotBleed"),
	"G-02": by(".", "TestGrantsDoNotBleed"),
	"G-03": by(".", "TestRightsAreLive"),
	"G-04": by(".", "TestGrantsDoNotBleed"),
	"G-05": by(".", "TestGrantsDoNotBleed"),
	"G-06": by(".", "TestNothingIsWrittenWithoutAllow"),
	"G-07": by(".", "TestCarriersAreJudgedAlike"),
	"G-08": by(".", "TestExchangeRefused"),
	"G-09": by(".", "TestTokensChangeNoRules"),
	"G-10": by(".", "TestWatchKeepsAndDrops"),
	"G-11": by("token", "TestOpenRefuses"),
	"G-12": by(".", "TestBodies"),
	"G-13": na("there is no earlier version, whose tokens could be restricted less; records with more than is known are refused: TestOpenRefuses"),
	"G-14": by(".", "TestCredentialsAreNotTheirLooks"),

	"N-02": by(".", "TestNamesAreNotJoined"),
	"N-03": by(".", "TestPaths"),
	"N-04": by(".", "TestPublicRoutes"),
	"N-05": by(".", "TestActionsNotMethods"),
	"N-07": by(".", "TestHiddenIsAbsent"),
	"N-08": by(".", "TestHiddenIsAbsent"),

	"P-01": by(".", "TestSecretsAreNotRepeated"),
	"P-02": by(".", "TestTokenAddresses"),
	"P-03": by(".", "TestOutages"),
	"P-04": by(".", "TestOutagesDeny"),
	"P-05": by(".", "TestNamesThatChangeHands"),
	"P-06": by(".", "TestRightsAreLive"),
	"P-07": by(".", "TestLeaked"),
	"P-08": by(".", "TestAnswersAreNotStored"),

	"PC-22": by(".", "TestDocumentsTakeTheRightToWhatTheyDo"),
	"PC-26": by(".", "TestDocumentsTakeTheRightToWhatTheyDo"),
	"PC-27": by(".", "TestDocumentsTakeTheRightToWhatTheyDo"),
	"PC-28": by(".", "TestDocumentsTakeTheRightToWhatTheyDo"),
	"N-01":  by(".", "TestCheckTarball"),
	"N-06":  by(".", "TestDocumentsTakeTheRightToWhatTheyDo"),
}

// Every case is accounted for, nothing else is, and what is said of a case is true: the
// test is there and names it, in a comment or a string of its own or in its table.
func TestCases(t *testing.T) {
	left := map[string]bool{}
	for id := range cases {
		left[id] = true
	}
	sources := map[string]map[string]source{}
	for _, s := range series {
		for n := range s.last {
			id := fmt.Sprintf("%s-%02d", s.letters, n+1)
			p, ok := cases[id]
			if !assert.True(t, ok, "%s is tested nowhere", id) {
				continue
			}
			delete(left, id)
			if p.na != "" {
				assert.Empty(t, p.test, id)
				continue
			}
			if sources[p.dir] == nil {
				sources[p.dir] = testSources(t, p.dir)
			}
			src, ok := sources[p.dir][p.test]
			if !assert.True(t, ok, "%s: no %s in %s", id, p.test, p.dir) {
				continue
			}
			text := src.own
			if p.table != "" {
				assert.Contains(t, src.file, p.table, "%s: the file of %s reads another table", id, p.test)
				table, err := os.ReadFile(filepath.Join(p.dir, p.table))
				require.NoError(t, err)
				text = string(table)
			}
			assert.Regexp(t, `\b`+id+`\b`, text, "%s does not name %s", p.test, id)
		}
	}
	assert.Empty(t, left, "cases that are none")
}

// A source holds the comments and strings of a test.
type source struct{ own, file string } // of the function alone, of all of its file

// testSources returns the tests of a directory by name.
func testSources(t *testing.T, dir string) map[string]source {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	require.NoError(t, err)
	require.NotEmpty(t, files, dir)
	tests, set := map[string]source{}, token.NewFileSet()
	for _, path := range files {
		f, err := parser.ParseFile(set, path, nil, parser.ParseComments)
		require.NoError(t, err)
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Recv != nil || !testName.MatchString(fn.Name.Name) {
				continue
			}
			from := fn.Pos()
			if fn.Doc != nil {
				from = fn.Doc.Pos()
			}
			tests[fn.Name.Name] = source{own: texts(f, from, fn.End()), file: texts(f, f.Pos(), f.End())}
		}
	}
	return tests
}

var testName = regexp.MustCompile(`^(Test|Fuzz)[A-Z]`)

// texts returns the comments and strings of f between two places, a line for each.
func texts(f *ast.File, from, to token.Pos) string {
	var b strings.Builder
	for _, c := range f.Comments {
		if from <= c.Pos() && c.End() <= to {
			b.WriteString(c.Text() + "\n")
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING && from <= lit.Pos() && lit.End() <= to {
			if text, err := strconv.Unquote(lit.Value); err == nil {
				b.WriteString(text + "\n")
			}
		}
		return true
	})
	return b.String()
}
