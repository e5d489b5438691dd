// Hello is a whole npm registry, in memory: sign up at http://127.0.0.1:4876/-/auth/signup and npm login --registry=http://127.0.0.1:4876/
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"log"
	"maps"
	"net/http"
	"sync"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/packument"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/wire"
)

type registry struct {
	base string
	sync.Mutex
	packages map[protocol.PackageName]*pkg // none is ever removed, so that its name is its ID
}

type pkg struct {
	Name     string            `json:"name"`
	Versions map[string]any    `json:"versions"`
	Tags     map[string]string `json:"dist-tags"`
	owner    protocol.UserID
	tarballs map[string][]byte // by version
}

func (g *registry) Facts(_ context.Context, name protocol.PackageName, user protocol.UserID) (policy.Facts, error) {
	g.Lock()
	defer g.Unlock()
	p, rights := g.packages[name], policy.RightRead // what npmauth is told: whether there is one, and what the user may do with it now
	switch {
	case p == nil:
		return policy.Facts{MayCreate: user != ""}, nil
	case p.owner == user:
		rights |= policy.RightWrite | policy.RightAdmin
	}
	return policy.Facts{ID: protocol.PackageID(p.Name), Rights: rights}, nil
}

func (g *registry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if answer, err := g.serve(r.Context(), http.MaxBytesReader(w, r.Body, 64<<20)); err != nil {
		npmauth.WriteError(w, r, err)
	} else {
		_, _ = w.Write(answer)
	}
}

func (g *registry) serve(ctx context.Context, r io.Reader) ([]byte, error) {
	body, unread := io.ReadAll(r) // a publish has no end before npmauth has allowed all of it
	op, _ := host.OperationFrom(ctx)
	who, _ := host.IdentityFrom(ctx)
	g.Lock()
	defer g.Unlock()
	p := g.packages[op.Package]
	switch {
	case op.Action == protocol.ReadPackument && p != nil && op.Version == "" && op.Tag == "":
		return json.Marshal(p)
	case op.Action == protocol.ReadTarball && p != nil && p.tarballs[op.Version] != nil:
		return p.tarballs[op.Version], nil
	case op.Action != protocol.Publish:
		return nil, &wire.Error{Status: 404, Code: "not-found", Sentence: "This registry does not have that."}
	}
	change, err := op.Change()
	manifest, tarball, bad := packument.Split(body, change.Version)
	switch err := errors.Join(unread, err, bad); {
	case err != nil:
		return nil, err
	case (p == nil) != (op.PackageID == ""), p != nil && p.Versions[change.Version] != nil, change.Access == "restricted": // or somebody was faster
		return nil, &wire.Error{Status: 403, Code: "refused", Sentence: "That version exists, or is to be private: all is public here."}
	case p == nil:
		p = &pkg{op.Package.String(), map[string]any{}, map[string]string{}, who.User, map[string][]byte{}}
		g.packages[op.Package] = p
	}
	manifest["dist"].(map[string]any)["tarball"] = g.base + p.Name + "/-/" + op.Package.Name + "-" + change.Version + ".tgz"
	p.Versions[change.Version], p.tarballs[change.Version] = manifest, tarball
	maps.Copy(p.Tags, change.Tags)
	return []byte("{}"), nil
}

func main() {
	addr := flag.String("addr", "127.0.0.1:4876", "listen at this `address`")
	flag.Parse()
	g := &registry{base: "http://" + *addr + "/", packages: map[protocol.PackageName]*pkg{}}
	auth, err := npmauth.New(npmauth.Config{BaseURL: g.base, Store: store.NewMemory(), Packages: g, OpenSignUp: true})
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe(*addr, auth.Wrap(g)))
}
