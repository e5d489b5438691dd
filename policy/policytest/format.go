package policytest

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
)

// ErrFormat is wrapped by the error of [Format] for a request that no line can say: one
// with a number that is none of its enumeration's, or a grant that is not valid.
var ErrFormat = errors.New("policytest: no line says this request")

// Format writes a request as the left side of a line, up to the =>; [Answer] writes the right side.
// [Parse] reads the line into an equal request, without what NPM's rules do not depend on and what
// may be long or secret: digests, revisions, texts that people wrote, a name in the operation that
// may be a token, and of a new token everything but its name, its days, and whether it writes and
// bypasses the second factor. [github.com/npmauth/npmauth.Auth.Explain] returns the request to format. An error
// wraps [ErrFormat].
func Format(r policy.Request) (string, error) {
	r = normal(r)
	w := writer{}
	fields := []string{w.credential(&r), w.account(&r), w.operation(&r), w.about(&r), "-"}
	if r.Proof != policy.NoProof {
		fields[4] = w.text(r.Proof)
	}
	if !r.Now.Equal(Noon) {
		fields = append(fields, "now="+formatTime(r.Now))
	}
	if r.Addr != Here {
		fields = append(fields, "from="+formatAddr(r.Addr))
	}
	if w.err != nil {
		return "", fmt.Errorf("%w: %w", ErrFormat, w.err)
	}
	line := strings.Join(fields, "  ")
	read, err := Parse(line + "  =>  allow")
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if !reflect.DeepEqual(r, normal(read.Request)) {
		return "", ErrFormat
	}
	return line, nil
}

// Answer writes a decision as the right side of a line: the effect and the codes of the reasons.
func Answer(d policy.Decision) string {
	return strings.Join(append([]string{d.Effect.String()}, codes(d)...), " ")
}

func codes(d policy.Decision) []string {
	var cs []string
	for _, r := range d.Reasons {
		cs = append(cs, r.Code)
	}
	return cs
}

// normal returns r with everything that decides and without what does not: the
// location of a time, an empty slice for none, a name that could be a token.
func normal(r policy.Request) policy.Request {
	if a := r.Operation.Action; r.Operation.Token != "" && (a == protocol.Logout || a == protocol.RevokeToken) {
		r.Operation.Token = "redacted"
	}
	r.Change = normalChange(&r.Operation, r.Change)
	r.Now, r.Account.Recovered = instant(r.Now), instant(r.Account.Recovered)
	r.Account.CIDRs = append([]netip.Prefix(nil), r.Account.CIDRs...)
	r.Account.Groups = append([]string(nil), r.Account.Groups...)
	r.Package.Labels = append([]string(nil), r.Package.Labels...)
	r.Staged.Approvals = append([]protocol.UserID(nil), r.Staged.Approvals...)
	if r.Credential != nil {
		c := *r.Credential
		c.Created, c.Expires = instant(c.Created), instant(c.Expires)
		c.Grants = append([]protocol.Grant(nil), c.Grants...)
		c.CIDRs = append([]netip.Prefix(nil), c.CIDRs...)
		r.Credential = &c
	}
	return r
}

// instant takes the location and the monotonic reading off t.
func instant(t time.Time) time.Time { return t.Round(0).UTC() }

// A writer keeps the first error.
type writer struct{ err error }

func (w *writer) text(v interface{ MarshalText() ([]byte, error) }) string {
	text, err := v.MarshalText()
	if err != nil && w.err == nil {
		w.err = err
	}
	return string(text)
}

