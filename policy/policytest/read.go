package policytest

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
)

// A Row is one request of a table and the expected decision.
type Row struct {
	Line    int    // number of the line in the table, from 1
	Text    string // the line, without its comment
	Request policy.Request
	Effect  policy.Effect
	Codes   []string // of the reasons, in order

	// Question reports whether the row has a ? in place of the decision. [Run] fails with the
	// decision.
	Question bool
}

// Noon is the time of requests for which a table gives none: a Wednesday, so that a rule about
// weekends does not apply.
var Noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// Here is the address of requests for which a table gives none.
var Here = netip.MustParseAddr("192.0.2.7")

// Parse reads one line that is a request, as the package documentation describes it. It knows no
// line that begins with now, from, let, covers or always.
func Parse(line string) (Row, error) {
	row, err := newReader().row(uncommented(line))
	row.Line = 1
	return row, err
}

func uncommented(line string) string {
	line, _, _ = strings.Cut(line, "#")
	return strings.TrimSpace(line)
}

// example is a request as a line says it.
const example = "session auth-only publish plain=public:rw -"

// A reader holds what the lines of a table say about the lines below them.
type reader struct {
	now   time.Time
	from  netip.Addr
	names map[string]*named
}

type named struct {
	word string
	line int
	used bool
}

func newReader() *reader {
	return &reader{now: Noon, from: Here, names: map[string]*named{}}
}

func (rd *reader) row(line string) (Row, error) {
	question, answer, ok := strings.Cut(line, "=>")
	if !ok {
		return Row{}, noRow(strings.Fields(line))
	}
	row := Row{Text: line}
	var err error
	if row.Request, err = rd.request(strings.Fields(question)); err != nil {
		return Row{}, err
	}
	words := strings.Fields(answer)
	switch {
	case len(words) == 0:
		return Row{}, errors.New("no effect after =>: write allow, challenge, deny or ?")
	case words[0] == "?" && len(words) > 1:
		return Row{}, errors.New("more than a question after =>: write ? alone")
	case words[0] == "?":
		row.Question = true
		return row, nil
	}
	if err := readText(&row.Effect, "effect", words[0], "?"); err != nil {
		return Row{}, err
	}
	if len(words) > 1 {
		row.Codes = words[1:]
	}
	switch {
	case row.Effect == policy.Allow && row.Codes != nil:
		return Row{}, fmt.Errorf("allow with %d reasons: write allow alone, or challenge or deny before them", len(row.Codes))
	case row.Effect != policy.Allow && row.Codes == nil:
		return Row{}, fmt.Errorf("%v with 0 reasons: write the IDs of the rules after it, or ? in its place to be told them", row.Effect)
	}
	return row, nil
}

func (rd *reader) request(words []string) (policy.Request, error) {
	if len(words) < 5 {
		return policy.Request{}, fmt.Errorf("%d words before =>: write credential, account, action, package and proof, as in %s", len(words), example)
	}
	words, err := rd.expand(words)
	if err != nil {
		return policy.Request{}, err
	}
	r := reading{Request: &policy.Request{Now: rd.now, Addr: rd.from}}
	if err := r.read("", words[5:], settingFlags); err != nil {
		return policy.Request{}, fmt.Errorf("after the proof: %w", err)
	}
	if err := errors.Join(
		readOperation(r.Request, words[2]),
		readPackage(r.Request, words[3]),
		readProof(r.Request, words[4]),
		r.parties(words[0], words[1]),
	); err != nil {
		return policy.Request{}, err
	}
	return *r.Request, nil
}

// expand replaces $name at the beginning of a word.
func (rd *reader) expand(words []string) ([]string, error) {
	expanded := make([]string, len(words))
	for i, w := range words {
		if rest, ok := strings.CutPrefix(w, "$"); ok {
			n := len(rest) - len(strings.TrimLeft(rest, nameBytes))
			def := rd.names[rest[:n]]
			if def == nil {
				right := []string{"let " + cmp.Or(rest[:n], "ci") + " = word above"}
				for _, name := range slices.Sorted(maps.Keys(rd.names)) {
					right = append(right, "$"+name)
				}
				return nil, fmt.Errorf("no let for $%s above: %s", rest[:n], offer(w, right, "the lines above"))
			}
			def.used = true
			w = def.word + rest[n:]
		}
		expanded[i] = w
	}
	return expanded, nil
}

