package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/internal/authz"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/trust"
	"github.com/npmauth/npmauth/wire"
)

// trustKeys returns the keys of the rows that have the trusted publishers which q is about: those of the organization's
// scope, or of the package and of its scope, or those that are pending for its name while there is none.
func trustKeys(q *authz.Request) []string {
	op := &q.Operation
	switch {
	case op.Action.OfOrg():
		return []string{trust.ScopeKey(op.Org)}
	case q.Package.ID == "":
		return []string{trust.PendingKey(op.Package)}
	case protocol.ValidOrg(op.Package.Scope):
		return []string{trust.PublishersKey(q.Package.ID), trust.ScopeKey(op.Package.Scope)}
	}
	return []string{trust.PublishersKey(q.Package.ID)}
}

// scopeOf returns the scope of the organization that q is about.
func scopeOf(q *authz.Request) trust.Scope {
	return trust.Scope{Name: q.Operation.Org, Org: q.Org.ID}
}

// listTrust answers GET /-/package/<pkg>/trust: the trusted publishers of a package and of its scope, oldest first, or what who
// asks has pending for a name that has none. As npm has it, it takes a second factor.
func (a *API) listTrust(r *http.Request, op protocol.Operation) (reply, error) {
	return a.listPublishers(r, op, func(ctx context.Context, tx *store.Tx, q *authz.Request) ([]trustedPublisher, error) {
		if q.Package.ID == "" {
			pending, err := a.Trust.PendingOf(ctx, tx, op.Package, q.Account.ID)
			return shownPending(pending), err
		}
		pkg, err := a.TrustPackage(ctx, q)
		if err != nil {
			return nil, err
		}
		records, err := a.Trust.PublishersFor(ctx, tx, pkg)
		return shownPublishers(records), err
	})
}

// listOrgTrust answers GET /-/auth/v1/orgs/<org>/trust: the trusted publishers of all packages in the scope of an
// organization, oldest first. It takes a second factor, as listTrust does, and is not npm's.
func (a *API) listOrgTrust(r *http.Request, op protocol.Operation) (reply, error) {
	return a.listPublishers(r, op, func(ctx context.Context, tx *store.Tx, q *authz.Request) ([]trustedPublisher, error) {
		records, err := a.Trust.ScopePublishers(ctx, tx, scopeOf(q))
		return shownPublishers(records), err
	})
}

func (a *API) listPublishers(r *http.Request, op protocol.Operation, read func(context.Context, *store.Tx, *authz.Request) ([]trustedPublisher, error)) (reply, error) {
	q, d, err := a.Check(r, op, nil)
	if err != nil {
		return reply{}, err
	}
	var list []trustedPublisher
	err = a.Commit(r, q, d, trustKeys(q), func(ctx context.Context, tx *store.Tx, q *authz.Request) (err error) {
		list, err = read(ctx, tx, q)
		return err
	})
	if err != nil {
		return reply{}, err
	}
	return ok(list), nil
}

// A trustedPublisher is a record as npm trust list reads it, with when it was added.
type trustedPublisher struct {
	trust.Publisher
	created time.Time
	scope   string    // whose it is; "": it is of one package
	expires time.Time // of one that is pending; zero: it is not
}

// MarshalJSON writes the publisher, with created_at besides, the scope of one that is of a scope, and pending and expires_at of
// one that is pending.
func (p trustedPublisher) MarshalJSON() ([]byte, error) {
	object, err := json.Marshal(p.Publisher)
	if err != nil {
		return nil, err
	}
	object = fmt.Appendf(object[:len(object)-1], ",\"created_at\":%q", p.created.UTC().Format(time.RFC3339Nano))
	if p.scope != "" {
		object = fmt.Appendf(object, ",\"scope\":%q", p.scope)
	}
	if !p.expires.IsZero() {
		object = fmt.Appendf(object, ",\"pending\":true,\"expires_at\":%q", p.expires.UTC().Format(time.RFC3339Nano))
	}
	return append(object, '}'), nil
}

func shownPublishers(records []trust.Record) []trustedPublisher {
	list := make([]trustedPublisher, len(records))
	for i, r := range records {
		list[i] = trustedPublisher{Publisher: r.Publisher, created: r.Created, scope: r.Scope}
	}
	return list
}

func shownPending(pending []trust.Pending) []trustedPublisher {
	list := make([]trustedPublisher, len(pending))
	for i, p := range pending {
		list[i] = trustedPublisher{Publisher: p.Publisher, created: p.Created, expires: p.Expires}
	}
	return list
}

// writeTrust answers POST /-/package/<pkg>/trust, which adds a trusted publisher, and DELETE
// /-/package/<pkg>/trust/<id>, which removes one. The tokens that its jobs have end with it. While the name has no
// package what is added is pending, and who has added it removes it. What is of the package's scope is not removed here.
func (a *API) writeTrust(r *http.Request, op protocol.Operation) (reply, error) {
	if op.ID != "" {
		return a.removePublisher(r, op, a.removeTrust)
	}
	return a.addPublisher(r, op, func(ctx context.Context, tx *store.Tx, q *authz.Request, p trust.Publisher) ([]trustedPublisher, error) {
		if q.Package.ID == "" {
			added, err := a.Trust.AddPendingTx(ctx, tx, q.Actor.By(q.Addr), op.Package, p)
			return shownPending([]trust.Pending{added}), err
		}
		added, err := a.Trust.AddTx(ctx, tx, q.Actor.By(q.Addr), trust.Package{ID: q.Package.ID, Name: op.Package}, p)
		return shownPublishers([]trust.Record{added}), err
	})
}

