package policytest

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/npmauth/npmauth/policy"
)

// ErrFormat is wrapped by the error of [Format] for a request that no line can say: one
// with a number that is none of its enumeration's, or a grant that is not valid.
var ErrFormat = errors.New("policytest: no line says this request")

// Format writes the request as a line of a table, up to the =>, after which [Answer]
// writes a decision. Reading the line gives an equal request, but for the name of an
// operation that may be a token: that is written as redacted.
func Format(r policy.Request) (string, error) {
	r = normal(r)
	w := writer{}
	fields := []string{w.credential(&r), w.account(&r), w.operation(&r), w.pkg(&r), "-"}
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

// Answer writes a decision as the right side of a line: effect and reasons.
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
	if a := r.Operation.Action; r.Operation.Name != "" && (a == policy.Logout || a == policy.RevokeToken) {
		r.Operation.Name = "redacted"
	}
	r.Now, r.Account.NotBefore = instant(r.Now), instant(r.Account.NotBefore)
	if r.Credential != nil {
		c := *r.Credential
		c.Created, c.Expires = instant(c.Created), instant(c.Expires)
		c.Grants = append([]policy.Grant(nil), c.Grants...)
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
	if c.User != r.Account.ID {
		b.WriteString("+user=" + escape(string(c.User)))
	}
	return b.String()
}

func (w *writer) grant(g policy.Grant) string {
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
	switch g.Target {
	case policy.OnePackage:
		return permission + ":" + g.Package.String()
	case policy.OneScope:
		return permission + ":@" + g.Scope
	case policy.OneOrg:
		return permission + ":org=" + g.Scope
	default:
		return permission + ":all"
	}
}

func (w *writer) account(r *policy.Request) string {
	a := &r.Account
	if r.Credential == nil && *a == (policy.Account{}) {
		return "-"
	}
	s := w.text(a.TwoFactor)
	if a.Name != "alice" {
		s = escape(a.Name) + ":" + s
	}
	if a.ID != policy.UserID("u-"+a.Name) {
		s += ",id=" + escape(string(a.ID))
	}
	if a.Disabled {
		s += ",disabled"
	}
	switch {
	case a.NotBefore.IsZero():
	case r.Credential != nil && a.NotBefore.Equal(r.Credential.Created.Add(time.Microsecond)):
		s += ",older"
	default:
		s += ",not-before=" + formatTime(a.NotBefore)
	}
	return s
}

func (w *writer) operation(r *policy.Request) string {
	s := w.text(r.Operation.Action)
	if r.NewToken.Write {
		s += "/write"
	}
	if r.NewToken.Bypass {
		s += "/bypass"
	}
	if r.Operation.Name != "" {
		s += "/name=" + escape(r.Operation.Name)
	}
	return s
}

func (w *writer) pkg(r *policy.Request) string {
	if r.Operation.Package.IsZero() && r.Package == (policy.Facts{}) && r.Settings == (policy.Settings{}) {
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
	if f.ID != "" && f.ID != "p-1" {
		words = append(words, "id="+escape(string(f.ID)))
	}
	letters := ""
	for i, letter := range rightLetters {
		if f.Rights&(1<<i) != 0 {
			letters += string(letter)
		}
	}
	if letters != "" {
		words = append(words, letters)
	}
	if f.MayCreate {
		words = append(words, "create")
	}
	if r.Settings.Publish == policy.FactorOnly {
		words = append(words, "mfa")
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
