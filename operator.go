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
	"github.com/npmauth/npmauth/twofactor"
)

// Sessions returns the part that keeps logins.
func (a *Auth) Sessions() *session.Manager { return a.authz.Sessions }

// Tokens returns the part that keeps granular tokens. What is made through it is
// the operator's doing: no policy is asked and no second factor.
func (a *Auth) Tokens() *token.Manager { return a.authz.Tokens }

// Factors returns the part that keeps second factors.
func (a *Auth) Factors() *twofactor.Manager { return a.authz.Factors }

// Subjects returns the part that disables accounts and revokes all that they have.
func (a *Auth) Subjects() *subject.Manager { return a.subjects }

// SetPolicy sets the policy that decides from now on, and its limits: sessions and tokens that
// exist keep their expiry. A request that is under way was let in by the policy before, and its
// final decision is made by p. A policy with an error, nil among them, is refused and changes
// nothing. The policy is in no store: a registry of several nodes calls SetPolicy on each.
func (a *Auth) SetPolicy(p *policy.Policy) error {
	if err := p.Err(); err != nil {
		return fmt.Errorf("npmauth: set policy: %w", err)
	}
	a.authz.SetPolicy(p)
	return nil
}

// Policy returns the policy that decides now: what [Auth.SetPolicy] is given is often made from
// it.
func (a *Auth) Policy() *policy.Policy { return a.authz.Policy() }

// People returns the accounts that are kept in Config.Store: where [Config.Users] is nil, or
// a directory on that store. Elsewhere it is nil. What is changed
// through it is seen on this node at once; through a directory of one's own on the same rows,
// as late as what another node changes.
func (a *Auth) People() *account.Directory {
	if a.authz.Directory == nil {
		return nil
	}
	return a.authz.Directory
}

// ErrNoPackage is returned for settings of a package that has no ID.
var ErrNoPackage = errors.New("npmauth: a package that does not exist has no settings")

// SetPackage changes the settings of a package, by its ID.
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

// ImportPackages gives packages that were there before npmauth the settings that they had: npmjs.com,
// too, left existing packages as they were when it made a second factor the default. A package
// that has settings in the store is left as it is, so an import that was interrupted, or failed,
// is run again with all of them. The registry may serve meanwhile. Of a package that is not
// imported, and of a new one, the settings are the zero [policy.Settings].
//
// It must be called with every package before people change settings, once. An ID twice keeps the
// settings that came first.
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

// Package returns the settings of a package, by its ID.
func (a *Auth) Package(ctx context.Context, id protocol.PackageID) (policy.Settings, error) {
	if id == "" {
		return policy.Settings{}, ErrNoPackage
	}
	return a.authz.Settings.Get(ctx, a.authz.Store, id)
}

// ResetTwoFactor takes the second factor off an account whose owner has lost it,
// and ends its sessions, in one commit. The account's tokens stay.
// [twofactor.ErrNoFactor] means that there was no factor, and that nothing has happened.
//
// It does not hold an account that many depend on: call [subject.Manager.Recovered] as
// well where the operator only believed the owner.
func (a *Auth) ResetTwoFactor(ctx context.Context, id protocol.UserID) error {
	by := audit.Actor{}
	return store.Transact(ctx, a.authz.Store, func(tx *store.Tx) error {
		if err := a.authz.Factors.DisableTx(ctx, tx, by, id); err != nil {
			return err
		}
		return a.authz.EndSessionsTx(ctx, tx, by, id, "operator")
	})
}

// PasswordChanged must be called by a host with people of its own whenever somebody's
// password has changed, after the change is durable: it ends the sessions that were opened
// with the old one and the logins under way with it. A login that the host answered for
// with the old password, and that is not finished by then, is refused. Tokens go on, and so do
// the host's own bearers: [subject.Manager.RevokeAll] ends all of them. The ID is not checked
// for existence; the empty one is [subject.ErrNoUser]. After an error it must be called again.
//
// Package account does this itself, and so does npm profile set password where the host has
// [host.Passwords].
func (a *Auth) PasswordChanged(ctx context.Context, id protocol.UserID) error {
	return store.Transact(ctx, a.authz.Store, func(tx *store.Tx) error {
		return a.authz.EndSessionsTx(ctx, tx, audit.Actor{}, id, "password")
	})
}

