package legacy

import (
	"errors"
	"io"
	"net/http"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/internal/header"
	"github.com/npmauth/npmauth/internal/strictjson"
)

// A document is the body of a PUT. Its fields are all those of npm 6 to 12, Yarn, pnpm and
// npm's documentation of the request.
type document struct {
	ID       *string  `json:"_id"`
	Name     string   `json:"name"`
	Password *string  `json:"password"`
	Email    *string  `json:"email"`
	Type     *string  `json:"type"`  // ignored
	Roles    []string `json:"roles"` // ignored
	Date     *string  `json:"date"`  // ignored

	// Older clients restricted the token of the answer with these. A session cannot be
	// restricted, and a client that wants less must not get more: a restriction is refused.
	ReadOnly bool     `json:"readonly"`
	CIDR     []string `json:"cidr_whitelist"`
}

// A login is the content of a valid document.
type login struct {
	name     string
	email    string // "": absent
	password credential.Secret
	otp      credential.Secret
}

// read returns the login in r for the name in its path.
func read(w http.ResponseWriter, r *http.Request, name string) (login, error) {
	if !validName(name) {
		return login{}, ErrName
	}
	// A browser's form can send other types across origins, and no others.
	if header.MediaType(r.Header) != "application/json" {
		return login{}, badMediaType("The body must be application/json.")
	}
	if header.Encoded(r.Header) {
		return login{}, badMediaType("The body must not be compressed.")
	}
	otp := r.Header.Values("Npm-Otp")
	if len(otp) > 1 {
		return login{}, badRequest("ambiguous-otp", "There is more than one npm-otp header.")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	if err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return login{}, &Error{http.StatusRequestEntityTooLarge, "body-too-large", "The body is larger than 64 KiB."}
		}
		return login{}, badRequest("bad-body", "The body could not be read.")
	}
	var d document
	if err := strictjson.Unmarshal(body, &d); err != nil {
		if bad, ok := errors.AsType[*strictjson.Error](err); ok {
			return login{}, badRequest("bad-json", "The body is not a user document: "+bad.Error()+".")
		}
		return login{}, err
	}
	switch {
	case d.Name != name, d.ID != nil && *d.ID != prefix+name:
		return login{}, badRequest("name-mismatch", "The body names another user than the path.")
	case d.Password == nil:
		return login{}, badRequest("no-password", "The body has no password.")
	case d.ReadOnly || len(d.CIDR) > 0:
		return login{}, badRequest("narrow-login", "A login cannot be read-only or bound to addresses. Use: npm token create")
	}
	l := login{name: name, password: credential.NewSecret(*d.Password)}
	if d.Email != nil {
		l.email = *d.Email
	}
	if len(otp) == 1 {
		l.otp = credential.NewSecret(otp[0])
	}
	return l, nil
}

// validName reports whether name could be a user's. npm's clients refuse a name that
// encodeURIComponent would change; SignIn and SignUp check case and leading character, about
// which npm is stricter for new names.
func validName(name string) bool {
	if name == "" || name == "." || name == ".." || len(name) > 214 {
		return false
	}
	for _, c := range []byte(name) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '-', c == '_', c == '.', c == '!', c == '~', c == '*', c == '\'', c == '(', c == ')':
		default:
			return false
		}
	}
	return true
}
