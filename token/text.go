package token

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/subject"
)

// Grants, ranges and numbers are each stored as one text, which is decoded by splitting it:
// JSON arrays and objects were most of the cost of decoding a token. A text that cannot be
// decoded completely is an error and never a shorter list, which could be a wider one.

// grants are "<permission>[:<verbs>] <target>[ <name>]" with commas in between:
//
//	read-only scope acme,read-write:publish+dist-tag package @acme/widget
type grants []protocol.Grant

// MarshalJSON returns the text as a JSON string. A grant that is not valid is an error.
func (gs grants) MarshalJSON() ([]byte, error) {
	text := []byte{'"'}
	for i, g := range gs {
		if err := g.Validate(); err != nil {
			return nil, err
		}
		if i > 0 {
			text = append(text, ',')
		}
		text = append(text, g.Permission.String()...)
		if g.Verbs != 0 {
			text = append(append(text, ':'), g.Verbs.String()...)
		}
		text = append(append(text, ' '), g.Target.String()...)
		switch g.Target {
		case protocol.OnePackage:
			text = append(append(text, ' '), g.Package.String()...)
		case protocol.OneScope, protocol.OneOrg:
			text = append(append(text, ' '), g.Scope...)
		}
	}
	return append(text, '"'), nil
}

// UnmarshalJSON reads what MarshalJSON writes.
func (gs *grants) UnmarshalJSON(data []byte) error {
	text, err := unquote(data)
	if err != nil {
		return err
	}
	names := string(text) // of which every name is a part
	list := make(grants, bytes.Count(text, comma)+1)
	for i := range list {
		end := bytes.IndexByte(text, ',')
		if end < 0 {
			end = len(text)
		}
		if err := readGrant(&list[i], text[:end], names[:end]); err != nil {
			return err
		}
		if i+1 < len(list) {
			text, names = text[end+1:], names[end+1:]
		}
	}
	*gs = list
	return nil
}

var comma = []byte{','}

var errGrant = errors.New("token: a record has a grant that is none")

// readGrant reads one grant from text, and its name from names, which is the same.
func readGrant(g *protocol.Grant, text []byte, names string) error {
	may, target, ok := bytes.Cut(text, []byte{' '})
	if !ok {
		return errGrant
	}
	target, name, named := bytes.Cut(target, []byte{' '})
	may, verbs, narrowed := bytes.Cut(may, []byte{':'})
	if err := g.Permission.UnmarshalText(may); err != nil {
		return err
	}
	if narrowed {
		if err := g.Verbs.UnmarshalText(verbs); err != nil {
			return err
		}
		if g.Verbs == 0 {
			return errGrant // "all" narrows nothing, and is not written
		}
	}
	if err := g.Target.UnmarshalText(target); err != nil {
		return err
	}
	switch g.Target {
	case protocol.OnePackage:
		var err error
		if g.Package, err = protocol.ParsePackageName(names[len(names)-len(name):]); err != nil {
			return err
		}
	case protocol.OneScope, protocol.OneOrg:
		g.Scope = names[len(names)-len(name):]
	default:
		if named {
			return errGrant
		}
	}
	return g.Validate()
}

// ranges are CIDRs with commas in between.
type ranges []netip.Prefix

// MarshalJSON returns the text as a JSON string. A range that is not valid is an error.
func (rs ranges) MarshalJSON() ([]byte, error) {
	text := []byte{'"'}
	for i, p := range rs {
		if !p.IsValid() {
			return nil, errors.New("token: a range that is no CIDR")
		}
		if i > 0 {
			text = append(text, ',')
		}
		text = p.AppendTo(text)
	}
	return append(text, '"'), nil
}

// UnmarshalJSON reads what MarshalJSON writes. An empty text is an error: without ranges
// a token may be used from anywhere.
func (rs *ranges) UnmarshalJSON(data []byte) error {
	quoted, err := unquote(data)
	if err != nil {
		return err
	}
	text := string(quoted)
	list := make(ranges, 0, strings.Count(text, ",")+1)
	for part := range strings.SplitSeq(text, ",") {
		p, err := netip.ParsePrefix(part)
		if err != nil {
			return fmt.Errorf("token: a record has a range that is no CIDR")
		}
		list = append(list, p)
	}
	*rs = list
	return nil
}

// numbers are the numbers Everyone, All and Kind, in base 36 with dots in between.
type numbers subject.Numbers

func (n numbers) append(text []byte) []byte {
	text = append(strconv.AppendUint(text, n.Everyone, 36), '.')
	text = append(strconv.AppendUint(text, n.All, 36), '.')
	return strconv.AppendUint(text, n.Kind, 36)
}

// MarshalJSON returns the text as a JSON string.
func (n numbers) MarshalJSON() ([]byte, error) {
	return append(n.append([]byte{'"'}), '"'), nil
}

// UnmarshalJSON reads what MarshalJSON writes.
func (n *numbers) UnmarshalJSON(data []byte) error {
	text, err := unquote(data)
	if err != nil {
		return err
	}
	var got numbers
	everyone, rest, _ := bytes.Cut(text, []byte{'.'})
	all, kind, _ := bytes.Cut(rest, []byte{'.'})
	for _, part := range []struct {
		n    *uint64
		text []byte
	}{{&got.Everyone, everyone}, {&got.All, all}, {&got.Kind, kind}} {
		if *part.n, err = strconv.ParseUint(string(part.text), 36, 64); err != nil {
			return errors.New("token: a record has numbers that are none")
		}
	}
	*n = got
	return nil
}

// unquote returns the content of a JSON string that needs no escapes. Null is an error:
// encoding/json would otherwise skip it as if the field were missing.
func unquote(data []byte) ([]byte, error) {
	if len(data) < 2 || data[0] != '"' || bytes.IndexByte(data, '\\') >= 0 {
		return nil, errors.New("token: a record has a field of the wrong type")
	}
	return data[1 : len(data)-1], nil
}