const nameBytes = "abcdefghijklmnopqrstuvwxyz0123456789-"

// A reading is a request of which not all is read yet.
type reading struct {
	*policy.Request
	user      bool // the credential names its user
	ofPackage bool // the credential's package was given
	other     bool // the account is not the credential's
}

var settingFlags = []flag{
	{word: "now", example: formatTime(Noon), set: func(r *reading, value string) error { return into(&r.Now, parseTime, value) }},
	{word: "from", example: Here.String(), set: func(r *reading, value string) error { return into(&r.Addr, parseAddr, value) }},
}

// into sets to to what parse makes of the value.
func into[T any](to *T, parse func(string) (T, error), value string) error {
	v, err := parse(value)
	if err == nil {
		*to = v
	}
	return err
}

// as is into for a kind of text.
func as[T ~string](to *T, value string) error {
	text, err := unescape(value)
	*to = T(text)
	return err
}

// addPrefix appends an address range.
func addPrefix(to *[]netip.Prefix, value string) error {
	p, err := netip.ParsePrefix(value)
	if err != nil {
		return fmt.Errorf("%q is no prefix: write one as 192.0.2.0/24", value)
	}
	*to = append(*to, p)
	return nil
}

// addText appends the name of a group or a label, which has no meaning here.
func addText(to *[]string, value string) error {
	text, err := unescape(value)
	if err == nil && slices.Contains(*to, text) {
		err = fmt.Errorf("%q twice: write it once", value)
	}
	*to = append(*to, text)
	return err
}

// parties reads the credential and its account, which depend on each other.
func (r *reading) parties(credential, account string) error {
	if credential != "anonymous" {
		r.Credential = &policy.Credential{ID: "c1", Created: base(r.Now).Add(-time.Hour), Expires: base(r.Now).Add(time.Hour)}
		if err := r.credential(credential); err != nil {
			return fmt.Errorf("credential %q: %w", credential, err)
		}
	}
	if account == "-" {
		if r.Credential != nil && r.Credential.Kind != policy.KindPublisher {
			return errors.New("account -: only the anonymous and publishers have none: write " + or(texts[protocol.TwoFactorMode]()))
		}
		return nil
	}
	if err := r.account(account); err != nil {
		return fmt.Errorf("account %q: %w", account, err)
	}
	return nil
}

// base is the instant that a credential's life is reckoned from.
func base(now time.Time) time.Time {
	if now.IsZero() {
		return Noon
	}
	return now
}

// credentials are examples of all kinds.
var credentials = []string{"anonymous", "session", "token(rw:all)", "publisher(rw:@acme/widget)", "foreign(ro:all)", "unknown"}

var credentialFlags = []flag{
	{word: "bypass", set: func(r *reading, _ string) error { r.Credential.Bypass = true; return nil }},
	{word: "cidr", example: "192.0.2.0/24", many: true, set: func(r *reading, value string) error {
		return addPrefix(&r.Credential.CIDRs, value)
	}},
	{word: "expired", once: "expires", set: func(r *reading, _ string) error { r.Credential.Expires = r.Now; return nil }},
	{word: "expires", example: formatTime(Noon), set: func(r *reading, value string) error { return into(&r.Credential.Expires, parseTime, value) }},
	{word: "created", example: formatTime(Noon), set: func(r *reading, value string) error { return into(&r.Credential.Created, parseTime, value) }},
	{word: "id", example: "c1", empty: true, set: func(r *reading, value string) error { return as(&r.Credential.ID, value) }},
	{word: "name", example: "ci", set: func(r *reading, value string) error { return as(&r.Credential.Name, value) }},
	{word: "package", example: "p-1", empty: true, set: func(r *reading, value string) error {
		r.ofPackage = true
		return as(&r.Credential.Package, value)
	}},
	{word: "creates", example: "@acme/widget", set: func(r *reading, value string) error {
		if into(&r.Credential.Creates.Package, protocol.ParsePackageName, value) != nil {
			return fmt.Errorf("%q is no package: write one as @acme/widget", value)
		}
		return nil
	}},
	{word: "owner", example: "u-alice", set: func(r *reading, value string) error { return as(&r.Credential.Creates.Owner, value) }},
	{word: "user", example: "u-alice", empty: true, set: func(r *reading, value string) error {
		r.user = true
		return as(&r.Credential.User, value)
	}},
}

