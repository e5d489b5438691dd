package guard

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/internal/authz"
	"github.com/npmauth/npmauth/packument"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/stage"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/wire"
)

var errNoPublish = &wire.Error{Status: http.StatusBadRequest, Code: packument.CodeDocument, Sentence: "What is staged is the document of a publish, with one version and its tarball."}

// guardStage authorizes POST /-/stage/package/<pkg>, whose body is that of a publish. The commit of the
// final decision, which the host's read of the body makes, stages the version; the host keeps what it reads under
// the ID of the operation, and its answer is replaced by npm's.
func (a *Guard) guardStage(w http.ResponseWriter, r *http.Request, op protocol.Operation, next http.Handler) {
	op.ID = stage.NewID()
	p, body, err := a.admitStage(r, op)
	if err != nil {
		a.Fail(w, r, err)
		return
	}
	out := &heldWriter{ResponseWriter: w, before: w.Header().Clone()}
	staged, kept := false, false
	defer func() { // also of a host that panics
		if staged && !kept {
			a.unstage(r.Context(), op.ID)
		}
	}()
	a.passBody(out, r, p, body, next, func(ctx context.Context, tx *store.Tx, q *authz.Request) error {
		_, err := a.Stage.AddTx(ctx, tx, q.Actor.By(q.Addr), stage.Version{
			ID: op.ID, Package: op.Package, PackageID: q.Package.ID, Change: *q.Change, By: q.Actor.Stager(),
		})
		staged = err == nil
		return err
	})
	if !staged && out.done() { // it did not read the body
		out.restore()
		a.Fail(w, r, authz.ErrUnstaged)
		return
	}
	kept = out.done()
	out.answer(http.StatusCreated, map[string]string{
		"message": fmt.Sprintf("%s is staged as %s. To publish it run npm stage approve %s --registry=%s", op.Package, op.ID, op.ID, a.Base),
		"stageId": op.ID,
	})
}

// admitStage makes the first decision, and reads the beginning of the body.
func (a *Guard) admitStage(r *http.Request, op protocol.Operation) (p *authz.Pass, body *publishReader, err error) {
	defer a.Recover(r, func(refused error) { p, err = nil, refused })
	q := a.NewRequest(r, op)
	q.HandedOver = true
	d, err := a.Filter(r, q)
	if err != nil {
		return nil, nil, err
	}
	if d.Effect == policy.Challenge { // by a rule of the host's: npm asks for no second factor here
		return nil, nil, a.Conclude(r.Context(), q, authz.Denied(q, d))
	}
	body, err = a.readBody(r, maxDocument, op, q.Actor.Identity().Name)
	if err == nil && body.Kind() != packument.KindPublish {
		body.Abort(nil)
		err = errNoPublish
	}
	if err != nil {
		return nil, nil, a.Conclude(r.Context(), q, err)
	}
	body.HashTarball() // those who approve it are shown the integrity
	p = a.NewPass(r.Context(), q)
	p.Published = body.change
	return p, body, nil
}

// unstage takes back what the host did not keep.
func (a *Guard) unstage(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), authz.CommitTime)
	defer cancel()
	err := store.Transact(ctx, a.Authorizer.Store, func(tx *store.Tx) error {
		_, err := a.Stage.RejectTx(ctx, tx, audit.Actor{}, id, "not-kept")
		return err
	})
	if err != nil && !errors.Is(err, stage.ErrNotFound) {
		a.LogLater(ctx, "npmauth: a version that the host did not keep stays staged until it expires", err)
	}
}

// guardStaged authorizes what is about staged versions: showing one, handing out its tarball, approving and
// rejecting one or several.
func (a *Guard) guardStaged(w http.ResponseWriter, r *http.Request, op protocol.Operation, next http.Handler) {
	if op.ID == "" {
		a.guardDecisions(w, r, op, next)
		return
	}
	v, err := a.staged(r.Context(), nil, op.ID)
	if err != nil {
		a.Fail(w, r, a.Conclude(r.Context(), a.NewRequest(r, op), err))
		return
	}
	op.Package = v.Package
	switch op.Action {
	case protocol.ApproveStaged:
		a.approve(w, r, op, v, next)
	case protocol.RejectStaged:
		a.reject(w, r, op, v, next)
	default:
		a.readStaged(w, r, op, v, next)
	}
}

