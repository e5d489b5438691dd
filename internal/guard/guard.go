// Package guard hands a host the requests that are allowed, and nothing else:
//
//	g := &guard.Guard{Authorizer: a, ReadAccess: …}
//	handler := g.LimitBodies(func(w http.ResponseWriter, r *http.Request) {
//		op, err := g.Classify(r)
//		…
//		g.Serve(w, r, op, next)
//	})
//
// It reads what the requests of npm say in their bodies before the host does, so that package authz
// decides about all that they would do. The end of a publish is withheld from the host until
// the final decision.
package guard

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/npmauth/npmauth/internal/authz"
	"github.com/npmauth/npmauth/internal/budget"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/wire"
)

var (
	errBadPath     = &wire.Error{Status: http.StatusBadRequest, Code: "bad-path", Sentence: "This is not a path of the npm registry protocol."}
	errBodyTimeout = &wire.Error{Status: http.StatusRequestTimeout, Code: "body-timeout", Sentence: "The upload stalled or was too slow. Run the command again."}
)

// A Guard lets the requests to a host through that are allowed.
type Guard struct {
	*authz.Authorizer
	Public       func(*http.Request) bool // requests that bypass authorization; nil: none
	CheckTarball bool                     // of each publish
	BodyTimeout  time.Duration            // for which a body may stand still; zero: 30 seconds
	BodyRate     int                      // bytes a second that a body must bring; zero: 1024
	BodyGrace    time.Duration            // for which it may bring fewer; zero: a minute
	Memory       *budget.Budget           // for bodies that are kept
	ReadAccess   func(http.ResponseWriter, *http.Request, protocol.Operation)

	misplaced sync.Once
}

// Classify reads what r asks for from its method and its path as it was sent:
// decoding is the classifier's business, and is done once.
func (a *Guard) Classify(r *http.Request) (protocol.Operation, error) {
	path, ok := a.Path(r)
	if !ok {
		// npm resolves the token exchange from the host's root, whatever the prefix.
		op, err := protocol.Classify(r.Method, r.URL.EscapedPath())
		if err == nil && op.Action == protocol.ExchangeToken {
			return op, nil
		}
		return protocol.Operation{}, nil // nothing of npm's
	}
	op, err := protocol.Classify(r.Method, path)
	if err != nil {
		return protocol.Operation{}, errBadPath
	}
	return op, nil
}

// Misplaced logs, once, that r, which was classified as op, is not below the prefix, if it could
// be npm's: then probably none is, and nothing else says why all are answered 404.
func (a *Guard) Misplaced(r *http.Request, op protocol.Operation) {
	if op.Action != protocol.Unknown {
		return
	}
	if _, ok := a.Path(r); ok {
		return
	}
	switch op, err := protocol.Classify(r.Method, r.URL.EscapedPath()); {
	case err != nil, op.Action == protocol.Unknown, op.Action == protocol.ExchangeToken:
		return
	}
	a.misplaced.Do(func() {
		a.Log.WarnContext(r.Context(), "npmauth: a request that is not below the path of Config.BaseURL is answered 404 (logged once): "+
			"a proxy must not remove that path, and http.StripPrefix must remove all of it or nothing",
			"method", r.Method, "path", wire.RedactPath(r.URL.EscapedPath()), "base", a.Base.String())
	})
}

// Serve authorizes one request and hands it on if it is allowed.
func (a *Guard) Serve(w http.ResponseWriter, r *http.Request, op protocol.Operation, next http.Handler) {
	switch public, err := a.isPublic(r, op); {
	case err != nil:
		a.Fail(w, r, err)
		return
	case public:
		next.ServeHTTP(w, withoutOTP(r))
		return
	}
	a.Misplaced(r, op)
	// A write that is in none of these cases goes on by its path. If it has a body, that is
	// opaque: the page shows its SHA-256, and so does the host's Change.
	switch {
	case op.Action == protocol.Ping: // a health check must not fail for a stale token
		r = withoutCredential(r)
	case op.Action == protocol.WritePackument:
		a.guardDocument(w, r, op, next)
		return
	case op.Action == protocol.ReadAccess:
		a.ReadAccess(w, r, op)
		return
	case wire.ReadsChange(op.Action):
		a.guardBody(w, r, op, next)
		return
	case op.Action == protocol.Stage:
		a.guardStage(w, r, op, next)
		return
	case op.Action == protocol.ReadStaged, op.Action == protocol.ApproveStaged, op.Action == protocol.RejectStaged:
		a.guardStaged(w, r, op, next)
		return
	}
	p, err := a.admit(w, r, op)
	if err != nil {
		a.Fail(w, r, err)
		return
	}
	a.pass(w, r, p, next)
}

