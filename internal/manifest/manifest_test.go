package manifest_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/manifest"
	"github.com/npmauth/npmauth/internal/strictjson"
)

// read reads the manifest of widget 1.0.0 with further fields, which begin with a comma unless
// there are none.
func read(tb testing.TB, fields string) manifest.Manifest {
	tb.Helper()
	m, err := parse(`{"name":"widget","version":"1.0.0"` + fields + `}`)
	require.NoError(tb, err, fields)
	m.Name, m.Version = "widget", "1.0.0"
	return m
}

func parse(text string) (manifest.Manifest, error) {
	var r manifest.Reader
	loose := func(path []strictjson.Step) bool { return len(path) == 1 && !manifest.Compares(path[0].Key) }
	s := strictjson.NewScanner(strictjson.Limits{Text: manifest.MaxText, Loose: loose}, func(e strictjson.Event) error { return r.Read(e.Path, e) })
	if _, err := s.Write([]byte(text)); err != nil {
		return manifest.Manifest{}, err
	}
	if err := s.Close(); err != nil {
		return manifest.Manifest{}, err
	}
	return r.Manifest("", ""), nil
}

// filesOf returns files.
func filesOf(names ...string) *manifest.Files {
	var f manifest.Files
	for _, name := range names {
		f.Add(name)
	}
	return &f
}

func TestReaderRefuses(t *testing.T) {
	for in, says := range map[string]string{
		`{"scripts":{"a":"` + strings.Repeat("x", manifest.MaxText+1) + `"}}`: "its scripts have a value that is longer",
		`{"bin":{"__proto__":"x"}}`: "JavaScript may leave out",
		`{"os":[` + strings.TrimSuffix(strings.Repeat(`"",`, 16384), ",") + `]}`: "too long",
		`{"dependencies":{"a":"1","a":"1"}}`:                                     "duplicate key",
		`{"engines":` + strings.Repeat("[", 70):                                  "nested too deep",
	} {
		_, err := parse(in)
		require.ErrorContains(t, err, says, "%.50s", in)
	}
	_, err := parse(`{"os":[` + strings.TrimSuffix(strings.Repeat(`"",`, 16000), ",") + `]}`)
	require.NoError(t, err)
	_, err = parse(`{"config":{"__proto__":1,"__proto__":` + strings.Repeat("[", 70) + strings.Repeat("]", 70) + `},"scripts":{"a":"` + strings.Repeat("x", manifest.MaxText) + `"}}`)
	assert.NoError(t, err)
}
