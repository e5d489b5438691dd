package npmauth

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/policy"
)

// Wrap returns next with npmauth in front: npm's login, token and profile
// endpoints and the pages below /-/auth/ are served, and every other request
// reaches next only if it is allowed.
func (a *Auth) Wrap(next http.Handler) http.Handler {
	return a.withDeadline(func(w http.ResponseWriter, r *http.Request) {
		op, err := a.classify(r)
		switch {
		case err != nil:
			a.fail(w, r, err)
		case a.serves(op.Action):
			a.serve(w, r, op)
		default:
			a.guard(w, r, op, next)
		}
	})
}

// Handler serves npmauth's own endpoints and answers 404 to everything else. It
// is for hosts with a mux of their own: [Auth.Wrap] is this and [Auth.Guard].
func (a *Auth) Handler() http.Handler {
	return a.withDeadline(func(w http.ResponseWriter, r *http.Request) {
		op, err := a.classify(r)
		if err == nil && !a.serves(op.Action) {
			err = errNotFound
		}
		if err != nil {
			a.fail(w, r, err)
			return
		}
		a.serve(w, r, op)
	})
}

// Guard returns next behind the policy. npmauth's own endpoints are not served:
// it answers 404 to them, and they never reach next. What it answers itself is npm's
// second-factor setting of a package and GET /-/package/<pkg>/access.
func (a *Auth) Guard(next http.Handler) http.Handler {
	return a.withDeadline(func(w http.ResponseWriter, r *http.Request) {
		op, err := a.classify(r)
		if err == nil && a.serves(op.Action) {
			err = errNotFound
		}
		if err != nil {
			a.fail(w, r, err)
			return
		}
		a.guard(w, r, op, next)
	})
}

// classify reads what r asks for from its method and its path as it was sent:
// decoding is the classifier's business, and is done once.
func (a *Auth) classify(r *http.Request) (policy.Operation, error) {
	path := r.URL.EscapedPath()
	rest, ok := strings.CutPrefix(path, a.prefix)
	if !ok || !strings.HasPrefix(rest, "/") {
		// npm resolves the token exchange from the host's root, whatever the prefix.
		op, err := policy.Classify(r.Method, path)
		if err == nil && op.Action == policy.ExchangeToken {
			return op, nil
		}
		return policy.Operation{}, nil // nothing of npm's
	}
	op, err := policy.Classify(r.Method, rest)
	if err != nil {
		return policy.Operation{}, errBadPath
	}
	return op, nil
}

// guard judges one request and hands it on if it is allowed.
func (a *Auth) guard(w http.ResponseWriter, r *http.Request, op policy.Operation, next http.Handler) {
	if a.isPublic(r, op) {
		next.ServeHTTP(w, r)
		return
	}
	switch op.Action {
	case policy.Ping: // a health check must not fail for a stale token
		r = withoutCredential(r)
	case policy.WritePackument:
		a.guardDocument(w, r, op, next)
		return
	case policy.ReadAccess:
		a.endpoint(w, r, op, a.readAccess)
		return
	case policy.SetAccess, policy.WriteOrg, policy.WriteTeam, policy.WriteTeamMember, policy.GrantTeam, policy.WriteOwners:
		a.guardAccess(w, r, op, next)
		return
	}
	p, err := a.admit(r, op)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	a.pass(w, r, p, next)
}

// pass hands a request on that was allowed. What comes back depends on who asked, which
// a cache must know where the host forgets to say so: RFC 9110, section 12.5.5.
func (a *Auth) pass(w http.ResponseWriter, r *http.Request, p *pass, next http.Handler) {
	w.Header().Add("Vary", "Authorization")
	p.notify(w)
	next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), passKey{}, p)))
}

// passPublish hands on a publish, whose body is checked while the host reads it.
func (a *Auth) passPublish(w http.ResponseWriter, r *http.Request, p *pass, next http.Handler) {
	p.notify(w)
	body := newPublishReader(r.Body, p.operation.Package, p.identity.Name, a.checkTarball, nil)
	defer body.abort()
	p.operation.body = body
	r = r.WithContext(context.WithValue(r.Context(), passKey{}, p))
	r.Body = body
	out := &publishWriter{ResponseWriter: w, before: w.Header().Clone(), refused: body.refused.get, refuse: func(err error) { a.fail(w, r, err) }}
	next.ServeHTTP(out, r)
	out.finish()
}

// admit decides about one request: whoever it lets through has a pass.
func (a *Auth) admit(r *http.Request, op policy.Operation) (p *pass, err error) {
	defer a.rescue(r, func(refused error) { p, err = nil, refused })
	j := judgement{req: policy.Request{Operation: op, Addr: a.client(r)}}
	if j.act, err = a.prepare(r.Context(), r.Header, &j.req); err != nil {
		return nil, err
	}
	return a.admitJudged(r, j, nil)
}

// admitJudged decides about a request of which everything is known but the proof.
func (a *Auth) admitJudged(r *http.Request, j judgement, changes *Changes) (*pass, error) {
	d, err := a.decide(r.Context(), j)
	if err == nil && d.Effect == policy.Challenge {
		err = a.prove(r, j)
	}
	if err != nil {
		return nil, err
	}
	notice := ""
	if j.req.Operation.Action.Write() {
		notice = a.expiryNotice(r.Context(), j.act, j.req.Now)
	}
	a.passed(r.Context(), j)
	return &pass{identity: j.act.identity(), notice: notice, operation: Operation{
		Operation: j.req.Operation, PackageID: j.req.Package.ID, OrgID: j.req.Org.ID, changes: changes,
	}}, nil
}

// isPublic asks the host whether a request is none of npm's. It cannot say so of a
// write to a package.
func (a *Auth) isPublic(r *http.Request, op policy.Operation) bool {
	if op.Action != policy.Unknown && op.Action != policy.ReadPackument {
		return false
	}
	return a.public != nil && !strings.HasPrefix(r.URL.Path, a.prefix+"/-/") && a.public(r)
}

// passed tells of an allowed write and remembers that the token was used.
func (a *Auth) passed(ctx context.Context, j judgement) {
	op := j.req.Operation
	a.touch(j)
	if !op.Action.Write() {
		return
	}
	e := audit.Event{Type: audit.Access, Outcome: audit.Done, Addr: j.req.Addr, Action: op.Action, Package: op.Package}
	if j.act.cred != nil {
		e.User, e.Credential = j.act.cred.User, j.act.cred.ID
	}
	a.record(ctx, e)
}

// withoutCredential returns r as the anonymous would send it.
func withoutCredential(r *http.Request) *http.Request {
	if len(r.Header["Authorization"]) == 0 {
		return r
	}
	r = r.Clone(r.Context())
	delete(r.Header, "Authorization")
	return r
}

// RedactPath returns an escaped path fit for a log: the two paths in which npm
// sends a token, and the ids of pages and polls, end in [redacted]. Escapes in what
// comes before do not hide it.
func RedactPath(path string) string {
	plain, err := url.PathUnescape(path)
	if err != nil {
		plain = path
	}
	for _, secret := range []string{"/-/user/token/", "/-/npm/v1/tokens/token/", "/-/auth/"} {
		if i := strings.Index(plain, secret); i >= 0 {
			return (&url.URL{Path: plain[:i+len(secret)]}).EscapedPath() + "[redacted]"
		}
	}
	return path
}
