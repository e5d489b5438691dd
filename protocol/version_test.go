package protocol_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/npmauth/npmauth/protocol"
)

func TestValidVersion(t *testing.T) {
	for valid, versions := range map[bool][]string{
		true: {
			"1.0.0", "0.0.0", "1.2.3-rc.1", "1.2.3-rc.1+build.5", "1.0.0-x-y", "10.20.30", "1.2.3-0", "1.2.3-01a", "1.2.3--", "1.2.3+build.01",
			"1.2.3-" + strings.Repeat("a", 250),
		},
		false: {
			"", "1", "1.0", "1.2.3.4", "01.0.0", "1.0.0-01", "v1.0.0", "1.0.0 ", "1.0.0/..", "1.0.0-", "1.0.0+", "1..3", "1.2.x", "1.2.3-a..b", "1.2.3+a+b",
			"-1.2.3", "1.2.3-\u00e9", "1.2.3\x00", "99999999999999999.0.0", "1.2.3-" + strings.Repeat("a", 251), "../../../etc/cron.d/x",
		},
	} {
		for _, v := range versions {
			assert.Equal(t, valid, protocol.ValidVersion(v), "version %q", v)
		}
	}
}

// AU-13: no tag can be taken for a version or a range.
func TestValidTag(t *testing.T) {
	for valid, tags := range map[bool][]string{
		true: {"latest", "next", "beta-1", "vnext", "xyz", "stable.2", "v", "2023-stable", "1-beta", "it's", "x1", strings.Repeat("a", 128)},
		false: {
			"", "1", "1.0.0", "v1", "v1.0.0", "v2.x", "x", "*", "1.x", "1.2.3-rc.1", "vv1", "~1.2", "^1", ">=3", "=1", "a b", "a/b", "a%2fb", ".", "..", "-a",
			"@a", "a\x00", strings.Repeat("a", 129),
		},
	} {
		for _, tag := range tags {
			assert.Equal(t, valid, protocol.ValidTag(tag), "tag %q", tag)
		}
	}
}

// AU-13: one rule for the names of people, organizations and teams.
func TestValidUser(t *testing.T) {
	for valid, names := range map[bool][]string{
		true:  {"alice", "Alice", "a.b-c_d~e", "alice@acme.test", "\u00e9ric", strings.Repeat("a", 214)},
		false: {"", ".", "..", "@alice", "a b", "a/b", "a\\b", "a:b", "a%b", "a\x00", "a\u202e", "\xff", strings.Repeat("a", 215)},
	} {
		for _, name := range names {
			assert.Equal(t, valid, protocol.ValidUser(name), "user %q", name)
		}
	}
	for valid, names := range map[bool][]string{
		true:  {"acme", "Acme", "a.b-c_d"},
		false: {"", ".a", "-a", "_a", "@acme", "a b", "a:b", "a/b", "\u00e9", strings.Repeat("a", 215)},
	} {
		for _, name := range names {
			assert.Equal(t, valid, protocol.ValidOrg(name), "organization %q", name)
		}
	}
}
