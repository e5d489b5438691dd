package npmauth

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/internal/authz"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/settings"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
	"github.com/npmauth/npmauth/token"
	"github.com/npmauth/npmauth/trust"
	"github.com/npmauth/npmauth/twofactor"
)

// Sessions returns the manager of sessions and web logins.
func (a *Auth) Sessions() *session.Manager { return a.authz.Sessions }

// Tokens returns the manager of granular tokens. A call of it is the operator's: no policy decides
// about it, and no second factor is needed.
func (a *Auth) Tokens() *token.Manager { return a.authz.Tokens }

// Trust returns the manager of trusted publishers, nil if Config.Trust has no issuers. A call of it is the
// operator's, as one of Tokens.
func (a *Auth) Trust() *trust.Manager { return a.authz.Trust }

// Factors returns the manager of second factors.
func (a *Auth) Factors() *twofactor.Manager { return a.authz.Factors }

// Subjects returns the manager that disables accounts and revokes their credentials.
func (a *Auth) Subjects() *subject.Manager { return a.subjects }

// SetPolicy sets the policy of the decisions from now on, and with it the limits of credentials:
// sessions and tokens that exist keep their expiry. For a request that is under way, p makes the
// final decision. A policy with an error, nil included, is an error and changes nothing. The policy
// is not stored: a registry of several nodes calls SetPolicy on each.
func (a *Auth) SetPolicy(p *policy.Policy) error {
	if err := p.Err(); err != nil {
		return fmt.Errorf("npmauth: set policy: %w", err)
	}
	a.authz.SetPolicy(p)
	return nil
}

// Policy returns the present policy, from which the argument of [Auth.SetPolicy] is often made.
func (a *Auth) Policy() *policy.Policy { return a.authz.Policy() }

// People returns the directory of accounts in Config.Store: if Config.Users is nil, or a directory
// on that store. Otherwise it returns nil. This node sees changes through it at once. It sees
// changes through another directory on the same rows as late as those of another node.
func (a *Auth) People() *account.Directory {
	if a.authz.Directory == nil {
		return nil
	}
	return a.authz.Directory
}

// ErrNoPackage is returned for the settings of a package with an empty ID.
var ErrNoPackage = errors.New("npmauth: a package that does not exist has no settings")

// SetPackage changes the settings of a package, by its ID. More than [policy.MaxApprovals] are an error.
func (a *Auth) SetPackage(ctx context.Context, id protocol.PackageID, s policy.Settings) error {
	if id == "" {
		return ErrNoPackage
	}
	return store.Transact(ctx, a.authz.Store, func(tx *store.Tx) error {
		if err := a.authz.Settings.Set(ctx, tx, id, s); err != nil {
			return err
		}
		e := settings.Changed(id, s)
		e.Reasons = []string{"operator"}
		return a.authz.Events.Commit(ctx, tx, e)
	})
}

// importBatch is how many packages one commit of ImportPackages adds: each has a row, and an event
// that may be a row, too, and a commit has at most [store.MaxOps].
const importBatch = 8

// ImportPackages sets the settings of packages that existed before npmauth to those that they had:
// npmjs.com did so when it made a second factor the default. A package that has settings in the
// store keeps them, so after an interruption or an error call it with all packages once more. The
// registry may serve meanwhile. A package that is not imported, and a new one, has the zero
// [policy.Settings].
//
// Call it once, with every package, before people change settings. If an ID comes twice, the first
// settings count. An empty ID is [ErrNoPackage], and ends the import. An error can follow packages
// that were imported.
func (a *Auth) ImportPackages(ctx context.Context, packages iter.Seq2[protocol.PackageID, policy.Settings]) error {
	batch := make([]settings.Package, 0, importBatch)
	add := func() error {
		if len(batch) == 0 {
			return nil
		}
		return store.Transact(ctx, a.authz.Store, func(tx *store.Tx) error {
			added, err := a.authz.Settings.Add(ctx, tx, batch...)
			if err != nil {
				return err
			}
			for _, p := range added {
				e := settings.Changed(p.ID, p.Settings)
				e.Reasons = []string{"imported"}
				if err := a.authz.Events.Commit(ctx, tx, e); err != nil {
					return err
				}
			}
			return nil
		})
	}
	for id, s := range packages {
		if id == "" {
			return ErrNoPackage
		}
		if slices.ContainsFunc(batch, func(p settings.Package) bool { return p.ID == id }) {
			continue
		}
		if batch = append(batch, settings.Package{ID: id, Settings: s}); len(batch) < importBatch {
			continue
		}
		if err := add(); err != nil {
			return fmt.Errorf("npmauth: import packages, up to %q: %w", id, err)
		}
		batch = batch[:0]
	}
	if err := add(); err != nil {
		return fmt.Errorf("npmauth: import packages: %w", err)
	}
	return nil
}