func (w *writer) credential(r *policy.Request) string {
	c := r.Credential
	if c == nil {
		return "anonymous"
	}
	var b strings.Builder
	b.WriteString(w.text(c.Kind))
	if len(c.Grants) > 0 || c.Kind != policy.KindSession && c.Kind != policy.KindUnknown {
		var grants []string
		for _, g := range c.Grants {
			grants = append(grants, w.grant(g))
		}
		fmt.Fprintf(&b, "(%s)", strings.Join(grants, ","))
	}
	if c.Bypass {
		b.WriteString("+bypass")
	}
	for _, p := range c.CIDRs {
		fmt.Fprintf(&b, "+cidr=%v", p)
	}
	switch from := base(r.Now); {
	case c.Expires.Equal(r.Now):
		b.WriteString("+expired")
	case !c.Expires.Equal(from.Add(time.Hour)):
		b.WriteString("+expires=" + formatTime(c.Expires))
	}
	if !c.Created.Equal(base(r.Now).Add(-time.Hour)) {
		b.WriteString("+created=" + formatTime(c.Created))
	}
	if c.ID != "c1" {
		b.WriteString("+id=" + escape(c.ID))
	}
	if c.Name != "" {
		b.WriteString("+name=" + escape(c.Name))
	}
	usual := protocol.PackageID("")
	if c.Kind == policy.KindPublisher && c.Creates.Package.IsZero() {
		usual = thePackage
	}
	if name := c.Creates.Package; !name.IsZero() {
		b.WriteString("+creates=" + name.String())
	}
	if c.Creates.Owner != "" {
		b.WriteString("+owner=" + escape(string(c.Creates.Owner)))
	}
	if c.Package != usual {
		b.WriteString("+package=" + escape(string(c.Package)))
	}
	if c.User != r.Account.ID {
		b.WriteString("+user=" + escape(string(c.User)))
	}
	return b.String()
}

func (w *writer) grant(g protocol.Grant) string {
	if err := g.Validate(); err != nil {
		if w.err == nil {
			w.err = err
		}
		return ""
	}
	permission := ""
	for word, p := range permissions {
		if p == g.Permission {
			permission = word
		}
	}
	if g.Verbs != 0 {
		permission += "[" + g.Verbs.String() + "]"
	}
	switch g.Target {
	case protocol.OnePackage:
		return permission + ":" + g.Package.String()
	case protocol.OneScope:
		return permission + ":@" + g.Scope
	case protocol.OneOrg:
		return permission + ":org=" + g.Scope
	default:
		return permission + ":all"
	}
}

func (w *writer) account(r *policy.Request) string {
	a := &r.Account
	if (r.Credential == nil || r.Credential.Kind == policy.KindPublisher) && reflect.ValueOf(*a).IsZero() {
		return "-"
	}
	s := w.text(a.TwoFactor)
	if a.Name != "alice" {
		s = escape(a.Name) + ":" + s
	}
	if a.ID != protocol.UserID("u-"+a.Name) {
		s += ",id=" + escape(string(a.ID))
	}
	if a.Disabled {
		s += ",disabled"
	}
	for _, flag := range []struct {
		word string
		is   bool
	}{{"service", a.Service}, {"keys", a.Keys}, {"keys-only", a.KeysOnly}, {"factor-required", a.FactorRequired}, {"high-impact", a.HighImpact}} {
		if flag.is {
			s += "," + flag.word
		}
	}
	switch {
	case a.Recovered.IsZero():
	case a.Recovered.Equal(base(r.Now).Add(-time.Hour)):
		s += ",recovered"
	default:
		s += ",recovered=" + formatTime(a.Recovered)
	}
	for _, p := range a.CIDRs {
		s += fmt.Sprintf(",cidr=%v", p)
	}
	for _, g := range a.Groups {
		s += ",group=" + escape(g)
	}
	return s
}

func (w *writer) operation(r *policy.Request) string {
	s := w.text(r.Operation.Action)
	if r.Administers {
		s += "/admin"
	}
	change := w.change(r.Operation.Action, r.Change)
	if r.Operation.Action == protocol.Deprecate && r.Change.Empty() {
		change = "/nothing"
	}
	tags := r.Operation.Action == protocol.SetDistTag
	if !tags {
		s += change
	}
	for _, name := range names {
		if field := *name.field(&r.Operation); field != "" {
			s += "/" + name.word + "=" + escape(field)
		}
	}
	if r.Change != nil {
		for i := range changeWords {
			s += changeWords[i].write(r.Operation.Action, r.Change)
		}
	}
	if tags && r.Change != nil { // the tag that goes to the version stands before it
		s += "/version=" + escape(r.Change.Version)
	}
	return s
}