func (a *API) removeTrust(ctx context.Context, tx *store.Tx, q *authz.Request) error {
	op := &q.Operation
	if q.Package.ID == "" {
		return a.Trust.RemovePendingTx(ctx, tx, q.Actor.By(q.Addr), op.Package, op.ID)
	}
	err := a.Trust.RemoveTx(ctx, tx, q.Actor.By(q.Addr), trust.Package{ID: q.Package.ID, Name: op.Package}, op.ID)
	if !errors.Is(err, trust.ErrNotFound) {
		return err
	}
	// The scope is asked for only to say where to remove it: what is the package's own is removed without its organization.
	pkg, readErr := a.TrustPackage(ctx, q)
	if readErr != nil {
		return readErr
	}
	records, readErr := a.Trust.PublishersFor(ctx, tx, pkg)
	if readErr != nil {
		return readErr
	}
	for _, r := range records {
		if r.ID == op.ID {
			return &wire.Error{
				Status: http.StatusConflict, Code: "publisher-of-scope",
				Sentence: fmt.Sprintf("This trusted publisher is of all packages in the scope @%s. Ask an owner of the organization to remove it at %s.", r.Scope, a.URL("-/auth/orgs")),
			}
		}
	}
	return err
}

// writeOrgTrust answers POST /-/auth/v1/orgs/<org>/trust, which adds a trusted publisher to all packages in the scope of an
// organization, those included that are yet to be created, and DELETE /-/auth/v1/orgs/<org>/trust/<id>, which removes one. It
// takes the owner's second factor and is not npm's.
func (a *API) writeOrgTrust(r *http.Request, op protocol.Operation) (reply, error) {
	if op.ID != "" {
		return a.removePublisher(r, op, func(ctx context.Context, tx *store.Tx, q *authz.Request) error {
			return ofScope(a.Trust.RemoveTx(ctx, tx, q.Actor.By(q.Addr), scopeOf(q), op.ID))
		})
	}
	return a.addPublisher(r, op, func(ctx context.Context, tx *store.Tx, q *authz.Request, p trust.Publisher) ([]trustedPublisher, error) {
		added, err := a.Trust.AddTx(ctx, tx, q.Actor.By(q.Addr), scopeOf(q), p)
		return shownPublishers([]trust.Record{added}), ofScope(err)
	})
}

// ofScope returns err, with a sentence about the scope in place of one about a package.
func ofScope(err error) error {
	for of, sentence := range map[error]string{
		trust.ErrDuplicate: "This trusted publisher already exists for the scope. To change it delete and re-create it.",
		trust.ErrTooMany:   "The scope has as many trusted publishers as it may have. Remove one first.",
		trust.ErrNotFound:  "The scope has no such trusted publisher.",
	} {
		if errors.Is(err, of) {
			answer := *authz.Answer(err)
			answer.Sentence = sentence
			return &answer
		}
	}
	return err
}

// addPublisher reads a trusted publisher from the body and adds it.
func (a *API) addPublisher(r *http.Request, op protocol.Operation, add func(context.Context, *store.Tx, *authz.Request, trust.Publisher) ([]trustedPublisher, error)) (reply, error) {
	q, d, err := a.Check(r, op, nil) // about the package that there is before the body comes
	if err != nil {
		return reply{}, err
	}
	p, err := a.readPublisher(r, op.Action.OfPackage() && q.Package.ID == "")
	if err == nil {
		q.Change = &protocol.Change{Publisher: p.Fields()}
		d, err = a.Decide(q)
	}
	if err != nil {
		return reply{}, a.Conclude(r.Context(), q, err)
	}
	var shown []trustedPublisher
	err = a.Commit(r, q, d, trustKeys(q), func(ctx context.Context, tx *store.Tx, q *authz.Request) (err error) {
		shown, err = add(ctx, tx, q, p)
		return err
	})
	if err != nil {
		return reply{}, err
	}
	rep := reply{status: http.StatusCreated, body: shown}
	rep.notice(a.FactorNotice(q))
	return rep, nil
}

// readPublisher reads the body of npm trust, of a publisher that is pending or of one that is not.
func (a *API) readPublisher(r *http.Request, pending bool) (trust.Publisher, error) {
	data, err := wire.ReadBody(r)
	if err != nil {
		return trust.Publisher{}, err
	}
	p, err := trust.ParsePublisher(data)
	switch {
	case err != nil:
	case pending:
		p, err = a.Trust.CheckPending(p)
	default:
		p, _, err = p.Resolve(a.Trust.Issuers())
	}
	return p, err
}

var errTrustID = &wire.Error{Status: http.StatusBadRequest, Code: "bad-id", Sentence: "The ID of a trusted publisher is a UUID: npm trust list shows it."}

// removePublisher removes the trusted publisher that op names.
func (a *API) removePublisher(r *http.Request, op protocol.Operation, remove authz.Write) (reply, error) {
	q, d, err := a.Check(r, op, &protocol.Change{Removes: true})
	if err != nil {
		return reply{}, err
	}
	if !credential.IsID(op.ID) {
		return reply{}, a.Conclude(r.Context(), q, errTrustID)
	}
	if err := a.Commit(r, q, d, trustKeys(q), remove); err != nil {
		return reply{}, err
	}
	var rep reply
	rep.notice(a.FactorNotice(q))
	return rep, nil
}
