package legacy

import (
	"errors"
	"io"
	"mime"
	"net/http"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/internal/strictjson"
)

// A document is the body of a PUT. Its fields are all that npm 6 to 12, Yarn,
// pnpm and npm's documentation of the request know.
type document struct {
	ID       *string  `json:"_id"`
	Name     string   `json:"name"`
	Password *string  `json:"password"`
	Email    *string  `json:"email"`
	Type     *string  `json:"type"`  // means nothing
	Roles    []string `json:"roles"` // means nothing
	Date     *string  `json:"date"`  // means nothing

	// Once, these narrowed the token of the answer. A session cannot be narrowed,
	// and what asked for less must not get more: they are refused unless they ask
	// for nothing.
	ReadOnly bool     `json:"readonly"`
	CIDR     []string `json:"cidr_whitelist"`
}

// A login is what a valid document asks for.
type login struct {
	name     string
	email    string // "": not said
	password credential.Secret
	otp      credential.Secret
}

// read returns what r asks for in the name of name, which is the path's.
func read(w http.ResponseWriter, r *http.Request, name string) (login, error) {
	if !validName(name) {
		return login{}, badRequest("bad-name", "This is not a valid user name.")
	}
	// A browser's form can send other types across origins, and only those.
	if typ, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || typ != "application/json" {
		return login{}, badMediaType("The body must be application/json.")
	}
	if r.Header.Get("Content-Encoding") != "" {
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

// validName reports whether name could be a user's. npm's clients refuse a name
// that encodeURIComponent would change; the case and the leading character, about
// which npm is stricter for new names, are left to whoever knows the names.
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
