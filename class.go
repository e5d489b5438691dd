package npmauth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/token"
	"github.com/npmauth/npmauth/trust"
)

// A CredentialClass selects credentials for [Auth.RevokeClass]: the granular tokens, the sessions and
// the tokens of trusted publishers for which every field that is set holds. Those of a disabled account
// belong to it, since they work once the account is enabled. At least one field beside Kind and Rights must be
// set. The job of a trusted publisher gets another token as long as its publisher is there:
// [github.com/npmauth/npmauth/trust.Manager.Remove] ends both.
type CredentialClass struct {
	// Kind is [policy.KindToken], [policy.KindSession] or [policy.KindPublisher]. Zero means all of them.
	Kind policy.Kind

	// User is whose they are. "" means everybody's, and those of trusted publishers, which are nobody's.
	User protocol.UserID

	// Bypass selects granular tokens that publish without a second factor, and nothing else.
	Bypass bool

	// Before selects those that were created before that time, by the clock of the node that
	// created them. Zero means at any time.
	Before time.Time

	// Scope, without @, selects tokens that have a grant for the scope, for a package of it, for
	// the organization of that name or for all packages, and no session. Whether their users have
	// any rights there now does not matter, since a host does not list the packages of a scope.
	Scope string

	// Package selects those that include Rights on this package, by their grants and by the rights
	// that their users have now, as [Auth.TokensReaching] does. The token of a trusted publisher includes
	// what it may do with its package, unless another is of that name now. Nobody has rights on a package
	// that does not exist. The zero name means any.
	Package protocol.PackageName

	// Rights are those on Package. Zero means [policy.RightWrite].
	Rights policy.Rights
}

// ErrClass is returned for a [CredentialClass] that selects nothing by itself, or whose fields
// contradict each other. Nothing was revoked.
var ErrClass = errors.New("npmauth: no class of credentials")

func (c CredentialClass) validate() error {
	wrong := func(why string) error { return fmt.Errorf("%w: %s", ErrClass, why) }
	tokensOnly := c.Bypass || c.Scope != ""
	anyPackage := c.Package == protocol.PackageName{}
	switch {
	case c.Kind != policy.KindUnknown && c.Kind != policy.KindToken && c.Kind != policy.KindSession && c.Kind != policy.KindPublisher:
		return wrong(fmt.Sprintf("npmauth does not keep credentials of kind %s", c.Kind))
	case c.User == "" && c.Before.IsZero() && !tokensOnly && anyPackage:
		return wrong("set User, Bypass, Before, Scope or Package")
	case tokensOnly && c.Kind == policy.KindSession:
		return wrong("a session has no Bypass and no Scope")
	case c.Kind == policy.KindPublisher && (c.User != "" || c.Bypass):
		return wrong("the token of a trusted publisher has no User and no Bypass")
	case c.Scope != "" && !protocol.ValidOrg(c.Scope):
		return wrong(fmt.Sprintf("%q is no scope", c.Scope))
	case anyPackage && c.Rights != 0:
		return wrong("Rights need a Package")
	case !anyPackage && c.Package.Validate() != nil:
		return wrong(fmt.Sprintf("%q is no package name", c.Package))
	case c.Rights&^(policy.RightRead|policy.RightWrite|policy.RightAdmin) != 0:
		return wrong(fmt.Sprintf("unknown %v", c.Rights))
	}
	return nil
}

// CredentialsOf yields the credentials of a class, sessions before the tokens that these could create, and
// those of trusted publishers last: what [Auth.RevokeClass] would revoke. It has no secrets, and not more than
// some thousand rows in memory. Each element is its own, and its Grants and CIDRs must not be changed. It reads
// the tokens and sessions of c.User, or all of them. An error is the last element; [ErrClass] is the first.
func (a *Auth) CredentialsOf(ctx context.Context, c CredentialClass) iter.Seq2[*policy.Credential, error] {
	return func(yield func(*policy.Credential, error) bool) {
		if err := c.validate(); err != nil {
			yield(nil, err)
			return
		}
		r := a.newReach(c.Package, cmp.Or(c.Rights, policy.RightWrite))
		for cred, err := range a.unrevoked(ctx, c) {
			includes := false
			if err == nil {
				includes, err = c.includes(ctx, cred, r)
			}
			if err != nil {
				yield(nil, fmt.Errorf("npmauth: credentials of a class: %w", err))
				return
			}
			if includes && !yield(cred, nil) {
				return
			}
		}
	}
}

