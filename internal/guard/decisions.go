package guard

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/internal/authz"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/stage"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/wire"
)

// maxDecisions is how many staged versions a request names at most. How many are decided about at once the commit bounds,
// which has at most [store.MaxOps].
const maxDecisions = 50

// How many fit into a commit whatever they are, with the events as rows, as long as nobody else has approved them before,
// who is read once more: it takes eleven ops to authenticate the sender and to spend a code, 13 if it is a key or was confirmed
// at a page, and for each version that is of a package and a scope of its own five to approve it and nine to reject it.
const (
	fitApproved = (store.MaxOps - 13) / 5
	fitRejected = (store.MaxOps - 13) / 9
)

var errDecisions = &wire.Error{Status: http.StatusBadRequest, Code: "bad-ids", Sentence: "ids must be those of staged versions, each of them once: npm stage list shows them."}

// tooMany returns the answer to more than fit into a commit.
func tooMany(op protocol.Operation) error {
	fit := fitApproved
	if op.Action == protocol.RejectStaged {
		fit = fitRejected
	}
	return &wire.Error{Status: http.StatusConflict, Code: "too-many-ids", Sentence: fmt.Sprintf("These are too many staged versions to decide about at once. Choose fewer, such as %d.", fit)}
}

// A decision is one of several that are made at once.
type decision struct {
	q    *authz.Request
	v    stage.Version // as it is after the commit
	done bool          // it has all approvals that it needs
}

// name returns what people call the version.
func (d *decision) name() string { return d.v.Package.String() + "@" + d.v.Change.Version }

// A decided version is what became of it.
type decided struct {
	ID        string `json:"id"`
	Package   string `json:"packageName"`
	Version   string `json:"version"`
	State     string `json:"state"`
	Approvals int    `json:"approvals"`
	Needed    int    `json:"approvalsNeeded"`
	Problem   string `json:"problem,omitempty"` // why the host has not done it
}

// The states of a decided version.
const (
	statePublished = "published"
	stateApproved  = "approved" // and not published: it needs more approvals, or the host has a Problem
	stateRejected  = "rejected"
)

// guardDecisions authorizes POST /-/auth/v1/staged/approve and …/reject, which decide about several staged versions
// with one second factor: about all or, if one of them is refused, about none. The host sees what it sees of
// each by itself.
func (a *Guard) guardDecisions(w http.ResponseWriter, r *http.Request, op protocol.Operation, next http.Handler) {
	r = r.WithContext(authz.WithClient(r.Context(), a.SessionClient(r))) // whose second factor came before the body
	all, d, err := a.admitDecisions(w, r, op)
	if err != nil {
		a.Fail(w, r, err)
		return
	}
	requests, keys := make([]*authz.Request, len(all)), make([]string, len(all))
	for i := range all {
		requests[i], keys[i] = all[i].q, stage.Key(all[i].v.ID)
	}
	refused, err := a.CommitAll(r, requests, d, keys, func(ctx context.Context, tx *store.Tx, q *authz.Request) error {
		of := &all[slices.IndexFunc(all, func(d decision) bool { return d.v.ID == q.Operation.ID })]
		var v stage.Version
		var err error
		done := false
		if op.Action == protocol.ApproveStaged {
			v, done, err = a.approveTx(ctx, tx, q)
		} else {
			v, err = a.Stage.RejectTx(ctx, tx, q.Actor.By(q.Addr), q.Operation.ID, "")
		}
		if err == nil { // of a version that is not there it is zero, and the refusal names it
			of.v, of.done = v, done
		}
		return err
	})
	switch {
	case errors.Is(err, store.ErrInvalid):
		a.Fail(w, r, tooMany(op))
		return
	case err != nil:
		a.Fail(w, r, a.Unclear(r, op.Action, a.refusal(r.Context(), &all[slices.Index(requests, refused)], err)))
		return
	}
	notice := a.FactorNotice(all[0].q)
	// In the order in which they were staged, so that a dist-tag of several names the newest.
	slices.SortStableFunc(all, func(a, b decision) int { return a.v.Created.Compare(b.v.Created) })
	results := make([]decided, len(all))
	for i := range all {
		results[i] = a.carryOut(r, op, &all[i], next)
	}
	for i := range all {
		if results[i].State == statePublished {
			a.endPublished(r, all[i].q, all[i].v)
		}
	}
	if notice != "" {
		w.Header().Set("npm-notice", notice)
	}
	wire.WriteJSON(w, http.StatusOK, map[string]any{"results": results})
}

// admitDecisions makes the first decision about each of the versions that the body names. The first that it returns
// is the one that the second factor is begun with, and d the decision about it.
func (a *Guard) admitDecisions(w http.ResponseWriter, r *http.Request, op protocol.Operation) (all []decision, d policy.Decision, err error) {
	ids, err := a.readDecisions(w, r, op)
	if err != nil {
		return nil, d, err
	}
	first := -1
	for i, id := range ids {
		v, err := a.staged(r.Context(), nil, id)
		if err != nil {
			return nil, d, a.Conclude(r.Context(), a.NewRequest(r, op), err)
		}
		of := protocol.Operation{Action: op.Action, Package: v.Package, ID: id}
		change := v.Change
		if op.Action == protocol.RejectStaged {
			change = protocol.Change{Version: v.Change.Version, Removes: true}
		}
		q, effect, err := a.checkStaged(r, of, v, &change)
		v.ID = id // also of one that is not there
		one := decision{q: q, v: v}
		if err != nil {
			return nil, d, a.refusal(r.Context(), &one, err)
		}
		all = append(all, one)
		if first < 0 && effect.Effect == policy.Challenge {
			first = i
		}
	}
	first = max(0, first)
	all[0], all[first] = all[first], all[0]
	q := all[0].q
	for _, other := range all[1:] {
		if q.Change.Also == nil {
			q.Change.Also = map[string]string{}
		}
		q.Change.Also[other.v.ID] = other.name()
	}
	if d, err = a.Decide(q); err != nil {
		return nil, d, a.refusal(r.Context(), &all[0], a.Conclude(r.Context(), q, err))
	}
	return all, d, nil
}

