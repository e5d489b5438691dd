package packument

import (
	"io"

	"github.com/npmauth/npmauth/protocol"
)

// Received is what an authorized body of PUT /<pkg> does.
type Received struct {
	Action protocol.Action // Publish, or the action that [Compare] returns
	Change protocol.Change

	// Of a publish, as [Split] returns them: nil for any other action.
	Manifest map[string]any
	Tarball  []byte
}

// maxHead is what [NewReader] is given by Receive, in bytes.
const maxHead = 4 << 20

var errToRevision = badDocument("has attachments, which a publish has and no change of a document")

// Receive reads the body of PUT /<pkg>[/-rev/<revision>] into memory, and closes it. It calls
// [New], [NewReader], [Compare] and [Split] in this order. The caller must limit the size of body.
//
// now is the present state of the package, and revision that of the path, "" for none. authorize is
// called once, when the last byte was read and the body is valid, with the action and the whole
// change of the body; an error refuses the body, and Receive returns it. An error of the body is an
// [*Error], a [*ChangeError], [ErrTooLarge] or one of reading; authorize is not called then.
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