// Package returns the settings of the package with this ID: the zero [policy.Settings] if none were
// set.
func (a *Auth) Package(ctx context.Context, id protocol.PackageID) (policy.Settings, error) {
	if id == "" {
		return policy.Settings{}, ErrNoPackage
	}
	return a.authz.Settings.Get(ctx, a.authz.Store, id)
}

// SetScope changes what holds for all packages of a scope, by its name without @: also for an
// organization of that name, whose owners may change it, too. More than [policy.MaxApprovals] are an error.
func (a *Auth) SetScope(ctx context.Context, scope string, s settings.Scope) error {
	return store.Transact(ctx, a.authz.Store, func(tx *store.Tx) error {
		if err := a.authz.Settings.SetScope(ctx, tx, scope, s); err != nil {
			return err
		}
		e := settings.ScopeChanged(scope, s)
		e.Reasons = []string{"operator"}
		return a.authz.Events.Commit(ctx, tx, e)
	})
}

// Scope returns the settings of the scope with this name: the zero [settings.Scope] if none were set.
func (a *Auth) Scope(ctx context.Context, scope string) (settings.Scope, error) {
	return a.authz.Settings.Scope(ctx, a.authz.Store, scope)
}

// ResetTwoFactor removes the second factor of an account whose user has lost it, and ends its
// sessions, in one commit. The account's tokens stay: [subject.Manager.RevokeTokens] revokes them.
// [twofactor.ErrNoFactor] means that there was no factor, and that nothing has happened.
//
// It is a recovery of the account, however well the operator knows who asked for it: from then on a
// high-impact account only reads for [policy.Limits].HighImpactHold.
func (a *Auth) ResetTwoFactor(ctx context.Context, id protocol.UserID) error {
	by := audit.Actor{}
	return store.Transact(ctx, a.authz.Store, func(tx *store.Tx) error {
		if err := a.authz.Factors.DisableTx(ctx, tx, by, id); err != nil {
			return err
		}
		return a.authz.EndSessionsTx(ctx, tx, by, id, "operator")
	})
}

// PasswordChanged must be called by a host with people of its own after each change of a password,
// when the change is durable: it ends the sessions of the user and the logins under way. A login
// whose old password was verified before, and that is not finished by then, is refused. Tokens and
// the host's own bearer tokens stay valid: subject.Manager.RevokeAll revokes all of them. The ID is
// not checked for existence; the empty one is subject.ErrNoUser. After an error it must be called
// once more. Of a password that somebody else set for its user, such as an operator, tell
// [subject.Manager.Recovered] before it is set.
//
// Package account does this itself, and so does npm profile set password where the host has
// [host.Passwords].
func (a *Auth) PasswordChanged(ctx context.Context, id protocol.UserID) error {
	return store.Transact(ctx, a.authz.Store, func(tx *store.Tx) error {
		return a.authz.EndSessionsTx(ctx, tx, audit.Actor{}, id, "password")
	})
}

// Restored must be called once after Store was restored to an earlier state, from a backup or a
// replica that lagged behind: otherwise tokens and sessions that were revoked since are valid. It
// revokes every credential of every account; people log in and create their tokens anew. Call it
// before the first request is served.
//
// It does not restore other changes since the backup, which the operator must repeat: accounts that
// were disabled are enabled, passwords and second factors are those of the backup, and recovery
// codes that were used can be used once more. So can a used code of an authenticator app, for the
// minute in which it is valid.
func (a *Auth) Restored(ctx context.Context) error {
	return a.subjects.RevokeEveryone(ctx, audit.Actor{})
}

