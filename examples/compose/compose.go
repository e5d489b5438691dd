// Compose is a registry that is made of npmauth's parts by hand, with a router of its own: without
// package npmauth, and without anything below internal/. packages.go has its packages, in memory.
//
//	go run ./examples/compose -seed alice:correct-horse-battery
//
// Package npmauth does more. Here nobody logs in or confirms on a web page: npm asks for the
// password and the code at the terminal. There are no caches, so that each request reads the
// store, no events, no proxies, and no limit on a slow body but ReadTimeout; with an expired login
// nothing is installed until npm login. What serve and writePackument do not have is refused, such
// as npm logout, dist-tags, deprecate, unpublish, organizations and profiles.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/legacy"
	"github.com/npmauth/npmauth/packument"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
	"github.com/npmauth/npmauth/token"
	"github.com/npmauth/npmauth/twofactor"
	"github.com/npmauth/npmauth/wire"
)

// A registry is the parts, which share one store, so that what several of them write in one commit
// happens together or not at all.
type registry struct {
	base     string
	store    store.Store
	people   *account.Directory
	sessions *session.Manager
	tokens   *token.Manager
	factors  *twofactor.Manager
	policy   *policy.Policy
	logins   *legacy.Handler

	mu       sync.Mutex
	packages map[protocol.PackageName]*pkg // guarded by mu
	serial   int                           // of revisions; guarded by mu
}

func newRegistry(base string, st store.Store) (*registry, error) {
	rules := policy.NPM() // and the limits of what they allow
	hasher, err1 := account.NewHasher(account.HasherConfig{})
	people, err2 := account.NewDirectory(account.DirectoryConfig{Store: st, Hasher: hasher})
	tokens, err3 := token.New(token.Config{Store: st, Limits: rules.Limits})
	factors, err4 := twofactor.New(twofactor.Config{Store: st, Limits: rules.Limits})
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return nil, err
	}
	sessions, err1 := session.New(session.Config{
		Store: st, Limits: rules.Limits, Lookup: people.SignIn, CheckPassword: people.CheckPassword, SecondFactor: factors.SignIn, Verifies: factors.Verifies, Alive: people.Alive,
	})
	g := &registry{base: base, store: st, people: people, sessions: sessions, tokens: tokens, factors: factors, policy: rules, packages: map[protocol.PackageName]*pkg{}}
	g.logins, err2 = legacy.New(legacy.Config{SignIn: g.signIn, Client: client, Fail: fail})
	return g, errors.Join(err1, err2)
}

// A call is a request on its way, with what ask found out last of who sends it and of its package.
type call struct {
	r    *http.Request
	from legacy.Client
	policy.Request
	subject subject.Subject
	pkg     *pkg
}

func client(r *http.Request) legacy.Client {
	from, _ := netip.ParseAddrPort(r.RemoteAddr)
	return legacy.Client{Addr: from.Addr().Unmap(), UserAgent: r.UserAgent(), At: time.Now()}
}

func (c *call) actor() audit.Actor {
	return audit.Actor{User: c.Credential.User, Credential: c.Credential.ID, Addr: c.Addr}
}

// ask finds out all that the policy consults, from the rows of a store: the credential, by the
// whole check of the part that it belongs to, its account with all that restricts it, the package.
func (g *registry) ask(c *call, rows store.Reader) (*policy.Request, error) {
	c.Addr, c.Now, c.Credential, c.Account, c.Proof = c.from.Addr, time.Now(), nil, policy.Account{}, policy.NoProof
	bearer, err := wire.Bearer(c.r.Header)
	if err != nil {
		return nil, err
	}
	if bearer != "" {
		c.Credential, c.subject, err = subject.Authenticate(c.r.Context(), rows, credential.NewSecret(bearer), c.Addr, g.sessions.Authenticate, g.tokens.Authenticate)
		if err != nil {
			return nil, err
		}
		user, err := g.people.UserFrom(c.r.Context(), rows, c.subject.ID)
		if err != nil {
			return nil, err
		}
		c.Account, c.Account.Service = c.subject.Account(user.Name), user.Service
	}
	if !c.Operation.Package.IsZero() {
		c.pkg = g.get(c.Operation.Package)
		c.Package = c.pkg.facts(c.Account)
	}
	return &c.Request, nil
}

