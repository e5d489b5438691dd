package legacy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/internal/header"
)

// Put answers PUT /-/user/org.couchdb.user:<name>: it signs name in, or creates the account
// first, and writes 201 with the secret of the new credential as token. name is decoded from
// the path.
func (h *Handler) Put(w http.ResponseWriter, r *http.Request, name string) {
	h.put(w, r, func() error {
		client := h.cfg.Client(r)
		l, err := read(w, r, name)
		if err != nil {
			return err
		}
		notice := func(text string) { w.Header().Add("Npm-Notice", text) }
		secret, err := h.signIn(r.Context(), l, client, notice, h.mayCreate(r.Header, l))
		if err != nil {
			return err
		}
		// Yarn 1 takes an answer without ok for a wrong password.
		return write(w, http.StatusCreated, struct {
			OK    bool   `json:"ok"`
			ID    string `json:"id"`
			Rev   string `json:"rev"`
			Token string `json:"token"`
		}{true, prefix + l.name, "1-0", secret.Reveal()})
	})
}

// PutRevision answers PUT /-/user/org.couchdb.user:<name>/-rev/<rev>, with which
// clients once changed a document after a 409. Put answers no 409, and documents
// cannot be changed: it is always refused.
func (h *Handler) PutRevision(w http.ResponseWriter, r *http.Request) {
	h.put(w, r, func() error { return ErrUpdate })
}

// Get answers GET /-/user/org.couchdb.user:<name> with name and e-mail address,
// which npm owner add writes into a packument.
func (h *Handler) Get(w http.ResponseWriter, r *http.Request, name string) {
	if err := h.get(w, r, name); err != nil {
		h.cfg.Fail(w, r, err)
	}
}

func (h *Handler) get(w http.ResponseWriter, r *http.Request, name string) error {
	if h.cfg.ReadUser == nil {
		return ErrNoReader
	}
	if !validName(name) {
		return badRequest("bad-name", "This is not a valid user name.")
	}
	u, err := h.cfg.ReadUser(r, name)
	if err != nil {
		return err
	}
	return write(w, http.StatusOK, struct {
		ID    string `json:"_id"`
		Name  string `json:"name"`
		Email string `json:"email"`
	}{prefix + u.Name, u.Name, u.Email})
}

// put runs fn unless PUT is off, in a brown-out or past its sunset.
func (h *Handler) put(w http.ResponseWriter, r *http.Request, fn func() error) {
	now := h.cfg.Now()
	err := h.refused(now)
	if !h.cfg.Off {
		maps.Copy(w.Header(), h.notes)
	}
	if err == nil {
		if text := h.notice(now); text != "" {
			w.Header().Set("Npm-Notice", text)
		}
		err = fn()
	}
	if err != nil {
		h.cfg.Fail(w, r, err)
	}
}

// mayCreate reports whether a login of a name that is free may create its account.
func (h *Handler) mayCreate(of http.Header, l login) bool {
	return h.cfg.SignUp != nil && (h.cfg.SignUpAtLogin || l.email != "" && isAddUser(of))
}

// isAddUser reports whether npm says that its command is adduser. npm 6 says so in its referer,
// which is its command line there.
func isAddUser(h http.Header) bool {
	command := header.Single(h, "Npm-Command")
	if len(h["Npm-Command"]) == 0 {
		command, _, _ = strings.Cut(header.Single(h, "Referer"), " ")
	}
	return command == "adduser"
}

func (h *Handler) signIn(ctx context.Context, l login, client Client, notice func(string), create bool) (credential.Secret, error) {
	in := SignIn{Name: l.name, Password: l.password, OTP: l.otp, Client: client, Notice: notice}
	secret, denied := h.cfg.SignIn(ctx, in)
	if !create || !errors.Is(denied, ErrDenied) {
		return secret, denied
	}
	// Denied may mean that there is no such account. SignUp creates one, or returns
	// ErrNameTaken, and then the password was wrong.
	err := h.cfg.SignUp(ctx, l.name, l.email, l.password)
	if errors.Is(err, ErrNameTaken) {
		return credential.Secret{}, fmt.Errorf("%w: %w", denied, err)
	}
	if err != nil {
		return credential.Secret{}, err
	}
	return h.cfg.SignIn(ctx, in)
}

// write answers with v as JSON.
func write(w http.ResponseWriter, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(body) // an error means that the client has disconnected
	return nil
}
