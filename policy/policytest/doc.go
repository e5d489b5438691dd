// Package policytest tests a policy with tables of requests, and writes all decisions of a policy
// into a file whose diff can be reviewed.
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
// [Run] and [RunFile] check a table. [Snapshot] checks the decisions about a matrix of requests,
// and [SnapshotDifference] those that differ from another policy's. [Dead] returns the rules that
// change no decision, and [Uncovered] what a table does not test. [Own] adds what rules of your own
// depend on to the matrix. [Format] writes a request from elsewhere, such as
// [github.com/npmauth/npmauth.Auth.Explain], as the line of a table.
//
// # Writing a table
//
// Write the requests that matter, with => ? in place of the decision. The test fails with the
// verdict of each rule, and with the lines from the first ? to the last as the policy decides them.
// Paste these over yours after you have read each decision.
//
// The error about a wrong word lists the words that are valid in its place.
//
// # Lines
//
// Each line of a table is one request. A # begins a comment. Blank lines are skipped. A table
// without a request is an error, and so is a word that is not described here.
//
//	credential  account  action  package  proof  [now=…] [from=…]  =>  effect  reasons
//
// The credential is anonymous or a kind (session, token, publisher, foreign,
// unknown), with the grants in brackets, which are needed after token, publisher and
// foreign: token(ro:all,rw:@acme), and token() without one. A grant is ro, rw, stage
// or none, a colon, and all, @scope, a package, or org=name. Verbs that narrow rw stand in
// square brackets: token(rw[publish+dist-tag]:@acme). There may follow, each once:
//
//	+bypass           bypasses the second factor
//	+cidr=<prefix>    one of its address ranges; may be repeated
//	+expired          expires at the instant of the request
//	+expires=<time>   an hour after the request if not given
//	+created=<time>   an hour before the request if not given
//	+id=<id>          c1 if not given
//	+name=<name>      its name, which its creator chose
//	+user=<id>        the account's ID if not given
//	+package=<id>     the package that it belongs to: with publisher p-1 if not given, and none with +creates
//	+creates=<name>   the package that it creates
//	+owner=<id>       for whom it creates that
//
// The account is - for anonymous requests and for publishers, which have no user. Otherwise it is the second-factor mode (off,
// auth-only, auth-and-writes, unknown), after the user's name and a colon if that
// matters: bob:auth-only. Without one the user is alice, and the ID of name is
// u-name. There may follow:
//
//	,disabled
//	,other              the account is not the credential's
//	,id=<id>
//	,service            it is a service account
//	,keys               a security key is among its second factors
//	,keys-only          its user wants nothing else to count
//	,factor-required    an organization of the user's requires a second factor
//	,high-impact        many depend on its packages
//	,recovered          it was recovered an hour before the request
//	,recovered=<time>
//	,cidr=<prefix>      one of its address ranges; may be repeated
//	,group=<name>       one of its groups; may be repeated
//
// The action is its text, and after slashes what the request changes:
//
//	/write /bypass /name=<name> /days=<days>
//	                           a new token: what it could do, its name, its life; with create-token and manage-service
//	/admin                     the user administers the account; with the actions on service accounts
//	/off                       the second factor is removed; with set-two-factor
//	/mfa=publish /mfa=none     the new setting; with set-access
//	/keys-only /any-factor     whether only security keys are to count; with set-access and set-org-factor
//	/version=<version> and then /tag=<tag>
//	                           what is published, with its tags; with publish, stage, approve-staged and reject-staged
//	/also=<id>@<package>@<version>
//	                           a further staged version; with approve-staged and reject-staged
//	/access=<access>           public or restricted; with publish and set-access
//	/deprecates=<version> /undeprecates=<version>
//	                           with deprecate
//	/removes-version=<version> /removes-tarball=<version> /moves-tag=<tag>@<version>
//	                           with unpublish
//	/owner=<name> /adds-owner=<name> /removes-owner=<name>
//	                           all owners afterwards, those added and those removed; with write-owners
//	/starred                   with star
//	/publisher=<field>@<value> /removes
//	                           of a trusted publisher; with write-trust
//	/member=<name> /role=<role> /new-team=<name> /permission=<permission> /removes
//	                           with the writes to organizations and teams
//	/email /profile=<field> /password /mode=<mode> /confirms
//	                           with write-profile, set-password and set-two-factor
//	/tag=<tag> and then /version=<version>
//	                           the version that the tag will name; with set-dist-tag
//	/publishers-only /not-publishers-only /stage-only /not-stage-only
//	/approvals=<number> /other-approver /not-other-approver
//	                           the new setting; with set-access and set-org-factor
//	/nothing                   the document changes nothing; with deprecate
//	/tag=<name> and /version, /user, /team, /service, /revision, /id, /token
//	                           what the operation names besides its package and its organization: set-dist-tag/tag=latest
//
// The package is - or name=facts: absent, public or private, and then, with colons between, the
// rights of the user in one word of the letters r, w and a (admin); create: may create it; mfa: the
// package disallows tokens, or none: it needs no second factor; keys-only: only security keys count,
// by its setting or its scope's; publishers-only: only trusted publishers may publish, likewise; requires-factor: its organization requires one; evidence=<words>, publisher, approval or both with a plus sign between: that of its newest version; id=<id>, p-1 if not given; label=<label>, one of the host's, which may be repeated.
// The settings about staging are stage-only, other-approver and approvals=<number>; of a staged version,
// stager=<id> is who staged it and approved-by=<id>, which may be repeated, who approved it.
// absent:private is a package that does not exist and has Private set, which must not count.
// The name - stands for no name. An action that is neither about a package nor a staged version takes no name.
//
// With an action about an organization that column is - or org=name:role: the role of the
// user (none, member, admin or owner), or absent for one that does not exist, and then
// requires-factor, own for the scope of the user's own name, keys-only, and id=<id>, o-1 if not given. With grant-team a plus and the package may
// follow: org=acme:admin+@acme/widget=public:rwa.
//
// The proof is -, totp, recovery, web or key.
//
// A time is written as in RFC 3339, or as none for the zero time; an address may be none,
// too. IDs and names have everything but letters, digits and the characters
// -._~@ percent-encoded.
//
// The effect is allow, challenge or deny, the latter two with the codes of all their reasons, in
// order. Or it is ?, which fails with the decision.
//
// # Other lines
//
//	now <time>         of the requests below; at first 2026-03-04T12:00:00Z, a Wednesday
//	from <address>     of the requests below; at first 192.0.2.7
//	let <name> = word  below, $name stands for that word; more may follow it: $ci+expired
//	covers <rules>     for each of these rules the table must have every verdict that it
//	                   returns in the matrix: see [Uncovered]
//	covers all         the same for every rule
//	covers own         the same for each rule that is not NPM's; the table must also make it
//	                   silent about a request that it applies to
//	always <rules>     none of these rules is silent about a request of the table that it
//	                   applies to; covers own does not require that of them
//
// A let that is not used is an error, and so is a request that is in the table twice.
package policytest