// unrevoked yields the credentials of c's kind and user.
func (a *Auth) unrevoked(ctx context.Context, c CredentialClass) iter.Seq2[*policy.Credential, error] {
	return func(yield func(*policy.Credential, error) bool) {
		all := c.Kind == policy.KindUnknown
		if all || c.Kind == policy.KindSession {
			for s, err := range a.authz.Sessions.Unrevoked(ctx, c.User) {
				if !yield(s.Credential(), err) || err != nil {
					return
				}
			}
		}
		if all || c.Kind == policy.KindToken {
			tokens := a.authz.Tokens.Unrevoked(ctx)
			if c.User != "" {
				tokens = a.authz.Tokens.Of(ctx, c.User)
			}
			for t, err := range tokens {
				if !yield(t.Credential(), err) || err != nil {
					return
				}
			}
		}
		if all && c.User == "" || c.Kind == policy.KindPublisher {
			for t, err := range a.publishers.Unrevoked(ctx) {
				if !yield(t.Credential(), err) || err != nil {
					return
				}
			}
		}
	}
}

// includes reports whether a credential of c's kind and user is of the class.
func (c CredentialClass) includes(ctx context.Context, cred *policy.Credential, r *reach) (bool, error) {
	switch {
	case c.Bypass && !cred.Bypass,
		!c.Before.IsZero() && !cred.Created.Before(c.Before),
		c.Scope != "" && !slices.ContainsFunc(cred.Grants, func(g protocol.Grant) bool { return names(g, c.Scope) }):
		return false, nil
	case c.Package == protocol.PackageName{}:
		return true, nil
	}
	_, includes, err := r.includes(ctx, cred)
	return includes, err
}

// names reports whether g is for a scope, or for something in it.
func names(g protocol.Grant, scope string) bool {
	switch g.Target {
	case protocol.OnePackage:
		return g.Package.Scope == scope
	case protocol.OneScope, protocol.OneOrg:
		return g.Scope == scope
	}
	return true // all packages, and what is not known
}

// RevokeClass revokes the credentials of a class, each in a commit of its own with an event of the
// operator that has the reason "bulk", calls fn after each unless it is nil, and returns how many
// there were, also together with an error. When it returns nil, no credential of the class that
// existed when it was called is valid on this node; another node sees that within Config.Fresh.
//
// After an error, call it once more with the same class: those that were revoked are not of the
// class any more. That holds for one that wraps [store.ErrUnknown], too, whose last credential may
// be revoked or not.
//
// A credential that is created while it runs may be left, and so may the one to which a token of
// the class is rotated meanwhile: call it until it returns 0, or forbid the actions that create
// credentials with [Auth.SetPolicy] first. A login that is approved and not collected is no
// credential yet: [subject.Manager.RevokeAll] ends everything of one account, such logins too, in
// one commit.
//
// It does not revoke bearer tokens of Config.Foreign, which the host must. What was imported with
// [token.Manager.ImportRevoked] is refused already.
//
// [store.ErrUnknown]: https://pkg.go.dev/github.com/npmauth/npmauth/store#ErrUnknown
func (a *Auth) RevokeClass(ctx context.Context, c CredentialClass, fn func(*policy.Credential)) (revoked int, err error) {
	if err := c.validate(); err != nil {
		return 0, err
	}
	for cred, err := range a.CredentialsOf(ctx, c) {
		if err == nil {
			err = a.revoke(ctx, cred)
		}
		switch {
		case errors.Is(err, token.ErrNotFound), errors.Is(err, session.ErrNoSession), errors.Is(err, trust.ErrNotFound):
			continue // it has ended meanwhile
		case err != nil:
			return revoked, fmt.Errorf("npmauth: %d credentials were revoked, and perhaps not all of them; run it again: %w", revoked, err)
		}
		revoked++
		if fn != nil {
			fn(cred)
		}
	}
	return revoked, nil
}

func (a *Auth) revoke(ctx context.Context, cred *policy.Credential) error {
	switch cred.Kind {
	case policy.KindSession:
		return a.authz.Sessions.End(ctx, audit.Actor{}, cred.User, cred.ID, "bulk")
	case policy.KindPublisher:
		_, err := a.publishers.RevokeToken(ctx, audit.Actor{}, cred.ID, "bulk")
		return err
	}
	return a.authz.Tokens.End(ctx, audit.Actor{}, cred.ID, "bulk")
}
