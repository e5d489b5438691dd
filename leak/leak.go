// Package leak reads reports of leaked credentials in the format of GitHub's secret scanning
// partner programme: a JSON array of what was found and where, signed with ECDSA on P-256 over the
// bytes of the body.
//
//	keys, err := leak.Fetch(leak.FetchConfig{URL: "https://api.github.com/meta/public_keys/secret_scanning"})
//	…
//	signature, err := leak.NewVerifier(ctx, keys, r.Header)
//	… // answer 401 if that is leak.ErrSignature, before the body is read
//	reports, err := signature.Read(body)
//
// # The proof of a report
//
// A report proves that the holder of the signing key knows the credential, which is then known
// to others too, and must be revoked. It proves nothing else: a report may come twice, late, or
// about a text that was never a credential. A sender who cannot sign learns nothing from
// [Verifier.Read], not even whether the body is well-formed: the signature is checked before anything is
// parsed. Whoever names no accepted key is refused by [NewVerifier], before there is a body to
// keep; but the names of keys are public, so bound the bodies that are kept at a time, too.
package leak

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/internal/strictjson"
)

// The headers with the identifier of the key that signed a report, and with the signature:
// base64 of the ASN.1 form.
const (
	KeyHeader       = "Github-Public-Key-Identifier"
	SignatureHeader = "Github-Public-Key-Signature"
)

// ErrSignature means that a report has no valid signature of an accepted key. A failure of a [Keys]
// is another error.
var ErrSignature = errors.New("leak: the signature does not hold")

// ErrMalformed means that the signed body is not an array of finds. The reason is part of the
// text and may be shown.
var ErrMalformed = errors.New("leak: malformed report")

// Keys returns the public keys that sign reports.
type Keys interface {
	// Key returns the key with this identifier, as a report names it. A key that does not
	// exist, or is no longer in use, is [ErrSignature]; every other error is an outage. It is
	// called with unchecked input.
	Key(ctx context.Context, id string) (*ecdsa.PublicKey, error)
}

// A Report is one find.
type Report struct {
	Token  credential.Secret // as it was found; zero if there was none
	Type   string            // the reporter's name for the kind of token
	URL    string            // where it was found; may be empty
	Source string            // what it was found in, such as commit; may be empty
}

// maxText bounds the strings of a report. No token of this registry is longer.
const maxText = 4096 // bytes

// Read returns the reports in body if it is signed with one of keys: [NewVerifier] and
// [Verifier.Read] at once, for a body that is there already.
func Read(ctx context.Context, keys Keys, header http.Header, body []byte) ([]Report, error) {
	v, err := NewVerifier(ctx, keys, header)
	if err != nil {
		return nil, err
	}
	return v.Read(body)
}

// A Verifier reads the report whose headers name an accepted key. Make one with [NewVerifier]; zero
// accepts no body.
type Verifier struct {
	key       *ecdsa.PublicKey
	signature []byte
}

// maxSignature is how many bytes a signature on P-256 has at most: two numbers of 33 with their
// headers.
const maxSignature = 72

// NewVerifier reads the headers of a report. An error wraps [ErrSignature] if they name no key of
// keys or have no signature, whatever the body is, or is an outage. Nil keys accept no signature.
func NewVerifier(ctx context.Context, keys Keys, header http.Header) (*Verifier, error) {
	ids, signatures := header[KeyHeader], header[SignatureHeader]
	if keys == nil || len(ids) != 1 || len(signatures) != 1 || ids[0] == "" || len(ids[0]) > 256 {
		return nil, ErrSignature
	}
	signature, err := base64.StdEncoding.Strict().DecodeString(signatures[0])
	if err != nil || len(signature) == 0 || len(signature) > maxSignature {
		return nil, ErrSignature
	}
	key, err := keys.Key(ctx, ids[0])
	if err != nil {
		return nil, err
	}
	if !usable(key) {
		return nil, ErrSignature
	}
	return &Verifier{key, signature}, nil
}

// Read returns the reports in body. An error wraps [ErrSignature] if the signature is not the body's,
// and [ErrMalformed] if it is and the body is no report.
func (v *Verifier) Read(body []byte) ([]Report, error) {
	digest := sha256.Sum256(body)
	if !usable(v.key) || !ecdsa.VerifyASN1(v.key, digest[:], v.signature) {
		return nil, ErrSignature
	}
	reports, err := parse(body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return reports, nil
}

// parse reads an array of objects. It ignores fields other than the four strings, and an object
// without them is a report of nothing: the next one may have a token.
func parse(body []byte) ([]Report, error) {
	var all []Report
	s := strictjson.NewScanner(strictjson.Limits{Text: maxText, Keys: 1 << 10, Depth: 16}, func(e strictjson.Event) error {
		switch {
		case len(e.Path) == 0 && e.Kind != strictjson.Array && e.Kind != strictjson.EndArray:
			return &strictjson.Error{Problem: "must be an array", Offset: -1}
		case len(e.Path) == 1 && e.Kind != strictjson.EndObject && e.Kind != strictjson.EndArray:
			all = append(all, Report{})
		case len(e.Path) == 2 && e.Kind == strictjson.String && !e.Long:
			all[len(all)-1].set(e.Path[1].Key, e.Text)
		}
		return nil
	})
	if _, err := s.Write(body); err != nil {
		return nil, err
	}
	if err := s.Close(); err != nil {
		return nil, err
	}
	return all, nil
}

func (r *Report) set(field, text string) {
	switch field {
	case "token":
		r.Token = credential.NewSecret(text)
	case "type":
		r.Type = text
	case "url":
		r.URL = text
	case "source":
		r.Source = text
	}
}
