package protocol

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
)

// An Operation is what a request asks for, as [Classify] reads it from method
// and path. The zero value is [Unknown] and denied.
//
// With [RevokeToken] and [Logout] the Name may be a token in clear, since npm
// puts it into the path. Printing, logging and encoding an Operation do not show it
// then; printing Name itself does.
type Operation struct {
	Action  Action
	Package PackageName // the zero name where the action is not about a package
	// Name is what else the path names, decoded once: a user, org, org:team,
	// dist-tag, version, tarball file, token key, stage or trust id; a service account, or
	// with the key of its token account:key. With WritePackument and UnpublishAll it is
	// the revision after /-rev/: a PUT that has one is no publish by any client. With
	// Publish it is the version, where the body says it before its attachments, as all
	// clients do, and "" where it is not known yet.
	Name string
}

// Org returns the organization that an action of one names, without the team: "" with
// any other action.
func (op Operation) Org() string {
	if !op.Action.OfOrg() {
		return ""
	}
	org, _, _ := strings.Cut(op.Name, ":")
	return org
}

const redacted = "[redacted]"

// name returns what may be printed of Name.
func (op Operation) name() string {
	if op.Name != "" && (op.Action == RevokeToken || op.Action == Logout) {
		return redacted
	}
	return op.Name
}

// String returns the action, the package and the name, without a secret.
func (op Operation) String() string {
	s := op.Action.String()
	if !op.Package.IsZero() {
		s += " " + op.Package.String()
	}
	if name := op.name(); name != "" {
		s += " " + strconv.Quote(name)
	}
	return s
}

// Format prints String, whatever the verb.
func (op Operation) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, op.String()) }

// LogValue returns String.
func (op Operation) LogValue() slog.Value { return slog.StringValue(op.String()) }

// MarshalJSON writes the three fields, a secret replaced by "[redacted]". It
// cannot be read back.
func (op Operation) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Action  Action      `json:"action"`
		Package PackageName `json:"package,omitzero"`
		Name    string      `json:"name,omitempty"`
	}{op.Action, op.Package, op.name()})
}