// allow authorizes what writes nothing. A write it only refuses, before a body is read or a
// password hashed: what is allowed now may be revoked before the last byte has come.
func (g *registry) allow(c *call) error {
	req, err := g.ask(c, g.store)
	if err != nil {
		return err
	}
	return g.policy.Check(req)
}

// commit allows a write, and nothing else does: when all of the body was read, in the commit that
// spends the second factor and writes the rows of write.
func (g *registry) commit(c *call, write func(tx *store.Tx) error) error {
	code, err := wire.OTP(c.r.Header)
	if err != nil {
		return err
	}
	err = g.factors.Authorize(c.r.Context(), g.policy, c.from.At, code, func(rows store.Reader) (*policy.Request, error) { return g.ask(c, rows) }, write)
	if errors.Is(err, twofactor.ErrTooMany) { // whoever has the credential is guessing codes
		err = errors.Join(wire.InvalidToken, g.end(c, "too-many-codes"))
	}
	return err
}

// commitWith is commit for what takes the password, too, of the account as it was when the
// password was checked.
func (g *registry) commitWith(c *call, password credential.Secret, write func(tx *store.Tx) error) error {
	if err := g.allow(c); err != nil {
		return err
	}
	before, err := g.sessions.OwnPassword(c.r.Context(), c.actor(), password)
	if err != nil {
		return err
	}
	return g.commit(c, func(tx *store.Tx) error {
		tx.Expect(before.Evidence...)
		return write(tx)
	})
}

func (g *registry) end(c *call, why string) error {
	if c.Credential.Kind == policy.KindSession {
		return g.sessions.End(c.r.Context(), c.actor(), c.Account.ID, c.Credential.ID, why)
	}
	return g.tokens.Revoke(c.r.Context(), c.actor(), c.Account.ID, c.Credential.ID, why)
}

// fail answers with err. An error that does not say how is an outage, and a refusal.
func fail(w http.ResponseWriter, r *http.Request, err error) {
	answer, known := wire.Answer(err)
	switch {
	case known:
	case errors.Is(err, token.ErrNotFound), errors.Is(err, account.ErrNoUser), errors.Is(err, twofactor.ErrNoFactor):
		answer = &wire.Error{Status: 404, Code: "not-found", Sentence: "There is nothing of that name."}
	case errors.Is(err, twofactor.ErrWrong): // of enable-2fa; another request is challenged anew
		answer = &wire.Error{Status: 403, Code: "wrong-code", Sentence: twofactor.Sentence(err, time.Now())}
	default:
		log.Println(wire.RedactPath(r.URL.EscapedPath()), err)
		answer = wire.Unavailable
	}
	wire.WriteError(w, answer)
}

var errNotOffered = &wire.Error{Status: 403, Code: "not-offered", Sentence: "This registry does not offer this."}

// ServeHTTP routes by what protocol.Classify makes of method and path, and by nothing else. What
// it does not know the policy denies.
func (g *registry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<20)
	op, err := protocol.Classify(r.Method, r.URL.EscapedPath())
	switch {
	case err != nil:
		fail(w, r, &wire.Error{Status: 400, Code: "bad-path", Sentence: "This is no path of npm."})
	case op.Action == protocol.LegacyLogin:
		g.logins.Put(w, r, op.User)
	default:
		answer, err := g.serve(&call{r: r, from: client(r), Request: policy.Request{Operation: op}})
		if tarball, ok := answer.([]byte); err != nil {
			fail(w, r, err)
		} else if ok {
			_, _ = w.Write(tarball)
		} else {
			wire.WriteJSON(w, http.StatusOK, answer)
		}
	}
}

