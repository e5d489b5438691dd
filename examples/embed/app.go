package main

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/wire"
)

// An app is an application that existed before npmauth: the package shelf of a company, with
// people, with API tokens of its own, and a health check. Its tables are maps here; in yours
// they are in a database.
type app struct {
	mu          sync.Mutex
	people      []person               // guarded by mu
	tokens      map[[32]byte]int       // SHA-256 of an API token to a person's number; guarded by mu
	ended       map[[32]byte]time.Time // API tokens that were taken back, and when; guarded by mu
	tokensUntil time.Time              // when the API tokens end
	packages    map[string]*shelved    // guarded by mu
	serial      int                    // of packages, guarded by mu
}

// A person is a row of the app's own table. Its number is the row's ID.
type person struct {
	name, email string
	fullName    string
	verified    bool   // they have confirmed the e-mail address
	hash        string // bcrypt of older passwords, argon2id of newer ones
	left        bool   // no longer with the company
}

// A shelved package belongs to the person who published it. Everyone in the company reads it.
type shelved struct {
	id       int
	owner    int
	releases string                    // how the app let it be published: "any", "person" or "pipeline"
	versions map[string]map[string]any // manifest and tarball, as they were published
	tags     map[string]string
}

func newApp() *app {
	return &app{
		people: []person{
			{name: "nobody", left: true}, // numbers begin at 1
			{name: "ada", email: "ada@acme.test", verified: true, hash: "$2a$10$11ih6mwNRjPn/gGXNxZqH.dbckFBZUA6Bh9e6r12x8IlrR4BQUzz."}, // correct horse battery
			{name: "ben", email: "ben@acme.test", hash: "$2a$10$11ih6mwNRjPn/gGXNxZqH.dbckFBZUA6Bh9e6r12x8IlrR4BQUzz."},
		},
		tokens:      map[[32]byte]int{sha256.Sum256([]byte("acme-0123456789")): 2},
		ended:       map[[32]byte]time.Time{sha256.Sum256([]byte("acme-9876543210")): time.Date(2024, 5, 17, 0, 0, 0, 0, time.UTC)},
		tokensUntil: time.Now().AddDate(0, 6, 0),
		packages: map[string]*shelved{
			"@acme/logo":   oldPackage(1, 1, "any"),
			"@acme/ledger": oldPackage(2, 2, "person"),
			"@acme/icons":  oldPackage(3, 2, "pipeline"),
		},
		serial: 3,
	}
}

// oldPackage returns a package that was on the shelf before npmauth.
func oldPackage(id, owner int, releases string) *shelved {
	return &shelved{
		id: id, owner: owner, releases: releases,
		versions: map[string]map[string]any{"1.0.0": {"version": "1.0.0"}}, tags: map[string]string{"latest": "1.0.0"},
	}
}

// ServeHTTP is the app's handler as before, except that it gets the user and the operation from
// npmauth instead of reading headers and paths itself.
func (a *app) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/healthz":
		io.WriteString(w, "ok\n")
		return
	case "/":
		io.WriteString(w, "Acme's packages. Get an account at /-/auth/signup.\n")
		return
	}
	op, ok := host.OperationFrom(r.Context())
	if !ok {
		http.NotFound(w, r)
		return
	}
	var answer any
	var err error
	switch op.Action {
	case protocol.ReadPackument:
		answer, err = a.read(op)
	case protocol.Publish:
		answer, err = a.publish(w, r, op)
	default:
		err = errNotServed
	}
	if err != nil {
		npmauth.WriteError(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "private, no-cache")
	json.NewEncoder(w).Encode(answer)
}

var (
	errNotServed = &wire.Error{Status: http.StatusNotFound, Code: "not-served", Sentence: "This shelf does not serve that request."}
	errAbsent    = &wire.Error{Status: http.StatusNotFound, Code: "not-found", Sentence: "There is no such package."}
	errTaken     = &wire.Error{Status: http.StatusConflict, Code: "taken", Sentence: "The package has changed meanwhile. Try again."}
	errExists    = &wire.Error{Status: http.StatusForbidden, Code: "exists", Sentence: "That version is published already."}
	errNoColumn  = &wire.Error{Status: http.StatusBadRequest, Code: "no-such-field", Sentence: "This shelf has only your name and your e-mail address. Change no other field."}
	errMoved     = &wire.Error{Status: http.StatusConflict, Code: "conflict", Sentence: "Your profile has changed since. Try again."}
	errBody      = &wire.Error{Status: http.StatusBadRequest, Code: "bad-body", Sentence: "The body could not be read."}
)

func (a *app) read(op host.Operation) (any, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	p := a.packages[op.Package.String()]
	if p == nil || packageID(p) != op.PackageID {
		return nil, errAbsent
	}
	return map[string]any{
		"name": op.Package.String(), "versions": maps.Clone(p.versions), "dist-tags": maps.Clone(p.tags),
	}, nil
}

func (a *app) publish(w http.ResponseWriter, r *http.Request, op host.Operation) (any, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 8<<20))
	if err != nil {
		return nil, errBody
	}
	allowed, err := op.Change()
	if err != nil {
		return nil, err
	}
	var doc struct{ Versions map[string]map[string]any }
	if json.Unmarshal(body, &doc) != nil || doc.Versions[allowed.Version] == nil {
		return nil, errBody
	}
	manifest := doc.Versions[allowed.Version]
	if dist, ok := manifest["dist"].(map[string]any); ok {
		delete(dist, "tarball") // the app decides where it is
	}
	who, _ := host.IdentityFrom(r.Context())
	manifest["_npmUser"] = who.NPMUser("")
	id, err := a.store(op, who, allowed, manifest)
	if err == nil && op.PackageID == "" {
		err = op.Created(r.Context(), id) // asks packages, and so without mu
	}
	if err != nil {
		return nil, err
	}
	return map[string]bool{"ok": true}, nil
}

func (a *app) store(op host.Operation, who host.Identity, allowed protocol.Change, manifest map[string]any) (protocol.PackageID, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	p := a.packages[op.Package.String()]
	// npmauth allowed the request to write the package that it saw, or to create one if it saw
	// none. This is the one line that a host must not forget.
	if packageID(p) != op.PackageID {
		return "", errTaken
	}
	if p == nil {
		owner, err := personNumber(who.Owns()) // of a trusted publisher, who is no person, for whom it publishes
		if err != nil {
			return "", err
		}
		a.serial++
		p = &shelved{id: a.serial, owner: owner, versions: map[string]map[string]any{}, tags: map[string]string{}}
		a.packages[op.Package.String()] = p
	}
	if p.versions[allowed.Version] != nil {
		return "", errExists
	}
	p.versions[allowed.Version] = manifest
	maps.Copy(p.tags, allowed.Tags)
	return packageID(p), nil
}

// packageID returns the ID of a package for npmauth, "" if there is none.
func packageID(p *shelved) protocol.PackageID {
	if p == nil {
		return ""
	}
	return protocol.PackageID(fmt.Sprintf("p%d", p.id))
}

// personID returns the ID of a person for npmauth: their row's number, which no other person
// ever has.
func personID(number int) protocol.UserID { return protocol.UserID(fmt.Sprintf("u%d", number)) }

func personNumber(id protocol.UserID) (int, error) {
	var n int
	if _, err := fmt.Sscanf(string(id), "u%d", &n); err != nil || personID(n) != id {
		return 0, errors.New("not one of our IDs")
	}
	return n, nil
}