func (r *reading) credential(word string) error {
	kind, grants, bracket := strings.Cut(word, "(")
	var rest string
	if bracket {
		end := strings.LastIndexByte(grants, ')') // verbs have plus signs, so the brackets come first
		if end < 0 {
			return errors.New("no closing bracket: write token(rw:all)")
		}
		grants, rest = grants[:end], grants[end+1:]
	} else if at := strings.IndexByte(word, '+'); at >= 0 {
		kind, rest = word[:at], word[at:]
	}
	c := r.Credential
	switch err := c.Kind.UnmarshalText([]byte(kind)); {
	case err != nil && bracket:
		return no("kind", kind, texts[policy.Kind](), "")
	case err != nil && kind == "anonymous":
		return errors.New("nothing follows anonymous: write anonymous alone")
	case err != nil:
		return no("kind", kind, credentials, "")
	case !bracket && c.Kind != policy.KindSession && c.Kind != policy.KindUnknown:
		return fmt.Errorf("no grants: write %v() if it has none, or %v(rw:all)", c.Kind, c.Kind)
	}
	if c.Kind == policy.KindPublisher {
		c.Package = thePackage
	}
	if grants != "" {
		for word := range strings.SplitSeq(grants, ",") {
			g, err := readGrant(word)
			if err != nil {
				return fmt.Errorf("grant %q: %w", word, err)
			}
			c.Grants = append(c.Grants, g)
		}
	}
	behind, more, _ := strings.Cut(rest, "+")
	if behind != "" {
		return fmt.Errorf("%q after the bracket: write +%s", behind, behind)
	}
	if rest == "" {
		return nil
	}
	err := r.read("+", strings.Split(more, "+"), credentialFlags)
	if !c.Creates.Package.IsZero() && !r.ofPackage {
		c.Package = ""
	}
	return err
}

var permissions = map[string]protocol.Permission{
	"none": protocol.NoAccess, "ro": protocol.ReadOnly, "rw": protocol.ReadWrite, "stage": protocol.StageOnly,
}

// grants are examples of all targets.
var grants = []string{"rw:all", "ro:@acme", "rw[publish+dist-tag]:@acme/widget", "rw:org=acme"}

func readGrant(word string) (protocol.Grant, error) {
	permission, target, _ := strings.Cut(word, ":")
	permission, verbs, narrowed := strings.Cut(permission, "[")
	p, ok := permissions[permission]
	if !ok {
		return protocol.Grant{}, no("permission", permission, slices.Sorted(maps.Keys(permissions)), "")
	}
	g := protocol.Grant{Permission: p}
	if narrowed {
		verbs, closed := strings.CutSuffix(verbs, "]")
		if !closed || verbs == "all" { // which is what is written without brackets
			return protocol.Grant{}, fmt.Errorf("%q are no verbs in brackets: write rw, or rw[publish+dist-tag]", verbs)
		}
		if err := g.Verbs.UnmarshalText([]byte(verbs)); err != nil {
			return protocol.Grant{}, fmt.Errorf("%w: write some of %s, with a plus between them", err, or(allVerbs()))
		}
	}
	switch org, isOrg := strings.CutPrefix(target, "org="); {
	case target == "all":
		g.Target = protocol.AllPackages
	case isOrg:
		g.Target, g.Scope = protocol.OneOrg, org
	case strings.HasPrefix(target, "@") && !strings.Contains(target, "/"):
		g.Target, g.Scope = protocol.OneScope, target[1:]
	default:
		n, err := protocol.ParsePackageName(target)
		if err != nil {
			return protocol.Grant{}, fmt.Errorf("%w: write all, @acme, @acme/widget, plain or org=acme after the colon", err)
		}
		g.Target, g.Package = protocol.OnePackage, n
	}
	if err := g.Validate(); err != nil {
		return protocol.Grant{}, fmt.Errorf("%w: write a grant as %s", err, or(grants))
	}
	return g, nil
}

