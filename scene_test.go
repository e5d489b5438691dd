package npmauth_test

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/host/hosttest"
	"github.com/npmauth/npmauth/internal/issuertest"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/token"
	"github.com/npmauth/npmauth/trust"
)

// A scene is a world in which alice may do everything and is asked for a second factor
// for it: two packages of three versions, two organizations, two service accounts, two
// tokens of hers and two of a service account's. It remembers nothing, so that its store can
// be put back.
type scene struct {
	*world
	session string
	keys    map[string]string // of tokens, by name, and the text of each as "<name> text"
}

// A setUp is what a scene begins with, so that it is made once.
type setUp struct {
	rows    []store.Item
	ids     map[string]protocol.UserID
	session string
	totp    string
	keys    map[string]string
	clock   time.Time
}

var setUpOnce struct {
	sync.Mutex
	is *setUp
}

func settingUp(t *testing.T) *setUp {
	t.Helper()
	setUpOnce.Lock()
	defer setUpOnce.Unlock()
	if setUpOnce.is != nil {
		return setUpOnce.is
	}
	w := newWorld(t, trusts, stages)
	is := &setUp{ids: w.ids, keys: map[string]string{}}
	is.session = w.alice(protocol.AuthAndWrites)
	for _, name := range []string{"ci", "cd"} {
		w.service(name, w.ids["alice"])
	}
	for i, name := range []string{"t1", "t2", "c1", "c2"} {
		owner := map[byte]string{'t': "alice", 'c': "ci"}[name[0]]
		secret, tok := w.token(owner, token.Spec{Name: fmt.Sprint("token ", i), Grants: grantAll(protocol.ReadWrite), Bypass: true, Days: 5})
		is.keys[name], is.keys[name+" text"] = tok.ID, secret
	}
	for _, name := range []string{"s1", "s2"} {
		is.keys[name] = w.sessionID(w.login("alice"))
	}
	for _, name := range []string{"blue", "green"} {
		w.key("alice", name)
	}
	is.keys["publisher"] = w.trust("plain", "createPackage")
	other, err := trust.ParsePublisher([]byte(strings.Replace(trustBody("createPackage"), issuertest.Workflow, "other.yml", 1)))
	require.NoError(t, err)
	is.keys["other publisher"] = w.trustPublisher("plain", other)
	is.keys["publisher of a scope"] = w.trustScope("createPackage")
	otherOfScope, err := w.auth.Trust().Add(t.Context(), audit.Actor{}, acmeScope, other)
	require.NoError(t, err)
	is.keys["other publisher of a scope"] = otherOfScope.ID
	for _, version := range []string{"4.0.0", "4.1.0", "4.2.0"} {
		is.keys["staged "+version] = w.staged("plain", version, is.session)
	}
	is.session = w.login("alice")
	rows, err := w.store.List(t.Context(), "", "", store.MaxLimit)
	require.NoError(t, err)
	require.Less(t, len(rows), store.MaxLimit)
	is.rows, is.totp, is.clock = rows, w.secrets["alice"], w.clock.Now()
	setUpOnce.is = is
	return is
}

func newScene(t *testing.T, change ...func(*npmauth.Config)) *scene {
	t.Helper()
	is := settingUp(t)
	s := &scene{world: newWorld(t, append([]func(*npmauth.Config){func(cfg *npmauth.Config) { cfg.Fresh, cfg.HostFresh = -1, -1 }, trusts, stages}, change...)...)}
	for _, it := range is.rows {
		_, err := s.store.Commit(t.Context(), store.Op{Key: it.Key, At: store.Any, Action: store.Put, Value: it.Value, Expires: it.Expires})
		require.NoError(t, err)
	}
	s.session, s.keys = is.session, is.keys
	maps.Copy(s.ids, is.ids)
	s.secrets["alice"] = is.totp
	s.clock.Add(is.clock.Sub(s.clock.Now()))
	s.resetHost()
	return s
}

// resetHost has the host say what it says at the beginning, and forget what it was handed.
func (s *scene) resetHost() {
	alice := s.ids["alice"]
	s.host.mu.Lock()
	defer s.host.mu.Unlock()
	clear(s.host.packages)
	for name, id := range s.keys {
		if version, ok := strings.CutPrefix(name, "staged "); ok {
			s.host.kept[id] = version
		}
	}
	for _, name := range []string{"plain", "second"} {
		s.host.packages[protocol.PackageName{Name: name}] = &hosted{
			id: protocol.PackageID("id-" + name), rights: map[protocol.UserID]policy.Rights{alice: allRights},
			versions: []string{"1.0.0", "2.0.0", "2.1.0"}, deprecated: map[string]string{"1.0.0": "words of old"},
			tags: map[string]string{"latest": "2.1.0", "old": "1.0.0", "older": "1.0.0"}, maintainers: []string{"alice", "bob"},
		}
	}
	s.host.revision, s.host.writes = "7-a", nil
	for org, id := range map[string]protocol.OrgID{acmeScope.Name: acmeScope.Org, "beta": "o-2"} {
		s.host.orgs[org+" "+string(alice)] = policy.OrgFacts{ID: id, Role: protocol.OrgOwner}
	}
	s.host.scopes[alice] = "alice"
}

