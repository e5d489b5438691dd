package wire

import (
	"errors"
	"net/http"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/subject"
)

// An answerer is an error of a part that says how it is answered: status is HTTP's, code is for
// programs, and sentence is for the person at the terminal.
type answerer interface {
	error
	Answer() (status int, code, sentence string)
}

// A retryable is an answerer that says how many seconds the client should wait.
type retryable interface {
	answerer
	RetryAfter() int
}

// A refusedValue is an error of a second factor that was presented and refused, and says why.
type refusedValue interface {
	error
	Sentence() string
}

// Answer returns the answer to a request that failed with err:
//
//   - an [*Error] that it wraps;
//   - for a [*policy.DeniedError], the [Refusal];
//   - for an error of package subject about a credential or a sign-in: [InvalidToken],
//     [WrongLogin], or a [Challenge] that asks for a typed code, and says why one that was presented
//     was refused if the error has a method Sentence, as those of package twofactor have;
//   - what an error with a method Answer returns, as those of packages legacy, packument, token
//     and account that are about what the client has sent;
//   - [TooLarge] for a body that is larger than an [http.MaxBytesReader] allows.
//
// ok is false for any other error, for which the caller chooses the answer: [Unavailable] if it
// knows none.
func Answer(err error) (e *Error, ok bool) {
	if errors.As(err, &e) {
		return e, true
	}
	if denied, ok := errors.AsType[*policy.DeniedError](err); ok {
		return Refusal(denied.Operation, denied.Decision, denied.Anonymous), true
	}
	switch {
	case errors.Is(err, subject.ErrFactorRequired):
		e = &Error{Challenge: &Challenge{}}
		if refused, ok := errors.AsType[refusedValue](err); ok {
			e.Sentence = refused.Sentence()
		}
		return e, true
	case errors.Is(err, subject.ErrNoCredential), errors.Is(err, subject.ErrAddress):
		return InvalidToken, true
	case errors.Is(err, subject.ErrDenied):
		return WrongLogin, true
	}
	if a, ok := errors.AsType[answerer](err); ok {
		status, code, sentence := a.Answer()
		e = &Error{Status: status, Code: code, Sentence: sentence}
		if waits, ok := errors.AsType[retryable](err); ok {
			e.RetryAfter = waits.RetryAfter()
		}
		return e, true
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return TooLarge, true
	}
	return nil, false
}
