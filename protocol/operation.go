package protocol

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strconv"
)

// An Operation is what a request is to do, as [Classify] reads it from method and path. The zero
// value is Unknown.
//
// Each name in the path has a field of its own, decoded once and valid for its kind. A field
// that the path does not name is "".
type Operation struct {
	Action   Action
	Package  PackageName // the zero name if the action is not about a package
	Version  string      // a version: of a tarball, a manifest, attestations
	Tag      string      // a dist-tag
	User     string      // a user's name
	Org      string      // an organization's name, without @; so is Team's
	Team     string      // a team's name within Org
	Service  string      // a service account's name
	Revision string      // what follows /-rev/: no client publishes with a PUT that has one
	ID       string      // of a staged version, a trusted publisher, a hook or a second factor
	// Token is the key of a token. With [RevokeToken] and [Logout] it may be a token in clear,
	// since npm puts it into the path. Printing, logging and encoding an Operation redact it
	// then; printing Token itself does not.
	Token string
}

const redacted = "[redacted]"

// token returns Token if it may be printed.
func (op *Operation) token() string {
	if op.Token != "" && (op.Action == RevokeToken || op.Action == Logout) {
		return redacted
	}
	return op.Token
}

// String returns the action, the package and the other names, without a secret.
func (op Operation) String() string {
	s := op.Action.String()
	if !op.Package.IsZero() {
		s += " " + op.Package.String()
	}
	for _, name := range []string{op.Version, op.Tag, op.User, op.Org, op.Team, op.Service, op.Revision, op.ID, op.token()} {
		if name != "" {
			s += " " + strconv.Quote(name)
		}
	}
	return s
}

// Format prints String, whatever the verb.
func (op Operation) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, op.String()) }

// LogValue returns String.
func (op Operation) LogValue() slog.Value { return slog.StringValue(op.String()) }

// MarshalJSON writes the fields that are set, a secret replaced by "[redacted]". It cannot be
// decoded.
func (op Operation) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Action   Action      `json:"action"`
		Package  PackageName `json:"package,omitzero"`
		Version  string      `json:"version,omitempty"`
		Tag      string      `json:"tag,omitempty"`
		User     string      `json:"user,omitempty"`
		Org      string      `json:"org,omitempty"`
		Team     string      `json:"team,omitempty"`
		Service  string      `json:"service,omitempty"`
		Revision string      `json:"revision,omitempty"`
		ID       string      `json:"id,omitempty"`
		Token    string      `json:"token,omitempty"`
	}{op.Action, op.Package, op.Version, op.Tag, op.User, op.Org, op.Team, op.Service, op.Revision, op.ID, op.token()})
}
