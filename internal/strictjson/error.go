package strictjson

import "fmt"

// What can be wrong with a document, in words for the person who sent it.
const (
	problemSyntax    = "syntax error"
	problemEOF       = "unexpected end"
	problemTrailing  = "data after the end"
	problemBOM       = "byte order mark"
	problemUTF8      = "invalid UTF-8"
	problemControl   = "control character in a string"
	problemEscape    = "invalid escape sequence"
	problemSurrogate = "unpaired surrogate"
	problemDuplicate = "duplicate key"
	problemKeyLong   = "key too long"
	problemKeys      = "too many keys"
	problemDepth     = "nested too deep"
)

// An Error says why a document was refused. Its text is made for the sender: it
// is short, and holds neither a value of the document nor a key, except the keys
// of the struct that was asked for.
type Error struct {
	Problem string
	Field   string // path of the field it is about; "" for the whole body
	Offset  int64  // bytes before the place; -1 if it is about a field or the whole
}

// Error returns the text for the sender.
func (e *Error) Error() string {
	switch {
	case e.Field != "":
		return fmt.Sprintf("field %q %s", e.Field, e.Problem)
	case e.Offset < 0:
		return "the body " + e.Problem
	}
	return fmt.Sprintf("invalid JSON: %s at byte %d", e.Problem, e.Offset)
}
