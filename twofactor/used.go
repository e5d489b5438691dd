package twofactor

import (
	"errors"
	"fmt"
	"time"
)

// A UsedError is [ErrWrong] for a value that is right and was used up before. A person is told so:
// another code will do, and nothing is wrong with the app.
//
// Only whoever presents the value itself gets this error, after the credential or the password, and
// of a TOTP code only while it is in its window. It tells them that a value which is good for
// nothing any more was good once: nothing about the key or about another code. The value is counted
// as any other that is refused.
type UsedError struct {
	// Next is when apps begin to show a code that will be accepted. Zero for a value that no app
	// shows, such as an approval.
	Next time.Time

	what string // was used
}

// usedCode returns the error for the code of a step that is not above last, the highest that was
// accepted.
func usedCode(step, last int64) *UsedError {
	e := &UsedError{Next: stepStart(last + 1), what: "That code"}
	if step < last {
		e.what = "A newer code than that one"
	}
	return e
}

// usedValue returns the error for a value that no app shows.
func usedValue(form Form) *UsedError {
	if form == FormRecovery {
		return &UsedError{what: "That recovery code"}
	}
	return &UsedError{what: "That confirmation"}
}

func (e *UsedError) Error() string { return "twofactor: the code was used before" }

// Unwrap returns [ErrWrong].
func (e *UsedError) Unwrap() error { return ErrWrong }

// sentence says what was used, and when there is another.
func (e *UsedError) sentence(now time.Time) string {
	text := e.what + " was used already."
	if e.Next.IsZero() {
		return text
	}
	// Rounded up: who waits for so long is not too early.
	switch n := (e.Next.Sub(now) + time.Second - 1) / time.Second; {
	case n <= 0:
		return text + " Use the one that your app shows now."
	case n == 1:
		return text + " Your app shows the next one in a second."
	default:
		return fmt.Sprintf("%s Your app shows the next one in %d seconds.", text, n)
	}
}

// Sentence returns what to tell the person who presented a value that was refused with err, at the
// time now: "" if err does not wrap [ErrWrong], [ErrLocked], or the [ErrTooMany] of a sign-in. Like
// those errors it is only for whoever has proved the credential or the password.
func Sentence(err error, now time.Time) string {
	used, ok := errors.AsType[*UsedError](err)
	switch {
	case ok:
		return used.sentence(now)
	case errors.Is(err, errKeysOnly):
		return "Only a security key counts. Log in on the registry's page, or use a recovery code."
	case errors.Is(err, ErrLocked):
		return "Codes of this kind are locked after too many wrong ones. Use another kind, such as a recovery code for npm profile disable-2fa, or ask the registry's operator."
	case errors.Is(err, ErrTooMany):
		return "There were too many wrong one-time passwords. Wait for a while, at most fifteen minutes, or use a recovery code."
	case errors.Is(err, ErrWrong):
		return "The one-time password is wrong or too old."
	}
	return ""
}