// change writes what the request would do, as far as a line has words for it.
func (w *writer) change(a protocol.Action, c *protocol.Change) (s string) {
	if c == nil {
		return ""
	}
	if c.Token.Writes() {
		s += "/write"
	}
	if c.Token != nil && c.Token.Bypass {
		s += "/bypass"
	}
	if c.RemovesFactor() {
		s += "/off"
	}
	if c.PublishMode != nil && *c.PublishMode != protocol.FactorOrBypass {
		s += "/mfa=" + w.text(*c.PublishMode)
	}
	if c.DemandsKeys() {
		s += "/keys-only"
	}
	if ofVersion(a) && c.Version != "" {
		s += "/version=" + escape(c.Version)
		for _, tag := range slices.Sorted(maps.Keys(c.Tags)) {
			s += "/tag=" + escape(tag)
		}
	}
	return s
}

// normalChange returns what of c a line says, nil if that is nothing. Left out is what decides nothing in
// a table: digests, revisions, the rest of a new token, and of messages, addresses and what people
// write about themselves the text.
func normalChange(op *protocol.Operation, c *protocol.Change) *protocol.Change {
	if c == nil || op.Action == protocol.RemoveDistTag && reflect.DeepEqual(*c, protocol.Change{Tags: map[string]string{op.Tag: ""}}) {
		return nil // which the operation says
	}
	n := *c
	n.Integrity, n.Attachments, n.Revision, n.Body, n.Grace = "", nil, "", "", nil
	n.Token = normalToken(n.Token)
	if n.PublishMode != nil && *n.PublishMode == protocol.FactorOrBypass {
		n.PublishMode = nil
	}
	if len(n.Tags) == 0 {
		n.Tags = nil
	}
	for _, list := range []*[]string{&n.Removed, &n.Tarballs, &n.Maintainers, &n.AddedOwners, &n.RemovedOwners} {
		*list = append([]string(nil), *list...)
	}
	if len(n.Publisher) == 0 {
		n.Publisher = nil
	}
	n.Deprecated, n.Profile = unsaid(n.Deprecated), unsaid(n.Profile)
	if n.Email != nil {
		n.Email = new(said)
	}
	if n.Password != "" {
		n.Password = said
	}
	if reflect.DeepEqual(n, protocol.Change{}) && (op.Action != protocol.Deprecate || !c.Empty()) {
		return nil
	}
	return &n
}

// unsaid returns the keys of m, of those that have a text without it.
func unsaid(m map[string]string) map[string]string {
	if len(m) == 0 {
		return nil
	}
	n := map[string]string{}
	for key, text := range m {
		if text != "" {
			text = said
		}
		n[key] = text
	}
	return n
}

// normalToken returns what of a new token a line says, nil if that is nothing: that it writes, or
// bypasses the second factor, its name and its days.
func normalToken(t *protocol.TokenSpec) *protocol.TokenSpec {
	if t == nil {
		return nil
	}
	n := &protocol.TokenSpec{Name: t.Name, Bypass: t.Bypass, Days: t.Days}
	if t.Writes() {
		writes(n)
	}
	if reflect.DeepEqual(*n, protocol.TokenSpec{}) {
		return nil
	}
	return n
}

// newTokenOf returns the new token of c.
func newTokenOf(c *protocol.Change) *protocol.TokenSpec {
	if c.Token == nil {
		c.Token = new(protocol.TokenSpec)
	}
	return c.Token
}

// writes makes t a token that writes.
func writes(t *protocol.TokenSpec) {
	t.Grants = []protocol.Grant{{Target: protocol.AllPackages, Permission: protocol.ReadWrite}}
}

