package npmauth_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	caseID   = regexp.MustCompile(`\b[A-Z]{1,3}-[0-9]{2}\b`)
	caseLine = regexp.MustCompile(`^- \*\*([A-Z]{1,3}-[0-9]{2})\*\*: [^ ].*\.$`)
	caseHead = regexp.MustCompile(`^## ([A-Z]{1,3}): `)
	// untested is a line of the last section: a case, or cases that follow each other.
	untested = regexp.MustCompile(`^- \*\*([A-Z]{1,3})-([0-9]{2})\*\*(?: to \*\*([A-Z]{1,3})-([0-9]{2})\*\*)?: [^ ].*: [^ ].*\.$`)
)

var withoutTest = regexp.MustCompile(`(?m)^\s"[A-Z]+-[0-9]+":\s+na\(.*$`)

// noTest heads the cases that no test names.
const noTest = "## Cases without a test"

// notCases look like the ID of a case.
var notCases = []string{"CRC-32"}

// What a test of any module names is said in docs/cases.md, a line for each case below the
// heading of its family and in order. Its last section has the cases that no test names, with the
// reason, and the document says nothing of any other.
func TestCasesAreDocumented(t *testing.T) {
	text, err := os.ReadFile("docs/cases.md")
	require.NoError(t, err)
	documented := map[string]bool{}
	families, family, last := map[string]bool{}, "", ""
	tested, rest, found := strings.Cut(string(text), "\n"+noTest+"\n")
	require.True(t, found, noTest)
	for line := range strings.Lines(tested) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "#") {
			if head := caseHead.FindStringSubmatch(line); head != nil {
				family, last = head[1], ""
				assert.False(t, families[family], "%s has two headings", family)
				families[family] = true
			}
			continue
		}
		if !strings.HasPrefix(line, "- ") {
			continue
		}
		match := caseLine.FindStringSubmatch(line)
		if !assert.NotNil(t, match, "not the line of a case: %s", line) {
			continue
		}
		id := match[1]
		assert.Equal(t, family, strings.Split(id, "-")[0], "%s stands below the heading of another family", id)
		assert.Less(t, last, id, "%s is out of order", id)
		documented[id], last = true, id
	}
	require.NotEmpty(t, documented)

	named := namedCases(t)
	for id, files := range named {
		assert.True(t, documented[id], "%s is not in docs/cases.md; it is named in %s", id, files)
	}
	for id := range documented {
		assert.NotEmpty(t, named[id], "%s is in docs/cases.md, and no test names it", id)
	}
	without := casesWithout(t, rest)
	require.NotEmpty(t, without)
	for _, id := range without {
		assert.Empty(t, named[id], "%s has a test: its line belongs to its family", id)
		assert.False(t, documented[id], "%s has two lines", id)
	}
}

// casesWithout returns the IDs of the last section.
func casesWithout(t *testing.T, section string) (ids []string) {
	t.Helper()
	for line := range strings.Lines(section) {
		line = strings.TrimSuffix(line, "\n")
		assert.False(t, strings.HasPrefix(line, "#"), "it is the last section: %s", line)
		if !strings.HasPrefix(line, "- ") {
			continue
		}
		m := untested.FindStringSubmatch(line)
		if !assert.NotNil(t, m, "not the line of a case, with the reason after a colon: %s", line) {
			continue
		}
		first, _ := strconv.Atoi(m[2])
		last := first
		if m[3] != "" {
			assert.Equal(t, m[1], m[3], line)
			last, _ = strconv.Atoi(m[4])
			assert.Less(t, first, last, line)
		}
		for n := first; n <= last; n++ {
			id := fmt.Sprintf("%s-%02d", m[1], n)
			assert.Less(t, append([]string{""}, ids...)[len(ids)], id, "%s is out of order", id)
			ids = append(ids, id)
		}
	}
	return ids
}

// namedCases returns the IDs that tests of all modules name, and the files that do: tests,
// their tables, and the packages that test what others wrote.
func namedCases(t *testing.T) map[string][]string {
	t.Helper()
	named := map[string][]string{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if path != "." && strings.HasPrefix(d.Name(), ".") {
				return fs.SkipDir
			}
			return nil
		}
		dir := filepath.ToSlash(filepath.Dir(path))
		isTest := strings.HasSuffix(path, "_test.go") ||
			strings.HasSuffix(path, ".go") && strings.HasSuffix(dir, "test") ||
			strings.HasSuffix(path, ".txt") && slices.Contains(strings.Split(dir, "/"), "testdata")
		if !isTest {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if path == "cases_test.go" { // what it says of a case that has no test
			text = withoutTest.ReplaceAll(text, nil)
		}
		for _, id := range caseID.FindAllString(string(text), -1) {
			if !slices.Contains(notCases, id) && !slices.Contains(named[id], path) {
				named[id] = append(named[id], path)
			}
		}
		return nil
	})
	require.NoError(t, err)
	return named
}
