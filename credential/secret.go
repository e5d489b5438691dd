package credential

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// A Secret is a token, password or code in memory. fmt with every verb, slog, and every encoder
// of text or JSON print "[redacted]"; only [Secret.Reveal] returns the text. The zero value has
// no text. Secrets do not compare with ==, see [Secret.Equal].
type Secret struct {
	_ [0]func() // == on the pointers would be true of copies only
	// Behind a pointer, because fmt reads the fields of a struct that it reaches through an
	// unexported field without calling any method: it then prints the pointer.
	text *string
}

// NewSecret returns a Secret with the text; "" gives the zero value.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{text: &text}
}

// Reveal returns the text. The caller must not print it.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsZero reports whether s has no text.
func (s Secret) IsZero() bool { return s.text == nil }

// Equal reports whether both have the same text, in a time that does not depend on where they
// differ. Two zero Secrets are not equal, so that a missing secret never matches a missing one.
func (s Secret) Equal(other Secret) bool {
	if s.IsZero() || other.IsZero() {
		return false
	}
	// Digests, because comparing the texts would reveal their lengths.
	a, b := sha256.Sum256([]byte(*s.text)), sha256.Sum256([]byte(*other.text))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// Format prints "[redacted]" whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// String returns "[redacted]".
func (s Secret) String() string { return redacted }

// LogValue returns "[redacted]".
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns "[redacted]", and so does the JSON of s.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// UnmarshalText sets the text of s, so that the body of a request can be decoded into a Secret.
// It refuses the result of MarshalText: a record that was written and read back must not become
// a secret that everyone knows.
func (s *Secret) UnmarshalText(text []byte) error {
	if string(text) == redacted {
		return errors.New("credential: a redacted secret cannot be read back")
	}
	*s = NewSecret(string(text))
	return nil
}

// Reveal returns the texts of several secrets, such as recovery codes, for the response that shows
// them. The caller must not print them.
func Reveal(secrets []Secret) []string {
	texts := make([]string, len(secrets))
	for i, s := range secrets {
		texts[i] = s.Reveal()
	}
	return texts
}
