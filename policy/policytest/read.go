package policytest

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
)

// A Row is one request of a table and what must come of it.
type Row struct {
	Line    int    // its number in the table, from 1
	Text    string // the line, without its comment
	Request policy.Request
	Effect  policy.Effect
	Codes   []string // of the reasons, in order
}

// Noon is the time of requests for which a table names none. It is a
// Wednesday's, when most policies do what they do.
var Noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// Here is the address of requests for which a table names none.
var Here = netip.MustParseAddr("192.0.2.7")

// Parse reads one line that is a request, as the package documentation describes it.
func Parse(line string) (Row, error) {
	row, err := newReader().row(uncommented(line))
	row.Line = 1
	return row, err
}

func uncommented(line string) string {
	line, _, _ = strings.Cut(line, "#")
	return strings.TrimSpace(line)
}

var errNoRow = errors.New("no => and none of now, from, let and covers")

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
		return Row{}, errNoRow
	}
	row := Row{Text: line}
	var err error
	if row.Request, err = rd.request(strings.Fields(question)); err != nil {
		return Row{}, err
	}
	words := strings.Fields(answer)
	if len(words) == 0 {
		return Row{}, errors.New("no effect")
	}
	if err := row.Effect.UnmarshalText([]byte(words[0])); err != nil {
		return Row{}, err
	}
	if len(words) > 1 {
		row.Codes = words[1:]
	}
	if (row.Effect == policy.Allow) != (row.Codes == nil) {
		return Row{}, fmt.Errorf("%v with %d reasons", row.Effect, len(row.Codes))
	}
	return row, nil
}

func (rd *reader) request(words []string) (policy.Request, error) {
	if len(words) < 5 {
		return policy.Request{}, fmt.Errorf("%d words before =>, want credential, account, action, package and proof", len(words))
	}
	words, err := rd.expand(words)
	if err != nil {
		return policy.Request{}, err
	}
	r := policy.Request{Now: rd.now, Addr: rd.from}
	var once seen
	for _, w := range words[5:] {
		key, value, _ := strings.Cut(w, "=")
		if err := once.add(key); err != nil {
			return policy.Request{}, err
		}
		switch key {
		case "now":
			r.Now, err = parseTime(value)
		case "from":
			r.Addr, err = parseAddr(value)
		default:
			err = fmt.Errorf("unknown word %q after the proof", w)
		}
		if err != nil {
			return policy.Request{}, err
		}
	}
	if err := errors.Join(
		readOperation(&r, words[2]),
		readPackage(&r, words[3]),
		readProof(&r, words[4]),
		readParties(&r, words[0], words[1]),
	); err != nil {
		return policy.Request{}, err
	}
	return r, nil
}

// expand replaces $name at the beginning of a word.
func (rd *reader) expand(words []string) ([]string, error) {
	expanded := make([]string, len(words))
	for i, w := range words {
		if rest, ok := strings.CutPrefix(w, "$"); ok {
			n := len(rest) - len(strings.TrimLeft(rest, nameBytes))
			def := rd.names[rest[:n]]
			if def == nil {
				return nil, fmt.Errorf("no let for $%s above", rest[:n])
			}
			def.used = true
			w = def.word + rest[n:]
		}
		expanded[i] = w
	}
	return expanded, nil
}

const nameBytes = "abcdefghijklmnopqrstuvwxyz0123456789-"

// seen are the words that may stand once in their place.
type seen map[string]bool

func (s *seen) add(word string) error {
	if (*s)[word] {
		return fmt.Errorf("%q twice", word)
	}
	if *s == nil {
		*s = seen{}
	}
	(*s)[word] = true
	return nil
}

