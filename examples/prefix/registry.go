package main

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"strconv"
	"sync"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/packument"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/wire"
)

// A registry keeps packages in memory. Everybody who is logged in reads them, who has published the first
// version publishes the others.
type registry struct {
	base     string
	mu       sync.Mutex
	packages map[protocol.PackageName]*pkg // guarded by mu
	serial   int                           // of packages, guarded by mu
}

type pkg struct {
	id        protocol.PackageID // no other package ever has it, nor the next one of this name
	owner     protocol.UserID
	manifests map[string]any    // by version
	tarballs  map[string][]byte // by version
	tags      map[string]string
}

func newRegistry(base string) *registry {
	return &registry{base: base, packages: map[protocol.PackageName]*pkg{}}
}

// Facts implements [host.Packages].
func (g *registry) Facts(_ context.Context, name protocol.PackageName, user protocol.UserID) (policy.Facts, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := g.packages[name]
	if p == nil {
		return policy.Facts{MayCreate: user != ""}, nil
	}
	facts := policy.Facts{ID: p.id, Private: true}
	if user != "" {
		facts.Rights = policy.RightRead
	}
	if user == p.owner {
		facts.Rights |= policy.RightWrite | policy.RightAdmin
	}
	return facts, nil
}

var (
	errAbsent = &wire.Error{Status: http.StatusNotFound, Code: "not-found", Sentence: "This registry does not have that."}
	errExists = &wire.Error{Status: http.StatusForbidden, Code: "exists", Sentence: "That version exists. Publish another one."}
	errPublic = &wire.Error{Status: http.StatusForbidden, Code: "private-only", Sentence: "Packages are private here. Publish without --access public."}
	errMoved  = &wire.Error{Status: http.StatusConflict, Code: "conflict", Sentence: "The package has changed. Try again."}
)

// ServeHTTP goes by the operation that npmauth allowed, and so the prefix does not matter to it.
func (g *registry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	op, _ := host.OperationFrom(r.Context())
	var err error
	switch op.Action {
	case protocol.ReadPackument:
		err = g.packument(w, op)
	case protocol.ReadTarball:
		err = g.tarball(w, op)
	case protocol.Publish:
		err = g.publish(w, r, op)
	default:
		err = errAbsent
	}
	if err != nil {
		npmauth.WriteError(w, r, err)
	}
}

func (g *registry) packument(w http.ResponseWriter, op host.Operation) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := g.packages[op.Package]
	if p == nil || op.Version != "" || op.Tag != "" {
		return errAbsent
	}
	wire.WriteJSON(w, http.StatusOK, map[string]any{"name": op.Package, "versions": p.manifests, "dist-tags": p.tags})
	return nil
}

func (g *registry) tarball(w http.ResponseWriter, op host.Operation) error {
	g.mu.Lock()
	p := g.packages[op.Package]
	var data []byte
	if p != nil {
		data = p.tarballs[op.Version]
	}
	g.mu.Unlock()
	if data == nil {
		return errAbsent
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	_, err := w.Write(data)
	return err
}

func (g *registry) publish(w http.ResponseWriter, r *http.Request, op host.Operation) error {
	body, unread := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<20)) // without mu: npmauth calls Facts meanwhile
	change, refused := op.Change()
	if err := errors.Join(unread, refused); err != nil {
		return err
	}
	manifest, tarball, err := packument.Split(body, change.Version)
	if err != nil {
		return err
	}
	manifest["dist"].(map[string]any)["tarball"] = g.base + op.Package.String() + "/-/" + op.Package.Name + "-" + change.Version + ".tgz"
	who, _ := host.IdentityFrom(r.Context())
	id, err := g.store(op, who, change, manifest, tarball)
	if err == nil && op.PackageID == "" {
		err = op.Created(r.Context(), id) // without mu, as above
	}
	if err == nil {
		wire.WriteJSON(w, http.StatusOK, struct{}{})
	}
	return err
}

func (g *registry) store(op host.Operation, who host.Identity, change protocol.Change, manifest map[string]any, tarball []byte) (protocol.PackageID, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := g.packages[op.Package]
	if p == nil {
		p = &pkg{"", who.Owns(), map[string]any{}, map[string][]byte{}, map[string]string{}}
	}
	switch {
	case p.id != op.PackageID: // what was allowed is a write to this package, and with "" a new one
		return "", errMoved
	case p.manifests[change.Version] != nil:
		return "", errExists
	case change.Access == "public":
		return "", errPublic
	case p.id == "":
		g.serial++
		p.id, g.packages[op.Package] = protocol.PackageID(strconv.Itoa(g.serial)), p
	}
	p.manifests[change.Version], p.tarballs[change.Version] = manifest, tarball
	maps.Copy(p.tags, change.Tags)
	return p.id, nil
}