type object = map[string]any

func (g *registry) serve(c *call) (any, error) {
	op := &c.Operation
	switch op.Action {
	case protocol.WriteProfile:
		return g.setFactor(c)
	case protocol.CreateToken:
		return g.createToken(c)
	case protocol.WritePackument:
		return g.writePackument(c)
	}
	if err := g.allow(c); err != nil {
		return nil, err
	}
	switch {
	case op.Action == protocol.Whoami:
		return object{"username": c.Account.Name}, nil
	case op.Action == protocol.ReadUser: // npm owner add asks first
		user, err := g.people.ByName(c.r.Context(), op.User)
		return object{"name": user.Name, "email": user.Email}, err
	case op.Action == protocol.ReadProfile:
		status, err := g.factors.Status(c.r.Context(), nil, c.Account.ID)
		profile := object{"name": c.Account.Name, "email": "", "tfa": nil}
		if status.Enabled || status.Pending {
			profile["tfa"] = object{"mode": max(c.Account.TwoFactor, status.PendingMode), "pending": status.Pending}
		}
		return profile, err
	case op.Action == protocol.ListTokens:
		list, _, total, err := g.tokens.List(c.r.Context(), c.Account.ID, token.ListOptions{})
		objects := []object{}
		for _, t := range list {
			objects = append(objects, shown(t))
		}
		return object{"objects": objects, "total": total, "urls": object{}}, err
	case op.Action == protocol.RevokeToken:
		c.Change = &protocol.Change{}
		if d, ok := credential.Parse(op.Token); ok { // npm may put the token itself into the path
			op.Token = token.IDOf(d)
		}
		return object{}, g.commit(c, func(tx *store.Tx) error {
			return g.tokens.RevokeTx(c.r.Context(), tx, c.actor(), c.Account.ID, op.Token, "")
		})
	case op.Action == protocol.ReadPackument && op.Version == "" && op.Tag == "":
		return c.pkg.document(op.Package), nil
	case op.Action == protocol.ReadTarball && c.pkg.tarballs[op.Version] != nil:
		return c.pkg.tarballs[op.Version], nil
	}
	return nil, errNotOffered
}

// signIn is npm login --auth-type=legacy. Carry is for Yarn 1, which presents the code once more.
func (g *registry) signIn(ctx context.Context, in legacy.SignIn) (credential.Secret, error) {
	secret, _, err := g.sessions.SignIn(ctx, session.SignIn{
		Name: in.Name, Password: in.Password, OTP: in.OTP, Carry: true, Client: session.Client(in.Client), Via: "legacy",
	})
	return secret, err
}

// setFactor is npm profile enable-2fa, in two requests, and disable-2fa.
func (g *registry) setFactor(c *call) (any, error) {
	var body wire.ProfileRequest
	if err := wire.Decode(c.r, &body); err != nil {
		return nil, err
	}
	to, err := body.TwoFactor()
	if err != nil || to == nil { // another change of the profile
		return nil, errors.Join(err, errNotOffered)
	}
	ctx, answer := c.r.Context(), object{"tfa": nil}
	c.Operation.Action, c.Change = protocol.SetTwoFactor, &protocol.Change{TwoFactor: to.Mode, Confirms: to.Confirms}
	if !to.Confirms {
		return answer, g.commitWith(c, to.Password, func(tx *store.Tx) error {
			uri, err := g.factors.SetTx(ctx, tx, c.actor(), c.Account.ID, c.Account.Name, to.Mode)
			if !uri.IsZero() {
				answer["tfa"] = uri.Reveal()
			}
			return err
		})
	}
	if err := g.allow(c); err != nil {
		return nil, err
	}
	confirmation, err := g.factors.BeginConfirm(ctx, c.Account.ID, to.Code, c.from.At) // which counts a try
	if err != nil {
		return nil, err
	}
	return answer, g.commit(c, func(tx *store.Tx) error {
		codes, err := confirmation.Apply(ctx, tx, c.actor()) // ends all sessions: they were opened without a factor
		if err != nil {
			return err
		}
		answer["tfa"] = credential.Reveal(codes)
		return g.sessions.KeepTx(ctx, tx, c.actor(), c.subject, c.Credential.ID, "two-factor") // but the one that asks
	})
}

