package npmauth

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/stage"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/token"
	"github.com/npmauth/npmauth/trust"
)

// transferred is the reason in the events of what Transferred ends.
const transferred = "transferred"

// Transferred must be called by a host after a package got other owners, when that is durable and before
// they are told: it ends what the former ones have set up that could still change the package. In this order
// these are
//
//   - all its trusted publishers, and with them the tokens of their jobs;
//   - each granular token that is for this package alone, whoever its user is;
//   - each challenge for an operation on it, approved ones included;
//   - each staged version, whoever has approved it.
//
// The trusted publishers of its scope stay, which are for those who administer that: see [Auth.TransferredScope].
//
// What is not committed by then is decided on once more, by what the host says now. What else former owners
// have is worth what the host says of their rights from then on: a session, and
// a token for a scope or for other packages, too, never does more than its user may do. The settings
// of the package stay, as they only forbid. So may it be that only security keys count, or that only trusted
// publishers may publish, until the new owners change it, or [Auth.SetPackage] does.
//
// pkg is the name and id the ID that the package had before and has now. One that was deleted and created
// anew has another ID, and needs none of this but for tokens, whose grants go by the name.
//
// It reads all tokens and all open challenges of the store, a page at a time, and ends each in a commit of its
// own. After an error some may have ended: call it once more, which ends the others. A call when nothing
// is left ends nothing, and is an event all the same. The settings are written anew as they are, which
// [Auth.ImportPackages] takes for settings that the package has.
func (a *Auth) Transferred(ctx context.Context, pkg protocol.PackageName, id protocol.PackageID) error {
	if id == "" {
		return ErrNoPackage
	}
	if err := pkg.Validate(); err != nil {
		return fmt.Errorf("npmauth: transferred: %w", err)
	}
	if err := a.endFor(ctx, pkg, id); err != nil {
		return fmt.Errorf("npmauth: transferred: call it once more: %w", err)
	}
	return nil
}

// endFor ends what Transferred says.
func (a *Auth) endFor(ctx context.Context, pkg protocol.PackageName, id protocol.PackageID) error {
	err := store.Transact(ctx, a.authz.Store, func(tx *store.Tx) error {
		// Every final decision about the package rests on this row. Written anew, it makes those that rest on
		// what the host said before be made once more: a former owner adds no publisher behind this call.
		s, err := a.authz.Settings.Get(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := a.authz.Settings.Set(ctx, tx, id, s); err != nil {
			return err
		}
		if _, err := a.publishers.RemoveAllTx(ctx, tx, audit.Actor{}, trust.Package{ID: id, Name: pkg}, transferred); err != nil {
			return err
		}
		return a.authz.Events.Commit(ctx, tx, audit.Event{
			Type: audit.Transferred, Outcome: audit.Done, Package: pkg, Detail: map[string]string{"package_id": string(id)},
		})
	})
	if err != nil {
		return err
	}
	if err := a.endTokens(ctx, func(g protocol.Grant) bool { return g.Target == protocol.OnePackage && g.Package == pkg }); err != nil {
		return err
	}
	if _, err = a.authz.Factors.EndChallenges(ctx, pkg, transferred); err != nil {
		return err
	}
	return a.endStaged(ctx, pkg, func(stage.Version) bool { return true })
}

// TransferredScope must be called by a host after the organization that has the name scope got other owners, and when one
// of that name was deleted or created anew, when that is durable and before the new owners are told. It ends
//
//   - all trusted publishers of the scope, and with them the tokens of their jobs;
//   - each granular token that is for the organization, for its scope or for packages in it alone, whoever its user is;
//   - each first version that is staged for a name in the scope, which belongs to no package.
//
// Without it the jobs that former owners have set up would publish every package of the scope, until a new owner removes
// them. Those of an organization that was deleted count for nothing in one of the name that has another ID, but for
// the tokens that they have by then. What belongs to a package stays: call [Auth.Transferred] for each that changed hands.
// The settings of the scope stay, as they only forbid: see [Auth.SetScope].
//
// The scope is a name without @. As for [Auth.Transferred], what is not committed by then is decided on once more, all
// tokens of the store are read and all that is staged, and after an error it is called once more.
func (a *Auth) TransferredScope(ctx context.Context, scope string) error {
	if !protocol.ValidOrg(scope) {
		return fmt.Errorf("npmauth: transferred: %q is not the name of a scope, which is without @", scope)
	}
	if err := a.endForScope(ctx, scope); err != nil {
		return fmt.Errorf("npmauth: transferred: call it once more: %w", err)
	}
	return nil
}

// endForScope ends what TransferredScope says.
func (a *Auth) endForScope(ctx context.Context, scope string) error {
	err := store.Transact(ctx, a.authz.Store, func(tx *store.Tx) error {
		// As in endFor: every final decision about the organization rests on this row.
		s, err := a.authz.Settings.Scope(ctx, tx, scope)
		if err != nil {
			return err
		}
		if err := a.authz.Settings.SetScope(ctx, tx, scope, s); err != nil {
			return err
		}
		if _, err := a.publishers.RemoveScopeTx(ctx, tx, audit.Actor{}, scope, transferred); err != nil {
			return err
		}
		return a.authz.Events.Commit(ctx, tx, audit.Event{Type: audit.ScopeTransferred, Outcome: audit.Done, Detail: map[string]string{"scope": scope}})
	})
	if err != nil {
		return err
	}
	err = a.endTokens(ctx, func(g protocol.Grant) bool {
		switch g.Target {
		case protocol.OneOrg, protocol.OneScope:
			return g.Scope == scope
		case protocol.OnePackage:
			return g.Package.Scope == scope
		}
		return false
	})
	if err != nil {
		return err
	}
	return a.endStaged(ctx, protocol.PackageName{}, func(v stage.Version) bool { return v.PackageID == "" && v.Package.Scope == scope })
}

// endTokens ends each granular token all of whose grants are about what changed hands.
func (a *Auth) endTokens(ctx context.Context, about func(protocol.Grant) bool) error {
	for tok, err := range a.authz.Tokens.Unrevoked(ctx) {
		if err != nil {
			return err
		}
		if len(tok.Grants) == 0 || slices.ContainsFunc(tok.Grants, func(g protocol.Grant) bool { return !about(g) }) {
			continue
		}
		if err := a.authz.Tokens.End(ctx, audit.Actor{}, tok.ID, transferred); err != nil && !errors.Is(err, token.ErrNotFound) {
			return err
		}
	}
	return nil
}

// endStaged ends the staged versions of a package, or with the zero name of all packages, for which ends returns true.
func (a *Auth) endStaged(ctx context.Context, pkg protocol.PackageName, ends func(stage.Version) bool) error {
	for after, more := "", true; more; more = after != "" {
		page, next, err := a.staged.List(ctx, nil, pkg, after, store.MaxLimit)
		if err != nil {
			return err
		}
		for _, v := range page {
			if !ends(v) {
				continue
			}
			err := store.Transact(ctx, a.authz.Store, func(tx *store.Tx) error {
				_, err := a.staged.RejectTx(ctx, tx, audit.Actor{}, v.ID, transferred)
				return err
			})
			if err != nil && !errors.Is(err, stage.ErrNotFound) {
				return err
			}
		}
		after = next
	}
	return nil
}