// errNoRight is returned for a question about no right.
var errNoRight = errors.New("npmauth: TokensReaching needs a right to look for")

// TokensReaching yields every live token whose grants and whose user's present rights include the
// rights want on pkg. A grant with verbs includes [policy.RightWrite] if one of its verbs changes
// the package. It is for finding out what a leak or an intruder could have changed or read, so it
// ignores the policy and the address ranges of tokens. Every token reads a package that is not
// private; none has rights on a package that does not exist. Tokens of trusted publishers are not among
// them: [Auth.CredentialsOf] with [policy.KindPublisher] yields these.
//
// It reads all tokens, and calls Facts of Config.Packages for each user with a token whose grants
// cover the package: once, if these are not more than some thousand. A token that is created or
// revoked meanwhile may be yielded or not. An error is the last element.
func (a *Auth) TokensReaching(ctx context.Context, pkg protocol.PackageName, want policy.Rights) iter.Seq2[token.Token, error] {
	return func(yield func(token.Token, error) bool) {
		if want == 0 {
			yield(token.Token{}, errNoRight)
			return
		}
		r := a.newReach(pkg, want)
		for tok, err := range a.authz.Tokens.All(ctx) {
			var who *authz.Person
			reaches := false
			if err == nil {
				who, reaches, err = r.includes(ctx, tok.Credential())
			}
			if err != nil {
				yield(token.Token{}, err)
				return
			}
			if reaches && !who.Account.Disabled && !yield(tok, nil) {
				return
			}
		}
	}
}

// A reach finds out which credentials include rights on a package.
type reach struct {
	auth  *Auth
	pkg   protocol.PackageName
	want  policy.Rights
	users map[protocol.UserID]userFacts
}

// maxReached is how many users a reach remembers.
const maxReached = 4096

// userFacts are what a reach learned of a user.
type userFacts struct {
	who   *authz.Person // nil: nobody
	facts policy.Facts
}

func (a *Auth) newReach(pkg protocol.PackageName, want policy.Rights) *reach {
	return &reach{a, pkg, want, map[protocol.UserID]userFacts{}}
}

// includes reports whether a session or token includes the rights, apart from whether its user is
// disabled, whom it returns. The user of a trusted publisher's token is nobody.
func (r *reach) includes(ctx context.Context, cred *policy.Credential) (*authz.Person, bool, error) {
	covers := cred.Kind == policy.KindSession || slices.ContainsFunc(cred.Grants, func(g protocol.Grant) bool { return g.Covers(r.pkg) })
	if !covers && r.want != policy.RightRead { // what is public, everybody reads
		return nil, false, nil
	}
	u, err := r.user(ctx, cred.User)
	now := r.auth.authz.Now()
	if err != nil || u.who == nil || cred.Dead(now) {
		return nil, false, err
	}
	var has policy.Rights
	for _, action := range []protocol.Action{protocol.Publish, protocol.SetDistTag, protocol.Deprecate, protocol.Unpublish} { // a verb each
		req := policy.Request{
			Operation:  protocol.Operation{Action: action, Package: r.pkg},
			Credential: cred, Account: u.who.Account, Package: u.facts, Now: now,
		}
		has |= req.Rights()
	}
	return u.who, has.Has(r.want), nil
}

// user returns the facts of a user, from memory if they are there.
func (r *reach) user(ctx context.Context, id protocol.UserID) (u userFacts, err error) {
	u, ok := r.users[id]
	if ok {
		return u, nil
	}
	if id == "" { // of a trusted publisher, which needs no rights but its package's ID
		u.who = &authz.Person{}
	} else if u.who, err = r.auth.authz.PersonOf(ctx, id, r.auth.authz.Now()); err != nil && !errors.Is(err, host.ErrInvalidToken) {
		return u, err
	}
	if u.who != nil {
		if u.facts, err = r.auth.authz.Packages.Facts(ctx, r.pkg, id); err != nil {
			return u, err
		}
	}
	if len(r.users) == maxReached {
		clear(r.users)
	}
	r.users[id] = u
	return u, nil
}
