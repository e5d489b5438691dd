package integration_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/npmauth/npmauth/internal/etcdtest"
	"github.com/npmauth/npmauth/internal/integration"
)

// engines are the stores that several processes can share, each named by what
// makes an empty one and returns how -store names it.
var engines = []struct {
	name string
	make func(t *testing.T) string
}{
	{"sqlite", func(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "auth.db") }},
	{"etcd", func(t *testing.T) string { return etcdAt(etcdtest.Start(t).Endpoint()) }},
	{"postgres", func(t *testing.T) string { return integration.SharedPostgres(t).Database(t) }},
}

// etcdAt returns how -store names an etcd.
func etcdAt(endpoints ...string) string {
	members := make([]string, len(endpoints))
	for i, e := range endpoints {
		members[i] = strings.TrimPrefix(e, "http://")
	}
	return "etcd://" + strings.Join(members, ",")
}

// eachEngine runs test on an empty store of every kind.
func eachEngine(t *testing.T, test func(t *testing.T, at string)) {
	t.Helper()
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) { test(t, e.make(t)) })
	}
}