// ofProofs are the rows that a second factor or a password, right or not, writes.
var ofProofs = regexp.MustCompile(`^(twofactor|serverkey|password-(guesses|place|own))`)

// rows returns what is in the store, but for ofProofs.
func (s *scene) rows() map[string]store.Item {
	s.t.Helper()
	all, after := map[string]store.Item{}, ""
	for {
		items, err := s.store.List(s.t.Context(), "", after, store.MaxLimit)
		require.NoError(s.t, err)
		for _, it := range items {
			if after = it.Key; !ofProofs.MatchString(it.Key) {
				all[it.Key] = it
			}
		}
		if len(items) < store.MaxLimit {
			return all
		}
	}
}

// changed returns the keys of what is not as it was, and what was handed to the host.
func (s *scene) changed(was map[string]store.Item) (changed []string) {
	s.t.Helper()
	is := s.rows()
	for key, it := range is {
		if it.Revision != was[key].Revision {
			changed = append(changed, key)
		}
	}
	for key := range was {
		if _, stays := is[key]; !stays {
			changed = append(changed, key)
		}
	}
	slices.Sort(changed)
	return append(changed, s.host.written()...)
}

// restore undoes all that was done since, but for what became of second factors, and returns
// what there is now.
func (s *scene) restore(was map[string]store.Item) map[string]store.Item {
	s.t.Helper()
	is := s.rows()
	for key, it := range is {
		op := store.Op{Key: key, At: store.Any, Action: store.Delete}
		if old, stays := was[key]; stays {
			if old.Revision == it.Revision {
				continue
			}
			op = store.Op{Key: key, At: store.Any, Action: store.Put, Value: old.Value, Expires: old.Expires}
		}
		_, err := s.store.Commit(s.t.Context(), op)
		require.NoError(s.t, err)
	}
	for key, old := range was {
		if _, there := is[key]; !there {
			_, err := s.store.Commit(s.t.Context(), store.Op{Key: key, At: store.Any, Action: store.Put, Value: old.Value, Expires: old.Expires})
			require.NoError(s.t, err)
		}
	}
	s.resetHost()
	return s.rows()
}

// try sends a request in alice's session, with a second factor unless otp is "".
func (s *scene) try(c call, otp string) answer {
	s.t.Helper()
	c.bearer, c.otp = s.session, otp
	return s.do(c)
}

var shownDigits = regexp.MustCompile(`id="typed" value="(\d{16})"`)

// approved answers a challenge on its page and returns what the client collects and the digits
// that the page shows then.
func (s *scene) approved(a answer) (proof, typed string) {
	s.t.Helper()
	isChallenge(s.t, a)
	url := a.text("authUrl")
	form, cookie, page := s.open(url)
	require.Equal(s.t, http.StatusOK, page.Code)
	sent := s.do(s.filled(url, form, cookie, map[string]string{"password": password, "code": s.code("alice")}))
	require.Equal(s.t, http.StatusSeeOther, sent.Code, sent.Body.String())
	proof = s.poll(a.text("doneUrl"), "GET").text("token")
	require.NotEmpty(s.t, proof)
	return proof, s.digits(url, sent)
}

// digits returns those that a page shows the browser that approved it.
func (s *scene) digits(url string, sent answer) string {
	s.t.Helper()
	carried, _, _ := strings.Cut(sent.Header().Get("Set-Cookie"), ";")
	shown := s.do(call{method: "GET", path: strings.TrimPrefix(url, base), header: map[string]string{"Cookie": carried}})
	digits := shownDigits.FindStringSubmatch(shown.Body.String())
	require.NotNil(s.t, digits, shown.Body.String())
	return digits[1]
}

// pages are the keys of the challenges that there are.
func (s *scene) pages() []string {
	s.t.Helper()
	return s.world.keys("twofactor-challenge/")
}

// A release is a publish in the making.
type release struct {
	pkg, version string
	tags         []string // nil is latest
	tarball      []byte   // nil is what npm packs
	stated       []byte   // whose hashes the manifest states; nil is the tarball
	integrity    string   // what it states; "" is the SHA-512, "-" nothing
	shasum       string   // "" is the SHA-1, "-" nothing
	access       string   // "" is null
	readme       string
	script       string // postinstall; "" is none
	bundle       string // a provenance bundle; "" is none
	first        bool   // the attachments come before the versions, as Yarn 2 to 4 send them
}