func allVerbs() (words []string) {
	for v := protocol.Verbs(1); ; v <<= 1 {
		text, err := v.MarshalText()
		if err != nil {
			return words
		}
		words = append(words, string(text))
	}
}

var accountFlags = []flag{
	{word: "disabled", set: func(r *reading, _ string) error { r.Account.Disabled = true; return nil }},
	{word: "other", fits: func(r *reading) bool { return r.Credential != nil && !r.user }, set: func(r *reading, _ string) error { r.other = true; return nil }},
	{word: "id", example: "u-alice", empty: true, set: func(r *reading, value string) error { return as(&r.Account.ID, value) }},
	{word: "service", set: func(r *reading, _ string) error { r.Account.Service = true; return nil }},
	{word: "keys", set: func(r *reading, _ string) error { r.Account.Keys = true; return nil }},
	{word: "keys-only", set: func(r *reading, _ string) error { r.Account.KeysOnly = true; return nil }},
	{word: "factor-required", set: func(r *reading, _ string) error { r.Account.FactorRequired = true; return nil }},
	{word: "high-impact", set: func(r *reading, _ string) error { r.Account.HighImpact = true; return nil }},
	{word: "recovered", set: func(r *reading, _ string) error { r.Account.Recovered = base(r.Now).Add(-time.Hour); return nil }},
	{word: "recovered", example: formatTime(Noon), set: func(r *reading, value string) error { return into(&r.Account.Recovered, parseTime, value) }},
	{word: "cidr", example: "192.0.2.0/24", many: true, set: func(r *reading, value string) error { return addPrefix(&r.Account.CIDRs, value) }},
	{word: "group", example: "ops", many: true, set: func(r *reading, value string) error { return addText(&r.Account.Groups, value) }},
}

func (r *reading) account(word string) error {
	flags := strings.Split(word, ",")
	r.Account.Name = "alice"
	mode := flags[0]
	if name, rest, ok := strings.Cut(mode, ":"); ok {
		if err := as(&r.Account.Name, name); err != nil {
			return err
		}
		mode = rest
	}
	if err := readText(&r.Account.TwoFactor, "second-factor mode", mode); err != nil {
		return err
	}
	r.Account.ID = protocol.UserID("u-" + r.Account.Name)
	if err := r.read(",", flags[1:], accountFlags); err != nil {
		return err
	}
	if r.Credential != nil && !r.user {
		r.Credential.User = r.Account.ID
	}
	if r.other {
		r.Account.ID += "-other"
	}
	return nil
}

// An extra is a word after the action's that says what is asked for besides.
type extra struct {
	word    string
	actions []protocol.Action
	set     func(*reading)
}

var extras = []extra{
	{"write", []protocol.Action{protocol.CreateToken, protocol.ManageService}, func(r *reading) { writes(newTokenOf(r.change())) }},
	{"bypass", []protocol.Action{protocol.CreateToken, protocol.ManageService}, func(r *reading) { newTokenOf(r.change()).Bypass = true }},
	{"admin", actionsOf(protocol.Action.OfService), func(r *reading) { r.Administers = true }},
	{"off", []protocol.Action{protocol.SetTwoFactor}, func(r *reading) { r.change().TwoFactor = protocol.TwoFactorOff }},
	{"mfa=publish", []protocol.Action{protocol.SetAccess}, func(r *reading) { r.change().PublishMode = new(protocol.FactorOnly) }},
	{"mfa=none", []protocol.Action{protocol.SetAccess}, func(r *reading) { r.change().PublishMode = new(protocol.NoFactor) }},
	{"keys-only", []protocol.Action{protocol.SetAccess, protocol.SetOrgFactor, protocol.SetTwoFactor}, func(r *reading) { r.change().KeysOnly = new(true) }},
	{"nothing", []protocol.Action{protocol.Deprecate}, func(r *reading) { r.change() }},
}

