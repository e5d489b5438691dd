package wire

import (
	"errors"
	"net/http"
)

// An answerer is an error of a part that says how it is answered: status is HTTP's, code is for
// programs, and sentence is for the person at the terminal.
type answerer interface {
	error
	Answer() (status int, code, sentence string)
}

// Answer returns the answer that err itself says: an [*Error] that it wraps, or what an error with
// a method Answer returns, as those of packages legacy, packument, token and account do that are
// about what the client has sent. A body that is larger than [http.MaxBytesReader] allows is
// [TooLarge]. ok is false for any other error: the caller knows what it means, or it is
// [Unavailable].
func Answer(err error) (e *Error, ok bool) {
	if errors.As(err, &e) {
		return e, true
	}
	if a, ok := errors.AsType[answerer](err); ok {
		status, code, sentence := a.Answer()
		return &Error{Status: status, Code: code, Sentence: sentence}, true
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return TooLarge, true
	}
	return nil, false
}
