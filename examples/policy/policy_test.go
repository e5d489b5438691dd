package policy_test

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	company "github.com/npmauth/npmauth/examples/policy"
	"github.com/npmauth/npmauth/policy/policytest"
)

const table = `
covers freeze-on-fridays only-ci majors-are-staged

let ours   = @acme/widget=private:rw
let theirs = plain=public:rw
let ci     = token(rw:@acme)+bypass
let oidc   = publisher(rw:@acme/widget)

# --- Fridays, to the second.
now 2026-03-05T23:59:59Z
session  auth-only  publish/version=1.1.0    $theirs  totp  =>  allow
now 2026-03-06T00:00:00Z
session  auth-only  publish/version=1.1.0    $theirs  totp  =>  deny  freeze-on-fridays
session  auth-only  publish/version=1.1.0    $theirs  -     =>  deny  freeze-on-fridays
session  auth-only  set-dist-tag  $theirs  -     =>  deny  freeze-on-fridays
$oidc    off        publish/version=1.1.0    $ours    -     =>  deny  freeze-on-fridays
session  auth-only  publish/version=1.1.0    $ours    totp  =>  deny  freeze-on-fridays only-ci
now 2026-03-06T23:59:59Z
$ci      auth-only  publish/version=1.1.0    $ours    -  from=198.51.100.9  =>  deny  freeze-on-fridays
# Installing and signing in go on.
session    off  read-tarball  $ours  -  =>  allow
anonymous  -    login         -      -  =>  allow
now 2026-03-07T00:00:00Z
session  auth-only        publish/version=1.1.0    $theirs  totp  =>  allow
session  auth-only        publish/version=1.1.0    $theirs  -     =>  challenge  publish-needs-factor
session  auth-and-writes  set-dist-tag  $theirs  -     =>  challenge  write-needs-factor

# --- Nobody is the scope's but CI.
from 198.51.100.9 # a machine of CI's
$ci               auth-only  publish/version=1.1.0    $ours                 -     =>  allow
$ci               auth-only  publish/version=1.1.0       @acme/new=absent:create  -  =>  allow
$ci               auth-only  set-dist-tag  $ours                 -     =>  allow
$oidc             off        publish/version=1.1.0    $ours                 -     =>  allow
session           auth-only  publish/version=1.1.0    $ours                 totp  =>  deny  only-ci
token(rw:@acme)   auth-only  publish/version=1.1.0    $ours                 totp  =>  deny  only-ci
foreign(rw:@acme) auth-only  set-dist-tag  $ours                 -     =>  deny  foreign-reads-only only-ci
anonymous         -          publish/version=1.1.0    $ours                 -     =>  deny  login-required only-ci
# Scopes that begin like it are other people's, and what CI may not, it still may not.
session           auth-only  publish/version=1.1.0       @acme-evil/x=public:rw  totp  =>  allow
$ci               auth-only  publish/version=1.1.0    $ours:mfa             -     =>  deny  package-disallows-tokens
token(ro:@acme)+bypass  auth-only  publish/version=1.1.0  $ours                -     =>  deny  read-only-token

# --- What breaks others takes two.
session  auth-only  publish/version=2.0.1       $theirs  totp  =>  allow
session  auth-only  publish/version=2.0.0       $theirs  totp  =>  deny  majors-are-staged
session  auth-only  publish/version=2.0.0-rc.1  $theirs  -     =>  deny  majors-are-staged
session  auth-only  publish                  $theirs  totp  =>  allow # before the body is read
$oidc    off        publish/version=3.0.0       $ours    -     =>  deny  majors-are-staged

from 192.0.2.7 # anywhere else
$ci    auth-only  publish/version=1.1.0  $ours  -  =>  deny  only-ci
$oidc  off        publish/version=1.1.0  $ours  -  =>  allow
$ci    auth-only  publish/version=1.1.0  $ours  -  from=::ffff:198.51.100.9  =>  allow
$ci    auth-only  publish/version=1.1.0  $ours  -  from=none                 =>  deny  only-ci
`

func TestPolicy(t *testing.T) {
	p := company.Policy("acme", netip.MustParsePrefix("198.51.100.0/24"))
	require.NoError(t, p.Err())
	policytest.Run(t, p, table)

	read, err := policytest.ParseTable(table)
	require.NoError(t, err)
	assert.Empty(t, policytest.Dead(p, read.Rows))
}