// readParties reads the credential and its account, which depend on each other.
func readParties(r *policy.Request, credential, account string) error {
	var c *policy.Credential
	var ownUser bool
	if credential != "anonymous" {
		c = &policy.Credential{ID: "c1", Created: base(r.Now).Add(-time.Hour), Expires: base(r.Now).Add(time.Hour)}
		var err error
		if ownUser, err = readCredential(c, r.Now, credential); err != nil {
			return fmt.Errorf("credential %q: %w", credential, err)
		}
		r.Credential = c
	}
	if account == "-" {
		if c != nil {
			return errors.New("account -: only the anonymous have none")
		}
		return nil
	}
	if err := readAccount(r, account, ownUser); err != nil {
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

// readCredential reports whether the word names a user of its own.
func readCredential(c *policy.Credential, now time.Time, word string) (ownUser bool, err error) {
	kind, grants, bracket := strings.Cut(word, "(")
	var rest string
	if bracket {
		end := strings.LastIndexByte(grants, ')') // verbs have plus signs, so the brackets come first
		if end < 0 {
			return false, errors.New("no closing bracket")
		}
		grants, rest = grants[:end], grants[end+1:]
		if rest != "" && rest[0] != '+' {
			return false, fmt.Errorf("unknown %q", rest)
		}
	} else if at := strings.IndexByte(word, '+'); at >= 0 {
		kind, rest = word[:at], word[at:]
	}
	if err := c.Kind.UnmarshalText([]byte(kind)); err != nil {
		return false, err
	}
	switch {
	case !bracket && c.Kind != policy.KindSession && c.Kind != policy.KindUnknown:
		return false, fmt.Errorf("no grants: write %v() if it has none", c.Kind)
	case grants != "":
		for g := range strings.SplitSeq(grants, ",") {
			grant, err := readGrant(g)
			if err != nil {
				return false, err
			}
			c.Grants = append(c.Grants, grant)
		}
	}
	var once seen
	for _, part := range strings.Split(rest, "+")[1:] {
		key, value, valued := strings.Cut(part, "=")
		if key != "cidr" {
			if err := once.add(key); err != nil {
				return false, err
			}
		}
		switch {
		case part == "bypass":
			c.Bypass = true
		case part == "expired":
			c.Expires = now
			err = once.add("expires")
		case key == "expires" && valued:
			c.Expires, err = parseTime(value)
		case key == "created" && valued:
			c.Created, err = parseTime(value)
		case key == "id" && valued:
			c.ID, err = unescape(value)
		case key == "name" && value != "":
			c.Name, err = unescape(value)
		case key == "user" && valued:
			ownUser = true
			var user string
			user, err = unescape(value)
			c.User = protocol.UserID(user)
		case key == "cidr" && valued:
			c.CIDRs, err = appendPrefix(c.CIDRs, value)
		default:
			err = fmt.Errorf("unknown %q", "+"+part)
		}
		if err != nil {
			return false, err
		}
	}
	return ownUser, nil
}

// appendText appends the name of a group or a label, which has no meaning here.
func appendText(to []string, word string) ([]string, error) {
	text, err := unescape(word)
	if err == nil && text == "" {
		err = errors.New("no name")
	}
	if err == nil && slices.Contains(to, text) {
		err = fmt.Errorf("%q twice", text)
	}
	return append(to, text), err
}

func appendPrefix(to []netip.Prefix, word string) ([]netip.Prefix, error) {
	p, err := netip.ParsePrefix(word)
	if err != nil {
		return nil, fmt.Errorf("%q is no prefix", word)
	}
	return append(to, p), nil
}

var permissions = map[string]protocol.Permission{
	"none": protocol.NoAccess, "ro": protocol.ReadOnly, "rw": protocol.ReadWrite, "stage": protocol.StageOnly,
}

func readGrant(word string) (protocol.Grant, error) {
	permission, target, _ := strings.Cut(word, ":")
	permission, verbs, narrowed := strings.Cut(permission, "[")
	p, ok := permissions[permission]
	if !ok {
		return protocol.Grant{}, fmt.Errorf("grant %q: no permission %q", word, permission)
	}
	g := protocol.Grant{Permission: p}
	if narrowed {
		verbs, closed := strings.CutSuffix(verbs, "]")
		if !closed || verbs == "all" { // which is what is written without brackets
			return protocol.Grant{}, fmt.Errorf("grant %q: %q are no verbs in brackets", word, verbs)
		}
		if err := g.Verbs.UnmarshalText([]byte(verbs)); err != nil {
			return protocol.Grant{}, fmt.Errorf("grant %q: %w", word, err)
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
			return protocol.Grant{}, fmt.Errorf("grant %q: %w", word, err)
		}
		g.Target, g.Package = protocol.OnePackage, n
	}
	if err := g.Validate(); err != nil {
		return protocol.Grant{}, fmt.Errorf("grant %q: %w", word, err)
	}
	return g, nil
}

func readAccount(r *policy.Request, word string, ownUser bool) error {
	flags := strings.Split(word, ",")
	r.Account.Name = "alice"
	mode := flags[0]
	if name, rest, ok := strings.Cut(mode, ":"); ok {
		var err error
		if r.Account.Name, err = unescape(name); err != nil {
			return err
		}
		mode = rest
	}
	if err := r.Account.TwoFactor.UnmarshalText([]byte(mode)); err != nil {
		return err
	}
	r.Account.ID = protocol.UserID("u-" + r.Account.Name)
	other := false
	var once seen
	for _, f := range flags[1:] {
		key, value, valued := strings.Cut(f, "=")
		if key != "cidr" && key != "group" {
			if err := once.add(key); err != nil {
				return err
			}
		}
		var err error
		switch {
		case key == "group" && valued:
			r.Account.Groups, err = appendText(r.Account.Groups, value)
		case f == "disabled":
			r.Account.Disabled = true
		case f == "service":
			r.Account.Service = true
		case f == "factor-required":
			r.Account.FactorRequired = true
		case f == "high-impact":
			r.Account.HighImpact = true
		case f == "recovered":
			r.Account.Recovered = base(r.Now).Add(-time.Hour)
		case key == "recovered" && valued:
			r.Account.Recovered, err = parseTime(value)
		case key == "cidr" && valued:
			r.Account.CIDRs, err = appendPrefix(r.Account.CIDRs, value)
		case f == "other":
			other = true
		case key == "id" && valued:
			var id string
			id, err = unescape(value)
			r.Account.ID = protocol.UserID(id)
		default:
			err = fmt.Errorf("unknown %q", ","+f)
		}
		if err != nil {
			return err
		}
	}
	switch {
	case other && (r.Credential == nil || ownUser):
		return errors.New("other than no account: write it without")
	case r.Credential != nil && !ownUser:
		r.Credential.User = r.Account.ID
	}
	if other {
		r.Account.ID += "-other"
	}
	return nil
}

func readOperation(r *policy.Request, word string) error {
	parts := strings.Split(word, "/")
	if err := r.Operation.Action.UnmarshalText([]byte(parts[0])); err != nil {
		return err
	}
	var once seen
	for _, p := range parts[1:] {
		key, value, valued := strings.Cut(p, "=")
		if err := once.add(key); err != nil {
			return fmt.Errorf("action %q: %w", word, err)
		}
		a := r.Operation.Action
		creates := a == protocol.CreateToken || a == protocol.ManageService
		var err error
		switch {
		case p == "write" && creates:
			change(r).Token = newToken(true, r.Change.Token != nil)
		case p == "bypass" && creates:
			change(r).Token = newToken(r.Change.Token != nil, true)
		case p == "admin" && (a == protocol.ReadService || a == protocol.ManageService || a == protocol.RevokeService):
			r.Administers = true
		case p == "off" && a == protocol.SetTwoFactor:
			change(r).TwoFactor = protocol.TwoFactorOff
		case p == "mfa=publish" && a == protocol.SetAccess:
			change(r).PublishMode = pointer(protocol.FactorOnly)
		case p == "mfa=none" && a == protocol.SetAccess:
			change(r).PublishMode = pointer(protocol.NoFactor)
		case key == "version" && valued && a == protocol.Publish:
			change(r).Version, err = unescape(value)
		case key == "tag" && valued && a == protocol.Publish && change(r).Version != "":
			var tag string
			tag, err = unescape(value)
			change(r).Tags = map[string]string{tag: r.Change.Version}
		case p == "nothing" && a == protocol.Deprecate:
			change(r)
		case valued && nameField(&r.Operation, key) != nil:
			*nameField(&r.Operation, key), err = unescape(value)
		default:
			err = fmt.Errorf("unknown %q", "/"+p)
		}
		if err != nil {
			return fmt.Errorf("action %q: %w", word, err)
		}
	}
	return nil
}

// change returns the Change of r, a new one if there is none.
func change(r *policy.Request) *protocol.Change {
	if r.Change == nil {
		r.Change = new(protocol.Change)
	}
	return r.Change
}

func pointer(m protocol.PublishMode) *protocol.PublishMode { return &m }

// names are what an operation can name besides its package and its organization, by the
// words that a line has for them.
var names = []string{"version", "tag", "user", "team", "service", "revision", "id", "token"}

// nameField returns the field of op for one of names, nil for any other word.
func nameField(op *protocol.Operation, name string) *string {
	switch name {
	case "version":
		return &op.Version
	case "tag":
		return &op.Tag
	case "user":
		return &op.User
	case "team":
		if op.Action.OfOrg() {
			return &op.Team
		}
	case "service":
		return &op.Service
	case "revision":
		return &op.Revision
	case "id":
		return &op.ID
	case "token":
		return &op.Token
	}
	return nil
}

// readPackage reads what the action is about: a package, or an organization.
func readPackage(r *policy.Request, word string) error {
	if word == "-" {
		return nil
	}
	if r.Operation.Action.OfOrg() {
		org, pkg, granted := word, "", false
		if r.Operation.Action == protocol.GrantTeam {
			org, pkg, granted = strings.Cut(word, "+")
		}
		if err := readOrg(r, org); err != nil {
			return fmt.Errorf("organization %q: %w", org, err)
		}
		if !granted {
			return nil
		}
		word = pkg
	}
	if err := readFacts(r, word); err != nil {
		return fmt.Errorf("package %q: %w", word, err)
	}
	return nil
}

func readOrg(r *policy.Request, word string) error {
	word, ok := strings.CutPrefix(word, "org=")
	if !ok {
		return errors.New("want org=name:role or org=name:absent")
	}
	flags := strings.Split(word, ":")
	if flags[0] != "-" {
		name, err := unescape(flags[0])
		if err != nil {
			return err
		}
		if name == "" {
			return errors.New("no name: write - if it has none")
		}
		r.Operation.Org = name
	}
	flags = flags[1:]
	r.Org.ID = "o-1"
	if len(flags) > 0 && flags[0] == "absent" {
		r.Org.ID, flags = "", flags[1:]
	} else if len(flags) == 0 {
		return errors.New("no role: want none, member, admin, owner or absent")
	}
	var once seen
	for i, f := range flags {
		key, value, _ := strings.Cut(f, "=")
		if err := once.add(key); err != nil {
			return err
		}
		var err error
		switch {
		case f == "requires-factor" && (i > 0 || r.Org.ID == ""):
			r.Org.RequireFactor = true
		case i == 0 && (r.Org.ID != "" || f != "none"): // absent has no need to say none
			err = r.Org.Role.UnmarshalText([]byte(f))
		case key == "id" && r.Org.ID != "" && value != "":
			var id string
			id, err = unescape(value)
			r.Org.ID = protocol.OrgID(id)
		default:
			err = fmt.Errorf("unknown %q", ":"+f)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func readFacts(r *policy.Request, word string) error {
	name, facts, ok := strings.Cut(word, "=")
	if !ok {
		return errors.New("no facts: want name=absent, name=public or name=private")
	}
	if name != "-" {
		if a := r.Operation.Action; !a.OfPackage() && a != protocol.GrantTeam && a != protocol.Unknown {
			return fmt.Errorf("%v is about no package", r.Operation.Action)
		}
		var err error
		if r.Operation.Package, err = protocol.ParsePackageName(name); err != nil {
			return err
		}
	}
	flags := strings.Split(facts, ":")
	exists := true
	switch flags[0] {
	case "absent":
		exists = false
	case "public":
		r.Package.ID = "p-1"
	case "private":
		r.Package.ID, r.Package.Private = "p-1", true
	default:
		return fmt.Errorf("%q is neither absent, public nor private", flags[0])
	}
	var once seen
	for _, f := range flags[1:] {
		key, value, _ := strings.Cut(f, "=")
		rights, isRights := parseRights(f)
		switch {
		case isRights:
			key = "rights"
		case f == "none":
			key = "mfa"
		}
		if key != "label" {
			if err := once.add(key); err != nil {
				return err
			}
		}
		var err error
		switch {
		case key == "label" && value != "":
			r.Package.Labels, err = appendText(r.Package.Labels, value)
		case isRights:
			r.Package.Rights = rights
		case f == "create":
			r.Package.MayCreate = true
		case f == "mfa":
			r.Settings.Publish = protocol.FactorOnly
		case f == "none":
			r.Settings.Publish = protocol.NoFactor
		case f == "requires-factor":
			r.Package.RequireFactor = true
		case f == "private" && !exists:
			r.Package.Private = true
		case key == "id" && exists && value != "":
			var id string
			id, err = unescape(value)
			r.Package.ID = protocol.PackageID(id)
		default:
			err = fmt.Errorf("unknown %q", ":"+f)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

const rightLetters = "rwa"

// parseRights reads the letters of rights in their order.
func parseRights(word string) (policy.Rights, bool) {
	var rights policy.Rights
	rest := word
	for i, letter := range rightLetters {
		if after, ok := strings.CutPrefix(rest, string(letter)); ok {
			rights |= 1 << i
			rest = after
		}
	}
	return rights, rest == "" && word != ""
}

func readProof(r *policy.Request, word string) error {
	switch word {
	case "-":
		return nil
	case "none":
		return errors.New("no proof is written -")
	default:
		return r.Proof.UnmarshalText([]byte(word))
	}
}

func parseTime(word string) (time.Time, error) {
	if word == "none" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, word)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is no time", word)
	}
	if t = t.UTC(); t.Year() < 1 || t.Year() > 9999 { // which cannot be written
		return time.Time{}, fmt.Errorf("%q is no time", word)
	}
	return t, nil
}

func parseAddr(word string) (netip.Addr, error) {
	if word == "none" {
		return netip.Addr{}, nil
	}
	a, err := netip.ParseAddr(word)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("%q is no address", word)
	}
	return a, nil
}

func unescape(word string) (string, error) {
	text, err := url.PathUnescape(word)
	if err != nil || strings.Trim(word, plainBytes+"%") != "" {
		return "", fmt.Errorf("%q is not percent-encoded", word)
	}
	return text, nil
}

const plainBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~@"
