package guard

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/npmauth/npmauth/internal/authz"
	"github.com/npmauth/npmauth/internal/budget"
	"github.com/npmauth/npmauth/internal/header"
	"github.com/npmauth/npmauth/packument"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/wire"
)

// maxDocument is how many bytes of a package document are read before it is clear what
// they change: a document without attachments, or what comes before those of a publish.
const maxDocument = 16 << 20

// maxStar is how many bytes are read of those who could do nothing but star the package,
// which is everybody who is signed in.
const maxStar = 1 << 20

// errToRevision refuses a publish to PUT /<pkg>/-rev/<rev>.
var errToRevision = &wire.Error{Status: http.StatusBadRequest, Code: packument.CodeDocument, Sentence: "The package document has attachments, which a publish has and no change of a document."}

// documentChanges are what PUT /<pkg> may turn out to be. The last is open to most.
var documentChanges = []protocol.Action{protocol.Publish, protocol.Deprecate, protocol.Unpublish, protocol.WriteOwners, protocol.Star}

// guardDocument authorizes PUT /<pkg>[/-rev/<rev>], which five of npm's operations share.
// Nothing of the body is read for those to whom none of them could be allowed; then as
// much as tells which it is. A publish is decided on as soon as it is known to be one, and
// its tarball passes by; every other document is read whole and compared with what the
// host has.
func (a *Guard) guardDocument(w http.ResponseWriter, r *http.Request, op protocol.Operation, next http.Handler) {
	p, body, err := a.admitDocument(r, op)
	switch {
	case err != nil:
		a.Fail(w, r, err)
	case p.Request.Request.Operation.Action == protocol.Publish:
		a.passPublish(w, r, p, body, next)
	default:
		a.pass(w, r, p, next)
	}
}

// admitDocument decides about a package document. Of a publish it has read the
// beginning, which the body of r gives again.
func (a *Guard) admitDocument(r *http.Request, op protocol.Operation) (p *authz.Pass, body *publishReader, err error) {
	defer a.Recover(r, func(refused error) { p, err = nil, refused })
	q := a.NewRequest(r, op)
	q.HandedOver = true
	body, err = a.readChange(r, q)
	defer func() {
		if p == nil && body != nil {
			body.Abort(nil)
		}
	}()
	if err != nil {
		return nil, body, a.Conclude(r.Context(), q, err)
	}
	d, err := a.Decide(q)
	if err != nil {
		return nil, body, a.Conclude(r.Context(), q, err)
	}
	if body == nil {
		p, err = a.admitJudged(r, q, d, true)
		return p, nil, err
	}
	// The rest of the body goes by, and then it is decided on again: what comes along as a
	// second factor is counted now, and spent then.
	if d.Effect == policy.Challenge {
		err := a.Unproven(r.Context(), q, a.BeginFactor(r.Context(), r.Header, q))
		if unknown, ok := errors.AsType[*authz.UnknownChange](err); ok {
			err = a.challengePublish(r.Context(), q, body, unknown.Refused)
		}
		if err != nil {
			return nil, body, a.Conclude(r.Context(), q, err)
		}
	}
	// What was approved on a page is what it showed, also where only the end of the body tells
	// that a second factor is needed.
	if authz.BringsApproval(r.Header) {
		body.HashTarball()
	}
	p = a.NewPass(r.Context(), q)
	p.Published = body.change
	return p, body, nil
}

// maxUnproven is how many bytes of a publish are read for nobody, to say on a page what it
// would do. Whoever publishes more has to send a code along.
const maxUnproven = 256 << 20

// challengePublish asks for the second factor that a publish needs and did not bring. What the
// publish would do may be known only at its end: Yarn 2 to 4 send the tarball first. The body
// is read to there and handed to nobody.
func (a *Guard) challengePublish(ctx context.Context, q *authz.Request, body *publishReader, refused error) error {
	var ask error
	body.Authorize = func(c protocol.Change) error {
		q.Change = &c
		if _, ask = a.Decide(q); ask == nil {
			ask = changesVisibility(&q.Request)
		}
		if ask == nil {
			ask = a.Challenge(ctx, q, refused)
		}
		return ask
	}
	switch n, err := io.Copy(io.Discard, io.LimitReader(body, maxUnproven)); {
	case ask != nil:
		return ask
	case err != nil:
		return err
	case n == maxUnproven:
		return a.ChallengeUnread(refused)
	}
	return wire.Unavailable // the reader agreed to what was not authorized
}

