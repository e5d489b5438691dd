package api

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/internal/authz"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/trust"
	"github.com/npmauth/npmauth/wire"
)

// The answers to an exchange that fails. What npm prints is a notice, not the body. One sentence serves for
// a package that does not exist, one without trusted publishers and one whose publishers do not match.
var (
	errNoIDToken = &wire.Error{Status: http.StatusBadRequest, Code: "no-id-token", Sentence: "OIDC token exchange error - no ID token. Send it as the bearer token."}
	errIDToken   = &wire.Error{Status: http.StatusUnauthorized, Code: "invalid-id-token", Sentence: "OIDC token exchange error - the ID token is not valid here."}
	errUsed      = &wire.Error{Status: http.StatusUnauthorized, Code: "used-id-token", Sentence: "OIDC token exchange error - the ID token was exchanged for this package before. Each counts once."}
	errMismatch  = &wire.Error{Status: http.StatusNotFound, Code: "no-trusted-publisher", Sentence: "OIDC token exchange error - package not found. Either there is no such package or none of its trusted publishers matches this job."}
)

// exchange answers POST /-/npm/v1/oidc/token/exchange/package/<pkg>: it exchanges the ID token of a CI
// job, which is the bearer token, for a token that publishes the package. Any body is ignored.
func (a *API) exchange(w http.ResponseWriter, r *http.Request, op protocol.Operation) {
	answer(func(a *API, r *http.Request, op protocol.Operation) (reply, error) {
		rep, err := a.exchanged(r, op)
		if err != nil {
			err = a.Unclear(r, op.Action, err)
			no := *authz.Answer(err)
			w.Header().Set("Npm-Notice", no.Sentence+" npm goes on with a token if it has one.") // of the body npm prints nothing
			if no.Status < 500 {                                                                 // an outage is logged as it is
				no.Nested = true
				err = &no
			}
		}
		return rep, err
	})(a, w, r, op)
}

func (a *API) exchanged(r *http.Request, op protocol.Operation) (reply, error) {
	ctx, q := r.Context(), a.NewRequest(r, op)
	refused := func(err error) (reply, error) { return reply{}, a.Conclude(ctx, q, err) }
	if err := a.Offered(q); err != nil {
		return refused(err)
	}
	text, err := wire.Bearer(r.Header)
	switch {
	case err != nil:
		return refused(err)
	case text == "":
		return refused(errNoIDToken)
	}
	id, err := a.verifyIDToken(ctx, text)
	if errors.Is(err, trust.ErrInvalidToken) {
		a.recordExchange(ctx, q, errIDToken, map[string]string{"problem": err.Error()})
		err = errIDToken
	}
	if err != nil {
		return refused(err)
	}
	d, err := a.Filter(r, q)
	if err != nil {
		return reply{}, inOneWay(err)
	}
	var secret credential.Secret
	var made trust.Token
	var compared []trust.Comparison
	var contested bool
	err = a.Commit(r, q, d, trustKeys(q), func(ctx context.Context, tx *store.Tx, q *authz.Request) (err error) {
		compared, contested = nil, false
		// The organization is asked for whether there is a package or not: neither its answer, nor its outage, nor the time that
		// it takes tells who may not know which it is.
		pkg, err := a.TrustPackage(ctx, q)
		switch {
		case err != nil:
			return err
		case pkg.ID == "":
			secret, made, err = a.Trust.ExchangePendingTx(ctx, tx, q.Actor.By(q.Addr), op.Package, id, func(ctx context.Context, user protocol.UserID) (bool, error) {
				return a.StillPends(ctx, tx, q, user)
			})
		default:
			secret, made, err = a.Trust.ExchangeTx(ctx, tx, q.Actor.By(q.Addr), pkg, id)
		}
		if mismatch, ok := errors.AsType[*trust.MismatchError](err); ok {
			compared, err = mismatch.Comparisons, errMismatch
		}
		switch {
		case errors.Is(err, trust.ErrContested):
			contested, err = true, errMismatch
		case errors.Is(err, trust.ErrUsed):
			err = errUsed
		case errors.Is(err, trust.ErrInvalidToken): // it has expired meanwhile
			err = errIDToken
		}
		return err
	})
	if err != nil {
		if why, ok := errors.AsType[*wire.Error](err); ok {
			detail := differences(id, compared)
			if contested {
				detail["problem"] = trust.ErrContested.Error()
			}
			a.recordExchange(ctx, q, why, detail)
		}
		return reply{}, inOneWay(err)
	}
	return reply{status: http.StatusCreated, body: map[string]any{
		"token_type": "oidc", "token": secret.Reveal(), "created": made.Created, "expires": made.Expires,
	}}, nil
}

// inOneWay returns err, and for every refusal by a rule what is answered when nothing matches: of a package
// that an anonymous may not see nobody hears.
func inOneWay(err error) error {
	if _, ok := errors.AsType[*host.DeniedError](err); ok {
		return errMismatch
	}
	return err
}

func (a *API) verifyIDToken(ctx context.Context, text string) (trust.IDToken, error) {
	return authz.Call(ctx, func() (trust.IDToken, error) {
		return a.IDTokens.Verify(ctx, credential.NewSecret(text), a.Now())
	})
}