// pass hands a request on that was allowed.
func (a *Guard) pass(w http.ResponseWriter, r *http.Request, p *authz.Pass, next http.Handler) {
	p.Varies(w.Header())
	p.Notify(w)
	next.ServeHTTP(w, withoutOTP(r.WithContext(p)))
}

// passPublish hands on a publish, whose body is checked while the host reads it, and which
// is decided on once more before the end of its document is let go.
func (a *Guard) passPublish(w http.ResponseWriter, r *http.Request, p *authz.Pass, body *publishReader, next http.Handler) {
	a.passBody(w, r, p, body, next, func(context.Context, *store.Tx, *authz.Request) error { return nil })
}

// passBody is passPublish for a commit that writes something besides.
func (a *Guard) passBody(w http.ResponseWriter, r *http.Request, p *authz.Pass, body *publishReader, next http.Handler, write authz.Write) {
	p.Varies(w.Header())
	p.Notify(w)
	q := p.Request
	body.Authorize = func(c protocol.Change) error {
		q.Change, q.Limit = &c, hostTime
		if err := changesVisibility(&q.Request); err != nil {
			return a.Conclude(r.Context(), q, err)
		}
		return a.Commit(r, q, policy.Decision{Effect: policy.Allow}, nil, func(ctx context.Context, tx *store.Tx, q *authz.Request) error {
			if err := changesVisibility(&q.Request); err != nil { // as the host says now: the body took its time
				return err
			}
			return write(ctx, tx, q)
		})
	}
	body.Refused = func(err error) {
		if c := body.Publish(); c.Version != "" { // as far as it is known and a name, for the event
			maps.DeleteFunc(c.Tags, func(_, to string) bool { return to != c.Version })
			q.Change = &c
		}
		_ = a.Conclude(r.Context(), q, err)
	}
	defer body.Abort(nil)
	out := &publishWriter{ResponseWriter: w, before: w.Header().Clone(), refused: body.Err, refuse: func(err error) { a.Fail(w, r, err) }}
	theirs := withoutOTP(r.WithContext(p)) // of ours the final decision takes the second factor
	theirs.Body = body
	next.ServeHTTP(out, theirs)
	out.finish()
	body.Abort(authz.ErrUnread)
}

// hostTime bounds the decision that is made while a host reads a body: the host may hold
// something that its own answer waits for. To wait for other requests of the user is no part
// of it.
const hostTime = 5 * time.Second

// admit decides about one request: whoever it lets through has a pass. Its body, if it has
// one, has been read by then, and the host is given it anew.
func (a *Guard) admit(w http.ResponseWriter, r *http.Request, op protocol.Operation) (p *authz.Pass, err error) {
	defer a.Recover(r, func(refused error) { p, err = nil, refused })
	q := a.NewRequest(r, op)
	q.HandedOver = true
	q.Change = changeOfPath(r, op)
	d, err := a.Filter(r, q)
	q.Notify(w.Header(), err)
	if err != nil {
		return nil, err
	}
	if op.Action.Write() && hasBody(r) && wire.IsCompressed(r) {
		return nil, a.Conclude(r.Context(), q, wire.Compressed)
	}
	if op.Action == protocol.UnpublishAll {
		if err := a.checkRevision(r.Context(), q); err != nil {
			return nil, a.Conclude(r.Context(), q, err)
		}
	}
	if !op.Action.Write() || q.Change != nil {
		return a.admitJudged(r, q, d, false)
	}
	authz.BufferBody(w, r, wire.MaxBody)
	data, err := readWhole(r)
	if err != nil {
		return nil, a.Conclude(r.Context(), q, err)
	}
	switch op.Action {
	case protocol.SetDistTag:
		q.Change, err = wire.ReadDistTag(data, op)
	case protocol.Unpublish:
		q.Change, err = a.removedTarball(r.Context(), q)
	default: // which only the host understands
		q.Change = whole(op)
		q.Change.Body = fmt.Sprintf("%x", sha256.Sum256(data))
	}
	if err != nil {
		return nil, a.Conclude(r.Context(), q, err)
	}
	return a.admitJudged(r, q, d, true)
}

