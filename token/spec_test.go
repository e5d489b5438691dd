package token_test

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	_ "time/tzdata" // for a zone, wherever the test runs

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/token"
)

func packages(n int, target protocol.Target, p protocol.Permission) (grants []protocol.Grant) {
	for i := range n {
		g := protocol.Grant{Target: target, Permission: p}
		if target == protocol.OnePackage {
			g.Package = protocol.PackageName{Name: fmt.Sprintf("p%d", i)}
		} else {
			g.Scope = fmt.Sprintf("s%d", i)
		}
		grants = append(grants, g)
	}
	return grants
}

func scope(name string, p protocol.Permission) []protocol.Grant {
	return []protocol.Grant{{Target: protocol.OneScope, Scope: name, Permission: p}}
}

func cidrs(texts ...string) (list []netip.Prefix) {
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

func TestSpecAllowed(t *testing.T) {
	m := manager(t, store.NewMemory())
	for name, spec := range map[string]token.Spec{
		"nameless":              {Grants: readAll}, // name: null of npm, and clients up to 11.6
		"one character":         {Grants: readAll, Name: "x"},
		"64 characters":         {Grants: readAll, Name: strings.Repeat("é", 64)},
		"1000 characters":       {Grants: readAll, Description: strings.Repeat("é", 1000)},
		"50 packages":           {Grants: packages(50, protocol.OnePackage, protocol.ReadOnly)},
		"50 and 50":             {Grants: append(packages(50, protocol.OneScope, protocol.ReadOnly), packages(50, protocol.OneOrg, protocol.ReadOnly)...)},
		"bypass":                {Grants: writeOne, Bypass: true},
		"bypass for a scope":    {Grants: scope("acme", protocol.ReadWrite), Bypass: true},
		"bypass, staging":       {Grants: scope("acme", protocol.StageOnly), Bypass: true},
		"IPv4":                  {Grants: readAll, CIDRs: cidrs("0.0.0.0/0", "192.0.2.1/32")},
		"IPv6":                  {Grants: readAll, CIDRs: cidrs("::/0", "2001:db8::/32", "::1/128")},
		"90 days":               {Grants: writeOne, Days: 90},
		"ten years":             {Grants: readAll, Days: 3650},
		"an hour, said exactly": {Grants: writeOne, Until: time.Now().Add(time.Hour)},
	} {
		spec.User = "alice"
		assert.NoError(t, m.Validate(spec), name)
	}
}

func TestSpecRefused(t *testing.T) {
	now := time.Now()
	for name, tt := range map[string]struct {
		spec        token.Spec
		field, says string
	}{
		"65 characters":               {token.Spec{Name: strings.Repeat("x", 65)}, "name", "64 printable"},
		"HS-15 line break":            {token.Spec{Name: "a\r\nSet-Cookie:x"}, "name", "printable"},
		"HS-15 tab":                   {token.Spec{Name: "a\tb"}, "name", "printable"},
		"NUL":                         {token.Spec{Name: "a\x00"}, "name", "printable"},
		"LOG-03 escape":               {token.Spec{Name: "a\x1b[2J"}, "name", "printable"},
		"right-to-left override":      {token.Spec{Name: "a\u202eb"}, "name", "printable"},
		"zero width":                  {token.Spec{Name: "a\u200bb"}, "name", "printable"},
		"JB-07 invalid UTF-8":         {token.Spec{Name: "\xff"}, "name", "printable"},
		"JB-14 1 MiB name":            {token.Spec{Name: strings.Repeat("x", 1<<20)}, "name", "printable"},
		"description":                 {token.Spec{Description: strings.Repeat("x", 1001)}, "description", "1000 printable"},
		"description with line break": {token.Spec{Description: "a\nb"}, "description", "printable"},

		"PR-09 no grant":      {token.Spec{Grants: []protocol.Grant{}}, "permissions", "at least one"},
		"zero grant":          {token.Spec{Grants: []protocol.Grant{{}}}, "permissions", "not valid"},
		"PR-08 pattern":       {token.Spec{Grants: scope("acme*", protocol.ReadOnly)}, "permissions", "not valid"},
		"PR-08 at":            {token.Spec{Grants: scope("@acme", protocol.ReadOnly)}, "permissions", "not valid"},
		"PR-08 nameless":      {token.Spec{Grants: scope("", protocol.ReadOnly)}, "permissions", "not valid"},
		"PR-10 unknown":       {token.Spec{Grants: scope("acme", 99)}, "permissions", "not valid"},
		"no access":           {token.Spec{Grants: scope("acme", protocol.NoAccess)}, "permissions", "at least read-only"},
		"no access beside it": {token.Spec{Grants: append(scope("acme", protocol.NoAccess), readAll...)}, "permissions", "at least read-only"},
		"twice":               {token.Spec{Grants: append(scope("acme", protocol.ReadOnly), scope("acme", protocol.ReadWrite)...)}, "permissions", "twice"},
		"with other verbs": {token.Spec{Grants: []protocol.Grant{
			{Target: protocol.AllPackages, Permission: protocol.ReadWrite, Verbs: protocol.VerbPublish},
			{Target: protocol.AllPackages, Permission: protocol.ReadWrite, Verbs: protocol.VerbDistTag},
		}}, "permissions", "twice"},
		"verbs that only read":  {token.Spec{Grants: []protocol.Grant{{Target: protocol.AllPackages, Permission: protocol.ReadOnly, Verbs: protocol.VerbPublish}}}, "permissions", "verbs"},
		"verbs on an org":       {token.Spec{Grants: []protocol.Grant{{Target: protocol.OneOrg, Scope: "acme", Permission: protocol.ReadWrite, Verbs: protocol.VerbPublish}}}, "permissions", "verbs"},
		"unknown verb":          {token.Spec{Grants: []protocol.Grant{{Target: protocol.AllPackages, Permission: protocol.ReadWrite, Verbs: 1 << 7}}}, "permissions", "verb"},
		"creates what is named": {token.Spec{Grants: []protocol.Grant{{Target: protocol.OnePackage, Package: widget, Permission: protocol.ReadWrite, Verbs: protocol.VerbCreate}}}, "permissions", "creates none"},
		"all twice":             {token.Spec{Grants: append(readAll[:1:1], readAll...)}, "permissions", "twice"},
		"51 packages":           {token.Spec{Grants: packages(51, protocol.OnePackage, protocol.ReadOnly)}, "permissions", "more than 50 packages"},
		"51 together": {token.Spec{Grants: append(packages(50, protocol.OnePackage, protocol.ReadOnly), scope("acme", protocol.ReadOnly)...)},
			"permissions", "more than 50 packages"},
		"51 orgs":           {token.Spec{Grants: packages(51, protocol.OneOrg, protocol.ReadOnly)}, "permissions", "more than 50 organizations"},
		"JB-14 100 000":     {token.Spec{Grants: packages(100_000, protocol.OnePackage, protocol.ReadOnly)}, "permissions", "more than 50"},
		"staging in an org": {token.Spec{Grants: packages(1, protocol.OneOrg, protocol.StageOnly)}, "permissions", "not valid"},

		"bypass of a reader":        {token.Spec{Bypass: true}, "bypass_2fa", "needs permission to write packages"},
		"bypass with orgs to write": {token.Spec{Bypass: true, Grants: append(packages(1, protocol.OneOrg, protocol.ReadWrite), readAll...)}, "bypass_2fa", "write packages"},

		"IP-06 mapped":        {token.Spec{CIDRs: cidrs("::ffff:10.0.0.0/104")}, "cidr_whitelist", "IPv4 range written as IPv6"},
		"IP-09 host bits":     {token.Spec{CIDRs: cidrs("10.0.0.1/8")}, "cidr_whitelist", "10.0.0.0/8 would"},
		"IPv6 host bits":      {token.Spec{CIDRs: cidrs("2001:db8::1/32")}, "cidr_whitelist", "2001:db8::/32 would"},
		"zero range":          {token.Spec{CIDRs: []netip.Prefix{{}}}, "cidr_whitelist", "no CIDR"},
		"second of two":       {token.Spec{CIDRs: cidrs("10.0.0.0/8", "10.0.0.1/8")}, "cidr_whitelist", "would"},
		"JB-14 100 000 CIDRs": {token.Spec{CIDRs: make([]netip.Prefix, 100_000)}, "cidr_whitelist", "more than 50"},

		"91 days to write":       {token.Spec{Grants: writeOne, Days: 91}, "expires", "may write lives 90 days at most"},
		"91 days to stage":       {token.Spec{Grants: scope("acme", protocol.StageOnly), Days: 91}, "expires", "may write lives 90 days"},
		"91 days, one of two":    {token.Spec{Grants: append(scope("acme", protocol.ReadOnly), writeOne...), Days: 91}, "expires", "may write lives 90 days"},
		"91 days, org to write":  {token.Spec{Grants: append(packages(1, protocol.OneOrg, protocol.ReadWrite), readAll...), Days: 91}, "expires", "may write lives 90 days"},
		"date beyond 90 days":    {token.Spec{Grants: writeOne, Until: now.Add(90*token.Day + time.Minute)}, "expires", "may write lives 90 days"},
		"ten years and a day":    {token.Spec{Days: 3651}, "expires", "only reads lives 3650 days at most"},
		"TK-13 the year 9999":    {token.Spec{Until: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}, "expires", "too far away"},
		"JB-13 overflow":         {token.Spec{Days: math.MaxInt64}, "expires", "too far away"},
		"JB-13 overflow product": {token.Spec{Days: math.MaxInt64/int(token.Day) + 1}, "expires", "too far away"},
		"JB-13 negative":         {token.Spec{Days: -1}, "expires", "at least 1 day"},
		"JB-13 most negative":    {token.Spec{Days: math.MinInt64}, "expires", "at least 1 day"},
		"past":                   {token.Spec{Until: now.Add(-time.Minute)}, "expires", "in the future"},
		"both":                   {token.Spec{Days: 1, Until: now.Add(time.Hour)}, "expires", "not both"},
	} {
		t.Run(name, func(t *testing.T) {
			s := store.NewMemory()
			m := manager(t, s)
			tt.spec.User = "alice"
			if tt.spec.Grants == nil {
				tt.spec.Grants = readAll
			}
			secret, _, err := m.Create(t.Context(), operator, tt.spec)
			wrong, ok := errors.AsType[*token.SpecError](err)
			require.True(t, ok, "%v", err)
			assert.Equal(t, tt.field, wrong.Field)
			assert.Contains(t, wrong.Problem, tt.says)
			assert.Equal(t, wrong.Field+" "+wrong.Problem, err.Error())
			assert.Less(t, len(err.Error()), 400)
			assert.True(t, secret.IsZero())
			assert.Empty(t, dump(t, s), "nothing changed")
			assert.Equal(t, err, m.Validate(tt.spec))
		})
	}
}

func TestSpecNeedsUser(t *testing.T) {
	_, _, err := manager(t, store.NewMemory()).Create(t.Context(), operator, token.Spec{Grants: readAll})
	require.Error(t, err)
	_, ok := errors.AsType[*token.SpecError](err)
	assert.False(t, ok, "a fault of the program")
}

func TestLifetimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := manager(t, store.NewMemory())
		now := time.Now().UTC()
		zone := time.FixedZone("", 5*3600)
		for name, tt := range map[string]struct {
			spec token.Spec
			want time.Duration
		}{
			"write by default":       {token.Spec{Grants: writeOne}, 7 * token.Day},
			"stage by default":       {token.Spec{Grants: scope("acme", protocol.StageOnly)}, 7 * token.Day},
			"one write by default":   {token.Spec{Grants: append(scope("acme", protocol.ReadOnly), writeOne...)}, 7 * token.Day},
			"org write by default":   {token.Spec{Grants: packages(1, protocol.OneOrg, protocol.ReadWrite)}, 7 * token.Day},
			"read by default":        {token.Spec{Grants: readAll}, 30 * token.Day},
			"read longer than write": {token.Spec{Grants: readAll, Days: 91}, 91 * token.Day},
			"a day":                  {token.Spec{Grants: writeOne, Days: 1}, token.Day},
			"write to the last":      {token.Spec{Grants: writeOne, Until: now.Add(90 * token.Day)}, 90 * token.Day},
			"another zone":           {token.Spec{Grants: writeOne, Until: now.Add(time.Hour).In(zone)}, time.Hour},
			"cut":                    {token.Spec{Grants: writeOne, Until: now.Add(time.Hour + 999)}, time.Hour},
		} {
			_, tok := create(t, m, tt.spec)
			assert.Equal(t, now.Add(tt.want), tok.Expires, name)
		}
	})
}