// about writes what the action is about.
func (w *writer) about(r *policy.Request) string {
	if !r.Operation.Action.OfOrg() {
		return w.pkg(r)
	}
	pkg := "-"
	if !r.Operation.Package.IsZero() || !reflect.ValueOf(r.Package).IsZero() || withoutKeys(r.Settings) != (policy.Settings{}) || !reflect.ValueOf(r.Staged).IsZero() {
		pkg = w.pkg(r)
	}
	org := w.org(r, pkg == "-" && r.Settings.KeysOnly)
	switch {
	case pkg == "-":
		return org
	case org == "-":
		org = "org=-:absent"
	}
	return org + "+" + pkg
}

// withoutKeys returns s without what an organization may say, too.
func withoutKeys(s policy.Settings) policy.Settings {
	s.KeysOnly = false
	return s
}

func (w *writer) org(r *policy.Request, keysOnly bool) string {
	name, o := r.Operation.Org, &r.Org
	if name == "" && *o == (policy.OrgFacts{}) && !keysOnly {
		return "-"
	}
	var words []string
	switch name {
	case "":
		words = append(words, "-")
	case "-":
		words = append(words, "%2D")
	default:
		words = append(words, escape(name))
	}
	role := w.text(o.Role)
	if o.ID == "" {
		words = append(words, "absent")
	}
	if o.ID != "" || o.Role != protocol.NoRole {
		words = append(words, role)
	}
	if o.ID != "" && o.ID != "o-1" {
		words = append(words, "id="+escape(string(o.ID)))
	}
	if o.RequireFactor {
		words = append(words, "requires-factor")
	}
	if o.Own {
		words = append(words, "own")
	}
	if keysOnly {
		words = append(words, "keys-only")
	}
	return "org=" + strings.Join(words, ":")
}

func (w *writer) pkg(r *policy.Request) string {
	if r.Operation.Package.IsZero() && reflect.ValueOf(r.Package).IsZero() && r.Settings == (policy.Settings{}) && reflect.ValueOf(r.Staged).IsZero() {
		return "-"
	}
	name := "-"
	if !r.Operation.Package.IsZero() {
		name = r.Operation.Package.String()
	}
	f := &r.Package
	var words []string
	switch {
	case f.ID != "" && f.Private:
		words = append(words, "private")
	case f.ID != "":
		words = append(words, "public")
	case f.Private:
		words = append(words, "absent", "private")
	default:
		words = append(words, "absent")
	}
	if f.ID != "" && f.ID != thePackage {
		words = append(words, "id="+escape(string(f.ID)))
	}
	if rights := letters(f.Rights); rights != "" {
		words = append(words, rights)
	}
	if f.MayCreate {
		words = append(words, "create")
	}
	switch r.Settings.Publish {
	case protocol.FactorOnly:
		words = append(words, "mfa")
	case protocol.NoFactor:
		words = append(words, "none")
	}
	if r.Settings.KeysOnly {
		words = append(words, "keys-only")
	}
	if r.Settings.PublishersOnly {
		words = append(words, "publishers-only")
	}
	if r.Settings.StageOnly {
		words = append(words, "stage-only")
	}
	if r.Settings.OtherApprover {
		words = append(words, "other-approver")
	}
	if n := r.Settings.Approvals; n != 0 {
		words = append(words, fmt.Sprint("approvals=", n))
	}
	if r.Staged.By != "" {
		words = append(words, "stager="+escape(string(r.Staged.By)))
	}
	for _, by := range r.Staged.Approvals {
		words = append(words, "approved-by="+escape(string(by)))
	}
	if f.RequireFactor {
		words = append(words, "requires-factor")
	}
	if f.Evidence != 0 {
		words = append(words, "evidence="+w.text(f.Evidence))
	}
	for _, label := range f.Labels {
		words = append(words, "label="+escape(label))
	}
	return name + "=" + strings.Join(words, ":")
}

func formatTime(t time.Time) string {
	if t.IsZero() {
		return "none"
	}
	return t.UTC().Format(time.RFC3339Nano)
}

func formatAddr(a netip.Addr) string {
	if !a.IsValid() {
		return "none"
	}
	return a.String()
}

func escape(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		if slices.Contains([]byte(plainBytes), c) {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
