package packument

import (
	"io"

	"github.com/npmauth/npmauth/protocol"
)

// Received is a body of PUT /<pkg> that was authorized.
type Received struct {
	Action protocol.Action // Publish, or what [Compare] says
	Change protocol.Change

	// Of a publish, as [Split] returns them: nil for any other action.
	Manifest map[string]any
	Tarball  []byte
}

// maxHead is what [NewReader] is given by Receive, in bytes.
const maxHead = 4 << 20

var errToRevision = badDocument("has attachments, which a publish has and no change of a document")

// Receive reads the body of PUT /<pkg>[/-rev/<revision>] into memory, for a registry that keeps it
// there: it is New, [NewReader], Compare and Split in the order that they need, and closes body.
// The caller limits the size of body.
//
// now is the present state of the package, and revision what the path names, "" for none.
// authorize has the last word, and is called once: when the last byte was read, and with all that
// the body would do. Receive returns its error. An error of the body is an [*Error], a
// [*ChangeError] or [ErrTooLarge], or one of reading.
func Receive(body io.ReadCloser, cfg Config, revision string, now State, authorize func(protocol.Action, protocol.Change) error) (Received, error) {
	r, err := NewReader(body, New(cfg), maxHead)
	if err != nil {
		body.Close()
		return Received{}, err
	}
	defer r.Close()
	if r.Kind() == KindDocument {
		return receiveDocument(r.Document(), revision, now, authorize)
	}
	if revision != "" { // no client publishes to one
		return Received{}, errToRevision
	}
	got := Received{Action: protocol.Publish}
	r.Authorize = func(c protocol.Change) error {
		got.Change = c
		return authorize(protocol.Publish, c)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		return Received{}, err
	}
	if got.Manifest, got.Tarball, err = Split(data, got.Change.Version); err != nil {
		return Received{}, err
	}
	return got, nil
}

func receiveDocument(doc Document, revision string, now State, authorize func(protocol.Action, protocol.Change) error) (Received, error) {
	if err := doc.SetRevision(revision); err != nil {
		return Received{}, err
	}
	action, c, err := Compare(now, doc)
	if err == nil {
		err = authorize(action, c)
	}
	if err != nil {
		return Received{}, err
	}
	return Received{Action: action, Change: c}, nil
}