// actionsOf returns the actions of which it holds.
func actionsOf(holds func(protocol.Action) bool) []protocol.Action {
	return slices.DeleteFunc(protocol.Actions(), func(a protocol.Action) bool { return !holds(a) })
}

// operationFlags are the words after an action: the extras, the version and the tag of a change,
// and then whatever else an operation can name.
var operationFlags = func() (flags []flag) {
	for _, e := range extras {
		once, _, _ := strings.Cut(e.word, "=")
		flags = append(flags, flag{
			word: e.word, once: once,
			fits: func(r *reading) bool { return slices.Contains(e.actions, r.Operation.Action) },
			set:  func(r *reading, _ string) error { e.set(r); return nil },
		})
	}
	flags = append(flags, flag{
		word: "version", example: "1.0.0",
		fits: func(r *reading) bool {
			return ofVersion(r.Operation.Action) || r.Operation.Action == protocol.SetDistTag && r.Operation.Tag != ""
		},
		set: func(r *reading, value string) error {
			err := as(&r.change().Version, value)
			if r.Operation.Tag != "" {
				r.Change.Tags = map[string]string{r.Operation.Tag: r.Change.Version}
			}
			return err
		},
	}, flag{
		word: "tag", example: "latest", many: true,
		fits: func(r *reading) bool { return ofVersion(r.Operation.Action) && r.Change != nil },
		set: func(r *reading, value string) error {
			var tag string
			err := as(&tag, value)
			put(&r.Change.Tags, tag, r.Change.Version)
			return err
		},
	})
	for i := range changeWords {
		flags = append(flags, changeWords[i].flag())
	}
	for _, name := range names {
		flags = append(flags, flag{
			word: name.word, example: name.example,
			fits: func(r *reading) bool { return name.word != "team" || r.Operation.Action.OfOrg() },
			set: func(r *reading, value string) error {
				err := as(name.field(&r.Operation), value)
				if name.word == "tag" && r.Operation.Action == protocol.RemoveDistTag {
					r.change().Tags = map[string]string{r.Operation.Tag: ""}
				}
				return err
			},
		})
	}
	return flags
}()

// names are what an operation can name besides its package and its organization.
var names = []struct {
	word, example string
	field         func(*protocol.Operation) *string
}{
	{"version", "1.0.0", func(op *protocol.Operation) *string { return &op.Version }},
	{"tag", "latest", func(op *protocol.Operation) *string { return &op.Tag }},
	{"user", "bob", func(op *protocol.Operation) *string { return &op.User }},
	{"team", "devs", func(op *protocol.Operation) *string { return &op.Team }},
	{"service", "ci", func(op *protocol.Operation) *string { return &op.Service }},
	{"revision", "1-0", func(op *protocol.Operation) *string { return &op.Revision }},
	{"id", "s1", func(op *protocol.Operation) *string { return &op.ID }},
	{"token", "t1", func(op *protocol.Operation) *string { return &op.Token }},
}

func readOperation(r *policy.Request, word string) error {
	parts := strings.Split(word, "/")
	a := &r.Operation.Action
	if a.UnmarshalText([]byte(parts[0])) != nil {
		return no("action", parts[0], texts[protocol.Action](), "protocol.Actions")
	}
	if err := (&reading{Request: r}).read("/", parts[1:], operationFlags); err != nil {
		return fmt.Errorf("action %q: %w", word, err)
	}
	return nil
}

// change returns the Change of r, a new one if there is none.
func (r *reading) change() *protocol.Change {
	if r.Change == nil {
		r.Change = new(protocol.Change)
	}
	return r.Change
}

