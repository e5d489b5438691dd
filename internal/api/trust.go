package api

import (
	"context"
	"encoding/json"
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

// trustKeys returns the key of the row that has the trusted publishers of the package that q is about, or those that are
// pending for its name while there is none.
func trustKeys(q *authz.Request) []string {
	if q.Package.ID == "" {
		return []string{trust.PendingKey(q.Operation.Package)}
	}
	return []string{trust.PublishersKey(q.Package.ID)}
}

// listTrust answers GET /-/package/<pkg>/trust: the trusted publishers of a package, oldest first, or what who asks has
// pending for a name that has none. As npm has it, it takes a second factor.
func (a *API) listTrust(r *http.Request, op protocol.Operation) (reply, error) {
	q, d, err := a.Check(r, op, nil)
	if err != nil {
		return reply{}, err
	}
	list := []trustedPublisher{}
	err = a.Commit(r, q, d, trustKeys(q), func(ctx context.Context, tx *store.Tx, q *authz.Request) error {
		if q.Package.ID == "" {
			pending, err := a.Trust.PendingOf(ctx, tx, op.Package, q.Account.ID)
			list = shownPending(pending)
			return err
		}
		records, err := a.Trust.Publishers(ctx, tx, q.Package.ID)
		list = shownPublishers(records)
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
	expires time.Time // of one that is pending; zero: it is not
}

// MarshalJSON writes the publisher, with created_at besides, and pending and expires_at of one that is.
func (p trustedPublisher) MarshalJSON() ([]byte, error) {
	object, err := json.Marshal(p.Publisher)
	if err != nil {
		return nil, err
	}
	object = fmt.Appendf(object[:len(object)-1], ",\"created_at\":%q", p.created.UTC().Format(time.RFC3339Nano))
	if !p.expires.IsZero() {
		object = fmt.Appendf(object, ",\"pending\":true,\"expires_at\":%q", p.expires.UTC().Format(time.RFC3339Nano))
	}
	return append(object, '}'), nil
}

func shownPublishers(records []trust.Record) []trustedPublisher {
	list := make([]trustedPublisher, len(records))
	for i, r := range records {
		list[i] = trustedPublisher{Publisher: r.Publisher, created: r.Created}
	}
	return list
}

func shownPending(pending []trust.Pending) []trustedPublisher {
	list := make([]trustedPublisher, len(pending))
	for i, p := range pending {
		list[i] = trustedPublisher{p.Publisher, p.Created, p.Expires}
	}
	return list
}

// writeTrust answers POST /-/package/<pkg>/trust, which adds a trusted publisher, and DELETE
// /-/package/<pkg>/trust/<id>, which removes one. The tokens that its jobs have end with it. While the name has no
// package what is added is pending, and who has added it removes it.
func (a *API) writeTrust(r *http.Request, op protocol.Operation) (reply, error) {
	if op.ID != "" {
		return a.removeTrust(r, op)
	}
	q, d, err := a.Check(r, op, nil) // about the package that there is before the body comes
	if err != nil {
		return reply{}, err
	}
	p, err := a.readPublisher(r, q.Package.ID == "")
	if err == nil {
		q.Change = &protocol.Change{Publisher: p.Fields()}
		d, err = a.Decide(q)
	}
	if err != nil {
		return reply{}, a.Conclude(r.Context(), q, err)
	}
	var shown []trustedPublisher
	err = a.Commit(r, q, d, trustKeys(q), func(ctx context.Context, tx *store.Tx, q *authz.Request) error {
		if q.Package.ID == "" {
			added, err := a.Trust.AddPendingTx(ctx, tx, q.Actor.By(q.Addr), op.Package, p)
			shown = shownPending([]trust.Pending{added})
			return err
		}
		added, err := a.Trust.AddTx(ctx, tx, q.Actor.By(q.Addr), trust.Package{ID: q.Package.ID, Name: op.Package}, p)
		shown = shownPublishers([]trust.Record{added})
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

func (a *API) removeTrust(r *http.Request, op protocol.Operation) (reply, error) {
	q, d, err := a.Check(r, op, &protocol.Change{Removes: true})
	if err != nil {
		return reply{}, err
	}
	if !credential.IsID(op.ID) {
		return reply{}, a.Conclude(r.Context(), q, errTrustID)
	}
	err = a.Commit(r, q, d, trustKeys(q), func(ctx context.Context, tx *store.Tx, q *authz.Request) error {
		if q.Package.ID == "" {
			return a.Trust.RemovePendingTx(ctx, tx, q.Actor.By(q.Addr), op.Package, op.ID)
		}
		return a.Trust.RemoveTx(ctx, tx, q.Actor.By(q.Addr), trust.Package{ID: q.Package.ID, Name: op.Package}, op.ID)
	})
	if err != nil {
		return reply{}, err
	}
	var rep reply
	rep.notice(a.FactorNotice(q))
	return rep, nil
}