// readDecisions returns the IDs in the body.
func (a *Guard) readDecisions(w http.ResponseWriter, r *http.Request, op protocol.Operation) (ids []string, err error) {
	defer a.Recover(r, func(refused error) { ids, err = nil, refused })
	q := a.NewRequest(r, op)
	err = a.Find(r, q)
	if err == nil && q.Actor.Credential == nil {
		err = authz.Denied(q, q.Decision())
	}
	var body struct {
		IDs []string `json:"ids"`
	}
	if err == nil {
		authz.BufferBody(w, r, wire.MaxBody)
		err = wire.Decode(r, &body)
	}
	switch {
	case err != nil:
	case len(body.IDs) > maxDecisions:
		err = tooMany(op)
	case len(body.IDs) == 0, slices.ContainsFunc(body.IDs, func(id string) bool { return !credential.IsID(id) }),
		len(slices.Compact(slices.Sorted(slices.Values(body.IDs)))) < len(body.IDs):
		err = errDecisions
	}
	if err != nil {
		return nil, a.Conclude(r.Context(), q, err)
	}
	return body.IDs, nil
}

// refusal returns err with which version it is about: one that the sender may not read by its ID, as one that is not
// there.
func (a *Guard) refusal(ctx context.Context, d *decision, err error) error {
	_, denied := errors.AsType[*host.DeniedError](err)
	if !denied && !errors.Is(err, stage.ErrNotFound) && !errors.Is(err, authz.ErrStale) {
		return err
	}
	why := *authz.Answer(err)
	if why.Status == http.StatusUnauthorized { // about who sends it
		return err
	}
	name := d.v.ID
	if _, reads, unknown := a.NewStagedReader(d.q).Item(ctx, d.v); unknown == nil && reads {
		name = d.name()
	}
	why.Sentence = name + ": " + why.Sentence
	return &why
}

// carryOut has the host do what was decided about one version.
func (a *Guard) carryOut(r *http.Request, op protocol.Operation, d *decision, next http.Handler) decided {
	v := d.v
	is := decided{ID: v.ID, Package: v.Package.String(), Version: v.Change.Version, State: stateApproved, Approvals: len(v.Approvals), Needed: d.q.Settings.Needed()}
	rejects := op.Action == protocol.RejectStaged
	if rejects {
		is.State = stateRejected
	} else if !d.done {
		return is
	}
	d.q.HandedOver, d.q.Change.Also = true, nil // the host is told of this one
	said := &keptAnswer{header: http.Header{}}
	out := &heldWriter{ResponseWriter: said, before: http.Header{}}
	of := a.requestAbout(r, v.ID, rejects)
	_, err := authz.Call(r.Context(), func() (struct{}, error) { // a panic about one is none of the others'
		if rejects {
			a.forgetStaged(out, of, d.q, v, next)
		} else {
			a.pass(out, of, a.passOf(of, d.q, v), next)
		}
		return struct{}{}, nil
	})
	switch {
	case err != nil:
		a.LogLater(r.Context(), "npmauth: a version that was decided about is not carried out", err)
		is.Problem = wire.Unavailable.Sentence
	case !out.done():
		is.Problem = said.sentence(out.status)
	case !rejects:
		is.State = statePublished
	}
	return is
}

// requestAbout returns the request that npm sends for one version.
func (a *Guard) requestAbout(r *http.Request, id string, rejects bool) *http.Request {
	method, path := http.MethodPost, "/-/stage/"+id+"/approve"
	if rejects {
		method, path = http.MethodDelete, "/-/stage/"+id
	}
	below, _ := a.Path(r)
	of := r.Clone(r.Context())
	of.Method = method
	of.URL = &url.URL{Path: strings.TrimSuffix(r.URL.EscapedPath(), below) + path} // the prefix needs no escaping
	of.RequestURI = a.Prefix + path
	of.Body, of.ContentLength, of.TransferEncoding, of.GetBody = http.NoBody, 0, nil, nil
	for _, name := range []string{"Content-Type", "Content-Length", "Content-Encoding", "Transfer-Encoding"} {
		of.Header.Del(name)
	}
	return of
}

// maxSaid is how many bytes of the answer of a host that has not done something are read for its reason.
const maxSaid = 16 << 10

// A keptAnswer is the [http.ResponseWriter] of a request that nobody sent: it keeps the beginning of the body.
type keptAnswer struct {
	header http.Header
	body   bytes.Buffer
}

func (k *keptAnswer) Header() http.Header { return k.header }
func (k *keptAnswer) WriteHeader(int)     {}

func (k *keptAnswer) Write(p []byte) (int, error) {
	k.body.Write(p[:min(len(p), maxSaid-k.body.Len())])
	return len(p), nil
}

// sentence returns why the host has not done it: in its words, if they are those of npm's form.
func (k *keptAnswer) sentence(status int) string {
	var said struct {
		Error   string `json:"error"`
		Message string `json:"message"`
	}
	if json.Unmarshal(k.body.Bytes(), &said) == nil {
		for _, text := range []string{said.Message, said.Error} {
			if text != "" {
				return text
			}
		}
	}
	return fmt.Sprintf("The registry answers %d %s.", status, http.StatusText(status))
}
