package api

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/internal/authz"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/twofactor"
	"github.com/npmauth/npmauth/wire"
)

// setFactor begins to enrol a factor, switches its mode or turns it off, with the password
// and, where there is one, the factor.
func (a *API) setFactor(r *http.Request, q *authz.Request, d policy.Decision, mode protocol.TwoFactorMode, password string) (reply, error) {
	var answer any // null
	err := a.commitWithPassword(r, q, d, password, nil, func(ctx context.Context, tx *store.Tx, q *authz.Request) error {
		by, user := q.Actor.By(q.Addr), q.Actor.Credential.User
		if err := a.proven(q); err != nil {
			return err
		}
		uri, err := a.Factors.SetTx(ctx, tx, by, user, q.Actor.Person.Account.Name, mode)
		answer = nil
		if !uri.IsZero() {
			answer = uri.Reveal()
		} else if mode != protocol.TwoFactorOff && !oldNPM(r.UserAgent()) {
			answer = map[string]any{"mode": mode.String(), "pending": false}
		}
		return err
	})
	if errors.Is(err, twofactor.ErrNoFactor) && q.Attempt == nil {
		err = &wire.Error{Status: http.StatusBadRequest, Code: "no-factor", Sentence: "Two-factor authentication is not on."}
	}
	if err != nil {
		return reply{}, err
	}
	return ok(map[string]any{"tfa": answer}), nil
}

// confirmFactor turns a pending factor on: {"tfa":["123456"]}. Its answer is the
// only time that recovery codes are seen. The sessions that were opened without it end,
// but for the one that asks.
func (a *API) confirmFactor(r *http.Request, op protocol.Operation, code credential.Secret) (reply, error) {
	q, d, err := a.Check(r, op, &protocol.Change{Confirms: true})
	if err != nil {
		return reply{}, err
	}
	confirmation, err := a.Factors.BeginConfirm(r.Context(), q.Actor.Credential.User, code, q.Arrived)
	if err != nil {
		return reply{}, a.Conclude(r.Context(), q, err)
	}
	var recovery []credential.Secret
	err = a.Commit(r, q, d, nil, func(ctx context.Context, tx *store.Tx, q *authz.Request) (err error) {
		by := q.Actor.By(q.Addr)
		if recovery, err = confirmation.Apply(ctx, tx, by); err != nil {
			return err
		}
		return a.Sessions.KeepTx(ctx, tx, by, q.Actor.Person.Subject, q.Actor.Session(), "two-factor")
	})
	if err != nil {
		return reply{}, err
	}
	return ok(map[string]any{"tfa": credential.Reveal(recovery)}), nil
}

// oldNPM reports whether the client is npm 10 or older, which take a switched
// mode for an error unless the answer is null; newer ones unless it is not.
func oldNPM(agent string) bool {
	rest, ok := strings.CutPrefix(agent, "npm/")
	if !ok {
		return false
	}
	major, _, _ := strings.Cut(rest, ".")
	n, err := strconv.Atoi(major)
	return err == nil && n <= 10
}
