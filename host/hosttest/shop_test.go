package hosttest

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
)

// A shop is a registry in memory that keeps its side of the contract, but for one
// carelessness.
type shop struct {
	careless string
	base     string        // where it is served
	room     chan struct{} // what a careless host holds while it reads a body

	mu    sync.Mutex
	ids   int
	goods map[protocol.PackageName]*good
	rule  bool                           // acme requires a second factor of its members
	stale map[protocol.PackageName]*good // what facts were asked for first, of a host that remembers
	names func(protocol.UserID) string
	kept  map[string]staging // what is staged, by its ID

	readers map[string]io.Reader // of tarballs that are compared, of a host that opens each once
}

type good struct {
	id      protocol.PackageID
	rev     int
	owners  []string
	private bool
	docs    map[string]json.RawMessage // manifests by version
	files   map[string][]byte
	tags    map[string]string
	why     map[string]string // deprecated
	stars   map[string]bool
	newest  host.NPMUser               // of the version that was published last
	stored  map[string]json.RawMessage // fields of a document that was stored as it came
}

func newShop(careless string) *shop {
	return &shop{careless: careless, base: "http://registry.example/", room: make(chan struct{}, 1), goods: map[protocol.PackageName]*good{}, stale: map[protocol.PackageName]*good{}, kept: map[string]staging{}, readers: map[string]io.Reader{}}
}