// readChange reads of a package document what it would change, and names the operation
// of q after it. Of a publish it returns the reader of its body: what it would do is known
// when that was read.
func (a *Guard) readChange(r *http.Request, q *authz.Request) (body *publishReader, err error) {
	op := q.Operation
	if err := a.Find(r, q); err != nil {
		return nil, err
	}
	bound, err := a.maxBytes(r, q)
	if err != nil {
		return nil, err
	}
	q.Operation = op
	body, err = a.readBody(r, bound, op, q.Actor.Identity().Name)
	if err != nil {
		return nil, err
	}
	if body.Kind() == packument.KindPublish {
		if op.Revision != "" { // no client publishes to a revision
			body.Abort(nil)
			return nil, errToRevision
		}
		q.Operation.Action = protocol.Publish
		return body, nil
	}
	if q.Package.ID == "" { // what a document sent back to a free name is cannot matter
		q.Operation.Action, q.Change = protocol.Deprecate, &protocol.Change{}
		return nil, nil
	}
	return nil, a.difference(r.Context(), &q.Request, body.Document())
}

// maxBytes returns how many bytes of the body are worth reading, or the refusal of a
// request that could not be allowed whatever its body says. What npm says that it is
// doing decides between the sentences of the refusal, and nothing else.
func (a *Guard) maxBytes(r *http.Request, q *authz.Request) (bound int, err error) {
	likely := protocol.Publish
	switch command, _, _ := strings.Cut(header.Single(r.Header, "Npm-Command"), " "); command {
	case "deprecate", "undeprecate":
		likely = protocol.Deprecate
	case "unpublish":
		likely = protocol.Unpublish
	case "owner":
		likely = protocol.WriteOwners
	case "star", "unstar":
		likely = protocol.Star
	}
	var refused policy.Decision
	for _, action := range documentChanges {
		if action == protocol.Publish && q.Operation.Revision != "" {
			continue
		}
		q.Operation.Action = action
		d := q.Decision()
		switch {
		case d.Effect == policy.Allow || d.Effect == policy.Challenge:
			if action == protocol.Star {
				return maxStar, nil
			}
			return maxDocument, nil
		case action == likely || refused.Reasons == nil:
			refused = d
		}
	}
	q.Operation.Action = likely
	return 0, authz.Denied(q, refused)
}

// readBody reads the body of r as far as it takes to know what it is, and no further than about
// bound bytes. The body of r gives all of it again.
func (a *Guard) readBody(r *http.Request, bound int, op protocol.Operation, by string) (*publishReader, error) {
	if wire.IsCompressed(r) {
		return nil, wire.Compressed
	}
	scan := packument.New(packument.Config{
		// The page of a staged version shows the package.json in its tarball, and clients install by its manifest.
		Package: op.Package, By: by, CheckTarball: a.CheckTarball || op.Action == protocol.Stage && a.Tarballs != nil, Hold: budget.From(r.Context()).Resize, Done: r.Context().Done(),
	})
	body, err := packument.NewReader(r.Body, scan, bound)
	if err != nil {
		return nil, err
	}
	reader := &publishReader{Reader: body}
	r.Body = reader
	return reader, nil
}

// A body reads from one and closes another.
type body struct {
	io.Reader
	io.Closer
}

// difference finds out what doc would change, and names the operation of req after it.
func (a *Guard) difference(ctx context.Context, req *policy.Request, doc packument.Document) error {
	op := &req.Operation
	if err := doc.SetRevision(op.Revision); err != nil {
		return err
	}
	var now packument.State
	if !doc.Star() {
		if !doc.Partial && a.Documents == nil {
			return authz.ErrNoDocuments
		}
		if a.Documents != nil {
			var err error
			if now, err = a.present(ctx, req); err != nil {
				return err
			}
		}
	}
	action, c, err := packument.Compare(now, doc)
	if action != protocol.Unknown {
		op.Action = action
	}
	if err != nil {
		return err
	}
	req.Change = &c
	return nil
}

// present returns the present state of the package that req was decided about, as the host's
// Documents has it.
func (a *Guard) present(ctx context.Context, req *policy.Request) (packument.State, error) {
	d, err := a.Documents.Document(ctx, req.Operation.Package)
	if err != nil {
		return packument.State{}, err
	}
	if d.ID != req.Package.ID {
		return packument.State{}, authz.ErrStale
	}
	return packument.State{Revision: d.Revision, Versions: d.Versions, Tags: d.Tags, Maintainers: d.Maintainers}, nil
}
