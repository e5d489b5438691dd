package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/internal/authz"
	"github.com/npmauth/npmauth/internal/strictjson"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/twofactor"
	"github.com/npmauth/npmauth/wire"
)

// readProfile answers GET /-/npm/v1/user.
func (a *API) readProfile(r *http.Request, op protocol.Operation) (reply, error) {
	j, err := a.CheckRead(r, op)
	if err != nil {
		return reply{}, err
	}
	status, err := a.Factors.Status(r.Context(), a.Store, j.Actor.Credential.User)
	if err != nil {
		return reply{}, err
	}
	var tfa any // null: none
	switch mode := j.Actor.Person.Account.TwoFactor; {
	case mode == protocol.AuthOnly || mode == protocol.AuthAndWrites:
		tfa = map[string]any{"mode": mode.String(), "pending": false}
	case status.Pending:
		tfa = map[string]any{"mode": status.PendingMode.String(), "pending": true}
	}
	user := j.Actor.Person.User
	profile, err := a.profileOf(r.Context(), user)
	if err != nil {
		return reply{}, err
	}
	body := shownProfile(user.Name, profile)
	body["tfa"] = tfa
	body["cidr_whitelist"] = nil // as npm knows it: from anywhere
	if len(j.Actor.Person.Account.CIDRs) > 0 {
		body["cidr_whitelist"] = j.Actor.Person.Account.CIDRs
	}
	if !user.Created.IsZero() {
		body["created"], body["updated"] = user.Created, user.Created
		if !profile.Updated.IsZero() {
			body["updated"] = profile.Updated
		}
	}
	return ok(body), nil
}

// shownProfile is what somebody says about themselves, as npm reads it.
func shownProfile(name string, p host.Profile) map[string]any {
	return map[string]any{
		"name": name, "email": p.Email, "email_verified": p.EmailVerified,
		"fullname": p.FullName, "homepage": p.Homepage, "freenode": p.Freenode, "twitter": p.Twitter, "github": p.GitHub,
	}
}

// writeProfile answers POST /-/npm/v1/user, behind which there are three operations.
func (a *API) writeProfile(r *http.Request, op protocol.Operation) (reply, error) {
	var body wire.ProfileRequest
	if err := decode(r, &body); err != nil {
		return reply{}, err
	}
	switch {
	case wire.IsNull(body.TFA) && !wire.IsNull(body.Password):
		op.Action = protocol.SetPassword
		return a.setPassword(r, op, body)
	case wire.IsNull(body.TFA):
		return a.setProfile(r, op, body)
	case !wire.IsNull(body.Password) || !wire.IsNull(body.Email) || !wire.IsNull(body.FullName) || !wire.IsNull(body.Homepage) ||
		!wire.IsNull(body.Freenode) || !wire.IsNull(body.Twitter) || !wire.IsNull(body.GitHub) || !wire.IsNull(body.CIDR):
		return reply{}, &wire.Error{Status: http.StatusBadRequest, Code: "bad-profile-request", Sentence: "Change two-factor authentication by itself."}
	}
	op.Action = protocol.SetTwoFactor
	if body.TFA[0] == '[' {
		return a.confirmFactor(r, op, body.TFA)
	}
	var change struct {
		Mode     string `json:"mode"`
		Password string `json:"password"`
	}
	if err := strictjson.Unmarshal(body.TFA, &change); err != nil {
		return reply{}, err
	}
	mode := protocol.TwoFactorOff
	if change.Mode != "disable" {
		if err := mode.UnmarshalText([]byte(change.Mode)); err != nil || mode != protocol.AuthOnly && mode != protocol.AuthAndWrites {
			return reply{}, &wire.Error{Status: http.StatusBadRequest, Code: "bad-mode", Sentence: "The mode must be auth-only, auth-and-writes or disable."}
		}
	}
	j, d, err := a.CheckWith(r, op, &protocol.Change{TwoFactor: mode}, func(req *policy.Request) (err error) {
		if mode == protocol.TwoFactorOff && a.Orgs != nil && req.Account.ID != "" {
			req.Account.FactorRequired, err = a.Orgs.FactorRequired(r.Context(), req.Account.ID)
		}
		return err
	})
	if err != nil {
		return reply{}, err
	}
	return a.setFactor(r, j, d, mode, change.Password)
}

// setFactor begins to enrol a factor, switches its mode or turns it off, with the password
// and, where there is one, the factor.
func (a *API) setFactor(r *http.Request, j *authz.Request, d policy.Decision, mode protocol.TwoFactorMode, password string) (reply, error) {
	var answer any // null
	err := a.commitWithPassword(r, j, d, password, nil, func(ctx context.Context, tx *store.Tx, j *authz.Request) error {
		by, user := j.Actor.By(j.Addr), j.Actor.Credential.User
		enrolled := j.Account.TwoFactor != protocol.TwoFactorOff
		switch {
		case enrolled && j.Proof == policy.NoProof: // a policy of the host's may not ask; then there is nothing to prove it by
			return authz.Denied(j, a.Policy.Decide(j.Request))
		case !enrolled && mode != protocol.TwoFactorOff:
			uri, err := a.Factors.EnrolTx(ctx, tx, by, user, j.Actor.Person.Account.Name, mode)
			answer = uri.Reveal()
			return err
		case mode == protocol.TwoFactorOff: // or to forget what was begun and not confirmed, as npm does before it begins anew
			return a.Factors.DisableTx(ctx, tx, by, user)
		}
		if !oldNPM(r.UserAgent()) {
			answer = map[string]any{"mode": mode.String(), "pending": false}
		}
		return a.Factors.SetModeTx(ctx, tx, by, user, mode)
	})
	if errors.Is(err, twofactor.ErrNoFactor) && j.Attempt == nil {
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
func (a *API) confirmFactor(r *http.Request, op protocol.Operation, raw json.RawMessage) (reply, error) {
	var codes []string
	if err := strictjson.Unmarshal(raw, &codes); err != nil {
		return reply{}, err
	}
	if len(codes) != 1 {
		return reply{}, &wire.Error{Status: http.StatusBadRequest, Code: "bad-profile-request", Sentence: "Send one code of your authenticator app."}
	}
	j, d, err := a.Check(r, op, &protocol.Change{Confirms: true})
	if err != nil {
		return reply{}, err
	}
	confirmation, err := a.Factors.BeginConfirm(r.Context(), j.Actor.Credential.User, credential.NewSecret(codes[0]), j.Arrived)
	if err != nil {
		return reply{}, a.Conclude(r.Context(), j, err)
	}
	var recovery []credential.Secret
	err = a.Commit(r, j, d, nil, func(ctx context.Context, tx *store.Tx, j *authz.Request) (err error) {
		by := j.Actor.By(j.Addr)
		if recovery, err = confirmation.Apply(ctx, tx, by); err != nil {
			return err
		}
		return a.Sessions.KeepTx(ctx, tx, by, j.Actor.Person.Subject, j.Actor.Session(), "two-factor")
	})
	if err != nil {
		return reply{}, err
	}
	shown := make([]string, len(recovery))
	for i, code := range recovery {
		shown[i] = code.Reveal()
	}
	return ok(map[string]any{"tfa": shown}), nil
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