// changeOfPath returns what a write would do if its path says it all, nil if something is
// to be read first.
func changeOfPath(r *http.Request, op protocol.Operation) *protocol.Change {
	if !op.Action.Write() || hasBody(r) {
		return nil
	}
	return whole(op)
}

// whole returns what a write does of which the path says it all, nil for any other.
func whole(op protocol.Operation) *protocol.Change {
	switch op.Action {
	case protocol.SetDistTag, protocol.Unpublish:
		return nil
	case protocol.RemoveDistTag:
		return &protocol.Change{Tags: map[string]string{op.Tag: ""}}
	}
	return &protocol.Change{}
}

// removedTarball returns what the DELETE of a tarball does: npm sends it when the version is
// out of the document, and then it belongs to that. Where the version is still there, or
// where nobody can tell, it takes away the version.
func (a *Guard) removedTarball(ctx context.Context, q *authz.Request) (*protocol.Change, error) {
	op := q.Operation
	if a.Documents != nil && q.Package.ID != "" {
		now, err := a.present(ctx, &q.Request)
		if err != nil {
			return nil, err
		}
		if _, stays := now.Versions[op.Version]; !stays {
			return &protocol.Change{Tarballs: []string{op.Version}}, nil
		}
	}
	return &protocol.Change{Removed: []string{op.Version}}, nil
}

// checkRevision refuses to remove a package as a whole at another revision than the host's: what
// was published since its sender read it would go with it. The host checks op.Revision once more
// where it writes.
func (a *Guard) checkRevision(ctx context.Context, q *authz.Request) error {
	if a.Documents == nil || q.Package.ID == "" {
		return nil
	}
	now, err := a.present(ctx, &q.Request)
	if err != nil {
		return err
	}
	return now.CheckRevision(q.Operation.Revision)
}

// hasBody reports whether the body of r is worth reading.
func hasBody(r *http.Request) bool {
	return r.Body != nil && r.Body != http.NoBody && r.ContentLength != 0
}

// admitJudged decides about a request of which everything is known, after a first
// decision that came to d. Where something took its time since, such as the body, or where
// a second factor is spent, it is decided on once more.
func (a *Guard) admitJudged(r *http.Request, q *authz.Request, d policy.Decision, waited bool) (*authz.Pass, error) {
	if waited || d.Effect == policy.Challenge {
		if err := a.Commit(r, q, d, nil, nil); err != nil {
			return nil, err
		}
	} else if err := a.Conclude(r.Context(), q, nil); err != nil {
		return nil, err
	}
	return a.NewPass(r.Context(), q), nil
}

// isPublic asks the host whether a request is none of npm's. It cannot say so of a
// write to a package.
func (a *Guard) isPublic(r *http.Request, op protocol.Operation) (bool, error) {
	if op.Action != protocol.Unknown && op.Action != protocol.ReadPackument {
		return false, nil
	}
	// The prefix may have been removed: see Path.
	if a.Public == nil || strings.HasPrefix(r.URL.Path, "/-/") || strings.HasPrefix(r.URL.Path, a.Prefix+"/-/") {
		return false, nil
	}
	return authz.Call(r.Context(), func() (bool, error) { return a.Public(r), nil })
}

// withoutOTP returns r without its second factor, for the host. npm sends one with reads, too, so a
// host that logs what it gets, or asks another registry for what it lacks, would pass on a code that
// is still good. Its own credentials a host may need: those of Config.Foreign, and of
// Auth.Authenticate.
func withoutOTP(r *http.Request) *http.Request {
	if len(r.Header["Npm-Otp"]) == 0 {
		return r
	}
	r = r.WithContext(r.Context())
	r.Header = maps.Clone(r.Header)
	delete(r.Header, "Npm-Otp")
	return r
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
