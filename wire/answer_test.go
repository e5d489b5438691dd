package wire_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/legacy"
	"github.com/npmauth/npmauth/packument"
	"github.com/npmauth/npmauth/subject"
	"github.com/npmauth/npmauth/token"
	"github.com/npmauth/npmauth/wire"
)

// refusedCode is an error of a code that was refused, as package twofactor has.
type refusedCode struct{}

func (refusedCode) Error() string    { return "refused" }
func (refusedCode) Unwrap() error    { return subject.ErrFactorRequired }
func (refusedCode) Sentence() string { return "That code was used already." }

// The errors of the parts that are about what a client has sent say how they are answered.
func TestAnswer(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want wire.Error
	}{
		{wire.InvalidToken, *wire.InvalidToken},
		{&http.MaxBytesError{}, *wire.TooLarge},
		{legacy.ErrSunset, wire.Error{Status: 410, Code: legacy.ErrSunset.Code, Sentence: legacy.ErrSunset.Sentence}},
		{packument.ErrStale, wire.Error{Status: 409, Code: "conflict", Sentence: packument.ErrStale.Sentence}},
		{&packument.ChangeError{Code: packument.CodeDocument, Sentence: "No."}, wire.Error{Status: 400, Code: "bad-document", Sentence: "No."}},
		{&packument.Error{Problem: "x"}, wire.Error{Status: 400, Code: "bad-publish", Sentence: "The registry refused the package: x."}},
		{&token.SpecError{Field: "name", Problem: "is bad"}, wire.Error{Status: 400, Code: "bad-token-request", Sentence: "name is bad"}},
		{subject.ErrFactorRequired, wire.Error{Challenge: &wire.Challenge{}}},
		{refusedCode{}, wire.Error{Challenge: &wire.Challenge{}, Sentence: "That code was used already."}},
		{&account.PasswordError{Why: "it is short"}, wire.Error{Status: 400, Code: "bad-password", Sentence: "Choose another password: it is short."}},
	} {
		got, ok := wire.Answer(fmt.Errorf("wrapped: %w", tt.err))
		assert.True(t, ok, "%v", tt.err)
		assert.Equal(t, &tt.want, got)
	}
	for _, err := range []error{nil, errors.New("x"), token.ErrNotFound} {
		got, ok := wire.Answer(err)
		assert.False(t, ok)
		assert.Nil(t, got)
	}
}