// readPackage reads what the action is about: a package, or an organization.
func readPackage(request *policy.Request, word string) error {
	if word == "-" {
		return nil
	}
	r := &reading{Request: request}
	if r.Operation.Action.OfOrg() {
		org, pkg, granted := word, "", false
		if r.Operation.Action == protocol.GrantTeam {
			org, pkg, granted = strings.Cut(word, "+")
		}
		if err := r.org(org); err != nil {
			return fmt.Errorf("organization %q: %w", org, err)
		}
		if !granted {
			return nil
		}
		word = pkg
	}
	if err := r.facts(word); err != nil {
		return fmt.Errorf("package %q: %w", word, err)
	}
	return nil
}

var orgFlags = []flag{
	{word: "requires-factor", set: func(r *reading, _ string) error { r.Org.RequireFactor = true; return nil }},
	{word: "own", set: func(r *reading, _ string) error { r.Org.Own = true; return nil }},
	{word: "keys-only", set: demandKeys},
	{word: "id", example: "o-1", fits: func(r *reading) bool { return r.Org.ID != "" }, set: func(r *reading, value string) error { return as(&r.Org.ID, value) }},
	// absent has no need to say none
	{word: "member", fits: orgIsAbsent, once: "role", set: setRole(protocol.OrgMember)},
	{word: "admin", fits: orgIsAbsent, once: "role", set: setRole(protocol.OrgAdmin)},
	{word: "owner", fits: orgIsAbsent, once: "role", set: setRole(protocol.OrgOwner)},
}

// demandKeys reads that only security keys count, by the setting of the package or of the organization.
func demandKeys(r *reading, _ string) error {
	r.Settings.KeysOnly = true
	return nil
}

func orgIsAbsent(r *reading) bool { return r.Org.ID == "" }

func setRole(role protocol.OrgRole) func(*reading, string) error {
	return func(r *reading, _ string) error { r.Org.Role = role; return nil }
}

func (r *reading) org(word string) error {
	word, ok := strings.CutPrefix(word, "org=")
	if !ok {
		return fmt.Errorf("%v is about an organization: write org=acme:member, org=acme:absent or -", r.Operation.Action)
	}
	flags := strings.Split(word, ":")
	switch {
	case flags[0] == "":
		return errors.New("no name: write org=acme, or org=- if it has none")
	case flags[0] != "-":
		if err := as(&r.Operation.Org, flags[0]); err != nil {
			return err
		}
	}
	switch {
	case len(flags) == 1:
		return fmt.Errorf("no role: write org=%s:%s", word, or(append(texts[protocol.OrgRole](), "absent")))
	case flags[1] == "absent":
		r.Org.ID = ""
	default:
		r.Org.ID = "o-1"
		if err := readText(&r.Org.Role, "role", flags[1], "absent"); err != nil {
			return err
		}
	}
	return r.read(":", flags[2:], orgFlags)
}

var factsFlags = func() (flags []flag) {
	exists := func(r *reading) bool { return r.Package.ID != "" }
	for rights := policy.Rights(1); rights < 1<<len(rightLetters); rights++ {
		flags = append(flags, flag{word: letters(rights), once: "rights", set: func(r *reading, _ string) error { r.Package.Rights = rights; return nil }})
	}
	return append(flags,
		flag{word: "create", set: func(r *reading, _ string) error { r.Package.MayCreate = true; return nil }},
		flag{word: "mfa", set: func(r *reading, _ string) error { r.Settings.Publish = protocol.FactorOnly; return nil }},
		flag{word: "none", once: "mfa", set: func(r *reading, _ string) error { r.Settings.Publish = protocol.NoFactor; return nil }},
		flag{word: "keys-only", set: demandKeys},
		flag{word: "stage-only", set: func(r *reading, _ string) error { r.Settings.StageOnly = true; return nil }},
		flag{word: "other-approver", set: func(r *reading, _ string) error { r.Settings.OtherApprover = true; return nil }},
		flag{word: "approvals", example: "2", set: func(r *reading, value string) error { return readApprovals(&r.Settings.Approvals, value) }},
		flag{word: "stager", example: "u-alice", set: func(r *reading, value string) error { return as(&r.Staged.By, value) }},
		flag{word: "approved-by", example: "u-bob", many: true, set: func(r *reading, value string) error {
			var by protocol.UserID
			err := as(&by, value)
			r.Staged.Approvals = append(r.Staged.Approvals, by)
			return err
		}},
		flag{word: "publishers-only", set: func(r *reading, _ string) error { r.Settings.PublishersOnly = true; return nil }},
		flag{word: "requires-factor", set: func(r *reading, _ string) error { r.Package.RequireFactor = true; return nil }},
		flag{word: "private", fits: func(r *reading) bool { return !exists(r) }, set: func(r *reading, _ string) error { r.Package.Private = true; return nil }},
		flag{word: "id", example: "p-1", fits: exists, set: func(r *reading, value string) error { return as(&r.Package.ID, value) }},
		flag{word: "evidence", example: "publisher+approval", set: func(r *reading, value string) error { return r.Package.Evidence.UnmarshalText([]byte(value)) }},
		flag{word: "label", example: "critical", many: true, set: func(r *reading, value string) error { return addText(&r.Package.Labels, value) }},
	)
}()

