package npmauth

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/token"
)

var errNoService = &Error{http.StatusNotFound, "no-such-service", "There is no such service account or you do not administer it."}

// serviceOf returns the service account that an operation names, and the key of one of
// its tokens, if it names one.
func serviceOf(op policy.Operation) (name, key string) {
	name, key, _ = strings.Cut(op.Name, ":")
	return name, key
}

// administered asks the host who the service account called name is, and whether admin
// administers it. Nobody and a person are the zero User.
func (a *Auth) administered(ctx context.Context, admin policy.UserID, name string) (User, bool, error) {
	if a.services == nil || admin == "" || name == "" {
		return User{}, false, nil
	}
	user, administers, err := a.services.Administers(ctx, admin, name)
	switch {
	case errors.Is(err, ErrNoUser):
		return User{}, false, nil
	case err != nil:
		return User{}, false, err
	case user.ID == "" || !user.Service:
		return User{}, false, nil
	}
	return user, administers, nil
}

// consultService asks the host about the service account of req.
func (a *Auth) consultService(ctx context.Context, req *policy.Request) (err error) {
	name, _ := serviceOf(req.Operation)
	_, req.Administers, err = a.administered(ctx, req.Account.ID, name)
	return err
}

// service returns the service account that a judgement is about. It asks again, since a
// judgement holds no host's answer: should the name be another account's by now, it must
// be one of which the same is true.
func (a *Auth) service(r *http.Request, j judgement) (User, error) {
	name, _ := serviceOf(j.req.Operation)
	user, administers, err := a.administered(r.Context(), j.act.cred.User, name)
	if err == nil && (user.ID == "" || administers != j.req.Administers) {
		err = errNoService
	}
	return user, err
}

// listServiceTokens answers GET /-/auth/v1/services/<name>/tokens, as listTokens.
func (a *Auth) listServiceTokens(r *http.Request, op policy.Operation) (reply, error) {
	j, d, err := a.judge(r, op, policy.NewToken{})
	if err == nil && d.Effect != policy.Allow {
		err = a.denied(r.Context(), j, d)
	}
	if err != nil {
		return reply{}, err
	}
	user, err := a.service(r, j)
	if err != nil {
		return reply{}, err
	}
	return a.tokenPage(r, user.ID, "-/auth/v1/services/"+url.PathEscape(op.Name)+"/tokens")
}

// createServiceToken answers POST /-/auth/v1/services/<name>/tokens, whose body is that of
// POST /-/npm/v1/tokens: in a session of an administrator, with their password and their
// second factor. The token is the service account's.
func (a *Auth) createServiceToken(r *http.Request, op policy.Operation) (reply, error) {
	var body tokenRequest
	if err := decode(r, &body); err != nil {
		return reply{}, err
	}
	spec, err := body.spec()
	if err != nil {
		return reply{}, err
	}
	j, d, err := a.judge(r, op, asked(spec))
	if err != nil {
		return reply{}, err
	}
	user, err := a.service(r, j)
	if err != nil {
		return reply{}, err
	}
	spec.User, spec.Service, spec.CreatedBy = user.ID, true, j.act.cred.ID
	if err := a.tokens.Validate(spec); err != nil {
		return reply{}, err
	}
	return a.mint(r, j, d, body.Password, func(spend spending) (credential.Secret, token.Token, error) {
		return a.tokens.Create(r.Context(), spec, spend)
	})
}

// rotateServiceToken answers POST /-/auth/v1/services/<name>/tokens/<key>/rotate, as
// rotateToken.
func (a *Auth) rotateServiceToken(r *http.Request, op policy.Operation) (reply, error) {
	var body rotateRequest
	if err := decode(r, &body); err != nil {
		return reply{}, err
	}
	_, key := serviceOf(op)
	rotation, err := body.rotation(key)
	if err != nil {
		return reply{}, err
	}
	// Judged twice, as rotateToken does.
	j, _, err := a.judge(r, op, policy.NewToken{})
	if err != nil {
		return reply{}, err
	}
	user, err := a.service(r, j)
	if err != nil {
		return reply{}, err
	}
	rotation.User, rotation.Service, rotation.CreatedBy = user.ID, true, j.act.cred.ID
	old, err := a.tokens.Get(r.Context(), rotation.User, rotation.ID)
	if err != nil {
		return reply{}, err
	}
	j, d, err := a.judge(r, op, again(old))
	if err != nil {
		return reply{}, err
	}
	return a.mint(r, j, d, body.Password, func(spend spending) (credential.Secret, token.Token, error) {
		return a.tokens.Rotate(r.Context(), rotation, spend)
	})
}

// revokeServiceToken answers DELETE /-/auth/v1/services/<name>/tokens/<key>.
func (a *Auth) revokeServiceToken(r *http.Request, op policy.Operation) (reply, error) {
	j, d, err := a.judge(r, op, policy.NewToken{})
	if err != nil {
		return reply{}, err
	}
	user, err := a.service(r, j)
	if err != nil {
		return reply{}, err
	}
	_, key := serviceOf(op)
	if _, err := a.tokens.Get(r.Context(), user.ID, key); err != nil {
		return reply{}, err
	}
	if d.Effect == policy.Challenge {
		if err := a.prove(r, j); err != nil {
			return reply{}, err
		}
	}
	if err := a.tokens.Revoke(r.Context(), user.ID, key); err != nil {
		return reply{}, err
	}
	a.record(r.Context(), audit.Event{
		Type: audit.TokenRevoked, Outcome: audit.Done, User: user.ID, Credential: key, Addr: j.req.Addr,
		Detail: map[string]string{"by": j.act.cred.ID, "administrator": string(j.act.cred.User)},
	})
	return reply{}, nil
}
