// Package policytest tests a policy with tables that read like the rule book they
// come from, and writes all that a policy decides into a file whose diff can be
// reviewed.
//
//	var own = policytest.Own{Actions: []string{"publish"}, Times: []string{"2026-03-06T12:00:00Z"}}
//
//	func TestPolicy(t *testing.T) {
//		policytest.Run(t, acme.Policy(), `
//			covers own
//
//			now 2026-03-06T12:00:00Z # a Friday
//			session  auth-only  publish  plain=public:rw  -  =>  deny  freeze-on-fridays
//
//			now 2026-03-09T12:00:00Z
//			session  auth-only  publish  plain=public:rw  -  =>  challenge  publish-needs-factor
//		`, own.Box())
//		policytest.SnapshotDifference(t, acme.Policy(), policy.NPM(), "testdata/difference.txt", own.Box())
//	}
//
// [Run] and [RunFile] check a table, [Snapshot] the whole matrix of decisions and [SnapshotDifference] what
// it has otherwise than another policy's, [Dead] that no rule is there for nothing, [Uncovered] what a table leaves
// out. [Own] says what the rules of one's own look at. [Format] writes a request that was found
// elsewhere, in a log or by a fuzzer, as the line of a table.
//
// # Writing a table
//
// Write the requests that matter with => ? behind them. The test fails with the lines as the
// policy answers them, from the first question to the last, to be pasted over yours, and with what each
// rule said. Read every answer before you paste it: what stays in the table is what you want.
//
// A word that is wrong is answered with those that are right in its place.
//
// # Lines
//
// A table has one request to a line. A # begins a comment. Blank lines are skipped,
// and a table without a request is an error, as is every word that is not described here.
//
//	credential  account  action  package  proof  [now=…] [from=…]  =>  effect  reasons
//
// The credential is anonymous or a kind (session, token, publisher, foreign,
// unknown), with the grants in brackets, which are needed after token, publisher and
// foreign: token(ro:all,rw:@acme), and token() without one. A grant is ro, rw, stage
// or none, a colon, and all, @scope, a package, or org=name. Verbs that narrow rw stand in
// square brackets: token(rw[publish+dist-tag]:@acme). There may follow, each once:
//
//	+bypass           stands in for a second factor
//	+cidr=<prefix>    may be used from there; may be repeated
//	+expired          ends at the very instant of the request
//	+expires=<time>   ends then; an hour after the request if not given
//	+created=<time>   an hour before the request if not given
//	+id=<id>          c1 if not given
//	+name=<name>      what its creator called it
//	+user=<id>        the account's ID if not given
//
// The account is - for the anonymous. Otherwise it is the second-factor mode (off,
// auth-only, auth-and-writes, unknown), after the user's name and a colon if that
// matters: bob:auth-only. Without one the user is alice, and the ID of name is
// u-name. There may follow:
//
//	,disabled
//	,other              the account is not the credential's
//	,id=<id>
//	,service            it is no person's
//	,factor-required    an organization of the user's demands a second factor
//	,high-impact        many depend on it
//	,recovered          a recovery code was used an hour before the request
//	,recovered=<time>
//	,cidr=<prefix>      its credentials may be used from there; may be repeated
//	,group=<name>       it is in that group of the host's; may be repeated
//
// The action has its text, and after slashes what else is asked:
//
//	/write /bypass /name=<name> /days=<days>
//	                           a new token: what it could do, its name, its life; with create-token and manage-service
//	/admin                     the user administers the account; with the actions on service accounts
//	/off                       the factor is taken off; with set-two-factor
//	/mfa=publish /mfa=none     the setting that is asked for; with set-access
//	/version=<version> and then /tag=<tag>
//	                           what is published, with tags: with publish
//	/access=<access>           public or restricted; with publish and set-access
//	/deprecates=<version> /undeprecates=<version>
//	                           with deprecate
//	/removes-version=<version> /removes-tarball=<version> /moves-tag=<tag>@<version>
//	                           with unpublish
//	/owner=<name> /adds-owner=<name> /removes-owner=<name>
//	                           all owners afterwards, and the difference; with write-owners
//	/starred                   with star
//	/member=<name> /role=<role> /new-team=<name> /permission=<permission> /removes
//	                           with the writes to organizations and teams
//	/email /profile=<field> /password /mode=<mode> /confirms
//	                           with write-profile, set-password and set-two-factor
//	/tag=<tag> and then /version=<version>
//	                           what the tag is to name: with set-dist-tag
//	/nothing                   the document is as it was; with deprecate
//	/tag=<name> and /version, /user, /team, /service, /revision, /id, /token
//	                           what the operation names besides its package and its organization: set-dist-tag/tag=latest
//
// The package is - or name=facts: absent, public or private, and then, with colons
// between, the rights of the asking user in one word of the letters r, w and a
// (admin); create: may create it; mfa: the package disallows tokens, or none: it asks for
// no factor; requires-factor: its organization demands one; id=<id>, p-1 if not given;
// label=<label>, one of the host's, which may be repeated. In absent:private the package does not exist and is private all the same,
// which must count for nothing. The name - stands for none. An action that is not about
// a package takes no name.
//
// With an action about an organization that column is - or org=name:role: the role of the
// asking user (none, member, admin or owner), or absent for one that does not exist, and then
// requires-factor, and id=<id>, o-1 if not given. With grant-team a plus and the package may
// follow: org=acme:admin+@acme/widget=public:rwa.
//
// The proof is -, totp, recovery or web.
//
// A time is written as in RFC 3339, or as none for the zero time; an address may be none,
// too. IDs and names have everything but letters, digits and the characters
// -._~@ percent-encoded.
//
// The effect is allow, challenge or deny, the latter two with all their reasons, in
// order: a refusal for another reason is not the one that was meant. Or it is ?, which fails with
// the answer.
//
// # Other lines
//
//	now <time>         of the requests below; at first 2026-03-04T12:00:00Z, a Wednesday
//	from <address>     of the requests below; at first 192.0.2.7
//	let <name> = word  below, $name is that word, and may be gone on with: $ci+expired
//	covers <rules>     the table must make each of these rules say all it can say
//	covers all         … and so every rule
//	covers own         … and so each that is not NPM's, and must leave it silent about a
//	                   request with one of its actions, too: see [Uncovered]
//	always <rules>     these rules are never silent about what they are about, and covers own
//	                   does not want it of them
//
// A let that is not used is an error, and so is a request that the table has already.
package policytest