// enter waits until nobody holds what a careless host holds while it reads a body.
func (s *shop) enter(ctx context.Context) error {
	switch s.careless {
	case "reads under a lock", "reads one publish at a time":
		s.room <- struct{}{}
	case "reads in a transaction":
		select {
		case s.room <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (s *shop) leave() {
	select {
	case <-s.room:
	default:
	}
}

func (s *shop) Facts(ctx context.Context, pkg protocol.PackageName, user protocol.UserID) (policy.Facts, error) {
	if s.careless != "reads one publish at a time" {
		if err := s.enter(ctx); err != nil {
			return policy.Facts{}, err
		}
		s.leave()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.careless == "panics in Facts" {
		panic("boom")
	}
	g := s.goods[pkg]
	if s.careless == "remembers owners" && g != nil {
		if was := s.stale[pkg]; was != nil && was.id == g.id && len(was.owners) > len(g.owners) {
			g = was
		} else {
			copied := *g
			s.stale[pkg] = &copied
		}
	}
	if g == nil {
		others := strings.HasPrefix(pkg.Scope, "u-") && pkg.Scope != string(user) && s.careless != "lets everybody into a user's scope"
		return policy.Facts{MayCreate: user != "" && !others && s.careless != "lets nobody create"}, nil
	}
	f := policy.Facts{ID: g.id, Private: g.private, RequireFactor: pkg.Scope == "acme" && s.rule && s.careless != "forgets the rule of packages"}
	if s.careless != "keeps no evidence" {
		f.Evidence = g.newest.Evidence()
	}
	switch {
	case user != "" && slices.Contains(g.owners, s.names(user)):
		f.Rights = policy.RightRead | policy.RightWrite | policy.RightAdmin
	case !g.private:
		f.Rights = policy.RightRead
	}
	return f, nil
}

func (s *shop) Document(_ context.Context, pkg protocol.PackageName) (host.Document, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.goods[pkg]
	if g == nil {
		return host.Document{}, nil
	}
	rev := strconv.Itoa(g.rev)
	if s.careless == "hides revisions" {
		rev = ""
	}
	d := host.Document{ID: g.id, Revision: rev, Versions: map[string]string{}, Tags: maps.Clone(g.tags), Maintainers: slices.Clone(g.owners)}
	for v := range g.docs {
		d.Versions[v] = g.why[v]
	}
	return d, nil
}

var (
	errGone     = errors.New("gone")
	errConflict = errors.New("conflict")
)

func (s *shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	op, _ := host.OperationFrom(r.Context())
	switch {
	case s.careless == "panics" && op.Action.Write():
		panic("boom")
	case s.careless == "aborts" && op.Action.Write():
		w.WriteHeader(http.StatusOK)
		panic(http.ErrAbortHandler)
	}
	who, _ := host.IdentityFrom(r.Context())
	var body []byte
	var err error
	if op.Action == protocol.Search || op.Action == protocol.ListPackages || op.Action == protocol.ListOrgPackages {
		body, err = s.list(r.Context(), who.Name)
	} else {
		body, err = s.serve(r, op, who.Name)
	}
	switch {
	case err == nil:
		_, _ = w.Write(body)
	case errors.Is(err, errGone):
		w.WriteHeader(http.StatusNotFound)
	default:
		w.WriteHeader(http.StatusConflict)
	}
}

func (s *shop) serve(r *http.Request, op host.Operation, who string) ([]byte, error) {
	switch op.Action {
	case protocol.Publish:
		id, err := s.publish(r, op)
		if err == nil && op.PackageID == "" && s.careless != "tells nobody" && !(s.careless == "tells of people" && who == "") && !(s.careless == "tells of publishers" && who != "") {
			err = op.Created(r.Context(), id)
		}
		return []byte("{}"), err
	case protocol.Stage:
		return s.stage(r, op)
	case protocol.ReadStaged, protocol.ApproveStaged, protocol.RejectStaged:
		return s.serveStaged(r, op)
	}
	sent, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.goods[op.Package]
	if g == nil || g.id != op.PackageID && s.careless != "ignores PackageID" {
		return nil, errConflict
	}
	c, _ := op.Change()
	if c.Revision != "" && c.Revision != strconv.Itoa(g.rev) && s.careless != "stores the body" {
		return nil, errConflict
	}
	if op.Action.Write() {
		g.rev++
	}
	if s.careless == "stores the body" && op.Action.Write() && sent != nil && op.Action != protocol.SetDistTag {
		return nil, g.store(sent)
	}
	switch op.Action {
	case protocol.ReadPackument:
		return s.render(op.Package, g), nil
	case protocol.ReadTarball:
		if data, ok := g.files[op.Version]; ok {
			return data, nil
		}
		return nil, errGone
	case protocol.SetDistTag:
		var v string
		if json.Unmarshal(sent, &v) != nil || g.docs[v] == nil {
			return nil, errConflict
		}
		g.tags[op.Tag] = v
	case protocol.RemoveDistTag:
		if g.tags[op.Tag] == "" {
			return nil, errGone
		}
		delete(g.tags, op.Tag)
	case protocol.Deprecate:
		for v, why := range c.Deprecated {
			if g.docs[v] == nil {
				return nil, errConflict
			}
			g.why[v] = why
		}
	case protocol.Unpublish:
		for _, v := range c.Removed {
			if g.docs[v] == nil {
				return nil, errConflict
			}
			delete(g.docs, v)
			if s.careless != "keeps tarballs" {
				delete(g.files, v)
			}
		}
		for tag, v := range c.Tags {
			g.tags[tag] = v
			if v == "" {
				delete(g.tags, tag)
			}
		}
	case protocol.UnpublishAll:
		switch {
		case s.careless == "unpublishes nothing":
			return nil, errGone
		case op.Revision != strconv.Itoa(g.rev-1) && s.careless != "removes any revision":
			return nil, errConflict
		}
		delete(s.goods, op.Package)
	case protocol.WriteOwners:
		g.owners = c.Maintainers
	case protocol.Star:
		if s.careless == "takes no stars" {
			return nil, errGone
		}
		delete(g.stars, who)
		if c.Starred {
			g.stars[who] = true
		}
		if s.careless == "takes others' stars" {
			var d struct{ Users map[string]bool }
			_ = json.Unmarshal(sent, &d)
			g.stars = d.Users
		}
	default:
		return nil, errGone
	}
	return []byte("{}"), nil
}

// store is what a careless host does with a document.
func (g *good) store(sent []byte) error {
	var d struct {
		Versions    map[string]json.RawMessage
		Maintainers []struct{ Name string }
		Tags        map[string]string `json:"dist-tags"`
		Users       map[string]bool
	}
	if err := json.Unmarshal(sent, &d); err != nil {
		return err
	}
	_ = json.Unmarshal(sent, &g.stored)
	if d.Versions != nil {
		g.docs, g.tags = d.Versions, d.Tags
	}
	if d.Maintainers != nil {
		g.owners = nil
		for _, m := range d.Maintainers {
			g.owners = append(g.owners, m.Name)
		}
	}
	if d.Users != nil {
		g.stars = d.Users
	}
	return nil
}

// A sending is the document of a publish.
type sending struct {
	Versions    map[string]map[string]any
	Attachments map[string]struct{ Data string } `json:"_attachments"`
	Access      string
}

// receive reads the document of a publish to its end, and what it may do.
func (s *shop) receive(r *http.Request, op host.Operation) (d sending, c protocol.Change, err error) {
	if err := s.enter(r.Context()); err != nil {
		return d, c, err
	}
	data, err := io.ReadAll(r.Body)
	s.leave()
	if err != nil && s.careless == "reads no end" { // as one that stores while it reads would
		data, err = append(data, '}'), nil
	}
	if err == nil {
		err = json.Unmarshal(data, &d)
	}
	if err != nil {
		return d, c, err
	}
	c, err = op.Change()
	if err != nil && s.careless != "reads no end" {
		return d, c, err
	}
	if err != nil { // what it would have taken from the body
		for v := range d.Versions {
			c.Version = v
		}
		c.Tags = map[string]string{"latest": c.Version}
	}
	return d, c, nil
}

func (s *shop) publish(r *http.Request, op host.Operation) (protocol.PackageID, error) {
	d, c, err := s.receive(r, op)
	if err != nil {
		return "", err
	}
	by, _ := host.IdentityFrom(r.Context())
	if s.careless == "wants users" && by.Name == "" {
		return "", errConflict
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.put(op, by.Name, s.owner(by), by.NPMUser(""), d, c)
}

// put publishes a document on behalf of who, or of nobody, and returns the ID of the package, which is the owner's if
// there is none yet. s.mu is held.
func (s *shop) put(op host.Operation, who, owner string, by host.NPMUser, d sending, c protocol.Change) (_ protocol.PackageID, err error) {
	g := s.goods[op.Package]
	switch {
	case g == nil && (op.PackageID == "" || s.careless == "ignores PackageID"):
		s.ids++
		g = &good{
			id: protocol.PackageID(strconv.Itoa(s.ids)), owners: []string{owner}, private: c.Access == "restricted" || s.careless == "all is private",
			docs: map[string]json.RawMessage{}, files: map[string][]byte{}, tags: map[string]string{}, why: map[string]string{}, stars: map[string]bool{},
		}
		s.goods[op.Package] = g
	case g == nil || g.id != op.PackageID && s.careless != "ignores PackageID":
		return "", errConflict
	case g.docs[c.Version] != nil && s.careless != "publishes over" && s.careless != "approves once more":
		return "", errConflict
	}
	if s.careless == "applies access" { // where a body is silent it takes npm's default
		g.private = d.Access == "restricted"
	}
	for _, a := range d.Attachments {
		if g.files[c.Version], err = base64.StdEncoding.DecodeString(a.Data); err != nil {
			return "", err
		}
	}
	if s.careless == "thanks who publishes" && !slices.Contains(g.owners, who) {
		g.owners = append(g.owners, who)
	}
	if s.careless != "goes by numbers" || !slices.ContainsFunc(slices.Collect(maps.Keys(g.docs)), func(v string) bool { return v > c.Version }) {
		g.newest = by
	}
	m := d.Versions[c.Version]
	m["_npmUser"] = by
	switch s.careless {
	case "names users":
		m["_npmUser"] = host.NPMUser{Name: who}
	case "names owners":
		m["_npmUser"] = host.NPMUser{Name: g.owners[0]}
	}
	if s.careless != "believes addresses" {
		dist, _ := m["dist"].(map[string]any)
		dist["tarball"] = s.base + op.Package.String() + "/-/" + op.Package.Name + "-" + c.Version + ".tgz"
	}
	if g.docs[c.Version], err = json.Marshal(m); err != nil {
		return "", err
	}
	maps.Copy(g.tags, c.Tags)
	g.rev++
	return g.id, nil
}

// owner returns the name of who owns a package that a request creates.
func (s *shop) owner(by host.Identity) string {
	user := by.Owns()
	if s.careless == "creates for the second" && by.Publisher != nil {
		user = "u-2"
	}
	if user == "" {
		return ""
	}
	return s.names(user)
}

func (s *shop) render(pkg protocol.PackageName, g *good) []byte {
	d := map[string]any{"_id": pkg.String(), "name": pkg.String(), "_rev": strconv.Itoa(g.rev), "dist-tags": g.tags, "users": g.stars}
	for k, v := range g.stored {
		if k != "_rev" {
			d[k] = v
		}
	}
	versions, owners := map[string]any{}, []any{}
	for v, raw := range g.docs {
		var m map[string]any
		_ = json.Unmarshal(raw, &m)
		if why := g.why[v]; why != "" {
			m["deprecated"] = why
		}
		versions[v] = m
	}
	for _, o := range g.owners {
		owners = append(owners, map[string]any{"name": o})
	}
	d["versions"], d["maintainers"] = versions, owners
	out, err := json.Marshal(d)
	if err != nil {
		panic(err)
	}
	return out
}

func (s *shop) list(ctx context.Context, who string) ([]byte, error) {
	s.mu.Lock()
	goods := maps.Clone(s.goods)
	s.mu.Unlock()
	all := "packages:"
	for pkg, g := range goods {
		var may bool
		var err error
		switch s.careless {
		case "lists all":
			may = true
		case "lists what users may read":
			may = !g.private || slices.Contains(g.owners, who)
		default:
			may, err = host.Readable(ctx, pkg)
		}
		if err != nil {
			return nil, err
		}
		if may {
			all += " " + pkg.String()
		}
	}
	return []byte(all), nil
}

// OrgFacts says that ada owns acme, and that there is nothing else.
func (s *shop) OrgFacts(_ context.Context, org string, user protocol.UserID) (policy.OrgFacts, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case org != "acme":
		return policy.OrgFacts{}, nil
	case user == "" && s.careless == "hides organizations":
		return policy.OrgFacts{}, nil
	case user == "u-1":
		return policy.OrgFacts{ID: "o-1", Role: protocol.OrgOwner, RequireFactor: s.rule}, nil
	}
	return policy.OrgFacts{ID: "o-1", RequireFactor: s.rule}, nil
}

func (s *shop) FactorRequired(_ context.Context, user protocol.UserID) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rule && user == "u-1", nil
}

func (s *shop) Memberships(_ context.Context, user protocol.UserID) ([]host.Membership, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if user != "u-1" && s.careless != "lists organizations of others" {
		return nil, nil
	}
	return []host.Membership{{Org: "acme", Role: protocol.OrgOwner, RequireFactor: s.rule}}, nil
}

func (s *shop) OwnScope(_ context.Context, user protocol.UserID) (string, error) {
	switch {
	case s.careless == "gives all one scope":
		return "u-1", nil
	case user != "u-1" && user != "u-2" && s.careless != "gives a scope to nobody":
		return "", nil
	}
	return string(user), nil
}

func (s *shop) SetRequireFactor(ctx context.Context, org protocol.OrgID, require bool) (host.Write, error) {
	write := func(context.Context) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if org != "o-1" && s.careless != "sets a rule of any" {
			return errGone
		}
		s.rule = require
		return nil
	}
	if s.careless == "sets a rule at once" {
		return write, write(ctx)
	}
	return write, nil
}