// staged returns the staged version with that ID, the zero one if there is none: which is for the policy to
// answer. A nil tx reads from the store.
func (a *Guard) staged(ctx context.Context, tx *store.Tx, id string) (stage.Version, error) {
	if a.Stage == nil || stage.Key(id) == "" {
		return stage.Version{}, nil
	}
	from := store.Reader(a.Authorizer.Store)
	if tx != nil {
		from = tx
	}
	v, err := a.Stage.Get(ctx, from, id)
	if errors.Is(err, stage.ErrNotFound) {
		return stage.Version{}, nil
	}
	return v, err
}

// checkStaged makes the first decision about a staged version. The final one is about what is staged then.
func (a *Guard) checkStaged(r *http.Request, op protocol.Operation, v stage.Version, c *protocol.Change) (q *authz.Request, d policy.Decision, err error) {
	defer a.Recover(r, func(refused error) { err = refused })
	return a.CheckWith(r, op, c, func(ctx context.Context, tx *store.Tx, req *policy.Request) (err error) {
		now := v
		if tx != nil {
			if now, err = a.staged(ctx, tx, op.ID); err != nil {
				return err
			}
		}
		return a.SetStaged(ctx, req, now)
	})
}

func (a *Guard) readStaged(w http.ResponseWriter, r *http.Request, op protocol.Operation, v stage.Version, next http.Handler) {
	q, d, err := a.checkStaged(r, op, v, nil)
	if err == nil && d.Effect != policy.Allow {
		err = a.Conclude(r.Context(), q, authz.Denied(q, d))
	} else if err == nil {
		err = a.Conclude(r.Context(), q, nil)
	}
	if err != nil {
		a.Fail(w, r, err)
		return
	}
	switch path, _ := a.Path(r); {
	case strings.HasSuffix(path, "/difference"):
		wire.WriteJSON(w, http.StatusOK, a.stagedDifference(r, q, v))
		return
	case !strings.HasSuffix(path, "/tarball"):
		item, _, err := a.NewStagedReader(q).Item(r.Context(), v)
		if err != nil {
			a.Fail(w, r, err)
			return
		}
		wire.WriteJSON(w, http.StatusOK, item)
		return
	}
	a.pass(w, r, a.passOf(r, q, v), next)
}

// passOf returns the context of a request about a staged version that is allowed.
func (a *Guard) passOf(r *http.Request, q *authz.Request, v stage.Version) *authz.Pass {
	p := a.NewPass(r.Context(), q)
	p.SetStaged(authz.HostStaged(v))
	return p
}

// approve adds an approval, and with the last one that is needed hands the version over to be published.
func (a *Guard) approve(w http.ResponseWriter, r *http.Request, op protocol.Operation, v stage.Version, next http.Handler) {
	change := v.Change
	q, d, err := a.checkStaged(r, op, v, &change)
	done := false
	if err == nil {
		err = a.Commit(r, q, d, []string{stage.Key(op.ID)}, func(ctx context.Context, tx *store.Tx, q *authz.Request) (err error) {
			v, done, err = a.approveTx(ctx, tx, q)
			return err
		})
	}
	if err != nil {
		a.Fail(w, r, a.Unclear(r, op.Action, err))
		return
	}
	if !done {
		wire.WriteJSON(w, http.StatusCreated, map[string]any{
			"message":   fmt.Sprintf("You have approved %s@%s. It needs %d approvals and has %d.", v.Package, v.Change.Version, q.Settings.Needed(), len(v.Approvals)),
			"published": false, "approvals": len(v.Approvals),
		})
		return
	}
	out := &heldWriter{ResponseWriter: w, before: w.Header().Clone()}
	a.pass(out, r, a.passOf(r, q, v), next)
	if !out.done() {
		return // the host's answer: the version stays approved, and approving it once more tries again
	}
	a.endPublished(r, q, v)
	out.answer(http.StatusCreated, map[string]any{"message": fmt.Sprintf("%s@%s is published.", v.Package, v.Change.Version), "published": true, "approvals": len(v.Approvals)})
}

// approveTx adds the approval of q's sender in the commit of q, and reports whether there are enough.
func (a *Guard) approveTx(ctx context.Context, tx *store.Tx, q *authz.Request) (stage.Version, bool, error) {
	return a.Stage.ApproveTx(ctx, tx, q.Actor.By(q.Addr), q.Operation.ID, q.Actor.Approval(q.Proof), q.Settings.Needed(), func(given stage.Approval) (bool, error) {
		return a.StillApproves(ctx, tx, q, given)
	})
}

