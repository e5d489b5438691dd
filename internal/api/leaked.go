package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/internal/authz"
	"github.com/npmauth/npmauth/leak"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/wire"
)

// Bounds of a report of leaked credentials, which may name very many.
const (
	maxReport = 8 << 20 // bytes
	// maxLargeReports is how many reports larger than other bodies are kept at a time. The
	// names of keys are public, so strangers can send them: small ones pass all the same.
	maxLargeReports = 4
)

var errManyReports = &wire.Error{Status: http.StatusServiceUnavailable, Code: "busy",
	Sentence: "Other large reports are being read at the moment. Send this one again shortly, or in parts of at most 64 KiB."}

var errBadReport = &wire.Error{Status: http.StatusUnauthorized, Code: "bad-signature", Sentence: "The report is not signed with a key that counts here."}

// A verdict is what the reporter is told of one find, in the words of GitHub's secret
// scanning partner programme.
type verdict struct {
	Token string `json:"token_raw"`
	Type  string `json:"token_type"`
	Label string `json:"label"`
}

// reportLeak ends every credential that the body of a signed report names. It answers
// which of them were some; whoever cannot sign learns nothing, not even that there is
// nobody who may. What was ended before is none any more, so a report can come twice,
// and one that an outage cut short can be sent again.
func (a *API) reportLeak(r *http.Request, _ protocol.Operation) (reply, error) {
	if a.leakKeys == nil {
		return reply{}, authz.ErrNotFound
	}
	if wire.IsCompressed(r) {
		return reply{}, wire.Compressed
	}
	signature, err := leak.NewVerifier(r.Context(), a.leakKeys, r.Header)
	if err != nil {
		return reply{}, badReport(err)
	}
	body, done, err := a.readReport(r.Body)
	defer done()
	if err != nil {
		return reply{}, err
	}
	reports, err := signature.Read(body)
	if err != nil {
		return reply{}, badReport(err)
	}
	verdicts := []verdict{}
	for some := range slices.Chunk(reports, store.MaxKeys/4) { // each is looked up under four keys
		if verdicts, err = a.endLeaked(r, some, verdicts); err != nil {
			return reply{}, err
		}
	}
	return ok(verdicts), nil
}

func badReport(err error) error {
	if errors.Is(err, leak.ErrSignature) {
		return errBadReport
	}
	return err
}

// readReport reads the body of a report. Done is to be called when it is not needed any more.
func (a *API) readReport(r io.Reader) (body []byte, done func(), err error) {
	body, err = io.ReadAll(io.LimitReader(r, wire.MaxBody+1))
	if err != nil || len(body) <= wire.MaxBody {
		return body, func() {}, err
	}
	select {
	case a.largeReports <- struct{}{}:
	default:
		return nil, func() {}, errManyReports
	}
	whole := bytes.NewBuffer(body)
	_, err = whole.ReadFrom(r)
	return whole.Bytes(), func() { <-a.largeReports }, err
}

// endLeaked ends what some reports name, and appends what to say of them.
func (a *API) endLeaked(r *http.Request, some []leak.Report, verdicts []verdict) ([]verdict, error) {
	var keys []string
	for _, rep := range some {
		if d, ok := credential.Parse(rep.Token.Reveal()); ok {
			keys = append(keys, authz.CredentialKeys(d)...)
		}
	}
	there := map[string]bool{}
	if len(keys) > 0 {
		items, err := a.Store.Get(r.Context(), keys...)
		if err != nil {
			return nil, err
		}
		for _, it := range items {
			there[it.Key] = it.Exists()
		}
	}
	for _, rep := range some {
		if rep.Token.IsZero() {
			continue // a find without a token: nothing can be said of it
		}
		v := verdict{Token: rep.Token.Reveal(), Type: rep.Type, Label: "false_positive"}
		if d, ok := credential.Parse(rep.Token.Reveal()); ok && slices.ContainsFunc(authz.CredentialKeys(d), func(key string) bool { return there[key] }) {
			ended, err := a.endLeak(r.Context(), d, audit.Actor{Addr: a.Client(r)}, rep)
			if err != nil {
				return nil, err
			}
			if ended {
				v.Label = "true_positive"
			}
		}
		verdicts = append(verdicts, v)
	}
	return verdicts, nil
}

// endLeak ends the credential of a digest, and reports whether there was one that had not
// been ended before. A record that cannot be understood is an error: it is not known
// whose it is.
func (a *API) endLeak(ctx context.Context, d credential.Digest, by audit.Actor, rep leak.Report) (ended bool, err error) {
	err = store.Transact(ctx, a.Store, func(tx *store.Tx) error {
		ended = false
		v, err := a.Stored(ctx, tx, d)
		if errors.Is(err, host.ErrInvalidToken) {
			return nil
		}
		if err != nil {
			return err
		}
		if revoked, err := a.Revoked(ctx, tx, v); err != nil || revoked {
			return err
		}
		if err := a.EndCredentialTx(ctx, tx, by, &v.Credential, "leaked"); err != nil {
			return err
		}
		ended = true
		return a.Events.Commit(ctx, tx, audit.Event{
			Type: audit.Leaked, Outcome: audit.Done, User: v.Credential.User, Credential: v.Credential.ID, Package: v.Package(),
			Detail: map[string]string{"url": rep.URL, "source": rep.Source, "type": rep.Type},
		}.From(by))
	})
	if authz.Gone(err) {
		return false, nil
	}
	return ended, err
}
