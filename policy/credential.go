package policy

import (
	"net/netip"
	"time"

	"github.com/npmauth/npmauth/internal/words"
	"github.com/npmauth/npmauth/protocol"
)

// A Kind is the kind of a credential, by how it was created. The zero value is denied.
type Kind uint8

// The kinds of credential.
const (
	KindUnknown   Kind = iota
	KindSession        // the session of a login: it has all rights of its user
	KindToken          // a granular access token
	KindPublisher      // issued in exchange for a trusted publisher's identity token
	KindForeign        // an older token of the host's own: the rule foreign-reads-only lets it only read

	kinds // how many there are
)

var kindWords = words.List{KindUnknown: "unknown", KindSession: "session", KindToken: "token", KindPublisher: "publisher", KindForeign: "foreign"}

// String returns the kind's text: unknown, session, token, publisher or foreign.
func (k Kind) String() string { return kindWords.Text(uint8(k), "Kind") }

// MarshalText returns the kind's text, or an error for a number that is no kind.
func (k Kind) MarshalText() ([]byte, error) { return kindWords.Marshal(uint8(k), "Kind") }

// UnmarshalText reads a kind's text. Any other text is an error.
func (k *Kind) UnmarshalText(text []byte) error {
	v, err := kindWords.Parse(text, "kind")
	*k = Kind(v)
	return err
}

// A Credential is what the record of a presented credential says. It must not be changed after it
// was passed to a policy. It does not say whether it was revoked: a program must refuse a revoked
// credential, as it refuses an unknown one, before it calls a policy.
type Credential struct {
	ID string // public, for logs and lists
	// Name is a token's, as its creator chose it. A rule that goes by it needs another about who
	// creates a token of that name ([protocol.CreateToken], [protocol.ManageService],
	// [protocol.Change].NewToken), or is for people who can be trusted.
	Name string
	Kind Kind
	User protocol.UserID // "" for KindPublisher, which belongs to nobody
	// Package is, for KindPublisher, the package that the credential belongs to: it has the rights of its
	// grants on that one, and on no other of the same name. It is "" for all other kinds.
	Package protocol.PackageID
	// Creates is, for a KindPublisher without Package, the package that the credential creates: it publishes the
	// first version, with a grant to publish that package, and does nothing else. It is zero for all others.
	Creates Creation
	Grants  []protocol.Grant // ignored for a session, which has all rights of its user
	Bypass  bool             // bypasses the second factor where the package allows it; ignored unless Kind is KindToken
	CIDRs   []netip.Prefix   // empty means any address
	Created time.Time
	Expires time.Time // the first instant at which it is expired; zero means never for KindForeign and always for all others
}

// A Creation is a package that does not exist yet, and who is to own it. The zero Creation is of nothing.
type Creation struct {
	Package protocol.PackageName
	// Owner is the user for whom the package is created, its first owner: Facts are about what they may do.
	Owner protocol.UserID
}

// valid reports whether c has both.
func (c Creation) valid() bool { return !c.Package.IsZero() && c.Owner != "" }

// anonymous is what rules see where a request has no credential, so that no rule
// can fail on a nil one. It has no kind, no user and no grant.
var anonymous = &Credential{}

// Dead reports whether the credential has expired at now: it has at the instant Expires and later.
// At the zero time every credential has.
func (c *Credential) Dead(now time.Time) bool {
	if c.Expires.IsZero() && c.Kind == KindForeign {
		return now.IsZero()
	}
	return now.IsZero() || !now.Before(c.Expires)
}

// From reports whether addr is in the ranges of the credential. An IPv4-mapped IPv6 address
// (::ffff:192.0.2.1) counts as the IPv4 address.
func (c *Credential) From(addr netip.Addr) bool { return len(c.CIDRs) == 0 || within(c.CIDRs, addr) }

// within reports whether addr is in one of the ranges.
func within(cidrs []netip.Prefix, addr netip.Addr) bool {
	addr = addr.Unmap()
	for _, p := range cidrs {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// A reach is what a credential's grants allow on one package, before anyone asks
// what its user may do there. Each bit comes from a single grant.
type reach uint8

const (
	reaches       reach = 1 << iota // a grant covers the package
	reachRead                       // … and reads it
	reachWrite                      // … and writes it, with the verb of the action
	reachStage                      // … and stages for it
	reachCreate                     // … and writes it without naming it, so that it may be new
	reachAdmin                      // … and manages it
	reachOther                      // … and writes it, with verbs that do not say all: not the action's, or not create
	reachStageNew                   // … and stages for it without naming it, so that it may be new
)

// reach returns what c's grants allow on n to an action of that verb; the zero verb is
// every action's that has none. No grant limits a session.
func (c *Credential) reach(n protocol.PackageName, verb protocol.Verbs) reach {
	switch c.Kind {
	case KindSession:
		return reaches | reachRead | reachWrite | reachStage | reachStageNew | reachCreate | reachAdmin
	case KindToken, KindPublisher, KindForeign:
	default:
		return 0
	}
	var r reach
	for i := range c.Grants {
		g := &c.Grants[i]
		if !g.Covers(n) {
			continue
		}
		r |= reaches
		switch g.Permission {
		case protocol.ReadOnly:
			r |= reachRead
		case protocol.StageOnly:
			r |= reachRead
			switch {
			case g.Verbs != 0: // which says something that no grant can: [protocol.Grant.Validate] refuses it
			case g.Target != protocol.OnePackage:
				r |= reachStage | reachStageNew
			default:
				r |= reachStage
			}
		case protocol.ReadWrite:
			r |= reachRead | writing(g, verb)
		}
	}
	if c.Creates != (Creation{}) { // whatever its grants say, this one package and no other
		r &^= reachCreate | reachStageNew
		if c.Kind == KindPublisher && c.Creates.valid() && c.Creates.Package == n && verb == protocol.VerbPublish && r&reachWrite != 0 {
			r |= reachCreate
		}
	}
	return r
}

// writing returns what a read-write grant allows beyond reading.
func writing(g *protocol.Grant, verb protocol.Verbs) (r reach) {
	wide := g.Target != protocol.OnePackage
	if g.Verbs == 0 {
		r = reachWrite | reachStage | reachAdmin
		if wide {
			r |= reachCreate | reachStageNew
		}
		return r
	}
	if g.Verbs&verb != 0 {
		r |= reachWrite
	} else {
		r |= reachOther
	}
	if g.Verbs&protocol.VerbStage != 0 {
		r |= reachStage
	}
	switch {
	case !wide:
	case g.Verbs&protocol.VerbCreate != 0:
		r |= reachCreate
		if g.Verbs&protocol.VerbStage != 0 {
			r |= reachStageNew
		}
	default:
		r |= reachOther
	}
	return r
}