// Restored must be called once after Store was put back to an earlier state, from a
// backup or a replica that lagged behind: before that, tokens and sessions that were
// revoked since would be good again. It ends every credential of every account that was
// created until now; people log in again, and tokens are made anew. Call it before
// anyone is served again.
//
// It cannot bring back what else was done since, and the operator has to look into it:
// accounts that were disabled are not, passwords and second factors are those of the
// backup, and recovery codes that were used can be used once more. A code of an
// authenticator app that was used can be again for the minute that it is valid at all.
func (a *Auth) Restored(ctx context.Context) error {
	return a.subjects.RevokeEveryone(ctx, audit.Actor{})
}

// errNoRight is returned for a question about no right.
var errNoRight = errors.New("npmauth: TokensReaching needs a right to look for")

// TokensReaching yields every live token that reaches pkg now with the rights wanted: by
// its grants, and by what its user may do there at the moment. A grant with verbs reaches
// with [policy.RightWrite] if it has one that changes the package. It is for finding out
// what a leak or an intruder could have touched, so that neither the policy is asked nor
// the addresses that a token is bound to. Everybody reads a package that is not private,
// and so does every token; nothing reaches a package that does not exist.
//
// It reads all tokens, and asks [Packages] once for each user who has one that names the
// package. A token made or ended meanwhile may be missing or not. After an error there is
// nothing more.
func (a *Auth) TokensReaching(ctx context.Context, pkg protocol.PackageName, want policy.Rights) iter.Seq2[token.Token, error] {
	return func(yield func(token.Token, error) bool) {
		if want == 0 {
			yield(token.Token{}, errNoRight)
			return
		}
		users := map[protocol.UserID]*userFacts{}
		for tok, err := range a.authz.Tokens.All(ctx) {
			reaches := false
			if err == nil {
				reaches, err = a.reaches(ctx, tok, pkg, want, users)
			}
			if err != nil {
				yield(token.Token{}, err)
				return
			}
			if reaches && !yield(tok, nil) {
				return
			}
		}
	}
}

// userFacts are what TokensReaching learned of a user.
type userFacts struct {
	who   *authz.Person // nil: nobody
	facts policy.Facts
}

// reaches reports whether a token has the rights on pkg. What it learns of a user it
// keeps in users.
func (a *Auth) reaches(ctx context.Context, tok token.Token, pkg protocol.PackageName, want policy.Rights, users map[protocol.UserID]*userFacts) (bool, error) {
	cred := tok.Credential()
	covers := slices.ContainsFunc(cred.Grants, func(g protocol.Grant) bool { return g.Covers(pkg) })
	if !covers && want != policy.RightRead { // what is public, everybody reads
		return false, nil
	}
	u := users[tok.User]
	if u == nil {
		u = &userFacts{}
		var err error
		if u.who, err = a.authz.PersonOf(ctx, tok.User, a.authz.Now()); err != nil && !errors.Is(err, host.ErrInvalidToken) {
			return false, err
		}
		if u.who != nil {
			if u.facts, err = a.authz.Packages.Facts(ctx, pkg, tok.User); err != nil {
				return false, err
			}
		}
		users[tok.User] = u
	}
	now := a.authz.Now()
	if u.who == nil || u.who.Account.Disabled || cred.Dead(now) {
		return false, nil
	}
	var has policy.Rights
	for _, action := range []protocol.Action{protocol.Publish, protocol.SetDistTag, protocol.Deprecate, protocol.Unpublish} { // a verb each
		req := policy.Request{
			Operation:  protocol.Operation{Action: action, Package: pkg},
			Credential: cred, Account: u.who.Account, Package: u.facts, Now: now,
		}
		has |= req.Rights()
	}
	return has.Has(want), nil
}