// ofPackage reports whether an action is about a package, or a staged version of one.
func ofPackage(a protocol.Action) bool {
	return a.OfPackage() || a == protocol.ReadStaged || a == protocol.ApproveStaged || a == protocol.RejectStaged
}

// ofVersion reports whether the change of an action has the version that is published, staged, approved or
// rejected.
func ofVersion(a protocol.Action) bool {
	switch a {
	case protocol.Publish, protocol.Stage, protocol.ApproveStaged, protocol.RejectStaged:
		return true
	}
	return false
}

// thePackage is the ID of a package for which a line gives none.
const thePackage = protocol.PackageID("p-1")

func (r *reading) facts(word string) error {
	name, facts, ok := strings.Cut(word, "=")
	if !ok {
		return fmt.Errorf("no facts: write %s=absent, %s=public, %s=private or -", word, word, word)
	}
	if name != "-" {
		if a := r.Operation.Action; !ofPackage(a) && a != protocol.GrantTeam && a != protocol.Unknown {
			return fmt.Errorf("%v is about no package: write -", a)
		}
		var err error
		if r.Operation.Package, err = protocol.ParsePackageName(name); err != nil {
			return fmt.Errorf("%w: write plain, @acme/widget or - for the name", err)
		}
	}
	flags := strings.Split(facts, ":")
	switch flags[0] {
	case "absent":
	case "public":
		r.Package.ID = thePackage
	case "private":
		r.Package.ID, r.Package.Private = thePackage, true
	default:
		return fmt.Errorf("%q says not whether there is one: write absent, public or private", flags[0])
	}
	return r.read(":", flags[1:], factsFlags)
}

const rightLetters = "rwa"

// letters returns the rights as a line has them.
func letters(rights policy.Rights) (s string) {
	for i, letter := range rightLetters {
		if rights&(1<<i) != 0 {
			s += string(letter)
		}
	}
	return s
}

func readProof(r *policy.Request, word string) error {
	if word == "-" {
		return nil
	}
	// The proof whose text is none is written as a hyphen.
	if right := append([]string{"-"}, texts[policy.Proof]()[1:]...); !slices.Contains(right, word) {
		return no("proof", word, right, "")
	}
	return r.Proof.UnmarshalText([]byte(word))
}

func parseTime(word string) (time.Time, error) {
	if word == "none" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, word)
	if t = t.UTC(); err != nil || t.Year() < 1 || t.Year() > 9999 { // which cannot be written
		return time.Time{}, fmt.Errorf("%q is no time: write one as %s, or none", word, formatTime(Noon))
	}
	return t, nil
}

func parseAddr(word string) (netip.Addr, error) {
	if word == "none" {
		return netip.Addr{}, nil
	}
	a, err := netip.ParseAddr(word)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("%q is no address: write one as %v, or none", word, Here)
	}
	return a, nil
}

func unescape(word string) (string, error) {
	text, err := url.PathUnescape(word)
	if err != nil || strings.Trim(word, plainBytes+"%") != "" {
		return "", fmt.Errorf("%q is not percent-encoded: write %s", word, escape(word))
	}
	return text, nil
}

const plainBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~@"