// sri returns the integrity of data.
func sri(data []byte) string {
	sum := sha512.Sum512(data)
	return "sha512-" + base64.StdEncoding.EncodeToString(sum[:])
}

func (p release) body() []byte {
	pkg, err := protocol.ParsePackageName(p.pkg)
	if err != nil {
		panic(err)
	}
	if p.tarball == nil {
		p.tarball = hosttest.Tarball(pkg, p.version)
	}
	if p.stated == nil {
		p.stated = p.tarball
	}
	dist := map[string]string{"tarball": fmt.Sprintf("http://registry.example/%s/-/%s-%s.tgz", p.pkg, pkg.Name, p.version)}
	if p.integrity == "" {
		p.integrity = sri(p.stated)
	}
	if p.shasum == "" {
		sum := sha1.Sum(p.stated)
		p.shasum = hex.EncodeToString(sum[:])
	}
	for field, says := range map[string]string{"integrity": p.integrity, "shasum": p.shasum} {
		if says != "-" {
			dist[field] = says
		}
	}
	if p.tags == nil {
		p.tags = []string{"latest"}
	}
	tags := map[string]string{}
	for _, tag := range p.tags {
		tags[tag] = p.version
	}
	field := func(name string, v any) []byte {
		text, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		return fmt.Appendf(nil, "%q:%s", name, text)
	}
	var access any
	if p.access != "" {
		access = p.access
	}
	manifest := map[string]any{"name": p.pkg, "version": p.version, "_id": p.pkg + "@" + p.version, "dist": dist}
	if p.script != "" {
		manifest["scripts"] = map[string]string{"postinstall": p.script}
	}
	attached := map[string]any{fmt.Sprintf("%s-%s.tgz", p.pkg, p.version): map[string]any{
		"content_type": "application/octet-stream", "data": base64.StdEncoding.EncodeToString(p.tarball), "length": len(p.tarball),
	}}
	if p.bundle != "" {
		attached[fmt.Sprintf("%s-%s.sigstore", p.pkg, p.version)] = map[string]any{
			"content_type": "application/vnd.dev.sigstore.bundle.v0.3+json", "data": p.bundle, "length": len(p.bundle),
		}
	}
	head := [][]byte{
		field("_id", p.pkg), field("name", p.pkg), field("readme", p.readme), field("access", access), field("dist-tags", tags),
		field("versions", map[string]any{p.version: manifest}),
	}
	attachments := field("_attachments", attached)
	if p.first {
		head = append([][]byte{attachments}, head...)
	} else {
		head = append(head, attachments)
	}
	return []byte("{" + string(bytes.Join(head, []byte(","))) + "}")
}

func (p release) call() call {
	return call{method: "PUT", path: "/" + strings.Replace(p.pkg, "/", "%2f", 1), body: p.body()}
}

// docOf is the document of a package of a scene as npm sends it back, changed.
func docOf(pkg string, change func(d map[string]any)) call {
	versions := map[string]any{}
	for _, v := range []string{"1.0.0", "2.0.0", "2.1.0"} {
		versions[v] = map[string]any{"name": pkg, "version": v}
	}
	versions["1.0.0"].(map[string]any)["deprecated"] = "words of old"
	d := map[string]any{
		"_id": pkg, "_rev": "7-a", "name": pkg, "readme": "x", "versions": versions,
		"dist-tags":   map[string]any{"latest": "2.1.0", "old": "1.0.0", "older": "1.0.0"},
		"maintainers": []map[string]string{{"name": "alice"}, {"name": "bob"}},
	}
	change(d)
	return call{method: "PUT", path: "/" + pkg + "/-rev/7-a", body: d}
}

// deprecates has messages in the document of a package, by version.
func deprecates(pkg string, messages map[string]string) call {
	return docOf(pkg, func(d map[string]any) {
		for v, message := range messages {
			d["versions"].(map[string]any)[v].(map[string]any)["deprecated"] = message
		}
	})
}

// unpublishes takes versions out of the document of a package, and moves tags.
func unpublishes(pkg string, tags map[string]any, versions ...string) call {
	return docOf(pkg, func(d map[string]any) {
		for _, v := range versions {
			delete(d["versions"].(map[string]any), v)
		}
		for tag, to := range tags {
			if d["dist-tags"].(map[string]any)[tag] = to; to == nil {
				delete(d["dist-tags"].(map[string]any), tag)
			}
		}
	})
}

// owners are the maintainers of a package from then on, in a document of nothing else.
func owners(pkg string, names ...string) call {
	var list []string
	for _, name := range names {
		list = append(list, fmt.Sprintf(`{"name":%q}`, name))
	}
	return call{method: "PUT", path: "/" + pkg + "/-rev/7-a", body: `{"_id":"` + pkg + `","_rev":"7-a","maintainers":[` + strings.Join(list, ",") + `]}`}
}