// recordExchange tells the operator why an ID token was refused.
func (a *API) recordExchange(ctx context.Context, q *authz.Request, why *wire.Error, detail map[string]string) {
	a.Events.Record(ctx, audit.Event{
		Type: audit.TrustExchanged, Outcome: audit.Denied, Action: q.Operation.Action, Package: q.Operation.Package, Addr: q.Addr,
		Reasons: []string{why.Code}, Detail: detail,
	})
}

// differences says of which job an ID token is, and in what it differs from each publisher.
func differences(id trust.IDToken, compared []trust.Comparison) map[string]string {
	detail := trust.RunOf(id)
	if detail == nil {
		detail = map[string]string{}
	}
	detail["issuer"] = id.Issuer.URL
	for _, c := range compared {
		var all []string
		for _, d := range c.Differences {
			all = append(all, d.String())
		}
		detail["publisher "+c.Record.ID] = strings.Join(all, "; ")
	}
	return detail
}

// A trustCheck is what POST /-/auth/v1/trust/<pkg>/check answers.
type trustCheck struct {
	Problem    string           `json:"problem,omitempty"` // why the ID token is not valid; claims are compared all the same
	Used       bool             `json:"used"`              // it was exchanged for this package
	Publishers []comparedRecord `json:"publishers"`
}

type comparedRecord struct {
	Publisher   trustedPublisher   `json:"publisher"`
	Matches     bool               `json:"matches"`
	Differences []trust.Difference `json:"differences"`
}

var errCheckBody = &wire.Error{Status: http.StatusBadRequest, Code: "bad-check", Sentence: "Send id_token, the ID token of a job, or claims, an object of its claims with iss among them."}

// checkTrust answers POST /-/auth/v1/trust/<pkg>/check: for each trusted publisher of the package in which
// claims it differs from an ID token, or from claims, and whether the token is valid. It exchanges
// nothing.
func (a *API) checkTrust(r *http.Request, op protocol.Operation) (reply, error) {
	var body struct {
		IDToken *string         `json:"id_token"`
		Claims  json.RawMessage `json:"claims"`
	}
	q, d, err := a.Check(r, op, nil)
	if err != nil {
		return reply{}, err
	}
	err = wire.Decode(r, &body)
	if err == nil && (body.IDToken == nil) == (body.Claims == nil) {
		err = errCheckBody
	}
	if err != nil {
		return reply{}, a.Conclude(r.Context(), q, err)
	}
	var check trustCheck
	id, err := a.toCheck(r.Context(), body.IDToken, body.Claims, &check.Problem)
	if err != nil {
		return reply{}, a.Conclude(r.Context(), q, err)
	}
	err = a.Commit(r, q, d, nil, func(ctx context.Context, tx *store.Tx, q *authz.Request) error {
		compared, err := a.compare(ctx, tx, q, id)
		if err != nil {
			return err
		}
		check.Publishers = []comparedRecord{}
		for _, c := range compared {
			check.Publishers = append(check.Publishers, comparedRecord{shownPublishers([]trust.Record{c.Record})[0], len(c.Differences) == 0, append([]trust.Difference{}, c.Differences...)})
		}
		check.Used, err = a.Trust.Used(ctx, tx, trust.Package{ID: q.Package.ID, Name: op.Package}, id)
		return err
	})
	if err != nil {
		return reply{}, err
	}
	return ok(check), nil
}

// compare compares an ID token with the publishers of the package that q is about and of its scope, or with what its sender has
// pending for a name that has none.
func (a *API) compare(ctx context.Context, tx *store.Tx, q *authz.Request, id trust.IDToken) ([]trust.Comparison, error) {
	if q.Package.ID == "" {
		return a.Trust.CheckPendingTokens(ctx, tx, q.Operation.Package, q.Account.ID, id)
	}
	pkg, err := a.TrustPackage(ctx, q)
	if err != nil {
		return nil, err
	}
	return a.Trust.Check(ctx, tx, pkg, id)
}

// toCheck returns what is compared: an ID token, or claims. Problem is set to why a token is not valid.
func (a *API) toCheck(ctx context.Context, token *string, claims json.RawMessage, problem *string) (trust.IDToken, error) {
	if token == nil {
		return a.unverified(claims)
	}
	id, err := a.verifyIDToken(ctx, *token)
	if errors.Is(err, trust.ErrInvalidToken) {
		*problem = err.Error()
		return a.unverified(payloadOf(*token))
	}
	return id, err
}

// payloadOf returns the claims of an ID token, nil if it has none.
func payloadOf(token string) json.RawMessage {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil
	}
	return payload
}

// unverified returns an ID token with claims that nobody has signed, to compare and not to exchange.
func (a *API) unverified(claims json.RawMessage) (trust.IDToken, error) {
	parsed, err := trust.ParseClaims(claims)
	if err != nil {
		return trust.IDToken{}, errCheckBody
	}
	url, _ := parsed.Text("iss")
	for _, issuer := range a.Trust.Issuers() {
		if issuer.URL == url {
			id, _ := parsed.Text("jti")
			return trust.IDToken{Issuer: issuer, ID: cmp.Or(id, "unknown"), Claims: parsed, Until: a.Now().Add(time.Minute)}, nil
		}
	}
	return trust.IDToken{}, errUnknownIssuer
}

var errUnknownIssuer = &wire.Error{Status: http.StatusBadRequest, Code: "unknown-issuer", Sentence: "This registry does not accept ID tokens of that issuer (iss)."}