// TK-12: a day is 24 hours where a clock is set forward too.
func TestDaysAreNotCalendarDays(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	now := time.Date(2026, 3, 28, 12, 0, 0, 0, berlin)
	m, err := token.New(token.Config{Store: store.NewMemory(), Now: func() time.Time { return now }})
	require.NoError(t, err)
	require.Equal(t, 23*time.Hour, now.AddDate(0, 0, 1).Sub(now), "the day that follows is shorter")
	_, tok := create(t, m, token.Spec{Days: 1})
	assert.Equal(t, 24*time.Hour, tok.Expires.Sub(now))
	assert.Equal(t, time.UTC, tok.Expires.Location())
}

func TestOperatorsLimits(t *testing.T) {
	limits := policy.DefaultLimits()
	limits.WriteTokenTTL, limits.MaxWriteTokenTTL, limits.MinTokenTTL, limits.Targets = 3*token.Day, 5*token.Day, 36*time.Hour, 1
	m, err := token.New(token.Config{Store: store.NewMemory(), Limits: func() policy.Limits { return limits }})
	require.NoError(t, err)
	assert.ErrorContains(t, m.Validate(token.Spec{User: "a", Grants: writeOne, Days: 6}), "5 days at most")
	assert.ErrorContains(t, m.Validate(token.Spec{User: "a", Grants: writeOne, Days: 1}), "at least 2 day")
	assert.ErrorContains(t, m.Validate(token.Spec{User: "a", Grants: packages(2, protocol.OnePackage, protocol.ReadOnly)}), "more than 1 packages")
	assert.NoError(t, m.Validate(token.Spec{User: "a", Grants: writeOne, Days: 2}))
}