func shown(t token.Token) object {
	spec := protocol.TokenSpec{Name: t.Name, Description: t.Description, Grants: t.Grants, Bypass: t.Bypass, CIDRs: t.CIDRs}
	return wire.Token{Key: t.ID, Hint: t.Hint, Created: t.Created, Expires: t.Expires, TokenSpec: spec}.Fields()
}

func (g *registry) createToken(c *call) (any, error) {
	var body wire.TokenRequest
	if err := wire.Decode(c.r, &body); err != nil {
		return nil, err
	}
	spec, err := body.Spec()
	if err != nil {
		return nil, err
	}
	var answer object
	c.Change = &protocol.Change{Token: &spec} // about which the policy has rules
	err = g.commitWith(c, credential.NewSecret(body.Password), func(tx *store.Tx) error {
		secret, t, err := g.tokens.CreateTx(c.r.Context(), tx, c.actor(), token.SpecOf(c.Account.ID, spec))
		answer = shown(t)
		answer["token"] = secret.Reveal() // this once
		return err
	})
	return answer, err
}

// writePackument is PUT /<pkg>, which npm sends for six operations. What it does is what its body
// changes, and not what npm or anybody says that it is: a token that may publish without a second
// factor changes no owner. Two of the six are offered.
func (g *registry) writePackument(c *call) (any, error) {
	name := c.Operation.Package
	c.Operation.Action = protocol.Publish
	if err := g.allow(c); err != nil { // whoever may not publish may do none of the six
		return nil, err
	}
	was := c.pkg // what the body is compared with, and what is replaced
	cfg := packument.Config{Package: name, By: c.Account.Name, HashTarball: true}
	got, err := packument.Receive(c.r.Body, cfg, c.Operation.Revision, was.State, func(action protocol.Action, change protocol.Change) error {
		c.Operation.Action, c.Change = action, &change
		for _, owner := range change.AddedOwners { // whoever gets a free name later would own the package
			if _, err := g.people.ByName(c.r.Context(), owner); err != nil {
				return err
			}
		}
		if change.Access == "restricted" { // all is public here
			return errNotOffered
		}
		return g.commit(c, nil)
	})
	ok := object{"ok": true}
	switch {
	case err != nil:
		return nil, err
	case got.Action == protocol.Publish:
		return ok, g.publish(name, was, c.Account.Name, got)
	case got.Change.Empty(): // npm repeats what has succeeded
		return ok, nil
	case got.Action == protocol.WriteOwners:
		next := *was
		next.Maintainers = got.Change.Maintainers
		return ok, g.replace(name, was, next)
	}
	return nil, errNotOffered
}

func main() {
	addr := flag.String("addr", "127.0.0.1:4875", "listen at this `address`")
	seed := flag.String("seed", "", "create the accounts `name:password,…`")
	flag.Parse()
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	g, err := newRegistry("http://"+listener.Addr().String()+"/", store.NewMemory())
	if err != nil {
		log.Fatal(err)
	}
	for person := range strings.FieldsFuncSeq(*seed, func(c rune) bool { return c == ',' }) {
		name, password, _ := strings.Cut(person, ":")
		if _, err := g.people.Create(context.Background(), audit.Actor{}, account.NewUser{Name: name, Password: credential.NewSecret(password)}); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println("The registry is at", g.base)
	server := &http.Server{Handler: g, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 10 * time.Minute}
	log.Fatal(server.Serve(listener))
}