// endPublished ends the staging of a version that the host has published.
func (a *Guard) endPublished(r *http.Request, q *authz.Request, v stage.Version) {
	if err := a.published(r.Context(), q, v); err != nil {
		a.LogLater(r.Context(), "npmauth: a version that was published stays staged until it expires", err)
	}
}

// published records that a version was published, and ends its staging.
func (a *Guard) published(ctx context.Context, q *authz.Request, v stage.Version) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), authz.CommitTime)
	defer cancel()
	by := q.Actor.By(q.Addr)
	a.Events.Record(ctx, audit.Event{
		Type: audit.Access, Outcome: audit.Done, Action: protocol.ApproveStaged, User: by.User, Credential: by.Credential, Package: v.Package,
		Change: v.Change.Recorded(), Detail: map[string]string{"id": v.ID},
	}.From(by))
	return store.Transact(ctx, a.Authorizer.Store, func(tx *store.Tx) error { return a.Stage.PublishedTx(ctx, tx, v.ID) })
}

// reject ends a staged version, and has the host forget what it keeps of it.
func (a *Guard) reject(w http.ResponseWriter, r *http.Request, op protocol.Operation, v stage.Version, next http.Handler) {
	q, d, err := a.checkStaged(r, op, v, &protocol.Change{Version: v.Change.Version, Removes: true})
	if err == nil {
		err = a.Commit(r, q, d, []string{stage.Key(op.ID)}, func(ctx context.Context, tx *store.Tx, q *authz.Request) error {
			_, err := a.Stage.RejectTx(ctx, tx, q.Actor.By(q.Addr), op.ID, "")
			return err
		})
	}
	if err != nil {
		a.Fail(w, r, a.Unclear(r, op.Action, err))
		return
	}
	out := &heldWriter{ResponseWriter: w, before: w.Header().Clone()}
	a.forgetStaged(out, r, q, v, next)
	out.answer(http.StatusNoContent, nil)
}

// forgetStaged has the host forget a version that was rejected.
func (a *Guard) forgetStaged(out *heldWriter, r *http.Request, q *authz.Request, v stage.Version, next http.Handler) {
	// It is staged no more, and what the host confirms is about what was.
	q.Fill = func(ctx context.Context, _ *store.Tx, req *policy.Request) error { return a.SetStaged(ctx, req, v) }
	a.pass(out, r, a.passOf(r, q, v), next)
}

// A heldWriter keeps back the answer of a host that has done what it was asked for, so that npm's can be given.
// Any other answer passes.
type heldWriter struct {
	http.ResponseWriter
	before http.Header // what was set around the guard, and is not the host's
	status int         // that the host has answered; 0 is none
}

// Unwrap lets [http.ResponseController] find what the writer below can do.
func (w *heldWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *heldWriter) WriteHeader(status int) {
	if status < 200 || w.status != 0 {
		return
	}
	if w.status = status; !w.done() {
		w.ResponseWriter.WriteHeader(status)
	}
}

func (w *heldWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	if w.done() {
		return len(p), nil
	}
	return w.ResponseWriter.Write(p)
}

// Flush sends what was written so far, as http.Flusher, unless it is kept back.
func (w *heldWriter) Flush() { _ = w.FlushError() }

// FlushError is what [http.ResponseController] calls.
func (w *heldWriter) FlushError() error {
	w.WriteHeader(http.StatusOK)
	if w.done() {
		return nil
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// done reports whether the host has done it. A handler that answers nothing has: net/http says 200 for it.
func (w *heldWriter) done() bool { return w.status < 300 }

// restore takes back what the host has set in the header.
func (w *heldWriter) restore() {
	h := w.ResponseWriter.Header()
	clear(h)
	maps.Copy(h, w.before)
}

// answer gives npm's answer in the place of one that was kept back.
func (w *heldWriter) answer(status int, body any) {
	if !w.done() {
		return
	}
	w.restore()
	if body == nil {
		w.ResponseWriter.Header().Set("Cache-Control", "no-store")
		w.ResponseWriter.WriteHeader(status)
		return
	}
	wire.WriteJSON(w.ResponseWriter, status, body)
}
